/* bench/runtime/bench_gen.c - generators. Unit: ns per value, that is for a next and a yield. */
#include <skua/skua.h>

#include "bench/shim/skb.h"

static int count(skua_gen *g, void *arg)
{
    uint64_t in = 0;
    (void)arg;
    for (uint64_t i = 0;; i++)
        if (skua_gen_yield(g, &i, &in) < 0)
            return 0;
}

static void run(struct skb *b, size_t in_bytes)
{
    skua_gen *g;
    uint64_t value = 0, sum = 0;
    if (skua_gen_new(&g, count, NULL, sizeof(value), in_bytes) < 0) {
        skb_skip(b, "no memory");
        return;
    }
    while (skb_next(b)) {
        skua_gen_next(g, &value, &value);
        sum += value;
    }
    skb_keep(sum);
    skua_gen_free(g);
}

SKB_BENCH("gen/next", .workers = {1})
{
    run(b, 0);
}

SKB_BENCH("gen/send", .workers = {1})
{
    run(b, sizeof(uint64_t));
}

SKB_BENCH("gen/plain_thread")
{
    run(b, 0);
}

/* Made, asked for one value and freed while suspended. Unit: ns per generator. */
SKB_BENCH("gen/life", .workers = {1})
{
    while (skb_next(b)) {
        skua_gen *g;
        uint64_t value;
        if (skua_gen_new(&g, count, NULL, sizeof(value), 0) < 0)
            continue;
        skua_gen_next(g, NULL, &value);
        skb_keep(value);
        skua_gen_free(g);
    }
}
