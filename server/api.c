/* SPDX-License-Identifier: MIT */
/*
 * Requests to answers: a table of routes, and for each a table of fields and a function that asks the state machine.  What a call
 * may do while the journal is short of room stands in its row.
 */
#include "ask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { UPDATES = 1000, EVENTS = 100, WAIT = 600 /* seconds that a fetch is held at most */ };

/* ---- answers ---- */

static void
answer_id(struct ask *a, const char *name, const char *id)
{
	a->out->status = 201;
	buf_printf(&a->out->body, "{\"notification\":null,\"%s\":\"%s\"}", name, id);
}

static void
answer_queue(struct ask *a)
{
	struct buf *b = &a->out->body;
	size_t at;

	a->out->status = 200;
	buf_adds(b, "{\"notification\":null");
	at = b->len;
	queue_print(b, a->queue);
	b->p[at] = ',';   /* in place of its brace */
}

static void
answer_list(struct ask *a, int64_t n)
{
	if (n < 0) {
		ask_refuse_err(a);
		return;
	}
	ask_answer(a, 200, "{\"notification\":null,\"found\":");
	buf_adds(&a->out->body, n ? "true,\"content\":" : "false,\"content\":");
	buf_add(&a->out->body, a->r->text.p, a->r->text.len);
	buf_addc(&a->out->body, '}');
}

static void
random_id(const struct rest *r, uuid id)
{
	r->o.os->random(r->o.os->ctx, id, 16);
	uuid_stamp(id, 4);
}

/* The filter of a search or fetch.  -1 with err. */
static int
filter_of(struct ask *a, const struct json *filter, struct match **m)
{
	*m = filter ? match_new(filter, &a->err) : NULL;
	return filter && !*m ? -1 : 0;
}

/* ---- health and the like ---- */

static void
get_root(struct ask *a)
{
	ask_answer(a, 200, "{\"message\":\"labtasker " LABTASKER_VERSION " speaks the Labtasker API\","
	    "\"versions\":[\"v1\"],\"docs\":\"see the file PROTOCOL\"}");
}

static void
get_health(struct ask *a)
{
	ask_answer(a, 200, "{\"connection\":\"ok\"}");
}

static void
get_health_full(struct ask *a)
{
	bool fine = journal_mode(a->r->o.journal) == JOURNAL_FINE;

	ask_answer(a, 200, fine ? "{\"status\":\"healthy\",\"database\":\"connected\"}"
	                    : "{\"status\":\"unhealthy\",\"database\":\"the store cannot keep changes now\"}");
}

static void
get_polling(struct ask *a)
{
	double every = a->r->o.polling > 0 ? a->r->o.polling : 30, past = (double)(a->now.mono - a->r->started) / 1e6;
	int64_t rounds = 0;
	double since;
	struct buf *b = &a->out->body;

	real_cut(past / every, &rounds);   /* beyond reckoning: none yet */
	since = past - (double)rounds * every;
	a->out->status = 200;
	buf_adds(b, "{\"prev_polling\":");
	json_repr(b, (double)a->now.wall / 1e6 - since);
	buf_adds(b, ",\"next_eta\":");
	json_repr(b, every - since);
	buf_adds(b, ",\"polling_interval\":");
	json_repr(b, every);
	buf_addc(b, '}');
}

/* ---- queues ---- */

enum { QC_VERSION, QC_NAME, QC_PASSWORD, QC_METADATA };
static const struct field queue_create_fields[] = {
	{"client_version", FIELD_VERSION, 0, NULL, 0, 0, NULL}, {"queue_name", FIELD_NAME, FIELD_NEEDED, NULL, 0, 0, NULL},
	{"password", FIELD_PASSWORD, FIELD_NEEDED, NULL, 0, 0, NULL}, {"metadata", FIELD_KEYS, FIELD_NULL, NULL, 0, 0, NULL}, {0},
};

/* The hash of a new password; false while it is being made, or refused. */
static bool
new_hash(struct ask *a, struct str password, char *hash)
{
	enum auth_answer r = auth_hash(a->r->o.auth, password, a->req->peer, hash);

	a->later = r == AUTH_LATER;
	if (r == AUTH_BUSY)
		ask_refuse_later(a, "too many passwords are being checked: try again");
	return r == AUTH_OK;
}

