/* SPDX-License-Identifier: MIT */
/*
 * The ground floor: what every room may use.  One section per file, in the order of use: a file calls
 * only those whose sections stand before its own (DESIGN; make check holds this).
 *
 * Conventions.  0 or a pointer is success, -1 or NULL is failure; a failing function that takes a struct
 * err fills it.  The caller owns what it is given by a function whose contract says "owned"; all other
 * pointers are borrowed, and the contract says for how long.  Sizes are bytes, times are microseconds in
 * int64_t: "wall" since 1970-01-01 UTC, "mono" since some fixed point in the past of this machine.
 */
#ifndef LABTASKER_H
#define LABTASKER_H

/* The one place that says what is asked of the system (OURS 7); every .c file includes this first. */
#define _XOPEN_SOURCE 600
#define _FILE_OFFSET_BITS 64

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LABTASKER_VERSION "0.1.0"
#define API_COMPATIBLE "1.0.1"   /* the release of the Python package whose API this is */

#ifdef __GNUC__
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define NORETURN __attribute__((noreturn))
#else
#define PRINTF(f, a)
#define NORETURN
#endif

#define SECOND INT64_C(1000000)   /* of all times */
#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_WORKER = 3, EXIT_FAILURES = 4, EXIT_AGAIN = 75, EXIT_TIME = 124, EXIT_DOWN = 255 };

/* ---- util.c: memory, text, messages ------------------------------------------------------------------------------ */

/* Why something failed.  The first error wins: err_set does nothing when code is already set. */
struct err {
	int code;         /* 0 none; an HTTP status or a module's own enum where its contract says so, else 1 */
	size_t pos;       /* byte offset in the input, where there is one */
	size_t line, col; /* 1-based, 0 when unknown; col counts bytes */
	char msg[320];    /* one line without newline; says what, where, why; of a longer one, both ends */
};

int err_set(struct err *e, int code, const char *fmt, ...) PRINTF(3, 4);             /* always returns -1; e may be NULL */
int err_at(struct err *e, int code, size_t pos, const char *fmt, ...) PRINTF(4, 5);  /* the same, with pos */
/* Fills line and col of e from e->pos in text. */
void err_locate(struct err *e, const char *text, size_t n);

/* Memory.  These end the process with one line when memory is out (STYLE: the journal makes it safe). */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
void *xmemdup(const void *p, size_t n);   /* n bytes and a terminating 0 */
char *xstrdup(const char *s);
char *xprintf(const char *fmt, ...) PRINTF(1, 2);   /* owned */
void wipe(void *p, size_t n);             /* overwrites a secret, also just before it is freed */

/* A borrowed run of bytes, not terminated. */
struct str {
	const char *p;
	size_t n;
};
struct str str_of(const char *s);
bool str_is(struct str a, const char *s);
bool str_eq(struct str a, struct str b);
int str_order(struct str a, struct str b);      /* by their bytes: < 0, 0, > 0 */
bool str_caseis(struct str a, const char *s);   /* ASCII case ignored */
/* What stands before the next such byte; *rest goes behind it, its p NULL at last. */
struct str str_part(struct str *rest, char at);

