/* SPDX-License-Identifier: MIT */
/*
 * No more, no less (SPEC 1.2), as the server has it: which of the names that a command requires a task's args lack, and which
 * values of theirs no name covers.
 */
#include "cli.h"

#include <string.h>

/* The value at a dotted name, through dicts alone. */
static const struct json *
at(const struct json *v, const char *name)
{
	while (v && *name) {
		size_t n = strcspn(name, ".");

		v = json_get(v, (struct str){name, n});
		name += n + (name[n] == '.');
	}
	return v;
}

/* Whether path is one of the names or lies below one; *above: it leads to one. */
static bool
covered(const struct json *names, const char *path, bool *above)
{
	size_t n = strlen(path);

	*above = false;
	for (const struct json *v = names->head; v; v = v->next) {
		if (v->len <= n && !memcmp(v->s, path, v->len) && (path[v->len] == '.' || !path[v->len]))
			return true;
		if (v->len > n && !memcmp(v->s, path, n) && v->s[n] == '.')
			*above = true;
	}
	return false;
}

void
fit_name(struct buf *b, const char *name)
{
	buf_printf(b, "%s%s", b->len ? ", " : "", name);
}

/* The values below path that no name covers. */
static void
put_extra(const struct json *names, struct buf *out, struct buf *path, const struct json *v)
{
	size_t len = path->len;

	for (const struct json *m = v->head; m; m = m->next, path->len = len) {
		bool above;

		buf_printf(path, "%s%.*s", len ? "." : "", (int)m->key.n, m->key.p);
		if (covered(names, path->p, &above))
			continue;
		if (above && m->type == JSON_OBJ)
			put_extra(names, out, path, m);
		else
			fit_name(out, path->p);
	}
}

void
fit_compare(const struct json *names, const struct json *args, struct buf *missing, struct buf *extra)
{
	struct buf path = {0};
	bool any = !names->len;

	for (const struct json *v = names->head; v; v = v->next) {
		if (!strcmp(v->s, "*"))
			any = true;
		else if (!at(args, v->s))
			fit_name(missing, v->s);
	}
	if (!any && args && args->type == JSON_OBJ)
		put_extra(names, extra, &path, args);
	buf_free(&path);
}