static void
post_queue(struct ask *a)
{
	struct queue *q;
	char hash[128];

	if (a->r->o.no_create) {
		ask_refuse(a, 403, "this server makes no queues (--no-create): ask who runs it");
		return;
	}
	if (queue_find(a->store, a->v[QC_NAME].text)) {
		buf_clear(&a->r->text);
		buf_printf(&a->r->text, "Queue '%.*s' already exists", (int)a->v[QC_NAME].text.n, a->v[QC_NAME].text.p);
		ask_refuse(a, 409, a->r->text.p);
		return;
	}
	if (!new_hash(a, a->v[QC_PASSWORD].text, hash))
		return;
	q = queue_create(a->store, a->v[QC_NAME].text, hash, ask_json(&a->v[QC_METADATA]), a->now, &a->err);
	if (q)
		answer_id(a, "queue_id", queue_id(q));
	else
		ask_refuse_err(a);
}

static void
get_queue(struct ask *a)
{
	answer_queue(a);
}

enum { QU_VERSION, QU_NAME, QU_PASSWORD, QU_METADATA };
static const struct field queue_update_fields[] = {
	{"client_version", FIELD_VERSION, 0, NULL, 0, 0, NULL}, {"new_queue_name", FIELD_NAME, FIELD_NULL, NULL, 0, 0, NULL},
	{"new_password", FIELD_PASSWORD, FIELD_NULL, NULL, 0, 0, NULL},
	{"metadata_update", FIELD_DICT, FIELD_NULL, NULL, 0, 0, NULL}, {0},
};

static void
put_queue(struct ask *a)
{
	struct queue_update u = {.name = ask_text(&a->v[QU_NAME]), .metadata = ask_json(&a->v[QU_METADATA])};
	char hash[128];

	if (a->v[QU_PASSWORD].given) {
		if (!new_hash(a, a->v[QU_PASSWORD].text, hash))
			return;
		u.hash = hash;
	}
	if (queue_update(a->store, a->queue, &u, a->now, &a->err) < 0)
		ask_refuse_err(a);
	else
		answer_queue(a);
}

/* What is in the queue can be reached by nobody then, so it goes with it, cascade_delete or not. */
static void
delete_queue(struct ask *a)
{
	waits_stir(a->r->waits);
	queue_delete(a->store, a->queue, a->now);
	a->out->status = 204;
}

/* ---- tasks ---- */

enum { TS_VERSION, TS_NAME, TS_ARGS, TS_METADATA, TS_CMD, TS_HEARTBEAT, TS_TIMEOUT, TS_RETRIES, TS_PRIORITY };
static const struct field submit_fields[] = {
	{"client_version", FIELD_VERSION, 0, NULL, 0, 0, NULL}, {"task_name", FIELD_NAME, FIELD_NULL, NULL, 0, 0, NULL},
	{"args", FIELD_KEYS, FIELD_NULL, NULL, 0, 0, NULL}, {"metadata", FIELD_DICT, FIELD_NULL, NULL, 0, 0, NULL},
	{"cmd", FIELD_CMD, FIELD_NULL, NULL, 0, 0, NULL}, {"heartbeat_timeout", FIELD_FLOAT, FIELD_NULL, NULL, 0, 0, NULL},
	{"task_timeout", FIELD_INT, FIELD_NULL, NULL, 0, 0, NULL}, {"max_retries", FIELD_INT, 0, NULL, 0, 0, NULL},
	{"priority", FIELD_INT, 0, NULL, 0, 0, NULL}, {0},
};

/* Tasks of one turn come in a microsecond apart, so that their times tell their order. */
static void
move_on(struct ask *a)
{
	int64_t *last = &a->r->submitted;

	if (a->now.wall <= *last && *last - a->now.wall < SECOND)   /* else the clock was set back */
		a->now.wall = *last + 1;
	*last = a->now.wall;
}

