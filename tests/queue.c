/* SPDX-License-Identifier: MIT */
/* The state machine: what each request may do in each state, row by row; then long random lives, in which after every change the
 * state must hold together, be read again from its records, and be told by a dump whatever happens while that is open. */
#include "../server/state.h"

#include <math.h>

#include "test.h"

static struct store *st;
static struct queue *q;
static struct err err;
static int64_t wall, mono;
static unsigned dice;

/* ---- tools ---- */

static struct now
now(void)
{
	wall += 1000;
	mono += 1000;
	return (struct now){wall, mono};
}

static unsigned
roll(unsigned n)
{
	dice = dice * 1103515245u + 12345u;
	return (dice >> 16) % n;
}

/* A counting id, so that a failure can be read. */
static void
fresh(uuid id)
{
	static uint32_t n;

	memset(id, 0, 16);
	n++;
	for (int i = 0; i < 4; i++)
		id[i] = (unsigned char)(n >> (24 - 8 * i));
	id[15] = 1;
}

static struct json_doc *
doc(const char *text)
{
	struct json_doc *d = text ? json_parse(text, strlen(text), NULL) : json_new();

	if (!d) {
		fprintf(stderr, "the test is wrong: %s\n", text);
		exit(2);
	}
	return d;
}

static void
open_store(void)
{
	store_free(st);
	wall = 1700000000000000;
	mono = 5000000;
	st = store_new();
	q = queue_create(st, str_of("q"), "$hash", NULL, now(), &err);
}

struct id {
	char text[37];
};

static struct id
text_of(const uuid id)
{
	struct id t;

	uuid_print(id, t.text);
	return t;
}

static struct task *
task(const struct id *id)
{
	return queue_task(q, str_of(id->text));
}

/* What can be said of a submit; 0 is the default. */
struct how {
	const char *args, *metadata, *cmd, *name;
	double heartbeat;
	int64_t timeout, retries, priority;
	const unsigned char *key;
};

static int
try_submit(struct queue *to, const struct how *h, struct id *out)
{
	struct json_doc *a = doc(h->args ? h->args : "{\"a\":1}"), *m = doc(h->metadata), *c = doc(h->cmd);
	struct submit in = {
		.name = h->name ? str_of(h->name) : (struct str){0}, .args = a->root, .metadata = m->root, .cmd = c->root,
		.heartbeat_timeout = h->heartbeat > 0 ? h->heartbeat : NAN, .has_task_timeout = h->timeout, .task_timeout = h->timeout,
		.max_retries = h->retries ? h->retries : 3, .priority = h->priority, .key = h->key,
	};
	uuid id;
	int rc;

	fresh(in.fresh);
	err = (struct err){0};
	rc = queue_submit(st, to, &in, now(), id, &err);
	*out = text_of(id);
	json_free(a);
	json_free(m);
	json_free(c);
	return rc;
}

static struct id
submit(struct how h)
{
	struct id id;

	check(!try_submit(q, &h, &id), "submit: %s", err.msg);
	return id;
}

static struct id
worker(int64_t retries)
{
	uuid id;

	fresh(id);
	err = (struct err){0};
	check(!queue_worker_create(st, q, str_of("w"), NULL, retries, id, now(), &err), "worker: %s", err.msg);
	return text_of(id);
}

static int
try_fetch(const struct id *w, const char *required, const unsigned char *token, struct task **t)
{
	struct json_doc *r = doc(required);
	struct fetch in = {.has_worker = w, .start_heartbeat = true, .heartbeat_timeout = NAN, .required = r->root, .token = token};
	int rc;

	err = (struct err){0};
	if (w)
		uuid_parse(str_of(w->text), in.worker);
	*t = NULL;
	rc = queue_fetch(st, q, &in, now(), t, &err);
	json_free(r);
	return rc;
}

static struct task *
fetch(const struct id *w)
{
	struct task *t;

	check(try_fetch(w, NULL, NULL, &t) == 1, "fetch: %s", err.msg);
	return t;
}

static int
report(const struct id *id, enum status status, const char *w, const char *summary, const unsigned char *run)
{
	struct json_doc *d = doc(summary);
	struct report in = {.status = status, .has_worker = w, .worker = str_of(w), .summary = d->root, .run = run};
	int rc;

	err = (struct err){0};
	rc = queue_report(st, q, str_of(id->text), &in, now(), &err);
	json_free(d);
	return rc;
}

/* members: what stands in the update beside task_id. */
static int
update(const struct id *id, const char *members, bool reset, const unsigned char *run)
{
	struct buf b = {0};
	struct json_doc *d;
	struct task *t;
	int rc;

	buf_printf(&b, "{\"task_id\":\"%s\"%s%s}", id->text, *members ? "," : "", members);
	d = doc(b.p);
	err = (struct err){0};
	rc = queue_task_update(st, q, d->root, reset, run, now(), &t, &err);
	json_free(d);
	buf_free(&b);
	return rc;
}

static bool
says(int rc, int code, const char *msg)
{
	return rc < 0 && err.code == code && (!msg || !strcmp(err.msg, msg));
}

/* ---- the state holds together ---- */

static size_t
treap_size(const struct task *t, const struct task *up)
{
	if (!t)
		return 0;
	check(t->up == up && t->left != t && t->right != t, "a treap's links");
	return 1 + treap_size(t->left, t) + treap_size(t->right, t);
}

/* How many tasks stand in an order, all of that shape and state; it is passed as itself, and by the times of changes both ways. */
static size_t
check_order(const struct order *x, const struct shape *s, int state)
{
	static const struct merge ways[] = {{.timed = false}, {.timed = true}, {.timed = true, .back = true}};
	size_t all = treap_size(x->root, NULL);

	for (size_t i = 0; i < LEN(ways); i++) {
		struct merge m = ways[i];
		size_t n = 0;

		for (merge_add(&m, x, SIZE_MAX); m.n; n++) {
			struct task *t = m.at[0];

			check(t->shape == s && t->v.status == state, "a task's place in the orders");
			merge_step(&m);
			check(!m.n || merge_before(&m, t, m.at[0]), "tasks stand in order");
		}
		merge_free(&m);
		check(n == all, "and all of a treap is passed");
	}
	return all;
}

static void
check_queue(const struct queue *k, size_t *running)
{
	size_t count[TASK_STATES] = {0}, n = 0, pending = 0;
	int64_t seq = 0;

	for (const struct task *t = k->first; t; t = t->next) {
		check(t->queue == k && t->v.seq > seq && state_task(st, t->node.id) == t, "tasks stand by seq and can be found");
		check(!t->shape == (t->v.status != PENDING), "pending tasks have a shape, others not");
		check(!t->run || (t->v.status == RUNNING && t->run->task == t), "a run is of a running task");
		check(!t->heap || (t->v.status == RUNNING && st->heap[t->heap].task == t), "a deadline is of a running task");
		check(!t->owner || !memcmp(t->owner->node.id, t->v.worker, 16), "a task's owner has the id it tells");
		check(t->owner == state_worker(st, t->v.worker), "and is known while it is there");
		check(!t->v.args || strcmp(t->v.args, "{}"), "{} takes no room");
		check(!t->v.summary || strcmp(t->v.summary, "{}"), "{} takes no room");
		seq = t->v.seq;
		count[t->v.status]++;
	}
	for (int s = 0; s < TASK_STATES; s++) {
		n = 0;
		for (const struct task *t = k->in[s]; t; t = t->next_peer)
			n += t->v.status == s && t->queue == k;
		check(n == count[s] && k->count[s] == n, "as many tasks are %s as are counted", task_status[s]);
		check(check_order(&k->order[s], NULL, s) == (s == PENDING ? 0 : n), "those that are not pending stand by their state");
	}
	for (const struct shape *s = shapes_first(k->shapes); s; s = s->next) {
		n = check_order(s->index, s, PENDING);
		check(n, "a shape is there only with tasks");
		pending += n;
	}
	check(pending == count[PENDING], "all pending tasks are in indexes");
	for (const struct worker *w = k->first_worker; w; w = w->next)
		for (const struct task *t = w->owned; t; t = t->next_owned)
			check(t->owner == w && (!t->next_owned || t->next_owned->prev_owned == t), "an owner's tasks");
	*running += count[RUNNING];
}

