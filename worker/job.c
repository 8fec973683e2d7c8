/* SPDX-License-Identifier: MIT */
/*
 * One running job: a process group and the two pipes, or the terminal, that it writes to.  The job is its leader: when that has
 * ended, the rest of the group is killed, and of its output what is in the pipes by then is read, but no process that left the
 * group and still holds them is waited for.  The group is struck off the guard's list before its number can be given to another.
 */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
	CHUNK = 64 << 10,   /* read at once: what a pipe holds on most systems */
	QUIET = 100000,     /* microseconds that a silent terminal is given after the leader's end to end too */
	DRAIN = 1 << 20     /* read of a stream after the leader's end: what anybody can make a pipe hold on Linux */
};

#if defined(__linux__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || defined(__APPLE__)
#define WAIT4
pid_t wait4(pid_t pid, int *status, int flags, struct rusage *u);   /* not POSIX, so not declared for us */

static double
seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* KiB */
static int64_t
peak(const struct rusage *u)
{
#ifdef __APPLE__
	return u->ru_maxrss / 1024;
#else
	return u->ru_maxrss;
#endif
}
#endif

struct job {
	pid_t pid;
	int fd[JOB_FDS];           /* its stdout, stderr; -1 after the end */
	int tty;                   /* a terminal whose foreground the job is, -1 none */
	struct termios modes;      /* of it, before the job */
	bool pty;                  /* fd[0] is a terminal's master; */
	int slave;                 /* its other end, until the leader has ended: a job that closes its own gets no HUP; -1: none */
	bool over;                 /* the leader has ended and was reaped */
	int64_t since;             /* mono: when it was over, or something came since */
	int status;
	struct job_usage usage;
	size_t left[JOB_FDS];      /* once over: bytes that are still read */
	struct guard *guard;
};

/* in, when it is a terminal whose foreground is ours to give; else -1. */
static int
our_tty(int in)
{
	return in >= 0 && tcgetpgrp(in) == getpgrp() ? in : -1;
}

/* The job had the foreground, so we are in the background and SIGTTOU would stop us.  Where a shell has it by now (bg), that keeps
 * it. */
static void
take_tty(const struct job *j)
{
	pid_t front = j->tty < 0 ? 0 : tcgetpgrp(j->tty);
	sigset_t ttou, old;

	if (front <= 1 || (front != j->pid && (!kill(-front, 0) || errno == EPERM)))
		return;
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &old);
	tcsetpgrp(j->tty, getpgrp());
	tcsetattr(j->tty, TCSADRAIN, &j->modes);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

/* Ctrl-Z stops the job, whose terminal it is; the shell, to which it shall lead, waits for us.  So we stop as well, and go on
 * together. */
static void
follow(struct job *j)
{
#ifdef WNOWAIT
	struct sigaction dfl = {.sa_handler = SIG_DFL}, old;
	struct termios modes;
	siginfo_t info;

	memset(&info, 0, sizeof info);
	if (j->tty < 0 || waitid(P_PID, (id_t)j->pid, &info, WSTOPPED | WNOHANG) < 0 || !info.si_pid)
		return;
	if ((info.si_status != SIGTSTP && info.si_status != SIGTTIN && info.si_status != SIGTTOU) || tcgetattr(j->tty, &modes) < 0)
		return;
	if (tcgetpgrp(j->tty) != getpgrp()) {
		take_tty(j);
		sigaction(info.si_status, &dfl, &old);
		kill(0, info.si_status);   /* returns when somebody has us continue */
		sigaction(info.si_status, &old, NULL);
	}
	if (tcgetpgrp(j->tty) == getpgrp()) {
		tcsetattr(j->tty, TCSADRAIN, &modes);
		tcsetpgrp(j->tty, j->pid);
	}
	kill(-j->pid, SIGCONT);
#else
	(void)j;
#endif
}

