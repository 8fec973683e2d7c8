/* SPDX-License-Identifier: MIT */
/*
 * A question with two answers and a countdown, pure: keys and time go in, a line for the terminal and in the end the answer come
 * out.  The first answer is the default: what Enter takes at the start, and the end of the countdown always.
 */
#include "worker.h"

#include <string.h>

enum { CTRL_C = 3, CTRL_D = 4, ESCAPE = 27 };

void
prompt_begin(struct prompt *p, const struct question *q, int64_t now)
{
	*p = (struct prompt){.q = q, .end = now + (int64_t)PROMPT_SECONDS * SECOND, .answer = -1};
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The arrow that a control sequence's last byte stands for moves the mark. */
static void
arrow(struct prompt *p, char c)
{
	if (c == 'C' || c == 'B')
		p->at = 1;
	else if (c == 'D' || c == 'A')
		p->at = 0;
}

static void
key(struct prompt *p, char c)
{
	if (p->escape == 1 && (c == '[' || c == 'O')) {
		p->escape = 2;
		return;
	}
	if (p->escape == 2) {
		p->escape = c >= 0x40 && c <= 0x7e ? 0 : 2;
		if (!p->escape)
			arrow(p, c);
		return;
	}
	p->escape = c == ESCAPE;
	if (c == '\r' || c == '\n')
		p->answer = p->at;
	else if (c == CTRL_C || c == CTRL_D)
		p->answer = 1;
	else if (c == '\t' || c == ' ')
		p->at = !p->at;
	else
		for (int i = 0; i < 2; i++)
			if (lower(c) == lower(p->q->answer[i][0]))
				p->answer = i;
}

void
prompt_keys(struct prompt *p, const char *s, size_t n)
{
	for (size_t i = 0; i < n && p->answer < 0; i++)
		key(p, s[i]);
}

int
prompt_answer(struct prompt *p, int64_t now)
{
	if (p->answer < 0 && now >= p->end)
		p->answer = 0;
	return p->answer;
}

int64_t
prompt_line(struct prompt *p, struct buf *b, int64_t now)
{
	int64_t left = p->end > now ? (p->end - now + SECOND - 1) / SECOND : 0;

	buf_printf(b, "\r\033[K%s  ", p->q->text);
	for (int i = 0; i < 2; i++)
		buf_printf(b, p->at == i ? "\033[7m %s \033[0m " : " %s  ", p->q->answer[i]);
	buf_printf(b, "(%s in %ld s) ", p->q->answer[0], (long)left);
	return left ? p->end - (left - 1) * SECOND : p->end;
}