static char *
dump(struct store *s)
{
	struct buf b = {0}, also = {0};

	buf_adds(&b, "");
	queue_dump_open(s, &also);
	while (!queue_dump(s, &b, 1 + roll(300), (struct now){wall, mono}))
		;
	queue_dump_close(s);
	buf_free(&also);
	return b.p;
}

static void
check_store(void)
{
	size_t running = 0, ended = 0, tombs = 0;
	char *text;

	for (size_t i = 0; i < st->queues.n; i++)
		check_queue(st->by_seq[i], &running);
	check(running == queue_running(st), "running tasks are counted");
	for (size_t i = 2; i <= st->deadlines; i++)
		check(st->heap[i / 2].at <= st->heap[i].at, "the heap of deadlines");
	for (const struct run *r = st->first_run; r; r = r->next)
		ended += !r->task && state_run(st, r->node.id) == r;
	for (const struct tomb *t = st->first_tomb; t; t = t->next)
		tombs += state_tomb(st, t->node.id) == t && !state_task(st, t->node.id);
	check(ended == st->ended && tombs == st->tombs.n, "what is kept of the past can be found");
	text = dump(st);
	check(store_live(st) < 2 * strlen(text) + 100 && strlen(text) < 2 * store_live(st) + 100, "live bytes: %lu for %lu",
	    (unsigned long)store_live(st), (unsigned long)strlen(text));
	free(text);
}

/* Applies lines to s. */
static void
replay(struct store *s, const char *p, size_t n)
{
	while (n) {
		const char *end = memchr(p, '\n', n);
		struct err e = {0};

		check(end && !queue_apply(s, p, (size_t)(end - p), (struct now){wall, mono}, &e), "replay: %s: %.300s", e.msg, p);
		n -= (size_t)(end - p) + 1;
		p = end + 1;
	}
}

/* Heartbeats are not kept: their times do not count.  Nor does for how long a task has run until now. */
static void
blur(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		*to++ = *p;
		if (*p == ':' && to - text > 6 && (!memcmp(to - 7, "\"beat\":", 7) || !memcmp(to - 7, "\"used\":", 7)))
			while (p[1] >= '0' && p[1] <= '9')
				p++;
	}
	*to = 0;
}

static void
check_same(struct store *a, struct store *b, const char *what)
{
	char *x = dump(a), *y = dump(b);

	blur(x);
	blur(y);
	check(!strcmp(x, y), "%s: not the same:\n%s----\n%s", what, x, y);
	free(x);
	free(y);
}

/* ---- rows ---- */

/* Brings a new task, of three tries, into a state.  Returns its id; it runs under w where that is given. */
static struct id
task_in(enum status s, const struct id *w)
{
	struct id id = submit((struct how){.args = "{\"in\":1}"});

	if (s == CANCELLED)
		report(&id, CANCELLED, NULL, NULL, NULL);
	if (s == RUNNING || s == SUCCESS || s == FAILED)
		fetch(w);
	if (s == SUCCESS)
		report(&id, SUCCESS, NULL, NULL, NULL);
	if (s == FAILED)
		update(&id, "\"status\":\"failed\"", false, NULL);
	check(task(&id)->v.status == (int)s, "a task is brought into %s", task_status[s]);
	return id;
}

static void
test_reports(void)
{
	static const struct {
		enum status from, to;
		int status, retries;       /* what becomes of it; -1: refused */
		const char *msg;
	} rows[] = {
		{PENDING, SUCCESS, -1, 0, "500: InvalidStateTransition: Cannot transition from pending to success."},
		{PENDING, FAILED, -1, 0, "500: InvalidStateTransition: Cannot fail task in pending state."},
		{PENDING, CANCELLED, CANCELLED, 0, NULL},
		{RUNNING, SUCCESS, SUCCESS, 0, NULL},
		{RUNNING, FAILED, PENDING, 1, NULL},
		{RUNNING, CANCELLED, CANCELLED, 0, NULL},
		{SUCCESS, SUCCESS, -1, 0, "500: InvalidStateTransition: Cannot transition from success to success."},
		{SUCCESS, FAILED, -1, 0, "500: InvalidStateTransition: Cannot fail task in success state."},
		{SUCCESS, CANCELLED, CANCELLED, 0, NULL},
		{FAILED, SUCCESS, -1, 0, "500: InvalidStateTransition: Cannot transition from failed to success."},
		{FAILED, FAILED, FAILED, 0, NULL},
		{FAILED, CANCELLED, CANCELLED, 0, NULL},
		{CANCELLED, SUCCESS, -1, 0, "500: InvalidStateTransition: Cannot transition from cancelled to success."},
		{CANCELLED, FAILED, -1, 0, "500: InvalidStateTransition: Cannot fail task in cancelled state."},
		{CANCELLED, CANCELLED, CANCELLED, 0, NULL},
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct id id;
		char *before, *after;
		int rc;

		open_store();
		id = task_in(rows[i].from, NULL);
		before = dump(st);
		rc = report(&id, rows[i].to, NULL, "{\"s\":1}", NULL);
		if (rows[i].status < 0) {
			after = dump(st);
			check(says(rc, 400, rows[i].msg), "report %lu: %d %s", (unsigned long)i, err.code, err.msg);
			check(!strcmp(before, after), "report %lu: a refusal leaves nothing behind", (unsigned long)i);
			free(after);
		} else {
			check(!rc && task(&id)->v.status == rows[i].status, "report %lu: %s", (unsigned long)i, err.msg);
			check(task(&id)->v.retries == rows[i].retries, "report %lu: retries", (unsigned long)i);
			check(task(&id)->v.summary && !strcmp(task(&id)->v.summary, "{\"s\":1}"), "report %lu: summary", (unsigned long)i);
			check(task(&id)->v.modified == wall, "report %lu: modified", (unsigned long)i);
		}
		free(before);
		check_store();
	}
}

static void
test_moves(void)
{
	static const char ok[TASK_STATES][TASK_STATES + 1] = {   /* from, to: pending running success failed cancelled */
		"yynny", "yyyyy", "ynyny", "ynnyy", "ynnny",
	};

	for (int from = 0; from < TASK_STATES; from++) {
		for (int to = 0; to < TASK_STATES; to++) {
			struct buf b = {0}, msg = {0};
			struct id id;
			int rc;

			open_store();
			id = task_in((enum status)from, NULL);
			buf_printf(&b, "\"status\":\"%s\",\"priority\":77", task_status[to]);
			buf_printf(&msg, "InvalidStateTransition: Cannot transition from %s to %s.", task_status[from], task_status[to]);
			rc = update(&id, b.p, false, NULL);
			if (ok[from][to] == 'y')
				check(!rc && task(&id)->v.status == to && task(&id)->v.priority == 77, "%s: %s", b.p, err.msg);
			else
				check(says(rc, 400, msg.p) && task(&id)->v.status == from && !task(&id)->v.priority, "%s: %s", b.p, err.msg);
			check(!update(&id, b.p, true, NULL) && task(&id)->v.status == PENDING && !task(&id)->v.retries, "reset: %s", err.msg);
			check_store();
			buf_free(&b);
			buf_free(&msg);
		}
	}
}

