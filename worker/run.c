/* SPDX-License-Identifier: MIT */
/*
 * One task from its fetch to its report (OURS 5).  A run is a job with heartbeats, then a row of calls that end it: at any time at
 * most one of those calls is under way, and `state` says which.  What is reported is decided once, when the job has ended:
 *
 *   it called finish              what that says; first a look whether it has told the server itself (the reference's finish())
 *   the task was lost             nothing
 *   it wrote a result (--pipe)    that, but no failure after we had told it to end; a job for many tasks lives on then
 *   its --time-limit was over     failed
 *   we had told it to end         handed back; but after the warning signal alone, exit status 0 is success
 *   exit status of --requeue-exit handed back
 *   exit status of --fail-exit    failed for good: no retries are left
 *   else                          its exit status; a failure may be asked about first
 *
 * The same report twice is harmless under a run token.  A server that keeps no tokens is looked at before anything is said again.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	TAIL = 4096,              /* of the output, kept as traceback */
	FINISH_MAX = 16 << 20,    /* of summary.json */
	PAUSE = 100 * 1000, PAUSE_MAX = 10 * 1000000,   /* between tries that the client does not repeat by itself */
	LINE_MAX_KEPT = 64 << 10, /* of a line that waits for its end */
	LATE = 3,                 /* seconds at least for what is told at the end, however much of the grace the job took */
	DOUBT = 300 * 1000        /* microseconds in which a signal to all processes reaches us too, also on a busy machine */
};

static const double LEASE_MAX = 4e12;   /* seconds: what is more cannot be reckoned in microseconds */

enum state { JOB, ASK, LOOK, REPORT, BARE, WORKER, AMEND, BACK, OVER, STATES };
enum want { NOTHING, SUCCESS, FAILED, CANCELLED, PENDING };
static const char elsewhere[] = "the task was cancelled, timed out, or was given to another";   /* what a 409 means */
static const char *const words[] = {[NOTHING] = NULL, [SUCCESS] = "success", [FAILED] = "failed", [CANCELLED] = "cancelled",
    [PENDING] = "pending"};

struct run {
	const struct run_env *env;
	struct json_doc *doc;     /* the fetch's answer */
	const struct json *task;
	const char *id;
	char token[40];           /* "": it runs under none */
	int64_t retries;          /* before this run */
	struct rundir dir;
	struct job *job;          /* NULL before it starts and when it has ended */
	struct pipe *pipe;        /* whose job it is; NULL: it is ours alone */
	enum want told;           /* by its result; the summary is in made */
	char *broke;              /* what came instead of a result; owned */
	struct run_result result;

	enum state state, then;   /* then: what follows a look */
	enum want want;
	struct json_doc *made;    /* what is reported: */
	struct json *summary;     /* lives in made; NULL: {} */
	struct call *call;        /* of the state; NULL: to be sent at when */
	int64_t when;             /* mono */
	int tries;
	bool finished;            /* the job called finish */
	bool bare;                /* the report was refused with its summary */

	struct call *beat;        /* a heartbeat, or the look after a refused one */
	int64_t beat_at;          /* mono: when the next is due */
	int64_t interval, lease;
	int64_t alive;            /* mono: the last time that the server was told that we live */
	bool nameless;            /* our worker is not active: heartbeats without it */

	bool lost;                /* the task is no longer ours */
	bool slow;                /* --time-limit was over */
	bool last;                /* failed for good */
	bool fresh;               /* the loop has not yet taken note of its end */
	int sent;                 /* the last signal that was to end the job; 0: none */
	int next_sig;             /* the one that follows */
	int64_t next_at;          /* mono: when it does; 0: never */
	int64_t limit_at;         /* mono: when --time-limit is over; 0: never */
	int64_t doubt;            /* mono: until when its end is not judged; 0: it has not ended */
	int64_t began;            /* mono */
	int slot;
	int64_t give_up;          /* mono: when the calls are given up; 0: never */

	char tail[TAIL];          /* a ring */
	size_t tail_end;
	struct sink *sink[2];
	struct buf line[2];       /* with a prefix: what has no newline yet */
};

/* ---- small things ---- */

static int64_t
int_of(const struct json *task, const char *name, int64_t otherwise)
{
	int64_t n;

	return json_int(json_gets(task, name), &n) < 0 ? otherwise : n;
}

static void
say(const struct run *r, const char *what)
{
	const char *name = json_text(json_gets(r->task, "task_name")).p;

	warn("task %s%s%s%s: %s", r->id, name ? " (" : "", name ? name : "", name ? ")" : "", what);
}

static void
go(struct run *r, enum state state, int64_t when)
{
	call_free(r->call);
	r->call = NULL;
	r->state = state;
	r->when = when;
}

static void
over(struct run *r)
{
	go(r, OVER, 0);
}

/* The same again after a pause that grows. */
static void
again(struct run *r, enum state state, int64_t now)
{
	int64_t most = r->interval > PAUSE && r->interval < PAUSE_MAX ? r->interval : PAUSE_MAX;
	int64_t pause = r->tries < 7 ? (int64_t)PAUSE << r->tries : PAUSE_MAX;

	r->tries++;
	go(r, state, now + (pause < most ? pause : most));
}

