/* SPDX-License-Identifier: MIT */
/* A real server ($LABTASKER, else ./labtasker) in a directory of its own, spoken to in plain bytes. */
#ifndef LIVE_H
#define LIVE_H
#include "../labtasker.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct live {
	char root[64], log[80];       /* removed by live_done; what it said */
	pid_t pid;
	int port;
} live;

/* The port of server.json, 0 while there is none. */
static int
live_port(void)
{
	char path[128], text[1024];
	const char *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/store/server.json", live.root);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strstr(text, "127.0.0.1:");
	return at ? atoi(at + 10) : 0;
}

/* Starts it on the store that is there, with one more option or none; false after 20 s without it. */
static bool
live_start(const char *option)
{
	const char *lt = getenv("LABTASKER"), *argv[] = {lt ? lt : "./labtasker", "serve", "--host", "127.0.0.1", "--port", "0", "--store", NULL, option, NULL};
	char store[128], path[160];

	if (!*live.root) {
		snprintf(live.root, sizeof live.root, "%.40s/lt.%ld", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (long)getpid());
		if (mkdir(live.root, 0700) < 0)
			return false;
		signal(SIGPIPE, SIG_IGN);
		snprintf(live.log, sizeof live.log, "%s/log", live.root);
	}
	snprintf(store, sizeof store, "%s/store", live.root);
	snprintf(path, sizeof path, "%s/server.json", store);
	unlink(path);   /* of one that was killed */
	argv[7] = store;
	fflush(NULL);
	live.pid = fork();
	if (!live.pid) {
		int fd = open(live.log, O_WRONLY | O_CREAT | O_APPEND, 0600);

		dup2(fd, 2);
		dup2(fd, 1);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	for (int i = 0; i < 2000; i++) {
		live.port = live_port();
		if (live.port)
			return true;
		if (waitpid(live.pid, NULL, WNOHANG) == live.pid)
			break;
		poll(NULL, 0, 10);
	}
	check(false, "the server does not start: see %s", live.log);
	return false;
}

/* Its exit status, or -1 when the signal killed it. */
static int
live_stop(int sig)
{
	int status = 0;

	kill(live.pid, sig);
	while (waitpid(live.pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
live_done(void)
{
	pid_t pid = fork();

	if (!pid) {
		execlp("rm", "rm", "-rf", live.root, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static int
live_connect(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons((uint16_t)live.port);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Whatever the server still takes of it. */
static void
live_send(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return;
		p += w;
		n -= (size_t)w;
	}
}

struct reply {
	int status;                   /* 0: none came */
	struct buf head;              /* its lines, without the last empty one */
	struct str body;              /* within all */
	struct buf all;
	bool end;                     /* the server closed */
};

static void
reply_free(struct reply *r)
{
	buf_free(&r->head);
	buf_free(&r->all);
}

/* A line of the head, "Name: value" from its value on to the end of the head; NULL: none. */
static const char *
reply_field(const struct reply *r, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = r->head.p ? strstr(r->head.p, "\r\n") : NULL; p; p = strstr(p + 2, "\r\n"))
		if (!strncasecmp(p + 2, name, n) && p[2 + n] == ':')
			return p + 2 + n + (p[3 + n] == ' ' ? 2 : 1);
	return NULL;
}

/* Reads one answer within so many milliseconds of silence; what follows it stays in the socket. */
static void
live_read(int fd, struct reply *r, bool bodyless, int silence)
{
	size_t want = SIZE_MAX, from = 0;
	char c[4096];

	*r = (struct reply){0};
	while (r->all.len < want) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		size_t most = want == SIZE_MAX ? 1 : want - r->all.len;
		ssize_t n;

		if (poll(&p, 1, silence) <= 0)
			break;
		n = recv(fd, c, most < sizeof c ? most : sizeof c, 0);
		if (n <= 0) {
			r->end = true;
			break;
		}
		buf_add(&r->all, c, (size_t)n);
		if (want == SIZE_MAX && r->all.len >= 4 && !memcmp(r->all.p + r->all.len - 4, "\r\n\r\n", 4)) {
			const char *length;

			buf_add(&r->head, r->all.p, r->all.len - 4);
			from = r->all.len;
			r->status = atoi(r->all.p + 9);
			length = reply_field(r, "Content-Length");
			want = r->all.len + (length && !bodyless ? (size_t)atol(length) : 0);
		}
	}
	if (r->all.len < want)
		r->status = 0;
	r->body = r->status ? (struct str){r->all.p + from, r->all.len - from} : (struct str){"", 0};
}

/* One request on a connection of its own.  auth "name:password" or NULL; head: more lines, each ending in CR LF, or NULL. */
static void
live_call(struct reply *r, const char *method, const char *path, const char *auth, const char *head, const char *body)
{
	struct buf b = {0};
	int fd = live_connect();

	buf_adds(&b, method);
	buf_addc(&b, ' ');
	buf_adds(&b, path);
	buf_adds(&b, " HTTP/1.1\r\nHost: x\r\n");
	if (auth) {
		buf_adds(&b, "Authorization: Basic ");
		hash_base64(&b, auth, strlen(auth));
		buf_adds(&b, "\r\n");
	}
	buf_adds(&b, head ? head : "");
	if (body) {
		if (!head || !strstr(head, "Content-Type"))
			buf_adds(&b, "Content-Type: application/json\r\n");
		buf_printf(&b, "Content-Length: %lu\r\n", (unsigned long)strlen(body));
	}
	buf_adds(&b, "\r\n");
	buf_adds(&b, body ? body : "");
	live_send(fd, b.p, b.len);
	live_read(fd, r, !strcmp(method, "HEAD"), 20000);
	close(fd);
	buf_free(&b);
}

#endif
