/* SPDX-License-Identifier: MIT */
/* show.c: the text of queues, tasks and workers; what filters see; searches against sorts that are plainly right. */
#include "../server/show.c"
#include "parse.h"
#include "test.h"

static struct store *store;
static struct queue *queue;

static struct now
at(int64_t second)
{
	return (struct now){.wall = second * 1000000, .mono = second * 1000000};
}

static void
make_id(uuid id, unsigned n)
{
	memset(id, 0, 16);
	id[0] = (unsigned char)(n >> 8);
	id[1] = (unsigned char)n;
	id[6] = 0x40;
	id[8] = 0x80;
	id[15] = 1;
}

static void
start(void)
{
	struct err e = {0};

	store = store_new();
	queue = queue_create(store, str_of("q"), "hash", NULL, at(1), &e);
	if (!queue)
		fprintf(stderr, "%s\n", e.msg), abort();
}

/* Task number n. */
static void
submit(unsigned n, const char *name, const char *args, int64_t priority, int64_t second)
{
	struct json_doc *d = parse(args);
	struct submit in = {.name = str_of(name), .args = d->root, .heartbeat_timeout = NAN, .max_retries = 3, .priority = priority};
	struct err e = {0};
	uuid id;

	make_id(in.fresh, n);
	if (queue_submit(store, queue, &in, at(second), id, &e) < 0)
		fprintf(stderr, "%s\n", e.msg), abort();
	json_free(d);
}

/* The numbers of the tasks that a search finds, or its error. */
static const char *
found(const struct search *base, const char *filter, const char *sort)
{
	static struct buf out;
	struct json_doc *f = filter ? parse(filter) : NULL, *s = sort ? parse(sort) : NULL;
	struct search in = *base;
	struct match *m = NULL;
	struct buf b = {0};
	struct err e = {0};
	int64_t n;

	buf_reserve(&out, 0);
	buf_clear(&out);
	if (f)
		m = match_new(f->root, &e);
	check(!f || m, "%s: %s", filter, e.msg);
	in.filter = m;
	in.sort = s ? s->root : NULL;
	n = queue_search(queue, &in, &b, &e);
	if (n < 0) {
		buf_printf(&out, "%d", e.code);
	} else {
		struct json_doc *d = parse(b.p);

		check((int64_t)d->root->len == n, "%d are counted, %d are there", (int)n, (int)d->root->len);
		for (const struct json *t = d->root->head; t; t = t->next) {
			uuid id;

			uuid_parse(str_of(json_gets(t, "task_id")->s), id);
			buf_printf(&out, out.len ? " %d" : "%d", id[0] << 8 | id[1]);
		}
		json_free(d);
	}
	buf_free(&b);
	match_free(m);
	json_free(f);
	json_free(s);
	return out.p;
}

static void
is(const char *got, const char *want, const char *what)
{
	check(!strcmp(got, want), "%s:\n  %s\nnot\n  %s", what, got, want);
}

