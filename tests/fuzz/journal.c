/* SPDX-License-Identifier: MIT */
/*
 * journal.c and the records of queue.c, on a disk in memory.  The first byte says what the rest is: 0 a journal as it is; 1 a
 * journal whose checksums are put right; else records, a line each, of which turns are made.  What a start takes, the next takes as
 * the same; what it refuses stays as it is, and can be repaired; what is dumped is read as the same, and so are changes after it.
 */
#include "../../server/journal.c"
#include "fuzz.h"

/* ---- the disk ---- */

enum { FILES = 8, FDS = 8 };
static struct {
	char name[40];
	struct buf data;
} disk[FILES];
static struct {
	struct buf *data;         /* NULL: free */
	size_t at;
} descriptor[FDS];

static const struct now now = {1785234567000000, 7000000};

static int64_t
disk_wall(void *ctx)
{
	(void)ctx;
	return now.wall;
}

static int64_t
disk_mono(void *ctx)
{
	(void)ctx;
	return now.mono;
}

static void
disk_random(void *ctx, void *p, size_t n)
{
	(void)ctx;
	memset(p, 0x5a, n);
}

static int
disk_find(const char *name)
{
	for (int i = 0; i < FILES; i++)
		if (!strcmp(disk[i].name, name))
			return i;
	return -1;
}

/* A place for a file that no name and no descriptor holds. */
static int
disk_place(void)
{
	for (int i = 0, fd; i < FILES; i++) {
		for (fd = 0; fd < FDS && descriptor[fd].data != &disk[i].data; fd++)
			;
		if (!disk[i].name[0] && fd == FDS)
			return i;
	}
	must(false, "too many files");
	return 0;
}

static int
disk_open(void *ctx, const char *path, int flags, mode_t mode)
{
	int i = disk_find(path), fd = 0;

	(void)ctx;
	(void)mode;
	if (i >= 0 ? flags & O_EXCL : !(flags & O_CREAT)) {
		errno = i >= 0 ? EEXIST : ENOENT;
		return -1;
	}
	if (i < 0) {
		i = disk_place();
		snprintf(disk[i].name, sizeof disk[i].name, "%s", path);
		buf_clear(&disk[i].data);
	}
	if (flags & O_TRUNC)
		buf_clear(&disk[i].data);
	while (descriptor[fd].data)
		must(++fd < FDS, "too many descriptors");
	descriptor[fd].data = &disk[i].data;
	descriptor[fd].at = 0;
	return fd;
}

static ssize_t
disk_read(void *ctx, int fd, void *p, size_t n)
{
	const struct buf *b = descriptor[fd].data;
	size_t left = b->len > descriptor[fd].at ? b->len - descriptor[fd].at : 0;

	(void)ctx;
	n = n < left ? n : left;
	n = n > 200 ? 200 : n;
	if (n)
		memcpy(p, b->p + descriptor[fd].at, n);
	descriptor[fd].at += n;
	return (ssize_t)n;
}

static ssize_t
disk_write(void *ctx, int fd, const void *p, size_t n)
{
	struct buf *b = descriptor[fd].data;
	size_t at = descriptor[fd].at;

	(void)ctx;
	must(at <= b->len, "a hole");
	if (at + n > b->len) {
		buf_reserve(b, at + n - b->len);
		b->len = at + n;
	}
	memcpy(b->p + at, p, n);
	descriptor[fd].at += n;
	return (ssize_t)n;
}

static int
disk_truncate(void *ctx, int fd, int64_t size)
{
	(void)ctx;
	if ((size_t)size < descriptor[fd].data->len)
		descriptor[fd].data->len = (size_t)size;
	return 0;
}

static int
disk_sync(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return 0;
}

static int64_t
disk_seek(void *ctx, int fd, int64_t off, int whence)
{
	(void)ctx;
	descriptor[fd].at = whence == SEEK_END ? descriptor[fd].data->len : (size_t)off;
	return (int64_t)descriptor[fd].at;
}

