/* runtime/sleep.c - sleeping coroutines, and timers that call a function. */
#include <errno.h>
#include <sched.h>

#include <skua/task.h>
#include <skua/time.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/idle.h"
#include "runtime/runtime.h"
#include "runtime/timer.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

static_assert(sizeof(struct sk_timer) <= sizeof(skua_timer), "skua_timer holds it");

/* Its own time is no failure; a scope's deadline that came first is. */
static int sleep_to(skua_time when)
{
    struct sk_wait wait = {.deadline = 0};
    int rc = sk_wait_begin(&wait, when, 0);
    if (rc == 0)
        rc = sk_wait_park(&wait);
    return rc == -ETIMEDOUT && wait.deadline == when ? 0 : rc;
}

int skua_sleep_until(skua_time when)
{
    return when <= sk_clock_now() ? skua_yield() : sleep_to(when);
}

int skua_sleep(int64_t ns)
{
    return ns <= 0 ? skua_yield() : sleep_to(skua_in(ns));
}

static struct sk_timer *timer_of(skua_timer *t)
{
    return (struct sk_timer *)(void *)t;
}

static void call_user(void *arg, uint64_t word)
{
    void (*fn)(void *) = (void (*)(void *))(uintptr_t)word;
    fn(arg);
}

int skua_timer_start(skua_timer *t, skua_time when, void (*fn)(void *), void *arg)
{
    struct sk_timer *timer = timer_of(t);
    struct sk_worker *w = sk_current_worker();
    int rc = sk_runtime_check();
    if (fn == NULL || rc < 0)
        return fn == NULL ? -EINVAL : rc;
    *timer = (struct sk_timer){.fn = call_user, .arg = arg, .word = (uint64_t)(uintptr_t)fn};
    if (w != NULL)
        return sk_timer_arm(&w->timers, timer, when);
    /* A plain thread's timers go to the workers in turn. */
    if (!sk_current_acquire())
        return sk_runtime_check() < 0 ? sk_runtime_check() : -ESHUTDOWN;
    unsigned index = sk_add_relaxed(&sk_runtime.x_next, 1u) % sk_runtime.worker_count;
    rc = sk_timer_arm(&sk_runtime.workers[index].timers, timer, when);
    if (rc == 0)
        sk_idle_wake(index);
    sk_current_release();
    return rc;
}

/* The timers of a runtime that is gone, or was another one, will not fire. */
static bool is_live(const struct sk_timer_heap *heap)
{
    const char *first = (const char *)sk_runtime.workers;
    return (const char *)heap >= first &&
           (const char *)heap < first + sk_runtime.worker_count * sizeof(struct sk_worker);
}

int skua_timer_stop(skua_timer *t)
{
    struct sk_timer *timer = timer_of(t);
    bool held = sk_current_worker() == NULL;
    if (held && !sk_runtime_hold())
        return sk_timer_was_dropped(timer); /* before the runtime was ENDING: hold has seen that */
    bool stopped = is_live(sk_load_relaxed(&timer->x_heap)) ? sk_timer_disarm(timer)
                                                            : sk_timer_was_dropped(timer);
    if (held)
        sk_current_release();
    return stopped;
}
