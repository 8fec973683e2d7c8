/* SPDX-License-Identifier: MIT */
/*
 * The API of a real server: a row of requests for each row of SPEC 1, its route table against PROTOCOL, what a lost answer and a
 * killed server do to keys and run tokens, and who is let in.
 */
#include "live.h"

/* ---- the table ---- */

/* In requests and patterns $1 .. $9 are what earlier rows kept, $q the queue's id; in patterns * is anything. */
struct row {
	const char *method, *path, *body;   /* path below /api/v1/queues/me unless it begins with / */
	int status;
	const char *pattern;                /* of the answer's body */
	int keep;                           /* 1..9: the last id in the answer is kept as this */
};
static char kept[10][40];
static const char pair[] = "rest:pa:ss w";

#define TASK(id, status, name, start, beat, retries, args, cmd, summary, worker) "{\"task_id\":\"" id "\",\"queue_id\":\"$q\",\"status\":\"" status \
	"\",\"task_name\":" name ",\"created_at\":\"*Z\",\"start_time\":" start ",\"last_heartbeat\":" beat ",\"last_modified\":\"*Z\",\"heartbeat_timeout\":" \
	"60.0,\"task_timeout\":null,\"max_retries\":3,\"retries\":" retries ",\"priority\":10,\"metadata\":{},\"args\":" args ",\"cmd\":" cmd ",\"summary\":" \
	summary ",\"worker_id\":" worker "}"
#define QUEUE(name, metadata) "{\"notification\":null,\"queue_id\":\"$q\",\"queue_name\":\"" name "\",\"created_at\":\"*Z\",\"last_modified\":\"*Z\",\"metadata\":" metadata "}"
#define WORKER(key, id, status, name, retries) "{\"" key "\":\"" id "\",\"queue_id\":\"$q\",\"status\":\"" status "\",\"worker_name\":" name \
	",\"metadata\":{},\"retries\":" retries ",\"max_retries\":3,\"created_at\":\"*Z\",\"last_modified\":\"*Z\"}"
#define FAULT(loc) "{\"detail\":[{\"type\":\"*\",\"loc\":[" loc "],\"msg\":\"*\",\"input\":*}]}"
#define DETAIL "{\"detail\":\"*\"}"
#define NOBODY "00000000-0000-4000-8000-000000000000"

