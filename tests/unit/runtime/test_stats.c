/* tests/unit/runtime/test_stats.c - counters of workers, and how full a stack is. */
#include <skua/skua.h>

#include <stddef.h>
#include <string.h>

#include "tests/unit/runtime/rt_test.h"

static skua_stats_view total(void)
{
    skua_stats_view sum = {.size = 0};
    for (unsigned i = 0; i < skua_workers(); i++) {
        skua_stats_view view = SKUA_STATS_VIEW_INIT;
        SKT_EQ(skua_stats(&view, i), 0);
        SKT_EQ(view.size, sizeof(view));
        sum.dispatches += view.dispatches;
        sum.inline_runs += view.inline_runs;
        sum.spawns += view.spawns;
        sum.parks += view.parks;
        sum.enters += view.enters;
        sum.completions += view.completions;
    }
    return sum;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int wait_once(void *event)
{
    return skua_event_wait(event, SKUA_NEVER);
}

/* Goal: spawns, dispatches and parks are exact. */
RT_TEST(stats, counts)
{
    enum { CHILDREN = 50 };
    skua_scope s;
    skua_event go = SKUA_EVENT_INIT;
    skua_stats_view before = total();
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < CHILDREN; i++)
        SKT_EQ(skua_spawn(&s, nothing, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    skua_stats_view after = total();
    SKT_EQ(after.spawns - before.spawns, CHILDREN);
    SKT_GE(after.dispatches - before.dispatches, CHILDREN);
    SKT_LE(after.inline_runs - before.inline_runs, CHILDREN);
    SKT_GE(after.dispatches, after.inline_runs);
    before = after;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < CHILDREN; i++)
        SKT_EQ(skua_spawn(&s, wait_once, &go), 0);
    SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(5))), -EBUSY);
    RT_UNTIL(total().parks - before.parks >= CHILDREN);
    skua_event_set(&go);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(total().enters, 0); /* the fake driver has no ring */
    SKT_EQ(total().completions, 0);
}

/* Goal: what the caller does not know is not written, and size says how much was. */
RT_TEST(stats, sizes)
{
    skua_stats_view view;
    for (size_t size = sizeof(uint64_t); size <= sizeof(view); size += sizeof(uint64_t)) {
        memset(&view, 0xAA, sizeof(view));
        view.size = size;
        SKT_EQ(skua_stats(&view, 0), 0);
        SKT_EQ(view.size, size);
        for (size_t at = size; at < sizeof(view); at++)
            SKT_EQ(((unsigned char *)&view)[at], 0xAA);
    }
    view.size = 0; /* counts as the whole */
    SKT_EQ(skua_stats(&view, 0), 0);
    SKT_EQ(view.size, sizeof(view));
    struct {
        skua_stats_view view;
        unsigned char later[64];
    } newer;
    memset(&newer, 0xAA, sizeof(newer));
    newer.view.size = sizeof(newer); /* a program that was built with a later header */
    SKT_EQ(skua_stats(&newer.view, 0), 0);
    SKT_EQ(newer.view.size, sizeof(skua_stats_view));
    SKT_EQ(newer.later[0], 0xAA);
}

/* Goal: errors. */
RT_THREAD_TEST(stats, errors)
{
    skua_stats_view view = SKUA_STATS_VIEW_INIT;
    SKT_EQ(skua_stats(&view, 0), -ESHUTDOWN);
    rt_start(workers);
    SKT_EQ(skua_stats(NULL, 0), -EINVAL);
    SKT_EQ(skua_stats(&view, workers), -EINVAL);
    SKT_EQ(skua_stats(&view, ~0u), -EINVAL);
    SKT_EQ(skua_stats(&view, workers - 1), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

__attribute__((noinline)) static size_t used_deeper(size_t *left)
{
    volatile char room[8192];
    room[0] = room[8191] = 1;
    *left = skua_stack_left();
    return skua_stack_used() + (size_t)(room[0] - room[8191]);
}

static int look_at_stack(void *arg)
{
    size_t deeper_left, used = skua_stack_used(), left = skua_stack_left();
    size_t deeper_used = used_deeper(&deeper_left);
    (void)arg;
    SKT_GT(used, 0);
    SKT_GE(used + left, 128 << 10); /* what is promised by default */
    SKT_GE(deeper_used, used + 8192);
    SKT_LE(deeper_left, left - 8192);
    SKT_EQ(deeper_used + deeper_left, used + left);
    return 0;
}

/* Goal: used and left grow and shrink with the calls, on stacks of one's own and on a closer's. */
RT_TEST(stats, stack)
{
    if (skt_sanitized())
        return; /* frames may lie elsewhere */
    skua_scope s;
    SKT_EQ(look_at_stack(NULL), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 10; i++)
        SKT_EQ(skua_spawn(&s, look_at_stack, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* Goal: a plain thread has none of it. */
SKT_TEST(stats, stack_of_thread)
{
    SKT_EQ(skua_stack_used(), 0);
    SKT_EQ(skua_stack_left(), 0);
}
