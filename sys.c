/* SPDX-License-Identifier: MIT */
/*
 * The floor (OURS 7): clocks, random bytes, files that are whole or absent, locks, and starting processes.  Each call that is
 * newer than POSIX.1-2001 or odd on some system stands here, once, with its fallback.
 */
#include "labtasker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

pid_t vfork(void);   /* of XSI until 2008; some headers hide it now */

int64_t
sys_wall(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return (int64_t)tv.tv_sec * SECOND + tv.tv_usec;
}

int64_t
sys_mono(void)
{
#ifdef CLOCK_MONOTONIC
	struct timespec ts;

	if (!clock_gettime(CLOCK_MONOTONIC, &ts))
		return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec / 1000;
#endif
	struct tms unused;

	return (int64_t)times(&unused) * (1000000 / sysconf(_SC_CLK_TCK));
}

int
sys_timeout(int64_t wake, int64_t now)
{
	int64_t left = wake - now;

	return wake == INT64_MAX ? -1 : left <= 0 ? 0 : left > 60 * SECOND ? 60000 : (int)((left + 999) / 1000);
}

/* Without a source: spread what differs between processes and calls.  Good against accidents, not against an attacker. */
static void
random_mix(unsigned char *p, size_t n)
{
	static uint64_t state;
	static bool said;
	uint64_t z;

	if (!said)
		warn("/dev/urandom: %s: keys and passwords are made from clocks and process ids and may be guessed; mount /dev to mend it",
		    strerror(errno));
	said = true;
	state ^= (uint64_t)sys_wall() * 0x9e3779b97f4a7c15u + (uint64_t)sys_mono();
	state += ((uint64_t)getpid() << 32) + (uint64_t)(uintptr_t)&z;
	for (size_t i = 0; i < n; i++) {
		state += 0x9e3779b97f4a7c15u;
		z = (state ^ state >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		p[i] = (unsigned char)(z >> 24);
	}
}

/* A pool saves an open per call; a forked child must not repeat its parent's bytes, hence the pid. */
void
sys_random(void *out, size_t n)
{
	static unsigned char pool[256];
	static size_t have;
	static pid_t owner;
	unsigned char *p = out;

	if (owner != getpid()) {
		owner = getpid();
		have = 0;
	}
	while (n) {
		size_t k;

		if (!have) {
			int fd = open("/dev/urandom", O_RDONLY | O_NOCTTY);
			ssize_t got = fd < 0 ? -1 : sys_read(fd, pool, sizeof pool);

			if (got != (ssize_t)sizeof pool)
				random_mix(pool, sizeof pool);
			if (fd >= 0)
				close(fd);
			have = sizeof pool;
		}
		k = n < have ? n : have;
		memcpy(p, pool + sizeof pool - have, k);
		memset(pool + sizeof pool - have, 0, k);
		have -= k;
		p += k;
		n -= k;
	}
}

void
sys_uuid(char out[37])
{
	unsigned char id[16];

	sys_random(id, sizeof id);
	uuid_stamp(id, 4);
	uuid_print(id, out);
}

const char *
sys_host(void)
{
	static struct utsname u;

	if (!u.nodename[0] && (uname(&u) < 0 || !u.nodename[0]))
		strcpy(u.nodename, "localhost");
	return u.nodename;
}

/* What poll knows below the limit, many at once: a call for each would cost more than all else that a command does. */
static void
poll_fds(struct buf *b)
{
	struct rlimit r;
	struct pollfd p[512];
	int max = getrlimit(RLIMIT_NOFILE, &r) ? 1024 : r.rlim_cur > 65536 ? 65536 : (int)r.rlim_cur;

	for (int from = 0; from < max; from += (int)LEN(p)) {
		int n = max - from < (int)LEN(p) ? max - from : (int)LEN(p);

		for (int i = 0; i < n; i++)
			p[i] = (struct pollfd){.fd = from + i};
		if (poll(p, (nfds_t)n, 0) < 0)
			for (int i = 0; i < n; i++)
				p[i].revents = 0;
		for (int i = 0; i < n; i++)
			if (!(p[i].revents & POLLNVAL))
				buf_add(b, &p[i].fd, sizeof p[i].fd);
	}
}

/* The open descriptors, as ints.  A limit may be a million, so /proc is asked first. */
static void
open_fds(struct buf *b)
{
	DIR *d = opendir("/proc/self/fd");

	for (const struct dirent *i; d && (i = readdir(d));) {
		int fd = atoi(i->d_name);

		if (*i->d_name != '.')
			buf_add(b, &fd, sizeof fd);
	}
	if (d)
		closedir(d);
	else
		poll_fds(b);
}

/* Calls fn for each open descriptor from the given one on, but for keep. */
static void
each_fd(int from, int keep, void (*fn)(int))
{
	struct buf b = {0};

	open_fds(&b);
	for (size_t at = 0; at < b.len; at += sizeof(int)) {
		int fd;

		memcpy(&fd, b.p + at, sizeof fd);
		if (fd >= from && fd != keep)
			fn(fd);
	}
	buf_free(&b);
}

static void
close_fd(int fd)
{
	close(fd);
}

void
sys_close_from(int from, int keep)
{
	each_fd(from, keep, close_fd);
}

static struct rlimit cores;   /* of core files, as it was at the start; jobs get it back */
static bool has_cores;

/* A core file of ours would hold the password.  One byte is too little for any; and where cores are piped to a program, Linux looks
 * at no limit but this. */
static void
leave_no_core(void)
{
	struct rlimit none;

	has_cores = !getrlimit(RLIMIT_CORE, &cores);
	none = cores;
	none.rlim_cur = cores.rlim_max > 0;
	if (has_cores)
		setrlimit(RLIMIT_CORE, &none);
}

/* Inherited descriptors are not for our jobs, and 0 to 2 must be open, or a file of ours would become one of them.  A umask that
 * keeps us out of our own files is none.  Who started us may have blocked signals for itself (a thread of Python), or ignores the ends
 * of its children. */
void
sys_start(void)
{
	sigset_t none;
	int fd;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	leave_no_core();
	umask(umask(077) & 077);
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 3);
	if (fd >= 0)
		close(fd);
	each_fd(3, -1, sys_cloexec);
	signal(SIGPIPE, SIG_IGN);
}

