#include "runtime/monitor.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <skua/time.h>

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/mem.h"
#include "runtime/base/sys.h"
#include "runtime/idle.h"
#include "runtime/runtime.h"
#include "runtime/worker.h"

enum {
    TICK_NS = 1000000,
    AGED_TICKS = 2,   /* what stood still for so many ticks is stuck behind a busy coroutine */
    INBOX_TICKS = 10, /* as AGED_TICKS, for an inbox under chaos: its worker may only lack a core */
    QUIET_TICKS = 16, /* quiet ones before it sleeps: arming costs a futex wake */
};

/* x_armed: 0 asleep, 1 ticking, 2 the runtime stops. */
enum { DISARMED, ARMED, QUIT };

_Atomic(uint32_t) sk_monitor_armed;

/* What stood at the head of a queue at the last tick. */
struct seen {
    uint64_t top;
    unsigned ticks;
};

struct seen_worker {
    struct seen woken, queue;
    const struct skua_task *slot;
    unsigned slot_ticks;
    const struct skua_task *inbox_head;
    unsigned inbox_ticks;
};

static struct {
    unsigned long thread;
    bool running;
    struct seen_worker *seen;
    const struct skua_task *inject_head;
    unsigned inject_ticks;
} monitor;

void sk_monitor_arm_slow(void)
{
    uint32_t disarmed = DISARMED;
    if (monitor.running && sk_cas_acq_rel(&sk_monitor_armed, &disarmed, (uint32_t)ARMED))
        sk_sys_futex_wake(&sk_monitor_armed, 1);
}

/* True: work is there. *aged: and it has stood for long. */
static bool look_at_queue(struct sk_deque *q, struct seen *seen, bool *aged)
{
    uint64_t top = sk_load_acquire(&q->x_top);
    bool any = sk_deque_len(q) > 0;
    seen->ticks = any && top == seen->top ? seen->ticks + 1 : 0;
    seen->top = top;
    *aged |= seen->ticks >= AGED_TICKS;
    return any;
}

static bool look_at_slot(struct sk_worker *w, struct seen_worker *seen, bool *aged)
{
    const struct skua_task *slot = sk_slot_peek(&w->slot);
    seen->slot_ticks = slot != NULL && slot == seen->slot ? seen->slot_ticks + 1 : 0;
    seen->slot = slot;
    bool old = seen->slot_ticks >= AGED_TICKS;
    if (old)
        sk_slot_open(&w->slot);
    *aged |= old;
    return slot != NULL;
}

/* How many ticks the same task has stood at the head of q; *seen is the head at the last tick. */
static unsigned look_at_head(struct sk_inject *q, const struct skua_task **seen, unsigned ticks)
{
    sk_lock(&q->lock);
    const struct skua_task *head = sk_inject_len(q) != 0 ? q->head : NULL;
    sk_unlock(&q->lock);
    ticks = head != NULL && head == *seen ? ticks + 1 : 0;
    *seen = head;
    return ticks;
}

static bool look_at_inject(bool *aged)
{
    monitor.inject_ticks =
        look_at_head(&sk_runtime.inject, &monitor.inject_head, monitor.inject_ticks);
    *aged |= monitor.inject_ticks >= AGED_TICKS;
    return monitor.inject_head != NULL;
}

/* Moves what may run elsewhere from the worker's inbox to the global queue. A pinned task goes back;
 * its worker may have found the inbox empty meanwhile, and is woken. */
static void empty_inbox(struct sk_worker *w)
{
    bool any_pinned = false;
    struct skua_task *task;
    for (uint32_t n = sk_inject_len(&w->inbox); n > 0; n--) {
        if ((task = sk_inject_pop(&w->inbox)) == NULL)
            break;
        any_pinned |= task->affinity != 0;
        sk_inject_push(task->affinity != 0 ? &w->inbox : &sk_runtime.inject, task);
    }
    if (any_pinned)
        sk_idle_wake(w->index);
}

