/* SPDX-License-Identifier: MIT */
/*
 * labtasker status: how far the queue is.  Counts, who runs what and since when, how fast tasks end, and when that will be all.
 * Times of a server that sends them without a zone are shown as they came and no age is reckoned from them, SPEC 1; the rate comes
 * from the differences between the times at which the last tasks ended.
 */
#include "cli.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { JSON, WATCH, EVERY, END, SHOWN = 20, LAST = 100 };

const struct opt status_opts[] = {
	[JSON] = {"--json", OPT_FLAG, NULL, "as one JSON object on a line", NULL},
	[WATCH] = {"-w --watch", OPT_FLAG, NULL, "again and again, until Ctrl-C", NULL},
	[EVERY] = {"--every", OPT_DURATION, "SECONDS", "with --watch: the time between", "2"},
	[END] = {0}
};

static const char *const task_states[] = {"pending", "running", "success", "failed", "cancelled"};
static const char *const worker_states[] = {"active", "suspended", "crashed"};
enum { PENDING, RUNNING, SUCCESS, FAILED };

struct state {
	int64_t task[LEN(task_states)], worker[LEN(worker_states)];
	int64_t ended[LAST];       /* when the last ones ended, ascending */
	int nended;
	double rate;               /* tasks a minute; below 0: unknown */
	char *oldest;              /* created_at of the pending task that is first; NULL: none */
	struct json_doc *d;
	struct json *running;      /* of d */
};

static int
place_of(const char *const *words, size_t n, const struct json *v)
{
	for (size_t i = 0; i < n; i++)
		if (json_is(v, words[i]))
			return (int)i;
	return -1;
}

static int
time_of(const struct json *v, int64_t *wall, bool *zoned)
{
	return date_parse(json_text(v), wall, zoned);
}

/* Keeps t when it is one of the LAST latest. */
static void
keep_end(struct state *s, int64_t t)
{
	int i;

	if (s->nended == LAST) {
		if (t <= s->ended[0])
			return;
		memmove(s->ended, s->ended + 1, sizeof s->ended - sizeof s->ended[0]);
		s->nended--;
	}
	for (i = s->nended++; i > 0 && s->ended[i - 1] > t; i--)
		s->ended[i] = s->ended[i - 1];
	s->ended[i] = t;
}

static void
copy(struct state *s, struct json *to, const struct json *task, const char *key)
{
	const struct json *v = json_gets(task, key);

	json_sets(s->d, to, key, v ? json_copy(s->d, v) : json_mknull(s->d));
}

/* A running task, with its age where that can be told. */
static void
keep_running(struct state *s, const struct json *task)
{
	struct json *r = json_mkobj(s->d);
	int64_t since;
	bool zoned;

	copy(s, r, task, "task_id");
	copy(s, r, task, "task_name");
	copy(s, r, task, "worker_id");
	copy(s, r, task, "start_time");
	copy(s, r, task, "retries");
	if (!time_of(json_gets(task, "start_time"), &since, &zoned) && zoned)
		json_sets(s->d, r, "age", json_mkint(s->d, (sys_wall() - since) / SECOND));
	else
		json_sets(s->d, r, "age", json_mknull(s->d));
	json_push(s->running, r);
}

/* See struct rows_put: looks at each task, keeps no text. */
static void
see_task(void *arg, struct buf *b, const struct json *task)
{
	struct state *s = arg;
	int i = place_of(task_states, LEN(task_states), json_gets(task, "status"));
	const struct json *created = json_gets(task, "created_at");
	int64_t t;
	bool zoned;

	(void)b;
	if (i < 0)
		return;
	s->task[i]++;
	if (i == RUNNING)
		keep_running(s, task);
	if ((i == SUCCESS || i == FAILED) && !time_of(json_gets(task, "last_modified"), &t, &zoned))
		keep_end(s, t);
	if (i == PENDING && json_text(created).p && (!s->oldest || strcmp(created->s, s->oldest) < 0)) {
		free(s->oldest);
		s->oldest = xstrdup(created->s);
	}
}

static void
see_worker(void *arg, struct buf *b, const struct json *worker)
{
	struct state *s = arg;
	int i = place_of(worker_states, LEN(worker_states), json_gets(worker, "status"));

	(void)b;
	if (i >= 0)
		s->worker[i]++;
}

/* Shows see all tasks or workers, of one status where that is given. */
static int
look(const struct context *x, struct client *c, struct state *s, enum api api, const char *status,
    void (*see)(void *arg, struct buf *b, const struct json *v))
{
	struct rows_put put = {see, s};
	struct rows rows = {0};
	struct select sel;
	int rc;

	select_init(&sel, api);
	sel.text.status = status;
	select_sort(&sel, NULL, NULL);
	rc = select_rows(x, c, &sel, &put, &rows);
	rows_free(&rows);
	select_free(&sel);
	return rc;
}

