/* SPDX-License-Identifier: MIT */
/*
 * The journal on a disk that is simulated: it can be full, fail to sync, lose what was not synced, and be changed byte by byte.
 */
#include "../server/journal.c"
#include "test.h"

#include <stdio.h>

/* The journal talks on stderr, which is thrown away here; what fails is said on stdout. */
static void
holds_at(bool ok, const char *what, int line)
{
	if (!ok)
		printf("journal.c:%d: failed: %s\n", line, what);
	check(ok, "%s", what);
}
#define holds(cond) holds_at((cond), #cond, __LINE__)

/* ---- the disk ---- */

enum { FILES = 16, FDS = 16 };
struct disk_file {
	char name[64], durable[64];   /* "" none */
	struct buf data;
	size_t synced, forgotten;     /* forgotten: up to there a sync thinks that all is written, for one failed */
	bool used;
};
struct disk {
	struct disk_file file[FILES];
	struct {
		struct disk_file *f;
		size_t at;
		bool append;
	} fd[FDS];
	size_t room;                  /* bytes that can still be written */
	int bad_syncs, bad_cuts, bad_writes, bad_dirs, bad_opens;   /* so many of the next ones fail; opens as if nothing were there */
	int64_t wall, mono;
	uint32_t seed;
	unsigned long syncs;
};

static struct disk_file *
find(struct disk *d, const char *name)
{
	for (int i = 0; i < FILES; i++)
		if (d->file[i].used && !strcmp(d->file[i].name, name))
			return &d->file[i];
	return NULL;
}

static int64_t
sim_wall(void *ctx)
{
	return ((struct disk *)ctx)->wall;
}

static int64_t
sim_mono(void *ctx)
{
	return ((struct disk *)ctx)->mono;
}

static void
sim_random(void *ctx, void *p, size_t n)
{
	struct disk *d = ctx;

	for (size_t i = 0; i < n; i++) {
		d->seed = d->seed * 1103515245u + 12345u;
		((unsigned char *)p)[i] = (unsigned char)(d->seed >> 16);
	}
}

static int
sim_open(void *ctx, const char *path, int flags, mode_t mode)
{
	struct disk *d = ctx;
	struct disk_file *f = find(d, path);
	int fd = 0;

	(void)mode;
	if ((!f || (d->bad_opens && d->bad_opens--)) && !(flags & O_CREAT)) {
		errno = ENOENT;
		return -1;
	}
	if (f && flags & O_EXCL) {
		errno = EEXIST;
		return -1;
	}
	if (!f) {
		for (f = d->file; f->used; f++)
			;
		f->used = true;
		snprintf(f->name, sizeof f->name, "%s", path);
	}
	if (flags & O_TRUNC) {
		d->room += f->data.len;
		buf_clear(&f->data);
		f->synced = 0;
	}
	while (d->fd[fd].f)
		fd++;
	d->fd[fd].f = f;
	d->fd[fd].at = 0;
	d->fd[fd].append = flags & O_APPEND;
	return fd;
}

static ssize_t
sim_read(void *ctx, int fd, void *p, size_t n)
{
	struct disk *d = ctx;
	struct disk_file *f = d->fd[fd].f;
	size_t left = f->data.len - d->fd[fd].at;

	n = n < left ? n : left;
	n = n > 1000 ? n - n / 3 : n;   /* short reads */
	memcpy(p, f->data.p + d->fd[fd].at, n);
	d->fd[fd].at += n;
	return (ssize_t)n;
}

static ssize_t
sim_write(void *ctx, int fd, const void *p, size_t n)
{
	struct disk *d = ctx;
	struct disk_file *f = d->fd[fd].f;

	if (d->bad_writes && d->bad_writes--) {
		errno = EIO;
		return -1;
	}
	if (!d->room) {
		errno = ENOSPC;
		return -1;
	}
	n = n > 7 ? n - n / 4 : n;      /* short writes */
	n = n < d->room ? n : d->room;
	if (!d->fd[fd].append && d->fd[fd].at < f->data.len) {
		n = n < f->data.len - d->fd[fd].at ? n : f->data.len - d->fd[fd].at;
		memcpy(f->data.p + d->fd[fd].at, p, n);
		f->forgotten = d->fd[fd].at <= f->synced ? 0 : f->forgotten;
	} else {
		d->room -= n;
		buf_add(&f->data, p, n);
	}
	d->fd[fd].at += n;
	return (ssize_t)n;
}

