/* SPDX-License-Identifier: MIT */
/* conf.c: small documents with their exact outcome, the configuration from files and environment, and, with a directory as
 * argument 1, toml-test's files for TOML 1.0.0 under toml/. */
#include "../conf.c"
#include "test.h"

#include <stdio.h>
#include <unistd.h>

static void
dump(struct buf *b, const struct json *v)
{
	static const char *const kind[] = {"", "s", "i", "f", "b", "dt", "dl", "d", "t"};

	if (v->type == JSON_OBJ || v->type == JSON_ARR) {
		buf_addc(b, v->type == JSON_OBJ ? '{' : '[');
		for (const struct json *m = v->head; m; m = m->next) {
			if (v->type == JSON_OBJ) {
				buf_add(b, m->key.p, m->key.n);
				buf_addc(b, '=');
			}
			dump(b, m);
			if (m->next)
				buf_addc(b, ' ');
		}
		buf_addc(b, v->type == JSON_OBJ ? '}' : ']');
		return;
	}
	buf_adds(b, v->tag <= TOML_TIME ? kind[v->tag] : "?");
	buf_addc(b, ':');
	if (v->type == JSON_STR)
		buf_add(b, v->s, v->len);
	else
		json_print(b, v, 0);
}

static const struct {
	const char *toml, *want;   /* what dump prints */
} good[] = {
	{"", "{}"},
	{"\xef\xbb\xbf", "{}"},
	{"\xef\xbb\xbf# c\r\na=1", "{a=i:1}"},
	{"a = 1 # c\n\n\tb=true\r\n", "{a=i:1 b=b:true}"},
	{"a=+99\nb=-0\nc=1_000\nd=0xDEAD_beef\ne=0o17\nf=0b1_1\ng=-9223372036854775808\nh=0x7fffffffffffffff",
	    "{a=i:99 b=i:0 c=i:1000 d=i:3735928559 e=i:15 f=i:3 g=i:-9223372036854775808 h=i:9223372036854775807}"},
	{"a=1.5\nb=-0.0\nc=1e06\nd=6.6_2e-3_4\ne=inf\nf=-inf\ng=+nan\nh=+1.0\ni=1e400\nj=0e0",
	    "{a=f:1.5 b=f:-0.0 c=f:1000000.0 d=f:6.62e-34 e=f:inf f=f:-inf g=f:nan h=f:1.0 i=f:inf j=f:0.0}"},
	{"a='x\\y'\nb=\"\\u00e9\\t\\\"\\U0001F600\"\nc=''\nd=\"\"", "{a=s:x\\y b=s:\xc3\xa9\t\"\xf0\x9f\x98\x80 c=s: d=s:}"},
	{"a='''\nx\n'y'''''\nb=\"\"\"\"\"a\"\" \\  \n \r\n  b\"\"\"\nc=''''''\nd=''''''''", "{a=s:x\n'y'' b=s:\"\"a\"\" b c=s: d=s:''}"},
	{"a=\"\"\"\r\nx\r\ny\"\"\"", "{a=s:x\r\ny}"},
	{"a=2024-02-29\nb=07:32:00.25\nc=1979-05-27 07:32:00\nd=1979-05-27t07:32:60.1-00:30\ne=0000-01-01T00:00:00Z",
	    "{a=d:2024-02-29 b=t:07:32:00.25 c=dl:1979-05-27 07:32:00 d=dt:1979-05-27t07:32:60.1-00:30 e=dt:0000-01-01T00:00:00Z}"},
	{"a=2024-02-29 # day", "{a=d:2024-02-29}"},
	{"a=[1,[2,3],'x',{b=1},]\nc=[\n # c\n]\nd={}\ne={ x.y = 1, x.z=[ \n 2 ] }",
	    "{a=[i:1 [i:2 i:3] s:x {b=i:1}] c=[] d={} e={x={y=i:1 z=[i:2]}}}"},
	{"a.b.c=1\na.b.d=2\na . 'x y'.\"z\" = 3\n\"\"=4\n1.2=5", "{a={b={c=i:1 d=i:2} x y={z=i:3}} =i:4 1={2=i:5}}"},
	{"[a.b]\nx=1\n[a]\ny=2\n[a.c]", "{a={b={x=i:1} y=i:2 c={}}}"},
	{"[[a]]\nx=1\n[a.b]\ny=2\n[[a]]\n[a.b]\n[[a.c]]\n[[a.c]]", "{a=[{x=i:1 b={y=i:2}} {b={} c=[{} {}]}]}"},
	{"[f]\na.c=1\n[f.a.t]\ns=1", "{f={a={c=i:1 t={s=i:1}}}}"},
	{"[ a . \"b c\" ] # c\n", "{a={b c={}}}"},
	{"[a.b.c]\nz=9\n[a]\nb.d=1", "{a={b={c={z=i:9} d=i:1}}}"},
};

