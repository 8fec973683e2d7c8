/* SPDX-License-Identifier: MIT */
/*
 * The worker's room: one loop that fetches, runs and reports; a job per task; a guard that outlives the loop only to kill what it
 * left behind.
 *
 * Order of use: guard, rundir, job, loop.
 */
#ifndef WORKER_H
#define WORKER_H

#include "../labtasker.h"

/* ---- guard.c: no orphan outlives its loop (OURS 5) ------------------------------------------------------------- */

/* A small process, one per loop, in a group of its own, deaf to TERM, INT and HUP.  It holds the reading end of a pipe whose
 * records are one pid_t each: p > 0 "the group p was started" (the child itself writes it before exec), p < 0 "strike -p off"
 * (written before its leader is reaped).  When all writing ends are closed it reads the rest and kills the groups it still holds. */
struct guard;
struct guard *guard_start(struct err *e);
int guard_fd(const struct guard *g);                        /* for sys_spawn's notify */
void guard_hold(struct guard *g, pid_t pgid);               /* our own note of what the child said, for guard_check */
void guard_strike(struct guard *g, pid_t pgid);
int guard_check(struct guard *g, struct err *e);            /* starts it anew, with the groups still held, if it has died */
void guard_stop(struct guard *g);                           /* a clean end: nothing is held any more */

/* ---- rundir.c: the run directory and its files (SPEC 4, 5) ------------------------------------------------------- */

struct rundir {
	char *path;                /* absolute */
	int log;                   /* run.log, for appending */
	char state;                /* private: where the filter of ANSI sequences is */
	bool said;                 /* private: a failed write was said */
};
/* Makes the directory of one run with task_info.json, run.log and heartbeat.lock.  -1 with err; nothing is left then. */
int rundir_make(struct rundir *d, const char *root, const struct json *task, int64_t wall, struct err *e);
/* Appends output to run.log without ANSI sequences, whatever the split. */
void rundir_log(struct rundir *d, const char *p, size_t n);
/* Writes NAME.json through a temporary: "status", "summary". */
int rundir_put(struct rundir *d, const char *name, const struct json *v, struct err *e);
void rundir_close(struct rundir *d);                        /* removes heartbeat.lock, closes */

/* ---- job.c: one process group with its pipes ------------------------------------------------------------------------ */

struct job;
struct job_spec {
	char *const *argv, *const *envp;
	int in;                    /* the job's stdin; -1: /dev/null */
	struct guard *guard;
};
/* Starts it.  NULL with err.code = errno: it could not be started (the task fails, as a shell would say 126 or 127).  Owned. */
struct job *job_start(const struct job_spec *s, struct err *e);
void job_free(struct job *j);                               /* only after job_ended */
pid_t job_pid(const struct job *j);
enum { JOB_FDS = 2 };
struct pollfd;
int job_fds(const struct job *j, struct pollfd *fds);
/* Reads what is there (bounded a call) and hands it on: which is 1 or 2. */
void job_read(struct job *j, const struct pollfd *fds, int n, void (*out)(void *arg, int which, const char *p, size_t n), void *arg);
void job_signal(struct job *j, int sig);                    /* to its whole group */
/* After SIGCHLD: true when the leader has ended and what it wrote has been read; *status as waitpid's.  A grandchild that keeps the
 * output open does not hold it.  The group's remains are killed, the guard struck, the leader reaped.  While it is false for
 * output not yet read, poll says POLLIN: call it again after each job_read. */
bool job_ended(struct job *j, int *status);

/* ---- loop.c: fetch, run, report ------------------------------------------------------------------------------------- */

struct loop_opts {
	char **argv;               /* the command's words, or NULL */
	const char *text;          /* else the text for a shell */
	const char *executable;    /* NULL: /bin/sh */
	const struct json *filter; /* extra_filter, or NULL */
	const char *worker_id;     /* --worker-id, or NULL */
	const char *eta_max;       /* or NULL */
	double heartbeat_timeout;  /* 0: three times the interval */
	int pty;                   /* -1 by itself, 0 never, 1 always */
	bool stdin_job;            /* --stdin: our stdin is the job's */
	bool verbose;
	double grace;              /* seconds between TERM and KILL; 0: 20 */
	const struct conf *conf;
	struct client *client;
};
int worker_loop(const struct loop_opts *o);                 /* an exit status of OURS 6 */

#endif