/* Notes in the run directory, where the report stays, that nobody took it. */
static void
note_unreported(struct run *r)
{
	struct json_doc *d = json_new();
	struct json *v = json_mkobj(d);

	json_settext(d, v, "status", words[r->want]);
	json_sets(d, v, "reported", json_mkbool(d, false));
	if (r->dir.path)
		rundir_put(&r->dir, "status", v, NULL);
	json_free(d);
}

static void
dropped(struct run *r, const char *why)
{
	char *text = r->want == PENDING ? xprintf("the server did not take it back: %s", why) :
	    xprintf("the report was not taken: %s%s%s", why, r->dir.path ? "; it stays in " : "", r->dir.path ? r->dir.path : "");

	note_unreported(r);
	say(r, text);
	free(text);
	r->result.dropped = true;
	over(r);
}

/* ---- calls ---- */

static struct call *
call_for(const struct run *r, enum api api)
{
	struct call *k = call_new(api);

	snprintf(k->id, sizeof k->id, "%s", r->id);
	snprintf(k->run, sizeof k->run, "%s", r->token);
	k->deadline = r->give_up ? r->give_up : -1;
	return k;
}

static struct call *
make_look(struct run *r)
{
	return call_for(r, API_TASK_GET);
}

static struct call *
make_worker(struct run *r)
{
	struct call *k = call_for(r, API_WORKER_GET);

	snprintf(k->id, sizeof k->id, "%s", r->env->worker);
	return k;
}

static struct call *
make_report(struct run *r)
{
	struct call *k = call_for(r, API_STATUS);
	struct json_doc *d = json_new();
	struct json *v = json_mkobj(d);

	json_settext(d, v, "status", words[r->want]);
	json_settext(d, v, "worker_id", r->env->worker);
	json_sets(d, v, "summary", r->summary && !r->bare ? json_copy(d, r->summary) : json_mkobj(d));
	json_print(&k->body, v, 0);
	json_free(d);
	return k;
}

/* One update, which leaves the retries alone unless they are 0 or more here. */
static struct call *
make_update(const struct run *r, const char *status, int64_t retries, const struct json *summary)
{
	struct call *k = call_for(r, API_TASK_UPDATE);
	struct json_doc *d = json_new();
	struct json *list = json_mkarr(d), *v = json_mkobj(d);

	json_push(list, v);
	json_settext(d, v, "task_id", r->id);
	json_settext(d, v, "status", status);
	if (retries >= 0)
		json_sets(d, v, "retries", json_mkint(d, retries));
	if (summary)
		json_sets(d, v, "summary", json_copy(d, summary));
	json_print(&k->body, list, 0);
	snprintf(k->query, sizeof k->query, "reset_pending=false");
	json_free(d);
	return k;
}

static struct call *
make_back(struct run *r)
{
	return make_update(r, "pending", -1, NULL);
}

/* The failure that a suspended worker may not report, or one for good. */
static struct call *
make_amend(struct run *r)
{
	int64_t most = int_of(r->task, "max_retries", 3), n = r->retries + 1;

	if (r->last && n < most)
		n = most;
	return make_update(r, n >= most ? "failed" : "pending", n, r->summary);
}

/* ---- what answers mean ---- */

/* Whether a task that was looked at still runs, and as ours. */
static bool
still_ours(const struct run *r, const struct call *k)
{
	const struct json *task = k->doc ? k->doc->root : NULL;

	return k->status == 200 && json_is(json_gets(task, "status"), "running") &&
	    json_is(json_gets(task, "worker_id"), r->env->worker);
}

/* A call that ended without a proper answer.  Was it given up?  Then the lease ends what is left. */
static bool
gave_up(struct run *r, int64_t now)
{
	bool kept = r->want != PENDING && r->dir.path;
	char *text;

	if (!r->give_up || now < r->give_up)
		return false;
	text = xprintf("the server does not answer: the task is left to its lease%s%s", kept ? "; its report stays in " : "",
	    kept ? r->dir.path : "");
	if (kept)
		note_unreported(r);
	say(r, text);
	free(text);
	r->result.left = true;
	over(r);
	return true;
}

static bool
unanswered(const struct call *k)
{
	return !k->status || k->status >= 500 || k->status == 408 || k->status == 429;
}

/* Wrong credentials: perhaps they are being changed.  Beyond the lease the task is somebody else's. */
static void
unauthorised(struct run *r, int64_t now)
{
	if (now > r->alive + r->lease)
		dropped(r, "the server does not know this queue and password, and the lease is over");
	else
		again(r, r->state, now);
}

static void
on_look(struct run *r, struct call *k, int64_t now)
{
	if (k->status == 401) {
		unauthorised(r, now);
	} else if (unanswered(k) || (k->status != 200 && k->status != 404)) {
		if (!gave_up(r, now))
			again(r, LOOK, now);
	} else if (still_ours(r, k)) {
		go(r, r->then, now);
	} else {
		if (!r->finished && !r->tries)   /* else it is our own report, whose answer was lost */
			say(r, "it is no longer ours: nothing is reported");
		over(r);
	}
}

