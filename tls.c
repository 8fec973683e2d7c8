/* SPDX-License-Identifier: MIT */
/*
 * TLS 1.2 over a connected descriptor, by BearSSL, where it was built in (-DLABTASKER_TLS).  Elliptic curves agree on the keys,
 * and ChaCha20-Poly1305 or AES-GCM protect the records: what every server of the last ten years speaks, and nothing weaker.
 *
 * Who a server is.  A chain of certificates must lead to an issuer that is trusted (--cacert, SSL_CERT_FILE, SSL_CERT_DIR, the
 * system's bundle), hold now, and name the host of the URL in subjectAltName: as a DNS name, or an address as an iPAddress.
 * BearSSL knows no addresses and takes common names, which issuers need not have looked at; so that is done here.  A pin is
 * instead of all that: the SHA-256 of the certificate's public key (what curl and HPKP pin; it outlives a renewal with the same
 * key) or of the whole certificate (what `openssl x509 -fingerprint` shows).  With a cacert that was named and a pin both must
 * hold.  Nothing falls back to less.
 *
 * Records are read from the descriptor one by one and no byte more, so that poll tells the truth about what is still to come.
 */
#include "labtasker.h"

#ifdef LABTASKER_TLS

#include <arpa/inet.h>
#include <bearssl.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	RECORD = 16384,              /* what a record can carry */
	SERVER_OUT = 4096 + 85,      /* a server has many connections: shorter records, less memory for each */
	SESSIONS = 64 << 10,         /* bytes of sessions that a server remembers; each takes some 100 */
	CHAIN = 10,                  /* certificates that a server shows */
	PINS = 8,
	ANCHORS = 16,                /* issuers of the same names that are tried */
	SHOWN_MAX = 128 << 10,       /* bytes of all certificates that a server shows */
	FILE_MAX = 4 << 20,          /* the longest file of certificates */
	RSA_MIN = 2048,              /* bits of the shortest RSA key that is believed */
	YEAR_0 = 719528              /* days from there to 1970 */
};

/* Most wanted first: where no AES is in the processor, ChaCha20 is three times as fast. */
static const uint16_t suites[] = {
	BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
};

static const struct {
	int id;
	const br_hash_class *hash;
} hashes[] = {
	{br_sha224_ID, &br_sha224_vtable}, {br_sha256_ID, &br_sha256_vtable}, {br_sha384_ID, &br_sha384_vtable},
	{br_sha512_ID, &br_sha512_vtable},
};

/* The certificates that a server shows, kept until all are there. */
struct verifier {
	const br_x509_class *vtable;
	struct tls_trust *trust;
	struct buf shown;
	size_t end[CHAIN];           /* of each, in shown */
	int certs;
	br_x509_minimal_context chain;
	br_x509_decoder_context key; /* of a certificate that only a pin holds */
};

struct tls {
	union {
		br_ssl_engine_context eng;
		br_ssl_client_context client;
		br_ssl_server_context server;
	} u;
	struct verifier *x509;           /* of a client's connection: */
	struct tls_trust *trust;
	struct tls_identity *identity;   /* of a server's */
	bool begun;                  /* something came */
	bool plain;                  /* and it was no TLS */
	bool up, shut;
	size_t owed;                 /* bytes that are in a record which is not wholly written; only a write may go on with it */
	unsigned char in[BR_SSL_BUFSIZE_INPUT];
	unsigned char out[];
};

static void
append(void *b, const void *p, size_t n)
{
	buf_add(b, p, n);
}

/* ---- certificates, as far as BearSSL does not tell ---- */

enum { DER_INTEGER = 2, DER_OCTETS = 4, DER_OID = 6, DER_UTC = 0x17, DER_TIME = 0x18, DER_SEQUENCE = 0x30, DER_VERSION = 0xa0,
	DER_EXTENSIONS = 0xa3, NAME_DNS = 0x82, NAME_IP = 0x87 };

/* The element that d begins with: its tag, or -1 where there is none; what is in it; d moves behind it. */
static int
der_next(struct str *d, struct str *in)
{
	const unsigned char *p = (const unsigned char *)d->p;
	size_t head = 2, n;

	if (d->n < 2 || (p[0] & 0x1f) == 0x1f)
		return -1;
	n = p[1];
	if (n & 0x80) {
		head += n & 0x7f;
		if (head < 3 || head > 5 || d->n < head)
			return -1;
		n = 0;
		for (size_t i = 2; i < head; i++)
			n = n << 8 | p[i];
	}
	if (n > d->n - head)
		return -1;
	*in = (struct str){d->p + head, n};
	d->p += head + n;
	d->n -= head + n;
	return p[0];
}

/* A time as seconds of UTC; -1 when it is none. */
static int64_t
der_time(int tag, struct str s)
{
	int part[6], month;
	size_t n = tag == DER_UTC ? 2 : 4;

	if ((tag != DER_UTC && tag != DER_TIME) || s.n != n + 11 || s.p[s.n - 1] != 'Z')
		return -1;
	for (int i = 0; i < 6; i++) {
		part[i] = 0;
		for (size_t k = 0; k < (i ? 2 : n); k++, s.p++) {
			if (*s.p < '0' || *s.p > '9')
				return -1;
			part[i] = part[i] * 10 + *s.p - '0';
		}
	}
	if (n == 2)
		part[0] += part[0] < 50 ? 2000 : 1900;
	month = part[1] < 1 || part[1] > 12 ? 1 : part[1];
	return ((date_days(part[0], month, part[2]) * 24 + part[3]) * 60 + part[4]) * 60 + part[5];
}

struct cert {
	struct str issuer, subject;
	struct str key;              /* SubjectPublicKeyInfo, whole */
	struct str names;            /* what subjectAltName holds */
	int64_t from, until;         /* seconds */
};

static void
read_extensions(struct cert *c, struct str list)
{
	static const char alt_name[] = {0x55, 0x1d, 0x11};
	struct str ext, oid, value;

	if (der_next(&list, &ext) != DER_SEQUENCE)
		return;
	list = ext;
	while (der_next(&list, &ext) == DER_SEQUENCE) {
		int tag = der_next(&ext, &oid);

		if (tag != DER_OID || oid.n != sizeof alt_name || memcmp(oid.p, alt_name, oid.n))
			continue;
		while ((tag = der_next(&ext, &value)) >= 0)
			if (tag == DER_OCTETS && der_next(&value, &oid) == DER_SEQUENCE)
				c->names = oid;
	}
}

