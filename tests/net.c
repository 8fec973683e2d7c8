/* SPDX-License-Identifier: MIT */
/*
 * URLs, proxies and resolution by tables; true connections over loopback and Unix sockets; and connecting to names of many
 * addresses in a made-up world: the clock, the resolver and what is behind 10.0.0.N are ours there, so nothing waits and nothing
 * leaves this machine.
 */
#include "../labtasker.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int64_t fake_mono(void);
static int fake_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list);
static void fake_freeaddrinfo(struct addrinfo *list);
static int fake_connect(int fd, const struct sockaddr *to, socklen_t len);
static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
static uid_t fake_geteuid(void);
#define sys_mono fake_mono
#define getaddrinfo fake_getaddrinfo
#define freeaddrinfo fake_freeaddrinfo
#define connect fake_connect
#define getsockopt fake_getsockopt
#define geteuid fake_geteuid
#include "../net.c"
#undef sys_mono
#undef getaddrinfo
#undef freeaddrinfo
#undef connect
#undef getsockopt
#undef geteuid

/* ---- the world ---- */

enum { MS = 1000, HOSTS = 20, NEVER = 1 << 30 };

/* What is behind 10.0.0.N: after so many ms a connection, or why there is none. */
struct behind {
	int after, why;
};

static bool faking;              /* the clock is ours */
static int64_t clock_us;
static const struct behind *world;
static struct addrinfo *answer;  /* of the resolver, for every name but those that fail */
static int answers, asked, freed;
static uid_t somebody;           /* who we seem to be; 0: ourselves */
static int unix_fault;           /* why no Unix socket can be connected to; 0: they can */

static struct try {
	int fd, peer;                /* peer: keeps fd from being writable until it is read */
	int64_t at;
	int why;
} tries[256];
static size_t ntries;

static int64_t
fake_mono(void)
{
	return faking ? clock_us : sys_mono();
}

static uid_t
fake_geteuid(void)
{
	return somebody ? somebody : geteuid();
}

static int
fake_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	asked++;
	check(!service && hints->ai_socktype == SOCK_STREAM && hints->ai_family == AF_UNSPEC, "hints");
	if (!strcmp(host, "nobody.example"))
		return EAI_NONAME;
	if (!strcmp(host, "broken.example")) {
		errno = EMFILE;
		return EAI_SYSTEM;
	}
	*list = answer;
	return 0;
}

static void
fake_freeaddrinfo(struct addrinfo *list)
{
	check(list == answer, "what is freed is what was given");
	freed++;
}

/* A connection that is under way until somebody reads the other end. */
static int
pend(int fd, int64_t at, int why)
{
	static char junk[4096];
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		abort();
	sys_nonblock(pair[0], true);
	sys_nonblock(pair[1], true);
	while (write(pair[0], junk, sizeof junk) > 0)
		;
	dup2(pair[0], fd);
	close(pair[0]);
	if (ntries == LEN(tries))
		abort();
	tries[ntries++] = (struct try){fd, pair[1], at, why};
	errno = EINPROGRESS;
	return -1;
}

static int
fake_connect(int fd, const struct sockaddr *to, socklen_t len)
{
	const struct sockaddr_in *in = (const void *)to;
	const struct behind *b;
	unsigned char ip[4];

	if (to->sa_family == AF_UNIX && unix_fault) {
		errno = unix_fault;
		return -1;
	}
	if (to->sa_family == AF_INET)
		memcpy(ip, &in->sin_addr, 4);
	if (to->sa_family != AF_INET || ip[0] != 10)
		return connect(fd, to, len);
	b = &world[ip[3]];
	if (b->after)
		return pend(fd, clock_us + (int64_t)b->after * MS, b->why);
	errno = b->why;
	return b->why ? -1 : 0;
}

/* The try that has this number now. */
static const struct try *
try_of(int fd)
{
	for (size_t i = ntries; i-- > 0;)
		if (tries[i].fd == fd)
			return &tries[i];
	return NULL;
}

static int
fake_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	const struct try *t = try_of(fd);

	if (!t || level != SOL_SOCKET || name != SO_ERROR)
		return getsockopt(fd, level, name, value, len);
	memcpy(value, &t->why, sizeof t->why);
	return 0;
}

/* Time goes on to us: what is due by then happens. */
static void
pass(int64_t us)
{
	char junk[65536];

	clock_us = us;
	for (size_t i = 0; i < ntries; i++)
		if (tries[i].at <= us)
			while (read(tries[i].peer, junk, sizeof junk) > 0)
				;
}

static void
forget(void)
{
	while (ntries)
		close(tries[--ntries].peer);
}

static int
open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* ---- URLs ---- */

static char long_host[300], long_path[1100], long_unix[200];

