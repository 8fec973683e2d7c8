/* SPDX-License-Identifier: MIT */
/*
 * Command templates: %(name), %(a.b.c), filled in from a task's args.
 *
 * In the shell form a small lexer of the shell's language finds out where each placeholder stands, and so how its value must be
 * quoted: outside quotes as Python's shlex.quote does, inside '...' and "..." for those quotes.  Whatever the shell among dash,
 * bash, busybox sh, mksh and zsh, a value then never becomes more than one argument and never runs anything.  Where that cannot
 * be had (comments, backquotes, here-documents, $'...', arithmetic and the like, and from any place on where these shells read the
 * text differently: "doubt") only values that need no quoting are let in.  The lexer accepts no language: what is wrong in the
 * text is for the shell to say.
 *
 * bash expands braces before all else, and takes every " of a word for the end or the beginning of a quoted part, the inner ones of
 * "${x:-"{a,b}"}" too.  What it so takes for unquoted is "turned" here: there a value hides what would make a brace or a quote.
 */
#include "labtasker.h"

#include <stdlib.h>
#include <string.h>

enum { NESTING = 64, HERE_DOCS = 8 };   /* beyond these: doubt */

enum how {
	RAW,       /* as it is: the argument form */
	WORD,      /* outside quotes: shlex.quote */
	SINGLE,    /* inside '...' */
	DOUBLE,    /* inside "..." */
	NESTED,    /* inside "${x:-...}": in double quotes of its own, which all shells take alike */
	PLAIN,     /* only a value that needs no quoting */
	NAME       /* after $ or ${: only letters, digits and _ */
};

/* When a value outside quotes gets quotes though shlex.quote gives it none. */
enum {
	FORCE_ALWAYS = 1,    /* %(x)>file: 2 would name a descriptor; %(x)(: @ would begin a pattern */
	FORCE_COMMAND = 2,   /* where a command's name stands: an assignment, a reserved word */
	FORCE_BRACES = 4,    /* in {...}: a comma or dots */
	AFTER_NAME = 8       /* $x%(y): it would go on with the name, or in zsh be a subscript or a modifier */
};

struct hole {
	size_t pos, end;     /* in the text, from % to behind ) */
	size_t name;         /* in tmpl.name */
	unsigned char how, force;
	bool turned;         /* DOUBLE, NESTED: bash's braces take it for unquoted */
	bool evaluated;      /* PLAIN: no variable would help */
	bool composed;       /* with operators: only a part of its word */
	bool command;        /* it stands for the name of a command */
	const char *why;     /* PLAIN, NAME: where it stands */
	const char *operators;   /* not NULL: what it must not be, for the command would evaluate other arguments */
	struct str delim;    /* not empty: the value must be no part of this, or it could end a here-document */
};

struct tmpl {
	char *text;
	size_t n;
	struct hole *hole;
	size_t nhole;
	char **name, **delim;      /* names used; delimiters of here-documents, which holes point to */
	size_t nname, ndelim;
};

/* ---- the lexer's state ---- */

enum kind { LIST, CASE, COMMENT, QUOTE, DQUOTE, DOLLAR, BACK, BRACE, ARITH, HERE };

/* What the next word of a list of commands is. */
enum expect { COMMAND, ARGUMENT, CASE_WORD, CASE_IN, PATTERN_FIRST, PATTERN, FOR_NAME, FOR_IN, FUNCTION };

struct frame {
	enum kind kind;
	const char *why;      /* every value in here must be plain */
	const char *command;  /* LIST, CASE: every value of the present simple command must be */
	/* LIST, CASE */
	enum expect expect;
	bool part;            /* LIST, ARITH: it is part of a word: $( ), <( ), a=( ), $(( )) */
	bool word;            /* a word has begun, at start */
	bool literal;         /* so far without quotes, expansions and placeholders */
	bool brace;           /* with an open { */
	bool bracket;         /* with an open [ */
	bool subscript;       /* which may be that of an array: a[ */
	bool assign;          /* and it began as an assignment */
	bool redirect;        /* the next word is the target of < or > */
	bool descriptor;      /* of <& or >&, which bash expands twice */
	bool condition;       /* between [[ and ]] */
	const char *torn;     /* from here on bash's braces may see this word quoted where it is not, and the other way round */
	size_t start;
	size_t first;         /* the first hole of this simple command */
	const struct evaluator *eval;
	/* BRACE */
	bool named;           /* the operator has been seen */
	bool quoted;          /* it is inside double quotes */
	/* ARITH */
	size_t parens;
};

struct here {
	const char *delim;
	bool raw, tabs;       /* the delimiter was quoted; <<- */
	size_t depth;         /* of the list it was named in */
};

struct lexer {
	struct tmpl *t;
	const char *p;
	size_t n, pos;
	const char *doubt;    /* why no more can be known about the rest */
	size_t escaped;       /* behind an active backslash */
	size_t dollar;        /* behind a lone $ */
	struct frame stack[NESTING];
	size_t depth;
	struct here here[HERE_DOCS];
	size_t nhere, body;   /* here-documents named; the one being read */
	bool inbody;
};

/* Commands that take arguments for shell text or arithmetic, in which a subscript can run something. */
struct evaluator {
	const char *name;
	enum { EVAL, DECLARE, TEST, OPTION, FORMAT, PREFIX } kind;
	const char *when;     /* TEST: only with one of these words; OPTION: with one of these letters */
};
#define TEST_OPERATORS " -eq -ne -lt -le -gt -ge -v -a -o -t "
static const struct evaluator evaluators[] = {
	{"eval", EVAL, NULL}, {"let", EVAL, NULL}, {"trap", EVAL, NULL}, {"alias", EVAL, NULL}, {"unset", EVAL, NULL},
	{"read", EVAL, NULL}, {"getopts", EVAL, NULL}, {"shift", EVAL, NULL}, {"ulimit", EVAL, NULL}, {"repeat", EVAL, NULL},
	{"integer", EVAL, NULL}, {"float", EVAL, NULL}, {"nameref", EVAL, NULL}, {"private", EVAL, NULL}, {"exit", EVAL, NULL},
	{"return", EVAL, NULL}, {"break", EVAL, NULL}, {"continue", EVAL, NULL}, {"logout", EVAL, NULL}, {"bye", EVAL, NULL},
	{"compgen", EVAL, NULL}, {"complete", EVAL, NULL}, {"mapfile", EVAL, NULL}, {"readarray", EVAL, NULL}, {"bind", EVAL, NULL},
	{"getln", EVAL, NULL}, {"vared", EVAL, NULL}, {"zparseopts", EVAL, NULL}, {"zstyle", EVAL, NULL}, {"fc", EVAL, NULL},
	{"export", DECLARE, NULL}, {"readonly", DECLARE, NULL}, {"local", DECLARE, NULL},
	{"typeset", DECLARE, NULL}, {"declare", DECLARE, NULL},
	{"[", TEST, TEST_OPERATORS}, {"test", TEST, TEST_OPERATORS},
	{"print", OPTION, "AfvuC"}, {"set", OPTION, "A"}, {"wait", OPTION, "p"}, {"printf", FORMAT, NULL},
	{"command", PREFIX, NULL}, {"builtin", PREFIX, NULL}, {"exec", PREFIX, NULL}, {"noglob", PREFIX, NULL},
	{"nocorrect", PREFIX, NULL},
};

