/* SPDX-License-Identifier: MIT */
/*
 * Terminals: ours, whose modes are changed while a job or a question has it and always put back, and one of a job's own (a pty),
 * which looks like ours where we have one.  Output processing stays on in ours: our own lines must not become stairs.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- ours ---- */

void
term_init(struct term *t)
{
	*t = (struct term){0};
	t->fd = isatty(0) && tcgetpgrp(0) == getpgrp() && !tcgetattr(0, &t->saved) ? 0 : -1;
}

/* Else we were put into the background since (bg), and a change would stop us. */
static bool
foreground(const struct term *t)
{
	return t->fd >= 0 && tcgetpgrp(t->fd) == getpgrp();
}

void
term_keys(struct term *t)
{
	struct termios m = t->saved;

	if (t->changed || !foreground(t))
		return;
	m.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
	m.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | IXON | BRKINT | ISTRIP);
	m.c_cc[VMIN] = 1;
	m.c_cc[VTIME] = 0;
	t->changed = !tcsetattr(t->fd, TCSADRAIN, &m);
}

void
term_restore(struct term *t)
{
	if (t->changed && foreground(t))
		tcsetattr(t->fd, TCSADRAIN, &t->saved);
	t->changed = false;
}

/* ---- a job's ---- */

int
pty_open(const struct term *ours, char *slave, size_t n, int *other, struct err *e)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY), why;
	const char *name;

	if (fd < 0)
		return err_set(e, errno, "/dev/ptmx: %s", strerror(errno));
	sys_cloexec(fd);
	name = grantpt(fd) < 0 || unlockpt(fd) < 0 ? NULL : ptsname(fd);
	*other = name && strlen(name) < n ? open(name, O_RDWR | O_NOCTTY) : -1;
	why = errno;
	if (*other < 0) {
		close(fd);
		return err_set(e, why, "/dev/pts: %s", strerror(why));
	}
	strcpy(slave, name);
	if (ours && ours->fd >= 0)
		tcsetattr(*other, TCSANOW, &ours->saved);
	sys_cloexec(*other);
	pty_size(fd);
	return fd;
}

void
pty_size(int fd)
{
#ifdef TIOCGWINSZ
	struct winsize w;

	for (int i = 0; i < 3; i++) {
		if (!ioctl(i, TIOCGWINSZ, &w)) {
			ioctl(fd, TIOCSWINSZ, &w);
			return;
		}
	}
#else
	(void)fd;
#endif
}
