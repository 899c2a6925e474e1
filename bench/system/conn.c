/* bench/system/conn.c - one connection of the load generator. Coroutine only, all of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/system/echo_check.h"
#include "bench/system/http_reader.h"
#include "bench/system/load.h"

#define DIAL_NS  SKUA_S(10)
#define RETRY_NS SKUA_MS(100) /* between two attempts at a server that fails */

/* A batch ended well; so did the connection, and a new one is to be made; or it failed and that has
 * been counted. */
enum outcome { BATCH_DONE, BATCH_CLOSED, BATCH_FAILED };

struct conn {
    struct load *load;
    int fd;
    bool is_settled;
    uint64_t sent; /* echo: positions in the stream */
    uint64_t received;
    struct load_http_reader reader;
    char in[LOAD_IN_BYTES];
};

/* The tally of the worker that runs the caller: not to be kept across a wait. */
static struct load_tally *own_tally(struct conn *c)
{
    return &c->load->tallies[skua_worker()];
}

/* Counts an error, unless it only says that the run was ended early. */
static enum outcome fail(struct conn *c, enum load_error kind, int code, unsigned times)
{
    struct load_tally *tally = own_tally(c);
    if (code == -ECANCELED) {
        if (!atomic_load_explicit(&c->load->x_late, memory_order_relaxed))
            return BATCH_FAILED;
        kind = LOAD_ERROR_TIMEOUT;
        code = 0;
    }
    load_count(&tally->x_errors[kind], times);
    atomic_store_explicit(&tally->x_codes[kind], code, memory_order_relaxed);
    return BATCH_FAILED;
}

static void count_answers(struct conn *c, skua_time start, unsigned answers)
{
    struct load_tally *tally = own_tally(c);
    load_hist_add(&tally->hist, (uint64_t)(skua_now() - start), answers);
    load_count(&tally->x_requests, answers);
}

static enum outcome end_of_stream(struct conn *c, ssize_t n)
{
    return n == 0 ? fail(c, LOAD_ERROR_CLOSED, 0, 1) : fail(c, LOAD_ERROR_READ, (int)n, 1);
}

static enum outcome run_http_batch(struct conn *c, skua_time start)
{
    struct load *load = c->load;
    int rc = skua_write_full(c->fd, load->batch, load->batch_len, NULL, SKUA_NEVER);
    if (rc < 0)
        return fail(c, LOAD_ERROR_WRITE, rc, 1);
    load_count(&own_tally(c)->x_bytes_out, load->batch_len);
    for (unsigned due = load->options.pipeline; due > 0;) {
        ssize_t n = skua_read(c->fd, c->in, sizeof(c->in), SKUA_NEVER);
        if (n < 0)
            return end_of_stream(c, n);
        load_count(&own_tally(c)->x_bytes_in, (uint64_t)n);
        int answers = load_http_reader_feed(&c->reader, c->in, (size_t)n, due);
        if (answers < 0)
            return fail(c, LOAD_ERROR_CONTENT, answers, 1);
        unsigned bad = c->reader.bad_count;
        if (bad > 0)
            fail(c, LOAD_ERROR_STATUS, (int)c->reader.bad_status, bad);
        if ((unsigned)answers > bad)
            count_answers(c, start, (unsigned)answers - bad);
        due -= (unsigned)answers;
        if (c->reader.closes)
            return BATCH_CLOSED; /* as the server said; requests behind that one were not answered */
        if (n == 0)
            return end_of_stream(c, n);
    }
    return BATCH_DONE;
}

/* Sends as much as the window allows of what the batch still has. */
static int send_echo(struct conn *c, uint64_t end)
{
    uint64_t n = end - c->sent;
    if (n > LOAD_ECHO_WINDOW - (c->sent - c->received))
        n = LOAD_ECHO_WINDOW - (c->sent - c->received);
    if (n == 0)
        return 0;
    int rc = skua_write_full(c->fd, load_echo_at(c->load->pattern, c->sent), n, NULL, SKUA_NEVER);
    if (rc < 0)
        return rc;
    c->sent += n;
    load_count(&own_tally(c)->x_bytes_out, n);
    return 0;
}

