/* SPDX-License-Identifier: MIT */
/*
 * What a server says: messages, and with -v a line for each request once its answer is settled.  They go to stderr, or to a file
 * that takes its place and is opened anew when it was moved away.  All lines of a turn are one write.
 *
 *   text   TIME PEER QUEUE METHOD TARGET STATUS BYTES MILLISECONDS; a message is "labtasker: ..", in a file behind the TIME
 *   json   {"time","peer","queue","method","target","status","bytes","ms"}; {"time","message"}
 *
 * What a client sent is text in both: no byte of it can end a line or steer a terminal.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct {
	const char *path;         /* NULL: stderr */
	bool json;
	struct buf lines;
} to;

static void
put_time(struct buf *b, int64_t wall)
{
	char when[32];

	date_iso(when, wall);
	buf_adds(b, when);
}

/* Bytes that are no plain text as \xNN, blanks too. */
static void
put_word(struct buf *b, struct str s)
{
	if (!s.n)
		buf_addc(b, '-');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= 0x20 || c >= 0x7f)
			buf_printf(b, "\\x%02x", c);
		else
			buf_addc(b, (char)c);
	}
}

static void
put_member(struct buf *b, const char *name, struct str s)
{
	buf_printf(b, ",\"%s\":", name);
	if (!s.n) {
		buf_adds(b, "null");
	} else if (utf8_valid(s.p, s.n)) {
		json_putstr(b, s, JSON_ASCII);
	} else {
		struct buf plain = {0};

		put_word(&plain, s);
		json_putstr(b, (struct str){plain.p, plain.len}, JSON_ASCII);
		buf_free(&plain);
	}
}

void
log_request(const struct log_line *l)
{
	struct buf *b = &to.lines;
	static const char *const names[] = {"peer", "queue", "method", "target"};
	struct str words[LEN(names)];

	words[0] = str_of(l->peer);   /* one by one, as tcc wants it */
	words[1] = str_of(l->queue);
	words[2] = l->method;
	words[3] = l->target;

	buf_adds(b, to.json ? "{\"time\":\"" : "");
	put_time(b, l->wall);
	buf_adds(b, to.json ? "\"" : "");
	for (size_t i = 0; i < LEN(words); i++) {
		if (to.json) {
			put_member(b, names[i], words[i]);
		} else {
			buf_addc(b, ' ');
			put_word(b, words[i]);
		}
	}
	buf_printf(b, to.json ? ",\"status\":%d,\"bytes\":%lu,\"ms\":%ld.%03d}\n" : " %d %lu %ld.%03d\n", l->status,
	    (unsigned long)l->bytes, (long)(l->us / 1000), (int)(l->us % 1000));
}

void
log_flush(void)
{
	if (!to.lines.len)
		return;
	sys_write_all(2, to.lines.p, to.lines.len);
	buf_clear(&to.lines);
}

/* Messages are there at once: they may be the last. */
static void
put_message(struct str text)
{
	struct buf *b = &to.lines;

	if (to.json) {
		buf_adds(b, "{\"time\":\"");
		put_time(b, sys_wall());
		buf_addc(b, '"');
		put_member(b, "message", text);
		buf_adds(b, "}\n");
	} else {
		put_time(b, sys_wall());
		buf_adds(b, " labtasker: ");
		buf_add(b, text.p, text.n);
		buf_addc(b, '\n');
	}
	log_flush();
}

int
log_check(const char *path, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0600);

	if (fd < 0)
		return err_set(e, EXIT_REFUSED, "%s: %s", path, strerror(errno));
	close(fd);
	return 0;
}

void
log_reopen(void)
{
	int fd;

	if (!to.path)
		return;
	fd = open(to.path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0600);
	if (fd < 0) {
		warn("%s: %s: the old one goes on", to.path, strerror(errno));
		return;
	}
	dup2(fd, 2);
	close(fd);
}

void
log_open(const char *path, bool json)
{
	to.path = path;
	to.json = json;
	if (path || json)
		warn_put = put_message;
	log_reopen();
}

void
log_close(void)
{
	log_flush();
	buf_free(&to.lines);
	warn_put = NULL;
}
