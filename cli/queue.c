/* SPDX-License-Identifier: MIT */
/*
 * labtasker queue create, create-from-config, get, update, delete; health.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* ---- create ---- */

enum { METADATA, QUIET, JSON, F_END, NAME = F_END, PASSWORD, PASSWORD_FILE, C_END };

#define COMMON \
	[METADATA] = {"--metadata", OPT_TEXT, "DICT", "what to note with it: '{\"owner\": \"me\"}'", NULL}, \
	[QUIET] = {"-q --quiet", OPT_FLAG, NULL, "print the id only", NULL}, \
	[JSON] = {"--json", OPT_FLAG, NULL, "print JSON", NULL}

const struct opt queue_create_opts[] = {
	COMMON,
	[NAME] = {"--queue-name", OPT_TEXT, "NAME", "its name (else QUEUE_NAME in the environment, else asked for)", NULL},
	[PASSWORD] = {"--password", OPT_SECRET, "TEXT", "its password (else PASSWORD in the environment, else asked for)", NULL},
	[PASSWORD_FILE] = {"--password-file", OPT_TEXT, "FILE", "its password is the first line of FILE; - is standard input", NULL},
	[C_END] = {0}
};
const struct opt queue_from_config_opts[] = {COMMON, [F_END] = {0}};

/* The option's text, else the environment's, else the person's.  Owned; NULL with err. */
static char *
get_name(const struct optval *v, struct err *e)
{
	const char *text = v->given ? v->text : getenv("QUEUE_NAME");
	char *asked;

	if (text && (v->given || *text))
		return xstrdup(text);
	asked = tty_ask("Queue name", NULL, false);
	if (!asked)
		err_set(e, EXIT_USAGE, "--queue-name is missing, and nobody is there to ask");
	return asked;
}

static char *
get_password(const struct args *a, struct err *e)
{
	const struct optval *v = &a->val[PASSWORD], *file = &a->val[PASSWORD_FILE];
	const char *text = v->given ? v->text : getenv("PASSWORD");

	if (v->given && file->given) {
		err_set(e, EXIT_USAGE, "give --password or --password-file, not both");
		return NULL;
	}
	if (file->given)
		return ask_password_file(file->text, e);
	if (text && (v->given || *text))
		return xstrdup(text);
	if (tty_there())
		return tty_password("Password", e);
	err_set(e, EXIT_USAGE, "--password is missing, and nobody is there to ask");
	return NULL;
}

static int
print_created(const struct context *x, const struct call *k, const struct args *a, const char *name)
{
	struct str id = json_text(call_get(k, "queue_id"));
	unsigned char raw[16];
	struct buf b = {0};

	if (a->val[QUIET].num || uuid_parse(id, raw) < 0)
		return ask_print(x, k, "queue_id");
	buf_printf(&b, a->val[JSON].num ? "{\"queue_name\":\"%s\",\"queue_id\":\"%s\"}\n" : "queue_name: %s\nqueue_id: %s\n",
	    name, id.p);
	return out_end(&b);
}

static int
create(struct context *x, const struct args *a, const char *name, const char *password)
{
	const char *text = a->val[METADATA].text;
	struct json_doc *d = json_new();
	struct json *metadata = NULL;
	struct client *c = NULL;
	struct call *k = NULL;
	struct err e = {0};
	int rc;

	d->root = json_mkobj(d);
	json_settext(d, d->root, "queue_name", name);
	json_settext(d, d->root, "password", password);
	if (text) {
		metadata = literal_dict(d, "--metadata", text, &e);
		if (!metadata) {
			rc = ask_fail(x, &e);
			goto out;
		}
		json_sets(d, d->root, "metadata", metadata);
	}
	c = ask_open(x, true, false, &rc);
	if (!c)
		goto out;
	k = call_new(API_QUEUE_CREATE);
	rc = ask_run(x, c, k, d->root) < 0 ? EXIT_REFUSED : print_created(x, k, a, name);
out:
	call_free(k);
	client_close(c);
	json_free(d);
	return rc;
}