static const struct {
	const char *toml;
	unsigned line, col;
} wrongs[] = {
	{"a", 1, 2}, {"a=", 1, 3}, {"=1", 1, 1}, {"a=1 b=2", 1, 5}, {"a=1\na=2", 2, 1}, {"a=1\na.b=2", 2, 1},
	{"a.b=1\na=2", 2, 1}, {"\n a = x", 2, 6}, {"a=01", 1, 3}, {"a=1__0", 1, 3}, {"a=_1", 1, 3}, {"a=1_", 1, 3},
	{"a=0x", 1, 3}, {"a=-0x1", 1, 3}, {"a=0xg", 1, 3}, {"a=9223372036854775808", 1, 3}, {"a=0x8000000000000000", 1, 3},
	{"a=0xfffffffffffffffff", 1, 3}, {"a=1.", 1, 3}, {"a=.5", 1, 3}, {"a=1.e5", 1, 3}, {"a=1e", 1, 3}, {"a=Inf", 1, 3},
	{"a=True", 1, 3}, {"a=+", 1, 3}, {"a='x", 1, 3}, {"a='x\n'", 1, 3}, {"a=\"\\q\"", 1, 4}, {"a=\"\\u12\"", 1, 4},
	{"a=\"\\ud800\"", 1, 4}, {"a=\"\\U00110000\"", 1, 4}, {"a=\"\\x41\"", 1, 4}, {"a=\"\\", 1, 4}, {"a=\"\x01\"", 1, 4},
	{"a=\"\x7f\"", 1, 4}, {"a='''x''", 1, 3}, {"a='''''''''", 1, 11},
	{"a=\"\"\"\\ x\"\"\"", 1, 6}, {"'''a'''=1", 1, 1}, {"a=1\rb=2", 1, 4}, {"# \x01", 1, 3}, {"#\r", 1, 2},
	{"a=\"\xff\"", 1, 4}, {"a=1\n\xc3", 2, 1}, {"a=2023-02-29", 1, 3}, {"a=1900-02-29", 1, 3}, {"a=2024-13-01", 1, 3},
	{"a=24:00:00", 1, 3}, {"a=07:32", 1, 3}, {"a=07:32:61", 1, 3}, {"a=07:32:00.", 1, 3}, {"a=2024-01-01T", 1, 3},
	{"a=2024-01-01 x", 1, 14}, {"a=2024-01-01T00:00:00+24:00", 1, 3}, {"a=2024-01-01T00:00:00+1:00", 1, 3},
	{"a=07:32:00Z", 1, 3}, {"a=[1 2]", 1, 6}, {"a=[1,,2]", 1, 6}, {"a=[", 1, 4}, {"a=[1", 1, 5}, {"a={b=1,}", 1, 8},
	{"a={\n}", 1, 4}, {"a={b=1 c=2}", 1, 8}, {"a={b=1,b=2}", 1, 8}, {"a={b=1\n}", 1, 7}, {"[a]\n[a]", 2, 2},
	{"[a", 1, 3}, {"[]", 1, 2}, {"[a.]", 1, 4}, {"[a]]", 1, 4}, {"[[a] ]", 1, 5}, {"[a] b=1", 1, 5}, {"a=1\n[a]", 2, 2},
	{"a=1\n[a.b]", 2, 2}, {"[[a]]\n[a]", 2, 2}, {"[a]\n[[a]]", 2, 3}, {"a=[]\n[[a]]", 2, 3}, {"a=[{}]\n[a.b]", 2, 2},
	{"a={}\n[a.b]", 2, 2}, {"a={}\na.b=1", 2, 1}, {"a.b=1\n[a]", 2, 2}, {"[a.b.c]\n[a]\nb.c.t=1", 3, 3},
	{"[[a.b]]\n[a]\nb.x=1", 3, 1}, {"[[a.b]]\n[[a]]", 2, 3}, {"a={b={x=1},b.y=2}", 1, 12}, {"a\n=1", 1, 2},
	{"a=\n1", 1, 3}, {"\xff\xfe" "a", 1, 1}, {"a=1\xef\xbb\xbf", 1, 4},
};