static void
test_retries(void)
{
	static const struct {
		int64_t max;
		int fails;                 /* the last is final */
	} rows[] = {{-5, 1}, {0, 1}, {1, 1}, {2, 2}, {3, 3}, {INT64_MAX, 0}};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct id id;
		int n = 0;

		open_store();
		id = submit((struct how){.retries = 9});
		check(!update(&id, rows[i].max == INT64_MAX ? "\"max_retries\":9223372036854775807,\"retries\":9223372036854775807"
		    : rows[i].max == -5 ? "\"max_retries\":-5" : rows[i].max == 0 ? "\"max_retries\":0" : rows[i].max == 1 ? "\"max_retries\":1"
		    : rows[i].max == 2 ? "\"max_retries\":2" : "\"max_retries\":3", false, NULL), "max: %s", err.msg);
		while (task(&id)->v.status == PENDING && n < 10) {
			fetch(NULL);
			check(!report(&id, FAILED, NULL, NULL, NULL), "fail: %s", err.msg);
			n++;
		}
		check(rows[i].fails ? n == rows[i].fails : n == 1, "max_retries %ld: %d failures", (long)rows[i].max, n);
		check_store();
	}
}

/* A worker's states, and what its task's failure does to it. */
static void
test_workers(void)
{
	struct id w, other, id;
	struct task *t;
	struct buf msg = {0};
	char none[] = "00000000-0000-4000-8000-000000000000";
	struct id nobody;

	memcpy(nobody.text, none, sizeof nobody.text);
	open_store();
	w = worker(2);
	other = worker(2);
	for (int i = 0; i < 2; i++) {
		id = submit((struct how){.retries = 9});
		fetch(&w);
		check(says(report(&id, FAILED, other.text, NULL, NULL), 409, NULL), "another's report");
		check(!report(&id, FAILED, i ? w.text : NULL, NULL, NULL), "report: %s", err.msg);
		check(says(report(&id, FAILED, w.text, NULL, NULL), 409, NULL), "a report that comes twice");
		buf_clear(&msg);
		buf_printf(&msg, "Task %s is assigned to worker None", id.text);
		check(!strcmp(err.msg, msg.p), "says: %s", err.msg);
		check(queue_worker(q, str_of(w.text))->v.status == (i ? CRASHED : ACTIVE), "two failures crash a worker of two");
		check(says(report(&id, CANCELLED, "None", NULL, NULL), 409, NULL), "None is no worker's id");
		report(&id, CANCELLED, NULL, NULL, NULL);
	}
	buf_clear(&msg);
	buf_printf(&msg, "Worker '%s' is crashed in queue '%s'", w.text, queue_id(q));
	check(says(try_fetch(&w, NULL, NULL, &t), 403, msg.p), "a crashed worker: %s", err.msg);
	check(says(queue_worker_set(st, q, str_of(w.text), SUSPENDED, now(), &err), 403, NULL), "the first error stays");
	err = (struct err){0};
	check(says(queue_worker_set(st, q, str_of(w.text), SUSPENDED, now(), &err), 400,
	    "500: InvalidStateTransition: Cannot transition from crashed to suspended."), "crashed to suspended: %s", err.msg);
	err = (struct err){0};
	check(says(queue_worker_set(st, q, str_of(w.text), CRASHED, now(), &err), 400, "400: Invalid report_status: crashed"),
	    "to crashed");
	check(!queue_worker_set(st, q, str_of(w.text), ACTIVE, now(), NULL) && !queue_worker(q, str_of(w.text))->v.retries, "activated");
	check(!queue_worker_set(st, q, str_of(w.text), ACTIVE, now(), NULL), "active to active");
	check(says(try_fetch(&nobody, NULL, NULL, &t), 404, NULL), "a worker that is none");

	id = submit((struct how){0});
	fetch(&w);
	check(!update(&id, "\"status\":\"failed\"", false, NULL) && !queue_worker(q, str_of(w.text))->v.retries, "set to failed");
	check(!report(&id, FAILED, w.text, NULL, NULL) && queue_worker(q, str_of(w.text))->v.retries == 1, "then reported as failed");
	check(!report(&id, FAILED, NULL, NULL, NULL) && queue_worker(q, str_of(w.text))->v.retries == 1, "once");
	queue_worker_set(st, q, str_of(w.text), ACTIVE, now(), NULL);

	id = submit((struct how){.retries = 9});
	fetch(&w);
	queue_worker_set(st, q, str_of(w.text), SUSPENDED, now(), NULL);
	check(queue_worker_set(st, q, str_of(w.text), SUSPENDED, now(), NULL) < 0, "suspended to suspended");
	check(says(report(&id, FAILED, NULL, NULL, NULL), 400, "500: InvalidStateTransition: Cannot fail worker in suspended state."),
	    "a suspended worker's failure: %s", err.msg);
	check(task(&id)->v.status == RUNNING, "it goes on running");
	check(!queue_worker_delete(st, q, str_of(w.text), false, now(), &err), "deleted");
	buf_clear(&msg);
	buf_printf(&msg, "Worker %s not found", w.text);
	check(says(report(&id, FAILED, w.text, NULL, NULL), 404, msg.p), "a deleted worker's failure: %s", err.msg);
	check(!report(&id, SUCCESS, w.text, NULL, NULL), "but its success is taken");
	check_store();

	for (int i = 0; i < 3; i++)
		submit((struct how){0});
	for (int i = 0; i < 3; i++)
		fetch(&other);
	check(!queue_worker_delete(st, q, str_of(other.text), true, now(), &err), "deleted with its tasks");
	check(q->count[RUNNING] == 3 && !q->in[RUNNING]->owner && q->in[RUNNING]->v.modified == wall, "they run on as nobody's");
	check(queue_worker_delete(st, q, str_of(other.text), true, now(), &err) < 0, "once");
	check_store();
	buf_free(&msg);
}

/* The order of fetching, against a plain search for the first. */
static void
test_order(void)
{
	static const char *const shapes[] = {"{\"a\":1}", "{\"b\":1}", "{\"a\":1,\"b\":{\"c\":2}}"};

	open_store();
	for (int i = 0; i < 600; i++) {
		struct id id = submit((struct how){.args = shapes[roll(3)], .priority = roll(4), .retries = 9});

		if (!roll(5))
			update(&id, roll(2) ? "\"priority\":2" : "\"args\":{\"b\":7}", false, NULL);
	}
	check_store();
	for (;;) {
		struct task *best = NULL, *t;

		for (t = q->first; t; t = t->next)
			if (t->v.status == PENDING && (!best || t->v.priority > best->v.priority
			    || (t->v.priority == best->v.priority && t->v.modified < best->v.modified)))
				best = t;
		if (!best)
			break;
		check(fetch(NULL) == best, "the first by priority, then by age");
		if (!roll(4)) {
			struct id id = text_of(best->node.id);

			report(&id, FAILED, NULL, NULL, NULL);
		}
	}
	check_store();
}