static int
read_cert(struct cert *c, struct str der)
{
	struct str body, in, times;
	int tag;

	*c = (struct cert){0};
	if (der_next(&der, &body) != DER_SEQUENCE || der_next(&body, &in) != DER_SEQUENCE)
		return -1;
	body = in;
	tag = der_next(&body, &in);
	if (tag == DER_VERSION)
		tag = der_next(&body, &in);
	if (tag != DER_INTEGER || der_next(&body, &in) < 0 || der_next(&body, &c->issuer) < 0)   /* serial, algorithm, issuer */
		return -1;
	if (der_next(&body, &times) != DER_SEQUENCE || der_next(&body, &c->subject) < 0)
		return -1;
	tag = der_next(&times, &in);
	c->from = der_time(tag, in);
	tag = der_next(&times, &in);
	c->until = der_time(tag, in);
	c->key.p = body.p;
	if (der_next(&body, &in) != DER_SEQUENCE)
		return -1;
	c->key.n = (size_t)(body.p - c->key.p);
	while ((tag = der_next(&body, &in)) >= 0)
		if (tag == DER_EXTENSIONS)
			read_extensions(c, in);
	return 0;
}

/* The bytes of a host that is an address, as a certificate has them; 0: it is a name. */
static size_t
address(const char *host, unsigned char ip[16])
{
	return inet_pton(AF_INET, host, ip) == 1 ? 4 : inet_pton(AF_INET6, host, ip) == 1 ? 16 : 0;
}

static bool
names_address(const struct cert *c, const unsigned char *ip, size_t n)
{
	struct str list = c->names, name;
	int tag;

	while ((tag = der_next(&list, &name)) >= 0)
		if (tag == NAME_IP && name.n == n && !memcmp(name.p, ip, n))
			return true;
	return false;
}

/* *.DOMAIN is any one label before it (RFC 6125, 6.4.3). */
static bool
names_host(const struct cert *c, const char *host)
{
	const char *dot = strchr(host, '.');
	struct str list = c->names, name;
	int tag;

	while ((tag = der_next(&list, &name)) >= 0)
		if (tag == NAME_DNS && (str_caseis(name, host) ||
		    (dot && dot > host && name.n > 2 && *name.p == '*' && str_caseis((struct str){name.p + 1, name.n - 1}, dot))))
			return true;
	return false;
}

/* Whom a certificate names, for people, in some 100 bytes; nothing where it names no host. */
static void
put_names(struct buf *b, const struct cert *c)
{
	struct str list = c->names, name;
	size_t from = b->len;
	int tag;

	while ((tag = der_next(&list, &name)) >= 0 && b->len - from < 70) {
		char text[INET6_ADDRSTRLEN];

		if (tag == NAME_DNS)
			buf_printf(b, "%s%.*s", b->len > from ? ", " : "", (int)(name.n < 60 ? name.n : 60), name.p);
		else if (tag == NAME_IP && (name.n == 4 || name.n == 16) &&
		    inet_ntop(name.n == 4 ? AF_INET : AF_INET6, name.p, text, sizeof text))
			buf_printf(b, "%s%s", b->len > from ? ", " : "", text);
	}
	if (tag >= 0)
		buf_adds(b, " ...");
}

/* ---- files ---- */

typedef int got_object(void *arg, struct str name, struct str der, struct err *e);

static bool
begins(struct str s, const char *with)
{
	return s.n >= strlen(with) && !memcmp(s.p, with, strlen(with));
}

/* What stands between the lines -----BEGIN NAME----- and -----END NAME-----, without white space, is base64.  (BearSSL's own
 * decoder takes a tenth of a second for a system's bundle.) */
static int
object(const char *path, struct str name, struct str body, got_object *got, void *arg, struct err *e)
{
	struct buf plain = {0}, der = {0};
	int rc = 0;

	buf_reserve(&plain, body.n + 1);   /* so that no copy of a key is left behind */
	buf_reserve(&der, body.n + 1);
	for (size_t i = 0; i < body.n; i++)
		if (!strchr(" \t\r\n", body.p[i]))
			buf_addc(&plain, body.p[i]);
	if (hash_unbase64(&der, (struct str){plain.p, plain.len}) < 0)
		rc = err_set(e, 1, "%s: %.*s: %s", path, (int)(name.n < 40 ? name.n : 40), name.p, strstr(plain.p, ",ENCRYPTED") ?
		    "it is encrypted: openssl pkey -in FILE -out NEW decrypts it" : "what stands there is no base64");
	else
		rc = got(arg, name, (struct str){der.p, der.len}, e);
	buf_wipe(&plain);
	buf_wipe(&der);
	return rc;
}

/* Calls got for each object of a PEM text until it is not 0; the first such result.  -1 with err also where the text is broken. */
static int
each_object(const char *path, const struct buf *text, got_object *got, void *arg, struct err *e)
{
	static const char begin[] = "-----BEGIN ", end[] = "-----END ";
	struct str rest = {text->p, text->len}, name = {0};
	const char *from = NULL;
	int rc = 0;

	while (rest.n && !rc) {
		const char *nl = memchr(rest.p, '\n', rest.n);
		struct str line = {rest.p, nl ? (size_t)(nl - rest.p) + 1 : rest.n};

		rest = (struct str){line.p + line.n, rest.n - line.n};
		if (begins(line, begin)) {
			name = (struct str){line.p + sizeof begin - 1, line.n - sizeof begin + 1};
			while (name.n && strchr("- \t\r\n", name.p[name.n - 1]))
				name.n--;
			from = rest.p;
		} else if (from && begins(line, end)) {
			rc = object(path, name, (struct str){from, (size_t)(line.p - from)}, got, arg, e);
			from = NULL;
		}
	}
	return rc;
}

static bool
is_certificate(struct str name)
{
	return str_is(name, "CERTIFICATE") || str_is(name, "X509 CERTIFICATE");
}

