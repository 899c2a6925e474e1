/* bench/runtime/bench_block.c - calls handed to the threads of skua_block. Unit: ns per call. */
#include <skua/skua.h>

#include "bench/shim/skb.h"

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int block_once(void *arg)
{
    return skua_block(nothing, arg, SKUA_NEVER);
}

/* One coroutine, one call after the other: two threads wake each other. */
SKB_BENCH("block/call", .workers = {1, 2})
{
    while (skb_next(b))
        skb_keep(skua_block(nothing, NULL, SKUA_NEVER));
}

/* So many at once, each by a coroutine of its own. */
SKB_BENCH("block/calls", .workers = {1, 2}, .arg_names = {"outstanding"}, .args = {{10}, {1000}},
          .arg_rows = 2)
{
    int64_t outstanding = skb_arg(b, 0);
    while (skb_next(b)) {
        skua_scope scope;
        skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
        for (int64_t i = 0; i < outstanding; i++)
            skb_must(skua_spawn(&scope, block_once, NULL));
        skua_scope_close(&scope, SKUA_NEVER);
    }
    skb_items(b, (uint64_t)outstanding);
}