/* With a filter: the first of those it takes, whatever their shapes. */
static void
test_filter(void)
{
	static const char *const shapes[] = {"", ",\"b\":1", ",\"c\":{\"d\":1}", ",\"e\":1"};
	struct json_doc *f = doc("{\"args.n\":{\"$gte\":3}}");
	struct match *m = match_new(f->root, NULL);

	open_store();
	for (int i = 0; i < 300; i++) {
		char args[64];

		unsigned shape = roll(4);

		snprintf(args, sizeof args, "{\"n\":%u%s}", roll(6), shapes[shape]);
		submit((struct how){.args = args, .priority = roll(4)});
	}
	for (int found = 1; found == 1;) {
		struct fetch in = {.start_heartbeat = true, .heartbeat_timeout = NAN, .filter = m};
		struct task *best = NULL, *t = NULL;

		for (t = q->first; t; t = t->next)
			if (t->v.status == PENDING && t->v.args[5] >= '3' && (!best || order_before(t, best)))
				best = t;
		found = queue_fetch(st, q, &in, now(), &t, &err);
		check(found == (best != NULL) && (!best || t == best), "the first that the filter takes");
	}
	check(q->count[PENDING] > 50, "the others stay");
	check_store();
	match_free(m);
	json_free(f);
}

static void
test_matching(void)
{
	static const struct {
		const char *args, *required;
		int found;
	} rows[] = {
		{"{\"a\":1}", NULL, 1}, {"{\"a\":1}", "[]", 1}, {"{\"a\":1}", "[\"a\"]", 1}, {"{\"a\":null}", "[\"a\"]", 1},
		{"{\"a\":1,\"b\":1}", "[\"a\"]", 0}, {"{\"a\":1,\"b\":1}", "[\"a\",\"*\"]", 1}, {"{\"a\":{\"b\":1}}", "[\"a\"]", 1},
		{"{\"a\":{\"b\":1,\"c\":1}}", "[\"a.b\"]", 0}, {"{\"a.b\":1}", "[\"a.b\"]", 1}, {"{\"a\":[{\"b\":1}]}", "[\"a.b\"]", 0},
		{"{\"a\":1}", "[\"$a\"]", -1}, {"{\"a\":1}", "[\"a..b\"]", -1},
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct task *t;
		int rc;

		open_store();
		submit((struct how){.args = rows[i].args});
		rc = try_fetch(NULL, rows[i].required, NULL, &t);
		check(rc == rows[i].found && (rc >= 0 || err.code == 400), "%s for %s: %d %s", rows[i].args, rows[i].required, rc, err.msg);
	}
}

static void
test_fetch(void)
{
	struct fetch in = {.start_heartbeat = false, .heartbeat_timeout = NAN};
	struct json_doc *cmd = doc("[\"x\",\"y\"]");
	struct task *t;
	struct id id;

	open_store();
	id = submit((struct how){.cmd = "\"old\"", .heartbeat = 5, .timeout = 7, .metadata = "{\"$x\":1}"});
	check(!strcmp(task(&id)->v.cmd, "\"old\""), "cmd is kept");
	err = (struct err){0};
	check(says(queue_fetch(st, q, &in, now(), &t, &err), 400, "Eta max must be specified when start_heartbeat is False"), "no eta");
	err = (struct err){0};
	in.has_eta = true;
	in.task_timeout = 90;
	in.cmd = cmd->root;
	report(&id, CANCELLED, NULL, "{\"s\":1}", NULL);
	update(&id, "", true, NULL);
	check(task(&id)->v.summary != NULL, "a reset keeps the summary");
	check(queue_fetch(st, q, &in, now(), &t, &err) == 1 && t == task(&id), "fetched: %s", err.msg);
	check(t->v.beat == NONE && t->v.start == wall && t->v.modified == wall && t->v.task_timeout == 90, "times of a fetch");
	check(!isnan(t->v.heartbeat_timeout) && t->v.heartbeat_timeout > 4.9 && !t->v.summary, "timeouts stay, the summary goes");
	check(!strcmp(t->v.cmd, "[\"x\",\"y\"]"), "cmd: %s", t->v.cmd);
	check(queue_due(st) == mono + 90000000, "only the task's timeout counts");
	check(!queue_heartbeat(st, q, str_of(id.text), (struct str){0}, NULL, now(), &err) && t->v.beat == wall, "heartbeats begin");
	check(queue_due(st) == mono + 5000000, "and then count");
	check(t->v.modified != wall, "they are no change");
	report(&id, FAILED, NULL, NULL, NULL);
	check(fetch(NULL) == t && !t->v.cmd && !memcmp(t->v.worker, (uuid){0}, 16), "a fetch without cmd loses it");
	check(queue_fetch(st, q, &in, now(), &t, &err) == 0, "nothing is left");
	json_free(cmd);
}

static void
test_heartbeat(void)
{
	struct id id, w, other;
	struct buf msg = {0};

	open_store();
	w = worker(3);
	other = worker(3);
	id = submit((struct how){0});
	err = (struct err){0};
	buf_printf(&msg, "Task '%s' not found in queue '%s' or not in 'running' state", id.text, queue_id(q));
	check(says(queue_heartbeat(st, q, str_of(id.text), (struct str){0}, NULL, now(), &err), 404, msg.p), "pending: %s", err.msg);
	fetch(&w);
	check(!queue_heartbeat(st, q, str_of(id.text), str_of(w.text), NULL, now(), NULL), "its worker");
	check(!queue_heartbeat(st, q, str_of(id.text), str_of(""), NULL, now(), NULL), "nobody");
	queue_worker_set(st, q, str_of(w.text), SUSPENDED, now(), NULL);
	err = (struct err){0};
	buf_clear(&msg);
	buf_printf(&msg, "Task '%s' is assigned to worker '%s', not '%s'", id.text, w.text, other.text);
	check(says(queue_heartbeat(st, q, str_of(id.text), str_of(other.text), NULL, now(), &err), 403, msg.p), "another: %s", err.msg);
	err = (struct err){0};
	buf_clear(&msg);
	buf_printf(&msg, "Worker '%s' not found or not active", w.text);
	check(says(queue_heartbeat(st, q, str_of(id.text), str_of(w.text), NULL, now(), &err), 404, msg.p), "suspended: %s", err.msg);
	queue_worker_delete(st, q, str_of(w.text), true, now(), NULL);
	err = (struct err){0};
	check(queue_heartbeat(st, q, str_of(id.text), str_of(w.text), NULL, now(), &err) < 0 && strstr(err.msg, "'None'"), "nobody's");
	check(queue_heartbeat(st, q, str_of(id.text), str_of("None"), NULL, now(), NULL) < 0, "None is no worker");
	buf_free(&msg);
}

