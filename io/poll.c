/* io/poll.c - runtime/driver.h: a descriptor as one of the things that a wait waits for.
 * Owns:    struct poll, which lies where its waiter wants it.
 * Threads: arm and disarm: the waiter. The rest is the owner's of the operation: io/op.h. A plain
 *          thread is the owner itself: while it has polls it sleeps in its driver, whatever it waits
 *          for (runtime/wait.h).
 *
 * A select waits with one x_wait for many things, so it cannot be parked on an operation, whose
 * canceller and whose owner would settle that x_wait between them. A poll is therefore an operation
 * of its own, with a record of its own that never runs: `record` has nothing but the word that
 * decides who ends the operation, as in io/op.h. Its deadline and its cancellation are the select's
 * business; it is ended by an event, by skua_close, or by disarm.
 *
 * A select that is woken for nothing begins a new wait and arms its polls again. In between the
 * descriptor may be closed and its number may be another's: so the first arm notes the number's
 * generation (io/fd.h), and a later one that finds another ends at once, as if it had been closed
 * under the poll. skua_close ends polls that entered while it ran in vain (is_moved): those are armed
 * again, too.
 *
 * x_state, and who may touch the poll then:
 *   ARMED     owner and waiter, as OP1 and OP2 say
 *   AWAITED   disarm has published its own wait and sleeps: the owner's, until he claims that wait
 *   ENDED     the waiter's alone
 *   arm       -> ARMED                                                      the waiter
 *   sleep     ARMED -> AWAITED, by CAS, in disarm                           the waiter
 *   end       ARMED | AWAITED -> ENDED, by exchange, once OP1 holds         the owner
 * From ARMED that exchange is the owner's last access; from AWAITED he then reads the ticket of
 * disarm's wait, whose claim is the last. He knows the task whose wait he claims by record and ticket
 * alone, as a timer does: of a select's wait that is over by then the epoch is too.
 * Order: PL1 acq_rel exchange to ENDED -> PL2 acquire load or CAS that finds it: the result, and that
 *        OP1 held.
 *        PL3 acq_rel CAS to AWAITED -> PL1, which finds it: the ticket of disarm's wait. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>

#include "io/fd.h"
#include "io/op.h"
#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/current.h"
#include "runtime/driver.h"
#include "runtime/runtime.h"

enum { ARMED, AWAITED, ENDED };

struct poll {
    struct skua_task record; /* x_wait and op are all that is used */
    struct sk_op op;
    struct skua_task *task; /* whose wait is to be claimed, and its ticket */
    uint64_t ticket;
    uint64_t awaited; /* the ticket of disarm's wait, of the same task */
    _Atomic(uint32_t) x_state;
    bool is_thread; /* a plain thread's: it holds the runtime */
    bool is_listed; /* in its descriptor's list */
};

static_assert(sizeof(struct poll) <= offsetof(struct sk_driver_poll, bound),
              "sk_driver_poll holds it");
static_assert(alignof(struct poll) <= alignof(struct sk_driver_poll), "at its alignment");

static struct poll *poll_of(struct sk_driver_poll *p)
{
    return (struct poll *)(void *)p;
}

/* ---- The owner. */

static void end(struct sk_op *op)
{
    struct poll *p = sk_container_of(op, struct poll, op);
    struct skua_task *task = p->task;
    uint64_t ticket = p->ticket;
    if (sk_xchg_acq_rel(&p->x_state, (uint32_t)ENDED) == AWAITED) /* PL1 */
        ticket = p->awaited;
    sk_wait_wake(task, ticket, SK_WAIT_WOKEN);
}

/* ---- The waiter. */

/* The record of the operation is as one that sleeps in its only wait: whoever claims it has the
 * operation to end. */
static void prepare(struct poll *p, int fd, short events, const struct sk_waiter *waiter)
{
    uint64_t epoch = UINT64_C(1) << SK_WAIT_EPOCH_SHIFT | SK_WAIT_OP | SK_WAIT_NOCANCEL;
    p->task = waiter->wait->task;
    p->ticket = waiter->wait->ticket;
    sk_store_relaxed(&p->x_state, (uint32_t)ARMED);
    p->record.op = &p->op;
    p->record.flags = 0;
    sk_store_relaxed(&p->record.x_wait, epoch | SK_WAIT_WAITING);
    sk_op_init(&p->op, SK_OP_POLL, fd, NULL, 0, 0, (unsigned short)events);
    p->op.ended = end;
    p->op.wait.task = &p->record;
    p->op.wait.ticket = epoch | SK_WAIT_REGISTERING;
    p->op.wait.deadline = SKUA_NEVER;
    sk_store_relaxed(&p->op.wait.timer.x_heap, NULL);
}

