/* SPDX-License-Identifier: MIT */
/*
 * Values as people type them (SPEC 6): Python's literals with JSON's beside them.  Numbers keep their digits and are written as
 * JSON wants them (1_000, 0x10, 1. and .5 become 1000, 16, 1.0 and 0.5); tuples are lists.  What JSON cannot hold (sets, bytes,
 * complex numbers, keys that are no text, inf) and what nests deeper than DEPTH is no literal: the caller keeps it as a text.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum {
	DEPTH = 200,       /* Python's own parser ends there */
	DIGITS = 310       /* no double has more before its point */
};

struct literal {
	struct json_doc *d;
	const char *p, *end;
	int depth;
	const char *why;   /* what is wrong with a number or text */
};

static struct json *value(struct literal *l);

static int
peek(const struct literal *l)
{
	return l->p < l->end ? (unsigned char)*l->p : -1;
}

static bool
take(struct literal *l, int c)
{
	if (peek(l) != c)
		return false;
	l->p++;
	return true;
}

static void
skip(struct literal *l)
{
	while (l->p < l->end && *l->p && strchr(" \t\r\n\f", *l->p))
		l->p++;
}

static bool
digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool
letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* ---- numbers ---- */

/* Digits with single underscores between them, without those; false when an underscore stands elsewhere.  There may be none. */
static bool
digits(struct literal *l, int base, struct buf *b)
{
	bool was = false, lone = false;

	for (;; l->p++) {
		int c = peek(l), v = hex_digit(c);

		if (c == '_' && was) {
			was = false;
			lone = true;
			continue;
		}
		if (c < 0 || v < 0 || v >= base)
			return !lone;
		buf_addc(b, (char)c);
		was = true;
		lone = false;
	}
}

/* Appends in decimal what stands in digits of base in s. */
static bool
to_decimal(struct str s, int base, struct buf *b)
{
	unsigned char dec[DIGITS] = {0};   /* the lowest first */
	size_t n = 1;

	for (size_t i = 0; i < s.n; i++) {
		int carry = hex_digit((unsigned char)s.p[i]);

		for (size_t k = 0; k < n; k++) {
			carry += dec[k] * base;
			dec[k] = (unsigned char)(carry % 10);
			carry /= 10;
		}
		for (; carry; carry /= 10) {
			if (n == DIGITS)
				return false;
			dec[n++] = (unsigned char)(carry % 10);
		}
	}
	while (n)
		buf_addc(b, (char)('0' + dec[--n]));
	return true;
}

static bool
based(struct literal *l, int base, struct buf *b)
{
	struct buf text = {0};
	bool ok;

	l->p += 2;
	take(l, '_');
	ok = digits(l, base, &text) && text.len && to_decimal((struct str){text.p, text.len}, base, b);
	buf_free(&text);
	return ok;
}

/* The digits before the point: Python has no leading zeros but in 0, 00 and floats. */
static bool
whole(struct literal *l, struct buf *b, bool *padded)
{
	size_t from = b->len, zeros = 0, n;

	if (!digits(l, 10, b))
		return false;
	n = b->len - from;
	while (zeros + 1 < n && b->p[from + zeros] == '0')
		zeros++;
	*padded = zeros && b->p[from + zeros] != '0';
	if (zeros) {
		memmove(b->p + from, b->p + from + zeros, n - zeros);
		b->len -= zeros;
	}
	if (!n)
		buf_addc(b, '0');
	return true;
}

static bool
decimal(struct literal *l, struct buf *b)
{
	const char *from = l->p;
	bool padded, point, power;
	size_t before;

	if (!whole(l, b, &padded))
		return false;
	point = peek(l) == '.';
	if (!digit((unsigned char)*from) && !point)
		return false;
	if (point) {
		l->p++;
		buf_addc(b, '.');
		before = b->len;
		if (!digits(l, 10, b) || (b->len == before && l->p == from + 1))
			return false;
		if (b->len == before)
			buf_addc(b, '0');
	}
	power = take(l, 'e') || take(l, 'E');
	if (power) {
		buf_addc(b, 'e');
		if (peek(l) == '-' || peek(l) == '+')
			buf_addc(b, *l->p++);
		before = b->len;
		if (!digits(l, 10, b) || b->len == before)
			return false;
	}
	return !padded || point || power;
}

