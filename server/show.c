/* SPDX-License-Identifier: MIT */
/*
 * What is seen of the state: queues, tasks and workers as the API prints them, tasks and workers as the documents that filters
 * look at, and searches.  A table for each says which fields there are, in which order, and where they are kept.
 *
 * A search keeps no more rows than end with its page, in a heap with the last of them on top: n rows cost n log of that at most.
 * One that asks for tasks in the order in which they are fetched, or changed, looks at them in that order, until its page is full.
 */
#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	COLUMNS = 18,
	NUMBER = 40,              /* text of a number or time, or an id */
	SORTS = 32,               /* fields to sort by, as in MongoDB */
	SHARE = 16,               /* how much of all is looked at in order before the rest is as it comes, which is quicker a task */
	ALL_STATES = (1 << TASK_STATES) - 1
};

enum form {
	AS_ID, AS_WORKER, AS_QUEUE, AS_TASK_STATUS, AS_WORKER_STATUS, AS_NAME, AS_TIME, AS_INT, AS_REAL, AS_DICT,
	AS_VALUE                  /* JSON or null */
};

struct column {
	const char *name;
	enum form form;
	size_t at;
};

#define T(m) offsetof(struct task, m)
static const struct column task_columns[] = {
	{"task_id", AS_ID, T(node.id)}, {"queue_id", AS_QUEUE, T(queue)}, {"status", AS_TASK_STATUS, T(v.status)},
	{"task_name", AS_NAME, T(v.name)}, {"created_at", AS_TIME, T(v.created)},
	{"start_time", AS_TIME, T(v.start)}, {"last_heartbeat", AS_TIME, T(v.beat)},
	{"last_modified", AS_TIME, T(v.modified)}, {"heartbeat_timeout", AS_REAL, T(v.heartbeat_timeout)},
	{"task_timeout", AS_INT, T(v.task_timeout)}, {"max_retries", AS_INT, T(v.max_retries)}, {"retries", AS_INT, T(v.retries)},
	{"priority", AS_INT, T(v.priority)}, {"metadata", AS_DICT, T(v.metadata)}, {"args", AS_DICT, T(v.args)},
	{"cmd", AS_VALUE, T(v.cmd)}, {"summary", AS_DICT, T(v.summary)}, {"worker_id", AS_WORKER, T(v.worker)},
};
#define W(m) offsetof(struct worker, m)
static const struct column worker_columns[] = {
	{"worker_id", AS_ID, W(node.id)}, {"queue_id", AS_QUEUE, W(queue)}, {"status", AS_WORKER_STATUS, W(v.status)},
	{"worker_name", AS_NAME, W(v.name)}, {"metadata", AS_DICT, W(v.metadata)}, {"retries", AS_INT, W(v.retries)},
	{"max_retries", AS_INT, W(v.max_retries)}, {"created_at", AS_TIME, W(v.created)},
	{"last_modified", AS_TIME, W(v.modified)},
};
#define Q(m) offsetof(struct queue, m)
static const struct column queue_columns[] = {
	{"queue_id", AS_ID, Q(node.id)}, {"queue_name", AS_NAME, Q(v.name)}, {"created_at", AS_TIME, Q(v.created)},
	{"last_modified", AS_TIME, Q(v.modified)}, {"metadata", AS_DICT, Q(v.metadata)},
};

static const void *
place(const struct column *c, const void *entity)
{
	return (const char *)entity + c->at;
}

static int64_t
number(const struct column *c, const void *entity)
{
	return *(const int64_t *)place(c, entity);
}

/* A string, or NULL: the id of a queue is what is wanted, not where it is kept. */
static const char *
text_of(const struct column *c, const void *entity)
{
	switch (c->form) {
	case AS_QUEUE:
		return (*(struct queue *const *)place(c, entity))->id;
	case AS_TASK_STATUS:
		return task_status[*(const int *)place(c, entity)];
	case AS_WORKER_STATUS:
		return worker_status[*(const int *)place(c, entity)];
	default:
		return *(const char *const *)place(c, entity);
	}
}

/* An id or a time; false when it is null. */
static bool
text_made(const struct column *c, const void *entity, char out[NUMBER])
{
	static const uuid none;

	if (c->form == AS_TIME) {
		if (number(c, entity) == NONE)
			return false;
		date_iso(out, number(c, entity));
		return true;
	}
	if (c->form == AS_WORKER && !memcmp(place(c, entity), none, sizeof none))
		return false;
	uuid_print(place(c, entity), out);
	return true;
}