static void
test_print(void)
{
	struct buf b = {0};
	struct json_doc *d = parse("{\"gpu\":1}");
	struct fetch in = {.has_worker = true, .start_heartbeat = true, .heartbeat_timeout = 60, .has_eta = true, .task_timeout = 90};
	struct task *t;
	struct err e = {0};
	char want[1000];

	start();
	queue_print(&b, queue);
	snprintf(want, sizeof want, "{\"queue_id\":\"%s\",\"queue_name\":\"q\",\"created_at\":\"1970-01-01T00:00:01.000000Z\","
	    "\"last_modified\":\"1970-01-01T00:00:01.000000Z\",\"metadata\":{}}", queue->id);
	is(b.p, want, "a queue");

	buf_clear(&b);
	submit(1, NULL, "{\"b\":1.50,\"a\":{\"x\":\"\\\"\"}}", -5, 2);
	t = queue_task(queue, str_of("00010000-0000-4000-8000-000000000001"));
	queue_task_print(&b, t);
	snprintf(want, sizeof want, "{\"task_id\":\"00010000-0000-4000-8000-000000000001\",\"queue_id\":\"%s\",\"status\":\"pending\","
	    "\"task_name\":null,\"created_at\":\"1970-01-01T00:00:02.000000Z\",\"start_time\":null,\"last_heartbeat\":null,"
	    "\"last_modified\":\"1970-01-01T00:00:02.000000Z\",\"heartbeat_timeout\":null,\"task_timeout\":null,\"max_retries\":3,"
	    "\"retries\":0,\"priority\":-5,\"metadata\":{},\"args\":{\"b\":1.50,\"a\":{\"x\":\"\\\"\"}},\"cmd\":\"\",\"summary\":{},"
	    "\"worker_id\":null}", queue->id);
	is(b.p, want, "a task");

	make_id(in.worker, 7);
	buf_clear(&b);
	queue_worker_create(store, queue, str_of("w-1"), d->root, 3, in.worker, at(3), &e);
	queue_worker_print(&b, queue_worker(queue, str_of("00070000-0000-4000-8000-000000000001")), "_id");
	snprintf(want, sizeof want, "{\"_id\":\"00070000-0000-4000-8000-000000000001\",\"queue_id\":\"%s\",\"status\":\"active\","
	    "\"worker_name\":\"w-1\",\"metadata\":{\"gpu\":1},\"retries\":0,\"max_retries\":3,"
	    "\"created_at\":\"1970-01-01T00:00:03.000000Z\",\"last_modified\":\"1970-01-01T00:00:03.000000Z\"}", queue->id);
	is(b.p, want, "a worker");

	buf_clear(&b);
	check(queue_fetch(store, queue, &in, at(4), &t, &e) == 1, "fetched: %s", e.msg);
	queue_task_print(&b, t);
	check(strstr(b.p, "\"status\":\"running\"") && strstr(b.p, "\"start_time\":\"1970-01-01T00:00:04.000000Z\"")
	    && strstr(b.p, "\"last_heartbeat\":\"1970-01-01T00:00:04.000000Z\"") && strstr(b.p, "\"heartbeat_timeout\":60.0,")
	    && strstr(b.p, "\"task_timeout\":90,") && strstr(b.p, "\"cmd\":null")
	    && strstr(b.p, "\"worker_id\":\"00070000-0000-4000-8000-000000000001\"}"), "a running task: %s", b.p);
	json_free(d);
	buf_free(&b);
	store_free(store);
}