static void
post_task(struct ask *a)
{
	const struct json *args = ask_json(&a->v[TS_ARGS]), *cmd = ask_json(&a->v[TS_CMD]);
	struct submit in = {
		.name = a->v[TS_NAME].given ? a->v[TS_NAME].text : (struct str){0}, .args = args, .metadata = ask_json(&a->v[TS_METADATA]),
		.cmd = cmd, .heartbeat_timeout = a->v[TS_HEARTBEAT].given ? a->v[TS_HEARTBEAT].real : NAN,
		.has_task_timeout = a->v[TS_TIMEOUT].given, .task_timeout = a->v[TS_TIMEOUT].num,
		.max_retries = a->v[TS_RETRIES].given ? a->v[TS_RETRIES].num : 3,
		.priority = a->v[TS_PRIORITY].given ? a->v[TS_PRIORITY].num : 10,
	};
	uuid key, id;
	char text[37];
	int has;

	if ((!args || !args->len) && (!cmd || !cmd->len)) {
		ask_refuse(a, 400, "Either args or cmd must be provided");
		return;
	}
	has = ask_uuid(a, "Idempotency-Key", key);
	if (has < 0)
		return;
	in.key = has ? key : NULL;
	random_id(a->r, in.fresh);
	move_on(a);
	if (queue_submit(a->store, a->queue, &in, a->now, id, &a->err) < 0) {
		ask_refuse_err(a);
		return;
	}
	uuid_print(id, text);
	answer_id(a, "task_id", text);
}

enum { LS_VERSION, LS_OFFSET, LS_LIMIT, LS_ID, LS_NAME, LS_STATUS, LS_FILTER, LS_SORT };
#define LS_FIELDS(id, name, states) \
	{"client_version", FIELD_VERSION, 0, NULL, 0, 0, NULL}, {"offset", FIELD_INT, 0, NULL, 0, INT64_MAX, NULL}, \
	{"limit", FIELD_INT, 0, NULL, 1, 1000, NULL}, {id, FIELD_TEXT, FIELD_NULL, NULL, 0, 0, NULL}, \
	{name, FIELD_TEXT, FIELD_NULL, NULL, 0, 0, NULL}, {"status", FIELD_CHOICE, FIELD_NULL, states, 0, 0, NULL}, \
	{"extra_filter", FIELD_DICT, FIELD_NULL, NULL, 0, 0, NULL}, {"sort", FIELD_SORT, FIELD_NULL, NULL, 0, 0, NULL}, {0}
static const struct field task_search_fields[] = {LS_FIELDS("task_id", "task_name", "pending|running|success|failed|cancelled")};
static const struct field worker_search_fields[] = {LS_FIELDS("worker_id", "worker_name", "active|suspended|crashed")};

static void
search(struct ask *a, int64_t (*find)(struct queue *, const struct search *, struct buf *, struct err *))
{
	struct search in = {
		.id = ask_text(&a->v[LS_ID]), .name = ask_text(&a->v[LS_NAME]), .status = ask_text(&a->v[LS_STATUS]),
		.sort = ask_json(&a->v[LS_SORT]), .offset = a->v[LS_OFFSET].num, .limit = a->v[LS_LIMIT].given ? a->v[LS_LIMIT].num : 100,
	};
	struct match *m;

	if (filter_of(a, ask_json(&a->v[LS_FILTER]), &m) < 0) {
		ask_refuse_err(a);
		return;
	}
	in.filter = m;
	buf_clear(&a->r->text);
	answer_list(a, find(a->queue, &in, &a->r->text, &a->err));
	match_free(m);
}

static void
search_tasks(struct ask *a)
{
	search(a, queue_search);
}

static void
search_workers(struct ask *a)
{
	search(a, queue_worker_search);
}

enum { TF_VERSION, TF_WORKER, TF_ETA, TF_HEARTBEAT, TF_START, TF_REQUIRED, TF_FILTER, TF_CMD };
static const struct field fetch_fields[] = {
	{"client_version", FIELD_VERSION, 0, NULL, 0, 0, NULL}, {"worker_id", FIELD_TEXT, FIELD_NULL, NULL, 0, 0, NULL},
	{"eta_max", FIELD_TEXT, FIELD_NULL, NULL, 0, 0, NULL}, {"heartbeat_timeout", FIELD_FLOAT, FIELD_NULL, NULL, 0, 0, NULL},
	{"start_heartbeat", FIELD_BOOL, 0, NULL, 0, 0, NULL}, {"required_fields", FIELD_TEXTS, FIELD_NULL, NULL, 0, 0, NULL},
	{"extra_filter", FIELD_DICT, FIELD_NULL, NULL, 0, 0, NULL}, {"cmd", FIELD_CMD, FIELD_NULL, NULL, 0, 0, NULL}, {0},
};

/* A duration in whole seconds, rounded up.  -1 with 400. */
static int
eta_of(struct ask *a, int64_t *seconds)
{
	struct str text = ask_text(&a->v[TF_ETA]);
	double d = 0;

	*seconds = 0;
	if (text.n && (parse_duration(text, &d) < 0 || d > 1e15 || d < -1e15)) {
		ask_refuse(a, 400, "eta_max is no duration: 90, 1.5, 1h30m and 1 hour, 30 minutes are");
		return -1;
	}
	*seconds = (int64_t)d;
	*seconds += (double)*seconds < d;
	return 0;
}

