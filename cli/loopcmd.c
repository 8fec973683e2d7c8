/* SPDX-License-Identifier: MIT */
/*
 * labtasker loop: what to run, from one of four places (after --, -c, a script, standard input), and how; then the worker's loop
 * has it.
 */
#include "cli.h"
#include "../worker/worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	COMMAND, SCRIPT, EXECUTABLE, FILTER, WORKER, ETA, TIMEOUT, PTY, STDIN, GRACE, KEEP, VERBOSE, END,
	SCRIPT_MAX = 16 << 20
};

const struct opt loop_opts[] = {
	[COMMAND] = {"-c --command --cmd", OPT_TEXT, "TEXT", "run TEXT with a shell instead of words after --", NULL},
	[SCRIPT] = {"--script-path", OPT_TEXT, "FILE", "run the text of FILE, with its %(...) filled in, with a shell", NULL},
	[EXECUTABLE] = {"--executable", OPT_TEXT, "SHELL", "the shell for -c and --script-path", "/bin/sh"},
	[FILTER] = {"-f --extra-filter", OPT_TEXT, "FILTER", "take only tasks that match: '\"a\" in list(metadata.tags)'", NULL},
	[WORKER] = {"--worker-id", OPT_TEXT, "ID", "run as this worker instead of a new one", NULL},
	[ETA] = {"--eta-max", OPT_DURATION, "DURATION", "a task that runs longer has failed (90, 1h30m)", NULL},
	[TIMEOUT] = {"--heartbeat-timeout", OPT_DURATION, "SECONDS",
	    "a task without heartbeat for so long has failed (default 3 intervals)", NULL},
	[PTY] = {"--[no-]use-pty", OPT_FLAG, NULL, "give the job a terminal of its own, or not", NULL},
	[STDIN] = {"--stdin", OPT_FLAG, NULL, "the job reads our standard input", NULL},
	[GRACE] = {"--grace", OPT_DURATION, "SECONDS", "between asking a job to end and killing it", "20"},
	[KEEP] = {"--keep-lost", OPT_FLAG, NULL, "let a job finish, unreported, whose task was cancelled or given to another", NULL},
	[VERBOSE] = {"-v --verbose", OPT_FLAG, NULL, "say more on stderr", NULL},
	[END] = {0}
};

static int
check_text(const struct buf *b, const char *from, struct err *e)
{
	if (b->len && memchr(b->p, 0, b->len))
		return err_set(e, EXIT_USAGE, "%s holds a zero byte: it is no command", from);
	if (!b->len || b->p[strspn(b->p, " \t\r\n")] == 0)
		return err_set(e, EXIT_USAGE, "no command in %s: write labtasker loop -- CMD...", from);
	return 0;
}

struct words {
	char **argv;               /* or NULL: */
	const char *text;
};

/* Finds the command; its text then stands in b. */
static int
find_command(const struct args *a, struct words *o, struct buf *b, struct err *e)
{
	const char *text = a->val[COMMAND].text, *script = a->val[SCRIPT].text;
	int rc;

	if ((a->nrest > 0) + !!text + !!script > 1)
		return err_set(e, EXIT_USAGE, "give one command: words after --, -c, or --script-path");
	if (a->nrest > 0) {
		if (a->val[EXECUTABLE].given)
			return err_set(e, EXIT_USAGE, "--executable is the shell for -c and --script-path: words after -- run without one");
		if (!*a->rest[0])
			return err_set(e, EXIT_USAGE, "the command's name after -- is empty");
		o->argv = a->rest;
		return 0;
	}
	if (text) {
		buf_adds(b, text);
		rc = check_text(b, "-c", e);
	} else if (script) {
		struct err why = {0};

		rc = sys_slurp(script, SCRIPT_MAX, b, &why) < 0 ? err_set(e, EXIT_USAGE, "Invalid value for --script-path: %s", why.msg) :
		    check_text(b, script, e);
	} else if (isatty(0) || a->val[STDIN].num) {
		rc = err_set(e, EXIT_USAGE, "no command: write labtasker loop -- CMD..., -c TEXT or --script-path FILE");
	} else {
		rc = ask_stdin(b, SCRIPT_MAX, e) < 0 ? -1 : check_text(b, "standard input", e);
	}
	o->text = b->p;
	return rc;
}

/* The command as a recipe; text keeps what it is made of.  NULL with err, after the place was shown. */
static struct recipe *
read_command(const struct args *a, struct buf *text, struct err *e)
{
	const char *shell = a->val[EXECUTABLE].given ? a->val[EXECUTABLE].text : NULL;
	struct words w = {0};
	struct buf caret = {0};
	struct err why = {0};
	struct recipe *r = NULL;

	if (find_command(a, &w, text, e) < 0)
		return NULL;
	r = recipe_new(w.argv, w.text, shell, &why, &caret);
	if (!r) {
		err_set(e, EXIT_USAGE, "command:%lu:%lu: %s", (unsigned long)why.line, (unsigned long)why.col, why.msg);
		fwrite(caret.p, 1, caret.len, stderr);
	}
	buf_free(&caret);
	return r;
}

/* The values that their kinds do not check. */
static int
check_values(const struct args *a, struct err *e)
{
	unsigned char id[16];

	if (a->val[WORKER].text && uuid_parse(str_of(a->val[WORKER].text), id) < 0)
		return err_set(e, EXIT_USAGE, "Invalid value for --worker-id: '%s': it must be a worker's id", a->val[WORKER].text);
	if (a->val[TIMEOUT].given && !(a->val[TIMEOUT].real > 0))
		return err_set(e, EXIT_USAGE, "Invalid value for --heartbeat-timeout: it must be above 0");
	return 0;
}

int
cmd_loop(struct context *x, struct args *a)
{
	struct loop_opts o = {
		.slots = 1, .worker_id = a->val[WORKER].text, .keep_lost = a->val[KEEP].num,
		.eta_max = a->val[ETA].text, .heartbeat_timeout = a->val[TIMEOUT].real,
		.pty = a->val[PTY].given ? (int)a->val[PTY].num : -1, .stdin_job = a->val[STDIN].num, .verbose = a->val[VERBOSE].num,
		.grace = a->val[GRACE].real, .conf = x->conf
	};
	struct json_doc *d = json_new();
	struct recipe *recipe = NULL;
	struct buf text = {0};
	struct err e = {0};
	int rc;

	if (check_values(a, &e) < 0 || ask_filter(d, a->val[FILTER].text, o.verbose, &o.filter, &e) < 0 ||
	    !(recipe = read_command(a, &text, &e))) {
		rc = ask_fail(x, &e);
		goto out;
	}
	o.recipe = recipe;
	o.client = ask_open(x, true, true, &rc);
	if (!o.client)
		goto out;
	rc = worker_loop(&o);
	client_close(o.client);
out:
	recipe_free(recipe);
	buf_free(&text);
	json_free(d);
	return rc;
}