static void
test_url(void)
{
	static const struct {
		const char *text, *want;   /* "scheme|host|port|path", or "!" and a part of the fault */
	} rows[] = {
		{"http://a", "http|a|80|"},
		{"http://a/", "http|a|80|"},
		{"HTTP://Example.COM:9321//", "http|example.com|9321|"},
		{"https://a.b-c_d/x/y/", "https|a.b-c_d|443|/x/y"},
		{"http://a:0080/%20", "http|a|80|/%20"},
		{"http://a:/p", "http|a|80|/p"},
		{"http://a.:65535", "http|a.|65535|"},
		{"http://127.0.0.1:1", "http|127.0.0.1|1|"},
		{"http://1a.2b", "http|1a.2b|80|"},
		{"http://[::1]:9321/v", "http|::1|9321|/v"},
		{"http://[0:0:0:0:0:0:0:1]", "http|::1|80|"},
		{"http://[2001:DB8::00A]", "http|2001:db8::a|80|"},
		{"http://[::ffff:1.2.3.4]", "http|::ffff:1.2.3.4|80|"},
		{"http://a/@", "http|a|80|/@"},
		{"unix:/x", "unix|||/x"},
		{"unix:x y@z:?#", "unix|||x y@z:?#"},
		{"UNIX:x", "unix|||x"},
		{"", "!must begin with"},
		{":", "!must begin with"},
		{"http", "!must begin with"},
		{"unix", "!must begin with"},
		{"localhost:9321", "!must begin with"},
		{"ftp://a", "!must begin with"},
		{"htt://a", "!must begin with"},
		{"httpss://a", "!must begin with"},
		{"http:", "!// must follow"},
		{"http:/", "!// must follow"},
		{"http:a", "!// must follow"},
		{"http://", "!host is missing"},
		{"http:///x", "!host is missing"},
		{"http://:80", "!host is missing"},
		{"http://a b", "!letters, digits"},
		{"http://a\\b", "!letters, digits"},
		{"http://a%41", "!letters, digits"},
		{"http://a\tb", "!letters, digits"},
		{"http://b\xc3\xbc", "!ASCII form"},
		{"http://a\x7f", "!ASCII form"},
		{"http://127.1", "!no IPv4 address"},
		{"http://2130706433", "!no IPv4 address"},
		{"http://0x7f.1", "!no IPv4 address"},
		{"http://a.0X7F", "!no IPv4 address"},
		{"http://1.2.3.256", "!no IPv4 address"},
		{"http://1.2.3.4.5", "!no IPv4 address"},
		{"http://a:0", "!1 to 65535"},
		{"http://a:65536", "!1 to 65535"},
		{"http://a:99999999999999999999", "!1 to 65535"},
		{"http://a:x", "!1 to 65535"},
		{"http://a:+1", "!1 to 65535"},
		{"http://a:-1", "!1 to 65535"},
		{"http://a: 1", "!1 to 65535"},
		{"http://a:1 ", "!1 to 65535"},
		{"http://::1", "!brackets"},
		{"http://::1:80", "!brackets"},
		{"http://a:1:2", "!brackets"},
		{"http://[::1", "!] after"},
		{"http://[::1]x", "!can follow the ]"},
		{"http://[::1]:x", "!1 to 65535"},
		{"http://[]", "!no IPv6 address"},
		{"http://[1.2.3.4]", "!no IPv6 address"},
		{"http://[a]", "!no IPv6 address"},
		{"http://[fe80::1%25eth0]", "!no IPv6 address"},
		{"http://[1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111]", "!no IPv6 address"},
		{"http://u@a", "!user and password"},
		{"http://u:p@a", "!user and password"},
		{"http://@a", "!user and password"},
		{"http://a?", "!no ? or #"},
		{"http://a/x?y", "!no ? or #"},
		{"http://a#b", "!no ? or #"},
		{"http://a/b c", "!%XX"},
		{"http://a/\r\nx", "!%XX"},
		{"http://a/\xc3\xbc", "!%XX"},
		{"http://a/\x7f", "!%XX"},
		{"unix:", "!path is missing"},
		{long_host, "!name is too long"},
		{long_path, "!path is too long"},
		{long_unix, "!symbolic link"},
	};
	struct url u;

	sprintf(long_host, "http://%0256d", 0);
	sprintf(long_path, "http://a/%01024d", 0);
	sprintf(long_unix, "unix:%0*d", (int)sizeof ((struct sockaddr_un *)0)->sun_path, 0);
	for (size_t i = 0; i < LEN(rows); i++) {
		struct err e = {0};
		char got[1500];
		int rc = url_parse(&u, rows[i].text, &e);

		snprintf(got, sizeof got, "%s|%s|%s|%s", u.scheme, u.host, u.port, u.path);
		if (rows[i].want[0] == '!')
			check(rc == -1 && e.code && strstr(e.msg, rows[i].want + 1), "url %.60s: %d %s", rows[i].text, rc, e.msg);
		else
			check(!rc && !e.code && !strcmp(got, rows[i].want), "url %.60s: %d %s %s", rows[i].text, rc, got, e.msg);
		check(url_parse(&u, rows[i].text, NULL) == rc, "url %.60s: without err", rows[i].text);
	}
}

/* The longest that fit, and every prefix of texts that have everything. */
static void
test_url_edges(void)
{
	static const char *const whole[] = {"http://user:secret@[::1]:9321/p?q#f", "https://h.example:443/path/", "unix:/x"};
	struct url u;

	memmove(long_host + 7, long_host + 8, strlen(long_host + 7));
	long_host[strlen(long_host) - 1] = 'a';
	check(!url_parse(&u, long_host, NULL) && strlen(u.host) == 255, "255 bytes of host");
	long_path[strlen(long_path) - 1] = 0;
	check(url_parse(&u, long_path, NULL) < 0, "1024 bytes of path");
	long_path[strlen(long_path) - 1] = 0;
	check(!url_parse(&u, long_path, NULL) && strlen(u.path) == 1023, "1023 bytes of path: %d", (int)strlen(u.path));
	long_unix[strlen(long_unix) - 1] = 0;
	check(!url_parse(&u, long_unix, NULL), "all but one byte of sun_path");
	for (size_t k = 0; k < LEN(whole); k++) {
		for (size_t n = 0; n <= strlen(whole[k]); n++) {
			struct err e = {0};
			char *text = xmemdup(whole[k], n);
			int rc = url_parse(&u, text, &e);

			check(rc < 0 ? e.code && strstr(e.msg, ": ") : !e.code, "prefix %s", text);
			check(n < 19 || k || !strstr(e.msg, "secret"), "a password is not shown: %s", e.msg);
			free(text);
		}
	}
}

/* Garbage is refused or is a URL whose parts are what they should be. */
static void
test_url_garbage(void)
{
	static const char bytes[] = "hHtTpPsSuUnNiIxX:/@[]?#%.-_ 01259afAF\\\t\n\xc3\xff";
	uint32_t seed = 1;
	int good = 0;

	for (int i = 0; i < 200000; i++) {
		struct err e = {0};
		struct url u;
		char text[48];
		size_t n = 0;

		seed = seed * 1664525 + 1013904223;
		if (seed >> 31)
			n = (size_t)sprintf(text, "http://");
		for (size_t want = n + (seed >> 16) % 24; n < want; n++) {
			seed = seed * 1664525 + 1013904223;
			text[n] = bytes[(seed >> 12) % (sizeof bytes - 1)];
		}
		text[n] = 0;
		if (url_parse(&u, text, &e) < 0)
			continue;
		good++;
		if (!strcmp(u.scheme, "unix") ? !*u.path || *u.port : !*u.host || atoi(u.port) < 1 || (*u.path && *u.path != '/'))
			check(false, "garbage %s: %s %s %s %s", text, u.scheme, u.host, u.port, u.path);
	}
	check(good > 1000, "some garbage is good: %d", good);
}

/* ---- resolution ---- */

