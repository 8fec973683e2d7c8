/* SPDX-License-Identifier: MIT */
/*
 * The one caller of the API.  A call stands in the line until it is written, then among the sent until its answer has come, and
 * what it may do when a try fails is a column of its row: what means the same twice is repeated freely, what has a key or a run
 * token is repeated under it on a server of ours, all else only while not one byte of it can have arrived.  So nothing is done
 * twice; where that leaves the outcome open, the call ends with unknown set and says how to look.
 *
 * One connection is kept and opened anew when it is lost.  Each try has its limit, tries are spaced by a growing random pause, a
 * call is given up only at its deadline.  client_step is the whole machine; client_run waits around it.
 */
#include "labtasker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND ((int64_t)1000000)

enum {
	CONNECT = 5, ANSWER = 10, BEAT = 5,     /* seconds for a try; the latter two without a byte moving */
	PERSON = 30, HEALTH = 10,               /* seconds for a call whose caller names no deadline */
	TRUSTED = 1,                            /* seconds after which an idle connection may have been closed over there */
	PATIENCE = 1,                           /* seconds of trouble before a line tells of it */
	PAUSE = 50 * 1000, PAUSE_MAX = 5 * 1000000,   /* between tries, growing */
	RETRY_AFTER = 60,                       /* seconds of Retry-After that we bear with */
	FAULTS = 3,                             /* tries that a 500 gets: it may be a bug that no repeat mends */
	PIPELINE = 64, PIPELINE_BYTES = 64 << 10,
	CHUNK = 32 << 10, READS = 32,           /* bytes a read; reads a step, so that no answer holds up the caller */
	ANSWER_MAX = 256 << 20                  /* a page of 1000 tasks with large args; more is a mistake */
};

enum repeat {
	READ,      /* changes nothing */
	SAME,      /* done twice is done once */
	GONE,      /* likewise, but then it says 404 */
	KEYED,     /* on our server, under Idempotency-Key */
	RUN,       /* on our server, under Labtasker-Run */
	ONCE
};

static const struct row {
	const char *method, *path;              /* '*' is the id */
	enum repeat repeat;
	int answer, patience;                   /* seconds: a try, and the call where its caller names no deadline */
	const char *look;                       /* how to find out what an unknown outcome was */
} rows[API_COUNT] = {
#define ME "/api/v1/queues/me"
	[API_HEALTH] = {"GET", "/health", READ, ANSWER, HEALTH, NULL},
	[API_HEALTH_FULL] = {"GET", "/health/full", READ, ANSWER, HEALTH, NULL},
	[API_QUEUE_CREATE] = {"POST", "/api/v1/queues", ONCE, ANSWER, PERSON, "try its name and password with `labtasker queue get`"},
	[API_QUEUE_GET] = {"GET", ME, READ, ANSWER, PERSON, NULL},
	[API_QUEUE_UPDATE] = {"PUT", ME, ONCE, ANSWER, PERSON, "look with `labtasker queue get`"},
	[API_QUEUE_DELETE] = {"DELETE", ME, ONCE, ANSWER, PERSON, "look with `labtasker queue get`"},
	[API_SUBMIT] = {"POST", ME "/tasks", KEYED, ANSWER, PERSON, "look with `labtasker task ls` before submitting it again"},
	[API_TASK_SEARCH] = {"POST", ME "/tasks/search", READ, ANSWER, PERSON, NULL},
	[API_FETCH] = {"POST", ME "/tasks/next", KEYED, ANSWER, PERSON, "look with `labtasker task ls -s running`"},
	[API_STATUS] = {"POST", ME "/tasks/*/status", RUN, ANSWER, PERSON, "look with `labtasker task ls`"},
	[API_HEARTBEAT] = {"POST", ME "/tasks/*/heartbeat", SAME, BEAT, PERSON, NULL},
	[API_TASK_GET] = {"GET", ME "/tasks/*", READ, ANSWER, PERSON, NULL},
	[API_TASK_UPDATE] = {"PUT", ME "/tasks", RUN, ANSWER, PERSON, "look with `labtasker task ls`"},
	[API_TASK_DELETE] = {"DELETE", ME "/tasks/*", GONE, ANSWER, PERSON, NULL},
	[API_WORKER_CREATE] = {"POST", ME "/workers", ONCE, ANSWER, PERSON, "look with `labtasker worker ls`"},
	[API_WORKER_SEARCH] = {"POST", ME "/workers/search", READ, ANSWER, PERSON, NULL},
	[API_WORKER_GET] = {"GET", ME "/workers/*", READ, ANSWER, PERSON, NULL},
	[API_WORKER_STATUS] = {"POST", ME "/workers/*/status", SAME, ANSWER, PERSON, NULL},
	[API_WORKER_DELETE] = {"DELETE", ME "/workers/*", GONE, ANSWER, PERSON, NULL},
#undef ME
};

