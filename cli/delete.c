/* SPDX-License-Identifier: MIT */
/*
 * labtasker task delete, worker delete: one after the other, pipelined to a server of ours.  A person at a terminal is asked first.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 64 };              /* calls under way */

/* Both tables of options begin alike. */
enum { YES, QUIET, JSON, NAME, STATUS, FILTER, LIMIT, OFFSET, T_END, CASCADE = NAME, W_END };

#define COMMON \
	[YES] = {"-y --yes", OPT_FLAG, NULL, "do not ask", NULL}, \
	[QUIET] = {"-q --quiet", OPT_FLAG, NULL, "print nothing", NULL}, \
	[JSON] = {"--json", OPT_FLAG, NULL, "print JSON, one a line", NULL}

const struct opt task_delete_opts[] = {
	COMMON,
	[NAME] = {"--task-name --name", OPT_TEXT, "NAME", "tasks of this name", NULL},
	[STATUS] = {"-s --status", OPT_CHOICE, "pending|running|success|failed|cancelled", "tasks in this state", NULL},
	[FILTER] = {"-f --extra-filter", OPT_TEXT, "FILTER", "tasks that match: 'args.lr > 0.1'", NULL},
	[LIMIT] = {"--limit", OPT_INT, "N", "at most so many (default all)", NULL},
	[OFFSET] = {"--offset", OPT_INT, "N", "leave out the first so many", "0"},
	[T_END] = {0}
};
const struct opt worker_delete_opts[] = {
	COMMON,
	[CASCADE] = {"--[no-]cascade-update", OPT_FLAG, NULL, "make the tasks that name the worker name none", "1"},
	[W_END] = {0}
};

struct deletion {
	struct context *x;
	struct client *c;
	struct select select;
	enum api api;
	const char *noun, *query;
	bool quiet, json;
	int rc;
};

static void
say_one(const struct deletion *del, struct buf *b, const struct call *k)
{
	if (k->status < 200 || k->status > 299) {
		ask_lost(del->x, k);
		return;
	}
	if (!del->quiet && del->json)
		buf_printf(b, "{\"%s_id\":\"%s\"}\n", del->api == API_TASK_DELETE ? "task" : "worker", k->id);
	else if (!del->quiet)
		buf_printf(b, "%s %s deleted.\n", del->noun, k->id);
}

static void
delete_some(struct deletion *del, size_t from, size_t n)
{
	struct call *k[WINDOW];
	struct buf b = {0};

	for (size_t i = 0; i < n; i++) {
		k[i] = call_new(del->api);
		memcpy(k[i]->id, del->select.ids[from + i], sizeof del->select.ids[0]);
		strcpy(k[i]->query, del->query);
	}
	ask_all(del->c, k, n);
	for (size_t i = 0; i < n; i++) {
		say_one(del, &b, k[i]);
		if (k[i]->status < 200 || k[i]->status > 299)
			del->rc = EXIT_REFUSED;
		call_free(k[i]);
	}
	if (out_end(&b))
		del->rc = EXIT_REFUSED;
}

/* Whether it is meant. */
static bool
confirm(const struct deletion *del, bool yes)
{
	size_t n = del->select.nid;
	const char *noun = del->api == API_TASK_DELETE ? "task" : "worker";
	char *question;
	int answer;

	if (yes || !n)
		return true;
	question = n == 1 ? xprintf("Delete %s %s?", noun, del->select.ids[0]) : xprintf("Delete %lu %ss?", (unsigned long)n, noun);
	answer = tty_yes(question, false);
	free(question);
	if (answer < 1)
		warn(answer ? "%s: nothing was deleted: say -y to delete without being asked" : "%s: nothing was deleted",
		    del->x->cmd->name);
	return answer == 1;
}

static int
delete_all(struct deletion *del, const struct select_text *t, struct args *a)
{
	struct err e = {0};

	select_init(&del->select, del->api == API_TASK_DELETE ? API_TASK_SEARCH : API_WORKER_SEARCH);
	del->quiet = a->val[QUIET].num;
	del->json = a->val[JSON].num;
	if (select_from(&del->select, t, a, true, &e) < 0) {
		del->rc = ask_fail(del->x, &e);
	} else if (del->select.named && !confirm(del, a->val[YES].num)) {
		del->rc = EXIT_REFUSED;
	} else if ((del->c = ask_open(del->x, false, true, &del->rc))) {
		if (!del->select.named && (select_ids(del->x, del->c, &del->select) < 0 || !confirm(del, a->val[YES].num)))
			del->rc = EXIT_REFUSED;
		for (size_t i = 0; !del->rc && i < del->select.nid; i += WINDOW)
			delete_some(del, i, del->select.nid - i < WINDOW ? del->select.nid - i : WINDOW);
	}
	client_close(del->c);
	select_free(&del->select);
	return del->rc;
}

int
cmd_task_delete(struct context *x, struct args *a)
{
	const struct optval *v = a->val;
	struct select_text t = {NULL, v[NAME].text, v[STATUS].text, v[FILTER].text, &v[LIMIT], &v[OFFSET]};
	struct deletion del = {.x = x, .api = API_TASK_DELETE, .noun = "Task", .query = ""};

	return delete_all(&del, &t, a);
}

int
cmd_worker_delete(struct context *x, struct args *a)
{
	struct select_text t = {0};
	struct deletion del = {.x = x, .api = API_WORKER_DELETE, .noun = "Worker",
		.query = a->val[CASCADE].num ? "cascade_update=true" : "cascade_update=false"};

	return delete_all(&del, &t, a);
}
