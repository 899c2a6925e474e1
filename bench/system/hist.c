/* bench/system/hist.c - see hist.h. */
#include "bench/system/hist.h"

/* Below two parts' worth a bucket is one nanosecond; above, the bucket is the exponent and the
 * PART_BITS bits that follow the leading one. */
static unsigned find_bucket(uint64_t ns)
{
    if (ns >> LOAD_HIST_MAX_BITS)
        ns = ((uint64_t)1 << LOAD_HIST_MAX_BITS) - 1;
    if (ns < (uint64_t)1 << LOAD_HIST_PART_BITS)
        return (unsigned)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - LOAD_HIST_PART_BITS;
    return (shift << LOAD_HIST_PART_BITS) + (unsigned)(ns >> shift);
}

/* The longest time that falls into a bucket. */
static uint64_t find_upper_end(unsigned bucket)
{
    if (bucket < 2u << LOAD_HIST_PART_BITS)
        return bucket;
    unsigned shift = (bucket >> LOAD_HIST_PART_BITS) - 1;
    uint64_t part = bucket - (shift << LOAD_HIST_PART_BITS);
    return ((part + 1) << shift) - 1;
}

void load_hist_add(struct load_hist *h, uint64_t ns, uint64_t times)
{
    h->buckets[find_bucket(ns)] += times;
    h->count += times;
    if (ns > h->max)
        h->max = ns;
}

void load_hist_merge(struct load_hist *h, const struct load_hist *from)
{
    for (unsigned i = 0; i < LOAD_HIST_BUCKETS; i++)
        h->buckets[i] += from->buckets[i];
    h->count += from->count;
    if (from->max > h->max)
        h->max = from->max;
}

uint64_t load_hist_percentile(const struct load_hist *h, double percent)
{
    double exact = (double)h->count * percent / 100;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact || rank == 0)
        rank++; /* the smallest number of requests that is at least so many */
    uint64_t seen = 0;
    for (unsigned i = 0; i < LOAD_HIST_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= rank) {
            uint64_t ns = find_upper_end(i);
            return ns < h->max ? ns : h->max;
        }
    }
    return h->max; /* nothing was counted: 0 */
}
