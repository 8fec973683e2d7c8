/* SPDX-License-Identifier: MIT */
/*
 * Regular expressions in time linear in the text (Thompson's construction, all states of the automaton side by side): no pattern
 * can make it search back.  A pattern is parsed to nodes, the nodes to a program, the program is run over code points.
 *
 * Syntax, as in Perl: . [..] [^..] [[:alpha:]] \d \D \w \W \s \S \h \H \N, ^ $ \A \Z \z \b \B, (..) (?:..) (?<n>..) (?P<n>..)
 * (?'n'..) (?#..) (?imsx-imsx) (?imsx-imsx:..), |, * + ? {n} {n,} {n,m} and their lazy forms, \t \n \r \f \v \a \e \0 \xHH \x{H}
 * \uHHHH \cX \Q..\E.  \d \w \s and [:classes:] are ASCII's, as in MongoDB.  Refused by name: back-references, look-around, atomic
 * groups, possessive repeats, conditions, recursion, \p.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>

enum {
	DEPTH = 200,              /* groups within groups */
	REPEAT = 1000,            /* the largest count in {} */
	PATTERN = 32764,          /* bytes, as in MongoDB */
	PROGRAM = 4000,           /* steps: what a character of text can cost */
	UNLIMITED = -1,
	LAST = 0x10ffff
};

enum node_kind { N_EMPTY, N_CHAR, N_SET, N_ASSERT, N_CAT, N_ALT, N_REPEAT };
enum assertion { A_BEGIN, A_END, A_LAST, A_LINE_BEGIN, A_LINE_END, A_WORD, A_NO_WORD };
enum { F_ICASE = 1, F_LINES = 2, F_DOTALL = 4, F_EXTENDED = 8 };

struct range {
	uint32_t from, to;
};
struct set {
	struct range *range;
	size_t n;
	bool not, icase;
};
struct node {
	enum node_kind kind;
	uint32_t c;               /* N_CHAR: the code point, N_SET: its set, N_ASSERT: which */
	bool icase;
	int a, b;                 /* N_CAT: a, then the list b (-1 none); N_ALT: both; N_REPEAT: a */
	int min, max;
};

enum op { OP_CHAR, OP_ICHAR, OP_SET, OP_ASSERT, OP_SPLIT, OP_JUMP, OP_MATCH };
struct step {
	enum op op;
	uint32_t c;               /* OP_CHAR: code point, OP_SET: set, OP_ASSERT: which; OP_SPLIT, OP_JUMP: where to */
	uint32_t d;               /* OP_SPLIT: the other way */
};

struct regex {
	struct set *set;
	size_t sets;
	struct step *step;
	size_t steps, cap;
	uint32_t *now, *then, *stack;   /* lists of steps */
	uint64_t *mark;           /* of each step: the position at which it was listed last */
	uint64_t serial;
	uint64_t work;            /* steps of this test */
};

struct parser {
	const char *p;
	size_t n, at;
	int flags, depth;
	struct regex *r;
	struct node *node;
	int nodes, cap;
	struct err *e;
};

