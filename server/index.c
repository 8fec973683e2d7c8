/* SPDX-License-Identifier: MIT */
/*
 * How tasks are found: tables by id, the pending ones of a shape in the order in which they are fetched, and the deadlines of
 * those that run.  Nothing costs more than the logarithm of how many there are, and nothing is ever made anew at once.
 */
#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 16 };              /* of a new table */

/* ---- tables by id: linear hashing, so that no insertion moves more than one slot ---- */

static size_t
slot_of(const struct store *s, const struct table *t, const uuid id)
{
	size_t i = (size_t)hash_sip(s->seed, id, 16) & t->mask;

	return i < t->size ? i : i & t->mask >> 1;
}

void *
index_find(const struct store *s, const struct table *t, const uuid id)
{
	struct node *n;

	if (!t->size)
		return NULL;
	for (n = t->slot[slot_of(s, t, id)]; n && memcmp(n->id, id, 16); n = n->chain)
		;
	return n;
}

/* One slot more; it takes its nodes from the slot that had them. */
static void
table_split(const struct store *s, struct table *t)
{
	size_t to = t->size, from;
	struct node **at;

	if (!to) {
		t->slot = xcalloc(SLOTS, sizeof *t->slot);
		t->size = SLOTS;
		t->mask = SLOTS - 1;
		return;
	}
	if (to > t->mask) {
		t->mask = t->mask * 2 + 1;
		t->slot = xrealloc(t->slot, (t->mask + 1) * sizeof *t->slot);
	}
	from = to & t->mask >> 1;
	t->slot[to] = NULL;
	t->size++;
	for (at = &t->slot[from]; *at;) {
		struct node *n = *at;

		if (slot_of(s, t, n->id) == from) {
			at = &n->chain;
			continue;
		}
		*at = n->chain;
		n->chain = t->slot[to];
		t->slot[to] = n;
	}
}

void
index_add(const struct store *s, struct table *t, struct node *n, const uuid id)
{
	size_t i;

	if (t->n >= t->size)
		table_split(s, t);
	memcpy(n->id, id, 16);
	i = slot_of(s, t, id);
	n->chain = t->slot[i];
	t->slot[i] = n;
	t->n++;
}

void
index_remove(const struct store *s, struct table *t, struct node *n)
{
	struct node **at = &t->slot[slot_of(s, t, n->id)];

	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	t->n--;
}

void
index_free(struct table *t, bool nodes)
{
	for (size_t i = 0; nodes && i < t->size; i++) {
		while (t->slot[i]) {
			struct node *n = t->slot[i];

			t->slot[i] = n->chain;
			free(n);
		}
	}
	free(t->slot);
}

/* ---- pending tasks of a shape: a treap whose ends are known, so that first in, first out costs the same however many ---- */

struct index {
	struct task *root, *first, *last;
};

bool
pending_before(const struct task *a, const struct task *b)
{
	if (a->v.priority != b->v.priority)
		return a->v.priority > b->v.priority;
	if (a->v.modified != b->v.modified)
		return a->v.modified < b->v.modified;
	if (a->v.created != b->v.created)
		return a->v.created < b->v.created;
	return a->v.seq < b->v.seq;
}

/* Which of two stands higher is chance, but the same on every run. */
static uint64_t
rank_of(const struct task *t)
{
	uint64_t x = (uint64_t)t->v.seq * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 29;
}

static void
rotate_up(struct index *x, struct task *t)
{
	struct task *p = t->up, *g = p->up;

	if (p->left == t) {
		p->left = t->right;
		if (p->left)
			p->left->up = p;
		t->right = p;
	} else {
		p->right = t->left;
		if (p->right)
			p->right->up = p;
		t->left = p;
	}
	p->up = t;
	t->up = g;
	if (!g)
		x->root = t;
	else if (g->left == p)
		g->left = t;
	else
		g->right = t;
}

/* Hangs t where it belongs: at an end where that is right, else from the root down. */
static void
hang(struct index *x, struct task *t)
{
	struct task *p = x->root, **at;

	if (!p) {
		x->root = x->first = x->last = t;
		return;
	}
	if (pending_before(x->last, t)) {
		p = x->last;
		at = &p->right;
		x->last = t;
	} else if (pending_before(t, x->first)) {
		p = x->first;
		at = &p->left;
		x->first = t;
	} else {
		for (at = &x->root; *at; at = pending_before(t, p) ? &p->left : &p->right)
			p = *at;
	}
	*at = t;
	t->up = p;
}

