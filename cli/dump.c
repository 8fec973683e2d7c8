/* SPDX-License-Identifier: MIT */
/*
 * labtasker queue dump, queue load: a queue as JSON Lines.  The first line tells what it is a dump of, with the queue's metadata;
 * each further one is a task as the API shows it, in order of creation.  Loading submits each task, then sets what submitting
 * cannot:  state, retries and summary.  A run cannot be carried over, so a running task is loaded as pending; nor can times and
 * worker ids.
 *
 * On our own server a task keeps its id, or, where another queue has it, gets one that is made of it; so a load that was broken
 * off is repeated without harm.  On others every load makes new tasks, and --skip goes on where one ended.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SKIP, LOAD_END, MAX_LINE = 20 << 20, BATCH = 200, BATCH_BYTES = 8 << 20, CHUNK = 256 << 10 };

const struct opt queue_dump_opts[] = {{0}};
const struct opt queue_load_opts[] = {
	[SKIP] = {"--skip", OPT_INT, "N", "leave out the first N tasks of the file", "0"},
	[LOAD_END] = {0}
};

/* ---- dump ---- */

/* A member that is there, and not null. */
static void
copy(struct json_doc *d, struct json *to, const struct json *task, const char *key)
{
	const struct json *v = json_gets(task, key);

	if (v && v->type != JSON_NULL)
		json_sets(d, to, key, json_copy(d, v));
}

static void
put_line(void *arg, struct buf *b, const struct json *task)
{
	(void)arg;
	json_print(b, task, JSON_TAME);
}

static int
put_head(const struct context *x, struct client *c)
{
	static const char *const keys[] = {"queue_id", "queue_name", "created_at", "metadata"};
	struct call *k = call_new(API_QUEUE_GET);
	struct json_doc *d = json_new();
	struct buf b = {0};
	int rc = ask_get(x, c, k);

	d->root = json_mkobj(d);
	json_sets(d, d->root, "labtasker_queue", json_mkint(d, 1));
	for (size_t i = 0; !rc && i < LEN(keys); i++)
		copy(d, d->root, k->doc->root, keys[i]);
	out_json(&b, d->root);
	if (!rc)
		rc = out_flush(&b);
	buf_free(&b);
	json_free(d);
	call_free(k);
	return rc;
}

static int
put_tasks(const struct context *x, struct client *c)
{
	struct optval order = {.list = (const char *[]){"created_at"}, .nlist = 1};
	struct rows_put put = {put_line, NULL};
	struct rows rows = {0};
	struct buf b = {0};
	struct select s;
	int rc;

	select_init(&s, API_TASK_SEARCH);
	rc = select_sort(&s, &order, NULL) < 0 || select_rows(x, c, &s, &put, &rows) < 0 ? -1 : 0;
	for (size_t i = 0; !rc && i < rows.n; i++) {
		buf_add(&b, rows.row[i].text.p, rows.row[i].text.n);
		buf_addc(&b, '\n');
		if (b.len >= CHUNK || i + 1 == rows.n)
			rc = out_flush(&b);
	}
	buf_free(&b);
	rows_free(&rows);
	select_free(&s);
	return rc;
}

int
cmd_queue_dump(struct context *x, struct args *a)
{
	struct client *c;
	int rc;

	(void)a;
	c = ask_open(x, false, true, &rc);
	if (c && (put_head(x, c) < 0 || put_tasks(x, c) < 0))
		rc = EXIT_REFUSED;
	client_close(c);
	return rc;
}

/* ---- load ---- */

struct load {
	const struct context *x;
	struct client *client;
	const char *file;          /* what it is called in messages */
	int fd;
	struct buf in;             /* what was read and not used yet */
	bool ended;
	long line;                 /* of the file, the one taken last */
	int64_t skip, tasks, loaded, renamed, rerun, bad;
};

/* One line of the file, and what is made of it. */
struct item {
	struct json_doc *d;        /* NULL: none */
	struct call *call;
	long line;
	char id[37];               /* as it is now */
	bool done;                 /* an earlier load has brought it, and whatever became of it since stands */
};

