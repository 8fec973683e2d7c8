/* SPDX-License-Identifier: MIT */
/* What the clients of the benchmarks share: a clock, a connection, Basic auth. */
#ifndef DIAL_H
#define DIAL_H
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
dial(const char *address)
{
	struct sockaddr_in in = {0};
	struct sockaddr_un un = {0};
	int fd, one = 1;

	if (strchr(address, '/')) {
		un.sun_family = AF_UNIX;
		strncpy(un.sun_path, address, sizeof un.sun_path - 1);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof un) < 0)
			fail(address);
		return fd;
	}
	in.sin_family = AF_INET;
	in.sin_port = htons((unsigned short)atoi(address));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof in) < 0)
		fail(address);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static void
base64(char *out, const char *in)
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(in);

	for (size_t i = 0; i < n; i += 3) {
		unsigned a = (unsigned char)in[i], b = i + 1 < n ? (unsigned char)in[i + 1] : 0, c = i + 2 < n ? (unsigned char)in[i + 2] : 0;

		*out++ = abc[a >> 2];
		*out++ = abc[(a & 3) << 4 | b >> 4];
		*out++ = i + 1 < n ? abc[(b & 15) << 2 | c >> 6] : '=';
		*out++ = i + 2 < n ? abc[c & 63] : '=';
	}
	*out = 0;
}
#endif
