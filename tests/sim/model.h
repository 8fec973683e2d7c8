/* SPDX-License-Identifier: MIT */
/*
 * What a server must be: queues, tasks, workers and runs as SPEC 1.1 to 1.3 and OURS 1 tell of them, in a fixed size so that it can
 * be copied, and asked what the answer to a request is.  Times are the world's (now_true), which no clock that jumps changes.
 */
enum { QUEUES = 2, TASKS = 64, WORKERS = 12, ENDED = 400, TOMBS = 80 };

struct mtask {
	uuid id, worker, run;          /* all 0: none */
	int queue, status, shape, summary;   /* summary: -1 none */
	bool error, beaten;            /* summary.labtasker_error is there; a heartbeat was seen */
	int64_t seq, created, modified, retries, max_retries, priority, timeout, start, beat;   /* timeout 0: none */
	int64_t used;                  /* how long it has run when that was committed */
	double lease;                  /* 0: none */
};
struct mworker {
	uuid id;
	int queue, status;
	int64_t seq, modified, retries, max_retries;
};
struct mrun {
	uuid token, of;
	int end;
};
static struct model {
	bool queues;                   /* they are there */
	struct mtask task[TASKS];      /* by seq */
	int tasks;
	struct mworker worker[WORKERS];
	int workers;
	struct mrun ended[ENDED];
	int runs;
	uuid tomb[TOMBS];
	int tombs;
	int64_t seq;
} m;

enum kind { SUBMIT, FETCH, BEAT, REPORT, UPDATE, REMOVE, LOOK, FIND, NEW_WORKER, SET_WORKER, DROP_WORKER, INTRUDE };

/* A request, and what must come back. */
struct ask {
	enum kind kind;
	int queue, shape, need, status, summary;   /* status, summary: -1 none */
	bool keyed, named, reset, quiet, filter;   /* key, worker are given; reset_pending; start_heartbeat false; extra_filter */
	uuid id, key, worker;
	int64_t priority, retries, timeout;        /* priority -1: none */
	double lease;
	int64_t wait, until;                       /* Prefer: wait, seconds; until then it is held */
	int want, found;                           /* found: of fetch and search, -1 none */
	uuid about;                                /* the id that the answer names */
};

static const uuid nobody;

static bool
same_id(const uuid a, const uuid b)
{
	return !memcmp(a, b, 16);
}

static struct mtask *
m_task(const uuid id)
{
	for (int i = 0; i < m.tasks; i++)
		if (same_id(m.task[i].id, id))
			return &m.task[i];
	return NULL;
}

static struct mworker *
m_worker(const uuid id)
{
	for (int i = 0; i < m.workers; i++)
		if (same_id(m.worker[i].id, id))
			return &m.worker[i];
	return NULL;
}

static struct mrun *
m_ended(const uuid token)
{
	for (int i = 0; i < m.runs; i++)
		if (same_id(m.ended[i].token, token))
			return &m.ended[i];
	return NULL;
}

static struct mtask *
m_live(const uuid token)
{
	for (int i = 0; i < m.tasks; i++)
		if (same_id(m.task[i].run, token))
			return &m.task[i];
	return NULL;
}

static bool
m_gone(const uuid id)
{
	for (int i = 0; i < m.tombs; i++)
		if (same_id(m.tomb[i], id))
			return true;
	return false;
}

/* ---- changes ---- */

static void
m_end_run(struct mtask *t, int end)
{
	struct mrun *r = &m.ended[m.runs];

	if (same_id(t->run, nobody))
		return;
	memcpy(r->token, t->run, 16);
	memcpy(r->of, t->id, 16);
	r->end = end;
	m.runs++;
	memset(t->run, 0, 16);
}

static void
m_charge(const uuid id, int64_t wall)
{
	struct mworker *w = m_worker(id);

	if (!w || w->status != ACTIVE)
		return;
	w->retries++;
	w->modified = wall;
	if (w->retries >= w->max_retries)
		w->status = CRASHED;
}

/* end: what the run is said to have been ended by. */
static void
m_fail(struct mtask *t, int end, int64_t wall)
{
	m_charge(t->worker, wall);
	t->retries++;
	t->status = t->retries < t->max_retries ? PENDING : FAILED;
	t->modified = wall;
	memset(t->worker, 0, 16);
	m_end_run(t, end);
}