/* Variables whose values some of the shells evaluate as arithmetic. */
static const char integers[] = " BASHPID COLUMNS EGID ERRNO EUID FUNCNEST GID HISTCMD HISTSIZE KEYTIMEOUT KSHEGID KSHGID KSHUID "
	"LINENO LINES LISTMAX MAILCHECK OPTIND PGRP PIPESTATUS PPID RANDOM SAVEHIST SECONDS SHLVL SRANDOM TMOUT TRY_BLOCK_ERROR "
	"TRY_BLOCK_INTERRUPT UID USER_ID ";

static const struct {
	const char *word;
	enum expect next;
} reserved[] = {
	{"if", COMMAND}, {"then", COMMAND}, {"elif", COMMAND}, {"else", COMMAND}, {"fi", COMMAND}, {"while", COMMAND},
	{"until", COMMAND}, {"do", COMMAND}, {"done", COMMAND}, {"{", COMMAND}, {"}", COMMAND}, {"!", COMMAND}, {"time", COMMAND},
	{"coproc", COMMAND},
	{"case", CASE_WORD}, {"for", FOR_NAME}, {"foreach", FOR_NAME}, {"select", FOR_NAME}, {"function", FUNCTION},
	{"esac", COMMAND}, {"in", COMMAND}, {"end", COMMAND}, {"repeat", ARGUMENT}, {"[[", ARGUMENT},
};