static void
set_env(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

/* The addresses as text: "1.2.3.4:80 [::1]:80". */
static const char *
shown(const struct net_addrs *a)
{
	static char text[2000];
	char host[64];

	text[0] = 0;
	for (size_t i = 0; i < a->n; i++) {
		const struct addr *at = &a->at[i];
		bool six = at->sa.any.sa_family == AF_INET6;
		char *end = text + strlen(text);

		if (at->sa.any.sa_family == AF_UNIX) {
			sprintf(end, "%s", at->sa.un.sun_path);
			continue;
		}
		if (six)
			inet_ntop(AF_INET6, &at->sa.in6.sin6_addr, host, sizeof host);
		else
			inet_ntop(AF_INET, &at->sa.in.sin_addr, host, sizeof host);
		sprintf(end, six ? "%s[%s]:%d" : "%s%s:%d", i ? " " : "", host,
		    ntohs(six ? at->sa.in6.sin6_port : at->sa.in.sin_port));
	}
	return text;
}

/* The resolver's next answers: numeric texts; "unix" is one of a family that nobody asked for. */
static void
resolve_to(const char *const *texts, int n)
{
	static struct addrinfo info[40];
	static struct addr at[40];

	memset(info, 0, sizeof info);
	for (int i = 0; i < n; i++) {
		struct net_addrs one = {0};

		if (!add_number(&one, texts[i], 0))
			at[i] = one.at[0];
		else
			at[i] = unix_addr("/x");
		info[i].ai_addr = &at[i].sa.any;
		info[i].ai_addrlen = at[i].len;
		info[i].ai_next = i + 1 < n ? &info[i + 1] : NULL;
	}
	answer = n ? info : NULL;
	answers = n;
}

static struct net_addrs *
resolved(const char *text, bool *proxied, struct err *e)
{
	struct url u;

	if (url_parse(&u, text, e) < 0)
		return NULL;
	*proxied = true;
	return net_resolve(&u, &(struct net_proof){0}, proxied, e);
}

static void
test_resolve(void)
{
	static const char *const some[] = {"10.0.0.1", "2001:db8::1", "10.0.0.1", "unix", "10.0.0.2", "2001:db8::1"};
	static const char *const other[] = {"unix"};
	static const struct {
		const char *text, *want;
		int asked;
	} rows[] = {
		{"http://name:7", "10.0.0.1:7 [2001:db8::1]:7 10.0.0.2:7", 1},
		{"http://1.2.3.4", "1.2.3.4:80", 0},
		{"http://[2001:db8::2]:99", "[2001:db8::2]:99", 0},
		{"http://[::ffff:1.2.3.4]", "1.2.3.4:80", 0},
		{"http://localhost:9321", "127.0.0.1:9321 [::1]:9321", 0},
		{"http://LOCALHOST", "127.0.0.1:80 [::1]:80", 0},
		{"http://a.localhost", "127.0.0.1:80 [::1]:80", 0},
		{"http://xlocalhost", "10.0.0.1:80 [2001:db8::1]:80 10.0.0.2:80", 1},
		{"http://.localhost", "10.0.0.1:80 [2001:db8::1]:80 10.0.0.2:80", 1},
		{"unix:/a/b", "/a/b", 0},
		{"http://nobody.example", "!nobody.example: the name cannot be resolved: ", 1},
		{"http://broken.example", "!broken.example: the name cannot be resolved: ", 1},
#ifndef LABTASKER_TLS
		{"https://a.example", "!https://a.example: this build has no TLS: get one that has (make TLS=1)", 0},
		{"https://127.0.0.1:1", "!TLS", 0},
#endif
	};
	char host[32];
	const char *many[40];
	struct net_addrs *a;
	bool proxied;

	resolve_to(some, LEN(some));
	for (size_t i = 0; i < LEN(rows); i++) {
		struct err e = {0};

		asked = freed = 0;
		a = resolved(rows[i].text, &proxied, &e);
		if (rows[i].want[0] == '!')
			check(!a && e.code && strstr(e.msg, rows[i].want + 1), "resolve %s: %s", rows[i].text, e.msg);
		else
			check(a && !e.code && !strcmp(shown(a), rows[i].want), "resolve %s: %s %s", rows[i].text,
			    a ? shown(a) : "", e.msg);
		check(!proxied && asked == rows[i].asked && freed == (a && asked), "resolve %s: asked %d", rows[i].text, asked);
		net_addrs_free(a);
	}
	resolve_to(other, LEN(other));
	for (int i = 0; i < 2; i++, resolve_to(NULL, 0)) {
		struct err e = {0};

		a = resolved("http://name", &proxied, &e);
		check(!a && strstr(e.msg, "name: the name has no address"), "no address: %s", e.msg);
	}
	for (int i = 0; i < 40; i++) {
		sprintf(host, "10.0.1.%d", i);
		many[i] = xstrdup(host);
	}
	resolve_to(many, 40);
	a = resolved("http://name", &proxied, NULL);
	check(a && a->n == ADDRESSES && strstr(shown(a), "10.0.1.15:80"), "many addresses");
	net_addrs_free(a);
	for (int i = 0; i < 40; i++)
		free((char *)(uintptr_t)many[i]);
}

static void
test_proxy(void)
{
	static const char *const ten[] = {"10.0.0.1"};
	static const struct {
		const char *url, *proxy, *no, *NO, *want;   /* the address; "*": through the proxy; "!": a part of the fault */
	} rows[] = {
		/* the proxy */
		{"http://a.example", NULL, NULL, NULL, "10.0.0.1:80"},
		{"http://a.example", "", NULL, NULL, "10.0.0.1:80"},
		{"http://a.example", "http://1.1.1.1:3128", NULL, NULL, "*1.1.1.1:3128"},
		{"http://a.example", "http://1.1.1.1:3128/", NULL, NULL, "*1.1.1.1:3128"},
		{"http://a.example", "1.1.1.1:3128", NULL, NULL, "*1.1.1.1:3128"},
		{"http://a.example", "1.1.1.1", NULL, NULL, "*1.1.1.1:80"},
		{"http://a.example", "HTTP://[2001:db8::1]:8080", NULL, NULL, "*[2001:db8::1]:8080"},
		{"http://a.example", "proxy.example:8080", NULL, NULL, "*10.0.0.1:8080"},
		{"http://a.example", "localhost:8080", NULL, NULL, "*127.0.0.1:8080 [::1]:8080"},
		{"http://a.example", "nobody.example:8080", NULL, NULL, "!nobody.example: the name cannot"},
		{"http://a.example", "http://u:secret@1.1.1.1:3128", NULL, NULL, "!http_proxy: a proxy that asks for a password"},
		{"http://a.example", "https://1.1.1.1:3128", NULL, NULL, "!http_proxy: https://1.1.1.1:3128: only proxies"},
		{"http://a.example", "socks5://1.1.1.1:1080", NULL, NULL, "!http_proxy: socks5://1.1.1.1:1080: it must begin"},
		{"http://a.example", "1.1.1.1:x", NULL, NULL, "!http_proxy: http://1.1.1.1:x: the port"},
		/* this machine never */
		{"http://localhost:1", "1.1.1.1:1", NULL, NULL, "127.0.0.1:1 [::1]:1"},
		{"http://x.localhost:1", "1.1.1.1:1", NULL, NULL, "127.0.0.1:1 [::1]:1"},
		{"http://127.0.0.1:1", "1.1.1.1:1", NULL, NULL, "127.0.0.1:1"},
		{"http://127.255.0.9:1", "u:p@1.1.1.1:1", NULL, NULL, "127.255.0.9:1"},
		{"http://[::1]:1", "1.1.1.1:1", NULL, NULL, "[::1]:1"},
		{"http://[::]:1", "1.1.1.1:1", NULL, NULL, "[::]:1"},
		{"http://[::2]:1", "1.1.1.1:1", NULL, NULL, "*1.1.1.1:1"},
		{"http://[::ffff:127.0.0.1]:1", "1.1.1.1:1", NULL, NULL, "127.0.0.1:1"},
		{"http://0.0.0.0:1", "1.1.1.1:1", NULL, NULL, "0.0.0.0:1"},
		{"http://128.0.0.1:1", "1.1.1.1:1", NULL, NULL, "*1.1.1.1:1"},
		{"http://127.0.0.1.example:1", "1.1.1.1:1", NULL, NULL, "*1.1.1.1:1"},
		{"unix:/x", "1.1.1.1:1", NULL, NULL, "/x"},
#ifndef LABTASKER_TLS
		{"https://a.example", "1.1.1.1:1", NULL, NULL, "!TLS"},
#endif
		/* no_proxy: names */
		{"http://a.example", "1.1.1.1:1", "*", NULL, "10.0.0.1:80"},
		{"http://a.example", "u:p@1.1.1.1:1", "*", NULL, "10.0.0.1:80"},
		{"http://a.example", "1.1.1.1:1", NULL, "*", "10.0.0.1:80"},
		{"http://a.example", "1.1.1.1:1", "", "*", "*1.1.1.1:1"},
		{"http://a.example", "1.1.1.1:1", "b", "a.example", "*1.1.1.1:1"},
		{"http://a.example", "1.1.1.1:1", "a.example", NULL, "10.0.0.1:80"},
		{"http://a.example", "1.1.1.1:1", "A.Example", NULL, "10.0.0.1:80"},
		{"http://a.example", "1.1.1.1:1", "example", NULL, "10.0.0.1:80"},
		{"http://a.example", "1.1.1.1:1", ".example", NULL, "10.0.0.1:80"},
		{"http://a.example", "1.1.1.1:1", "*.example", NULL, "10.0.0.1:80"},
		{"http://a.example", "1.1.1.1:1", "xample", NULL, "*1.1.1.1:1"},
		{"http://a.example", "1.1.1.1:1", ".xample", NULL, "*1.1.1.1:1"},
		{"http://a.example", "1.1.1.1:1", "b.a.example", NULL, "*1.1.1.1:1"},
		{"http://a.example", "1.1.1.1:1", "a", NULL, "*1.1.1.1:1"},
		{"http://a.example", "1.1.1.1:1", ".", NULL, "*1.1.1.1:1"},
		{"http://a.example", "1.1.1.1:1", "*.", NULL, "*1.1.1.1:1"},
		{"http://a.example", "1.1.1.1:1", " ,\t, b.example ,, a.example", NULL, "10.0.0.1:80"},
		{"http://a.example", "1.1.1.1:1", "b.example a.example", NULL, "10.0.0.1:80"},
		{"http://a.example", "1.1.1.1:1", "b.example,c.example,", NULL, "*1.1.1.1:1"},
		/* ports */
		{"http://a.example", "1.1.1.1:1", "a.example:80", NULL, "10.0.0.1:80"},
		{"http://a.example:81", "1.1.1.1:1", "a.example:80", NULL, "*1.1.1.1:1"},
		{"http://a.example:81", "1.1.1.1:1", ".example:81", NULL, "10.0.0.1:81"},
		{"http://a.example:81", "1.1.1.1:1", "a.example:8", NULL, "*1.1.1.1:1"},
		{"http://a.example:81", "1.1.1.1:1", "a.example:", NULL, "*1.1.1.1:1"},
		{"http://a.example:81", "1.1.1.1:1", ":81", NULL, "*1.1.1.1:1"},
		/* addresses and nets */
		{"http://10.9.8.7", "1.1.1.1:1", "10.9.8.7", NULL, "10.9.8.7:80"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.9.8.7:80", NULL, "10.9.8.7:80"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.9.8.7:81", NULL, "*1.1.1.1:1"},
		{"http://10.9.8.7", "1.1.1.1:1", "8.7", NULL, "*1.1.1.1:1"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.0.0.0/8", NULL, "10.9.8.7:80"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.9.8.6/31", NULL, "10.9.8.7:80"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.9.8.4/31", NULL, "*1.1.1.1:1"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.9.8.6/32", NULL, "*1.1.1.1:1"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.9.8.7/32", NULL, "10.9.8.7:80"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.9.8.7/33", NULL, "*1.1.1.1:1"},
		{"http://10.9.8.7", "1.1.1.1:1", "0.0.0.0/0", NULL, "10.9.8.7:80"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.0.0.0/", NULL, "*1.1.1.1:1"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.0.0.0/x", NULL, "*1.1.1.1:1"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.0.0.0/-8", NULL, "*1.1.1.1:1"},
		{"http://10.9.8.7", "1.1.1.1:1", "10.0.0.0/9223372036854775807", NULL, "*1.1.1.1:1"},
		{"http://10.9.8.7", "1.1.1.1:1", "/8", NULL, "*1.1.1.1:1"},
		{"http://a.example", "1.1.1.1:1", "0.0.0.0/0", NULL, "*1.1.1.1:1"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "2001:db8::1", NULL, "[2001:db8::1]:80"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "2001:0DB8:0::1", NULL, "[2001:db8::1]:80"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "[2001:db8::1]", NULL, "[2001:db8::1]:80"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "[2001:db8::1]:80", NULL, "[2001:db8::1]:80"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "[2001:db8::1]:81", NULL, "*1.1.1.1:1"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "[2001:db8::1", NULL, "*1.1.1.1:1"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "2001:db8::/32", NULL, "[2001:db8::1]:80"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "2001:db9::/32", NULL, "*1.1.1.1:1"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "2001:db9::/31", NULL, "[2001:db8::1]:80"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "2001:db8::1/129", NULL, "*1.1.1.1:1"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "::/0", NULL, "[2001:db8::1]:80"},
		{"http://[2001:db8::1]", "1.1.1.1:1", "[]", NULL, "*1.1.1.1:1"},
	};

	resolve_to(ten, 1);
	for (size_t i = 0; i < LEN(rows); i++) {
		struct err e = {0};
		struct net_addrs *a;
		bool proxied;
		const char *want = rows[i].want;
		bool through = want[0] == '*';

		set_env("http_proxy", rows[i].proxy);
		set_env("no_proxy", rows[i].no);
		set_env("NO_PROXY", rows[i].NO);
		a = resolved(rows[i].url, &proxied, &e);
		if (want[0] == '!')
			check(!a && strstr(e.msg, want + 1) && !strstr(e.msg, "secret"), "proxy row %d: %s: %s", (int)i,
			    rows[i].url, e.msg);
		else
			check(a && !strcmp(shown(a), want + through) && proxied == through && !*a->via == !through,
			    "proxy row %d: %s: %s %s", (int)i, rows[i].url, a ? shown(a) : "", e.msg);
		net_addrs_free(a);
	}
	set_env("http_proxy", NULL);
	set_env("no_proxy", NULL);
	set_env("NO_PROXY", NULL);
}

/* ---- many addresses ---- */

static struct net_addrs *
hosts(int n)
{
	struct net_addrs *a = xcalloc(1, sizeof *a);
	char host[32];

	for (int i = 0; i < n; i++) {
		sprintf(host, "10.0.0.%d", i);
		add_number(a, host, 80);
	}
	return a;
}

/* Connects as a caller does, woken by net_wake and net_fd, for at most limit ms.  Whether it is up; *took: ms. */
static bool
race(const struct behind *b, int n, int limit, int *took, struct err *e)
{
	struct net_addrs *a = hosts(n);
	int64_t start = 7000000;
	struct net *c;
	int rc = 0, fds = open_fds();

	world = b;
	faking = true;
	pass(start);
	c = net_open(a, e);
	for (int turns = 0; c && !(rc = net_ready(c, e)) && turns < 1000; turns++) {
		int64_t wake = net_wake(c);

		const struct try *t = try_of(net_fd(c));

		if (t && t->at > clock_us && t->at < wake)   /* what poll would tell */
			wake = t->at;
		check(wake > clock_us, "net_wake lies ahead: %ld", (long)(wake - clock_us));
		check(net_want(c, false) == POLLOUT && net_want(c, true) == POLLOUT, "connecting waits for POLLOUT");
		check(c->n <= TRIES, "not too many at once: %d", c->n);
		if (wake > start + (int64_t)limit * MS)
			break;
		pass(wake);
	}
	*took = (int)((clock_us - start) / MS);
	if (rc > 0)
		check(net_want(c, false) == POLLIN && net_want(c, true) == POLLOUT && net_wake(c) == INT64_MAX && c->n == 1,
		    "connected");
	net_close(c);
	net_close(NULL);
	check(open_fds() == fds + (int)ntries, "all tries are closed");
	forget();
	faking = false;
	net_addrs_free(a);
	return rc > 0;
}

static void
test_race(void)
{
	static const struct {
		const char *what;
		struct behind b[HOSTS];
		int n, took;
		bool up;
		int why;
	} rows[] = {
		{"one that is there", {{0, 0}}, 1, 0, true, 0},
		{"one that comes", {{30, 0}}, 1, 30, true, 0},
		{"one that refuses", {{0, ECONNREFUSED}}, 1, 0, false, ECONNREFUSED},
		{"one that refuses late", {{30, ECONNREFUSED}}, 1, 30, false, ECONNREFUSED},
		{"one that is silent", {{NEVER, 0}}, 1, 0, false, 0},
		{"the next at once", {{0, ECONNREFUSED}, {0, 0}}, 2, 0, true, 0},
		{"the next after a refusal", {{20, ECONNREFUSED}, {30, 0}}, 2, 50, true, 0},
		{"the next after a silence", {{NEVER, 0}, {10, 0}}, 2, 260, true, 0},
		{"three silent ones", {{NEVER, 0}, {NEVER, 0}, {NEVER, 0}, {10, 0}}, 4, 760, true, 0},
		{"seven silent ones",
		    {{NEVER, 0}, {NEVER, 0}, {NEVER, 0}, {NEVER, 0}, {NEVER, 0}, {NEVER, 0}, {NEVER, 0}, {10, 0}},
		    8, 1760, true, 0},
		{"a slow one before a silent one", {{600, 0}, {NEVER, 0}}, 2, 600, true, 0},
		{"a slow one before one that refuses", {{600, 0}, {0, ECONNREFUSED}}, 2, 600, true, 0},
		{"a slow one that refuses, then a slow one", {{600, ECONNREFUSED}, {700, 0}}, 2, 950, true, 0},
		{"two that refuse late", {{100, ECONNREFUSED}, {100, ETIMEDOUT}}, 2, 200, false, ECONNREFUSED},
		{"no way, then refused", {{0, ENETUNREACH}, {0, ECONNREFUSED}}, 2, 0, false, ECONNREFUSED},
		{"refused, then no way", {{0, ECONNREFUSED}, {0, EHOSTUNREACH}}, 2, 0, false, ECONNREFUSED},
		{"no way at all", {{0, ENETUNREACH}, {0, ENETUNREACH}}, 2, 0, false, ENETUNREACH},
		{"no way, then one that comes", {{0, ENETUNREACH}, {40, 0}}, 2, 40, true, 0},
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct err e = {0};
		int took;
		bool up = race(rows[i].b, rows[i].n, 5000, &took, &e);

		/* what poll does not tell is seen up to LOOK later */
		check(up == rows[i].up && took >= rows[i].took && took <= rows[i].took + LOOK / MS, "%s: %d after %d ms",
		    rows[i].what, up, took);
		check(!rows[i].why == !e.code && !strcmp(e.msg, rows[i].why ? strerror(rows[i].why) : ""), "%s: %s",
		    rows[i].what, e.msg);
	}
}

/* Any world: connects when any address does within the time that the ones before it leave, fails when all fail, leaks nothing. */
static void
test_race_random(void)
{
	static const int fail[] = {ECONNREFUSED, ENETUNREACH, ETIMEDOUT};
	uint32_t seed = 7;

	for (int round = 0; round < 600; round++) {
		struct behind b[ADDRESSES];
		struct err e = {0};
		int n = 1 + (int)((seed >> 20) % ADDRESSES), took;
		bool can = false, silent = false, up;

		for (int i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			b[i].after = (seed >> 28) < 6 ? 0 : (seed >> 28) < 9 ? NEVER : 1 + (int)((seed >> 12) % 900);
			b[i].why = b[i].after == NEVER ? 0 : (seed >> 8) % 4 < 3 ? fail[(seed >> 8) % 4] : 0;
			can = can || (b[i].after < NEVER && !b[i].why && (b[i].after < TRIES * STAGGER / MS - 1));
			silent = silent || b[i].after == NEVER;
		}
		seed = seed * 1664525 + 1013904223;
		up = race(b, n, 60000, &took, &e);
		if (can)
			check(up && took <= n * 900 + LOOK / MS, "round %d: no connection after %d ms: %s", round, took, e.msg);
		else if (!silent)
			check(up || e.code, "round %d: neither up nor failed", round);
		check(!up || !e.code, "round %d: up with an error", round);
	}
}

/* ---- true connections ---- */

/* Until net_ready says so, or 5 s. */
static int
wait_ready(struct net *c, struct err *e)
{
	int rc;

	for (int i = 0; i < 500 && !(rc = net_ready(c, e)); i++) {
		struct pollfd p = {.fd = net_fd(c), .events = net_want(c, false)};

		poll(&p, 1, 10);
	}
	return rc;
}

static struct net *
dial(const char *text, struct net_addrs **a, struct err *e)
{
	struct net *c;
	bool proxied;

	*a = resolved(text, &proxied, e);
	c = *a ? net_open(*a, e) : NULL;
	if (!c || wait_ready(c, e) > 0)
		return c;
	net_close(c);
	return NULL;
}

static int
accept_one(int listener)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	poll(&p, 1, 5000);
	return accept(listener, NULL, NULL);
}

static ssize_t
read_wait(struct net *c, void *p, size_t n)
{
	struct pollfd wait = {.fd = net_fd(c), .events = net_want(c, false)};
	ssize_t k;

	while ((k = net_read(c, p, n)) == NET_AGAIN)
		if (poll(&wait, 1, 5000) <= 0)
			break;
	return k;
}

static int
flags_of(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK ? 1 : 0) | (fcntl(fd, F_GETFD) & FD_CLOEXEC ? 2 : 0);
}