/* The counts of obj under the words' names. */
static void
read_counts(const struct json *obj, const char *const *words, size_t n, int64_t *out)
{
	for (size_t i = 0; i < n; i++)
		if (!obj || !json_gets(obj, words[i]) || json_int(json_gets(obj, words[i]), &out[i]) < 0)
			out[i] = 0;
}

/* Both rates of a kind are right in their way: the last minute's is of now, the hour's is not by chance. */
static double
read_rate(const struct json *rates, const char *kind)
{
	const struct json *v = rates ? json_gets(rates, kind) : NULL;
	double minute = v ? json_num(json_gets(v, "minute")) : 0, hour = v ? json_num(json_gets(v, "hour")) : 0;

	return minute > hour ? minute : hour;
}

/* What our own server knows by itself: v is its answer. */
static int
take_stats(const struct context *x, struct client *c, struct state *s, const struct json *v)
{
	const char *created;
	int rc = look(x, c, s, API_TASK_SEARCH, task_states[RUNNING], see_task);

	read_counts(json_gets(v, "tasks"), task_states, LEN(task_states), s->task);
	read_counts(json_gets(v, "workers"), worker_states, LEN(worker_states), s->worker);
	s->rate = read_rate(json_gets(v, "rates"), "succeeded") + read_rate(json_gets(v, "rates"), "failed");
	created = json_text(json_gets(json_gets(v, "oldest_pending"), "created_at")).p;
	s->oldest = created ? xstrdup(created) : NULL;
	return rc;
}

/* 1: there are none, as on other servers. */
static int
read_stats(const struct context *x, struct client *c, struct state *s)
{
	struct call *k;
	int rc = 1;

	if (!client_ours(c))
		return 1;
	k = call_new(API_STATS);
	if (!client_run(c, k) && k->doc) {
		rc = take_stats(x, c, s, k->doc->root);
	} else if (k->status != 404) {   /* an older one of ours */
		ask_fail(x, &k->err);
		rc = -1;
	}
	call_free(k);
	return rc;
}

static int
read_state(const struct context *x, struct client *c, struct state *s)
{
	int rc;

	*s = (struct state){.rate = -1, .d = json_new()};
	s->running = json_mkarr(s->d);
	s->d->root = json_mkobj(s->d);
	rc = read_stats(x, c, s);
	if (rc <= 0)
		return rc;
	if (look(x, c, s, API_TASK_SEARCH, NULL, see_task) < 0 || look(x, c, s, API_WORKER_SEARCH, NULL, see_worker) < 0)
		return -1;
	if (s->nended > 1 && s->ended[s->nended - 1] > s->ended[0])
		s->rate = (s->nended - 1) * 60 * SECOND / (double)(s->ended[s->nended - 1] - s->ended[0]);
	return 0;
}

/* Seconds until all is done; below 0: unknown. */
static double
remaining(const struct state *s)
{
	int64_t todo = s->task[PENDING] + s->task[RUNNING];
	double left;

	if (!todo)
		return 0;
	if (!s->task[RUNNING] || !(s->rate > 0))
		return -1;
	left = (double)todo * 60 / s->rate;
	return left < 1e9 ? left : -1;
}

/* ---- as JSON ---- */

static void
put_counts(struct json_doc *d, const char *key, const char *const *words, size_t n, const int64_t *v)
{
	struct json *obj = json_mkobj(d);

	for (size_t i = 0; i < n; i++)
		json_sets(d, obj, words[i], json_mkint(d, v[i]));
	json_sets(d, d->root, key, obj);
}

static void
put_json(struct buf *b, struct state *s)
{
	double left = remaining(s);
	struct json_doc *d = s->d;
	char end[32];

	put_counts(d, "tasks", task_states, LEN(task_states), s->task);
	put_counts(d, "workers", worker_states, LEN(worker_states), s->worker);
	json_sets(d, d->root, "oldest_pending", s->oldest ? json_mkstr(d, str_of(s->oldest)) : json_mknull(d));
	json_sets(d, d->root, "rate", s->rate >= 0 ? json_mkdouble(d, s->rate) : json_mknull(d));
	json_sets(d, d->root, "remaining", left >= 0 ? json_mkint(d, (int64_t)left) : json_mknull(d));
	date_iso(end, sys_wall() + (int64_t)left * SECOND);
	json_sets(d, d->root, "end", left >= 0 ? json_mkstr(d, str_of(end)) : json_mknull(d));
	json_sets(d, d->root, "running", s->running);
	out_json(b, d->root);
}

/* ---- for people ---- */

/* 35s, 12m05s, 3h07m, 2d03h. */
static void
put_span(struct buf *b, int64_t s)
{
	if (s < 60)
		buf_printf(b, "%lds", (long)(s < 0 ? 0 : s));
	else if (s < 3600)
		buf_printf(b, "%ldm%02lds", (long)(s / 60), (long)(s % 60));
	else if (s < 86400)
		buf_printf(b, "%ldh%02ldm", (long)(s / 3600), (long)(s % 3600 / 60));
	else
		buf_printf(b, "%ldd%02ldh", (long)(s / 86400), (long)(s % 86400 / 3600));
}

