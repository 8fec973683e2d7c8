/* SPDX-License-Identifier: MIT */
/*
 * labtasker task submit.
 */
#include "cli.h"

#include <string.h>

enum {
	S_NAME, S_ARGS, S_METADATA, S_CMD, S_HEARTBEAT, S_TIMEOUT, S_RETRIES, S_PRIORITY, S_FROM, S_TASKS, S_CSV, S_TYPED,
	S_SWEEP, S_KEY, S_END
};

const struct opt submit_opts[] = {
	[S_NAME] = {"--task-name --name", OPT_TEXT, "NAME", "a name to find it by", NULL},
	[S_ARGS] = {"--args", OPT_TEXT, "DICT", "its arguments, instead of words after --", NULL},
	[S_METADATA] = {"--metadata", OPT_TEXT, "DICT", "what else to note: '{\"tags\": [\"a\"]}'", NULL},
	[S_CMD] = {"--cmd", OPT_TEXT, "TEXT", "a command, noted with it", NULL},
	[S_HEARTBEAT] = {"--heartbeat-timeout", OPT_DURATION, "SECONDS", "a run without heartbeat for so long has failed", "60"},
	[S_TIMEOUT] = {"--task-timeout", OPT_DURATION, "SECONDS", "a run that lasts longer has failed", NULL},
	[S_RETRIES] = {"--max-retries", OPT_INT, "N", "failures until it is given up", "3"},
	[S_PRIORITY] = {"--priority", OPT_INT, "N", "higher runs first", "10"},
	[S_FROM] = {"--from", OPT_TEXT, "FILE",
	    "many tasks: a line of JSON for the arguments of each, or CSV with a header; - is stdin", NULL},
	[S_TASKS] = {"--tasks", OPT_TEXT, "FILE", "many tasks: a line of JSON for each: {\"args\": {}, \"priority\": 5}", NULL},
	[S_CSV] = {"--csv", OPT_FLAG, NULL, "--from reads CSV (as it does when the file's name ends so)", NULL},
	[S_TYPED] = {"--typed", OPT_FLAG, NULL, "CSV's cells are literals where they parse, not texts", NULL},
	[S_SWEEP] = {"--sweep", OPT_LIST, "NAME=VALUES",
	    "many tasks: each of VALUES (0.1,0.01 or 0..9 or 0..1..0.25); several: the product", NULL},
	[S_KEY] = {"--key", OPT_TEXT, "TEXT", "submitted again with the same TEXT it is the same task", NULL},
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
submit_body(struct json_doc *d, const struct args *a, bool many, struct err *e)
{
	const char *metadata = a->val[S_METADATA].text, *cmd = a->val[S_CMD].text;
	struct json *args = task_args(d, a, e), *m = metadata ? literal_dict(d, "--metadata", metadata, e) : NULL;

	if (!args || (metadata && !m) || ask_check_name(a->val[S_NAME].text, "--task-name", e) < 0)
		return -1;
	if (!many && !args->len && !(cmd && *cmd))
		return err_set(e, EXIT_USAGE, "a task needs arguments or --cmd: labtasker task submit -- --prompt \"a horse\"");
	json_settext(d, d->root, "task_name", a->val[S_NAME].text);
	json_sets(d, d->root, "args", args);
	if (m)
		json_sets(d, d->root, "metadata", m);
	json_settext(d, d->root, "cmd", cmd);
	json_sets(d, d->root, "heartbeat_timeout", json_mkdouble(d, a->val[S_HEARTBEAT].real));
	if (a->val[S_TIMEOUT].given) {
		double s = a->val[S_TIMEOUT].real;

		json_sets(d, d->root, "task_timeout", json_mkint(d, (int64_t)s + (s > (double)(int64_t)s)));   /* whole seconds, upwards */
	}
	json_sets(d, d->root, "max_retries", json_mkint(d, a->val[S_RETRIES].num));
	json_sets(d, d->root, "priority", json_mkint(d, a->val[S_PRIORITY].num));
	return 0;
}

/* Options for many tasks that do not go together. */
static int
check_many(const struct args *a, bool many, struct err *e)
{
	const struct optval *v = a->val;

	if ((v[S_FROM].given && v[S_TASKS].given) || (v[S_SWEEP].given && (v[S_FROM].given || v[S_TASKS].given)))
		return err_set(e, EXIT_USAGE, "give one of --from, --tasks and --sweep");
	if ((v[S_CSV].given || v[S_TYPED].given) && !v[S_FROM].given)
		return err_set(e, EXIT_USAGE, "--csv and --typed say how --from FILE is read");
	if (v[S_TASKS].given && (a->nrest > 0 || v[S_ARGS].given))
		return err_set(e, EXIT_USAGE, "--tasks has the arguments of each task in its line");
	if (v[S_KEY].given && (!*v[S_KEY].text || !utf8_valid(v[S_KEY].text, strlen(v[S_KEY].text))))
		return err_set(e, EXIT_USAGE, "Invalid value for --key: it must be a text that names this %s",
		    many ? "batch" : "task");
	return 0;
}

static int
submit_one(struct context *x, const struct json *body, const char *key)
{
	struct call *k;
	struct client *c;
	int rc;

	c = ask_open(x, true, true, &rc);
	if (!c)
		return rc;
	k = call_new(API_SUBMIT);
	rc = key ? bulk_key(x, c, key, k->key) : 0;
	if (!rc)
		rc = ask_run(x, c, k, body) < 0 ? EXIT_REFUSED : ask_print(x, k, "task_id");
	call_free(k);
	client_close(c);
	return rc;
}

int
cmd_submit(struct context *x, struct args *a)
{
	const struct optval *v = a->val;
	struct json_doc *d = json_new();
	struct bulk b = {
		.from = v[S_FROM].text, .tasks = v[S_TASKS].text, .csv = v[S_CSV].given, .typed = v[S_TYPED].given,
		.sweep = v[S_SWEEP].list, .nsweep = v[S_SWEEP].nlist, .key = v[S_KEY].text
	};
	bool many = b.from || b.tasks || b.nsweep;
	struct err e = {0};
	int rc;

	d->root = json_mkobj(d);
	b.base = d->root;
	if (check_many(a, many, &e) < 0 || submit_body(d, a, many, &e) < 0)
		rc = ask_fail(x, &e);
	else
		rc = many ? bulk_submit(x, &b) : submit_one(x, d->root, b.key);
	json_free(d);
	return rc;
}
