/* SPDX-License-Identifier: MIT */
/*
 * One connection from the client's side: the bytes of requests go out, whole answers come in, in order.  Says what happened and
 * decides nothing; counts the bytes that left, for only of those can anything have arrived.
 */
#include "labtasker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK = 32 << 10, READS = 32,   /* bytes a read; reads a call, so that no answer holds up the caller for long */
	ANSWER_MAX = 256 << 20   /* a page of 1000 tasks with large args; more is a mistake */
};

int
wire_open(struct wire *w, const struct net_addrs *a, int64_t now, struct err *e)
{
	w->net = net_open(a, e);
	if (!w->net)
		return -1;
	w->up = false;
	w->since = now;
	w->heard = 0;
	w->answers = 0;
	w->queued = 0;
	http_init(&w->http, true);
	w->http.max_body = ANSWER_MAX;
	return wire_connect(w, now, e);
}

int
wire_connect(struct wire *w, int64_t now, struct err *e)
{
	int rc = net_ready(w->net, e);

	if (rc > 0) {
		w->up = true;
		w->since = now;
	}
	return rc < 0 ? -1 : 0;
}

void
wire_close(struct wire *w)
{
	if (w->net)
		net_close(w->net);
	w->net = NULL;
	w->up = false;
	w->off = w->used = 0;
	buf_clear(&w->out);
	buf_clear(&w->in);
}

void
wire_free(struct wire *w)
{
	wire_close(w);
	buf_free(&w->out);
	buf_free(&w->in);
	buf_free(&w->body);
}

bool
wire_writing(const struct wire *w)
{
	return w->off < w->out.len;
}

uint64_t
wire_written(const struct wire *w)
{
	return w->queued - (w->out.len - w->off);
}

int
wire_write(struct wire *w, int64_t now, struct err *e)
{
	while (wire_writing(w)) {
		ssize_t n = net_write(w->net, w->out.p + w->off, w->out.len - w->off);

		if (n == NET_AGAIN)
			return 0;
		if (n < 0)
			return err_set(e, 1, "%s", strerror(errno));
		w->off += (size_t)n;
		w->since = now;
	}
	w->off = 0;
	buf_clear(&w->out);
	return 0;
}

/* The end of the stream, which ends some answers too. */
static enum wire_event
at_end(struct wire *w, struct err *e)
{
	enum http_event ev = http_eof(&w->http, e);

	if (ev == HTTP_END)
		return WIRE_ANSWER;
	e->code = 0;
	err_set(e, 1, ev == HTTP_BAD ? "the connection broke within the answer" : "the connection was closed before the answer");
	return ev == HTTP_BAD ? WIRE_LOST : WIRE_ENDED;
}

static enum wire_event
bad(struct err *e)
{
	struct err why = *e;

	*e = (struct err){0};
	if (why.code == 413)
		err_set(e, 413, "the answer is over %d MiB: ask for less at once (--limit)", ANSWER_MAX >> 20);
	else
		err_set(e, 1, "what answers there speaks no HTTP that can be used (%.120s)", why.msg);
	return WIRE_LOST;
}

/* Takes apart what has been read. */
static enum wire_event
parse(struct wire *w, struct err *e)
{
	for (;;) {
		struct str data;
		size_t used = 0;
		enum http_event ev = http_next(&w->http, w->in.p + w->used, w->in.len - w->used, &used, &data, e);

		w->used += used;
		switch (ev) {
		case HTTP_HEADERS:
			buf_clear(&w->body);
			w->stream = false;
			return WIRE_HEAD;
		case HTTP_DATA:
			if (w->stream) {
				w->data = data;
				return WIRE_DATA;
			}
			buf_add(&w->body, data.p, data.n);
			break;
		case HTTP_END:
			w->answers++;
			return WIRE_ANSWER;
		case HTTP_BAD:
			return bad(e);
		case HTTP_MORE:
			buf_drop(&w->in, w->used);
			w->used = 0;
			return WIRE_WAIT;
		}
	}
}

enum wire_event
wire_read(struct wire *w, int64_t now, struct err *e)
{
	enum wire_event ev;
	int reads = 0;

	while (!(ev = w->in.len ? parse(w, e) : WIRE_WAIT) && reads++ < READS) {
		ssize_t n;

		buf_reserve(&w->in, CHUNK);
		n = net_read(w->net, w->in.p + w->in.len, CHUNK);
		if (n == NET_AGAIN)
			return WIRE_WAIT;
		if (n == 0)
			return at_end(w, e);
		if (n < 0) {
			err_set(e, 1, "%s", strerror(errno));
			return WIRE_LOST;
		}
		w->in.len += (size_t)n;
		w->since = w->heard = now;
	}
	return ev;
}
