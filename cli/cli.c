/* SPDX-License-Identifier: MIT */
/*
 * The table of commands.  A row is a command's whole description; finding it, its help and its usage errors are made from it.
 * Words that name no row get the nearest one as a hint.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static const struct command commands[] = {
	{"loop", NULL, "[-- CMD...]", "Fetches tasks and runs CMD for each, until the queue is empty.",
	    "labtasker loop -- echo '%(prompt)' '%(guidance_scale)'", loop_opts, 0, 0, false, cmd_loop},
	{"task submit", "submit", "[-- --key value ...]",
	    "Puts a task into the queue and prints its id; or many, with --from, --tasks or --sweep.",
	    "labtasker task submit -- --prompt \"an astronaut riding a horse\" --guidance_scale 7.5",
	    submit_opts, 0, 0, false, cmd_submit},
	{"task ls", NULL, NULL, "Lists tasks.",
	    "labtasker task ls -s pending -q", ls_opts, 0, 0, false, cmd_ls},
	{"task get", NULL, "ID", "Prints one task.",
	    "labtasker task get --fields status,summary $(labtasker task ls -q --limit 1)", task_get_opts, 1, 1, false, cmd_task_get},
	{"task update", NULL, "[-- FIELD=VALUE ...]", "Changes tasks, in an editor where no change is given, and prints them.",
	    "labtasker task update -s pending -- priority=20 metadata.tag=late", task_update_opts, 0, -1, false, cmd_task_update},
	{"task cancel", NULL, "[ID...]", "Cancels tasks that have not ended; a running one is stopped by its worker.",
	    "labtasker task cancel --name sweep-7", task_state_opts, 0, -1, false, cmd_task_cancel},
	{"task requeue", NULL, "[ID...]", "Makes tasks pending again, with no retries used.",
	    "labtasker task requeue -s failed", task_state_opts, 0, -1, false, cmd_task_requeue},
	{"task delete", NULL, "[ID...]", "Deletes tasks.",
	    "labtasker task ls -s cancelled -q | labtasker task delete -y", task_delete_opts, 0, -1, false, cmd_task_delete},
	{"status", NULL, NULL, "Shows how far the queue is: counts, what runs, how fast, and until when.",
	    "labtasker status", status_opts, 0, 0, false, cmd_status},
	{"wait", NULL, "[ID...|-]", "Waits until tasks have ended: 0 all succeeded, 1 some did not, 124 time is up.",
	    "labtasker task submit -- --a 1 | labtasker wait --timeout 0.1 - || echo still at it", wait_opts, 0, -1, false, cmd_wait},
	{"logs", NULL, "[ID...]", "Shows what a task's last run printed, or the last run of all, from the run directories here.",
	    "labtasker logs --failed", logs_opts, 0, -1, false, cmd_logs},
	{"explain", NULL, "[ID] [-- CMD...]", "Says why a task, or any, is not being fetched, by a loop with this command and filter.",
	    "labtasker explain -- echo '%(prompt)' '%(guidance_scale)'", explain_opts, 0, 1, false, cmd_explain},
	{"event listen", NULL, NULL, "Prints what happens in the queue as it happens: each change of a task's or worker's state.",
	    "labtasker event listen --compact", event_listen_opts, 0, 0, false, cmd_event_listen},
	{"task info", NULL, NULL, "Prints the task that this job runs; for commands that a loop runs.",
	    "labtasker task info --json", task_info_opts, 0, 0, true, cmd_task_info},
	{"finish", NULL, NULL, "Says how this job went, whatever its exit status will be; for commands that a loop runs.",
	    "labtasker finish --summary '{\"loss\": 0.1}'",
	    finish_opts, 0, 0, true, cmd_finish},
	{"worker create", NULL, NULL, "Makes a worker, for loops that are told --worker-id.",
	    "labtasker worker create --name gpu-1 --metadata '{\"gpu\": \"a100\"}'",
	    worker_create_opts, 0, 0, false, cmd_worker_create},
	{"worker ls", NULL, NULL, "Lists workers.",
	    "labtasker worker ls -s active", worker_ls_opts, 0, 0, false, cmd_worker_ls},
	{"worker report", NULL, "ID STATUS", "Makes a worker active again, or suspended.",
	    "labtasker worker report $(labtasker worker create -q) suspended", worker_report_opts, 2, 2, false, cmd_worker_report},
	{"worker delete", NULL, "[ID...]", "Deletes workers.",
	    "labtasker worker ls -s crashed -q | labtasker worker delete -y", worker_delete_opts, 0, -1, false, cmd_worker_delete},
	{"queue create", NULL, NULL, "Makes a queue and prints its id.",
	    "labtasker queue create --queue-name mine --password secret", queue_create_opts, 0, 0, false, cmd_queue_create},
	{"queue create-from-config", NULL, NULL, "Makes the queue that client.toml or the environment names.",
	    "LABTASKER_QUEUE_NAME=mine LABTASKER_PASSWORD=secret labtasker queue create-from-config -q",
	    queue_from_config_opts, 0, 0, false, cmd_queue_create_from_config},
	{"queue get", NULL, NULL, "Prints the queue.",
	    "labtasker queue get --json", queue_get_opts, 0, 0, false, cmd_queue_get},
	{"queue update", NULL, NULL, "Changes the queue's name, password or metadata.",
	    "labtasker queue update --metadata '{\"owner\": \"me\"}'", queue_update_opts, 0, 0, false, cmd_queue_update},
	{"queue delete", NULL, NULL, "Deletes the queue.",
	    "labtasker queue delete --cascade -y", queue_delete_opts, 0, 0, false, cmd_queue_delete},
	{"queue dump", NULL, NULL, "Prints the whole queue as JSON Lines, for queue load.",
	    "labtasker queue dump >queue.jsonl", queue_dump_opts, 0, 0, false, cmd_queue_dump},
	{"queue load", NULL, "[FILE|-]", "Loads what queue dump printed, of either server, into this queue.",
	    "labtasker queue dump | labtasker queue load", queue_load_opts, 0, 1, false, cmd_queue_load},
	{"init", NULL, NULL, "Makes client.toml: which server, which queue.  Asks at a terminal.",
	    "labtasker init --local --force", init_opts, 0, 0, true, cmd_init},
	{"config", NULL, "[KEY=VALUE...]", "Changes client.toml in an editor, or sets values.",
	    "labtasker init --local -q --force && labtasker config task.heartbeat_interval=5", config_opts, 0, -1, true, cmd_config},
	{"health", NULL, NULL, "Says whether the server is up: healthy, or exit status 255.",
	    "labtasker health", health_opts, 0, 0, false, cmd_health},
	{"serve", NULL, NULL, "Runs the server until it gets SIGTERM.",
	    "labtasker serve --host 127.0.0.1 --port 0 --store store", serve_cmd_opts, 0, 0, false, cmd_serve},
	{"completion", NULL, "bash|zsh", "Prints a script that teaches the shell to complete labtasker's words.",
	    "eval \"$(labtasker completion bash)\"", completion_opts, 1, 1, true, cmd_completion},
};

/* Whether c stands in the group of that name: "task" of "task ls". */
static bool
in_group(const struct command *c, const char *group)
{
	size_t n = strlen(group);

	return !strncmp(c->name, group, n) && c->name[n] == ' ';
}

