/* SPDX-License-Identifier: MIT */
/* date.c: every day of ten thousand years, the ends of int64_t, and texts row by row, byte by byte. */
#include "../date.c"
#include "test.h"

static int
days_in(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (leap && month == 2);
}

/* Counts on by hand, day by day, from -0800-01-01 to the end of 9999. */
static void
test_calendar(void)
{
	int64_t days = -719528 - 2 * 146097, year;   /* 0000-01-01 and two rounds of the calendar before */
	int month, day;
	size_t wrong = 0;

	for (int64_t y = -800; y < 10000; y++) {
		for (int m = 1; m <= 12; m++) {
			for (int d = 1; d <= days_in(y, m); d++, days++) {
				date_civil(days, &year, &month, &day);
				wrong += year != y || month != m || day != d || date_days(y, m, d) != days;
			}
			wrong += date_month_days(y, m) != days_in(y, m);
		}
	}
	check(!wrong, "%d days are wrong", (int)wrong);
	check(days == 2932897, "9999 ends on day %ld", (long)days);
	check(date_days(1970, 1, 1) == 0 && date_days(2000, 3, 1) == 11017, "fixed days");
}

static void
test_iso(void)
{
	static const struct {
		int64_t wall;
		const char *text;
	} row[] = {
		{0, "1970-01-01T00:00:00.000000Z"},
		{1795476049206000, "2026-11-23T23:20:49.206000Z"},
		{-1, "1969-12-31T23:59:59.999999Z"},
		{-86400000000, "1969-12-31T00:00:00.000000Z"},
		{-86400000001, "1969-12-30T23:59:59.999999Z"},
		{951782400000001, "2000-02-29T00:00:00.000001Z"},
		{253402300799999999, "9999-12-31T23:59:59.999999Z"},
		{-62167219200000000, "0000-01-01T00:00:00.000000Z"},
		{INT64_MAX, "294247-01-10T04:00:54.775807Z"},
		{INT64_MIN, "-290308-12-21T19:59:05.224192Z"},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		char text[32];

		date_iso(text, row[i].wall);
		check(!strcmp(text, row[i].text), "date_iso, row %d: %s", (int)i, text);
	}
}

static void
test_parse(void)
{
	static const struct {
		const char *text;
		int zoned;   /* -1: refused */
		int64_t wall;
	} row[] = {
		/* dates */
		{"2026-11-23", 0, 1795392000000000}, {"20261123", 0, 1795392000000000}, {"1970-01-01", 0, 0},
		{"2024-02-29", 0, 1709164800000000}, {"2023-02-29", -1, 0}, {"1900-02-29", -1, 0},
		{"2000-02-29", 0, 951782400000000},
		{"2026-11-31", -1, 0}, {"2026-12-31", 0, 1798675200000000}, {"2026-13-01", -1, 0}, {"2026-00-01", -1, 0},
		{"2026-01-00", -1, 0},
		{"0000-01-01", 0, -62167219200000000}, {"9999-12-31", 0, 253402214400000000}, {"2026-11", -1, 0}, {"2026", -1, 0},
		{"", -1, 0}, {"-2026-11-23", -1, 0}, {"+2026-11-23", -1, 0}, {"26-11-23", -1, 0}, {"2026-1123", -1, 0},
		{"202611-23", -1, 0},
		{"2026-1-1", -1, 0}, {" 2026-11-23", -1, 0}, {"2026-11-23 ", -1, 0}, {"2026/11/23", -1, 0},
		{"2026-11-23Z", -1, 0},
		{"2026-W48-1", -1, 0}, {"now", -1, 0},
		/* times */
		{"2026-11-23T23:20:49", 0, 1795476049000000}, {"2026-11-23t23:20:49", 0, 1795476049000000},
		{"2026-11-23 23:20:49", 0, 1795476049000000}, {"2026-11-23_23:20:49", -1, 0}, {"2026-11-23  23:20:49", -1, 0},
		{"20261123T232049", 0, 1795476049000000}, {"20261123T23:20:49", 0, 1795476049000000},
		{"2026-11-23T232049", 0, 1795476049000000},
		{"2026-11-23T23", 0, 1795474800000000}, {"2026-11-23T23:20", 0, 1795476000000000},
		{"20261123T2320", 0, 1795476000000000},
		{"2026-11-23T23:", -1, 0}, {"2026-11-23T23:20:", -1, 0}, {"2026-11-23T23:2049", -1, 0},
		{"2026-11-23T2320:49", -1, 0},
		{"2026-11-23T3:20:49", -1, 0}, {"2026-11-23T24:00:00", 0, 1795478400000000},
		{"2026-11-23T24:00:00.000", 0, 1795478400000000},
		{"2026-11-23T24:00:01", -1, 0}, {"2026-11-23T24:00:00.000001", -1, 0}, {"2026-11-23T25:00", -1, 0},
		{"2026-11-23T23:60", -1, 0},
		{"2026-11-23T23:20:60", -1, 0}, {"2026-11-23T-1:20:49", -1, 0},
		/* fractions */
		{"2026-11-23T23:20:49.206", 0, 1795476049206000}, {"2026-11-23T23:20:49,206", 0, 1795476049206000},
		{"2026-11-23T23:20:49.2", 0, 1795476049200000}, {"2026-11-23T23:20:49.206012", 0, 1795476049206012},
		{"2026-11-23T23:20:49.2060129", 0, 1795476049206012},
		{"2026-11-23T23:20:49.0000009999999999999999999999999999", 0, 1795476049000000},
		{"2026-11-23T23:20:49.", -1, 0}, {"2026-11-23T23:20:49.Z", -1, 0}, {"2026-11-23T23:20.5", -1, 0},
		{"2026-11-23T23.5", -1, 0},
		{"2026-11-23T23:20:49.2.0", -1, 0}, {"20261123T232049.206Z", 1, 1795476049206000},
		{"1969-12-31T23:59:59.9999999Z", 1, -1},
		/* zones */
		{"2026-11-23T23:20:49.206000Z", 1, 1795476049206000}, {"2026-11-23T23:20:49z", 1, 1795476049000000},
		{"2026-11-23T23:20:49+00:00", 1, 1795476049000000}, {"2026-11-23T23:20:49-00:00", 1, 1795476049000000},
		{"2026-11-23T23:20:49+01:30", 1, 1795470649000000}, {"2026-11-23T23:20:49-01:30", 1, 1795481449000000},
		{"2026-11-23T23:20:49+0130", 1, 1795470649000000}, {"2026-11-23T23:20:49+01", 1, 1795472449000000},
		{"2026-11-23T23:20+01:00", 1, 1795472400000000}, {"2026-11-23T23Z", 1, 1795474800000000},
		{"2026-11-23 23:20:49.5-09:45", 1, 1795511149500000}, {"2026-11-23T23:20:49+23:59", 1, 1795389709000000},
		{"2026-11-23T23:20:49+24:00", -1, 0}, {"2026-11-23T23:20:49+01:60", -1, 0}, {"2026-11-23T23:20:49+1:00", -1, 0},
		{"2026-11-23T23:20:49+", -1, 0}, {"2026-11-23T23:20:49+01:", -1, 0}, {"2026-11-23T23:20:49+01:3", -1, 0},
		{"2026-11-23T23:20:49 +01:00", -1, 0}, {"2026-11-23T23:20:49ZZ", -1, 0}, {"2026-11-23T23:20:49Z ", -1, 0},
		{"2026-11-23T23:20:49+01:00Z", -1, 0}, {"2026-11-23T23:20:49 UTC", -1, 0},
		{"2026-11-23T23:20:49+01:00:30", -1, 0},
		{"0000-01-01T00:00+23:59", 1, -62167305540000000},
	};

	for (size_t i = 0; i < LEN(row); i++) {
		char *copy = xmemdup(row[i].text, strlen(row[i].text));
		int64_t wall = 77;
		bool zoned = false;
		int rc = date_parse(str_of(copy), &wall, &zoned);

		if (row[i].zoned < 0)
			check(rc < 0 && wall == 77, "%s is taken, as %lld", row[i].text, (long long)wall);
		else
			check(!rc && wall == row[i].wall && zoned == row[i].zoned, "%s: %d, %lld, %d", row[i].text, rc,
			    (long long)wall, zoned);
		free(copy);
	}
	check(date_parse((struct str){NULL, 0}, &(int64_t){0}, &(bool){false}) < 0, "nothing is no date");
}

