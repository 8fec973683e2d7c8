/* SPDX-License-Identifier: MIT */
/*
 * The one caller of the API, as a machine that never waits (client_run waits around it).  A call stands in the line until its
 * request is written, then among the sent until its answer has come; a try that fails puts it back, where its row in call.c lets
 * it.  One connection is kept, and before each new one locate says where the server is.  Tries have their limit, are spaced by a
 * growing random pause, and go on until the call's deadline.
 */
#include "labtasker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CONNECT = 5,                  /* seconds to get a connection */
	TRUSTED = 1,                  /* seconds after which an idle connection may have been closed over there */
	PATIENCE = 1,                 /* seconds of trouble before a line tells of it */
	PAUSE = 50 * 1000, PAUSE_MAX = 5 * 1000000,   /* between tries, growing: see client_haste */
	RETRY_AFTER = 60,             /* seconds of Retry-After that we bear with */
	FAULTS = 3,                   /* tries that a 500 gets: it may be a bug that no repeat mends */
	PIPELINE = 256, PIPELINE_BYTES = 256 << 10
};

struct line {
	struct call *head, **tail;
};

struct client {
	struct client_opts opts;
	struct locate *locate;
	struct url url;
	char *place, *pin, *queue;    /* the server's URL as it was named, its pin; whose queue */
	bool local, auth, proxied;    /* local: the place is server.json's; auth: a password is known */
	struct net_addrs *addrs;
	char *prefix;                 /* before the path of every request */
	struct buf head;              /* the header lines of every request */
	bool ours;
	bool met, vain;               /* an answer came; none will, for it is not to be believed or speaks otherwise */
	char queue_id[40], store[40];

	struct line waiting, sent;
	bool news;                    /* this client_step has done a call */
	bool starting;                /* locate is at it */
	struct wire wire;
	int64_t retry_after;          /* of the answer that is being read: seconds */
	char location[200];

