/* SPDX-License-Identifier: MIT */
/*
 * Our own stdout and stderr as the jobs' output reaches them.  Whoever reads it may be slow or stopped, and that must not hold
 * back a heartbeat: what cannot be written now is kept, up to a limit above which the jobs are not read, and wait as they would
 * have done without us.  The descriptors are others' too, so they stay blocking: poll is asked before each write, and a pipe that
 * is ready takes PIPE_BUF bytes.  A foot is erased before anything else is put on its terminal, and shown only where a line
 * begins.
 */
#include "worker.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FULL = 256 << 10 };

#ifndef PIPE_BUF
#define PIPE_BUF 512
#endif

void
sink_init(struct sink *s, int fd)
{
	struct stat st;

	*s = (struct sink){.fd = fd};
	s->file = !fstat(fd, &st) && S_ISREG(st.st_mode);
}

bool
sink_full(const struct sink *s)
{
	return s->kept.len >= FULL;
}

static bool
ready(const struct sink *s, int wait)
{
	struct pollfd p = {.fd = s->fd, .events = POLLOUT};

	return s->file || (poll(&p, 1, wait) > 0 && p.revents);
}

/* A write has failed.  A reader who has left wants nothing more; a disk that is full may have room again.  Said once, where it can
 * be. */
static void
fail(struct sink *s, int why)
{
	s->gone = why != ENOSPC && why != EDQUOT;
	if (s->said || why == EPIPE || s->fd == 2)
		return;
	s->said = true;
	warn("loop: stdout: %s: some of the jobs' output is missing there; each run.log has its own", strerror(why));
}

/* Writes what can be written of n bytes; how many, with those that nobody will ever get. */
static size_t
put(struct sink *s, const char *p, size_t n)
{
	size_t done = 0;

	while (!s->gone && done < n && ready(s, 0)) {
		size_t most = s->file || n - done < PIPE_BUF ? n - done : PIPE_BUF;
		ssize_t k = write(s->fd, p + done, most);

		done += k > 0 ? (size_t)k : 0;
		if (k >= 0)
			continue;
		if (errno == EINTR || errno == EAGAIN)
			return done;
		fail(s, errno);
		return n;
	}
	return s->gone ? n : done;
}

static void
keep(struct sink *s, const char *p, size_t n)
{
	size_t done = s->kept.len ? 0 : put(s, p, n);

	buf_add(&s->kept, p + done, n - done);
}

void
sink_put(struct sink *s, const char *p, size_t n)
{
	if (s->foot && n) {
		sink_foot(s->foot, (struct str){0});
		s->foot->middle = p[n - 1] != '\n';
	}
	keep(s, p, n);
}

void
sink_foot(struct foot *f, struct str line)
{
	if (line.n && !f->middle && !f->on->kept.len) {
		keep(f->on, line.p, line.n);
		f->shown = true;
	} else if (!line.n && f->shown) {
		keep(f->on, "\r\033[K", 4);
		f->shown = false;
	}
}

void
sink_flush(struct sink *s)
{
	if (s->kept.len)
		buf_drop(&s->kept, put(s, s->kept.p, s->kept.len));
}

void
sink_end(struct sink *s, int64_t until)
{
	int64_t left;

	while (s->kept.len && !s->gone && (left = until - sys_mono()) > 0) {
		ready(s, (int)(left / 1000) + 1);
		sink_flush(s);
	}
	buf_free(&s->kept);
}
