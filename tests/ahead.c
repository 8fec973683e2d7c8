/* SPDX-License-Identifier: MIT */
/* journal.c with zeros written ahead, on real files: killed at any turn, torn, on a disk without room for them, at a clean end. */
#include "../server/journal.c"
#include "test.h"

#include <sys/stat.h>

enum { AHEAD = 64 << 10 };

static char dir[60];
static char *path;
static struct os os;
static struct journal *jl;
static struct store *st;
static struct err err;
static bool no_room;
static unsigned serial;

static ssize_t
write_or_not(void *ctx, int fd, const void *p, size_t n)
{
	if (no_room && n && !*(const char *)p) {   /* zeros */
		errno = ENOSPC;
		return -1;
	}
	return os_real.write(ctx, fd, p, n < 100 ? n : n - n / 3);
}

/* What is in the system's memory is there for the next that opens. */
static int
no_sync(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return 0;
}

static bool
opens(void)
{
	struct journal_opts o = {.os = &os, .dir = dir, .ahead = AHEAD};

	err = (struct err){0};
	jl = journal_open(&o, &st, &err);
	return jl;
}

static void
closes(void)
{
	if (jl)
		journal_close(jl);
	store_free(st);
	jl = NULL;
	st = NULL;
}

/* A queue in a turn of its own. */
static bool
add(void)
{
	char name[20];
	struct err e = {0};

	snprintf(name, sizeof name, "q%u", ++serial);
	return queue_create(st, str_of(name), "$h", NULL, time_now(&os), &e) && !journal_commit(jl, &st, time_now(&os), &err);
}

static bool
has_all(unsigned n)
{
	char name[20];
	unsigned found = 0;

	for (unsigned i = 1; i <= n; i++) {
		snprintf(name, sizeof name, "q%u", i);
		found += queue_find(st, str_of(name)) != NULL;
	}
	return found == n;
}

static uint64_t
size(void)
{
	struct stat s = {0};

	stat(path, &s);
	return (uint64_t)s.st_size;
}

/* Killed after each of many turns, as nothing is done at the end. */
static void
test_killed(void)
{
	int exact = 0;

	check(opens(), "opened: %s", err.msg);
	for (int i = 0; i < 400; i++) {
		check(add(), "a turn: %s", err.msg);
		check(jl->file.size >= jl->file.end && size() == jl->file.size, "zeros behind the end");
		exact += jl->file.size == jl->file.end;   /* the turn took the last of them */
		if (i % 7)
			continue;
		closes();
		check(opens() && has_all(serial), "opened again at %d: %s", i, err.msg);
		check(size() == jl->file.size, "nothing was cut");
	}
	check(exact < 5, "%d turns of 400 had none behind them", exact);
	closes();
}

/* A turn of which a part is there, where zeros were. */
static void
test_torn(void)
{
	static const char part[] = "{\"queue\":\"9d3a6231-90d0-4695-8208-73488584aa46\",\"seq\":1}\n{\"commit\":1,\"bytes\":5";
	uint64_t end;
	int fd;

	check(opens() && add(), "opened: %s", err.msg);
	end = jl->file.end;
	closes();
	fd = open(path, O_RDWR);
	check(fd >= 0 && pwrite(fd, part, sizeof part - 1, (off_t)end) == (ssize_t)sizeof part - 1, "a part is written");
	close(fd);
	check(opens() && has_all(serial) && size() == end && jl->file.end == end, "it is cut: %s", err.msg);
	check(add() && size() > end, "the next turn: %s", err.msg);
	closes();
	check(opens() && has_all(serial), "opened again: %s", err.msg);
	closes();
}

/* Without room for zeros it goes on without. */
static void
test_full(void)
{
	check(opens() && add(), "opened: %s", err.msg);
	no_room = true;
	for (int i = 0; i < 600; i++)
		check(add(), "a turn: %s", err.msg);
	check(!jl->ahead && size() == jl->file.end, "no zeros any more");
	no_room = false;
	closes();
	check(opens() && has_all(serial), "opened again: %s", err.msg);
	closes();
}

/* A failed write is undone, and the next turn stands where it should. */
static void
test_undone(void)
{
	check(opens() && add() && add(), "opened: %s", err.msg);
	check(!cut(jl) && size() == jl->file.end && add(), "cut: %s", err.msg);
	reload(jl, &st, time_now(&os));
	check(has_all(serial) && add(), "read again: %s", err.msg);
	closes();
	check(opens() && has_all(serial), "opened again: %s", err.msg);
	check(!journal_flush(jl, &err) && size() == jl->file.end, "a clean end leaves no zeros: %s", err.msg);
	closes();
	check(opens() && has_all(serial), "and is read: %s", err.msg);
	closes();
}

int
main(void)
{
	char *spare;

	os = os_real;
	os.write = write_or_not;
	os.sync = no_sync;
	snprintf(dir, sizeof dir, "/tmp/labtasker-ahead.%ld", (long)getpid());
	if (mkdir(dir, 0700) < 0 || !freopen("/dev/null", "w", stderr))   /* the journal's notices */
		return 2;
	path = beside(dir, "journal");
	test_killed();
	test_torn();
	test_full();
	test_undone();
	unlink(path);
	spare = beside(dir, "reserve");
	unlink(spare);
	rmdir(dir);
	free(spare);
	free(path);
	return test_done("ahead");
}
