/* SPDX-License-Identifier: MIT */
/*
 * What the worker makes of answers (OURS 5), as a table: a server that says what a row wants, and for each row a loop of its own, many
 * at once.  A row names the answers to each kind of call in their order, the last for ever; then the calls that must have come, how
 * the loop ended, what it said and what it left.  The server tells rows apart by the path before /api.
 *
 *   answers    a status; 429:1 with Retry-After; mine, other, nobody, ended: a task as it is then; task, late (0.1 s), lasting (a
 *              lease of 1e300 s), none; active, suspended: a worker; cut, half: the connection ends before, within the answer; junk;
 *              text: no JSON; hang
 *   calls      F fetch, R report, S report without summary, P update, L look at the task, W at the worker, T search; B heartbeat, b one
 *              without worker
 * ROW=N in the environment: that row alone; an argument: the slow ones too.
 */
#define _XOPEN_SOURCE 600
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ME "11111111-1111-4111-8111-111111111111"
#define OTHER "22222222-2222-4222-8222-222222222222"
#define OURS "Labtasker-Version: 9.9.9\r\nLabtasker-Store: " OTHER "\r\n"

enum { AT_ONCE = 6, CONNS = 64, LATE = 100, PATIENCE = 60 };

static const struct row {
	const char *name, *options, *job;
	bool theirs;                       /* the server does not announce itself as ours */
	const char *fetch, *beat, *look, *report, *update, *worker;   /* answers; NULL: the usual ones */
	const char *calls;                 /* all but heartbeats, in order; +: the last again, after a heartbeat, where we are slow */
	int rc, least, most;               /* exit status; heartbeats; most 0: any number, -1: none */
	const char *err, *left;            /* in what it printed; in the run's status.json */
	const char *body;                  /* in the last report or update */
	const char *together;              /* calls that come in one read */
	const char *term;                  /* at the second of this call it gets TERM */
	int pause;                         /* ms at least between the first two reports */
	bool slow;                         /* in make check only */
	bool newborn;                      /* it makes a worker: then it gets TERM, and no answer */
	bool deaf;                         /* it is begun with all signals blocked, and SIGCHLD ignored */
} rows[] = {
#define ONE "--once"
#define LONG "sleep 30"
#define SHORT "true"
#define FAIL "exit 7"
#define BEATS "sleep 1"
#define FINISH "cd \"$LABTASKER_LOG_DIR\"; echo '{\"a\":1}' >summary.json; echo '{\"status\":\"success\"}' >status.json; exit 7"
	/* ---- heartbeats ---- */
	{"heartbeats keep a lease", ONE, BEATS, .calls = "FR", .least = 2},
	{"409: given to another", ONE, LONG, .beat = "204 409", .calls = "F", .least = 2, .most = 2, .err = "given to another"},
	{"403, another's", ONE, LONG, .beat = "403", .look = "other", .calls = "FL+", .least = 1, .most = 1, .err = "cancelled or given"},
	{"403, another's, their server", ONE, LONG, true, .beat = "403", .look = "other", .calls = "FL+", .least = 1, .most = 1},
	{"403, nobody's", ONE, LONG, .beat = "403", .look = "nobody", .calls = "FL+", .least = 1, .most = 1},
	{"404, cancelled", ONE, LONG, .beat = "404", .look = "ended", .calls = "FL+", .least = 1, .most = 1},
	{"404, deleted", ONE, LONG, .beat = "404", .look = "404", .calls = "FL+", .least = 1, .most = 1, .err = "was deleted"},
	{"403, ours: the worker is suspended", "", BEATS, .fetch = "task", .beat = "403 204", .look = "mine", .calls = "FLR", .rc = 3,
	    .least = 2, .together = "b", .err = "was suspended"},
	{"404, ours", "", BEATS, true, .fetch = "task", .beat = "404 204", .look = "mine", .calls = "FLR", .rc = 3, .together = "b"},
	{"403, and the look fails: it goes on", ONE, LONG, .beat = "403", .look = "400 other", .calls = "FLL", .least = 2, .most = 2},
	{"--keep-lost", "--once --keep-lost", "sleep 1; echo to the end", .beat = "409", .calls = "F", .least = 1, .most = 1,
	    .err = "to the end"},
	{"a job that minds no TERM", "--once --grace 0.3", "trap '' TERM; sleep 30 & wait; sleep 30", .beat = "409", .calls = "F"},
	{"the next task after a lost one", "", "[ -e 1 ] || { : >1; sleep 30; }", .fetch = "task task none", .beat = "409 204",
	    .calls = "FFRFF"},
	{"500", ONE, BEATS, .beat = "500", .calls = "FR", .least = 2},
	{"503", ONE, BEATS, .beat = "503", .calls = "FR", .least = 2},
	{"429", ONE, BEATS, .beat = "429:1", .calls = "FR", .least = 1},
	{"401", ONE, BEATS, .beat = "401", .calls = "FR", .least = 2},
	{"400", ONE, BEATS, .beat = "400", .calls = "FR", .least = 2},
	{"422", ONE, BEATS, .beat = "422", .calls = "FR", .least = 2},
	{"cut", ONE, BEATS, .beat = "cut", .calls = "FR", .least = 2},
	{"half an answer", ONE, BEATS, .beat = "half", .calls = "FR", .least = 2},
	{"junk", ONE, BEATS, .beat = "junk", .calls = "FR", .least = 2},
	{"no JSON", ONE, BEATS, .beat = "text", .calls = "FR", .least = 2},
	{"no answer", ONE, BEATS, .beat = "hang", .calls = "FR", .least = 1, .slow = true},
	{"trouble, then 409", ONE, LONG, .beat = "503 cut 409", .calls = "F", .least = 3, .most = 3, .err = "given to another"},
	{"heartbeat.lock is taken away", ONE, "rm \"$LABTASKER_LOG_DIR\"/heartbeat.lock; sleep 0.5", .calls = "FR", .most = -1},
	{"its directory cannot be looked at for a while", ONE, "d=$LABTASKER_LOG_DIR; mv \"$d\" \"$d.x\"; ln -s \"$d\" \"$d\"; sleep 1; rm \"$d\"; "
	    "mv \"$d.x\" \"$d\"", .calls = "FR", .least = 2, .left = "success"},
	{"begun with all signals blocked, and SIGCHLD ignored", ONE, BEATS, .calls = "FR", .least = 2, .deaf = true},
	{"so TERM ends it", "", LONG, .calls = "*", .rc = 143, .term = "B", .deaf = true},
	{"late tasks of -j: one round", "-j 3", "sleep 1.5", .fetch = "task late late none", .calls = "*", .together = "BBB"},

	/* ---- reports ---- */
	{"200", ONE, SHORT, .calls = "FR", .body = "\"success\"", .left = "success"},
	{"a failure", ONE, FAIL, .calls = "FR", .body = "exit code: 7", .left = "failed"},
	{"report and fetch together", "", SHORT, .calls = "FRFF", .together = "RF"},
	{"one by one to their server", "", SHORT, true, .calls = "FRF"},
	{"400: the worker is suspended", "", FAIL, .fetch = "task 403", .report = "400", .worker = "suspended", .calls = "FRFWP", .rc = 3,
	    .body = "\"retries\":1"},
	{"400: suspended, their server", "", FAIL, true, .fetch = "task", .report = "400", .worker = "suspended", .calls = "FRWP", .rc = 3,
	    .body = "\"pending\""},
	{"400 for any other reason", ONE, FAIL, .report = "400 200", .worker = "active", .calls = "FRWS", .body = "\"summary\":{}"},
	{"400 of a success", ONE, SHORT, .report = "400 200", .calls = "FRS"},
	{"400 without the summary too", ONE, SHORT, .report = "400", .calls = "FRS", .left = "\"reported\": false", .err = "not taken"},
	{"413", ONE, SHORT, .report = "413 200", .calls = "FRS"},
	{"422", ONE, FAIL, .report = "422", .calls = "FRS", .left = "\"reported\": false", .err = "it stays in"},
	{"404", ONE, SHORT, .report = "404", .calls = "FR", .left = "\"reported\": false", .err = "not taken"},
	{"409", ONE, FAIL, .report = "409", .calls = "FR", .left = "\"reported\": false", .err = "not taken: the task was cancelled, timed out"},
	{"409, their server", ONE, FAIL, true, .report = "409", .calls = "FR", .left = "\"reported\": false"},
	{"500", ONE, SHORT, .report = "500 500 500 500 200", .calls = "FRRRRR", .left = "success"},
	{"503", ONE, SHORT, .report = "503 503 200", .calls = "FRRR"},
	{"503 for longer, with heartbeats", ONE, SHORT, .report = "503:1 200", .calls = "FRR", .pause = 900, .least = 2},
	{"429 with Retry-After", ONE, SHORT, .report = "429:1 200", .calls = "FRR", .pause = 900},
	{"429, their server", ONE, SHORT, true, .report = "429 200", .calls = "FRR"},
	{"cut", ONE, SHORT, .report = "cut cut 200", .calls = "FRRR"},
	{"cut, their server: it had arrived", ONE, SHORT, true, .report = "cut", .look = "ended", .calls = "FRL"},
	{"cut, their server: it had not", ONE, SHORT, true, .report = "cut 200", .look = "mine", .calls = "FRLR"},
	{"half an answer", ONE, SHORT, .report = "half 200", .calls = "FRR"},
	{"junk", ONE, SHORT, .report = "junk 200", .calls = "FRR"},
	{"500, their server", ONE, SHORT, true, .report = "500 200", .look = "mine", .calls = "FRLR"},
	{"502, their server: it had arrived", ONE, SHORT, true, .report = "502", .look = "ended", .calls = "FRL"},
	{"no answer", ONE, SHORT, .report = "hang 200", .calls = "FRR", .slow = true},
	{"401 for a moment", ONE, SHORT, .report = "401 200", .calls = "FRR"},
	{"401 under a lease beyond reckoning", ONE, SHORT, .fetch = "lasting", .report = "401 200", .calls = "FRR"},
	{"401 beyond the lease", ONE, SHORT, .beat = "401", .report = "401", .calls = "*", .left = "\"reported\": false",
	    .err = "the lease is over"},
	{"TERM while nobody answers", "--grace 0.5", SHORT, .report = "503", .calls = "*", .rc = 143, .term = "R", .err = "left to its lease"},
	{"finish", ONE, FINISH, .calls = "FLR", .body = "\"summary\":{\"a\":1}"},
	{"finish, and the job has told the server itself", ONE, FINISH, .look = "ended", .calls = "FL", .left = "success"},
	{"finish, and it was between look and report", ONE, FINISH, .report = "409", .calls = "FLR", .left = "{\"status\":\"success\"}"},

	/* ---- hand-backs, and failures for good ---- */
	{"a hand-back", "--requeue-exit 7 --max-failures 1", FAIL, .calls = "FP", .rc = 4, .body = "\"pending\""},
	{"a hand-back, their server", "--requeue-exit 7 --max-failures 1", FAIL, true, .look = "mine", .calls = "FLP", .rc = 4,
	    .body = "\"pending\""},
	{"of a task that is no longer ours", "--requeue-exit 7 --max-failures 1", FAIL, true, .look = "other", .calls = "FL", .rc = 4},
	{"409", "--requeue-exit 7 --max-failures 1", FAIL, .update = "409", .calls = "FP", .rc = 4, .err = "did not take it back"},
	{"503", "--requeue-exit 7 --max-failures 1", FAIL, .update = "503 200", .calls = "FPP", .rc = 4},
	{"cut", "--requeue-exit 7 --max-failures 1", FAIL, .update = "cut 200", .calls = "FPP", .rc = 4},
	{"cut, their server", "--requeue-exit 7 --max-failures 1", FAIL, true, .look = "mine nobody", .update = "cut", .calls = "FLPL", .rc = 4},
	{"TERM, and nobody takes it back", "--grace 0.5", LONG, .update = "503", .calls = "*", .rc = 143, .term = "B",
	    .err = "left to its lease", .slow = true},
	{"--on-failure ignore", "--on-failure ignore --max-failures 1", FAIL, .calls = "FP", .rc = 4, .body = "\"pending\""},
	{"--fail-exit", "--once --fail-exit 7", FAIL, .calls = "FP", .body = "\"retries\":3"},

	/* ---- fetches ---- */
	{"403", "", SHORT, .fetch = "403", .calls = "F", .rc = 3, .err = "may fetch no more"},
	{"404", "", SHORT, .fetch = "404", .calls = "F", .rc = 1},
	{"400", "", SHORT, .fetch = "400", .calls = "F", .rc = 2},
	{"401", "", SHORT, .fetch = "401", .calls = "F", .rc = 1},
	{"503", "", SHORT, .fetch = "503 none", .calls = "FFT", .err = "some are pending: `labtasker explain`"},
	{"500", "", SHORT, .fetch = "500 none", .calls = "FFT", .err = "some are pending: `labtasker explain`"},
	{"--wait=IDLE ends with a last look, their server", "--wait=0.3", SHORT, true, .fetch = "none", .calls = "FFT"},
	{"cut", ONE, SHORT, .fetch = "cut task", .calls = "FFR"},
	{"cut, their server: what it took goes back", "", SHORT, true, .fetch = "cut none", .calls = "FTPFT", .body = "\"pending\""},
	{"502, their server: what it took goes back", "", SHORT, true, .fetch = "502 none", .calls = "FTPFT", .body = "\"pending\""},
	{"500 again and again, their server", "", SHORT, true, .fetch = "500", .calls = "FTPFTPFTPFTPFTPFTPF", .rc = 1,
	    .err = "loop: as scripted", .slow = true},
	{"TERM while its worker is made, and no answer comes", "", SHORT, .calls = "", .rc = 1000 + SIGTERM, .newborn = true},
	{"a run that has ended meanwhile", ONE, SHORT, .fetch = "cut 409 task", .calls = "FFFR"},
};

