/* SPDX-License-Identifier: MIT */
/*
 * TOML 1.0 and the configuration (SPEC 5).  The parser takes everything that toml.io's 1.0.0 allows and refuses the rest with its
 * place; memory grows only with the text, nesting ends at JSON_DEPTH.  Where 1.0.0 leaves the choice: line ends inside strings
 * stay as they are, and a float beyond a double is inf.  The configuration is the file's known keys, each checked where it
 * stands, under those that the environment names.  An empty variable counts as not set.
 */
#include "labtasker.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* How a table or array came to be says who may add to it; kept in tag, behind the kinds of scalars. */
enum {
	IMPLICIT = TOML_TIME + 1,  /* table: part of a header's path; may get a header of its own, once */
	HEADED,                    /* table: by its own header */
	DOTTED,                    /* table: by a dotted key; may get more of them, and tables below it, but no header */
	CLOSED,                    /* written out in one place: nothing may be added */
	TABLES                     /* array: by [[headers]] */
};

enum { MAX_FILE = 1 << 20, MAX_SECRET = 64 << 10 };

struct spot {
	const struct json *v;
	size_t pos, end;           /* end: 0 unless the value is written there */
};
struct toml {
	const char *start, *p, *end;
	struct json_doc *d;
	struct json *table;        /* that of the last header */
	int depth;                 /* its depth */
	struct buf text;           /* scratch: the last string or number, escapes and underscores resolved */
	struct spot *spot;         /* where each value stands; for conf_load's messages */
	size_t nspot, cap;
	size_t header;             /* where the first [header] stands; SIZE_MAX: nowhere */
	struct err *e;
};

static struct json *value(struct toml *t, int depth);

static int
bad(struct toml *t, const char *at, const char *what)
{
	return err_at(t->e, 1, (size_t)(at - t->start), "%s", what);
}

/* The byte at p, -1 at the end. */
static int
peek(const struct toml *t)
{
	return t->p < t->end ? (unsigned char)*t->p : -1;
}

/* The length of the line end at p, 0 when there is none. */
static size_t
eol(const struct toml *t)
{
	if (peek(t) == '\n')
		return 1;
	return t->end - t->p > 1 && t->p[0] == '\r' && t->p[1] == '\n' ? 2 : 0;
}

