/* SPDX-License-Identifier: MIT */
/*
 * The server's room: a state machine of queues, tasks and workers (queue.c, live.c) whose every change is a record, a journal that
 * keeps the records (journal.c), the API over both (api.c) and one poll loop (serve.c).
 *
 * A turn.  serve reads what has come; for each whole request api asks queue, which changes the state at once and appends the
 * change's record to store->turn.  At the end of the turn journal_commit writes and syncs that text; only then do answers leave.
 * Live changes and replay go through one function, queue_apply.
 *
 * The sections stand in the order of use (DESIGN); state.h has those that are this room's alone.
 */
#ifndef SERVER_H
#define SERVER_H

#include "../labtasker.h"

struct now {
	int64_t wall, mono;
};

/* The seams (OURS 4): everything outside that journal and serve touch.  Tests hand in another. */
struct os {
	void *ctx;
	int64_t (*wall)(void *ctx);
	int64_t (*mono)(void *ctx);
	void (*random)(void *ctx, void *p, size_t n);
	/* files, by path; fds are the seam's own; results and errno as the system's */
	int (*open)(void *ctx, const char *path, int flags, mode_t mode);
	ssize_t (*read)(void *ctx, int fd, void *p, size_t n);
	ssize_t (*write)(void *ctx, int fd, const void *p, size_t n);   /* may be short */
	int (*truncate)(void *ctx, int fd, int64_t size);
	int (*sync)(void *ctx, int fd);
	int64_t (*seek)(void *ctx, int fd, int64_t off, int whence);
	int (*close)(void *ctx, int fd);
	int (*rename)(void *ctx, const char *from, const char *to);
	int (*unlink)(void *ctx, const char *path);
	int (*syncdir)(void *ctx, const char *dir);
};
extern const struct os os_real;   /* serve.c */

/* ---- tree.c: key trees of args, each kept once, and "no more, no less" (SPEC 1.2), pure -------------------------- */

/* The shape of an args object: its keys and those of the objects under them, without values, order and arrays' insides.  Two args
 * with the same keys have the same shape, by pointer, so that pending tasks can be indexed by it. */
struct shapes;             /* a table of them */
struct shape {
	void *index;           /* the queue's: its pending tasks of this shape; NULL when new */
	struct shape *next, *prev;   /* all shapes of the table, in order of creation */
	/* private to tree.c */
	size_t refs;
	uint64_t hash;
	struct shape *chain;
	struct kin *kin;
	struct shape *next_kin, *prev_kin;
	struct str text;       /* canonical: see tree.c */
};
struct shapes *shapes_new(const unsigned char seed[16]);
void shapes_free(struct shapes *t);
struct shape *shapes_take(struct shapes *t, const struct json *args);   /* finds or makes it, one reference more; args NULL: {} */
void shapes_drop(struct shapes *t, struct shape *s);        /* one less; freed with the last */
struct shape *shapes_first(const struct shapes *t);
/* What a worker requires, from required_fields (a list of dotted paths, "*"), compiled.  NULL with err (400) when the list or a
 * path is bad.  required NULL, null or an empty list: every shape will do.  Owned. */
struct need;
struct need *need_new(const struct json *required, struct err *e);
void need_free(struct need *n);
/* Where "*" is required and a part is a number, a shape that has no keys there passes too: it may be a list. */
bool need_test(const struct need *n, const struct shape *s);
/* The shapes that will do, in no order, one after the other.  Without "*" none is looked at that has other keys at the top. */
struct shape *need_first(const struct need *n, struct shapes *t);
struct shape *need_next(const struct need *n, const struct shape *s);

/* ---- regex.c: regular expressions in linear time (SPEC 2), pure -------------------------------------------------- */

/* Perl's syntax without what is no regular language; see regex.c.  Text and pattern are UTF-8, characters are code points. */
struct regex;
/* options: any of i m s x.  NULL with err (400), pos the byte of the pattern that is wrong.  Owned. */
struct regex *regex_new(struct str pattern, struct str options, struct err *e);
void regex_free(struct regex *r);
/* Whether it matches somewhere in text.  Time is that of the text times that of the pattern, whatever they are; memory that of the
 * pattern.  *left is how many steps that may be, less those that were made; at 0 the answer means nothing.  Uses memory of r: not
 * for two threads. */
