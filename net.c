/* SPDX-License-Identifier: MIT */
/*
 * Connections behind read, write and close; listening sockets; the addresses that URLs and proxies stand for.  Nothing here
 * blocks but the resolver, and that is asked only for true names: numeric addresses and localhost need no file and no server.
 *
 * A name's addresses are tried in order, each a moment after the one before or at once when that one failed; those before stay
 * open meanwhile, and the first that answers wins.  So a dead address costs a moment, and a slow one is not given up for a dead
 * one.  net_fd is the youngest try, net_wake says when the others must be looked at.
 *
 * TLS (tls.c) stands in net_ready, which goes on to the handshake, net_read, net_write, net_want, net_shut and net_close; nobody
 * else touches the bytes.
 */
#include "labtasker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	ADDRESSES = 16,              /* of one name; more are not tried */
	TRIES = 4,                   /* connections under way at a time */
	STAGGER = 250 * 1000,        /* what an address has to itself (RFC 8305, 5) */
	LOOK = 50 * 1000,            /* how often the older tries are looked at */
	BUSY = 10 * 1000,            /* until the next try where a Unix listener's queue is full */
	BACKLOG = 1024,              /* the system cuts it to what it can */
	FREE_PORTS = 16              /* free ports tried until one is free in each family */
};

/* ---- URLs ---- */

static const struct {
	const char *name, *port;     /* port NULL: a path follows */
} schemes[] = {{"http", "80"}, {"https", "443"}, {"unix", NULL}};

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};   /* before an IPv4 address */

/* A numeric address as IPv6, IPv4 as ::ffff:a.b.c.d.  0 or -1. */
static int
pack(const char *host, unsigned char ip[16])
{
	memcpy(ip, mapped, sizeof mapped);
	return inet_pton(AF_INET, host, ip + 12) == 1 || inet_pton(AF_INET6, host, ip) == 1 ? 0 : -1;
}

static bool
is_mapped(const unsigned char ip[16])
{
	return !memcmp(ip, mapped, sizeof mapped);
}

static bool
is_alnum(char ch)
{
	return (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z');
}

/* 1.2.3, 0x7f.1 and the like: old resolvers take them for addresses, others for names. */
static bool
ends_in_number(const char *host)
{
	const char *last = strrchr(host, '.');

	last = last ? last + 1 : host;
	return *last && (strspn(last, "0123456789") == strlen(last) ||
	    (last[0] == '0' && last[1] == 'x' && strspn(last + 2, "0123456789abcdef") == strlen(last + 2)));
}

/* The functions from here to url_parse return NULL, or what is wrong. */

static const char *
read_name(struct url *u, struct str s)
{
	unsigned char ip[16];

	if (!s.n)
		return "the host is missing";
	if (s.n >= sizeof u->host)
		return "the host's name is too long";
	for (size_t i = 0; i < s.n; i++) {
		char ch = s.p[i];

		if ((unsigned char)ch > 0x7e)
			return "the host's name must be in its ASCII form (xn--...)";
		if (!is_alnum(ch) && !strchr("-._", ch))
			return "a host's name is letters, digits, '-', '.' and '_'";
		u->host[i] = (char)(ch >= 'A' && ch <= 'Z' ? ch | 0x20 : ch);
	}
	if (ends_in_number(u->host) && pack(u->host, ip) < 0)
		return "the host is no IPv4 address, and no name ends in a number";
	return NULL;
}

/* What stands between brackets; kept in its shortest form, so that one address has one spelling. */
static const char *
read_ipv6(struct url *u, struct str s)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char ip[16];

	if (s.n < sizeof text) {
		memcpy(text, s.p, s.n);
		text[s.n] = 0;
		if (inet_pton(AF_INET6, text, ip) == 1 && inet_ntop(AF_INET6, ip, u->host, sizeof u->host))
			return NULL;
	}
	return "what stands in the brackets is no IPv6 address";
}

static const char *
read_port(struct url *u, struct str s)
{
	int64_t port;

	if (!s.n)
		return NULL;
	if (!is_alnum(s.p[0]) || parse_int(s, &port) < 0 || port < 1 || port > 65535)
		return "the port must be 1 to 65535";
	snprintf(u->port, sizeof u->port, "%d", (int)port);
	return NULL;
}

