/* SPDX-License-Identifier: MIT */
/*
 * labtasker serve, and labtasker-server serve as the reference has it: options and environment, made the server's own options.
 */
#include "cli.h"
#include "../server/server.h"

#include <stdlib.h>
#include <string.h>

enum {
	HOST, PORT, UNIX, CERT, KEY, STORE, SYNC, ADVERTISE, REPAIR, NO_CREATE, METRICS, LOG, LOG_FORMAT, CONNECTIONS, BODY, PATIENCE,
	VERBOSE, DB_MODE, DB_PATH, ENV_FILE, END
};

const struct opt serve_cmd_opts[] = {
	[HOST] = {"--host", OPT_TEXT, "HOST", "listen there (API_HOST; default 127.0.0.1, as labtasker-server 0.0.0.0)", NULL},
	[PORT] = {"--port", OPT_TEXT, "PORT", "on this port (API_PORT; default 9321; 0: a free one)", NULL},
	[UNIX] = {"--unix", OPT_TEXT, "PATH", "listen on a Unix socket; without --host or --port there alone", NULL},
	[CERT] = {"--cert", OPT_TEXT, "FILE", "TLS: the certificate and those of its issuers, PEM; HUP reads it anew", NULL},
	[KEY] = {"--key", OPT_TEXT, "FILE", "its private key, PEM (default: in the file of --cert)", NULL},
	[STORE] = {"--store", OPT_TEXT, "DIR", "keep the journal there (default .labtasker)", NULL},
	[SYNC] = {"--sync", OPT_TEXT, "always|SECONDS|never", "when what was answered is on disk", "always"},
	[ADVERTISE] = {"--advertise", OPT_TEXT, "URL", "the address that clients of this directory are told", NULL},
	[REPAIR] = {"--repair", OPT_FLAG, NULL, "write what can be read of a damaged journal to a new one", NULL},
	[NO_CREATE] = {"--no-create", OPT_FLAG, NULL, "nobody may create queues", NULL},
	[METRICS] = {"--metrics", OPT_FLAG, NULL, "GET /metrics for Prometheus, without credentials", NULL},
	[LOG] = {"--log", OPT_TEXT, "FILE", "say there what would go to stderr; HUP opens it anew", NULL},
	[LOG_FORMAT] = {"--log-format", OPT_CHOICE, "text|json", "how", "text"},
	[CONNECTIONS] = {"--max-connections", OPT_INT, "N", "at most so many (default: as descriptors allow)", NULL},
	[BODY] = {"--max-body", OPT_INT, "BYTES", "of a request, at most 16 MiB (the default)", NULL},
	[PATIENCE] = {"--timeout", OPT_DURATION, "DURATION", "for a request to come whole, and to take its answer", "30"},
	[VERBOSE] = {"-v --verbose", OPT_FLAG, NULL, "a line for each request", NULL},
	[DB_MODE] = {"--db-mode", OPT_TEXT, "MODE", "of the reference: there is one store here, see --store", NULL},
	[DB_PATH] = {"--db-path", OPT_TEXT, "FILE", "of the reference: see --store", NULL},
	[ENV_FILE] = {"--env-file", OPT_TEXT, "FILE", "of the reference: set the variables in the environment", NULL},
	[END] = {0}
};

/* always, never or seconds. */
static int
read_sync(const char *text, int *sync, struct err *e)
{
	int64_t seconds;

	if (!strcmp(text, "always")) {
		*sync = SYNC_ALWAYS;
		return 0;
	}
	if (!strcmp(text, "never")) {
		*sync = SYNC_NEVER;
		return 0;
	}
	if (parse_int(str_of(text), &seconds) < 0 || seconds < 1 || seconds > 3600)
		return err_set(e, EXIT_USAGE, "Invalid value for --sync: '%s': it must be always, never or 1 to 3600 seconds", text);
	*sync = (int)seconds;
	return 0;
}

/* The option, else the environment's variable, else NULL. */
static const char *
given(const struct optval *v, const char *env)
{
	const char *text = v->given ? v->text : env ? getenv(env) : NULL;

	return text && *text ? text : NULL;
}

static int
read_port(const char *text, struct err *e)
{
	int64_t port;

	if (parse_int(str_of(text), &port) < 0 || port < 0 || port > 65535)
		return err_set(e, EXIT_USAGE, "Invalid value for --port (API_PORT): '%s': it must be 0 to 65535", text);
	return 0;
}

/* A variable that was not set must not make another server of it: one without TLS, or of another store. */
static int
refuse_empty(const struct args *a, struct err *e)
{
	for (int i = 0; i < END; i++)
		if (a->val[i].given && serve_cmd_opts[i].kind == OPT_TEXT && !*a->val[i].text)
			return err_set(e, EXIT_USAGE, "%s: its value is empty: leave it out, or say %s", serve_cmd_opts[i].names,
			    serve_cmd_opts[i].arg);
	return 0;
}

