/* SPDX-License-Identifier: MIT */
/*
 * The command line's room: tables of commands and options, what each command does, and how results are shown.
 * The sections stand in the order of use (DESIGN).
 */
#ifndef CLI_H
#define CLI_H

#include "../labtasker.h"

/* ---- opt.c: option tables, from which parsing and help are made -------------------------------------------------- */

enum opt_kind {
	OPT_FLAG, OPT_TEXT, OPT_LIST, OPT_INT, OPT_FLOAT, OPT_DURATION, OPT_CHOICE,
	OPT_OPTIONAL,              /* --x or --x=DURATION */
	OPT_SECRET,                /* a text that is blotted out in argv, where others of the machine may read it */
	OPT_ASKED                  /* likewise, and it may be left out, to be asked for: given without text; long names only */
};
struct opt {
	const char *names;         /* "--task-name --name -n": every spelling; "--[no-]pager" is both of a flag */
	enum opt_kind kind;
	const char *arg;           /* what the help calls its value; OPT_CHOICE: the words, "yaml|jsonl" */
	const char *help;
	const char *deflt;         /* shown, and taken when not given; NULL: none */
};
struct optval {
	bool given;
	const char *text;          /* the last one given, or the default, or NULL */
	int64_t num;               /* OPT_INT; OPT_FLAG: 1 or 0 (--no-x); OPT_CHOICE: the word's place */
	double real;               /* OPT_FLOAT, OPT_DURATION (seconds); OPT_OPTIONAL: likewise, -1 without a value */
	char *secret;              /* OPT_SECRET, OPT_ASKED: the copy that text is */
	const char **list;         /* OPT_LIST: all that were given, in order */
	int nlist;
};
struct args {
	struct optval *val;        /* one per row of the table, same order */
	size_t nval;
	char **word;               /* operands, in order */
	int nword;
	char **rest;               /* what stood after --, NULL when there was no -- */
	int nrest;
	const char *cacert, *pin;  /* of every command that is not noconf; NULL: not given */
	bool help;                 /* --help or -h was given; nothing behind it was looked at */
};
struct command;
struct context {
	struct conf *conf;
	int (*start)(const char *dir, struct err *e);    /* for client_opts */
	const struct command *cmd, *commands;            /* this one; the table */
	size_t ncommand;
	bool as_server;            /* called by the name labtasker-server */
	char **argv;
};
struct command {
	const char *name;          /* "task submit" */
	const char *alias;         /* "submit", or NULL */
	const char *synopsis;      /* behind the options: "[-- --key value ...]"; without "-- " in it words after -- are operands */
	const char *about;         /* one line */
	const char *example;       /* run by a test */
	const struct opt *opts;    /* ends with names NULL */
	int min, max;              /* operands; max -1: any */
	bool noconf;               /* works without reading the configuration */
	int (*run)(struct context *x, struct args *a);
};
/* argv begins behind the command's name.  -1 with err (code EXIT_USAGE) naming the option.  Options may follow operands; --x v
 * and --x=v; -abc clusters; -- ends.  a is to be freed in either case; it borrows from argv, but for
 * secrets, of which argv keeps stars. */
int opt_parse(const struct command *c, int argc, char **argv, struct args *a, struct err *e);
void opt_free(struct args *a);
/* The i-th option of a command: those of its own, then --cacert and --pin where it is not noconf.  NULL: there are no more. */
const struct opt *opt_row(const struct command *c, int i);
void opt_help(struct buf *b, const struct command *c, const char *prog);
/* The next spelling of names, which moves on; false at the end. */
bool opt_name(const char **names, struct str *name);
int opt_distance(struct str a, struct str b);               /* letters to change, for "did you mean"; 99: far apart */

/* ---- out.c: values as YAML, JSON lines --------------------------------------------------------------------------- */

enum { OUT_MODIFIED = 99 };                                 /* tag of a member whose line ends in "# Modified" */
void out_yaml(struct buf *b, const struct json *list);      /* a list of objects; [] when it is empty */
void out_object(struct buf *b, const struct json *obj);     /* one object, as YAML */
void out_json(struct buf *b, const struct json *v);         /* on one line, with nothing in it that a terminal obeys */
void out_jsonl(struct buf *b, const struct json *list);     /* one such line for each */
bool out_plain(struct str s);                               /* stands in YAML without quotes, on one line */
/* To stdout, emptying b.  Quiet on EPIPE: ends the process with 0.  -1 said on stderr. */
int out_flush(struct buf *b);
void out_tame(struct buf *b);                              /* text for people: control characters as \xNN, but \n */
int out_end(struct buf *b);                                 /* the same, and frees; an exit status */
int out_page(struct buf *b);                                /* at a terminal through $PAGER, else less, else as out_flush */

