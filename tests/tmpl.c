/* SPDX-License-Identifier: MIT */
/*
 * Templates: exact expansions and errors.  Also the tool of tests/tmpl.t.sh, which has shells run what was expanded:
 *   tmpl --expand arg|shell TEXT JSON   the expansion of TEXT
 *   tmpl --run WHAT FROM N               a script that runs N texts of these, each in a subshell of its own:
 *   tmpl --want WHAT FROM N              what that script must print
 *     contexts                           context K with every nasty value
 *     some                               context K with every fourth of them
 *     fuzz                               20 random nestings of quotes and expansions
 *     garbage                            random tokens around values that would run touch, if they could; prints nothing
 *   tmpl --text WHAT K                   one of these alone
 */
#include "../tmpl.c"
#include "test.h"

/* ---- exact cases ---- */

static const char args_text[] = "{\"a\":\"v\",\"s\":\"it's\",\"d\":\"a$b\",\"e\":\"\",\"n\":null,\"t\":true,\"f\":false,"
	"\"i\":\"a +\","
	"\"o\":{\"b\":{\"c\":\"deep\",\"0\":\"zero\"}},\"l\":[1,\"x\",null,{\"k\":true}],\"q\":\"=ls\",\"eq\":\"A=b\",\"kw\":\"if\","
	"\"two\":\"2\",\"esac\":\"esac\",\"uid\":\"UID\",\"ev\":\"eval\",\"op\":\"-v\",\"dash\":\"-\",\"cm\":\"x,y\","
	"\"EOF\":\"EOF\",\"z\":\"a\\u0000b\",\"u\":\"caf\\u00e9\",\"at\":\"@\",\"num\":1.50,\"sp\":\"a b\","
	"\"big\":123456789012345678901234567890,\"bs\":\"a\\\\\",\"dir\":\"/a/b-c.d_e%f+g:h,i@j\"}";

