/* SPDX-License-Identifier: MIT */
/*
 * Faults by linking.  With -Wl,--wrap=NAME for each __wrap_NAME below the program's own calls come here (those inside the libc do
 * not), are counted by kind and process, and one of them, or all from one on, fails instead of being done:
 *
 *   FAULT=DEPTH/KIND:N:HOW    in the process that is DEPTH forks away from the one that was started, the N-th call of KIND;
 *                             N+ is it and all after it.  HOW is the name of an errno; short: fewer bytes than were asked for (of a
 *                             poll: no time passes); eof: the peer is gone.  A forked process counts from 1 again.
 *   FAULT_LOG=FILE            gets a line "DEPTH/KIND" for each call; with FAULT "hit DEPTH/KIND:N" where it was done, and who finds the
 *                             file there does nothing: of several processes of that depth only one meets the fault
 *
 * Kinds are those of the table.  read and write are told apart by what they work on, since their errors are.  A fault that cannot
 * be there (EAGAIN of a blocking descriptor, a record of a pipe that is cut) is left out: then there is no hit.
 */
#define _XOPEN_SOURCE 600
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHORT = -1, END = -2 };
enum kind { ALLOC, READ_FILE, READ_PIPE, READ_SOCK, WRITE_FILE, WRITE_PIPE, WRITE_SOCK, SYNC, RENAME, OPEN, POLL, ACCEPT, CONNECT, FORK,
    PIPE, KINDS };

static const char *const kinds[KINDS] = {"alloc", "read-file", "read-pipe", "read-sock", "write-file", "write-pipe", "write-sock",
    "fsync", "rename", "open", "poll", "accept", "connect", "fork", "pipe"};

static const struct {
	const char *name;
	int number;
} errors[] = {
#define E(x) {#x, x}
	E(EACCES), E(EADDRINUSE), E(EADDRNOTAVAIL), E(EAGAIN), E(EBUSY), E(ECONNABORTED), E(ECONNREFUSED), E(ECONNRESET), E(EDQUOT), E(EFBIG),
	E(EHOSTUNREACH), E(EINTR), E(EINVAL), E(EIO), E(EISDIR), E(ELOOP), E(EMFILE), E(EMLINK), E(ENETDOWN), E(ENETUNREACH), E(ENFILE),
	E(ENOBUFS), E(ENOENT), E(ENOMEM), E(ENOSPC), E(ENOSYS), E(ENOTCONN), E(ENXIO), E(EOVERFLOW), E(EPERM), E(EPIPE), E(EPROTO), E(EROFS),
	E(ESTALE), E(ETIMEDOUT), E(EXDEV), {"short", SHORT}, {"eof", END},
#undef E
};

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __real_write(int fd, const void *p, size_t n);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_rename(const char *from, const char *to);
int __real_open64(const char *path, int flags, ...);
int __real_poll(struct pollfd *p, nfds_t n, int ms);
int __real_accept(int fd, struct sockaddr *a, socklen_t *n);
int __real_connect(int fd, const struct sockaddr *a, socklen_t n);
pid_t __real_fork(void);
pid_t __real_vfork(void);
int __real_pipe(int fd[2]);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_poll(struct pollfd *p, nfds_t n, int ms);
int __wrap_accept(int fd, struct sockaddr *a, socklen_t *n);
int __wrap_connect(int fd, const struct sockaddr *a, socklen_t n);
pid_t __wrap_fork(void);
pid_t __wrap_vfork(void);
int __wrap_pipe(int fd[2]);

static struct {
	bool begun;
	int depth;            /* the fault's */
	enum kind kind;       /* KINDS: none */
	long n;
	bool on;              /* and all after it */
	int how;
	const char *log;
} plan = {.kind = KINDS};

static int depth;         /* ours */
static long count[KINDS];

static void
begin(void)
{
	const char *text = getenv("FAULT");
	char kind[16], how[16], plus[2] = "";
	int at, i, k;
	long n;

	plan.begun = true;
	plan.log = getenv("FAULT_LOG");
	if (!text || !*text)
		return;
	if (sscanf(text, "%d/%15[a-z-]:%ld%1[+]:%15s", &at, kind, &n, plus, how) != 5) {
		plus[0] = 0;
		if (sscanf(text, "%d/%15[a-z-]:%ld:%15s", &at, kind, &n, how) != 4)
			abort();
	}
	for (k = 0; k < KINDS && strcmp(kinds[k], kind); k++)
		;
	for (i = 0; i < (int)(sizeof errors / sizeof *errors) && strcmp(errors[i].name, how); i++)
		;
	if (k == KINDS || i == (int)(sizeof errors / sizeof *errors))
		abort();
	plan.depth = at;
	plan.kind = (enum kind)k;
	plan.n = n;
	plan.on = plus[0];
	plan.how = errors[i].number;
}

