/* SPDX-License-Identifier: MIT */
/*
 * Times as people write them, in English and in any case: ISO 8601's forms; a date, a time of day, or both in either order (Jul 28
 * 11:25, 28 July 2024, 7/25 23:33, 10:30 pm, noon); a weekday, the last one (Monday, next Friday 9am); now, today, yesterday,
 * tomorrow; 3 hours ago, 1h30m ago, in 2 weeks, last month; seconds, milliseconds or microseconds since 1970.  UTC or an offset may
 * stand behind.  Of numbers the month comes first unless it cannot.  A date without year is this year's, without time its midnight;
 * what is counted from now keeps the time of day.  What is read twice, or half, is refused.
 */
#include "cli.h"

#include <stdio.h>
#include <string.h>

enum { YEARS = 10000 };
static const int64_t HOUR = 3600 * SECOND, DAY = 86400 * SECOND;

struct reading {
	struct str s;                    /* what is left */
	int64_t year;                    /* 0: not read */
	int month, day;
	int weekday;                     /* 1 Monday to 7, 0: not read */
	int turn;                        /* -1 last, 1 next, 2 this */
	bool now, timed, zoned;
	int64_t time, zone;              /* of the day; east of UTC */
	bool counted;                    /* something stands in the next three */
	int64_t months, days, exact;
	int sign;                        /* which way they are counted; 0: not said */
};

/* ---- bytes and words ---- */

static bool
digit(const struct str *s, size_t i)
{
	return i < s->n && s->p[i] >= '0' && s->p[i] <= '9';
}

static bool
letter(const struct str *s, size_t i)
{
	return i < s->n && (s->p[i] | 0x20) >= 'a' && (s->p[i] | 0x20) <= 'z';
}

static bool
is(const struct str *s, size_t i, const char *set)
{
	return i < s->n && s->p[i] && strchr(set, s->p[i]);
}

static void
drop(struct str *s, size_t n)
{
	s->p += n;
	s->n -= n;
}

static void
skip(struct str *s)
{
	while (is(s, 0, " \t\r\n,"))
		drop(s, 1);
}

/* The letters at the front. */
static struct str
word(const struct str *s)
{
	size_t n = 0;

	while (letter(s, n))
		n++;
	return (struct str){s->p, n};
}

static bool
take_word(struct str *s, const char *text)
{
	struct str rest = *s, w;

	skip(&rest);
	w = word(&rest);
	if (!str_caseis(w, text))
		return false;
	drop(&rest, w.n);
	*s = rest;
	return true;
}

static bool
starts(const char *full, struct str w)
{
	for (size_t i = 0; i < w.n; i++)
		if (full[i] != (w.p[i] | 0x20))   /* ends at full's end too */
			return false;
	return true;
}

/* The place, from 1, of the word among n of which w is at least three letters; 0: it is none. */
static int
shortened(struct str w, const char *const *full, int n)
{
	for (int i = 0; i < n && w.n > 2; i++)
		if (starts(full[i], w))
			return i + 1;
	return 0;
}

static int
month_named(struct str w)
{
	static const char *const month[] = {"january", "february", "march", "april", "may", "june", "july", "august", "september",
	    "october", "november", "december"};

	return shortened(w, month, 12);
}

static int
weekday_named(struct str w)
{
	static const char *const weekday[] = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};

	return shortened(w, weekday, 7);
}

static int
number_named(struct str w)
{
	static const char *const number[] = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"};

	for (int i = 0; i < 10; i++)
		if (str_caseis(w, number[i]))
			return i + 1;
	return str_caseis(w, "a") || str_caseis(w, "an");
}

/* ---- amounts: 3 hours, 1.5h, two weeks ---- */

enum { COUNT_MAX = 1000000 };   /* of any unit; far beyond the years that can be printed */

