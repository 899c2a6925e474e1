/* examples/http/http_reply.h - replies, put together in the caller's buffer.
 *
 * Owns:    the Date line, formatted once a second by each worker for itself.
 * Threads: coroutine only. Nothing here suspends, so the worker stays the same throughout. */
#ifndef EXAMPLES_HTTP_REPLY_H
#define EXAMPLES_HTTP_REPLY_H

#include <stddef.h>

#include "http_conn.h"

enum {
    HTTP_REPLY_MAX = 256,   /* bytes of the longest reply */
    HTTP_REQUEST_MIN = 16,  /* bytes of the shortest request that leaves a connection open */
    HTTP_REPLY_TO_MIN = 120 /* bytes of the longest reply to such a one; longer ones cost more bytes
                               in the request than they do in the reply */
};

enum http_reply {
    HTTP_REPLY_HELLO,
    HTTP_REPLY_SLOW,
    HTTP_REPLY_NOT_FOUND,
    HTTP_REPLY_BAD,
    HTTP_REPLY_TIMEOUT,
    HTTP_REPLY_TOO_LARGE,
    HTTP_REPLY_VERSION
};

/* Writes a reply and returns its length. With c it answers the request that c has handed out, with
 * NULL it says that the connection ends. */
size_t http_reply_put(char *at, enum http_reply reply, const struct http_conn *c);

/* Writes "100 Continue", which tells a client to send its body, and returns its length. */
size_t http_reply_put_continue(char *at);

#endif