static bool
ident(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The character at pos + ahead, 0 behind the end (the text itself holds no 0). */
static char
peek(const struct lexer *x, size_t ahead)
{
	return x->pos + ahead < x->n ? x->p[x->pos + ahead] : 0;
}

static bool
hole_at(const struct lexer *x, size_t pos)
{
	return pos + 1 < x->n && x->p[pos] == '%' && x->p[pos + 1] == '(';
}

static struct frame *
top(struct lexer *x)
{
	return &x->stack[x->depth - 1];
}

static void
doubt(struct lexer *x, const char *why)
{
	if (!x->doubt)
		x->doubt = why;
}

static struct frame *
push(struct lexer *x, enum kind kind, const char *why)
{
	if (x->depth == NESTING) {
		doubt(x, "nested too deeply");
		return top(x);
	}
	x->stack[x->depth++] = (struct frame){.kind = kind, .why = why, .first = x->t->nhole};
	return top(x);
}

static bool
is_list(const struct frame *f)
{
	return f->kind == LIST || f->kind == CASE;
}

/* ---- words of a list of commands ---- */

static struct frame *
begin_word(struct lexer *x, bool literal)
{
	struct frame *f = top(x);

	if (!is_list(f))
		return f;
	if (!f->word) {
		f->word = f->literal = true;
		f->brace = f->bracket = f->subscript = f->assign = false;
		f->torn = NULL;
		f->start = x->pos;
	}
	f->literal &= literal;
	return f;
}

static void
new_command(struct lexer *x, struct frame *f)
{
	f->eval = NULL;
	f->command = NULL;
	f->redirect = f->descriptor = false;
	f->first = x->t->nhole;
}

/* All values of the present simple command must be plain, those seen as those to come. */
static void
command_plain(struct lexer *x, struct frame *f, const char *why)
{
	f->command = why;
	for (size_t i = f->first; i < x->t->nhole; i++) {
		struct hole *h = &x->t->hole[i];

		if (h->how != NAME) {
			h->how = PLAIN;
			h->why = why;
			h->evaluated = true;
		}
	}
}

static bool
listed(const char *list, struct str w)
{
	for (const char *p = list; *p; p++)
		if (p[0] == ' ' && !strncmp(p + 1, w.p, w.n) && p[1 + w.n] == ' ')
			return w.n > 0;
	return false;
}

/* The word w without its quotes, in b; empty when it is too long for a name or depends on anything. */
static struct str
unquoted(struct str w, char b[16])
{
	size_t n = 0;

	for (size_t i = 0; i < w.n; i++) {
		if (strchr("'\"\\", w.p[i]))
			continue;
		if (n == 16 || strchr("$`", w.p[i]) || (w.p[i] == '%' && i + 1 < w.n && w.p[i + 1] == '('))
			return (struct str){b, 0};
		b[n++] = w.p[i];
	}
	return (struct str){b, n};
}

static const char number[] = "what some shells evaluate as arithmetic";

/* word: as it stands there; w: the same when it is literal. */
static void
command_word(struct lexer *x, struct frame *f, struct str word, struct str w)
{
	char b[16];
	struct str name = unquoted(word, b);

	if (name.n && name.p[0] == '-')
		return;   /* an option of command or time; zsh's - */
	f->expect = ARGUMENT;
	for (size_t i = 0; i < LEN(evaluators); i++) {
		if (str_is(name, evaluators[i].name)) {
			f->eval = &evaluators[i];
			if (f->eval->kind == EVAL)
				f->command = "an argument that the command evaluates";
			if (f->eval->kind == PREFIX)
				f->expect = COMMAND;
		}
	}
	if (str_is(name, "integer") || str_is(name, "float") || str_is(name, "nameref"))
		doubt(x, "text behind a declaration of integers or references");
	if (str_is(w, "[["))
		f->condition = true;
	for (size_t i = 0; i < LEN(reserved); i++)
		if (str_is(w, reserved[i].word))
			f->expect = reserved[i].next;
	if (f->kind == CASE && str_is(w, "esac")) {
		x->depth--;
		top(x)->expect = COMMAND;
	}
}

static bool
has_option(struct str w, const char *letters)
{
	if (w.n < 2 || (w.p[0] != '-' && w.p[0] != '+'))
		return false;
	for (size_t i = 1; i < w.n; i++)
		if (strchr(letters, w.p[i]))
			return true;
	return false;
}

/* A format of printf that is not known, or takes anything but %s, %b and %q. */
static bool
converts(struct str w)
{
	for (size_t i = 0; i < w.n; i++) {
		if (w.p[i] == '$' || w.p[i] == '`')
			return true;
		if (w.p[i] != '%')
			continue;
		for (i++; i < w.n && strchr("-+ #.0123456789", w.p[i]);)
			i++;
		if (i < w.n && !strchr("%sbq'\"", w.p[i]))
			return true;
	}
	return false;
}

static void
argument_word(struct lexer *x, struct frame *f, struct str word, struct str w)
{
	const struct evaluator *eval = f->eval;
	char b[16];
	struct str arg = unquoted(word, b);

	if (str_is(w, "]]"))
		f->condition = false;
	if (!eval)
		return;
	if (eval->kind == DECLARE && has_option(arg, "inEF"))
		doubt(x, "text behind a declaration of integers or references");
	if ((eval->kind == TEST && listed(eval->when, arg)) || (eval->kind == OPTION && has_option(arg, eval->when)) ||
	    (eval->kind == FORMAT && (has_option(arg, "v") || converts(word))))
		command_plain(x, f, number);
	if (eval->kind == FORMAT ? !has_option(arg, "v") && !str_is(arg, "--") : eval->kind == OPTION && str_is(arg, "--"))
		f->eval = NULL;   /* that was the format; here the options end */
}

/* What the list expects behind the word. */
static void
see_word(struct lexer *x, struct frame *f, struct str word, struct str w)
{
	switch (f->expect) {
	case COMMAND:
		if (!f->assign)
			command_word(x, f, word, w);
		break;
	case ARGUMENT:
		argument_word(x, f, word, w);
		break;
	case CASE_WORD:
		f->expect = CASE_IN;
		break;
	case CASE_IN:
		if (!str_is(w, "in"))
			doubt(x, "text behind a case without in");
		f->expect = COMMAND;
		push(x, CASE, NULL)->expect = PATTERN_FIRST;
		break;
	case PATTERN_FIRST:
		f->expect = PATTERN;
		if (str_is(w, "esac")) {
			x->depth--;
			top(x)->expect = COMMAND;
		}
		break;
	case PATTERN:
		break;
	case FOR_NAME:
		if (listed(integers, w))
			f->command = number;
		f->expect = FOR_IN;
		break;
	case FOR_IN:
		f->expect = str_is(w, "do") ? COMMAND : ARGUMENT;
		break;
	case FUNCTION:
		f->expect = COMMAND;
		break;
	}
}

static void
end_word(struct lexer *x)
{
	struct frame *f = top(x);
	struct str word = {x->p + f->start, x->pos - f->start}, w = {word.p, f->literal ? word.n : 0};

	if (!f->word)
		return;
	f->word = false;
	if (f->subscript)
		doubt(x, "text behind a [ left open");
	f->bracket = f->subscript = f->brace = false;
	if (f->redirect)
		f->redirect = f->descriptor = false;
	else if (!w.n || !peek(x, 0) || !strchr("<>", peek(x, 0)) || strspn(w.p, "0123456789") != w.n)   /* no descriptor's number */
		see_word(x, f, word, w);
}

/* The word so far is name=, name+= or name[...]=. */
static bool
assignment(const struct lexer *x, const struct frame *f)
{
	size_t i = f->start;

	if (!f->word || i >= x->pos || (x->p[i] >= '0' && x->p[i] <= '9'))
		return false;
	while (i < x->pos && ident(x->p[i]))
		i++;
	if (i == f->start)
		return false;
	return i == x->pos || x->p[i] == '[' || (x->p[i] == '+' && i + 1 == x->pos);
}

/* ---- here-documents ---- */

/* Reads the delimiter behind << or <<-. */
static void
here_begin(struct lexer *x)
{
	static const char strange[] = "text behind a here-document with a strange delimiter";
	struct here h = {.depth = x->depth};
	struct buf delim = {0};
	bool any = false;

	x->pos += 2;
	if (peek(x, 0) == '-') {
		h.tabs = true;
		x->pos++;
	}
	while (blank(peek(x, 0)))
		x->pos++;
	for (char c, q = 0; (c = peek(x, 0)) != 0; x->pos++) {
		if (hole_at(x, x->pos) || c == '$' || c == '`' || (q && c == '\n') || (q == '"' && c == '\\')) {
			doubt(x, strange);
			break;
		}
		if (!q && strchr(" \t\n;&|<>()", c))
			break;
		any = true;
		if (q ? c == q : c == '\'' || c == '"') {
			q = q ? 0 : c;
			h.raw = true;
		} else if (!q && c == '\\') {
			h.raw = true;
			x->pos++;
			if (!peek(x, 0) || peek(x, 0) == '\n' || hole_at(x, x->pos)) {
				doubt(x, strange);
				break;
			}
			buf_addc(&delim, peek(x, 0));
		} else {
			buf_addc(&delim, c);
		}
	}
	if (!any || x->nhere == HERE_DOCS)
		doubt(x, strange);
	if (x->doubt) {
		buf_free(&delim);
		return;
	}
	x->t->delim = xrealloc(x->t->delim, (x->t->ndelim + 1) * sizeof *x->t->delim);
	h.delim = x->t->delim[x->t->ndelim++] = xmemdup(delim.p, delim.len);
	buf_free(&delim);
	x->here[x->nhere++] = h;
}

/* The line at pos ends the here-document that is read; *end is where it ends. */
static bool
here_ends(const struct lexer *x, size_t pos, size_t *end)
{
	const struct here *h = &x->here[x->body];
	size_t eol = pos;

	while (eol < x->n && x->p[eol] != '\n')
		eol++;
	if (end)
		*end = eol;
	while (h->tabs && pos < eol && x->p[pos] == '\t')
		pos++;
	return eol - pos == strlen(h->delim) && !memcmp(x->p + pos, h->delim, eol - pos);
}

/* At the beginning of a line of a body: ends it, and goes on with the next, as often as that is the case. */
static void
here_line(struct lexer *x)
{
	size_t end;

	while (x->inbody && here_ends(x, x->pos, &end)) {
		x->pos = end < x->n ? end + 1 : end;
		if (++x->body == x->nhere) {
			x->body = x->nhere = 0;
			x->inbody = false;
			x->depth--;
		}
	}
}

/* At a newline, which is still to be read: here-documents begin behind it, or a line that might end one stands there. */
static void
here_newline(struct lexer *x)
{
	if (x->inbody) {
		if (top(x)->kind != HERE && here_ends(x, x->pos + 1, NULL))
			doubt(x, "text behind a here-document that ends within an expansion");
		return;
	}
	for (size_t i = 0; i < x->nhere; i++)
		if (!is_list(top(x)) || x->here[i].depth != x->depth)
			doubt(x, "text behind a here-document that begins within something else");
}

/* A backslash and a newline in a body: joined lines that might be the delimiter. */
static void
here_joined(struct lexer *x)
{
	const char *delim = x->here[x->body].delim;
	size_t start = x->pos;

	while (start && x->p[start - 1] != '\n')
		start--;
	while (start < x->pos && x->p[start] == '\t')
		start++;
	if (!strncmp(x->p + start, delim, x->pos - start) || here_ends(x, x->pos + 2, NULL))
		doubt(x, "text behind a here-document whose delimiter may be part of a joined line");
}

/* ---- what all contexts share ---- */

static void
backslash(struct lexer *x)
{
	struct frame *f = top(x);
	char before = x->pos ? x->p[x->pos - 1] : 0, after = peek(x, 2);

	if (peek(x, 1) == '\n') {
		if (is_list(f) && ((f->word && after && !strchr(" \t\n", after)) || before == '<' || before == '>' ||
		    (before == after && after && strchr(";&|(", after))))
			doubt(x, "text behind a word or operator that is broken over two lines");
		if (x->inbody)
			here_joined(x);
		else if (x->nhere)
			doubt(x, "text behind a here-document whose line goes on");
		x->pos += 2;
		return;
	}
	begin_word(x, false);
	x->escaped = ++x->pos;
	if (x->pos < x->n && !hole_at(x, x->pos))
		x->pos++;
}

/* $x[ is a subscript in zsh, and arithmetic. */
static bool
subscripted(const struct lexer *x)
{
	size_t i = x->pos + 1;

	while (i < x->n && strchr("+^=~#", x->p[i]))
		i++;
	while (i < x->n && ident(x->p[i]))
		i++;
	return i > x->pos + 1 && i < x->n && (x->p[i] == '[' || (x->p[i] == '\\' && i + 1 < x->n && x->p[i + 1] == '\n'));
}

static bool
in_double(const struct frame *f)
{
	return f->kind == BRACE ? f->quoted : !is_list(f);
}

/* Behind an even number of " in this word. */
static bool
turned(const struct lexer *x)
{
	size_t n = 0;

	for (size_t i = x->depth; i-- && !is_list(&x->stack[i]);)
		n += x->stack[i].kind == DQUOTE;
	return n && n % 2 == 0;
}

static struct frame *
list_around(struct lexer *x)
{
	size_t i = x->depth - 1;

	while (i && !is_list(&x->stack[i]))
		i--;
	return &x->stack[i];
}

/* A character of the text itself within "...". */
static void
quoted_char(struct lexer *x)
{
	char c = peek(x, 0);

	if ((c != '\'' && c != '{' && (c != '(' || !strchr("<>)", x->p[x->pos - 1]))) || !turned(x))
		return;
	if (c == '{')
		list_around(x)->brace = true;
	else
		list_around(x)->torn = "a word with a ' or ( in quotes within quotes";
}

static void
dollar(struct lexer *x)
{
	struct frame *f = begin_word(x, false);
	char c = peek(x, 1);
	bool quoted = in_double(f);

	if (c == '(' && peek(x, 2) == '(') {
		x->pos += 3;
		push(x, ARITH, "arithmetic")->part = true;
	} else if (c == '(') {
		x->pos += 2;
		push(x, LIST, NULL)->part = true;
	} else if (c == '{') {
		x->pos += 2;
		push(x, BRACE, NULL)->quoted = quoted;
		if (strchr(" \t\n|({", peek(x, 0)) && peek(x, 0))
			doubt(x, "text behind a ${ that not all shells know");
	} else if (c == '\'' && !quoted) {
		x->pos += 2;
		push(x, DOLLAR, "$'...'");
	} else if (c == '[' || (c == '\\' && peek(x, 2) == '\n') || subscripted(x)) {
		doubt(x, "text behind a $ that not all shells read alike");
		x->pos++;
	} else {
		x->pos += c && strchr("$?!-@*#0123456789", c) ? 2 : 1;
		if (c == '#' || x->p[x->pos - 1] == '$')
			x->dollar = x->pos;
	}
	if (c == '$' && quoted)
		x->dollar = 0;
	if (c == '$' && !quoted && peek(x, 0) == '\'')   /* zsh: the pid, and $'...' */
		doubt(x, "text behind a $$' that not all shells read alike");
}

/* Backslash, $ and backquote; false when it is none of them. */
static bool
expansion(struct lexer *x)
{
	char c = peek(x, 0);

	if (c == '\\') {
		backslash(x);
	} else if (c == '$') {
		dollar(x);
	} else if (c == '`') {
		begin_word(x, false);
		x->pos++;
		push(x, BACK, "backquotes");
	} else {
		return false;
	}
	return true;
}

/* ---- one step in each context; each moves on by at least one character, or ends it ---- */

static void
open_paren(struct lexer *x)
{
	struct frame *f = top(x), *in;
	bool assign = f->word && f->assign && x->p[x->pos - 1] == '=';

	if (!f->word && f->expect == PATTERN_FIRST) {
		f->expect = PATTERN;
		x->pos++;
		return;
	}
	if (f->word && peek(x, 1) == ')' && !assign) {
		f->word = false;   /* a function's name */
		f->expect = COMMAND;
		x->pos += 2;
		return;
	}
	if (!f->word && f->expect != PATTERN && peek(x, 1) == '(') {
		x->pos += 2;
		push(x, ARITH, "arithmetic");
		return;
	}
	if ((f->word || f->expect == PATTERN) && !assign && peek(x, 1) == '#')
		doubt(x, "text behind a (# that not all shells read alike");
	in = push(x, LIST, (f->word || f->expect == PATTERN) && !assign ? "a pattern" : NULL);
	in->part = f->word || f->expect == PATTERN;
	if (assign)
		in->expect = ARGUMENT;
	x->pos++;
}

static void
close_paren(struct lexer *x)
{
	struct frame *f;
	bool part;

	end_word(x);
	f = top(x);
	part = f->part;
	x->pos++;
	if (f->kind == CASE && (f->expect == PATTERN || f->expect == PATTERN_FIRST)) {
		f->expect = COMMAND;
		new_command(x, f);
		return;
	}
	if (f->kind == CASE || x->depth == 1 || (x->nhere && !x->inbody)) {
		doubt(x, "text behind a ) that closes nothing");
		return;
	}
	x->depth--;
	if (!part && is_list(top(x)))
		top(x)->expect = COMMAND;
}

static void
redirection(struct lexer *x)
{
	struct frame *f;
	char c = peek(x, 0), next = peek(x, 1);

	if (next == '(') {
		end_word(x);
		begin_word(x, false);
		x->pos += 2;
		push(x, LIST, NULL)->part = true;
		return;
	}
	end_word(x);
	f = top(x);
	if (c == '<' && next == '<' && peek(x, 2) != '<') {
		here_begin(x);
		return;
	}
	x->pos += c == '<' && next == '<' ? 3 : next && strchr("<>&|!", next) ? 2 : 1;
	f->redirect = true;
	f->descriptor = next == '&';
}

/* ; & | and newline */
static void
separator(struct lexer *x)
{
	struct frame *f;
	char c = peek(x, 0);

	end_word(x);
	f = top(x);
	x->pos++;
	if (f->expect == PATTERN || f->expect == PATTERN_FIRST || (c == '\n' && f->expect >= CASE_WORD)) {
		if (x->nhere && !x->inbody)
			doubt(x, "text behind a here-document that begins within something else");
		return;
	}
	if (f->kind == CASE && c == ';' && peek(x, 0) && strchr(";&|", peek(x, 0))) {
		x->pos += peek(x, 0) == ';' && peek(x, 1) == '&' ? 2 : 1;
		f->expect = PATTERN_FIRST;
	} else {
		f->expect = COMMAND;
	}
	new_command(x, f);
	if (c == '\n' && x->nhere && !x->inbody && !x->doubt) {
		x->inbody = true;
		push(x, HERE, "a here-document");
		here_line(x);
	}
}

static bool
assigns(const struct frame *f)
{
	return f->expect == COMMAND || (f->eval && f->eval->kind == DECLARE);
}

static void
assigned(const struct lexer *x, struct frame *f)
{
	struct str name = {x->p + f->start, 0};

	while (ident(name.p[name.n]))
		name.n++;
	f->assign = true;
	if (listed(integers, name))
		f->command = number;
}

static void
word_char(struct lexer *x)
{
	struct frame *f = begin_word(x, true);
	char c = peek(x, 0);

	if (c == '=' && assigns(f) && assignment(x, f))
		assigned(x, f);
	if (c == '[') {
		f->subscript = assigns(f) && !f->assign && x->pos > f->start && assignment(x, f);
		f->bracket = true;
	} else if (c == ']') {
		f->bracket = f->subscript = false;
	} else if (c == '{') {
		f->brace = true;
	}
	x->pos++;
}

static void
step_list(struct lexer *x)
{
	char c = peek(x, 0);

	if (expansion(x))
		return;
	if (c == '\'' || c == '"') {
		begin_word(x, false);
		x->pos++;
		push(x, c == '"' ? DQUOTE : QUOTE, NULL);
	} else if (blank(c)) {
		end_word(x);
		x->pos++;
	} else if (c == '\n' || c == ';' || c == '&' || c == '|') {
		separator(x);
	} else if (c == '<' || c == '>') {
		redirection(x);
	} else if (c == '(') {
		open_paren(x);
	} else if (c == ')') {
		close_paren(x);
	} else if (c == '#' && !top(x)->word) {
		x->pos++;
		push(x, COMMENT, "a comment");
	} else {
		word_char(x);
	}
}

static void
step_comment(struct lexer *x)
{
	if (peek(x, 0) == '\n')
		x->depth--;
	else
		x->pos++;
}

static void
step_quote(struct lexer *x)
{
	if (peek(x, 0) == '\'')
		x->depth--;
	x->pos++;
}

static void
step_dquote(struct lexer *x)
{
	if (expansion(x))
		return;
	quoted_char(x);
	if (peek(x, 0) == '"')
		x->depth--;
	x->pos++;
}

static void
step_dollar(struct lexer *x)
{
	if (peek(x, 0) == '\\' && peek(x, 1) == '\'')
		doubt(x, "text behind a $'...' that not all shells end alike");
	if (peek(x, 0) == '\\')
		backslash(x);
	else
		step_quote(x);
}

static void
step_back(struct lexer *x)
{
	if (peek(x, 0) == '\\') {
		backslash(x);
		return;
	}
	if (peek(x, 0) == '`')
		x->depth--;
	x->pos++;
}

/* The name and the operator of ${...}; only those of default values give a place that can be quoted. */
static void
brace_name(struct lexer *x, struct frame *f)
{
	char c = peek(x, 0);
	size_t start = x->pos, end = start;

	if (ident(c) || (x->p[x->pos - 1] == '{' && strchr("@*#?-$!", c))) {
		x->pos++;
		return;
	}
	f->named = true;
	while (ident(x->p[start - 1]))
		start--;
	if (c == ':' && peek(x, 1) && strchr("-+?=", peek(x, 1)))
		c = x->p[++x->pos];
	if (c != '-' && c != '+' && c != '?' && (c != '=' || !f->quoted))
		f->why = "${...}";
	else if (c == '=' && listed(integers, (struct str){x->p + start, end - start}))
		f->why = number;
	x->pos++;
}

static void
step_brace(struct lexer *x)
{
	struct frame *f = top(x);
	enum kind around = f[-1].kind;
	char c = peek(x, 0);

	if (c == '}') {
		x->depth--;
		x->pos++;
	} else if (!f->named) {
		brace_name(x, f);
	} else if (expansion(x)) {
		return;
	} else {
		quoted_char(x);
		x->pos++;
		if ((c == '\'' && f->quoted) || ((c == '"' || c == '\'') && (around == HERE || around == ARITH)) ||
		    (!f->quoted && strchr("(){", c)))
			doubt(x, "text behind a ${...} that not all shells read alike");
		else if (c == '"' || c == '\'')
			push(x, c == '"' ? DQUOTE : QUOTE, NULL);
	}
}

static void
step_arith(struct lexer *x)
{
	struct frame *f = top(x);
	char c = peek(x, 0);

	if (expansion(x))
		return;
	x->pos++;
	if (c == '(') {
		f->parens++;
	} else if (c == ')' && f->parens) {
		f->parens--;
	} else if (c == ')' && peek(x, 0) == ')') {
		x->pos++;
		x->depth--;
		if (!f->part && is_list(top(x)))
			top(x)->expect = COMMAND;
	} else if (c == ')' || c == '\'' || c == '"' || (c == '\n' && !f->part)) {
		doubt(x, "text behind arithmetic that not all shells read alike");
	}
}

static void
step_here(struct lexer *x)
{
	if (!x->here[x->body].raw && expansion(x))
		return;
	if (x->p[x->pos++] == '\n')
		here_line(x);
}

static void (*const step[])(struct lexer *) = {
	[LIST] = step_list, [CASE] = step_list, [COMMENT] = step_comment, [QUOTE] = step_quote, [DQUOTE] = step_dquote,
	[DOLLAR] = step_dollar, [BACK] = step_back, [BRACE] = step_brace, [ARITH] = step_arith, [HERE] = step_here,
};

/* ---- placeholders ---- */

/* Why a value that stands here must be plain, or NULL; *evaluated: it would not help to give it as "$v". */
static const char *
plain_why(const struct lexer *x, bool *evaluated)
{
	*evaluated = false;
	if (x->doubt)
		return x->doubt;
	if (x->escaped == x->pos && x->pos)
		return "text right after a backslash";
	for (size_t i = 0; i < x->depth; i++) {
		const struct frame *f = &x->stack[i];

		*evaluated = f->command || f->bracket || f->condition || f->kind == ARITH || f->descriptor;
		if (f->why || f->command)
			return f->why ? f->why : f->command;
		if (f->bracket)
			return "[...]";
		if (f->condition)
			return "[[ ]]";
		if (f->descriptor)
			return "the target of <& or >&";
		if (f->eval && f->eval->kind == DECLARE && !f->assign)
			return "a declared name";
	}
	return NULL;
}

/* The text before goes on with a name when more of it follows: $x, $1, in zsh $x: too, or $ and a value. */
static bool
after_name(const struct lexer *x)
{
	const struct hole *h = x->t->nhole ? &x->t->hole[x->t->nhole - 1] : NULL;
	size_t i = x->pos;

	if (i && x->p[i - 1] == ':' && !x->doubt)
		i--;
	if (i > 1 && x->p[i - 2] == '$' && strchr("@*?!-#$0123456789", x->p[i - 1]))
		return true;
	while (i && ident(x->p[i - 1]))
		i--;
	return i && ((x->p[i - 1] == '$' && i < x->pos) || (h && h->how == NAME && h->end == i));
}

/* A { stands before in this line. */
static bool
behind_brace(const struct lexer *x)
{
	for (size_t i = x->pos; i && x->p[i - 1] != '\n'; i--)
		if (x->p[i - 1] == '{' && (i < 2 || x->p[i - 2] != '$'))
			return true;
	return false;
}

/* The first character of the word before pos, without quotes and values; 0: there is none.  *values: but values. */
static char
word_begins(const struct lexer *x, const struct frame *f, bool *values)
{
	*values = false;
	for (size_t i = f->word ? f->start : x->pos; i < x->pos; i++) {
		if (hole_at(x, i)) {
			*values = true;
			while (x->p[i] != ')')
				i++;
		} else if (!strchr("'\"\\", x->p[i])) {
			return x->p[i];
		}
	}
	return 0;
}

/* The word goes on behind h. */
static bool
word_goes_on(const struct lexer *x, const struct hole *h)
{
	size_t i = h->end;

	while (i < x->n && strchr("'\"", x->p[i]))
		i++;
	return i < x->n && !strchr(" \t\n;&|<>)", x->p[i]);
}

/* What the shell will see behind h. */
static char
next_char(const struct lexer *x, const struct hole *h)
{
	size_t i = h->end;

	while (i + 1 < x->n && x->p[i] == '\\' && x->p[i + 1] == '\n')
		i += 2;
	return i < x->n ? x->p[i] : 0;
}

/* What the line around h might end, were the value right: the delimiter of the here-document, when all else in the line could be
 * part of it; after a doubt any text that looks like one. */
static struct str
line_delim(const struct lexer *x, const struct hole *h)
{
	struct str d = {x->p, x->n};
	size_t i = h->pos, k = x->t->nhole;

	if (x->inbody)
		d = str_of(x->here[x->body].delim);
	else if (!x->doubt || !strstr(x->t->text, "<<"))
		return (struct str){0};
	for (; i && x->p[i - 1] != '\n'; i--)
		if (k && x->t->hole[k - 1].end == i)
			i = x->t->hole[--k].pos + 1;
	for (; i < x->n && x->p[i] != '\n'; i++) {
		if (hole_at(x, i))
			while (i < x->n && x->p[i] != ')')
				i++;
		else if (!strchr("\t\\", x->p[i]) && (blank(x->p[i]) || !memchr(d.p, x->p[i], d.n)))
			return (struct str){0};
	}
	return d;
}

/* With what stands around it in its word the value, without quotes, could make a name that something is assigned to. */
static bool
makes_name(const struct lexer *x, const struct frame *f, const struct hole *h)
{
	size_t i = h->end;

	while (i < x->n && ident(x->p[i]))
		i++;
	if (i == x->n)
		return false;
	return x->p[i] == '[' || ((x->p[i] == '=' || x->p[i] == '+') && (i > h->end || f->start < x->pos));
}

/* Where a word without quotes might be something else: in a list of commands, backquotes, or who knows. */
static unsigned char
force(const struct lexer *x, const struct frame *f, const struct hole *h)
{
	bool list = is_list(f);
	char next = next_char(x, h);
	unsigned char set = after_name(x) ? AFTER_NAME : 0;

	if (!list && f->kind != BACK && !x->doubt)
		return set;
	if (next == '<' || next == '>' || next == '(')
		set |= FORCE_ALWAYS;
	if (list && f->expect != ARGUMENT && !f->assign && !f->redirect)
		set |= makes_name(x, f, h) ? FORCE_COMMAND | FORCE_ALWAYS : FORCE_COMMAND;
	if ((list && f->brace) || ((h->why || x->doubt) && behind_brace(x)))
		set |= FORCE_BRACES;
	return set;
}

/* The name of a command must not turn out eval, an argument of [, test and the like not an operator nor an option. */
static void
place_operator(struct lexer *x, struct hole *h)
{
	struct frame *f = list_around(x);
	bool values;
	char first = word_begins(x, f, &values);
	bool empty = !first || first == '$' || first == '`';   /* or may be */

	h->command = f->expect == COMMAND && !f->assign && !f->redirect && empty;
	if (x->doubt || !f->eval || f->command || (f->eval->kind != TEST && f->eval->kind != OPTION))
		return;
	if (first == '-') {
		command_plain(x, f, number);
	} else if (empty) {
		h->operators = f->eval->kind == TEST ? f->eval->when : "";
		h->composed = !first && (values || word_goes_on(x, h));
	}
}

/* Decides how the value of h, at pos, is quoted. */
static void
place(struct lexer *x, struct hole *h)
{
	struct frame *f = begin_word(x, false);
	const char *torn = list_around(x)->torn;

	place_operator(x, h);
	h->how = PLAIN;
	h->why = plain_why(x, &h->evaluated);
	h->delim = line_delim(x, h);
	h->force = force(x, f, h);
	if (x->dollar == x->pos && x->pos && !x->doubt) {
		h->how = NAME;
		h->why = "text right after a $";
		if (next_char(x, h) == '[')
			doubt(x, "text behind a subscript");
		return;
	}
	if ((f->kind == BRACE && !f->named) && !x->doubt) {
		h->how = NAME;
		h->why = "the name in ${...}";
		return;
	}
	if (torn && !x->doubt) {
		h->how = NAME;
		h->why = torn;
		return;
	}
	if (h->why)
		return;
	h->how = f->kind == QUOTE ? SINGLE : f->kind == DQUOTE ? DOUBLE : f->kind == BRACE && f->quoted ? NESTED : WORD;
	h->turned = (h->how == DOUBLE && turned(x)) || (h->how == NESTED && !turned(x));
}

static size_t
skip_space(const char *p, size_t n, size_t i)
{
	while (i < n && (blank(p[i]) || p[i] == '\n' || p[i] == '\r'))
		i++;
	return i;
}

static size_t
intern(struct tmpl *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->nname; i++)
		if (!strcmp(t->name[i], name))
			return i;
	t->name = xrealloc(t->name, (t->nname + 1) * sizeof *t->name);
	t->name[t->nname++] = xstrdup(name);
	return i;
}