/* Dicts: what is kept of a submit, and of an update to it. */
static void
test_dicts(void)
{
	static const struct {
		const char *old, *update;
		bool replace;
		const char *now;           /* NULL: 400 */
	} rows[] = {
		{"{}", "{}", false, "{}"}, {"{\"a\":1}", "{}", false, "{\"a\":1}"}, {"{\"a\":1}", "{}", true, "{}"},
		{"{\"a\":1}", "{\"b\":2}", false, "{\"a\":1,\"b\":2}"}, {"{\"a\":1}", "{\"b\":2}", true, "{\"b\":2}"},
		{"{\"a\":{\"x\":1}}", "{\"a\":{\"y\":2}}", false, "{\"a\":{\"y\":2}}"},
		{"{\"a\":{\"x\":1}}", "{\"a.y\":2}", false, "{\"a\":{\"x\":1,\"y\":2}}"},
		{"{\"a\":{\"x\":1}}", "{\"a.y\":2}", true, "{\"a\":{\"y\":2}}"},
		{"{\"a\":1}", "{\"a.y\":2}", false, NULL}, {"{\"a\":[1]}", "{\"a.y\":2}", false, NULL},
		{"{}", "{\"a\":1,\"a.b\":2}", false, NULL}, {"{}", "{\"a.b\":1,\"a\":2}", false, NULL},
		{"{}", "{\"a.b\":1,\"a.b.c\":2}", true, NULL},
		{"{}", "{\"a.b\":1,\"a.c\":2}", false, "{\"a\":{\"b\":1,\"c\":2}}"},
		{"{}", "{\"$x\":1}", false, NULL}, {"{}", "{\".x\":1}", false, NULL}, {"{}", "{\"a\":{\"$x\":1}}", false, NULL},
		{"{}", "{\"a\":{\"b\":{\".x\":1}}}", true, NULL}, {"{}", "{\"a.$x\":1}", false, NULL},
		{"{}", "{\"a\":[{\"$x\":1}]}", false, "{\"a\":[{\"$x\":1}]}"}, {"{}", "{\"a$\":1}", false, "{\"a$\":1}"},
		{"{}", "{\"a\":{\"b.c\":1}}", false, "{\"a\":{\"b.c\":1}}"}, {"{\"x\":1}", "{\"x\":null}", false, "{\"x\":null}"},
		{"{\"a\":1.50,\"b\":1e22}", "{\"c\":123456789012345678901234567890}", false,
		    "{\"a\":1.50,\"b\":1e22,\"c\":123456789012345678901234567890}"},
		{"{\"a\":\"\\u0000\\u00e9\"}", "{\"b\":\"x\"}", false, "{\"a\":\"\\u0000\xc3\xa9\",\"b\":\"x\"}"},
	}, news[] = {
		{"{\"a.b\":1}", NULL, false, "{\"a\":{\"b\":1}}"}, {"{\"a.b\":1,\"a.c\":2}", NULL, false, "{\"a\":{\"b\":1,\"c\":2}}"},
		{"{\"a\":{\"b\":1},\"a.c\":2}", NULL, false, "{\"a\":{\"b\":1,\"c\":2}}"}, {"{\"a.c\":2,\"a\":{\"b\":1}}", NULL, false, NULL},
		{"{\"a\":1,\"a.b\":1}", NULL, false, NULL}, {"{\".x\":1}", NULL, false, "{\"\":{\"x\":1}}"},
		{"{\"\":1}", NULL, false, "{\"\":1}"},
		{"{\"a.\":1}", NULL, false, "{\"a\":{\"\":1}}"}, {"{\"a\":{\"b.c\":1}}", NULL, false, "{\"a\":{\"b.c\":1}}"},
	};
	struct buf b = {0};

	for (size_t i = 0; i < LEN(rows); i++) {
		static const char *const names[] = {"args", "metadata", "summary"};

		for (int k = 0; k < 3; k++) {
			struct id id;
			const char *is;
			int rc;

			open_store();
			id = submit((struct how){.args = k == 0 ? rows[i].old : NULL, .metadata = k == 1 ? rows[i].old : NULL});
			if (k == 2)
				report(&id, CANCELLED, NULL, rows[i].old, NULL);
			buf_clear(&b);
			buf_printf(&b, "\"%s\":%s,\"replace_fields\":[\"x\"%s%s%s]", names[k], rows[i].update, rows[i].replace ? ",\"" : "",
			    rows[i].replace ? names[k] : "", rows[i].replace ? "\"" : "");
			rc = update(&id, b.p, false, NULL);
			is = k == 0 ? task(&id)->v.args : k == 1 ? task(&id)->v.metadata : task(&id)->v.summary;
			is = is ? is : "{}";
			if (rows[i].now)
				check(!rc && !strcmp(is, rows[i].now), "%s and %s: %s %s", rows[i].old, b.p, is, err.msg);
			else
				check(says(rc, 400, NULL) && (!strcmp(rows[i].old, "{}") || strcmp(is, "{}")), "%s and %s: %s", rows[i].old, b.p, is);
			check_store();
		}
	}
	for (size_t i = 0; i < LEN(news); i++) {
		struct id id;
		int rc;

		open_store();
		rc = try_submit(q, &(struct how){.args = news[i].old, .metadata = news[i].old}, &id);
		if (news[i].now)
			check(!rc && !strcmp(task(&id)->v.args, news[i].now) && !strcmp(task(&id)->v.metadata, news[i].now), "%s", news[i].old);
		else
			check(says(rc, 400, NULL) && !q->first, "%s is a conflict: %s", news[i].old, err.msg);
		check_store();
	}
	buf_free(&b);
}

/* Nothing is kept that could not be read again. */
static void
test_deep(void)
{
	static const struct {
		int depth;
		bool dots, ok;
	} rows[] = {{508, false, true}, {509, false, false}, {508, true, true}, {509, true, false}, {3000000, true, false}};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct buf b = {0};
		struct id id;
		int rc;

		open_store();
		buf_adds(&b, rows[i].dots ? "{\"a" : "");
		for (int k = 0; k < rows[i].depth; k++)
			buf_adds(&b, !rows[i].dots ? "{\"a\":" : k ? ".a" : "");
		buf_adds(&b, rows[i].dots ? "\":1}" : "1");
		for (int k = 0; !rows[i].dots && k < rows[i].depth; k++)
			buf_adds(&b, "}");
		rc = try_submit(q, &(struct how){.args = b.p}, &id);
		check(rows[i].ok ? !rc : says(rc, 422, NULL), "%d deep: %d %s", rows[i].depth, rc, err.msg);
		if (!rc) {
			struct store *again = store_new();
			size_t n;

			replay(again, store_turn(st, &n)->p, store_turn(st, &n)->len);
			check_same(st, again, "deep");
			store_free(again);
		}
		buf_free(&b);
	}
}

static void
test_update(void)
{
	struct id id, w;
	struct task *t;

	open_store();
	w = worker(3);
	id = submit((struct how){.name = "old", .cmd = "\"c\"", .heartbeat = 3, .timeout = 4});
	t = task(&id);
	check(!update(&id, "\"task_name\":\"new\",\"heartbeat_timeout\":1.25,\"task_timeout\":77,\"retries\":2,\"cmd\":[\"n\"]", false,
	    NULL), "%s", err.msg);
	check(!strcmp(t->v.name, "new") && t->v.task_timeout == 77 && t->v.retries == 2 && !strcmp(t->v.cmd, "[\"n\"]"), "set");
	check(!update(&id, "\"task_name\":null,\"heartbeat_timeout\":null,\"task_timeout\":null,\"cmd\":null", false, NULL), "%s",
	    err.msg);
	check(!t->v.name && isnan(t->v.heartbeat_timeout) && t->v.task_timeout == NONE && !t->v.cmd, "cleared");
	fetch(&w);
	check(!update(&id, "\"status\":\"failed\"", false, NULL) && t->owner && t->v.retries == 2, "failed here keeps the worker");
	check(queue_worker(q, str_of(w.text))->v.retries == 0, "and charges nobody");
	update(&id, "", true, NULL);
	fetch(&w);
	check(!update(&id, "\"status\":\"pending\",\"retries\":5", false, NULL) && !t->owner && t->v.retries == 5, "handed back");
	check(fetch(NULL) == t && !update(&id, "\"retries\":7", true, NULL) && t->v.retries == 0, "a reset sets retries to 0");
	check(!update(&id, "\"status\":\"running\"", false, NULL) && t->v.status == RUNNING && queue_running(st) == 1, "set running");
	err = (struct err){0};
	memset(id.text, 'z', 36);
	check(says(update(&id, "", false, NULL), 404, "Task zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz not found."), "unknown: %s", err.msg);
	check_store();
}