/* Bytes go both ways, blocks are told, ends are seen. */
static void
converse(int listener, const char *url, bool tcp)
{
	struct err e = {0};
	struct net_addrs *a;
	struct net *c = dial(url, &a, &e), *s;
	static char big[65536];
	char text[16];
	size_t sent = 0, got = 0;
	ssize_t k;

	check(c, "%s: %s", url, e.msg);
	if (!c) {
		net_addrs_free(a);
		return;
	}
	s = net_adopt(accept_one(listener), NULL);
	check(flags_of(net_fd(c)) == 3 && flags_of(net_fd(s)) == 3, "%s: non-blocking and close-on-exec", url);
	for (int i = 0; i < 2 && tcp; i++) {
		int on = 0;
		socklen_t len = sizeof on;

		check(!getsockopt(net_fd(i ? s : c), IPPROTO_TCP, TCP_NODELAY, &on, &len) && on, "%s: no delay", url);
	}
	check(net_ready(c, &e) == 1 && net_ready(s, &e) == 1 && net_wake(s) == INT64_MAX, "%s: ready stays", url);
	check(net_read(c, text, sizeof text) == NET_AGAIN, "%s: nothing to read", url);
	check(net_read(s, text, sizeof text) == NET_AGAIN, "%s: nothing to read there", url);
	check(net_write(c, "ping", 4) == 4 && read_wait(s, text, sizeof text) == 4 && !memcmp(text, "ping", 4), "%s: there", url);
	check(net_write(s, "pong", 4) == 4 && read_wait(c, text, 2) == 2 && read_wait(c, text + 2, 9) == 2 &&
	    !memcmp(text, "pong", 4), "%s: and back", url);
	while ((k = net_write(c, big, sizeof big)) > 0)
		sent += (size_t)k;
	check(k == NET_AGAIN, "%s: a full connection says so: %ld", url, (long)k);
	while (got < sent && (k = read_wait(s, big, sizeof big)) > 0)
		got += (size_t)k;
	check(got == sent, "%s: all arrives", url);
	net_close(s);
	check(read_wait(c, text, sizeof text) == 0, "%s: the end", url);
	k = 0;
	for (int i = 0; i < 100 && k >= 0; i++) {
		k = net_write(c, "x", 1);
		poll(NULL, 0, 1);
	}
	check(k == -1 && (errno == EPIPE || errno == ECONNRESET), "%s: nobody there: %ld", url, (long)k);
	net_close(c);
	net_addrs_free(a);
}

