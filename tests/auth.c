/* SPDX-License-Identifier: MIT */
/* auth.c: hashes that passlib made, hashes that nobody made, and who waits for whom. */
#include "../server/auth.c"
#include "test.h"

/* Rounds so few that a test can afford thousands; made by passlib too. */
static const char quick[] = "$pbkdf2-sha256$1$$QvJ4xlqJIh8e3emGNemE55QGquo7D9Z/1C9EK63I0Nk";   /* one */

struct fake {
	int64_t now, tick;       /* each look at the clock moves it on */
	unsigned char next;
};

static int64_t
fake_mono(void *ctx)
{
	struct fake *f = ctx;

	return f->now += f->tick;
}

static void
fake_random(void *ctx, void *p, size_t n)
{
	struct fake *f = ctx;

	memset(p, f->next++, n);
}

static struct fake fake;
static const struct os os = {.ctx = &fake, .mono = fake_mono, .random = fake_random};

static struct auth *
fresh(void)
{
	fake = (struct fake){0};
	return auth_new(&os);
}

static enum auth_answer
ask(struct auth *a, const char *hash, const char *password, uint64_t peer)
{
	return auth_check(a, hash, str_of(password), peer);
}

/* The verdict, however long it takes. */
static enum auth_answer
verdict(struct auth *a, const char *hash, struct str password)
{
	enum auth_answer r;

	while ((r = auth_check(a, hash, password, 1)) == AUTH_LATER)
		auth_work(a, 1000000);
	return r;
}

static void
make(struct auth *a, const char *password, uint64_t peer, char out[128])
{
	while (auth_hash(a, str_of(password), peer, out) == AUTH_LATER)
		auth_work(a, 1000000);
}

static void
test_passlib(void)
{
	static const struct {
		const char *password, *hash;
	} row[] = {
		{"password", "$pbkdf2-sha256$29000$RmhtrfWe05qzNsY4R8i5dw$ikLxPKRK9BNlx642PAh.s0jR22TZ3t3BFd4A7SaUm4g"},
		{"", "$pbkdf2-sha256$29000$nvN.j9H6n3OuVSrFmHOulQ$q.vi6bD3RUPuW9jZNZgu.UcDiQe2ff0oUdT2IOJFMe0"},
		{"p\xc3\xa4ssw\xc3\xb6rd-\xce\xa9",
			"$pbkdf2-sha256$29000$UkrJuRfiXCuFkNJ6r3XOuQ$yGXmIec2NFLl3lDYku4zBlQ8HTszscgKjpxuOMK0RU4"},
		{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
			"$pbkdf2-sha256$29000$pBSC8J7zfi9FqBXC.H8PYQ$u2Lw6F6mA/TrkhC0JbxepkHLJzWeRUZaT5FOPa.PyR0"},
		{"my-super-secret-password",
			"$pbkdf2-sha256$29000$7x1j7N3bO2dsTcn5n5OSEg$dtSdY.ZT80th.FJGet5NyaRxMVvxwfKKV6mt7qdH3kA"},
		{"a b\tc:d", "$pbkdf2-sha256$29000$XwuB0DqHsPYew9h7b20NoQ$t3aZ0t1l.9.5AXHZnZk2goNhGvbDw2HOLZwprerJM4c"},
		{"dots", "$pbkdf2-sha256$29000$././././././././././/w$3uz/IoQhw5AQEkC4ltVPGvw6sLnpF2MZm789pUjG8JQ"},
		{"long salt",
			"$pbkdf2-sha256$12345$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0.Pw$"
			"FCKdrL7EuBHZ4Qw/o6Zhfi3Q0zku7RnmYfAeCIl50fc"},
		{"one", quick},
	};
	struct auth *a = fresh();

	for (size_t i = 0; i < LEN(row); i++) {
		char *other = xprintf("%s ", row[i].password);
		size_t n = strlen(row[i].password);

		check(verdict(a, row[i].hash, str_of(other)) == AUTH_WRONG, "row %d: one byte more", (int)i);
		if (n) {
			check(verdict(a, row[i].hash, (struct str){other, n - 1}) == AUTH_WRONG, "row %d: one byte less", (int)i);
			other[n / 2] ^= 1;
			check(verdict(a, row[i].hash, (struct str){other, n}) == AUTH_WRONG, "row %d: another byte", (int)i);
		}
		check(verdict(a, row[i].hash, str_of(row[i].password)) == AUTH_OK, "row %d: the password", (int)i);
		check(ask(a, row[i].hash, row[i].password, 2) == AUTH_OK && !auth_pending(a), "row %d: at once", (int)i);
		free(other);
	}
	auth_free(a);
}

