/* SPDX-License-Identifier: MIT */
/*
 * labtasker finish, task info: for the commands that a loop runs.  Both need no server: what the job is about and how it went are
 * files of its run directory (SPEC 4), and the loop delivers what finish wrote when the job has ended (OURS 5).
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { STATUS, SUMMARY, END, MAX_SUMMARY = 16 << 20, MAX_INFO = 32 << 20 };

const struct opt finish_opts[] = {
	[STATUS] = {"-s --status", OPT_CHOICE, "success|failed|cancelled", "how it went", "success"},
	[SUMMARY] = {"--summary", OPT_TEXT, "JSON|-",
	    "what to keep of it, a dict: '{\"loss\": 0.1}'; - reads it from standard input", NULL},
	[END] = {0}
};

enum { I_JSON, I_END };

const struct opt task_info_opts[] = {
	[I_JSON] = {"--json", OPT_FLAG, NULL, "as one JSON object on a line, instead of YAML", NULL},
	[I_END] = {0}
};

/* The run directory; NULL with err outside of a job. */
static const char *
log_dir(struct err *e)
{
	const char *dir = getenv("LABTASKER_LOG_DIR");

	if (dir && *dir)
		return dir;
	err_set(e, EXIT_REFUSED, "LABTASKER_LOG_DIR is not set: this is for commands that labtasker loop runs");
	return NULL;
}

/* Keys that no server takes in a summary; better said now than when the job is gone.  NULL: all are fine. */
static const char *
bad_key(const struct json *v)
{
	const char *bad = NULL;

	for (const struct json *m = v->type == JSON_OBJ ? v->head : NULL; m && !bad; m = m->next)
		bad = m->key.n && (m->key.p[0] == '$' || m->key.p[0] == '.') ? m->key.p : bad_key(m);
	return bad;
}

static struct json *
read_summary(struct json_doc *d, const char *text, struct err *e)
{
	struct buf b = {0};
	struct json *v = NULL;
	const char *key;

	if (!text)
		return json_mkobj(d);
	if (strcmp(text, "-") != 0)
		buf_adds(&b, text);
	else if (ask_stdin(&b, MAX_SUMMARY, e) < 0)
		goto out;
	if (memchr(b.p, 0, b.len))
		err_set(e, EXIT_USAGE, "Invalid value for --summary: it holds a zero byte");
	else
		v = literal_dict(d, "--summary", b.p, e);
out:
	buf_free(&b);
	key = v ? bad_key(v) : NULL;
	if (!key)
		return v;
	err_set(e, EXIT_USAGE, "Invalid value for --summary: a key may not begin with $ or .: '%.80s'", key);
	return NULL;
}

/* NAME.json as the reference writes it. */
static int
put(const char *dir, const char *name, const struct json *v, struct err *e)
{
	char *path = xprintf("%s/%s.json", dir, name);
	struct buf b = {0};
	int rc;

	json_print(&b, v, 4 | JSON_ASCII);
	rc = sys_replace(path, b.p, b.len, 0600, e);
	if (rc < 0)
		e->code = EXIT_REFUSED;
	buf_free(&b);
	free(path);
	return rc;
}

int
cmd_finish(struct context *x, struct args *a)
{
	struct json_doc *d = json_new();
	struct err e = {0};
	const char *dir = log_dir(&e);
	struct json *summary = dir ? read_summary(d, a->val[SUMMARY].text, &e) : NULL;
	int rc = 0;

	d->root = json_mkobj(d);
	json_settext(d, d->root, "status", a->val[STATUS].text);
	/* the summary last: once it stands there, the job has finished */
	if (!summary || put(dir, "status", d->root, &e) < 0 || put(dir, "summary", summary, &e) < 0)
		rc = ask_fail(x, &e);
	json_free(d);
	return rc;
}

int
cmd_task_info(struct context *x, struct args *a)
{
	struct err e = {0}, why = {0};
	const char *dir = log_dir(&e);
	char *path = xprintf("%s/task_info.json", dir ? dir : "");
	struct buf b = {0};
	struct json_doc *d = NULL;
	struct json *list;
	int rc = 0;

	if (dir && sys_slurp(path, MAX_INFO, &b, &why) < 0)
		err_set(&e, EXIT_REFUSED, "%s", why.msg);
	else if (dir && !(d = json_parse(b.p, b.len, &why)))
		err_set(&e, EXIT_REFUSED, "%s: %s", path, why.msg);
	if (!d) {
		rc = ask_fail(x, &e);
		goto out;
	}
	buf_clear(&b);
	list = json_mkarr(d);
	json_push(list, d->root);
	if (a->val[I_JSON].num)
		out_jsonl(&b, list);
	else
		out_yaml(&b, list);
	rc = out_flush(&b) < 0 ? EXIT_REFUSED : 0;
out:
	json_free(d);
	buf_free(&b);
	free(path);
	return rc;
}
