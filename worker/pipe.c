/* SPDX-License-Identifier: MIT */
/*
 * One process that is the job of many tasks (--pipe; PROTOCOL has what goes over it).  A task's line is written to its stdin as
 * that takes it; of its stdout, lines that begin with { are results, all else is output.  Who breaks the rules is killed: what
 * such a process says later could be taken for the result of another task.
 *
 * We keep the reading end of its stdin, too: so a process that has ended tells whether it had looked at its last task.
 */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	RESULT_MAX = 16 << 20,     /* what a server takes */
	MUTE = 1                   /* seconds from the end of its stdout to its own */
};

struct pipe {
	struct job *job;           /* NULL: none lives */
	int in[2];                 /* its stdin; in[1] is -1 once it was closed */
	struct buf out;            /* of the task's line: not written yet */
	size_t line;               /* length of that line */
	int64_t tasks;             /* that this process got */
	bool busy;                 /* a task is with it */
	bool astray;               /* it has broken the rules, and is being killed */
	enum { FRESH, TEXT, RESULT } at;   /* in a line of its stdout */
	struct buf got;            /* the result's line */
	bool whole;                /* that has come whole */
	bool ending;
	int urgency;
	int sig;                   /* while it ends: the next signal */
	int64_t sig_at;            /* and when */
	int64_t mute_at;           /* mono: it has closed its stdout and may live until then; 0: it has not */
};

struct pipe *
pipe_new(void)
{
	struct pipe *p = xcalloc(1, sizeof *p);

	p->in[0] = p->in[1] = -1;
	return p;
}

static void
shut(struct pipe *p, int i)
{
	if (p->in[i] >= 0)
		close(p->in[i]);
	p->in[i] = -1;
}

void
pipe_free(struct pipe *p)
{
	if (!p)
		return;
	shut(p, 0);
	shut(p, 1);
	buf_free(&p->out);
	buf_free(&p->got);
	free(p);
}

bool
pipe_lives(const struct pipe *p)
{
	return p->job != NULL;
}

bool
pipe_idle(const struct pipe *p)
{
	return p->job && !p->busy;
}

void
pipe_leave(struct pipe *p)
{
	p->busy = false;
}

