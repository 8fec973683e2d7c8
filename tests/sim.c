/* SPDX-License-Identifier: MIT */
/*
 * The server's core -- queue, journal, auth, api, conn -- in one process, in a world that is made up from a seed: its clocks
 * jump, its disk fills, fails, lies and loses what was not synced (sim/disk.h), its clients send in pieces, lose answers and
 * repeat, freeze past their leases and come back, and the server is killed in the middle of any call.  A model (sim/model.h) says
 * what each answer must be and what the state is after each turn; after a crash that must be a state which the journal's promise
 * allows.  Beside the model each client's own book is held against it: a run that its client may believe in is given to nobody
 * else, and what was acknowledged is there.
 *
 *   SEED=N     this one alone, with what the journal says
 *   SEEDS=N    1 to N, 200 when nothing is said
 *   LIMIT=N    from 1 on, as many as N seconds hold
 */
#include "../server/journal.c"
#include "../server/state.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

/* ---- dice, and what is said of a run that failed ---- */

static uint64_t dice;
static unsigned long seed;
static char last[48][200];
static unsigned said;
static bool finished;

static unsigned
roll(unsigned n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return n ? (unsigned)((dice >> 20) % n) : 0;
}

static bool
chance(unsigned one_in)
{
	return !roll(one_in);
}

static void note(const char *fmt, ...) PRINTF(1, 2);
static void
note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last[said++ % LEN(last)], sizeof last[0], fmt, ap);
	va_end(ap);
}

NORETURN static void wrong(const char *fmt, ...) PRINTF(1, 2);
static void
wrong(const char *fmt, ...)
{
	va_list ap;

	for (unsigned i = said > LEN(last) ? said - (unsigned)LEN(last) : 0; i < said; i++)
		printf("  %u %s\n", i, last[i % LEN(last)]);
	printf("seed %lu: ", seed);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\nagain, alone: make sim SEED=%lu\nsim: %lu passed, 1 failed\n", seed, seed - 1);
	finished = true;
	exit(1);
}

/* The code under test has ended the process. */
static void
ended(void)
{
	if (!finished)
		wrong("the server ended itself");
}

/* ---- the world ---- */

static int64_t now_true, boot, wall_off;   /* the world's time; when the machine was started; how wrong its wall clock is */
static struct journal *jl;
static struct store *st;
static struct auth *au;
static struct rest *api;
static int sync_mode;
static size_t ahead;             /* zeros behind the journal */
static char store_id[37];

static const unsigned char *made_id(int queue, int64_t seq, bool worker);

#include "sim/disk.h"
#include "sim/model.h"

static void
pass(int64_t us)
{
	now_true += us;
	disk.mono = now_true - boot;
	disk.wall = INT64_C(1700000000000000) + now_true + wall_off;
}

/* The id that the server gave to what it made last. */
static const unsigned char *
made_id(int queue, int64_t seq, bool worker)
{
	const struct queue *q = st->by_seq[queue];

	for (const struct task *t = q->last; !worker && t; t = t->prev)
		if (t->v.seq == seq)
			return t->node.id;
	for (const struct worker *w = q->last_worker; worker && w; w = w->prev)
		if (w->v.seq == seq)
			return w->node.id;
	wrong("nothing was made with seq %lld", (long long)seq);
}

/* ---- what may be found after a crash ---- */

enum { PASTS_KEPT = 48 };
static struct model past[PASTS_KEPT];   /* the first is certain, the last is acknowledged */
static int pasts;
static struct model ghost;              /* a turn that was not acknowledged, but may be there */
static bool haunted;
static bool lost;                       /* the power went since the last start */
static bool peace;                      /* nobody kills any more */

static void
certain(void)
{
	past[0] = past[pasts - 1];
	pasts = 1;
}

/* A turn is in the file.  Where too many wait for a sync the system writes by itself. */
static void
committed(void)
{
	for (int i = 0; i < m.tasks; i++)
		m.task[i].used = now_true - m.task[i].start;
	if (pasts == PASTS_KEPT) {
		sync_inode(&disk.inode[disk.fd[jl->file.fd].inode]);
		certain();
	}
	past[pasts++] = m;
	if (sync_mode == SYNC_ALWAYS)
		certain();
}

static void
check_state(const char *when)
{
	char why[200];

	if (store_differs(why, st, true))
		wrong("%s: %s", when, why);
}

/* ---- connections ---- */

enum { LINKS = 24, PIPELINE = 3, CLIENTS = 6, WORKING = 4 };
struct asked {
	struct ask ask;
	size_t end;               /* of its bytes */
	int64_t since;            /* when it was sent first */
	bool revoked;             /* the run that it began was ended by somebody's request */
};
struct link {
	bool used;
	int client, fd;           /* fd: the client's end, -1: it has gone away */
	struct conn *conn;        /* NULL: the server has gone away */
	struct buf out, in;
	size_t sent, got;         /* bytes that were sent, and that the server has read */
	struct asked asked[PIPELINE];
	int n, handled, answered, fresh;   /* fresh: the first that was handled in this turn */
	bool late;                /* a request did not come whole in time: nothing more is taken */
	bool holds, gone;         /* the next is a fetch that waits for a task; the server has seen that the client has gone away */
	struct http http;
	struct buf body;
};
static struct link links[LINKS];
static const struct conn_opts patience = {.max_body = HTTP_BODY, .patience = 30000000, .ping = 15000000};

