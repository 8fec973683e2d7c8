/* SPDX-License-Identifier: MIT */
/*
 * The line that tells how far a loop with several slots is, pure.  Rates are those of the last half minute to minute; the end is
 * reckoned from how fast the queue gets shorter, whoever works on it, and is not told while it does not.
 */
#include "worker.h"

#include <string.h>

enum { WINDOW = 30 };   /* seconds */

/* Takes note that the number is n now. */
static void
add(struct slope *s, int64_t n, int64_t now)
{
	if (!s->known) {
		*s = (struct slope){.known = true, .at = {now, now}, .n = {n, n}};
	} else if (now - s->at[1] >= WINDOW * SECOND) {
		s->at[0] = s->at[1];
		s->n[0] = s->n[1];
		s->at[1] = now;
		s->n[1] = n;
	}
	s->last = n;
	s->when = now;
}

/* How much it grows in a second; 0: too little is known. */
static double
slope(const struct slope *s)
{
	return s->known && s->when - s->at[0] >= SECOND ? (double)(s->last - s->n[0]) * 1e6 / (double)(s->when - s->at[0]) : 0;
}

void
progress_queue(struct progress *p, int64_t pending, int64_t running, int64_t now)
{
	p->pending = pending;
	add(&p->left, pending + running, now);
}

static void
put_time(struct buf *b, double seconds)
{
	static const struct {
		double most, unit;
		const char *name;
	} units[] = {{90, 1, "s"}, {90 * 60, 60, "min"}, {48 * 3600, 3600, "h"}, {1e15, 86400, "days"}};
	size_t i = 0;

	while (seconds > units[i].most && i + 1 < LEN(units))
		i++;
	buf_printf(b, ", end in %.0f %s", seconds / units[i].unit, units[i].name);
}

void
progress_line(struct progress *p, struct buf *b, int64_t now, int columns)
{
	struct buf text = {0};
	double rate, fall, end;

	add(&p->ended, p->done + p->failed, now);
	rate = slope(&p->ended) * 60;
	fall = -slope(&p->left);
	buf_printf(&text, "%ld running, %ld done, %ld failed", (long)p->running, (long)p->done, (long)p->failed);
	if (rate > 0)
		buf_printf(&text, ", %.*f/min", rate < 10, rate);
	if (p->left.known)
		buf_printf(&text, ", %ld pending", (long)p->pending);
	end = fall > 0 ? (double)p->left.last / fall - (double)(now - p->left.when) / 1e6 : 0;
	if (end > 0)
		put_time(&text, end);
	buf_addc(b, '\r');
	buf_add(b, text.p, columns > 0 && text.len >= (size_t)columns ? (size_t)columns - 1 : text.len);
	buf_adds(b, "\033[K");
	buf_free(&text);
}