/* A report or hand-back that may have arrived: under a token it is said again, else after a look. */
static void
uncertain(struct run *r, int64_t now)
{
	enum state state = r->state;

	if (gave_up(r, now))
		return;
	if (client_ours(r->env->client) && r->token[0]) {
		again(r, state, now);
		return;
	}
	again(r, LOOK, now);
	r->then = state;
}

/* What a report and a hand-back have in common: taken, or to be said again.  False: it was refused. */
static bool
accepted(struct run *r, const struct call *k, int64_t now)
{
	if (k->status >= 200 && k->status < 300)
		over(r);
	else if (k->status == 401)
		unauthorised(r, now);
	else if (unanswered(k))
		uncertain(r, now);
	else
		return false;
	return true;
}

static void
on_report(struct run *r, struct call *k, int64_t now)
{
	if (accepted(r, k, now))
		return;
	if ((k->status == 404 || k->status == 409) && r->finished)
		over(r);   /* the job has reported itself */
	else if (k->status == 404 || k->status == 409)
		dropped(r, k->status == 409 ? elsewhere : k->err.msg);
	else if (k->status == 400 && r->want == FAILED && !r->bare)
		go(r, WORKER, now);
	else if (r->bare)
		dropped(r, k->err.msg);
	else
		go(r, BARE, now);
}

static void
on_worker(struct run *r, struct call *k, int64_t now)
{
	const struct json *w = k->doc ? k->doc->root : NULL;

	if (unanswered(k)) {
		if (!gave_up(r, now))
			again(r, WORKER, now);
		return;
	}
	r->result.inactive = k->status == 200 && json_is(json_gets(w, "status"), "suspended");
	go(r, r->result.inactive ? AMEND : BARE, now);
}

static void
on_update(struct run *r, struct call *k, int64_t now)
{
	if (!accepted(r, k, now))
		dropped(r, k->err.msg);
}

static const struct {
	struct call *(*make)(struct run *r);
	void (*answer)(struct run *r, struct call *k, int64_t now);
} moves[STATES] = {
	[LOOK] = {make_look, on_look}, [REPORT] = {make_report, on_report}, [BARE] = {make_report, on_report},
	[WORKER] = {make_worker, on_worker}, [AMEND] = {make_amend, on_update}, [BACK] = {make_back, on_update},
};

/* ---- signals ---- */

/* Not to a job that has ended well, and whose output only waits for our reader: it is not undone. */
static void
send_signal(struct run *r, int sig, int next, int64_t at)
{
	if (!r->pipe && job_good(r->job)) {
		r->next_at = 0;
		return;
	}
	r->sent = sig;
	r->next_sig = next;
	r->next_at = at;
	job_signal(r->job, sig);
	if (sig != SIGKILL)
		job_signal(r->job, SIGCONT);
}

static void
terminate(struct run *r, int64_t now)
{
	if (r->job && r->sent != SIGKILL && r->sent != SIGTERM)
		send_signal(r, SIGTERM, SIGKILL, now + r->env->grace);
}

/* ---- heartbeats ---- */

static void
stop_lost(struct run *r, const char *why, int64_t now)
{
	char *text;

	if (r->lost || r->state != JOB)
		return;
	r->lost = true;
	text = xprintf("%s: the job is %s, nothing is reported", why, r->env->keep_lost ? "let finish" : "stopped");
	say(r, text);
	free(text);
	if (!r->env->keep_lost)
		terminate(r, now);
}

/* Whether a task that was looked at runs, but as nobody's. */
static bool
nobodys(const struct call *k)
{
	const struct json *worker = json_gets(k->doc ? k->doc->root : NULL, "worker_id");

	return json_is(json_gets(k->doc ? k->doc->root : NULL, "status"), "running") && worker && worker->type == JSON_NULL;
}

/* A look after a heartbeat that was refused. */
static void
beat_looked(struct run *r, const struct call *k, int64_t now)
{
	if (k->status == 404) {
		stop_lost(r, "the task was deleted", now);
	} else if (k->status == 200 && !still_ours(r, k)) {
		stop_lost(r, nobodys(k) ? "our worker was deleted" : "the task was cancelled or given to another", now);
	} else if (k->status == 200) {
		r->nameless = r->result.inactive = true;
		r->beat_at = now;
	}
}

static void
beat_answered(struct run *r, int64_t now)
{
	struct call *k = r->beat;
	bool look = k->api == API_TASK_GET;

	r->beat = NULL;
	if (look)
		beat_looked(r, k, now);
	else if (k->status >= 200 && k->status < 300)
		r->alive = now;
	else if (k->status == 409)
		stop_lost(r, elsewhere, now);
	else if ((k->status == 403 || k->status == 404) && r->state == JOB && !r->lost) {
		r->beat = call_for(r, API_TASK_GET);
		r->beat->deadline = now + r->interval;
		client_send(r->env->client, r->beat);
	}
	call_free(k);
}

static void
heartbeat(struct run *r, int64_t now)
{
	r->beat_at = now + r->interval;
	if (r->beat || r->lost || !rundir_beats(&r->dir))
		return;
	r->beat = call_for(r, API_HEARTBEAT);
	snprintf(r->beat->query, sizeof r->beat->query, "worker_id=%s", r->nameless ? "" : r->env->worker);
	r->beat->deadline = now + r->interval;
	client_send(r->env->client, r->beat);
}