struct job {
	bool has, keyed, revoked; /* revoked: somebody ended the run by a request */
	uuid id, run;
	double lease;
	int64_t timeout, since, until;   /* until: as long as nobody else may have it */
	int64_t next;
};
static struct client {
	int queue;
	bool token, named;        /* uses run tokens; has a worker */
	uuid worker;
	struct link *link;
	struct job job;
	struct asked again;       /* what it repeats */
	bool repeats;
	int64_t frozen;
} clients[CLIENTS];

static char creds[QUEUES + 1][64];
static uuid keys[8];
static unsigned keys_used;
static uuid acked[TASKS * 4];
static int acks;

static struct link *
link_open(int client)
{
	struct link *l = links;
	int pair[2];

	while (l->used)
		l++;
	if (l == links + LINKS || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		wrong("no connection can be made");
	*l = (struct link){.used = true, .client = client, .fd = pair[0], .out = l->out, .in = l->in, .body = l->body};
	buf_clear(&l->out);
	buf_clear(&l->in);
	buf_clear(&l->body);
	http_init(&l->http, true);
	sys_nonblock(pair[0], true);
	l->conn = conn_new(net_adopt(pair[1], NULL), (uint64_t)(l - links) + 1, "", &patience, (struct now){disk.wall, disk.mono});
	return l;
}

static void
link_end(struct link *l)
{
	if (l->fd < 0 && !l->conn)
		l->used = false;
}

static void
server_drops(struct link *l)
{
	auth_forget(au, conn_peer(l->conn));
	conn_free(l->conn);
	l->conn = NULL;
	l->holds = false;
	link_end(l);
}

static void
id_text(struct buf *b, const char *before, const uuid id, const char *after)
{
	char text[37];

	uuid_print(id, text);
	buf_adds(b, before);
	buf_adds(b, text);
	buf_adds(b, after);
}

static void
put_body(struct buf *b, const struct ask *a)
{
	switch (a->kind) {
	case SUBMIT:
		buf_adds(b, "{\"args\":");
		buf_adds(b, a->shape ? "{\"a\":1,\"b.c\":1}" : "{\"a\":1}");
		buf_printf(b, ",\"max_retries\":%d,\"priority\":%d", (int)a->retries, (int)a->priority);
		break;
	case FETCH:
		buf_printf(b, "{\"required_fields\":%s%s", needs[a->need].text,
		    a->filter ? ",\"extra_filter\":{\"priority\":{\"$gte\":2}}" : "");
		if (a->quiet)
			buf_adds(b, ",\"start_heartbeat\":false");
		if (a->timeout)
			buf_printf(b, ",\"eta_max\":\"%d s\"", (int)a->timeout);
		break;
	case REPORT:
	case SET_WORKER:
		buf_printf(b, "{\"status\":\"%s\"", (a->kind == REPORT ? task_status : worker_status)[a->status]);
		if (a->summary >= 0)
			buf_printf(b, ",\"summary\":{\"s\":%d}", a->summary);
		break;
	case UPDATE:
		id_text(b, "[{\"task_id\":\"", a->id, "\"");
		if (a->status >= 0)
			buf_printf(b, ",\"status\":\"%s\"", task_status[a->status]);
		if (a->priority >= 0)
			buf_printf(b, ",\"priority\":%d", (int)a->priority);
		buf_adds(b, "}]");
		return;
	case FIND:
		buf_printf(b, "{\"status\":\"%s\"", task_status[a->status]);
		break;
	case NEW_WORKER:
		buf_printf(b, "{\"max_retries\":%d", (int)a->retries);
		break;
	default:
		return;
	}
	if (a->kind == SUBMIT && a->timeout)
		buf_printf(b, ",\"task_timeout\":%d", (int)a->timeout);
	if (a->lease > 0)
		buf_printf(b, ",\"heartbeat_timeout\":%d", (int)a->lease);
	if (a->named)
		id_text(b, ",\"worker_id\":\"", a->worker, "\"");
	buf_addc(b, '}');
}

static void
put_ask(struct buf *b, const struct ask *a)
{
	struct buf body = {0};

	put_body(&body, a);
	buf_adds(b, kinds[a->kind].method);
	buf_adds(b, " /api/v1/queues/me");
	for (const char *p = kinds[a->kind].path; *p; p++) {
		if (*p == '*' || *p == '+')
			id_text(b, "", *p == '*' ? a->id : a->worker, "");
		else
			buf_addc(b, *p);
	}
	if (a->kind == BEAT && a->named)
		id_text(b, "?worker_id=", a->worker, "");
	if (a->kind == UPDATE || a->kind == DROP_WORKER)
		buf_printf(b, "?%s=%s", a->kind == UPDATE ? "reset_pending" : "cascade_update", a->reset ? "true" : "false");
	buf_printf(b, " HTTP/1.1\r\nHost: sim\r\nAuthorization: Basic %s\r\n", creds[a->kind == INTRUDE ? QUEUES : a->queue]);
	if (a->keyed)
		id_text(b, a->kind == SUBMIT || a->kind == FETCH ? "Idempotency-Key: " : "Labtasker-Run: ", a->key, "\r\n");
	if (a->wait)
		buf_printf(b, "Prefer: wait=%d\r\n", (int)a->wait);
	buf_printf(b, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", (int)body.len);
	buf_add(b, body.p ? body.p : "", body.len);
	buf_free(&body);
}

static void
link_put(struct link *l, const struct asked *what)
{
	struct asked *x = &l->asked[l->n++];

	*x = *what;
	put_ask(&l->out, &x->ask);
	x->end = l->sent + l->out.len;
}

/* Some of what is to be sent, mostly all. */
static void
link_send(struct link *l)
{
	size_t n = chance(5) ? roll((unsigned)l->out.len + 1) : l->out.len;
	ssize_t k = l->fd >= 0 && n ? write(l->fd, l->out.p, n) : 0;

	if (k <= 0)
		return;
	l->sent += (size_t)k;
	buf_drop(&l->out, (size_t)k);
}

/* ---- the server: turns ---- */

/* A run that somebody may believe in. */
static void
check_owners(const struct ask *a, int client)
{
	char id[37];

	uuid_print(a->about, id);
	for (int i = 0; i < CLIENTS; i++) {
		const struct job *j = &clients[i].job;

		if (i != client && j->has && !j->revoked && same_id(j->id, a->about) && j->until > now_true)
			wrong("task %s has two live owners: client %d for another %lld us, and client %d", id, i,
			    (long long)(j->until - now_true), client);
	}
}

static void
revoke(const uuid id)
{
	const struct mtask *t = m_task(id);

	if (t && t->status == RUNNING)
		return;
	for (int i = 0; i < CLIENTS; i++)
		if (same_id(clients[i].job.id, id))
			clients[i].job.revoked = true;
	for (int i = 0; i < LINKS; i++)
		for (int k = 0; links[i].used && k < links[i].handled; k++)
			if (same_id(links[i].asked[k].ask.about, id))
				links[i].asked[k].revoked = true;
}

/* A fetch that is held gives way to a later one of its token. */
static void
supersede(const struct link *by, const struct ask *a)
{
	for (int i = 0; a->kind == FETCH && a->keyed && i < LINKS; i++) {
		struct link *l = &links[i];

		if (l->used && l->holds && l != by && l->asked[l->handled].ask.keyed && same_id(l->asked[l->handled].ask.key, a->key))
			l->asked[l->handled].ask.until = 0;
	}
}

/* The server has looked at a request: what must it say?  False: nothing yet. */
static bool
expect(struct link *l, struct ask *a)
{
	bool over = a->wait && l->holds && (l->gone || a->until <= now_true);
	char id[37];

	a->found = -1;
	memset(a->about, 0, 16);
	a->want = journal_mode(jl) >= (enum journal_mode)kinds[a->kind].refused ? 503 : over ? 200 : kinds[a->kind].ask(a, disk.wall);
	if (over && a->want == 200)
		a->found = 0;
	if (a->want == 200 && !l->holds)
		supersede(l, a);
	if (a->wait && !over && a->want == 200 && !a->found) {
		if (!l->holds) {
			a->until = now_true + a->wait * 1000000;
			note("client %d: waits for a task", l->client);
		}
		l->holds = true;
		return false;
	}
	l->holds = false;
	uuid_print(same_id(a->about, nobody) ? a->id : a->about, id);
	note("client %d: %s %s%s: %d", l->client, kinds[a->kind].name, id, a->keyed ? " keyed" : "", a->want);
	if (a->kind == FETCH && a->want == 200 && a->found == 1)
		check_owners(a, l->client);
	if ((a->kind == REPORT || a->kind == UPDATE || a->kind == REMOVE) && a->want < 300)
		revoke(a->id);
	return true;
}

static void
looked_at(struct link *l)
{
	while (l->handled < l->n && l->asked[l->handled].end <= l->got && !conn_waits(l->conn))
		if (!expect(l, &l->asked[l->handled].ask))
			return;
		else
			l->handled++;
}

static void
serve_link(struct link *l, bool moved, struct now now)
{
	short want = conn_want(l->conn);
	bool gone = l->fd < 0 && l->got == l->sent;

	l->fresh = l->handled;
	if ((moved && conn_waits(l->conn)) || conn_stalled(l->conn)) {
		conn_resume(l->conn, api, now);
	} else if (want & POLLIN && (l->sent > l->got || l->fd < 0)) {
		conn_input(l->conn, api, now);
		l->got = l->sent;
		l->gone = gone;
	}
	if (!l->holds && !l->late)
		looked_at(l);
}

/* Fetches that waited ask again.  Afterwards nothing is there for those that go on waiting. */
static void
serve_held(struct now now)
{
	void *who;

	while ((who = api_next(api, now))) {
		struct link *l = links;

		while (!l->used || l->conn != who)
			l++;
		conn_resume(l->conn, api, now);
		looked_at(l);
	}
	if (journal_mode(jl) != JOURNAL_FINE)
		return;
	for (int i = 0; i < LINKS; i++) {
		struct ask a = links[i].asked[links[i].handled % PIPELINE].ask;

		if (!links[i].used || !links[i].holds)
			continue;
		if (kinds[FETCH].ask(&a, disk.wall) == 200 && a.found)
			wrong("client %d waits for a task though one is there", links[i].client);
	}
}

static void start(void);

/* The server is no more.  What it sent before is still under way. */
static void
crash(bool power)
{
	note("%s", power ? "the power goes" : "the server is killed");
	for (int i = 0; i < LINKS; i++)
		if (links[i].used && links[i].conn)
			server_drops(&links[i]);
	api_free(api);
	auth_free(au);
	journal_close(jl);
	store_free(st);
	jl = NULL;
	st = NULL;
	lost |= power;
	if (power)
		disk_power_cut();
	else
		disk_killed();
	pass(roll(3) ? roll(2000000) : (int64_t)roll(200) * 1000000);
	if (power) {
		boot = now_true - roll(100000000);
		pass(0);
	}
	start();
}

/* The turn could not be kept.  Leases begin anew, for their beats are not in the file. */
static void
undo(const char *why)
{
	note("the turn is undone: %s", why);
	if (jl->distrust) {   /* it may be on disk all the same */
		haunted = true;
		ghost = m;
	}
	m = past[pasts - 1];
	m.seq = st->seq;
	for (int i = 0; i < m.tasks; i++)
		if (m.task[i].status == RUNNING)
			m.task[i].beat = now_true;
	for (int i = 0; i < LINKS; i++)
		for (int k = links[i].fresh; links[i].used && k < links[i].handled; k++)
			links[i].asked[k].ask.want = 503;
}

static void
answers_leave(bool held, struct now now)
{
	for (int i = 0; i < LINKS; i++) {
		struct link *l = &links[i];
		bool open;

		if (!l->used || !l->conn)
			continue;
		conn_settle(l->conn, held, "not now", now);
		open = conn_flush(l->conn, now);
		if (open && conn_deadline(l->conn) <= now.mono) {
			open = conn_late(l->conn, now);
			l->late |= open;
		}
		if (!open)
			server_drops(l);
	}
}

/* Between turns. */
static void
work(struct now now)
{
	bool refused = journal_mode(jl) == JOURNAL_REFUSE, anew = jl->distrust;

	journal_work(jl, &st, now);
	if (disk.dead)
		return;
	for (int i = 0; refused && i < m.tasks; i++) {
		struct mtask *x = &m.task[i];

		/* While changes were refused heartbeats were; it may have ended for a moment only. */
		if (x->status == RUNNING && (journal_mode(jl) != JOURNAL_REFUSE || state_task(st, x->id)->mono_beat == disk.mono))
			x->beat = now_true;
	}
	if (journal_mode(jl) == JOURNAL_REFUSE)
		return;
	if (refused)
		note("changes are taken again");
	haunted = false;
	if (anew || sync_mode == SYNC_ALWAYS || jl->dirty == INT64_MAX)
		certain();
}

static void
turn(void)
{
	struct now now = {disk.wall, disk.mono};
	unsigned first = roll(LINKS);
	struct err e = {0};
	bool any, held, moved;

	if (journal_mode(jl) != JOURNAL_REFUSE) {
		queue_expire(st, now);
		m_expire(now.wall);
	}
	moved = auth_pending(au) && auth_work(au, 1000);
	for (unsigned i = 0; i < LINKS; i++) {
		struct link *l = &links[(first + i) % LINKS];

		if (l->used && l->conn)
			serve_link(l, moved, now);
	}
	serve_held(now);
	any = st->turn.len;
	held = !journal_commit(jl, &st, now, &e);
	if (disk.dead) {
		haunted = any || haunted;
		if (any)
			ghost = m;
		crash(chance(2));
		return;
	}
	if (held && any)
		committed();
	if (!held)
		undo(e.msg);
	check_state("after the turn");
	if (!peace && chance(150)) {
		crash(chance(2));
		return;
	}
	api_settle(api, held, now);
	answers_leave(held, now);
	work(now);
	if (disk.dead)
		crash(chance(2));
	else
		check_state("between turns");
}

/* ---- the server: starts ---- */

/* The state that was found must be one that may be. */
static void
recognize(void)
{
	char why[200];
	int i = pasts;

	if (haunted) {
		m = ghost;
		if (!store_differs(why, st, false)) {
			note("what was not acknowledged is there");
			past[pasts - (pasts == PASTS_KEPT)] = m;
			pasts += pasts < PASTS_KEPT;
			return;
		}
	}
	while (i-- > (lost ? 0 : pasts - 1)) {
		m = past[i];
		if (!store_differs(why, st, false)) {
			if (i < pasts - 1) {
				note("%d turns were lost", pasts - 1 - i);
				acks = 0;
				for (int k = 0; k < CLIENTS; k++)
					clients[k].job.until = 0;
			}
			pasts = i + 1;
			return;
		}
		note("not as %d turns before: %s", pasts - 1 - i, why);
	}
	wrong("after a crash: %s", why);
}

/* How long tasks have run is known up to some moment between the last turn and the crash; their leases begin anew. */
static void
adopt_times(int64_t crashed)
{
	for (int i = 0; i < m.tasks; i++) {
		struct mtask *x = &m.task[i];
		int64_t used;

		if (x->status != RUNNING)
			continue;
		used = disk.mono - state_task(st, x->id)->mono_start;
		if (used < x->used || used > crashed - x->start)
			wrong("a task that ran %lld to %lld us is said to have run %lld", (long long)x->used,
			    (long long)(crashed - x->start), (long long)used);
		x->start = now_true - used;
		x->beat = now_true;
	}
}

static void
calm(void)
{
	disk.bad_write = disk.bad_sync = disk.bad_cut = disk.bad_open = disk.bad_rename = disk.bad_dir = 0;
	disk.fuse = 0;
}

static void
check_acks(void)
{
	for (int i = 0; i < acks; i++)
		if (!state_task(st, acked[i]) && !state_tomb(st, acked[i]))
			wrong("an acknowledged task is lost");
}

static bool
open_once(bool *power)
{
	struct journal_opts o = {.os = &os, .dir = "d", .sync = sync_mode, .ahead = ahead};
	unsigned faults = disk.faults;
	struct err e = {0};

	*power = false;
	jl = journal_open(&o, &st, &e);
	if (jl && !disk.dead)
		return true;
	if (!jl && !disk.dead && disk.faults == faults)
		wrong("does not start: %s", e.msg);
	note("does not start: %s", disk.dead ? "killed" : e.msg);
	if (jl)
		journal_close(jl);
	store_free(st);
	if (!disk.dead)
		return false;
	*power = chance(2);
	lost |= *power;
	if (*power)
		disk_power_cut();
	else
		disk_killed();
	return false;
}

static void
start(void)
{
	struct api_opts ao = {.os = &os, .store = &st};
	int64_t crashed = now_true;
	bool power;

	if (chance(4))
		disk.fuse = 1 + roll(10);
	for (int tries = 0; !open_once(&power); tries++) {
		if (tries > 3)
			calm();
		pass(1000000);
		if (power) {
			boot = now_true;
			pass(0);
		}
	}
	disk.fuse = 0;
	if (*store_id && strcmp(store_id, journal_store_id(jl)) && past[0].queues)
		wrong("another store is there");
	snprintf(store_id, sizeof store_id, "%s", journal_store_id(jl));
	recognize();
	m.seq = st->seq;
	adopt_times(crashed);
	past[pasts - 1] = m;
	if (!jl->distrust) {
		certain();
		haunted = lost = false;
	}
	au = auth_new(&os);
	ao.journal = jl;
	ao.auth = au;
	api = api_new(&ao);
	came = 0;
	api_settle(api, true, (struct now){disk.wall, disk.mono});
	note("the server is there%s", jl->distrust ? ", and trusts nothing" : "");
	check_acks();
	check_state("after the start");
}

/* ---- the clients ---- */

static void
fresh_id(uuid id)
{
	for (int i = 0; i < 16; i++)
		id[i] = (unsigned char)roll(256);
}

/* A task that is there or was. */
static void
some_task(uuid id)
{
	if (m.tombs && (chance(8) || !m.tasks))
		memcpy(id, m.tomb[roll((unsigned)m.tombs)], 16);
	else if (m.tasks)
		memcpy(id, m.task[roll((unsigned)m.tasks)].id, 16);
	else
		fresh_id(id);
}

static void
some_worker(uuid id)
{
	if (m.workers)
		memcpy(id, m.worker[roll((unsigned)m.workers)].id, 16);
	else
		fresh_id(id);
}

static struct ask
ask_submit(const struct client *c)
{
	struct ask a = {.kind = SUBMIT, .queue = c->queue, .shape = (int)roll(2), .priority = roll(4), .retries = 1 + roll(4)};

	a.lease = chance(4) ? 0 : 5 + roll(60);
	a.timeout = a.lease > 0 && chance(2) ? 0 : 20 + roll(200);
	a.keyed = !chance(4);
	if (!a.keyed)
		return a;
	if (keys_used && chance(6)) {
		memcpy(a.key, keys[roll(keys_used < LEN(keys) ? keys_used : (unsigned)LEN(keys))], 16);
		return a;
	}
	fresh_id(a.key);
	memcpy(keys[keys_used++ % LEN(keys)], a.key, 16);
	return a;
}

static struct ask
ask_fetch(const struct client *c)
{
	struct ask a = {.kind = FETCH, .queue = c->queue, .need = chance(2) ? 0 : (int)roll(LEN(needs)), .filter = chance(8)};

	a.keyed = c->token;
	a.named = c->named;
	a.quiet = chance(8);
	a.timeout = a.quiet || chance(6) ? 10 + roll(60) : 0;
	a.lease = chance(3) ? 5 + roll(30) : 0;
	a.wait = chance(2) ? 1 + roll(30) : 0;
	memcpy(a.worker, c->worker, 16);
	fresh_id(a.key);
	return a;
}

/* About the client's job, mostly under its run's token. */
static struct ask
ask_job(const struct client *c, enum kind kind, int status)
{
	struct ask a = {.kind = kind, .queue = c->queue, .status = status, .summary = -1, .priority = -1};

	a.keyed = c->job.keyed && !chance(12);
	a.named = kind != UPDATE && c->named && chance(2);
	memcpy(a.id, c->job.id, 16);
	memcpy(a.key, c->job.run, 16);
	memcpy(a.worker, c->worker, 16);
	if (kind == REPORT && chance(2))
		a.summary = (int)roll(1000);
	return a;
}

/* What somebody asks who only looks after the queue. */
static struct ask
ask_other(const struct client *c)
{
	static const enum kind often[] = {
		UPDATE, UPDATE, UPDATE, REMOVE, LOOK, LOOK, FIND, SET_WORKER, SET_WORKER, DROP_WORKER, NEW_WORKER, INTRUDE, REPORT,
	};
	struct ask a = {.kind = often[roll(LEN(often))], .queue = chance(10) ? 1 - c->queue : c->queue, .summary = -1, .priority = -1};

	if ((a.kind == NEW_WORKER && m.workers >= WORKERS / 2) || (a.kind == REMOVE && m.tombs > TOMBS - 20))
		a.kind = LOOK;
	some_task(a.id);
	some_worker(a.worker);
	a.status = -1;
	a.retries = 1 + roll(4);
	if (a.kind == UPDATE) {
		a.priority = chance(2) ? (int64_t)roll(4) : -1;
		a.status = chance(2) ? -1 : chance(2) ? PENDING : (int)(SUCCESS + roll(3));
		a.reset = chance(4);
	} else if (a.kind == REPORT) {
		a.status = chance(2) ? CANCELLED : (int)(SUCCESS + roll(2));
	} else if (a.kind == FIND) {
		a.status = (int)roll(TASK_STATES);
	} else if (a.kind == SET_WORKER) {
		a.status = chance(3) ? SUSPENDED : ACTIVE;
	} else if (a.kind == DROP_WORKER) {
		a.reset = chance(2);
	}
	return a;
}

static bool
may_submit(void)
{
	return m.tasks < TASKS - 24;
}

/* What a worker does with its job.  False: nothing now. */
static bool
job_goes_on(struct client *c, struct ask *a)
{
	struct job *j = &c->job;
	unsigned r = roll(100);

	if (now_true < j->next)
		return false;
	j->next = now_true + (int64_t)((j->lease > 0 ? j->lease : 20) * 1e6 / (2 + roll(8)));
	if (r < 45)
		*a = ask_job(c, BEAT, -1);
	else if (r < 65)
		*a = ask_job(c, REPORT, SUCCESS);
	else if (r < 80)
		*a = ask_job(c, REPORT, FAILED);
	else if (r < 88)
		*a = ask_job(c, UPDATE, PENDING);
	else if (r < 91)
		*a = ask_job(c, REPORT, CANCELLED);
	else if (r < 97)
		c->frozen = now_true + (int64_t)roll(120) * 1000000;
	else
		j->has = false;   /* it dies, and another takes its place */
	return r < 91;
}

static bool
decide(struct client *c, struct ask *a)
{
	bool works = c - clients < WORKING;

	if (works && c->job.has)
		return job_goes_on(c, a);
	if (works && !chance(6) && m.runs < ENDED - 100) {
		if (c->named && !m_worker(c->worker))
			some_worker(c->worker);
		*a = ask_fetch(c);
		return true;
	}
	if (works && !c->named && m.workers) {
		some_worker(c->worker);
		c->named = true;
	}
	*a = chance(2) && may_submit() ? ask_submit(c) : ask_other(c);
	return true;
}

/* The outcome is not known. */
static void
unknown(struct client *c, const struct asked *x)
{
	if (x->ask.keyed && !chance(4)) {
		c->again = *x;
		c->repeats = true;
	} else if (x->ask.kind == REPORT || x->ask.kind == UPDATE) {
		c->job.has = false;
	}
}

static void
link_lost(struct link *l)
{
	struct client *c = &clients[l->client];

	for (int i = l->answered; i < l->n; i++)
		unknown(c, &l->asked[i]);
	close(l->fd);
	l->fd = -1;
	if (c->link == l)
		c->link = NULL;
	link_end(l);
}

static int64_t
sooner_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* How long the client may believe in its run: since it asked for it, or for a heartbeat. */
static void
believe(struct job *j, int64_t asked)
{
	j->until = j->lease > 0 ? asked + (int64_t)(j->lease * 1e6) : INT64_MAX;
	if (j->timeout)
		j->until = sooner_of(j->until, j->since + j->timeout * 1000000);
}

static void
begin_job(struct client *c, const struct asked *x, const struct json *task)
{
	struct job *j = &c->job;
	const struct mtask *t = m_task(x->ask.about);
	const struct json *lease = json_gets(task, "heartbeat_timeout"), *beat = json_gets(task, "last_heartbeat");

	*j = (struct job){.has = true, .keyed = x->ask.keyed, .revoked = x->revoked, .since = x->since};
	memcpy(j->id, x->ask.about, 16);
	memcpy(j->run, x->ask.key, 16);
	if (sync_mode != SYNC_ALWAYS && (!t || t->status != RUNNING || !same_id(t->worker, x->ask.worker)))
		j->revoked = true;   /* it was lost while the answer was under way */
	j->lease = json_num(lease);
	if (json_int(json_gets(task, "task_timeout"), &j->timeout) < 0)
		j->timeout = 0;
	believe(j, x->since);
	if (beat->type == JSON_NULL && j->timeout)
		j->until = x->since + j->timeout * 1000000;
	j->next = now_true + roll(5000000);
}

/* The id of a member of the answer must be the one that is expected. */
static void
check_id(const struct json *in, const char *name, const struct ask *a)
{
	const struct json *id = json_gets(in, name);
	char text[37];

	uuid_print(a->about, text);
	if (!id || id->type != JSON_STR || strcmp(id->s, text))
		wrong("%s: the answer names %s, must name %s", kinds[a->kind].name, id && id->type == JSON_STR ? id->s : "none", text);
}

static void
check_body(const struct ask *a, const struct json *body)
{
	const struct json *found = json_gets(body, "found"), *status = json_gets(body, "status");

	if (a->want == 201)
		check_id(body, a->kind == SUBMIT ? "task_id" : "worker_id", a);
	if (a->kind == LOOK && (!status || status->type != JSON_STR || strcmp(status->s, task_status[a->status])))
		wrong("get: not %s", task_status[a->status]);
	if (a->found >= 0 && (!found || found->type != JSON_BOOL || found->is != a->found))
		wrong("%s: found is not %d", kinds[a->kind].name, a->found);
	if (a->kind == FETCH && a->found == 1)
		check_id(json_gets(body, "task"), "task_id", a);
}

static void
answered(struct client *c, const struct asked *x, int status, struct str text)
{
	const struct ask *a = &x->ask;
	struct json_doc *d = text.n ? json_parse(text.p, text.n, NULL) : NULL;
	bool mine = same_id(a->id, c->job.id);

	if (status != a->want)
		wrong("client %d: %s: %d, must be %d: %.*s", (int)(c - clients), kinds[a->kind].name, status, a->want, (int)text.n, text.p);
	if (!d && status != 204)
		wrong("%s: the answer is no JSON", kinds[a->kind].name);
	if (status < 300)
		check_body(a, d ? d->root : NULL);
	if (status == 503)
		unknown(c, x);
	else if (a->kind == FETCH && status == 200 && a->found)
		begin_job(c, x, json_gets(d->root, "task"));
	else if (a->kind == BEAT && mine && status == 204)
		believe(&c->job, a->keyed ? x->since : c->job.since);   /* without a token it may have been another's run */
	else if (mine && (a->kind == BEAT || a->kind == REPORT || a->kind == UPDATE))
		c->job.has = false;
	if (a->kind == SUBMIT && status == 201 && acks < (int)LEN(acked) && (sync_mode == SYNC_ALWAYS || m_task(a->about)))
		memcpy(acked[acks++], a->about, 16);
	json_free(d);
}

/* What the server has sent. */
static void
link_read(struct link *l)
{
	char block[4096];
	ssize_t n;

	while (l->fd >= 0 && (n = read(l->fd, block, sizeof block)) > 0)
		buf_add(&l->in, block, (size_t)n);
	for (;;) {
		enum http_event ev;
		struct err e = {0};
		struct str data = {0};
		size_t used = 0;

		ev = http_next(&l->http, l->in.p ? l->in.p : "", l->in.len, &used, &data, &e);
		if (ev == HTTP_BAD)
			wrong("a bad answer: %s", e.msg);
		if (ev == HTTP_DATA)
			buf_add(&l->body, data.p, data.n);
		if (ev == HTTP_END) {
			if (l->answered == l->handled && l->http.status == 408 && l->late) {
				link_lost(l);   /* it was too slow in sending it */
				return;
			}
			if (l->answered == l->handled)
				wrong("an answer to nothing: %d: %.*s", l->http.status, (int)l->body.len, l->body.p);
			answered(&clients[l->client], &l->asked[l->answered], l->http.status, (struct str){l->body.p, l->body.len});
			l->answered++;
			buf_clear(&l->body);
		}
		if (ev == HTTP_MORE)
			break;
		buf_drop(&l->in, used);
	}
	if (!l->conn)
		link_lost(l);
	else if (l->answered == l->n && !l->out.len)
		l->n = l->handled = l->answered = l->fresh = 0;   /* none is held */
}

static void
act(struct client *c)
{
	struct asked x = {.since = now_true};

	if (c->link && c->link->n) {
		if (chance(12)) {
			note("client %d hangs up", (int)(c - clients));
			link_lost(c->link);
		}
		return;
	}
	if (now_true < c->frozen || (c->link && chance(40) && (link_lost(c->link), true)))
		return;
	if (!c->repeats && !decide(c, &x.ask))
		return;
	if (!c->link)
		c->link = link_open((int)(c - clients));
	if (c->repeats) {
		note("client %d repeats a %s", (int)(c - clients), kinds[c->again.ask.kind].name);
		c->repeats = false;
		link_put(c->link, &c->again);
		return;
	}
	link_put(c->link, &x);
	/* No other waits for a password beside an intruder: which of them waits could not be told. */
	while (c - clients >= WORKING && x.ask.kind != INTRUDE && c->link->n < PIPELINE && chance(2)) {
		x.ask = chance(2) && may_submit() ? ask_submit(c) : ask_other(c);
		if (x.ask.kind != INTRUDE)
			link_put(c->link, &x);
	}
}

/* ---- a run of the world ---- */

static void
make_creds(char out[64], const char *queue, const char *password)
{
	char pair[40];
	struct buf b = {0};

	snprintf(pair, sizeof pair, "%s:%s", queue, password);
	hash_base64(&b, pair, strlen(pair));
	snprintf(out, 64, "%s", b.p);
	buf_free(&b);
}

/* A password's hash of one round, so that checks cost nothing. */
static const char *
cheap_hash(void)
{
	static char out[128];
	struct pbkdf2 k;
	struct buf b = {0};

	hash_pbkdf2_begin(&k, str_of("pw"), "salt", 4, 1);
	while (!hash_pbkdf2_step(&k, 1))
		;
	buf_adds(&b, "$pbkdf2-sha256$1$");
	hash_base64(&b, "salt", 4);
	buf_addc(&b, '$');
	hash_base64(&b, k.out, sizeof k.out);
	for (char *p = b.p, *q = out; ; p++) {
		if (*p == '=')
			continue;
		*q++ = *p == '+' ? '.' : *p;
		if (!*p)
			break;
	}
	buf_free(&b);
	return out;
}

static void
make_queues(void)
{
	static const char *const names[QUEUES] = {"q0", "q1"};

	for (int i = 0; i < QUEUES; i++) {
		struct err e = {0};

		if (!queue_create(st, str_of(names[i]), cheap_hash(), NULL, (struct now){disk.wall, disk.mono}, &e))
			wrong("no queue: %s", e.msg);
	}
	m.queues = true;
	m.seq = st->seq;
}

/* Faults come in storms; the disk is full for a while. */
static void
weather(unsigned climate)
{
	calm();
	if (climate & 1 && chance(3))
		disk.bad_write = 3 + roll(20);
	if (climate & 2 && chance(3))
		disk.bad_sync = 2 + roll(20);
	if (climate & 4 && chance(3))
		disk.bad_cut = 1 + roll(3);
	if (climate & 8 && chance(3))
		disk.bad_rename = 1 + roll(4), disk.bad_dir = 1 + roll(4), disk.bad_open = 2 + roll(4);
	if (climate & 16 && chance(3))
		disk.size -= disk_room() - (disk_room() < 4000 ? disk_room() : roll(4000));
	else
		disk.size = 1 << 20;
	if (climate & 32 && chance(4))
		disk.fuse = 1 + roll(40);
	if (climate & 64 && chance(3))
		wall_off = ((int64_t)roll(28800) - 14400) * 1000000;
}

/* Asks, and waits for the answer. */
static struct ask
converse(struct ask a)
{
	struct client *c = &clients[CLIENTS - 1];
	struct asked x = {.ask = a, .since = now_true};
	struct link *l;

	if (!c->link)
		c->link = link_open(CLIENTS - 1);
	l = c->link;
	link_put(l, &x);
	for (int i = 0; l->answered < 1; i++) {
		if (i > 50 || l != c->link)
			wrong("%s is not answered", kinds[a.kind].name);
		link_send(l);
		turn();
		a = l->asked[0].ask;
		link_read(l);
		pass(1000);
		if (!l->n)
			break;
	}
	return a;
}

/* With nobody there and nothing wrong, all is well again, and every run ends. */
static void
finish(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		clients[i].repeats = false;
		clients[i].job.has = false;
		if (clients[i].link)
			link_lost(clients[i].link);
	}
	calm();
	peace = true;
	disk.size = 1 << 20;
	for (int i = 0; journal_mode(jl) != JOURNAL_FINE || i < 3; i++) {
		if (i > 100)
			wrong("the journal is not mended");
		pass(2000000);
		turn();
	}
	pass(INT64_C(7200000000));
	turn();
	for (int i = 0; i < m.tasks; i++)
		if (m.task[i].status == RUNNING)
			wrong("a run does not end");
	for (int q = 0; q < QUEUES; q++) {
		for (;;) {
			struct ask a = {.kind = FETCH, .queue = q};

			if (converse(a).found == 0)
				break;
			a = (struct ask){.kind = REPORT, .queue = q, .status = SUCCESS, .summary = -1};
			memcpy(a.id, clients[CLIENTS - 1].job.id, 16);
			if (converse(a).want != 200)
				wrong("a run cannot be ended");
		}
	}
	for (int i = 0; i < m.tasks; i++)
		if (m.task[i].status == PENDING || m.task[i].status == RUNNING)
			wrong("a task does not end");
}

/* An end as it should be: what the journal promises of it holds against a power cut too. */
static void
stop(void)
{
	struct err e = {0};

	note("the server is ended");
	if (!journal_flush(jl, &e) && !disk.dead) {
		certain();
		haunted = false;
	}
	crash(chance(2));
}

static void
world_new(void)
{
	dice = (uint64_t)seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (int i = 0; i < 8; i++)
		roll(2);
	said = 0;
	disk_new();
	memset(&m, 0, sizeof m);
	memset(clients, 0, sizeof clients);
	now_true = boot = wall_off = 0;
	pass(1000000 + roll(100000000));
	past[0] = m;
	pasts = 1;
	haunted = lost = peace = false;
	keys_used = 0;
	acks = 0;
	*store_id = 0;
	disk.sector = 16u << roll(6);
	disk.size = 1 << 20;
	sync_mode = roll(10) < 7 ? SYNC_ALWAYS : chance(2) ? SYNC_NEVER : 1 + (int)roll(3);
	ahead = chance(2) ? (size_t)1000 << roll(8) : 0;
	reserve_size = ROOM;
	slice = 100 + roll(3000);
	spread = 500 + roll(5000);
	piece = 1000 + roll(10000);
	small = 2000 + roll(20000);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i].queue = chance(4);
		clients[i].token = !chance(4);
	}
}

