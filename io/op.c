/* io/op.c - the state machine of an operation. */
#include "io/op.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <skua/runtime.h>

#include "io/fd.h"
#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/sanitizer.h"
#include "runtime/base/sigpipe.h"
#include "runtime/base/sys.h"
#include "runtime/current.h"
#include "runtime/driver.h"
#include "runtime/runtime.h"
#include "runtime/sched.h"

/* ---- Owner only: from the ring to the waiter. */

/* Read before the claim: a thread that was claimed before it slept goes on at once, and its
 * operation is gone. */
struct ending {
    struct skua_task *task;
    void (*ended)(struct sk_op *op);
};

/* OP1 holds, and the claim is the owner's to finish. */
static void finish(struct sk_op *op, struct ending end, enum sk_wait_claim claim)
{
    if (sk_unlikely(end.ended != NULL))
        end.ended(op);
    else
        sk_wait_finish(end.task, claim);
}

/* OP1. Readies the waiter when nothing is left to come. A thread that is woken before it sleeps
 * leaves at the claim itself, so that comes last. */
static bool settle(struct sk_op *op)
{
    if (!op->done || op->owed != 0)
        return false;
    struct ending end = {op->wait.task, op->ended};
    if (sk_unlikely(op->mailed)) {
        finish(op, end, SK_WAIT_WON);
        return true;
    }
    enum sk_wait_claim claim = sk_wait_claim(end.task, op->wait.ticket, SK_WAIT_WOKEN);
    if (sk_unlikely(claim == SK_WAIT_LOST))
        return false; /* the winner's mail is coming */
    finish(op, end, claim);
    return true;
}

bool sk_op_complete(struct sk_op *op, int32_t res)
{
    sk_assert(!op->done && op->owed > 0);
    op->res = sk_unlikely(op->seen > 0) ? op->seen : res;
    op->done = true;
    op->owed--;
    if (sk_unlikely(op->is_limited))
        sk_driver_leave(op->driver);
    return settle(op);
}

static int asked_of(const struct sk_op *op, int revents)
{
    return revents & (int)(op->flags | POLLERR | POLLHUP | POLLNVAL);
}

/* It is cancelled by mail to oneself: no request may be prepared while completions are taken out.
 * The node is free: "ask again" comes only after a cancel request was made. */
void sk_op_event(struct sk_op *op, int32_t res)
{
    sk_assert(op->stays && op->armed && !op->done);
    int asked = res < 0 ? 0 : asked_of(op, res);
    if (asked == 0 || op->seen != 0)
        return;
    if (op->is_edge && !op->stood) {
        op->stood = true;
        return;
    }
    op->seen = asked;
    if (op->cancel_sent)
        return;
    op->cancel_sent = true;
    op->owed++;
    sk_driver_post(op->driver, &op->arm);
}

bool sk_op_cancel_complete(struct sk_op *op, int32_t res)
{
    sk_assert(op->owed > 0);
    if (res == -ENOENT && !op->done) {
        /* The kernel has it in hand at this moment, between two places where it looks: ask again.
         * What is owed goes over to the mail. */
        sk_driver_post(op->driver, &op->arm);
        return false;
    }
    op->owed--;
    return settle(op);
}

static void send_cancel(struct sk_op *op)
{
    op->cancel_sent = true;
    op->owed++;
    sk_driver_arm_cancel(op->driver, op);
}

void sk_op_arm(struct sk_op *op)
{
    if (sk_unlikely(op->is_limited) && !sk_driver_admit(op->driver, &op->arm)) {
        op->queued = true;
        return;
    }
    op->armed = true;
    op->owed = 1;
    if (sk_unlikely(op->at_once && !op->is_file)) {
        op->owed = 2;
        op->cancel_sent = true;
        sk_driver_arm_at_once(op->driver, op);
    } else {
        sk_driver_arm(op->driver, op);
    }
}

/* Ends an operation that was never armed. */
static bool end_unarmed(struct sk_op *op, int32_t res)
{
    op->armed = true;
    op->owed = 1;
    op->is_limited = false; /* it was not admitted */
    return sk_op_complete(op, res);
}

static bool take_turn(struct sk_op *op)
{
    op->queued = false;
    if (op->mailed)
        return end_unarmed(op, -ECANCELED);
    sk_op_arm(op);
    return false;
}

static bool take_arm(struct sk_op *op)
{
    if (op->queued)
        return take_turn(op);
    op->owed--; /* "cancel it", "once more" */
    if (!op->done)
        send_cancel(op);
    return settle(op);
}

