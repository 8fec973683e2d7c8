/* SPDX-License-Identifier: MIT */
/* The line of progress, and how it stays below what is put. */
#define _XOPEN_SOURCE 600
#include "test.h"
#include "../worker/worker.h"
#include "../worker/progress.c"

#include <unistd.h>

static void
line(void)
{
	static const struct {
		int at;                    /* seconds */
		int running, done, failed, pending, columns;   /* pending -1: nobody told */
		const char *want;
	} rows[] = {
		{0, 4, 0, 0, -1, 80, "4 running, 0 done, 0 failed"},
		{10, 4, 1, 1, -1, 80, "4 running, 1 done, 1 failed, 12/min"},
		{20, 4, 2, 1, 100, 80, "4 running, 2 done, 1 failed, 9.0/min, 100 pending"},
		{30, 4, 5, 1, 96, 80, "4 running, 5 done, 1 failed, 12/min, 96 pending, end in 4 min"},
		{40, 4, 5, 1, 96, 40, "4 running, 5 done, 1 failed, 9.0/min, 9"},
		{70, 4, 5, 1, 96, 80, "4 running, 5 done, 1 failed, 96 pending, end in 21 min"},
		{100, 0, 100, 1, 0, 80, "0 running, 100 done, 1 failed, 190/min, 0 pending"},
		{101, 0, 101, 1, 10, 0, "0 running, 101 done, 1 failed, 186/min, 10 pending, end in 3 s"},
	};
	struct progress p = {0};

	for (size_t i = 0; i < LEN(rows); i++) {
		int64_t now = rows[i].at * SECOND;
		struct buf b = {0};
		char want[200];

		p.running = rows[i].running;
		p.done = rows[i].done;
		p.failed = rows[i].failed;
		if (rows[i].pending >= 0)
			progress_queue(&p, rows[i].pending, rows[i].running, now);
		progress_line(&p, &b, now, rows[i].columns);
		snprintf(want, sizeof want, "\r%s\033[K", rows[i].want);
		check(!strcmp(b.p, want), "row %d: got %s, expected %s", (int)i, b.p + 1, rows[i].want);
		buf_free(&b);
	}
}

static void
foot(void)
{
	int fd[2];
	struct sink out, err;
	struct foot f = {.on = &err};
	char got[200];
	ssize_t n;

	if (pipe(fd) < 0)
		return;
	sink_init(&out, fd[1]);
	sink_init(&err, fd[1]);
	out.foot = err.foot = &f;
	sink_foot(&f, str_of("1\033[K"));
	check(f.shown, "it is not shown");
	sink_put(&out, "a line\n", 7);
	check(!f.shown, "it is shown within output");
	sink_foot(&f, str_of("2\033[K"));
	sink_foot(&f, str_of("3\033[K"));
	sink_put(&err, "half", 4);
	sink_foot(&f, str_of("4\033[K"));
	check(!f.shown, "it is shown behind half a line");
	sink_put(&out, " a line\n", 8);
	sink_foot(&f, str_of("5\033[K"));
	sink_foot(&f, (struct str){0});
	sink_foot(&f, (struct str){0});
	n = read(fd[0], got, sizeof got - 1);
	got[n > 0 ? n : 0] = 0;
	check(!strcmp(got, "1\033[K\r\033[Ka line\n2\033[K3\033[K\r\033[Khalf a line\n5\033[K\r\033[K"), "got %s", got);
	sink_end(&out, 0);
	sink_end(&err, 0);
	close(fd[0]);
	close(fd[1]);
}

int
main(void)
{
	line();
	foot();
	return test_done("progress");
}
