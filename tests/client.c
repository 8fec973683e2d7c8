/* SPDX-License-Identifier: MIT */
/*
 * The client against a scripted server: a child that takes its requests, notes each in a pipe, and answers, cuts, hangs or leaves
 * as its script says.  The clock is ours: it jumps to the next thing that is due whenever nobody has anything to say, so waits of
 * any length cost nothing, and nothing here sleeps.
 */
#include "../labtasker.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t fake_mono(void);
static int fake_poll(struct pollfd *fds, nfds_t n, int ms);
#define sys_mono fake_mono
#define poll fake_poll
#include "../locate.c"
#include "../wire.c"
#include "../call.c"
#include "../client.c"
#undef sys_mono
#undef poll

static struct client *live;      /* whose silence may be skipped */

/* The client of before is closed by now: nobody may look at it. */
static struct client *
open_client(const struct client_opts *o, bool auth, struct err *e)
{
	live = NULL;
	return client_open(o, auth, e);
}

/* ---- the script ---- */

enum act {
	END,
	ANSWER_IT,     /* arg: status */
	LEAVE_AFTER,   /* the same, then close without having said so */
	SAY_CLOSE,     /* the same, with Connection: close */
	CUT,           /* arg: so many bytes of a 200, then close */
	DRIP,          /* a 200, a byte at a time */
	DROP,          /* close without an answer */
	RESET,         /* the same, rudely */
	HANG,          /* no answer until the client goes */
	RAW            /* body as it is, then close */
};
struct step {
	enum act act;
	int arg;
	const char *head, *body;   /* more header lines, the body; NULL none */
};
enum { STEPS = 24 };

static int64_t jumped;           /* how far our clock is ahead, microseconds */
static int notes = -1;           /* the pipe from the server */
static struct buf noted;         /* its lines */
static int hung;                 /* the try of the first call under way that the server lets hang; 0: none */
static bool honest;              /* the clock does not jump */
static void (*at_jump)(void);    /* called before the clock jumps */

static int64_t
fake_mono(void)
{
	return sys_mono() + jumped;
}

static void
read_notes(void)
{
	char text[4096];
	ssize_t n;

	while (notes >= 0 && (n = read(notes, text, sizeof text)) > 0) {
		buf_add(&noted, text, (size_t)n);
		hung = noted.len > 5 && !strcmp(noted.p + noted.len - 5, "hang\n") && live && live->sent.head ? live->sent.head->tries : 0;
	}
}

/* Whether something can still come by itself: an answer, a connection. */
static bool
expecting(nfds_t n)
{
	read_notes();
	if (hung && live && live->sent.head && live->sent.head->tries == hung)
		return false;
	return n && (!live || live->sent.head || !live->wire.up);
}

static int
fake_poll(struct pollfd *fds, nfds_t n, int ms)
{
	struct pollfd all[CLIENT_FDS + 1];
	int64_t give_up = sys_mono() + 20 * SECOND;
	int rc;

	if (honest)
		return poll(fds, n, ms);
	while (!(rc = poll(fds, n, 0)) && ms && expecting(n)) {
		if (sys_mono() > give_up) {
			printf("client: 0 passed, 1 failed: nothing moves\n");
			exit(1);
		}
		memcpy(all, fds, n * sizeof *fds);
		all[n] = (struct pollfd){.fd = notes, .events = POLLIN};
		poll(all, n + 1, 1000);
	}
	if (!rc && ms) {
		if (at_jump)
			at_jump();
		jumped += ms < 0 ? 60 * SECOND : (int64_t)ms * 1000;
	}
	return rc;
}

/* ---- the server ---- */

struct server {
	int fd, note;
	bool ours;
	const struct step *step;
};

static void
put_answer(struct buf *b, const struct server *s, const struct step *t)
{
	const char *body = t->body ? t->body : t->arg == 204 ? "" : "{\"queue_id\":\"00000000-0000-4000-8000-000000000001\"}";

	buf_printf(b, "HTTP/1.1 %d Whatever\r\n", t->act == CUT || t->act == DRIP ? 200 : t->arg);
	if (s->ours)
		buf_adds(b, "Labtasker-Version: 9.9.9\r\nLabtasker-Store: 5a5a5a5a-0000-4000-8000-000000000001\r\n");
	if (t->head)
		buf_adds(b, t->head);
	if (t->act == SAY_CLOSE)
		buf_adds(b, "Connection: close\r\n");
	if (t->arg != 204)
		buf_printf(b, "Content-Length: %lu\r\nContent-Type: application/json\r\n", (unsigned long)strlen(body));
	buf_adds(b, "\r\n");
	buf_adds(b, body);
}

/* Does a step on connection fd; false: this connection is over. */
static bool
act(const struct server *s, const struct step *t, int fd)
{
	struct linger rude = {1, 0};
	struct buf b = {0};
	bool on = t->act == ANSWER_IT || t->act == DRIP;
	char byte;

	put_answer(&b, s, t);
	if (t->act == HANG) {
		while (sys_read(fd, &byte, 1) > 0)
			;
	} else if (t->act == RESET) {
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &rude, sizeof rude);
	} else if (t->act == CUT) {
		sys_write_all(fd, b.p, (size_t)t->arg < b.len ? (size_t)t->arg : b.len);
	} else if (t->act == RAW) {
		sys_write_all(fd, t->body, strlen(t->body));
	} else if (t->act == DRIP) {
		for (size_t i = 0; i < b.len; i++)
			sys_write_all(fd, b.p + i, 1);
	} else if (t->act != DROP) {
		sys_write_all(fd, b.p, b.len);
	}
	buf_free(&b);
	return on;
}

/* "2 POST /api/v1/queues/me/tasks key=... run=... body=... hang": connection, request line, what it carries. */
static void
note(const struct server *s, int conn, const struct buf *head, const struct buf *body)
{
	struct buf b = {0};

	buf_printf(&b, "%d %s", conn, head->p);
	if (body->len)
		buf_printf(&b, " %s", body->p);
	buf_adds(&b, s->step->act == HANG ? " hang\n" : "\n");
	sys_write_all(s->note, b.p, b.len);
	buf_free(&b);
}

/* What of a request's head is noted; its pointers die with the next read. */
static void
keep_head(struct buf *b, const struct http *h)
{
	const struct str *key = http_get(h, "Idempotency-Key"), *run = http_get(h, "Labtasker-Run");
	const struct str *last = http_get(h, "Last-Event-ID");

	buf_clear(b);
	buf_printf(b, "%.*s %.*s", (int)h->method.n, h->method.p, (int)h->target.n, h->target.p);
	if (key)
		buf_printf(b, " key=%.*s", (int)key->n, key->p);
	if (last)
		buf_printf(b, " last=%.*s", (int)last->n, last->p);
	if (run)
		buf_printf(b, " run=%.*s", (int)run->n, run->p);
}