int64_t
sys_from_local(int64_t wall)
{
	int64_t part = wall % SECOND + (wall % SECOND < 0 ? SECOND : 0);
	time_t t = (time_t)((wall - part) / SECOND);
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		return wall;
	tm.tm_isdst = tm.tm_wday = -1;
	t = mktime(&tm);
	return tm.tm_wday < 0 ? wall : (int64_t)t * SECOND + part;
}

void
sys_reset_signals(const int *ignored, size_t n)
{
	struct sigaction act = {.sa_handler = SIG_DFL};

	sigemptyset(&act.sa_mask);
	for (int sig = 1; sig < SIGNALS; sig++)
		sigaction(sig, &act, NULL);
	act.sa_handler = SIG_IGN;
	while (n)
		sigaction(ignored[--n], &act, NULL);
	sigprocmask(SIG_SETMASK, &act.sa_mask, NULL);
}

bool
sys_again(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK;
}

void
sys_cloexec(int fd)
{
	fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void
sys_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK) == on)
		fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

int
sys_pipe(int fd[2])
{
	if (pipe(fd) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		if (fd[i] < 3) {
			int high = fcntl(fd[i], F_DUPFD, 3);

			if (high < 0) {
				close(fd[0]);
				close(fd[1]);
				return -1;
			}
			close(fd[i]);
			fd[i] = high;
		}
		sys_cloexec(fd[i]);
	}
	return 0;
}

ssize_t
sys_read(int fd, void *p, size_t n)
{
	ssize_t k;

	do
		k = read(fd, p, n);
	while (k < 0 && errno == EINTR);
	return k;
}

