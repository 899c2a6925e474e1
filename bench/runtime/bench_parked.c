/* bench/runtime/bench_parked.c - what a coroutine costs that waits: bytes of memory and page
 * tables, and ns to spawn it, park it, wake it and join it. */
#include <stdatomic.h>

#include <skua/skua.h>

#include "bench/peers/report.h"
#include "bench/shim/skb.h"

static atomic_llong waiting;

static int waiter(void *arg)
{
    atomic_fetch_add_explicit(&waiting, 1, memory_order_relaxed);
    return skua_event_wait(arg, SKUA_NEVER);
}

static void park_all(int64_t coroutines, int64_t *bytes)
{
    skua_event event = SKUA_EVENT_INIT;
    skua_scope scope;
    atomic_store_explicit(&waiting, 0, memory_order_relaxed);
    int64_t before = report_memory_bytes();
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    int64_t spawned = 0;
    while (spawned < coroutines && skua_spawn(&scope, waiter, &event) == 0)
        spawned++;
    while (atomic_load_explicit(&waiting, memory_order_relaxed) < spawned)
        skua_yield();
    *bytes = spawned == coroutines ? report_memory_bytes() - before : -1;
    skua_event_set(&event);
    skua_scope_close(&scope, SKUA_NEVER);
}

/* Once: a second round in the same process finds the memory of the first. */
SKB_BENCH("parked", .workers = {1}, .arg_names = {"coroutines"}, .args = {{100000}}, .arg_rows = 1,
          .iterations = 1)
{
    int64_t coroutines = skb_arg(b, 0), bytes = 0;
    while (skb_next(b))
        park_all(coroutines, &bytes);
    if (bytes < 0) {
        skb_skip(b, "not all could be spawned");
        return;
    }
    skb_items(b, (uint64_t)coroutines);
    skb_counter(b, "bytes", (double)bytes / (double)coroutines);
}
