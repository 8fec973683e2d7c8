/* SPDX-License-Identifier: MIT */
/*
 * JSON as RFC 8259 has it, nothing else.  A document owns all its values in a few chunks of memory.  Time and memory are linear
 * in the text, whoever wrote it: objects of more than a few members are looked up by a hash with a secret seed.  What is printed
 * can always be parsed again: bytes that are no UTF-8 come out as U+FFFD.
 */
#include "labtasker.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FEW = 16,                    /* members up to which a walk is faster than a hash */
	CHUNK_MIN = 256, CHUNK_MAX = 64 << 10,
	ALIGN = 16
};

/* ---- memory ---- */

struct chunk {
	struct chunk *next;
};

/* Texts grow up from the start of the newest chunk, all else down from its end, so that neither pads the other. */
struct json_arena {
	struct chunk *chunk;
	char *text, *end;
	size_t size;                 /* of the next chunk */
};

/* A small document is one allocation: the first chunk stands behind this. */
struct home {
	struct json_doc doc;
	struct json_arena arena;
};

static size_t
aligned(size_t n)
{
	if (n > SIZE_MAX - ALIGN)
		die(EXIT_REFUSED, "out of memory: a document is too large");
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static struct json_doc *
doc_new(size_t room)
{
	size_t head = aligned(sizeof(struct home));
	struct home *h = xmalloc(head + aligned(room));

	h->arena = (struct json_arena){NULL, (char *)h + head, (char *)h + head + aligned(room), aligned(room) * 2};
	h->doc = (struct json_doc){NULL, &h->arena};
	return &h->doc;
}

/* A new chunk with room for n bytes.  One that is large fills its own, and the rest of the newest stays in use. */
static char *
chunk_new(struct json_arena *a, size_t n)
{
	size_t head = aligned(sizeof(struct chunk)), room = a->size > CHUNK_MAX ? CHUNK_MAX : a->size;
	bool large = n > room / 4;
	struct chunk *c;

	if (large)
		room = aligned(n);
	c = xmalloc(aligned(head + room));
	c->next = a->chunk;
	a->chunk = c;
	if (large)
		return (char *)c + head;
	a->text = (char *)c + head;
	a->end = a->text + room;
	a->size = room * 2;
	return NULL;
}

static void *
take(struct json_doc *d, size_t n)
{
	struct json_arena *a = d->arena;
	char *own;

	n = aligned(n);
	if ((size_t)(a->end - a->text) < n) {
		own = chunk_new(a, n);
		if (own)
			return own;
	}
	a->end -= n;
	return a->end;
}

/* Room for n bytes of text and a 0. */
static char *
take_text(struct json_doc *d, size_t n)
{
	struct json_arena *a = d->arena;
	char *p;

	if ((size_t)(a->end - a->text) <= n) {
		p = chunk_new(a, aligned(n) + 1);
		if (p)
			return p;
	}
	p = a->text;
	a->text += n + 1;
	return p;
}

static struct str
copy_text(struct json_doc *d, struct str s)
{
	char *p = take_text(d, s.n);

	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = 0;
	return (struct str){p, s.n};
}

static struct json *
make(struct json_doc *d, enum json_type type)
{
	struct json *v = take(d, sizeof *v);

	*v = (struct json){.type = (unsigned char)type};
	return v;
}

struct json_doc *
json_new(void)
{
	return doc_new(CHUNK_MIN);
}

void
json_free(struct json_doc *d)
{
	struct chunk *c, *next;

	if (!d)
		return;
	for (c = d->arena->chunk; c; c = next) {
		next = c->next;
		free(c);
	}
	free(d);   /* the first member of its home */
}

/* ---- members of objects ---- */

/* A member and the one before it, NULL for the first: with that a member leaves the list without a walk. */
struct slot {
	struct json *v, *prev;
	uint32_t hash;
};

/* Open addressing; cap is a power of two and at most three quarters are in use. */
struct json_index {
	struct slot *slot;
	size_t cap;
};

/* The key's bytes, three to a coefficient behind its length, as a polynomial at a secret point modulo the prime 2^31 - 1.  Two
 * keys meet at no more points than a third of their length: who does not know the point cannot choose keys that collide. */
static uint32_t
hash(struct str key)
{
	static uint64_t at, mix;
	const uint64_t prime = 0x7fffffff;
	const unsigned char *p = (const unsigned char *)key.p;
	uint64_t h = key.n & prime;

	while (!at) {
		sys_random(&at, sizeof at);
		sys_random(&mix, sizeof mix);
		at %= prime;
		mix |= 1;
	}
	for (size_t n = key.n; n; ) {
		uint64_t w = 0;

		for (int i = 0; i < 3 && n; i++, n--)
			w = w << 8 | *p++;
		h = h * at + w;
		h = (h & prime) + (h >> 31);
		h = (h & prime) + (h >> 31);
	}
	h = (h >= prime ? h - prime : h) * mix;
	h ^= h >> 32;
	return (uint32_t)(h * 0x9e3779b97f4a7c15u >> 32);
}

/* The key's slot, or the free one where it belongs. */
static struct slot *
slot_of(const struct json_index *x, struct str key, uint32_t h)
{
	size_t i = h & (x->cap - 1);

	while (x->slot[i].v && (x->slot[i].hash != h || !str_eq(x->slot[i].v->key, key)))
		i = (i + 1) & (x->cap - 1);
	return &x->slot[i];
}

static void
slot_add(struct json_index *x, struct json *v, struct json *prev)
{
	uint32_t h = hash(v->key);

	*slot_of(x, v->key, h) = (struct slot){v, prev, h};
}

/* Frees a slot and moves up those behind it that it kept from their place. */
static void
slot_drop(struct json_index *x, struct slot *s)
{
	size_t mask = x->cap - 1, hole = (size_t)(s - x->slot), i = hole;

	for (;;) {
		i = (i + 1) & mask;
		if (!x->slot[i].v)
			break;
		if (((i - x->slot[i].hash) & mask) >= ((i - hole) & mask)) {
			x->slot[hole] = x->slot[i];
			hole = i;
		}
	}
	x->slot[hole].v = NULL;
}

static void
index_build(struct json_doc *d, struct json *obj)
{
	struct json_index *x = obj->index ? obj->index : take(d, sizeof *x);
	struct json *prev = NULL;

	x->cap = 4 * FEW;
	while (x->cap < 2 * obj->len)
		x->cap *= 2;
	if (x->cap > SIZE_MAX / sizeof *x->slot)
		die(EXIT_REFUSED, "out of memory: an object of %lu members", (unsigned long)obj->len);
	x->slot = take(d, x->cap * sizeof *x->slot);
	for (size_t i = 0; i < x->cap; i++)
		x->slot[i] = (struct slot){0};
	for (struct json *v = obj->head; v; prev = v, v = v->next)
		slot_add(x, v, prev);
	obj->index = x;
}

static struct json *
find(const struct json *obj, struct str key, struct json **prev)
{
	*prev = NULL;
	if (obj->index) {
		struct slot *s = slot_of(obj->index, key, hash(key));

		*prev = s->prev;
		return s->v;
	}
	for (struct json *v = obj->head; v; *prev = v, v = v->next)
		if (str_eq(v->key, key))
			return v;
	return NULL;
}

static void
append(struct json *list, struct json *v)
{
	v->next = NULL;
	*(list->tail ? &list->tail->next : &list->head) = v;
	list->tail = v;
	list->len++;
}

/* Appends a member whose key obj does not have. */
static void
add_member(struct json_doc *d, struct json *obj, struct json *v)
{
	struct json *prev = obj->tail;

	append(obj, v);
	if (obj->index ? obj->len > obj->index->cap / 4 * 3 : obj->len > FEW)
		index_build(d, obj);
	else if (obj->index)
		slot_add(obj->index, v, prev);
}

/* Puts v, or nothing when it is NULL, into the list in place of old. */
static void
replace(struct json *obj, struct json *old, struct json *prev, struct json *v)
{
	struct json *next = old->next, *before = v ? v : prev;

	if (obj->index) {
		struct slot *s = slot_of(obj->index, old->key, hash(old->key));

		if (next)
			slot_of(obj->index, next->key, hash(next->key))->prev = before;
		if (v)
			s->v = v;
		else
			slot_drop(obj->index, s);
	}
	if (v)
		v->next = next;
	*(prev ? &prev->next : &obj->head) = v ? v : next;
	if (!next)
		obj->tail = before;
}

struct json *
json_get(const struct json *obj, struct str key)
{
	struct json *prev;

	return obj && obj->type == JSON_OBJ ? find(obj, key, &prev) : NULL;
}

struct json *
json_gets(const struct json *obj, const char *key)
{
	return json_get(obj, str_of(key));
}

void
json_push(struct json *arr, struct json *v)
{
	append(arr, v);
}

void
json_set(struct json_doc *d, struct json *obj, struct str key, struct json *v)
{
	struct json *prev, *old = find(obj, key, &prev);

	v->key = old ? old->key : copy_text(d, key);
	if (old)
		replace(obj, old, prev, v);
	else
		add_member(d, obj, v);
}

void
json_sets(struct json_doc *d, struct json *obj, const char *key, struct json *v)
{
	json_set(d, obj, str_of(key), v);
}

void
json_settext(struct json_doc *d, struct json *obj, const char *key, const char *text)
{
	if (text)
		json_sets(d, obj, key, json_mkstr(d, str_of(text)));
}

void
json_remove(struct json *obj, struct str key)
{
	struct json *prev, *old = find(obj, key, &prev);

	if (!old)
		return;
	replace(obj, old, prev, NULL);
	obj->len--;
}

/* ---- parsing ---- */

struct parse {
	const char *start, *p, *end;
	struct json_doc *d;
	struct err *e;
	int depth;
};

static int value(struct parse *t, struct json *v);

/* The words are those of Python's json where it finds the same fault: clients of the API see them. */
static int
bad(struct parse *t, const char *at, const char *what)
{
	return err_at(t->e, 1, (size_t)(at - t->start), "%s", what);
}

/* The first byte behind white space, -1 at the end. */
static int
peek(struct parse *t)
{
	while (t->p < t->end && (*t->p == ' ' || *t->p == '\n' || *t->p == '\r' || *t->p == '\t'))
		t->p++;
	return t->p < t->end ? (unsigned char)*t->p : -1;
}

/* The first byte from p on that is no plain ASCII of a string: a control character, quote, backslash or one above 0x7f. */
static const char *
plain(const char *p, const char *end)
{
	const uint64_t ones = UINT64_MAX / 255;

	for (uint64_t w; end - p >= (ptrdiff_t)sizeof w; p += sizeof w) {
		memcpy(&w, p, sizeof w);
		/* a byte's top bit is set where it was, or where one of these borrows: below 0x20, equal to '"', to '\\' */
		if ((w | (w - ones * 0x20) | ((w ^ ones * '"') - ones) | ((w ^ ones * '\\') - ones)) & ones * 0x80)
			break;
	}
	while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

/* The closing quote of the string at t->p, NULL when it is not right; *escaped when there is something to decode. */
static const char *
string_end(struct parse *t, bool *escaped)
{
	const char *p = t->p + 1;
	uint32_t cp;

	for (;;) {
		size_t n = 1;

		p = plain(p, t->end);
		if (p == t->end)
			return bad(t, t->p, "Unterminated string starting at"), NULL;
		if (*p == '"')
			return p;
		if (*p == '\\') {
			*escaped = true;
			if (t->end - p > 1 && (p[1] == '"' || p[1] == '\\'))
				n = 2;
		} else {
			n = utf8_get(p, (size_t)(t->end - p), &cp);
			if (!n)
				return bad(t, p, "Invalid UTF-8"), NULL;
			if (cp < 0x20)
				return bad(t, p, "Invalid control character at"), NULL;
		}
		p += n;
	}
}

/* The four digits behind the \u at p; -1 when they are none. */
static int32_t
hex4(const char *p, const char *end)
{
	int32_t cp = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		int digit = hex_digit((unsigned char)p[i]);

		if (digit < 0)
			return -1;
		cp = cp << 4 | digit;
	}
	return cp;
}

/* Decodes the escape at p to out, and adds to *n what it has become.  The bytes read; 0 when it is bad. */
static size_t
escape(struct parse *t, const char *p, const char *end, char *out, size_t *n)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *name = memchr(names, p[1], sizeof names - 1);
	int32_t cp, low;

	if (name) {
		out[(*n)++] = bytes[name - names];
		return 2;
	}
	if (p[1] != 'u') {
		bad(t, p, "Invalid \\escape");
		return 0;
	}
	cp = hex4(p, end);
	if (cp < 0 || (cp >= 0xdc00 && cp < 0xe000))
		goto refuse;
	if (cp < 0xd800 || cp >= 0xe000) {
		*n += utf8_put(out + *n, (uint32_t)cp);
		return 6;
	}
	low = hex4(p + 6, end);
	if (low < 0xdc00 || low >= 0xe000)
		goto refuse;
	*n += utf8_put(out + *n, 0x10000 + ((uint32_t)(cp - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
	return 12;
refuse:
	bad(t, p, cp < 0 ? "Invalid \\uXXXX escape" : "Lone surrogate in \\uXXXX escape");
	return 0;
}

/* An escape is never shorter than what it stands for, so out has room enough.  The bytes written; -1. */
static ssize_t
decode(struct parse *t, const char *p, const char *end, char *out)
{
	size_t n = 0, k;

	while (p < end) {
		const char *stop = memchr(p, '\\', (size_t)(end - p));

		k = (size_t)((stop ? stop : end) - p);
		memcpy(out + n, p, k);
		n += k;
		p += k;
		if (!stop)
			break;
		k = escape(t, p, end, out, &n);
		if (!k)
			return -1;
		p += k;
	}
	return (ssize_t)n;
}

static int
string(struct parse *t, struct str *out)
{
	bool escaped = false;
	const char *from = t->p + 1, *end = string_end(t, &escaped);
	size_t room;
	ssize_t n;
	char *text;

	if (!end)
		return -1;
	t->p = end + 1;
	room = (size_t)(end - from);
	if (!escaped) {
		*out = copy_text(t->d, (struct str){from, room});
		return 0;
	}
	text = take_text(t->d, room);
	n = decode(t, from, end, text);
	if (n < 0)
		return -1;
	text[n] = 0;
	if (t->d->arena->text == text + room + 1)
		t->d->arena->text = text + n + 1;
	*out = (struct str){text, (size_t)n};
	return 0;
}

static size_t
digits(const char *p, const char *end)
{
	const char *from = p;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return (size_t)(p - from);
}

/* The value of an exponent's text, held below a thousand million: no text has digits enough to make up for more. */
static long
exponent(const char *p, const char *end)
{
	bool minus = *p == '-';
	long v = 0;

	if (*p == '-' || *p == '+')
		p++;
	for (; p < end; p++)
		v = v < 100000000 ? v * 10 + (*p - '0') : v;
	return minus ? -v : v;
}

/* The text of a number; *big where its value may be beyond a double.  0 bytes when there is none. */
static size_t
number_text(const char *from, const char *end, bool *big)
{
	const char *p = from, *q;
	size_t whole, n;
	long e = 0;

	if (p < end && *p == '-')
		p++;
	whole = digits(p, end);
	if (whole && *p == '0')
		whole = 1;
	if (!whole)
		return 0;
	p += whole;
	n = p < end && *p == '.' ? digits(p + 1, end) : 0;
	if (n)
		p += n + 1;
	if (p < end && (*p == 'e' || *p == 'E')) {
		q = p + 1;
		if (q < end && (*q == '-' || *q == '+'))
			q++;
		n = digits(q, end);
		if (n) {
			e = exponent(p + 1, q + n);
			p = q + n;
		}
	}
	*big = e > 308 || whole > (size_t)(308 - e);   /* else below 10^308 */
	return (size_t)(p - from);
}

static int
number(struct parse *t, struct json *v)
{
	static const char one[10][2] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
	const char *from = t->p;
	bool big;
	size_t n = number_text(from, t->end, &big);

	if (!n)
		return bad(t, from, "Expecting value");
	v->type = JSON_NUM;
	v->len = n;
	v->s = n == 1 ? one[*from - '0'] : copy_text(t->d, (struct str){from, n}).p;
	if (big && !isfinite(strtod(v->s, NULL)))
		return bad(t, from, "Number out of range");
	t->p += n;
	return 0;
}

static int
word(struct parse *t, struct json *v, const char *text, enum json_type type)
{
	size_t n = strlen(text);

	if ((size_t)(t->end - t->p) < n || memcmp(t->p, text, n))
		return bad(t, t->p, "Expecting value");
	v->type = (unsigned char)type;
	v->is = text[0] == 't';
	t->p += n;
	return 0;
}

/* Goes over the comma or the closing bracket: 1 when there is more, 0 at the end, -1. */
static int
more(struct parse *t, int close)
{
	int c = peek(t);

	if (c != ',' && c != close)
		return bad(t, t->p, "Expecting ',' delimiter");
	t->p++;
	return c == ',';
}

static int
array(struct parse *t, struct json *v)
{
	int r;

	v->type = JSON_ARR;
	t->p++;
	if (peek(t) == ']') {
		t->p++;
		return 0;
	}
	do {
		struct json *item = take(t->d, sizeof *item);

		item->key = (struct str){0};
		append(v, item);
		if (value(t, item) < 0)
			return -1;
		r = more(t, ']');
	} while (r > 0);
	return r;
}

/* A member that is there already is read into again, which leaves it in its place. */
static struct json *
member(struct parse *t, struct json *obj)
{
	struct json *m, *prev;
	struct str key;

	if (peek(t) != '"') {
		bad(t, t->p, "Expecting property name enclosed in double quotes");
		return NULL;
	}
	if (string(t, &key) < 0)
		return NULL;
	if (peek(t) != ':') {
		bad(t, t->p, "Expecting ':' delimiter");
		return NULL;
	}
	t->p++;
	m = find(obj, key, &prev);
	if (!m) {
		m = take(t->d, sizeof *m);
		m->key = key;
		add_member(t->d, obj, m);
	}
	return m;
}

static int
object(struct parse *t, struct json *v)
{
	int r;

	v->type = JSON_OBJ;
	t->p++;
	if (peek(t) == '}') {
		t->p++;
		return 0;
	}
	do {
		struct json *m = member(t, v);

		if (!m || value(t, m) < 0)
			return -1;
		r = more(t, '}');
	} while (r > 0);
	return r;
}

static int
nested(struct parse *t, struct json *v, int (*inner)(struct parse *, struct json *))
{
	if (++t->depth > JSON_DEPTH)
		return bad(t, t->p, "Nested too deep");
	if (inner(t, v) < 0)
		return -1;
	t->depth--;
	return 0;
}

/* Reads a value into v, of which only key and next are kept. */
static int
value(struct parse *t, struct json *v)
{
	struct str s;

	*v = (struct json){.key = v->key, .next = v->next};
	switch (peek(t)) {
	case '"':
		if (string(t, &s) < 0)
			return -1;
		v->type = JSON_STR;
		v->s = s.p;
		v->len = s.n;
		return 0;
	case '{':
		return nested(t, v, object);
	case '[':
		return nested(t, v, array);
	case 't':
		return word(t, v, "true", JSON_BOOL);
	case 'f':
		return word(t, v, "false", JSON_BOOL);
	case 'n':
		return word(t, v, "null", JSON_NULL);
	default:
		return number(t, v);
	}
}

struct json_doc *
json_parse(const char *p, size_t n, struct err *e)
{
	const char *from = n ? p : "";
	struct json_doc *d = doc_new(n < CHUNK_MAX / 8 ? CHUNK_MIN + n * 8 : CHUNK_MAX);
	struct parse t = {.start = from, .p = from, .end = from + n, .d = d, .e = e};

	d->root = make(d, JSON_NULL);
	if (value(&t, d->root) < 0)
		goto fail;
	if (peek(&t) >= 0) {
		bad(&t, t.p, "Extra data");
		goto fail;
	}
	return d;
fail:
	json_free(d);
	return NULL;
}

/* ---- making ---- */

struct json *
json_mknull(struct json_doc *d)
{
	return make(d, JSON_NULL);
}

struct json *
json_mkbool(struct json_doc *d, bool is)
{
	struct json *v = make(d, JSON_BOOL);

	v->is = is;
	return v;
}

static struct json *
make_text(struct json_doc *d, enum json_type type, struct str s)
{
	struct json *v = make(d, type);

	v->s = copy_text(d, s).p;
	v->len = s.n;
	return v;
}

struct json *
json_mkint(struct json_doc *d, int64_t i)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%lld", (long long)i);

	return make_text(d, JSON_NUM, (struct str){text, (size_t)n});
}

struct json *
json_mknum(struct json_doc *d, struct str text)
{
	return make_text(d, JSON_NUM, text);
}

struct json *
json_mkdouble(struct json_doc *d, double f)
{
	struct buf b = {0};
	struct json *v;

	json_repr(&b, f);
	v = make_text(d, JSON_NUM, (struct str){b.p, b.len});
	buf_free(&b);
	return v;
}

struct json *
json_mkstr(struct json_doc *d, struct str s)
{
	return make_text(d, JSON_STR, s);
}

struct json *
json_mkarr(struct json_doc *d)
{
	return make(d, JSON_ARR);
}

struct json *
json_mkobj(struct json_doc *d)
{
	return make(d, JSON_OBJ);
}

struct json *
json_copy(struct json_doc *d, const struct json *from)
{
	struct json *v = make(d, (enum json_type)from->type);

	v->tag = from->tag;
	v->is = from->is;
	if (from->s) {
		v->s = copy_text(d, (struct str){from->s, from->len}).p;
		v->len = from->len;
	}
	for (const struct json *m = from->head; m; m = m->next) {
		struct json *copy = json_copy(d, m);

		if (v->type == JSON_ARR) {
			append(v, copy);
			continue;
		}
		copy->key = copy_text(d, m->key);
		add_member(d, v, copy);
	}
	return v;
}

/* ---- reading ---- */

struct str
json_text(const struct json *v)
{
	return v && v->type == JSON_STR ? (struct str){v->s, v->len} : (struct str){0};
}

const char *
json_gettext(const struct json *obj, const char *key)
{
	struct str s = json_text(json_gets(obj, key));

	return s.p ? s.p : "";
}

bool
json_is(const struct json *v, const char *s)
{
	return v && v->type == JSON_STR && str_is((struct str){v->s, v->len}, s);
}

int
json_int(const struct json *v, int64_t *out)
{
	return v && v->type == JSON_NUM ? parse_int((struct str){v->s, v->len}, out) : -1;
}

double
json_num(const struct json *v)
{
	int64_t i;

	if (!v || v->type != JSON_NUM)
		return 0;
	if (v->len < 16 && !json_int(v, &i) && i)   /* -0 is strtod's */
		return (double)i;
	return strtod(v->s, NULL);
}

/* A number as 0.DIGITS times ten to the power of exp, with no zero at either end of the digits. */
struct decimal {
	const char *p;               /* the first digit; a point may stand among them */
	size_t n;                    /* how many, 0 for zero */
	long exp;
	bool minus, whole;
};

static struct decimal
decimal(const struct json *v)
{
	struct decimal d = {.minus = v->s[0] == '-'};
	size_t place = 0;
	bool fraction = false;
	const char *p;

	for (p = v->s + d.minus; *p && *p != 'e' && *p != 'E'; p++) {
		if (*p == '.') {
			fraction = true;
		} else if (!place && *p == '0') {
			d.exp -= fraction;
		} else {
			if (!place++)
				d.p = p;
			d.exp += !fraction;
			if (*p != '0')
				d.n = place;
		}
	}
	if (*p)
		d.exp += exponent(p + 1, v->s + v->len);
	d.whole = !d.n || (d.exp > 0 && (size_t)d.exp >= d.n);
	return d;
}

/* Whole numbers are compared digit by digit, others as doubles; one of each differ.  So this is an equivalence. */
static bool
num_eq(const struct json *a, const struct json *b)
{
	struct decimal x = decimal(a), y = decimal(b);

	if (x.whole != y.whole)
		return false;
	if (!x.whole)
		return json_num(a) == json_num(b);
	if (x.n != y.n || (x.n && (x.minus != y.minus || x.exp != y.exp)))
		return false;
	for (size_t i = 0; i < x.n; i++, x.p++, y.p++) {
		x.p += *x.p == '.';
		y.p += *y.p == '.';
		if (*x.p != *y.p)
			return false;
	}
	return true;
}

bool
json_eq(const struct json *a, const struct json *b)
{
	const struct json *m, *n;

	if (a->type != b->type)
		return false;
	if (a->type == JSON_BOOL)
		return a->is == b->is;
	if (a->type == JSON_NUM)
		return num_eq(a, b);
	if (a->len != b->len)
		return false;
	if (a->type == JSON_STR)
		return !memcmp(a->s, b->s, a->len);
	/* objects mostly agree in the order, too */
	for (m = a->head, n = b->head; m; m = m->next, n = n->next) {
		const struct json *other = a->type == JSON_ARR || str_eq(m->key, n->key) ? n : json_get(b, m->key);

		if (!other || !json_eq(m, other))
			return false;
	}
	return true;
}

/* ---- printing ---- */

static void
put_escape(struct buf *b, uint32_t cp)
{
	static const char bytes[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
	const char *name = cp && cp < 0x80 ? strchr(bytes, (int)cp) : NULL;
	char text[2] = {'\\'};

	if (name) {
		text[1] = names[name - bytes];
		buf_add(b, text, 2);
	} else if (cp < 0x10000) {
		buf_printf(b, "\\u%04x", (unsigned)cp);
	} else {
		cp -= 0x10000;
		buf_printf(b, "\\u%04x\\u%04x", 0xd800u + (unsigned)(cp >> 10), 0xdc00u + (unsigned)(cp & 0x3ff));
	}
}

/* The first byte from p on that is not copied as it is. */
static const char *
verbatim(const char *p, const char *end, int flags)
{
	uint32_t cp;

	for (;;) {
		size_t n = 0;

		p = plain(p, end);
		if (p < end && (unsigned char)*p >= 0x80 && !(flags & JSON_ASCII))
			n = utf8_get(p, (size_t)(end - p), &cp);
		if (!n || (cp < 0xa0 && flags & JSON_TAME))
			return p;
		p += n;
	}
}

void
json_putstr(struct buf *b, struct str s, int flags)
{
	const char *p = s.n ? s.p : "", *end = p + s.n, *stop;
	bool ascii = flags & JSON_ASCII;

	buf_reserve(b, s.n + 2);
	buf_addc(b, '"');
	while (p < end) {
		uint32_t cp;
		size_t n;

		stop = verbatim(p, end, flags);
		if (ascii)
			for (const char *del; (del = memchr(p, 0x7f, (size_t)(stop - p))); p = del + 1) {
				buf_add(b, p, (size_t)(del - p));
				put_escape(b, 0x7f);
			}
		buf_add(b, p, (size_t)(stop - p));
		if (stop == end)
			break;
		n = utf8_get(stop, (size_t)(end - stop), &cp);
		if (n)
			put_escape(b, cp);
		else
			buf_adds(b, ascii ? "\\ufffd" : "\xef\xbf\xbd");
		p = stop + (n ? n : 1);
	}
	buf_addc(b, '"');
}

/* Between items: a new line where there is an indentation. */
static void
put_line(struct buf *b, int flags, int depth)
{
	size_t n = (size_t)(flags & 0xff) * (size_t)depth;

	if (!(flags & 0xff))
		return;
	buf_reserve(b, n + 1);
	buf_addc(b, '\n');
	memset(b->p + b->len, ' ', n);
	b->len += n;   /* the final 0 comes with what is always added behind it */
}

static void
put(struct buf *b, const struct json *v, int flags, int depth)
{
	bool object = v->type == JSON_OBJ;

	switch ((enum json_type)v->type) {
	case JSON_NULL:
		buf_add(b, "null", 4);
		return;
	case JSON_BOOL:
		buf_adds(b, v->is ? "true" : "false");
		return;
	case JSON_NUM:
		buf_add(b, v->s, v->len);
		return;
	case JSON_STR:
		json_putstr(b, (struct str){v->s, v->len}, flags);
		return;
	case JSON_ARR:
	case JSON_OBJ:
		break;
	}
	buf_addc(b, object ? '{' : '[');
	for (const struct json *m = v->head; m; m = m->next) {
		if (m != v->head)
			buf_add(b, ", ", flags & JSON_SPACED && !(flags & 0xff) ? 2 : 1);
		put_line(b, flags, depth + 1);
		if (object) {
			json_putstr(b, m->key, flags);
			buf_add(b, ": ", flags & (JSON_SPACED | 0xff) ? 2 : 1);
		}
		put(b, m, flags, depth + 1);
	}
	if (v->head)
		put_line(b, flags, depth);
	buf_addc(b, object ? '}' : ']');
}

void
json_print(struct buf *b, const struct json *v, int flags)
{
	put(b, v, flags, 0);
}

/* Takes the digits of "d.ddde+xx" up by one in the last place. */
static void
round_up(char *text)
{
	char *p = strchr(text, 'e');

	while (p-- > text) {
		if (*p == '.')
			continue;
		if (*p != '9') {
			++*p;
			return;
		}
		*p = '0';
	}
	text[0] = '1';               /* 9.99: the power behind it would change, and then a shorter text has been right before */
}

/* The fewest digits that read back as v, which is above 0, as "d.ddde+xx".  Below a power of two doubles stand closer than above
 * it: there the nearest text of some length can miss v where the next one up does not. */
static void
shortest(char text[32], double v)
{
	uint64_t bits;
	bool power;

	memcpy(&bits, &v, sizeof bits);
	power = !(bits << 12);
	for (int n = v < DBL_MIN ? 1 : 15; n <= 17; n++) {
		snprintf(text, 32, "%.*e", n - 1, v);
		if (strtod(text, NULL) == v)
			return;
		if (!power)
			continue;
		round_up(text);
		if (strtod(text, NULL) == v)
			return;
	}
}

void
json_repr(struct buf *b, double v)
{
	char text[32], digit[20];
	int n = 0, point;            /* the digits, and how many stand before the point */
	const char *p;

	if (isnan(v)) {
		buf_adds(b, "NaN");
		return;
	}
	if (signbit(v)) {
		buf_addc(b, '-');
		v = -v;
	}
	if (isinf(v)) {
		buf_adds(b, "Infinity");
		return;
	}
	if (v < 1e15 && v == (double)(int64_t)v) {
		buf_addint(b, (int64_t)v);
		buf_add(b, ".0", 2);
		return;
	}
	shortest(text, v);
	for (p = text; *p != 'e'; p++)
		if (*p != '.')
			digit[n++] = *p;
	while (n > 1 && digit[n - 1] == '0')
		n--;
	point = atoi(p + 1) + 1;
	if (point < -3 || point > 16) {
		buf_add(b, digit, 1);
		if (n > 1)
			buf_printf(b, ".%.*s", n - 1, digit + 1);
		buf_printf(b, "e%c%02d", point > 0 ? '+' : '-', abs(point - 1));
	} else if (point <= 0) {
		buf_printf(b, "0.%.*s%.*s", -point, "000", n, digit);
	} else if (point < n) {
		buf_printf(b, "%.*s.%.*s", point, digit, n - point, digit + point);
	} else {
		buf_printf(b, "%.*s%.*s.0", n, digit, point - n, "0000000000000000");
	}
}
