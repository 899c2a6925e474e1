/* io/op_ready.c - io/op.h: what an operation waits for when the kernel says that it would have to wait.
 * A descriptor may be O_NONBLOCK, or the operation was sent as one that may not wait (is_nowait). Then the
 * waiter polls, and tries again when the descriptor is ready.
 *
 * Ready and successful are two things. Beside a queue of errors that its owner does not read, a socket is
 * ready (POLLERR) and recv says -EAGAIN; a datagram to a full socket is refused, though the sender's own
 * socket has room; of many readers one takes what all have seen. A loop of poll and try would be a busy
 * loop. So only the first wait of a call takes "ready" for an answer. A later one that finds the
 * descriptor ready, though the try has just failed, waits for a change: for the next event of a poll that
 * stays armed and ignores what stood when it was armed (is_edge), and no longer than a pause that doubles from
 * 200 us to 12.8 ms: for some changes, as room in another's socket, there is no event. */
#include "io/op.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "runtime/current.h"
#include "runtime/driver.h"
#include "runtime/runtime.h"

enum {
    FIRST_PAUSE_NS = 100000,
    DOUBLINGS = 7, /* up to 12.8 ms: a try, a poll and a timer in each cost little */
};

/* What a kind waits for; 0: it is not tried again. */
static const short ready_events[SK_OP_KINDS] = {
    [SK_OP_READ] = POLLIN,    [SK_OP_WRITE] = POLLOUT,   [SK_OP_READV] = POLLIN,
    [SK_OP_WRITEV] = POLLOUT, [SK_OP_RECV] = POLLIN,     [SK_OP_SEND] = POLLOUT,
    [SK_OP_RECVMSG] = POLLIN, [SK_OP_SENDMSG] = POLLOUT, [SK_OP_ACCEPT] = POLLIN,
};

static bool has_msg_flag(const struct sk_op *op, uint32_t flag)
{
    return op->kind >= SK_OP_RECV && op->kind <= SK_OP_SENDMSG && (op->flags & flag) != 0;
}

/* A queue of errors is not filled by what can be read: POLLERR, which comes unasked, tells of it. */
static short awaited_events(const struct sk_op *op)
{
    return has_msg_flag(op, MSG_ERRQUEUE) ? 0 : ready_events[op->kind];
}

static void init_poll(struct sk_op *poll, const struct sk_op *op, short events)
{
    sk_op_init(poll, SK_OP_POLL, op->fd, NULL, 0, 0, (unsigned short)events);
    poll->is_bound = op->is_bound; /* no close may come between the two unnoticed */
    poll->generation = op->generation;
}

int sk_op_await_change(const struct sk_op *op, int64_t most_ns, skua_time dl)
{
    struct sk_op poll;
    skua_time pause = skua_in(most_ns);
    skua_time until = dl < pause ? dl : pause;
    init_poll(&poll, op, awaited_events(op));
    poll.stays = poll.is_edge = true;
    int rc = (int)sk_op_run(&poll, until);
    if (rc >= 0 && poll.seen == 0) /* the kernel has ended it for reasons of its own */
        rc = skua_sleep_until(until);
    /* Where it is a scope's deadline that has passed, the next try says so. */
    return rc == -ETIMEDOUT && until != dl ? 0 : rc;
}

int sk_op_await_ready(const struct sk_op *op, unsigned vain, skua_time dl)
{
    struct sk_op poll;
    short events = awaited_events(op);
    if (ready_events[op->kind] == 0 || has_msg_flag(op, MSG_DONTWAIT))
        return -EAGAIN;
    if (vain > 0 && sk_driver_poll_now(op->fd, events) > 0)
        return sk_op_await_change(
            op, (int64_t)FIRST_PAUSE_NS << (vain < DOUBLINGS ? vain : DOUBLINGS), dl);
    init_poll(&poll, op, events);
    return sk_op_poll(&poll, dl);
}

int sk_op_check_caller(void)
{
    if (sk_current_task() != NULL)
        return 0;
    return sk_current_worker() != NULL ? -EPERM : sk_runtime_check();
}
