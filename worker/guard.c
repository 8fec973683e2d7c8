/* SPDX-License-Identifier: MIT */
/*
 * The guard: no process group outlives the loop that started it, however that loop ends (OURS 5).  The format of its pipe: one
 * pid_t a record, p > 0 a group was started, p < 0 the group -p is struck off.  A record is smaller than PIPE_BUF, so records of
 * several writers never mix and a read of whole records never cuts one.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct groups {
	pid_t *p;
	size_t n, cap;
};

struct guard {
	/* We keep the reading end too: a child that writes to a dead guard's pipe must not die of SIGPIPE.  The writing end never
	 * blocks, since a stopped guard must not stop the loop. */
	int fd[2];
	pid_t pid;              /* 0: it died and no other could be started yet */
	struct groups held;     /* what a new guard begins with */
};

static void
hold(struct groups *held, pid_t pgid)
{
	if (held->n == held->cap) {
		held->cap = held->cap ? held->cap * 2 : 8;
		held->p = xrealloc(held->p, held->cap * sizeof *held->p);
	}
	held->p[held->n++] = pgid;
}

static void
drop(struct groups *held, pid_t pgid)
{
	for (size_t i = held->n; i-- > 0;)
		if (held->p[i] == pgid)
			held->p[i] = held->p[--held->n];
}

static void
kill_all(const struct groups *held)
{
	for (size_t i = 0; i < held->n; i++)
		kill(-held->p[i], SIGKILL);
}

/* Out of the loop's group, deaf, and with no descriptor but keep: a pipe or lock that we kept open would outlive its owner. */
static void
withdraw(int keep)
{
	static const int deaf[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

	setpgid(0, 0);
	sys_reset_signals(deaf, LEN(deaf));
	sys_close_from(0, keep);
}

/* The guard's whole life.  Ids of 1 and below would reach beyond a group of ours, and are no group that a child can have.  A pipe
 * that cannot be read does not say that the loop is dead: it will put another guard in our place. */
NORETURN static void
watch(int fd, struct groups *held)
{
	pid_t rec[256];
	ssize_t n;

	withdraw(fd);
	while ((n = sys_read(fd, rec, sizeof rec)) > 0) {
		for (size_t i = 0; i < (size_t)n / sizeof *rec; i++) {
			if (rec[i] > 1)
				hold(held, rec[i]);
			else if (rec[i] < -1)
				drop(held, -rec[i]);
		}
	}
	if (!n)
		kill_all(held);
	_exit(0);
}

/* A guard on a new pipe: in the old one lie records that our own list already knows. */
static int
start(struct guard *g, struct err *e)
{
	sigset_t all, old;
	int fd[2], why;
	pid_t pid;

	if (sys_pipe(fd) < 0)
		return err_set(e, errno, "guard: pipe: %s", strerror(errno));
	sys_nonblock(fd[1], true);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);   /* no handler of the loop's may run in the guard */
	pid = fork();
	if (!pid)
		watch(fd[0], &g->held);
	why = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0) {
		close(fd[0]);
		close(fd[1]);
		return err_set(e, why, "guard: fork: %s", strerror(why));
	}
	for (int i = 0; i < 2; i++) {
		if (g->fd[i] >= 0)
			close(g->fd[i]);
		g->fd[i] = fd[i];
	}
	g->pid = pid;
	return 0;
}

struct guard *
guard_start(struct err *e)
{
	struct guard *g = xcalloc(1, sizeof *g);

	g->fd[0] = g->fd[1] = -1;
	if (!start(g, e))
		return g;
	free(g);
	return NULL;
}

int
guard_fd(const struct guard *g)
{
	return g->fd[1];
}

void
guard_hold(struct guard *g, pid_t pgid)
{
	hold(&g->held, pgid);
}

/* A guard that cannot be told would one day kill a stranger's group of that number: better none, until guard_check. */
void
guard_strike(struct guard *g, pid_t pgid)
{
	pid_t rec = -pgid;
	ssize_t n;

	drop(&g->held, pgid);
	do
		n = write(g->fd[1], &rec, sizeof rec);
	while (n < 0 && errno == EINTR);
	if (n < 0 && g->pid)
		kill(g->pid, SIGKILL);
}

int
guard_check(struct guard *g, struct err *e)
{
	if (g->pid && !waitpid(g->pid, NULL, WNOHANG))
		return 0;
	g->pid = 0;   /* its number may be another child's soon */
	return start(g, e);
}

#ifdef WNOWAIT
static bool
holds(const struct guard *g, pid_t pid)
{
	for (size_t i = 0; i < g->held.n; i++)
		if (g->held.p[i] == pid)
			return true;
	return pid == g->pid;
}
#endif

void
guard_orphans(const struct guard *g)
{
#ifdef WNOWAIT
	siginfo_t info;

	for (;;) {
		memset(&info, 0, sizeof info);
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid || holds(g, info.si_pid))
			return;
		waitpid(info.si_pid, NULL, WNOHANG);
	}
#else
	(void)g;
#endif
}

/* What is held against the contract dies here, so the guard has nothing left to do and need not be waited for. */
void
guard_stop(struct guard *g)
{
	kill_all(&g->held);
	if (g->pid) {
		kill(g->pid, SIGKILL);
		while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(g->fd[0]);
	close(g->fd[1]);
	free(g->held.p);
	free(g);
}
