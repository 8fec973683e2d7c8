/* SPDX-License-Identifier: MIT */
/*
 * hash.c: the vectors of FIPS 180-4, RFC 4231, RFC 7914 and others for PBKDF2, RFC 3720, the SipHash paper and RFC 4648; besides,
 * every length, every split and every alignment.
 */
#include "../hash.c"
#include "test.h"

static const char *
hex(const void *p, size_t n)
{
	static char text[2 * 64 + 1];

	for (size_t i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", ((const unsigned char *)p)[i]);
	return text;
}

/* Checks 32 bytes. */
static void
is(const void *sum, const char *want, const char *what, size_t row)
{
	check(!strcmp(hex(sum, 32), want), "%s, row %d: %s", what, (int)row, hex(sum, 32));
}

static void
sha256(const void *p, size_t n, unsigned char sum[32])
{
	struct sha256 s;

	sha256_init(&s);
	sha256_add(&s, p, n);
	sha256_end(&s, sum);
}

static void
test_sha256(void)
{
	static const struct {
		const char *text, *sum;
	} row[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
			"cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
	};
	unsigned char sum[32], part[300], all[32];
	struct sha256 s, long_one;
	char a[1000];

	for (size_t i = 0; i < LEN(row); i++) {
		sha256(row[i].text, strlen(row[i].text), sum);
		is(sum, row[i].sum, "sha256", i);
	}
	memset(a, 'a', sizeof a);
	sha256_init(&s);
	for (int i = 0; i < 1000; i++)
		sha256_add(&s, a, sizeof a);
	sha256_end(&s, sum);
	is(sum, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", "a million times a", 0);

	/* the digest of the digests of 300 lengths, each read in two parts at each place */
	for (size_t i = 0; i < sizeof part; i++)
		part[i] = (unsigned char)(i * 7);
	sha256_init(&long_one);
	for (size_t n = 0; n < sizeof part; n++) {
		char *copy = xmemdup(part, n);
		size_t differ = 0;

		sha256(copy, n, all);
		for (size_t at = 0; at <= n; at++) {
			sha256_init(&s);
			sha256_add(&s, part, at);
			sha256_add(&s, part + at, n - at);
			sha256_end(&s, sum);
			differ += memcmp(sum, all, 32) != 0;
		}
		sha256_init(&s);
		for (size_t i = 0; i < n; i++)
			sha256_add(&s, part + i, 1);
		sha256_end(&s, sum);
		differ += memcmp(sum, all, 32) != 0;
		check(!differ, "sha256 of %d bytes: %d splits differ", (int)n, (int)differ);
		sha256_add(&long_one, all, sizeof all);
		free(copy);
	}
	sha256_end(&long_one, sum);
	is(sum, "f65f14b090e805017546322e618401d41f0710c213e013a5131eb38bbe8f367f", "300 lengths", 0);

	/* the count of bits goes beyond 32 bits */
	sha256_init(&s);
	s.len = (uint64_t)1 << 32;
	sha256_end(&s, sum);
	sha256("", 0, all);
	check(memcmp(sum, all, 32) != 0, "sha256: the length is cut");
}

static void
test_hmac(void)
{
	static const struct {
		const char *key;      /* NULL: n times byte */
		int byte, n;
		const char *data;     /* NULL: m times fill */
		int fill, m;
		const char *sum;
	} row[] = {
		{NULL, 0x0b, 20, "Hi There", 0, 0, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"Jefe", 0, 0, "what do ya want for nothing?", 0, 0,
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{NULL, 0xaa, 20, NULL, 0xdd, 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{"\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25\26\27\30\31", 0, 0, NULL, 0xcd, 50,
			"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
		{NULL, 0xaa, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 0, 0,
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{NULL, 0xaa, 131,
			"This is a test using a larger than block-size key and a larger than block-size data. The key needs to "
			"be hashed before being used by the HMAC algorithm.", 0, 0,
			"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
		{NULL, 0, 0, NULL, 0, 0, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
	};
	char key[200], data[200];
	struct sha256 inner, outer;
	unsigned char sum[32];

	for (size_t i = 0; i < LEN(row); i++) {
		memset(key, row[i].byte, sizeof key);
		memset(data, row[i].fill, sizeof data);
		hmac_begin(&inner, &outer, row[i].key ? row[i].key : key, row[i].key ? strlen(row[i].key) : (size_t)row[i].n);
		sha256_add(&inner, row[i].data ? row[i].data : data, row[i].data ? strlen(row[i].data) : (size_t)row[i].m);
		hmac_end(&inner, &outer, sum);
		is(sum, row[i].sum, "hmac", i);
	}
}

static void
test_pbkdf2(void)
{
	static const char long_key[] = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";   /* 65 */
	static const struct {
		const char *password, *salt;
		size_t pn, sn;
		uint32_t rounds;
		const char *sum;
	} row[] = {
		{"passwd", "salt", 6, 4, 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"},
		{"Password", "NaCl", 8, 4, 80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"},
		{"password", "salt", 8, 4, 1, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"},
		{"password", "salt", 8, 4, 2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43"},
		{"password", "salt", 8, 4, 4096, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"},
		{"passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt", 24, 36, 4096,
			"348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd53e1"},
		{"pass\0word", "sa\0lt", 9, 5, 4096, "89b69d0516f829893c696226650a86878c029ac13ee276509d5ae58b6466a724"},
		{long_key, "", 65, 0, 3, "3ff12ae140e48533fc9fe9eead6b00705c314d3a4fba43f5df589f4a0671bbe1"},
		{"", "", 0, 0, 1, "f7ce0b653d2d72a4108cf5abe912ffdd777616dbbb27a70e8204f3ae2d0f6fad"},
	};
	static const uint32_t slice[] = {UINT32_MAX, 1, 2, 3, 64, 4095};
	struct pbkdf2 k;

	for (size_t i = 0; i < LEN(row); i++) {
		for (size_t s = 0; s < LEN(slice); s++) {
			uint32_t steps = 1, want = row[i].rounds > 1 ? (row[i].rounds - 2) / slice[s] + 1 : 1;

			hash_pbkdf2_begin(&k, (struct str){row[i].password, row[i].pn}, row[i].salt, row[i].sn, row[i].rounds);
			while (!hash_pbkdf2_step(&k, slice[s]))
				steps++;
			is(k.out, row[i].sum, "pbkdf2", i);
			check(steps == want, "pbkdf2, row %d: %d steps of %u, not %d", (int)i, (int)steps, (unsigned)slice[s],
			    (int)want);
		}
	}
	check(hash_pbkdf2_step(&k, 1), "pbkdf2: a step after the end is none");
	is(k.out, row[LEN(row) - 1].sum, "pbkdf2 after the end", 0);
}

static void
test_equal(void)
{
	unsigned char a[40], b[40];

	for (size_t i = 0; i < sizeof a; i++)
		a[i] = b[i] = (unsigned char)(i * 37);
	check(hash_equal(a, b, sizeof a) && hash_equal(a, b, 0), "equal");
	for (size_t bit = 0; bit < 8 * sizeof a; bit++) {
		b[bit / 8] = (unsigned char)(b[bit / 8] ^ 1 << bit % 8);
		check(!hash_equal(a, b, sizeof a) && hash_equal(a, b, bit / 8), "bit %d differs", (int)bit);
		b[bit / 8] = a[bit / 8];
	}
}

/* Bit by bit, from the definition. */
static uint32_t
slow_crc(const unsigned char *p, size_t n)
{
	uint32_t c = 0xffffffff;

	while (n--) {
		c ^= *p++;
		for (int i = 0; i < 8; i++)
			c = c & 1 ? c >> 1 ^ 0x82f63b78 : c >> 1;
	}
	return ~c;
}

static void
test_crc32c(void)
{
	static const unsigned char pdu[48] = {
		1, 0xc0, [16] = 0x14, [22] = 4, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 2,
	};
	unsigned char up[32], down[32], same[32], text[100];

	for (size_t i = 0; i < 32; i++) {
		up[i] = (unsigned char)i;
		down[i] = (unsigned char)(31 - i);
	}
	memset(same, 0, sizeof same);
	check(hash_crc32c(0, same, 32) == 0x8a9136aa, "crc32c of zeros");
	memset(same, 0xff, sizeof same);
	check(hash_crc32c(0, same, 32) == 0x62a8ab43, "crc32c of ones");
	check(hash_crc32c(0, up, 32) == 0x46dd794e, "crc32c rising");
	check(hash_crc32c(0, down, 32) == 0x113fdb5c, "crc32c falling");
	check(hash_crc32c(0, pdu, 48) == 0xd9963a56, "crc32c of a PDU");
	check(hash_crc32c(0, "123456789", 9) == 0xe3069283, "crc32c of digits");
	check(hash_crc32c(0, "", 0) == 0, "crc32c of nothing");
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (unsigned char)(i * i + 3 * i);
	for (size_t n = 0; n <= sizeof text; n++) {
		unsigned char *copy = xmemdup(text, n);
		uint32_t want = slow_crc(text, n);
		size_t differ = hash_crc32c(0, copy, n) != want;

		for (size_t at = 0; at <= n; at++)
			differ += hash_crc32c(hash_crc32c(0, text, at), text + at, n - at) != want;
		check(!differ, "crc32c of %d bytes: %d differ", (int)n, (int)differ);
		free(copy);
	}
}

static void
test_sip(void)
{
	/* 0, 1, 2 ... n - 1 under the key 0, 1 ... 15, for n from 0: row 15 is the paper's example */
	static const uint64_t want[64] = {
		0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
		0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
		0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
		0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
		0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
		0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8,
		0xb8ad50c6f649af94, 0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad,
		0xde4daaaca71dc9a5, 0xa6a2506687956571, 0xad87a3535c49ef28, 0x32d892fad841c342,
		0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238, 0x15e034d40fa197ae,
		0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
		0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95,
		0xf935451de4f21df2, 0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb,
		0xe612a3cb9ecba951, 0xc766e62cfcadaf96, 0xee64435a9752fe72, 0xa192d576b245165a,
		0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea, 0x245731c13ca42499,
		0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
		0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572,
	};
	unsigned char key[16], text[300];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (unsigned char)i;
	memcpy(key, text, sizeof key);
	for (size_t n = 0; n < LEN(want); n++) {
		unsigned char *copy = xmemdup(text, n);

		check(hash_sip(key, copy, n) == want[n], "siphash of %d bytes", (int)n);
		free(copy);
	}
	check(hash_sip(key, text, sizeof text) == 0x4b0b710db6117839, "siphash of 300 bytes");
}

static void
test_base64(void)
{
	static const struct {
		const char *plain, *coded;
	} row[] = {
		{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
		{"\xfb\xff\xbf", "+/+/"}, {"me:s\xc3\xa9same", "bWU6c8Opc2FtZQ=="},
	};
	static const char *const bad[] = {
		"Z", "A", "AAAAA", "Zm9vY", "=", "==", "===", "====", "Zg=", "Zg===", "Zm8==", "Zm9v=", "Zm9v====", "Zg==Zg==",
		"Z=g=", "=Zg=",
		"Zm9v\n", " Zg==",
		"Zm 9v", "Zh==", "Zh", "Zm9=", "Zm9", "Zg-_", "Z===", "Zm9vYmFy!",
	};
	struct buf b = {0}, back = {0};
	unsigned char all[256];

	for (size_t i = 0; i < LEN(row); i++) {
		struct str bare = str_of(row[i].coded);

		buf_clear(&b);
		hash_base64(&b, row[i].plain, strlen(row[i].plain));
		check(str_is((struct str){b.p, b.len}, row[i].coded), "base64 of row %d: %s", (int)i, b.p);
		while (bare.n && bare.p[bare.n - 1] == '=')
			bare.n--;
		buf_clear(&b);
		check(!hash_unbase64(&b, str_of(row[i].coded)) && str_is((struct str){b.p, b.len}, row[i].plain),
		    "unbase64 of %s", row[i].coded);
		buf_clear(&b);
		check(!hash_unbase64(&b, bare) && str_is((struct str){b.p, b.len}, row[i].plain), "unbase64 of %s, bare",
		    row[i].coded);
	}
	buf_clear(&b);
	buf_adds(&b, "kept");
	for (size_t i = 0; i < LEN(bad); i++) {
		check(hash_unbase64(&b, str_of(bad[i])) < 0, "unbase64 takes %s", bad[i]);
		check(b.len == 4 && !strcmp(b.p, "kept"), "unbase64 of %s leaves %s", bad[i], b.p);
	}
	for (int c = 0; c < 256; c++) {
		char four[4] = {'Z', (char)c, '9', 'v'};
		bool ok = c && strchr(digits, c);

		b.len = 4;
		check(hash_unbase64(&b, (struct str){four, 4}) == (ok ? 0 : -1), "unbase64 of byte %d", c);
		all[c] = (unsigned char)(c * 167);
	}
	for (size_t n = 0; n <= sizeof all; n++) {
		buf_clear(&b);
		buf_clear(&back);
		hash_base64(&b, all, n);
		check(b.len == (n + 2) / 3 * 4 && !hash_unbase64(&back, (struct str){b.p, b.len}) && back.len == n
		    && (!n || !memcmp(back.p, all, n)), "base64 of %d bytes and back", (int)n);
	}
	buf_free(&b);
	buf_free(&back);
}

static void
test_keyuuid(void)
{
	static const struct {
		struct str text;
		const char *id;
	} row[] = {
		{{"", 0}, "011f4225-2396-8c87-85b6-5c3f1df3f822"},
		{{"nightly/1", 9}, "8e3cc0f8-c10e-825c-b269-e7e71c093ffb"},
		{{"\xc3\xa4", 2}, "28bb917b-3af0-8cde-83ee-e35282af9715"},
	};
	char id[37];

	for (size_t i = 0; i < LEN(row); i++) {
		hash_keyuuid("11111111-2222-4333-8444-555555555555", row[i].text, id);
		check(!strcmp(id, row[i].id), "keyuuid, row %d: %s", (int)i, id);
	}
}

int
main(void)
{
	test_sha256();
	test_hmac();
	test_pbkdf2();
	test_equal();
	test_crc32c();
	test_sip();
	test_base64();
	test_keyuuid();
	return test_done("hash");
}