/* A growing byte string; {0} is empty.  p is terminated by a 0 that len does not count, once anything was added. */
struct buf {
	char *p;
	size_t len, cap;
};
void buf_reserve(struct buf *b, size_t more);   /* room for so many bytes more, and the 0 */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *s);
void buf_addint(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_drop(struct buf *b, size_t n);   /* removes the first n bytes */
void buf_clear(struct buf *b);            /* len 0, memory kept */
void buf_free(struct buf *b);
void buf_wipe(struct buf *b);             /* overwrites and frees: for secrets */

/* UTF-8 (RFC 3629).  utf8_get: bytes of the code point at p (1..4) and its value, 0 when invalid or n is 0. */
size_t utf8_get(const char *p, size_t n, uint32_t *cp);
size_t utf8_put(char out[4], uint32_t cp);
bool utf8_valid(const char *p, size_t n);
size_t utf8_count(struct str s);          /* code points, of what is valid */
/* Adds s with all that could steer a terminal as \xNN, and \n as newline. */
void buf_visible(struct buf *b, struct str s, const char *newline);

/* "labtasker: " and one line on stderr; control bytes in it are shown as \xNN.  die ends the process. */
void warn(const char *fmt, ...) PRINTF(1, 2);
extern void (*warn_put)(struct str text);   /* set: gets what warn would write, without "labtasker: " and newline */
NORETURN void die(int status, const char *fmt, ...) PRINTF(2, 3);

/* Whole text must be a decimal integer / a finite number in strtod's decimal forms.  0 or -1. */
int parse_int(struct str s, int64_t *out);
int parse_float(struct str s, double *out);
int real_cut(double d, int64_t *out);     /* to its whole part; -1: that is none, or does not fit */
/* Duration text of SPEC 1.2 ("90", "1.5", "1h30m", "1 hour, 30 minutes") in seconds.  0 or -1. */
int parse_duration(struct str s, double *seconds);
/* Task, queue and worker names: [a-zA-Z0-9_-]{1,100}.  Keys of args: any number of such characters, in parts with a dot between. */
bool name_valid(struct str s);
bool key_valid(struct str s);
bool password_valid(struct str s);        /* 1 to 100 characters of UTF-8 */
int hex_digit(int c);                     /* its value; -1: it is none */
/* A UUID in its canonical 8-4-4-4-12 form, either case, to 16 bytes; and back, lower case, terminated. */
int uuid_parse(struct str s, unsigned char out[16]);
void uuid_print(const unsigned char id[16], char out[37]);
void uuid_stamp(unsigned char id[16], int version);   /* makes 16 bytes, random (4) or of a digest (8), a UUID of that version */

/* ---- sys.c: the floor; each newer or odd call behind one function with a fallback (OURS 7) ----------------------- */

void sys_close_from(int from, int keep);   /* every open descriptor from that on, but for keep (-1: none) */
/* Once, at the start of main: 0-2 open, all else close-on-exec, SIGPIPE ignored, no signal blocked, no core files, a sane umask. */
void sys_start(void);
int64_t sys_wall(void);
int64_t sys_mono(void);      /* CLOCK_MONOTONIC, else times(2) */
int sys_timeout(int64_t wake, int64_t now);   /* milliseconds for poll, upwards, a minute at most; -1 for INT64_MAX */
/* The wall time of what was read as if UTC and is this machine's local time; as it is where the system cannot tell. */
int64_t sys_from_local(int64_t wall);
void sys_random(void *p, size_t n);   /* /dev/urandom, else a mix of clocks, pids and addresses, said once on stderr */
void sys_uuid(char out[37]);          /* a random (version 4) UUID */
const char *sys_host(void);           /* this host's name; borrowed for ever */

enum { SIGNALS = 65 };                /* above all signals of the systems that we know, but for some real-time ones of MIPS */
/* For a new child: each signal has its default disposition, or is one of n that are ignored; then none is blocked. */
void sys_reset_signals(const int *ignored, size_t n);
bool sys_again(void);                 /* errno says that the descriptor would have blocked */
void sys_cloexec(int fd);
void sys_nonblock(int fd, bool on);
int sys_pipe(int fd[2]);              /* both close-on-exec, neither 0, 1 or 2 */
ssize_t sys_read(int fd, void *p, size_t n);         /* repeats on EINTR */
int sys_write_all(int fd, const void *p, size_t n);  /* 0 or -1 with errno; repeats on EINTR, short writes and a full pipe */
int sys_datasync(int fd);             /* fdatasync, else fsync */
int sys_syncdir(const char *dir);     /* fsync of a directory; 0 also where the system cannot */

/* A whole file, at most max bytes, appended to b.  -1 with err (code = errno; EFBIG when larger). */
int sys_slurp(const char *path, size_t max, struct buf *b, struct err *e);
/* Writes path whole through path.XXXX, fsync, rename.  mode is the new file's.  Nothing changes on failure. */
int sys_replace(const char *path, const void *p, size_t n, mode_t mode, struct err *e);
/* Makes dir and its parents; 0 when it is there in the end. */
int sys_mkdirs(const char *dir, mode_t mode, struct err *e);
char *sys_absolute(const char *path);   /* as it is where there is no working directory; owned */

/* fcntl write lock on a file made when missing.  Returns the fd that holds it; -1 with err.code EAGAIN when another
 * process holds it (its pid in *holder, when holder is not NULL).  wait_us: how long to try. */
int sys_lock(const char *path, int64_t wait_us, pid_t *holder, struct err *e);
bool sys_alive(pid_t pid);            /* kill(pid, 0) finds it, whoever it belongs to */

struct sys_spawn {
	char *const *argv;
	char *const *envp;
	const char *dir;      /* NULL: stay */
	int fd[3];            /* become 0, 1, 2; -1 is /dev/null */
	int notify;           /* the child writes its pid_t there before exec, and -pid when that fails; -1: nowhere */
	const char *tty;      /* not NULL: it leads a session on this terminal, its 0 (unless fd[0] is given), 1 and 2 */
	int foreground;       /* a terminal whose foreground group the child becomes; -1: none */
};
/* Starts argv[0] (searched in PATH of envp): its own process group, default dispositions, empty mask, descriptors 0-2 only,
 * the limit of core files that we had.
 * vfork-class: costs nothing for a large parent.  The pid, or -1 with err.code = errno of what failed (exec too). */
pid_t sys_spawn(const struct sys_spawn *s, struct err *e);
/* Forks twice and setsids; in the grandchild, with 0 and 1 on /dev/null, 2 on log and all but keep closed, runs fn(arg) and
 * exits with its result.  The parent returns 0 at once, -1 on failure. */
int sys_daemon(int (*fn)(void *), void *arg, const char *log, int keep, struct err *e);
int sys_columns(int fd);              /* how wide the terminal at fd is; COLUMNS, else 80, where it does not say */

/* ---- json.c: RFC 8259, strict; key order and the text of numbers kept -------------------------------------------- */

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUM, JSON_STR, JSON_ARR, JSON_OBJ };

