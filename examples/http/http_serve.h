/* examples/http/http_serve.h - serves one HTTP connection: reads, asks a handler, replies.
 *
 * Owns:    struct http_client, one per connection, of fixed size.
 * Threads: coroutine only. */
#ifndef EXAMPLES_HTTP_SERVE_H
#define EXAMPLES_HTTP_SERVE_H

#include <stddef.h>

#include <skua/time.h>

#include "http_conn.h"
#include "http_reply.h"

/* A read takes at most HTTP_SERVE_IN_BYTES, and the replies to all requests that those can hold fit
 * HTTP_SERVE_OUT_BYTES: so one write answers them. Both are as large as lets struct http_client be
 * one 32 KiB block; of that, a connection touches what it uses. */
enum {
    HTTP_SERVE_IN_BYTES = 3584,
    HTTP_SERVE_OUT_BYTES =
        HTTP_SERVE_IN_BYTES / HTTP_REQUEST_MIN * HTTP_REPLY_TO_MIN + 2 * HTTP_REPLY_MAX
};

struct http_client {
    struct http_conn http; /* http.path is what the client asks for */
    int fd;
    skua_time head_deadline; /* of the head that has begun; else SKUA_NEVER */
    size_t out_len;
    char in[HTTP_SERVE_IN_BYTES];
    char out[HTTP_SERVE_OUT_BYTES];
};

/* Called for each request, in order. Returns an enum http_reply, or a negative errno that ends the
 * connection. It may suspend; what it wants sent before, it flushes. */
typedef int http_handler(struct http_client *client);

/* Serves fd until the client or a failure ends it. The caller closes fd. */
int http_serve_client(int fd, http_handler *handler);

/* Sends the replies gathered so far. */
int http_serve_flush(struct http_client *client);

#endif
