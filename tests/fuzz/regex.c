/* SPDX-License-Identifier: MIT */
/*
 * regex.c.  An even first byte: a pattern, a newline, a text; what is taken costs no more than it may, and means the same in a
 * group.  An odd one: the bytes are the choices by which a pattern and a text are grown, and a model, which reckons for each part
 * of the pattern at which places it can end, says whether it matches.
 */
#include "../../server/regex.c"
#include "fuzz.h"

/* ---- the model ---- */

enum { TEXT = 24, NODES = 60 };
enum kind { K_CHAR, K_DOT, K_SET, K_ASSERT, K_EMPTY, K_CAT, K_ALT, K_REPEAT };
enum { ICASE = 1, LINES = 2, DOTALL = 4 };

struct part {
	enum kind kind;
	uint32_t c;               /* K_CHAR; K_SET: which; K_ASSERT: its letter */
	const struct part *a, *b;
	int min, max;             /* max -1: any */
};
struct model {
	const uint8_t *p;         /* choices */
	size_t n;
	struct part part[NODES];
	int parts;
	struct buf pattern;
	uint32_t text[TEXT];
	int len, flags;
};

static unsigned
choose(struct model *m, unsigned n)
{
	unsigned v = m->n ? *m->p : 0;

	if (m->n) {
		m->p++;
		m->n--;
	}
	return v % n;
}

static const uint32_t letters[] = {'a', 'b', 'A', 'B', '1', '_', ' ', '\n', 0xe4, 0xc4, '-', 0x1f600};

static const struct part *
new_part(struct model *m, struct part p)
{
	m->part[m->parts] = p;
	return &m->part[m->parts++];
}

static void
put(struct buf *b, uint32_t c)
{
	char utf8[4];

	buf_add(b, utf8, utf8_put(utf8, c));
}

static uint32_t
fold(uint32_t c)
{
	return (c >= 'A' && c <= 'Z') || c == 0xc4 ? c + 32 : c;
}

static bool
word(uint32_t c)
{
	return c == 'a' || c == 'b' || c == 'A' || c == 'B' || c == '1' || c == '_';
}

static bool
low(uint32_t c)
{
	return c == 'a' || c == 'b';
}

static const struct {
	const char *text;
	const char *ascii;        /* what of the letters below 128 is in it */
	bool beyond;              /* the others are */
} sets[] = {
	{"\\d", "1", false}, {"\\D", "abAB_ \n-", true}, {"\\w", "abAB1_", false}, {"\\W", " \n-", true}, {"\\s", " \n", false},
	{"\\S", "abAB1_-", true}, {"\\N", "abAB1_ -", true}, {"[ab]", "ab", false}, {"[^ab]", "AB1_ \n-", true},
	{"[a-b\\d]", "ab1", false},
	{"[A-Z]", "AB", false}, {"[^A-Z_-]", "ab1 \n", true}, {"[[:alpha:]-]", "abAB-", false}, {"[[:^alpha:]]", "1_ \n-", true},
	{"[]a]", "a", false}, {"[^]\\n]", "abAB1_ -", true}, {"\\h", " ", false}, {"[\\x41-\\x{42}]", "AB", false},
};

static bool
in_plain(size_t which, uint32_t c)
{
	return c < 128 ? strchr(sets[which].ascii, (int)c) != NULL : sets[which].beyond;
}

/* In either case with ICASE; of what a set leaves out both cases are left out. */
static bool
is_member(const struct model *m, size_t which, uint32_t c)
{
	bool not = sets[which].text[1] == '^', in = in_plain(which, c);
	uint32_t other = low(c) ? c - 32 : fold(c) != c ? fold(c) : c == 0xe4 ? 0xc4 : c;

	return m->flags & ICASE && not ? in && in_plain(which, other) : in || (m->flags & ICASE && in_plain(which, other));
}

static const struct part *grow(struct model *m, int depth);

static const struct part *
grow_leaf(struct model *m)
{
	static const char asserts[] = "^$AzZbB";
	unsigned which;

	switch (choose(m, 6)) {
	case 0:
		buf_addc(&m->pattern, '.');
		return new_part(m, (struct part){.kind = K_DOT});
	case 1:
		which = choose(m, LEN(sets));
		buf_adds(&m->pattern, sets[which].text);
		return new_part(m, (struct part){.kind = K_SET, .c = which});
	case 2:
		which = choose(m, LEN(asserts) - 1);
		if (which > 1)
			buf_addc(&m->pattern, '\\');
		buf_addc(&m->pattern, asserts[which]);
		return new_part(m, (struct part){.kind = K_ASSERT, .c = (unsigned char)asserts[which]});
	default:
		which = choose(m, LEN(letters));
		put(&m->pattern, letters[which]);
		return new_part(m, (struct part){.kind = K_CHAR, .c = letters[which]});
	}
}

