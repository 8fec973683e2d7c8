/* SPDX-License-Identifier: MIT */
/*
 * Shapes: the keys of an args object and of the objects under it, each shape kept once; and what a worker requires of them.
 *
 * The text of a shape, by which shapes are the same or not: for each key, in order of its bytes, its length in decimal, ":", the
 * key, and "," when nothing is under it, else "{", the keys of the object there, "}".  {"b":{"x":1,"w":{}},"a":[]} is
 * "1:a,1:b{1:w,1:x,}".  An empty object has no keys, so it reads as any other value.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>

enum {
	SLOTS = 16,               /* of a new table; a power of two */
	KEYS = 100000             /* parts of all required paths: what one fetch may cost in memory */
};

/* The shapes whose topmost keys are the same: what a worker that requires those may take is among them. */
struct kin {
	struct kin *chain;
	uint64_t hash;
	struct shape *first;
	struct str text;          /* as of a shape that has nothing under its keys */
};

struct shapes {
	unsigned char seed[16];
	struct shape **slot;
	size_t mask, n;
	struct kin **kin_slot;
	size_t kin_mask, kins;
	struct shape *first, *last;
	struct buf text, top;     /* the shape that is looked for, and its topmost keys */
	const struct json **key;  /* members of the objects that are being written: those of one object together */
	size_t used, cap;
};

struct shapes *
shapes_new(const unsigned char seed[16])
{
	struct shapes *t = xcalloc(1, sizeof *t);

	memcpy(t->seed, seed, sizeof t->seed);
	t->slot = xcalloc(SLOTS, sizeof *t->slot);
	t->mask = SLOTS - 1;
	t->kin_slot = xcalloc(SLOTS, sizeof *t->kin_slot);
	t->kin_mask = SLOTS - 1;
	return t;
}

void
shapes_free(struct shapes *t)
{
	struct shape *next;

	if (!t)
		return;
	for (struct shape *s = t->first; s; s = next) {
		next = s->next;
		if (!s->next_kin)
			free(s->kin);
		free(s);
	}
	buf_free(&t->text);
	buf_free(&t->top);
	free(t->kin_slot);
	free(t->key);
	free(t->slot);
	free(t);
}

static int
member_order(const void *a, const void *b)
{
	const struct json *const *x = a, *const *y = b;

	return str_order((*x)->key, (*y)->key);
}

/* Puts the members of obj, sorted, at the end of t->key. */
static void
members(struct shapes *t, const struct json *obj)
{
	size_t from = t->used;

	if (t->cap - t->used < obj->len) {
		t->cap = (t->used + obj->len) * 2;
		t->key = xrealloc(t->key, t->cap * sizeof *t->key);
	}
	for (const struct json *m = obj->head; m; m = m->next)
		t->key[t->used++] = m;
	if (obj->len > 1)
		qsort(t->key + from, obj->len, sizeof *t->key, member_order);
}

static void
put_key(struct buf *b, struct str key)
{
	buf_addint(b, (int64_t)key.n);
	buf_addc(b, ':');
	buf_add(b, key.p, key.n);
}

/* Deeper than a document can be (JSON_DEPTH) nothing is looked at. */
static void
write_keys(struct shapes *t, const struct json *obj, int depth)
{
	size_t from = t->used;

	members(t, obj);
	for (size_t i = from, end = t->used; i < end; i++) {
		const struct json *m = t->key[i];

		put_key(&t->text, m->key);
		if (depth == 1) {
			put_key(&t->top, m->key);
			buf_addc(&t->top, ',');
		}
		if (m->type != JSON_OBJ || !m->len || depth == JSON_DEPTH) {
			buf_addc(&t->text, ',');
			continue;
		}
		buf_addc(&t->text, '{');
		write_keys(t, m, depth + 1);
		buf_addc(&t->text, '}');
	}
	t->used = from;
}

