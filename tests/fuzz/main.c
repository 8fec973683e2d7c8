/* SPDX-License-Identifier: MIT */
/* A fuzz target as a plain program: what it is given in files, else on standard input, and each beginning of that. */
#include "fuzz.h"

enum { MAX = 16 << 20, BEGINNINGS = 600 };

static int passed;

static void
feed(const char *p, size_t n)
{
	char *copy = copy_of(p, n);

	LLVMFuzzerTestOneInput((const uint8_t *)copy, n);
	free(copy);
}

static void
feed_file(const char *path)
{
	struct buf b = {0};
	struct err e = {0};

	if (sys_slurp(path, MAX, &b, &e) < 0)
		die(2, "%s: %s", path, e.msg);
	for (size_t n = 0; n < b.len && n < BEGINNINGS; n++)
		feed(b.p, n);
	feed(b.p, b.len);
	buf_free(&b);
	passed++;
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		feed_file(argv[i]);
	if (argc < 2)
		feed_file("/dev/stdin");
	printf("%s: %d passed, 0 failed\n", argv[0], passed);
	return 0;
}