/* Seconds of "Prefer: wait=N" (RFC 7240), 0 none. */
static int64_t
preferred_wait(const struct ask *a)
{
	const struct str *h = a->req->wait ? http_get(a->req->head, "Prefer") : NULL;
	struct str rest = h ? *h : (struct str){0}, one;
	int64_t n = 0;

	while (http_element(&rest, &one)) {
		if (one.n > 5 && str_caseis((struct str){one.p, 5}, "wait=") && !parse_int((struct str){one.p + 5, one.n - 5}, &n))
			return n < 0 ? 0 : n < WAIT ? n : WAIT;
	}
	return 0;
}

/* Lets a fetch that found nothing wait, or go on waiting.  False: its time is over. */
static bool
hold(struct ask *a, const struct fetch *in, const struct json *filter, int64_t seconds)
{
	struct wait **w = a->req->wait;

	if (!seconds || (*w && wait_over(*w, a->now)))
		return false;
	if (!*w)
		*w = wait_new(a->r->waits, a->store, a->queue, in, filter, a->now.mono + seconds * SECOND, a->req->who);
	a->held = true;
	return true;
}

static bool
has_index(struct str path)
{
	for (size_t i = 0; i + 1 < path.n; i++)
		if (path.p[i] == '.' && path.p[i + 1] >= '0' && path.p[i + 1] <= '9')
			return true;
	return false;
}

/* The filter, or NULL.  Beside "*" a required path may lead to an item of a list, as in the reference: shapes tell no lists, so the
 * filter looks. */
static const struct json *
fetch_filter(struct ask *a)
{
	const struct json *given = ask_json(&a->v[TF_FILTER]), *required = ask_json(&a->v[TF_REQUIRED]);
	struct json *all = NULL, *o;
	bool star = false;

	for (const struct json *v = required ? required->head : NULL; v; v = v->next)
		star |= str_is((struct str){v->s, v->len}, "*");
	for (const struct json *v = star ? required->head : NULL; v; v = v->next) {
		struct str path = {v->s, v->len};
		struct json *exists;
		char *name;

		if (!has_index(path))
			continue;
		all = all ? all : json_mkarr(a->doc);
		name = xprintf("args.%s", v->s);
		exists = json_mkobj(a->doc);
		json_sets(a->doc, exists, "$exists", json_mkbool(a->doc, true));
		o = json_mkobj(a->doc);
		json_sets(a->doc, o, name, exists);
		json_push(all, o);
		free(name);
	}
	if (!all)
		return given;
	if (given)
		json_push(all, json_copy(a->doc, given));
	o = json_mkobj(a->doc);
	json_sets(a->doc, o, "$and", all);
	return o;
}

static void
fetch_task(struct ask *a)
{
	struct fetch in = {
		.start_heartbeat = !a->v[TF_START].given || a->v[TF_START].num, .required = ask_json(&a->v[TF_REQUIRED]),
		.heartbeat_timeout = a->v[TF_HEARTBEAT].given ? a->v[TF_HEARTBEAT].real : NAN, .cmd = ask_json(&a->v[TF_CMD]),
	};
	const struct json *filter = fetch_filter(a);
	struct str worker = ask_text(&a->v[TF_WORKER]);
	int64_t wait = preferred_wait(a);
	struct match *m = NULL;
	struct task *t;
	uuid token;
	int has, rc;

	if (eta_of(a, &in.task_timeout) < 0)
		return;
	in.has_eta = in.task_timeout != 0;
	in.has_worker = worker.n > 0;
	if (worker.n && uuid_parse(worker, in.worker) < 0)
		memset(in.worker, 0, sizeof in.worker);   /* no worker has it */
	has = ask_uuid(a, "Idempotency-Key", token);
	if (has < 0)
		return;
	in.token = has ? token : NULL;
	if (filter_of(a, filter, &m) < 0) {
		ask_refuse_err(a);
		return;
	}
	in.filter = m;
	if (wait && *a->req->wait && wait_over(*a->req->wait, a->now))
		rc = 0;   /* who has hung up, or asks elsewhere, gets no task */
	else
		rc = queue_fetch(a->store, a->queue, &in, a->now, &t, &a->err);
	if (rc >= 0 && in.token && !(a->req->wait && *a->req->wait))
		waits_supersede(a->r->waits, in.token);
	if (rc == 1) {
		ask_answer(a, 200, "{\"notification\":null,\"found\":true,\"task\":");
		queue_task_print(&a->out->body, t);
		buf_addc(&a->out->body, '}');
	} else if (rc < 0) {
		ask_refuse_err(a);
	} else if (!hold(a, &in, filter, wait)) {
		ask_answer(a, 200, "{\"notification\":null,\"found\":false,\"task\":null}");
	}
	if (wait)
		buf_adds(&a->out->head, "Preference-Applied: wait\r\n");
	match_free(m);
}

