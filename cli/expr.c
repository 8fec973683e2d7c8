/* SPDX-License-Identifier: MIT */
/*
 * Python-style filters, translated to MongoDB's documents (SPEC 2), in one pass over the text by Python's precedence: or, and, not,
 * comparisons, + -, * / %, minus, then .name [..] (..).  Each level gives an operand: a value, a field, arithmetic, or a condition,
 * and what may not be done with one is refused at its place, with what to write instead.
 *
 * Comparisons of a field with a value are plain documents.  Arithmetic and fields against fields become $expr, behind an $exists
 * for each field, so that tasks without the field do not match.
 */
#include "cli.h"

#include <string.h>

enum { DEPTH = 100 };   /* operands within operands; the server's limit of nested JSON is far above what that gives */

enum kind { VALUE, FIELD, MATH, COND, LIST, DICT };
struct operand {
	enum kind kind;
	size_t pos;            /* where it begins */
	struct json *v;        /* the value, the field's path as a text, the expression, the document; LIST, DICT: of which field */
	struct json *fields;   /* MATH: the paths in it */
	int depth;             /* MATH */
};

struct expr {
	struct json_doc *d;
	struct str s;
	size_t at;
	int depth;
	const struct when *now;
	struct err *e;
};

static int any(struct expr *x, struct operand *out);

/* ---- tokens ---- */

static int
peek(const struct expr *x, size_t ahead)
{
	return x->at + ahead < x->s.n ? (unsigned char)x->s.p[x->at + ahead] : -1;
}

/* White space, comments, and a backslash before a newline. */
static void
skip(struct expr *x)
{
	for (;;) {
		int c = peek(x, 0);

		if (c == '#')
			while (peek(x, 0) >= 0 && peek(x, 0) != '\n')
				x->at++;
		else if (c == ' ' || (c >= '\t' && c <= '\r') || (c == '\\' && peek(x, 1) == '\n'))
			x->at++;
		else
			return;
	}
}

static bool
stands(const struct expr *x, const char *text)
{
	size_t n = strlen(text);

	return x->s.n - x->at >= n && !memcmp(x->s.p + x->at, text, n);
}

static bool
take(struct expr *x, const char *op)
{
	skip(x);
	if (!stands(x, op))
		return false;
	x->at += strlen(op);
	return true;
}

/* Letters as Python's names have them; beyond ASCII all but signs, quotes and spaces. */
static size_t
letter(const struct expr *x, size_t at)
{
	uint32_t cp;
	size_t n = utf8_get(x->s.p + at, x->s.n - at, &cp);

	if (n == 1)
		return ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z') || cp == '_';
	return n && cp >= 0xc0 && (cp < 0x2000 || cp > 0x2bff) && (cp < 0x3000 || cp > 0x3020) ? n : 0;
}

/* The name at the front, not taken; empty when there is none. */
static struct str
ident(struct expr *x)
{
	size_t from, n;

	skip(x);
	from = x->at;
	for (size_t at = from; at < x->s.n; at += n) {
		n = letter(x, at);
		if (!n && at > from && x->s.p[at] >= '0' && x->s.p[at] <= '9')
			n = 1;
		if (!n)
			return (struct str){x->s.p + from, at - from};
	}
	return (struct str){x->s.p + from, x->s.n - from};
}

static bool
take_word(struct expr *x, const char *word)
{
	struct str n = ident(x);

	if (!str_is(n, word))
		return false;
	x->at += n.n;
	return true;
}

