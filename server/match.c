/* SPDX-License-Identifier: MIT */
/*
 * MongoDB query documents over JSON values.  A filter is compiled to a tree of conditions; a condition on a path walks there and
 * looks at each value that it finds, until one fits.
 *
 * A path walks into objects, and through an array into each object in it; a part that is a number also takes that place of the
 * array.  What is not there is looked at as null would be, but through an array only where an object lacks the field.  At the end
 * an array stands for each of its elements and for itself, or for itself alone where a place led to it.  Comparisons hold between
 * values of one kind only.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	NODES = 20000,            /* conditions in a filter: what one of its tests may cost */
	PARTS = 200,              /* of a path, as in MongoDB */
	FORKS = 8,                /* how often on one way a number in a path is taken both as a place and as a name */
	DAY = 86400,
	SECOND = 1000000
};

enum op { OP_AND, OP_OR, OP_EQ, OP_GT, OP_GTE, OP_LT, OP_LTE, OP_IN, OP_EXISTS, OP_TYPE, OP_MOD, OP_SIZE, OP_ELEM, OP_EACH };

struct match_path {
	struct match_path *next;
	size_t n;
	struct str part[];        /* into the text that it was made of */
};

struct node {
	enum op op;
	bool not;
	const struct match_path *path;   /* of no parts: the value itself, without a look into arrays */
	const struct json *value;        /* OP_EQ and comparisons */
	const struct json **list;        /* OP_IN: sorted */
	size_t n;
	int64_t num, rem;                /* OP_SIZE: the length; OP_MOD: the divisor and what is left; OP_TYPE: a set of kinds */
	struct node *child, *last, *next;
	struct node *all;                /* the one made before */
};

struct match {
	struct node *root, *all;
	struct match_path *paths;
	struct json_doc *doc;     /* operands with times in them; or NULL */
	size_t nodes;
};

struct compiler {
	struct match *m;
	struct err *e;
};

/* ---- order ---- */

/* Kinds in MongoDB's order. */
enum kind { K_UNDEFINED, K_NULL, K_NUM, K_STR, K_OBJ, K_ARR, K_BOOL, K_DATE };
enum { TAG_UNDEFINED = 255 };
static const struct json undefined = {.type = JSON_NULL, .tag = TAG_UNDEFINED};   /* the sort key of an empty array */

static enum kind
kind_of(const struct json *v)
{
	static const enum kind kinds[] = {
		[JSON_NULL] = K_NULL, [JSON_BOOL] = K_BOOL, [JSON_NUM] = K_NUM, [JSON_STR] = K_STR, [JSON_ARR] = K_ARR,
		[JSON_OBJ] = K_OBJ,
	};

	if (!v)
		return K_NULL;
	if (v->tag == TAG_UNDEFINED)
		return K_UNDEFINED;
	return v->type == JSON_STR && v->tag == TOML_DATETIME ? K_DATE : kinds[v->type];
}

static int
compare_real(double a, double b)
{
	return (a > b) - (a < b);
}

/* Exactly, also where i has no double. */
static int
compare_mixed(int64_t i, double d)
{
	int64_t whole;

	if (d >= 9223372036854775808.0)
		return -1;
	if (d < -9223372036854775808.0)
		return 1;
	whole = (int64_t)d;
	return i != whole ? (i > whole) - (i < whole) : compare_real(0, d - (double)whole);
}

static int
compare_num(const struct json *a, const struct json *b)
{
	int64_t x, y;
	bool xi = !json_int(a, &x), yi = !json_int(b, &y);

	if (xi && yi)
		return (x > y) - (x < y);
	if (xi)
		return compare_mixed(x, json_num(b));
	if (yi)
		return -compare_mixed(y, json_num(a));
	return compare_real(json_num(a), json_num(b));
}

