/* SPDX-License-Identifier: MIT */
/*
 * Which server (OURS 2): the one that the environment or client.toml names, else the one of root/server.json, else one that is
 * started for the store in root.  A server.json of this host counts only while its pid holds the write lock on root/lock, so what
 * a dead server left behind misleads nobody and the password goes to no stranger on its port.  Several starters end with one
 * server: root/start.lock is held while one starts, and server.json is looked at again under it.
 */
#include "labtasker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	START_WAIT = 10 * 1000000,     /* until a started server listens */
	OTHER_WAIT = 15 * 1000000,     /* until another process has started one: its own 10 s and some */
	OTHER_LOOK = 20 * 1000,        /* how often to look for that */
	SMALL = 64 << 10,              /* more than server.json, password and a log's last lines need */
	PASSWORD = 32
};

struct locate {
	struct conf *conf;
	bool create;
	int (*start)(const char *dir, struct err *e);
	int lock, ready;       /* start.lock, held; the pipe of a server that is starting; -1 */
	int64_t end, wake;     /* end: when starting is given up; 0 while nothing starts */
	off_t log;             /* the size of server.log before the start */
	char *url, *pin;
	struct buf password;
};

static char *
in_root(const struct conf *conf, const char *name)
{
	return xprintf("%s/%s", conf->root, name);
}

static bool
exists(const struct conf *conf, const char *name)
{
	char *path = in_root(conf, name);
	struct stat st;
	bool there = !stat(path, &st);

	free(path);
	return there;
}

/* What root hides from git: all that is secret, large or of this moment. */
static int
make_ignore(const char *root, struct err *e)
{
	static const char text[] = "*.toml\n.last-version-check\nlogs\njournal*\npassword*\nlock\n*.lock\nowner*\nserver.*\n";
	char *path = xprintf("%s/.gitignore", root);
	int rc = access(path, F_OK) ? sys_replace(path, text, sizeof text - 1, 0600, e) : 0;

	free(path);
	return rc;
}

/* 160 bits in letters that cannot be mistaken for one another; link(2) lets the first of several makers win, whole. */
static int
make_password(const char *root, struct err *e)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	unsigned char raw[PASSWORD];
	char text[PASSWORD + 1], id[37], *path, *temp;
	int rc;

	sys_random(raw, sizeof raw);
	for (int i = 0; i < PASSWORD; i++)
		text[i] = letters[raw[i] & 31];
	text[PASSWORD] = 0;
	sys_uuid(id);
	path = xprintf("%s/password", root);
	temp = xprintf("%s.%s", path, id);
	rc = sys_replace(temp, text, PASSWORD, 0600, e);
	if (!rc && link(temp, path) < 0 && errno != EEXIST && access(path, F_OK) && rename(temp, path) < 0)
		rc = err_set(e, errno, "%s: %s", path, strerror(errno));   /* rename: a file system without links */
	unlink(temp);
	if (!rc)
		sys_syncdir(root);
	wipe(text, sizeof text);
	free(temp);
	free(path);
	return rc;
}

/* Whether root was meant for something else: it holds what is none of ours, and others may look into it.  Who makes a queue there
 * at the same moment hides it first. */
static bool
foreign(const char *root)
{
	static const char usual[] = ".labtasker";
	size_t n = strlen(root), u = sizeof usual - 1;
	DIR *d = opendir(root);
	struct stat st;
	bool full = false, ours = false;

	for (const struct dirent *i; d && (i = readdir(d));) {
		full |= strcmp(i->d_name, ".") && strcmp(i->d_name, "..") && strcmp(i->d_name, "lost+found");
		ours |= !strcmp(i->d_name, "client.toml") || !strcmp(i->d_name, "journal");
	}
	if (d)
		closedir(d);
	while (n && root[n - 1] == '/')
		n--;
	ours |= n >= u && !memcmp(root + n - u, usual, u);
	return full && !ours && !stat(root, &st) && st.st_mode & 077;
}

int
locate_make(const char *root, struct err *e)
{
	char *path = xprintf("%s/password", root);
	int rc = sys_mkdirs(root, 0700, e);
	bool fresh = !rc && access(path, F_OK);

	if (fresh && foreign(root)) {
		rc = err_set(e, EXIT_REFUSED, "%s: it holds other things, and not only its user may look into it: a queue needs a directory of "
		    "its own", root);
	} else if (fresh) {
		chmod(root, 0700);   /* it may be older than its secret */
		rc = make_ignore(root, e) || make_password(root, e) ? -1 : 0;
	}
	free(path);
	return rc;
}

struct locate *
locate_new(struct conf *conf, bool create, int (*start)(const char *dir, struct err *e))
{
	struct locate *l = xcalloc(1, sizeof *l);

	l->conf = conf;
	l->create = create;
	l->start = start;
	l->lock = l->ready = -1;
	return l;
}

