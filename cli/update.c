/* SPDX-License-Identifier: MIT */
/*
 * labtasker task update, cancel, requeue: which tasks is settled first, by id; then they are changed, at most 1,000 in a request.
 * What the server refuses of a request leaves the rest of it done; all that were refused are said, and the exit status tells.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct change {
	struct context *x;
	struct client *c;
	struct select select;
	bool reset, quiet, json;
	size_t found, done;        /* how many are there; how many were changed */
	void (*after)(struct change *ch, const struct json *updates);   /* prints those that were done; NULL: as YAML */
	int rc;
};

/* ---- one request ---- */

/* Tags what is not as it was; last_modified always differs and says nothing. */
static void
mark(struct json *new, const struct json *old)
{
	for (struct json *v = new->head; v; v = v->next) {
		const struct json *was = json_get(old, v->key);

		if (str_is(v->key, "last_modified") || (was && json_eq(v, was)))
			continue;
		v->tag = OUT_MODIFIED;
		if (v->type == JSON_OBJ && was && was->type == JSON_OBJ)
			mark(v, was);
	}
}

/* The old task of that id.  They come in one order, as a rule: looking from the last one on is enough. */
static const struct json *
old_of(const struct json *olds, const struct json **next, const struct json *task)
{
	const struct json *id = json_gets(task, "task_id"), *from = *next ? *next : olds->head, *t = from;

	do {
		if (t && id && json_eq(json_gets(t, "task_id"), id)) {
			*next = t->next;
			return t;
		}
		t = t && t->next ? t->next : olds->head;
	} while (t != from);
	return NULL;
}

static void
print_updated(struct change *ch, struct json *list, const struct json *olds)
{
	const struct json *next = NULL, *old;
	struct buf b = {0};

	if (!list || list->type != JSON_ARR || ch->quiet || !list->len)
		return;
	for (struct json *v = list->head; v; v = v->next) {
		old = old_of(olds, &next, v);
		if (old)
			mark(v, old);
	}
	if (ch->json)
		out_jsonl(&b, list);
	else
		out_yaml(&b, list);
	if (out_end(&b))
		ch->rc = EXIT_REFUSED;
}

/* One request.  olds: the tasks as they were. */
static void
put_some(struct change *ch, const struct json *updates, const struct json *olds)
{
	struct call *k = call_new(API_TASK_UPDATE);

	strcpy(k->query, ch->reset ? "reset_pending=true" : "reset_pending=false");
	if (ask_run(ch->x, ch->c, k, updates) < 0) {
		ch->rc = EXIT_REFUSED;   /* all but those that it names were changed */
	} else {
		struct json *list = call_get(k, "content");

		ch->done += updates->len;
		if (ch->after)
			ch->after(ch, updates);
		else
			print_updated(ch, list, olds);
	}
	call_free(k);
}

/* All of the updates.  The reference's server writes its whole store for each task: a thousand of them would take it minutes. */
static void
put(struct change *ch, const struct json *updates, const struct json *olds)
{
	enum { OURS = 1000, OTHERS = 100 };
	size_t most = client_ours(ch->c) ? OURS : OTHERS;

	for (const struct json *u = updates->head; u;) {
		struct json_doc *d = json_new();
		struct json *list = json_mkarr(d);

		for (; u && list->len < most; u = u->next)
			json_push(list, json_copy(d, u));
		put_some(ch, list, olds);
		json_free(d);
	}
}

/* Opens the client and finds the tasks that are meant.  False: the exit status is set. */
static bool
find(struct change *ch, const struct select_text *t, const struct args *a, bool empty, struct err *e)
{
	if (e->code || select_from(&ch->select, t, a, empty, e) < 0)
		ch->rc = ask_fail(ch->x, e);
	else if ((ch->c = ask_open(ch->x, false, true, &ch->rc)) && !ch->select.named && select_ids(ch->x, ch->c, &ch->select) < 0)
		ch->rc = EXIT_REFUSED;
	return ch->c && !ch->rc;
}

