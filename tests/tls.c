/* SPDX-License-Identifier: MIT */
/*
 * TLS between two ends that both are ours, with a relay in between that hands on as many bytes as we like, breaks off, or is somebody
 * else altogether; certificates as bytes; whom a client believes, at any time that we like.
 */
#include "../labtasker.h"

#ifndef LABTASKER_TLS
#include <stdio.h>

int
main(void)
{
	printf("tls: SKIPPED: built without TLS; 0 passed, 0 failed\n");
	return 0;
}
#else
#include "test.h"

static int64_t fake_wall(void);
#define sys_wall fake_wall
#include "../tls.c"
#undef sys_wall

#include <signal.h>
#include <sys/socket.h>

static bool no_random;

static int
seed(const br_prng_class **ctx)
{
	unsigned char some[32];

	sys_random(some, sizeof some);
	(*ctx)->update(ctx, some, sizeof some);
	return !no_random;
}

/* In the place of BearSSL's own, which finds RDRAND or /dev/urandom where there is one. */
br_prng_seeder
br_prng_seeder_system(const char **name)
{
	if (name)
		*name = "test";
	return seed;
}

/* For localhost, *.example.test, 127.0.0.1 and ::1; its own issuer; from 2000 to 2999. */
static const char cert_pem[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBdjCCARygAwIBAgIBATAKBggqhkjOPQQDAjAMMQowCAYDVQQDDAF0MCAXDTAw\n"
	"MDEwMTAwMDAwMFoYDzI5OTkxMjMxMjM1OTU5WjAMMQowCAYDVQQDDAF0MFkwEwYH\n"
	"KoZIzj0CAQYIKoZIzj0DAQcDQgAEHhllekjo43Vt1WyZU5GwKx9riRRcKNKVjptl\n"
	"SFwU390A4oNe7SjdrnRpwJl2LRisg3NEKOihzW3C0p/Y+Bj4LqNtMGswPAYDVR0R\n"
	"BDUwM4IJbG9jYWxob3N0gg4qLmV4YW1wbGUudGVzdIcEfwAAAYcQAAAAAAAAAAAA\n"
	"AAAAAAAAATAMBgNVHRMEBTADAQH/MB0GA1UdDgQWBBQFzsCcYF94HVju2Si5O+Wd\n"
	"+gvP2zAKBggqhkjOPQQDAgNIADBFAiEA9Stnf/WnvUYslgEd0fjaxRiM3j6wkhrn\n"
	"IDPyYKNc5ycCIFZX4UjuQdAHZf123zXevKYWQ386gsX85JCsMsxjmblx\n"
	"-----END CERTIFICATE-----\n";
static const char key_pem[] =
	"-----BEGIN EC PRIVATE KEY-----\n"
	"MHcCAQEEIAELV9liZYDC1CoUa2WoPLDlkUoO0EuEfxjamuOoQMQ4oAoGCCqGSM49\n"
	"AwEHoUQDQgAEHhllekjo43Vt1WyZU5GwKx9riRRcKNKVjptlSFwU390A4oNe7Sjd\n"
	"rnRpwJl2LRisg3NEKOihzW3C0p/Y+Bj4Lg==\n"
	"-----END EC PRIVATE KEY-----\n";
static const char whole_pin[] = "sha256:A5:97:5A:B3:9A:B4:46:12:E2:DE:31:1E:13:ED:55:58:A7:E7:F9:D7:78:92:85:BE:D6:83:2B:82:C3:F9:44:AC";
static const char key_pin[] = "sha256:H13+QFZCuoPMb+Xu5XR+5ezrDq+UhvnT6yPfwvKKW0I=";
static char dir[64], cert_file[96], key_file[96];
static int64_t wall;             /* 0: as it is */

static int64_t
fake_wall(void)
{
	return wall ? wall : sys_wall();
}

static void
write_file(char path[96], const char *name, const char *text)
{
	FILE *f;

	snprintf(path, 96, "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
	chmod(path, 0600);
}

/* ---- bytes ---- */

static int
keep(void *arg, struct str name, struct str der, struct err *e)
{
	(void)name;
	(void)e;
	buf_add(arg, der.p, der.n);
	return 0;
}

static void
certificates(void)
{
	struct buf text = {0}, der = {0}, names = {0};
	unsigned char ip[16];
	struct cert c;

	buf_adds(&text, cert_pem);
	check(!each_object("x", &text, keep, &der, NULL) && der.len == 378, "PEM is taken apart: %d bytes", (int)der.len);
	check(!read_cert(&c, (struct str){der.p, der.len}), "the certificate is read");
	check(c.from == 946684800 && c.until == 32503679999, "from %ld until %ld", (long)c.from, (long)c.until);
	put_names(&names, &c);
	check(!strcmp(names.p, "localhost, *.example.test, 127.0.0.1, ::1"), "names: %s", names.p);
	check(names_address(&c, ip, address("127.0.0.1", ip)) && names_address(&c, ip, address("::1", ip)), "its addresses");
	check(!names_address(&c, ip, address("127.0.0.2", ip)) && !names_address(&c, ip, address("::", ip)), "no others");
	for (size_t n = 0; n < der.len; n++) {
		char *part = xmemdup(der.p, n);   /* what is read behind its end is found by the sanitizer */

		part = xrealloc(part, n ? n : 1);
		if (!read_cert(&c, (struct str){part, n}))
			check(false, "a prefix of %d bytes is no certificate", (int)n);
		free(part);
	}
	for (size_t i = 0; i < der.len; i++) {   /* nor does a wrong length anywhere lead out of it */
		char *copy = xmemdup(der.p, der.len);

		for (int v = 0; v < 256; v += 15) {
			copy[i] = (char)v;
			if (!read_cert(&c, (struct str){copy, der.len})) {
				buf_clear(&names);
				put_names(&names, &c);
			}
		}
		free(copy);
	}
	check(true, "damaged certificates");
	buf_free(&text);
	buf_free(&der);
	buf_free(&names);
}

static void
times(void)
{
	static const struct {
		int tag;
		const char *text;
		int64_t t;
	} table[] = {
		{DER_UTC, "700101000000Z", 0}, {DER_UTC, "491231235959Z", 2524607999}, {DER_UTC, "500101000000Z", -631152000},
		{DER_TIME, "20380119031408Z", 2147483648}, {DER_UTC, "7001010000Z", -1}, {DER_UTC, "70010100000xZ", -1},
		{DER_TIME, "700101000000Z", -1}, {DER_OID, "700101000000Z", -1}, {DER_UTC, "700101000000+", -1}, {DER_UTC, "", -1},
	};

	for (size_t i = 0; i < LEN(table); i++) {
		int64_t t = der_time(table[i].tag, str_of(table[i].text));

		check(t == table[i].t, "%s: %ld", table[i].text, (long)t);
	}
}

static void
pins(void)
{
	static const struct {
		const char *text;
		bool good;
	} table[] = {
		{whole_pin, true}, {key_pin, true}, {"sha256//H13+QFZCuoPMb+Xu5XR+5ezrDq+UhvnT6yPfwvKKW0I=", true},
		{"SHA256:1f5dfe405642ba83cc6fe5eee5747ee5eceb0eaf9486f9d3eb23dfc2f28a5b42", true}, {"", false}, {"sha256:", false},
		{"sha256://Ej8k1tMbvPKoTLsRAWUcu8+GkMKZ2pCEHXSSSJKTo=", true}, {"sha256:/H13+QFZCuoPMb+Xu5XR+5ezrDq+UhvnT6yPfwvKKW0=", true},
		{"sha256////Ej8k1tMbvPKoTLsRAWUcu8+GkMKZ2pCEHXSSSJKTo=", true},
		{"sha256:00", false}, {"md5:1f5dfe405642ba83cc6fe5eee5747ee5eceb0eaf9486f9d3eb23dfc2f28a5b42", false},
		{"1f5dfe405642ba83cc6fe5eee5747ee5eceb0eaf9486f9d3eb23dfc2f28a5b42", false},
		{"sha256:1f5dfe405642ba83cc6fe5eee5747ee5eceb0eaf9486f9d3eb23dfc2f28a5b4200", false},
		{"sha256:H13+QFZCuoPMb+Xu5XR+5ezrDq+UhvnT6yPfwvKKW0I=x", false},
	};

	for (size_t i = 0; i < LEN(table); i++) {
		unsigned char out[32];

		check(!read_pin(str_of(table[i].text), out) == table[i].good, "pin %s", table[i].text);
		if (table[i].good && i < 4)
			check(out[0] == (i ? 0x1f : 0xa5) && out[31] == (i ? 0x42 : 0xac), "its value, %s", table[i].text);
	}
}

/* ---- two ends and what is between them ---- */

struct end {
	struct tls *t;
	int fd, done;            /* done: what ready said */
	struct err why;
};

struct link {
	struct end client, server;
	int near[2];             /* the relay's ends, of the client's and the server's sockets */
	size_t passed;           /* bytes, both ways */
	size_t limit;            /* and no more */
};

static int
half(int *other)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		abort();
	sys_nonblock(pair[0], true);
	sys_nonblock(pair[1], true);
	*other = pair[1];
	return pair[0];
}

static void
link_open(struct link *l, struct tls_trust *t, struct tls_identity *i)
{
	*l = (struct link){.limit = SIZE_MAX};
	l->client.fd = half(&l->near[0]);
	l->server.fd = half(&l->near[1]);
	l->client.t = t ? tls->client(t) : NULL;
	l->server.t = i ? tls->server(i) : NULL;
}

static void
link_close(struct link *l)
{
	tls->free(l->client.t);
	tls->free(l->server.t);
	close(l->client.fd);
	close(l->server.fd);
	close(l->near[0]);
	close(l->near[1]);
}

/* Hands on up to n bytes each way. */
static void
relay(struct link *l, size_t n)
{
	static char b[65536];

	for (int i = 0; i < 2; i++) {
		size_t most = n < l->limit - l->passed ? n : l->limit - l->passed;
		ssize_t k = read(l->near[i], b, most < sizeof b ? most : sizeof b);

		if (k > 0 && write(l->near[!i], b, (size_t)k) != k)
			abort();
		l->passed += k > 0 ? (size_t)k : 0;
	}
}

static void
step(struct end *s)
{
	if (s->t && !s->done)
		s->done = tls->ready(s->t, s->fd, &s->why);
}

/* Until both have done, one has failed, or nothing moves. */
static void
shake(struct link *l, size_t n)
{
	size_t before;

	for (int idle = 0; idle < 3; idle += l->passed == before) {
		before = l->passed;
		step(&l->client);
		step(&l->server);
		if (l->client.done < 0 || l->server.done < 0 || (l->client.done && l->server.done))
			return;
		relay(l, n);
	}
}

static struct tls_trust *
believe(const char *host, const char *cacert, const char *pin)
{
	struct err e = {0};
	struct tls_trust *t = tls->trust(host, cacert, pin, &e);

	if (!t)
		fprintf(stderr, "%s\n", e.msg);
	return t;
}

static struct tls_identity *
identity(void)
{
	struct err e = {0};
	struct tls_identity *i = tls->identity(cert_file, key_file, &e);

	check(i && !strcmp(tls->pin(i), key_pin), "the identity: %s", e.msg);
	return i;
}

/* ---- handshakes ---- */

enum { MUCH = 300000 };

static char
byte_at(size_t i)
{
	return (char)(i * 31 + i / 251);
}

/* Sends what is left of MUCH bytes, and receives. */
static void
exchange(struct end *s, size_t *sent, size_t *got, bool *same)
{
	static char b[MUCH];
	char in[32768];
	ssize_t n;

	for (size_t i = 0; i < MUCH && !b[1]; i++)
		b[i] = byte_at(i);
	while (*sent < MUCH && (n = tls->write(s->t, s->fd, b + *sent, MUCH - *sent)) > 0)
		*sent += (size_t)n;
	while ((n = tls->read(s->t, s->fd, in, sizeof in)) > 0) {
		*same = *same && !memcmp(in, b + *got, (size_t)n);
		*got += (size_t)n;
	}
}

/* Both send much at once; what is read arrives whole; the end is seen. */
static void
talk(size_t n)
{
	struct tls_identity *id = identity();
	struct tls_trust *trust = believe("localhost", NULL, key_pin);
	size_t sent[2] = {0}, got[2] = {0};
	bool same = true;
	struct link l;
	char c[16384];

	link_open(&l, trust, id);
	shake(&l, n);
	check(l.client.done == 1 && l.server.done == 1, "a handshake, %d bytes at a time: %s %s", (int)n, l.client.why.msg, l.server.why.msg);
	for (int i = 0; i < 1000 * 1000 && l.client.done == 1 && (got[0] < MUCH || got[1] < MUCH); i++) {
		exchange(&l.client, &sent[0], &got[0], &same);
		exchange(&l.server, &sent[1], &got[1], &same);
		relay(&l, n > 1 ? n : 997);
	}
	check(got[0] == MUCH && got[1] == MUCH && same, "all arrives: %d %d", (int)got[0], (int)got[1]);
	tls->shut(l.server.t, l.server.fd);
	relay(&l, 65536);
	check(tls->read(l.client.t, l.client.fd, c, sizeof c) == 0, "an end that was announced");
	relay(&l, 65536);
	check(tls->read(l.server.t, l.server.fd, c, sizeof c) > 0 && tls->read(l.server.t, l.server.fd, c, sizeof c) == TLS_AGAIN,
	    "who has said the end reads away what comes");
	check(tls->write(l.client.t, l.client.fd, "x", 1) == -1, "nothing is written after an end");
	link_close(&l);
	tls->trust_free(trust);
	tls->identity_drop(id);
}

/* A read leaves nothing behind that poll does not see. */
static void
leftovers(void)
{
	struct tls_identity *id = identity();
	struct tls_trust *trust = believe("localhost", NULL, key_pin);
	static char b[32768];
	struct link l;
	size_t some;

	link_open(&l, trust, id);
	shake(&l, 65536);
	for (size_t n = 1; n <= sizeof b; n = n * 3 + 1)
		tls->write(l.client.t, l.client.fd, b, n);
	relay(&l, 65536);
	for (ssize_t n; (n = tls->read(l.server.t, l.server.fd, b, RECORD)) != TLS_AGAIN;)
		if (n <= 0 || br_ssl_engine_recvapp_buf(&l.server.t->u.eng, &some)) {
			check(false, "read %ld and left %d", (long)n, (int)some);
			break;
		}
	close(l.near[1]);
	l.near[1] = -1;
	check(tls->read(l.server.t, l.server.fd, b, sizeof b) == -1 && errno == ECONNRESET, "an end that was not announced is no end");
	link_close(&l);
	tls->trust_free(trust);
	tls->identity_drop(id);
}

/* A request whose writing failed has not arrived, so nothing but a write may end it. */
static void
unwritten(void)
{
	struct tls_identity *id = identity();
	struct tls_trust *trust = believe("localhost", NULL, key_pin);
	static char b[65536];
	struct link l;
	size_t left = 0;
	ssize_t n;

	link_open(&l, trust, id);
	shake(&l, 65536);
	while (tls->write(l.client.t, l.client.fd, b, sizeof b) > 0)
		;
	while (read(l.near[0], b, sizeof b) > 0)
		;
	check(tls->read(l.client.t, l.client.fd, b, sizeof b) == TLS_AGAIN, "nothing has come");
	tls->shut(l.client.t, l.client.fd);
	while ((n = read(l.near[0], b, sizeof b)) > 0)
		left += (size_t)n;
	check(!left, "a read and an end write %d bytes of what is owed", (int)left);
	link_close(&l);
	tls->trust_free(trust);
	tls->identity_drop(id);
}

/* A handshake that breaks off, at any byte. */
static void
cut(void)
{
	struct tls_identity *id = identity();
	struct tls_trust *trust = believe("localhost", NULL, key_pin);
	int bad = 0, cuts = 0;

	for (size_t at = 0; at < 1200; at += at < 16 ? 1 : 37) {
		struct link l;

		link_open(&l, trust, id);
		l.limit = at;
		shake(&l, 13);
		cuts += l.client.done != 1;
		shutdown(l.near[0], SHUT_RDWR);
		shutdown(l.near[1], SHUT_RDWR);
		step(&l.client);
		step(&l.server);
		bad += l.client.done != 1 && (l.client.done != -1 || !l.server.done || l.client.why.code == TLS_VAIN);
		link_close(&l);
	}
	check(!bad && cuts > 20, "%d of %d cut handshakes did not end as such", bad, cuts);
	tls->trust_free(trust);
	tls->identity_drop(id);
}

/* Somebody who speaks something else. */
static void
strangers(void)
{
	static const struct {
		const char *text;
		int code;
	} to_server[] = {
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", TLS_PLAIN}, {"SSH-2.0-x\r\n", TLS_PLAIN}, {"\x16\x03\x01\xff\xff", TLS_VAIN},
		{"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", TLS_VAIN}, {"\x16\x03\x01\x00\x05\x01\x00", 0}, {"\x17\x03\x03\x00\x05hello", TLS_VAIN},
		{"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x03zzzzzzzzz", TLS_VAIN}, {"\x15\x03\x01\x00\x02\x02\x28", TLS_VAIN},
	};
	static const size_t lengths[] = {27, 11, 5, 10, 7, 10, 19, 7};
	struct tls_identity *id = identity();
	struct tls_trust *trust = believe("localhost", NULL, key_pin);
	struct link l;

	for (size_t i = 0; i < LEN(to_server); i++) {
		link_open(&l, NULL, id);
		if (write(l.near[1], to_server[i].text, lengths[i]) < 0)
			abort();
		step(&l.server);
		check(l.server.done == (to_server[i].code ? -1 : 0) && l.server.why.code == to_server[i].code, "stranger %d: %d %d %s", (int)i,
		    l.server.done, l.server.why.code, l.server.why.msg);
		link_close(&l);
	}
	for (unsigned seed = 1; seed < 200; seed++) {
		char noise[600];

		for (size_t i = 0; i < sizeof noise; i++)
			noise[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
		memcpy(noise, "\x16\x03\x01\x01", seed % 2 ? 0 : 4);
		link_open(&l, NULL, id);
		if (write(l.near[1], noise, sizeof noise) < 0)
			abort();
		step(&l.server);
		if (l.server.done > 0)
			check(false, "noise is no client");
		link_close(&l);
		seed %= 1000;
	}
	link_open(&l, trust, NULL);
	if (write(l.near[0], "HTTP/1.1 400 Bad Request\r\n\r\n", 28) < 0)
		abort();
	step(&l.client);
	check(l.client.done == -1 && l.client.why.code == TLS_VAIN && strstr(l.client.why.msg, "http://"), "plain server: %s", l.client.why.msg);
	link_close(&l);
	tls->trust_free(trust);
	tls->identity_drop(id);
}

/* Keys that could be guessed are no keys: nothing is sent. */
static void
without_random(void)
{
	struct tls_identity *id = identity();
	struct tls_trust *trust = believe("localhost", NULL, key_pin);
	struct link l;

	no_random = true;
	link_open(&l, trust, id);
	shake(&l, 65536);
	check(l.client.done == -1 && l.client.why.code == TLS_VAIN && strstr(l.client.why.msg, "/dev/urandom") && !l.passed,
	    "a client: %s", l.client.why.msg);
	check(l.server.done == -1 && l.server.why.code == TLS_VAIN && strstr(l.server.why.msg, "/dev/urandom"), "a server: %s", l.server.why.msg);
	link_close(&l);
	no_random = false;
	tls->trust_free(trust);
	tls->identity_drop(id);
}

static void
resumption(void)
{
	struct tls_identity *id = identity(), *other = identity();
	struct tls_trust *trust = believe("localhost", cert_file, NULL);
	br_ssl_session_parameters first;
	size_t full;
	struct link l;

	link_open(&l, trust, id);
	shake(&l, 65536);
	full = l.passed;
	first = trust->session;
	link_close(&l);
	check(first.session_id_len > 0, "there is a session");
	link_open(&l, trust, id);
	shake(&l, 65536);
	check(l.client.done == 1 && l.server.done == 1 && !memcmp(&first, &trust->session, sizeof first) && l.passed < full,
	    "it is resumed: %d bytes instead of %d", (int)l.passed, (int)full);
	link_close(&l);
	link_open(&l, trust, other);
	shake(&l, 65536);
	check(l.client.done == 1 && memcmp(&first, &trust->session, sizeof first), "who does not know it makes another");
	link_close(&l);
	tls->trust_free(trust);
	tls->identity_drop(id);
	tls->identity_drop(other);
}

/* ---- whom a client believes ---- */

static void
belief(void)
{
	static const char other[] = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
	static const struct {
		const char *host;
		bool issuer;             /* the certificate is trusted as issuer */
		const char *pin;
		int64_t year;            /* 0: now */
		const char *why;         /* part of the refusal; NULL: believed */
	} table[] = {
		{"localhost", true, NULL, 0, NULL}, {"127.0.0.1", true, NULL, 0, NULL}, {"::1", true, NULL, 0, NULL},
		{"a.example.test", true, NULL, 0, NULL}, {"LOCALHOST.", true, NULL, 0, NULL}, {"example.test", true, NULL, 0, "is for localhost"},
		{"a.b.example.test", true, NULL, 0, "is for localhost"}, {"127.0.0.2", true, NULL, 0, "*.example.test, 127.0.0.1, ::1"},
		{"localhost.x", true, NULL, 0, "--pin sha256:H13+"}, {"localhost", true, NULL, 1999, "holds only from 2000-01-01"},
		{"localhost", true, NULL, 3001, "expired on 2999-12-31"}, {"localhost", true, key_pin, 0, NULL},
		{"localhost", true, other, 0, "not the pinned one"}, {"elsewhere", true, key_pin, 0, "is for localhost"},
		{"elsewhere", false, key_pin, 3001, NULL}, {"elsewhere", false, whole_pin, 1999, NULL},
		{"localhost", false, other, 0, "not the pinned one"},
	};
	struct tls_identity *id = identity();

	for (size_t i = 0; i < LEN(table); i++) {
		struct tls_trust *trust = believe(table[i].host, table[i].issuer ? cert_file : NULL, table[i].pin);
		struct link l;
		bool good;

		wall = table[i].year ? (table[i].year - 1970) * 31557600 * 1000000 : 0;
		link_open(&l, trust, id);
		shake(&l, 65536);
		good = table[i].why ? l.client.done == -1 && l.client.why.code == TLS_VAIN && strstr(l.client.why.msg, table[i].why) :
		    l.client.done == 1;
		check(good, "%s %s %ld: %s", table[i].host, table[i].pin ? table[i].pin : "", (long)table[i].year, l.client.why.msg);
		link_close(&l);
		tls->trust_free(trust);
	}
	wall = 0;
	tls->identity_drop(id);
}

static void
files(void)
{
	static const struct {
		const char *cert, *key, *why;
	} table[] = {
		{"-----BEGIN CERTIFICATE----- \t\r\nAAAA \r\n-----END CERTIFICATE----- \n", key_pem, "first certificate cannot be used"},
		{cert_pem, "", "no private key"}, {key_pem, key_pem, "no certificate"}, {cert_pem,
		"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIAELV9*\n-----END EC PRIVATE KEY-----\n", "no base64"},
		{cert_pem, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "decrypts"},
		{cert_pem, "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
		"decrypts"},
		{"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key_pem, "first certificate cannot be used"},
		{cert_pem, "-----BEGIN PRIVATE KEY-----\n"
		"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAQtX2WJlgMLUKhRr\n"
		"Zag8sOWRSg7QS4R/GNqa46hAxDehRANCAAQeGWV6SOjjdW3VbJlTkbArH2uJFFwo\n"
		"0pWOm2VIXBTf3QDig17tKN2udGnAmXYtGKyDc0Qo6KHNbcLSn9j4GPgu\n-----END PRIVATE KEY-----\n", "is not that of"},
	};

	for (size_t i = 0; i < LEN(table); i++) {
		char cert[96], key[96];
		struct err e = {0};
		struct tls_identity *id;

		write_file(cert, "c", table[i].cert);
		write_file(key, "k", table[i].key);
		id = tls->identity(cert, key, &e);
		check(!id && strstr(e.msg, table[i].why), "%s", e.msg);
		if (id)
			tls->identity_drop(id);
		unlink(cert);
		unlink(key);
	}
}

/* BearSSL 0.6 holds a key's numbers to 24 bytes more than it has room for. */
static void
endless_key(void)
{
	static const unsigned char head[] = {0x30, 0x82, 0x10, 0x07, 2, 1, 0, 2, 0x82, 0x10, 0x00};
	struct buf der = {0}, pem = {0};
	struct err e = {0};
	char key[96];

	buf_add(&der, head, sizeof head);
	for (int i = 0; i < 0x1000; i++)
		buf_addc(&der, 'A');
	buf_adds(&pem, "-----BEGIN RSA PRIVATE KEY-----\n");
	hash_base64(&pem, der.p, der.len);
	buf_adds(&pem, "\n-----END RSA PRIVATE KEY-----\n");
	write_file(key, "k", pem.p);
	check(!tls->identity(cert_file, key, &e) && !strncmp(e.msg, key, strlen(key)) && strstr(e.msg, "4096"), "too long a key: %s", e.msg);
	unlink(key);
	buf_free(&der);
	buf_free(&pem);
}

int
main(void)
{
	snprintf(dir, sizeof dir, "/tmp/labtasker-tls.%ld", (long)getpid());
	if (mkdir(dir, 0700) < 0)
		return 1;
	write_file(cert_file, "cert.pem", cert_pem);
	write_file(key_file, "key.pem", key_pem);
	signal(SIGPIPE, SIG_IGN);
	certificates();
	times();
	pins();
	talk(65536);
	talk(1);
	leftovers();
	unwritten();
	cut();
	strangers();
	without_random();
	resumption();
	belief();
	files();
	endless_key();
	unlink(cert_file);
	unlink(key_file);
	rmdir(dir);
	return test_done("tls");
}
#endif
