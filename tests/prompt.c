/* SPDX-License-Identifier: MIT */
/* A question's keys, its countdown and its line. */
#include "test.h"
#include "../worker/prompt.c"

static const struct question question = {"Sure?", {"Report", "Ignore"}};

static void
keys(void)
{
	static const struct {
		const char *typed;
		int at, answer;            /* the mark; -1: none yet */
	} rows[] = {
		{"", 0, -1}, {"\r", 0, 0}, {"\n", 0, 0}, {"r", 0, 0}, {"R", 0, 0}, {"i", 0, 1}, {"I", 0, 1}, {"\3", 0, 1}, {"\4", 0, 1},
		{"x", 0, -1}, {"xyz", 0, -1}, {"xi", 0, 1}, {"ir", 0, 1}, {"ri", 0, 0},
		{"\33[C", 1, -1}, {"\33[C\r", 1, 1}, {"\33[B\r", 1, 1}, {"\33[C\33[D\r", 0, 0}, {"\33[B\33[A\r", 0, 0}, {"\33[D\r", 0, 0},
		{"\33OC\r", 1, 1}, {"\33OC\33OD\r", 0, 0}, {"\33[1;5C\r", 1, 1}, {"\33[C\33[C\r", 1, 1},
		{"\t", 1, -1}, {"\t\r", 1, 1}, {" \r", 1, 1}, {"\t\t\r", 0, 0}, {"  \r", 0, 0},
		{"\33", 0, -1}, {"\33\r", 0, 0}, {"\33i", 0, 1}, {"\33\33[C\r", 1, 1}, {"\33[5~\r", 0, 0}, {"\33[", 0, -1}, {"\33[i", 0, -1},
		{"\33[H\33[F\r", 0, 0}, {"\377\376", 0, -1},
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		for (int whole = 0; whole < 2; whole++) {
			const char *s = rows[i].typed;
			struct prompt p;

			prompt_begin(&p, &question, 0);
			if (whole)
				prompt_keys(&p, s, strlen(s));
			for (size_t k = 0; !whole && k < strlen(s); k++)
				prompt_keys(&p, s + k, 1);
			check(p.at == rows[i].at && prompt_answer(&p, 1) == rows[i].answer, "row %d, %s: at %d, answer %d", (int)i,
			    whole ? "whole" : "byte by byte", p.at, prompt_answer(&p, 1));
		}
	}
}

static void
countdown(void)
{
	struct prompt p;
	int64_t due, now = 5;
	int lines = 0;

	prompt_begin(&p, &question, now);
	prompt_keys(&p, "\33[C", 3);
	for (; prompt_answer(&p, now) < 0; now = due) {
		struct buf b = {0};
		char want[80];

		due = prompt_line(&p, &b, now);
		snprintf(want, sizeof want, "(Report in %d s) ", PROMPT_SECONDS - lines);
		check(strstr(b.p, want) && strstr(b.p, "\33[7m Ignore \33[0m"), "line %d is %s", lines, b.p);
		check(due == 5 + (lines + 1) * SECOND, "the next line is due at %ld", (long)due);
		buf_free(&b);
		lines++;
	}
	check(lines == PROMPT_SECONDS, "%d lines", lines);
	check(prompt_answer(&p, now) == 0, "the end takes the default, wherever the mark is");
}

int
main(void)
{
	keys();
	countdown();
	return test_done("prompt");
}