bool regex_test(struct regex *r, struct str text, uint64_t *left);

/* ---- value.c: kinds and order of values, times (SPEC 2), pure but for the local time ----------------------------- */

/* In MongoDB's order.  NULL is V_NULL; a time is a JSON_STR with tag TOML_DATETIME and text of date_iso. */
enum value_kind { V_MISSING, V_NULL, V_NUM, V_STR, V_OBJ, V_ARR, V_BOOL, V_DATE };
enum value_kind value_kind(const struct json *v);
extern const struct json value_missing;                     /* the V_MISSING */
/* Order of two values as MongoDB sorts them: < 0, 0, > 0. */
int value_compare(const struct json *a, const struct json *b);
uint64_t value_cost(const struct json *v);                  /* of comparing it, at most; in steps of a regex, about */
bool value_spend(uint64_t *left, uint64_t n);               /* n of what is left; false: nothing is */
/* A number: an integer that fits, a larger one (its digits are text), or else; d is set but for the first. */
struct number {
	enum { NUM_INT, NUM_BIG, NUM_REAL } form;
	int64_t i;
	double d;
	struct str text;
};
struct number value_number(const struct json *v);           /* of a V_NUM; text lives as long as v */
int value_compare_numbers(const struct number *a, const struct number *b);
int64_t value_time(const struct json *v);                   /* of a V_DATE: wall */
/* v, or where there is an {"_dt": ISO time} in it a copy with times instead, in *d (made when it is NULL; owned by the caller).
 * A time without zone is this machine's local one. */
const struct json *value_operand(struct json_doc **d, const struct json *v);

/* ---- calc.c: expressions ($expr), pure --------------------------------------------------------------------------- */

/* get(arg, name) gives the value of a top-level field, or NULL when it is missing. */
typedef const struct json *match_get(void *arg, struct str name);
struct calc;
/* Compiles an expression of at most *left terms, less those that it has.  NULL with err.code 400 and a message that names the
 * operator.  v must outlive it.  Owned. */
struct calc *calc_new(const struct json *v, size_t *left, struct err *e);
void calc_free(struct calc *c);
/* Whether it is true; -1: it cannot be reckoned on this document, or costs more than *left. */
int calc_test(const struct calc *c, match_get *get, void *arg, uint64_t *left);

/* ---- match.c: filters (SPEC 2) over JSON values, pure ------------------------------------------------------------ */

/* The document that a filter looks at: fields are asked for one by one, so that only what is used is made. */
struct match;
/* Compiles a MongoDB query document.  NULL with err.code 400 and a message that names the operator.  filter must outlive it.
 * Owned. */
struct match *match_new(const struct json *filter, struct err *e);
void match_free(struct match *m);
bool match_test(struct match *m, match_get *get, void *arg);
/* Drops what the filter asks of that field outside of $and and the like, as if it did not stand there. */
void match_drop(struct match *m, const char *field);
/* Whether the filter can hold only where that top-level field has one of the values in *list, sorted; it lives as long as m. */
bool match_pins(const struct match *m, const char *field, const struct json *const **list, size_t *n);
/* All tests of a filter together may cost so much and no more: -1 with err (400) when that was reached.  Then nothing matches. */
int match_spent(const struct match *m, struct err *e);
/* What MongoDB sorts a document by at a dotted path: the least of the values there, or with desc the greatest; NULL: nothing there.
 * text must outlive the path; NULL when it has too many parts.  Owned. */
struct match_path;
struct match_path *match_path_new(struct str text);
void match_path_free(struct match_path *p);
const struct json *match_key(const struct match_path *p, bool desc, match_get *get, void *arg);

/* ---- queue.c, show.c, live.c: the state machine (SPEC 1.1-1.3), pure --------------------------------------------- */

enum status { PENDING, RUNNING, SUCCESS, FAILED, CANCELLED, TASK_STATES };   /* tasks */
enum wstatus { ACTIVE, SUSPENDED, CRASHED, WORKER_STATES };
extern const char *const task_status[TASK_STATES], *const worker_status[WORKER_STATES];

