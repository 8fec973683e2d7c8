/* SPDX-License-Identifier: MIT */
/*
 * Changes of tasks as text, pure.  On the command line: field=value replaces the field, field.sub=value one part of it.  In an
 * editor: lines "field: value" of the fields that can be changed, below "task_id: ID", tasks parted by "---"; this is YAML.  A
 * value is JSON, which may go on over lines, or plain text where that needs no quotes.  A line that is taken out changes nothing.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum kind { STATE, NAME, REAL, INTEGER, COUNT, DICT, COMMAND };

static const struct field {
	const char *name;
	enum kind kind;
	bool null;                 /* may be null */
} fields[] = {
	{"status", STATE, false}, {"task_name", NAME, true}, {"heartbeat_timeout", REAL, true}, {"task_timeout", INTEGER, true},
	{"max_retries", INTEGER, false}, {"retries", COUNT, false}, {"priority", INTEGER, false}, {"metadata", DICT, false},
	{"args", DICT, false}, {"cmd", COMMAND, true}, {"summary", DICT, false},
};

static const char *const fixed[] = {
	"task_id", "queue_id", "created_at", "start_time", "last_heartbeat", "last_modified", "worker_id"
};

static const struct field *
find(struct str name)
{
	for (size_t i = 0; i < LEN(fields); i++)
		if (str_is(name, fields[i].name))
			return &fields[i];
	return NULL;
}

/* Why there is no such field to change. */
static void
unknown(struct str name, struct err *e)
{
	const char *best = NULL;
	int least = 3;

	for (size_t i = 0; i < LEN(fixed); i++) {
		if (str_is(name, fixed[i])) {
			err_set(e, EXIT_USAGE, "%s cannot be changed", fixed[i]);
			return;
		}
	}
	for (size_t i = 0; i < LEN(fields); i++) {
		int d = opt_distance(name, str_of(fields[i].name));

		if (name.n > 2 && name.n < strlen(fields[i].name) && !memcmp(name.p, fields[i].name, name.n))
			d = 0;   /* "prio" */
		if (d < least) {
			least = d;
			best = fields[i].name;
		}
	}
	err_set(e, EXIT_USAGE, "%.*s is no field of a task%s%s%s", (int)(name.n < 60 ? name.n : 60), name.p,
	    best ? ": did you mean " : "", best ? best : "", best ? "?" : "");
}

static bool
is_command(const struct json *v)
{
	if (v->type != JSON_ARR)
		return v->type == JSON_STR;
	for (const struct json *i = v->head; i; i = i->next)
		if (i->type != JSON_STR)
			return false;
	return true;
}

static bool
is_state(struct str s)
{
	static const char *const state[] = {"pending", "running", "success", "failed", "cancelled"};

	for (size_t i = 0; i < LEN(state); i++)
		if (str_is(s, state[i]))
			return true;
	return false;
}

/* What v should be when it is not that, else NULL. */
static const char *
wrong(const struct field *f, const struct json *v)
{
	struct str s = {v->s, v->len};
	int64_t n;

	if (v->type == JSON_NULL)
		return f->null ? NULL : "not null";
	switch (f->kind) {
	case STATE:
		return v->type == JSON_STR && is_state(s) ? NULL : "pending, running, success, failed or cancelled";
	case NAME:
		return v->type == JSON_STR && name_valid(s) ? NULL : "a text of 1 to 100 letters, digits, _ and -, or null";
	case REAL:
		return v->type == JSON_NUM ? NULL : f->null ? "a number of seconds, or null" : "a number";
	case INTEGER:
	case COUNT:
		return v->type == JSON_NUM && !json_int(v, &n) && (f->kind == INTEGER || n >= 0) ? NULL :
		    f->null ? "a whole number, or null" : "a whole number";
	case DICT:
		return v->type == JSON_OBJ ? NULL : "a dict: {\"key\": \"value\"}";
	case COMMAND:
		return is_command(v) ? NULL : "a text, a list of texts, or null";
	}
	return NULL;
}

/* Notes that the field is to be replaced whole, once. */
static void
replace(struct json_doc *d, struct json *update, const char *field)
{
	struct json *list = json_gets(update, "replace_fields");

	if (!list) {
		list = json_mkarr(d);
		json_sets(d, update, "replace_fields", list);
	}
	for (const struct json *v = list->head; v; v = v->next)
		if (str_is((struct str){v->s, v->len}, field))
			return;
	json_push(list, json_mkstr(d, str_of(field)));
}

/* ---- on the command line ---- */