static void
test_queues(void)
{
	struct json_doc *d = doc("{\"a.b\":1}"), *empty = doc("{}");
	struct queue_update u = {.name = str_of("q")};
	struct queue *other;
	struct id id;
	char text[37];

	open_store();
	err = (struct err){0};
	check(!queue_create(st, str_of("q"), "h", NULL, now(), &err) && says(-1, 409, "Queue 'q' already exists"), "taken: %s", err.msg);
	err = (struct err){0};
	other = queue_create(st, str_of("other"), "h2", d->root, now(), &err);
	check(other && !strcmp(other->v.metadata, "{\"a\":{\"b\":1}}"), "made");
	check(says(queue_update(st, other, &u, now(), &err), 400, "Queue name 'q' already exists"), "taken: %s", err.msg);
	u = (struct queue_update){.name = str_of("renamed"), .hash = "h3", .metadata = empty->root};
	check(!queue_update(st, other, &u, now(), NULL) && !other->v.metadata && !strcmp(queue_hash(other), "h3"), "updated");
	check(queue_find(st, str_of("renamed")) == other && !queue_find(st, str_of("other")), "found by its new name");
	snprintf(text, sizeof text, "%s", queue_id(other));
	check(queue_find(st, str_of(text)) == other, "and by its id");
	check(queue_create(st, str_of(text), "h", NULL, now(), NULL) == NULL, "which nobody can take as a name");
	for (int i = 0; text[i]; i++)
		text[i] = (char)(text[i] >= 'a' ? text[i] - 32 : text[i]);
	check(!queue_find(st, str_of(text)) || !strcmp(text, queue_id(other)), "ids are lower case");
	check(!queue_find(st, str_of("")) && !queue_find(st, str_of("qq")) && !queue_find(st, (struct str){"q\0x", 3}), "not found");
	id = submit((struct how){0});
	worker(3);
	fetch(NULL);
	queue_delete(st, q, now());
	check(!queue_find(st, str_of("q")) && !queue_running(st), "deleted");
	q = queue_create(st, str_of("q"), "h", NULL, now(), &err);
	check(q && !task(&id) && !q->first, "a new one of that name is empty");
	check_store();
	json_free(d);
	json_free(empty);
}

static void
test_keys(void)
{
	struct queue *other;
	struct id id, again;
	uuid key;

	open_store();
	other = queue_create(st, str_of("other"), "h", NULL, now(), &err);
	fresh(key);
	check(!try_submit(q, &(struct how){.key = key}, &id) && !strcmp(id.text, text_of(key).text), "the key is the id");
	check(!try_submit(q, &(struct how){.key = key, .args = "{\"b\":2}"}, &again) && !strcmp(id.text, again.text), "again");
	check(q->first == q->last && !strcmp(q->first->v.args, "{\"a\":1}"), "nothing new");
	check(says(try_submit(other, &(struct how){.key = key}, &again), 409, NULL), "another queue: %s", err.msg);
	check(!queue_task_delete(st, q, str_of(id.text), now(), &err) && !task(&id), "deleted");
	check(says(try_submit(q, &(struct how){.key = key}, &again), 409, NULL), "a deleted task's: %s", err.msg);
	check_store();
	wall += INT64_C(86400000000);
	check(!try_submit(q, &(struct how){.key = key}, &again) && task(&id), "a day later it is free");
	check(says(queue_task_delete(st, other, str_of(id.text), now(), &err), 404, "Task not found"), "another queue's: %s", err.msg);
	check_store();
}

static void
test_runs(void)
{
	struct id w, other, id, next;
	struct task *t, *u;
	uuid a, b, nil = {0};

	open_store();
	fresh(a);
	fresh(b);
	w = worker(9);
	other = worker(9);
	check(try_fetch(&w, NULL, a, &t) == 0, "nothing is there");
	id = submit((struct how){.retries = 9});
	submit((struct how){.retries = 9});
	check(says(try_fetch(&w, NULL, nil, &t), 400, NULL), "no nil token");
	check(try_fetch(&w, NULL, a, &t) == 1 && t == task(&id), "so the token is still free");
	check(try_fetch(&w, NULL, a, &u) == 1 && u == t && q->count[RUNNING] == 1, "the same run");
	check(says(try_fetch(&other, NULL, a, &u), 409, NULL), "not another's: %s", err.msg);
	check(says(try_fetch(NULL, NULL, a, &u), 409, NULL), "nor nobody's");
	check(!queue_heartbeat(st, q, str_of(id.text), str_of(w.text), a, now(), NULL), "its heartbeat");
	err = (struct err){0};
	check(says(queue_heartbeat(st, q, str_of(id.text), str_of(w.text), b, now(), &err), 409, NULL), "another run's");
	check(says(report(&id, SUCCESS, w.text, NULL, b), 409, NULL) && t->v.status == RUNNING, "another run's report");
	check(!report(&id, FAILED, w.text, "{\"s\":1}", a) && t->v.status == PENDING && t->v.retries == 1, "its report");
	check(!report(&id, FAILED, w.text, "{\"s\":2}", a) && t->v.retries == 1 && !strcmp(t->v.summary, "{\"s\":1}"), "said again");
	check(queue_worker(q, str_of(w.text))->v.retries == 1, "charged once");
	check(says(report(&id, SUCCESS, w.text, NULL, a), 409, NULL), "but nothing else");
	next = text_of(q->last->node.id);
	check(says(report(&next, FAILED, w.text, NULL, a), 409, NULL), "and of no other task");
	check(says(update(&id, "\"status\":\"pending\"", false, a), 409, NULL), "not even pending");
	err = (struct err){0};
	check(says(queue_heartbeat(st, q, str_of(id.text), str_of(w.text), a, now(), &err), 409, NULL), "nor a heartbeat");
	check(says(try_fetch(&w, NULL, a, &u), 409, NULL), "the token is used up: %s", err.msg);
	check_store();

	update(&id, "\"priority\":99", false, NULL);
	check(try_fetch(&w, NULL, b, &u) == 1 && u == t, "fetched again");
	check(!report(&id, FAILED, w.text, NULL, a) && t->v.status == RUNNING, "the late repeat of the first report changes nothing");
	check(!update(&id, "\"metadata\":{\"m\":1}", false, b) && t->v.metadata, "an update of the run");
	check(!update(&id, "\"status\":\"pending\",\"retries\":1", false, b) && t->v.status == PENDING, "handed back");
	check(!update(&id, "\"status\":\"pending\",\"retries\":5", false, b) && t->v.retries == 1, "and again, without effect");
	check(!update(&id, "", true, b) && t->v.retries == 1, "a reset says pending too");
	check(says(update(&id, "\"metadata\":{\"m\":2}", false, b), 409, NULL), "an update without status needs the run");
	check(says(report(&id, SUCCESS, w.text, NULL, b), 409, NULL), "too late");

	fresh(a);
	try_fetch(&w, NULL, a, &u);
	report(&id, CANCELLED, NULL, NULL, NULL);
	check(says(report(&id, CANCELLED, w.text, NULL, a), 409, NULL), "what others ended is not the run's: %s", err.msg);
	update(&id, "", true, NULL);
	fresh(b);
	try_fetch(&w, NULL, b, &u);
	queue_task_delete(st, q, str_of(id.text), now(), NULL);
	check(says(report(&id, SUCCESS, w.text, NULL, b), 404, NULL), "deleted");
	check(says(try_fetch(&w, NULL, b, &u), 409, NULL), "its run has ended");
	wall += INT64_C(86400000000);
	check(try_fetch(&w, NULL, b, &u) == 1, "a day later the token is free: %s", err.msg);
	id = text_of(u->node.id);
	check(says(report(&id, SUCCESS, NULL, NULL, a), 409, NULL), "and nobody else's");
	check(!report(&id, SUCCESS, NULL, NULL, b), "%s", err.msg);
	check_store();
}