static bool
have_ipv6(void)
{
	struct net_addrs a = {0};
	int fd;

	add_number(&a, "::1", 0);
	fd = listen_at(&a.at[0]);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* A server that ended its connections itself can listen there again at once: TIME_WAIT is no hindrance. */
static void
test_again(const char *port)
{
	struct net_addrs *a;
	struct net *c;
	char url[64], text[4];
	int fd[2], number;

	sprintf(url, "http://127.0.0.1:%s", port);
	for (int i = 0; i < 2; i++) {
		int n = net_listen("127.0.0.1", port, fd, 2, &number, NULL);

		check(n == 1 && number == atoi(port), "again");
		if (n != 1)
			return;
		c = dial(url, &a, NULL);
		check(c, "connected again");
		close(accept_one(fd[0]));
		check(c && read_wait(c, text, sizeof text) == 0, "the server ends it");
		net_close(c);
		net_addrs_free(a);
		close(fd[0]);
	}
}

static void
test_tcp(void)
{
	struct err e = {0};
	char url[64], text[16];
	int fd[4], port = 0, taken = 0, n;
	struct net_addrs *a;
	bool six = have_ipv6();

	n = net_listen("127.0.0.1", "0", fd, 4, &port, &e);
	check(n == 1 && port > 0 && flags_of(fd[0]) == 3, "listen: %d %s", n, e.msg);
	sprintf(url, "http://127.0.0.1:%d", port);
	converse(fd[0], url, true);
	sprintf(url, "http://localhost:%d", port);
	converse(fd[0], url, true);
	sprintf(text, "%d", port);
	n = net_listen("127.0.0.1", text, fd + 1, 3, &taken, &e);
	check(n == -1 && strstr(e.msg, "127.0.0.1 port ") && strstr(e.msg, "another port"), "taken: %d %s", n, e.msg);
	close(fd[0]);
	sprintf(url, "http://127.0.0.1:%d", port);
	e = (struct err){0};
	check(!dial(url, &a, &e) && !strcmp(e.msg, strerror(ECONNREFUSED)), "refused: %s", e.msg);
	net_addrs_free(a);
	sprintf(url, "http://localhost:%d", port);
	e = (struct err){0};
	check(!dial(url, &a, &e) && !strcmp(e.msg, strerror(ECONNREFUSED)), "refused by name: %s", e.msg);
	net_addrs_free(a);
	sprintf(url, "127.0.0.1:%d", port);
	set_env("http_proxy", url);
	e = (struct err){0};
	check(!dial("http://a.example", &a, &e) && strstr(e.msg, "proxy of http_proxy, 127.0.0.1 port ") &&
	    strstr(e.msg, strerror(ECONNREFUSED)), "refused by the proxy: %s", e.msg);
	net_addrs_free(a);
	set_env("http_proxy", NULL);
	test_again(text);
	if (!six) {
		fprintf(stderr, "net: no IPv6 here: not tested\n");
		return;
	}
	n = net_listen("::1", "0", fd, 4, &port, NULL);
	check(n == 1, "listen at ::1");
	sprintf(url, "http://[::1]:%d", port);
	converse(fd[0], url, true);
	sprintf(url, "http://localhost:%d", port);
	converse(fd[0], url, true);   /* 127.0.0.1 refuses */
	close(fd[0]);
}

static void
test_listen(void)
{
	static const char *const both[] = {"127.0.0.1", "::1", "127.0.0.1"}, *const bad[] = {"192.0.2.1"};
	static const char *const mixed[] = {"192.0.2.1", "127.0.0.1"};
	static const char *const wild[] = {"", "*", "localhost", "name.example"};
	struct err e = {0};
	int fd[4], port, n, families = have_ipv6() ? 2 : 1;

	resolve_to(both, LEN(both));
	for (size_t i = 0; i < LEN(wild); i++) {
		int on = 0;
		socklen_t len = sizeof on;

		port = 0;
		n = net_listen(wild[i], "0", fd, 4, &port, &e);
		check(n == families && port > 0, "listen at '%s': %d %s", wild[i], n, e.msg);
		for (int k = 0; k < n; k++)
			check(port_of(fd[k]) == port && flags_of(fd[k]) == 3, "one port");
		if (n == 2)
			check(!getsockopt(fd[1], IPPROTO_IPV6, IPV6_V6ONLY, &on, &len) && on, "IPv6 alone");
		while (n > 0)
			close(fd[--n]);
	}
	n = net_listen("*", "0", fd, 1, &port, &e);
	check(n == 1 && port > 0, "room for one: %d", n);
	close(fd[0]);
	n = net_listen("0.0.0.0", "0", fd, 4, &port, &e);
	check(n == 1, "IPv4 alone: %d", n);
	close(fd[0]);
	resolve_to(mixed, LEN(mixed));
	n = net_listen("name.example", "0", fd, 4, &port, &e);
	check(n == 1, "what is not of this machine is left out: %d %s", n, e.msg);
	close(fd[0]);
	resolve_to(bad, LEN(bad));
	n = net_listen("name.example", "0", fd, 4, &port, &e);
	check(n == -1 && strstr(e.msg, "no such address"), "elsewhere: %s", e.msg);
	e = (struct err){0};
	check(net_listen("nobody.example", "0", fd, 4, &port, &e) == -1 && strstr(e.msg, "resolved"), "unknown: %s", e.msg);
	for (int i = 0; i < 5; i++) {
		static const char *const ports[] = {"", "x", "-1", "65536", "99999999999999999999"};

		e = (struct err){0};
		n = net_listen("127.0.0.1", ports[i], fd, 4, &port, &e);
		check(n == -1 && strstr(e.msg, "0 to 65535"), "port '%s': %s", ports[i], e.msg);
	}
}

/* A free port for one family can be taken in the other: then another is tried; and a failure closes what was opened. */
static void
test_listen_partly(void)
{
	struct err e = {0};
	char text[16];
	int held, fd[4], port, n, before;
	struct net_addrs a = {0};

	if (!have_ipv6())
		return;
	add_number(&a, "::1", 0);
	held = listen_at(&a.at[0]);
	before = open_fds();
	sprintf(text, "%d", port_of(held));
	n = net_listen("localhost", text, fd, 4, &port, &e);
	check(n == -1 && strstr(e.msg, "another port") && open_fds() == before, "half of it taken: %d %s", n, e.msg);
	close(held);
}

/* A socket that met itself is no server. */
static void
test_itself(void)
{
	struct net_addrs *a = xcalloc(1, sizeof *a);
	struct net *c = xcalloc(1, sizeof *c);
	struct addr us = {0};
	struct err e = {0};
	int fd = new_socket(AF_INET);

	add_number(a, "127.0.0.1", 0);
	us.len = sizeof us.sa;
	*c = (struct net){.n = 1, .fd = {fd}, .a = a, .next = 1};
	if (bind(fd, &a->at[0].sa.any, a->at[0].len) || getsockname(fd, &us.sa.any, &us.len) ||
	    (connect(fd, &us.sa.any, us.len) && errno != EINPROGRESS))
		fprintf(stderr, "net: a socket cannot meet itself here: not tested\n");
	else
		check(wait_ready(c, &e) == -1 && !strcmp(e.msg, strerror(ECONNREFUSED)), "a socket that met itself: %s", e.msg);
	net_close(c);
	net_addrs_free(a);
}

static void
test_no_descriptors(void)
{
	struct rlimit old, low;
	struct net_addrs a = {0};
	struct err e = {0};
	int fd[4], port;

	add_number(&a, "127.0.0.1", 1);
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &low);
	check(!net_open(&a, &e) && !strcmp(e.msg, strerror(EMFILE)), "connect: %s", e.msg);
	e = (struct err){0};
	check(net_listen("127.0.0.1", "0", fd, 4, &port, &e) == -1 && strstr(e.msg, strerror(EMFILE)), "listen: %s", e.msg);
	e = (struct err){0};
	check(net_listen_unix("x", &e) == -1 && strstr(e.msg, strerror(EMFILE)), "listen at a path: %s", e.msg);
	setrlimit(RLIMIT_NOFILE, &old);
}