/* ---- whom a client trusts ---- */

struct tls_trust {
	char host[256];
	unsigned char ip[16];        /* of a host that is an address */
	size_t ip_len;               /* 0: it is a name */
	bool chain;                  /* a chain to a trusted issuer is asked for */
	char *cacert;                /* NULL: the usual ones */
	unsigned char pin[PINS][32];
	int pins;
	br_ssl_session_parameters session;
	struct err why;              /* of the last verification that failed */
};

/* Files of issuers are read when a chain is there, for the few that it names: to decode a whole bundle takes longer than a
 * handshake. */
struct store {
	const struct cert *wanted;   /* by one of these; or one of these */
	int nwanted;
	size_t seen;                 /* certificates, wanted or not */
	br_x509_trust_anchor anchor[ANCHORS];
	size_t anchors;
};

static bool
is_wanted(const struct store *s, struct str subject)
{
	for (int i = 0; i < s->nwanted; i++)
		if (str_eq(subject, s->wanted[i].issuer) || str_eq(subject, s->wanted[i].subject))
			return true;
	return false;
}

static int
add_anchor(void *arg, struct str name, struct str der, struct err *e)
{
	struct store *s = arg;
	struct buf dn = {0};
	br_x509_decoder_context dc;
	const br_x509_pkey *key;
	br_x509_trust_anchor *to = &s->anchor[s->anchors];
	struct cert c;

	(void)e;
	if (!is_certificate(name) || read_cert(&c, der) < 0)
		return 0;
	s->seen++;
	if (s->anchors == ANCHORS || !is_wanted(s, c.subject))
		return 0;
	br_x509_decoder_init(&dc, append, &dn);
	br_x509_decoder_push(&dc, der.p, der.n);
	key = br_x509_decoder_get_pkey(&dc);
	if (key && dn.p) {
		*to = (br_x509_trust_anchor){.flags = br_x509_decoder_isCA(&dc) ? BR_X509_TA_CA : 0, .pkey = *key};
		to->dn.data = xmemdup(dn.p, dn.len);
		to->dn.len = dn.len;
		if (key->key_type == BR_KEYTYPE_RSA) {
			to->pkey.key.rsa.n = xmemdup(key->key.rsa.n, key->key.rsa.nlen);
			to->pkey.key.rsa.e = xmemdup(key->key.rsa.e, key->key.rsa.elen);
		} else {
			to->pkey.key.ec.q = xmemdup(key->key.ec.q, key->key.ec.qlen);
		}
		s->anchors++;
	}
	buf_free(&dn);
	return 0;
}

static void
store_free(struct store *s)
{
	for (size_t i = 0; i < s->anchors; i++) {
		br_x509_trust_anchor *a = &s->anchor[i];

		free(a->dn.data);
		if (a->pkey.key_type == BR_KEYTYPE_RSA) {
			free(a->pkey.key.rsa.n);
			free(a->pkey.key.rsa.e);
		} else {
			free(a->pkey.key.ec.q);
		}
	}
}

static int
add_file(struct store *s, const char *path, struct err *e)
{
	struct buf text = {0};
	int rc = sys_slurp(path, FILE_MAX, &text, e);

	if (!rc)
		rc = each_object(path, &text, add_anchor, s, e);
	buf_free(&text);
	return rc;
}

/* The files of a directory; those that are no certificates do not matter. */
static void
add_dir(struct store *s, const char *dir)
{
	DIR *d = opendir(dir);

	for (const struct dirent *i; d && (i = readdir(d));) {
		char *path = xprintf("%s/%s", dir, i->d_name);
		struct stat st;

		if (!stat(path, &st) && S_ISREG(st.st_mode))
			add_file(s, path, NULL);
		free(path);
	}
	if (d)
		closedir(d);
}

static bool
is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static int
add_named(struct store *s, const char *path, struct err *e)
{
	if (is_dir(path))
		add_dir(s, path);
	else if (add_file(s, path, e) < 0)
		return -1;
	return s->seen ? 0 : err_set(e, 1, "%s: there is no certificate in it: PEM is wanted (-----BEGIN CERTIFICATE-----)", path);
}

/* What the environment names, as OpenSSL takes it. */
static int
add_env(struct store *s, const char *file, const char *dirs, struct err *e)
{
	struct err why = {0};

	if (file && *file && add_file(s, file, &why) < 0)
		return err_set(e, 1, "SSL_CERT_FILE: %s: unset it, or use --cacert FILE", why.msg);
	while (dirs && *dirs) {
		size_t n = strcspn(dirs, ":");
		char *dir = xmemdup(dirs, n);

		add_dir(s, dir);
		free(dir);
		dirs += n + (dirs[n] == ':');
	}
	return s->seen ? 0 : err_set(e, 1, "there is no certificate in what SSL_CERT_FILE and SSL_CERT_DIR name: unset them, or use "
	    "--cacert FILE");
}

static int
add_usual(struct store *s, struct err *e)
{
	static const char *const usual[] = {
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
		"/usr/local/share/certs/ca-root-nss.crt", "/etc/certs/ca-certificates.crt",
		"/etc/openssl/certs/ca-certificates.crt", "/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/openssl/certs",
	};
	const char *file = getenv("SSL_CERT_FILE"), *dirs = getenv("SSL_CERT_DIR");

	if ((file && *file) || (dirs && *dirs))
		return add_env(s, file, dirs, e);
	for (size_t i = 0; i < LEN(usual) && !s->seen; i++)
		add_named(s, usual[i], NULL);
	return s->seen ? 0 : err_set(e, 1, "this machine has no list of trusted issuers where such lists are: name a file of "
	    "certificates with --cacert FILE or SSL_CERT_FILE, or the server's own with --pin");
}

/* 64 digits, with colons between or without. */
static int
read_hex(struct str s, unsigned char out[32])
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		int v = hex_digit(s.p[i]);

		if (s.p[i] == ':')
			continue;
		if (v < 0 || n == 64)
			return -1;
		out[n / 2] = (unsigned char)(n % 2 ? out[n / 2] | v : v << 4);
		n++;
	}
	return n == 64 ? 0 : -1;
}

