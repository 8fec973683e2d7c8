/* SPDX-License-Identifier: MIT */
/*
 * labtasker explain: why tasks are not being fetched.  For one task each thing that a fetch looks at, in its order: the worker, the
 * task's state, the command's names against the task's arguments (no more, no less: SPEC 1.2), the filter.  Without an id the
 * same for all pending tasks, those with the same names together.
 */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMMAND, FILTER, WORKER, JSON, END, SHAPES = 20 };

const struct opt explain_opts[] = {
	[COMMAND] = {"-c --command --cmd", OPT_TEXT, "TEXT", "the loop's command, where it is a text for a shell", NULL},
	[FILTER] = {"-f --extra-filter", OPT_TEXT, "FILTER", "the loop's filter", NULL},
	[WORKER] = {"--worker-id", OPT_TEXT, "ID", "the loop's worker (else LABTASKER_WORKER_ID, where it is set)", NULL},
	[JSON] = {"--json", OPT_FLAG, NULL, "as one JSON object on a line", NULL},
	[END] = {0}
};

/* What the loop in question would ask for. */
struct wanted {
	const struct context *x;
	struct client *client;
	struct json_doc *d;
	const struct json *filter;
	struct json *names;        /* of d: the command's */
	bool command;              /* one was given */
	const char *worker;        /* or NULL */
	struct json *reasons;      /* of d: what keeps tasks from being fetched */
};

/* ---- the command's names ---- */

static void
add_names(struct wanted *w, const struct tmpl *t)
{
	for (size_t i = 0; i < tmpl_count(t); i++)
		json_push(w->names, json_mkstr(w->d, str_of(tmpl_name(t, i))));
}

static int
add_template(struct wanted *w, const char *text, enum tmpl_form form, struct err *e)
{
	struct err why = {0};
	struct tmpl *t = tmpl_parse(str_of(text), form, &why);

	if (!t)
		return err_set(e, EXIT_USAGE, "the command: column %lu: %s", (unsigned long)why.col, why.msg);
	add_names(w, t);
	tmpl_free(t);
	return 0;
}

static int
read_command(struct wanted *w, const struct args *a, struct err *e)
{
	w->command = a->nrest > 0 || a->val[COMMAND].text;
	if (a->nrest > 0 && a->val[COMMAND].text)
		return err_set(e, EXIT_USAGE, "give the command after -- or with -c, not both");
	if (a->val[COMMAND].text)
		return add_template(w, a->val[COMMAND].text, TMPL_SHELL, e);
	for (int i = 0; i < a->nrest; i++)
		if (add_template(w, a->rest[i], TMPL_ARG, e) < 0)
			return -1;
	return 0;
}

/* ---- what is said ---- */