/* ---- Unix sockets ---- */

static char dir[64];

static void
make_file(const char *path)
{
	close(open(path, O_WRONLY | O_CREAT, 0600));
}

static void
test_unix(void)
{
	struct err e = {0};
	struct net_addrs *a;
	struct stat st;
	char url[128], path[200];
	mode_t mask = umask(0);
	int fd;

	sprintf(path, "%s/s", dir);
	sprintf(url, "unix:%s/s", dir);
	check(!dial(url, &a, &e) && !strcmp(e.msg, strerror(ENOENT)), "no socket: %s", e.msg);
	net_addrs_free(a);
	e = (struct err){0};
	fd = net_listen_unix(path, &e);
	check(fd >= 0 && flags_of(fd) == 3, "listen: %s", e.msg);
	check(!stat(path, &st) && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0600, "its mode: %o", (unsigned)st.st_mode);
	check(umask(0) == 0, "the umask is as it was");
	converse(fd, url, false);
	check(net_listen_unix(path, &e) == -1 && strstr(e.msg, "another server listens there"), "taken: %s", e.msg);
	close(accept_one(fd));      /* it was asked whether it lives */
	converse(fd, url, false);   /* and does */
	close(fd);
	e = (struct err){0};
	check(!dial(url, &a, &e) && !strcmp(e.msg, strerror(ECONNREFUSED)), "stale: %s", e.msg);
	net_addrs_free(a);
	fd = net_listen_unix(path, NULL);
	check(fd >= 0, "a stale socket is replaced");
	converse(fd, url, false);
	close(fd);
	unix_fault = EACCES;
	check(net_listen_unix(path, NULL) == -1 && !lstat(path, &st), "who cannot ask does not replace");
	unix_fault = 0;
	unlink(path);
	make_file(path);
	e = (struct err){0};
	check(net_listen_unix(path, &e) == -1 && strstr(e.msg, "no socket") && !stat(path, &st), "a file: %s", e.msg);
	unlink(path);
	sprintf(path, "%s/none/s", dir);
	e = (struct err){0};
	check(net_listen_unix(path, &e) == -1 && strstr(e.msg, strerror(ENOENT)), "no directory: %s", e.msg);
	memset(path, 'x', sizeof path);
	path[sizeof ((struct sockaddr_un *)0)->sun_path] = 0;
	e = (struct err){0};
	check(net_listen_unix(path, &e) == -1 && strstr(e.msg, "bytes"), "too long: %s", e.msg);
	e = (struct err){0};
	check(net_listen_unix("", &e) == -1 && strstr(e.msg, "bytes"), "empty: %s", e.msg);
	umask(mask);
}

