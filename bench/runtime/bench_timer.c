/* bench/runtime/bench_timer.c - a timer that is started and stopped while others are armed, as a
 * deadline mostly is. Unit: ns per start and stop. */
#include <stdlib.h>

#include <skua/skua.h>

#include "bench/shim/skb.h"

/* A program's deadlines are some seconds away, each by its own amount. None fires here. */
static int64_t random_delay_ns(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return SKUA_S(1000) + (int64_t)(*seed >> 24) % SKUA_S(60);
}

static void never_runs(void *arg)
{
    (void)arg;
    abort();
}

SKB_BENCH("timer/start_stop", .workers = {1}, .arg_names = {"armed"},
          .args = {{0}, {100}, {10000}, {100000}}, .arg_rows = 4)
{
    size_t armed = (size_t)skb_arg(b, 0);
    uint64_t seed = 1;
    skua_time now = skua_now(); /* one reading: the clock costs as much as the timer */
    skua_timer timer;
    skua_timer *others = calloc(armed + 1, sizeof(*others));
    if (others == NULL) {
        skb_skip(b, "no memory");
        return;
    }
    for (size_t i = 0; i < armed; i++)
        skua_timer_start(&others[i], now + random_delay_ns(&seed), never_runs, NULL);
    while (skb_next(b)) {
        skua_timer_start(&timer, now + random_delay_ns(&seed), never_runs, NULL);
        skb_keep(skua_timer_stop(&timer));
    }
    for (size_t i = 0; i < armed; i++)
        skua_timer_stop(&others[i]);
    free(others);
    skb_items(b, 1);
}
