/* SPDX-License-Identifier: MIT */
/*
 * cut DIR: the power of the file system that DIR lies in goes: from now on nothing more reaches its disk, and what was not synced
 * never will.  Linux: ext4, XFS, f2fs.
 */
#define _XOPEN_SOURCE 600

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define SHUTDOWN _IOR('X', 125, uint32_t)   /* EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN */

int
main(int argc, char **argv)
{
	uint32_t no_log_flush = 2;
	int fd = open(argc > 1 ? argv[1] : ".", O_RDONLY);

	if (fd < 0 || ioctl(fd, SHUTDOWN, &no_log_flush) < 0) {
		perror("cut");
		return 1;
	}
	return 0;
}