static void
test_kept(void)
{
	struct id first = {""}, id = {""};
	uuid key, token;

	open_store();
	for (long i = 0; i < 100003; i++) {
		struct task *t;

		fresh(key);
		fresh(token);
		try_submit(q, &(struct how){.key = key}, &id);
		if (!i)
			first = id;
		try_fetch(NULL, NULL, token, &t);
		queue_task_delete(st, q, str_of(id.text), now(), NULL);
		buf_clear(store_turn(st, &(size_t){0}));
	}
	check(st->tombs.n == 100000 && st->ended == 100000 && st->runs.n == 100000, "a hundred thousand are kept");
	uuid_parse(str_of(first.text), key);
	check(!try_submit(q, &(struct how){.key = key}, &id), "the oldest are forgotten");
}

static void
test_expire(void)
{
	struct id w, id;
	struct task *t;
	static const struct {
		double heartbeat;
		int64_t timeout, after;    /* mono, from the fetch; 0: never */
	} rows[] = {{0, 0, 0}, {2.5, 0, 2500000}, {0, 3, 3000000}, {2.5, 2, 2000000}, {2.5, -1, 0}, {1e300, 0, 0}, {0, INT64_MAX, 0}};

	for (size_t i = 0; i < LEN(rows); i++) {
		int64_t due;

		open_store();
		w = worker(1);
		id = submit((struct how){.heartbeat = rows[i].heartbeat, .timeout = rows[i].timeout, .retries = 2});
		t = fetch(&w);
		due = queue_due(st);
		if (rows[i].timeout < 0) {
			check(due == mono, "a timeout below 0 is over at once");
			continue;
		}
		check(due == (rows[i].after ? mono + rows[i].after : INT64_MAX), "row %lu: due %ld", (unsigned long)i, (long)(due - mono));
		if (!rows[i].after)
			continue;
		queue_expire(st, (struct now){wall, due - 1});
		check(t->v.status == RUNNING, "not too early");
		queue_expire(st, (struct now){++wall, due});
		check(t->v.status == PENDING && t->v.retries == 1 && !t->owner && t->v.modified == wall, "failed when due");
		check(!strcmp(t->v.summary, "{\"labtasker_error\":\"Either heartbeat or task execution timed out\"}"), "%s", t->v.summary);
		check(queue_worker(q, str_of(w.text))->v.status == CRASHED && queue_due(st) == INT64_MAX, "its worker too");
		check_store();
	}
	open_store();
	w = worker(1);
	id = submit((struct how){.timeout = 1, .retries = 1});
	fetch(&w);
	update(&id, "\"summary\":{\"k\":1}", false, NULL);
	queue_worker_set(st, q, str_of(w.text), SUSPENDED, now(), NULL);
	queue_expire(st, (struct now){wall, INT64_MAX});
	t = task(&id);
	check(t->v.status == FAILED && strstr(t->v.summary, "\"k\":1,"), "a suspended worker holds nothing up: %s", t->v.summary);
	check(queue_worker(q, str_of(w.text))->v.status == SUSPENDED, "nor is it charged");
	update(&id, "", true, NULL);
	id = text_of(fetch(NULL)->node.id);
	update(&id, "\"task_timeout\":null", false, NULL);
	check(queue_due(st) == INT64_MAX, "a timeout can be taken away");
	update(&id, "\"task_timeout\":5", false, NULL);
	check(queue_due(st) > mono && queue_due(st) < mono + 5000000, "and given, from the start");
}

/* What a dump would take follows what is kept. */
static void
test_live(void)
{
	struct buf b = {0};
	uint64_t before;
	struct id id;

	open_store();
	id = submit((struct how){0});
	queue_task_delete(st, q, str_of(id.text), now(), NULL);
	before = store_live(st);
	buf_printf(&b, "{\"long\":\"%10000d\"}", 1);
	id = submit((struct how){.args = b.p});
	check(store_live(st) > before + 10000 && store_live(st) < before + 10800, "as long as its text");
	check(!update(&id, "\"args\":{},\"replace_fields\":[\"args\"]", false, NULL), "%s", err.msg);
	check(store_live(st) > before && store_live(st) < before + 800, "as short");
	fetch(NULL);
	queue_task_delete(st, q, str_of(id.text), now(), NULL);
	st->live -= before;
	check(store_live(st) < 100, "only the deleted id is left");
	st->live += before;
	buf_free(&b);
}

/* After a restart leases begin anew and run times go on. */
static void
test_restart(void)
{
	struct store *again = store_new();
	struct id id;
	size_t n;

	open_store();
	id = submit((struct how){.heartbeat = 60, .timeout = 100});
	fetch(NULL);
	replay(again, store_turn(st, &n)->p, store_turn(st, &n)->len);
	check(n == 3, "three records");
	queue_loaded(again, (struct now){wall + 900000000, 77}, mono + 30000000);
	check(queue_due(again) == 77 + 60000000, "the lease is new");
	check(queue_running(again) == 1, "it runs");
	queue_loaded(again, (struct now){wall - 900000000, 50000077}, 40000077);
	check(queue_due(again) == 50000077 + 30000000, "70 s of 100 are used, whatever the clock says");
	(void)id;
	store_free(again);
}

/* ---- random lives ---- */

enum { TASKS = 40, WORKERS = 5 };
static struct id ids[TASKS], workers[WORKERS];
static uuid tokens[8];

static void
change_task(struct id *id)
{
	static const char *const updates[] = {
		"\"priority\":3", "\"args\":{\"b\":{\"c\":1}}", "\"args\":{\"z\":1},\"replace_fields\":[\"args\"]", "\"status\":\"pending\"",
		"\"status\":\"running\"", "\"status\":\"cancelled\"", "\"status\":\"failed\"", "\"summary\":{\"s.t\":\"\xc3\xa9\\n\"}",
		"\"task_timeout\":3", "\"heartbeat_timeout\":0.5", "\"task_name\":null,\"cmd\":null", "\"metadata\":{\"m\":[1,{}]}",
	};
	const unsigned char *run = roll(3) ? NULL : tokens[roll(LEN(tokens))];

	switch (roll(8)) {
	case 0:
		update(id, "", true, run);
		break;
	case 1: case 2:
		update(id, updates[roll(LEN(updates))], false, run);
		break;
	case 3:
		queue_task_delete(st, q, str_of(id->text), now(), NULL);
		break;
	case 4:
		queue_heartbeat(st, q, str_of(id->text), (struct str){0}, run, now(), NULL);
		break;
	default:
		report(id, (enum status)(SUCCESS + roll(3)), NULL, roll(2) ? "{\"r\":1}" : NULL, run);
	}
}

static void
change_worker(struct id *w)
{
	switch (roll(4)) {
	case 0:
		queue_worker_delete(st, q, str_of(w->text), roll(2), now(), NULL);
		/* fall through */
	case 1:
		*w = worker(roll(3));
		break;
	default:
		queue_worker_set(st, q, str_of(w->text), (enum wstatus)roll(2), now(), NULL);
	}
}

static void
change_queue(void)
{
	static const char *const names[] = {"q", "r", "s"};
	const char *name = names[roll(3)];
	struct queue *k = queue_find(st, str_of(name));
	struct queue_update u = {.name = str_of(names[roll(3)]), .hash = roll(2) ? "$other" : NULL};

	if (!k)
		k = queue_create(st, str_of(name), "$hash", NULL, now(), NULL);
	else if (!roll(3))
		queue_delete(st, k, now());
	else if (roll(2))
		queue_update(st, k, &u, now(), NULL);
	q = queue_find(st, str_of("q"));
	if (!q)
		q = queue_create(st, str_of("q"), "$hash", NULL, now(), NULL);
}

