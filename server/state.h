/* SPDX-License-Identifier: MIT */
/*
 * The state in memory, shared by queue.c (which keeps it), show.c (which prints and searches it) and live.c (the changes that
 * requests ask for), in this order of use.  What a record tells is changed by queue.c's apply functions only; all others read.
 *
 * Dicts and cmd are compact JSON texts, parsed only when needed; NULL stands for the text beside it.  Times are wall clock unless
 * they say mono; NONE is null.
 */
#ifndef STATE_H
#define STATE_H

#include "server.h"

#define NONE INT64_MIN

/* The first member of all that is found by its id. */
struct node {
	struct node *chain;
	uuid id;
};
struct table {
	struct node **slot;
	size_t mask, n;
};

/* What records tell of a task: the image of the whole, or, beside the set of its members, of a change. */
struct task_data {
	int64_t seq;               /* order of creation in the store */
	int64_t created, modified, start, beat;
	int64_t task_timeout;      /* seconds or NONE */
	int64_t max_retries, retries, priority;
	double heartbeat_timeout;  /* seconds or NAN */
	uuid worker;               /* all 0: null; may name a worker that was deleted */
	const char *name;          /* NULL: null; the plain text */
	const char *args, *metadata, *summary;   /* NULL: {} */
	const char *cmd;           /* NULL: null; "" is the text "\"\"" */
	enum status status;
};

struct task {
	struct node node;
	struct queue *queue;
	struct task *next, *prev;                /* tasks of the queue, by seq */
	struct task *next_peer, *prev_peer;      /* tasks of the queue in this state, in no order */
	struct worker *owner;                    /* the worker of that id, while there is one */
	struct task *next_owned, *prev_owned;    /* tasks of the owner */
	struct shape *shape;                     /* while pending: which index it is in */
	struct task *left, *right, *up;          /* its place there, see queue.c */
	size_t heap;                             /* its place among the deadlines, 0: none */
	int64_t mono_start, mono_beat;           /* when running: of start and beat */
	struct run *run;                         /* while running under a token */
	struct task_data v;
};

struct worker_data {
	int64_t seq, created, modified, retries, max_retries;
	const char *name;          /* NULL: null */
	const char *metadata;      /* NULL: {} */
	enum wstatus status;
};

struct worker {
	struct node node;
	struct queue *queue;
	struct worker *next, *prev;              /* workers of the queue, by seq */
	struct task *owned;
	struct worker_data v;
};

struct queue_data {
	int64_t seq, created, modified;
	const char *name, *hash;
	const char *metadata;      /* NULL: {} */
};

struct queue {
	struct node node;
	struct store *store;
	char id[37];
	struct queue *same;                      /* the chain of its name */
	struct task *first, *last;               /* by seq: order of creation */
	struct worker *first_worker, *last_worker;
	struct task *in[TASK_STATES];            /* the first of each state: next_peer */
	size_t count[TASK_STATES];
	struct shapes *shapes;
	struct queue_data v;
};

/* A run begun under a token; after its end kept for a while with what ended it, or a task's id that was deleted. */
struct run {
	struct node node;          /* the token */
	struct task *task;         /* NULL: ended */
	uuid of;                   /* the task's id */
	int end;                   /* the status that was reported or set under the token, or END_OTHER */
	int64_t at;                /* when it ended */
	struct run *next, *prev;   /* the ended, by their end */
};
enum { END_OTHER = TASK_STATES };

struct tomb {
	struct node node;          /* the deleted task's id */
	int64_t at;
	struct tomb *next, *prev;
};

/* show.c: a task or worker as the document that filters and sorts look at.  Fields are made when they are asked for, ids as task_id
 * or worker_id and _id; what view_get (a match_get) gives lives until the next view_task, view_worker or view_free. */
struct view;
struct view *view_new(void);
void view_free(struct view *v);
void view_task(struct view *v, const struct task *t);
void view_worker(struct view *v, const struct worker *w);
const struct json *view_get(void *view, struct str name);

#endif
