/* SPDX-License-Identifier: MIT */
/*
 * The loop: a worker, slots for jobs, and the calls that fill them.  Signals become marks and a byte on a pipe; heartbeats are due when
 * the interval timer says so; all else is one poll.  A slot that becomes free asks for the next task in the same breath as the
 * report of the last one leaves: our server answers both in one round trip and with one sync.
 *
 * It ends when a fetch finds nothing and no run of ours is left that could put a task back; on a signal, once its jobs have ended and
 * what became of them is told; and when the worker may fetch no more.
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

#define SECOND ((int64_t)1000000)

extern char **environ;

enum {
	UNREACHABLE = 600,        /* seconds without an answer to a fetch, after which the loop gives up */
	FLUSH = 5,                /* seconds for a slow reader of our output, at the end */
	CALLS = 4                 /* fetches under way at once */
};

struct loop {
	const struct loop_opts *o;
	struct run_env env;
	struct sink sink[2];
	char worker[40];
	bool automatic;           /* the worker was made by us */
	struct run **run;
	size_t runs, cap;
	struct call *fetch[CALLS];
	int fetches;
	bool dry;                 /* the last fetch found nothing, and nothing has ended since */
	int stop;                 /* the signal that ends us; 0: none */
	bool closed;              /* no more fetches */
	int rc;                   /* the exit status so far */
	bool looking;             /* a fetch was lost: its task must be found before the next */
	struct call *search;
	struct pollfd *fds;
	size_t nfds;
};

/* ---- signals ---- */

static volatile sig_atomic_t marks[65];
static int wake_pipe[2];

static void
mark(int sig)
{
	int why = errno;

	marks[sig] = 1;
	(void)!write(wake_pipe[1], "", 1);   /* a full pipe wakes as well */
	errno = why;
}

/* What a signal does.  Those that were ignored when we began (nohup, a shell's background) stay so. */
static const struct {
	int sig;
	enum { ENDS, TELLS } kind;
} signals[] = {{SIGTERM, ENDS}, {SIGINT, ENDS}, {SIGHUP, ENDS}, {SIGCHLD, TELLS}, {SIGALRM, TELLS}};

static void
signals_set(bool on)
{
	struct sigaction act = {.sa_handler = on ? mark : SIG_DFL, .sa_flags = SA_RESTART}, old;

	sigfillset(&act.sa_mask);
	for (size_t i = 0; i < LEN(signals); i++) {
		if (signals[i].kind == ENDS && !sigaction(signals[i].sig, NULL, &old) && old.sa_handler == SIG_IGN)
			continue;
		sigaction(signals[i].sig, &act, NULL);
	}
}

static bool
taken(int sig)
{
	bool was = marks[sig];

	marks[sig] = 0;
	return was;
}

/* ---- heartbeats ---- */

/* Sends those that are due, and has the timer wake us for the next. */
static void
beats(struct loop *l, int64_t now)
{
	int64_t next = INT64_MAX;
	struct itimerval t = {.it_interval = {0, 0}, .it_value = {0, 0}};

	for (size_t i = 0; i < l->runs; i++) {
		int64_t at = run_beat(l->run[i], now);

		next = at < next ? at : next;
	}
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
		json_set(d, o, str_of(key), json_mkstr(d, str_of(text)));
}

