/* SPDX-License-Identifier: MIT */
/*
 * State transitions, for those who listen (SPEC 1.4), and how many there were (OURS 1).
 *
 * Each queue has a channel: the last events, rendered once whoever listens, and counts.  A listener is a place in its channel, so
 * one that stalls costs nothing and loses the oldest.  Events are told while a turn makes its changes; they are the turn's until
 * it is on disk, and were never when it is undone.  All this outlives the store, which is read anew when a turn is undone.
 *
 * An event is a block of text/event-stream, with "id: START-SEQUENCE" as its last line.
 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

enum {
	BUCKETS = 256,            /* of channels by id */
	MINUTES = 60              /* that counts are kept of */
};
enum { ROOM = 1024, SPARES = 256 };   /* bytes of an event whose memory is used again, and how many are kept for it */
enum { TEXT_KEPT = 64 << 10 };        /* a larger buffer of a rendered event is given back */
#define MINUTE (60 * SECOND)
#define BYTES ((size_t)32 << 20)      /* of all events together: those of large tasks give way before there are so many */

struct event {
	struct channel *channel;
	struct event *next;               /* of the channel; of the turn */
	struct event *older, *newer;      /* of all channels */
	int64_t sequence;
	enum tally kind;
	size_t n;
	char text[];
};

struct channel {
	uuid id;                          /* the queue's */
	struct channel *chain;
	struct event *first, *last;
	size_t n;
	int64_t sequence, next;           /* the last on disk; the last of the turn */
	bool ending, gone;                /* the turn deletes the queue; it was deleted */
	size_t listeners;
	int64_t total[TALLIES];
	int64_t minute;                   /* which one counts[minute % MINUTES] is of */
	uint32_t count[MINUTES][TALLIES];
};

struct events {
	char start[37];
	size_t keep;
	struct channel *bucket[BUCKETS];
	struct event *oldest, *newest;
	struct event *turn, *turn_last;
	bool endings;                     /* the turn deletes queues */
	size_t bytes, listeners;
	struct event *spare;              /* next */
	size_t spares;
	struct buf text;
};

struct listener {
	struct events *events;
	struct channel *channel;
	int64_t seen;
};

struct events *
events_new(const uuid start, size_t keep)
{
	struct events *v = xcalloc(1, sizeof *v);

	uuid_print(start, v->start);
	v->keep = keep;
	return v;
}

/* ---- memory: what comes and goes between the tasks that stay would leave holes among them ---- */

static struct event *
take(struct events *v, size_t n)
{
	struct event *e = v->spare;
	size_t size = sizeof *e + n;

	if (!e || size > ROOM)
		return xmalloc(size > ROOM ? size : ROOM);
	v->spare = e->next;
	v->spares--;
	return e;
}

static void
give(struct events *v, struct event *e)
{
	if (sizeof *e + e->n > ROOM || v->spares == SPARES) {
		free(e);
		return;
	}
	e->next = v->spare;
	v->spare = e;
	v->spares++;
}

/* ---- channels ---- */

/* Forgets the first of a channel. */
static void
forget(struct events *v, struct channel *c)
{
	struct event *e = c->first;

	c->first = e->next;
	if (!c->first)
		c->last = NULL;
	c->n--;
	*(e->older ? &e->older->newer : &v->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &v->newest) = e->older;
	v->bytes -= sizeof *e + e->n;
	give(v, e);
}

static void
keep(struct events *v, struct event *e)
{
	struct channel *c = e->channel;

	e->next = NULL;
	*(c->last ? &c->last->next : &c->first) = e;
	c->last = e;
	c->n++;
	e->older = v->newest;
	e->newer = NULL;
	*(v->newest ? &v->newest->newer : &v->oldest) = e;
	v->newest = e;
	v->bytes += sizeof *e + e->n;
	while (c->n > v->keep)
		forget(v, c);
	while (v->bytes > BYTES && v->oldest != v->newest)
		forget(v, v->oldest->channel);   /* the oldest of all is that of its channel */
}

static struct channel *
find(const struct events *v, const uuid id)
{
	struct channel *c = v->bucket[id[0] % BUCKETS];

	while (c && memcmp(c->id, id, 16))
		c = c->chain;
	return c;
}

