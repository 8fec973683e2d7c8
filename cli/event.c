/* SPDX-License-Identifier: MIT */
/*
 * labtasker event listen: the server's stream of events (SPEC 1.4), as WHATWG's event streams are read: lines that end in CR LF, LF
 * or CR; an empty line ends an event.  Where the stream breaks the client begins it anew, from our own server behind the last event
 * seen; the numbers that the server gives its events show what is missing, and that is said.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { TIMEOUT, RAW, COMPACT, JSON, VERBOSE, END, MAX_LINE = 64 << 20 };

const struct opt event_listen_opts[] = {
	[TIMEOUT] = {"--timeout", OPT_INT, "SECONDS", "for getting a connection at first", "10"},
	[RAW] = {"--raw", OPT_FLAG, NULL, "the stream as it comes, byte for byte", NULL},
	[COMPACT] = {"-c --compact", OPT_FLAG, NULL, "one line an event: [number][time][type][kind][id][old -> new]", NULL},
	[JSON] = {"--json", OPT_FLAG, NULL, "one JSON object an event, with the whole task or worker", NULL},
	[VERBOSE] = {"-v --verbose", OPT_FLAG, NULL, "with the whole task or worker", NULL},
	[END] = {0}
};

struct listener {
	const struct context *x;
	const struct args *a;
	struct client *client;
	struct call *call;
	struct buf line, event, data, id;   /* of what is being read */
	bool cr;                            /* the byte before was one */
	bool began;                         /* there was a stream before this one */
	int64_t last;                       /* the number of the event seen last; -1 none */
};

static const char *
text(const struct json *obj, const char *key)
{
	const struct json *v = json_gets(obj, key);

	return v && (v->type == JSON_STR || v->type == JSON_NUM) ? v->s : "";
}

/* As the reference writes it. */
static void
put_compact(struct buf *b, const struct json *v, const struct json *event)
{
	struct buf line = {0};

	buf_printf(&line, "[%5s][%s][%-20s][%-10s][%s][%-10s -> %-10s]", text(v, "sequence"), text(v, "timestamp"), text(event, "type"),
	    text(event, "entity_type"), text(event, "entity_id"), text(event, "old_state"), text(event, "new_state"));
	buf_visible(b, (struct str){line.p, line.len}, " ");
	buf_addc(b, '\n');
	buf_free(&line);
}

/* What one wants to see of an event, as an item of a YAML list. */
static void
put_yaml(struct buf *b, struct json_doc *d, const struct json *event, bool all)
{
	static const char *const key[] = {
		"sequence", "timestamp", "type", "entity_type", "entity_id", "old_state", "new_state", "entity_data"
	};
	enum { OUTER = 2 };   /* so many stand beside the event */
	struct json *list = json_mkarr(d), *v = json_mkobj(d);

	for (size_t i = 0; i < LEN(key) - !all; i++) {
		const struct json *m = json_gets(i < OUTER ? d->root : event, key[i]);

		if (m)
			json_sets(d, v, key[i], json_copy(d, m));
	}
	json_push(list, v);
	out_yaml(b, list);
}

/* Says what the numbers show: events are missing, or they count from the start again. */
static void
check_sequence(struct listener *l, const struct json *v)
{
	int64_t n;

	if (!v || json_int(v, &n) < 0)
		return;
	if (l->last >= 0 && n <= l->last)
		warn("event listen: the server was started again: events from before are missing");
	else if (l->last >= 0 && n > l->last + 1)
		warn("event listen: %ld events are missing: see labtasker status for what is now", (long)(n - l->last - 1));
	l->last = n;
}

static void
show_event(struct listener *l)
{
	struct err e = {0};
	struct json_doc *d = json_parse(l->data.p, l->data.len, &e);
	const struct json *event = d ? json_gets(d->root, "event") : NULL;
	struct buf b = {0};

	if (!event) {
		warn("event listen: an event that cannot be read: %s", d ? "it has no member event" : e.msg);
		json_free(d);
		return;
	}
	check_sequence(l, json_gets(d->root, "sequence"));
	if (l->a->val[COMPACT].num)
		put_compact(&b, d->root, event);
	else if (l->a->val[JSON].num)
		out_json(&b, d->root);
	else
		put_yaml(&b, d, event, l->a->val[VERBOSE].num);
	if (out_end(&b))
		exit(EXIT_REFUSED);
	json_free(d);
}

