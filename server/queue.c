/* SPDX-License-Identifier: MIT */
/*
 * The state: queues, their tasks and workers, what is kept of ended runs and deleted tasks, and the records that tell of it.  A
 * change is told by one record and made by one function, whether it is live (the record is put into the turn) or read again
 * (queue_apply); so what is read is what was.  Nothing here decides: what may change is asked in live.c.
 *
 * A record is one JSON object on one line.  Its first member says of what it tells:
 *
 *   {"queue":ID,...}   a queue: seq, name, hash (of its password), created, modified, metadata
 *   {"worker":ID,...}  a worker: in, seq, status, name, created, modified, retries, max_retries, metadata
 *   {"task":ID,...}    a task: in, seq, status, name, created, modified, start, beat, heartbeat_timeout, task_timeout, retries,
 *                      max_retries, priority, worker, args, metadata, summary, cmd, run, end, used
 *   {"queue":ID,"gone":T}, {"worker":ID,"gone":T}, {"task":ID,"gone":T}
 *                      it was deleted at T, a queue with all that is in it; of a task the id is kept for a day
 *   {"run":TOKEN,"of":ID,"end":STATUS,"at":T}
 *                      a run of that task ended at T; kept for a day with what ended it under the token, if that was so
 *
 * With seq the record is whole: a new entity, and what is missing is null, {} or none.  Without, it is of one that was told
 * before, and what is missing stays.  seq numbers all entities of the store in order of creation, in is the seq of a queue.
 * Times are microseconds since 1970, heartbeat_timeout and task_timeout seconds.  A task that leaves "running" ends its run; end
 * then says which status was set under the run's token.  Heartbeats are told only when they are the first of a run.  How long a
 * task has run is known from the times of commits; where it is told anew while it runs, used says how long until then.
 */
#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	KEPT = 100000,            /* ended runs, and as many deleted ids: some 10 MB */
	TASK_BYTES = 320, WORKER_BYTES = 240, QUEUE_BYTES = 330, RUN_BYTES = 140, TOMB_BYTES = 80   /* of a whole record, about */
};
#define DAY (86400 * SECOND)

static const uuid no_id;

/* ---- ended runs and deleted ids ---- */

static void
tomb_free(struct store *s, struct tomb *t)
{
	*(t->prev ? &t->prev->next : &s->first_tomb) = t->next;
	*(t->next ? &t->next->prev : &s->last_tomb) = t->prev;
	if (s->dump.tomb == t)
		s->dump.tomb = t->next;
	index_remove(s, &s->tombs, &t->node);
	s->live -= TOMB_BYTES;
	free(t);
}

/* One that is there already becomes the youngest: a dump tells of it again. */
static void
tomb_add(struct store *s, const uuid id, int64_t at)
{
	struct tomb *t = index_find(s, &s->tombs, id);

	if (t)
		tomb_free(s, t);
	t = xcalloc(1, sizeof *t);
	index_add(s, &s->tombs, &t->node, id);
	t->at = at;
	t->prev = s->last_tomb;
	*(t->prev ? &t->prev->next : &s->first_tomb) = t;
	s->last_tomb = t;
	s->live += TOMB_BYTES;
	while (s->tombs.n > KEPT || s->first_tomb->at < at - DAY)
		tomb_free(s, s->first_tomb);
}

static void
run_free(struct store *s, struct run *r)
{
	if (r->task) {
		r->task->run = NULL;
	} else {
		*(r->prev ? &r->prev->next : &s->first_run) = r->next;
		*(r->next ? &r->next->prev : &s->last_run) = r->prev;
		if (s->dump.run == r)
			s->dump.run = r->next;
		s->ended--;
		s->live -= RUN_BYTES;
	}
	index_remove(s, &s->runs, &r->node);
	free(r);
}

/* A token is of one run: an older one of that token is forgotten. */
static struct run *
run_new(struct store *s, const uuid token, const uuid of)
{
	struct run *r = index_find(s, &s->runs, token);

	if (r)
		run_free(s, r);
	r = xcalloc(1, sizeof *r);
	index_add(s, &s->runs, &r->node, token);
	memcpy(r->of, of, 16);
	return r;
}

