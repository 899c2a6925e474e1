/* runtime/wait.h - how a coroutine or a plain thread waits, and how it is woken exactly once.
 * Everything above the scheduler sleeps and wakes only through these functions. A plain thread
 * waits by a proxy record of its own and a futex; to a waker both look alike.
 *
 * One word per record, x_wait: epoch << 8 | flags | reason | state. An epoch is used for one wait
 * only.
 *   IDLE         not waiting
 *   REGISTERING  the waiter still runs and puts itself into queues; may be claimed already
 *   WAITING      it sleeps; who claims it must ready it
 *   CLAIMED      somebody has won; the reason says who
 *   sk_wait_begin    IDLE|CLAIMED(e-1) -> REGISTERING(e)           the waiter
 *   commit in park   REGISTERING(e) -> WAITING(e)                  after the switch away; before it,
 *                                                                  in a section of runtime/solo.h,
 *                                                                  where there is one worker
 *   look_again       WAITING(e) -> REGISTERING(e)                  the commit, to see whether a
 *                                                                  cancellation was missed
 *   sk_wait_claim    REGISTERING(e)|WAITING(e) -> CLAIMED(e, why)  any thread, by one CAS
 *   sk_wait_abandon  REGISTERING(e) -> IDLE(e)                     the waiter: no need to wait
 * Order: WT1 acq_rel CAS of the claim -> WT2 acquire when the waiter goes on: what the waker wrote
 * before is visible.
 *        WT3 seq_cst CAS to WAITING in the commit, then it looks at x_cancel; WT4 the canceller
 *        sets x_cancel (seq_cst), then looks at x_wait: one of the two sees the other (Dekker). The
 *        look in begin is only the usual answer to a cancellation that came before. (A plain thread:
 *        seq_cst exchange in begin, then it looks whether the runtime stops.)
 * A plain thread has a word of its own to sleep on, its proxy's x_refs (SK_PROXY_...). Its operations
 * are on a driver of its own. While it has some it sleeps in that driver, which it must look after,
 * else on the word.
 * Order: PX1 acq_rel exchange to READIED by the winner of the claim -> PX2 acquire load by the thread.
 *        PX3 seq_cst CAS to IN_DRIVER, then the thread looks for mail in its driver; PX4 seq_cst push
 *        of mail (OP4), then the sender looks at x_refs: one of the two sees the other (Dekker).
 *        PX5 release of x_wakers by who has woken the driver -> PX6 acquire load that finds 0 when
 *        the thread ends: then it closes the driver. A waker counts itself in before PX1, or before
 *        OP4, and the thread goes on only after it has seen that: so it sees the count.
 * A waiter's stack is touched only by who holds the lock of a queue that it is in, or has won its
 * claim: a timer and a canceller know it by record and ticket alone, and records are
 * type-stable. */
#ifndef SK_RUNTIME_WAIT_H
#define SK_RUNTIME_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include <skua/time.h>

#include "runtime/base/list.h"
#include "runtime/base/sanitizer.h"
#include "runtime/cancel.h"
#include "runtime/sched.h"
#include "runtime/solo.h"
#include "runtime/task.h"
#include "runtime/timer.h"

enum {
    SK_WAIT_IDLE,
    SK_WAIT_REGISTERING,
    SK_WAIT_WAITING,
    SK_WAIT_CLAIMED,
    SK_WAIT_STATE_MASK = 3
};

/* Reasons, in bits 2-4 of the word. */
enum {
    SK_WAIT_WOKEN = 0 << 2,
    SK_WAIT_TIMEDOUT = 1 << 2,
    SK_WAIT_CANCELLED = 2 << 2,
    SK_WAIT_CLOSED = 3 << 2,   /* skua_close on the descriptor of the operation */
    SK_WAIT_SHUTDOWN = 4 << 2, /* a plain thread's wait, ended by stop */
    SK_WAIT_REASON_MASK = 7 << 2,
};

/* Flags. */
enum {
    SK_WAIT_OP =
        1 << 5, /* an I/O operation: who claims it for another reason than its completion calls
                                  sk_driver_cancel, and the ring's owner readies it */
    SK_WAIT_NOCANCEL = 1 << 6, /* sees neither cancellation nor deadlines of scopes */
    SK_WAIT_THREAD = 1 << 7,   /* a plain thread's: its word is not one of runtime/solo.h's */
    SK_WAIT_EPOCH_SHIFT = 8,
};

/* x_refs of a proxy, which counts nothing there. */
enum {
    SK_PROXY_AWAKE,     /* the thread runs, or sleeps on this word */
    SK_PROXY_READIED,   /* its wait was claimed while it slept: the winner's last access */
    SK_PROXY_AT_DRIVER, /* it runs, and looks here before it sleeps in its driver */
    SK_PROXY_IN_DRIVER, /* it sleeps in its driver, or is about to */
};

