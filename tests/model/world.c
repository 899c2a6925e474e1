#include "tests/model/world.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/mem.h"
#include "runtime/base/sys.h"
#include "runtime/current.h"
#include "runtime/driver.h"
#include "runtime/fault.h"
#include "runtime/local.h"
#include "runtime/monitor.h"
#include "runtime/sched.h"
#include "runtime/solo.h"
#include "runtime/stack.h"
#include "runtime/wait.h"

/* A model may link the real one. */
#define WEAK __attribute__((weak))

struct world world;
struct sk_runtime sk_runtime;
_Atomic(uint32_t) sk_monitor_armed;

enum { BUDGET = 1 << 30 };

/* Which coroutine stands on which model thread; the explorer's own, so not watched. */
static struct skua_task *places[MODEL_THREADS_MAX];

/* ---- memory: never used again in one schedule, so that late accesses show ---- */

enum { ARENA_BYTES = 1 << 16, ALIGNMENT = 64 };

static struct {
    alignas(ALIGNMENT) char bytes[ARENA_BYTES];
    size_t used;
} arena;

/* The first bytes say how many follow after ALIGNMENT bytes. */
void *sk_mem_alloc(size_t bytes)
{
    size_t whole = (bytes + 2 * ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    char *p = arena.bytes + arena.used;
    model_assert(arena.used + whole <= ARENA_BYTES);
    arena.used += whole;
    *(size_t *)(void *)p = bytes;
    return p + ALIGNMENT;
}

void *sk_mem_zalloc(size_t bytes)
{
    void *p = sk_mem_alloc(bytes);
    return memset(p, 0, bytes);
}

void *sk_mem_zalloc_aligned(size_t alignment, size_t bytes)
{
    model_assert(alignment <= ALIGNMENT);
    return sk_mem_zalloc(bytes);
}

void sk_mem_free(void *p)
{
    if (p != NULL && model_self() >= 0)
        model_gone(p, *(size_t *)(void *)((char *)p - ALIGNMENT));
}

/* ---- setup ---- */

void world_set(unsigned thread, enum world_kind kind)
{
    struct skua_task *task = &world.tasks[thread];
    world.kinds[thread] = kind;
    task->flags = kind == WORLD_PLAIN ? SK_TASK_PROXY : SK_TASK_LINKED;
    world.workers[thread].current = kind == WORLD_COROUTINE ? task : NULL;
}

void world_alone(void)
{
    for (unsigned i = 1; i < MODEL_THREADS_MAX; i++)
        world_set(i, WORLD_PLAIN);
    world.workers[0].slot.alone = true;
    sk_store_relaxed(&sk_solo.x_state, (uint32_t)SK_SOLO_ALONE);
}

void world_begin(void)
{
    memset(&world, 0, sizeof(world));
    memset(&sk_runtime, 0, sizeof(sk_runtime));
    memset(&sk_solo, 0, sizeof(sk_solo));
    sk_runtime.root.deadline = SKUA_NEVER;
    sk_runtime.root.mode = SKUA_COLLECT;
    sk_store_relaxed(&sk_runtime.root.x_word, SK_SCOPE_BIAS);
    sk_list_init(&sk_runtime.root.tasks);
    sk_list_init(&sk_runtime.root.scopes);
    sk_store_relaxed(&sk_runtime.root.x_flags, (uint32_t)SK_SCOPE_LINKED);
    sk_store_relaxed(&sk_runtime.x_state, (uint32_t)SK_RUNTIME_RUNNING);
    sk_runtime.worker_count = MODEL_THREADS_MAX;
    sk_runtime.workers = world.workers;
    world.now = WORLD_NOW;
    arena.used = 0;
    memset(places, 0, sizeof(places));
    for (unsigned i = 0; i < MODEL_THREADS_MAX; i++) {
        struct skua_task *task = &world.tasks[i];
        struct sk_worker *w = &world.workers[i];
        sk_store_relaxed(&task->x_scope, &sk_runtime.root);
        sk_store_relaxed(&task->x_state, (uint8_t)SK_TASK_RUNNING);
        sk_store_relaxed(&task->x_refs, 1u);
        sk_store_relaxed(&task->x_shield, (int16_t)SK_TASK_UNSHIELDED);
        sk_list_push_back(&sk_runtime.root.tasks, &task->link);
        w->index = i;
        w->budget = BUDGET;
        w->calls = BUDGET;
        w->served_ns = WORLD_NOW;
        w->timers.entries = world.timers[i];
        w->timers.capacity = 4;
        sk_store_relaxed(&w->timers.x_first, SKUA_NEVER);
        world_set(i, WORLD_COROUTINE);
    }
}

/* ---- who runs ---- */

static unsigned me(void)
{
    return (unsigned)model_self();
}

WEAK struct sk_worker *model_worker(void)
{
    if (model_self() < 0 || world.kinds[me()] == WORLD_PLAIN)
        return NULL;
    return &world.workers[me()];
}

WEAK struct skua_task *sk_current_task(void)
{
    struct sk_worker *w = model_worker();
    return w != NULL ? w->current : NULL;
}

WEAK struct skua_task *sk_task_proxy(void)
{
    model_assert(world.kinds[me()] == WORLD_PLAIN);
    return &world.tasks[me()];
}

skua_task *skua_self(void)
{
    return sk_current_task();
}

WEAK struct sk_timer_heap *sk_current_timers(void)
{
    return &model_worker()->timers;
}

/* ---- parking ---- */

__attribute__((no_sanitize("thread"))) static void take_place(struct skua_task *task)
{
    places[me()] = task;
}

__attribute__((no_sanitize("thread"))) static unsigned place_of(const struct skua_task *task)
{
    for (unsigned i = 0; i < MODEL_THREADS_MAX; i++)
        if (places[i] == task)
            return i;
    if (task == &world.tasks[0] && world.workers[0].slot.alone)
        return 0; /* the only worker's, which commits first */
    model_fail("a task was readied that is not parked");
}

WEAK void sk_park(void (*commit)(struct skua_task *task, void *arg), void *arg)
{
    struct sk_worker *w = model_worker();
    struct skua_task *self = w->current;
    take_place(self);
    w->current = NULL;
    commit(self, arg);
    (void)model_park(false, true);
    take_place(NULL);
    w->current = self;
}

WEAK void sk_park_committed(void)
{
    struct sk_worker *w = model_worker();
    struct skua_task *self = w->current;
    model_assert(w->slot.alone);
    take_place(self);
    w->current = NULL;
    (void)model_park(false, true);
    take_place(NULL);
    w->current = self;
}

WEAK void sk_ready(struct skua_task *task)
{
    if ((task->flags & SK_TASK_PROXY) != 0)
        sk_wait_wake_proxy(task);
    else
        model_unpark(place_of(task), false);
}

int sk_sys_futex_wait(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline_ns)
{
    return model_futex_wait(word, expected, deadline_ns != SKUA_NEVER) ? 0 : -ETIMEDOUT;
}

void sk_sys_futex_wake(_Atomic(uint32_t) *word, int count)
{
    model_futex_wake(word, count);
}

static int pass_barrier(int command, unsigned flags)
{
    (void)flags;
    if (command == MEMBARRIER_CMD_PRIVATE_EXPEDITED)
        model_barrier_all();
    return 0;
}

struct sk_sys sk_sys = {.membarrier = pass_barrier};

int sk_sys_bar_cancel(void)
{
    return 0;
}

void sk_sys_allow_cancel(int before)
{
    (void)before;
}

void sk_sys_open_mask(void)
{
}

/* ---- the runtime ---- */

int sk_runtime_check(void)
{
    return 0;
}

int sk_runtime_check_wait(void)
{
    return sk_load_seq_cst(&sk_runtime.x_state) == SK_RUNTIME_RUNNING ? 0 : -ESHUTDOWN;
}

bool sk_runtime_hold(void)
{
    return true;
}

int sk_runtime_enter(void)
{
    return 0;
}

void sk_runtime_leave(void)
{
}

void sk_current_release(void)
{
}

skua_time sk_clock_now(void)
{
    return world.now;
}

skua_time skua_in(int64_t ns)
{
    return world.now + ns;
}

skua_time sk_clock_loaded(void)
{
    return 0;
}

int sk_clock_check_deadline(skua_time dl)
{
    (void)dl;
    return 0;
}

void sk_log(enum sk_log_level level, const char *format, ...)
{
    (void)level;
    model_fail("said: %s", format);
}

noreturn void sk_panic(const char *file, int line, const char *text)
{
    model_fail("%s:%d: %s", file, line, text);
}

/* ---- what only some models have ---- */

#define ABSENT(head)                                        \
    __attribute__((weak)) head                              \
    {                                                       \
        model_fail("%s: this model has no such", __func__); \
    }

#pragma GCC diagnostic ignored "-Wunused-parameter"
ABSENT(void sk_driver_cancel(struct skua_task *t))
ABSENT(bool sk_log_may(struct sk_log_limit *l, int64_t now_ns, int64_t every_ns))
ABSENT(int sk_driver_poll_now(int fd, short events))
ABSENT(int sk_driver_poll_arm(struct sk_driver_poll *poll, int fd, short events,
                              struct sk_waiter *waiter))
ABSENT(int sk_driver_poll_disarm(struct sk_driver_poll *poll))
ABSENT(int sk_driver_open(struct sk_driver **out, const struct sk_settings *settings,
                          struct sk_driver_counts *counts))
ABSENT(void sk_driver_close(struct sk_driver *d))
ABSENT(void sk_driver_forget(struct sk_driver *d))
ABSENT(void sk_runtime_await_all_left(void))
ABSENT(void *sk_fault_enter_thread(void))
ABSENT(void sk_fault_leave_thread(void *alternate))
ABSENT(void sk_stack_drain(struct sk_stack_cache *cache))
ABSENT(void sk_stack_forget(struct sk_stack *stack))
ABSENT(void *sk_san_fiber_self(void))
ABSENT(void sk_stack_give_slow(struct sk_stack_cache *cache, struct sk_stack *stack))
ABSENT(void sk_monitor_arm_slow(void))
ABSENT(void sk_sched_spill(struct sk_worker *w, struct skua_task *task))
ABSENT(void sk_sched_tell(struct sk_deque *q))
ABSENT(void sk_sched_submit(struct skua_task *task))
ABSENT(void sk_sched_give_way(void))
ABSENT(void sk_sched_publish_special(struct sk_worker *w, struct skua_task *left))
ABSENT(struct skua_task *sk_sched_turn(struct sk_worker *w, uint64_t turn))
ABSENT(void sk_sched_leave(struct sk_worker *w, struct skua_task *next, struct sk_stack *stack))
ABSENT(struct sk_stack *sk_stack_take_slow(struct sk_stack_cache *cache, size_t promised_bytes))
ABSENT(bool sk_stack_is_default(const struct sk_stack *stack))
ABSENT(void *sk_mem_map(size_t alignment, size_t bytes))
ABSENT(void sk_mem_unmap(void *p, size_t bytes))
ABSENT(const char *sk_local_name(const struct skua_task *task))
ABSENT(void sk_sched_spend_slow(struct sk_worker *w))
ABSENT(struct skua_task *sk_task_new_slow(struct sk_worker *w))
ABSENT(void sk_task_free(struct sk_worker *w, struct skua_task *task))
ABSENT(void sk_task_finish(struct sk_worker *w, struct skua_task *task, int result))
ABSENT(void sk_task_note_starving(struct skua_task *task, bool starves))
ABSENT(int sk_local_set_name(struct skua_task *task, const char *name))
ABSENT(void sk_local_destroy(struct skua_task *task))
ABSENT(size_t sk_stack_default_bytes(void))
ABSENT(bool sk_current_acquire(void))
ABSENT(void sk_driver_wait(struct sk_driver *d, skua_time until))
ABSENT(unsigned sk_driver_poll(struct sk_driver *d))
ABSENT(void sk_driver_wake(struct sk_driver *d))
ABSENT(void *sk_mem_realloc(void *p, size_t bytes))
