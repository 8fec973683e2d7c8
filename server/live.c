/* SPDX-License-Identifier: MIT */
/*
 * The changes that requests and deadlines ask for: what may happen (SPEC 1.1, 1.2, 1.3), who may ask for it (workers, run tokens,
 * keys: OURS 1), and which images come of it, for queue.c to tell and make.  All is checked before the first image is handed
 * over, so a refusal leaves nothing behind.
 */
#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	DICT_DEPTH = JSON_DEPTH - 4,    /* an answer puts a list of tasks around it, and must be readable by the same parser */
	DICT_SIZE = HTTP_BODY           /* what a task's dict may grow to by merging */
};
enum { T_ARGS, T_METADATA, T_SUMMARY, T_CMD, T_NAME };   /* store.text */
#define DAY (86400 * SECOND)

static const char timed_out[] = "{\"labtasker_error\":\"Either heartbeat or task execution timed out\"}";

/* What a status set by an update may change, [from][to]; the same status is always right. */
static const bool moves[TASK_STATES][TASK_STATES] = {
	[PENDING] = {[PENDING] = true, [RUNNING] = true, [CANCELLED] = true},
	[RUNNING] = {[RUNNING] = true, [PENDING] = true, [SUCCESS] = true, [FAILED] = true, [CANCELLED] = true},
	[SUCCESS] = {[SUCCESS] = true, [PENDING] = true, [CANCELLED] = true},
	[FAILED] = {[FAILED] = true, [PENDING] = true, [CANCELLED] = true},
	[CANCELLED] = {[CANCELLED] = true, [PENDING] = true},
};
/* Of which tasks a status may be reported, [from][reported]. */
static const bool reports[TASK_STATES][TASK_STATES] = {
	[PENDING] = {[CANCELLED] = true},
	[RUNNING] = {[SUCCESS] = true, [FAILED] = true, [CANCELLED] = true},
	[SUCCESS] = {[CANCELLED] = true},
	[FAILED] = {[FAILED] = true, [CANCELLED] = true},
	[CANCELLED] = {[CANCELLED] = true},
};
/* What a worker's status may be set to, [from][to]; it crashes only by failing. */
static const bool worker_moves[WORKER_STATES][WORKER_STATES] = {
	[ACTIVE] = {[ACTIVE] = true, [SUSPENDED] = true},
	[SUSPENDED] = {[ACTIVE] = true},
	[CRASHED] = {[ACTIVE] = true},
};

/* ---- changes of status, which are told ---- */

static void
move_task(struct store *s, struct task *t, const struct task_image *im, struct now now)
{
	int was = t->v.status;

	state_set_task(s, t, im, now);
	event_task(s, t, was, now);
}

static void
move_worker(struct store *s, struct worker *w, const struct worker_image *im, struct now now)
{
	int was = w->v.status;

	state_set_worker(s, w, im);
	event_worker(s, w, was, now);
}

/* ---- dicts: dotted keys, merging ---- */

static int
conflict(struct str key, struct err *e)
{
	return err_set(e, 400, "Key '%.*s' is in conflict with another key", key.n < 100 ? (int)key.n : 100, key.p);
}

static bool
dotted(const struct json *dict)
{
	for (const struct json *m = dict->head; m; m = m->next)
		if (m->key.n && memchr(m->key.p, '.', m->key.n))
			return true;
	return false;
}

/* Puts v at the path, making the dicts that lead there.  fresh: nothing may stand at its end. */
static int
put_at(struct json_doc *d, struct json *obj, struct str key, struct json *v, bool fresh, struct err *e)
{
	struct str rest = key, part = str_part(&rest, '.');

	for (int depth = 1; rest.p; part = str_part(&rest, '.'), depth++) {
		struct json *in = json_get(obj, part);

		if (depth > DICT_DEPTH)
			return err_set(e, 422, "Dicts may be nested %d deep", DICT_DEPTH);
		if (!in) {
			in = json_mkobj(d);
			json_set(d, obj, part, in);
		} else if (in->type != JSON_OBJ) {
			return conflict(key, e);
		}
		obj = in;
	}
	if (fresh && json_get(obj, part))
		return conflict(key, e);
	json_set(d, obj, part, v);
	return 0;
}