static int64_t
m_due(const struct mtask *t)
{
	int64_t due = INT64_MAX;

	if (t->status != RUNNING)
		return due;
	if (t->lease > 0 && t->beaten)
		due = t->beat + (int64_t)(t->lease * 1e6);
	if (t->timeout && t->start + t->timeout * 1000000 < due)
		due = t->start + t->timeout * 1000000;
	return due;
}

static void
m_expire(int64_t wall)
{
	for (int i = 0; i < m.tasks; i++) {
		if (m_due(&m.task[i]) > now_true)
			continue;
		m.task[i].error = true;
		m_fail(&m.task[i], END_OTHER, wall);
	}
}

static void
m_remove(struct mtask *t)
{
	int i = (int)(t - m.task);

	m_end_run(t, END_OTHER);
	memcpy(m.tomb[m.tombs++], t->id, 16);
	memmove(t, t + 1, (size_t)(--m.tasks - i) * sizeof *t);
}

/* ---- what is asked, as a status; 0: go on ---- */

/* Whether a change under a run token, setting status (-1: none), is the run's.  200: it is what ended it. */
static int
m_check_run(const struct ask *a, const struct mtask *t, int status)
{
	const struct mrun *r = m_ended(a->key);

	if (!a->keyed || same_id(t->run, a->key))
		return 0;
	return r && status >= 0 && r->end == status && same_id(r->of, t->id) ? 200 : 409;
}

static int64_t came;   /* when the last task was submitted to this server */

static int
m_submit(struct ask *a, int64_t wall)
{
	struct mtask *t = a->keyed ? m_task(a->key) : NULL;

	came = wall = wall <= came && came - wall < 1000000 ? came + 1 : wall;
	memcpy(a->about, a->key, 16);
	if (t)
		return t->queue == a->queue ? 201 : 409;
	if (a->keyed && m_gone(a->key))
		return 409;
	t = &m.task[m.tasks++];
	*t = (struct mtask){
		.queue = a->queue, .shape = a->shape, .summary = -1, .seq = ++m.seq, .created = wall, .modified = wall,
		.max_retries = a->retries, .priority = a->priority, .timeout = a->timeout, .lease = a->lease,
	};
	memcpy(t->id, a->keyed ? a->key : made_id(a->queue, m.seq, false), 16);
	memcpy(a->about, t->id, 16);
	return 201;
}

/* The requirements that fetches name, and which of the two shapes of args each takes. */
static const struct {
	const char *text;
	bool takes[2];
} needs[] = {
	{"null", {true, true}}, {"[\"a\"]", {true, false}}, {"[\"a\",\"b\"]", {false, true}}, {"[\"a\",\"b.c\"]", {false, true}},
	{"[\"*\"]", {true, true}}, {"[\"b.c\",\"*\"]", {false, true}}, {"[\"a\",\"z\"]", {false, false}},
};
static const char *const shapes[] = {"{\"a\":1}", "{\"a\":1,\"b\":{\"c\":1}}"};

static bool
m_before(const struct mtask *x, const struct mtask *y)
{
	if (x->priority != y->priority)
		return x->priority > y->priority;
	if (x->modified != y->modified)
		return x->modified < y->modified;
	return x->created != y->created ? x->created < y->created : x->seq < y->seq;
}

static int
m_fetch(struct ask *a, int64_t wall)
{
	struct mtask *t = a->keyed ? m_live(a->key) : NULL;
	const struct mworker *w = m_worker(a->worker);

	a->found = 1;
	if (t) {
		memcpy(a->about, t->id, 16);
		return t->queue == a->queue && same_id(t->worker, a->worker) ? 200 : 409;
	}
	if (a->keyed && m_ended(a->key))
		return 409;
	if (a->named && (!w || w->queue != a->queue))
		return 404;
	if (a->named && w->status != ACTIVE)
		return 403;
	for (int i = 0; i < m.tasks; i++) {
		struct mtask *x = &m.task[i];

		if (x->queue == a->queue && x->status == PENDING && needs[a->need].takes[x->shape] && !(a->filter && x->priority < 2)
		    && (!t || m_before(x, t)))
			t = x;
	}
	a->found = t ? 1 : 0;
	if (!t)
		return 200;
	memcpy(a->about, t->id, 16);
	t->status = RUNNING;
	t->modified = wall;
	t->start = t->beat = now_true;
	t->used = 0;
	t->beaten = !a->quiet;
	memcpy(t->worker, a->worker, 16);
	t->summary = -1;
	t->error = false;
	t->timeout = a->timeout ? a->timeout : t->timeout;
	t->lease = a->lease > 0 ? a->lease : t->lease;
	if (a->keyed)
		memcpy(t->run, a->key, 16);
	return 200;
}

