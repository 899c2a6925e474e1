/* tests/model/model_once.c - once: the function succeeds once, one caller runs it at a time, and a
 * waiter's frame outlives those that end its wait. */
#include <errno.h>

#include <skua/sync.h>

#include "runtime/cancel.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

static struct {
    skua_once_flag once;
    int fails; /* so many runs fail */
    int runs;
    int value;
} m;

static int run(void *arg)
{
    (void)arg;
    if (m.runs++ < m.fails)
        return -EIO;
    m.value = 7;
    return 0;
}

static void call(void)
{
    int rc = skua_once(&m.once, run, NULL, SKUA_NEVER);
    model_assert(rc == -EIO || (rc == 0 && m.value == 7));
}

static void call_or_be_cancelled(void)
{
    int rc = skua_once(&m.once, run, NULL, SKUA_NEVER);
    model_assert(rc == -EIO || rc == -ECANCELED || (rc == 0 && m.value == 7));
}

static void cancel_second(void)
{
    sk_cancel_task(&world.tasks[1]);
}

static void setup_fails(void)
{
    world_begin();
    m.fails = 1;
}

static void setup_threads(void)
{
    setup_fails();
    world_set(1, WORLD_PLAIN);
}

static void check_succeeded(void)
{
    model_assert(m.runs == m.fails + 1 && m.value == 7);
}

MODEL(once, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {call, call, call}, .check = check_succeeded)
MODEL(once_fails, .state = &m, .state_bytes = sizeof(m), .setup = setup_fails,
      .threads = {call, call}, .check = check_succeeded)
MODEL(once_fails_thread, .state = &m, .state_bytes = sizeof(m), .setup = setup_threads,
      .threads = {call, call}, .check = check_succeeded)
MODEL(once_cancel, .state = &m, .state_bytes = sizeof(m), .setup = setup_fails,
      .threads = {call, call_or_be_cancelled, cancel_second})
