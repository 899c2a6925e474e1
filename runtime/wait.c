#include "runtime/wait.h"

#include <errno.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/sanitizer.h"
#include "runtime/base/sys.h"
#include "runtime/cancel.h"
#include "runtime/driver.h"
#include "runtime/runtime.h"
#include "runtime/sched.h"
#include "runtime/solo.h"
#include "runtime/worker.h"

int sk_wait_code(uint64_t word)
{
    switch (word & SK_WAIT_REASON_MASK) {
    case SK_WAIT_WOKEN:
        return 0;
    case SK_WAIT_TIMEDOUT:
        return -ETIMEDOUT;
    case SK_WAIT_SHUTDOWN:
        return -ESHUTDOWN;
    default:
        sk_san_acquire(&sk_san_cancel);
        return -ECANCELED;
    }
}

/* ---- callbacks ---- */

/* How many callbacks a plain thread is in; a worker has its `current`. */
static __thread unsigned forbidden __attribute__((tls_model("initial-exec")));

struct skua_task *sk_wait_forbid(void)
{
    struct sk_worker *w = sk_current_worker();
    if (w == NULL) {
        forbidden++;
        return NULL;
    }
    struct skua_task *self = w->current;
    w->current = NULL;
    return self;
}

void sk_wait_permit(struct skua_task *self)
{
    struct sk_worker *w = sk_current_worker();
    if (w == NULL)
        forbidden--;
    else
        w->current = self;
}

bool sk_wait_is_forbidden(void)
{
    return forbidden > 0;
}

/* ---- the waiter ---- */

/* The wait is not to be, for reason rc. An operation that was claimed meanwhile goes on all the
 * same: its mail is under way, and ends it. */
static int withdraw(struct sk_wait *w, int rc)
{
    sk_san_acquire(&sk_san_cancel);
    return !sk_wait_abandon(w) && (w->ticket & SK_WAIT_OP) != 0 ? 0 : rc;
}

/* Whether a deadline has passed is asked of the time at which the worker last served timers, which
 * costs no look at the clock: one that has passed since then is found by the timer, at the next
 * turn. */
static int begin_as_coroutine(struct sk_wait *w, const struct sk_worker *worker, skua_time dl,
                              unsigned flags)
{
    struct skua_task *task = worker->current;
    w->task = task;
    sk_cancel_link(task);
    w->deadline = dl;
    if ((flags & SK_WAIT_NOCANCEL) == 0) {
        skua_time seen = sk_cancel_deadline(task);
        if (seen < dl)
            w->deadline = seen;
    }
    w->ticket = sk_wait_next_ticket(task, flags);
    sk_store_release(&task->x_wait, w->ticket);
    int rc = 0;
    if ((flags & SK_WAIT_NOCANCEL) == 0 && sk_unlikely(sk_load_acquire(&task->x_cancel) != 0) &&
        sk_cancel_seen(task))
        rc = -ECANCELED;
    else if (w->deadline <= worker->served_ns)
        rc = -ETIMEDOUT;
    return rc != 0 ? withdraw(w, rc) : 0;
}

static int begin_as_thread(struct sk_wait *w, skua_time dl, unsigned flags)
{
    if (sk_wait_is_forbidden())
        return -EPERM;
    int rc = (flags & SK_WAIT_NOCANCEL) != 0 ? 0 : sk_runtime_check_wait();
    if (rc < 0)
        return rc;
    w->deadline = dl;
    if (dl != SKUA_NEVER && dl <= sk_clock_now())
        return -ETIMEDOUT;
    w->task = sk_task_proxy();
    if (w->task == NULL)
        return -ENOMEM;
    sk_store_relaxed(&w->task->x_refs,
                     (flags & SK_WAIT_OP) != 0 ? SK_PROXY_AT_DRIVER : SK_PROXY_AWAKE);
    w->ticket = sk_wait_next_ticket(w->task, flags | SK_WAIT_THREAD);
    (void)sk_xchg_seq_cst(&w->task->x_wait, w->ticket); /* WT3 */
    /* Stop sets its state, then ends the waits of all proxies: one of the two is seen. */
    if ((flags & SK_WAIT_NOCANCEL) == 0)
        rc = sk_runtime_check_wait();
    return rc != 0 ? withdraw(w, rc) : 0;
}

