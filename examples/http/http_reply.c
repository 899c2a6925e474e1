/* examples/http/http_reply.c - see http_reply.h. */
#include "http_reply.h"

#include <assert.h>
#include <stdalign.h>
#include <string.h>
#include <time.h>

#include <skua/skua.h>

enum {
    WORKERS_MAX = 1024,
    DATE_LINE_BYTES = sizeof("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n") - 1
};

struct text {
    const char *head; /* status line and headers but Date and Connection */
    const char *body;
    size_t head_len;
    size_t body_len;
};

/* length is the body's, as the header wants it: text. tests/system/test_http.py compares them. */
#define TEXT_HEAD(status, length) \
    "HTTP/1.1 " status "\r\nContent-Type: text/plain\r\nContent-Length: " length "\r\n"
#define TEXT(status, length, content)                                              \
    {                                                                              \
        TEXT_HEAD(status, length), content, sizeof(TEXT_HEAD(status, length)) - 1, \
            sizeof(content) - 1                                                    \
    }

static const struct text texts[] = {
    [HTTP_REPLY_HELLO] = TEXT("200 OK", "14", "Hello, world!\n"),
    [HTTP_REPLY_SLOW] = TEXT("200 OK", "13", "Hello, slow!\n"),
    [HTTP_REPLY_NOT_FOUND] = TEXT("404 Not Found", "10", "Not found\n"),
    [HTTP_REPLY_BAD] = TEXT("400 Bad Request", "12", "Bad request\n"),
    [HTTP_REPLY_TIMEOUT] = TEXT("408 Request Timeout", "16", "Request timeout\n"),
    [HTTP_REPLY_TOO_LARGE] =
        TEXT("431 Request Header Fields Too Large", "32", "Request header fields too large\n"),
    [HTTP_REPLY_VERSION] =
        TEXT("505 HTTP Version Not Supported", "27", "HTTP version not supported\n"),
};

static_assert(sizeof(TEXT_HEAD("404 Not Found", "10")) + DATE_LINE_BYTES +
                      sizeof("\r\nNot found\n") <=
                  HTTP_REPLY_TO_MIN + 2,
              "the replies to GET / and to a path of one letter fit HTTP_REPLY_TO_MIN");
static_assert(sizeof(TEXT_HEAD("431 Request Header Fields Too Large", "32")) + DATE_LINE_BYTES +
                      sizeof("Connection: keep-alive\r\n\r\nRequest header fields too large\n") <=
                  HTTP_REPLY_MAX,
              "the longest reply fits HTTP_REPLY_MAX");

static char *put(char *at, const char *text, size_t n)
{
    memcpy(at, text, n);
    return at + n;
}

/* The Date line, which changes once a second. Each worker has its own, so no two threads meet. The
 * array is indexed anew at every call: a coroutine may be on another worker after each wait. */
static char *put_date(char *at)
{
    static struct {
        alignas(64) time_t second;
        char line[DATE_LINE_BYTES + 1];
    } dates[WORKERS_MAX];
    unsigned worker = skua_worker() % WORKERS_MAX;
    time_t now = time(NULL);
    if (now != dates[worker].second) {
        struct tm tm;
        gmtime_r(&now, &tm);
        strftime(dates[worker].line, sizeof(dates[worker].line), "Date: %a, %d %b %Y %T GMT\r\n",
                 &tm);
        dates[worker].second = now;
    }
    return put(at, dates[worker].line, DATE_LINE_BYTES);
}

size_t http_reply_put(char *at, enum http_reply reply, const struct http_conn *c)
{
    static const char close_end[] = "Connection: close\r\n\r\n";
    static const char keep_end[] = "Connection: keep-alive\r\n\r\n";
    const struct text *text = &texts[reply];
    char *end = put_date(put(at, text->head, text->head_len));
    if (!c || !c->keep_alive)
        end = put(end, close_end, sizeof(close_end) - 1);
    else if (c->is_old)
        end = put(end, keep_end, sizeof(keep_end) - 1);
    else
        end = put(end, "\r\n", 2);
    if (!c || !c->is_head)
        end = put(end, text->body, text->body_len);
    return (size_t)(end - at);
}

size_t http_reply_put_continue(char *at)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    return (size_t)(put(at, text, sizeof(text) - 1) - at);
}
