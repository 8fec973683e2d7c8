/* SPDX-License-Identifier: MIT */
/*
 * Many tasks at once: JSON Lines or CSV from a file or a stream, or the product of sweeps.  A regular file is read twice: first to
 * find every mistake before anything is submitted, then to submit it; a stream is submitted as it comes.  Memory does not grow
 * with the number of tasks: at most WINDOW calls are on their way (one, where the server is not ours), and ids are printed in the
 * order of the input.  What is not in at the end is named by its lines, with the command that goes on from there.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	WINDOW = 1024,             /* calls under way: a few times what the client pipelines */
	CHUNK = 64 << 10,
	RECORD = 16 << 20,         /* bytes of a line: more than a request may have */
	SWEEP = 10000000,          /* values of a range, tasks of a product */
	SAID = 10,                 /* refusals that are told one by one */
	PACE = 200000              /* microseconds between two progress lines */
};

enum { NONE, ONE, MORE };      /* what a source has next, -1 besides: nothing, a task, nothing before more bytes have come */

/* ---- input: records of a file or stream ---- */

struct input {
	const char *path, *name;
	int fd;
	bool csv, typed, whole;        /* whole: the records are tasks, not their arguments */
	bool regular, eof;
	struct buf b;
	size_t off, scan;              /* where the record begins; how far its end was looked for */
	bool quoted;                   /* CSV: the state there */
	size_t line;                   /* of the record that begins at off */
	char **column;                 /* CSV: the header */
	size_t columns;
};

static int
bad_input(const struct input *in, size_t line, size_t col, struct err *e, const char *what)
{
	return err_set(e, EXIT_USAGE, "%s:%lu:%lu: %s", in->name, (unsigned long)line, (unsigned long)col, what);
}

static int
input_open(struct input *in, struct err *e)
{
	bool standard = !strcmp(in->path, "-");
	size_t n = strlen(in->path);
	char none;

	in->name = standard ? "standard input" : in->path;
	in->csv = in->csv || (n > 4 && !strcmp(in->path + n - 4, ".csv"));
	in->line = 1;
	in->fd = standard ? 0 : open(in->path, O_RDONLY);
	if (in->fd < 0 || read(in->fd, &none, 0) < 0)   /* a directory */
		return err_set(e, EXIT_USAGE, "%s: %s", in->path, strerror(errno));
	sys_cloexec(in->fd);
	return 0;
}

static void
input_close(struct input *in)
{
	if (in->fd > 0)
		close(in->fd);
	buf_free(&in->b);
	for (size_t i = 0; i < in->columns; i++)
		free(in->column[i]);
	free(in->column);
}

/* Reads what comes next. */
static int
fill(struct input *in, struct err *e)
{
	ssize_t n;

	buf_drop(&in->b, in->off);
	in->scan -= in->off;
	in->off = 0;
	buf_reserve(&in->b, CHUNK);
	n = sys_read(in->fd, in->b.p + in->b.len, CHUNK);
	if (n < 0)
		return err_set(e, EXIT_USAGE, "%s: %s", in->name, strerror(errno));
	in->b.len += (size_t)n;
	in->eof = !n;
	return 0;
}

/* Where the record's line ends; NULL: not yet here.  In CSV a newline between quotes is none. */
static const char *
line_end(struct input *in)
{
	const char *p, *end;

	if (!in->b.len)
		return NULL;
	p = in->b.p + in->scan;
	end = in->b.p + in->b.len;
	for (; in->csv && p < end && (in->quoted || *p != '\n'); p++)
		if (*p == '"')
			in->quoted = !in->quoted;
	if (!in->csv)
		p = memchr(p, '\n', (size_t)(end - p));
	in->scan = p ? (size_t)(p - in->b.p) : in->b.len;
	return p == end ? NULL : p;
}

/* The next record and its line. */
static int
record(struct input *in, struct str *rec, size_t *line, struct err *e)
{
	const char *end = line_end(in);

	if (!end && in->b.len - in->off > RECORD)
		return bad_input(in, in->line, 1, e, "this line is longer than 16 MiB");
	if (!end && !in->eof)
		return MORE;
	if (in->off == in->b.len)
		return NONE;
	if (!end)
		end = in->b.p + in->b.len;
	*rec = (struct str){in->b.p + in->off, (size_t)(end - (in->b.p + in->off))};
	*line = in->line;
	in->line++;
	for (size_t i = 0; in->csv && i < rec->n; i++)
		in->line += rec->p[i] == '\n';
	in->off += rec->n + (in->off + rec->n < in->b.len);
	in->scan = in->off;
	in->quoted = false;
	if (*line == 1 && rec->n > 2 && !memcmp(rec->p, "\xef\xbb\xbf", 3))
		*rec = (struct str){rec->p + 3, rec->n - 3};
	if (rec->n && rec->p[rec->n - 1] == '\r')
		rec->n--;
	return ONE;
}

