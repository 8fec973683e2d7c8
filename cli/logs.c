/* SPDX-License-Identifier: MIT */
/*
 * labtasker logs: what jobs printed, from the run directories of this file system (SPEC 4), without a server; and their removal,
 * for which the server is asked, so that only those of tasks that have ended go.  A run directory's name ends in _idID_rdHEX and
 * begins with its time, so names in order are runs in order.
 */
#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLLOW, FAILED, PATH, PRUNE, END, CHUNK = 64 << 10, BEAT = 200, MAX_INFO = 32 << 20 };
enum { TAIL = sizeof "_id00000000-0000-4000-8000-000000000000_rd00000000" - 1, TIME = sizeof "run_t0000-00-00-00-00-00" - 1 };

const struct opt logs_opts[] = {
	[FOLLOW] = {"-f --follow", OPT_FLAG, NULL, "go on while the run goes on; wait for it where there is none yet", NULL},
	[FAILED] = {"--failed", OPT_FLAG, NULL, "of all tasks whose last run here has failed", NULL},
	[PATH] = {"--path", OPT_FLAG, NULL, "print the run's directory instead of its log", NULL},
	[PRUNE] = {"--prune", OPT_TEXT, "OLDER", "remove run directories that are older (30d, 12h) and whose task has ended", NULL},
	[END] = {0}
};

struct run {
	char *path;
	const char *name;          /* in path */
	char id[37];               /* of its task */
};
struct runs {
	struct run *run;
	size_t n;
};

static char *
file_of(const struct run *r, const char *name)
{
	return xprintf("%s/%s", r->path, name);
}

static bool
has_file(const struct run *r, const char *name)
{
	char *path = file_of(r, name);
	bool there = !access(path, F_OK);

	free(path);
	return there;
}

/* A JSON file of the run; NULL when it is not there or no object.  Owned. */
static struct json_doc *
read_file(const struct run *r, const char *name)
{
	char *path = file_of(r, name);
	struct buf b = {0};
	struct json_doc *d = sys_slurp(path, MAX_INFO, &b, NULL) < 0 ? NULL : json_parse(b.p, b.len, NULL);

	buf_free(&b);
	free(path);
	return d;
}

/* The text of a member of one of its files.  Owned; NULL when there is none. */
static char *
read_text(const struct run *r, const char *name, const char *key)
{
	struct json_doc *d = read_file(r, name);
	struct str s = json_text(d ? json_gets(d->root, key) : NULL);
	char *text = s.p ? xstrdup(s.p) : NULL;

	json_free(d);
	return text;
}

static bool
failed(const struct run *r)
{
	char *status = read_text(r, "status.json", "status");
	bool is = status && !strcmp(status, "failed");

	free(status);
	return is;
}

/* Runs in order of time; within one second by when their tasks were started. */
static int
by_time(const void *a, const void *b)
{
	const struct run *x = a, *y = b;
	int order = strncmp(x->name, y->name, TIME);
	char *s, *t;

	if (order)
		return order;
	s = read_text(x, "task_info.json", "start_time");
	t = read_text(y, "task_info.json", "start_time");
	order = s && t ? strcmp(s, t) : 0;
	free(s);
	free(t);
	return order ? order : strcmp(x->name, y->name);
}

static void
add_run(struct runs *l, const char *dir, const char *name)
{
	size_t n = strlen(name);
	const char *tail = n >= TIME + TAIL ? name + n - TAIL : NULL;
	unsigned char id[16];
	struct run *r;

	if (!tail || strncmp(name, "run_t", 5) != 0 || memcmp(tail, "_id", 3) != 0 || uuid_parse((struct str){tail + 3, 36}, id) < 0)
		return;
	if ((l->n & (l->n - 1)) == 0)   /* a power of two is full */
		l->run = xrealloc(l->run, (l->n ? 2 * l->n : 1) * sizeof *l->run);
	r = &l->run[l->n++];
	r->path = xprintf("%s/%s", dir, name);
	r->name = r->path + strlen(dir) + 1;
	uuid_print(id, r->id);
}

static void
free_runs(struct runs *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->run[i].path);
	free(l->run);
	*l = (struct runs){0};
}

