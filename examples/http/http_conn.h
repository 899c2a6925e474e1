/* examples/http/http_conn.h - one HTTP/1 connection, seen as bytes in and complete requests out.
 *
 * Owns:    struct http_conn. The program reads the fields under "the request"; no other.
 * Threads: none of its own; a connection belongs to the coroutine that serves it.
 *
 * The parsing is libhttp-parser's. It is done in place and incrementally: nothing of a request is
 * kept but the first bytes of its target, so memory per connection is fixed, whatever is sent. */
#ifndef EXAMPLES_HTTP_CONN_H
#define EXAMPLES_HTTP_CONN_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum {
    HTTP_CONN_HEAD_MAX =
        8192, /* bytes of one request's line and headers, the empty line included */
    HTTP_CONN_TARGET_MAX = 128 /* bytes of a target that are kept; longer ones match no route */
};

enum http_event {
    HTTP_EVENT_MORE,    /* every byte is used and no request is complete: read more */
    HTTP_EVENT_EXPECT,  /* the same, and the client waits for "100 Continue" to send its body */
    HTTP_EVENT_REQUEST, /* a request is complete, its body skipped: answer it, then feed the rest */
    HTTP_EVENT_BAD,     /* not HTTP: 400 and close */
    HTTP_EVENT_TOO_LARGE, /* the head is longer than HTTP_CONN_HEAD_MAX: 431 and close */
    HTTP_EVENT_VERSION    /* HTTP, but not version 1: 505 and close */
};

struct http_conn {
    /* The request. Valid from HTTP_EVENT_REQUEST to the next call. */
    const char *path; /* without host and query; not terminated */
    size_t path_len;
    bool is_head;    /* answer without a body */
    bool keep_alive; /* false: close after the answer */
    bool is_old;     /* HTTP/1.0: says "Connection: keep-alive" if it stays open */

    http_parser parser;
    size_t head_bytes;   /* of the current request so far */
    size_t target_bytes; /* sent; min(this, HTTP_CONN_TARGET_MAX) are kept */
    int expect_field;    /* how much of "expect" the current header's name has matched, or -1 */
    int expect_value;    /* the same for "100-continue" and its value */
    bool begun;          /* part of a request is in */
    bool in_value;       /* the last header bytes were a value, so a name starts anew */
    bool head_done;
    bool complete;
    bool expects; /* "Expect: 100-continue" was there and is not answered yet */
    char target[HTTP_CONN_TARGET_MAX];
};

void http_conn_init(struct http_conn *c);

/* Consumes bytes from *at up to end, at most to the end of one request, and moves *at. */
enum http_event http_conn_feed(struct http_conn *c, const char **at, const char *end);

/* True if the request is for this path, as in "/" or "/slow". */
static inline bool http_conn_is_path(const struct http_conn *c, const char *path)
{
    return c->path_len == strlen(path) && memcmp(c->path, path, c->path_len) == 0;
}

/* True in the middle of a request: a client that stops here owes us something. */
static inline bool http_conn_is_busy(const struct http_conn *c)
{
    return c->begun;
}

/* True if part of a request's head is in, or of the empty lines before it. */
static inline bool http_conn_is_in_head(const struct http_conn *c)
{
    return c->head_bytes > 0 && !c->head_done;
}

#endif