static bool
control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static bool
digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool
bare(int c)
{
	return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

static void
skip_space(struct toml *t)
{
	while (peek(t) == ' ' || peek(t) == '\t')
		t->p++;
}

static int
skip_comment(struct toml *t)
{
	if (peek(t) != '#')
		return 0;
	for (; t->p < t->end && !eol(t); t->p++)
		if (control(*t->p))
			return bad(t, t->p, "a control character in a comment");
	return 0;
}

/* Space, comments and line ends, as arrays may have them. */
static int
skip_blank(struct toml *t)
{
	size_t n;

	do {
		skip_space(t);
		if (skip_comment(t) < 0)
			return -1;
		n = eol(t);
		t->p += n;
	} while (n);
	return 0;
}

static int
end_line(struct toml *t)
{
	size_t n;

	skip_space(t);
	if (skip_comment(t) < 0)
		return -1;
	n = eol(t);
	if (!n && t->p < t->end)
		return bad(t, t->p, "the end of the line is expected here");
	t->p += n;
	return 0;
}

static void
put_spot(struct toml *t, const struct json *v, const char *at)
{
	if (t->nspot == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 32;
		t->spot = xrealloc(t->spot, t->cap * sizeof *t->spot);
	}
	t->spot[t->nspot++] = (struct spot){v, (size_t)(at - t->start), 0};
}

/* ---- strings ---- */

/* \uXXXX, \UXXXXXXXX: p is behind the letter. */
static int
code_point(struct toml *t, const char *from, int n)
{
	uint32_t cp = 0;
	char out[4];

	for (; n; n--, t->p++) {
		int v = hex_digit(peek(t));

		if (v < 0)
			return bad(t, from, "\\u wants four hexadecimal digits, \\U eight");
		cp = cp << 4 | (uint32_t)v;
	}
	if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
		return bad(t, from, "no character has this number");
	buf_add(&t->text, out, utf8_put(out, cp));
	return 0;
}

/* A backslash at the end of a line swallows all white space up to the next text. */
static bool
join_lines(struct toml *t)
{
	const char *from = t->p;

	skip_space(t);
	if (!eol(t)) {
		t->p = from;
		return false;
	}
	for (size_t n; skip_space(t), (n = eol(t)) != 0;)
		t->p += n;
	return true;
}

static int
escape(struct toml *t, bool multi)
{
	static const char name[] = "btnfr\"\\", is[] = "\b\t\n\f\r\"\\";
	const char *from = t->p++, *found;
	int c;

	if (multi && join_lines(t))
		return 0;
	c = peek(t);
	t->p += c >= 0;
	if (c == 'u' || c == 'U')
		return code_point(t, from, c == 'u' ? 4 : 8);
	found = c > 0 ? strchr(name, c) : NULL;
	if (!found)
		return bad(t, from, "unknown escape: write \\\\ for a backslash, or '...' around the text");
	buf_addc(&t->text, is[found - name]);
	return 0;
}

/* Quotes within or at the end of a multi-line string: true when they close it.  Two may stand right before the closing three. */
static bool
quotes(struct toml *t, char q)
{
	int n = 0;

	while (n < 5 && peek(t) == q) {
		n++;
		t->p++;
	}
	for (int i = n < 3 ? n : n - 3; i > 0; i--)
		buf_addc(&t->text, q);
	return n >= 3;
}

/* A string of any of the four kinds, into text. */
static int
string(struct toml *t)
{
	const char *from = t->p, q = *from;
	bool multi = t->end - from > 2 && from[1] == q && from[2] == q;

	buf_reserve(&t->text, 1);
	buf_clear(&t->text);
	t->p += multi ? 3 : 1;
	if (multi)
		t->p += eol(t);
	while (t->p < t->end) {
		size_t n = eol(t);

		if (*t->p == q && !multi) {
			t->p++;
			return 0;
		}
		if (*t->p == q) {
			if (quotes(t, q))
				return 0;
		} else if (*t->p == '\\' && q == '"') {
			if (escape(t, multi) < 0)
				return -1;
		} else if (n && multi) {
			buf_add(&t->text, t->p, n);
			t->p += n;
		} else if (n) {
			break;
		} else if (control(*t->p)) {
			return bad(t, t->p, "a control character: write \\uXXXX in \"...\"");
		} else {
			buf_addc(&t->text, *t->p++);
		}
	}
	return bad(t, from, "the string is not closed");
}

static struct json *
made_string(struct toml *t)
{
	return json_mkstr(t->d, (struct str){t->text.p, t->text.len});
}

/* ---- numbers, times, words ---- */

/* Digits with single underscores between them, appended to text without those.  The end, NULL when there are none. */
static const char *
digits(struct buf *b, const char *p, const char *end, int base)
{
	bool was = false;

	for (; p < end; p++) {
		int v = hex_digit((unsigned char)*p);

		if (*p == '_' && was) {
			was = false;
			continue;
		}
		if (v < 0 || v >= base)
			break;
		buf_addc(b, *p);
		was = true;
	}
	return was ? p : NULL;
}

static struct json *
real(struct toml *t, double v)
{
	struct json *j = isinf(v) ? json_mkstr(t->d, str_of(v < 0 ? "-inf" : "inf")) : json_mkdouble(t->d, v);

	j->tag = TOML_FLOAT;
	return j;
}

static struct json *
integer(struct toml *t, int64_t v)
{
	struct json *j = json_mkint(t->d, v);

	j->tag = TOML_INTEGER;
	return j;
}

/* 0x1f, 0o17, 0b11; s is longer than its prefix's letter. */
static struct json *
based(struct toml *t, struct str s, int base)
{
	const char *end = digits(&t->text, s.p + 2, s.p + s.n, base);
	uint64_t u = 0;

	if (end != s.p + s.n) {
		bad(t, s.p, "not a number");
		return NULL;
	}
	for (size_t i = 0; i < t->text.len; i++) {
		uint64_t v = (uint64_t)hex_digit((unsigned char)t->text.p[i]);

		if (u > (INT64_MAX - v) / (uint64_t)base) {
			bad(t, s.p, "the integer does not fit in 64 bits");
			return NULL;
		}
		u = u * (uint64_t)base + v;
	}
	return integer(t, (int64_t)u);
}

/* The decimal number that all of s must be, into text; sets *whole for integers. */
static bool
decimal(struct toml *t, struct str s, bool *whole)
{
	const char *p = s.p, *end = s.p + s.n, *first;

	if (p < end && (*p == '-' || *p == '+'))
		buf_addc(&t->text, *p++);
	first = p;
	p = digits(&t->text, p, end, 10);
	if (!p || (*first == '0' && p > first + 1))
		return false;
	*whole = p == end;
	if (p < end && *p == '.') {
		buf_addc(&t->text, '.');
		p = digits(&t->text, p + 1, end, 10);
	}
	if (p && p < end && (*p == 'e' || *p == 'E')) {
		buf_addc(&t->text, *p++);
		if (p < end && (*p == '-' || *p == '+'))
			buf_addc(&t->text, *p++);
		p = digits(&t->text, p, end, 10);
	}
	return p == end;
}

static struct json *
number(struct toml *t, struct str s)
{
	size_t sign = s.p[0] == '-' || s.p[0] == '+';
	struct str word = {s.p + sign, s.n - sign};
	int base = s.n < 3 || s.p[0] != '0' ? 0 : s.p[1] == 'x' ? 16 : s.p[1] == 'o' ? 8 : s.p[1] == 'b' ? 2 : 0;
	struct json *j;
	bool whole;
	int64_t v;

	buf_clear(&t->text);
	if (str_is(word, "inf"))
		return real(t, s.p[0] == '-' ? -HUGE_VAL : HUGE_VAL);
	if (str_is(word, "nan")) {
		j = json_mkstr(t->d, word);
		j->tag = TOML_FLOAT;
		return j;
	}
	if (base)
		return based(t, s, base);
	if (!decimal(t, s, &whole)) {
		bad(t, s.p, "not a value: texts stand in quotes");
		return NULL;
	}
	if (!whole)
		return real(t, strtod(t->text.p, NULL));
	if (!parse_int((struct str){t->text.p, t->text.len}, &v))
		return integer(t, v);
	bad(t, s.p, "the integer does not fit in 64 bits");
	return NULL;
}

/* Exactly n digits with a value in lo..hi; *s moves behind them. */
static bool
field(struct str *s, size_t n, int lo, int hi, int *out)
{
	int v = 0;

	if (s->n < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!digit((unsigned char)s->p[i]))
			return false;
		v = v * 10 + (s->p[i] - '0');
	}
	s->p += n;
	s->n -= n;
	*out = v;
	return v >= lo && v <= hi;
}

