/* SPDX-License-Identifier: MIT */
/*
 * labtasker task ls, task get, worker ls: what is selected, as YAML, JSON Lines, an aligned table or ids.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { YAML, JSONL, TABLE, FIELDS_MAX = 64 };

/* Both tables of options begin alike. */
enum { ID, NAME, STATUS, FILTER, QUIET, PAGER, ANSI, LIMIT, OFFSET, SORT, FMT, JSON, FIELDS, VERBOSE, PIPED, END };

#define COMMON \
	[FILTER] = {"-f --extra-filter", OPT_TEXT, "FILTER", \
	    "those that match: 'metadata.tag in [\"a\"]' or '{\"metadata.tag\": \"a\"}'", NULL}, \
	[QUIET] = {"-q --quiet", OPT_FLAG, NULL, "ids only", NULL}, \
	[PAGER] = {"--[no-]pager", OPT_FLAG, NULL, "at a terminal show the result in $PAGER, or not", "1"}, \
	[ANSI] = {"--[no-]ansi", OPT_FLAG, NULL, "at a terminal colour the states, or not", "1"}, \
	[LIMIT] = {"--limit", OPT_INT, "N", "at most so many (default all)", NULL}, \
	[OFFSET] = {"--offset", OPT_INT, "N", "leave out the first so many", "0"}, \
	[FMT] = {"--fmt", OPT_CHOICE, "yaml|jsonl|table", "how to print them (default yaml; at a terminal table)", NULL}, \
	[JSON] = {"--json", OPT_FLAG, NULL, "as --fmt jsonl", NULL}, \
	[FIELDS] = {"--fields", OPT_LIST, "FIELD,...", "these only: task_id,args.lr", NULL}, \
	[VERBOSE] = {"-v --verbose", OPT_FLAG, NULL, "show on stderr what is asked of the server", NULL}

const struct opt ls_opts[] = {
	[ID] = {"--task-id --id", OPT_TEXT, "ID", "the task of this id", NULL},
	[NAME] = {"--task-name --name", OPT_TEXT, "NAME", "tasks of this name", NULL},
	[STATUS] = {"-s --status", OPT_CHOICE, "pending|running|success|failed|cancelled", "tasks in this state", NULL},
	[SORT] = {"-S --sort", OPT_LIST, "FIELD:asc|desc",
	    "order, before the usual one: priority:desc, last_modified, created_at; may be given several times", NULL},
	COMMON,
	[PIPED] = {"--piped-in", OPT_FLAG, NULL, "the tasks whose ids stand on standard input", NULL},
	[END] = {0}
};
const struct opt worker_ls_opts[] = {
	[ID] = {"--worker-id --id", OPT_TEXT, "ID", "the worker of this id", NULL},
	[NAME] = {"--worker-name --name", OPT_TEXT, "NAME", "workers of this name", NULL},
	[STATUS] = {"-s --status", OPT_CHOICE, "active|suspended|crashed", "workers in this state", NULL},
	[SORT] = {"-S --sort", OPT_LIST, "FIELD:asc|desc", "order, before the usual one: last_modified, created_at", NULL},
	COMMON,
	[PIPED] = {"--piped-in", OPT_FLAG, NULL, "the workers whose ids stand on standard input", NULL},
	[END] = {0}
};

struct list {
	struct select select;
	int fmt;
	bool quiet, all;           /* all: no fields were named */
	const char *id;            /* the name of the id's field */
	struct str field[FIELDS_MAX];
	size_t nfield;
	char *names;               /* what field points into */
};

/* ---- options ---- */

static const char *
default_fields(const struct list *l)
{
	return l->select.api == API_TASK_SEARCH ? "task_id,status,task_name,retries,args" :
	    "worker_id,status,worker_name,retries,metadata";
}

