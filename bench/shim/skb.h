/* bench/shim/skb.h - Google Benchmark for benchmarks that are written in C.
 *
 *     SKB_BENCH("list/push_pop") { while (skb_next(b)) { ...one operation... } }
 *
 * In the body, `b` is the running benchmark. What stands before the loop is set-up and is not
 * timed. After the name come options, as in a designated initialiser:
 *
 *     SKB_BENCH("fib", .workers = {1, 2}, .arg_names = {"n"}, .args = {{20}, {27}}, .arg_rows = 2)
 *
 * With .workers the body runs in a coroutine, once for each number of workers, in a runtime that
 * was started for it (SKUA_WORKERS overrides). Without, it runs in the main thread, without one.
 * Time is wall-clock time; CPU time is the whole process's. `main` is Google Benchmark's, with its
 * options (--benchmark_filter=..., --benchmark_format=json). */
#ifndef SKUA_BENCH_SHIM_SKB_H
#define SKUA_BENCH_SHIM_SKB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SKB_WORKERS = 4, /* numbers of workers that one benchmark may be run with */
    SKB_ROWS = 8,    /* sets of arguments */
    SKB_COLUMNS = 3, /* arguments in a set */
};

/* A running benchmark. `left` counts the iterations down without a call into C++. */
struct skb {
    uint64_t left;
    void *state;
};

struct skb_def {
    const char *name;
    unsigned workers[SKB_WORKERS];      /* up to the first 0 */
    const char *arg_names[SKB_COLUMNS]; /* up to the first NULL */
    int64_t args[SKB_ROWS][SKB_COLUMNS];
    unsigned arg_rows;
    int64_t iterations; /* exactly so many; 0: as many as give a stable time */
    void (*body)(struct skb *b);
    struct skb_def *next;
};

void skb_register(struct skb_def *def);

/* The first call starts the clock; the one after the last iteration stops it. */
bool skb_next_slow(struct skb *b);

static inline bool skb_next(struct skb *b)
{
    if (b->left == 0)
        return skb_next_slow(b);
    b->left--;
    return true;
}

/* The argument in a column of .args. */
int64_t skb_arg(const struct skb *b, unsigned column);

/* Call after the loop: an iteration was so many operations. Reports items_per_second, and as
 * `per_item` the time of one. */
void skb_items(struct skb *b, uint64_t per_iteration);

/* Call after the loop: a value of the benchmark's own, as it is. */
void skb_counter(struct skb *b, const char *name, double value);

/* Leaves the benchmark out, with a reason. The loop, if it is reached, is not entered. */
void skb_skip(struct skb *b, const char *why);

/* Excludes what stands between them, inside the loop, from the time: some 100 ns each. */
void skb_pause(struct skb *b);
void skb_resume(struct skb *b);

/* The compiler must assume that the value is used. */
#define skb_keep(value)                                    \
    do {                                                   \
        __typeof__(value) skb_kept = (value);              \
        __asm__ volatile("" : : "g"(skb_kept) : "memory"); \
    } while (0)

/* What a benchmark cannot go on without. */
static inline void skb_must(int rc)
{
    if (rc < 0)
        abort();
}

/* The first variadic argument is the name; the others are initialisers. */
#define SKB_BENCH(...)        SKB_BENCH_AT(__COUNTER__, __VA_ARGS__)
#define SKB_BENCH_AT(id, ...) SKB_BENCH_DEFINE(id, __VA_ARGS__)
#define SKB_BENCH_DEFINE(id, ...)                                                      \
    static void skb_body_##id(struct skb *b);                                          \
    static struct skb_def skb_def_##id = {.body = skb_body_##id, .name = __VA_ARGS__}; \
    __attribute__((constructor)) static void skb_register_##id(void)                   \
    {                                                                                  \
        skb_register(&skb_def_##id);                                                   \
    }                                                                                  \
    static void skb_body_##id(struct skb *b)

/* Runs body(b) in a coroutine of a runtime that lives as long as the call. A negative errno if it
 * could not be started or stopped. */
int skb_run_in_runtime(unsigned workers, void (*body)(struct skb *), struct skb *b);

#ifdef __cplusplus
}
#endif

#endif