/* Serves one connection until the script or the client ends it. */
static void
converse(struct server *s, int fd, int conn)
{
	struct buf in = {0}, head = {0}, body = {0};
	struct http h;
	struct err e = {0};
	size_t at = 0, used;
	bool on = true;

	http_init(&h, false);
	while (on && s->step->act != END) {
		struct str data;
		enum http_event ev = in.len ? http_next(&h, in.p + at, in.len - at, &used, &data, &e) : HTTP_MORE;
		ssize_t n;

		at += in.len ? used : 0;
		if (ev == HTTP_HEADERS) {
			keep_head(&head, &h);
		} else if (ev == HTTP_DATA) {
			buf_add(&body, data.p, data.n);
		} else if (ev == HTTP_END) {
			note(s, conn, &head, &body);
			buf_clear(&body);
			on = act(s, s->step, fd);
			s->step++;
		} else if (ev == HTTP_MORE) {
			buf_drop(&in, at);
			at = 0;
			buf_reserve(&in, 4096);
			n = sys_read(fd, in.p + in.len, 4096);
			if (n <= 0)
				break;
			in.len += (size_t)n;
		} else {
			sys_write_all(s->note, "bad request\n", 12);
			break;
		}
	}
	buf_free(&in);
	buf_free(&head);
	buf_free(&body);
	close(fd);
}

/* A child that plays the script on a listening socket. */
static pid_t
play(int fd, bool ours, const struct step *script)
{
	struct server s = {.fd = fd, .ours = ours, .step = script};
	int pipe_fd[2];
	pid_t pid;

	if (sys_pipe(pipe_fd) < 0)
		exit(2);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		s.note = pipe_fd[1];
		alarm(60);
		for (int conn = 1; s.step->act != END; conn++) {
			int c = accept(fd, NULL, NULL);

			if (c >= 0)
				converse(&s, c, conn);
		}
		_exit(0);
	}
	close(pipe_fd[1]);
	if (notes >= 0)
		close(notes);
	notes = pipe_fd[0];
	sys_nonblock(notes, true);
	return pid;
}

static int
listen_tcp(int *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)*port)};
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 64) < 0 || getsockname(fd, (struct sockaddr *)&a, &n) < 0) {
		printf("client: 0 passed, 1 failed: no loopback: %s\n", strerror(errno));
		exit(1);
	}
	*port = ntohs(a.sin_port);
	sys_cloexec(fd);
	return fd;
}

static void
end_server(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* ---- what was noted ---- */

static bool
is_uuid(const char *p)
{
	unsigned char id[16];

	return strlen(p) >= 36 && !uuid_parse((struct str){p, 36}, id);
}

/* The notes with each UUID as a letter, in order of appearance, and the common prefix taken out. */
static char *
notes_text(void)
{
	static const char me[] = "/api/v1/queues/me";
	char seen[26][37] = {{0}};
	struct buf b = {0};

	read_notes();
	for (const char *p = noted.len ? noted.p : ""; *p;) {
		if (is_uuid(p)) {
			int i = 0;

			while (i < 25 && seen[i][0] && memcmp(seen[i], p, 36))
				i++;
			memcpy(seen[i], p, 36);
			buf_addc(&b, (char)('a' + i));
			p += 36;
		} else if (!strncmp(p, me, sizeof me - 1)) {
			buf_adds(&b, "~");
			p += sizeof me - 1;
		} else {
			buf_addc(&b, *p++);
		}
	}
	buf_clear(&noted);
	return b.p ? b.p : xstrdup("");
}

/* ---- stderr as text ---- */

static int real_stderr = -1;
static char stderr_path[] = "/tmp/labtasker-client-XXXXXX";

static void
catch_stderr(void)
{
	int fd = mkstemp(stderr_path);

	real_stderr = dup(2);
	dup2(fd, 2);
	close(fd);
}

/* What was said since the last call.  Owned. */
static char *
said(void)
{
	struct buf b = {0};
	struct err e = {0};

	sys_slurp(stderr_path, 1 << 20, &b, &e);
	if (ftruncate(2, 0) < 0 || lseek(2, 0, SEEK_SET))
		abort();
	buf_add(&b, "", 0);
	return b.p;
}

/* The check's own words go to the real stderr. */
#define expect(cond, ...) do { \
	bool expect_ok = (cond); \
	int expect_err = dup(2); \
	dup2(real_stderr, 2); \
	check(expect_ok, __VA_ARGS__); \
	dup2(expect_err, 2); \
	close(expect_err); \
} while (0)

static void
expect_notes(const char *name, const char *want)
{
	char *got = notes_text();

	expect(!strcmp(got, want), "%s: the server saw\n%sexpected\n%s", name, got, want);
	free(got);
}

/* ---- one call against one script ---- */

#define OK {ANSWER_IT, 200, NULL, NULL}
#define DETAIL(s) "{\"detail\":\"" s "\"}"
#define Q "1 GET ~\n"      /* client_open's first request */
#define KEY "11111111-2222-4333-8444-555555555555"

