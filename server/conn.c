/* SPDX-License-Identifier: MIT */
/*
 * One connection.  Its bytes come in as they please; every whole request is handed to api at once and its answer is put
 * behind the ones before it, so that answers leave in the order of the requests however deeply they are pipelined.  Answers
 * of the turn are held back until conn_settle; when the turn could not be kept, all of them become 503.
 *
 * A request that lies whole in the input buffer is handled without a copy.  One that does not is moved aside, head and body.
 */
#include "server.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	READ = 32 << 10, READS = 4,   /* bytes a read, reads a turn: nobody is kept waiting by a peer that sends much */
	BACKLOG = 256 << 10,      /* unsent answers beyond which no more requests are taken */
	FEED = 64 << 10,          /* unsent events beyond which a listener's place stays where it is */
	STALL = 600,              /* seconds for a listener to take something: it costs us little */
	LINGER = 2,               /* seconds that a peer has to see our end of the stream */
	KEEP = 4 << 10,           /* a buffer larger than this is given back when it is empty */
	PACE = 61                 /* microseconds more for each byte of a request: 16 KiB a second are enough */
};

/* A request that was answered in this turn, for the log. */
struct entry {
	struct entry *next;
	int status;
	size_t bytes, method;     /* bytes of the answer; length of the method, which stands in text before the target */
	size_t n;
	int64_t began;
	char queue[101];
	char text[];
};

struct conn {
	struct net *net;
	const struct conn_opts *opts;
	uint64_t peer;
	struct http http;
	struct buf in, out;
	size_t used;              /* bytes of in that are done with */
	struct buf head, body;    /* of a request that did not come in one piece */
	struct str piece;         /* its body, while that is one piece of in */
	size_t back;              /* from the head that still lies in in to used; 0: none, or moved aside */
	bool inside;              /* between a head and its end */
	bool waits;               /* the request waits for auth */
	bool held;                /* it is a fetch that waits for a task: its place is wait */
	struct wait *wait;
	bool stalled;             /* in holds requests that were not looked at, for out was full */
	bool tls, shaking;        /* TLS stands between us / is being agreed on: nothing is asked yet */
	bool eof, closing;        /* the peer sends no more / we close when out is empty */
	bool linger;              /* all is sent; what still comes is dropped, so that a reset does not overtake our answer */
	size_t settled, answers;  /* bytes of out that may leave; answers behind them */
	int64_t since;            /* mono: when some of out was last taken; where it is empty, when something last came */
	int64_t began;            /* mono: when the request that is half there began to come */
	size_t got;               /* bytes since */
	struct entry *entry, *last_entry;
	char from[48];
	struct listener *listener;   /* events follow, and no more requests are read */
	int64_t ping;             /* mono: when they are to be told that we live */
};

struct conn *
conn_new(struct net *net, uint64_t peer, const char *from, const struct conn_opts *opts, struct now now)
{
	struct conn *c = xcalloc(1, sizeof *c);

	c->net = net;
	c->peer = peer;
	c->opts = opts;
	c->since = c->began = now.mono;
	c->tls = c->shaking = net_shaking(net);
	strncpy(c->from, from, sizeof c->from - 1);
	http_init(&c->http, false);
	if (opts->max_body)
		c->http.max_body = opts->max_body;
	return c;
}

static void
free_entries(struct conn *c)
{
	struct entry *e;

	while ((e = c->entry)) {
		c->entry = e->next;
		free(e);
	}
}

void
conn_free(struct conn *c)
{
	free_entries(c);
	events_leave(c->listener);
	wait_free(c->wait);
	net_close(c->net);
	buf_free(&c->in);
	buf_free(&c->out);
	buf_free(&c->head);
	buf_free(&c->body);
	free(c);
}

int
conn_fd(const struct conn *c)
{
	return net_fd(c->net);
}

uint64_t
conn_peer(const struct conn *c)
{
	return c->peer;
}

bool
conn_shaking(const struct conn *c)
{
	return c->shaking;
}

