/* SPDX-License-Identifier: MIT */
/*
 * The loop: a worker, slots for jobs, and the calls that fill them.  Signals become marks and a byte on a pipe; heartbeats are due
 * when the interval timer says so; all else is one poll.  A slot that becomes free asks for the next task in the same breath as
 * the report of the last one leaves: our server answers both in one round trip and with one sync.
 *
 * It ends when a fetch finds nothing and no run of ours is left that could put a task back; on a signal or when its time is up,
 * once its jobs have ended and what became of them is told; and when the worker may fetch no more.
 */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

extern char **environ;

enum {
	UNREACHABLE = 600,        /* seconds without an answer to a fetch, after which the loop gives up */
	FLUSH = 5,                /* seconds for a slow reader of our output, at the end */
	CALLS = 4,                /* fetches under way at once */
	FAULTS = 6,               /* fetches in a row that a server may answer with 5xx */
	HOLD = 60,                /* seconds that a server is asked to hold a fetch */
	PARTING = 2,              /* seconds for the answer to one when we end: a task that it got is handed back */
	WAKE = 60,                /* seconds that nothing wakes us, at most */
	TYPED = 4096,             /* bytes for a job that does not read */
	CTRL_C = 3, CTRL_Z = 26,
	DRAW = 200 * 1000,        /* between two pictures of the progress */
	COUNT = 2,                /* seconds between two looks at the queue for it */
	REST = 2, RESTS = 6,      /* seconds before a task is taken again that we put back; doubled each time, so often at most */
	FORGET = 600              /* seconds after a rest in which it counts for the next */
};

/* A task that we put back: not taken again before. */
struct rest {
	char id[40];
	int64_t until;            /* mono */
	int times;
	bool over;                /* it may be taken again; how often it has rested is still known */
};

struct loop {
	const struct loop_opts *o;
	struct client *client, *waiter;   /* waiter: for a fetch that is held; NULL before the first */
	bool news;                /* calls were done that move has not seen */
	struct run_env env;
	struct sink sink[2];
	struct term tty;
	char worker[40], slot[48];   /* slot: how the directories of slots begin */
	struct pipe **pipe;       /* one a slot; NULL: no --pipe */
	bool automatic;           /* the worker was made by us */
	struct run **run;
	size_t runs, cap;
	struct call *fetch[CALLS + 1];
	int fetches;
	struct call *held;        /* a fetch that the server holds */
	int64_t started, row;     /* runs begun; failures and hand-backs in a row */
	struct rest *resting;
	size_t rests;
	bool dry;                 /* the last fetch found nothing, and nothing has ended since */
	int64_t idle;             /* mono: since when there was nothing to do */
	int64_t ask_at;           /* mono: while dry: when to ask again; 0: not by itself */
	int polls;
	int faults;               /* fetches in a row that were answered with 5xx */
	int64_t begin_at;         /* mono: no fetch before */
	int64_t end_at;           /* mono: the end of our time; INT64_MAX: none */
	int stop;                 /* what ends us: a signal; 0: nothing yet */
	int urgency;              /* how often we were told */
	bool closed;              /* no more fetches */
	bool suspended;           /* our worker was */
	bool interrupted;         /* Ctrl-C went to the job: after it we end */
	int rc;                   /* the exit status so far */
	bool looking;             /* a fetch was lost: its task must be found before the next */
	struct call *search;
	struct prompt prompt;     /* while q is not NULL */
	struct run *asked;        /* whose failure the question is about; NULL: whether to go on */
	int64_t repaint;          /* mono */
	struct buf typed;         /* for the job's terminal */
	struct foot foot;
	struct progress progress;
	int64_t drawn;            /* mono: when it was shown */
	struct call *stats;       /* how many are pending */
	int64_t stats_at;         /* mono: when to ask */
	struct pollfd *fds;
	size_t nfds;
};

/* ---- signals ---- */

static volatile sig_atomic_t marks[SIGNALS];
static int wake_pipe[2];

static void
mark(int sig)
{
	int why = errno;

	marks[sig] = 1;
	(void)!write(wake_pipe[1], "", 1);   /* a full pipe wakes as well */
	errno = why;
}

/* What a signal does: ends the loop and its jobs; lets the jobs end and then the loop; stops both until SIGCONT; or only wakes
 * us.  But for the last, those that were ignored when we began (nohup, a shell's background) stay so. */
static const struct {
	int sig;
	enum { ENDS, DRAINS, STOPS, WAKES } kind;
} signals[] = {
	{SIGTERM, ENDS}, {SIGINT, ENDS}, {SIGHUP, ENDS}, {SIGUSR1, ENDS}, {SIGUSR2, DRAINS}, {SIGTSTP, STOPS}, {SIGCHLD, WAKES},
	{SIGALRM, WAKES},
#ifdef SIGWINCH
	{SIGWINCH, WAKES},
#endif
};

static void
signals_set(bool on)
{
	struct sigaction act = {.sa_handler = on ? mark : SIG_DFL, .sa_flags = SA_RESTART}, old;

	sigfillset(&act.sa_mask);
	for (size_t i = 0; i < LEN(signals); i++) {
		if (signals[i].kind != WAKES && !sigaction(signals[i].sig, NULL, &old) && old.sa_handler == SIG_IGN)
			continue;
		sigaction(signals[i].sig, &act, NULL);
	}
	signal(SIGXFSZ, on ? SIG_IGN : SIG_DFL);   /* a log over its limit (ulimit -f) is a full disk to us */
}

static bool
taken(int sig)
{
	bool was = marks[sig];

	marks[sig] = 0;
	return was;
}

/* ---- heartbeats ---- */

static int64_t
next_beat(const struct loop *l)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < l->runs; i++)
		next = run_due(l->run[i]) < next ? run_due(l->run[i]) : next;
	return next;
}