static void
run_end(struct store *s, struct run *r, int end, int64_t at)
{
	if (r->task)
		r->task->run = NULL;
	r->task = NULL;
	r->end = end;
	r->at = at;
	r->prev = s->last_run;
	*(r->prev ? &r->prev->next : &s->first_run) = r;
	s->last_run = r;
	s->ended++;
	s->live += RUN_BYTES;
	while (s->ended > KEPT || s->first_run->at < at - DAY)
		run_free(s, s->first_run);
}

/* ---- tasks ---- */

static void
enter_state(struct store *s, struct task *t)
{
	struct task **first = &t->queue->in[t->v.status];

	t->prev_peer = NULL;
	t->next_peer = *first;
	if (*first)
		(*first)->prev_peer = t;
	if (!*first && t->v.status == PENDING)
		t->queue->oldest = t;
	*first = t;
	t->queue->count[t->v.status]++;
	s->running += t->v.status == RUNNING;
}

static void
leave_state(struct store *s, struct task *t)
{
	*(t->prev_peer ? &t->prev_peer->next_peer : &t->queue->in[t->v.status]) = t->next_peer;
	if (t->next_peer)
		t->next_peer->prev_peer = t->prev_peer;
	else if (t->v.status == PENDING)
		t->queue->oldest = t->prev_peer;
	t->queue->count[t->v.status]--;
	s->running -= t->v.status == RUNNING;
}

static void
disown(struct task *t)
{
	if (!t->owner)
		return;
	*(t->prev_owned ? &t->prev_owned->next_owned : &t->owner->owned) = t->next_owned;
	if (t->next_owned)
		t->next_owned->prev_owned = t->prev_owned;
	t->owner = NULL;
	t->next_owned = t->prev_owned = NULL;
}

static void
own(const struct store *s, struct task *t)
{
	struct worker *w = memcmp(t->v.worker, no_id, 16) ? state_worker(s, t->v.worker) : NULL;

	disown(t);
	if (!w)
		return;
	t->owner = w;
	t->next_owned = w->owned;
	if (w->owned)
		w->owned->prev_owned = t;
	w->owned = t;
}

/* What a record tells of a task, live and read again.  Everything else about it follows from that. */
static void
task_apply(struct store *s, struct task *t, const struct task_image *im, struct now now)
{
	bool moves = im->set & (M_STATUS | M_PRIORITY | M_MODIFIED | M_CREATED | M_SEQ | M_ARGS);
	int was = t->v.status;

	if (moves)
		order_leave(t);
	leave_state(s, t);
	record_copy(s, record_task, im->set, &t->v, im);
	if (im->set & M_NAME)
		name_set(s, t, im->v.name);
	enter_state(s, t);
	if (im->set & M_WORKER)
		own(s, t);
	if (t->run && t->v.status != RUNNING)
		run_end(s, t->run, im->set & M_END ? im->end : END_OTHER, t->v.modified);
	if (im->set & M_RUN && t->v.status == RUNNING && memcmp(im->run, no_id, 16)) {
		if (t->run)
			run_end(s, t->run, END_OTHER, t->v.modified);
		t->run = run_new(s, im->run, t->node.id);
		t->run->task = t;
	}
	if (im->set & M_START || was != RUNNING)
		t->mono_start = im->set & M_USED ? now.mono - im->used : now.mono;
	if (im->set & M_BEAT || was != RUNNING)
		t->mono_beat = now.mono;
	deadline_set(s, t);
	if (moves)
		order_enter(t, im->set & M_ARGS ? im->args : NULL);
	if (s->watched && t->v.status == PENDING)
		buf_add(&s->ready, t->node.id, 16);
}

/* A task of which nothing is known yet, the last of its queue. */
static struct task *
task_new(struct store *s, struct queue *q, const uuid id)
{
	struct task *t = xcalloc(1, sizeof *t);
	struct tomb *tomb = index_find(s, &s->tombs, id);

	if (tomb)
		tomb_free(s, tomb);
	index_add(s, &s->tasks, &t->node, id);
	t->queue = q;
	t->prev = q->last;
	*(t->prev ? &t->prev->next : &q->first) = t;
	q->last = t;
	enter_state(s, t);
	s->live += TASK_BYTES;
	return t;
}