/* ---- its output ---- */

static void
show_line(struct run *r, int i, const char *p, size_t n)
{
	char prefix[24];

	sink_put(r->sink[i], prefix, (size_t)snprintf(prefix, sizeof prefix, "[%d] ", r->slot));
	sink_put(r->sink[i], p, n);
}

/* To our own stdout or stderr; lines of several slots do not mix. */
static void
show(struct run *r, int i, const char *p, size_t n)
{
	struct buf *b = &r->line[i];

	if (!r->env->prefix) {
		sink_put(r->sink[i], p, n);
		return;
	}
	buf_add(b, p, n);
	for (;;) {
		const char *nl = b->len ? memchr(b->p, '\n', b->len) : NULL;
		size_t k = nl ? (size_t)(nl - b->p) + 1 : b->len > LINE_MAX_KEPT ? b->len : 0;

		if (!k)
			break;
		show_line(r, i, b->p, k);
		buf_drop(b, k);
	}
}

/* The job's last line may lack its newline. */
static void
show_rest(struct run *r)
{
	for (int i = 0; i < 2; i++) {
		if (!r->line[i].len)
			continue;
		buf_addc(&r->line[i], '\n');
		show_line(r, i, r->line[i].p, r->line[i].len);
		buf_clear(&r->line[i]);
	}
}

/* ---- the job's end ---- */

static char *
tail_text(const struct run *r, size_t *n)
{
	size_t from = r->tail_end > TAIL ? r->tail_end - TAIL : 0;
	char *p = xmalloc(TAIL + 1);

	*n = 0;
	for (size_t i = from; i < r->tail_end; i++)
		p[(*n)++] = r->tail[i % TAIL];
	return p;
}

/* Bytes as text: what is no UTF-8, and U+0000, becomes U+FFFD. */
static void
add_text(struct buf *b, const char *p, size_t n)
{
	while (n) {
		uint32_t cp;
		size_t k = utf8_get(p, n, &cp);

		if (k && cp)
			buf_add(b, p, k);
		else
			buf_adds(b, "\xef\xbf\xbd");
		p += k ? k : 1;
		n -= k ? k : 1;
	}
}

static void
failure(struct run *r, const char *type, const char *message)
{
	struct json_doc *d = r->made;
	struct json *x = json_mkobj(d);
	struct buf b = {0}, text = {0};
	size_t n, skip = 0;
	char *p = tail_text(r, &n);

	add_text(&text, message, strlen(message));
	while (skip < 3 && skip < n && r->tail_end > TAIL && ((unsigned char)p[skip] & 0xc0) == 0x80)
		skip++;   /* of a character that was cut */
	add_text(&b, p + skip, n - skip);
	free(p);
	json_settext(d, x, "type", type);
	json_sets(d, x, "message", json_mkstr(d, (struct str){text.p, text.len}));
	json_sets(d, x, "traceback", json_mkstr(d, (struct str){b.p ? b.p : "", b.len}));
	buf_free(&b);
	buf_free(&text);
	json_sets(d, r->summary, "labtasker_exception", x);
	r->want = FAILED;
}

/* No command could be made for it. */
static void
stillborn(struct run *r, const struct err *e)
{
	say(r, e->msg);
	failure(r, "CmdKeyError", e->msg);
}

/* As a shell would say it: 128 and the signal's number. */
static int
exit_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* It has failed with that exit status. */
static void
judge_code(struct run *r, int code, const char *message, const char *brief)
{
	char text[400];

	if (code < 256 && r->env->requeue_exit[code]) {
		r->want = PENDING;
		snprintf(text, sizeof text, "exit status %d: handed back", code);
	} else {
		failure(r, "_LabtaskerJobFailed", message);
		r->last = code < 256 && r->env->fail_exit[code];
		snprintf(text, sizeof text, "failed: %s%s", brief, r->last ? ", for good" : "");
	}
	say(r, text);
}

static void
judge(struct run *r, int status)
{
	int code = exit_code(status);
	char text[120], brief[60];

	if (WIFEXITED(status) && !code && !r->pipe) {
		r->want = SUCCESS;
		return;
	}
	if (WIFEXITED(status) && r->pipe)
		snprintf(text, sizeof text, "Error running command: Job process ended without a result, exit code: %d", code);
	else if (WIFEXITED(status))
		snprintf(text, sizeof text, "Error running command: Job process finished with non-zero exit code: %d", code);
	else
		snprintf(text, sizeof text, "Error running command: Job process was ended by signal %d", WTERMSIG(status));
	snprintf(brief, sizeof brief, WIFEXITED(status) ? "%sexit status %d" : "%sended by signal %d", r->pipe ? "no result, " : "",
	    WIFEXITED(status) ? code : WTERMSIG(status));
	judge_code(r, code, text, brief);
}

/* The command could not be started.  For want of what others have the task goes back; else, as a shell would say it: 127 where
 * there is none, 126 where it cannot be run. */
