/* SPDX-License-Identifier: MIT */
/* regex.c: matches, refusals with their place, and time that stays linear. */
#include "../server/regex.c"
#include "test.h"

#include <time.h>

static bool
finds(struct regex *r, struct str text)
{
	uint64_t left = UINT64_MAX;

	return regex_test(r, text, &left);
}

static void
test_match(void)
{
	static const struct {
		const char *pattern, *options, *text;
		bool is;
	} row[] = {
		{"", "", "", true}, {"", "", "abc", true}, {"b", "", "abc", true}, {"d", "", "abc", false}, {"^b", "", "abc", false},
		{"^a", "", "abc", true}, {"c$", "", "abc", true}, {"c$", "", "abc\n", true}, {"c\\z", "", "abc\n", false}, {"c\\Z", "", "abc\n", true},
		{"b$", "", "ab\nc", false}, {"b$", "m", "ab\nc", true}, {"^c", "m", "ab\nc", true}, {"\\Ac", "m", "ab\nc", false},
		{"a.c", "", "abc", true}, {"a.c", "", "a\nc", false}, {"a.c", "s", "a\nc", true}, {"a\\Nc", "s", "a\nc", false},
		{"ABC", "", "abc", false}, {"ABC", "i", "xabcx", true}, {"\xc3\x84", "i", "\xc3\xa4", true}, {"\xd0\x96", "i", "\xd0\xb6", true},
		{"^.$", "", "\xe2\x82\xac", true}, {"^..$", "", "\xe2\x82\xac", false}, {"[\xe2\x82\xac]", "", "x\xe2\x82\xac", true},
		{"a|b", "", "xb", true}, {"^(a|b)$", "", "b", true}, {"^(?:ab|cd)+$", "", "abcdab", true}, {"^(?:ab|cd)+$", "", "abcda", false},
		{"a*", "", "", true}, {"^a+$", "", "aaa", true}, {"^a+$", "", "", false}, {"^a?b$", "", "b", true}, {"^a{2,3}$", "", "a", false},
		{"^a{2,3}$", "", "aa", true}, {"^a{2,3}$", "", "aaaa", false}, {"^a{2}$", "", "aa", true}, {"^a{2,}$", "", "aaaaa", true},
		{"^a{,3}$", "", "a{,3}", true}, {"a{", "", "a{", true}, {"a{x}", "", "a{x}", true}, {"^a+?$", "", "aaa", true}, {"^a{0}$", "", "", true},
		{"[abc]+", "", "xxb", true}, {"^[^abc]+$", "", "xyz", true}, {"^[^abc]+$", "", "xaz", false}, {"[a-f]", "", "e", true},
		{"[]a]", "", "]", true}, {"[^]a]", "", "]", false}, {"[a-]", "", "-", true}, {"[\\d-x]", "", "-", true}, {"[\\]]", "", "]", true},
		{"[[:alpha:]]", "", "1a", true}, {"^[[:^alpha:]]$", "", "a", false}, {"[[:digit:][:space:]]", "", " ", true}, {"[\\w.]+@", "", "a.b@", true},
		{"[A-Z]", "i", "q", true}, {"[^A-Z]", "i", "q", false}, {"^[\\x41-\\x43]$", "", "B", true},
		{"\\d", "", "a1", true}, {"^\\D$", "", "1", false}, {"\\s\\s+", "", "a  b", true}, {"\\S", "", "  ", false}, {"^\\w+$", "", "aZ_9", true},
		{"\\W", "", "aZ_9", false}, {"\\bab\\b", "", "x ab y", true}, {"\\bab\\b", "", "xab", false}, {"\\Bb", "", "ab", true}, {"\\h", "", "\t", true},
		{"a\\.b", "", "a.b", true}, {"a\\.b", "", "axb", false}, {"\\t\\n", "", "\t\n", true}, {"\\x41", "", "A", true}, {"\\x{20ac}", "", "\xe2\x82\xac", true},
		{"\\u0041", "", "A", true}, {"\\0", "", "a", false}, {"\\cA", "", "\001", true}, {"\\Qa.b\\E$", "", "xa.b", true},
		{"\\Qa.b", "", "axb", false}, {"(?i)AB", "", "ab", true}, {"(?i:A)b", "", "ab", true}, {"(?i:A)B", "", "ab", false},
		{"((?i)a)B", "", "Ab", false}, {"(?-i)A", "i", "a", false}, {"a(?#no)b", "", "ab", true}, {"(?<n>a)(?P<m>b)(?'k'c)", "", "abc", true},
		{" a b # c\n c", "x", "abc", true}, {"a\\ b", "x", "a b", true}, {"[ ]", "x", " ", true}, {"a b", "", "a b", true}, {"a +", "x", "aaa", true},
		{"(a*)*b", "", "aaab", true}, {"(|a)+$", "", "aaa", true}, {"^(a|)*$", "", "b", false}, {"(^a|b$)", "", "xb", true},
		{"^$", "", "", true}, {"^$", "", "\n", true}, {"^$", "", "a", false}, {"x*$", "", "abc", true}, {"0001$", "", "id-0001", true},
		{"^sfo", "", "sfo-1", true}, {".*a.*", "", "bab", true},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		struct err e = {0};
		struct regex *r = regex_new(str_of(row[i].pattern), str_of(row[i].options), &e);

		check(r && finds(r, str_of(row[i].text)) == row[i].is, "/%s/%s on \"%s\": %s", row[i].pattern, row[i].options, row[i].text, e.msg);
		check(!r || finds(r, str_of(row[i].text)) == row[i].is, "the same again: /%s/", row[i].pattern);
		regex_free(r);
	}
}