/* One wait, on the waiter's stack. */
struct sk_wait {
    struct sk_list
        link; /* for the queue that the waiter puts itself into; under that queue's lock */
    struct skua_task *task;
    uint64_t ticket;    /* x_wait of this wait while REGISTERING */
    skua_time deadline; /* dl combined with the deadlines of scopes */
    struct sk_timer timer;
};

/* One place in one object's queue. A wait for one object has one, a select one for each case. Under
 * the lock of that queue. */
struct sk_waiter {
    struct sk_list link; /* linked to itself once it was taken out */
    struct sk_wait *wait;
    bool claimed; /* it was taken out because its wait was claimed for this object */
};

/* Coroutine or plain thread. Begins a wait with deadline dl (API.md's conventions). 0: registering;
 * the caller puts w into its queue, looks once more whether it must wait, and calls sk_wait_park or
 * sk_wait_abandon. Negative: it may not wait and nothing was begun: -EAGAIN (SKUA_NOW), -ECANCELED,
 * -ETIMEDOUT (has passed), -EINVAL (a duration given by mistake), -EPERM (in a callback that must
 * not wait), -ESHUTDOWN, -EOWNERDEAD; the caller has tried what can be done at once before, or does
 * so now. */
static inline int sk_wait_begin(struct sk_wait *w, skua_time dl, unsigned flags);
int sk_wait_begin_fully(struct sk_wait *w, skua_time dl, unsigned flags);

/* The waiter only. Sleeps until claimed. Returns 0 (woken), -ETIMEDOUT, -ECANCELED (also: CLOSED),
 * -ESHUTDOWN, -ENOMEM (for the timer). The caller then takes w out of its queue under the queue's
 * lock, if it is still there. */
static inline int sk_wait_park(struct sk_wait *w);
int sk_wait_park_fully(struct sk_wait *w);
/* What park passes to sk_park, and what it makes of the word. */
void sk_wait_commit(struct skua_task *task, void *ticket);
int sk_wait_code(uint64_t word);

/* Worker only. Arms the timer of a wait that has a deadline, on this worker; park does so itself
 * for a coroutine. */
int sk_wait_arm(struct sk_wait *w);

/* The waiter only, instead of park. False: somebody has claimed it: the wake must be used or passed
 * on. */
bool sk_wait_abandon(struct sk_wait *w);

/* Any thread. Claims the wait and wakes the waiter. False: it is over, or somebody else has it.
 * task and ticket are w's, read while w was known to be there. */
bool sk_wait_wake(struct skua_task *task, uint64_t ticket, unsigned reason);

/* In two steps, for who must release a lock in between: won, then exactly one sk_wait_finish with
 * what claim returned. */
enum sk_wait_claim { SK_WAIT_LOST, SK_WAIT_WON_EARLY, SK_WAIT_WON };

static inline unsigned sk_wait_state(uint64_t word)
{
    return (unsigned)word & SK_WAIT_STATE_MASK;
}

static inline uint64_t sk_wait_next_ticket(const struct skua_task *task, unsigned flags)
{
    uint64_t epoch = (sk_load_relaxed(&task->x_wait) >> SK_WAIT_EPOCH_SHIFT) + 1;
    return epoch << SK_WAIT_EPOCH_SHIFT | flags | SK_WAIT_REGISTERING;
}

static inline uint64_t sk_wait_waiting(uint64_t ticket)
{
    return (ticket & ~(uint64_t)SK_WAIT_STATE_MASK) | SK_WAIT_WAITING;
}

/* Most waits are bounded by nothing, and begin with one store. A cancellation that comes after the
 * look is found by the commit (WT3). */
static inline int sk_wait_begin(struct sk_wait *w, skua_time dl, unsigned flags)
{
    const struct sk_worker *worker = sk_current_worker();
    struct skua_task *task = worker != NULL ? worker->current : NULL;
    if (sk_unlikely(dl != SKUA_NEVER || task == NULL || !sk_cancel_is_far(task)))
        return sk_wait_begin_fully(w, dl, flags);
    w->task = task;
    w->deadline = SKUA_NEVER;
    w->ticket = sk_wait_next_ticket(task, flags);
    sk_store_release(&task->x_wait, w->ticket);
    return 0;
}

/* In a section of runtime/solo.h: there is one worker, and it runs the waiter. Nobody could run it
 * before it has left its stack, so the commit may come first. And nobody can have cancelled it since
 * the look in begin: a stranger who does so ends the sections before he looks at x_wait. True: the
 * waiter calls sk_park_committed and sk_wait_result. False: it was claimed, by what it did itself. */
static inline bool sk_wait_commit_in(struct sk_wait *w)
{
    uint64_t word = w->ticket;
    return sk_solo_cas_in(&w->task->x_wait, &word, sk_wait_waiting(word)); /* WT3 */
}

static inline bool sk_wait_try_commit(struct sk_wait *w)
{
    if (sk_unlikely(sk_load_relaxed(&w->task->x_cancel) != 0) || !sk_solo_try_enter())
        return false;
    bool committed = sk_wait_commit_in(w);
    sk_solo_leave();
    return committed;
}