static bool
blank(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != ' ' && s.p[i] != '\t')
			return false;
	return true;
}

/* ---- tasks ---- */

/* As the server checks them. */
static int
check_keys(const struct json *obj, struct err *e)
{
	for (const struct json *v = obj->head; v; v = v->next) {
		if (!key_valid(v->key))
			return err_set(e, EXIT_USAGE,
			    "'%.*s' cannot be an argument's name: it must be letters, digits, _ and -, with dots between",
			    v->key.n > 60 ? 60 : (int)v->key.n, v->key.p);
		if (v->type == JSON_OBJ && check_keys(v, e) < 0)
			return -1;
	}
	return 0;
}

/* What a whole task may name, and the kinds of value that the server takes; null stands for the default. */
static const struct {
	const char *name;
	unsigned kinds;
} fields[] = {
#define KIND(t) (1u << (t))
	{"task_name", KIND(JSON_STR)}, {"args", KIND(JSON_OBJ)}, {"metadata", KIND(JSON_OBJ)},
	{"cmd", KIND(JSON_STR) | KIND(JSON_ARR)},
	{"heartbeat_timeout", KIND(JSON_NUM)}, {"task_timeout", KIND(JSON_NUM)}, {"max_retries", KIND(JSON_NUM)},
	{"priority", KIND(JSON_NUM)},
#undef KIND
};

static int
check_field(const struct json *v, struct err *e)
{
	const char *best = NULL;
	int least = 3;

	for (size_t i = 0; i < LEN(fields); i++) {
		int d = opt_distance(v->key, str_of(fields[i].name));

		if (!d && !(fields[i].kinds & 1u << v->type) && v->type != JSON_NULL)
			return err_set(e, EXIT_USAGE, "%s has a value of the wrong kind", fields[i].name);
		if (!d && !i && v->type == JSON_STR && !name_valid((struct str){v->s, v->len}))
			return err_set(e, EXIT_USAGE, "task_name must be 1 to 100 letters, digits, _ and -");
		if (d < least) {
			best = fields[i].name;
			least = d;
		}
	}
	if (best && !least)
		return 0;
	return err_set(e, EXIT_USAGE, "'%.*s' is no field of a task%s%s", v->key.n > 60 ? 60 : (int)v->key.n, v->key.p,
	    best ? ": did you mean " : "; args, task_name, metadata, cmd, priority, max_retries and the timeouts are",
	    best ? best : "");
}

/* Puts the members of from over those of obj. */
static void
overlay(struct json_doc *d, struct json *obj, const struct json *from)
{
	for (const struct json *v = from->head; v; v = v->next)
		json_set(d, obj, v->key, json_copy(d, v));
}

/* The request for one task of d: what all have, and over it own, its arguments or (whole) its fields.  Becomes d's root. */
static int
compose(struct json_doc *d, const struct json *base, const struct json *own, bool whole, struct err *e)
{
	struct json *args;
	const struct json *cmd;

	d->root = json_copy(d, base);
	for (const struct json *v = whole ? own->head : NULL; v; v = v->next) {
		if (check_field(v, e) < 0)
			return -1;
		if (v->type != JSON_NULL)
			json_set(d, d->root, v->key, json_copy(d, v));
	}
	args = json_gets(d->root, "args");
	if (!whole)
		overlay(d, args, own);
	cmd = json_gets(d->root, "cmd");
	if (!args->len && !(cmd && cmd->len))
		return err_set(e, EXIT_USAGE, "a task needs arguments, or a command");
	return check_keys(args, e);
}

/* ---- CSV (RFC 4180) ---- */

struct cells {
	const struct input *in;
	struct str rest;
	const char *start;
	size_t line;               /* of the record */
	const char *at;            /* the cell that was read last */
	bool more;
};

/* Refuses that cell. */
static int
bad_cell(const struct cells *c, struct err *e, const char *what)
{
	size_t line = c->line;
	const char *from = c->start;

	for (const char *p = from; p < c->at; p++) {
		if (*p == '\n') {
			line++;
			from = p + 1;
		}
	}
	return bad_input(c->in, line, (size_t)(c->at - from) + 1, e, what);
}

