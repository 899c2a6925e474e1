/* tests/model/model_timer.c - a timer fires once or is stopped, and who has stopped it may free it. */
#include "runtime/timer.h"

#include "tests/model/explore.h"
#include "tests/model/world.h"

static struct {
    struct sk_timer timers[2];
    int fired[2];
    int stopped[2];
} m;

static struct sk_timer_heap *heap(void)
{
    return &world.workers[0].timers;
}

static void fire(void *arg, uint64_t word)
{
    int *count = arg;
    model_assert(word == 5);
    ++*count;
}

static void arm(unsigned i, skua_time when)
{
    m.timers[i] = (struct sk_timer){.fn = fire, .arg = &m.fired[i], .word = 5};
    model_assert(sk_timer_arm(heap(), &m.timers[i], when) == 0);
}

/* As a wait does: the timer stands on its stack. */
static void arm_and_stop(unsigned i, skua_time when)
{
    arm(i, when);
    m.stopped[i] = sk_timer_disarm(&m.timers[i]);
    model_gone(&m.timers[i], sizeof(m.timers[i]));
}

static void first(void)
{
    arm_and_stop(0, WORLD_SOON);
}

static void second(void)
{
    arm_and_stop(1, WORLD_SOON - 1);
}

static void owner(void)
{
    (void)sk_timer_fire(heap(), WORLD_SOON);
    (void)sk_timer_fire(heap(), WORLD_SOON);
}

static void check(void)
{
    for (unsigned i = 0; i < 2; i++)
        model_assert(m.fired[i] + m.stopped[i] == 1);
    model_assert(heap()->count == 0 && sk_timer_first(heap()) == SKUA_NEVER);
}

MODEL(timer_stop, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {owner, first, second}, .check = check)

/* ---- somebody else arms, then stops; what he wrote before the owner fires it is visible ---- */

static void setup_armed(void)
{
    world_begin();
    arm(0, WORLD_SOON);
}

static void stop_first(void)
{
    m.stopped[0] = sk_timer_disarm(&m.timers[0]);
    model_gone(&m.timers[0], sizeof(m.timers[0]));
}

static void arm_second(void)
{
    arm(1, WORLD_SOON);
}

static void check_second_is_left(void)
{
    model_assert(m.fired[0] + m.stopped[0] == 1);
    (void)sk_timer_fire(heap(), WORLD_SOON);
    model_assert(m.fired[1] == 1);
}

MODEL(timer_arm, .state = &m, .state_bytes = sizeof(m), .setup = setup_armed,
      .threads = {owner, stop_first, arm_second}, .check = check_second_is_left)
