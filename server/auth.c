/* SPDX-License-Identifier: MIT */
/*
 * Passwords, as the reference stores them: $pbkdf2-sha256$ROUNDS$SALT$SUM, SALT and SUM in base64 without padding and with '.'
 * for '+'.  Made and checked in slices, in one line of jobs, so that nobody else waits for it; a peer has at most one job there.
 * What was found right is kept as a digest under a key that dies with the process, never as a password.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>

enum {
	ROUNDS = 29000,          /* the reference's */
	SALT = 16,
	LINE = 64,               /* jobs: a second or two of work, longer than most clients wait */
	SETS = 64, WAYS = 4,     /* right pairs that are kept */
	STEP = 64                /* rounds between looks at the clock: some 25 microseconds */
};

/* A job is named by a digest of what it is about, so that equal ones are done once. */
struct job {
	uint64_t peer;
	bool make;
	unsigned char id[32], want[32], salt[SALT];   /* check: want; make: salt */
	struct pbkdf2 k;
};

struct right {
	unsigned char id[32];
	uint64_t used;           /* when, by auth.clock; 0: empty */
};

struct auth {
	const struct os *os;
	struct sha256 keyed;     /* a digest that has taken the key */
	struct job line[LINE];   /* the first is being worked on */
	size_t jobs;
	bool stirred;            /* a job was dropped that others may wait for */
	struct {
		bool any;
		unsigned char id[32];
		char hash[128];  /* what was made; a check was wrong, for right ones are kept */
	} last;                  /* the job that ended last, for those who ask again */
	struct right right[SETS][WAYS];
	uint64_t clock;
};

struct auth *
auth_new(const struct os *os)
{
	struct auth *a = xcalloc(1, sizeof *a);
	unsigned char key[64];   /* a block: copies of keyed need not digest it again */

	a->os = os;
	os->random(os->ctx, key, sizeof key);
	sha256_init(&a->keyed);
	sha256_add(&a->keyed, key, sizeof key);
	return a;
}

void
auth_free(struct auth *a)
{
	free(a);
}

/* ---- right pairs ---- */

/* The key comes first and no digest ever leaves, so nothing more is needed of a keyed digest here. */
static void
identify(const struct auth *a, const void *what, size_t n, struct str password, unsigned char id[32])
{
	struct sha256 s = a->keyed;

	sha256_add(&s, what, n);
	sha256_add(&s, password.p, password.n);
	sha256_end(&s, id);
}

/* The final 0 keeps hash and password apart. */
static void
identify_pair(const struct auth *a, const char *hash, struct str password, unsigned char id[32])
{
	identify(a, hash, strlen(hash) + 1, password, id);
}

/* What is to be made: not shared between peers, for two queues are not to have the same salt.  No hash begins with 0. */
static void
identify_new(const struct auth *a, uint64_t peer, struct str password, unsigned char id[32])
{
	unsigned char what[1 + sizeof peer] = {0};

	memcpy(what + 1, &peer, sizeof peer);
	identify(a, what, sizeof what, password, id);
}

/* Where id would stand is known to nobody without the key. */
static bool
is_right(struct auth *a, const unsigned char id[32])
{
	struct right *set = a->right[id[0] % SETS];
	bool found = false;

	for (int i = 0; i < WAYS; i++) {
		if (set[i].used && hash_equal(set[i].id, id, 32)) {
			set[i].used = ++a->clock;
			found = true;
		}
	}
	return found;
}

/* Takes the place that was not used for the longest time. */
static void
keep_right(struct auth *a, const unsigned char id[32])
{
	struct right *set = a->right[id[0] % SETS], *r = set;

	for (int i = 1; i < WAYS; i++)
		if (set[i].used < r->used)
			r = set + i;
	memcpy(r->id, id, 32);
	r->used = ++a->clock;
}

/* ---- the stored form ---- */

static void
put_ab64(struct buf *b, const void *p, size_t n)
{
	size_t from = b->len;

	hash_base64(b, p, n);
	while (b->len > from && b->p[b->len - 1] == '=')
		b->p[--b->len] = 0;
	for (size_t i = from; i < b->len; i++)
		if (b->p[i] == '+')
			b->p[i] = '.';
}

static int
get_ab64(struct buf *b, struct str s)
{
	char *plain = xmemdup(s.p, s.n);
	int rc;

	for (size_t i = 0; i < s.n; i++)
		if (plain[i] == '.')
			plain[i] = '+';
	rc = memchr(plain, '=', s.n) ? -1 : hash_unbase64(b, (struct str){plain, s.n});
	free(plain);
	return rc;
}

/* The part of *p before the next '$', or to the end; *p goes behind it, NULL at the end. */
static struct str
part(const char **p)
{
	const char *from = *p, *end = from ? strchr(from, '$') : NULL;

	*p = end ? end + 1 : NULL;
	return end ? (struct str){from, (size_t)(end - from)} : str_of(from);
}