/* HOST, HOST:PORT or [IPV6]:PORT. */
static const char *
read_authority(struct url *u, struct str s)
{
	const char *colon, *why;
	size_t n;

	if (memchr(s.p, '@', s.n))
		return "no user and password can stand in it";
	if (s.n && s.p[0] == '[') {
		const char *end = memchr(s.p, ']', s.n);

		if (!end)
			return "the ] after the IPv6 address is missing";
		n = (size_t)(end - s.p) + 1;
		if (n < s.n && s.p[n] != ':')
			return "only a port can follow the ]";
		why = read_ipv6(u, (struct str){s.p + 1, n - 2});
	} else {
		colon = memchr(s.p, ':', s.n);
		n = colon ? (size_t)(colon - s.p) : s.n;
		if (colon && memchr(colon + 1, ':', s.n - n - 1))
			return "an IPv6 address must stand in brackets: http://[::1]:9321";
		why = read_name(u, (struct str){s.p, n});
	}
	return why || n == s.n ? why : read_port(u, (struct str){s.p + n + 1, s.n - n - 1});
}

static const char *
read_http(struct url *u, const char *p)
{
	const char *why;
	size_t n;

	if (strncmp(p, "//", 2))
		return "// must follow the scheme";
	p += 2;
	n = strcspn(p, "/?#");
	why = read_authority(u, (struct str){p, n});
	if (why)
		return why;
	p += n;
	n = strlen(p);
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '?' || p[i] == '#')
			return "a server's address has no ? or #";
		if (p[i] <= 0x20 || p[i] >= 0x7f)
			return "spaces and what is not ASCII must be written as %XX in it";
	}
	while (n && p[n - 1] == '/')
		n--;
	if (n >= sizeof u->path)
		return "the path is too long";
	memcpy(u->path, p, n);
	return NULL;
}

static const char *
read_unix(struct url *u, const char *path)
{
	struct sockaddr_un un;

	if (!*path)
		return "the path is missing";
	if (strlen(path) >= sizeof un.sun_path || strlen(path) >= sizeof u->path)
		return "the path is too long for a Unix socket: a symbolic link can shorten it";
	strcpy(u->path, path);
	return NULL;
}

int
url_parse(struct url *u, const char *text, struct err *e)
{
	const char *why = "it must begin with http://, https:// or unix:", *at = strrchr(text, '@');
	size_t n = strcspn(text, ":");

	*u = (struct url){0};
	for (size_t i = 0; i < LEN(schemes); i++) {
		if (!text[n] || !str_caseis((struct str){text, n}, schemes[i].name))
			continue;
		strcpy(u->scheme, schemes[i].name);
		if (schemes[i].port)
			strcpy(u->port, schemes[i].port);
		else
			at = NULL;
		why = schemes[i].port ? read_http(u, text + n + 1) : read_unix(u, text + n + 1);
	}
	/* what stands before an @ may be a password */
	return why ? err_set(e, 1, "%s%.150s: %s", at ? "..." : "", at ? at : text, why) : 0;
}

/* ---- proxies ---- */

static bool
is_localhost(const char *host)
{
	size_t n = strlen(host);

	return !strcmp(host, "localhost") || (n > 10 && !strcmp(host + n - 10, ".localhost"));   /* RFC 6761, 6.3 */
}

/* This machine, whatever is set up; 0.0.0.0 and :: are it too when one connects to them. */
static bool
is_here(const char *host)
{
	static const unsigned char zero[16];
	unsigned char ip[16];

	if (is_localhost(host))
		return true;
	if (pack(host, ip) < 0)
		return false;
	if (is_mapped(ip))
		return ip[12] == 127 || !memcmp(ip + 12, zero, 4);
	return !memcmp(ip, zero, 15) && ip[15] <= 1;
}

/* Whether ip lies in net, which is ADDRESS or ADDRESS/BITS. */
static bool
in_net(const unsigned char ip[16], struct str net)
{
	char text[64], *slash;
	unsigned char want[16];
	int64_t bits = 128, whole;

	if (net.n >= sizeof text)
		return false;
	memcpy(text, net.p, net.n);
	text[net.n] = 0;
	slash = strchr(text, '/');
	if (slash)
		*slash = 0;
	if (pack(text, want) < 0)
		return false;
	if (slash) {
		if (parse_int(str_of(slash + 1), &bits) < 0 || bits < 0 || bits > (is_mapped(want) ? 32 : 128))
			return false;
		bits += is_mapped(want) ? 96 : 0;
	}
	whole = bits / 8;
	if (memcmp(ip, want, (size_t)whole))
		return false;
	return whole == 16 || !((ip[whole] ^ want[whole]) >> (8 - bits % 8));
}