static int
m_beat(struct ask *a, int64_t wall)
{
	struct mtask *t = m_task(a->id);
	const struct mworker *w = m_worker(a->worker);
	int rc;

	(void)wall;
	if (!t || t->queue != a->queue)
		return 404;
	rc = m_check_run(a, t, -1);
	if (rc)
		return rc;
	if (t->status != RUNNING)
		return 404;
	if (a->named && !same_id(t->worker, a->worker))
		return 403;
	if (a->named && (!w || w->status != ACTIVE))
		return 404;
	t->beat = now_true;
	t->beaten = true;
	return 204;
}

/* Of which tasks a status may be reported. */
static bool
m_reports(int from, int to)
{
	return to == CANCELLED || (to == SUCCESS && from == RUNNING) || (to == FAILED && (from == RUNNING || from == FAILED));
}

static int
m_report(struct ask *a, int64_t wall)
{
	struct mtask *t = m_task(a->id);
	const struct mworker *w;
	int rc, end = a->keyed ? a->status : END_OTHER;

	if (!t || t->queue != a->queue)
		return 404;
	rc = m_check_run(a, t, a->status);
	if (rc)
		return rc;
	if (a->named && !same_id(t->worker, a->worker))
		return 409;
	if (!m_reports(t->status, a->status))
		return 400;
	w = m_worker(t->worker);
	if (a->status == FAILED && !same_id(t->worker, nobody) && (!w || w->status == SUSPENDED))
		return w ? 400 : 404;
	t->summary = a->summary >= 0 ? a->summary : t->summary;
	if (a->status == FAILED && t->status == RUNNING) {
		m_fail(t, end, wall);
		return 200;
	}
	if (a->status == FAILED)
		m_charge(t->worker, wall);
	m_end_run(t, end);
	t->status = a->status;
	t->modified = wall;
	memset(t->worker, 0, 16);
	return 200;
}

/* What a status set by an update may change. */
static bool
m_moves(int from, int to)
{
	if (from == to || to == PENDING)
		return true;
	return to == CANCELLED || from == RUNNING;
}

static int
m_update(struct ask *a, int64_t wall)
{
	struct mtask *t = m_task(a->id);
	int status = a->reset ? PENDING : a->status, rc;

	a->found = 1;
	if (!t || t->queue != a->queue)
		return a->keyed ? 404 : 400;
	rc = m_check_run(a, t, status);
	if (rc)
		return rc;
	if (status >= 0 && !m_moves(t->status, status))
		return 400;
	t->modified = wall;
	t->priority = a->priority >= 0 ? a->priority : t->priority;
	t->retries = a->reset ? 0 : t->retries;
	if (status >= 0 && status != RUNNING)
		m_end_run(t, a->keyed ? status : END_OTHER);
	t->status = status >= 0 ? status : t->status;
	if (status == PENDING)
		memset(t->worker, 0, 16);
	return 200;
}

static int
m_delete(struct ask *a, int64_t wall)
{
	struct mtask *t = m_task(a->id);

	(void)wall;
	if (!t || t->queue != a->queue)
		return 404;
	m_remove(t);
	return 204;
}

static int
m_look(struct ask *a, int64_t wall)
{
	const struct mtask *t = m_task(a->id);

	(void)wall;
	if (!t || t->queue != a->queue)
		return 404;
	a->status = t->status;
	memcpy(a->about, t->id, 16);
	return 200;
}

