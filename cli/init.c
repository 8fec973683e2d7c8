/* SPDX-License-Identifier: MIT */
/*
 * labtasker init and config: client.toml, made from answers or changed in an editor or value by value.  What would not do as a
 * configuration never replaces one that does; where a value is changed every other byte stays.
 */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20 };

/* What both sides read; the empty texts are filled in. */
static const char template[] =
    "# labtasker: which server, which queue.  `labtasker config` changes it.\n"
    "display_server_notifications_level = \"medium\"  # low, medium, high, none\n"
    "enable_traceback_filter = true\n"
    "version_check = false\n"
    "\n"
    "[endpoint]\n"
    "api_base_url = \"http://localhost:9321\"\n"
    "\n"
    "[queue]\n"
    "queue_name = \"my_queue\"\n"
    "password = \"my_password\"\n"
    "\n"
    "[task]\n"
    "heartbeat_interval = 10.0\n";

/* For a queue here, with a server that is started when it is needed. */
static const char local_template[] =
    "# labtasker: the queue in this directory.  `labtasker config` changes it; [endpoint] and [queue] would name another server.\n"
    "display_server_notifications_level = \"medium\"  # low, medium, high, none\n"
    "enable_traceback_filter = true\n"
    "version_check = false\n"
    "\n"
    "[task]\n"
    "heartbeat_interval = 10.0\n";

/* ---- init ---- */

enum { URL, CACERT, PIN, LOCAL, NAME, PASSWORD, PASSWORD_FILE, CREATE, TRACEBACK, INTERVAL, FORCE, QUIET, END };

const struct opt init_opts[] = {
	[URL] = {"--url --api-base-url", OPT_TEXT, "URL", "the server: http://HOST:PORT, https://HOST, unix:PATH", NULL},
	[CACERT] = {"--cacert", OPT_TEXT, "FILE|DIR", "https: believe servers with certificates of these issuers", NULL},
	[PIN] = {"--pin", OPT_TEXT, "sha256:DIGEST", "https: believe the server with this key or certificate", NULL},
	[LOCAL] = {"--local", OPT_FLAG, NULL, "no server: a queue in this directory", NULL},
	[NAME] = {"--queue-name", OPT_TEXT, "NAME", "the queue", NULL},
	[PASSWORD] = {"--password", OPT_SECRET, "TEXT", "its password", NULL},
	[PASSWORD_FILE] = {"--password-file", OPT_TEXT, "FILE", "its password is the first line of FILE; - is standard input", NULL},
	[CREATE] = {"--[no-]create-queue", OPT_FLAG, NULL, "make the queue when the server has none of that name, or do not", NULL},
	[TRACEBACK] = {"--[no-]traceback-filter", OPT_FLAG, NULL, "for jobs of the Python package: hide secrets in tracebacks", "1"},
	[INTERVAL] = {"--heartbeat-interval", OPT_DURATION, "SECONDS", "between two signs of life of a running task", "10"},
	[FORCE] = {"--force", OPT_FLAG, NULL, "replace a configuration that is there", NULL},
	[QUIET] = {"-q --quiet", OPT_FLAG, NULL, "print nothing", NULL},
	[END] = {0}
};

struct answers {
	char *url, *queue, *password;   /* url NULL: a queue here */
};

static int
check_url(const char *text, struct err *e)
{
	struct url u;
	struct err why = {0};

	if (url_parse(&u, text, &why) < 0)
		return err_set(e, EXIT_USAGE, "Invalid value for --url: %s", why.msg);
	return 0;
}

/* Asks until the answer passes.  NULL with err: nobody is there any more. */
static char *
ask_until(const char *prompt, const char *deflt, int (*check)(const char *text, struct err *e), struct err *e)
{
	for (;;) {
		char *text = tty_ask(prompt, deflt, false);
		struct err why = {0};

		if (!text) {
			err_set(e, EXIT_REFUSED, "nothing was made: there was no answer");
			return NULL;
		}
		if (!check(text, &why))
			return text;
		warn("%s", why.msg);
		free(text);
	}
}

static int
check_name(const char *text, struct err *e)
{
	return ask_check_name(text, "--queue-name", e);
}

static int
check_place(const char *text, struct err *e)
{
	return *text && strcmp(text, "local") ? check_url(text, e) : 0;
}

static int
answer_url(struct answers *an, const struct args *a, struct err *e)
{
	const struct optval *v = &a->val[URL];

	if (v->given && a->val[LOCAL].num)
		return err_set(e, EXIT_USAGE, "--local is for no server: leave out --url");
	if (a->val[LOCAL].num)
		return 0;
	if (v->given) {
		an->url = xstrdup(v->text);
		return check_url(an->url, e);
	}
	if (!tty_there())
		return err_set(e, EXIT_USAGE, "nobody is there to ask: give --url, --queue-name and --password-file, or --local");
	an->url = ask_until("URL of the server, or local for a queue in this directory", "http://localhost:9321", check_place, e);
	if (an->url && !strcmp(an->url, "local")) {
		free(an->url);
		an->url = NULL;
	}
	return e->code ? -1 : 0;
}