/* Two paths of one update of which one leads through the other. */
static int
check_paths(const struct json *update, struct err *e)
{
	struct json_doc *d = json_new();
	int rc = 0;

	d->root = json_mkobj(d);
	for (const struct json *m = update->head; m && !rc; m = m->next)
		rc = put_at(d, d->root, m->key, json_mknull(d), true, e);
	json_free(d);
	return rc;
}

static int
check_key(struct str key, struct err *e)
{
	int n = key.n < 200 ? (int)key.n : 200;

	if (key.n && key.p[0] == '$')
		return err_set(e, 400, "MongoDB operators are not allowed in field names: %.*s", n, key.p);
	if (key.n && key.p[0] == '.')
		return err_set(e, 400, "Field names starting with `.` are not allowed: %.*s", n, key.p);
	return 0;
}

/* Keys through dicts, not inside lists. */
static int
check_keys(const struct json *dict, struct err *e)
{
	for (const struct json *m = dict->head; m; m = m->next)
		if (check_key(m->key, e) < 0 || (m->type == JSON_OBJ && check_keys(m, e) < 0))
			return -1;
	return 0;
}

/* The parts of dotted keys too, as they become keys. */
static int
check_parts(const struct json *dict, struct err *e)
{
	for (const struct json *m = dict->head; m; m = m->next) {
		struct str rest = m->key;

		while (rest.p && rest.n)
			if (check_key(str_part(&rest, '.'), e) < 0)
				return -1;
	}
	return 0;
}

static int
depth_of(const struct json *v)
{
	int most = 0;

	if (v->type != JSON_OBJ && v->type != JSON_ARR)
		return 0;
	for (const struct json *m = v->head; m; m = m->next) {
		int n = depth_of(m);

		most = n > most ? n : most;
	}
	return most + 1;
}

/* The text of a dict that is kept, in b; *out is NULL for {}. */
static int
put_dict(struct buf *b, const struct json *dict, const char **out, struct err *e)
{
	*out = NULL;
	if (!dict || !dict->len)
		return 0;
	if (depth_of(dict) > DICT_DEPTH)
		return err_set(e, 422, "Dicts may be nested %d deep", DICT_DEPTH);
	buf_clear(b);
	json_print(b, dict, 0);
	if (b->len > DICT_SIZE)
		return err_set(e, 413, "A dict may have %d bytes", DICT_SIZE);
	*out = b->p;
	return 0;
}

/* A new dict: dotted keys nest.  *doc is what *nested lives in, or NULL. */
static int
nest(const struct json *dict, struct json_doc **doc, const struct json **nested, struct err *e)
{
	*doc = NULL;
	*nested = dict;
	if (!dict || !dotted(dict))
		return 0;
	*doc = json_new();
	(*doc)->root = json_mkobj(*doc);
	*nested = (*doc)->root;
	for (const struct json *m = dict->head; m; m = m->next)
		if (put_at(*doc, (*doc)->root, m->key, json_copy(*doc, m), true, e) < 0)
			return -1;
	return 0;
}

static int
new_dict(struct buf *b, const struct json *dict, const char **out, struct err *e)
{
	const struct json *nested;
	struct json_doc *d;
	int rc = nest(dict, &d, &nested, e);

	if (!rc)
		rc = put_dict(b, nested, out, e);
	json_free(d);
	return rc;
}

/* old (NULL: {}) with update put into it: a key replaces its value, a dotted key reaches into it. */
static int
merge(struct buf *b, const char *old, const struct json *update, const char **out, struct err *e)
{
	bool deep = dotted(update);
	struct json_doc *d = NULL;
	int rc;

	*out = NULL;
	if (check_keys(update, e) < 0 || (deep && (check_parts(update, e) < 0 || check_paths(update, e) < 0)))
		return -1;
	if (!old && !deep)
		return put_dict(b, update, out, e);
	if (old)
		d = json_parse(old, strlen(old), e);
	else if ((d = json_new()))
		d->root = json_mkobj(d);
	if (!d)
		return -1;
	rc = 0;
	for (const struct json *m = update->head; m && !rc; m = m->next)
		rc = put_at(d, d->root, m->key, json_copy(d, m), false, e);
	if (!rc)
		rc = put_dict(b, d->root, out, e);
	json_free(d);
	return rc;
}

