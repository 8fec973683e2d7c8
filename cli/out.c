/* SPDX-License-Identifier: MIT */
/*
 * Results as text.  YAML in block style that readers of 1.1 and 1.2 both read back as the same values: a text stands plain only
 * where neither can take it for something else, in '...' otherwise, in "..." when it holds what is not printable, and as | when it
 * has lines.  JSON Lines is one compact object a line.
 */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONG_KEY = 1000 };   /* YAML ends the search for the colon of a plain key after 1024 characters */

static void members(struct buf *b, const struct json *obj, int indent, bool begun);
static void items(struct buf *b, const struct json *arr, int indent, bool begun);

static void
pad(struct buf *b, int n)
{
	while (n-- > 0)
		buf_addc(b, ' ');
}

/* YAML's printable characters without line breaks other than \n, so that every reader sees the same. */
static bool
printable(uint32_t c)
{
	if (c < 0xa0)
		return (c >= 0x20 && c < 0x7f) || c == '\n';
	return c != 0x2028 && c != 0x2029 && c != 0xfeff && c != 0xfffe && c != 0xffff;
}

static bool
all_printable(struct str s)
{
	uint32_t c;

	for (size_t i = 0, n; i < s.n; i += n) {
		n = utf8_get(s.p + i, s.n - i, &c);
		if (!n || !printable(c))
			return false;
	}
	return true;
}

static bool
letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/' || (c & 0x80);
}

/* Words that some version of YAML takes for a bool or null. */
static bool
reserved(struct str s)
{
	static const char *const word[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};

	for (size_t i = 0; i < LEN(word); i++)
		if (str_caseis(s, word[i]))
			return true;
	return false;
}

/* Whether s needs no quotes: a UUID, or what begins with a letter and holds nothing that ends or turns a plain text. */
static bool
plain(struct str s)
{
	unsigned char id[16];

	if (!uuid_parse(s, id))
		return true;
	if (!s.n || !letter(s.p[0]) || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == ':' || reserved(s))
		return false;
	for (size_t i = 1; i < s.n; i++)
		if (s.p[i] == '\n' || (s.p[i] == '#' && s.p[i - 1] == ' ') || (s.p[i] == ' ' && s.p[i - 1] == ':'))
			return false;
	return true;
}

bool
out_plain(struct str s)
{
	return all_printable(s) && plain(s);
}

static void
double_quoted(struct buf *b, struct str s)
{
	static const char name[] = "\"\\\n\t\r", is[] = "\"\\ntr";
	uint32_t c;

	buf_addc(b, '"');
	for (size_t i = 0, n; i < s.n; i += n) {
		const char *found = s.p[i] ? strchr(name, s.p[i]) : NULL;

		n = utf8_get(s.p + i, s.n - i, &c);
		if (found)
			buf_printf(b, "\\%c", is[found - name]);
		else if (printable(c))
			buf_add(b, s.p + i, n);
		else
			buf_printf(b, c < 0x100 ? "\\x%02lx" : "\\u%04lx", (unsigned long)c);
	}
	buf_addc(b, '"');
}

static void
single_quoted(struct buf *b, struct str s)
{
	buf_addc(b, '\'');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\'')
			buf_addc(b, '\'');
		buf_addc(b, s.p[i]);
	}
	buf_addc(b, '\'');
}

/* A text on one line: a key, or a value without lines. */
static void
flow(struct buf *b, struct str s)
{
	if (!all_printable(s) || memchr(s.p, '\n', s.n))
		double_quoted(b, s);
	else if (plain(s))
		buf_add(b, s.p, s.n);
	else
		single_quoted(b, s);
}

/* Whether s may stand below a |: lines that begin and end where one sees it. */
static bool
lines(struct str s)
{
	if (s.n < 2 || s.p[0] == ' ' || s.p[0] == '\n' || (s.p[s.n - 1] == '\n' && s.p[s.n - 2] == '\n'))
		return false;
	return memchr(s.p, '\n', s.n) && all_printable(s);
}

static void
mark(struct buf *b, const struct json *v)
{
	if (v->tag == OUT_MODIFIED)
		buf_adds(b, "  # Modified");
}

static void
literal(struct buf *b, const struct json *v, int indent)
{
	const char *p = v->s, *end = v->s + v->len;

	buf_adds(b, end[-1] == '\n' ? "|" : "|-");
	mark(b, v);
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;

		buf_addc(b, '\n');
		if (stop > p)
			pad(b, indent);
		buf_add(b, p, (size_t)(stop - p));
		p = stop + 1;
	}
}