static struct channel *
channel_of(struct events *v, struct queue *q)
{
	struct channel **bucket = &v->bucket[q->node.id[0] % BUCKETS];

	if (!q->channel)
		q->channel = find(v, q->node.id);
	if (!q->channel) {
		q->channel = xcalloc(1, sizeof *q->channel);
		memcpy(q->channel->id, q->node.id, 16);
		q->channel->chain = *bucket;
		*bucket = q->channel;
	}
	return q->channel;
}

/* Its queue is gone: out of reach, and free once nobody listens. */
static void
end(struct events *v, struct channel *c)
{
	struct channel **at = &v->bucket[c->id[0] % BUCKETS];

	while (*at != c)
		at = &(*at)->chain;
	*at = c->chain;
	while (c->first)
		forget(v, c);
	c->gone = true;
	if (!c->listeners)
		free(c);
}

void
events_free(struct events *v)
{
	events_settle(v, false, 0);
	for (size_t i = 0; i < BUCKETS; i++)
		while (v->bucket[i])
			end(v, v->bucket[i]);
	while (v->spare) {
		struct event *e = v->spare;

		v->spare = e->next;
		free(e);
	}
	buf_free(&v->text);
	free(v);
}

/* ---- counts ---- */

/* Makes the counts of the minutes since the last change 0. */
static void
move_on(struct channel *c, int64_t minute)
{
	int64_t n = minute - c->minute;

	for (int64_t i = 0; i < n && i < MINUTES; i++)
		memset(c->count[(minute - i) % MINUTES], 0, sizeof *c->count);
	if (n > 0)
		c->minute = minute;
}

static void
tally(struct channel *c, enum tally kind, int64_t mono)
{
	move_on(c, mono / MINUTE);
	c->count[c->minute % MINUTES][kind]++;
	c->total[kind]++;
}

int64_t
events_total(const struct events *v, const struct queue *q, enum tally kind)
{
	const struct channel *c = find(v, q->node.id);

	return c ? c->total[kind] : 0;
}

/* The minute that goes on counts for what is left of the oldest. */
double
events_rate(const struct events *v, const struct queue *q, enum tally kind, int minutes, int64_t mono)
{
	struct channel *c = find(v, q->node.id);
	double part = (double)(mono % MINUTE) / (double)MINUTE, sum;

	if (!c)
		return 0;
	move_on(c, mono / MINUTE);
	sum = c->count[c->minute % MINUTES][kind];
	for (int i = 1; i <= minutes && i < MINUTES && c->minute >= i; i++)
		sum += c->count[(c->minute - i) % MINUTES][kind] * (i == minutes ? 1 - part : 1);
	return sum / minutes;
}

/* ---- what changes tell ---- */

static enum tally
kind_of(int was, int is)
{
	static const enum tally kinds[TASK_STATES] = {
		[PENDING] = TALLY_REQUEUED, [RUNNING] = TALLY_STARTED, [SUCCESS] = TALLY_SUCCEEDED, [FAILED] = TALLY_FAILED,
		[CANCELLED] = TALLY_CANCELLED,
	};

	return was == CREATED ? TALLY_SUBMITTED : kinds[is];
}

/* Begins an event in text; the entity's data and the end are still to come. */
static void
begin(struct events *v, struct channel *c, const char *type, const uuid id, const char *was, const char *is, int64_t wall)
{
	char queue[37], entity[37], when[32];
	const char *parts[] = {
		",\"timestamp\":\"", when, "\",\"event\":{\"type\":\"state_transition\",\"queue_id\":\"", queue,
		    "\",\"timestamp\":\"", when,
		"\",\"metadata\":{},\"entity_type\":\"", type, "\",\"entity_id\":\"", entity, "\",\"old_state\":\"", was,
		"\",\"new_state\":\"", is, "\",\"entity_data\":",
	};

	uuid_print(c->id, queue);
	uuid_print(id, entity);
	date_iso(when, wall);
	buf_clear(&v->text);
	buf_adds(&v->text, "event: event\r\ndata: {\"sequence\":");
	buf_addint(&v->text, ++c->next);
	for (size_t i = 0; i < LEN(parts); i++)
		buf_adds(&v->text, parts[i]);
}