struct expansion {
	const char *text, *want;   /* want NULL: refused, at col */
	size_t col;
};
static const struct expansion arg_cases[] = {
	{"", "", 0}, {"plain %d 100% %", "plain %d 100% %", 0}, {"%(a)", "v", 0}, {"%( a )", "v", 0}, {"%(\na\t\n)", "v", 0},
	{"%%(a)", "%v", 0}, {"%(o.b.c)", "deep", 0}, {"%(o . b\n. c)", "deep", 0}, {"%(o.b.0)", "zero", 0}, {"%(a)%(s)",
	"vit's", 0},
	{"%(s)", "it's", 0}, {"'%(s)'", "'it's'", 0}, {"%(e)", "", 0}, {"%(t) %(f)", "True False", 0}, {"%(num)", "1.50", 0},
	{"%(big)", "123456789012345678901234567890", 0}, {"%(l)", "[1, \"x\", null, {\"k\": true}]", 0},
	{"%(o)", "{\"b\": {\"c\": \"deep\", \"0\": \"zero\"}}", 0}, {"%(u)", "caf\xc3\xa9", 0}, {"%", "%", 0}, {"%%", "%%", 0},
	{"$(%(s)", "$(it's", 0},
	{"%(", NULL, 3}, {"%()", NULL, 3}, {"%( )", NULL, 4}, {"%(a", NULL, 4}, {"%(a b)", NULL, 5}, {"%(a-b)", NULL, 4},
	{"%(a..b)", NULL, 5}, {"%(a.)", NULL, 5}, {"%(.a)", NULL, 3}, {"%(1a)", NULL, 4}, {"%(\xc3\xa9)", NULL, 3},
	{"%(%(a))", NULL, 3}, {"%(zz)", NULL, 3}, {"x\nab %( zz )", NULL, 7}, {"%(o.b.x)", NULL, 7}, {"%(o . b . x)", NULL, 11},
	{"%(a.b)", NULL, 5}, {"%(l.0)", NULL, 5}, {"%(n)", NULL, 3}, {"x %(z)", NULL, 3}, {"%(o.00)", NULL, 5},
};
static const struct expansion shell_cases[] = {
	{"p %(a) %(s)", "p v 'it'\"'\"'s'", 0}, {"p '%(s)' \"%(s)\"", "p 'it'\\''s' \"it's\"", 0}, {"p \"%(d)\"", "p \"a\\$b\"", 0},
	{"p %(e)%(e) '%(e)'", "p '''' ''", 0}, {"p %(q) a%(q)", "p '=ls' a'=ls'", 0}, {"p %(bs) \"%(bs)\"", "p 'a\\' \"a\\\\\"", 0},
	{"p %(dir)", "p /a/b-c.d_e%f+g:h,i@j", 0}, {"p %(u)", "p 'caf\xc3\xa9'", 0}, {"%(a) x", "v x", 0},
	/* where a word without quotes would be something else */
	{"%(eq) p %(eq)", "'A=b' p A=b", 0}, {"%(kw) %(kw)", "'if' if", 0}, {"A=1 %(eq) p", "A=1 'A=b' p", 0}, {"A=%(eq) p",
	"A=A=b p", 0},
	{"x && %(eq) y | %(eq) z\n%(eq)", "x && 'A=b' y | 'A=b' z\n'A=b'", 0}, {">f %(eq) p", ">f 'A=b' p", 0},
	{"then %(kw)", "then 'if'", 0}, {"p %(two)>f 1%(two)>f %(two) >f", "p '2'>f 1'2'>f 2 >f", 0},
	{"p {%(cm)} %(cm) {%(a),%(cm)}", "p {'x,y'} x,y {v,'x,y'}", 0}, {"p %(at)(a)", "p '@'(a)", 0}, {"p 2>%(two)", "p 2>2", 0},
	/* nesting */
	{"p \"$(q %(sp) \"%(d)\" '%(s)')\" %(sp)", "p \"$(q 'a b' \"a\\$b\" 'it'\\''s')\" 'a b'", 0},
	{"p ${x:-%(sp)} \"${x:-%(sp)}\" %(sp)", "p ${x:-'a b'} \"${x:-\"a b\"}\" 'a b'", 0},
	{"p ${x:-'%(s)'} ${x+\"%(d)\"} ${#x} $# $$ %(sp)", "p ${x:-'it'\\''s'} ${x+\"a\\$b\"} ${#x} $# $$ 'a b'", 0},
	{"p ${x:=%(sp)}", NULL, 8}, {"p \"${x:=%(sp)}\"", "p \"${x:=\"a b\"}\"", 0}, {"p ${x%%(sp)}", NULL, 7},
	{"p ${%(sp)}", NULL, 5},
	{"p ${%(a)} $%(a)", "p ${v} $v", 0}, {"p $%(dir)", NULL, 4}, {"p \"$%(at)\"", NULL, 5}, {"p \\$%(sp)", "p \\$'a b'", 0},
	{"p ${x##*/} ${x%.*} %(sp)", "p ${x##*/} ${x%.*} 'a b'", 0},
	{"$(case x in (a|b) p;; *) q;; esac; p %(sp)) %(sp)", "$(case x in (a|b) p;; *) q;; esac; p 'a b') 'a b'", 0},
	{"case %(sp) in %(sp)|'%(s)') p %(sp);; esac %(sp)", "case 'a b' in 'a b'|'it'\\''s') p 'a b';; esac 'a b'", 0},
	{"echo case x in; p $(echo case in) %(sp)", "echo case x in; p $(echo case in) 'a b'", 0},
	{"f() { p %(sp); }; for i in %(sp) b; do p; done", "f() { p 'a b'; }; for i in 'a b' b; do p; done", 0},
	{"(p %(sp)) & { p %(sp); }", "(p 'a b') & { p 'a b'; }", 0}, {"a=(%(sp)) p <(q %(sp)) %(sp)",
	"a=('a b') p <(q 'a b') 'a b'", 0},
	{"p a#%(sp) 'x\n#' %(sp)", "p a#'a b' 'x\n#' 'a b'", 0}, {"p \\\n %(sp) \\\n# it's\n%(sp)",
	"p \\\n 'a b' \\\n# it's\n'a b'", 0},
	{"p $((1+(2))) %(sp)", "p $((1+(2))) 'a b'", 0}, {"p `q 'x` %(sp)", "p `q 'x` 'a b'", 0}, {"p $'a' %(sp)",
	"p $'a' 'a b'", 0},
	{"export A=%(sp) B='%(s)'", "export A='a b' B='it'\\''s'", 0}, {"[ %(sp) = x ]", "[ 'a b' = x ]", 0},
	/* here-documents end, and end where the shell says so */
	{"cat <<E; p %(sp)\nit's\nE\np %(sp)", "cat <<E; p 'a b'\nit's\nE\np 'a b'", 0}, {"cat <<-'E F'\nit's\n\tE F\np %(sp)",
	"cat <<-'E F'\nit's\n\tE F\np 'a b'", 0}, {"cat <<A <<\\B\nit's\nA\n$(\nB\np %(sp)",
	"cat <<A <<\\B\nit's\nA\n$(\nB\np 'a b'", 0},
	{"(cat <<E\n%(a)\nE\n) %(sp)", "(cat <<E\nv\nE\n) 'a b'", 0}, {"cat <<<%(sp)", "cat <<<'a b'", 0},
	/* plain values only */
	{"# %(a)\n", "# v\n", 0}, {"# %(sp)\n", NULL, 3}, {"p `q %(a)`", "p `q v`", 0}, {"p `q %(sp)`", NULL, 6},
	{"p `q %(e)`", NULL, 6},
	{"p \"`q '%(sp)'`\"", NULL, 8}, {"cat <<E\n%(a) %(sp)\nE\n", NULL, 6}, {"cat <<'E'\n'%(sp)'\nE\n", NULL, 2},
	{"cat <<EOF\n%(EOF)\nEOF\n", NULL, 1}, {"cat <<EOF\nx=%(EOF)\nEOF\n", "cat <<EOF\nx=EOF\nEOF\n", 0},
	{"cat <<-EOF\n\tE%(a)F\nEOF\n", "cat <<-EOF\n\tEvF\nEOF\n", 0}, {"cat <<vv\n%(a)%(a)\nvv\n", NULL, 1},
	{"cat <<E\n$(p \"%(sp)\")\nE\n", NULL, 6}, {"p $'%(sp)'", NULL, 5}, {"p $'a\\'' %(sp)", NULL, 10},
	{"p $(( %(sp) ))", NULL, 7},
	{"p $(( %(i) ))", NULL, 7}, {"p $(( $(q %(sp)) ))", NULL, 11}, {"((x = %(sp)))", NULL, 7}, {"p $[%(sp)]", NULL, 5},
	{"p \\%(a) \\\\%(sp)", "p \\v \\\\'a b'", 0}, {"p \\%(sp)", NULL, 4}, {"p \"\\%(sp)\"", NULL, 5}, {"p '\\%(sp)'",
	"p '\\a b'", 0},
	{"[[ %(sp) -eq 1 ]]; p %(sp)", NULL, 4}, {"[ %(sp) -eq 1 ]", NULL, 3}, {"test 1 -eq \"%(sp)\"", NULL, 13},
	{"eval %(sp)", NULL, 6},
	{"eval x; p %(sp)", "eval x; p 'a b'", 0}, {"a[%(sp)]=1", NULL, 3}, {"p a[%(sp)]", NULL, 5}, {"export %(sp)", NULL, 8},
	{"declare -i x; x=%(sp)", NULL, 17}, {"p \"${x:-'%(sp)'}\"", NULL, 10}, {"p @(%(sp))", NULL, 5},
	{"trap '%(sp)' EXIT", NULL, 7},
	{"case x y esac; %(sp)", NULL, 16}, {"p \"$x[%(sp)]\"", NULL, 7}, {"ca\\\nse %(sp)", NULL, 4}, {"p ) %(sp)", NULL, 5},
	/* what stands right behind a name; braces, which bash expands as if inner quotes were outer ones */
	{"p $x%(a) \"$x%(a)\" ${x}%(a) \"$x:%(a)\"", "p $x'v' \"$x${x+}v\" ${x}v \"$x:${x+}v\"", 0}, {"p `q $x%(a)`", NULL, 8},
	{"p `q $x%(dir)`", "p `q $x/a/b-c.d_e%f+g:h,i@j`", 0}, {"cat <<E\n$x%(a)\nE\n", NULL, 3}, {"p $%(a)%(a)", "p $v'v'", 0},
	{"p \"${x:-%(cm)}\"", "p \"${x:-\"x\",\"y\"}\"", 0}, {"p \"${x:-\"%(s)\"}\"%(sp)",
	"p \"${x:-\"it$(echo \\')s\"}\"'a b'", 0},
	{"p \"${x:-\"${y:-%(cm)}\"}\"", "p \"${x:-\"${y:-\"x,y\"}\"}\"", 0}, {"p \"${x:-\"it's\"}\"%(cm)", NULL, 17},
	{"p \"${x:-\"it's\"}\"%(a) %(sp)", "p \"${x:-\"it's\"}\"v 'a b'", 0}, {"p \"${x:-\"<(\"}\"%(sp)", NULL, 15},
	{"p \"${x:-\"{\"}\"%(cm)", "p \"${x:-\"{\"}\"'x,y'", 0}, {"p `q {%(cm)}`", NULL, 7}, {"p `q ${x} %(cm)`",
	"p `q ${x} x,y`", 0},
	{"case x in %(esac)) p;; esac", "case x in 'esac') p;; esac", 0}, {"%(two)\\\n>f", "'2'\\\n>f", 0},
	{"p `q %(two)>f`", NULL, 6},
	/* what some shells evaluate */
	{"p >&%(sp)", NULL, 5}, {"p 2>&%(two)", "p 2>&2", 0}, {"exit %(sp)", NULL, 6}, {"exit %(two)", "exit 2", 0},
	{"COLUMNS=%(sp) p", NULL, 9},
	{"for RANDOM in %(sp); do p; done", NULL, 15}, {"p \"${OPTIND:=%(sp)}\"", NULL, 14}, {"printf '%d' %(sp)", NULL, 13},
	{"printf '%s %%' %(sp)",
	"printf '%s %%' 'a b'", 0}, {"printf %(sp) %(sp)", NULL, 8}, {"printf -v x[1] %s %(sp)", NULL, 19},
	{"\\eval %(sp)", NULL, 7},
	{"command -p eval %(sp)", NULL, 17}, {"command p %(sp)", "command p 'a b'", 0}, {"[ %(op) %(sp) ]", NULL, 3},
	{"[ x %(op) x ]", NULL, 5},
	{"[ -%(a) %(sp) ]", NULL, 9}, {"[ x%(op) = %(sp) ]", "[ x-v = 'a b' ]", 0}, {"[ %(dash)%(a) x ]", NULL, 3},
	{"[ %(dash) x ]", "[ - x ]", 0},
	{"p %(op)", "p -v", 0}, {"print %(op) %(sp)", NULL, 7}, {"print -r -- %(op) %(sp)", "print -r -- -v 'a b'", 0},
	{"set -A x %(sp)", NULL, 10},
	{"%(a)[ %(sp)", "'v'[ 'a b'", 0}, {"export x[ %(sp)", NULL, 11}, {"%(a)=%(sp)", "v='a b'", 0}, {"%(a)b=1", "'v'b=1", 0},
	{"%(num)x=%(sp)",
	"'1.50'x='a b'", 0}, {"%(uid)=%(sp)", "'UID'='a b'", 0}, {"p %(uid)=%(sp)", "p UID='a b'", 0},
	{"p $$%(sp)", NULL, 5}, {"p $$%(a) \"$$%(sp)\"", "p $$v \"$$${x+}a b\"", 0}, {"p $$'a\\' %(sp)", NULL, 10},
	{"$x%(ev) %(sp)", NULL, 3}, {"x/%(ev) %(sp)", "x/eval 'a b'", 0}, {"[ $x%(op) %(sp) ]", NULL, 5},
	{"%(ev) %(sp)", NULL, 1}, {"p; '%(ev)'", NULL, 5}, {"A=%(ev) p %(ev)", "A=eval p eval", 0},
	{"if \"%(ev)\"; then p; fi", NULL, 5},
	{"cat <<$x\n$x\n%(sp)", NULL, 1}, {"cat <<EOF\na\\\nEOF\np %(sp)", NULL, 3},
};