	int64_t haste;                /* the longest pause between tries */
	int fails;                    /* tries that failed since the last answer */
	int64_t retry;                /* mono: no connection before */
	int64_t trouble;              /* mono: when it began, 0 none */
	struct client *root;          /* the one that others stand beside, which has of all: */
	struct client *teller;        /* who told of a trouble; NULL: nobody */
	bool vexed;                   /* it was told that a call is being refused */
	char why[256];                /* what failed last */
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

/* ---- trouble ---- */

/* Half of it is chance, so that clients that lost one server do not come back as one. */
static int64_t
pause_after(const struct client *c, int fails)
{
	int64_t most = fails < 7 ? (int64_t)PAUSE << fails : PAUSE_MAX;
	uint32_t r;

	sys_random(&r, sizeof r);
	if (most > c->haste)
		most = c->haste;
	return most / 2 + (int64_t)(r % (uint32_t)(most / 2));
}

/* One line when trouble has lasted a moment, another when it ends. */
static void
trouble(struct client *c, int64_t since, int64_t now, const char *why)
{
	c->why[0] = 0;
	strncat(c->why, why, sizeof c->why - 1);
	if (!c->trouble)
		c->trouble = since;
	if (c->root->teller || now - c->trouble < PATIENCE * SECOND)
		return;
	warn("%s: %s; trying again", client_url(c), why);
	c->root->teller = c;
}

static void
calm(struct client *c, int64_t now)
{
	if (c->root->teller == c) {
		warn("%s: answers again after %ld s", client_url(c), (long)((now - c->trouble) / SECOND));
		c->root->teller = NULL;
	}
	c->trouble = 0;
}

/* The call is over. */
static void
hush(struct client *c, struct call *k)
{
	if (k->said)
		c->root->vexed = false;
	k->said = false;
}

/* ---- answers ---- */

/* What the server wants its users to know (SPEC 1), from the level that was asked for. */
static void
notify(const struct client *c, const struct json *answer)
{
	static const char *const levels[] = {"low", "medium", "high"};
	const struct json *list = json_gets(answer, "notification");
	struct buf line = {0};

	if (!list || list->type != JSON_ARR)
		return;
	for (const struct json *v = list->head; v; v = v->next) {
		const struct json *level = json_gets(v, "level"), *text = json_gets(v, "details");
		int l = 0;

		while (l < 3 && !json_is(level, levels[l]))
			l++;
		if (!json_text(text).p || (l == 3 ? 0 : l) < c->opts.conf->notify)
			continue;
		if (!json_is(json_gets(v, "type"), "info")) {
			warn("%s says: %s", client_url(c), text->s);
			continue;
		}
		buf_visible(&line, json_text(text), " ");
		printf("%s\n", line.p ? line.p : "");
		buf_clear(&line);
	}
	buf_free(&line);
}

/* The server says that it did nothing; it may have done something. */
static bool
untouched(int status)
{
	return status == 408 || status == 429 || status == 503;
}

static bool
fault(int status)
{
	return status == 500 || status == 502 || status == 504;
}

static void
settle(struct client *c, struct call *k, int64_t now)
{
	if (k->said && !untouched(k->status) && !fault(k->status))
		warn("%s: answers again after %ld s", client_url(c), (long)((now - k->first) / SECOND));
	hush(c, k);
	call_answer(k, k->status, (struct str){c->wire.body.p, c->wire.body.len}, client_url(c), c->location);
	if (k->doc)
		notify(c, k->doc->root);
	c->news = true;
}

static void
remember_store(struct client *c, const struct str *id)
{
	char *store = c->root->store;

	if (!id || id->n >= sizeof c->store || str_is(*id, store))
		return;
	if (store[0])
		warn("%s: another store is served there now (%.*s, before %s): the tasks of before are not in it", client_url(c),
		    (int)id->n, id->p, store);
	memcpy(store, id->p, id->n);
	store[id->n] = 0;
}

/* A head has come. */
static void
read_head(struct client *c)
{
	const struct http *h = &c->wire.http;
	const struct str *retry = http_get(h, "Retry-After"), *location = http_get(h, "Location");

	if (http_get(h, "Labtasker-Version"))
		c->ours = true;
	else if (h->status >= 200 && h->status < 300)
		c->ours = false;   /* an error may be of a proxy between us */
	remember_store(c, http_get(h, "Labtasker-Store"));
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

/* Says what the server answers again and again, and why. */
static void
vexed(const struct client *c, const struct call *k)
{
	struct err e = {0};
	struct json_doc *d = c->wire.body.len ? json_parse(c->wire.body.p, c->wire.body.len, &e) : NULL;
	const char *why = json_gettext(d ? d->root : NULL, "detail");

	warn("%s: answers %d %s%s%s; trying again", client_url(c), k->status, http_reason(k->status), *why ? ": " : "", why);
	json_free(d);
}

/* When the answer that k has got is a reason to try again: from when on.  Else 0. */
static int64_t
again(struct client *c, struct call *k, int64_t now)
{
	int64_t wait, least = c->retry_after * SECOND;

	if (k->sink && k->status >= 200 && k->status < 300)   /* the server ended the stream: on where it stopped */
		return now + pause_after(c, k->tries);
	if (k->status == 409 && k->api == API_FETCH && c->ours && k->tries > 1) {
		sys_uuid(k->key);   /* the run that this key got has ended meanwhile */
		return now;
	}
	if (!untouched(k->status) && !(fault(k->status) && call_repeatable(k, c->ours)))
		return 0;
	if (k->status == 500 && k->tries >= FAULTS && k->deadline > 0)
		return 0;
	wait = pause_after(c, k->tries);
	if (wait < least)
		wait = least;
	if (k->deadline > 0 && now + wait >= k->deadline)
		return 0;
	k->maybe = k->maybe || fault(k->status);
	if (!c->root->vexed && now + wait - k->first >= PATIENCE * SECOND) {
		vexed(c, k);
		k->said = c->root->vexed = true;
	}
	return now + wait;
}

/* ---- the connection ---- */

/* No answer will come to k, for it was said why. */
static void
unanswer(struct client *c, struct call *k, bool maybe, const char *why)
{
	hush(c, k);
	call_unanswered(k, maybe, client_url(c), why);
	c->news = true;
}

/* It is over.  What was sent and not answered goes back to the line, or ends. */
static void
recall(struct client *c, const char *why)
{
	uint64_t arrived = wire_written(&c->wire);
	struct line back;
	struct call *k;

	line_init(&back);
	while ((k = c->sent.head)) {
		bool maybe = k->at < arrived;

		take(&c->sent, &c->sent.head);
		if (k->ghost) {
			call_free(k);
			continue;
		}
		k->when = 0;
		k->maybe = k->maybe || maybe;
		if (maybe && !call_repeatable(k, c->ours))
			unanswer(c, k, true, why);
		else
			push(&back, k);
	}
	prepend(&c->waiting, &back);
	wire_close(&c->wire);
}

/* A try failed for want of a connection, or with it. */
static void
lost(struct client *c, int64_t now, const char *why)
{
	/* a kept connection that turns out to be closed is no trouble: at once again */
	bool stale = c->wire.up && c->wire.answers && !c->fails;
	int64_t since = c->wire.net ? c->wire.since : now;

	recall(c, why);
	if (!c->waiting.head)
		return;
	c->retry = stale ? now : now + pause_after(c, c->fails);
	if (!stale)
		trouble(c, since, now, why);
	c->fails++;
}

/* A connection did not come about.  Where that is bound to repeat itself, somebody who begins is told at once; a worker that had
 * answers goes on, for the other side may be mended. */
static void
unconnected(struct client *c, int64_t now, const struct err *e)
{
	struct call *k;

	c->vain = e->code == TLS_VAIN && !c->met;
	lost(c, now, e->msg);
	while (c->vain && (k = c->waiting.head)) {
		take(&c->waiting, &c->waiting.head);
		unanswer(c, k, k->maybe, e->msg);
	}
}

/* Where k's request ends in what the connection sends. */
static uint64_t
end_of(const struct client *c, const struct call *k)
{
	return k->next ? k->next->at : c->wire.queued;
}

/* The answer to the first of the sent is whole. */
static void
answered(struct client *c, int64_t now)
{
	struct call *k = c->sent.head;
	/* one that came before its request was written ends the connection: what is left of the request would be in the way */
	bool over = c->wire.http.close || wire_written(&c->wire) < end_of(c, k);
	struct line one;

	take(&c->sent, &c->sent.head);
	c->fails = 0;
	c->met = true;
	calm(c, now);
	k->status = c->wire.http.status;
	if (k->ghost) {
		call_free(k);
	} else if ((k->when = again(c, k, now))) {
		line_init(&one);
		push(&one, k);
		prepend(&c->waiting, &one);
	} else {
		settle(c, k, now);
	}
	if (over)
		recall(c, "the server closed the connection");
}

/* What was read is no answer to what was sent. */
static void
broken(struct client *c, int64_t now, const struct err *e)
{
	struct call *k = c->sent.head;

	if (e->code == 413 && k && !k->ghost) {
		take(&c->sent, &c->sent.head);
		unanswer(c, k, true, e->msg);
	}
	lost(c, now, e->msg);
}

/* After a head: whether what follows is a stream for its call. */
static void
begin_stream(struct client *c, int64_t now)
{
	struct call *k = c->sent.head;

	if (!k->sink || c->wire.http.status < 200 || c->wire.http.status > 299)
		return;
	c->wire.stream = true;
	c->fails = 0;
	calm(c, now);
	k->deadline = -1;
	k->sink(k->arg, (struct str){0});
}

static void
receive(struct client *c, int64_t now)
{
	while (c->wire.net) {
		struct err e = {0};
		enum wire_event ev = wire_read(&c->wire, now, &e);

		if (ev == WIRE_WAIT)
			return;
		if (!c->sent.head && ev != WIRE_LOST) {
			wire_close(&c->wire);   /* an end, or an answer to nothing */
		} else if (ev == WIRE_HEAD) {
			read_head(c);
			begin_stream(c, now);
		} else if (ev == WIRE_DATA) {
			if (c->sent.head->sink)   /* else it was cancelled */
				c->sent.head->sink(c->sent.head->arg, c->wire.data);
		} else if (ev == WIRE_ANSWER) {
			answered(c, now);
			if (!c->sent.head)
				return;
		} else {
			broken(c, now, &e);
		}
	}
}

static void
transmit(struct client *c, int64_t now)
{
	uint64_t before = wire_written(&c->wire);
	struct err e = {0};
	int rc;

	if (!c->wire.up)
		return;
	rc = wire_write(&c->wire, now, &e);
	for (struct call *k = c->sent.head; k; k = k->next)
		if (end_of(c, k) > before && end_of(c, k) <= wire_written(&c->wire))
			k->when = now;   /* it is whole, and its answer may be waited for */
	if (!rc)
		return;
	receive(c, now);   /* a refusal may stand there */
	if (c->wire.net)
		lost(c, now, e.msg);
}

/* What every request to this place begins with: the path's prefix, and the header lines. */
static void
make_head(struct client *c, const struct place *p, bool proxied)
{
	const struct url *u = &c->url;
	bool local = !strcmp(u->scheme, "unix"), six = strchr(u->host, ':') != NULL;
	bool usual = !strcmp(u->port, !strcmp(u->scheme, "https") ? "443" : "80");
	char *host = local ? xstrdup("localhost") :
	    xprintf("%s%s%s%s%s", six ? "[" : "", u->host, six ? "]" : "", usual ? "" : ":", usual ? "" : u->port);
	struct buf pair = {0}, *b = &c->head;

	free(c->prefix);
	c->prefix = xprintf("%s%s%s", proxied ? "http://" : "", proxied ? host : "", local ? "" : u->path);
	buf_clear(b);
	buf_printf(b, "Host: %s\r\nAccept: */*\r\nConnection: keep-alive\r\nUser-Agent: labtasker-c/" LABTASKER_VERSION
	    "\r\nContent-Type: application/json\r\n", host);
	free(host);
	c->auth = p->queue && p->password;
	if (!c->auth)
		return;
	buf_printf(&pair, "%s:%s", p->queue, p->password);
	buf_adds(b, "Authorization: Basic ");
	hash_base64(b, pair.p, pair.len);
	buf_adds(b, "\r\n");
	buf_wipe(&pair);
}

/* Makes p the server that is spoken to.  Resolves its name unless the URL is the one of before. */
static int
settle_in(struct client *c, const struct place *p, struct err *e)
{
	struct net_proof proof = {.cacert = p->cacert, .pin = p->pin};
	struct net_addrs *addrs;
	struct url url;
	bool proxied;

	if (!c->place || strcmp(c->place, p->url) || strcmp(c->pin ? c->pin : "", p->pin ? p->pin : "")) {
		if (url_parse(&url, p->url, e) < 0) {
			e->code = EXIT_USAGE;
			return -1;
		}
		if (p->pin && !strcmp(url.scheme, "http"))
			return err_set(e, EXIT_USAGE, "%s: a pin is named, and nobody proves anything over http://: use https://, "
			    "or no pin", p->url);
		addrs = net_resolve(&url, &proof, &proxied, e);
		if (!addrs) {
			e->code = e->code == EXIT_USAGE ? EXIT_USAGE : EXIT_REFUSED;
			return -1;
		}
		net_addrs_free(c->addrs);
		c->addrs = addrs;
		c->proxied = proxied;
		c->url = url;
		free(c->place);
		c->place = xstrdup(p->url);
		free(c->pin);
		c->pin = p->pin ? xstrdup(p->pin) : NULL;
	}
	free(c->queue);
	c->queue = p->queue ? xstrdup(p->queue) : NULL;
	c->local = p->local;
	make_head(c, p, c->proxied);
	return 0;
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
	if (rc < 0 || settle_in(c, &p, &e) < 0 || wire_open(&c->wire, c->addrs, now, &e) < 0)
		unconnected(c, now, &e);
}

/* ---- the machine ---- */

static int64_t
limit_of(const struct client *c)
{
	const struct call *k = c->sent.head;
	int64_t moved;

	if (c->wire.net && !c->wire.up)
		return c->wire.since + CONNECT * SECOND;
	if (!k)
		return INT64_MAX;
	/* What goes out behind it does not count. */
	moved = end_of(c, k) <= wire_written(&c->wire) ? c->wire.heard : c->wire.since;
	return (k->when > moved ? k->when : moved) + (call_row(k)->answer + k->wait) * SECOND;
}

/* The try that is under way has had its time. */
static void
expire_try(struct client *c, int64_t now)
{
	char why[64];

	if (c->wire.up)
		snprintf(why, sizeof why, "no answer for %d s", call_row(c->sent.head)->answer + c->sent.head->wait);
	else
		snprintf(why, sizeof why, "no %s within %d s", net_shaking(c->wire.net) ? "TLS handshake" : "connection", CONNECT);
	c->wire.answers = 0;   /* silent, not stale */
	lost(c, now, why);
}

/* Ends the calls whose deadlines have come. */
static void
expire_calls(struct client *c, int64_t now)
{
	char why[320];

	for (struct call **p = &c->sent.head, *k; (k = *p); p = &(*p)->next) {
		if (k->deadline > 0 && k->deadline <= now) {
			leave_ghost(&c->sent, p);
			unanswer(c, k, k->maybe || k->at < wire_written(&c->wire), "no answer in time");
		}
	}
	for (struct call **p = &c->waiting.head, *k; (k = *p);) {
		if (k->deadline <= 0 || k->deadline > now) {
			p = &k->next;
			continue;
		}
		take(&c->waiting, p);
		snprintf(why, sizeof why, "%s (tried %d times)", c->why[0] ? c->why : "no answer in time",
		    k->tries > c->fails ? k->tries : c->fails);
		unanswer(c, k, k->maybe, why);
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

/* More than one call is under way only with a server of ours. */
static bool
room(const struct client *c)
{
	int n = 0;

	for (const struct call *k = c->sent.head; k && n < PIPELINE; k = k->next)
		n++;
	return !n || (c->ours && n < PIPELINE && c->wire.queued - wire_written(&c->wire) < PIPELINE_BYTES);
}

static void
compose(struct client *c, struct call *k, int64_t now)
{
	size_t before = c->wire.out.len;

	call_put(&c->wire.out, k, c->prefix, (struct str){c->head.p, c->head.len}, c->ours);
	k->at = c->wire.queued;
	c->wire.queued += c->wire.out.len - before;
	k->when = now;
	if (!k->tries++)
		k->first = now;
	push(&c->sent, k);
}

/* Before k goes out on an idle connection: it may have been closed over there.  An end that has come is seen; from one that is on
 * its way only a new connection is safe. */
static void
freshen(struct client *c, const struct call *k, int64_t now)
{
	if (!c->wire.up || c->sent.head)
		return;
	receive(c, now);
	if (c->wire.net && now - c->wire.since > TRUSTED * SECOND && !call_repeatable(k, c->ours))
		wire_close(&c->wire);
}

static void
dispatch(struct client *c, int64_t now)
{
	struct call **p;

	while ((p = due(c, now))) {
		struct call *k = *p;

		freshen(c, k, now);
		if (!c->wire.net && (now >= c->retry || c->starting))
			connect_to(c, now);
		p = place_of(&c->waiting, k);
		if (!p || !c->wire.up || !room(c))
			break;
		take(&c->waiting, p);
		compose(c, k, now);
	}
	transmit(c, now);
}

void
client_send(struct client *c, struct call *k)
{
	const struct call_row *r = call_row(k);

	json_free(k->doc);
	k->doc = NULL;
	k->err = (struct err){0};
	k->done = k->unknown = k->maybe = k->said = false;
	k->status = k->tries = 0;
	k->when = 0;
	if (c->ours && !k->key[0] && r->repeat == CALL_KEYED)
		sys_uuid(k->key);
	if (!k->deadline)
		k->deadline = sys_mono() + r->patience * SECOND;
	push(&c->waiting, k);
}

void
client_cancel(struct client *c, struct call *k)
{
	struct call **p = place_of(&c->waiting, k);

	hush(c, k);
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

/* When the line's next call can be written, or something is due for a call. */
static void
wake_for_calls(const struct client *c, int64_t *wake)
{
	bool open = c->wire.net != NULL, ready = open && c->wire.up && room(c);

	for (const struct call *k = c->sent.head; k; k = k->next)
		if (k->deadline > 0)
			sooner(wake, k->deadline);
	for (const struct call *k = c->waiting.head; k; k = k->next) {
		if (k->deadline > 0)
			sooner(wake, k->deadline);
		if (open ? ready : !c->starting)
			sooner(wake, open || k->when > c->retry ? k->when : c->retry);
	}
}

int
client_fds(struct client *c, struct pollfd *fds, int64_t *wake)
{
	int n = 0;

	sooner(wake, limit_of(c));
	wake_for_calls(c, wake);
	if (c->starting && c->waiting.head) {
		sooner(wake, locate_wake(c->locate));
		if (locate_fd(c->locate) >= 0)
			fds[n++] = (struct pollfd){.fd = locate_fd(c->locate), .events = POLLIN};
	}
	if (c->wire.net) {
		if (!c->wire.up)
			sooner(wake, net_wake(c->wire.net));
		fds[n] = (struct pollfd){.fd = net_fd(c->wire.net), .events = net_want(c->wire.net, false)};
		if (wire_writing(&c->wire))   /* and not only that: who is not read may read no more */
			fds[n].events |= net_want(c->wire.net, true);
		n++;
	}
	return n;
}

bool
client_step(struct client *c, struct pollfd *fds, int n)
{
	int64_t now = sys_mono();
	struct err e = {0};
	bool moved = false, news;

	for (int i = 0; i < n; i++)
		moved = moved || (c->wire.net && fds[i].fd == net_fd(c->wire.net) && fds[i].revents);
	if (c->wire.net && !c->wire.up) {
		if (wire_connect(&c->wire, now, &e) < 0)
			unconnected(c, now, &e);
	} else if (moved) {
		receive(c, now);
	}
	if (limit_of(c) <= now)
		expire_try(c, now);
	expire_calls(c, now);
	dispatch(c, now);
	news = c->news;
	c->news = false;
	return news;
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
		if (poll(fds, (nfds_t)n, sys_timeout(wake, sys_mono())) < 0)
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

		poll(&fd, fd.fd >= 0, sys_timeout(locate_wake(c->locate), sys_mono()));
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
	const struct json *id;
	int rc;

	k->deadline = c->opts.patience ? sys_mono() + c->opts.patience * SECOND : 0;
	rc = client_run(c, k);
	id = call_get(k, "queue_id");
	if (!rc && json_text(id).n == 36)
		memcpy(c->queue_id, id->s, 37);
	if (rc && k->status == 401)
		err_set(e, EXIT_REFUSED, "%s: queue %s: %s: check %s", client_url(c), c->queue ? c->queue : "?", k->err.msg,
		    c->local && !c->opts.conf->password ? "that .labtasker/password is the one this queue was made with; "
		    "was it deleted, `labtasker queue create --queue-name default --password-file .labtasker/password` makes it anew" :
		    "queue_name and password in client.toml, or LABTASKER_QUEUE_NAME and LABTASKER_PASSWORD; "
		    "`labtasker queue create-from-config` makes a queue that is not there");
	else if (rc)
		err_set(e, EXIT_REFUSED, "%s%s", k->err.msg, k->status || c->vain ? "" : c->local ?
		    "; does a server run there, as .labtasker/server.json says?" : "; does a server run there?");
	call_free(k);
	return rc;
}

struct client *
client_open(const struct client_opts *o, bool auth, struct err *e)
{
	struct client *c = xcalloc(1, sizeof *c);
	struct place p;

	c->opts = *o;
	c->root = o->beside ? o->beside : c;
	c->haste = PAUSE_MAX;
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
	if (c->root->teller == c) {
		c->root->teller = c->root;   /* it will tell of the end */
		c->root->trouble = c->trouble;
	}
	wire_free(&c->wire);
	net_addrs_free(c->addrs);
	locate_free(c->locate);
	buf_wipe(&c->head);
	free(c->prefix);
	free(c->place);
	free(c->pin);
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

void
client_haste(struct client *c, int64_t most)
{
	if (most < c->haste)
		c->haste = most > PAUSE ? most : PAUSE;
}

const char *
client_url(const struct client *c)
{
	return c->place ? c->place : c->opts.conf->root;
}