/* The parts of a name, from behind %( on, into b.  Where the closing ) was passed, or 0 with err. */
static size_t
parse_name(const struct tmpl *t, size_t i, struct buf *b, struct err *e)
{
	const char *p = t->text;

	for (;; i++) {
		size_t start = i = skip_space(p, t->n, i);
		bool digits = i < t->n && p[i] >= '0' && p[i] <= '9';

		while (i < t->n && ident(p[i]) && (!digits || (p[i] >= '0' && p[i] <= '9')))
			i++;
		if (i == start) {
			err_at(e, EXIT_USAGE, i, "template: a name is expected after %s", b->len ? "." : "%(");
			return 0;
		}
		buf_add(b, p + start, i - start);
		i = skip_space(p, t->n, i);
		if (i >= t->n || p[i] != '.')
			break;
		buf_addc(b, '.');
	}
	if (i < t->n && p[i] == ')')
		return i + 1;
	err_at(e, EXIT_USAGE, i, "template: a ) is expected after %%(%.100s: names are letters, digits and _, joined by dots", b->p);
	return 0;
}

static int
placeholder(struct lexer *x, enum tmpl_form form, struct err *e)
{
	struct tmpl *t = x->t;
	struct hole h = {.pos = x->pos, .how = RAW};
	struct buf name = {0};

	h.end = parse_name(t, x->pos + 2, &name, e);
	if (h.end) {
		h.name = intern(t, name.p);
		if (form == TMPL_SHELL)
			place(x, &h);
		if (!(t->nhole & (t->nhole + 1)))   /* at 0, 1, 3, 7 ... */
			t->hole = xrealloc(t->hole, (t->nhole * 2 + 1) * sizeof *t->hole);
		t->hole[t->nhole++] = h;
		x->pos = h.end;
	}
	buf_free(&name);
	return h.end ? 0 : -1;
}

