/* SPDX-License-Identifier: MIT */
/*
 * labtasker loop: what to run, from one of four places (after --, -c, a script, standard input), and how; then the worker's loop
 * has it.
 */
#include "cli.h"
#include "../worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	COMMAND, SCRIPT, EXECUTABLE, FILTER, WORKER, WORKER_NAME, WORKER_RETRIES, ETA, TIMEOUT, REQUIRE, EXTRA, PIPE, SLOTS,
	SLOT_ENV, PLAIN, PTY, STDIN, CHDIR, LOG, LOG_MAX, LOG_DIR, LIMIT, FAILURE, REQUEUE, FAIL, WARN, GRACE, UNTIL, MIN_LEFT,
	WAIT, ONCE, MAX_TASKS, MAX_FAILURES, JITTER, KEEP, DRY, VERBOSE, END
};
enum { FILTERED, RAW, FAIL_ONLY };   /* the words of --log */
static const int64_t LAST = 253402300799;   /* seconds, the end of the year 9999: what is longer fits nowhere */
enum { SCRIPT_MAX = 16 << 20, SLOTS_MAX = 1024 };

const struct opt loop_opts[] = {
	[COMMAND] = {"-c --command --cmd", OPT_TEXT, "TEXT", "run TEXT with a shell instead of words after --", NULL},
	[SCRIPT] = {"--script-path", OPT_TEXT, "FILE", "run the text of FILE, with its %(...) filled in, with a shell", NULL},
	[EXECUTABLE] = {"--executable", OPT_TEXT, "SHELL", "the shell for -c and --script-path", "/bin/sh"},
	[FILTER] = {"-f --extra-filter", OPT_TEXT, "FILTER", "take only tasks that match: '\"a\" in list(metadata.tags)'", NULL},
	[WORKER] = {"--worker-id", OPT_TEXT, "ID", "run as this worker instead of a new one", NULL},
	[WORKER_NAME] = {"--worker-name", OPT_TEXT, "NAME", "the name of the new worker", NULL},
	[WORKER_RETRIES] = {"--worker-max-retries", OPT_INT, "N", "failures after which the new worker is crashed", "3"},
	[ETA] = {"--eta-max", OPT_DURATION, "DURATION", "a task that runs longer has failed (90, 1h30m)", NULL},
	[TIMEOUT] = {"--heartbeat-timeout", OPT_DURATION, "SECONDS",
	    "a task without heartbeat for so long has failed (default 3 intervals)", NULL},
	[REQUIRE] = {"--require", OPT_LIST, "NAME,...", "args that a task must have besides those that the command names", NULL},
	[EXTRA] = {"--allow-extra", OPT_FLAG, NULL, "take tasks too that have more args than are required", NULL},
	[PIPE] = {"--pipe", OPT_FLAG, NULL, "one job for many tasks: they come on its stdin, a line each, results on its stdout", NULL},
	[SLOTS] = {"-j --jobs", OPT_INT, "N", "run N jobs side by side", "1"},
	[SLOT_ENV] = {"--slot-env", OPT_LIST, "NAME=V,...", "jobs of slot k (from 0) get NAME with the k-th value", NULL},
	[PLAIN] = {"--no-prefix", OPT_FLAG, NULL, "with -j: show output without [slot] before each line", NULL},
	[PTY] = {"--[no-]use-pty", OPT_FLAG, NULL, "give the job a terminal of its own, or not (default: when stdout is one)", NULL},
	[STDIN] = {"--stdin", OPT_FLAG, NULL, "the job reads our standard input", NULL},
	[CHDIR] = {"--chdir", OPT_TEXT, "DIR", "run jobs in DIR", NULL},
	[LOG] = {"--log", OPT_CHOICE, "filter|raw|fail-only",
	    "keep each run.log without ANSI sequences, or raw; or only the directories of failed runs", "filter"},
	[LOG_MAX] = {"--log-max", OPT_TEXT, "SIZE", "the largest run.log: 64k, 10M, 1G", NULL},
	[LOG_DIR] = {"--log-dir", OPT_TEXT, "DIR", "make the directories of runs in DIR (default .labtasker/logs/run)", NULL},
	[LIMIT] = {"--time-limit", OPT_DURATION, "DURATION", "end a job that runs longer; its task has failed", NULL},
	[FAILURE] = {"--on-failure", OPT_CHOICE, "ask|report|ignore",
	    "what to do when a job fails; without a terminal ask is report", "ask"},
	[REQUEUE] = {"--requeue-exit", OPT_TEXT, "N,...", "exit statuses that hand the task back and charge nobody", NULL},
	[FAIL] = {"--fail-exit", OPT_TEXT, "N,...", "exit statuses that fail the task for good", NULL},
	[WARN] = {"--warn-signal", OPT_TEXT, "SIGNAL", "tell a job with SIGNAL (USR1) that it must end, before TERM", NULL},
	[GRACE] = {"--grace", OPT_DURATION, "SECONDS", "between asking a job to end and killing it", "20"},
	[UNTIL] = {"--until", OPT_TEXT, "TIME", "end before TIME (ISO 8601) or +DURATION; default: the end of the Slurm job", NULL},
	[MIN_LEFT] = {"--min-left", OPT_DURATION, "DURATION", "fetch nothing when less time is left (default: the grace)", NULL},
	[WAIT] = {"--wait", OPT_OPTIONAL, "[=IDLE]", "wait for tasks when there are none; with =IDLE end after so long without one",
	    NULL},
	[ONCE] = {"--once", OPT_FLAG, NULL, "run one task", NULL},
	[MAX_TASKS] = {"--max-tasks", OPT_INT, "N", "run at most N tasks", NULL},
	[MAX_FAILURES] = {"--max-failures", OPT_INT, "N", "end after N failures in a row", NULL},
	[JITTER] = {"--start-jitter", OPT_DURATION, "DURATION", "wait for a random part of it before the first task", NULL},
	[KEEP] = {"--keep-lost", OPT_FLAG, NULL, "let a job finish, unreported, whose task was cancelled or given to another", NULL},
	[DRY] = {"--dry-run", OPT_FLAG, NULL, "print what would run, one command a line, and change nothing", NULL},
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
	if (a->val[EXECUTABLE].given && !*a->val[EXECUTABLE].text)
		return err_set(e, EXIT_USAGE, "--executable names no shell: leave it out for /bin/sh");
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

	if (a->val[PIPE].num && !a->nrest) {
		err_set(e, EXIT_USAGE, "--pipe: write the command as words: labtasker loop --pipe -- CMD...");
		return NULL;
	}
	if (find_command(a, &w, text, e) < 0)
		return NULL;
	r = recipe_new(w.argv, w.text, shell, &why, &caret);
	if (!r) {
		err_set(e, EXIT_USAGE, "command:%lu:%lu: %s", (unsigned long)why.line, (unsigned long)why.col, why.msg);
		fwrite(caret.p, 1, caret.len, stderr);
	} else if (a->val[PIPE].num && recipe_names(r)) {
		err_set(e, EXIT_USAGE, "--pipe: the command is for many tasks, so it takes no %%(...): the args come on its stdin");
		recipe_free(r);
		r = NULL;
	}
	buf_free(&caret);
	return r;
}