int sk_wait_begin_fully(struct sk_wait *w, skua_time dl, unsigned flags)
{
    struct sk_worker *worker = sk_current_worker();
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0)
        return rc;
    if (worker != NULL && worker->current == NULL)
        return dl == SKUA_NOW ? -EAGAIN : -EPERM;
    if (dl == SKUA_NOW)
        return -EAGAIN;
    return worker == NULL ? begin_as_thread(w, dl, flags)
                          : begin_as_coroutine(w, worker, dl, flags);
}

/* The commit finds, in word, that the wait was claimed while it registered. An operation is readied
 * by its ring's owner, after its terminal completion. */
static void finish_claimed(struct skua_task *task, uint64_t word)
{
    if ((word & SK_WAIT_OP) == 0 || (word & SK_WAIT_REASON_MASK) == SK_WAIT_WOKEN)
        sk_ready(task);
}

/* The commit, which has the task back. */
static void cancel_registered(struct skua_task *task, uint64_t ticket)
{
    uint64_t word = ticket;
    uint64_t claimed =
        (ticket & ~(uint64_t)SK_WAIT_STATE_MASK) | SK_WAIT_CANCELLED | SK_WAIT_CLAIMED;
    if (!sk_wait_swap(task, &word, claimed))
        finish_claimed(task, word);
    else if ((ticket & SK_WAIT_OP) != 0)
        sk_driver_cancel(task);
    else
        sk_ready(task);
}

/* x_cancel is not zero, and perhaps nobody has kicked this wait. Whether the task can see a
 * cancellation only the task may find out, and it sleeps: so the commit takes it back for a look, if
 * nobody has claimed it. */
static __attribute__((noinline)) void look_again(struct skua_task *task, uint64_t ticket)
{
    uint8_t looked = 0, bits;
    while ((bits = sk_load_seq_cst(&task->x_cancel)) != looked) { /* WT4 */
        uint64_t word = sk_wait_waiting(ticket);
        if (!sk_wait_swap(task, &word, ticket))
            return;
        looked = bits;
        if (sk_cancel_seen(task)) {
            cancel_registered(task, ticket);
            return;
        }
        word = ticket;
        if (!sk_wait_swap(task, &word, sk_wait_waiting(ticket))) { /* WT3 */
            finish_claimed(task, word);
            return;
        }
    }
}

/* After the switch away from the waiter's stack. Once it is WAITING the task may go on, and even end:
 * its record is only looked at. */
void sk_wait_commit(struct skua_task *task, void *arg)
{
    uint64_t ticket = (uint64_t)(uintptr_t)arg;
    uint64_t word = ticket;
    if (sk_unlikely(!sk_wait_swap(task, &word, sk_wait_waiting(ticket)))) /* WT3 */
        finish_claimed(task, word);
    else if (sk_unlikely(sk_load_seq_cst(&task->x_cancel) != 0) && /* WT4 */
             (ticket & SK_WAIT_NOCANCEL) == 0)
        look_again(task, ticket);
}

static void time_out(void *task, uint64_t ticket)
{
    sk_wait_wake(task, ticket, SK_WAIT_TIMEDOUT);
}

int sk_wait_arm(struct sk_wait *w)
{
    if (w->deadline == SKUA_NEVER)
        return 0;
    sk_store_relaxed(&w->timer.x_heap, NULL);
    w->timer.slot = 0;
    w->timer.fn = time_out;
    w->timer.arg = w->task;
    w->timer.word = w->ticket;
    return sk_timer_arm(&sk_current_worker()->timers, &w->timer, w->deadline);
}

