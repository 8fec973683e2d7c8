/* SPDX-License-Identifier: MIT */
/*
 * labtasker task submit, task ls.
 */
#include "cli.h"

#include <string.h>
#include <unistd.h>

static void
set(struct json_doc *d, const char *key, struct json *v)
{
	json_set(d, d->root, str_of(key), v);
}

/* A member of the body for an option that was given. */
static void
set_text(struct json_doc *d, const char *key, const char *text)
{
	if (text)
		set(d, key, json_mkstr(d, str_of(text)));
}

static int
check_name(const char *name, struct err *e)
{
	if (!name || name_valid(str_of(name)))
		return 0;
	return err_set(e, EXIT_USAGE, "Invalid value for --task-name: '%s': it must be 1 to 100 letters, digits, _ and -", name);
}

/* ---- submit ---- */

enum { S_NAME, S_ARGS, S_METADATA, S_CMD, S_HEARTBEAT, S_TIMEOUT, S_RETRIES, S_PRIORITY, S_END };

const struct opt submit_opts[] = {
	[S_NAME] = {"--task-name --name", OPT_TEXT, "NAME", "a name to find it by", NULL},
	[S_ARGS] = {"--args", OPT_TEXT, "DICT", "its arguments, instead of words after --", NULL},
	[S_METADATA] = {"--metadata", OPT_TEXT, "DICT", "what else to note: '{\"tags\": [\"a\"]}'", NULL},
	[S_CMD] = {"--cmd", OPT_TEXT, "TEXT", "a command, noted with it", NULL},
	[S_HEARTBEAT] = {"--heartbeat-timeout", OPT_DURATION, "SECONDS", "a run without heartbeat for so long has failed", "60"},
	[S_TIMEOUT] = {"--task-timeout", OPT_DURATION, "SECONDS", "a run that lasts longer has failed", NULL},
	[S_RETRIES] = {"--max-retries", OPT_INT, "N", "failures until it is given up", "3"},
	[S_PRIORITY] = {"--priority", OPT_INT, "N", "higher runs first", "10"},
	[S_END] = {0}
};

/* The arguments: the words after --, or --args. */
static struct json *
task_args(struct json_doc *d, const struct args *a, struct err *e)
{
	if (a->nrest > 0 && a->val[S_ARGS].text) {
		err_set(e, EXIT_USAGE, "give the arguments after -- or with --args, not both");
		return NULL;
	}
	if (a->val[S_ARGS].text)
		return literal_dict(d, "--args", a->val[S_ARGS].text, e);
	return literal_args(d, a->rest, a->nrest, e);
}

static int
submit_body(struct json_doc *d, const struct args *a, struct err *e)
{
	const char *metadata = a->val[S_METADATA].text, *cmd = a->val[S_CMD].text;
	struct json *args = task_args(d, a, e), *m = metadata ? literal_dict(d, "--metadata", metadata, e) : NULL;

	if (!args || (metadata && !m) || check_name(a->val[S_NAME].text, e) < 0)
		return -1;
	if (!args->len && !(cmd && *cmd))
		return err_set(e, EXIT_USAGE, "a task needs arguments or --cmd: labtasker task submit -- --prompt \"a horse\"");
	set_text(d, "task_name", a->val[S_NAME].text);
	set(d, "args", args);
	if (m)
		set(d, "metadata", m);
	set_text(d, "cmd", cmd);
	set(d, "heartbeat_timeout", json_mkdouble(d, a->val[S_HEARTBEAT].real));
	if (a->val[S_TIMEOUT].given) {
		double s = a->val[S_TIMEOUT].real;

		if (!(s < 1e15))
			return err_set(e, EXIT_USAGE, "Invalid value for --task-timeout: '%s': it is too long", a->val[S_TIMEOUT].text);
		set(d, "task_timeout", json_mkint(d, (int64_t)s + (s > (double)(int64_t)s)));   /* whole seconds, upwards */
	}
	set(d, "max_retries", json_mkint(d, a->val[S_RETRIES].num));
	set(d, "priority", json_mkint(d, a->val[S_PRIORITY].num));
	return 0;
}