/* ---- the options' values ---- */

/* What the loop's options point to. */
struct lists {
	bool requeue[256], fail[256];
	const char **require;
	int requires;
	struct buf text;          /* the names of require, each ended by a 0 */
};

/* "75,143" to marks. */
static int
read_statuses(const char *option, const char *text, bool *mark, struct err *e)
{
	for (const char *p = text; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		struct str one = {p, strcspn(p, ",")};
		int64_t n;

		if (parse_int(one, &n) < 0 || n < 1 || n > 255)
			return err_set(e, EXIT_USAGE, "Invalid value for %s: '%s': it must be exit statuses from 1 to 255: 75,143",
			    option, text);
		mark[n] = true;
	}
	return 0;
}

/* --require a,b --require c */
static void
read_require(const struct optval *v, struct lists *l)
{
	size_t at = 0;

	for (int i = 0; i < v->nlist; i++) {
		buf_add(&l->text, v->list[i], strlen(v->list[i]) + 1);
		l->requires++;
	}
	for (size_t i = 0; i < l->text.len; i++) {
		l->requires += l->text.p[i] == ',';
		l->text.p[i] = l->text.p[i] == ',' ? 0 : l->text.p[i];
	}
	l->require = xcalloc((size_t)l->requires + 1, sizeof *l->require);
	for (int i = 0; i < l->requires; i++) {
		l->require[i] = l->text.p + at;
		at += strlen(l->text.p + at) + 1;
	}
}