/* cmd: a text or a list of them; NULL or null: NULL. */
static const char *
put_cmd(struct buf *b, const struct json *cmd)
{
	if (!cmd || cmd->type == JSON_NULL)
		return NULL;
	buf_clear(b);
	json_print(b, cmd, 0);
	return b->p;
}

static const char *
put_name(struct store *s, struct str name)
{
	struct buf *b = &s->text[T_NAME];

	if (!name.p)
		return NULL;
	buf_clear(b);
	buf_add(b, name.p, name.n);
	return b->p;
}

/* ---- texts of refusals ---- */

/* An id as it was given, no longer than a message bears. */
static int
width(struct str id)
{
	return id.n < 100 ? (int)id.n : 100;
}

static int
no_task(struct str id, struct err *e)
{
	return err_set(e, 404, "Task %.*s not found", width(id), id.p);
}

static int
no_worker(struct str id, struct err *e)
{
	return err_set(e, 404, "Worker %.*s not found", width(id), id.p);
}

/* "None", as the reference prints it. */
static void
worker_text(const struct task *t, char out[37])
{
	static const uuid none;

	if (memcmp(t->v.worker, none, 16))
		uuid_print(t->v.worker, out);
	else
		memcpy(out, "None", 5);
}

/* ---- queues ---- */

struct queue *
queue_create(struct store *s, struct str name, const char *hash, const struct json *metadata, struct now now, struct err *e)
{
	struct queue_image im = {.v = {.created = now.wall, .modified = now.wall, .hash = hash}};
	uuid id;

	if (queue_find(s, name)) {
		err_set(e, 409, "Queue '%.*s' already exists", width(name), name.p);
		return NULL;
	}
	if (new_dict(&s->text[T_METADATA], metadata, &im.v.metadata, e) < 0)
		return NULL;
	im.v.name = put_name(s, name);
	sys_random(id, sizeof id);
	uuid_stamp(id, 4);
	return state_new_queue(s, id, &im);
}

int
queue_update(struct store *s, struct queue *q, const struct queue_update *u, struct now now, struct err *e)
{
	struct queue_image im = {.v = {.modified = now.wall, .hash = u->hash}, .set = M_MODIFIED};

	if (u->name.p && queue_find(s, u->name))
		return err_set(e, 400, "Queue name '%.*s' already exists", width(u->name), u->name.p);
	if (u->metadata && merge(&s->text[T_METADATA], u->metadata->len ? q->v.metadata : NULL, u->metadata, &im.v.metadata, e) < 0)
		return -1;
	im.v.name = put_name(s, u->name);
	im.set |= (u->metadata ? M_METADATA : 0u) | (u->hash ? M_HASH : 0u) | (u->name.p ? M_NAME : 0u);
	state_set_queue(s, q, &im);
	return 0;
}

void
queue_delete(struct store *s, struct queue *q, struct now now)
{
	event_end(s, q);
	state_drop_queue(s, q, now);
}

/* ---- submit ---- */

/* 1: the key's task is there already, 0: it is free. */
static int
check_submit_key(struct store *s, struct queue *q, const unsigned char *key, struct now now, struct err *e)
{
	const struct task *t = state_task(s, key);
	const struct tomb *tomb = state_tomb(s, key);
	char text[37];

	uuid_print(key, text);
	if (t && t->queue != q)
		return err_set(e, 409, "Idempotency-Key %s is the id of a task in another queue", text);
	if (tomb && now.wall - tomb->at < DAY)
		return err_set(e, 409, "Idempotency-Key %s is the id of a task that was deleted", text);
	return t ? 1 : 0;
}