/* The next cell, appended to b. */
static int
cell(struct cells *c, struct buf *b, struct err *e)
{
	const char *p = c->rest.p, *end = p + c->rest.n;

	c->at = p;
	if (p < end && *p == '"') {
		for (p++; p < end && !(*p == '"' && !(p + 1 < end && p[1] == '"')); p++) {
			buf_addc(b, *p);
			p += *p == '"';
		}
		if (p == end)
			return bad_cell(c, e, "this cell has no closing quote");
		p++;
		if (p < end && *p != ',')
			return bad_cell(c, e, "behind a cell's closing quote a comma must stand: a quote within is doubled");
	} else {
		while (p < end && *p != ',' && *p != '"')
			buf_addc(b, *p++);
		if (p < end && *p == '"')
			return bad_cell(c, e, "a cell that holds a quote must stand in quotes, with the quote doubled");
	}
	if (!utf8_valid(b->p, b->len))
		return bad_cell(c, e, "this cell is not UTF-8");
	c->more = p < end;
	c->rest = c->more ? (struct str){p + 1, (size_t)(end - p - 1)} : (struct str){end, 0};
	return 0;
}

/* The first record names the columns. */
static int
header(struct input *in, struct str rec, size_t at, struct err *e)
{
	struct cells c = {.in = in, .rest = rec, .start = rec.p, .line = at, .more = true};
	struct json_doc *d = json_new();
	struct json *names = json_mkobj(d);
	int rc = 0;

	while (!rc && c.more) {
		struct buf b = {0};
		struct err why = {0};

		buf_reserve(&b, 1);
		b.p[0] = 0;
		rc = cell(&c, &b, e);
		for (size_t i = 0; !rc && i < in->columns; i++)
			if (!strcmp(in->column[i], b.p))
				rc = bad_cell(&c, e, "there is another column of this name");
		if (!rc && (literal_put(d, names, b.p, json_mknull(d), &why) < 0 || check_keys(names, &why) < 0))
			rc = bad_cell(&c, e, why.msg);
		in->column = xrealloc(in->column, (in->columns + 1) * sizeof *in->column);
		in->column[in->columns++] = b.p;
	}
	json_free(d);
	return rc;
}

/* A record's cells as arguments. */
static struct json *
row(const struct input *in, struct json_doc *d, struct str rec, size_t at, struct err *e)
{
	struct cells c = {.in = in, .rest = rec, .start = rec.p, .line = at, .at = rec.p, .more = true};
	struct json *args = json_mkobj(d);
	struct buf b = {0};
	size_t n = 0;
	int rc = 0;

	for (; !rc && c.more && n < in->columns; n++) {
		struct json *v;

		buf_clear(&b);
		rc = cell(&c, &b, e);
		v = !rc && in->typed ? literal_parse(d, (struct str){b.p, b.len}) : NULL;
		if (!rc)
			rc = literal_put(d, args, in->column[n], v ? v : json_mkstr(d, (struct str){b.p, b.len}), e);
	}
	buf_free(&b);
	if (!rc && (c.more || n < in->columns)) {
		char text[80];

		snprintf(text, sizeof text, "the header has %lu columns, this record has %s", (unsigned long)in->columns,
		    c.more ? "more" : "fewer");
		rc = bad_cell(&c, e, text);
	}
	return rc ? NULL : args;
}

/* ---- what a source gives ---- */

struct sweep {
	char *name;
	struct json **value;
	size_t n;
};

struct source {
	const struct bulk *bulk;
	struct input in;           /* of a file */
	struct json_doc *values;   /* of sweeps */
	struct sweep *sweep;
	size_t sweeps, at;
	size_t total;              /* tasks; 0: not known */
};

/* The record's task, as d's root. */
static int
read_task(struct source *s, struct json_doc **d, struct str rec, size_t line, struct err *e)
{
	static const char object[] = "this line must be a JSON object: {\"lr\": 0.1}";
	struct err why = {0};
	struct json *own;
	char text[sizeof why.msg + sizeof object + 2];

	if (s->in.csv) {
		*d = json_new();
		own = row(&s->in, *d, rec, line, e);
		if (!own)
			return -1;
	} else {
		*d = json_parse(rec.p, rec.n, &why);
		if (!*d) {
			snprintf(text, sizeof text, "%s: %s", why.msg, object);
			return bad_input(&s->in, line, why.pos + 1, e, text);
		}
		own = (*d)->root;
		if (own->type != JSON_OBJ)
			return bad_input(&s->in, line, 1, e, object);
	}
	if (compose(*d, s->bulk->base, own, s->in.whole, &why) < 0)
		return bad_input(&s->in, line, 1, e, why.msg);
	return 0;
}