static void
world_end(void)
{
	for (int i = 0; i < LINKS; i++) {
		struct link *l = &links[i];

		if (l->used && l->conn)
			server_drops(l);
		if (l->used)
			link_lost(l);
	}
	api_free(api);
	auth_free(au);
	journal_close(jl);
	store_free(st);
}

static void
run(unsigned long n)
{
	unsigned climate, steps;

	seed = n;
	world_new();
	climate = chance(5) ? 0 : roll(128);
	steps = 100 + roll(150);
	start();
	while (!m.queues) {
		make_queues();
		turn();
	}
	sync_inode(&disk.inode[disk.fd[jl->file.fd].inode]);
	certain();
	for (unsigned i = 0; i < steps; i++) {
		if (i % 8 == 0)
			weather(climate);
		for (unsigned k = roll(4); k--;)
			act(&clients[roll(CLIENTS)]);
		for (int k = 0; k < LINKS; k++)
			if (links[k].used && links[k].conn)
				link_send(&links[k]);
		pass(chance(12) ? (int64_t)roll(90) * 1000000 : roll(400000));
		turn();
		for (int k = 0; k < LINKS; k++)
			if (links[k].used && (links[k].fd >= 0))
				link_read(&links[k]);
		if (chance(90))
			stop();
	}
	finish();
	stop();
	world_end();
}

static unsigned long
number(const char *name)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 10) : 0;
}

int
main(void)
{
	unsigned long one = number("SEED"), seeds = number("SEEDS"), seconds = number("LIMIT"), n = 0;
	time_t end = time(NULL) + (time_t)seconds;

	signal(SIGPIPE, SIG_IGN);
	if (!one && !freopen("/dev/null", "w", stderr))
		return 2;
	atexit(ended);
	make_creds(creds[0], "q0", "pw");
	make_creds(creds[1], "q1", "pw");
	make_creds(creds[QUEUES], "q0", "other");
	if (one)
		run(one);
	else if (seconds)
		while (time(NULL) < end)
			run(++n);
	else
		while (n < (seeds ? seeds : 200))
			run(++n);
	finished = true;
	for (int i = 0; i < LINKS; i++) {
		buf_free(&links[i].out);
		buf_free(&links[i].in);
		buf_free(&links[i].body);
	}
	disk_free();
	printf("sim: %lu passed, 0 failed\n", one ? 1 : n);
	return 0;
}