/* What is no hash is wrong at once and costs nothing. */
static void
test_malformed(void)
{
#define SUM "QvJ4xlqJIh8e3emGNemE55QGquo7D9Z/1C9EK63I0Nk"
	static const char *const bad[] = {
		"", "$", "$$$$", "$$$$$", "one", "pbkdf2-sha256$1$$" SUM, "$pbkdf2-sha512$1$$" SUM, "$pbkdf2-sha256$$$" SUM,
		"$pbkdf2-sha256$0$$" SUM,
		"$pbkdf2-sha256$-1$$" SUM, "$pbkdf2-sha256$4294967296$$" SUM, "$pbkdf2-sha256$18446744073709551617$$" SUM,
		"$pbkdf2-sha256$1x$$" SUM,
		"$pbkdf2-sha256$1$$" SUM "$", "$pbkdf2-sha256$1$$" SUM "=", "$pbkdf2-sha256$1$$" SUM "A",
		"$pbkdf2-sha256$1$$" SUM "AAAA",
		"$pbkdf2-sha256$1$A$" SUM, "$pbkdf2-sha256$1$AA==$" SUM, "$pbkdf2-sha256$1$A-$" SUM, "$pbkdf2-sha256$1$" SUM,
		"$pbkdf2-sha256$1$$",
		"x$pbkdf2-sha256$1$$" SUM, "$pbkdf2-sha256$1$$ " SUM,
	};
	struct auth *a = fresh();
	size_t right = 0;

	for (size_t i = 0; i < LEN(bad); i++)
		check(ask(a, bad[i], "one", 1) == AUTH_WRONG && !auth_pending(a), "%s is taken for a hash", bad[i]);
	for (size_t n = 0; n < sizeof quick - 1; n++) {
		char *copy = xstrdup(quick);

		copy[n] = 0;
		check(ask(a, copy, "one", 1) == AUTH_WRONG && !auth_pending(a), "%d bytes are taken for a hash", (int)n);
		free(copy);
	}
	/* every byte at every place but in the count of rounds, where another digit is only slow */
	for (size_t i = 0; i < sizeof quick - 1; i++) {
		for (int c = 1; c < 256; c++) {
			char *copy = xstrdup(quick);

			copy[i] = (char)c;
			right += i != 15 && strcmp(copy, quick) && verdict(a, copy, str_of("one")) != AUTH_WRONG;
			free(copy);
		}
	}
	check(!right, "%d changed hashes are right", (int)right);
	auth_free(a);
#undef SUM
}

static void
test_make(void)
{
	struct auth *a = fresh(), *b = auth_new(&os);
	char one[128], two[128], three[128];

	check(auth_hash(a, str_of("secret"), 1, one) == AUTH_LATER, "a hash takes time");
	check(auth_hash(a, str_of("secret"), 2, two) == AUTH_LATER && a->jobs == 2, "for another peer too");
	check(auth_hash(a, str_of("secret"), 2, two) == AUTH_LATER && a->jobs == 2, "asked again");
	make(a, "secret", 1, one);
	check(strlen(one) == 87 && !strncmp(one, "$pbkdf2-sha256$29000$", 21) && one[43] == '$' && !strpbrk(one, "+="),
	    "the form: %s", one);
	check(!strncmp(one + 21, "AgICAgICAgICAgICAgICAg$", 23), "the salt comes from the seam: %s", one);
	make(a, "secret", 2, two);
	check(strcmp(one, two) != 0, "two peers have the same salt");
	make(a, "secret", 2, three);
	check(strcmp(one, three) && strcmp(two, three), "the same hash twice");
	make(a, "secret", 1, three);
	check(strcmp(one, three) && strcmp(two, three), "the same salt again");
	check(ask(a, one, "secret", 3) == AUTH_OK && ask(a, two, "secret", 3) == AUTH_OK && !auth_pending(a),
	    "what was made is right at once");
	check(ask(b, one, "secret", 3) == AUTH_LATER, "another process knows nothing");
	check(verdict(b, one, str_of("secret")) == AUTH_OK, "and finds it right");
	check(verdict(b, one, str_of("Secret")) == AUTH_WRONG, "and another wrong");
	make(a, "", 1, one);
	check(verdict(b, one, str_of("")) == AUTH_OK, "the empty password");
	auth_free(a);
	auth_free(b);
}