/* The longest path that fits does. */
static void
test_unix_longest(void)
{
	char url[200], cwd[4096];
	size_t n = sizeof ((struct sockaddr_un *)0)->sun_path - 1;
	int fd;

	if (!getcwd(cwd, sizeof cwd) || chdir(dir) < 0)
		abort();
	memcpy(url, "unix:", 5);
	memset(url + 5, 'y', n);
	url[5 + n] = 0;
	fd = net_listen_unix(url + 5, NULL);
	check(fd >= 0, "the longest path");
	if (fd >= 0)
		converse(fd, url, false);
	close(fd);
	unlink(url + 5);
	if (chdir(cwd) < 0)
		abort();
}

/* More clients than the listener's queue holds: the last waits, by the clock, and gets in. */
static void
test_unix_queue(void)
{
	struct addr at;
	struct net_addrs a = {0};
	struct net *c[300];
	char path[100];
	int listener = new_socket(AF_UNIX), n = 0, rc = 1;
	struct err e = {0};

	sprintf(path, "%s/q", dir);
	at = unix_addr(path);
	a.at[a.n++] = at;
	check(!bind(listener, &at.sa.any, at.len) && !listen(listener, 1), "a short queue");
	while (n < (int)LEN(c) && rc > 0) {
		c[n] = net_open(&a, &e);
		rc = c[n] ? net_ready(c[n], &e) : -1;
		n += c[n] != NULL;
	}
	if (rc > 0)
		fprintf(stderr, "net: a listener's queue has no end here: not tested\n");
	check(rc >= 0, "a full queue is no failure: %s", e.msg);
	if (!rc) {
		struct net *last = c[n - 1];

		check(net_fd(last) == -1 && net_wake(last) > 0 && net_wake(last) <= sys_mono() + BUSY, "it is woken");
		check(net_ready(last, &e) == 0, "too early");
		close(accept_one(listener));
		for (int i = 0; i < 500 && !(rc = net_ready(last, &e)); i++)
			poll(NULL, 0, 2);
		check(rc == 1, "it gets in: %d %s", rc, e.msg);
	}
	while (n > 0)
		net_close(c[--n]);
	close(listener);
	unlink(path);
}