/* ---- a row's state ---- */

static struct run {
	pid_t pid;                         /* 0: not begun, or over */
	bool over;
	int status;
	char dir[300], log[4000], body[8000];
	int count[7];                      /* calls of each kind */
	int tasks;
	int64_t begun, report[2];   /* mono */
} runs[LEN(rows)];

static struct conn {
	int fd;                            /* -1: free */
	char in[64 << 10];
	size_t len;
	bool fresh;                        /* nothing of the last read was looked at */
	int64_t held;                      /* mono: a late answer, not before */
	bool hung;
} conns[CONNS];

static char base[256];
static int port;

/* ---- answers ---- */

static void
put(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		return;
}

static void
answer(int fd, const struct row *row, int status, const char *after, const char *body)
{
	char head[400];

	snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%s%s%s%sContent-Length: %d\r\n\r\n", status,
	    after ? "Retry-After: " : "", after ? after : "", after ? "\r\n" : "",
	    row->theirs ? "" : OURS, (int)strlen(body));
	put(fd, head);
	put(fd, body);
}

/* The n-th word of a list, or its last. */
static void
word(const char *list, int n, char out[40])
{
	while (n-- > 0 && strchr(list, ' '))
		list = strchr(list, ' ') + 1;
	snprintf(out, 40, "%.*s", (int)strcspn(list, " "), list);
}