static int
next_record(struct source *s, struct json_doc **d, size_t *line, struct err *e)
{
	for (;;) {
		struct str rec = {0};
		int rc = record(&s->in, &rec, line, e);

		if (rc == NONE && s->in.csv && !s->in.columns)
			return bad_input(&s->in, 1, 1, e, "there is no header: its first line must name the columns");
		if (rc != ONE)
			return rc;
		if (blank(rec))
			continue;
		if (!s->in.csv || s->in.columns)
			return read_task(s, d, rec, *line, e) < 0 ? -1 : ONE;
		if (header(&s->in, rec, *line, e) < 0)
			return -1;
	}
}

/* The next of the product: the last sweep turns fastest. */
static int
next_product(struct source *s, struct json_doc **d, size_t *line, struct err *e)
{
	size_t rest = s->at;
	struct json *own;

	if (s->at == s->total)
		return NONE;
	*line = ++s->at;
	*d = json_new();
	own = json_mkobj(*d);
	for (size_t i = 0, block = s->total; i < s->sweeps; i++) {
		block /= s->sweep[i].n;
		if (literal_put(*d, own, s->sweep[i].name, json_copy(*d, s->sweep[i].value[rest / block]), e) < 0)
			return -1;
		rest %= block;
	}
	return compose(*d, s->bulk->base, own, false, e) < 0 ? -1 : ONE;
}

/* ONE: *d is the request, owned by the caller in any case when it is not NULL. */
static int
next(struct source *s, struct json_doc **d, size_t *line, struct err *e)
{
	*d = NULL;
	return s->in.path ? next_record(s, d, line, e) : next_product(s, d, line, e);
}

/* Reads a whole regular file, to find what is wrong with it, and goes back to its start. */
static int
validate(struct source *s, struct err *e)
{
	struct stat st;
	off_t from = 0;
	size_t line = 0;
	int rc = MORE;

	s->in.regular = !fstat(s->in.fd, &st) && S_ISREG(st.st_mode) && (from = lseek(s->in.fd, 0, SEEK_CUR)) >= 0;
	if (!s->in.regular)
		return 0;
	while (rc > NONE) {
		struct json_doc *d;

		rc = next(s, &d, &line, e);
		s->total += rc == ONE;
		json_free(d);
		if (rc == MORE && fill(&s->in, e) < 0)
			rc = -1;
	}
	buf_clear(&s->in.b);
	s->in.off = s->in.scan = 0;
	s->in.eof = false;
	s->in.line = 1;
	for (size_t i = 0; i < s->in.columns; i++)
		free(s->in.column[i]);
	s->in.columns = 0;
	if (!rc && lseek(s->in.fd, from, SEEK_SET) < 0)
		return err_set(e, EXIT_USAGE, "%s: %s", s->in.name, strerror(errno));
	return rc;
}

/* ---- sweeps: lr=0.1,0.01 seed=0..9 x=0..1..0.25 ---- */

/* A decimal number as units of ten to the power of -places. */
struct decimal {
	int64_t units;
	int places;
};

