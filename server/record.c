/* SPDX-License-Identifier: MIT */
/*
 * The members of records and of images: one table for each kind of entity says what a member is called, what it is and where it
 * lies; writing, reading and copying go through it.  The format is told in queue.c.
 */
#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const task_status[TASK_STATES] = {"pending", "running", "success", "failed", "cancelled"};
const char *const worker_status[WORKER_STATES] = {"active", "suspended", "crashed"};

static const char no_cmd[] = "\"\"";   /* what nearly every submit stores, once */
static const uuid no_id;

#define TASK(field) offsetof(struct task_image, v.field), true
#define WORKER(field) offsetof(struct worker_image, v.field), true
#define QUEUE(field) offsetof(struct queue_image, v.field), true

const struct member record_task[] = {
	{"in", M_IN, INT, offsetof(struct task_image, in), false}, {"seq", M_SEQ, INT, TASK(seq)},
	{"status", M_STATUS, TASK_STATE, TASK(status)}, {"name", M_NAME, TEXT, offsetof(struct task_image, v.name), false},
	{"created", M_CREATED, INT, TASK(created)},
	{"modified", M_MODIFIED, INT, TASK(modified)}, {"start", M_START, INT, TASK(start)}, {"beat", M_BEAT, INT, TASK(beat)},
	{"heartbeat_timeout", M_HEARTBEAT, REAL, TASK(heartbeat_timeout)}, {"task_timeout", M_TASK_TIMEOUT, INT, TASK(task_timeout)},
	{"retries", M_RETRIES, INT, TASK(retries)}, {"max_retries", M_MAX_RETRIES, INT, TASK(max_retries)},
	{"priority", M_PRIORITY, INT, TASK(priority)}, {"worker", M_WORKER, ID, TASK(worker)}, {"args", M_ARGS, DICT, TASK(args)},
	{"metadata", M_METADATA, DICT, TASK(metadata)}, {"summary", M_SUMMARY, DICT, TASK(summary)}, {"cmd", M_CMD, CMD, TASK(cmd)},
	{"run", M_RUN, ID, offsetof(struct task_image, run), false},
	{"end", M_END, TASK_STATE, offsetof(struct task_image, end), false},
	{"used", M_USED, INT, offsetof(struct task_image, used), false}, {0},
};
const struct member record_worker[] = {
	{"in", M_IN, INT, offsetof(struct worker_image, in), false}, {"seq", M_SEQ, INT, WORKER(seq)},
	{"status", M_STATUS, WORKER_STATE, WORKER(status)}, {"name", M_NAME, TEXT, WORKER(name)},
	{"created", M_CREATED, INT, WORKER(created)}, {"modified", M_MODIFIED, INT, WORKER(modified)},
	{"retries", M_RETRIES, INT, WORKER(retries)},
	{"max_retries", M_MAX_RETRIES, INT, WORKER(max_retries)}, {"metadata", M_METADATA, DICT, WORKER(metadata)}, {0},
};
const struct member record_queue[] = {
	{"seq", M_SEQ, INT, QUEUE(seq)}, {"name", M_NAME, TEXT, QUEUE(name)}, {"hash", M_HASH, TEXT, QUEUE(hash)},
	{"created", M_CREATED, INT, QUEUE(created)}, {"modified", M_MODIFIED, INT, QUEUE(modified)},
	{"metadata", M_METADATA, DICT, QUEUE(metadata)}, {0},
};
static const size_t sizes[] = {
	[INT] = sizeof(int64_t), [REAL] = sizeof(double), [ID] = sizeof(uuid), [TASK_STATE] = sizeof(int), [WORKER_STATE] = sizeof(int),
};

void
record_id(struct buf *b, const uuid id)
{
	char text[37];

	uuid_print(id, text);
	buf_addc(b, '"');
	buf_add(b, text, 36);
	buf_addc(b, '"');
}

/* The value at p; null where it is none. */
static void
put_value(struct buf *b, int kind, const void *p)
{
	const char *text = kind == TEXT || kind == DICT || kind == CMD ? *(const char *const *)p : NULL;

	if (kind == INT && *(const int64_t *)p != NONE)
		buf_addint(b, *(const int64_t *)p);
	else if (kind == REAL && !isnan(*(const double *)p))
		json_repr(b, *(const double *)p);
	else if (kind == ID && memcmp(p, no_id, 16))
		record_id(b, p);
	else if (kind == TEXT && text)
		json_putstr(b, str_of(text), 0);
	else if (kind == TASK_STATE || kind == WORKER_STATE)
		buf_printf(b, "\"%s\"", (kind == TASK_STATE ? task_status : worker_status)[*(const int *)p]);
	else
		buf_adds(b, text ? text : kind == DICT ? "{}" : "null");
}