static bool
keyword(struct str s)
{
	static const char *const word[] = {"False", "None", "True", "and", "as", "assert", "async", "await", "break", "class",
	    "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
	    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield"};

	for (size_t i = 0; i < LEN(word); i++)
		if (str_is(s, word[i]))
			return true;
	return false;
}

/* ---- refusals ---- */

static int
bad(struct expr *x, size_t pos, const char *what)
{
	return err_at(x->e, EXIT_USAGE, pos, "%s", what);
}

/* What people write that is not understood where an operator, or an operand, should stand. */
static const struct {
	const char *text, *what;
} foreign[] = {
	{"===", "=== is not understood: write =="},
	{"==", "== has nothing before it: write a field and a value: args.lr == 0.1"},
	{"=>", "=> is not understood: write >="},
	{"=<", "=< is not understood: write <="},
	{"=", "= is not understood: write == to compare"},
	{"<>", "<> is not understood, nor is !=: a task without the field would match too; write the MongoDB form with $ne"},
	{"&&", "&& is not understood: write and"},
	{"||", "|| is not understood: write or"},
	{"**", "** is not understood: + - * / and % are"},
	{"//", "// is not understood: + - * / and % are"},
	{"<<", "<< is not understood: + - * / and % are"},
	{">>", ">> is not understood: + - * / and % are"},
	{"&", "& is not understood: write and between conditions; bits cannot be counted with"},
	{"|", "| is not understood: write or between conditions; bits cannot be counted with"},
	{"^", "^ is not understood: + - * / and % are"},
	{"~", "~ is not understood: + - * / and % are"},
	{"@", "@ is not understood: + - * / and % are"},
	{"+", "a plus before a value is not understood: leave it out"},
	{"!", "! is not understood, nor is not: a task without the field would match too; "
	    "write the MongoDB form with $ne, $nin or $nor"},
	{":=", ":= is not understood: write == to compare"},
	{";", "; is not understood: write and between conditions"},
	{",", "a comma is not understood here: write and between conditions, and [..] around a list"},
	{"$", "$ begins no field here: write args.name, or the MongoDB form as a dict"},
	{"\xe2\x80\x98", "this quote is no quote here: write ' or \""},
	{"\xe2\x80\x99", "this quote is no quote here: write ' or \""},
	{"\xe2\x80\x9c", "this quote is no quote here: write ' or \""},
	{"\xe2\x80\x9d", "this quote is no quote here: write ' or \""},
	{")", "this ) closes nothing"},
	{"]", "this ] closes nothing"},
	{"}", "this } closes nothing"},
};
static const struct {
	const char *word, *what;
} foreign_words[] = {
	{"if", "if ... else is not understood: write and, or"},
	{"for", "for is not understood: write the list out"},
	{"lambda", "lambda is not understood: a filter is a condition like args.lr > 0.1"},
	{"await", "await is not understood: a filter is a condition like args.lr > 0.1"},
	{"is", "is is not understood: write =="},
	{"AND", "AND is not understood: write and"},
	{"OR", "OR is not understood: write or"},
	{"NOT", "NOT is not understood, nor is not: write the MongoDB form with $ne, $nin or $nor"},
	{"IN", "IN is not understood: write in"},
	{"LIKE", "LIKE is not understood: write regex(field, \"pattern\")"},
};

static const char *
foreign_word(struct str n)
{
	for (size_t i = 0; i < LEN(foreign_words); i++)
		if (str_is(n, foreign_words[i].word))
			return foreign_words[i].what;
	return NULL;
}

/* Refuses what stands at the front; otherwise says that want stands not there. */
static int
unexpected(struct expr *x, const char *want)
{
	const char *what = foreign_word(ident(x));

	if (what)
		return bad(x, x->at, what);
	for (size_t i = 0; i < LEN(foreign); i++)
		if (stands(x, foreign[i].text))
			return bad(x, x->at, foreign[i].what);
	if (x->at == x->s.n)
		return err_at(x->e, EXIT_USAGE, x->at, "the filter ends where %s should stand", want);
	return err_at(x->e, EXIT_USAGE, x->at, "%s should stand here", want);
}

/* The document of one comparison as the MongoDB form of what is refused; "" where it would be long. */
static void
suggest(struct expr *x, struct buf *b, const struct operand *field, const char *op, const struct operand *value)
{
	struct json *doc = json_mkobj(x->d), *inner = json_mkobj(x->d);
	struct buf text = {0};

	json_sets(x->d, inner, op, json_copy(x->d, value->v));
	json_set(x->d, doc, (struct str){field->v->s, field->v->len}, inner);
	json_print(&text, doc, JSON_SPACED);
	if (text.len < 120)
		buf_printf(b, ": '%s'", text.p);
	buf_free(&text);
}

static int
refuse_negation(struct expr *x, size_t pos, const char *what, const char *op, const struct operand *l, const struct operand *r)
{
	struct buf b = {0};
	int rc;

	if (l->kind == FIELD && r->kind == VALUE)
		suggest(x, &b, l, op, r);
	rc = err_at(x->e, EXIT_USAGE, pos,
	    "%s is not understood, because it would match tasks without the field too; if that is meant, "
	    "write the MongoDB form%s%s", what, b.len ? "" : " with ", b.len ? b.p : op);
	buf_free(&b);
	return rc;
}

/* Why an operand is no condition. */
static int
refuse_alone(struct expr *x, const struct operand *o)
{
	switch (o->kind) {
	case FIELD:
		return err_at(x->e, EXIT_USAGE, o->pos, "%s alone is no condition: write exists(%s), or a comparison", o->v->s,
		    o->v->s);
	case LIST:
		return err_at(x->e, EXIT_USAGE, o->pos, "list(%s) stands right of in: write \"x\" in list(%s)", o->v->s, o->v->s);
	case DICT:
		return err_at(x->e, EXIT_USAGE, o->pos, "dict(%s) stands right of in: write \"key\" in dict(%s)", o->v->s, o->v->s);
	case MATH:
		return bad(x, o->pos, "a sum alone is no condition: write a comparison: args.a + 1 > 2");
	default:
		return bad(x, o->pos, "this value alone is no condition: write a comparison: args.lr > 0.1");
	}
}

/* ---- documents ---- */

static struct str
text_of(const struct json *v)
{
	return (struct str){v->s, v->len};
}

/* {key: v} */
static struct json *
pair(struct expr *x, struct str key, struct json *v)
{
	struct json *obj = json_mkobj(x->d);

	json_set(x->d, obj, key, v);
	return obj;
}

static struct json *
two(struct expr *x, struct json *a, struct json *b)
{
	struct json *arr = json_mkarr(x->d);

	json_push(arr, a);
	json_push(arr, b);
	return arr;
}

/* An operand as a condition: its document. */
static struct json *
condition(struct expr *x, const struct operand *o)
{
	const struct json *v = o->v;
	bool integer = v->type == JSON_NUM && !v->s[strcspn(v->s, ".eE")];

	if (o->kind == COND || (o->kind == VALUE && v->type == JSON_OBJ && !v->tag))
		return o->v;
	if (o->kind == VALUE && (v->type == JSON_BOOL || integer))
		return pair(x, str_of("$expr"), json_mkbool(x->d, integer ? json_num(v) < 0 || json_num(v) > 0 : v->is));
	refuse_alone(x, o);
	return NULL;
}

/* Adds a path that is not there yet. */
static void
add_field(struct expr *x, struct json *fields, const struct json *path)
{
	for (const struct json *f = fields->head; f; f = f->next)
		if (str_eq(text_of(f), text_of(path)))
			return;
	json_push(fields, json_mkstr(x->d, text_of(path)));
}

/* Makes an operand part of an $expr: MATH. */
static int
to_math(struct expr *x, struct operand *o, bool inner)
{
	struct buf b = {0};

	if (o->kind == MATH)
		return 0;
	if (o->kind != VALUE && o->kind != FIELD)
		return o->kind == COND ? bad(x, o->pos, "a condition cannot be compared or counted with: it stands alone") :
		    refuse_alone(x, o);
	if (inner && o->kind == VALUE && (o->v->type == JSON_OBJ || o->v->type == JSON_ARR))
		return bad(x, o->pos, o->v->tag ? "date() cannot be counted with: compare it with a field" :
		    "lists and dicts cannot be counted with");
	if (o->kind == VALUE && o->v->type == JSON_STR && o->v->len && o->v->s[0] == '$')
		return bad(x, o->pos, "a text that begins with $ would be taken for a field here");
	o->fields = json_mkarr(x->d);
	if (o->kind == FIELD) {
		add_field(x, o->fields, o->v);
		buf_printf(&b, "$%s", o->v->s);
		o->v = json_mkstr(x->d, (struct str){b.p, b.len});
		buf_free(&b);
	}
	o->kind = MATH;
	return 0;
}

/* out becomes {op: [out, r]} */
static int
calculate(struct expr *x, struct operand *out, const char *op, struct operand *r, bool inner)
{
	if (to_math(x, out, inner) < 0 || to_math(x, r, inner) < 0)
		return -1;
	out->depth = (out->depth > r->depth ? out->depth : r->depth) + 1;
	if (out->depth > DEPTH)
		return bad(x, r->pos, "too many operators in one sum");
	for (const struct json *f = r->fields->head; f; f = f->next)
		add_field(x, out->fields, f);
	out->v = pair(x, str_of(op), two(x, out->v, r->v));
	return 0;
}

/* Whether some other path of fields leads on from f, so that its guard holds for f too. */
static bool
covered(const struct json *fields, const struct json *f)
{
	for (const struct json *g = fields->head; g; g = g->next)
		if (g->len > f->len && g->s[f->len] == '.' && !memcmp(g->s, f->s, f->len))
			return true;
	return false;
}

/* The condition that an $expr of o->v is, with its guards. */
static void
guard(struct expr *x, struct operand *o)
{
	struct json *list = json_mkarr(x->d), *doc = pair(x, str_of("$expr"), o->v);

	for (const struct json *f = o->fields->head; f; f = f->next)
		if (!covered(o->fields, f))
			json_push(list, pair(x, text_of(f), pair(x, str_of("$exists"), json_mkbool(x->d, true))));
	o->kind = COND;
	o->v = doc;
	if (!list->len)
		return;
	json_push(list, doc);
	o->v = pair(x, str_of("$and"), list);
}

/* ---- fields and calls ---- */

static const char *const top_fields[] = {"args", "cmd", "created_at", "heartbeat_timeout", "last_heartbeat", "last_modified",
    "max_retries", "metadata", "priority", "queue_id", "retries", "start_time", "status", "summary", "task_id", "task_name",
    "task_timeout", "worker_id", "worker_name"};

static bool
known(struct str field)
{
	for (size_t i = 0; i < LEN(top_fields); i++)
		if (str_is(field, top_fields[i]))
			return true;
	return false;
}

static int
unknown_field(struct expr *x, size_t pos, struct str s)
{
	const char *best = NULL;
	int least = s.n < 5 ? 2 : (int)(s.n * 2 / 5) + 1;

	for (size_t i = 0; i < LEN(top_fields); i++) {
		int d = opt_distance(str_of(top_fields[i]), s);

		if (d < least) {
			least = d;
			best = top_fields[i];
		}
	}
	if (foreign_word(s))
		return bad(x, pos, foreign_word(s));
	if (s.n > 60)
		return bad(x, pos, "this field is unknown: arguments are written args.name");
	if (best)
		return err_at(x->e, EXIT_USAGE, pos, "'%.*s' is no field: did you mean %s?", (int)s.n, s.p, best);
	return err_at(x->e, EXIT_USAGE, pos, "'%.*s' is no field: did you mean args.%.*s? A text needs quotes", (int)s.n, s.p,
	    (int)s.n, s.p);
}

/* A path must have no empty part, and begin with a field that there is. */
static int
check_path(struct expr *x, size_t pos, struct str path)
{
	size_t part = 0, top = path.n;

	for (size_t i = 0; i <= path.n; i++) {
		if (i < path.n && path.p[i] && path.p[i] != '.')
			continue;
		if (i == part || (i < path.n && !path.p[i]))
			return bad(x, pos, "this names no field: a part of it is empty");
		if (top == path.n)
			top = i;
		part = i + 1;
	}
	return known((struct str){path.p, top}) ? 0 : unknown_field(x, pos, (struct str){path.p, top});
}

/* o, a field or a text that names one, as a field. */
static int
to_field(struct expr *x, struct operand *o, const char *form)
{
	if (o->kind == FIELD)
		return 0;
	if (o->kind != VALUE || o->v->type != JSON_STR)
		return bad(x, o->pos, form);
	o->kind = FIELD;
	return check_path(x, o->pos, text_of(o->v));
}

static void
append_part(struct expr *x, struct operand *o, struct str part)
{
	struct buf b = {0};

	buf_add(&b, o->v->s, o->v->len);
	buf_addc(&b, '.');
	buf_add(&b, part.p, part.n);
	o->v = json_mkstr(x->d, (struct str){b.p, b.len});
	buf_free(&b);
}

/* Behind a dot. */
static int
attribute(struct expr *x, struct operand *o)
{
	struct str n = ident(x);
	size_t digits = 0;

	while (x->at + digits < x->s.n && x->s.p[x->at + digits] >= '0' && x->s.p[x->at + digits] <= '9')
		digits++;
	if (!n.n && digits && digits < 60)
		return err_at(x->e, EXIT_USAGE, x->at, "after a dot only a name can stand: write %s[\"%.*s\"]", o->v->s,
		    (int)digits, x->s.p + x->at);
	if (!n.n)
		return unexpected(x, "a name after the dot");
	if (keyword(n))
		return err_at(x->e, EXIT_USAGE, x->at, "'%.*s' is a word of Python's: write %s[\"%.*s\"]", (int)n.n, n.p,
		    o->v->s, (int)n.n, n.p);
	append_part(x, o, n);
	x->at += n.n;
	return 0;
}

static int
close_with(struct expr *x, const char *bracket, size_t open)
{
	if (take(x, bracket))
		return 0;
	if (x->at == x->s.n)
		return err_at(x->e, EXIT_USAGE, open, "this %c is not closed", x->s.p[open]);
	return unexpected(x, !strcmp(bracket, "]") ? "a comma or ]" : !strcmp(bracket, "}") ? "a comma or }" :
	    "and, or, a comparison or )");
}

/* Behind a [. */
static int
subscript(struct expr *x, struct operand *o)
{
	static const char slice[] = "a slice is not understood: write one place: [0]";
	size_t open = x->at - 1;
	struct operand i;

	skip(x);
	if (peek(x, 0) == ':')
		return bad(x, x->at, slice);
	if (any(x, &i) < 0)
		return -1;
	if (take(x, ":"))
		return bad(x, x->at - 1, slice);
	if (i.kind == FIELD)
		return err_at(x->e, EXIT_USAGE, i.pos, "a field cannot stand in [..]: write [\"%s\"] for the key of that name",
		    i.v->s);
	if (i.kind == VALUE && i.v->type == JSON_NUM && i.v->s[0] == '-')
		return bad(x, i.pos, "places are counted from the front: 0, 1, 2");
	if (i.kind != VALUE || (i.v->type != JSON_STR && (i.v->type != JSON_NUM || i.v->s[strspn(i.v->s, "0123456789")])))
		return bad(x, i.pos, "in [..] a text or a whole number must stand: [\"key\"], [0]");
	append_part(x, o, text_of(i.v));
	if (check_path(x, i.pos, text_of(o->v)) < 0)
		return -1;
	return close_with(x, "]", open);
}

enum { ARGS_MAX = 2 };
struct given {
	size_t pos;
	struct operand arg[ARGS_MAX];
	int n;
};

static int
call_exists(struct expr *x, struct given *c, struct operand *out)
{
	static const char form[] = "exists() takes a field, and True or False: exists(args.lr), exists(args.lr, False)";

	if (!c->n)
		return bad(x, c->pos, form);
	if (to_field(x, &c->arg[0], form) < 0)
		return -1;
	if (c->n > 1 && c->arg[1].kind != VALUE)
		return bad(x, c->arg[1].pos, form);
	out->kind = COND;
	out->v = pair(x, text_of(c->arg[0].v), pair(x, str_of("$exists"), c->n > 1 ? c->arg[1].v : json_mkbool(x->d, true)));
	return 0;
}

static int
call_regex(struct expr *x, struct given *c, struct operand *out)
{
	static const char form[] = "regex() takes a field and a pattern: regex(args.model, \"^res\"); (?i) at its front ignores case";

	if (c->n != 2)
		return bad(x, c->pos, form);
	if (to_field(x, &c->arg[0], form) < 0)
		return -1;
	if (c->arg[1].kind != VALUE || c->arg[1].v->type != JSON_STR)
		return bad(x, c->arg[1].pos, form);
	out->kind = COND;
	out->v = pair(x, text_of(c->arg[0].v), pair(x, str_of("$regex"), c->arg[1].v));
	return 0;
}

/* UTC with +00:00 and without what is zero, which every reader of ISO 8601 knows. */
static void
iso(char out[40], int64_t wall)
{
	char *end;

	date_iso(out, wall);
	end = strchr(out, 0) - 1;
	if (!strcmp(end - 7, ".000000Z"))
		end -= 7;
	strcpy(end, "+00:00");
}

/* {"_dt": ..}, marked so that no one counts with it. */
static int
call_date(struct expr *x, struct given *c, struct operand *out)
{
	static const char form[] = "date() takes one text: date(\"2026-11-23 10:30\"), date(\"3 hours ago\"), date(\"yesterday\")";
	const struct json *v = c->arg[0].v;
	char text[40];
	int64_t wall;

	if (c->n != 1 || c->arg[0].kind != VALUE || v->type != JSON_STR)
		return bad(x, c->n ? c->arg[0].pos : c->pos, form);
	if (when_parse(text_of(v), x->now, &wall) < 0)
		return bad(x, c->arg[0].pos,
		    "this is no time: \"2026-11-23 10:30\", \"Jul 28 11:25\", \"3 hours ago\", \"yesterday\" are, with "
		    "UTC or +01:00 behind where it is not local time");
	iso(text, wall);
	out->kind = VALUE;
	out->v = pair(x, str_of("_dt"), json_mkstr(x->d, str_of(text)));
	out->v->tag = 1;
	return 0;
}

static int
wrap(struct expr *x, struct given *c, struct operand *out, enum kind kind, const char *form)
{
	if (c->n != 1 || c->arg[0].kind != FIELD)
		return bad(x, c->n ? c->arg[0].pos : c->pos, form);
	out->kind = kind;
	out->v = c->arg[0].v;
	return 0;
}

static int
call_list(struct expr *x, struct given *c, struct operand *out)
{
	return wrap(x, c, out, LIST, "list() takes a field: \"x\" in list(args.tags)");
}

static int
call_dict(struct expr *x, struct given *c, struct operand *out)
{
	return wrap(x, c, out, DICT, "dict() takes a field: \"key\" in dict(args.model)");
}

static const struct function {
	const char *name;
	int (*call)(struct expr *x, struct given *c, struct operand *out);
} functions[] = {{"date", call_date}, {"dict", call_dict}, {"exists", call_exists}, {"list", call_list}, {"regex", call_regex}};

/* Behind the ( of a call. */
static int
arguments(struct expr *x, struct given *c, size_t open)
{
	while (!take(x, ")")) {
		if (c->n && !take(x, ","))
			return close_with(x, ")", open);
		if (c->n && take(x, ")"))
			break;
		skip(x);
		if (c->n == ARGS_MAX)
			return bad(x, x->at, "one argument too many");
		if (any(x, &c->arg[c->n]) < 0)
			return -1;
		c->n++;
	}
	return 0;
}

static int
call(struct expr *x, struct str n, struct operand *out)
{
	struct given c = {.pos = out->pos};
	size_t open = x->at - 1;

	for (size_t i = 0; i < LEN(functions); i++)
		if (str_is(n, functions[i].name))
			return arguments(x, &c, open) < 0 ? -1 : functions[i].call(x, &c, out);
	return err_at(x->e, EXIT_USAGE, out->pos, "%.*s() is not understood: date, dict, exists, list and regex are",
	    n.n > 60 ? 60 : (int)n.n, n.p);
}

/* ---- operands ---- */

/* True, None, status, date(..). */
static int
word(struct expr *x, struct str n, struct operand *out)
{
	if (str_is(n, "None") || str_is(n, "null"))
		out->v = json_mknull(x->d);
	else if (str_is(n, "True") || str_is(n, "true") || str_is(n, "False") || str_is(n, "false"))
		out->v = json_mkbool(x->d, (n.p[0] | 0x20) == 't');
	else if (keyword(n))
		return unexpected(x, "a field or a value");
	x->at += n.n;
	if (out->v)
		return 0;
	if (peek(x, 0) == '"' || peek(x, 0) == '\'')
		return err_at(x->e, EXIT_USAGE, out->pos, "%.*s before a text is not understood: leave it out",
		    n.n > 60 ? 60 : (int)n.n, n.p);
	if (take(x, "("))
		return call(x, n, out);
	out->kind = FIELD;
	out->v = json_mkstr(x->d, n);
	return known(n) ? 0 : unknown_field(x, out->pos, n);
}

/* An element of a list or dict. */
static int
element(struct expr *x, struct operand *o)
{
	if (any(x, o) < 0)
		return -1;
	if (o->kind == FIELD)
		return err_at(x->e, EXIT_USAGE, o->pos, "a field cannot stand in a list or dict: write \"%s\" for the text",
		    o->v->s);
	return o->kind == VALUE ? 0 : bad(x, o->pos, "only values can stand in a list or dict");
}

/* Elements up to the bracket that closes; *comma: there was one. */
static int
sequence(struct expr *x, struct operand *out, const char *bracket, bool *comma)
{
	size_t open = x->at - 1;

	*comma = false;
	out->v = json_mkarr(x->d);
	while (!take(x, bracket)) {
		struct operand o;

		if (out->v->len && !*comma)
			return close_with(x, bracket, open);
		if (element(x, &o) < 0)
			return -1;
		json_push(out->v, o.v);
		*comma = take(x, ",");
	}
	return 0;
}

/* Behind a (: an operand of any kind, or a tuple. */
static int
parens(struct expr *x, struct operand *out)
{
	size_t open = x->at - 1;
	struct operand rest;
	struct json *first;
	bool comma;

	if (take(x, ")")) {
		out->v = json_mkarr(x->d);
		return 0;
	}
	if (any(x, out) < 0)
		return -1;
	if (!take(x, ","))
		return close_with(x, ")", open);
	if (out->kind != VALUE)
		return bad(x, x->at - 1, "a comma is not understood here: write and between conditions; a list holds only values");
	first = out->v;
	if (sequence(x, &rest, ")", &comma) < 0)
		return -1;
	out->v = json_mkarr(x->d);
	json_push(out->v, first);
	for (struct json *v = rest.v->head, *next; v; v = next) {
		next = v->next;
		json_push(out->v, v);
	}
	return 0;
}

/* Behind a {. */
static int
dict(struct expr *x, struct operand *out)
{
	size_t open = x->at - 1;
	bool comma = false;

	out->v = json_mkobj(x->d);
	while (!take(x, "}")) {
		struct operand key, o;

		if (out->v->len && !comma)
			return close_with(x, "}", open);
		if (element(x, &key) < 0)
			return -1;
		if (!take(x, ":"))
			return x->at == x->s.n ? err_at(x->e, EXIT_USAGE, open, "this { is not closed") :
			    bad(x, open, "sets are not understood: a dict is {\"key\": value}, a list is [..]");
		if (key.v->type != JSON_STR)
			return bad(x, key.pos, "the keys of a dict must be texts");
		if (element(x, &o) < 0)
			return -1;
		json_set(x->d, out->v, text_of(key.v), o.v);
		comma = take(x, ",");
	}
	return 0;
}

static int
scalar(struct expr *x, struct operand *out)
{
	struct err why = {0};
	size_t used;

	out->v = literal_scalar(x->d, (struct str){x->s.p + x->at, x->s.n - x->at}, &used, &why);
	if (!out->v)
		return bad(x, out->pos, why.msg);
	x->at += used;
	return 0;
}

static bool
text_begins(const struct expr *x)
{
	int c = peek(x, 0) | 0x20;
	size_t i = c == 'r' || c == 'u';

	return peek(x, i) == '"' || peek(x, i) == '\'';
}

static int
atom(struct expr *x, struct operand *out)
{
	struct str n = ident(x);
	bool comma;
	int c = peek(x, 0);

	*out = (struct operand){.kind = VALUE, .pos = x->at};
	if (text_begins(x) || (c >= '0' && c <= '9') || (c == '.' && peek(x, 1) >= '0' && peek(x, 1) <= '9'))
		return scalar(x, out);
	if (n.n)
		return word(x, n, out);
	if (take(x, "("))
		return parens(x, out);
	if (take(x, "["))
		return sequence(x, out, "]", &comma);
	return take(x, "{") ? dict(x, out) : unexpected(x, "a field or a value");
}

/* An atom and what follows it: .name, [..], (..). */
static int
primary(struct expr *x, struct operand *out)
{
	if (atom(x, out) < 0)
		return -1;
	for (;;) {
		int c;

		skip(x);
		c = peek(x, 0);
		if (c != '.' && c != '[' && c != '(')
			return 0;
		if (out->kind != FIELD)
			return bad(x, x->at, c == '(' ? "this cannot be called" : "only fields have parts");
		if (c == '(')
			return bad(x, x->at,
			    "fields have no methods; date, dict, exists, list and regex are understood: regex(args.model, \"^res\")");
		x->at++;
		if ((c == '.' ? attribute(x, out) : subscript(x, out)) < 0)
			return -1;
	}
}

static int
negate(struct expr *x, struct operand *o)
{
	struct operand minus = {.kind = VALUE, .pos = o->pos, .v = json_mkint(x->d, -1)};

	if (o->kind != VALUE) {
		if (calculate(x, &minus, "$multiply", o, true) < 0)
			return -1;
		*o = minus;
		return 0;
	}
	if (o->v->type != JSON_NUM)
		return bad(x, o->pos, "a minus can stand before numbers and fields only");
	if (o->v->s[0] == '-') {
		o->v = json_mknum(x->d, (struct str){o->v->s + 1, o->v->len - 1});
	} else {
		struct buf b = {0};

		buf_printf(&b, "-%s", o->v->s);
		o->v = json_mknum(x->d, (struct str){b.p, b.len});
		buf_free(&b);
	}
	return 0;
}

static int
unary(struct expr *x, struct operand *out)
{
	size_t pos;
	int rc;

	if (++x->depth > DEPTH)
		return bad(x, x->at, "too many brackets and signs within each other");
	skip(x);
	pos = x->at;
	if (!take(x, "-")) {
		rc = primary(x, out);
	} else {
		rc = unary(x, out) < 0 || negate(x, out) < 0 ? -1 : 0;
		out->pos = pos;
	}
	x->depth--;
	return rc;
}

/* The operator of table at the front, NULL when there is none.  One that begins a longer, foreign one is none. */
struct operator {
	const char *text, *name;
};
static const struct operator *
operator(struct expr *x, const struct operator *table, size_t n)
{
	skip(x);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(table[i].text);
		int next = peek(x, len);

		if (!stands(x, table[i].text))
			continue;
		if (len == 1 ? next > 0 && strchr("*/<>", next) && strchr("*/<>", *table[i].text) : next == '=')
			return NULL;
		x->at += len;
		return &table[i];
	}
	return NULL;
}