enum { ST_VERSION, ST_STATUS, ST_WORKER, ST_SUMMARY };
static const struct field status_fields[] = {
	{"client_version", FIELD_VERSION, 0, NULL, 0, 0, NULL},
	{"status", FIELD_CHOICE, FIELD_NEEDED, "success|failed|cancelled", 0, 0, NULL},
	{"worker_id", FIELD_TEXT, FIELD_NULL, NULL, 0, 0, NULL}, {"summary", FIELD_DICT, FIELD_NULL, NULL, 0, 0, NULL}, {0},
};

static void
report_task(struct ask *a)
{
	struct report in = {.has_worker = a->v[ST_WORKER].given, .worker = a->v[ST_WORKER].text,
	    .summary = ask_json(&a->v[ST_SUMMARY])};
	uuid run;
	int has = ask_uuid(a, "Labtasker-Run", run);

	if (has < 0)
		return;
	in.run = has ? run : NULL;
	for (int s = 0; s < TASK_STATES; s++)
		if (str_is(a->v[ST_STATUS].text, task_status[s]))
			in.status = (enum status)s;
	if (queue_report(a->store, a->queue, str_of(a->id), &in, a->now, &a->err) < 0)
		ask_refuse_err(a);
	else
		ask_answer(a, 200, "null");
}

static void
heartbeat(struct ask *a)
{
	struct buf worker = {0};
	uuid run;
	int has = ask_uuid(a, "Labtasker-Run", run);

	if (has < 0)
		return;
	ask_query(a, "worker_id", &worker);
	if (queue_heartbeat(a->store, a->queue, str_of(a->id), (struct str){worker.p, worker.len}, has ? run : NULL, a->now,
	    &a->err) < 0)
		ask_refuse_err(a);
	else
		a->out->status = 204;
	buf_free(&worker);
}

static void
get_task(struct ask *a)
{
	struct task *t = queue_task(a->queue, str_of(a->id));

	if (!t) {
		ask_refuse(a, 404, "Task not found");
		return;
	}
	a->out->status = 200;
	queue_task_print(&a->out->body, t);
}

static void
delete_task(struct ask *a)
{
	if (queue_task_delete(a->store, a->queue, str_of(a->id), a->now, &a->err) < 0)
		ask_refuse_err(a);
	else
		a->out->status = 204;
}

enum { TU_VERSION, TU_REPLACE, TU_ID };
static const struct field update_fields[] = {
	{"client_version", FIELD_VERSION, 0, NULL, 0, 0, NULL}, {"replace_fields", FIELD_TEXTS, 0, NULL, 0, 0, NULL},
	{"task_id", FIELD_TEXT, FIELD_NEEDED, NULL, 0, 0, "_id"},
	{"status", FIELD_CHOICE, 0, "pending|running|success|failed|cancelled", 0, 0, NULL},
	{"task_name", FIELD_NAME, FIELD_NULL, NULL, 0, 0, NULL}, {"heartbeat_timeout", FIELD_FLOAT, FIELD_NULL, NULL, 0, 0, NULL},
	{"task_timeout", FIELD_INT, FIELD_NULL, NULL, 0, 0, NULL}, {"max_retries", FIELD_INT, 0, NULL, 0, 0, NULL},
	{"retries", FIELD_INT, 0, NULL, 0, 0, NULL}, {"priority", FIELD_INT, 0, NULL, 0, 0, NULL},
	{"metadata", FIELD_DICT, 0, NULL, 0, 0, NULL}, {"args", FIELD_KEYS, 0, NULL, 0, 0, NULL},
	{"cmd", FIELD_CMD, FIELD_NULL, NULL, 0, 0, NULL}, {"summary", FIELD_DICT, 0, NULL, 0, 0, NULL}, {0},
};

