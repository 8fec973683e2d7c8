/* SPDX-License-Identifier: MIT */
/*
 * tmpl.c.  The first byte is the length of a value, which follows, the rest a template in which every name stands for that value.
 * An argument is its text with the values in it.  In shell text what stands around values is left as it is, and each value, read
 * as a shell reads it where it stands, is itself again.
 */
#include "../../tmpl.c"
#include "fuzz.h"

/* ---- args with all the names in them ---- */

static bool
put_name(struct json_doc *d, struct json *obj, const char *name, struct str value)
{
	for (;;) {
		struct str key = {name, strcspn(name, ".")};
		struct json *v = json_get(obj, key);

		if (!name[key.n]) {
			if (!v)
				json_set(d, obj, key, json_mkstr(d, value));
			return !v || v->type == JSON_STR;
		}
		if (v && v->type != JSON_OBJ)
			return false;
		if (!v) {
			v = json_mkobj(d);
			json_set(d, obj, key, v);
			v = json_get(obj, key);
		}
		obj = v;
		name += key.n + 1;
	}
}

/* NULL: one name is within another. */
static struct json_doc *
args_of(const struct tmpl *t, struct str value)
{
	struct json_doc *d = json_new();

	d->root = json_mkobj(d);
	for (size_t i = 0; i < tmpl_count(t); i++) {
		if (!put_name(d, d->root, tmpl_name(t, i), value)) {
			json_free(d);
			return NULL;
		}
	}
	return d;
}

/* ---- reading as a shell does ---- */

static bool
harmless(int c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c && strchr("@%+=:,./_-", c)) || c >= 0x80;
}

/* One word of quotes and safe characters without them.  False: a shell would do something else with it. */
static bool
read_word(struct str s, struct buf *out)
{
	size_t i = 0;

	while (i < s.n) {
		int c = (unsigned char)s.p[i++];

		if (c == '\'') {
			while (i < s.n && s.p[i] != '\'')
				buf_addc(out, s.p[i++]);
			if (i++ == s.n)
				return false;
		} else if (c == '"') {
			while (i < s.n && s.p[i] != '"') {
				if (s.p[i] == '`' || s.p[i] == '$')
					return false;
				if (s.p[i] == '\\' && i + 1 < s.n && strchr("$`\"\\", s.p[i + 1]))
					i++;
				buf_addc(out, s.p[i++]);
			}
			if (i++ >= s.n)
				return false;
		} else if (c == '\\' && i < s.n && s.p[i] == '\'') {
			buf_addc(out, s.p[i++]);
		} else if (harmless(c)) {
			buf_addc(out, (char)c);
		} else {
			return false;
		}
	}
	return true;
}

static bool
all_safe(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!harmless((unsigned char)s.p[i]) || (unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

static void
must_mean(const struct hole *h, struct str put, struct str value)
{
	const char *around = h->how == SINGLE ? "'" : h->how == DOUBLE ? "\"" : "";
	struct buf word = {0}, read = {0};

	if (h->how == PLAIN || h->how == NAME)
		must(str_eq(put, value) && all_safe(value), "a value that needs quotes, where none can be: %.*s", (int)put.n, put.p);
	if (h->how == RAW || h->how == PLAIN || h->how == NAME || h->turned)
		return;
	if (h->how != SINGLE && h->how != WORD && h->force & AFTER_NAME && put.n >= 5 && !memcmp(put.p, nothing, 5))
		put = (struct str){put.p + 5, put.n - 5};
	buf_adds(&word, around);
	buf_add(&word, put.p, put.n);
	buf_adds(&word, around);
	must(read_word((struct str){word.p, word.len}, &read), "no word: %s", word.p);
	must(str_eq((struct str){read.p, read.len}, value), "%s is another value", word.p);
	buf_free(&word);
	buf_free(&read);
}

/* ---- both forms ---- */

static void
must_stand(const struct tmpl *t, const struct json *args, struct str value, const struct buf *out)
{
	struct buf want = {0}, put = {0};
	struct err e = {0};
	size_t from = 0;

	for (size_t i = 0; i < t->nhole; i++) {
		buf_add(&want, t->text + from, t->hole[i].pos - from);
		buf_clear(&put);
		must(!fill(t, &t->hole[i], args, &put, &e), "expanded and then not: %s", e.msg);
		if (t->hole[i].how == RAW)
			must(str_eq((struct str){put.p, put.len}, value), "an argument that is another value");
		else
			must_mean(&t->hole[i], (struct str){put.p, put.len}, value);
		buf_add(&want, put.p, put.len);
		from = t->hole[i].end;
	}
	buf_add(&want, t->text + from, t->n - from);
	must(want.len == out->len && (!want.len || !memcmp(want.p, out->p, want.len)), "what stands around values is another text");
	buf_free(&want);
	buf_free(&put);
}

static void
must_expand(struct str text, enum tmpl_form form, struct str value)
{
	struct err e = {0};
	struct tmpl *t = tmpl_parse(text, form, &e);
	struct json_doc *d = t ? args_of(t, value) : NULL;
	struct buf out = {0};
	bool null = value.n && memchr(value.p, 0, value.n);

	if (t && d && !tmpl_expand(t, d->root, &out, &e)) {
		must(!null || !t->nhole, "a U+0000 that no argument can hold");
		must_stand(t, d->root, value, &out);
	} else if (!t || d) {
		must_tell(&e, text.n);
		must(e.line && e.col, "an error without line or column: %s", e.msg);
		must(!out.len, "something was put in spite of: %s", e.msg);
		must(!t || form == TMPL_SHELL || null, "an argument cannot be expanded: %s", e.msg);
		tmpl_caret(&out, text, &e);
	}
	buf_free(&out);
	json_free(d);
	tmpl_free(t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tmpl *arg, *shell;
	struct str value, text;
	struct buf b = {0};

	if (!n || data[0] > n - 1)
		return 0;
	value = text_of(data + 1, data[0]);
	text = text_of(data + 1 + data[0], n - 1 - data[0]);
	if (!utf8_valid(value.p, value.n))
		return 0;
	arg = tmpl_parse(text, TMPL_ARG, NULL);
	shell = tmpl_parse(text, TMPL_SHELL, NULL);
	must(!arg == !shell && (!arg || tmpl_count(arg) == tmpl_count(shell)), "one form has what the other has not");
	for (size_t i = 0; arg && i < tmpl_count(arg); i++)
		must(!strcmp(tmpl_name(arg, i), tmpl_name(shell, i)), "another name");
	tmpl_free(arg);
	tmpl_free(shell);
	must_expand(text, TMPL_ARG, value);
	must_expand(text, TMPL_SHELL, value);
	tmpl_quote(&b, value);
	must_mean(&(struct hole){.how = WORD}, (struct str){b.p, b.len}, value);
	buf_free(&b);
	return 0;
}
