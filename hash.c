/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 (FIPS 180-4) with HMAC and PBKDF2 over it, CRC-32C, SipHash-2-4 and base64.  All bytes are put together by shifts, so
 * results are the same on every machine.  Nothing here allocates but what it appends to a buf.
 */
#include "labtasker.h"

#include <string.h>

/* ---- SHA-256 ---- */

static const uint32_t sha_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t
get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
put32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 24);
	p[1] = (unsigned char)(v >> 16);
	p[2] = (unsigned char)(v >> 8);
	p[3] = (unsigned char)v;
}

/* One round.  The eight variables change places by name, which saves moving them: PBKDF2 does millions of these. */
#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define ROUND(a, b, c, d, e, f, g, h, i) do { \
	uint32_t t = h + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + (g ^ (e & (f ^ g))) + k[i] + w[i]; \
	d += t; \
	h = t + (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & b) | (c & (a | b))); \
} while (0)
/* The word that stands 16 rounds later in w[i]'s place. */
#define NEXT(i) (w[i] += (ROR(w[((i) + 1) & 15], 7) ^ ROR(w[((i) + 1) & 15], 18) ^ w[((i) + 1) & 15] >> 3) + w[((i) + 9) & 15] + \
	(ROR(w[((i) + 14) & 15], 17) ^ ROR(w[((i) + 14) & 15], 19) ^ w[((i) + 14) & 15] >> 10))

/* w is used up. */
static void
compress(uint32_t s[8], uint32_t w[16])
{
	uint32_t a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
	const uint32_t *k = sha_k;

	for (;;) {
		ROUND(a, b, c, d, e, f, g, h, 0);
		ROUND(h, a, b, c, d, e, f, g, 1);
		ROUND(g, h, a, b, c, d, e, f, 2);
		ROUND(f, g, h, a, b, c, d, e, 3);
		ROUND(e, f, g, h, a, b, c, d, 4);
		ROUND(d, e, f, g, h, a, b, c, 5);
		ROUND(c, d, e, f, g, h, a, b, 6);
		ROUND(b, c, d, e, f, g, h, a, 7);
		ROUND(a, b, c, d, e, f, g, h, 8);
		ROUND(h, a, b, c, d, e, f, g, 9);
		ROUND(g, h, a, b, c, d, e, f, 10);
		ROUND(f, g, h, a, b, c, d, e, 11);
		ROUND(e, f, g, h, a, b, c, d, 12);
		ROUND(d, e, f, g, h, a, b, c, 13);
		ROUND(c, d, e, f, g, h, a, b, 14);
		ROUND(b, c, d, e, f, g, h, a, 15);
		k += 16;
		if (k == sha_k + 64)
			break;
		NEXT(0), NEXT(1), NEXT(2), NEXT(3), NEXT(4), NEXT(5), NEXT(6), NEXT(7);
		NEXT(8), NEXT(9), NEXT(10), NEXT(11), NEXT(12), NEXT(13), NEXT(14), NEXT(15);
	}
	s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e, s[5] += f, s[6] += g, s[7] += h;
}

static void
take_block(struct sha256 *s, const unsigned char *p)
{
	uint32_t w[16];

	for (int i = 0; i < 16; i++)
		w[i] = get32(p + 4 * i);
	compress(s->h, w);
}

void
sha256_init(struct sha256 *s)
{
	static const uint32_t start[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};

	memcpy(s->h, start, sizeof start);
	s->len = 0;
}

void
sha256_add(struct sha256 *s, const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t have = s->len & 63, room = 64 - have;

	s->len += n;
	if (n < room) {
		if (n)
			memcpy(s->block + have, p, n);
		return;
	}
	if (have) {
		memcpy(s->block + have, p, room);
		take_block(s, s->block);
		p += room;
		n -= room;
	}
	for (; n >= 64; p += 64, n -= 64)
		take_block(s, p);
	if (n)
		memcpy(s->block, p, n);
}

