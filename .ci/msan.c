/* SPDX-License-Identifier: MIT */
/* For the stage msan: clang 14's MemorySanitizer does not know the stat functions of glibc since 2.33, nor that they fill their result. */
#define _GNU_SOURCE
#include <sanitizer/msan_interface.h>
#include <sys/stat.h>

#define TELL(name, first) \
	int __real_##name(first, struct stat64 *st); \
	int __wrap_##name(first, struct stat64 *st); \
	int \
	__wrap_##name(first at, struct stat64 *st) \
	{ \
		int rc = __real_##name(at, st); \
		if (!rc) \
			__msan_unpoison(st, sizeof *st); \
		return rc; \
	}
TELL(stat64, const char *)
TELL(lstat64, const char *)
TELL(fstat64, int)
