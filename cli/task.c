/* SPDX-License-Identifier: MIT */
/*
 * labtasker task submit.
 */
#include "cli.h"

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