int
pipe_start(struct pipe *p, const struct job_spec *s, struct err *e)
{
	struct job_spec spec = *s;

	if (sys_pipe(p->in) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	sys_nonblock(p->in[1], true);
	spec.in = p->in[0];
	spec.pty = false;
	p->job = job_start(&spec, e);
	if (!p->job) {
		shut(p, 0);
		shut(p, 1);
		return -1;
	}
	p->tasks = 0;
	p->sig = 0;
	p->mute_at = 0;
	p->astray = p->ending = false;
	p->at = FRESH;
	return 0;
}

/* What the process takes without our waiting.  One that has ended takes nothing: job_ended will tell. */
static void
flush(struct pipe *p)
{
	while (p->out.len && !p->astray) {
		ssize_t n = write(p->in[1], p->out.p, p->out.len);

		if (n <= 0)
			return;
		buf_drop(&p->out, (size_t)n);
	}
}

struct job *
pipe_send(struct pipe *p, const struct json *task, const char *log_dir)
{
	struct json_doc *d = json_new();
	struct json *v = json_copy(d, task);

	json_settext(d, v, "log_dir", log_dir);
	buf_clear(&p->out);
	json_print(&p->out, v, JSON_ASCII);
	buf_addc(&p->out, '\n');
	json_free(d);
	p->line = p->out.len;
	buf_clear(&p->got);
	p->whole = false;
	p->busy = true;
	p->tasks++;
	flush(p);
	return p->job;
}

int
pipe_fds(const struct pipe *p, struct pollfd *fds, bool read, int64_t *wake)
{
	bool all = read || (p->ending && job_over(p->job));   /* who reads nothing any more may not hold up the loop's end */
	int n = all ? job_fds(p->job, fds) : 0;

	if (p->out.len && !p->astray)
		fds[n++] = (struct pollfd){.fd = p->in[1], .events = POLLOUT};
	if (job_over(p->job))
		*wake = all ? 0 : *wake;   /* the rest of its output */
	else if (p->ending && p->sig_at < *wake)
		*wake = p->sig_at;
	else if (p->mute_at && !p->astray && p->mute_at < *wake)
		*wake = p->mute_at;
	return n;
}

static void
stray(struct pipe *p)
{
	p->astray = true;
	if (p->job)
		job_signal(p->job, SIGKILL);
}

/* Where the caller's output goes. */
struct out {
	struct pipe *pipe;
	job_out *put;
	void *arg;
};

/* The start of a result; a second one, or one without a task, is against the rules. */
static void
begin_result(struct pipe *p)
{
	p->at = RESULT;
	if (p->busy && !p->whole)
		return;
	if (!p->astray)
		warn("loop: --pipe: process %ld: a line with { that is no task's result: it is killed, and started anew for the next task",
		    (long)job_pid(p->job));
	stray(p);
}

static void
add_result(struct pipe *p, const char *s, size_t n, bool ends)
{
	if (!p->astray) {
		buf_add(&p->got, s, n);
		p->whole = ends || p->got.len > RESULT_MAX;
	}
	if (ends)
		p->at = FRESH;
}

static void
split(void *arg, int which, const char *s, size_t n)
{
	struct out *o = arg;
	struct pipe *p = o->pipe;

	if (which == 2) {
		o->put(o->arg, which, s, n);
		return;
	}
	while (n) {
		const char *nl = memchr(s, '\n', n);
		size_t k = nl ? (size_t)(nl - s) + 1 : n, blank = 0;

		if (p->at == FRESH) {
			while (blank < k && (s[blank] == ' ' || s[blank] == '\t'))
				blank++;
			if (blank == k || s[blank] != '{')
				p->at = blank == k ? FRESH : TEXT;
			else
				begin_result(p);
		}
		if (p->at == RESULT) {
			add_result(p, s, k, nl != NULL);
		} else {
			o->put(o->arg, which, s, k);
			p->at = nl ? FRESH : p->at;
		}
		s += k;
		n -= k;
	}
}

void
pipe_read(struct pipe *p, const struct pollfd *fds, int n, job_out *out, void *arg)
{
	struct out o = {p, out, arg};

	flush(p);
	job_read(p->job, fds, n, split, &o);
}

static int
check_result(const struct json *v, const struct json *task, struct err *e)
{
	const struct json *status = json_gets(v, "status"), *summary = json_gets(v, "summary"), *id = json_gets(v, "task_id");

	if (!json_is(status, "success") && !json_is(status, "failed"))
		return err_set(e, 1, "its \"status\" is neither \"success\" nor \"failed\"");
	if (summary && summary->type != JSON_OBJ && summary->type != JSON_NULL)
		return err_set(e, 1, "its \"summary\" is no object");
	if (id && !json_eq(id, json_gets(task, "task_id")))
		return err_set(e, 1, "its \"task_id\" is another task's");
	return 0;
}

/* Whether it lives on without its stdout, and so will never tell of its task. */
static bool
silent(struct pipe *p)
{
	if (!p->job || !job_mute(p->job) || p->ending)
		return false;
	if (!p->mute_at)
		p->mute_at = sys_mono() + MUTE * SECOND;
	return sys_mono() >= p->mute_at;
}

int
pipe_result(struct pipe *p, const struct json *task, struct json_doc **result, struct err *e)
{
	struct err why = {0};
	size_t shown;

	*result = NULL;
	if (!p->whole) {
		if (!silent(p))
			return 0;
		stray(p);
		return err_set(e, 1, "It has closed its stdout and lives on, so no result can come");
	}
	if (p->got.len > RESULT_MAX)
		err_set(&why, 1, "it is longer than %d MiB", RESULT_MAX >> 20);
	else
		*result = json_parse(p->got.p, p->got.len, &why);
	if (*result && !check_result((*result)->root, task, &why))
		return 1;
	json_free(*result);
	*result = NULL;
	stray(p);
	shown = strcspn(p->got.p, "\n");
	return err_set(e, 1, "A line on stdout begins with { and is no result: %s: %.*s", why.msg, shown > 100 ? 100 : (int)shown,
	    p->got.p);
}

/* Whether the process, which has ended, has left the line of its last task alone. */
static bool
untouched(struct pipe *p)
{
	size_t left = p->out.len;
	char skip[4096];
	ssize_t n;

	sys_nonblock(p->in[0], true);
	while (left < p->line && (n = sys_read(p->in[0], skip, sizeof skip)) > 0)
		left += (size_t)n;
	return left == p->line;
}

bool
pipe_ended(struct pipe *p, int *status, bool *again)
{
	struct job_usage u;

	if (!job_ended(p->job, status, &u))
		return false;
	if (p->at == RESULT && p->busy && !p->astray)
		p->whole = true;   /* its last line lacked the newline */
	*again = p->busy && (p->tasks > 1 || p->astray) && !p->whole && untouched(p);
	job_free(p->job);
	p->job = NULL;
	shut(p, 0);
	shut(p, 1);
	buf_clear(&p->out);
	return true;
}

void
pipe_rest(struct pipe *p)
{
	pid_t pid = job_pid(p->job);
	bool ours = p->astray || p->sig == SIGKILL, again;
	int status;

	if (pipe_ended(p, &status, &again) && status && !ours)
		warn("loop: --pipe: process %ld: it ended without a task, %s %d", (long)pid,
		    WIFEXITED(status) ? "exit status" : "by signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

bool
pipe_end(struct pipe *p, int urgency, int64_t grace, int64_t now)
{
	if (!p->job)
		return true;
	if (!p->ending) {
		p->ending = true;
		p->urgency = 0;
		p->sig = SIGTERM;
		p->sig_at = now + grace;
		shut(p, 1);
		buf_clear(&p->out);
	}
	if (urgency > p->urgency) {
		p->urgency = urgency;
		p->sig_at = now;
	}
	if (now >= p->sig_at) {
		job_signal(p->job, p->sig);
		job_signal(p->job, SIGCONT);
		p->sig = SIGKILL;
		p->sig_at = now + grace;
	}
	return false;
}
