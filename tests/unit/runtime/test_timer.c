/* tests/unit/runtime/test_timer.c - a worker's heap of timers. */
#include "runtime/timer.h"

#include <sched.h>

#include "runtime/base/mem.h"
#include "runtime/base/rand.h"
#include "tests/unit/runtime/rt_test.h"

enum { MANY = 1000 };

static struct sk_timer timers[MANY];
static skua_time when[MANY];
static uint64_t fired[MANY];
static unsigned fired_count;

static void note(void *arg, uint64_t word)
{
    SKT_PTR_EQ(arg, &timers[word]);
    fired[fired_count++] = word;
}

static void prepare(uint64_t i)
{
    timers[i] = (struct sk_timer){.fn = note, .arg = &timers[i], .word = i};
}

/* Goal: timers fire in the order of their times, whatever the order in which they came, and those
 * that were stopped do not. */
SKT_TEST(timer, order)
{
    struct sk_timer_heap heap;
    struct sk_rand r;
    skua_time last = -1;
    sk_rand_seed(&r, 42);
    sk_timer_heap_init(&heap);
    SKT_EQ(sk_timer_first(&heap), SKUA_NEVER);
    fired_count = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        prepare(i);
        when[i] = sk_rand_next(&r) % 500;
        SKT_EQ(sk_timer_arm(&heap, &timers[i], when[i]), 0);
    }
    for (uint64_t i = 0; i < MANY; i += 3)
        SKT_TRUE(sk_timer_disarm(&timers[i]));
    for (uint64_t i = 0; i < MANY; i += 3)
        SKT_FALSE(sk_timer_disarm(&timers[i]));
    for (skua_time now = 0; now < 500; now += 10) {
        unsigned before = fired_count;
        SKT_EQ(sk_timer_fire(&heap, now), fired_count - before);
        for (unsigned i = before; i < fired_count; i++) {
            SKT_LE(when[fired[i]], now);
            SKT_GE(when[fired[i]], last);
            last = when[fired[i]];
        }
        SKT_GT(sk_timer_first(&heap), now);
    }
    sk_timer_fire(&heap, 500);
    SKT_EQ(fired_count, MANY - (MANY + 2) / 3);
    SKT_EQ(sk_timer_first(&heap), SKUA_NEVER);
    for (uint64_t i = 0; i < fired_count; i++)
        SKT_FALSE(sk_timer_disarm(&timers[fired[i]]));
    sk_timer_heap_free(&heap);
}

/* Goal: the first time follows every arming and stopping. */
SKT_TEST(timer, first)
{
    struct sk_timer_heap heap;
    sk_timer_heap_init(&heap);
    for (uint64_t i = 0; i < 3; i++)
        prepare(i);
    SKT_EQ(sk_timer_arm(&heap, &timers[0], 30), 0);
    SKT_EQ(sk_timer_first(&heap), 30);
    SKT_EQ(sk_timer_arm(&heap, &timers[1], 40), 0);
    SKT_EQ(sk_timer_first(&heap), 30);
    SKT_EQ(sk_timer_arm(&heap, &timers[2], -5), 0);
    SKT_EQ(sk_timer_first(&heap), -5);
    SKT_TRUE(sk_timer_disarm(&timers[2]));
    SKT_EQ(sk_timer_first(&heap), 30);
    SKT_TRUE(sk_timer_disarm(&timers[0]));
    SKT_EQ(sk_timer_first(&heap), 40);
    SKT_TRUE(sk_timer_disarm(&timers[1]));
    SKT_EQ(sk_timer_first(&heap), SKUA_NEVER);
    sk_timer_heap_free(&heap);
}

/* Goal: one that never was armed is not there to stop. */
SKT_TEST(timer, never_armed)
{
    struct sk_timer timer = {.fn = note};
    SKT_FALSE(sk_timer_disarm(&timer));
}

static struct sk_timer_heap again_heap;
static unsigned again_left;

/* The timer's memory is the callback's: it is spoilt, then armed anew. */
static void again(void *arg, uint64_t word)
{
    struct sk_timer *timer = arg;
    memset(timer, 0xAB, sizeof(*timer));
    if (again_left-- == 0)
        return;
    *timer = (struct sk_timer){.fn = again, .arg = timer, .word = word};
    SKT_EQ(sk_timer_arm(&again_heap, timer, (skua_time)word), 0);
}