bool
conn_waits(const struct conn *c)
{
	return c->waits;
}

static bool
full(const struct conn *c)
{
	return c->out.len > BACKLOG;
}

bool
conn_stalled(const struct conn *c)
{
	return c->stalled && !full(c);
}

short
conn_want(const struct conn *c)
{
	bool room = c->held ? c->in.len < READ : !c->closing && !c->waits && !full(c);
	bool reading = !c->eof && (c->linger || c->listener || room);
	short want = 0;

	if (reading)
		want |= net_want(c->net, false);
	if (c->settled)
		want |= net_want(c->net, true);
	return want;
}

/* Part of a request is there, and we read on. */
static bool
partial(const struct conn *c)
{
	return !c->waits && !c->held && !c->stalled && !c->closing && (c->shaking || c->inside || c->in.len > c->used);
}

int64_t
conn_deadline(const struct conn *c)
{
	int64_t end = INT64_MAX, whole;

	if (c->linger)
		return c->since + LINGER * SECOND;
	if (c->out.len)
		end = c->since + (c->listener ? STALL * SECOND : c->opts->patience);
	whole = partial(c) ? c->began + c->opts->patience + (int64_t)c->got * PACE : INT64_MAX;
	return whole < end ? whole : end;
}

int64_t
conn_wake(const struct conn *c)
{
	return c->listener && !c->out.len ? c->ping : INT64_MAX;
}

int64_t
conn_idle(const struct conn *c)
{
	bool busy = c->listener ? !c->out.len : c->out.len || c->inside || c->waits || c->in.len > c->used;

	return busy ? INT64_MAX : c->since;
}

static bool
chunked(const struct conn *c)
{
	return c->listener && c->http.minor;
}