static void
task_free(struct store *s, struct task *t)
{
	struct queue *q = t->queue;

	*(t->prev ? &t->prev->next : &q->first) = t->next;
	*(t->next ? &t->next->prev : &q->last) = t->prev;
	if (s->dump.task == t)
		s->dump.task = t->next;
	order_leave(t);
	leave_state(s, t);
	disown(t);
	name_set(s, t, NULL);
	deadline_remove(s, t);
	index_remove(s, &s->tasks, &t->node);
	record_drop(s, record_task, &t->v);
	s->live -= TASK_BYTES;
	free(t);
}

static void
task_drop(struct store *s, struct task *t, int64_t at)
{
	if (t->run)
		run_end(s, t->run, END_OTHER, at);
	tomb_add(s, t->node.id, at);
	task_free(s, t);
}

/* ---- workers ---- */

static void
worker_apply(struct store *s, struct worker *w, const struct worker_image *im)
{
	w->queue->workers[w->v.status]--;
	record_copy(s, record_worker, im->set, &w->v, im);
	w->queue->workers[w->v.status]++;
}

static struct worker *
worker_new(struct store *s, struct queue *q, const uuid id)
{
	struct worker *w = xcalloc(1, sizeof *w);

	index_add(s, &s->workers, &w->node, id);
	w->queue = q;
	w->prev = q->last_worker;
	*(w->prev ? &w->prev->next : &q->first_worker) = w;
	q->last_worker = w;
	q->workers[w->v.status]++;
	s->live += WORKER_BYTES;
	return w;
}

/* Its tasks keep its id. */
static void
worker_drop(struct store *s, struct worker *w)
{
	struct queue *q = w->queue;

	while (w->owned)
		disown(w->owned);
	*(w->prev ? &w->prev->next : &q->first_worker) = w->next;
	*(w->next ? &w->next->prev : &q->last_worker) = w->prev;
	if (s->dump.worker == w)
		s->dump.worker = w->next;
	q->workers[w->v.status]--;
	index_remove(s, &s->workers, &w->node);
	record_drop(s, record_worker, &w->v);
	s->live -= WORKER_BYTES;
	free(w);
}

/* ---- queues ---- */