/* Goal: a timer that fires is not touched once its function was called. */
SKT_TEST(timer, rearms_itself)
{
    struct sk_timer timer = {.fn = again, .arg = &timer, .word = 7};
    sk_timer_heap_init(&again_heap);
    again_left = 5;
    SKT_EQ(sk_timer_arm(&again_heap, &timer, 7), 0);
    SKT_EQ(sk_timer_fire(&again_heap, 7), 6);
    SKT_EQ(sk_timer_first(&again_heap), SKUA_NEVER);
    sk_timer_heap_free(&again_heap);
}

/* Goal: what is dropped does not fire, and nothing is armed afterwards. A callback that arms its timer again
 * while the runtime stops would leave it in a heap that is freed. */
SKT_TEST(timer, dropped)
{
    struct sk_timer_heap heap;
    sk_timer_heap_init(&heap);
    prepare(0);
    prepare(1);
    SKT_EQ(sk_timer_arm(&heap, &timers[0], 1), 0);
    sk_timer_drop_all(&heap);
    SKT_EQ(sk_timer_arm(&heap, &timers[1], 1), -ESHUTDOWN);
    SKT_TRUE(sk_timer_disarm(&timers[0]));
    SKT_FALSE(sk_timer_disarm(&timers[1]));
    fired_count = 0;
    SKT_EQ(sk_timer_fire(&heap, 2), 0);
    SKT_EQ(fired_count, 0);
    sk_timer_heap_free(&heap);
}

/* Goal: without memory for a larger heap arming fails, and what was armed stays so. */
SKT_TEST(timer, no_memory)
{
    struct sk_timer_heap heap;
    sk_timer_heap_init(&heap);
    sk_mem_fail_after(1);
    prepare(0);
    SKT_EQ(sk_timer_arm(&heap, &timers[0], 1), -ENOMEM);
    SKT_FALSE(sk_timer_disarm(&timers[0]));
    uint64_t n = 0;
    for (; n < MANY; n++) {
        prepare(n);
        sk_mem_fail_after(n == 0 ? 0 : 1);
        if (sk_timer_arm(&heap, &timers[n], (skua_time)n) < 0)
            break;
    }
    sk_mem_fail_after(0);
    SKT_BETWEEN(n, 1, MANY - 1);
    fired_count = 0;
    SKT_EQ(sk_timer_fire(&heap, MANY), n);
    sk_timer_heap_free(&heap);
}

/* ---- the owner fires while others stop: each timer either fires or was stopped ---- */

static struct sk_timer_heap race_heap;
static _Atomic(int) x_outcome[MANY];
static _Atomic(uint64_t) x_armed;

static void note_race(void *arg, uint64_t word)
{
    (void)arg;
    atomic_fetch_add(&x_outcome[word], 1);
}

static void *stop_all(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < MANY; i++) {
        while (atomic_load(&x_armed) <= i)
            sched_yield();
        if (sk_timer_disarm(&timers[i]))
            atomic_fetch_add(&x_outcome[i], 1);
    }
    return NULL;
}

SKT_TEST(timer, stop_against_fire)
{
    int64_t begin = skt_now_ns();
    for (uint64_t rounds = skt_scaled(20); rounds > 0 && skt_has_time(begin); rounds--) {
        sk_timer_heap_init(&race_heap);
        atomic_store(&x_armed, 0);
        for (int i = 0; i < MANY; i++)
            atomic_store(&x_outcome[i], 0);
        pthread_t thread = rt_thread(stop_all, NULL);
        for (uint64_t i = 0; i < MANY; i++) {
            timers[i] = (struct sk_timer){.fn = note_race, .word = i};
            SKT_EQ(sk_timer_arm(&race_heap, &timers[i], 0), 0);
            atomic_store(&x_armed, i + 1);
            if (i % 4 == 3)
                sk_timer_fire(&race_heap, 1);
        }
        sk_timer_fire(&race_heap, 1);
        rt_thread_join(thread);
        for (int i = 0; i < MANY; i++)
            SKT_EQ(atomic_load(&x_outcome[i]), 1);
        SKT_EQ(sk_timer_first(&race_heap), SKUA_NEVER);
        sk_timer_heap_free(&race_heap);
    }
}