static void
check_good(const char *text, size_t n, const char *want)
{
	struct err e = {0};
	char *copy = xmalloc(n);   /* exactly n bytes: a sanitizer sees one read beyond them */
	struct json_doc *d;
	struct buf b = {0};

	if (n)
		memcpy(copy, text, n);
	d = toml_parse(copy, n, &e);
	free(copy);
	if (d)
		dump(&b, d->root);
	check(d && !strcmp(b.p, want), "%s: %s, not %s", text, d ? b.p : e.msg, want);
	buf_free(&b);
	json_free(d);
}

/* Every prefix ends well or with a place inside it. */
static void
check_prefixes(const char *text)
{
	bool fine = true;

	for (size_t n = 0; n <= strlen(text); n++) {
		struct err e = {0};
		char *copy = xmalloc(n);
		struct json_doc *d;

		memcpy(copy, text, n);
		d = toml_parse(copy, n, &e);
		fine = fine && (d || (e.code && e.line && e.col && e.pos <= n && *e.msg));
		json_free(d);
		free(copy);
	}
	check(fine, "a prefix of: %s", text);
}

static void
test_documents(void)
{
	for (size_t i = 0; i < LEN(good); i++) {
		check_good(good[i].toml, strlen(good[i].toml), good[i].want);
		check_prefixes(good[i].toml);
	}
	for (size_t i = 0; i < LEN(wrongs); i++) {
		struct err e = {0};
		struct json_doc *d = toml_parse(wrongs[i].toml, strlen(wrongs[i].toml), &e);

		check(!d && e.line == wrongs[i].line && e.col == wrongs[i].col, "%s: %lu:%lu: %s", wrongs[i].toml, (unsigned long)e.line,
		    (unsigned long)e.col, e.msg);
		json_free(d);
		check_prefixes(wrongs[i].toml);
	}
}

static void
test_hostile(void)
{
	static const char *const unit[] = {"[", "{a=", "a.", "[a.", "'''"};
	static const char *const name[] = {"a=", "a=", "", "", "a="};
	struct err e;

	for (size_t i = 0; i < LEN(unit); i++) {
		struct buf b = {0};

		buf_adds(&b, name[i]);
		for (int k = 0; k < 100000; k++)
			buf_adds(&b, unit[i]);
		e = (struct err){0};
		check(!toml_parse(b.p, b.len, &e) && e.code, "100,000 times %s", unit[i]);
		buf_free(&b);
	}
	e = (struct err){0};
	check(!toml_parse("a=\0", 3, &e) && e.col == 3, "a zero byte");
	check(!toml_parse("#\0", 2, NULL), "a zero byte in a comment, no err");
	check_good(NULL, 0, "{}");
}

/* ---- the configuration ---- */

static void
put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