/* ---- tty.c: the person at the terminal --------------------------------------------------------------------------- */

bool tty_there(void);                                       /* somebody can be asked: stdin and stderr are terminals */
bool tty_colour(void);                                      /* stdout is a terminal that may be coloured (NO_COLOR, TERM) */
/* The answer to "prompt [deflt]: ", without its newline; deflt where it is empty.  secret: not shown.  NULL: nobody is there, or
 * the input ended.  Owned. */
char *tty_ask(const char *prompt, const char *deflt, bool secret);
int tty_yes(const char *question, bool deflt);              /* 1, 0; -1 nobody is there */
char *tty_password(const char *prompt, struct err *e);      /* asked for twice.  NULL with err.  To be given to tty_forget */
void tty_forget(char *secret);                              /* overwrites and frees; NULL is fine */
/* Runs an editor (the one given, else VISUAL, EDITOR, vi) on the text, in a file of dir (NULL: TMPDIR, else /tmp) that only we can
 * read and that is gone afterwards.  -1 with err (code EXIT_REFUSED) when it failed. */
int tty_edit_text(struct buf *text, const char *dir, const char *suffix, const char *editor, struct err *e);

/* ---- table.c: cells in aligned columns --------------------------------------------------------------------------- */

struct table {                                              /* {.columns = N}; the first row is the head */
	size_t columns, ncell;
	struct buf text;
};
void table_cell(struct table *t, struct str s);             /* the next cell, row by row */
/* screen: cut the last column so that lines fit, 0: never.  colour: states in the column "status" are coloured. */
void table_print(struct buf *b, const struct table *t, int screen, bool colour);
void table_free(struct table *t);

/* ---- literal.c: values as Python or JSON write them (SPEC 6) ----------------------------------------------------- */

/* The literal that the whole text is, into d; NULL when it is none (the caller takes it as a string). */
struct json *literal_parse(struct json_doc *d, struct str text);
/* Words after "--": --a.b 1, --a.b=1, -k v; into a fresh object of d.  NULL with err naming the stray word. */
struct json *literal_args(struct json_doc *d, char **word, int n, struct err *e);

struct json *literal_dict(struct json_doc *d, const char *option, const char *text, struct err *e);   /* NULL with err: no dict */
/* Sets obj's a.b.c to v; the objects on the way are made.  -1 with err: a part is empty, or is there as something else. */
int literal_put(struct json_doc *d, struct json *obj, const char *name, struct json *v, struct err *e);
/* The number or the text (texts, side by side) at the front of s, of which *used bytes are it.  NULL with err.msg. */
struct json *literal_scalar(struct json_doc *d, struct str s, size_t *used, struct err *e);

/* ---- when.c: times as people write them, pure -------------------------------------------------------------------- */

struct when {
	int64_t now;                         /* wall */
	int (*offset)(int64_t seconds);      /* local time's, east of UTC in seconds, at that many seconds since 1970 */
};
int when_parse(struct str s, const struct when *w, int64_t *wall);   /* 0 or -1; the forms are at the head of when.c */

/* ---- expr.c: filters as Python writes them, to MongoDB's (SPEC 2), pure ------------------------------------------ */

/* A dict, as literal_parse takes it, or a Python-style condition.  NULL with err.pos, line, col and a hint.  Lives in d. */
struct json *expr_parse(struct json_doc *d, struct str text, const struct when *w, struct err *e);

/* ---- ask.c: a command's talk with the server --------------------------------------------------------------------- */

int ask_fail(const struct context *x, const struct err *e);   /* says e under the command's name; its exit status */
/* The text of -f, Python's or MongoDB's, to *filter, which lives in d; no text: NULL.  verbose: shown on stderr as MongoDB has it.
 * -1 with err, which ask_fail then shows with a caret. */
