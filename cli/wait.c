/* SPDX-License-Identifier: MIT */
/*
 * labtasker wait: until tasks have ended.  Asks the server for one of them that has not, first often, then once a second; a task
 * that goes back to pending after a failure is not over.  A server that is away is waited for.
 */
#include "cli.h"

#include <poll.h>
#include <string.h>

enum { ALL, TIMEOUT, END };
#define SOONEST 50000          /* microseconds between questions, growing */
#define LATEST SECOND

const struct opt wait_opts[] = {
	[ALL] = {"-a --all", OPT_FLAG, NULL, "for all tasks of the queue", NULL},
	[TIMEOUT] = {"--timeout", OPT_DURATION, "DURATION", "not longer than that (90, 1h30m): exit status 124", NULL},
	[END] = {0}
};

struct waiter {
	const struct context *x;
	struct client *client;
	struct select ids;
	bool all;
	int64_t until;             /* mono; -1: as long as it takes */
};

/* The filter for tasks in one of two states, among the ids from the one at from on. */
static const struct json *
make_filter(const struct waiter *w, struct json_doc *d, size_t from, const char *const state[2])
{
	struct json *filter = json_mkobj(d), *in = json_mkobj(d), *list = json_mkarr(d);

	for (int i = 0; i < 2; i++)
		json_push(list, json_mkstr(d, str_of(state[i])));
	json_sets(d, in, "$in", list);
	json_sets(d, filter, "status", in);
	if (w->all)
		return filter;
	in = json_mkobj(d);
	list = json_mkarr(d);
	for (size_t i = from; i < w->ids.nid && i < from + SELECT_PAGE; i++)
		json_push(list, json_mkstr(d, str_of(w->ids.ids[i])));
	json_sets(d, in, "$in", list);
	json_sets(d, filter, "_id", in);
	return filter;
}

/* Whether some task is in one of these states: 1, 0; an exit status below 0: said, or the time is up. */
static int
some(const struct waiter *w, size_t from, const char *const state[2])
{
	struct json_doc *d = json_new();
	struct call *k = call_new(API_TASK_SEARCH);
	const struct json *found;
	int rc;

	d->root = json_mkobj(d);
	json_sets(d, d->root, "limit", json_mkint(d, 1));
	json_sets(d, d->root, "extra_filter", json_copy(d, make_filter(w, d, from, state)));
	json_print(&k->body, d->root, 0);
	k->deadline = w->until;
	if (!client_run(w->client, k)) {
		found = call_get(k, "content");
		rc = found && found->len;
	} else if (!k->status && w->until >= 0 && sys_mono() >= w->until) {
		rc = -EXIT_TIME;
	} else {
		ask_fail(w->x, &k->err);
		rc = -EXIT_REFUSED;
	}
	call_free(k);
	json_free(d);
	return rc;
}

/* Until no task of this part is to do or running.  0, or an exit status below it. */
static int
await(const struct waiter *w, size_t from)
{
	static const char *const going[2] = {"pending", "running"};
	int64_t pause = SOONEST;
	int rc;

	while ((rc = some(w, from, going)) > 0) {
		int64_t left = w->until - sys_mono();

		if (w->until >= 0 && left <= 0)
			return -EXIT_TIME;
		poll(NULL, 0, (int)((w->until >= 0 && left < pause ? left : pause) / 1000) + 1);
		pause = pause * 3 / 2 < LATEST ? pause * 3 / 2 : LATEST;
	}
	return rc;
}

/* Adds to bad how many of this part have not succeeded, and says which the first is. */
static int
count_bad(const struct waiter *w, size_t from, size_t *bad)
{
	const struct json *v[SELECT_PAGE] = {0};
	struct call *k = NULL;
	int n = select_page(w->x, w->client, &w->ids, from, v, &k);

	for (int i = 0; i < n; i++) {
		const struct json *status = json_gets(v[i], "status");
		const char *text = json_text(status).p;

		if (json_is(status, "success"))
			continue;
		if (!(*bad)++)
			warn("wait: %s: %s", w->ids.ids[from + (size_t)i], text ? text : "it is not there (any more)");
	}
	call_free(k);
	return n < 0 ? -EXIT_REFUSED : 0;
}

static int
wait_all(const struct waiter *w)
{
	static const char *const ended[2] = {"failed", "cancelled"};
	int rc = await(w, 0);

	if (!rc)
		rc = some(w, 0, ended);
	if (rc > 0)
		warn("wait: some tasks have failed or were cancelled: labtasker task ls -s failed shows them");
	return rc;
}

static int
wait_ids(const struct waiter *w)
{
	size_t bad = 0;
	int rc = 0;

	for (size_t from = 0; !rc && from < w->ids.nid; from += SELECT_PAGE) {
		rc = await(w, from);
		if (!rc)
			rc = count_bad(w, from, &bad);
	}
	if (bad > 1)
		warn("wait: %lu of %lu tasks have not succeeded", (unsigned long)bad, (unsigned long)w->ids.nid);
	return rc ? rc : bad > 0;
}

/* The ids that are meant: words, or - for those on standard input. */
static int
read_ids(struct waiter *w, const struct args *a, struct err *e)
{
	if (w->all && a->nword)
		return err_set(e, EXIT_USAGE, "give ids or --all, not both");
	if (!w->all && !a->nword)
		return err_set(e, EXIT_USAGE, "which tasks? give their ids, - to read ids from standard input, or --all");
	if (a->nword == 1 && !strcmp(a->word[0], "-"))
		return select_stdin(&w->ids, e);
	return w->all ? 0 : select_words(&w->ids, a->word, a->nword, e);
}

int
cmd_wait(struct context *x, struct args *a)
{
	struct waiter w = {.x = x, .all = a->val[ALL].num, .until = -1};
	struct err e = {0};
	int rc;

	select_init(&w.ids, API_TASK_SEARCH);
	if (a->val[TIMEOUT].given && a->val[TIMEOUT].real < 1e9)
		w.until = sys_mono() + (int64_t)(a->val[TIMEOUT].real * 1e6);
	if (read_ids(&w, a, &e) < 0) {
		rc = ask_fail(x, &e);
	} else if ((w.client = ask_open(x, false, true, &rc))) {
		rc = w.all ? wait_all(&w) : wait_ids(&w);
		rc = rc < 0 ? -rc : rc;
		if (rc == EXIT_TIME)
			warn("wait: time is up: tasks are still pending or running");
	}
	client_close(w.client);
	select_free(&w.ids);
	return rc;
}
