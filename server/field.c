/* SPDX-License-Identifier: MIT */
/*
 * The members of a request's body, checked and converted by a table, as laxly as the reference does: "7", 7.0 and true are
 * integers, "1.5" and 5 are floats, unknown members are ignored.  Each fault becomes one item {"type","loc","msg","input"[,"ctx"]}.
 */
#include "server.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a check knows of the member it looks at, so that a fault can be told in one call. */
struct spot {
	struct buf *detail;
	const char *name;         /* NULL: the body itself */
	int index;                /* of the body's list, or -1 */
	int item;                 /* of the member's list, or -1 */
	int part;                 /* of the item, which is a list, or -1 */
	const char *member;       /* of a union, or NULL */
	const struct json *input;
	int faults;
};

static void
fault(struct spot *p, const char *type, const char *msg, const char *ctx)
{
	struct buf *b = p->detail;

	buf_adds(b, p->detail->len ? ",{\"type\":\"" : "{\"type\":\"");
	buf_adds(b, type);
	buf_adds(b, "\",\"loc\":[\"body\"");
	if (p->index >= 0)
		buf_printf(b, ",%d", p->index);
	if (p->name) {
		buf_addc(b, ',');
		json_putstr(b, str_of(p->name), 0);
	}
	if (p->member)
		buf_printf(b, ",\"%s\"", p->member);
	if (p->item >= 0)
		buf_printf(b, ",%d", p->item);
	if (p->part >= 0)
		buf_printf(b, ",%d", p->part);
	buf_adds(b, "],\"msg\":");
	json_putstr(b, str_of(msg), 0);
	buf_adds(b, ",\"input\":");
	if (p->input)
		json_print(b, p->input, 0);
	else
		buf_adds(b, "null");
	if (ctx)
		buf_printf(b, ",\"ctx\":%s", ctx);
	buf_addc(b, '}');
	p->faults++;
}

/* A fault whose message, and context, end in a bound. */
static void
fault_bound(struct spot *p, const char *type, const char *msg, const char *key, int64_t n)
{
	struct buf m = {0}, c = {0};

	buf_adds(&m, msg);
	buf_addint(&m, n);
	buf_printf(&c, "{\"%s\":", key);
	buf_addint(&c, n);
	buf_addc(&c, '}');
	fault(p, type, m.p, c.p);
	buf_free(&m);
	buf_free(&c);
}

/* A fault whose message, and context, end in a length. */
static void
fault_length(struct spot *p, const char *type, const char *msg, const char *ctx, size_t n)
{
	struct buf m = {0}, c = {0};

	buf_adds(&m, msg);
	buf_addint(&m, (int64_t)n);
	buf_printf(&c, "{%s,\"actual_length\":%lu}", ctx, (unsigned long)n);
	fault(p, type, m.p, c.p);
	buf_free(&m);
	buf_free(&c);
}

void
field_fault(struct buf *detail, const char *type, const char *name, const char *msg, const struct json *input)
{
	struct spot p = {.detail = detail, .name = name, .index = -1, .item = -1, .part = -1, .input = input};

	fault(&p, type, msg, NULL);
}

static struct str
trim(struct str s)
{
	while (s.n && (s.p[0] == ' ' || (s.p[0] >= '\t' && s.p[0] <= '\r')))
		s.p++, s.n--;
	while (s.n && (s.p[s.n - 1] == ' ' || (s.p[s.n - 1] >= '\t' && s.p[s.n - 1] <= '\r')))
		s.n--;
	return s;
}

static struct str
text_of(const struct json *j)
{
	return (struct str){j->s, j->len};
}

/* A float without a fraction, in the range of an integer. */
static bool
whole(double d, int64_t *out)
{
	return !real_cut(d, out) && (double)*out == d;
}

static void
check_int(struct spot *p, const struct field *f, struct value *v)
{
	const struct json *j = p->input;
	double d;

	if (j->type == JSON_BOOL) {
		v->num = j->is;
	} else if (j->type == JSON_STR) {
		struct str s = trim(text_of(j));

		if (parse_int(s, &v->num) < 0 && (parse_float(s, &d) < 0 || memchr(s.p, 'e', s.n) || memchr(s.p, 'E', s.n) ||
		    !whole(d, &v->num))) {
			fault(p, "int_parsing", "Input should be a valid integer, unable to parse string as an integer", NULL);
			return;
		}
	} else if (j->type != JSON_NUM) {
		fault(p, "int_type", "Input should be a valid integer", NULL);
		return;
	} else if (json_int(j, &v->num) < 0) {
		bool text_is_int = !memchr(j->s, '.', j->len) && !memchr(j->s, 'e', j->len) && !memchr(j->s, 'E', j->len);

		if (text_is_int) {
			fault(p, "int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size", NULL);
			return;
		}
		if (!whole(json_num(j), &v->num)) {
			fault(p, "int_from_float", "Input should be a valid integer, got a number with a fractional part", NULL);
			return;
		}
	}
	if (v->num == INT64_MIN) {   /* stands for null in the store */
		fault(p, "int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size", NULL);
		return;
	}
	if (f->min == f->max)
		return;
	if (v->num < f->min && f->min > 0)   /* as the reference says it */
		fault_bound(p, "greater_than", "Input should be greater than ", "gt", f->min - 1);
	else if (v->num < f->min)
		fault_bound(p, "greater_than_equal", "Input should be greater than or equal to ", "ge", f->min);
	else if (v->num > f->max)
		fault_bound(p, "less_than_equal", "Input should be less than or equal to ", "le", f->max);
}