/* The field Date.  It changes once a second and is made as often. */
static const char *
date_line(int64_t wall)
{
	static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	static int64_t made = INT64_MIN;
	static char line[48];
	int64_t now = wall / SECOND, n, s, year;
	int month, day;

	if (now == made)
		return line;
	made = now;
	n = now >= 0 ? now / 86400 : -1;
	s = now >= 0 ? now % 86400 : 0;
	date_civil(n, &year, &month, &day);
	snprintf(line, sizeof line, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[(n % 7 + 7) % 7], day, months[month - 1],
	    (int)year, (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
	return line;
}

/* The head of an answer. */
static void
put_head(struct conn *c, int status, const char *type, size_t length, int64_t wall, struct str extra)
{
	buf_adds(&c->out, "HTTP/1.1 ");
	buf_addint(&c->out, status);
	buf_addc(&c->out, ' ');
	buf_adds(&c->out, http_reason(status));
	buf_adds(&c->out, "\r\n");
	buf_adds(&c->out, date_line(wall));
	if (type) {
		buf_adds(&c->out, "Content-Type: ");
		buf_adds(&c->out, type);
		buf_adds(&c->out, "\r\n");
	}
	if (chunked(c)) {
		buf_adds(&c->out, "Transfer-Encoding: chunked\r\n");
	} else if (status != 204 && !c->listener) {
		buf_adds(&c->out, "Content-Length: ");
		buf_addint(&c->out, (int64_t)length);
		buf_adds(&c->out, "\r\n");
	}
	if (c->closing || (c->listener && !c->http.minor))
		buf_adds(&c->out, "Connection: close\r\n");
	else if (!c->http.minor)
		buf_adds(&c->out, "Connection: keep-alive\r\n");
	buf_add(&c->out, extra.p, extra.n);
	buf_adds(&c->out, "\r\n");
}

/* Notes a request for the log; of one that could not be read there is no more than that. */
static void
note(struct conn *c, int status, size_t bytes, const char *queue)
{
	struct str m = c->inside ? c->http.method : (struct str){0}, t = c->inside ? c->http.target : (struct str){0};
	struct entry *e;

	if (!c->opts->log)
		return;
	e = xcalloc(1, sizeof *e + m.n + t.n);
	e->status = status;
	e->bytes = bytes;
	e->began = c->began;
	e->method = m.n;
	e->n = m.n + t.n;
	if (queue)
		memcpy(e->queue, queue, sizeof e->queue);
	if (m.n)
		memcpy(e->text, m.p, m.n);
	if (t.n)
		memcpy(e->text + m.n, t.p, t.n);
	*(c->entry ? &c->last_entry->next : &c->entry) = e;
	c->last_entry = e;
}

static void
log_entries(struct conn *c, bool held, struct now now)
{
	for (const struct entry *e = c->entry; e; e = e->next) {
		struct log_line l = {
			.peer = c->from, .queue = e->queue, .method = {e->text, e->method}, .target = {e->text + e->method, e->n - e->method},
			.status = held ? e->status : 503, .bytes = held ? e->bytes : 0, .wall = now.wall, .us = now.mono - e->began,
		};

		log_request(&l);
	}
	free_entries(c);
}

static void
refuse(struct conn *c, int status, const char *why, int64_t wall)
{
	struct buf text = {0};

	buf_adds(&text, "{\"detail\":");
	json_putstr(&text, str_of(why), 0);
	buf_addc(&text, '}');
	put_head(c, status, "application/json", text.len, wall, str_of(status == 503 ? "Retry-After: 1\r\n" : ""));
	buf_add(&c->out, text.p, text.len);
	buf_free(&text);
	c->answers++;
}

/* Part of an answer without known length. */
static void
put_chunk(struct conn *c, struct str data)
{
	if (chunked(c))
		buf_printf(&c->out, "%lx\r\n", (unsigned long)data.n);
	buf_add(&c->out, data.p, data.n);
	if (chunked(c))
		buf_adds(&c->out, "\r\n");
}

/* The end of a stream of events, and of the connection. */
static void
end_stream(struct conn *c)
{
	if (chunked(c))
		buf_adds(&c->out, "0\r\n\r\n");
	c->settled = c->out.len;
	c->closing = true;
	events_leave(c->listener);
	c->listener = NULL;
}

static void
move(struct str *s, const char *from, const char *to)
{
	s->p = to + (s->p - from);
}

/* in is about to change while a request is half there: takes its head and body aside. */
static void
set_aside(struct conn *c)
{
	if (c->back) {
		const char *from = c->in.p + c->used - c->back;

		buf_clear(&c->head);
		buf_add(&c->head, from, c->back);
		move(&c->http.method, from, c->head.p);
		move(&c->http.target, from, c->head.p);
		for (size_t i = 0; i < c->http.nfield; i++) {
			move(&c->http.field[i].name, from, c->head.p);
			move(&c->http.field[i].value, from, c->head.p);
		}
		c->back = 0;
	}
	if (c->piece.n)
		buf_add(&c->body, c->piece.p, c->piece.n);
	c->piece = (struct str){0};
}

static void
release(struct buf *b)
{
	buf_clear(b);
	if (b->cap > KEEP)
		buf_free(b);
}

/* The request is done with; what of the next is there begins to count. */
static void
next_request(struct conn *c, struct now now)
{
	c->inside = false;
	c->back = 0;
	c->piece = (struct str){0};
	release(&c->body);
	release(&c->head);
	c->began = now.mono;
	c->got = 0;
}

static void
put_answer(struct conn *c, struct answer *a, struct now now)
{
	bool head = str_is(c->http.method, "HEAD");

	if (!c->out.len)
		c->since = now.mono;
	c->listener = a->listener;
	c->ping = now.mono + c->opts->ping;
	/* HEAD is the last: should its turn fail, the text of the 503 would look like another answer. */
	c->closing = (c->http.close || head) && !c->listener;
	put_head(c, a->status, a->type, a->body.len, now.wall, (struct str){a->head.p, a->head.len});
	if (c->listener)
		put_chunk(c, (struct str){a->body.p, a->body.len});
	else if (!head)
		buf_add(&c->out, a->body.p, a->body.len);
	c->answers++;
}

/* The request is whole: its answer goes behind the others, or it waits. */
static void
handle(struct conn *c, struct rest *api, struct now now)
{
	struct request r = {
		.method = c->http.method, .target = c->http.target, .head = &c->http, .tls = c->tls, .peer = c->peer, .who = c,
		.wait = &c->wait,
	};
	static struct answer a;   /* its buffers live on from answer to answer */
	enum api_result done;

	r.body = c->piece.n ? c->piece : (struct str){c->body.p, c->body.len};
	a.status = 0;
	a.type = "application/json";
	buf_clear(&a.head);
	buf_clear(&a.body);
	a.listener = NULL;
	done = api_handle(api, &r, now, &a);
	c->waits = done == API_LATER;
	c->held = done == API_HELD;
	if (c->held)
		set_aside(c);
	if (c->waits || c->held)
		return;
	note(c, a.status, a.body.len, a.queue);
	put_answer(c, &a, now);
	next_request(c, now);
	if (a.body.cap > 1 << 20)
		buf_free(&a.body);
}

static void
body_piece(struct conn *c, struct str data)
{
	if (!c->piece.n && !c->body.len && data.p >= c->in.p && data.p < c->in.p + c->in.len) {
		c->piece = data;
		return;
	}
	if (c->piece.n)
		buf_add(&c->body, c->piece.p, c->piece.n);
	c->piece = (struct str){0};
	buf_add(&c->body, data.p, data.n);
}

/* Everything that in holds, until it is used up, a request waits, or the peer takes its answers too slowly. */
static void
parse(struct conn *c, struct rest *api, struct now now)
{
	c->stalled = false;
	while (!c->waits && !c->held && !c->closing && !c->listener) {
		struct err e = {0};
		struct str data = {0};
		size_t n = 0;
		enum http_event ev;

		c->stalled = full(c);
		if (c->stalled)
			return;
		ev = http_next(&c->http, c->in.p ? c->in.p + c->used : NULL, c->in.len - c->used, &n, &data, &e);
		c->used += n;
		switch (ev) {
		case HTTP_HEADERS:
			c->inside = true;
			c->back = n;
			if (c->http.expect && c->used == c->in.len)
				buf_adds(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
			break;
		case HTTP_DATA:
			c->back += c->back ? n : 0;
			body_piece(c, data);
			break;
		case HTTP_END:
			c->back += c->back ? n : 0;
			handle(c, api, now);
			break;
		case HTTP_BAD:
			c->closing = true;
			note(c, e.code, 0, NULL);
			refuse(c, e.code, e.msg, now.wall);
			break;
		case HTTP_MORE:
			c->back += c->back ? n : 0;
			return;
		}
	}
}

/* Drops what is used.  Pointers into in are moved aside first. */
static void
tidy(struct conn *c)
{
	if (c->waits)
		return;
	if (c->inside && c->used)
		set_aside(c);
	buf_drop(&c->in, c->used);
	c->used = 0;
	if (!c->in.len)
		buf_free(&c->in);
}

/* The handshake goes on.  Whether it is over and there may be a request. */
static bool
shake(struct conn *c, struct now now)
{
	struct err e = {0};
	int rc = net_ready(c->net, &e);

	c->since = now.mono;
	c->shaking = !rc;
	if (rc >= 0)
		return rc;
	c->closing = true;
	if (e.code == TLS_PLAIN)
		refuse(c, 400, e.msg, now.wall);
	else
		c->eof = true;
	if (c->opts->log)
		warn("%s: %s", c->from, e.msg);
	return false;
}

/* Reads what nobody wants, to see the end. */
static void
read_away(struct conn *c)
{
	static char rest[READ];
	ssize_t n = net_read(c->net, rest, sizeof rest);

	if (n != NET_AGAIN)
		c->eof = n <= 0;
}

/* One read.  Whether there may be more that is wanted in this turn. */
static bool
take_in(struct conn *c, struct rest *api, struct now now)
{
	ssize_t n;

	if (c->shaking && !shake(c, now))
		return false;
	if (c->linger || c->listener) {
		read_away(c);
		return false;
	}
	if (!partial(c)) {
		c->began = now.mono;
		c->got = 0;
	}
	buf_reserve(&c->in, READ);
	n = net_read(c->net, c->in.p + c->in.len, READ);
	if (n == NET_AGAIN) {
		tidy(c);
		return false;
	}
	if (!c->out.len)
		c->since = now.mono;
	if (n <= 0) {
		c->eof = true;
		if (n < 0 || (!c->held && (c->inside || !c->out.len)))
			c->closing = true;
		if (c->held)
			wait_hasten(c->wait);
		return false;
	}
	c->got += (size_t)n;
	c->in.len += (size_t)n;
	c->in.p[c->in.len] = 0;
	parse(c, api, now);
	tidy(c);
	return n == READ && !c->closing && !c->held && !c->waits && c->out.len < BACKLOG;
}

void
conn_input(struct conn *c, struct rest *api, struct now now)
{
	for (int reads = 1; take_in(c, api, now) && reads < READS; reads++)
		;
}

void
conn_gone(struct conn *c)
{
	c->eof = true;
	if (c->held)
		wait_hasten(c->wait);
}

void
conn_resume(struct conn *c, struct rest *api, struct now now)
{
	if (c->waits || c->held) {
		handle(c, api, now);
		if (c->waits || c->held)
			return;
	}
	parse(c, api, now);
	tidy(c);
}

void
conn_settle(struct conn *c, bool held, const char *why, struct now now)
{
	if (c->entry)
		log_entries(c, held, now);
	if (!held) {
		size_t n = c->answers;

		if (n) {
			events_leave(c->listener);
			c->listener = NULL;
		}
		c->out.len = c->settled;
		while (n--)
			refuse(c, 503, why, now.wall);
	}
	c->settled = c->out.len;
	c->answers = 0;
}

/* Puts events that have come, or a ping, behind what is unsent.  False: there is nothing. */
static bool
feed(struct conn *c, struct now now)
{
	size_t before = c->out.len;
	struct str block;

	while (c->out.len < FEED && events_next(c->listener, &block))
		put_chunk(c, block);
	if (!c->out.len && now.mono >= c->ping)
		put_chunk(c, str_of("event: ping\r\n\r\n"));
	if (now.mono >= c->ping)
		c->ping = now.mono + c->opts->ping;
	if (!before)
		c->since = now.mono;
	c->settled = c->out.len;
	return c->out.len > before;
}

/* Sends what may leave.  -1: the peer is gone. */
static int
put_out(struct conn *c, struct now now)
{
	size_t sent = 0;
	ssize_t n = 0;

	while (sent < c->settled) {
		n = net_write(c->net, c->out.p + sent, c->settled - sent);
		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	if (sent) {
		c->since = now.mono;
		buf_drop(&c->out, sent);
		c->settled -= sent;
		if (!c->out.len)
			release(&c->out);
	}
	return n == -1 ? -1 : 0;
}

bool
conn_flush(struct conn *c, struct now now)
{
	bool more;

	if (c->listener && c->eof)
		return false;
	do {
		more = c->listener && feed(c, now);
		if (put_out(c, now) < 0)
			return false;
	} while (more && !c->out.len);
	if (c->listener && events_over(c->listener))
		end_stream(c);
	if (c->out.len || c->waits || c->held || c->stalled || !(c->closing || c->eof))
		return true;
	if (c->eof || c->linger)
		return !c->eof;
	c->linger = true;
	c->since = now.mono;
	buf_free(&c->in);
	c->used = 0;
	return !net_shut(c->net);
}

bool
conn_late(struct conn *c, struct now now)
{
	if (c->out.len || c->linger || c->shaking || !partial(c))
		return false;
	c->closing = true;
	c->since = now.mono;
	note(c, 408, 0, NULL);
	log_entries(c, true, now);
	refuse(c, 408, "the request did not come whole in time", now.wall);
	c->settled = c->out.len;
	c->answers = 0;
	return true;
}

void
conn_end(struct conn *c)
{
	if (c->listener)
		end_stream(c);
}
