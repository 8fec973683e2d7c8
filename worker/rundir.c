/* SPDX-License-Identifier: MIT */
/*
 * The directory of one run (SPEC 4): ROOT/logs/run/run_tTIME_nNAME_idID_rdHEX/ with task_info.json, run.log, heartbeat.lock
 * (there while the run lives) and, in the end, status.json and summary.json.  Directories are 0700, files 0600; JSON is
 * indented by four, ASCII, without a last newline, as the reference writes it.  Nothing is synced: what counts is at the server.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	TRIES = 8,          /* for a name that is free */
	FILTERED = 16 << 10 /* filtered at once */
};

static char *
join(const char *dir, const char *name)
{
	return xprintf("%s/%s", dir, name);
}

/* A file in dir with these bytes; flags: O_EXCL, a new one, 0, also in the place of another, which is not emptied first: ext4
 * would write out what follows at once.  What is there of it after a failure is removed. */
static int
put_file(const char *dir, const char *name, int flags, const void *p, size_t n, struct err *e)
{
	char *path = join(dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK | flags, 0600), rc = 0;   /* a job may have put a pipe there */

	if (fd < 0) {
		rc = err_set(e, errno, "%s: %s", path, strerror(errno));
	} else {
		if ((n && sys_write_all(fd, p, n) < 0) || (!(flags & O_EXCL) && ftruncate(fd, (off_t)n) < 0))
			rc = err_set(e, errno, "%s: %s", path, strerror(errno));
		if (close(fd) < 0 && !rc)   /* where NFS says that the disk is full */
			rc = err_set(e, errno, "%s: %s", path, strerror(errno));
		if (rc)
			unlink(path);
	}
	free(path);
	return rc;
}

static int
put_json(const char *dir, const char *name, int flags, const struct json *v, struct err *e)
{
	struct buf b = {0};
	int rc;

	json_print(&b, v, 4 | JSON_ASCII);
	rc = put_file(dir, name, flags, b.p, b.len, e);
	buf_free(&b);
	return rc;
}

static void
remove_file(const char *dir, const char *name)
{
	char *path = join(dir, name);

	unlink(path);
	free(path);
}

/* Where the directories of runs stand, with a final slash. */
static int
name_base(struct buf *b, const struct rundir_opts *o, struct err *e)
{
	const char *base = o->dir ? o->dir : o->root;
	char cwd[4096];

	if (*base != '/') {
		if (!getcwd(cwd, sizeof cwd))
			return err_set(e, errno, "working directory: %s", strerror(errno));
		buf_printf(b, "%s/", cwd);
	}
	buf_printf(b, o->dir ? "%s/" : "%s/logs/run/", base);
	return 0;
}

/* run_tTIME_nNAME_idID_rd, without the random part.  Name and id come from a server: they may be no path. */
static int
name_run(struct buf *b, const struct json *task, int64_t wall, struct err *e)
{
	const struct json *id = json_gets(task, "task_id"), *name = json_gets(task, "task_name");
	bool named = name && name->type != JSON_NULL;
	time_t t = (time_t)(wall / SECOND);
	struct tm tm = {.tm_mday = 1};
	char date[40];

	if (!name_valid(json_text(id)))
		return err_set(e, EINVAL, "run directory: the server gave a task without a proper task_id");
	if (named && !name_valid(json_text(name)))
		return err_set(e, EINVAL, "run directory: task %s: its name is no [a-zA-Z0-9_-]{1,100}; rename it", id->s);
	tzset();   /* localtime_r need not */
	localtime_r(&t, &tm);
	strftime(date, sizeof date, "%Y-%m-%d-%H-%M-%S", &tm);
	buf_printf(b, "run_t%s_n%s_id%s_rd", date, named ? name->s : "None", id->s);
	return 0;
}

static void
add_random(struct buf *b)
{
	unsigned char r[4];

	sys_random(r, sizeof r);
	buf_printf(b, "%02x%02x%02x%02x", r[0], r[1], r[2], r[3]);
}

/* Makes the directory that b begins to name, and its parents where this is the first run. */
static int
make_dir(struct buf *b, struct err *e)
{
	size_t len = b->len;

	for (int i = 0; i < TRIES; i++) {
		b->len = len;
		add_random(b);
		if (!mkdir(b->p, 0700))
			return 0;
		if (errno == ENOENT)
			return sys_mkdirs(b->p, 0700, e);
		if (errno != EEXIST)
			break;
	}
	return err_set(e, errno, "%s: %s", b->p, strerror(errno));
}

/* heartbeat.lock, as another name of task_info.json: to be removed a million times it may not be a file of its own, for ext4 looks,
 * for each file that is made, through all that were removed in the last minutes. */