/* The update as the state machine takes it: only known members, converted, the id under task_id. */
static struct json *
plain(struct json_doc *d, const struct value *v)
{
	struct json *o = json_mkobj(d);

	for (size_t i = TU_REPLACE; update_fields[i].name; i++) {
		const struct json *j = v[i].json;
		struct json *c;

		if (!j)
			continue;
		if (v[i].given && update_fields[i].kind == FIELD_INT)
			c = json_mkint(d, v[i].num);
		else if (v[i].given && update_fields[i].kind == FIELD_FLOAT)
			c = json_mkdouble(d, v[i].real);
		else
			c = json_copy(d, j);
		json_sets(d, o, update_fields[i].name, c);
	}
	return o;
}

/* [('id', 'why'), ...]: one text that names every failure. */
static void
add_failure(struct buf *b, const struct json *update, const char *why)
{
	const struct json *id = json_gets(update, "task_id");

	buf_adds(b, b->len ? ", ('" : "('");
	buf_add(b, id->s, id->len);
	buf_adds(b, "', '");
	buf_adds(b, why);
	buf_adds(b, "')");
}

static void
run_updates(struct ask *a, struct json *list, const unsigned char *run)
{
	struct buf failures = {0}, text = {0};
	struct task **done = xcalloc(list->len, sizeof *done);
	size_t n = 0, failed = 0;

	for (const struct json *u = list->head; u; u = u->next) {
		a->err = (struct err){0};
		if (!queue_task_update(a->store, a->queue, u, a->flag, run, a->now, &done[n], &a->err)) {
			n++;
		} else {
			add_failure(&failures, u, a->err.msg);
			failed++;
		}
	}
	if (failed && run) {
		ask_refuse_err(a);
	} else if (failed) {
		buf_printf(&text, "Failed to update %lu/%lu tasks. Detail: [", (unsigned long)failed, (unsigned long)list->len);
		buf_add(&text, failures.p, failures.len);
		buf_addc(&text, ']');
		ask_refuse(a, 400, text.p);
	} else {
		buf_clear(&a->r->text);
		buf_addc(&a->r->text, '[');
		for (size_t i = 0; i < n; i++) {
			if (i)
				buf_addc(&a->r->text, ',');
			queue_task_print(&a->r->text, done[i]);
		}
		buf_addc(&a->r->text, ']');
		answer_list(a, (int64_t)n);
	}
	buf_free(&failures);
	buf_free(&text);
	free(done);
}

static void
put_tasks(struct ask *a)
{
	const struct json *list = a->doc ? a->doc->root : NULL;
	struct buf faults = {0};
	struct json *plains;
	int index = 0, has;
	uuid run;

	if (!list || list->type != JSON_ARR) {
		if (!list || list->type == JSON_NULL)
			field_fault(&faults, "missing", NULL, "Field required", list);
		else
			field_fault(&faults, "list_type", NULL, "Input should be a valid list", list);
		ask_faults(a, &faults);
		goto out;
	}
	plains = json_mkarr(a->doc);
	for (const struct json *u = list->head; u; u = u->next)
		if (!field_check(update_fields, a->v, u, index++, &faults))
			json_push(plains, plain(a->doc, a->v));
	if (faults.len) {
		ask_faults(a, &faults);
		goto out;
	}
	has = ask_uuid(a, "Labtasker-Run", run);
	if (has < 0)
		goto out;
	if (list->len > UPDATES)
		ask_refuse(a, 400, "more than 1000 updates in one request: send them in parts");
	else if (has && list->len != 1)
		ask_refuse(a, 400, "Labtasker-Run goes with exactly one update");
	else
		run_updates(a, plains, has ? run : NULL);
out:
	buf_free(&faults);
}

/* ---- workers ---- */

enum { WC_VERSION, WC_NAME, WC_METADATA, WC_RETRIES };
static const struct field worker_create_fields[] = {
	{"client_version", FIELD_VERSION, 0, NULL, 0, 0, NULL}, {"worker_name", FIELD_NAME, FIELD_NULL, NULL, 0, 0, NULL},
	{"metadata", FIELD_KEYS, FIELD_NULL, NULL, 0, 0, NULL}, {"max_retries", FIELD_INT, 0, NULL, 0, 0, NULL}, {0},
};