int
sys_write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t k = write(fd, p, n);

		if (k >= 0) {
			p += k;
			n -= (size_t)k;
		} else if (sys_again()) {
			struct pollfd wait = {.fd = fd, .events = POLLOUT};

			poll(&wait, 1, -1);
		} else if (errno != EINTR) {
			return -1;
		}
	}
	return 0;
}

int
sys_datasync(int fd)
{
	int rc;

	do
#if defined(_POSIX_SYNCHRONIZED_IO) && _POSIX_SYNCHRONIZED_IO + 0 > 0
		rc = fdatasync(fd);
#else
		rc = fsync(fd);
#endif
	while (rc < 0 && errno == EINTR);
	return rc;
}

/* Some file systems cannot sync a directory; then the rename is as safe as it gets there. */
int
sys_syncdir(const char *dir)
{
	int fd = open(*dir ? dir : ".", O_RDONLY), rc;

	if (fd < 0)
		return errno == EACCES || errno == EISDIR ? 0 : -1;
	rc = fsync(fd);
	if (rc < 0 && (errno == EINVAL || errno == EBADF || errno == ENOSYS))
		rc = 0;
	close(fd);
	return rc;
}

int
sys_slurp(const char *path, size_t max, struct buf *b, struct err *e)
{
	size_t start = b->len;
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_NOCTTY);

	if (fd < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	for (;;) {
		buf_reserve(b, 4096);
		n = sys_read(fd, b->p + b->len, b->cap - b->len - 1);
		if (n <= 0)
			break;
		b->len += (size_t)n;
		b->p[b->len] = 0;
		if (b->len - start > max) {
			errno = EFBIG;
			n = -1;
			break;
		}
	}
	if (n < 0)
		err_set(e, errno, "%s: %s", path, strerror(errno));
	close(fd);
	return n < 0 ? -1 : 0;
}

/* The directory part of path, owned. */
static char *
parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash ? xstrdup(".") : slash == path ? xstrdup("/") : xmemdup(path, (size_t)(slash - path));
}

int
sys_replace(const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
	unsigned char salt[4];
	char *temp, *dir = parent(path);
	int fd, rc = -1;

	sys_random(salt, sizeof salt);
	temp = xprintf("%s.%02x%02x%02x%02x", path, salt[0], salt[1], salt[2], salt[3]);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOCTTY, mode);
	if (fd < 0) {
		err_set(e, errno, "%s: %s", temp, strerror(errno));
		goto out;
	}
	fchmod(fd, mode);   /* the umask has no say; where a file system has no modes it does not matter */
	if (sys_write_all(fd, p, n) < 0 || fsync(fd) < 0) {
		err_set(e, errno, "%s: %s", temp, strerror(errno));
		close(fd);
		goto undo;
	}
	if (close(fd) < 0 || rename(temp, path) < 0) {
		err_set(e, errno, "%s: %s", path, strerror(errno));
		goto undo;
	}
	rc = sys_syncdir(dir);
	if (rc < 0)
		err_set(e, errno, "%s: %s", dir, strerror(errno));
	goto out;
undo:
	unlink(temp);
out:
	free(temp);
	free(dir);
	return rc;
}

int
sys_mkdirs(const char *dir, mode_t mode, struct err *e)
{
	struct stat st;
	char *up;
	int rc;

	if (!mkdir(dir, mode))
		return 0;
	if (errno == EEXIST || errno == EROFS || errno == EACCES) {
		int why = errno;

		if (!stat(dir, &st) && S_ISDIR(st.st_mode))
			return 0;
		return err_set(e, why, "%s: %s", dir, why == EEXIST ? "is there and is no directory" : strerror(why));
	}
	if (errno != ENOENT || !strcmp(dir, "/") || !strcmp(dir, "."))
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	up = parent(dir);
	rc = sys_mkdirs(up, mode, e);
	free(up);
	if (rc < 0)
		return -1;
	return !mkdir(dir, mode) || errno == EEXIST ? 0 : err_set(e, errno, "%s: %s", dir, strerror(errno));
}