static int
parse(struct tmpl *t, enum tmpl_form form, struct err *e)
{
	struct lexer *x = xcalloc(1, sizeof *x);
	int r = 0;

	*x = (struct lexer){.t = t, .p = t->text, .n = t->n};
	push(x, LIST, NULL);
	while (!r && x->pos < x->n) {
		if (hole_at(x, x->pos)) {
			r = placeholder(x, form, e);
			continue;
		}
		if (form == TMPL_SHELL && !x->doubt && x->p[x->pos] == '\n')
			here_newline(x);
		if (form == TMPL_ARG || x->doubt)
			x->pos++;
		else
			step[top(x)->kind](x);
	}
	free(x);
	return r;
}

struct tmpl *
tmpl_parse(struct str text, enum tmpl_form form, struct err *e)
{
	struct tmpl *t = xcalloc(1, sizeof *t);
	const char *nul = text.n ? memchr(text.p, 0, text.n) : NULL;

	t->text = xmemdup(text.p, text.n);
	t->n = text.n;
	if (nul)
		err_at(e, EXIT_USAGE, (size_t)(nul - text.p), "template: holds a NUL byte");
	if (nul || parse(t, form, e) < 0) {
		if (e)
			err_locate(e, t->text, t->n);
		tmpl_free(t);
		return NULL;
	}
	return t;
}