static void
expand_case(enum tmpl_form form, const struct expansion *c, const struct json *args)
{
	struct err e = {0};
	struct tmpl *t = tmpl_parse(str_of(c->text), form, &e);
	struct buf out = {0};
	int r = -1;

	buf_adds(&out, "before|");
	if (t)
		r = tmpl_expand(t, args, &out, &e);
	if (c->want)
		check(r == 0 && !strcmp(out.p + 7, c->want), "%s: got %s (%s), expected %s", c->text, out.p + 7, e.msg, c->want);
	else
		check(r < 0 && e.code && e.col == c->col && !strcmp(out.p, "before|"), "%s: col %lu, expected %lu (%s)", c->text,
		    (unsigned long)e.col, (unsigned long)c->col, r ? e.msg : out.p);
	buf_free(&out);
	tmpl_free(t);
}

static void
exact(void)
{
	struct err e = {0};
	struct json_doc *d = json_parse(args_text, strlen(args_text), &e);

	check(d != NULL, "args: %s", e.msg);
	for (size_t i = 0; d && i < LEN(arg_cases); i++)
		expand_case(TMPL_ARG, &arg_cases[i], d->root);
	for (size_t i = 0; d && i < LEN(shell_cases); i++)
		expand_case(TMPL_SHELL, &shell_cases[i], d->root);
	json_free(d);
}