static int
make_lock(const char *dir, struct err *e)
{
	char *path = join(dir, "heartbeat.lock"), *info = join(dir, "task_info.json");
	int rc = !link(info, path) || errno == EEXIST ? 0 : put_file(dir, "heartbeat.lock", O_EXCL, NULL, 0, e);

	free(info);
	free(path);
	return rc;
}

/* A slot's directory, without what a run before left of its end. */
static int
take_slot(const char *path, struct err *e)
{
	if (sys_mkdirs(path, 0700, e) < 0)
		return -1;
	remove_file(path, "status.json");
	remove_file(path, "summary.json");
	return 0;
}

/* Sets path, and keep where there is a slot. */
static int
find_dir(struct rundir *d, const struct rundir_opts *o, const struct json *task, int64_t wall, struct err *e)
{
	struct buf run = {0}, slot = {0};
	int rc = name_base(&run, o, e) < 0 ? -1 : 0;

	if (!rc && o->slot)
		buf_printf(&slot, "%s%s", run.p, o->slot);
	rc = rc || name_run(&run, task, wall, e) < 0 ? -1 : 0;
	if (!rc && o->slot) {
		add_random(&run);
		rc = take_slot(slot.p, e);
	} else if (!rc) {
		rc = make_dir(&run, e);
	}
	if (rc) {
		buf_free(&run);
		buf_free(&slot);
		return -1;
	}
	d->path = o->slot ? slot.p : run.p;
	d->keep = o->slot ? run.p : NULL;
	return 0;
}

/* Empties a slot's log, for the next run.  Where it is empty nothing is done, which ext4 would make much of. */
static int
empty_log(const struct rundir *d)
{
	struct stat st;

	return !d->keep || fstat(d->log, &st) < 0 || !st.st_size ? 0 : ftruncate(d->log, 0);
}

static int
open_log(struct rundir *d, struct err *e)
{
	char *path = join(d->path, "run.log");
	int rc = 0;

	d->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK, 0600);   /* a slot's last job may have put a pipe there */
	if (d->log < 0 || empty_log(d) < 0)
		rc = err_set(e, errno, "%s: %s", path, strerror(errno));
	if (d->log >= 0)
		sys_cloexec(d->log);
	free(path);
	return rc;
}

static void
forget(struct rundir *d)
{
	free(d->path);
	free(d->keep);
	*d = (struct rundir){.log = -1};
}

int
rundir_make(struct rundir *d, const struct rundir_opts *o, const struct json *task, int64_t wall, struct err *e)
{
	*d = (struct rundir){.log = -1, .raw = o->raw, .left = o->max > 0 ? o->max : -1};
	if (find_dir(d, o, task, wall, e) < 0)
		return -1;
	if (put_json(d->path, "task_info.json", 0, task, e) < 0)
		goto undo_dir;
	if (open_log(d, e) < 0 || make_lock(d->path, e) < 0)
		goto undo_files;
	return 0;
undo_files:
	if (d->log >= 0)
		close(d->log);
	remove_file(d->path, "run.log");
	remove_file(d->path, "task_info.json");
undo_dir:
	rmdir(d->path);
	forget(d);
	return -1;
}

void
rundir_clear(const struct rundir_opts *o, const char *slot)
{
	static const char *const names[] = {"task_info.json", "run.log", "heartbeat.lock", "status.json", "summary.json"};
	struct buf b = {0};

	if (!name_base(&b, o, NULL)) {
		buf_adds(&b, slot);
		for (size_t i = 0; i < LEN(names); i++)
			remove_file(b.p, names[i]);
		rmdir(b.p);   /* stays when a job has put something else there */
	}
	buf_free(&b);
}

/* Where the filter is (ECMA-48): in text; after ESC; in an escape with intermediate bytes; in a control sequence; in a string
 * (OSC, DCS and the like).  LAST: that byte was a sequence's last, text follows. */
enum { TEXT, ESC, INTER, CSI, STRING, LAST };

/* The state after c; TEXT means that c is text.  A byte that cannot be there ends a sequence and stands for itself, a string also
 * ends with any control character: an unfinished sequence must not swallow the log.  ESC \ , which ends strings, is an escape. */
static int
step(int state, unsigned char c)
{
	if (c == 0x1b)
		return ESC;
	switch (state) {
	case ESC:
		if (c == '[')
			return CSI;
		if (c && strchr("]PX^_", c))
			return STRING;
		/* fall through */
	case INTER:
		return c < 0x20 || c > 0x7e ? TEXT : c < 0x30 ? INTER : LAST;
	case CSI:
		return c < 0x20 || c > 0x7e ? TEXT : c < 0x40 ? CSI : LAST;
	case STRING:
		return c == 7 ? LAST : c < 0x20 ? TEXT : STRING;
	default:
		return TEXT;
	}
}