/* Two pipes; the ends that the job gets, in end. */
static int
make_pipes(struct job *j, int end[2], struct err *e)
{
	int out[2], err[2];

	if (sys_pipe(out) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	if (sys_pipe(err) < 0) {
		err_set(e, errno, "pipe: %s", strerror(errno));
		close(out[0]);
		close(out[1]);
		return -1;
	}
	j->fd[0] = out[0];
	j->fd[1] = err[0];
	end[0] = out[1];
	end[1] = err[1];
	return 0;
}

struct job *
job_start(const struct job_spec *s, struct err *e)
{
	struct job *j = xcalloc(1, sizeof *j);
	struct sys_spawn spawn = {.argv = s->argv, .envp = s->envp, .dir = s->dir, .notify = guard_fd(s->guard), .foreground = -1};
	char slave[256];
	int end[2] = {-1, -1};

	j->guard = s->guard;
	j->tty = j->fd[1] = j->slave = -1;
	j->fd[0] = s->pty ? pty_open(s->tty, slave, sizeof slave, &j->slave, NULL) : -1;
	j->pty = j->fd[0] >= 0;
	if (!j->pty && make_pipes(j, end, e) < 0) {
		free(j);
		return NULL;
	}
	if (j->pty)
		spawn.tty = slave;
	else
		spawn.foreground = j->tty = our_tty(s->in);
	if (j->tty >= 0)
		tcgetattr(j->tty, &j->modes);
	spawn.fd[0] = s->in;
	spawn.fd[1] = end[0];
	spawn.fd[2] = end[1];
	j->pid = sys_spawn(&spawn, e);
	for (int i = 0; i < 2; i++)
		if (end[i] >= 0)
			close(end[i]);
	if (j->pid < 0) {
		take_tty(j);
		job_free(j);
		return NULL;
	}
	guard_hold(j->guard, j->pid);
	return j;
}

static void
shut(struct job *j, int i)
{
	if (j->fd[i] >= 0)
		close(j->fd[i]);
	j->fd[i] = -1;
}

static void
shut_slave(struct job *j)
{
	if (j->slave >= 0)
		close(j->slave);
	j->slave = -1;
}

void
job_free(struct job *j)
{
	shut_slave(j);
	for (int i = 0; i < JOB_FDS; i++)
		shut(j, i);
	free(j);
}

pid_t
job_pid(const struct job *j)
{
	return j->pid;
}

int
job_fds(const struct job *j, struct pollfd *fds)
{
	int n = 0;

	for (int i = 0; i < JOB_FDS; i++)
		if (j->fd[i] >= 0)
			fds[n++] = (struct pollfd){.fd = j->fd[i], .events = POLLIN};
	return n;
}

/* One read, which cannot block: poll said so, and nobody else reads this pipe. */
static void
read_one(struct job *j, int i, job_out *out, void *arg)
{
	char buf[CHUNK];
	size_t max = j->over && j->left[i] < sizeof buf ? j->left[i] : sizeof buf;
	ssize_t n = sys_read(j->fd[i], buf, max);

	if (n > 0) {
		j->since = j->over ? sys_mono() : 0;
		out(arg, i + 1, buf, (size_t)n);
		if (j->over)
			j->left[i] -= (size_t)n;
	}
	if (n <= 0 || (j->over && !j->left[i]))
		shut(j, i);
}

void
job_read(struct job *j, const struct pollfd *fds, int n, job_out *out, void *arg)
{
	for (int k = 0; k < n; k++)
		for (int i = 0; i < JOB_FDS; i++)
			if (fds[k].revents && j->fd[i] == fds[k].fd)
				read_one(j, i, out, arg);
}

bool
job_mute(const struct job *j)
{
	return j->fd[0] < 0;
}

void
job_signal(struct job *j, int sig)
{
	if (!j->over)
		kill(-j->pid, sig);
}

/* Whether the leader has ended, without reaping it: 1, 0, or -1 where the system cannot tell or has no such child. */
static int
peek(pid_t pid)
{
#ifdef WNOWAIT
	siginfo_t info;

	memset(&info, 0, sizeof info);
	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ? -1 : info.si_pid == pid;
#else
	(void)pid;
	return -1;
#endif
}

/* waitpid, with what the child has used where the system tells that. */
static pid_t
wait_for(struct job *j, int flags)
{
#ifdef WAIT4
	struct rusage u;
	pid_t pid = wait4(j->pid, &j->status, flags, &u);

	if (pid > 0)
		j->usage = (struct job_usage){true, seconds(&u.ru_utime), seconds(&u.ru_stime), peak(&u)};
	return pid;
#else
	return waitpid(j->pid, &j->status, flags);
#endif
}

/* Without a way to look first, the leader is reaped and then struck off at once.  The other order would leave a living job
 * unguarded whenever SIGCHLD was another child's; this one errs only if we are killed between two calls and its number is used
 * anew before the guard has woken. */
static bool
reap(struct job *j)
{
	int ended = peek(j->pid);
	pid_t pid;

	if (!ended)
		return false;
	if (ended > 0) {
		kill(-j->pid, SIGKILL);   /* while the leader's remains still keep the number ours */
		guard_strike(j->guard, j->pid);
	}
	do
		pid = wait_for(j, ended > 0 ? 0 : WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (!pid)
		return false;
	if (pid < 0)
		j->status = SIGKILL;   /* reaped behind our back: whoever did that knows how it ended, we call it killed */
	if (ended < 0) {
		if (pid > 0)
			kill(-j->pid, SIGKILL);
		guard_strike(j->guard, j->pid);
	}
	return true;
}

/* Whether output is left to read.  What a terminal was given may be on its way through the system still: it has all come when the
 * master ends; where somebody else keeps it open, when nothing has come for a while. */
static bool
unread(const struct job *j)
{
	struct pollfd fds[JOB_FDS];
	int n = job_fds(j, fds), rc;

	do
		rc = n ? poll(fds, (nfds_t)n, 0) : 0;
	while (rc < 0 && errno == EINTR);
	if (j->pty)
		return n && (rc > 0 || sys_mono() - j->since < QUIET);
	for (int i = 0; rc > 0 && i < n; i++)
		if (fds[i].revents & POLLIN)
			return true;
	return false;
}

bool
job_over(const struct job *j)
{
	return j->over;
}

bool
job_good(const struct job *j)
{
	return j->over && WIFEXITED(j->status) && !WEXITSTATUS(j->status);
}

int
job_pty(const struct job *j)
{
	return j->pty ? j->fd[0] : -1;
}

bool
job_ended(struct job *j, int *status, struct job_usage *u)
{
	if (!j->over) {
		follow(j);
		if (!reap(j))
			return false;
		j->over = true;
		j->since = sys_mono();
		for (int i = 0; i < JOB_FDS; i++)
			j->left[i] = DRAIN;
		take_tty(j);
		shut_slave(j);
	}
	if (unread(j))
		return false;
	*status = j->status;
	*u = j->usage;
	return true;
}