/* Where in by_seq the first after seq stands. */
static size_t
place_seq(const struct store *s, int64_t seq)
{
	size_t lo = 0, hi = s->queues.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->by_seq[mid]->v.seq <= seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct queue *
queue_after(const struct store *s, int64_t seq)
{
	size_t i = place_seq(s, seq);

	return i < s->queues.n ? s->by_seq[i] : NULL;
}

static struct queue *
queue_at(const struct store *s, int64_t seq)
{
	struct queue *q = queue_after(s, seq - 1);

	return q && q->v.seq == seq ? q : NULL;
}

/* Where in by_name, of n queues, a name stands or would. */
static size_t
place_name(const struct store *s, size_t n, struct str name)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (str_order(str_of(s->by_name[mid]->v.name), name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct queue *
queue_named(const struct store *s, struct str name)
{
	size_t i = place_name(s, s->queues.n, name);

	return i < s->queues.n && !str_order(str_of(s->by_name[i]->v.name), name) ? s->by_name[i] : NULL;
}

static void
list_add(struct queue **list, size_t n, size_t at, struct queue *q)
{
	memmove(list + at + 1, list + at, (n - at) * sizeof *list);
	list[at] = q;
}

static void
list_remove(struct queue **list, size_t n, size_t at)
{
	memmove(list + at, list + at + 1, (n - at - 1) * sizeof *list);
}

static void
queue_apply_image(struct store *s, struct queue *q, const struct queue_image *im)
{
	size_t n = s->queues.n;

	if (im->set & M_NAME)
		list_remove(s->by_name, n, place_name(s, n, str_of(q->v.name)));
	record_copy(s, record_queue, im->set, &q->v, im);
	if (im->set & M_NAME)
		list_add(s->by_name, n - 1, place_name(s, n - 1, str_of(q->v.name)), q);
}

static struct queue *
queue_new(struct store *s, const uuid id, const struct queue_image *im)
{
	struct queue *q = xcalloc(1, sizeof *q);
	size_t n = s->queues.n;

	if (n == s->queue_cap) {
		s->queue_cap = n ? n * 2 : 8;
		s->by_seq = xrealloc(s->by_seq, s->queue_cap * sizeof *s->by_seq);
		s->by_name = xrealloc(s->by_name, s->queue_cap * sizeof *s->by_name);
	}
	q->store = s;
	uuid_print(id, q->id);
	q->shapes = shapes_new(s->seed);
	record_copy(s, record_queue, im->set, &q->v, im);
	list_add(s->by_seq, n, place_seq(s, q->v.seq), q);
	list_add(s->by_name, n, place_name(s, n, str_of(q->v.name)), q);
	index_add(s, &s->queues, &q->node, id);
	s->live += QUEUE_BYTES;
	return q;
}

/* Frees it; what is in it is gone already. */
static void
queue_free(struct store *s, struct queue *q)
{
	size_t n = s->queues.n;

	list_remove(s->by_seq, n, place_seq(s, q->v.seq) - 1);
	list_remove(s->by_name, n, place_name(s, n, str_of(q->v.name)));
	index_remove(s, &s->queues, &q->node);
	shapes_free(q->shapes);
	record_drop(s, record_queue, &q->v);
	s->live -= QUEUE_BYTES;
	free(q);
}

static void
queue_drop(struct store *s, struct queue *q, int64_t at)
{
	while (q->first)
		task_drop(s, q->first, at);
	while (q->first_worker)
		worker_drop(s, q->first_worker);
	queue_free(s, q);
}

/* ---- records of live changes ---- */

static void
begin(struct buf *b, const char *what, const uuid id)
{
	buf_adds(b, "{\"");
	buf_adds(b, what);
	buf_adds(b, "\":");
	record_id(b, id);
}

/* The record from there on is whole; a dump that is past its entity is told too. */
static void
tell(struct store *s, size_t from, bool out)
{
	if (!from)
		s->count = 0;
	s->count++;
	if (out)
		buf_add(s->dump.also, s->turn.p + from, s->turn.len - from);
}

static void
tell_entity(struct store *s, const char *what, const uuid id, const struct member *m, unsigned set, const void *image, bool out)
{
	size_t from = s->turn.len;

	begin(&s->turn, what, id);
	record_put(&s->turn, m, set, image);
	tell(s, from, out);
}

static void
tell_gone(struct store *s, const char *what, const uuid id, int64_t at, bool out)
{
	size_t from = s->turn.len;

	begin(&s->turn, what, id);
	buf_adds(&s->turn, ",\"gone\":");
	buf_addint(&s->turn, at);
	buf_adds(&s->turn, "}\n");
	tell(s, from, out);
}

/* Whether an open dump is past the entity of that seq in q; next is where it stands in the queue it is at. */
static bool
dump_past(const struct dump *d, int phase, const struct queue *q, int64_t seq, const int64_t *next)
{
	if (!d->also || (int)d->phase != phase)
		return d->also && (int)d->phase > phase;
	if (q->v.seq != d->queue)
		return q->v.seq < d->queue;
	return !next || seq < *next;
}

static bool
task_out(const struct store *s, const struct queue *q, int64_t seq)
{
	return dump_past(&s->dump, DUMP_TASKS, q, seq, s->dump.task ? &s->dump.task->v.seq : NULL);
}

static bool
worker_out(const struct store *s, const struct queue *q, int64_t seq)
{
	return dump_past(&s->dump, DUMP_WORKERS, q, seq, s->dump.worker ? &s->dump.worker->v.seq : NULL);
}

static bool
queue_out(const struct store *s, int64_t seq)
{
	return s->dump.also && (s->dump.phase > DUMP_QUEUES || seq <= s->dump.queue);
}

struct task *
state_new_task(struct store *s, struct queue *q, const uuid id, struct task_image *im, struct now now)
{
	struct task *t;

	im->v.seq = ++s->seq;
	im->in = q->v.seq;
	im->set = M_ALL & ~(unsigned)M_END;
	tell_entity(s, "task", id, record_task, im->set, im, task_out(s, q, im->v.seq));
	t = task_new(s, q, id);
	task_apply(s, t, im, now);
	return t;
}

void
state_set_task(struct store *s, struct task *t, const struct task_image *im, struct now now)
{
	tell_entity(s, "task", t->node.id, record_task, im->set, im, task_out(s, t->queue, t->v.seq));
	task_apply(s, t, im, now);
}

void
state_drop_task(struct store *s, struct task *t, struct now now)
{
	tell_gone(s, "task", t->node.id, now.wall, task_out(s, t->queue, t->v.seq));
	task_drop(s, t, now.wall);
}

void
state_beat(struct store *s, struct task *t, struct now now)
{
	t->v.beat = now.wall;
	t->mono_beat = now.mono;
	deadline_set(s, t);
}

struct worker *
state_new_worker(struct store *s, struct queue *q, const uuid id, struct worker_image *im)
{
	struct worker *w;

	im->v.seq = ++s->seq;
	im->in = q->v.seq;
	im->set = M_ALL;
	tell_entity(s, "worker", id, record_worker, im->set, im, worker_out(s, q, im->v.seq));
	w = worker_new(s, q, id);
	worker_apply(s, w, im);
	return w;
}

void
state_set_worker(struct store *s, struct worker *w, const struct worker_image *im)
{
	tell_entity(s, "worker", w->node.id, record_worker, im->set, im, worker_out(s, w->queue, w->v.seq));
	worker_apply(s, w, im);
}

void
state_drop_worker(struct store *s, struct worker *w, struct now now)
{
	tell_gone(s, "worker", w->node.id, now.wall, worker_out(s, w->queue, w->v.seq));
	worker_drop(s, w);
}

struct queue *
state_new_queue(struct store *s, const uuid id, struct queue_image *im)
{
	im->v.seq = ++s->seq;
	im->set = M_ALL;
	tell_entity(s, "queue", id, record_queue, im->set, im, queue_out(s, im->v.seq));
	return queue_new(s, id, im);
}

void
state_set_queue(struct store *s, struct queue *q, const struct queue_image *im)
{
	tell_entity(s, "queue", q->node.id, record_queue, im->set, im, queue_out(s, q->v.seq));
	queue_apply_image(s, q, im);
}

void
state_drop_queue(struct store *s, struct queue *q, struct now now)
{
	tell_gone(s, "queue", q->node.id, now.wall, queue_out(s, q->v.seq));
	queue_drop(s, q, now.wall);
}

/* ---- records that are read again ---- */

static void
note_seq(struct store *s, int64_t seq)
{
	if (seq > s->seq)
		s->seq = seq;
}

enum {   /* what a whole record must have */
	TASK_NEEDS = M_SEQ | M_IN | M_STATUS | M_CREATED | M_MODIFIED | M_RETRIES | M_MAX_RETRIES | M_PRIORITY,
	WORKER_NEEDS = M_SEQ | M_IN | M_STATUS | M_CREATED | M_MODIFIED | M_RETRIES | M_MAX_RETRIES,
	QUEUE_NEEDS = M_SEQ | M_NAME | M_HASH | M_CREATED | M_MODIFIED
};

/* Whether the record fits: a whole one a new entity, a change one that is there.  The set to apply goes to *set. */
static int
check_set(unsigned *set, unsigned needs, bool there, int64_t seq, struct err *e)
{
	if (*set & M_SEQ && there)
		return err_set(e, 1, "told as new, but it is there");
	if (!(*set & M_SEQ) && !there)
		return err_set(e, 1, "a change of what was never told");
	if (*set & M_SEQ && ((*set & needs) != needs || seq < 1))
		return err_set(e, 1, "not all that a new one needs");
	if (*set & M_SEQ)
		*set |= M_ALL;
	return 0;
}

static int
take_task(struct store *s, const uuid id, const struct json *record, struct now now, struct err *e)
{
	struct task_image im = {.v = {.start = NONE, .beat = NONE, .task_timeout = NONE, .heartbeat_timeout = NAN}, .end = END_OTHER};
	struct task *t = state_task(s, id);
	struct queue *q;

	if (record_take(s, record_task, record, &im, &im.set, e) < 0 || check_set(&im.set, TASK_NEEDS, t, im.v.seq, e) < 0)
		return -1;
	if (im.set & M_ARGS)
		im.args = json_gets(record, "args");
	if (!t) {
		q = queue_at(s, im.in);
		if (!q || (q->last && q->last->v.seq >= im.v.seq))
			return err_set(e, 1, q ? "its seq is not the last" : "in no queue");
		t = task_new(s, q, id);
		note_seq(s, im.v.seq);
	}
	task_apply(s, t, &im, now);
	return 0;
}

static int
take_worker(struct store *s, const uuid id, const struct json *record, struct now now, struct err *e)
{
	struct worker_image im = {0};
	struct worker *w = state_worker(s, id);
	struct queue *q;

	(void)now;
	if (record_take(s, record_worker, record, &im, &im.set, e) < 0 || check_set(&im.set, WORKER_NEEDS, w, im.v.seq, e) < 0)
		return -1;
	if (!w) {
		q = queue_at(s, im.in);
		if (!q || (q->last_worker && q->last_worker->v.seq >= im.v.seq))
			return err_set(e, 1, q ? "its seq is not the last" : "in no queue");
		w = worker_new(s, q, id);
		note_seq(s, im.v.seq);
	}
	worker_apply(s, w, &im);
	return 0;
}

static int
take_queue(struct store *s, const uuid id, const struct json *record, struct now now, struct err *e)
{
	struct queue_image im = {0};
	struct queue *q = index_find(s, &s->queues, id), *named;

	(void)now;
	if (record_take(s, record_queue, record, &im, &im.set, e) < 0 || check_set(&im.set, QUEUE_NEEDS, q, im.v.seq, e) < 0)
		return -1;
	if ((im.set & M_NAME && !im.v.name) || (im.set & M_HASH && !im.v.hash))
		return err_set(e, 1, "a queue without name or password");
	named = im.set & M_NAME ? queue_named(s, str_of(im.v.name)) : NULL;
	if ((named && named != q) || (!q && queue_at(s, im.v.seq)))
		return err_set(e, 1, "its name or seq is taken");
	if (q)
		queue_apply_image(s, q, &im);
	else
		queue_new(s, id, &im);
	note_seq(s, im.v.seq);
	return 0;
}

static int
take_run(struct store *s, const uuid id, const struct json *record, struct now now, struct err *e)
{
	const struct json *of = json_gets(record, "of"), *at = json_gets(record, "at"), *end = json_gets(record, "end");
	int how = END_OTHER;
	int64_t when;
	uuid task;

	(void)now;
	if (uuid_parse(json_text(of), task) < 0 || json_int(at, &when) < 0 ||
	    (end && record_state(end, task_status, TASK_STATES, &how) < 0))
		return err_set(e, 1, "no run");
	run_end(s, run_new(s, id, task), how, when);
	return 0;
}

/* One that is not there was deleted before a dump that kept its id. */
static void
task_gone(struct store *s, const uuid id, int64_t at)
{
	struct task *t = state_task(s, id);

	if (t)
		task_drop(s, t, at);
	else
		tomb_add(s, id, at);
}

static void
worker_gone(struct store *s, const uuid id, int64_t at)
{
	struct worker *w = state_worker(s, id);

	(void)at;
	if (w)
		worker_drop(s, w);
}

static void
queue_gone(struct store *s, const uuid id, int64_t at)
{
	struct queue *q = index_find(s, &s->queues, id);

	if (q)
		queue_drop(s, q, at);
}

static const struct {
	const char *what;
	int (*take)(struct store *s, const uuid id, const struct json *record, struct now now, struct err *e);
	void (*gone)(struct store *s, const uuid id, int64_t at);   /* NULL: it has none such */
} records[] = {
	{"task", take_task, task_gone}, {"worker", take_worker, worker_gone}, {"queue", take_queue, queue_gone}, {"run", take_run, NULL},
};

static int
take_record(struct store *s, const struct json *r, struct now now, struct err *e)
{
	const struct json *first = r->type == JSON_OBJ ? r->head : NULL, *at = json_gets(r, "gone");
	int64_t when;
	uuid id;

	if (!first || uuid_parse(json_text(first), id) < 0)
		return err_set(e, 1, "no record");
	for (size_t i = 0; i < LEN(records); i++) {
		if (!str_is(first->key, records[i].what))
			continue;
		if (!at)
			return records[i].take(s, id, r, now, e);
		if (json_int(at, &when) < 0)
			return err_set(e, 1, "gone is wrong");
		if (records[i].gone)
			records[i].gone(s, id, when);
		return 0;
	}
	return err_set(e, 1, "a record of an unknown kind");
}

int
queue_apply(struct store *s, const char *line, size_t n, struct now now, struct err *e)
{
	struct json_doc *d = json_parse(line, n, e);
	int rc = d ? take_record(s, d->root, now, e) : -1;

	json_free(d);
	return rc;
}

void
queue_renew(struct store *s, struct now now)
{
	for (size_t i = 0; i < s->queues.n; i++) {
		for (struct task *t = s->by_seq[i]->in[RUNNING]; t; t = t->next_peer) {
			t->mono_beat = now.mono;
			deadline_set(s, t);
		}
	}
}

void
queue_loaded(struct store *s, struct now now, int64_t stopped)
{
	for (size_t i = 0; i < s->queues.n; i++) {
		for (struct task *t = s->by_seq[i]->in[RUNNING]; t; t = t->next_peer) {
			int64_t used = stopped - t->mono_start;

			t->mono_start = now.mono - (used > 0 ? used : 0);
		}
	}
	queue_renew(s, now);
}

/* ---- dumps ---- */

static bool
dump_queue(struct store *s, struct buf *b)
{
	struct queue *q = queue_after(s, s->dump.queue);
	struct queue_image im = {0};

	if (!q)
		return false;
	s->dump.queue = q->v.seq;
	im.v = q->v;
	begin(b, "queue", q->node.id);
	record_put(b, record_queue, M_ALL, &im);
	return true;
}

static bool
dump_worker(struct store *s, struct buf *b)
{
	struct dump *d = &s->dump;
	struct worker_image im = {0};
	struct queue *q;

	while (!d->worker) {
		q = queue_after(s, d->queue);
		if (!q)
			return false;
		d->queue = q->v.seq;
		d->worker = q->first_worker;
	}
	im.v = d->worker->v;
	im.in = d->queue;
	begin(b, "worker", d->worker->node.id);
	record_put(b, record_worker, M_ALL, &im);
	d->worker = d->worker->next;
	return true;
}

static bool
dump_task(struct store *s, struct buf *b)
{
	struct dump *d = &s->dump;
	struct task_image im = {0};
	struct queue *q;

	while (!d->task) {
		q = queue_after(s, d->queue);
		if (!q)
			return false;
		d->queue = q->v.seq;
		d->task = q->first;
	}
	im.v = d->task->v;
	im.in = d->queue;
	if (d->task->run)
		memcpy(im.run, d->task->run->node.id, 16);
	im.used = d->now - d->task->mono_start;
	begin(b, "task", d->task->node.id);
	record_put(b, record_task, (M_ALL & ~(unsigned)M_END) | (im.v.status == RUNNING ? M_USED : 0u), &im);
	d->task = d->task->next;
	return true;
}

static bool
dump_run(struct store *s, struct buf *b)
{
	struct run *r = s->dump.run;

	if (!r)
		return false;
	begin(b, "run", r->node.id);
	buf_adds(b, ",\"of\":");
	record_id(b, r->of);
	if (r->end != END_OTHER)
		buf_printf(b, ",\"end\":\"%s\"", task_status[r->end]);
	buf_adds(b, ",\"at\":");
	buf_addint(b, r->at);
	buf_adds(b, "}\n");
	s->dump.run = r->next;
	return true;
}

static bool
dump_tomb(struct store *s, struct buf *b)
{
	struct tomb *t = s->dump.tomb;

	if (!t)
		return false;
	begin(b, "task", t->node.id);
	buf_adds(b, ",\"gone\":");
	buf_addint(b, t->at);
	buf_adds(b, "}\n");
	s->dump.tomb = t->next;
	return true;
}

static bool (*const dumps[])(struct store *s, struct buf *b) = {
	[DUMP_QUEUES] = dump_queue, [DUMP_WORKERS] = dump_worker, [DUMP_TASKS] = dump_task,
	[DUMP_RUNS] = dump_run, [DUMP_TOMBS] = dump_tomb,
};

void
queue_dump_open(struct store *s, struct buf *also)
{
	s->dump = (struct dump){.also = also};
}

/* What ended or went while the dump was at the tasks is told in its own phase, though also may have told it: the second time only
 * puts it where it belongs. */
bool
queue_dump(struct store *s, struct buf *b, size_t max, struct now now)
{
	struct dump *d = &s->dump;
	size_t end = b->len + max;

	d->now = now.mono;
	while (d->phase < DUMP_END) {
		if (b->len >= end)
			return false;
		if (dumps[d->phase](s, b))
			continue;
		d->phase++;
		d->queue = 0;
		d->run = s->first_run;
		d->tomb = s->first_tomb;
	}
	return true;
}

void
queue_dump_close(struct store *s)
{
	s->dump = (struct dump){0};
}

uint64_t
store_live(const struct store *s)
{
	return s->live;
}

/* ---- the store ---- */

struct store *
store_new(void)
{
	struct store *s = xcalloc(1, sizeof *s);

	sys_random(s->seed, sizeof s->seed);
	return s;
}

void
store_free(struct store *s)
{
	if (!s)
		return;
	while (s->queues.n) {
		struct queue *q = s->by_seq[s->queues.n - 1];

		while (q->first)
			task_free(s, q->first);
		while (q->first_worker)
			worker_drop(s, q->first_worker);
		queue_free(s, q);
	}
	index_free(&s->queues, false);
	index_free(&s->workers, false);
	index_free(&s->tasks, false);
	index_free(&s->names, false);
	index_free(&s->runs, true);
	index_free(&s->tombs, true);
	free(s->by_seq);
	free(s->by_name);
	free(s->heap);
	buf_free(&s->turn);
	buf_free(&s->ready);
	for (size_t i = 0; i < LEN(s->text); i++)
		buf_free(&s->text[i]);
	free(s);
}

struct buf *
store_turn(struct store *s, size_t *count)
{
	*count = s->turn.len ? s->count : 0;
	return &s->turn;
}

int64_t
queue_due(const struct store *s)
{
	return s->deadlines ? s->heap[1].at : INT64_MAX;
}

size_t
queue_running(const struct store *s)
{
	return s->running;
}

/* ---- finding ---- */

/* An id as ids are printed: in lower case. */
static bool
read_id(struct str text, uuid id)
{
	char canon[37];

	if (uuid_parse(text, id) < 0)
		return false;
	uuid_print(id, canon);
	return !memcmp(canon, text.p, 36);
}

struct task *
state_task(const struct store *s, const uuid id)
{
	return index_find(s, &s->tasks, id);
}

struct worker *
state_worker(const struct store *s, const uuid id)
{
	return index_find(s, &s->workers, id);
}

const struct run *
state_run(const struct store *s, const uuid token)
{
	return index_find(s, &s->runs, token);
}

const struct tomb *
state_tomb(const struct store *s, const uuid id)
{
	return index_find(s, &s->tombs, id);
}

struct task *
queue_task(struct queue *q, struct str text)
{
	struct task *t;
	uuid id;

	t = read_id(text, id) ? state_task(q->store, id) : NULL;
	return t && t->queue == q ? t : NULL;
}

struct worker *
queue_worker(struct queue *q, struct str text)
{
	struct worker *w;
	uuid id;

	w = read_id(text, id) ? state_worker(q->store, id) : NULL;
	return w && w->queue == q ? w : NULL;
}

/* An id comes before a name: nobody gets into another's way by calling a queue like another's id. */
struct queue *
queue_find(struct store *s, struct str text)
{
	struct queue *q;
	uuid id;

	q = read_id(text, id) ? index_find(s, &s->queues, id) : NULL;
	return q ? q : queue_named(s, text);
}

const char *
queue_hash(const struct queue *q)
{
	return q->v.hash;
}

const char *
queue_id(const struct queue *q)
{
	return q->id;
}