static void
grow(struct shapes *t)
{
	size_t mask = t->mask * 2 + 1;
	struct shape **slot = xcalloc(mask + 1, sizeof *slot);

	for (struct shape *s = t->first; s; s = s->next) {
		s->chain = slot[s->hash & mask];
		slot[s->hash & mask] = s;
	}
	free(t->slot);
	t->slot = slot;
	t->mask = mask;
}

static void
grow_kins(struct shapes *t)
{
	size_t mask = t->kin_mask * 2 + 1;
	struct kin **slot = xcalloc(mask + 1, sizeof *slot), *next;

	for (size_t i = 0; i <= t->kin_mask; i++) {
		for (struct kin *k = t->kin_slot[i]; k; k = next) {
			next = k->chain;
			k->chain = slot[k->hash & mask];
			slot[k->hash & mask] = k;
		}
	}
	free(t->kin_slot);
	t->kin_slot = slot;
	t->kin_mask = mask;
}

/* Those of the topmost keys in t->top; NULL: there are none. */
static struct kin *
find_kin(const struct shapes *t, uint64_t *hash)
{
	struct str top = {t->top.p, t->top.len};
	struct kin *k;

	*hash = hash_sip(t->seed, top.p, top.n);
	for (k = t->kin_slot[*hash & t->kin_mask]; k; k = k->chain)
		if (k->hash == *hash && str_eq(k->text, top))
			break;
	return k;
}

static struct kin *
take_kin(struct shapes *t)
{
	uint64_t hash;
	struct kin *k = find_kin(t, &hash);
	char *text;

	if (k)
		return k;
	if (t->kins > t->kin_mask)
		grow_kins(t);
	k = xmalloc(sizeof *k + t->top.len + 1);
	text = (char *)(k + 1);
	*k = (struct kin){.chain = t->kin_slot[hash & t->kin_mask], .hash = hash, .text = {text, t->top.len}};
	memcpy(text, t->top.p, t->top.len);
	t->kin_slot[hash & t->kin_mask] = k;
	t->kins++;
	return k;
}

static void
drop_kin(struct shapes *t, struct kin *k)
{
	struct kin **at = &t->kin_slot[k->hash & t->kin_mask];

	while (*at != k)
		at = &(*at)->chain;
	*at = k->chain;
	t->kins--;
	free(k);
}

/* A shape of the text in t->text.  The text stands behind the shape, in the same piece of memory. */
static struct shape *
make(struct shapes *t, uint64_t hash)
{
	struct shape *s = xmalloc(sizeof *s + t->text.len + 1);
	char *text = (char *)(s + 1);

	if (t->n > t->mask)
		grow(t);
	*s = (struct shape){.prev = t->last, .hash = hash, .chain = t->slot[hash & t->mask], .text = {text, t->text.len}};
	memcpy(text, t->text.p, t->text.len);
	text[t->text.len] = 0;
	t->slot[hash & t->mask] = s;
	*(t->last ? &t->last->next : &t->first) = s;
	t->last = s;
	t->n++;
	s->kin = take_kin(t);
	s->next_kin = s->kin->first;
	if (s->next_kin)
		s->next_kin->prev_kin = s;
	s->kin->first = s;
	return s;
}

struct shape *
shapes_take(struct shapes *t, const struct json *args)
{
	struct shape *s;
	uint64_t hash;

	buf_reserve(&t->text, 0);
	buf_reserve(&t->top, 0);
	buf_clear(&t->text);
	buf_clear(&t->top);
	if (args && args->type == JSON_OBJ)
		write_keys(t, args, 1);
	hash = hash_sip(t->seed, t->text.p, t->text.len);
	for (s = t->slot[hash & t->mask]; s; s = s->chain)
		if (s->hash == hash && str_eq(s->text, (struct str){t->text.p, t->text.len}))
			break;
	if (!s)
		s = make(t, hash);
	s->refs++;
	return s;
}