static const char *const posix_names[] = {
	"alpha", "digit", "alnum", "upper", "lower", "space", "blank", "punct", "print", "graph", "cntrl", "xdigit", "word"
};
static const struct range posix_ranges[][5] = {
	{{'A', 'Z'}, {'a', 'z'}}, {{'0', '9'}}, {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}, {{'A', 'Z'}}, {{'a', 'z'}}, {{9, 13}, {' ', ' '}},
	{{9, 9}, {' ', ' '}}, {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}, {{' ', '~'}}, {{'!', '~'}}, {{1, 31}, {127, 127}},
	{{'0', '9'}, {'A', 'F'}, {'a', 'f'}}, {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
};
enum { P_DIGIT = 1, P_SPACE = 5, P_BLANK = 6, P_WORD = 12 };

static int parse_alt(struct parser *p);

static int
wrong(struct parser *p, size_t at, const char *what)
{
	return err_at(p->e, 400, at, "%s at position %lu", what, (unsigned long)at);
}

/* ---- characters ---- */

/* The other case of a letter, or c.  Rows of simple folding: blocks whose cases lie apart by a distance, or side by side. */
static uint32_t
other_case(uint32_t c)
{
	static const struct {
		uint32_t from, to;
		int way;          /* distance to the other case; 0: even upper, odd lower; 1: odd upper, even lower */
	} row[] = {
		{'A', 'Z', 32}, {'a', 'z', -32}, {0xc0, 0xd6, 32}, {0xd8, 0xde, 32}, {0xe0, 0xf6, -32}, {0xf8, 0xfe, -32},
		{0x100, 0x12f, 0},
		{0x132, 0x137, 0}, {0x139, 0x148, 1}, {0x14a, 0x177, 0}, {0x179, 0x17e, 1}, {0x391, 0x3a1, 32}, {0x3a3, 0x3ab, 32},
		{0x3b1, 0x3c1, -32}, {0x3c3, 0x3cb, -32}, {0x400, 0x40f, 80}, {0x410, 0x42f, 32}, {0x430, 0x44f, -32}, {0x450, 0x45f, -80},
		{0x460, 0x481, 0}, {0x48a, 0x4bf, 0}, {0x4d0, 0x52f, 0}, {0x531, 0x556, 48}, {0x561, 0x586, -48}, {0x1e00, 0x1e95, 0},
		{0x1ea0, 0x1eff, 0}
	};

	for (size_t i = 0; i < LEN(row) && c >= row[i].from; i++)
		if (c <= row[i].to) {
			if (row[i].way > 1 || row[i].way < 0)
				return (uint32_t)((int32_t)c + row[i].way);
			return (c & 1) == (uint32_t)row[i].way ? c + 1 : c - 1;
		}
	return c;
}

static bool
in_ranges(const struct set *s, uint32_t c)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (c > s->range[mid].to)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n && c >= s->range[low].from;
}

static bool
in_set(const struct set *s, uint32_t c)
{
	return (in_ranges(s, c) || (s->icase && in_ranges(s, other_case(c)))) != s->not;
}

