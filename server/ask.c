/* SPDX-License-Identifier: MIT */
/*
 * The road of a request to its call.  The order of checks is SPEC 1's: path, method, JSON syntax, credentials, query and fields,
 * then the call's own.
 */
#include "ask.h"

#include <stdio.h>
#include <string.h>

/* ---- answers ---- */

void
ask_answer(struct ask *a, int status, const char *body)
{
	a->out->status = status;
	buf_adds(&a->out->body, body);
}

void
ask_refuse(struct ask *a, int status, const char *detail)
{
	struct buf *b = &a->out->body;

	buf_clear(b);
	a->out->status = status;
	buf_adds(b, "{\"detail\":");
	json_putstr(b, str_of(detail), 0);
	buf_addc(b, '}');
}

void
ask_refuse_later(struct ask *a, const char *detail)
{
	ask_refuse(a, 503, detail);
	buf_adds(&a->out->head, "Retry-After: 1\r\n");
}

void
ask_faults(struct ask *a, const struct buf *items)
{
	struct buf *b = &a->out->body;

	a->out->status = 422;
	buf_adds(b, "{\"detail\":[");
	buf_add(b, items->p, items->len);
	buf_adds(b, "]}");
}

void
ask_refuse_err(struct ask *a)
{
	ask_refuse(a, a->err.code >= 400 && a->err.code < 600 ? a->err.code : 400, a->err.msg);
}

/* ---- what the calls ask of a request ---- */

const struct json *
ask_json(const struct value *v)
{
	return v->given ? v->json : NULL;
}

struct str
ask_text(const struct value *v)
{
	return v->given && v->text.n ? v->text : (struct str){0};
}

int
ask_uuid(struct ask *a, const char *name, uuid out)
{
	const struct str *s = http_get(a->req->head, name);

	if (!s)
		return 0;
	if (!uuid_parse(*s, out))
		return 1;
	buf_clear(&a->r->text);
	buf_printf(&a->r->text, "%s must be a UUID", name);
	ask_refuse(a, 400, a->r->text.p);
	return -1;
}

bool
ask_query(struct ask *a, const char *name, struct buf *out)
{
	struct str rest = a->query, n, v;
	bool found = false;

	while (http_query(&rest, &n, &v)) {
		struct buf key = {0};

		if (!http_unescape(&key, n, true) && str_is((struct str){key.p, key.len}, name)) {
			buf_clear(out);
			if (http_unescape(out, v, true) < 0)
				buf_add(out, v.p, v.n);   /* as it stands: no flag, nobody's id */
			found = true;
		}
		buf_free(&key);
	}
	return found;
}

/* ---- the road ---- */

/* Whether path is of pattern; the part at {} goes to id. */
static bool
path_is(const char *pattern, struct str path, struct str *id)
{
	const char *p = path.p, *end = path.p + path.n;

	for (; *pattern; pattern++) {
		if (pattern[0] == '{') {
			const char *slash = memchr(p, '/', (size_t)(end - p));

			*id = (struct str){p, (size_t)((slash ? slash : end) - p)};
			if (!id->n)
				return false;
			p += id->n;
			pattern++;
		} else if (p == end || *p++ != *pattern) {
			return false;
		}
	}
	return p == end;
}

static void
escape_path(struct buf *b, struct str path)
{
	while (path.p) {
		http_escape(b, str_part(&path, '/'));
		if (path.p)
			buf_addc(b, '/');
	}
}

/* HEAD asks for all that GET reads, but for what has no end; conn keeps the body back. */
static bool
method_is(const struct route *r, struct str method)
{
	return str_is(method, r->method) || (str_is(method, "HEAD") && !strcmp(r->method, "GET") && r->kind != STREAM);
}

/* The path is known, but not with this method; text has those that are. */
static void
refuse_method(struct ask *a)
{
	buf_adds(&a->out->head, "Allow: ");
	buf_add(&a->out->head, a->r->text.p, a->r->text.len);
	buf_adds(&a->out->head, "\r\n");
	if (str_is(a->req->method, "OPTIONS"))
		a->out->status = 204;
	else
		ask_refuse(a, 405, "Method Not Allowed");
}

static void
redirect(struct ask *a, struct str path)
{
	const struct str *host = http_get(a->req->head, "Host");
	struct buf *b = &a->out->head;

	buf_printf(b, "Location: http%s://", a->req->tls ? "s" : "");
	buf_add(b, host ? host->p : "localhost", host ? host->n : 9);
	escape_path(b, path);
	if (a->query.n) {
		buf_addc(b, '?');
		buf_add(b, a->query.p, a->query.n);
	}
	buf_adds(b, "\r\n");
	a->out->status = 307;
	a->out->type = NULL;
}

const struct route *
ask_route(struct ask *a, const struct route *routes, size_t n, struct str path)
{
	bool known = str_is(path, "*"), slash = path.n > 1 && path.p[path.n - 1] == '/';
	struct str id = {0};

	buf_clear(&a->r->text);
	buf_adds(&a->r->text, known ? "GET, HEAD, POST, PUT, DELETE, OPTIONS" : "");
	for (size_t i = 0; i < n; i++) {
		if (!path_is(routes[i].path, path, &id))
			continue;
		if (method_is(&routes[i], a->req->method)) {
			snprintf(a->id, sizeof a->id, "%.*s", (int)id.n, id.n ? id.p : "");
			return &routes[i];
		}
		buf_adds(&a->r->text, known ? ", " : "");
		buf_adds(&a->r->text, routes[i].method);
		known = true;
	}
	if (known) {
		refuse_method(a);
		return NULL;
	}
	path.n -= slash;
	for (size_t i = 0; slash && i < n; i++) {
		if (path_is(routes[i].path, path, &id)) {
			redirect(a, path);
			return NULL;
		}
	}
	ask_refuse(a, 404, "Not Found");
	return NULL;
}