static int park_coroutine(struct sk_wait *w)
{
    if (w->deadline != SKUA_NEVER) {
        int rc = sk_wait_arm(w);
        if (rc < 0 && (w->ticket & SK_WAIT_OP) == 0 && sk_wait_abandon(w))
            return rc;
        if (rc < 0)
            sk_wait_wake(
                w->task, w->ticket,
                SK_WAIT_TIMEDOUT); /* an operation that could not be ended in time is not begun */
    }
    sk_park(sk_wait_commit, (void *)(uintptr_t)w->ticket);
    if (w->deadline != SKUA_NEVER)
        sk_timer_disarm(&w->timer);
    return sk_wait_result(w);
}

/* ---- a plain thread ---- */

/* The winner of a WAITING thread's claim says so here, and that is the winner's last access: so the
 * thread, even at its deadline, first waits for it. */
static bool is_readied(const struct skua_task *proxy)
{
    return sk_load_acquire(&proxy->x_refs) == SK_PROXY_READIED; /* PX2 */
}

static void sleep_on_word(struct skua_task *proxy)
{
    while (!is_readied(proxy))
        (void)sk_sys_futex_wait(&proxy->x_refs, SK_PROXY_AWAKE, SKUA_NEVER);
}

static void park_on_word(struct sk_wait *w)
{
    while (!is_readied(w->task)) {
        if (sk_sys_futex_wait(&w->task->x_refs, SK_PROXY_AWAKE, w->deadline) != -ETIMEDOUT)
            continue;
        if (sk_wait_claim(w->task, w->ticket, SK_WAIT_TIMEDOUT) == SK_WAIT_LOST)
            sleep_on_word(w->task);
        return;
    }
}

/* Until something has come to the driver, or the thread was readied, or `until`; then takes it in. */
static void sleep_in_driver(struct skua_task *proxy, skua_time until)
{
    struct sk_driver *d = proxy->proxy.driver;
    uint32_t word = sk_load_acquire(&proxy->x_refs); /* PX2 */
    if (word == SK_PROXY_READIED)
        return;
    if (!sk_cas_seq_cst(&proxy->x_refs, &word, (uint32_t)SK_PROXY_IN_DRIVER)) /* PX3 */
        return;
    sk_driver_wait(d, until);
    word = SK_PROXY_IN_DRIVER;
    (void)sk_cas_acq_rel(&proxy->x_refs, &word, (uint32_t)SK_PROXY_AT_DRIVER);
    (void)sk_driver_poll(d);
}

/* The deadline has passed. True: the wait is over. False: the thread will be readied; an operation's
 * by its terminal completion, for which it has asked the kernel now. */
static bool time_out_thread(struct sk_wait *w)
{
    if ((w->ticket & SK_WAIT_OP) == 0)
        return sk_wait_claim(w->task, w->ticket, SK_WAIT_TIMEDOUT) != SK_WAIT_LOST;
    (void)sk_wait_wake(w->task, w->ticket, SK_WAIT_TIMEDOUT);
    return false;
}

/* claimed: it will be readied, and has no deadline any more. */
static void park_in_driver(struct sk_wait *w, bool claimed)
{
    skua_time deadline = claimed ? SKUA_NEVER : w->deadline;
    while (!is_readied(w->task)) {
        sleep_in_driver(w->task, deadline);
        if (deadline == SKUA_NEVER || sk_clock_now() < deadline)
            continue;
        if (time_out_thread(w))
            return;
        deadline = SKUA_NEVER;
    }
}

/* What it waits for may come to its driver: the wait is an operation's, or a select's with polls. */
static bool needs_driver(const struct sk_wait *w)
{
    return (w->ticket & SK_WAIT_OP) != 0 || w->task->proxy.polls > 0;
}

