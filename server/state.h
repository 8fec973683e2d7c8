/* SPDX-License-Identifier: MIT */
/*
 * The state in memory, shared by index.c (which finds in it), record.c (its members), queue.c (which keeps it), show.c (which prints
 * and searches it), events.c (which tells of it), live.c (the changes that requests ask for), wait.c and stats.c, in this order of
 * use.  What a record tells is changed by queue.c's apply functions only; all others read.
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
	uuid id;
};
/* A table by id is many small ones, so that none takes long to grow. */
struct slot {
	uint64_t hash;
	struct node *node;         /* NULL: free */
};
struct segment {
	struct slot *slot;
	size_t mask, n;
};
struct table {
	struct segment segment[256];
	size_t n;
};

/* What records tell of a task: the image of the whole, or, beside the set of its members, of a change. */
struct task_data {
	int64_t seq;               /* order of creation in the store */
	int64_t created, modified, start, beat;
	int64_t task_timeout;      /* seconds or NONE */
	int64_t max_retries, retries, priority;
	double heartbeat_timeout;  /* seconds or NAN */
	uuid worker;               /* all 0: null; may name a worker that was deleted */
	const char *name;          /* NULL: null; the plain text, of a task that of its struct name */
	const char *args, *metadata, *summary;   /* NULL: {} */
	const char *cmd;           /* NULL: null; "" is the text "\"\"" */
	int status;
};

/* The tasks of a queue that have a name. */
struct name {
	struct node node;          /* by a digest of queue and name */
	struct named *first;
	size_t count;
	char text[];
};
/* One of them.  Most tasks have no name, and are the smaller for it. */
struct named {
	struct name *name;
	struct task *task;
	struct named *next, *prev;
};
/* Tasks in the order in which they are fetched. */
struct order {
	struct task *root, *first, *last;
};

struct task {
	struct node node;
	struct queue *queue;
	struct task *next, *prev;                /* tasks of the queue, by seq */
	struct task *next_peer, *prev_peer;      /* tasks of the queue in this state, in no order */
	struct worker *owner;                    /* the worker of that id, while there is one */
	struct task *next_owned, *prev_owned;    /* tasks of the owner */
	struct named *named;                     /* NULL: it has no name */
	struct shape *shape;                     /* while pending */
	struct task *left, *right, *up;          /* its place in the order of its shape while pending, else of its state */
	size_t heap;                             /* its place among the deadlines, 0: none */
	int64_t mono_start, mono_beat;           /* when running: of start and beat */
	struct run *run;                         /* while running under a token */
	struct task_data v;
};

struct worker_data {
	int64_t seq, created, modified, retries, max_retries;
	const char *name;          /* NULL: null */
	const char *metadata;      /* NULL: {} */
	int status;
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
	struct task *first, *last;               /* by seq: order of creation */
	struct worker *first_worker, *last_worker;
	struct task *in[TASK_STATES];            /* the first of each state: next_peer */
	size_t count[TASK_STATES], workers[WORKER_STATES];
	struct task *oldest;                     /* pending longest, unchanged; after a restart as the journal tells */
	struct shapes *shapes;                   /* of its pending tasks, in an order each */
	struct order order[TASK_STATES];         /* of the others */
	struct channel *channel;                 /* events.c's; NULL: not looked for yet */
	struct queue_data v;
};

/* A run begun under a token; after its end kept for a while with what ended it. */
struct run {
	struct node node;          /* the token */
	struct task *task;         /* NULL: ended */
	uuid of;                   /* the task's id */
	int end;                   /* the status that was reported or set under the token, or END_OTHER */
	int64_t at;                /* when it ended */
	struct run *next, *prev;   /* the ended, by their end */
};
enum { END_OTHER = TASK_STATES };

/* The id of a task that was deleted. */
struct tomb {
	struct node node;
	int64_t at;
	struct tomb *next, *prev;
};

struct due {
	int64_t at;                /* mono */
	struct task *task;
};

/* How far a dump has come: everything of the phases before, and in this one what stands before the pointer (NULL: all) of the
 * queue of this seq, and all of the queues before that. */