static void
names(void)
{
	struct err e = {0};
	struct tmpl *t = tmpl_parse(str_of("%(b) %( a . x )%(b)\n%(a.0)"), TMPL_SHELL, &e);

	check(t && tmpl_count(t) == 3 && !strcmp(tmpl_name(t, 0), "b") && !strcmp(tmpl_name(t, 1), "a.x") &&
	    !strcmp(tmpl_name(t, 2), "a.0"), "names: %s", e.msg);
	tmpl_free(t);
	t = tmpl_parse((struct str){"a\0b", 3}, TMPL_ARG, &e);
	check(!t && e.pos == 1, "a template with a NUL byte");
	e = (struct err){0};
	t = tmpl_parse(str_of("line\nsecond %(a b)"), TMPL_ARG, &e);
	check(!t && e.line == 2 && e.col == 12 && e.code == EXIT_USAGE, "line and column: %lu:%lu", (unsigned long)e.line,
	    (unsigned long)e.col);
}

static void
caret_case(const char *text, size_t pos, const char *want)
{
	struct err e = {.pos = pos};
	struct buf b = {0};

	tmpl_caret(&b, str_of(text), &e);
	check(!strcmp(b.p, want), "caret: got\n%sexpected\n%s", b.p, want);
	buf_free(&b);
}

static void
carets(void)
{
	caret_case("%(a b)", 4, "%(a b)\n    ^\n");
	caret_case("x\ny\tz%(\nw", 5, "y z%(\n   ^\n");
	caret_case("", 0, "\n^\n");
	caret_case("ab", 9, "ab\n  ^\n");
	caret_case("caf\xc3\xa9 %()", 8, "caf\xc3\xa9 %()\n       ^\n");
	caret_case("a\xff%()", 4, "a?%()\n    ^\n");
	caret_case("01234567890123456789012345678901234567890123456789012345678901234567890123456789", 40,
	    "01234567890123456789012345678901234567890123456789\n                              ^\n");
}

/* Every prefix of every text parses or fails without reading beyond its end. */
static void
prefixes(void)
{
	for (size_t i = 0; i < LEN(shell_cases); i++) {
		for (size_t n = 0; n <= strlen(shell_cases[i].text); n++) {
			struct err e = {0};
			char *exact = xmalloc(n);   /* so that a sanitizer sees a byte too much */
			struct tmpl *t;

			memcpy(exact, shell_cases[i].text, n);
			t = tmpl_parse((struct str){exact, n}, TMPL_SHELL, &e);
			check(t || e.code == EXIT_USAGE, "%.*s: no error", (int)n, exact);
			tmpl_free(t);
			free(exact);
		}
	}
}

/* ---- the public vectors ---- */

static bool
next_line(struct buf *all, size_t *at, struct str *line)
{
	const char *nl = *at < all->len ? memchr(all->p + *at, '\n', all->len - *at) : NULL;

	if (!nl)
		return false;
	*line = (struct str){all->p + *at, (size_t)(nl - all->p) - *at};
	*at = (size_t)(nl - all->p) + 1;
	return true;
}

/* Where we differ from Python: words that begin with =, which zsh would expand, get quotes. */
static bool
quoted_as(struct str got, struct str want)
{
	if (want.n && want.p[0] == '=')
		return got.n == want.n + 2 && got.p[0] == '\'' && !memcmp(got.p + 1, want.p, want.n) && got.p[got.n - 1] == '\'';
	return got.n == want.n && !memcmp(got.p, want.p, want.n);
}

static void
quote_vectors(struct str line)
{
	struct json_doc *d = json_parse(line.p, line.n, NULL);
	struct buf b = {0};
	const struct json *word, *want;

	if (!d)   /* a lone surrogate: no text of ours */
		return;
	word = d->root->head;
	want = word->next;
	tmpl_quote(&b, (struct str){word->s, word->len});
	check(quoted_as((struct str){b.p, b.len}, (struct str){want->s, want->len}), "%s: got %s, expected %s", word->s, b.p, want->s);
	buf_free(&b);
	json_free(d);
}

/* Where we differ: a dict or list is JSON and not Python's repr; U+0000 is refused. */
static void
value_vectors(struct str line)
{
	struct json_doc *d = json_parse(line.p, line.n, NULL);
	struct tmpl *t = tmpl_parse(str_of("p %(value)"), TMPL_SHELL, NULL);
	const struct json *v = d ? json_gets(d->root, "value") : NULL, *text, *want;
	struct buf b = {0}, out = {0}, want_quoted = {0}, json = {0};
	struct err e = {0};
	int r;

	if (v) {
		text = json_gets(d->root, "str");
		want = json_gets(d->root, "quoted");
		put_text(&b, v);
		tmpl_quote(&want_quoted, (struct str){b.p, b.len});
		json_print(&json, v, JSON_SPACED);
		r = tmpl_expand(t, d->root, &out, &e);
		if (v->type == JSON_STR && memchr(v->s, 0, v->len))
			check(r < 0, "%s: U+0000 is let in", v->s);
		else if (v->type <= JSON_STR)
			check(!r && b.len == text->len && !memcmp(b.p, text->s, b.len) &&
			    quoted_as((struct str){out.p + 2, out.len - 2}, (struct str){want->s, want->len}),
			    "got %s, expected %s, or %s and %s", b.p, text->s, out.p, want->s);
		else
			check(!r && !strcmp(b.p, json.p) && !strcmp(out.p + 2, want_quoted.p), "got %s and %s", b.p, out.p);
	}
	buf_free(&b);
	buf_free(&out);
	buf_free(&want_quoted);
	buf_free(&json);
	tmpl_free(t);
	json_free(d);
}

