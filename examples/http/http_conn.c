/* examples/http/http_conn.c - libhttp-parser behind the small interface of http_conn.h. */
#include "http_conn.h"

#include <strings.h>

/* How much of word a name or value has matched after one more piece of it; -1 once it differs. */
static int match_piece(int matched, const char *word, const char *piece, size_t n)
{
    size_t length = strlen(word);
    if (matched < 0 || n > length - (size_t)matched)
        return -1;
    return strncasecmp(word + matched, piece, n) ? -1 : matched + (int)n;
}

static int begin_message(http_parser *p)
{
    struct http_conn *c = p->data;
    c->begun = true;
    c->complete = false;
    c->head_done = false;
    c->expects = false;
    c->in_value = true;
    c->expect_field = -1;
    c->target_bytes = 0;
    return 0;
}

static int take_target(http_parser *p, const char *at, size_t n)
{
    struct http_conn *c = p->data;
    if (c->target_bytes < sizeof(c->target)) {
        size_t room = sizeof(c->target) - c->target_bytes;
        memcpy(c->target + c->target_bytes, at, n < room ? n : room);
    }
    c->target_bytes += n;
    return 0;
}

static int take_field(http_parser *p, const char *at, size_t n)
{
    struct http_conn *c = p->data;
    if (c->in_value) {
        c->in_value = false;
        c->expect_field = 0;
        c->expect_value = 0;
    }
    c->expect_field = match_piece(c->expect_field, "expect", at, n);
    return 0;
}

static int take_value(http_parser *p, const char *at, size_t n)
{
    struct http_conn *c = p->data;
    c->in_value = true;
    if (c->head_done || c->expect_field != (int)strlen("expect"))
        return 0; /* any other header, or a trailer */
    c->expect_value = match_piece(c->expect_value, "100-continue", at, n);
    c->expects = c->expect_value == (int)strlen("100-continue");
    return 0;
}

static int end_head(http_parser *p)
{
    struct http_conn *c = p->data;
    c->head_done = true;
    p->upgrade = 0; /* an offer (h2c, websocket, CONNECT) that this server does not take up */
    if (p->http_major != 1 || p->http_minor == 0)
        c->expects = false; /* HTTP/1.0 knows no interim replies */
    return 0;
}

static int take_body(http_parser *p, const char *at, size_t n)
{
    struct http_conn *c = p->data;
    (void)at;
    (void)n;
    c->expects = false; /* the client did not wait */
    return 0;
}

static int end_message(http_parser *p)
{
    struct http_conn *c = p->data;
    c->complete = true;
    http_parser_pause(p, 1); /* feed hands out one request at a time */
    return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = begin_message,
    .on_url = take_target,
    .on_header_field = take_field,
    .on_header_value = take_value,
    .on_headers_complete = end_head,
    .on_body = take_body,
    .on_message_complete = end_message,
};

void http_conn_init(struct http_conn *c)
{
    memset(c, 0, offsetof(struct http_conn, target));
    http_parser_init(&c->parser, HTTP_REQUEST);
    c->parser.data = c;
}

/* Of "/a?b", "http://host/a?b" and "http://host?b" the path. A target of another kind, "*" or
 * "host:port", is a path that no route has. */
static void find_path(struct http_conn *c)
{
    size_t n = c->target_bytes < sizeof(c->target) ? c->target_bytes : sizeof(c->target);
    c->path = c->target;
    if (c->target[0] != '/') {
        struct http_parser_url url;
        http_parser_url_init(&url);
        if (http_parser_parse_url(c->target, n, 0, &url) == 0 && url.field_set & (1 << UF_HOST)) {
            bool has_path = url.field_set & (1 << UF_PATH);
            c->path = has_path ? c->target + url.field_data[UF_PATH].off : "/";
            c->path_len = has_path ? url.field_data[UF_PATH].len : 1;
            return;
        }
    }
    const char *query = memchr(c->target, '?', n);
    c->path_len = query ? (size_t)(query - c->target) : n;
}

static enum http_event end_request(struct http_conn *c)
{
    http_parser_pause(&c->parser, 0);
    c->begun = false;
    c->complete = false;
    c->head_done = false;
    c->head_bytes = 0;
    if (c->parser.http_major != 1)
        return c->parser.http_major == 0 ? HTTP_EVENT_BAD : HTTP_EVENT_VERSION;
    c->keep_alive = http_should_keep_alive(&c->parser);
    c->is_head = c->parser.method == HTTP_HEAD;
    c->is_old = c->parser.http_minor == 0;
    find_path(c);
    return HTTP_EVENT_REQUEST;
}

enum http_event http_conn_feed(struct http_conn *c, const char **at, const char *end)
{
    while (*at < end) {
        size_t n = (size_t)(end - *at);
        bool in_head = !c->head_done;
        /* The parser never sees more than a head may have, so the limit is exact. */
        if (in_head && n > HTTP_CONN_HEAD_MAX - c->head_bytes)
            n = HTTP_CONN_HEAD_MAX - c->head_bytes;
        size_t used = http_parser_execute(&c->parser, &settings, *at, n);
        *at += used;
        c->head_bytes += in_head ? used : 0;
        if (c->complete)
            return end_request(c);
        switch (HTTP_PARSER_ERRNO(&c->parser)) {
        case HPE_OK:
            break;
        case HPE_HEADER_OVERFLOW: /* trailers without end */
            return HTTP_EVENT_TOO_LARGE;
        default:
            return HTTP_EVENT_BAD;
        }
        if (!c->head_done && c->head_bytes == HTTP_CONN_HEAD_MAX)
            return HTTP_EVENT_TOO_LARGE;
    }
    if (!c->expects || !c->head_done)
        return HTTP_EVENT_MORE;
    c->expects = false;
    return HTTP_EVENT_EXPECT;
}