static void
test_search(void)
{
	static const struct {
		struct search in;
		const char *filter, *sort, *want;
	} rows[] = {
		{{.limit = 100}, NULL, NULL, "1 2 3 4 5 6"},
		{{.limit = 100}, NULL, "[]", "1 2 3 4 5 6"},
		{{.limit = 2}, NULL, NULL, "1 2"},
		{{.limit = 2, .offset = 3}, NULL, NULL, "4 5"},
		{{.limit = 2, .offset = 5}, NULL, NULL, "6"},
		{{.limit = 2, .offset = 6}, NULL, NULL, ""},
		{{.limit = INT64_MAX, .offset = 4}, NULL, NULL, "5 6"},
		{{.limit = INT64_MAX, .offset = INT64_MAX}, NULL, NULL, ""},
		{{.limit = 0}, NULL, NULL, ""},
		{{.limit = 100}, NULL, "[[\"priority\",-1],[\"created_at\",1]]", "3 4 1 2 5 6"},
		{{.limit = 100}, NULL, "[[\"priority\",1]]", "6 1 2 5 3 4"},
		{{.limit = 3, .offset = 1}, NULL, "[[\"priority\",1]]", "1 2 5"},
		{{.limit = 100}, NULL, "[[\"created_at\",-1]]", "6 5 3 4 1 2"},
		{{.limit = 100}, NULL, "[[\"args.x\",1]]", "6 2 5 1 3 4"},
		{{.limit = 100}, NULL, "[[\"args.x\",-1]]", "4 3 1 5 2 6"},
		{{.limit = 3}, NULL, "[[\"args.x\",-1]]", "4 3 1"},
		{{.limit = 100}, NULL, "[[\"task_name\",1],[\"task_id\",-1]]", "5 1 6 4 3 2"},
		{{.limit = 100}, NULL, "[[\"_id\",-1]]", "6 5 4 3 2 1"},
		{{.limit = 100}, NULL, "[[\"nothing\",-1]]", "1 2 3 4 5 6"},
		{{.limit = 100}, NULL, "[[\"start_time\",1]]", "1 2 3 4 5 6"},
		{{.limit = 100, .name = {"b", 1}}, NULL, NULL, "2 3 4"},
		{{.limit = 100, .name = {"", 0}}, NULL, NULL, "1 2 3 4 5 6"},
		{{.limit = 100, .name = {"B", 1}}, NULL, NULL, ""},
		{{.limit = 100, .id = {"00030000-0000-4000-8000-000000000001", 36}}, NULL, NULL, "3"},
		{{.limit = 100, .id = {"00030000-0000-4000-8000-000000000001", 36}, .name = {"a", 1}}, NULL, NULL, ""},
		{{.limit = 100, .id = {"00030000-0000-4000-8000-000000000001", 36}, .offset = 1}, NULL, NULL, ""},
		{{.limit = 100, .id = {"00090000-0000-4000-8000-000000000001", 36}}, NULL, NULL, ""},
		{{.limit = 100, .id = {"3", 1}}, NULL, NULL, ""},
		{{.limit = 100, .status = {"pending", 7}}, NULL, NULL, "1 2 3 4 5 6"},
		{{.limit = 100, .status = {"success", 7}}, NULL, NULL, ""},
		{{.limit = 100, .status = {"pending", 7}, .offset = 2}, NULL, "[[\"priority\",-1]]", "1 2 5 6"},
		{{.limit = 100}, "{\"args.x\":{\"$gte\":2}}", NULL, "1 3"},
		{{.limit = 1, .offset = 1}, "{\"args.x\":{\"$gte\":2}}", NULL, "3"},
		{{.limit = 100}, "{\"task_id\":\"00030000-0000-4000-8000-000000000001\"}", NULL, "3"},
		{{.limit = 100}, "{\"_id\":\"00030000-0000-4000-8000-000000000001\"}", NULL, "3"},
		{{.limit = 100}, "{\"worker_id\":null,\"start_time\":null,\"heartbeat_timeout\":null}", NULL, "1 2 3 4 5 6"},
		{{.limit = 100}, "{\"worker_id\":{\"$exists\":false}}", NULL, ""},
		{{.limit = 100}, "{\"nothing\":{\"$exists\":false}}", NULL, "1 2 3 4 5 6"},
		{{.limit = 100}, "{\"status\":\"pending\",\"retries\":0,\"cmd\":\"\",\"summary\":{},\"max_retries\":3}", NULL, "1 2 3 4 5 6"},
		{{.limit = 100}, "{\"created_at\":{\"$gt\":{\"_dt\":\"1970-01-01T00:00:10Z\"}}}", NULL, "3 4 5 6"},
		{{.limit = 100}, "{\"priority\":{\"$in\":[10,11]},\"task_name\":\"b\"}", NULL, "2"},
		{{.limit = 100}, "{\"queue_id\":\"x\",\"task_name\":\"b\"}", NULL, "2 3 4"},
		{{.limit = 100}, "{\"$and\":[{\"queue_id\":\"x\"}]}", NULL, ""},
		{{.limit = 100, .status = {"pending", 7}}, "{\"status\":\"failed\",\"task_name\":{\"$gt\":\"a\",\"$lt\":\"b\"}}", NULL, "6"},
		{{.limit = 100, .name = {"b", 1}}, "{\"task_name\":{\"$in\":[\"a\"]},\"priority\":20}", NULL, "3 4"},
		{{.limit = 100, .id = {"00030000-0000-4000-8000-000000000001", 36}}, "{\"_id\":\"x\"}", NULL, "3"},
		{{.limit = 100, .id = {"00030000-0000-4000-8000-000000000001", 36}}, "{\"task_id\":\"x\"}", NULL, ""},
		{{.limit = 100}, "{\"$or\":[{\"args.x\":{\"$regex\":\"^te\"}},{\"$expr\":{\"$lt\":[{\"$multiply\":[\"$priority\",2]},20]}}]}", NULL, "4 6"},
	};
	struct buf many = {0};

	start();
	submit(1, "a", "{\"x\":2}", 10, 10);
	submit(2, "b", "{\"x\":-1}", 10, 10);
	submit(3, "b", "{\"x\":[7,3]}", 20, 20);
	submit(4, "b", "{\"x\":\"text\"}", 20, 20);
	submit(5, "a", "{\"x\":1.5}", 10, 30);
	submit(6, "a-a", "{\"y\":1}", 5, 40);
	for (size_t i = 0; i < LEN(rows); i++) {
		char what[30];

		snprintf(what, sizeof what, "search %d", (int)i);
		is(found(&rows[i].in, rows[i].filter, rows[i].sort), rows[i].want, what);
	}
	for (int i = 0; i < 33; i++)
		buf_adds(&many, i ? ",[\"a\",1]" : "[[\"a\",1]");
	buf_addc(&many, ']');
	is(found(&(struct search){.limit = 9}, NULL, many.p), "400", "33 fields");
	buf_free(&many);
	store_free(store);
}

/* Null and what is missing are the same, an empty array comes before them. */
static void
test_nothing(void)
{
	start();
	submit(1, NULL, "{\"x\":null}", 10, 10);
	submit(2, NULL, "{\"y\":1}", 10, 10);
	submit(3, NULL, "{\"x\":[]}", 10, 10);
	submit(4, NULL, "{\"x\":null}", 10, 10);
	submit(5, NULL, "{\"x\":[]}", 10, 10);
	is(found(&(struct search){.limit = 9}, NULL, "[[\"args.x\",1]]"), "3 5 1 2 4", "nothing, up");
	is(found(&(struct search){.limit = 9}, NULL, "[[\"args.x\",-1]]"), "1 2 4 3 5", "nothing, down");
	store_free(store);
}

