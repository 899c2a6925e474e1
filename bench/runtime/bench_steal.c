/* bench/runtime/bench_steal.c - work that reaches its worker only by being stolen: the one that
 * spawns it never lets go of its own core. Unit: ns per stolen coroutine. */
#include <stdatomic.h>

#include <skua/skua.h>

#include "arch.h"
#include "bench/shim/skb.h"

static atomic_int done;

static int count_me(void *arg)
{
    (void)arg;
    atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
    return 0;
}

static uint64_t all_steals(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < skua_workers(); i++) {
        skua_stats_view stats = SKUA_STATS_VIEW_INIT;
        skua_stats(&stats, i);
        sum += stats.steals;
    }
    return sum;
}

SKB_BENCH("steal", .workers = {2}, .arg_names = {"batch"}, .args = {{100}, {4000}}, .arg_rows = 2)
{
    int batch = (int)skb_arg(b, 0);
    if (skua_workers() < 2) {
        skb_skip(b, "nobody to steal: needs two workers");
        return;
    }
    uint64_t before = all_steals(), spawned = 0;
    while (skb_next(b)) {
        skua_scope scope;
        skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
        atomic_store_explicit(&done, 0, memory_order_relaxed);
        for (int i = 0; i < batch; i++)
            skb_must(skua_spawn(&scope, count_me, NULL));
        while (atomic_load_explicit(&done, memory_order_relaxed) < batch)
            sk_arch_pause();
        skua_scope_close(&scope, SKUA_NEVER);
        spawned += (uint64_t)batch;
    }
    skb_items(b, (uint64_t)batch);
    skb_counter(b, "stolen", (double)(all_steals() - before) / (double)spawned); /* should be 1 */
}
