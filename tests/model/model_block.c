/* tests/model/model_block.c - skua_block: a job is begun or withdrawn, never both; no job is
 * forgotten by threads that rest, leave, or cannot be started. */
#include <errno.h>
#include <string.h>

#include <skua/task.h>

#include "runtime/base/log.h"
#include "runtime/base/sys.h"
#include "runtime/block.h"
#include "runtime/cancel.h"
#include "runtime/wait.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

static struct {
    void *(*fn)(void *); /* of a thread of the pool */
    void *arg;
    _Atomic(int) x_started, x_taken;
    _Atomic(int) x_over;   /* callers that have come back */
    _Atomic(int) x_inside; /* functions that have begun */
    int meet;              /* none returns until so many have */
    int callers;
    int creations, refused; /* the one, counted from 1, that fails */
    int called[MODEL_THREADS_MAX];
} m;

/* ---- the threads of the pool ---- */

static int create_thread(unsigned long *thread, void *(*fn)(void *), void *arg)
{
    (void)thread;
    if (++m.creations == m.refused)
        return -EAGAIN;
    m.fn = fn;
    m.arg = arg;
    sk_add_acq_rel(&m.x_started, 1);
    return 0;
}

bool sk_log_may(struct sk_log_limit *l, int64_t now_ns, int64_t every_ns)
{
    (void)l, (void)now_ns, (void)every_ns;
    return false;
}

/* A thread that may be started, once for each time that one is. */
static void pool_thread(void)
{
    for (;;) {
        int taken = sk_load_acquire(&m.x_taken);
        if (taken < sk_load_acquire(&m.x_started)) {
            if (sk_cas_acq_rel(&m.x_taken, &taken, taken + 1))
                model_assert(m.fn(m.arg) == NULL);
        } else if (sk_load_acquire(&m.x_over) == m.callers) {
            return;
        } else {
            model_spin();
        }
    }
}

/* ---- the callers ---- */

static int note_call(void *arg)
{
    int *called = arg;
    sk_add_acq_rel(&m.x_inside, 1);
    while (sk_load_acquire(&m.x_inside) < m.meet)
        model_spin();
    return 40 + ++*called;
}

/* Whether it was called is what the result says. */
static void check_result(int rc, int before)
{
    int called = m.called[model_self()] - before;
    model_assert(called == (rc == 41 + before));
    model_assert(called == 1 || rc == -ECANCELED || rc == -ETIMEDOUT || rc == -ENOMEM);
}

static int call(skua_time dl)
{
    int *called = &m.called[model_self()], before = *called;
    int rc = skua_block(note_call, called, dl);
    check_result(rc, before);
    return rc;
}

static void caller(void)
{
    model_assert(call(SKUA_NEVER) == 41);
    sk_add_acq_rel(&m.x_over, 1);
}

static void caller_twice(void)
{
    model_assert(call(SKUA_NEVER) == 41);
    model_assert(call(SKUA_NEVER) == 42);
    sk_add_acq_rel(&m.x_over, 1);
}

static void caller_in_time(void)
{
    (void)call(WORLD_SOON);
    sk_add_acq_rel(&m.x_over, 1);
}

static void caller_to_cancel(void)
{
    (void)call(SKUA_NEVER);
    sk_add_acq_rel(&m.x_over, 1);
}

static void canceller(void)
{
    sk_cancel_task(&world.tasks[0]);
}

static void timers(void)
{
    (void)sk_timer_fire(&world.workers[0].timers, WORLD_SOON);
}

static void begin(int callers, unsigned threads)
{
    world_begin();
    sk_sys.thread_create = create_thread;
    sk_runtime.settings.block_threads = threads;
    sk_runtime.settings.block_idle_ns = WORLD_SOON;
    sk_block_start();
    m.callers = callers;
}

static void setup_one(void)
{
    begin(1, 1);
    world_set(1, WORLD_PLAIN);
    world_set(2, WORLD_LOOP);
}

MODEL(block_cancel, .state = &m, .state_bytes = sizeof(m), .setup = setup_one,
      .threads = {caller_to_cancel, pool_thread, canceller})
MODEL(block_deadline, .state = &m, .state_bytes = sizeof(m), .setup = setup_one,
      .threads = {caller_in_time, pool_thread, timers}, .preemptions = 3, .tso_preemptions = 2)

/* A thread that rests, is called, or leaves just then. */
MODEL(block_twice, .state = &m, .state_bytes = sizeof(m), .setup = setup_one,
      .threads = {caller_twice, pool_thread})

static void setup_two(void)
{
    begin(2, 1);
    world_set(2, WORLD_PLAIN);
}

static void setup_two_threads(void)
{
    begin(2, 2);
    world_set(2, WORLD_PLAIN);
    world_set(3, WORLD_PLAIN);
}

MODEL(block_two, .state = &m, .state_bytes = sizeof(m), .setup = setup_two,
      .threads = {caller, caller, pool_thread}, .preemptions = 2, .tso_preemptions = 2)
