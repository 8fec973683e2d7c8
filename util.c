/* SPDX-License-Identifier: MIT */
/*
 * Memory that does not fail, growing byte strings, UTF-8, one-line messages, and the small texts that many files read:
 * numbers, durations (SPEC 1.2), names and UUIDs.
 */
#include "labtasker.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int err_fill(struct err *e, int code, size_t pos, const char *fmt, va_list ap) PRINTF(4, 0);
static void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF(2, 0);
static void say(const char *fmt, va_list ap) PRINTF(1, 0);

/* A message that is too long for its place loses some of its middle: a path stands before what is wrong with it. */
static int
err_fill(struct err *e, int code, size_t pos, const char *fmt, va_list ap)
{
	char text[8192];
	size_t n, head = sizeof e->msg / 3, tail;

	if (!e || e->code)
		return -1;
	e->code = code ? code : 1;
	e->pos = pos;
	vsnprintf(text, sizeof text, fmt, ap);
	n = strlen(text);
	if (n < sizeof e->msg) {
		memcpy(e->msg, text, n + 1);
		return -1;
	}
	while (head && (text[head] & 0xc0) == 0x80)
		head--;
	tail = n - (sizeof e->msg - 4 - head);
	while ((text[tail] & 0xc0) == 0x80)
		tail++;
	snprintf(e->msg, sizeof e->msg, "%.*s...%s", (int)head, text, text + tail);
	return -1;
}

int
err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_fill(e, code, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_at(struct err *e, int code, size_t pos, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_fill(e, code, pos, fmt, ap);
	va_end(ap);
	return -1;
}

void
err_locate(struct err *e, const char *text, size_t n)
{
	size_t end = e->pos < n ? e->pos : n, start = 0;

	e->line = 1;
	for (size_t i = 0; i < end; i++) {
		if (text[i] == '\n') {
			e->line++;
			start = i + 1;
		}
	}
	e->col = end - start + 1;
}

/* p, or the end of the process. */
static void *
given(void *p, size_t n)
{
	if (!p)
		die(EXIT_REFUSED, "out of memory: %lu bytes: free some, or raise the limit (ulimit -v)", (unsigned long)n);
	return p;
}

void *
xrealloc(void *p, size_t n)
{
	return given(realloc(p, n ? n : 1), n);
}

void *
xmalloc(size_t n)
{
	return xrealloc(NULL, n);
}

void *
xcalloc(size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size)
		die(EXIT_REFUSED, "out of memory: %lu items of %lu bytes", (unsigned long)n, (unsigned long)size);
	return given(calloc(n ? n : 1, size ? size : 1), n * size);
}

void *
xmemdup(const void *p, size_t n)
{
	char *copy = xmalloc(n + 1);

	if (n)
		memcpy(copy, p, n);
	copy[n] = 0;
	return copy;
}

char *
xstrdup(const char *s)
{
	return xmemdup(s, strlen(s));
}

static void
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	buf_reserve(b, 64);
	n = vsnprintf(b->p + b->len, b->cap - b->len, fmt, ap);
	if (n > 0 && (size_t)n >= b->cap - b->len) {
		buf_reserve(b, (size_t)n);
		vsnprintf(b->p + b->len, b->cap - b->len, fmt, again);
	}
	va_end(again);
	if (n > 0)
		b->len += (size_t)n;
}

char *
xprintf(const char *fmt, ...)
{
	struct buf b = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return b.p;
}

struct str
str_of(const char *s)
{
	return (struct str){s, s ? strlen(s) : 0};
}

bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