static int
compare_text(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Member by member: kind, name, value; then the shorter one comes first. */
static int
compare_members(const struct json *a, const struct json *b)
{
	const struct json *x = a->head, *y = b->head;
	int c = 0;

	for (; x && y && !c; x = x->next, y = y->next) {
		if (a->type == JSON_OBJ) {
			c = (int)kind_of(x) - (int)kind_of(y);
			c = c ? c : compare_text(x->key, y->key);
		}
		c = c ? c : match_compare(x, y);
	}
	return c ? c : (x != NULL) - (y != NULL);
}

/* The text of times is as wide for each of them, so they are compared as strings are. */
int
match_compare(const struct json *a, const struct json *b)
{
	enum kind x = kind_of(a), y = kind_of(b);

	if (x != y)
		return x < y ? -1 : 1;
	switch (x) {
	case K_NUM:
		return compare_num(a, b);
	case K_STR:
	case K_DATE:
		return compare_text((struct str){a->s, a->len}, (struct str){b->s, b->len});
	case K_OBJ:
	case K_ARR:
		return compare_members(a, b);
	case K_BOOL:
		return a->is - b->is;
	default:
		return 0;
	}
}

static int
compare_items(const void *a, const void *b)
{
	const struct json *const *x = a, *const *y = b;

	return match_compare(*x, *y);
}

/* ---- compiling ---- */

static int
refuse(struct compiler *c, struct str op, const char *why)
{
	return err_set(c->e, 400, "filter: %.*s: %s", (int)(op.n < 60 ? op.n : 60), op.p, why);
}

static bool
is_nest(const struct json *v)
{
	return v->type == JSON_OBJ || v->type == JSON_ARR;
}

static bool
is_operator(const struct json *member)
{
	return member->key.n && member->key.p[0] == '$';
}

/* An object whose first key says that it holds operators. */
static bool
has_operators(const struct json *v)
{
	return v->type == JSON_OBJ && v->head && is_operator(v->head);
}

static struct node *
add_node(struct compiler *c, struct node *to, enum op op, const struct match_path *path)
{
	struct node *t;

	if (++c->m->nodes > NODES) {
		err_set(c->e, 400, "filter: more than %d conditions", NODES);
		return NULL;
	}
	t = xcalloc(1, sizeof *t);
	t->op = op;
	t->path = path;
	t->all = c->m->all;
	c->m->all = t;
	if (to) {
		*(to->last ? &to->last->next : &to->child) = t;
		to->last = t;
	}
	return t;
}

struct match_path *
match_path_new(struct str text)
{
	struct match_path *p;
	size_t n = 1, from = 0;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '.';
	if (n > PARTS)
		return NULL;
	p = xmalloc(sizeof *p + n * sizeof p->part[0]);
	*p = (struct match_path){.n = 0};
	for (size_t i = 0; i <= text.n; i++) {
		if (i < text.n && text.p[i] != '.')
			continue;
		p->part[p->n++] = (struct str){text.p + from, i - from};
		from = i + 1;
	}
	return p;
}

void
match_path_free(struct match_path *p)
{
	free(p);
}

static const struct match_path *
add_path(struct compiler *c, struct str text)
{
	struct match_path *p = match_path_new(text);

	if (!p) {
		refuse(c, text, "a field of too many parts");
		return NULL;
	}
	p->next = c->m->paths;
	c->m->paths = p;
	return p;
}

/* {"_dt": "2026-11-23T23:20:49Z"}. */
static bool
is_time(const struct json *v, int64_t *wall, bool *zoned)
{
	return v->type == JSON_OBJ && v->len == 1 && str_is(v->head->key, "_dt") && v->head->type == JSON_STR
		&& !date_parse((struct str){v->head->s, v->head->len}, wall, zoned);
}

static bool
has_time(const struct json *v)
{
	int64_t wall;
	bool zoned;

	if (!is_nest(v))
		return false;
	if (is_time(v, &wall, &zoned))
		return true;
	for (const struct json *m = v->head; m; m = m->next)
		if (has_time(m))
			return true;
	return false;
}

/* A time that says no zone is this machine's.  Where the system cannot tell, it is UTC. */
static int64_t
from_local(int64_t wall)
{
	int64_t seconds = wall / SECOND - (wall % SECOND < 0), days = seconds / DAY - (seconds % DAY < 0), year;
	int month, day, rest = (int)(seconds - days * DAY);
	struct tm tm = {.tm_isdst = -1, .tm_wday = -1};
	time_t t;

	date_civil(days, &year, &month, &day);
	tm.tm_year = (int)year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	tm.tm_hour = rest / 3600;
	tm.tm_min = rest / 60 % 60;
	tm.tm_sec = rest % 60;
	t = mktime(&tm);
	return tm.tm_wday < 0 ? wall : (int64_t)t * SECOND + (wall - seconds * SECOND);
}

/* Kept to years of four digits, which all times of tasks have. */
static struct json *
time_value(struct json_doc *d, int64_t wall, bool zoned)
{
	int64_t min = date_days(0, 1, 1) * DAY * SECOND, max = date_days(10000, 1, 1) * DAY * SECOND - 1;
	char text[32];
	struct json *v;

	if (!zoned)
		wall = from_local(wall);
	date_iso(text, wall < min ? min : wall > max ? max : wall);
	v = json_mkstr(d, str_of(text));
	v->tag = TOML_DATETIME;
	return v;
}

static struct json *
with_times(struct json_doc *d, const struct json *v)
{
	struct json *to;
	int64_t wall;
	bool zoned;

	if (is_time(v, &wall, &zoned))
		return time_value(d, wall, zoned);
	if (!is_nest(v))
		return json_copy(d, v);
	to = v->type == JSON_OBJ ? json_mkobj(d) : json_mkarr(d);
	for (const struct json *m = v->head; m; m = m->next) {
		if (v->type == JSON_OBJ)
			json_set(d, to, m->key, with_times(d, m));
		else
			json_push(to, with_times(d, m));
	}
	return to;
}

static const struct json *
operand(struct compiler *c, const struct json *v)
{
	if (!has_time(v))
		return v;
	if (!c->m->doc)
		c->m->doc = json_new();
	return with_times(c->m->doc, v);
}

static int compile_document(struct compiler *c, struct node *to, const struct json *doc);
static int compile_operators(struct compiler *c, struct node *to, const struct match_path *path, const struct json *doc);

struct oper {
	const char *name;
	int (*compile)(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o,
	    const struct json *v);
	enum op op;
	bool not;
};

static int
op_value(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	struct node *t = add_node(c, to, o->op, path);

	if (!t)
		return -1;
	if (has_operators(v))
		return refuse(c, v->head->key, "no operator can stand here");
	t->not = o->not;
	t->value = operand(c, v);
	return 0;
}

static int
op_in(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	struct node *t = add_node(c, to, o->op, path);

	if (!t)
		return -1;
	if (v->type != JSON_ARR)
		return refuse(c, v->key, "needs a list");
	t->not = o->not;
	t->list = xcalloc(v->len, sizeof *t->list);
	for (const struct json *m = v->head; m; m = m->next) {
		if (has_operators(m))
			return refuse(c, m->head->key, "no operator can stand in the list of $in");
		t->list[t->n++] = operand(c, m);
	}
	qsort(t->list, t->n, sizeof *t->list, compare_items);
	return 0;
}

static bool
truth(const struct json *v)
{
	return v->type == JSON_BOOL ? v->is : v->type == JSON_NUM ? json_num(v) != 0 : v->type != JSON_NULL;
}

static int
op_exists(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	struct node *t = add_node(c, to, o->op, path);

	if (!t)
		return -1;
	t->not = !truth(v);
	return 0;
}

/* A number that is whole, or is cut to one; -1 for others. */
static int
whole(const struct json *v, bool cut, int64_t *out)
{
	double d;

	if (v->type != JSON_NUM)
		return -1;
	if (!json_int(v, out))
		return 0;
	d = json_num(v);
	if (d >= 9223372036854775808.0 || d < -9223372036854775808.0 || (!cut && (double)(int64_t)d != d))
		return -1;
	*out = (int64_t)d;
	return 0;
}

static int
op_size(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	struct node *t = add_node(c, to, o->op, path);

	if (!t)
		return -1;
	return whole(v, false, &t->num) < 0 || t->num < 0 ? refuse(c, v->key, "needs a whole number from 0 on") : 0;
}

static int
op_mod(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	struct node *t = add_node(c, to, o->op, path);

	if (!t)
		return -1;
	if (v->type != JSON_ARR || v->len != 2 || whole(v->head, true, &t->num) || whole(v->tail, true, &t->rem) || !t->num)
		return refuse(c, v->key, "needs a list of two numbers, the divisor not 0");
	return 0;
}

/* Bits of OP_TYPE; of those without one there are no values here. */
enum { T_DOUBLE = 1, T_STRING = 2, T_OBJECT = 4, T_ARRAY = 8, T_BOOL = 16, T_DATE = 32, T_NULL = 64, T_INT = 128, T_LONG = 256 };
static const struct {
	const char *name;
	int number, bits;
} types[] = {
	{"double", 1, T_DOUBLE}, {"string", 2, T_STRING}, {"object", 3, T_OBJECT}, {"array", 4, T_ARRAY}, {"binData", 5, 0},
	{"undefined", 6, 0}, {"objectId", 7, 0}, {"bool", 8, T_BOOL}, {"date", 9, T_DATE}, {"null", 10, T_NULL}, {"regex", 11, 0},
	{"dbPointer", 12, 0}, {"javascript", 13, 0}, {"symbol", 14, 0}, {"javascriptWithScope", 15, 0}, {"int", 16, T_INT},
	{"timestamp", 17, 0}, {"long", 18, T_LONG}, {"decimal", 19, 0}, {"minKey", -1, 0}, {"maxKey", 127, 0},
	{"number", 0, T_DOUBLE | T_INT | T_LONG},
};

static int
type_bits(const struct json *v, int64_t *bits)
{
	int64_t number = 0;

	if (v->type != JSON_STR && (whole(v, false, &number) < 0 || !number))
		return -1;
	for (size_t i = 0; i < LEN(types); i++) {
		if (v->type == JSON_STR ? str_is((struct str){v->s, v->len}, types[i].name) : types[i].number == number) {
			*bits |= types[i].bits;
			return 0;
		}
	}
	return -1;
}

static int
op_type(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	struct node *t = add_node(c, to, o->op, path);

	if (!t)
		return -1;
	if (v->type != JSON_ARR)
		return type_bits(v, &t->num) < 0 ? refuse(c, v->key, "no such type") : 0;
	if (!v->len)
		return refuse(c, v->key, "needs a type at least");
	for (const struct json *m = v->head; m; m = m->next)
		if (type_bits(m, &t->num) < 0)
			return refuse(c, v->key, "no such type");
	return 0;
}

/* Conditions on fields of the elements, or operators on the elements themselves. */
static int
op_elem(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	static const struct match_path itself;
	struct node *t = add_node(c, to, o->op, path);

	if (!t)
		return -1;
	if (v->type != JSON_OBJ)
		return refuse(c, v->key, "needs an object");
	if (!has_operators(v) || str_is(v->head->key, "$and") || str_is(v->head->key, "$or") || str_is(v->head->key, "$nor"))
		return compile_document(c, t, v);
	t->op = OP_EACH;
	return compile_operators(c, t, &itself, v);
}

static bool
is_elem(const struct json *v)
{
	return has_operators(v) && v->len == 1 && str_is(v->head->key, "$elemMatch");
}

static int
op_all(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	static const struct oper equal = {.op = OP_EQ};
	struct node *t = add_node(c, to, v->len ? o->op : OP_OR, path);   /* of nothing: never */
	bool elem;

	if (!t)
		return -1;
	if (v->type != JSON_ARR)
		return refuse(c, v->key, "needs a list");
	elem = v->head && is_elem(v->head);
	for (const struct json *m = v->head; m; m = m->next) {
		if (elem ? !is_elem(m) : has_operators(m))
			return refuse(c, v->key, "its list holds values, or $elemMatch throughout");
		if ((elem ? compile_operators(c, t, path, m) : op_value(c, t, path, &equal, m)) < 0)
			return -1;
	}
	return 0;
}

static int
op_not(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	struct node *t = add_node(c, to, o->op, path);

	if (!t)
		return -1;
	t->not = true;
	return has_operators(v) ? compile_operators(c, t, path, v) : refuse(c, v->key, "needs an object of operators");
}

/* What stands beside fields, not under one: its list holds documents. */
static int
op_logic(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	struct node *t = add_node(c, to, o->op, path);

	if (!t)
		return -1;
	t->not = o->not;
	if (v->type != JSON_ARR || !v->len)
		return refuse(c, v->key, "needs a list with something in it");
	for (const struct json *m = v->head; m; m = m->next) {
		struct node *one = add_node(c, t, OP_AND, NULL);

		if (m->type != JSON_OBJ)
			return refuse(c, v->key, "its list holds objects");
		if (!one || compile_document(c, one, m) < 0)
			return -1;
	}
	return 0;
}

static const struct oper on_field[] = {
	{"$eq", op_value, OP_EQ, false}, {"$ne", op_value, OP_EQ, true}, {"$gt", op_value, OP_GT, false},
	{"$gte", op_value, OP_GTE, false}, {"$lt", op_value, OP_LT, false}, {"$lte", op_value, OP_LTE, false},
	{"$in", op_in, OP_IN, false}, {"$nin", op_in, OP_IN, true}, {"$exists", op_exists, OP_EXISTS, false},
	{"$type", op_type, OP_TYPE, false}, {"$size", op_size, OP_SIZE, false}, {"$mod", op_mod, OP_MOD, false},
	{"$all", op_all, OP_AND, false}, {"$elemMatch", op_elem, OP_ELEM, false}, {"$not", op_not, OP_AND, false},
};
static const struct oper beside_fields[] = {
	{"$and", op_logic, OP_AND, false}, {"$or", op_logic, OP_OR, false}, {"$nor", op_logic, OP_OR, true},
};

static const struct oper *
find_oper(const struct oper *o, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(name, o[i].name))
			return &o[i];
	return NULL;
}