static void
post_worker(struct ask *a)
{
	uuid id;
	char text[37];

	random_id(a->r, id);
	if (queue_worker_create(a->store, a->queue, a->v[WC_NAME].given ? a->v[WC_NAME].text : (struct str){0},
	    ask_json(&a->v[WC_METADATA]), a->v[WC_RETRIES].given ? a->v[WC_RETRIES].num : 3, id, a->now, &a->err) < 0) {
		ask_refuse_err(a);
		return;
	}
	uuid_print(id, text);
	answer_id(a, "worker_id", text);
}

static void
get_worker(struct ask *a)
{
	struct worker *w = queue_worker(a->queue, str_of(a->id));

	if (!w) {
		ask_refuse(a, 404, "Worker not found");
		return;
	}
	a->out->status = 200;
	queue_worker_print(&a->out->body, w, "_id");
}

enum { WS_VERSION, WS_STATUS };
static const struct field worker_status_fields[] = {
	{"client_version", FIELD_VERSION, 0, NULL, 0, 0, NULL},
	{"status", FIELD_CHOICE, FIELD_NEEDED, "active|suspended|crashed", 0, 0, NULL}, {0},
};

static void
set_worker(struct ask *a)
{
	enum wstatus to = CRASHED;

	for (int s = 0; s < WORKER_STATES; s++)
		if (str_is(a->v[WS_STATUS].text, worker_status[s]))
			to = (enum wstatus)s;
	waits_stir(a->r->waits);   /* of a suspended worker no fetch waits */
	if (queue_worker_set(a->store, a->queue, str_of(a->id), to, a->now, &a->err) < 0)
		ask_refuse_err(a);
	else
		ask_answer(a, 200, "null");
}

static void
delete_worker(struct ask *a)
{
	waits_stir(a->r->waits);
	if (queue_worker_delete(a->store, a->queue, str_of(a->id), a->flag, a->now, &a->err) < 0)
		ask_refuse_err(a);
	else
		a->out->status = 204;
}

/* ---- events ---- */

static void
get_events(struct ask *a)
{
	const struct str *last = http_get(a->req->head, "Last-Event-ID");
	uuid client;

	random_id(a->r, client);
	a->out->status = 200;
	a->out->type = "text/event-stream; charset=utf-8";
	buf_adds(&a->out->head, "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n");
	a->out->listener = events_listen(a->r->events, a->queue, last ? *last : (struct str){0});
	events_hello(a->out->listener, client, &a->out->body);
}

/* ---- how it goes ---- */

static struct stats
stats_of(const struct ask *a)
{
	const struct rest *r = a->r;

	return (struct stats){r->events, r->waits, r->answers, (int)journal_mode(r->o.journal), r->started, a->now};
}

static void
get_stats(struct ask *a)
{
	struct stats s = stats_of(a);

	a->out->status = 200;
	stats_queue(&a->out->body, a->queue, &s);
}

static void
get_metrics(struct ask *a)
{
	struct stats s = stats_of(a);

	if (!a->r->o.metrics) {
		ask_refuse(a, 404, "Not Found");
		return;
	}
	a->out->status = 200;
	a->out->type = "text/plain; version=0.0.4; charset=utf-8";
	stats_metrics(&a->out->body, a->store, &s);
}

/* ---- routes ---- */

#define ME "/api/v1/queues/me"
static const struct route routes[] = {
	{"GET", "/", READ, true, false, NULL, NULL, false, get_root},
	{"GET", "/health", READ, true, false, NULL, NULL, false, get_health},
	{"GET", "/health/full", READ, true, false, NULL, NULL, false, get_health_full},
	{"GET", "/api/v1/polling", READ, true, false, NULL, NULL, false, get_polling},
	{"POST", "/api/v1/queues", NEW, true, true, queue_create_fields, NULL, false, post_queue},
	{"GET", ME, READ, false, false, NULL, NULL, false, get_queue},
	{"PUT", ME, NEW, false, true, queue_update_fields, NULL, false, put_queue},
	{"DELETE", ME, END, false, false, NULL, "cascade_delete", false, delete_queue},
	{"POST", ME "/tasks", NEW, false, true, submit_fields, NULL, false, post_task},
	{"PUT", ME "/tasks", END, false, true, NULL, "reset_pending", true, put_tasks},
	{"POST", ME "/tasks/search", READ, false, true, task_search_fields, NULL, false, search_tasks},
	{"POST", ME "/tasks/next", NEW, false, true, fetch_fields, NULL, false, fetch_task},
	{"POST", ME "/tasks/{}/status", END, false, true, status_fields, NULL, false, report_task},
	{"POST", ME "/tasks/{}/heartbeat", END, false, false, NULL, NULL, false, heartbeat},
	{"GET", ME "/tasks/{}", READ, false, false, NULL, NULL, false, get_task},
	{"DELETE", ME "/tasks/{}", END, false, false, NULL, NULL, false, delete_task},
	{"POST", ME "/workers", NEW, false, true, worker_create_fields, NULL, false, post_worker},
	{"POST", ME "/workers/search", READ, false, true, worker_search_fields, NULL, false, search_workers},
	{"POST", ME "/workers/{}/status", END, false, true, worker_status_fields, NULL, false, set_worker},
	{"GET", ME "/workers/{}", READ, false, false, NULL, NULL, false, get_worker},
	{"DELETE", ME "/workers/{}", END, false, false, NULL, "cascade_update", true, delete_worker},
	{"GET", ME "/stats", READ, false, false, NULL, NULL, false, get_stats},
	{"GET", "/metrics", READ, true, false, NULL, NULL, false, get_metrics},
	{"GET", ME "/events", STREAM, false, false, NULL, NULL, false, get_events},
};

