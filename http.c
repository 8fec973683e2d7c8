/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.0 and 1.1 messages (RFC 9112) out of a stream of bytes, requests or responses.  Copies nothing, allocates nothing, and
 * depends on the stream alone, never on how it was cut.
 *
 * Whatever two readers could understand in two ways is refused: lines that do not end in CR LF, folded lines, spaces around a
 * field's name, control bytes, Transfer-Encoding beside Content-Length or in HTTP/1.0, chunked anywhere but once and last, Host
 * missing or twice.  Content-Length may be repeated, as a list or as fields, while all its numbers are equal (RFC 9110, 8.6).
 *
 * A head is judged line by line as it comes, so that a bad one is not waited for.  One that came in pieces is read once more when
 * it is whole, for the caller may have moved its bytes in between.
 */
#include "labtasker.h"

#include <string.h>

enum {
	EMPTY = 8,                       /* empty lines before a message, for peers that send one after a body */
	METHOD = 32,                     /* longer than any that is known */
	START_LINE = METHOD + HTTP_TARGET + 16,
	CHUNK_LINE = 256                 /* a size and its extensions: no more waste than that a chunk */
};

/* What the next bytes are.  While lines are read, scan is how far a line's end was looked for, left where the line begins, total
 * how many empty lines or fields there were.  In a body, left is what is missing of it, or of the chunk; total: of all chunks. */
enum state { START, FIELDS, BODY, SIZE, CHUNK, CHUNK_END, TRAILER, STREAM, DONE, FAILED };

struct input {
	const char *p;
	size_t n, used;
	bool again;               /* the head at p was begun in an earlier call */
};

enum { GO = -1 };                 /* beside the events: nothing to tell yet */

/* ---- bytes ---- */

enum { TOKEN = 1, TEXT = 2, TARGET = 4, HOST = 8, UNRESERVED = 16 };

static const unsigned char class[256] = {
	 0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0,
	 0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
	 2, 15,  6,  3, 15, 15, 15, 15, 14, 14, 15, 15,  6, 31, 31,  6,
	31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 14, 14,  6, 14,  6,  6,
	 6, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,
	31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 14,  6, 14,  7, 31,
	 7, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,
	31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,  6,  7,  6, 31,  0,
	 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
	 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
	 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
	 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
	 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
	 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
	 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
	 2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
};

/* The first place from i on whose byte is none of the kind. */
static size_t
run(struct str s, size_t i, int kind)
{
	while (i < s.n && class[(unsigned char)s.p[i]] & kind)
		i++;
	return i;
}

static size_t
blanks(struct str s, size_t i)
{
	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
		i++;
	return i;
}