static const char unknown[] = "an operator that is not known here";

static int
compile_operators(struct compiler *c, struct node *to, const struct match_path *path, const struct json *doc)
{
	for (const struct json *m = doc->head; m; m = m->next) {
		const struct oper *o = find_oper(on_field, LEN(on_field), m->key);

		if (!o)
			return refuse(c, m->key, is_operator(m) ? unknown : "a field among operators");
		if (o->compile(c, to, path, o, m) < 0)
			return -1;
	}
	return 0;
}

static int
compile_document(struct compiler *c, struct node *to, const struct json *doc)
{
	for (const struct json *m = doc->head; m; m = m->next) {
		const struct oper *o = is_operator(m) ? find_oper(beside_fields, LEN(beside_fields), m->key) : &on_field[0];
		const struct match_path *path = NULL;

		if (!o)
			return refuse(c, m->key, unknown);
		if (!is_operator(m) && !(path = add_path(c, m->key)))
			return -1;
		if ((path && has_operators(m) ? compile_operators(c, to, path, m) : o->compile(c, to, path, o, m)) < 0)
			return -1;
	}
	return 0;
}

struct match *
match_new(const struct json *filter, struct err *e)
{
	struct match *m = xcalloc(1, sizeof *m);
	struct compiler c = {m, e};

	m->root = add_node(&c, NULL, OP_AND, NULL);
	if (filter->type != JSON_OBJ)
		err_set(e, 400, "filter: must be an object");
	else if (!compile_document(&c, m->root, filter))
		return m;
	match_free(m);
	return NULL;
}

