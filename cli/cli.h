/* SPDX-License-Identifier: MIT */
/*
 * The command line's room: tables of commands and options, what each command does, and how results are shown.
 *
 * Order of use: opt, out, literal, loopcmd, task, queue, serve, cli.
 */
#ifndef CLI_H
#define CLI_H

#include "../labtasker.h"

/* ---- opt.c: option tables, from which parsing and help are made ------------------------------------------------------ */

enum opt_kind { OPT_FLAG, OPT_TEXT, OPT_INT, OPT_FLOAT, OPT_DURATION, OPT_CHOICE };
struct opt {
	const char *names;         /* "--task-name --name -n": every spelling, the first is shown first */
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
};
struct args {
	struct optval *val;        /* one per row of the table, same order */
	char **word;               /* operands, in order */
	int nword;
	char **rest;               /* what stood after --, NULL when there was no -- */
	int nrest;
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
	const char *synopsis;      /* behind the options: "[-- --key value ...]" */
	const char *about;         /* one line */
	const char *example;       /* run by a test */
	const struct opt *opts;    /* ends with names NULL */
	int min, max;              /* operands; max -1: any */
	bool noconf;               /* works without reading the configuration */
	int (*run)(struct context *x, struct args *a);
};
/* -1 with err (code EXIT_USAGE) naming the option.  Options may follow operands; --x v and --x=v; -abc clusters; -- ends. */
int opt_parse(const struct command *c, int argc, char **argv, struct args *a, struct err *e);
void opt_free(struct args *a);
void opt_help(struct buf *b, const struct command *c, const char *prog);

/* ---- out.c: values as YAML, JSON lines ---------------------------------------------------------------------------------- */

void out_yaml(struct buf *b, const struct json *list);      /* a list of objects */
void out_jsonl(struct buf *b, const struct json *list);
int out_flush(struct buf *b);                               /* to stdout; quiet on EPIPE: ends the process with 0 */

/* ---- literal.c: values as Python or JSON write them (SPEC 6) -------------------------------------------------------------- */

/* The literal that the whole text is, into d; NULL when it is none (the caller takes it as a string). */
struct json *literal_parse(struct json_doc *d, struct str text);
/* Words after "--": --a.b 1, --a.b=1, -k v; into a fresh object of d.  NULL with err naming the stray word. */
struct json *literal_args(struct json_doc *d, char **word, int n, struct err *e);

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
