/* bench/runtime/bench_spawn.c - coroutines that are spawned into a scope, run and joined by its
 * close. Unit: ns per coroutine. */
#include <skua/skua.h>

#include "bench/shim/skb.h"

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int yield_once(void *arg)
{
    (void)arg;
    return skua_yield();
}

static void spawn_and_join(struct skb *b, int (*child)(void *))
{
    int64_t outstanding = skb_arg(b, 0);
    while (skb_next(b)) {
        skua_scope scope;
        skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
        for (int64_t i = 0; i < outstanding; i++)
            skb_must(skua_spawn(&scope, child, NULL));
        skua_scope_close(&scope, SKUA_NEVER);
    }
    skb_items(b, (uint64_t)outstanding);
}

/* Most children run as a plain call on the closer's stack; 10,000 overflow the deque. */
SKB_BENCH("spawn_join", .workers = {1, 2}, .arg_names = {"outstanding"},
          .args = {{1}, {10}, {1000}, {10000}}, .arg_rows = 4)
{
    spawn_and_join(b, nothing);
}

/* Each child suspends, so it needs a stack and the scheduler. */
SKB_BENCH("spawn_yield_join", .workers = {1, 2}, .arg_names = {"outstanding"},
          .args = {{1}, {10}, {1000}, {10000}}, .arg_rows = 4)
{
    spawn_and_join(b, yield_once);
}
