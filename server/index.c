/* SPDX-License-Identifier: MIT */
/*
 * How tasks are found: tables by id, by name, the pending ones of a shape and the others of a state in the order in which they are
 * fetched, and the deadlines of those that run.  Nothing costs more than the logarithm of how many there are, and nothing large is
 * ever made anew at once.
 */
#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 8 };               /* of a new segment */

/* ---- tables by id: open addressing; strangers choose ids, so places are keyed ---- */

static uint64_t
hash_of(const struct store *s, const uuid id)
{
	return hash_sip(s->seed, id, 16);
}

void *
index_find(const struct store *s, const struct table *t, const uuid id)
{
	uint64_t h = hash_of(s, id);
	const struct segment *g = &t->segment[h >> 56];

	if (!g->slot)
		return NULL;
	for (size_t i = (size_t)h & g->mask; g->slot[i].node; i = (i + 1) & g->mask)
		if (g->slot[i].hash == h && !memcmp(g->slot[i].node->id, id, 16))
			return g->slot[i].node;
	return NULL;
}

static void
place(struct segment *g, struct slot new)
{
	size_t i = (size_t)new.hash & g->mask;

	while (g->slot[i].node)
		i = (i + 1) & g->mask;
	g->slot[i] = new;
}

static void
grow(struct segment *g)
{
	struct slot *old = g->slot;
	size_t n = old ? g->mask + 1 : 0;

	g->mask = n ? n * 2 - 1 : SLOTS - 1;
	g->slot = xcalloc(g->mask + 1, sizeof *g->slot);
	for (size_t i = 0; i < n; i++)
		if (old[i].node)
			place(g, old[i]);
	free(old);
}

void
index_add(const struct store *s, struct table *t, struct node *n, const uuid id)
{
	uint64_t h = hash_of(s, id);
	struct segment *g = &t->segment[h >> 56];

	if (!g->slot || g->n >= g->mask - g->mask / 4)
		grow(g);
	memcpy(n->id, id, 16);
	place(g, (struct slot){h, n});
	g->n++;
	t->n++;
}

/* Moves those that had to go on past the gap into it. */
static void
close_gap(struct segment *g, size_t gap)
{
	for (size_t i = (gap + 1) & g->mask; g->slot[i].node; i = (i + 1) & g->mask) {
		size_t home = (size_t)g->slot[i].hash & g->mask;

		if (((i - home) & g->mask) < ((i - gap) & g->mask))
			continue;
		g->slot[gap] = g->slot[i];
		gap = i;
	}
	g->slot[gap].node = NULL;
}

void
index_remove(const struct store *s, struct table *t, struct node *n)
{
	uint64_t h = hash_of(s, n->id);
	struct segment *g = &t->segment[h >> 56];
	size_t i = (size_t)h & g->mask;

	while (g->slot[i].node != n)
		i = (i + 1) & g->mask;
	close_gap(g, i);
	g->n--;
	t->n--;
}

void
index_free(struct table *t, bool nodes)
{
	for (size_t k = 0; k < LEN(t->segment); k++) {
		struct segment *g = &t->segment[k];

		for (size_t i = 0; nodes && g->slot && i <= g->mask; i++)
			free(g->slot[i].node);
		free(g->slot);
	}
}

/* ---- tasks by name ---- */

/* Two digests of the name, keyed by the queue: that two names have the same is not to be expected in the life of the universe. */
static void
name_id(const struct store *s, const struct queue *q, struct str text, uuid id)
{
	unsigned char key[16];
	uint64_t h;

	for (int i = 0; i < 16; i++)
		key[i] = s->seed[i] ^ q->node.id[i];
	h = hash_sip(key, text.p, text.n);
	memcpy(id, &h, 8);
	key[0] ^= 1;
	h = hash_sip(key, text.p, text.n);
	memcpy(id + 8, &h, 8);
}

struct name *
name_find(const struct store *s, const struct queue *q, struct str text)
{
	uuid id;

	name_id(s, q, text, id);
	return index_find(s, &s->names, id);
}

static void
name_leave(struct store *s, struct task *t)
{
	struct named *m = t->named;
	struct name *n = m->name;

	*(m->prev ? &m->prev->next : &n->first) = m->next;
	if (m->next)
		m->next->prev = m->prev;
	free(m);
	t->named = NULL;
	t->v.name = NULL;
	s->live -= strlen(n->text);
	if (--n->count)
		return;
	index_remove(s, &s->names, &n->node);
	free(n);
}

static struct name *
name_take(struct store *s, const struct queue *q, struct str text)
{
	struct name *n;
	uuid id;

	name_id(s, q, text, id);
	n = index_find(s, &s->names, id);
	if (n)
		return n;
	n = xmalloc(sizeof *n + text.n + 1);
	*n = (struct name){.first = NULL};
	memcpy(n->text, text.p, text.n + 1);
	index_add(s, &s->names, &n->node, id);
	return n;
}

