/* SPDX-License-Identifier: MIT */
/*
 * The manual page against the tables: its section COMMANDS has a subsection for each command and in it an item for each option with
 * all its spellings; commands stand in the order of the table.  And each command shows an example that begins with its own words.
 */
#include "../cli/cli.c"
#include "test.h"

#include <stdio.h>

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds " -a --all, --x," with its parts sorted. */
static void
put_sorted(struct buf *b, char *items)
{
	char *part[64];
	size_t n = 0;

	for (char *p = strtok(items, ","); p && n < LEN(part); p = strtok(NULL, ","))
		part[n++] = p;
	qsort(part, n, sizeof *part, by_text);
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "%s,", part[i]);
}

/* "command: -a --all, --x," of one command, as the table has it. */
static void
from_table(struct buf *b, const struct command *c)
{
	struct buf items = {0};

	for (const struct opt *o = c->opts; o->names; o++) {
		const char *names = o->names;

		for (struct str n; opt_name(&names, &n);) {
			if (n.n > 7 && !memcmp(n.p, "--[no-]", 7))
				buf_printf(&items, " --%.*s --no-%.*s", (int)n.n - 7, n.p + 7, (int)n.n - 7, n.p + 7);
			else
				buf_printf(&items, " %.*s", (int)n.n, n.p);
		}
		buf_addc(&items, ',');
	}
	buf_printf(b, "%s:", c->name);
	if (items.len)
		put_sorted(b, items.p);
	buf_addc(b, '\n');
	buf_free(&items);
}

/* The spellings of ".It Fl f , -extra-filter Ar filter". */
static void
put_item(struct buf *b, const char *p)
{
	while (*p) {
		size_t n = strcspn(p, " ");

		if (*p >= 'A' && *p <= 'Z' && n > 1)
			break;
		if (*p != ',')
			buf_printf(b, " -%.*s", (int)n, p);
		p += n + (p[n] == ' ');
	}
	buf_addc(b, ',');
}

/* The options of the commands "a, b" that a subsection is of. */
static void
put_section(struct buf *b, const char *names, const struct buf *items)
{
	while (*names) {
		size_t n = strcspn(names, ",");

		char *copy = items->len ? xstrdup(items->p) : NULL;

		buf_printf(b, "%.*s:", (int)n, names);
		if (copy)
			put_sorted(b, copy);
		buf_addc(b, '\n');
		free(copy);
		names += n;
		names += strspn(names, ", ");
	}
}

/* The same as from_table of all commands, as the page has it. */
static void
from_page(struct buf *b, FILE *f)
{
	char line[512], names[512] = "";
	struct buf items = {0};
	bool inside = false;

	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, ".Sh ", 4) || !strncmp(line, ".Ss ", 4)) {
			put_section(b, names, &items);
			buf_clear(&items);
			names[0] = 0;
		}
		if (!strncmp(line, ".Sh ", 4))
			inside = !strcmp(line, ".Sh COMMANDS");
		if (inside && !strncmp(line, ".Ss ", 4))
			strcpy(names, line + 4);
		if (inside && !strncmp(line, ".It Fl ", 7))
			put_item(&items, line + 7);
	}
	buf_free(&items);
}

static struct str
next_line(const char **p)
{
	size_t n = strcspn(*p, "\n");
	struct str line = {*p, n};

	*p += n + ((*p)[n] != 0);
	return line;
}

static void
pages_agree(void)
{
	struct buf table = {0}, page = {0};
	FILE *f = fopen("labtasker.1", "r");
	const char *p, *q;

	check(f != NULL, "labtasker.1 is read from the top directory");
	if (!f)
		return;
	for (size_t i = 0; i < LEN(commands); i++)
		from_table(&table, &commands[i]);
	from_page(&page, f);
	fclose(f);
	buf_addc(&page, 0);
	for (p = table.p, q = page.p; *p || *q;) {
		struct str a = next_line(&p), b = next_line(&q);

		check(str_eq(a, b), "the table has\n  %.*s\nand labtasker.1 here\n  %.*s", (int)a.n, a.p, (int)b.n, b.p);
		if (!str_eq(a, b))
			break;
	}
	buf_free(&table);
	buf_free(&page);
}

static void
examples_fit(void)
{
	for (size_t i = 0; i < LEN(commands); i++) {
		const struct command *c = &commands[i];

		check(c->example && strstr(c->example, c->name), "%s: an example that uses it", c->name);
		check(c->about[strlen(c->about) - 1] == '.', "%s: a sentence says what it does", c->name);
	}
}

int
main(void)
{
	pages_agree();
	examples_fit();
	return test_done("manual");
}
