/* SPDX-License-Identifier: MIT */
/*
 * One call of the API, pure: its request, how it may be repeated, what its answer means.  What means the same twice is repeated
 * freely; what has a key or a run token, on a server of ours only; all else only while nothing of it can have arrived.  So
 * nothing is done twice.  Where that leaves the outcome open, the call ends with unknown set and says how to look.
 */
#include "labtasker.h"

#include <stdlib.h>
#include <string.h>

enum {
	ANSWER = 10, BEAT = 5,       /* seconds for a try, without a byte moving */
	STREAM = 60,                 /* likewise, where a ping comes every 15 */
	SLOW = 120,                  /* a whole queue, on the reference's server */
	PERSON = 30, HEALTH = 10     /* seconds for a call whose caller names no deadline */
};

static const struct call_row rows[API_COUNT] = {
#define ME "/api/v1/queues/me"
	[API_HEALTH] = {"GET", "/health", CALL_READ, ANSWER, HEALTH, NULL},
	[API_HEALTH_FULL] = {"GET", "/health/full", CALL_READ, ANSWER, HEALTH, NULL},
	[API_QUEUE_CREATE] = {"POST", "/api/v1/queues", CALL_ONCE, ANSWER, PERSON, "look with `labtasker queue get`"},
	[API_QUEUE_GET] = {"GET", ME, CALL_READ, ANSWER, PERSON, NULL},
	[API_QUEUE_UPDATE] = {"PUT", ME, CALL_ONCE, ANSWER, PERSON, "look with `labtasker queue get`"},
	[API_QUEUE_DELETE] = {"DELETE", ME, CALL_ONCE, SLOW, SLOW, "look with `labtasker queue get`"},
	[API_SUBMIT] = {"POST", ME "/tasks", CALL_KEYED, ANSWER, PERSON, "look with `labtasker task ls` before submitting it again"},
	[API_TASK_SEARCH] = {"POST", ME "/tasks/search", CALL_READ, ANSWER, PERSON, NULL},
	[API_FETCH] = {"POST", ME "/tasks/next", CALL_KEYED, ANSWER, PERSON, "look with `labtasker task ls -s running`"},
	[API_STATUS] = {"POST", ME "/tasks/*/status", CALL_RUN, ANSWER, PERSON, "look with `labtasker task ls`"},
	[API_HEARTBEAT] = {"POST", ME "/tasks/*/heartbeat", CALL_SAME, BEAT, PERSON, NULL},
	[API_TASK_GET] = {"GET", ME "/tasks/*", CALL_READ, ANSWER, PERSON, NULL},
	[API_TASK_UPDATE] = {"PUT", ME "/tasks", CALL_RUN, ANSWER, PERSON, "look with `labtasker task ls`"},
	[API_TASK_DELETE] = {"DELETE", ME "/tasks/*", CALL_GONE, ANSWER, PERSON, NULL},
	[API_WORKER_CREATE] = {"POST", ME "/workers", CALL_ONCE, ANSWER, PERSON, "look with `labtasker worker ls`"},
	[API_WORKER_SEARCH] = {"POST", ME "/workers/search", CALL_READ, ANSWER, PERSON, NULL},
	[API_WORKER_GET] = {"GET", ME "/workers/*", CALL_READ, ANSWER, PERSON, NULL},
	[API_WORKER_STATUS] = {"POST", ME "/workers/*/status", CALL_SAME, ANSWER, PERSON, NULL},
	[API_WORKER_DELETE] = {"DELETE", ME "/workers/*", CALL_GONE, ANSWER, PERSON, NULL},
	[API_STATS] = {"GET", ME "/stats", CALL_READ, ANSWER, PERSON, NULL},
	[API_EVENTS] = {"GET", ME "/events", CALL_READ, STREAM, PERSON, NULL},
#undef ME
};

const struct call_row *
call_row(const struct call *k)
{
	return &rows[k->api];
}

struct call *
call_new(enum api api)
{
	struct call *k = xcalloc(1, sizeof *k);

	k->api = api;
	return k;
}

void
call_free(struct call *k)
{
	if (!k)
		return;
	buf_free(&k->body);
	json_free(k->doc);
	free(k);
}

bool
call_repeatable(const struct call *k, bool ours)
{
	enum call_repeat r = rows[k->api].repeat;

	return r <= CALL_GONE || (ours && ((r == CALL_KEYED && k->key[0]) || (r == CALL_RUN && k->run[0])));
}