static const struct scenario {
	const char *name;
	bool ours;
	enum api api;
	const char *run;             /* Labtasker-Run, or NULL */
	int deadline;                /* seconds; 0 by class */
	struct step step[STEPS];     /* after the first, which answers client_open */
	int status;
	bool unknown;
	const char *msg;             /* part of err.msg; NULL: no error */
	const char *notes;           /* after Q */
	const char *lines;           /* part of what stderr got; NULL nothing; "*" anything */
} scenarios[] = {
	{"plain", false, API_SUBMIT, NULL, 0, {{ANSWER_IT, 201, NULL, NULL}}, 201, false, NULL, "1 POST ~/tasks {}\n", NULL},
	{"key made for ours", true, API_SUBMIT, NULL, 0, {{ANSWER_IT, 201, NULL, NULL}}, 201, false, NULL, "1 POST ~/tasks key=a {}\n", NULL},
	{"run token for ours", true, API_STATUS, KEY, 0, {OK}, 200, false, NULL, "1 POST ~/tasks/a/status run=b {}\n", NULL},
	{"no run token for strangers", false, API_STATUS, KEY, 0, {OK}, 200, false, NULL, "1 POST ~/tasks/a/status {}\n", NULL},
	{"byte by byte", false, API_TASK_GET, NULL, 0, {{DRIP, 0, NULL, NULL}}, 200, false, NULL, "1 GET ~/tasks/a {}\n", NULL},
	{"no body", false, API_TASK_DELETE, NULL, 0, {{ANSWER_IT, 204, NULL, NULL}}, 204, false, NULL, "1 DELETE ~/tasks/a {}\n", NULL},

	{"404", false, API_TASK_GET, NULL, 0, {{ANSWER_IT, 404, NULL, DETAIL("Task not found")}}, 404, false, "Task not found",
	    "1 GET ~/tasks/a {}\n", NULL},
	{"a path that is not there", false, API_TASK_GET, NULL, 0, {{ANSWER_IT, 404, NULL, DETAIL("Not Found")}}, 404, false,
	    "is it the address of a Labtasker server?",
	    "1 GET ~/tasks/a {}\n", NULL},
	{"422", false, API_SUBMIT, NULL, 0, {{ANSWER_IT, 422, NULL, "{\"detail\":[{\"loc\":[\"body\",\"args\",0],\"msg\":\"no dict\",\"input\":7},"
	    "{\"loc\":[\"query\"],\"msg\":\"odd\"}]}"}}, 422, false, "args.0: no dict; odd", "1 POST ~/tasks {}\n", NULL},
	{"400 without words", false, API_SUBMIT, NULL, 0, {{ANSWER_IT, 400, NULL, ""}}, 400, false, "answered 400 Bad Request",
	    "1 POST ~/tasks {}\n", NULL},
	{"redirect", false, API_TASK_GET, NULL, 0, {{ANSWER_IT, 307, "Location: http://there/\r\n", ""}}, 307, false, "http://there/",
	    "1 GET ~/tasks/a {}\n", NULL},
	{"no JSON", false, API_SUBMIT, NULL, 0, {{ANSWER_IT, 200, NULL, "<html>"}}, 0, true, "no JSON", "1 POST ~/tasks {}\n", NULL},
	{"no JSON, harmless", false, API_TASK_GET, NULL, 0, {{ANSWER_IT, 200, NULL, "<html>"}}, 0, false, "no JSON", "1 GET ~/tasks/a {}\n", NULL},

	{"dropped: read", false, API_TASK_GET, NULL, 0, {{DROP, 0, NULL, NULL}, OK}, 200, false, NULL,
	    "1 GET ~/tasks/a {}\n2 GET ~/tasks/a {}\n", NULL},
	{"reset: read", false, API_TASK_GET, NULL, 0, {{RESET, 0, NULL, NULL}, OK}, 200, false, NULL,
	    "1 GET ~/tasks/a {}\n2 GET ~/tasks/a {}\n", NULL},
	{"dropped: submit, ours", true, API_SUBMIT, NULL, 0, {{DROP, 0, NULL, NULL}, {DROP, 0, NULL, NULL}, {ANSWER_IT, 201, NULL, NULL}},
	    201, false, NULL, "1 POST ~/tasks key=a {}\n2 POST ~/tasks key=a {}\n3 POST ~/tasks key=a {}\n", NULL},
	{"dropped: submit, strange", false, API_SUBMIT, NULL, 0, {{DROP, 0, NULL, NULL}, OK}, 0, true, "outcome is unknown",
	    "1 POST ~/tasks {}\n", NULL},
	{"dropped: fetch, strange", false, API_FETCH, NULL, 0, {{DROP, 0, NULL, NULL}, OK}, 0, true, "outcome is unknown",
	    "1 POST ~/tasks/next {}\n", NULL},
	{"dropped: report, ours", true, API_STATUS, KEY, 0, {{DROP, 0, NULL, NULL}, OK}, 200, false, NULL,
	    "1 POST ~/tasks/a/status run=b {}\n2 POST ~/tasks/a/status run=b {}\n", NULL},
	{"dropped: report without token", true, API_STATUS, NULL, 0, {{DROP, 0, NULL, NULL}, OK}, 0, true, "outcome is unknown",
	    "1 POST ~/tasks/a/status {}\n", NULL},
	{"dropped: update, strange", false, API_TASK_UPDATE, KEY, 0, {{DROP, 0, NULL, NULL}, OK}, 0, true, "outcome is unknown",
	    "1 PUT ~/tasks {}\n", NULL},
	{"dropped: heartbeat", false, API_HEARTBEAT, NULL, 0, {{DROP, 0, NULL, NULL}, {ANSWER_IT, 204, NULL, NULL}}, 204, false, NULL,
	    "1 POST ~/tasks/a/heartbeat {}\n2 POST ~/tasks/a/heartbeat {}\n", NULL},
	{"dropped: queue, even ours", true, API_QUEUE_CREATE, NULL, 0, {{DROP, 0, NULL, NULL}, OK}, 0, true, "outcome is unknown",
	    "1 POST /api/v1/queues {}\n", NULL},
	{"dropped: worker, even ours", true, API_WORKER_CREATE, NULL, 0, {{DROP, 0, NULL, NULL}, OK}, 0, true, "outcome is unknown",
	    "1 POST ~/workers {}\n", NULL},
	{"deleted by the try that was lost", false, API_TASK_DELETE, NULL, 0, {{DROP, 0, NULL, NULL}, {ANSWER_IT, 404, NULL, DETAIL("Task not found")}},
	    204, false, NULL, "1 DELETE ~/tasks/a {}\n2 DELETE ~/tasks/a {}\n", NULL},
	{"never there", false, API_TASK_DELETE, NULL, 0, {{ANSWER_IT, 404, NULL, DETAIL("Task not found")}}, 404, false, "Task not found",
	    "1 DELETE ~/tasks/a {}\n", NULL},

	{"503, then fine: once is enough", false, API_WORKER_CREATE, NULL, 0, {{ANSWER_IT, 503, NULL, NULL}, {ANSWER_IT, 201, NULL, NULL}}, 201, false,
	    NULL, "1 POST ~/workers {}\n1 POST ~/workers {}\n", NULL},
	{"429 with a time", false, API_TASK_GET, NULL, 0, {{ANSWER_IT, 429, "Retry-After: 7\r\n", NULL}, OK}, 200, false, NULL,
	    "1 GET ~/tasks/a {}\n1 GET ~/tasks/a {}\n", "answers 429"},
	{"429 for longer than we have", false, API_TASK_GET, NULL, 5, {{ANSWER_IT, 429, "Retry-After: 7\r\n", NULL}, OK}, 429, false, "429",
	    "1 GET ~/tasks/a {}\n", NULL},
	{"500 is given three tries", false, API_TASK_GET, NULL, 0, {{ANSWER_IT, 500, NULL, NULL}, {ANSWER_IT, 500, NULL, NULL},
	    {ANSWER_IT, 500, NULL, NULL}, OK}, 500, false, "answered 500", "1 GET ~/tasks/a {}\n1 GET ~/tasks/a {}\n1 GET ~/tasks/a {}\n", NULL},
	{"500 of what cannot be repeated", false, API_SUBMIT, NULL, 0, {{ANSWER_IT, 500, NULL, NULL}, OK}, 500, true, "answered 500",
	    "1 POST ~/tasks {}\n", NULL},
	{"500 under a key", true, API_SUBMIT, NULL, 0, {{ANSWER_IT, 500, NULL, NULL}, {ANSWER_IT, 201, NULL, NULL}}, 201, false, NULL,
	    "1 POST ~/tasks key=a {}\n1 POST ~/tasks key=a {}\n", NULL},
	{"409 of a run that ended: a new key", true, API_FETCH, NULL, 0, {{DROP, 0, NULL, NULL}, {ANSWER_IT, 409, NULL, DETAIL("ended")}, OK}, 200,
	    false, NULL, "1 POST ~/tasks/next key=a {}\n2 POST ~/tasks/next key=a {}\n2 POST ~/tasks/next key=b {}\n", NULL},
	{"409 at once is an answer", true, API_FETCH, NULL, 0, {{ANSWER_IT, 409, NULL, DETAIL("ended")}, OK}, 409, false, "ended",
	    "1 POST ~/tasks/next key=a {}\n", NULL},

	{"hangs: read", false, API_TASK_GET, NULL, 0, {{HANG, 0, NULL, NULL}, OK}, 200, false, NULL,
	    "1 GET ~/tasks/a {} hang\n2 GET ~/tasks/a {}\n", "no answer for 10 s; trying again"},
	{"hangs: submit, strange", false, API_SUBMIT, NULL, 0, {{HANG, 0, NULL, NULL}, OK}, 0, true, "no answer for 10 s; the outcome is unknown",
	    "1 POST ~/tasks {} hang\n", NULL},
	{"hangs beyond the deadline", false, API_TASK_GET, NULL, 4, {{HANG, 0, NULL, NULL}, OK}, 0, false, "no answer in time",
	    "1 GET ~/tasks/a {} hang\n", NULL},
	{"hangs beyond the deadline, ours", true, API_SUBMIT, NULL, 4, {{HANG, 0, NULL, NULL}, OK}, 0, true, "the outcome is unknown",
	    "1 POST ~/tasks key=a {} hang\n", NULL},
	{"hangs three times", false, API_TASK_GET, NULL, 0, {{HANG, 0, NULL, NULL}, {HANG, 0, NULL, NULL}, {HANG, 0, NULL, NULL}, OK}, 0, false,
	    "no answer", "1 GET ~/tasks/a {} hang\n2 GET ~/tasks/a {} hang\n3 GET ~/tasks/a {} hang\n", "trying again"},

	{"says close", false, API_TASK_GET, NULL, 0, {{SAY_CLOSE, 200, NULL, NULL}}, 200, false, NULL, "1 GET ~/tasks/a {}\n", NULL},
	{"until the end of the stream", false, API_TASK_GET, NULL, 0, {{RAW, 0, NULL, "HTTP/1.1 200 OK\r\n\r\n{}"}}, 200, false, NULL,
	    "1 GET ~/tasks/a {}\n", NULL},
	{"HTTP/1.0", false, API_TASK_GET, NULL, 0, {{RAW, 0, NULL, "HTTP/1.0 404 No\r\nContent-Length: 0\r\n\r\n"}}, 404, false, "answered 404",
	    "1 GET ~/tasks/a {}\n", NULL},
	{"chunks", false, API_TASK_GET, NULL, 0, {{RAW, 0, NULL, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"}},
	    200, false, NULL, "1 GET ~/tasks/a {}\n", NULL},
	{"garbage", false, API_TASK_GET, NULL, 0, {{RAW, 0, NULL, "SSH-2.0-OpenSSH\r\n"}, OK}, 200, false, NULL,
	    "1 GET ~/tasks/a {}\n2 GET ~/tasks/a {}\n", NULL},
	{"garbage: submit", false, API_SUBMIT, NULL, 0, {{RAW, 0, NULL, "SSH-2.0-OpenSSH\r\n"}, OK}, 0, true, "speaks no HTTP", "1 POST ~/tasks {}\n", NULL},
	{"more than an answer", false, API_TASK_GET, NULL, 0, {{RAW, 0, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n"}}, 200,
	    false, NULL, "1 GET ~/tasks/a {}\n", NULL},
};

static struct conf
conf_for(int port)
{
	struct conf c = {.root = xstrdup("/nonexistent"), .file = xstrdup("/nonexistent/client.toml"), .queue = xstrdup("q"),
	    .password = xstrdup("se:cret"), .url_from = CONF_ENV};

	c.url = xprintf("http://127.0.0.1:%d", port);
	return c;
}

static void
end_conf(struct conf *c)
{
	free(c->root);
	free(c->file);
	free(c->url);
	free(c->queue);
	free(c->password);
}

static struct call *
call_for(enum api api, const char *run, int deadline)
{
	struct call *k = call_new(api);

	strcpy(k->id, "99999999-2222-4333-8444-555555555555");
	strcpy(k->run, run ? run : "");
	buf_adds(&k->body, "{}");
	k->deadline = deadline > 0 ? fake_mono() + deadline * SECOND : deadline;
	return k;
}

static void
run_scenario(const struct scenario *s)
{
	int port = 0, fd = listen_tcp(&port);
	struct step script[STEPS + 2] = {OK};
	struct conf conf = conf_for(port);
	struct client_opts opts = {.conf = &conf};
	struct err e = {0};
	struct call *k = call_for(s->api, s->run, s->deadline);
	char *text, *want;
	pid_t pid;

	memcpy(script + 1, s->step, sizeof s->step);
	pid = play(fd, s->ours, script);
	live = open_client(&opts, true, &e);
	expect(live && !e.code, "%s: open: %s", s->name, e.msg);
	if (live) {
		int rc = client_run(live, k);

		expect(k->done && k->status == s->status, "%s: status %d, not %d", s->name, k->status, s->status);
		expect(rc == (s->status >= 200 && s->status < 300 ? 0 : -1), "%s: result %d", s->name, rc);
		expect(k->unknown == s->unknown, "%s: unknown %d", s->name, k->unknown);
		expect(s->msg ? strstr(k->err.msg, s->msg) != NULL : !k->err.code, "%s: message: %s", s->name, k->err.msg);
		expect(client_ours(live) == s->ours, "%s: ours", s->name);
		expect(!live->sent.head || s->step[0].act == HANG, "%s: left over", s->name);
	}
	text = said();
	expect(s->lines ? strstr(text, s->lines) != NULL || *s->lines == '*' : !*text, "%s: stderr: %s", s->name, text);
	expect(!strstr(text, "cret") && !strstr(k->err.msg, "cret"), "%s: the password was told", s->name);
	free(text);
	client_close(live);
	live = NULL;
	want = xprintf("%s%s", Q, s->notes);
	text = notes_text();
	expect(!strcmp(text, want), "%s: the server saw\n%sexpected\n%s", s->name, text, want);
	free(text);
	free(want);
	call_free(k);
	end_conf(&conf);
	end_server(pid);
	close(fd);
}

/* A client that is open on a script; ends with close_down. */
struct stage {
	struct conf conf;
	struct client *c;
	int fd, port;
	pid_t pid;
};

static void
open_stage(struct stage *st, bool ours, const struct step *script)
{
	struct client_opts opts = {.conf = &st->conf};
	struct err e = {0};

	st->port = 0;
	st->fd = listen_tcp(&st->port);
	st->conf = conf_for(st->port);
	st->pid = play(st->fd, ours, script);
	live = st->c = open_client(&opts, true, &e);
	expect(st->c != NULL, "open: %s", e.msg);
	if (!st->c)
		exit(test_done("client"));
}

static void
close_stage(struct stage *st)
{
	char *text = said();

	expect(!*text, "stderr: %s", text);
	free(text);
	client_close(st->c);
	live = NULL;
	if (st->pid > 0)
		end_server(st->pid);
	close(st->fd);
	end_conf(&st->conf);
}

/* The answer may be cut anywhere: what is harmless is asked again, what is not ends as unknown, and nothing is believed. */
static void
cut_everywhere(void)
{
	for (int n = 0; n < 400; n++) {
		struct step script[] = {OK, {CUT, n, NULL, NULL}, OK, {CUT, n, NULL, NULL}, {END, 0, NULL, NULL}};
		struct stage st;
		struct call *k = call_for(API_TASK_GET, NULL, 0), *once = call_for(API_WORKER_CREATE, NULL, 0);
		char *text;
		int again;

		open_stage(&st, n & 1, script);
		client_run(st.c, k);
		expect(k->status == 200 && !k->err.code && !k->unknown, "cut at %d: read: %d %s", n, k->status, k->err.msg);
		text = notes_text();
		again = strstr(text, "\n2 ") != NULL;
		free(text);
		if (!again) {   /* the whole of it fits */
			call_free(k);
			call_free(once);
			close_stage(&st);
			expect(n > 100, "cut at %d: believed", n);
			return;
		}
		client_run(st.c, once);
		expect(once->status == 0 && once->unknown, "cut at %d: once: %d", n, once->status);
		expect_notes("cut", "2 POST ~/workers {}\n");
		call_free(k);
		call_free(once);
		close_stage(&st);
	}
}

/* Waits, in real time, until the other side has closed what we hold. */
static void
await_close(struct client *c)
{
	struct pollfd fd = {.fd = net_fd(c->wire.net), .events = POLLIN};

	poll(&fd, 1, 10000);
}

static void
kept_connection(void)
{
	static const struct step leave[] = {OK, {LEAVE_AFTER, 200, NULL, NULL}, OK, OK, OK, OK, {END, 0, NULL, NULL}};
	struct stage st;
	struct call *get = call_for(API_TASK_GET, NULL, 0), *once = call_for(API_WORKER_CREATE, NULL, 0);

	open_stage(&st, false, leave);
	expect(!client_run(st.c, get), "kept: %s", get->err.msg);
	await_close(st.c);
	expect(!client_run(st.c, once), "kept: closed while idle: %s", once->err.msg);
	get->deadline = once->deadline = 0;
	expect(!client_run(st.c, once), "kept: fresh: %s", once->err.msg);
	jumped += 3 * SECOND;
	once->deadline = 0;
	expect(!client_run(st.c, get) && !client_run(st.c, once), "kept: %s", get->err.msg);
	jumped += 3 * SECOND;
	expect_notes("kept", "1 GET ~\n1 GET ~/tasks/a {}\n2 POST ~/workers {}\n2 POST ~/workers {}\n2 GET ~/tasks/a {}\n2 POST ~/workers {}\n");
	call_free(get);
	call_free(once);
	close_stage(&st);
}

/* What cannot be repeated does not go out on a connection that idled. */
static void
idle_connection(void)
{
	static const struct step fine[] = {OK, OK, OK, {END, 0, NULL, NULL}};
	struct stage st;
	struct call *get = call_for(API_TASK_GET, NULL, 0), *once = call_for(API_WORKER_CREATE, NULL, 0);

	open_stage(&st, false, fine);
	jumped += 3 * SECOND;
	get->deadline = once->deadline = -1;
	expect(!client_run(st.c, get), "idle: %s", get->err.msg);
	jumped += 3 * SECOND;
	expect(!client_run(st.c, once), "idle: %s", once->err.msg);
	expect_notes("idle", "1 GET ~\n1 GET ~/tasks/a {}\n2 POST ~/workers {}\n");
	call_free(get);
	call_free(once);
	close_stage(&st);
}

/* Steps until all of the calls are done. */
static void
drive(struct client *c, struct call **k, size_t n)
{
	struct pollfd fds[CLIENT_FDS];
	int nfds = 0;

	for (;;) {
		int64_t wake = INT64_MAX;
		size_t done = 0;

		client_step(c, fds, nfds);
		for (size_t i = 0; i < n; i++)
			done += k[i]->done;
		if (done == n)
			return;
		nfds = client_fds(c, fds, &wake);
		if (fake_poll(fds, (nfds_t)nfds, sys_timeout(wake, sys_mono())) < 0)
			nfds = 0;
	}
}

/* Several at once: in order; to a server of ours without waiting, to others one by one. */
static void
several(bool ours)
{
	static const struct step hang[] = {OK, OK, {DROP, 0, NULL, NULL}, OK, OK, OK, OK, {END, 0, NULL, NULL}};
	struct call *k[4];
	struct stage st;
	char *text;

	open_stage(&st, ours, hang);
	for (int i = 0; i < 4; i++) {
		k[i] = call_for(API_TASK_GET, NULL, 0);
		sprintf(k[i]->id, "task-%d", i);
		client_send(st.c, k[i]);
	}
	client_step(st.c, NULL, 0);
	expect((st.c->sent.head->next != NULL) == ours, "several: under way");
	drive(st.c, k, 4);
	for (int i = 0; i < 4; i++)
		expect(k[i]->status == 200, "several: %d: %d %s", i, k[i]->status, k[i]->err.msg);
	text = notes_text();
	expect(!strcmp(text, "1 GET ~\n1 GET ~/tasks/task-0 {}\n1 GET ~/tasks/task-1 {}\n2 GET ~/tasks/task-1 {}\n2 GET ~/tasks/task-2 {}\n"
	    "2 GET ~/tasks/task-3 {}\n"), "several: %s", text);
	free(text);
	for (int i = 0; i < 4; i++)
		call_free(k[i]);
	close_stage(&st);
}

/* A call that is taken back leaves the others their answers. */
static void
cancelled(bool ours)
{
	static const struct step fine[] = {OK, {ANSWER_IT, 404, NULL, NULL}, OK, OK, {END, 0, NULL, NULL}};
	struct call *k[3];
	struct stage st;

	open_stage(&st, ours, fine);
	for (int i = 0; i < 3; i++) {
		k[i] = call_for(API_TASK_GET, NULL, 0);
		client_send(st.c, k[i]);
	}
	client_step(st.c, NULL, 0);
	client_cancel(st.c, k[0]);
	client_cancel(st.c, k[2]);
	call_free(k[0]);
	call_free(k[2]);
	drive(st.c, k + 1, 1);
	expect(k[1]->status == 200, "cancelled: %d", k[1]->status);
	client_cancel(st.c, k[1]);   /* done: nobody holds it */
	call_free(k[1]);
	free(notes_text());
	close_stage(&st);
}

/* A step says whether it has done a call, once: what is done at the end of a turn wakes no poll again. */
static void
done_is_said(void)
{
	static const struct step fine[] = {OK, OK, {END, 0, NULL, NULL}};
	struct call *k = call_for(API_TASK_GET, NULL, 0), *late = call_for(API_TASK_GET, NULL, 0);
	struct pollfd fds[CLIENT_FDS];
	struct stage st;
	bool said_so = false;

	open_stage(&st, true, fine);
	client_send(st.c, k);
	expect(!client_step(st.c, NULL, 0), "done is said: not when it was sent");
	while (!k->done) {
		int64_t wake = INT64_MAX;
		int n = client_fds(st.c, fds, &wake);

		fake_poll(fds, (nfds_t)n, 1000);
		said_so = client_step(st.c, fds, n);
	}
	expect(said_so && !client_step(st.c, NULL, 0), "done is said: once");
	late->deadline = fake_mono() - 1;
	client_send(st.c, late);
	expect(client_step(st.c, NULL, 0) && late->done && !late->status, "done is said: of one that is too late");
	call_free(k);
	call_free(late);
	free(notes_text());
	close_stage(&st);
}

/* The server goes away and comes back on the same port after some tries. */
static struct stage *away;
static int tries_before;
static int64_t jumped_before, longest;   /* between two tries */

static void
come_back(void)
{
	static const struct step fine[] = {OK, {END, 0, NULL, NULL}};

	if (jumped - jumped_before > longest)
		longest = jumped - jumped_before;
	jumped_before = jumped;
	if (away && away->pid < 0 && !--tries_before) {
		away->fd = listen_tcp(&away->port);
		away->pid = play(away->fd, false, fine);
	}
}

static void
server_away(int64_t haste)
{
	static const struct step fine[] = {OK, {END, 0, NULL, NULL}};
	struct stage st;
	struct call *once = call_for(API_WORKER_CREATE, NULL, -1);
	char *text;

	open_stage(&st, false, fine);
	end_server(st.pid);
	close(st.fd);
	st.pid = -1;
	await_close(st.c);
	free(notes_text());
	away = &st;
	tries_before = 12;
	jumped_before = jumped;
	longest = 0;
	client_haste(st.c, haste);
	at_jump = come_back;
	expect(!client_run(st.c, once), "away: %s", once->err.msg);
	/* poll takes whole milliseconds */
	expect(longest < haste + 1000 && longest >= haste / 2, "away: %ld us at most between tries", (long)longest);
	at_jump = NULL;
	away = NULL;
	expect_notes("away", "1 POST ~/workers {}\n");
	text = said();
	expect(strstr(text, "Connection refused; trying again\n") && strstr(text, "answers again after"), "away: %s", text);
	expect(strchr(text, '\n') && strchr(strchr(text, '\n') + 1, '\n') == text + strlen(text) - 1, "away: two lines: %s", text);
	free(text);
	call_free(once);
	close_stage(&st);
}

/* Two calls that are refused for a while: the line about it comes once. */
static void
refused_twice(void)
{
	struct step script[STEPS] = {OK};
	struct call *k[2];
	struct stage st;
	char *text;
	int i = 1;

	while (i < 17)
		script[i++] = (struct step){ANSWER_IT, 503, NULL, "{\"detail\":\"no room\"}"};
	script[i] = script[i + 1] = (struct step)OK;
	script[i + 2] = (struct step){END, 0, NULL, NULL};
	open_stage(&st, true, script);
	for (i = 0; i < 2; i++) {
		k[i] = call_for(API_TASK_GET, NULL, -1);
		client_send(st.c, k[i]);
	}
	for (i = 0; i < 2; i++) {
		while (!k[i]->done) {
			struct pollfd fds[CLIENT_FDS];
			int64_t wake = INT64_MAX;
			int n = client_fds(st.c, fds, &wake);

			if (fake_poll(fds, (nfds_t)n, sys_timeout(wake, fake_mono())) < 0)
				n = 0;
			client_step(st.c, fds, n);
		}
		expect(k[i]->status == 200, "refused twice: %d", k[i]->status);
	}
	text = said();
	expect(strstr(text, "answers 503") && !strstr(strstr(text, "answers 503") + 1, "answers 503"), "refused twice: %s", text);
	expect(strstr(text, "answers 503 Service Unavailable: no room; trying again"), "and why: %s", text);
	free(text);
	free(notes_text());
	for (i = 0; i < 2; i++)
		call_free(k[i]);
	close_stage(&st);
}

/* Nobody there at all, and what client_open says. */
static void
open_fails(void)
{
	static const struct step wrong[] = {{ANSWER_IT, 401, NULL, DETAIL("Invalid credentials")}, {END, 0, NULL, NULL}};
	int port = 0, fd = listen_tcp(&port);
	struct conf conf = conf_for(port);
	struct client_opts opts = {.conf = &conf};
	struct err e = {0};
	pid_t pid = play(fd, false, wrong);

	expect(!open_client(&opts, true, &e) && e.code == EXIT_REFUSED && strstr(e.msg, "queue q: Invalid credentials"), "401: %d %s", e.code, e.msg);
	end_server(pid);
	close(fd);
	e = (struct err){0};
	expect(!open_client(&opts, true, &e) && e.code == EXIT_REFUSED && strstr(e.msg, "does a server run there?"), "nobody: %s", e.msg);
	free(conf.password);
	conf.password = NULL;
	e = (struct err){0};
	expect(!open_client(&opts, true, &e) && e.code == EXIT_USAGE && strstr(e.msg, "LABTASKER_PASSWORD"), "no password: %d %s", e.code, e.msg);
	free(conf.url);
	conf.url = xstrdup("https://127.0.0.1:1/");
	e = (struct err){0};
	expect(!open_client(&opts, false, &e) && e.code, "https: %s", e.msg);
	free(conf.url);
	conf.url = xstrdup("gopher:nothing");
	e = (struct err){0};
	expect(!open_client(&opts, false, &e) && e.code == EXIT_USAGE, "scheme: %d %s", e.code, e.msg);
	end_conf(&conf);
	free(notes_text());
	free(said());
}

static void
notifications(void)
{
	static const struct step some[] = {OK, {ANSWER_IT, 200, NULL, "{\"notification\":[{\"type\":\"warning\",\"level\":\"low\",\"details\":\"small\"},"
	    "{\"type\":\"error\",\"level\":\"high\",\"details\":\"large\\u001b[31m\\u009b1m\"},7,{\"type\":\"warning\",\"level\":\"medium\",\"details\":{}}]}"},
	    {END, 0, NULL, NULL}};
	struct stage st;
	struct call *k = call_for(API_SUBMIT, NULL, 0);
	char *text;

	open_stage(&st, false, some);
	st.conf.notify = 1;
	expect(!client_run(st.c, k), "notification: %s", k->err.msg);
	text = said();
	expect(strstr(text, "says: large\\x1b[31m\\x9b1m\n") && !strstr(text, "small"), "notification: %s", text);
	free(text);
	call_free(k);
	free(notes_text());
	close_stage(&st);
}

/* ---- the local queue ---- */

static char root_dir[64];
static pid_t local_pid;
static int starts, start_fails;

/* What a server does to be found, as OURS 2 has it, and then one answer after another. */
static void
serve_here(const char *dir, int ready)
{
	static const struct step forever[STEPS] = {OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK};
	struct server s = {.note = ready, .ours = true, .step = forever};
	char *path = xprintf("%s/lock", dir), *json = xprintf("%s/server.json", dir);
	int port = 0, fd = listen_tcp(&port), null = open("/dev/null", O_WRONLY);
	struct buf b = {0};
	struct err e = {0};

	if (sys_lock(path, 5 * SECOND, NULL, &e) < 0)
		_exit(1);
	buf_printf(&b, "{\"version\":\"9\",\"url\":\"http://127.0.0.1:%d\",\"host\":", port);
	json_putstr(&b, str_of(sys_host()), 0);
	buf_printf(&b, ",\"pid\":%ld,\"store\":\"5a5a5a5a-0000-4000-8000-000000000001\"}\n", (long)getpid());
	if (sys_replace(json, b.p, b.len, 0600, &e) < 0)
		_exit(1);
	sys_write_all(ready, "", 1);
	close(ready);
	s.note = null;
	alarm(60);
	for (;;) {
		int c = accept(fd, NULL, NULL);

		s.step = forever;
		if (c >= 0)
			converse(&s, c, 1);
	}
}

static int
start(const char *dir, struct err *e)
{
	int fd[2];

	starts++;
	if (sys_pipe(fd) < 0)
		return err_set(e, 1, "pipe");
	local_pid = fork();
	if (!local_pid) {
		close(fd[0]);
		if (start_fails) {
			char *log = xprintf("%s/server.log", dir);
			int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

			sys_write_all(out, "labtasker: before\nlabtasker: the moon is full\n", 46);
			_exit(1);
		}
		serve_here(dir, fd[1]);
	}
	close(fd[1]);
	return fd[0];
}

static mode_t
mode_of(const char *name)
{
	char *path = xprintf("%s/r/%s", root_dir, name);
	struct stat st;
	int rc = stat(path, &st);

	free(path);
	return rc ? 0 : st.st_mode & 07777;
}

static void
put_server_json(const char *url, const char *host, long pid)
{
	char *path = xprintf("%s/r/server.json", root_dir);
	char *text = xprintf("{\"url\":\"%s\",\"host\":\"%s\",\"pid\":%ld}", url, host, pid);
	struct err e = {0};

	sys_replace(path, text, strlen(text), 0600, &e);
	free(text);
	free(path);
}

/* client_open for the local queue: what it says goes to *e. */
static struct client *
open_local(struct conf *conf, bool create, bool auth, struct err *e)
{
	struct client_opts o = {.conf = conf, .create = create, .start = start};

	*e = (struct err){0};
	return open_client(&o, auth, e);
}

static void
expect_said(const char *what, const char *part)
{
	char *text = said();

	expect(part ? strstr(text, part) != NULL : !*text, "%s: stderr: %s", what, text);
	free(text);
}

/* The whole life of .labtasker as the client sees it. */
static void
local_queue(void)
{
	struct conf conf = {0};
	struct client *c;
	struct call *k = call_for(API_SUBMIT, NULL, 0);
	struct err e;
	char *password;
	pid_t dead;

	sprintf(root_dir, "/tmp/labtasker-client-%ld", (long)getpid());
	if (mkdir(root_dir, 0700) < 0 || chdir(root_dir) < 0)
		abort();
	conf.root = xstrdup("r");
	conf.file = xstrdup("r/client.toml");
	close(notes);
	notes = -1;

	expect(!open_local(&conf, false, true, &e) && e.code == EXIT_REFUSED && strstr(e.msg, "no queue here"), "none: %s", e.msg);
	expect(access("r", F_OK), "none: made it");
	start_fails = 1;
	expect(!open_local(&conf, true, true, &e) && e.code == EXIT_REFUSED && strstr(e.msg, "started: the moon is full"), "full moon: %s", e.msg);
	while (waitpid(local_pid, NULL, 0) < 0 && errno == EINTR)
		;
	start_fails = 0;
	expect(mode_of("") == 0700 && mode_of("password") == 0600 && mode_of(".gitignore") == 0600, "modes: %o", (unsigned)mode_of(""));
	expect(conf.root[0] == '/', "root: %s", conf.root);

	starts = 0;
	c = live = open_local(&conf, false, true, &e);
	expect(c && starts == 1, "start: %s", e.msg);
	expect_said("start", "started a server for ");
	if (!c)
		return;
	expect(client_ours(c) && strlen(client_queue_id(c)) == 36, "start: %s", client_queue_id(c));
	password = xmemdup(c->locate->password.p, c->locate->password.len);
	expect(strlen(password) == PASSWORD, "password: %s", password);
	expect(!client_run(c, k), "submit: %s", k->err.msg);

	dead = local_pid;
	end_server(dead);
	k->deadline = 0;
	expect(!client_run(c, k) && starts == 2 && local_pid != dead, "again, in mid-life: %d %s", starts, k->err.msg);
	expect_said("again", "started a server for ");
	client_close(c);
	c = live = open_local(&conf, true, true, &e);
	expect(c && starts == 2 && !strcmp(c->locate->password.p, password), "found: %d %s", starts, e.msg);
	expect_said("found", NULL);
	client_close(c);
	live = NULL;
	end_server(local_pid);

	put_server_json("http://127.0.0.1:1", sys_host(), (long)getpid());   /* alive, but it holds no lock */
	c = open_local(&conf, false, true, &e);
	expect(c && starts == 3, "stale: %d %s", starts, e.msg);
	client_close(c);
	end_server(local_pid);
	put_server_json("unix:/tmp/x", "elsewhere.example", 1);
	expect(!open_local(&conf, false, true, &e) && e.code == EXIT_REFUSED && strstr(e.msg, "elsewhere.example") && starts == 3, "elsewhere: %s", e.msg);
	put_server_json("garbage", "", 1);
	c = open_local(&conf, false, true, &e);
	expect(c && starts == 4, "garbage: %d %s", starts, e.msg);
	client_close(c);
	end_server(local_pid);
	free(said());
	free(password);
	call_free(k);
	end_conf(&conf);
}

/* The pid in server.json. */
static pid_t
server_pid(const char *root)
{
	char *path = xprintf("%s/server.json", root);
	struct buf b = {0};
	struct err e = {0};
	struct json_doc *d = sys_slurp(path, 4096, &b, &e) ? NULL : json_parse(b.p, b.len, &e);
	int64_t pid = 0;

	if (d)
		json_int(json_gets(d->root, "pid"), &pid);
	json_free(d);
	buf_free(&b);
	free(path);
	return (pid_t)pid;
}

/* Eight at once: one server. */
static void
many_starters(void)
{
	enum { MANY = 8 };
	int told[2], started = 0, opened = 0;
	char *root = xprintf("%s/many", root_dir), byte;

	if (sys_pipe(told) < 0)
		abort();
	for (int i = 0; i < MANY; i++) {
		if (!fork()) {
			struct conf conf = {.root = root, .file = xstrdup("x")};
			struct err e;
			struct client *c;

			starts = 0;
			honest = true;   /* they wait for each other */
			c = open_local(&conf, true, true, &e);
			byte = (char)('0' + starts + (c ? 0 : 10));
			sys_write_all(told[1], &byte, 1);
			_exit(0);
		}
	}
	close(told[1]);
	for (int i = 0; i < MANY && sys_read(told[0], &byte, 1) == 1; i++) {
		started += (byte - '0') % 10;
		opened += byte < '0' + 10;
	}
	expect(started == 1 && opened == MANY, "many: %d servers for %d clients", started, opened);
	kill(server_pid(root), SIGKILL);
	for (int i = 0; i < MANY; i++)
		while (wait(NULL) < 0 && errno == EINTR)
			;
	close(told[0]);
	free(root);
	free(said());
}

/* What a stream brings, with a | where each begins; what has come is its last id. */
static struct buf streamed;

static void
gather(void *arg, struct str s)
{
	struct call *k = arg;

	buf_adds(&streamed, s.p ? "" : "|");
	buf_add(&streamed, s.p, s.n);
	k->last[0] = 0;
	strncat(k->last, streamed.p, sizeof k->last - 1);
}

#define CHUNKED "HTTP/1.1 200 OK\r\nLabtasker-Version: 9\r\nTransfer-Encoding: chunked\r\n\r\n"

/* Broken within a chunk and between chunks, ended, refused for a moment: begun anew each time, from the last id on. */
static void
stream(void)
{
	static const struct step script[] = {
		OK, {RAW, 0, NULL, CHUNKED "2\r\nab\r\n9\r\nc"}, {RAW, 0, NULL, CHUNKED "1\r\nd\r\n"}, {RAW, 0, NULL, CHUNKED "0\r\n\r\n"},
		{ANSWER_IT, 503, NULL, NULL}, {RAW, 0, NULL, "HTTP/1.1 200 OK\r\n\r\nto the end"}, {ANSWER_IT, 401, NULL, DETAIL("no more")},
		{END, 0, NULL, NULL}
	};
	struct stage st;
	struct call *k = call_new(API_EVENTS);

	open_stage(&st, true, script);
	k->sink = gather;
	k->arg = k;
	k->deadline = fake_mono() + SECOND;
	expect(client_run(st.c, k) < 0 && k->status == 401 && !k->unknown, "stream: ends only by a refusal: %d %s", k->status, k->err.msg);
	expect(streamed.p && !strcmp(streamed.p, "|abc|d||to the end"), "stream: what came: %s", streamed.p ? streamed.p : "nothing");
	buf_free(&streamed);
	expect_notes("stream", Q "1 GET ~/events\n2 GET ~/events last=|abc\n3 GET ~/events last=|abc|d\n4 GET ~/events last=|abc|d|\n"
	    "4 GET ~/events last=|abc|d|\n5 GET ~/events\n");
	call_free(k);
	free(said());   /* pauses are chance: it may have told of the 503 */
	close_stage(&st);
}

static void
remove_root(void)
{
	pid_t pid = fork();

	if (!pid) {
		execlp("rm", "rm", "-rf", root_dir, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	catch_stderr();
	for (size_t i = 0; i < LEN(scenarios); i++)
		run_scenario(&scenarios[i]);
	cut_everywhere();
	kept_connection();
	idle_connection();
	several(false);
	several(true);
	cancelled(false);
	cancelled(true);
	done_is_said();
	server_away(5 * SECOND);
	server_away(SECOND);
	server_away(SECOND / 3);
	refused_twice();
	open_fails();
	notifications();
	stream();
	local_queue();
	many_starters();
	remove_root();
	dup2(real_stderr, 2);
	unlink(stderr_path);
	buf_free(&noted);
	if (notes >= 0)
		close(notes);
	return test_done("client");
}