struct line {
	struct call *head, **tail;
};

struct client {
	struct client_opts opts;
	struct locate *locate;
	struct url url;
	char *place, *queue;           /* the server's URL as it was named; whose queue */
	bool local, proxied, auth;     /* auth: a password is known */
	struct net_addrs *addrs;
	struct buf head;               /* the header lines that all requests share */
	bool ours;
	char queue_id[40], store[40];

	struct line waiting, sent;
	bool starting;                 /* locate is at it */
	int fails;                     /* tries that failed since the last answer */
	int64_t retry;                 /* mono: no connection before */
	int64_t trouble;               /* mono: when it began, 0 none */
	bool told;
	char why[256];                 /* what failed last */

	struct net *net;               /* the connection; NULL none */
	bool up;
	int64_t since;                 /* mono: when it was begun, later when a byte last moved on it */
	int answers;                   /* how many came on it */
	uint64_t queued;               /* bytes of all requests that were put into out */
	struct buf out, in;
	size_t off;                    /* how much of out was written */

	struct http http;              /* the answer being read, and what its head said */
	struct buf body;
	int64_t retry_after;           /* seconds */
	char location[200];
};

/* ---- lines of calls ---- */

static void
line_init(struct line *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static void
push(struct line *l, struct call *k)
{
	k->next = NULL;
	*l->tail = k;
	l->tail = &k->next;
}

/* Puts all of l before what stands in into; l is empty then. */
static void
prepend(struct line *into, struct line *l)
{
	if (!l->head)
		return;
	*l->tail = into->head;
	if (!into->head)
		into->tail = l->tail;
	into->head = l->head;
	line_init(l);
}

/* Where the line points to k; NULL when it does not stand there. */
static struct call **
place_of(struct line *l, const struct call *k)
{
	struct call **p = &l->head;

	while (*p && *p != k)
		p = &(*p)->next;
	return *p ? p : NULL;
}

static void
take(struct line *l, struct call **p)
{
	struct call *k = *p;

	*p = k->next;
	if (!*p)
		l->tail = p;
	k->next = NULL;
}

struct call *
call_new(enum api api)
{
	struct call *k = xcalloc(1, sizeof *k);

	k->api = api;
	return k;
}

void
call_free(struct call *k)
{
	if (!k)
		return;
	buf_free(&k->body);
	json_free(k->doc);
	free(k);
}

/* Leaves in k's place among the sent one whose answer is for nobody. */
static void
leave_ghost(struct line *l, struct call **p)
{
	struct call *k = *p, *ghost = call_new(k->api);

	ghost->ghost = true;
	ghost->deadline = -1;
	ghost->when = k->when;
	ghost->at = k->at;
	ghost->next = k->next;
	*p = ghost;
	if (!ghost->next)
		l->tail = &ghost->next;
	k->next = NULL;
}

/* ---- what may be done again, and when ---- */

static bool
repeatable(const struct client *c, const struct call *k)
{
	enum repeat r = rows[k->api].repeat;

	return r <= GONE || (c->ours && ((r == KEYED && k->key[0]) || (r == RUN && k->run[0])));
}

/* Half of it is chance, so that clients that lost one server do not come back as one. */
static int64_t
pause_after(int fails)
{
	int64_t most = fails < 7 ? (int64_t)PAUSE << fails : PAUSE_MAX;
	uint32_t r;

	sys_random(&r, sizeof r);
	if (most > PAUSE_MAX)
		most = PAUSE_MAX;
	return most / 2 + (int64_t)(r % (uint32_t)(most / 2));
}

static uint64_t
written(const struct client *c)
{
	return c->queued - (c->out.len - c->off);
}

/* One line when trouble has lasted a moment, another when it ends. */
static void
trouble(struct client *c, int64_t since, int64_t now, const char *why)
{
	c->why[0] = 0;
	strncat(c->why, why, sizeof c->why - 1);
	if (!c->trouble)
		c->trouble = since;
	if (c->told || c->opts.quiet || now - c->trouble < PATIENCE * SECOND)
		return;
	warn("%s: %s; trying again", client_url(c), why);
	c->told = true;
}

static void
calm(struct client *c, int64_t now)
{
	if (c->told)
		warn("%s: answers again after %ld s", client_url(c), (long)((now - c->trouble) / SECOND));
	c->told = false;
	c->trouble = 0;
}

/* ---- the ends of a call ---- */

static void
give_up(struct client *c, struct call *k, bool unknown, const char *why)
{
	const struct row *r = &rows[k->api];

	k->status = 0;
	k->unknown = unknown && r->repeat != READ;
	if (k->unknown && r->look)
		err_set(&k->err, EXIT_REFUSED, "%s: %s; the outcome is unknown: %s", client_url(c), why, r->look);
	else
		err_set(&k->err, EXIT_REFUSED, "%s: %s", client_url(c), why);
	k->done = true;
}

/* A 422's list: "args.a: Field required; priority: ...", else the text of detail. */
static void
put_detail(struct buf *b, const struct json *detail)
{
	if (detail && detail->type == JSON_STR)
		buf_add(b, detail->s, detail->len);
	if (!detail || detail->type != JSON_ARR)
		return;
	for (const struct json *item = detail->head; item; item = item->next) {
		const struct json *loc = json_gets(item, "loc"), *msg = json_gets(item, "msg"), *part;

		buf_adds(b, b->len ? "; " : "");
		for (part = loc && loc->type == JSON_ARR && loc->head ? loc->head->next : NULL; part; part = part->next) {
			if (part->s)
				buf_add(b, part->s, part->len);
			buf_adds(b, part->next ? "." : ": ");
		}
		if (msg && msg->type == JSON_STR)
			buf_add(b, msg->s, msg->len);
	}
}

static void
refused(struct client *c, struct call *k)
{
	struct buf text = {0};

	put_detail(&text, k->doc ? json_gets(k->doc->root, "detail") : NULL);
	if (text.len)
		err_set(&k->err, k->status, "%s", text.p);
	else if (k->status < 400 && c->location[0])
		err_set(&k->err, k->status, "%s: answered %d: it points to %s: name that one", client_url(c), k->status, c->location);
	else
		err_set(&k->err, k->status, "%s: answered %d %s", client_url(c), k->status, http_reason(k->status));
	buf_free(&text);
}

static bool
text_is(const struct json *v, const char *s)
{
	return v && v->type == JSON_STR && str_is((struct str){v->s, v->len}, s);
}

/* What the server wants its users to know (SPEC 1), from the level that was asked for. */
static void
notify(const struct client *c, const struct json *answer)
{
	static const char *const levels[] = {"low", "medium", "high"};
	const struct json *list = json_gets(answer, "notification");

	if (!list || list->type != JSON_ARR)
		return;
	for (const struct json *v = list->head; v; v = v->next) {
		const struct json *level = json_gets(v, "level"), *text = json_gets(v, "details");
		int l = 0;

		while (l < 3 && !text_is(level, levels[l]))
			l++;
		if (!text || text->type != JSON_STR || (l == 3 ? 0 : l) < c->opts.conf->notify)
			continue;
		if (!text_is(json_gets(v, "type"), "info")) {
			warn("%s says: %s", client_url(c), text->s);
			continue;
		}
		for (const char *p = text->s; *p; p++)
			putchar((unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p);
		putchar('\n');
	}
}

/* The answer in c->http and c->body is k's. */
static void
settle(struct client *c, struct call *k, int64_t now)
{
	const struct row *r = &rows[k->api];
	struct err e = {0};

	if (k->said && !c->opts.quiet)
		warn("%s: done after %ld s", client_url(c), (long)((now - k->first) / SECOND));
	if (k->status == 404 && r->repeat == GONE && k->maybe) {
		k->status = 204;   /* our own earlier try removed it */
		buf_clear(&c->body);
	}
	if (c->body.len)
		k->doc = json_parse(c->body.p, c->body.len, &e);
	if (k->status < 200 || k->status > 299) {
		refused(c, k);
		k->unknown = k->status >= 500 && r->repeat != READ && k->status != 503;
	} else if (c->body.len && !k->doc) {
		give_up(c, k, true, "what answers there speaks no JSON: is it a Labtasker server?");
	} else if (k->doc) {
		notify(c, k->doc->root);
	}
	k->done = true;
}

/* ---- the connection ---- */

static void
hang_up(struct client *c)
{
	net_close(c->net);
	c->net = NULL;
	c->up = false;
	c->off = 0;
	buf_clear(&c->out);
	buf_clear(&c->in);
}

/* The connection is over.  What was sent and not answered goes back to the line, or ends. */
static void
recall(struct client *c, const char *why)
{
	uint64_t arrived = written(c);
	struct line back;
	struct call *k;

	line_init(&back);
	while ((k = c->sent.head)) {
		bool maybe = k->at < arrived;

		take(&c->sent, &c->sent.head);
		k->when = 0;
		if (k->ghost)
			call_free(k);
		else if (maybe && !repeatable(c, k))
			give_up(c, k, true, why);
		else
			push(&back, k);
		if (!k->ghost && maybe)
			k->maybe = true;
	}
	prepend(&c->waiting, &back);
	if (c->net)
		hang_up(c);
}

/* A try failed for want of a connection, or with it. */
static void
lost(struct client *c, int64_t now, const char *why)
{
	/* a kept connection that turns out to be closed is no trouble: at once again */
	bool stale = c->net && c->up && c->answers && !c->fails;

	recall(c, why);
	if (!c->waiting.head)
		return;
	c->retry = stale ? now : now + pause_after(c->fails);
	if (!stale)
		trouble(c, c->since && c->since < now ? c->since : now, now, why);
	c->fails++;
}

/* The header lines that every request to this place has. */
static void
make_head(struct client *c, const struct place *p)
{
	bool plain = !strcmp(c->url.scheme, "unix"), six = strchr(c->url.host, ':') != NULL;
	bool usual = !strcmp(c->url.port, !strcmp(c->url.scheme, "https") ? "443" : "80");
	struct buf pair = {0}, *b = &c->head;

	buf_clear(b);
	buf_printf(b, "Host: %s%s%s", six ? "[" : "", plain ? "localhost" : c->url.host, six ? "]" : "");
	if (!plain && !usual)
		buf_printf(b, ":%s", c->url.port);
	buf_adds(b, "\r\nAccept: */*\r\nConnection: keep-alive\r\nUser-Agent: labtasker-c/" LABTASKER_VERSION
	    "\r\nContent-Type: application/json\r\n");
	c->auth = p->queue && p->password;
	if (!c->auth)
		return;
	buf_printf(&pair, "%s:%s", p->queue, p->password);
	buf_adds(b, "Authorization: Basic ");
	hash_base64(b, pair.p, pair.len);
	buf_adds(b, "\r\n");
	memset(pair.p, 0, pair.len);
	buf_free(&pair);
}

/* Makes p the server that is spoken to.  Resolves its name unless the URL is the one of before. */
static int
settle_in(struct client *c, const struct place *p, struct err *e)
{
	struct net_addrs *addrs;
	struct url url;

	if (!c->place || strcmp(c->place, p->url)) {
		if (url_parse(&url, p->url, e) < 0) {
			e->code = EXIT_USAGE;
			return -1;
		}
		addrs = net_resolve(&url, &c->proxied, e);
		if (!addrs) {
			e->code = EXIT_REFUSED;
			return -1;
		}
		net_addrs_free(c->addrs);
		c->addrs = addrs;
		c->url = url;
		free(c->place);
		c->place = xstrdup(p->url);
	}
	free(c->queue);
	c->queue = p->queue ? xstrdup(p->queue) : NULL;
	c->local = p->local;
	make_head(c, p);
	return 0;
}

static void
connecting(struct client *c, int64_t now)
{
	struct err e = {0};
	int rc = net_ready(c->net, &e);

	if (rc < 0) {
		lost(c, now, e.msg);
	} else if (rc > 0) {
		c->up = true;
		c->since = now;
	}
}

/* Looks where the server is and begins to connect there. */
static void
connect_to(struct client *c, int64_t now)
{
	struct place p;
	struct err e = {0};
	int rc = locate_step(c->locate, &p, &e);

	c->starting = !rc;
	if (!rc)
		return;
	c->since = now;
	if (rc == 1 && !settle_in(c, &p, &e))
		c->net = net_open(c->addrs, &e);
	if (!c->net) {
		lost(c, now, e.msg);
		return;
	}
	c->up = false;
	c->answers = 0;
	c->queued = 0;
	http_init(&c->http, true);
	c->http.max_body = ANSWER_MAX;
	connecting(c, now);
}

/* Puts k's request into out. */
static void
compose(struct client *c, struct call *k, int64_t now)
{
	const struct row *r = &rows[k->api];
	const char *star = strchr(r->path, '*');
	struct buf *b = &c->out;
	size_t before = b->len;

	buf_printf(b, "%s ", r->method);
	if (c->proxied) {
		bool six = strchr(c->url.host, ':') != NULL;

		buf_printf(b, "http://%s%s%s:%s", six ? "[" : "", c->url.host, six ? "]" : "", c->url.port);
	}
	if (strcmp(c->url.scheme, "unix"))
		buf_adds(b, c->url.path);
	buf_add(b, r->path, star ? (size_t)(star - r->path) : strlen(r->path));
	if (star) {
		http_escape(b, str_of(k->id));
		buf_adds(b, star + 1);
	}
	buf_printf(b, "%s%s HTTP/1.1\r\n", k->query[0] ? "?" : "", k->query);
	buf_add(b, c->head.p, c->head.len);
	if (c->ours && k->key[0])
		buf_printf(b, "Idempotency-Key: %s\r\n", k->key);
	if (c->ours && k->run[0])
		buf_printf(b, "Labtasker-Run: %s\r\n", k->run);
	if (k->body.len || r->method[0] == 'P')
		buf_printf(b, "Content-Length: %lu\r\n", (unsigned long)k->body.len);
	buf_adds(b, "\r\n");
	buf_add(b, k->body.p, k->body.len);
	k->at = c->queued;
	c->queued += b->len - before;
	k->when = now;
	if (!k->tries++)
		k->first = now;
}

/* ---- answers ---- */

static void
remember_store(struct client *c, const struct str *id)
{
	if (!id || id->n >= sizeof c->store || str_is(*id, c->store))
		return;
	if (c->store[0] && !c->opts.quiet)
		warn("%s: another store is served there now (%.*s, before %s): the tasks of before are not in it", client_url(c), (int)id->n,
		    id->p, c->store);
	memcpy(c->store, id->p, id->n);
	c->store[id->n] = 0;
}

/* A head has come; its fields are gone with the next read. */
static void
read_head(struct client *c)
{
	const struct str *retry = http_get(&c->http, "Retry-After"), *location = http_get(&c->http, "Location");

	buf_clear(&c->body);
	if (http_get(&c->http, "Labtasker-Version"))
		c->ours = true;
	else if (c->http.status >= 200 && c->http.status < 300)
		c->ours = false;   /* an error may be of a proxy between us */
	remember_store(c, http_get(&c->http, "Labtasker-Store"));
	if (!retry || parse_int(*retry, &c->retry_after) < 0 || c->retry_after < 0)
		c->retry_after = 0;
	if (c->retry_after > RETRY_AFTER)
		c->retry_after = RETRY_AFTER;
	c->location[0] = 0;
	if (location && location->n < sizeof c->location) {
		memcpy(c->location, location->p, location->n);
		c->location[location->n] = 0;
	}
}

/* Whether the answer that k has got is a reason to try again: then k is back in the line. */
static bool
again(struct client *c, struct call *k, int64_t now)
{
	bool untouched = k->status == 408 || k->status == 429 || k->status == 503;   /* the server says that it did nothing */
	bool fault = k->status == 500 || k->status == 502 || k->status == 504;
	struct line one;

	if (k->status == 409 && k->api == API_FETCH && c->ours && k->tries > 1) {
		sys_uuid(k->key);   /* the run that this key got has ended meanwhile */
		k->when = now;
	} else if (untouched || (fault && repeatable(c, k))) {
		int64_t wait = pause_after(k->tries), least = c->retry_after * SECOND;

		k->when = now + (wait < least ? least : wait);
		if ((k->status == 500 && k->tries >= FAULTS && k->deadline > 0) || (k->deadline > 0 && k->when >= k->deadline))
			return false;
		k->maybe = k->maybe || fault;
		if (!k->said && !c->opts.quiet && k->when - k->first >= PATIENCE * SECOND) {
			warn("%s: answers %d %s; trying again", client_url(c), k->status, http_reason(k->status));
			k->said = true;
		}
	} else {
		return false;
	}
	line_init(&one);
	push(&one, k);
	prepend(&c->waiting, &one);
	return true;
}

/* The answer to the first of the sent is whole. */
static void
answered(struct client *c, int64_t now)
{
	struct call *k = c->sent.head;
	/* one that came before its request was written ends the connection: what is left of the request would be in the way */
	bool over = c->http.close || written(c) < (k->next ? k->next->at : c->queued);

	take(&c->sent, &c->sent.head);
	c->answers++;
	c->fails = 0;
	calm(c, now);
	k->status = c->http.status;
	if (k->ghost)
		call_free(k);
	else if (!again(c, k, now))
		settle(c, k, now);
	if (over)
		recall(c, "the server closed the connection");
}

static void
bad_answer(struct client *c, int64_t now, const struct err *e)
{
	char why[256];

	snprintf(why, sizeof why, "what answers there speaks no HTTP that can be used (%.150s)", e->msg);
	if (e->code == 413 && c->sent.head && !c->sent.head->ghost) {   /* a repeat would be as large */
		struct call *k = c->sent.head;

		take(&c->sent, &c->sent.head);
		give_up(c, k, true, "the answer is over 256 MiB: ask for less at once (--limit)");
	}
	lost(c, now, why);
}

/* Takes what c->in holds apart. */
static void
parse(struct client *c, int64_t now)
{
	struct err e = {0};
	struct str data;
	size_t at = 0, used;

	while (c->net) {
		enum http_event ev = http_next(&c->http, c->in.p + at, c->in.len - at, &used, &data, &e);

		at += used;
		if (ev == HTTP_BAD || (ev == HTTP_HEADERS && !c->sent.head)) {
			err_set(&e, 1, "an answer to nothing");
			bad_answer(c, now, &e);
		} else if (ev == HTTP_HEADERS) {
			read_head(c);
		} else if (ev == HTTP_DATA) {
			buf_add(&c->body, data.p, data.n);
		} else if (ev == HTTP_END) {
			answered(c, now);
		} else {
			buf_drop(&c->in, at);
			return;
		}
	}
}

/* The other side has ended the connection. */
static void
ended(struct client *c, int64_t now)
{
	struct err e = {0};
	enum http_event ev = http_eof(&c->http, &e);

	if (ev == HTTP_END && c->sent.head)
		answered(c, now);
	if (!c->net)
		return;
	if (c->sent.head)
		lost(c, now, ev == HTTP_BAD ? "the connection broke within the answer" : "the connection was closed before the answer");
	else
		hang_up(c);
}

static void
receive(struct client *c, int64_t now)
{
	for (int i = 0; i < READS && c->net; i++) {
		ssize_t n;

		buf_reserve(&c->in, CHUNK);
		n = net_read(c->net, c->in.p + c->in.len, CHUNK);
		if (n == NET_AGAIN)
			return;
		if (n > 0) {
			c->in.len += (size_t)n;
			c->since = now;
			parse(c, now);
			if (!c->sent.head)
				return;
		} else if (n == 0) {
			ended(c, now);
		} else {
			lost(c, now, strerror(errno));
		}
	}
}

static void
transmit(struct client *c, int64_t now)
{
	while (c->net && c->off < c->out.len) {
		ssize_t n = net_write(c->net, c->out.p + c->off, c->out.len - c->off);

		if (n == NET_AGAIN)
			return;
		if (n < 0) {
			struct err e = {0};

			err_set(&e, 1, "%s", strerror(errno));
			receive(c, now);   /* a refusal may stand there */
			if (c->net)
				lost(c, now, e.msg);
			return;
		}
		c->off += (size_t)n;
		c->since = now;
	}
	c->off = 0;
	buf_clear(&c->out);
}

/* ---- the machine ---- */

static int64_t
limit_of(const struct client *c)
{
	const struct call *k = c->sent.head;

	if (c->net && !c->up)
		return c->since + CONNECT * SECOND;
	if (!k)
		return INT64_MAX;
	return (k->when > c->since ? k->when : c->since) + rows[k->api].answer * SECOND;
}

/* Ends what has had its time: a try at its limit, calls at their deadlines. */
static void
expire(struct client *c, int64_t now)
{
	char why[320];

	if (limit_of(c) <= now) {
		if (c->up)
			snprintf(why, sizeof why, "no answer for %d s", rows[c->sent.head->api].answer);
		else
			snprintf(why, sizeof why, "no connection within %d s", CONNECT);
		c->answers = 0;   /* not stale: silent */
		lost(c, now, why);
	}
	for (struct call **p = &c->sent.head, *k; (k = *p); p = &(*p)->next) {
		if (k->deadline > 0 && k->deadline <= now) {
			leave_ghost(&c->sent, p);
			give_up(c, k, k->maybe || k->at < written(c), "no answer in time");
		}
	}
	for (struct call **p = &c->waiting.head, *k; (k = *p);) {
		if (k->deadline <= 0 || k->deadline > now) {
			p = &k->next;
			continue;
		}
		take(&c->waiting, p);
		snprintf(why, sizeof why, "%s (given up after %d tr%s)", c->why[0] ? c->why : "no answer in time", k->tries,
		    k->tries == 1 ? "y" : "ies");
		give_up(c, k, k->maybe, why);
	}
}

/* Where the line points to the next call that may be written now. */
static struct call **
due(struct client *c, int64_t now)
{
	struct call **p = &c->waiting.head;

	while (*p && (*p)->when > now)
		p = &(*p)->next;
	return *p ? p : NULL;
}

static bool
room(const struct client *c)
{
	int n = 0;

	for (const struct call *k = c->sent.head; k && n < PIPELINE; k = k->next)
		n++;
	return !n || (c->ours && n < PIPELINE && c->out.len - c->off < PIPELINE_BYTES);
}

/* Whether the idle connection may have been closed over there without our knowing. */
static bool
doubtful(const struct client *c, int64_t now)
{
	return c->up && !c->sent.head && now - c->since > TRUSTED * SECOND;
}

static void
dispatch(struct client *c, int64_t now)
{
	struct call **p;

	while ((p = due(c, now))) {
		struct call *k = *p;

		if (doubtful(c, now)) {
			receive(c, now);   /* sees an end that has already come */
			if (c->net && !repeatable(c, k))
				hang_up(c);
		}
		if (!c->net && (now >= c->retry || c->starting))
			connect_to(c, now);
		p = place_of(&c->waiting, k);
		if (!p || !c->up || !room(c))
			break;
		take(&c->waiting, p);
		compose(c, k, now);
		push(&c->sent, k);
	}
	if (c->up)
		transmit(c, now);
}

void
client_send(struct client *c, struct call *k)
{
	const struct row *r = &rows[k->api];

	if (c->ours && !k->key[0] && r->repeat == KEYED)
		sys_uuid(k->key);
	if (!k->deadline)
		k->deadline = sys_mono() + r->patience * SECOND;
	k->done = k->unknown = k->maybe = k->said = false;
	k->status = k->tries = 0;
	k->when = 0;
	push(&c->waiting, k);
}

void
client_cancel(struct client *c, struct call *k)
{
	struct call **p = place_of(&c->waiting, k);

	if (p) {
		take(&c->waiting, p);
		return;
	}
	p = place_of(&c->sent, k);
	if (p)
		leave_ghost(&c->sent, p);
}

static void
sooner(int64_t *wake, int64_t t)
{
	if (t < *wake)
		*wake = t;
}

int
client_fds(struct client *c, struct pollfd *fds, int64_t *wake)
{
	int n = 0;

	sooner(wake, limit_of(c));
	for (const struct call *k = c->sent.head; k; k = k->next)
		if (k->deadline > 0)
			sooner(wake, k->deadline);
	for (const struct call *k = c->waiting.head; k; k = k->next) {
		if (k->deadline > 0)
			sooner(wake, k->deadline);
		if (c->net ? c->up && room(c) : !c->starting)
			sooner(wake, c->net || k->when > c->retry ? k->when : c->retry);
	}
	if (c->starting && c->waiting.head) {
		sooner(wake, locate_wake(c->locate));
		if (locate_fd(c->locate) >= 0)
			fds[n++] = (struct pollfd){.fd = locate_fd(c->locate), .events = POLLIN};
	}
	if (c->net) {
		if (!c->up)
			sooner(wake, net_wake(c->net));
		fds[n++] = (struct pollfd){.fd = net_fd(c->net), .events = net_want(c->net, c->off < c->out.len)};
	}
	return n;
}

void
client_step(struct client *c, struct pollfd *fds, int n)
{
	int64_t now = sys_mono();
	bool moved = false;

	for (int i = 0; i < n; i++)
		moved = moved || (c->net && fds[i].fd == net_fd(c->net) && fds[i].revents);
	if (c->net && !c->up)
		connecting(c, now);
	else if (c->up && moved)
		receive(c, now);
	expire(c, now);
	dispatch(c, now);
}

/* Milliseconds for poll until wake. */
static int
timeout(int64_t wake)
{
	int64_t left = (wake - sys_mono() + 999) / 1000;

	return wake == INT64_MAX ? -1 : left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

int
client_run(struct client *c, struct call *k)
{
	struct pollfd fds[CLIENT_FDS];
	int n = 0;

	client_send(c, k);
	for (;;) {
		int64_t wake = INT64_MAX;

		client_step(c, fds, n);
		if (k->done)
			return k->status >= 200 && k->status < 300 ? 0 : -1;
		n = client_fds(c, fds, &wake);
		if (poll(fds, (nfds_t)n, timeout(wake)) < 0)
			n = 0;
	}
}

/* ---- from the start to the end ---- */

/* Waits until locate has found or started a server. */
static int
find(struct client *c, struct place *p, struct err *e)
{
	int rc;

	while (!(rc = locate_step(c->locate, p, e))) {
		struct pollfd fd = {.fd = locate_fd(c->locate), .events = POLLIN};

		poll(&fd, fd.fd >= 0, timeout(locate_wake(c->locate)));
	}
	return rc < 0 ? -1 : 0;
}

static int
unnamed(const struct client *c, struct err *e)
{
	return err_set(e, EXIT_USAGE, "%s: no %s is named for it: set LABTASKER_QUEUE_NAME and LABTASKER_PASSWORD, or queue_name and "
	    "password under [queue] in %s", client_url(c), c->queue ? "password" : "queue", c->opts.conf->file);
}

/* The first answer: whether we may, or whether it is there at all, and whose it is. */
static int
greet(struct client *c, bool auth, struct err *e)
{
	struct call *k = call_new(auth ? API_QUEUE_GET : API_HEALTH_FULL);
	int rc = client_run(c, k);
	const struct json *id = k->doc ? json_gets(k->doc->root, "queue_id") : NULL;

	if (!rc && id && id->type == JSON_STR && id->len == 36)
		memcpy(c->queue_id, id->s, 37);
	if (rc && k->status == 401)
		err_set(e, EXIT_REFUSED, "%s: queue %s: %s: check %s", client_url(c), c->queue ? c->queue : "?", k->err.msg,
		    c->local && !c->opts.conf->password ? "that .labtasker/password is the one this queue was made with" :
		    "queue_name and password in client.toml, or LABTASKER_QUEUE_NAME and LABTASKER_PASSWORD");
	else if (rc)
		err_set(e, EXIT_REFUSED, "%s%s", k->err.msg, k->status || c->local ? "" : "; does a server run there?");
	call_free(k);
	return rc;
}

struct client *
client_open(const struct client_opts *o, bool auth, struct err *e)
{
	struct client *c = xcalloc(1, sizeof *c);
	struct place p;

	c->opts = *o;
	line_init(&c->waiting);
	line_init(&c->sent);
	c->locate = locate_new(o->conf, o->create, o->start);
	if (find(c, &p, e) < 0 || settle_in(c, &p, e) < 0 || (auth && !c->auth && unnamed(c, e) < 0) || greet(c, auth, e) < 0) {
		client_close(c);
		return NULL;
	}
	return c;
}

void
client_close(struct client *c)
{
	struct call *k;

	if (!c)
		return;
	while ((k = c->sent.head)) {
		take(&c->sent, &c->sent.head);
		if (k->ghost)
			call_free(k);
	}
	if (c->net)
		net_close(c->net);
	net_addrs_free(c->addrs);
	locate_free(c->locate);
	if (c->head.p)
		memset(c->head.p, 0, c->head.cap);
	buf_free(&c->head);
	buf_free(&c->out);
	buf_free(&c->in);
	buf_free(&c->body);
	free(c->place);
	free(c->queue);
	free(c);
}

bool
client_ours(const struct client *c)
{
	return c->ours;
}

const char *
client_queue_id(const struct client *c)
{
	return c->queue_id;
}

const char *
client_url(const struct client *c)
{
	return c->place ? c->place : c->opts.conf->root;
}
