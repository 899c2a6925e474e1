/* tests/model/model_idle.c - no lost wakeup: the real loop of two workers with the real scheduler,
 * idle and deques. A coroutine that computes until another worker has run what it left behind never
 * ends if nobody is woken for it.
 * What is small here: a search looks once, not 24 times, and the monitor is played: what it is armed
 * for is old at once. */
#include "runtime/sched.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

static struct skua_task *look_once(struct sk_worker *w);

/* The loop, with its static functions. */
#define sk_arch_pause() ((void)0)
#define sk_find_work(w) look_once(w)
#include "runtime/worker.c"
#undef sk_arch_pause
#undef sk_find_work

enum {
    WORKERS = 2,
    CHILDREN = 2,
    MONITOR = WORKERS,
    THREAD = WORKERS + 1,
    TASK_STACK_BYTES = 1 << 15
};

struct sk_driver {
    _Atomic(uint32_t) x_woken;
};

static struct {
    unsigned looks[WORKERS];
    struct sk_driver drivers[WORKERS];
    struct skua_task root, children[CHILDREN];
    _Atomic(struct skua_task *) slots[WORKERS][2][4];
    struct sk_stack stacks[WORKERS][CHILDREN + 1];
    int payloads[CHILDREN];
    _Atomic(int) x_done;
} m;

static alignas(64) char stack_bytes[WORKERS][CHILDREN + 1][TASK_STACK_BYTES];

/* ---- what the loop needs ---- */

/* The look before a search, and the first one of it; the others see nothing. */
static struct skua_task *look_once(struct sk_worker *w)
{
    unsigned looks = m.looks[w->index];
    if (looks >= 2)
        return NULL;
    struct skua_task *task = sk_find_work(w);
    m.looks[w->index] = task != NULL ? 0 : looks + 1;
    return task;
}

/* Between two searches. */
unsigned sk_driver_poll(struct sk_driver *d)
{
    m.looks[d - m.drivers] = 0;
    return 0;
}

bool sk_driver_has_mail(struct sk_driver *d)
{
    (void)d;
    return false;
}

void sk_driver_wait(struct sk_driver *d, skua_time until)
{
    (void)until;
    while (sk_load_acquire(&d->x_woken) == 0)
        (void)model_futex_wait(&d->x_woken, 0, false);
    sk_store_relaxed(&d->x_woken, 0u);
}

void sk_driver_wake(struct sk_driver *d)
{
    sk_store_release(&d->x_woken, 1u);
    model_futex_wake(&d->x_woken, 1);
}

static void wake_worker(unsigned index)
{
    sk_driver_wake(&m.drivers[index]);
}

bool sk_stack_is_default(const struct sk_stack *stack)
{
    (void)stack;
    return true;
}

/* ---- the monitor ---- */

void sk_monitor_arm_slow(void)
{
    uint32_t disarmed = 0;
    if (sk_cas_acq_rel(&sk_monitor_armed, &disarmed, 1u))
        model_futex_wake(&sk_monitor_armed, 1);
}

static void monitor(void)
{
    for (;;) {
        while (sk_load_acquire(&sk_monitor_armed) == 0)
            (void)model_futex_wait(&sk_monitor_armed, 0, false);
        sk_store_seq_cst(&sk_monitor_armed, 0u);
        if (sk_load_seq_cst(&sk_runtime.x_quit) != 0)
            return;
        sk_idle_heavy_barrier();
        for (unsigned i = 0; i < WORKERS; i++)
            if (sk_slot_peek(&world.workers[i].slot) != NULL)
                sk_slot_open(&world.workers[i].slot);
        (void)sk_idle_notify_slow();
    }
}

/* ---- setup ---- */

static void make_task(struct skua_task *task, int (*fn)(void *), void *arg)
{
    task->fn = fn;
    task->arg = arg;
    sk_store_relaxed(&task->x_scope, &sk_runtime.root);
    sk_store_relaxed(&task->x_state, (uint8_t)SK_TASK_NEW);
    sk_store_relaxed(&task->x_refs, 1u);
    sk_store_relaxed(&task->x_shield, (int16_t)SK_TASK_UNSHIELDED);
}

