/* SPDX-License-Identifier: MIT */
/*
 * A true server in a child, over a Unix socket: streams of events, fetches that wait, and clients that mean harm.  Readiness and
 * answers are read, nothing is slept for.  With an argument (make check) the crowds are large.
 */
#include "../server/server.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE = 20 };          /* seconds that anything may take on a busy machine */
#define ME "/api/v1/queues/me"

static char dir[64], sock[96], auth[128], line[4096];
static pid_t server;
static bool crowds;

/* ---- a server ---- */

static void
limit(int what, int most)
{
	struct rlimit r = {(rlim_t)most, (rlim_t)most};

	if (most)
		setrlimit(what, &r);
}

/* fds, bytes: how many descriptors it may have, how large a file may be; 0: as there are. */
static void
start(struct serve_opts o, int fds, int bytes)
{
	struct buf pw = {0}, pair = {0}, b64 = {0};
	char byte, *path;
	int ready[2];

	if (sys_pipe(ready) < 0)
		abort();
	o.root = dir;
	o.unix_path = sock;
	o.sync = SYNC_NEVER;
	o.ready = ready[1];
	fflush(NULL);
	server = fork();
	if (!server) {
		close(ready[0]);
		if (!freopen("/dev/null", "w", stderr))
			_exit(99);
		limit(RLIMIT_NOFILE, fds);
		limit(RLIMIT_FSIZE, bytes);
		exit(serve_run(&o));
	}
	close(ready[1]);
	check(read(ready[0], &byte, 1) == 1, "the server is ready");
	close(ready[0]);
	path = xprintf("%s/password", dir);
	sys_slurp(path, 100, &pw, NULL);
	free(path);
	buf_printf(&pair, "default:%.*s", (int)strcspn(pw.p, "\n"), pw.p);
	hash_base64(&b64, pair.p, pair.len);
	snprintf(auth, sizeof auth, "Authorization: Basic %s\r\n", b64.p);
	buf_free(&pw);
	buf_free(&pair);
	buf_free(&b64);
}