typedef unsigned char uuid[16];
struct store;              /* all queues of a server */
struct queue;
struct task;
struct worker;

/* Where one of these takes an err: its code is the HTTP status, its msg the detail. */
struct store *store_new(void);                              /* owned */
void store_free(struct store *s);
/* The records of the turn so far: lines of PROTOCOL's journal section, each ending in a newline.  The journal takes them. */
struct buf *store_turn(struct store *s, size_t *count);

/* Replay: applies one record line (without newline) through the function that live changes use.  -1 with err: not a record. */
int queue_apply(struct store *s, const char *line, size_t n, struct now now, struct err *e);
/* After replay, for which now.mono was of another clock, and stopped its last moment: leases begin anew, run time used goes on. */
void queue_loaded(struct store *s, struct now now, int64_t stopped);
void queue_renew(struct store *s, struct now now);          /* leases begin anew: heartbeats could not be taken */
/* Compaction: queue_dump appends records of the next entities to b until max bytes; true when all are out.  From queue_dump_open
 * to queue_dump_close changes to what is already out are also appended to the buffer given. */
void queue_dump_open(struct store *s, struct buf *also);
bool queue_dump(struct store *s, struct buf *b, size_t max, struct now now);
void queue_dump_close(struct store *s);
uint64_t store_live(const struct store *s);                 /* bytes that a dump would take, about */

struct queue *queue_find(struct store *s, struct str name_or_id);
struct queue *queue_create(struct store *s, struct str name, const char *hash, const struct json *metadata, struct now now,
    struct err *e);
struct queue_update {
	struct str name;               /* p NULL: unchanged */
	const char *hash;              /* NULL: unchanged */
	const struct json *metadata;   /* NULL: unchanged; {} clears; else merged */
};
int queue_update(struct store *s, struct queue *q, const struct queue_update *u, struct now now, struct err *e);
void queue_delete(struct store *s, struct queue *q, struct now now);   /* with all that is in it */
const char *queue_hash(const struct queue *q);              /* the stored password hash */
const char *queue_id(const struct queue *q);                /* 36 characters; lives as long as q */
void queue_print(struct buf *b, const struct queue *q);     /* its members from "queue_id", with braces */

struct submit {
	struct str name;               /* p NULL: null */
	const struct json *args, *metadata, *cmd;   /* NULL: absent */
	double heartbeat_timeout;      /* NAN: null */
	bool has_task_timeout;
	int64_t task_timeout, max_retries, priority;
	const unsigned char *key;      /* the idempotency key, or NULL: id is taken from fresh */
	uuid fresh;                    /* a random id made by the caller */
};
/* The id of the task is put in *id, also on a replay of key.  -1: 400 conflict of keys, 409 key in use or deleted. */
int queue_submit(struct store *s, struct queue *q, const struct submit *in, struct now now, uuid id, struct err *e);

struct fetch {
	bool has_worker;
	uuid worker;
	bool has_eta, start_heartbeat;
	int64_t task_timeout;          /* from eta_max, rounded up; 0: unchanged */
	double heartbeat_timeout;      /* 0 or NAN: unchanged */
	const struct json *required;   /* list or NULL */
	struct match *filter;          /* or NULL */
	const struct json *cmd;        /* or NULL */
	const unsigned char *token;    /* the run's, or NULL */
};
/* 1 and *t, 0 nothing matches, -1 with err (400, 403, 404, 409). */
int queue_fetch(struct store *s, struct queue *q, const struct fetch *in, struct now now, struct task **t, struct err *e);

struct report {
	enum status status;            /* SUCCESS, FAILED or CANCELLED */
	bool has_worker;
	struct str worker;             /* as it was given: any text */
	const struct json *summary;    /* NULL: unchanged; {} clears; else merged */
	const unsigned char *run;      /* the run token, or NULL */
};
int queue_report(struct store *s, struct queue *q, struct str id, const struct report *in, struct now now, struct err *e);
int queue_heartbeat(struct store *s, struct queue *q, struct str id, struct str worker, const unsigned char *run, struct now now,
    struct err *e);
