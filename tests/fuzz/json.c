/* SPDX-License-Identifier: MIT */
/* json.c: what is read, printed in any way and read again is the same; what is changed is found, and what is taken away is not. */
#include "fuzz.h"

static void
must_survive(const struct json *v, int flags)
{
	struct buf b = {0}, again = {0};
	struct err e = {0};
	struct json_doc *d;
	char *copy;

	json_print(&b, v, flags);
	copy = copy_of(b.p, b.len);
	d = json_parse(copy, b.len, &e);
	must(d, "printed with %x: %s: %s", (unsigned)flags, e.msg, b.p);
	must(json_eq(v, d->root), "printed with %x, another value: %s", (unsigned)flags, b.p);
	json_print(&again, d->root, flags);
	must(again.len == b.len && !memcmp(again.p, b.p, b.len), "printed with %x, then otherwise: %s", (unsigned)flags, b.p);
	json_free(d);
	free(copy);
	buf_free(&b);
	buf_free(&again);
}

/* Lengths, ends and texts of all that is in v. */
static void
must_be_sound(const struct json *v)
{
	const struct json *last = NULL;
	size_t n = 0;

	if (v->type == JSON_STR || v->type == JSON_NUM)
		must(!v->s[v->len] && utf8_valid(v->s, v->len), "a text that is not UTF-8 or not ended");
	if (v->type != JSON_ARR && v->type != JSON_OBJ)
		return;
	for (const struct json *c = v->head; c; last = c, c = c->next, n++) {
		must(v->type != JSON_OBJ || json_get(v, c->key) == c, "a member that is not found");
		must_be_sound(c);
	}
	must(n == v->len && last == v->tail, "%lu members counted as %lu", (unsigned long)n, (unsigned long)v->len);
}

/* Takes members away and puts them back, by a path that the value's own length gives. */
static void
must_change(struct json_doc *d, struct json *obj)
{
	size_t n = obj->len;
	struct json *v;
	struct str key;

	for (size_t i = 0; i < n && i < 40; i++) {
		key = obj->head->key;
		v = json_copy(d, obj->head);
		must(json_eq(v, obj->head), "a copy that is another value");
		json_remove(obj, key);
		must(!json_get(obj, key) && obj->len == n - 1, "a member that was taken away is there");
		json_set(d, obj, key, v);
		must(json_get(obj, key) == v && obj->tail == v && obj->len == n, "a member that was added is not there");
		json_set(d, obj, key, json_mkint(d, (int64_t)i));
		must(json_get(obj, key) == obj->tail && obj->len == n, "a member that was replaced has moved");
	}
}

/* The first bytes as a double: its text is that number again. */
static void
must_repr(const uint8_t *data, size_t n)
{
	struct buf b = {0};
	struct json_doc *d;
	double v, w;

	if (n < sizeof v)
		return;
	memcpy(&v, data, sizeof v);
	if (v - v != 0)   /* no number, or beyond all of them */
		return;
	json_repr(&b, v);
	w = strtod(b.p, NULL);
	must(!memcmp(&v, &w, sizeof v), "%.17g is printed as %s", v, b.p);
	d = json_parse(b.p, b.len, NULL);
	must(d && d->root->type == JSON_NUM, "no JSON: %s", b.p);
	json_free(d);
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const int flags[] = {0, JSON_SPACED, JSON_ASCII, JSON_SPACED | JSON_ASCII, 2, 4 | JSON_ASCII};
	struct err e = {0};
	struct json_doc *d = json_parse((const char *)data, n, &e);

	must_repr(data, n);
	if (!d) {
		must_tell(&e, n);
		return 0;
	}
	must(utf8_valid((const char *)data, n), "JSON that is not UTF-8");
	must_be_sound(d->root);
	for (size_t i = 0; i < LEN(flags); i++)
		must_survive(d->root, flags[i]);
	if (d->root->type == JSON_OBJ) {
		must_change(d, d->root);
		must_be_sound(d->root);
		must_survive(d->root, 0);
	}
	json_free(d);
	return 0;
}
