/* SPDX-License-Identifier: MIT */
/*
 * The floor for one task of a durable queue: what no program of this kind can leave out, and nothing else.
 *   floor COUNT DIR CMD...    prints microseconds per task
 * A server process behind a Unix socket answers each request after one synced append.  A task is: one round trip (the report of the
 * last task and the fetch of this one, in one message); the run directory with task_info.json, run.log and heartbeat.lock; the
 * command, started by vfork with its output in pipes, which are read to their ends and kept; status.json and summary.json.
 */
#define _XOPEN_SOURCE 600
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

pid_t vfork(void);

enum { MESSAGE = 1200, RECORD = 600 };   /* bytes, as ours has them for a report and a fetch */

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
all(int fd, char *p, size_t n, int writing)
{
	while (n) {
		ssize_t k = writing ? write(fd, p, n) : read(fd, p, n);

		if (k <= 0)
			_exit(k < 0);
		p += k;
		n -= (size_t)k;
	}
}

static void
serve(int fd, const char *dir)
{
	char m[MESSAGE], path[4096];
	int log;

	snprintf(path, sizeof path, "%s/floor.journal", dir);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_TRUNC, 0600);
	if (log < 0)
		fail(path);
	for (;;) {
		all(fd, m, sizeof m, 0);
		if (write(log, m, RECORD) != RECORD || fdatasync(log) < 0)
			fail(path);
		all(fd, m, sizeof m, 1);
	}
}

static void
round_trip(int fd)
{
	static char m[MESSAGE];

	all(fd, m, sizeof m, 1);
	all(fd, m, sizeof m, 0);
}

static void
put(const char *dir, const char *name, size_t n)
{
	static char text[1024];
	char path[4096];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, text, n) != (ssize_t)n)
		fail(path);
	close(fd);
}

static void
run(char **argv, int log)
{
	struct pollfd p[2];
	int out[2], err[2], status, open_ends = 2;
	char b[4096];
	pid_t pid;

	if (pipe(out) < 0 || pipe(err) < 0)
		fail("pipe");
	for (int i = 0; i < 2; i++) {
		fcntl(out[i], F_SETFD, FD_CLOEXEC);
		fcntl(err[i], F_SETFD, FD_CLOEXEC);
	}
	pid = vfork();
	if (!pid) {
		int null = open("/dev/null", O_RDONLY);

		dup2(null, 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	p[0] = (struct pollfd){out[0], POLLIN, 0};
	p[1] = (struct pollfd){err[0], POLLIN, 0};
	while (open_ends) {
		poll(p, 2, -1);
		for (int i = 0; i < 2; i++) {
			ssize_t n = p[i].revents ? read(p[i].fd, b, sizeof b) : 1;

			if (n <= 0) {
				close(p[i].fd);
				p[i].fd = -1;
				open_ends--;
			} else if (p[i].revents && write(log, b, (size_t)n) < 0) {
				fail("run.log");
			}
		}
	}
	waitpid(pid, &status, 0);
}

int
main(int argc, char **argv)
{
	int sock[2], count;
	double start;
	pid_t server;

	if (argc < 4)
		return 2;
	count = atoi(argv[1]);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock) < 0)
		fail("socketpair");
	server = fork();
	if (!server) {
		close(sock[0]);
		serve(sock[1], argv[2]);
	}
	close(sock[1]);
	start = now();
	for (int i = 0; i < count; i++) {
		char dir[4000], path[4096], info[4096];
		int log;

		round_trip(sock[0]);
		snprintf(dir, sizeof dir, "%s/run_t2026-01-01-00-00-00_nNone_id00000000-0000-4000-8000-000000000000_rd%08x", argv[2], (unsigned)i);
		if (mkdir(dir, 0700) < 0)
			fail(dir);
		put(dir, "task_info.json", 600);
		snprintf(info, sizeof info, "%s/task_info.json", dir);
		snprintf(path, sizeof path, "%s/heartbeat.lock", dir);
		if (link(info, path) < 0)   /* cheaper than a file of its own */
			fail(path);
		snprintf(path, sizeof path, "%s/run.log", dir);
		log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
		run(argv + 3, log);
		close(log);
		put(dir, "status.json", 30);
		put(dir, "summary.json", 2);
		snprintf(path, sizeof path, "%s/heartbeat.lock", dir);
		unlink(path);
	}
	round_trip(sock[0]);
	printf("%.1f\n", (now() - start) / count);
	kill(server, SIGKILL);
	return 0;
}