/* All run directories, in order of time.  -1 with err: they cannot be looked at. */
static int
find_runs(const struct context *x, struct runs *l, struct err *e)
{
	char *dir = xprintf("%s/logs/run", x->conf->root);
	DIR *d = opendir(dir);
	int rc = d || errno == ENOENT ? 0 : err_set(e, EXIT_REFUSED, "%s: %s", dir, strerror(errno));

	*l = (struct runs){0};
	for (struct dirent *i; d && (i = readdir(d));)
		add_run(l, dir, i->d_name);
	if (d)
		closedir(d);
	if (l->n)
		qsort(l->run, l->n, sizeof *l->run, by_time);
	free(dir);
	return rc;
}

/* The last run of a task (id NULL: of any); NULL: none. */
static const struct run *
last_of(const struct runs *l, const char *id)
{
	for (size_t i = l->n; i-- > 0;)
		if (!id || !strcmp(l->run[i].id, id))
			return &l->run[i];
	return NULL;
}

/* ---- showing ---- */

/* What is in the log from where it was read last. */
static int
copy_out(int fd)
{
	struct buf b = {0};
	ssize_t n;
	int rc = 0;

	do {
		buf_reserve(&b, CHUNK);
		n = sys_read(fd, b.p, CHUNK);
		b.len = n > 0 ? (size_t)n : 0;
	} while (n > 0 && !(rc = out_flush(&b)));
	buf_free(&b);
	return n < 0 || rc < 0 ? -1 : 0;
}

static int
show_log(const struct run *r, bool follow, struct err *e)
{
	char *path = file_of(r, "run.log");
	int fd = open(path, O_RDONLY | O_NOCTTY), rc;
	bool live;

	if (fd < 0) {
		rc = err_set(e, EXIT_REFUSED, "%s: %s", path, strerror(errno));
		free(path);
		return rc;
	}
	do {
		live = follow && has_file(r, "heartbeat.lock");
		rc = copy_out(fd);
	} while (!rc && live && poll(NULL, 0, BEAT) >= 0);
	close(fd);
	free(path);
	return rc < 0 ? err_set(e, EXIT_REFUSED, "%s: it cannot be read to its end", r->path) : 0;
}

/* head: says whose it is, where it is one of several. */
static int
show_run(const struct run *r, const struct args *a, bool head, struct err *e)
{
	struct buf b = {0};
	int rc;

	if (a->val[PATH].num)
		buf_printf(&b, "%s\n", r->path);
	else if (head)
		buf_printf(&b, "==> %s %.19s <==\n", r->id, r->name + 5);
	rc = out_flush(&b);
	buf_free(&b);
	if (rc < 0)
		return err_set(e, EXIT_REFUSED, "it could not be written");
	return a->val[PATH].num ? 0 : show_log(r, a->val[FOLLOW].num, e);
}

/* Those of the words; of all tasks with --failed alone; else the last run of all. */
static int
show_runs(const struct context *x, const struct args *a, struct err *e)
{
	bool only_failed = a->val[FAILED].num, follow = a->val[FOLLOW].num, said = false;
	struct runs l;
	int rc = find_runs(x, &l, e);

	for (int i = 0; !rc && i < (a->nword ? a->nword : !only_failed); i++) {
		const struct run *r;

		while (!(r = last_of(&l, a->nword ? a->word[i] : NULL)) && follow && !rc) {
			if (!said)
				warn("logs: no run here yet: waiting for one; Ctrl-C ends it");
			said = true;
			poll(NULL, 0, BEAT);
			free_runs(&l);
			rc = find_runs(x, &l, e);
		}
		if (!r && !rc)
			rc = err_set(e, EXIT_REFUSED, "no run %s%s%sunder %s/logs/run: it may run later, or have run on another file "
			    "system", a->nword ? "of " : "", a->nword ? a->word[i] : "", a->nword ? " " : "", x->conf->root);
		else if (r && (!only_failed || failed(r)))
			rc = show_run(r, a, a->nword > 1, e);
	}
	for (size_t i = 0; !rc && only_failed && !a->nword && i < l.n; i++)
		if (last_of(&l, l.run[i].id) == &l.run[i] && failed(&l.run[i]))
			rc = show_run(&l.run[i], a, true, e);
	free_runs(&l);
	return rc;
}

/* ---- pruning ---- */

