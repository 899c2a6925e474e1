/* tests/model/model_deque.c - the run queue: every task is had by exactly one, with what its spawner
 * wrote. Two slots, so that positions lie on each other after one lap. */
#include "runtime/deque.h"

#include "tests/model/explore.h"

enum { TASKS = 4, NOBODY = 0 };

/* Stands for the record that the pointers name. */
struct skua_task {
    int payload; /* written by the spawner before the push, read by who got it */
    int taken;   /* how often it was had; plain: only one may */
};

static struct {
    struct sk_deque q;
    _Atomic(struct skua_task *) slots[2];
    struct skua_task tasks[TASKS];
    unsigned had[MODEL_THREADS_MAX];
} m;

static void make_deque(void)
{
    m.q.slots = m.slots;
    m.q.mask = 1;
}

static bool push(unsigned i)
{
    m.tasks[i].payload = (int)i + 100;
    return sk_deque_push(&m.q, &m.tasks[i]);
}

static void use(struct skua_task *task)
{
    if (task == NULL)
        return;
    model_assert(task->payload == (int)(task - m.tasks) + 100);
    task->payload = 0; /* the record is its owner's now */
    task->taken++;
    m.had[model_self()]++;
}

static void steal_once(void)
{
    bool contended;
    use(sk_deque_steal(&m.q, &contended));
}

static void steal_twice(void)
{
    steal_once();
    steal_once();
}

static void drain(void)
{
    struct skua_task *task;
    while ((task = sk_deque_pop(&m.q)) != NULL)
        use(task);
}

/* A closer's take: peek before claiming. */
static void take(void)
{
    if (sk_deque_peek(&m.q) != NULL)
        use(sk_deque_take(&m.q));
}

static void all_had_once(unsigned count)
{
    for (unsigned i = 0; i < TASKS; i++)
        model_assert(m.tasks[i].taken == (i < count ? 1 : 0));
}

/* ---- the last entry: the closer at the bottom against thieves at the top ---- */

static void owner_of_last_entry(void)
{
    push(0);
    take();
    push(1);
    take();
    drain();
}

static void check_two(void)
{
    all_had_once(2);
}

MODEL(deque_take, .state = &m, .state_bytes = sizeof(m), .setup = make_deque,
      .threads = {owner_of_last_entry, steal_once, steal_once}, .check = check_two)

/* ---- two entries, both ends at once ---- */

static void owner_of_two(void)
{
    push(0);
    push(1);
    take();
    take();
    drain();
}

MODEL(deque_both_ends, .state = &m, .state_bytes = sizeof(m), .setup = make_deque,
      .threads = {owner_of_two, steal_twice}, .check = check_two)

/* ---- laps: slots are used again while thieves look at them ---- */

static void owner_of_laps(void)
{
    for (unsigned i = 0; i < 3; i++)
        while (!push(i))
            use(sk_deque_pop(&m.q));
    drain();
}

static void check_three(void)
{
    all_had_once(3);
}

MODEL(deque_laps, .state = &m, .state_bytes = sizeof(m), .setup = make_deque,
      .threads = {owner_of_laps, steal_once, steal_once}, .check = check_three)

/* ---- the owner dispatches at the top, where thieves take too ---- */

static void owner_of_pops(void)
{
    push(0);
    push(1);
    use(sk_deque_pop(&m.q));
    push(2);
    drain();
}

MODEL(deque_pop, .state = &m, .state_bytes = sizeof(m), .setup = make_deque,
      .threads = {owner_of_pops, steal_once, steal_once}, .check = check_three)