/* lease: the fetched task's; NULL: it is looked at. */
static void
put_task(char *out, size_t n, const char *id, const char *status, const char *worker, const char *lease)
{
	snprintf(out, n, "%s{\"task_id\":\"%s\",\"queue_id\":\"" OTHER "\",\"status\":\"%s\",\"task_name\":null,\"heartbeat_timeout\":%s,"
	    "\"task_timeout\":null,\"max_retries\":3,\"retries\":0,\"priority\":10,\"metadata\":{},\"args\":{\"n\":1},\"cmd\":\"\","
	    "\"summary\":{},\"worker_id\":%s}%s", lease ? "{\"found\":true,\"task\":" : "", id, status, lease ? lease : "0.6", worker,
	    lease ? "}" : "");
}

enum what { NEXT, HELD, CLOSE };

/* Answers one call with a word. */
static enum what
reply(struct conn *c, const struct row *row, struct run *run, const char *w, const char *id)
{
	static const struct {
		const char *word, *status, *worker;
	} looks[] = {{"mine", "running", "\"" ME "\""}, {"other", "running", "\"" OTHER "\""}, {"nobody", "pending", "null"},
	    {"ended", "success", "null"}};
	char body[1000], task[40];
	const char *colon = strchr(w, ':');
	int status = atoi(w);

	for (size_t i = 0; i < LEN(looks); i++) {
		if (!strcmp(w, looks[i].word)) {
			put_task(body, sizeof body, id, looks[i].status, looks[i].worker, NULL);
			answer(c->fd, row, 200, NULL, body);
			return NEXT;
		}
	}
	if (!strcmp(w, "task") || !strcmp(w, "late") || !strcmp(w, "lasting")) {
		snprintf(task, sizeof task, "33333333-3333-4333-8333-%012d", ++run->tasks);
		put_task(body, sizeof body, task, "running", "\"" ME "\"", !strcmp(w, "lasting") ? "1e300" : "0.6");
		answer(c->fd, row, 200, NULL, body);
	} else if (!strcmp(w, "none")) {
		answer(c->fd, row, 200, NULL, "{\"found\":false,\"task\":null}");
	} else if (!strcmp(w, "active") || !strcmp(w, "suspended")) {
		snprintf(body, sizeof body, "{\"_id\":\"" ME "\",\"status\":\"%s\"}", w);
		answer(c->fd, row, 200, NULL, body);
	} else if (!strcmp(w, "text")) {
		answer(c->fd, row, 200, NULL, "{hello");
	} else if (!strcmp(w, "half")) {
		put(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n");
		put(c->fd, row->theirs ? "\r\n{" : OURS "\r\n{");
		return CLOSE;
	} else if (!strcmp(w, "junk")) {
		put(c->fd, "hello\r\n\r\nthis is no HTTP\r\n");
		return CLOSE;
	} else if (!strcmp(w, "cut")) {
		return CLOSE;
	} else if (!strcmp(w, "hang")) {
		c->hung = true;
	} else {
		answer(c->fd, row, status, colon ? colon + 1 : NULL, status == 204 ? "" : status == 200 ? "null" : "{\"detail\":\"as scripted\"}");
	}
	return NEXT;
}

/* ---- requests ---- */

static void
note(struct run *run, char call)
{
	size_t n = strlen(run->log);

	if (n + 2 < sizeof run->log) {
		run->log[n] = call;
		run->log[n + 1] = 0;
	}
}

/* What a request is: its letter, and the place of its answers.  0: none of those that are scripted. */
static char
classify(const char *method, const char *path, const char *body, int *kind)
{
	const char *me = strstr(path, "/queues/me"), *rest = me ? me + 10 : "";
	bool post = !strcmp(method, "POST"), bare = strstr(body, "\"summary\":{}");

	*kind = 0;
	if (post && !strcmp(rest, "/tasks/next"))
		return 'F';
	*kind = 1;
	if (post && strstr(rest, "/heartbeat"))
		return strstr(rest, "worker_id=" ME) ? 'B' : 'b';
	*kind = 2;
	if (!strcmp(method, "GET") && !strncmp(rest, "/tasks/", 7))
		return 'L';
	*kind = 3;
	if (post && strstr(rest, "/status"))
		return bare ? 'S' : 'R';
	*kind = 4;
	if (!strcmp(method, "PUT"))
		return 'P';
	*kind = 5;
	if (!strcmp(method, "GET") && !strncmp(rest, "/workers/", 9))
		return 'W';
	*kind = 6;
	return post && !strcmp(rest, "/tasks/search") ? 'T' : 0;
}

static enum what
serve(struct conn *c, const char *method, const char *path, const char *body)
{
	int n = atoi(path + 1), kind;
	const struct row *row;
	struct run *run;
	char call, w[40], id[40], search[1200], task[1000];
	const char *at = strstr(path, "/tasks/");

	if (n < 0 || n >= (int)LEN(rows))
		return CLOSE;
	row = &rows[n];
	run = &runs[n];
	const char *const lists[] = {row->fetch ? row->fetch : "task none", row->beat ? row->beat : "204", row->look ? row->look : "mine",
	    row->report ? row->report : "200", row->update ? row->update : "200", row->worker ? row->worker : "active", "200"};
	call = classify(method, path, body, &kind);
	if (!call && row->newborn && !strcmp(method, "POST")) {
		kill(run->pid, SIGTERM);
		c->hung = true;
		return NEXT;
	}
	if (!call) {
		answer(c->fd, row, 200, NULL, "{\"queue_id\":\"" OTHER "\",\"queue_name\":\"q\"}");
		return NEXT;
	}
	word(lists[kind], run->count[kind], w);
	if (!strcmp(w, "late") && !c->held) {
		c->held = sys_mono() + LATE * 1000;
		return HELD;
	}
	c->held = 0;
	if (c->fresh)
		note(run, '|');
	c->fresh = false;
	note(run, call);
	if (strchr("RSP", call))
		snprintf(run->body, sizeof run->body, "%s", body);
	if (call == 'R' && run->count[kind] < 2)
		run->report[run->count[kind]] = sys_mono();
	if (row->term && call == *row->term && run->count[kind] == 1)
		kill(run->pid, SIGTERM);
	run->count[kind]++;
	if (call == 'T') {
		put_task(task, sizeof task, "33333333-3333-4333-8333-000000000099", "running", "\"" ME "\"", NULL);
		snprintf(search, sizeof search, "{\"found\":true,\"content\":[%s]}", task);
		answer(c->fd, row, 200, NULL, search);
		return NEXT;
	}
	snprintf(id, sizeof id, "%.36s", at ? at + 7 : "");
	return reply(c, row, run, w, id);
}

/* Serves what is whole of what was read. */
static enum what
serve_all(struct conn *c)
{
	char *end, method[8], path[300], body[8000];

	while (!c->hung && sys_mono() >= c->held && (end = strstr(c->in, "\r\n\r\n"))) {
		const char *length = strstr(c->in, "Content-Length: ");
		size_t n = length && length < end ? (size_t)atoi(length + 16) : 0, whole = (size_t)(end - c->in) + 4 + n;
		enum what what;

		if (c->len < whole || n >= sizeof body || sscanf(c->in, "%7s %299s", method, path) != 2)
			break;
		memcpy(body, end + 4, n);
		body[n] = 0;
		what = serve(c, method, path, body);
		if (what != NEXT)
			return what;
		memmove(c->in, c->in + whole, c->len - whole + 1);
		c->len -= whole;
	}
	return NEXT;
}

static void
shut(struct conn *c)
{
	close(c->fd);
	c->fd = -1;
}

static void
hear(struct conn *c)
{
	ssize_t n = read(c->fd, c->in + c->len, sizeof c->in - 1 - c->len);

	if (n <= 0) {
		shut(c);
		return;
	}
	c->len += (size_t)n;
	c->in[c->len] = 0;
	c->fresh = true;
}

static void
welcome(int fd)
{
	int new = accept(fd, NULL, NULL);

	for (size_t i = 0; new >= 0 && i < CONNS; i++) {
		if (conns[i].fd >= 0)
			continue;
		memset(&conns[i], 0, sizeof conns[i]);
		conns[i].fd = new;
		sys_cloexec(new);   /* else a loop would keep open what is cut */
		return;
	}
	if (new >= 0)
		close(new);
}

static void
turn(int fd)
{
	struct pollfd fds[CONNS + 1] = {{.fd = fd, .events = POLLIN}};

	for (size_t i = 0; i < CONNS; i++)
		fds[i + 1] = (struct pollfd){.fd = conns[i].fd, .events = POLLIN};
	if (poll(fds, CONNS + 1, 20) < 0)
		return;
	if (fds[0].revents)
		welcome(fd);
	for (size_t i = 0; i < CONNS; i++) {
		if (fds[i + 1].revents)
			hear(&conns[i]);
		if (conns[i].fd >= 0 && conns[i].len && serve_all(&conns[i]) == CLOSE)
			shut(&conns[i]);
	}
}

/* ---- loops ---- */

static void
become_loop(const struct row *row, int n, const char *dir, const char *lt)
{
	char url[80], options[200], *w;
	const char *argv[24];
	int argc = 0, fd;
	sigset_t all;

	snprintf(url, sizeof url, "http://127.0.0.1:%d/%d", port, n);
	setenv("LABTASKER_API_BASE_URL", url, 1);
	setenv("LABTASKER_QUEUE_NAME", "q", 1);
	setenv("LABTASKER_PASSWORD", "p", 1);
	fd = chdir(dir) < 0 ? -1 : open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || !freopen("/dev/null", "r", stdin))
		_exit(126);
	argv[argc++] = lt;
	argv[argc++] = "loop";
	if (!row->newborn) {
		argv[argc++] = "--worker-id";
		argv[argc++] = ME;
	}
	snprintf(options, sizeof options, "%s", row->options);
	for (w = strtok(options, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc++] = "--";
	argv[argc++] = "sh";
	argv[argc++] = "-c";
	argv[argc++] = row->job;
	argv[argc++] = "%(n)";
	argv[argc] = NULL;
	if (row->deaf) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		signal(SIGCHLD, SIG_IGN);
	}
	execv(lt, (char *const *)argv);
	_exit(127);
}