static const struct unit {
	const char *names;               /* with a space before and behind each */
	int months, days;
	int64_t seconds;
} units[] = {
	{" s sec secs second seconds ", 0, 0, 1},
	{" m min mins minute minutes ", 0, 0, 60},
	{" h hr hrs hour hours ", 0, 0, 3600},
	{" d day days ", 0, 1, 86400},
	{" w wk wks week weeks ", 0, 7, 7 * 86400},
	{" mo month months ", 1, 0, 0},
	{" y yr yrs year years ", 12, 0, 0},
};

static const struct unit *
unit_named(struct str w)
{
	char name[12];

	if (!w.n || w.n > 8)
		return NULL;
	name[0] = name[w.n + 1] = ' ';
	name[w.n + 2] = 0;
	for (size_t i = 0; i < w.n; i++)
		name[i + 1] = (char)(w.p[i] | 0x20);
	for (size_t i = 0; i < LEN(units); i++)
		if (strstr(units[i].names, name))
			return &units[i];
	return NULL;
}

/* n units and a fraction of one, in millionths. */
static int
count(struct reading *r, const struct unit *u, int64_t n, int64_t part)
{
	if (r->now || n > COUNT_MAX || (part && !u->seconds))
		return -1;
	r->months += n * u->months;
	r->days += n * u->days;
	r->exact += part * u->seconds;
	if (!u->months && !u->days)
		r->exact += n * u->seconds * SECOND;
	r->counted = true;
	return 0;
}

/* ---- numbers ---- */

/* Up to max digits off the front; -1 when there are none, or more. */
static int64_t
digits(struct str *s, size_t max)
{
	int64_t v = 0;
	size_t n = 0;

	while (digit(s, n) && n <= max)
		v = v * 10 + (s->p[n++] - '0');
	if (!n || n > max)
		return -1;
	drop(s, n);
	return v;
}

/* The digits behind a point, as millionths. */
static int64_t
fraction(struct str *s)
{
	int64_t unit = SECOND / 10, v = 0;

	for (; digit(s, 0); drop(s, 1), unit /= 10)
		v += unit * (*s->p - '0');
	return v;
}

/* am or pm at the front, made the hour's; -1: the hour is none of twelve. */
static int
half_day(struct str *s, int64_t *hour, bool *found)
{
	bool pm = take_word(s, "pm");

	*found = pm || take_word(s, "am");
	if (!*found)
		return 0;
	if (*hour < 1 || *hour > 12)
		return -1;
	*hour = *hour % 12 + (pm ? 12 : 0);
	return 0;
}

static int
set_time(struct reading *r, int64_t time)
{
	if (r->timed)
		return -1;
	r->timed = true;
	r->time = time;
	return 0;
}

/* Behind "10:": minutes, seconds, am or pm. */
static int
clock_time(struct reading *r, int64_t hour)
{
	int64_t minute, second = 0, part = 0;
	bool half;

	minute = digits(&r->s, 2);
	if (minute < 0 || minute > 59)
		return -1;
	if (is(&r->s, 0, ":")) {
		drop(&r->s, 1);
		second = digits(&r->s, 2);
		if (second < 0 || second > 59)
			return -1;
		if (is(&r->s, 0, ".,") && digit(&r->s, 1)) {
			drop(&r->s, 1);
			part = fraction(&r->s);
		}
	}
	if (half_day(&r->s, &hour, &half) < 0 || hour > 23)
		return -1;
	return set_time(r, ((hour * 60 + minute) * 60 + second) * SECOND + part);
}

/* Two digits are of 1970 to 2069. */
static int
set_year(struct reading *r, int64_t year, size_t len)
{
	if (r->year || (len != 2 && len != 4))
		return -1;
	r->year = len == 4 ? year : year < 70 ? 2000 + year : 1900 + year;
	return r->year ? 0 : -1;
}

static int
set_day(struct reading *r, int month, int day)
{
	if ((month && r->month) || (day && r->day) || month > 12 || day > 31)
		return -1;
	r->month = month ? month : r->month;
	r->day = day ? day : r->day;
	return 0;
}