/* One update of PUT tasks: an object already checked for types.  reset: reset_pending. */
int queue_task_update(struct store *s, struct queue *q, const struct json *update, bool reset, const unsigned char *run,
    struct now now, struct task **t, struct err *e);
int queue_task_delete(struct store *s, struct queue *q, struct str id, struct now now, struct err *e);
struct task *queue_task(struct queue *q, struct str id);    /* NULL: none in this queue */
void queue_task_print(struct buf *b, const struct task *t);   /* the task as the API shows it */
/* Tasks that match, sorted, from offset, at most limit, printed into b as a JSON list.  How many, or -1 with err.  In the order of
 * fetching (priority down, last_modified up, created_at up) few tasks are looked at that stand behind the page. */
struct search {                        /* what is given replaces what the filter says of the same field */
	struct str id, name, status;   /* p NULL or n 0: any */
	struct match *filter;
	const struct json *sort;       /* [[field, 1|-1], ...] or NULL */
	int64_t offset, limit;
};
int64_t queue_search(struct queue *q, const struct search *in, struct buf *b, struct err *e);

struct worker *queue_worker(struct queue *q, struct str id);
int queue_worker_create(struct store *s, struct queue *q, struct str name, const struct json *metadata, int64_t max_retries,
    const uuid id, struct now now, struct err *e);
int queue_worker_set(struct store *s, struct queue *q, struct str id, enum wstatus st, struct now now, struct err *e);
int queue_worker_delete(struct store *s, struct queue *q, struct str id, bool cascade, struct now now, struct err *e);
void queue_worker_print(struct buf *b, const struct worker *w, const char *idkey);   /* idkey: "_id" or "worker_id" */
int64_t queue_worker_search(struct queue *q, const struct search *in, struct buf *b, struct err *e);

int64_t queue_due(const struct store *s);                   /* mono time of the next timeout, INT64_MAX when none */
void queue_expire(struct store *s, struct now now);         /* fails all that is overdue */
size_t queue_running(const struct store *s);                /* running tasks in all queues */

/* ---- events.c: state transitions, for those who listen (SPEC 1.4), and how many there were (OURS 1), pure -------- */

struct events;             /* of one server: they outlive its stores */
struct events *events_new(const uuid start, size_t keep);   /* start: of the ids; keep: so many a queue.  Owned */
void events_free(struct events *v);                         /* all listeners have left */
void events_attach(struct events *v, struct store *s);      /* from now on changes of s are told to v */
/* The turn's events are on disk and can be read, or never were. */
void events_settle(struct events *v, bool held, int64_t mono);
struct listener;
/* From now on, or behind last, a Last-Event-ID (n 0: none).  Owned; it may outlive its queue. */
struct listener *events_listen(struct events *v, struct queue *q, struct str last);
void events_leave(struct listener *l);                      /* NULL is fine */
bool events_over(const struct listener *l);                 /* the queue was deleted */
void events_hello(const struct listener *l, const uuid client, struct buf *b);   /* appends the first block */
bool events_next(struct listener *l, struct str *block);    /* the next block, which lives until events_settle; false: none yet */
size_t events_listeners(const struct events *v, const struct queue *q);   /* q NULL: in all */
enum tally {
	TALLY_SUBMITTED, TALLY_STARTED, TALLY_SUCCEEDED, TALLY_FAILED, TALLY_CANCELLED, TALLY_REQUEUED, TALLY_WORKERS,
	TALLIES
};
int64_t events_total(const struct events *v, const struct queue *q, enum tally kind);   /* since v began */
/* So many a minute, over the last minutes, 59 at most. */
double events_rate(const struct events *v, const struct queue *q, enum tally kind, int minutes, int64_t mono);

/* ---- wait.c: fetches that wait for a task (OURS 1), pure --------------------------------------------------------- */

struct waits;              /* of one server */
struct waits *waits_new(void);
void waits_free(struct waits *a);
struct wait;
/* For a fetch that found nothing, in this turn.  in and filter are copied.  Owned. */
struct wait *wait_new(struct waits *a, struct store *s, const struct queue *q, const struct fetch *in, const struct json *filter,
    int64_t until, void *who);