static int
product(struct expr *x, struct operand *out)
{
	static const struct operator ops[] = {{"*", "$multiply"}, {"/", "$divide"}, {"%", "$mod"}};
	const struct operator *op;
	struct operand r;

	if (unary(x, out) < 0)
		return -1;
	while ((op = operator(x, ops, LEN(ops))))
		if (unary(x, &r) < 0 || calculate(x, out, op->name, &r, true) < 0)
			return -1;
	return 0;
}

static int
sum(struct expr *x, struct operand *out)
{
	static const struct operator ops[] = {{"+", "$add"}, {"-", "$subtract"}};
	const struct operator *op;
	struct operand r;

	if (product(x, out) < 0)
		return -1;
	while ((op = operator(x, ops, LEN(ops))))
		if (product(x, &r) < 0 || calculate(x, out, op->name, &r, true) < 0)
			return -1;
	return 0;
}

/* ---- comparisons ---- */

static int
refuse_values(struct expr *x, const struct operand *l)
{
	struct str s = text_of(l->v), top = {s.p, 0};

	if (l->v->type == JSON_STR)
		while (top.n < s.n && s.p[top.n] != '.')
			top.n++;
	if (top.n && known(top) && s.n < 100)
		return err_at(x->e, EXIT_USAGE, l->pos, "a text is no field: write %s without quotes", s.p);
	return bad(x, l->pos, "two values are compared: a field must stand on one side: args.lr > 0.1");
}

