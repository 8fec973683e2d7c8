/* SPDX-License-Identifier: MIT */
/*
 * labtasker: a task queue in one binary.  main names the program it was called as, and hands the client what it may not know
 * by itself: the way to start a server.
 */
#include "labtasker.h"
#include "cli/cli.h"
#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char **words;   /* the command line */

/* In the list of processes a server does not pass for the command that started it: that line may have held secrets, too. */
static void
show_as_server(void)
{
	static const char serve[] = "serve";
	char *from = words[0] + strlen(words[0]) + 1, *end = from;
	size_t n;

	for (char **w = words + 1; *w == end; w++)
		end += strlen(end) + 1;
	n = (size_t)(end - from);
	memset(from, 0, n);
	if (n >= sizeof serve)
		memcpy(from, serve, sizeof serve);
}

static int
local_server(void *arg)
{
	show_as_server();
	return serve_run(arg);
}

/* See struct client_opts: a server in the background for the store in dir. */
static int
start_server(const char *dir, struct err *e)
{
	struct serve_opts o = {.root = dir, .local = true, .polling = 30};
	char *log = xprintf("%s/server.log", dir);
	int fd[2], rc;

	if (sys_pipe(fd) < 0) {
		free(log);
		return err_set(e, EXIT_REFUSED, "pipe: no descriptor is free: raise the limit (ulimit -n)");
	}
	o.ready = fd[1];
	rc = sys_daemon(local_server, &o, log, fd[1], e);
	close(fd[1]);
	free(log);
	if (rc < 0)
		close(fd[0]);
	return rc < 0 ? -1 : fd[0];
}

int
main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL, *name = slash ? slash + 1 : argc > 0 ? argv[0] : "";
	struct context x = {.start = start_server, .as_server = !strcmp(name, "labtasker-server"), .argv = argv};

	words = argv;
	sys_start();
	return cli_main(&x, argc, argv);
}
