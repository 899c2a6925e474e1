/* tests/unit/sync/test_ticker.c - a channel on which the time comes every so often. */
#include <skua/time.h>

#include "runtime/base/mem.h"
#include "runtime/runtime.h"
#include "tests/unit/sync/chan_test.h"

/* Tasks of the root scope but the caller. */
static bool is_alone(void)
{
    return sk_load_acquire(&sk_runtime.root.x_word) - SK_SCOPE_BIAS <= 1;
}

SKT_TEST(ticker, misuse)
{
    skua_chan *c = NULL;
    SKT_EQ(skua_ticker(NULL, 1000), -EINVAL);
    SKT_EQ(skua_ticker(&c, 0), -EINVAL);
    SKT_EQ(skua_ticker(&c, -5), -EINVAL);
    SKT_EQ(skua_ticker(&c, 1000), -ESHUTDOWN);
    SKT_NULL(c);
}

/* Goal: never early, at whole periods, in order; closing ends it at once, however long the period. */
RT_TEST(ticker, ticks)
{
    skua_chan *c = NULL;
    skua_time begin = skua_now(), first = 0, last = 0, when = 0;
    SKT_EQ(skua_ticker(&c, SKUA_MS(1)), 0);
    SKT_EQ(skua_chan_cap(c), 1u);
    for (int i = 0; i < 10; i++) {
        SKT_EQ(skua_chan_recv(c, &when, SKUA_NEVER), 0);
        SKT_GE(skua_now(), when);
        SKT_GT(when, last);
        if (i == 0)
            first = when;
        SKT_EQ((when - first) % SKUA_MS(1), 0);
        last = when;
    }
    SKT_GE(first, begin + SKUA_MS(1));
    SKT_EQ(skua_chan_close(c), 0);
    RT_UNTIL(is_alone());
    while (skua_chan_recv(c, &when, SKUA_NEVER) == 0) /* one may have come meanwhile */
        continue;
    SKT_EQ(skua_chan_recv(c, &when, SKUA_NEVER), -EPIPE);
    skua_chan_unref(c);

    SKT_EQ(skua_ticker(&c, INT64_MAX), 0);
    SKT_EQ(skua_chan_recv(c, &when, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    SKT_EQ(skua_chan_close(c), 0);
    RT_UNTIL(is_alone());
    skua_chan_unref(c);
}

/* What lies between two ticks of which the second was due while nobody received. */
static int64_t gap_of_late_ticks(void)
{
    skua_chan *c = NULL;
    skua_time first, second;
    SKT_EQ(skua_ticker(&c, SKUA_US(200)), 0);
    RT_UNTIL(skua_chan_len(c) == 1);
    SKT_EQ(skua_sleep(SKUA_MS(10)), 0);
    SKT_EQ(skua_chan_len(c), 1u);
    SKT_EQ(skua_chan_recv(c, &first, SKUA_NOW), 0);
    SKT_EQ(skua_chan_recv(c, &second, SKUA_NEVER), 0);
    skua_chan_unref(c);
    RT_UNTIL(is_alone());
    return second - first;
}

/* Goal: who does not receive for long gets one tick, not all those that were due. */
RT_TEST(ticker, late_ticks_are_dropped)
{
    /* Those between are gone. A ticker that was stopped just before its second tick comes with that. */
    RT_UNTIL(gap_of_late_ticks() > SKUA_MS(5));
}

/* Goal: a ticker that cannot keep up stays with the clock all the same. */
RT_TEST(ticker, too_fast)
{
    skua_chan *c = NULL;
    skua_time end, when = 0;
    SKT_EQ(skua_ticker(&c, 1), 0);
    SKT_EQ(skua_sleep(SKUA_MS(10)), 0);
    end = skua_now();
    /* One by one it would take ten million ticks to come up to it. */
    for (int i = 0; when < end && i < 100000; i++)
        SKT_EQ(skua_chan_recv(c, &when, SKUA_NEVER), 0);
    SKT_GE(when, end);
    skua_chan_unref(c);
    RT_UNTIL(is_alone());
}

/* Goal: the last reference ends it at once. */
RT_TEST(ticker, forgotten)
{
    skua_chan *c = NULL;
    for (int i = 0; i < 50; i++) {
        SKT_EQ(skua_ticker(&c, i % 2 ? SKUA_S(3600) : 1), 0);
        skua_chan *more = skua_chan_ref(c);
        skua_chan_unref(c);
        if (i % 5 == 0)
            SKT_EQ(skua_chan_recv(more, NULL, skua_in(i % 2 ? SKUA_US(100) : RT_PATIENCE_NS)),
                   i % 2 ? -ETIMEDOUT : 0);
        skua_chan_unref(more);
    }
    RT_UNTIL(is_alone());
}

/* Goal: the end of the runtime closes it; a plain thread may have one. */
RT_THREAD_TEST(ticker, stop)
{
    skua_chan *c = NULL;
    skua_time when;
    rt_start(workers);
    SKT_EQ(skua_ticker(&c, SKUA_US(100)), 0);
    for (int i = 0; i < 3; i++)
        SKT_EQ(skua_chan_recv(c, &when, SKUA_NEVER), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    (void)skua_chan_recv(c, &when, SKUA_NOW);
    SKT_EQ(skua_chan_recv(c, &when, SKUA_NEVER), -EPIPE);
    skua_chan_unref(c);
}

static int send_on(void *arg)
{
    skua_time mark = -1;
    return skua_chan_send(arg, &mark, SKUA_NEVER);
}

/* Goal: senders beside the ticker are not forgotten for it, though it stands in their queue. */
RT_TEST(ticker, beside_senders)
{
    enum { SENDERS = 20 };
    skua_chan *c = NULL;
    skua_scope s;
    skua_time when;
    int marks = 0;
    SKT_EQ(skua_ticker(&c, SKUA_S(3600)), 0);
    ct_open(&s);
    for (int i = 0; i < SENDERS; i++)
        SKT_EQ(skua_spawn(&s, send_on, c), 0);
    for (int i = 0; i < SENDERS; i++, marks += when == -1)
        SKT_EQ(skua_chan_recv(c, &when, skua_in(RT_PATIENCE_NS)), 0);
    SKT_EQ(marks, SENDERS);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    skua_chan_unref(c);
    RT_UNTIL(is_alone());
}

static void without_memory(void)
{
    skua_chan *c = NULL;
    for (int fail = 1; fail <= 2; fail++) {
        sk_mem_fail_after(fail);
        SKT_EQ(skua_ticker(&c, 1000), -ENOMEM);
        sk_mem_fail_after(0);
    }
    SKT_NULL(c);
}

SKT_TEST(ticker, no_memory)
{
    rt_run_quietly(1, without_memory);
}