/* ---- where a socket can be ---- */

/* A directory below dir with a path of n bytes. */
static char *
deep(size_t n)
{
	struct buf b = {0};

	buf_adds(&b, dir);
	while (b.len < n) {
		buf_addc(&b, '/');
		for (size_t k = n - b.len > 60 ? 50 : n - b.len; k; k--)
			buf_addc(&b, 'd');
	}
	sys_mkdirs(b.p, 0700, NULL);
	return b.p;
}

/* Whether root's socket would be in that directory; path is where. */
static bool
lies_in(const char *root, const char *where, char path[108])
{
	size_t n = strlen(where);

	return !net_unix_path(root, path, 108) && !strncmp(path, where, n) && path[n] == '/' && !strchr(path + n + 1, '/');
}

static void
test_path(void)
{
	const size_t most = sizeof ((struct sockaddr_un *)0)->sun_path;
	char *root, *other, path[108], again[108], want[200], runtime[100], private[120], cwd[4096], tmp[64];
	struct stat st;
	bool had;
	int fd;

	sprintf(runtime, "%s/run", dir);
	sprintf(private, "%s/labtasker", runtime);
	sprintf(tmp, "/tmp/labtasker-%ld", (long)geteuid());
	had = !lstat(tmp, &st);
	mkdir(runtime, 0700);
	set_env("XDG_RUNTIME_DIR", runtime);

	/* in the root, and nothing stays there */
	sprintf(want, "%s/server.sock", dir);
	check(!net_unix_path(dir, path, sizeof path) && !strcmp(path, want) && lstat(path, &st) < 0, "root: %s", path);
	if (!getcwd(cwd, sizeof cwd) || chdir(dir) < 0)
		abort();
	check(lies_in("run", runtime, path), "relative: %s", path);
	if (chdir(cwd) < 0)
		abort();
	root = deep(most - 1 - strlen("/server.sock"));
	check(lies_in(root, root, path) && strlen(path) == most - 1, "longest: %s", path);
	check(!net_unix_path(root, path, most - 1) && strncmp(path, root, strlen(root)), "room for one less: %s", path);
	free(root);

	/* a name that JSON, and so server.json, cannot hold */
	root = xprintf("%s/\351", dir);
	mkdir(root, 0700);
	check(lies_in(root, private, path), "no UTF-8: %s", path);
	rmdir(root);
	free(root);

	/* too long: the runtime directory, a name for each root, always the same */
	root = deep(most - strlen("/server.sock"));
	other = deep(most + 100);
	check(lies_in(root, private, path), "runtime: %s", path);
	check(!stat(private, &st) && (st.st_mode & 0777) == 0700, "its mode: %o", (unsigned)st.st_mode);
	check(!net_unix_path(root, again, sizeof again) && !strcmp(path, again), "the same again: %s", again);
	check(!net_unix_path(other, again, sizeof again) && strcmp(path, again), "another root: %s", again);
	fd = net_listen_unix(path, NULL);
	check(fd >= 0, "it can be listened at");
	check(!net_unix_path(root, again, sizeof again) && strcmp(path, again), "not where another listens: %s", again);
	close(fd);
	unlink(path);

	/* not private: not there */
	chmod(private, 0750);
	check(lies_in(root, tmp, path), "group can enter: %s", path);
	rmdir(private);
	make_file(private);
	check(lies_in(root, tmp, path), "a file: %s", path);
	unlink(private);
	if (symlink(dir, private) < 0)
		abort();
	check(lies_in(root, tmp, path), "a link: %s", path);
	unlink(private);
	if (chdir(dir) < 0)
		abort();
	set_env("XDG_RUNTIME_DIR", "run");
	check(lies_in(root, tmp, path), "relative: %s", path);
	if (chdir(cwd) < 0)
		abort();
	set_env("XDG_RUNTIME_DIR", NULL);
	check(lies_in(root, tmp, path), "none: %s", path);
	check(!lstat(tmp, &st) && (st.st_mode & 0777) == 0700, "/tmp: its mode: %o", (unsigned)st.st_mode);
	if (!had)
		check(!rmdir(tmp), "nothing stays there");

	/* sockets that can be made and not be used */
	unix_fault = EOPNOTSUPP;
	check(net_unix_path(dir, path, sizeof path) == -1, "no file system that knows sockets: %s", path);
	unix_fault = 0;
	if (!had)
		rmdir(tmp);

	/* a directory of that name that is somebody else's */
	somebody = geteuid() + 54321;
	check(net_unix_path(root, path, sizeof path) == -1, "somebody else's: %s", path);
	sprintf(tmp, "/tmp/labtasker-%ld", (long)somebody);
	rmdir(tmp);
	somebody = 0;
	free(root);
	free(other);
}

int
main(void)
{
	static const char *const env[] = {"http_proxy", "no_proxy", "NO_PROXY", "XDG_RUNTIME_DIR"};
	char command[100];
	int fds;

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < LEN(env); i++)
		unsetenv(env[i]);
	sprintf(dir, "/tmp/lt-net-%ld", (long)getpid());
	if (mkdir(dir, 0700) < 0)
		return 2;
	fds = open_fds();
	test_url();
	test_url_edges();
	test_url_garbage();
	test_resolve();
	test_proxy();
	test_race();
	test_race_random();
	test_tcp();
	test_listen();
	test_listen_partly();
	test_itself();
	test_no_descriptors();
	test_unix();
	test_unix_longest();
	test_unix_queue();
	test_path();
	check(open_fds() == fds, "no descriptor is left open: %d, %d at the start", open_fds(), fds);
	sprintf(command, "rm -rf %s", dir);
	if (system(command))
		check(false, "%s cannot be removed", dir);
	return test_done("net");
}
