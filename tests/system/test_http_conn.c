/* tests/system/test_http_conn.c - the examples' HTTP connection, without a runtime or a socket.
 * Goal: requests come out the same however the bytes are cut, the limit is exact, and no garbage
 * does harm. Method: each conversation is fed whole and cut at every byte into exact-size heap
 * copies (an AddressSanitizer build sees every overrun), and its events are written down. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_conn.h"
#include "tests/support/skt.h"

/* What http_conn_feed said of the bytes. A request is its path and whether the connection stays
 * open: k (k0 in HTTP/1.0), or is closed: c. */
struct log {
    char text[1024];
    size_t len;
    bool ended;
};

static void note(struct log *log, struct http_conn *c, enum http_event event)
{
    char *at = log->text + log->len;
    size_t room = sizeof(log->text) - log->len;
    int n = 0;
    switch (event) {
    case HTTP_EVENT_MORE:
        break;
    case HTTP_EVENT_EXPECT:
        n = snprintf(at, room, "expect ");
        break;
    case HTTP_EVENT_REQUEST:
        n = snprintf(at, room, "%s%.*s%s ", c->is_head ? "head:" : "", (int)c->path_len, c->path,
                     c->keep_alive ? (c->is_old ? ":k0" : ":k") : ":c");
        log->ended = !c->keep_alive;
        break;
    case HTTP_EVENT_BAD:
        n = snprintf(at, room, "bad ");
        log->ended = true;
        break;
    case HTTP_EVENT_TOO_LARGE:
        n = snprintf(at, room, "large ");
        log->ended = true;
        break;
    case HTTP_EVENT_VERSION:
        n = snprintf(at, room, "version ");
        log->ended = true;
        break;
    }
    log->len += n > 0 && (size_t)n < room ? (size_t)n : 0;
}

static void feed(struct log *log, struct http_conn *c, const char *data, size_t n)
{
    char *copy = malloc(n ? n : 1);
    memcpy(copy, data, n);
    const char *at = copy;
    while (!log->ended) {
        enum http_event event = http_conn_feed(c, &at, copy + n);
        SKT_TRUE(at >= copy && at <= copy + n);
        note(log, c, event);
        if (event == HTTP_EVENT_MORE || event == HTTP_EVENT_EXPECT)
            break;
    }
    free(copy);
}

/* Feeds data in pieces: `first` bytes, then `step` at a time. */
static void run(struct log *log, const char *data, size_t n, size_t first, size_t step)
{
    struct http_conn c;
    memset(&c, 0xa5, sizeof(c));
    http_conn_init(&c);
    log->len = 0;
    log->text[0] = 0;
    log->ended = false;
    for (size_t at = 0, piece = first; at < n && !log->ended; at += piece, piece = step) {
        if (piece > n - at)
            piece = n - at;
        feed(log, &c, data + at, piece);
    }
}

static void expect_at(int line, const char *data, size_t n, size_t first, size_t step,
                      const char *want)
{
    struct log log;
    run(&log, data, n, first, step);
    if (strcmp(log.text, want) != 0)
        skt_fail(__FILE__, line, "fed %zu, then by %zu of %zu bytes: '%s', not '%s'", first, step,
                 n, log.text, want);
}

static void expect_all(int line, const char *data, size_t n, const char *want)
{
    for (size_t first = 1; first <= n; first++)
        expect_at(line, data, n, first, n, want);
    for (size_t step = 1; step <= n && step < 10; step++)
        expect_at(line, data, n, step, step, want);
}

#define EXPECT(data, want) expect_all(__LINE__, data, sizeof(data) - 1, want)

