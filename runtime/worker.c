#include "runtime/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>

#include <skua/runtime.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/base/sys.h"
#include "runtime/fault.h"
#include "runtime/idle.h"
#include "runtime/monitor.h"
#include "runtime/runtime.h"
#include "runtime/sched.h"

enum {
    SPINS = 24, /* looks at everybody's queues before it sleeps: a microsecond or two */
    SHORT_SLEEP_NS = 10000000, /* the slack is a two-hundredth of a longer one */
    STARVED_RETRY_NS =
        50000000, /* tasks without a stack are tried again, in case nobody gives one back */
};

/* Hidden, initial-exec; read through sk_current_worker alone. */
__attribute__((visibility("hidden"),
               tls_model("initial-exec"))) __thread struct sk_worker *sk_tls_worker;

/* ---- one look at the world ---- */

/* The next batch is as long as the last one was quick: long coroutines must not keep I/O waiting
 * for more than a slice. */
static int32_t next_batch(struct sk_worker *w, skua_time now)
{
    int32_t most = (int32_t)sk_runtime.settings.batch;
    int64_t used = w->batch - (w->budget > 0 ? w->budget : 0);
    int64_t elapsed = now - w->served_ns;
    if (used <= 0 || elapsed <= 0)
        return most;
    int64_t fit = sk_runtime.settings.slice_ns * used / elapsed;
    return fit < 1 ? 1 : fit < most ? (int32_t)fit : most;
}

static void begin_batch(struct sk_worker *w, skua_time now, int32_t batch)
{
    w->batch = batch;
    w->budget = batch;
    w->served_ns = now;
    w->slice_end = sk_arch_ticks() + sk_runtime.slice_ticks;
}

unsigned sk_worker_serve(struct sk_worker *w)
{
    skua_time now = sk_clock_now();
    int32_t batch = next_batch(w, now);
    unsigned came = sk_driver_poll(w->driver);
    if (sk_timer_first(&w->timers) <= now)
        came += sk_timer_fire(&w->timers, now);
    if (sk_load_relaxed(&sk_runtime.inject.x_count) != 0) {
        sk_sched_share_injected(w);
        came++;
    }
    begin_batch(w, now, batch);
    return came;
}

/* ---- having nothing to do ---- */

/* Anything that somebody may have left for this worker, or for any, before it announced sleep; and what
 * stands in its own queues and its slot: a slice that was over before the first dispatch, as where the
 * kernel has run others meanwhile, ends a batch that has not looked at them. */
static bool sees_work(struct sk_worker *w)
{
    if (sk_load_acquire(&sk_runtime.x_quit) != 0 || sk_inject_len(&w->inbox) != 0 ||
        sk_inject_len(&sk_runtime.inject) != 0 || sk_driver_has_mail(w->driver) ||
        sk_slot_peek(&w->slot) != NULL)
        return true;
    for (unsigned i = 0; i < sk_runtime.worker_count; i++) {
        struct sk_worker *other = &sk_runtime.workers[i];
        uint64_t woken = sk_deque_len(&other->woken), queued = sk_deque_len(&other->queue);
        if (woken > 1 || queued > 1 || (other == w && woken + queued > 0))
            return true;
        if (woken + queued > 0 || sk_slot_peek(&other->slot) != NULL)
            sk_monitor_arm(); /* its worker will reach it sooner, most likely */
    }
    return false;
}

/* Until when it may sleep. Tasks that wait for a stack are tried again from time to time. */
static skua_time wake_time(struct sk_worker *w)
{
    skua_time until = sk_timer_first(&w->timers);
    if (sk_likely(sk_load_relaxed(&sk_runtime.starved.x_count) == 0)) {
        w->retry_ns = SKUA_NEVER;
        return until;
    }
    if (w->retry_ns == SKUA_NEVER)
        w->retry_ns = skua_in(STARVED_RETRY_NS);
    return w->retry_ns < until ? w->retry_ns : until;
}

static void retry_starved(void)
{
    struct skua_task *task;
    for (uint32_t n = sk_load_relaxed(&sk_runtime.starved.x_count); n > 0; n--)
        if ((task = sk_inject_pop(&sk_runtime.starved)) != NULL)
            sk_sched_submit(task);
}

/* By the default timer slack a sleep ends 50 us late. It is changed for a short sleep alone: what a
 * coroutine starts, a child or a thread, inherits it, and the two calls cost as much as a tenth of a
 * wakeup (ADR 0017). 0 is the thread's default: what the thread that started the runtime had. */