/* Only whole parts are read, and nothing beyond the end is looked at. */
static void
test_prefixes(void)
{
	static const char full[] = "2026-11-23T23:20:49.206012+01:30";
	static const char good[] = "----------Y--Y--Y--Y-YYYYYY--Y--Y";   /* by length; the date alone at 10 */

	for (size_t n = 0; n < sizeof full; n++) {
		int64_t wall;
		bool zoned;
		char *copy = malloc(n ? n : 1);

		memcpy(copy, full, n);
		check((date_parse((struct str){copy, n}, &wall, &zoned) == 0) == (good[n] == 'Y'), "the first %d bytes", (int)n);
		free(copy);
	}
}

/* A time that is read, whatever byte stands at whatever place, is printed and read again as itself. */
static void
test_bytes(void)
{
	static const char *const from[] = {"2026-11-23T23:20:49.206012+01:30", "20240229 235959Z"};
	size_t taken = 0;

	for (size_t k = 0; k < LEN(from); k++) {
		for (size_t i = 0; from[k][i]; i++) {
			for (int c = 0; c < 256; c++) {
				char *copy = xstrdup(from[k]), text[32];
				int64_t wall, again = 0;
				bool zoned;

				copy[i] = (char)c;
				if (!date_parse((struct str){copy, strlen(from[k])}, &wall, &zoned)) {
					taken++;
					date_iso(text, wall);
					check(!date_parse(str_of(text), &again, &zoned) && zoned && again == wall, "%s is %s",
					    copy, text);
				}
				free(copy);
			}
		}
	}
	check(taken > 150 && taken < 400, "%d texts are taken", (int)taken);
}

static void
test_round(void)
{
	static const int64_t first = -62167219200000000, span = 315569520000000000;   /* the years 0000 to 9999 */
	uint64_t x = 1;
	size_t wrong = 0;

	for (int i = 0; i < 200000; i++) {
		int64_t wall, back = 0;
		bool zoned = false;
		char text[32];

		x = x * 6364136223846793005u + 1442695040888963407u;
		wall = first + (int64_t)((x >> 1) % (uint64_t)span);
		date_iso(text, wall);
		wrong += date_parse(str_of(text), &back, &zoned) < 0 || back != wall || !zoned;
	}
	check(!wrong, "%d times are read as others", (int)wrong);
}

int
main(void)
{
	test_calendar();
	test_iso();
	test_parse();
	test_prefixes();
	test_bytes();
	test_round();
	return test_done("date");
}