static void
begin(int n, const char *lt)
{
	struct run *r = &runs[n];

	snprintf(r->dir, sizeof r->dir, "%s/%d", base, n);
	mkdir(r->dir, 0700);
	r->begun = sys_mono();
	r->pid = fork();
	if (!r->pid)
		become_loop(&rows[n], n, r->dir, lt);
}

/* Takes note of loops that have ended; how many are under way. */
static int
reap(void)
{
	int n = 0;

	for (size_t i = 0; i < LEN(rows); i++) {
		struct run *r = &runs[i];

		if (r->pid <= 0 || r->over)
			continue;
		if (sys_mono() - r->begun > (int64_t)PATIENCE * 1000000)
			kill(r->pid, SIGKILL);
		r->over = waitpid(r->pid, &r->status, WNOHANG) == r->pid;
		n += !r->over;
	}
	return n;
}

/* ---- what came of it ---- */

static void
load(const char *path, char *out, size_t n)
{
	FILE *f = fopen(path, "r");
	size_t got = f ? fread(out, 1, n - 1, f) : 0;

	out[got] = 0;
	if (f)
		fclose(f);
}

/* The status.json of the one run. */
static void
load_left(const char *dir, char *out, size_t n)
{
	char path[700];
	DIR *d;
	struct dirent *e;

	*out = 0;
	snprintf(path, sizeof path, "%s/.labtasker/logs/run", dir);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (*e->d_name == '.')
			continue;
		snprintf(path, sizeof path, "%s/.labtasker/logs/run/%.200s/status.json", dir, e->d_name);
		load(path, out, n);
	}
	if (d)
		closedir(d);
}