static const struct {
	const char *file;          /* client.toml, NULL: none */
	const char *env[3][2];
	const char *want;          /* the line that show prints, or the message, behind the directory's name */
} conf[] = {
	{NULL, {{0}}, "- - - 30 1 1 0"},
	{"", {{0}}, "- - - 30 1 1 0"},
	{"[endpoint]\napi_base_url = \"http://h:1/x\"\n[queue]\nqueue_name='q'\npassword=\"p w\"\n[task]\nheartbeat_interval = 10.5",
	    {{0}}, "http://h:1/x q p w 10.5 1 1 1"},
	{"enable_traceback_filter=false\ndisplay_server_notifications_level='none'\nversion_check=1\n[cli_plugins]\nx=[1]",
	    {{0}}, "- - - 30 0 3 0"},
	{"task.heartbeat_interval=5", {{0}}, "- - - 5 1 1 0"},
	{"[queue]\nqueue_name='q'\npassword='p'", {{"LABTASKER_QUEUE_NAME", "r"}, {"LABTASKER_PASSWORD", "s"}}, "- r s 30 1 1 0"},
	{NULL, {{"LABTASKER_API_BASE_URL", "unix:/x"}, {"LABTASKER_QUEUE_NAME", "q"}, {"LABTASKER_PASSWORD", "p"}},
	    "unix:/x q p 30 1 1 2"},
	{NULL, {{"LABTASKER_API_BASE_URL", ""}}, "- - - 30 1 1 0"},
	{NULL, {{"LABTASKER_PASSWORD_FILE", "secret"}}, "- - first line 30 1 1 0"},
	{NULL, {{"LABTASKER_PASSWORD_FILE", "secret"}, {"LABTASKER_PASSWORD", "x"}}, "- - x 30 1 1 0"},
	{NULL, {{"LABTASKER_PASSWORD_FILE", "none"}}, "LABTASKER_PASSWORD_FILE: none: No such file or directory"},
	{NULL, {{"LABTASKER_PASSWORD_FILE", "empty"}}, "LABTASKER_PASSWORD_FILE: must be a password of 1 to 100 characters"},
	{"endpoint.api_base_url='https://h'", {{"LABTASKER_QUEUE_NAME", "q"}}, "https://h q - 30 1 1 1"},
	{NULL, {{"LABTASKER_API_BASE_URL", "ftp://h"}},
	    "LABTASKER_API_BASE_URL: must be the server's address: http://HOST:PORT, https://HOST or unix:PATH"},
	{NULL, {{"LABTASKER_QUEUE_NAME", "a b"}}, "LABTASKER_QUEUE_NAME: must be a queue's name: 1 to 100 letters, digits, _ and -"},
	{"a = 1\nb = ?", {{0}}, "D/client.toml:2:5: a value is expected here"},
	{"[endpoint]\n  api_base_url = 3", {{0}},
	    "D/client.toml:2:18: api_base_url must be the server's address: http://HOST:PORT, https://HOST or unix:PATH"},
	{"\nendpoint = []", {{0}}, "D/client.toml:2:12: endpoint must be a table"},
	{"[queue.password]", {{0}}, "D/client.toml:1:8: password must be a password of 1 to 100 characters"},
	{"queue.password.x=1", {{0}}, "D/client.toml:1:7: password must be a password of 1 to 100 characters"},
	{"[[task]]", {{0}}, "D/client.toml:1:3: task must be a table"},
	{"task={heartbeat_interval=0}", {{0}}, "D/client.toml:1:26: heartbeat_interval must be a number of seconds above 0"},
	{"task={heartbeat_interval=inf}", {{0}}, "D/client.toml:1:26: heartbeat_interval must be a number of seconds above 0"},
	{"enable_traceback_filter='true'", {{0}}, "D/client.toml:1:25: enable_traceback_filter must be true or false"},
	{"display_server_notifications_level=1", {{0}},
	    "D/client.toml:1:36: display_server_notifications_level must be \"low\", \"medium\", \"high\" or \"none\""},
	{"queue.queue_name=\"a\\u0000\"", {{0}},
	    "D/client.toml:1:18: queue_name must be a queue's name: 1 to 100 letters, digits, _ and -"},
	{"queue.password=\"a\\u0000\"", {{0}}, "D/client.toml:1:16: password must be a password of 1 to 100 characters"},
};