struct dump {
	struct buf *also;          /* NULL: none is open */
	enum { DUMP_QUEUES, DUMP_WORKERS, DUMP_TASKS, DUMP_RUNS, DUMP_TOMBS, DUMP_END } phase;
	int64_t queue, now;        /* now: mono */
	struct worker *worker;
	struct task *task;
	struct run *run;
	struct tomb *tomb;
};

struct store {
	unsigned char seed[16];
	struct table queues, workers, tasks, names, runs, tombs;
	struct queue **by_seq, **by_name;        /* all queues, queues.n of them, sorted */
	size_t queue_cap;
	struct run *first_run, *last_run;        /* the ended */
	size_t ended;
	struct tomb *first_tomb, *last_tomb;
	struct due *heap;                        /* from 1: the next deadline is on top */
	size_t deadlines, heap_cap;
	size_t running;
	uint64_t live;                           /* see store_live */
	int64_t seq;                             /* the last given */
	struct buf turn;
	size_t count;                            /* records in turn */
	struct dump dump;
	struct events *events;                   /* who is told of changes; NULL: nobody */
	bool watched;                            /* ids of tasks that become pending, or change while they are, go to ready */
	struct buf ready;                        /* 16 bytes each */
	struct buf text[5];                      /* for what an image points to: args, metadata, summary, cmd; name */
};

/* ---- index.c: how tasks are found ---- */

void *index_find(const struct store *s, const struct table *t, const uuid id);
void index_add(const struct store *s, struct table *t, struct node *n, const uuid id);
void index_remove(const struct store *s, struct table *t, struct node *n);
void index_free(struct table *t, bool nodes);

struct name *name_find(const struct store *s, const struct queue *q, struct str text);   /* NULL: no task has it */
void name_set(struct store *s, struct task *t, const char *text);    /* NULL: none; v.name is as it says then */

/* Orders are those of pending tasks of a shape and of other tasks of a state.  args: those of t parsed, or NULL. */
void order_enter(struct task *t, const struct json *args);
void order_leave(struct task *t);                                    /* as it is still; does nothing when it is in none */
bool order_before(const struct task *a, const struct task *b);
struct task *pending_first(const struct shape *s);

/* Several orders as one: where each has come to, a heap with the first at[0].  Or by the time of the last change, whatever the
 * priority: for that an order counts as one for each of its priorities. */
struct merge {
	struct task **at;
	size_t n, cap;
	bool timed, back;         /* back: the latest first */
};
void merge_add(struct merge *m, const struct order *x, size_t most); /* NULL: nothing.  Leaves out what makes n more than most */
bool merge_before(const struct merge *m, const struct task *a, const struct task *b);
void merge_step(struct merge *m);                                    /* on from at[0] */
void merge_free(struct merge *m);

void deadline_set(struct store *s, struct task *t);                  /* as what is known of t asks, or none */
void deadline_remove(struct store *s, struct task *t);

/* ---- record.c: the members of records ---- */