/* sha256:DIGEST, or sha256//DIGEST as curl writes it. */
static int
read_pin(struct str s, unsigned char out[32])
{
	struct buf raw = {0};
	size_t head = s.n > 8 && str_caseis((struct str){s.p, 7}, "sha256:") ? 7 : 8;
	int rc = 0;

	if (s.n <= 8 || (head == 8 && !str_caseis((struct str){s.p, 8}, "sha256//")))
		return -1;
	s.p += head;
	s.n -= head;
	if (!read_hex(s, out))
		return 0;
	rc = hash_unbase64(&raw, s) < 0 || raw.len != 32 ? -1 : 0;
	if (!rc)
		memcpy(out, raw.p, 32);
	buf_free(&raw);
	return rc;
}

static int
read_pins(struct tls_trust *t, const char *text, struct err *e)
{
	for (const char *p = text; *(p += strspn(p, ",; "));) {
		size_t n = strcspn(p, ",; ");

		if (t->pins == PINS || read_pin((struct str){p, n}, t->pin[t->pins]) < 0)
			return err_set(e, EXIT_USAGE, "'%.*s' is no pin: sha256: and the 64 hexadecimal digits, or the base64, of a SHA-256; "
			    "`labtasker serve` says its own", (int)(n < 90 ? n : 90), p);
		t->pins++;
		p += n;
	}
	return t->pins ? 0 : err_set(e, EXIT_USAGE, "the pin is empty: sha256:DIGEST");
}

static void
trust_free(struct tls_trust *t)
{
	if (!t)
		return;
	free(t->cacert);
	wipe(t, sizeof *t);
	free(t);
}

static struct tls_trust *
trust_new(const char *host, const char *cacert, const char *pin, struct err *e)
{
	struct tls_trust *t = xcalloc(1, sizeof *t);
	struct store look = {0};
	size_t n = strlen(host);

	n -= n > 1 && host[n - 1] == '.';   /* the root, which certificates leave out (RFC 6066, 3) */
	t->ip_len = address(host, t->ip);
	snprintf(t->host, sizeof t->host, "%.*s", (int)n, host);
	t->chain = cacert || !pin;
	t->cacert = cacert ? xstrdup(cacert) : NULL;
	if ((!pin || !read_pins(t, pin, e)) && (!cacert || !add_named(&look, cacert, e)))
		return t;
	if (e)
		e->code = EXIT_USAGE;
	trust_free(t);
	return NULL;
}

/* ---- the server's certificate is looked at ---- */

static void
digest(struct str s, unsigned char out[32])
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, s.p, s.n);
	sha256_end(&h, out);
}

static void
put_pin(struct buf *b, struct str key)
{
	unsigned char sum[32];

	digest(key, sum);
	buf_adds(b, "sha256:");
	hash_base64(b, sum, sizeof sum);
}

static bool
pinned(const struct tls_trust *t, const struct cert *c, struct str whole)
{
	unsigned char key[32], all[32];

	digest(c->key, key);
	digest(whole, all);
	for (int i = 0; i < t->pins; i++)
		if (!memcmp(t->pin[i], key, 32) || !memcmp(t->pin[i], all, 32))
			return true;
	return false;
}

static void
explain_name(struct tls_trust *t, const struct cert *c, const char *pin)
{
	struct buf names = {0};

	put_names(&names, c);
	if (names.len)
		err_set(&t->why, 1, "its certificate is for %s: use that name in the URL, or let the certificate have this one too "
		    "(subjectAltName), or --pin %s", names.p, pin);
	else
		err_set(&t->why, 1, "its certificate names no host: let it have the one of the URL (subjectAltName), or --pin %s", pin);
	buf_free(&names);
}

static void
explain_time(struct tls_trust *t, const struct cert *c)
{
	int64_t now = sys_wall();
	bool early = c->from * SECOND > now, late = c->until * SECOND < now;
	char when[32], clock[32];

	date_iso(clock, now);
	clock[19] = 0;   /* behind the seconds */
	date_iso(when, (early ? c->from : c->until) * SECOND);
	when[10] = 0;    /* behind the date */
	if (early || late)
		err_set(&t->why, 1, "its certificate %s %s: %s (the clock here says %s)", early ? "holds only from" : "expired on", when,
		    early ? "look at the clocks" : "it must be renewed there", clock);
	else
		err_set(&t->why, 1, "a certificate between it and its issuer does not hold now: it must be renewed there (the clock "
		    "here says %s)", clock);
}

static const char untrusted[] = "its certificate is from nobody who is trusted here: name its issuer with --cacert FILE, or, if "
    "`labtasker serve` said the same there,";

/* What else may be wrong with a chain, and what to do: that, or where pin says so to believe the key itself. */
static const struct {
	unsigned code;
	bool pin;
	const char *what;
} faults[] = {
	{BR_ERR_X509_NOT_TRUSTED, true, untrusted}, {BR_ERR_X509_BAD_SIGNATURE, true, untrusted}, {BR_ERR_X509_NOT_CA, true, untrusted},
	{BR_ERR_X509_DN_MISMATCH, true, "its certificates come in another order than its own, who issued that, who issued that one: "
	    "order them there, or"},
	{BR_ERR_X509_UNSUPPORTED, true, "a certificate is signed otherwise than by RSA (PKCS #1) or ECDSA with SHA-2: another must be "
	    "made there, or"},
	{BR_ERR_X509_LIMIT_EXCEEDED, false, "an RSA key is longer than 4096 bits: a shorter one must be made there"},
};

/* One line on why the chain will not do, and what to do. */
static void
explain(struct tls_trust *t, const struct cert *c, unsigned code)
{
	struct buf pin = {0};

	put_pin(&pin, c->key);
	if (code == BR_ERR_X509_BAD_SERVER_NAME)
		explain_name(t, c, pin.p);
	else if (code == BR_ERR_X509_EXPIRED)
		explain_time(t, c);
	else if (code == BR_ERR_X509_WEAK_PUBLIC_KEY)
		err_set(&t->why, 1, "an RSA key is shorter than %d bits: a longer one must be made there, or --pin %s", RSA_MIN, pin.p);
	for (size_t i = 0; i < LEN(faults); i++)
		if (faults[i].code == code)
			err_set(&t->why, 1, "%s%s%s", faults[i].what, faults[i].pin ? " --pin " : "", faults[i].pin ? pin.p : "");
	if (!t->why.code)
		err_set(&t->why, 1, "its certificate cannot be verified (BearSSL's error %u): another must be made there, or --pin %s",
		    code, pin.p);
	buf_free(&pin);
}

