/* bench/system/http_reader.c - see http_reader.h. */
#include "bench/system/http_reader.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>

static int end_head(http_parser *p)
{
    struct load_http_reader *r = p->data;
    r->body_len = p->content_length;
    return 0;
}

static int begin_reply(http_parser *p)
{
    struct load_http_reader *r = p->data;
    r->is_inside = true;
    return 0;
}

static int end_reply(http_parser *p)
{
    struct load_http_reader *r = p->data;
    r->is_complete = true;
    http_parser_pause(p, 1); /* one at a time: where it ends tells its length */
    return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = begin_reply,
    .on_headers_complete = end_head,
    .on_message_complete = end_reply,
};

void load_http_reader_init(struct load_http_reader *r)
{
    memset(r, 0, offsetof(struct load_http_reader, known_head));
    http_parser_init(&r->parser, HTTP_RESPONSE);
    r->parser.data = r;
}

/* Keeps the head of a reply of n bytes that stands in the buffer as a whole, if its length is told
 * by nothing but Content-Length. */
static void learn(struct load_http_reader *r, const char *reply, size_t n)
{
    r->known_head_len = 0;
    if (r->closes || r->parser.status_code != 200 || r->parser.flags & F_CHUNKED)
        return;
    if (!(r->parser.flags & F_CONTENTLENGTH) || r->body_len > n)
        return;
    size_t head_len = n - (size_t)r->body_len;
    if (head_len > sizeof(r->known_head))
        return;
    memcpy(r->known_head, reply, head_len);
    r->known_head_len = head_len;
    r->known_len = n;
}

static bool is_known(const struct load_http_reader *r, const char *at, size_t n)
{
    return r->known_head_len && !r->is_inside && n >= r->known_len &&
           memcmp(at, r->known_head, r->known_head_len) == 0;
}

/* Parses up to the end of one reply. Returns the bytes used, or -EPROTO. */
static ssize_t parse(struct load_http_reader *r, const char *at, size_t n)
{
    bool is_whole = !r->is_inside;
    size_t used = http_parser_execute(&r->parser, &settings, at, n);
    if (!r->is_complete)
        return HTTP_PARSER_ERRNO(&r->parser) == HPE_OK ? (ssize_t)used : -EPROTO;
    http_parser_pause(&r->parser, 0);
    r->is_complete = false;
    r->is_inside = false;
    r->closes = !http_should_keep_alive(&r->parser);
    if (r->parser.status_code != 200) {
        r->bad_status = r->parser.status_code;
        r->bad_count++;
    }
    if (is_whole)
        learn(r, at, used);
    return (ssize_t)used;
}

int load_http_reader_feed(struct load_http_reader *r, const char *data, size_t n, unsigned due)
{
    unsigned ended = 0;
    r->bad_count = 0;
    if (n == 0) { /* a reply without a length ends with the stream; any other has been cut */
        bool was_inside = r->is_inside;
        return parse(r, data, 0) == 0 && was_inside && !r->is_inside;
    }
    while (n > 0 && !r->closes) {
        if (ended == due)
            return -EPROTO;
        ssize_t used = (ssize_t)r->known_len;
        if (is_known(r, data, n)) {
            ended++;
        } else {
            used = parse(r, data, n);
            if (used < 0)
                return -EPROTO;
            ended += !r->is_inside;
        }
        data += used;
        n -= (size_t)used;
    }
    return (int)ended;
}