static bool take_cancel(struct sk_op *op)
{
    op->mailed = true;
    if (op->armed && !op->done && !op->cancel_sent)
        send_cancel(op);
    return settle(op);
}

bool sk_op_take(struct sk_mail *mail)
{
    if (mail->is_cancel)
        return take_cancel(sk_container_of(mail, struct sk_op, cancel));
    return take_arm(sk_container_of(mail, struct sk_op, arm));
}

/* Any thread that has won the claim: OP2. */
void sk_driver_cancel(struct skua_task *t)
{
    struct sk_op *op = t->op;
    sk_driver_post(op->driver, &op->cancel);
}

/* ---- The waiter. */

void sk_op_reset(struct sk_op *op, struct sk_driver *d)
{
    op->at_once = op->is_file = op->in_pool = false;
    op->done = op->mailed = op->cancel_sent = op->armed = op->queued = false;
    op->owed = 0;
    op->seen = 0;
    op->stood = false;
    op->driver = d;
    op->arm.is_cancel = false;
    op->cancel.is_cancel = true;
}

/* The wait could not begin for `reason`: what can be done at once is done. Reasons that are no
 * matter of time end it. */
static int begin_at_once(struct sk_op *op, int reason)
{
    if (reason != -EAGAIN && reason != -ECANCELED && reason != -ETIMEDOUT)
        return reason;
    op->at_once = true;
    return sk_wait_begin(&op->wait, SKUA_NEVER, SK_WAIT_OP | SK_WAIT_NOCANCEL);
}

/* The kernel's result, if it says anything of its own; else why it was ended. waited: what
 * sk_wait_park gave; reason: why it was not allowed to wait, or 0. OP3. */
static int outcome(const struct sk_op *op, int waited, int reason)
{
    if (sk_likely(op->res >= 0))
        return op->res;
    if (op->res != -ECANCELED && op->res != -EINTR && op->res != -EAGAIN)
        return op->res;
    if (op->is_moved)
        return SK_OP_TRY_AGAIN;
    if (waited < 0)
        return waited;
    if (reason < 0)
        return reason;
    return op->res == -EAGAIN  ? SK_OP_TRY_WHEN_READY
           : op->res == -EINTR ? SK_OP_TRY_AGAIN
                               : op->res;
}

static int try_on(struct sk_driver *d, struct sk_op *op, struct skua_task *task, skua_time dl)
{
    sk_op_reset(op, d);
    task->op = op; /* before the wait can be seen */
    int reason = 0;
    int rc = sk_wait_begin(&op->wait, dl, SK_WAIT_OP);
    if (sk_unlikely(rc < 0)) {
        reason = rc;
        rc = begin_at_once(op, reason);
        if (rc < 0)
            return rc;
    }
    rc = sk_fd_enter(op);
    if (sk_unlikely(rc < 0)) {
        if (!sk_wait_abandon(&op->wait)) {
            end_unarmed(op, rc); /* the mail of who has claimed it is coming */
            sk_wait_park(&op->wait);
        }
        return rc;
    }
    if (sk_unlikely(op->at_once))
        op->is_file =
            sk_op_is_file(op->fd); /* in the list: skua_close waits, the number stays its own */
    sk_op_arm(op);
    rc = sk_wait_park(&op->wait);
    sk_fd_leave(op);
    return outcome(op, rc, reason);
}

/* What the thread's own ring does is done in the thread: a write to a pipe without a reader would raise
 * SIGPIPE. Those that take flags have MSG_NOSIGNAL. */
static int try_quietly(struct sk_driver *d, struct sk_op *op, struct skua_task *proxy, skua_time dl)
{
    struct sk_sigpipe sigpipe;
    if (op->kind != SK_OP_WRITE && op->kind != SK_OP_WRITEV)
        return try_on(d, op, proxy, dl);
    sk_sigpipe_hold(&sigpipe);
    int rc = try_on(d, op, proxy, dl);
    sk_sigpipe_release(&sigpipe, rc == -EPIPE);
    return rc;
}

static int try_in_thread(struct sk_op *op, skua_time dl)
{
    struct sk_driver *d;
    if (sk_current_worker() != NULL)
        return -EPERM; /* a callback of the worker, which cannot wait for itself */
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0)
        return rc;
    struct skua_task *proxy = sk_task_proxy();
    if (proxy == NULL)
        return -ENOMEM;
    if (!sk_current_acquire()) {
        rc = sk_runtime_check();
        return rc < 0 ? rc : -ESHUTDOWN;
    }
    rc = sk_wait_is_forbidden() ? -EPERM : sk_driver_of_thread(&d, proxy, op->fd, dl);
    if (rc == 0)
        rc = try_quietly(d, op, proxy, dl);
    sk_current_release();
    return rc;
}

