/* SPDX-License-Identifier: MIT */
/*
 * Expressions ($expr) over a document: fields, constants, arithmetic, comparisons, logic, as MongoDB reckons them.
 *
 * Integers are exact in 64 bits and become doubles where they leave them; $divide gives a double.  Arithmetic on null or on what is
 * missing gives null.  A time and a number (milliseconds) add up to a time, and two times differ by milliseconds.  Comparisons hold
 * between all kinds, in the order of value.c, what is missing first.  A field leads into objects, and through an array to the list
 * of what its objects have there; unlike in a filter, a part that is a number takes no place of an array.
 *
 * What cannot be reckoned (arithmetic on a text, a division by 0) is no failure of the query, as one odd task would make it for all
 * others: that document does not match.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>

enum { MILLI = 1000 };
enum { LESS = 1, SAME = 2, MORE = 4 };

struct term {
	const struct oper *oper;  /* NULL: a field or a constant */
	struct str path;          /* field */
	const struct json *value; /* constant, else NULL */
	struct term *child, *last, *next;
	struct term *all;         /* the one made before */
};
struct calc {
	struct term *root, *all;
	struct json_doc *doc;     /* constants with times in them; or NULL */
};

/* A value on the way. */
struct result {
	enum value_kind kind;
	struct number num;        /* V_NUM */
	int64_t time;             /* V_DATE */
	bool is;                  /* V_BOOL */
	const struct json *json;  /* all other kinds that have one */
};
struct scene {
	match_get *get;
	void *arg;
	struct json_doc *doc;     /* lists that fields led to; or NULL */
	uint64_t *left;           /* what it may still cost */
};

/* Each says false when it cannot be reckoned. */
typedef bool reckon(const struct term *t, struct scene *s, struct result *out);
static reckon sum, product, difference, quotient, rest, comparison, both, either, inverse;
static const struct oper {
	const char *name;
	reckon *reckon;
	size_t least, most;       /* operands; most 0: any number */
	int holds;                /* comparison: a set of LESS, SAME, MORE */
} opers[] = {
	{"$add", sum, 0, 0, 0}, {"$subtract", difference, 2, 2, 0}, {"$multiply", product, 0, 0, 0}, {"$divide", quotient, 2, 2, 0},
	{"$mod", rest, 2, 2, 0}, {"$eq", comparison, 2, 2, SAME}, {"$ne", comparison, 2, 2, LESS | MORE},
	{"$gt", comparison, 2, 2, MORE}, {"$gte", comparison, 2, 2, MORE | SAME}, {"$lt", comparison, 2, 2, LESS},
	{"$lte", comparison, 2, 2, LESS | SAME}, {"$and", both, 0, 0, 0}, {"$or", either, 0, 0, 0}, {"$not", inverse, 1, 1, 0},
};

/* ---- compiling ---- */

struct compiler {
	struct calc *c;
	size_t *left;
	struct err *e;
};

static int
refuse(struct compiler *c, struct str what, const char *why)
{
	return err_set(c->e, 400, "filter: $expr: %.*s: %s", (int)(what.n < 60 ? what.n : 60), what.p, why);
}

static struct term *
add_term(struct compiler *c, struct term *to)
{
	struct term *t;

	if (!*c->left) {
		err_set(c->e, 400, "filter: too many conditions");
		return NULL;
	}
	--*c->left;
	t = xcalloc(1, sizeof *t);
	t->all = c->c->all;
	c->c->all = t;
	if (to) {
		*(to->last ? &to->last->next : &to->child) = t;
		to->last = t;
	}
	return t;
}

static int
field(struct compiler *c, struct term *t, struct str text)
{
	t->path = (struct str){text.p + 1, text.n - 1};
	if (text.n > 1 && text.p[1] == '$')
		return refuse(c, text, "variables are not known here");
	for (size_t i = 0; i <= t->path.n; i++)
		if ((i == t->path.n || t->path.p[i] == '.') && (!i || t->path.p[i - 1] == '.'))
			return refuse(c, text, "a field with an empty part");
	return 0;
}

static bool
begins(struct str s)
{
	return s.n && s.p[0] == '$';
}

/* Whether something in it would have to be reckoned. */
static bool
has_terms(const struct json *v)
{
	if (v->type == JSON_STR)
		return begins((struct str){v->s, v->len});
	if (v->type != JSON_OBJ && v->type != JSON_ARR)
		return false;
	for (const struct json *m = v->head; m; m = m->next)
		if ((v->type == JSON_OBJ && begins(m->key)) || has_terms(m))
			return true;
	return false;
}