static int
m_find(struct ask *a, int64_t wall)
{
	(void)wall;
	a->found = 0;
	for (int i = 0; i < m.tasks; i++)
		a->found |= m.task[i].queue == a->queue && m.task[i].status == a->status;
	return 200;
}

static int
m_new_worker(struct ask *a, int64_t wall)
{
	struct mworker *w = &m.worker[m.workers++];

	*w = (struct mworker){.queue = a->queue, .status = ACTIVE, .seq = ++m.seq, .modified = wall, .max_retries = a->retries};
	memcpy(w->id, made_id(a->queue, m.seq, true), 16);
	memcpy(a->about, w->id, 16);
	return 201;
}

static int
m_set_worker(struct ask *a, int64_t wall)
{
	struct mworker *w = m_worker(a->worker);

	if (!w || w->queue != a->queue)
		return 404;
	if (w->status != ACTIVE && a->status != ACTIVE)
		return 400;
	w->retries = w->status == CRASHED ? 0 : w->retries;
	w->status = a->status;
	w->modified = wall;
	return 200;
}

static int
m_drop_worker(struct ask *a, int64_t wall)
{
	struct mworker *w = m_worker(a->worker);

	if (!w || w->queue != a->queue)
		return 404;
	for (int i = 0; i < m.tasks; i++) {
		struct mtask *t = &m.task[i];

		if (!a->reset || !same_id(t->worker, a->worker))
			continue;
		t->modified = wall;
		memset(t->worker, 0, 16);
	}
	memmove(w, w + 1, (size_t)(&m.worker[--m.workers] - w) * sizeof *w);
	return 204;
}

static int
m_intrude(struct ask *a, int64_t wall)
{
	(void)a;
	(void)wall;
	return 401;
}

/* What each kind is: how it is asked for, what changes, and what is refused when the disk is full (1) or cannot be trusted (2). */
static const struct {
	const char *name, *method, *path;   /* * is the id of the task, + the worker's */
	int (*ask)(struct ask *a, int64_t wall);
	int refused;                        /* from which mode of the journal on; 3: never */
} kinds[] = {
	[SUBMIT] = {"submit", "POST", "/tasks", m_submit, JOURNAL_LOW},
	[FETCH] = {"fetch", "POST", "/tasks/next", m_fetch, JOURNAL_LOW},
	[BEAT] = {"heartbeat", "POST", "/tasks/*/heartbeat", m_beat, JOURNAL_REFUSE},
	[REPORT] = {"report", "POST", "/tasks/*/status", m_report, JOURNAL_REFUSE},
	[UPDATE] = {"update", "PUT", "/tasks", m_update, JOURNAL_REFUSE},
	[REMOVE] = {"delete", "DELETE", "/tasks/*", m_delete, JOURNAL_REFUSE},
	[LOOK] = {"get", "GET", "/tasks/*", m_look, 3},
	[FIND] = {"search", "POST", "/tasks/search", m_find, 3},
	[NEW_WORKER] = {"new worker", "POST", "/workers", m_new_worker, JOURNAL_LOW},
	[SET_WORKER] = {"set worker", "POST", "/workers/+/status", m_set_worker, JOURNAL_REFUSE},
	[DROP_WORKER] = {"drop worker", "DELETE", "/workers/+", m_drop_worker, JOURNAL_REFUSE},
	[INTRUDE] = {"intrude", "GET", "/tasks/*", m_intrude, 3},
};

/* ---- the server's state beside it ---- */

static bool
differs(char why[200], const struct mtask *x, const char *what, int64_t is, int64_t want)
{
	char id[37];

	if (is == want)
		return false;
	uuid_print(x->id, id);
	snprintf(why, 200, "task %s: %s is %lld, must be %lld", id, what, (long long)is, (long long)want);
	return true;
}

/* The summary as the server keeps it. */
static bool
summary_is(const struct mtask *x, const char *text)
{
	char want[32];

	snprintf(want, sizeof want, "\"s\":%d", x->summary);
	text = text ? text : "";
	return x->error == (strstr(text, "labtasker_error") != NULL)
	    && (x->summary >= 0 ? strstr(text, want) != NULL : strstr(text, "\"s\":") == NULL);
}