static struct str
shown(const struct verifier *v, int i)
{
	size_t from = i ? v->end[i - 1] : 0;

	return (struct str){v->shown.p + from, v->end[i] - from};
}

/* The chain, by BearSSL, to the issuers among the trusted whom it names. */
static unsigned
judge_chain(struct verifier *v, const struct cert *cert)
{
	struct store s = {.wanted = cert, .nwanted = v->certs};
	struct tls_trust *t = v->trust;
	const br_x509_class **ctx = &v->chain.vtable;
	int64_t now = sys_wall() / SECOND;
	unsigned code;

	if ((t->cacert ? add_named(&s, t->cacert, &t->why) : add_usual(&s, &t->why)) < 0) {
		store_free(&s);
		return BR_ERR_X509_NOT_TRUSTED;
	}
	br_x509_minimal_init(&v->chain, &br_sha256_vtable, s.anchor, s.anchors);
	br_x509_minimal_set_rsa(&v->chain, br_rsa_pkcs1_vrfy_get_default());
	br_x509_minimal_set_ecdsa(&v->chain, br_ec_get_default(), br_ecdsa_vrfy_asn1_get_default());
	for (size_t i = 0; i < LEN(hashes); i++)
		br_x509_minimal_set_hash(&v->chain, hashes[i].id, hashes[i].hash);
	br_x509_minimal_set_minrsa(&v->chain, RSA_MIN / 8);
	br_x509_minimal_set_time(&v->chain, (uint32_t)(now / 86400 + YEAR_0), (uint32_t)(now % 86400));
	(*ctx)->start_chain(ctx, NULL);
	for (int i = 0; i < v->certs; i++) {
		struct str der = shown(v, i);

		(*ctx)->start_cert(ctx, (uint32_t)der.n);
		(*ctx)->append(ctx, (const unsigned char *)der.p, der.n);
		(*ctx)->end_cert(ctx);
	}
	code = (*ctx)->end_chain(ctx);
	store_free(&s);
	if (!code && !(t->ip_len ? names_address(cert, t->ip, t->ip_len) : names_host(cert, t->host)))
		code = BR_ERR_X509_BAD_SERVER_NAME;
	if (code)
		explain(t, cert, code);
	return code;
}

static unsigned
judge_pin(struct verifier *v, const struct cert *c)
{
	struct tls_trust *t = v->trust;
	struct str whole = shown(v, 0);
	struct buf pin = {0};

	br_x509_decoder_init(&v->key, NULL, NULL);
	br_x509_decoder_push(&v->key, whole.p, whole.n);
	if (!br_x509_decoder_get_pkey(&v->key)) {
		err_set(&t->why, 1, "its certificate has a key of another kind than RSA of at most 4096 bits or P-256, P-384, P-521");
		return BR_ERR_X509_UNSUPPORTED;
	}
	if (pinned(t, c, whole))
		return 0;
	put_pin(&pin, c->key);
	err_set(&t->why, 1, "its key is not the pinned one: another server answers there, or it has a new key: compare %s with what "
	    "`labtasker serve` says there", pin.p);
	buf_free(&pin);
	return BR_ERR_X509_NOT_TRUSTED;
}

static unsigned
end_chain(const br_x509_class **ctx)
{
	struct verifier *v = (void *)ctx;
	struct tls_trust *t = v->trust;
	struct cert cert[CHAIN];
	bool whole = v->certs > 0 && v->certs <= CHAIN && v->shown.len < SHOWN_MAX;
	unsigned code = 0;

	t->why = (struct err){0};
	for (int i = 0; i < v->certs && whole; i++)
		whole = !read_cert(&cert[i], shown(v, i));
	if (!whole) {
		err_set(&t->why, 1, "its certificates cannot be read: others must be made there");
		return BR_ERR_X509_INVALID_VALUE;
	}
	if (t->chain)
		code = judge_chain(v, cert);
	return !code && t->pins ? judge_pin(v, cert) : code;
}

static void
start_chain(const br_x509_class **ctx, const char *name)
{
	struct verifier *v = (void *)ctx;

	(void)name;
	buf_clear(&v->shown);
	v->certs = 0;
}

static void
start_cert(const br_x509_class **ctx, uint32_t length)
{
	(void)ctx;
	(void)length;
}

static void
some_cert(const br_x509_class **ctx, const unsigned char *p, size_t n)
{
	struct verifier *v = (void *)ctx;

	if (v->shown.len < SHOWN_MAX)
		buf_add(&v->shown, p, n);
}

static void
end_cert(const br_x509_class **ctx)
{
	struct verifier *v = (void *)ctx;

	if (v->certs < CHAIN)
		v->end[v->certs] = v->shown.len;
	v->certs++;
}

static const br_x509_pkey *
get_key(const br_x509_class *const *ctx, unsigned *usages)
{
	struct verifier *v = (void *)ctx;

	if (v->trust->chain)
		return v->chain.vtable->get_pkey(&v->chain.vtable, usages);
	if (usages)
		*usages = BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN;
	return br_x509_decoder_get_pkey(&v->key);
}

static const br_x509_class verifier_class = {
	sizeof(struct verifier), start_chain, start_cert, some_cert, end_cert, end_chain, get_key
};

/* ---- what a server shows ---- */

struct tls_identity {
	int refs;
	br_x509_certificate chain[CHAIN];
	size_t certs;
	br_skey_decoder_context key;
	/* BearSSL 0.6 writes by so much past what it has there. */
	unsigned char beyond[3 * (BR_X509_BUFSIZE_KEY - BR_X509_BUFSIZE_SIG)];
	const char *key_path;
	bool has_key;
	int issuer;                  /* the kind of key that signed the first certificate */
	char pin[64];
	br_ssl_session_cache_lru cache;
	unsigned char sessions[SESSIONS];
};

