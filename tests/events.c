/* SPDX-License-Identifier: MIT */
/* Events: which change sends which, in which form; the turn they belong to; what a listener sees that comes late, is slow, comes
 * back, or outlives its queue; and the counts. */
#include "../server/state.h"
#include "test.h"

#include <math.h>

static struct store *st;
static struct events *ev;
static struct queue *q;
static struct err err;
static int64_t clock_us;
static const uuid start = {1, 2, 3, 4, 5, 6, 0x40, 8, 0x80, 10, 11, 12, 13, 14, 15, 16};
#define START "01020304-0506-4008-800a-0b0c0d0e0f10"

static struct now
now(void)
{
	clock_us += 1000;
	return (struct now){1700000000000000 + clock_us, clock_us};
}

static void
open_store(void)
{
	store_free(st);
	st = store_new();
	q = queue_create(st, str_of("q"), "$hash", NULL, now(), &err);
}

static void
open_all(size_t keep)
{
	if (ev)
		events_free(ev);
	open_store();
	ev = events_new(start, keep);
	events_attach(ev, st);
}

static struct json_doc *
doc(const char *text)
{
	struct json_doc *d = json_parse(text, strlen(text), NULL);

	if (!d)
		abort();
	return d;
}

static char *
submit(const char *args)
{
	static char id[37];
	struct json_doc *d = doc(args);
	struct submit in = {.args = d->root, .heartbeat_timeout = NAN, .max_retries = 2, .priority = 10};
	uuid made;

	sys_random(in.fresh, 16);
	check(!queue_submit(st, q, &in, now(), made, &err), "submit: %s", err.msg);
	uuid_print(made, id);
	json_free(d);
	return id;
}

static char *
worker(int64_t retries)
{
	static char id[37];
	uuid made;

	sys_random(made, 16);
	uuid_print(made, id);
	queue_worker_create(st, q, (struct str){0}, NULL, retries, made, now(), &err);
	return id;
}

static void
fetch(const char *by)
{
	struct fetch in = {.start_heartbeat = true, .heartbeat_timeout = NAN};
	struct task *t;

	in.has_worker = by && !uuid_parse(str_of(by), in.worker);
	check(queue_fetch(st, q, &in, now(), &t, &err) == 1, "fetch: %s", err.msg);
}

static int
report(const char *id, enum status status)
{
	struct report in = {.status = status};

	err = (struct err){0};
	return queue_report(st, q, str_of(id), &in, now(), &err);
}

static void
update(const char *id, const char *rest, bool reset)
{
	char *text = xprintf("{\"task_id\":\"%s\"%s}", id, rest);
	struct json_doc *d = doc(text);
	struct task *t;

	err = (struct err){0};
	check(!queue_task_update(st, q, d->root, reset, NULL, now(), &t, &err), "%s: %s", text, err.msg);
	json_free(d);
	free(text);
}

static void
settle(bool held)
{
	events_settle(ev, held, clock_us);
}

/* What of a block is wanted: "task pending running 7 worker" with the sequence, and the worker that the data names, "-" none. */
static const char *
seen(struct listener *l)
{
	static char line[200];
	struct json_doc *d;
	const struct json *e, *w;
	struct str b;
	const char *data, *end;

	if (!events_next(l, &b))
		return "nothing";
	data = "event: event\r\ndata: ";
	check(b.n > strlen(data) && !memcmp(b.p, data, strlen(data)), "a block begins with its event: %.*s", (int)b.n, b.p);
	data = b.p + strlen(data);
	end = memchr(data, '\r', b.n);
	d = json_parse(data, (size_t)(end - data), NULL);
	check(d && json_gets(d->root, "event"), "data is JSON: %.*s", (int)b.n, b.p);
	if (!d)
		return "rubbish";
	e = json_gets(d->root, "event");
	w = json_gets(json_gets(e, "entity_data"), "worker_id");
	snprintf(line, sizeof line, "%s %s %s %s %s", json_gets(e, "entity_type")->s, json_gets(e, "old_state")->s,
	    json_gets(e, "new_state")->s, json_gets(d->root, "sequence")->s, w && w->type == JSON_STR ? w->s : "-");
	check(!strcmp(json_gets(e, "entity_id")->s, json_gets(e, "entity_data")->head->s)
	    && str_is(json_gets(e, "entity_data")->head->key, "_id"), "entity_data begins with _id");
	check(!strcmp(json_gets(json_gets(e, "entity_data"), "status")->s, json_gets(e, "new_state")->s), "and is as it is now");
	json_free(d);
	return line;
}