/* ---- printing ---- */

static void
put_string(struct buf *b, const char *s)
{
	if (s)
		json_putstr(b, str_of(s), 0);
	else
		buf_adds(b, "null");
}

static void
put_value(struct buf *b, const struct column *c, const void *entity)
{
	char text[NUMBER];
	double real;

	switch (c->form) {
	case AS_ID:
	case AS_WORKER:
	case AS_TIME:
		put_string(b, text_made(c, entity, text) ? text : NULL);
		return;
	case AS_INT:
		if (number(c, entity) == NONE)
			buf_adds(b, "null");
		else
			buf_addint(b, number(c, entity));
		return;
	case AS_REAL:
		real = *(const double *)place(c, entity);
		if (isnan(real))
			buf_adds(b, "null");
		else
			json_repr(b, real);
		return;
	case AS_DICT:
	case AS_VALUE:
		buf_adds(b, text_of(c, entity) ? text_of(c, entity) : c->form == AS_DICT ? "{}" : "null");
		return;
	default:
		put_string(b, text_of(c, entity));
	}
}

/* The first column is the id, under the name given. */
static void
put_object(struct buf *b, const struct column *c, size_t n, const void *entity, const char *idkey)
{
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i ? ",\"" : "{\"");
		buf_adds(b, i ? c[i].name : idkey);
		buf_adds(b, "\":");
		put_value(b, &c[i], entity);
	}
	buf_addc(b, '}');
}

void
queue_print(struct buf *b, const struct queue *q)
{
	put_object(b, queue_columns, LEN(queue_columns), q, "queue_id");
}

void
show_task(struct buf *b, const struct task *t, const char *idkey)
{
	put_object(b, task_columns, LEN(task_columns), t, idkey);
}

void
queue_task_print(struct buf *b, const struct task *t)
{
	show_task(b, t, "task_id");
}

void
queue_worker_print(struct buf *b, const struct worker *w, const char *idkey)
{
	put_object(b, worker_columns, LEN(worker_columns), w, idkey);
}

/* ---- documents for filters ---- */

struct view {
	const struct column *column;
	size_t n;
	const void *entity;
	unsigned made;            /* a bit for each column that is there */
	struct {
		struct json v;
		struct json_doc *doc;     /* of a dict or value; else NULL */
		char text[NUMBER];
	} field[COLUMNS];
};

struct view *
view_new(void)
{
	return xcalloc(1, sizeof(struct view));
}

static void
view_set(struct view *v, const struct column *column, size_t n, const void *entity)
{
	for (size_t i = 0; v->made; i++, v->made >>= 1) {
		if (v->made & 1) {
			json_free(v->field[i].doc);
			v->field[i].doc = NULL;
		}
	}
	v->column = column;
	v->n = n;
	v->entity = entity;
}

void
view_free(struct view *v)
{
	if (!v)
		return;
	view_set(v, NULL, 0, NULL);
	free(v);
}

void
view_task(struct view *v, const struct task *t)
{
	view_set(v, task_columns, LEN(task_columns), t);
}

static void
view_worker(struct view *v, const struct worker *w)
{
	view_set(v, worker_columns, LEN(worker_columns), w);
}

static size_t
find_column(const struct column *c, size_t n, struct str name)
{
	size_t i = 0;

	if (str_is(name, "_id"))
		return 0;
	while (i < n && !str_is(name, c[i].name))
		i++;
	return i;
}

static void
set_text(struct json *v, enum json_type type, const char *s)
{
	if (s)
		*v = (struct json){.type = (unsigned char)type, .s = s, .len = strlen(s)};
}