static void
test_workers(void)
{
	static const char *const names[] = {"b", NULL, "a"};
	struct search in = {.limit = 10, .status = str_of("active")};
	struct json_doc *f, *d;
	struct err e = {0};
	struct buf b = {0};
	uuid id;

	start();
	for (unsigned i = 0; i < LEN(names); i++) {
		make_id(id, i);
		queue_worker_create(store, queue, str_of(names[i]), NULL, 3, id, at(5), &e);
	}
	queue_worker_set(store, queue, str_of("00010000-0000-4000-8000-000000000001"), SUSPENDED, at(6), &e);
	check(queue_worker_search(queue, &in, &b, &e) == 2, "two are active: %s", b.p);
	d = parse(b.p);
	check(str_is(str_of(json_gets(d->root->head, "worker_id")->s), "00000000-0000-4000-8000-000000000001"), "the first: %s", b.p);
	json_free(d);
	buf_clear(&b);
	in = (struct search){.limit = 10, .id = str_of("00010000-0000-4000-8000-000000000001")};
	check(queue_worker_search(queue, &in, &b, &e) == 1 && strstr(b.p, "\"suspended\""), "by id: %s", b.p);
	buf_clear(&b);
	f = parse("{\"worker_id\":\"00020000-0000-4000-8000-000000000001\",\"worker_name\":\"a\"}");
	in = (struct search){.limit = 10, .filter = match_new(f->root, &e)};
	check(queue_worker_search(queue, &in, &b, &e) == 1 && strstr(b.p, "\"a\""), "by filter: %s", b.p);
	match_free((struct match *)in.filter);
	json_free(f);
	buf_free(&b);
	store_free(store);
}

/* Pages of many tasks, sorted by what has many ties, against a sort by insertion. */
enum { MANY = 700 };
static int64_t priority[MANY], second[MANY];

static bool
before(unsigned a, unsigned b)
{
	if (priority[a] != priority[b])
		return priority[a] > priority[b];
	if (second[a] != second[b])
		return second[a] < second[b];
	return a < b;
}