int
queue_submit(struct store *s, struct queue *q, const struct submit *in, struct now now, uuid id, struct err *e)
{
	struct task_image im = {.v = {
		.status = PENDING, .created = now.wall, .modified = now.wall, .start = NONE, .beat = NONE,
		.task_timeout = in->has_task_timeout ? in->task_timeout : NONE, .heartbeat_timeout = in->heartbeat_timeout,
		.max_retries = in->max_retries, .priority = in->priority,
	}};
	struct json_doc *d;
	int rc = in->key ? check_submit_key(s, q, in->key, now, e) : 0;

	memcpy(id, in->key ? in->key : in->fresh, 16);
	if (rc)
		return rc < 0 ? -1 : 0;
	rc = nest(in->args, &d, &im.args, e);
	if (rc < 0 || put_dict(&s->text[T_ARGS], im.args, &im.v.args, e) < 0
	    || new_dict(&s->text[T_METADATA], in->metadata, &im.v.metadata, e) < 0) {
		rc = -1;
		goto out;
	}
	im.v.name = put_name(s, in->name);
	im.v.cmd = in->cmd && in->cmd->len ? put_cmd(&s->text[T_CMD], in->cmd) : "\"\"";
	event_task(s, state_new_task(s, q, id, &im, now), CREATED, now);
out:
	json_free(d);
	return rc;
}

/* ---- runs and their tokens ---- */

/* Whether a change under run, which sets a status (-1: none), is of the task's run.  1: it is what ended the run. */
static int
check_run(const struct store *s, const struct task *t, const unsigned char *run, int status, struct err *e)
{
	const struct run *r = run ? state_run(s, run) : NULL;

	if (!run || (r && r->task == t))
		return 0;
	if (r && !r->task && status >= 0 && r->end == status && !memcmp(r->of, t->node.id, 16))
		return 1;
	return err_set(e, 409, "Labtasker-Run is not the current run of the task");
}

/* ---- fetch ---- */

/* 1 and *t: the token's run lives, and is the asker's.  0: it is free. */
static int
check_fetch_token(const struct store *s, const struct queue *q, const struct fetch *in, struct now now, struct task **t,
    struct err *e)
{
	static const uuid none;
	const struct run *r;

	if (!in->token)
		return 0;
	if (!memcmp(in->token, none, 16))
		return err_set(e, 400, "Idempotency-Key must not be the nil UUID");
	r = state_run(s, in->token);
	if (!r || (!r->task && now.wall - r->at >= DAY))
		return 0;
	if (!r->task)
		return err_set(e, 409, "The run of this Idempotency-Key has ended: take a new one");
	if (r->task->queue != q || memcmp(r->task->v.worker, in->has_worker ? in->worker : none, 16))
		return err_set(e, 409, "This Idempotency-Key is of another worker's run");
	*t = r->task;
	return 1;
}

static int
check_fetch_worker(const struct store *s, const struct queue *q, const struct fetch *in, struct err *e)
{
	const struct worker *w = in->has_worker ? state_worker(s, in->worker) : NULL;
	char text[37];

	if (!in->has_worker)
		return 0;
	uuid_print(in->worker, text);
	if (!w || w->queue != q)
		return err_set(e, 404, "Worker '%s' not found in queue '%s'", text, q->id);
	if (w->v.status != ACTIVE)
		return err_set(e, 403, "Worker '%s' is %s in queue '%s'", text, worker_status[w->v.status], q->id);
	return 0;
}

/* The first that the filter takes of the first "most", of all shapes.  NULL and *more: there are others behind them. */
static struct task *
walk(struct queue *q, const struct need *need, struct match *filter, size_t most, bool *more)
{
	struct view *view = view_new();
	struct task *t = NULL;
	struct merge m = {0};

	for (const struct shape *s = need_first(need, q->shapes); s; s = need_next(need, s))
		merge_add(&m, s->index, SIZE_MAX);
	for (; m.n && most-- && !match_spent(filter, NULL); merge_step(&m)) {
		view_task(view, m.at[0]);
		if (match_test(filter, view_get, view)) {
			t = m.at[0];
			break;
		}
	}
	*more = !t && m.n;
	view_free(view);
	merge_free(&m);
	return t;
}