/* ---- update ---- */

enum { ID, NAME, STATUS, FILTER, UPDATE, LIMIT, OFFSET, RESET, QUIET, EDITOR, JSON, VERBOSE, END };

const struct opt task_update_opts[] = {
	[ID] = {"--task-id --id", OPT_TEXT, "ID", "the task of this id", NULL},
	[NAME] = {"--task-name --name", OPT_TEXT, "NAME", "tasks of this name", NULL},
	[STATUS] = {"-s --status", OPT_CHOICE, "pending|running|success|failed|cancelled", "tasks in this state", NULL},
	[FILTER] = {"-f --extra-filter", OPT_TEXT, "FILTER", "tasks that match: 'args.lr > 0.1'", NULL},
	[UPDATE] = {"-u --update", OPT_LIST, "FIELD=VALUE", "a change: priority=5, args.lr=0.1; may be given several times", NULL},
	[LIMIT] = {"--limit", OPT_INT, "N", "at most so many (default all)", NULL},
	[OFFSET] = {"--offset", OPT_INT, "N", "leave out the first so many", "0"},
	[RESET] = {"--[no-]reset-pending", OPT_FLAG, NULL, "make the tasks pending again, with no retries used", "0"},
	[QUIET] = {"-q --quiet", OPT_FLAG, NULL, "print nothing", NULL},
	[EDITOR] = {"--editor", OPT_TEXT, "CMD", "where no change is given: the editor (default VISUAL, EDITOR, vi)", NULL},
	[JSON] = {"--json", OPT_FLAG, NULL, "print the tasks as JSON, one a line", NULL},
	[VERBOSE] = {"-v --verbose", OPT_FLAG, NULL, "show on stderr what is asked of the server", NULL},
	[END] = {0}
};

static int
assign_all(struct json_doc *d, struct json *update, const char *const *word, int n, struct err *e)
{
	for (int i = 0; i < n; i++)
		if (edit_assign(d, update, word[i], e) < 0)
			return -1;
	return 0;
}

/* The changes that were given, in one object; empty: there are none. */
static struct json *
read_assigns(struct json_doc *d, const struct args *a, struct err *e)
{
	const struct optval *u = &a->val[UPDATE];
	struct json *update = json_mkobj(d);
	unsigned char id[16];

	if (a->nword && !uuid_parse(str_of(a->word[0]), id)) {
		err_set(e, EXIT_USAGE, "'%s': here a task is named so: --id ID", a->word[0]);
		return NULL;
	}
	if (u->nlist && a->nword + a->nrest) {
		err_set(e, EXIT_USAGE, "give changes with -u or after --, not both");
		return NULL;
	}
	if (assign_all(d, update, u->list, u->nlist, e) < 0 || assign_all(d, update, (const char *const *)a->word, a->nword, e) < 0 ||
	    assign_all(d, update, (const char *const *)a->rest, a->nrest, e) < 0)
		return NULL;
	return update;
}

/* The same changes for each of the tasks. */
static struct json *
repeat(struct json_doc *d, const struct json *update, const struct json *tasks)
{
	struct json *list = json_mkarr(d);

	for (const struct json *t = tasks->head; t; t = t->next) {
		const struct json *id = json_gets(t, "task_id");
		struct json *u = json_mkobj(d);

		if (!id)
			continue;
		json_sets(d, u, "task_id", json_copy(d, id));
		for (const struct json *v = update->head; v; v = v->next)
			json_set(d, u, v->key, json_copy(d, v));
		json_push(list, u);
	}
	return list;
}

static void
say_missing(const struct change *ch)
{
	if (!ch->select.nid)
		warn("%s: no task matches: nothing was changed", ch->x->cmd->name);
	else if (ch->found < ch->select.nid)
		warn("%s: Task not found: %lu of %lu are not in this queue: labtasker task ls shows which there are", ch->x->cmd->name,
		    (unsigned long)(ch->select.nid - ch->found), (unsigned long)ch->select.nid);
}

