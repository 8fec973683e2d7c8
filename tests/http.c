/* SPDX-License-Identifier: MIT */
/*
 * http.c: what each stream of bytes means, told as a text: heads, bodies, ends, refusals.  Every stream is cut at every place and
 * fed byte by byte, each time from memory of just the size that is offered, so that a sanitizer sees a byte too far.
 */
#include <stddef.h>
#include <string.h>

/* How many bytes were searched: the work done on a head that comes in pieces. */
static size_t searched;

static const void *
counted_memchr(const void *p, int c, size_t n)
{
	const void *at = memchr(p, c, n);

	searched += at ? (size_t)((const char *)at - (const char *)p) + 1 : n;
	return at;
}
#define memchr(p, c, n) counted_memchr(p, c, n)
#include "../http.c"
#undef memchr
#include "test.h"

enum { REQUEST = 0, RESPONSE = 1, HEAD_ANSWER = 2, SMALL = 4 };   /* kinds of streams; SMALL: a body may have 10 bytes */

#define HOST1 "Host: h\r\n"
#define GET1 "GET / HTTP/1.1\r\n" HOST1
#define POST1 "POST /x HTTP/1.1\r\n" HOST1
#define CHUNKED POST1 "Transfer-Encoding: chunked\r\n\r\n"
#define OK1 "HTTP/1.1 200 OK\r\n"

/* ---- telling ---- */

static struct str
bytes(const char *s)
{
	return (struct str){s, strlen(s)};
}

static bool
inside(struct str s, const char *p, size_t n)
{
	return s.p >= p && s.p + s.n <= p + n;
}

static void
tell_head(struct buf *out, const struct http *h, const char *p, size_t used)
{
	bool astray = false;

	if (h->response) {
		buf_printf(out, "%d 1.%d", h->status, h->minor);
	} else {
		buf_printf(out, "%.*s %.*s 1.%d", (int)h->method.n, h->method.p, (int)h->target.n, h->target.p, h->minor);
		astray = !inside(h->method, p, used) || !inside(h->target, p, used);
	}
	buf_printf(out, " %ld%s%s\n", (long)h->length, h->close ? " close" : "", h->expect ? " expect" : "");
	for (size_t i = 0; i < h->nfield; i++) {
		const struct http_field *f = &h->field[i];

		astray |= !inside(f->name, p, used) || !inside(f->value, p, used);
		buf_add(out, f->name.p, f->name.n);
		buf_addc(out, '=');
		buf_add(out, f->value.p, f->value.n);
		buf_addc(out, '\n');
	}
	if (astray)
		buf_adds(out, "POINTERS ASTRAY\n");
}

struct feeder {
	struct http h;
	struct buf unused, out;
	bool bad;
};

static void
feeder_start(struct feeder *f, int kind)
{
	*f = (struct feeder){0};
	http_init(&f->h, kind & (RESPONSE | HEAD_ANSWER));
	f->h.nobody = kind & HEAD_ANSWER;
	if (kind & SMALL)
		f->h.max_body = 10;
}

static void
feeder_free(struct feeder *f)
{
	buf_free(&f->unused);
	buf_free(&f->out);
}

/* One call of http_next on bytes that lie where none lay before.  False when it wants more. */
static bool
step(struct feeder *f)
{
	size_t n = f->unused.len, used = n + 1;
	char *copy = n ? xmalloc(n) : NULL;
	struct str data;
	struct err e = {0};
	enum http_event ev;

	if (n)
		memcpy(copy, f->unused.p, n);
	ev = http_next(&f->h, copy, n, &used, &data, &e);
	if (used > n) {
		buf_adds(&f->out, "USED TOO MUCH\n");
		used = n;
	}
	if (ev == HTTP_HEADERS) {
		tell_head(&f->out, &f->h, copy, used);
	} else if (ev == HTTP_DATA) {
		if (!data.n || !inside(data, copy, used))
			buf_adds(&f->out, "DATA ASTRAY\n");
		buf_add(&f->out, data.p, data.n);
	} else if (ev == HTTP_END) {
		buf_adds(&f->out, "|end\n");
	} else if (ev == HTTP_BAD) {
		buf_printf(&f->out, "|bad %d%s\n", e.code, e.msg[0] ? "" : " for no reason");
		f->bad = true;
	}
	buf_drop(&f->unused, used);
	free(copy);
	return ev != HTTP_MORE && !f->bad;
}

static void
feed(struct feeder *f, const char *p, size_t n)
{
	if (f->bad)
		return;
	buf_add(&f->unused, p, n);
	while (step(f))
		;
}

static void
feed_eof(struct feeder *f)
{
	static const char *const names[] = {[HTTP_MORE] = "|eof\n", [HTTP_END] = "|eof, end\n", [HTTP_BAD] = "|eof, bad\n"};
	struct err e = {0};
	enum http_event ev;

	if (f->bad)
		return;
	ev = http_eof(&f->h, &e);
	buf_adds(&f->out, ev <= HTTP_BAD && names[ev] ? names[ev] : "ODD EOF\n");
	if ((ev == HTTP_BAD) != (e.code == 400))
		buf_adds(&f->out, "ODD CODE\n");
}

/* The stream in pieces of at most so many bytes; the first may be shorter. */
static void
play(struct feeder *f, int kind, struct str in, size_t first, size_t piece)
{
	size_t at = 0;

	feeder_start(f, kind);
	while (at < in.n) {
		size_t n = at ? piece : first;

		n = n < in.n - at ? n : in.n - at;
		feed(f, in.p + at, n);
		at += n;
	}
	feed_eof(f);
}

/* ---- cutting ---- */

static void
same(const char *name, int kind, struct str in, size_t first, size_t piece, const char *want)
{
	struct feeder f;

	play(&f, kind, in, first, piece);
	check(!strcmp(f.out.p, want), "%s, cut at %d, then each %d: got\n%.2000s\ninstead of\n%.2000s", name, (int)first,
	    (int)piece, f.out.p, want);
	feeder_free(&f);
}

/* What is told of the first bytes is how the whole is told, and no refusal comes from what is missing. */
static void
prefixes(const char *name, int kind, struct str in, const char *want)
{
	struct feeder f;
	size_t wrong = 0;

	feeder_start(&f, kind);
	for (size_t i = 0; i < in.n; i++) {
		feed(&f, in.p + i, 1);
		wrong += f.out.len && strncmp(f.out.p, want, f.out.len);
	}
	check(!wrong, "%s: %d beginnings tell another story", name, (int)wrong);
	feeder_free(&f);
}

static void
all_cuts(const char *name, int kind, struct str in, const char *want)
{
	same(name, kind, in, in.n, in.n, want);
	for (size_t i = 1; i < in.n; i++)
		same(name, kind, in, i, in.n, want);
	same(name, kind, in, 1, 1, want);
	same(name, kind, in, 1, 2, want);
	same(name, kind, in, 2, 3, want);
	prefixes(name, kind, in, want);
}

/* ---- good messages ---- */

struct row {
	int kind;
	const char *in, *want;
};