/* Members of images: those of a change are in its set. */
enum {
	M_SEQ = 1 << 0, M_NAME = 1 << 1, M_STATUS = 1 << 2, M_CREATED = 1 << 3, M_MODIFIED = 1 << 4, M_START = 1 << 5,
	M_BEAT = 1 << 6, M_TASK_TIMEOUT = 1 << 7, M_HEARTBEAT = 1 << 8, M_MAX_RETRIES = 1 << 9, M_RETRIES = 1 << 10,
	M_PRIORITY = 1 << 11, M_WORKER = 1 << 12, M_ARGS = 1 << 13, M_METADATA = 1 << 14, M_SUMMARY = 1 << 15,
	M_CMD = 1 << 16, M_RUN = 1 << 17, M_END = 1 << 18, M_HASH = 1 << 19, M_IN = 1 << 20, M_ALL = (1 << 21) - 1,
	M_USED = 1 << 21           /* only where a dump tells of a task that runs */
};
struct task_image {
	struct task_data v;
	int64_t in;                /* the seq of its queue */
	int64_t used;              /* microseconds for which it has run */
	uuid run;                  /* the token it runs under; all 0: none */
	int end;                   /* what ended the run it had: see struct run */
	unsigned set;
	const struct json *args;   /* v.args parsed, where that is at hand */
};
struct worker_image {
	struct worker_data v;
	int64_t in;
	unsigned set;
};
struct queue_image {
	struct queue_data v;
	unsigned set;
};
enum { INT, REAL, ID, TEXT, DICT, CMD, TASK_STATE, WORKER_STATE };
struct member {
	const char *name;          /* NULL ends a table */
	unsigned bit;
	int kind;
	size_t at;                 /* in the image */
	bool kept;                 /* in the entity's data too, at the same place */
};
extern const struct member record_task[], record_worker[], record_queue[];
void record_id(struct buf *b, const uuid id);
/* Appends the members in set, and the end of the record; of a whole one (M_SEQ) none that are null or {}. */
void record_put(struct buf *b, const struct member *m, unsigned set, const void *image);
/* Fills an image, and its set, from a record; texts live as long as that and until the next. */
int record_take(struct store *s, const struct member *m, const struct json *record, void *image, unsigned *set, struct err *e);
int record_state(const struct json *j, const char *const *names, int n, int *out);
/* Copies what is in set to an entity's data, which owns its texts. */
void record_copy(struct store *s, const struct member *m, unsigned set, void *data, const void *image);
void record_drop(struct store *s, const struct member *m, void *data);

/* ---- queue.c: changes ---- */

/* Each puts its record into the turn and makes the change.  Texts of the image are copied.  new: seq is given here. */
struct task *state_new_task(struct store *s, struct queue *q, const uuid id, struct task_image *im, struct now now);
void state_set_task(struct store *s, struct task *t, const struct task_image *im, struct now now);
void state_drop_task(struct store *s, struct task *t, struct now now);
struct worker *state_new_worker(struct store *s, struct queue *q, const uuid id, struct worker_image *im);
void state_set_worker(struct store *s, struct worker *w, const struct worker_image *im);
void state_drop_worker(struct store *s, struct worker *w, struct now now);
struct queue *state_new_queue(struct store *s, const uuid id, struct queue_image *im);
void state_set_queue(struct store *s, struct queue *q, const struct queue_image *im);
void state_drop_queue(struct store *s, struct queue *q, struct now now);
/* A heartbeat, which is no record. */
void state_beat(struct store *s, struct task *t, struct now now);

struct task *state_task(const struct store *s, const uuid id);       /* in any queue */
struct worker *state_worker(const struct store *s, const uuid id);
const struct run *state_run(const struct store *s, const uuid token);
const struct tomb *state_tomb(const struct store *s, const uuid id);

/* ---- show.c: what is seen ---- */

/* A task or worker as the document that filters and sorts look at.  Fields are made when they are asked for, ids as task_id or
 * worker_id and _id; what view_get (a match_get) gives lives until the view looks at another, or view_free. */
struct view;
struct view *view_new(void);                                         /* owned */
void view_free(struct view *v);
void view_task(struct view *v, const struct task *t);
const struct json *view_get(void *view, struct str name);
void show_task(struct buf *b, const struct task *t, const char *idkey);   /* with its id under that name */
/* Where to look for what a search or filter asks: among the tasks of the ids, names or states that it can only be of. */
struct source {
	size_t (*each)(struct queue *q, struct str text, void (*fn)(void *ctx, struct task *t), void *ctx);
	struct str one;                          /* else list: n texts, sorted */
	const struct json *const *list;
	size_t n, rows;                          /* rows: how many tasks there are */
};
void source_find(struct queue *q, const struct search *in, struct source *src);   /* the one of the fewest rows */
void source_each(struct queue *q, const struct source *src, void (*fn)(void *ctx, struct task *t), void *ctx);

/* ---- events.c: what was changed is told ---- */

enum { CREATED = -1 };     /* the state before the first */
/* t or w is as it is now, was its state before. */
void event_task(struct store *s, const struct task *t, int was, struct now now);
void event_worker(struct store *s, const struct worker *w, int was, struct now now);
void event_end(struct store *s, struct queue *q);                    /* the queue is deleted */

#endif
