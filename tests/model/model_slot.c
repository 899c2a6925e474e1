/* tests/model/model_slot.c - the place in front of the deques: its owner moves tasks in and out
 * without locked instructions, the monitor opens it, thieves take from it. */
#include "runtime/slot.h"

#include "tests/model/explore.h"
#include "tests/model/world.h"

struct record {
    int payload;
    int taken;
};

static struct {
    struct sk_slot slot;
    struct record records[3];
} m;

static void use(struct skua_task *task)
{
    struct record *record = (struct record *)(void *)task;
    if (record == NULL)
        return;
    model_assert(record->payload == 7);
    record->payload = 0;
    record->taken++;
}

static struct skua_task *new_task(unsigned i)
{
    m.records[i].payload = 7;
    return (struct skua_task *)(void *)&m.records[i];
}

static void owner(void)
{
    use(sk_slot_swap(&m.slot, new_task(0)));
    use(sk_slot_swap(&m.slot, new_task(1)));
    use(sk_slot_swap(&m.slot, NULL));
}

static void monitor(void)
{
    sk_slot_open(&m.slot);
}

static void thief(void)
{
    use(sk_slot_steal(&m.slot));
}

/* The monitor may come again. */
static void monitor_and_thief(void)
{
    sk_slot_open(&m.slot);
    use(sk_slot_steal(&m.slot));
    sk_slot_open(&m.slot);
    use(sk_slot_steal(&m.slot));
}

static void setup(void)
{
    world_begin();
    sk_idle.use_membarrier = true;
    sk_idle.light_fence = false;
}

static void setup_with_fences(void)
{
    world_begin();
    sk_idle.use_membarrier = false;
    sk_idle.light_fence = true;
}

static void check(void)
{
    for (unsigned i = 0; i < 2; i++)
        model_assert(m.records[i].taken == 1);
}

MODEL(slot, .state = &m, .state_bytes = sizeof(m), .setup = setup,
      .threads = {owner, monitor, thief}, .check = check)
MODEL(slot_again, .state = &m, .state_bytes = sizeof(m), .setup = setup,
      .threads = {owner, monitor_and_thief}, .check = check)
MODEL(slot_fences, .state = &m, .state_bytes = sizeof(m), .setup = setup_with_fences,
      .threads = {owner, monitor, thief}, .check = check)