/* YAML 1.1 wants a point and a sign in what has an exponent. */
static void
number(struct buf *b, struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != 'e' && s.p[n] != 'E')
		n++;
	buf_add(b, s.p, n);
	if (n == s.n)
		return;
	if (!memchr(s.p, '.', n))
		buf_adds(b, ".0");
	buf_addc(b, 'e');
	if (s.p[n + 1] != '-' && s.p[n + 1] != '+')
		buf_addc(b, '+');
	buf_add(b, s.p + n + 1, s.n - n - 1);
}

/* What fits on the rest of a line; indent is that of lines which belong to it. */
static void
scalar(struct buf *b, const struct json *v, int indent)
{
	struct str s = {v->s, v->len};

	switch (v->type) {
	case JSON_NULL:
		buf_adds(b, "null");
		break;
	case JSON_BOOL:
		buf_adds(b, v->is ? "true" : "false");
		break;
	case JSON_NUM:
		number(b, s);
		break;
	case JSON_STR:
		if (lines(s)) {
			literal(b, v, indent);
			buf_addc(b, '\n');
			return;
		}
		flow(b, s);
		break;
	default:
		buf_adds(b, v->type == JSON_ARR ? "[]" : "{}");
	}
	mark(b, v);
	buf_addc(b, '\n');
}

static bool
nested(const struct json *v)
{
	return (v->type == JSON_ARR || v->type == JSON_OBJ) && v->len;
}

static void
member(struct buf *b, const struct json *v, int indent)
{
	if (v->key.n > LONG_KEY)
		buf_adds(b, "? ");
	flow(b, v->key);
	if (v->key.n > LONG_KEY) {
		buf_addc(b, '\n');
		pad(b, indent);
	}
	buf_addc(b, ':');
	if (!nested(v)) {
		buf_addc(b, ' ');
		scalar(b, v, indent + 2);
		return;
	}
	mark(b, v);
	buf_addc(b, '\n');
	if (v->type == JSON_OBJ)
		members(b, v, indent + 2, false);
	else
		items(b, v, indent + 2, false);
}

/* The lines of an object; begun: the first stands on a line that is there. */
static void
members(struct buf *b, const struct json *obj, int indent, bool begun)
{
	for (const struct json *v = obj->head; v; v = v->next, begun = false) {
		if (!begun)
			pad(b, indent);
		member(b, v, indent);
	}
}

static void
items(struct buf *b, const struct json *arr, int indent, bool begun)
{
	for (const struct json *v = arr->head; v; v = v->next, begun = false) {
		if (!begun)
			pad(b, indent);
		buf_adds(b, "- ");
		if (!nested(v))
			scalar(b, v, indent + 2);
		else if (v->type == JSON_OBJ)
			members(b, v, indent + 2, true);
		else
			items(b, v, indent + 2, true);
	}
}

void
out_yaml(struct buf *b, const struct json *list)
{
	if (list->len)
		items(b, list, 0, false);
	else
		buf_adds(b, "[]\n");
}

void
out_object(struct buf *b, const struct json *obj)
{
	if (obj->len)
		members(b, obj, 0, false);
	else
		buf_adds(b, "{}\n");
}

void
out_json(struct buf *b, const struct json *v)
{
	json_print(b, v, JSON_TAME);
	buf_addc(b, '\n');
}

void
out_jsonl(struct buf *b, const struct json *list)
{
	for (const struct json *v = list->head; v; v = v->next)
		out_json(b, v);
}

int
out_flush(struct buf *b)
{
	int rc = b->len ? sys_write_all(1, b->p, b->len) : 0;

	buf_clear(b);
	if (rc < 0 && errno == EPIPE)
		exit(0);
	if (rc < 0)
		warn("standard output: %s", strerror(errno));
	return rc;
}

void
out_tame(struct buf *b)
{
	struct buf tame = {0};

	buf_visible(&tame, (struct str){b->p, b->len}, "\n");
	buf_free(b);
	*b = tame;
}

int
out_end(struct buf *b)
{
	int rc = out_flush(b) < 0 ? EXIT_REFUSED : 0;

	buf_free(b);
	return rc;
}

int
out_page(struct buf *b)
{
	const char *pager = getenv("PAGER");
	FILE *f;
	int status = 0;

	if (!isatty(1) || !b->len)
		return out_flush(b);
	fflush(NULL);
	signal(SIGPIPE, SIG_DFL);
	f = popen(pager && *pager ? pager : "less -FRX", "w");
	signal(SIGPIPE, SIG_IGN);
	if (!f)
		return out_flush(b);
	fwrite(b->p, 1, b->len, f);
	status = pclose(f);
	if (WIFEXITED(status) && WEXITSTATUS(status) > 125)   /* sh: there is no such command */
		return out_flush(b);
	buf_clear(b);
	return 0;
}
