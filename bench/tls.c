/* SPDX-License-Identifier: MIT */
/*
 * What TLS costs a client: a connection with a whole handshake and with a resumed one, and requests on a kept connection.
 *   bench-tls URL CACERT [N]      URL: a server of ours, http or https (what is asked is /health); prints one line
 */
#include "../labtasker.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
await(struct net *c, bool writing)
{
	struct pollfd p = {.fd = net_fd(c), .events = net_want(c, writing)};

	poll(&p, 1, 10000);
}

/* A connection, ready for requests. */
static struct net *
dial(const struct net_addrs *a)
{
	struct err e = {0};
	struct net *c = net_open(a, &e);
	int rc = c ? 0 : -1;

	while (c && !(rc = net_ready(c, &e)))
		await(c, true);
	if (rc < 0)
		die(1, "%s", e.msg);
	return c;
}

static void
ask(struct net *c)
{
	static const char text[] = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
	static char answer[32 << 10];
	size_t sent = 0;
	ssize_t n;

	while (sent < sizeof text - 1) {
		n = net_write(c, text + sent, sizeof text - 1 - sent);
		if (n == NET_AGAIN)
			await(c, true);
		else if (n < 0)
			die(1, "the connection broke");
		else
			sent += (size_t)n;
	}
	while ((n = net_read(c, answer, sizeof answer)) == NET_AGAIN)
		await(c, false);
	if (n < 12 || memcmp(answer, "HTTP/1.1 200", 12))
		die(1, "no answer");
}

static struct net_addrs *
look_up(const struct url *u, const char *cacert)
{
	struct net_proof proof = {.cacert = cacert};
	struct err e = {0};
	bool proxied;
	struct net_addrs *a = net_resolve(u, &proof, &proxied, &e);

	if (!a)
		die(1, "%s", e.msg);
	return a;
}

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* "fastest, median" of n times in ms; sorts them. */
static void
put_times(const char *what, int64_t *us, int n)
{
	qsort(us, (size_t)n, sizeof *us, by_size);
	printf("%s %.2f ms (median %.2f); ", what, (double)us[0] / 1000, (double)us[n / 2] / 1000);
}

int
main(int argc, char **argv)
{
	int n = argc > 3 ? atoi(argv[3]) : 200;
	int64_t from, *us = xcalloc((size_t)(n > 0 ? n : 1), sizeof *us);
	struct net_addrs *a;
	struct err e = {0};
	struct net *c;
	struct url u;

	if (argc < 3 || n < 1 || url_parse(&u, argv[1], &e) < 0)
		die(2, "bench-tls URL CACERT [N]");
	printf("%s: ", u.scheme);
	for (int i = 0; i < n; i++) {
		a = look_up(&u, argv[2]);
		from = sys_mono();
		c = dial(a);
		us[i] = sys_mono() - from;
		net_close(c);
		net_addrs_free(a);
	}
	put_times("a connection", us, n);
	a = look_up(&u, argv[2]);
	net_close(dial(a));
	for (int i = 0; i < n; i++) {
		from = sys_mono();
		c = dial(a);
		us[i] = sys_mono() - from;
		net_close(c);
	}
	put_times("resumed", us, n);
	c = dial(a);
	from = sys_mono();
	for (int i = 0; i < n * 20; i++)
		ask(c);
	printf("%.0f requests a second\n", n * 20 / ((double)(sys_mono() - from) / 1e6));
	net_close(c);
	net_addrs_free(a);
	free(us);
	return 0;
}