SKT_TEST(http_conn, requests)
{
    EXPECT("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "/:k ");
    EXPECT("GET / HTTP/1.1\n\n", "/:k ");
    EXPECT("\r\n\r\nGET /slow?a=b#c HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\n", "/slow:k head:/:k ");
    EXPECT("GET http://a.b:80/slow?x HTTP/1.1\r\n\r\n", "/slow:k ");
    EXPECT("GET http://a.b?x HTTP/1.1\r\n\r\n", "/:k ");
    EXPECT("OPTIONS * HTTP/1.1\r\n\r\nCONNECT a:443 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
           "*:k a:443:k /:k ");
    EXPECT("GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
           "GET /a HTTP/1.1\r\n\r\n",
           "/:k /a:k ");
    EXPECT("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n", "/:c ");
    EXPECT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n", "/:k0 /:c ");
    EXPECT("GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.0\r\n\r\n", "/:c ");
}

SKT_TEST(http_conn, bodies)
{
    EXPECT("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /GET /a HTTP/1.1\r\n\r\n", "/:k /a:k ");
    EXPECT("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n10\r\n"
           "0123456789abcdef\r\n0\r\nExpect: 100-continue\r\n\r\nGET /a HTTP/1.1\r\n\r\n",
           "/:k /a:k ");
    EXPECT("POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "bad ");
    EXPECT("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "bad ");
    EXPECT("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "bad ");
    EXPECT("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "bad ");
    /* The client waits after the head; what was cut before says nothing yet. */
    EXPECT("POST / HTTP/1.1\r\neXpect: 100-Continue\r\nContent-Length: 5\r\n\r\n", "expect ");
    EXPECT("POST / HTTP/1.1\r\nExpect: 100-continuex\r\nContent-Length: 5\r\n\r\n", "");
    EXPECT("POST / HTTP/1.1\r\nExpecto: 100-continue\r\nContent-Length: 5\r\n\r\n", "");
    EXPECT("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", "");
    static const char sent[] =
        "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde";
    expect_at(__LINE__, sent, sizeof(sent) - 1, sizeof(sent) - 1, 1, "/:k ");
    expect_at(__LINE__, sent, sizeof(sent) - 1, sizeof(sent) - 4, 1, "/:k ");
    expect_at(__LINE__, sent, sizeof(sent) - 1, sizeof(sent) - 6, 1, "expect /:k ");
}

SKT_TEST(http_conn, garbage)
{
    EXPECT("GET /\r\n\r\n", "bad ");
    EXPECT("GET / HTTP/2.0\r\n\r\n", "version ");
    EXPECT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "bad ");
    EXPECT("\x16\x03\x01\x02\x00\x01", "bad ");
    EXPECT("hello\r\n\r\n", "bad ");
    EXPECT("GET  HTTP/1.1\r\n\r\n", "bad ");
    EXPECT("GET / HTTP/1.1\r\nno colon\r\n\r\n", "bad ");
    EXPECT("GET / HTTP/1.1\r\n\0: x\r\n\r\n", "bad ");
    EXPECT("GET / HTTP/1.1\r\nHost: a\r\n\r\ngarbage", "/:k bad ");
}

/* A head of exactly n bytes, filled up in its target or in a header. */
static size_t make_head(char *at, size_t n, bool in_target)
{
    static const char start[] = "GET /";
    static const char middle[] = " HTTP/1.1\r\nX: ";
    static const char end[] = "\r\n\r\n";
    size_t fill = n - strlen(start) - strlen(middle) - strlen(end);
    int len = snprintf(at, n + 1, "%s%*s%s%*s%s", start, in_target ? (int)fill : 0, "", middle,
                       in_target ? 0 : (int)fill, "", end);
    for (char *p = at + strlen(start); in_target && p < at + strlen(start) + fill; p++)
        *p = 'a';
    for (char *p = at + n - strlen(end) - fill; !in_target && p < at + n - strlen(end); p++)
        *p = 'a';
    SKT_EQ(len, (int)n);
    return n;
}

SKT_TEST(http_conn, limit)
{
    static char data[4 * HTTP_CONN_HEAD_MAX];
    size_t steps[] = {1, 7, 1000, 3584, 8191, 8192, 8193, sizeof(data)};
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        size_t n = make_head(data, 8192, false);
        expect_at(__LINE__, data, n, steps[i], steps[i], "/:k ");
        n += make_head(data + n, 8192, false); /* each request has the limit for itself */
        n += make_head(data + n, 8193, false);
        expect_at(__LINE__, data, n, steps[i], steps[i], "/:k /:k large ");
        n = make_head(data, 8193, true);
        expect_at(__LINE__, data, n, steps[i], steps[i], "large ");
        memset(data, '\n', sizeof(data)); /* the parser takes empty lines before a request */
        expect_at(__LINE__, data, sizeof(data), steps[i], steps[i], "large ");
    }
}

/* Bytes that nearly are HTTP: pieces of it put together at random, some bytes changed. */
SKT_TEST(http_conn, noise)
{
    static const char *const words[] = {"GET ",
                                        "/",
                                        " HTTP/1.1\r\n",
                                        "\r\n",
                                        "Host: a",
                                        "\r",
                                        "\n",
                                        "Content-Length: 9",
                                        "POST ",
                                        "0\r\n",
                                        "chunked",
                                        "Transfer-Encoding: ",
                                        "http://x",
                                        "Expect:",
                                        "100-continue",
                                        "Connection: close"};
    unsigned seed = 1;
    struct log log;
    for (int i = 0; i < 100000; i++) {
        char data[256];
        size_t n = 0;
        while (n < 200) {
            seed = seed * 1103515245 + 12345;
            const char *word = words[(seed >> 16) % (sizeof(words) / sizeof(*words))];
            memcpy(data + n, word, strlen(word));
            n += strlen(word);
            if ((seed >> 8) % 64 == 0)
                data[n - 1] = (char)(seed >> 24);
        }
        run(&log, data, n, 1 + seed % n, 1 + (seed >> 5) % n);
    }
}
