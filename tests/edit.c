/* SPDX-License-Identifier: MIT */
/* edit.c: what is written for an editor reads back as no change, whatever the tasks hold; every cut of it ends well. */
#include "../cli/edit.c"
#include "parse.h"
#include "test.h"

static const char *const tasks[] = {
	"[]",
	"[{\"task_id\":\"a\",\"status\":\"pending\",\"task_name\":null,\"priority\":10,\"args\":{},\"cmd\":\"\"}]",
	"[{\"task_id\":\"a\",\"priority\":-1,\"heartbeat_timeout\":60.0,\"cmd\":[\"a b\",\"it's\"],\"queue_id\":\"q\"},"
	"{\"task_id\":\"b\",\"status\":\"failed\",\"retries\":3,\"summary\":{\"x\":{\"y\":[1,2,{\"z\":null}]}}}]",
	"[{\"task_id\":\"a\",\"args\":{\"long\":\"0123456789012345678901234567890123456789012345678901234567890123456789\",\"more\":"
	"[\"0123456789012345678901234567890123456789\",{\"deep\":{\"er\":\"}]{[\\\"'#: \"}}]}}]",
};
/* Texts that YAML, JSON or Python would take for something else. */
static const char *const texts[] = {
	"null", "None", "true", "True", "no", "~", "1", "1.5", "1_000", "0x10", "", " ", " x", "x ", "# x", "x # y", "x: y", "x:", "- x",
	"---", "{", "[1]", "'x'", "\\\"x\\\"", "it's", "a\\nb", "\\u0000", "\\u007f\\u0085", "\\u2028", "é 漢", "echo %(a)", "a, b", "(1, 2)", "&x", "*x",
	"!x", "|", ">", "%x", "@x", "`x`", "?", "inf", "nan", "1e5", "2026-01-01", "\\\\n", "=x", "<<", "0o7", "b'x'", "x\\ty", "\\r\\n",
};

static void
check_unchanged(const char *json)
{
	struct json_doc *old = parse(json), *d = json_new();
	struct buf b = {0};
	struct err e = {0};
	struct json *list;

	edit_put(&b, old->root, false);
	list = edit_read(d, (struct str){b.p, b.len}, old->root, &e);
	check(list && !list->len, "%s\n%s: %s", json, b.p, e.msg);
	for (size_t n = 0; n < b.len; n++) {
		char *copy = xmalloc(n);   /* exactly as long: an overread is caught by a checker of memory */
		struct err why = {0};
		struct json_doc *scratch = json_new();

		memcpy(copy, b.p, n);
		list = edit_read(scratch, (struct str){copy, n}, old->root, &why);
		check(list || (why.code == EXIT_USAGE && (why.line || strstr(why.msg, "UTF-8"))), "cut at %lu: %s", (unsigned long)n, why.msg);
		json_free(scratch);
		free(copy);
	}
	buf_free(&b);
	json_free(d);
	json_free(old);
}

/* The lines that a person wrote, and the updates that they are. */
static void
test_read(void)
{
	static const char old[] = "[{\"task_id\":\"a\",\"priority\":1,\"args\":{\"x\":1},\"cmd\":\"\",\"task_timeout\":null}]";
	static const struct {
		const char *text, *want;   /* want NULL: refused at line, col */
		size_t line, col;
	} row[] = {
		{"", "[]", 0, 0},
		{"priority: 1\n", "[]", 0, 0},
		{"priority: 2", "[{\"task_id\":\"a\",\"priority\":2}]", 0, 0},
		{"- task_id: a\n  priority: 2\n", "[{\"task_id\":\"a\",\"priority\":2}]", 0, 0},
		{"args: {\n  \"x\": 2 }\n", "[{\"task_id\":\"a\",\"args\":{\"x\":2},\"replace_fields\":[\"args\"]}]", 0, 0},
		{"args: {'x': True}  # why\n", "[{\"task_id\":\"a\",\"args\":{\"x\":true},\"replace_fields\":[\"args\"]}]", 0, 0},
		{"cmd: echo it's # x\n", "[{\"task_id\":\"a\",\"cmd\":\"echo it's\"}]", 0, 0},
		{"cmd: 'it''s'\r\n", "[{\"task_id\":\"a\",\"cmd\":\"it's\"}]", 0, 0},
		{"cmd:\n", "[{\"task_id\":\"a\",\"cmd\":null}]", 0, 0},
		{"task_timeout: ~\n", "[]", 0, 0},
		{"task_timeout: 5\n", "[{\"task_id\":\"a\",\"task_timeout\":5}]", 0, 0},
		{"task_id: b\n", NULL, 1, 10},
		{"priority: 1\npriority: 2\n", NULL, 2, 1},
		{"priority: 3\npriority: 2\n", NULL, 2, 1},
		{"\n\n  x\n", NULL, 3, 4},
		{"priority:2\n", NULL, 1, 9},
		{"priority: 1.5\n", NULL, 1, 11},
		{"args: {\"x\": 1\npriority: 2\n", NULL, 1, 7},
		{"args: {\"x\" 1}\n", NULL, 1, 12},
		{"cmd: 'x\n", NULL, 1, 6},
		{"cmd: \"x\" y\n", NULL, 1, 10},
		{"cmd: x: y\n", NULL, 1, 7},
		{"worker_id: x\n", NULL, 1, 1},
		{"colour: x\n", NULL, 1, 1},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		struct json_doc *o = parse(old), *d = json_new(), *want = row[i].want ? parse(row[i].want) : NULL;
		struct err e = {0};
		struct json *list = edit_read(d, str_of(row[i].text), o->root, &e);
		struct buf b = {0};

		if (list)
			json_print(&b, list, 0);
		if (want)
			check(list && json_eq(list, want->root), "%s gives %s %s", row[i].text, b.p ? b.p : "", e.msg);
		else
			check(!list && e.line == row[i].line && e.col == row[i].col, "%s: %lu:%lu: %s", row[i].text, (unsigned long)e.line,
			    (unsigned long)e.col, e.msg);
		buf_free(&b);
		json_free(want);
		json_free(d);
		json_free(o);
	}
}

int
main(void)
{
	for (size_t i = 0; i < LEN(tasks); i++)
		check_unchanged(tasks[i]);
	for (size_t i = 0; i < LEN(texts); i++) {
		char *json = xprintf("[{\"task_id\":\"a\",\"cmd\":\"%s\",\"args\":{\"%s\":\"%s\"}}]", texts[i], texts[i], texts[i]);

		check_unchanged(json);
		free(json);
	}
	test_read();
	return test_done("edit");
}