/* A field that holds text takes it as it stands; only None and null are none. */
static struct json *
value_of(struct json_doc *d, const struct field *f, const char *text)
{
	bool texts = f->kind == STATE || f->kind == NAME || f->kind == COMMAND;
	struct json *v = literal_parse(d, str_of(text));

	if (!v || (texts && v->type != JSON_NULL && v->type != JSON_STR && v->type != JSON_ARR))
		return json_mkstr(d, str_of(text));
	return v;
}

static int
assign_part(struct json_doc *d, struct json *update, const struct field *f, const char *sub, const char *text, struct err *e)
{
	struct json *obj = json_gets(update, f->name), *v = literal_parse(d, str_of(text));

	if (f->kind != DICT)
		return err_set(e, EXIT_USAGE, "%s has no parts: write %s=VALUE", f->name, f->name);
	if (!*sub || sub[0] == '.' || sub[strlen(sub) - 1] == '.' || strstr(sub, ".."))
		return err_set(e, EXIT_USAGE, "%s.%s: nothing stands before or after a dot", f->name, sub);
	if (!obj) {
		obj = json_mkobj(d);
		json_sets(d, update, f->name, obj);
	}
	json_sets(d, obj, sub, v ? v : json_mkstr(d, str_of(text)));
	return 0;
}

int
edit_assign(struct json_doc *d, struct json *update, const char *word, struct err *e)
{
	size_t n = strcspn(word, "="), top;
	const struct field *f;
	struct json *v;
	char *name;
	const char *want = NULL;

	if (!word[n] || !n || word[0] == '-')
		return err_set(e, EXIT_USAGE, "'%s' is not understood: write FIELD=VALUE: priority=5, args.lr=0.1", word);
	if (!utf8_valid(word, strlen(word)))
		return err_set(e, EXIT_USAGE, "an update is not UTF-8");
	name = xmemdup(word, n);
	for (char *p = name; *p; p++)
		*p = *p == '-' ? '_' : *p;
	top = strcspn(name, ".");
	f = find((struct str){name, top});
	if (!f) {
		unknown((struct str){name, top}, e);
	} else if (name[top]) {
		assign_part(d, update, f, name + top + 1, word + n + 1, e);
	} else {
		v = value_of(d, f, word + n + 1);
		want = wrong(f, v);
		if (want)
			err_set(e, EXIT_USAGE, "Invalid value for %s: '%s': it must be %s", f->name, word + n + 1, want);
		json_sets(d, update, f->name, v);
		if (f->kind == DICT)
			replace(d, update, f->name);
	}
	free(name);
	return e->code ? -1 : 0;
}

/* ---- for an editor ---- */

/* Short on the field's line, else over lines, those behind the first one further in. */
static void
put_value(struct buf *b, const struct json *v, struct json_doc *scratch)
{
	enum { SHORT = 100, INDENT = 2 };
	struct buf text = {0};

	if (v->type == JSON_STR && out_plain(json_text(v)) && !literal_parse(scratch, json_text(v))) {
		buf_add(b, v->s, v->len);
		return;
	}
	json_print(&text, v, JSON_SPACED | (v->type == JSON_STR ? JSON_ASCII : 0));
	if (text.len > SHORT && (v->type == JSON_OBJ || v->type == JSON_ARR)) {
		buf_clear(&text);
		json_print(&text, v, JSON_SPACED | INDENT);
	}
	for (size_t i = 0; i < text.len; i++) {
		buf_addc(b, text.p[i]);
		if (text.p[i] == '\n')
			buf_adds(b, "  ");
	}
	buf_free(&text);
}

static void
put_task(struct buf *b, const struct json *task, bool reset, struct json_doc *scratch)
{
	buf_printf(b, "task_id: %s  # not to be changed\n", json_gettext(task, "task_id"));
	for (size_t i = 0; i < LEN(fields); i++) {
		const struct json *v = json_gets(task, fields[i].name);

		if (!v || (reset && (fields[i].kind == STATE || fields[i].kind == COUNT)))
			continue;
		buf_printf(b, "%s: ", fields[i].name);
		put_value(b, v, scratch);
		buf_addc(b, '\n');
	}
}

void
edit_put(struct buf *b, const struct json *tasks, bool reset)
{
	struct json_doc *scratch = json_new();

	buf_adds(b, "# Change values and leave the editor.  A value is JSON, or plain text where that needs no quotes.\n"
	    "# A line that is taken out leaves its field as it is.\n");
	for (const struct json *v = tasks->head; v; v = v->next) {
		buf_adds(b, tasks->len > 1 ? "---\n" : "");
		put_task(b, v, reset, scratch);
	}
	json_free(scratch);
}