static void
corpus(const char *dir, const char *file, void (*one)(struct str line))
{
	char *path = xprintf("%s/generated/%s", dir, file);
	struct buf all = {0};
	struct err e = {0};
	struct str line;

	check(!sys_slurp(path, 64 << 20, &all, &e), "%s: %s", path, e.msg);
	for (size_t at = 0; next_line(&all, &at, &line);)
		one(line);
	buf_free(&all);
	free(path);
}

/* ---- what shells are to run ---- */

static const char *const nasty[] = {
	"plain", "", "a b", "it's", "\"", "'", "\\", "a\\", "\\'", "'\\''", "$(touch X)", "`touch X`", "${x}", "$HOME", "$", "a$",
	"*", "?", "[a-z]*",
	"; touch X", "& touch X", "| touch X", "&& touch X", "\ntouch X\n", "a\nb", "\n", "\\\n", ") touch X", "} touch X", "}",
	")", "))",
	"-n", "--", "-", "~", "~root", "=", "=ls", "a=b", "#", "# x", "!", "!!", "!x", "{a,b}", "{1..3}", ">X", "<X", "2", "(",
	"((", "'; touch X; '",
	"\"; touch X; \"", "\\\"; touch X; \\\"", "`", "a`b", "$'a'", "$\"a\"", "'\"'\"'", "\t", " ", "  a  ", "%s", "\\n", "\\0",
	"a[$(touch X)]",
	"EOF", "esac", "if", "x,y", "1..3", "@", "+", "caf\xc3\xa9 $(touch X)", "\xe6\xbc\xa2\xe5\xad\x97\\", "\x7f", "\x1b[0m",
	"\r", "\r\n", "^", "[", "]]",
	";;", "\xf0\x9f\x98\x80'", "in", ":h", "[1]", "<(", ">(a)", "1", "..", ".3", "a'b\"c$d`e\\f}g)h", "\\}", "\\$(touch X)",
	"\\`touch X`", "-e", "{", "%(v)", ":", "*/*", "//*",
};

