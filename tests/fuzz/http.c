/* SPDX-License-Identifier: MIT */
/*
 * http.c.  The first byte says what is read: an answer, the answer to a HEAD, a request, small bodies; the second how large pieces
 * are.  However a stream is cut it tells the same; what was understood, written plainly, is understood as the same.
 */
#include "fuzz.h"

enum { RESPONSE = 1, HEAD_ANSWER = 2, SMALL = 4 };

struct teller {
	struct http h;
	struct buf unused, out;   /* out: what was told */
	struct buf plain;         /* the messages written anew */
	struct buf body;
	bool bad;
};

static bool
inside(struct str s, const char *p, size_t n)
{
	return s.p >= p && s.p + s.n <= p + n;
}

static bool
framing(struct str name)
{
	return str_caseis(name, "content-length") || str_caseis(name, "transfer-encoding") || str_caseis(name, "trailer");
}

static void
tell_head(struct teller *t, const char *p, size_t used)
{
	const struct http *h = &t->h;

	if (h->response) {
		must(h->status >= 100 && h->status <= 999, "status %d", h->status);
		buf_printf(&t->out, "%d 1.%d", h->status, h->minor);
	} else {
		must(inside(h->method, p, used) && inside(h->target, p, used) && h->method.n && h->target.n, "a line astray");
		buf_printf(&t->out, "%.*s %.*s 1.%d", (int)h->method.n, h->method.p, (int)h->target.n, h->target.p, h->minor);
	}
	must(h->minor >= 0 && h->minor <= 9 && h->length >= -2 && h->nfield <= HTTP_FIELDS, "a head out of range");
	buf_printf(&t->out, "%s%s%s\n", h->close ? " close" : "", h->expect ? " expect" : "", h->length == -2 ? " to the end" : "");
	buf_clear(&t->plain);
	for (size_t i = 0; i < h->nfield; i++) {
		const struct http_field *f = &h->field[i];

		must(inside(f->name, p, used) && (!f->value.n || inside(f->value, p, used)), "a field astray");
		if (framing(f->name))
			continue;
		for (size_t part = 0; part < 2; part++) {
			struct buf *b = part ? &t->plain : &t->out;

			buf_add(b, f->name.p, f->name.n);
			buf_addc(b, ':');
			buf_add(b, f->value.p, f->value.n);
			buf_adds(b, part ? "\r\n" : "\n");
		}
	}
	buf_clear(&t->body);
}

/* A call of http_next on bytes that lie where none lay before.  False when it wants more. */
static bool
step(struct teller *t)
{
	size_t n = t->unused.len, used = n + 1;
	char *copy = copy_of(t->unused.p, n);
	struct str data = {0};
	struct err e = {0};
	enum http_event ev = http_next(&t->h, copy, n, &used, &data, &e);

	must(used <= n, "%lu used of %lu", (unsigned long)used, (unsigned long)n);
	if (ev == HTTP_HEADERS) {
		tell_head(t, copy, used);
	} else if (ev == HTTP_DATA) {
		must(data.n && inside(data, copy, used), "data astray");
		buf_add(&t->out, data.p, data.n);
		buf_add(&t->body, data.p, data.n);
	} else if (ev == HTTP_END) {
		buf_adds(&t->out, "|end\n");
	} else if (ev == HTTP_BAD) {
		must(e.code >= 400 && e.code <= 599 && e.msg[0] && *http_reason(e.code), "refused with %d '%s'", e.code, e.msg);
		buf_printf(&t->out, "|bad %d\n", e.code);
		t->bad = true;
	}
	buf_drop(&t->unused, used);
	free(copy);
	return ev != HTTP_MORE && !t->bad;
}