static bool
read_decimal(struct str s, struct decimal *d)
{
	size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+');
	bool digits = false, point = false;

	*d = (struct decimal){0};
	for (; i < s.n; i++) {
		if (s.p[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (s.p[i] < '0' || s.p[i] > '9' || d->units > INT64_MAX / 100)
			return false;
		d->units = d->units * 10 + (s.p[i] - '0');
		d->places += point;
		digits = true;
	}
	if (s.n && s.p[0] == '-')
		d->units = -d->units;
	return digits;
}

static bool
scale(struct decimal *d, int places)
{
	for (; d->places < places; d->places++) {
		if (d->units > INT64_MAX / 100 || d->units < -INT64_MAX / 100)
			return false;
		d->units *= 10;
	}
	return true;
}

/* As Python prints it: 0.25, -1.0, 7. */
static struct json *
decimal_value(struct json_doc *d, int64_t units, int places)
{
	char text[64];
	struct buf b = {0};
	struct json *v;
	int n;

	n = snprintf(text, sizeof text, "%0*lld", places + 1, units < 0 ? -(long long)units : (long long)units);
	if (units < 0)
		buf_addc(&b, '-');
	buf_add(&b, text, (size_t)(n - places));
	if (places) {
		while (places > 1 && text[n - 1] == '0') {
			n--;
			places--;
		}
		buf_addc(&b, '.');
		buf_add(&b, text + n - places, (size_t)places);
	}
	v = json_mknum(d, (struct str){b.p, b.len});
	buf_free(&b);
	return v;
}

static void
add_value(struct sweep *w, struct json *v)
{
	if (!(w->n & (w->n - 1)))   /* at powers of two */
		w->value = xrealloc(w->value, (w->n ? w->n * 2 : 1) * sizeof *w->value);
	w->value[w->n++] = v;
}

/* Where a ".." stands in s, behind at least one byte; s.n: nowhere. */
static size_t
dots(struct str s)
{
	for (size_t i = 1; i + 1 < s.n; i++)
		if (s.p[i] == '.' && s.p[i + 1] == '.')
			return i;
	return s.n;
}

/* a..b, a..b..step.  1 when s is a range, 0 when it is none. */
static int
range(struct source *s, struct sweep *w, struct str text, struct err *e)
{
	size_t cut = dots(text);
	struct str rest = cut < text.n ? (struct str){text.p + cut + 2, text.n - cut - 2} : (struct str){0};
	size_t second = dots(rest);
	struct decimal a, b, step = {1, 0};
	int places;
	double number;

	if (cut == text.n || parse_float((struct str){text.p, cut}, &number) < 0)
		return 0;
	if (!read_decimal((struct str){text.p, cut}, &a) || !read_decimal((struct str){rest.p, second}, &b) ||
	    (second < rest.n && !read_decimal((struct str){rest.p + second + 2, rest.n - second - 2}, &step)))
		return err_set(e, EXIT_USAGE,
		    "'%.*s' is no range: FROM..TO or FROM..TO..STEP, without exponents; a text needs quotes",
		    (int)text.n, text.p);
	places = a.places > b.places ? a.places : b.places;
	places = places > step.places ? places : step.places;
	if (!scale(&a, places) || !scale(&b, places) || !scale(&step, places))
		return err_set(e, EXIT_USAGE, "'%.*s' has too many digits", (int)text.n, text.p);
	if (second == rest.n && a.units > b.units)
		step.units = -step.units;
	if (!step.units || (a.units != b.units && (b.units > a.units) != (step.units > 0)))
		return err_set(e, EXIT_USAGE, "'%.*s' never comes to its end: the step has the wrong sign", (int)text.n, text.p);
	if ((b.units - a.units) / step.units >= SWEEP)
		return err_set(e, EXIT_USAGE, "'%.*s' has more than %d values", (int)text.n, text.p, SWEEP);
	for (int64_t v = a.units; step.units > 0 ? v <= b.units : v >= b.units; v += step.units)
		add_value(w, decimal_value(s->values, v, places));
	return 1;
}

/* One of the values between commas; \, is a comma. */
static int
one_value(struct source *s, struct sweep *w, struct str text, struct err *e)
{
	struct buf b = {0};
	struct json *v;
	int rc = range(s, w, text, e);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (!text.n)
		return err_set(e, EXIT_USAGE, "a value is empty: write \"\" for an empty text");
	for (size_t i = 0; i < text.n; i++) {
		i += text.p[i] == '\\' && i + 1 < text.n && text.p[i + 1] == ',';
		buf_addc(&b, text.p[i]);
	}
	v = literal_parse(s->values, (struct str){b.p, b.len});
	add_value(w, v ? v : json_mkstr(s->values, (struct str){b.p, b.len}));
	buf_free(&b);
	return 0;
}

/* "lr=0.1,0.01" */
static int
read_sweep(struct source *s, struct sweep *w, const char *text, struct err *e)
{
	const char *eq = strchr(text, '='), *p = eq ? eq + 1 : "", *end = p + strlen(p);

	if (!eq || eq == text || !utf8_valid(text, strlen(text)))
		return err_set(e, EXIT_USAGE, "it must be NAME=VALUE,VALUE or NAME=FROM..TO");
	w->name = xmemdup(text, (size_t)(eq - text));
	for (char *q = w->name; *q; q++)
		if (*q == '-')
			*q = '_';
	for (;;) {
		const char *q = p;

		while (q < end && *q != ',')
			q += *q == '\\' && q[1] == ',' ? 2 : 1;
		if (one_value(s, w, (struct str){p, (size_t)(q - p)}, e) < 0)
			return -1;
		if (q == end)
			return 0;
		p = q + 1;
	}
}

static int
read_sweeps(struct source *s, struct err *e)
{
	s->values = json_new();
	s->sweep = xcalloc((size_t)s->bulk->nsweep, sizeof *s->sweep);
	s->total = 1;
	for (; s->sweeps < (size_t)s->bulk->nsweep; s->sweeps++) {
		const char *text = s->bulk->sweep[s->sweeps];
		struct sweep *w = &s->sweep[s->sweeps];
		struct err why = {0};

		if (read_sweep(s, w, text, &why) < 0)
			return err_set(e, EXIT_USAGE, "Invalid value for --sweep: '%s': %s", text, why.msg);
		for (size_t i = 0; i < s->sweeps; i++)
			if (!strcmp(s->sweep[i].name, w->name))
				return err_set(e, EXIT_USAGE, "Invalid value for --sweep: '%s': %s was swept already", text,
				    w->name);
		if (w->n > SWEEP / s->total)
			return err_set(e, EXIT_USAGE, "these sweeps make more than %d tasks", SWEEP);
		s->total *= w->n;
	}
	return 0;
}

static void
source_free(struct source *s)
{
	for (size_t i = 0; s->sweep && i < (size_t)s->bulk->nsweep; i++) {
		free(s->sweep[i].name);
		free(s->sweep[i].value);
	}
	free(s->sweep);
	json_free(s->values);
	if (s->in.path)
		input_close(&s->in);
}

/* Opens what is asked for, and finds what is wrong with it where that can be known before. */
static int
source_open(struct source *s, const struct bulk *b, struct err *e)
{
	struct json_doc *d;
	size_t line = 0;
	int rc;

	s->bulk = b;
	if (b->from || b->tasks) {
		s->in = (struct input){.path = b->from ? b->from : b->tasks, .csv = b->csv, .typed = b->typed, .whole = !b->from};
		if (input_open(&s->in, e) < 0)
			return -1;
		if (s->in.whole && s->in.csv)
			return err_set(e, EXIT_USAGE, "--tasks reads JSON Lines: CSV is read by --from");
		if (s->in.typed && !s->in.csv)
			return err_set(e, EXIT_USAGE, "--typed is for CSV: JSON's values have their types");
		return validate(s, e);
	}
	if (read_sweeps(s, e) < 0)
		return -1;
	rc = next(s, &d, &line, e);   /* one shows whether their names fit together */
	json_free(d);
	s->at = 0;
	return rc < 0 ? -1 : 0;
}

/* ---- submitting ---- */

/* Lines as text: "3, 17, 20-25". */
struct lines {
	struct buf text;           /* for people */
	struct buf sed;            /* "3p;17p;20,25p;" */
	size_t from, to, count;
};

static void
close_range(struct lines *l)
{
	if (!l->from)
		return;
	buf_printf(&l->text, "%s%lu", l->text.len ? ", " : "", (unsigned long)l->from);
	buf_printf(&l->sed, "%lu", (unsigned long)l->from);
	if (l->to > l->from) {
		buf_printf(&l->text, "-%lu", (unsigned long)l->to);
		buf_printf(&l->sed, ",%lu", (unsigned long)l->to);
	}
	buf_adds(&l->sed, "p;");
}

static void
add_line(struct lines *l, size_t line)
{
	l->count++;
	if (l->from && line == l->to + 1) {
		l->to = line;
		return;
	}
	close_range(l);
	l->from = l->to = line;
}

static void
lines_free(struct lines *l)
{
	buf_free(&l->text);
	buf_free(&l->sed);
}

struct item {
	struct call *k;
	size_t line;
};

struct run {
	struct context *x;
	struct client *c;
	struct source *s;
	struct item item[WINDOW];  /* a ring, in the order of the input */
	size_t first, n, window;
	size_t in, next;           /* how many are in; the first line that was not sent, 0: all were */
	struct lines out, unknown; /* not in; perhaps in */
	bool ended, stop, mute;    /* the source; no more is sent; ids go nowhere */
	bool lost;                 /* ids, though somebody wanted them */
	char why[320];             /* of stop */
	int signal;
	bool progress;
	int64_t told;
	struct buf ids;
};

static int wake_pipe[2] = {-1, -1};

static void
on_signal(int sig)
{
	int saved = errno;
	unsigned char c = (unsigned char)sig;

	if (write(wake_pipe[1], &c, 1) < 0)
		_exit(128 + sig);   /* the pipe is full of signals: the person means it */
	errno = saved;
}

/* The first signal stops what is not sent; another ends at once.  What was ignored stays so (nohup). */
static void
catch_signals(void)
{
	static const int sig[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, was;

	if (sys_pipe(wake_pipe) < 0)
		return;
	sys_nonblock(wake_pipe[1], true);
	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < LEN(sig); i++)
		if (!sigaction(sig[i], NULL, &was) && was.sa_handler != SIG_IGN)
			sigaction(sig[i], &sa, NULL);
}

static void
stop(struct run *r, const char *why)
{
	if (!r->stop)
		snprintf(r->why, sizeof r->why, "%s", why);
	r->stop = true;
}

static void
clear_progress(struct run *r)
{
	if (r->told)
		sys_write_all(2, "\r\033[K", 4);
	r->told = 0;
}

static void
send_one(struct run *r, struct json_doc *d, size_t line)
{
	struct call *k = call_new(API_SUBMIT);

	json_print(&k->body, d->root, 0);
	if (r->s->bulk->key) {
		char *text = xprintf("%s/%lu", r->s->bulk->key, (unsigned long)line);

		hash_keyuuid(client_queue_id(r->c), str_of(text), k->key);
		free(text);
	}
	r->item[(r->first + r->n++) % WINDOW] = (struct item){k, line};
	client_send(r->c, k);
}

/* Sends as many as may be under way.  Whether it waits for bytes of the source. */
static bool
send_more(struct run *r)
{
	while (!r->stop && !r->ended && r->n < r->window) {
		struct json_doc *d;
		struct err e = {0};
		size_t line = 0;
		int rc = next(r->s, &d, &line, &e);

		if (rc == MORE)
			return true;
		if (rc == ONE)
			send_one(r, d, line);
		r->ended = rc == NONE;
		if (rc < 0) {
			stop(r, e.msg);
			r->next = line;
		}
		json_free(d);
	}
	return false;
}

static void
refused(struct run *r, const struct item *it)
{
	const struct call *k = it->k;
	bool own = k->status == 400 || k->status == 409 || k->status == 413 || k->status == 422;   /* the others may fare better */

	add_line(k->unknown ? &r->unknown : &r->out, it->line);
	if (!own) {
		stop(r, k->err.msg);
		return;
	}
	if (r->out.count > SAID)
		return;
	clear_progress(r);
	warn("%s: %s %lu: %s", r->x->cmd->name, r->s->in.path ? r->s->in.name : "combination", (unsigned long)it->line, k->err.msg);
}

/* Takes the answered ones off the front. */
static void
reap(struct run *r)
{
	for (; r->n && r->item[r->first].k->done; r->n--, r->first = (r->first + 1) % WINDOW) {
		struct item *it = &r->item[r->first];
		struct str id = json_text(it->k->status < 300 ? call_get(it->k, "task_id") : NULL);

		if (id.p) {
			buf_visible(&r->ids, id, " ");
			buf_addc(&r->ids, '\n');
			r->in++;
		} else {
			err_set(&it->k->err, EXIT_REFUSED, "the server's answer has no task_id: is this a labtasker server?");
			refused(r, it);
		}
		call_free(it->k);
	}
}

static void
print_ids(struct run *r)
{
	if (!r->mute && r->ids.len && sys_write_all(1, r->ids.p, r->ids.len) < 0) {
		r->lost = errno != EPIPE;
		if (r->lost)
			warn("standard output: %s; the tasks go in all the same", strerror(errno));
		r->mute = true;
	}
	buf_clear(&r->ids);
}

static void
show_progress(struct run *r)
{
	int64_t now = sys_mono();
	char text[80];
	int n;

	if (!r->progress || now - r->told < PACE)
		return;
	if (r->s->total)
		n = snprintf(text, sizeof text, "\r%lu of %lu tasks are in\033[K", (unsigned long)r->in,
		    (unsigned long)r->s->total);
	else
		n = snprintf(text, sizeof text, "\r%lu tasks are in\033[K", (unsigned long)r->in);
	sys_write_all(2, text, (size_t)n);
	r->told = now;
}

/* Waits until an answer, a byte of the source (reading) or a signal comes. */
static int
wait_for(struct run *r, struct pollfd *fds, bool reading)
{
	int64_t wake = INT64_MAX;
	int n = client_fds(r->c, fds, &wake), all = n, in = -1;

	if (wake_pipe[0] >= 0)
		fds[all++] = (struct pollfd){.fd = wake_pipe[0], .events = POLLIN};
	if (reading) {
		in = all;
		fds[all++] = (struct pollfd){.fd = r->s->in.fd, .events = POLLIN};
	}
	if (poll(fds, (nfds_t)all, sys_timeout(wake, sys_mono())) < 0)
		return 0;
	if (wake_pipe[0] >= 0 && fds[n].revents) {
		unsigned char sig = 0;

		if (sys_read(wake_pipe[0], &sig, 1) == 1)
			r->signal = sig;
		stop(r, "interrupted");
	}
	if (in >= 0 && fds[in].revents) {
		struct err e = {0};

		if (fill(&r->s->in, &e) < 0)
			stop(r, e.msg);
	}
	return n;
}

static void
submit_all(struct run *r)
{
	struct pollfd fds[CLIENT_FDS + 2];
	int n = 0;

	for (;;) {
		bool reading = send_more(r);

		client_step(r->c, fds, n);
		reap(r);
		n = 0;
		if (!reading && !r->ended && !r->stop && r->n < r->window)
			continue;
		print_ids(r);
		show_progress(r);
		if (!r->n && (r->ended || r->stop))
			break;
		n = wait_for(r, fds, reading);
	}
	clear_progress(r);
}

/* Where sending would have gone on; 0: everything was sent. */
static size_t
not_sent(struct run *r)
{
	struct source *s = r->s;
	struct json_doc *d;
	struct err e = {0};
	size_t line = 0;
	int rc;

	if (r->next || r->ended)
		return r->next;
	line = s->in.path ? s->in.line : 0;
	while ((rc = next(s, &d, &line, &e)) == MORE && s->in.regular && !fill(&s->in, &e))
		;
	json_free(d);
	return rc == NONE ? 0 : line;
}

/* How to submit what is not in. */
static void
how_to_go_on(struct run *r, struct buf *b)
{
	const struct input *in = &r->s->in;
	const char *option = in->whole ? "--tasks" : "--from";
	bool file = in->path && strcmp(in->path, "-");

	if (r->s->bulk->key && (r->stop || !r->out.count)) {
		buf_adds(b, "; submit the same again with the same --key: what is in is not made twice");
		return;
	}
	if (!file || r->out.sed.len > 120)
		return;
	buf_adds(b, r->stop ? "; go on with: sed -n '" : "; mend them and submit only those: sed -n '");
	if (in->csv)
		buf_adds(b, "1p;");
	buf_add(b, r->out.sed.p, r->out.sed.len);
	if (r->next)
		buf_printf(b, "%lu,$p", (unsigned long)r->next);
	buf_addc(b, '\'');
	buf_addc(b, ' ');
	tmpl_quote(b, str_of(in->path));
	buf_printf(b, " | labtasker task submit %s -%s%s (and the other options)", option,
	    in->csv ? " --csv" : "", in->typed ? " --typed" : "");
}

/* One line on what is not in.  An exit status. */
static int
conclude(struct run *r)
{
	struct buf b = {0};

	close_range(&r->out);
	close_range(&r->unknown);
	if (r->stop)
		r->next = not_sent(r);
	if (!r->stop && !r->out.count && !r->unknown.count)
		return r->lost ? EXIT_REFUSED : 0;
	buf_printf(&b, "%lu tasks are in", (unsigned long)r->in);
	if (r->stop)
		buf_printf(&b, "; stopped: %s", r->why);
	if (r->out.count)
		buf_printf(&b, "; not in: %s %s", r->s->in.path ? "line" : "combination", r->out.text.p);
	if (r->unknown.count)
		buf_printf(&b, "; perhaps in: %s %s (look with `labtasker task ls`)", r->s->in.path ? "line" : "combination",
		    r->unknown.text.p);
	if (r->next)
		buf_printf(&b, "; not sent: from %s %lu on", r->s->in.path ? "line" : "combination", (unsigned long)r->next);
	how_to_go_on(r, &b);
	warn("%s: %s", r->x->cmd->name, b.p);
	buf_free(&b);
	return r->signal ? 128 + r->signal : EXIT_REFUSED;
}

int
bulk_key(const struct context *x, struct client *c, const char *text, char key[40])
{
	if (!client_ours(c)) {
		warn("%s: --key: %s is no server of this labtasker's: a repeated submit would not be known there", x->cmd->name,
		    client_url(c));
		return EXIT_USAGE;
	}
	hash_keyuuid(client_queue_id(c), str_of(text), key);
	return 0;
}

int
bulk_submit(struct context *x, const struct bulk *b)
{
	struct source s = {0};
	struct run *r = xcalloc(1, sizeof *r);
	struct err e = {0};
	char key[40];
	int rc;

	r->x = x;
	r->s = &s;
	if (source_open(&s, b, &e) < 0) {
		rc = ask_fail(x, &e);
		goto out;
	}
	r->c = ask_open(x, true, true, &rc);
	if (!r->c)
		goto out;
	if (b->key && (rc = bulk_key(x, r->c, b->key, key)))
		goto out;
	r->window = client_ours(r->c) ? WINDOW : 1;
	r->progress = isatty(2) && !isatty(1);
	catch_signals();
	submit_all(r);
	rc = conclude(r);
out:
	client_close(r->c);
	source_free(&s);
	lines_free(&r->out);
	lines_free(&r->unknown);
	buf_free(&r->ids);
	free(r);
	return rc;
}