struct reader {
	const char *start, *p, *end;
	struct json_doc *d;
	const struct json *tasks, *task;   /* task: whose lines these are */
	struct json *all, *update;         /* update: of that task */
	struct err *e;
};

static int
bad(struct reader *r, const char *at, const char *what)
{
	struct err e = {0};

	e.pos = (size_t)(at - r->start);
	err_locate(&e, r->start, (size_t)(r->end - r->start));
	err_set(r->e, EXIT_USAGE, "line %lu, column %lu: %s", (unsigned long)e.line, (unsigned long)e.col, what);
	if (!r->e->line) {
		r->e->line = e.line;
		r->e->col = e.col;
		r->e->pos = e.pos;
	}
	return -1;
}

static const char *
line_end(const struct reader *r)
{
	const char *p = r->p;

	while (p < r->end && *p != '\n')
		p++;
	return p;
}

/* Behind the bracket or quote that closes what begins at p; NULL when none does. */
static const char *
closing(const char *p, const char *end)
{
	int depth = 0;
	char quote = 0;

	for (; p < end; p++) {
		if (quote) {
			if (*p == '\\' && quote == '"')
				p++;
			else if (*p == quote)
				quote = 0;
		} else if (*p == '"' || *p == '\'') {
			quote = *p;
		} else if (*p == '{' || *p == '[') {
			depth++;
		} else if (*p == '}' || *p == ']') {
			depth--;
		}
		if (!quote && depth <= 0)
			return p + 1;
	}
	return NULL;
}

/* 'it''s' */
static struct json *
single_quoted(struct reader *r)
{
	struct buf b = {0};
	struct json *v = NULL;
	const char *p = r->p + 1, *end = line_end(r);

	for (; p < end; p++) {
		if (*p == '\'' && (p + 1 == end || p[1] != '\''))
			break;
		p += *p == '\'';
		buf_addc(&b, *p);
	}
	if (p < end) {
		v = json_mkstr(r->d, (struct str){b.p ? b.p : "", b.len});
		r->p = p + 1;
	} else {
		bad(r, r->p, "the text is not closed: ' is missing");
	}
	buf_free(&b);
	return v;
}

static struct json *
json_value(struct reader *r)
{
	const char *end = closing(r->p, r->end);
	struct err why = {0};
	struct json_doc *doc;
	struct json *v;

	if (!end) {
		bad(r, r->p, "what begins here is not closed");
		return NULL;
	}
	doc = json_parse(r->p, (size_t)(end - r->p), &why);
	v = doc ? json_copy(r->d, doc->root) : literal_parse(r->d, (struct str){r->p, (size_t)(end - r->p)});
	json_free(doc);
	if (!v)
		bad(r, r->p + why.pos, why.msg);
	else
		r->p = end;
	return v;
}

static struct json *
plain_value(struct reader *r)
{
	const char *from = r->p, *end = line_end(r);
	struct json_doc *doc;
	struct json *v;

	for (const char *p = from; p < end; p++)
		if (*p == '#' && (p == from || p[-1] == ' ' || p[-1] == '\t'))
			end = p;
	while (end > from && strchr(" \t\r", end[-1]))
		end--;
	r->p = end;
	if (end == from || (end == from + 1 && *from == '~'))
		return json_mknull(r->d);
	doc = json_parse(from, (size_t)(end - from), NULL);
	v = doc ? json_copy(r->d, doc->root) : literal_parse(r->d, (struct str){from, (size_t)(end - from)});
	json_free(doc);
	if (v)
		return v;
	for (const char *p = from; p < end; p++) {
		if ((p == from && strchr("&*!|>%@`,?]}", *p)) || (*p == ':' && (p + 1 == end || p[1] == ' '))) {
			bad(r, p, "this text wants quotes: \"...\"");
			return NULL;
		}
	}
	return json_mkstr(r->d, (struct str){from, (size_t)(end - from)});
}

static void
skip_space(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r'))
		r->p++;
}

static struct json *
read_value(struct reader *r)
{
	struct json *v;

	skip_space(r);
	if (r->p < r->end && *r->p == '\'')
		v = single_quoted(r);
	else if (r->p < r->end && strchr("{[\"", *r->p))
		v = json_value(r);
	else
		v = plain_value(r);
	if (!v)
		return NULL;
	skip_space(r);
	if (r->p < line_end(r) && *r->p != '#') {
		bad(r, r->p, "the end of the line is expected here");
		return NULL;
	}
	r->p = line_end(r);
	return v;
}