void wait_free(struct wait *w);                             /* NULL is fine */
bool wait_over(const struct wait *w, struct now now);
void wait_hasten(struct wait *w);                           /* it is over now */
void waits_stir(struct waits *a);                           /* each is to ask again */
/* A fetch came under the token.  A token is asked for once: one that waits under it already is of a client that has given up. */
void waits_supersede(struct waits *a, const uuid token);
/* The next, in order of arrival, that is to ask again: a task may be there for it, or it is over.  Its who.  NULL: none is left
 * this turn. */
void *waits_next(struct waits *a, struct store *s, struct now now);
int64_t waits_due(const struct waits *a);                   /* mono time at which the next is over */
size_t waits_count(const struct waits *a, const struct queue *q);   /* q NULL: in all */

/* ---- stats.c: how the queues are doing, pure --------------------------------------------------------------------- */

struct stats {
	const struct events *events;
	const struct waits *waits;
	const int64_t *answers;        /* by the first digit of the status */
	int mode;                      /* of the journal */
	int64_t began;                 /* mono */
	struct now now;
};
void stats_queue(struct buf *b, const struct queue *q, const struct stats *s);        /* JSON */
void stats_metrics(struct buf *b, const struct store *st, const struct stats *s);     /* of all queues, for Prometheus */

/* ---- journal.c: what was acknowledged (OURS 3) ------------------------------------------------------------------- */

enum { SYNC_ALWAYS = 0, SYNC_NEVER = -1 };                  /* else: seconds between syncs */
struct journal_opts {
	const struct os *os;
	const char *dir;
	int sync;
	size_t ahead;                  /* so many zeros are kept behind the end; 0: none, and only appends are made */
	bool repair;                   /* write what can be read to a new file, keep the old */
};
struct journal;
/* Opens or makes dir/journal and replays it into *s (made here; owned by the caller).  -1 with err: damage names file, line,
 * offset. */
struct journal *journal_open(const struct journal_opts *o, struct store **s, struct err *e);
void journal_close(struct journal *j);                      /* writes nothing; sync first with journal_flush */
const char *journal_store_id(const struct journal *j);      /* the store's UUID */
enum journal_mode { JOURNAL_FINE, JOURNAL_LOW, JOURNAL_REFUSE };   /* all changes / only ends of runs / none */
enum journal_mode journal_mode(const struct journal *j);
/* Ends a turn: writes the records in store_turn with a commit line, and syncs as asked.  0: on disk (as --sync says).  -1: nothing
 * of the turn holds: the file was cut back and *s read again (all pointers into it are void); err says why.  Only where the sync
 * failed and the power goes before all is written anew the turn may be there after all. */
int journal_commit(struct journal *j, struct store **s, struct now now, struct err *e);
/* Between turns: a slice of compaction, a try to get out of a refusing mode, a late sync.  The mono time of the next need. */
int64_t journal_work(struct journal *j, struct store **s, struct now now);
int journal_flush(struct journal *j, struct err *e);

/* ---- auth.c: passwords ------------------------------------------------------------------------------------------- */

struct auth;
struct auth *auth_new(const struct os *os);                 /* owned */
void auth_free(struct auth *a);
enum auth_answer { AUTH_OK, AUTH_WRONG, AUTH_LATER, AUTH_BUSY };
/* Checks password against hash.  LATER: a job was put in the line for this peer; ask again when auth_work has finished something.
 * BUSY: the line is full (503).  Once right, the same pair costs a keyed digest, compared in constant time. */
enum auth_answer auth_check(struct auth *a, const char *hash, struct str password, uint64_t peer);
/* Makes the hash to store for a new password, $pbkdf2-sha256$29000$SALT$SUM as the reference stores it, in slices like a check:
 * LATER as above, OK fills out (128). */
enum auth_answer auth_hash(struct auth *a, struct str password, uint64_t peer, char *out);
bool auth_pending(const struct auth *a);
bool auth_work(struct auth *a, int64_t budget_us);          /* one slice; true when a job was finished */
void auth_forget(struct auth *a, uint64_t peer);            /* the peer is gone */

/* ---- field.c: the members of a request's body against a table (SPEC 1, "validation is lax") ---------------------- */