static void
judge_none(struct run *r, const struct err *e)
{
	bool want = e->code == EMFILE || e->code == ENFILE || e->code == EAGAIN || e->code == ENOMEM;
	int code = e->code == ENOENT ? 127 : 126;
	char *text = want ? xprintf("%s: handed back", e->msg) : xprintf("Error running command: %s, exit code: %d", e->msg, code);

	if (want) {
		r->want = PENDING;
		say(r, text);
	} else {
		judge_code(r, code, text, e->msg);
	}
	free(text);
}

/* The job took longer than --time-limit. */
static void
judge_slow(struct run *r)
{
	char text[120];

	snprintf(text, sizeof text, "Error running command: Job process ran longer than %g s", (double)r->env->time_limit / 1e6);
	failure(r, "_LabtaskerTimeLimit", text);
	snprintf(text, sizeof text, "failed: it ran longer than %g s (--time-limit)", (double)r->env->time_limit / 1e6);
	say(r, text);
}

/* The process of --pipe has written the task's result. */
static void
judge_told(struct run *r)
{
	r->want = r->told;
	if (r->told != FAILED)
		return;
	if (!json_gets(r->summary, "labtasker_exception"))
		failure(r, "_LabtaskerJobFailed", "Job process said that the task failed");
	say(r, "failed, says its result");
}

static void
judge_broken(struct run *r)
{
	failure(r, "_LabtaskerBadResult", r->broke);
	say(r, r->broke);
}

static void
measure(struct run *r, const struct job_usage *u, int64_t now)
{
	struct json_doc *d = r->made;
	struct json *v = json_mkobj(d);

	json_sets(d, v, "wall_time", json_mkdouble(d, (double)(now - r->began) / 1e6));
	if (u->known) {
		json_sets(d, v, "user_time", json_mkdouble(d, u->user));
		json_sets(d, v, "system_time", json_mkdouble(d, u->system));
		json_sets(d, v, "max_rss_kib", json_mkint(d, u->memory));
	}
	json_sets(d, r->summary, "labtasker_rusage", v);
}

static enum want
want_of(const struct json_doc *d)
{
	const struct json *v = d ? json_gets(d->root, "status") : NULL;

	for (int w = SUCCESS; w <= CANCELLED; w++)
		if (json_is(v, words[w]))
			return (enum want)w;
	return NOTHING;
}

/* Whether the job called finish; then what it said is taken. */
static bool
take_finish(struct run *r)
{
	struct err e = {0}, why = {0};
	struct json_doc *status = NULL, *summary;
	char *text = NULL;

	summary = rundir_get(&r->dir, "summary", FINISH_MAX, &e);
	if (!summary && e.code == ENOENT)
		return false;
	status = rundir_get(&r->dir, "status", FINISH_MAX, summary ? &e : &why);
	r->want = want_of(status);
	if (!summary && e.code == EFBIG && r->want != NOTHING) {
		summary = json_new();   /* as for one that the server does not take */
		summary->root = json_mkobj(summary);
		rundir_keep(&r->dir);
		text = xprintf("the summary is longer than %d MiB: it is left out%s%s", FINISH_MAX >> 20,
		    r->dir.path ? ", and stays in " : "", r->dir.path ? r->dir.path : "");
		say(r, text);
	}
	if (summary && summary->root->type == JSON_OBJ && r->want != NOTHING) {
		json_free(r->made);
		r->made = summary;
		r->summary = summary->root;
		r->finished = true;
		summary = NULL;
	} else {
		text = xprintf("status.json and summary.json of the job's finish cannot be used: %s: its exit status counts",
		    *e.msg ? e.msg : "a status and a dict must stand there");
		say(r, text);
	}
	free(text);
	json_free(summary);
	json_free(status);
	return r->finished;
}

static void
keep_result(struct run *r)
{
	struct json_doc *d = json_new();
	struct json *v = json_mkobj(d);
	struct err e = {0};

	json_settext(d, v, "status", words[r->want]);
	if (rundir_put(&r->dir, "status", v, &e) < 0 || rundir_put(&r->dir, "summary", r->summary, &e) < 0)
		say(r, e.msg);
	json_free(d);
}

/* What follows the job's end, or a task that never got one. */
static void
conclude(struct run *r, int64_t now)
{
	bool token = client_ours(r->env->client) && r->token[0];

	r->result.ended = r->fresh = true;
	if (r->want == NOTHING) {
		over(r);
		return;
	}
	r->result.done = r->want == SUCCESS;
	r->result.failed = r->want == FAILED;
	r->result.back = r->want == PENDING;
	if (!r->finished && r->want != PENDING && (r->want == FAILED || !r->dir.keep))
		keep_result(r);
	if (r->want == FAILED && r->dir.path)
		rundir_keep(&r->dir);
	else if (r->dir.keep)
		rundir_close(&r->dir);   /* the slot's next run has the directory */
	if (r->give_up && r->give_up < now + LATE * SECOND)
		r->give_up = now + LATE * SECOND;
	r->then = r->want == PENDING ? BACK : r->last ? AMEND : REPORT;
	go(r, r->finished || (r->then != REPORT && !token) ? LOOK : r->then, now);
}

/* The same, after somebody was asked, or by the rule for when nobody can be. */
static void
decide(struct run *r, int64_t now)
{
	if (r->want == FAILED && !r->finished && !r->last && r->env->on_failure == FAIL_ASK) {
		go(r, ASK, now);
		return;
	}
	if (r->want == FAILED && !r->finished && r->env->on_failure == FAIL_IGNORE)
		r->want = PENDING;
	conclude(r, now);
}