static void
test_many(void)
{
	unsigned order[MANY];
	uint32_t x = 12345;

	start();
	for (unsigned i = 0; i < MANY; i++) {
		unsigned k = i;
		char args[30];

		x = x * 1103515245u + 12345u;
		priority[i] = (int64_t)(x >> 20) % 5;
		second[i] = (int64_t)(x >> 10) % 9;
		snprintf(args, sizeof args, "{\"p\":[%d]}", (int)priority[i]);
		submit(i, NULL, args, priority[i], second[i]);
		for (; k && before(i, order[k - 1]); k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
	for (unsigned offset = 0; offset < MANY + 100; offset += 61) {
		for (unsigned limit = 1; limit < 2 * MANY; limit *= 3) {
			struct search in = {.limit = limit, .offset = offset};
			struct buf want = {0};

			buf_addc(&want, ' ');
			for (unsigned i = offset; i < offset + limit && i < MANY; i++)
				buf_printf(&want, want.len > 1 ? " %u" : "%u", order[i]);
			is(found(&in, NULL, "[[\"priority\",-1],[\"last_modified\",1]]"), want.p + 1, "a page");
			is(found(&in, "{\"args.p\":{\"$lt\":9}}", "[[\"args.p\",-1],[\"last_modified\",1]]"), want.p + 1, "by a path");
			buf_free(&want);
		}
	}
	store_free(store);
}

static void
count_task(void *n, struct task *t)
{
	(void)t;
	++*(size_t *)n;
}

/* How few tasks are looked at. */
static void
test_sources(void)
{
	static const struct {
		struct search in;
		const char *filter;
		size_t rows;
	} rows[] = {
		{{.limit = 0}, NULL, 100},
		{{.name = {"n3", 2}}, NULL, 10},
		{{.name = {"n3", 2}, .status = {"failed", 6}}, NULL, 0},
		{{.name = {"none", 4}}, NULL, 0},
		{{.id = {"00030000-0000-4000-8000-000000000001", 36}}, NULL, 1},
		{{.status = {"pending", 7}}, NULL, 100},
		{{.status = {"running", 7}}, NULL, 0},
		{{.limit = 0}, "{\"args.x\":1}", 100},
		{{.limit = 0}, "{\"args.x\":1,\"task_name\":\"n3\"}", 10},
		{{.limit = 0}, "{\"$and\":[{\"args.x\":1},{\"$and\":[{\"task_name\":{\"$eq\":\"n3\",\"$gt\":\"n\"}}]}]}", 10},
		{{.limit = 0}, "{\"task_name\":{\"$in\":[\"n4\",\"n3\",\"n4\",\"x\"]}}", 20},
		{{.limit = 0}, "{\"task_name\":{\"$in\":[\"n4\",null]}}", 100},
		{{.limit = 0}, "{\"task_name\":{\"$in\":[\"n4\",{\"$regex\":\"x\"}]}}", 100},
		{{.limit = 0}, "{\"task_name\":null}", 100},
		{{.limit = 0}, "{\"task_name\":{\"$ne\":\"n4\"}}", 100},
		{{.limit = 0}, "{\"task_name\":{\"$not\":{\"$eq\":\"n4\"}}}", 100},
		{{.limit = 0}, "{\"$or\":[{\"task_name\":\"n3\"},{\"args.x\":1}]}", 100},
		{{.limit = 0}, "{\"$or\":[{\"task_name\":\"n3\"}]}", 10},
		{{.limit = 0}, "{\"$nor\":[{\"task_name\":\"n3\"}]}", 100},
		{{.limit = 0}, "{\"task_name.x\":\"n3\"}", 100},
		{{.limit = 0}, "{\"args.task_name\":\"n3\"}", 100},
		{{.limit = 0}, "{\"status\":{\"$in\":[\"failed\",\"running\"]}}", 0},
		{{.limit = 0}, "{\"_id\":\"00030000-0000-4000-8000-000000000001\"}", 1},
		{{.limit = 0}, "{\"task_id\":{\"$in\":[\"00030000-0000-4000-8000-000000000001\",\"00040000-0000-4000-8000-000000000001\",\"x\"]}}", 2},
		{{.limit = 0}, "{\"task_name\":\"n3\",\"task_id\":\"00030000-0000-4000-8000-000000000001\"}", 1},
		{{.limit = 0}, "{\"args\":{\"$elemMatch\":{\"task_name\":\"n3\"}}}", 100},
	};
	char name[20];

	start();
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "n%u", i % 10);
		submit(i, name, "{\"x\":1}", 10, 10);
	}
	for (size_t i = 0; i < LEN(rows); i++) {
		struct json_doc *f = rows[i].filter ? parse(rows[i].filter) : NULL;
		struct search in = rows[i].in;
		struct source src;
		size_t n = 0;

		in.filter = f ? match_new(f->root, NULL) : NULL;
		source_find(queue, &in, &src);
		source_each(queue, &src, count_task, &n);
		check(src.rows == rows[i].rows && n == src.rows, "row %d, %s: %d rows, %d tasks", (int)i, rows[i].filter, (int)src.rows, (int)n);
		match_free(in.filter);
		json_free(f);
	}
	store_free(store);
}

/* Names that tasks get, change and lose. */
static void
test_names(void)
{
	static const char *const names[] = {"a", "b", "c", NULL};
	enum { TASKS = 20 };
	size_t has[TASKS], many = 0;
	uint32_t x = 7;

	start();
	for (unsigned i = 0; i < TASKS; i++) {
		submit(i, "a", "{\"x\":1}", 1, 1);
		has[i] = 0;
	}
	for (int step = 0; step < 2000; step++) {
		unsigned i, to;
		struct err e = {0};
		struct buf b = {0};
		struct json_doc *d;
		struct task *t;
		char id[37];
		uuid raw;

		x = x * 1103515245u + 12345u;
		i = (x >> 16) % TASKS;
		to = (x >> 24) % LEN(names);
		make_id(raw, i);
		uuid_print(raw, id);
		if ((x >> 10) % 4 == 0) {
			check(!queue_task_delete(store, queue, str_of(id), at(5), &e), "deleted");
			submit(i, "b", "{\"x\":1}", 1, 1 + 90000 * (step + 1));   /* an id is kept for a day */
			to = 1;
		} else {
			buf_printf(&b, "{\"task_id\":\"%s\",\"task_name\":", id);
			buf_printf(&b, names[to] ? "\"%s\"}" : "null}", names[to]);
			d = parse(b.p);
			check(!queue_task_update(store, queue, d->root, false, NULL, at(5), &t, &e), "renamed: %s", e.msg);
			json_free(d);
			buf_free(&b);
		}
		has[i] = to;
		for (size_t k = 0; names[k]; k++) {
			const struct name *n = name_find(store, queue, str_of(names[k]));
			size_t count = 0, want = 0;

			for (const struct named *m = n ? n->first : NULL; m; m = m->next)
				count += !strcmp(m->task->v.name, names[k]) && m->task->named == m && m->name == n;
			for (size_t j = 0; j < TASKS; j++)
				want += has[j] == k;
			many += count == want && (n ? n->count : 0) == want;
		}
	}
	check(many == 3 * 2000, "%d of 6000 counts are right", (int)many);
	while (queue->first)
		state_drop_task(store, queue->first, at(9));
	check(!store->names.n, "%d names are left", (int)store->names.n);
	store_free(store);
}