/* Of a plain thread. */
static int hold_runtime(const struct sk_wait *wait, int fd, struct sk_driver **d)
{
    if (!sk_current_acquire()) {
        int rc = sk_runtime_check();
        return rc < 0 ? rc : -ESHUTDOWN;
    }
    int rc = sk_driver_of_thread(d, wait->task, fd, wait->deadline);
    if (rc == 0)
        wait->task->proxy.polls++;
    else
        sk_current_release();
    return rc;
}

static void release_runtime(struct skua_task *proxy)
{
    proxy->proxy.polls--;
    sk_current_release();
}

/* A ring to arm it on: this worker's, or the plain thread's own. */
static int find_driver(struct poll *p, const struct sk_wait *wait, int fd, struct sk_driver **d)
{
    *d = sk_current_driver();
    p->is_thread = *d == NULL;
    return p->is_thread ? hold_runtime(wait, fd, d) : 0;
}

/* The generation of the descriptor's number that a poll means, and that it means one; and that the
 * next is to stay armed (sk_op_poll). */
static const uint64_t is_bound = UINT64_C(1) << 32, stays = UINT64_C(1) << 33;

/* 0 or a negative errno. */
static int enter_list(struct sk_driver_poll *storage)
{
    struct sk_op *op = &poll_of(storage)->op;
    op->is_bound = storage->bound != 0;
    op->stays = (storage->bound & stays) != 0;
    op->generation = (uint32_t)storage->bound;
    int rc = sk_fd_enter(op);
    if (rc == 0)
        storage->bound = is_bound | (op->stays ? stays : 0) | op->generation;
    poll_of(storage)->is_listed = rc == 0;
    return rc;
}

/* The descriptor was closed since it was armed first: that is what has come. */
static void end_closed(struct poll *p)
{
    p->op.res = -ECANCELED;
    p->op.is_moved = false;
    sk_store_relaxed(&p->record.x_wait, (uint64_t)SK_WAIT_CLOSED | SK_WAIT_CLAIMED);
    end(&p->op);
}

int sk_driver_poll_arm(struct sk_driver_poll *storage, int fd, short events,
                       struct sk_waiter *waiter)
{
    struct poll *p = poll_of(storage);
    struct sk_driver *d;
    int rc = find_driver(p, waiter->wait, fd, &d);
    if (rc < 0)
        return rc;
    prepare(p, fd, events, waiter);
    sk_op_reset(&p->op, d);
    rc = enter_list(storage);
    if (rc == 0) {
        sk_op_arm(&p->op);
        return 0;
    }
    if (rc == -ECANCELED) {
        end_closed(p);
        return 0;
    }
    if (p->is_thread)
        release_runtime(p->task);
    return rc;
}

static void await_end(struct poll *p)
{
    struct sk_wait wait;
    uint32_t state = ARMED;
    int rc = sk_wait_begin(&wait, SKUA_NEVER, SK_WAIT_NOCANCEL);
    SK_CHECK(rc == 0);
    p->awaited = wait.ticket;
    if (sk_cas_acq_rel(&p->x_state, &state, (uint32_t)AWAITED)) /* PL3, PL2 */
        rc = sk_wait_park(&wait);
    else
        (void)sk_wait_abandon(&wait);
    sk_assert(rc == 0 && sk_load_relaxed(&p->x_state) == ENDED);
}

/* OP3. What was ended without a word of its own has seen nothing. */
static int outcome(const struct poll *p)
{
    int res = p->op.res;
    if (res > 0)
        return sk_op_events(&p->op, res);
    if (res != -ECANCELED && res != -EINTR && res != -EAGAIN)
        return res;
    unsigned reason = (unsigned)sk_load_relaxed(&p->record.x_wait) & SK_WAIT_REASON_MASK;
    return reason == SK_WAIT_CLOSED && !p->op.is_moved ? -ECANCELED : 0;
}

int sk_driver_poll_disarm(struct sk_driver_poll *storage)
{
    struct poll *p = poll_of(storage);
    if (sk_load_acquire(&p->x_state) != ENDED) { /* PL2 */
        sk_wait_wake(&p->record, p->op.wait.ticket, SK_WAIT_CANCELLED);
        await_end(p);
    }
    if (p->is_listed)
        sk_fd_leave(&p->op);
    if (p->is_thread)
        release_runtime(p->task);
    int rc = outcome(p);
    if (rc == 0 && p->op.res > 0)
        storage->bound |= stays;
    return rc;
}

/* ---- At once. */

/* Apart, because it reads errno, whose address must not live across a suspension. */
static __attribute__((noinline)) int call_poll(struct pollfd *p)
{
    int rc;
    do
        rc = poll(p, 1, 0);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

int sk_driver_poll_now(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    if (fd < 0 || sk_fd_is_closing(fd))
        return -EBADF;
    int rc = call_poll(&p);
    if (rc < 0)
        return rc;
    return (p.revents & POLLNVAL) != 0 ? -EBADF : p.revents;
}
