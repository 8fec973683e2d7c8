/* SPDX-License-Identifier: MIT */
/*
 * Load on one server: CONNS connections, each with one request outstanding, for SECONDS.  Prints requests a second.
 *   load labtasker ADDRESS CONNS SECONDS QUEUE PASSWORD    POST tasks: Basic auth, JSON in and out, a journal record
 *   load redis     ADDRESS CONNS SECONDS                   LPUSH of as many bytes
 *   load beanstalk ADDRESS CONNS SECONDS                   put of as many bytes
 * ADDRESS is a port on 127.0.0.1 or the path of a Unix socket.  The same client speaks to all, so that the ratios are the servers'.
 */
#define _XOPEN_SOURCE 600
#include "dial.h"

#include <poll.h>
#include <unistd.h>

static const char args[] = "{\"args\":{\"prompt\":\"an astronaut riding a horse\",\"guidance_scale\":7.5}}";

int
main(int argc, char **argv)
{
	char request[2048], pair[512], auth[1024], answer[8192];
	const char *good;
	int conns, len;
	double start, end;
	long done = 0;
	struct pollfd *p;

	if (argc < 5)
		return 2;
	conns = atoi(argv[3]);
	if (!strcmp(argv[1], "labtasker")) {
		if (argc < 7)
			return 2;
		snprintf(pair, sizeof pair, "%s:%s", argv[5], argv[6]);
		base64(auth, pair);
		len = snprintf(request, sizeof request, "POST /api/v1/queues/me/tasks HTTP/1.1\r\nHost: localhost\r\n"
		    "Authorization: Basic %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", auth, (int)strlen(args), args);
		good = "HTTP/1.1 201";
	} else if (!strcmp(argv[1], "redis")) {
		len = snprintf(request, sizeof request, "*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$%d\r\n%s\r\n", (int)strlen(args), args);
		good = ":";
	} else {
		len = snprintf(request, sizeof request, "put 10 0 60 %d\r\n%s\r\n", (int)strlen(args), args);
		good = "INSERTED";
	}
	p = calloc((size_t)conns, sizeof *p);
	if (!p)
		fail("calloc");
	for (int i = 0; i < conns; i++)
		p[i] = (struct pollfd){dial(argv[2]), POLLIN, 0};
	for (int i = 0; i < conns; i++)
		if (write(p[i].fd, request, (size_t)len) != len)
			fail("write");
	start = now();
	end = start + atof(argv[4]);
	while (now() < end) {
		if (poll(p, (nfds_t)conns, 1000) <= 0)
			fail("poll: no answer within a second");
		for (int i = 0; i < conns; i++) {
			ssize_t n;

			if (!p[i].revents)
				continue;
			n = read(p[i].fd, answer, sizeof answer - 1);   /* answers are small: one piece */
			if (n <= 0)
				fail("read");
			answer[n] = 0;
			if (strncmp(answer, good, strlen(good))) {
				fprintf(stderr, "load: %s: %.200s\n", argv[1], answer);
				return 1;
			}
			done++;
			if (write(p[i].fd, request, (size_t)len) != len)
				fail("write");
		}
	}
	printf("%.0f\n", (double)done / (now() - start));
	return 0;
}