static int
read_signal(const char *text, int *sig, struct err *e)
{
	static const struct {
		const char *name;
		int sig;
	} names[] = {{"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"INT", SIGINT}, {"HUP", SIGHUP}, {"QUIT", SIGQUIT}, {"TERM", SIGTERM},
	    {"ALRM", SIGALRM}, {"CONT", SIGCONT}};
	struct str name = str_of(text);
	int64_t n;

	if (!text)
		return 0;
	if (name.n > 3 && str_caseis((struct str){text, 3}, "SIG"))
		name = str_of(text + 3);
	for (size_t i = 0; i < LEN(names); i++)
		if (str_caseis(name, names[i].name))
			*sig = names[i].sig;
	if (!*sig && !parse_int(str_of(text), &n) && n > 0 && n < SIGNALS && n != SIGKILL && n != SIGSTOP)
		*sig = (int)n;
	return *sig ? 0 : err_set(e, EXIT_USAGE,
	    "Invalid value for --warn-signal: '%s': it must be a signal's name (USR1) or number", text);
}

/* "64k" */
static int
read_size(const char *text, int64_t *size, struct err *e)
{
	static const char units[] = "kMG";
	size_t n = text ? strlen(text) : 0;
	const char *unit = n ? strchr(units, text[n - 1] == 'K' ? 'k' : text[n - 1]) : NULL;
	struct str digits = {text, n - (unit && *unit ? 1 : 0)};

	if (!text)
		return 0;
	if (parse_int(digits, size) < 0 || *size < 1 || *size > 1 << 30)
		return err_set(e, EXIT_USAGE, "Invalid value for --log-max: '%s': it must be a size (64k, 10M, 1G)", text);
	*size <<= unit && *unit ? 10 * (unit - units + 1) : 0;
	return 0;
}

/* "+2h", or a time; without an option the end that Slurm has set. */
static int
read_until(const char *text, int64_t *wall, struct err *e)
{
	const char *slurm = getenv("SLURM_JOB_END_TIME");
	double seconds;
	int64_t n;
	bool zoned;

	if (!text) {
		if (slurm && !parse_int(str_of(slurm), &n) && n > 0 && n <= LAST)
			*wall = n * SECOND;
		return 0;
	}
	if (*text == '+' && !parse_duration(str_of(text + 1), &seconds) && seconds > 0 && seconds < (double)LAST)
		*wall = sys_wall() + (int64_t)(seconds * 1e6);
	else if (date_parse(str_of(text), wall, &zoned) < 0)
		return err_set(e, EXIT_USAGE, "Invalid value for --until: '%s': it must be +DURATION (+1h30m) or a time "
		    "(2026-01-31T18:00Z)", text);
	else if (!zoned)
		*wall = sys_from_local(*wall);
	return 0;
}

/* A slot without a value would have its jobs run with an empty one. */
static int
check_slot_env(const char *text, int64_t slots, struct err *e)
{
	const char *v = strchr(text, '=');
	int64_t n = 1;

	if (!v || v == text)
		return err_set(e, EXIT_USAGE, "Invalid value for --slot-env: '%s': it must be NAME=V0,V1,...", text);
	while ((v = strchr(v, ',')))
		n += *v++ == ',';
	return n < slots ? err_set(e, EXIT_USAGE, "Invalid value for --slot-env: '%s': %ld values for %ld slots (-j)", text, (long)n,
	    (long)slots) : 0;
}

/* Better now than with the first task, which would have failed. */
static int
check_dir(const char *dir, struct err *e)
{
	struct stat st;
	int rc = dir ? stat(dir, &st) : 0;

	if (dir && !rc && !S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		rc = -1;
	}
	if (dir && !rc)
		rc = access(dir, X_OK);
	return rc < 0 ? err_set(e, EXIT_USAGE, "Invalid value for --chdir: '%s': %s", dir, strerror(errno)) : 0;
}

/* The values that their kinds do not check, and what they come to. */
static int
read_values(const struct args *a, struct loop_opts *o, struct lists *l, struct err *e)
{
	static const int counts[] = {MAX_TASKS, MAX_FAILURES};
	unsigned char id[16];

	if (a->val[WORKER].text && uuid_parse(str_of(a->val[WORKER].text), id) < 0)
		return err_set(e, EXIT_USAGE, "Invalid value for --worker-id: '%s': it must be a worker's id", a->val[WORKER].text);
	if (a->val[WORKER_NAME].text && !name_valid(str_of(a->val[WORKER_NAME].text)))
		return err_set(e, EXIT_USAGE, "Invalid value for --worker-name: '%s': it must be [a-zA-Z0-9_-]{1,100}",
		    a->val[WORKER_NAME].text);
	if (a->val[TIMEOUT].given && !(a->val[TIMEOUT].real > 0))
		return err_set(e, EXIT_USAGE, "Invalid value for --heartbeat-timeout: it must be above 0");
	if (a->val[SLOTS].num < 1 || a->val[SLOTS].num > SLOTS_MAX)
		return err_set(e, EXIT_USAGE, "Invalid value for --jobs: it must be 1 to %d", SLOTS_MAX);
	if (a->val[PIPE].num && (a->val[STDIN].num || a->val[PTY].num))
		return err_set(e, EXIT_USAGE, "--pipe: its job has pipes for tasks and results: not with --stdin or --use-pty");
	if (a->val[SLOTS].num > 1 && a->val[STDIN].num)
		return err_set(e, EXIT_USAGE, "--stdin is for one job at a time: not with -j");
	for (int i = 0; i < a->val[SLOT_ENV].nlist; i++)
		if (check_slot_env(a->val[SLOT_ENV].list[i], a->val[SLOTS].num, e) < 0)
			return -1;
	for (size_t i = 0; i < LEN(counts); i++)
		if (a->val[counts[i]].given && a->val[counts[i]].num < 1)
			return err_set(e, EXIT_USAGE, "Invalid value for %s: it must be 1 or more", loop_opts[counts[i]].names);
	read_require(&a->val[REQUIRE], l);
	return check_dir(a->val[CHDIR].text, e) < 0 || read_statuses("--requeue-exit", a->val[REQUEUE].text, l->requeue, e) < 0 ||
	    read_statuses("--fail-exit", a->val[FAIL].text, l->fail, e) < 0 ||
	    read_signal(a->val[WARN].text, &o->env.warn_signal, e) < 0 || read_until(a->val[UNTIL].text, &o->until, e) < 0 ||
	    read_size(a->val[LOG_MAX].text, &o->env.logs.max, e) < 0 ? -1 : 0;
}

int
cmd_loop(struct context *x, struct args *a)
{
	const struct optval *v = a->val;
	struct lists l = {.requires = 0};
	struct loop_opts o = {
		.worker_id = v[WORKER].text, .worker_name = v[WORKER_NAME].text, .worker_retries = v[WORKER_RETRIES].num,
		.eta_max = v[ETA].text, .allow_extra = v[EXTRA].num, .heartbeat_timeout = v[TIMEOUT].real,
		.pty = v[PTY].given ? (int)v[PTY].num : -1, .pipe = v[PIPE].num, .stdin_job = v[STDIN].num, .plain = v[PLAIN].num,
		.fail_only = v[LOG].num == FAIL_ONLY, .start_jitter = v[JITTER].real,
		.wait = !v[WAIT].given ? 0 : v[WAIT].real < 0 ? LOOP_FOREVER : v[WAIT].real,
		.max_tasks = v[ONCE].num ? 1 : v[MAX_TASKS].num, .max_failures = v[MAX_FAILURES].num,
		.min_left = v[MIN_LEFT].given ? v[MIN_LEFT].real : v[GRACE].real, .slots = (int)v[SLOTS].num,
		.env = {.conf = x->conf, .logs = {.dir = v[LOG_DIR].text, .raw = v[LOG].num == RAW}, .chdir = v[CHDIR].text,
		    .slot_env = v[SLOT_ENV].list, .slot_envs = v[SLOT_ENV].nlist,
		    .grace = (int64_t)(v[GRACE].real * 1e6), .time_limit = (int64_t)(v[LIMIT].real * 1e6),
		    .on_failure = (enum fail_rule)v[FAILURE].num, .requeue_exit = l.requeue, .fail_exit = l.fail, .keep_lost = v[KEEP].num,
		    .verbose = v[VERBOSE].num}
	};
	struct json_doc *d = json_new();
	struct recipe *recipe = NULL;
	struct buf text = {0};
	struct err e = {0};
	int rc;

	if (read_values(a, &o, &l, &e) < 0 || ask_filter(d, v[FILTER].text, o.env.verbose, &o.filter, &e) < 0 ||
	    !(recipe = read_command(a, &text, &e))) {
		rc = ask_fail(x, &e);
		goto out;
	}
	o.require = l.require;
	o.requires = l.requires;
	o.env.recipe = recipe;
	o.env.client = v[DRY].num ? NULL : ask_open(x, true, true, &rc);
	if (v[DRY].num)
		rc = dryrun(x, &o);
	if (!o.env.client)
		goto out;
	rc = worker_loop(&o);
	client_close(o.env.client);
out:
	recipe_free(recipe);
	free(l.require);
	buf_free(&l.text);
	buf_free(&text);
	json_free(d);
	return rc;
}