static void
check_float(struct spot *p, const struct field *f, struct value *v)
{
	const struct json *j = p->input;

	(void)f;
	if (j->type == JSON_NUM)
		v->real = json_num(j);
	else if (j->type == JSON_BOOL)
		v->real = j->is;
	else if (j->type != JSON_STR)
		fault(p, "float_type", "Input should be a valid number", NULL);
	else if (parse_float(trim(text_of(j)), &v->real) < 0)
		fault(p, "float_parsing", "Input should be a valid number, unable to parse string as a number", NULL);
}

bool
field_flag(struct str text, bool *out)
{
	static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "n", "y", "off", "on", "f", "t"};

	for (size_t i = 0; i < LEN(words); i++) {
		if (str_caseis(text, words[i])) {
			*out = i % 2;
			return true;
		}
	}
	return false;
}

static void
check_bool(struct spot *p, const struct field *f, struct value *v)
{
	const struct json *j = p->input;
	bool is = j->is;

	(void)f;
	if (j->type != JSON_BOOL && j->type != JSON_STR && j->type != JSON_NUM) {
		fault(p, "bool_type", "Input should be a valid boolean", NULL);
		return;
	}
	if (j->type == JSON_NUM && (!whole(json_num(j), &v->num) || v->num < 0 || v->num > 1))
		fault(p, "bool_parsing", "Input should be a valid boolean, unable to interpret input", NULL);
	else if (j->type == JSON_NUM)
		return;
	else if (j->type == JSON_STR && !field_flag(text_of(j), &is))
		fault(p, "bool_parsing", "Input should be a valid boolean, unable to interpret input", NULL);
	v->num = is;
}

static bool
is_text(struct spot *p, struct value *v)
{
	if (p->input->type != JSON_STR) {
		fault(p, "string_type", "Input should be a valid string", NULL);
		return false;
	}
	v->text = text_of(p->input);
	return true;
}

static void
check_text(struct spot *p, const struct field *f, struct value *v)
{
	(void)f;
	is_text(p, v);
}

static void
check_name(struct spot *p, const struct field *f, struct value *v)
{
	size_t n;

	(void)f;
	if (!is_text(p, v))
		return;
	n = utf8_count(v->text);
	if (!n)
		fault(p, "string_too_short", "String should have at least 1 character", "{\"min_length\":1}");
	else if (n > 100)
		fault(p, "string_too_long", "String should have at most 100 characters", "{\"max_length\":100}");
	else if (!name_valid(v->text))
		fault(p, "string_pattern_mismatch", "String should match pattern '^[a-zA-Z0-9_-]+$'", "{\"pattern\":\"^[a-zA-Z0-9_-]+$\"}");
}

/* The password itself is not repeated in the answer. */
static void
check_password(struct spot *p, const struct field *f, struct value *v)
{
	bool text = p->input->type == JSON_STR;
	size_t n;

	(void)f;
	v->text = text ? text_of(p->input) : (struct str){0};
	n = utf8_count(v->text);
	p->input = NULL;
	if (!text)
		fault(p, "string_type", "Input should be a valid string", NULL);
	else if (!n)
		fault_length(p, "too_short", "Value should have at least 1 item after validation, not ",
		    "\"field_type\":\"Value\",\"min_length\":1", n);
	else if (n > 100)
		fault_length(p, "too_long", "Value should have at most 100 items after validation, not ",
		    "\"field_type\":\"Value\",\"max_length\":100", n);
}

static void
check_choice(struct spot *p, const struct field *f, struct value *v)
{
	struct buf msg = {0}, ctx = {0};
	const char *word;
	size_t n;

	if (!is_text(p, v))
		return;
	for (word = f->choice; *word; word += n + (word[n] == '|')) {
		n = strcspn(word, "|");
		if (str_eq(v->text, (struct str){word, n}))
			return;
	}
	buf_printf(&msg, "String should match pattern '^(%s)$'", f->choice);
	buf_printf(&ctx, "{\"pattern\":\"^(%s)$\"}", f->choice);
	fault(p, "string_pattern_mismatch", msg.p, ctx.p);
	buf_free(&msg);
	buf_free(&ctx);
}