void
match_free(struct match *m)
{
	struct node *t;
	struct match_path *p;

	if (!m)
		return;
	while ((t = m->all)) {
		m->all = t->all;
		free(t->list);
		free(t);
	}
	while ((p = m->paths)) {
		m->paths = p->next;
		free(p);
	}
	json_free(m->doc);
	free(m);
}

/* ---- testing ---- */

/* What a path is followed in: a document of fields that are asked for, or a value. */
struct subject {
	match_get *get;           /* NULL: value */
	void *arg;
	const struct json *value;
};

/* A way along a path, for a condition or for the value to sort by. */
struct walk {
	const struct match_path *path;
	const struct node *node;  /* NULL: it looks for the best */
	bool desc, found;
	const struct json *best;
};

static bool test(const struct node *t, const struct subject *s);

static int64_t
type_of(const struct json *v)
{
	int64_t i;

	switch (kind_of(v)) {
	case K_NUM:
		return json_int(v, &i) < 0 ? T_DOUBLE : i >= INT32_MIN && i <= INT32_MAX ? T_INT : T_LONG;
	case K_STR:
		return T_STRING;
	case K_OBJ:
		return T_OBJECT;
	case K_ARR:
		return T_ARRAY;
	case K_BOOL:
		return T_BOOL;
	case K_DATE:
		return T_DATE;
	default:
		return T_NULL;
	}
}