static int
take_cert(void *arg, struct str name, struct str der, struct err *e)
{
	struct tls_identity *i = arg;

	if (!is_certificate(name))
		return 0;
	if (i->certs == CHAIN)
		return err_set(e, 1, "more than %d certificates: its own and those of its issuers are wanted, in that order", CHAIN);
	i->chain[i->certs].data = xmemdup(der.p, der.n);
	i->chain[i->certs++].data_len = der.n;
	return 0;
}

static int
take_key(void *arg, struct str name, struct str der, struct err *e)
{
	struct tls_identity *i = arg;

	if (i->has_key || name.n < 11 || memcmp(name.p + name.n - 11, "PRIVATE KEY", 11))
		return 0;
	br_skey_decoder_init(&i->key);
	br_skey_decoder_push(&i->key, der.p, der.n);
	if (br_skey_decoder_last_error(&i->key))
		return err_set(e, 1, "%s: its key cannot be used: it must be RSA of at most 4096 bits or P-256, P-384, P-521, and not "
		    "encrypted (openssl pkey -in FILE -out NEW decrypts one)", i->key_path);
	i->has_key = true;
	return 0;
}

/* A file that can be read while the server serves: a pipe would hold it until somebody writes. */
static int
slurp_file(const char *path, struct buf *b, struct err *e)
{
	struct stat st;

	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return err_set(e, 1, "%s: not a file", path);
	return sys_slurp(path, FILE_MAX, b, e);
}

static int
read_identity(struct tls_identity *i, const char *cert, const char *key, struct err *e)
{
	struct err why = {0};
	struct buf text = {0};
	struct stat st;
	int rc = slurp_file(cert, &text, e);

	if (!rc && each_object(cert, &text, take_cert, i, &why) < 0)
		rc = err_set(e, 1, "%s: %s", cert, why.msg);
	if (!rc && !i->certs)
		rc = err_set(e, 1, "%s: there is no certificate in it: PEM is wanted (-----BEGIN CERTIFICATE-----)", cert);
	buf_wipe(&text);
	i->key_path = key;
	if (!rc && !stat(key, &st) && st.st_size < FILE_MAX)
		buf_reserve(&text, (size_t)st.st_size + (16 << 10));   /* so that no copy is left behind */
	rc = rc || slurp_file(key, &text, e) || each_object(key, &text, take_key, i, e) ? -1 : 0;
	if (!rc && !i->has_key)
		rc = err_set(e, 1, "%s: there is no private key in it: PEM is wanted (-----BEGIN PRIVATE KEY-----)", key);
	if (!rc && st.st_mode & 0004)
		warn("%s: everybody on this machine can read this key: chmod 600 %s", key, key);
	buf_wipe(&text);
	return rc;
}

/* Whether the private key is that of the certificate's public one: an RSA key's signature tells (BearSSL reckons no modulus of 4096
 * bits). */
static bool
fits(const struct tls_identity *i, const br_x509_pkey *pub)
{
	static const unsigned char sum[32] = {'f', 'i', 't', 's'};
	unsigned char own[BR_EC_KBUF_PUB_MAX_SIZE], sig[BR_X509_BUFSIZE_SIG], got[32];
	const br_rsa_private_key *rsa = br_skey_decoder_get_rsa(&i->key);
	const br_ec_private_key *ec = br_skey_decoder_get_ec(&i->key);
	br_ec_public_key q;
	size_t n;

	if (rsa && pub->key_type == BR_KEYTYPE_RSA) {
		n = (rsa->n_bitlen + 7) / 8;
		return n <= sizeof sig && br_rsa_pkcs1_sign_get_default()(BR_HASH_OID_SHA256, sum, sizeof sum, rsa, sig) &&
		    br_rsa_pkcs1_vrfy_get_default()(sig, n, BR_HASH_OID_SHA256, sizeof sum, &pub->key.rsa, got) &&
		    !memcmp(got, sum, sizeof sum);
	}
	if (!ec || pub->key_type != BR_KEYTYPE_EC || ec->curve != pub->key.ec.curve)
		return false;
	n = br_ec_compute_pub(br_ec_get_default(), &q, own, ec);
	return n && q.qlen == pub->key.ec.qlen && !memcmp(q.q, pub->key.ec.q, q.qlen);
}

/* What clients will refuse is not refused here, for those with a pin look at none of it. */
static void
warn_of(const struct tls_identity *i, const char *path, const struct cert *own, const br_x509_pkey *pub)
{
	static const char refused[] = "clients will refuse it, but for those with a --pin";
	struct cert c = *own, next;

	if (own->until * SECOND < sys_wall())
		warn("%s: its certificate has expired: %s", path, refused);
	if (pub->key_type == BR_KEYTYPE_RSA && pub->key.rsa.nlen < RSA_MIN / 8)
		warn("%s: its key is shorter than %d bits: %s", path, RSA_MIN, refused);
	for (size_t k = 1; k < i->certs; k++, c = next)
		if (read_cert(&next, (struct str){(const char *)i->chain[k].data, i->chain[k].data_len}) < 0 ||
		    !str_eq(c.issuer, next.subject)) {
			warn("%s: after its own certificate comes not who issued it, and so on: clients may refuse it", path);
			return;
		}
}

static int
check_identity(struct tls_identity *i, const char *cert, const char *key, struct err *e)
{
	struct str whole = {(const char *)i->chain[0].data, i->chain[0].data_len};
	br_x509_decoder_context dc;
	const br_x509_pkey *pub;
	struct buf pin = {0};
	struct cert c;

	br_x509_decoder_init(&dc, NULL, NULL);
	br_x509_decoder_push(&dc, whole.p, whole.n);
	pub = br_x509_decoder_get_pkey(&dc);
	if (!pub || read_cert(&c, whole) < 0)
		return err_set(e, 1, "%s: its first certificate cannot be used: its key must be RSA of at most 4096 bits or P-256, P-384, "
		    "P-521", cert);
	if (!fits(i, pub))
		return err_set(e, 1, "%s: this key is not that of the first certificate of %s", key, cert);
	warn_of(i, cert, &c, pub);
	i->issuer = br_x509_decoder_get_signer_key_type(&dc);
	put_pin(&pin, c.key);
	snprintf(i->pin, sizeof i->pin, "%s", pin.p);
	buf_free(&pin);
	return 0;
}