/* Makes the field in v: a null, if nothing else. */
static void
make_field(struct view *w, size_t i)
{
	const struct column *c = &w->column[i];
	struct json *v = &w->field[i].v;
	char *text = w->field[i].text;
	struct buf b = {0};

	*v = (struct json){.type = JSON_NULL};
	switch (c->form) {
	case AS_ID:
	case AS_WORKER:
	case AS_TIME:
		set_text(v, JSON_STR, text_made(c, w->entity, text) ? text : NULL);
		v->tag = c->form == AS_TIME && v->type == JSON_STR ? TOML_DATETIME : 0;
		return;
	case AS_INT:
	case AS_REAL:
		put_value(&b, c, w->entity);
		if (b.p[0] != 'n' && b.len < NUMBER)
			set_text(v, JSON_NUM, memcpy(text, b.p, b.len + 1));
		buf_free(&b);
		return;
	case AS_DICT:
	case AS_VALUE:
		put_value(&b, c, w->entity);
		w->field[i].doc = json_parse(b.p, b.len, NULL);
		buf_free(&b);
		return;
	default:
		set_text(v, JSON_STR, text_of(c, w->entity));
	}
}

const struct json *
view_get(void *view, struct str name)
{
	struct view *v = view;
	size_t i = find_column(v->column, v->n, name);

	if (i == v->n)
		return NULL;
	if (!(v->made & 1u << i)) {
		make_field(v, i);
		v->made |= 1u << i;
	}
	return v->field[i].doc ? v->field[i].doc->root : &v->field[i].v;
}

/* ---- searches ---- */

/* What rows are sorted by: a column of integers or times, whose numbers are the order, or what a path leads to. */
struct sort {
	const struct column *column;     /* NULL: path */
	struct match_path *path;
	bool desc;
};
union key {
	int64_t num;
	const struct json *value;
};
struct row {
	const void *entity;
	int64_t seq;
	union key *key;
};
struct page {
	const struct search *in;
	struct view *view;
	struct sort sort[SORTS];
	size_t sorts;
	struct row *row;                 /* a heap; behind the rows that are wanted one more, the next to be looked at */
	union key *keys;
	size_t n, want;
	struct merge merge;
	struct task *seen;               /* all before it in the order of merge have been looked at; NULL: none */
	struct json_doc *doc;            /* of the values that rows are sorted by */
};

static int
add_sort(struct page *p, const struct column *c, size_t n, struct str name, bool desc, struct err *e)
{
	struct sort *s = &p->sort[p->sorts];
	size_t i = find_column(c, n, name);

	if (p->sorts == SORTS)
		return err_set(e, 400, "sort: more than %d fields", SORTS);
	s->desc = desc;
	s->column = i < n && (c[i].form == AS_INT || c[i].form == AS_TIME) ? &c[i] : NULL;
	if (!s->column && !(s->path = match_path_new(name)))
		return err_set(e, 400, "sort: a field of too many parts");
	p->sorts++;
	return 0;
}

static void
page_close(struct page *p)
{
	for (size_t i = 0; i < p->sorts; i++)
		match_path_free(p->sort[i].path);
	free(p->row);
	free(p->keys);
	merge_free(&p->merge);
	view_free(p->view);
	json_free(p->doc);
}

/* The order of a sort, as laxly as it is checked: -1, -1.0 or "-1" is descending. */
static bool
descends(const struct json *order)
{
	return order->type == JSON_STR ? memchr(order->s, '-', order->len) != NULL : json_num(order) < 0;
}

/* For at most so many rows. */
static int
page_open(struct page *p, const struct search *in, const struct column *c, size_t n, size_t rows, struct err *e)
{
	size_t want = in->limit < 0 || in->offset < 0 || (uint64_t)in->offset >= rows ? 0 : rows;

	*p = (struct page){.in = in, .view = view_new(), .doc = json_new()};
	if (want && (uint64_t)in->limit < rows - (uint64_t)in->offset)
		want = (size_t)(in->offset + in->limit);
	for (const struct json *m = in->sort ? in->sort->head : NULL; m; m = m->next) {
		if (add_sort(p, c, n, (struct str){m->head->s, m->head->len}, descends(m->tail), e) < 0)
			goto bad;
	}
	if (!p->sorts)
		add_sort(p, c, n, str_of("last_modified"), false, e);
	p->want = want;
	p->row = xcalloc(want + 1, sizeof *p->row);
	p->keys = xcalloc(want + 1, p->sorts * sizeof *p->keys);
	for (size_t i = 0; i <= want; i++)
		p->row[i].key = p->keys + i * p->sorts;
	return 0;
bad:
	page_close(p);
	return -1;
}