static const struct part *
grow_group(struct model *m, int depth)
{
	static const char *const begin[] = {"(", "(?:", "(?<n>", "(?P<name>"};
	const struct part *a;

	buf_adds(&m->pattern, begin[choose(m, LEN(begin))]);
	a = grow(m, depth + 1);
	buf_addc(&m->pattern, ')');
	return a;
}

static const struct part *
grow_repeat(struct model *m, const struct part *a)
{
	static const struct {
		const char *text;
		int min, max;
	} rows[] = {
		{"*", 0, -1}, {"+", 1, -1}, {"?", 0, 1}, {"{2}", 2, 2}, {"{1,}", 1, -1}, {"{0,2}", 0, 2}, {"{2,3}", 2, 3}, {"{0}", 0, 0}
	};
	unsigned which = choose(m, LEN(rows));

	buf_adds(&m->pattern, rows[which].text);
	if (choose(m, 4) == 0)
		buf_addc(&m->pattern, '?');
	return new_part(m, (struct part){.kind = K_REPEAT, .a = a, .min = rows[which].min, .max = rows[which].max});
}

/* Alternatives of lists of leaves and groups, each maybe repeated. */
static const struct part *
grow(struct model *m, int depth)
{
	const struct part *all = NULL, *list, *a;

	do {
		if (all)
			buf_addc(&m->pattern, '|');
		list = new_part(m, (struct part){.kind = K_EMPTY});
		for (unsigned n = choose(m, 4); n-- && m->parts < NODES - 12 - 4 * depth;) {
			a = depth < 4 && choose(m, 3) == 0 ? grow_group(m, depth) : grow_leaf(m);
			if (m->parts < NODES - 8 && choose(m, 3) == 0)
				a = grow_repeat(m, a);
			list = new_part(m, (struct part){.kind = K_CAT, .a = list, .b = a});
			if (m->parts > NODES - 6)
				break;
		}
		all = all && m->parts < NODES ? new_part(m, (struct part){.kind = K_ALT, .a = all, .b = list}) : list;
	} while (m->parts < NODES - 14 && choose(m, 4) == 0);
	return all;
}

static bool
stands(const struct model *m, uint32_t which, int i)
{
	bool left = i > 0 && word(m->text[i - 1]), right = i < m->len && word(m->text[i]);
	bool last = i == m->len || (i == m->len - 1 && m->text[i] == '\n');

	switch (which) {
	case '^':
		return !i || (m->flags & LINES && m->text[i - 1] == '\n');
	case '$':
		return m->flags & LINES ? i == m->len || m->text[i] == '\n' : last;
	case 'A':
		return !i;
	case 'z':
		return i == m->len;
	case 'Z':
		return last;
	default:
		return (left != right) == (which == 'b');
	}
}

/* Where p can end when it begins at one of the places in from. */
static uint32_t
ends(const struct model *m, const struct part *p, uint32_t from)
{
	uint32_t to = 0, more;

	switch (p->kind) {
	case K_EMPTY:
		return from;
	case K_CAT:
		return ends(m, p->b, ends(m, p->a, from));
	case K_ALT:
		return ends(m, p->a, from) | ends(m, p->b, from);
	case K_REPEAT:
		for (int i = 0; i < p->min; i++)
			from = ends(m, p->a, from);
		to = from;
		for (int i = p->min; from && i != p->max; i++) {
			more = to | ends(m, p->a, from);
			if (more == to)
				break;
			from = to = more;
		}
		return to;
	default:
		break;
	}
	for (int i = 0; i <= m->len; i++) {
		if (!(from & 1u << i))
			continue;
		if (p->kind == K_ASSERT) {
			to |= stands(m, p->c, i) ? 1u << i : 0;
		} else if (i < m->len) {
			uint32_t c = m->text[i];
			bool is = p->kind == K_DOT ? c != '\n' || m->flags & DOTALL : p->kind == K_SET ? is_member(m, p->c, c) :
			    c == p->c || (m->flags & ICASE && fold(c) == fold(p->c));

			to |= is ? 2u << i : 0;
		}
	}
	return to;
}