static void
identity_drop(struct tls_identity *i)
{
	if (!i || --i->refs)
		return;
	for (size_t k = 0; k < i->certs; k++)
		free(i->chain[k].data);
	wipe(i, sizeof *i);
	free(i);
}

static struct tls_identity *
identity_new(const char *cert, const char *key, struct err *e)
{
	struct tls_identity *i = xcalloc(1, sizeof *i);

	i->refs = 1;
	br_ssl_session_cache_lru_init(&i->cache, i->sessions, sizeof i->sessions);
	if (!read_identity(i, cert, key, e) && !check_identity(i, cert, key, e))
		return i;
	identity_drop(i);
	return NULL;
}

static const char *
identity_pin(const struct tls_identity *i)
{
	return i->pin;
}

/* ---- a connection ---- */

/* What both sides speak. */
static void
set_up(br_ssl_engine_context *eng)
{
	br_ssl_engine_set_versions(eng, BR_TLS12, BR_TLS12);
	br_ssl_engine_add_flags(eng, BR_OPT_NO_RENEGOTIATION);
	for (size_t i = 0; i < LEN(hashes); i++)
		br_ssl_engine_set_hash(eng, hashes[i].id, hashes[i].hash);
	br_ssl_engine_set_prf_sha256(eng, &br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(eng, &br_tls12_sha384_prf);
	br_ssl_engine_set_default_chapol(eng);
	br_ssl_engine_set_default_aes_gcm(eng);
	br_ssl_engine_set_suites(eng, suites, LEN(suites));
}

static struct tls *
client(struct tls_trust *trust)
{
	struct tls *t = xcalloc(1, sizeof *t + BR_SSL_BUFSIZE_OUTPUT);

	t->trust = trust;
	trust->why = (struct err){0};
	br_ssl_client_zero(&t->u.client);
	set_up(&t->u.eng);
	br_ssl_engine_set_default_rsavrfy(&t->u.eng);
	br_ssl_engine_set_default_ecdsa(&t->u.eng);
	t->x509 = xcalloc(1, sizeof *t->x509);
	t->x509->vtable = &verifier_class;
	t->x509->trust = trust;
	br_ssl_engine_set_x509(&t->u.eng, &t->x509->vtable);
	br_ssl_engine_set_buffers_bidi(&t->u.eng, t->in, sizeof t->in, t->out, BR_SSL_BUFSIZE_OUTPUT);
	br_ssl_engine_set_session_parameters(&t->u.eng, &trust->session);
	br_ssl_client_reset(&t->u.client, trust->ip_len ? NULL : trust->host, trust->session.session_id_len > 0);
	return t;
}

static struct tls *
server(struct tls_identity *i)
{
	struct tls *t = xcalloc(1, sizeof *t + SERVER_OUT);
	br_ssl_server_context *s = &t->u.server;
	const br_rsa_private_key *rsa = br_skey_decoder_get_rsa(&i->key);

	t->identity = i;
	i->refs++;
	br_ssl_server_zero(s);
	set_up(&t->u.eng);
	br_ssl_engine_set_ec(&t->u.eng, br_ec_get_default());
	if (rsa)
		br_ssl_server_set_single_rsa(s, i->chain, i->certs, rsa, BR_KEYTYPE_SIGN, br_rsa_private_get_default(),
		    br_rsa_pkcs1_sign_get_default());
	else
		br_ssl_server_set_single_ec(s, i->chain, i->certs, br_skey_decoder_get_ec(&i->key), BR_KEYTYPE_SIGN, (unsigned)i->issuer,
		    br_ec_get_default(), br_ecdsa_sign_asn1_get_default());
	br_ssl_server_set_cache(s, &i->cache.vtable);
	br_ssl_engine_set_buffers_bidi(&t->u.eng, t->in, sizeof t->in, t->out, SERVER_OUT);
	br_ssl_server_reset(s);
	return t;
}

static void
tls_free(struct tls *t)
{
	if (!t)
		return;
	identity_drop(t->identity);
	if (t->x509)
		buf_free(&t->x509->shown);
	free(t->x509);
	wipe(t, sizeof *t);
	free(t);
}

/* Writes the records that are ready: 0 all, TLS_AGAIN, -1 with errno. */
static int
push(struct tls *t, int fd)
{
	unsigned char *p;
	size_t n;

	while ((p = br_ssl_engine_sendrec_buf(&t->u.eng, &n))) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return sys_again() ? TLS_AGAIN : -1;
		br_ssl_engine_sendrec_ack(&t->u.eng, (size_t)k);
	}
	return 0;
}

/* Reads some of the record that is due: 1, 0 end of the stream, TLS_AGAIN, -1 with errno. */
static int
pull(struct tls *t, int fd)
{
	size_t n;
	unsigned char *p = br_ssl_engine_recvrec_buf(&t->u.eng, &n);
	ssize_t k = p ? sys_read(fd, p, n) : 0;

	if (k < 0)
		return sys_again() ? TLS_AGAIN : -1;
	if (k > 0 && !t->begun) {
		t->begun = true;
		t->plain = p[0] < 20 || p[0] > 24;   /* the types of records */
	}
	if (k > 0 && !t->plain)
		br_ssl_engine_recvrec_ack(&t->u.eng, (size_t)k);
	return k > 0;
}

static const char *
alert(unsigned code)
{
	static const struct {
		unsigned code;
		const char *text;
	} known[] = {
		{40, "handshake_failure: it must take TLS 1.2 with ECDHE and AES-GCM or ChaCha20, and ask for no certificate of clients"},
		{42, "bad_certificate: it does not believe our certificate"}, {43, "unsupported_certificate"},
		{45, "certificate_expired: our certificate has expired"}, {46, "certificate_unknown: it does not believe our certificate"},
		{48, "unknown_ca: it does not know who issued our certificate"}, {49, "access_denied"},
		{70, "protocol_version: it must take TLS 1.2"}, {71, "insufficient_security"}, {80, "internal_error"},
		{112, "unrecognized_name: it does not know the name in the URL"}, {116, "certificate_required: clients need one there"},
	};

	for (size_t i = 0; i < LEN(known); i++)
		if (known[i].code == code)
			return known[i].text;
	return "";
}