/* l OP r, where flip names OP for r OP l. */
static int
compare(struct expr *x, const char *op, const char *flip, struct operand *l, struct operand *r)
{
	const struct operand *field = l->kind == FIELD ? l : r, *value = l->kind == FIELD ? r : l;
	struct operand out = *l;

	if (l->kind == VALUE && r->kind == VALUE)
		return refuse_values(x, l);
	if (field->kind == FIELD && value->kind == VALUE) {
		const char *under = field == l ? op : flip;

		l->v = pair(x, text_of(field->v), strcmp(under, "$eq") ? pair(x, str_of(under), value->v) : value->v);
		l->kind = COND;
		return 0;
	}
	if (calculate(x, &out, op, r, false) < 0)
		return -1;
	guard(x, &out);
	*l = out;
	return 0;
}

/* The key of "k" in dict(f): f.k exists. */
static int
has_key(struct expr *x, struct operand *l, const struct operand *r)
{
	struct operand path = *r;

	if (l->kind != VALUE || l->v->type != JSON_STR)
		return bad(x, l->pos, "left of in dict(..) a text must stand: \"key\" in dict(args.model)");
	append_part(x, &path, text_of(l->v));
	if (check_path(x, l->pos, text_of(path.v)) < 0)
		return -1;
	l->v = pair(x, text_of(path.v), pair(x, str_of("$exists"), json_mkbool(x->d, true)));
	l->kind = COND;
	return 0;
}