static int
row_order(const struct page *p, const struct row *a, const struct row *b)
{
	for (size_t i = 0; i < p->sorts; i++) {
		union key x = a->key[i], y = b->key[i];
		int c = p->sort[i].column ? (x.num > y.num) - (x.num < y.num) : value_compare(x.value, y.value);

		if (c)
			return p->sort[i].desc ? -c : c;
	}
	return (a->seq > b->seq) - (a->seq < b->seq);
}

static void
swap(struct page *p, size_t i, size_t k)
{
	struct row r = p->row[i];

	p->row[i] = p->row[k];
	p->row[k] = r;
}

static void
sift_up(struct page *p, size_t i)
{
	for (; i && row_order(p, &p->row[i], &p->row[(i - 1) / 2]) > 0; i = (i - 1) / 2)
		swap(p, i, (i - 1) / 2);
}

static void
sift_down(struct page *p, size_t n)
{
	for (size_t i = 0, k = 1; k < n; i = k, k = 2 * k + 1) {
		if (k + 1 < n && row_order(p, &p->row[k + 1], &p->row[k]) > 0)
			k++;
		if (row_order(p, &p->row[k], &p->row[i]) <= 0)
			return;
		swap(p, i, k);
	}
}

/* The row is to stay while the view moves on. */
static void
keep_keys(struct page *p, struct row *r)
{
	for (size_t i = 0; i < p->sorts; i++)
		if (!p->sort[i].column && r->key[i].value)
			r->key[i].value = json_copy(p->doc, r->key[i].value);
}

/* Whether the entity, which the view looks at, comes onto the page, for now. */
static void
page_offer(struct page *p, const void *entity, int64_t seq)
{
	struct row *r = &p->row[p->want];

	if (!p->want || (p->in->filter && !match_test(p->in->filter, view_get, p->view)))
		return;
	r->entity = entity;
	r->seq = seq;
	for (size_t i = 0; i < p->sorts; i++) {
		const struct sort *s = &p->sort[i];

		if (s->column)
			r->key[i].num = number(s->column, entity);
		else
			r->key[i].value = match_key(s->path, s->desc, view_get, p->view);
	}
	if (p->n == p->want && row_order(p, r, &p->row[0]) > 0)
		return;
	keep_keys(p, r);
	if (p->n < p->want) {
		swap(p, p->n, p->want);
		sift_up(p, p->n++);
	} else {
		swap(p, 0, p->want);
		sift_down(p, p->n);
	}
}

/* Empties the heap from its end on; then the rows stand in their order. */
static void
page_sort(struct page *p)
{
	for (size_t n = p->n; n > 1; n--) {
		swap(p, 0, n - 1);
		sift_down(p, n - 1);
	}
}

static int64_t
page_print(struct page *p, struct buf *b, const struct column *c, size_t n)
{
	size_t from = p->want ? (size_t)p->in->offset : 0;

	page_sort(p);
	buf_addc(b, '[');
	for (size_t i = from; i < p->n; i++) {
		if (i > from)
			buf_addc(b, ',');
		put_object(b, c, n, p->row[i].entity, c->name);
	}
	buf_addc(b, ']');
	return p->n > from ? (int64_t)(p->n - from) : 0;
}

static bool
named(struct str wanted, const char *name)
{
	return !wanted.n || (name && str_is(wanted, name));
}

/* ---- where to look ---- */

typedef void each_task(void *ctx, struct task *t);

/* Each calls fn, unless that is NULL, for its tasks, and says how many there are. */
static size_t
by_id(struct queue *q, struct str text, each_task *fn, void *ctx)
{
	struct task *t = queue_task(q, text);

	if (t && fn)
		fn(ctx, t);
	return t != NULL;
}

static size_t
by_name(struct queue *q, struct str text, each_task *fn, void *ctx)
{
	const struct name *n = name_find(q->store, q, text);

	for (struct named *m = n && fn ? n->first : NULL; m; m = m->next)
		fn(ctx, m->task);
	return n ? n->count : 0;
}

static int
state_of(struct str text)
{
	int i = 0;

	while (i < TASK_STATES && !str_is(text, task_status[i]))
		i++;
	return i;
}

static size_t
by_status(struct queue *q, struct str text, each_task *fn, void *ctx)
{
	int i = state_of(text);

	if (i == TASK_STATES)
		return 0;
	for (struct task *t = fn ? q->in[i] : NULL; t; t = t->next_peer)
		fn(ctx, t);
	return q->count[i];
}