/* One word of no_proxy: *, or HOST, .SUFFIX, *.SUFFIX, ADDRESS, ADDRESS/BITS, each with :PORT or without. */
static bool
exempts(struct str word, const struct url *u)
{
	const char *colon = memchr(word.p, ':', word.n), *end = word.p[0] == '[' ? memchr(word.p, ']', word.n) : NULL;
	size_t n = strlen(u->host);
	unsigned char ip[16];

	if (str_is(word, "*"))
		return true;
	if (end)
		colon = end + 1 < word.p + word.n ? end + 1 : NULL;
	else if (colon && memchr(colon + 1, ':', (size_t)(word.p + word.n - colon - 1)))
		colon = NULL;   /* IPv6 without brackets */
	if (colon) {
		if (!str_is((struct str){colon + 1, (size_t)(word.p + word.n - colon - 1)}, u->port))
			return false;
		word.n = (size_t)(colon - word.p);
	}
	if (end)
		word = (struct str){word.p + 1, (size_t)(end - word.p) - 1};
	if (!pack(u->host, ip))
		return in_net(ip, word);
	if (word.n && word.p[0] == '*')
		word.p++, word.n--;
	if (word.n && word.p[0] == '.')
		word.p++, word.n--;
	if (!word.n || word.n > n || !str_caseis(word, u->host + n - word.n))
		return false;
	return word.n == n || u->host[n - word.n - 1] == '.';
}

static bool
exempt(const struct url *u)
{
	static const char separators[] = ", \t";
	const char *p = getenv("no_proxy");

	if (!p)
		p = getenv("NO_PROXY");
	if (!p)
		return false;
	for (p += strspn(p, separators); *p; p += strspn(p, separators)) {
		size_t n = strcspn(p, separators);

		if (exempts((struct str){p, n}, u))
			return true;
		p += n;
	}
	return false;
}

/* The proxy for u: 1 with *proxy, 0 none, -1 with err.  HTTP_PROXY is not read: under CGI it is a request's header. */
static int
proxy_of(const struct url *u, struct url *proxy, struct err *e)
{
	const char *text = getenv("http_proxy");
	struct err why = {0};
	char *full;
	int rc;

	if (!text || !*text || is_here(u->host) || exempt(u))
		return 0;
	if (strchr(text, '@'))
		return err_set(e, 1, "http_proxy: a proxy that asks for a password cannot be used: put %.150s in no_proxy, or "
		    "name another", u->host);
	full = xprintf("%s%s", strstr(text, "://") ? "" : "http://", text);
	rc = url_parse(proxy, full, &why);
	free(full);
	if (!rc && strcmp(proxy->scheme, "http"))
		rc = err_set(&why, 1, "%.150s: only proxies that speak http:// can be used", text);
	return rc < 0 ? err_set(e, 1, "http_proxy: %s", why.msg) : 1;
}

/* ---- addresses ---- */

struct addr {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} sa;
};

struct net_addrs {
	size_t n;
	char via[160];               /* before what goes wrong: which proxy; "" none */
	struct tls_trust *trust;     /* https: whom the connections must lead to */
	struct addr at[ADDRESSES];
};

static void
set_port(struct addr *at, int port)
{
	if (at->sa.any.sa_family == AF_INET)
		at->sa.in.sin_port = htons((uint16_t)port);
	else
		at->sa.in6.sin6_port = htons((uint16_t)port);
}

