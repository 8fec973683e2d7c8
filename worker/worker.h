/* SPDX-License-Identifier: MIT */
/*
 * The worker's room: one loop that fetches, runs and reports; a job per task; a guard that outlives the loop only to kill what it
 * left behind.  The sections stand in the order of use (DESIGN).
 */
#ifndef WORKER_H
#define WORKER_H

#include "../labtasker.h"

#include <termios.h>

/* ---- guard.c: no orphan outlives its loop (OURS 5) --------------------------------------------------------------- */

/* A small process, one per loop, in a group of its own, deaf to TERM, INT, HUP, USR1 and USR2.  It holds the reading end of a pipe
 * whose records are one pid_t each: p > 0 "the group p was started" (the child itself writes it before exec), p < 0 "strike -p
 * off" (written before its leader is reaped).  When all writing ends are closed it reads the rest and kills the groups it still
 * holds. */
struct guard;
struct guard *guard_start(struct err *e);
int guard_fd(const struct guard *g);                        /* for sys_spawn's notify */
void guard_hold(struct guard *g, pid_t pgid);               /* our own note of what the child said, for guard_check */
void guard_strike(struct guard *g, pid_t pgid);
int guard_check(struct guard *g, struct err *e);            /* starts it anew, with the groups still held, if it has died */
void guard_orphans(const struct guard *g);                  /* as PID 1: reaps what others have left to us, up to one of our own */
void guard_stop(struct guard *g);                           /* a clean end: nothing is held any more */

/* ---- rundir.c: the run directory and its files (SPEC 4, 5) ------------------------------------------------------- */

struct rundir {
	char *path;                /* absolute */
	char *keep;                /* where it goes when it is kept; NULL: it stays where it is */
	int log;                   /* run.log, for appending */
	bool raw;                  /* the log is not filtered */
	int64_t left;              /* bytes that the log may still grow; -1: any */
	char state;                /* private: where the filter of ANSI sequences is */
	bool said;                 /* private: a failed write was said */
};
struct rundir_opts {
	const char *root;          /* .labtasker, absolute or not */
	const char *dir;           /* where the directories of runs go; NULL: root/logs/run */
	const char *slot;          /* not NULL: runs share the directory of this name, and rundir_keep gives one its own */
	bool raw;                  /* run.log keeps ANSI sequences */
	int64_t max;               /* bytes of run.log; 0: any */
};
/* Makes the directory of one run with task_info.json, run.log and heartbeat.lock.  -1 with err; nothing is left then. */
int rundir_make(struct rundir *d, const struct rundir_opts *o, const struct json *task, int64_t wall, struct err *e);
void rundir_keep(struct rundir *d);           /* a slot's directory becomes this run's own; where it cannot, this run has none any more */
void rundir_clear(const struct rundir_opts *o, const char *slot);   /* removes a slot's directory */
/* Appends output to run.log, without ANSI sequences unless raw, whatever the split. */
void rundir_log(struct rundir *d, const char *p, size_t n);
/* Writes NAME.json through a temporary: "status", "summary". */
int rundir_put(struct rundir *d, const char *name, const struct json *v, struct err *e);
/* Reads NAME.json, at most max bytes.  NULL with err: code ENOENT when it is not there.  Owned. */
struct json_doc *rundir_get(const struct rundir *d, const char *name, size_t max, struct err *e);
bool rundir_beats(const struct rundir *d);                  /* heartbeat.lock is still there, or the directory closed */
void rundir_close(struct rundir *d);                        /* removes heartbeat.lock, closes */

/* ---- term.c: our terminal, and one for a job --------------------------------------------------------------------- */

struct term {
	int fd;                    /* 0 when our stdin is a terminal whose foreground we are; else -1 */
	bool changed;
	struct termios saved;
};
void term_init(struct term *t);
void term_keys(struct term *t);                               /* each key as it comes, Ctrl-C too, without echo */
void term_restore(struct term *t);
/* A new terminal with the modes of ours, where that is one (ours may be NULL), and the size of what terminal we have.  Its master's
 * descriptor, the slave's path in slave and its descriptor in other; -1 with err. */
int pty_open(const struct term *ours, char *slave, size_t n, int *other, struct err *e);
void pty_size(int fd);                                      /* the size may have changed */

/* ---- prompt.c: a question with a countdown, pure ----------------------------------------------------------------- */