char *
sys_absolute(const char *path)
{
	char cwd[4096];

	return *path == '/' || !getcwd(cwd, sizeof cwd) ? xstrdup(path) : xprintf("%s/%s", strcmp(cwd, "/") ? cwd : "", path);
}

int
sys_lock(const char *path, int64_t wait_us, pid_t *holder, struct err *e)
{
	int64_t end = sys_mono() + wait_us;
	struct flock lock = {0};
	int fd = open(path, O_RDWR | O_CREAT | O_NOCTTY, 0600);

	if (fd < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	sys_cloexec(fd);
	for (;;) {
		lock.l_type = F_WRLCK;
		lock.l_whence = SEEK_SET;
		if (!fcntl(fd, F_SETLK, &lock))
			return fd;
		if (errno != EINTR && errno != EAGAIN && errno != EACCES)
			break;
		if (sys_mono() >= end) {
			errno = EAGAIN;
			break;
		}
		poll(NULL, 0, 5);
	}
	err_set(e, errno, "%s: %s", path, errno == EAGAIN ? "locked by another process" : strerror(errno));
	if (holder)
		*holder = !fcntl(fd, F_GETLK, &lock) && lock.l_type != F_UNLCK ? lock.l_pid : 0;
	close(fd);
	return -1;
}

bool
sys_alive(pid_t pid)
{
	return pid > 0 && (!kill(pid, 0) || errno == EPERM);
}

/* PATH of an environment, or the usual. */
static const char *
path_of(char *const *envp)
{
	for (; *envp; envp++)
		if (!strncmp(*envp, "PATH=", 5))
			return *envp + 5;
	return "/bin:/usr/bin";
}

/* execve along PATH, as shells do; a file without a format that the system knows is a script for /bin/sh.  A directory that we
 * may not look into has nothing for us.  Runs in the vforked child: no allocation, only its own stack and shargv, which the parent
 * made. */
static void
exec_path(char *const *argv, char *const *envp, char **shargv)
{
	const char *path = strchr(argv[0], '/') ? "" : path_of(envp);
	size_t len = strlen(argv[0]);
	char file[4096];
	int why = *argv[0] ? 0 : ENOENT;

	while (*argv[0]) {
		size_t n = strcspn(path, ":");

		if (n + len + 2 <= sizeof file) {
			memcpy(file, path, n);
			if (n)
				file[n++] = '/';
			memcpy(file + n, argv[0], len + 1);
			n -= n ? 1 : 0;
			execve(file, argv, envp);
			if (errno == ENOEXEC) {
				shargv[1] = file;
				execve("/bin/sh", shargv, envp);
			}
			if (errno == EACCES && n && access(file, F_OK) < 0)
				errno = ENOENT;
			if (errno != ENOENT && errno != ENOTDIR && (errno != EACCES || !why))
				why = errno;
			if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
				break;
		}
		if (!path[n])
			break;
		path += n + 1;
	}
	errno = why ? why : ENOENT;
}

/* Nothing to read, or a place to write to.  Where /dev is not mounted a pipe without a writer is as empty. */
static int
open_null(int flags)
{
	int fd = open("/dev/null", flags), p[2];

	if (fd >= 0 || flags != O_RDONLY || pipe(p) < 0)
		return fd;
	close(p[1]);
	return p[0];
}

/* The child's 0, 1 and 2; all else closes with exec.  -1 with errno. */
static int
place_fds(const struct sys_spawn *s, int tty)
{
	int fd[3];

	for (int i = 0; i < 3; i++) {
		fd[i] = s->fd[i] >= 0 ? s->fd[i] : s->tty ? tty : open_null(i ? O_WRONLY : O_RDONLY);
		if (fd[i] >= 0 && fd[i] < 3 && fd[i] != i)
			fd[i] = fcntl(fd[i], F_DUPFD, 3);   /* out of the way of the dup2s below */
		if (fd[i] < 0)
			return -1;
		if (fd[i] > 2)
			sys_cloexec(fd[i]);
	}
	if (tty > 2)
		sys_cloexec(tty);
	for (int i = 0; i < 3; i++)
		if (fd[i] == i ? fcntl(i, F_SETFD, 0) < 0 : dup2(fd[i], i) < 0)
			return -1;
	return 0;
}

/* What the child does before exec.  It shares our memory: nothing may be changed but its own variables. */
static int
spawn_child(const struct sys_spawn *s, char **shargv, const char *volatile *what)
{
	pid_t self = getpid();
	int tty = -1;

	if (s->tty)
		setsid();
	else
		setpgid(0, 0);
	if (s->notify >= 0)
		while (write(s->notify, &self, sizeof self) < 0 && errno == EINTR)
			;
	if (s->foreground >= 0)
		tcsetpgrp(s->foreground, self);
	if (s->tty) {
		tty = open(s->tty, O_RDWR);   /* which makes it our terminal on most systems */
		if (tty < 0)
			return errno;
#ifdef TIOCSCTTY
		ioctl(tty, TIOCSCTTY, 0);
#endif
	}
	if (place_fds(s, tty) < 0)
		return errno;
	if (s->dir && chdir(s->dir) < 0) {
		*what = s->dir;
		return errno;
	}
	if (has_cores)
		setrlimit(RLIMIT_CORE, &cores);
	sys_reset_signals(NULL, 0);
	exec_path(s->argv, s->envp, shargv);
	return errno;
}

pid_t
sys_spawn(const struct sys_spawn *s, struct err *e)
{
	sigset_t all, old;
	volatile int why = 0;   /* the child writes it through our shared memory, */
	const char *volatile what = s->argv[0];   /* and this */
	size_t argc = 0;
	char sh[] = "sh", **shargv;
	pid_t pid;

	while (s->argv[argc])
		argc++;
	shargv = xcalloc(argc + 2, sizeof *shargv);
	shargv[0] = sh;
	for (size_t i = 1; i < argc; i++)
		shargv[i + 1] = s->argv[i];
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);   /* no handler of ours may run in the child */
	pid = vfork();
	if (!pid) {
		why = spawn_child(s, shargv, &what);
		_exit(why == ENOENT ? 127 : 126);
	}
	if (pid < 0)
		why = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	free(shargv);
	if (pid > 0 && why) {
		pid_t off = -pid;

		while (s->notify >= 0 && write(s->notify, &off, sizeof off) < 0 && errno == EINTR)
			;
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return why ? err_set(e, why, "%s: %s", what, strerror(why)) : pid;
}

int
sys_daemon(int (*fn)(void *), void *arg, const char *log, int keep, struct err *e)
{
	int status, fd;
	pid_t pid = fork();

	if (pid < 0)
		return err_set(e, errno, "fork: %s", strerror(errno));
	if (pid) {
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : err_set(e, EAGAIN, "fork: the first child failed");
	}
	setsid();
	pid = fork();
	if (pid)
		_exit(pid < 0);
	sys_reset_signals(&(int){SIGPIPE}, 1);
	fd = open("/dev/null", O_RDWR);
	dup2(fd, 0);
	dup2(fd, 1);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0600);
	dup2(fd < 0 ? 1 : fd, 2);
	sys_close_from(3, keep);
	exit(fn(arg));
	return -1;
}

int
sys_columns(int fd)
{
	const char *text = getenv("COLUMNS");
	int64_t n;

#ifdef TIOCGWINSZ
	struct winsize w;

	if (!ioctl(fd, TIOCGWINSZ, &w) && w.ws_col)
		return w.ws_col;
#else
	(void)fd;
#endif
	return text && !parse_int(str_of(text), &n) && n > 0 && n < 10000 ? (int)n : 80;
}