enum field_kind {
	FIELD_INT, FIELD_FLOAT, FIELD_BOOL, FIELD_TEXT, FIELD_NAME, FIELD_PASSWORD, FIELD_CHOICE, FIELD_DICT, FIELD_KEYS, FIELD_CMD,
	FIELD_TEXTS, FIELD_SORT, FIELD_VERSION
};                                     /* KEYS: a dict whose keys are checked; TEXTS: a list of them */
enum { FIELD_NEEDED = 1, FIELD_NULL = 2 };   /* must be there / may be null, which is as if absent */
struct field {
	const char *name;              /* NULL ends a table */
	enum field_kind kind;
	int flags;
	const char *choice;            /* FIELD_CHOICE: "active|suspended" */
	int64_t min, max;              /* FIELD_INT; both 0: any */
	const char *alias;             /* another name, which also stands in the place of an error; or NULL */
};
struct value {
	bool given, null;              /* given: there and not null */
	int64_t num;                   /* INT, BOOL */
	double real;                   /* FLOAT */
	struct str text;               /* TEXT, NAME, PASSWORD, CHOICE, VERSION: borrowed from the body */
	const struct json *json;       /* whatever it was */
};
/* Fills v, one for each row of f, from body.  Each fault appends one item of FastAPI's form to detail, places beginning with
 * "body" and, when index >= 0, that number.  How many faults. */
int field_check(const struct field *f, struct value *v, const struct json *body, int index, struct buf *detail);
/* One such item; input NULL: null. */
void field_fault(struct buf *detail, const char *type, const char *place, const char *msg, const struct json *input);
bool field_flag(struct str text, bool *out);   /* true, 1, yes, y, on, t and their opposites, in any case */

/* ---- api.c: requests to answers (SPEC 1, OURS 1) ----------------------------------------------------------------- */

struct request {
	struct str method, target, body;
	const struct http *head;       /* for fields */
	bool tls;                      /* it came over TLS */
	uint64_t peer;                 /* who, for auth */
	void *who;                     /* for api_next */
	struct wait **wait;            /* where a fetch that is held is kept, for whoever asks to free; NULL: none is held */
};
struct answer {
	int status;
	struct buf head;               /* extra header lines, each ending in CR LF */
	struct buf body;
	const char *type;              /* content type, made application/json by the caller; NULL: none */
	char queue[101];               /* whose credentials they were, "" nobody's */
	struct listener *listener;     /* events follow the body, without end; owned by whoever takes the answer */
};
/* LATER: ask again with the same request when auth moved; HELD: when api_next says so. */
enum api_result { API_DONE, API_LATER, API_HELD };
struct rest;              /* the API of one server */
struct api_opts {
	const struct os *os;
	struct store **store;
	struct journal *journal;
	struct auth *auth;
	bool no_create;
	double polling;                /* PERIODIC_TASK_INTERVAL */
	size_t events;                 /* EVENT_BUFFER_SIZE; 0: 100 */
	bool metrics;                  /* GET /metrics, for everybody */
};
struct rest *api_new(const struct api_opts *o);
void api_free(struct rest *a);
/* Ends a turn for those who listen: it is on disk, or is undone.  Events are told from the first call on. */
void api_settle(struct rest *a, bool held, struct now now);
/* After a turn's changes: who of those held is to ask again, one after the other; NULL: no more.  api_due: when, if nothing
 * happens. */
void *api_next(struct rest *a, struct now now);
int64_t api_due(const struct rest *a);
enum api_result api_handle(struct rest *a, const struct request *r, struct now now, struct answer *out);

/* ---- log.c: what a server says ----------------------------------------------------------------------------------- */

struct log_line {              /* of a request */
	const char *peer, *queue;      /* "" unknown */
	struct str method, target;
	int status;
	size_t bytes;                  /* of the answer's body */
	int64_t wall, us;              /* when, and how long it took */
};
int log_check(const char *path, struct err *e);             /* whether it can be written to */
void log_open(const char *path, bool json);                 /* path NULL: stderr; it must live on */
void log_reopen(void);
void log_request(const struct log_line *l);
void log_flush(void);                                       /* at the end of a turn */
void log_close(void);

/* ---- conn.c: one connection: bytes to requests, answers to bytes ------------------------------------------------- */