void
tmpl_free(struct tmpl *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->nname; i++)
		free(t->name[i]);
	for (size_t i = 0; i < t->ndelim; i++)
		free(t->delim[i]);
	free(t->name);
	free(t->delim);
	free(t->hole);
	free(t->text);
	free(t);
}

size_t
tmpl_count(const struct tmpl *t)
{
	return t->nname;
}

const char *
tmpl_name(const struct tmpl *t, size_t i)
{
	return t->name[i];
}

/* ---- values ---- */

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
static const char name_chars[] = NAME_CHARS, safe[] = NAME_CHARS "@%+=:,./-";

static bool
only(struct str s, const char *set)
{
	for (size_t i = 0; i < s.n; i++)
		if (!s.p[i] || !strchr(set, s.p[i]))
			return false;
	return s.n > 0;
}

static bool
needs_quotes(struct str s)
{
	return !only(s, safe) || s.p[0] == '=';
}

static void
put_quoted(struct buf *out, struct str s, const char *quote)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\'')
			buf_adds(out, quote);
		else
			buf_addc(out, s.p[i]);
	}
}

static void
put_word(struct buf *out, struct str s)
{
	buf_addc(out, '\'');
	put_quoted(out, s, "'\"'\"'");
	buf_addc(out, '\'');
}

