/* SPDX-License-Identifier: MIT */
/*
 * Options from tables.  One row says how an option is spelt, what its value is and what it means: the parser, the checks of
 * values and the help text all read it.  Nothing here knows a command.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* What every command that speaks to a server takes. */
enum { CACERT, PIN, COMMON };
static const double FOREVER = 1e10;   /* seconds of a duration: what fits, in microseconds */
static const struct opt common[COMMON + 1] = {
	[CACERT] = {"--cacert", OPT_TEXT, "FILE|DIR", "https: believe servers with certificates of these issuers", NULL},
	[PIN] = {"--pin", OPT_TEXT, "sha256:DIGEST", "https: believe the server with this key or certificate", NULL},
	[COMMON] = {0}
};

struct parse {
	const struct command *c;
	int argc, i;
	char **argv;
	struct args *a;
	struct err *e;
};

/* The next word of a text of words between single bytes sep; false at the end. */
static bool
next_word(const char **p, char sep, struct str *word)
{
	const char *end = strchr(*p, sep);

	if (!**p)
		return false;
	*word = (struct str){*p, end ? (size_t)(end - *p) : strlen(*p)};
	*p += word->n + (end != NULL);
	return true;
}

bool
opt_name(const char **names, struct str *name)
{
	return next_word(names, ' ', name);
}

/* Whether a spelling of the table is what was given; --no-x of "--[no-]x" sets *off. */
static bool
spelt(struct str name, struct str given, bool *off)
{
	*off = false;
	if (name.n < 8 || memcmp(name.p, "--[no-]", 7))
		return str_eq(name, given);
	name.p += 7;
	name.n -= 7;
	if (given.n > 5 && !memcmp(given.p, "--no-", 5) && str_eq(name, (struct str){given.p + 5, given.n - 5})) {
		*off = true;
		return true;
	}
	return given.n > 2 && !memcmp(given.p, "--", 2) && str_eq(name, (struct str){given.p + 2, given.n - 2});
}

static int
count(const struct command *c)
{
	int n = 0;

	while (c->opts[n].names)
		n++;
	return n;
}

const struct opt *
opt_row(const struct command *c, int i)
{
	int n = count(c);

	return i < n ? &c->opts[i] : i < n + (c->noconf ? 0 : COMMON) ? &common[i - n] : NULL;
}

static int
find(const struct command *c, struct str given, bool *off)
{
	const struct opt *o;

	for (int i = 0; (o = opt_row(c, i)); i++) {
		const char *p = o->names;

		for (struct str name; next_word(&p, ' ', &name);)
			if (spelt(name, given, off))
				return i;
	}
	return -1;
}

enum { FAR = 99, LONGEST = 31 };