/* A value.  Lives in one document; freed only with it.  Read freely; change only through json_set and friends. */
struct json {
	unsigned char type;
	unsigned char tag;        /* 0; conf.c marks TOML's kinds here */
	unsigned char is;         /* JSON_BOOL: the value */
	size_t len;               /* string: bytes of s; number: length of its text; array, object: how many */
	const char *s;            /* string: UTF-8, may hold U+0000, terminated besides; number: its source text, terminated */
	struct str key;           /* in an object: the member's name */
	struct json *next;        /* the next element or member */
	struct json *head, *tail; /* array, object: the first and last */
	struct json_index *index; /* object: made when it grows; private */
};

struct json_doc {
	struct json *root;
	struct json_arena *arena; /* private */
};

enum {
	JSON_DEPTH = 512,             /* OURS 4: nesting accepted by the parser */
	JSON_SPACED = 1 << 8,         /* ", " and ": " as Python's json.dumps */
	JSON_ASCII = 1 << 9,          /* all but printable ASCII as \uXXXX */
	JSON_TAME = 1 << 10           /* for terminals, which obey them: U+0080 to U+009F as \uXXXX */
};                                    /* print flags: the low byte is the indentation, 0 = compact */

/* Parses exactly one value with white space around it.  Repeated members: the first's place, the last's value.  Refused:
 * everything outside RFC 8259, invalid UTF-8, lone surrogates, numbers beyond a double (1e400), depth over JSON_DEPTH.  A
 * UTF-8 BOM is skipped only by the caller.  Copies what it needs.  NULL with err.pos on failure.  Linear in n.  Owned. */
struct json_doc *json_parse(const char *p, size_t n, struct err *e);
struct json_doc *json_new(void);                     /* root NULL; owned */
void json_free(struct json_doc *d);                  /* NULL is fine */

struct json *json_get(const struct json *obj, struct str key);     /* NULL when absent or not an object; O(1) for large objects */
struct json *json_gets(const struct json *obj, const char *key);
struct str json_text(const struct json *v);          /* a string's bytes, as v.s; p NULL for what is none, also NULL */
const char *json_gettext(const struct json *obj, const char *key);   /* of a member that is a string, else "" */
bool json_is(const struct json *v, const char *s);   /* it is this string; NULL is none */
int json_int(const struct json *v, int64_t *out);    /* a number whose text is an integer that fits; -1 otherwise */
double json_num(const struct json *v);               /* 0 for what is no number */
bool json_eq(const struct json *a, const struct json *b);          /* same type and value; numbers by value, objects in any order */

struct json *json_mknull(struct json_doc *d);
struct json *json_mkbool(struct json_doc *d, bool v);
struct json *json_mkint(struct json_doc *d, int64_t v);
struct json *json_mknum(struct json_doc *d, struct str text);      /* text must be a JSON number */
struct json *json_mkdouble(struct json_doc *d, double v);          /* text by json_repr */
struct json *json_mkstr(struct json_doc *d, struct str s);
struct json *json_mkarr(struct json_doc *d);
struct json *json_mkobj(struct json_doc *d);
struct json *json_copy(struct json_doc *d, const struct json *v);  /* deep */
void json_push(struct json *arr, struct json *v);                  /* v must be fresh: in no array or object yet */
void json_set(struct json_doc *d, struct json *obj, struct str key, struct json *v);   /* in place of the old; v fresh */
void json_sets(struct json_doc *d, struct json *obj, const char *key, struct json *v);
void json_settext(struct json_doc *d, struct json *obj, const char *key, const char *text);   /* NULL: as it was */
void json_remove(struct json *obj, struct str key);