static bool
task_differs(char why[200], const struct store *s, const struct task *t, const struct mtask *x)
{
	const struct task_data *v = &t->v;

	return differs(why, x, "status", v->status, x->status) || differs(why, x, "retries", v->retries, x->retries)
	    || differs(why, x, "max_retries", v->max_retries, x->max_retries) || differs(why, x, "seq", v->seq, x->seq)
	    || differs(why, x, "priority", v->priority, x->priority) || differs(why, x, "modified", v->modified, x->modified)
	    || differs(why, x, "created", v->created, x->created)
	    || differs(why, x, "worker", memcmp(v->worker, x->worker, 16) != 0, 0)
	    || differs(why, x, "timeout", v->task_timeout == NONE ? 0 : v->task_timeout, x->timeout)
	    || differs(why, x, "lease", isnan(v->heartbeat_timeout) ? 0 : (int64_t)v->heartbeat_timeout, (int64_t)x->lease)
	    || (x->status == RUNNING && differs(why, x, "a heartbeat", v->beat != NONE, x->beaten))
	    || differs(why, x, "summary", summary_is(x, v->summary), true)
	    || differs(why, x, "args", !strcmp(v->args, shapes[x->shape]), true)
	    || differs(why, x, "run", t->run ? !memcmp(t->run->node.id, x->run, 16) : same_id(x->run, nobody), true)
	    || differs(why, x, "its place", state_task(s, x->id) == t, true);
}

static bool
queue_differs(char why[200], const struct store *s, const struct queue *q, int number, bool exact)
{
	const struct task *t = q->first;
	const struct worker *w = q->first_worker;

	for (int i = 0; i < m.tasks; i++) {
		const struct mtask *x = &m.task[i];

		if (x->queue != number)
			continue;
		if (!t || memcmp(t->node.id, x->id, 16))
			return differs(why, x, "it there", 0, 1);
		if (task_differs(why, s, t, x))
			return true;
		if (exact && x->status == RUNNING && (differs(why, x, "its start", t->mono_start, x->start - boot)
		    || (x->beaten && differs(why, x, "its beat", t->mono_beat, x->beat - boot))))
			return true;
		t = t->next;
	}
	for (int i = 0; i < m.workers; i++) {
		const struct mworker *x = &m.worker[i];

		if (x->queue != number)
			continue;
		if (!w || memcmp(w->node.id, x->id, 16) || w->v.status != x->status || w->v.retries != x->retries
		    || w->v.modified != x->modified) {
			snprintf(why, 200, "worker %d: is %d after %d failures, must be %d after %d", i, w ? w->v.status : -1,
			    w ? (int)w->v.retries : -1, x->status, (int)x->retries);
			return true;
		}
		w = w->next;
	}
	if (t || w)
		snprintf(why, 200, "a %s that nobody made", t ? "task" : "worker");
	return t || w;
}

/* Whether the server's state is not the model's.  exact: with the moments from which deadlines count. */
static bool
store_differs(char why[200], const struct store *s, bool exact)
{
	if (s->queues.n != (m.queues ? QUEUES : 0)) {
		snprintf(why, 200, "%d queues", (int)s->queues.n);
		return true;
	}
	for (int i = 0; i < (int)s->queues.n; i++)
		if (queue_differs(why, s, s->by_seq[i], i, exact))
			return true;
	for (int i = 0; i < m.runs; i++) {
		const struct run *r = state_run(s, m.ended[i].token);

		if (!r || r->task || r->end != m.ended[i].end || memcmp(r->of, m.ended[i].of, 16)) {
			snprintf(why, 200, "ended run %d is %s, must have ended with %d", i, !r ? "lost" : r->task ? "alive" : "another",
			    m.ended[i].end);
			return true;
		}
	}
	for (int i = 0; i < m.tombs; i++) {
		if (!state_tomb(s, m.tomb[i])) {
			snprintf(why, 200, "deleted id %d is forgotten", i);
			return true;
		}
	}
	if ((int)s->ended != m.runs || (int)s->tombs.n != m.tombs) {
		snprintf(why, 200, "%d ended runs and %d deleted ids, must be %d and %d", (int)s->ended, (int)s->tombs.n, m.runs, m.tombs);
		return true;
	}
	return false;
}