/* The path in a target of the absolute form, as proxies send it; any other target as it is. */
static struct str
path_of(struct str target)
{
	size_t n = target.n > 7 && str_caseis((struct str){target.p, 7}, "http://") ? 7 :
	    target.n > 8 && str_caseis((struct str){target.p, 8}, "https://") ? 8 : 0;
	const char *host = target.p + n, *slash = memchr(host, '/', target.n - n);

	if (!n || slash == host)
		return target;
	return slash ? (struct str){slash, target.n - (size_t)(slash - target.p)} : (struct str){"/", 1};
}

enum api_result
api_handle(struct rest *rest, const struct request *req, struct now now, struct answer *out)
{
	struct ask a = {.r = rest, .req = req, .now = now, .store = *rest->o.store, .out = out};
	const char *mark = memchr(req->target.p, '?', req->target.n);
	struct str raw = {req->target.p, mark ? (size_t)(mark - req->target.p) : req->target.n};
	const struct route *r = NULL;
	struct buf path = {0};

	memset(out->queue, 0, sizeof out->queue);
	buf_adds(&out->head, rest->head);
	if (mark)
		a.query = (struct str){mark + 1, req->target.n - raw.n - 1};
	raw = path_of(raw);
	if (raw.p[0] != '/' && !str_is(raw, "*"))   /* CONNECT's form, of proxies */
		ask_refuse(&a, 400, "the target is no path");
	else if (http_unescape(&path, raw, false) < 0 || (path.len && memchr(path.p, 0, path.len)))
		ask_refuse(&a, 404, "Not Found");
	else
		r = ask_route(&a, routes, LEN(routes), (struct str){path.p, path.len});
	buf_free(&path);
	if (r && ask_checks(&a, r))
		r->call(&a);
	json_free(a.doc);
	if (a.later || a.held) {
		buf_clear(&out->head);
		return a.held ? API_HELD : API_LATER;
	}
	rest->answers[out->status >= 100 && out->status < 600 ? out->status / 100 : 0]++;
	if (req->wait) {
		wait_free(*req->wait);
		*req->wait = NULL;
	}
	return API_DONE;
}

struct rest *
api_new(const struct api_opts *o)
{
	struct rest *r = xcalloc(1, sizeof *r);
	uuid start;

	r->o = *o;
	random_id(r, start);
	r->waits = waits_new();
	r->events = events_new(start, o->events ? o->events : EVENTS);
	r->head = xprintf("Labtasker-Version: %s\r\nLabtasker-Store: %s\r\n", LABTASKER_VERSION, journal_store_id(o->journal));
	r->started = o->os->mono(o->os->ctx);
	return r;
}

void
api_free(struct rest *r)
{
	events_free(r->events);
	waits_free(r->waits);
	free(r->head);
	buf_free(&r->text);
	free(r);
}

void
api_settle(struct rest *r, bool held, struct now now)
{
	events_settle(r->events, held, now.mono);
	events_attach(r->events, *r->o.store);
	if (!held)
		waits_stir(r->waits);   /* what others took in that turn is there again */
}

void *
api_next(struct rest *r, struct now now)
{
	return waits_next(r->waits, *r->o.store, now);
}

int64_t
api_due(const struct rest *r)
{
	return waits_due(r->waits);
}