/* When one is due all are sent in one round.  Has the timer wake us for the next. */
static void
beats(struct loop *l, int64_t now)
{
	int64_t next = next_beat(l);
	struct itimerval t = {.it_interval = {0, 0}, .it_value = {0, 0}};

	for (size_t i = 0; next <= now && i < l->runs; i++)
		run_beat(l->run[i], now);
	next = next_beat(l);
	if (next == INT64_MAX)
		return;
	next = next > now ? next - now : 1;
	t.it_value.tv_sec = (time_t)(next / SECOND);
	t.it_value.tv_usec = (suseconds_t)(next % SECOND);
	setitimer(ITIMER_REAL, &t, NULL);
}

/* ---- the worker ---- */

static void
add_text(struct json_doc *d, struct json *o, const char *key, const char *text)
{
	if (text && *text)
		json_settext(d, o, key, text);
}

/* Who we are, for whoever looks at the workers. */
static struct json *
about_us(struct json_doc *d)
{
	struct json *m = json_mkobj(d);

	add_text(d, m, "host", sys_host());
	json_sets(d, m, "pid", json_mkint(d, getpid()));
	add_text(d, m, "slurm_job", getenv("SLURM_JOB_ID"));
	return m;
}

/* A worker for this loop: the one that is named, else a new one.  An exit status. */
static int
find_worker(struct loop *l)
{
	const char *named = l->o->worker_id ? l->o->worker_id : getenv("LABTASKER_WORKER_ID");
	struct call *k = call_new(API_WORKER_CREATE);
	struct json_doc *d = json_new();
	struct json *body = json_mkobj(d);
	const struct json *id;
	int rc = 0;

	if (named && *named) {
		snprintf(l->worker, sizeof l->worker, "%s", named);
		goto out;
	}
	json_sets(d, body, "worker_name", l->o->worker_name ? json_mkstr(d, str_of(l->o->worker_name)) : json_mknull(d));
	json_sets(d, body, "metadata", about_us(d));
	json_sets(d, body, "max_retries", json_mkint(d, l->o->worker_retries));
	json_print(&k->body, body, 0);
	rc = client_run(l->client, k) < 0 ? EXIT_REFUSED : 0;
	id = call_get(k, "worker_id");
	if (rc) {
		warn("loop: %s", k->err.msg);
	} else if (!name_valid(json_text(id)) || id->len >= sizeof l->worker) {
		warn("loop: %s: it made a worker without a proper id: is it a labtasker server?", client_url(l->client));
		rc = EXIT_REFUSED;
	} else {
		memcpy(l->worker, id->s, id->len + 1);
		l->automatic = true;
	}
out:
	json_free(d);
	call_free(k);
	return rc;
}

/* Our worker is of no use to anybody after a clean end; a suspended or crashed one is left for a person to look at. */
static void
remove_worker(struct loop *l)
{
	struct call *k = call_new(API_WORKER_GET), *gone = call_new(API_WORKER_DELETE);

	snprintf(k->id, sizeof k->id, "%s", l->worker);
	snprintf(gone->id, sizeof gone->id, "%s", l->worker);
	k->deadline = gone->deadline = sys_mono() + 2 * SECOND;
	if (!client_run(l->client, k) && json_is(call_get(k, "status"), "active"))
		client_run(l->client, gone);
	call_free(gone);
	call_free(k);
}

/* To the server a mistyped name or filter is an empty queue; not so to whoever wrote it. */
static void
tell_unfit(struct loop *l)
{
	struct call *k = call_new(API_TASK_SEARCH);
	const struct json *found;

	buf_adds(&k->body, "{\"status\":\"pending\",\"limit\":1}");
	k->deadline = sys_mono() + 2 * SECOND;
	found = client_run(l->client, k) ? NULL : call_get(k, "content");
	if (found && found->len)
		warn("loop: no task was taken, but some are pending: `labtasker explain` with this command and filter says why");
	call_free(k);
}

/* ---- fetching ---- */

static void
close_loop(struct loop *l, int rc)
{
	l->closed = true;
	if (!l->rc)
		l->rc = rc;
}

static size_t
busy(const struct loop *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->runs; i++)
		n += run_busy(l->run[i]);
	return n;
}

static bool
short_of_time(const struct loop *l, int64_t now)
{
	return l->end_at != INT64_MAX && l->end_at - now < (int64_t)(l->o->min_left * 1e6);
}

/* Reports and the next fetch go out together to a server of ours only. */
static bool
may_fetch(const struct loop *l, int64_t now)
{
	bool ours = client_ours(l->client);
	int64_t under_way = l->fetches + (l->held != NULL);

	if (l->closed || l->dry || l->looking || l->prompt.q || l->interrupted || now < l->begin_at || l->fetches >= (ours ? CALLS : 1))
		return false;
	if (l->o->max_tasks && l->started + under_way >= l->o->max_tasks)
		return false;
	for (size_t i = 0; i < l->runs; i++)
		if (run_asks(l->run[i]))
			return false;
	return (ours ? busy(l) : l->runs) + (size_t)under_way < (size_t)l->o->slots;
}

/* When the next of the tasks that rest may be taken again; INT64_MAX: none rests. */
static int64_t
next_rested(const struct loop *l)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < l->rests; i++)
		if (!l->resting[i].over && l->resting[i].until < next)
			next = l->resting[i].until;
	return next;
}

/* The user's filter, and not the tasks that rest; for a fetch that is held, nor those that may do so before it is answered. */
static struct json *
make_filter(const struct loop *l, bool held, struct json_doc *d)
{
	struct json *user = l->o->filter ? json_copy(d, l->o->filter) : NULL, *not, *list = json_mkarr(d), *both, *pair;

	for (size_t i = 0; i < l->rests; i++)
		if (!l->resting[i].over)
			json_push(list, json_mkstr(d, str_of(l->resting[i].id)));
	for (size_t i = 0; held && i < l->runs; i++)
		json_push(list, json_mkstr(d, str_of(run_task(l->run[i]))));
	if (!list->len)
		return user;
	not = json_mkobj(d);
	json_sets(d, not, "$nin", list);
	pair = json_mkobj(d);
	json_sets(d, pair, "_id", not);
	if (!user)
		return pair;
	list = json_mkarr(d);
	json_push(list, user);
	json_push(list, pair);
	both = json_mkobj(d);
	json_sets(d, both, "$and", list);
	return both;
}

