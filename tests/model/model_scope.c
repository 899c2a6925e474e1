/* tests/model/model_scope.c - the count of a scope, its end, stacks that are lent, cancellation down
 * the tree. The scope lies on the closer's stack, which leaves that frame as soon as close returns:
 * whoever touches it later is caught. */
#include <errno.h>

#include <skua/scope.h>
#include <skua/sync.h>

#include "runtime/cancel.h"
#include "runtime/sched.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

enum { CHILDREN = 2, STACK_LEFT = 1 << 15 };

static struct {
    struct sk_scope *scope;
    _Atomic(int) x_open;
    _Atomic(bool) x_closed;
    int told[CHILDREN];
    int results[CHILDREN];
    skua_event event;
    struct skua_task records[CHILDREN];
    _Atomic(struct skua_task *) slots[CHILDREN];
    struct sk_stack stacks[MODEL_THREADS_MAX];
} m;

/* ---- the word: children that run elsewhere ---- */

static void open_for_two(skua_scope *scope, unsigned flags)
{
    model_assert(skua_scope_open(scope, flags, SKUA_NEVER) == 0);
    m.scope = sk_scope_of(scope);
    m.scope->own = CHILDREN;
    sk_store_release(&m.x_open, 1);
}

static void check_told(void)
{
    model_assert(m.told[0] == 7 && m.told[1] == 7);
}

static __attribute__((noinline)) void close_once(void)
{
    skua_scope scope;
    open_for_two(&scope, SKUA_COLLECT);
    model_assert(skua_scope_close(&scope, SKUA_NEVER) == 0);
    check_told();
    model_gone(&scope, sizeof(scope));
}

static void closer(void)
{
    close_once();
}

static void end_child(unsigned i, int result)
{
    while (sk_load_acquire(&m.x_open) == 0)
        model_spin();
    m.told[i] = 7;
    sk_scope_note_result(m.scope, result, false);
    sk_scope_leave(m.scope);
}

static void first_child(void)
{
    end_child(0, 0);
}

static void second_child(void)
{
    end_child(1, 0);
}

MODEL(scope_close, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {closer, first_child, second_child})

/* ---- a closer that gives up, and comes again ---- */

static void setup_plain(void)
{
    world_begin();
    world_set(0, WORLD_PLAIN);
}

/* As stop does with the root scope: from a plain thread. */
static __attribute__((noinline)) void drain_twice(void)
{
    struct sk_scope scope = {.deadline = SKUA_NEVER, .own = CHILDREN};
    sk_store_relaxed(&scope.x_word, SK_SCOPE_BIAS);
    m.scope = &scope;
    sk_store_release(&m.x_open, 1);
    int rc = sk_scope_drain(&scope, WORLD_SOON);
    if (rc < 0) {
        model_assert(rc == -ETIMEDOUT);
        model_assert(sk_scope_drain(&scope, SKUA_NEVER) == 0);
    }
    check_told();
    model_gone(&scope, sizeof(scope)); /* what comes next on this stack writes there */
}

static void impatient_closer(void)
{
    drain_twice();
}

MODEL(scope_give_up, .state = &m, .state_bytes = sizeof(m), .setup = setup_plain,
      .threads = {impatient_closer, first_child, second_child}, .tso_preemptions = 2)

/* ---- a failure cancels who waits in the scope ---- */

static void setup_waiting_child(void)
{
    world_begin();
    world.tasks[2].flags = 0;
    sk_list_remove(&world.tasks[2].link);
}

static void failing_child(void)
{
    end_child(0, -EIO);
}

static void waiting_child(void)
{
    while (sk_load_acquire(&m.x_open) == 0)
        model_spin();
    struct skua_task *self = &world.tasks[2];
    sk_store_relaxed(&self->x_scope, m.scope);
    m.told[1] = 7;
    m.results[1] = skua_event_wait(&m.event, SKUA_NEVER);
    model_assert(m.results[1] == -ECANCELED);
    sk_scope_note_result(m.scope, -ECANCELED, false);
    sk_cancel_unlink(self);
    sk_scope_leave(m.scope);
}

static __attribute__((noinline)) void close_failed(void)
{
    skua_scope scope;
    open_for_two(&scope, SKUA_FAIL_FAST);
    model_assert(skua_scope_close(&scope, SKUA_NEVER) == -EIO);
    check_told();
}

static void closer_of_failed(void)
{
    close_failed();
}

MODEL(scope_fail_fast, .state = &m, .state_bytes = sizeof(m), .setup = setup_waiting_child,
      .threads = {closer_of_failed, failing_child, waiting_child}, .tso_preemptions = 2)

/* ---- lent stacks: the closer runs what no thief has taken ---- */

size_t sk_stack_default_bytes(void)
{
    return STACK_LEFT / 4;
}

static void setup_spawning(void)
{
    world_begin();
    struct sk_worker *w = &world.workers[0];
    w->queue.slots = m.slots;
    w->queue.mask = CHILDREN - 1;
    for (unsigned i = 0; i < CHILDREN; i++) {
        struct skua_task *record = &m.records[i];
        sk_store_relaxed(&record->x_refs, 1u);
        sk_store_relaxed(&record->x_shield, (int16_t)SK_TASK_UNSHIELDED);
        record->next = w->free_tasks;
        w->free_tasks = record;
        w->free_count++;
    }
}

static int tell(void *arg)
{
    int *told = arg;
    model_assert(*told == 1); /* what the spawner wrote */
    *told = 7;
    return 0;
}

static int tell_when_set(void *arg)
{
    model_assert(skua_event_wait(&m.event, SKUA_NEVER) == 0);
    return tell(arg);
}

static __attribute__((noinline)) void spawn_and_close(int (*first)(void *), int (*second)(void *))
{
    skua_scope scope;
    char room[STACK_LEFT / 2];
    struct sk_stack stack = {.low = room};
    world.tasks[0].stack = &stack;
    model_assert(skua_scope_open(&scope, SKUA_COLLECT, SKUA_NEVER) == 0);
    m.told[0] = m.told[1] = 1;
    model_assert(skua_spawn(&scope, first, &m.told[0]) == 0);
    model_assert(skua_spawn(&scope, second, &m.told[1]) == 0);
    model_assert(skua_scope_close(&scope, SKUA_NEVER) == 0);
    check_told();
}

static void spawner(void)
{
    spawn_and_close(tell, tell);
    sk_store_release(&m.x_closed, true);
}

static void spawner_of_waiting(void)
{
    spawn_and_close(tell_when_set, tell);
    sk_store_release(&m.x_closed, true);
}

/* Another worker: takes what there is, runs it on a stack of its own. */
static void thief(void)
{
    bool contended;
    struct sk_worker *w = &world.workers[model_self()];
    struct skua_task *task = sk_deque_steal(&world.workers[0].queue, &contended);
    if (task == NULL)
        return;
    struct skua_task *before = w->current;
    w->current = task;
    sk_task_start(task, &m.stacks[model_self()]);
    int result = task->fn(task->arg);
    sk_task_exit(w, task, result);
    w->current = before;
}

static void setter(void)
{
    model_assert(skua_event_set(&m.event) == 0);
}

MODEL(scope_lent, .state = &m, .state_bytes = sizeof(m), .setup = setup_spawning,
      .threads = {spawner, thief, thief}, .tso_preemptions = 2)
MODEL(scope_lent_waits, .state = &m, .state_bytes = sizeof(m), .setup = setup_spawning,
      .threads = {spawner_of_waiting, thief, setter}, .tso_preemptions = 2)