/* Who we are, for whoever looks at the workers. */
static struct json *
about_us(struct json_doc *d)
{
	struct json *m = json_mkobj(d);

	add_text(d, m, "host", sys_host());
	json_set(d, m, str_of("pid"), json_mkint(d, getpid()));
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
	json_set(d, body, str_of("worker_name"), json_mknull(d));
	json_set(d, body, str_of("metadata"), about_us(d));
	json_set(d, body, str_of("max_retries"), json_mkint(d, 3));
	json_print(&k->body, body, 0);
	rc = client_run(l->o->client, k) < 0 ? EXIT_REFUSED : 0;
	id = k->doc ? json_gets(k->doc->root, "worker_id") : NULL;
	if (rc) {
		warn("loop: %s", k->err.msg);
	} else if (!id || id->type != JSON_STR || id->len >= sizeof l->worker || !name_valid((struct str){id->s, id->len})) {
		warn("loop: %s: it made a worker without a proper id: is it a labtasker server?", client_url(l->o->client));
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
	const struct json *v;

	snprintf(k->id, sizeof k->id, "%s", l->worker);
	snprintf(gone->id, sizeof gone->id, "%s", l->worker);
	k->deadline = gone->deadline = sys_mono() + 2 * SECOND;
	if (!client_run(l->o->client, k) && (v = json_gets(k->doc ? k->doc->root : NULL, "status")) && v->type == JSON_STR &&
	    !strcmp(v->s, "active"))
		client_run(l->o->client, gone);
	call_free(gone);
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

/* Reports and the next fetch go out together to a server of ours only. */
static bool
may_fetch(const struct loop *l)
{
	bool ours = client_ours(l->o->client);

	if (l->closed || l->stop || l->dry || l->looking || l->fetches >= (ours ? CALLS : 1))
		return false;
	return (ours ? busy(l) : l->runs) + (size_t)l->fetches < (size_t)l->o->slots;
}

static struct call *
make_fetch(const struct loop *l)
{
	struct call *k = call_new(API_FETCH);
	struct json_doc *d = json_new();
	struct json *body = json_mkobj(d);

	json_set(d, body, str_of("worker_id"), json_mkstr(d, str_of(l->worker)));
	add_text(d, body, "eta_max", l->o->eta_max);
	json_set(d, body, str_of("heartbeat_timeout"), json_mkdouble(d, l->env.heartbeat_timeout));
	json_set(d, body, str_of("start_heartbeat"), json_mkbool(d, true));
	json_set(d, body, str_of("required_fields"), recipe_required(l->o->recipe, d));
	if (l->o->filter)
		json_set(d, body, str_of("extra_filter"), json_copy(d, l->o->filter));
	json_set(d, body, str_of("cmd"), recipe_cmd(l->o->recipe, d));
	json_print(&k->body, body, 0);
	json_free(d);
	k->deadline = sys_mono() + UNREACHABLE * SECOND;
	return k;
}

static void
begin_run(struct loop *l, struct call *k, int64_t now)
{
	struct json_doc *doc = k->doc;
	struct err e = {0};
	struct run *r;

	k->doc = NULL;
	r = run_new(&l->env, doc, client_ours(l->o->client) ? k->key : "", sys_wall(), now, &e);
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
	if (l->stop)
		run_stop(r, SIGTERM, now);
	beats(l, now);
}

/* What the answer to a fetch means, by its status. */
static void
refused(struct loop *l, const struct call *k)
{
	if (k->status == 403)
		warn("loop: worker %s may fetch no more: %s; `labtasker worker report %s active` lets it again", l->worker, k->err.msg, l->worker);
	else
		warn("loop: %s", k->err.msg);
	close_loop(l, k->status == 403 ? EXIT_WORKER : k->status == 400 || k->status == 422 ? EXIT_USAGE : EXIT_REFUSED);
}

static void
fetched(struct loop *l, struct call *k, int64_t now)
{
	const struct json *found = k->doc ? json_gets(k->doc->root, "found") : NULL;

	if (k->status == 0 && k->unknown && !l->stop)
		l->looking = true;
	else if (k->status != 200)
		refused(l, k);
	else if (found && found->type == JSON_BOOL && found->is)
		begin_run(l, k, now);
	else
		l->dry = true;
}

static void
take_fetches(struct loop *l, int64_t now)
{
	for (int i = 0; i < l->fetches; i++) {
		struct call *k = l->fetch[i];

		if (!k->done)
			continue;
		memmove(l->fetch + i, l->fetch + i + 1, (size_t)(l->fetches - i - 1) * sizeof *l->fetch);
		l->fetches--;
		i--;
		fetched(l, k, now);
		call_free(k);
	}
}

/* ---- a fetch whose answer was lost on a server without tokens: what it took is handed back (OURS 1) ---- */

static bool
running_here(const struct loop *l, const struct json *id)
{
	for (size_t i = 0; i < l->runs; i++)
		if (!strcmp(run_task(l->run[i]), id->s))
			return true;
	return false;
}

static struct call *
make_search(const struct loop *l)
{
	struct call *k = call_new(API_TASK_SEARCH);
	struct json_doc *d = json_new();
	struct json *body = json_mkobj(d), *filter = json_mkobj(d);

	json_set(d, filter, str_of("worker_id"), json_mkstr(d, str_of(l->worker)));
	json_set(d, body, str_of("status"), json_mkstr(d, str_of("running")));
	json_set(d, body, str_of("extra_filter"), filter);
	json_print(&k->body, body, 0);
	json_free(d);
	k->deadline = sys_mono() + UNREACHABLE * SECOND;
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

		if (!id || id->type != JSON_STR || running_here(l, id))
			continue;
		json_set(d, u, str_of("task_id"), json_copy(d, id));
		json_set(d, u, str_of("status"), json_mkstr(d, str_of("pending")));
		json_push(list, u);
	}
	json_print(&k->body, list, 0);
	snprintf(k->query, sizeof k->query, "reset_pending=false");
	if (list->len && client_run(l->o->client, k) < 0)
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
		client_send(l->o->client, l->search);
		return;
	}
	if (!k->done)
		return;
	l->search = NULL;
	l->looking = false;
	if (k->status == 200)
		hand_back(l, json_gets(k->doc ? k->doc->root : NULL, "content"));
	else
		refused(l, k);
	call_free(k);
}