/* The next line of the file, without its newline, until the next call.  1; 0 at the end; -1 with err. */
static int
next_line(struct load *l, struct str *line, size_t *used, struct err *e)
{
	buf_drop(&l->in, *used);
	*used = 0;
	for (size_t seen = 0;;) {
		const char *nl = l->in.len > seen ? memchr(l->in.p + seen, '\n', l->in.len - seen) : NULL;
		ssize_t n;

		if (nl || (l->ended && l->in.len)) {
			*line = (struct str){l->in.p, nl ? (size_t)(nl - l->in.p) : l->in.len};
			*used = line->n + (nl != NULL);
			l->line++;
			return 1;
		}
		if (l->ended)
			return 0;
		if (l->in.len > MAX_LINE)
			return err_set(e, EXIT_USAGE, "%s:%ld: a line longer than 20 MiB: this is no dump of a queue", l->file, l->line + 1);
		seen = l->in.len;
		buf_reserve(&l->in, CHUNK);
		n = sys_read(l->fd, l->in.p + l->in.len, CHUNK);
		if (n < 0)
			return err_set(e, EXIT_REFUSED, "%s: %s", l->file, strerror(errno));
		l->in.len += (size_t)n;
		l->ended = n == 0;
	}
}

static struct json_doc *
parse_line(const struct load *l, struct str line, struct err *e)
{
	struct err why = {0};
	struct json_doc *d = json_parse(line.p, line.n, &why);

	if (d && d->root->type == JSON_OBJ)
		return d;
	err_set(e, EXIT_USAGE, "%s:%ld: %s: this is no dump of a queue", l->file, l->line, d ? "not an object" : why.msg);
	json_free(d);
	return NULL;
}

/* The queue's metadata, merged into what the queue has. */
static int
load_head(struct load *l, struct str line, struct err *e)
{
	struct json_doc *d = parse_line(l, line, e), *body;
	const struct json *v = d ? json_gets(d->root, "labtasker_queue") : NULL, *metadata;
	struct call *k;
	int64_t version;
	int rc = -1;

	if (!d)
		return -1;
	if (!v || json_int(v, &version) < 0 || version != 1) {
		err_set(e, EXIT_USAGE, "%s:%ld: this is no dump of a queue that this release reads: labtasker queue dump makes one",
		    l->file, l->line);
		goto out;
	}
	metadata = json_gets(d->root, "metadata");
	rc = 0;
	if (metadata && metadata->len) {
		k = call_new(API_QUEUE_UPDATE);
		body = json_new();
		body->root = json_mkobj(body);
		json_sets(body, body->root, "metadata_update", json_copy(body, metadata));
		json_print(&k->body, body->root, 0);
		if (client_run(l->client, k) < 0)
			rc = err_set(e, EXIT_REFUSED, "%s:%ld: the queue's metadata: %s", l->file, l->line, k->err.msg);
		json_free(body);
		call_free(k);
	}
out:
	json_free(d);
	return rc;
}

/* What submits the task; again: under the id that is made of its own. */
static struct call *
make_submit(const struct load *l, const struct json *task, bool again)
{
	static const char *const keys[] = {
		"task_name", "args", "metadata", "cmd", "heartbeat_timeout", "task_timeout", "max_retries", "priority"
	};
	struct call *k = call_new(API_SUBMIT);
	struct json_doc *d = json_new();
	unsigned char id[16];

	d->root = json_mkobj(d);
	for (size_t i = 0; i < LEN(keys); i++)
		copy(d, d->root, task, keys[i]);
	json_print(&k->body, d->root, 0);
	json_free(d);
	if (!uuid_parse(str_of(json_gettext(task, "task_id")), id)) {
		if (again)
			hash_keyuuid(client_queue_id(l->client), str_of(json_gettext(task, "task_id")), k->key);
		else
			uuid_print(id, k->key);
	}
	return k;
}

static void
say_bad(struct load *l, const struct item *t, const char *why)
{
	if (l->bad++ < 5)
		warn("queue load: %s:%ld: %s", l->file, t->line, why);
}