int
str_order(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

bool
str_is(struct str a, const char *s)
{
	return str_eq(a, str_of(s));
}

bool
str_caseis(struct str a, const char *s)
{
	size_t i;

	for (i = 0; i < a.n && s[i]; i++) {
		unsigned char x = (unsigned char)a.p[i], y = (unsigned char)s[i];

		if (x != y && ((x | 0x20) != (y | 0x20) || (x | 0x20) < 'a' || (x | 0x20) > 'z'))
			return false;
	}
	return i == a.n && !s[i];
}

struct str
str_part(struct str *rest, char at)
{
	const char *end = rest->n ? memchr(rest->p, at, rest->n) : NULL;
	struct str part = {rest->p, end ? (size_t)(end - rest->p) : rest->n};

	*rest = end ? (struct str){end + 1, rest->n - part.n - 1} : (struct str){0};
	return part;
}

void
buf_reserve(struct buf *b, size_t more)
{
	size_t need = b->len + more + 1, cap = b->cap ? b->cap : 64;

	if (need <= b->cap)
		return;
	if (need < more)
		die(EXIT_REFUSED, "out of memory: a text is too long");
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	b->p = xrealloc(b->p, cap);
	b->cap = cap;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	buf_reserve(b, n);
	if (n)
		memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = 0;
}

void
buf_addc(struct buf *b, char c)
{
	buf_reserve(b, 1);
	b->p[b->len++] = c;
	b->p[b->len] = 0;
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_addint(struct buf *b, int64_t v)
{
	char text[24], *p = text + sizeof text;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		*--p = (char)('0' + u % 10);
	while (u /= 10);
	if (v < 0)
		*--p = '-';
	buf_add(b, p, (size_t)(text + sizeof text - p));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void
buf_drop(struct buf *b, size_t n)
{
	if (!n)
		return;
	b->len -= n;
	memmove(b->p, b->p + n, b->len + 1);
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->p)
		b->p[0] = 0;
}

/* volatile: or a compiler may leave out what nobody reads again. */
void
wipe(void *p, size_t n)
{
	volatile unsigned char *c = p;

	while (n--)
		*c++ = 0;
}

void
buf_wipe(struct buf *b)
{
	wipe(b->p, b->cap);
	buf_free(b);
}

void
buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}

size_t
utf8_get(const char *text, size_t n, uint32_t *cp)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t len;
	uint32_t c, min;

	if (!n)
		return 0;
	if (p[0] < 0x80) {
		*cp = p[0];
		return 1;
	}
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	min = len == 2 ? 0x80 : len == 3 ? 0x800 : 0x10000;
	if (n < len)
		return 0;
	c = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*cp = c;
	return len;
}

size_t
utf8_put(char out[4], uint32_t cp)
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

bool
utf8_valid(const char *p, size_t n)
{
	uint32_t cp;

	while (n) {
		size_t k = utf8_get(p, n, &cp);

		if (!k)
			return false;
		p += k;
		n -= k;
	}
	return true;
}

size_t
utf8_count(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

void
buf_visible(struct buf *b, struct str s, const char *newline)
{
	uint32_t c;

	for (size_t i = 0, n; i < s.n; i += n) {
		n = utf8_get(s.p + i, s.n - i, &c);
		if (n && c >= 0x20 && (c < 0x7f || c >= 0xa0))
			buf_add(b, s.p + i, n);
		else if (n && c == '\n')
			buf_adds(b, newline);
		else
			buf_printf(b, "\\x%02x", n ? (unsigned)c : (unsigned)(unsigned char)s.p[i]);
		n += !n;
	}
}

void (*warn_put)(struct str text);

#define PREFIX "labtasker: "

/* One write, so that lines of several processes do not mix. */
static void
put_line(const char *p, size_t n)
{
	while (write(2, p, n) < 0 && errno == EINTR)
		;
}

static void
say(const char *fmt, va_list ap)
{
	struct buf text = {0}, line = {0};

	buf_vprintf(&text, fmt, ap);
	buf_adds(&line, warn_put ? "" : PREFIX);
	buf_visible(&line, (struct str){text.p, text.len}, "\\x0a");
	if (warn_put) {
		warn_put((struct str){line.p, line.len});
	} else {
		buf_addc(&line, '\n');
		put_line(line.p, line.len);
	}
	buf_free(&text);
	buf_free(&line);
}

void
warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

/* Allocates nothing where it is called for want of memory: a second failure ends at once. */
void
die(int status, const char *fmt, ...)
{
	static bool dying;
	char line[400] = PREFIX;
	size_t n = sizeof PREFIX - 1;
	va_list ap;

	if (dying)
		_exit(status);
	dying = true;
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof line - n - 1, fmt, ap);   /* the 1: for the newline */
	va_end(ap);
	for (; line[n]; n++)
		if ((unsigned char)line[n] < 0x20 || line[n] == 0x7f)
			line[n] = '?';
	line[n] = '\n';
	put_line(line, n + 1);
	exit(status);
}

int
parse_int(struct str s, int64_t *out)
{
	uint64_t u = 0;
	size_t i = 0;
	bool minus = s.n && s.p[0] == '-';

	if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
		i = 1;
	if (i == s.n)
		return -1;
	for (; i < s.n; i++) {
		unsigned d = (unsigned)(unsigned char)s.p[i] - '0';

		if (d > 9 || u > (UINT64_MAX - d) / 10)
			return -1;
		u = u * 10 + d;
	}
	if (u > (uint64_t)INT64_MAX + minus)
		return -1;
	*out = !minus ? (int64_t)u : u ? -(int64_t)(u - 1) - 1 : 0;
	return 0;
}