/* The next page of what was selected, copied into a list of d: all, or those that keep says.  NULL: the reason was said. */
static struct json *
fetch(struct change *ch, struct json_doc *d, size_t from, bool (*keep)(const struct json *task))
{
	const struct json *v[SELECT_PAGE];
	struct json *list = json_mkarr(d);
	struct call *k;
	int n = select_page(ch->x, ch->c, &ch->select, from, v, &k);

	for (int i = 0; i < n; i++) {
		ch->found += v[i] != NULL;
		if (v[i] && (!keep || keep(v[i])))
			json_push(list, json_copy(d, v[i]));
	}
	call_free(k);
	if (n < 0)
		ch->rc = EXIT_REFUSED;
	return n < 0 ? NULL : list;
}

/* keep: which of the tasks are to be changed, NULL all. */
static void
update_all(struct change *ch, const struct json *update, bool (*keep)(const struct json *task))
{
	for (size_t i = 0; i < ch->select.nid; i += SELECT_PAGE) {
		struct json_doc *d = json_new();
		struct json *tasks = fetch(ch, d, i, keep);

		if (tasks)
			put(ch, repeat(d, update, tasks), tasks);
		json_free(d);
		if (!tasks)
			return;
	}
	say_missing(ch);
}

/* ---- in the editor ---- */

/* The updates that the person wrote; NULL: the reason was said. */
static struct json *
edit(struct change *ch, struct json_doc *d, const struct json *tasks, const char *editor)
{
	struct buf text = {0};
	struct json *updates = NULL;
	bool again = true;

	edit_put(&text, tasks, ch->reset);
	while (again && !updates) {
		struct err e = {0};

		if (tty_edit_text(&text, NULL, ".yaml", editor, &e) < 0) {
			ch->rc = ask_fail(ch->x, &e);
			break;
		}
		updates = edit_read(d, (struct str){text.p, text.len}, tasks, &e);
		if (updates)
			break;
		ch->rc = ask_fail(ch->x, &e);
		again = tty_yes("Edit it again?", true) == 1;
	}
	if (updates)
		ch->rc = 0;
	buf_free(&text);
	return updates;
}

static void
edit_all(struct change *ch, const char *editor)
{
	struct json_doc *d = json_new();
	struct json *tasks = json_mkarr(d), *page, *updates = NULL;

	for (size_t i = 0; i < ch->select.nid; i += SELECT_PAGE) {
		page = fetch(ch, d, i, NULL);
		if (!page)
			goto out;
		for (const struct json *t = page->head; t; t = t->next)
			json_push(tasks, json_copy(d, t));
	}
	say_missing(ch);
	if (tasks->len)
		updates = edit(ch, d, tasks, editor);
	if (updates && !updates->len)
		warn("task update: nothing was changed");
	else if (updates)
		put(ch, updates, tasks);
out:
	json_free(d);
}

int
cmd_task_update(struct context *x, struct args *a)
{
	const struct optval *v = a->val;
	struct select_text t = {v[ID].text, v[NAME].text, v[STATUS].text, v[FILTER].text, &v[LIMIT], &v[OFFSET]};
	struct change ch = {.x = x, .reset = v[RESET].num, .quiet = v[QUIET].num, .json = v[JSON].num};
	struct args none = {.val = a->val};   /* the words are changes, not ids */
	struct json_doc *d = json_new();
	struct json *update;
	struct err e = {0};

	select_init(&ch.select, API_TASK_SEARCH);
	ch.select.verbose = v[VERBOSE].num;
	update = read_assigns(d, a, &e);
	if (update && !update->len && ch.quiet)
		err_set(&e, EXIT_USAGE, "-q leaves no editor: give changes with -u or after --");
	if (update && update->len && v[EDITOR].given)
		err_set(&e, EXIT_USAGE, "--editor is for when no change is given");
	if (find(&ch, &t, &none, false, &e)) {
		if (update->len)
			update_all(&ch, update, NULL);
		else
			edit_all(&ch, v[EDITOR].text);
	}
	client_close(ch.c);
	select_free(&ch.select);
	json_free(d);
	return ch.rc;
}