void
run_answer(struct run *r, bool report, int64_t now)
{
	if (r->state != ASK)
		return;
	r->want = report ? FAILED : PENDING;
	conclude(r, now);
}

static void
ended(struct run *r, int status, const struct job_usage *u, int64_t now)
{
	bool good = WIFEXITED(status) && !WEXITSTATUS(status);

	if (r->pipe)
		pipe_leave(r->pipe);
	else
		job_free(r->job);
	r->job = NULL;
	show_rest(r);
	if (take_finish(r))
		r->want = r->lost ? NOTHING : r->want;
	else if (r->lost)
		r->want = NOTHING;
	else if (r->told == SUCCESS || (r->told != NOTHING && !r->sent))
		judge_told(r);
	else if (r->broke)
		judge_broken(r);
	else if (r->slow)
		judge_slow(r);
	else if (r->sent && !(good && !r->pipe && r->sent == r->env->warn_signal))
		r->want = PENDING;
	else
		judge(r, status);
	if (!r->finished)
		measure(r, u, now);
	decide(r, now);
}

/* ---- the beginning ---- */

/* Whether a variable of ours does not go to the job: the password, what is of a job that we are ourselves, and what is set anew. */
static bool
withheld(const char *var, char *const *set, size_t n)
{
	static const char *const names[] = {"LABTASKER_PASSWORD", "LABTASKER_TASK_ID", "LABTASKER_LOG_DIR", "LABTASKER_TASK_TIMEOUT"};
	size_t len = strcspn(var, "=");

	for (size_t i = 0; i < LEN(names); i++)
		if (str_is((struct str){var, len}, names[i]))
			return true;
	for (size_t i = 0; i < n; i++)
		if (strcspn(set[i], "=") == len && !strncmp(var, set[i], len))
			return true;
	return false;
}

/* The slot's value of a --slot-env: NAME=v0,v1,...; owned. */
static char *
slot_value(const char *text, int slot)
{
	size_t name = strcspn(text, "=") + 1;
	const char *v = text + name;

	for (int i = 0; i < slot && v; i++) {
		v = strchr(v, ',');
		v += v != NULL;
	}
	return xprintf("%.*s%.*s", (int)name, text, v ? (int)strcspn(v, ",") : 0, v ? v : "");
}

/* The job's environment: those set for it come first, *own of them, owned. */
static char **
environment(const struct run *r, size_t *own)
{
	int64_t limit = int_of(r->task, "task_timeout", 0);
	size_t n = 0, k = 0;
	char **env;

	while (r->env->environ[n])
		n++;
	env = xcalloc(n + (size_t)r->env->slot_envs + 8, sizeof *env);
	env[k++] = xprintf("LABTASKER_WORKER_ID=%s", r->env->worker);
	if (!r->pipe) {
		env[k++] = xprintf("LABTASKER_TASK_ID=%s", r->id);
		env[k++] = xprintf("LABTASKER_LOG_DIR=%s", r->dir.path);
	}
	env[k++] = xprintf("LABTASKER_ROOT=%s", r->env->conf->root);
	env[k++] = xprintf("LABTASKER_SLOT=%d", r->slot);
	if (limit > 0 && !r->pipe)
		env[k++] = xprintf("LABTASKER_TASK_TIMEOUT=%ld", (long)limit);
	for (int i = 0; i < r->env->slot_envs; i++)
		env[k++] = slot_value(r->env->slot_env[i], r->slot);
	*own = k;
	for (size_t i = 0; i < n; i++)
		if (!withheld(r->env->environ[i], env, *own))
			env[k++] = r->env->environ[i];
	return env;
}

/* Starts the job, or fails the task with the reason. */
static void
launch(struct run *r, int64_t now)
{
	const struct json *args = json_gets(r->task, "args");
	struct err e = {0};
	char **argv, **env;
	struct job_spec spec = {.dir = r->env->chdir, .in = r->env->in, .pty = r->env->pty, .tty = r->env->tty,
	    .guard = r->env->guard};
	size_t own = 0;

	if (r->pipe && pipe_lives(r->pipe)) {
		r->job = pipe_send(r->pipe, r->task, r->dir.path);
		return;
	}
	spec.argv = argv = recipe_fill(r->env->recipe, args, &e);
	if (!argv) {
		stillborn(r, &e);
		decide(r, now);
		return;
	}
	env = environment(r, &own);
	spec.envp = env;
	if (!r->pipe)
		r->job = job_start(&spec, &e);
	else if (!pipe_start(r->pipe, &spec, &e))
		r->job = pipe_send(r->pipe, r->task, r->dir.path);
	while (own)
		free(env[--own]);
	free(env);
	recipe_unfill(argv);
	if (r->job)
		return;
	judge_none(r, &e);
	decide(r, now);
}

/* The server's id of the task, which becomes part of paths: NULL if it is none. */
static const char *
task_id(const struct json *task)
{
	struct str id = json_text(json_gets(task, "task_id"));

	return id.n < 40 && name_valid(id) ? id.p : NULL;
}