static void
play(struct teller *t, int kind, struct str in, size_t piece)
{
	struct err e = {0};

	*t = (struct teller){0};
	http_init(&t->h, kind & (RESPONSE | HEAD_ANSWER));
	t->h.nobody = kind & HEAD_ANSWER;
	if (kind & SMALL)
		t->h.max_body = 10;
	for (size_t at = 0, n; at < in.n && !t->bad; at += n) {
		n = piece < in.n - at ? piece : in.n - at;
		buf_add(&t->unused, in.p + at, n);
		while (step(t))
			;
	}
	if (!t->bad)
		buf_printf(&t->out, "|eof %d\n", (int)http_eof(&t->h, &e));
}

static void
forget(struct teller *t)
{
	buf_free(&t->unused);
	buf_free(&t->out);
	buf_free(&t->plain);
	buf_free(&t->body);
}

static void
must_be_same(int kind, struct str in, size_t piece, const struct buf *want)
{
	struct teller t;

	play(&t, kind, in, piece);
	must(t.out.len == want->len && (!want->len || !memcmp(t.out.p, want->p, want->len)), "in pieces of %lu:\n%s\ninstead of\n%s",
	    (unsigned long)piece, t.out.p, want->p);
	forget(&t);
}

/* Each request that comes whole, with a length instead of chunks, tells the same. */
static void
must_be_plain(struct str in)
{
	struct http h;
	struct buf b = {0};
	struct teller t;
	size_t at = 0, used;
	struct str data;
	enum http_event ev = HTTP_END;

	play(&t, 0, in, in.n ? in.n : 1);
	forget(&t);
	http_init(&h, false);
	t = (struct teller){0};
	for (;;) {
		ev = http_next(&h, in.p + at, in.n - at, &used, &data, NULL);
		if (ev == HTTP_HEADERS) {
			t.h = h;
			tell_head(&t, in.p + at, used);
			buf_clear(&b);
			buf_printf(&b, "%.*s %.*s HTTP/1.%d\r\n", (int)h.method.n, h.method.p, (int)h.target.n, h.target.p, h.minor);
			buf_add(&b, t.plain.p, t.plain.len);
		} else if (ev == HTTP_DATA) {
			buf_add(&t.body, data.p, data.n);
			buf_add(&t.out, data.p, data.n);
		} else if (ev == HTTP_END) {
			struct teller again;

			buf_printf(&b, "Content-Length: %lu\r\n\r\n", (unsigned long)t.body.len);
			buf_add(&b, t.body.p, t.body.len);
			play(&again, 0, (struct str){b.p, b.len}, b.len);
			buf_adds(&t.out, "|end\n|eof 0\n");
			must(again.out.len == t.out.len && !memcmp(again.out.p, t.out.p, t.out.len), "written plainly:\n%s\ninstead of\n%s",
			    again.out.p, t.out.p);
			forget(&again);
			buf_clear(&t.out);
		} else {
			break;
		}
		at += used;
	}
	forget(&t);
	buf_free(&b);
}

static void
must_escape(struct str s)
{
	struct buf b = {0}, back = {0};
	struct str rest = s, name, value;
	size_t total = 0;

	http_escape(&b, s);
	for (int plus = 0; plus < 2; plus++) {
		buf_clear(&back);
		must(!http_unescape(&back, (struct str){b.p, b.len}, plus) && str_eq((struct str){back.p, back.len}, s), "escaped: %s", b.p);
	}
	while (http_query(&rest, &name, &value)) {
		total += name.n + value.n;
		buf_clear(&back);
		http_unescape(&back, value, true);
	}
	must(total <= s.n, "a query longer than it is");
	buf_free(&b);
	buf_free(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct teller t;
	struct str in;
	int kind;

	if (n < 2)
		return 0;
	kind = data[0] & 7;
	in = text_of(data + 2, n - 2);
	play(&t, kind, in, in.n ? in.n : 1);
	must_be_same(kind, in, 1 + data[1] % 64, &t.out);
	if (in.n < 1000)   /* byte by byte costs the square of it */
		must_be_same(kind, in, 1, &t.out);
	forget(&t);
	must_be_plain(in);
	must_escape(in);
	return 0;
}