/* Submits all of the batch at once; those whose ids another queue has, once more. */
static void
submit_batch(struct load *l, struct item *item, size_t n)
{
	struct call *k[BATCH];
	size_t m = 0;

	for (size_t i = 0; i < n; i++)
		k[m++] = item[i].call = make_submit(l, item[i].d->root, false);
	ask_all(l->client, k, m);
	m = 0;
	for (size_t i = 0; i < n; i++) {
		if (item[i].call->status != 409 || !client_ours(l->client))
			continue;
		call_free(item[i].call);
		k[m++] = item[i].call = make_submit(l, item[i].d->root, true);
	}
	ask_all(l->client, k, m);
	for (size_t i = 0; i < n; i++) {
		struct str id = json_text(call_get(item[i].call, "task_id"));

		if (item[i].call->status == 201 && id.n == 36) {
			memcpy(item[i].id, id.p, 37);
			l->loaded++;
			l->renamed += strcmp(id.p, json_gettext(item[i].d->root, "task_id")) != 0;
		} else {
			say_bad(l, &item[i], item[i].call->status == 201 ?
			    "the server's answer has no task_id" : item[i].call->err.msg);
		}
	}
}

/* Whether nobody but a load can have touched the task: it is as it was submitted, or said to run without having been fetched. */
static bool
untouched(const struct json *v)
{
	const struct json *retries = json_gets(v, "retries"), *summary = json_gets(v, "summary"), *start = json_gets(v, "start_time");
	const char *status = json_gettext(v, "status");

	if (start && start->type != JSON_NULL)
		return false;
	if (!strcmp(status, "pending"))
		return !(retries && json_num(retries) > 0) && !(summary && summary->len);
	return !strcmp(status, "running");
}

/* On our own server a load may be a repeated one. */
static int
find_done(const struct load *l, struct item *item, size_t n)
{
	const struct json *v[BATCH] = {0};
	struct call *k = NULL;
	struct select ids;
	size_t m = 0;
	int rc;

	if (!client_ours(l->client))
		return 0;
	select_init(&ids, API_TASK_SEARCH);
	for (size_t i = 0; i < n; i++)
		if (*item[i].id)
			select_id(&ids, str_of(item[i].id), "task_id", NULL);
	rc = ids.nid ? select_page(l->x, l->client, &ids, 0, v, &k) : 0;
	for (size_t i = 0; i < n && rc > 0; i++) {
		if (*item[i].id) {
			item[i].done = !v[m] || !untouched(v[m]);
			m++;
		}
	}
	call_free(k);
	select_free(&ids);
	return rc < 0 ? -1 : 0;
}

static bool
has_ended(const struct json *task)
{
	const char *status = json_gettext(task, "status");

	return !strcmp(status, "success") || !strcmp(status, "failed") || !strcmp(status, "cancelled");
}

/* The update that takes the submitted task a step further: NULL when there is nothing to do.  An ended task must have run before,
 * so that takes two. */
static struct json *
make_update(struct json_doc *d, const struct item *t, bool first)
{
	const char *status = json_gettext(t->d->root, "status");
	const struct json *summary = json_gets(t->d->root, "summary"), *retries = json_gets(t->d->root, "retries");
	bool ended = has_ended(t->d->root), tried = retries && json_num(retries) > 0;
	struct json *u;

	if (!*t->id || t->done || (first ? !(ended || tried || (summary && summary->len)) : !ended))
		return NULL;
	u = json_mkobj(d);
	json_settext(d, u, "task_id", t->id);
	if (ended)
		json_settext(d, u, "status", first ? "running" : status);
	if (first && tried)
		copy(d, u, t->d->root, "retries");
	if (first && summary && summary->len) {
		struct json *list = json_mkarr(d);

		json_push(list, json_mkstr(d, str_of("summary")));
		json_sets(d, u, "summary", json_copy(d, summary));
		json_sets(d, u, "replace_fields", list);
	}
	return u;
}

