/* examples/http/http_serve.c - see http_serve.h. */
#include "http_serve.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <skua/skua.h>

#define PATIENCE_NS SKUA_S(10) /* for a silent client, a request's head, and replies not taken */
#define LINGER_NS   SKUA_S(1)  /* for the rest of what a refused client is sending */

static_assert(sizeof(struct http_client) <= 32 << 10, "a connection is one block of 32 KiB");

int http_serve_flush(struct http_client *client)
{
    size_t n = client->out_len;
    client->out_len = 0;
    return n ? skua_write_full(client->fd, client->out, n, NULL, skua_in(PATIENCE_NS)) : 0;
}

/* Room for one reply. HTTP_SERVE_OUT_BYTES leaves it, so there is hardly ever anything to do. */
static int make_room(struct http_client *client)
{
    bool is_full = sizeof(client->out) - client->out_len < HTTP_REPLY_MAX;
    return is_full ? http_serve_flush(client) : 0;
}

/* Sends what is left and says goodbye. To close a socket that holds unread bytes would reset the
 * connection and might cost the client our last reply: so those are read first, for a while. */
static int end_client(struct http_client *client, bool is_unread)
{
    int rc = http_serve_flush(client);
    if (rc < 0 || !is_unread)
        return rc;
    shutdown(client->fd, SHUT_WR);
    skua_time deadline = skua_in(LINGER_NS);
    while (skua_read(client->fd, client->in, sizeof(client->in), deadline) > 0) {
        if (skua_now() >= deadline)
            break; /* a read that finds bytes succeeds even after its deadline */
    }
    return 0;
}

static int refuse(struct http_client *client, enum http_reply reply)
{
    int rc = make_room(client);
    if (rc < 0)
        return rc;
    client->out_len += http_reply_put(client->out + client->out_len, reply, NULL);
    return end_client(client, true);
}

static int answer(struct http_client *client, http_handler *handler)
{
    int reply = handler(client);
    if (reply < 0)
        return reply;
    int rc = make_room(client);
    if (rc == 0)
        client->out_len +=
            http_reply_put(client->out + client->out_len, (enum http_reply)reply, &client->http);
    return rc;
}

static int tell_to_continue(struct http_client *client)
{
    int rc = make_room(client);
    if (rc == 0)
        client->out_len += http_reply_put_continue(client->out + client->out_len);
    return rc;
}

/* Who is silent until then has to go, and so has one whose head is not complete by then, however
 * many bytes of it come. */
static skua_time read_deadline(struct http_client *client)
{
    skua_time deadline = skua_in(PATIENCE_NS);
    if (!http_conn_is_in_head(&client->http))
        return deadline;
    if (client->head_deadline == SKUA_NEVER) /* it has begun with the last read */
        client->head_deadline = deadline;
    return client->head_deadline;
}

/* One read, an answer to every request that it completes, one write. Returns 1 to go on. */
static int serve_batch(struct http_client *client, http_handler *handler)
{
    ssize_t n = skua_read(client->fd, client->in, sizeof(client->in), read_deadline(client));
    if (n == -ETIMEDOUT && http_conn_is_busy(&client->http))
        return refuse(client, HTTP_REPLY_TIMEOUT);
    if (n <= 0)
        return (int)n;
    const char *at = client->in;
    const char *end = at + n;
    for (int rc = 0;;) {
        switch (http_conn_feed(&client->http, &at, end)) {
        case HTTP_EVENT_REQUEST:
            client->head_deadline = SKUA_NEVER;
            rc = answer(client, handler);
            if (rc == 0 && !client->http.keep_alive)
                return end_client(client, at < end);
            break;
        case HTTP_EVENT_EXPECT:
            rc = tell_to_continue(client);
            break;
        case HTTP_EVENT_MORE:
            rc = http_serve_flush(client);
            return rc < 0 ? rc : 1;
        case HTTP_EVENT_BAD:
            return refuse(client, HTTP_REPLY_BAD);
        case HTTP_EVENT_TOO_LARGE:
            return refuse(client, HTTP_REPLY_TOO_LARGE);
        case HTTP_EVENT_VERSION:
            return refuse(client, HTTP_REPLY_VERSION);
        }
        if (rc < 0)
            return rc;
    }
}

int http_serve_client(int fd, http_handler *handler)
{
    struct http_client *client = malloc(sizeof(*client));
    if (!client)
        return -ENOMEM;
    http_conn_init(&client->http);
    client->fd = fd;
    client->head_deadline = SKUA_NEVER;
    client->out_len = 0;
    int rc;
    do {
        rc = serve_batch(client, handler);
    } while (rc > 0);
    free(client);
    return rc;
}