static int park_thread(struct sk_wait *w)
{
    uint64_t word = w->ticket;
    if (!sk_wait_swap(w->task, &word, sk_wait_waiting(w->ticket))) {
        if ((word & SK_WAIT_OP) != 0 && (word & SK_WAIT_REASON_MASK) != SK_WAIT_WOKEN)
            park_in_driver(w, true); /* the mail of the winner is under way */
    } else if (needs_driver(w)) {
        park_in_driver(w, false);
    } else {
        park_on_word(w);
    }
    return sk_wait_result(w);
}

/* A waker has counted itself in before it let the thread go on: once none is left, none comes. */
void sk_wait_close_driver(struct skua_task *proxy)
{
    struct sk_proxy *p = &proxy->proxy;
    if (p->driver == NULL)
        return;
    for (unsigned spins = 0; sk_load_acquire(&p->x_wakers) != 0; spins++) /* PX6 */
        sk_lock_relax(spins);
    sk_driver_close(p->driver);
    p->driver = NULL;
}

int sk_wait_park_fully(struct sk_wait *w)
{
    return (w->task->flags & SK_TASK_PROXY) != 0 ? park_thread(w) : park_coroutine(w);
}

bool sk_wait_abandon(struct sk_wait *w)
{
    uint64_t word = w->ticket;
    return sk_wait_swap(w->task, &word, w->ticket & ~(uint64_t)SK_WAIT_STATE_MASK);
}

/* ---- wakers ---- */

bool sk_wait_wake(struct skua_task *task, uint64_t ticket, unsigned reason)
{
    enum sk_wait_claim claim = sk_wait_claim(task, ticket, reason);
    if (claim == SK_WAIT_LOST)
        return false;
    if ((ticket & SK_WAIT_OP) != 0 && reason != SK_WAIT_WOKEN)
        sk_driver_cancel(task);
    else
        sk_wait_finish(task, claim);
    return true;
}

/* Counted in while it touches the driver, which the thread may close as soon as it was readied. */
static void wake_beside_driver(struct skua_task *proxy)
{
    struct sk_proxy *p = &proxy->proxy;
    sk_add_relaxed(&p->x_wakers, 1u);
    uint32_t before = sk_xchg_acq_rel(&proxy->x_refs, (uint32_t)SK_PROXY_READIED); /* PX1 */
    if (before == SK_PROXY_IN_DRIVER)
        sk_driver_wake(p->driver);
    else if (before == SK_PROXY_AWAKE)
        sk_sys_futex_wake(&proxy->x_refs, 1);
    (void)sk_sub_acq_rel(&p->x_wakers, 1u); /* PX5 */
}

/* Whether the thread has a driver is known by the claim: it was WAITING, and makes none then. */
void sk_wait_wake_proxy(struct skua_task *proxy)
{
    if (proxy->proxy.driver != NULL) {
        wake_beside_driver(proxy);
        return;
    }
    sk_store_release(&proxy->x_refs, (uint32_t)SK_PROXY_READIED); /* PX1 */
    sk_sys_futex_wake(&proxy->x_refs, 1);
}

void sk_wait_after_mail(struct skua_task *proxy)
{
    if (sk_load_seq_cst(&proxy->x_refs) == SK_PROXY_IN_DRIVER) /* PX4 */
        sk_driver_wake(proxy->proxy.driver);
    (void)sk_sub_acq_rel(&proxy->proxy.x_wakers, 1u); /* PX5 */
}

void sk_wait_kick(struct skua_task *task, int depth, bool stop)
{
    if (sk_unlikely(sk_current_worker() == NULL))
        sk_solo_end(); /* the word in a lonely worker's store buffer is to be seen */
    uint64_t word = sk_load_seq_cst(&task->x_wait); /* WT4 */
    unsigned state = sk_wait_state(word);
    if ((state != SK_WAIT_REGISTERING && state != SK_WAIT_WAITING) ||
        (word & SK_WAIT_NOCANCEL) != 0)
        return;
    if (!stop && depth <= sk_load_relaxed(&task->x_shield))
        return;
    sk_wait_wake(task, word, SK_WAIT_CANCELLED);
}
