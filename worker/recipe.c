/* SPDX-License-Identifier: MIT */
/*
 * A command with its %(...): what it asks of a task, and what it becomes for one (SPEC 3).  Words are filled in place, each stays
 * one word; a text goes whole to a shell, its values quoted for the place where they stand.
 */
#include "worker.h"

#include <stdlib.h>
#include <string.h>

struct recipe {
	struct tmpl **part;       /* one a word, or the one text */
	size_t n;
	char *const *argv;        /* NULL: it is a text */
	const char *text, *shell;
};

/* Whether the program is a shell, whose -c takes a text. */
static bool
is_shell(const char *program)
{
	static const char *const shells[] = {"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox"};
	const char *slash = strrchr(program, '/');

	for (size_t i = 0; i < LEN(shells); i++)
		if (!strcmp(slash ? slash + 1 : program, shells[i]))
			return true;
	return false;
}

/* The word that a shell among the words will run as a text, and that has values in it; 0: none. */
static size_t
shell_text(const struct recipe *r)
{
	bool shell = false;

	for (size_t i = 0; i + 1 < r->n; i++) {
		const char *w = r->argv[i];

		shell = shell || is_shell(w);
		if (shell && i && w[0] == '-' && w[1] != '-' && strchr(w, 'c'))
			return tmpl_count(r->part[i + 1]) ? i + 1 : 0;
	}
	return 0;
}

static int
parse(struct recipe *r, size_t i, const char *text, enum tmpl_form form, struct err *e, struct buf *caret)
{
	r->part[i] = tmpl_parse(str_of(text), form, e);
	if (r->part[i])
		return 0;
	tmpl_caret(caret, str_of(text), e);
	e->code = EXIT_USAGE;
	return -1;
}

struct recipe *
recipe_new(char *const *argv, const char *text, const char *shell, struct err *e, struct buf *caret)
{
	struct recipe *r = xcalloc(1, sizeof *r);

	r->argv = argv;
	r->text = text;
	r->shell = shell ? shell : "/bin/sh";
	while (argv && argv[r->n])
		r->n++;
	r->n += !argv;
	r->part = xcalloc(r->n, sizeof *r->part);
	for (size_t i = 0; i < r->n; i++) {
		if (parse(r, i, argv ? argv[i] : text, argv ? TMPL_ARG : TMPL_SHELL, e, caret) < 0) {
			recipe_free(r);
			return NULL;
		}
	}
	return r;
}

void
recipe_free(struct recipe *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		tmpl_free(r->part[i]);
	free(r->part);
	free(r);
}

bool
recipe_names(const struct recipe *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (tmpl_count(r->part[i]))
			return true;
	return false;
}

const char *
recipe_shell_value(const struct recipe *r)
{
	size_t i = r->argv ? shell_text(r) : 0;

	return i ? tmpl_name(r->part[i], 0) : NULL;
}

static bool
listed(const struct json *list, const char *name)
{
	for (const struct json *v = list->head; v; v = v->next)
		if (json_is(v, name))
			return true;
	return false;
}

struct json *
recipe_required(const struct recipe *r, struct json_doc *d)
{
	struct json *list = json_mkarr(d);

	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < tmpl_count(r->part[i]); k++)
			if (!listed(list, tmpl_name(r->part[i], k)))
				json_push(list, json_mkstr(d, str_of(tmpl_name(r->part[i], k))));
	return list;
}

struct json *
recipe_cmd(const struct recipe *r, struct json_doc *d)
{
	struct json *list;

	if (!r->argv)
		return json_mkstr(d, str_of(r->text));
	list = json_mkarr(d);
	for (size_t i = 0; i < r->n; i++)
		json_push(list, json_mkstr(d, str_of(r->argv[i])));
	return list;
}

char **
recipe_fill(const struct recipe *r, const struct json *args, struct err *e)
{
	char **argv = xcalloc(r->n + 3, sizeof *argv), **word = argv;

	if (!r->argv) {
		*word++ = xstrdup(r->shell);
		*word++ = xstrdup("-c");
	}
	for (size_t i = 0; i < r->n; i++) {
		struct buf b = {0};

		if (tmpl_expand(r->part[i], args, &b, e) < 0) {
			buf_free(&b);
			recipe_unfill(argv);
			return NULL;
		}
		*word++ = b.p ? b.p : xstrdup("");
	}
	return argv;
}

void
recipe_unfill(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}