void json_print(struct buf *b, const struct json *v, int flags);
void json_putstr(struct buf *b, struct str s, int flags);          /* one string with its quotes */
void json_repr(struct buf *b, double v);                           /* shortest text as Python's repr: 60.0, 1e+22 */

/* ---- hash.c: digests, codings, checksums ------------------------------------------------------------------------- */

struct sha256 {
	uint32_t h[8];
	uint64_t len;
	unsigned char block[64];
};
void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *p, size_t n);
void sha256_end(struct sha256 *s, unsigned char out[32]);
/* PBKDF2-HMAC-SHA256 (RFC 8018), one block of 32 bytes, in slices: begin, then step until it returns true. */
struct pbkdf2 {
	struct sha256 inner, outer;
	unsigned char u[32], out[32];
	uint32_t left;
};
void hash_pbkdf2_begin(struct pbkdf2 *k, struct str password, const void *salt, size_t n, uint32_t rounds);
bool hash_pbkdf2_step(struct pbkdf2 *k, uint32_t rounds);          /* at most so many; true when out is done */
bool hash_equal(const void *a, const void *b, size_t n);           /* constant time */
uint32_t hash_crc32c(uint32_t crc, const void *p, size_t n);       /* Castagnoli, RFC 3720; start with 0 */
uint64_t hash_sip(const unsigned char key[16], const void *p, size_t n);   /* SipHash-2-4, for tables that strangers fill */
void hash_base64(struct buf *b, const void *p, size_t n);          /* RFC 4648, padded */
int hash_unbase64(struct buf *b, struct str s);                    /* strict but for missing padding; -1 on a bad byte */
/* OURS 1: the version-8 UUID that --key TEXT stands for in the queue of that id. */
void hash_keyuuid(const char queue_id[36], struct str text, char out[37]);

/* ---- http.c: HTTP/1.1 framing (RFC 9112), no I/O ----------------------------------------------------------------- */

enum { HTTP_FIELDS = 100, HTTP_HEAD = 32 << 10, HTTP_TARGET = 8 << 10, HTTP_BODY = 16 << 20 };   /* OURS 4 */
enum http_event {
	HTTP_MORE,      /* nothing more in these bytes */
	HTTP_HEADERS,   /* a head is complete: see struct http; its pointers live as long as the caller's bytes stay */
	HTTP_DATA,      /* body bytes: *data, part of the caller's bytes */
	HTTP_END,       /* the message is complete; the next call starts the next one */
	HTTP_BAD        /* refused: err.code is the status to answer (400, 413, 414, 431, 501, 505), then close */
};
struct http_field {
	struct str name, value;   /* value without the white space around it */
};
struct http {
	bool response;            /* set by http_init: which kind is read */
	bool nobody;              /* set by a reader of responses before the head: the request was HEAD */
	size_t max_body;          /* HTTP_BODY by http_init; 0: any */
	/* after HTTP_HEADERS */
	struct str method, target;        /* requests */
	int status;                       /* responses; 1xx but 101 are skipped and never seen */
	int minor;                        /* HTTP/1.minor */
	bool close;                       /* the peer, or the version, ends the connection after this message */
	bool expect;                      /* Expect: 100-continue */
	int64_t length;                   /* Content-Length; -1 chunked, -2 until the end of the stream, 0 none */
	size_t nfield;
	struct http_field field[HTTP_FIELDS];
	/* private */
	int state;
	size_t scan;
	uint64_t left, total;
};
void http_init(struct http *h, bool response);
/* Looks at the n bytes that are not yet used, says in *used how many the caller may drop, and what was found.  Call again
 * until HTTP_MORE; then read more, behind what was not used.  Any split of a stream gives the same events. */
enum http_event http_next(struct http *h, const char *p, size_t n, size_t *used, struct str *data, struct err *e);
/* The stream ended: HTTP_END where that completes a message (length -2), HTTP_MORE between messages, else HTTP_BAD. */
enum http_event http_eof(struct http *h, struct err *e);
const struct str *http_get(const struct http *h, const char *name);   /* the first field so named, NULL when absent */
/* The next of a value's list with commas, an empty one too; false at the end. */
bool http_element(struct str *rest, struct str *out);
const char *http_reason(int status);
/* Percent-decodes s into b; -1 on a bad escape.  plus: '+' is a space (query values). */
int http_unescape(struct buf *b, struct str s, bool plus);
void http_escape(struct buf *b, struct str s);      /* unreserved characters stay */
/* The next name=value of a query, raw; false at the end.  *rest moves on. */
bool http_query(struct str *rest, struct str *name, struct str *value);