enum { PROMPT_SECONDS = 10 };
struct question {
	const char *text;
	const char *answer[2];     /* the default first; each begins with its key */
};
struct prompt {
	const struct question *q;
	int64_t end;
	int at, answer, escape;
};
void prompt_begin(struct prompt *p, const struct question *q, int64_t now);
void prompt_keys(struct prompt *p, const char *s, size_t n);
int prompt_answer(struct prompt *p, int64_t now);           /* 0 or 1; -1: none yet */
int64_t prompt_line(struct prompt *p, struct buf *b, int64_t now);   /* the line to show; when the next is due */

/* ---- job.c: one process group with its pipes, or its terminal ---------------------------------------------------- */

struct job;
struct job_spec {
	char *const *argv, *const *envp;
	const char *dir;           /* its working directory; NULL: ours */
	int in;                    /* the job's stdin; -1: /dev/null */
	bool pty;                  /* a terminal of its own for all three; pipes where none can be had */
	const struct term *tty;
	struct guard *guard;
};
struct job_usage {
	bool known;                /* the system tells it for each child */
	double user, system;       /* seconds */
	int64_t memory;            /* peak, KiB */
};
/* Starts it.  NULL with err.code = errno: it could not be started (the task fails, as a shell would say 126 or 127).  Owned. */
struct job *job_start(const struct job_spec *s, struct err *e);
void job_free(struct job *j);                               /* only after job_ended */
pid_t job_pid(const struct job *j);
enum { JOB_FDS = 2 };
struct pollfd;
int job_fds(const struct job *j, struct pollfd *fds);
/* Reads what is there (bounded a call) and hands it on: which is 1 or 2. */
typedef void job_out(void *arg, int which, const char *p, size_t n);
void job_read(struct job *j, const struct pollfd *fds, int n, job_out *out, void *arg);
void job_signal(struct job *j, int sig);                    /* to its whole group */
bool job_over(const struct job *j);                         /* the leader was reaped, output may be left: ask job_ended soon */
bool job_good(const struct job *j);                         /* it is over, with exit status 0 */
int job_pty(const struct job *j);                           /* its terminal's master; -1: it has pipes */
bool job_mute(const struct job *j);                         /* its stdout has ended */
/* After SIGCHLD: true when the leader has ended and what it wrote has been read; *status as waitpid's.  A grandchild that keeps the
 * output open does not hold it.  The group's remains are killed, the guard struck, the leader reaped.  While it is false for
 * output not yet read, poll says POLLIN: call it again after each job_read. */
bool job_ended(struct job *j, int *status, struct job_usage *u);

/* ---- pipe.c: one job for many tasks (--pipe) --------------------------------------------------------------------- */

struct pipe;
struct pipe *pipe_new(void);                                /* without a process; owned */
void pipe_free(struct pipe *p);                             /* only while none lives */
bool pipe_lives(const struct pipe *p);
bool pipe_idle(const struct pipe *p);                       /* it lives and has no task */
int pipe_start(struct pipe *p, const struct job_spec *s, struct err *e);     /* as job_start; in and pty of s do not count */
/* Hands it a task, without waiting: its job, which lives until pipe_ended.  Until pipe_leave only the caller calls what follows. */
struct job *pipe_send(struct pipe *p, const struct json *task, const char *log_dir);
enum { PIPE_FDS = JOB_FDS + 1 };
/* As job_fds, its output only if it is to be read; lowers wake to when pipe_ended, or pipe_rest and pipe_end, are due. */
int pipe_fds(const struct pipe *p, struct pollfd *fds, bool read, int64_t *wake);
void pipe_read(struct pipe *p, const struct pollfd *fds, int n, job_out *out, void *arg);
/* 1: the task's result has come, owned: an object with a right status; to be asked for once.  0: not yet.  -1 with err: what came
 * is no result, or none can come, for its stdout ended a second ago; the process is killed. */
int pipe_result(struct pipe *p, const struct json *task, struct json_doc **result, struct err *e);
/* As job_ended.  again: it has not read the task, which may be given to another process. */
bool pipe_ended(struct pipe *p, int *status, bool *again);
void pipe_leave(struct pipe *p);                            /* the task is done with */
void pipe_rest(struct pipe *p);                             /* of one that is idle: takes note of its end */
/* The loop ends: its stdin ends; after the grace it gets TERM, then KILL; each new urgency brings the next of them at once.  True
 * when none lives. */