/* Whether the calls are those; how often the last came again where it may. */
static bool
as_expected(const char *calls, const char *want, int *again)
{
	size_t n = strcspn(want, "+");

	*again = 0;
	if (*want == '*')
		return true;
	if (strncmp(calls, want, n))
		return false;
	while (want[n] && calls[n + (size_t)*again] == want[n - 1])
		++*again;
	return !calls[n + (size_t)*again];
}

static void
judge(int n)
{
	const struct row *w = &rows[n];
	struct run *r = &runs[n];
	char calls[4000] = "", out[8000], left[400], path[400];
	int beats = 0, again, rc = WIFEXITED(r->status) ? WEXITSTATUS(r->status) : 1000 + WTERMSIG(r->status), fails = test_failed;

	for (const char *p = r->log; *p; p++) {
		beats += *p == 'B' || *p == 'b';
		if (!strchr("Bb|", *p))
			snprintf(calls + strlen(calls), 2, "%c", *p);
	}
	snprintf(path, sizeof path, "%s/out", r->dir);
	load(path, out, sizeof out);
	load_left(r->dir, left, sizeof left);
	check(rc == w->rc, "%d %s: it ended with %d, expected %d", n, w->name, rc, w->rc);
	check(as_expected(calls, w->calls, &again), "%d %s: calls %s, expected %s", n, w->name, calls, w->calls);
	check(beats >= w->least && (!w->most || beats <= (w->most < 0 ? 0 : w->most + again)), "%d %s: %d heartbeats, expected %d to %d", n,
	    w->name, beats, w->least, w->most);
	check(!w->err || strstr(out, w->err), "%d %s: it did not say: %s", n, w->name, w->err);
	check(!w->left || strstr(left, w->left), "%d %s: status.json is %s, expected %s", n, w->name, left, w->left);
	check(!w->body || strstr(r->body, w->body), "%d %s: the last body is %s, expected %s", n, w->name, r->body, w->body);
	check(!w->together || strstr(r->log, w->together), "%d %s: no %s", n, w->name, w->together);
	check(r->report[1] - r->report[0] >= w->pause * (int64_t)1000 || !w->pause, "%d %s: too soon again", n, w->name);
	for (const char *p = r->log; w->theirs && *p; p++)
		check(*p == '|' || p[1] == '|' || !p[1], "%d %s: two calls at once", n, w->name);
	if (test_failed > fails)
		fprintf(stderr, "calls %s\n%s\n", r->log, out);
}

int
main(int argc, char **argv)
{
	const char *lt = getenv("LABTASKER"), *tmp = getenv("TMPDIR"), *only = getenv("ROW");
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0), next = 0;
	char command[400];

	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	snprintf(base, sizeof base, "%s/answers.%ld", tmp ? tmp : "/tmp", (long)getpid());
	if (!lt || mkdir(base, 0700) < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 64) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
		fprintf(stderr, "answers: no binary in LABTASKER, or no server: %s\n", strerror(errno));
		return 1;
	}
	port = ntohs(a.sin_port);
	sys_cloexec(fd);
	for (size_t i = 0; i < CONNS; i++)
		conns[i].fd = -1;
	for (;;) {
		int busy = reap();

		while (next < (int)LEN(rows) && ((rows[next].slow && argc < 2) || (only && atoi(only) != next)))
			next++;
		if (next < (int)LEN(rows) && busy < AT_ONCE) {
			begin(next++, lt);
			continue;
		}
		if (!busy)
			break;
		turn(fd);
	}
	for (size_t i = 0; i < LEN(rows); i++)
		if (runs[i].over)
			judge((int)i);
	snprintf(command, sizeof command, "rm -rf '%s'", base);
	check(!system(command), "%s is left", base);
	return test_done("answers");
}
