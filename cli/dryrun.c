/* SPDX-License-Identifier: MIT */
/*
 * labtasker loop --dry-run: what the loop would run, in the order in which it would be fetched, as lines for a shell.  It only
 * lists pending tasks, so any server will do; which of them fit the command is seen here.
 */
#include "cli.h"
#include "../worker/worker.h"

#include <string.h>
#include <unistd.h>

enum { FLUSH = 64 << 10 };
enum { RUNS = '+', FAILS = '-' };   /* the first byte of a row's text; a task that does not fit has none */

struct dry {
	const struct loop_opts *o;
	const struct json *names;
};

static void
put_head(struct buf *b, const struct json *task, const char *before)
{
	const char *name = json_gettext(task, "task_name");

	buf_printf(b, "%s%s%s%s%s", before, json_gettext(task, "task_id"), *name ? " (" : "", name, *name ? ")" : "");
}

/* See struct rows_put: the words of its command, quoted for a shell, or why there are none. */
static void
put_task(void *arg, struct buf *b, const struct json *task)
{
	const struct dry *dry = arg;
	const struct json *args = json_gets(task, "args");
	struct buf missing = {0}, extra = {0};
	struct err e = {0};
	char **argv = NULL;

	fit_compare(dry->names, args, &missing, &extra);
	if (missing.len || extra.len)
		goto out;
	argv = recipe_fill(dry->o->env.recipe, args, &e);
	buf_addc(b, argv ? RUNS : FAILS);
	if (!argv) {
		put_head(b, task, "task ");
		buf_printf(b, ": it would fail: %s", e.msg);
	} else if (dry->o->env.verbose && !dry->o->pipe) {
		put_head(b, task, "# task ");
		buf_addc(b, '\n');
	}
	for (size_t i = 0; argv && argv[i]; i++) {
		buf_adds(b, i ? " " : "");
		tmpl_quote(b, str_of(argv[i]));
	}
	if (argv)
		buf_addc(b, '\n');
	recipe_unfill(argv);
out:
	buf_free(&missing);
	buf_free(&extra);
}

/* Prints what would run, or why it would fail; how many did not fit is said last.  With --pipe all go to one command.  An exit
 * status. */
static int
show(const struct dry *dry, const struct rows *rows)
{
	struct buf b = {0};
	int64_t run = 0, fit = 0, most = dry->o->max_tasks ? dry->o->max_tasks : INT64_MAX;
	bool screen = isatty(1);
	int rc = 0;

	for (size_t i = 0; i < rows->n; i++) {
		struct str s = rows->row[i].text;

		if (!s.n || fit++ >= most)
			continue;
		if (*s.p == FAILS) {
			warn("loop: %.*s", (int)s.n - 1, s.p + 1);
			rc = EXIT_REFUSED;
			continue;
		}
		if (run++ && dry->o->pipe)
			continue;
		if (screen)
			buf_visible(&b, (struct str){s.p + 1, s.n - 1}, "\n");
		else
			buf_add(&b, s.p + 1, s.n - 1);
		if (b.len > FLUSH && out_flush(&b) < 0)
			rc = EXIT_REFUSED;
	}
	if (out_flush(&b) < 0)
		rc = EXIT_REFUSED;
	warn("loop: --dry-run: %ld of %lu pending tasks would run%s", (long)run, (unsigned long)rows->n, (uint64_t)fit < rows->n ?
	    "; labtasker explain says why not the others" : "");
	buf_free(&b);
	return rc;
}

int
dryrun(const struct context *x, const struct loop_opts *o)
{
	struct dry dry = {.o = o};
	struct rows_put put = {put_task, &dry};
	struct rows rows = {0};
	struct select s;
	int rc;
	struct client *c = ask_open(x, false, true, &rc);

	if (!c)
		return rc;
	loop_advise(o);
	select_init(&s, API_TASK_SEARCH);
	s.text.status = "pending";
	s.filter = o->filter;
	select_sort(&s, NULL, NULL);
	dry.names = loop_required(o, s.d);
	rc = select_rows(x, c, &s, &put, &rows) < 0 ? EXIT_REFUSED : show(&dry, &rows);
	rows_free(&rows);
	select_free(&s);
	client_close(c);
	return rc;
}
