/* tests/model/model_mutex.c - the mutex: one holder at a time, who sees what the last one did; who
 * waits is woken, or leaves. */
#include <errno.h>

#include <skua/sync.h>

#include "runtime/cancel.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

static struct {
    skua_mutex mutex;
    int count;
    int got[MODEL_THREADS_MAX];
} m;

static void use(void)
{
    m.count++;
    m.got[model_self()]++;
    model_assert(skua_mutex_unlock(&m.mutex) == 0);
}

static void lock_once(void)
{
    model_assert(skua_mutex_lock(&m.mutex, SKUA_NEVER) == 0);
    use();
}

static void lock_twice(void)
{
    lock_once();
    lock_once();
}

static void check_four(void)
{
    model_assert(m.count == 4);
}

static void check_three(void)
{
    model_assert(m.count == 3);
}

static void setup_mixed(void)
{
    world_begin();
    world_set(1, WORLD_PLAIN);
    world_set(2, WORLD_PLAIN);
}

MODEL(mutex, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {lock_twice, lock_once, lock_once}, .check = check_four)
MODEL(mutex_threads, .state = &m, .state_bytes = sizeof(m), .setup = setup_mixed,
      .threads = {lock_once, lock_once, lock_once}, .check = check_three)

/* ---- who waits gives up, at a deadline or cancelled, while the holder hands over ---- */

static void lock_or_time_out(void)
{
    int rc = skua_mutex_lock(&m.mutex, WORLD_SOON);
    model_assert(rc == 0 || rc == -ETIMEDOUT);
    if (rc == 0)
        use();
}

static void lock_or_be_cancelled(void)
{
    int rc = skua_mutex_lock(&m.mutex, SKUA_NEVER);
    model_assert(rc == 0 || rc == -ECANCELED);
    if (rc == 0)
        use();
}

static void cancel_second(void)
{
    sk_cancel_task(&world.tasks[1]);
}

MODEL(mutex_deadline, .state = &m, .state_bytes = sizeof(m), .setup = setup_mixed,
      .threads = {lock_once, lock_or_time_out, lock_once})
MODEL(mutex_cancel, .state = &m, .state_bytes = sizeof(m), .setup = world_begin,
      .threads = {lock_once, lock_or_be_cancelled, lock_once, cancel_second})
