/* SPDX-License-Identifier: MIT */
/*
 * The person at the terminal: questions on stderr, answers from stdin, and the editor.  Nobody is asked unless both are terminals.
 * What is typed at a secret question is not shown.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
	LONGEST = 4096, EDITED_MAX = 64 << 20,
	INTERRUPT = 3, END_OF_FILE = 4, BACKSPACE = 8, KILL_LINE = 0x15, ERASE = 0x7f   /* keys */
};

bool
tty_there(void)
{
	return isatty(0) && isatty(2);
}

bool
tty_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(1) && !(no && *no) && term && *term && strcmp(term, "dumb");
}

/* A line as it comes; false at the end of input. */
static bool
read_line(struct buf *b)
{
	char c;

	while (b->len < LONGEST) {
		if (sys_read(0, &c, 1) != 1)
			return b->len > 0;
		if (c == '\n')
			return true;
		buf_addc(b, c);
	}
	return true;
}

static void
put_prompt(const char *prompt, const char *deflt)
{
	fprintf(stderr, "%s", prompt);
	if (deflt && *deflt)
		fprintf(stderr, " [%s]", deflt);
	fputs(": ", stderr);
}

/* The terminal gives each key at once, so that Ctrl-C finds its settings restored.  It is silent before it asks. */
static bool
read_secret(struct buf *b, const char *prompt)
{
	struct termios was, raw;
	char c = 0;

	if (tcgetattr(0, &was) < 0)
		return false;
	raw = was;
	raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(0, TCSAFLUSH, &raw);
	put_prompt(prompt, NULL);
	while (b->len < LONGEST && sys_read(0, &c, 1) == 1 && c != '\n' && c != '\r' && c != END_OF_FILE && c != INTERRUPT) {
		if (c == KILL_LINE)
			buf_clear(b);
		else if (c != ERASE && c != BACKSPACE)
			buf_addc(b, c);
		else if (b->len)
			b->len--;
	}
	tcsetattr(0, TCSADRAIN, &was);
	fputc('\n', stderr);
	if (c == INTERRUPT)
		raise(SIGINT);
	return b->len || c == '\n' || c == '\r';
}

char *
tty_ask(const char *prompt, const char *deflt, bool secret)
{
	struct buf b = {0};
	bool got;

	if (!tty_there())
		return NULL;
	buf_reserve(&b, 1);
	b.p[0] = 0;
	if (!secret)
		put_prompt(prompt, deflt);
	got = secret ? read_secret(&b, prompt) : read_line(&b);
	if (!got) {
		buf_free(&b);
		fputc('\n', stderr);
		return NULL;
	}
	if (b.len)
		b.p[b.len] = 0;
	else if (deflt)
		buf_adds(&b, deflt);
	return b.p;
}

int
tty_yes(const char *question, bool deflt)
{
	for (;;) {
		char *prompt = xprintf("%s [%s]", question, deflt ? "Y/n" : "y/N"), *answer = tty_ask(prompt, "", false);
		int c = answer ? answer[0] | 0x20 : 0;
		bool empty = answer && !answer[0];

		free(prompt);
		free(answer);
		if (!c)
			return -1;
		if (empty || c == 'y' || c == 'n')
			return empty ? deflt : c == 'y';
	}
}

char *
tty_password(const char *prompt, struct err *e)
{
	char *first = tty_ask(prompt, NULL, true), *again;

	if (!first) {
		err_set(e, EXIT_REFUSED, "no password was given");
		return NULL;
	}
	again = tty_ask("Again", NULL, true);
	if (again && !strcmp(first, again)) {
		tty_forget(again);
		return first;
	}
	err_set(e, EXIT_REFUSED, "the two passwords differ: nothing was done");
	tty_forget(first);
	tty_forget(again);
	return NULL;
}

void
tty_forget(char *secret)
{
	if (secret)
		wipe(secret, strlen(secret));
	free(secret);
}

/* ---- the editor ---- */

static const char *
editor_of(const char *given)
{
	const char *name[] = {given, getenv("VISUAL"), getenv("EDITOR")};

	for (size_t i = 0; i < LEN(name); i++)
		if (name[i] && *name[i])
			return name[i];
	return "vi";
}

/* Ids may have come on standard input: then the editor reads the terminal itself, where there is one. */
static bool
needs_terminal(void)
{
	int fd = isatty(0) ? -1 : open("/dev/tty", O_RDWR | O_NOCTTY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int
run_editor(const char *path, const char *editor, struct err *e)
{
	struct buf b = {0};
	int status;

	editor = editor_of(editor);
	buf_printf(&b, "%s ", editor);
	tmpl_quote(&b, str_of(path));
	buf_adds(&b, needs_terminal() ? " </dev/tty" : "");
	fflush(NULL);
	signal(SIGPIPE, SIG_DFL);
	status = system(b.p);
	signal(SIGPIPE, SIG_IGN);
	buf_free(&b);
	if (status == 0)
		return 0;
	if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) > 125)
		return err_set(e, EXIT_REFUSED, "the editor '%s' cannot be run: set VISUAL or EDITOR, or give --editor", editor);
	return err_set(e, EXIT_REFUSED, "the editor '%s' failed: nothing was changed", editor);
}

/* A new file that only we can read. */
static int
put_file(const char *path, const struct buf *text, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600), rc;

	if (fd < 0)
		return err_set(e, EXIT_REFUSED, "%s: %s", path, strerror(errno));
	sys_cloexec(fd);
	rc = sys_write_all(fd, text->p, text->len);
	if (close(fd) < 0 || rc < 0)
		return err_set(e, EXIT_REFUSED, "%s: %s", path, strerror(errno));
	return 0;
}

int
tty_edit_text(struct buf *text, const char *dir, const char *suffix, const char *editor, struct err *e)
{
	char id[37], *path;
	int rc;

	if (!dir)
		dir = getenv("TMPDIR");
	sys_uuid(id);
	path = xprintf("%s/labtasker-%s%s", dir && *dir ? dir : "/tmp", id, suffix);
	rc = put_file(path, text, e) < 0 || run_editor(path, editor, e) < 0 ? -1 : 0;
	if (!rc) {
		buf_clear(text);
		rc = sys_slurp(path, EDITED_MAX, text, e);
		buf_reserve(text, 1);
		text->p[text->len] = 0;
	}
	if (rc < 0 && e->code != EXIT_REFUSED)
		e->code = EXIT_REFUSED;
	unlink(path);
	free(path);
	return rc;
}