struct json *
loop_required(const struct loop_opts *o, struct json_doc *d)
{
	struct json *list = recipe_required(o->env.recipe, d);

	for (int i = 0; i < o->requires; i++)
		json_push(list, json_mkstr(d, str_of(o->require[i])));
	if (o->allow_extra)
		json_push(list, json_mkstr(d, str_of("*")));
	return list;
}

static struct call *
make_fetch(const struct loop *l, bool held)
{
	struct call *k = call_new(API_FETCH);
	struct json_doc *d = json_new();
	struct json *body = json_mkobj(d), *filter = make_filter(l, held, d);

	json_settext(d, body, "worker_id", l->worker);
	add_text(d, body, "eta_max", l->o->eta_max);
	json_sets(d, body, "heartbeat_timeout", json_mkdouble(d, l->env.heartbeat_timeout));
	json_sets(d, body, "start_heartbeat", json_mkbool(d, true));
	json_sets(d, body, "required_fields", loop_required(l->o, d));
	if (filter)
		json_sets(d, body, "extra_filter", filter);
	json_sets(d, body, "cmd", recipe_cmd(l->env.recipe, d));
	json_print(&k->body, body, 0);
	json_free(d);
	k->deadline = sys_mono() + UNREACHABLE * SECOND;
	return k;
}

/* The first slot without a job. */
static int
free_slot(const struct loop *l)
{
	for (int slot = 0;; slot++) {
		bool used = false;

		for (size_t i = 0; i < l->runs; i++)
			used = used || ((run_busy(l->run[i]) || run_asks(l->run[i])) && run_slot(l->run[i]) == slot);
		if (!used)
			return slot;
	}
}

static void
begin_run(struct loop *l, struct call *k, int64_t now)
{
	struct run_start how = {.token = client_ours(l->client) ? k->key : "", .slot = free_slot(l), .wall = sys_wall(), .mono = now,
	    .back = l->closed};
	struct json_doc *doc = k->doc;
	struct err e = {0};
	struct run *r;

	k->doc = NULL;
	l->started++;
	l->polls = 0;
	r = run_new(&l->env, doc, &how, &e);
	if (!r) {
		warn("loop: %s", e.msg);
		close_loop(l, EXIT_REFUSED);
		return;
	}
	if (run_result(r)->broken) {
		warn("loop: %s: the task is handed back, no more are taken", e.msg);
		close_loop(l, EXIT_REFUSED);
	}
	if (l->runs == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 4;
		l->run = xrealloc(l->run, l->cap * sizeof *l->run);
	}
	l->run[l->runs++] = r;
	beats(l, now);
	if (run_pty(r) >= 0 && l->o->slots == 1)   /* of several none is meant more than the others, and Ctrl-C ends all */
		term_keys(&l->tty);
}

/* What the answer to a fetch means, by its status. */
static void
refused(struct loop *l, const struct call *k)
{
	if (l->closed)
		return;   /* it was said of another fetch */
	if (k->status == 403)
		warn("loop: worker %s may fetch no more: %s; `labtasker worker report %s active` lets it again%s", l->worker,
		    k->err.msg, l->worker, l->automatic ? ", another loop makes another (see --worker-max-retries)" : "");
	else if (k->status == 401)
		warn("loop: %s: %s: the queue was deleted, or its password changed", client_url(l->client), k->err.msg);
	else
		warn("loop: %s", k->err.msg);
	close_loop(l, k->status == 403 ? EXIT_WORKER : k->status == 400 || k->status == 422 ? EXIT_USAGE : EXIT_REFUSED);
}

/* A time after which another server is asked again, the n-th in a row: they grow and differ. */
static int64_t
pause_after(int n)
{
	uint32_t r;

	sys_random(&r, sizeof r);
	return (n < 4 ? SECOND << n : 10 * SECOND) / 2 + (int64_t)(r % SECOND);
}

/* The queue has nothing for us. */
static void
found_nothing(struct loop *l, int64_t now)
{
	bool asks = l->o->wait > 0 && !client_ours(l->client), ends = asks && l->o->wait < LOOP_FOREVER && !l->runs;
	int64_t last = ends ? l->idle + (int64_t)(l->o->wait * 1e6) : 0;

	l->dry = true;
	l->ask_at = asks ? now + pause_after(l->polls++) : 0;
	if (now < last && last < l->ask_at)
		l->ask_at = last;   /* not without a last look */
}

/* A fetch whose answer was lost, or is one of trouble.  The time for the next is not before that. */
static void
lost_fetch(struct loop *l, const struct call *k, int64_t now)
{
	int64_t at = k->status ? now + pause_after(l->faults++) : now;

	l->looking = true;
	l->begin_at = at > l->begin_at ? at : l->begin_at;
}

static void
fetched(struct loop *l, struct call *k, int64_t now)
{
	const struct json *found = call_get(k, "found");

	l->faults = k->status == 200 ? 0 : l->faults;
	if (k->unknown && !l->stop && l->faults < FAULTS)
		lost_fetch(l, k, now);
	else if (k->status != 200)
		refused(l, k);
	else if (found && found->type == JSON_BOOL && found->is)
		begin_run(l, k, now);
	else
		found_nothing(l, now);
}

static void
take_fetches(struct loop *l, int64_t now)
{
	struct call *k = l->held;

	if (k && k->done) {
		l->held = NULL;
		l->dry = false;
		if (k->status == 409)
			call_free(k);
		else
			l->fetch[l->fetches++] = k;   /* CALLS leaves room for it */
	}
	for (int i = 0; i < l->fetches; i++) {
		k = l->fetch[i];
		if (!k->done)
			continue;
		memmove(l->fetch + i, l->fetch + i + 1, (size_t)(l->fetches - i - 1) * sizeof *l->fetch);
		l->fetches--;
		i--;
		fetched(l, k, now);
		call_free(k);
	}
}

/* ---- waiting for tasks: --wait ---- */

/* Seconds that a fetch may be held: one that is answered later would be below --min-left, or does not look at a task that has
 * rested meanwhile. */
