/* tests/unit/runtime/test_clock.c - what time it is, without a runtime. */
#include "runtime/base/clock.h"

#include <time.h>

#include "tests/unit/runtime/rt_test.h"

static int64_t monotonic(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return SKUA_S(ts.tv_sec) + ts.tv_nsec;
}

/* Goal: skua_now is CLOCK_MONOTONIC, read anew at every call, and never goes back. */
SKT_TEST(clock, now)
{
    int64_t before = monotonic();
    skua_time now = skua_now();
    SKT_LE(before, now);
    SKT_LE(now, monotonic());
    skua_time last = now;
    RT_SPIN_UNTIL((last = skua_now()) > now);
    SKT_GE(sk_clock_now(), last);
}

/* Goal: the library was loaded in the past, once. */
SKT_TEST(clock, loaded)
{
    SKT_GT(sk_clock_loaded(), 0);
    SKT_LE(sk_clock_loaded(), skua_now());
    SKT_EQ(sk_clock_loaded(), sk_clock_loaded());
}

/* Goal: skua_in adds, and saturates at SKUA_NEVER. */
SKT_TEST(clock, in)
{
    skua_time before = skua_now(), when = skua_in(SKUA_S(5));
    SKT_GE(when, before + SKUA_S(5));
    SKT_LE(when, skua_now() + SKUA_S(5));
    SKT_LE(skua_in(-SKUA_S(1)), skua_now() - SKUA_S(1));
    SKT_EQ(skua_in(INT64_MAX), SKUA_NEVER);
    SKT_EQ(skua_in(INT64_MAX - 1), SKUA_NEVER);
    SKT_LT(skua_in(INT64_MIN), 0);
}

/* Goal: which deadlines are durations given by mistake. */
SKT_TEST(clock, check_deadline)
{
    SKT_EQ(sk_clock_check_deadline(SKUA_NOW), 0);
    SKT_EQ(sk_clock_check_deadline(SKUA_NEVER), 0);
    SKT_EQ(sk_clock_check_deadline(SKUA_NEVER - 1), 0);
    SKT_EQ(sk_clock_check_deadline(skua_now()), 0);
    SKT_EQ(sk_clock_check_deadline(skua_in(SKUA_S(1))), 0);
    SKT_EQ(sk_clock_check_deadline(sk_clock_loaded()), 0);
    SKT_EQ(sk_clock_check_deadline(sk_clock_loaded() - 1), -EINVAL);
    SKT_EQ(sk_clock_check_deadline(1), -EINVAL);
    SKT_EQ(sk_clock_check_deadline(-1), -EINVAL);
    SKT_EQ(sk_clock_check_deadline(INT64_MIN), -EINVAL);
}

/* Goal: ticks grow with the time that they stand for. */
SKT_TEST(clock, ticks)
{
    uint64_t one = sk_clock_ticks(SKUA_MS(1)), ten = sk_clock_ticks(SKUA_MS(10));
    SKT_GT(one, 0);
    SKT_BETWEEN(ten, 9 * one, 11 * one);
}

/* Goal: the units of durations. */
SKT_TEST(clock, units)
{
    SKT_EQ(SKUA_US(3), 3000);
    SKT_EQ(SKUA_MS(3), 3000000);
    SKT_EQ(SKUA_S(3), 3000000000);
    SKT_EQ(SKUA_S(-1), -1000000000);
    SKT_EQ(SKUA_NOW, 0);
    SKT_EQ(SKUA_NEVER, INT64_MAX);
}