void
call_put(struct buf *b, const struct call *k, const char *prefix, struct str head, bool ours)
{
	const struct call_row *r = &rows[k->api];
	const char *star = strchr(r->path, '*');

	buf_printf(b, "%s %s", r->method, prefix);
	buf_add(b, r->path, star ? (size_t)(star - r->path) : strlen(r->path));
	if (star) {
		http_escape(b, str_of(k->id));
		buf_adds(b, star + 1);
	}
	buf_printf(b, "%s%s HTTP/1.1\r\n", k->query[0] ? "?" : "", k->query);
	buf_add(b, head.p, head.n);
	if (ours && k->key[0])
		buf_printf(b, "Idempotency-Key: %s\r\n", k->key);
	if (ours && k->run[0])
		buf_printf(b, "Labtasker-Run: %s\r\n", k->run);
	if (ours && k->last[0])
		buf_printf(b, "Last-Event-ID: %s\r\n", k->last);
	if (ours && k->wait)
		buf_printf(b, "Prefer: wait=%d\r\n", k->wait);
	if (k->body.len || r->method[0] == 'P')
		buf_printf(b, "Content-Length: %lu\r\n", (unsigned long)k->body.len);
	buf_adds(b, "\r\n");
	buf_add(b, k->body.p, k->body.len);
}

void
call_unanswered(struct call *k, bool maybe, const char *url, const char *why)
{
	const struct call_row *r = &rows[k->api];

	k->status = 0;
	k->unknown = maybe && r->repeat != CALL_READ;
	if (k->unknown && r->look)
		err_set(&k->err, EXIT_REFUSED, "%s: %s; the outcome is unknown: %s", url, why, r->look);
	else
		err_set(&k->err, EXIT_REFUSED, "%s: %s", url, why);
	k->done = true;
}

struct json *
call_get(const struct call *k, const char *key)
{
	return k->doc ? json_gets(k->doc->root, key) : NULL;
}

static void
add_text(struct buf *b, const struct json *v)
{
	struct str s = json_text(v);

	buf_add(b, s.p, s.n);
}

/* A 422's list: "args.a: Field required; priority: ...", else the text of detail. */
static void
put_detail(struct buf *b, const struct json *detail)
{
	add_text(b, detail);
	if (!detail || detail->type != JSON_ARR)
		return;
	for (const struct json *item = detail->head; item; item = item->next) {
		const struct json *loc = json_gets(item, "loc"), *msg = json_gets(item, "msg"), *part;

		buf_adds(b, b->len ? "; " : "");
		for (part = loc && loc->type == JSON_ARR && loc->head ? loc->head->next : NULL; part; part = part->next) {
			if (part->s)
				buf_add(b, part->s, part->len);
			buf_adds(b, part->next ? "." : ": ");
		}
		add_text(b, msg);
	}
}

static void
refused(struct call *k, const char *url, const char *location)
{
	struct buf text = {0};

	put_detail(&text, call_get(k, "detail"));
	if (k->status == 404 && (!text.len || !strcmp(text.p, "Not Found")))
		err_set(&k->err, k->status, "%s: answered 404 Not Found: is it the address of a Labtasker server?", url);
	else if (text.len)
		err_set(&k->err, k->status, "%s", text.p);
	else if (k->status < 400 && location[0])
		err_set(&k->err, k->status, "%s: answered %d: it points to %s: name that one", url, k->status, location);
	else
		err_set(&k->err, k->status, "%s: answered %d %s%s", url, k->status, http_reason(k->status),
		    k->status == 400 && !k->doc && !strncmp(url, "http:", 5) ? ": is it one for https://?" : "");
	buf_free(&text);
}

void
call_answer(struct call *k, int status, struct str body, const char *url, const char *location)
{
	const struct call_row *r = &rows[k->api];
	struct err e = {0};

	k->status = status;
	k->done = true;
	if (status == 404 && r->repeat == CALL_GONE && k->maybe) {
		k->status = 204;   /* our own earlier try removed it */
		return;
	}
	if (body.n)
		k->doc = json_parse(body.p, body.n, &e);
	if (status < 200 || status > 299) {
		refused(k, url, location);
		k->unknown = status >= 500 && status != 503 && r->repeat != CALL_READ;
	} else if (body.n && !k->doc) {
		call_unanswered(k, true, url, "what answers there speaks no JSON: is it a Labtasker server?");
	}
}