static bool
is_group(const char *word)
{
	for (size_t i = 0; i < LEN(commands); i++)
		if (in_group(&commands[i], word))
			return true;
	return false;
}

/* The command that the words begin with; *used says how many of them name it. */
static const struct command *
find(char **word, int n, int *used)
{
	for (size_t i = 0; i < LEN(commands); i++) {
		const struct command *c = &commands[i];
		const char *space = strchr(c->name, ' ');

		*used = space ? 2 : 1;
		if (space && n > 1 && in_group(c, word[0]) && !strcmp(word[1], space + 1))
			return c;
		*used = 1;
		if (n > 0 && (!strcmp(word[0], c->name) || (c->alias && !strcmp(word[0], c->alias))))
			return c;
	}
	return NULL;
}

/* Usage of all commands, or of those of a group. */
static int
usage(const char *group)
{
	struct buf b = {0};

	buf_printf(&b, "usage: labtasker %s%sCOMMAND [options]\n\n", group ? group : "", group ? " " : "");
	for (size_t i = 0; i < LEN(commands); i++)
		if (!group || in_group(&commands[i], group))
			buf_printf(&b, "  %-14s %s\n", commands[i].name, commands[i].about);
	buf_adds(&b, group ? "\n" : "  help [COMMAND] Shows how to use a command.\n  --version      Shows the version.\n\n");
	buf_adds(&b, "Each command shows its options with --help.\n");
	return out_end(&b);
}