/* a/b, a/b/c, also with - and with points (then three). */
static int
numeric_date(struct reading *r, int64_t a, size_t len)
{
	char sep = *r->s.p;
	struct str before;
	int64_t b, c;

	drop(&r->s, 1);
	b = digits(&r->s, 2);
	if (b < 1 || a < 1)
		return -1;
	if (!(r->s.n && *r->s.p == sep && digit(&r->s, 1)))
		return len > 2 || sep == '.' ? -1 : a > 12 ? set_day(r, (int)b, (int)a) : set_day(r, (int)a, (int)b);
	drop(&r->s, 1);
	before = r->s;
	c = digits(&r->s, 4);
	if (c < 1)
		return -1;
	if (len == 4)
		return before.n - r->s.n > 2 || set_year(r, a, 4) < 0 ? -1 : set_day(r, (int)b, (int)c);
	if (len > 2 || set_year(r, c, before.n - r->s.n) < 0)
		return -1;
	return a > 12 ? set_day(r, (int)b, (int)a) : set_day(r, (int)a, (int)b);
}

/* A number of len digits that stands alone: a day, or a year. */
static int
bare_number(struct reading *r, int64_t v, size_t len)
{
	static const char *const ordinal[] = {"st", "nd", "rd", "th"};

	if (is(&r->s, 0, "-/") && letter(&r->s, 1))   /* 28-Jul */
		drop(&r->s, 1);
	if (len == 4 || (len == 2 && r->day && r->month))
		return set_year(r, v, len);
	for (size_t i = 0; i < LEN(ordinal); i++)
		if (str_caseis(word(&r->s), ordinal[i]))
			drop(&r->s, 2);
	return len < 3 && v > 0 ? set_day(r, 0, (int)v) : -1;
}

static int
number(struct reading *r)
{
	struct str before = r->s, rest;
	int64_t v = digits(&r->s, 9), part = 0;
	size_t len = before.n - r->s.n;
	const struct unit *u;
	bool half;

	if (v < 0)
		return -1;
	if (is(&r->s, 0, ":") && len < 3) {
		drop(&r->s, 1);
		return clock_time(r, v);
	}
	rest = r->s;
	if (is(&rest, 0, ".") && digit(&rest, 1)) {
		drop(&rest, 1);
		part = fraction(&rest);
	}
	skip(&rest);
	u = unit_named(word(&rest));
	if (u) {
		drop(&rest, word(&rest).n);
		r->s = rest;
		return count(r, u, v, part);
	}
	if (is(&r->s, 0, "/-.") && digit(&r->s, 1))
		return numeric_date(r, v, len);
	if (len < 3 && half_day(&r->s, &v, &half) < 0)
		return -1;
	return len < 3 && half ? set_time(r, v * HOUR) : bare_number(r, v, len);
}

/* ---- zones ---- */

/* +02:00, +0200, +2 at the front. */
static int
offset(struct reading *r)
{
	bool west = *r->s.p == '-';
	struct str before;
	int64_t hour, minute = 0;

	drop(&r->s, 1);
	before = r->s;
	hour = digits(&r->s, 4);
	if (before.n - r->s.n > 2) {
		minute = hour % 100;
		hour /= 100;
	} else if (is(&r->s, 0, ":")) {
		drop(&r->s, 1);
		minute = digits(&r->s, 2);
	}
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59)
		return -1;
	r->zone = (hour * 60 + minute) * (west ? -60 : 60) * SECOND;
	return 0;
}

static int
zone(struct reading *r)
{
	if (r->zoned)
		return -1;
	r->zoned = true;
	return is(&r->s, 0, "+-") ? offset(r) : 0;
}

/* ---- words ---- */

/* Behind last, next or this. */
static int
turn(struct reading *r, int way)
{
	struct str w;
	const struct unit *u;

	skip(&r->s);
	w = word(&r->s);
	u = unit_named(w);
	if (r->sign || r->turn)
		return -1;
	if (!u) {
		r->turn = way ? way : 2;
		return weekday_named(w) ? 0 : -1;
	}
	drop(&r->s, w.n);
	r->sign = way < 0 ? -1 : 1;
	return w.n < 3 ? -1 : count(r, u, way != 0, 0);
}