/* A duration that may also be of days or weeks, in seconds. */
static int
parse_age(const char *text, double *seconds)
{
	size_t n = strlen(text);
	double unit = n && text[n - 1] == 'd' ? 86400 : n && text[n - 1] == 'w' ? 7 * 86400 : 0;

	if ((unit > 0 ? parse_float((struct str){text, n - 1}, seconds) : parse_duration(str_of(text), seconds)) < 0)
		return -1;
	if (unit > 0)
		*seconds *= unit;
	return *seconds >= 0 ? 0 : -1;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)f;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

/* A run that is over, is that old, and belongs to this queue. */
static bool
prunable(const struct run *r, const char *queue_id, int64_t before, size_t *foreign)
{
	struct stat st;
	char *queue;
	bool is;

	if (lstat(r->path, &st) < 0 || (int64_t)st.st_mtime >= before)
		return false;
	queue = read_text(r, "task_info.json", "queue_id");
	is = queue && !strcmp(queue, queue_id);
	*foreign += !is;
	free(queue);
	return is;
}

/* Of n runs, one of each task in ids, removes those whose task is neither pending nor running. */
static int
remove_ended(const struct context *x, struct client *c, struct run *const *run, const struct select *ids, size_t n, size_t *gone)
{
	const struct json *v[SELECT_PAGE] = {0};
	struct call *k = NULL;
	int rc = select_page(x, c, ids, 0, v, &k) < 0 ? EXIT_REFUSED : 0;

	for (size_t i = 0; !rc && i < n; i++) {
		const struct json *status = json_gets(v[i], "status");

		if (json_is(status, "pending") || json_is(status, "running"))
			continue;
		if (nftw(run[i]->path, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0) {
			warn("logs: %s: %s", run[i]->path, strerror(errno));
			rc = EXIT_REFUSED;
		} else {
			(*gone)++;
		}
	}
	call_free(k);
	return rc;
}

/* The runs of a page are asked for at once. */
static int
prune_runs(const struct context *x, struct client *c, struct runs *l, int64_t before)
{
	struct run *page[SELECT_PAGE];
	size_t gone = 0, foreign = 0, n = 0;
	struct select ids;
	int rc = 0;

	select_init(&ids, API_TASK_SEARCH);
	for (size_t i = 0; !rc && i <= l->n; i++) {
		if (i < l->n && prunable(&l->run[i], client_queue_id(c), before, &foreign)) {
			select_id(&ids, str_of(l->run[i].id), "run", NULL);
			page[n++] = &l->run[i];
		}
		if (n == SELECT_PAGE || (n && i == l->n)) {
			rc = remove_ended(x, c, page, &ids, n, &gone);
			n = ids.nid = 0;
		}
	}
	select_free(&ids);
	warn("logs: %lu run directories removed, %lu left", (unsigned long)gone, (unsigned long)(l->n - gone));
	if (foreign)
		warn("logs: %lu old ones belong to other queues, and were left", (unsigned long)foreign);
	return rc;
}

static int
prune(const struct context *x, const struct args *a, struct err *e)
{
	struct client *c;
	struct runs l;
	double age;
	int rc;

	if (parse_age(a->val[PRUNE].text, &age) < 0)
		return err_set(e, EXIT_USAGE, "Invalid value for --prune: '%s': it must be an age (30d, 12h, 90m)", a->val[PRUNE].text);
	if (a->nword || a->val[FOLLOW].num || a->val[FAILED].num || a->val[PATH].num)
		return err_set(e, EXIT_USAGE, "--prune goes with nothing else");
	c = ask_open(x, false, true, &rc);
	if (!c)
		return rc;
	rc = find_runs(x, &l, e);
	if (!rc)
		rc = prune_runs(x, c, &l, sys_wall() / SECOND - (int64_t)(age < 1e9 ? age : 1e9));
	free_runs(&l);
	client_close(c);
	return rc;
}

int
cmd_logs(struct context *x, struct args *a)
{
	struct err e = {0};
	unsigned char id[16];
	int rc;

	for (int i = 0; i < a->nword; i++)
		if (uuid_parse(str_of(a->word[i]), id) < 0)
			err_set(&e, EXIT_USAGE, "Invalid value: '%s' is no task's id", a->word[i]);
	if (e.code)
		return ask_fail(x, &e);
	rc = a->val[PRUNE].given ? prune(x, a, &e) : show_runs(x, a, &e);
	return e.code ? ask_fail(x, &e) : rc;
}
