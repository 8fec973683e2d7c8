/* SPDX-License-Identifier: MIT */
/*
 * labtasker queue create, health.
 */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { NAME, PASSWORD, METADATA, QUIET, END, MAX_PASSWORD = 100 };

const struct opt queue_create_opts[] = {
	[NAME] = {"--queue-name", OPT_TEXT, "NAME", "its name (else QUEUE_NAME in the environment, else asked for)", NULL},
	[PASSWORD] = {"--password", OPT_TEXT, "TEXT", "its password (else PASSWORD in the environment, else asked for)", NULL},
	[METADATA] = {"--metadata", OPT_TEXT, "DICT", "what to note with it", NULL},
	[QUIET] = {"-q --quiet", OPT_FLAG, NULL, "print the id only", NULL},
	[END] = {0}
};
const struct opt health_opts[] = {{0}};

/* A line from the person at the terminal, without its newline.  NULL: there is none. */
static char *
ask(const char *prompt, bool secret)
{
	struct termios was, quiet;
	struct buf b = {0};
	char c;

	if (!isatty(0) || !isatty(2))
		return NULL;
	secret = secret && !tcgetattr(0, &was);
	if (secret) {
		quiet = was;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(0, TCSAFLUSH, &quiet);
	}
	fprintf(stderr, "%s: ", prompt);
	buf_reserve(&b, 1);
	b.p[0] = 0;
	while (b.len < 4096 && sys_read(0, &c, 1) == 1 && c != '\n')
		buf_addc(&b, c);
	if (secret) {
		tcsetattr(0, TCSAFLUSH, &was);
		fputc('\n', stderr);
	}
	return b.p;
}

/* The option's text, else the environment's, else the person's.  Owned; NULL with err. */
static char *
get(const struct optval *v, const char *env, const char *prompt, bool secret, struct err *e)
{
	const char *text = v->given ? v->text : getenv(env);
	char *asked;

	if (text && (v->given || *text))
		return xstrdup(text);
	asked = ask(prompt, secret);
	if (!asked)
		err_set(e, EXIT_USAGE, "--%s is missing, and nobody is there to ask", secret ? "password" : "queue-name");
	return asked;
}

static int
check_values(const char *name, const char *password, struct err *e)
{
	size_t chars = 0;

	if (!name_valid(str_of(name)))
		return err_set(e, EXIT_USAGE, "Invalid value for --queue-name: '%s': it must be 1 to 100 letters, digits, _ and -", name);
	for (const char *p = password; *p; p++)
		chars += (*p & 0xc0) != 0x80;
	if (chars < 1 || chars > MAX_PASSWORD || !utf8_valid(password, strlen(password)))
		return err_set(e, EXIT_USAGE, "Invalid value for --password: it must be 1 to 100 characters");
	return 0;
}

static int
create(struct context *x, const struct args *a, const char *name, const char *password, struct json_doc *d)
{
	struct client *c;
	struct call *k;
	int rc;

	json_set(d, d->root, str_of("queue_name"), json_mkstr(d, str_of(name)));
	json_set(d, d->root, str_of("password"), json_mkstr(d, str_of(password)));
	c = ask_open(x, true, false, &rc);
	if (!c)
		return rc;
	k = call_new(API_QUEUE_CREATE);
	rc = ask_run(x, c, k, d->root) < 0 ? EXIT_REFUSED : 0;
	if (!rc && !a->val[QUIET].num) {
		struct buf b = {0};

		buf_printf(&b, "queue_name: %s\nqueue_id: ", name);
		rc = out_flush(&b) < 0 ? EXIT_REFUSED : 0;
		buf_free(&b);
	}
	if (!rc)
		rc = ask_print(x, k, "queue_id");
	if (!rc && !a->val[QUIET].num && (!x->conf->queue || strcmp(x->conf->queue, name)))
		warn("to use it: export LABTASKER_QUEUE_NAME=%s LABTASKER_PASSWORD=..., or name both under [queue] in %s", name, x->conf->file);
	call_free(k);
	client_close(c);
	return rc;
}

int
cmd_queue_create(struct context *x, struct args *a)
{
	struct json_doc *d = json_new();
	struct err e = {0};
	struct json *metadata = NULL;
	char *name = NULL, *password = NULL;
	int rc;

	d->root = json_mkobj(d);
	if (a->val[METADATA].text) {
		metadata = literal_dict(d, "--metadata", a->val[METADATA].text, &e);
		if (metadata)
			json_set(d, d->root, str_of("metadata"), metadata);
	}
	if (!e.code)
		name = get(&a->val[NAME], "QUEUE_NAME", "Queue name", false, &e);
	if (!e.code)
		password = get(&a->val[PASSWORD], "PASSWORD", "Password", true, &e);
	if (e.code || check_values(name, password, &e) < 0)
		rc = ask_fail(x, &e);
	else
		rc = create(x, a, name, password, d);
	if (password)
		memset(password, 0, strlen(password));
	free(password);
	free(name);
	json_free(d);
	return rc;
}

/* client_open has asked for the server's health already: it is said once more, of this moment. */
int
cmd_health(struct context *x, struct args *a)
{
	struct call *k;
	struct client *c;
	const struct json *status;
	int rc;

	(void)a;
	c = ask_open(x, false, false, &rc);
	if (!c)
		return rc == EXIT_USAGE ? rc : EXIT_DOWN;
	k = call_new(API_HEALTH_FULL);
	rc = EXIT_DOWN;
	if (!ask_run(x, c, k, NULL)) {
		struct buf b = {0};

		status = k->doc ? json_gets(k->doc->root, "status") : NULL;
		if (status && status->type == JSON_STR && !strcmp(status->s, "healthy")) {
			buf_adds(&b, "healthy\n");
			rc = out_flush(&b) < 0 ? EXIT_REFUSED : 0;
		} else {
			status = k->doc ? json_gets(k->doc->root, "database") : NULL;
			warn("health: %s is not healthy: %s", client_url(c), status && status->type == JSON_STR ? status->s : "no reason given");
		}
		buf_free(&b);
	}
	call_free(k);
	client_close(c);
	return rc;
}