int
cmd_submit(struct context *x, struct args *a)
{
	struct json_doc *d = json_new();
	struct call *k = NULL;
	struct client *c;
	struct err e = {0};
	int rc;

	d->root = json_mkobj(d);
	if (submit_body(d, a, &e) < 0) {
		rc = ask_fail(x, &e);
		goto out;
	}
	c = ask_open(x, true, true, &rc);
	if (!c)
		goto out;
	k = call_new(API_SUBMIT);
	rc = ask_run(x, c, k, d->root) < 0 ? EXIT_REFUSED : ask_print(x, k, "task_id");
	call_free(k);
	client_close(c);
out:
	json_free(d);
	return rc;
}

/* ---- ls ---- */

enum { L_ID, L_NAME, L_STATUS, L_FILTER, L_QUIET, L_PAGER, L_LIMIT, L_OFFSET, L_SORT, L_FMT, L_VERBOSE, L_END, PAGE = 1000 };

const struct opt ls_opts[] = {
	[L_ID] = {"--task-id --id", OPT_TEXT, "ID", "the task of this id", NULL},
	[L_NAME] = {"--task-name --name", OPT_TEXT, "NAME", "tasks of this name", NULL},
	[L_STATUS] = {"-s --status", OPT_CHOICE, "pending|running|success|failed|cancelled", "tasks in this state", NULL},
	[L_FILTER] = {"-f --extra-filter", OPT_TEXT, "FILTER", "tasks that match: '{\"args.lr\": {\"$gt\": 0.1}}'", NULL},
	[L_QUIET] = {"-q --quiet", OPT_FLAG, NULL, "ids only", NULL},
	[L_PAGER] = {"--[no-]pager", OPT_FLAG, NULL, "at a terminal show the result in $PAGER, or not", "1"},
	[L_LIMIT] = {"--limit", OPT_INT, "N", "at most so many (default all)", NULL},
	[L_OFFSET] = {"--offset", OPT_INT, "N", "leave out the first so many", "0"},
	[L_SORT] = {"-S --sort", OPT_LIST, "FIELD:asc|desc", "order; may be given several times (default priority:desc, last_modified, "
	    "created_at)", NULL},
	[L_FMT] = {"--fmt", OPT_CHOICE, "yaml|jsonl", "how to print them", "yaml"},
	[L_VERBOSE] = {"-v --verbose", OPT_FLAG, NULL, "show on stderr what is asked of the server", NULL},
	[L_END] = {0}
};

static void
add_sort(struct json_doc *d, struct json *list, struct str field, int way)
{
	struct json *pair = json_mkarr(d);

	json_push(pair, json_mkstr(d, str_is(field, "task_id") ? str_of("_id") : field));   /* so the store calls it */
	json_push(pair, json_mkint(d, way));
	json_push(list, pair);
}

/* "created_at:desc". */
static int
parse_sort(struct json_doc *d, struct json *list, const char *text, struct err *e)
{
	const char *colon = strrchr(text, ':');
	struct str field = {text, colon ? (size_t)(colon - text) : strlen(text)};
	int way = !colon || !strcmp(colon, ":asc") ? 1 : !strcmp(colon, ":desc") ? -1 : 0;

	if (!field.n || !way || !utf8_valid(text, field.n))
		return err_set(e, EXIT_USAGE, "Invalid value for --sort: '%s': it must be FIELD:asc or FIELD:desc", text);
	add_sort(d, list, field, way);
	return 0;
}

/* The order; the id last, so that pages fit together on any server. */
static int
set_sort(struct json_doc *d, const struct optval *v, struct err *e)
{
	struct json *list = json_mkarr(d);

	for (int i = 0; i < v->nlist; i++)
		if (parse_sort(d, list, v->list[i], e) < 0)
			return -1;
	if (!v->nlist) {
		add_sort(d, list, str_of("priority"), -1);
		add_sort(d, list, str_of("last_modified"), 1);
		add_sort(d, list, str_of("created_at"), 1);
	}
	add_sort(d, list, str_of("_id"), 1);
	set(d, "sort", list);
	return 0;
}