/* "a,b.c" and again: as one text. */
static int
read_fields(struct list *l, const struct optval *v, struct err *e)
{
	struct buf b = {0};

	for (int i = 0; i < v->nlist; i++)
		buf_printf(&b, "%s%s", i ? "," : "", v->list[i]);
	if (!v->nlist)
		buf_adds(&b, default_fields(l));
	l->names = b.p;
	for (char *p = b.p, *comma; p; p = comma ? comma + 1 : NULL) {
		comma = strchr(p, ',');
		if (comma)
			*comma = 0;
		if (l->nfield == FIELDS_MAX)
			return err_set(e, EXIT_USAGE, "Invalid value for --fields: there are more than %d", FIELDS_MAX);
		if (select_check_field(&l->select, p, "--fields", e) < 0)
			return -1;
		l->field[l->nfield++] = str_of(p);
	}
	return 0;
}

static int
read_options(struct list *l, const struct args *a, struct err *e)
{
	const struct optval *v = a->val;
	struct select_text t = {v[ID].text, v[NAME].text, v[STATUS].text, v[FILTER].text, &v[LIMIT], &v[OFFSET]};

	l->quiet = v[QUIET].num;
	l->fmt = v[JSON].num ? JSONL : v[FMT].given ? (int)v[FMT].num : isatty(1) ? TABLE : YAML;
	l->all = !v[FIELDS].nlist;
	l->select.verbose = v[VERBOSE].num;
	if (v[PIPED].num && select_any(&t))
		return err_set(e, EXIT_USAGE, "--piped-in takes the ids from standard input: leave out what else selects");
	return select_set(&l->select, &t, e) < 0 || select_sort(&l->select, &v[SORT], e) < 0 ? -1 : read_fields(l, &v[FIELDS], e);
}

/* ---- rows ---- */

/* A cell's text: a string as it is, a time without what no one reads, all else as JSON. */
static void
put_cell(struct buf *b, struct str field, const struct json *v)
{
	size_t n = field.n;
	bool time = (n > 3 && !memcmp(field.p + n - 3, "_at", 3)) || str_is(field, "last_modified") || str_is(field, "start_time") ||
	    str_is(field, "last_heartbeat");

	if (!v || v->type == JSON_NULL) {
		buf_addc(b, '-');
	} else if (v->type != JSON_STR) {
		json_print(b, v, JSON_SPACED | JSON_TAME);
	} else if (time && v->len > 19 && v->s[10] == 'T') {
		buf_add(b, v->s, 19);
		buf_adds(b, v->s[v->len - 1] == 'Z' ? "Z" : "");
	} else {
		for (size_t i = 0; i < v->len; i++)
			buf_addc(b, v->s[i] ? v->s[i] : ' ');   /* a zero byte ends a cell */
	}
	buf_addc(b, 0);
}

/* v with the fields that were asked for. */
static const struct json *
pick(const struct list *l, struct json_doc *d, const struct json *v)
{
	struct json *obj;

	if (l->all)
		return v;
	obj = json_mkobj(d);
	for (size_t i = 0; i < l->nfield; i++) {
		const struct json *field = select_field(v, l->field[i]);

		json_set(d, obj, l->field[i], field ? json_copy(d, field) : json_mknull(d));
	}
	return obj;
}

static void
put_row(void *arg, struct buf *b, const struct json *v)
{
	const struct list *l = arg;
	struct json_doc *d;
	struct json *one;

	if (l->quiet) {
		struct str id = json_text(json_gets(v, l->id));

		buf_visible(b, id, " ");
		buf_addc(b, '\n');
		return;
	}
	if (l->fmt == TABLE) {
		for (size_t i = 0; i < l->nfield; i++)
			put_cell(b, l->field[i], select_field(v, l->field[i]));
		return;
	}
	d = json_new();
	one = json_mkarr(d);
	json_push(one, json_copy(d, pick(l, d, v)));
	if (l->fmt == JSONL)
		out_jsonl(b, one);
	else
		out_yaml(b, one);
	json_free(d);
}

/* ---- printing ---- */

