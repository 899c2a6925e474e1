/* bench/runtime/bench_switch.c - sk_switch alone, without a scheduler. Unit: ns per switch. */
#include <stdalign.h>
#include <stddef.h>

#include "arch.h"
#include "bench/shim/skb.h"

enum { STACK_BYTES = 64 << 10, TURNS = 1000 };

static alignas(64) unsigned char stacks[2][STACK_BYTES];
static void *here, *running, *waiting; /* the benchmark's own context, and the two others */
static unsigned turns;

/* Two contexts hand on to each other from one and the same place, as coroutines do that wait in the
 * same function: the return address that the processor predicts is the right one. Whoever runs
 * saves itself where it found the other. */
static void take_turns(struct sk_worker *worker)
{
    for (;;) {
        bool last = turns == 0;
        turns--;
        worker = sk_switch(last ? &running : &waiting, last ? here : waiting, worker);
    }
}

SKB_BENCH("switch/same_place")
{
    running = sk_arch_prepare(stacks[0] + STACK_BYTES, take_turns);
    waiting = sk_arch_prepare(stacks[1] + STACK_BYTES, take_turns);
    while (skb_next(b)) {
        turns = TURNS - 2; /* the ways in and out make it TURNS switches */
        skb_keep(sk_switch(&here, running, NULL));
    }
    skb_items(b, TURNS);
}

static void go_back(struct sk_worker *worker)
{
    for (;;)
        worker = sk_switch(&running, here, worker);
}

/* From two places: every return is predicted wrong. */
SKB_BENCH("switch/two_places")
{
    running = sk_arch_prepare(stacks[0] + STACK_BYTES, go_back);
    while (skb_next(b))
        skb_keep(sk_switch(&here, running, NULL));
    skb_items(b, 2);
}
