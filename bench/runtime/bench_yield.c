/* bench/runtime/bench_yield.c - coroutines that yield to each other. Unit: ns per yield. */
#include <skua/skua.h>

#include "bench/shim/skb.h"

enum { YIELDS = 10000 };

static int yielder(void *arg)
{
    (void)arg;
    for (int i = 0; i < YIELDS; i++)
        skua_yield();
    return 0;
}

/* With two workers it also shows what it costs that both want the same two coroutines. */
SKB_BENCH("yield", .workers = {1, 2}, .arg_names = {"coroutines"}, .args = {{2}, {100}},
          .arg_rows = 2)
{
    int64_t coroutines = skb_arg(b, 0);
    while (skb_next(b)) {
        skua_scope scope;
        skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
        for (int64_t i = 0; i < coroutines; i++)
            skb_must(skua_spawn(&scope, yielder, NULL));
        skua_scope_close(&scope, SKUA_NEVER);
    }
    skb_items(b, (uint64_t)coroutines * YIELDS);
}
