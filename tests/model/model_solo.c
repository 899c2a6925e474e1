/* tests/model/model_solo.c - the only worker moves words by plain loads and stores, until a plain
 * thread comes. */
#include "runtime/solo.h"

#include "runtime/cancel.h"
#include "runtime/wait.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

static struct {
    _Atomic(uint64_t) x_count;
    struct sk_lock lock;
    int locked_count;
    _Atomic(int) x_started;
    int result;
} m;

static void add(void)
{
    uint64_t count = sk_load_relaxed(&m.x_count);
    while (!sk_solo_cas(&m.x_count, &count, count + 1)) {
    }
}

static void add_under_lock(void)
{
    sk_solo_lock(&m.lock);
    m.locked_count++;
    sk_unlock(&m.lock);
}

static void setup(void)
{
    world_begin();
    world_alone();
}

/* ---- a worker against two strangers ---- */

static void worker_adds(void)
{
    add();
    add();
    add();
}

static void stranger_adds(void)
{
    add();
}

static void check_five(void)
{
    model_assert(m.x_count == 5);
}

MODEL(solo_cas, .state = &m, .state_bytes = sizeof(m), .setup = setup,
      .threads = {worker_adds, stranger_adds, stranger_adds}, .check = check_five)

static void worker_locks(void)
{
    add_under_lock();
    add_under_lock();
}

static void check_four_locked(void)
{
    model_assert(m.locked_count == 4);
}

MODEL(solo_lock, .state = &m, .state_bytes = sizeof(m), .setup = setup,
      .threads = {worker_locks, add_under_lock, add_under_lock}, .check = check_four_locked)

/* ---- a runtime starts while a stranger is inside an operation ---- */

static void setup_start(void)
{
    setup();
    world_set(0, WORLD_PLAIN);
    world_set(1, WORLD_COROUTINE);
    sk_store_relaxed(&sk_solo.x_state, (uint32_t)SK_SOLO_SHARED);
}

static void start(void)
{
    sk_solo_start(1);
    sk_store_release(&m.x_started, 1);
}

static void worker_adds_when_started(void)
{
    while (sk_load_acquire(&m.x_started) == 0)
        model_spin();
    add();
    add();
}

static void check_three(void)
{
    model_assert(m.x_count == 3);
}

MODEL(solo_start, .state = &m, .state_bytes = sizeof(m), .setup = setup_start,
      .threads = {start, worker_adds_when_started, stranger_adds}, .check = check_three)

/* ---- a lonely worker's wait, cancelled by a stranger ---- */

static void wait_for_cancel(void)
{
    struct sk_wait wait;
    m.result = sk_wait_begin(&wait, SKUA_NEVER, 0);
    if (m.result == 0)
        m.result = sk_wait_park(&wait);
    model_assert(m.result < 0);
}

static void cancel_waiter(void)
{
    sk_cancel_task(&world.tasks[0]);
}

MODEL(solo_cancel, .state = &m, .state_bytes = sizeof(m), .setup = setup,
      .threads = {wait_for_cancel, cancel_waiter, stranger_adds})