/* A password is bound to its hash: where one ends and the other begins matters. */
static void
test_pair(void)
{
	struct auth *a = fresh(), *b = auth_new(&os);
	unsigned char x[32], y[32];

	identify_pair(a, "ab", str_of("c"), x);
	identify_pair(a, "a", str_of("bc"), y);
	check(!hash_equal(x, y, 32), "ab c is a bc");
	identify_pair(b, "ab", str_of("c"), y);
	check(!hash_equal(x, y, 32), "two processes have the same key");
	auth_free(a);
	auth_free(b);
}

static void
test_slices(void)
{
	static const char hash[] = "$pbkdf2-sha256$29000$RmhtrfWe05qzNsY4R8i5dw$ikLxPKRK9BNlx642PAh.s0jR22TZ3t3BFd4A7SaUm4g";
	struct auth *a = fresh();
	int slices = 0;
	bool finished;

	check(ask(a, hash, "password", 1) == AUTH_LATER && auth_pending(a), "it waits");
	fake.tick = 100;
	do {
		uint32_t before = a->line[0].k.left;

		check(ask(a, hash, "password", 1) == AUTH_LATER, "it still waits");
		finished = auth_work(a, 1000);
		slices++;
		check(finished || before - a->line[0].k.left == 10 * STEP, "a slice of %d rounds",
		    (int)(before - a->line[0].k.left));
	} while (!finished);
	check(slices == (ROUNDS - 1 + 10 * STEP - 1) / (10 * STEP), "%d slices", slices);
	check(!auth_pending(a) && !auth_work(a, 1000), "nothing is left");
	check(ask(a, hash, "password", 1) == AUTH_OK, "it is right");
	auth_free(a);
}

/* Each peer has one job, 64 are in line, they are done in order, the same pair is done once. */
static void
test_line(void)
{
	struct auth *a = fresh();
	char password[32];

	for (int i = 0; i < LINE; i++) {
		snprintf(password, sizeof password, "wrong %d", i);
		check(ask(a, quick, password, (uint64_t)i) == AUTH_LATER && a->jobs == (size_t)i + 1, "job %d", i);
		check(ask(a, quick, "another", (uint64_t)i) == AUTH_LATER && a->jobs == (size_t)i + 1, "a second job of peer %d",
		    i);
		check(auth_hash(a, str_of("new"), (uint64_t)i, (char[128]){0}) == AUTH_LATER && a->jobs == (size_t)i + 1,
		    "a third of %d", i);
	}
	check(ask(a, quick, "one", 1000) == AUTH_BUSY, "the line is full");
	check(auth_hash(a, str_of("new"), 1000, (char[128]){0}) == AUTH_BUSY, "for hashes too");
	check(ask(a, quick, "wrong 7", 1000) == AUTH_LATER && a->jobs == LINE, "what is in line needs no place");
	for (int i = 0; i < LINE; i++) {
		snprintf(password, sizeof password, "wrong %d", i);
		check(auth_work(a, 1000000) && a->jobs == (size_t)(LINE - 1 - i), "job %d is done", i);
		check(ask(a, quick, password, (uint64_t)i) == AUTH_WRONG, "job %d was wrong", i);
		check(ask(a, quick, password, 1000) == AUTH_WRONG, "and for the others who asked");
	}
	check(!auth_pending(a), "all is done");
	check(ask(a, quick, "wrong 5", 5) == AUTH_LATER, "wrong ones are not kept");
	check(auth_work(a, 1000000) && ask(a, quick, "wrong 5", 5) == AUTH_WRONG, "wrong again");
	check(ask(a, quick, "one", 5) == AUTH_LATER && ask(a, quick, "one", 6) == AUTH_LATER && a->jobs == 1,
	    "two peers, one job");
	check(auth_work(a, 1000000) && ask(a, quick, "one", 5) == AUTH_OK && ask(a, quick, "one", 6) == AUTH_OK,
	    "both are right");
	auth_free(a);
}

