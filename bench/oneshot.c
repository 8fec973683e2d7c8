/* SPDX-License-Identifier: MIT */
/*
 * What one submit from a shell costs, and what it would cost at least.
 *   oneshot time N CMD...                     runs CMD N times, one after the other; prints microseconds each
 *   oneshot send SOCKET QUEUE PASSWORD        sends what `labtasker submit -- --n 1` sends: GET queue, then POST tasks
 */
#define _XOPEN_SOURCE 600
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

pid_t vfork(void);

static void
fail(const char *what)
{
	perror(what);
	exit(1);
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

/* One request and its answer, which is small: it comes in one piece. */
static char *
ask(int fd, const char *request, const char *good)
{
	static char answer[8192];
	ssize_t n = (ssize_t)strlen(request);

	if (write(fd, request, (size_t)n) != n)
		fail("write");
	n = read(fd, answer, sizeof answer - 1);
	if (n <= 0)
		fail("read");
	answer[n] = 0;
	if (strncmp(answer, good, strlen(good))) {
		fprintf(stderr, "oneshot: %.200s\n", answer);
		exit(1);
	}
	return answer;
}

static int
send_one(char **argv)
{
	static const char body[] = "{\"args\":{\"n\":1},\"heartbeat_timeout\":60.0,\"max_retries\":3,\"priority\":10}";
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char pair[512], auth[1024], head[2048], request[4096], *id;
	unsigned char key[16];
	int fd = open("/dev/urandom", O_RDONLY);

	if (fd < 0 || read(fd, key, sizeof key) != sizeof key)
		fail("/dev/urandom");
	close(fd);
	strncpy(un.sun_path, argv[0], sizeof un.sun_path - 1);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof un) < 0)
		fail(argv[0]);
	snprintf(pair, sizeof pair, "%.200s:%.200s", argv[1], argv[2]);
	base64(auth, pair);
	snprintf(head, sizeof head, "Host: localhost\r\nAccept: */*\r\nConnection: keep-alive\r\nUser-Agent: labtasker-c/0.1.0\r\n"
	    "Content-Type: application/json\r\nAuthorization: Basic %s\r\n", auth);
	snprintf(request, sizeof request, "GET /api/v1/queues/me HTTP/1.1\r\n%s\r\n", head);
	ask(fd, request, "HTTP/1.1 200");
	snprintf(request, sizeof request, "POST /api/v1/queues/me/tasks HTTP/1.1\r\n%sIdempotency-Key: %02x%02x%02x%02x-%02x%02x-4%01x%02x-8%01x%02x-"
	    "%02x%02x%02x%02x%02x%02x\r\nContent-Length: %d\r\n\r\n%s", head, key[0], key[1], key[2], key[3], key[4], key[5], key[6] & 15,
	    key[7], key[8] & 15, key[9], key[10], key[11], key[12], key[13], key[14], key[15], (int)sizeof body - 1, body);
	id = strstr(ask(fd, request, "HTTP/1.1 201"), "\"task_id\":\"");
	if (!id || write(1, id + 11, 36) != 36 || write(1, "\n", 1) != 1)
		return 1;
	return 0;
}

static int
time_many(char **argv)
{
	int n = atoi(argv[0]), status, null = open("/dev/null", O_RDWR);
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < n; i++) {
		pid_t pid = vfork();

		if (!pid) {
			dup2(null, 0);
			dup2(null, 1);
			execvp(argv[1], argv + 1);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || status) {
			fprintf(stderr, "oneshot: %s failed\n", argv[1]);
			return 1;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.0f\n", ((double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3) / n);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc > 4 && !strcmp(argv[1], "send"))
		return send_one(argv + 2);
	return argc > 3 && !strcmp(argv[1], "time") ? time_many(argv + 2) : 2;
}
