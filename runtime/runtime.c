#include "runtime/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <skua/runtime.h>
#include <skua/task.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/base/sys.h"
#include "runtime/block.h"
#include "runtime/cancel.h"
#include "runtime/current.h"
#include "runtime/driver.h"
#include "runtime/fault.h"
#include "runtime/idle.h"
#include "runtime/join.h"
#include "runtime/monitor.h"
#include "runtime/place.h"
#include "runtime/signals.h"
#include "runtime/solo.h"
#include "runtime/stack.h"
#include "runtime/task.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

enum {
    GRACE_NS =
        1000000000, /* how long stop waits for coroutines once nothing shields them any more */
    WORKERS_ALIGNMENT = 4096,
};

struct sk_runtime sk_runtime;

extern __thread struct sk_worker *sk_tls_worker
    __attribute__((visibility("hidden"), tls_model("initial-exec")));

/* ---- asking ---- */

int sk_runtime_check(void)
{
    switch (sk_load_acquire(&sk_runtime.x_state)) {
    case SK_RUNTIME_RUNNING:
        return 0;
    case SK_RUNTIME_DEAD:
        return -EOWNERDEAD;
    default:
        return -ESHUTDOWN;
    }
}

int sk_runtime_check_wait(void)
{
    switch (sk_load_seq_cst(&sk_runtime.x_state)) {
    case SK_RUNTIME_STOPPING:
    case SK_RUNTIME_ENDING:
        return -ESHUTDOWN;
    case SK_RUNTIME_DEAD:
        return -EOWNERDEAD;
    default:
        return 0;
    }
}

unsigned skua_workers(void)
{
    if (sk_runtime_enter() < 0)
        return 0;
    unsigned count = sk_runtime.worker_count;
    sk_runtime_leave();
    return count;
}

bool sk_current_acquire(void)
{
    sk_add_seq_cst(&sk_runtime.x_users, 1u);
    if (sk_load_seq_cst(&sk_runtime.x_state) == SK_RUNTIME_RUNNING)
        return true;
    sk_current_release();
    return false;
}

bool sk_runtime_hold(void)
{
    sk_add_seq_cst(&sk_runtime.x_users, 1u);
    uint32_t state = sk_load_seq_cst(&sk_runtime.x_state);
    if (state == SK_RUNTIME_RUNNING || state == SK_RUNTIME_STOPPING)
        return true;
    sk_current_release();
    return false;
}

int sk_runtime_enter(void)
{
    if (sk_current_worker() != NULL)
        return 0;
    sk_add_seq_cst(&sk_runtime.x_users, 1u);
    uint32_t state = sk_load_seq_cst(&sk_runtime.x_state);
    if (state == SK_RUNTIME_RUNNING)
        return 0;
    sk_current_release();
    return state == SK_RUNTIME_DEAD ? -EOWNERDEAD : -ESHUTDOWN;
}

void sk_runtime_leave(void)
{
    if (sk_current_worker() == NULL)
        sk_current_release();
}

void sk_current_release(void)
{
    sk_sub_acq_rel(&sk_runtime.x_users, 1u);
}

void sk_current_wake(struct sk_driver *d)
{
    for (unsigned i = 0; i < sk_runtime.worker_count; i++)
        if (sk_runtime.workers[i].driver == d)
            sk_idle_wake(i);
}

static void wake_worker(unsigned index)
{
    sk_driver_wake(sk_runtime.workers[index].driver);
}

/* ---- start ---- */

static void die_in_child(void)
{
    sk_solo_after_fork();
    sk_task_after_fork(); /* a thread keeps its driver when the runtime has gone */
    if (sk_load_relaxed(&sk_runtime.x_state) == SK_RUNTIME_NONE)
        return;
    sk_store_relaxed(&sk_runtime.x_state, (uint32_t)SK_RUNTIME_DEAD);
    sk_tls_worker = NULL;
    sk_driver_after_fork();
}

static void watch_forks(void)
{
    SK_CHECK(pthread_atfork(NULL, NULL, die_in_child) == 0);
}