/* One byte out of set; *s moves behind it. */
static bool
mark(struct str *s, const char *set)
{
	if (!s->n || !s->p[0] || !strchr(set, s->p[0]))
		return false;
	s->p++;
	s->n--;
	return true;
}

static bool
is_date(struct str *s)
{
	int y, m, d;

	if (!field(s, 4, 0, 9999, &y) || !mark(s, "-") || !field(s, 2, 1, 12, &m) || !mark(s, "-") || !field(s, 2, 1, 31, &d))
		return false;
	return d <= date_month_days(y, m);
}

static bool
is_time(struct str *s)
{
	int v;

	if (!field(s, 2, 0, 23, &v) || !mark(s, ":") || !field(s, 2, 0, 59, &v) || !mark(s, ":") || !field(s, 2, 0, 60, &v))
		return false;
	if (!mark(s, "."))
		return true;
	if (!mark(s, "0123456789"))
		return false;
	while (mark(s, "0123456789"))
		;
	return true;
}

static bool
is_offset(struct str *s)
{
	int v;

	return mark(s, "Zz") || (mark(s, "+-") && field(s, 2, 0, 23, &v) && mark(s, ":") && field(s, 2, 0, 59, &v));
}

/* The kind of the date or time that all of s is, 0 when it is none. */
static unsigned char
moment(struct str s)
{
	if (s.n > 2 && s.p[2] == ':')
		return is_time(&s) && !s.n ? TOML_TIME : 0;
	if (!is_date(&s))
		return 0;
	if (!s.n)
		return TOML_DATE;
	if (!mark(&s, "Tt ") || !is_time(&s))
		return 0;
	if (!s.n)
		return TOML_LOCAL;
	return is_offset(&s) && !s.n ? TOML_DATETIME : 0;
}

/* The bytes that may belong to a number, time or word; a space between date and time is one of them. */
static struct str
token(struct toml *t)
{
	struct str s = {t->p, 0};

	for (; t->p < t->end; t->p++) {
		int c = peek(t);
		bool dated = c == ' ' && t->p - s.p == 10 && s.p[4] == '-' && s.p[7] == '-';

		if (!bare(c) && c != '+' && c != '.' && c != ':' && !(dated && t->end - t->p > 1 && digit((unsigned char)t->p[1])))
			break;
	}
	s.n = (size_t)(t->p - s.p);
	return s;
}