static void
check_dict(struct spot *p, const struct field *f, struct value *v)
{
	(void)f;
	(void)v;
	if (p->input->type != JSON_OBJ)
		fault(p, "dict_type", "Input should be a valid dictionary", NULL);
}

/* Looks through the dicts of dicts.  A key counts only where a leaf is below it, as in the reference.  The path of the first
 * wrong key is put into path. Returns whether there is a leaf. */
static bool
keys_of(const struct json *obj, struct buf *path, bool *bad)
{
	bool leaf = false;

	for (const struct json *m = obj->head; m && !*bad; m = m->next) {
		size_t at = path->len;

		if (at)
			buf_addc(path, '.');
		buf_add(path, m->key.p, m->key.n);
		if (m->type != JSON_OBJ || keys_of(m, path, bad)) {
			leaf = true;
			if (!*bad && !key_valid(m->key))
				*bad = true;
		}
		if (!*bad)
			path->len = at;
	}
	return leaf;
}

static void
check_keys(struct spot *p, const struct field *f, struct value *v)
{
	struct buf path = {0}, msg = {0};
	bool bad = false;

	check_dict(p, f, v);
	if (p->input->type != JSON_OBJ)
		return;
	keys_of(p->input, &path, &bad);
	if (bad) {
		buf_adds(&msg, "Value error, Key '");
		buf_add(&msg, path.p, path.len);
		buf_adds(&msg, "' is not valid. Keys must be parts of letters, digits, _ and -, with single dots between");
		fault(p, "value_error", msg.p, "{\"error\":{}}");
	}
	buf_free(&path);
	buf_free(&msg);
}

static bool
texts(struct spot *p, const struct json *list)
{
	int faults = p->faults;

	p->item = 0;
	for (const struct json *j = list->head; j; j = j->next, p->item++) {
		p->input = j;
		if (j->type != JSON_STR)
			fault(p, "string_type", "Input should be a valid string", NULL);
	}
	p->item = -1;
	return p->faults == faults;
}

static void
check_texts(struct spot *p, const struct field *f, struct value *v)
{
	(void)f;
	(void)v;
	if (p->input->type != JSON_ARR)
		fault(p, "list_type", "Input should be a valid list", NULL);
	else
		texts(p, p->input);
}

static void
check_cmd(struct spot *p, const struct field *f, struct value *v)
{
	const struct json *j = p->input;

	(void)f;
	(void)v;
	if (j->type == JSON_STR)
		return;
	for (const struct json *i = j->type == JSON_ARR ? j->head : j; i; i = i->next) {
		if (i->type == JSON_STR && j->type == JSON_ARR)
			continue;
		p->member = "str";
		fault(p, "string_type", "Input should be a valid string", NULL);
		p->member = "list[str]";
		if (j->type == JSON_ARR)
			texts(p, j);
		else
			fault(p, "list_type", "Input should be a valid list", NULL);
		p->member = NULL;
		return;
	}
}

/* A field and its order, [text, integer].  What the order is, 0 after a fault. */
static int64_t
sort_item(struct spot *p, const struct json *pair)
{
	static const struct field any = {0};
	struct value order = {0};
	int faults = p->faults;

	if (pair->type != JSON_ARR) {
		fault(p, "tuple_type", "Input should be a valid tuple", NULL);
		return 0;
	}
	if (pair->len > 2) {
		fault_length(p, "too_long", "Tuple should have at most 2 items after validation, not ",
		    "\"field_type\":\"Tuple\",\"max_length\":2", pair->len);
		return 0;
	}
	for (p->part = 0; p->part < 2; p->part++) {
		p->input = p->part ? pair->len > 1 ? pair->tail : NULL : pair->head;
		if (!p->input) {
			p->input = pair;
			fault(p, "missing", "Field required", NULL);
		} else if (p->part) {
			check_int(p, &any, &order);
		} else {
			check_text(p, &any, &order);
		}
	}
	p->part = -1;
	return p->faults == faults ? order.num : 0;
}

static void
check_sort(struct spot *p, const struct field *f, struct value *v)
{
	const struct json *list = p->input;
	struct buf msg = {0};
	int faults = p->faults;

	(void)f;
	(void)v;
	if (list->type != JSON_ARR) {
		fault(p, "list_type", "Input should be a valid list", NULL);
		return;
	}
	p->item = 0;
	for (const struct json *j = list->head; j; j = j->next, p->item++) {
		int64_t order;

		p->input = j;
		order = sort_item(p, j);
		if (!msg.len && order != 1 && order != -1) {
			buf_adds(&msg, "Value error, Sort order must be 1 (ascending) or -1 (descending), got ");
			buf_addint(&msg, order);
			buf_addc(&msg, '.');
		}
	}
	p->item = -1;
	p->input = list;
	if (msg.len && p->faults == faults)
		fault(p, "value_error", msg.p, "{\"error\":{}}");
	buf_free(&msg);
}