/* What is text of p's n bytes, to out; the number of bytes. */
static size_t
filter(char *state, const char *p, size_t n, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		*state = (char)step(*state, (unsigned char)p[i]);
		if (*state == TEXT)
			out[len++] = p[i];
	}
	return len;
}

/* A full disk costs the log, not the run; that is said once. */
static void
append(struct rundir *d, const char *p, size_t n)
{
	static const char full[] = "\n[the log is full: the rest of the output is left out]\n";

	if (d->left >= 0 && (int64_t)n > d->left) {
		sys_write_all(d->log, p, (size_t)d->left);
		if (d->left || !d->said)
			sys_write_all(d->log, full, sizeof full - 1);
		d->left = 0;
		d->said = true;
		return;
	}
	d->left -= d->left >= 0 ? (int64_t)n : 0;
	if (!n || !sys_write_all(d->log, p, n) || d->said)
		return;
	d->said = true;
	warn("%s/run.log: %s: some of the job's output is missing there; the job goes on", d->path, strerror(errno));
}

void
rundir_log(struct rundir *d, const char *p, size_t n)
{
	char out[FILTERED];

	if (d->raw) {
		append(d, p, n);
		return;
	}
	if (d->state == TEXT || d->state == LAST) {
		const char *esc = n ? memchr(p, 0x1b, n) : NULL;
		size_t plain = esc ? (size_t)(esc - p) : n;

		append(d, p, plain);
		p += plain;
		n -= plain;
	}
	while (n) {
		size_t k = n < sizeof out ? n : sizeof out;

		append(d, out, filter(&d->state, p, k, out));
		p += k;
		n -= k;
	}
}

/* In the place of what the job has written, which stays whole until ours is. */
static int
replace(const char *dir, const char *file, const struct json *v, struct err *e)
{
	char *path = join(dir, file), *temp = xprintf("%s.new", file), *from = join(dir, temp);
	int rc = put_json(dir, temp, 0, v, e);

	if (!rc && rename(from, path) < 0) {
		rc = err_set(e, errno, "%s: %s", path, strerror(errno));
		unlink(from);
	}
	free(from);
	free(temp);
	free(path);
	return rc;
}

int
rundir_put(struct rundir *d, const char *name, const struct json *v, struct err *e)
{
	char *file = xprintf("%s.json", name);
	struct err why = {0};
	int rc = put_json(d->path, file, O_EXCL, v, &why);

	if (why.code == EEXIST)
		rc = replace(d->path, file, v, e);
	else if (rc)
		err_set(e, why.code, "%s", why.msg);
	free(file);
	return rc;
}

struct json_doc *
rundir_get(const struct rundir *d, const char *name, size_t max, struct err *e)
{
	char *path = xprintf("%s/%s.json", d->path, name);
	struct json_doc *doc = NULL;
	struct err why = {0};
	struct buf b = {0};
	struct stat st;

	if (!stat(path, &st) && S_ISFIFO(st.st_mode)) {
		err_set(e, EINVAL, "%s: it is a pipe", path);   /* which would never end */
	} else if (!sys_slurp(path, max, &b, e) && !(doc = json_parse(b.p ? b.p : "", b.len, &why))) {
		err_locate(&why, b.p ? b.p : "", b.len);
		err_set(e, EINVAL, "%s:%lu:%lu: %s", path, (unsigned long)why.line, (unsigned long)why.col, why.msg);
	}
	buf_free(&b);
	free(path);
	return doc;
}

bool
rundir_beats(const struct rundir *d)
{
	char *path = d->path ? join(d->path, "heartbeat.lock") : NULL;
	bool there = !path || !access(path, F_OK) || (errno != ENOENT && errno != ENOTDIR);   /* a look that fails removes nothing */

	free(path);
	return there;
}

void
rundir_close(struct rundir *d)
{
	if (!d->path)
		return;
	remove_file(d->path, "heartbeat.lock");
	empty_log(d);   /* now: a file that is filled after it was emptied is written out when it is closed */
	close(d->log);
	forget(d);
}

void
rundir_keep(struct rundir *d)
{
	char *keep = d->keep;

	if (!keep)
		return;
	d->keep = NULL;
	if (!rename(d->path, keep)) {
		free(d->path);
		d->path = keep;
		return;
	}
	if (errno != ENOENT)   /* else the job has removed it, as was said of its status.json */
		warn("%s: %s: the run's files stay in %s until its next run, or the loop's end", keep, strerror(errno), d->path);
	free(keep);
	rundir_close(d);   /* the directory is the next run's, with its heartbeat.lock */
}