static void
connected(struct listener *l)
{
	if (!l->began)
		warn("event listen: connected to %s; Ctrl-C ends it", client_url(l->client));
	else if (client_ours(l->client))
		warn("event listen: connected again");
	else
		warn("event listen: connected again; this server does not repeat what happened in between");
	l->began = true;
}

/* An empty line: what was read until here is one event. */
static void
dispatch(struct listener *l)
{
	struct str name = {l->event.p, l->event.len};

	if (l->id.len && l->id.len < sizeof l->call->last)
		memcpy(l->call->last, l->id.p, l->id.len + 1);
	if (l->data.len)
		l->data.p[--l->data.len] = 0;   /* the newline of its last line */
	if (str_is(name, "connection"))
		connected(l);
	else if (str_is(name, "event") && !l->a->val[RAW].num)
		show_event(l);
	buf_clear(&l->event);
	buf_clear(&l->data);
	buf_clear(&l->id);
}

static void
end_line(struct listener *l)
{
	struct str s = {l->line.p, l->line.len}, value = {0};
	const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;

	if (!s.n) {
		dispatch(l);
		return;
	}
	if (colon) {
		value = (struct str){colon + 1, (size_t)(s.p + s.n - colon - 1)};
		s.n = (size_t)(colon - s.p);
		if (value.n && value.p[0] == ' ')
			value = (struct str){value.p + 1, value.n - 1};
	}
	if (str_is(s, "event")) {
		buf_clear(&l->event);
		buf_add(&l->event, value.p, value.n);
	} else if (str_is(s, "data") && l->data.len < MAX_LINE) {
		buf_add(&l->data, value.p, value.n);
		buf_addc(&l->data, '\n');
	} else if (str_is(s, "id") && !(value.n && memchr(value.p, 0, value.n))) {
		buf_clear(&l->id);
		buf_add(&l->id, value.p, value.n);
	}
	buf_clear(&l->line);
}

/* See struct call: the stream's bytes. */
static void
hear(void *arg, struct str s)
{
	struct listener *l = arg;

	if (!s.p) {
		buf_clear(&l->line);
		buf_clear(&l->event);
		buf_clear(&l->data);
		buf_clear(&l->id);
		l->cr = false;
		return;
	}
	if (l->a->val[RAW].num) {
		struct buf b = {0};

		buf_add(&b, s.p, s.n);
		if (out_end(&b))
			exit(EXIT_REFUSED);
	}
	for (size_t i = 0; i < s.n; i++) {
		bool lf = l->cr && s.p[i] == '\n';   /* of CR LF: the line has ended */

		l->cr = s.p[i] == '\r';
		if (lf)
			continue;
		if (l->cr || s.p[i] == '\n')
			end_line(l);
		else if (l->line.len < MAX_LINE)
			buf_addc(&l->line, s.p[i]);
	}
}

int
cmd_event_listen(struct context *x, struct args *a)
{
	struct client_opts o = {.conf = x->conf, .start = x->start};
	struct listener l = {.x = x, .a = a, .last = -1};
	struct err e = {0};
	int64_t timeout = a->val[TIMEOUT].num;

	if (timeout < 1 || timeout > 86400) {
		err_set(&e, EXIT_USAGE, "Invalid value for --timeout: '%s': it must be 1 to 86400 seconds", a->val[TIMEOUT].text);
		return ask_fail(x, &e);
	}
	if (a->val[RAW].num + a->val[COMPACT].num + a->val[JSON].num > 1) {
		err_set(&e, EXIT_USAGE, "give one of --raw, --compact and --json");
		return ask_fail(x, &e);
	}
	o.patience = (int)timeout;
	l.client = client_open(&o, true, &e);
	if (!l.client)
		return ask_fail(x, &e);
	l.call = call_new(API_EVENTS);
	l.call->sink = hear;
	l.call->arg = &l;
	l.call->deadline = sys_mono() + timeout * SECOND;
	client_run(l.client, l.call);   /* comes back only when refused */
	ask_fail(x, &l.call->err);
	call_free(l.call);
	client_close(l.client);
	buf_free(&l.line);
	buf_free(&l.event);
	buf_free(&l.data);
	buf_free(&l.id);
	return EXIT_REFUSED;
}