static void
test_refused(void)
{
	static const struct {
		const char *pattern, *options;
		size_t pos;
		const char *says;
	} row[] = {
		{"a(b", "", 1, "missing )"}, {"a)b", "", 1, "unmatched )"}, {"a[b", "", 1, "missing ]"}, {"*a", "", 0, "nothing to repeat"},
		{"a|*", "", 2, "nothing to repeat"}, {"a**", "", 2, "repeat of a repeat"}, {"a++", "", 2, "possessive"}, {"a{2}{3}", "", 4, "repeat"},
		{"a{3,2}", "", 1, "out of order"}, {"a{1001}", "", 1, "above 1000"}, {"[z-a]", "", 1, "out of order"}, {"(?=a)", "", 0, "look-around"},
		{"x(?<!a)", "", 1, "look-around"}, {"(?>a)", "", 0, "not supported"}, {"(a)\\1", "", 3, "back-references"}, {"\\k<a>", "", 0, "back-references"},
		{"(?P=a)", "", 0, "back-references"}, {"\\p{L}", "", 0, "properties"}, {"a\\", "", 2, "nothing after"}, {"\\y", "", 0, "unknown escape"},
		{"[\\y]", "", 1, "unknown escape"}, {"[[:nope:]]", "", 1, "unknown class"}, {"\\x{110000}", "", 9, "hexadecimal"}, {"(?<1", "", 3, "bad name"},
		{"a", "g", 0, "$options"}, {"(?#a", "", 0, "missing )"}, {"((a{100}){100})", "", 0, "too large"}, {"\xff", "", 0, "UTF-8"},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		struct err e = {0};
		struct regex *r = regex_new(str_of(row[i].pattern), str_of(row[i].options), &e);

		check(!r && e.code == 400 && e.pos == row[i].pos && strstr(e.msg, row[i].says), "/%s/: %d at %d: %s", row[i].pattern, e.code,
		    (int)e.pos, e.msg);
		regex_free(r);
	}
}

/* Patterns on which searching back takes for ever. */
static void
test_linear(void)
{
	static const char *const pattern[] = {"(a+)+$", "(a|a)*b", "(a*)*b", "^(a|aa)+$", "(x+x+)+y", ".*.*.*=.*", "(((((a*)*)*)*)*)*c"};
	size_t n = 1 << 20, few = 1 << 16;
	char *text = xmalloc(n);
	struct err e = {0};

	memset(text, 'a', n);
	text[n - 1] = '!';
	for (size_t i = 0; i < LEN(pattern); i++) {
		struct regex *r = regex_new(str_of(pattern[i]), str_of(""), &e);
		struct str all = {text, n}, end = {text + n - few, few};   /* the first has the whole, for the others less tells as much */
		clock_t from = clock();

		check(r && !finds(r, i ? end : all), "/%s/ does not match %s", pattern[i], i ? "64 KiB of a" : "a megabyte of a");
		check((double)(clock() - from) / CLOCKS_PER_SEC < 20, "/%s/ takes long", pattern[i]);
		regex_free(r);
	}
	free(text);
}

/* It stops when it has cost what it may. */
static void
test_cost(void)
{
	struct err e = {0};
	struct regex *r = regex_new(str_of("(a|b)*c"), str_of(""), &e);
	uint64_t left = 1000, before;

	check(regex_test(r, str_of("abc"), &left) && left && left < 1000, "a test costs something: %d left", (int)left);
	before = left;
	check(regex_test(r, str_of("abc"), &left) && before - left == 1000 - before, "the same again costs the same");
	left = 20;
	check(!regex_test(r, str_of("abababababababababababababababababc"), &left) && !left, "beyond what it may cost: %d left", (int)left);
	regex_free(r);
}

/* Large or odd patterns are refused or cheap. */
static void
test_hostile(void)
{
	static const char *const piece[] = {"(", "a|", "\\E", "[a", "(?:", "{1}", "a{0}", "((){1000})", "(?i)", "a{1,1000}", "\\Q", "x?"};
	struct buf b = {0};

	for (size_t i = 0; i < LEN(piece); i++) {
		buf_clear(&b);
		while (b.len < 30000) {
			struct err e = {0};
			struct regex *r;

			buf_adds(&b, piece[i]);
			if (b.len < 29000 && b.len % 10000 > strlen(piece[i]))
				continue;
			r = regex_new((struct str){b.p, b.len}, str_of(""), &e);
			check(r || e.code == 400, "%s repeated", piece[i]);
			if (r)
				finds(r, str_of("aaaa"));
			regex_free(r);
		}
	}
	buf_clear(&b);
	for (int i = 0; i < 40000; i++)
		buf_addc(&b, 'a');
	check(!regex_new((struct str){b.p, b.len}, str_of(""), &(struct err){0}), "a pattern longer than the limit");
	buf_free(&b);
}

static void
test_garbage(void)
{
	static const char alphabet[] = "ab()[]{}|*+?.\\^$-:=!<>PdswbQE0129,x#i \xc3\xa4";
	uint32_t seed = 1;

	for (int i = 0; i < 20000; i++) {
		char p[24];
		size_t n = 0;
		struct err e = {0};
		struct regex *r;

		for (seed = seed * 1103515245u + 12345u; n < (seed >> 16) % sizeof p; n++) {
			seed = seed * 1103515245u + 12345u;
			p[n] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
		}
		r = regex_new((struct str){p, n}, str_of(i % 2 ? "x" : ""), &e);
		if (r)
			finds(r, str_of("ab ba\n12"));
		else if (e.code != 400 || e.pos > n)
			check(false, "garbage %.*s: %d at %d", (int)n, p, e.code, (int)e.pos);
		regex_free(r);
	}
	check(true, "garbage");
}

int
main(void)
{
	test_match();
	test_refused();
	test_linear();
	test_cost();
	test_hostile();
	test_garbage();
	return test_done("regex");
}
