/* SPDX-License-Identifier: MIT */
/*
 * The values that filters and sorts look at: their kinds, their order, which is MongoDB's, and times.  Numbers compare by what they
 * are, not by how they are written: integers of any length exactly, others as doubles.
 */
#include "server.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	DAY = 86400,
	DIGITS = 312              /* of the largest double, with sign */
};
#define TWO63 9223372036854775808.0

enum { TAG_MISSING = 255 };
const struct json value_missing = {.type = JSON_NULL, .tag = TAG_MISSING};

enum value_kind
value_kind(const struct json *v)
{
	static const enum value_kind kinds[] = {
		[JSON_NULL] = V_NULL, [JSON_BOOL] = V_BOOL, [JSON_NUM] = V_NUM, [JSON_STR] = V_STR, [JSON_ARR] = V_ARR,
		[JSON_OBJ] = V_OBJ,
	};

	if (!v)
		return V_NULL;
	if (v->tag == TAG_MISSING)
		return V_MISSING;
	return v->type == JSON_STR && v->tag == TOML_DATETIME ? V_DATE : kinds[v->type];
}

/* ---- numbers ---- */

struct number
value_number(const struct json *v)
{
	struct number n = {.form = NUM_INT};

	if (!json_int(v, &n.i))
		return n;
	n.d = json_num(v);
	n.form = strpbrk(v->s, ".eE") ? NUM_REAL : NUM_BIG;
	n.text = (struct str){v->s, v->len};
	return n;
}

/* What is no number comes before all that are. */
static int
compare_real(double a, double b)
{
	if (a != a || b != b)
		return (b != b) - (a != a);
	return (a > b) - (a < b);
}

/* Exactly, also where i has no double. */
static int
compare_mixed(int64_t i, double d)
{
	int64_t whole;

	if (d >= TWO63)
		return -1;
	if (d < -TWO63 || d != d)
		return 1;
	whole = (int64_t)d;
	return i != whole ? (i > whole) - (i < whole) : compare_real(0, d - (double)whole);
}

static bool
negative(struct str digits)
{
	return digits.p[0] == '-';
}

/* Integers beyond 64 bits, as their digits. */
static int
compare_digits(struct str a, struct str b)
{
	int c;

	if (negative(a) != negative(b))
		return negative(a) ? -1 : 1;
	c = a.n != b.n ? (a.n > b.n) - (a.n < b.n) : memcmp(a.p, b.p, a.n);
	return negative(a) ? -c : c;
}

static int
compare_big(struct str a, double b)
{
	char text[DIGITS];

	if (b < TWO63 && b >= -TWO63)
		return negative(a) ? -1 : 1;
	if (b != b || b - b != 0)
		return b > 0 ? -1 : 1;
	return compare_digits(a, (struct str){text, (size_t)snprintf(text, sizeof text, "%.0f", b)});
}

int
value_compare_numbers(const struct number *a, const struct number *b)
{
	if (a->form == NUM_INT && b->form == NUM_INT)
		return (a->i > b->i) - (a->i < b->i);
	if (a->form < b->form)
		return -value_compare_numbers(b, a);
	if (b->form == NUM_INT)
		return a->form == NUM_REAL ? -compare_mixed(b->i, a->d) : negative(a->text) ? -1 : 1;
	if (b->form == NUM_BIG)
		return a->form == NUM_REAL ? -compare_big(b->text, a->d) : compare_digits(a->text, b->text);
	return compare_real(a->d, b->d);
}

/* ---- order ---- */

/* Member by member: kind, name, value; then the shorter one comes first. */
static int
compare_members(const struct json *a, const struct json *b)
{
	const struct json *x = a->head, *y = b->head;
	int c = 0;

	for (; x && y && !c; x = x->next, y = y->next) {
		if (a->type == JSON_OBJ) {
			c = (int)value_kind(x) - (int)value_kind(y);
			c = c ? c : str_order(x->key, y->key);
		}
		c = c ? c : value_compare(x, y);
	}
	return c ? c : (x != NULL) - (y != NULL);
}

/* The text of times is as wide for each of them, so they are compared as strings are. */
int
value_compare(const struct json *a, const struct json *b)
{
	enum value_kind x = value_kind(a), y = value_kind(b);
	struct number m, n;

	if (x != y)
		return x < y ? -1 : 1;
	switch (x) {
	case V_NUM:
		m = value_number(a);
		n = value_number(b);
		return value_compare_numbers(&m, &n);
	case V_STR:
	case V_DATE:
		return str_order((struct str){a->s, a->len}, (struct str){b->s, b->len});
	case V_OBJ:
	case V_ARR:
		return compare_members(a, b);
	case V_BOOL:
		return a->is - b->is;
	default:
		return 0;
	}
}

uint64_t
value_cost(const struct json *v)
{
	enum value_kind kind = value_kind(v);
	uint64_t n = 10;

	if (kind == V_STR)
		return n + v->len / 16;
	if (kind == V_OBJ || kind == V_ARR)
		for (const struct json *m = v->head; m; m = m->next)
			n += value_cost(m);
	return n;
}

bool
value_spend(uint64_t *left, uint64_t n)
{
	*left -= *left < n ? *left : n;
	return *left;
}

/* ---- times ---- */

/* {"_dt": "2026-11-23T23:20:49Z"}. */
static bool
is_time(const struct json *v, int64_t *wall, bool *zoned)
{
	return v->type == JSON_OBJ && v->len == 1 && str_is(v->head->key, "_dt") && !date_parse(json_text(v->head), wall, zoned);
}

static bool
is_nest(const struct json *v)
{
	return v->type == JSON_OBJ || v->type == JSON_ARR;
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

/* Kept to years of four digits, which all times of tasks have. */
static struct json *
time_value(struct json_doc *d, int64_t wall, bool zoned)
{
	int64_t min = date_days(0, 1, 1) * DAY * SECOND, max = date_days(10000, 1, 1) * DAY * SECOND - 1;
	char text[32];
	struct json *v;

	if (!zoned)
		wall = sys_from_local(wall);
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

/* The time of a V_DATE. */
int64_t
value_time(const struct json *v)
{
	int64_t wall = 0;
	bool zoned;

	date_parse((struct str){v->s, v->len}, &wall, &zoned);
	return wall;
}

const struct json *
value_operand(struct json_doc **d, const struct json *v)
{
	if (!has_time(v))
		return v;
	if (!*d)
		*d = json_new();
	return with_times(*d, v);
}