static struct str
trim(struct str s)
{
	size_t i = blanks(s, 0);

	while (s.n > i && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return (struct str){s.p + i, s.n - i};
}

static int
digit(char c)
{
	int d = hex_digit(c);

	return d < 0 ? 16 : d;
}

/* The digits that s begins with, how many, and their value; INT64_MAX for what is as much or more. */
static size_t
number(struct str s, int base, int64_t *v)
{
	size_t i;
	int d;

	*v = 0;
	for (i = 0; i < s.n && (d = digit(s.p[i])) < base; i++)
		*v = *v > (INT64_MAX - d) / base ? INT64_MAX : *v * base + d;
	return i;
}

bool
http_element(struct str *rest, struct str *out)
{
	if (!rest->p)
		return false;
	*out = trim(str_part(rest, ','));
	return true;
}

static int
refuse(struct err *e, int code, const char *why)
{
	err_set(e, code, "%s", why);
	return HTTP_BAD;
}

/* ---- lines ---- */

static void
take(struct input *in, size_t n)
{
	in->p += n;
	in->n -= n;
	in->used += n;
}

/* The lines that were read are done with. */
static void
take_lines(struct http *h, struct input *in)
{
	take(in, h->scan);
	h->scan = 0;
	h->left = 0;
}

/* The next line without its end: GO, or what hinders. */
static int
next_line(struct http *h, const struct input *in, struct str *line, struct err *e)
{
	static const struct {
		size_t max;
		int code;
		const char *why;
	} limit[] = {
		[START] = {START_LINE, 414, "the first line is too long"},
		[FIELDS] = {HTTP_HEAD, 431, "the header is too long"},
		[SIZE] = {CHUNK_LINE, 400, "a chunk's extensions are too long"},
		[TRAILER] = {HTTP_HEAD, 431, "the trailer is too long"},
	};
	size_t max = limit[h->state].max, end = in->n < max ? in->n : max, from = (size_t)h->left;
	const char *lf = end > h->scan ? memchr(in->p + h->scan, '\n', end - h->scan) : NULL;

	if (!lf) {
		h->scan = end;
		if (end < max)
			return HTTP_MORE;
		if (h->state == START && !memchr(in->p, ' ', METHOD + 1))
			return refuse(e, 400, "the first line is none of HTTP");
		return refuse(e, limit[h->state].code, limit[h->state].why);
	}
	h->scan = (size_t)(lf - in->p) + 1;
	h->left = h->scan;
	if (h->scan < from + 2 || lf[-1] != '\r')
		return refuse(e, 400, "a line does not end in CR LF");
	*line = (struct str){in->p + from, h->scan - 2 - from};
	return GO;
}

static int
version(struct http *h, struct str s, struct err *e)
{
	if (s.n != 8 || memcmp(s.p, "HTTP/", 5) || digit(s.p[5]) > 9 || s.p[6] != '.' || digit(s.p[7]) > 9)
		return refuse(e, 400, "the first line names no version of HTTP");
	h->minor = s.p[7] - '0';
	return s.p[5] == '1' && h->minor <= 1 ? GO : refuse(e, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
}

/* The four forms of RFC 9112, 3.2. */
static bool
target_fits(struct str method, struct str target)
{
	static const char *const schemes[] = {"http://", "https://"};

	if (target.p[0] == '/' || str_is(method, "CONNECT"))
		return true;
	for (size_t i = 0; i < LEN(schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (target.n > n && str_caseis((struct str){target.p, n}, schemes[i]))
			return true;
	}
	return str_is(target, "*") && str_is(method, "OPTIONS");
}

static int
request_line(struct http *h, struct str line, struct err *e)
{
	size_t m = run(line, 0, TOKEN), t = run(line, m + 1, TARGET);

	if (!m || m > METHOD || t >= line.n || t == m + 1 || line.p[m] != ' ' || line.p[t] != ' ')
		return refuse(e, 400, "the request line is not METHOD TARGET VERSION");
	h->method = (struct str){line.p, m};
	h->target = (struct str){line.p + m + 1, t - m - 1};
	if (h->target.n > HTTP_TARGET)
		return refuse(e, 414, "the target is too long");
	if (version(h, (struct str){line.p + t + 1, line.n - t - 1}, e) != GO)
		return HTTP_BAD;
	return target_fits(h->method, h->target) ? GO : refuse(e, 400, "the target is neither a path nor an http URL");
}

/* The reason, and the space before it, may be missing. */
static int
status_line(struct http *h, struct str line, struct err *e)
{
	int64_t status;

	if (version(h, (struct str){line.p, line.n < 8 ? line.n : 8}, e) != GO)
		return HTTP_BAD;
	if (line.n < 12 || line.p[8] != ' ' || number((struct str){line.p + 9, 3}, 10, &status) != 3 || status < 100 ||
	    (line.n > 12 && line.p[12] != ' ') || run(line, 12, TEXT) != line.n)
		return refuse(e, 400, "the first line has no status");
	h->status = (int)status;
	return GO;
}

static bool
split_field(struct http_field *f, struct str line)
{
	size_t n = run(line, 0, TOKEN);

	if (!n || n == line.n || line.p[n] != ':' || run(line, n + 1, TEXT) != line.n)
		return false;
	f->name = (struct str){line.p, n};
	f->value = trim((struct str){line.p + n + 1, line.n - n - 1});
	return true;
}

/* Field lines, up to the empty one; those of a trailer are dropped. */
static int
read_fields(struct http *h, const struct input *in, struct err *e)
{
	struct http_field dropped;
	struct str line;
	int ev;

	while ((ev = next_line(h, in, &line, e)) == GO && line.n) {
		if (h->total++ == HTTP_FIELDS)
			return refuse(e, 431, "too many header fields");
		if (!split_field(h->state == TRAILER ? &dropped : &h->field[h->nfield++], line))
			return refuse(e, 400, "a header field is not NAME: VALUE");
	}
	return ev;
}

/* ---- the head ---- */

/* What the fields say about the message. */
struct framing {
	const char *wrong;        /* about its length */
	bool sized, chunked, coded;
	int64_t size;
	bool close, keep, expect;
	int hosts;
	bool odd_host;
};

static void
see_length(struct framing *f, struct str value)
{
	struct str x;
	int64_t n;

	while (http_element(&value, &x)) {
		if (number(x, 10, &n) != x.n || !x.n || n == INT64_MAX || (f->sized && n != f->size))
			f->wrong = "Content-Length is not one number";
		f->sized = true;
		f->size = n;
	}
}

static void
see_coding(struct framing *f, struct str value)
{
	struct str x;

	while (http_element(&value, &x)) {
		if (!x.n || f->chunked || run(x, 0, TOKEN) != x.n)
			f->wrong = "Transfer-Encoding does not end in one chunked";
		else if (str_caseis(x, "chunked"))
			f->chunked = true;
		else
			f->coded = true;
	}
}

static void
see_connection(struct framing *f, struct str value)
{
	struct str x;

	while (http_element(&value, &x)) {
		f->close |= str_caseis(x, "close");
		f->keep |= str_caseis(x, "keep-alive");
	}
}

static void
see_host(struct framing *f, struct str value)
{
	f->hosts++;
	f->odd_host |= !value.n || run(value, 0, HOST) != value.n;
}

static void
see_expect(struct framing *f, struct str value)
{
	f->expect |= str_caseis(value, "100-continue");
}

static void
see_fields(const struct http *h, struct framing *f)
{
	static const struct {
		size_t n;
		const char *name;
		void (*see)(struct framing *f, struct str value);
	} known[] = {
		{4, "Host", see_host},
		{6, "Expect", see_expect},
		{10, "Connection", see_connection},
		{14, "Content-Length", see_length},
		{17, "Transfer-Encoding", see_coding},
	};

	for (size_t i = 0; i < h->nfield; i++) {
		for (size_t k = 0; k < LEN(known); k++) {
			if (h->field[i].name.n == known[k].n && str_caseis(h->field[i].name, known[k].name))
				known[k].see(f, h->field[i].value);
		}
	}
}

static bool
bodiless(const struct http *h)
{
	return h->response && (h->nobody || h->status < 200 || h->status == 204 || h->status == 304);
}

static bool
too_large(const struct http *h, int64_t size, uint64_t before)
{
	return h->max_body && (uint64_t)size > (uint64_t)h->max_body - before;
}

/* The body's length, by the rules of RFC 9112, 6.3. */
static int
measure(struct http *h, const struct framing *f, struct err *e)
{
	h->length = 0;
	if (bodiless(h))
		return GO;
	if (f->wrong)
		return refuse(e, 400, f->wrong);
	if ((f->chunked || f->coded) && (f->sized || !h->minor))
		return refuse(e, 400, f->sized ? "both Transfer-Encoding and Content-Length" : "Transfer-Encoding in HTTP/1.0");
	if (f->coded)
		return refuse(e, 501, "only chunked is known as Transfer-Encoding");
	if (f->sized && too_large(h, f->size, 0))
		return refuse(e, 413, "the body is too large");
	if (f->chunked)
		h->length = -1;
	else if (f->sized)
		h->length = f->size;
	else if (h->response)
		h->length = -2;
	return GO;
}

static int
judge(struct http *h, struct err *e)
{
	struct framing f = {0};

	see_fields(h, &f);
	if (!h->response && (f.hosts > 1 || f.odd_host || (h->minor && !f.hosts)))
		return refuse(e, 400, f.hosts ? "Host is not one host" : "Host is missing");
	if (measure(h, &f, e) != GO)
		return HTTP_BAD;
	h->close = f.close || (!h->minor && !f.keep) || h->length == -2 || (h->response && h->status == 101);
	h->expect = f.expect && h->minor && h->length;
	return GO;
}

/* ---- states ---- */

static int
at_start(struct http *h, struct input *in, struct str *data, struct err *e)
{
	struct str line;
	int ev = next_line(h, in, &line, e);

	(void)data;
	if (ev != GO)
		return ev;
	if (!line.n) {
		take_lines(h, in);
		return h->total++ < EMPTY ? GO : refuse(e, 400, "empty lines instead of a message");
	}
	h->nfield = 0;
	h->total = 0;
	h->state = FIELDS;
	return h->response ? status_line(h, line, e) : request_line(h, line, e);
}

static int
at_fields(struct http *h, struct input *in, struct str *data, struct err *e)
{
	int ev = read_fields(h, in, e);

	(void)data;
	if (ev != GO)
		return ev;
	if (in->again) {
		in->again = false;
		h->scan = 0;
		h->left = h->total = 0;
		h->state = START;
		return GO;
	}
	take_lines(h, in);
	h->total = 0;
	if (h->response && h->status < 200 && h->status != 101) {
		h->state = START;
		return GO;
	}
	if (judge(h, e) != GO)
		return HTTP_BAD;
	h->left = h->length > 0 ? (uint64_t)h->length : 0;
	h->state = h->length > 0 ? BODY : h->length == -1 ? SIZE : h->length == -2 ? STREAM : DONE;
	return HTTP_HEADERS;
}

/* The body, or one chunk of it. */
static int
at_body(struct http *h, struct input *in, struct str *data, struct err *e)
{
	size_t n = in->n < h->left ? in->n : (size_t)h->left;

	(void)e;
	if (!n)
		return HTTP_MORE;
	*data = (struct str){in->p, n};
	take(in, n);
	h->left -= n;
	if (!h->left)
		h->state = h->state == BODY ? DONE : CHUNK_END;
	return HTTP_DATA;
}

/* The place behind a token or a quoted string, 0 for neither. */
static size_t
extension_value(struct str s, size_t i)
{
	size_t end = run(s, i, TOKEN);

	if (end > i)
		return end;
	if (i == s.n || s.p[i] != '"')
		return 0;
	for (i++; i < s.n && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\')
			i++;
		if (run(s, i, TEXT) == i)
			return 0;
	}
	return i < s.n ? i + 1 : 0;
}

/* RFC 9112, 7.1.1: understood as far as needed to see that nothing hides in them. */
static bool
extensions_fit(struct str s)
{
	size_t i = 0, end, mark;

	while (i < s.n) {
		i = blanks(s, i);
		if (i == s.n || s.p[i] != ';')
			return false;
		i = blanks(s, i + 1);
		end = run(s, i, TOKEN);
		if (end == i)
			return false;
		mark = blanks(s, end);
		i = end;
		if (mark < s.n && s.p[mark] == '=')
			i = extension_value(s, blanks(s, mark + 1));
		if (!i)
			return false;
	}
	return true;
}

static int
at_size(struct http *h, struct input *in, struct str *data, struct err *e)
{
	struct str line;
	int64_t size;
	size_t n;
	int ev = next_line(h, in, &line, e);

	(void)data;
	if (ev != GO)
		return ev;
	n = number(line, 16, &size);
	if (!n || size == INT64_MAX || !extensions_fit((struct str){line.p + n, line.n - n}))
		return refuse(e, 400, "a chunk's size is not a hexadecimal number");
	if (too_large(h, size, h->total))
		return refuse(e, 413, "the body is too large");
	take_lines(h, in);
	h->total = size ? h->total + (uint64_t)size : 0;
	h->left = (uint64_t)size;
	h->state = size ? CHUNK : TRAILER;
	return GO;
}

static int
at_chunk_end(struct http *h, struct input *in, struct str *data, struct err *e)
{
	size_t n = in->n < 2 ? in->n : 2;

	(void)data;
	if (n && memcmp(in->p, "\r\n", n))
		return refuse(e, 400, "a chunk is longer than its size");
	if (n < 2)
		return HTTP_MORE;
	take(in, n);
	h->state = SIZE;
	return GO;
}

static int
at_trailer(struct http *h, struct input *in, struct str *data, struct err *e)
{
	int ev = read_fields(h, in, e);

	(void)data;
	if (ev == GO) {
		take_lines(h, in);
		h->state = DONE;
	}
	return ev;
}

/* Until the end of the stream; total is what was seen. */
static int
at_stream(struct http *h, struct input *in, struct str *data, struct err *e)
{
	uint64_t room = h->max_body ? (uint64_t)h->max_body - h->total : UINT64_MAX;
	size_t n = in->n < room ? in->n : (size_t)room;

	if (!in->n)
		return HTTP_MORE;
	if (!n)
		return refuse(e, 413, "the body is too large");
	*data = (struct str){in->p, n};
	take(in, n);
	h->total += n;
	return HTTP_DATA;
}

static int
at_done(struct http *h, struct input *in, struct str *data, struct err *e)
{
	(void)in;
	(void)data;
	(void)e;
	h->total = 0;
	h->state = START;
	return HTTP_END;
}

static int
at_failed(struct http *h, struct input *in, struct str *data, struct err *e)
{
	(void)h;
	(void)in;
	(void)data;
	return refuse(e, 400, "what came before was refused");
}

/* ---- the stream ---- */

void
http_init(struct http *h, bool response)
{
	*h = (struct http){.response = response, .max_body = HTTP_BODY, .state = START};
}

enum http_event
http_next(struct http *h, const char *p, size_t n, size_t *used, struct str *data, struct err *e)
{
	static int (*const at[])(struct http *h, struct input *in, struct str *data, struct err *e) = {
		[START] = at_start, [FIELDS] = at_fields, [BODY] = at_body, [SIZE] = at_size, [CHUNK] = at_body,
		[CHUNK_END] = at_chunk_end, [TRAILER] = at_trailer, [STREAM] = at_stream, [DONE] = at_done, [FAILED] = at_failed,
	};
	struct input in = {.p = n ? p : "", .n = n, .again = h->scan > 0};
	int ev;

	*data = (struct str){0};
	do
		ev = at[h->state](h, &in, data, e);
	while (ev == GO);
	if (ev == HTTP_BAD)
		h->state = FAILED;
	*used = in.used;
	return (enum http_event)ev;
}

enum http_event
http_eof(struct http *h, struct err *e)
{
	if (h->state == START && !h->scan)
		return HTTP_MORE;
	if (h->state == STREAM || h->state == DONE) {
		h->total = 0;
		h->state = START;
		return HTTP_END;
	}
	h->state = FAILED;
	return (enum http_event)refuse(e, 400, "the stream ended within a message");
}

const struct str *
http_get(const struct http *h, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < h->nfield; i++) {
		if (h->field[i].name.n == n && str_caseis(h->field[i].name, name))
			return &h->field[i].value;
	}
	return NULL;
}

const char *
http_reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
		{100, "Continue"}, {101, "Switching Protocols"},
		{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {203, "Non-Authoritative Information"}, {204, "No Content"},
		{205, "Reset Content"}, {206, "Partial Content"},
		{300, "Multiple Choices"}, {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"}, {304, "Not Modified"},
		{305, "Use Proxy"}, {307, "Temporary Redirect"}, {308, "Permanent Redirect"},
		{400, "Bad Request"}, {401, "Unauthorized"}, {402, "Payment Required"}, {403, "Forbidden"}, {404, "Not Found"},
		{405, "Method Not Allowed"}, {406, "Not Acceptable"}, {407, "Proxy Authentication Required"},
		{408, "Request Timeout"}, {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"},
		{412, "Precondition Failed"}, {413, "Content Too Large"}, {414, "URI Too Long"},
		{415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"}, {417, "Expectation Failed"},
		{421, "Misdirected Request"}, {422, "Unprocessable Content"}, {426, "Upgrade Required"},
		{428, "Precondition Required"}, {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
		{504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < LEN(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return "Unknown";
}

/* ---- what targets are made of ---- */

int
http_unescape(struct buf *b, struct str s, bool plus)
{
	size_t before = b->len;

	buf_reserve(b, s.n);
	for (size_t i = 0; i < s.n; i++) {
		int high, low;

		if (s.p[i] != '%') {
			buf_addc(b, plus && s.p[i] == '+' ? ' ' : s.p[i]);
			continue;
		}
		high = s.n - i > 2 ? digit(s.p[i + 1]) : 16;
		low = high < 16 ? digit(s.p[i + 2]) : 16;
		if (low == 16) {
			b->len = before;
			b->p[before] = 0;
			return -1;
		}
		buf_addc(b, (char)(high << 4 | low));
		i += 2;
	}
	b->p[b->len] = 0;
	return 0;
}

void
http_escape(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (class[c] & UNRESERVED) {
			buf_addc(b, s.p[i]);
			continue;
		}
		buf_addc(b, '%');
		buf_addc(b, "0123456789ABCDEF"[c >> 4]);
		buf_addc(b, "0123456789ABCDEF"[c & 15]);
	}
}

bool
http_query(struct str *rest, struct str *name, struct str *value)
{
	while (rest->n) {
		const char *end = memchr(rest->p, '&', rest->n), *mark;
		size_t n = end ? (size_t)(end - rest->p) : rest->n;
		struct str part = {rest->p, n};

		n += end ? 1 : 0;
		rest->p += n;
		rest->n -= n;
		if (!part.n)
			continue;
		mark = memchr(part.p, '=', part.n);
		n = mark ? (size_t)(mark - part.p) : part.n;
		*name = (struct str){part.p, n};
		*value = mark ? (struct str){mark + 1, part.n - n - 1} : (struct str){part.p + n, 0};
		return true;
	}
	return false;
}