/* ---- tmpl.c: command templates (SPEC 3), pure -------------------------------------------------------------------- */

struct tmpl;
enum tmpl_form { TMPL_ARG, TMPL_SHELL };   /* one argument in place, no quoting / shell text, values quoted for sh */
/* Parses text (copied).  NULL with err.line, col, pos on bad syntax.  Owned. */
struct tmpl *tmpl_parse(struct str text, enum tmpl_form form, struct err *e);
void tmpl_free(struct tmpl *t);
size_t tmpl_count(const struct tmpl *t);                    /* names used, each once, in order of appearance */
const char *tmpl_name(const struct tmpl *t, size_t i);      /* "a.b.c"; lives as long as t */
/* Fills in args (an object) and appends the text to out.  -1 with line, col for a missing key, null, U+0000, or a value that
 * cannot be quoted where it stands.  out is then as before. */
int tmpl_expand(const struct tmpl *t, const struct json *args, struct buf *out, struct err *e);
void tmpl_quote(struct buf *out, struct str word);          /* one shell word, as shlex.quote, and words that begin with = too */
/* The line of text that holds e, at most 50 characters around it, and below it a caret; two lines with newlines. */
void tmpl_caret(struct buf *out, struct str text, const struct err *e);

/* ---- date.c: times as text, pure --------------------------------------------------------------------------------- */

void date_iso(char out[32], int64_t wall);                  /* 2026-11-23T23:20:49.206000Z */
/* ISO 8601 date or date and time, "T" or a space, fraction of any length cut to microseconds, Z or an offset.  Without a
 * zone *zoned is false and *wall is as if UTC.  0 or -1. */
int date_parse(struct str s, int64_t *wall, bool *zoned);
/* Days since 1970-01-01 of a proleptic Gregorian date, and back. */
int64_t date_days(int64_t year, int month, int day);
void date_civil(int64_t days, int64_t *year, int *month, int *day);
int date_month_days(int64_t year, int month);               /* how many it has */

/* ---- conf.c: TOML 1.0 and the configuration (SPEC 5) ------------------------------------------------------------- */

enum { TOML_STRING = 1, TOML_INTEGER, TOML_FLOAT, TOML_BOOL, TOML_DATETIME, TOML_LOCAL, TOML_DATE, TOML_TIME };
/* TOML 1.0 to a document: scalars carry the tag above; integers as decimal text, floats as json_repr or inf, -inf, nan; times as
 * their text.  NULL with err.line, col on anything invalid.  Owned. */
struct json_doc *toml_parse(const char *p, size_t n, struct err *e);
/* Gives key of the table section ("" the top) the value that text writes, in the document that b holds; it is added when missing.
 * Every other byte stays.  -1 with err: no TOML, or a table stands there. */
int toml_set(struct buf *b, const char *section, const char *key, const char *text, struct err *e);
int toml_settext(struct buf *b, const char *section, const char *key, const char *s, struct err *e);   /* the string s */

enum conf_origin { CONF_NONE, CONF_FILE, CONF_ENV };
struct conf {
	char *root;            /* LABTASKER_ROOT, else ".labtasker"; absolute once the directory exists */
	char *file;            /* root/client.toml */
	char *url;             /* NULL: the local queue */
	char *queue, *password;        /* NULL when not named */
	char *cacert, *pin;            /* by what an https server is believed; NULL when not named */
	enum conf_origin url_from;
	double heartbeat;      /* seconds; 30 where none is given */
	bool filter_traceback;
	int notify;            /* 0 low, 1 medium, 2 high, 3 none */
};
/* Reads client.toml where there is one, then the environment.  -1 with err (code EXIT_USAGE): "client.toml:3:9: what".  That a
 * named server has its queue and password named too (OURS 2) is asked by client_open, where they are needed. */
int conf_load(struct conf *c, struct err *e);
void conf_find(struct conf *c);                             /* root and file only, and the defaults; reads nothing */
bool conf_known(const char *section, const char *key);      /* a key of client.toml that means something */
int conf_check(const char *file, struct str text, struct err *e);   /* whether that text would do as client.toml */
void conf_free(struct conf *c);

/* ---- tls.c: TLS 1.2 over a connected descriptor, where it was built in ------------------------------------------- */

