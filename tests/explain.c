/* SPDX-License-Identifier: MIT */
/* explain: a server that goes away in the middle of the pending tasks is a failure, and no more. */
#define select_rows half_the_rows
#include "../cli/explain.c"
#undef select_rows
#include "test.h"

static int calls;

int
half_the_rows(const struct context *x, struct client *c, const struct select *s, const struct rows_put *put, struct rows *r)
{
	static const char row[] = "{\"args\":{\"a\":1}}";
	struct json_doc *d = json_parse(row, strlen(row), NULL);
	struct buf b = {0};

	(void)x;
	(void)c;
	(void)s;
	(void)r;
	put->row(put->arg, &b, d->root);
	buf_free(&b);
	json_free(d);
	calls++;
	return -1;
}

int
main(void)
{
	struct json_doc *d = json_new();
	struct wanted w = {.d = d};

	d->root = json_mkobj(d);
	w.filter = d->root;
	w.names = json_mkarr(d);
	w.reasons = json_mkarr(d);
	check(explain_all(&w, false) == -1 && calls == 1, "half of the tasks, and a filter");
	w.filter = NULL;
	check(explain_all(&w, true) == -1 && calls == 2, "half of the tasks");
	json_free(d);
	return test_done("explain");
}