static size_t
digits(struct str s, size_t i)
{
	size_t n = i;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	return n - i;
}

static size_t
separator(struct str s, size_t i)
{
	return i < s.n && strchr("-_.", s.p[i]) ? 1 : 0;
}

/* One of the words at i, with the number and the separators around them that PEP 440 allows. Bytes, 0 when none stands there. */
static size_t
suffix(struct str s, size_t i, const char *const *words)
{
	size_t at = i + separator(s, i);

	for (; *words; words++) {
		size_t n = strlen(*words);

		if (s.n - at >= n && str_caseis((struct str){s.p + at, n}, *words)) {
			at += n;
			if (digits(s, at + separator(s, at)))
				at += separator(s, at);
			return at + digits(s, at) - i;
		}
	}
	return 0;
}

/* A version of PEP 440: v? N! N.N… pre post dev +local. */
static bool
version_valid(struct str s)
{
	static const char *const pre[] = {"alpha", "a", "beta", "b", "preview", "pre", "c", "rc", NULL};
	static const char *const post[] = {"post", "rev", "r", NULL}, *const dev[] = {"dev", NULL};
	size_t i, n;

	s = trim(s);
	i = s.n && (s.p[0] | 0x20) == 'v';
	n = digits(s, i);
	if (n && i + n < s.n && s.p[i + n] == '!') {
		i += n + 1;
		n = digits(s, i);
	}
	if (!n)
		return false;
	for (i += n; i < s.n && s.p[i] == '.' && (n = digits(s, i + 1)); i += n + 1)
		;
	i += suffix(s, i, pre);
	if (i + 1 < s.n && s.p[i] == '-' && digits(s, i + 1))
		i += 1 + digits(s, i + 1);
	else
		i += suffix(s, i, post);
	i += suffix(s, i, dev);
	if (i < s.n && s.p[i] == '+') {
		do {
			size_t from = ++i;

			while (i < s.n && ((s.p[i] >= '0' && s.p[i] <= '9') || ((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z')))
				i++;
			if (i == from)
				return false;
		} while (separator(s, i));
	}
	return i == s.n;
}

static void
check_version(struct spot *p, const struct field *f, struct value *v)
{
	(void)f;
	if (is_text(p, v) && !version_valid(v->text))
		fault(p, "value_error", "Value error, Invalid version", "{\"error\":{}}");
}

static void (*const checks[])(struct spot *, const struct field *, struct value *) = {
	[FIELD_INT] = check_int, [FIELD_FLOAT] = check_float, [FIELD_BOOL] = check_bool, [FIELD_TEXT] = check_text,
	[FIELD_NAME] = check_name, [FIELD_PASSWORD] = check_password, [FIELD_CHOICE] = check_choice, [FIELD_DICT] = check_dict,
	[FIELD_KEYS] = check_keys, [FIELD_CMD] = check_cmd, [FIELD_TEXTS] = check_texts, [FIELD_SORT] = check_sort,
	[FIELD_VERSION] = check_version,
};

/* A body that may hold a password is not repeated either. */
static bool
is_secret(const struct field *f)
{
	while (f->name && f->kind != FIELD_PASSWORD)
		f++;
	return f->name != NULL;
}

int
field_check(const struct field *f, struct value *v, const struct json *body, int index, struct buf *detail)
{
	struct spot p = {.detail = detail, .index = index, .item = -1, .part = -1};
	const struct json *shown = is_secret(f) ? NULL : body;

	p.input = shown;
	if (!body || body->type == JSON_NULL) {
		if (index >= 0)
			fault(&p, "model_attributes_type", "Input should be a valid dictionary or object to extract fields from", NULL);
		else
			fault(&p, "missing", "Field required", NULL);
		return p.faults;
	}
	if (body->type != JSON_OBJ) {
		fault(&p, "model_attributes_type", "Input should be a valid dictionary or object to extract fields from", NULL);
		return p.faults;
	}
	for (; f->name; f++, v++) {
		const struct json *j = f->alias ? json_gets(body, f->alias) : NULL;

		*v = (struct value){0};
		v->json = j ? j : json_gets(body, f->name);
		p.name = j || (f->alias && !v->json) ? f->alias : f->name;
		p.input = v->json;
		if (!v->json) {
			p.input = shown;
			if (f->flags & FIELD_NEEDED)
				fault(&p, "missing", "Field required", NULL);
			continue;
		}
		v->null = v->json->type == JSON_NULL && f->flags & FIELD_NULL;
		if (v->null)
			continue;
		v->given = true;
		checks[f->kind](&p, f, v);
	}
	return p.faults;
}