struct conn;
struct conn_opts {
	bool log;                      /* a line a request */
	size_t max_body;
	int64_t patience;              /* microseconds for a request to come whole, and for a reader to take something */
	int64_t ping;                  /* microseconds between the pings of a stream of events */
};
/* Takes net; o must outlive it.  from: the peer's address, copied.  Owned. */
struct conn *conn_new(struct net *net, uint64_t peer, const char *from, const struct conn_opts *o, struct now now);
void conn_free(struct conn *c);
/* Reads once, or goes on with a request that waited for auth, and answers every whole request into its own buffer. */
void conn_input(struct conn *c, struct rest *api, struct now now);
void conn_resume(struct conn *c, struct rest *api, struct now now);   /* of one that waits, is stalled, or that api_next gave */
void conn_gone(struct conn *c);                             /* poll says so, of one that is not read from */
bool conn_shaking(const struct conn *c);                    /* its TLS handshake is under way: conn_input goes on with it */
bool conn_waits(const struct conn *c);                      /* a request of its waits for auth */
bool conn_stalled(const struct conn *c);                    /* it has requests that wait for room: conn_resume */
/* The turn is on disk; or, not held, it is undone: its answers become 503 with why. */
void conn_settle(struct conn *c, bool held, const char *why, struct now now);
bool conn_flush(struct conn *c, struct now now);            /* sends what is settled; false: over, free it */
short conn_want(const struct conn *c);
int conn_fd(const struct conn *c);
uint64_t conn_peer(const struct conn *c);
int64_t conn_deadline(const struct conn *c);                /* mono time at which it is given up; INT64_MAX: never */
bool conn_late(struct conn *c, struct now now);             /* that time is over: true when there is something to say first */
int64_t conn_wake(const struct conn *c);                    /* mono: when conn_flush has something to do, if nothing happens */
void conn_end(struct conn *c);                              /* the server ends: so do streams of events */
int64_t conn_idle(const struct conn *c);                    /* mono time since which nothing is asked; INT64_MAX: it is busy */

/* ---- claim.c: who serves a store: its locks and server.json (OURS 2) --------------------------------------------- */

struct claim;
/* Locks dir by fcntl and by the file "owner"; waits for a holder that is ending.  NULL with err.  Owned. */
struct claim *claim_take(const char *dir, struct err *e);
/* Writes server.json.  pin: of the certificate at url, or NULL. */
int claim_publish(struct claim *c, const char *url, const char *pin, const char *store_id, struct err *e);
bool claim_ours(const struct claim *c);                     /* false: the directory was removed or moved, another may be there */
void claim_withdraw(struct claim *c);                       /* removes server.json; the locks stay */
void claim_release(struct claim *c);                        /* removes owner, unlocks, frees */

/* ---- serve.c: the poll loop -------------------------------------------------------------------------------------- */

struct serve_opts {
	const char *host, *port;       /* TCP, NULL host: none */
	const char *unix_path;         /* NULL: none */
	const char *cert, *key;        /* PEM files: TLS on TCP; NULL: none.  Read again on SIGHUP */
	const char *root;              /* .labtasker */
	const char *store;             /* directory; NULL: root */
	const char *advertise;         /* URL for server.json; NULL: the bound address */
	int sync;
	bool repair, no_create, verbose;
	double polling;                /* PERIODIC_TASK_INTERVAL, seconds */
	double ping;                   /* SSE_PING_INTERVAL, seconds; 0: 15 */
	size_t events;                 /* EVENT_BUFFER_SIZE; 0: 100 */
	bool metrics;                  /* GET /metrics */
	double patience;               /* seconds for a request to come whole; 0: 30 */
	size_t connections, body;      /* at most so many, of so many bytes; 0: as many as there are descriptors, HTTP_BODY */
	const char *log;               /* file; NULL: stderr */
	bool log_json;
	bool local;                    /* started by a client: unix socket (else loopback), default queue, ends when idle */
	int ready;                     /* fd that gets one byte once it listens, or why it does not; -1 */
};
/* Runs until SIGTERM, SIGINT or, when local, 60 s of nothing.  An exit status. */
int serve_run(const struct serve_opts *o);

#endif