/* A text that calls args, and what args must print: @ is the value. */
static const struct expansion contexts[] = {
	{"args %(v) z", "<@><z>\n", 0}, {"args x%(v)y z", "<x@y><z>\n", 0}, {"args %(v)%(v) z", "<@@><z>\n", 0}, {"args '%(v)' z",
	"<@><z>\n", 0},
	{"args 'x%(v)y' z", "<x@y><z>\n", 0}, {"args \"%(v)\" z", "<@><z>\n", 0}, {"args \"x%(v)y\"z", "<x@yz>\n", 0},
	{"args \"%(v)%(v)\" z", "<@@><z>\n", 0}, {"args --a=%(v) -b'%(v)' \"-c%(v)\"", "<--a=@><-b@><-c@>\n", 0},
	{"args '\"%(v)\"' \"'%(v)'\"", "<\"@\"><'@'>\n", 0}, {"args '\\%(v)' \\\\%(v) \"\\\\%(v)\"", "<\\@><\\@><\\@>\n", 0},
	{"args \"$(args %(v))\" z", "<<@>><z>\n", 0}, {"args \"$(args '%(v)')\" '%(v)'", "<<@>><@>\n", 0},
	{"args \"$(args \"%(v)\")\" \"%(v)\"", "<<@>><@>\n", 0}, {"args \"$(args \"$(args \"%(v)\" %(v))\")\" z",
	"<<<@><@>>><z>\n", 0},
	{"args ${x_:-%(v)} z", "<@><z>\n", 0}, {"args ${x_-a%(v)b} z", "<a@b><z>\n", 0}, {"args ${x_:-'%(v)'} z", "<@><z>\n", 0},
	{"args ${x_:-\"%(v)\"} z", "<@><z>\n", 0}, {"args \"${x_:-%(v)}\" z", "<@><z>\n", 0}, {"args \"${x_:-a%(v)b}\" %(v)",
	"<a@b><@>\n", 0},
	{"args \"${x_:-\"%(v)\"}\" z", "<@><z>\n", 0}, {"y_=1; args ${y_:+%(v)} \"${y_+%(v)}\" %(v)", "<@><@><@>\n", 0},
	{"args \"${x_:-${x_:-%(v)}}\" ${x_:-${x_:-%(v)}} %(v)", "<@><@><@>\n", 0}, {"args \"${x_:-$(args \"%(v)\" %(v))}\" %(v)",
	"<<@><@>><@>\n", 0},
	{"args ${x_:-\"$(args \"%(v)\" '%(v)')\"} %(v)", "<<@><@>><@>\n", 0}, {"(args \"${x_:=%(v)}\" \"$x_\")", "<@><@>\n", 0},
	{"v_=%(v); args \"$v_\"", "<@>\n", 0}, {"v_='%(v)'\"%(v)\"%(v) args z; args \"x\"", "<z>\n<x>\n", 0},
	{"export v_=%(v); args \"$v_\"", "<@>\n", 0},
	{"for i_ in %(v) '%(v)' \"%(v)\"; do args \"$i_\"; done", "<@>\n<@>\n<@>\n", 0},
	{"case %(v) in '%(v)') args %(v) y;; *) args n;; esac", "<@><y>\n", 0},
	{"case '%(v)' in %(v)) args %(v) y;; *) args n;; esac", "<@><y>\n", 0},
	{"case \"%(v)\" in (\"%(v)\") args y; esac; args %(v)", "<y>\n<@>\n", 0},
	{"args \"$(case x in x) args %(v);; esac)\" %(v)", "<<@>><@>\n", 0},
	{"args \"$(case x in (y) ;; (x) args '%(v)' ;esac)\" '%(v)'", "<<@>><@>\n", 0},
	{"# it's \" ` $( %%\nargs %(v) '%(v)'", "<@><@>\n", 0}, {"args z # it's\nargs \"%(v)\"", "<z>\n<@>\n", 0},
	{"args a#b'%(v)' z#%(v)", "<a#b@><z#@>\n", 0},
	{"args \"$(args %(v) # it's )\n)\" %(v)", "<<@>><@>\n", 0}, {"args \\\n%(v) \\\n  '%(v)'", "<@><@>\n", 0},
	{"args \"`args 'a b'`\" `args \"b\"` %(v)", "<<a b>><<b>><@>\n", 0}, {"args $((1 + (2))) %(v) \"$(((2)+1))%(v)\"",
	"<3><@><3@>\n", 0},
	{"if args %(v); then args '%(v)'; fi; { args %(v); }; (args \"%(v)\")", "<@>\n<@>\n<@>\n<@>\n", 0},
	{"f_() { args \"$@\" %(v); }; f_ %(v) \"%(v)\"", "<@><@><@>\n", 0}, {"args %(v)>&1; args \"%(v)\" 2>/dev/null",
	"<@>\n<@>\n", 0},
	{"cat <<E_ >/dev/null; args %(v)\nit's \" \\` $x\nE_\nargs %(v)", "<@>\n<@>\n", 0},
	{"cat <<'E_ F' >/dev/null; args '%(v)'\nit's $(\nE_ F\nargs \"%(v)\"", "<@>\n<@>\n", 0},
	{"cat <<-\\E_ >/dev/null\n\tit's\n\tE_\nargs %(v)", "<@>\n", 0}, {"args \"$(cat <<E_\n  $(args a)\nE_\n)\" %(v)",
	"<  <a>><@>\n", 0},
	{"[ %(v) = '%(v)' ] && args %(v)", "<@>\n", 0}, {"args $# \"${#}\" $0_ %(v) | sed 's/<[^>]*><[^>]*><[^>]*>/<0>/;'",
	"<0><@>\n", 0},
	{"x_=/a/b; args \"$x_%(v)\" $x_%(v) ${x_}%(v) \"${x_:+$x_%(v)}\" \"$x_:%(v)\" '$x_%(v)'",
	"</a/b@></a/b@></a/b@></a/b@></a/b:@><$x_@>\n", 0},
	{"x_=/a/b; args ${x_:+$x_%(v)} ${x_:+\"$x_%(v)\"} \"${y_:-\"$x_%(v)\"}\" \"${y_:-\"${y_:-$x_%(v)}\"}\"",
	"</a/b@></a/b@></a/b@></a/b@>\n", 0},
	{"args \"${x_:-\"%(v)\"}\"%(v)'%(v)'\"%(v)\" %(v)", "<@@@@><@>\n", 0}, {"args \"${x_:-\"${x_:-%(v)}\"}\"%(v)", "<@@>\n", 0},
	{"args \"${x_:-\"${x_:-\"%(v)\"}\"}%(v)\"%(v)", "<@@@>\n", 0}, {"args '{'%(v)'}' \\{%(v),\\} \"{%(v),}\" '{'\"%(v)\",'}'",
	"<{@}><{@,}><{@,}><{@,}>\n", 0},
	{"args %(v)\\\n>&1", "<@>\n", 0}, {"printf '<%s>' %(v) \"%(v)\"; args", "<@><@>\n", 0},
	{"[ \"x%(v)\" = x'%(v)' ] && args %(v); [ ! x%(v) != x%(v) ] && args z", "<@>\n<z>\n", 0},
	{"command -p : %(v); { args %(v); } 2>&1; set -- %(v) z; args \"$@\"", "<@>\n<@><z>\n", 0},
	{"args a & wait; args %(v) && args \"%(v)\" || args n; ! args '%(v)'", "<a>\n<@>\n<@>\n<@>\n", 0},
	{"while args %(v); do args \"%(v)\"; break; done; until args '%(v)'; do :; done", "<@>\n<@>\n<@>\n", 0},
	{"args -- \"a $x_ %(v)\" 'b $x_ %(v)' $x_%(v)", "<--><a  @><b $x_ @><@>\n", 0},
	{"args \"a\\\"%(v)\\\"\" \\\"%(v)\\\" \\'%(v)\\'", "<a\"@\"><\"@\"><'@'>\n", 0},
};

static struct json_doc *
one_value(const char *value)
{
	struct json_doc *d = json_new();

	d->root = json_mkobj(d);
	json_set(d, d->root, str_of("v"), json_mkstr(d, str_of(value)));
	return d;
}

static void
substitute(struct buf *b, const char *want, const char *value)
{
	for (; *want; want++) {
		if (*want == '@')
			buf_adds(b, value);
		else
			buf_addc(b, *want);
	}
}

static int
tell(const char *text, const struct json *args, struct buf *b)
{
	struct err e = {0};
	struct tmpl *t = tmpl_parse(str_of(text), TMPL_SHELL, &e);
	int r = -1;

	if (t)
		r = tmpl_expand(t, args, b, &e);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", text, e.msg);
	tmpl_free(t);
	return r;
}

static int
context(size_t k, size_t first, size_t stride, struct buf *text, struct buf *want)
{
	int r = 1;

	if (k >= LEN(contexts))
		return 0;
	for (size_t i = first; r > 0 && i < LEN(nasty); i += stride) {
		struct json_doc *d = one_value(nasty[i]);

		substitute(want, contexts[k].want, nasty[i]);
		if (tell(contexts[k].text, d->root, text) < 0)
			r = -1;
		buf_addc(text, '\n');
		json_free(d);
	}
	return r;
}