static double
hold_most(const struct loop *l, int64_t now)
{
	int64_t rested = next_rested(l);
	double left = l->end_at == INT64_MAX ? HOLD : (double)(l->end_at - now) / 1e6 - l->o->min_left;
	double rest = rested == INT64_MAX ? HOLD : (double)(rested - now) / 1e6;

	left = rest < left ? rest : left;
	return left < HOLD ? left : HOLD;
}

/* What was just sent need not wait for a turn. */
static void
send_off(struct loop *l, struct client *c)
{
	if (client_step(c, NULL, 0))
		l->news = true;
}

/* A fetch that our server holds until there is a task, on a connection of its own. */
static void
hold_fetch(struct loop *l, int64_t now)
{
	/* where it does not answer at once our client asks, and tells of trouble */
	struct client_opts o = {.conf = (struct conf *)l->env.conf, .patience = 1, .beside = l->client};
	struct err e = {0};
	struct call *k;
	double left = l->o->wait - (double)(now - l->idle) / 1e6, most = hold_most(l, now);

	if (!l->waiter)
		l->waiter = client_open(&o, true, &e);
	if (!l->waiter) {
		l->ask_at = now + 10 * SECOND;
		return;
	}
	k = l->held = make_fetch(l, true);
	sys_uuid(k->key);
	k->wait = left < most ? (int)left + 1 : (int)most;
	client_send(l->waiter, k);
	send_off(l, l->waiter);
}

/* A fetch is held no longer.  The same token tells whether it got a task; when the loop ends that is handed back. */
static void
unhold(struct loop *l)
{
	struct call *k = l->held;

	if (!k)
		return;
	client_cancel(l->waiter, k);
	client_close(l->waiter);
	l->waiter = NULL;
	l->held = NULL;
	k->wait = 0;
	k->deadline = sys_mono() + (l->closed || l->interrupted ? PARTING : UNREACHABLE) * SECOND;
	l->fetch[l->fetches++] = k;
	client_send(l->client, k);
}

static void
wait_for_tasks(struct loop *l, int64_t now)
{
	if (l->closed || l->interrupted)
		unhold(l);
	if (l->runs)
		l->idle = now;
	l->dry = l->dry && next_rested(l) > now;
	if (!l->dry || l->closed || l->interrupted)
		return;
	if (l->ask_at && l->ask_at <= now)
		l->dry = false;
	else if (l->o->wait > 0 && client_ours(l->client) && !l->held && !l->ask_at && busy(l) < (size_t)l->o->slots &&
	    (double)(now - l->idle) / 1e6 < l->o->wait && hold_most(l, now) >= 1)
		hold_fetch(l, now);
}

/* ---- tasks that we put back ---- */

static void
let_rest(struct loop *l, const char *id, int64_t now)
{
	struct rest *r = NULL;

	for (size_t i = 0; i < l->rests; i++)
		if (!strcmp(l->resting[i].id, id))
			r = &l->resting[i];
	if (!r) {
		l->resting = xrealloc(l->resting, (l->rests + 1) * sizeof *l->resting);
		r = &l->resting[l->rests++];
		*r = (struct rest){.times = 0};
		snprintf(r->id, sizeof r->id, "%s", id);
	}
	r->until = now + ((int64_t)REST << (r->times < RESTS ? r->times : RESTS)) * SECOND;
	r->over = false;
	r->times++;
}

/* Before a fetch: those that have rested may be taken again. */
static void
wake_rested(struct loop *l, int64_t now)
{
	for (size_t i = l->rests; i-- > 0;) {
		struct rest *r = &l->resting[i];

		r->over = r->until <= now;
		if (r->until + FORGET * SECOND <= now)
			*r = l->resting[--l->rests];
	}
}

/* ---- a fetch whose answer was lost on a server without tokens: what it took is handed back (OURS 1) ---- */

static bool
running_here(const struct loop *l, const char *id)
{
	for (size_t i = 0; i < l->runs; i++)
		if (!strcmp(run_task(l->run[i]), id))
			return true;
	return false;
}

static struct call *
make_search(const struct loop *l)
{
	struct call *k = call_new(API_TASK_SEARCH);
	struct json_doc *d = json_new();
	struct json *body = json_mkobj(d), *filter = json_mkobj(d);

	json_settext(d, filter, "worker_id", l->worker);
	json_settext(d, body, "status", "running");
	json_sets(d, body, "extra_filter", filter);
	json_print(&k->body, body, 0);
	json_free(d);
	k->deadline = sys_mono() + (l->closed ? PARTING : UNREACHABLE) * SECOND;
	return k;
}

/* Hands back what runs under our name and not here.  Others can have nothing against it: the worker is ours. */
static void
hand_back(struct loop *l, const struct json *content)
{
	struct call *k = call_new(API_TASK_UPDATE);
	struct json_doc *d = json_new();
	struct json *list = json_mkarr(d);

	for (const struct json *t = content ? content->head : NULL; t; t = t->next) {
		const struct json *id = json_gets(t, "task_id");
		struct json *u = json_mkobj(d);

		if (!json_text(id).p || running_here(l, id->s))
			continue;
		json_sets(d, u, "task_id", json_copy(d, id));
		json_settext(d, u, "status", "pending");
		json_push(list, u);
	}
	json_print(&k->body, list, 0);
	snprintf(k->query, sizeof k->query, "reset_pending=false");
	if (list->len && client_run(l->client, k) < 0)
		warn("loop: %s", k->err.msg);
	json_free(d);
	call_free(k);
}

static void
look_for_lost(struct loop *l)
{
	struct call *k = l->search;

	if (!k) {
		l->search = make_search(l);
		client_send(l->client, l->search);
		return;
	}
	if (!k->done)
		return;
	l->search = NULL;
	l->looking = false;
	if (k->status == 200)
		hand_back(l, call_get(k, "content"));
	else
		refused(l, k);
	call_free(k);
}

