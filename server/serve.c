/* SPDX-License-Identifier: MIT */
/*
 * The poll loop.  A turn: wait; fail what is overdue; take what has come and answer it into buffers; put the turn's records on
 * disk with one sync; send.  No answer leaves before the sync that makes it true, and all requests that came in one turn share it.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	LISTENERS = 8,
	SPARE_FDS = 12,       /* journal, its new file, locks, pipes, standard streams */
	ACCEPTS = 64,         /* connections taken a turn */
	IDLE = 60,            /* seconds without anybody after which a server that a client started ends */
	AUTH_SLICE = 1000,    /* microseconds */
	PAUSE = 100 * 1000,   /* microseconds in which nobody is accepted, when descriptors have run out */
	CONNS_MAX = 100 * 1000,
	AHEAD = 1 << 20,      /* zeros behind the journal: a thousand turns or so */
	SHAKES = 4,           /* steps of TLS handshakes a turn: each may reckon for a millisecond or two */
	GOODBYE = 1           /* seconds that unsent answers have at the end */
};

struct server {
	const struct serve_opts *opts;
	char *dir;            /* of the store */
	bool home;            /* it is opts->root, with the queue of the local clients */
	struct claim *claim;
	struct os os;         /* of the journal: it changes names in the store's directory only while that is ours */
	struct journal *journal;
	struct store *store;
	struct auth *auth;
	struct rest *api;
	struct conn_opts conn_opts;
	int listener[LISTENERS], listeners;
	int plain;            /* the listener that has no TLS, the Unix one; -1 none */
	struct tls_identity *identity;   /* what the others show; NULL: no TLS */
	char socket[108];     /* of the Unix listener, "" none */
	struct stat made;     /* what stood there then */
	int port;
	struct conn **conn;
	struct pollfd *poll;
	size_t conns, cap, max;
	uint64_t serial;
	int64_t quiet;        /* mono: since when nobody is here */
	int64_t paused;       /* mono: until when nobody is accepted, for want of descriptors */
	int64_t work;         /* mono: when the journal has something to do */
	bool trouble;         /* changes are refused; that was said */
};

static int wake[2] = {-1, -1};
static volatile sig_atomic_t ending, hung_up;   /* the signals that have come */

static void
on_signal(int sig)
{
	int keep = errno;

	if (sig == SIGHUP)
		hung_up = sig;
	else
		ending = sig;
	(void)!write(wake[1], "", 1);   /* a full pipe wakes as well */
	errno = keep;
}

/* ---- the seams as they really are ---- */

static int64_t
real_wall(void *ctx)
{
	(void)ctx;
	return sys_wall();
}

static int64_t
real_mono(void *ctx)
{
	(void)ctx;
	return sys_mono();
}

static void
real_random(void *ctx, void *p, size_t n)
{
	(void)ctx;
	sys_random(p, n);
}

static int
real_open(void *ctx, const char *path, int flags, mode_t mode)
{
	int fd = open(path, flags | O_NOCTTY, mode);

	(void)ctx;
	if (fd >= 0)
		sys_cloexec(fd);
	return fd;
}

static ssize_t
real_read(void *ctx, int fd, void *p, size_t n)
{
	(void)ctx;
	return sys_read(fd, p, n);
}

static ssize_t
real_write(void *ctx, int fd, const void *p, size_t n)
{
	(void)ctx;
	return write(fd, p, n);
}

static int
real_truncate(void *ctx, int fd, int64_t size)
{
	(void)ctx;
	return ftruncate(fd, (off_t)size);
}

static int
real_sync(void *ctx, int fd)
{
	(void)ctx;
	return sys_datasync(fd);
}

static int64_t
real_seek(void *ctx, int fd, int64_t off, int whence)
{
	(void)ctx;
	return lseek(fd, (off_t)off, whence);
}

static int
real_close(void *ctx, int fd)
{
	(void)ctx;
	return close(fd);
}

static int
real_rename(void *ctx, const char *from, const char *to)
{
	(void)ctx;
	return rename(from, to);
}

static int
real_unlink(void *ctx, const char *path)
{
	(void)ctx;
	return unlink(path);
}

static int
real_syncdir(void *ctx, const char *dir)
{
	(void)ctx;
	return sys_syncdir(dir);
}