/* What the reference's server takes and ours does otherwise. */
static int
refuse_foreign(const struct args *a, struct err *e)
{
	if (a->val[DB_MODE].given)
		return err_set(e, EXIT_USAGE, "--db-mode: there is one kind of store here, a journal: use --store DIR to say where");
	if (a->val[DB_PATH].given)
		return err_set(e, EXIT_USAGE, "--db-path: use --store DIR; a database of the reference is not read");
	if (a->val[ENV_FILE].given)
		return err_set(e, EXIT_USAGE, "--env-file: set the variables in the environment: set -a; . %s; set +a",
		    a->val[ENV_FILE].text);
	return 0;
}

/* A number above 0 from the environment, where one is given. */
static int
read_env(const char *name, double *to, struct err *e)
{
	const char *text = getenv(name);

	if (!text || !*text)
		return 0;
	if (parse_float(str_of(text), to) < 0 || !(*to > 0) || *to > 1e9)
		return err_set(e, EXIT_USAGE, "%s: '%s': it must be a number above 0, 1e9 at most", name, text);
	return 0;
}

static int
read_limits(struct serve_opts *o, const struct args *a, struct err *e)
{
	const struct optval *conns = &a->val[CONNECTIONS], *body = &a->val[BODY];

	if (conns->given && conns->num < 1)
		return err_set(e, EXIT_USAGE, "Invalid value for --max-connections: '%s': it must be 1 or more", conns->text);
	if (body->given && (body->num < 1024 || body->num > HTTP_BODY))
		return err_set(e, EXIT_USAGE, "Invalid value for --max-body: '%s': it must be 1024 to %d", body->text, HTTP_BODY);
	o->patience = a->val[PATIENCE].real;
	if (!(o->patience > 0) || o->patience > 86400)
		return err_set(e, EXIT_USAGE, "Invalid value for --timeout: '%s': it must be above 0, and a day at most",
		    a->val[PATIENCE].text);
	o->connections = conns->given ? (size_t)conns->num : 0;
	o->body = body->given ? (size_t)body->num : 0;
	return 0;
}

/* TLS is for TCP; a Unix socket is as safe as its directory. */
static int
read_tls(struct serve_opts *o, const struct args *a, struct err *e)
{
	o->cert = given(&a->val[CERT], NULL);
	o->key = given(&a->val[KEY], NULL);
	if (a->cacert || a->pin)
		return err_set(e, EXIT_USAGE, "--cacert and --pin are for those who ask a server: this one "
		    "shows what --cert and --key name");
	if (o->key && !o->cert)
		return err_set(e, EXIT_USAGE, "--key: the certificate that belongs to it is missing: --cert FILE");
	if (o->cert && !o->host)
		return err_set(e, EXIT_USAGE, "--cert: there is no TLS on a Unix socket: add --host or --port");
	if (!o->key)
		o->key = o->cert;
	return 0;
}

/* What clients are told must be an address to them. */
static int
read_advertised(const char *text, struct err *e)
{
	struct url u;
	struct err why = {0};

	return !text || !url_parse(&u, text, &why) ? 0 : err_set(e, EXIT_USAGE, "Invalid value for --advertise: %s", why.msg);
}

static int
fill(struct serve_opts *o, const struct context *x, const struct args *a, struct err *e)
{
	const char *host = given(&a->val[HOST], "API_HOST"), *port = given(&a->val[PORT], "API_PORT");
	double events = 100;

	*o = (struct serve_opts){
		.unix_path = given(&a->val[UNIX], NULL), .root = x->conf->root, .store = given(&a->val[STORE], NULL),
		.advertise = given(&a->val[ADVERTISE], NULL), .repair = a->val[REPAIR].num, .no_create = a->val[NO_CREATE].num,
		.verbose = a->val[VERBOSE].num, .metrics = a->val[METRICS].num, .log = given(&a->val[LOG], NULL),
		.log_json = a->val[LOG_FORMAT].num, .polling = 30, .ping = 15, .ready = -1
	};
	if (host || port || !o->unix_path) {
		o->host = host ? host : x->as_server ? "0.0.0.0" : "127.0.0.1";
		o->port = port ? port : "9321";
		if (read_port(o->port, e) < 0)
			return -1;
	}
	if (read_env("PERIODIC_TASK_INTERVAL", &o->polling, e) < 0 || read_env("SSE_PING_INTERVAL", &o->ping, e) < 0
	    || read_env("EVENT_BUFFER_SIZE", &events, e) < 0 || read_limits(o, a, e) < 0 || read_tls(o, a, e) < 0
	    || read_advertised(o->advertise, e) < 0)
		return -1;
	o->events = events < 1 ? 1 : (size_t)events;
	return read_sync(a->val[SYNC].text, &o->sync, e);
}

int
cmd_serve(struct context *x, struct args *a)
{
	struct serve_opts o;
	struct err e = {0};

	if (refuse_empty(a, &e) < 0 || refuse_foreign(a, &e) < 0 || fill(&o, x, a, &e) < 0)
		return ask_fail(x, &e);
	return serve_run(&o);
}