static int
fetch(const char *filter, const char *required)
{
	struct json_doc *f = parse(filter), *r = required ? parse(required) : NULL;
	struct match *m = match_new(f->root, NULL);
	struct fetch in = {.start_heartbeat = true, .heartbeat_timeout = NAN, .filter = m, .required = r ? r->root : NULL};
	struct err e = {0};
	struct task *t;
	int rc = queue_fetch(store, queue, &in, at(50), &t, &e);

	match_free(m);
	json_free(f);
	json_free(r);
	return rc <= 0 ? -1 : t->node.id[0] << 8 | t->node.id[1];
}

/* What few can be is fetched though many stand before it, in the order of all. */
static void
test_fetch(void)
{
	start();
	for (unsigned i = 0; i < 1000; i++)
		submit(i, i % 250 == 249 ? "rare" : "common", i % 2 ? "{\"x\":1}" : "{\"y\":1}", i == 749 ? 20 : 10, 10 + i);
	check(fetch("{\"task_name\":\"rare\"}", "[\"x\"]") == 749, "the first by priority");
	check(fetch("{\"task_name\":\"rare\"}", "[\"x\"]") == 249, "the next by time");
	check(fetch("{\"task_name\":\"rare\"}", "[\"y\"]") == -1, "none of another shape");
	check(fetch("{\"task_name\":\"common\"}", "[\"y\"]") == 0, "the first of many");
	check(fetch("{\"$and\":[{\"task_id\":\"01f40000-0000-4000-8000-000000000001\"}]}", NULL) == 500, "by id");
	check(fetch("{\"task_id\":\"01f40000-0000-4000-8000-000000000001\"}", NULL) == -1, "not again: it runs");
	check(fetch("{\"task_id\":\"f1f40000-0000-4000-8000-000000000001\"}", NULL) == -1, "no such task");
	check(fetch("{\"status\":\"running\"}", NULL) == -1, "those that run are not fetched");
	check(fetch("{\"task_name\":{\"$in\":[\"rare\",\"none\"]}}", NULL) == 499, "in a list");
	store_free(store);
}

/* ---- searches in the order of fetching, against one that looks at every task ---- */

enum { SOME = 600 };
static uint32_t dice = 1;

static unsigned
roll(unsigned n)
{
	dice = dice * 1103515245u + 12345u;
	return (dice >> 8) % n;
}

/* Few moments, so that many tasks are of the same, and not one after the other. */
static struct now
some_time(void)
{
	return at(100 + roll(40));
}

static struct str
some_task(char text[37])
{
	uuid id;

	make_id(id, roll(SOME));
	uuid_print(id, text);
	return (struct str){text, 36};
}

static void
change_one(void)
{
	static const char *const set[] = {
		"\"status\":\"cancelled\"", "\"status\":\"pending\"", "\"status\":\"running\"", "\"priority\":1", "\"priority\":3",
		"\"args\":{\"z\":1}", "\"task_name\":\"b\"", "\"status\":\"success\",\"priority\":0",
	};
	struct fetch fetch = {.start_heartbeat = roll(2), .has_eta = true, .task_timeout = 10, .heartbeat_timeout = 5};
	struct report report = {.status = (enum status)(SUCCESS + roll(3))};
	struct json_doc *d;
	struct buf b = {0};
	struct task *t;
	struct err e = {0};
	char id[37];

	some_task(id);
	switch (roll(9)) {
	case 0:
	case 1:
	case 2:
		queue_fetch(store, queue, &fetch, some_time(), &t, &e);
		break;
	case 3:
	case 4:
	case 5:
		queue_report(store, queue, str_of(id), &report, some_time(), &e);
		break;
	case 6:
		buf_printf(&b, "{\"task_id\":\"%s\",%s}", id, set[roll(LEN(set))]);
		d = parse(b.p);
		queue_task_update(store, queue, d->root, !roll(4), NULL, some_time(), &t, &e);
		json_free(d);
		buf_free(&b);
		break;
	case 7:
		queue_heartbeat(store, queue, str_of(id), (struct str){0}, NULL, some_time(), &e);
		break;
	default:
		if (!roll(4))
			queue_task_delete(store, queue, str_of(id), some_time(), &e);
		if (!roll(4))
			queue_expire(store, some_time());
	}
}