static int
sim_truncate(void *ctx, int fd, int64_t size)
{
	struct disk *d = ctx;
	struct disk_file *f = d->fd[fd].f;

	if (d->bad_cuts && d->bad_cuts--) {
		errno = EIO;
		return -1;
	}
	if ((size_t)size < f->data.len) {
		d->room += f->data.len - (size_t)size;
		f->data.len = (size_t)size;
	}
	if (f->synced > f->data.len)
		f->synced = f->data.len;
	return 0;
}

static int
sim_sync(void *ctx, int fd)
{
	struct disk *d = ctx;
	struct disk_file *f = d->fd[fd].f;

	d->syncs++;
	if (d->bad_syncs && d->bad_syncs--) {
		f->forgotten = f->data.len;
		errno = EIO;
		return -1;
	}
	if (f->forgotten <= f->synced)
		f->synced = f->data.len;
	return 0;
}

static int64_t
sim_seek(void *ctx, int fd, int64_t off, int whence)
{
	struct disk *d = ctx;

	d->fd[fd].at = whence == SEEK_END ? d->fd[fd].f->data.len : (size_t)off;
	return (int64_t)d->fd[fd].at;
}

static int
sim_close(void *ctx, int fd)
{
	((struct disk *)ctx)->fd[fd].f = NULL;
	return 0;
}

static void
sim_drop(struct disk *d, struct disk_file *f)
{
	d->room += f->data.len;
	buf_free(&f->data);
	*f = (struct disk_file){0};
}

static int
sim_unlink(void *ctx, const char *path)
{
	struct disk_file *f = find(ctx, path);

	if (!f) {
		errno = ENOENT;
		return -1;
	}
	sim_drop(ctx, f);
	return 0;
}

static int
sim_rename(void *ctx, const char *from, const char *to)
{
	struct disk_file *f = find(ctx, from), *old = find(ctx, to);

	if (old)
		old->name[0] = 0;   /* it goes with the last descriptor */
	snprintf(f->name, sizeof f->name, "%s", to);
	return 0;
}

static int
sim_syncdir(void *ctx, const char *dir)
{
	struct disk *d = ctx;

	(void)dir;
	if (d->bad_dirs && d->bad_dirs--) {
		errno = EIO;
		return -1;
	}
	for (int i = 0; i < FILES; i++)
		if (d->file[i].used && !d->file[i].name[0])
			sim_drop(d, &d->file[i]);
		else
			memcpy(d->file[i].durable, d->file[i].name, sizeof d->file[i].name);
	return 0;
}

static struct disk disk;
static const struct os os = {
	.ctx = &disk, .wall = sim_wall, .mono = sim_mono, .random = sim_random, .open = sim_open, .read = sim_read, .write = sim_write,
	.truncate = sim_truncate, .sync = sim_sync, .seek = sim_seek, .close = sim_close, .rename = sim_rename, .unlink = sim_unlink,
	.syncdir = sim_syncdir,
};

static void
disk_new(void)
{
	for (int i = 0; i < FILES; i++)
		buf_free(&disk.file[i].data);
	memset(&disk, 0, sizeof disk);
	disk.room = SIZE_MAX / 2;
	disk.wall = 1700000000000000;
	disk.mono = 5000000;
	disk.seed = 7;
}

/* The power goes: of what was not synced, keep bytes are there. */
static void
power_cut(size_t keep)
{
	for (int i = 0; i < FILES; i++) {
		struct disk_file *f = &disk.file[i];

		if (f->used && f->data.len > f->synced + keep)
			f->data.len = f->synced + keep;
		memcpy(f->name, f->durable, sizeof f->name);
	}
	memset(disk.fd, 0, sizeof disk.fd);
}

/* ---- the store ---- */

static struct journal *jl;
static struct store *st;
static struct err err;