int ask_filter(struct json_doc *d, const char *text, bool verbose, const struct json **filter, struct err *e);
/* client_open for this command.  NULL: the reason was said, *rc is the exit status.  Owned. */
struct client *ask_open(const struct context *x, bool create, bool auth, int *rc);
/* Runs k with body (NULL: none).  0; -1: the reason was said. */
int ask_run(const struct context *x, struct client *c, struct call *k, const struct json *body);
void ask_lost(const struct context *x, const struct call *k);   /* says why k failed; the id of what is not there */
/* ask_run of a call that names a task or worker.  0: k->doc holds an object. */
int ask_get(const struct context *x, struct client *c, struct call *k);
/* Sends all and waits for them: pipelined to a server of ours. */
void ask_all(struct client *c, struct call *const *k, size_t n);
/* A password's text: the first line of the file, "-" is standard input.  NULL with err.  To be given to tty_forget. */
char *ask_password_file(const char *path, struct err *e);
int ask_check_password(const char *password, const char *option, struct err *e);   /* 1 to 100 of printable ASCII */
int ask_check_name(const char *name, const char *option, struct err *e);   /* of a task, worker or queue; NULL is fine */
/* All of standard input, at most max bytes, added to b and terminated.  -1 with err. */
int ask_stdin(struct buf *b, size_t max, struct err *e);
/* Prints one text of the answer and a newline.  An exit status. */
int ask_print(const struct context *x, const struct call *k, const char *key);

/* ---- select.c: which tasks or workers a command means, and all of them ------------------------------------------- */

struct select_text {                                        /* the options, NULL where not given */
	const char *id, *name, *status, *filter;
	const struct optval *limit, *offset;
};
enum { SELECT_PAGE = 1000 };                                /* the API's own */
struct select {
	enum api api;              /* API_TASK_SEARCH or API_WORKER_SEARCH */
	bool verbose;              /* show on stderr what is asked of the server */
	bool named;                /* those of ids, and no others */
	struct select_text text;
	const struct json *filter; /* of d */
	int64_t offset, limit;     /* limit -1: all */
	struct json_doc *d;        /* its root is the order */
	char (*ids)[37];           /* by select_words and select_stdin, which set named, or by select_ids */
	size_t nid;
};
void select_init(struct select *s, enum api api);
void select_free(struct select *s);
bool select_any(const struct select_text *t);               /* something selects */
int select_set(struct select *s, const struct select_text *t, struct err *e);
/* v: OPT_LIST of FIELD:asc, or NULL; the usual order follows. */
int select_sort(struct select *s, const struct optval *v, struct err *e);
int select_check_field(const struct select *s, const char *field, const char *option, struct err *e);
int select_id(struct select *s, struct str text, const char *where, struct err *e);
int select_words(struct select *s, char *const *word, int n, struct err *e);
int select_stdin(struct select *s, struct err *e);          /* one id a line */
/* What a command works on: the options, the words, else ids on standard input.  An empty pipe is fine where empty says so: nid is 0
 * then.  Nothing that selects is an error that asks for it. */
int select_from(struct select *s, const struct select_text *t, const struct args *a, bool empty, struct err *e);
/* The value at a dotted path, through objects and the places of arrays; NULL when there is none. */
const struct json *select_field(const struct json *v, struct str path);

struct row {
	struct str text, key;
	size_t from;               /* private */
};
struct rows {                                               /* {0} */
	struct row *row;
	size_t n;
	struct buf b;              /* what the rows point into */
};
struct rows_put {
	void (*row)(void *arg, struct buf *b, const struct json *v);   /* adds to b the text that is to be kept of v */
	void *arg;
};
/* All that are selected, in order (select_sort comes before).  -1: the reason was said. */
int select_rows(const struct context *x, struct client *c, const struct select *s, const struct rows_put *put, struct rows *r);
void rows_free(struct rows *r);
int select_ids(const struct context *x, struct client *c, struct select *s);   /* the same, to be found in ids */
/* The tasks or workers of ids from the one at from on, SELECT_PAGE at most: v[i] is that of ids[from + i], NULL where it is not
 * there.  How many; -1: said.  They live in *k. */
int select_page(const struct context *x, struct client *c, const struct select *s, size_t from, const struct json **v,
    struct call **k);

/* ---- fit.c: no more, no less, pure ------------------------------------------------------------------------------- */

/* Adds to missing the required names that args lack, and to extra what args have besides, each as "a, b.c". */
void fit_compare(const struct json *names, const struct json *args, struct buf *missing, struct buf *extra);
void fit_name(struct buf *b, const char *name);             /* adds to such a list */

/* ---- edit.c: changes of tasks as text, pure ---------------------------------------------------------------------- */

/* "field=value" or "field.sub=value" into update, an object of d.  -1 with err. */
int edit_assign(struct json_doc *d, struct json *update, const char *word, struct err *e);
/* The tasks as lines "field: value" for an editor.  reset: without status and retries. */
void edit_put(struct buf *b, const struct json *tasks, bool reset);
/* What was made of it: a list of updates of those that differ from tasks.  NULL with err.line, col. */
struct json *edit_read(struct json_doc *d, struct str text, const struct json *tasks, struct err *e);

/* ---- dryrun.c: loop --dry-run ------------------------------------------------------------------------------------ */