/* The name before a colon; p is behind that. */
static int
read_name(struct reader *r, struct str *name)
{
	const char *from = r->p;

	while (r->p < r->end && ((*r->p >= 'a' && *r->p <= 'z') || *r->p == '_'))
		r->p++;
	*name = (struct str){from, (size_t)(r->p - from)};
	if (!name->n || r->p == r->end || *r->p != ':' || (r->p + 1 < r->end && !strchr(" \t\r\n", r->p[1])))
		return bad(r, r->p, name->n ? ": and a space are expected here" : "a line \"field: value\" is expected here");
	r->p++;
	return 0;
}

static const struct json *
task_of(const struct json *tasks, const struct json *id)
{
	const struct json *t = tasks->head;

	while (t && (id->type != JSON_STR || !json_eq(json_gets(t, "task_id"), id)))
		t = t->next;
	return t;
}

/* The line's change, if it is one, into update. */
static int
change(struct reader *r, struct str name, const char *at, const char *from, struct json *v)
{
	const struct field *f = find(name);
	const struct json *old = r->task ? json_get(r->task, name) : NULL;
	struct err why = {0};
	const char *want;
	char *text;

	if (!r->task)
		return bad(r, at, "a line \"task_id: ID\" is expected before it");
	if (json_get(r->update, name))
		return bad(r, at, "this field was there already");
	if (!f && old && json_eq(old, v))
		return 0;
	if (!f) {
		unknown(name, &why);
		return bad(r, at, why.msg);
	}
	want = wrong(f, v);
	if (want && !(old && json_eq(old, v))) {
		text = xprintf("%s must be %s", f->name, want);
		bad(r, from, text);
		free(text);
		return -1;
	}
	json_set(r->d, r->update, name, v);
	return 0;
}

/* Leaves in update what differs from task; false: nothing does. */
static bool
reduce(struct json_doc *d, struct json *update, const struct json *task)
{
	for (size_t i = 0; i < LEN(fields); i++) {
		struct str name = str_of(fields[i].name);
		const struct json *v = json_get(update, name), *old = json_get(task, name);

		if (v && old && json_eq(v, old))
			json_remove(update, name);
		else if (v && fields[i].kind == DICT)
			replace(d, update, fields[i].name);
	}
	return update->len > 1;   /* more than the id */
}

/* From here on the lines are those of task. */
static void
turn_to(struct reader *r, const struct json *task)
{
	const struct json *id = json_gets(task, "task_id");
	struct json *u = r->all->head;

	while (u && !json_eq(json_gets(u, "task_id"), id))
		u = u->next;
	if (!u) {
		u = json_mkobj(r->d);
		json_sets(r->d, u, "task_id", json_copy(r->d, id));
		json_push(r->all, u);
	}
	r->task = task;
	r->update = u;
}

static int
read_line(struct reader *r)
{
	const struct json *task;
	const char *at, *from;
	struct str name;
	struct json *v;

	skip_space(r);
	if (r->end - r->p > 1 && r->p[0] == '-' && r->p[1] == ' ')
		r->p += 2;
	skip_space(r);
	at = r->p;
	if (r->p == r->end || *r->p == '#' || *r->p == '\n' || (r->end - r->p > 2 && !memcmp(r->p, "---", 3))) {
		r->p = line_end(r);
		return 0;
	}
	if (read_name(r, &name) < 0)
		return -1;
	skip_space(r);
	from = r->p;
	v = read_value(r);
	if (!v)
		return -1;
	if (!str_is(name, "task_id"))
		return change(r, name, at, from, v);
	task = task_of(r->tasks, v);
	if (!task)
		return bad(r, from, "the task's id is not one of those that were to be edited");
	turn_to(r, task);
	return 0;
}

struct json *
edit_read(struct json_doc *d, struct str text, const struct json *tasks, struct err *e)
{
	struct reader r = {.start = text.p, .p = text.p, .end = text.p + text.n, .d = d, .tasks = tasks, .all = json_mkarr(d), .e = e};
	struct json *list = json_mkarr(d);

	if (!utf8_valid(text.p, text.n)) {
		err_set(e, EXIT_USAGE, "the text is not UTF-8");
		return NULL;
	}
	if (tasks->len == 1)
		turn_to(&r, tasks->head);
	while (r.p < r.end) {
		if (read_line(&r) < 0)
			return NULL;
		r.p += r.p < r.end;
	}
	for (struct json *u = r.all->head; u; u = u->next)
		if (reduce(d, u, task_of(tasks, json_gets(u, "task_id"))))
			json_push(list, json_copy(d, u));
	return list;
}