const struct os os_real = {
	.wall = real_wall, .mono = real_mono, .random = real_random, .open = real_open, .read = real_read, .write = real_write,
	.truncate = real_truncate, .sync = real_sync, .seek = real_seek, .close = real_close, .rename = real_rename,
	.unlink = real_unlink, .syncdir = real_syncdir,
};

static bool
same_file(const struct stat *x, const struct stat *y)
{
	return x->st_dev == y->st_dev && x->st_ino == y->st_ino;
}

/* Whether the store is no longer where it was; errno then. */
static bool
moved(const struct claim *c)
{
	errno = ENOENT;
	return !claim_ours(c);
}

static int
own_open(void *ctx, const char *path, int flags, mode_t mode)
{
	return flags & O_CREAT && moved(ctx) ? -1 : real_open(NULL, path, flags, mode);
}

static int
own_rename(void *ctx, const char *from, const char *to)
{
	return moved(ctx) ? -1 : rename(from, to);
}

static int
own_unlink(void *ctx, const char *path)
{
	return moved(ctx) ? -1 : unlink(path);
}

/* Seconds, or where they are 0 others, in microseconds. */
static int64_t
micro(double seconds, int other)
{
	return (int64_t)((seconds > 0 ? seconds : other) * 1e6);
}

static struct now
time_now(void)
{
	return (struct now){sys_wall(), sys_mono()};
}

/* ---- beginning ---- */

static int
listen_unix(struct server *s, const char *path, struct err *e)
{
	int fd = net_listen_unix(path, e);

	if (fd < 0)
		return -1;
	snprintf(s->socket, sizeof s->socket, "%s", path);
	stat(path, &s->made);
	s->plain = fd;
	s->listener[s->listeners++] = fd;
	return 0;
}

static int
listen_tcp(struct server *s, const char *host, const char *port, struct err *e)
{
	int n = net_listen(host, port, s->listener + s->listeners, LISTENERS - s->listeners, &s->port, e);

	if (n < 0)
		return -1;
	s->listeners += n;
	return 0;
}

/* A server that a client started listens where the directory's mode is the gate; where no socket can be, on loopback. */
static int
listen_local(struct server *s, struct err *e)
{
	struct err why = {0};
	char path[108];

	if (!net_unix_path(s->opts->root, path, sizeof path) && !listen_unix(s, path, &why))
		return 0;
	return listen_tcp(s, "127.0.0.1", "0", e);
}

static int
listen_all(struct server *s, struct err *e)
{
	const struct serve_opts *o = s->opts;

	if (o->local)
		return listen_local(s, e);
	if (o->unix_path && listen_unix(s, o->unix_path, e) < 0)
		return -1;
	return o->host ? listen_tcp(s, o->host, o->port, e) : 0;
}

/* The URL of server.json. Owned. */
static char *
own_url(const struct server *s)
{
	const struct serve_opts *o = s->opts;
	const char *host = o->local || !o->host ? "127.0.0.1" : o->host;
	bool any = !*host || !strcmp(host, "0.0.0.0") || !strcmp(host, "::") || !strcmp(host, "*");
	char *path, *url;

	if (o->advertise)
		return xstrdup(o->advertise);
	if (s->port) {
		host = any ? sys_host() : host;
		return xprintf(strchr(host, ':') ? "http%s://[%s]:%d" : "http%s://%s:%d", s->identity ? "s" : "", host, s->port);
	}
	path = sys_absolute(s->socket);
	url = xprintf("unix:%s", path);
	free(path);
	return url;
}

/* The pin that server.json tells of: of our own certificate, where it is what clients get to see. */
static const char *
own_pin(const struct server *s, const char *url)
{
	struct url u;

	if (!s->identity || url_parse(&u, url, NULL) < 0 || strcmp(u.scheme, "https") || atoi(u.port) != s->port)
		return NULL;
	return tls->pin(s->identity);
}

/* Reads the certificate and the key, at the start and on SIGHUP; those of before stay when the new ones will not do. */
static int
read_identity(struct server *s, struct err *e)
{
	struct tls_identity *i;

	if (!s->opts->cert)
		return 0;
	if (!tls)
		return err_set(e, EXIT_REFUSED, "--cert: this build has no TLS: get one that has (make TLS=1), or leave it to a "
		    "proxy before the server");
	i = tls->identity(s->opts->cert, s->opts->key, e);
	if (!i)
		return -1;
	if (s->identity)
		tls->identity_drop(s->identity);
	s->identity = i;
	return 0;
}