static void make_worker(unsigned i)
{
    struct sk_worker *w = &world.workers[i];
    world_set(i, WORLD_LOOP);
    w->driver = &m.drivers[i];
    w->woken.slots = m.slots[i][0];
    w->queue.slots = m.slots[i][1];
    w->woken.mask = w->queue.mask = 3;
    w->retry_ns = SKUA_NEVER;
    for (unsigned k = 0; k <= CHILDREN; k++) {
        struct sk_stack *stack = &m.stacks[i][k];
        stack->low = stack_bytes[i][k];
        stack->top = stack->low + TASK_STACK_BYTES;
        sk_stack_give(&w->stacks, stack);
    }
}

static void make_runtime(void)
{
    world_begin();
    sk_runtime.worker_count = WORKERS;
    sk_runtime.settings.batch = 64;
    sk_runtime.slice_ticks = 1;
    sk_store_relaxed(&sk_runtime.root.x_word, SK_SCOPE_BIAS + CHILDREN + 1);
    sk_store_relaxed(&sk_monitor_armed, 0u);
    sk_idle_init(WORKERS, wake_worker);
    for (unsigned i = 0; i < WORKERS; i++)
        make_worker(i);
    world_set(THREAD, WORLD_PLAIN);
}

/* ---- coroutines ---- */

static int child(void *arg)
{
    int *payload = arg;
    model_assert(*payload == 7);
    *payload = 8;
    sk_add_acq_rel(&m.x_done, 1);
    return 0;
}

static struct skua_task *new_child(unsigned i)
{
    m.payloads[i] = 7;
    make_task(&m.children[i], child, &m.payloads[i]);
    return &m.children[i];
}

static void quit(void)
{
    sk_store_seq_cst(&sk_runtime.x_quit, 1u);
    for (unsigned i = 0; i < WORKERS; i++)
        wake_worker(i);
    sk_store_seq_cst(&sk_monitor_armed, 1u);
    model_futex_wake(&sk_monitor_armed, 1);
}

/* It never waits: what it leaves behind is another worker's. */
static void compute_until(int done)
{
    while (sk_load_acquire(&m.x_done) != done)
        model_spin();
    quit();
}

static int push_one(void *arg)
{
    (void)arg;
    struct sk_worker *w = sk_current_worker();
    sk_sched_push(w, &w->queue, new_child(0));
    compute_until(1);
    return 0;
}

static int push_two(void *arg)
{
    (void)arg;
    struct sk_worker *w = sk_current_worker();
    sk_sched_push(w, &w->queue, new_child(0));
    sk_sched_push(w, &w->queue, new_child(1));
    compute_until(2);
    return 0;
}

static int ready_one(void *arg)
{
    (void)arg;
    sk_ready(new_child(0));
    compute_until(1);
    return 0;
}

static void setup_root(int (*fn)(void *))
{
    make_runtime();
    make_task(&m.root, fn, NULL);
    (void)sk_deque_push(&world.workers[0].queue, &m.root);
}

static void setup_push_one(void)
{
    setup_root(push_one);
}

static void setup_push_two(void)
{
    setup_root(push_two);
}

static void setup_ready(void)
{
    setup_root(ready_one);
}

static void worker(void)
{
    struct sk_worker *w = &world.workers[model_self()];
    begin_batch(w, 0, 64);
    run(w);
}

/* Whole workers have more to do than can be exhausted in seconds with three preemptions. */
#define IDLE(name, setup_, ...)                                                                   \
    MODEL(name, .state = &m, .state_bytes = sizeof(m), .setup = setup_, .threads = {__VA_ARGS__}, \
          .preemptions = 2, .tso_preemptions = 1)

IDLE(idle_push, setup_push_one, worker, worker, monitor)
IDLE(idle_push_two, setup_push_two, worker, worker, monitor)
IDLE(idle_slot, setup_ready, worker, worker, monitor)

/* ---- a plain thread hands a task over, while both workers go to sleep ---- */

static int child_that_quits(void *arg)
{
    (void)child(arg);
    quit();
    return 0;
}

static void submitter(void)
{
    m.payloads[0] = 7;
    make_task(&m.children[0], child_that_quits, &m.payloads[0]);
    sk_sched_submit(&m.children[0]);
}

static void submitter_to_second(void)
{
    m.payloads[0] = 7;
    make_task(&m.children[0], child_that_quits, &m.payloads[0]);
    m.children[0].affinity = 2;
    sk_sched_submit(&m.children[0]);
}

IDLE(idle_inject, make_runtime, worker, worker, monitor, submitter)
IDLE(idle_inbox, make_runtime, worker, worker, monitor, submitter_to_second)