static struct json *
scalar(struct toml *t)
{
	struct str s = token(t);
	struct json *j;
	unsigned char kind;

	if (!s.n) {
		bad(t, t->p, "a value is expected here");
		return NULL;
	}
	if (str_is(s, "true") || str_is(s, "false")) {
		j = json_mkbool(t->d, s.n == 4);
		j->tag = TOML_BOOL;
		return j;
	}
	if ((s.n > 2 && s.p[2] == ':') || (s.n > 4 && s.p[4] == '-' && digit((unsigned char)s.p[3]))) {
		kind = moment(s);
		if (!kind) {
			bad(t, s.p, "not a date or time: 2026-01-31, 07:32:00, 2026-01-31T07:32:00Z");
			return NULL;
		}
		j = json_mkstr(t->d, s);
		j->tag = kind;
		return j;
	}
	return number(t, s);
}

/* ---- keys and tables ---- */

/* One part of a key, made a string value of the document. */
static struct json *
key_part(struct toml *t)
{
	const char *from = t->p;

	if (peek(t) == '"' || peek(t) == '\'') {
		if (t->end - from > 2 && from[1] == *from && from[2] == *from) {
			bad(t, from, "a key is no multi-line string");
			return NULL;
		}
		return string(t) < 0 ? NULL : made_string(t);
	}
	while (bare(peek(t)))
		t->p++;
	if (t->p > from)
		return json_mkstr(t->d, (struct str){from, (size_t)(t->p - from)});
	bad(t, from, "a key is expected here: letters, digits, _ and -, or a text in quotes");
	return NULL;
}

/* The table below table that key leads to, made when missing. */
static struct json *
step(struct toml *t, struct json *table, struct str key, bool header, const char *at)
{
	struct json *v = json_get(table, key);

	if (!v) {
		v = json_mkobj(t->d);
		v->tag = header ? IMPLICIT : DOTTED;
		json_set(t->d, table, key, v);
		put_spot(t, v, at);
		return v;
	}
	if (header && v->tag == TABLES)
		return v->tail;
	if (v->type != JSON_OBJ || v->tag == CLOSED || (!header && v->tag == HEADED)) {
		bad(t, at, "this key is there already and cannot be added to here");
		return NULL;
	}
	if (!header)
		v->tag = DOTTED;
	return v;
}

/* A dotted key.  Returns the table of its last part, which is *last at *at. */
static struct json *
key_path(struct toml *t, struct json *table, bool header, struct json **last, const char **at, int *depth)
{
	while (table) {
		skip_space(t);
		*at = t->p;
		*last = key_part(t);
		if (!*last)
			return NULL;
		if (++*depth > JSON_DEPTH) {
			bad(t, *at, "nested too deep");
			return NULL;
		}
		skip_space(t);
		if (peek(t) != '.')
			break;
		t->p++;
		table = step(t, table, (struct str){(*last)->s, (*last)->len}, header, *at);
	}
	return table;
}

static int
key_value(struct toml *t, struct json *table, int depth)
{
	struct json *last, *v;
	const char *at;

	table = key_path(t, table, false, &last, &at, &depth);
	if (!table)
		return -1;
	if (json_get(table, (struct str){last->s, last->len}))
		return bad(t, at, "this key is there already");
	if (peek(t) != '=')
		return bad(t, t->p, "= is expected here");
	t->p++;
	skip_space(t);
	v = value(t, depth);
	if (!v)
		return -1;
	json_set(t->d, table, (struct str){last->s, last->len}, v);
	return 0;
}

/* [a.b] or [[a.b]]. */
static int
header(struct toml *t)
{
	bool list = t->end - t->p > 1 && t->p[1] == '[';
	struct json *last, *table, *v;
	struct str key;
	const char *at;

	t->p += list ? 2 : 1;
	t->depth = list;
	table = key_path(t, t->d->root, true, &last, &at, &t->depth);
	if (!table)
		return -1;
	for (int i = list ? 2 : 1; i > 0; i--, t->p++)
		if (peek(t) != ']')
			return bad(t, t->p, list ? "]] is expected here" : "] is expected here");
	key = (struct str){last->s, last->len};
	v = json_get(table, key);
	if (v && v->tag != (list ? TABLES : IMPLICIT))
		return bad(t, at, "this table is there already");
	if (!v) {
		v = list ? json_mkarr(t->d) : json_mkobj(t->d);
		json_set(t->d, table, key, v);
		put_spot(t, v, at);
	}
	t->table = v;
	if (list) {
		v->tag = TABLES;
		t->table = json_mkobj(t->d);
		json_push(v, t->table);
	}
	t->table->tag = HEADED;
	return 0;
}