static int
answer_queue(struct answers *an, const struct args *a, struct err *e)
{
	const struct optval *name = &a->val[NAME], *text = &a->val[PASSWORD], *file = &a->val[PASSWORD_FILE];

	if (!an->url && (name->given || text->given || file->given))
		return err_set(e, EXIT_USAGE, "--local has the queue default and makes its password itself: leave out the rest");
	if (!an->url)
		return 0;
	if (text->given && file->given)
		return err_set(e, EXIT_USAGE, "give --password or --password-file, not both");
	if (!tty_there() && !(name->given && (text->given || file->given)))
		return err_set(e, EXIT_USAGE, "nobody is there to ask: give --queue-name and --password-file");
	an->queue = name->given ? xstrdup(name->text) : ask_until("Queue name", NULL, check_name, e);
	if (!an->queue || check_name(an->queue, e) < 0)
		return -1;
	an->password = text->given ? xstrdup(text->text) : file->given ? ask_password_file(file->text, e) : tty_password("Password", e);
	return an->password ? ask_check_password(an->password, "--password", e) : -1;
}

static void
forget(struct answers *an)
{
	free(an->url);
	free(an->queue);
	tty_forget(an->password);
}

/* The configuration's text from the answers. */
static int
compose(struct buf *b, const struct answers *an, const struct args *a, struct err *e)
{
	struct buf number = {0};
	const char *cacert = a->val[CACERT].text, *pin = a->val[PIN].text;
	int rc;

	buf_adds(b, an->url ? template : local_template);
	json_repr(&number, a->val[INTERVAL].real);
	rc = toml_set(b, "task", "heartbeat_interval", number.p, e) < 0 ||
	    toml_set(b, "", "enable_traceback_filter", a->val[TRACEBACK].num ? "true" : "false", e) < 0 ||
	    (cacert && toml_settext(b, "endpoint", "cacert", cacert, e) < 0) ||
	    (pin && toml_settext(b, "endpoint", "pin", pin, e) < 0) ||
	    (an->url && (toml_settext(b, "endpoint", "api_base_url", an->url, e) < 0 ||
	    toml_settext(b, "queue", "queue_name", an->queue, e) < 0 ||
	    toml_settext(b, "queue", "password", an->password, e) < 0));
	buf_free(&number);
	return rc ? -1 : 0;
}

static int
create_queue(struct context *x, struct client *c, const struct answers *an)
{
	struct json_doc *d = json_new();
	struct call *k = call_new(API_QUEUE_CREATE);
	int rc;

	d->root = json_mkobj(d);
	json_settext(d, d->root, "queue_name", an->queue);
	json_settext(d, d->root, "password", an->password);
	rc = ask_run(x, c, k, d->root);
	call_free(k);
	json_free(d);
	return rc;
}

/* Whether the server is there, and has the queue or gets it.  -1: said; what was written stays, for it can be mended. */
static int
look(struct context *x, const struct args *a, const struct answers *an, const struct conf *conf)
{
	struct conf copy = *conf;
	struct client_opts o = {.conf = &copy, .start = x->start};
	struct call *k = call_new(API_QUEUE_GET);
	struct err e = {0};
	struct client *c = client_open(&o, false, &e);
	int rc = -1, make;
	char *question;

	if (!c) {
		ask_fail(x, &e);
	} else if (!(rc = client_run(c, k)) || k->status != 401) {
		if (rc)
			ask_fail(x, &k->err);
	} else {
		question = xprintf("The server has no queue %s with that password.  Make it?", an->queue);
		make = a->val[CREATE].given ? (int)a->val[CREATE].num : tty_yes(question, true);
		free(question);
		if (make == 1)
			rc = create_queue(x, c, an);
		else
			warn("init: the server has no queue %s with that password: labtasker queue create-from-config makes it", an->queue);
	}
	call_free(k);
	client_close(c);
	return rc;
}

/* Writes client.toml, in a directory that others cannot read. */
static int
write_all(const struct conf *conf, const struct buf *text, struct err *e)
{
	struct err why = {0};

	if (locate_make(conf->root, &why) < 0)
		return err_set(e, EXIT_REFUSED, "%s", why.msg);
	if (sys_replace(conf->file, text->p, text->len, 0600, &why) < 0)
		return err_set(e, EXIT_REFUSED, "%s", why.msg);
	return 0;
}

/* Owned; NULL when neither is there. */
static char *
given_or_env(const char *text, const char *env)
{
	if (!text)
		text = getenv(env);
	return text && *text ? xstrdup(text) : NULL;
}

