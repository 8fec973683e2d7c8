/* SPDX-License-Identifier: MIT */
/*
 * The command line's room: tables of commands and options, what each command does, and how results are shown.
 *
 * Order of use: opt, out, literal, ask, loopcmd, task, queue, serve, cli.
 */
#ifndef CLI_H
#define CLI_H

#include "../labtasker.h"

/* ---- opt.c: option tables, from which parsing and help are made ------------------------------------------------------ */

enum opt_kind { OPT_FLAG, OPT_TEXT, OPT_LIST, OPT_INT, OPT_FLOAT, OPT_DURATION, OPT_CHOICE };
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
	double real;               /* OPT_FLOAT, OPT_DURATION (seconds) */
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
	bool help;                 /* --help or -h was given; nothing behind it was looked at */
};
struct command;
struct context {
	struct conf *conf;
	int (*start)(const char *dir, struct err *e);    /* for client_opts */
	const struct command *cmd;
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
 * and --x=v; -abc clusters; -- ends.  a is to be freed in either case; it borrows from argv. */
int opt_parse(const struct command *c, int argc, char **argv, struct args *a, struct err *e);
void opt_free(struct args *a);
void opt_help(struct buf *b, const struct command *c, const char *prog);
int opt_distance(struct str a, struct str b);               /* letters to change, for "did you mean"; 99: far apart */

/* ---- out.c: values as YAML, JSON lines ---------------------------------------------------------------------------------- */

void out_yaml(struct buf *b, const struct json *list);      /* a list of objects; [] when it is empty */
void out_jsonl(struct buf *b, const struct json *list);
/* To stdout, emptying b.  Quiet on EPIPE: ends the process with 0.  -1 said on stderr. */
int out_flush(struct buf *b);
int out_page(struct buf *b);                                /* at a terminal through $PAGER, else less, else as out_flush */

/* ---- literal.c: values as Python or JSON write them (SPEC 6) -------------------------------------------------------------- */

/* The literal that the whole text is, into d; NULL when it is none (the caller takes it as a string). */
struct json *literal_parse(struct json_doc *d, struct str text);
/* Words after "--": --a.b 1, --a.b=1, -k v; into a fresh object of d.  NULL with err naming the stray word. */
struct json *literal_args(struct json_doc *d, char **word, int n, struct err *e);

struct json *literal_dict(struct json_doc *d, const char *option, const char *text, struct err *e);   /* NULL with err: no dict */
/* The text of -f to *filter, which lives in d; NULL text: NULL.  -1 with err. */
int literal_filter(struct json_doc *d, const char *text, const struct json **filter, struct err *e);

/* ---- ask.c: a command's talk with the server -------------------------------------------------------------------------------- */

int ask_fail(const struct context *x, const struct err *e);   /* says e under the command's name; its exit status */
/* client_open for this command.  NULL: the reason was said, *rc is the exit status.  Owned. */
struct client *ask_open(const struct context *x, bool create, bool auth, int *rc);
/* Runs k with body (NULL: none).  0; -1: the reason was said. */
int ask_run(const struct context *x, struct client *c, struct call *k, const struct json *body);
/* Prints one text of the answer and a newline.  An exit status. */
int ask_print(const struct context *x, const struct call *k, const char *key);

/* ---- the commands: each a row of the table in cli.c --------------------------------------------------------------------- */

int cmd_loop(struct context *x, struct args *a);            /* loopcmd.c */
extern const struct opt loop_opts[];
int cmd_submit(struct context *x, struct args *a);          /* task.c */
extern const struct opt submit_opts[];
int cmd_ls(struct context *x, struct args *a);
extern const struct opt ls_opts[];
int cmd_queue_create(struct context *x, struct args *a);    /* queue.c */
extern const struct opt queue_create_opts[];
int cmd_health(struct context *x, struct args *a);
extern const struct opt health_opts[];
int cmd_serve(struct context *x, struct args *a);           /* serve.c */
extern const struct opt serve_cmd_opts[];

/* ---- cli.c: the table of commands --------------------------------------------------------------------------------------- */

/* Runs the command line; an exit status. */
int cli_main(struct context *x, int argc, char **argv);

#endif