/* Where no thread leaves of itself, or there would be too much to explore: the last caller stops. */
static void caller_that_stops(void)
{
    model_assert(call(SKUA_NEVER) == 41);
    if (sk_add_acq_rel(&m.x_over, 1) == m.callers - 1)
        sk_block_stop();
}

static void setup_resting(void)
{
    setup_two_threads();
    sk_runtime.settings.block_idle_ns = SKUA_NEVER - WORLD_NOW;
}

/* Two functions of which neither returns before the other has begun. */
static void setup_meeting(void)
{
    setup_resting();
    m.meet = 2;
}

MODEL(block_two_threads, .state = &m, .state_bytes = sizeof(m), .setup = setup_resting,
      .threads = {caller_that_stops, caller_that_stops, pool_thread, pool_thread}, .preemptions = 1,
      .tso_preemptions = 1)
MODEL(block_meeting, .state = &m, .state_bytes = sizeof(m), .setup = setup_meeting,
      .threads = {caller_that_stops, caller_that_stops, pool_thread, pool_thread}, .preemptions = 1,
      .tso_preemptions = 1)

/* The first caller is cancelled, the second one stands behind it. */
static void setup_two_cancelled(void)
{
    setup_two();
    world_set(3, WORLD_LOOP);
}

MODEL(block_two_cancel, .state = &m, .state_bytes = sizeof(m), .setup = setup_two_cancelled,
      .threads = {caller_to_cancel, caller, pool_thread, canceller}, .preemptions = 1,
      .tso_preemptions = 1)

/* ---- turns: of those that share them one runs at a time ---- */

static struct sk_block_turns turns;
static int running; /* plain: two at once are a data race */

static int note_turn(void *arg)
{
    model_assert(running++ == 0);
    int rc = note_call(arg);
    running--;
    return rc;
}

static int call_in_turn(skua_time dl)
{
    struct sk_block_call call = {SK_BLOCK_FILES, &turns, note_turn, &m.called[model_self()]};
    struct sk_wait wait;
    bool called = false;
    int rc = sk_wait_begin(&wait, dl, 0);
    if (rc == 0)
        rc = sk_block_wait(&wait, &call, &called);
    check_result(rc, 0);
    model_assert(called == (rc == 41));
    return rc;
}

static void caller_in_turn(void)
{
    model_assert(call_in_turn(SKUA_NEVER) == 41);
    if (sk_add_acq_rel(&m.x_over, 1) == m.callers - 1)
        sk_block_stop();
}

/* The one that is cancelled may be the one that the other stands behind. */
static void caller_in_turn_to_cancel(void)
{
    (void)call_in_turn(SKUA_NEVER);
    if (sk_add_acq_rel(&m.x_over, 1) == m.callers - 1)
        sk_block_stop();
}

static void begin_turns(void)
{
    memset(&turns, 0, sizeof(turns));
    running = 0;
}

static void setup_turns(void)
{
    setup_resting();
    begin_turns();
}

static void setup_turns_cancelled(void)
{
    begin(2, 1);
    world_set(2, WORLD_PLAIN);
    world_set(3, WORLD_LOOP);
    sk_runtime.settings.block_idle_ns = SKUA_NEVER - WORLD_NOW;
    begin_turns();
}

MODEL(block_turns, .state = &m, .state_bytes = sizeof(m), .setup = setup_turns,
      .threads = {caller_in_turn, caller_in_turn, pool_thread, pool_thread}, .preemptions = 1,
      .tso_preemptions = 1)
MODEL(block_turns_cancel, .state = &m, .state_bytes = sizeof(m), .setup = setup_turns_cancelled,
      .threads = {caller_in_turn_to_cancel, caller_in_turn, pool_thread, canceller},
      .preemptions = 1, .tso_preemptions = 1)

/* ---- no thread can be started, or not at once ---- */

static void caller_perhaps(void)
{
    (void)call(SKUA_NEVER);
    sk_add_acq_rel(&m.x_over, 1);
}

static void caller_twice_perhaps(void)
{
    (void)call(SKUA_NEVER);
    caller_perhaps();
}

static void setup_refused(void)
{
    setup_two();
    m.refused = 1;
}

static void setup_second_refused(void)
{
    setup_two_threads();
    m.refused = 2;
}

MODEL(block_refused, .state = &m, .state_bytes = sizeof(m), .setup = setup_refused,
      .threads = {caller_perhaps, caller_perhaps, pool_thread}, .preemptions = 2,
      .tso_preemptions = 2)
MODEL(block_second_refused, .state = &m, .state_bytes = sizeof(m), .setup = setup_second_refused,
      .threads = {caller_twice_perhaps, caller_perhaps, pool_thread}, .preemptions = 2,
      .tso_preemptions = 1)

/* ---- stop ---- */

static void stopper(void)
{
    while (sk_load_acquire(&m.x_over) != m.callers)
        model_spin();
    sk_block_stop();
}

static void setup_stop(void)
{
    begin(1, 1);
    world_set(1, WORLD_PLAIN);
    world_set(2, WORLD_PLAIN);
}

MODEL(block_stop, .state = &m, .state_bytes = sizeof(m), .setup = setup_stop,
      .threads = {caller, pool_thread, stopper})
