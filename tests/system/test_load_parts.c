/* tests/system/test_load_parts.c - the load generator's histogram, reply reader and echo pattern. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/system/echo_check.h"
#include "bench/system/hist.h"
#include "bench/system/http_reader.h"
#include "tests/support/skt.h"

static struct load_hist hist, other;

/* Goal: a percentile is the exact one, or up to 1/128 above it, at every magnitude. */
SKT_TEST(load_hist, error_is_bounded)
{
    for (uint64_t ns = 1; ns < (uint64_t)1 << 39; ns += 1 + ns / 1000) {
        memset(&hist, 0, sizeof(hist));
        load_hist_add(&hist, ns, 1);
        load_hist_add(&hist, UINT64_MAX, 1); /* far away, so that max does not hide the bucket */
        uint64_t got = load_hist_percentile(&hist, 50);
        SKT_GE(got, ns);
        SKT_LE(got - ns, ns / 128);
    }
}

SKT_TEST(load_hist, percentiles)
{
    memset(&hist, 0, sizeof(hist));
    memset(&other, 0, sizeof(other));
    SKT_EQ(load_hist_percentile(&hist, 99), 0);
    for (uint64_t ns = 1; ns <= 100; ns++)
        load_hist_add(ns % 2 ? &hist : &other, ns, 10);
    load_hist_merge(&hist, &other);
    SKT_EQ(hist.count, 1000);
    SKT_EQ(hist.max, 100);
    SKT_EQ(load_hist_percentile(&hist, 50), 50);
    SKT_EQ(load_hist_percentile(&hist, 50.01), 51);
    SKT_EQ(load_hist_percentile(&hist, 99), 99);
    SKT_EQ(load_hist_percentile(&hist, 99.9), 100);
    SKT_EQ(load_hist_percentile(&hist, 100), 100);
}

#define OK(headers, body) "HTTP/1.1 200 OK\r\n" headers "\r\n" body
#define LENGTH(n)         "Content-Length: " n "\r\n"
#define CHUNKED           "Transfer-Encoding: chunked\r\n"

/* Feeds text in pieces of step bytes; returns how many replies ended, or the error. */
static int read_replies(struct load_http_reader *r, const char *text, size_t step, unsigned due)
{
    int ended = 0;
    size_t n = strlen(text);
    load_http_reader_init(r);
    for (size_t at = 0; at < n; at += step) {
        size_t piece = n - at < step ? n - at : step;
        char *copy = malloc(piece); /* exact: a sanitizer sees a byte too many */
        memcpy(copy, text + at, piece);
        int rc = load_http_reader_feed(r, copy, piece, due - (unsigned)ended);
        free(copy);
        if (rc < 0)
            return rc;
        ended += rc;
    }
    return ended;
}

/* Goal: known heads, other heads, other lengths and chunks are told apart wherever they are cut. */
SKT_TEST(load_http_reader, replies_in_any_pieces)
{
    static const char text[] = OK(LENGTH("2"), "ab") OK(LENGTH("2"), "HT") OK(LENGTH("2"), "TP")
        OK(LENGTH("3"), "abc") OK(CHUNKED, "2\r\nab\r\n0\r\n\r\n") OK(LENGTH("2"), "ab")
            OK("X: y\r\n" LENGTH("2"), "ab") OK(LENGTH("2"), "ab") OK(LENGTH("0"), "")
                OK(LENGTH("0"), "");
    struct load_http_reader r;
    for (size_t step = 1; step <= sizeof(text); step++) {
        SKT_EQ(read_replies(&r, text, step, 10), 10);
        SKT_FALSE(r.closes);
        SKT_EQ(r.bad_count, 0);
        SKT_FALSE(r.is_inside);
        SKT_EQ(read_replies(&r, text, step, 9), -EPROTO); /* one more than was due */
    }
}

SKT_TEST(load_http_reader, what_is_wrong)
{
    struct load_http_reader r;
    SKT_EQ(read_replies(&r, "hello", 5, 1), -EPROTO);
    SKT_EQ(read_replies(&r, OK(LENGTH("1"), "ab"), 100, 2), -EPROTO);
    SKT_EQ(read_replies(&r, OK(LENGTH("1"), "a") "HTTP/1.1 503 No\r\n" LENGTH("0") "\r\n", 200, 2),
           2);
    SKT_EQ(r.bad_count, 1);
    SKT_EQ(r.bad_status, 503);
}

SKT_TEST(load_http_reader, ends)
{
    struct load_http_reader r;
    SKT_EQ(read_replies(&r, OK(LENGTH("1") "Connection: close\r\n", "a") "left", 100, 2), 1);
    SKT_TRUE(r.closes);
    SKT_EQ(read_replies(&r, OK("", "until the end"), 3, 1), 0);
    SKT_EQ(load_http_reader_feed(&r, "", 0, 1), 1);
    SKT_TRUE(r.closes);
    SKT_EQ(read_replies(&r, OK(LENGTH("9"), "cut"), 3, 1), 0);
    SKT_EQ(load_http_reader_feed(&r, "", 0, 1), 0);
    load_http_reader_init(&r);
    SKT_EQ(load_http_reader_feed(&r, "", 0, 1), 0);
}

/* Goal: the stream is one whole, whatever position a piece begins at. */
SKT_TEST(load_echo, pattern_never_wraps)
{
    char *pattern = load_echo_pattern();
    SKT_NOT_NULL(pattern);
    for (uint64_t pos = 0; pos < 2 * LOAD_ECHO_PERIOD; pos += 101) {
        const char *piece = load_echo_at(pattern, pos);
        for (uint64_t i = 0; i < LOAD_ECHO_WINDOW; i += 1009)
            SKT_EQ(piece[i], *load_echo_at(pattern, pos + i));
    }
    free(pattern);
}