static size_t
all(struct queue *q, struct str text, each_task *fn, void *ctx)
{
	size_t n = 0;

	(void)text;
	for (struct task *t = fn ? q->first : NULL; t; t = t->next)
		fn(ctx, t);
	for (int i = 0; i < TASK_STATES; i++)
		n += q->count[i];
	return n;
}

/* The i-th text; false when it is that of the one before. */
static bool
text_at(const struct source *src, size_t i, struct str *text)
{
	const struct json *v = src->list ? src->list[i] : NULL;

	*text = v ? (struct str){v->s, v->len} : src->one;
	return !i || value_compare(src->list[i - 1], v);
}

/* Whether nothing but texts is wanted of the field. */
static bool
texts_of(const struct match *filter, const char *field, struct source *src)
{
	if (!filter || !match_pins(filter, field, &src->list, &src->n))
		return false;
	for (size_t i = 0; i < src->n; i++)
		if (value_kind(src->list[i]) != V_STR)
			return false;
	return true;
}

void
source_find(struct queue *q, const struct search *in, struct source *src)
{
	const struct {
		const char *field;
		struct str beside;
		size_t (*each)(struct queue *q, struct str text, each_task *fn, void *ctx);
	} ways[] = {
		{"_id", in->id, by_id}, {"task_id", {NULL, 0}, by_id}, {"task_name", in->name, by_name}, {"status", in->status, by_status},
	};

	*src = (struct source){.each = all, .n = 1, .rows = all(q, (struct str){0}, NULL, NULL)};
	for (size_t i = 0; i < LEN(ways); i++) {
		struct source s = {.each = ways[i].each, .one = ways[i].beside, .n = 1};
		struct str text;

		if (!s.one.n && !texts_of(in->filter, ways[i].field, &s))
			continue;
		for (size_t k = 0; k < s.n; k++)
			if (text_at(&s, k, &text))
				s.rows += s.each(q, text, NULL, NULL);
		if (s.rows < src->rows)
			*src = s;
	}
}

void
source_each(struct queue *q, const struct source *src, each_task *fn, void *ctx)
{
	struct str text;

	for (size_t i = 0; i < src->n; i++)
		if (text_at(src, i, &text))
			src->each(q, text, fn, ctx);
}

/* ---- searching ---- */

static void
offer_task(void *page, struct task *t)
{
	struct page *p = page;

	if ((p->seen && merge_before(&p->merge, t, p->seen)) || !named(p->in->name, t->v.name) || !named(p->in->status, task_status[t->v.status])
	    || (p->in->id.n && queue_task(t->queue, p->in->id) != t))
		return;
	view_task(p->view, t);
	page_offer(p, t, t->v.seq);
}

/* ---- in the order of fetching, or of changes ---- */

static const struct {
	size_t at;
	bool desc;
} fetching[] = {{T(v.priority), true}, {T(v.modified), false}, {T(v.created), false}};

/* Which of the two to walk in.  How many of the fields to sort by, from the first on, are those of that order. */
static size_t
choose_order(struct page *p)
{
	size_t i = 0;

	if (p->sort[0].column && p->sort[0].column->at == T(v.modified)) {
		p->merge.timed = true;
		p->merge.back = p->sort[0].desc;
		return 1;
	}
	while (i < p->sorts && i < LEN(fetching) && p->sort[i].column && p->sort[i].column->at == fetching[i].at
	    && p->sort[i].desc == fetching[i].desc)
		i++;
	return i;
}

/* The states that tasks can only be of, a bit for each. */
static unsigned
states_of(const struct search *in)
{
	struct source src = {.one = in->status, .n = 1};
	struct str text;
	unsigned states = 0;

	if (!src.one.n && !texts_of(in->filter, "status", &src))
		return ALL_STATES;
	for (size_t i = 0; i < src.n; i++) {
		text_at(&src, i, &text);
		states |= 1u << state_of(text);
	}
	return states;
}

/* Whether the page is full, and t and all that stands after it would come behind it. */
static bool
behind(const struct page *p, const struct task *t, size_t same)
{
	if (p->n < p->want)
		return false;
	for (size_t i = 0; i < same; i++)
		if (number(p->sort[i].column, t) != p->row[0].key[i].num)
			return true;
	return same == LEN(fetching) && same == p->sorts;
}