/* application/json and application/anything+json, parameters aside. */
static bool
is_json(const struct str *type)
{
	struct str t;
	const char *semi;

	if (!type)
		return false;
	t = *type;
	semi = memchr(t.p, ';', t.n);
	if (semi)
		t.n = (size_t)(semi - t.p);
	while (t.n && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t'))
		t.n--;
	if (str_caseis(t, "application/json"))
		return true;
	return t.n > 17 && str_caseis((struct str){t.p, 12}, "application/") && str_caseis((struct str){t.p + t.n - 5, 5}, "+json");
}

/* The body as JSON, where it is said to be.  -1 after a 422. */
static int
parse_body(struct ask *a)
{
	struct str b = a->req->body;
	struct err e = {0};
	struct buf item = {0};

	if (!b.n || !is_json(http_get(a->req->head, "Content-Type")))
		return 0;
	if (b.n >= 3 && !memcmp(b.p, "\xef\xbb\xbf", 3))
		b.p += 3, b.n -= 3;
	a->doc = json_parse(b.p, b.n, &e);
	if (a->doc)
		return 0;
	buf_printf(&item, "{\"type\":\"json_invalid\",\"loc\":[\"body\",%lu],\"msg\":\"JSON decode error\",\"input\":{},"
	    "\"ctx\":{\"error\":", (unsigned long)e.pos);
	json_putstr(&item, str_of(e.msg), 0);
	buf_adds(&item, "}}");
	ask_faults(a, &item);
	buf_free(&item);
	return -1;
}

static int
unauthorized(struct ask *a, const char *why)
{
	ask_refuse(a, 401, why);
	buf_adds(&a->out->head, "WWW-Authenticate: Basic\r\n");
	return -1;
}

/* The reference decodes credentials as ASCII, and so refuses all others unseen. */
static bool
is_ascii(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] >= 0x80)
			return false;
	return true;
}

/* The queue that the credentials open.  -1 after a 401 or 503, or later. */
static int
authenticate(struct ask *a)
{
	const struct str *h = http_get(a->req->head, "Authorization");
	struct buf pair = {0};
	const char *colon;
	enum auth_answer r = AUTH_WRONG;

	if (!h || h->n < 6 || !str_caseis((struct str){h->p, 5}, "Basic") || h->p[5] != ' ')
		return unauthorized(a, "Not authenticated");
	if (hash_unbase64(&pair, (struct str){h->p + 6, h->n - 6}) < 0 || !pair.len || !(colon = memchr(pair.p, ':', pair.len))
	    || !is_ascii(pair.p, pair.len)) {
		buf_wipe(&pair);
		return unauthorized(a, "Not authenticated");
	}
	a->queue = queue_find(a->store, (struct str){pair.p, (size_t)(colon - pair.p)});
	if (a->queue)
		r = auth_check(a->r->o.auth, queue_hash(a->queue), (struct str){colon + 1, pair.len - (size_t)(colon + 1 - pair.p)},
		    a->req->peer);
	if (r == AUTH_OK)
		memcpy(a->out->queue, pair.p, (size_t)(colon - pair.p) < sizeof a->out->queue ? (size_t)(colon - pair.p) : 0);
	buf_wipe(&pair);
	a->later = r == AUTH_LATER;
	if (r == AUTH_BUSY)
		ask_refuse_later(a, "too many passwords are being checked: try again");
	if (r == AUTH_WRONG)
		return unauthorized(a, "Invalid credentials");
	return r == AUTH_OK ? 0 : -1;
}

/* The query flag and the body's fields.  -1 after a 422. */
static int
validate(struct ask *a, const struct route *r)
{
	const struct json *root = a->doc ? a->doc->root : NULL;
	struct buf text = {0}, faults = {0};

	a->flag = r->flag_default;
	if (r->flag && ask_query(a, r->flag, &text) && !field_flag((struct str){text.p, text.len}, &a->flag)) {
		buf_printf(&faults, "{\"type\":\"bool_parsing\",\"loc\":[\"query\",\"%s\"],\"msg\":\"Input should be a valid "
		    "boolean, unable to interpret input\",\"input\":", r->flag);
		json_putstr(&faults, utf8_valid(text.p, text.len) ? (struct str){text.p, text.len} : str_of("?"), 0);
		buf_addc(&faults, '}');
	}
	buf_free(&text);
	if (r->fields && a->req->body.n && !a->doc)
		field_fault(&faults, "model_attributes_type", NULL,
		    "Input should be a valid dictionary or object to extract fields from", NULL);
	else if (r->fields)
		field_check(r->fields, a->v, root, -1, &faults);
	if (!faults.len)
		return 0;
	ask_faults(a, &faults);
	buf_free(&faults);
	return -1;
}

/* Changes are refused, all or those that make more, while the journal cannot keep them. */
static int
admit(struct ask *a, const struct route *r)
{
	enum journal_mode mode = journal_mode(a->r->o.journal);

	if (r->kind == READ || r->kind == STREAM || mode == JOURNAL_FINE || (mode == JOURNAL_LOW && r->kind == END))
		return 0;
	ask_refuse_later(a, mode == JOURNAL_LOW ?
	    "the store's disk is full: running tasks may end, nothing new is taken until there is room" :
	    "the store cannot keep changes now: try again");
	return -1;
}

bool
ask_checks(struct ask *a, const struct route *r)
{
	return !(r->body && parse_body(a) < 0) && !(!r->open && authenticate(a) < 0) && !validate(a, r) && !admit(a, r);
}