void
shapes_drop(struct shapes *t, struct shape *s)
{
	struct shape **at = &t->slot[s->hash & t->mask];

	if (--s->refs)
		return;
	while (*at != s)
		at = &(*at)->chain;
	*at = s->chain;
	*(s->next ? &s->next->prev : &t->last) = s->prev;
	*(s->prev ? &s->prev->next : &t->first) = s->next;
	*(s->prev_kin ? &s->prev_kin->next_kin : &s->kin->first) = s->next_kin;
	if (s->next_kin)
		s->next_kin->prev_kin = s->prev_kin;
	if (!s->kin->first)
		drop_kin(t, s->kin);
	t->n--;
	free(s);
}

struct shape *
shapes_first(const struct shapes *t)
{
	return t->first;
}

/* The required paths as a tree: a path leads from the root to a part with "end".  Siblings are sorted as keys are in shapes. */
struct part {
	struct str name;
	bool end;                 /* a required path ends here: it covers all that is under it */
	size_t child, next;       /* places in the array; 0: none, as the root is nobody's child */
};
struct need {
	struct part *part;        /* [0] is the root */
	size_t n, cap;
	struct str *path;         /* sorted; into text */
	size_t paths;
	char *text;
	bool star;                /* other keys may be there too */
};

/* Order of paths as their parts are ordered: the end of a part comes before all that a part may hold. */
static int
path_order(const void *a, const void *b)
{
	const struct str *x = a, *y = b;
	size_t i = 0;
	int c, d;

	while (i < x->n && i < y->n && x->p[i] == y->p[i])
		i++;
	c = i == x->n ? -1 : x->p[i] == '.' ? 0 : (unsigned char)x->p[i];
	d = i == y->n ? -1 : y->p[i] == '.' ? 0 : (unsigned char)y->p[i];
	return c - d;
}

/* Copies the paths of the list, as the tree lives longer than the request. */
static int
take_paths(struct need *n, const struct json *list, struct err *e)
{
	size_t size = 0;
	char *p;

	for (const struct json *v = list->head; v; v = v->next) {
		if (v->type != JSON_STR)
			return err_set(e, 400, "required_fields: a field must be a string");
		if (!str_is((struct str){v->s, v->len}, "*") && !key_valid((struct str){v->s, v->len}))
			return err_set(e, 400, "required_fields: bad field '%.100s': letters, digits, _, -; dots between", v->s);
		size += v->len;
	}
	n->text = p = xmalloc(size);
	n->path = xcalloc(list->len, sizeof *n->path);
	for (const struct json *v = list->head; v; v = v->next) {
		if (str_is((struct str){v->s, v->len}, "*")) {
			n->star = true;
			continue;
		}
		memcpy(p, v->s, v->len);
		n->path[n->paths++] = (struct str){p, v->len};
		p += v->len;
	}
	qsort(n->path, n->paths, sizeof *n->path, path_order);
	return 0;
}

static size_t
add_part(struct need *n, struct str name)
{
	if (n->n == n->cap) {
		n->cap = n->cap ? n->cap * 2 : 16;
		n->part = xrealloc(n->part, n->cap * sizeof *n->part);
	}
	n->part[n->n] = (struct part){.name = name};
	return n->n++;
}

/* Puts a path into the tree.  Paths come sorted, so a part is that of the path before, whose parts are way[1] to way[*deep], or
 * it is new and the last of its siblings. */
static int
add_path(struct need *n, struct str path, size_t *way, size_t *deep, struct err *e)
{
	size_t depth = 0;

	while (path.p) {
		struct str name = str_part(&path, '.');
		size_t before = depth < *deep ? way[depth + 1] : 0;

		if (depth == JSON_DEPTH || n->n > KEYS)
			return err_set(e, 400, "required_fields: too many fields, or one with too many dots");
		if (!before || !str_eq(n->part[before].name, name)) {
			size_t part = add_part(n, name);

			*(before ? &n->part[before].next : &n->part[way[depth]].child) = part;
			way[depth + 1] = part;
			*deep = depth + 1;
		}
		depth++;
	}
	n->part[way[depth]].end = true;
	*deep = depth;
	return 0;
}

