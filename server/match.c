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

enum {
	NODES = 20000,            /* conditions and terms in a filter */
	REGEXES = 100,            /* of them, as each has its memory */
	PARTS = 200,              /* of a path, as in MongoDB */
	FORKS = 8,                /* how often on one way a number in a path is taken both as a place and as a name */
	COST = 300000000,         /* of a filter in all its life, in steps of regexes: a second or two */
	LOOK = 10                 /* at a value */
};

enum op {
	OP_AND, OP_OR, OP_EQ, OP_GT, OP_GTE, OP_LT, OP_LTE, OP_IN, OP_REGEX, OP_EXISTS, OP_TYPE, OP_MOD, OP_SIZE, OP_ELEM, OP_EACH,
	OP_EXPR
};

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
	struct regex *regex;             /* OP_REGEX */
	struct calc *calc;               /* OP_EXPR; of no path */
	int64_t num, rem;                /* OP_SIZE: the length; OP_MOD: the divisor and what is left; OP_TYPE: a set of kinds */
	struct node *child, *last, *next;
	struct node *all;                /* the one made before */
};

struct match {
	struct node *root, *all;
	struct match_path *paths;
	struct json_doc *doc;     /* operands with times in them; or NULL */
	uint64_t left;            /* of COST */
};

struct compiler {
	struct match *m;
	struct err *e;
	size_t left;              /* of NODES */
	int regexes;
	int elements;             /* how many $elemMatch it is in */
	const struct json *among; /* the operators that it is at */
};

static int
compare_items(const void *a, const void *b)
{
	const struct json *const *x = a, *const *y = b;

	return value_compare(*x, *y);
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

	if (!c->left) {
		err_set(c->e, 400, "filter: more than %d conditions", NODES);
		return NULL;
	}
	c->left--;
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
	t->value = value_operand(&c->m->doc, v);
	return 0;
}

/* The regex that options stand beside, or alone.  c->among is where both are. */
static int
op_regex(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	struct node *t = add_node(c, to, o->op, path);
	const struct json *options = json_gets(c->among, "$options");
	struct err why = {0};

	if (!t)
		return -1;
	if (v->type != JSON_STR)
		return refuse(c, v->key, "needs a text");
	if (options && options->type != JSON_STR)
		return refuse(c, options->key, "needs a text");
	if (++c->regexes > REGEXES)
		return err_set(c->e, 400, "filter: more than %d times $regex", REGEXES);
	t->regex = regex_new((struct str){v->s, v->len}, options ? (struct str){options->s, options->len} : str_of(""), &why);
	return t->regex ? 0 : err_at(c->e, 400, why.pos, "filter: $regex: %s", why.msg);
}

static int
op_options(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	(void)to;
	(void)path;
	(void)o;
	return json_gets(c->among, "$regex") ? 0 : refuse(c, v->key, "needs a $regex beside it");
}

/* {"$regex": .., "$options": ..} in a list of values: JSON has no other way to write a regex there. */
static bool
is_regex(const struct json *v)
{
	return v->type == JSON_OBJ && json_gets(v, "$regex") && v->len == (json_gets(v, "$options") ? 2 : 1);
}