struct tls;                /* one connection, of either side; never blocks */
struct tls_trust;          /* whom a client believes to be a host; keeps the session, which makes the next handshake short */
struct tls_identity;       /* the certificates and the key that a server shows; keeps its sessions; counted */
enum { TLS_AGAIN = -2 };
enum { TLS_VAIN = 3, TLS_PLAIN = 4 };   /* err.code: another try will end the same / a client came that speaks no TLS */
struct tls_calls {
	/* cacert: a file or directory of issuers, NULL: the usual ones, but none where there is a pin.  pin: sha256:DIGEST of the
	 * public key or the certificate, hexadecimal or base64; some, with commas; NULL: none.  Owned. */
	struct tls_trust *(*trust)(const char *host, const char *cacert, const char *pin, struct err *e);
	void (*trust_free)(struct tls_trust *t);
	struct tls_identity *(*identity)(const char *cert, const char *key, struct err *e);   /* PEM files.  One reference */
	void (*identity_drop)(struct tls_identity *i);
	const char *(*pin)(const struct tls_identity *i);   /* of its public key; lives as long */
	struct tls *(*client)(struct tls_trust *t);         /* t must outlive it.  Owned */
	struct tls *(*server)(struct tls_identity *i);      /* takes a reference.  Owned */
	int (*ready)(struct tls *t, int fd, struct err *e); /* the handshake: 1 done, 0 wait for want, -1 failed */
	short (*want)(const struct tls *t);
	/* As net_read and net_write.  A read of 16 KiB or more leaves nothing behind that poll does not see.  After TLS_AGAIN the
	 * next write must begin with the same bytes. */
	ssize_t (*read)(struct tls *t, int fd, void *p, size_t n);
	ssize_t (*write)(struct tls *t, int fd, const void *p, size_t n);
	void (*shut)(struct tls *t, int fd);                /* nothing more will be written; what still comes is for nobody */
	void (*free)(struct tls *t);
};
extern const struct tls_calls *const tls;   /* NULL: built without */

/* ---- net.c: connections behind read, write, close ---------------------------------------------------------------- */

struct url {
	char scheme[8];        /* "http", "https", "unix" */
	char host[256];        /* without the brackets of IPv6 */
	char port[8];
	char path[1024];       /* http: the prefix without a final /; unix: the socket's path */
};
int url_parse(struct url *u, const char *text, struct err *e);

struct net;                /* one connection; non-blocking underneath; TLS stands behind the same calls */
struct net_addrs;          /* what a URL (or the proxy that applies to it) resolved to */
struct net_proof {         /* https: by what a server is believed (tls_calls.trust) */
	const char *cacert, *pin;
};
/* May block in the resolver.  *proxied: requests must carry the absolute form.  https without TLS is an error that says so.
 * Owned. */
struct net_addrs *net_resolve(const struct url *u, const struct net_proof *proof, bool *proxied, struct err *e);
void net_addrs_free(struct net_addrs *a);
/* Starts connecting, never blocks: tries the addresses in turn, the next when one fails or is slow.  Owned.  a must outlive it. */
struct net *net_open(const struct net_addrs *a, struct err *e);
struct net *net_adopt(int fd, struct tls_identity *show);   /* an accepted socket; takes fd.  show NULL: no TLS */
/* 1 connected and, with TLS, shaken hands; 0 wait for net_want; -1 failed (err; its code may be one of tls's).  Call until it is
 * not 0.  After TLS_PLAIN what is written goes out as it is. */
int net_ready(struct net *c, struct err *e);
enum { NET_AGAIN = TLS_AGAIN };
bool net_shaking(const struct net *c);                      /* connected, but the TLS handshake is not over */
/* > 0 bytes, 0 end of stream (read only), -1 failed with errno, NET_AGAIN: wait for net_want.  Give a read room for 16 KiB at
 * least; after NET_AGAIN begin the next write with the same bytes. */
ssize_t net_read(struct net *c, void *p, size_t n);
ssize_t net_write(struct net *c, const void *p, size_t n);
int net_fd(const struct net *c);
short net_want(const struct net *c, bool writing);          /* the poll events to wait for before the next net_write, or net_read */
int64_t net_wake(const struct net *c);                      /* while connecting: mono time at which to call net_ready again */
int net_shut(struct net *c);                                /* nothing more will be written; what still comes is for nobody */
void net_close(struct net *c);
/* Listening sockets, non-blocking, close-on-exec.  How many were put in fd[max], or -1.  port "0": a free one, the same for
 * all; *port_out says which. */
int net_listen(const char *host, const char *port, int *fd, int max, int *port_out, struct err *e);
int net_listen_unix(const char *path, struct err *e);       /* 0600; a socket nobody listens on is replaced */
/* Where a Unix socket for the directory root can be: tries root/server.sock, else $XDG_RUNTIME_DIR/labtasker, else a checked
 * 0700 directory under /tmp.  Fills path (108); -1: none fits, use loopback TCP. */
