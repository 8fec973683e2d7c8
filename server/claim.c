/* SPDX-License-Identifier: MIT */
/*
 * Who serves a store.  Only the holder of both locks writes in the store's directory:
 *   lock         locked by fcntl while the server lives; says which process of this host holds it
 *   owner        {"host","pid","start"}: fcntl locks do not cross every shared file system, a file does
 *   server.json  {"version","url","host","pid","store","pin"}: where it listens; there only while it does
 * All three are found by name, and who removes a store's directory may make another of its name while the server lives: its files
 * are those of another server then, which are left alone.
 * An end takes away server.json, then (serve) the socket, then owner, then the lock; so a starter that finds the lock held and
 * no server.json waits for a moment.
 */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct claim {
	char *path, *owner, *json;
	int lock;
};

enum { ENDING = 10 };   /* seconds that a server has to end, or a starting one to publish its address */

static char *
member(const struct json_doc *d, const char *key)
{
	return xstrdup(json_gettext(d ? d->root : NULL, key));
}

static struct json_doc *
read_json(const char *path)
{
	struct buf b = {0};
	struct json_doc *d = NULL;
	struct err e = {0};

	if (!sys_slurp(path, 64 << 10, &b, &e))
		d = json_parse(b.p, b.len, &e);
	buf_free(&b);
	return d;
}

/* What fcntl says where a file system has no locks. */
static bool
lockless(int code)
{
	return code == ENOLCK || code == ENOSYS || code == EINVAL || code == EOPNOTSUPP;
}

/* The fcntl lock.  -1 with err when another server keeps it. */
static int
take_lock(const struct claim *c, struct err *e)
{
	int64_t end = sys_mono() + ENDING * SECOND;

	for (;;) {
		struct err why = {0};
		pid_t holder = 0;
		int fd = sys_lock(c->path, 0, &holder, &why);
		struct json_doc *d;
		char *url;

		if (fd >= 0)
			return fd;
		if (why.code != EAGAIN)
			return err_set(e, EXIT_REFUSED, "%s%s", why.msg, lockless(why.code) ?
			    ": no lock: a store must be on a file system that has them" : "");
		d = read_json(c->json);
		url = member(d, "url");
		json_free(d);
		if (*url || sys_mono() >= end)
			err_set(e, EXIT_REFUSED, "%s: process %ld serves this store%s%s: use that server, or end it first", c->path,
			    (long)holder, *url ? " at " : "", url);
		free(url);
		if (e->code)
			return -1;
		poll(NULL, 0, 20);
	}
}

/* The file for file systems whose locks stay on one host.  We hold the lock of this host, so an owner of this host is dead. */
static int
take_owner(const struct claim *c, struct err *e)
{
	struct json_doc *d = read_json(c->owner);
	char *host = member(d, "host");
	struct buf b = {0};
	char when[32];
	int rc = -1;

	json_free(d);
	if (*host && strcmp(host, sys_host())) {
		err_set(e, EXIT_REFUSED, "%s: served from host %s: there, `labtasker serve --advertise URL` lets this host join; "
		    "once that host is known to be dead, remove the file", c->owner, host);
		goto out;
	}
	date_iso(when, sys_wall());
	buf_adds(&b, "{\"host\":");
	json_putstr(&b, str_of(sys_host()), 0);
	buf_printf(&b, ",\"pid\":%ld,\"start\":\"%s\"}\n", (long)getpid(), when);
	rc = sys_replace(c->owner, b.p, b.len, 0600, e);
	if (rc < 0)
		e->code = EXIT_REFUSED;
	buf_free(&b);
out:
	free(host);
	return rc;
}

static void
claim_free(struct claim *c)
{
	free(c->path);
	free(c->owner);
	free(c->json);
	free(c);
}

struct claim *
claim_take(const char *dir, struct err *e)
{
	struct claim *c = xcalloc(1, sizeof *c);

	c->path = xprintf("%s/lock", dir);
	c->owner = xprintf("%s/owner", dir);
	c->json = xprintf("%s/server.json", dir);
	c->lock = take_lock(c, e);
	if (c->lock >= 0 && !take_owner(c, e)) {
		char *sock = xprintf("%s/server.sock", dir);

		unlink(c->json);   /* left by a server that was killed */
		unlink(sock);
		free(sock);
		return c;
	}
	if (c->lock >= 0)
		close(c->lock);
	claim_free(c);
	return NULL;
}

bool
claim_ours(const struct claim *c)
{
	struct stat held, there;

	return !fstat(c->lock, &held) && !stat(c->path, &there) && held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

int
claim_publish(struct claim *c, const char *url, const char *pin, const char *store_id, struct err *e)
{
	struct buf b = {0};
	int rc;

	buf_adds(&b, "{\"version\":\"" LABTASKER_VERSION "\",\"url\":");
	json_putstr(&b, str_of(url), 0);
	if (pin)
		buf_printf(&b, ",\"pin\":\"%s\"", pin);
	buf_adds(&b, ",\"host\":");
	json_putstr(&b, str_of(sys_host()), 0);
	buf_printf(&b, ",\"pid\":%ld,\"store\":\"%s\"}\n", (long)getpid(), store_id);
	rc = sys_replace(c->json, b.p, b.len, 0600, e);
	buf_free(&b);
	return rc;
}

void
claim_withdraw(struct claim *c)
{
	if (claim_ours(c))
		unlink(c->json);
}

void
claim_release(struct claim *c)
{
	if (claim_ours(c))
		unlink(c->owner);
	close(c->lock);
	claim_free(c);
}