static void
clear_env(void)
{
	for (size_t i = 0; i < LEN(known); i++)
		if (known[i].env)
			unsetenv(known[i].env);
	unsetenv("LABTASKER_PASSWORD_FILE");
}

static void
check_conf(size_t i)
{
	struct conf c;
	struct err e = {0};
	char *got;

	unlink("D/client.toml");
	if (conf[i].file)
		put("D/client.toml", conf[i].file);
	clear_env();
	for (int k = 0; k < 3 && conf[i].env[k][0]; k++)
		setenv(conf[i].env[k][0], conf[i].env[k][1], 1);
	if (conf_load(&c, &e) < 0) {
		char *cut = strstr(e.msg, c.file);

		got = cut ? xprintf("%.*sD%s", (int)(cut - e.msg), e.msg, cut + strlen(c.root)) : xstrdup(e.msg);
		check(e.code == EXIT_USAGE, "conf %lu: code %d", (unsigned long)i, e.code);
	} else {
		got = xprintf("%s %s %s %g %d %d %d", c.url ? c.url : "-", c.queue ? c.queue : "-", c.password ? c.password : "-", c.heartbeat,
		    c.filter_traceback, c.notify, (int)c.url_from);
	}
	check(!strcmp(got, conf[i].want), "conf %lu: %s, not %s", (unsigned long)i, got, conf[i].want);
	free(got);
	conf_free(&c);
}

static void
test_conf(void)
{
	char dir[64], cwd[4096];
	struct conf c;
	struct err e = {0};

	snprintf(dir, sizeof dir, "/tmp/labtasker-conf-%ld", (long)getpid());
	if (!getcwd(cwd, sizeof cwd) || mkdir(dir, 0700) < 0 || chdir(dir) < 0) {
		check(false, "no directory to test in: %s", strerror(errno));
		return;
	}
	clear_env();
	unsetenv("LABTASKER_ROOT");
	check(!conf_load(&c, &e) && !strcmp(c.root, ".labtasker") && !strcmp(c.file, ".labtasker/client.toml"),
	    "the root that is not there");
	conf_free(&c);
	mkdir("D", 0700);
	put("secret", "first line\r\nsecond\n");
	put("empty", "\nsecond\n");
	setenv("LABTASKER_ROOT", "D", 1);
	check(!conf_load(&c, &e) && c.root[0] == '/' && strstr(c.root, "/D"), "the root that is there: %s", c.root);
	conf_free(&c);
	for (size_t i = 0; i < LEN(conf); i++)
		check_conf(i);
	clear_env();
	unlink("D/client.toml");
	mkdir("D/client.toml", 0700);
	check(conf_load(&c, &e) < 0 && e.code == EXIT_USAGE && strstr(e.msg, "client.toml"), "a directory as client.toml: %s", e.msg);
	conf_free(&c);
	rmdir("D/client.toml");
	rmdir("D");
	unlink("secret");
	unlink("empty");
	if (chdir(cwd) < 0 || rmdir(dir) < 0)
		check(false, "%s: %s", dir, strerror(errno));
}

/* ---- toml-test ---- */

/* A time in one spelling: T and Z, no zeros at the end of the fraction. */
static char *
plain_time(const char *s)
{
	char *copy = xstrdup(s), *dot, *end;

	for (char *p = copy; *p; p++)
		*p = *p == ' ' || *p == 't' ? 'T' : *p == 'z' ? 'Z' : *p;
	dot = strchr(copy, '.');
	if (dot) {
		for (end = dot + 1; *end >= '0' && *end <= '9'; end++)
			;
		for (dot = end; dot[-1] == '0'; dot--)
			;
		if (dot[-1] == '.')
			dot--;
		memmove(dot, end, strlen(end) + 1);
	}
	return copy;
}

