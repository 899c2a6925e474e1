/* tests/model/model_sem.c - the semaphore: what is posted is had once, and a waiter's frame outlives
 * those that end its wait. */
#include <errno.h>

#include <skua/sync.h>

#include "runtime/cancel.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

static struct {
    skua_sem sem;
    int told;
} m;

static void post(void)
{
    m.told = 7;
    model_assert(skua_sem_post(&m.sem, 1) == 0);
}

static void take_and_free(void)
{
    model_assert(skua_sem_wait(&m.sem, 1, SKUA_NEVER) == 0);
    model_assert(m.told == 7);
    model_gone(&m.sem, sizeof(m.sem));
}

static void setup_thread_waits(void)
{
    world_begin();
    world_set(1, WORLD_PLAIN);
}

MODEL(sem, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {post, take_and_free})
MODEL(sem_thread, .state = &m, .state_bytes = sizeof(m), .setup = setup_thread_waits,
      .threads = {post, take_and_free})

/* ---- one that waits gives up, at a deadline or cancelled ---- */

static void pass(void)
{
    if (skua_sem_wait(&m.sem, 1, SKUA_NEVER) == 0)
        model_assert(skua_sem_post(&m.sem, 1) == 0);
}

static void pass_two(void)
{
    int rc = skua_sem_wait(&m.sem, 2, SKUA_NEVER);
    model_assert(rc == 0 || rc == -ECANCELED);
    if (rc == 0)
        model_assert(skua_sem_post(&m.sem, 2) == 0);
}

static void cancel_second(void)
{
    sk_cancel_task(&world.tasks[1]);
}

MODEL(sem_cancel, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {post, pass_two, pass, cancel_second}, .preemptions = 2)