/* "2 active, 1 crashed": what there is none of is left out where few says so. */
static void
put_words(struct buf *b, const char *what, const char *const *words, size_t n, const int64_t *v, bool few)
{
	const char *comma = "";

	buf_printf(b, "%-9s", what);
	for (size_t i = 0; i < n; i++) {
		if (few && !v[i] && i)
			continue;
		buf_printf(b, "%s%ld %s", comma, (long)v[i], words[i]);
		comma = ", ";
	}
	buf_addc(b, '\n');
}

static void
put_pace(struct buf *b, const struct state *s)
{
	double left = remaining(s);
	time_t end = (time_t)(sys_wall() / SECOND + (int64_t)left);
	struct tm tm = {.tm_mday = 1};
	char text[40];

	if (s->rate > 0)
		buf_printf(b, "%-9s%.*f tasks a minute\n", "rate", s->rate < 10, s->rate);
	if (!(left > 0))
		return;
	buf_printf(b, "%-9sin about ", "done");
	put_span(b, (int64_t)left);
	tzset();   /* localtime_r need not */
	localtime_r(&end, &tm);
	strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
	buf_printf(b, ", %s\n", text);
}

static void
cell(struct table *t, const struct json *row, const char *key)
{
	const struct json *v = json_gets(row, key);

	table_cell(t, v && v->s ? (struct str){v->s, v->len} : str_of("-"));
}

static void
put_running(struct buf *b, const struct state *s)
{
	struct table t = {.columns = 5};
	const struct json *r = s->running->head;
	struct buf age = {0};
	int n = 0;

	if (!r)
		return;
	for (const char *const *head = (const char *const[]){"running", "name", "since", "age", "worker", NULL}; *head; head++)
		table_cell(&t, str_of(*head));
	for (; r && n < SHOWN; r = r->next, n++) {
		int64_t seconds;

		cell(&t, r, "task_id");
		cell(&t, r, "task_name");
		cell(&t, r, "start_time");
		buf_clear(&age);
		if (!json_int(json_gets(r, "age"), &seconds))
			put_span(&age, seconds);
		table_cell(&t, age.len ? (struct str){age.p, age.len} : str_of("-"));
		cell(&t, r, "worker_id");
	}
	buf_addc(b, '\n');
	table_print(b, &t, isatty(1) ? sys_columns(1) : 0, tty_colour());
	if (r)
		buf_printf(b, "and %ld more: labtasker task ls -s running\n", (long)s->running->len - n);
	table_free(&t);
	buf_free(&age);
}

static void
put_text(struct buf *b, const struct state *s, const struct client *c)
{
	buf_printf(b, "%-9s%s\n", "server", client_url(c));
	put_words(b, "tasks", task_states, LEN(task_states), s->task, false);
	put_words(b, "workers", worker_states, LEN(worker_states), s->worker, true);
	if (s->oldest) {
		buf_printf(b, "%-9spending since ", "oldest");
		buf_visible(b, str_of(s->oldest), " ");
		buf_addc(b, '\n');
	}
	put_pace(b, s);
	put_running(b, s);
}

/* Over what stands on the screen: each line ends by clearing what was behind it, and the last what was below. */
static void
repaint(struct buf *b)
{
	static bool first = true;
	struct buf out = {0};

	buf_adds(&out, first ? "\033[2J\033[H" : "\033[H");
	first = false;
	for (const char *p = b->p; *p; p++) {
		if (*p == '\n')
			buf_adds(&out, "\033[K");
		buf_addc(&out, *p);
	}
	buf_adds(&out, "\033[J");
	buf_free(b);
	*b = out;
}

static int
show(const struct context *x, struct client *c, const struct args *a)
{
	struct state s;
	struct buf b = {0};
	int rc = read_state(x, c, &s) < 0 ? EXIT_REFUSED : 0;

	if (!rc && a->val[JSON].num)
		put_json(&b, &s);
	else if (!rc)
		put_text(&b, &s, c);
	if (!rc && a->val[WATCH].num && !a->val[JSON].num && isatty(1))
		repaint(&b);
	if (out_end(&b))
		rc = EXIT_REFUSED;
	free(s.oldest);
	json_free(s.d);
	return rc;
}

int
cmd_status(struct context *x, struct args *a)
{
	double every = a->val[EVERY].real;
	struct client *c;
	int rc;

	c = ask_open(x, false, true, &rc);
	if (!c)
		return rc;
	while (!(rc = show(x, c, a)) && a->val[WATCH].num)
		poll(NULL, 0, every < 0.1 ? 100 : every > 3600 ? 3600000 : (int)(every * 1000));
	client_close(c);
	return rc;
}