bool pipe_end(struct pipe *p, int urgency, int64_t grace, int64_t now);

/* ---- recipe.c: a command with its %(...), pure ------------------------------------------------------------------- */

struct recipe;
/* argv: words that are filled in place; NULL: text is run by shell (NULL: /bin/sh).  All are borrowed.  NULL with err (EXIT_USAGE;
 * line, col) on a bad template, and two lines in caret that show the place.  Owned. */
struct recipe *recipe_new(char *const *argv, const char *text, const char *shell, struct err *e, struct buf *caret);
void recipe_free(struct recipe *r);
bool recipe_names(const struct recipe *r);                  /* it has %(...) in it */
/* The name whose value the words hand to a shell's -c, which would run it as text; NULL: none. */
const char *recipe_shell_value(const struct recipe *r);
struct json *recipe_required(const struct recipe *r, struct json_doc *d);   /* required_fields: a list of names */
struct json *recipe_cmd(const struct recipe *r, struct json_doc *d);        /* the task's cmd: the words, or the text */
/* The words for a task, for recipe_unfill to free.  NULL with err: the value of a name is missing, null or cannot be quoted. */
char **recipe_fill(const struct recipe *r, const struct json *args, struct err *e);
void recipe_unfill(char **argv);

/* ---- sink.c: our stdout and stderr, which may be slow ------------------------------------------------------------ */

struct sink {
	int fd;
	bool file;                 /* writing to it never waits for anybody */
	bool gone;                 /* nobody reads it any more: what is put is dropped */
	bool said;                 /* private: that a write failed */
	struct buf kept;           /* not written yet: poll for POLLOUT, then sink_flush */
	struct foot *foot;         /* NULL: none */
};
struct foot {                  /* a line that stays below what is put, at a terminal: one for all that is put there */
	struct sink *on;           /* NULL: there is none */
	bool shown;
	bool middle;               /* private: what was put ends within a line */
};
void sink_init(struct sink *s, int fd);
bool sink_full(const struct sink *s);                       /* put no more before a flush has helped */
void sink_put(struct sink *s, const char *p, size_t n);     /* never waits; takes the foot away */
/* Shows the line, which begins with \r and clears what is behind it, if that can be done at once and nothing is hurt; "" takes it
 * away. */
void sink_foot(struct foot *f, struct str line);
void sink_flush(struct sink *s);
void sink_end(struct sink *s, int64_t until);               /* waits until all is written, at most until then (mono); frees */

/* ---- progress.c: how far the loop is, as a line for a terminal, pure --------------------------------------------- */

struct slope {                 /* private */
	bool known;
	int64_t at[2], n[2], when, last;
};
struct progress {              /* {0}; the numbers of the loop are set before each line */
	int64_t running, done, failed, pending;
	struct slope ended, left;
};
/* The server's counts; where they never come the line has none. */
void progress_queue(struct progress *p, int64_t pending, int64_t running, int64_t now);
/* Adds the line as sink_foot takes it, below columns wide (0: any); to be asked for at least every few seconds. */
void progress_line(struct progress *p, struct buf *b, int64_t now, int columns);

/* ---- run.c: one task from its fetch to its report (OURS 5) ------------------------------------------------------- */