static int try(struct sk_op *op, skua_time dl)
{
    if (sk_unlikely(op->at_position) && sk_op_moves_file(op))
        return sk_op_try_file(op, dl);
    struct skua_task *task = sk_current_task();
    if (sk_likely(task != NULL))
        return try_on(sk_current_driver(), op, task, dl);
    int before = sk_sys_bar_cancel();
    int rc = try_in_thread(op, dl);
    sk_sys_allow_cancel(before);
    return rc;
}

/* TCP goes on with a connect that was cancelled: the second one finds it under way, or done. */
static int second_result(const struct sk_op *op, int rc)
{
    if (op->kind != SK_OP_CONNECT)
        return rc;
    return rc == -EALREADY ? -EINPROGRESS : rc == -EISCONN ? 0 : rc;
}

/* What a try that was no result of the call asks for. 0: another try; negative: the call's result. */
static int prepare_again(struct sk_op *op, int rc, unsigned *vain, skua_time dl)
{
    if (rc == SK_OP_TRY_WHEN_READY)
        return sk_op_await_ready(op, (*vain)++, dl);
    op->tried = true;
    return 0;
}

/* Not every file can be told not to wait: the kernel then finds out by itself whether it is ready. */
static bool is_nowait_refused(struct sk_op *op, int rc)
{
    if (sk_likely(rc != -EOPNOTSUPP) || !op->is_nowait || op->kind > SK_OP_WRITEV)
        return false;
    op->may_wait = true;
    op->is_nowait = false;
    return true;
}

static ssize_t run(struct sk_op *op, skua_time dl)
{
    for (unsigned vain = 0;;) {
        int rc = try(op, dl);
        if (sk_unlikely(is_nowait_refused(op, rc)))
            continue;
        if (sk_likely(rc > SK_OP_TRY_AGAIN))
            return sk_unlikely(op->tried) ? second_result(op, rc) : rc;
        rc = prepare_again(op, rc, &vain, dl);
        if (rc < 0)
            return rc;
    }
}

/* To Valgrind, which does not see what a ring's operation has written. */
static void tell_written(const struct sk_op *op, ssize_t n)
{
    const struct iovec *v = (const struct iovec *)(uintptr_t)op->addr;
    int count = (int)op->len;
    if (op->kind == SK_OP_READ || op->kind == SK_OP_RECV) {
        sk_san_written((const void *)(uintptr_t)op->addr, (size_t)n);
        return;
    }
    if (op->kind == SK_OP_RECVMSG) {
        const struct msghdr *m = (const struct msghdr *)(uintptr_t)op->addr;
        sk_san_written(m, sizeof(*m));
        sk_san_written(m->msg_name, m->msg_namelen);
        sk_san_written(m->msg_control, m->msg_controllen);
        v = m->msg_iov;
        count = (int)m->msg_iovlen;
    } else if (op->kind != SK_OP_READV) {
        return;
    }
    for (; count > 0 && n > 0; count--, n -= (ssize_t)v->iov_len, v++)
        sk_san_written(v->iov_base, (size_t)n < v->iov_len ? (size_t)n : v->iov_len);
}

static __attribute__((noinline)) ssize_t run_told(struct sk_op *op, skua_time dl)
{
    if (sk_san_valgrind()) {
        ssize_t n = run(op, dl);
        if (n > 0)
            tell_written(op, n);
        return n;
    }
    sk_san_release(&sk_san_io);
    ssize_t rc = run(op, dl);
    sk_san_acquire(&sk_san_io);
    sk_san_release(&sk_san_io); /* skua_close comes after it */
    return rc;
}

ssize_t sk_op_run(struct sk_op *op, skua_time dl)
{
    return sk_san_orders() || sk_san_valgrind() ? run_told(op, dl) : run(op, dl);
}

int sk_op_events(const struct sk_op *op, int revents)
{
    int asked = asked_of(op, revents);
    if (sk_likely((asked & (POLLPRI | POLLRDBAND | POLLWRBAND)) == 0))
        return asked;
    int now = sk_driver_poll_now(op->fd, (short)op->flags);
    /* Closed meanwhile: a poll that is made anew says so. */
    return now > 0 && sk_fd_is_same(op->fd, op->generation) ? now : 0;
}

int sk_op_poll(struct sk_op *op, skua_time dl)
{
    for (;;) {
        int rc = (int)sk_op_run(op, dl);
        int events = rc <= 0 ? rc : sk_op_events(op, rc);
        if (rc <= 0 || events != 0)
            return events;
        op->stays = true;
    }
}
