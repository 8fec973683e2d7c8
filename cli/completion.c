/* SPDX-License-Identifier: MIT */
/*
 * labtasker completion bash, zsh: a script for the shell's start, printed from the tables of commands and options.  Its first
 * function is the same for both shells: from the first two words and the word before the cursor, all that can stand next.
 */
#include "cli.h"

#include <string.h>

const struct opt completion_opts[] = {{0}};

static const char bash[] =
	"_labtasker() {\n"
	"\tlocal a= b=\n"
	"\tcase \" ${COMP_WORDS[*]:1:COMP_CWORD-1} \" in *' -- '*) return ;; esac\n"
	"\t[ \"$COMP_CWORD\" -gt 1 ] && a=${COMP_WORDS[1]}\n"
	"\t[ \"$COMP_CWORD\" -gt 2 ] && b=${COMP_WORDS[2]}\n"
	"\tCOMPREPLY=($(compgen -W \"$(_labtasker_words \"$a\" \"$b\" \"${COMP_WORDS[COMP_CWORD-1]}\")\""
	" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
	"}\n"
	"complete -o default -F _labtasker labtasker lt\n";
static const char zsh[] =
	"_labtasker() {\n"
	"\tlocal a= b=\n"
	"\tlocal -a found\n"
	"\tif (( CURRENT > ${words[(i)--]} )); then _files; return; fi\n"
	"\t(( CURRENT > 2 )) && a=$words[2]\n"
	"\t(( CURRENT > 3 )) && b=$words[3]\n"
	"\tfound=(${=\"$(_labtasker_words \"$a\" \"$b\" \"$words[CURRENT-1]\")\"})\n"
	"\tif (( $#found )); then compadd -- $found; else _files; fi\n"
	"}\n"
	"compdef _labtasker labtasker lt\n";

/* The spellings of an option between sep; "--[no-]x" is two. */
static void
put_names(struct buf *b, const char *names, const char *sep)
{
	bool first = true;

	for (struct str name; opt_name(&names, &name); first = false) {
		buf_adds(b, first ? "" : sep);
		if (name.n < 8 || memcmp(name.p, "--[no-]", 7) != 0)
			buf_add(b, name.p, name.n);
		else
			buf_printf(b, "--%.*s%s--no-%.*s", (int)name.n - 7, name.p + 7, sep, (int)name.n - 7, name.p + 7);
	}
}

/* What may follow an option that takes a value: the words of a choice, else nothing that we know. */
static void
put_value(struct buf *b, const struct opt *o)
{
	buf_adds(b, "\t\t");
	put_names(b, o->names, "|");
	buf_adds(b, ")");
	if (o->kind == OPT_CHOICE) {
		buf_adds(b, " echo '");
		for (const char *p = o->arg; *p; p++)
			buf_addc(b, *p == '|' ? ' ' : *p);
		buf_adds(b, "'");
	}
	buf_adds(b, " ;;\n");
}

static void
put_command(struct buf *b, const struct command *c)
{
	const struct opt *o;

	buf_printf(b, strchr(c->name, ' ') ? "\t'%s'" : "\t'%s '*", c->name);
	if (c->alias)
		buf_printf(b, "|'%s '*", c->alias);
	buf_adds(b, ")\n\t\tcase $3 in\n");
	for (int i = 0; (o = opt_row(c, i)); i++)
		if (o->kind != OPT_FLAG)
			put_value(b, o);
	buf_adds(b, "\t\t*) echo '");
	for (int i = 0; (o = opt_row(c, i)); i++) {
		put_names(b, o->names, " ");
		buf_addc(b, ' ');
	}
	buf_adds(b, "--help' ;;\n\t\tesac ;;\n");
}

/* The word that c's name begins with, when no command before it begins with the same. */
static struct str
new_group(const struct context *x, const struct command *c)
{
	const char *space = strchr(c->name, ' ');
	struct str group = {c->name, space ? (size_t)(space - c->name) : 0};

	for (const struct command *d = x->commands; space && d < c; d++)
		if (!strncmp(d->name, group.p, group.n + 1))
			return (struct str){0};
	return group;
}

static void
put_group(struct buf *b, const struct context *x, struct str group)
{
	buf_printf(b, "\t'%.*s '*) echo '", (int)group.n, group.p);
	for (size_t i = 0; i < x->ncommand; i++)
		if (!strncmp(x->commands[i].name, group.p, group.n + 1))
			buf_printf(b, "%s ", x->commands[i].name + group.n + 1);
	buf_adds(b, "--help' ;;\n");
}

static void
put_first(struct buf *b, const struct context *x)
{
	buf_adds(b, "\t*) echo '");
	for (size_t i = 0; i < x->ncommand; i++) {
		const struct command *c = &x->commands[i];
		struct str group = new_group(x, c);

		if (group.n)
			buf_printf(b, "%.*s ", (int)group.n, group.p);
		else if (!strchr(c->name, ' '))
			buf_printf(b, "%s ", c->name);
		if (c->alias)
			buf_printf(b, "%s ", c->alias);
	}
	buf_adds(b, "help --version' ;;\n");
}

int
cmd_completion(struct context *x, struct args *a)
{
	bool is_zsh = !strcmp(a->word[0], "zsh");
	struct buf b = {0};
	struct err e = {0};

	if (!is_zsh && strcmp(a->word[0], "bash") != 0) {
		err_set(&e, EXIT_USAGE, "Invalid value '%s': it must be bash or zsh", a->word[0]);
		return ask_fail(x, &e);
	}
	buf_printf(&b, "# labtasker " LABTASKER_VERSION ": %s completion, to be read by: eval \"$(labtasker completion %s)\"\n",
	    a->word[0], a->word[0]);
	buf_adds(&b, "_labtasker_words() {\n\tcase \"$1 $2\" in\n");
	for (size_t i = 0; i < x->ncommand; i++)
		put_command(&b, &x->commands[i]);
	for (size_t i = 0; i < x->ncommand; i++) {
		struct str group = new_group(x, &x->commands[i]);

		if (group.n)
			put_group(&b, x, group);
	}
	put_first(&b, x);
	buf_adds(&b, "\tesac\n}\n");
	buf_adds(&b, is_zsh ? zsh : bash);
	return out_end(&b);
}