/* The waiter only, after it has slept. */
static inline int sk_wait_result(const struct sk_wait *w)
{
    uint64_t word = sk_load_acquire(&w->task->x_wait); /* WT2 */
    return sk_likely((word & SK_WAIT_REASON_MASK) == SK_WAIT_WOKEN) ? 0 : sk_wait_code(word);
}

static inline int sk_wait_park(struct sk_wait *w)
{
    if (sk_unlikely(w->deadline != SKUA_NEVER || (w->ticket & SK_WAIT_THREAD) != 0))
        return sk_wait_park_fully(w);
    if (sk_likely(sk_wait_try_commit(w)))
        sk_park_committed();
    else
        sk_park(sk_wait_commit, (void *)(uintptr_t)w->ticket);
    return sk_wait_result(w);
}

/* Any thread. Every change of x_wait but the one that begins a wait. */
static inline bool sk_wait_swap(struct skua_task *task, uint64_t *word, uint64_t next)
{
    if (sk_unlikely((*word & SK_WAIT_THREAD) != 0))
        return sk_cas_seq_cst(&task->x_wait, word, next);
    return sk_solo_cas(&task->x_wait, word, next);
}

/* In a section of runtime/solo.h. Claims a wait of a coroutine that sleeps, as woken; the caller
 * readies it. False: it does not sleep, or is a plain thread, which may have waited since before the
 * runtime was started and ends its wait by itself; nothing was done. */
static inline bool sk_wait_claim_sleeper_in(const struct sk_wait *w)
{
    uint64_t word = sk_wait_waiting(w->ticket) & ~(uint64_t)SK_WAIT_THREAD;
    return sk_solo_cas_in(&w->task->x_wait, &word, word | SK_WAIT_CLAIMED);
}

static inline enum sk_wait_claim sk_wait_claim(struct skua_task *task, uint64_t ticket,
                                               unsigned reason)
{
    uint64_t word = sk_load_relaxed(&task->x_wait);
    while (word >> SK_WAIT_EPOCH_SHIFT == ticket >> SK_WAIT_EPOCH_SHIFT) {
        unsigned state = sk_wait_state(word);
        if (state != SK_WAIT_REGISTERING && state != SK_WAIT_WAITING)
            return SK_WAIT_LOST;
        uint64_t claimed = (word & ~(uint64_t)(SK_WAIT_STATE_MASK | SK_WAIT_REASON_MASK)) | reason |
                           SK_WAIT_CLAIMED;
        if (sk_likely(sk_wait_swap(task, &word, claimed))) /* WT1 */
            return sk_likely(state == SK_WAIT_WAITING) ? SK_WAIT_WON : SK_WAIT_WON_EARLY;
    }
    return SK_WAIT_LOST;
}

/* Any thread. Why the wait has ended, if it did so before it was woken; 0: it has not, or was. */
static inline int sk_wait_over(const struct skua_task *task, uint64_t ticket)
{
    uint64_t word = sk_load_relaxed(&task->x_wait);
    bool claimed = word >> SK_WAIT_EPOCH_SHIFT == ticket >> SK_WAIT_EPOCH_SHIFT &&
                   sk_wait_state(word) == SK_WAIT_CLAIMED;
    return claimed ? sk_wait_code(word) : 0;
}

static inline void sk_wait_finish(struct skua_task *task, enum sk_wait_claim claim)
{
    if (claim == SK_WAIT_WON)
        sk_ready(task);
}

/* Any thread. Wakes the plain thread behind proxy, whose claim the caller has won. */
void sk_wait_wake_proxy(struct skua_task *proxy);

/* Any thread. Around the push of mail to the driver of the plain thread behind proxy: the driver
 * stays until after_mail, which wakes the thread if it sleeps there. */
static inline void sk_wait_before_mail(struct skua_task *proxy)
{
    sk_add_relaxed(&proxy->proxy.x_wakers, 1u);
}
void sk_wait_after_mail(struct skua_task *proxy);
/* The thread behind proxy, which has no operation in flight: closes its driver, if it has one. */
void sk_wait_close_driver(struct skua_task *proxy);

/* Any thread. Until permit, who runs here is nobody, as in a callback that another's end calls:
 * skua_self() is NULL, and what would wait gets -EPERM. Nestable; nothing in between suspends.
 * Returns who it was. */
struct skua_task *sk_wait_forbid(void);
void sk_wait_permit(struct skua_task *self);
/* Whether this plain thread is in such a callback. */
bool sk_wait_is_forbidden(void);

/* Any thread. Ends whatever wait the task is in because of a cancellation set at `depth` (0: from
 * outside the task, n: its n-th open scope; see runtime/cancel.h), if it can see it. */
void sk_wait_kick(struct skua_task *task, int depth, bool stop);

#endif
