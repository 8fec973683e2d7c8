/* SPDX-License-Identifier: MIT */
/*
 * What all commands do alike when they talk to a server: open a client, make one call, say in one line what went wrong.
 */
#include "cli.h"

int
ask_fail(const struct context *x, const struct err *e)
{
	warn("%s: %s", x->cmd->name, e->msg);
	return e->code;
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

int
ask_print(const struct context *x, const struct call *k, const char *key)
{
	const struct json *v = k->doc ? json_gets(k->doc->root, key) : NULL;
	struct buf b = {0};
	int rc;

	if (!v || v->type != JSON_STR) {
		warn("%s: the server's answer has no %s: is this a labtasker server?", x->cmd->name, key);
		return EXIT_REFUSED;
	}
	buf_add(&b, v->s, v->len);
	buf_addc(&b, '\n');
	rc = out_flush(&b) < 0 ? EXIT_REFUSED : 0;
	buf_free(&b);
	return rc;
}