struct choice {
	const struct need *need;
	struct match *filter;
	struct view *view;
	struct task *best;
};

static void
consider(void *ctx, struct task *t)
{
	struct choice *c = ctx;

	if (t->v.status != PENDING || (c->best && !order_before(t, c->best)) || !need_test(c->need, t->shape))
		return;
	view_task(c->view, t);
	if (match_test(c->filter, view_get, c->view))
		c->best = t;
}

/* Where the filter can only be of a few tasks, they are looked through once as many others were looked at in vain. */
static struct task *
first_that(struct queue *q, const struct need *need, struct match *filter)
{
	struct choice c = {.need = need, .filter = filter};
	struct search in = {.filter = filter};
	struct source src;
	bool more;

	source_find(q, &in, &src);
	c.best = walk(q, need, filter, src.rows, &more);
	if (!more)
		return c.best;
	c.view = view_new();
	source_each(q, &src, consider, &c);
	view_free(c.view);
	return c.best;
}

static struct task *
first_of(struct queue *q, const struct need *need)
{
	struct task *best = NULL;

	for (const struct shape *s = need_first(need, q->shapes); s; s = need_next(need, s)) {
		struct task *t = pending_first(s);

		if (t && (!best || order_before(t, best)))
			best = t;
	}
	return best;
}

int
queue_fetch(struct store *s, struct queue *q, const struct fetch *in, struct now now, struct task **t, struct err *e)
{
	struct task_image im = {
		.v = {.status = RUNNING, .modified = now.wall, .start = now.wall, .beat = in->start_heartbeat ? now.wall : NONE},
		.set = M_STATUS | M_MODIFIED | M_START | M_BEAT | M_WORKER | M_CMD,
	};
	struct need *need;
	int rc;

	if (!in->start_heartbeat && !in->has_eta)
		return err_set(e, 400, "Eta max must be specified when start_heartbeat is False");
	rc = check_fetch_token(s, q, in, now, t, e);
	if (rc || check_fetch_worker(s, q, in, e) < 0)
		return rc ? rc : -1;
	need = need_new(in->required, e);
	if (!need)
		return -1;
	*t = in->filter ? first_that(q, need, in->filter) : first_of(q, need);
	need_free(need);
	if (in->filter && match_spent(in->filter, e) < 0)
		return -1;
	if (!*t)
		return 0;
	if (in->has_worker)
		memcpy(im.v.worker, in->worker, 16);
	im.v.cmd = put_cmd(&s->text[T_CMD], in->cmd);
	if ((*t)->v.summary)
		im.set |= M_SUMMARY;
	if (in->task_timeout) {
		im.v.task_timeout = in->task_timeout;
		im.set |= M_TASK_TIMEOUT;
	}
	if (in->heartbeat_timeout > 0 || in->heartbeat_timeout < 0) {
		im.v.heartbeat_timeout = in->heartbeat_timeout;
		im.set |= M_HEARTBEAT;
	}
	if (in->token) {
		memcpy(im.run, in->token, 16);
		im.set |= M_RUN;
	}
	move_task(s, *t, &im, now);
	return 1;
}

/* ---- reports ---- */

/* A worker that failed; a crashed one is not charged again. */
static void
charge(struct store *s, struct worker *w, struct now now)
{
	struct worker_image im = {.v = {.modified = now.wall, .status = ACTIVE}, .set = M_MODIFIED | M_RETRIES | M_STATUS};

	if (!w || w->v.status != ACTIVE)
		return;
	im.v.retries = w->v.retries < INT64_MAX ? w->v.retries + 1 : w->v.retries;
	if (im.v.retries >= w->v.max_retries)
		im.v.status = CRASHED;
	move_worker(s, w, &im, now);
}

