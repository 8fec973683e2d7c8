/* SPDX-License-Identifier: MIT */
/*
 * The journal: what was acknowledged, in one file that is only appended to.  When journal_commit says 0, the turn is on disk (as
 * --sync says); when it says -1, nothing of the turn is in the file or in memory.  (Where its sync failed, though, only a new file
 * makes sure of that: should the power go before it stands, the turn may be found on disk.)  A start reads every whole turn and no
 * part of one.
 *
 * Format of <store>/journal, version 1.  Lines of JSON, each ended by one line feed, with exactly these members and no white space:
 *
 *   header  {"labtasker":"journal","version":1,"store":"UUID","crc":"HEX"}
 *   record  {...}    what changed, see queue.c; never begins with {"commit":
 *   commit  {"commit":N,"bytes":B,"time":T,"prev":"HEX","disk":D,"crc":"HEX"}
 *
 * The header is the first line.  Each turn is its N records, B bytes with their line feeds, and then its commit.  T is for how many
 * microseconds the store has been served, by the monotonic clock: no clock that jumps and no time between servers is in it.
 * crc is the CRC-32C (8 lower-case hex digits) of the turn's B bytes and of the commit line up to, not including, ,"crc" -- in the
 * header, of the header line up to there.  prev is the crc of the commit before, of the header for
 * the first; so turns cannot be missing or change places.  D is an offset in this file: when the commit was written, everything
 * before it was known to be on disk.  Numbers are decimal, without leading zeros.  A turn with N = 0 (a seal) changes nothing: it
 * only tells how far the disk is known to hold, and is written when nothing else has told it for a second, and at the end.
 *
 * Reading goes up to the first bad place, the begin of the first turn that is not whole.  Where a later commit, right by its own
 * crc, names a D beyond that place, the disk has lost what it had: damage, and the start is refused.  Else it is the torn tail of a
 * crash, never acknowledged, and is cut.
 *
 * Behind the last commit there may be zeros, written ahead: they are no part of it, and are cut at a clean end.
 *
 * Beside it: journal.new, a successor that is being written (no part of the store before it is renamed); journal.damaged-N, what a
 * repair replaced; reserve, 1 MiB of nothing that is given back when the disk is full, so that runs can end.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	FORMAT = 1,
	WINDOW = 1 << 20,         /* bytes a read */
	COMMIT_MAX = 192,         /* a commit line is shorter, as its numbers have at most 20 digits */
	ROOM = 64 << 10,          /* free bytes that make it worth trying again on a full disk */
	PAUSE = 10                /* seconds after a compaction that failed */
};

/* Variables for the sake of tests. */
static size_t turn_max = 1 << 30;       /* larger turns are refused, and no reader must hold more */
static size_t reserve_size = 1 << 20;
static size_t slice = 256 << 10;        /* of a dump: about a millisecond */
static size_t spread = 1 << 20;         /* bytes of a successor between syncs, so that no sync is long */
static size_t piece = 8 << 20;          /* of a replaced file that is given back a turn: some milliseconds */
static size_t small = 16 << 20;         /* a journal that size is not worth compacting: read in a tenth of a second */

static const char marker[] = "{\"commit\":";

/* A journal or its successor. */
struct file {
	int fd;
	uint64_t end;             /* of the last commit */
	uint64_t disk;            /* what stands before is on disk */
	uint64_t told;            /* the D of the last commit */
	uint32_t crc;             /* of the last commit */
	uint64_t size;            /* between end and here are zeros, written ahead; not behind end: nothing is */
};

enum reserve { RESERVE_DUE, RESERVE_HELD, RESERVE_GIVEN };

struct journal {
	const struct os *os;
	char *dir, *path, *temp, *spare;
	char id[37];
	int sync;
	size_t ahead;             /* bytes of zeros to write at once; 0: none */
	struct file file;
	bool uncut;               /* bytes of a failed turn may stand behind file.end */
	bool stuck;               /* the last write failed; none is tried before a probe succeeded */
	bool distrust;            /* a sync failed: what it covered may be lost, whatever a later sync says */
	bool said;                /* the user was told of it */
	enum reserve reserve;
	int64_t skew;             /* of the clock of commits to mono */
	int64_t retry;            /* mono: when to try again what failed */
	int64_t dirty;            /* mono: since when something is not synced, INT64_MAX: nothing is */
	int64_t last;             /* mono: the last turn */
	/* compaction */
	bool dumping;
	struct file next, spent;  /* spent: what it replaced; fd -1: none */
	struct buf also, chunk;
	uint64_t base;            /* size after the last compaction */
	int64_t pause;            /* mono: no compaction before */
	bool grumbled;            /* that it fails was said */
};

/* How much is read and whether to mend, set by the caller; what that found. */
struct replay {
	uint64_t most;            /* bytes */
	bool mend;                /* turns after a bad place are applied too */
	struct file file;         /* end and crc of the last good turn */
	int64_t time;             /* of the last commit, 0: none */
	uint64_t size;
	bool bad, damaged;        /* there is a bad place; a later commit names a D beyond it */
	uint64_t bad_at, bad_line;
	uint64_t saved;           /* turns behind it that were applied, to mend */
	uint64_t turns_lost, records_lost;
};

/* ---- the system, through the seams ---- */

static int
write_all(const struct os *os, int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t k = os->write(os->ctx, fd, p, n);

		if (k > 0) {
			p += k;
			n -= (size_t)k;
		} else if (!k) {
			errno = ENOSPC;
			return -1;
		} else if (errno != EINTR) {
			return -1;
		}
	}
	return 0;
}