/* A job has ended. */
static void
note_end(struct loop *l, const struct run *r, int64_t now)
{
	const struct run_result *s = run_result(r);

	if (s->back && !l->stop)
		let_rest(l, run_task(r), now);
	l->row = s->failed || s->back ? l->row + 1 : 0;
	l->progress.done += s->done;
	l->progress.failed += s->failed;
	if (l->o->max_failures && l->row >= l->o->max_failures && !l->closed) {
		warn("loop: %ld failure%s in a row: no more tasks are taken (--max-failures)", (long)l->row, l->row > 1 ? "s" : "");
		close_loop(l, EXIT_FAILURES);
	}
	if (!busy(l) && !l->prompt.q)
		term_restore(&l->tty);
}

/* ---- the terminal: questions, and keys for a job ---- */

static const struct question failed_question = {"The task failed.", {"Report", "Ignore"}};
static const struct question go_on_question = {"Go on with the next task?", {"Continue", "Exit"}};

static void
paint(struct loop *l, int64_t now)
{
	struct buf b = {0};

	l->repaint = prompt_line(&l->prompt, &b, now);
	sink_put(&l->sink[1], b.p, b.len);
	buf_free(&b);
}

static void
begin_question(struct loop *l, const struct question *q, struct run *about, int64_t now)
{
	l->asked = about;
	prompt_begin(&l->prompt, q, now);
	term_keys(&l->tty);
	paint(l, now);
}

/* A failure is asked about; then, unless we end anyway, whether to go on. */
static void
end_question(struct loop *l, int answer, int64_t now)
{
	struct run *about = l->asked;

	sink_put(&l->sink[1], "\r\n", 2);
	l->prompt.q = NULL;
	term_restore(&l->tty);
	if (!about) {
		if (answer)
			close_loop(l, 128 + SIGINT);
		return;
	}
	run_answer(about, !answer, now);
	if (!l->interrupted && !l->closed)
		begin_question(l, &go_on_question, NULL, now);
}

static void
ask(struct loop *l, int64_t now)
{
	int answer;

	for (size_t i = 0; i < l->runs && !l->prompt.q; i++)
		if (run_asks(l->run[i]))
			begin_question(l, &failed_question, l->run[i], now);
	if (!l->prompt.q)
		return;
	if (l->asked ? !run_asks(l->asked) : l->closed) {   /* a signal has answered */
		l->prompt.q = NULL;
		term_restore(&l->tty);
		return;
	}
	answer = prompt_answer(&l->prompt, now);
	if (answer >= 0)
		end_question(l, answer, now);
	else if (now >= l->repaint)
		paint(l, now);
}

/* Ctrl-C goes to the job; after it we end. */
static void
take_interrupt(struct loop *l)
{
	l->interrupted = true;
	if (!l->rc)
		l->rc = 128 + SIGINT;
}

static int
job_terminal(const struct loop *l)
{
	for (size_t i = 0; i < l->runs; i++)
		if (run_pty(l->run[i]) >= 0)
			return run_pty(l->run[i]);
	return -1;
}

/* Ctrl-C goes to a job's terminal as a key, whose modes say whether it interrupts there.  Ctrl-Z, too; but a job that leads a
 * session cannot be stopped by it, so unless another group has the foreground there it is for us. */
static void
note_signals(struct loop *l, int fd, const char *p, size_t n)
{
	struct termios m;

	if (tcgetattr(fd, &m) < 0 || !(m.c_lflag & ISIG))
		return;
	if (memchr(p, CTRL_C, n))
		take_interrupt(l);
	for (size_t i = 0; memchr(p, CTRL_Z, n) && i < l->runs; i++)
		if (run_pty(l->run[i]) == fd && run_leads(l->run[i]))
			kill(0, SIGTSTP);
}

static void
read_keys(struct loop *l)
{
	int fd = job_terminal(l);
	char keys[512];
	ssize_t n = sys_read(l->tty.fd, keys, sizeof keys);

	if (n <= 0) {
		term_restore(&l->tty);   /* it is gone */
		l->tty.fd = -1;
		return;
	}
	if (l->prompt.q) {
		prompt_keys(&l->prompt, keys, (size_t)n);
		l->repaint = 0;
	} else if (fd >= 0) {
		note_signals(l, fd, keys, (size_t)n);
		buf_add(&l->typed, keys, (size_t)n);
	}
}

/* What was typed, to the job's terminal, as far as that takes it without waiting. */
static void
type(struct loop *l)
{
	int fd = l->typed.len ? job_terminal(l) : -1;
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	ssize_t n;

	if (l->typed.len && fd < 0)
		buf_clear(&l->typed);
	while (fd >= 0 && l->typed.len && poll(&p, 1, 0) > 0 && (p.revents & POLLOUT)) {
		n = write(fd, l->typed.p, l->typed.len < 64 ? l->typed.len : 64);
		if (n <= 0)
			break;
		buf_drop(&l->typed, (size_t)n);
	}
}

static void
resize(struct loop *l)
{
#ifdef SIGWINCH
	if (!taken(SIGWINCH))
		return;
	for (size_t i = 0; i < l->runs; i++)
		if (run_pty(l->run[i]) >= 0)
			pty_size(run_pty(l->run[i]));
#else
	(void)l;
#endif
}

/* ---- the line of progress ---- */

static struct sink *voice;

/* See warn_put: our own lines too stand above it. */
static void
say_above(struct str text)
{
	char *line = xprintf("labtasker: %.*s\n", (int)text.n, text.p);

	sink_put(voice, line, strlen(line));
	free(line);
}

/* For several slots at a terminal that can take a line back. */
static void
begin_progress(struct loop *l)
{
	const char *term = getenv("TERM");

	if (l->o->slots < 2 || !isatty(2) || !term || !strcmp(term, "dumb"))
		return;
	l->foot.on = voice = &l->sink[1];
	for (int i = 0; i < 2; i++)
		l->sink[i].foot = isatty(l->sink[i].fd) ? &l->foot : NULL;
	warn_put = say_above;
}

static void
end_progress(struct loop *l)
{
	if (!l->foot.on)
		return;
	sink_foot(&l->foot, (struct str){0});
	warn_put = NULL;
	if (l->stats)
		client_cancel(l->client, l->stats);
	call_free(l->stats);
}