static int
publish(struct server *s, struct err *e)
{
	char *url = own_url(s);
	int rc = claim_publish(s->claim, url, own_pin(s, url), journal_store_id(s->journal), e);

	free(url);
	return rc;
}

static void
announce(const struct server *s)
{
	char *url = own_url(s), port[20] = "";

	if (s->opts->advertise && s->port)
		snprintf(port, sizeof port, ", port %d", s->port);
	if (!s->opts->local)
		warn("serving %s at %s (process %ld%s%s%s)", s->dir, url, (long)getpid(), port, s->identity ? "; --pin " : "",
		    s->identity ? tls->pin(s->identity) : "");
	free(url);
}

static void
reload(struct server *s)
{
	struct err e = {0};

	if (s->opts->log)
		log_reopen();
	if (!s->opts->cert)
		return;
	if (read_identity(s, &e) < 0)
		warn("%s; the certificate and key of before stay in use", e.msg);
	else if (!claim_ours(s->claim))
		warn("%s: was removed or moved: end this server (process %ld)", s->dir, (long)getpid());
	else if (publish(s, &e) < 0)
		warn("%s", e.msg);
	else
		announce(s);
}

/* Hashes or checks a password here and now; nobody is connected yet. */
static enum auth_answer
password_now(struct server *s, const char *hash, struct str password, char *out)
{
	enum auth_answer a;

	for (;;) {
		a = hash ? auth_check(s->auth, hash, password, 0) : auth_hash(s->auth, password, 0, out);
		if (a != AUTH_LATER)
			return a;
		auth_work(s->auth, 1000000);
	}
}

/* The queue of a store that lies in the root: `default` with the password of the file beside it. */
static int
own_queue(struct server *s, struct err *e)
{
	struct queue *q = queue_find(s->store, str_of("default"));
	struct queue_update u = {0};
	struct buf pw = {0};
	char *path = xprintf("%s/password", s->opts->root), hash[128];
	int rc = sys_slurp(path, 4096, &pw, e);

	while (pw.len && (pw.p[pw.len - 1] == '\n' || pw.p[pw.len - 1] == '\r'))
		pw.len--;
	if (!rc && !password_valid((struct str){pw.p, pw.len}))
		rc = err_set(e, EXIT_REFUSED, "%s: what it holds is no password of 1 to 100 characters: remove it, and another is made", path);
	free(path);
	if (rc < 0 || (q && password_now(s, queue_hash(q), (struct str){pw.p, pw.len}, NULL) == AUTH_OK))
		goto out;
	password_now(s, NULL, (struct str){pw.p, pw.len}, hash);
	u.hash = hash;
	if (q ? queue_update(s->store, q, &u, time_now(), e) < 0 :
	    !queue_create(s->store, str_of("default"), hash, NULL, time_now(), e))
		rc = -1;
	else
		rc = journal_commit(s->journal, &s->store, time_now(), e);
out:
	buf_wipe(&pw);
	return rc;
}

static bool
same_dir(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && same_file(&x, &y);
}

/* A journal that is a link to a disk that is not mounted would count as none. */
static int
refuse_dangling(const char *dir, struct err *e)
{
	char *path = xprintf("%s/journal", dir);
	struct stat st;
	int rc = 0;

	if (!lstat(path, &st) && stat(path, &st) < 0 && errno == ENOENT)
		rc = err_set(e, EXIT_REFUSED, "%s: a link to what is not there: mount the disk that has it, or remove the link", path);
	free(path);
	return rc;
}

static int
open_store(struct server *s, struct err *e)
{
	const struct serve_opts *o = s->opts;
	struct journal_opts jo = {.os = &s->os, .dir = s->dir, .sync = o->sync, .repair = o->repair,
		.ahead = o->sync == SYNC_ALWAYS ? AHEAD : 0};
	struct api_opts ao = {.os = &os_real, .store = &s->store, .no_create = o->no_create, .polling = o->polling, .events = o->events,
		.metrics = o->metrics};

	s->os = os_real;
	s->os.ctx = s->claim;
	s->os.open = own_open;
	s->os.rename = own_rename;
	s->os.unlink = own_unlink;
	s->journal = refuse_dangling(s->dir, e) < 0 ? NULL : journal_open(&jo, &s->store, e);
	if (!s->journal)
		return -1;
	s->auth = auth_new(&os_real);
	ao.journal = s->journal;
	ao.auth = s->auth;
	s->api = api_new(&ao);
	api_settle(s->api, true, time_now());
	return s->home ? own_queue(s, e) : 0;
}