static void
update_batch(struct load *l, const struct item *item, size_t n, bool first)
{
	struct json_doc *d = json_new();
	struct call *k = call_new(API_TASK_UPDATE);

	d->root = json_mkarr(d);
	for (size_t i = 0; i < n; i++) {
		struct json *u = make_update(d, &item[i], first);

		if (u)
			json_push(d->root, u);
	}
	if (d->root->len) {
		json_print(&k->body, d->root, 0);
		strcpy(k->query, "reset_pending=false");
		if (client_run(l->client, k) < 0)
			say_bad(l, item, k->err.msg);
	}
	call_free(k);
	json_free(d);
}

static void
load_batch(struct load *l, struct item *item, size_t n)
{
	submit_batch(l, item, n);
	if (find_done(l, item, n) < 0)
		l->bad++;
	update_batch(l, item, n, true);
	update_batch(l, item, n, false);
	for (size_t i = 0; i < n; i++) {
		l->rerun += *item[i].id && !strcmp(json_gettext(item[i].d->root, "status"), "running");
		call_free(item[i].call);
		json_free(item[i].d);
	}
}

/* Takes the tasks of the file, batch after batch; ends with the batch in which something failed. */
static int
load_tasks(struct load *l, size_t *used, struct err *e)
{
	struct item item[BATCH];
	struct str line;
	int rc = 1;

	while (rc > 0 && !l->bad) {
		size_t n = 0, bytes = 0;

		while (n < BATCH && bytes < BATCH_BYTES && (rc = next_line(l, &line, used, e)) > 0) {
			if (!line.n || l->tasks++ < l->skip)
				continue;
			item[n] = (struct item){.d = parse_line(l, line, e), .line = l->line};
			if (!item[n].d) {
				rc = -1;
				break;
			}
			n++;
			bytes += line.n;
		}
		load_batch(l, item, n);
	}
	return rc < 0 ? -1 : 0;
}

/* What became of it, and what could not be carried over. */
static void
say_all(const struct load *l)
{
	warn("queue load: %ld tasks are loaded; when they were made and run, and by which worker, is not carried over",
	    (long)l->loaded);
	if (l->renamed)
		warn("queue load: %ld of them have new ids%s", (long)l->renamed, client_ours(l->client) ?
		    ": theirs are in use in another queue of this server, or were" : ": this server gives its own");
	if (l->rerun)
		warn("queue load: %ld were running, and are pending here", (long)l->rerun);
	if (l->bad && client_ours(l->client))
		warn("queue load: %ld failed: mend that and load the whole file again: what is there already stays as it is",
		    (long)l->bad);
	else if (l->bad)
		warn("queue load: %ld failed: the first %ld tasks of the file were tried: go on with --skip %ld", (long)l->bad,
		    (long)l->tasks, (long)l->tasks);
}

static int
load(struct load *l, struct err *e)
{
	size_t used = 0;
	struct str line = {0};
	int rc = next_line(l, &line, &used, e);

	if (!rc)
		return err_set(e, EXIT_USAGE, "%s: nothing is in it", l->file);
	if (rc < 0 || load_head(l, line, e) < 0)
		return -1;
	rc = load_tasks(l, &used, e);
	say_all(l);
	return rc;
}

int
cmd_queue_load(struct context *x, struct args *a)
{
	const char *file = a->nword && strcmp(a->word[0], "-") != 0 ? a->word[0] : NULL;
	struct load l = {.x = x, .file = file ? file : "standard input", .skip = a->val[SKIP].num};
	struct err e = {0};
	int rc;

	if (file)
		l.fd = open(file, O_RDONLY | O_NOCTTY);
	if (l.fd < 0)
		err_set(&e, EXIT_USAGE, "%s: %s", l.file, strerror(errno));
	else if (l.skip < 0)
		err_set(&e, EXIT_USAGE, "Invalid value for --skip: it must not be below 0");
	if (e.code)
		return ask_fail(x, &e);
	l.client = ask_open(x, true, true, &rc);
	if (l.client && load(&l, &e) < 0)
		rc = ask_fail(x, &e);
	else if (l.bad)
		rc = EXIT_REFUSED;
	client_close(l.client);
	buf_free(&l.in);
	if (l.fd > 0)
		close(l.fd);
	return rc;
}