static const struct row rows[] = {
	/* without credentials */
	{"GET", "/", NULL, 200, "{\"message\":\"*\",\"versions\":[\"v1\"],\"docs\":\"*\"}", 0},
	{"GET", "/health", NULL, 200, "{\"connection\":\"ok\"}", 0},
	{"GET", "/health/full", NULL, 200, "{\"status\":\"healthy\",\"database\":\"connected\"}", 0},
	{"GET", "/api/v1/polling", NULL, 200, "{\"prev_polling\":*,\"next_eta\":*,\"polling_interval\":30.0}", 0},
	{"GET", "/nowhere", NULL, 404, "{\"detail\":\"Not Found\"}", 0},
	{"CONNECT", "a:1", NULL, 400, DETAIL, 0},
	{"DELETE", "/health", NULL, 405, "{\"detail\":\"Method Not Allowed\"}", 0},
	{"GET", "/health/", NULL, 307, "", 0},
	{"GET", "http://x/health", NULL, 200, "{\"connection\":\"ok\"}", 0},
	{"GET", "HTTPS://x/health", NULL, 200, "{\"connection\":\"ok\"}", 0},
	{"GET", "http:///health", NULL, 400, DETAIL, 0},
	{"HEAD", "/health", NULL, 200, "", 0},
	{"HEAD", "/api/v1/queues", NULL, 405, "", 0},
	{"OPTIONS", "/health", NULL, 204, "", 0},
	/* queues */
	{"POST", "/api/v1/queues", "{\"queue_name\":\"rest\",\"password\":\"pa:ss w\",\"metadata\":{\"a.b\":1}}", 201, "{\"notification\":null,\"queue_id\":\"*\"}", 9},
	{"POST", "/api/v1/queues", "{\"queue_name\":\"rest\",\"password\":\"other\"}", 409, DETAIL, 0},
	{"POST", "/api/v1/queues", "{\"queue_name\":\"a b\",\"password\":\"x\"}", 422, FAULT("\"body\",\"queue_name\""), 0},
	{"POST", "/api/v1/queues", "{\"queue_name\":\"x\"}", 422, FAULT("\"body\",\"password\""), 0},
	{"POST", "/api/v1/queues", "{\"queue_name\":\"x\",\"password\":\"y\",\"metadata\":{\"a b\":1}}", 422, FAULT("\"body\",\"metadata\""), 0},
	{"POST", "/api/v1/queues", "{\"queue_name\":", 422, FAULT("\"body\",14"), 0},
	{"POST", "/api/v1/queues", "{\"queue_name\":\"second\",\"password\":\"x\"}", 201, "*", 0},
	{"GET", "", NULL, 200, QUEUE("rest", "{\"a\":{\"b\":1}}"), 0},
	{"PUT", "", "{\"metadata_update\":{\"a.c\":2}}", 200, QUEUE("rest", "{\"a\":{\"b\":1,\"c\":2}}"), 0},
	{"PUT", "", "{\"new_queue_name\":\"second\"}", 400, DETAIL, 0},
	{"PUT", "", "{\"new_queue_name\":\"\"}", 422, FAULT("\"body\",\"new_queue_name\""), 0},
	/* workers */
	{"POST", "/workers", "{\"worker_name\":\"w\"}", 201, "{\"notification\":null,\"worker_id\":\"*\"}", 5},
	{"POST", "/workers", "{\"worker_name\":\"a b\"}", 422, FAULT("\"body\",\"worker_name\""), 0},
	{"GET", "/workers/$5", NULL, 200, WORKER("_id", "$5", "active", "\"w\"", "0"), 0},
	{"GET", "/workers/" NOBODY, NULL, 404, DETAIL, 0},
	{"POST", "/workers/search", "{\"status\":\"active\"}", 200, "{\"notification\":null,\"found\":true,\"content\":[" WORKER("worker_id", "$5", "active", "\"w\"", "0") "]}", 0},
	{"POST", "/workers/search", "{\"status\":\"crashed\"}", 200, "{\"notification\":null,\"found\":false,\"content\":[]}", 0},
	{"POST", "/workers/search", "{\"status\":\"odd\"}", 422, FAULT("\"body\",\"status\""), 0},
	{"POST", "/workers/$5/status", "{\"status\":\"crashed\"}", 400, DETAIL, 0},
	{"POST", "/workers/$5/status", "{\"status\":\"suspended\"}", 200, "null", 0},
	{"POST", "/tasks/next", "{\"worker_id\":\"$5\"}", 403, DETAIL, 0},
	{"POST", "/workers/$5/status", "{\"status\":\"active\"}", 200, "null", 0},
	{"POST", "/workers/" NOBODY "/status", "{\"status\":\"active\"}", 404, DETAIL, 0},
	/* submit */
	{"POST", "/tasks", "{\"args\":{\"a.b\":1.50,\"c\":[]},\"task_name\":\"t\",\"heartbeat_timeout\":60}", 201, "{\"notification\":null,\"task_id\":\"*\"}", 1},
	{"POST", "/tasks", "{}", 400, DETAIL, 0},
	{"POST", "/tasks", "{\"args\":{}}", 400, DETAIL, 0},
	{"POST", "/tasks", "{\"args\":{\"a\":1,\"a.b\":2}}", 400, DETAIL, 0},
	{"POST", "/tasks", "{\"args\":{\"a b\":1}}", 422, FAULT("\"body\",\"args\""), 0},
	{"POST", "/tasks", "{\"args\":{\"a\":1},\"priority\":5.5}", 422, FAULT("\"body\",\"priority\""), 0},
	{"POST", "/tasks", "{\"args\":{\"a\":1},\"priority\":-9223372036854775808}", 422, FAULT("\"body\",\"priority\""), 0},
	{"POST", "/tasks", "{\"args\":{\"a\":1},\"client_version\":\"?\"}", 422, FAULT("\"body\",\"client_version\""), 0},
	{"POST", "/tasks", NULL, 422, FAULT("\"body\""), 0},
	{"GET", "/tasks/$1", NULL, 200, TASK("$1", "pending", "\"t\"", "null", "null", "0", "{\"a\":{\"b\":1.50},\"c\":[]}", "\"\"", "{}", "null"), 0},
	{"GET", "/tasks/" NOBODY, NULL, 404, "{\"detail\":\"Task not found\"}", 0},
	/* search */
	{"POST", "/tasks/search", "{\"task_name\":\"t\",\"sort\":[[\"priority\",-1]]}", 200, "{\"notification\":null,\"found\":true,\"content\":[{\"task_id\":\"$1\",*}]}", 0},
	{"POST", "/tasks/search", "{\"extra_filter\":{\"args.a.b\":{\"$gt\":1}}}", 200, "{\"notification\":null,\"found\":true,\"content\":[{\"task_id\":\"$1\",*}]}", 0},
	{"POST", "/tasks/search", "{\"offset\":1}", 200, "{\"notification\":null,\"found\":false,\"content\":[]}", 0},
	{"POST", "/tasks/search", "{\"limit\":0}", 422, FAULT("\"body\",\"limit\""), 0},
	{"POST", "/tasks/search", "{\"limit\":1001}", 422, FAULT("\"body\",\"limit\""), 0},
	{"POST", "/tasks/search", "{\"sort\":[[\"a\"]]}", 422, FAULT("\"body\",\"sort\",0,1"), 0},
	{"POST", "/tasks/search", "{\"extra_filter\":{\"$where\":\"1\"}}", 400, "{\"detail\":\"*$where*\"}", 0},
	/* fetch */
	{"POST", "/tasks/next", "{\"required_fields\":[\"x\"]}", 200, "{\"notification\":null,\"found\":false,\"task\":null}", 0},
	{"POST", "/tasks/next", "{\"worker_id\":\"" NOBODY "\"}", 404, DETAIL, 0},
	{"POST", "/tasks/next", "{\"start_heartbeat\":false}", 400, DETAIL, 0},
	{"POST", "/tasks/next", "{\"eta_max\":\"soon\"}", 400, DETAIL, 0},
	{"POST", "/tasks/next", "{\"required_fields\":[\"a b\"]}", 400, DETAIL, 0},
	{"POST", "/tasks/next", "{\"required_fields\":[1]}", 422, FAULT("\"body\",\"required_fields\",0"), 0},
	{"POST", "/tasks/next", "{\"worker_id\":\"$5\",\"required_fields\":[\"a\",\"c\"],\"cmd\":[\"x\"]}", 200, "{\"notification\":null,\"found\":true,\"task\":"
	    TASK("$1", "running", "\"t\"", "\"*Z\"", "\"*Z\"", "0", "{\"a\":{\"b\":1.50},\"c\":[]}", "[\"x\"]", "{}", "\"$5\"") "}", 0},
	/* heartbeat */
	{"POST", "/tasks/$1/heartbeat?worker_id=$5", NULL, 204, "", 0},
	{"POST", "/tasks/$1/heartbeat?worker_id=", NULL, 204, "", 0},
	{"POST", "/tasks/$1/heartbeat?worker_id=" NOBODY, NULL, 403, DETAIL, 0},
	{"POST", "/tasks/$1/heartbeat?worker_id=%zz", NULL, 403, DETAIL, 0},
	{"POST", "/tasks/" NOBODY "/heartbeat", NULL, 404, DETAIL, 0},
	/* status */
	{"POST", "/tasks/$1/status", "{\"status\":\"failed\",\"worker_id\":\"" NOBODY "\"}", 409, DETAIL, 0},
	{"POST", "/tasks/$1/status", "{\"status\":\"pending\"}", 422, FAULT("\"body\",\"status\""), 0},
	{"POST", "/tasks/" NOBODY "/status", "{\"status\":\"failed\"}", 404, DETAIL, 0},
	{"POST", "/tasks/$1/status", "{\"status\":\"failed\",\"worker_id\":\"$5\",\"summary\":{\"why\":\"x\"}}", 200, "null", 0},
	{"GET", "/tasks/$1", NULL, 200, TASK("$1", "pending", "\"t\"", "\"*Z\"", "\"*Z\"", "1", "{\"a\":{\"b\":1.50},\"c\":[]}", "[\"x\"]", "{\"why\":\"x\"}", "null"), 0},
	{"GET", "/workers/$5", NULL, 200, WORKER("_id", "$5", "active", "\"w\"", "1"), 0},
	{"POST", "/tasks/$1/status", "{\"status\":\"success\"}", 400, DETAIL, 0},
	{"POST", "/tasks/$1/heartbeat", NULL, 404, DETAIL, 0},
	/* updates */
	{"PUT", "/tasks", "[{\"task_id\":\"$1\",\"args\":{\"a.z\":true},\"priority\":\"7\"}]", 200, "{\"notification\":null,\"found\":true,\"content\":[{\"task_id\":\"$1\",*"
	    "\"retries\":0,\"priority\":7,*\"args\":{\"a\":{\"b\":1.50,\"z\":true},\"c\":[]},*}]}", 0},
	{"PUT", "/tasks?reset_pending=false", "[{\"_id\":\"$1\",\"args\":{\"n\":1},\"replace_fields\":[\"args\"]}]", 200, "*\"args\":{\"n\":1},*", 0},
	{"PUT", "/tasks?reset_pending=no", "[{\"task_id\":\"$1\",\"status\":\"success\"},{\"task_id\":\"" NOBODY "\"},{\"task_id\":\"$1\",\"task_name\":\"u\"}]", 400,
	    "{\"detail\":\"*2/3*$1*" NOBODY "*\"}", 0},
	{"GET", "/tasks/$1", NULL, 200, "*\"status\":\"pending\",\"task_name\":\"u\"*", 0},
	{"PUT", "/tasks", "[{\"task_id\":\"$1\",\"metadata\":{\"a\":{\"$x\":1}}}]", 400, DETAIL, 0},
	{"PUT", "/tasks", "[{\"task_id\":\"$1\",\"retries\":null}]", 422, FAULT("\"body\",0,\"retries\""), 0},
	{"PUT", "/tasks", "[{\"task_id\":\"$1\",\"replace_fields\":null}]", 422, FAULT("\"body\",0,\"replace_fields\""), 0},
	{"PUT", "/tasks", "[{}]", 422, FAULT("\"body\",0,\"_id\""), 0},
	{"PUT", "/tasks", "{}", 422, FAULT("\"body\""), 0},
	{"PUT", "/tasks", "[]", 200, "{\"notification\":null,\"found\":false,\"content\":[]}", 0},
	{"PUT", "/tasks?reset_pending=perhaps", "[]", 422, FAULT("\"query\",\"reset_pending\""), 0},
	{"PUT", "/tasks?reset_pending=%zz", "[]", 422, FAULT("\"query\",\"reset_pending\""), 0},
	{"PUT", "/tasks?reset_pending=0&reset_pending=%f", "[]", 422, FAULT("\"query\",\"reset_pending\""), 0},
	/* events and stats: tests/serve.c listens */
	{"DELETE", "/events", NULL, 405, "{\"detail\":\"Method Not Allowed\"}", 0},
	{"HEAD", "/events", NULL, 405, "", 0},
	{"GET", "/stats", NULL, 200, "{\"queue_id\":\"$q\",*", 0},
	{"GET", "/metrics", NULL, 404, "{\"detail\":\"Not Found\"}", 0},
	/* the end of things */
	{"DELETE", "/tasks/$1", NULL, 204, "", 0},
	{"DELETE", "/tasks/$1", NULL, 404, DETAIL, 0},
	{"DELETE", "/workers/$5?cascade_update=maybe", NULL, 422, FAULT("\"query\",\"cascade_update\""), 0},
	{"DELETE", "/workers/$5", NULL, 204, "", 0},
	{"DELETE", "/workers/$5", NULL, 404, DETAIL, 0},
	{"DELETE", "?cascade_delete=1", NULL, 204, "", 0},
	{"GET", "", NULL, 401, "{\"detail\":\"Invalid credentials\"}", 0},
};