static void
expect(struct listener *l, const char *want)
{
	const char *got = seen(l);

	check(!strcmp(got, want), "want '%s', got '%s'", want, got);
}

static const char *
with(const char *line, const char *id)
{
	static char text[200];

	snprintf(text, sizeof text, "%s %s", line, id);
	return text;
}

static void
test_transitions(void)
{
	struct listener *l;
	char t[37], w[37];

	open_all(100);
	l = events_listen(ev, q, (struct str){0});
	strcpy(w, worker(3));
	strcpy(t, submit("{\"a\":1}"));
	fetch(w);
	settle(true);
	expect(l, "worker created active 1 -");
	expect(l, "task created pending 2 -");
	expect(l, with("task pending running 3", w));
	report(t, FAILED);
	settle(true);
	expect(l, "worker active active 4 -");
	expect(l, "task running pending 5 -");
	fetch(w);
	report(t, FAILED);
	check(!report(t, FAILED), "a failed task may fail again");
	settle(true);
	expect(l, with("task pending running 6", w));
	expect(l, "worker active active 7 -");
	expect(l, "task running failed 8 -");
	expect(l, "nothing");
	update(t, ",\"priority\":3", false);
	settle(true);
	expect(l, "nothing");
	update(t, "", true);
	update(t, "", true);
	update(t, ",\"status\":\"pending\"", false);
	fetch(w);
	update(t, ",\"status\":\"pending\"", false);
	fetch(w);
	update(t, "", true);
	settle(true);
	expect(l, "task failed pending 9 -");
	expect(l, "task pending pending 10 -");
	expect(l, with("task pending running 11", w));
	expect(l, with("task running pending 12", w));
	expect(l, with("task pending running 13", w));
	expect(l, "task running pending 14 -");
	report(t, CANCELLED);
	report(t, CANCELLED);
	check(report(t, SUCCESS) < 0, "refused");
	queue_worker_set(st, q, str_of(w), SUSPENDED, now(), &err);
	queue_worker_set(st, q, str_of(w), ACTIVE, now(), &err);
	queue_worker_delete(st, q, str_of(w), true, now(), &err);
	queue_task_delete(st, q, str_of(t), now(), &err);
	settle(true);
	expect(l, "task pending cancelled 15 -");
	expect(l, "task cancelled cancelled 16 -");
	expect(l, "worker active suspended 17 -");
	expect(l, "worker suspended active 18 -");
	expect(l, "nothing");
	events_leave(l);
}

static void
test_timeout(void)
{
	struct listener *l;
	char w[37];

	open_all(100);
	strcpy(w, worker(1));
	update(submit("{\"a\":1}"), ",\"heartbeat_timeout\":1", false);
	fetch(w);
	settle(true);
	l = events_listen(ev, q, (struct str){0});
	clock_us += 1000000;
	queue_expire(st, now());
	settle(true);
	expect(l, "worker active crashed 4 -");
	expect(l, "task running pending 5 -");
	events_leave(l);
}

static void
test_turns(void)
{
	struct listener *l;

	open_all(100);
	l = events_listen(ev, q, (struct str){0});
	submit("{\"a\":1}");
	expect(l, "nothing");
	settle(false);
	expect(l, "nothing");
	submit("{\"a\":1}");
	settle(true);
	expect(l, "task created pending 1 -");
	submit("{\"a\":1}");
	events_leave(l);
	l = events_listen(ev, q, (struct str){0});
	submit("{\"a\":1}");
	settle(true);
	expect(l, "task created pending 3 -");
	events_leave(l);
	check(!events_listeners(ev, NULL), "all have left");
}