static int compile(struct compiler *c, struct term *to, const struct json *v);

static int
operator(struct compiler *c, struct term *t, const struct json *doc)
{
	const struct json *v = doc->head;
	size_t n = v->type == JSON_ARR ? v->len : 1;

	for (size_t i = 0; i < LEN(opers) && !t->oper; i++)
		if (str_is(v->key, opers[i].name))
			t->oper = &opers[i];
	if (!t->oper)
		return refuse(c, v->key, "an operator that is not known here");
	if (doc->len > 1)
		return refuse(c, v->key, "stands beside another member");
	if (n < t->oper->least || (t->oper->most && n > t->oper->most))
		return refuse(c, v->key, t->oper->most == 1 ? "needs one operand" : "needs two operands");
	if (v->type != JSON_ARR)
		return compile(c, t, v);
	for (const struct json *m = v->head; m; m = m->next)
		if (compile(c, t, m) < 0)
			return -1;
	return 0;
}

static int
compile(struct compiler *c, struct term *to, const struct json *v)
{
	struct term *t = add_term(c, to);

	if (!t)
		return -1;
	if (v->type == JSON_STR && begins((struct str){v->s, v->len}))
		return field(c, t, (struct str){v->s, v->len});
	if (v->type == JSON_OBJ && v->head && begins(v->head->key))
		return operator(c, t, v);
	if (has_terms(v))
		return refuse(c, str_of(v->type == JSON_OBJ ? "an object" : "a list"), "holds constants only");
	t->value = value_operand(&c->c->doc, v);
	return 0;
}

struct calc *
calc_new(const struct json *v, size_t *left, struct err *e)
{
	struct calc *calc = xcalloc(1, sizeof *calc);
	struct compiler c = {calc, left, e};

	if (compile(&c, NULL, v) < 0) {
		calc_free(calc);
		return NULL;
	}
	for (calc->root = calc->all; calc->root->all;)
		calc->root = calc->root->all;
	return calc;
}

void
calc_free(struct calc *c)
{
	struct term *t;

	if (!c)
		return;
	while ((t = c->all)) {
		c->all = t->all;
		free(t);
	}
	json_free(c->doc);
	free(c);
}

/* ---- fields ---- */

/* A value as an element of another list too; what is in it is shared. */
static struct json *
shared(struct json_doc *d, const struct json *v)
{
	struct json *to = json_mknull(d);

	*to = *v;
	to->next = NULL;
	return to;
}

static bool
spend(uint64_t *left)
{
	return *left && (*left)--;
}

/* What the path leads to from v; NULL: nothing. */
static const struct json *
walk(struct scene *s, const struct json *v, struct str path)
{
	struct json *list;

	while (v && path.p && v->type == JSON_OBJ)
		v = json_get(v, str_part(&path, '.'));
	if (!v || !path.p)
		return v;
	if (v->type != JSON_ARR)
		return NULL;
	if (!s->doc)
		s->doc = json_new();
	list = json_mkarr(s->doc);
	for (const struct json *m = v->head; m && spend(s->left); m = m->next) {
		const struct json *at = m->type == JSON_OBJ ? walk(s, m, path) : NULL;

		if (at)
			json_push(list, shared(s->doc, at));
	}
	return list;
}

/* ---- reckoning ---- */

static bool
give_json(struct result *out, const struct json *v)
{
	*out = (struct result){.kind = v ? value_kind(v) : V_MISSING, .json = v};
	if (out->kind == V_NUM)
		out->num = value_number(v);
	else if (out->kind == V_DATE)
		out->time = value_time(v);
	else if (out->kind == V_BOOL)
		out->is = v->is;
	return true;
}

static bool
give_number(struct result *out, struct number n)
{
	*out = (struct result){.kind = V_NUM, .num = n};
	return true;
}

static bool
give_bool(struct result *out, bool is)
{
	*out = (struct result){.kind = V_BOOL, .is = is};
	return true;
}

/* What it may cost to compare it. */
static bool
afford(struct scene *s, const struct json *v)
{
	return value_spend(s->left, v ? value_cost(v) : 0);
}

