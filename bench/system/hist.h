/* bench/system/hist.h - a histogram of times, for percentiles.
 *
 * Owns:    struct load_hist. No other file touches its fields.
 * Threads: none of its own; each worker has one, and they are added up at the end.
 *
 * Log-linear: every power of two is cut into 128 equal parts, so a percentile is at most 0.8 % too
 * high, from one nanosecond to eighteen minutes. */
#ifndef BENCH_SYSTEM_HIST_H
#define BENCH_SYSTEM_HIST_H

#include <stdint.h>

enum {
    LOAD_HIST_PART_BITS = 7,
    LOAD_HIST_MAX_BITS = 40, /* a longer time counts as the longest */
    LOAD_HIST_BUCKETS = (LOAD_HIST_MAX_BITS - LOAD_HIST_PART_BITS + 1) << LOAD_HIST_PART_BITS
};

struct load_hist {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[LOAD_HIST_BUCKETS];
};

/* Adds `times` requests that took ns each. */
void load_hist_add(struct load_hist *h, uint64_t ns, uint64_t times);

/* Adds all that is in from. */
void load_hist_merge(struct load_hist *h, const struct load_hist *from);

/* The time within which `percent` of the requests were answered; 0 if there were none. */
uint64_t load_hist_percentile(const struct load_hist *h, double percent);

#endif