static void
test_places(void)
{
	static const struct {
		const char *last, *want;
	} rows[] = {
		{"", "nothing"}, {START "-0", "task created pending 3 -"}, {START "-3", "task created pending 4 -"},
		{START "-5", "nothing"}, {START "-99", "nothing"}, {START "--1", "nothing"}, {START "-x", "nothing"}, {START "-", "nothing"},
		{START, "nothing"}, {START "-4 ", "nothing"}, {"0a020304-0506-4008-800a-0b0c0d0e0f10-4", "task created pending 3 -"},
		{"garbage", "nothing"},
	};
	struct listener *l, *slow;
	struct buf b = {0};

	open_all(3);
	slow = events_listen(ev, q, (struct str){0});
	for (int i = 0; i < 5; i++) {
		submit("{\"a\":1}");
		settle(true);
	}
	for (size_t i = 0; i < LEN(rows); i++) {
		l = events_listen(ev, q, str_of(rows[i].last));
		expect(l, rows[i].want);
		events_leave(l);
	}
	expect(slow, "task created pending 3 -");
	expect(slow, "task created pending 4 -");
	events_hello(slow, start, &b);
	check(!strcmp(b.p, "event: connection\r\ndata: {\"status\":\"connected\",\"client_id\":\"" START "\"}\r\nretry: 3000\r\nid: " START
	    "-4\r\n\r\n"), "hello: %s", b.p);
	buf_free(&b);
	events_leave(slow);
}

/* The store is read anew when a turn is undone; a queue that goes takes its listeners' stream with it. */
static void
test_queues(void)
{
	struct listener *l, *other;
	struct queue *r;

	open_all(100);
	r = queue_create(st, str_of("r"), "$hash", NULL, now(), &err);
	l = events_listen(ev, q, (struct str){0});
	other = events_listen(ev, r, (struct str){0});
	submit("{\"a\":1}");
	settle(true);
	expect(other, "nothing");
	expect(l, "task created pending 1 -");
	queue_delete(st, q, now());
	settle(false);
	check(!events_over(l), "the deletion was undone");
	open_store();
	events_attach(ev, st);
	check(events_listeners(ev, NULL) == 2, "listeners outlive the store");
	events_leave(l);
	l = events_listen(ev, q, (struct str){0});
	submit("{\"a\":1}");
	queue_delete(st, q, now());
	settle(true);
	check(events_over(l) && !events_over(other), "one queue is gone");
	expect(l, "nothing");
	events_leave(l);
	events_leave(other);
}

/* Large events give way before there are many; the last is always there. */
static void
test_bytes(void)
{
	struct listener *l;
	char *text = xmalloc(9 << 20);
	int n = 0;

	open_all(100);
	memset(text, 'x', 9 << 20);
	memcpy(text, "{\"a\":\"", 6);
	memcpy(text + (9 << 20) - 3, "\"}", 3);
	l = events_listen(ev, q, (struct str){0});
	for (int i = 0; i < 9; i++) {
		submit(text);
		settle(true);
	}
	for (struct str b; events_next(l, &b); n++)
		;
	check(n == 3, "%d events of 9 MiB in 32 MiB", n);
	events_leave(l);
	free(text);
}

static void
test_counts(void)
{
	double rate;
	char t[37];

	open_all(100);
	clock_us = 600000000;
	for (int i = 0; i < 12; i++)
		strcpy(t, submit("{\"a\":1}"));
	settle(false);
	check(!events_total(ev, q, TALLY_SUBMITTED), "what is undone is not counted");
	for (int i = 0; i < 12; i++)
		strcpy(t, submit("{\"a\":1}"));
	settle(true);
	check(events_total(ev, q, TALLY_SUBMITTED) == 12, "12 were submitted");
	rate = events_rate(ev, q, TALLY_SUBMITTED, 1, clock_us);
	check(rate > 11.9 && rate < 12.1, "12 in this minute: %g", rate);
	rate = events_rate(ev, q, TALLY_SUBMITTED, 1, clock_us + 75000000);
	check(rate > 8.8 && rate < 9.2, "three quarters of the last minute: %g", rate);
	rate = events_rate(ev, q, TALLY_SUBMITTED, 10, clock_us + 75000000);
	check(rate > 1.1 && rate < 1.3, "12 in ten minutes: %g", rate);
	rate = events_rate(ev, q, TALLY_SUBMITTED, 59, clock_us + INT64_C(4000000000));
	check(rate > -0.1 && rate < 0.001, "an hour later: %g", rate);
	check(events_total(ev, q, TALLY_SUBMITTED) == 12 && !events_total(ev, q, TALLY_STARTED), "totals stay");
}

int
main(void)
{
	test_transitions();
	test_timeout();
	test_turns();
	test_places();
	test_queues();
	test_bytes();
	test_counts();
	events_free(ev);
	store_free(st);
	return test_done("events");
}