enum meaning { NOW, TIME, TURN, SIGN, ZONE, FILL };

/* now, yesterday, noon: what a word alone says. */
static int
say(struct reading *r, enum meaning what, int v)
{
	switch (what) {
	case NOW:
		if (r->now || r->counted)
			return -1;
		r->now = true;
		r->days = v;
		return 0;
	case TIME:
		return set_time(r, v * HOUR);
	case TURN:
		return turn(r, v);
	case SIGN:
		if (r->sign || (v < 0 && !r->counted))
			return -1;
		r->sign = v;
		return 0;
	case ZONE:
		return zone(r);
	default:
		return 0;
	}
}

static int
a_word(struct reading *r)
{
	static const struct {
		const char *text;
		enum meaning what;
		int v;
	} words[] = {
		{"now", NOW, 0}, {"today", NOW, 0}, {"yesterday", NOW, -1}, {"tomorrow", NOW, 1}, {"noon", TIME, 12},
		{"midnight", TIME, 0},
		{"last", TURN, -1}, {"next", TURN, 1}, {"this", TURN, 0}, {"ago", SIGN, -1}, {"in", SIGN, 1}, {"later", SIGN, 1},
		{"utc", ZONE, 0}, {"gmt", ZONE, 0}, {"z", ZONE, 0},
		{"at", FILL, 0}, {"on", FILL, 0}, {"of", FILL, 0}, {"the", FILL, 0}, {"and", FILL, 0}, {"t", FILL, 0},
	};
	struct str w = word(&r->s);
	int n;

	drop(&r->s, w.n);
	for (size_t i = 0; i < LEN(words); i++)
		if (str_caseis(w, words[i].text))
			return say(r, words[i].what, words[i].v);
	if (str_caseis(w, "from"))
		return take_word(&r->s, "now") ? say(r, SIGN, 1) : -1;
	n = month_named(w);
	if (n) {
		if (is(&r->s, 0, "."))
			drop(&r->s, 1);
		if (is(&r->s, 0, "-/") && digit(&r->s, 1))
			drop(&r->s, 1);
		return set_day(r, n, 0);
	}
	n = weekday_named(w);
	if (n) {
		if (r->weekday)
			return -1;
		r->weekday = n;
		return 0;
	}
	n = number_named(w);
	skip(&r->s);
	w = word(&r->s);
	if (!n || !unit_named(w))
		return -1;
	drop(&r->s, w.n);
	return count(r, unit_named(w), n, 0);
}

/* One more piece off the front. */
static int
piece(struct reading *r, bool first)
{
	if (digit(&r->s, 0))
		return number(r);
	if (letter(&r->s, 0))
		return a_word(r);
	if (!is(&r->s, 0, "+-"))
		return -1;
	if (!first)
		return zone(r);
	r->sign = *r->s.p == '-' ? -1 : 1;
	drop(&r->s, 1);
	return digit(&r->s, 0) ? number(r) : -1;
}

/* ---- what it comes to ---- */

/* The day that was named, counted from now, the day since 1970. */
static int
named_day(const struct reading *r, int64_t *day)
{
	int64_t year;
	int month, of, weekday = (int)((*day % 7 + 7 + 3) % 7) + 1, way;   /* 1970-01-01 was a Thursday */

	if (r->weekday && !r->day) {
		way = (r->weekday - weekday + 7) % 7;   /* days until it comes */
		if (r->turn == 1)
			way = way ? way : 7;
		else if (r->turn == -1 || (!r->turn && way))
			way -= 7;
		*day += way;
		return 0;
	}
	date_civil(*day, &year, &month, &of);
	if (r->year)
		year = r->year;
	while (!r->year && r->month == 2 && r->day == 29 && date_month_days(year, 2) < 29)
		year--;
	if (r->day > date_month_days(year, r->month))
		return -1;
	*day = date_days(year, r->month, r->day);
	return 0;
}