static bool
eval(const struct term *t, struct scene *s, struct result *out)
{
	struct str path = t->path, name;
	const struct json *v;

	if (!spend(s->left))
		return false;
	if (t->oper)
		return t->oper->reckon(t, s, out);
	if (t->value)
		return afford(s, t->value) && give_json(out, t->value);
	name = str_part(&path, '.');
	v = s->get(s->arg, name);
	if (v && path.p)
		v = walk(s, v, path);
	return afford(s, v) && give_json(out, v);
}

static bool
is_null(const struct result *r)
{
	return r->kind == V_NULL || r->kind == V_MISSING;
}

static double
real(struct number n)
{
	return n.form == NUM_INT ? (double)n.i : n.d;
}

static struct number
from_real(double d)
{
	return (struct number){.form = NUM_REAL, .d = d};
}

static struct number
plus(struct number a, struct number b)
{
	bool over = b.i > 0 ? a.i > INT64_MAX - b.i : a.i < INT64_MIN - b.i;

	if (a.form != NUM_INT || b.form != NUM_INT || over)
		return from_real(real(a) + real(b));
	return (struct number){.form = NUM_INT, .i = a.i + b.i};
}

static struct number
minus(struct number a, struct number b)
{
	bool over = b.i > 0 ? a.i < INT64_MIN + b.i : a.i > INT64_MAX + b.i;

	if (a.form != NUM_INT || b.form != NUM_INT || over)
		return from_real(real(a) - real(b));
	return (struct number){.form = NUM_INT, .i = a.i - b.i};
}

static bool
product_fits(int64_t a, int64_t b)
{
	if (a > 0)
		return b > 0 ? a <= INT64_MAX / b : b >= INT64_MIN / a;
	if (b > 0)
		return a >= INT64_MIN / b;
	return !a || !b || a >= INT64_MAX / b;
}

static struct number
times(struct number a, struct number b)
{
	if (a.form != NUM_INT || b.form != NUM_INT || !product_fits(a.i, b.i))
		return from_real(real(a) * real(b));
	return (struct number){.form = NUM_INT, .i = a.i * b.i};
}

/* What is left of x by y, of the sign of x: fmod without the mathematical library.  Each step is exact. */
static double
remainder_of(double x, double y)
{
	double left = x < 0 ? -x : x, by = y < 0 ? -y : y, t = by;

	if (x - x != 0 || y != y)
		return x - x + (y - y);   /* what is no number */
	while (t <= left / 2)
		t *= 2;
	for (; t >= by && left >= by; t /= 2)
		if (left >= t)
			left -= t;
	return x < 0 ? -left : left;
}

/* A time moved by milliseconds. */
static bool
moved(int64_t time, struct number by, struct result *out)
{
	double to = (double)time + real(by) * MILLI;
	struct number n;

	n = plus((struct number){.form = NUM_INT, .i = time}, times(by, (struct number){.form = NUM_INT, .i = MILLI}));
	if (n.form != NUM_INT && !(to > -9e18 && to < 9e18))
		return false;
	*out = (struct result){.kind = V_DATE, .time = n.form == NUM_INT ? n.i : (int64_t)to};
	return true;
}

static bool
sum(const struct term *t, struct scene *s, struct result *out)
{
	struct number n = {.form = NUM_INT};
	struct result r;
	bool timed = false;
	int64_t time = 0;

	for (const struct term *c = t->child; c; c = c->next) {
		if (!eval(c, s, &r) || (r.kind == V_DATE && timed))
			return false;
		if (is_null(&r)) {
			*out = (struct result){.kind = V_NULL};
			return true;
		}
		if (r.kind == V_DATE) {
			timed = true;
			time = r.time;
		} else if (r.kind == V_NUM) {
			n = plus(n, r.num);
		} else {
			return false;
		}
	}
	return timed ? moved(time, n, out) : give_number(out, n);
}

static bool
product(const struct term *t, struct scene *s, struct result *out)
{
	struct number n = {.form = NUM_INT, .i = 1};
	struct result r;

	for (const struct term *c = t->child; c; c = c->next) {
		if (!eval(c, s, &r))
			return false;
		if (is_null(&r)) {
			*out = (struct result){.kind = V_NULL};
			return true;
		}
		if (r.kind != V_NUM)
			return false;
		n = times(n, r.num);
	}
	return give_number(out, n);
}