/* ---- cancel, requeue ---- */

enum { A_NAME, A_STATUS, A_FILTER, A_LIMIT, A_OFFSET, A_QUIET, A_JSON, A_VERBOSE, A_END };

const struct opt task_state_opts[] = {
	[A_NAME] = {"--task-name --name", OPT_TEXT, "NAME", "tasks of this name", NULL},
	[A_STATUS] = {"-s --status", OPT_CHOICE, "pending|running|success|failed|cancelled", "tasks in this state", NULL},
	[A_FILTER] = {"-f --extra-filter", OPT_TEXT, "FILTER", "tasks that match: 'args.lr > 0.1'", NULL},
	[A_LIMIT] = {"--limit", OPT_INT, "N", "at most so many (default all)", NULL},
	[A_OFFSET] = {"--offset", OPT_INT, "N", "leave out the first so many", "0"},
	[A_QUIET] = {"-q --quiet", OPT_FLAG, NULL, "print nothing", NULL},
	[A_JSON] = {"--json", OPT_FLAG, NULL, "print JSON, one task a line", NULL},
	[A_VERBOSE] = {"-v --verbose", OPT_FLAG, NULL, "show on stderr what is asked of the server", NULL},
	[A_END] = {0}
};

static bool
status_is(const struct json *task, const char *status)
{
	return json_is(json_gets(task, "status"), status);
}

static bool
unended(const struct json *task)
{
	return status_is(task, "pending") || status_is(task, "running");
}

/* A line for each task that was changed. */
static void
say_done(struct change *ch, const struct json *updates)
{
	const char *status = ch->reset ? "pending" : "cancelled";
	struct buf b = {0};

	for (const struct json *t = ch->quiet ? NULL : updates->head; t; t = t->next) {
		const char *id = json_text(json_gets(t, "task_id")).p;

		if (!id)
			continue;
		if (ch->json)
			buf_printf(&b, "{\"task_id\":\"%s\",\"status\":\"%s\"}\n", id, status);
		else
			buf_printf(&b, "Task %s %s.\n", id, ch->reset ? "requeued" : "cancelled");
	}
	if (out_end(&b))
		ch->rc = EXIT_REFUSED;
}

static int
set_state(struct context *x, struct args *a, bool requeue)
{
	const struct optval *v = a->val;
	struct select_text t = {NULL, v[A_NAME].text, v[A_STATUS].text, v[A_FILTER].text, &v[A_LIMIT], &v[A_OFFSET]};
	struct change ch = {.x = x, .reset = requeue, .quiet = v[A_QUIET].num, .json = v[A_JSON].num, .after = say_done};
	struct json_doc *d = json_new();
	struct err e = {0};

	d->root = json_mkobj(d);
	json_settext(d, d->root, "status", requeue ? "pending" : "cancelled");
	select_init(&ch.select, API_TASK_SEARCH);
	ch.select.verbose = v[A_VERBOSE].num;
	if (find(&ch, &t, a, true, &e))
		update_all(&ch, d->root, requeue ? NULL : unended);
	if (!ch.rc && ch.done < ch.found)
		warn("task cancel: %lu of %lu had ended and were left alone", (unsigned long)(ch.found - ch.done), (unsigned long)ch.found);
	if (ch.c && ch.select.named && ch.found < ch.select.nid)
		ch.rc = EXIT_REFUSED;
	client_close(ch.c);
	select_free(&ch.select);
	json_free(d);
	return ch.rc;
}

int
cmd_task_cancel(struct context *x, struct args *a)
{
	return set_state(x, a, false);
}

int
cmd_task_requeue(struct context *x, struct args *a)
{
	return set_state(x, a, true);
}