static int
op_in(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	struct node *any = add_node(c, to, OP_OR, path), *t = any ? add_node(c, any, o->op, path) : NULL;

	if (!t)
		return -1;
	if (v->type != JSON_ARR)
		return refuse(c, v->key, "needs a list");
	any->not = o->not;
	t->list = xcalloc(v->len, sizeof *t->list);
	for (const struct json *m = v->head; m; m = m->next) {
		if (is_regex(m)) {
			if (compile_operators(c, any, path, m) < 0)
				return -1;
			continue;
		}
		if (has_operators(m))
			return refuse(c, m->head->key, "no operator can stand in a list of values");
		t->list[t->n++] = value_operand(&c->m->doc, m);
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
	return real_cut(d, out) < 0 || (!cut && (double)*out != d) ? -1 : 0;
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
		if (v->type == JSON_STR ? json_is(v, types[i].name) : types[i].number == number) {
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
	if (has_operators(v) && !str_is(v->head->key, "$and") && !str_is(v->head->key, "$or") && !str_is(v->head->key, "$nor")) {
		t->op = OP_EACH;
		return compile_operators(c, t, &itself, v);
	}
	c->elements++;
	if (compile_document(c, t, v) < 0)
		return -1;
	c->elements--;
	return 0;
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
		if (elem ? !is_elem(m) : has_operators(m) && !is_regex(m))
			return refuse(c, v->key, "its list holds values, or $elemMatch throughout");
		if ((elem || is_regex(m) ? compile_operators(c, t, path, m) : op_value(c, t, path, &equal, m)) < 0)
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

static int
op_expr(struct compiler *c, struct node *to, const struct match_path *path, const struct oper *o, const struct json *v)
{
	struct node *t = add_node(c, to, o->op, path);

	if (!t)
		return -1;
	if (c->elements)
		return refuse(c, v->key, "looks at whole documents: it cannot stand in $elemMatch");
	t->calc = calc_new(v, &c->left, c->e);
	return t->calc ? 0 : -1;
}

static const struct oper on_field[] = {
	{"$eq", op_value, OP_EQ, false}, {"$ne", op_value, OP_EQ, true}, {"$gt", op_value, OP_GT, false},
	{"$gte", op_value, OP_GTE, false}, {"$lt", op_value, OP_LT, false}, {"$lte", op_value, OP_LTE, false},
	{"$in", op_in, OP_IN, false}, {"$nin", op_in, OP_IN, true}, {"$exists", op_exists, OP_EXISTS, false},
	{"$type", op_type, OP_TYPE, false}, {"$size", op_size, OP_SIZE, false}, {"$mod", op_mod, OP_MOD, false},
	{"$regex", op_regex, OP_REGEX, false}, {"$options", op_options, OP_REGEX, false}, {"$all", op_all, OP_AND, false},
	{"$elemMatch", op_elem, OP_ELEM, false}, {"$not", op_not, OP_AND, false},
};
static const struct oper beside_fields[] = {
	{"$and", op_logic, OP_AND, false}, {"$or", op_logic, OP_OR, false}, {"$nor", op_logic, OP_OR, true},
	{"$expr", op_expr, OP_EXPR, false},
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
		c->among = doc;
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
	struct compiler c = {.m = m, .e = e, .left = NODES};

	m->left = COST;
	m->root = add_node(&c, NULL, OP_AND, NULL);
	if (filter->type != JSON_OBJ)
		err_set(e, 400, "filter: must be an object");
	else if (!compile_document(&c, m->root, filter))
		return m;
	match_free(m);
	return NULL;
}

static bool
is_field(const struct node *t, const char *name)
{
	return t->path && t->path->n == 1 && str_is(t->path->part[0], name);
}

static bool
find_pins(const struct node *t, const char *field, const struct json *const **list, size_t *n)
{
	if (t->not)
		return false;
	if (is_field(t, field) && t->op == OP_EQ) {
		*list = (const struct json *const *)&t->value;
		*n = 1;
		return true;
	}
	if (is_field(t, field) && t->op == OP_IN) {
		*list = (const struct json *const *)t->list;
		*n = t->n;
		return true;
	}
	if (t->op != OP_AND && (t->op != OP_OR || !t->child || t->child->next))
		return false;
	for (const struct node *c = t->child; c; c = c->next)
		if (find_pins(c, field, list, n))
			return true;
	return false;
}

bool
match_pins(const struct match *m, const char *field, const struct json *const **list, size_t *n)
{
	return find_pins(m->root, field, list, n);
}

void
match_drop(struct match *m, const char *field)
{
	for (struct node **at = &m->root->child; *at;) {
		if (is_field(*at, field))
			*at = (*at)->next;
		else
			at = &(*at)->next;
	}
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
		regex_free(t->regex);
		calc_free(t->calc);
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

/* What a filter is tested on: a document of fields that are asked for, or a value in it. */
struct subject {
	match_get *get;           /* NULL: value */
	void *arg;
	const struct json *value;
	struct trial *trial;
};

/* One test of the whole filter. */
struct trial {
	uint64_t *left;           /* what it may cost */
	bool odd;                 /* an expression could not be reckoned: no match, whatever is said around it */
};

/* A way along a path, for a condition or for the value to sort by. */
struct walk {
	const struct match_path *path;
	const struct node *node;  /* NULL: it looks for the best */
	struct trial *trial;
	bool desc, found;
	const struct json *best;
};

static bool test(const struct node *t, const struct subject *s);

static int64_t
type_of(const struct json *v)
{
	int64_t i;

	switch (value_kind(v)) {
	case V_NUM:
		return json_int(v, &i) < 0 ? T_DOUBLE : i >= INT32_MIN && i <= INT32_MAX ? T_INT : T_LONG;
	case V_STR:
		return T_STRING;
	case V_OBJ:
		return T_OBJECT;
	case V_ARR:
		return T_ARRAY;
	case V_BOOL:
		return T_BOOL;
	case V_DATE:
		return T_DATE;
	default:
		return T_NULL;
	}
}

static bool
compares(const struct node *t, const struct json *v)
{
	int c;

	if (value_kind(v) != value_kind(t->value))
		return false;
	c = value_compare(v, t->value);
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

/* False: it costs too much.  Sort keys cost what they cost: y is NULL. */
static bool
spend(struct trial *y, uint64_t n)
{
	return !y || value_spend(y->left, n);
}

static bool
has_element(const struct node *t, const struct json *v, struct trial *y)
{
	if (!v || v->type != JSON_ARR)
		return false;
	for (const struct json *m = v->head; m && spend(y, 1); m = m->next) {
		struct subject s = {.value = m, .trial = y};

		if ((t->op == OP_EACH || is_nest(m)) && test_all(t, &s))
			return true;
	}
	return false;
}

/* What it may cost to see whether a value fits: comparisons go to its end at most. */
static uint64_t
price(const struct node *t, const struct json *v)
{
	uint64_t n = LOOK, once;

	if (t->op != OP_IN && (!t->value || !v || value_kind(v) != value_kind(t->value)))
		return n;
	if (v)
		n = value_cost(v);
	once = n;
	for (size_t k = t->op == OP_IN ? t->n : 0; k > 1; k /= 2)
		n += once;
	return n;
}

/* One value, as it is. */
static bool
fits(const struct node *t, const struct json *v, struct trial *y)
{
	if (!spend(y, price(t, v)))
		return false;
	switch (t->op) {
	case OP_IN:
		return bsearch(&v, t->list, t->n, sizeof *t->list, compare_items);
	case OP_REGEX:
		return v && value_kind(v) == V_STR && regex_test(t->regex, (struct str){v->s, v->len}, y->left);
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
		return has_element(t, v, y);
	default:
		return compares(t, v);
	}
}

static bool
look(struct walk *w, const struct json *v)
{
	int c;

	if (w->node)
		return fits(w->node, v, w->trial);
	c = w->found ? value_compare(v, w->best) : 0;
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
	return w->node ? look(w, v) : v->len ? false : look(w, &value_missing);
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
		at = spend(w->trial, where < v->len ? where : 0) ? element(v, where) : NULL;
		if (at && (i + 1 == w->path->n ? look(w, at) : is_nest(at) && follow(w, at, i + 1, forks + 1)))
			return true;
		if (forks >= FORKS)
			return false;
		forks++;
	}
	for (const struct json *m = v->head; m && spend(w->trial, 1); m = m->next)
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

		v = place(w->path->part[0], &where) && spend(w->trial, where < s->value->len ? where : 0) ? element(s->value, where) : NULL;
	} else {
		v = s->get(s->arg, w->path->part[0]);
	}
	return v ? follow(w, v, 1, 0) : look(w, NULL);
}

static bool
test(const struct node *t, const struct subject *s)
{
	struct walk w = {.path = t->path, .node = t, .trial = s->trial};
	bool is;

	if (t->op == OP_EXPR) {
		int known = calc_test(t->calc, s->get, s->arg, s->trial->left);

		s->trial->odd |= known < 0;
		is = known > 0;
	} else if (t->op == OP_AND) {
		is = test_all(t, s);
	} else if (t->op == OP_OR) {
		is = false;
		for (const struct node *c = t->child; c && !is; c = c->next)
			is = test(c, s);
	} else {
		is = t->path->n ? start(&w, s) : fits(t, s->value, s->trial);
	}
	return is != t->not;
}

bool
match_test(struct match *m, match_get *get, void *arg)
{
	struct trial y = {.left = &m->left};
	struct subject s = {.get = get, .arg = arg, .trial = &y};

	return test(m->root, &s) && !y.odd && m->left;
}

int
match_spent(const struct match *m, struct err *e)
{
	return m->left ? 0 : err_set(e, 400, "filter: it costs too much: name fewer tasks by status or id, or look at fewer values");
}

const struct json *
match_key(const struct match_path *p, bool desc, match_get *get, void *arg)
{
	struct subject s = {.get = get, .arg = arg};
	struct walk w = {.path = p, .desc = desc};

	start(&w, &s);
	return w.best;
}
