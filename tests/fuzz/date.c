/* SPDX-License-Identifier: MIT */
/*
 * date.c, when.c and the small readers of util.c.  The first eight bytes are a time, which printed and read is itself; the rest
 * is a text: what reads as a time, a duration, a number or an id is printed and read as the same.
 */
#include "fuzz.h"
#include "../../cli/cli.h"

static const int64_t first = -62135596800000000, last = 253402300799999999;   /* of the years 0001 and 9999 */

static int
one_hour(int64_t seconds)
{
	(void)seconds;
	return 3600;
}
static const struct when when = {.now = 1785234567000000, .offset = one_hour};

static void
must_return(int64_t wall)
{
	char text[32];
	int64_t again = 0;
	bool zoned = false;

	date_iso(text, wall);
	must(strlen(text) < sizeof text, "too long: %s", text);
	if (wall < first || wall > last)
		return;
	must(!date_parse(str_of(text), &again, &zoned) && zoned && again == wall, "%ld is %s, and that %ld", (long)wall, text,
	    (long)again);
	must(!when_parse(str_of(text), &when, &again) && again == wall, "%s as people write it is %ld", text, (long)again);
}

static void
must_count(int64_t days)
{
	int64_t year;
	int month, day;

	days %= 100000000;
	date_civil(days, &year, &month, &day);
	must(month >= 1 && month <= 12 && day >= 1 && day <= 31, "%ld days are %d-%d", (long)days, month, day);
	must(date_days(year, month, day) == days, "%ld days", (long)days);
}

static void
must_read(struct str s)
{
	char *other = swap_case(s);
	int64_t wall = 0, again = 0;
	bool zoned, ok = !date_parse(s, &wall, &zoned) && wall >= first && wall <= last;

	if (ok)
		must_return(wall);
	if (ok && zoned)
		must(!when_parse(s, &when, &again) && again == wall, "%.*s is %ld and %ld", (int)s.n, s.p, (long)wall, (long)again);
	ok = !when_parse(s, &when, &wall);
	must(ok == !when_parse((struct str){other, s.n}, &when, &again) && (!ok || wall == again), "%.*s in another case", (int)s.n, s.p);
	if (ok)
		must_return(wall);
	free(other);
}

static void
must_measure(struct str s)
{
	struct buf b = {0};
	unsigned char id[16], id2[16];
	char uuid[37];
	double real = 0, again = -1;
	int64_t num, num2;

	if (!parse_duration(s, &real)) {
		must(real - real == 0, "%.*s lasts %g", (int)s.n, s.p, real);
		json_repr(&b, real);
		must(!parse_duration((struct str){b.p, b.len}, &again) && !memcmp(&real, &again, sizeof real), "%.*s lasts %s, and that %g",
		    (int)s.n, s.p, b.p, again);
	}
	buf_clear(&b);
	if (!parse_int(s, &num)) {
		buf_addint(&b, num);
		must(!parse_int((struct str){b.p, b.len}, &num2) && num == num2, "%s is another integer", b.p);
		must(!parse_float(s, &real), "%s is an integer and no number", b.p);
	}
	buf_clear(&b);
	if (!parse_float(s, &real)) {
		must(real - real == 0, "%.*s is no finite number", (int)s.n, s.p);
		json_repr(&b, real);
		must(!parse_float((struct str){b.p, b.len}, &again) && !memcmp(&real, &again, sizeof real), "%s is another number", b.p);
	}
	if (!uuid_parse(s, id)) {
		uuid_print(id, uuid);
		must(!uuid_parse(str_of(uuid), id2) && !memcmp(id, id2, 16) && str_caseis(s, uuid), "another id: %s", uuid);
	}
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	int64_t wall = 0;

	if (n < sizeof wall)
		return 0;
	memcpy(&wall, data, sizeof wall);
	must_return(wall);
	must_return(wall % last);
	must_count(wall);
	must_read(text_of(data + 8, n - 8));
	must_measure(text_of(data + 8, n - 8));
	return 0;
}