static struct task *
neighbour(struct task *t, bool after)
{
	struct task *n = after ? t->right : t->left, *up;

	if (n) {
		while ((up = after ? n->left : n->right))
			n = up;
		return n;
	}
	for (up = t->up; up && t == (after ? up->right : up->left); up = t->up)
		t = up;
	return up;
}

static void
unhang(struct index *x, struct task *t)
{
	struct task *child;

	if (x->first == t)
		x->first = neighbour(t, true);
	if (x->last == t)
		x->last = neighbour(t, false);
	while (t->left && t->right)
		rotate_up(x, rank_of(t->left) > rank_of(t->right) ? t->left : t->right);
	child = t->left ? t->left : t->right;
	if (child)
		child->up = t->up;
	if (!t->up)
		x->root = child;
	else if (t->up->left == t)
		t->up->left = child;
	else
		t->up->right = child;
	t->left = t->right = t->up = NULL;
}

struct task *
pending_first(const struct shape *s)
{
	const struct index *x = s->index;

	return x ? x->first : NULL;
}

struct task *
pending_after(struct task *t)
{
	return neighbour(t, true);
}

/* args: those of t parsed, or NULL. */
void
pending_enter(struct task *t, const struct json *args)
{
	struct json_doc *d = NULL;
	struct index *x;

	if (!args && t->v.args) {
		d = json_parse(t->v.args, strlen(t->v.args), NULL);
		args = d ? d->root : NULL;
	}
	t->shape = shapes_take(t->queue->shapes, args);
	json_free(d);
	if (!t->shape->index)
		t->shape->index = xcalloc(1, sizeof *x);
	x = t->shape->index;
	hang(x, t);
	while (t->up && rank_of(t) > rank_of(t->up))
		rotate_up(x, t);
}

void
pending_leave(struct task *t)
{
	struct shape *s = t->shape;
	struct index *x;

	if (!s)
		return;
	x = s->index;
	unhang(x, t);
	if (!x->root) {
		free(x);
		s->index = NULL;
	}
	t->shape = NULL;
	shapes_drop(t->queue->shapes, s);
}

/* ---- deadlines: a heap, counted from 1 ---- */

static void
heap_put(struct store *s, size_t i, struct due d)
{
	s->heap[i] = d;
	d.task->heap = i;
}

/* Puts d at i or where it belongs above or below. */
static void
heap_sift(struct store *s, size_t i, struct due d)
{
	size_t child;

	for (; i > 1 && d.at < s->heap[i / 2].at; i /= 2)
		heap_put(s, i, s->heap[i / 2]);
	for (; (child = 2 * i) <= s->deadlines; i = child) {
		if (child < s->deadlines && s->heap[child + 1].at < s->heap[child].at)
			child++;
		if (d.at <= s->heap[child].at)
			break;
		heap_put(s, i, s->heap[child]);
	}
	heap_put(s, i, d);
}

void
deadline_remove(struct store *s, struct task *t)
{
	size_t i = t->heap;

	if (!i)
		return;
	t->heap = 0;
	if (i != s->deadlines--)
		heap_sift(s, i, s->heap[s->deadlines + 1]);
}

/* A timeout of 0 or less is over at once, one beyond reckoning never. */
static int64_t
later(int64_t mono, double seconds)
{
	if (!(seconds < 4e12))
		return INT64_MAX;
	return seconds > 0 ? mono + (int64_t)(seconds * 1e6) : mono;
}

void
deadline_set(struct store *s, struct task *t)
{
	const struct task_data *v = &t->v;
	int64_t at = INT64_MAX, end;

	if (v->status == RUNNING && v->beat != NONE && !isnan(v->heartbeat_timeout))
		at = later(t->mono_beat, v->heartbeat_timeout);
	if (v->status == RUNNING && v->start != NONE && v->task_timeout != NONE) {
		end = later(t->mono_start, (double)v->task_timeout);
		at = end < at ? end : at;
	}
	if (at == INT64_MAX) {
		deadline_remove(s, t);
		return;
	}
	if (!t->heap) {
		if (s->deadlines + 2 > s->heap_cap) {
			s->heap_cap = s->heap_cap ? s->heap_cap * 2 : 16;
			s->heap = xrealloc(s->heap, s->heap_cap * sizeof *s->heap);
		}
		t->heap = ++s->deadlines;
	}
	heap_sift(s, t->heap, (struct due){at, t});
}