static void
set_limits(struct server *s)
{
	struct rlimit r = {0};

	if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
		getrlimit(RLIMIT_NOFILE, &r);
	}
	s->max = r.rlim_cur > CONNS_MAX ? CONNS_MAX : r.rlim_cur > SPARE_FDS + 4 ? (size_t)r.rlim_cur - SPARE_FDS : 4;
	if (s->opts->connections && s->opts->connections < s->max)
		s->max = s->opts->connections;
}

/* Whether there is one that may be hung up. */
static bool
has_terminal(void)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int
set_signals(const struct serve_opts *o, struct err *e)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigemptyset(&sa.sa_mask);
	ending = hung_up = 0;
	if (sys_pipe(wake) < 0)
		return err_set(e, EXIT_REFUSED, "pipe: %s: raise the limit of descriptors (ulimit -n)", strerror(errno));
	sys_nonblock(wake[0], true);
	sys_nonblock(wake[1], true);
	if (signal(SIGTERM, SIG_DFL) != SIG_IGN)   /* ignored: a batch script has it outlive the workers that are told as well */
		sigaction(SIGTERM, &sa, NULL);
	else
		signal(SIGTERM, SIG_IGN);
	sigaction(SIGINT, &sa, NULL);
	if (o->local)
		signal(SIGHUP, SIG_IGN);
	else if (o->log || o->cert || (signal(SIGHUP, SIG_DFL) != SIG_IGN && has_terminal()))
		sigaction(SIGHUP, &sa, NULL);
	else
		signal(SIGHUP, SIG_IGN);   /* nohup, or a service manager that would have us read anew what we do not have */
	signal(SIGXFSZ, SIG_IGN);   /* a file over its limit is a full disk to us */
	return 0;
}

static int
begin(struct server *s, struct err *e)
{
	const struct serve_opts *o = s->opts;

	if (set_signals(o, e) < 0)
		return -1;
	set_limits(s);
	if ((o->log && log_check(o->log, e) < 0) || read_identity(s, e) < 0)
		return -1;
	if (sys_mkdirs(s->dir, 0700, e) < 0)
		return -1;
	s->home = same_dir(s->dir, o->root);
	if (s->home && locate_make(o->root, e) < 0)
		return -1;
	s->claim = claim_take(s->dir, e);
	if (!s->claim || open_store(s, e) < 0 || listen_all(s, e) < 0 || publish(s, e) < 0)
		return -1;
	log_open(o->log, o->log_json);
	announce(s);
	return 0;
}

/* ---- connections ---- */

/* Who is connected, for auth: an address from outside, else each connection for itself. */
static uint64_t
peer_of(struct server *s, int fd, char from[INET6_ADDRSTRLEN])
{
	struct sockaddr_storage a = {0};   /* none where the peer has gone already */
	socklen_t n = sizeof a;
	uint64_t h = 0xcbf29ce484222325u;
	const unsigned char *p = NULL;
	size_t len = 0;

	strcpy(from, "unix");
	if (!getpeername(fd, (struct sockaddr *)&a, &n) && a.ss_family == AF_INET) {
		p = (unsigned char *)&((struct sockaddr_in *)&a)->sin_addr;
		len = *p == 127 ? 0 : 4;
	} else if (a.ss_family == AF_INET6) {
		p = (unsigned char *)&((struct sockaddr_in6 *)&a)->sin6_addr;
		len = 8;   /* a peer has a whole /64 */
	}
	if (p)
		inet_ntop(a.ss_family, p, from, INET6_ADDRSTRLEN);
	if (!len)
		return ++s->serial;
	while (len--)
		h = (h ^ *p++) * 0x100000001b3u;
	return h | (uint64_t)1 << 63;
}

static void
drop(struct server *s, size_t i)
{
	auth_forget(s->auth, conn_peer(s->conn[i]));
	conn_free(s->conn[i]);
	s->conn[i] = s->conn[--s->conns];
}

/* Room for one more where all descriptors are used: the connection that has been silent the longest goes. */
static bool
make_room(struct server *s, struct now now)
{
	size_t oldest = 0;

	for (size_t i = 1; i < s->conns; i++)
		if (conn_idle(s->conn[i]) < conn_idle(s->conn[oldest]))
			oldest = i;
	if (!s->conns || conn_idle(s->conn[oldest]) > now.mono - SECOND)
		return false;
	drop(s, oldest);
	return true;
}