static const struct row good[] = {
	{REQUEST, "", "|eof\n"},
	{REQUEST, GET1 "\r\n", "GET / 1.1 0\nHost=h\n|end\n|eof\n"},
	{REQUEST, "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 0 close\n|end\n|eof\n"},
	{REQUEST, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / 1.0 0\nConnection=keep-alive\n|end\n|eof\n"},
	{REQUEST, "GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n",
	 "GET / 1.0 0 close\nConnection=Keep-Alive, close\n|end\n|eof\n"},
	{REQUEST, GET1 "Connection: x ,\tClose\t \r\n\r\n", "GET / 1.1 0 close\nHost=h\nConnection=x ,\tClose\n|end\n|eof\n"},
	{REQUEST, GET1 "Connection: close, x\r\nConnection: y\r\n\r\n",
	 "GET / 1.1 0 close\nHost=h\nConnection=close, x\nConnection=y\n|end\n|eof\n"},
	{REQUEST, "GET / HTTP/1.0\r\nConnection: keep-alive, x\r\n\r\n", "GET / 1.0 0\nConnection=keep-alive, x\n|end\n|eof\n"},
	{REQUEST, GET1 "Connection: closed, xclose, clos\r\n\r\n",
	 "GET / 1.1 0\nHost=h\nConnection=closed, xclose, clos\n|end\n|eof\n"},
	{REQUEST, GET1 "Connection: a\r\nconnection: close\r\n\r\n",
	 "GET / 1.1 0 close\nHost=h\nConnection=a\nconnection=close\n|end\n|eof\n"},
	/* white space around values, odd names and bytes, empty values */
	{REQUEST, "GET / HTTP/1.1\r\nhOST:h\r\na: \t b c \t\r\n!#$%&'*+-.^_`|~09azAZ:\r\nb:   \r\nc: \x80\xff\r\n\r\n",
	 "GET / 1.1 0\nhOST=h\na=b c\n!#$%&'*+-.^_`|~09azAZ=\nb=\nc=\x80\xff\n|end\n|eof\n"},
	{REQUEST, GET1 "a: b:c : d\r\n\r\n", "GET / 1.1 0\nHost=h\na=b:c : d\n|end\n|eof\n"},
	/* methods and targets */
	{REQUEST, "M-Search!#$ /a?b=%20&c=\"<>{}|\\^`~[] HTTP/1.1\r\n" HOST1 "\r\n",
	 "M-Search!#$ /a?b=%20&c=\"<>{}|\\^`~[] 1.1 0\nHost=h\n|end\n|eof\n"},
	{REQUEST, "OPTIONS * HTTP/1.1\r\n" HOST1 "\r\n", "OPTIONS * 1.1 0\nHost=h\n|end\n|eof\n"},
	{REQUEST, "GET http://h:80/a HTTP/1.1\r\n" HOST1 "\r\n", "GET http://h:80/a 1.1 0\nHost=h\n|end\n|eof\n"},
	{REQUEST, "GET HTTPS://h HTTP/1.1\r\n" HOST1 "\r\n", "GET HTTPS://h 1.1 0\nHost=h\n|end\n|eof\n"},
	{REQUEST, "ABCDEFGHIJKLMNOPQRSTUVWXYZ123456 / HTTP/1.1\r\n" HOST1 "\r\n",
	 "ABCDEFGHIJKLMNOPQRSTUVWXYZ123456 / 1.1 0\nHost=h\n|end\n|eof\n"},
	{REQUEST, "CONNECT h:443 HTTP/1.1\r\n" HOST1 "\r\n", "CONNECT h:443 1.1 0\nHost=h\n|end\n|eof\n"},
	{REQUEST, "GET / HTTP/1.1\r\nHost: [::1]:9321\r\n\r\n", "GET / 1.1 0\nHost=[::1]:9321\n|end\n|eof\n"},
	{REQUEST, "GET / HTTP/1.1\r\nHost: a-b.c_d~%41:1\r\n\r\n", "GET / 1.1 0\nHost=a-b.c_d~%41:1\n|end\n|eof\n"},
	/* empty lines before a request, and between */
	{REQUEST, "\r\n", "|eof\n"},
	{REQUEST, "\r\n\r\n" GET1 "\r\n\r\n" GET1 "\r\n\r\n", "GET / 1.1 0\nHost=h\n|end\nGET / 1.1 0\nHost=h\n|end\n|eof\n"},
	{REQUEST, "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n" GET1 "\r\n", "GET / 1.1 0\nHost=h\n|end\n|eof\n"},
	/* Content-Length */
	{REQUEST, POST1 "Content-Length: 5\r\n\r\nhello", "POST /x 1.1 5\nHost=h\nContent-Length=5\nhello|end\n|eof\n"},
	{REQUEST, POST1 "content-length:0\r\n\r\n", "POST /x 1.1 0\nHost=h\ncontent-length=0\n|end\n|eof\n"},
	{REQUEST, POST1 "Content-Length: 0003\r\n\r\nabc", "POST /x 1.1 3\nHost=h\nContent-Length=0003\nabc|end\n|eof\n"},
	{REQUEST, POST1 "Content-Length: 3, 3 ,3\r\n\r\nabc", "POST /x 1.1 3\nHost=h\nContent-Length=3, 3 ,3\nabc|end\n|eof\n"},
	{REQUEST, POST1 "Content-Length: 3\r\nCONTENT-LENGTH: 3\r\n\r\nabc",
	 "POST /x 1.1 3\nHost=h\nContent-Length=3\nCONTENT-LENGTH=3\nabc|end\n|eof\n"},
	{REQUEST, "POST /x HTTP/1.0\r\nContent-Length: 1\r\n\r\na", "POST /x 1.0 1 close\nContent-Length=1\na|end\n|eof\n"},
	{REQUEST, GET1 "Content-Length: 2\r\n\r\n\r\n" GET1 "\r\n",
	 "GET / 1.1 2\nHost=h\nContent-Length=2\n\r\n|end\nGET / 1.1 0\nHost=h\n|end\n|eof\n"},
	{REQUEST, POST1 "Content_Length: 9\r\nTransfer_Encoding: chunked\r\nContent-Length: 1\r\n\r\na",
	 "POST /x 1.1 1\nHost=h\nContent_Length=9\nTransfer_Encoding=chunked\nContent-Length=1\na|end\n|eof\n"},
	{REQUEST | SMALL, POST1 "Content-Length: 10\r\n\r\n0123456789",
	 "POST /x 1.1 10\nHost=h\nContent-Length=10\n0123456789|end\n|eof\n"},
	/* Expect */
	{REQUEST, POST1 "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\na",
	 "POST /x 1.1 1 expect\nHost=h\nContent-Length=1\nExpect=100-Continue\na|end\n|eof\n"},
	{REQUEST, POST1 "Expect: 100-continue\r\n\r\n", "POST /x 1.1 0\nHost=h\nExpect=100-continue\n|end\n|eof\n"},
	{REQUEST, POST1 "Content-Length: 1\r\nExpect: 100-continued\r\n\r\na",
	 "POST /x 1.1 1\nHost=h\nContent-Length=1\nExpect=100-continued\na|end\n|eof\n"},
	{REQUEST, POST1 "Content-Length: 1\r\nExpect: 100-continue\r\nExpect: x\r\n\r\na",
	 "POST /x 1.1 1 expect\nHost=h\nContent-Length=1\nExpect=100-continue\nExpect=x\na|end\n|eof\n"},
	{REQUEST, "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\na",
	 "POST / 1.0 1 close\nContent-Length=1\nExpect=100-continue\na|end\n|eof\n"},
	/* chunks */
#define TOLD "POST /x 1.1 -1\nHost=h\nTransfer-Encoding=chunked\n"
	{REQUEST, CHUNKED "0\r\n\r\n", TOLD "|end\n|eof\n"},
	{REQUEST, CHUNKED "5\r\nhello\r\n0\r\n\r\n", TOLD "hello|end\n|eof\n"},
	{REQUEST, CHUNKED "00A\r\n0123456789\r\n0000a\r\nabcdefghij\r\n000\r\n\r\n", TOLD "0123456789abcdefghij|end\n|eof\n"},
	{REQUEST, CHUNKED "2;a\r\n\r\n\r\n1 ; b = c;d=\"e;\\\"\\\\ \tf\x80\"\t;g\r\nx\r\n0;z=\"\"\r\n\r\n",
	 TOLD "\r\nx|end\n|eof\n"},
	{REQUEST, CHUNKED "1\r\nx\r\n0\r\nContent-Length: 7\r\nTrailer: y\r\n\r\n" GET1 "\r\n",
	 TOLD "x|end\nGET / 1.1 0\nHost=h\n|end\n|eof\n"},
	{REQUEST, CHUNKED "1;a=!;b=%\r\nx\r\n0\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\n\r\n\r\n" GET1 "\r\n",
	 TOLD "x|end\nGET / 1.1 0\nHost=h\n|end\n|eof\n"},
	{REQUEST | SMALL, CHUNKED "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", TOLD "helloworld|end\n|eof\n"},
	{REQUEST, POST1 "transfer-encoding:\tCHUNKED \r\n\r\n0\r\n\r\n",
	 "POST /x 1.1 -1\nHost=h\ntransfer-encoding=CHUNKED\n|end\n|eof\n"},
	/* pipelining */
	{REQUEST, GET1 "\r\n" POST1 "Content-Length: 3\r\n\r\nabc" CHUNKED "1\r\nx\r\n0\r\n\r\n" GET1 "\r\n",
	 "GET / 1.1 0\nHost=h\n|end\nPOST /x 1.1 3\nHost=h\nContent-Length=3\nabc|end\n" TOLD
	 "x|end\nGET / 1.1 0\nHost=h\n|end\n|eof\n"},
	/* the stream ends too early */
	{REQUEST, "G", "|eof, bad\n"},
	{REQUEST, "\r", "|eof, bad\n"},
	{REQUEST, GET1, "|eof, bad\n"},
	{REQUEST, GET1 "\r", "|eof, bad\n"},
	{REQUEST, POST1 "Content-Length: 2\r\n\r\n", "POST /x 1.1 2\nHost=h\nContent-Length=2\n|eof, bad\n"},
	{REQUEST, POST1 "Content-Length: 2\r\n\r\na", "POST /x 1.1 2\nHost=h\nContent-Length=2\na|eof, bad\n"},
	{REQUEST, CHUNKED, TOLD "|eof, bad\n"},
	{REQUEST, CHUNKED "3\r\nab", TOLD "ab|eof, bad\n"},
	{REQUEST, CHUNKED "3\r\nabc", TOLD "abc|eof, bad\n"},
	{REQUEST, CHUNKED "3\r\nabc\r\n0\r\n", TOLD "abc|eof, bad\n"},
	/* responses */
	{RESPONSE, "", "|eof\n"},
	{RESPONSE, OK1 "Content-Length: 2\r\n\r\nhi", "200 1.1 2\nContent-Length=2\nhi|end\n|eof\n"},
	{RESPONSE, "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", "404 1.1 0\nContent-Length=0\n|end\n|eof\n"},
	{RESPONSE, "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n", "599 1.1 0\nContent-Length=0\n|end\n|eof\n"},
	{RESPONSE, "HTTP/1.1 200  \t\xe9t\xe9 :\r\nContent-Length: 0\r\n\r\n", "200 1.1 0\nContent-Length=0\n|end\n|eof\n"},
	{RESPONSE, "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", "999 1.1 0\nContent-Length=0\n|end\n|eof\n"},
	{RESPONSE, OK1 "\r\nall of it", "200 1.1 -2 close\nall of it|eof, end\n"},
	{RESPONSE, OK1 "\r\n", "200 1.1 -2 close\n|eof, end\n"},
	{RESPONSE, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nx", "200 1.0 -2 close\nConnection=keep-alive\nx|eof, end\n"},
	{RESPONSE, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
	 "200 1.0 1\nConnection=keep-alive\nContent-Length=1\nx|end\n|eof\n"},
	{RESPONSE, OK1 "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\na: b\r\n\r\n",
	 "200 1.1 -1\nTransfer-Encoding=chunked\nhi|end\n|eof\n"},
	{RESPONSE, "HTTP/1.1 204 No Content\r\n\r\n" OK1 "Content-Length: 1\r\n\r\nx",
	 "204 1.1 0\n|end\n200 1.1 1\nContent-Length=1\nx|end\n|eof\n"},
	{RESPONSE, "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", "204 1.1 0\nContent-Length=9\n|end\n|eof\n"},
	{RESPONSE, "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
	 "304 1.1 0\nTransfer-Encoding=chunked\n|end\n|eof\n"},
	{HEAD_ANSWER | SMALL, OK1 "Content-Length: 99\r\n\r\n" OK1 "\r\n",
	 "200 1.1 0\nContent-Length=99\n|end\n200 1.1 0\n|end\n|eof\n"},
	{RESPONSE, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 4\r\n\r\n" OK1
	 "Content-Length: 1\r\n\r\nx", "200 1.1 1\nContent-Length=1\nx|end\n|eof\n"},
	{RESPONSE, "HTTP/1.1 100 Continue\r\n\r\n", "|eof\n"},
	{RESPONSE, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "101 1.1 0 close\nUpgrade=x\n|end\n|eof\n"},
	{RESPONSE, "\r\n" OK1 "Content-Length: 0\r\n\r\n", "200 1.1 0\nContent-Length=0\n|end\n|eof\n"},
	{RESPONSE, OK1 "Host: a\r\nHost: b c\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
	 "200 1.1 0\nHost=a\nHost=b c\nExpect=100-continue\nContent-Length=0\n|end\n|eof\n"},
	{RESPONSE | SMALL, OK1 "\r\n0123456789", "200 1.1 -2 close\n0123456789|eof, end\n"},
	{RESPONSE, OK1 "Content-Length: 2\r\n\r\nh", "200 1.1 2\nContent-Length=2\nh|eof, bad\n"},
	{RESPONSE, "HTTP/1.1 2", "|eof, bad\n"},
};

static void
test_good(void)
{
	for (size_t i = 0; i < LEN(good); i++) {
		char name[40];

		snprintf(name, sizeof name, "good row %d", (int)i);
		all_cuts(name, good[i].kind, bytes(good[i].in), good[i].want);
	}
}

/* ---- bad messages ---- */

/* want: the status, or what is told before it. */
static const struct row bad[] = {
	/* request lines */
	{REQUEST, " GET / HTTP/1.1\r\n", "400"},
	{REQUEST, "GET  / HTTP/1.1\r\n", "400"},
	{REQUEST, "GET /  HTTP/1.1\r\n", "400"},
	{REQUEST, "GET / HTTP/1.1 \r\n", "400"},
	{REQUEST, "GET\t/ HTTP/1.1\r\n", "400"},
	{REQUEST, "GET /\tHTTP/1.1\r\n", "400"},
	{REQUEST, "GET /\r\n", "400"},
	{REQUEST, "GET / \r\n", "400"},
	{REQUEST, "GET \r\n", "400"},
	{REQUEST, "GET\r\n", "400"},
	{REQUEST, "GET HTTP/1.1\r\n", "400"},
	{REQUEST, "GET /a b HTTP/1.1\r\n", "400"},
	{REQUEST, "GET /a#b HTTP/1.1\r\n", "400"},
	{REQUEST, "GET /\xc3\xa9 HTTP/1.1\r\n", "400"},
	{REQUEST, "GET /\x01 HTTP/1.1\r\n", "400"},
	{REQUEST, "GET /\x7f HTTP/1.1\r\n", "400"},
	{REQUEST, "GET /\r HTTP/1.1\r\n", "400"},
	{REQUEST, "GET a HTTP/1.1\r\n", "400"},
	{REQUEST, "GET * HTTP/1.1\r\n", "400"},
	{REQUEST, "OPTIONS *x HTTP/1.1\r\n", "400"},
	{REQUEST, "GET ftp://a/ HTTP/1.1\r\n", "400"},
	{REQUEST, "GET http:// HTTP/1.1\r\n", "400"},
	{REQUEST, "GET https:/ HTTP/1.1\r\n", "400"},
	{REQUEST, "CONNECT  HTTP/1.1\r\n", "400"},
	{REQUEST, "CONNECT #h HTTP/1.1\r\n", "400"},
	{REQUEST, "G(T / HTTP/1.1\r\n", "400"},
	{REQUEST, "G\xc9T / HTTP/1.1\r\n", "400"},
	{REQUEST, "/ HTTP/1.1\r\n", "400"},
	{REQUEST, "ABCDEFGHIJKLMNOPQRSTUVWXYZ1234567 / HTTP/1.1\r\n", "400"},
	{REQUEST, OK1, "400"},
	{REQUEST, "\x16\x03\x01\x02\n", "400"},
	{REQUEST, "GET / HTTP/1.2\r\n", "505"},
	{REQUEST, "GET / HTTP/2.0\r\n", "505"},
	{REQUEST, "GET / HTTP/0.9\r\n", "505"},
	{REQUEST, "GET / HTTP/0.1\r\n", "505"},
	{REQUEST, "GET / HTTP/9.1\r\n", "505"},
	{REQUEST, "GET / HTTP/1.9\r\n", "505"},
	{REQUEST, "PRI * HTTP/2.0\r\n", "505"},
	{REQUEST, "GET / HTTP/1\r\n", "400"},
	{REQUEST, "GET / HTTP/1.\r\n", "400"},
	{REQUEST, "GET / HTTP/11\r\n", "400"},
	{REQUEST, "GET / HTTP/1.10\r\n", "400"},
	{REQUEST, "GET / HTTP/01.1\r\n", "400"},
	{REQUEST, "GET / HTTP/1,1\r\n", "400"},
	{REQUEST, "GET / HTTP/a.1\r\n", "400"},
	{REQUEST, "GET / HTTP/1.a\r\n", "400"},
	{REQUEST, "GET / HTTP 1.1\r\n", "400"},
	{REQUEST, "GET / http/1.1\r\n", "400"},
	{REQUEST, "GET / HTTP/ 1.1\r\n", "400"},
	{REQUEST, "GET / XTTP/1.1\r\n", "400"},
	/* line ends */
	{REQUEST, "\n", "400"},
	{REQUEST, "\r\r\n", "400"},
	{REQUEST, "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", "400"},
	{REQUEST, "GET / HTTP/1.1\n", "400"},
	{REQUEST, "GET / HTTP/1.1\r\r\n", "400"},
	{REQUEST, GET1 "\n", "400"},
	{REQUEST, GET1 "a: b\n", "400"},
	{REQUEST, GET1 "a: b\rc: d\r\n", "400"},
	{REQUEST, GET1 "a: b\r\r\n", "400"},
	{REQUEST, GET1 "\r\r\n", "400"},
	/* fields */
	{REQUEST, GET1 " a: b\r\n", "400"},
	{REQUEST, GET1 "\ta: b\r\n", "400"},
	{REQUEST, GET1 "a: b\r\n c\r\n", "400"},
	{REQUEST, GET1 " \r\n", "400"},
	{REQUEST, "GET / HTTP/1.1\r\n Host: h\r\n", "400"},
	{REQUEST, GET1 "a : b\r\n", "400"},
	{REQUEST, GET1 "a\t: b\r\n", "400"},
	{REQUEST, GET1 "a b: c\r\n", "400"},
	{REQUEST, GET1 ": b\r\n", "400"},
	{REQUEST, GET1 "a\r\n", "400"},
	{REQUEST, GET1 "a[b]: c\r\n", "400"},
	{REQUEST, GET1 "\xc3\xa9: c\r\n", "400"},
	{REQUEST, GET1 "a: \x01\r\n", "400"},
	{REQUEST, GET1 "a: \x0b\r\n", "400"},
	{REQUEST, GET1 "a: \x1f\r\n", "400"},
	{REQUEST, GET1 "a: \x7f\r\n", "400"},
	/* Host */
	{REQUEST, "GET / HTTP/1.1\r\n\r\n", "400"},
	{REQUEST, "GET http://h/ HTTP/1.1\r\n\r\n", "400"},
	{REQUEST, GET1 HOST1 "\r\n", "400"},
	{REQUEST, "GET / HTTP/1.0\r\n" HOST1 HOST1 "\r\n", "400"},
	{REQUEST, "GET / HTTP/1.1\r\nHost:\r\n\r\n", "400"},
	{REQUEST, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400"},
	{REQUEST, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
	{REQUEST, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "400"},
	{REQUEST, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400"},
	{REQUEST, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
	{REQUEST, "GET / HTTP/1.1\r\nHost: a\"\r\n\r\n", "400"},
	{REQUEST, "GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", "400"},
	/* Content-Length */
	{REQUEST, POST1 "Content-Length:\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: +5\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: -1\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: -0\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 0x5\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: a\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5a\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5 5\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 1_0\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5.0\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5;\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5,\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: ,5\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5,,5\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5, 6\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5, x\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 0\r\nContent-Length: 6\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5\r\nContent-Length:\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 9223372036854775807\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 18446744073709551617\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 99999999999999999999999999999999999999999\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 16777217\r\n\r\n", "413"},
	{REQUEST, POST1 "Content-Length: 9223372036854775806\r\n\r\n", "413"},
	{REQUEST | SMALL, POST1 "Content-Length: 11\r\n\r\n", "413"},
	/* Transfer-Encoding */
	{REQUEST, POST1 "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
	{REQUEST, POST1 "Content-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\n", "400"},
	{REQUEST, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
	{REQUEST, "POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding:\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: chunked, chunked\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: chunked, gzip\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: chunked,\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: ,chunked\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: chunked;q=1\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: \"chunked\"\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: chunked x\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: chunked\x80\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: \x0b" "chunked\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: chunked\x0c\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding:\r\n chunked\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding : chunked\r\n\r\n", "400"},
	{REQUEST, POST1 "Transfer-Encoding: gzip\r\n\r\n", "501"},
	{REQUEST, POST1 "Transfer-Encoding: gz!p\r\n\r\n", "501"},
	{REQUEST, POST1 "Transfer-Encoding: identity\r\n\r\n", "501"},
	{REQUEST, POST1 "Transfer-Encoding: xchunked\r\n\r\n", "501"},
	{REQUEST, POST1 "Transfer-Encoding: chunkedchunked\r\n\r\n", "501"},
	{REQUEST, POST1 "Transfer-Encoding: gzip, chunked\r\n\r\n", "501"},
	{REQUEST, POST1 "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", "501"},
	/* chunks */
	{REQUEST, CHUNKED "\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "x\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "-1\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "+1\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED " 1\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1 \r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "0x1\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1_0\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1\rx\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1 a\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;;a\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a \r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a=\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;=a\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a=b c\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;[a]=b\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a=[b\"\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a=\"b\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a=\"b\\\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a=\"b\\\"\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a=\"b\"c\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a=\"\x01\"\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a=\"\\\x01\"\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a\x01\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "1;a\rb\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "7fffffffffffffff\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "ffffffffffffffff\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "10000000000000001\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "7ffffffffffffffe\r\n", TOLD "|bad 413\n"},
	{REQUEST, CHUNKED "1000001\r\n", TOLD "|bad 413\n"},
	{REQUEST | SMALL, CHUNKED "b\r\n", TOLD "|bad 413\n"},
	{REQUEST | SMALL, CHUNKED "6\r\n123456\r\n5\r\n", TOLD "123456|bad 413\n"},
	{REQUEST | SMALL, CHUNKED "a\r\n1234567890\r\n1\r\n", TOLD "1234567890|bad 413\n"},
	{REQUEST, CHUNKED "1\r\nab\r\n", TOLD "a|bad 400\n"},
	{REQUEST, CHUNKED "1\r\na\n", TOLD "a|bad 400\n"},
	{REQUEST, CHUNKED "1\r\na\rb", TOLD "a|bad 400\n"},
	{REQUEST, CHUNKED "1\r\na0\r\n", TOLD "a|bad 400\n"},
	{REQUEST, CHUNKED "0\r\n\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "0\r\na\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "0\r\n a: b\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "0\r\na: \x01\r\n", TOLD "|bad 400\n"},
	{REQUEST, CHUNKED "0\r\na: b\n", TOLD "|bad 400\n"},
	/* after good ones */
	{REQUEST, GET1 "\r\nx\r\n", "GET / 1.1 0\nHost=h\n|end\n|bad 400\n"},
	{REQUEST, POST1 "Content-Length: 1\r\n\r\nab\r\n", "POST /x 1.1 1\nHost=h\nContent-Length=1\na|end\n|bad 400\n"},
	/* responses */
	{RESPONSE, GET1, "400"},
	{RESPONSE, "HTTP/1.1\r\n", "400"},
	{RESPONSE, "HTTP/1.1 \r\n", "400"},
	{RESPONSE, "HTTP/1.1 20\r\n", "400"},
	{RESPONSE, "HTTP/1.1 2000\r\n", "400"},
	{RESPONSE, "HTTP/1.1 20a OK\r\n", "400"},
	{RESPONSE, "HTTP/1.1 099 OK\r\n", "400"},
	{RESPONSE, "HTTP/1.1 +20 OK\r\n", "400"},
	{RESPONSE, "HTTP/1.1  200 OK\r\n", "400"},
	{RESPONSE, "HTTP/1.1\t200 OK\r\n", "400"},
	{RESPONSE, "HTTP/1.1 200\tOK\r\n", "400"},
	{RESPONSE, "HTTP/1.1 200OK\r\n", "400"},
	{RESPONSE, "HTTP/1.1 200 \x01\r\n", "400"},
	{RESPONSE, "HTTP/1.1 200 a\rb\r\n", "400"},
	{RESPONSE, "HTTP/1.1 200 OK\n", "400"},
	{RESPONSE, "HTTP/1.11 200 OK\r\n", "400"},
	{RESPONSE, "HTTP\r\n", "400"},
	{RESPONSE, "ICY 200 OK\r\n", "400"},
	{RESPONSE, " HTTP/1.1 200 OK\r\n", "400"},
	{RESPONSE, "SSH-2.0-OpenSSH_9.6\r\n", "400"},
	{RESPONSE, "HTTP/2.0 200 OK\r\n", "505"},
	{RESPONSE, "HTTP/0.9 200 OK\r\n", "505"},
	{RESPONSE, OK1 "a\r\n", "400"},
	{RESPONSE, OK1 "a: b\r\n c\r\n", "400"},
	{RESPONSE, OK1 "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "400"},
	{RESPONSE, OK1 "Content-Length: x\r\n\r\n", "400"},
	{RESPONSE, OK1 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
	{RESPONSE, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
	{RESPONSE, OK1 "Transfer-Encoding: gzip\r\n\r\n", "501"},
	{RESPONSE, OK1 "Transfer-Encoding: chunked, gzip\r\n\r\n", "400"},
	{RESPONSE | SMALL, OK1 "Content-Length: 11\r\n\r\n", "413"},
	{RESPONSE | SMALL, OK1 "\r\n01234567890", "200 1.1 -2 close\n0123456789|bad 413\n"},
	{RESPONSE, "HTTP/1.1 100 Continue\r\n\r\nx\r\n", "400"},
	{RESPONSE, "HTTP/1.1 100 Continue\r\na\r\n", "400"},
};

static void
test_bad(void)
{
	for (size_t i = 0; i < LEN(bad); i++) {
		struct buf text = {0}, want = {0};
		char name[40];

		snprintf(name, sizeof name, "bad row %d", (int)i);
		if (strlen(bad[i].want) == 3)
			buf_printf(&want, "|bad %s\n", bad[i].want);
		else
			buf_adds(&want, bad[i].want);
		all_cuts(name, bad[i].kind, bytes(bad[i].in), want.p);
		/* It is refused where it ends, and whatever follows changes nothing. */
		buf_adds(&text, bad[i].in);
		buf_adds(&text, "\r\n\r\n" GET1 "\r\n");
		same(name, bad[i].kind, (struct str){text.p, text.len}, text.len, text.len, want.p);
		buf_free(&text);
		buf_free(&want);
	}
}

/* Each byte, put where a value, a name, a target, a method, a host, a chunk's extension is: taken or refused. */
static void
test_bytes(void)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const struct {
		const char *before, *after;
	} places[] = {
		{"a", " / HTTP/1.1\r\n" HOST1 "\r\n"},
		{"GET /a", "b HTTP/1.1\r\n" HOST1 "\r\n"},
		{GET1 "a", "b: c\r\n\r\n"},
		{GET1 "a: b", "c\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a", "c\r\n\r\n"},
		{CHUNKED "0;a", "b\r\n\r\n"},
		{CHUNKED "0;a=\"", "b\"\r\n\r\n"},
		{CHUNKED "0\r\na: b", "c\r\n\r\n"},
	};

	for (size_t k = 0; k < LEN(places); k++) {
		for (int c = 0; c < 256; c++) {
			bool is_token = c && strchr(token, c), visible = c > ' ' && c < 127;
			bool text = c == '\t' || c == ' ' || visible || c > 127;
			bool takes[] = {
				is_token, visible && c != '#', is_token || c == ':', text,
				c && (strchr(token + 15, c) || strchr("-._~%!$&'()*+;=:[]", c)), is_token || c == ';' || c == '=',
				text && c != '"', text,
			};
			struct buf in = {0};
			struct feeder f;

			buf_adds(&in, places[k].before);
			buf_addc(&in, (char)c);
			buf_adds(&in, places[k].after);
			play(&f, REQUEST, (struct str){in.p, in.len}, in.len, in.len);
			check(f.bad == !takes[k], "byte %d at place %d is %s", c, (int)k, f.bad ? "refused" : "taken");
			feeder_free(&f);
			buf_free(&in);
		}
	}
}

/* ---- limits ---- */

static void
fill(struct buf *b, size_t n)
{
	while (n--)
		buf_addc(b, 'x');
}

/* A stream of big parts: what is told of it whole, and of pieces of a few sizes, begins with want. */
static void
limit(const char *name, const struct buf *in, const char *want)
{
	static const size_t pieces[] = {1 << 20, 4096, 1000, 61};

	for (size_t i = 0; i < LEN(pieces); i++) {
		struct feeder f;

		play(&f, REQUEST, (struct str){in->p, in->len}, pieces[i], pieces[i]);
		check(!strncmp(f.out.p, want, strlen(want)), "%s in pieces of %d: %.100s", name, (int)pieces[i], f.out.p);
		feeder_free(&f);
	}
}

static void
test_target(void)
{
	static const struct {
		size_t n;
		const char *want;
	} rows[] = {
		{HTTP_TARGET, "GET /xxx"}, {HTTP_TARGET + 1, "|bad 414"}, {HTTP_TARGET + 100, "|bad 414"}, {200000, "|bad 414"},
	};
	struct buf b = {0};

	for (size_t i = 0; i < LEN(rows); i++) {
		buf_clear(&b);
		buf_adds(&b, "GET /");
		fill(&b, rows[i].n - 1);
		limit("an endless target", &b, rows[i].n > HTTP_TARGET + 50 ? "|bad 414" : "|eof, bad");
		buf_adds(&b, " HTTP/1.1\r\n" HOST1 "\r\n");
		limit("a long target", &b, rows[i].want);
	}
	buf_clear(&b);
	fill(&b, 100000);
	limit("an endless method", &b, "|bad 400");
	buf_adds(&b, " / HTTP/1.1\r\n\r\n");
	limit("a long method", &b, "|bad 400");
	for (size_t n = METHOD - 1; n < METHOD + 3; n++) {
		buf_clear(&b);
		fill(&b, n);
		buf_adds(&b, " /");
		fill(&b, HTTP_TARGET - 1);
		buf_adds(&b, " HTTP/1.1\r\n" HOST1 "\r\n");
		limit("the longest line", &b, n <= METHOD ? "xxx" : "|bad 400");
		b.len = n + 2;
		fill(&b, 10000);
		limit("too long a line", &b, n <= METHOD ? "|bad 414" : "|bad 400");
	}
	buf_free(&b);
}

/* before, a field of n bytes in all, the empty line. */
static void
put_fields(struct buf *b, const char *before, size_t n)
{
	buf_clear(b);
	buf_adds(b, before);
	buf_adds(b, "a: ");
	fill(b, n - 5);
	buf_adds(b, "\r\n\r\n");
}

static void
test_head_size(void)
{
	struct buf b = {0};
	size_t room = HTTP_HEAD - strlen(GET1) - 2;

	put_fields(&b, GET1, room);
	check(b.len == HTTP_HEAD, "the head has %d bytes", (int)b.len);
	limit("a head that just fits", &b, "GET / 1.1 0\n");
	put_fields(&b, GET1, room + 1);
	limit("a head one byte too long", &b, "|bad 431");
	put_fields(&b, "\r\n\r\n" GET1, room);
	limit("empty lines are not in the head", &b, "GET / 1.1 0\n");
	b.len = HTTP_HEAD + 3;
	limit("a head that may yet fit", &b, "|eof, bad");
	put_fields(&b, GET1, 200000);
	limit("a head far too long", &b, "|bad 431");
	b.len = HTTP_HEAD;
	limit("an endless head", &b, "|bad 431");
	put_fields(&b, CHUNKED "0\r\n", HTTP_HEAD - 2);
	limit("a trailer that just fits", &b, TOLD "|end\n");
	put_fields(&b, CHUNKED "0\r\n", HTTP_HEAD - 1);
	limit("a trailer one byte too long", &b, TOLD "|bad 431\n");
	buf_free(&b);
}

static void
test_field_count(void)
{
	static const struct {
		const char *before;
		int n;
		const char *want;
	} rows[] = {
		{GET1, HTTP_FIELDS - 1, "GET / 1.1 0\nHost=h\na=b\n"},
		{"\r\n\r\n\r\n" GET1, HTTP_FIELDS - 1, "GET / 1.1 0\nHost=h\na=b\n"},
		{GET1, HTTP_FIELDS, "|bad 431\n"},
		{GET1, 2000, "|bad 431\n"},
		{CHUNKED "0\r\n", HTTP_FIELDS, TOLD "|end\n"},
		{CHUNKED "0\r\n", HTTP_FIELDS + 1, TOLD "|bad 431\n"},
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct buf b = {0};

		buf_adds(&b, rows[i].before);
		for (int k = 0; k < rows[i].n; k++)
			buf_adds(&b, "a: b\r\n");
		buf_adds(&b, "\r\n");
		limit("many fields", &b, rows[i].want);
		buf_free(&b);
	}
}

static void
test_chunk_line(void)
{
	struct buf b = {0};

	for (size_t n = 250; n < 260; n++) {
		buf_clear(&b);
		buf_adds(&b, CHUNKED "0;");
		fill(&b, n - 4);
		buf_adds(&b, "\r\n\r\n");
		limit("a chunk's extension", &b, n <= CHUNK_LINE ? TOLD "|end\n" : TOLD "|bad 400\n");
	}
	buf_clear(&b);
	buf_adds(&b, CHUNKED);
	for (int i = 0; i < 300; i++)
		buf_addc(&b, '0');
	limit("a chunk's size without end", &b, TOLD "|bad 400\n");
	buf_free(&b);
}

static void
test_any_body(void)
{
	struct http h;
	struct err e = {0};
	struct str data;
	size_t used;
	const char *in = OK1 "Content-Length: 9223372036854775806\r\n\r\nx";
	const char *chunked = OK1 "Transfer-Encoding: chunked\r\n\r\n7ffffffffffffffe\r\nabc";
	size_t n = strlen(in);

	http_init(&h, true);
	check(h.max_body == HTTP_BODY && !h.nobody && h.response, "http_init");
	h.max_body = 0;
	check(http_next(&h, in, n, &used, &data, &e) == HTTP_HEADERS && h.length == INT64_MAX - 1 && used == n - 1, "any length");
	check(http_next(&h, in + used, 1, &used, &data, &e) == HTTP_DATA && data.n == 1 && used == 1, "the first byte of many");
	check(http_next(&h, NULL, 0, &used, &data, &e) == HTTP_MORE && !used && !data.n, "no bytes");
	http_init(&h, true);
	h.max_body = 0;
	n = strlen(chunked);
	check(http_next(&h, chunked, n, &used, &data, &e) == HTTP_HEADERS && h.length == -1, "chunks");
	n -= used;
	check(http_next(&h, chunked + used, n, &used, &data, &e) == HTTP_DATA && data.n == 3 && used == n, "a chunk of any size");
}

/* What was refused stays refused. */
static void
test_refused(void)
{
	struct http h;
	struct err e = {0}, again = {0}, end = {0};
	struct str data;
	size_t used;
	const char *in = GET1 "\r\n";

	http_init(&h, false);
	check(http_next(&h, "x\r\n", 3, &used, &data, &e) == HTTP_BAD && e.code == 400, "refused");
	check(http_next(&h, in, strlen(in), &used, &data, &again) == HTTP_BAD && again.code == 400 && !used, "refused again");
	check(http_eof(&h, &end) == HTTP_BAD && end.code == 400, "refused at the end");
	check(http_eof(&h, NULL) == HTTP_BAD, "without an err");
	http_init(&h, false);
	e = again = (struct err){0};
	in = CHUNKED;
	check(http_next(&h, in, strlen(in), &used, &data, &e) == HTTP_HEADERS, "chunks");
	check(http_next(&h, "1000001\r\n", 9, &used, &data, &e) == HTTP_BAD && e.code == 413, "too large a chunk");
	check(http_next(&h, "1000001\r\n0\r\n\r\n", 14, &used, &data, &again) == HTTP_BAD && again.code == 400, "what follows");
	http_init(&h, false);
	e = again = (struct err){0};
	check(http_next(&h, "GET / HT", 8, &used, &data, &e) == HTTP_MORE && http_eof(&h, &e) == HTTP_BAD, "broken off");
	check(http_next(&h, "GET / HTTP/1.0\r\n\r\n", 18, &used, &data, &again) == HTTP_BAD, "more after the end");
}

/* An end that was not fetched yet is fetched by http_eof. */
static void
test_eof(void)
{
	struct http h;
	struct err e = {0};
	struct str data;
	size_t used;
	const char *in = GET1 "\r\n";

	http_init(&h, false);
	check(http_next(&h, in, strlen(in), &used, &data, &e) == HTTP_HEADERS && used == strlen(in), "a head");
	check(http_eof(&h, &e) == HTTP_END && http_eof(&h, &e) == HTTP_MORE, "its end, and nothing");
	check(http_next(&h, in, strlen(in), &used, &data, &e) == HTTP_HEADERS, "the next one");
	http_init(&h, true);
	in = OK1 "\r\n0123456789";
	check(http_next(&h, in, strlen(in), &used, &data, &e) == HTTP_HEADERS, "a head");
	check(http_next(&h, in + used, 10, &used, &data, &e) == HTTP_DATA && data.n == 10, "its body");
	check(http_eof(&h, &e) == HTTP_END && http_eof(&h, &e) == HTTP_MORE, "ended by the end of the stream");
	check(http_next(&h, "\r\n" OK1 "\r\n", 21, &used, &data, &e) == HTTP_HEADERS && h.status == 200, "as after http_init");
}

/* ---- work ---- */

/* Byte by byte: each byte of a head is searched once as it comes and once when the head is whole. */
static void
linear(const char *name, const struct buf *b)
{
	struct http h;
	struct err e = {0};
	struct str data;
	size_t used = 0, n = 0;
	enum http_event ev = HTTP_MORE;

	http_init(&h, false);
	searched = 0;
	while (n < b->len && ev == HTTP_MORE)
		ev = http_next(&h, b->p, ++n, &used, &data, &e);
	check(ev == HTTP_HEADERS && used == b->len && n == used, "%s: not understood", name);
	check(searched >= b->len && searched <= 2 * b->len + 100, "%s: %d bytes were searched for %d", name, (int)searched,
	    (int)b->len);
	http_init(&h, false);
	searched = 0;
	ev = http_next(&h, b->p, b->len, &used, &data, &e);
	check(ev == HTTP_HEADERS && searched <= b->len + 100, "%s: in one piece it is read twice", name);
}

static void
test_linear(void)
{
	struct buf b = {0};

	put_fields(&b, GET1, 30000);
	linear("one long field", &b);
	buf_clear(&b);
	buf_adds(&b, GET1);
	for (int i = 0; i < 90; i++) {
		buf_adds(&b, "name: ");
		fill(&b, 320);
		buf_adds(&b, "\r\n");
	}
	buf_adds(&b, "\r\n");
	linear("90 fields", &b);
	buf_clear(&b);
	buf_adds(&b, "GET /");
	fill(&b, HTTP_TARGET - 1);
	buf_adds(&b, " HTTP/1.0\r\n\r\n");
	linear("a long target", &b);
	buf_free(&b);
}

/* ---- chance ---- */

static uint64_t seed = 1;

static size_t
chance(size_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)((seed >> 11) % n);
}

/* However it is cut, what is told stays the same. */
static void
cut_at_random(const char *name, int kind, const struct buf *in, int round)
{
	struct feeder whole, f;
	size_t at = 0;

	play(&whole, kind, (struct str){in->p, in->len}, in->len, in->len);
	feeder_start(&f, kind);
	while (at < in->len) {
		size_t n = 1 + chance(chance(2) ? 4 : 40);

		n = n < in->len - at ? n : in->len - at;
		feed(&f, in->p + at, n);
		at += n;
	}
	feed_eof(&f);
	check(whole.out.len == f.out.len && !memcmp(whole.out.p, f.out.p, f.out.len) && !strstr(f.out.p, "ASTRAY"),
	    "%s, round %d: whole\n%s\ncut\n%s", name, round, whole.out.p, f.out.p);
	feeder_free(&whole);
	feeder_free(&f);
}

static void
mutate(struct buf *b)
{
	static const char *const bits[] = {
		"\r\n", "\r", "\n", " ", "\t", ":", ",", ";", "0", "1", "a", "\r\n\r\n", "\"", "\x80", "\x01", "%", "chunked",
		"Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", HOST1, "HTTP/1.1", "GET / HTTP/1.1\r\n",
	};
	size_t i = chance(b->len + 1), cut = chance(4) ? 0 : chance(6);
	const char *bit = chance(5) ? bits[chance(LEN(bits))] : "";
	struct buf out = {0};

	cut = cut < b->len - i ? cut : b->len - i;
	buf_add(&out, b->p, i);
	buf_adds(&out, bit);
	buf_add(&out, b->p + i + cut, b->len - i - cut);
	if (!chance(10))
		out.p[chance(out.len + 1)] = (char)chance(256);
	buf_free(b);
	*b = out;
}

static void
test_chance(void)
{
	for (int round = 0; round < 6000; round++) {
		const struct row *row = chance(3) ? &good[chance(LEN(good))] : &bad[chance(LEN(bad))];
		struct buf b = {0};

		buf_adds(&b, row->in);
		if (!chance(3))
			buf_adds(&b, row->in);
		for (size_t k = 1 + chance(3); k; k--)
			mutate(&b);
		cut_at_random("a changed message", row->kind, &b, round);
		buf_free(&b);
	}
	for (int round = 0; round < 2000; round++) {
		static const char some[] = "\r\n\r\n :a,;0GT/HP1.\t\x80\"";
		struct buf b = {0};

		for (size_t n = 1 + chance(200); n; n--)
			buf_addc(&b, chance(4) ? some[chance(sizeof some)] : (char)chance(256));
		cut_at_random("garbage", chance(2) ? RESPONSE : REQUEST, &b, round);
		buf_clear(&b);
		buf_adds(&b, CHUNKED);
		for (size_t n = 1 + chance(60); n; n--)
			buf_addc(&b, "\r\n0123;a=\"\\"[chance(12)]);
		cut_at_random("garbage in chunks", REQUEST, &b, round);
		buf_free(&b);
	}
}

/* A body in chunks of all sizes comes out as it went in. */
static void
test_chunks(void)
{
	for (int round = 0; round < 200; round++) {
		struct buf b = {0}, body = {0};
		struct feeder f;

		buf_adds(&b, CHUNKED);
		for (size_t k = chance(20); k; k--) {
			size_t n = 1 + chance(300), from = body.len;

			for (size_t i = 0; i < n; i++)
				buf_addc(&body, "abc\r\n0;"[chance(7)]);
			buf_printf(&b, chance(2) ? "%x%s\r\n" : "00%X%s\r\n", (unsigned)n, chance(2) ? "" : ";x=y");
			buf_add(&b, body.p + from, n);
			buf_adds(&b, "\r\n");
		}
		buf_adds(&b, chance(2) ? "0\r\n\r\n" : "0\r\nx: y\r\n\r\n");
		buf_adds(&body, "|end\n|eof\n");
		play(&f, REQUEST, (struct str){b.p, b.len}, 1 + chance(100), 1 + chance(100));
		check(f.out.len > strlen(TOLD) && !strcmp(f.out.p + strlen(TOLD), body.p), "chunks, round %d", round);
		feeder_free(&f);
		buf_free(&b);
		buf_free(&body);
	}
}

/* ---- the rest ---- */

static void
test_get(void)
{
	struct http h;
	struct err e = {0};
	struct str data;
	size_t used;
	const char *in = GET1 "X-A: 1\r\nx-a: 2\r\nEmpty:\r\nX-AB: 3\r\n\r\n";
	const struct str *s;

	http_init(&h, false);
	check(!http_get(&h, "Host"), "no field before a head");
	check(http_next(&h, in, strlen(in), &used, &data, &e) == HTTP_HEADERS, "a head");
	s = http_get(&h, "host");
	check(s && str_is(*s, "h"), "the first field");
	s = http_get(&h, "x-A");
	check(s && str_is(*s, "1"), "the first one");
	s = http_get(&h, "EMPTY");
	check(s && !s->n, "an empty one");
	s = http_get(&h, "x-ab");
	check(s && str_is(*s, "3"), "a longer name");
	check(!http_get(&h, "x") && !http_get(&h, "") && !http_get(&h, "X-ABC"), "absent ones");
}

static void
test_reason(void)
{
	static const struct {
		int status;
		const char *text;
	} rows[] = {
		{100, "Continue"}, {200, "OK"}, {201, "Created"}, {204, "No Content"}, {307, "Temporary Redirect"},
		{400, "Bad Request"}, {401, "Unauthorized"}, {404, "Not Found"}, {405, "Method Not Allowed"}, {409, "Conflict"},
		{413, "Content Too Large"}, {414, "URI Too Long"}, {422, "Unprocessable Content"},
		{431, "Request Header Fields Too Large"}, {500, "Internal Server Error"}, {501, "Not Implemented"},
		{503, "Service Unavailable"}, {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"},
		{299, "Unknown"}, {0, "Unknown"}, {-1, "Unknown"},
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		const char *got = http_reason(rows[i].status);

		check(!strcmp(got, rows[i].text), "%d is %s", rows[i].status, got);
	}
}

static void
test_unescape(void)
{
	static const struct {
		const char *in;
		bool plus;
		const char *want;      /* NULL: refused */
	} rows[] = {
		{"", false, ""}, {"abc", false, "abc"}, {"a+b", false, "a+b"}, {"a+b", true, "a b"},
		{"%41%62%c3%A9", false, "Ab\xc3\xa9"},
		{"%2B+%2b", true, "+ +"}, {"%25%32%35", false, "%25"}, {"%ff", false, "\xff"},
		{"%", false, NULL}, {"%4", false, NULL},
		{"abc%", false, NULL}, {"abc%a", false, NULL}, {"%4g", false, NULL}, {"%g4", false, NULL}, {"%%41", false, NULL},
		{"% 4", false, NULL}, {"%-1", false, NULL}, {"%+1", true, NULL}, {"%u0041", false, NULL},
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct str in = bytes(rows[i].in);
		char *copy = xmalloc(in.n + 1);
		struct buf b = {0};
		int rc;

		memcpy(copy, in.p, in.n);
		copy = xrealloc(copy, in.n ? in.n : 1);
		buf_adds(&b, "x");
		rc = http_unescape(&b, (struct str){copy, in.n}, rows[i].plus);
		check(rc == (rows[i].want ? 0 : -1), "unescape, row %d gives %d", (int)i, rc);
		check(b.p[0] == 'x' && !strcmp(b.p + 1, rows[i].want ? rows[i].want : "") && b.len == strlen(b.p),
		    "unescape, row %d: %s", (int)i, b.p);
		buf_free(&b);
		free(copy);
	}
}

static void
test_escape(void)
{
	struct buf all = {0}, escaped = {0}, back = {0};

	for (int c = 0; c < 256; c++)
		buf_addc(&all, (char)c);
	http_escape(&escaped, (struct str){all.p, all.len});
	check(!http_unescape(&back, (struct str){escaped.p, escaped.len}, true) && back.len == 256 && !memcmp(back.p, all.p, 256),
	    "there and back");
	check(escaped.len == 256 + 2 * (256 - 66), "66 bytes stay: %d", (int)escaped.len);
	buf_clear(&escaped);
	http_escape(&escaped, bytes("aZ09-._~ /?&=%+\"\xc3\xa9\x7f"));
	check(!strcmp(escaped.p, "aZ09-._~%20%2F%3F%26%3D%25%2B%22%C3%A9%7F"), "escape: %s", escaped.p);
	buf_free(&all);
	buf_free(&escaped);
	buf_free(&back);
	back = (struct buf){0};
	check(!http_unescape(&back, (struct str){0}, false) && back.p && !back.len && !back.p[0], "nothing");
	check(!http_unescape(&back, (struct str){"%00a", 4}, false) && back.len == 2 && !memcmp(back.p, "\0a", 3), "a zero byte");
	buf_free(&back);
}

static void
test_query(void)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
		{"", ""}, {"a=b", "[a|b]"}, {"a=b&c=d", "[a|b][c|d]"}, {"a", "[a|]"}, {"a=", "[a|]"}, {"=b", "[|b]"},
		{"=", "[|]"},
		{"&", ""}, {"&&a=1&&b=2&", "[a|1][b|2]"}, {"a=b=c", "[a|b=c]"}, {"a;b=c", "[a;b|c]"}, {"a=1&a=2", "[a|1][a|2]"},
		{"a%3D=%26&+=+", "[a%3D|%26][+|+]"}, {"a&b", "[a|][b|]"},
	};
	struct str none = {0}, name, value;

	for (size_t i = 0; i < LEN(rows); i++) {
		struct str rest = bytes(rows[i].in);
		struct buf b = {0};

		while (http_query(&rest, &name, &value))
			buf_printf(&b, "[%.*s|%.*s]", (int)name.n, name.p, (int)value.n, value.p);
		check(!strcmp(b.p ? b.p : "", rows[i].want), "query %s: %s", rows[i].in, b.p ? b.p : "");
		check(!rest.n, "query %s: something is left", rows[i].in);
		buf_free(&b);
	}
	check(!http_query(&none, &name, &value), "no query");
}

/* ---- the public suites ---- */

static bool
lacks_host(struct str in)
{
	for (size_t i = 0; i + 6 < in.n; i++) {
		if (in.p[i] == '\n' && str_caseis((struct str){in.p + i + 1, 5}, "Host:"))
			return false;
	}
	return true;
}

/* The stream with a Host in each request, where none has one, and then the tail: is it refused? */
static bool
refused(int kind, struct str in, const char *tail)
{
	static const char line[] = " HTTP/1.1\r\n";
	bool add = !kind && lacks_host(in), bad_one;
	struct buf b = {0};
	struct feeder f;

	for (size_t i = 0; i < in.n; i++) {
		buf_addc(&b, in.p[i]);
		if (add && b.len >= sizeof line - 1 && !memcmp(b.p + b.len - (sizeof line - 1), line, sizeof line - 1))
			buf_adds(&b, HOST1);
	}
	buf_adds(&b, tail);
	play(&f, kind, (struct str){b.p, b.len}, b.len, b.len);
	bad_one = f.bad;
	feeder_free(&f);
	buf_free(&b);
	return bad_one;
}

static bool
listed(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(names[i], name))
			return true;
	}
	return false;
}

struct suite {
	const char *dir, *name;
	void (*row)(const struct suite *s, const struct json *row);
	int rows;
};

static void
slurp(const struct suite *s, const char *file, struct buf *b)
{
	char *path = xprintf("%s/http/%s/%s", s->dir, s->name, file);
	struct err e = {0};

	check(!sys_slurp(path, 1 << 20, b, &e), "%s", e.msg);
	free(path);
}

static const char *
text(const struct json *row, const char *name)
{
	const struct json *v = json_gets(row, name);

	return v && v->type == JSON_STR ? v->s : "";
}

/* The strict rows.  Many break off; so that a bad last line is seen, those to be refused get an end. */
static void
llhttp_row(const struct suite *s, const struct json *row)
{
	/* Refused there: methods that it does not know, CONNECT and upgrades, a message after the last one. */
	static const char *const laxer[] = {
		"request_connection_03", "request_connection_18", "request_invalid_04", "request_invalid_14",
		"request_method_03", "request_uri_09", "response_connection_06",
	};
	/* Refused here: RTSP, ICE, HTTP/0.9, * for other than OPTIONS, fragments, transfer codings that are not understood. */
	static const char *const stricter[] = {
		"request_method_05", "request_method_12", "request_method_13", "request_method_14", "request_sample_10",
		"request_transfer-encoding_20", "request_transfer-encoding_21", "request_uri_08", "response_sample_02",
		"response_sample_03", "response_sample_18", "response_transfer-encoding_02",
		"response_transfer-encoding_03", "response_transfer-encoding_04",
	};
	const char *type = text(json_gets(row, "meta"), "type"), *id = text(row, "id");
	bool want = !strcmp(text(row, "expect"), "reject"), got;
	struct buf b = {0};

	if (strcmp(type, "request") && strcmp(type, "response"))
		return;
	slurp(s, text(row, "file"), &b);
	got = refused(strcmp(type, "request") ? RESPONSE : REQUEST, (struct str){b.p, b.len}, want ? "\r\n\r\n" : "");
	if (listed(laxer, LEN(laxer), id) || listed(stricter, LEN(stricter), id))
		want = !want;
	check(got == want, "llhttp %s (%s) is %s", id, text(row, "title"), got ? "refused" : "accepted");
	buf_free(&b);
}

/* Single requests, where only an error or only an answer will do, and where that is for the parser to say. */
static void
probe_row(const struct suite *s, const struct json *row)
{
	static const char *const not_ours[] = {"COMP-METHOD-CONNECT", "MAL-EMPTY-REQUEST"};
	const struct json *file = json_gets(row, "files") ? json_gets(row, "files")->head : NULL;
	const char *id = text(row, "id"), *expected = text(row, "expected");
	bool refuse_it = !strncmp(expected, "400", 3) && !strstr(expected, "2xx") && !strstr(expected, "200");
	bool answer_it = !strpbrk(expected, "45") && !strstr(expected, "Reject");
	struct buf b = {0};
	struct feeder f;

	if (!file || file->next || (!refuse_it && !answer_it) || listed(not_ours, LEN(not_ours), id))
		return;
	slurp(s, file->s, &b);
	play(&f, REQUEST, (struct str){b.p, b.len}, b.len ? b.len : 1, b.len);
	check((f.bad || strstr(f.out.p, "|eof, bad")) == refuse_it, "probe %s (%s): %.500s", id, expected, f.out.p);
	feeder_free(&f);
	buf_free(&b);
}

static void
run_suite(struct suite s)
{
	struct buf index = {0};
	int rows = 0;

	slurp(&s, "index.jsonl", &index);
	for (char *line = index.p; line && *line; rows++) {
		char *end = strchr(line, '\n');
		size_t n = end ? (size_t)(end - line) : strlen(line);
		struct json_doc *doc = json_parse(line, n, NULL);

		check(doc != NULL, "%s: row %d is no JSON", s.name, rows);
		if (doc)
			s.row(&s, doc->root);
		json_free(doc);
		line += n + (end ? 1 : 0);
	}
	check(rows >= s.rows, "%s has %d rows", s.name, rows);
	buf_free(&index);
}

int
main(int argc, char **argv)
{
	test_good();
	test_bad();
	test_bytes();
	test_target();
	test_head_size();
	test_field_count();
	test_chunk_line();
	test_any_body();
	test_refused();
	test_eof();
	test_linear();
	test_chance();
	test_chunks();
	test_get();
	test_reason();
	test_unescape();
	test_escape();
	test_query();
	if (argc > 1) {
		run_suite((struct suite){argv[1], "llhttp", llhttp_row, 251});
		run_suite((struct suite){argv[1], "Http11Probe", probe_row, 215});
	}
	return test_done("http");
}