/* Where bash's braces take it for unquoted, what means something to them is put between two inner quoted parts; there is no such
 * way to write a ', but in a command of its own. */
static void
put_double(struct buf *out, struct str s, bool turned)
{
	for (size_t i = 0; i < s.n; i++) {
		if (strchr("\\\"$`", s.p[i]))
			buf_printf(out, "\\%c", s.p[i]);
		else if (turned && strchr(",.(", s.p[i]))
			buf_printf(out, "\"%c\"", s.p[i]);
		else if (turned && s.p[i] == '\'')
			buf_adds(out, "$(echo \\')");
		else
			buf_addc(out, s.p[i]);
	}
}

void
tmpl_quote(struct buf *out, struct str word)
{
	if (needs_quotes(word))
		put_word(out, word);
	else
		buf_add(out, word.p, word.n);
}

/* A value's text: True, 1.50, {"a": [1, "b"]}; strings as they are. */
static void
put_text(struct buf *out, const struct json *v)
{
	if (v->type == JSON_STR)
		buf_add(out, v->s, v->len);
	else if (v->type == JSON_BOOL)
		buf_adds(out, v->is ? "True" : "False");
	else if (v->type == JSON_NULL)
		buf_adds(out, "None");
	else
		json_print(out, v, JSON_SPACED);
}

static bool
forced(const struct hole *h, struct str s)
{
	if (h->force & (FORCE_ALWAYS | AFTER_NAME))
		return true;
	if ((h->force & FORCE_BRACES) && (memchr(s.p, ',', s.n) || s.p[0] == '.' || s.p[s.n - 1] == '.' || strstr(s.p, "..")))
		return true;
	if (!(h->force & FORCE_COMMAND))
		return false;
	for (size_t i = 0; i < LEN(reserved); i++)
		if (str_is(s, reserved[i].word))
			return true;
	return memchr(s.p, '=', s.n) || listed(integers, s);
}

