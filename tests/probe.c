/* SPDX-License-Identifier: MIT */
/*
 * Http11Probe (CORPORA/http/Http11Probe) against a running server: no scored probe may fail.  Its author thinks of a server that
 * echoes what is posted to /; ours answers 405 there.  Where 2xx is asked of a POST, 405 will do if the next request on the
 * connection is answered too, so that the body was read to its end and no further.
 */
#include "live.h"

#include <sys/time.h>

static struct buf
slurp(const char *corpora, const char *name)
{
	char *path = xprintf("%s/http/Http11Probe/%s", corpora, name);
	struct buf b = {0};
	struct err e;

	check(!sys_slurp(path, 1 << 20, &b, &e), "%s", e.msg);
	free(path);
	return b;
}

/* What came of one probe. */
struct outcome {
	struct reply first;           /* status 0: none */
	bool end, extra, sync;        /* the server closed; more answers than requests; a GET after it was answered */
};

static bool
closes(const struct reply *r)
{
	const char *v = reply_field(r, "Connection");

	return v && !strncmp(v, "close", 5);
}

static void
play(struct outcome *o, const char *corpora, const struct json *files, int silence)
{
	static const char next[] = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
	struct buf b = slurp(corpora, files->head->s);
	int fd = live_connect();
	struct reply r;

	*o = (struct outcome){0};
	live_send(fd, b.p, b.len);
	live_read(fd, &o->first, b.len > 4 && !memcmp(b.p, "HEAD", 4), silence);
	o->end = o->first.end;
	if (o->first.status && closes(&o->first)) {
		live_read(fd, &r, false, 20000);
		o->end = r.end;
		o->extra = r.status != 0;
		reply_free(&r);
	} else if (o->first.status) {
		live_send(fd, next, sizeof next - 1);
		live_read(fd, &r, false, 20000);
		o->sync = r.status == 200 && str_is(r.body, "{\"connection\":\"ok\"}");
		o->extra = r.status && !o->sync;
		reply_free(&r);
	}
	buf_free(&b);
	close(fd);
}

static bool
passes(const struct outcome *o, const char *want, bool post)
{
	const struct reply *r = &o->first;
	bool fine = r->status / 100 == 2 || (post && r->status == 405 && o->sync), may = strstr(want, "2xx") || strstr(want, "200");
	char status[4] = "";

	snprintf(status, sizeof status, "%d", r->status > 0 ? r->status % 1000 : 0);
	if (o->extra)
		return false;
	if (!strcmp(want, "!101") || !strncmp(want, "non-1", 5))
		return r->status >= 200;
	if (!strncmp(want, "not ", 4))
		return r->status && strcmp(want + 4, status);
	if (!r->status)
		return strstr(want, o->end ? "close" : "timeout") || (o->end && strstr(want, "drop"));
	if (strstr(want, "Reject/drop"))
		return r->status >= 400;
	if (r->status >= 400 && o->end && strstr(want, "close"))   /* it closed, and said why */
		return true;
	if (!(fine && may) && !strstr(want, status))
		return false;
	if (strstr(want, "Allow header") && !reply_field(r, "Allow"))
		return false;
	if (strstr(want, "Date header") && !reply_field(r, "Date"))
		return false;
	if (strstr(want, "with Content-Type") && !reply_field(r, "Content-Type"))
		return false;
	if (strstr(want, "without CL") && reply_field(r, "Content-Length"))
		return false;
	return !fine || !(strstr(want, "+ close") || strstr(want, "+close")) || o->end;
}

static void
test_probes(const char *corpora)
{
	struct buf index = slurp(corpora, "index.jsonl");
	struct str rest = {index.p, index.len};
	int scored = 0;

	while (rest.n) {
		const char *eol = memchr(rest.p, '\n', rest.n);
		struct str line = {rest.p, eol ? (size_t)(eol - rest.p) : rest.n};
		struct json_doc *d = json_parse(line.p, line.n, NULL);
		const struct json *id, *want, *files;
		struct outcome o;
		struct buf first;

		rest.p += line.n + (eol != NULL);
		rest.n -= line.n + (eol != NULL);
		if (!d)
			continue;
		id = json_gets(d->root, "id");
		want = json_gets(d->root, "expected");
		files = json_gets(d->root, "files");
		if (json_gets(d->root, "scored")->is && files->head) {
			first = slurp(corpora, files->head->s);
			play(&o, corpora, files, strstr(want->s, "timeout") ? 300 : 20000);
			check(passes(&o, want->s, first.len > 5 && !memcmp(first.p, "POST ", 5)), "%s: expected %s, got %d%s%s%s", id->s, want->s, o.first.status,
			    o.end ? ", closed" : "", o.extra ? ", and more" : "", o.sync ? ", in step" : "");
			reply_free(&o.first);
			buf_free(&first);
			scored++;
		}
		json_free(d);
	}
	check(scored > 100, "probes: %d", scored);
	buf_free(&index);
}

int
main(int argc, char **argv)
{
	if (argc < 2) {
		printf("probe: 0 passed, 0 failed (make check plays Http11Probe)\n");
		return 0;
	}
	if (live_start(NULL)) {
		struct reply r;

		test_probes(argv[1]);
		live_call(&r, "GET", "/health", NULL, NULL, NULL);
		check(r.status == 200, "the server is well: %d", r.status);
		reply_free(&r);
		check(live_stop(SIGTERM) == 0, "SIGTERM ends it with 0");
	}
	live_done();
	return test_done("probe");
}
