/* bench/sync/bench_future.c - a future's life. Unit: ns per future. */
#include <skua/skua.h>

#include "bench/shim/skb.h"

/* Made, set, read and freed by one coroutine: nobody waits. */
SKB_BENCH("future/set_get", .workers = {1}, .arg_names = {"bytes"}, .args = {{0}, {8}, {64}},
          .arg_rows = 3)
{
    char value[64] = {0};
    size_t bytes = (size_t)skb_arg(b, 0);
    while (skb_next(b)) {
        skua_future *f;
        if (skua_future_new(&f, bytes) < 0)
            continue;
        skua_future_set(f, value);
        skb_keep(skua_future_get(f, value, SKUA_NEVER));
        skua_future_unref(f);
    }
}

static int set(void *f)
{
    uint64_t value = 1;
    int rc = skua_future_set(f, &value);
    skua_future_unref(f);
    return rc;
}

/* Set by another coroutine, for which the first one waits. */
SKB_BENCH("future/spawn_set_get", .workers = {1, 2})
{
    skua_scope scope;
    uint64_t value;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    while (skb_next(b)) {
        skua_future *f;
        if (skua_future_new(&f, sizeof(value)) < 0)
            continue;
        skb_must(skua_spawn(&scope, set, skua_future_ref(f)));
        skb_keep(skua_future_get(f, &value, SKUA_NEVER));
        skua_future_unref(f);
    }
    skua_scope_close(&scope, SKUA_NEVER);
}