enum fail_rule { FAIL_ASK, FAIL_REPORT, FAIL_IGNORE };
struct client;
struct run_env {               /* what the runs of a loop share; outlives them */
	struct client *client;
	const struct conf *conf;
	const struct recipe *recipe;
	struct guard *guard;
	struct sink *sink;         /* two */
	const struct term *tty;
	char *const *environ;
	const char *worker;        /* its id */
	struct rundir_opts logs;   /* slot: how the names of slots' directories begin where only failed runs keep one; else NULL */
	struct pipe *const *pipe;  /* one a slot: whose process is the job of all tasks there; NULL: each has its own */
	const char *chdir;         /* where jobs run; NULL: here */
	const char **slot_env;     /* NAME=v0,v1,...: slot k's jobs get NAME=vk */
	int slot_envs;
	int in;                    /* the job's stdin; -1: /dev/null */
	bool pty;
	bool prefix;               /* lines of output begin with the slot */
	int64_t grace;             /* microseconds between asking a job to end and killing it */
	int64_t time_limit;        /* microseconds; 0: none */
	int warn_signal;           /* 0: none */
	enum fail_rule on_failure;
	const bool *requeue_exit, *fail_exit;   /* 256 each, by exit status */
	double heartbeat_timeout;  /* seconds, as asked for in fetches */
	bool keep_lost;            /* a job whose task is lost may finish */
	bool verbose;
};
struct run_result {
	bool ended;                /* its job has ended, and what is reported is decided */
	bool done, failed, back;   /* reported as success or failed, handed back */
	bool inactive;             /* our worker was suspended meanwhile */
	bool broken;               /* the run directory could not be made */
	bool dropped, left;        /* the report was refused for good; the server could not be told in time */
};
struct run;
struct run_start {
	const char *token;         /* the fetch's; "": none */
	int slot;
	int64_t wall, mono;
	bool back;                 /* run nothing, hand it back */
};
/* Begins a run of the task in a fetch's answer (doc, taken).  NULL with err: that is no task.  Owned. */
struct run *run_new(const struct run_env *env, struct json_doc *doc, const struct run_start *how, struct err *e);
void run_free(struct run *r);                               /* only after run_step was true */
bool run_step(struct run *r, int64_t now);                  /* moves what can move; true: over */
enum { RUN_FDS = PIPE_FDS };
int run_fds(const struct run *r, struct pollfd *fds, int64_t *wake);   /* as job_fds; lowers wake to when run_step is due */
void run_read(struct run *r, const struct pollfd *fds, int n);
int64_t run_due(const struct run *r);                       /* mono: when its next heartbeat is; INT64_MAX: none */
/* Sends it if half of the interval is over, so that the heartbeats of all runs fall into one round and stay there. */
void run_beat(struct run *r, int64_t now);
/* The loop ends, and calls are given up after the grace.  The job is warned first where there is a warning signal, gets TERM and
 * then KILL; or TERM; or KILL now. */
enum run_urgency { STOP_WARN, STOP_TERM, STOP_KILL };
void run_stop(struct run *r, enum run_urgency u, int64_t now);
void run_signal(struct run *r, int sig);                    /* to the job's group */
bool run_leads(const struct run *r);                        /* that has the foreground of the job's own terminal */
bool run_asks(const struct run *r);                         /* it waits for run_answer: report the failure, or hand back */
void run_answer(struct run *r, bool report, int64_t now);
bool run_busy(const struct run *r);                         /* its job lives */
bool run_fresh(struct run *r);                              /* once, when it has ended */
int run_slot(const struct run *r);
int run_pty(const struct run *r);                           /* its terminal's master; -1 */
const char *run_task(const struct run *r);
const struct run_result *run_result(const struct run *r);

/* ---- loop.c: fetch, run, report ---------------------------------------------------------------------------------- */

#define LOOP_FOREVER 1e15          /* seconds */
struct loop_opts {
	const struct recipe *recipe;
	const struct json *filter; /* extra_filter, or NULL */
	const char *worker_id;     /* --worker-id, or NULL */
	const char *worker_name;   /* or NULL */
	int64_t worker_retries;    /* max_retries of a worker that we make */
	const char *eta_max;       /* or NULL */
	const char **require;      /* more required fields */
	int requires;
	bool allow_extra;          /* "*": args may have more than is required */
	double heartbeat_timeout;  /* seconds; 0: three times the interval */
	int pty;                   /* -1 by itself, 0 never, 1 always */
	bool pipe;                 /* --pipe: a slot has one job for all its tasks */
	bool stdin_job;            /* --stdin: our stdin is the job's */
	bool plain;                /* no prefixes with -j */
	bool fail_only;            /* failed runs only keep their directories */
	double start_jitter;       /* seconds, at most, before the first fetch */
	double wait;               /* seconds of an empty queue that are waited out; 0: end at once; LOOP_FOREVER: never end */
	int64_t max_tasks;         /* 0: any number */
	int64_t max_failures;      /* in a row; 0: any number */
	int64_t until;             /* wall: the end of our time; 0: none */
	double min_left;           /* seconds before it in which nothing is fetched */
	int slots;                 /* -j: jobs side by side */
	struct run_env env;        /* conf, client, recipe and what the options say; the rest is the loop's */
};
int worker_loop(const struct loop_opts *o);                 /* an exit status of OURS 6 */
struct json *loop_required(const struct loop_opts *o, struct json_doc *d);   /* required_fields of its fetches */
void loop_advise(const struct loop_opts *o);                /* says what a command will do that may not be meant */

#endif