static int
disk_close(void *ctx, int fd)
{
	(void)ctx;
	descriptor[fd].data = NULL;
	return 0;
}

static int
disk_unlink(void *ctx, const char *path)
{
	int i = disk_find(path);

	(void)ctx;
	if (i >= 0)
		disk[i].name[0] = 0;
	return 0;
}

static int
disk_rename(void *ctx, const char *from, const char *to)
{
	int i = disk_find(from);

	disk_unlink(ctx, to);
	snprintf(disk[i].name, sizeof disk[i].name, "%s", to);
	return 0;
}

static int
disk_syncdir(void *ctx, const char *dir)
{
	(void)ctx;
	(void)dir;
	return 0;
}

static const struct os os = {
	.wall = disk_wall, .mono = disk_mono, .random = disk_random, .open = disk_open, .read = disk_read, .write = disk_write,
	.truncate = disk_truncate, .sync = disk_sync, .seek = disk_seek, .close = disk_close, .rename = disk_rename,
	.unlink = disk_unlink, .syncdir = disk_syncdir,
};

static void
disk_fill(struct str text)
{
	for (int i = 0; i < FILES; i++)
		disk[i].name[0] = 0;
	for (int fd = 0; fd < FDS; fd++)
		must(!descriptor[fd].data, "a descriptor is left open");
	disk_close(NULL, disk_open(NULL, "d/journal", O_CREAT, 0));
	buf_add(&disk[0].data, text.p, text.n);
}

/* ---- journals ---- */

/* The text with right checksums in its header and commits, wherever what they cover is there. */
static void
put_right(struct buf *out, struct str text)
{
	uint32_t chain = 0;

	while (text.n) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end ? (size_t)(end - text.p) + 1 : text.n, at = out->len;
		struct commit c;

		if (!at && n > 19 && !memcmp(text.p + n - 19, ",\"crc\":\"", 8)) {
			buf_add(out, text.p, n - 19);
			chain = put_crc(out, 0);
		} else if (parse_commit(text.p, n, &c) && c.bytes <= at) {
			buf_adds(out, marker);
			buf_addint(out, (int64_t)c.count);
			buf_adds(out, ",\"bytes\":");
			buf_addint(out, (int64_t)c.bytes);
			buf_adds(out, ",\"time\":");
			buf_addint(out, (int64_t)c.time);
			buf_adds(out, ",\"prev\":\"");
			put_hex(out, c.prev ? chain : 0);
			buf_adds(out, "\",\"disk\":");
			buf_addint(out, (int64_t)c.disk);
			chain = put_crc(out, at - c.bytes);
		} else {
			buf_add(out, text.p, n);
		}
		text = (struct str){text.p + n, text.n - n};
	}
}

/* A journal of these records; an empty line ends a turn. */
static void
put_turns(struct buf *out, struct str text)
{
	struct buf turn = {0};
	struct file f = {0};
	size_t count = 0;
	int64_t time = 0;

	f.crc = put_header(out, "11111111-2222-4333-8444-555555555555");
	for (;;) {
		const char *end = text.n ? memchr(text.p, '\n', text.n) : NULL;
		size_t n = end ? (size_t)(end - text.p) : text.n;

		if (n && parse_commit(text.p, n, &(struct commit){0}) == 0) {
			buf_add(&turn, text.p, n);
			buf_addc(&turn, '\n');
			count++;
		}
		if ((!n || !end) && count) {
			f.crc = put_commit(&turn, count, &f, time += 1000000);
			buf_add(out, turn.p, turn.len);
			buf_clear(&turn);
			count = 0;
		}
		if (!end)
			break;
		text = (struct str){end + 1, text.n - n - 1};
	}
	buf_free(&turn);
}

static void
quiet(struct str text)
{
	(void)text;
}