/* A line for the log; with once the file must be new.  -1: it was not. */
static int
note(const char *what, enum kind k, long n, int once)
{
	char line[64];
	int fd, why = errno, len;

	if (!plan.log)
		return 0;
	len = n ? snprintf(line, sizeof line, "%s%d/%s:%ld\n", what, depth, kinds[k], n) :
	    snprintf(line, sizeof line, "%s%d/%s\n", what, depth, kinds[k]);
	fd = __real_open64(plan.log, O_WRONLY | O_CREAT | O_APPEND | once, 0600);
	if (fd >= 0) {
		while (__real_write(fd, line, (size_t)len) < 0 && errno == EINTR)
			;
		close(fd);
	}
	errno = why;
	return fd < 0 ? -1 : 0;
}

/* Counts a call.  Whether it is the one: what is to be done is plan.how. */
static bool
chosen(enum kind k)
{
	if (!plan.begun)
		begin();
	count[k]++;
	if (plan.kind == KINDS)
		note("", k, 0, 0);
	return plan.kind == k && plan.depth == depth && (plan.on ? count[k] >= plan.n : count[k] == plan.n);
}

/* It is to be done now: false when another process has had it. */
static bool
hit(void)
{
	static enum { NEW, OURS, OTHERS } whose;

	if (whose == NEW)
		whose = note("hit ", plan.kind, count[plan.kind], O_EXCL) < 0 ? OTHERS : OURS;
	return whose == OURS;
}

static bool
fails(enum kind k)
{
	if (!chosen(k) || plan.how < 0 || !hit())
		return false;
	errno = plan.how;
	return true;
}

/* ---- memory ---- */

void *
__wrap_malloc(size_t n)
{
	return fails(ALLOC) ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails(ALLOC) ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return fails(ALLOC) ? NULL : __real_realloc(p, n);
}

/* ---- read and write ---- */

/* Which of the three kinds from first on. */
static enum kind
kind_of(int fd, enum kind first)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return first;
	return S_ISSOCK(st.st_mode) ? first + 2 : S_ISFIFO(st.st_mode) ? first + 1 : first;
}

/* Whether this descriptor can fail so. */
static bool
likely(int fd, enum kind k, size_t n)
{
	if (plan.how == EAGAIN)
		return fcntl(fd, F_GETFL) & O_NONBLOCK;
	if (plan.how == SHORT)
		return n > (k == WRITE_PIPE || k == READ_PIPE ? (size_t)_POSIX_PIPE_BUF : 1);
	return true;
}

ssize_t
__wrap_read(int fd, void *p, size_t n)
{
	enum kind k = kind_of(fd, READ_FILE);

	if (!chosen(k) || !likely(fd, k, n) || !hit())
		return __real_read(fd, p, n);
	if (plan.how == SHORT)
		return __real_read(fd, p, k == READ_PIPE ? 8 : 1);   /* 8: two of the guard's records, which no system cuts */
	if (plan.how == END)
		return 0;
	errno = plan.how;
	return -1;
}

ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	enum kind k = kind_of(fd, WRITE_FILE);

	if (!chosen(k) || !likely(fd, k, n) || !hit())
		return __real_write(fd, p, n);
	if (plan.how == SHORT)
		return __real_write(fd, p, n / 2);
	errno = plan.how;
	return -1;
}

/* ---- files ---- */

int
__wrap_fsync(int fd)
{
	return fails(SYNC) ? -1 : __real_fsync(fd);
}

int
__wrap_fdatasync(int fd)
{
	return fails(SYNC) ? -1 : __real_fdatasync(fd);
}

int
__wrap_rename(const char *from, const char *to)
{
	return fails(RENAME) ? -1 : __real_rename(from, to);
}

int
__wrap_open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return fails(OPEN) ? -1 : __real_open64(path, flags, mode);
}

/* ---- waiting and connections ---- */

int
__wrap_poll(struct pollfd *p, nfds_t n, int ms)
{
	if (!chosen(POLL) || !hit())
		return __real_poll(p, n, ms);
	if (plan.how == SHORT)
		return __real_poll(p, n, 0);
	errno = plan.how;
	return -1;
}

/* One that was aborted is off the queue. */
int
__wrap_accept(int fd, struct sockaddr *a, socklen_t *n)
{
	int got;

	if (!fails(ACCEPT))
		return __real_accept(fd, a, n);
	if (plan.how == ECONNABORTED) {
		got = __real_accept(fd, a, n);
		if (got < 0)
			return -1;
		close(got);
		errno = ECONNABORTED;
	}
	return -1;
}

/* After EINTR it goes on by itself. */
int
__wrap_connect(int fd, const struct sockaddr *a, socklen_t n)
{
	if (!fails(CONNECT))
		return __real_connect(fd, a, n);
	if (plan.how == EINTR) {
		if (__real_connect(fd, a, n) < 0)
			return -1;
		errno = EINTR;
	}
	return -1;
}

/* ---- processes ---- */

pid_t
__wrap_fork(void)
{
	pid_t pid;

	if (fails(FORK))
		return -1;
	pid = __real_fork();
	if (!pid) {
		depth++;
		memset(count, 0, sizeof count);
	}
	return pid;
}

/* The child runs on our caller's stack: nothing may be left to do here when it returns, so this must become a jump (-O2). */
pid_t
__wrap_vfork(void)
{
	if (fails(FORK))
		return -1;
	return __real_vfork();
}

int
__wrap_pipe(int fd[2])
{
	return fails(PIPE) ? -1 : __real_pipe(fd);
}