int
cmd_queue_create(struct context *x, struct args *a)
{
	char *name = NULL, *password = NULL;
	struct err e = {0};
	int rc;

	name = get_name(&a->val[NAME], &e);
	if (name && !ask_check_name(name, "--queue-name", &e))
		password = get_password(a, &e);
	if (e.code || ask_check_password(password, "--password", &e) < 0)
		rc = ask_fail(x, &e);
	else
		rc = create(x, a, name, password);
	if (!rc && !a->val[QUIET].num && (!x->conf->queue || strcmp(x->conf->queue, name)))
		warn("to use it: export LABTASKER_QUEUE_NAME=%s LABTASKER_PASSWORD=..., or labtasker init", name);
	tty_forget(password);
	free(name);
	return rc;
}

int
cmd_queue_create_from_config(struct context *x, struct args *a)
{
	struct err e = {0};

	if (x->conf->queue && x->conf->password)
		return ask_check_password(x->conf->password, "password", &e) < 0 ? ask_fail(x, &e) :
		    create(x, a, x->conf->queue, x->conf->password);
	warn("queue create-from-config: no %s is named in %s: labtasker init names one", x->conf->queue ? "password" : "queue",
	    x->conf->file);
	return EXIT_USAGE;
}

/* ---- get ---- */

enum { G_QUIET, G_JSON, G_END };

const struct opt queue_get_opts[] = {
	[G_QUIET] = {"-q --quiet", OPT_FLAG, NULL, "print the id only", NULL},
	[G_JSON] = {"--json", OPT_FLAG, NULL, "print JSON", NULL},
	[G_END] = {0}
};

/* The queue of an answer, without what is not of the queue. */
static int
print_queue(const struct call *k, bool as_json)
{
	struct json *q = k->doc && k->doc->root->type == JSON_OBJ ? k->doc->root : NULL;
	struct buf b = {0};

	if (!q)
		return EXIT_REFUSED;
	json_remove(q, str_of("notification"));
	if (as_json)
		out_json(&b, q);
	else
		out_object(&b, q);
	return out_end(&b);
}

int
cmd_queue_get(struct context *x, struct args *a)
{
	struct client *c;
	struct call *k;
	int rc;

	c = ask_open(x, false, true, &rc);
	if (!c)
		return rc;
	k = call_new(API_QUEUE_GET);
	if (ask_run(x, c, k, NULL) < 0)
		rc = EXIT_REFUSED;
	else
		rc = a->val[G_QUIET].num ? ask_print(x, k, "queue_id") : print_queue(k, a->val[G_JSON].num);
	call_free(k);
	client_close(c);
	return rc;
}

/* ---- update ---- */

enum { U_NAME, U_PASSWORD, U_PASSWORD_FILE, U_METADATA, U_QUIET, U_JSON, U_END };

const struct opt queue_update_opts[] = {
	[U_NAME] = {"--new-queue-name", OPT_TEXT, "NAME", "its new name", NULL},
	[U_PASSWORD] = {"--new-password", OPT_ASKED, "[TEXT]", "its new password; without TEXT it is asked for", NULL},
	[U_PASSWORD_FILE] = {"--new-password-file --password-file", OPT_TEXT, "FILE", "the first line of FILE; - is standard input",
	    NULL},
	[U_METADATA] = {"--metadata", OPT_TEXT, "DICT", "members to set; '{}' takes all away", NULL},
	[U_QUIET] = {"-q --quiet", OPT_FLAG, NULL, "print nothing", NULL},
	[U_JSON] = {"--json", OPT_FLAG, NULL, "print the queue as JSON", NULL},
	[U_END] = {0}
};