struct loop_opts;
/* Prints what a loop would run, --max-tasks at most.  An exit status: EXIT_REFUSED too when a task would fail before it runs. */
int dryrun(const struct context *x, const struct loop_opts *o);

/* ---- bulk.c: many tasks at once ---------------------------------------------------------------------------------- */

struct bulk {
	const char *from, *tasks;  /* a file or "-": of arguments, of whole tasks; both NULL: sweeps */
	bool csv, typed;           /* of from: CSV whatever its name; cells are literals */
	const char **sweep;        /* NAME=VALUES */
	int nsweep;
	const char *key;           /* --key, or NULL */
	const struct json *base;   /* the request that all tasks share, with args */
};
/* Submits them and prints their ids, one a line in the order of the input.  An exit status; what is not in was said. */
int bulk_submit(struct context *x, const struct bulk *b);
/* What --key TEXT stands for in this queue (OURS 1), to key.  0; an exit status after having said why not. */
int bulk_key(const struct context *x, struct client *c, const char *text, char key[40]);

/* ---- the commands: each a row of the table in cli.c -------------------------------------------------------------- */

int cmd_loop(struct context *x, struct args *a);            /* loopcmd.c */
extern const struct opt loop_opts[];
int cmd_submit(struct context *x, struct args *a);          /* task.c */
extern const struct opt submit_opts[];
int cmd_ls(struct context *x, struct args *a);              /* ls.c */
extern const struct opt ls_opts[];
int cmd_worker_ls(struct context *x, struct args *a);
extern const struct opt worker_ls_opts[];
int cmd_task_get(struct context *x, struct args *a);
extern const struct opt task_get_opts[];
int cmd_task_update(struct context *x, struct args *a);     /* update.c */
extern const struct opt task_update_opts[];
int cmd_task_cancel(struct context *x, struct args *a);
int cmd_task_requeue(struct context *x, struct args *a);
extern const struct opt task_state_opts[];
int cmd_task_delete(struct context *x, struct args *a);     /* delete.c */
extern const struct opt task_delete_opts[];
int cmd_worker_delete(struct context *x, struct args *a);
extern const struct opt worker_delete_opts[];
int cmd_worker_create(struct context *x, struct args *a);   /* worker.c */
extern const struct opt worker_create_opts[];
int cmd_worker_report(struct context *x, struct args *a);
extern const struct opt worker_report_opts[];
int cmd_queue_create(struct context *x, struct args *a);    /* queue.c */
extern const struct opt queue_create_opts[];
int cmd_queue_create_from_config(struct context *x, struct args *a);
extern const struct opt queue_from_config_opts[];
int cmd_queue_get(struct context *x, struct args *a);
extern const struct opt queue_get_opts[];
int cmd_queue_update(struct context *x, struct args *a);
extern const struct opt queue_update_opts[];
int cmd_queue_delete(struct context *x, struct args *a);
extern const struct opt queue_delete_opts[];
int cmd_init(struct context *x, struct args *a);            /* init.c */
extern const struct opt init_opts[];
int cmd_config(struct context *x, struct args *a);
extern const struct opt config_opts[];
int cmd_health(struct context *x, struct args *a);
extern const struct opt health_opts[];
int cmd_serve(struct context *x, struct args *a);           /* serve.c */
extern const struct opt serve_cmd_opts[];
int cmd_finish(struct context *x, struct args *a);          /* finish.c */
extern const struct opt finish_opts[];
int cmd_task_info(struct context *x, struct args *a);
extern const struct opt task_info_opts[];
int cmd_event_listen(struct context *x, struct args *a);     /* event.c */
extern const struct opt event_listen_opts[];
int cmd_wait(struct context *x, struct args *a);            /* wait.c */
extern const struct opt wait_opts[];
int cmd_status(struct context *x, struct args *a);          /* status.c */
extern const struct opt status_opts[];
int cmd_logs(struct context *x, struct args *a);            /* logs.c */
extern const struct opt logs_opts[];
int cmd_explain(struct context *x, struct args *a);         /* explain.c */
extern const struct opt explain_opts[];
int cmd_queue_dump(struct context *x, struct args *a);      /* dump.c */
extern const struct opt queue_dump_opts[];
int cmd_queue_load(struct context *x, struct args *a);
extern const struct opt queue_load_opts[];
int cmd_completion(struct context *x, struct args *a);      /* completion.c */
extern const struct opt completion_opts[];

/* ---- cli.c: the table of commands -------------------------------------------------------------------------------- */

/* Runs the command line; an exit status. */
int cli_main(struct context *x, int argc, char **argv);

#endif