static bool
opens(int sync, bool mend)
{
	struct journal_opts o = {.os = &os, .dir = "d", .sync = sync, .repair = mend};

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

static struct now
tick(void)
{
	disk.wall += 1000;
	disk.mono += 1000;
	return (struct now){disk.wall, disk.mono};
}

/* The whole state as text. */
static char *
state(void)
{
	struct buf b = {0}, also = {0};

	buf_adds(&b, "");
	queue_dump_open(st, &also);
	while (!queue_dump(st, &b, 100, (struct now){disk.wall, disk.mono}))
		;
	queue_dump_close(st);
	buf_free(&also);
	return b.p ? b.p : xstrdup("");
}

/* A change in a turn of its own; what journal_commit says. */
static int
add_queue(const char *name)
{
	struct err e = {0};

	if (!queue_create(st, str_of(name), "$h", NULL, tick(), &e))
		return -2;
	return journal_commit(jl, &st, tick(), &err);
}

static int
add_task(const char *queue, int n)
{
	struct json_doc *d = json_new();
	struct submit in = {.heartbeat_timeout = 60, .max_retries = 3, .priority = n};
	struct err e = {0};
	uuid id;
	int rc = -2;

	d->root = json_mkobj(d);
	json_set(d, d->root, str_of("n"), json_mkint(d, n));
	in.args = d->root;
	sim_random(&disk, in.fresh, sizeof in.fresh);
	if (!queue_submit(st, queue_find(st, str_of(queue)), &in, tick(), id, &e))
		rc = journal_commit(jl, &st, tick(), &err);
	json_free(d);
	return rc;
}

static struct disk_file *
file(void)
{
	return find(&disk, "d/journal");
}

/* ---- the tests ---- */

static void
test_basic(void)
{
	char *a, *b, id[37];

	disk_new();
	holds(opens(SYNC_ALWAYS, false));
	snprintf(id, sizeof id, "%s", journal_store_id(jl));
	holds(strlen(id) == 36);
	holds(add_queue("one") == 0);
	for (int i = 0; i < 20; i++)
		holds(add_task("one", i) == 0);
	holds(file()->synced == file()->data.len);
	a = state();
	holds(strstr(a, "one"));
	closes();
	holds(opens(SYNC_ALWAYS, false));
	holds(!strcmp(id, journal_store_id(jl)));
	b = state();
	holds(!strcmp(a, b));
	closes();
	free(a);
	free(b);
}

/* The format as PROTOCOL has it: this file is read for ever. */
static const char version1[] =
	"{\"labtasker\":\"journal\",\"version\":1,\"store\":\"9b679504-281f-4fc4-9ae7-8baf1439c3dd\",\"crc\":\"9523f957\"}\n"
	"{\"commit\":0,\"bytes\":0,\"time\":0,\"prev\":\"9523f957\",\"disk\":100,\"crc\":\"d31e4505\"}\n"
	"{\"queue\":\"9d3a6231-90d0-4695-8208-73488584aa46\",\"seq\":1,\"name\":\"default\",\"hash\":\"$pbkdf2-sha256$29000$I06"
	"sds3vxJw5DG9.Ahi1KQ$2xHOt7xyvcMncjbUhEDziqv3SXzRoH332NaVjLcN06A\",\"created\":1795684945968835,\"modified\":1795684945"
	"968835}\n"
	"{\"commit\":1,\"bytes\":226,\"time\":32487,\"prev\":\"d31e4505\",\"disk\":100,\"crc\":\"1838e3ac\"}\n"
	"{\"task\":\"8ce2d8af-c472-4717-8949-0cba461859b2\",\"in\":1,\"seq\":2,\"status\":\"pending\",\"name\":\"x\",\"created"
	"\":1795684945980528,\"modified\":1795684945980528,\"heartbeat_timeout\":60.0,\"retries\":0,\"max_retries\":3,\"priorit"
	"y\":10,\"args\":{\"a\":1},\"cmd\":\"\"}\n"
	"{\"commit\":1,\"bytes\":239,\"time\":44172,\"prev\":\"1838e3ac\",\"disk\":488,\"crc\":\"a582ef5d\"}\n"
	"{\"worker\":\"87b5961a-417e-47c6-87a6-b7efb22bca18\",\"in\":1,\"seq\":3,\"status\":\"active\",\"created\":179568494598"
	"7448,\"modified\":1795684945987448,\"retries\":0,\"max_retries\":3,\"metadata\":{\"host\":\"vm\",\"pid\":5685}}\n"
	"{\"commit\":1,\"bytes\":202,\"time\":51092,\"prev\":\"a582ef5d\",\"disk\":811,\"crc\":\"e4797391\"}\n"
	"{\"task\":\"8ce2d8af-c472-4717-8949-0cba461859b2\",\"status\":\"running\",\"modified\":1795684945992494,\"start\":1795"
	"684945992494,\"beat\":1795684945992494,\"heartbeat_timeout\":90.0,\"worker\":\"87b5961a-417e-47c6-87a6-b7efb22bca18\","
	"\"cmd\":[\"echo\",\"%(a)\"],\"run\":\"6180b77f-e0c7-4ca6-b646-6c5e24870a60\"}\n"
	"{\"commit\":1,\"bytes\":284,\"time\":56137,\"prev\":\"e4797391\",\"disk\":1097,\"crc\":\"941ca262\"}\n"
	"{\"task\":\"8ce2d8af-c472-4717-8949-0cba461859b2\",\"status\":\"success\",\"modified\":1795684945998116,\"worker\":nul"
	"l,\"summary\":{},\"end\":\"success\"}\n"
	"{\"commit\":1,\"bytes\":138,\"time\":61760,\"prev\":\"941ca262\",\"disk\":1466,\"crc\":\"09604abc\"}\n"
	"{\"worker\":\"87b5961a-417e-47c6-87a6-b7efb22bca18\",\"gone\":1795684946000596}\n"
	"{\"commit\":1,\"bytes\":74,\"time\":64239,\"prev\":\"09604abc\",\"disk\":1689,\"crc\":\"91b718a7\"}\n"
	"{\"commit\":0,\"bytes\":0,\"time\":88009,\"prev\":\"91b718a7\",\"disk\":1847,\"crc\":\"aff66d5d\"}\n";

static void
test_format(void)
{
	char *was;

	disk_new();
	holds(opens(SYNC_ALWAYS, false));
	closes();
	file()->data.len = 0;
	buf_add(&file()->data, version1, sizeof version1 - 1);
	holds(opens(SYNC_ALWAYS, false) && file()->data.len == sizeof version1 - 1);
	was = state();
	holds(strstr(was, "\"status\":\"success\"") && strstr(was, "\"end\":\"success\"") && !strstr(was, "\"worker\""));
	free(was);
	closes();
	memcpy(strchr(file()->data.p, '1'), "2", 1);
	holds(!opens(SYNC_ALWAYS, false));
	closes();
}

/* What was acknowledged is there after a power cut, whatever of the rest is. */
static void
test_power(void)
{
	for (int sync = 0; sync < 2; sync++)
		for (size_t keep = 0; keep < 400; keep += 7) {
			char *a, *b;

			disk_new();
			holds(opens(sync ? SYNC_NEVER : SYNC_ALWAYS, false));
			holds(add_queue("one") == 0 && add_task("one", 1) == 0);
			a = state();
			if (sync)
				holds(add_task("one", 2) == 0);
			power_cut(keep);
			closes();
			holds(opens(SYNC_ALWAYS, false));
			b = state();
			if (!sync)
				holds(!strcmp(a, b));
			holds(queue_find(st, str_of("two")) == NULL && add_queue("two") == 0);
			closes();
			free(a);
			free(b);
		}
}

/* A file that ends anywhere opens with whole turns only. */
static void
test_torn(void)
{
	char *states[8];
	size_t ends[8], n = 0, size, at = 0;
	struct buf copy = {0};

	disk_new();
	holds(opens(SYNC_NEVER, false));
	for (;; n++) {
		states[n] = state();
		ends[n] = file()->data.len;
		if (n == 5)
			break;
		holds((n ? add_task("one", (int)n) : add_queue("one")) == 0);
	}
	size = file()->data.len;
	buf_add(&copy, file()->data.p, size);
	closes();
	for (size_t cut = ends[0]; cut <= size; cut++) {
		char *now;

		while (at < n && ends[at + 1] <= cut)
			at++;
		file()->data.len = 0;
		buf_add(&file()->data, copy.p, cut);
		if (!opens(SYNC_NEVER, false)) {
			holds(jl);
			closes();
			continue;
		}
		now = state();
		holds(!strcmp(now, states[at]));
		holds(file()->data.len == ends[at]);
		free(now);
		closes();
	}
	for (size_t i = 0; i <= n; i++)
		free(states[i]);
	buf_free(&copy);
}

/* One byte changed: what is on disk for certain is never read otherwise than it was; damage is named, and can be repaired. */
static void
test_damage(void)
{
	char *whole;
	struct buf copy = {0};
	size_t refused = 0, repaired = 0, known;

	disk_new();
	holds(opens(SYNC_ALWAYS, false));
	holds(add_queue("one") == 0 && add_task("one", 1) == 0 && add_task("one", 2) == 0);
	known = file()->data.len;
	disk.mono += 2000000;
	journal_work(jl, &st, tick());   /* the seal that names all of it */
	holds(file()->data.len > known);
	whole = state();
	buf_add(&copy, file()->data.p, file()->data.len);
	closes();
	for (size_t i = 0; i < copy.len; i++) {
		file()->data.len = 0;
		buf_add(&file()->data, copy.p, copy.len);
		file()->data.p[i] ^= i % 3 ? 1 : 0x20;
		if (opens(SYNC_ALWAYS, false)) {
			char *now = state();

			holds(i >= known && !strcmp(now, whole));   /* only the seal itself can be lost */
			free(now);
			closes();
			continue;
		}
		holds(strstr(err.msg, "journal") && strstr(err.msg, "--repair") && strstr(err.msg, "offset"));
		refused++;
		closes();
		if (i % 5)
			continue;
		holds(opens(SYNC_ALWAYS, true));
		if (jl) {
			struct disk_file *kept = find(&disk, "d/journal.damaged-1");

			holds(kept && kept->data.len == copy.len);
			holds(queue_find(st, str_of("two")) || add_queue("two") == 0);
			sim_unlink(&disk, "d/journal.damaged-1");
			repaired++;
		}
		closes();
		holds(opens(SYNC_ALWAYS, false));
		closes();
	}
	holds(refused >= known && repaired > 10);
	free(whole);
	buf_free(&copy);
}

/* A full disk: nothing of the turn holds, reads go on, running tasks could end; with room all is well again. */
static void
test_full(void)
{
	for (size_t room = 0; room < 500; room += 23) {
		char *a, *b;
		int rc;

		disk_new();
		holds(opens(SYNC_ALWAYS, false));
		holds(add_queue("one") == 0 && add_task("one", 1) == 0);
		a = state();
		disk.room = room;
		rc = add_task("one", 2);
		b = state();
		holds(rc == 0 || !strcmp(a, b));
		holds(journal_mode(jl) != JOURNAL_FINE || rc == 0);
		free(a);
		closes();
		holds(opens(SYNC_ALWAYS, false));   /* what it said is what a start finds */
		a = state();
		holds(!strcmp(a, b));
		disk.room = (size_t)1 << 30;
		for (int i = 0; i < 5; i++) {
			disk.mono += 2000000;
			journal_work(jl, &st, tick());
		}
		holds(journal_mode(jl) == JOURNAL_FINE && add_task("one", 3) == 0);
		closes();
		free(a);
		free(b);
	}
}

/* The reserve lets ends of runs through when there is no room at all. */
static void
test_reserve(void)
{
	int kept = 0;

	disk_new();
	holds(opens(SYNC_ALWAYS, false));
	journal_work(jl, &st, tick());
	holds(find(&disk, "d/reserve") && find(&disk, "d/reserve")->data.len == 1 << 20);
	holds(add_queue("one") == 0);
	disk.room = 10;
	while (kept < 100 && !add_task("one", kept))
		kept++;
	holds(kept == 100 && journal_mode(jl) == JOURNAL_LOW && !find(&disk, "d/reserve"));
	closes();
}

/* A failed write, and a cut that fails too. */
static void
test_write_error(void)
{
	char *a, *b;

	disk_new();
	holds(opens(SYNC_ALWAYS, false));
	holds(add_queue("one") == 0);
	a = state();
	disk.bad_writes = 1;
	disk.bad_cuts = 1;
	holds(add_task("one", 1) == -1);
	holds(journal_mode(jl) == JOURNAL_REFUSE);
	b = state();
	holds(!strcmp(a, b));
	free(b);
	holds(add_task("one", 2) == -1);
	for (int i = 0; i < 4; i++) {
		disk.mono += 2000000;
		journal_work(jl, &st, tick());
	}
	holds(journal_mode(jl) == JOURNAL_FINE && add_task("one", 3) == 0);
	closes();
	free(a);
}

/* A failed sync is not repeated: nothing is trusted before all stands in a new file. */
static void
test_sync_error(void)
{
	struct disk_file *was;
	char *a, *b;

	disk_new();
	holds(opens(SYNC_ALWAYS, false));
	holds(add_queue("one") == 0);
	a = state();
	was = file();
	disk.bad_syncs = 1;
	holds(add_task("one", 1) == -1);
	b = state();
	holds(!strcmp(a, b) && journal_mode(jl) == JOURNAL_REFUSE);
	free(b);
	for (int i = 0; i < 20; i++) {
		disk.mono += 2000000;
		journal_work(jl, &st, tick());
	}
	holds(journal_mode(jl) == JOURNAL_FINE && file() != was);
	holds(add_task("one", 2) == 0);
	free(a);
	a = state();
	power_cut(0);
	closes();
	holds(opens(SYNC_ALWAYS, false));
	b = state();
	holds(!strcmp(a, b));
	closes();
	free(a);
	free(b);
}

/* A server that could not sync, or was killed before it did, leaves a file that only looks as if it were on disk.  The next one
 * takes its word neither for the file's end nor for its name. */
static void
test_successor(void)
{
	char *a, *b;

	disk_new();
	disk.bad_dirs = 1;
	holds(!opens(SYNC_ALWAYS, false));
	closes();
	holds(opens(SYNC_ALWAYS, false) && add_queue("one") == 0);
	power_cut(0);
	closes();
	holds(opens(SYNC_ALWAYS, false) && queue_find(st, str_of("one")));
	closes();
	holds(opens(1, false) && add_queue("two") == 0 && add_queue("three") == 0);
	disk.bad_syncs = 1;
	holds(journal_flush(jl, &err) < 0);
	closes();
	holds(opens(SYNC_ALWAYS, false) && add_queue("four") == 0);
	a = state();
	power_cut(0);
	closes();
	holds(opens(SYNC_ALWAYS, false));
	b = jl ? state() : xstrdup("");
	holds(!strcmp(a, b));
	closes();
	free(a);
	free(b);
}

/* Whether the one running task fails after so many microseconds from now on, and not before. */
static bool
due_in(int64_t us)
{
	return queue_due(st) == disk.mono + us;
}

static void
run_one(double lease, int64_t timeout)
{
	struct json_doc *d = json_parse("{\"a\":1}", 7, NULL);
	struct submit in = {
		.args = d->root, .heartbeat_timeout = lease, .has_task_timeout = true, .task_timeout = timeout, .max_retries = 3
	};
	struct fetch f = {.start_heartbeat = true, .heartbeat_timeout = 0};
	struct now at = {disk.wall, disk.mono};
	struct err e = {0};
	struct task *t;
	uuid id;

	holds(queue_create(st, str_of("one"), "$h", NULL, at, &e) && !queue_submit(st, queue_find(st, str_of("one")), &in, at, id, &e));
	holds(queue_fetch(st, queue_find(st, str_of("one")), &f, at, &t, &e) == 1 && !journal_commit(jl, &st, at, &e));
	json_free(d);
}

/* A journal that is there, though the system once says that it is not. */
static void
test_unseen(void)
{
	disk_new();
	holds(opens(SYNC_ALWAYS, false) && add_queue("one") == 0);
	closes();
	disk.bad_opens = 1;
	holds(opens(SYNC_ALWAYS, false) && queue_find(st, str_of("one")));
	closes();
}

/* The run time that is used up goes on after a start, whatever the wall clock says, whoever else was started in between, and
 * however often all was written anew. */
static void
test_run_time(void)
{
	int64_t left = 100000000, since;

	disk_new();
	holds(opens(SYNC_ALWAYS, false));
	run_one(1000, 100);
	for (int i = 0; i < 6; i++) {
		since = disk.mono;
		disk.mono += 7000000;
		disk.wall += (i - 3) * INT64_C(5000000000);
		holds(add_task("one", i) == 0);
		left -= disk.mono - since;
		jl->distrust = i > 2;        /* all is to be written anew */
		while (journal_work(jl, &st, (struct now){disk.wall, disk.mono}) == disk.mono)
			;
		holds(journal_mode(jl) == JOURNAL_FINE && due_in(left));
		closes();
		disk.mono += i % 2 ? INT64_C(900000000) : -4000000;   /* nobody serves for a while, or the machine was started */
		disk.wall -= INT64_C(3600000000);
		holds(opens(SYNC_ALWAYS, false));
		holds(due_in(left));
	}
	closes();
}

/* A turn that is undone neither lengthens nor shortens a run; its lease begins anew, for heartbeats are in no file. */
static void
test_undone_times(void)
{
	disk_new();
	holds(opens(SYNC_ALWAYS, false));
	run_one(50, 100);
	disk.mono += 30000000;
	disk.wall += INT64_C(7200000000);
	disk.bad_writes = 1;
	holds(add_task("one", 2) == -1 && journal_mode(jl) == JOURNAL_REFUSE && due_in(50000000));
	disk.mono += 30000000;               /* while nothing is taken, no heartbeat is */
	holds(due_in(20000000));
	journal_work(jl, &st, (struct now){disk.wall, disk.mono});
	holds(journal_mode(jl) == JOURNAL_FINE && due_in(39998000));
	closes();
}

/* One task that changes all the time: the file stays small, the state is the same after a start. */
static void
test_compaction(void)
{
	struct json_doc *d = json_new();
	struct err e = {0};
	size_t most = 0;
	char *a, *b;
	uuid id = {0};
	char text[37];
	struct submit in = {.heartbeat_timeout = 60, .max_retries = 3};

	disk_new();
	holds(opens(SYNC_NEVER, false));
	holds(add_queue("one") == 0);
	for (int i = 0; i < 500; i++)
		holds(add_task("one", i) == 0);
	sim_random(&disk, in.fresh, sizeof in.fresh);
	holds(!queue_submit(st, queue_find(st, str_of("one")), &in, tick(), id, &e));
	uuid_print(id, text);
	d->root = json_mkobj(d);
	json_set(d, d->root, str_of("task_id"), json_mkstr(d, str_of(text)));
	for (int i = 0; i < 120000; i++) {
		struct task *t;
		struct json *pr = json_gets(d->root, "priority");

		if (!pr)
			json_set(d, d->root, str_of("priority"), json_mkint(d, i));
		else
			pr->s = i % 2 ? "11" : "12", pr->len = 2;
		if (queue_task_update(st, queue_find(st, str_of("one")), d->root, false, NULL, tick(), &t, &e) < 0)
			break;
		if (i % 10 == 0) {
			holds(journal_commit(jl, &st, tick(), &err) == 0);
			journal_work(jl, &st, tick());
		}
		if (i % 1000 == 0)
			holds(add_task("one", i) == 0);
		most = file()->data.len > most ? file()->data.len : most;
	}
	holds(!e.code);
	holds(journal_commit(jl, &st, tick(), &err) == 0);
	holds(most < (40 << 20));
	holds(jl->base > 0 || most < (17 << 20));
	a = state();
	closes();
	holds(opens(SYNC_NEVER, false));
	b = state();
	holds(!strcmp(a, b));
	closes();
	free(a);
	free(b);
	json_free(d);
}

int
main(void)
{
	if (!freopen("/dev/null", "w", stderr))   /* the journal's notices */
		return 2;
	test_basic();
	test_format();
	test_power();
	test_torn();
	test_damage();
	test_full();
	test_reserve();
	test_write_error();
	test_sync_error();
	test_successor();
	test_unseen();
	test_run_time();
	test_undone_times();
	test_compaction();
	disk_new();
	return test_done("journal");
}