void
sha256_end(struct sha256 *s, unsigned char out[32])
{
	size_t have = s->len & 63;

	s->block[have++] = 0x80;
	if (have > 56) {
		memset(s->block + have, 0, 64 - have);
		take_block(s, s->block);
		have = 0;
	}
	memset(s->block + have, 0, 56 - have);
	put32(s->block + 56, (uint32_t)(s->len >> 29));
	put32(s->block + 60, (uint32_t)(s->len << 3));
	take_block(s, s->block);
	for (int i = 0; i < 8; i++)
		put32(out + 4 * i, s->h[i]);
}

/* ---- HMAC and PBKDF2 ---- */

/* Both digests after their first block, the key. */
static void
hmac_begin(struct sha256 *inner, struct sha256 *outer, const void *key, size_t n)
{
	unsigned char pad[64] = {0};

	sha256_init(inner);
	sha256_init(outer);
	if (n > sizeof pad) {
		sha256_add(inner, key, n);
		sha256_end(inner, pad);
		sha256_init(inner);
	} else if (n) {
		memcpy(pad, key, n);
	}
	for (size_t i = 0; i < sizeof pad; i++)
		pad[i] ^= 0x36;
	sha256_add(inner, pad, sizeof pad);
	for (size_t i = 0; i < sizeof pad; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	sha256_add(outer, pad, sizeof pad);
}

static void
hmac_end(struct sha256 *inner, struct sha256 *outer, unsigned char out[32])
{
	sha256_end(inner, out);
	sha256_add(outer, out, 32);
	sha256_end(outer, out);
}

void
hash_pbkdf2_begin(struct pbkdf2 *k, struct str password, const void *salt, size_t n, uint32_t rounds)
{
	static const unsigned char first[4] = {0, 0, 0, 1};
	struct sha256 inner, outer;

	hmac_begin(&k->inner, &k->outer, password.p, password.n);
	inner = k->inner;
	outer = k->outer;
	sha256_add(&inner, salt, n);
	sha256_add(&inner, first, sizeof first);
	hmac_end(&inner, &outer, k->u);
	memcpy(k->out, k->u, sizeof k->out);
	k->left = rounds ? rounds - 1 : 0;
}

/* u = SHA-256 of what from stands after and u: one block, for 64 bytes of key and 32 of u are 96. */
static void
chain(const struct sha256 *from, uint32_t u[8])
{
	uint32_t w[16] = {0};

	memcpy(w, u, 8 * sizeof *w);
	w[8] = 0x80000000;
	w[15] = 96 * 8;
	memcpy(u, from->h, 8 * sizeof *u);
	compress(u, w);
}

bool
hash_pbkdf2_step(struct pbkdf2 *k, uint32_t rounds)
{
	uint32_t u[8], out[8], n = rounds < k->left ? rounds : k->left;

	for (int i = 0; i < 8; i++) {
		u[i] = get32(k->u + 4 * i);
		out[i] = get32(k->out + 4 * i);
	}
	k->left -= n;
	while (n--) {
		chain(&k->inner, u);
		chain(&k->outer, u);
		for (int i = 0; i < 8; i++)
			out[i] ^= u[i];
	}
	for (int i = 0; i < 8; i++) {
		put32(k->u + 4 * i, u[i]);
		put32(k->out + 4 * i, out[i]);
	}
	return !k->left;
}

/* volatile: what was found so far must not let a compiler stop early. */
bool
hash_equal(const void *a, const void *b, size_t n)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned char differ = 0;

	for (size_t i = 0; i < n; i++)
		differ = (unsigned char)(differ | (x[i] ^ y[i]));
	return !differ;
}

/* ---- checksums ---- */

/* crc_table[k][b]: what byte b adds when k more bytes follow it. */
static uint32_t crc_table[8][256];

static void
crc_make(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t c = b;

		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (0x82f63b78 & (0 - (c & 1)));
		crc_table[0][b] = c;
	}
	for (int k = 1; k < 8; k++)
		for (int b = 0; b < 256; b++)
			crc_table[k][b] = crc_table[k - 1][b] >> 8 ^ crc_table[0][crc_table[k - 1][b] & 255];
}