static void
take(struct server *s, int listener, struct now now)
{
	for (int i = 0; i < ACCEPTS; i++) {
		char from[INET6_ADDRSTRLEN];
		uint64_t peer;
		int fd;

		if (s->conns >= s->max && !make_room(s, now)) {
			s->paused = now.mono + PAUSE;
			return;
		}
		fd = accept(listener, NULL, NULL);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				s->paused = now.mono + PAUSE;
			return;
		}
		sys_cloexec(fd);
		if (s->conns == s->cap) {
			s->cap = s->cap ? s->cap * 2 : 16;
			s->conn = xrealloc(s->conn, s->cap * sizeof(struct conn *));
			s->poll = xrealloc(s->poll, (s->cap + LISTENERS + 1) * sizeof *s->poll);
		}
		peer = peer_of(s, fd, from);
		s->conn[s->conns++] = conn_new(net_adopt(fd, listener == s->plain ? NULL : s->identity), peer, from, &s->conn_opts, now);
	}
}

/* ---- the turn ---- */

static int64_t
min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Fills poll: the signal pipe, the listeners, the connections.  How long to wait, in milliseconds. */
static int
prepare(struct server *s, int64_t now)
{
	bool deaf = now < s->paused, again = auth_pending(s->auth);
	int64_t until = min(s->work, deaf ? s->paused : INT64_MAX);
	struct pollfd *p = s->poll;

	if (journal_mode(s->journal) != JOURNAL_REFUSE)
		until = min(until, queue_due(s->store));
	until = min(until, api_due(s->api));
	if (s->opts->local)
		until = min(until, s->quiet + IDLE * SECOND);
	*p++ = (struct pollfd){.fd = wake[0], .events = POLLIN};
	for (int i = 0; i < s->listeners; i++)
		*p++ = (struct pollfd){.fd = deaf ? -1 : s->listener[i], .events = POLLIN};
	for (size_t i = 0; i < s->conns; i++) {
		struct conn *c = s->conn[i];

		*p++ = (struct pollfd){.fd = conn_fd(c), .events = conn_want(c)};
		until = min(until, min(conn_deadline(c), conn_wake(c)));
		again |= conn_stalled(c);
	}
	if (again || until <= now)
		return 0;
	return until - now > 3600 * SECOND ? 3600 * 1000 : (int)((until - now + 999) / 1000);
}

/* The requests that have come, those that waited for auth, those that waited for room, fetches for which there is a task now. */
static void
requests(struct server *s, struct now now)
{
	const struct pollfd *p = s->poll + 1 + s->listeners;
	struct conn *held;
	bool moved = auth_pending(s->auth) && auth_work(s->auth, AUTH_SLICE);
	int shakes = 0;

	for (size_t i = 0; i < s->conns; i++) {
		struct conn *c = s->conn[i];

		if (conn_shaking(c)) {
			if (p[i].revents && shakes++ < SHAKES)
				conn_input(c, s->api, now);
		} else if (p[i].revents & (POLLIN | POLLHUP | POLLERR) && conn_want(c) & POLLIN)
			conn_input(c, s->api, now);
		else if ((moved && conn_waits(c)) || conn_stalled(c))
			conn_resume(c, s->api, now);
		else if (p[i].revents & (POLLHUP | POLLERR))
			conn_gone(c);
	}
	while ((held = api_next(s->api, now)))
		conn_resume(held, s->api, now);
}

static void
settle(struct server *s, struct now now)
{
	struct err e = {0};
	bool held = !journal_commit(s->journal, &s->store, now, &e);

	now = time_now();
	if (!held && !s->trouble)
		warn("%s: %s: changes are refused until that is mended", s->dir, e.msg);
	else if (s->trouble && journal_mode(s->journal) == JOURNAL_FINE)
		warn("%s: changes are kept again", s->dir);
	api_settle(s->api, held, now);
	s->trouble = !held || (s->trouble && journal_mode(s->journal) != JOURNAL_FINE);
	for (size_t i = 0; i < s->conns; i++)
		conn_settle(s->conn[i], held, "the store cannot keep changes now: try again", now);
}

static void
send_all(struct server *s, struct now now)
{
	for (size_t i = s->conns; i-- > 0;)
		if (!conn_flush(s->conn[i], now) || (conn_deadline(s->conn[i]) <= now.mono && !conn_late(s->conn[i], now)))
			drop(s, i);
}

