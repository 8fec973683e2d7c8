/* SPDX-License-Identifier: MIT */
/*
 * One connection to one server, and what it costs with how many tasks there are.
 *   scale fill   ADDRESS QUEUE PASSWORD N ARGS        submits N tasks of those args, many on the way at once; a # is the
 *                                                     task's number
 *   scale cycle  ADDRESS QUEUE PASSWORD N ARGS KEYS   N times submit, fetch (required_fields KEYS), heartbeat, report; prints
 *                                                     the median microseconds of each
 *   scale change ADDRESS QUEUE PASSWORD N             N updates of one new task, a thousand a request
 *   scale search ADDRESS QUEUE PASSWORD N BODY        N searches; prints the median microseconds
 *   scale ping   ADDRESS QUEUE PASSWORD FILE          asks for the queue until FILE is gone; prints the longest milliseconds
 */
#define _XOPEN_SOURCE 600
#include "dial.h"

#include <unistd.h>

enum { WINDOW = 128, TIMES = 100000, BATCH = 1000, CYCLE = 4 };

static char auth[1024], in[1 << 20];
static size_t have;
static int fd;

static void
put(const char *p, size_t n)
{
	while (n) {
		ssize_t k = write(fd, p, n);

		if (k <= 0)
			fail("write");
		p += k;
		n -= (size_t)k;
	}
}

static void
ask(const char *method, const char *path, const char *body, size_t n)
{
	static char request[1 << 20];
	int len = snprintf(request, sizeof request, "%s /api/v1/queues/me%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %lu\r\n\r\n", method, path, auth, (unsigned long)n);

	memcpy(request + len, body, n);
	put(request, (size_t)len + n);
}

/* One answer: its status; its body, cut to what body holds, in body. */
static int
answer(char *body, size_t max)
{
	char *end, *length;
	size_t head, n;
	int status;

	for (;;) {
		ssize_t k;

		in[have] = 0;
		end = strstr(in, "\r\n\r\n");
		if (end) {
			head = (size_t)(end - in) + 4;
			*end = 0;
			length = strstr(in, "Content-Length: ");
			if (!length)
				length = strstr(in, "content-length: ");
			n = length ? (size_t)atol(length + 16) : 0;
			*end = '\r';
			if (head + n >= sizeof in) {
				fprintf(stderr, "scale: an answer too long for me\n");
				exit(1);
			}
			if (have >= head + n)
				break;
		}
		k = read(fd, in + have, sizeof in - 1 - have);
		if (k <= 0)
			fail("read");
		have += (size_t)k;
	}
	status = atoi(in + 9);
	if (body && max) {
		size_t take = n < max - 1 ? n : max - 1;

		memcpy(body, in + head, take);
		body[take] = 0;
	}
	if (status >= 300) {
		fprintf(stderr, "scale: %.500s\n", in);
		exit(1);
	}
	have -= head + n;
	memmove(in, in + head + n, have);
	return status;
}

/* The id behind a key in an answer. */
static void
id_of(const char *body, const char *key, char id[37])
{
	const char *p = strstr(body, key);

	if (!p || strlen(p) < strlen(key) + 36) {
		fprintf(stderr, "scale: no %s in %s\n", key, body);
		exit(1);
	}
	memcpy(id, p + strlen(key), 36);
	id[36] = 0;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof *v, by_value);
	return v[n / 2] * 1e6;
}

static void
fill(int n, const char *args)
{
	const char *number = strchr(args, '#');
	int before = (int)(number ? number - args : (long)strlen(args)), sent = 0, back = 0, len;
	char body[4096];

	while (back < n) {
		for (; sent < n && sent - back < WINDOW; sent++) {
			len = snprintf(body, sizeof body, "{\"args\":%.*s", before, args);
			if (number)
				len += snprintf(body + len, sizeof body - (size_t)len, "%d%s", sent, number + 1);
			body[len++] = '}';
			ask("POST", "/tasks", body, (size_t)len);
		}
		for (int end = sent - WINDOW / 2 > back ? sent - WINDOW / 2 : sent; back < end; back++)
			answer(NULL, 0);
	}
}

static double
timed(const char *method, const char *path, const char *body, char *out, size_t max)
{
	double from = now();

	ask(method, path, body, strlen(body));
	answer(out, max);
	return now() - from;
}

static void
cycle(int n, const char *args, const char *keys)
{
	static double t[CYCLE][TIMES];
	static char out[1 << 16];
	char submit[4096], fetch[4096], path[200], id[37];

	snprintf(submit, sizeof submit, "{\"args\":%s}", args);
	snprintf(fetch, sizeof fetch, "{\"required_fields\":%s,\"heartbeat_timeout\":60}", keys);
	for (int i = 0; i < n; i++) {
		t[0][i] = timed("POST", "/tasks", submit, out, sizeof out);
		t[1][i] = timed("POST", "/tasks/next", fetch, out, sizeof out);
		id_of(out, "\"task_id\":\"", id);
		snprintf(path, sizeof path, "/tasks/%s/heartbeat", id);
		t[2][i] = timed("POST", path, "", NULL, 0);
		snprintf(path, sizeof path, "/tasks/%s/status", id);
		t[3][i] = timed("POST", path, "{\"status\":\"success\"}", NULL, 0);
	}
	printf("%.1f %.1f %.1f %.1f\n", median(t[0], n), median(t[1], n), median(t[2], n), median(t[3], n));
}

static void
change(int n)
{
	static char body[BATCH * 100 + 10];
	char out[1000], id[37];
	int len;

	ask("POST", "/tasks", "{\"args\":{\"old\":1}}", 18);
	answer(out, sizeof out);
	id_of(out, "\"task_id\":\"", id);
	for (int done = 0; done < n;) {
		len = 0;
		for (int i = 0; i < BATCH && done < n; i++, done++)
			len += snprintf(body + len, sizeof body - (size_t)len, "%s{\"task_id\":\"%s\",\"priority\":%d}", i ? "," : "[", id, done);
		body[len++] = ']';
		ask("PUT", "/tasks?reset_pending=false", body, (size_t)len);
		answer(NULL, 0);
	}
}

static void
searches(int n, const char *body)
{
	static double t[TIMES];

	for (int i = 0; i < n; i++)
		t[i] = timed("POST", "/tasks/search", body, NULL, 0);
	printf("%.1f\n", median(t, n));
}

static void
ping(const char *file)
{
	double longest = 0;

	while (!access(file, F_OK)) {
		double t = timed("GET", "", "", NULL, 0);

		longest = t > longest ? t : longest;
	}
	printf("%.1f\n", longest * 1e3);
}

int
main(int argc, char **argv)
{
	char pair[512];
	int n;

	if (argc < 6)
		return 2;
	n = atoi(argv[5]);
	snprintf(pair, sizeof pair, "%s:%s", argv[3], argv[4]);
	base64(auth, pair);
	fd = dial(argv[2]);
	if (n > TIMES && (!strcmp(argv[1], "cycle") || !strcmp(argv[1], "search")))
		return 2;
	if (!strcmp(argv[1], "fill") && argc > 6)
		fill(n, argv[6]);
	else if (!strcmp(argv[1], "cycle") && argc > 7)
		cycle(n, argv[6], argv[7]);
	else if (!strcmp(argv[1], "change"))
		change(n);
	else if (!strcmp(argv[1], "search") && argc > 6)
		searches(n, argv[6]);
	else if (!strcmp(argv[1], "ping"))
		ping(argv[5]);
	else
		return 2;
	return 0;
}
