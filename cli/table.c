/* SPDX-License-Identifier: MIT */
/*
 * Cells in aligned columns.  Characters count as wide as a terminal shows them; what would disturb the columns stands as \xNN.
 * Where the lines do not fit, the last column is cut.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { GAP = 2, LEAST = 8 };   /* between columns; of a last column that is cut */

/* How many columns a character takes: the ranges that all terminals agree on (Unicode's East Asian Width W, and the marks). */
static int
wide(uint32_t c)
{
	static const struct {
		uint32_t from, to;
		int width;
	} range[] = {
		{0x300, 0x36f, 0}, {0x200b, 0x200f, 0}, {0xfe00, 0xfe0f, 0}, {0x1100, 0x115f, 2}, {0x2e80, 0xa4cf, 2}, {0xac00, 0xd7a3, 2},
		{0xf900, 0xfaff, 2}, {0xfe30, 0xfe6f, 2}, {0xff00, 0xff60, 2}, {0xffe0, 0xffe6, 2}, {0x1f300, 0x1faff, 2},
		{0x20000, 0x3fffd, 2},
	};

	for (size_t i = 0; i < LEN(range); i++)
		if (c >= range[i].from && c <= range[i].to)
			return range[i].width;
	return 1;
}

static int
width(struct str s)
{
	uint32_t c;
	int w = 0;

	for (size_t i = 0, n; i < s.n && (n = utf8_get(s.p + i, s.n - i, &c)); i += n)
		w += wide(c);
	return w;
}

void
table_cell(struct table *t, struct str s)
{
	buf_visible(&t->text, s, "\\n");
	buf_addc(&t->text, 0);
	t->ncell++;
}

/* The escape sequence that a state is shown in; "" none. */
static const char *
colour_of(const char *state)
{
	static const struct {
		const char *state, *sgr;
	} known[] = {
		{"success", "\033[32m"}, {"active", "\033[32m"}, {"failed", "\033[31m"}, {"crashed", "\033[31m"}, {"running", "\033[33m"},
		{"cancelled", "\033[2m"}, {"suspended", "\033[33m"},
	};

	for (size_t i = 0; i < LEN(known); i++)
		if (!strcmp(known[i].state, state))
			return known[i].sgr;
	return "";
}

/* As much of s as w columns hold; dots say that there was more. */
static void
put_cut(struct buf *b, const char *s, int w)
{
	size_t all = strlen(s), n = 0;
	uint32_t c;
	int used = 0;

	if (width((struct str){s, all}) <= w) {
		buf_adds(b, s);
		return;
	}
	for (size_t k; n < all && (k = utf8_get(s + n, all - n, &c)) && used + wide(c) <= w - 3; n += k)
		used += wide(c);
	buf_add(b, s, n);
	buf_adds(b, "...");
}

static void
put_row(struct buf *b, const char **cell, const int *w, size_t columns, int last, size_t state)
{
	for (size_t i = 0; i < columns; i++) {
		const char *sgr = i == state ? colour_of(cell[i]) : "";

		buf_adds(b, sgr);
		if (i + 1 == columns && last)
			put_cut(b, cell[i], last);
		else
			buf_adds(b, cell[i]);
		buf_adds(b, *sgr ? "\033[0m" : "");
		for (int pad = i + 1 < columns ? w[i] + GAP - width(str_of(cell[i])) : 0; pad > 0; pad--)
			buf_addc(b, ' ');
	}
	while (b->len && b->p[b->len - 1] == ' ')
		b->len--;
	buf_addc(b, '\n');
}

void
table_print(struct buf *b, const struct table *t, int screen, bool colour)
{
	size_t rows = t->columns ? t->ncell / t->columns : 0, state = t->columns;
	const char **cell = xcalloc(t->ncell + 1, sizeof *cell), *p = t->text.p;
	int *w = xcalloc(t->columns + 1, sizeof *w), before = 0, last;

	for (size_t i = 0; i < t->ncell; i++, p += strlen(p) + 1) {
		int n = width(str_of(p));

		cell[i] = p;
		if (n > w[i % t->columns])
			w[i % t->columns] = n;
		if (colour && i < t->columns && !strcmp(p, "status"))
			state = i;
	}
	for (size_t i = 0; i + 1 < t->columns; i++)
		before += w[i] + GAP;
	last = screen && screen - before < LEAST ? LEAST : screen ? screen - before : 0;
	for (size_t r = 0; r < rows; r++)
		put_row(b, cell + r * t->columns, w, t->columns, last, state);
	free(w);
	free(cell);
}

void
table_free(struct table *t)
{
	buf_free(&t->text);
	*t = (struct table){0};
}