static int
contains(struct expr *x, struct operand *l, const struct operand *r)
{
	if (r->kind == DICT)
		return has_key(x, l, r);
	if (r->kind == LIST) {
		if (l->kind != VALUE)
			return bad(x, l->pos, "left of in list(..) a value must stand: \"x\" in list(args.tags)");
		l->v = pair(x, text_of(r->v), l->v);
	} else if (r->kind == FIELD) {
		return err_at(x->e, EXIT_USAGE, r->pos, "what is %s? Write in list(%s) for an element, in dict(%s) for a key",
		    r->v->s, r->v->s, r->v->s);
	} else if (l->kind != FIELD) {
		return bad(x, l->pos, "left of in [..] a field must stand: args.lr in [0.1, 0.01]");
	} else if (r->kind != VALUE || r->v->type != JSON_ARR) {
		return bad(x, r->pos, "right of in a list must stand: args.lr in [0.1, 0.01]");
	} else {
		l->v = pair(x, text_of(l->v), pair(x, str_of("$in"), r->v));
	}
	l->kind = COND;
	return 0;
}

static const struct relation {
	const char *text, *name, *flip;
} relations[] = {
	{"==", "$eq", "$eq"}, {"!=", "$ne", NULL}, {">=", "$gte", "$lte"}, {"<=", "$lte", "$gte"}, {">", "$gt", "$lt"},
	{"<", "$lt", "$gt"},
};
static const struct relation is_in = {"in", "$in", NULL}, not_in = {"not in", "$nin", NULL};