/* Where the orders of those states begin; false when there are too many. */
static bool
gather(struct page *p, struct queue *q, unsigned states, size_t most)
{
	for (int i = 0; i < TASK_STATES; i++)
		if (states & 1u << i)
			merge_add(&p->merge, &q->order[i], most);
	for (const struct shape *s = states & 1u << PENDING ? shapes_first(q->shapes) : NULL; s && p->merge.n < most; s = s->next)
		merge_add(&p->merge, s->index, most);
	return p->merge.n < most;
}

/* By priority alone, those of the same stand as they were created: looks at all in that order, until the page has none but of the
 * highest priority there is. */
static bool
walk_created(struct page *p, struct queue *q, size_t most)
{
	bool whole = gather(p, q, ALL_STATES, most);
	int64_t highest = whole ? p->merge.at[0]->v.priority : 0;

	for (struct task *t = whole ? q->first : NULL; t && (p->n < p->want || p->row[0].key->num < highest); t = t->next)
		offer_task(p, t);
	return whole;
}

/* Looks at the first "most" tasks.  Whether that was enough; else all the others are to be looked at. */
static bool
walk_order(struct page *p, struct queue *q, size_t same, size_t most)
{
	struct merge *m = &p->merge;
	bool whole = gather(p, q, states_of(p->in), most);

	for (; whole && m->n && !behind(p, m->at[0], same); merge_step(m)) {
		if (most--) {
			offer_task(p, m->at[0]);
			continue;
		}
		p->seen = m->at[0];
		break;
	}
	return whole && !p->seen;
}

/* Fills the page out of few of the tasks that there are in src.  False: the others are to be looked at. */
static bool
walk(struct page *p, struct queue *q, const struct source *src)
{
	size_t same = choose_order(p), most = src->rows / SHARE;

	if (!p->want)
		return true;
	if (p->want > most || !same)
		return false;
	if (same > 1 || p->merge.timed)
		return walk_order(p, q, same, most);
	return p->sorts == 1 && src->each == all && walk_created(p, q, most);
}

/* What is asked beside the filter, which is always the queue, replaces what that says of the same fields. */
static void
replace_fields(const struct search *in, const char *name)
{
	if (!in->filter)
		return;
	match_drop(in->filter, "queue_id");
	if (in->id.n)
		match_drop(in->filter, "_id");
	if (in->name.n)
		match_drop(in->filter, name);
	if (in->status.n)
		match_drop(in->filter, "status");
}

int64_t
queue_search(struct queue *q, const struct search *in, struct buf *b, struct err *e)
{
	struct source src;
	struct page p;
	int64_t n;

	replace_fields(in, "task_name");
	source_find(q, in, &src);
	if (page_open(&p, in, task_columns, LEN(task_columns), src.rows, e) < 0)
		return -1;
	if (!walk(&p, q, &src))
		source_each(q, &src, offer_task, &p);
	n = in->filter && match_spent(in->filter, e) < 0 ? -1 : page_print(&p, b, task_columns, LEN(task_columns));
	page_close(&p);
	return n;
}

static void
offer_worker(struct page *p, const struct worker *w)
{
	if (!named(p->in->name, w->v.name) || !named(p->in->status, worker_status[w->v.status]))
		return;
	view_worker(p->view, w);
	page_offer(p, w, w->v.seq);
}

int64_t
queue_worker_search(struct queue *q, const struct search *in, struct buf *b, struct err *e)
{
	const struct worker *one = in->id.n ? queue_worker(q, in->id) : NULL;
	size_t rows = 0;
	struct page p;
	int64_t n;

	replace_fields(in, "worker_name");
	for (const struct worker *w = in->id.n ? NULL : q->first_worker; w; w = w->next)
		rows++;
	if (page_open(&p, in, worker_columns, LEN(worker_columns), in->id.n ? one != NULL : rows, e) < 0)
		return -1;
	if (one)
		offer_worker(&p, one);
	for (const struct worker *w = in->id.n ? NULL : q->first_worker; w; w = w->next)
		offer_worker(&p, w);
	n = in->filter && match_spent(in->filter, e) < 0 ? -1 : page_print(&p, b, worker_columns, LEN(worker_columns));
	page_close(&p);
	return n;
}
