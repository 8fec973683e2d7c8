/* SPDX-License-Identifier: MIT */
/*
 * labtasker worker create, worker report.
 */
#include "cli.h"

#include <string.h>

enum { NAME, METADATA, RETRIES, QUIET, JSON, END };

const struct opt worker_create_opts[] = {
	[NAME] = {"--worker-name --name", OPT_TEXT, "NAME", "a name to find it by", NULL},
	[METADATA] = {"--metadata", OPT_TEXT, "DICT", "what to note with it: '{\"gpu\": \"a100\"}'", NULL},
	[RETRIES] = {"--max-retries", OPT_INT, "N", "failures until it gets no more tasks", "3"},
	[QUIET] = {"-q --quiet", OPT_FLAG, NULL, "print the id only", NULL},
	[JSON] = {"--json", OPT_FLAG, NULL, "print {\"worker_id\": ID}", NULL},
	[END] = {0}
};
enum { R_QUIET, R_JSON, R_END };

const struct opt worker_report_opts[] = {
	[R_QUIET] = {"-q --quiet", OPT_FLAG, NULL, "print nothing", NULL},
	[R_JSON] = {"--json", OPT_FLAG, NULL, "print it as JSON", NULL},
	[R_END] = {0}
};

static int
create_body(struct json_doc *d, const struct args *a, struct err *e)
{
	const char *name = a->val[NAME].text, *text = a->val[METADATA].text;
	struct json *metadata = text ? literal_dict(d, "--metadata", text, e) : NULL;

	if ((text && !metadata) || ask_check_name(name, "--worker-name", e) < 0)
		return -1;
	json_settext(d, d->root, "worker_name", name);
	if (metadata)
		json_sets(d, d->root, "metadata", metadata);
	json_sets(d, d->root, "max_retries", json_mkint(d, a->val[RETRIES].num));
	return 0;
}

static int
print_id(const struct context *x, const struct call *k, const struct args *a)
{
	struct str id = json_text(call_get(k, "worker_id"));
	unsigned char raw[16];
	struct buf b = {0};

	if (a->val[QUIET].num || uuid_parse(id, raw) < 0)
		return ask_print(x, k, "worker_id");
	buf_printf(&b, a->val[JSON].num ? "{\"worker_id\":\"%s\"}\n" : "Worker created with ID: %s\n", id.p);
	return out_end(&b);
}

int
cmd_worker_create(struct context *x, struct args *a)
{
	struct json_doc *d = json_new();
	struct client *c = NULL;
	struct call *k = NULL;
	struct err e = {0};
	int rc;

	d->root = json_mkobj(d);
	if (create_body(d, a, &e) < 0) {
		rc = ask_fail(x, &e);
	} else if ((c = ask_open(x, false, true, &rc))) {
		k = call_new(API_WORKER_CREATE);
		rc = ask_run(x, c, k, d->root) < 0 ? EXIT_REFUSED : print_id(x, k, a);
	}
	call_free(k);
	client_close(c);
	json_free(d);
	return rc;
}

/* The id and the status must be such before they go anywhere. */
static int
check_words(char *const *word, char id[37], struct err *e)
{
	static const char *const status[] = {"active", "suspended", "crashed"};
	unsigned char bytes[16];

	if (uuid_parse(str_of(word[0]), bytes) < 0)
		return err_set(e, EXIT_USAGE, "Invalid value: '%s' is no worker's id", word[0]);
	uuid_print(bytes, id);
	for (size_t i = 0; i < LEN(status); i++)
		if (!strcmp(word[1], status[i]))
			return 0;
	return err_set(e, EXIT_USAGE, "Invalid value: '%s': a worker is made active or suspended", word[1]);
}

int
cmd_worker_report(struct context *x, struct args *a)
{
	struct json_doc *d = json_new();
	struct call *k = call_new(API_WORKER_STATUS);
	struct client *c = NULL;
	struct buf b = {0};
	struct err e = {0};
	int rc;

	d->root = json_mkobj(d);
	if (check_words(a->word, k->id, &e) < 0) {
		rc = ask_fail(x, &e);
		goto out;
	}
	json_settext(d, d->root, "status", a->word[1]);
	json_print(&k->body, d->root, 0);
	c = ask_open(x, false, true, &rc);
	if (!c)
		goto out;
	if (client_run(c, k)) {
		ask_lost(x, k);
		rc = EXIT_REFUSED;
	} else {
		if (!a->val[R_QUIET].num)
			buf_printf(&b, a->val[R_JSON].num ? "{\"worker_id\":\"%s\",\"status\":\"%s\"}\n" :
			    "Worker %s status updated to %s.\n", k->id, a->word[1]);
		rc = out_flush(&b) < 0 ? EXIT_REFUSED : 0;
	}
out:
	client_close(c);
	call_free(k);
	buf_free(&b);
	json_free(d);
	return rc;
}