static int load_settings(const skua_config *cfg)
{
    int rc = sk_env_load(&sk_runtime.settings, cfg);
    if (rc < 0)
        return rc;
    if (sk_runtime.settings.show != 0) {
        sk_env_show(&sk_runtime.settings, STDERR_FILENO);
        sk_mem_show(STDERR_FILENO);
    }
    return sk_driver_probe(&sk_runtime.settings);
}

static void free_workers(void)
{
    for (unsigned i = 0; sk_runtime.workers != NULL && i < sk_runtime.worker_count; i++)
        sk_worker_free(&sk_runtime.workers[i]);
    sk_mem_unmap(sk_runtime.workers, sk_runtime.worker_count * sizeof(struct sk_worker));
    sk_runtime.workers = NULL;
}

static int make_workers(void)
{
    unsigned n = sk_runtime.settings.workers;
    sk_runtime.worker_count = n;
    sk_runtime.workers = sk_mem_map(WORKERS_ALIGNMENT, n * sizeof(struct sk_worker));
    if (sk_runtime.workers == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        int rc = sk_worker_init(&sk_runtime.workers[i], i);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void prepare(void)
{
    sk_scope_init_root(&sk_runtime.root);
    sk_runtime.inject = (struct sk_inject){.head = NULL};
    sk_runtime.starved = (struct sk_inject){.head = NULL};
    sk_store_relaxed(&sk_runtime.x_starving, sk_san_orders() ? SK_RUNTIME_SPAWNS_TOLD : 0u);
    sk_store_relaxed(&sk_runtime.x_quit, 0u);
    sk_store_relaxed(&sk_runtime.x_start_failure, 0);
    sk_runtime.slice_ticks = sk_clock_ticks(sk_runtime.settings.slice_ns);
    sk_idle_init(sk_runtime.settings.workers, wake_worker);
    sk_block_start();
}

void sk_runtime_await_all_left(void)
{
    if (sk_sub_acq_rel(&sk_runtime.x_running, 1u) == 1)
        sk_sys_futex_wake(&sk_runtime.x_running, 1);
    while (sk_load_acquire(&sk_runtime.x_quit) != 2)
        (void)sk_sys_futex_wait(&sk_runtime.x_quit, 1, SKUA_NEVER);
}

/* In two steps: a driver is closed only when nobody is left who might wake its worker. */
static void end_threads(unsigned count)
{
    uint32_t left;
    sk_store_seq_cst(&sk_runtime.x_quit, 1u);
    for (unsigned i = 0; i < count; i++)
        if (sk_runtime.workers[i].driver != NULL)
            sk_driver_wake(sk_runtime.workers[i].driver);
    while ((left = sk_load_acquire(&sk_runtime.x_running)) != 0)
        (void)sk_sys_futex_wait(&sk_runtime.x_running, left, SKUA_NEVER);
    sk_monitor_stop();
    sk_store_seq_cst(&sk_runtime.x_quit, 2u);
    sk_sys_futex_wake(&sk_runtime.x_quit, INT32_MAX);
    for (unsigned i = 0; i < count; i++)
        pthread_join(sk_runtime.workers[i].thread, NULL);
    sk_solo_stop();
}

static void await_starting(void)
{
    uint32_t left;
    while ((left = sk_load_acquire(&sk_runtime.x_starting)) != 0)
        (void)sk_sys_futex_wait(&sk_runtime.x_starting, left, SKUA_NEVER);
}

/* Returns when every worker has its ring, or none runs any more. */
static int start_threads(void)
{
    unsigned n = sk_runtime.worker_count, started = 0;
    int rc = 0;
    sk_store_relaxed(&sk_runtime.x_running, 0u);
    sk_store_release(&sk_runtime.x_starting, n);
    for (; started < n && rc == 0; started += rc == 0)
        rc = sk_sys.thread_create(&sk_runtime.workers[started].thread, sk_worker_main,
                                  &sk_runtime.workers[started]);
    if (rc < 0) {
        sk_log(SK_LOG_ERROR,
               "cannot create the thread of worker %u of %u (%s): raise RLIMIT_NPROC (ulimit -u, "
               "LimitNPROC=) or the cgroup's pids.max, or lower SKUA_WORKERS",
               started, n, strerrorname_np(-rc));
        sk_sub_acq_rel(&sk_runtime.x_starting, n - started);
    }
    await_starting();
    if (rc == 0)
        rc = sk_load_acquire(&sk_runtime.x_start_failure);
    if (rc < 0)
        end_threads(started);
    return rc;
}

static int start_all(const skua_config *cfg)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    int rc = load_settings(cfg);
    if (rc < 0)
        return rc;
    rc = sk_stack_start(sk_runtime.settings.stack_bytes);
    if (rc < 0)
        return rc;
    prepare();
    sk_sys_keep_mask();
    rc = make_workers();
    if (rc == 0)
        rc = sk_monitor_start();
    if (rc < 0) {
        free_workers();
        sk_stack_stop();
        return rc;
    }
    sk_fault_start();
    sk_signals_start();
    sk_solo_start(
        sk_runtime.settings.workers); /* from here on whatever fails ends in end_threads */
    rc = start_threads();
    if (rc < 0) {
        sk_signals_stop();
        sk_fault_stop();
        free_workers();
        sk_driver_stop();
        sk_stack_stop();
    }
    return rc;
}

/* A limit of the system says EAGAIN for threads: to a caller of skua that would mean that it may not
 * wait. */
static int start_result(int rc)
{
    return rc == -EAGAIN ? -ENOMEM : rc;
}

int skua_start(const skua_config *cfg)
{
    uint32_t none = SK_RUNTIME_NONE;
    if (!sk_cas_acq_rel(&sk_runtime.x_state, &none, (uint32_t)SK_RUNTIME_STARTING))
        return none == SK_RUNTIME_DEAD ? -EOWNERDEAD : -EALREADY;
    int rc = start_all(cfg);
    sk_store_seq_cst(&sk_runtime.x_state,
                     (uint32_t)(rc < 0 ? SK_RUNTIME_NONE : SK_RUNTIME_RUNNING));
    return start_result(rc);
}

/* ---- stop ---- */

static void end_wait(struct skua_task *proxy)
{
    uint64_t word = sk_load_seq_cst(&proxy->x_wait);
    if ((word & SK_WAIT_NOCANCEL) == 0)
        sk_wait_wake(proxy, word, SK_WAIT_SHUTDOWN);
}

/* Threads inside sk_current_acquire or sk_runtime_hold are gone in a moment, unless the kernel does
 * not let an operation go (a file on a disk that does not answer): then at `until` it is
 * -ETIMEDOUT. */
static int await_no_users(skua_time until)
{
    for (unsigned spins = 0; sk_load_seq_cst(&sk_runtime.x_users) != 0; spins++) {
        if (until != SKUA_NEVER && sk_clock_now() >= until)
            return -ETIMEDOUT;
        sk_lock_relax(spins);
    }
    return 0;
}

/* Plain threads may start no wait any more; those that wait are woken, and leave the runtime
 * alone. */
static int send_threads_away(skua_time dl)
{
    sk_task_each_proxy(end_wait);
    skua_time least = skua_in(GRACE_NS);
    return await_no_users(dl > least ? dl : least);
}

static int end_coroutines(skua_time dl)
{
    sk_cancel_scope(&sk_runtime.root, false);
    int rc = sk_scope_drain(&sk_runtime.root, dl);
    if (rc == 0)
        return 0;
    sk_cancel_scope(&sk_runtime.root, true);
    return sk_scope_drain(&sk_runtime.root, skua_in(GRACE_NS));
}

static void report_left(void)
{
    uint64_t left = sk_load_relaxed(&sk_runtime.root.x_word) - SK_SCOPE_BIAS;
    sk_log(SK_LOG_ERROR,
           "skua_stop: %llu coroutine(s) of the root scope have not ended, though cancelled; the "
           "runtime runs on; a coroutine "
           "that computes for long should poll skua_cancelled(), and what skua_block runs for one "
           "must end",
           (unsigned long long)left);
}

static void tear_down(void)
{
    sk_block_stop();
    end_threads(sk_runtime.worker_count);
    sk_block_stop(); /* a timer's function that ran until now has perhaps closed something */
    sk_signals_stop();
    sk_fault_stop();
    free_workers();
    sk_driver_stop();
    sk_stack_stop();
    sk_task_stop();
}

/* No coroutine is left, and only a timer's callback could still arm a timer: from now on it gets
 * -ESHUTDOWN. It must be now: as soon as the runtime is ENDING, skua_timer_stop says that a timer does
 * not run, and its memory may go. */
static void drop_timers(void)
{
    for (unsigned i = 0; i < sk_runtime.worker_count; i++)
        sk_timer_drop_all(&sk_runtime.workers[i].timers);
}

int skua_stop(skua_time dl)
{
    uint32_t running = SK_RUNTIME_RUNNING;
    int rc = sk_clock_check_deadline(dl);
    if (sk_place_is_callback())
        return -EPERM;
    if (sk_current_worker() != NULL || sk_block_is_inside())
        return -EDEADLK;
    if (rc < 0)
        return rc;
    if (!sk_cas_seq_cst(&sk_runtime.x_state, &running, (uint32_t)SK_RUNTIME_STOPPING))
        return running == SK_RUNTIME_DEAD ? -EOWNERDEAD : -ESHUTDOWN;
    if (send_threads_away(dl) < 0 || end_coroutines(dl) < 0) {
        report_left();
        sk_store_seq_cst(&sk_runtime.x_state, (uint32_t)SK_RUNTIME_RUNNING);
        return -ETIMEDOUT;
    }
    sk_san_acquire(&sk_runtime.root);
    drop_timers();
    sk_store_seq_cst(&sk_runtime.x_state, (uint32_t)SK_RUNTIME_ENDING);
    (void)await_no_users(SKUA_NEVER); /* those only wake: no worker computes any more */
    tear_down();
    sk_task_close_driver(); /* of the others each gives its own back when it ends */
    sk_store_seq_cst(&sk_runtime.x_state, (uint32_t)SK_RUNTIME_NONE);
    return 0;
}

/* ---- run and call ---- */

static void tell_runner(skua_task *task, void *event)
{
    (void)task;
    sk_signals_bump(event);
}

/* Waits for the first coroutine; a signal meanwhile cancels the root scope. */
static int run_first(int (*fn)(void *), void *arg)
{
    skua_task *first;
    int result = 0;
    _Atomic(uint32_t) *event =
        sk_signals_take(); /* first: whoever is told that a service is ready may end it at once */
    int rc = skua_spawn_opts(SKUA_SCOPE_ROOT, fn, arg, NULL, &first);
    if (rc < 0)
        return rc;
    rc = skua_on_done(first, tell_runner, (void *)event);
    for (uint32_t seen = 0; rc == 0;) {
        if (sk_signals_came())
            skua_scope_cancel(SKUA_SCOPE_ROOT);
        if (skua_task_state(first) >= SKUA_DONE)
            break;
        (void)sk_sys_futex_wait(event, seen, SKUA_NEVER);
        seen = sk_load_acquire(event);
    }
    (void)sk_join_wait(first, &result, SKUA_NEVER, SK_WAIT_NOCANCEL);
    skua_task_unref(first);
    return rc < 0 ? rc : result;
}

int skua_run(int (*fn)(void *), void *arg, const skua_config *cfg)
{
    if (fn == NULL)
        return -EINVAL;
    if (sk_wait_is_forbidden())
        return -EPERM;
    int rc = skua_start(cfg);
    if (rc < 0)
        return rc;
    rc = run_first(fn, arg);
    int stopped = skua_stop(SKUA_NEVER);
    sk_signals_give_back();
    return rc < 0 || stopped == 0 ? rc : stopped;
}

int skua_call(int (*fn)(void *), void *arg, skua_time dl)
{
    skua_task *task;
    int result = 0;
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0 || fn == NULL)
        return -EINVAL;
    if (sk_current_worker() != NULL || sk_wait_is_forbidden())
        return -EPERM;
    if (sk_task_proxy() == NULL)
        return -ENOMEM; /* the caller could not wait for it */
    rc = skua_spawn_opts(SKUA_SCOPE_ROOT, fn, arg, NULL, &task);
    if (rc < 0)
        return rc;
    if (sk_join_wait(task, &result, dl, SK_WAIT_NOCANCEL) < 0) {
        skua_cancel(task);
        (void)sk_join_wait(task, &result, SKUA_NEVER, SK_WAIT_NOCANCEL);
    }
    skua_task_unref(task);
    return result;
}
