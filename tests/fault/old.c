/* SPDX-License-Identifier: MIT */
/*
 * old COMMAND...: under a kernel as it was in 2006 (Linux 2.6.16, x86-64), to which every later system call is unknown; the
 * command's children, too.  One is let through: pipe2, which the C library of today's shells takes for granted (musl does not).
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { LAST = 272, PIPE2 = 293 };   /* unshare was the last */

int
main(int argc, char **argv)
{
	static struct sock_filter step[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PIPE2, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = sizeof step / sizeof *step, .filter = step};

	if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0) {
		perror("old");
		return 126;
	}
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