static bool
compares(const struct node *t, const struct json *v)
{
	int c;

	if (kind_of(v) != kind_of(t->value))
		return false;
	c = match_compare(v, t->value);
	switch (t->op) {
	case OP_GT:
		return c > 0;
	case OP_GTE:
		return c >= 0;
	case OP_LT:
		return c < 0;
	case OP_LTE:
		return c <= 0;
	default:
		return !c;
	}
}

static bool
leaves(const struct node *t, const struct json *v)
{
	int64_t i;

	return v && !whole(v, true, &i) && (t->num == -1 ? 0 : i % t->num) == t->rem;
}

static bool
test_all(const struct node *t, const struct subject *s)
{
	for (const struct node *c = t->child; c; c = c->next)
		if (!test(c, s))
			return false;
	return true;
}

static bool
has_element(const struct node *t, const struct json *v)
{
	if (!v || v->type != JSON_ARR)
		return false;
	for (const struct json *m = v->head; m; m = m->next) {
		struct subject s = {.value = m};

		if ((t->op == OP_EACH || is_nest(m)) && test_all(t, &s))
			return true;
	}
	return false;
}

/* One value, as it is. */
static bool
fits(const struct node *t, const struct json *v)
{
	switch (t->op) {
	case OP_IN:
		return bsearch(&v, t->list, t->n, sizeof *t->list, compare_items);
	case OP_EXISTS:
		return v;
	case OP_TYPE:
		return v && type_of(v) & t->num;
	case OP_MOD:
		return leaves(t, v);
	case OP_SIZE:
		return v && v->type == JSON_ARR && v->len == (uint64_t)t->num;
	case OP_ELEM:
	case OP_EACH:
		return has_element(t, v);
	default:
		return compares(t, v);
	}
}