/* Both operands.  A null one makes out null: *done. */
static bool
pair(const struct term *t, struct scene *s, struct result *a, struct result *b, bool *done, struct result *out)
{
	*done = false;
	if (!eval(t->child, s, a) || !eval(t->last, s, b))
		return false;
	*done = is_null(a) || is_null(b);
	if (*done)
		*out = (struct result){.kind = V_NULL};
	return true;
}

static int64_t
milliseconds(int64_t time)
{
	return time / MILLI - (time % MILLI < 0);
}

static bool
difference(const struct term *t, struct scene *s, struct result *out)
{
	struct result a, b;
	bool done = false;

	if (!pair(t, s, &a, &b, &done, out) || done)
		return done;
	if (a.kind == V_NUM && b.kind == V_NUM)
		return give_number(out, minus(a.num, b.num));
	if (a.kind == V_DATE && b.kind == V_DATE)
		return give_number(out, (struct number){.form = NUM_INT, .i = milliseconds(a.time) - milliseconds(b.time)});
	return a.kind == V_DATE && b.kind == V_NUM && moved(a.time, minus((struct number){.form = NUM_INT}, b.num), out);
}

static bool
quotient(const struct term *t, struct scene *s, struct result *out)
{
	struct result a, b;
	bool done = false;

	if (!pair(t, s, &a, &b, &done, out) || done)
		return done;
	return a.kind == V_NUM && b.kind == V_NUM && real(b.num) != 0 && give_number(out, from_real(real(a.num) / real(b.num)));
}

static bool
rest(const struct term *t, struct scene *s, struct result *out)
{
	struct result a, b;
	bool done = false;

	if (!pair(t, s, &a, &b, &done, out) || done)
		return done;
	if (a.kind != V_NUM || b.kind != V_NUM || real(b.num) == 0)
		return false;
	if (a.num.form != NUM_INT || b.num.form != NUM_INT)
		return give_number(out, from_real(remainder_of(real(a.num), real(b.num))));
	return give_number(out, (struct number){.form = NUM_INT, .i = b.num.i == -1 ? 0 : a.num.i % b.num.i});
}

static int
compare(const struct result *a, const struct result *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	switch (a->kind) {
	case V_MISSING:
	case V_NULL:
		return 0;
	case V_NUM:
		return value_compare_numbers(&a->num, &b->num);
	case V_BOOL:
		return a->is - b->is;
	case V_DATE:
		return (a->time > b->time) - (a->time < b->time);
	default:
		return value_compare(a->json, b->json);
	}
}

/* Lists live no longer than what looks at them, so that there are never many. */
static struct json_doc *
open_lists(struct scene *s)
{
	struct json_doc *outer = s->doc;

	s->doc = NULL;
	return outer;
}

static void
close_lists(struct scene *s, struct json_doc *outer)
{
	json_free(s->doc);
	s->doc = outer;
}

static bool
comparison(const struct term *t, struct scene *s, struct result *out)
{
	struct json_doc *outer = open_lists(s);
	struct result a, b;
	bool known = eval(t->child, s, &a) && eval(t->last, s, &b);
	int c = known ? compare(&a, &b) : 0;

	close_lists(s, outer);
	return known && give_bool(out, t->oper->holds & (c < 0 ? LESS : c ? MORE : SAME));
}

static bool
truth(const struct term *t, struct scene *s, bool *is)
{
	struct json_doc *outer = open_lists(s);
	struct result r;
	bool known = eval(t, s, &r);

	close_lists(s, outer);
	if (known)
		*is = r.kind == V_BOOL ? r.is : r.kind == V_NUM ? real(r.num) != 0 : !is_null(&r);
	return known;
}

static bool
logic(const struct term *t, struct scene *s, bool until, struct result *out)
{
	bool is = !until;

	for (const struct term *c = t->child; c && is != until; c = c->next)
		if (!truth(c, s, &is))
			return false;
	return give_bool(out, is);
}

static bool
both(const struct term *t, struct scene *s, struct result *out)
{
	return logic(t, s, false, out);
}

static bool
either(const struct term *t, struct scene *s, struct result *out)
{
	return logic(t, s, true, out);
}

static bool
inverse(const struct term *t, struct scene *s, struct result *out)
{
	bool is;

	return truth(t->child, s, &is) && give_bool(out, !is);
}

int
calc_test(const struct calc *c, match_get *get, void *arg, uint64_t *left)
{
	struct scene s = {.get = get, .arg = arg, .left = left};
	bool is;

	return truth(c->root, &s, &is) ? is : -1;
}