static void
step(void)
{
	static const char *const args[] = {"{\"a\":1}", "{\"b\":{\"c\":[1]}}", "{}", "{\"long\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxx\"}"};
	unsigned what = roll(100);
	struct id *id = &ids[roll(TASKS)];
	struct task *t;

	if (what < 30) {
		submit((struct how){.args = args[roll(4)], .priority = roll(3), .retries = 1 + roll(3), .heartbeat = roll(2),
		    .timeout = roll(3), .name = roll(2) ? "n" : NULL, .cmd = roll(2) ? "[\"c\"]" : NULL});
		*id = text_of(q->last->node.id);
	} else if (what < 55) {
		unsigned n = roll(LEN(tokens));

		if (roll(2))
			fresh(tokens[n]);
		try_fetch(roll(2) ? &workers[roll(WORKERS)] : NULL, roll(3) ? NULL : "[\"a\"]", roll(2) ? tokens[n] : NULL, &t);
	} else if (what < 90) {
		change_task(id);
	} else if (what < 95) {
		change_worker(&workers[roll(WORKERS)]);
	} else if (what < 98) {
		mono += 700000;
		queue_expire(st, now());
	} else {
		change_queue();
	}
	if (!roll(8))
		q = st->by_seq[roll((unsigned)st->queues.n)];
	if (!roll(60))
		wall += INT64_C(36000000000);   /* ten hours: what is kept for a day goes */
}

static void
begin_life(unsigned seed)
{
	dice = seed;
	open_store();
	for (int i = 0; i < TASKS; i++)
		ids[i] = submit((struct how){0});
	for (int i = 0; i < WORKERS; i++)
		workers[i] = worker(2);
	for (size_t i = 0; i < LEN(tokens); i++)
		fresh(tokens[i]);
}

/* Each change is read again as it was lived. */
static void
test_replay(void)
{
	for (unsigned seed = 0; seed < 8; seed++) {
		struct store *again = store_new();
		size_t n, lines;

		begin_life(seed);
		for (int i = 0; i < 1500; i++) {
			struct buf *turn = store_turn(st, &n);

			lines = 0;
			for (size_t k = 0; k < turn->len; k++)
				lines += turn->p[k] == '\n';
			check(lines == n, "records are counted");
			replay(again, turn->p, turn->len);
			buf_clear(turn);
			if (i % 50 == 0) {
				check_store();
				check_same(st, again, "replay");
			}
			step();
		}
		replay(again, store_turn(st, &n)->p, store_turn(st, &n)->len);
		store_free(st);
		st = again;
		check_store();
	}
}

/* A dump, in slices of any size, with changes between them, comes to what is there in the end. */
static void
test_dump(void)
{
	for (unsigned seed = 100; seed < 300; seed++) {
		struct store *again = store_new();
		struct buf also = {0}, b = {0};
		bool out;

		begin_life(seed);
		for (unsigned i = roll(300); i; i--)
			step();
		queue_dump_open(st, &also);
		do {
			for (unsigned i = roll(6); i; i--)
				step();
			if (!roll(6))
				change_queue();
			if (also.len)
				replay(again, also.p, also.len);
			buf_clear(&also);
			buf_clear(&b);
			out = queue_dump(st, &b, 1 + roll(2000), (struct now){wall, mono});
			if (b.len)
				replay(again, b.p, b.len);
		} while (!out);
		for (unsigned i = roll(6); i; i--)
			step();
		if (also.len)
			replay(again, also.p, also.len);
		queue_dump_close(st);
		check_same(st, again, "dump");
		buf_free(&also);
		buf_free(&b);
		store_free(again);
	}
}

/* What is no record changes nothing and says so; what is cut anywhere is none. */
static void
test_garbage(void)
{
	static const char no_queue[] = "{\"task\":\"00000001-0000-0000-0000-000000000001\",\"in\":99,\"seq\":9,\"status\":\"pending\","
	    "\"created\":1,\"modified\":1,\"retries\":0,\"max_retries\":0,\"priority\":0}";
	static const char *const bad[] = {
		"", "{}", "[]", "1", "{\"task\":1}", "{\"task\":\"x\"}", "{\"other\":\"00000001-0000-0000-0000-000000000001\"}",
		"{\"task\":\"00000001-0000-0000-0000-000000000001\"}",
		"{\"task\":\"00000001-0000-0000-0000-000000000001\",\"seq\":1}",
		no_queue,
		"{\"task\":\"00000001-0000-0000-0000-000000000001\",\"gone\":\"x\"}",
		"{\"queue\":\"00000001-0000-0000-0000-000000000001\",\"seq\":5,\"name\":null,\"hash\":\"\",\"created\":1,\"modified\":1}",
		"{\"queue\":\"00000001-0000-0000-0000-000000000001\",\"seq\":5,\"name\":\"q\",\"hash\":\"\",\"created\":1,\"modified\":1}",
		"{\"queue\":\"00000001-0000-0000-0000-000000000001\",\"seq\":1,\"name\":\"n\",\"hash\":\"\",\"created\":1,\"modified\":1}",
		"{\"run\":\"00000001-0000-0000-0000-000000000001\",\"of\":\"x\",\"at\":1}",
		"{\"run\":\"00000001-0000-0000-0000-000000000001\",\"of\":\"00000001-0000-0000-0000-000000000001\",\"end\":\"x\",\"at\":1}",
	};
	size_t n;
	struct buf *turn, copy = {0};
	struct store *again;
	struct err e;

	open_store();
	for (size_t i = 0; i < LEN(bad); i++) {
		char *before = dump(st), *after;

		e = (struct err){0};
		check(queue_apply(st, bad[i], strlen(bad[i]), now(), &e) < 0 && e.code && e.msg[0], "%s", bad[i]);
		after = dump(st);
		check(!strcmp(before, after), "%s leaves nothing behind", bad[i]);
		free(before);
		free(after);
	}
	begin_life(7);
	for (int i = 0; i < 60; i++)
		step();
	turn = store_turn(st, &n);
	again = store_new();
	for (const char *p = turn->p, *end; p < turn->p + turn->len; p = end + 1) {
		end = memchr(p, '\n', (size_t)(turn->p + turn->len - p));
		for (size_t k = 0; p + k < end; k++)
			check(queue_apply(again, p, k, now(), NULL) < 0, "a record cut at %lu", (unsigned long)k);
		replay(again, p, (size_t)(end - p) + 1);
	}
	check_same(st, again, "after all those prefixes");
	store_free(again);
	again = store_new();
	for (int i = 0; i < 3; i++) {     /* bytes changed at random: whatever is taken, it holds together */
		for (const char *p = turn->p, *end; p < turn->p + turn->len; p = end + 1) {
			end = memchr(p, '\n', (size_t)(turn->p + turn->len - p));
			buf_clear(&copy);
			buf_add(&copy, p, (size_t)(end - p));
			if (roll(3))
				copy.p[roll((unsigned)copy.len)] = (char)(32 + roll(95));
			queue_apply(again, copy.p, copy.len, now(), NULL);
		}
	}
	store_free(st);
	st = again;
	check_store();
	buf_free(&copy);
}

int
main(void)
{
	test_reports();
	test_moves();
	test_retries();
	test_workers();
	test_order();
	test_filter();
	test_matching();
	test_fetch();
	test_heartbeat();
	test_dicts();
	test_deep();
	test_update();
	test_queues();
	test_keys();
	test_runs();
	test_kept();
	test_expire();
	test_live();
	test_restart();
	test_replay();
	test_dump();
	test_garbage();
	store_free(st);
	return test_done("queue");
}