static struct json *
number(struct literal *l)
{
	struct buf b = {0};
	struct json *v = NULL;
	double real;
	int base = 0;
	bool ok;

	if (take(l, '-'))
		buf_addc(&b, '-');
	else
		take(l, '+');
	if (l->end - l->p > 1 && *l->p == '0')
		base = (l->p[1] | 0x20) == 'x' ? 16 : (l->p[1] | 0x20) == 'o' ? 8 : (l->p[1] | 0x20) == 'b' ? 2 : 0;
	ok = peek(l) >= 0 && (base ? based(l, base, &b) : decimal(l, &b));
	if (ok && !parse_float((struct str){b.p, b.len}, &real))
		v = json_mknum(l->d, (struct str){b.p, b.len});
	else
		l->why = ok ? "this number is beyond a double" : "this is no number: 10, 1_000, 0x10, 1.5 and 1e3 are";
	buf_free(&b);
	return v;
}

/* ---- texts ---- */

/* n hexadecimal digits, -1 when they are not there. */
static long
hex_digits(struct literal *l, int n)
{
	long v = 0;

	for (; n; n--, l->p++) {
		int c = hex_digit(peek(l));

		if (c < 0)
			return -1;
		v = v << 4 | c;
	}
	return v;
}

static bool
put_char(struct buf *b, long cp)
{
	char out[4];

	if (cp < 0 || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
		return false;
	buf_add(b, out, utf8_put(out, (uint32_t)cp));
	return true;
}

/* \uXXXX; two of them may be a surrogate pair, as in JSON. */
static bool
code_unit(struct literal *l, struct buf *b)
{
	long high = hex_digits(l, 4), low;

	if (high < 0xd800 || high > 0xdbff)
		return put_char(b, high);
	if (!take(l, '\\') || !take(l, 'u'))
		return false;
	low = hex_digits(l, 4);
	return low >= 0xdc00 && low <= 0xdfff && put_char(b, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
}

static bool
octal(struct literal *l, struct buf *b)
{
	long v = 0;

	for (int n = 0; n < 3 && peek(l) >= '0' && peek(l) <= '7'; n++)
		v = v * 8 + (*l->p++ - '0');
	return put_char(b, v);
}

/* Behind a backslash.  An unknown escape is the two characters, as in Python; \/ in "..." is JSON's. */
static bool
escape(struct literal *l, char quote, struct buf *b)
{
	static const char name[] = "abfnrtv\\'\"", is[] = "\a\b\f\n\r\t\v\\'\"";
	int c = peek(l);
	const char *found = c > 0 ? strchr(name, c) : NULL;

	if (c >= '0' && c <= '7')
		return octal(l, b);
	if (c < 0 || c == 'N')
		return false;
	l->p++;
	if (found)
		buf_addc(b, is[found - name]);
	else if (c == 'x' || c == 'U')
		return put_char(b, hex_digits(l, c == 'x' ? 2 : 8));
	else if (c == 'u')
		return code_unit(l, b);
	else if (c == '\n')
		return true;
	else if (c == '/' && quote == '"')
		buf_addc(b, '/');
	else {
		buf_addc(b, '\\');
		buf_addc(b, (char)c);
	}
	return true;
}

/* One text in its quotes; p is at the first of them. */
static bool
quoted(struct literal *l, bool raw, struct buf *b)
{
	char q = *l->p;
	bool triple = l->end - l->p > 2 && l->p[1] == q && l->p[2] == q;

	l->p += triple ? 3 : 1;
	while (l->p < l->end) {
		char c = *l->p++;

		if (c == q && !triple)
			return true;
		if (c == q && l->end - l->p > 1 && l->p[0] == q && l->p[1] == q) {
			l->p += 2;
			return true;
		}
		if (c == '\n' && !triple)
			break;
		if (c == '\\' && raw) {
			buf_addc(b, c);
			if (l->p < l->end)
				buf_addc(b, *l->p++);
		} else if (c == '\\') {
			if (!escape(l, q, b)) {
				l->why = "this text holds a backslash before what is no escape of a character";
				return false;
			}
		} else {
			buf_addc(b, c);
		}
	}
	l->why = "this text has no closing quote";
	return false;
}

/* Where a text begins: its quote, maybe behind r or u.  *raw says which. */
static bool
text_begins(const struct literal *l, bool *raw)
{
	const char *p = l->p;
	char c = p < l->end ? *p : ' ';

	*raw = c == 'r' || c == 'R';
	if (*raw || c == 'u' || c == 'U')
		p++;
	return p < l->end && (*p == '"' || *p == '\'');
}

/* Texts side by side are one, in Python. */
static struct json *
text(struct literal *l)
{
	struct buf b = {0};
	struct json *v = NULL;
	bool raw;

	buf_reserve(&b, 1);
	do {
		if (!text_begins(l, &raw))
			goto out;
		l->p += *l->p != '"' && *l->p != '\'';
		if (!quoted(l, raw, &b))
			goto out;
		skip(l);
	} while (text_begins(l, &raw));
	v = json_mkstr(l->d, (struct str){b.p, b.len});
out:
	buf_free(&b);
	return v;
}

/* ---- lists, dicts, words ---- */

/* Values with commas between them up to close (-1: the end of the text); *comma: there was one. */
static struct json *
sequence(struct literal *l, int close, bool *comma)
{
	struct json *arr = json_mkarr(l->d), *v;

	*comma = false;
	for (;;) {
		skip(l);
		if (peek(l) == close)
			break;
		v = value(l);
		if (!v)
			return NULL;
		json_push(arr, v);
		skip(l);
		if (take(l, ','))
			*comma = true;
		else if (peek(l) != close)
			return NULL;
	}
	l->p += close >= 0;
	return arr;
}

static struct json *
list(struct literal *l)
{
	bool comma;

	l->p++;
	return sequence(l, ']', &comma);
}

/* A tuple, or a value in parentheses. */
static struct json *
tuple(struct literal *l)
{
	struct json *arr;
	bool comma;

	l->p++;
	arr = sequence(l, ')', &comma);
	return arr && arr->len == 1 && !comma ? json_copy(l->d, arr->head) : arr;
}

static struct json *
dict(struct literal *l)
{
	struct json *obj = json_mkobj(l->d), *key, *v;

	l->p++;
	for (;;) {
		skip(l);
		if (take(l, '}'))
			return obj;
		key = text(l);
		if (!key || !take(l, ':'))
			return NULL;
		skip(l);
		v = value(l);
		if (!v)
			return NULL;
		json_set(l->d, obj, (struct str){key->s, key->len}, v);
		skip(l);
		if (!take(l, ',') && peek(l) != '}')
			return NULL;
	}
}

static struct json *
word(struct literal *l)
{
	struct str s = {l->p, 0};

	while (letter(peek(l)) || digit(peek(l)))
		l->p++;
	s.n = (size_t)(l->p - s.p);
	if (str_is(s, "None") || str_is(s, "null"))
		return json_mknull(l->d);
	if (str_is(s, "True") || str_is(s, "true"))
		return json_mkbool(l->d, true);
	return str_is(s, "False") || str_is(s, "false") ? json_mkbool(l->d, false) : NULL;
}

static struct json *
value(struct literal *l)
{
	struct json *v;
	bool raw;
	int c = peek(l);

	if (++l->depth > DEPTH || c < 0)
		return NULL;
	if (text_begins(l, &raw))
		v = text(l);
	else if (c == '[')
		v = list(l);
	else if (c == '(')
		v = tuple(l);
	else if (c == '{')
		v = dict(l);
	else
		v = letter(c) ? word(l) : number(l);
	l->depth--;
	return v;
}

struct json *
literal_parse(struct json_doc *d, struct str s)
{
	struct literal l = {.d = d, .p = s.p, .end = s.p + s.n};
	struct json *v;
	bool comma;

	skip(&l);
	if (l.p == l.end || !utf8_valid(s.p, s.n))
		return NULL;
	v = sequence(&l, -1, &comma);   /* 1, 2 is a tuple */
	return v && !comma ? json_copy(d, v->head) : v;
}

struct json *
literal_scalar(struct json_doc *d, struct str s, size_t *used, struct err *e)
{
	struct literal l = {.d = d, .p = s.p, .end = s.p + s.n};
	bool raw;
	struct json *v = text_begins(&l, &raw) ? text(&l) : number(&l);

	*used = (size_t)(l.p - s.p);
	if (!v)
		err_set(e, EXIT_USAGE, "%s", l.why);
	return v;
}

struct json *
literal_dict(struct json_doc *d, const char *option, const char *s, struct err *e)
{
	struct json *v = literal_parse(d, str_of(s));
	struct json_doc *deep = v ? NULL : json_parse(s, strlen(s), NULL);   /* which nests deeper than Python reads */

	if (deep)
		v = json_copy(d, deep->root);
	json_free(deep);
	if (v && v->type == JSON_OBJ)
		return v;
	err_set(e, EXIT_USAGE, "Invalid value for %s: it must be a dict: '{\"key\": \"value\"}'", option);
	return NULL;
}

/* ---- words after -- ---- */

/* Whether a word that could be a value is an option of its own: --x, -x, but not -1, - or -.5. */
static bool
option(const char *w)
{
	return w[0] == '-' && (letter((unsigned char)w[1]) || (w[1] == '-' && w[2]));
}

int
literal_put(struct json_doc *d, struct json *obj, const char *name, struct json *v, struct err *e)
{
	int depth = 0;

	for (;;) {
		size_t n = strcspn(name, ".");
		struct str key = {name, n};
		struct json *old = json_get(obj, key);

		if (!n)
			return err_set(e, EXIT_USAGE, "nothing stands before or after a dot in its name");
		if (!name[n]) {
			if (old && old->type == JSON_OBJ)
				return err_set(e, EXIT_USAGE, "it was given already, as a dict");
			json_set(d, obj, key, v);
			return 0;
		}
		if (old && old->type != JSON_OBJ)
			return err_set(e, EXIT_USAGE, "%.*s was given already and is no dict", (int)n, name);
		if (++depth > DEPTH)
			return err_set(e, EXIT_USAGE, "nested too deep");
		if (!old)
			json_set(d, obj, key, json_mkobj(d));
		obj = json_get(obj, key);
		name += n + 1;
	}
}

static int
put_word(struct json_doc *d, struct json *obj, const char *w, size_t n, const char *given, struct err *e)
{
	struct err why = {0};
	struct json *v;
	char *name;
	int rc;

	if (!utf8_valid(given, strlen(given)))
		return err_set(e, EXIT_USAGE, "%.*s: its value is not UTF-8", (int)n, w);
	v = literal_parse(d, str_of(given));
	name = xmemdup(w, n);
	for (char *p = name + (n > 1 && w[1] == '-' ? 2 : 1); *p; p++)
		if (*p == '-')
			*p = '_';
	rc = literal_put(d, obj, name + (n > 1 && w[1] == '-' ? 2 : 1), v ? v : json_mkstr(d, str_of(given)), &why);
	free(name);
	return rc < 0 ? err_set(e, EXIT_USAGE, "%.*s: %s", (int)n, w, why.msg) : 0;
}

/* The length of an option's name with its dashes; 0: the word is none.  -abc is a heap of flags. */
static size_t
option_name(const char *w)
{
	size_t n = 2;

	if (!option(w))
		return 0;
	if (w[1] != '-')
		return w[2] ? 0 : 2;
	while (letter((unsigned char)w[n]) || digit((unsigned char)w[n]) || w[n] == '-' || w[n] == '.')
		n++;
	return n > 2 && (!w[n] || w[n] == '=') ? n : 0;
}

static bool
flags(const char *w)
{
	return option(w) && w[1] != '-' && w[1 + strspn(w + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == 0;
}

struct json *
literal_args(struct json_doc *d, char **w, int n, struct err *e)
{
	struct json *obj = json_mkobj(d);

	for (int i = 0; i < n; i++) {
		const char *name = w[i];
		size_t len = option_name(name);
		const char *given = NULL;

		if (len && name[len] == '=')
			given = name + len + 1;
		else if (len && i + 1 < n && !option(w[i + 1]))
			given = w[++i];
		if (!len && !flags(name)) {
			err_set(e, EXIT_USAGE, "'%s' is not understood: after -- write --name value", name);
			return NULL;
		}
		if (given && put_word(d, obj, name, len, given, e) < 0)
			return NULL;
	}
	return obj;
}