int
cmd_init(struct context *x, struct args *a)
{
	struct conf conf = {0};
	struct answers an = {0};
	struct buf text = {0}, b = {0};
	struct err e = {0};
	int rc = 0;

	conf_find(&conf);
	if (!access(conf.file, F_OK) && !a->val[FORCE].num)
		err_set(&e, EXIT_REFUSED, "%s is there already: labtasker config changes it, init --force replaces it", conf.file);
	if (e.code || answer_url(&an, a, &e) < 0 || answer_queue(&an, a, &e) < 0 || compose(&text, &an, a, &e) < 0 ||
	    conf_check(conf.file, (struct str){text.p, text.len}, &e) < 0 || write_all(&conf, &text, &e) < 0) {
		rc = ask_fail(x, &e);
		goto out;
	}
	conf.url = an.url ? xstrdup(an.url) : NULL;
	conf.cacert = given_or_env(a->val[CACERT].text, "LABTASKER_CACERT");
	conf.pin = given_or_env(a->val[PIN].text, "LABTASKER_PIN");
	conf.queue = an.queue ? xstrdup(an.queue) : NULL;
	conf.password = an.password ? xstrdup(an.password) : NULL;
	conf.url_from = an.url ? CONF_FILE : CONF_NONE;
	if (an.url && look(x, a, &an, &conf) < 0)
		rc = EXIT_REFUSED;
	if (!a->val[QUIET].num)
		buf_printf(&b, "Configuration initialized successfully at %s.\n", conf.file);
	if (out_flush(&b) < 0)
		rc = EXIT_REFUSED;
out:
	buf_wipe(&text);
	buf_free(&b);
	forget(&an);
	conf_free(&conf);
	return rc;
}

/* ---- config ---- */

enum { C_EDITOR, C_SHOW, C_JSON, C_END };

const struct opt config_opts[] = {
	[C_EDITOR] = {"--editor", OPT_TEXT, "CMD", "the editor (default VISUAL, EDITOR, vi)", NULL},
	[C_SHOW] = {"--show", OPT_FLAG, NULL, "print the configuration, the password hidden", NULL},
	[C_JSON] = {"--json", OPT_FLAG, NULL, "with --show: as JSON", NULL},
	[C_END] = {0}
};

static const char hidden[] = "********";

/* NULL, and told: it is no TOML. */
static struct json_doc *
parse(const struct conf *conf, const struct buf *text)
{
	struct err e = {0};
	struct json_doc *d = toml_parse(text->p, text->len, &e);

	if (!d)
		warn("config: %s:%lu:%lu: %s: labtasker config mends it", conf->file, (unsigned long)e.line, (unsigned long)e.col, e.msg);
	return d;
}

static int
show(const struct context *x, const struct conf *conf, struct buf *text, bool as_json)
{
	struct json_doc *d = parse(conf, text);
	struct buf b = {0};
	struct err e = {0};
	struct json *queue;
	int rc = 0;

	if (!d)
		return EXIT_USAGE;
	queue = json_gets(d->root, "queue");
	if (queue && json_gets(queue, "password"))
		rc = toml_settext(text, "queue", "password", hidden, &e);
	if (rc < 0) {
		rc = ask_fail(x, &e);
	} else if (as_json) {
		if (queue && json_gets(queue, "password"))
			json_settext(d, queue, "password", hidden);
		out_json(&b, d->root);
	} else {
		buf_add(&b, text->p, text->len);
	}
	if (!rc && out_flush(&b) < 0)
		rc = EXIT_REFUSED;
	json_free(d);
	buf_free(&b);
	return rc;
}

/* The text with that value, written as TOML or as a text. */
static int
put_value(struct buf *text, const char *section, const char *key, const char *value, bool quoted, struct err *e)
{
	return quoted ? toml_settext(text, section, key, value, e) : toml_set(text, section, key, value, e);
}

/* A value is TOML where that gives a configuration, else a text. */
static int
set_value(struct buf *text, const char *section, const char *key, const char *value, const char *file, struct err *e)
{
	char *line = xprintf("a = %s", value);
	struct json_doc *d = toml_parse(line, strlen(line), NULL);
	bool toml = d && d->root->len == 1;
	int rc = -1;

	for (int quoted = !toml; rc < 0 && quoted < 2; quoted++) {
		struct buf copy = {0};

		*e = (struct err){0};
		buf_add(&copy, text->p, text->len);
		rc = put_value(&copy, section, key, value, quoted, e) < 0 ||
		    conf_check(file, (struct str){copy.p, copy.len}, e) < 0 ? -1 : 0;
		if (!rc) {
			buf_clear(text);
			buf_add(text, copy.p, copy.len);
		}
		buf_wipe(&copy);
	}
	json_free(d);
	free(line);
	return rc;
}