static bool
disk_full(int why)
{
	return why == ENOSPC || why == EDQUOT;
}

static struct now
time_now(const struct os *os)
{
	return (struct now){os->wall(os->ctx), os->mono(os->ctx)};
}

static void
new_id(const struct os *os, char id[37])
{
	unsigned char raw[16];

	os->random(os->ctx, raw, sizeof raw);
	uuid_stamp(raw, 4);
	uuid_print(raw, id);
}

static char *
beside(const char *dir, const char *name)
{
	return xprintf("%s/%s", dir, name);
}

/* ---- lines ---- */

static void
put_hex(struct buf *b, uint32_t v)
{
	char text[8];

	for (int i = 8; i-- > 0; v >>= 4)
		text[i] = "0123456789abcdef"[v & 15];
	buf_add(b, text, sizeof text);
}

/* Ends what begins at from with its crc. */
static uint32_t
put_crc(struct buf *b, size_t from)
{
	uint32_t crc = hash_crc32c(0, b->p + from, b->len - from);

	buf_adds(b, ",\"crc\":\"");
	put_hex(b, crc);
	buf_adds(b, "\"}\n");
	return crc;
}

static uint32_t
put_header(struct buf *b, const char *id)
{
	size_t from = b->len;

	buf_adds(b, "{\"labtasker\":\"journal\",\"version\":");
	buf_addint(b, FORMAT);
	buf_adds(b, ",\"store\":\"");
	buf_adds(b, id);
	buf_adds(b, "\"");
	return put_crc(b, from);
}

/* The commit of the records in turn, as the next one of f. */
static uint32_t
put_commit(struct buf *turn, size_t count, const struct file *f, int64_t time)
{
	size_t bytes = turn->len;

	buf_adds(turn, marker);
	buf_addint(turn, (int64_t)count);
	buf_adds(turn, ",\"bytes\":");
	buf_addint(turn, (int64_t)bytes);
	buf_adds(turn, ",\"time\":");
	buf_addint(turn, time > 0 ? time : 0);
	buf_adds(turn, ",\"prev\":\"");
	put_hex(turn, f->crc);
	buf_adds(turn, "\",\"disk\":");
	buf_addint(turn, (int64_t)f->disk);
	return put_crc(turn, 0);
}

/* Text that is being taken apart: each step moves on, or says no. */
static bool
take(struct str *s, const char *text)
{
	size_t n = strlen(text);

	if (s->n < n || memcmp(s->p, text, n))
		return false;
	s->p += n;
	s->n -= n;
	return true;
}

static bool
take_number(struct str *s, uint64_t *out)
{
	size_t n = 0;
	int64_t v;

	while (n < s->n && n < 20 && s->p[n] >= '0' && s->p[n] <= '9')
		n++;
	if (parse_int((struct str){s->p, n}, &v) < 0 || (n > 1 && s->p[0] == '0'))
		return false;
	*out = (uint64_t)v;
	s->p += n;
	s->n -= n;
	return true;
}

