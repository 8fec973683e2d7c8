/* SPDX-License-Identifier: MIT */
/* guard.c: what it holds, and real groups under loops that die.  A group is dead when the pipe that only it holds has ended. */
#include "../worker/guard.c"
#include "test.h"

#include <poll.h>

enum { SOON = 5000 };   /* ms; what must happen happens at once, this only ends a broken test */

static char *const sleeper[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"echo; sleep 1000 & sleep 1000"}, NULL};
static char *const nothing[] = {(char[]){"/nonexistent/command"}, NULL};
static char *const env[] = {(char[]){"PATH=/bin:/usr/bin"}, NULL};

/* Whether fd ends within so many ms. */
static bool
ends(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	while (poll(&p, 1, ms) > 0)
		if (sys_read(fd, &c, 1) <= 0)
			return true;
	return false;
}

/* Starts a group that writes a byte to end and keeps it, as job.c starts one but for the note. */
static pid_t
begin(struct guard *g, int end)
{
	struct sys_spawn s = {.argv = sleeper, .envp = env, .fd = {-1, end, -1}, .notify = guard_fd(g), .foreground = -1};

	return sys_spawn(&s, NULL);
}

static void
test_groups(void)
{
	static const struct {
		pid_t rec[6];
		pid_t left[3];
	} row[] = {
		{{0}, {0}}, {{5}, {5}}, {{5, -5}, {0}}, {{5, 6, 7, -6}, {5, 7}}, {{-5, 5}, {5}}, {{5, 5, -5}, {0}}, {{5, 6, -5, 7, -7}, {6}},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		struct groups held = {0};
		size_t want = 0;

		for (size_t k = 0; row[i].rec[k]; k++) {
			if (row[i].rec[k] > 0)
				hold(&held, row[i].rec[k]);
			else
				drop(&held, -row[i].rec[k]);
		}
		for (; row[i].left[want]; want++)
			check(want < held.n && held.p[want] == row[i].left[want], "row %d: group %d", (int)i, (int)row[i].left[want]);
		check(held.n == want, "row %d: %d are left", (int)i, (int)held.n);
		free(held.p);
	}
	{
		struct groups many = {0};

		for (pid_t p = 2; p < 1002; p++)
			hold(&many, p);
		for (pid_t p = 2; p < 1002; p += 2)
			drop(&many, p);
		check(many.n == 500, "of a thousand %d are left", (int)many.n);
		free(many.p);
	}
}

/* What a loop may go through before it dies.  Each starts a group that must die with it; its number, -1 when it went wrong. */
static pid_t
plainly(struct guard *g, int end)
{
	return begin(g, end);
}

static pid_t
after_signals(struct guard *g, int end)
{
	kill(g->pid, SIGTERM);
	kill(g->pid, SIGINT);
	kill(g->pid, SIGHUP);
	kill(g->pid, SIGQUIT);
	return begin(g, end);
}

static void
await_death(struct guard *g)
{
	siginfo_t info;

	waitid(P_PID, (id_t)g->pid, &info, WEXITED | WNOWAIT);
}

static pid_t
with_a_new_guard(struct guard *g, int end)
{
	pid_t pid = begin(g, end), old = g->pid;

	guard_hold(g, pid);
	if (guard_check(g, NULL) || g->pid != old)
		return -1;
	kill(g->pid, SIGKILL);
	await_death(g);
	return guard_check(g, NULL) || g->pid == old ? -1 : pid;
}

/* The child writes to a pipe that nobody reads: that must not hurt it. */
static pid_t
started_unguarded(struct guard *g, int end)
{
	pid_t pid;

	kill(g->pid, SIGKILL);
	await_death(g);
	pid = begin(g, end);
	guard_hold(g, pid);
	return guard_check(g, NULL) ? -1 : pid;
}

/* A guard that is stopped must not stop us; once its pipe is full it is given up, and the next one holds what we do. */
static pid_t
behind_a_full_pipe(struct guard *g, int end)
{
	pid_t pid = begin(g, end), old = g->pid;

	guard_hold(g, pid);
	kill(g->pid, SIGSTOP);
	for (int i = 0; i < 300000; i++)
		guard_strike(g, 0x7ffffff0);
	await_death(g);
	return guard_check(g, NULL) || g->pid == old ? -1 : pid;
}

/* Records that would reach beyond a group: a guard that believed them would kill far more than the test. */
static pid_t
told_nonsense(struct guard *g, int end)
{
	static const pid_t rec[] = {0, 1, -1};

	sys_write_all(guard_fd(g), rec, sizeof rec);
	return begin(g, end);
}

/* A loop's whole life: one group held, one struck off; it says their numbers, waits for a word and dies by KILL. */
NORETURN static void
loop(pid_t (*live)(struct guard *, int), int say, int go, int held, int struck)
{
	struct guard *g = guard_start(NULL);
	pid_t pid[2] = {-1, -1};
	char c;

	if (g) {
		pid[0] = live(g, held);
		pid[1] = begin(g, struck);
		guard_hold(g, pid[1]);
		guard_strike(g, pid[1]);
	}
	sys_write_all(say, pid, sizeof pid);
	sys_read(go, &c, 1);
	kill(getpid(), SIGKILL);
	_exit(1);
}

