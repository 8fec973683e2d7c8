/* SPDX-License-Identifier: MIT */
/*
 * How large the journal gets, and how long compaction holds up a turn: make bench-journal.
 *   bound   one old task and a million changes of another: the largest the file and its successor were together, which must stay
 *           under 64 MB or three times the live data
 *   pause   TASKS tasks (1,000,000), ten changes a turn until the journal has been written anew: the longest turn while it was (commit,
 *           sync and slice), and while it was not, which is the disk's own; the difference must stay under 50 ms
 * The store lies in DIR, on a disk; --sync=always, as served.
 */
#include "../server/server.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct journal *jl;
static struct store *st;
static const char *dir;
static bool failed;

static struct now
now(void)
{
	return (struct now){sys_wall(), sys_mono()};
}

static void
check(bool ok, const char *what)
{
	if (!ok)
		printf("FAILED: %s\n", what);
	failed |= !ok;
}

static int64_t
size_of(const char *name)
{
	char *path = xprintf("%s/%s", dir, name);
	struct stat s;
	int64_t n = stat(path, &s) ? 0 : (int64_t)s.st_size;

	free(path);
	return n;
}

static void
forget(void)
{
	static const char *const names[] = {"journal", "journal.new", "reserve"};

	for (size_t i = 0; i < LEN(names); i++) {
		char *path = xprintf("%s/%s", dir, names[i]);

		unlink(path);
		free(path);
	}
}

static void
begin(int sync)
{
	struct journal_opts o = {.os = &os_real, .dir = dir, .sync = sync};
	struct err e = {0};

	jl = journal_open(&o, &st, &e);
	if (!jl)
		die(1, "%s", e.msg);
}

static void
end(void)
{
	struct err e = {0};

	journal_flush(jl, &e);
	journal_close(jl);
	store_free(st);
}

/* Commits, and does what is due: how long a server would have been busy. */
static int64_t
turn(int64_t *next)
{
	int64_t from = sys_mono();
	struct err e = {0};

	if (journal_commit(jl, &st, now(), &e) < 0)
		die(1, "%s", e.msg);
	*next = journal_work(jl, &st, now());
	return sys_mono() - from;
}

static void
submit(struct queue *q, const struct json *args, char text[37])
{
	struct submit in = {.args = args, .heartbeat_timeout = 60, .max_retries = 3, .priority = 10};
	struct err e = {0};
	uuid id;

	sys_random(in.fresh, sizeof in.fresh);
	if (queue_submit(st, q, &in, now(), id, &e) < 0)
		die(1, "%s", e.msg);
	uuid_print(id, text);
}

static void
change(struct queue *q, const char *id, int priority)
{
	struct json_doc *d = json_new();
	struct err e = {0};
	struct task *t;

	d->root = json_mkobj(d);
	json_set(d, d->root, str_of("task_id"), json_mkstr(d, str_of(id)));
	json_set(d, d->root, str_of("priority"), json_mkint(d, priority));
	if (queue_task_update(st, q, d->root, false, NULL, now(), &t, &e) < 0)
		die(1, "%s", e.msg);
	json_free(d);
}

static struct queue *
new_queue(void)
{
	struct err e = {0};
	struct queue *q = queue_create(st, str_of("default"), "$hash", NULL, now(), &e);

	if (!q)
		die(1, "%s", e.msg);
	return q;
}

static void
bound(const struct json *args)
{
	int64_t most = 0, next, limit;
	struct queue *q;
	char old[37], id[37];

	begin(SYNC_NEVER);
	q = new_queue();
	submit(q, args, old);
	submit(q, args, id);
	for (int i = 0; i < 1000000; i++) {
		int64_t n;

		change(q, id, i % 1000);
		if (i % 10)
			continue;
		turn(&next);
		n = i % 1000 ? 0 : size_of("journal") + size_of("journal.new");
		most = n > most ? n : most;
	}
	limit = 3 * (int64_t)store_live(st) > 64 << 20 ? 3 * (int64_t)store_live(st) : 64 << 20;
	printf("bound: %.1f MB at most over 1,000,000 changes, %.1f MB at the end\n", (double)most / 1e6, (double)size_of("journal") / 1e6);
	check(most < limit, "the journal is not bounded");
	end();
	forget();
}

static bool
pause_of(const struct json *args, int tasks)
{
	int64_t next = 0, calm = 0, busy = 0, us, longest = 0, began = 0, most = 0, took = 0;
	char (*ids)[37] = xmalloc(1000 * sizeof *ids);
	int slices = 0, turns = 0;
	struct queue *q;

	begin(SYNC_NEVER);
	q = new_queue();
	for (int i = 0; i < tasks; i++) {
		submit(q, args, ids[i % 1000]);
		if (i % 1000 == 999)
			turn(&next);
	}
	turn(&next);
	end();
	begin(SYNC_ALWAYS);
	q = queue_find(st, str_of("default"));
	/* Until a compaction is due the file grows in large turns; then it is served as always. */
	for (int i = 0; !began || slices; i++) {
		bool was = slices > 0;

		for (int k = 0; k < (began ? 10 : 2000); k++)
			change(q, ids[(i + k) % 1000], i % 1000);
		us = turn(&next);
		if (next <= sys_mono() && !slices && size_of("journal.new"))
			began = sys_mono();
		slices = size_of("journal.new") ? slices + 1 : 0;
		if (was || slices)
			busy = us > busy ? us : busy, turns++;
		if (!slices && was)
			longest = us, took = sys_mono() - began;
		most = size_of("journal") + size_of("journal.new") > most ? size_of("journal") + size_of("journal.new") : most;
	}
	for (int i = 0; i < turns; i++) {
		for (int k = 0; k < 10; k++)
			change(q, ids[(i + k) % 1000], i % 1000);
		us = turn(&next);
		calm = us > calm ? us : calm;
	}
	printf("pause: %d tasks, compaction of %.0f MB to %.0f MB in %d turns, %.1f s: longest turn %.1f ms, the last %.1f ms; as many "
	    "turns without: %.1f ms\n", tasks, (double)most / 1e6, (double)size_of("journal") / 1e6, turns, (double)took / 1e6,
	    (double)busy / 1e3, (double)longest / 1e3, (double)calm / 1e3);
	end();
	free(ids);
	forget();
	return busy - calm < 50000;
}

int
main(int argc, char **argv)
{
	const char *text = "{\"a\":1,\"b\":\"some text of a task\",\"c\":[1,2,3]}";
	struct json_doc *d = json_parse(text, strlen(text), NULL);
	int tasks = argc > 2 ? atoi(argv[2]) : 1000000;

	sys_start();
	if (argc < 2)
		die(2, "usage: journal DIR [TASKS]");
	dir = argv[1];
	forget();
	bound(d->root);
	for (int tries = 0; !pause_of(d->root, tasks); tries++) {
		if (tries == 2) {   /* others may use the machine too */
			check(false, "a compaction holds up the server");
			break;
		}
	}
	json_free(d);
	return failed;
}