/* Makes of im a run's failure, and charges the worker. */
static void
fail(struct store *s, struct task *t, struct task_image *im, struct now now)
{
	charge(s, t->owner, now);
	im->v.retries = t->v.retries < INT64_MAX ? t->v.retries + 1 : t->v.retries;
	im->v.status = im->v.retries < t->v.max_retries ? PENDING : FAILED;
	im->set |= M_RETRIES | M_STATUS;
	move_task(s, t, im, now);
}

/* Whether the task's own worker can be charged. */
static int
check_charge(const struct task *t, struct err *e)
{
	static const uuid none;
	char text[37];

	if (!memcmp(t->v.worker, none, 16))
		return 0;
	if (t->owner && t->owner->v.status == SUSPENDED)
		return err_set(e, 400, "500: InvalidStateTransition: Cannot fail worker in suspended state.");
	if (t->owner)
		return 0;
	uuid_print(t->v.worker, text);
	return no_worker((struct str){text, 36}, e);
}

static int
check_report(const struct task *t, const struct report *in, struct err *e)
{
	char id[37], worker[37];

	worker_text(t, worker);
	if (in->has_worker && (!str_is(in->worker, worker) || in->worker.n != 36)) {
		uuid_print(t->node.id, id);
		return err_set(e, 409, "Task %s is assigned to worker %s", id, worker);
	}
	if (reports[t->v.status][in->status])
		return in->status == FAILED ? check_charge(t, e) : 0;
	if (in->status == FAILED)
		return err_set(e, 400, "500: InvalidStateTransition: Cannot fail task in %s state.", task_status[t->v.status]);
	return err_set(e, 400, "500: InvalidStateTransition: Cannot transition from %s to %s.", task_status[t->v.status],
	    task_status[in->status]);
}

int
queue_report(struct store *s, struct queue *q, struct str id, const struct report *in, struct now now, struct err *e)
{
	int status = (int)in->status, rc;
	struct task_image im = {.v = {.status = status, .modified = now.wall}, .end = status, .set = M_STATUS | M_MODIFIED | M_WORKER};
	struct task *t = queue_task(q, id);

	if (!t)
		return no_task(id, e);
	rc = check_run(s, t, in->run, status, e);
	if (rc)
		return rc < 0 ? -1 : 0;
	if (check_report(t, in, e) < 0)
		return -1;
	if (in->summary) {
		if (merge(&s->text[T_SUMMARY], in->summary->len ? t->v.summary : NULL, in->summary, &im.v.summary, e) < 0)
			return -1;
		im.set |= M_SUMMARY;
	}
	if (in->run)
		im.set |= M_END;
	if (in->status == FAILED && t->v.status == RUNNING) {
		fail(s, t, &im, now);
		return 0;
	}
	if (in->status == FAILED) {
		charge(s, t->owner, now);   /* it has one still when an update made it fail */
		state_set_task(s, t, &im, now);
	} else {
		move_task(s, t, &im, now);
	}
	return 0;
}

static int
not_running(const struct queue *q, struct str id, struct err *e)
{
	return err_set(e, 404, "Task '%.*s' not found in queue '%s' or not in 'running' state", width(id), id.p, q->id);
}

int
queue_heartbeat(struct store *s, struct queue *q, struct str id, struct str worker, const unsigned char *run, struct now now,
    struct err *e)
{
	struct task_image im = {.v = {.beat = now.wall}, .set = M_BEAT};
	struct task *t = queue_task(q, id);
	char text[37];

	if (!t)
		return not_running(q, id, e);
	if (check_run(s, t, run, -1, e) < 0)
		return -1;
	if (t->v.status != RUNNING)
		return not_running(q, id, e);
	worker_text(t, text);
	if (worker.n && (worker.n != 36 || !str_is(worker, text)))
		return err_set(e, 403, "Task '%.*s' is assigned to worker '%s', not '%.*s'", width(id), id.p, text, width(worker),
		    worker.p);
	if (worker.n && (!t->owner || t->owner->v.status != ACTIVE))
		return err_set(e, 404, "Worker '%s' not found or not active", text);
	if (t->v.beat == NONE)
		state_set_task(s, t, &im, now);
	else
		state_beat(s, t, now);
	return 0;
}