static struct json *
array(struct toml *t, int depth)
{
	struct json *arr = json_mkarr(t->d), *v;

	arr->tag = CLOSED;
	t->p++;
	for (;;) {
		if (skip_blank(t) < 0)
			return NULL;
		if (peek(t) == ']')
			break;
		v = value(t, depth);
		if (!v)
			return NULL;
		json_push(arr, v);
		if (skip_blank(t) < 0)
			return NULL;
		if (peek(t) != ',' && peek(t) != ']') {
			bad(t, t->p, ", or ] is expected here");
			return NULL;
		}
		t->p += peek(t) == ',';
	}
	t->p++;
	return arr;
}

static struct json *
inline_table(struct toml *t, int depth)
{
	struct json *obj = json_mkobj(t->d);

	obj->tag = CLOSED;
	t->p++;
	skip_space(t);
	if (peek(t) == '}') {
		t->p++;
		return obj;
	}
	do {
		if (key_value(t, obj, depth) < 0)
			return NULL;
		skip_space(t);
	} while (peek(t) == ',' && t->p++);
	if (peek(t) != '}') {
		bad(t, t->p, ", or } is expected here, on the same line");
		return NULL;
	}
	t->p++;
	return obj;
}

static struct json *
value(struct toml *t, int depth)
{
	const char *at = t->p;
	struct json *v;

	if (depth > JSON_DEPTH) {
		bad(t, at, "nested too deep");
		return NULL;
	}
	switch (peek(t)) {
	case '"':
	case '\'':
		if (string(t) < 0)
			return NULL;
		v = made_string(t);
		v->tag = TOML_STRING;
		break;
	case '[':
		v = array(t, depth + 1);
		break;
	case '{':
		v = inline_table(t, depth);
		break;
	default:
		v = scalar(t);
	}
	if (v) {
		put_spot(t, v, at);
		t->spot[t->nspot - 1].end = (size_t)(t->p - t->start);
	}
	return v;
}

/* The byte order mark goes; bytes that are no UTF-8 are found before all else. */
static int
check_text(struct toml *t)
{
	uint32_t cp;

	for (const char *p = t->p; p < t->end;) {
		size_t n = utf8_get(p, (size_t)(t->end - p), &cp);

		if (!n)
			return bad(t, p, "not UTF-8");
		p += n;
	}
	if (t->end - t->p > 2 && !memcmp(t->p, "\xef\xbb\xbf", 3))
		t->p += 3;
	return 0;
}

static int
document(struct toml *t)
{
	if (check_text(t) < 0)
		return -1;
	t->table = t->d->root = json_mkobj(t->d);
	t->table->tag = HEADED;
	while (t->p < t->end) {
		int rc = 0;

		skip_space(t);
		if (peek(t) == '[' && t->header == SIZE_MAX)
			t->header = (size_t)(t->p - t->start);
		if (peek(t) == '[')
			rc = header(t);
		else if (t->p < t->end && peek(t) != '#' && !eol(t))
			rc = key_value(t, t->table, t->depth);
		if (rc < 0 || end_line(t) < 0)
			return -1;
	}
	return 0;
}

/* Leaves the document, NULL on failure, and the places in t. */
static int
parse(struct toml *t, const char *p, size_t n, struct err *e)
{
	int rc;

	*t = (struct toml){.start = p, .p = p, .end = p + n, .header = SIZE_MAX, .d = json_new(), .e = e};
	rc = document(t);
	buf_free(&t->text);
	if (rc < 0) {
		json_free(t->d);
		t->d = NULL;
		if (e)
			err_locate(e, p, n);
	}
	return rc;
}

struct json_doc *
toml_parse(const char *p, size_t n, struct err *e)
{
	struct toml t;

	parse(&t, p ? p : "", n, e);
	free(t.spot);
	return t.d;
}

/* ---- changing one value ---- */