/* "queue.queue_name=mine" */
static int
assign(struct buf *text, const char *word, const char *file, struct err *e)
{
	size_t n = strcspn(word, "="), dot = strcspn(word, ".");
	char *section, *key;
	int rc;

	if (!word[n] || !n)
		return err_set(e, EXIT_USAGE, "'%s' is not understood: write KEY=VALUE: queue.queue_name=mine", word);
	dot = dot < n ? dot : 0;
	section = xmemdup(word, dot);
	key = xmemdup(word + dot + (dot > 0), n - dot - (dot > 0));
	if (!conf_known(section, key))
		rc = err_set(e, EXIT_USAGE, "%.*s is no setting: endpoint.api_base_url, .cacert and .pin, queue.queue_name and "
		    ".password and task.heartbeat_interval are", (int)n, word);
	else
		rc = set_value(text, section, key, word + n + 1, file, e);
	free(section);
	free(key);
	return rc;
}

/* A copy; what is a password becomes stars where others of the machine may read it.  To be given to tty_forget. */
static char *
conceal(char *word)
{
	static const char key[] = "queue.password=";
	char *copy = xstrdup(word);

	if (!strncmp(word, key, sizeof key - 1))
		memset(word + sizeof key - 1, '*', strlen(word) - (sizeof key - 1));
	return copy;
}

static int
replace(const struct context *x, const struct conf *conf, const struct buf *text)
{
	struct buf b = {0};
	struct err e = {0};
	int rc = 0;

	if (sys_replace(conf->file, text->p, text->len, 0600, &e) < 0) {
		e.code = EXIT_REFUSED;
		return ask_fail(x, &e);
	}
	buf_adds(&b, "Configuration updated successfully.\n");
	if (out_end(&b))
		rc = EXIT_REFUSED;
	return rc;
}

/* The editor until the text would do, or the person gives up. */
static int
edit(const struct context *x, const struct conf *conf, struct buf *text, const char *editor)
{
	for (;;) {
		struct err e = {0};

		if (tty_edit_text(text, conf->root, ".toml", editor, &e) < 0)
			return ask_fail(x, &e);
		if (!conf_check(conf->file, (struct str){text->p, text->len}, &e))
			return replace(x, conf, text);
		warn("config: %s", e.msg);
		if (tty_yes("Edit it again?", true) != 1) {
			warn("config: %s stays as it was", conf->file);
			return EXIT_USAGE;
		}
	}
}

/* Reads client.toml, or offers to make one.  An exit status, -1 to go on. */
static int
open_config(const struct context *x, struct conf *conf, struct buf *text, bool make)
{
	struct err e = {0};

	if (!sys_slurp(conf->file, FILE_MAX, text, &e)) {
		buf_reserve(text, 1);
		text->p[text->len] = 0;
		return -1;
	}
	if (e.code != ENOENT && e.code != ENOTDIR) {
		e.code = EXIT_REFUSED;
		return ask_fail(x, &e);
	}
	if (!make || tty_yes("There is no configuration here.  Make one?", true) != 1) {
		warn("config: %s is not there: labtasker init makes it", conf->file);
		return EXIT_REFUSED;
	}
	buf_adds(text, template);
	e = (struct err){0};
	if (locate_make(conf->root, &e) < 0) {
		e.code = EXIT_REFUSED;
		return ask_fail(x, &e);
	}
	return -1;
}

/* KEY=VALUE... */
static int
set(const struct context *x, const struct conf *conf, struct buf *text, const struct args *a)
{
	struct json_doc *d = parse(conf, text);
	struct err e = {0};
	int rc = 0;

	if (!d)
		return EXIT_USAGE;
	json_free(d);
	for (int i = 0; i < a->nword && !rc; i++)
		rc = assign(text, a->word[i], conf->file, &e);
	if (!rc)
		return replace(x, conf, text);
	e.code = EXIT_USAGE;
	return ask_fail(x, &e);
}

int
cmd_config(struct context *x, struct args *a)
{
	struct conf conf = {0};
	struct buf text = {0};
	int rc;

	for (int i = 0; i < a->nword; i++)
		a->word[i] = conceal(a->word[i]);
	conf_find(&conf);
	rc = open_config(x, &conf, &text, !a->val[C_SHOW].num);
	if (rc >= 0)
		goto out;
	if (a->val[C_SHOW].num)
		rc = show(x, &conf, &text, a->val[C_JSON].num);
	else
		rc = a->nword ? set(x, &conf, &text, a) : edit(x, &conf, &text, a->val[C_EDITOR].text);
out:
	for (int i = 0; i < a->nword; i++)
		tty_forget(a->word[i]);
	buf_wipe(&text);
	conf_free(&conf);
	return rc;
}