static bool
is_word(uint32_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static void
add_range(struct set *s, uint32_t from, uint32_t to)
{
	if (!(s->n & (s->n - 1)))   /* full: the room is a power of two */
		s->range = xrealloc(s->range, (s->n ? 2 * s->n : 1) * sizeof *s->range);
	s->range[s->n++] = (struct range){from, to};
}

static int
by_from(const void *a, const void *b)
{
	uint32_t x = ((const struct range *)a)->from, y = ((const struct range *)b)->from;

	return (x > y) - (x < y);
}

/* In order, without overlaps: for in_ranges. */
static void
order_set(struct set *s)
{
	size_t n = 0;

	if (!s->n)
		return;
	qsort(s->range, s->n, sizeof *s->range, by_from);
	for (size_t i = 1; i < s->n; i++)
		if (s->range[i].from > s->range[n].to)
			s->range[++n] = s->range[i];
		else if (s->range[i].to > s->range[n].to)
			s->range[n].to = s->range[i].to;
	s->n = n + 1;
}

/* The ranges of a named class, or what lies between them. */
static void
add_class(struct set *s, int which, bool not)
{
	const struct range *r = posix_ranges[which];
	uint32_t next = 0;

	for (size_t i = 0; i < LEN(posix_ranges[0]) && r[i].to; i++) {
		if (!not)
			add_range(s, r[i].from, r[i].to);
		else if (r[i].from > next)
			add_range(s, next, r[i].from - 1);
		next = r[i].to + 1;
	}
	if (not)
		add_range(s, next, LAST);
}

/* ---- nodes ---- */

static int
new_node(struct parser *p, struct node n)
{
	if (p->nodes == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 64;
		p->node = xrealloc(p->node, (size_t)p->cap * sizeof *p->node);
	}
	p->node[p->nodes] = n;
	return p->nodes++;
}

/* Node a behind the list that begins at *head and ends at *tail; -1: it is empty. */
static void
append(struct parser *p, int *head, int *tail, int a)
{
	int n = new_node(p, (struct node){.kind = N_CAT, .a = a, .b = -1});

	if (*head < 0)
		*head = n;
	else
		p->node[*tail].b = n;
	*tail = n;
}

static struct set *
new_set(struct parser *p)
{
	struct regex *r = p->r;

	if (!(r->sets & (r->sets - 1)))   /* none, or a power of two */
		r->set = xrealloc(r->set, (r->sets ? 2 * r->sets : 1) * sizeof *r->set);
	r->set[r->sets] = (struct set){.icase = p->flags & F_ICASE};
	return &r->set[r->sets++];
}

static int
set_node(struct parser *p)
{
	return new_node(p, (struct node){.kind = N_SET, .c = (uint32_t)(p->r->sets - 1)});
}

static int
char_node(struct parser *p, uint32_t c)
{
	bool icase = p->flags & F_ICASE && other_case(c) != c;

	return new_node(p, (struct node){.kind = N_CHAR, .c = c, .icase = icase});
}

static int
assert_node(struct parser *p, enum assertion which)
{
	return new_node(p, (struct node){.kind = N_ASSERT, .c = which});
}

static int
class_node(struct parser *p, int which, bool not)
{
	add_class(new_set(p), which, not);
	return set_node(p);
}

/* ---- the pattern ---- */

static int
peek(const struct parser *p)
{
	return p->at < p->n ? (unsigned char)p->p[p->at] : -1;
}

static bool
ahead(struct parser *p, const char *text)
{
	size_t n = strlen(text);

	if (p->n - p->at < n || memcmp(p->p + p->at, text, n))
		return false;
	p->at += n;
	return true;
}

static uint32_t
next_char(struct parser *p)
{
	uint32_t c = 0;
	size_t n = utf8_get(p->p + p->at, p->n - p->at, &c);

	p->at += n ? n : 1;   /* regex_new has seen that it is UTF-8 */
	return c;
}

static int
take_hex(struct parser *p, int least, int most, uint32_t *c)
{
	int n = 0;

	for (*c = 0; n < most && hex_digit(peek(p)) >= 0; n++, p->at++)
		*c = *c * 16 + (uint32_t)hex_digit(peek(p));
	return n < least || *c > LAST ? wrong(p, p->at, "bad hexadecimal number") : 0;
}

/* \x has been read. */
static int
take_x(struct parser *p, uint32_t *c)
{
	if (!ahead(p, "{"))
		return take_hex(p, 0, 2, c);
	if (take_hex(p, 1, 8, c) < 0)
		return -1;
	return ahead(p, "}") ? 0 : wrong(p, p->at, "missing }");
}

/* What follows a backslash and stands for one character, in a set and outside.  1 and *c; 0: it is not of these; -1. */
static int
take_escape(struct parser *p, uint32_t *c)
{
	static const char from[] = "tnrfvae", to[] = "\t\n\r\f\v\a\033";
	int k = peek(p);
	const char *q;

	if (k < 0)
		return wrong(p, p->at, "nothing after \\");
	if (k < 128 && (q = strchr(from, k)) && *q) {
		*c = (unsigned char)to[q - from];
		p->at++;
		return 1;
	}
	if (k == 'x' || k == 'u') {
		p->at++;
		return (k == 'x' ? take_x(p, c) : take_hex(p, 4, 4, c)) < 0 ? -1 : 1;
	}
	if (k == 'c') {
		k = p->at + 1 < p->n ? (unsigned char)p->p[p->at + 1] : 0;
		if (k < '@' || k > 'z')
			return wrong(p, p->at, "bad control character");
		*c = (uint32_t)(k & 31);
		p->at += 2;
		return 1;
	}
	if (k == '0') {
		*c = 0;
		for (int i = 0; i < 3 && peek(p) >= '0' && peek(p) <= '7'; i++)
			*c = *c * 8 + (uint32_t)(p->p[p->at++] - '0');
		return 1;
	}
	if (is_word((uint32_t)k))
		return 0;
	*c = next_char(p);
	return 1;
}

/* The class of \d \W and so on, or -1.  Moves on when it is one. */
static int
take_class(struct parser *p, bool *not)
{
	static const char names[] = "dswh", which[] = {P_DIGIT, P_SPACE, P_WORD, P_BLANK};
	int k = peek(p);

	for (size_t i = 0; i < LEN(which); i++)
		if (k == names[i] || k == names[i] - 32) {
			*not = k < 'a';
			p->at++;
			return which[i];
		}
	return -1;
}

/* [:name:], the [ has been seen.  1, 0: it is none, -1. */
static int
take_posix(struct parser *p, struct set *s)
{
	size_t from = p->at + 2, end;
	bool not;

	if (p->n - p->at < 4 || p->p[p->at + 1] != ':')
		return 0;
	for (end = from; end + 1 < p->n && p->p[end] != ':' && p->p[end] != ']'; end++)
		;
	if (end + 1 >= p->n || p->p[end] != ':' || p->p[end + 1] != ']')
		return 0;
	not = p->p[from] == '^';
	for (size_t i = 0; i < LEN(posix_names); i++)
		if (str_is((struct str){p->p + from + not, end - from - not}, posix_names[i])) {
			add_class(s, (int)i, not);
			p->at = end + 2;
			return 1;
		}
	return wrong(p, p->at, "unknown class");
}

/* One character of a set, or a class of many.  1 and *c, 0 when a class was added, -1. */
static int
take_member(struct parser *p, struct set *s, uint32_t *c)
{
	int which, rc;
	bool not;

	if (peek(p) == '[') {
		rc = take_posix(p, s);
		if (rc)
			return rc < 0 ? -1 : 0;
	}
	if (!ahead(p, "\\")) {
		*c = next_char(p);
		return 1;
	}
	which = take_class(p, &not);
	if (which >= 0) {
		add_class(s, which, not);
		return 0;
	}
	if (ahead(p, "b")) {
		*c = '\b';
		return 1;
	}
	rc = take_escape(p, c);
	return rc ? rc : wrong(p, p->at - 1, "unknown escape");
}

/* The [ has been read. */
static int
parse_set(struct parser *p)
{
	struct set *s = new_set(p);
	size_t begin = p->at - 1;
	bool first = true;

	s->not = ahead(p, "^");
	for (; peek(p) >= 0 && (peek(p) != ']' || first); first = false) {
		size_t at = p->at;
		uint32_t from = 0, to = 0;
		int rc = take_member(p, s, &from);

		if (rc < 0)
			return -1;
		if (!rc)
			continue;
		to = from;
		if (peek(p) == '-' && p->at + 1 < p->n && p->p[p->at + 1] != ']') {
			p->at++;
			rc = take_member(p, s, &to);
			if (rc < 0)
				return -1;
			if (!rc) {   /* a-\d: both, and the - */
				add_range(s, '-', '-');
				to = from;
			}
			if (to < from)
				return wrong(p, at, "range out of order");
		}
		add_range(s, from, to);
	}
	order_set(s);
	return ahead(p, "]") ? set_node(p) : wrong(p, begin, "missing ]");
}

/* imsx-imsx, up to : or ).  -1: something else. */
static int
take_flags(struct parser *p, int *flags)
{
	bool on = true;

	for (;; p->at++) {
		int k = peek(p), f;

		f = k == 'i' ? F_ICASE : k == 'm' ? F_LINES : k == 's' ? F_DOTALL : k == 'x' ? F_EXTENDED : 0;
		if (f)
			*flags = on ? *flags | f : *flags & ~f;
		else if (k == '-' && on)
			on = false;
		else
			return k == ':' || k == ')' ? 0 : -1;
	}
}

/* The name of (?<n>: anything that is a word. */
static int
take_name(struct parser *p, int end)
{
	size_t from = p->at;

	while (peek(p) >= 0 && is_word((uint32_t)peek(p)))
		p->at++;
	if (p->at == from || peek(p) != end)
		return wrong(p, from, "bad name of a group");
	p->at++;
	return 0;
}

/* What follows (?.  1: a group begins; 0: nothing is left of it; -1. */
static int
parse_special(struct parser *p)
{
	size_t at = p->at - 2;
	int flags = p->flags;

	if (ahead(p, "#")) {
		while (peek(p) >= 0 && peek(p) != ')')
			p->at++;
		return ahead(p, ")") ? 0 : wrong(p, at, "missing )");
	}
	if (ahead(p, "=") || ahead(p, "!") || ahead(p, "<=") || ahead(p, "<!"))
		return wrong(p, at, "look-around is not supported");
	if (ahead(p, "P=") || ahead(p, "P>"))
		return wrong(p, at, "back-references are not supported");
	if (ahead(p, "P<") || ahead(p, "<"))
		return take_name(p, '>') < 0 ? -1 : 1;
	if (ahead(p, "'"))
		return take_name(p, '\'') < 0 ? -1 : 1;
	if (take_flags(p, &flags) < 0)
		return wrong(p, at, "a group of this kind is not supported");
	p->flags = flags;
	return p->p[p->at++] == ':';
}

/* The ( has been read. */
static int
parse_group(struct parser *p)
{
	size_t begin = p->at - 1;
	int flags = p->flags, n, rc = 1;

	if (ahead(p, "?"))
		rc = parse_special(p);
	if (rc < 0)
		return -1;
	if (!rc)   /* (?i): its flags hold to the end of the group around it */
		return new_node(p, (struct node){.kind = N_EMPTY});
	if (++p->depth > DEPTH)
		return wrong(p, begin, "too many groups in groups");
	n = parse_alt(p);
	p->depth--;
	p->flags = flags;
	return n < 0 ? -1 : ahead(p, ")") ? n : wrong(p, begin, "missing )");
}

/* Text between \Q and \E. */
static int
parse_quoted(struct parser *p)
{
	int head = -1, tail = -1;

	append(p, &head, &tail, new_node(p, (struct node){.kind = N_EMPTY}));
	while (p->at < p->n && !ahead(p, "\\E"))
		append(p, &head, &tail, char_node(p, next_char(p)));
	return head;
}

/* The \ has been read. */
static int
parse_escape(struct parser *p)
{
	static const struct {
		char name;
		enum assertion is;
	} row[] = {{'A', A_BEGIN}, {'z', A_END}, {'Z', A_LAST}, {'b', A_WORD}, {'B', A_NO_WORD}};
	size_t at = p->at - 1;
	int k = peek(p), which, rc;
	uint32_t c;
	bool not;

	for (size_t i = 0; i < LEN(row); i++)
		if (k == row[i].name) {
			p->at++;
			return assert_node(p, row[i].is);
		}
	which = take_class(p, &not);
	if (which >= 0)
		return class_node(p, which, not);
	if (ahead(p, "Q"))
		return parse_quoted(p);
	if (ahead(p, "E"))
		return new_node(p, (struct node){.kind = N_EMPTY});
	if (ahead(p, "N")) {
		struct set *s = new_set(p);

		s->not = true;
		add_range(s, '\n', '\n');
		return set_node(p);
	}
	if ((k >= '1' && k <= '9') || k == 'k' || k == 'g')
		return wrong(p, at, "back-references are not supported");
	if (k == 'p' || k == 'P' || k == 'X')
		return wrong(p, at, "Unicode properties are not supported");
	rc = take_escape(p, &c);
	if (rc < 0)
		return -1;
	return rc ? char_node(p, c) : wrong(p, at, "unknown escape");
}

static int
parse_dot(struct parser *p)
{
	struct set *s = new_set(p);

	s->not = true;
	if (!(p->flags & F_DOTALL))
		add_range(s, '\n', '\n');
	return set_node(p);
}

static int
parse_atom(struct parser *p)
{
	size_t at = p->at;

	switch (peek(p)) {
	case '(':
		p->at++;
		return parse_group(p);
	case '[':
		p->at++;
		return parse_set(p);
	case '\\':
		p->at++;
		return parse_escape(p);
	case '.':
		p->at++;
		return parse_dot(p);
	case '^':
		p->at++;
		return assert_node(p, p->flags & F_LINES ? A_LINE_BEGIN : A_BEGIN);
	case '$':
		p->at++;
		return assert_node(p, p->flags & F_LINES ? A_LINE_END : A_LAST);
	case '*': case '+': case '?':
		return wrong(p, at, "nothing to repeat");
	default:
		return char_node(p, next_char(p));
	}
}

/* {n}, {n,}, {n,m}.  1, 0: it is text, -1. */
static int
take_counts(struct parser *p, int *min, int *max)
{
	size_t at = p->at, q = at + 1;
	int v[2] = {0, 0}, digits[2] = {0, 0}, i = 0;

	for (; q < p->n && p->p[q] != '}'; q++) {
		if (p->p[q] == ',' && !i) {
			i = 1;
			continue;
		}
		if (p->p[q] < '0' || p->p[q] > '9')
			return 0;
		v[i] = v[i] > REPEAT ? v[i] : v[i] * 10 + (p->p[q] - '0');
		digits[i]++;
	}
	if (q >= p->n || !digits[0])
		return 0;
	if (v[0] > REPEAT || v[1] > REPEAT)
		return wrong(p, at, "a count above 1000");
	*min = v[0];
	*max = !i ? v[0] : digits[1] ? v[1] : UNLIMITED;
	if (*max != UNLIMITED && *max < *min)
		return wrong(p, at, "counts out of order");
	p->at = q + 1;
	return 1;
}

/* A repeat that stands here.  1 and the counts, 0: none, -1. */
static int
take_repeat(struct parser *p, int *min, int *max)
{
	int rc = 1;

	if (ahead(p, "*")) {
		*min = 0;
		*max = UNLIMITED;
	} else if (ahead(p, "+")) {
		*min = 1;
		*max = UNLIMITED;
	} else if (ahead(p, "?")) {
		*min = 0;
		*max = 1;
	} else {
		rc = peek(p) == '{' ? take_counts(p, min, max) : 0;
	}
	if (rc > 0 && peek(p) == '+')
		return wrong(p, p->at, "possessive repeats are not supported");
	if (rc > 0)
		ahead(p, "?");   /* lazy or not is the same when only a match is asked for */
	return rc;
}

/* White space and comments of the x option. */
static void
skip_space(struct parser *p)
{
	while (p->flags & F_EXTENDED && peek(p) > 0) {
		int k = peek(p);

		if (k == '#')
			while (peek(p) >= 0 && peek(p) != '\n')
				p->at++;
		else if (strchr(" \t\n\r\f\v", k))
			p->at++;
		else
			break;
	}
}

/* Whether another repeat stands here. */
static bool
again(const struct parser *p)
{
	struct parser look = *p;
	struct err e = {0};
	int min, max;

	look.e = &e;
	return take_repeat(&look, &min, &max) != 0;
}

/* Atoms and their repeats up to | or ). */
static int
parse_cat(struct parser *p)
{
	int head = -1, tail = -1, a, min = 0, max = 0, rc;

	append(p, &head, &tail, new_node(p, (struct node){.kind = N_EMPTY}));
	for (;;) {
		skip_space(p);
		if (peek(p) < 0 || peek(p) == '|' || peek(p) == ')')
			return head;
		a = parse_atom(p);
		if (a < 0)
			return -1;
		skip_space(p);
		rc = take_repeat(p, &min, &max);
		if (rc < 0)
			return -1;
		if (rc)
			a = new_node(p, (struct node){.kind = N_REPEAT, .a = a, .min = min, .max = max});
		skip_space(p);
		if (rc && again(p))
			return wrong(p, p->at, "a repeat of a repeat");
		append(p, &head, &tail, a);
	}
}

static int
parse_alt(struct parser *p)
{
	int n = parse_cat(p);

	while (n >= 0 && ahead(p, "|")) {
		int b = parse_cat(p);

		if (b < 0)
			return -1;
		n = new_node(p, (struct node){.kind = N_ALT, .a = n, .b = b});
	}
	return n;
}

/* ---- the program ---- */

static int
emit(struct parser *p, struct step s)
{
	struct regex *r = p->r;

	if (r->steps >= PROGRAM)
		return err_set(p->e, 400, "too large: its repeats make more than %d steps", PROGRAM);
	if (r->steps == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 32;
		r->step = xrealloc(r->step, r->cap * sizeof *r->step);
	}
	r->step[r->steps] = s;
	return (int)r->steps++;
}

static int compile(struct parser *p, int n);

/* a as often as min, then what may follow. */
static int
compile_repeat(struct parser *p, const struct node n)
{
	struct regex *r = p->r;
	int at;

	for (int i = 0; i < n.min; i++) {
		size_t was = r->steps;

		if (compile(p, n.a) < 0)
			return -1;
		if (r->steps == was)   /* nothing, however often */
			break;
	}
	if (n.max == UNLIMITED) {   /* split out, a, jump back */
		at = emit(p, (struct step){.op = OP_SPLIT});
		if (at < 0 || compile(p, n.a) < 0 || emit(p, (struct step){.op = OP_JUMP, .c = (uint32_t)at}) < 0)
			return -1;
		r->step[at].c = (uint32_t)at + 1;
		r->step[at].d = (uint32_t)r->steps;
		return 0;
	}
	for (int i = n.min; i < n.max; i++) {
		at = emit(p, (struct step){.op = OP_SPLIT});
		if (at < 0 || compile(p, n.a) < 0)
			return -1;
		r->step[at].c = (uint32_t)at + 1;
		r->step[at].d = (uint32_t)r->steps;
	}
	return 0;
}

static int
compile_alt(struct parser *p, const struct node n)
{
	struct regex *r = p->r;
	int split = emit(p, (struct step){.op = OP_SPLIT}), jump;

	if (split < 0 || compile(p, n.a) < 0 || (jump = emit(p, (struct step){.op = OP_JUMP})) < 0)
		return -1;
	r->step[split].c = (uint32_t)split + 1;
	r->step[split].d = (uint32_t)r->steps;
	if (compile(p, n.b) < 0)
		return -1;
	r->step[jump].c = (uint32_t)r->steps;
	return 0;
}

/* The steps of node n.  Deep go only groups, which are bounded, and alternatives, which each make a step first. */
static int
compile(struct parser *p, int n)
{
	struct node x = p->node[n];

	for (; x.kind == N_CAT && x.b >= 0; x = p->node[x.b])
		if (compile(p, x.a) < 0)
			return -1;
	switch (x.kind) {
	case N_EMPTY:
		return 0;
	case N_CHAR:
		return emit(p, (struct step){.op = x.icase ? OP_ICHAR : OP_CHAR, .c = x.c});
	case N_SET:
		return emit(p, (struct step){.op = OP_SET, .c = x.c});
	case N_ASSERT:
		return emit(p, (struct step){.op = OP_ASSERT, .c = x.c});
	case N_CAT:
		return compile(p, x.a);
	case N_ALT:
		return compile_alt(p, x);
	case N_REPEAT:
		return compile_repeat(p, x);
	}
	return 0;
}

/* ---- running ---- */

/* What stands on both sides of a position; -1: nothing. */
struct spot {
	int32_t before, after;
	bool last;                /* only a newline, or nothing, follows */
};

static bool
holds(enum assertion a, const struct spot *at)
{
	bool left = at->before >= 0 && is_word((uint32_t)at->before), right = at->after >= 0 && is_word((uint32_t)at->after);

	switch (a) {
	case A_BEGIN:
		return at->before < 0;
	case A_END:
		return at->after < 0;
	case A_LAST:
		return at->last;
	case A_LINE_BEGIN:
		return at->before < 0 || at->before == '\n';
	case A_LINE_END:
		return at->after < 0 || at->after == '\n';
	case A_WORD:
		return left != right;
	case A_NO_WORD:
		return left == right;
	}
	return false;
}

/* Lists step pc and all that it leads to without a character.  True: the end is among them. */
static bool
follow(struct regex *r, uint32_t *list, size_t *n, uint32_t pc, const struct spot *at)
{
	size_t depth = 0;

	r->stack[depth++] = pc;
	while (depth) {
		const struct step *s;

		pc = r->stack[--depth];
		r->work++;
		if (r->mark[pc] == r->serial)
			continue;
		r->mark[pc] = r->serial;
		s = &r->step[pc];
		if (s->op == OP_MATCH)
			return true;
		if (s->op == OP_JUMP) {
			r->stack[depth++] = s->c;
		} else if (s->op == OP_SPLIT) {
			r->stack[depth++] = s->d;
			r->stack[depth++] = s->c;
		} else if (s->op == OP_ASSERT) {
			if (holds((enum assertion)s->c, at))
				r->stack[depth++] = pc + 1;
		} else {
			list[(*n)++] = pc;
		}
	}
	return false;
}

static bool
accepts(const struct regex *r, const struct step *s, uint32_t c)
{
	if (s->op == OP_SET)
		return in_set(&r->set[s->c], c);
	return s->c == c || (s->op == OP_ICHAR && other_case(c) == s->c);
}

/* The code point at p, and its length.  Bytes that are no UTF-8 stand for themselves. */
static int32_t
char_at(const char *p, size_t n, size_t *len)
{
	uint32_t c;

	*len = n > 0;
	if (!n)
		return -1;
	if ((unsigned char)*p < 0x80)
		return (unsigned char)*p;
	*len = utf8_get(p, n, &c);
	if (*len)
		return (int32_t)c;
	*len = 1;
	return (unsigned char)*p;
}

static struct spot
spot_at(int32_t before, struct str text, size_t at, size_t *len)
{
	struct spot s = {.before = before, .after = char_at(text.p + at, text.n - at, len)};

	s.last = s.after < 0 || (s.after == '\n' && at + 1 == text.n);
	return s;
}

/* Lists in r->then where the n steps of r->now lead to with the character here; *n becomes how many.  True: to the end. */
static bool
advance(struct regex *r, size_t *n, uint32_t c, const struct spot *there)
{
	uint32_t *list = r->now;
	size_t then = 0;

	r->serial++;
	r->work += *n;
	for (size_t i = 0; i < *n; i++)
		if (accepts(r, &r->step[list[i]], c) && follow(r, r->then, &then, list[i] + 1, there))
			return true;
	r->now = r->then;
	r->then = list;
	*n = then;
	return false;
}

static bool
search(struct regex *r, struct str text, uint64_t most)
{
	size_t n = 0, at = 0, len;
	struct spot here = spot_at(-1, text, 0, &len);

	r->serial++;
	while (r->work < most) {
		int32_t c = here.after;

		if (follow(r, r->now, &n, 0, &here))   /* a match can begin anywhere */
			return true;
		if (c < 0)
			return false;
		at += len;
		here = spot_at(c, text, at, &len);
		if (advance(r, &n, (uint32_t)c, &here))
			return true;
	}
	return false;
}

bool
regex_test(struct regex *r, struct str text, uint64_t *left)
{
	bool is;

	r->work = 0;
	is = search(r, text, *left);
	*left -= r->work < *left ? r->work : *left;
	return is;
}

/* ---- beginning and end ---- */

static int
read_options(struct parser *p, struct str options)
{
	for (size_t i = 0; i < options.n; i++) {
		char k = options.p[i];

		p->flags |= k == 'i' ? F_ICASE : k == 'm' ? F_LINES : k == 's' ? F_DOTALL : k == 'x' ? F_EXTENDED : 0;
		if (!strchr("imsx", k) || !k)
			return err_set(p->e, 400, "$options: unknown option: i, m, s and x are known");
	}
	return 0;
}

struct regex *
regex_new(struct str pattern, struct str options, struct err *e)
{
	struct regex *r = xcalloc(1, sizeof *r);
	struct parser p = {.p = pattern.p, .n = pattern.n, .r = r, .e = e};
	int root = -1;

	if (pattern.n > PATTERN)
		err_set(e, 400, "longer than %d bytes", PATTERN);
	else if (!utf8_valid(pattern.p, pattern.n))
		err_set(e, 400, "not UTF-8");
	else if (!read_options(&p, options))
		root = parse_alt(&p);
	if (root >= 0 && p.at < p.n)
		root = wrong(&p, p.at, "unmatched )");
	if (root >= 0 && (compile(&p, root) < 0 || emit(&p, (struct step){.op = OP_MATCH}) < 0))
		root = -1;
	free(p.node);
	if (root < 0) {
		regex_free(r);
		return NULL;
	}
	r->now = xcalloc(r->steps, sizeof *r->now);
	r->then = xcalloc(r->steps, sizeof *r->then);
	r->stack = xcalloc(2 * r->steps + 2, sizeof *r->stack);
	r->mark = xcalloc(r->steps, sizeof *r->mark);
	return r;
}

void
regex_free(struct regex *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->sets; i++)
		free(r->set[i].range);
	free(r->set);
	free(r->step);
	free(r->now);
	free(r->then);
	free(r->stack);
	free(r->mark);
	free(r);
}