/* Each address once: some resolvers give one for every line of a file. */
static void
add(struct net_addrs *a, const struct sockaddr *sa, socklen_t len, int port)
{
	struct addr at = {.len = len};

	if (a->n == LEN(a->at) || len > sizeof at.sa || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
		return;
	memcpy(&at.sa, sa, len);
	set_port(&at, port);
	for (size_t i = 0; i < a->n; i++)
		if (a->at[i].len == len && !memcmp(&a->at[i].sa, &at.sa, len))
			return;
	a->at[a->n++] = at;
}

static int
add_number(struct net_addrs *a, const char *host, int port)
{
	struct addr at = {0};
	unsigned char ip[16];

	if (pack(host, ip) < 0)
		return -1;
	if (is_mapped(ip)) {
		at.sa.in.sin_family = AF_INET;
		at.len = sizeof at.sa.in;
		memcpy(&at.sa.in.sin_addr, ip + 12, 4);
	} else {
		at.sa.in6.sin6_family = AF_INET6;
		at.len = sizeof at.sa.in6;
		memcpy(&at.sa.in6.sin6_addr, ip, 16);
	}
	add(a, &at.sa.any, at.len, port);
	return 0;
}

static int
lookup(struct net_addrs *a, const char *host, int port, struct err *e)
{
	struct addrinfo hints = {0}, *list = NULL;
	int rc;

	if (!add_number(a, host, port))
		return 0;
	if (is_localhost(host))
		return add_number(a, "127.0.0.1", port) | add_number(a, "::1", port);
	hints.ai_family = AF_UNSPEC;
	hints.ai_socktype = SOCK_STREAM;
	rc = getaddrinfo(host, NULL, &hints, &list);
	if (rc)
		return err_set(e, 1, "%.150s: the name cannot be resolved: %s", host,
		    rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
	for (const struct addrinfo *i = list; i; i = i->ai_next)
		add(a, i->ai_addr, (socklen_t)i->ai_addrlen, port);
	freeaddrinfo(list);
	return a->n ? 0 : err_set(e, 1, "%.150s: the name has no address", host);
}

static struct addr
unix_addr(const char *path)
{
	struct addr at = {0};

	at.sa.un.sun_family = AF_UNIX;
	memcpy(at.sa.un.sun_path, path, strlen(path));   /* all callers have checked its length */
	at.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	return at;
}

static int
resolve(struct net_addrs *a, const struct url *u, const struct net_proof *proof, bool *proxied, struct err *e)
{
	struct url proxy;
	int rc;

	if (!strcmp(u->scheme, "unix")) {
		a->at[a->n++] = unix_addr(u->path);
		return 0;
	}
	if (!strcmp(u->scheme, "https")) {
		if (!tls)
			return err_set(e, 1, "https://%.150s: this build has no TLS: get one that has (make TLS=1), or use http:// through a "
			    "tunnel (ssh -L)", u->host);
		a->trust = tls->trust(u->host, proof->cacert, proof->pin, e);
		return a->trust ? lookup(a, u->host, atoi(u->port), e) : -1;
	}
	rc = proxy_of(u, &proxy, e);
	if (rc <= 0)
		return rc < 0 ? -1 : lookup(a, u->host, atoi(u->port), e);
	*proxied = true;
	snprintf(a->via, sizeof a->via, "the proxy of http_proxy, %.100s port %s: ", proxy.host, proxy.port);
	return lookup(a, proxy.host, atoi(proxy.port), e);
}

struct net_addrs *
net_resolve(const struct url *u, const struct net_proof *proof, bool *proxied, struct err *e)
{
	struct net_addrs *a = xcalloc(1, sizeof *a);

	*proxied = false;
	if (!resolve(a, u, proof, proxied, e))
		return a;
	net_addrs_free(a);
	return NULL;
}

void
net_addrs_free(struct net_addrs *a)
{
	if (a && a->trust)
		tls->trust_free(a->trust);
	free(a);
}

/* ---- connecting ---- */

struct net {
	bool up;                     /* connected; with tls the handshake may be still to come */
	bool proven;                 /* the handshake is over */
	struct tls *tls;             /* NULL: none */
	int n, fd[TRIES];            /* up: the connection is fd[0]; else the tries under way, the youngest last */
	const struct net_addrs *a;
	size_t next;                 /* the address to be tried next */
	int64_t at, looked;          /* mono: when that one's turn is; when the tries were looked at */
	int why;                     /* the errno that tells most so far */
};

static int
new_socket(int family)
{
	int fd = socket(family, SOCK_STREAM, 0);

	if (fd >= 0) {
		sys_cloexec(fd);
		sys_nonblock(fd, true);
	}
	return fd;
}

static void
no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);   /* a Unix socket does not know it, and needs it not */
}