/* The comparison at the front, NULL when there is none. */
static const struct relation *
relation(struct expr *x)
{
	static const struct operator ops[] = {{"==", ""}, {"!=", ""}, {">=", ""}, {"<=", ""}, {">", ""}, {"<", ""}};
	const struct operator *op = operator(x, ops, LEN(ops));
	size_t from = x->at;

	if (op)
		return &relations[op - ops];
	if (take_word(x, "in"))
		return &is_in;
	if (take_word(x, "not") && take_word(x, "in"))
		return &not_in;
	x->at = from;
	return NULL;
}

static int
comparison(struct expr *x, struct operand *out)
{
	const struct relation *rel;
	struct operand r;
	size_t pos;

	if (sum(x, out) < 0)
		return -1;
	skip(x);
	pos = x->at;
	rel = relation(x);
	if (!rel)
		return 0;
	if (sum(x, &r) < 0)
		return -1;
	if (rel->name[1] == 'n')
		return refuse_negation(x, pos, rel->text, rel->name, out, &r);
	skip(x);
	pos = x->at;
	if (relation(x))
		return bad(x, pos, "a chain of comparisons is not understood: write a < b and b < c");
	return rel == &is_in ? contains(x, out, &r) : compare(x, rel->name, rel->flip, out, &r);
}