/* ---- turns ---- */

/* What the signals since the last turn ask for. */
static void
obey(struct loop *l, int64_t now)
{
	for (size_t i = 0; i < LEN(signals); i++) {
		int sig = signals[i].sig;

		if (signals[i].kind != ENDS || !taken(sig))
			continue;
		warn("loop: signal %d: %s", sig, l->stop ? "killing the job" : busy(l) ? "ending the job and handing the task back" : "ending");
		for (size_t k = 0; k < l->runs; k++)
			run_stop(l->run[k], l->stop ? SIGKILL : sig == SIGINT ? SIGINT : SIGTERM, now);
		l->stop = l->stop ? l->stop : sig;
		l->closed = true;
		if (l->rc == 0 || l->rc == EXIT_REFUSED)
			l->rc = 128 + l->stop;
	}
}

static void
step_runs(struct loop *l, int64_t now)
{
	for (size_t i = l->runs; i-- > 0;) {
		struct run *r = l->run[i];

		if (!run_step(r, now))
			continue;
		if (run_result(r)->inactive)
			warn("loop: worker %s was suspended: no more tasks are taken", l->worker);
		if (run_result(r)->inactive)
			close_loop(l, EXIT_WORKER);
		run_free(r);
		l->run[i] = l->run[--l->runs];
		l->dry = false;
	}
}

/* Takes back what was asked for and not answered when a signal came: a task that comes all the same is handed back. */
static bool
finished(const struct loop *l)
{
	return !l->runs && !l->fetches && !l->looking && (l->closed || l->dry);
}

static void
move(struct loop *l, int64_t now)
{
	take_fetches(l, now);
	step_runs(l, now);
	obey(l, now);
	if (l->looking)
		look_for_lost(l);
	while (may_fetch(l)) {
		struct call *k = make_fetch(l);

		l->fetch[l->fetches++] = k;
		client_send(l->o->client, k);
	}
}

/* The descriptors to wait for: the pipe, the client's, the sinks', then each run's. */
static size_t
gather(struct loop *l, size_t *client, int64_t *wake)
{
	size_t n = 0, need = 3 + CLIENT_FDS + JOB_FDS * l->runs;

	if (need > l->nfds) {
		l->nfds = 2 * need;
		l->fds = xrealloc(l->fds, l->nfds * sizeof *l->fds);
	}
	l->fds[n++] = (struct pollfd){.fd = wake_pipe[0], .events = POLLIN};
	*client = (size_t)client_fds(l->o->client, l->fds + n, wake);
	n += *client;
	for (int i = 0; i < 2; i++)
		l->fds[n++] = (struct pollfd){.fd = l->sink[i].kept.len ? l->sink[i].fd : -1, .events = POLLOUT};
	for (size_t i = 0; i < l->runs; i++)
		n += (size_t)run_fds(l->run[i], l->fds + n, wake);
	return n;
}