/* TCP to a free port of this machine can meet itself: its own port may be picked to be that one. */
static bool
is_itself(int fd)
{
	struct addr us = {0}, peer = {0};

	us.len = peer.len = sizeof us.sa;
	if (getsockname(fd, &us.sa.any, &us.len) < 0 || getpeername(fd, &peer.sa.any, &peer.len) < 0)
		return false;
	return us.sa.any.sa_family != AF_UNIX && us.len == peer.len && !memcmp(&us.sa, &peer.sa, us.len);
}

/* That this machine has no way to one address says little when another was reached. */
static bool
says_little(int why)
{
	return !why || why == EAFNOSUPPORT || why == ENETUNREACH || why == EHOSTUNREACH || why == EADDRNOTAVAIL;
}

/* The try fd[i] is over; the next address is due. */
static void
lose(struct net *c, int i, int why)
{
	close(c->fd[i]);
	c->n--;
	memmove(c->fd + i, c->fd + i + 1, (size_t)(c->n - i) * sizeof *c->fd);
	if (says_little(c->why))
		c->why = why;
	c->at = 0;
}

static void
win(struct net *c, int i)
{
	int fd = c->fd[i];

	if (is_itself(fd)) {
		lose(c, i, ECONNREFUSED);
		return;
	}
	for (int k = 0; k < c->n; k++)
		if (k != i)
			close(c->fd[k]);
	no_delay(fd);
	c->fd[0] = fd;
	c->n = 1;
	c->up = true;
	if (c->a->trust)
		c->tls = tls->client(c->a->trust);
}

