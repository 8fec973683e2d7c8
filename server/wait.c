/* SPDX-License-Identifier: MIT */
/*
 * Fetches that wait for a task (OURS 1, Prefer: wait=N), in order of arrival.  One is let wait only when nothing that is pending
 * matches it, so only tasks that become pending or are changed after that can: the store notes their ids while anybody waits, and
 * each waiter looks at these alone.  Who finds one asks again, as if it came anew.
 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

struct waits {
	struct wait *first, *last;
	struct view *view;
};

struct wait {
	struct waits *all;
	struct wait *next, *prev;
	void *who;
	uuid queue, token;
	bool has_token;
	struct need *need;
	struct json_doc *doc;     /* of the filter */
	struct match *filter;
	int64_t until;            /* mono */
	size_t heard;             /* of the ids noted, how many it has looked at */
	bool stirred;
	bool asked;               /* in this turn, since it is over */
};

struct waits *
waits_new(void)
{
	struct waits *a = xcalloc(1, sizeof *a);

	a->view = view_new();
	return a;
}

void
waits_free(struct waits *a)
{
	while (a->first)
		wait_free(a->first);
	view_free(a->view);
	free(a);
}

struct wait *
wait_new(struct waits *a, struct store *s, const struct queue *q, const struct fetch *in, const struct json *filter, int64_t until,
    void *who)
{
	struct wait *w = xcalloc(1, sizeof *w);

	if (in->token) {
		memcpy(w->token, in->token, 16);
		w->has_token = true;
	}
	w->all = a;
	w->who = who;
	w->until = until;
	memcpy(w->queue, q->node.id, 16);
	w->need = need_new(in->required, NULL);
	if (filter) {
		w->doc = json_new();
		w->doc->root = json_copy(w->doc, filter);
		w->filter = match_new(w->doc->root, NULL);
	}
	w->heard = s->ready.len / 16;
	w->prev = a->last;
	*(a->last ? &a->last->next : &a->first) = w;
	a->last = w;
	s->watched = true;
	return w;
}

void
wait_free(struct wait *w)
{
	struct waits *a;

	if (!w)
		return;
	a = w->all;
	*(w->prev ? &w->prev->next : &a->first) = w->next;
	*(w->next ? &w->next->prev : &a->last) = w->prev;
	need_free(w->need);
	match_free(w->filter);
	json_free(w->doc);
	free(w);
}

bool
wait_over(const struct wait *w, struct now now)
{
	return w->until <= now.mono;
}

void
wait_hasten(struct wait *w)
{
	w->until = INT64_MIN;
}

void
waits_supersede(struct waits *a, const uuid token)
{
	for (struct wait *w = a->first; w; w = w->next)
		if (w->has_token && !memcmp(w->token, token, 16))
			w->until = INT64_MIN;
}

void
waits_stir(struct waits *a)
{
	for (struct wait *w = a->first; w; w = w->next)
		w->stirred = true;
}

static bool
suits(struct wait *w, const struct task *t)
{
	if (!t || t->v.status != PENDING || memcmp(t->queue->node.id, w->queue, 16) || !need_test(w->need, t->shape))
		return false;
	if (!w->filter)
		return true;
	view_task(w->all->view, t);
	return match_test(w->filter, view_get, w->all->view);
}

/* Looks at what was noted since it last did. */
static bool
listen(struct wait *w, const struct store *s)
{
	size_t n = s->ready.len / 16;
	bool found = false;

	while (w->heard < n && !found) {
		uuid id;

		memcpy(id, s->ready.p + w->heard++ * 16, 16);
		found = suits(w, state_task(s, id));
	}
	return found;
}

void *
waits_next(struct waits *a, struct store *s, struct now now)
{
	for (struct wait *w = a->first; w; w = w->next) {
		bool stir = w->stirred || (wait_over(w, now) && !w->asked);

		w->stirred = false;
		w->asked |= stir;
		if (stir || listen(w, s))
			return w->who;
	}
	for (struct wait *w = a->first; w; w = w->next) {
		w->heard = 0;
		w->asked = false;
	}
	buf_clear(&s->ready);
	s->watched = a->first;
	return NULL;
}

int64_t
waits_due(const struct waits *a)
{
	int64_t due = INT64_MAX;

	for (const struct wait *w = a->first; w; w = w->next) {
		if (w->stirred)
			return INT64_MIN;
		if (w->until < due)
			due = w->until;
	}
	return due;
}

size_t
waits_count(const struct waits *a, const struct queue *q)
{
	size_t n = 0;

	for (const struct wait *w = a->first; w; w = w->next)
		n += !q || !memcmp(w->queue, q->node.id, 16);
	return n;
}