PRINTF(2, 3) static void
reason(struct wanted *w, const char *fmt, ...)
{
	char line[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	json_push(w->reasons, json_mkstr(w->d, str_of(line)));
}

static const char *
text(const struct json *obj, const char *key)
{
	const struct json *v = json_gets(obj, key);

	return v && (v->type == JSON_STR || v->type == JSON_NUM) ? v->s : "";
}

/* The names of the command against a task's arguments. */
static void
explain_names(struct wanted *w, const struct json *args)
{
	struct buf missing = {0}, extra = {0};

	fit_compare(w->names, args, &missing, &extra);
	if (missing.len)
		reason(w, "the command uses names that the task does not have: %s", missing.p);
	if (extra.len)
		reason(w, "the task has arguments that the command does not use: %s", extra.p);
	buf_free(&missing);
	buf_free(&extra);
}

static void
explain_state(struct wanted *w, const struct json *t)
{
	const char *id = text(t, "task_id"), *status = text(t, "status");

	if (!strcmp(status, "running"))
		reason(w, "it is running since %s, by worker %s", text(t, "start_time"),
		    *text(t, "worker_id") ? text(t, "worker_id") : "(none)");
	else if (!strcmp(status, "failed"))
		reason(w, "it has failed %s of %s times: labtasker task requeue %s", text(t, "retries"), text(t, "max_retries"), id);
	else if (strcmp(status, "pending") != 0)
		reason(w, "it has ended: %s; labtasker task requeue %s makes it pending again", status, id);
}

/* Without active workers nobody fetches. */
static int
explain_workers(struct wanted *w)
{
	struct call *k = call_new(API_WORKER_SEARCH);
	const struct json *found;
	int rc;

	buf_adds(&k->body, "{\"status\":\"active\",\"limit\":1}");
	rc = ask_run(w->x, w->client, k, NULL);
	found = call_get(k, "content");
	if (!rc && !(found && found->len))
		reason(w, "no worker is active: labtasker loop -- CMD... starts one");
	call_free(k);
	return rc;
}

/* A worker that may not fetch gets no task at all. */
static int
explain_worker(struct wanted *w)
{
	struct call *k;
	int rc = 0;

	if (!w->worker)
		return explain_workers(w);
	k = call_new(API_WORKER_GET);
	strncat(k->id, w->worker, sizeof k->id - 1);
	if (client_run(w->client, k) < 0 && k->status != 404) {
		ask_fail(w->x, &k->err);
		rc = -1;
	} else if (k->status == 404) {
		reason(w, "there is no worker %s", w->worker);
	} else if (strcmp(text(k->doc ? k->doc->root : NULL, "status"), "active") != 0) {
		reason(w, "worker %s is %s: labtasker worker report %s active", w->worker,
		    text(k->doc ? k->doc->root : NULL, "status"), w->worker);
	}
	call_free(k);
	return rc;
}

/* Whether the filter lets the task through, which the server knows. */
static int
explain_filter(struct wanted *w, const char *id)
{
	struct call *k = call_new(API_TASK_SEARCH);
	struct json_doc *d = json_new();
	const struct json *found;
	int rc;

	d->root = json_mkobj(d);
	json_settext(d, d->root, "task_id", id);
	json_sets(d, d->root, "extra_filter", json_copy(d, w->filter));
	rc = ask_run(w->x, w->client, k, d->root);
	found = call_get(k, "content");
	if (!rc && !(found && found->len))
		reason(w, "the filter does not match it");
	call_free(k);
	json_free(d);
	return rc;
}

static void
put_reasons(struct buf *b, const struct wanted *w, const char *fine)
{
	for (const struct json *r = w->reasons->head; r; r = r->next)
		buf_printf(b, "  - %s\n", r->s);
	if (!w->reasons->head)
		buf_printf(b, "  %s\n", fine);
}

static int
explain_task(struct wanted *w, const char *id, bool json)
{
	struct call *k = call_new(API_TASK_GET);
	struct buf b = {0};
	const struct json *t;
	int rc;

	strncat(k->id, id, sizeof k->id - 1);
	rc = ask_get(w->x, w->client, k);
	t = rc ? NULL : k->doc->root;
	if (t) {
		explain_state(w, t);
		if (w->command)
			explain_names(w, json_gets(t, "args"));
		if (w->filter)
			rc = explain_filter(w, id);
	}
	if (!rc && json) {
		json_settext(w->d, w->d->root, "task_id", id);
		json_settext(w->d, w->d->root, "status", text(t, "status"));
		json_sets(w->d, w->d->root, "fetched", json_mkbool(w->d, !w->reasons->len));
		json_sets(w->d, w->d->root, "reasons", w->reasons);
		out_json(&b, w->d->root);
	} else if (!rc) {
		buf_printf(&b, "task %s is %s, priority %s\n", id, text(t, "status"), text(t, "priority"));
		put_reasons(&b, w, w->command || w->filter ? "nothing keeps this loop from fetching it, when its turn comes" :
		    "a loop will fetch it whose command uses just its names: see -- CMD");
		out_tame(&b);
	}
	if (!rc && out_flush(&b) < 0)
		rc = -1;
	buf_free(&b);
	call_free(k);
	return rc;
}

/* ---- all pending tasks ---- */

struct shape {
	char *names;               /* "a.b, c": the key */
	char *missing, *extra;     /* NULL: no command was given */
	int64_t count;
	struct shape *next;        /* in the order of their numbers, in the end */
};
struct shapes {
	const struct wanted *w;
	struct shape *head;
	size_t n;
	int64_t total, fitting;
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The paths to the values of args, one a line. */
static void
put_leaves(struct buf *out, struct buf *path, const struct json *v)
{
	size_t len = path->len;

	for (const struct json *m = v->head; m; m = m->next, path->len = len) {
		buf_printf(path, "%s%.*s", len ? "." : "", (int)m->key.n, m->key.p);
		if (m->type == JSON_OBJ && m->len)
			put_leaves(out, path, m);
		else
			buf_printf(out, "%s\n", path->p);
	}
}

/* Those paths in order of the alphabet, so that tasks of one shape have one text.  Owned. */
static char *
names_of(const struct json *args)
{
	struct buf lines = {0}, path = {0}, out = {0};
	char **name;
	size_t n = 0;

	buf_add(&lines, "", 0);
	if (args && args->type == JSON_OBJ)
		put_leaves(&lines, &path, args);
	name = xcalloc(lines.len + 1, sizeof *name);
	for (char *p = lines.p, *nl; (nl = strchr(p, '\n')); p = nl + 1) {
		*nl = 0;
		name[n++] = p;
	}
	qsort(name, n, sizeof *name, by_text);
	buf_add(&out, "", 0);
	for (size_t i = 0; i < n; i++)
		fit_name(&out, name[i]);
	free(name);
	buf_free(&lines);
	buf_free(&path);
	return out.p;
}

/* See struct rows_put: counts each pending task. */
static void
count_task(void *arg, struct buf *b, const struct json *t)
{
	struct shapes *l = arg;
	const struct json *args = json_gets(t, "args");
	char *names = names_of(args);
	struct shape **p = &l->head, *s;
	struct buf missing = {0}, extra = {0};

	(void)b;
	l->total++;
	while (*p && strcmp((*p)->names, names) != 0)
		p = &(*p)->next;
	s = *p;
	if (s) {
		*p = s->next;   /* to the front: the next task will be of the same */
		free(names);
	} else {
		s = xcalloc(1, sizeof *s);
		fit_compare(l->w->names, args, &missing, &extra);
		s->names = names;
		s->missing = xstrdup(missing.p ? missing.p : "");
		s->extra = xstrdup(extra.p ? extra.p : "");
		l->n++;
	}
	s->next = l->head;
	l->head = s;
	s->count++;
	l->fitting += !*s->missing && !*s->extra;
	buf_free(&missing);
	buf_free(&extra);
}

static int
by_count(const void *a, const void *b)
{
	const struct shape *x = *(const struct shape *const *)a, *y = *(const struct shape *const *)b;

	return x->count != y->count ? (x->count < y->count ? 1 : -1) : strcmp(x->names, y->names);
}

/* The shapes, the most frequent first. */
static struct shape **
sorted(const struct shapes *l)
{
	struct shape **s = xcalloc(l->n + 1, sizeof *s);
	size_t n = 0;

	for (struct shape *p = l->head; p; p = p->next)
		s[n++] = p;
	qsort(s, n, sizeof *s, by_count);
	return s;
}

static void
put_shapes(struct buf *b, const struct shapes *l)
{
	struct shape **s = sorted(l);

	for (size_t i = 0; i < l->n && i < SHAPES; i++) {
		buf_printf(b, "  %ld with %s%s", (long)s[i]->count, *s[i]->names ? "the arguments " : "no arguments", s[i]->names);
		if (l->w->command && !*s[i]->missing && !*s[i]->extra)
			buf_adds(b, ": fits the command");
		if (*s[i]->missing)
			buf_printf(b, ": the command also uses %s", s[i]->missing);
		if (*s[i]->extra)
			buf_printf(b, "%s the command does not use %s", *s[i]->missing ? ", and" : ":", s[i]->extra);
		buf_addc(b, '\n');
	}
	if (l->n > SHAPES)
		buf_printf(b, "  and %lu more kinds\n", (unsigned long)(l->n - SHAPES));
	free(s);
}

static void
put_shapes_json(struct wanted *w, const struct shapes *l)
{
	struct json *list = json_mkarr(w->d);
	struct shape **s = sorted(l);

	for (size_t i = 0; i < l->n; i++) {
		struct json *o = json_mkobj(w->d);

		json_sets(w->d, o, "count", json_mkint(w->d, s[i]->count));
		json_settext(w->d, o, "names", s[i]->names);
		if (w->command) {
			json_settext(w->d, o, "missing", s[i]->missing);
			json_settext(w->d, o, "extra", s[i]->extra);
		}
		json_push(list, o);
	}
	json_sets(w->d, w->d->root, "shapes", list);
	free(s);
}

static void
free_shapes(struct shapes *l)
{
	for (struct shape *s; (s = l->head);) {
		l->head = s->next;
		free(s->names);
		free(s->missing);
		free(s->extra);
		free(s);
	}
}

/* Goes through the pending tasks that match the filter. */
static int
count_pending(const struct wanted *w, const struct json *filter, struct shapes *l)
{
	struct rows_put put = {count_task, l};
	struct rows rows = {0};
	struct select s;
	int rc;

	*l = (struct shapes){.w = w};
	select_init(&s, API_TASK_SEARCH);
	s.text.status = "pending";
	s.filter = filter;
	select_sort(&s, NULL, NULL);
	rc = select_rows(w->x, w->client, &s, &put, &rows);
	rows_free(&rows);
	select_free(&s);
	return rc;
}

static int
explain_all(struct wanted *w, bool json)
{
	struct shapes all, l;
	struct buf b = {0};
	int rc = count_pending(w, NULL, &all);
	bool two = !rc && w->filter;

	l = all;
	if (two)
		rc = count_pending(w, w->filter, &l);
	if (!rc && !all.total)
		reason(w, "no task is pending: labtasker status shows what there is");
	else if (!rc && !l.total)
		reason(w, "the filter matches no pending task");
	else if (!rc && !l.fitting)
		reason(w, "no pending task has just the names that the command uses");
	if (!rc && json) {
		json_sets(w->d, w->d->root, "pending", json_mkint(w->d, all.total));
		json_sets(w->d, w->d->root, "matching", json_mkint(w->d, l.total));
		json_sets(w->d, w->d->root, "fetchable", json_mkint(w->d, l.fitting));
		json_sets(w->d, w->d->root, "reasons", w->reasons);
		put_shapes_json(w, &l);
		out_json(&b, w->d->root);
	} else if (!rc) {
		buf_printf(&b, "%ld tasks are pending", (long)all.total);
		if (w->filter)
			buf_printf(&b, ", the filter matches %ld", (long)l.total);
		if (w->command)
			buf_printf(&b, ", this loop can fetch %ld", (long)l.fitting);
		buf_addc(&b, '\n');
		put_reasons(&b, w, w->command ? "nothing keeps this loop from fetching" :
		    "a loop fetches those whose names its command uses: see -- CMD");
		put_shapes(&b, &l);
		out_tame(&b);
	}
	if (!rc && out_flush(&b) < 0)
		rc = -1;
	buf_free(&b);
	if (two)
		free_shapes(&l);
	free_shapes(&all);
	return rc;
}

static int
check(struct wanted *w, const struct args *a, struct err *e)
{
	unsigned char id[16];
	const char *env = getenv("LABTASKER_WORKER_ID");

	w->worker = a->val[WORKER].text ? a->val[WORKER].text : env && *env ? env : NULL;
	if (w->worker && uuid_parse(str_of(w->worker), id) < 0)
		return err_set(e, EXIT_USAGE, "Invalid value for --worker-id: '%s': it must be a worker's id", w->worker);
	if (a->nword && uuid_parse(str_of(a->word[0]), id) < 0)
		return err_set(e, EXIT_USAGE, "Invalid value: '%s' is no task's id", a->word[0]);
	if (ask_filter(w->d, a->val[FILTER].text, false, &w->filter, e) < 0)
		return -1;
	return read_command(w, a, e);
}

int
cmd_explain(struct context *x, struct args *a)
{
	struct wanted w = {.x = x, .d = json_new()};
	struct err e = {0};
	int rc;

	w.d->root = json_mkobj(w.d);
	w.reasons = json_mkarr(w.d);
	w.names = json_mkarr(w.d);
	if (check(&w, a, &e) < 0) {
		rc = ask_fail(x, &e);
	} else if ((w.client = ask_open(x, false, true, &rc))) {
		bool json = a->val[JSON].num;

		if (explain_worker(&w) < 0 || (a->nword ? explain_task(&w, a->word[0], json) : explain_all(&w, json)) < 0)
			rc = EXIT_REFUSED;
	}
	client_close(w.client);
	json_free(w.d);
	return rc;
}