/* ---- updates ---- */

static bool
lists(const struct json *list, const char *name)
{
	for (const struct json *v = list ? list->head : NULL; v; v = v->next)
		if (json_is(v, name))
			return true;
	return false;
}

static const struct {
	const char *name;
	unsigned bit;
	size_t at;
} numbers[] = {
	{"task_timeout", M_TASK_TIMEOUT, offsetof(struct task_image, v.task_timeout)},
	{"max_retries", M_MAX_RETRIES, offsetof(struct task_image, v.max_retries)},
	{"retries", M_RETRIES, offsetof(struct task_image, v.retries)},
	{"priority", M_PRIORITY, offsetof(struct task_image, v.priority)},
}, dicts[] = {                     /* in the order of store.text */
	{"args", M_ARGS, offsetof(struct task_image, v.args)},
	{"metadata", M_METADATA, offsetof(struct task_image, v.metadata)},
	{"summary", M_SUMMARY, offsetof(struct task_image, v.summary)},
};

static void
update_scalars(struct store *s, const struct json *update, struct task_image *im)
{
	const struct json *j;

	for (size_t i = 0; i < LEN(numbers); i++) {
		int64_t *to = (void *)((char *)im + numbers[i].at);

		j = json_gets(update, numbers[i].name);
		if (!j)
			continue;
		if (json_int(j, to) < 0)
			*to = NONE;
		im->set |= numbers[i].bit;
	}
	j = json_gets(update, "heartbeat_timeout");
	if (j) {
		im->v.heartbeat_timeout = j->type == JSON_NUM ? json_num(j) : NAN;
		im->set |= M_HEARTBEAT;
	}
	j = json_gets(update, "task_name");
	if (j) {
		im->v.name = put_name(s, json_text(j));
		im->set |= M_NAME;
	}
	j = json_gets(update, "cmd");
	if (j) {
		im->v.cmd = put_cmd(&s->text[T_CMD], j);
		im->set |= M_CMD;
	}
}

static int
update_dicts(struct store *s, const struct task *t, const struct json *update, struct task_image *im, struct err *e)
{
	const struct json *replace = json_gets(update, "replace_fields");

	for (size_t i = 0; i < LEN(dicts); i++) {
		const struct json *j = json_gets(update, dicts[i].name);
		const char *const *old = (const void *)((const char *)&t->v + dicts[i].at);
		const char **to = (void *)((char *)im + dicts[i].at);
		bool whole = lists(replace, dicts[i].name);

		if (!j || j->type != JSON_OBJ || (!j->len && !whole))
			continue;
		if (merge(&s->text[i], whole ? NULL : *old, j, to, e) < 0)
			return -1;
		im->set |= dicts[i].bit;
	}
	return 0;
}

/* The status that an update sets, -1 none. */
static int
status_of(const struct json *update, bool reset)
{
	const struct json *j = json_gets(update, "status");

	if (reset)
		return PENDING;
	for (int i = 0; i < TASK_STATES; i++)
		if (json_is(j, task_status[i]))
			return i;
	return -1;
}

/* The event of a task that was handed back still names its worker, as the reference's does. */
static void
tell_update(struct store *s, const struct task *t, int was, const uuid worker, struct now now)
{
	struct task as = *t;

	memcpy(as.v.worker, worker, sizeof as.v.worker);
	event_task(s, &as, was, now);
}

int
queue_task_update(struct store *s, struct queue *q, const struct json *update, bool reset, const unsigned char *run,
    struct now now, struct task **out, struct err *e)
{
	struct task_image im = {.v = {.modified = now.wall}, .set = M_MODIFIED};
	const struct json *j = json_gets(update, "task_id");
	struct str id = j ? (struct str){j->s, j->len} : str_of("None");
	int status = status_of(update, reset), was, rc;
	struct task *t = queue_task(q, id);
	uuid worker = {0};