/* The new password, NULL when none is wanted; err says more. */
static char *
new_password(const struct args *a, struct err *e)
{
	const struct optval *v = &a->val[U_PASSWORD], *file = &a->val[U_PASSWORD_FILE];
	char *password = NULL;

	if (v->given && file->given)
		err_set(e, EXIT_USAGE, "give --new-password or --new-password-file, not both");
	else if (file->given)
		password = ask_password_file(file->text, e);
	else if (v->given && v->text)
		password = xstrdup(v->text);
	else if (v->given && tty_there())
		password = tty_password("New password", e);
	else if (v->given)
		err_set(e, EXIT_USAGE, "--new-password without a text asks for it, and nobody is there");
	if (password)
		ask_check_password(password, "--new-password", e);
	return password;
}

/* The queue of this directory: its password is in a file.  -1: there is none. */
static int
local_password(const struct conf *conf, struct buf *b)
{
	enum { MAX = 64 << 10 };
	char *path = xprintf("%s/password", conf->root);
	struct err e = {0};
	int rc = sys_slurp(path, MAX, b, &e);

	free(path);
	while (b->len && strchr("\r\n", b->p[b->len - 1]))
		b->len--;
	buf_addc(b, 0);
	return rc;
}

static int
set_local_password(const struct conf *conf, const char *password, struct err *e)
{
	char *path = xprintf("%s/password", conf->root);
	int rc = sys_replace(path, password, strlen(password), 0600, e);

	free(path);
	return rc;
}

/* The changes of client.toml, in b.  Where nothing named the queue, it was the one of this directory, and has to be named now. */
static int
name_anew(const struct conf *conf, struct buf *b, const char *name, const char *password, struct err *e)
{
	struct buf old = {0};
	int rc = 0;

	if (name && !conf->queue && !password && !local_password(conf, &old))
		password = old.p;
	if (name && !getenv("LABTASKER_QUEUE_NAME"))
		rc = toml_settext(b, "queue", "queue_name", name, e);
	if (!rc && password && !getenv("LABTASKER_PASSWORD") && !getenv("LABTASKER_PASSWORD_FILE"))
		rc = toml_settext(b, "queue", "password", password, e);
	buf_wipe(&old);
	return rc;
}

/* What named the queue names what is no more: it gets the new values, unless the environment has to. */
static void
follow(struct context *x, const char *name, const char *password)
{
	enum { MAX = 1 << 20 };
	const struct conf *conf = x->conf;
	struct buf b = {0}, was = {0};
	struct err e = {0};

	if (!conf->url && !conf->password && !name) {
		if (password && set_local_password(conf, password, &e) < 0)
			warn("queue update: %s still has the old password: %s", conf->root, e.msg);
		return;
	}
	if (sys_slurp(conf->file, MAX, &b, &e) < 0)
		e = (struct err){0};
	buf_add(&was, b.len ? b.p : "", b.len);
	if (name_anew(conf, &b, name, password, &e) < 0 || (!str_eq((struct str){b.p, b.len}, (struct str){was.p, was.len}) &&
	    sys_replace(conf->file, b.p, b.len, 0600, &e) < 0))
		warn("queue update: %s still names the old queue or password: %s", conf->file, e.msg);
	buf_wipe(&was);
	buf_wipe(&b);
}

static int
update_body(struct json_doc *d, const struct args *a, const char *password, struct err *e)
{
	const char *name = a->val[U_NAME].text, *text = a->val[U_METADATA].text;
	struct json *metadata = text ? literal_dict(d, "--metadata", text, e) : NULL;

	if (e->code)
		return -1;
	if (ask_check_name(name, "--new-queue-name", e) < 0)
		return -1;
	json_settext(d, d->root, "new_queue_name", name);
	json_settext(d, d->root, "new_password", password);
	if (metadata)
		json_sets(d, d->root, "metadata_update", metadata);
	return d->root->len ? 0 : err_set(e, EXIT_USAGE, "nothing to change: give --new-queue-name, --new-password or --metadata");
}