static const struct spot *
spot_of(const struct toml *t, const struct json *v)
{
	for (size_t i = 0; i < t->nspot; i++)
		if (t->spot[i].v == v)
			return &t->spot[i];
	return NULL;
}

static void
splice(struct buf *b, size_t from, size_t to, const char *text)
{
	struct buf tail = {0};

	if (to < b->len)
		buf_add(&tail, b->p + to, b->len - to);
	b->len = from;
	buf_adds(b, text);
	if (tail.len)
		buf_add(b, tail.p, tail.len);
	buf_free(&tail);
}

/* A line of its own at a place where lines begin, or behind a last one that has no end. */
static void
splice_line(struct buf *b, size_t at, const char *section, const char *key, const char *text)
{
	const char *nl = b->len && memchr(b->p, '\r', b->len) ? "\r\n" : "\n";
	bool open = at && b->p[at - 1] != '\n';
	char *line = xprintf("%s%s%s%s = %s%s", open ? nl : "", section, *section ? "." : "", key, text, nl);

	splice(b, at, at, line);
	free(line);
}

static size_t
behind_line(const struct buf *b, size_t at)
{
	const char *nl = memchr(b->p + at, '\n', b->len - at);

	return nl ? (size_t)(nl - b->p) + 1 : b->len;
}

/* The key is new in a table that is there. */
static void
add_key(struct buf *b, const struct toml *t, const struct json *table, const char *section, const char *key, const char *text)
{
	const struct spot *at = spot_of(t, table);
	size_t top = t->header == SIZE_MAX ? b->len : t->header;
	char *more;

	if (!*section) {
		splice_line(b, top, "", key, text);
	} else if (at && table->tag == CLOSED) {
		more = xprintf("%s%s = %s", table->len ? ", " : "", key, text);
		splice(b, at->end - 1, at->end - 1, more);
		free(more);
	} else if (at && table->tag == HEADED) {
		splice_line(b, behind_line(b, at->pos), "", key, text);
	} else if (table->tag == DOTTED) {
		splice_line(b, top, section, key, text);
	} else {
		more = xprintf("[%s]\n%s", section, key);
		splice_line(b, b->len, "", more, text);
		free(more);
	}
}

int
toml_set(struct buf *b, const char *section, const char *key, const char *text, struct err *e)
{
	const struct json *table, *v;
	const struct spot *at;
	struct toml t;
	char *head;
	int rc = parse(&t, b->p ? b->p : "", b->len, e);

	if (rc < 0)
		goto out;
	table = *section ? json_gets(t.d->root, section) : t.d->root;
	v = table && table->type == JSON_OBJ ? json_gets(table, key) : NULL;
	at = v ? spot_of(&t, v) : NULL;
	if ((table && table->type != JSON_OBJ) || (v && (!at || !at->end))) {
		rc = err_set(e, 1, "%s%s%s is a table there", section, v && *section ? "." : "", v ? key : "");
	} else if (at) {
		splice(b, at->pos, at->end, text);
	} else if (table) {
		add_key(b, &t, table, section, key, text);
	} else {
		head = xprintf("%s[%s]\n%s", b->len ? "\n" : "", section, key);
		splice_line(b, b->len, "", head, text);
		free(head);
	}
out:
	json_free(t.d);
	free(t.spot);
	return rc;
}

/* A string's text; s is UTF-8. */
static void
quote(struct buf *b, struct str s)
{
	buf_addc(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			buf_addc(b, '\\');
		if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\u%04x", c);
		else
			buf_addc(b, (char)c);
	}
	buf_addc(b, '"');
}

int
toml_settext(struct buf *b, const char *section, const char *key, const char *s, struct err *e)
{
	struct buf quoted = {0};
	int rc;

	quote(&quoted, str_of(s));
	rc = toml_set(b, section, key, quoted.p, e);
	buf_wipe(&quoted);
	return rc;
}

/* ---- the configuration ---- */

/* Replaces *to by the text; what a C string cannot hold is refused. */
static const char *
set_text(char **to, const struct json *v, const char *what)
{
	if (v->tag != TOML_STRING || strlen(v->s) != v->len)
		return what;
	free(*to);
	*to = xmemdup(v->s, v->len);
	return NULL;
}