int net_unix_path(const char *root, char *path, size_t n);

/* ---- locate.c: which server, and starting one (OURS 2) ----------------------------------------------------------- */

/* Makes root (0700) with .gitignore and password where they are missing: atomically, whoever else does the same. */
int locate_make(const char *root, struct err *e);

struct place {
	const char *url, *queue, *password;   /* queue, password: NULL when not known */
	const char *cacert, *pin;             /* https: by what it is believed, as net_proof has it */
	bool local;                           /* the server of root/server.json; else one that was named */
};
struct locate;
/* conf must outlive it; its root becomes absolute.  create, start: see struct client_opts.  Owned. */
struct locate *locate_new(struct conf *conf, bool create, int (*start)(const char *dir, struct err *e));
void locate_free(struct locate *l);
/* Where the server is now; to be asked before each connection.  Never blocks.  1: *p is filled, its texts live until the next
 * call; 0: a server is being started, call again when locate_fd is readable or at locate_wake; -1 with err.code an exit status. */
int locate_step(struct locate *l, struct place *p, struct err *e);
int locate_fd(const struct locate *l);        /* -1: none */
int64_t locate_wake(const struct locate *l);

/* ---- wire.c: one connection from the client's side, no policy ---------------------------------------------------- */

struct wire {              /* {0}: none */
	struct net *net;       /* NULL: not open */
	bool up;               /* connected */
	int64_t since;         /* mono: when it was begun; once up, when a byte last moved */
	int64_t heard;         /* mono: when a byte last came; 0: none yet */
	int answers;           /* whole ones that came on it */
	uint64_t queued;       /* bytes of all requests; whoever adds to out counts them here */
	struct buf out;        /* requests, to be added at its end */
	struct http http;      /* the head of the answer; its texts live until the next wire_read */
	struct buf body;
	bool stream;           /* set after WIRE_HEAD: the body is not gathered but handed out as it comes, in data */
	struct str data;       /* until the next wire_read */
	/* private */
	struct buf in;
	size_t off, used;
};
enum wire_event {
	WIRE_WAIT,             /* for more bytes */
	WIRE_HEAD,             /* a head is complete */
	WIRE_DATA,             /* some of a stream */
	WIRE_ANSWER,           /* http and body are an answer, until the next wire_read */
	WIRE_ENDED,            /* closed between answers; err says so */
	WIRE_LOST              /* broken; err.code 413: an answer too large to repeat */
};
/* Begins to connect; -1 with err when that failed at once.  wire_connect goes on, to be called until up.  The caller closes. */
int wire_open(struct wire *w, const struct net_addrs *a, int64_t now, struct err *e);
int wire_connect(struct wire *w, int64_t now, struct err *e);
void wire_close(struct wire *w);
void wire_free(struct wire *w);
bool wire_writing(const struct wire *w);                    /* something of out is unwritten */
uint64_t wire_written(const struct wire *w);                /* of queued, how many have left */
int wire_write(struct wire *w, int64_t now, struct err *e);
enum wire_event wire_read(struct wire *w, int64_t now, struct err *e);

/* ---- call.c: one call of the API: its request, its repeats, its answer; pure ------------------------------------- */

enum api {                 /* one row each of the table in call.c: method, path, how it may be repeated */
	API_HEALTH, API_HEALTH_FULL,
	API_QUEUE_CREATE, API_QUEUE_GET, API_QUEUE_UPDATE, API_QUEUE_DELETE,
	API_SUBMIT, API_TASK_SEARCH, API_FETCH, API_STATUS, API_HEARTBEAT, API_TASK_GET, API_TASK_UPDATE, API_TASK_DELETE,
	API_WORKER_CREATE, API_WORKER_SEARCH, API_WORKER_GET, API_WORKER_STATUS, API_WORKER_DELETE,
	API_EVENTS, API_STATS,
	API_COUNT
};
struct call {
	/* set by the caller before client_send */
	enum api api;
	char id[40];           /* the task or worker of the path */
	char query[128];       /* without '?'; "" none */
	struct buf body;       /* JSON; empty: none.  Freed by call_free */
	char key[40];          /* Idempotency-Key; "" none, but for submit and fetch on a server of ours: made by client_send */
	char run[40];          /* Labtasker-Run; "" none; sent to our servers only */
	int wait;              /* fetch: seconds that our server may hold it until there is a task (Prefer: wait) */
	int64_t deadline;      /* mono: give up; 0: by the class of the call (30 s for a person's command); -1: never */
	/* A stream: its bytes go here as they come, p NULL at the beginning of each; it ends only by a refusal, and is begun anew
	 * where it breaks.  deadline is for its first beginning. */
	void (*sink)(void *arg, struct str data);
	void *arg;
	char last[100];        /* Last-Event-ID, kept by the sink; "" none; sent to our servers only */
	/* set by the client */
	bool done;
	int status;            /* 0: never answered */
	struct json_doc *doc;  /* the answer's JSON, NULL when there is none.  Freed by call_free */
	bool unknown;          /* given up, and the server may have acted on it */
	struct err err;        /* status 0 or >= 400: one line; a refusal shows the server's detail */
	/* private */
	struct call *next;
	int tries;
	bool ghost;            /* cancelled while its answer was due */
	bool maybe;            /* an earlier try may have arrived */
	bool said;             /* trouble with it was told */
	int64_t first, when;   /* mono: the first try; in the line: not before, sent: since */
	uint64_t at;           /* where its request begins in what the connection sends */
};
struct call *call_new(enum api api);                        /* owned */
void call_free(struct call *c);                             /* not while a client holds it: client_cancel first */