/* Another store, out of what a dump tells of this. */
static void
restart(void)
{
	struct store *new = store_new();
	struct buf b = {0}, also = {0};
	struct err e = {0};

	queue_dump_open(store, &also);
	while (!queue_dump(store, &b, 1 << 20, at(200)))
		;
	queue_dump_close(store);
	for (char *p = b.p, *end; *p; p = end + 1) {
		end = strchr(p, '\n');
		check(!queue_apply(new, p, (size_t)(end - p), at(200), &e), "a record: %s", e.msg);
	}
	store_free(store);
	store = new;
	queue = queue_find(store, str_of("q"));
	buf_free(&b);
	buf_free(&also);
}

static void
look(bool all_of_them, const struct search *base, const char *filter, const char *sort, struct buf *b)
{
	struct json_doc *f = filter ? parse(filter) : NULL, *s = parse(sort);
	struct search in = *base;
	struct source src;
	struct page p;

	in.filter = f ? match_new(f->root, NULL) : NULL;
	in.sort = s->root;
	if (!all_of_them) {
		check(queue_search(queue, &in, b, NULL) >= 0, "a search");
	} else {
		replace_fields(&in, "task_name");
		source_find(queue, &(struct search){.limit = 1}, &src);
		page_open(&p, &in, task_columns, LEN(task_columns), src.rows, NULL);
		source_each(queue, &src, offer_task, &p);
		page_print(&p, b, task_columns, LEN(task_columns));
		page_close(&p);
	}
	match_free(in.filter);
	json_free(f);
	json_free(s);
}

static void
compare_one(void)
{
	static const char *const sorts[] = {
		"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]", "[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]",
		"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1],[\"_id\",-1]]", "[[\"priority\",-1],[\"last_modified\",1]]",
		"[[\"priority\",-1]]", "[[\"priority\",-1]]", "[[\"priority\",-1],[\"last_modified\",1],[\"args.x\",1]]",
		"[[\"priority\",-1],[\"last_modified\",-1]]", "[[\"priority\",-1],[\"args.x\",1],[\"last_modified\",1]]",
		"[[\"priority\",-1],[\"created_at\",1],[\"last_modified\",1]]", "[[\"priority\",1],[\"last_modified\",1],[\"created_at\",1]]",
		"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",-1]]", "[[\"last_modified\",1],[\"created_at\",1]]",
		"[[\"priority\",-1],[\"priority\",-1],[\"last_modified\",1]]", "[]", "[]", "[[\"last_modified\",-1]]",
		"[[\"last_modified\",-1],[\"created_at\",1]]", "[[\"last_modified\",1],[\"priority\",1]]",
	};
	static const char *const filters[] = {
		NULL, NULL, NULL, "{\"args.x\":1}", "{\"args.x\":{\"$gt\":7}}", "{\"args.n\":1}", "{\"status\":\"success\"}",
		"{\"status\":{\"$in\":[\"pending\",\"failed\",\"none\",\"failed\"]}}",
		"{\"$and\":[{\"status\":\"running\"},{\"status\":\"failed\"}]}",
		"{\"$or\":[{\"status\":\"running\"},{\"args.x\":2}]}", "{\"task_name\":\"b\"}", "{\"priority\":{\"$lt\":2}}",
		"{\"task_name\":\"a\",\"status\":{\"$ne\":\"success\"}}",
	};
	static const char *const states[] = {"", "", "", "pending", "running", "success", "failed", "cancelled", "none"};
	static const char *const names[] = {"", "", "", "a"};
	const char *filter = filters[roll(LEN(filters))], *sort = sorts[roll(LEN(sorts))];
	struct search in = {.limit = 1 + roll(roll(8) ? 8 : SOME), .offset = roll(2) ? 0 : roll(roll(8) ? 20 : 2 * SOME)};
	struct buf got = {0}, want = {0};

	in.status = str_of(states[roll(LEN(states))]);
	in.name = str_of(names[roll(LEN(names))]);
	look(false, &in, filter, sort, &got);
	look(true, &in, filter, sort, &want);
	check(!strcmp(got.p, want.p), "by %s, %s, status '%s', name '%s', from %d, %d:\n  %s\nnot\n  %s", sort, filter ? filter : "all",
	    in.status.p, in.name.p, (int)in.offset, (int)in.limit, got.p, want.p);
	buf_free(&got);
	buf_free(&want);
}

