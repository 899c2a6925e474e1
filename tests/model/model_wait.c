/* tests/model/model_wait.c - one wait is claimed once: wakers, deadlines, cancellation, plain
 * threads, stop. */
#include "runtime/wait.h"

#include <errno.h>

#include "runtime/cancel.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

static struct {
    _Atomic(int) x_published;
    struct skua_task *task;
    uint64_t ticket, again;
    int told[MODEL_THREADS_MAX]; /* what a waker wrote before it woke */
    int won[MODEL_THREADS_MAX];
    int result;
} m;

/* What a queue under a lock would do: record and ticket, while the wait is there. */
static void publish(const struct sk_wait *wait)
{
    m.task = wait->task;
    m.ticket = wait->ticket;
    sk_store_release(&m.x_published, 1);
}

static int wait_once(skua_time dl)
{
    struct sk_wait wait;
    int rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0)
        return rc;
    publish(&wait);
    return sk_wait_park(&wait);
}

static void wake_as(unsigned reason)
{
    while (sk_load_acquire(&m.x_published) == 0)
        model_spin();
    m.told[model_self()] = 7;
    m.won[model_self()] = sk_wait_wake(m.task, m.ticket, reason);
}

/* A late waker of the last wait must not end this one. */
static void wait_in_vain(void)
{
    struct sk_wait wait;
    model_assert(sk_wait_begin(&wait, SKUA_NEVER, 0) == 0);
    model_assert(sk_wait_abandon(&wait));
}

/* ---- two wakers ---- */

static void waiter(void)
{
    m.result = wait_once(SKUA_NEVER);
    model_assert(m.result == 0 || m.result == -ETIMEDOUT);
    model_assert(m.told[m.result == 0 ? 1 : 2] == 7);
    wait_in_vain();
}

static void waker(void)
{
    wake_as(SK_WAIT_WOKEN);
}

static void other_waker(void)
{
    wake_as(SK_WAIT_TIMEDOUT);
}

static void check_one_won(void)
{
    model_assert(m.won[1] + m.won[2] == 1 && m.won[m.result == 0 ? 1 : 2] == 1);
}

static void setup_plain(void)
{
    world_begin();
    world_set(0, WORLD_PLAIN);
}

MODEL(wait_two_wakers, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {waiter, waker, other_waker}, .check = check_one_won)
MODEL(wait_thread_two_wakers, .state = &m, .state_bytes = sizeof(m), .setup = setup_plain,
      .threads = {waiter, waker, other_waker}, .check = check_one_won)

/* ---- a deadline: a timer of the worker for a coroutine, the futex for a thread ---- */

static void waiter_with_deadline(void)
{
    m.result = wait_once(WORLD_SOON);
    model_assert(m.result == -ETIMEDOUT || m.told[1] == 7);
    wait_in_vain();
}

static void timers(void)
{
    (void)sk_timer_fire(&world.workers[0].timers, WORLD_SOON);
}

/* A late store of the first waker's must not end the second wait. */
static void waiter_again(void)
{
    struct sk_wait wait;
    (void)wait_once(WORLD_SOON);
    model_assert(sk_wait_begin(&wait, SKUA_NEVER, 0) == 0);
    m.again = wait.ticket;
    sk_store_release(&m.x_published, 2);
    model_assert(sk_wait_park(&wait) == 0 && m.told[2] == 7);
}

static void waker_again(void)
{
    while (sk_load_acquire(&m.x_published) != 2)
        model_spin();
    m.told[2] = 7;
    model_assert(sk_wait_wake(&world.tasks[0], m.again, SK_WAIT_WOKEN));
}

static void check_deadline(void)
{
    model_assert(m.won[1] == (m.result == 0));
}

MODEL(wait_deadline, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {waiter_with_deadline, waker, timers}, .check = check_deadline)
MODEL(wait_thread_deadline, .state = &m, .state_bytes = sizeof(m), .setup = setup_plain,
      .threads = {waiter_with_deadline, waker}, .check = check_deadline)
MODEL(wait_thread_again, .state = &m, .state_bytes = sizeof(m), .setup = setup_plain,
      .threads = {waiter_again, waker, waker_again})

/* ---- cancellation: nobody else wakes ---- */

static void waiter_to_cancel(void)
{
    m.result = wait_once(SKUA_NEVER);
    model_assert(m.result == -ECANCELED);
}

static void canceller(void)
{
    sk_cancel_task(&world.tasks[0]);
}

/* Linked by its first wait, while somebody cancels the scope that it lives in. */
static void setup_unlinked(void)
{
    world_begin();
    world.tasks[0].flags = 0;
    sk_list_remove(&world.tasks[0].link);
}

static void scope_canceller(void)
{
    sk_cancel_scope(&sk_runtime.root, false);
}

MODEL(wait_cancel, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {waiter_to_cancel, canceller})
MODEL(wait_cancel_link, .state = &m, .state_bytes = sizeof(m), .setup = setup_unlinked,
      .threads = {waiter_to_cancel, scope_canceller})
MODEL(wait_cancel_twice, .state = &m, .state_bytes = sizeof(m), .setup = setup_unlinked,
      .threads = {waiter_to_cancel, scope_canceller, canceller})

static void waiter_woken_or_cancelled(void)
{
    m.result = wait_once(SKUA_NEVER);
    model_assert(m.result == -ECANCELED || (m.result == 0 && m.told[1] == 7));
    int again = wait_once(SKUA_NEVER); /* the cancellation stands */
    model_assert(again == -ECANCELED);
}

static void waker_if_published(void)
{
    if (sk_load_acquire(&m.x_published) == 0)
        return;
    m.told[1] = 7;
    (void)sk_wait_wake(m.task, m.ticket, SK_WAIT_WOKEN);
}

MODEL(wait_cancel_wake, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {waiter_woken_or_cancelled, waker_if_published, canceller})

/* A scope further out is cancelled, which the waiter cannot see behind its shield: only the waker
 * ends the wait. */
static void waiter_shielded(void)
{
    sk_store_relaxed(&world.tasks[0].x_shield, (int16_t)0);
    m.result = wait_once(SKUA_NEVER);
    model_assert(m.result == 0 && m.told[1] == 7);
}

MODEL(wait_shield, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {waiter_shielded, waker, canceller})

/* ---- stop ends the waits of plain threads ---- */

static void thread_at_stop(void)
{
    m.result = wait_once(SKUA_NEVER);
    model_assert(m.result == -ESHUTDOWN);
}

static void stopper(void)
{
    sk_store_seq_cst(&sk_runtime.x_state, (uint32_t)SK_RUNTIME_STOPPING);
    uint64_t word = sk_load_seq_cst(&world.tasks[0].x_wait);
    (void)sk_wait_wake(&world.tasks[0], word, SK_WAIT_SHUTDOWN);
}

MODEL(wait_stop, .state = &m, .state_bytes = sizeof(m), .setup = setup_plain,
      .threads = {thread_at_stop, stopper})