static void
dump(struct store *s, struct buf *b)
{
	struct buf also = {0};

	buf_clear(b);
	queue_dump_open(s, &also);
	queue_dump(s, b, (size_t)1 << 40, now);
	queue_dump_close(s);
	buf_free(&also);
}

static void
must_equal(const struct buf *a, const struct buf *b, const char *what)
{
	must(a->len == b->len && (!a->len || !memcmp(a->p, b->p, a->len)), "%s:\n%.*s\ninstead of\n%.*s", what, (int)b->len, b->p,
	    (int)a->len, a->p);
}

static void
must_apply(struct store *s, const struct buf *b)
{
	struct err e = {0};

	for (size_t at = 0, n; at < b->len; at += n + 1) {
		const char *p = b->p + at;

		n = (size_t)((const char *)memchr(p, '\n', b->len - at) - p);
		must(!queue_apply(s, p, n, now, &e), "what was written is not understood: %s: %.*s", e.msg, (int)n, p);
	}
}

/* What s holds, read again, is the same; and so it is after timeouts and a worker's end, told by their records. */
static void
must_be_read(struct store *s)
{
	struct store *again = store_new();
	struct buf was = {0}, is = {0}, *turn;
	struct now late = {now.wall + INT64_C(86400000000) * 400, now.mono + INT64_C(86400000000) * 400};
	size_t count;

	dump(s, &was);
	must_apply(again, &was);
	queue_loaded(again, now, now.mono);
	dump(again, &is);
	must_equal(&was, &is, "dumped and read");
	queue_expire(s, late);
	turn = store_turn(s, &count);
	must_apply(again, turn);
	buf_clear(turn);
	dump(s, &was);
	dump(again, &is);
	must_equal(&was, &is, "after timeouts");
	buf_free(&was);
	buf_free(&is);
	store_free(again);
}

/* A start.  *b: what is then held; false when it is refused. */
static bool
start(bool mend, struct buf *b, struct err *e, bool further)
{
	const struct journal_opts o = {.os = &os, .dir = "d", .sync = SYNC_ALWAYS, .repair = mend};
	struct store *s;
	struct journal *j = journal_open(&o, &s, e);

	if (!j) {
		must(e->code && e->msg[0] && !s, "refused without a word");
		return false;
	}
	dump(s, b);
	if (further)
		must_be_read(s);
	must(!journal_flush(j, e), "%s", e->msg);
	journal_close(j);
	store_free(s);
	return true;
}

static void
must_start(struct str text)
{
	struct buf was = {0}, is = {0};
	struct err e = {0};
	bool taken, whole;

	disk_fill(text);
	taken = start(false, &was, &e, true);
	whole = disk[0].data.len >= text.n;
	if (taken) {
		must(start(false, &is, &e, false), "taken once, and then: %s", e.msg);
		must_equal(&was, &is, "started again");
	} else {
		must(disk_find("d/journal") == 0 && disk[0].data.len == text.n && (!text.n || !memcmp(disk[0].data.p, text.p, text.n)),
		    "refused and changed: %s", e.msg);
	}
	disk_fill(text);
	e = (struct err){0};
	if (start(true, &is, &e, false)) {
		if (taken && whole)   /* of a tail that is cut whole turns may be saved */
			must_equal(&was, &is, "repaired without need");
		must(start(false, &was, &e, true), "repaired, and then: %s", e.msg);
		must_equal(&is, &was, "repaired and started");
	} else {
		must(strstr(e.msg, "written in format"), "not repaired: %s", e.msg);
	}
	buf_free(&was);
	buf_free(&is);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf b = {0};
	struct str text;

	if (!n)
		return 0;
	warn_put = quiet;
	reserve_size = 0;
	text = text_of(data + 1, n - 1);
	if (data[0] == 0)
		buf_add(&b, text.p, text.n);
	else if (data[0] == 1)
		put_right(&b, text);
	else
		put_turns(&b, text);
	must_start((struct str){b.p, b.len});
	buf_free(&b);
	return 0;
}