static int
until(int64_t wake)
{
	int64_t left = wake == INT64_MAX ? 60000 : (wake - sys_mono() + 999) / 1000;

	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void
turn(struct loop *l)
{
	int64_t wake = INT64_MAX;
	size_t client, n = gather(l, &client, &wake), at = 1 + client + 2;
	char drain[256];

	if (poll(l->fds, (nfds_t)n, until(wake)) < 0)
		for (size_t i = 0; i < n; i++)
			l->fds[i].revents = 0;
	if (l->fds[0].revents)
		(void)!read(wake_pipe[0], drain, sizeof drain);
	for (int i = 0; i < 2; i++)
		sink_flush(&l->sink[i]);
	client_step(l->o->client, l->fds + 1, (int)client);
	for (size_t i = 0; i < l->runs; i++)
		run_read(l->run[i], l->fds + at, (int)(n - at));
	if (taken(SIGALRM))
		beats(l, sys_mono());
	move(l, sys_mono());
	client_step(l->o->client, NULL, 0);   /* what was just sent need not wait for a turn */
}

/* ---- from the start to the end ---- */

static void
advise(const struct loop_opts *o)
{
	struct json_doc *d = json_new();
	const char *value = recipe_shell_value(o->recipe);

	if (value)
		warn("loop: the value of %%(%s) will be run as shell text: write labtasker loop -- sh -c 'CMD \"$1\"' x '%%(%s)', or "
		    "labtasker loop -c TEXT, which quotes it", value, value);
	if (!recipe_required(o->recipe, d)->len)
		warn("loop: the command names no %%(...): it takes every task, whatever its args");
	json_free(d);
}

static int
start(struct loop *l)
{
	struct err e = {0};

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
	signals_set(true);
	return find_worker(l);
}

static void
end(struct loop *l)
{
	struct itimerval none = {.it_interval = {0, 0}, .it_value = {0, 0}};

	setitimer(ITIMER_REAL, &none, NULL);
	if (l->automatic && !l->runs && (!l->rc || l->rc == 128 + l->stop))
		remove_worker(l);
	for (int i = 0; i < 2; i++)
		sink_end(&l->sink[i], sys_mono() + FLUSH * SECOND);
	if (l->env.guard)
		guard_stop(l->env.guard);
	signals_set(false);
	for (int i = 0; i < 2; i++)
		if (wake_pipe[i] > 2)
			close(wake_pipe[i]);
	free(l->run);
	free(l->fds);
}

int
worker_loop(const struct loop_opts *o)
{
	struct loop l = {.o = o};
	struct err e = {0};

	l.env = (struct run_env){.client = o->client, .conf = o->conf, .recipe = o->recipe, .sink = l.sink, .environ = environ,
	    .worker = l.worker, .in = o->stdin_job ? 0 : -1, .grace = (int64_t)(o->grace * 1e6), .keep_lost = o->keep_lost,
	    .heartbeat_timeout = o->heartbeat_timeout > 0 ? o->heartbeat_timeout : 3 * o->conf->heartbeat, .verbose = o->verbose};
	sink_init(&l.sink[0], 1);
	sink_init(&l.sink[1], 2);
	advise(o);
	l.rc = start(&l);
	if (!l.rc) {
		move(&l, sys_mono());
		client_step(o->client, NULL, 0);
		while (!finished(&l)) {
			turn(&l);
			if (guard_check(l.env.guard, &e) < 0 && !e.line) {
				warn("loop: %s: until another can be started, kill -9 of the loop would leave its job alive", e.msg);
				e.line = 1;   /* said */
			}
		}
	}
	end(&l);
	return l.rc;
}