static enum outcome run_echo_batch(struct conn *c, skua_time start)
{
    size_t bytes = c->load->options.bytes;
    uint64_t first = c->received;
    uint64_t end = first + (uint64_t)bytes * c->load->options.pipeline;
    while (c->received < end) {
        int rc = send_echo(c, end);
        if (rc < 0)
            return fail(c, LOAD_ERROR_WRITE, rc, 1);
        ssize_t n = skua_read(c->fd, c->in, sizeof(c->in), SKUA_NEVER);
        if (n <= 0)
            return end_of_stream(c, n);
        load_count(&own_tally(c)->x_bytes_in, (uint64_t)n);
        if ((uint64_t)n > c->sent - c->received ||
            memcmp(c->in, load_echo_at(c->load->pattern, c->received), (size_t)n) != 0)
            return fail(c, LOAD_ERROR_CONTENT, 0, 1);
        uint64_t before = (c->received - first) / bytes;
        c->received += (uint64_t)n;
        uint64_t after = (c->received - first) / bytes;
        if (after > before)
            count_answers(c, start, (unsigned)(after - before));
    }
    return BATCH_DONE;
}

static bool is_stopping(const struct conn *c)
{
    return atomic_load_explicit(&c->load->x_stopping, memory_order_relaxed);
}

static enum outcome run_batches(struct conn *c)
{
    enum outcome outcome = BATCH_DONE;
    while (outcome == BATCH_DONE && !is_stopping(c)) {
        skua_time start = skua_now();
        outcome = c->load->options.is_echo ? run_echo_batch(c, start) : run_http_batch(c, start);
    }
    return outcome;
}

/* The first attempt, good or bad, is what the main coroutine waits for. */
static void settle(struct conn *c)
{
    struct load *load = c->load;
    if (c->is_settled)
        return;
    c->is_settled = true;
    atomic_fetch_sub_explicit(&load->x_connecting, 1, memory_order_relaxed);
    unsigned before = atomic_fetch_add_explicit(&load->x_settled, 1, memory_order_relaxed);
    if (before + 1 == load->options.connections)
        skua_event_set(&load->settled);
}

/* Connects, runs until the connection or the run ends, closes. */
static enum outcome run_connection(struct conn *c, unsigned index)
{
    c->fd = skua_dial(c->load->options.address, NULL, skua_in(DIAL_NS));
    if (c->fd < 0) {
        fail(c, LOAD_ERROR_CONNECT, c->fd, 1);
        settle(c);
        return BATCH_FAILED;
    }
    atomic_fetch_add_explicit(&c->load->x_connected, 1, memory_order_relaxed);
    settle(c);
    load_http_reader_init(&c->reader);
    c->sent = c->received = load_echo_start(index);
    enum outcome outcome = BATCH_FAILED;
    if (skua_event_wait(&c->load->go, SKUA_NEVER) == 0)
        outcome = run_batches(c);
    atomic_fetch_sub_explicit(&c->load->x_connected, 1, memory_order_relaxed);
    skua_close(c->fd);
    return outcome;
}

int load_conn_run(void *arg)
{
    const struct load_conn_start *start = arg;
    struct conn *c = malloc(sizeof(*c));
    if (!c)
        return -ENOMEM; /* the scope's failure: it ends the run */
    c->load = start->load;
    c->is_settled = false;
    for (;;) {
        enum outcome outcome = run_connection(c, start->index);
        if (is_stopping(c) || skua_cancelled())
            break;
        if (outcome == BATCH_FAILED && skua_sleep(RETRY_NS) < 0)
            break;
        load_count(&own_tally(c)->x_reconnects, 1);
    }
    free(c);
    return 0;
}