/* The directory of this run, or of its slot where only failed runs get their own. */
static int
make_dir(struct run *r, int64_t wall, struct err *e)
{
	struct rundir_opts o = r->env->logs;
	char *slot = o.slot ? xprintf("%s%d", o.slot, r->slot) : NULL;
	int rc;

	o.slot = slot;
	rc = rundir_make(&r->dir, &o, r->task, wall, e);
	free(slot);
	return rc;
}

/* Nothing is run: the task goes back as it came. */
static void
return_it(struct run *r, int64_t now)
{
	r->want = PENDING;
	r->give_up = now + LATE * SECOND;
	conclude(r, now);
}

/* How often its heartbeats are due, and how long we may be away. */
static void
set_pace(struct run *r, int64_t now)
{
	const struct json *given = json_gets(r->task, "heartbeat_timeout");
	double lease = given && given->type == JSON_NUM ? json_num(given) : r->env->heartbeat_timeout;

	r->lease = lease > 0 ? (int64_t)((lease < LEASE_MAX ? lease : LEASE_MAX) * 1e6) : 0;
	r->interval = (int64_t)(r->env->conf->heartbeat * 1e6);
	if (r->lease > 0 && r->interval > r->lease / 3)
		r->interval = r->lease / 3;
	if (r->interval > 0)
		client_haste(r->env->client, r->interval);
	r->alive = now;
	r->beat_at = now + r->interval;
}

struct run *
run_new(const struct run_env *env, struct json_doc *doc, const struct run_start *how, struct err *e)
{
	const struct json *task = json_gets(doc->root, "task");
	const char *id = task_id(task);
	int64_t now = how->mono;
	struct run *r;

	if (!id) {
		err_set(e, EXIT_REFUSED, "%s: it gave a task without a proper id: is it a labtasker server?", client_url(env->client));
		json_free(doc);
		return NULL;
	}
	r = xcalloc(1, sizeof *r);
	r->env = env;
	r->pipe = env->pipe ? env->pipe[how->slot] : NULL;
	r->doc = doc;
	r->task = task;
	r->id = id;
	r->dir.log = -1;
	r->retries = int_of(task, "retries", 0);
	snprintf(r->token, sizeof r->token, "%s", how->token);
	r->slot = how->slot;
	r->began = now;
	r->limit_at = env->time_limit ? now + env->time_limit : 0;
	r->made = json_new();
	r->made->root = r->summary = json_mkobj(r->made);
	r->sink[0] = env->sink;
	r->sink[1] = env->sink + 1;
	set_pace(r, now);
	if (how->back) {
		return_it(r, now);
		return r;
	}
	if (make_dir(r, how->wall, e) < 0) {
		r->result.broken = true;   /* this machine's fault, not the task's */
		return_it(r, now);
		return r;
	}
	if (env->verbose)
		say(r, r->dir.path);
	launch(r, now);
	return r;
}

void
run_free(struct run *r)
{
	if (!r)
		return;
	if (r->beat)
		client_cancel(r->env->client, r->beat);
	if (r->call)
		client_cancel(r->env->client, r->call);
	call_free(r->beat);
	call_free(r->call);
	rundir_close(&r->dir);
	buf_free(&r->line[0]);
	buf_free(&r->line[1]);
	free(r->broke);
	json_free(r->made);
	json_free(r->doc);
	free(r);
}

/* ---- the life ---- */

const struct run_result *
run_result(const struct run *r)
{
	return &r->result;
}

const char *
run_task(const struct run *r)
{
	return r->id;
}

bool
run_busy(const struct run *r)
{
	return r->job != NULL;
}

bool
run_asks(const struct run *r)
{
	return r->state == ASK;
}

bool
run_fresh(struct run *r)
{
	bool was = r->fresh;

	r->fresh = false;
	return was;
}

int
run_slot(const struct run *r)
{
	return r->slot;
}

int
run_pty(const struct run *r)
{
	return r->job ? job_pty(r->job) : -1;
}

void
run_signal(struct run *r, int sig)
{
	if (r->job)
		job_signal(r->job, sig);
}

bool
run_leads(const struct run *r)
{
	return run_pty(r) >= 0 && tcgetpgrp(run_pty(r)) == job_pid(r->job);
}

/* The calls that end it are given up after the grace, however short: not before they could be made. */
static void
hurry(struct run *r, int64_t now)
{
	r->give_up = now + (r->env->grace > LATE * SECOND ? r->env->grace : LATE * SECOND);
	if (r->call && (r->call->deadline < 0 || r->call->deadline > r->give_up))
		r->call->deadline = r->give_up;
}

void
run_stop(struct run *r, enum run_urgency u, int64_t now)
{
	int warning = r->env->warn_signal;

	hurry(r, now);
	if (r->state == ASK)
		run_answer(r, false, now);
	if (!r->job)
		return;
	if (u == STOP_KILL)
		send_signal(r, SIGKILL, 0, 0);
	else if (u == STOP_WARN && warning && !r->sent)
		send_signal(r, warning, SIGTERM, now + r->env->grace / 4 * 3);
	else
		terminate(r, now);
}

/* Whether its output is read: not faster than others read ours.  But when the loop ends, what a job has left is: who reads nothing
 * any more may not hold us up. */