int
parse_float(struct str s, double *out)
{
	char *text, *end;
	double v;
	bool whole;

	for (size_t i = 0; i < s.n; i++)
		if (!s.p[i] || !strchr("0123456789+-.eE", s.p[i]))
			return -1;
	if (!s.n)
		return -1;
	text = xmemdup(s.p, s.n);
	v = strtod(text, &end);
	whole = !*end;
	free(text);
	if (!whole || !isfinite(v))
		return -1;
	*out = v;
	return 0;
}

int
real_cut(double d, int64_t *out)
{
	if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0))
		return -1;
	*out = (int64_t)d;
	return 0;
}

static const struct {
	const char *name;
	double seconds;
} units[] = {
	{"h", 3600}, {"hour", 3600}, {"hours", 3600}, {"m", 60}, {"min", 60}, {"minute", 60}, {"minutes", 60},
	{"s", 1}, {"sec", 1}, {"second", 1}, {"seconds", 1},
};

static size_t
span(const char *p, bool digits)
{
	size_t n = 0;

	while (digits ? isdigit((unsigned char)p[n]) : isalpha((unsigned char)p[n]))
		n++;
	return n;
}

/* One "1.5h" at p, added to *sum.  The bytes read, 0 when it is none. */
static size_t
duration_pair(const char *p, double *sum)
{
	size_t n = span(p, true), u;
	double v;

	if (!n)
		return 0;
	if (p[n] == '.')
		n += 1 + span(p + n + 1, true);
	if (parse_float((struct str){p, n}, &v) < 0)
		return 0;
	u = span(p + n, false);
	for (size_t i = 0; i < LEN(units); i++) {
		if (str_caseis((struct str){p + n, u}, units[i].name)) {
			*sum += v * units[i].seconds;
			return n + u;
		}
	}
	return 0;
}

int
parse_duration(struct str s, double *seconds)
{
	char text[128];
	size_t len = 0, n;
	double sum = 0;

	while (s.n && s.p[0] == ' ')
		s.p++, s.n--;
	while (s.n && s.p[s.n - 1] == ' ')
		s.n--;
	if (!parse_float(s, seconds))
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] && strchr(" ,:", s.p[i]))
			continue;
		if (len == sizeof text - 1)
			return -1;
		text[len++] = s.p[i];
	}
	text[len] = 0;
	if (!len)
		return -1;
	for (size_t i = 0; i < len; i += n) {
		n = duration_pair(text + i, &sum);
		if (!n)
			return -1;
	}
	*seconds = sum;
	return 0;
}

enum { LONGEST = 100 };           /* name, password: characters */

static bool
name_char(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '-';
}

bool
name_valid(struct str s)
{
	size_t i = 0;

	while (i < s.n && name_char(s.p[i]))
		i++;
	return s.n && s.n <= LONGEST && i == s.n;
}

bool
password_valid(struct str s)
{
	size_t n = utf8_count(s);

	return n && n <= LONGEST && utf8_valid(s.p, s.n);
}

bool
key_valid(struct str s)
{
	bool part = false;   /* one has begun */

	for (size_t i = 0; i < s.n; i++) {
		if (!name_char(s.p[i]) && !(s.p[i] == '.' && part))
			return false;
		part = s.p[i] != '.';
	}
	return part;
}

int
hex_digit(int c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

int
uuid_parse(struct str s, unsigned char out[16])
{
	unsigned char id[16];
	size_t i = 0;

	if (s.n != 36)
		return -1;
	for (size_t k = 0; k < 16; k++) {
		int hi, lo;

		if (i == 8 || i == 13 || i == 18 || i == 23)
			if (s.p[i++] != '-')
				return -1;
		hi = hex_digit(s.p[i]);
		lo = hex_digit(s.p[i + 1]);
		if (hi < 0 || lo < 0)
			return -1;
		id[k] = (unsigned char)(hi << 4 | lo);
		i += 2;
	}
	memcpy(out, id, 16);
	return 0;
}

void
uuid_print(const unsigned char id[16], char out[37])
{
	static const char hex[] = "0123456789abcdef";
	char *o = out;

	for (size_t k = 0; k < 16; k++) {
		if (k == 4 || k == 6 || k == 8 || k == 10)
			*o++ = '-';
		*o++ = hex[id[k] >> 4];
		*o++ = hex[id[k] & 15];
	}
	*o = 0;
}

void
uuid_stamp(unsigned char id[16], int version)
{
	id[6] = (unsigned char)(version << 4 | (id[6] & 0x0f));
	id[8] = (unsigned char)(0x80 | (id[8] & 0x3f));
}
