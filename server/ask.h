/* SPDX-License-Identifier: MIT */
/*
 * One request on its way to its call, shared by ask.c, which leads it there, and api.c, which has the routes and the calls.
 */
#ifndef ASK_H
#define ASK_H

#include "server.h"

enum kind {
	READ,             /* always served */
	STREAM,           /* the same, and its answer has no end */
	END,              /* ends or keeps what is running: served from the journal's reserve */
	NEW               /* makes more: refused when the journal is short of room */
};
enum { FIELDS = 16 };

struct rest {
	struct api_opts o;
	struct events *events;
	struct waits *waits;
	char *head;       /* what every answer's head carries */
	int64_t started;  /* mono */
	int64_t submitted;    /* wall: when the last task came in */
	int64_t answers[6];   /* given, by the first digit of the status */
	struct buf text;  /* lists and paths are made here, answer after answer */
};

/* One request on its way through its route. */
struct ask {
	struct rest *r;
	const struct request *req;
	struct now now;
	struct str query;
	char id[128];                /* the path's, decoded; longer ones are no ids and are cut */
	struct store *store;
	struct queue *queue;
	struct json_doc *doc;        /* the body */
	struct value v[FIELDS];
	bool flag;                   /* the route's query flag */
	bool later, held;
	struct answer *out;
	struct err err;
};

struct route {
	const char *method, *path;   /* {} is an id */
	enum kind kind;
	bool open;                   /* no credentials */
	bool body;                   /* reads one */
	const struct field *fields;  /* NULL: the call looks itself */
	const char *flag;            /* a query flag */
	bool flag_default;
	void (*call)(struct ask *a);
};

/* Answers.  A refusal is {"detail": ...}. */
void ask_answer(struct ask *a, int status, const char *body);
void ask_refuse(struct ask *a, int status, const char *detail);
void ask_refuse_later(struct ask *a, const char *detail);    /* 503 */
void ask_refuse_err(struct ask *a);                          /* what err says, with the status it says */
void ask_faults(struct ask *a, const struct buf *items);      /* 422; see field_check */

/* What was asked for. */
const struct json *ask_json(const struct value *v);          /* NULL: not given */
struct str ask_text(const struct value *v);                  /* "" is as if absent (SPEC 1) */
int ask_uuid(struct ask *a, const char *name, uuid out);     /* a header: 0 absent, 1 there, -1 refused with 400 */
bool ask_query(struct ask *a, const char *name, struct buf *out);   /* a query member, the last one; false: absent */

/* The route of a request; NULL after a 404, 405, 307, or the 204 of OPTIONS. */
const struct route *ask_route(struct ask *a, const struct route *routes, size_t n, struct str path);
/* Its body, credentials, query and fields, and whether the journal bears it, in this order.  False: refused, or later. */
bool ask_checks(struct ask *a, const struct route *r);

#endif
