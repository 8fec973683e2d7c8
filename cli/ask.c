/* SPDX-License-Identifier: MIT */
/*
 * What all commands do alike when they talk to a server: open a client, make one call, say in one line what went wrong.
 */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

static struct buf caret;   /* two lines that show where a filter is wrong, for ask_fail */

int
ask_fail(const struct context *x, const struct err *e)
{
	warn("%s: %s", x->cmd->name, e->msg);
	sys_write_all(2, caret.p, caret.len);
	buf_free(&caret);
	return e->code;
}

/* Local time's distance from UTC. */
static int
offset(int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!localtime_r(&t, &tm))
		return 0;
	return (int)(date_days(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) * 86400 + tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec -
	    seconds);
}

int
ask_filter(struct json_doc *d, const char *text, bool verbose, const struct json **filter, struct err *e)
{
	struct when now = {sys_wall(), offset};
	struct err why = {0};
	struct buf b = {0};

	*filter = NULL;
	if (!text || !*text)
		return 0;
	tzset();
	*filter = expr_parse(d, str_of(text), &now, &why);
	if (!*filter) {
		err_set(e, EXIT_USAGE, "Invalid value for --extra-filter: %lu:%lu: %s", (unsigned long)why.line, (unsigned long)why.col,
		    why.msg);
		tmpl_caret(&caret, str_of(text), &why);
	} else if (verbose) {
		json_print(&b, *filter, JSON_SPACED);
		warn("filter: %s", b.p);
		buf_free(&b);
	}
	return *filter ? 0 : -1;
}

struct client *
ask_open(const struct context *x, bool create, bool auth, int *rc)
{
	struct client_opts o = {.conf = x->conf, .create = create, .start = x->start};
	struct err e = {0};
	struct client *c = client_open(&o, auth, &e);

	*rc = c ? 0 : ask_fail(x, &e);
	return c;
}

int
ask_run(const struct context *x, struct client *c, struct call *k, const struct json *body)
{
	if (body)
		json_print(&k->body, body, 0);
	if (!client_run(c, k))
		return 0;
	ask_fail(x, &k->err);
	return -1;
}

void
ask_lost(const struct context *x, const struct call *k)
{
	bool worker = strstr(call_row(k)->path, "/workers");

	if (k->status == 404)
		warn("%s: %s not found: %s: labtasker %s ls shows which there are", x->cmd->name, worker ? "Worker" : "Task", k->id,
		    worker ? "worker" : "task");
	else
		ask_fail(x, &k->err);
}

int
ask_get(const struct context *x, struct client *c, struct call *k)
{
	int rc = client_run(c, k);

	if (!rc && (!k->doc || k->doc->root->type != JSON_OBJ)) {
		warn("%s: the server's answer is no object: is this a labtasker server?", x->cmd->name);
		return -1;
	}
	if (rc)
		ask_lost(x, k);
	return rc;
}

void
ask_all(struct client *c, struct call *const *k, size_t n)
{
	struct pollfd fds[CLIENT_FDS];
	size_t done = 0;
	int nfds = 0;

	for (size_t i = 0; i < n; i++)
		client_send(c, k[i]);
	for (;;) {
		int64_t wake = INT64_MAX;

		client_step(c, fds, nfds);
		while (done < n && k[done]->done)
			done++;
		if (done == n)
			return;
		nfds = client_fds(c, fds, &wake);
		if (poll(fds, (nfds_t)nfds, sys_timeout(wake, sys_mono())) < 0)
			nfds = 0;
	}
}

int
ask_stdin(struct buf *b, size_t max, struct err *e)
{
	enum { CHUNK = 64 << 10 };
	ssize_t n;

	do {
		buf_reserve(b, CHUNK);
		n = sys_read(0, b->p + b->len, CHUNK);
		b->len += n > 0 ? (size_t)n : 0;
	} while (n > 0 && b->len <= max);
	b->p[b->len] = 0;
	if (n < 0)
		return err_set(e, EXIT_USAGE, "standard input: %s", strerror(errno));
	return n > 0 ? err_set(e, EXIT_USAGE, "standard input is longer than %lu MiB", (unsigned long)(max >> 20)) : 0;
}

int
ask_print(const struct context *x, const struct call *k, const char *key)
{
	struct str s = json_text(call_get(k, key));
	struct buf b = {0};

	if (!s.p) {
		warn("%s: the server's answer has no %s: is this a labtasker server?", x->cmd->name, key);
		return EXIT_REFUSED;
	}
	buf_visible(&b, s, " ");
	buf_addc(&b, '\n');
	return out_end(&b);
}

char *
ask_password_file(const char *path, struct err *e)
{
	enum { MAX = 64 << 10 };
	struct err why = {0};
	struct buf b = {0};
	size_t n;
	int rc = strcmp(path, "-") ? sys_slurp(path, MAX, &b, &why) : ask_stdin(&b, MAX, &why);

	if (rc < 0) {
		err_set(e, EXIT_USAGE, "--password-file: %s", why.msg);
		buf_free(&b);
		return NULL;
	}
	buf_reserve(&b, 1);
	b.p[b.len] = 0;
	n = strcspn(b.p, "\r\n");
	memset(b.p + n, 0, b.len - n);
	return b.p;
}

int
ask_check_password(const char *password, const char *option, struct err *e)
{
	if (!password_valid(str_of(password)))
		return err_set(e, EXIT_USAGE, "Invalid value for %s: it must be 1 to 100 characters", option);
	for (const char *p = password; *p; p++)
		if (*p < ' ' || *p > '~')
			return err_set(e, EXIT_USAGE, "Invalid value for %s: it must be printable ASCII: requests and files carry no other",
			    option);
	return 0;
}

int
ask_check_name(const char *name, const char *option, struct err *e)
{
	return !name || name_valid(str_of(name)) ? 0 :
	    err_set(e, EXIT_USAGE, "Invalid value for %s: '%s': it must be 1 to 100 letters, digits, _ and -", option, name);
}