static bool
look(struct walk *w, const struct json *v)
{
	int c;

	if (w->node)
		return fits(w->node, v);
	c = w->found ? match_compare(v, w->best) : 0;
	if (!w->found || (w->desc ? c > 0 : c < 0))
		w->best = v;
	w->found = true;
	return false;
}

/* At the path's end. */
static bool
arrive(struct walk *w, const struct json *v)
{
	bool opens = !w->node || (w->node->op != OP_SIZE && w->node->op != OP_ELEM && w->node->op != OP_EACH);

	if (!v || v->type != JSON_ARR || !opens)
		return look(w, v);
	for (const struct json *m = v->head; m; m = m->next)
		if (look(w, m))
			return true;
	return w->node ? look(w, v) : v->len ? false : look(w, &undefined);
}

/* The place in an array that the part names; false: none. */
static bool
place(struct str part, size_t *at)
{
	size_t n = 0;

	if (!part.n || part.n > 9 || (part.p[0] == '0' && part.n > 1))
		return false;
	for (size_t i = 0; i < part.n; i++) {
		if (part.p[i] < '0' || part.p[i] > '9')
			return false;
		n = n * 10 + (size_t)(part.p[i] - '0');
	}
	*at = n;
	return true;
}

static const struct json *
element(const struct json *v, size_t at)
{
	const struct json *m = at < v->len ? v->head : NULL;

	while (m && at--)
		m = m->next;
	return m;
}

/* Follows the path's parts from i on, in v.  Each step goes down in v, so the depth is that of documents. */
static bool
follow(struct walk *w, const struct json *v, size_t i, int forks)
{
	const struct json *at = NULL;
	size_t where;

	if (i == w->path->n)
		return arrive(w, v);
	if (!v || v->type == JSON_OBJ) {
		at = v ? json_get(v, w->path->part[i]) : NULL;
		return at ? follow(w, at, i + 1, forks) : look(w, NULL);
	}
	if (v->type != JSON_ARR)
		return look(w, NULL);
	if (place(w->path->part[i], &where)) {
		at = element(v, where);
		if (at && (i + 1 == w->path->n ? look(w, at) : is_nest(at) && follow(w, at, i + 1, forks + 1)))
			return true;
		if (forks >= FORKS)
			return false;
		forks++;
	}
	for (const struct json *m = v->head; m; m = m->next)
		if (m->type == JSON_OBJ && follow(w, m, i, forks))
			return true;
	return false;
}

static bool
start(struct walk *w, const struct subject *s)
{
	const struct json *v;

	if (!s->get && s->value->type == JSON_OBJ)
		return follow(w, s->value, 0, 0);
	if (!s->get) {
		size_t where;

		v = place(w->path->part[0], &where) ? element(s->value, where) : NULL;
	} else {
		v = s->get(s->arg, w->path->part[0]);
	}
	return v ? follow(w, v, 1, 0) : look(w, NULL);
}

static bool
test(const struct node *t, const struct subject *s)
{
	struct walk w = {.path = t->path, .node = t};
	bool is;

	if (t->op == OP_AND) {
		is = test_all(t, s);
	} else if (t->op == OP_OR) {
		is = false;
		for (const struct node *c = t->child; c && !is; c = c->next)
			is = test(c, s);
	} else {
		is = t->path->n ? start(&w, s) : fits(t, s->value);
	}
	return is != t->not;
}

bool
match_test(const struct match *m, match_get *get, void *arg)
{
	struct subject s = {.get = get, .arg = arg};

	return test(m->root, &s);
}

const struct json *
match_key(const struct match_path *p, bool desc, match_get *get, void *arg)
{
	struct subject s = {.get = get, .arg = arg};
	struct walk w = {.path = p, .desc = desc};

	start(&w, &s);
	return w.best;
}
