/* SPDX-License-Identifier: MIT */
/* parse(text): the document of JSON that stands in a test.  A text that is no JSON ends the test. */
#ifndef PARSE_H
#define PARSE_H
#include "test.h"
static struct json_doc *
parse(const char *text)
{
	struct err e = {0};
	struct json_doc *d = json_parse(text, strlen(text), &e);

	if (!d)
		fprintf(stderr, "%s: %s\n", text, e.msg), abort();
	return d;
}
#endif
