/* bench/system/load.h - what the parts of the load generator share.
 *
 * load.c runs the whole: it opens the connections, lets them go, ends them. conn.c is one connection,
 * a closed loop: it sends a batch, waits for all answers, sends the next. http_reader.c and
 * echo_check.c know the two protocols; hist.c keeps times; options.c and report.c talk to people. */
#ifndef BENCH_SYSTEM_LOAD_H
#define BENCH_SYSTEM_LOAD_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <skua/skua.h>

#include "bench/system/hist.h"

enum {
    LOAD_CONNECTIONS_MAX = 10000,
    LOAD_PIPELINE_MAX = 1000,
    LOAD_BYTES_MAX = 64 << 20,
    /* Of an HTTP batch: it is written whole before anything is read, so it must fit what the two
     * sockets hold, or a server that waits for us to read would have us wait for it. */
    LOAD_BATCH_MAX = 64 << 10,
    LOAD_IN_BYTES = 16 << 10, /* of one read */
    LOAD_WORKERS_MAX = 1024
};

struct load_options {
    bool is_echo;
    bool is_json;
    unsigned connections;
    unsigned pipeline; /* requests per batch */
    unsigned workers;  /* 0: the runtime's default */
    size_t bytes;      /* of an echo message */
    int64_t duration_ns;
    const char *path;
    const char *address;
};

enum load_error {
    LOAD_ERROR_CONNECT,
    LOAD_ERROR_WRITE,
    LOAD_ERROR_READ,
    LOAD_ERROR_CLOSED,  /* the server ended the connection, answers were due */
    LOAD_ERROR_STATUS,  /* HTTP, but not 200 */
    LOAD_ERROR_CONTENT, /* not HTTP, not what was sent, or more than was asked for */
    LOAD_ERROR_TIMEOUT, /* answers were still due when the run had ended */
    LOAD_ERROR_KINDS
};

/* Each worker counts for itself. Its coroutines write; the progress line reads meanwhile. */
struct load_tally {
    alignas(64) _Atomic(uint64_t) x_requests; /* answered and checked */
    _Atomic(uint64_t) x_bytes_in;
    _Atomic(uint64_t) x_bytes_out;
    _Atomic(uint64_t) x_reconnects;
    _Atomic(uint64_t) x_errors[LOAD_ERROR_KINDS];
    _Atomic(int) x_codes[LOAD_ERROR_KINDS]; /* the latest negative errno, or status */
    struct load_hist hist;                  /* read only when all coroutines have ended */
};

struct load {
    struct load_options options;
    char *batch; /* HTTP: the requests of a batch */
    size_t batch_len;
    char *pattern; /* echo: what the messages are made of (echo_check.h) */
    struct load_tally *tallies;
    unsigned workers;

    skua_event settled; /* all connections have been tried once */
    skua_event go;      /* they may begin */
    _Atomic(unsigned) x_connecting;
    _Atomic(unsigned) x_settled;
    _Atomic(unsigned) x_connected;
    _Atomic(bool) x_stopping; /* finish the batch and end */
    _Atomic(bool) x_late;     /* the time for that is over: what is still due is an error */
    int64_t elapsed_ns;
};

/* Adds to a counter of the caller's own worker: nobody else writes it. */
static inline void load_count(_Atomic(uint64_t) *counter, uint64_t n)
{
    uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, old + n, memory_order_relaxed);
}

/* options.c: parses the command line. False, after a message on standard error, if it is wrong. */
bool load_options_parse(struct load_options *o, int argc, char **argv);

/* conn.c: a connection; arg is a struct load_conn_start. Never fails: it counts errors. */
struct load_conn_start {
    struct load *load;
    unsigned index;
};
int load_conn_run(void *arg);

/* report.c */
uint64_t load_report_errors(const struct load *load);
uint64_t load_report_requests(const struct load *load);
void load_report_progress(const struct load *load, unsigned second, uint64_t rate);
void load_report_print(const struct load *load);

#endif