/* Goes months and days on from a day; the end of a short month where it has no such day. */
static int64_t
move(int64_t day, int64_t months, int64_t days)
{
	int64_t year;
	int month, of;

	if (months) {
		date_civil(day, &year, &month, &of);
		months += year * 12 + month - 1;
		year = months / 12;
		month = (int)(months % 12) + 1;
		if (months < 12 || year >= YEARS)
			return INT64_MIN;
		day = date_days(year, month, of > date_month_days(year, month) ? date_month_days(year, month) : of);
	}
	return day + days;
}

/* A local time, as if UTC, in UTC: of one that comes twice the first; one that is left out as if the clock had not been changed. */
static int64_t
to_utc(const struct when *w, int64_t local)
{
	int64_t early = w->offset((local - DAY) / SECOND) * SECOND;
	int64_t late = w->offset((local + DAY) / SECOND) * SECOND;
	int64_t utc = local - early;

	if (w->offset(utc / SECOND) * SECOND == early)
		return utc;
	return w->offset((local - late) / SECOND) * SECOND == late ? local - late : utc;
}

static int64_t
floored(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Its year in UTC has four digits. */
static bool
printable(int64_t wall)
{
	return wall >= date_days(1, 1, 1) * DAY && wall < date_days(YEARS, 1, 1) * DAY;
}

static int
resolve(struct reading *r, const struct when *w, int64_t *wall)
{
	int64_t here = w->now + (r->zoned ? r->zone : w->offset(floored(w->now, SECOND)) * SECOND);
	int64_t day = floored(here, DAY), time = here - day * DAY;
	bool dated = r->day || r->weekday, from_now = r->now || r->counted;
	int sign = r->counted && !r->sign ? -1 : r->sign;   /* "2 hours" are past */

	if ((r->sign && !r->counted) || (dated && from_now) || (!dated && !from_now && !r->timed))
		return -1;
	if (!r->day != !r->month || (r->year && !r->day))
		return -1;
	if (dated) {
		if (named_day(r, &day) < 0)
			return -1;
		time = 0;
	}
	if (r->timed)
		time = r->time;
	day = r->counted ? move(day, sign * r->months, sign * r->days) : day + r->days;
	if (day < date_days(1, 1, 1) || day >= date_days(YEARS, 1, 1))
		return -1;
	here = day * DAY + time;
	*wall = (r->zoned ? here - r->zone : to_utc(w, here)) + sign * r->exact;
	return printable(*wall) ? 0 : -1;
}

/* Seconds since 1970 in 9 or 10 digits, milliseconds in 13, microseconds in 16. */
static int
epoch(struct str s, int64_t *wall)
{
	size_t n = 0;
	int64_t v;

	while (digit(&s, n))
		n++;
	if (n != 9 && n != 10 && n != 13 && n != 16)
		return -1;
	v = digits(&s, 16);
	if (n < 11 && is(&s, 0, ".") && digit(&s, 1)) {
		drop(&s, 1);
		v = v * SECOND + fraction(&s);
	} else {
		v *= n < 11 ? SECOND : n == 13 ? 1000 : 1;
	}
	*wall = v;
	return s.n ? -1 : 0;
}

int
when_parse(struct str s, const struct when *w, int64_t *wall)
{
	struct reading r = {.s = s};
	bool zoned, first = true;

	skip(&r.s);
	while (r.s.n && is(&r.s, r.s.n - 1, " \t\r\n"))
		r.s.n--;
	if (!date_parse(r.s, wall, &zoned)) {
		if (!zoned)
			*wall = to_utc(w, *wall);
		return printable(*wall) ? 0 : -1;
	}
	if (!epoch(r.s, wall))
		return 0;
	for (; r.s.n; first = false) {
		if (piece(&r, first) < 0)
			return -1;
		skip(&r.s);
	}
	return first ? -1 : resolve(&r, w, wall);
}