enum { SAY, GO, HELD, STRUCK, PIPES };

static void
test_death(const char *name, pid_t (*live)(struct guard *, int))
{
	int fd[PIPES][2];
	pid_t pid[2] = {-1, -1}, child;
	char c;

	for (int i = 0; i < PIPES; i++)
		if (sys_pipe(fd[i]) < 0)
			abort();
	child = fork();
	if (!child)
		loop(live, fd[SAY][1], fd[GO][0], fd[HELD][1], fd[STRUCK][1]);
	for (int i = 0; i < PIPES; i++)
		close(fd[i][i != GO]);
	check(sys_read(fd[SAY][0], pid, sizeof pid) == sizeof pid && pid[0] > 1 && pid[1] > 1, "%s: went well until death", name);
	check(sys_read(fd[HELD][0], &c, 1) == 1, "%s: the held group runs", name);
	check(sys_read(fd[STRUCK][0], &c, 1) == 1, "%s: the one struck off runs", name);
	check(!ends(fd[HELD][0], 0), "%s: no group dies before its loop", name);
	sys_write_all(fd[GO][1], "", 1);
	close(fd[GO][1]);
	waitpid(child, NULL, 0);
	check(ends(fd[HELD][0], SOON), "%s: the held group dies with its loop", name);
	check(!ends(fd[STRUCK][0], 0), "%s: the one struck off lives on", name);
	for (int i = 0; i < 2; i++)
		if (pid[i] > 1)
			kill(-pid[i], SIGKILL);
	for (int i = 0; i < PIPES; i++)
		if (i != GO)
			close(fd[i][0]);
}

/* What cannot be started is struck off by sys_spawn, which alone knows its number. */
static void
test_no_exec(void)
{
	int fd[2];
	pid_t rec[3];
	struct err e = {0};

	if (sys_pipe(fd) < 0)
		abort();
	{
		struct sys_spawn s = {.argv = nothing, .envp = env, .fd = {-1, -1, -1}, .notify = fd[1], .foreground = -1};

		check(sys_spawn(&s, &e) == -1 && e.code == ENOENT, "a command that is not there: %s", e.msg);
	}
	check(sys_read(fd[0], rec, sizeof rec) == (ssize_t)(2 * sizeof *rec), "two records");
	check(rec[0] > 1 && rec[1] == -rec[0], "it is struck off");
	close(fd[0]);
	close(fd[1]);
}

/* The guard keeps nothing of ours open, and no child is left after its stop. */
static void
test_stop(void)
{
	struct guard *g;
	int fd[2], held[2];
	pid_t pid;

	if (sys_pipe(fd) < 0 || sys_pipe(held) < 0)
		abort();
	g = guard_start(NULL);
	check(g != NULL, "a guard");
	close(fd[1]);
	check(ends(fd[0], SOON), "the guard closes what it inherits");
	pid = begin(g, held[1]);
	guard_hold(g, pid);
	close(held[1]);
	kill(g->pid, SIGSTOP);
	guard_stop(g);
	check(ends(held[0], SOON), "what is held at the stop dies");
	check(waitpid(pid, NULL, 0) == pid, "it was our child");
	check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "no guard is left");
	check(dup(fd[0]) == fd[0] + 1, "no descriptor is left");
	close(fd[0] + 1);
	close(fd[0]);
	close(held[0]);
}

/* A pipe that cannot be read tells nothing of the loop: the groups live on, and guard_check puts another guard in its place. */
static void
test_unreadable(void)
{
	int fd[2], held[2], status;
	struct groups one = {0};
	pid_t child;

	if (sys_pipe(fd) < 0 || sys_pipe(held) < 0)
		abort();
	{
		struct sys_spawn s = {.argv = sleeper, .envp = env, .fd = {-1, held[1], -1}, .notify = -1, .foreground = -1};

		hold(&one, sys_spawn(&s, NULL));
	}
	close(held[1]);
	child = fork();
	if (!child)
		watch(fd[1], &one);   /* which is open for writing only: EBADF */
	check(waitpid(child, &status, 0) == child && !status, "a guard that cannot read ends");
	check(sys_read(held[0], (char[1]){0}, 1) == 1, "the group runs");
	check(!ends(held[0], 50), "and nobody kills it");
	kill(-one.p[0], SIGKILL);
	waitpid(one.p[0], NULL, 0);
	free(one.p);
	close(held[0]);
	for (int i = 0; i < 2; i++)
		close(fd[i]);
}

int
main(void)
{
	sys_start();
	test_groups();
	test_unreadable();
	test_death("plainly", plainly);
	test_death("after signals", after_signals);
	test_death("with a new guard", with_a_new_guard);
	test_death("started unguarded", started_unguarded);
	test_death("behind a full pipe", behind_a_full_pipe);
	test_death("told nonsense", told_nonsense);
	test_no_exec();
	test_stop();
	return test_done("guard");
}
