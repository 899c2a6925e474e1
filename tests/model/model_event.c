/* tests/model/model_event.c - event and wait group: who waits sees what was done before, and may
 * free the object at once. */
#include <errno.h>

#include <skua/sync.h>

#include "runtime/cancel.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

static struct {
    skua_event event;
    skua_wg wg;
    int told[MODEL_THREADS_MAX];
    _Atomic(int) x_left; /* waiters; the last one frees */
} m;

/* ---- one sets, one waits and frees ---- */

static void set(void)
{
    m.told[0] = 7;
    model_assert(skua_event_set(&m.event) == 0);
}

static void wait_and_free(void)
{
    model_assert(skua_event_wait(&m.event, SKUA_NEVER) == 0);
    model_assert(m.told[0] == 7);
    model_gone(&m.event, sizeof(m.event));
}

static void setup_thread_waits(void)
{
    world_begin();
    world_set(1, WORLD_PLAIN);
}

MODEL(event, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {set, wait_and_free})
MODEL(event_thread, .state = &m, .state_bytes = sizeof(m), .setup = setup_thread_waits,
      .threads = {set, wait_and_free})

/* ---- two wait, one of them gives up or is cancelled ---- */

static void leave_event(void)
{
    if (sk_sub_acq_rel(&m.x_left, 1) == 1)
        model_gone(&m.event, sizeof(m.event));
}

static void wait_for_it(void)
{
    model_assert(skua_event_wait(&m.event, SKUA_NEVER) == 0);
    model_assert(m.told[0] == 7);
    leave_event();
}

static void wait_or_not(void)
{
    int rc = skua_event_wait(&m.event, SKUA_NEVER);
    model_assert(rc == -ECANCELED || (rc == 0 && m.told[0] == 7));
    leave_event();
}

static void cancel_third(void)
{
    sk_cancel_task(&world.tasks[2]);
}

static void setup_two(void)
{
    world_begin();
    m.x_left = 2;
}

MODEL(event_cancel, .state = &m, .state_bytes = sizeof(m), .setup = setup_two,
      .threads = {set, wait_for_it, wait_or_not, cancel_third})

/* ---- the wait group of who waits for it ---- */

static void done(void)
{
    m.told[model_self()] = 7;
    model_assert(skua_wg_done(&m.wg) == 0);
}

static void wait_for_all(void)
{
    model_assert(skua_wg_wait(&m.wg, SKUA_NEVER) == 0);
    model_assert(m.told[0] == 7 && m.told[1] == 7);
    model_gone(&m.wg, sizeof(m.wg));
}

static void setup_wg(void)
{
    world_begin();
    model_assert(skua_wg_add(&m.wg, 2) == 0);
}

MODEL(wg, .state = &m, .state_bytes = sizeof(m), .setup = setup_wg,
      .threads = {done, done, wait_for_all})