/* Asks a server of ours now and then how many tasks there are. */
static void
count_queue(struct loop *l, int64_t now)
{
	const struct json *tasks = l->stats ? call_get(l->stats, "tasks") : NULL;
	int64_t pending, running;

	if (l->stats && l->stats->done) {
		if (!json_int(json_gets(tasks, "pending"), &pending) && !json_int(json_gets(tasks, "running"), &running))
			progress_queue(&l->progress, pending, running, now);
		call_free(l->stats);
		l->stats = NULL;
	}
	if (l->stats || now < l->stats_at || !client_ours(l->client))
		return;
	l->stats = call_new(API_STATS);
	l->stats_at = now + COUNT * SECOND;
	client_send(l->client, l->stats);
}

/* When the next picture is due: soon where output has taken it away. */
static int64_t
draw_at(const struct loop *l)
{
	return l->drawn + (l->foot.shown ? SECOND : DRAW);
}

static void
show_progress(struct loop *l, int64_t now)
{
	struct buf b = {0};

	if (!l->foot.on)
		return;
	count_queue(l, now);
	if (now < draw_at(l))
		return;
	l->drawn = now;
	l->progress.running = (int64_t)busy(l);
	progress_line(&l->progress, &b, now, sys_columns(2));
	if (tcgetpgrp(2) == getpgrp())
		sink_foot(&l->foot, (struct str){b.p, b.len});
	buf_free(&b);
}

/* ---- turns ---- */

/* Where in the list of descriptors whose begin. */
struct part {
	size_t client, waiter, runs, pipes;
};

static void
cut_short(struct call *k, int64_t until)
{
	if (k && k->deadline > until)
		k->deadline = until;
}

static void
stop_all(struct loop *l, enum run_urgency u, int64_t now)
{
	for (size_t i = 0; i < l->runs; i++)
		run_stop(l->run[i], u, now);
	for (int i = 0; i < l->fetches; i++)
		cut_short(l->fetch[i], now + PARTING * SECOND);
	cut_short(l->search, now + PARTING * SECOND);
	l->closed = true;
	unhold(l);
}

/* Ctrl-C at a terminal where somebody can answer: to the job first, then to us. */
static bool
interrupt(struct loop *l)
{
	if (l->env.on_failure != FAIL_ASK || l->interrupted || !busy(l))
		return false;
	take_interrupt(l);
	for (size_t i = 0; i < l->runs; i++)
		run_signal(l->run[i], SIGINT);
	return true;
}

static void
end_by(struct loop *l, int sig, int64_t now)
{
	static const enum run_urgency how[] = {STOP_WARN, STOP_TERM, STOP_KILL};
	bool warns = l->env.warn_signal && l->env.warn_signal != SIGTERM;

	if (sig == SIGINT && interrupt(l))
		return;
	if (l->prompt.q)
		sink_put(&l->sink[1], "\r\n", 2);
	warn("loop: signal %d: %s", sig, !busy(l) ? "ending" : l->urgency ? "hastening the job's end" :
	    "ending the job and handing the task back");
	stop_all(l, l->urgency ? how[l->urgency + !warns > 2 ? 2 : l->urgency + !warns] : STOP_WARN, now);
	l->urgency++;
	l->stop = l->stop ? l->stop : sig;
	if (!l->rc || l->rc == EXIT_REFUSED)
		l->rc = 128 + l->stop;
}

/* The jobs are groups of their own, which a shell does not know: we stop them with us. */
static void
suspend(struct loop *l)
{
	bool keys = l->tty.changed;

	for (size_t i = 0; i < l->runs; i++)
		run_signal(l->run[i], SIGSTOP);
	term_restore(&l->tty);
	signal(SIGTSTP, SIG_DFL);
	raise(SIGTSTP);   /* returns when somebody has us continue */
	signals_set(true);
	for (size_t i = 0; i < l->runs; i++)
		run_signal(l->run[i], SIGCONT);
	if (keys)
		term_keys(&l->tty);
#ifdef SIGWINCH
	marks[SIGWINCH] = 1;
#endif
	l->repaint = 0;
}

static void
drain(struct loop *l, int sig)
{
	if (!l->closed)
		warn("loop: signal %d: no more tasks are taken", sig);
	close_loop(l, EXIT_AGAIN);
	unhold(l);
}

/* What the signals since the last turn ask for. */
static void
obey(struct loop *l, int64_t now)
{
	for (size_t i = 0; i < LEN(signals); i++) {
		int sig = signals[i].sig;

		if (signals[i].kind == WAKES || !taken(sig))
			continue;
		if (signals[i].kind == ENDS)
			end_by(l, sig, now);
		else if (signals[i].kind == STOPS)
			suspend(l);
		else
			drain(l, sig);
	}
}

/* The end of our time: jobs are asked to end one grace before it. */
static void
watch_clock(struct loop *l, int64_t now)
{
	if (l->stop || l->end_at == INT64_MAX)
		return;
	if (now >= l->end_at - l->env.grace) {
		warn("loop: the time is up: %s", busy(l) ? "ending the job and handing the task back" : "ending");
		stop_all(l, STOP_WARN, now);
		l->stop = SIGTERM;
		l->urgency++;
		l->rc = l->rc ? l->rc : EXIT_AGAIN;
	} else if (!l->closed && short_of_time(l, now)) {
		l->begin_at = l->end_at;
		if (l->runs || l->fetches || l->held || (l->dry && !(l->o->wait > 0)))
			return;
		warn("loop: less than %g s is left (--min-left): no more tasks are taken", l->o->min_left);
		close_loop(l, EXIT_AGAIN);
	}
}

static void
step_runs(struct loop *l, int64_t now)
{
	for (size_t i = l->runs; i-- > 0;) {
		struct run *r = l->run[i];
		bool over = run_step(r, now);

		if (run_fresh(r))
			note_end(l, r, now);
		if (run_result(r)->inactive && !l->suspended) {
			warn("loop: worker %s was suspended: no more tasks are taken", l->worker);
			close_loop(l, EXIT_WORKER);
			l->suspended = true;
		}
		if (!over)
			continue;
		run_free(r);
		l->run[i] = l->run[--l->runs];
		l->dry = false;   /* a task may be back; */
		unhold(l);        /* a held fetch would not take it */
		l->idle = now;
	}
}