/* Appends the members in set; of a whole record none that are null or {}. */
void
record_put(struct buf *b, const struct member *m, unsigned set, const void *image)
{
	for (; m->name; m++) {
		size_t before = b->len, value;

		if (!(set & m->bit))
			continue;
		buf_addc(b, ',');
		buf_addc(b, '"');
		buf_adds(b, m->name);
		buf_adds(b, "\":");
		value = b->len;
		put_value(b, m->kind, (const char *)image + m->at);
		if (set & M_SEQ && (!strcmp(b->p + value, "null") || !strcmp(b->p + value, "{}"))) {
			b->len = before;
			b->p[before] = 0;
		}
	}
	buf_adds(b, "}\n");
}

int
record_state(const struct json *j, const char *const *names, int n, int *out)
{
	for (int i = 0; i < n; i++) {
		if (json_is(j, names[i])) {
			*out = i;
			return 0;
		}
	}
	return -1;
}

/* A text that lives as long as the document, or text does. */
static int
take_text(const struct json *j, int kind, struct buf *text, const char **out)
{
	*out = NULL;
	if (kind != DICT && j->type == JSON_NULL)
		return 0;
	if (kind == TEXT) {
		*out = j->s;
		return j->type == JSON_STR && strlen(j->s) == j->len ? 0 : -1;
	}
	if (kind == DICT ? j->type != JSON_OBJ : j->type != JSON_STR && j->type != JSON_ARR)
		return -1;
	if (kind == DICT && !j->len)
		return 0;
	buf_clear(text);
	json_print(text, j, 0);
	*out = text->p;
	return 0;
}

static int
take_value(const struct json *j, int kind, struct buf *text, void *p)
{
	switch (kind) {
	case INT:
		*(int64_t *)p = NONE;
		return j->type == JSON_NULL ? 0 : json_int(j, p);
	case REAL:
		*(double *)p = j->type == JSON_NUM ? json_num(j) : NAN;
		return j->type == JSON_NUM || j->type == JSON_NULL ? 0 : -1;
	case ID:
		memcpy(p, no_id, 16);
		return j->type == JSON_NULL ? 0 : uuid_parse(json_text(j), p);
	case TASK_STATE:
		return record_state(j, task_status, TASK_STATES, p);
	case WORKER_STATE:
		return record_state(j, worker_status, WORKER_STATES, p);
	default:
		return take_text(j, kind, text, p);
	}
}

/* The row of a name, looked for from one on: records have their members in the order of the table.  NULL: unknown. */
static const struct member *
row_of(const struct member *table, const struct member *from, struct str name)
{
	for (const struct member *m = from; m->name; m++)
		if (str_is(name, m->name))
			return m;
	for (const struct member *m = table; m < from; m++)
		if (str_is(name, m->name))
			return m;
	return NULL;
}

int
record_take(struct store *s, const struct member *table, const struct json *record, void *image, unsigned *set, struct err *e)
{
	const struct member *next = table, *m;
	struct buf *text = s->text;

	*set = 0;
	for (const struct json *j = record->head; j; j = j->next) {
		m = row_of(table, next, j->key);
		if (!m)
			continue;
		if (take_value(j, m->kind, text, (char *)image + m->at) < 0)
			return err_set(e, 1, "%s is wrong", m->name);
		*set |= m->bit;
		text += m->kind == DICT || m->kind == CMD;
		next = m + 1;
	}
	return 0;
}

static void
free_text(const char *p)
{
	if (p != no_cmd)
		free((char *)p);
}

static const char *
own_text(const char *p)
{
	return !p ? NULL : !strcmp(p, no_cmd) ? no_cmd : xstrdup(p);
}

/* The one place where what a record tells gets into an entity. */
void
record_copy(struct store *s, const struct member *m, unsigned set, void *data, const void *image)
{
	for (; m->name; m++) {
		const char *const *from = (const void *)((const char *)image + m->at);
		const char **to = (void *)((char *)data + m->at);

		if (!m->kept || !(set & m->bit))
			continue;
		if (m->kind != TEXT && m->kind != DICT && m->kind != CMD) {
			memcpy(to, from, sizes[m->kind]);
			continue;
		}
		s->live += *from ? strlen(*from) : 0;
		s->live -= *to ? strlen(*to) : 0;
		free_text(*to);
		*to = own_text(*from);
	}
}

void
record_drop(struct store *s, const struct member *m, void *data)
{
	for (; m->name; m++) {
		const char **p = (void *)((char *)data + m->at);

		if (!m->kept || (m->kind != TEXT && m->kind != DICT && m->kind != CMD))
			continue;
		s->live -= *p ? strlen(*p) : 0;
		free_text(*p);
	}
}
