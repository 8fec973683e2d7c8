/* SPDX-License-Identifier: MIT */
/* A wall clock that jumps neither fails a task nor keeps one.  (Across restarts: tests/queue.c, tests/sim.c.) */
#include "../server/state.h"
#include "test.h"

#include <math.h>

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)

static struct store *st;
static struct queue *q;
static struct err err;
static int64_t wall, mono;
static char id[37];

static struct now
now(void)
{
	return (struct now){wall, mono};
}

/* Time goes on by so much, and the wall clock by a jump more; the server notices in its next turn. */
static void
pass(int64_t us, int64_t jump)
{
	size_t n;

	wall += us + jump;
	mono += us;
	queue_expire(st, now());
	buf_clear(store_turn(st, &n));
}

static void
begin(double heartbeat, int64_t timeout)
{
	struct json_doc *d = json_parse("{\"a\":1}", 7, NULL);
	struct submit in = {
		.args = d->root, .heartbeat_timeout = heartbeat, .has_task_timeout = timeout > 0, .task_timeout = timeout, .max_retries = 1
	};
	struct fetch f = {.start_heartbeat = true, .heartbeat_timeout = NAN};
	struct task *t;
	uuid made;

	store_free(st);
	wall = 1700000000 * SECOND;
	mono = 5 * SECOND;
	st = store_new();
	q = queue_create(st, str_of("q"), "$hash", NULL, now(), &err);
	sys_random(in.fresh, 16);
	queue_submit(st, q, &in, now(), made, &err);
	uuid_print(made, id);
	json_free(d);
	pass(0, 0);
	check(queue_fetch(st, q, &f, now(), &t, &err) == 1, "fetched");
	pass(0, 0);
}

static bool
runs(void)
{
	return queue_task(q, str_of(id))->v.status == RUNNING;
}

static void
beat(void)
{
	check(!queue_heartbeat(st, q, str_of(id), (struct str){0}, NULL, now(), &err), "heartbeat: %s", err.msg);
}

static const int64_t jumps[] = {0, DAY, -DAY, 3 * SECOND, -3 * SECOND, 20000 * DAY, -19000 * DAY, SECOND / 2};

static void
test_heartbeats(void)
{
	for (size_t i = 0; i < LEN(jumps); i++) {
		begin(10, 0);
		for (int k = 0; k < 20; k++) {
			pass(5 * SECOND, jumps[i]);
			check(runs(), "it beats, whatever the clock says (%d, %d)", (int)i, k);
			beat();
		}
		pass(0, jumps[i]);
		check(queue_due(st) == mono + 10 * SECOND, "due in ten seconds");
		pass(10 * SECOND - 1, -jumps[i]);
		check(runs(), "not yet");
		pass(1, jumps[i]);
		check(!runs(), "but now");
	}
}

static void
test_task_timeout(void)
{
	for (size_t i = 0; i < LEN(jumps); i++) {
		begin(NAN, 100);
		pass(50 * SECOND, jumps[i]);
		pass(50 * SECOND - 1, -2 * jumps[i]);
		check(runs(), "not yet (%d)", (int)i);
		pass(1, 0);
		check(!runs(), "but now");
	}
}

int
main(void)
{
	test_heartbeats();
	test_task_timeout();
	store_free(st);
	return test_done("clock");
}