static void
print_table(const struct list *l, const struct rows *r, struct buf *b, bool ansi)
{
	struct table t = {.columns = l->nfield};

	for (size_t i = 0; i < l->nfield; i++)
		table_cell(&t, l->field[i]);
	for (size_t i = 0; i < r->n; i++) {
		const char *p = r->row[i].text.p;

		for (size_t k = 0; k < l->nfield; k++, p += strlen(p) + 1)
			table_cell(&t, str_of(p));
	}
	table_print(b, &t, isatty(1) ? sys_columns(1) : 0, ansi && tty_colour());
	table_free(&t);
}

static int
print(const struct list *l, const struct rows *r, bool pager, bool ansi)
{
	enum { CHUNK = 1 << 20 };
	struct buf b = {0};
	int rc = 0;

	if (l->fmt == TABLE && !l->quiet)
		print_table(l, r, &b, ansi);
	else if (!r->n && l->fmt == YAML && !l->quiet)
		buf_adds(&b, "[]\n");
	else
		for (size_t i = 0; i < r->n && rc >= 0; i++) {
			buf_add(&b, r->row[i].text.p, r->row[i].text.n);
			if (!pager && b.len > CHUNK)
				rc = out_flush(&b);
		}
	if (rc >= 0)
		rc = pager ? out_page(&b) : out_flush(&b);
	buf_free(&b);
	return rc < 0 ? EXIT_REFUSED : 0;
}

static int
list(struct context *x, struct args *a, enum api api)
{
	struct list l = {.id = api == API_TASK_SEARCH ? "task_id" : "worker_id"};
	struct rows_put put = {put_row, &l};
	struct rows r = {0};
	struct client *c = NULL;
	struct err e = {0};
	int rc;

	select_init(&l.select, api);
	if (read_options(&l, a, &e) < 0 || (a->val[PIPED].num && select_stdin(&l.select, &e) < 0)) {
		rc = ask_fail(x, &e);
		goto out;
	}
	c = ask_open(x, false, true, &rc);
	if (!c)
		goto out;
	rc = select_rows(x, c, &l.select, &put, &r) < 0 ? EXIT_REFUSED :
	    print(&l, &r, a->val[PAGER].num && isatty(1), a->val[ANSI].num);
	client_close(c);
out:
	rows_free(&r);
	free(l.names);
	select_free(&l.select);
	return rc;
}

int
cmd_ls(struct context *x, struct args *a)
{
	return list(x, a, API_TASK_SEARCH);
}

int
cmd_worker_ls(struct context *x, struct args *a)
{
	return list(x, a, API_WORKER_SEARCH);
}

/* ---- get ---- */

enum { G_JSON, G_FIELDS, G_END };

const struct opt task_get_opts[] = {
	[G_JSON] = {"--json", OPT_FLAG, NULL, "as one line of JSON", NULL},
	[G_FIELDS] = {"--fields", OPT_LIST, "FIELD,...", "these only: status,summary", NULL},
	[G_END] = {0}
};

int
cmd_task_get(struct context *x, struct args *a)
{
	struct list l = {.fmt = a->val[G_JSON].num ? JSONL : YAML, .all = !a->val[G_FIELDS].nlist};
	struct json_doc *d = json_new();
	struct client *c = NULL;
	struct call *k = NULL;
	struct buf b = {0};
	struct err e = {0};
	int rc;

	select_init(&l.select, API_TASK_SEARCH);
	if (select_words(&l.select, a->word, 1, &e) < 0 || read_fields(&l, &a->val[G_FIELDS], &e) < 0) {
		rc = ask_fail(x, &e);
		goto out;
	}
	c = ask_open(x, false, true, &rc);
	if (!c)
		goto out;
	k = call_new(API_TASK_GET);
	memcpy(k->id, l.select.ids[0], sizeof l.select.ids[0]);
	rc = ask_get(x, c, k) < 0 ? EXIT_REFUSED : 0;
	if (!rc && l.fmt == JSONL)
		out_json(&b, pick(&l, d, k->doc->root));
	else if (!rc)
		out_object(&b, pick(&l, d, k->doc->root));
	if (!rc && out_flush(&b) < 0)
		rc = EXIT_REFUSED;
out:
	buf_free(&b);
	call_free(k);
	client_close(c);
	free(l.names);
	select_free(&l.select);
	json_free(d);
	return rc;
}
