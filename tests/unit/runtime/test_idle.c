/* tests/unit/runtime/test_idle.c - who sleeps, who searches, whom to wake. No runtime runs here. */
#include "runtime/idle.h"

#include <sched.h>

#include "runtime/base/sys.h"
#include "tests/unit/runtime/rt_test.h"

static unsigned woken[1024];
static unsigned woken_count;

static void note_wake(unsigned index)
{
    woken[woken_count++ % 1024] = index;
}

static void init(unsigned workers)
{
    woken_count = 0;
    sk_idle_init(workers, note_wake);
}

/* Goal: a push wakes one sleeper, none while one searches, none when nobody sleeps. */
SKT_TEST(idle, one_searcher)
{
    init(3);
    SKT_FALSE(sk_idle_sleepers());
    sk_idle_notify_slow();
    SKT_EQ(woken_count, 0);
    sk_idle_announce(1, false);
    sk_idle_announce(2, false);
    SKT_TRUE(sk_idle_sleepers());
    sk_idle_notify_slow();
    SKT_EQ(woken_count, 1);
    SKT_TRUE(woken[0] == 1 || woken[0] == 2);
    sk_idle_notify_slow(); /* the woken one counts as a searcher already */
    SKT_EQ(woken_count, 1);
    SKT_TRUE(sk_idle_leave(woken[0]));
    SKT_TRUE(sk_idle_search_end()); /* it was the last one */
    sk_idle_notify_slow();
    SKT_EQ(woken_count, 2);
    SKT_EQ(woken[0] + woken[1], 3);
    SKT_FALSE(sk_idle_sleepers());
    SKT_TRUE(sk_idle_leave(woken[1]));
    SKT_TRUE(sk_idle_search_end());
}

/* Goal: who leaves its sleep by itself is no searcher. */
SKT_TEST(idle, leaves_by_itself)
{
    init(2);
    sk_idle_announce(0, false);
    SKT_FALSE(sk_idle_leave(0));
    SKT_FALSE(sk_idle_sleepers());
    sk_idle_notify_slow();
    SKT_EQ(woken_count, 0);
}

/* Goal: a searcher that falls asleep is one no more, and can be woken. */
SKT_TEST(idle, searcher_sleeps)
{
    init(2);
    SKT_TRUE(sk_idle_search_begin());
    sk_idle_notify_slow();
    SKT_EQ(woken_count, 0);
    sk_idle_announce(0, true);
    sk_idle_notify_slow();
    SKT_EQ(woken_count, 1);
    SKT_TRUE(sk_idle_leave(0));
    SKT_TRUE(sk_idle_search_end());
}

/* Goal: at most half of the workers search. */
SKT_TEST(idle, half_search)
{
    init(8);
    unsigned searchers = 0;
    while (searchers < 8 && sk_idle_search_begin())
        searchers++;
    SKT_EQ(searchers, 4);
    for (unsigned i = 1; i < searchers; i++)
        SKT_FALSE(sk_idle_search_end());
    SKT_TRUE(sk_idle_search_end());
}

/* Goal: work for one worker alone wakes that one, and only if it sleeps. */
SKT_TEST(idle, wakes_one_by_name)
{
    init(1024);
    sk_idle_wake(700);
    SKT_EQ(woken_count, 0);
    sk_idle_announce(700, false);
    sk_idle_announce(3, false);
    sk_idle_wake(700);
    SKT_EQ(woken_count, 1);
    SKT_EQ(woken[0], 700);
    sk_idle_wake(700);
    SKT_EQ(woken_count, 1);
    SKT_TRUE(sk_idle_leave(700));
    SKT_TRUE(sk_idle_search_end());
    SKT_TRUE(sk_idle_sleepers());
    SKT_FALSE(sk_idle_leave(3));
}

/* Goal: every worker of the most that there may be is found. */
SKT_TEST(idle, finds_all)
{
    static bool seen[1024];
    init(1024);
    for (unsigned i = 0; i < 1024; i++)
        sk_idle_announce(i, false);
    for (unsigned i = 0; i < 1024; i++) {
        sk_idle_notify_slow();
        SKT_EQ(woken_count, i + 1);
        SKT_FALSE(seen[woken[i]]);
        seen[woken[i]] = true;
        SKT_TRUE(sk_idle_leave(woken[i]));
        SKT_TRUE(sk_idle_search_end());
    }
    SKT_FALSE(sk_idle_sleepers());
}

static int no_membarrier(int command, unsigned flags)
{
    (void)command, (void)flags;
    return -1;
}

/* ---- no lost wakeup: a pusher and a sleeper, with membarrier and without ---- */

static _Atomic(uint64_t) x_work;
static _Atomic(uint32_t) x_woken;
static uint64_t total;

static void ring_bell(unsigned index)
{
    (void)index;
    atomic_store(&x_woken, 1);
}

static void *sleeper(void *arg)
{
    (void)arg;
    for (uint64_t seen = 0; seen < total;) {
        uint64_t work = atomic_load_explicit(&x_work, memory_order_relaxed);
        if (work != seen) {
            seen = work;
            continue;
        }
        sk_idle_announce(0, false);
        if (atomic_load_explicit(&x_work, memory_order_relaxed) == seen)
            RT_SPIN_UNTIL(atomic_exchange(&x_woken, 0) != 0 || (sched_yield(), false));
        if (sk_idle_leave(0))
            (void)sk_idle_search_end();
    }
    return NULL;
}

static void push_all(void)
{
    total = skt_scaled(20000);
    atomic_store(&x_work, 0);
    atomic_store(&x_woken, 0);
    sk_idle_init(2, ring_bell);
    pthread_t thread = rt_thread(sleeper, NULL);
    int64_t begin = skt_now_ns();
    for (uint64_t i = 1; i <= total; i++) {
        if (!skt_has_time(begin))
            i = total;                                           /* the last one */
        atomic_store_explicit(&x_work, i, memory_order_release); /* as a push to a deque */
        sk_idle_light_barrier();
        if (sk_idle_sleepers())
            sk_idle_notify_slow();
        if (i % 4 == 0)
            sched_yield();
    }
    rt_thread_join(thread);
}

SKT_TEST(idle, no_lost_wakeup)
{
    push_all();
}

SKT_TEST(idle, no_lost_wakeup_without_membarrier)
{
    struct sk_sys kept = sk_sys;
    sk_sys.membarrier = no_membarrier;
    push_all();
    sk_sys = kept;
}