static int
contexts_all(size_t k, struct buf *text, struct buf *want)
{
	return context(k, 0, 1, text, want);
}

static int
contexts_some(size_t k, struct buf *text, struct buf *want)
{
	return context(k, k % 4, 4, text, want);
}

/* ---- random nestings: the text and what it must print grow side by side ---- */

static uint64_t seed;

static unsigned
rnd(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

struct nest {
	struct buf text, want;
	const char *value[8];
	bool turned;   /* quotes within quotes: a ' of the text's own would spoil the rest of the word */
};

static void
both(struct nest *w, const char *text, const char *want)
{
	buf_adds(&w->text, text);
	buf_adds(&w->want, want);
}

static void
value(struct nest *w)
{
	unsigned i = rnd(LEN(w->value));

	buf_printf(&w->text, "%%(v%u)", i);
	buf_adds(&w->want, w->value[i]);
}

static void call(struct nest *w, int depth);

/* Something inside "..." */
static void
in_quotes(struct nest *w, int depth)
{
	bool turned = w->turned;

	switch (rnd(depth > 0 ? 7 : 4)) {
	case 0:
	case 1:
		value(w);
		break;
	case 2:
		both(w, w->turned ? "\\$x its \\\\ " : "\\$x it's \\\\ ", w->turned ? "$x its \\ " : "$x it's \\ ");
		break;
	case 3:
		both(w, "# a) \\\" ; ", "# a) \" ; ");
		break;
	case 4:
		both(w, "$(", "");
		w->turned = false;
		call(w, depth - 1);
		w->turned = turned;
		both(w, rnd(2) ? ")" : " # it's\n)", "");
		break;
	case 5:
		both(w, "${u_:-", "");
		value(w);
		both(w, "}", "");
		break;
	default:
		both(w, rnd(2) ? "${u_:-\"" : "${u_-\"", "");
		w->turned = !turned;
		in_quotes(w, depth - 1);
		w->turned = turned;
		both(w, "\"}", "");
	}
}

static void
piece(struct nest *w, int depth)
{
	switch (rnd(depth > 0 ? 7 : 4)) {
	case 0:
	case 1:
		value(w);
		break;
	case 2:
		both(w, "'a\"$(b\\", "a\"$(b\\");
		value(w);
		both(w, "'", "");
		break;
	case 3:
		both(w, "\\'b\\\"c\\ ", "'b\"c ");
		break;
	case 4:
		both(w, "${u_:-", "");
		value(w);
		both(w, rnd(2) ? "'x}y'" : "\"x}y\"", "x}y");
		both(w, "}", "");
		break;
	default:
		both(w, "\"", "");
		for (unsigned n = rnd(3) + 1; n--;)
			in_quotes(w, depth);
		both(w, "\"", "");
	}
}

/* args WORD..., whose output stands where a substitution takes its last newline away */
static void
call(struct nest *w, int depth)
{
	static const char *const wrap[][2] = {
		{"args", ""}, {"if true; then args", "; fi"}, {"case x in y) ;; x) args", ";; esac"}, {" (args", ")"}, {"{ args",
		"; }"},
		{"case y in (y) args", "; esac"}, {"# it's \"\n args", ""}, {": '\n' \"\\\"\" \\' $'a' && args", ""},
		{"cat <<E_ >/dev/null\nit's \" \\` $u_ )\nE_\nargs", ""}, {"for i_ in a; do args", "; done"},
		{": $((1+(2))) `: a'b'`; args", ""},
	};
	unsigned k = rnd(LEN(wrap));

	both(w, wrap[k][0], "");
	for (unsigned n = rnd(3) + 1; n--;) {
		both(w, " ", "<");
		for (unsigned m = rnd(2) + 1; m--;)
			piece(w, depth);
		both(w, "", ">");
	}
	both(w, wrap[k][1], "");
}

static int
fuzz(size_t k, struct buf *text, struct buf *want)
{
	int r = 1;

	seed = k * 2654435761u + 17;
	for (int i = 0; r > 0 && i < 20; i++) {
		struct nest w = {.turned = false};
		struct json_doc *d = json_new();

		d->root = json_mkobj(d);
		for (size_t n = 0; n < LEN(w.value); n++) {
			char name[8];

			snprintf(name, sizeof name, "v%u", (unsigned)n);
			w.value[n] = nasty[rnd(LEN(nasty))];
			json_set(d, d->root, str_of(name), json_mkstr(d, str_of(w.value[n])));
		}
		call(&w, 3);
		buf_printf(want, "%s\n", w.want.p);
		if (tell(w.text.p, d->root, text) < 0)
			r = -1;
		buf_addc(text, '\n');
		buf_free(&w.text);
		buf_free(&w.want);
		json_free(d);
	}
	return r;
}

/* ---- random tokens: whatever the shells make of them, the value must not run; no *, which would let file names in ---- */

static const char *const tokens[] = {
	"'", "'", "\"", "\"", "`", "`", "$(", ")", "${x:-", "${x#", "${", "}", "$((", "))", "((", "(", "<<E\n", "\nE\n", "<<-'E'\n",
	"<<E ", "\n", "\n", "\\", "\\\n",
	" ", " ", " ", "#", " #", "$", "$'", "$\"", "case ", "case x in ", " in ", "x) ", ";; ", " esac", ";", "&", "|", "{ ", " }",
	"[[ ", " ]]", "[ ", " ]", "a[",
	"]=1", "a=", "=(", "<(", "@(", "<", ">", "if ", "then ", "fi", "do ", "done", "for i in ", "f()", "args ", "args ", "args ",
	"echo ", "x", "x", "E", "~", "{", ",", "=", "!", "-eq 1", "$x", "$#", "$[", "eval ", "let ", "test ", "export ", "typeset ", "$$", "${#x}", "function ",
	"&&", "||",
	">&", "<&", "exit ", "return ", "COLUMNS=", "RANDOM=", "OPTIND=", "for SECONDS in ", "\\eval ", "command -p ", "builtin ",
	"'let' ", "unset ",
	"printf ", "%d ", "print ", "-v ", "set ", "-A ", "read ", "\"${u:-", "}\"", "\"${u:-\"", "\"}\"", "${u:=", "@", "+", "$u:",
	"{x,", "1..",
};
static const char *const bombs[] = {
	"$(touch X)", "`touch X`", ";touch X;", "\ntouch X\n", "';touch X;'", "\";touch X;\"", "');touch X;('", "\"$(touch X)\"",
	"'$(touch X)'",
	"a[$(touch X)]", "a[`touch X`]", "'`touch X`'", "\nE\ntouch X\n", "E\ntouch X\n", ")\ntouch X\n(", "}\ntouch X\n{",
	"*/\ntouch X\n", "\\';touch X;\\'",
	"a[$(touch X)]=1", "-eq", "-v", "-A", "-f", "%d", "1", "<(touch X)", ">(touch X)", "x", "eval", "!", "|touch X|",
	"& touch X &", ") touch X;;", "))\ntouch X\n", "x;touch X #", "\\\";touch X;\\\"", "`;touch X;`", "\\`touch X\\`",
	"\\$(touch X)",
	"'\ntouch X\n'", "\"\ntouch X\n\"", "`\ntouch X\n`", "}';touch X;'", "}\";touch X;\"", "\\\ntouch X\n",
	"'\\'';touch X;'\\''",
};

static void
random_tokens(struct buf *text)
{
	for (unsigned n = rnd(14) + 2; n--;) {
		if (rnd(4))
			buf_adds(text, tokens[rnd(LEN(tokens))]);
		else
			buf_printf(text, "%%(v%u)", rnd(4));
	}
}

static int
garbage(size_t k, struct buf *out, struct buf *want)
{
	struct json_doc *d = json_new();
	bool good = false;

	(void)want;
	seed = k * 2654435761u + 29;
	d->root = json_mkobj(d);
	for (unsigned i = 0; i < 4; i++) {
		char name[8];

		snprintf(name, sizeof name, "v%u", i);
		json_set(d, d->root, str_of(name), json_mkstr(d, str_of(bombs[rnd(LEN(bombs))])));
	}
	while (!good) {
		struct buf text = {0};
		struct tmpl *t;

		random_tokens(&text);
		t = tmpl_parse((struct str){text.p, text.len}, TMPL_SHELL, NULL);
		good = t && tmpl_count(t) && !tmpl_expand(t, d->root, out, NULL);
		tmpl_free(t);
		buf_free(&text);
	}
	json_free(d);
	return 1;
}

/* What --run, --want and --text print of; each: 1, 0 when there is no k, -1 with a word on stderr when it cannot be expanded. */
static const struct source {
	const char *name;
	int (*text)(size_t k, struct buf *text, struct buf *want);
} sources[] = {{"contexts", contexts_all}, {"some", contexts_some}, {"fuzz", fuzz}, {"garbage", garbage}};

static int
texts(const char *how, const char *what, size_t from, size_t n)
{
	const struct source *s = sources;
	bool run = !strcmp(how, "--run"), want = !strcmp(how, "--want");
	struct buf out = {0};
	int r = 1;

	while (strcmp(s->name, what))
		s++;
	for (size_t k = from; r > 0 && k < from + n; k++) {
		struct buf text = {0}, expected = {0};

		r = s->text(k, &text, &expected);
		if (run && r) {
			buf_adds(&out, "(eval ");
			put_word(&out, (struct str){text.p, text.len});
			buf_adds(&out, s->text == garbage ? ") >/dev/null 2>&1 </dev/null\n" : ")\n");
		} else if (!run) {
			buf_add(&out, want ? expected.p : text.p, want ? expected.len : text.len);
		}
		buf_free(&text);
		buf_free(&expected);
	}
	fwrite(out.p, 1, out.len, stdout);
	buf_free(&out);
	return r < 0 ? 2 : n == 1 && !r;
}

static int
expand(char **argv)
{
	struct err e = {0};
	struct str text = str_of(argv[1]);
	struct tmpl *t = tmpl_parse(text, strcmp(argv[0], "shell") ? TMPL_ARG : TMPL_SHELL, &e);
	struct json_doc *d = t ? json_parse(argv[2], strlen(argv[2]), &e) : NULL;
	struct buf b = {0};
	int r = d ? tmpl_expand(t, d->root, &b, &e) : -1;

	if (r < 0) {
		fprintf(stderr, "%lu:%lu: %s\n", (unsigned long)e.line, (unsigned long)e.col, e.msg);
		tmpl_caret(&b, text, &e);
	}
	fwrite(b.p, 1, b.len, r < 0 ? stderr : stdout);
	buf_free(&b);
	json_free(d);
	tmpl_free(t);
	return r < 0 ? 2 : 0;
}

int
main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "--expand"))
		return expand(argv + 2);
	if (argc == 5 && (!strcmp(argv[1], "--run") || !strcmp(argv[1], "--want")))
		return texts(argv[1], argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	if (argc == 4 && !strcmp(argv[1], "--text"))
		return texts(argv[1], argv[2], strtoul(argv[3], NULL, 10), 1);
	exact();
	names();
	carets();
	prefixes();
	if (argc > 1) {
		corpus(argv[1], "shlex_quote.jsonl", quote_vectors);
		corpus(argv[1], "labtasker_interpolate.jsonl", value_vectors);
	}
	return test_done("tmpl");
}