	if (!t)
		return err_set(e, 404, "Task %.*s not found.", width(id), id.p);
	*out = t;
	rc = check_run(s, t, run, status, e);
	if (rc)
		return rc < 0 ? -1 : 0;
	if (status >= 0 && !reset && status != t->v.status && !moves[t->v.status][status])
		return err_set(e, 400, "InvalidStateTransition: Cannot transition from %s to %s.", task_status[t->v.status],
		    task_status[status]);
	update_scalars(s, update, &im);
	if (update_dicts(s, t, update, &im, e) < 0)
		return -1;
	if (status >= 0) {
		im.v.status = status;
		im.end = status;
		im.set |= M_STATUS | (run ? M_END : 0u) | (status == PENDING ? M_WORKER : 0u);
	}
	if (reset) {
		im.v.retries = 0;
		im.set |= M_RETRIES;
	}
	was = t->v.status;
	if (!reset)
		memcpy(worker, t->v.worker, sizeof worker);
	state_set_task(s, t, &im, now);
	if (reset || t->v.status != was)
		tell_update(s, t, was, worker, now);
	return 0;
}

int
queue_task_delete(struct store *s, struct queue *q, struct str id, struct now now, struct err *e)
{
	struct task *t = queue_task(q, id);

	if (!t)
		return err_set(e, 404, "Task not found");
	state_drop_task(s, t, now);
	return 0;
}

/* ---- workers ---- */

int
queue_worker_create(struct store *s, struct queue *q, struct str name, const struct json *metadata, int64_t max_retries,
    const uuid id, struct now now, struct err *e)
{
	struct worker_image im = {.v = {.created = now.wall, .modified = now.wall, .max_retries = max_retries, .status = ACTIVE}};

	if (new_dict(&s->text[T_METADATA], metadata, &im.v.metadata, e) < 0)
		return -1;
	im.v.name = put_name(s, name);
	event_worker(s, state_new_worker(s, q, id, &im), CREATED, now);
	return 0;
}

int
queue_worker_set(struct store *s, struct queue *q, struct str id, enum wstatus st, struct now now, struct err *e)
{
	struct worker_image im = {.v = {.status = (int)st, .modified = now.wall}, .set = M_STATUS | M_MODIFIED};
	struct worker *w = queue_worker(q, id);

	if (!w)
		return no_worker(id, e);
	if (st == CRASHED)
		return err_set(e, 400, "400: Invalid report_status: crashed");
	if (!worker_moves[w->v.status][st])
		return err_set(e, 400, "500: InvalidStateTransition: Cannot transition from %s to %s.", worker_status[w->v.status],
		    worker_status[st]);
	if (w->v.status == CRASHED)
		im.set |= M_RETRIES;
	move_worker(s, w, &im, now);
	return 0;
}

/* cascade: its tasks, in whatever state, forget it; those that run go on. */
int
queue_worker_delete(struct store *s, struct queue *q, struct str id, bool cascade, struct now now, struct err *e)
{
	struct task_image im = {.v = {.modified = now.wall}, .set = M_MODIFIED | M_WORKER};
	struct worker *w = queue_worker(q, id);

	if (!w)
		return err_set(e, 404, "Worker not found");
	while (cascade && w->owned)
		state_set_task(s, w->owned, &im, now);
	state_drop_worker(s, w, now);
	return 0;
}

/* ---- deadlines ---- */

/* A suspended or deleted worker is not charged, and holds nothing up. */
void
queue_expire(struct store *s, struct now now)
{
	struct json_doc *d = NULL;

	while (s->deadlines && queue_due(s) <= now.mono) {
		struct task_image im = {.v = {.modified = now.wall}, .set = M_MODIFIED | M_WORKER};
		struct task *t = s->heap[1].task;

		if (!d)
			d = json_parse(timed_out, sizeof timed_out - 1, NULL);
		if (!merge(&s->text[T_SUMMARY], t->v.summary, d->root, &im.v.summary, NULL))
			im.set |= M_SUMMARY;
		fail(s, t, &im, now);
	}
	json_free(d);
}
