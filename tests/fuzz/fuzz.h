/* SPDX-License-Identifier: MIT */
/*
 * What fuzz targets share.  A target is one file with the entry that libFuzzer and AFL's driver call; with main.c it is a plain
 * program over files.  It asserts what must hold of whatever bytes it is given, so that a wrong answer ends it as a crash does.
 */
#ifndef FUZZ_H
#define FUZZ_H
#include "../../labtasker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define must(cond, ...) ((cond) ? (void)0 : (fprintf(stderr, "%s:%d: does not hold: ", __FILE__, __LINE__), \
	fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), abort()))

static inline struct str
text_of(const uint8_t *data, size_t n)
{
	return (struct str){(const char *)data, n};
}

/* b's bytes from memory of just that size, so that a sanitizer sees a byte too far.  The caller frees. */
static inline char *
copy_of(const char *p, size_t n)
{
	char *copy = xmalloc(n ? n : 1);

	if (n)
		memcpy(copy, p, n);
	return copy;
}

/* The same with every letter in its other case.  The caller frees. */
static inline char *
swap_case(struct str s)
{
	char *text = copy_of(s.p, s.n);

	for (size_t i = 0; i < s.n; i++)
		if ((text[i] | 32) >= 'a' && (text[i] | 32) <= 'z')
			text[i] ^= 32;
	return text;
}

/* An error says something, and of a place that there is. */
static inline void
must_tell(const struct err *e, size_t n)
{
	must(e->code && e->msg[0] && utf8_valid(e->msg, strlen(e->msg)), "an error without code or text: %d '%s'", e->code, e->msg);
	must(e->pos <= n, "an error at %lu of %lu: %s", (unsigned long)e->pos, (unsigned long)n, e->msg);
}
#endif