int
cmd_queue_update(struct context *x, struct args *a)
{
	struct json_doc *d = json_new();
	struct client *c = NULL;
	struct call *k = NULL;
	struct err e = {0};
	char *password = new_password(a, &e);
	int rc;

	d->root = json_mkobj(d);
	if (update_body(d, a, password, &e) < 0) {
		rc = ask_fail(x, &e);
	} else if ((c = ask_open(x, false, true, &rc))) {
		k = call_new(API_QUEUE_UPDATE);
		rc = ask_run(x, c, k, d->root) < 0 ? EXIT_REFUSED : 0;
		if (!rc)
			follow(x, a->val[U_NAME].text, password);
		if (!rc && !a->val[U_QUIET].num)
			rc = print_queue(k, a->val[U_JSON].num);
	}
	tty_forget(password);
	call_free(k);
	client_close(c);
	json_free(d);
	return rc;
}

/* ---- delete ---- */

enum { D_CASCADE, D_YES, D_END };

const struct opt queue_delete_opts[] = {
	[D_CASCADE] = {"--[no-]cascade", OPT_FLAG, NULL, "with its tasks and workers; they cannot be got back", "0"},
	[D_YES] = {"-y --yes", OPT_FLAG, NULL, "do not ask", NULL},
	[D_END] = {0}
};

static bool
confirm(const struct context *x, bool cascade)
{
	char *question = xprintf("Delete the queue %s%s?", x->conf->queue ? x->conf->queue : "default",
	    cascade ? " with all its tasks" : "");
	int answer = tty_yes(question, false);

	free(question);
	if (answer < 1)
		warn(answer ? "queue delete: nothing was deleted: say -y to delete without being asked" :
		    "queue delete: nothing was deleted");
	return answer == 1;
}

int
cmd_queue_delete(struct context *x, struct args *a)
{
	bool cascade = a->val[D_CASCADE].num;
	struct buf b = {0};
	struct client *c;
	struct call *k;
	int rc;

	c = ask_open(x, false, true, &rc);
	if (!c)
		return rc;
	k = call_new(API_QUEUE_DELETE);
	strcpy(k->query, cascade ? "cascade_delete=true" : "cascade_delete=false");
	if ((!a->val[D_YES].num && !confirm(x, cascade)) || ask_run(x, c, k, NULL) < 0) {
		rc = EXIT_REFUSED;
	} else {
		buf_adds(&b, "Queue deleted.\n");
		rc = out_flush(&b) < 0 ? EXIT_REFUSED : 0;
	}
	buf_free(&b);
	call_free(k);
	client_close(c);
	return rc;
}

/* ---- health ---- */

enum { H_JSON, H_END };

const struct opt health_opts[] = {
	[H_JSON] = {"--json", OPT_FLAG, NULL, "print what the server says, as JSON", NULL},
	[H_END] = {0}
};

/* client_open has asked for the server's health already: it is said once more, of this moment. */
int
cmd_health(struct context *x, struct args *a)
{
	const struct json *root;
	const char *why;
	struct buf b = {0};
	struct client *c;
	struct call *k;
	int rc;

	c = ask_open(x, false, false, &rc);
	if (!c)
		return rc == EXIT_USAGE ? rc : EXIT_DOWN;
	k = call_new(API_HEALTH_FULL);
	if (!ask_run(x, c, k, NULL) && k->doc) {
		root = k->doc->root;
		rc = json_is(json_gets(root, "status"), "healthy") ? 0 : EXIT_DOWN;
		why = json_text(json_gets(root, "database")).p;
		if (a->val[H_JSON].num)
			json_print(&b, root, JSON_TAME);
		else if (!rc)
			buf_adds(&b, "healthy");
		if (rc)
			warn("health: %s is not healthy: %s", client_url(c), why ? why : "no reason given");
		if (b.len)
			buf_addc(&b, '\n');
		if (out_flush(&b) < 0)
			rc = EXIT_REFUSED;
	} else {
		rc = EXIT_DOWN;
	}
	buf_free(&b);
	call_free(k);
	client_close(c);
	return rc;
}