/* Begins the check of password against hash.  -1: not a hash that we know. */
static int
begin_check(struct job *j, const char *hash, struct str password)
{
	const char *p = hash;
	struct str none = part(&p), scheme = part(&p), count = part(&p), salt = part(&p), sum = part(&p);
	struct buf raw = {0};
	int64_t rounds;
	size_t n;
	int rc = -1;

	if (none.n || p || !str_is(scheme, "pbkdf2-sha256") || parse_int(count, &rounds) < 0 || rounds < 1 || rounds > UINT32_MAX)
		return -1;
	buf_reserve(&raw, salt.n + sum.n);
	if (get_ab64(&raw, salt) < 0)
		goto out;
	n = raw.len;
	if (get_ab64(&raw, sum) < 0 || raw.len - n != sizeof j->want)
		goto out;
	memcpy(j->want, raw.p + n, sizeof j->want);
	hash_pbkdf2_begin(&j->k, password, raw.p, n, (uint32_t)rounds);
	rc = 0;
out:
	buf_free(&raw);
	return rc;
}

/* 87 characters. */
static void
print_hash(const struct job *j, char out[128])
{
	struct buf b = {0};

	buf_printf(&b, "$pbkdf2-sha256$%d$", ROUNDS);
	put_ab64(&b, j->salt, sizeof j->salt);
	buf_addc(&b, '$');
	put_ab64(&b, j->k.out, sizeof j->k.out);
	memcpy(out, b.p, b.len + 1);
	buf_free(&b);
}

/* ---- the line ---- */

static bool
is_last(const struct auth *a, const unsigned char id[32])
{
	return a->last.any && hash_equal(a->last.id, id, 32);
}

/* Whether the same job is in line, whoever asked, or another of this peer. */
static bool
waits(const struct auth *a, const unsigned char id[32], uint64_t peer)
{
	for (size_t i = 0; i < a->jobs; i++)
		if (a->line[i].peer == peer || hash_equal(a->line[i].id, id, 32))
			return true;
	return false;
}

/* The first free place, with its names filled in; it counts once jobs is raised. */
static struct job *
place(struct auth *a, bool make, const unsigned char id[32], uint64_t peer)
{
	struct job *j = a->line + a->jobs;

	*j = (struct job){.peer = peer, .make = make};
	memcpy(j->id, id, sizeof j->id);
	return j;
}

static void
leave(struct auth *a, size_t i)
{
	memmove(a->line + i, a->line + i + 1, (a->jobs - i - 1) * sizeof *a->line);
	memset(a->line + --a->jobs, 0, sizeof *a->line);
}

enum auth_answer
auth_check(struct auth *a, const char *hash, struct str password, uint64_t peer)
{
	unsigned char id[32];

	identify_pair(a, hash, password, id);
	if (is_right(a, id))
		return AUTH_OK;
	if (is_last(a, id))
		return AUTH_WRONG;
	if (waits(a, id, peer))
		return AUTH_LATER;
	if (a->jobs == LINE)
		return AUTH_BUSY;
	if (begin_check(place(a, false, id, peer), hash, password) < 0)
		return AUTH_WRONG;
	a->jobs++;
	return AUTH_LATER;
}

/* The new pair is right without a check. */
enum auth_answer
auth_hash(struct auth *a, struct str password, uint64_t peer, char *out)
{
	unsigned char id[32];
	struct job *j;

	identify_new(a, peer, password, id);
	if (is_last(a, id)) {
		a->last.any = false;
		memcpy(out, a->last.hash, sizeof a->last.hash);
		identify_pair(a, out, password, id);
		keep_right(a, id);
		return AUTH_OK;
	}
	if (waits(a, id, peer))
		return AUTH_LATER;
	if (a->jobs == LINE)
		return AUTH_BUSY;
	j = place(a, true, id, peer);
	a->os->random(a->os->ctx, j->salt, sizeof j->salt);
	hash_pbkdf2_begin(&j->k, password, j->salt, sizeof j->salt, ROUNDS);
	a->jobs++;
	return AUTH_LATER;
}

bool
auth_pending(const struct auth *a)
{
	return a->jobs || a->stirred;
}

/* The first job is done: its outcome stays for those who ask again until the next is. */
static void
finish(struct auth *a)
{
	const struct job *j = a->line;

	a->last.any = j->make || !hash_equal(j->k.out, j->want, sizeof j->want);
	memcpy(a->last.id, j->id, sizeof j->id);
	if (j->make)
		print_hash(j, a->last.hash);
	else if (!a->last.any)
		keep_right(a, j->id);
	leave(a, 0);
}

bool
auth_work(struct auth *a, int64_t budget_us)
{
	int64_t end = a->os->mono(a->os->ctx) + budget_us;
	bool moved = a->stirred, done = false;

	a->stirred = false;
	if (!a->jobs)
		return moved;
	do
		done = hash_pbkdf2_step(&a->line[0].k, STEP);
	while (!done && a->os->mono(a->os->ctx) < end);
	if (done)
		finish(a);
	return moved || done;
}

/* The job in hand goes on, for others may wait for it: by the same address, or with the same password. */
void
auth_forget(struct auth *a, uint64_t peer)
{
	for (size_t i = 1; i < a->jobs; i++) {
		if (a->line[i].peer == peer) {
			leave(a, i);
			a->stirred = true;
			return;
		}
	}
}