/* What became of the tries. */
static void
look(struct net *c)
{
	for (int i = 0, n; i < c->n && !c->up; i += n == c->n) {
		struct pollfd p = {.fd = c->fd[i], .events = POLLOUT};
		int why = 0;
		socklen_t len = sizeof why;

		n = c->n;
		if (poll(&p, 1, 0) <= 0)
			continue;
		if (getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
			why = errno;
		if (why)
			lose(c, i, why);
		else
			win(c, i);
	}
}

static void
begin(struct net *c, int64_t now)
{
	const struct addr *to = &c->a->at[c->next++];
	int fd;

	if (c->n == TRIES)
		lose(c, 0, ETIMEDOUT);
	fd = new_socket(to->sa.any.sa_family);
	if (fd < 0) {
		c->why = says_little(c->why) ? errno : c->why;
		return;
	}
	c->fd[c->n++] = fd;
	c->at = now + STAGGER;
	if (!connect(fd, &to->sa.any, to->len)) {
		win(c, c->n - 1);
	} else if (errno == EAGAIN) {   /* a Unix listener's queue is full; poll cannot tell when it is not */
		lose(c, c->n - 1, errno);
		c->next--;
		c->at = now + BUSY;
	} else if (errno != EINPROGRESS && errno != EINTR) {
		lose(c, c->n - 1, errno);
	}
}

/* A client that speaks no TLS is still to be told so. */
static int
shake(struct net *c, struct err *e)
{
	struct err why = {0};
	int rc = tls->ready(c->tls, c->fd[0], &why);

	c->proven = rc > 0;
	if (rc >= 0)
		return rc;
	if (why.code == TLS_PLAIN) {
		tls->free(c->tls);
		c->tls = NULL;
	}
	return err_set(e, why.code, "%s", why.msg);
}

int
net_ready(struct net *c, struct err *e)
{
	if (!c->up) {
		c->looked = sys_mono();
		look(c);
		while (!c->up && c->next < c->a->n && c->at <= c->looked)
			begin(c, c->looked);
	}
	if (c->up)
		return net_shaking(c) ? shake(c, e) : 1;
	return c->n || c->next < c->a->n ? 0 : err_set(e, 1, "%s%s", c->a->via, strerror(c->why));
}

struct net *
net_open(const struct net_addrs *a, struct err *e)
{
	struct net *c = xcalloc(1, sizeof *c);

	c->a = a;
	if (net_ready(c, e) >= 0)
		return c;
	net_close(c);
	return NULL;
}

struct net *
net_adopt(int fd, struct tls_identity *show)
{
	struct net *c = xcalloc(1, sizeof *c);

	sys_cloexec(fd);
	sys_nonblock(fd, true);
	no_delay(fd);
	c->up = true;
	c->n = 1;
	c->fd[0] = fd;
	if (show)
		c->tls = tls->server(show);
	return c;
}

bool
net_shaking(const struct net *c)
{
	return c->up && c->tls && !c->proven;
}

int64_t
net_wake(const struct net *c)
{
	int64_t wake = INT64_MAX;

	if (c->up)
		return wake;
	if (c->next < c->a->n)
		wake = c->at;
	return c->n > 1 && c->looked + LOOK < wake ? c->looked + LOOK : wake;
}

/* ---- the connection ---- */

ssize_t
net_read(struct net *c, void *p, size_t n)
{
	ssize_t k;

	if (c->tls)
		return tls->read(c->tls, c->fd[0], p, n);
	k = sys_read(c->fd[0], p, n);
	return k < 0 && sys_again() ? NET_AGAIN : k;
}

ssize_t
net_write(struct net *c, const void *p, size_t n)
{
	ssize_t k;

	if (c->tls)
		return tls->write(c->tls, c->fd[0], p, n);
	do
		k = write(c->fd[0], p, n);
	while (k < 0 && errno == EINTR);
	return k < 0 && sys_again() ? NET_AGAIN : k;
}

int
net_fd(const struct net *c)
{
	return c->n ? c->fd[c->n - 1] : -1;
}

short
net_want(const struct net *c, bool writing)
{
	if (net_shaking(c))
		return tls->want(c->tls);
	return writing || !c->up ? POLLOUT : POLLIN;
}

int
net_shut(struct net *c)
{
	if (c->tls)
		tls->shut(c->tls, c->fd[0]);
	return shutdown(c->fd[0], SHUT_WR);
}

void
net_close(struct net *c)
{
	if (!c)
		return;
	if (c->tls) {
		tls->shut(c->tls, c->fd[0]);
		tls->free(c->tls);
	}
	while (c->n)
		close(c->fd[--c->n]);
	free(c);
}

/* ---- listening ---- */

/* The listening socket, or -1 with errno. */
static int
listen_at(const struct addr *at)
{
	int on = 1, why, fd = new_socket(at->sa.any.sa_family);

	if (fd < 0)
		return -1;
	if (at->sa.any.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
#ifdef IPV6_V6ONLY
	if (at->sa.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);   /* IPv4 has a socket of its own */
#endif
	if (!bind(fd, &at->sa.any, at->len) && !listen(fd, BACKLOG))
		return fd;
	why = errno;
	close(fd);
	errno = why;
	return -1;
}

static int
port_of(int fd)
{
	struct addr at = {0};

	at.len = sizeof at.sa;
	if (getsockname(fd, &at.sa.any, &at.len) < 0)
		return 0;
	return ntohs(at.sa.any.sa_family == AF_INET ? at.sa.in.sin_port : at.sa.in6.sin6_port);
}

/* Listens at all of a: how many, or -1 with errno.  What this machine lacks, IPv6 mostly, is left out while something is left. */
static int
listen_all(struct net_addrs *a, int port, int *fd, int max, int *port_out)
{
	int n = 0, why = 0;

	for (size_t i = 0; i < a->n && n < max; i++) {
		set_port(&a->at[i], n ? *port_out : port);
		fd[n] = listen_at(&a->at[i]);
		if (fd[n] >= 0) {
			*port_out = port_of(fd[n++]);
		} else {
			why = errno;
			if (!says_little(why))
				goto fail;
		}
	}
	if (n)
		return n;
fail:
	while (n)
		close(fd[--n]);
	errno = why;
	return -1;
}

int
net_listen(const char *host, const char *port, int *fd, int max, int *port_out, struct err *e)
{
	bool any = !*host || !strcmp(host, "*");
	struct net_addrs a = {0};
	int64_t number;
	int n, tries = 0;

	if (parse_int(str_of(port), &number) < 0 || number < 0 || number > 65535)
		return err_set(e, 1, "port %.20s: it must be 0 to 65535", port);
	if (any ? add_number(&a, "0.0.0.0", 0) | add_number(&a, "::", 0) : lookup(&a, host, 0, e))
		return -1;
	do
		n = listen_all(&a, (int)number, fd, max, port_out);
	while (n < 0 && !number && errno == EADDRINUSE && ++tries < FREE_PORTS);
	if (n >= 0)
		return n;
	return err_set(e, 1, "%.150s port %s: %s%s", any ? "*" : host, port, strerror(errno),
	    errno == EADDRINUSE ? ": stop who listens there, or choose another port" :
	    errno == EACCES ? ": choose a port from 1024 on" :
	    errno == EADDRNOTAVAIL ? ": this machine has no such address" : "");
}

/* Whether somebody accepts there; -1 with errno: certainly nobody, or not for us. */
static int
try_unix(const char *path)
{
	struct addr at = unix_addr(path);
	int why = 0, fd = new_socket(AF_UNIX);

	if (fd < 0)
		return -1;
	if (connect(fd, &at.sa.any, at.len) < 0 && errno != EAGAIN && errno != EINPROGRESS)
		why = errno;
	close(fd);
	errno = why;
	return why ? -1 : 0;
}

/* Only its owner may connect: bind gives the file its mode, by the umask, before anybody can. */
static int
bind_unix(const char *path)
{
	struct addr at = unix_addr(path);
	mode_t mask = umask(0177);
	int fd = listen_at(&at);

	umask(mask);
	return fd;
}

int
net_listen_unix(const char *path, struct err *e)
{
	struct sockaddr_un un;
	struct stat st;
	int fd;

	if (!*path || strlen(path) >= sizeof un.sun_path)
		return err_set(e, 1, "%.200s: a Unix socket's path must be 1 to %d bytes", path, (int)sizeof un.sun_path - 1);
	fd = bind_unix(path);
	if (fd < 0 && errno == EADDRINUSE) {
		if (!lstat(path, &st) && !S_ISSOCK(st.st_mode))
			return err_set(e, 1, "%.200s: is there and is no socket: choose another path", path);
		if (!try_unix(path))
			return err_set(e, 1, "%.200s: another server listens there: stop it, or choose another path", path);
		if (errno == ECONNREFUSED && unlink(path) < 0 && errno != ENOENT)
			return err_set(e, 1, "%.200s: nobody listens there, and it cannot be removed: %s", path, strerror(errno));
		fd = bind_unix(path);
	}
	return fd < 0 ? err_set(e, 1, "%.200s: %s", path, strerror(errno)) : fd;
}

/* ---- where a Unix socket can be ---- */

/* Whether the path fits, server.json can hold it, and the file system knows sockets: some make them and cannot connect to them. */
static bool
works(const char *path, size_t n)
{
	struct sockaddr_un un;
	struct err e = {0};
	bool ok;
	int fd;

	if (strlen(path) >= n || strlen(path) >= sizeof un.sun_path || !utf8_valid(path, strlen(path)))
		return false;
	fd = net_listen_unix(path, &e);
	if (fd < 0)
		return false;
	ok = !try_unix(path);
	close(fd);
	unlink(path);
	return ok;
}

/* A directory, made if need be, that is ours and nobody else's. */
static bool
private_dir(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return false;
	return !lstat(dir, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077);
}

/* dir/NAME, where NAME stands for root. */
static bool
elsewhere(const char *dir, const char *root, char *path, size_t n)
{
	static const unsigned char key[16];
	uint64_t id = hash_sip(key, root, strlen(root));
	char *text = xprintf("%s/%08lx%08lx.sock", dir, (unsigned long)(id >> 32), (unsigned long)(id & 0xffffffff));
	bool ok = private_dir(dir) && works(text, n);

	if (ok)
		strcpy(path, text);
	free(text);
	return ok;
}

int
net_unix_path(const char *root, char *path, size_t n)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *base = sys_absolute(root), *home = xprintf("%s/server.sock", base);   /* server.json is read from other directories */
	char *user = runtime && *runtime == '/' ? xprintf("%s/labtasker", runtime) : NULL;
	char *temp = xprintf("/tmp/labtasker-%ld", (long)geteuid());
	bool ok = works(home, n);

	if (ok)
		strcpy(path, home);
	else
		ok = (user && elsewhere(user, base, path, n)) || elsewhere(temp, base, path, n);
	free(temp);
	free(user);
	free(home);
	free(base);
	return ok ? 0 : -1;
}