/* SKUA_CHAOS=migrate puts tasks that may run anywhere into inboxes, from which no thief takes. True:
 * one is left that its worker does not take, perhaps because it sits in a call that waits for it. */
static bool look_at_inbox(struct sk_worker *w, struct seen_worker *seen, bool *aged)
{
    if (!w->chaos_migrate)
        return false;
    seen->inbox_ticks = look_at_head(&w->inbox, &seen->inbox_head, seen->inbox_ticks);
    bool old = seen->inbox_ticks >= INBOX_TICKS;
    if (old)
        empty_inbox(w);
    *aged |= old;
    return seen->inbox_head != NULL;
}

/* True: something is left behind while a worker sleeps, or in an inbox that chaos has filled. */
static bool tick(void)
{
    bool any = false, aged = false, chaotic = false;
    for (unsigned i = 0; i < sk_runtime.worker_count; i++) {
        struct sk_worker *w = &sk_runtime.workers[i];
        chaotic |= look_at_inbox(w, &monitor.seen[i], &aged);
        any |= look_at_queue(&w->woken, &monitor.seen[i].woken, &aged);
        any |= look_at_queue(&w->queue, &monitor.seen[i].queue, &aged);
        any |= look_at_slot(w, &monitor.seen[i], &aged);
    }
    any |= look_at_inject(&aged);
    if (aged)
        (void)sk_idle_notify_slow();
    return chaotic || (any && sk_idle_sleepers());
}

static void sleep_until_armed(void)
{
    /* Disarm first, look once more after: who pushed before the look is seen, who pushes after it
     * arms. */
    uint32_t armed = ARMED;
    sk_cas_seq_cst(&sk_monitor_armed, &armed, (uint32_t)DISARMED);
    sk_idle_heavy_barrier();
    if (tick()) {
        uint32_t disarmed = DISARMED;
        sk_cas_seq_cst(&sk_monitor_armed, &disarmed, (uint32_t)ARMED);
        return;
    }
    while (sk_load_acquire(&sk_monitor_armed) == DISARMED)
        (void)sk_sys_futex_wait(&sk_monitor_armed, DISARMED, SKUA_NEVER);
}

static void *run(void *arg)
{
    (void)arg;
    unsigned quiet = QUIET_TICKS;
    pthread_setname_np(pthread_self(), "skua-monitor");
    while (sk_load_acquire(&sk_monitor_armed) != QUIT) {
        if (quiet >= QUIET_TICKS) {
            sleep_until_armed();
            quiet = 0;
        }
        skua_time next = sk_clock_now() + TICK_NS;
        while (sk_load_acquire(&sk_monitor_armed) == ARMED && sk_clock_now() < next)
            (void)sk_sys_futex_wait(&sk_monitor_armed, ARMED, next);
        quiet = tick() ? 0 : quiet + 1;
    }
    return NULL;
}

int sk_monitor_start(void)
{
    monitor.running = false;
    sk_store_relaxed(&sk_monitor_armed, (uint32_t)DISARMED);
    if (sk_runtime.worker_count == 1)
        return 0;
    monitor.seen = sk_mem_zalloc(sk_runtime.worker_count * sizeof(*monitor.seen));
    if (monitor.seen == NULL)
        return -ENOMEM;
    int rc = sk_sys.thread_create(&monitor.thread, run, NULL);
    if (rc < 0) {
        sk_log(SK_LOG_ERROR,
               "cannot create the monitor's thread (%s): raise RLIMIT_NPROC (ulimit -u, "
               "LimitNPROC=) or the cgroup's pids.max, or set SKUA_WORKERS=1, which needs none",
               strerrorname_np(-rc));
        sk_mem_free(monitor.seen);
        return rc;
    }
    monitor.running = true;
    return 0;
}

void sk_monitor_stop(void)
{
    if (!monitor.running)
        return;
    sk_store_release(&sk_monitor_armed, (uint32_t)QUIT);
    sk_sys_futex_wake(&sk_monitor_armed, 1);
    pthread_join(monitor.thread, NULL);
    monitor.running = false;
    sk_mem_free(monitor.seen);
}