/* The signal that ends us, or 0.  HUP only opens the log and reads the certificate anew, where there are such. */
static int
signalled(struct server *s)
{
	char c;

	while (read(wake[0], &c, 1) == 1)
		;
	if (hung_up && !s->opts->log && !s->opts->cert)
		return SIGHUP;
	if (hung_up) {
		hung_up = 0;   /* before: another may come meanwhile */
		reload(s);
	}
	return ending;
}

static bool
deserted(struct server *s, int64_t now)
{
	if (s->conns || queue_running(s->store))
		s->quiet = now;
	return s->opts->local && now - s->quiet >= IDLE * SECOND;
}

static void
turns(struct server *s)
{
	s->quiet = s->work = sys_mono();
	while (!signalled(s) && !deserted(s, sys_mono())) {
		int n = poll(s->poll, (nfds_t)(s->conns + (size_t)s->listeners + 1), prepare(s, sys_mono()));
		struct now now = time_now();

		if (n < 0)
			continue;
		if (journal_mode(s->journal) != JOURNAL_REFUSE)
			queue_expire(s->store, now);
		requests(s, now);
		settle(s, now);
		send_all(s, now);
		for (int i = 0; i < s->listeners; i++)
			if (s->poll[1 + i].revents)
				take(s, s->listener[i], now);
		s->work = journal_work(s->journal, &s->store, now);
		log_flush();
	}
}

/* What is settled still goes out; nobody is waited for long. */
static void
goodbye(struct server *s)
{
	int64_t end = sys_mono() + GOODBYE * SECOND;

	for (size_t i = 0; i < s->conns; i++)
		conn_end(s->conn[i]);
	for (;;) {
		struct now now = time_now();
		size_t n = 0;

		for (size_t i = s->conns; i-- > 0;) {
			if (!conn_flush(s->conn[i], now) || !(conn_want(s->conn[i]) & POLLOUT)) {
				drop(s, i);
				continue;
			}
			s->poll[n++] = (struct pollfd){.fd = conn_fd(s->conn[i]), .events = POLLOUT};
		}
		if (!n || now.mono >= end || poll(s->poll, (nfds_t)n, 100) < 0)
			return;
	}
}

/* Where another server has made its own meanwhile, that stays. */
static void
remove_socket(const struct server *s)
{
	struct stat st;

	if (s->socket[0] && !stat(s->socket, &st) && same_file(&st, &s->made))
		unlink(s->socket);
}

static void
finish(struct server *s)
{
	struct err e = {0};

	if (s->claim)
		claim_withdraw(s->claim);
	remove_socket(s);
	for (int i = 0; i < s->listeners; i++)
		close(s->listener[i]);
	goodbye(s);
	while (s->conns)
		drop(s, s->conns - 1);
	if (s->journal && journal_flush(s->journal, &e) < 0)
		warn("%s: %s", s->dir, e.msg);
	if (s->api)
		api_free(s->api);
	if (s->auth)
		auth_free(s->auth);
	if (s->journal)
		journal_close(s->journal);
	store_free(s->store);
	if (s->claim)
		claim_release(s->claim);
	if (s->identity)
		tls->identity_drop(s->identity);
	free(s->conn);
	free(s->poll);
	free(s->dir);
}

int
serve_run(const struct serve_opts *o)
{
	struct server s = {.opts = o, .cap = 16, .plain = -1};
	struct err e = {0};
	int rc;

	s.dir = xstrdup(o->store ? o->store : o->root);
	s.conn_opts = (struct conn_opts){.log = o->verbose, .max_body = o->body, .patience = micro(o->patience, 30),
	    .ping = micro(o->ping, 15)};
	s.conn = xcalloc(s.cap, sizeof(struct conn *));
	s.poll = xcalloc(s.cap + LISTENERS + 1, sizeof *s.poll);
	rc = begin(&s, &e);
	if (!rc) {
		if (o->ready >= 0) {
			rc = sys_write_all(o->ready, "", 1);
			close(o->ready);
		}
		turns(&s);
	} else {
		warn("%s", e.msg);
		if (o->ready >= 0)
			sys_write_all(o->ready, e.msg, strlen(e.msg));   /* the log may be on a disk that is full */
	}
	finish(&s);
	log_close();
	return rc ? EXIT_REFUSED : 0;
}