static void
test_forget(void)
{
	struct auth *a = fresh();

	auth_forget(a, 1);
	check(!auth_pending(a), "nobody to forget");
	for (uint64_t p = 1; p <= 4; p++)
		ask(a, quick, p == 1 ? "a" : p == 2 ? "b" : p == 3 ? "c" : "d", p);
	check(ask(a, quick, "b", 9) == AUTH_LATER && a->jobs == 4, "another waits for b");
	auth_forget(a, 2);
	check(a->jobs == 3 && auth_pending(a), "b is dropped");
	auth_forget(a, 1);
	check(a->jobs == 3, "what is begun goes on");
	check(auth_work(a, 0) && auth_work(a, 0) && auth_work(a, 0) && !auth_pending(a), "the others are done");
	check(ask(a, quick, "d", 4) == AUTH_WRONG, "in order");

	/* who waited for a job that was dropped is told to ask again, also when the line is empty */
	ask(a, quick, "a", 1);
	ask(a, quick, "b", 2);
	ask(a, quick, "b", 9);
	auth_work(a, 0);
	ask(a, quick, "c", 3);
	auth_forget(a, 3);
	check(a->jobs == 1, "only b is left");
	check(auth_work(a, 0) && ask(a, quick, "b", 9) == AUTH_WRONG, "b is done");
	ask(a, quick, "e", 1);
	ask(a, quick, "f", 2);
	auth_forget(a, 2);
	check(a->jobs == 1, "f is dropped");
	a->jobs = 0;
	check(auth_pending(a) && auth_work(a, 1000) && !auth_pending(a) && !auth_work(a, 1000),
	    "a drop alone moves those who wait, once");
	auth_free(a);
}

/* Right pairs are kept until 256 others were; whatever falls out is found right again. */
static void
test_kept(void)
{
	enum { N = 1000 };
	struct auth *a = fresh();
	struct buf b = {0};
	char *hash[N];
	int kept = 0;

	for (int i = 0; i < N; i++) {
		struct job j = {.want = {0}};
		unsigned char salt[2] = {(unsigned char)i, (unsigned char)(i >> 8)};

		hash_pbkdf2_begin(&j.k, str_of("p"), salt, sizeof salt, 1);
		buf_clear(&b);
		buf_adds(&b, "$pbkdf2-sha256$1$");
		put_ab64(&b, salt, sizeof salt);
		buf_addc(&b, '$');
		put_ab64(&b, j.k.out, sizeof j.k.out);
		hash[i] = xstrdup(b.p);
		check(verdict(a, hash[i], str_of("p")) == AUTH_OK, "pair %d", i);
		check(ask(a, hash[0], "p", 1) == AUTH_OK && !auth_pending(a), "the first, always in use, stays: %d", i);
	}
	for (int i = N - 1; i >= 0; i--) {
		enum auth_answer r = ask(a, hash[i], "p", 7);

		check(r == AUTH_OK || r == AUTH_LATER, "pair %d", i);
		kept += r == AUTH_OK;
		auth_forget(a, 7);
		a->jobs = 0;
	}
	check(kept == SETS * WAYS, "%d pairs are kept", kept);
	for (int i = 0; i < N; i++) {
		check(verdict(a, hash[i], str_of("p")) == AUTH_OK, "pair %d again", i);
		free(hash[i]);
	}
	buf_free(&b);
	auth_free(a);
}

int
main(void)
{
	test_passlib();
	test_malformed();
	test_make();
	test_pair();
	test_slices();
	test_line();
	test_forget();
	test_kept();
	return test_done("auth");
}