static void
must_agree(const uint8_t *data, size_t n)
{
	struct model m = {.p = data, .n = n};
	char options[4];
	struct buf text = {0};
	struct err e = {0};
	const struct part *all;
	struct regex *r;
	uint64_t left = 1 << 20;
	bool is, want;

	m.flags = (int)choose(&m, 8);
	snprintf(options, sizeof options, "%s%s%s", m.flags & ICASE ? "i" : "", m.flags & LINES ? "m" : "", m.flags & DOTALL ? "s" : "");
	all = grow(&m, 0);
	for (; m.len < TEXT && m.n; m.len++)
		put(&text, m.text[m.len] = letters[choose(&m, LEN(letters))]);
	buf_adds(&text, "");
	buf_adds(&m.pattern, "");
	r = regex_new((struct str){m.pattern.p, m.pattern.len}, str_of(options), &e);
	must(r, "'%s' is refused: %s", m.pattern.p, e.msg);
	is = regex_test(r, (struct str){text.p, text.len}, &left);
	want = ends(&m, all, (uint32_t)((UINT64_C(2) << m.len) - 1)) != 0;
	must(is == want, "'%s' with '%s' on '%s': %d", m.pattern.p, options, text.p, is);
	regex_free(r);
	buf_free(&m.pattern);
	buf_free(&text);
}

/* ---- any bytes ---- */

static bool
same_in(const char *before, struct str pattern, const char *behind, struct str options, struct str text, bool want)
{
	struct buf b = {0};
	uint64_t left = UINT64_MAX;
	struct regex *r;
	bool same;

	buf_adds(&b, before);
	buf_add(&b, pattern.p, pattern.n);
	buf_adds(&b, behind);
	r = regex_new((struct str){b.p, b.len}, options, NULL);
	same = !r || regex_test(r, text, &left) == want;   /* it may be too large by now */
	regex_free(r);
	buf_free(&b);
	return same;
}

static bool
holds_text(struct str s, const char *what)
{
	size_t n = strlen(what);

	for (size_t i = 0; i + n <= s.n; i++)
		if (!memcmp(s.p + i, what, n))
			return true;
	return false;
}

static void
must_bear(struct str pattern, struct str options, struct str text)
{
	struct err e = {0};
	struct regex *r = regex_new(pattern, options, &e);
	uint64_t left = UINT64_MAX;
	char *other;
	bool is;

	if (!r) {
		must(e.code == 400, "refused with %d", e.code);
		must_tell(&e, pattern.n);
		return;
	}
	is = regex_test(r, text, &left);
	must(UINT64_MAX - left <= (uint64_t)(text.n + 2) * (2 * r->steps + 4), "%lu steps of %lu on %lu bytes",
	    (unsigned long)(UINT64_MAX - left), (unsigned long)r->steps, (unsigned long)text.n);
	if (str_is(options, "i") && !holds_text(pattern, "(?")) {
		other = swap_case(text);
		left = UINT64_MAX;
		must(regex_test(r, (struct str){other, text.n}, &left) == is, "the text in another case");
		free(other);
	}
	regex_free(r);
	/* a comment, or a text in \Q..\E, without end would take in what is put behind */
	if (holds_text(pattern, "#") || holds_text(pattern, "\\Q"))
		return;
	must(same_in("(?:", pattern, ")", options, text, is), "not the same in a group");
	must(same_in("(", pattern, "){1}", options, text, is), "not the same once");
	must(same_in("(?:z{900}y|", pattern, ")", options, text, is) || holds_text(text, "z"), "not the same behind a |");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const options[] = {"", "i", "m", "s", "x", "imsx", "ix", "i"};
	const uint8_t *end;
	struct str pattern, text;

	if (!n)
		return 0;
	if (data[0] & 1) {
		must_agree(data + 1, n - 1);
		return 0;
	}
	end = n > 1 ? memchr(data + 1, '\n', n - 1) : NULL;
	pattern = text_of(data + 1, end ? (size_t)(end - data) - 1 : n - 1);
	text = end ? text_of(end + 1, n - pattern.n - 2) : text_of(data, 0);
	if (text.n < 5000)
		must_bear(pattern, str_of(options[data[0] / 2 % LEN(options)]), text);
	return 0;
}