/* What a call may do when a try failed and something of it can have arrived; while nothing can, each may be repeated. */
enum call_repeat {
	CALL_READ,             /* be repeated: it changes nothing */
	CALL_SAME,             /* be repeated: done twice is done once */
	CALL_GONE,             /* likewise; a 404 then means that it is done */
	CALL_KEYED,            /* be repeated on our server under Idempotency-Key */
	CALL_RUN,              /* be repeated on our server under Labtasker-Run */
	CALL_ONCE
};
struct call_row {
	const char *method, *path;      /* '*' is the id */
	enum call_repeat repeat;
	int answer, patience;           /* seconds: a try; the call where its caller names no deadline */
	const char *look;               /* how a person finds out what an unknown outcome was */
};
const struct call_row *call_row(const struct call *k);
bool call_repeatable(const struct call *k, bool ours);
/* The request: prefix before the path, head = lines common to all. */
void call_put(struct buf *b, const struct call *k, const char *prefix, struct str head, bool ours);
struct json *call_get(const struct call *k, const char *key);   /* that member of its answer; NULL: there is none */
/* The two ends of a call: given up (maybe: something of it may have arrived), or answered. */
void call_unanswered(struct call *k, bool maybe, const char *url, const char *why);
void call_answer(struct call *k, int status, struct str body, const char *url, const char *location);

/* ---- client.c: the one caller of the API (OURS 1, 2) ------------------------------------------------------------- */

struct client_opts {
	struct conf *conf;
	bool create;           /* this command may make .labtasker/ and its queue (OURS 2) */
	struct client *beside; /* NULL, or another of this server's, which outlives it: what troubles both is told once */
	int patience;          /* seconds for the first answer; 0: 30 */
	/* Upward, from main: begins starting a server for the store in dir; returns a pipe that says one byte when it listens and
	 * ends without one when it failed; -1 with err. */
	int (*start)(const char *dir, struct err *e);
};
struct client;
/* Finds or starts the server (OURS 2) and reads its first answer (GET queue with credentials when auth).  NULL with err.code an
 * exit status.  conf must outlive it.  Owned. */
struct client *client_open(const struct client_opts *o, bool auth, struct err *e);
void client_close(struct client *c);
bool client_ours(const struct client *c);                   /* the server announced itself as ours */
const char *client_queue_id(const struct client *c);        /* 36 characters; "" before the queue was read */
const char *client_url(const struct client *c);
/* Tries are spaced by at most this from now on (usec; 5 s at first, never raised, at least 50 ms): who holds a lease has to be back
 * in time when the server is. */
void client_haste(struct client *c, int64_t most);
/* Non-blocking use.  client_send puts a call in the line; it stays the caller's.  Then in the caller's poll loop: client_fds fills
 * at most CLIENT_FDS entries and lowers *wake (mono) to when client_step must run at the latest; client_step moves all that can
 * move, never blocks, and sets done on calls: true when it did, for nothing may wake a poll for that again.  Calls are answered in
 * the order sent. */
enum { CLIENT_FDS = 4 };
void client_send(struct client *c, struct call *k);
void client_cancel(struct client *c, struct call *k);
struct pollfd;
int client_fds(struct client *c, struct pollfd *fds, int64_t *wake);
bool client_step(struct client *c, struct pollfd *fds, int n);
/* Blocking use: sends and waits.  0 when answered with 2xx, else -1; k->status, k->err say why. */
int client_run(struct client *c, struct call *k);

#endif