/* No start is under way any more. */
static void
release(struct locate *l)
{
	if (l->ready >= 0)
		close(l->ready);
	if (l->lock >= 0)
		close(l->lock);
	l->ready = l->lock = -1;
	l->end = 0;
}

void
locate_free(struct locate *l)
{
	if (!l)
		return;
	release(l);
	buf_wipe(&l->password);
	free(l->url);
	free(l->pin);
	free(l);
}

static bool
loopback(const char *text)
{
	struct url u;

	if (url_parse(&u, text, NULL) < 0)
		return true;   /* not to be used from elsewhere in any case */
	return !strcmp(u.scheme, "unix") || !strcmp(u.host, "localhost") || !strncmp(u.host, "127.", 4) || !strcmp(u.host, "::1");
}

static bool
holds_lock(const struct conf *conf, int64_t pid)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	char *path = in_root(conf, "lock");
	int fd = open(path, O_RDONLY | O_NOCTTY);
	/* a process that we cannot see (of another PID namespace) has the number 0 */
	bool held = fd >= 0 && !fcntl(fd, F_GETLK, &lock) && lock.l_type == F_WRLCK &&
	    (!lock.l_pid || (lock.l_pid == (pid_t)pid && sys_alive((pid_t)pid)));

	if (fd >= 0)
		close(fd);
	free(path);
	return held;
}

static const char *
member(const struct json_doc *d, const char *name)
{
	struct str s = json_text(json_gets(d->root, name));

	return s.n ? s.p : NULL;
}

/* Whether the server that d describes can be used: 1, 0 it is gone, -1 with err. */
static int
judge(const struct locate *l, const struct json_doc *d, struct err *e)
{
	const char *url = member(d, "url"), *host = member(d, "host");
	int64_t pid;

	if (!url || !host || json_int(json_gets(d->root, "pid"), &pid) < 0)
		return 0;
	if (!strcmp(host, sys_host()))
		return holds_lock(l->conf, pid);
	if (!loopback(url))
		return 1;
	return err_set(e, EXIT_REFUSED, "%s: its server runs on %s and listens only there: end it, and `labtasker serve --advertise URL` "
	    "there lets this host join; once %s is known to be dead, remove owner and server.json", l->conf->root, host, host);
}

/* Its address from here, owned: the directory may have been moved since, or be mounted elsewhere, with the socket in it; and there
 * may be another where it was. */
static char *
reachable(const struct locate *l, const char *url)
{
	static const char name[] = "server.sock";
	size_t n = strlen(url), k = sizeof name - 1;
	char *path, *own = NULL;

	if (!strncmp(url, "unix:", 5) && n > k && !strcmp(url + n - k, name) && exists(l->conf, name)) {
		path = in_root(l->conf, name);
		own = sys_absolute(path);
		free(path);
	}
	path = own && strlen(own) < sizeof ((struct sockaddr_un *)NULL)->sun_path ? xprintf("unix:%s", own) : xstrdup(url);
	free(own);
	return path;
}

/* Reads root/server.json: 1 and l->url, 0 there is no server, -1 with err. */
static int
lookup(struct locate *l, struct err *e)
{
	char *path = in_root(l->conf, "server.json");
	struct err why = {0};
	struct buf text = {0};
	struct json_doc *d = NULL;
	int rc = 0;

	if (!sys_slurp(path, SMALL, &text, &why))
		d = json_parse(text.p, text.len, &why);
	if (d)
		rc = judge(l, d, e);
	if (rc == 1) {
		free(l->url);
		l->url = reachable(l, json_gettext(d->root, "url"));
		free(l->pin);
		l->pin = member(d, "pin") ? xstrdup(member(d, "pin")) : NULL;
	}
	json_free(d);
	buf_free(&text);
	free(path);
	return rc;
}

/* The last line that server.log got since the start.  Owned. */
static char *
log_tail(const struct locate *l)
{
	char *path = in_root(l->conf, "server.log"), text[2048];
	int fd = open(path, O_RDONLY | O_NOCTTY);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), from = l->log;
	ssize_t got = 0;
	const char *line;

	if (size - from >= (off_t)sizeof text)
		from = size - (off_t)sizeof text + 1;
	if (fd >= 0 && size > from && lseek(fd, from, SEEK_SET) == from)
		got = sys_read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	while (got > 0 && text[got - 1] == '\n')
		got--;
	free(path);
	text[got > 0 ? got : 0] = 0;
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	if (!strncmp(line, "labtasker: ", 11))
		line += 11;
	return xstrdup(*line ? line : "it said nothing");
}

/* A server was started: has it begun to listen?  1, 0 not yet, -1 with err. */
static int
listening(struct locate *l, struct err *e)
{
	char said[sizeof e->msg], *tail;
	ssize_t n = sys_read(l->ready, said, sizeof said - 1);
	int rc;

	if (n < 0 && sys_again()) {
		if (sys_mono() < l->end)
			return 0;
		return err_set(e, EXIT_REFUSED, "%s: the server that was started does not listen after %d s: see %s/server.log",
		    l->conf->root, START_WAIT / 1000000, l->conf->root);
	}
	rc = lookup(l, e);
	if (rc == 1 && n == 1)   /* the byte that says so */
		warn("started a server for %s; it ends by itself when it is not needed", l->conf->root);
	if (rc)
		return rc;
	said[n > 0 ? n : 0] = 0;
	tail = n > 1 ? xstrdup(said) : log_tail(l);
	err_set(e, EXIT_REFUSED, "%s: no server could be started: %s", l->conf->root, tail);
	free(tail);
	return -1;
}