/* ---- and, or ---- */

static int
negation(struct expr *x, struct operand *out)
{
	struct str n = ident(x);

	if (str_is(n, "not"))
		return bad(x, x->at,
		    "not is not understood, because it would match tasks without the field too; if that is meant, write "
		    "exists(field, False), or the MongoDB form with $ne, $nin or $nor");
	return comparison(x, out);
}

/* Operands of next with a word between them are one list under op. */
static int
chain(struct expr *x, struct operand *out, const char *between, const char *op, int (*next)(struct expr *, struct operand *))
{
	struct json *list = NULL, *doc;
	struct operand r;

	if (next(x, out) < 0)
		return -1;
	while (take_word(x, between)) {
		if (!list) {
			list = json_mkarr(x->d);
			doc = condition(x, out);
			if (!doc)
				return -1;
			json_push(list, doc);
		}
		if (next(x, &r) < 0)
			return -1;
		doc = condition(x, &r);
		if (!doc)
			return -1;
		json_push(list, doc);
	}
	if (list) {
		out->kind = COND;
		out->v = pair(x, str_of(op), list);
	}
	return 0;
}

static int
all_of(struct expr *x, struct operand *out)
{
	return chain(x, out, "and", "$and", negation);
}

static int
any(struct expr *x, struct operand *out)
{
	return chain(x, out, "or", "$or", all_of);
}

static struct json *
whole(struct expr *x)
{
	struct operand o;

	if (!utf8_valid(x->s.p, x->s.n)) {
		bad(x, 0, "the filter is not UTF-8");
		return NULL;
	}
	skip(x);
	if (x->at == x->s.n) {
		bad(x, x->at, "the filter is empty: write a condition: args.lr > 0.1");
		return NULL;
	}
	if (any(x, &o) < 0)
		return NULL;
	skip(x);
	if (x->at == x->s.n)
		return condition(x, &o);
	unexpected(x, o.kind == COND ? "and, or or the end" : "a comparison");
	return NULL;
}

struct json *
expr_parse(struct json_doc *d, struct str text, const struct when *now, struct err *e)
{
	struct expr x = {.d = d, .s = text, .now = now, .e = e};
	struct json *v = literal_parse(d, text);

	if (v && v->type == JSON_OBJ)
		return v;
	v = whole(&x);
	if (!v)
		err_locate(e, text.p, text.n);
	return v;
}