static void wait_in_driver(struct sk_worker *w, skua_time until)
{
    bool is_short = until < w->served_ns + SHORT_SLEEP_NS; /* a timer may be due before time began */
    if (is_short)
        prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    sk_driver_wait(w->driver, until);
    if (is_short)
        prctl(PR_SET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
}

static void sleep_in_driver(struct sk_worker *w)
{
    sk_idle_announce(w->index, w->searching);
    w->searching = false;
    if (sees_work(w)) {
        w->searching = sk_idle_leave(w->index);
        sk_worker_serve(w); /* it may be mail */
        return;
    }
    wait_in_driver(w, wake_time(w));
    w->searching = sk_idle_leave(
        w->index); /* before completions ready tasks: it is no sleeper to be woken for them */
    sk_driver_poll(w->driver);
    begin_batch(w, sk_clock_now(), (int32_t)sk_runtime.settings.batch);
    if (sk_unlikely(w->retry_ns <= w->served_ns)) {
        w->retry_ns = SKUA_NEVER;
        retry_starved();
    }
    if (sk_timer_first(&w->timers) <= w->served_ns)
        sk_timer_fire(&w->timers, w->served_ns);
}

/* Anything that another worker could take: what was published while this one searched has woken
 * nobody. A push to a deque in this very moment may be missed; who pushed has armed the monitor. */
static bool is_work_left(void)
{
    if (sk_inject_len(&sk_runtime.inject) != 0)
        return true;
    for (unsigned i = 0; i < sk_runtime.worker_count; i++) {
        struct sk_worker *other = &sk_runtime.workers[i];
        if (sk_deque_len(&other->woken) != 0 || sk_deque_len(&other->queue) != 0)
            return true;
    }
    return false;
}

/* It found something and no longer counts as a searcher. Who was the last to search sends another
 * where there is more. */
static void stop_searching(struct sk_worker *w)
{
    w->searching = false;
    if (sk_idle_search_end() && is_work_left())
        (void)sk_idle_notify_slow();
}

static struct skua_task *search(struct sk_worker *w)
{
    if (sk_runtime.worker_count == 1 || (!w->searching && !sk_idle_search_begin()))
        return NULL;
    w->searching = true;
    for (unsigned i = 0; i < SPINS; i++) {
        struct skua_task *task = sk_find_work(w);
        if (task != NULL)
            return task;
        for (unsigned pause = 0; pause < 16; pause++)
            sk_arch_pause();
    }
    return NULL;
}

/* ---- the loop ---- */

/* The table of contents of the runtime: each turn serves the world when the batch is spent, finds
 * work, runs it, or rests. */
static void run(struct sk_worker *w)
{
    while (sk_load_acquire(&sk_runtime.x_quit) == 0) {
        if (w->budget <= 0)
            sk_worker_serve(w);
        struct skua_task *task = sk_find_work(w);
        if (task == NULL)
            task = search(w);
        if (task == NULL) {
            sleep_in_driver(w);
            continue;
        }
        if (w->searching)
            stop_searching(w);
        sk_sched_dispatch(w, task);
    }
}

/* ---- the thread ---- */

static void prepare_thread(struct sk_worker *w)
{
    char name[16];
    snprintf(name, sizeof(name), "skua-%u", w->index);
    pthread_setname_np(pthread_self(), name);
    pthread_attr_t attr;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &w->thread_low, &w->thread_bytes);
        pthread_attr_destroy(&attr);
    }
    w->tsan_fiber = sk_san_fiber_self();
    sk_tls_worker = w;
}

static void report_start(int rc)
{
    int32_t none = 0;
    if (rc < 0)
        sk_cas_relaxed(&sk_runtime.x_start_failure, &none, rc);
    else
        sk_add_relaxed(&sk_runtime.x_running, 1u);
    if (sk_sub_acq_rel(&sk_runtime.x_starting, 1u) == 1)
        sk_sys_futex_wake(&sk_runtime.x_starting, 1);
}

void *sk_worker_main(void *worker)
{
    struct sk_worker *w = worker;
    prepare_thread(w);
    void *alternate = sk_fault_enter_thread();
    int rc = alternate == NULL ? -ENOMEM
                               : sk_driver_open(&w->driver, &sk_runtime.settings, &w->io_counts);
    report_start(rc);
    if (rc == 0) {
        sk_sys_open_mask();
        begin_batch(w, sk_clock_now(), (int32_t)sk_runtime.settings.batch);
        run(w);
        sk_runtime_await_all_left();
        sk_driver_close(w->driver);
    }
    sk_stack_drain(&w->stacks);
    sk_task_drain(w);
    sk_fault_leave_thread(alternate);
    sk_tls_worker = NULL;
    return NULL;
}

enum { DEQUE_BYTES = SK_WORKER_DEQUE_ENTRIES * sizeof(struct skua_task *) };

static int init_deque(struct sk_deque *q)
{
    q->slots = sk_mem_map(DEQUE_BYTES, DEQUE_BYTES);
    q->mask = SK_WORKER_DEQUE_ENTRIES - 1;
    q->alone = sk_runtime.worker_count == 1;
    return q->slots != NULL ? 0 : -ENOMEM;
}

int sk_worker_init(struct sk_worker *w, unsigned index)
{
    w->index = index;
    w->retry_ns = SKUA_NEVER;
    w->chaos_migrate =
        (sk_runtime.settings.chaos & SK_CHAOS_MIGRATE) != 0 && sk_runtime.worker_count > 1;
    w->detour = w->chaos_migrate || sk_san_switches();
    /* The quick way past the queues tells no sanitizer of the switch. */
    w->slot.alone = sk_runtime.worker_count == 1 && (SK_SAN_BUILT_IN || !w->detour);
    sk_rand_seed(&w->rand, index + 1);
    sk_timer_heap_init(&w->timers);
    return init_deque(&w->woken) < 0 || init_deque(&w->queue) < 0 ? -ENOMEM : 0;
}

void sk_worker_free(struct sk_worker *w)
{
    sk_mem_unmap(w->woken.slots, DEQUE_BYTES);
    sk_mem_unmap(w->queue.slots, DEQUE_BYTES);
    sk_timer_heap_free(&w->timers);
}

/* ---- for io/ and sync/ (runtime/current.h) ---- */

struct skua_task *sk_current_task(void)
{
    struct sk_worker *w = sk_current_worker();
    return w != NULL ? w->current : NULL;
}

struct sk_driver *sk_current_driver(void)
{
    struct sk_worker *w = sk_current_worker();
    return w != NULL ? w->driver : NULL;
}

struct sk_timer_heap *sk_current_timers(void)
{
    struct sk_worker *w = sk_current_worker();
    return w != NULL ? &w->timers : NULL;
}

unsigned skua_worker(void)
{
    struct sk_worker *w = sk_current_worker();
    return w != NULL ? w->index : UINT32_MAX;
}