static void
test_order(void)
{
	static const char *const names[] = {"a", "a", "a", "b", NULL}, *const args[] = {
		"{\"x\":1}", "{\"x\":2,\"y\":1}", "{\"x\":8}", "{}",
	};

	for (unsigned round = 0; round < 8; round++) {
		start();
		for (unsigned i = 0; i < SOME; i++)
			submit(i, names[roll(LEN(names))], args[roll(LEN(args))], roll(round % 4 + 1), 100 + roll(40));
		for (int step = 0; step < 1500; step++) {
			change_one();
			if (step % 700 == 600)
				restart();
			for (int i = 0; i < 20 && step % 50 == 0; i++)
				compare_one();
		}
		if (round % 2)
			queue_delete(store, queue, at(200));
		store_free(store);
	}
}

/* When few tasks are looked at. */
static void
test_walk(void)
{
	static const struct {
		const char *sort, *filter, *status;
		int limit, offset;
		bool few;
	} rows[] = {
		{"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]", NULL, "", 5, 0, true},
		{"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]", NULL, "", 5, 10, true},
		{"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]", NULL, "", 5, 200, false},
		{"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]", NULL, "success", 5, 0, true},
		{"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]", NULL, "failed", 5, 0, true},
		{"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]", NULL, "cancelled", 2, 0, true},
		{"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]", "{\"status\":\"success\"}", "", 5, 0, true},
		{"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]", "{\"status\":{\"$ne\":\"success\"}}", "", 5, 0, true},
		{"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]", "{\"args.x\":0}", "", 5, 0, true},
		{"[[\"priority\",-1],[\"last_modified\",1],[\"created_at\",1]]", "{\"args.x\":9}", "", 5, 0, false},
		{"[[\"priority\",-1],[\"last_modified\",1]]", NULL, "", 5, 0, true},
		{"[[\"priority\",-1],[\"last_modified\",1],[\"args.x\",-1]]", NULL, "", 5, 0, true},
		{"[[\"priority\",-1],[\"last_modified\",-1]]", NULL, "", 5, 0, false},
		{"[[\"priority\",-1]]", NULL, "", 5, 0, true},
		{"[[\"priority\",-1]]", NULL, "success", 5, 0, false},
		{"[[\"priority\",-1],[\"args.x\",-1]]", NULL, "", 5, 0, false},
		{"[]", NULL, "", 5, 0, true},
		{"[]", NULL, "success", 5, 0, true},
		{"[]", NULL, "", 5, 100, false},
		{"[]", "{\"args.x\":9}", "", 5, 0, false},
		{"[[\"last_modified\",1]]", NULL, "", 5, 0, true},
		{"[[\"last_modified\",1]]", NULL, "", 5, 1000, true},
		{"[[\"last_modified\",-1]]", NULL, "", 5, 0, true},
		{"[[\"last_modified\",-1],[\"priority\",1]]", NULL, "cancelled", 2, 0, true},
		{"[[\"created_at\",1]]", NULL, "", 5, 0, false},
		{"[[\"last_modified\",1]]", NULL, "failed", 1, 0, true},
	};
	struct task *t;
	struct err e = {0};

	start();
	for (unsigned i = 0; i < 1000; i++)
		submit(i, NULL, i % 2 ? "{\"x\":1}" : "{\"x\":0}", 10, 100 + i);
	for (unsigned i = 0; i < 500; i++) {
		char id[37];

		check(queue_fetch(store, queue, &(struct fetch){.start_heartbeat = true}, at(2000 + i), &t, &e) == 1, "a fetch");
		uuid_print(t->node.id, id);
		check(!queue_report(store, queue, str_of(id), &(struct report){.status = i % 10 ? SUCCESS : CANCELLED}, at(3000 + i), &e),
		    "a report");
	}
	for (size_t i = 0; i < LEN(rows); i++) {
		struct json_doc *f = rows[i].filter ? parse(rows[i].filter) : NULL, *s = parse(rows[i].sort);
		struct search in = {.sort = s->root, .limit = rows[i].limit, .offset = rows[i].offset, .status = str_of(rows[i].status)};
		struct source src;
		struct page p;

		in.filter = f ? match_new(f->root, NULL) : NULL;
		source_find(queue, &in, &src);
		page_open(&p, &in, task_columns, LEN(task_columns), src.rows, &e);
		check(walk(&p, queue, &src) == rows[i].few, "row %d: %s are looked at", (int)i, rows[i].few ? "few" : "all");
		page_close(&p);
		match_free(in.filter);
		json_free(f);
		json_free(s);
	}
	store_free(store);
}

int
main(void)
{
	test_print();
	test_search();
	test_nothing();
	test_workers();
	test_many();
	test_sources();
	test_names();
	test_fetch();
	test_order();
	test_walk();
	return test_done("show");
}