/* Whether text is pattern, in which * stands for anything. */
static bool
glob(const char *pattern, const char *text)
{
	const char *star = NULL, *back = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			back = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++back;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

/* The text with what was kept put in. */
static char *
filled(const char *text)
{
	struct buf b = {0};

	for (; *text; text++) {
		if (*text == '$' && text[1] == 'q')
			buf_adds(&b, kept[9]), text++;
		else if (*text == '$' && text[1] >= '1' && text[1] <= '9')
			buf_adds(&b, kept[*++text - '0']);
		else
			buf_addc(&b, *text);
	}
	return b.p ? b.p : xstrdup("");
}

static char *
body_of(const struct reply *r)
{
	return xmemdup(r->body.p, r->body.n);
}

/* The last id in an answer. */
static void
keep_id(const char *body, char out[40])
{
	const char *at = NULL;

	for (const char *p = strstr(body, "_id\":\""); p; p = strstr(p + 1, "_id\":\""))
		at = p + 6;
	snprintf(out, 40, "%.36s", at ? at : "");
}

static void
test_rows(void)
{
	for (size_t i = 0; i < LEN(rows); i++) {
		const struct row *w = rows + i;
		bool bare = (w->path[0] && strchr("aHh", w->path[0])) || (w->path[0] == '/' && (!strncmp(w->path, "/api", 4) || !strncmp(w->path, "/health", 7) || !strcmp(w->path, "/metrics") || !strcmp(w->path, "/nowhere") || !w->path[1]));
		char *path = filled(w->path), *body = w->body ? filled(w->body) : NULL, *pattern = filled(w->pattern), *got;
		char *full = xprintf("%s%s", bare ? "" : "/api/v1/queues/me", path);
		struct reply r;

		live_call(&r, w->method, full, bare ? NULL : pair, NULL, body);
		got = body_of(&r);
		check(r.status == w->status && glob(pattern, got), "%s %s %s: %d %s, expected %d %s", w->method, full, body ? body : "", r.status, got,
		    w->status, pattern);
		check(r.status == 204 || r.status == 307 || (reply_field(&r, "Content-Type") && !strncmp(reply_field(&r, "Content-Type"), "application/json", 16)),
		    "%s %s: its type is JSON", w->method, full);
		if (w->keep)
			keep_id(got, kept[w->keep]);
		reply_free(&r);
		free(got);
		free(full);
		free(path);
		free(body);
		free(pattern);
	}
}

/* ---- what a lost answer and a killed server do ---- */

static const char keys[] = "keys:kpw";

/* One call to the queue "keys": its status, with the body in text. */
static int
call(const char *method, const char *path, const char *head, const char *body, char text[4096])
{
	char *full = xprintf("/api/v1/queues/me%s", path);
	struct reply r;
	int status;

	live_call(&r, method, full, keys, head, body);
	snprintf(text, 4096, "%.*s", (int)(r.body.n < 4000 ? r.body.n : 4000), r.body.p ? r.body.p : "");
	status = r.status;
	reply_free(&r);
	free(full);
	return status;
}

/* The member of an answer, a text, as far as it is one. */
static void
member(const char *text, const char *name, char out[64])
{
	char *key = xprintf("\"%s\":\"", name);
	const char *at = strstr(text, key);

	snprintf(out, 64, "%.*s", at ? (int)strcspn(at + strlen(key), "\"") : 0, at ? at + strlen(key) : "");
	free(key);
}

static void
again(void)
{
	live_stop(SIGKILL);
	live_start(NULL);
}

#define K1 "6e7a1c80-0001-4000-8000-000000000001"
#define K2 "6e7a1c80-0001-4000-8000-000000000002"
#define T1 "6e7a1c80-0002-4000-8000-000000000001"
#define T2 "6e7a1c80-0002-4000-8000-000000000002"
#define T3 "6e7a1c80-0002-4000-8000-000000000003"
#define KEY(k) "Idempotency-Key: " k "\r\n"
#define RUN(k) "Labtasker-Run: " k "\r\n"

static void
test_submit_keys(void)
{
	static const char task[] = "{\"args\":{\"a\":1},\"max_retries\":5}";
	char text[4096];
	struct reply r;

	live_call(&r, "POST", "/api/v1/queues", NULL, NULL, "{\"queue_name\":\"keys\",\"password\":\"kpw\"}");
	check(r.status == 201, "the queue: %d", r.status);
	reply_free(&r);
	check(call("POST", "/tasks", KEY(K1), task, text) == 201 && strstr(text, "\"task_id\":\"" K1 "\""), "the key becomes the id: %s", text);
	check(call("POST", "/tasks", KEY(K1), task, text) == 201 && strstr(text, "\"task_id\":\"" K1 "\""), "again: %s", text);
	again();
	check(call("POST", "/tasks", KEY(K1), task, text) == 201 && strstr(text, "\"task_id\":\"" K1 "\""), "again, of a server that was killed: %s", text);
	check(call("POST", "/tasks/search", NULL, "{}", text) == 200 && strstr(text, K1) && !strstr(strstr(text, "\"task_id\"") + 1, "\"task_id\""),
	    "one task came of it: %s", text);
	check(call("POST", "/tasks", "Idempotency-Key: 1\r\n", task, text) == 400, "no UUID: %s", text);
	live_call(&r, "POST", "/api/v1/queues", NULL, NULL, "{\"queue_name\":\"other\",\"password\":\"x\"}");
	reply_free(&r);
	live_call(&r, "POST", "/api/v1/queues/me/tasks", "other:x", KEY(K1), task);
	check(r.status == 409, "in use in another queue: %d", r.status);
	reply_free(&r);
	check(call("POST", "/tasks", KEY(K2), task, text) == 201 && call("DELETE", "/tasks/" K2, NULL, NULL, text) == 204, "made and deleted: %s", text);
	check(call("POST", "/tasks", KEY(K2), task, text) == 409, "the id of a deleted task: %s", text);
	again();
	check(call("POST", "/tasks", KEY(K2), task, text) == 409, "the same of a server that was killed: %s", text);
}

static void
test_run_tokens(void)
{
	char text[4096], worker[64], ask[128], modified[64], later[64];

	call("POST", "/workers", NULL, "{}", text);
	member(text, "worker_id", worker);
	snprintf(ask, sizeof ask, "{\"worker_id\":\"%s\"}", worker);
	check(call("POST", "/tasks/next", KEY(T1), ask, text) == 200 && strstr(text, K1), "a run begins: %s", text);
	check(call("POST", "/tasks/next", KEY(T1), ask, text) == 200 && strstr(text, K1), "its fetch is asked again: %s", text);
	again();
	check(call("POST", "/tasks/next", KEY(T1), ask, text) == 200 && strstr(text, K1), "and again of a server that was killed: %s", text);
	check(call("POST", "/tasks/next", KEY(T1), "{}", text) == 409, "by another worker: %s", text);
	check(call("POST", "/tasks/next", KEY(T2), ask, text) == 200 && strstr(text, "\"found\":false"), "nothing else is there: %s", text);
	check(call("POST", "/tasks/" K1 "/heartbeat", RUN(T2), NULL, text) == 409, "a heartbeat of another run: %s", text);
	check(call("POST", "/tasks/" K1 "/heartbeat", RUN(T1), NULL, text) == 204, "its heartbeat: %s", text);
	check(call("POST", "/tasks/" K1 "/status", RUN(T2), "{\"status\":\"failed\"}", text) == 409, "a report of another run: %s", text);
	check(call("PUT", "/tasks?reset_pending=0", RUN(T2), "[{\"task_id\":\"" K1 "\",\"status\":\"pending\"}]", text) == 409, "a hand-back of another run: %s", text);
	check(call("PUT", "/tasks", RUN(T1), "[{\"task_id\":\"" K1 "\"},{\"task_id\":\"" K1 "\"}]", text) == 400, "a run with two updates: %s", text);
	check(call("PUT", "/tasks?reset_pending=0", RUN(T1), "[{\"task_id\":\"" K1 "\",\"status\":\"pending\"}]", text) == 200
	    && strstr(text, "\"retries\":0") && strstr(text, "\"worker_id\":null"), "its hand-back: %s", text);
	member(text, "last_modified", modified);
	again();
	check(call("PUT", "/tasks?reset_pending=0", RUN(T1), "[{\"task_id\":\"" K1 "\",\"status\":\"pending\"}]", text) == 200, "the same again: %s", text);
	member(text, "last_modified", later);
	check(!strcmp(modified, later), "it changed nothing: %s, %s", modified, later);
	check(call("POST", "/tasks/" K1 "/status", RUN(T1), "{\"status\":\"failed\"}", text) == 409, "another end of that run: %s", text);
	check(call("POST", "/tasks/next", KEY(T1), ask, text) == 409, "a token whose run has ended: %s", text);
	check(call("POST", "/tasks/next", KEY(T2), ask, text) == 200 && strstr(text, K1), "the token that found nothing is free: %s", text);
	check(call("PUT", "/tasks?reset_pending=0", RUN(T1), "[{\"task_id\":\"" K1 "\",\"status\":\"pending\"}]", text) == 200
	    && strstr(text, "\"status\":\"running\""), "the old hand-back does not end the new run: %s", text);
	check(call("POST", "/tasks/" K1 "/status", RUN(T2), "{\"status\":\"success\",\"summary\":{\"n\":1}}", text) == 200, "its report: %s", text);
	check(call("POST", "/tasks/" K1 "/status", RUN(T2), "{\"status\":\"success\",\"summary\":{\"n\":2}}", text) == 200, "the same again: %s", text);
	again();
	check(call("POST", "/tasks/" K1 "/status", RUN(T2), "{\"status\":\"success\",\"summary\":{\"n\":3}}", text) == 200, "again, of a server that was killed: %s", text);
	check(call("GET", "/tasks/" K1, NULL, NULL, text) == 200 && strstr(text, "\"summary\":{\"n\":1}"), "the first counts: %s", text);
	/* A failure that is reported twice is charged once. */
	call("PUT", "/tasks", NULL, "[{\"task_id\":\"" K1 "\"}]", text);
	check(call("POST", "/tasks/next", KEY(T3), ask, text) == 200 && strstr(text, K1), "a third run: %s", text);
	for (int i = 0; i < 3; i++) {
		check(call("POST", "/tasks/" K1 "/status", RUN(T3), "{\"status\":\"failed\"}", text) == 200, "it fails: %s", text);
		if (i == 1)
			again();
	}
	check(call("GET", "/tasks/" K1, NULL, NULL, text) == 200 && strstr(text, "\"retries\":1,"), "charged once: %s", text);
	snprintf(ask, sizeof ask, "/workers/%s", worker);
	check(call("GET", ask, NULL, NULL, text) == 200 && strstr(text, "\"retries\":1,"), "the worker too: %s", text);
	/* A run without a token. */
	check(call("POST", "/tasks/next", NULL, "{}", text) == 200 && strstr(text, K1), "fetched without a token: %s", text);
	check(call("POST", "/tasks/" K1 "/heartbeat", RUN(T3), NULL, text) == 409, "it matches none: %s", text);
	check(call("POST", "/tasks/" K1 "/heartbeat", NULL, NULL, text) == 204, "without the header nothing is refused: %s", text);
}

/* ---- who is let in ---- */

/* More wrong passwords at once than the line takes: some are told to come again, and who was right once is not kept waiting. */
static void
test_wrong_passwords(void)
{
	enum { WRONG = 200 };
	int fd[WRONG], late = 0, wrong = 0, busy = 0;
	char text[4096];
	struct buf b = {0};

	check(call("GET", "", NULL, NULL, text) == 200, "right once: %s", text);
	for (int i = 0; i < WRONG; i++)
		fd[i] = live_connect();
	for (int i = 0; i < WRONG; i++) {
		char *who = xprintf("keys:wrong%d", i);

		buf_clear(&b);
		buf_adds(&b, "GET /api/v1/queues/me HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ");
		hash_base64(&b, who, strlen(who));
		buf_adds(&b, "\r\n\r\n");
		free(who);
		live_send(fd[i], b.p, b.len);
	}
	buf_free(&b);
	check(call("GET", "", NULL, NULL, text) == 200, "right again: %s", text);
	for (int i = 0; i < WRONG; i++) {
		struct pollfd p = {.fd = fd[i], .events = POLLIN};

		late += poll(&p, 1, 0) == 0;
	}
	check(late > 0, "answered before the wrong ones: %d wait", late);
	for (int i = 0; i < WRONG; i++) {
		struct reply r;

		live_read(fd[i], &r, false, 60000);
		wrong += r.status == 401 && reply_field(&r, "WWW-Authenticate") && str_is(r.body, "{\"detail\":\"Invalid credentials\"}");
		busy += r.status == 503 && reply_field(&r, "Retry-After");
		reply_free(&r);
		close(fd[i]);
	}
	check(wrong && busy && wrong + busy == WRONG, "%d wrong, %d for whom the line is too long", wrong, busy);
}

static void
test_secrets(void)
{
	static const struct {
		const char *method, *path, *auth, *head, *body;
		int status;
	} row[] = {
		{"POST", "/api/v1/queues", NULL, NULL, "{\"queue_name\":\"secrets\",\"password\":\"S3CRETpw\"}", 201},
		{"POST", "/api/v1/queues", NULL, NULL, "{\"queue_name\":\"secrets\",\"password\":\"S3CRETpw\"}", 409},
		{"POST", "/api/v1/queues", NULL, NULL, "{\"password\":\"S3CRETpw\"}", 422},
		{"POST", "/api/v1/queues", NULL, NULL, "[\"S3CRETpw\"]", 422},
		{"POST", "/api/v1/queues", NULL, NULL, "\"S3CRETpw\"", 422},
		{"POST", "/api/v1/queues", NULL, NULL, "{\"queue_name\":\"x\",\"password\":[\"S3CRETpw\"]}", 422},
		{"POST", "/api/v1/queues", NULL, NULL, "{\"queue_name\":\"x\",\"password\":\"S3CRETpw\"", 422},
		{"PUT", "/api/v1/queues/me", "secrets:S3CRETpw", NULL, "{\"new_password\":{\"S3CRETpw\":1}}", 422},
		{"PUT", "/api/v1/queues/me", "secrets:S3CRETpw", NULL, "[\"S3CRETpw\"]", 422},
		{"GET", "/api/v1/queues/me", "secrets:S3CRETpw", NULL, NULL, 200},
		{"GET", "/api/v1/queues/me", "secrets:S3CRETpw2", NULL, NULL, 401},
		{"GET", "/api/v1/queues/me", "nobody:S3CRETpw", NULL, NULL, 401},
		{"GET", "/api/v1/queues/me", "S3CRETpw", NULL, NULL, 401},
		{"GET", "/api/v1/queues/me", NULL, "Authorization: Bearer S3CRETpw\r\n", NULL, 401},
	};
	static const char coded[] = "UzNDUkVUc";   /* "S3CRETp" as base64, at one of its three places */
	struct buf log = {0}, journal = {0};
	struct err e;
	char path[128];

	live_stop(SIGTERM);
	live_start("--verbose");
	for (size_t i = 0; i < LEN(row); i++) {
		struct reply r;

		live_call(&r, row[i].method, row[i].path, row[i].auth, row[i].head, row[i].body);
		check(r.status == row[i].status, "secrets %lu: %d", (unsigned long)i, r.status);
		check(!r.all.p || !strstr(r.all.p, "S3CRETpw"), "secrets %lu: the password is answered: %s", (unsigned long)i, r.all.p);
		reply_free(&r);
	}
	live_stop(SIGTERM);
	snprintf(path, sizeof path, "%s/store/journal", live.root);
	check(!sys_slurp(live.log, 1 << 20, &log, &e) && !sys_slurp(path, 1 << 20, &journal, &e), "%s", e.msg);
	check(strstr(log.p, "/api/v1/queues/me") != NULL, "the log has its lines: %s", log.p);
	check(!strstr(log.p, "S3CRET") && !strstr(log.p, coded), "the log has no password");
	check(!strstr(journal.p, "S3CRET"), "the journal has no password");
	check(strstr(journal.p, "$pbkdf2-sha256$29000$") != NULL, "it has its hash as the reference stores it");
	buf_free(&log);
	buf_free(&journal);
}

static void
test_no_create(void)
{
	struct reply r;

	live_start("--no-create");
	live_call(&r, "POST", "/api/v1/queues", NULL, NULL, "{\"queue_name\":\"more\",\"password\":\"x\"}");
	check(r.status == 403, "--no-create: %d", r.status);
	reply_free(&r);
	live_call(&r, "GET", "/api/v1/queues/me", keys, NULL, NULL);
	check(r.status == 200, "what is there goes on: %d", r.status);
	reply_free(&r);
	live_stop(SIGTERM);
}

int
main(void)
{
	if (live_start(NULL)) {
		test_rows();
		check(live_stop(SIGTERM) == 0, "SIGTERM ends it with 0");
		live_start(NULL);
		test_submit_keys();
		test_run_tokens();
		test_wrong_passwords();
		test_secrets();
		test_no_create();
	}
	live_done();
	return test_done("rest");
}
