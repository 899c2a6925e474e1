/* bench/runtime/bench_fiber.c - fibers that switch to each other. Unit: ns per switch. */
#include <skua/skua.h>

#include "bench/shim/skb.h"

static void *go_back(void *value)
{
    while (value != NULL)
        value = skua_fiber_switch(skua_fiber_parent(), value);
    return NULL;
}

static skua_fiber *root, *pair[2];
static unsigned left;

enum { TURNS = 1000 };

static void *take_turns(void *other)
{
    skua_fiber **to = other;
    while (*to != NULL)
        skua_fiber_switch(left-- != 0 ? *to : root, NULL);
    return NULL;
}

static void make(skua_fiber **f, void *(*fn)(void *), void *arg)
{
    if (skua_fiber_new(f, fn, arg, 0) < 0)
        *f = NULL;
}

/* Two fibers hand on to each other from one and the same place. */
SKB_BENCH("fiber/switch", .workers = {1})
{
    root = skua_fiber_self();
    make(&pair[0], take_turns, &pair[1]);
    make(&pair[1], take_turns, &pair[0]);
    while (skb_next(b)) {
        left = TURNS - 2;
        skb_keep(skua_fiber_switch(pair[0], NULL));
    }
    skb_items(b, TURNS);
    skua_fiber_free(pair[0]);
    skua_fiber_free(pair[1]);
}

/* From two places. */
SKB_BENCH("fiber/there_and_back", .workers = {1})
{
    skua_fiber *f;
    make(&f, go_back, NULL);
    while (skb_next(b))
        skb_keep(skua_fiber_switch(f, b));
    skb_items(b, 2);
    skua_fiber_free(f);
}

/* Without a runtime. */
SKB_BENCH("fiber/plain_thread")
{
    skua_fiber *f;
    make(&f, go_back, NULL);
    while (skb_next(b))
        skb_keep(skua_fiber_switch(f, b));
    skb_items(b, 2);
    skua_fiber_free(f);
}

static void *pass_through(void *value)
{
    return value;
}

/* Made, run and freed. Unit: ns per fiber. */
SKB_BENCH("fiber/life", .workers = {1})
{
    while (skb_next(b)) {
        skua_fiber *f;
        make(&f, pass_through, NULL);
        skb_keep(skua_fiber_switch(f, b));
        skua_fiber_free(f);
    }
}