static bool
same_scalar(const struct json *v, const char *type, const char *want)
{
	static const struct {
		const char *type;
		int tag;
	} kind[] = {{"string", TOML_STRING}, {"integer", TOML_INTEGER}, {"float", TOML_FLOAT}, {"bool", TOML_BOOL},
	    {"datetime", TOML_DATETIME},
	    {"datetime-local", TOML_LOCAL}, {"date-local", TOML_DATE}, {"time-local", TOML_TIME}};
	char *a, *b;
	bool same;
	size_t i = 0;

	while (i < LEN(kind) && strcmp(kind[i].type, type))
		i++;
	if (i == LEN(kind) || v->tag != kind[i].tag)
		return false;
	if (v->tag == TOML_BOOL)
		return !strcmp(v->is ? "true" : "false", want);
	if (v->tag == TOML_FLOAT && v->type == JSON_NUM)
		return strtod(v->s, NULL) == strtod(want, NULL) && (v->s[0] == '-') == (want[0] == '-');
	if (v->tag < TOML_DATETIME)
		return !strcmp(v->s, want);
	a = plain_time(v->s);
	b = plain_time(want);
	same = !strcmp(a, b);
	free(a);
	free(b);
	return same;
}

static bool
same(const struct json *v, const struct json *want)
{
	const struct json *type = json_gets(want, "type"), *text = json_gets(want, "value");
	const struct json *a, *b;

	if (type && text && type->type == JSON_STR && text->type == JSON_STR && want->len == 2) {
		if (v->tag == TOML_STRING)   /* may hold U+0000 */
			return !strcmp(type->s, "string") && v->len == text->len && !memcmp(v->s, text->s, v->len);
		return same_scalar(v, type->s, text->s);
	}
	if (v->type != want->type || v->len != want->len || v->type < JSON_ARR)
		return false;
	for (a = v->head, b = want->head; a && b; a = a->next, b = b->next)
		if (!same(v->type == JSON_OBJ ? json_get(v, b->key) : a, b))
			return false;
	return !a && !b;
}

static void
corpus_file(const char *dir, const char *name, int count[2])
{
	char *path = xprintf("%s/toml/%s", dir, name), *dot;
	struct buf text = {0}, tagged = {0};
	struct err e = {0};
	struct json_doc *d, *want;

	if (sys_slurp(path, MAX_FILE, &text, &e) < 0) {
		check(false, "%s", e.msg);
		goto out;
	}
	e = (struct err){0};
	d = toml_parse(text.p, text.len, &e);
	if (!strncmp(name, "invalid/", 8)) {
		count[1]++;
		check(!d && e.line && e.col && *e.msg, "%s was taken", name);
		json_free(d);
		goto out;
	}
	count[0]++;
	dot = strrchr(path, '.');
	memcpy(dot, ".json", 6);
	sys_slurp(path, MAX_FILE, &tagged, NULL);
	want = json_parse(tagged.p, tagged.len, NULL);
	check(d && want && same(d->root, want->root), "%s: %lu:%lu: %s", name, (unsigned long)e.line, (unsigned long)e.col,
	    d ? "read wrong" : e.msg);
	json_free(d);
	json_free(want);
out:
	buf_free(&text);
	buf_free(&tagged);
	free(path);
}

static void
test_corpus(const char *dir)
{
	char *list = xprintf("%s/toml/files-toml-1.0.0", dir), line[512];
	FILE *f = fopen(list, "r");
	int count[2] = {0};

	if (!f) {
		printf("conf: SKIPPED: %s is not there\n", list);
		free(list);
		return;
	}
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		if (strlen(line) > 5 && !strcmp(line + strlen(line) - 5, ".toml"))
			corpus_file(dir, line, count);
	}
	fclose(f);
	check(count[0] == 210 && count[1] == 499, "%d valid and %d invalid files", count[0], count[1]);
	free(list);
}