/* The one who gets start.lock starts a server; the others look again soon.  1 there is one now, 0 wait, -1 with err. */
static int
begin(struct locate *l, struct err *e)
{
	char *path = in_root(l->conf, "start.lock");
	struct err why = {0};
	struct stat st;
	pid_t holder = 0;
	int rc;

	if (!l->end)
		l->end = sys_mono() + OTHER_WAIT;
	l->lock = sys_lock(path, 0, &holder, &why);
	free(path);
	if (l->lock < 0 && why.code == EAGAIN && sys_mono() < l->end) {
		l->wake = sys_mono() + OTHER_LOOK;
		return 0;
	}
	if (l->lock < 0 && why.code == EAGAIN)
		return err_set(e, EXIT_REFUSED, "%s: process %ld has been starting a server for %d s: see %s/server.log", l->conf->root,
		    (long)holder, OTHER_WAIT / 1000000, l->conf->root);
	if (l->lock < 0)
		return err_set(e, EXIT_REFUSED, "%s", why.msg);
	rc = lookup(l, e);
	if (rc)
		return rc;
	path = in_root(l->conf, "server.log");
	l->log = stat(path, &st) ? 0 : st.st_size;
	free(path);
	l->ready = l->start(l->conf->root, &why);
	if (l->ready < 0)
		return err_set(e, EXIT_REFUSED, "%s: no server could be started: %s", l->conf->root, why.msg);
	sys_nonblock(l->ready, true);
	l->end = l->wake = sys_mono() + START_WAIT;
	return 0;
}

/* conf->root as it was named, made absolute now that the directory exists.  Once: the worker borrows it. */
static void
settle_root(struct conf *conf)
{
	char *root = sys_absolute(conf->root);

	if (!strcmp(root, conf->root)) {
		free(root);
		return;
	}
	free(conf->root);
	conf->root = root;
	free(conf->file);
	conf->file = in_root(conf, "client.toml");
}

/* There is a store to serve, or one is made where that is allowed.  Only once: a root that vanishes later is not made anew, for
 * an empty queue in its place would look like the end of all work. */
static int
prepare(struct locate *l, struct err *e)
{
	struct err why = {0};

	if (!l->start)
		return err_set(e, EXIT_REFUSED, "%s: no server runs for it", l->conf->root);
	if (!exists(l->conf, "password")) {
		if (!l->create)
			return err_set(e, EXIT_REFUSED, "%s: there is no queue here: `labtasker task submit` makes one, or name a server in "
			    "LABTASKER_API_BASE_URL", l->conf->root);
		if (locate_make(l->conf->root, &why) < 0)
			return err_set(e, EXIT_REFUSED, "%s (LABTASKER_ROOT can name another place)", why.msg);
	}
	settle_root(l->conf);
	return 0;
}

/* Who we are there: what was named, else `default` with root/password, which are for the server of server.json alone. */
static void
credentials(struct locate *l, struct place *p)
{
	struct err why = {0};
	char *path;

	p->queue = l->conf->queue;
	p->password = l->conf->password;
	if (!p->local)
		return;
	if (!p->queue)
		p->queue = "default";
	if (p->password || strcmp(p->queue, "default"))
		return;
	path = in_root(l->conf, "password");
	buf_clear(&l->password);
	if (!sys_slurp(path, SMALL, &l->password, &why)) {
		while (l->password.len && strchr("\r\n", l->password.p[l->password.len - 1]))
			l->password.p[--l->password.len] = 0;
		p->password = l->password.p;
	}
	free(path);
}

int
locate_step(struct locate *l, struct place *p, struct err *e)
{
	bool own;
	int rc = 1;

	p->local = !l->conf->url;
	if (p->local) {
		rc = l->ready < 0 ? lookup(l, e) : listening(l, e);
		if (!rc && l->ready < 0)
			rc = prepare(l, e) < 0 ? -1 : begin(l, e);
		if (rc)
			release(l);
	}
	if (rc == 1) {
		l->create = false;
		p->url = p->local ? l->url : l->conf->url;
		own = p->local && l->pin && !l->conf->pin;   /* what stands in our directory needs no issuer */
		p->pin = own ? l->pin : l->conf->pin;
		p->cacert = own ? NULL : l->conf->cacert;
		credentials(l, p);
	}
	return rc;
}

int
locate_fd(const struct locate *l)
{
	return l->ready;
}

int64_t
locate_wake(const struct locate *l)
{
	return l->wake;
}