static bool
take_hex(struct str *s, uint32_t *out)
{
	uint32_t v = 0;

	if (s->n < 8)
		return false;
	for (int i = 0; i < 8; i++) {
		int c = (unsigned char)s->p[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
		v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*out = v;
	s->p += 8;
	s->n -= 8;
	return true;
}

struct commit {
	uint64_t count, bytes, time, disk;
	uint32_t prev, crc;
	size_t covered;           /* bytes of its line that crc covers */
};

/* The length of the commit line at p, without what ends it; 0: it is none. */
static size_t
parse_commit(const char *p, size_t n, struct commit *c)
{
	struct str s = {p, n < COMMIT_MAX ? n : COMMIT_MAX};

	if (!take(&s, marker) || !take_number(&s, &c->count) || !take(&s, ",\"bytes\":") || !take_number(&s, &c->bytes) ||
	    !take(&s, ",\"time\":") || !take_number(&s, &c->time) || !take(&s, ",\"prev\":\"") || !take_hex(&s, &c->prev) ||
	    !take(&s, "\",\"disk\":") || !take_number(&s, &c->disk))
		return 0;
	c->covered = (size_t)(s.p - p);
	return take(&s, ",\"crc\":\"") && take_hex(&s, &c->crc) && take(&s, "\"}") ? (size_t)(s.p - p) : 0;
}

/* ---- reading ---- */

struct reader {
	const struct os *os;
	int fd;
	char *p;                  /* the window: what was read and is not done with is p[from..to) */
	size_t cap, from, to;
	uint64_t at, line;        /* offset and number of the line at from */
	uint64_t left;            /* bytes of the file that may be read */
};

/* From the end of one candidate for a commit to the end of the next: a turn where nothing is wrong. */
struct turn {
	const char *p;            /* what stands before the commit line; lives until the next read */
	size_t n, lines;
	uint64_t at, line;
	bool clipped;             /* too long: what it began with is not there */
	bool ended;               /* by a line feed, as it should be */
	struct commit c;
};

/* Reads more behind the window.  1, 0 at the end, -1 with errno. */
static int
fill(struct reader *r)
{
	size_t want = r->left < WINDOW ? (size_t)r->left : WINDOW;
	ssize_t n;

	if (r->from && r->from >= r->cap / 2) {
		memmove(r->p, r->p + r->from, r->to - r->from);
		r->to -= r->from;
		r->from = 0;
	}
	if (r->cap - r->to < want) {
		r->cap = r->cap ? r->cap * 2 : 2 * WINDOW;
		r->p = xrealloc(r->p, r->cap);
	}
	if (!want)
		return 0;
	n = r->os->read(r->os->ctx, r->fd, r->p + r->to, want);
	if (n <= 0)
		return (int)n;
	r->to += (size_t)n;
	r->left -= (uint64_t)n;
	return 1;
}

static void
advance(struct reader *r, size_t n, size_t lines)
{
	r->from += n;
	r->at += n;
	r->line += lines;
}

/* The next candidate.  1, 0 at the end, -1 with errno. */
static int
read_turn(struct reader *r, struct turn *t)
{
	size_t begin = 0, seen = 0, len;   /* of the line that is looked at, from the window's begin; how much of it was searched */
	int rc;

	*t = (struct turn){.at = r->at, .line = r->line};
	for (;;) {
		const char *p = r->p + r->from + begin, *end;
		size_t have = r->to - r->from - begin;

		end = have > seen ? memchr(p + seen, '\n', have - seen) : NULL;
		if (!end) {
			seen = have;
			if (r->to - r->from > turn_max) {
				advance(r, begin + seen, t->lines);
				t->clipped = true;
				t->lines = begin = seen = 0;
			}
			rc = fill(r);
			if (rc <= 0)
				return rc;
			continue;
		}
		len = parse_commit(p, (size_t)(end - p), &t->c);
		if (len)
			break;
		t->lines++;
		begin += (size_t)(end - p) + 1;
		seen = 0;
	}
	t->p = r->p + r->from;
	t->n = begin;
	t->ended = t->p[begin + len] == '\n';
	advance(r, begin + len + 1, t->lines + 1);
	return 1;
}

/* Right by its own crc.  Something that is no part of it may stand before. */
static bool
turn_own(const struct turn *t)
{
	return t->c.bytes <= t->n && hash_crc32c(0, t->p + (t->n - t->c.bytes), (size_t)t->c.bytes + t->c.covered) == t->c.crc;
}

static bool
turn_whole(const struct turn *t, uint32_t chain)
{
	return !t->clipped && t->ended && t->c.bytes == t->n && t->c.count == t->lines && t->c.prev == chain && turn_own(t);
}

/* Applies the records of a turn, at its own time.  lost NULL: all must be understood; else those that are not are counted there. */
static int
apply(struct store *s, const struct turn *t, struct now now, uint64_t *lost, struct err *e)
{
	const char *p = t->p + (t->n - t->c.bytes), *end = t->p + t->n;

	now.mono = (int64_t)t->c.time;
	for (uint64_t line = t->line; p < end; line++) {
		const char *next = memchr(p, '\n', (size_t)(end - p));
		struct err why = {0};

		if (!next)
			next = end;
		if (queue_apply(s, p, (size_t)(next - p), now, &why) < 0) {
			if (!lost)
				return err_set(e, EXIT_REFUSED, "line %llu, offset %llu: not understood: %s: `labtasker serve --repair` "
				    "leaves it out", (unsigned long long)line, (unsigned long long)(t->at + (uint64_t)(p - t->p)), why.msg);
			++*lost;
		}
		p = next + 1;
	}
	return 0;
}

/* The header.  1 and the id, 0 when it is bad (id is filled if it can be), -1 with err: unreadable or a later format. */
static int
read_header(struct reader *r, char id[37], uint32_t *crc, struct err *e)
{
	unsigned char raw[16];
	struct str s, store;
	uint64_t version;
	uint32_t given;
	size_t covered;
	int rc = 1;

	while (r->to - r->from < COMMIT_MAX && rc > 0)
		rc = fill(r);
	if (rc < 0)
		return err_set(e, EXIT_REFUSED, "%s", strerror(errno));
	s = (struct str){r->p + r->from, r->to - r->from};
	if (!take(&s, "{\"labtasker\":\"journal\",\"version\":") || !take_number(&s, &version) || !take(&s, ",\"store\":\"") ||
	    s.n < 36)
		return 0;
	store = (struct str){s.p, 36};
	s = (struct str){s.p + 36, s.n - 36};
	if (!uuid_parse(store, raw))
		uuid_print(raw, id);
	if (!take(&s, "\""))
		return 0;
	covered = (size_t)(s.p - (r->p + r->from));
	*crc = hash_crc32c(0, r->p + r->from, covered);
	if (!take(&s, ",\"crc\":\"") || !take_hex(&s, &given) || !take(&s, "\"}\n") || given != *crc)
		return 0;
	if (version != FORMAT)
		return err_set(e, EXIT_REFUSED, "written in format %llu, this version reads %d: use the labtasker that wrote it",
		    (unsigned long long)version, FORMAT);
	advance(r, (size_t)(s.p - (r->p + r->from)), 1);
	return 1;
}

/* Notes the first bad place. */
static void
note_bad(struct replay *f, uint64_t at, uint64_t line)
{
	if (f->bad)
		return;
	f->bad = true;
	f->bad_at = at;
	f->bad_line = line;
}

static bool
all_zero(const char *p, size_t n)
{
	while (n && !p[n - 1])
		n--;
	return !n;
}

/* Applies a turn that is good, or can be saved.  -1 with err: it is not understood. */
static int
take_turn(struct store *s, const struct turn *t, bool good, struct now now, struct replay *f, struct err *e)
{
	if (!good) {
		note_bad(f, t->at, t->line);
		if (!turn_own(t)) {
			f->turns_lost++;
			return 0;
		}
		f->damaged |= t->c.disk > f->bad_at;
		if (!f->mend)
			return 0;
		f->saved++;
	}
	if (apply(s, t, now, f->mend ? &f->records_lost : NULL, e) < 0)
		return -1;
	f->time = (int64_t)t->c.time;
	return 0;
}

/* Reads the journal into s.  -1 with err: it cannot be read or is not understood. */
static int
replay(struct journal *j, struct store *s, struct now now, struct replay *f, struct err *e)
{
	struct reader r = {.os = j->os, .fd = j->file.fd, .line = 1, .left = f->most};
	struct turn t;
	int rc;

	f->file.fd = r.fd;
	if (j->os->seek(j->os->ctx, r.fd, 0, SEEK_SET) < 0)
		return err_set(e, EXIT_REFUSED, "%s", strerror(errno));
	rc = read_header(&r, j->id, &f->file.crc, e);
	if (rc < 0)
		goto out;
	if (!rc)
		note_bad(f, 0, 1);
	f->file.end = r.at;
	while ((rc = read_turn(&r, &t)) > 0) {
		bool good = !f->bad && turn_whole(&t, f->file.crc);

		rc = take_turn(s, &t, good, now, f, e);
		if (rc < 0)
			goto out;
		if (good)
			f->file = (struct file){.fd = r.fd, .end = r.at, .crc = t.c.crc, .told = t.c.disk};
	}
	if (rc < 0)
		err_set(e, EXIT_REFUSED, "offset %llu: %s", (unsigned long long)(r.at + (r.to - r.from)), strerror(errno));
	else if (t.clipped || !all_zero(r.p + r.from, r.to - r.from))
		note_bad(f, t.at, t.line);
	f->size = r.at + (r.to - r.from);
out:
	free(r.p);
	return rc;
}

/* ---- writing ---- */

/* Takes away what may stand behind the last commit. */
static int
cut(struct journal *j)
{
	int rc = j->os->truncate(j->os->ctx, j->file.fd, (int64_t)j->file.end);

	j->uncut = rc < 0;
	j->file.size = j->file.end;
	return rc;
}

static int
go_to(struct journal *j, uint64_t at)
{
	return j->os->seek(j->os->ctx, j->file.fd, (int64_t)at, SEEK_SET) < 0 ? -1 : 0;
}

/* Zeros behind the end for the next n bytes and more, so that many syncs have no new size of the file to write, which on most file
 * systems costs as much again.  Where there is no room they are left out.  -1: even that cannot be had. */
static int
stretch(struct journal *j, size_t n)
{
	static char zeros[16 << 10];   /* not const: in the binary it takes no room */
	uint64_t at = j->file.size > j->file.end ? j->file.size : j->file.end, to = j->file.end + n + j->ahead;
	int rc = go_to(j, at);

	for (; !rc && at < to; at += sizeof zeros)
		rc = write_all(j->os, j->file.fd, zeros, sizeof zeros);
	j->file.size = at;
	if (!rc)
		return 0;
	j->ahead = 0;   /* a disk that is full, or worse: no more of this */
	return cut(j);
}

/* Makes ready to write the next n bytes of the journal. */
static int
make_room(struct journal *j, size_t n)
{
	if (n < j->ahead && j->file.end + n > j->file.size && stretch(j, n) < 0)
		return -1;
	return go_to(j, j->file.end);
}

/* Appends a turn with its commit to f.  turn is used up.  -1 with errno: bytes of it may stand behind f->end. */
static int
append(struct journal *j, struct file *f, struct buf *turn, size_t count, struct now now)
{
	uint32_t crc = put_commit(turn, count, f, now.mono + j->skew);

	if (f == &j->file && make_room(j, turn->len) < 0)
		return -1;
	if (write_all(j->os, f->fd, turn->p, turn->len) < 0)
		return -1;
	f->end += turn->len;
	f->crc = crc;
	f->told = f->disk;
	return 0;
}

static int
sync_file(struct journal *j, struct file *f)
{
	if (f->disk == f->end)
		return 0;
	if (j->os->sync(j->os->ctx, f->fd) < 0)
		return -1;
	f->disk = f->end;
	return 0;
}

/* Bytes that a reserve could get; reserve_size: it stands, synced. */
static size_t
fill_reserve(const struct os *os, const char *path)
{
	static uint32_t block[16 << 10];
	uint32_t x = 0;   /* xorshift: what no file system compresses or shares */
	size_t got = 0;
	int fd = os->open(os->ctx, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		return 0;
	os->random(os->ctx, &x, sizeof x);
	x |= 1;
	while (got < reserve_size) {
		for (size_t i = 0; i < LEN(block); i++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			block[i] = x;
		}
		if (write_all(os, fd, (const char *)block, sizeof block) < 0)
			break;
		got += sizeof block;
	}
	if (got == reserve_size && os->sync(os->ctx, fd) < 0)
		got = 0;
	os->close(os->ctx, fd);
	return got;
}

static void
tell_full(struct journal *j)
{
	if (j->reserve == RESERVE_GIVEN)
		return;
	j->said = true;
	warn("%s: the disk is full: until 1 MiB is free, running tasks can end and nothing new is taken", j->dir);
}

/* Makes the reserve.  The bytes that there was room for; what is less than whole is given back at once. */
static size_t
make_reserve(struct journal *j)
{
	const struct os *os = j->os;
	int fd = os->open(os->ctx, j->spare, O_RDONLY, 0);
	int64_t size = fd < 0 ? 0 : os->seek(os->ctx, fd, 0, SEEK_END);
	size_t got;

	if (fd >= 0)
		os->close(os->ctx, fd);
	got = size == (int64_t)reserve_size ? reserve_size : fill_reserve(os, j->spare);
	if (got < reserve_size) {
		os->unlink(os->ctx, j->spare);
		tell_full(j);
	}
	j->reserve = got < reserve_size ? RESERVE_GIVEN : RESERVE_HELD;
	return got;
}

/* The end of a compaction; of its file too, unless that has become the journal. */
static void
end_dump(struct journal *j, struct store *s)
{
	if (!j->dumping)
		return;
	queue_dump_close(s);
	if (j->next.fd >= 0) {
		j->os->close(j->os->ctx, j->next.fd);
		j->os->unlink(j->os->ctx, j->temp);
	}
	buf_free(&j->also);
	buf_free(&j->chunk);
	j->dumping = false;
}

/* The disk is full: gives something back to it.  False: there is nothing. */
static bool
give(struct journal *j, struct store *s, struct now now)
{
	if (j->dumping) {
		end_dump(j, s);
		j->pause = now.mono + PAUSE * SECOND;
		return true;
	}
	if (j->reserve != RESERVE_HELD || j->os->unlink(j->os->ctx, j->spare) < 0)
		return false;
	tell_full(j);
	j->reserve = RESERVE_GIVEN;
	j->retry = now.mono + SECOND;
	return true;
}

/* Appends the turn to the journal and syncs it as asked.  -1 with errno: the journal's end is where it was. */
static int
put_turn(struct journal *j, struct store *s, struct buf *turn, size_t count, struct now now)
{
	struct file before = j->file;
	size_t records = turn->len;

	while (append(j, &j->file, turn, count, now) < 0) {
		int why = errno;

		if (!disk_full(why) || !give(j, s, now) || cut(j) < 0) {
			errno = why;
			return -1;
		}
		turn->len = records;
	}
	j->last = now.mono;
	if (j->dirty == INT64_MAX)
		j->dirty = now.mono;
	if (j->sync != SYNC_ALWAYS || !sync_file(j, &j->file))
		return 0;
	j->file = before;
	j->distrust = true;
	return -1;
}

/* The state as of the last commit, from the file: undoing costs nothing in the turns that succeed. */
static void
reload(struct journal *j, struct store **s, struct now now)
{
	struct replay f = {.most = j->file.end};
	struct err e = {0};

	end_dump(j, *s);
	store_free(*s);
	*s = store_new();
	if (replay(j, *s, now, &f, &e) < 0 || f.bad || f.file.end != j->file.end ||
	    f.file.crc != j->file.crc)
		die(EXIT_REFUSED, "%s: cannot be read again after a failed write: %s: start the server anew", j->path,
		    e.code ? e.msg : "it has changed");
	queue_loaded(*s, now, now.mono + j->skew);
}

static void
later(struct journal *j, struct now now)
{
	j->retry = now.mono + SECOND;
}

int
journal_commit(struct journal *j, struct store **s, struct now now, struct err *e)
{
	size_t count;
	struct buf *turn = store_turn(*s, &count);
	int why;

	if (!turn->len)
		return 0;
	if (journal_mode(j) == JOURNAL_REFUSE) {
		reload(j, s, now);
		return err_set(e, EXIT_REFUSED, "%s: not mended yet", j->path);
	}
	if (turn->len > turn_max - COMMIT_MAX) {
		reload(j, s, now);
		return err_set(e, EXIT_REFUSED, "%s: too many changes at once", j->path);
	}
	if (!put_turn(j, *s, turn, count, now)) {
		if (turn->cap > WINDOW)
			buf_free(turn);
		else
			buf_clear(turn);
		return 0;
	}
	why = errno;
	if (j->distrust && disk_full(why))
		give(j, *s, now);   /* the successor needs the room */
	j->stuck = !j->distrust;
	cut(j);
	later(j, now);
	reload(j, s, now);
	return err_set(e, EXIT_REFUSED, "%s: %s%s", j->path, j->distrust ? "sync: " : "", strerror(why));
}

/* A turn without records: tells how far the disk holds, and shows whether it can be written to. */
static int
seal(struct journal *j, struct now now)
{
	struct buf b = {0};
	int rc = append(j, &j->file, &b, 0, now);

	buf_free(&b);
	if (rc < 0 && cut(j) < 0)
		later(j, now);
	return rc;
}

/* ---- compaction: the live state into a successor, a slice a turn ---- */

/* Opens journal.new with its header. */
static int
begin_next(struct journal *j)
{
	struct buf b = {0};
	int rc;

	j->next = (struct file){0};
	j->next.fd = j->os->open(j->os->ctx, j->temp, O_RDWR | O_CREAT | O_TRUNC | (j->ahead ? 0 : O_APPEND), 0600);
	if (j->next.fd < 0)
		return -1;
	j->next.crc = put_header(&b, j->id);
	j->next.end = b.len;
	rc = write_all(j->os, j->next.fd, b.p, b.len);
	if (rc < 0) {
		int why = errno;

		j->os->close(j->os->ctx, j->next.fd);
		j->os->unlink(j->os->ctx, j->temp);
		errno = why;
	}
	buf_free(&b);
	return rc;
}

static void
drop_spent(struct journal *j)
{
	if (j->spent.fd >= 0)
		j->os->close(j->os->ctx, j->spent.fd);
	j->spent.fd = -1;
}

/* The file that was replaced is nobody's any more, but to take a large one back the system needs long: see shrink. */
static void
spend(struct journal *j, struct file was)
{
	drop_spent(j);
	j->spent = was;
}

/* Gives a piece of it back to the disk.  True: there is more. */
static bool
shrink(struct journal *j)
{
	if (j->spent.fd < 0)
		return false;
	j->spent.end -= j->spent.end < piece ? j->spent.end : piece;
	if (j->spent.end && !j->os->truncate(j->os->ctx, j->spent.fd, (int64_t)j->spent.end))
		return true;
	drop_spent(j);
	return false;
}

/* Makes the successor, which has everything, the journal.  Its seal comes before the rename: from then on damage anywhere before
 * it is seen.  -1 with errno: the old one goes on; or, where only the directory could not be synced, the new one, distrusted. */
static int
finish_next(struct journal *j, struct now now)
{
	struct buf b = {0};
	struct file was;
	int rc;

	rc = sync_file(j, &j->next);
	if (!rc)
		rc = append(j, &j->next, &b, 0, now);
	buf_free(&b);
	if (rc < 0 || j->os->rename(j->os->ctx, j->temp, j->path) < 0)
		return -1;
	was = j->file;
	j->file = j->next;
	j->next.fd = -1;
	j->base = j->file.end;
	j->dirty = INT64_MAX;
	j->uncut = j->stuck = false;
	j->distrust = j->os->syncdir(j->os->ctx, j->dir) < 0;
	if (was.fd >= 0 && j->distrust)
		j->os->close(j->os->ctx, was.fd);   /* a power cut may bring it back: it stays whole */
	else if (was.fd >= 0)
		spend(j, was);
	return j->distrust ? -1 : 0;
}

static bool
dump_due(const struct journal *j, const struct store *s, struct now now)
{
	if (now.mono < j->pause)
		return false;
	if (journal_mode(j) == JOURNAL_REFUSE)
		return j->distrust;
	return j->file.end > small && j->file.end / 2 > store_live(s) && j->file.end > j->base + j->base / 4;
}

static size_t
lines(const struct buf *b)
{
	size_t n = 0;

	for (const char *p = b->p, *end = b->p + b->len; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		n++;
	return n;
}

/* One slice.  1 when it was the last, 0, -1 with errno.  What changed of entities that are out goes first: it is older than what
 * the dump now says of the others. */
static int
dump_slice(struct journal *j, struct store *s, struct now now)
{
	bool out;

	if (j->also.len) {
		if (append(j, &j->next, &j->also, lines(&j->also), now) < 0)
			return -1;
		buf_clear(&j->also);
	}
	buf_clear(&j->chunk);
	out = queue_dump(s, &j->chunk, slice, now);
	if (j->chunk.len && append(j, &j->next, &j->chunk, lines(&j->chunk), now) < 0)
		return -1;
	if (j->next.end - j->next.disk >= spread && sync_file(j, &j->next) < 0)
		return -1;
	return out;
}

static int
dump_begin(struct journal *j, struct store *s)
{
	if (begin_next(j) < 0)
		return -1;
	queue_dump_open(s, &j->also);
	j->dumping = true;
	return 0;
}

static void
dump_failed(struct journal *j, struct store *s, struct now now, int why)
{
	end_dump(j, s);
	j->pause = now.mono + (j->distrust ? 1 : PAUSE) * SECOND;
	if (!j->grumbled)
		warn("%s: cannot be written anew: %s: tried again", j->path, strerror(why));
	j->grumbled = true;
}

/* Begins, goes on, or ends.  True: there is more to do at once. */
static bool
dump_work(struct journal *j, struct store *s, struct now now)
{
	int rc;

	if (!j->dumping && !dump_due(j, s, now))
		return false;
	if (!j->dumping && dump_begin(j, s) < 0)
		goto failed;
	rc = dump_slice(j, s, now);
	if (rc < 0 || (rc && finish_next(j, now) < 0))
		goto failed;
	if (!rc)
		return true;
	end_dump(j, s);
	j->grumbled = false;
	return false;
failed:
	dump_failed(j, s, now, errno);
	return false;
}

/* ---- between turns ---- */

enum journal_mode
journal_mode(const struct journal *j)
{
	return j->uncut || j->stuck || j->distrust ? JOURNAL_REFUSE : j->reserve == RESERVE_GIVEN ? JOURNAL_LOW : JOURNAL_FINE;
}

/* What failed is tried again. */
static void
mend(struct journal *j, struct now now)
{
	size_t room = ROOM;

	later(j, now);
	if (j->uncut && cut(j) < 0)
		return;
	if (j->reserve != RESERVE_HELD)
		room = make_reserve(j);
	if (j->stuck && room >= ROOM && !seal(j, now))
		j->stuck = false;
}

/* Syncs what is due by --sync=SECONDS, or all. */
static int
late_sync(struct journal *j)
{
	j->dirty = INT64_MAX;
	if (!sync_file(j, &j->file))
		return 0;
	j->distrust = true;
	return -1;
}

static int64_t
sync_time(const struct journal *j)
{
	return j->sync <= 0 || j->dirty == INT64_MAX ? INT64_MAX : j->dirty + j->sync * SECOND;
}

static int64_t
seal_time(const struct journal *j)
{
	return j->file.told < j->file.disk && j->file.disk == j->file.end ? j->last + SECOND : INT64_MAX;
}

static int64_t
sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When journal_work has something to do, if nothing happens. */
static int64_t
next_need(const struct journal *j)
{
	enum journal_mode mode = journal_mode(j);
	int64_t next = mode == JOURNAL_FINE ? INT64_MAX : j->retry;

	if (j->distrust)
		next = sooner(next, j->pause);
	return mode == JOURNAL_REFUSE ? next : sooner(next, sooner(sync_time(j), seal_time(j)));
}

int64_t
journal_work(struct journal *j, struct store **s, struct now now)
{
	bool refused = journal_mode(j) == JOURNAL_REFUSE, more;

	if ((journal_mode(j) != JOURNAL_FINE || j->reserve == RESERVE_DUE) && now.mono >= j->retry)
		mend(j, now);
	if (journal_mode(j) != JOURNAL_REFUSE && now.mono >= sync_time(j) && late_sync(j) < 0) {
		j->said = true;
		warn("%s: sync: %s: changes are refused until all of it is written anew", j->path, strerror(errno));
	}
	more = dump_work(j, *s, now);
	if (refused && journal_mode(j) != JOURNAL_REFUSE)
		queue_renew(*s, now);
	if (more || shrink(j))
		return now.mono;
	if (journal_mode(j) != JOURNAL_REFUSE && now.mono >= seal_time(j) && seal(j, now) < 0)
		j->file.told = j->file.disk;   /* it is only a help; the next turn will show what is wrong */
	if (j->said && journal_mode(j) == JOURNAL_FINE) {
		j->said = false;
		warn("%s: all changes are taken again", j->dir);
	}
	return next_need(j);
}

int
journal_flush(struct journal *j, struct err *e)
{
	if (j->uncut)
		cut(j);
	if (j->distrust)
		return err_set(e, EXIT_REFUSED, "%s: a sync failed: the last changes may be lost", j->path);
	if (late_sync(j) < 0)
		return err_set(e, EXIT_REFUSED, "%s: sync: %s: the last changes may be lost", j->path, strerror(errno));
	if (!j->uncut && j->file.told < j->file.disk)
		seal(j, time_now(j->os));   /* without it nothing is lost */
	if (j->file.size > j->file.end)
		cut(j);
	return 0;
}

/* ---- beginning and end ---- */

/* A new journal, empty or of what s holds, whole and synced before it has its name. */
static int
write_anew(struct journal *j, struct store *s, struct now now)
{
	int rc = dump_begin(j, s), why;

	while (!rc)
		rc = dump_slice(j, s, now);
	if (rc > 0)
		rc = finish_next(j, now);
	why = errno;
	end_dump(j, s);
	errno = why;
	return rc;
}

/* Copies the damaged file, so that at no moment there is none.  Its new name, owned; NULL with errno. */
static char *
keep_damaged(struct journal *j)
{
	const struct os *os = j->os;
	char *name = NULL, *block = xmalloc(WINDOW);
	ssize_t n = -1;
	int fd = -1;

	for (int i = 1; fd < 0 && i < 10000; i++) {
		free(name);
		name = xprintf("%s.damaged-%d", j->path, i);
		fd = os->open(os->ctx, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd < 0)
		goto out;
	if (os->seek(os->ctx, j->file.fd, 0, SEEK_SET) == 0)
		while ((n = os->read(os->ctx, j->file.fd, block, WINDOW)) > 0)
			if (write_all(os, fd, block, (size_t)n) < 0) {
				n = -1;
				break;
			}
	if (!n && os->sync(os->ctx, fd) < 0)
		n = -1;
	if (n < 0) {
		int why = errno;

		os->unlink(os->ctx, name);
		errno = why;
	}
	os->close(os->ctx, fd);
out:
	free(block);
	if (n < 0) {
		free(name);
		name = NULL;
	}
	return name;
}

static int
repair(struct journal *j, struct store *s, const struct replay *f, struct now now, struct err *e)
{
	char *kept = keep_damaged(j);

	if (!kept)
		return err_set(e, EXIT_REFUSED, "%s: no copy of it could be kept: %s", j->path, strerror(errno));
	if (!*j->id)
		new_id(j->os, j->id);
	if (write_anew(j, s, now) < 0) {
		err_set(e, EXIT_REFUSED, "%s: cannot be written anew: %s", j->path, strerror(errno));
		free(kept);
		return -1;
	}
	warn("%s: repaired: damaged from line %llu, offset %llu; %llu turns and %llu records were lost; the old file is %s", j->path,
	    (unsigned long long)f->bad_line, (unsigned long long)f->bad_at, (unsigned long long)f->turns_lost,
	    (unsigned long long)f->records_lost, kept);
	free(kept);
	return 0;
}

/* Puts on disk what no commit tells to be there, and the file's name, which a server that was killed may not have come to.  The
 * end is written once more before: a sync that failed under a server which is dead may have taken it off the system's list, and the
 * next sync would say that all is well. */
static int
secure(struct journal *j)
{
	const struct os *os = j->os;
	uint64_t at = j->file.told < j->file.end ? j->file.told : j->file.end;
	char *block = xmalloc(WINDOW);
	int fd = os->open(os->ctx, j->path, O_WRONLY, 0), rc = -1, why;
	ssize_t n = 0;

	if (fd < 0 || os->seek(os->ctx, fd, (int64_t)at, SEEK_SET) < 0 || os->seek(os->ctx, j->file.fd, (int64_t)at, SEEK_SET) < 0)
		goto out;
	for (; at < j->file.end; at += (uint64_t)n) {
		size_t want = j->file.end - at < WINDOW ? (size_t)(j->file.end - at) : WINDOW;

		n = os->read(os->ctx, j->file.fd, block, want);
		if (n <= 0 || write_all(os, fd, block, (size_t)n) < 0)
			break;
	}
	if (at == j->file.end && !sync_file(j, &j->file))
		rc = os->syncdir(os->ctx, j->dir);
out:
	why = errno;
	free(block);
	if (fd >= 0)
		os->close(os->ctx, fd);
	errno = why;
	return rc;
}

/* Judges what reading found, and makes the file end with its last commit. */
static int
settle(struct journal *j, struct store *s, const struct replay *f, struct now now, struct err *e)
{
	bool broken = f->damaged || (f->bad && !f->bad_at) || f->saved || f->records_lost;   /* the last two only when mending */

	j->file = f->file;
	if (broken && !f->mend)
		return err_set(e, EXIT_REFUSED, "%s: line %llu, offset %llu: damaged%s: put back a copy, or `labtasker serve --repair` "
		    "writes what can be read to a new file and keeps this one", j->path, (unsigned long long)f->bad_line,
		    (unsigned long long)f->bad_at, f->bad_at ? ", and it was on disk" : ", or no journal");
	if (broken)
		return repair(j, s, f, now, e);
	if (f->bad) {
		warn("%s: cut at line %llu, offset %llu: the %llu bytes behind are of a turn that was not finished", j->path,
		    (unsigned long long)f->bad_line, (unsigned long long)f->bad_at, (unsigned long long)(f->size - f->bad_at));
	}
	j->file.size = f->size;
	if ((f->bad || (f->size > j->file.end && !j->ahead)) && cut(j) < 0)
		return err_set(e, EXIT_REFUSED, "%s: cannot be cut: %s", j->path, strerror(errno));
	if (f->mend)
		warn("%s: nothing to repair", j->path);
	/* What a killed server wrote may be in the system's memory only. */
	if (secure(j) < 0) {
		j->distrust = j->said = true;
		warn("%s: sync: %s: changes are refused until all of it is written anew", j->path, strerror(errno));
	}
	return 0;
}

/* Tried again when it failed: to be told once, wrongly, that nothing is there would cost all that is. */
static int
open_file(const struct journal *j)
{
	int flags = O_RDWR | (j->ahead ? 0 : O_APPEND), fd = j->os->open(j->os->ctx, j->path, flags, 0);

	return fd >= 0 ? fd : j->os->open(j->os->ctx, j->path, flags, 0);
}

/* Opens what is there.  1, 0 when there is nothing, -1 with err. */
static int
open_old(struct journal *j, const struct journal_opts *o, struct store **s, struct now now, struct err *e)
{
	struct replay f = {.most = INT64_MAX, .mend = o->repair};
	struct err why = {0};

	j->file.fd = open_file(j);
	if (j->file.fd < 0)
		return errno == ENOENT ? 0 : err_set(e, EXIT_REFUSED, "%s: %s", j->path, strerror(errno));
	*s = store_new();
	if (replay(j, *s, now, &f, &why) < 0)
		return err_set(e, EXIT_REFUSED, "%s: %s", j->path, why.msg);
	j->skew = f.time - now.mono;
	queue_loaded(*s, now, f.time);
	return settle(j, *s, &f, now, e) < 0 ? -1 : 1;
}

struct journal *
journal_open(const struct journal_opts *o, struct store **s, struct err *e)
{
	struct journal *j = xcalloc(1, sizeof *j);
	struct now now = time_now(o->os);
	int rc;

	*s = NULL;
	j->os = o->os;
	j->sync = o->sync;
	j->ahead = o->ahead;
	j->dir = xstrdup(o->dir);
	j->path = beside(o->dir, "journal");
	j->temp = beside(o->dir, "journal.new");
	j->spare = beside(o->dir, "reserve");
	j->dirty = INT64_MAX;
	j->last = j->retry = now.mono;
	j->skew = -now.mono;
	j->spent.fd = -1;
	j->os->unlink(j->os->ctx, j->temp);
	rc = open_old(j, o, s, now, e);
	if (!rc) {
		new_id(j->os, j->id);
		*s = store_new();
		rc = write_anew(j, *s, now);
		if (rc < 0)
			err_set(e, EXIT_REFUSED, "%s: cannot be made: %s", j->path, strerror(errno));
	}
	if (rc >= 0)
		return j;
	store_free(*s);
	*s = NULL;
	journal_close(j);
	return NULL;
}

void
journal_close(struct journal *j)
{
	if (j->file.fd >= 0)
		j->os->close(j->os->ctx, j->file.fd);
	if (j->dumping) {
		j->os->close(j->os->ctx, j->next.fd);
		j->os->unlink(j->os->ctx, j->temp);
	}
	drop_spent(j);
	buf_free(&j->also);
	buf_free(&j->chunk);
	free(j->dir);
	free(j->path);
	free(j->temp);
	free(j->spare);
	free(j);
}

const char *
journal_store_id(const struct journal *j)
{
	return j->id;
}