static void
finish(struct events *v, struct channel *c, enum tally kind)
{
	struct event *e;

	buf_adds(&v->text, "}}\r\nid: ");
	buf_adds(&v->text, v->start);
	buf_addc(&v->text, '-');
	buf_addint(&v->text, c->next);
	buf_adds(&v->text, "\r\n\r\n");
	e = take(v, v->text.len);
	*e = (struct event){.channel = c, .sequence = c->next, .kind = kind, .n = v->text.len};
	memcpy(e->text, v->text.p, e->n);
	*(v->turn ? &v->turn_last->next : &v->turn) = e;
	v->turn_last = e;
	if (v->text.cap > TEXT_KEPT)
		buf_free(&v->text);
}

void
event_task(struct store *s, const struct task *t, int was, struct now now)
{
	struct events *v = s->events;
	struct channel *c;

	if (!v)
		return;
	c = channel_of(v, t->queue);
	begin(v, c, "task", t->node.id, was == CREATED ? "created" : task_status[was], task_status[t->v.status], now.wall);
	show_task(&v->text, t, "_id");
	finish(v, c, kind_of(was, t->v.status));
}

void
event_worker(struct store *s, const struct worker *w, int was, struct now now)
{
	struct events *v = s->events;
	struct channel *c;

	if (!v)
		return;
	c = channel_of(v, w->queue);
	begin(v, c, "worker", w->node.id, was == CREATED ? "created" : worker_status[was], worker_status[w->v.status], now.wall);
	queue_worker_print(&v->text, w, "_id");
	finish(v, c, TALLY_WORKERS);
}

void
event_end(struct store *s, struct queue *q)
{
	if (!s->events)
		return;
	channel_of(s->events, q)->ending = true;
	s->events->endings = true;
}

void
events_attach(struct events *v, struct store *s)
{
	s->events = v;
}

/* Queues that the turn deleted are gone, or are not. */
static void
settle_endings(struct events *v, bool held)
{
	v->endings = false;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct channel *c = v->bucket[i], *next; c; c = next) {
			next = c->chain;
			if (c->ending && held)
				end(v, c);
			else
				c->ending = false;
		}
	}
}

void
events_settle(struct events *v, bool held, int64_t mono)
{
	struct event *e;

	while ((e = v->turn)) {
		v->turn = e->next;
		if (held) {
			e->channel->sequence = e->sequence;
			tally(e->channel, e->kind, mono);
			keep(v, e);
		} else {
			e->channel->next = e->channel->sequence;
			give(v, e);
		}
	}
	if (v->endings)
		settle_endings(v, held);
}

/* ---- listening ---- */

/* What a Last-Event-ID says was seen.  Of another server process: all that is here is newer.  Unreadable: as none. */
static int64_t
place_of(const struct events *v, const struct channel *c, struct str last)
{
	uuid start;
	int64_t n;

	if (last.n < 38 || last.p[36] != '-' || uuid_parse((struct str){last.p, 36}, start) < 0
	    || parse_int((struct str){last.p + 37, last.n - 37}, &n) < 0 || n < 0)
		return c->next;
	if (memcmp(last.p, v->start, 36))
		return 0;
	return n < c->next ? n : c->next;
}

struct listener *
events_listen(struct events *v, struct queue *q, struct str last)
{
	struct listener *l = xcalloc(1, sizeof *l);

	l->events = v;
	l->channel = channel_of(v, q);
	l->channel->listeners++;
	v->listeners++;
	l->seen = place_of(v, l->channel, last);
	return l;
}

void
events_leave(struct listener *l)
{
	if (!l)
		return;
	l->events->listeners--;
	if (!--l->channel->listeners && l->channel->gone)
		free(l->channel);
	free(l);
}

bool
events_over(const struct listener *l)
{
	return l->channel->gone;
}

size_t
events_listeners(const struct events *v, const struct queue *q)
{
	const struct channel *c = q ? find(v, q->node.id) : NULL;

	return !q ? v->listeners : c ? c->listeners : 0;
}

void
events_hello(const struct listener *l, const uuid client, struct buf *b)
{
	char id[37];

	uuid_print(client, id);
	buf_printf(b, "event: connection\r\ndata: {\"status\":\"connected\",\"client_id\":\"%s\"}\r\nretry: 3000\r\nid: %s-", id,
	    l->events->start);
	buf_addint(b, l->seen);
	buf_adds(b, "\r\n\r\n");
}

bool
events_next(struct listener *l, struct str *block)
{
	const struct event *e = l->channel->first;

	while (e && e->sequence <= l->seen)
		e = e->next;
	if (!e)
		return false;
	l->seen = e->sequence;
	*block = (struct str){e->text, e->n};
	return true;
}