/* Whether anything is under way. */
static bool
works(const struct loop *l)
{
	return l->runs || l->fetches || l->held || l->looking || l->prompt.q;
}

static bool
finished(const struct loop *l, int64_t now)
{
	if (works(l))
		return false;
	if (l->closed || l->interrupted || (l->o->max_tasks && l->started >= l->o->max_tasks))
		return true;
	if (l->ask_at && l->ask_at <= now)
		return false;
	return l->dry && next_rested(l) == INT64_MAX && (double)(now - l->idle) / 1e6 >= l->o->wait;
}

static void
move(struct loop *l, int64_t now)
{
	take_fetches(l, now);
	obey(l, now);        /* first: a job that ended together with our being told to may have been told so as well */
	step_runs(l, now);
	watch_clock(l, now);
	ask(l, now);
	if (l->looking)
		look_for_lost(l);
	wait_for_tasks(l, now);
	while (may_fetch(l, now)) {
		struct call *k;

		wake_rested(l, now);
		k = make_fetch(l, false);
		l->fetch[l->fetches++] = k;
		client_send(l->client, k);
	}
}

static void
sooner(int64_t *wake, int64_t t)
{
	if (t && t < *wake)
		*wake = t;
}

/* What is due without anybody moving. */
static void
alarms(const struct loop *l, int64_t now, int64_t *wake)
{
	if (now < l->begin_at && !l->closed)
		sooner(wake, l->begin_at);
	if (l->end_at != INT64_MAX && !l->stop)
		sooner(wake, l->end_at - l->env.grace);
	if (l->end_at != INT64_MAX && !l->closed && !short_of_time(l, now))
		sooner(wake, l->end_at - (int64_t)(l->o->min_left * 1e6));
	if (l->prompt.q)
		sooner(wake, l->repaint);
	if (l->foot.on)
		sooner(wake, draw_at(l));
	if (!l->dry || l->closed)
		return;
	sooner(wake, l->ask_at);
	sooner(wake, next_rested(l));
	if (l->o->wait > 0 && l->o->wait < LOOP_FOREVER && !works(l) && next_rested(l) == INT64_MAX)
		sooner(wake, l->idle + (int64_t)(l->o->wait * 1e6));
}

/* Whether keys are read: for a question, or for a job with a terminal of its own. */
static bool
listens(const struct loop *l)
{
	return l->tty.changed && (l->prompt.q || l->typed.len < TYPED);
}

/* The descriptors to wait for: the pipe, the terminal, the sinks', the clients', each run's, then those of --pipe's idle
 * processes. */
static size_t
gather(struct loop *l, struct part *p, int64_t *wake)
{
	size_t slots = l->pipe ? (size_t)l->o->slots : 0, n = 0, need = 4 + 2 * CLIENT_FDS + RUN_FDS * l->runs + PIPE_FDS * slots;

	if (need > l->nfds) {
		l->nfds = 2 * need;
		l->fds = xrealloc(l->fds, l->nfds * sizeof *l->fds);
	}
	l->fds[n++] = (struct pollfd){.fd = wake_pipe[0], .events = POLLIN};
	l->fds[n++] = (struct pollfd){.fd = listens(l) ? l->tty.fd : -1, .events = POLLIN};
	for (int i = 0; i < 2; i++)
		l->fds[n++] = (struct pollfd){.fd = l->sink[i].kept.len ? l->sink[i].fd : -1, .events = POLLOUT};
	p->client = n;
	n += (size_t)client_fds(l->client, l->fds + n, wake);
	p->waiter = n;
	if (l->waiter)
		n += (size_t)client_fds(l->waiter, l->fds + n, wake);
	p->runs = n;
	for (size_t i = 0; i < l->runs; i++)
		n += (size_t)run_fds(l->run[i], l->fds + n, wake);
	p->pipes = n;
	for (size_t i = 0; i < slots; i++)
		if (pipe_idle(l->pipe[i]))
			n += (size_t)pipe_fds(l->pipe[i], l->fds + n, !sink_full(&l->sink[0]) && !sink_full(&l->sink[1]), wake);
	return n;
}

static void
put(void *arg, int which, const char *p, size_t n)
{
	struct loop *l = arg;

	sink_put(&l->sink[which - 1], p, n);
}

/* Processes of --pipe without a task: what they say is shown, and that they end is noted. */
static void
rest_pipes(struct loop *l, const struct pollfd *fds, int n)
{
	for (int i = 0; l->pipe && i < l->o->slots; i++) {
		if (!pipe_idle(l->pipe[i]))
			continue;
		pipe_read(l->pipe[i], fds, n, put, l);
		pipe_rest(l->pipe[i]);
	}
}

/* Nothing is left to do; but the processes of --pipe are to end first. */
static bool
all_ended(struct loop *l, int64_t now)
{
	bool all = true;

	if (!l->pipe)
		return true;
	l->closed = true;
	for (int i = 0; i < l->o->slots; i++)
		all = pipe_end(l->pipe[i], l->urgency, l->env.grace, now) && all;
	return all;
}

static void
turn(struct loop *l)
{
	int64_t wake = l->news ? 0 : sys_mono() + WAKE * SECOND;
	struct part p;
	char drain[256];
	size_t n;

	alarms(l, sys_mono(), &wake);
	n = gather(l, &p, &wake);
	if (poll(l->fds, (nfds_t)n, sys_timeout(wake, sys_mono())) < 0)
		for (size_t i = 0; i < n; i++)
			l->fds[i].revents = 0;
	if (l->fds[0].revents)
		(void)!read(wake_pipe[0], drain, sizeof drain);
	if (l->fds[1].revents)
		read_keys(l);
	for (int i = 0; i < 2; i++)
		sink_flush(&l->sink[i]);
	client_step(l->client, l->fds + p.client, (int)(p.waiter - p.client));
	if (l->waiter)
		client_step(l->waiter, l->fds + p.waiter, (int)(p.runs - p.waiter));
	for (size_t i = 0; i < l->runs; i++)
		run_read(l->run[i], l->fds + p.runs, (int)(p.pipes - p.runs));
	rest_pipes(l, l->fds + p.pipes, (int)(n - p.pipes));
	type(l);
	if (taken(SIGALRM))
		beats(l, sys_mono());
	resize(l);
	l->news = false;
	move(l, sys_mono());
	show_progress(l, sys_mono());
	send_off(l, l->client);
}