static const char *
set_url(struct conf *c, const struct json *v)
{
	static const char *const scheme[] = {"http://", "https://", "unix:"};
	static const char what[] = "must be the server's address: http://HOST:PORT, https://HOST or unix:PATH";

	for (size_t i = 0; i < LEN(scheme); i++)
		if (v->tag == TOML_STRING && !strncmp(v->s, scheme[i], strlen(scheme[i])) && v->s[strlen(scheme[i])])
			return set_text(&c->url, v, what);
	return what;
}

static const char *
set_cacert(struct conf *c, const struct json *v)
{
	static const char what[] = "must be a file or a directory of certificates";

	return v->len ? set_text(&c->cacert, v, what) : what;
}

static const char *
set_pin(struct conf *c, const struct json *v)
{
	static const char what[] = "must be sha256:DIGEST of the server's key or certificate";

	return v->len ? set_text(&c->pin, v, what) : what;
}

static const char *
set_queue(struct conf *c, const struct json *v)
{
	static const char what[] = "must be a queue's name: 1 to 100 letters, digits, _ and -";

	return v->tag == TOML_STRING && name_valid((struct str){v->s, v->len}) ? set_text(&c->queue, v, what) : what;
}

static const char *
set_password(struct conf *c, const struct json *v)
{
	static const char what[] = "must be a password of 1 to 100 characters";

	return v->tag == TOML_STRING && password_valid((struct str){v->s, v->len}) ? set_text(&c->password, v, what) : what;
}

static const char *
set_heartbeat(struct conf *c, const struct json *v)
{
	double s = v->type == JSON_NUM ? json_num(v) : 0;

	if (!(s > 0 && s <= 1e9))
		return "must be a number of seconds above 0";
	c->heartbeat = s;
	return NULL;
}

static const char *
set_filter(struct conf *c, const struct json *v)
{
	if (v->tag != TOML_BOOL)
		return "must be true or false";
	c->filter_traceback = v->is;
	return NULL;
}

static const char *
set_notify(struct conf *c, const struct json *v)
{
	static const char *const level[] = {"low", "medium", "high", "none"};

	for (size_t i = 0; i < LEN(level); i++) {
		if (v->tag == TOML_STRING && str_is((struct str){v->s, v->len}, level[i])) {
			c->notify = (int)i;
			return NULL;
		}
	}
	return "must be \"low\", \"medium\", \"high\" or \"none\"";
}

static const struct known {
	const char *section, *key, *env;
	const char *(*set)(struct conf *c, const struct json *v);   /* what is wrong with v, NULL when it was taken */
} known[] = {
	{"endpoint", "api_base_url", "LABTASKER_API_BASE_URL", set_url},
	{"endpoint", "cacert", "LABTASKER_CACERT", set_cacert},
	{"endpoint", "pin", "LABTASKER_PIN", set_pin},
	{"queue", "queue_name", "LABTASKER_QUEUE_NAME", set_queue},
	{"queue", "password", "LABTASKER_PASSWORD", set_password},
	{"task", "heartbeat_interval", NULL, set_heartbeat},
	{NULL, "enable_traceback_filter", NULL, set_filter},
	{NULL, "display_server_notifications_level", NULL, set_notify},
};

bool
conf_known(const char *section, const char *key)
{
	for (size_t i = 0; i < LEN(known); i++)
		if (!strcmp(section, known[i].section ? known[i].section : "") && !strcmp(key, known[i].key))
			return true;
	return !*section && !strcmp(key, "version_check");   /* the Python package's own */
}

/* FILE:LINE:COLUMN: what. */
static int
wrong(const struct conf *c, struct err *e, const struct err *at, const char *key, const char *what)
{
	err_set(e, EXIT_USAGE, "%s:%lu:%lu: %s%s%s", c->file, (unsigned long)at->line, (unsigned long)at->col, key, *key ? " " : "",
	    what);
	if (e && !e->line) {
		e->line = at->line;
		e->col = at->col;
		e->pos = at->pos;
	}
	return -1;
}

static int
wrong_value(const struct conf *c, const struct toml *t, const struct json *v, const char *key, const char *what, struct err *e)
{
	const struct spot *spot = spot_of(t, v);
	struct err at = {0};

	at.pos = spot ? spot->pos : 0;
	err_locate(&at, t->start, (size_t)(t->end - t->start));
	return wrong(c, e, &at, key, what);
}

