/* SPDX-License-Identifier: MIT */
/*
 * conf.c.  The first byte chooses a key and a text to give it, the rest is TOML: what can be read holds together, and after the
 * change it has that one value otherwise and no other byte.  The same text as a string in quotes is read back.
 */
#include "../../conf.c"
#include "fuzz.h"

static const struct {
	const char *section, *key, *text;
} changes[] = {
	{"", "a", "1"}, {"queue", "password", "\"p # \\\" w\""}, {"a", "b", "true"}, {"queue", "queue_name", "'x'"},
	{"server", "url", "\"http://h:1\""}, {"", "queue", "0.5"}, {"a", "a", "[1, {x = 2}]"}, {"b", "c", "\"\"\"x\ny\"\"\""},
	{"filter", "enable_traceback", "false"}, {"events", "notification_level", "\"high\""},
};

static void
quiet(struct str text)
{
	(void)text;
}

static void
must_be_sound(const struct json *v)
{
	size_t n = 0;

	if (v->type == JSON_ARR || v->type == JSON_OBJ) {
		for (const struct json *c = v->head; c; c = c->next, n++) {
			must(v->type == JSON_ARR || json_get(v, c->key) == c, "a key that is not found");
			must(v->type == JSON_ARR || utf8_valid(c->key.p, c->key.n), "a key that is not UTF-8");
			must_be_sound(c);
		}
		must(n == v->len, "%lu members counted as %lu", (unsigned long)n, (unsigned long)v->len);
		return;
	}
	must(v->tag >= TOML_STRING && v->tag <= TOML_TIME, "a value of no kind: %d", v->tag);
	must(v->type == JSON_BOOL || (!v->s[v->len] && utf8_valid(v->s, v->len)), "a text that is not UTF-8 or not ended");
}

/* new is what stood before at from and behind to, and in between something else. */
static void
must_keep(struct str old, const struct buf *new, size_t from, size_t to)
{
	size_t behind = old.n - to;

	must(new->len >= from + behind && (!from || !memcmp(new->p, old.p, from)) &&
	    (!behind || !memcmp(new->p + new->len - behind, old.p + to, behind)), "a change changes something else:\n%s", new->p);
}

/* The longest beginning and end that both have. */
static void
must_only_add(struct str old, const struct buf *new)
{
	size_t from = 0, behind = 0;

	while (from < old.n && from < new->len && old.p[from] == new->p[from])
		from++;
	while (behind < old.n - from && old.p[old.n - 1 - behind] == new->p[new->len - 1 - behind])
		behind++;
	must(from + behind == old.n, "a new key takes something away:\n%s", new->p);
}

static void
take_away(struct json *root, const char *section, const char *key)
{
	struct json *table = *section ? json_gets(root, section) : root;

	if (table && table->type == JSON_OBJ) {
		json_remove(table, str_of(key));
		if (*section && !table->len)
			json_remove(root, str_of(section));
	}
}

static void
must_change(struct str text, size_t which)
{
	const char *section = changes[which].section, *key = changes[which].key;
	struct buf b = {0};
	struct err e = {0};
	struct toml old;
	struct json_doc *new, *want;
	struct json *table, *v;
	const struct spot *at;

	parse(&old, text.p, text.n, NULL);
	buf_add(&b, text.p, text.n);
	table = *section ? json_gets(old.d->root, section) : old.d->root;
	v = table ? json_gets(table, key) : NULL;
	at = v ? spot_of(&old, v) : NULL;
	if (toml_set(&b, section, key, changes[which].text, &e) < 0) {
		must_tell(&e, text.n);
		must(b.len == text.n && (!b.len || !memcmp(b.p, text.p, b.len)), "refused and changed: %s", e.msg);
		must(table, "a new table is refused: %s", e.msg);
	} else {
		if (at)
			must_keep(text, &b, at->pos, at->end);
		else
			must_only_add(text, &b);
		new = toml_parse(b.p, b.len, &e);
		must(new, "changed to what is no TOML: %s at %lu:\n%s", e.msg, (unsigned long)e.pos, b.p);
		buf_clear(&b);
		buf_printf(&b, "v = %s", changes[which].text);
		want = toml_parse(b.p, b.len, NULL);
		table = *section ? json_gets(new->root, section) : new->root;
		must(table && json_gets(table, key) && json_eq(json_gets(table, key), want->root->head), "the new value is not there");
		take_away(old.d->root, section, key);
		take_away(new->root, section, key);
		must(json_eq(old.d->root, new->root), "a change changes another value");
		json_free(new);
		json_free(want);
	}
	json_free(old.d);
	free(old.spot);
	buf_free(&b);
}

static void
must_quote(struct str text)
{
	struct buf b = {0};
	struct err e = {0};
	struct json_doc *d;

	if (!utf8_valid(text.p, text.n))
		return;
	buf_adds(&b, "k=");
	quote(&b, text);
	d = toml_parse(b.p, b.len, &e);
	must(d && d->root->head->tag == TOML_STRING, "quoted it is no TOML: %s: %s", e.msg, b.p);
	must(str_eq((struct str){d->root->head->s, d->root->head->len}, text), "quoted and read it is another text: %s", b.p);
	json_free(d);
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct json_doc *d;
	struct err e = {0}, why = {0};
	struct str text;

	if (!n)
		return 0;
	warn_put = quiet;
	text = text_of(data + 1, n - 1);
	d = toml_parse(text.p, text.n, &e);
	if (conf_check("client.toml", text, &why) < 0)
		must(why.code && why.msg[0], "refused without a word");
	else
		must(d, "a configuration that is no TOML");
	must_quote(text);
	if (d) {
		must(utf8_valid(text.p, text.n), "TOML that is not UTF-8");
		must_be_sound(d->root);
		must_change(text, data[0] % LEN(changes));
		json_free(d);
	} else {
		must_tell(&e, text.n);
		must(e.line >= 1 && e.col >= 1 && e.col <= text.n + 1, "line %lu, column %lu", (unsigned long)e.line, (unsigned long)e.col);
	}
	return 0;
}
