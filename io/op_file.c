/* io/op_file.c - operations that move a file's own position: io/op.h.
 * The kernel has a lock for the position (f_pos_lock), which read(2), write(2), readv(2) and writev(2)
 * take and a ring's requests do not. So a thread of a pool makes these calls (runtime/block.h), and each
 * is whole: beside others of this program on the same number or a copy of it, and beside other
 * processes'. A worker never makes them: it would wait for the disk, or for who holds that lock.
 * Those of one descriptor number take turns: first come, first served.
 *
 * Whether a number is a file is asked at each try: close(2) and dup2(2) make it another's unseen.
 *
 * An operation is in its descriptor's list from before its job can be taken until it has ended, so
 * skua_close finds it. The close claims the wait: a job that has not begun is withdrawn, or its thread
 * sees that the wait is over and calls nothing; one that has begun is waited for. The number is closed
 * after that. A deadline and a cancellation do the same. */
#include "io/op.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/fd.h"
#include "runtime/base/clock.h"
#include "runtime/base/sys.h"
#include "runtime/current.h"
#include "runtime/runtime.h"
#include "runtime/signals.h"

/* Not fstat(2), which asks the server of a file on a network. Apart, as all that may set errno: its
 * address must not live across a suspension. */
__attribute__((noinline)) bool sk_op_is_file(int fd)
{
    struct statx st;
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0 &&
           (S_ISREG(st.stx_mode) || S_ISBLK(st.stx_mode));
}

/* What has no position says so at once to a read of nothing at an offset, in half the time of statx(2). The
 * raw call: skua_close may come meanwhile, which ThreadSanitizer would report of the library's. */
static __attribute__((noinline)) bool has_no_position(int fd)
{
    return syscall(SYS_preadv, fd, NULL, 0, 0, 0) < 0 && errno == ESPIPE;
}

/* The generation is noted first: the thread of the pool must not meet a socket that got the number
 * since, and wait for its peer. */
bool sk_op_moves_file(struct sk_op *op)
{
    if (has_no_position(op->fd))
        return false;
    if (!op->is_bound)
        op->is_bound = sk_fd_generation(op->fd, &op->generation) == 0;
    return sk_op_is_file(op->fd);
}

/* ---- The call, in a thread that may wait. */

static ssize_t call_once(const struct sk_op *op)
{
    void *addr = (void *)(uintptr_t)op->addr;
    switch (op->kind) {
    case SK_OP_READ:
        return sk_sys.read(op->fd, addr, op->len);
    case SK_OP_WRITE:
        return sk_sys.write(op->fd, addr, op->len);
    case SK_OP_READV:
        return readv(op->fd, addr, (int)op->len);
    default:
        return writev(op->fd, addr, (int)op->len);
    }
}

static __attribute__((noinline)) int call(void *arg)
{
    struct sk_op *op = arg;
    ssize_t n;
    sk_signals_write_begin();
    do
        n = call_once(op);
    while (n < 0 && errno == EINTR);
    sk_signals_write_end();
    op->res = n < 0 ? -errno : (int32_t)n;
    return 0;
}

/* ---- The waiter. */

/* As in op.c, but that there is no kernel that says -ECANCELED. */
static int outcome(const struct sk_op *op, int reason)
{
    if (op->res != -EAGAIN)
        return op->res;
    return reason < 0 ? reason : SK_OP_TRY_WHEN_READY;
}

/* A file counts as ready: what may not wait for a peer waits for the disk, and for its turn. */
static int begin(struct sk_op *op, skua_time dl, int *reason)
{
    *reason = sk_wait_begin(&op->wait, dl, 0);
    if (*reason != -EAGAIN && *reason != -ECANCELED && *reason != -ETIMEDOUT)
        return *reason;
    return sk_wait_begin(&op->wait, SKUA_NEVER, SK_WAIT_NOCANCEL);
}

/* Enters op, whose wait has begun, into its descriptor's list. */
static int enter(struct sk_op *op)
{
    int rc = sk_fd_enter(op);
    if (rc < 0)
        (void)sk_wait_abandon(&op->wait);
    return rc;
}

static int try_in_coroutine(struct sk_op *op, skua_time dl)
{
    int reason;
    bool called;
    int rc = begin(op, dl, &reason);
    if (rc == 0)
        rc = enter(op);
    if (rc < 0)
        return rc;
    struct sk_block_call job = {SK_BLOCK_FILES, &op->entry->turns, call, op};
    rc = sk_block_wait(&op->wait, &job, &called);
    if (!called && rc == -ENOMEM) { /* no thread, and that was said: the worker waits */
        (void)call(op);
        called = true;
    }
    sk_fd_leave(op);
    if (called)
        return outcome(op, reason);
    return op->is_moved ? SK_OP_TRY_AGAIN : rc;
}

/* A plain thread may wait in the kernel. While it does, it is in the list, so that skua_close waits
 * for it; its wait is over already, so that nobody ends it. */
static int call_in_thread(struct sk_op *op)
{
    bool claimed = !sk_wait_abandon(&op->wait);
    if (!claimed)
        (void)call(op);
    bool held = sk_runtime_hold(); /* leaving may wake a coroutine */
    sk_fd_leave(op);
    if (held)
        sk_current_release();
    if (claimed)
        return op->is_moved ? SK_OP_TRY_AGAIN : -ECANCELED;
    return op->res == -EAGAIN ? SK_OP_TRY_WHEN_READY : op->res;
}

static int try_in_thread(struct sk_op *op, skua_time dl)
{
    int rc = sk_clock_check_deadline(dl);
    if (rc == 0)
        rc = sk_runtime_check();
    if (rc == 0)
        rc = sk_wait_begin(&op->wait, SKUA_NEVER, SK_WAIT_NOCANCEL);
    if (rc == 0)
        rc = enter(op);
    return rc < 0 ? rc : call_in_thread(op);
}

int sk_op_try_file(struct sk_op *op, skua_time dl)
{
    bool on_worker = sk_current_worker() != NULL;
    if (on_worker && sk_current_task() == NULL)
        return -EPERM; /* a callback of the worker */
    op->in_pool = true;
    op->res = 0;
    if (on_worker)
        return try_in_coroutine(op, dl);
    int before = sk_sys_bar_cancel();
    int rc = try_in_thread(op, dl);
    sk_sys_allow_cancel(before);
    return rc;
}