/* Ends it; its exit status, and how long that took in *us. */
static int
stop(int64_t *us)
{
	int64_t from = sys_mono();
	int status = 0;

	kill(server, SIGTERM);
	waitpid(server, &status, 0);
	*us = sys_mono() - from;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static size_t
descriptors(pid_t pid)
{
	char *text = xprintf("ls /proc/%ld/fd 2>/dev/null | wc -l", (long)pid);
	FILE *f = popen(text, "r");
	unsigned long n = 0;

	if (!f || fscanf(f, "%lu", &n) != 1)
		n = 0;
	if (f)
		pclose(f);
	free(text);
	return n;
}

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Resident KiB; 0 where the system does not say, or what is freed is kept on purpose. */
static size_t
resident(pid_t pid)
{
	char *path = xprintf("/proc/%ld/status", (long)pid);
	FILE *f = fopen(path, "r");
	unsigned long n = 0;

	free(path);
	while (f && !SANITIZED && fgets(line, sizeof line, f))
		sscanf(line, "VmRSS: %lu", &n);
	if (f)
		fclose(f);
	return n;
}

/* Milliseconds of processor time that it took; 0 where the system does not say. */
static long
worked(pid_t pid)
{
	char *path = xprintf("/proc/%ld/stat", (long)pid), *at = NULL;
	FILE *f = fopen(path, "r");
	unsigned long user = 0, sys = 0;

	free(path);
	if (f && fgets(line, sizeof line, f))
		at = strrchr(line, ')');
	if (f)
		fclose(f);
	if (!at || sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
		return 0;
	return (long)((user + sys) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}

/* ---- its clients ---- */

struct peer {
	int fd;
	struct buf in;
	struct http http;
	size_t used;
	int status;
	struct buf body;          /* of the last answer; of a stream: what has come */
};

static struct peer *
dial_to(const struct sockaddr *to, socklen_t size)
{
	struct peer *p = xcalloc(1, sizeof *p);

	p->fd = socket(to->sa_family, SOCK_STREAM, 0);
	for (int i = 0; connect(p->fd, to, size) < 0; i++) {
		if (errno != EAGAIN || i > 2000) {
			perror("connect");
			exit(2);
		}
		poll(NULL, 0, 10);   /* the line of those who wait to be accepted is full */
	}
	sys_nonblock(p->fd, true);
	http_init(&p->http, true);
	p->http.max_body = 0;
	return p;
}

static struct peer *
dial(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	strncpy(un.sun_path, sock, sizeof un.sun_path - 1);
	return dial_to((struct sockaddr *)&un, sizeof un);
}

/* Over TCP, at the port that server.json names. */
static struct peer *
dial_tcp(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	char *path = xprintf("%s/server.json", dir), *at;
	struct buf b = {0};

	sys_slurp(path, 1000, &b, NULL);
	free(path);
	at = strstr(b.p, "127.0.0.1:");
	in.sin_port = htons((uint16_t)atoi(at ? at + 10 : "0"));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	buf_free(&b);
	return dial_to((struct sockaddr *)&in, sizeof in);
}

static void
hang_up(struct peer *p)
{
	close(p->fd);
	buf_free(&p->in);
	buf_free(&p->body);
	free(p);
}

static bool
wait_for(int fd, short what)
{
	struct pollfd f = {.fd = fd, .events = what};

	return poll(&f, 1, PATIENCE * 1000) == 1;
}

static void
send_text(struct peer *p, const char *text, size_t n)
{
	while (n) {
		ssize_t sent = send(p->fd, text, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN && wait_for(p->fd, POLLOUT))
			continue;
		if (sent <= 0)
			return;
		text += sent;
		n -= (size_t)sent;
	}
}

static void
say(struct peer *p, const char *text)
{
	send_text(p, text, strlen(text));
}

static void
ask(struct peer *p, const char *method, const char *path, const char *head, const char *body)
{
	struct buf b = {0};

	buf_printf(&b, "%s %s HTTP/1.1\r\nHost: x\r\n%s%s", method, path, auth, head);
	if (body)
		buf_printf(&b, "Content-Type: application/json\r\nContent-Length: %lu\r\n", (unsigned long)strlen(body));
	buf_adds(&b, "\r\n");
	buf_adds(&b, body ? body : "");
	send_text(p, b.p, b.len);
	buf_free(&b);
}

/* Reads on: 1 something came, 0 the end, -1 nothing did in time. */
static int
more(struct peer *p, int ms)
{
	struct pollfd f = {.fd = p->fd, .events = POLLIN};
	ssize_t n;

	if (poll(&f, 1, ms) != 1)
		return -1;
	buf_reserve(&p->in, 65536);
	n = read(p->fd, p->in.p + p->in.len, 65536);
	if (n > 0)
		p->in.len += (size_t)n;
	return n > 0 ? 1 : 0;
}

/* Takes what has come.  1 an answer is whole, 0 more must come, -1 rubbish.  Data of a stream is added to body as it comes. */
static int
take(struct peer *p)
{
	struct err e = {0};
	struct str data;
	size_t n;

	for (;;) {
		enum http_event ev = http_next(&p->http, p->in.p + p->used, p->in.len - p->used, &n, &data, &e);

		p->used += n;
		switch (ev) {
		case HTTP_HEADERS:
			p->status = p->http.status;
			buf_clear(&p->body);
			snprintf(line, sizeof line, "%.*s", (int)n, p->in.p + p->used - n);
			break;
		case HTTP_DATA:
			buf_add(&p->body, data.p, data.n);
			break;
		case HTTP_END:
			buf_drop(&p->in, p->used);
			p->used = 0;
			return 1;
		case HTTP_BAD:
			return -1;
		case HTTP_MORE:
			return 0;
		}
	}
}

/* The status of the next answer, 0 at the end or when none comes. */
static int
answer(struct peer *p)
{
	for (;;) {
		int rc = p->in.len > p->used ? take(p) : 0;

		if (rc)
			return rc > 0 ? p->status : 0;
		if (more(p, PATIENCE * 1000) <= 0)
			return 0;
	}
}

static bool
says(const struct peer *p, const char *text)
{
	return p->body.len && strstr(p->body.p, text);
}

/* Reads a stream until it has said so. */
static bool
hears(struct peer *p, const char *text)
{
	while (!says(p, text)) {
		if (more(p, PATIENCE * 1000) <= 0)
			return false;
		if (take(p) < 0)
			return false;
	}
	return true;
}

static int
call(struct peer *p, const char *method, const char *path, const char *body)
{
	ask(p, method, path, "", body);
	return answer(p);
}

/* No answer has come, though the server has done all that it had to: another's answer shows that. */
static bool
silent(struct peer *p, struct peer *other)
{
	call(other, "GET", "/health", NULL);
	return more(p, 0) < 0;
}

static bool
alive(void)
{
	struct peer *p = dial();
	bool fine = call(p, "GET", ME, NULL) == 200;

	hang_up(p);
	return fine;
}

/* The id in an answer. */
static const char *
id_in(const struct peer *p, const char *key)
{
	static char id[4][37];
	static int n;
	char *name = xprintf("\"%s\":\"", key);
	const char *at = p->body.len ? strstr(p->body.p, name) : NULL;

	n = (n + 1) % 4;
	snprintf(id[n], sizeof id[n], "%s", at ? at + strlen(name) : "");
	free(name);
	return id[n];
}

static void
set_status(struct peer *p, const char *what, const char *id, const char *status)
{
	char *path = xprintf(ME "/%s/%s/status", what, id), *body = xprintf("{\"status\":\"%s\"}", status);

	check(call(p, "POST", path, body) == 200, "%s: %s", status, p->body.p);
	free(path);
	free(body);
}

/* Frees the queue of pending tasks. */
static void
drain(struct peer *p)
{
	while (call(p, "POST", ME "/tasks/next", "{\"required_fields\":[\"*\"]}") == 200 && says(p, "\"found\":true"))
		;
}

/* ---- streams of events ---- */

static void
test_stream(void)
{
	struct peer *p = dial(), *l = dial(), *again = dial();
	char *head, last[80] = "";
	const char *at;

	ask(l, "GET", ME "/events", "", NULL);
	check(hears(l, "\r\n\r\n") && l->status == 200, "a stream begins");
	check(strstr(line, "text/event-stream; charset=utf-8\r\n") && strstr(line, "no-store") && strstr(line, "chunked"), "head: %s", line);
	check(!strncmp(l->body.p, "event: connection\r\ndata: {\"status\":\"connected\",\"client_id\":\"", 58), "hello: %s", l->body.p);
	check(strstr(l->body.p, "\"}\r\nretry: 3000\r\nid: ") != NULL, "hello: %s", l->body.p);
	check(call(p, "POST", ME "/tasks", "{\"args\":{\"a\":1}}") == 201, "submitted");
	check(hears(l, "\"old_state\":\"created\",\"new_state\":\"pending\""), "it is told");
	at = strstr(l->body.p, "retry: 3000\r\nid: ");
	snprintf(last, sizeof last, "%.38s", at ? at + 17 : "");
	call(p, "POST", ME "/tasks/next", "{}");
	check(hears(l, "\"new_state\":\"running\""), "and that it runs");
	head = xprintf("Last-Event-ID: %s\r\n", last);
	ask(again, "GET", ME "/events", head, NULL);
	free(head);
	check(hears(again, "\"new_state\":\"pending\"") && hears(again, "\"new_state\":\"running\""), "replayed: %s", again->body.p);
	say(l, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
	call(p, "POST", ME "/tasks", "{\"args\":{\"a\":2}}");
	check(hears(l, "\"a\":2"), "what is said into a stream does not matter");
	check(hears(l, "event: ping\r\n\r\n"), "and a ping comes");
	hang_up(l);
	hang_up(again);
	drain(p);
	hang_up(p);
}

/* It reads nothing, others are served; when it reads at last, the youngest are there. */
static void
test_stalled_listener(void)
{
	struct peer *p = dial(), *l = dial();
	size_t before, after;
	char *body = xmalloc(20100);
	int n = crowds ? 3000 : 600;

	memset(body, 'x', 20100);
	memcpy(body, "{\"args\":{\"a\":\"", 14);
	strcpy(body + 20000, "\"}}");
	ask(l, "GET", ME "/events", "", NULL);
	check(hears(l, "event: connection"), "it listens");
	before = resident(server);
	for (int i = 0; i < n; i++) {
		call(p, "POST", ME "/tasks", body);
		call(p, "DELETE", ME "/tasks/none", NULL);
	}
	drain(p);
	after = resident(server);
	check(after < before + (size_t)n * 20 + 40000, "%lu KiB before, %lu after %d events of 20 KB", (unsigned long)before,
	    (unsigned long)after, n);
	call(p, "POST", ME "/tasks", "{\"args\":{\"last\":1}}");
	check(hears(l, "\"last\":1"), "the last is heard in the end");
	check(l->body.len < 20100u * 300, "not all that was lost: %lu", (unsigned long)l->body.len);
	drain(p);
	hang_up(l);
	hang_up(p);
	free(body);
}

static void
test_end_of_queue(void)
{
	struct peer *p = dial(), *l = dial(), *w = dial();
	char keep[sizeof auth];

	strcpy(keep, auth);
	check(call(p, "POST", "/api/v1/queues", "{\"queue_name\":\"short\",\"password\":\"p\"}") == 201, "made: %s", p->body.p);
	strcpy(auth, "Authorization: Basic c2hvcnQ6cA==\r\n");
	ask(l, "GET", ME "/events", "", NULL);
	check(hears(l, "event: connection"), "it listens");
	ask(w, "POST", ME "/tasks/next", "Prefer: wait=100\r\n", "{}");
	check(silent(w, p), "it waits");
	check(call(p, "DELETE", ME, NULL) == 204, "gone");
	while (more(l, PATIENCE * 1000) > 0)
		;
	check(take(l) == 1, "the stream ends as it should");
	check(answer(w) == 401, "and so does the waiting: %d", w->status);
	strcpy(auth, keep);
	hang_up(l);
	hang_up(w);
	hang_up(p);
}

/* ---- fetches that wait ---- */

static const char wait100[] = "Prefer: wait=100\r\n";

static void
test_wait(void)
{
	struct peer *p = dial(), *a = dial(), *b = dial(), *c = dial();
	const char *task;
	char *body;

	drain(p);
	ask(a, "POST", ME "/tasks/next", wait100, "{\"required_fields\":[\"x\"]}");
	check(silent(a, p), "it is held");
	ask(b, "POST", ME "/tasks/next", "Prefer: respond-async, wait=100\r\n", "{\"required_fields\":[\"a\"]}");
	check(silent(b, p), "so is this");
	ask(c, "POST", ME "/tasks/next", wait100, "{\"required_fields\":[\"a\"],\"extra_filter\":{\"args.a\":{\"$gt\":5}}}");
	call(p, "POST", ME "/tasks", "{\"args\":{\"a\":1}}");
	check(answer(b) == 200 && says(b, "\"found\":true") && strstr(line, "Preference-Applied: wait\r\n"), "woken at submit: %s", b->body.p);
	check(silent(a, p) && silent(c, p), "the others are not");
	task = id_in(b, "task_id");
	ask(b, "POST", ME "/tasks/next", wait100, "{\"required_fields\":[\"a\"]}");
	check(silent(b, p), "it waits again");
	body = xprintf("[{\"task_id\":\"%s\",\"status\":\"pending\"}]", task);
	call(p, "PUT", ME "/tasks?reset_pending=false", body);
	free(body);
	check(answer(b) == 200 && says(b, task), "woken at requeue");
	set_status(p, "tasks", task, "failed");
	ask(b, "POST", ME "/tasks/next", wait100, "{\"required_fields\":[\"a\"],\"heartbeat_timeout\":0.2}");
	check(answer(b) == 200 && says(b, task), "a task that is there comes at once");
	ask(b, "POST", ME "/tasks/next", wait100, "{\"required_fields\":[\"a\"]}");
	check(answer(b) == 200 && says(b, task) && says(b, "labtasker_error") == 0, "woken at timeout: %s", b->body.p);
	call(p, "POST", ME "/tasks", "{\"args\":{\"a\":7},\"cmd\":\"a\"}");
	check(answer(c) == 200 && says(c, "{\"a\":7}"), "by a filter: %s", c->body.p);
	call(p, "POST", ME "/tasks", "{\"args\":{\"y\":7}}");
	body = xprintf("[{\"task_id\":\"%s\",\"args\":{\"x\":1},\"replace_fields\":[\"args\"]}]", id_in(p, "task_id"));
	call(p, "PUT", ME "/tasks?reset_pending=false", body);
	free(body);
	check(answer(a) == 200 && says(a, "{\"x\":1}"), "by an update of what is pending: %s", a->body.p);
	ask(a, "POST", ME "/tasks/next", "Prefer: wait=0\r\n", "{}");
	check(answer(a) == 200 && says(a, "\"found\":false"), "no wait");
	ask(a, "POST", ME "/tasks/next", "Prefer: wait=1\r\n", "{}");
	check(answer(a) == 200 && !strcmp(a->body.p, "{\"notification\":null,\"found\":false,\"task\":null}"), "time is over: %s", a->body.p);
	hang_up(a);
	hang_up(b);
	hang_up(c);
	hang_up(p);
}

/* Order of arrival; order on one connection; who has hung up, or asks again elsewhere, gets nothing. */
static void
test_wait_order(void)
{
	struct peer *p = dial(), *a = dial(), *b = dial(), *c = dial();
	static const char token[] = "Prefer: wait=100\r\nIdempotency-Key: 11111111-2222-4333-8444-555555555555\r\n";
	static const char other[] = "Prefer: wait=100\r\nIdempotency-Key: 21111111-2222-4333-8444-555555555555\r\n";
	char w[37];

	drain(p);
	ask(a, "POST", ME "/tasks/next", wait100, "{}");
	check(silent(a, p), "first");
	ask(b, "POST", ME "/tasks/next", wait100, "{}");
	check(silent(b, p), "second");
	hang_up(a);
	call(p, "POST", ME "/tasks", "{\"args\":{\"n\":1}}");
	check(answer(b) == 200 && says(b, "\"n\":1"), "the first has hung up: %s", b->body.p);
	a = dial();
	ask(a, "POST", ME "/tasks/next", wait100, "{}");
	check(silent(a, p), "first");
	for (int i = 0; i < 500; i++)
		ask(a, "GET", "/health", "a: b\r\n", NULL);
	ask(b, "POST", ME "/tasks/next", wait100, "{}");
	check(silent(b, p), "second");
	hang_up(a);
	call(p, "POST", ME "/tasks", "{\"args\":{\"n\":4}}");
	check(answer(b) == 200 && says(b, "\"n\":4"), "so has this one, behind whose fetch is more than is read: %s", b->body.p);
	ask(b, "POST", ME "/tasks/next", wait100, "{}");
	ask(b, "GET", "/health", "", NULL);
	check(silent(b, p), "what is behind a fetch waits with it");
	call(p, "POST", ME "/tasks", "{\"args\":{\"n\":2}}");
	check(answer(b) == 200 && says(b, "\"n\":2") && answer(b) == 200 && says(b, "connection"), "and comes after it");
	ask(b, "POST", ME "/tasks/next", token, "{}");
	check(silent(b, p), "under a token");
	ask(c, "POST", ME "/tasks/next", token, "{}");
	check(answer(b) == 200 && says(b, "\"found\":false"), "the older one of a token is over");
	call(p, "POST", ME "/tasks", "{\"args\":{\"n\":3}}");
	check(answer(c) == 200 && says(c, "\"n\":3"), "the younger gets the task");
	ask(b, "POST", ME "/tasks/next", other, "{}");
	check(silent(b, p), "under another token");
	ask(c, "POST", ME "/tasks/next", strchr(other, 'I'), "{}");
	check(answer(c) == 200 && answer(b) == 200 && says(b, "\"found\":false"), "it is over too when the younger does not wait");
	check(call(p, "POST", ME "/workers", "{}") == 201, "a worker");
	strcpy(w, id_in(p, "worker_id"));
	{
		char *body = xprintf("{\"worker_id\":\"%s\"}", w);

		ask(c, "POST", ME "/tasks/next", wait100, body);
		free(body);
	}
	check(silent(c, p), "it waits");
	set_status(p, "workers", w, "suspended");
	check(answer(c) == 403, "a suspended worker does not");
	ask(c, "POST", ME "/tasks/next", wait100, "{}");
	check(silent(c, p), "it waits");
	shutdown(c->fd, SHUT_WR);
	check(answer(c) == 200 && says(c, "\"found\":false"), "half closed: it is told that there is nothing");
	hang_up(b);
	hang_up(c);
	hang_up(p);
}

static void
test_many_waiters(void)
{
	enum { MOST = 500 };
	int n = crowds ? MOST : 200, found = 0;
	struct peer *p = dial(), *w[MOST];
	int64_t from, us;

	drain(p);
	for (int i = 0; i < n; i++) {
		char *body = xprintf("{\"required_fields\":[\"k%d\"]}", i);

		w[i] = dial();
		ask(w[i], "POST", ME "/tasks/next", wait100, body);
		free(body);
	}
	check(silent(w[n - 1], p), "all wait");
	from = sys_mono();
	for (int i = n; i-- > 0;) {
		char *body = xprintf("{\"args\":{\"k%d\":%d}}", i, i), *want = xprintf("{\"k%d\":%d}", i, i);

		call(p, "POST", ME "/tasks", body);
		found += answer(w[i]) == 200 && says(w[i], want);
		free(body);
		free(want);
	}
	us = sys_mono() - from;
	check(found == n, "%d of %d got the task that was theirs", found, n);
	if (crowds)
		fprintf(stderr, "serve: %d waiters, the right one woken in %ld us\n", n, (long)us / n);
	for (int i = 0; i < n; i++)
		hang_up(w[i]);
	hang_up(p);
}

/* ---- clients that mean harm ---- */

/* Reads until the server has closed; the status of the last answer. */
static int
to_the_end(struct peer *p)
{
	int status = 0, s;

	while ((s = answer(p)))
		status = s;
	return status;
}

/* Heads that drip, heads and bodies that never come: each is told in its time, and others do not notice. */
static void
test_slow(void)
{
	static const char *const parts[] = {
		"G", "GET / HT", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: ", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n12345678",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
	};
	struct peer *slow[LEN(parts)], *drip = dial(), *idle = dial();
	int64_t from = sys_mono();
	int n = 0;

	for (size_t i = 0; i < LEN(parts); i++) {
		slow[i] = dial();
		say(slow[i], parts[i]);
	}
	say(drip, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
	check(alive(), "others are served");
	while (sys_mono() - from < (int64_t)PATIENCE * 1000000 && more(drip, 20) < 0)
		say(drip, "a"), n++;
	check(take(drip) == 1 && drip->status == 408, "dripping %d bytes does not keep it: %d", n, drip->status);
	for (size_t i = 0; i < LEN(parts); i++) {
		check(to_the_end(slow[i]) == 408, "'%s': %d", parts[i], slow[i]->status);
		hang_up(slow[i]);
	}
	check(call(idle, "GET", "/health", NULL) == 200, "who asks nothing is left in peace");
	hang_up(drip);
	hang_up(idle);
}

/* Asks for much and reads nothing. */
static void
test_unread(void)
{
	struct peer *p = dial(), *greedy[4];
	char *body = xmalloc(100100);
	bool gone = true;

	memset(body, 'x', 100100);
	memcpy(body, "{\"args\":{\"a\":\"", 14);
	strcpy(body + 100000, "\"}}");
	for (int i = 0; i < 10; i++)
		call(p, "POST", ME "/tasks", body);
	for (int i = 0; i < 4; i++) {
		greedy[i] = dial();
		for (int k = 0; k < 20; k++)
			ask(greedy[i], "POST", ME "/tasks/search", "", "{}");
	}
	check(alive(), "others are served");
	for (int i = 0; i < 4; i++) {
		struct pollfd f = {.fd = greedy[i]->fd};

		gone &= poll(&f, 1, PATIENCE * 1000) == 1 && f.revents & POLLHUP;   /* not a byte is read */
		hang_up(greedy[i]);
	}
	check(gone, "who reads nothing is dropped");
	drain(p);
	hang_up(p);
	free(body);
}

/* While it waits for a peer to read, the server sleeps. */
static void
test_sleep(void)
{
	struct peer *p = dial(), *greedy = dial();
	static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct pollfd out = {.fd = greedy->fd, .events = POLLOUT};
	long before, after, sent = 0, answers = 0;
	struct buf b = {0};
	ssize_t n = 0;

	for (int i = 0; i < 1000; i++)
		buf_add(&b, text, sizeof text - 1);
	while (poll(&out, 1, 300) == 1 && n >= 0) {
		size_t from = (size_t)sent % (sizeof text - 1);

		n = send(greedy->fd, b.p + from, b.len - from, MSG_NOSIGNAL);
		sent += n > 0 ? n : 0;
	}
	buf_free(&b);
	sent /= (long)sizeof text - 1;
	check(alive(), "others are served");
	before = worked(server);
	check(more(p, 500) < 0, "half a second");
	after = worked(server);
	check(after - before < 250, "%ld ms of processor time in 500", after - before);
	while (answers < sent && answer(greedy) == 200)
		answers++;
	check(sent > 1000 && answers == sent, "%ld requests at once, %ld answers in the end", sent, answers);
	hang_up(greedy);
	hang_up(p);
}

static void
test_deep(void)
{
	struct peer *p = dial(), *w = dial();
	int n = 1000, right = 0;
	struct buf b = {0};

	for (int i = 0; i < n; i++)
		buf_printf(&b, i % 2 ? "GET /n%d HTTP/1.1\r\nHost: x\r\n\r\n" : "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", i);
	send_text(p, b.p, b.len);
	for (int i = 0; i < n; i++)
		right += answer(p) == (i % 2 ? 404 : 200);
	check(right == n, "%d of %d pipelined answers in their order", right, n);
	buf_clear(&b);
	for (int i = 0; i < n; i++) {
		char *body = xprintf("{\"args\":{\"i\":%d}}", i);

		ask(w, "POST", ME "/tasks", "", body);
		free(body);
	}
	right = 0;
	for (int i = 0; i < n; i++)
		right += answer(w) == 201;
	check(right == n, "%d of %d pipelined submits", right, n);
	drain(w);
	buf_free(&b);
	hang_up(p);
	hang_up(w);
}

/* Ends in the middle, with a reset too, of whatever is being done. */
static void
test_breaks(void)
{
	static const struct {
		const char *text;
		bool asks;
	} rows[] = {
		{"", false}, {"GET / HT", false}, {"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", false},
		{"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /he", false},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n123", false}, {ME "/events", true}, {ME "/tasks/next", true},
	};
	struct linger hard = {.l_onoff = 1, .l_linger = 0};
	struct peer *p;

	for (size_t i = 0; i < LEN(rows); i++) {
		for (int how = 0; how < 4; how++) {
			p = how & 1 ? dial_tcp() : dial();
			if (rows[i].asks)
				ask(p, strstr(rows[i].text, "next") ? "POST" : "GET", rows[i].text, wait100, "{}");
			else
				say(p, rows[i].text);
			if (how & 2)
				setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
			if (!rows[i].asks || how == 1)
				check(alive(), "others are served");
			hang_up(p);
		}
	}
	p = dial_tcp();
	say(p, "GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
	shutdown(p->fd, SHUT_WR);
	check(answer(p) == 200 && answer(p) == 200 && answer(p) == 0, "half closed: both answers, then the end");
	hang_up(p);
}

/* Silent ones by the thousand, each after it has asked something. */
static void
test_idle(void)
{
	enum { MOST = 2000 };
	static struct peer *idle[MOST];
	size_t before, during, base = descriptors(server);
	int n = crowds ? MOST : 300, served = 0;
	struct rlimit r;
	int64_t from;

	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
		if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < (rlim_t)n + 50)
			n = (int)r.rlim_cur - 50;
	}
	before = resident(server);
	for (int i = 0; i < n; i++) {
		idle[i] = dial();
		served += call(idle[i], "GET", ME, NULL) == 200;
	}
	check(served == n, "%d of %d served", served, n);
	during = resident(server);
	from = sys_mono();
	for (int i = 0; i < 100; i++)
		call(idle[0], "GET", ME, NULL);
	if (crowds)
		fprintf(stderr, "serve: %d silent connections: %ld us a request, %ld bytes each\n", n, (long)(sys_mono() - from) / 100,
		    (long)(during - before) * 1024 / n);
	check(during < before + (size_t)n * 16 + 4000, "%lu KiB before, %lu with %d silent", (unsigned long)before, (unsigned long)during, n);
	for (int i = 0; i < n; i++)
		hang_up(idle[i]);
	check(alive(), "others are served");
	for (int i = 0; i < PATIENCE * 100 && descriptors(server) > base; i++)
		poll(NULL, 0, 10);
	check(descriptors(server) <= base, "%lu descriptors, %lu at first", (unsigned long)descriptors(server), (unsigned long)base);
}

/* More come than there are descriptors: who has been silent longest gives way. */
static void
test_descriptors(void)
{
	enum { FEW = 40, MANY = 60 };
	struct peer *idle[MANY], *busy = dial(), *p;
	int gone = 0;

	ask(busy, "GET", ME "/events", "", NULL);
	check(hears(busy, "event: connection"), "a listener");
	for (int i = 0; i < MANY; i++)
		idle[i] = dial();
	for (int i = 0; i < 3; i++) {
		p = dial();
		check(call(p, "POST", ME "/tasks", "{\"args\":{\"a\":1}}") == 201, "the next are served");
		hang_up(p);
	}
	check(hears(busy, "\"sequence\":3"), "the listener was kept");
	for (int i = 0; i < MANY; i++) {
		gone += more(idle[i], 0) == 0;
		hang_up(idle[i]);
	}
	check(gone >= MANY - FEW, "%d of %d gave way", gone, MANY);
	check(alive(), "others are served");
	hang_up(busy);
}

/* What the disk has no room for has not happened: nobody hears of it, and a fetch that waits is told. */
static void
test_full(void)
{
	struct peer *p = dial(), *l = dial(), *w = dial();
	char *body = xmalloc(100100), *want;
	int n = 0;

	memset(body, 'x', 100100);
	memcpy(body, "{\"args\":{\"a\":\"", 14);
	strcpy(body + 100000, "\"}}");
	ask(l, "GET", ME "/events", "", NULL);
	check(hears(l, "event: connection"), "a listener");
	ask(w, "POST", ME "/tasks/next", wait100, "{\"required_fields\":[\"never\"]}");
	while (n < 100 && call(p, "POST", ME "/tasks", body) == 201)
		n++;
	check(p->status == 503 && n > 0 && n < 100, "%d until it was full: %d %s", n, p->status, p->body.p);
	check(answer(w) == 503, "a fetch that waits is told: %d", w->status);
	check(call(p, "GET", ME "/stats", NULL) == 200, "reads go on");
	want = xprintf("\"tasks\":{\"pending\":%d,", n);
	check(says(p, want), "%s: %s", want, p->body.p);
	free(want);
	want = xprintf("\"sequence\":%d,", n);
	check(hears(l, want), "what was kept is told");
	check(hears(l, "event: ping"), "and then a ping");
	free(want);
	want = xprintf("\"sequence\":%d,", n + 1);
	check(!says(l, want), "what was not kept is not");
	free(want);
	hang_up(p);
	hang_up(l);
	hang_up(w);
	free(body);
}

/* Held fetches and streams do not hold up an end. */
static void
test_stop(void)
{
	struct peer *p = dial(), *l = dial(), *w = dial();
	int64_t us = 0;

	ask(l, "GET", ME "/events", "", NULL);
	check(hears(l, "event: connection"), "a listener");
	ask(w, "POST", ME "/tasks/next", wait100, "{\"required_fields\":[\"never\"]}");
	check(silent(w, p), "a waiter");
	check(stop(&us) == 0 && us < 3000000, "it ended in %ld ms", (long)us / 1000);
	check(answer(w) == 0, "the waiter has no answer, and can ask the next server");
	while (more(l, PATIENCE * 1000) > 0)
		;
	check(take(l) == 1, "the stream ends as it should");
	hang_up(p);
	hang_up(l);
	hang_up(w);
}

int
main(int argc, char **argv)
{
	int64_t us = 0;

	(void)argv;
	crowds = argc > 1;
	sys_start();
	snprintf(dir, sizeof dir, "/tmp/lt-serve.%ld.%lx", (long)getpid(), (unsigned long)sys_mono());
	if (mkdir(dir, 0700) < 0)
		return 2;
	snprintf(sock, sizeof sock, "%s/s", dir);
	start((struct serve_opts){.ping = 0.3, .host = "127.0.0.1", .port = "0"}, 0, 0);
	test_stream();
	test_stalled_listener();
	test_end_of_queue();
	test_wait();
	test_wait_order();
	test_many_waiters();
	test_deep();
	test_breaks();
	test_idle();
	test_sleep();
	check(alive(), "it is well");
	test_stop();
	start((struct serve_opts){.patience = 0.4}, 0, 0);
	test_slow();
	test_unread();
	check(alive() && stop(&us) == 0, "it is well");
	start((struct serve_opts){.ping = 0.3}, 40, 0);
	test_descriptors();
	check(stop(&us) == 0, "and ends well");
	snprintf(line, sizeof line, "rm -rf %s/journal", dir);
	check(!system(line), "a new store");
	start((struct serve_opts){.ping = 0.3}, 0, 3 << 20);
	test_full();
	check(stop(&us) < 2, "and ends");
	snprintf(line, sizeof line, "rm -rf %s", dir);
	check(!system(line), "tidy");
	return test_done("serve");
}