static int
ls_body(struct json_doc *d, const struct args *a, struct err *e)
{
	const struct json *filter = NULL;

	if (check_name(a->val[L_NAME].text, e) < 0 || literal_filter(d, a->val[L_FILTER].text, &filter, e) < 0)
		return -1;
	if (a->val[L_OFFSET].num < 0 || (a->val[L_LIMIT].given && a->val[L_LIMIT].num < 0))
		return err_set(e, EXIT_USAGE, "Invalid value for --offset or --limit: it must not be below 0");
	if (a->val[L_ID].text && !utf8_valid(a->val[L_ID].text, strlen(a->val[L_ID].text)))
		return err_set(e, EXIT_USAGE, "Invalid value for --task-id: it must be a task's id");
	set_text(d, "task_id", a->val[L_ID].text);
	set_text(d, "task_name", a->val[L_NAME].text);
	set_text(d, "status", a->val[L_STATUS].text);
	if (filter)
		set(d, "extra_filter", json_copy(d, filter));
	return set_sort(d, &a->val[L_SORT], e);
}

static void
print_tasks(struct buf *b, const struct json *list, const struct args *a)
{
	if (a->val[L_QUIET].num) {
		for (const struct json *t = list->head; t; t = t->next) {
			const struct json *id = json_gets(t, "task_id");

			if (id && id->type == JSON_STR) {
				buf_add(b, id->s, id->len);
				buf_addc(b, '\n');
			}
		}
	} else if (a->val[L_FMT].num) {
		out_jsonl(b, list);
	} else {
		out_yaml(b, list);
	}
}

/* Page after page, printed as it comes; a pager gets them all at once. */
static int
list_tasks(struct context *x, struct client *c, struct json_doc *body, const struct args *a, bool page)
{
	int64_t offset = a->val[L_OFFSET].num, left = a->val[L_LIMIT].given ? a->val[L_LIMIT].num : INT64_MAX, got = PAGE, seen = 0;
	struct buf b = {0};
	int rc = 0;

	while (!rc && got == PAGE && left > 0) {
		struct call *k = call_new(API_TASK_SEARCH);
		int64_t want = left < PAGE ? left : PAGE;
		const struct json *list = NULL;

		set(body, "offset", json_mkint(body, offset));
		set(body, "limit", json_mkint(body, want));
		got = 0;
		if (ask_run(x, c, k, body->root) < 0)
			rc = EXIT_REFUSED;
		else
			list = k->doc ? json_gets(k->doc->root, "content") : NULL;
		if (list && list->type == JSON_ARR && (list->len || !seen)) {
			print_tasks(&b, list, a);
			got = (int64_t)list->len;
		}
		call_free(k);
		offset += got;
		left -= got;
		seen += got;
		if (!page && out_flush(&b) < 0)
			rc = EXIT_REFUSED;
	}
	if (page && !rc && out_page(&b) < 0)
		rc = EXIT_REFUSED;
	buf_free(&b);
	return rc;
}

int
cmd_ls(struct context *x, struct args *a)
{
	struct json_doc *d = json_new();
	struct client *c;
	struct err e = {0};
	int rc;

	d->root = json_mkobj(d);
	if (ls_body(d, a, &e) < 0) {
		rc = ask_fail(x, &e);
		goto out;
	}
	if (a->val[L_VERBOSE].num) {
		struct buf b = {0};

		json_print(&b, d->root, JSON_SPACED);
		warn("task ls: %s", b.p);
		buf_free(&b);
	}
	c = ask_open(x, false, true, &rc);
	if (!c)
		goto out;
	rc = list_tasks(x, c, d, a, a->val[L_PAGER].num && isatty(1));
	client_close(c);
out:
	json_free(d);
	return rc;
}