/* ---- from the start to the end ---- */

void
loop_advise(const struct loop_opts *o)
{
	struct json_doc *d = json_new();
	const char *value = recipe_shell_value(o->env.recipe);
	bool any = !loop_required(o, d)->len;

	if (value)
		warn("loop: the value of %%(%s) will be run as shell text: write labtasker loop -- sh -c 'CMD \"$1\"' x '%%(%s)', or "
		    "labtasker loop -c TEXT, which quotes it", value, value);
	if (any && o->pipe)
		warn("loop: --pipe without --require: it takes every task, whatever its args");
	else if (any)
		warn("loop: the command names no %%(...): it takes every task, whatever its args");
	json_free(d);
}

static int
start(struct loop *l)
{
	struct err e = {0};
	char uuid[37];

	if (sys_pipe(wake_pipe) < 0) {
		warn("loop: pipe: %s: raise the limit of descriptors (ulimit -n)", strerror(errno));
		return EXIT_REFUSED;
	}
	sys_nonblock(wake_pipe[0], true);
	sys_nonblock(wake_pipe[1], true);
	l->env.guard = guard_start(&e);
	if (!l->env.guard) {
		warn("loop: %s", e.msg);
		return EXIT_REFUSED;
	}
	if (find_worker(l))   /* a signal just ends us: there is nothing to tidy up yet, and this may wait long */
		return EXIT_REFUSED;
	signals_set(true);
	sys_uuid(uuid);   /* not the worker, which others may be, too */
	snprintf(l->slot, sizeof l->slot, "slot_%s_", uuid);
	if (l->o->fail_only)
		l->env.logs.slot = l->slot;
	return 0;
}

/* What the options leave to us. */
static void
settle(struct loop *l, const struct loop_opts *o, int64_t now)
{
	struct run_env *v = &l->env;
	uint32_t r;

	if (o->pipe)
		l->pipe = xcalloc((size_t)o->slots, sizeof *l->pipe);
	for (int i = 0; o->pipe && i < o->slots; i++)
		l->pipe[i] = pipe_new();
	*v = o->env;
	v->sink = l->sink;
	v->tty = &l->tty;
	v->environ = environ;
	v->worker = l->worker;
	v->logs.root = v->conf->root;
	v->pipe = l->pipe;
	v->in = o->stdin_job ? 0 : -1;
	v->heartbeat_timeout = o->heartbeat_timeout > 0 ? o->heartbeat_timeout : 3 * v->conf->heartbeat;
	v->pty = o->pty < 0 ? o->slots == 1 && !o->pipe && isatty(1) : o->pty;
	v->prefix = o->slots > 1 && !o->plain;
	sink_init(&l->sink[0], 1);
	sink_init(&l->sink[1], 2);
	begin_progress(l);
	term_init(&l->tty);
	if (v->on_failure == FAIL_ASK && (o->slots > 1 || l->tty.fd < 0 || !isatty(2)))
		v->on_failure = FAIL_REPORT;   /* nobody can answer */
	l->client = v->client;
	l->idle = now;
	l->end_at = o->until ? now + (o->until - sys_wall()) : INT64_MAX;
	sys_random(&r, sizeof r);
	l->begin_at = now + (int64_t)(o->start_jitter * 1e6 * ((double)r / 4294967296.0));
}

static void
end(struct loop *l)
{
	struct itimerval none = {.it_interval = {0, 0}, .it_value = {0, 0}};

	setitimer(ITIMER_REAL, &none, NULL);
	term_restore(&l->tty);
	end_progress(l);
	unhold(l);
	for (int i = 0; i < l->fetches; i++) {
		client_cancel(l->client, l->fetch[i]);
		call_free(l->fetch[i]);
	}
	client_close(l->waiter);
	for (int i = 0; l->env.logs.slot && i < l->o->slots; i++) {
		char *slot = xprintf("%s%d", l->env.logs.slot, i);

		rundir_clear(&l->env.logs, slot);
		free(slot);
	}
	if (!l->rc && !l->started)
		tell_unfit(l);
	if (l->automatic && (!l->rc || l->rc == EXIT_AGAIN || l->rc == EXIT_FAILURES || l->rc > 128))
		remove_worker(l);
	for (int i = 0; i < 2; i++)
		sink_end(&l->sink[i], sys_mono() + FLUSH * SECOND);
	if (l->env.guard)
		guard_stop(l->env.guard);
	signals_set(false);
	for (int i = 0; i < 2; i++)
		if (wake_pipe[i] > 2)
			close(wake_pipe[i]);
	buf_free(&l->typed);
	for (int i = 0; l->pipe && i < l->o->slots; i++)
		pipe_free(l->pipe[i]);
	free(l->pipe);
	free(l->resting);
	free(l->run);
	free(l->fds);
}

/* A guard that has died is followed by another. */
static void
keep_guard(struct loop *l)
{
	static bool said;
	struct err e = {0};

	if (getpid() == 1)
		guard_orphans(l->env.guard);
	if (guard_check(l->env.guard, &e) >= 0 || said)
		return;
	warn("loop: %s: until another can be started, kill -9 of the loop would leave its job alive", e.msg);
	said = true;
}

int
worker_loop(const struct loop_opts *o)
{
	struct loop l = {.o = o};

	settle(&l, o, sys_mono());
	loop_advise(o);
	l.rc = start(&l);
	if (!l.rc) {
		move(&l, sys_mono());
		send_off(&l, l.client);
		while (!finished(&l, sys_mono()) || !all_ended(&l, sys_mono())) {
			turn(&l);
			keep_guard(&l);
		}
	}
	end(&l);
	return l.rc;
}