static int
take_file(struct conf *c, const struct toml *t, struct err *e)
{
	for (size_t i = 0; i < LEN(known); i++) {
		const struct known *k = &known[i];
		const struct json *table = k->section ? json_gets(t->d->root, k->section) : t->d->root, *v;
		const char *what;

		if (!table)
			continue;
		if (table->type != JSON_OBJ)
			return wrong_value(c, t, table, k->section, "must be a table", e);
		v = json_gets(table, k->key);
		what = v ? k->set(c, v) : NULL;
		if (what)
			return wrong_value(c, t, v, k->key, what, e);
	}
	if (c->url)
		c->url_from = CONF_FILE;
	return 0;
}

static int
take_text(struct conf *c, struct str text, struct err *e)
{
	struct err why = {0};
	struct toml t;
	int rc = parse(&t, text.p, text.n, &why) < 0 ? wrong(c, e, &why, "", why.msg) : take_file(c, &t, e);

	json_free(t.d);
	free(t.spot);
	return rc;
}

static int
load_file(struct conf *c, struct err *e)
{
	struct err why = {0};
	struct buf b = {0};
	int rc;

	if (sys_slurp(c->file, MAX_FILE, &b, &why) < 0)
		rc = why.code == ENOENT || why.code == ENOTDIR ? 0 : err_set(e, EXIT_USAGE, "%s%s", why.msg,
		    why.code == EACCES ? " (LABTASKER_ROOT can name another place)" : "");
	else
		rc = take_text(c, (struct str){b.p ? b.p : "", b.len}, e);
	buf_free(&b);
	return rc;
}

int
conf_check(const char *file, struct str text, struct err *e)
{
	struct conf c = {.file = xstrdup(file)};
	int rc = take_text(&c, text, e);

	conf_free(&c);
	return rc;
}

/* An environment variable, NULL when it is not set or empty. */
static const char *
env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static int
take_env(struct conf *c, const struct known *k, const char *name, struct str text, struct err *e)
{
	struct json v = {.type = JSON_STR, .tag = TOML_STRING, .s = text.p, .len = text.n};
	const char *what = k->set(c, &v);

	return what ? err_set(e, EXIT_USAGE, "%s: %s", name, what) : 0;
}

static int
load_env(struct conf *c, struct err *e)
{
	for (size_t i = 0; i < LEN(known); i++) {
		const char *text = known[i].env ? env(known[i].env) : NULL;

		if (text && take_env(c, &known[i], known[i].env, str_of(text), e) < 0)
			return -1;
		if (text && known[i].set == set_url)
			c->url_from = CONF_ENV;
	}
	return 0;
}

/* LABTASKER_PASSWORD itself wins over a file that the same environment names. */
static int
load_password_file(struct conf *c, struct err *e)
{
	static const char name[] = "LABTASKER_PASSWORD_FILE";
	static const struct known k = {.set = set_password};
	const char *path = env(name);
	struct err why = {0};
	struct buf b = {0};
	int rc;

	if (!path || env("LABTASKER_PASSWORD"))
		return 0;
	if (sys_slurp(path, MAX_SECRET, &b, &why) < 0) {
		rc = err_set(e, EXIT_USAGE, "%s: %s", name, why.msg);
	} else {
		size_t n = b.len ? strcspn(b.p, "\n") : 0;

		if (n && b.p[n - 1] == '\r')
			n--;
		buf_reserve(&b, 1);
		b.p[n] = 0;
		rc = take_env(c, &k, name, (struct str){b.p, n}, e);
	}
	buf_wipe(&b);
	return rc;
}

/* The root as it will be found from anywhere, once it is there. */
static char *
find_root(void)
{
	const char *root = env("LABTASKER_ROOT");
	struct stat st;

	if (!root)
		root = ".labtasker";
	return stat(root, &st) < 0 ? xstrdup(root) : sys_absolute(root);
}

void
conf_find(struct conf *c)
{
	*c = (struct conf){.heartbeat = 30, .filter_traceback = true, .notify = 1};
	c->root = find_root();
	c->file = xprintf("%s/client.toml", c->root);
}

int
conf_load(struct conf *c, struct err *e)
{
	conf_find(c);
	return load_file(c, e) < 0 || load_env(c, e) < 0 || load_password_file(c, e) < 0 ? -1 : 0;
}

void
conf_free(struct conf *c)
{
	free(c->root);
	free(c->file);
	free(c->url);
	free(c->cacert);
	free(c->pin);
	free(c->queue);
	if (c->password)
		wipe(c->password, strlen(c->password));
	free(c->password);
	*c = (struct conf){0};
}