static bool
part_of(struct str whole, struct str s)
{
	for (size_t i = 0; i + s.n <= whole.n; i++)
		if (!memcmp(whole.p + i, s.p, s.n))
			return true;
	return false;
}

/* Where it must be plain, a value that begins with a letter would go on with the name before; one that begins with / would not. */
static bool
plain(const struct hole *h, struct str s)
{
	if (h->how == NAME)
		return only(s, name_chars);
	if (needs_quotes(s) || ((h->force & AFTER_NAME) && (ident(s.p[0]) || s.p[0] == ':')))
		return false;
	return !forced(&(struct hole){.force = h->force & (unsigned char)~AFTER_NAME}, s);
}

static int
put_plain(const struct tmpl *t, const struct hole *h, struct str s, struct buf *out, struct err *e)
{
	const char *name = t->name[h->name];

	if (!plain(h, s) && h->evaluated)
		return err_at(e, EXIT_REFUSED, h->pos, "%%(%.100s): its value would need quoting, which is not safe in %s", name, h->why);
	if (!plain(h, s))
		return err_at(e, EXIT_REFUSED, h->pos, "%%(%.100s): its value would need quoting, which is not safe in %s: assign it "
		    "to a variable first (v=%%(%.60s)) and use \"$v\"", name, h->why, name);
	if (h->delim.n && part_of(h->delim, s))
		return err_at(e, EXIT_REFUSED, h->pos, "%%(%.100s): its value could end the here-document", name);
	buf_add(out, s.p, s.n);
	return 0;
}

/* The value is, or with what stands beside it may become, what has the command evaluate other arguments. */
static bool
operates(const struct hole *h, struct str s)
{
	for (size_t i = 0; h->command && i < LEN(evaluators); i++)
		if (str_is(s, evaluators[i].name))
			return true;
	if (!h->operators)
		return false;
	if (!*h->operators)
		return s.n && (s.p[0] == '-' || s.p[0] == '+');
	return h->composed ? s.n && s.n <= 3 && s.p[0] == '-' : listed(h->operators, s);
}

/* Ends a name within "...".  A "" would not: bash drops those inside "${x:-...}" before it looks for names. */
static const char nothing[] = "${x+}";

static int
put_value(const struct tmpl *t, const struct hole *h, struct str s, struct buf *out, struct err *e)
{
	if (operates(h, s))
		return err_at(e, EXIT_REFUSED, h->pos, "%%(%.100s): its value would have the shell evaluate other arguments of its command",
		    t->name[h->name]);
	switch ((enum how)h->how) {
	case RAW:
		buf_add(out, s.p, s.n);
		return 0;
	case WORD:
		if (needs_quotes(s) || forced(h, s))
			put_word(out, s);
		else
			buf_add(out, s.p, s.n);
		return 0;
	case SINGLE:
		put_quoted(out, s, "'\\''");
		return 0;
	case DOUBLE:
		buf_adds(out, h->force & AFTER_NAME ? nothing : "");
		put_double(out, s, h->turned);
		return 0;
	case NESTED:
		buf_adds(out, h->force & AFTER_NAME ? nothing : "");
		buf_addc(out, '"');
		put_double(out, s, h->turned);
		buf_addc(out, '"');
		return 0;
	case PLAIN:
	case NAME:
		break;
	}
	return put_plain(t, h, s, out, e);
}

/* The value a name stands for.  NULL with err.pos at the part that is missing. */
static const struct json *
look_up(const struct tmpl *t, const struct hole *h, const struct json *args, struct err *e)
{
	const char *part = t->name[h->name], *name = part;
	size_t at = skip_space(t->text, t->n, h->pos + 2);
	const struct json *v = args;

	for (;;) {
		struct str key = {part, strcspn(part, ".")};

		v = json_get(v, key);
		if (!v) {
			err_at(e, EXIT_REFUSED, at, "%%(%.100s): the task's args have no %.*s", name, (int)(part - name + (ptrdiff_t)key.n),
			    name);
			return NULL;
		}
		if (!part[key.n])
			break;
		part += key.n + 1;
		at = skip_space(t->text, t->n, at + key.n);        /* at the dot */
		at = skip_space(t->text, t->n, at + 1);
	}
	if (v->type == JSON_NULL) {
		err_at(e, EXIT_REFUSED, at, "%%(%.100s): is null in the task's args", name);
		return NULL;
	}
	return v;
}

static int
fill(const struct tmpl *t, const struct hole *h, const struct json *args, struct buf *out, struct err *e)
{
	const struct json *v = look_up(t, h, args, e);
	struct buf text = {0};
	int r;

	if (!v)
		return -1;
	put_text(&text, v);
	if (memchr(text.p, 0, text.len))
		r = err_at(e, EXIT_REFUSED, h->pos, "%%(%.100s): its value holds U+0000, which no argument can", t->name[h->name]);
	else
		r = put_value(t, h, (struct str){text.p, text.len}, out, e);
	buf_free(&text);
	return r;
}

int
tmpl_expand(const struct tmpl *t, const struct json *args, struct buf *out, struct err *e)
{
	size_t from = 0, len = out->len;

	for (size_t i = 0; i < t->nhole; i++) {
		const struct hole *h = &t->hole[i];

		buf_add(out, t->text + from, h->pos - from);
		if (fill(t, h, args, out, e) < 0) {
			if (e)
				err_locate(e, t->text, t->n);
			out->len = len;
			out->p[len] = 0;
			return -1;
		}
		from = h->end;
	}
	buf_add(out, t->text + from, t->n - from);
	return 0;
}

/* ---- showing where ---- */

/* The character before i that begins at or after start. */
static size_t
char_before(struct str text, size_t start, size_t i)
{
	do
		i--;
	while (i > start && ((unsigned char)text.p[i] & 0xc0) == 0x80);
	return i;
}

void
tmpl_caret(struct buf *out, struct str text, const struct err *e)
{
	size_t pos = e->pos < text.n ? e->pos : text.n, start = pos, i = pos, before = 0, shown = 0;

	while (start && text.p[start - 1] != '\n')
		start--;
	for (; i > start && before < 30; before++)
		i = char_before(text, start, i);
	while (i < text.n && text.p[i] != '\n' && shown++ < 50) {
		uint32_t cp;
		size_t len = utf8_get(text.p + i, text.n - i, &cp);

		if (!len || cp < ' ' || (cp >= 0x7f && cp < 0xa0))
			buf_addc(out, len ? ' ' : '?');
		else
			buf_add(out, text.p + i, len);
		i += len ? len : 1;
	}
	buf_addc(out, '\n');
	while (before--)
		buf_addc(out, ' ');
	buf_adds(out, "^\n");
}
