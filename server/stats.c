/* SPDX-License-Identifier: MIT */
/* How a queue is doing, as JSON for its owner, and how all are, as Prometheus reads it (text format 0.0.4). */
#include "state.h"

#include <string.h>

static const char *const tallies[TALLIES] = {
	"submitted", "started", "succeeded", "failed", "cancelled", "requeued", "worker_changes",
};

static void
put_counts(struct buf *b, const char *what, const size_t *count, const char *const *names, int n)
{
	buf_printf(b, ",\"%s\":", what);
	for (int i = 0; i < n; i++)
		buf_printf(b, "%s\"%s\":%lu", i ? "," : "{", names[i], (unsigned long)count[i]);
	buf_addc(b, '}');
}

/* Tasks a minute, over the last minute and over the last hour or what there was of it. */
static void
put_rates(struct buf *b, const struct events *v, const struct queue *q, int64_t up, int64_t mono)
{
	int64_t minutes = up / (60 * SECOND) + 1;

	for (int i = 0; i < TALLY_WORKERS; i++) {
		buf_printf(b, "%s\"%s\":{\"minute\":", i ? "," : ",\"rates\":{", tallies[i]);
		json_repr(b, events_rate(v, q, (enum tally)i, 1, mono));
		buf_adds(b, ",\"hour\":");
		json_repr(b, events_rate(v, q, (enum tally)i, minutes < 59 ? (int)minutes : 59, mono));
		buf_addc(b, '}');
	}
	buf_addc(b, '}');
}

static void
put_oldest(struct buf *b, const struct task *t)
{
	char id[37], created[32], modified[32];

	if (!t) {
		buf_adds(b, ",\"oldest_pending\":null");
		return;
	}
	uuid_print(t->node.id, id);
	date_iso(created, t->v.created);
	date_iso(modified, t->v.modified);
	buf_printf(b, ",\"oldest_pending\":{\"task_id\":\"%s\",\"created_at\":\"%s\",\"last_modified\":\"%s\"}", id, created, modified);
}

void
stats_queue(struct buf *b, const struct queue *q, const struct stats *s)
{
	buf_printf(b, "{\"queue_id\":\"%s\",\"queue_name\":\"%s\"", q->id, q->v.name);
	put_counts(b, "tasks", q->count, task_status, TASK_STATES);
	put_counts(b, "workers", q->workers, worker_status, WORKER_STATES);
	buf_printf(b, ",\"waiting\":%lu,\"listening\":%lu", (unsigned long)waits_count(s->waits, q),
	    (unsigned long)events_listeners(s->events, q));
	put_rates(b, s->events, q, s->now.mono - s->began, s->now.mono);
	put_oldest(b, q->oldest);
	buf_addc(b, '}');
}

static void
put_family(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP labtasker_%s %s\n# TYPE labtasker_%s %s\n", name, help, name, type);
}

static void
put_gauges(struct buf *b, const char *name, const struct queue *q, const size_t *count, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		buf_printf(b, "labtasker_%s{queue=\"%s\",status=\"%s\"} %lu\n", name, q->v.name, names[i], (unsigned long)count[i]);
}

static void
put_one(struct buf *b, const char *name, const char *type, const char *help, double value)
{
	put_family(b, name, type, help);
	buf_printf(b, "labtasker_%s ", name);
	json_repr(b, value);
	buf_addc(b, '\n');
}

static void
put_queues(struct buf *b, const struct store *st, const struct stats *s)
{
	put_family(b, "tasks", "gauge", "Tasks in each state.");
	for (size_t i = 0; i < st->queues.n; i++)
		put_gauges(b, "tasks", st->by_name[i], st->by_name[i]->count, task_status, TASK_STATES);
	put_family(b, "workers", "gauge", "Workers in each state.");
	for (size_t i = 0; i < st->queues.n; i++)
		put_gauges(b, "workers", st->by_name[i], st->by_name[i]->workers, worker_status, WORKER_STATES);
	put_family(b, "task_changes_total", "counter",
	    "Tasks that were submitted, started, ended or put back, since the server started.");
	for (size_t i = 0; i < st->queues.n; i++) {
		const struct queue *q = st->by_name[i];

		for (int k = 0; k < TALLY_WORKERS; k++) {
			buf_printf(b, "labtasker_task_changes_total{queue=\"%s\",change=\"%s\"} ", q->v.name, tallies[k]);
			buf_addint(b, events_total(s->events, q, (enum tally)k));
			buf_addc(b, '\n');
		}
	}
	put_family(b, "oldest_pending_seconds", "gauge", "How long the task that has been pending longest has been so, unchanged.");
	for (size_t i = 0; i < st->queues.n; i++) {
		const struct task *t = st->by_name[i]->oldest;

		buf_printf(b, "labtasker_oldest_pending_seconds{queue=\"%s\"} ", st->by_name[i]->v.name);
		json_repr(b, t && s->now.wall > t->v.modified ? (double)(s->now.wall - t->v.modified) / 1e6 : 0);
		buf_addc(b, '\n');
	}
}

void
stats_metrics(struct buf *b, const struct store *st, const struct stats *s)
{
	put_queues(b, st, s);
	put_family(b, "requests_total", "counter", "Requests answered, by the class of the answer.");
	for (int i = 1; i < 6; i++) {
		buf_printf(b, "labtasker_requests_total{class=\"%dxx\"} ", i);
		buf_addint(b, s->answers[i]);
		buf_addc(b, '\n');
	}
	put_one(b, "fetches_waiting", "gauge", "Fetches that are held until there is a task.", (double)waits_count(s->waits, NULL));
	put_one(b, "listeners", "gauge", "Streams of events.", (double)events_listeners(s->events, NULL));
	put_one(b, "store_bytes", "gauge", "Bytes of the live records, about.", (double)store_live(st));
	put_one(b, "store_refusing", "gauge", "0 changes are kept, 1 only ends of runs, 2 none.", s->mode);
	put_one(b, "uptime_seconds", "gauge", "Since the server started.", (double)(s->now.mono - s->began) / 1e6);
	put_family(b, "build_info", "gauge", "The version.");
	buf_adds(b, "labtasker_build_info{version=\"" LABTASKER_VERSION "\"} 1\n");
}