static uint32_t
get32le(const unsigned char *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* Eight bytes a step: a start reads whole journals. */
uint32_t
hash_crc32c(uint32_t crc, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint32_t (*t)[256] = crc_table;

	if (!t[0][1])
		crc_make();
	crc = ~crc;
	for (; n >= 8; p += 8, n -= 8) {
		uint32_t lo = crc ^ get32le(p), hi = get32le(p + 4);

		crc = t[7][lo & 255] ^ t[6][lo >> 8 & 255] ^ t[5][lo >> 16 & 255] ^ t[4][lo >> 24]
		    ^ t[3][hi & 255] ^ t[2][hi >> 8 & 255] ^ t[1][hi >> 16 & 255] ^ t[0][hi >> 24];
	}
	while (n--)
		crc = crc >> 8 ^ t[0][(crc ^ *p++) & 255];
	return ~crc;
}

static uint64_t
get64le(const unsigned char *p)
{
	return (uint64_t)get32le(p + 4) << 32 | get32le(p);
}

#define ROL64(x, n) ((x) << (n) | (x) >> (64 - (n)))

static void
sip_rounds(uint64_t v[4], int n)
{
	while (n--) {
		v[0] += v[1], v[1] = ROL64(v[1], 13) ^ v[0], v[0] = ROL64(v[0], 32);
		v[2] += v[3], v[3] = ROL64(v[3], 16) ^ v[2];
		v[0] += v[3], v[3] = ROL64(v[3], 21) ^ v[0];
		v[2] += v[1], v[1] = ROL64(v[1], 17) ^ v[2], v[2] = ROL64(v[2], 32);
	}
}

uint64_t
hash_sip(const unsigned char key[16], const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t k0 = get64le(key), k1 = get64le(key + 8), last = (uint64_t)n << 56;
	uint64_t v[4] = {
		k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573,
	};

	for (; n >= 8; p += 8, n -= 8) {
		uint64_t m = get64le(p);

		v[3] ^= m;
		sip_rounds(v, 2);
		v[0] ^= m;
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)p[i] << 8 * i;
	v[3] ^= last;
	sip_rounds(v, 2);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- base64 ---- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
hash_base64(struct buf *b, const void *data, size_t n)
{
	const unsigned char *p = data;

	buf_reserve(b, (n / 3 + 1) * 4);
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0u);
		char four[4] = {digits[v >> 18], digits[v >> 12 & 63], digits[v >> 6 & 63], digits[v & 63]};

		if (i + 2 >= n)
			four[3] = '=';
		if (i + 1 >= n)
			four[2] = '=';
		buf_add(b, four, 4);
	}
}

static int
digit(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* One text for each run of bytes: padding is whole or absent, and the bits of the last digit that say nothing are 0. */
int
hash_unbase64(struct buf *b, struct str s)
{
	size_t from = b->len, n = s.n;
	uint32_t v = 0;
	unsigned bits = 0;

	if (n && n % 4 == 0 && s.p[n - 1] == '=')
		n -= s.p[n - 2] == '=' ? 2 : 1;
	for (size_t i = 0; i < n; i++) {
		int d = digit(s.p[i]);

		if (d < 0)
			goto bad;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			buf_addc(b, (char)(unsigned char)(v >> bits));
			v &= (1u << bits) - 1;
		}
	}
	if (bits < 6 && !v)
		return 0;
bad:
	b->len = from;
	if (b->p)
		b->p[from] = 0;
	return -1;
}

/* ---- --key ---- */

void
hash_keyuuid(const char queue_id[36], struct str text, char out[37])
{
	struct sha256 s;
	unsigned char sum[32];

	sha256_init(&s);
	sha256_add(&s, queue_id, 36);
	sha256_add(&s, "", 1);
	sha256_add(&s, text.p, text.n);
	sha256_end(&s, sum);
	uuid_stamp(sum, 8);
	uuid_print(sum, out);
}