void
name_set(struct store *s, struct task *t, const char *text)
{
	struct name *n = text ? name_take(s, t->queue, str_of(text)) : NULL;

	if (n)
		n->count++;
	if (t->named)
		name_leave(s, t);
	if (!n)
		return;
	t->named = xmalloc(sizeof *t->named);
	*t->named = (struct named){.name = n, .task = t, .next = n->first};
	if (n->first)
		n->first->prev = t->named;
	n->first = t->named;
	t->v.name = n->text;
	s->live += strlen(n->text);
}

/* ---- in order: a treap whose ends are known, so that first in, first out costs the same however many ---- */

bool
order_before(const struct task *a, const struct task *b)
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
rotate_up(struct order *x, struct task *t)
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
hang(struct order *x, struct task *t)
{
	struct task *p = x->root, **at;

	if (!p) {
		x->root = x->first = x->last = t;
		return;
	}
	if (order_before(x->last, t)) {
		p = x->last;
		at = &p->right;
		x->last = t;
	} else if (order_before(t, x->first)) {
		p = x->first;
		at = &p->left;
		x->first = t;
	} else {
		for (at = &x->root; *at; at = order_before(t, p) ? &p->left : &p->right)
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
unhang(struct order *x, struct task *t)
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
	const struct order *x = s->index;

	return x ? x->first : NULL;
}

/* That of the shape of its args: parsed, or NULL. */
static struct order *
enter_shape(struct task *t, const struct json *args)
{
	struct json_doc *d = NULL;

	if (!args && t->v.args) {
		d = json_parse(t->v.args, strlen(t->v.args), NULL);
		args = d ? d->root : NULL;
	}
	t->shape = shapes_take(t->queue->shapes, args);
	json_free(d);
	if (!t->shape->index)
		t->shape->index = xcalloc(1, sizeof(struct order));
	return t->shape->index;
}

void
order_enter(struct task *t, const struct json *args)
{
	struct order *x = t->v.status == PENDING ? enter_shape(t, args) : &t->queue->order[t->v.status];

	hang(x, t);
	while (t->up && rank_of(t) > rank_of(t->up))
		rotate_up(x, t);
}

void
order_leave(struct task *t)
{
	struct shape *s = t->shape;
	struct order *x = s ? s->index : &t->queue->order[t->v.status];

	if (!s && t->v.status == PENDING)
		return;
	unhang(x, t);
	if (!s)
		return;
	if (!x->root) {
		free(x);
		s->index = NULL;
	}
	t->shape = NULL;
	shapes_drop(t->queue->shapes, s);
}

/* ---- several orders ---- */

bool
merge_before(const struct merge *m, const struct task *a, const struct task *b)
{
	if (m->timed && a->v.modified != b->v.modified)
		return (a->v.modified < b->v.modified) != m->back;
	return m->timed && m->back ? order_before(b, a) : order_before(a, b);
}

/* Where the next priority after that of t begins, from the end on if back; t NULL: the first. */
static struct task *
next_priority(const struct order *x, const struct task *t, bool back)
{
	struct task *found = NULL;

	if (!t)
		return back ? x->last : x->first;
	for (struct task *p = x->root; p;) {
		bool past = back ? p->v.priority > t->v.priority : p->v.priority < t->v.priority;

		found = past ? p : found;
		p = past != back ? p->left : p->right;
	}
	return found;
}

static void
merge_put(struct merge *m, struct task *t)
{
	size_t i = m->n;

	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 16;
		m->at = xrealloc(m->at, m->cap * sizeof *m->at);
	}
	m->n++;
	for (; i && merge_before(m, t, m->at[(i - 1) / 2]); i = (i - 1) / 2)
		m->at[i] = m->at[(i - 1) / 2];
	m->at[i] = t;
}

void
merge_add(struct merge *m, const struct order *x, size_t most)
{
	for (struct task *t = x ? next_priority(x, NULL, m->back) : NULL; t && m->n < most;
	    t = m->timed ? next_priority(x, t, m->back) : NULL)
		merge_put(m, t);
}

void
merge_step(struct merge *m)
{
	struct task *t = neighbour(m->at[0], !m->back);
	size_t i = 0, child;

	if (!t || (m->timed && t->v.priority != m->at[0]->v.priority))
		t = m->at[--m->n];
	for (; (child = 2 * i + 1) < m->n; i = child) {
		if (child + 1 < m->n && merge_before(m, m->at[child + 1], m->at[child]))
			child++;
		if (merge_before(m, t, m->at[child]))
			break;
		m->at[i] = m->at[child];
	}
	m->at[i] = t;
}

void
merge_free(struct merge *m)
{
	free(m->at);
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