static void
test_set(void)
{
	static const struct {
		const char *text, *section, *key, *value, *want;   /* want NULL: refused */
	} row[] = {
		{"", "queue", "password", "\"p\"", "[queue]\npassword = \"p\"\n"},
		{"", "", "a", "1", "a = 1\n"},
		{"a=1 # one\n", "", "a", "22", "a=22 # one\n"},
		{"a = 1", "", "b", "2", "a = 1\nb = 2\n"},
		{"# top\na = \"\"\"x\ny\"\"\"  # c\n[q]\n", "", "a", "2", "# top\na = 2  # c\n[q]\n"},
		{"[q]  # here\nx = [1, 2]\n[r]\n", "q", "y", "2", "[q]  # here\ny = 2\nx = [1, 2]\n[r]\n"},
		{"[q]", "q", "y", "2", "[q]\ny = 2\n"},
		{"[q]\r\nx = 1\r\n", "q", "x", "2", "[q]\r\nx = 2\r\n"},
		{"[q]\r\nx = 1\r\n", "q", "y", "2", "[q]\r\ny = 2\r\nx = 1\r\n"},
		{"q.x = 1\n[r]\n", "q", "y", "2", "q.x = 1\nq.y = 2\n[r]\n"},
		{"q.x = 1\n[r]\n", "q", "x", "2", "q.x = 2\n[r]\n"},
		{"q = {x = 1}\n", "q", "y", "2", "q = {x = 1, y = 2}\n"},
		{"q = {}\n", "q", "y", "2", "q = {y = 2}\n"},
		{"q = {x = 1, y = 'a'}\n", "q", "y", "2", "q = {x = 1, y = 2}\n"},
		{"[q.z]\na = 1\n", "q", "y", "2", "[q.z]\na = 1\n[q]\ny = 2\n"},
		{"a = 1\n", "q", "y", "2", "a = 1\n\n[q]\ny = 2\n"},
		{"a = 1\n[r]\nb = 2\n", "", "c", "3", "a = 1\nc = 3\n[r]\nb = 2\n"},
		{"q = 1\n", "q", "y", "2", NULL},
		{"[q]\n[q.y]\n", "q", "y", "2", NULL},
		{"[[q]]\n", "q", "y", "2", NULL},
		{"a = \n", "q", "y", "2", NULL},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		struct buf b = {0};
		struct err e = {0};
		struct json_doc *d;
		int rc;

		buf_adds(&b, row[i].text);
		rc = toml_set(&b, row[i].section, row[i].key, row[i].value, &e);
		check(rc == (row[i].want ? 0 : -1), "toml_set row %lu: %d, %s", (unsigned long)i, rc, e.msg);
		if (row[i].want) {
			check(b.len == strlen(row[i].want) && !memcmp(b.p, row[i].want, b.len), "toml_set row %lu: got <%.*s>", (unsigned long)i,
			    (int)b.len, b.p);
			d = toml_parse(b.p, b.len, NULL);
			check(d != NULL, "toml_set row %lu: what it makes is TOML", (unsigned long)i);
			json_free(d);
		}
		buf_free(&b);
	}
}

static void
test_quote(void)
{
	static const char text[] = "a\"\\\n\x7f\xc3\xa9";
	struct buf b = {0};
	struct json_doc *d;

	buf_adds(&b, "a = ");
	quote(&b, str_of(text));
	d = toml_parse(b.p, b.len, NULL);
	check(d && !strcmp(json_gets(d->root, "a")->s, text), "quote: %s", b.p);
	json_free(d);
	buf_free(&b);
}

int
main(int argc, char **argv)
{
	test_documents();
	test_hostile();
	test_conf();
	test_set();
	test_quote();
	if (argc > 1)
		test_corpus(argv[1]);
	return test_done("conf");
}
