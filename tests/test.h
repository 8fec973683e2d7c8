/* SPDX-License-Identifier: MIT */
/* A test program's few tools: check(condition, ...) counts, done() prints "N passed, N failed" and gives main's result. */
#ifndef TEST_H
#define TEST_H
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../labtasker.h"
static int test_passed, test_failed;
static void test_report(bool ok, const char *file, int line, const char *fmt, ...) PRINTF(4, 5);
static void
test_report(bool ok, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	if (ok) {
		test_passed++;
		return;
	}
	test_failed++;
	fprintf(stderr, "%s:%d: failed: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}
#define check(cond, ...) test_report((cond), __FILE__, __LINE__, __VA_ARGS__)
static int
test_done(const char *name)
{
	printf("%s: %d passed, %d failed\n", name, test_passed, test_failed);
	return test_failed || !test_passed;
}
#endif