/* Why the handshake failed. */
static int
failed(struct tls *t, struct err *e)
{
	int code = br_ssl_engine_last_error(&t->u.eng);
	const char *text;

	if (t->trust)
		t->trust->session.session_id_len = 0;
	if (t->trust && t->trust->why.code)
		return err_set(e, TLS_VAIN, "%s", t->trust->why.msg);
	if (code == BR_ERR_NO_RANDOM)
		return err_set(e, TLS_VAIN, "no random bytes are to be had on this system: there must be a /dev/urandom for TLS");
	if (code >= BR_ERR_RECV_FATAL_ALERT && code < BR_ERR_SEND_FATAL_ALERT) {
		code -= BR_ERR_RECV_FATAL_ALERT;
		text = alert((unsigned)code);
		return err_set(e, TLS_VAIN, "the handshake was refused over there: alert %d%s%s", code, *text ? ", " : "", text);
	}
	if (!code)
		return err_set(e, 1, "the connection was closed within the TLS handshake");
	return err_set(e, TLS_VAIN, "the TLS handshake failed (BearSSL's error %d): TLS 1.2 with ECDHE and AES-GCM or ChaCha20 is "
	    "spoken here", code);
}

static int
ready(struct tls *t, int fd, struct err *e)
{
	while (!t->up) {
		unsigned state = br_ssl_engine_current_state(&t->u.eng);
		int rc;

		if (state == BR_SSL_CLOSED)
			return failed(t, e);
		if (!(state & BR_SSL_SENDREC) && state & BR_SSL_SENDAPP)
			break;
		rc = state & BR_SSL_SENDREC ? push(t, fd) : pull(t, fd);
		if (rc == TLS_AGAIN)
			return 0;
		if (rc < 0)
			return err_set(e, 1, "within the TLS handshake: %s", strerror(errno));
		if (t->plain)
			return err_set(e, t->trust ? TLS_VAIN : TLS_PLAIN, t->trust ?
			    "no TLS is spoken there: use http://, or start that server with --cert and --key" :
			    "this port speaks TLS: use https://");
		if (!rc && !(state & BR_SSL_SENDREC))
			return err_set(e, 1, "the connection was closed within the TLS handshake");
	}
	if (!t->up && t->trust)
		br_ssl_engine_get_session_parameters(&t->u.eng, &t->trust->session);
	t->up = true;
	return 1;
}

static short
want(const struct tls *t)
{
	return br_ssl_engine_current_state(&t->u.eng) & BR_SSL_SENDREC ? POLLOUT : POLLIN;
}

/* A record that has come is handed out whole when the caller has room for a whole one, as it must at the first. */
static ssize_t
take(struct tls *t, int fd, char *to, size_t n)
{
	size_t got = 0;

	for (;;) {
		size_t some;
		unsigned char *p = br_ssl_engine_recvapp_buf(&t->u.eng, &some);
		int rc;

		if (p) {
			some = some < n - got ? some : n - got;
			memcpy(to + got, p, some);
			got += some;
			br_ssl_engine_recvapp_ack(&t->u.eng, some);
			if (got < n)
				continue;
		}
		if (got && n - got < RECORD)
			return (ssize_t)got;
		if (br_ssl_engine_current_state(&t->u.eng) == BR_SSL_CLOSED)
			break;
		rc = t->owed ? 0 : push(t, fd);   /* an answer to an end, or to a wish for a new handshake */
		if (br_ssl_engine_current_state(&t->u.eng) == BR_SSL_CLOSED)
			break;
		if (rc != -1)
			rc = pull(t, fd);
		if (rc == TLS_AGAIN)
			return got ? (ssize_t)got : TLS_AGAIN;
		if (rc <= 0) {
			errno = rc ? errno : ECONNRESET;   /* an end that TLS did not announce may have been made by anybody */
			return got ? (ssize_t)got : -1;
		}
	}
	errno = EPROTO;
	return got ? (ssize_t)got : br_ssl_engine_last_error(&t->u.eng) ? -1 : 0;
}

static ssize_t
take_in(struct tls *t, int fd, void *p, size_t n)
{
	struct err e = {0};
	ssize_t k;
	int rc;

	if (t->shut) {   /* what still comes is for nobody */
		k = sys_read(fd, p, n);
		return k < 0 && sys_again() ? TLS_AGAIN : k;
	}
	rc = ready(t, fd, &e);
	if (rc > 0)
		return take(t, fd, p, n);
	errno = EPROTO;
	return rc ? -1 : TLS_AGAIN;
}

static ssize_t
put_out(struct tls *t, int fd, const void *p, size_t n)
{
	unsigned char *to;
	size_t room;
	int rc = push(t, fd);

	if (rc)
		return rc;
	if (t->owed) {
		room = t->owed;
		t->owed = 0;
		return (ssize_t)room;
	}
	to = br_ssl_engine_sendapp_buf(&t->u.eng, &room);
	if (!to) {
		errno = EPIPE;
		return br_ssl_engine_current_state(&t->u.eng) == BR_SSL_CLOSED ? -1 : TLS_AGAIN;
	}
	n = n < room ? n : room;
	memcpy(to, p, n);
	br_ssl_engine_sendapp_ack(&t->u.eng, n);
	br_ssl_engine_flush(&t->u.eng, 0);
	rc = push(t, fd);
	if (rc)
		t->owed = n;
	return rc ? rc : (ssize_t)n;
}

static void
shut(struct tls *t, int fd)
{
	if (t->up && !t->shut && !t->owed) {
		br_ssl_engine_close(&t->u.eng);
		push(t, fd);
	}
	t->shut = true;
}

static const struct tls_calls calls = {
	.trust = trust_new, .trust_free = trust_free, .identity = identity_new, .identity_drop = identity_drop, .pin = identity_pin,
	.client = client, .server = server, .ready = ready, .want = want, .read = take_in, .write = put_out, .shut = shut,
	.free = tls_free,
};
const struct tls_calls *const tls = &calls;

#else

const struct tls_calls *const tls = NULL;

#endif