/* Levenshtein's, one row at a time; two letters swapped count one. */
int
opt_distance(struct str a, struct str b)
{
	int row[3][LONGEST + 1];

	if (a.n > LONGEST || b.n > LONGEST)
		return FAR;
	for (int j = 0; j <= (int)b.n; j++)
		row[0][j] = j;
	for (int i = 1; i <= (int)a.n; i++) {
		int *now = row[i % 3], *above = row[(i + 2) % 3], *higher = row[(i + 1) % 3];

		now[0] = i;
		for (int j = 1; j <= (int)b.n; j++) {
			int best = above[j - 1] + (a.p[i - 1] != b.p[j - 1]);

			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] && higher[j - 2] + 1 < best)
				best = higher[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[a.n % 3][b.n];
}

static int
unknown(struct parse *p, struct str given)
{
	struct str best = {0};
	const struct opt *o;
	int least = 3;   /* more than two letters changed is another word */

	for (int i = 0; (o = opt_row(p->c, i)); i++) {
		const char *names = o->names;

		for (struct str name; next_word(&names, ' ', &name);) {
			int d = opt_distance(name, given);

			if (name.n > 2 && given.n > 2 && d < least) {
				least = d;
				best = name;
			}
		}
	}
	if (best.n)
		return err_set(p->e, EXIT_USAGE, "unknown option %.*s: did you mean %.*s?", (int)given.n, given.p, (int)best.n, best.p);
	return err_set(p->e, EXIT_USAGE, "unknown option %.*s: see labtasker %s --help", (int)given.n, given.p, p->c->name);
}

/* ---- values ---- */

/* The place of text among the words of "yaml|jsonl", -1 when it is none of them. */
static int
choice(const char *words, const char *text)
{
	int i = 0;

	for (struct str word; next_word(&words, '|', &word); i++)
		if (str_is(word, text))
			return i;
	return -1;
}

/* Fills v from text; what it should be when it is not that, else NULL. */
static const char *
read_value(const struct opt *o, const char *text, struct optval *v)
{
	v->text = text;
	switch (o->kind) {
	case OPT_INT:
		return parse_int(str_of(text), &v->num) < 0 ? "a whole number" : NULL;
	case OPT_FLOAT:
		return parse_float(str_of(text), &v->real) < 0 ? "a number" : NULL;
	case OPT_DURATION:
	case OPT_OPTIONAL:
		return parse_duration(str_of(text), &v->real) < 0 || v->real < 0 || v->real > FOREVER ?
		    "a duration (90, 1.5, 1h30m)" : NULL;
	case OPT_CHOICE:
		v->num = choice(o->arg, text);
		return v->num < 0 ? o->arg : NULL;
	case OPT_FLAG:
		v->num = !strcmp(text, "1");
		break;
	case OPT_LIST:
		v->list = xrealloc(v->list, ((size_t)v->nlist + 1) * sizeof *v->list);
		v->list[v->nlist++] = text;
		break;
	case OPT_TEXT:
	case OPT_SECRET:
	case OPT_ASKED:
		break;
	}
	return NULL;
}

/* The text is the end of the word where the parser is; there it becomes stars. */
static void
conceal(struct parse *p, struct optval *v)
{
	char *word = p->argv[p->i], *text = word + (v->text - word);

	free(v->secret);
	v->text = v->secret = xstrdup(text);
	memset(text, '*', strlen(text));
}

static int
take(struct parse *p, int i, struct str name, const char *text)
{
	const struct opt *o = opt_row(p->c, i);
	const char *want;

	if (!text)
		return err_set(p->e, EXIT_USAGE, "%.*s needs a value: %.*s %s", (int)name.n, name.p, (int)name.n, name.p, o->arg);
	want = read_value(o, text, &p->a->val[i]);
	if (want)
		return err_set(p->e, EXIT_USAGE, "Invalid value for %.*s: '%s': it must be %s", (int)name.n, name.p, text, want);
	p->a->val[i].given = true;
	if (o->kind == OPT_SECRET || o->kind == OPT_ASKED)
		conceal(p, &p->a->val[i]);
	return 0;
}

static const char *
next_arg(struct parse *p)
{
	return p->i + 1 < p->argc ? p->argv[++p->i] : NULL;
}

static int
long_option(struct parse *p, const char *word)
{
	const char *eq = strchr(word, '=');
	struct str name = {word, eq ? (size_t)(eq - word) : strlen(word)};
	bool off;
	int i = find(p->c, name, &off);
	enum opt_kind kind;

	if (i < 0 && str_is(name, "--help")) {
		p->a->help = true;
		return 0;
	}
	if (i < 0)
		return unknown(p, name);
	kind = opt_row(p->c, i)->kind;
	if (kind == OPT_ASKED && !eq && (p->i + 1 == p->argc || p->argv[p->i + 1][0] == '-')) {
		p->a->val[i].given = true;
		p->a->val[i].text = NULL;
		return 0;
	}
	if (kind == OPT_OPTIONAL && !eq) {
		p->a->val[i] = (struct optval){.given = true, .real = -1};
		return 0;
	}
	if (kind != OPT_FLAG)
		return take(p, i, name, eq ? eq + 1 : next_arg(p));
	if (eq)
		return err_set(p->e, EXIT_USAGE, "%.*s takes no value", (int)name.n, name.p);
	return take(p, i, name, off ? "0" : "1");
}

/* -q, -qv, -s text, -stext. */
static int
short_options(struct parse *p, const char *word)
{
	for (const char *s = word + 1; *s && !p->a->help; s++) {
		char text[2] = {'-', *s};
		struct str name = {text, 2};
		bool off;
		int i = find(p->c, name, &off);

		if (i < 0 && *s == 'h')
			p->a->help = true;
		else if (i < 0)
			return unknown(p, name);
		else if (p->c->opts[i].kind != OPT_FLAG)
			return take(p, i, name, s[1] ? s + 1 : next_arg(p));
		else if (take(p, i, name, "1") < 0)
			return -1;
	}
	return 0;
}

static bool
wants_rest(const struct command *c)
{
	return c->synopsis && strstr(c->synopsis, "-- ");
}

/* How many operands there are must fit the table. */
static int
count_words(struct parse *p)
{
	const struct command *c = p->c;
	const struct args *a = p->a;

	if (c->max >= 0 && a->nword > c->max)
		return err_set(p->e, EXIT_USAGE, "'%s' is not understood here: %s%s%s", a->word[c->max],
		    wants_rest(c) ? "put -- before it" : "see labtasker ", wants_rest(c) ? "" : c->name, wants_rest(c) ? "" : " --help");
	if (a->nword < c->min)
		return err_set(p->e, EXIT_USAGE, "something is missing: labtasker %s %s", c->name, c->synopsis ? c->synopsis : "");
	return 0;
}

int
opt_parse(const struct command *c, int argc, char **argv, struct args *a, struct err *e)
{
	struct parse p = {c, argc, 0, argv, a, e};
	size_t n = (size_t)count(c);

	*a = (struct args){.val = xcalloc(n + COMMON, sizeof *a->val), .nval = n + COMMON};
	a->word = xcalloc((size_t)argc + 1, sizeof *a->word);
	for (size_t i = 0; i < n; i++)
		if (c->opts[i].deflt)
			read_value(&c->opts[i], c->opts[i].deflt, &a->val[i]);
	for (; p.i < argc && !a->help; p.i++) {
		char *word = argv[p.i];

		if (!strcmp(word, "--")) {
			if (wants_rest(c)) {
				a->rest = argv + p.i + 1;
				a->nrest = argc - p.i - 1;
				break;
			}
			while (++p.i < argc)
				a->word[a->nword++] = argv[p.i];
		} else if (word[0] != '-' || !word[1]) {
			a->word[a->nword++] = word;
		} else if ((word[1] == '-' ? long_option(&p, word) : short_options(&p, word)) < 0) {
			return -1;
		}
	}
	a->cacert = a->val[n + CACERT].text;
	a->pin = a->val[n + PIN].text;
	return a->help ? 0 : count_words(&p);
}

void
opt_free(struct args *a)
{
	for (size_t i = 0; i < a->nval; i++) {
		free(a->val[i].list);
		free(a->val[i].secret);
	}
	free(a->val);
	free(a->word);
	*a = (struct args){0};
}

/* ---- help ---- */

/* "  -q, --quiet  what it does", what it does at one column. */
static void
help_row(struct buf *b, const char *names, const char *arg, const char *help, const char *deflt)
{
	enum { COLUMN = 34 };
	size_t from = b->len;
	const char *p = names;
	int n = 0;

	buf_adds(b, "  ");
	for (struct str name; next_word(&p, ' ', &name); n++) {
		if (n)
			buf_adds(b, ", ");
		buf_add(b, name.p, name.n);
	}
	if (arg)
		buf_printf(b, "%s%s", strncmp(arg, "[=", 2) ? " " : "", arg);
	if (b->len - from > COLUMN - 2) {
		buf_addc(b, '\n');
		from = b->len;
	}
	while (b->len - from < COLUMN)
		buf_addc(b, ' ');
	buf_adds(b, help);
	if (deflt)
		buf_printf(b, " (default %s)", deflt);
	buf_addc(b, '\n');
}

void
opt_help(struct buf *b, const struct command *c, const char *prog)
{
	const struct opt *o;

	buf_printf(b, "usage: %s %s [options]%s%s\n", prog, c->name, c->synopsis ? " " : "", c->synopsis ? c->synopsis : "");
	buf_printf(b, "%s\n\noptions:\n", c->about);
	for (int i = 0; (o = opt_row(c, i)); i++)
		help_row(b, o->names, o->kind == OPT_FLAG ? NULL : o->arg, o->help, o->kind == OPT_FLAG ? NULL : o->deflt);
	help_row(b, "-h --help", NULL, "show this", NULL);
	if (c->alias)
		buf_printf(b, "\nalso: %s %s\n", prog, c->alias);
	if (c->example)
		buf_printf(b, "\nexample:\n  %s\n", c->example);
}