static int
show_help(const struct command *c)
{
	struct buf b = {0};

	opt_help(&b, c, "labtasker");
	return out_end(&b);
}

/* No command has this name: says which is nearest. */
static int
unknown(char **word, int n)
{
	bool group = is_group(word[0]);
	char *given = group && n > 1 ? xprintf("%s %s", word[0], word[1]) : xstrdup(word[0]);
	const char *best = NULL;
	int least = 4;

	for (size_t i = 0; i < LEN(commands); i++) {
		const char *space = strchr(commands[i].name, ' ');
		int d = opt_distance(str_of(commands[i].name), str_of(given));

		if (space && !strcmp(space + 1, given))   /* "ls" for "task ls" */
			d = 0;
		if (d < least) {
			least = d;
			best = commands[i].name;
		}
	}
	if (best)
		warn("unknown command '%s': did you mean labtasker %s?", given, best);
	else
		warn("unknown command '%s': labtasker --help shows them all", given);
	free(given);
	return EXIT_USAGE;
}

/* What is named on the command line goes before the configuration. */
static void
override(char **to, const char *text)
{
	if (!text)
		return;
	free(*to);
	*to = xstrdup(text);
}

static int
run(struct context *x, const struct command *c, int argc, char **argv)
{
	struct conf conf = {0};
	struct args a = {0};
	struct err e = {0};
	int rc;

	x->cmd = c;
	x->commands = commands;
	x->ncommand = LEN(commands);
	if (opt_parse(c, argc, argv, &a, &e) < 0) {
		rc = ask_fail(x, &e);
	} else if (a.help) {
		rc = show_help(c);
	} else if (!c->noconf && conf_load(&conf, &e) < 0) {
		warn("%s", e.msg);
		rc = e.code;
	} else {
		override(&conf.cacert, a.cacert);
		override(&conf.pin, a.pin);
		x->conf = &conf;
		rc = c->run(x, &a);
		x->conf = NULL;
	}
	conf_free(&conf);
	opt_free(&a);
	return rc;
}

static bool
wants_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

static int
version(void)
{
	struct buf b = {0};

	buf_adds(&b, "labtasker " LABTASKER_VERSION "\n");
	return out_end(&b);
}

/* help [COMMAND] */
static int
help(char **word, int n)
{
	const struct command *c;
	int used;

	if (!n || wants_help(word[0]))
		return usage(NULL);
	c = find(word, n, &used);
	if (c)
		return show_help(c);
	return is_group(word[0]) && n == 1 ? usage(word[0]) : unknown(word, n);
}

int
cli_main(struct context *x, int argc, char **argv)
{
	const struct command *c;
	char **word = argv + 1;
	int n = argc > 1 ? argc - 1 : 0, used;

	if (!n)
		return usage(NULL);
	if (wants_help(word[0]))
		return help(word + 1, n - 1);
	if (!strcmp(word[0], "--version"))
		return version();
	c = find(word, n, &used);
	if (c)
		return run(x, c, n - used, word + used);
	if (is_group(word[0]) && (n == 1 || wants_help(word[1])))
		return usage(word[0]);
	if (word[0][0] == '-') {
		warn("unknown option %s: a command comes first; labtasker --help shows them all", word[0]);
		return EXIT_USAGE;
	}
	return unknown(word, n);
}
