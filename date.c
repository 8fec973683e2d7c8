/* SPDX-License-Identifier: MIT */
/*
 * Times as text, by the proleptic Gregorian calendar.  Prints every int64_t; of the years 0000 to 9999 the text is read back as
 * the same microsecond.  Reads ISO 8601's calendar dates in the extended form and the basic one: 2026-11-23, 2026-11-23T23:20,
 * 2026-11-23 23:20:49,206+01:00, 20261123T232049Z.
 */
#include "labtasker.h"

#include <stdio.h>

static const int64_t DAY = 86400 * SECOND;

/* The calendar repeats every 400 years of 146097 days.  Years are counted from March, so that the leap day is a year's last. */
int64_t
date_days(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400, of = y - era * 400;
	int from_march = (month + 9) % 12;

	/* 153 days in each five months from March */
	return era * 146097 + of * 365 + of / 4 - of / 100 + (153 * from_march + 2) / 5 + day - 1 - 719468;
}

void
date_civil(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t d = days + 719468, era = (d >= 0 ? d : d - 146096) / 146097;
	int of = (int)(d - era * 146097), y, from_march;

	y = (of - of / 1460 + of / 36524 - of / 146096) / 365;
	of -= 365 * y + y / 4 - y / 100;
	from_march = (5 * of + 2) / 153;
	*day = of - (153 * from_march + 2) / 5 + 1;
	*month = from_march < 10 ? from_march + 3 : from_march - 9;
	*year = era * 400 + y + (*month <= 2);
}

int
date_month_days(int64_t year, int month)
{
	return (int)(date_days(year + month / 12, month % 12 + 1, 1) - date_days(year, month, 1));
}

/* n in so many digits; where they end. */
static char *
digits(char *at, int n, int count)
{
	for (int i = count; i-- > 0; n /= 10)
		at[i] = (char)('0' + n % 10);
	return at + count;
}

/* By hand: each answer and event has several times. */
void
date_iso(char out[32], int64_t wall)
{
	int64_t days = wall / DAY, rest = wall % DAY, year;
	int month, day, s, part[5];

	if (rest < 0) {
		rest += DAY;
		days--;
	}
	s = (int)(rest / SECOND);
	date_civil(days, &year, &month, &day);
	part[0] = month;
	part[1] = day;
	part[2] = s / 3600;
	part[3] = s / 60 % 60;
	part[4] = s % 60;
	out += year >= 0 && year <= 9999 ? digits(out, (int)year, 4) - out : snprintf(out, 12, "%04ld", (long)year);
	for (int i = 0; i < 5; i++) {
		*out++ = "--T::"[i];
		out = digits(out, part[i], 2);
	}
	*out++ = '.';
	out = digits(out, (int)(rest % SECOND), 6);
	*out++ = 'Z';
	*out = 0;
}

/* ---- reading ---- */

/* Exactly n digits off the front of s, -1 when they are not there. */
static int
number(struct str *s, size_t n)
{
	int v = 0;

	if (s->n < n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return -1;
		v = v * 10 + (s->p[i] - '0');
	}
	s->p += n;
	s->n -= n;
	return v;
}

/* Takes the first byte of s if it is one of set. */
static bool
skip(struct str *s, const char *set)
{
	for (; s->n && *set; set++) {
		if (*s->p == *set) {
			s->p++;
			s->n--;
			return true;
		}
	}
	return false;
}

/* With both hyphens or with none. */
static int
read_date(struct str *s, int64_t *days)
{
	int year = number(s, 4), month, day;
	bool hyphen = skip(s, "-");

	month = number(s, 2);
	if (hyphen && !skip(s, "-"))
		return -1;
	day = number(s, 2);
	if (year < 0 || month < 1 || month > 12 || day < 1 || day > date_month_days(year, month))
		return -1;
	*days = date_days(year, month, day);
	return 0;
}

/* The digits after the point, as microseconds; those beyond the sixth are read and dropped. */
static int
read_fraction(struct str *s, int64_t *us)
{
	int64_t unit = SECOND / 10;
	int d = number(s, 1);

	if (d < 0)
		return -1;
	for (; d >= 0; d = number(s, 1)) {
		*us += unit * d;
		unit /= 10;
	}
	return 0;
}

static bool
at_digit(const struct str *s)
{
	return s->n && *s->p >= '0' && *s->p <= '9';
}

/* hh[:mm[:ss[.fraction]]], all with colons or all without.  24:00 is the midnight that ends the day. */
static int
read_time(struct str *s, int64_t *us)
{
	int hour = number(s, 2), minute = 0, second = 0;
	bool colon = skip(s, ":"), has_second = false;

	if (colon || at_digit(s)) {
		minute = number(s, 2);
		has_second = colon ? skip(s, ":") : at_digit(s);
	}
	if (has_second)
		second = number(s, 2);
	if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || second < 0 || second > 59)
		return -1;
	*us = ((int64_t)hour * 3600 + minute * 60 + second) * SECOND;
	if (has_second && skip(s, ".,") && read_fraction(s, us) < 0)
		return -1;
	return *us > DAY ? -1 : 0;
}

/* Z, +hh:mm, +hhmm, +hh; what is to be taken off to come to UTC. */
static int
read_zone(struct str *s, int64_t *us)
{
	bool west = s->n && *s->p == '-';
	int hour, minute = 0;

	*us = 0;
	if (skip(s, "Zz"))
		return 0;
	if (!skip(s, "+-"))
		return -1;
	hour = number(s, 2);
	if (skip(s, ":") || at_digit(s))
		minute = number(s, 2);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59)
		return -1;
	*us = ((int64_t)hour * 3600 + minute * 60) * (west ? -SECOND : SECOND);
	return 0;
}

int
date_parse(struct str s, int64_t *wall, bool *zoned)
{
	int64_t days, time = 0, zone = 0;
	bool has_zone = false;

	if (read_date(&s, &days) < 0)
		return -1;
	if (s.n) {
		if (!skip(&s, "Tt ") || read_time(&s, &time) < 0)
			return -1;
		has_zone = s.n > 0;
		if (has_zone && read_zone(&s, &zone) < 0)
			return -1;
	}
	if (s.n)
		return -1;
	*wall = days * DAY + time - zone;
	*zoned = has_zone;
	return 0;
}