static bool
reads(const struct run *r)
{
	return (!sink_full(r->sink[0]) && !sink_full(r->sink[1])) || (r->give_up && r->job && job_over(r->job));
}

int
run_fds(const struct run *r, struct pollfd *fds, int64_t *wake)
{
	int64_t next = r->next_at ? r->next_at : INT64_MAX;
	bool read = reads(r);
	int n = 0;

	if (r->job && r->limit_at && r->limit_at < next)
		next = r->limit_at;
	if (r->job && job_over(r->job))
		next = r->doubt && !r->sent ? r->doubt : read ? 0 : next;   /* the rest of its output */
	if (moves[r->state].make && !r->call && r->when < next)
		next = r->when;
	if (next < *wake)
		*wake = next;
	if (r->job && r->pipe)
		n = pipe_fds(r->pipe, fds, read, wake);
	else if (r->job && read)
		n = job_fds(r->job, fds);
	return n;
}

static void
output(void *arg, int which, const char *p, size_t n)
{
	struct run *r = arg;

	show(r, which - 1, p, n);
	rundir_log(&r->dir, p, n);
	for (size_t i = n > TAIL ? n - TAIL : 0; i < n; i++)
		r->tail[(r->tail_end + i) % TAIL] = p[i];
	r->tail_end += n;
}

void
run_read(struct run *r, const struct pollfd *fds, int n)
{
	if (r->job && r->pipe)
		pipe_read(r->pipe, fds, n, output, r);
	else if (r->job)
		job_read(r->job, fds, n, output, r);
}

int64_t
run_due(const struct run *r)
{
	return r->state == OVER || r->lost || r->interval <= 0 ? INT64_MAX : r->beat_at;
}

void
run_beat(struct run *r, int64_t now)
{
	if (run_due(r) != INT64_MAX && r->beat_at - r->interval / 2 <= now)
		heartbeat(r, now);
}

static void
take_result(struct run *r)
{
	struct json_doc *d;
	struct err e = {0};
	struct json *summary;
	int rc = r->told == NOTHING && !r->broke ? pipe_result(r->pipe, r->task, &d, &e) : 0;

	if (rc < 0)
		r->broke = xstrdup(e.msg);
	if (rc <= 0)
		return;
	r->told = want_of(d);
	summary = json_gets(d->root, "summary");
	json_free(r->made);
	r->made = d;
	r->summary = summary && summary->type == JSON_OBJ ? summary : json_mkobj(d);
}

/* A job for many tasks: it ends for this one with its result, unless it was told to end altogether. */
static void
step_pipe(struct run *r, int64_t now)
{
	struct job_usage none = {0};
	int status = 0;
	bool again = false, ends = pipe_ended(r->pipe, &status, &again), told;

	take_result(r);
	told = (r->told != NOTHING || r->broke) && (!r->sent || r->sent == r->env->warn_signal);
	if (ends && again && !r->sent) {
		r->job = NULL;
		r->doubt = 0;
		launch(r, now);
	} else if (ends || told) {
		ended(r, status, &none, now);
	}
}

/* Slurm tells all processes of its job to end at once: one of ours that died of such a signal is not judged before we had time to
 * hear of it too. */
static bool
in_doubt(struct run *r, int status, int64_t now)
{
	int sig = exit_code(status) - 128;

	if (r->sent || (sig != SIGTERM && sig != SIGINT && sig != SIGHUP && sig != SIGUSR1))
		return false;
	if (!r->doubt)
		r->doubt = now + DOUBT;
	return now < r->doubt;
}

/* What was due for the job by the clock: the end of --time-limit, the next signal.  One that was told to end is not late. */
static void
hasten(struct run *r, int64_t now)
{
	bool last = r->next_sig != SIGTERM;

	if (r->limit_at && r->limit_at <= now) {
		r->slow = !r->sent && !job_over(r->job);
		r->limit_at = 0;
		if (r->slow)
			terminate(r, now);
	}
	if (r->next_at && r->next_at <= now)
		send_signal(r, r->next_sig, last ? 0 : SIGKILL, last ? 0 : now + r->env->grace / 4);
}

/* The calls that end it: sends the one of the state, or takes its answer and goes on. */
static void
step_calls(struct run *r, int64_t now)
{
	while (moves[r->state].make) {
		struct call *k = r->call;

		if (k ? !k->done : r->when > now)
			return;
		if (!k) {
			r->bare = r->bare || r->state == BARE;
			r->call = moves[r->state].make(r);
			client_send(r->env->client, r->call);
			return;
		}
		r->call = NULL;
		moves[r->state].answer(r, k, now);
		call_free(k);
	}
}

bool
run_step(struct run *r, int64_t now)
{
	struct job_usage u = {0};
	int status;
	bool ends;

	if (r->beat && r->beat->done)
		beat_answered(r, now);
	if (r->job)
		hasten(r, now);
	ends = r->job && job_ended(r->job, &status, &u);
	if (ends && in_doubt(r, status, now))
		return false;
	if (r->job && r->pipe)
		step_pipe(r, now);
	else if (ends)
		ended(r, status, &u, now);
	step_calls(r, now);
	return r->state == OVER;
}