static int
build(struct need *n, struct err *e)
{
	size_t way[JSON_DEPTH + 1] = {0}, deep = 0;

	add_part(n, (struct str){0});
	for (size_t i = 0; i < n->paths; i++)
		if (add_path(n, n->path[i], way, &deep, e) < 0)
			return -1;
	return 0;
}

struct need *
need_new(const struct json *required, struct err *e)
{
	struct need *n = xcalloc(1, sizeof *n);

	if (!required || required->type == JSON_NULL)
		return n;
	if (required->type != JSON_ARR) {
		err_set(e, 400, "required_fields: must be a list");
		goto bad;
	}
	if (take_paths(n, required, e) < 0 || build(n, e) < 0)
		goto bad;
	return n;
bad:
	need_free(n);
	return NULL;
}

void
need_free(struct need *n)
{
	if (!n)
		return;
	free(n->part);
	free(n->path);
	free(n->text);
	free(n);
}

/* Every shape will do. */
static bool
takes_all(const struct need *n)
{
	return !n->paths;
}

/* The next key of an object in a shape's text.  False at its end. */
static bool
next_key(const char **p, const char *end, struct str *key)
{
	size_t n = 0;

	if (*p == end || **p == '}')
		return false;
	while (**p != ':')
		n = n * 10 + (size_t)(*(*p)++ - '0');
	*key = (struct str){*p + 1, n};
	*p += 1 + n;
	return true;
}

/* Over what is behind a key. */
static void
skip_value(const char **p, const char *end)
{
	size_t depth = 0;
	struct str key;

	do {
		depth += **p == '{';
		++*p;
		while (depth && !next_key(p, end, &key)) {
			++*p;
			depth--;
		}
	} while (depth);
}

/* With "*" a path may lead to an item of a list, and a shape does not tell a list: who asks must look. */
static bool
may_be_list(const struct need *n, size_t at)
{
	struct str name = n->part[n->part[at].child].name;
	int64_t index;

	return n->star && !parse_int(name, &index);
}

/* The keys at *p, up to the end of their object, against the parts from "at" on.  covered: what is not required may be there. */
static bool
test_keys(const struct need *n, size_t at, bool covered, const char **p, const char *end)
{
	struct str key;

	while (next_key(p, end, &key)) {
		int c = at ? str_order(key, n->part[at].name) : -1;

		if (c > 0 || (c < 0 && !covered))
			return false;
		if (c < 0) {
			skip_value(p, end);
			continue;
		}
		if (!n->part[at].child || (**p == ',' && may_be_list(n, at))) {
			skip_value(p, end);
		} else {
			if (*(*p)++ != '{' || !test_keys(n, n->part[at].child, covered || n->part[at].end, p, end))
				return false;
			++*p;
		}
		at = n->part[at].next;
	}
	return !at;
}

bool
need_test(const struct need *n, const struct shape *s)
{
	const char *p = s->text.p;

	return takes_all(n) || test_keys(n, n->part[0].child, n->star, &p, p + s->text.n);
}

/* The next that will do from s on. */
static struct shape *
will_do(const struct need *n, struct shape *s)
{
	bool all = n->star || takes_all(n);

	while (s && !need_test(n, s))
		s = all ? s->next : s->next_kin;
	return s;
}

struct shape *
need_first(const struct need *n, struct shapes *t)
{
	uint64_t hash;
	struct kin *k;

	if (n->star || takes_all(n))
		return will_do(n, t->first);
	buf_clear(&t->top);
	for (size_t i = n->part[0].child; i; i = n->part[i].next) {
		put_key(&t->top, n->part[i].name);
		buf_addc(&t->top, ',');
	}
	k = find_kin(t, &hash);
	return k ? will_do(n, k->first) : NULL;
}

struct shape *
need_next(const struct need *n, const struct shape *s)
{
	return will_do(n, n->star || takes_all(n) ? s->next : s->next_kin);
}
