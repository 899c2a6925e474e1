/* io/op.h - an I/O operation: how a coroutine or a plain thread waits for the kernel.
 * Owns:    struct sk_op, which lives on the waiter's stack; no other file writes its state.
 * Threads: "Owner" is the worker, or the plain thread, whose ring carries the operation; it alone
 *          reads and writes the state of the second part.
 *
 * States, and what moves an operation on:
 *   FRESH     the waiter fills it in, begins its wait (sk_wait_begin), enters it into its
 *             descriptor's list
 *   ARMED     arm: an entry of the ring names it; the kernel may use the buffers; `owed`
 *             completions are to come
 *   DONE      sk_op_complete: its own, terminal completion has come, `res` is final, the buffers
 *             are the waiter's again
 *   FINISHED  settle: nothing is owed and no mail is under way: the waiter is readied and may leave
 *             the stack
 * A limited operation may stand in its driver's queue between FRESH and ARMED. A poll that stays is
 * told of events while it is ARMED (sk_op_event). The first that was asked for is kept as its result,
 * and the owner mails itself the cancel that brings the terminal completion: that mail is `owed` too.
 * A coroutine arms on its own worker's ring, a plain thread on one of its own (docs/adr/0013), so it
 * is FRESH -> ARMED before it parks. While the thread is parked it sleeps in that ring's driver and
 * does the owner's work there (runtime/wait.h); so all that follows is true of both.
 *
 * Who ends the wait: one claim of the waiter's x_wait (runtime/wait.h) decides.
 *   settle claims it (SK_WAIT_WOKEN), when nothing is owed any more: nobody else will touch the
 *   operation.
 *   Or somebody else claims it: a timer, a cancellation, skua_close. The winner, and nobody but the
 *   winner, calls sk_driver_cancel, which mails the operation to its owner. The owner asks the
 *   kernel to cancel it, by user_data.
 *   Whoever comes second has lost for good: a ticket is good for one claim.
 * OP1: the waiter is readied by the owner alone, when
 *      (a) the terminal completion has come, so the kernel writes into no buffer that the waiter
 *          has back;
 *      (b) every cancel request made for it has completed, so none names an address that is used
 *          again;
 *      (c) if somebody else won the claim, his mail has been drained: his last access to the
 *          operation is the push.
 *      (a) is `done`, (b) is `owed` == 0, (c) is `mailed`.
 * OP2: who won the claim may use the operation until he pushes the mail, because of (c); who lost
 *      must not touch it, but for skua_close, which holds the lock of the list that the operation
 *      is in.
 * OP3: the result is the kernel's where it shows an effect or an error of its own: bytes that came
 *      before the cancel are returned. Only -ECANCELED, -EINTR and -EAGAIN are replaced by the
 *      reason for which the wait was ended.
 *
 * A call that may not wait (SKUA_NOW, cancelled, past its deadline) arms the operation and its
 * cancel request together: the kernel tries it, and what cannot be done at once is cancelled in the
 * same system call. Regular files count as ready: they are armed without the cancel.
 *
 * What moves a file's own position is not for a ring, which reads the position and writes it back
 * without the kernel's lock: two such operations at once read the same bytes, or write to the same
 * place. op_file.c has read(2) or write(2) called instead, by a thread that may wait (`in_pool`). Such
 * an operation is in its descriptor's list and is never armed; its wait is a usual one, without
 * SK_WAIT_OP.
 * Order: OP4 seq_cst push of the mail -> OP5 acquire exchange by the owner: what was written to the
 *        operation before. What the owner wrote reaches the waiter through the claim or sk_ready
 *        (runtime/wait.h). */
#ifndef SK_IO_OP_H
#define SK_IO_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <skua/time.h>

#include "runtime/wait.h"

struct sk_driver;
struct sk_fd;

/* One row per kind in the tables of op.c and driver_uring.c. */
enum sk_op_kind {
    SK_OP_READ,
    SK_OP_WRITE,
    SK_OP_READV,
    SK_OP_WRITEV,
    SK_OP_RECV,
    SK_OP_SEND,
    SK_OP_RECVMSG,
    SK_OP_SENDMSG,
    SK_OP_ACCEPT,
    SK_OP_CONNECT,
    SK_OP_POLL,
    SK_OP_KINDS
};

/* A node in a driver's mail: an intrusive stack that anybody pushes to and the owner takes as a
 * whole. */
struct sk_mail {
    struct sk_mail *next;
    bool is_cancel; /* of the operation's two nodes, which one this is */
};

struct sk_op {
    struct sk_wait wait; /* its link is in the descriptor's list, under the lock of that */

    /* The request, as a submission entry has it. Set by sk_op_init. */
    uint64_t addr;
    uint64_t off;
    uint32_t len;
    uint32_t flags;
    int fd;
    uint8_t kind;
    bool is_limited; /* occupies a thread of the kernel: so many at once in a ring, others queue */
    bool stays;      /* a poll that stays armed until an event comes that was asked for */
    bool is_edge;    /* such a poll, for which what stands when it is armed is no event */
    bool is_nowait;  /* the kernel is told not to wait: where it would, the waiter polls */
    bool may_wait;   /* this file cannot be told so */

    /* Set by the waiter before the operation is armed. */
    bool at_once;     /* it may not wait: to be cancelled as soon as it was tried */
    bool is_file;     /* of a regular file or block device: at_once waits for it all the same */
    bool in_pool;     /* no ring's: op_file.c */
    bool at_position; /* reads or writes at the file's own position, if fd has one */

    /* Owner only, from the moment it is armed until the waiter is readied. */
    bool armed;       /* a request was made for it, or it was ended without one */
    bool queued;      /* waits for its turn among those that are limited */
    bool done;        /* the terminal completion has come */
    bool mailed;      /* the mail of who won the claim was drained */
    bool cancel_sent; /* a cancel request was made */
    uint8_t owed;     /* to come: completions of it and its cancel requests, mail to oneself */

    /* io/fd.c, under the lock of its list. */
    bool in_window;      /* entered while close(2) ran */
    bool is_moved;       /* ended only because its number was being closed: to be tried again */
    bool tried;          /* it was tried before: a connect may be under way already */
    bool is_bound;       /* has been in the list: tried again, it must find the same generation */
    uint32_t generation; /* of the entry, when it first entered */

    int32_t res;
    int32_t seen; /* owner only: what a poll that stays has seen of what was asked for, or 0 */
    bool stood;   /* owner only: a poll with is_edge has seen what stood when it was armed */

    /* Called by the owner instead of readying a waiter, once OP1 holds; NULL: somebody is parked on
     * it. */
    void (*ended)(struct sk_op *op);

    struct sk_driver *driver; /* on whose ring it is */
    struct sk_fd *entry;      /* of fd */
    struct sk_mail arm; /* "it is your turn"; once armed, "cancel it (once more)", from its owner */
    struct sk_mail cancel; /* "cancel it", from who won the claim */
};

/* The offset that means the file's own position. */
#define SK_OP_POSITION UINT64_MAX

/* off: SK_OP_POSITION, or where to read or write; what else it and flags mean depends on the kind. */
static inline void sk_op_init(struct sk_op *op, enum sk_op_kind kind, int fd, const void *addr,
                              size_t len, uint64_t off, uint32_t flags)
{
    op->addr = (uint64_t)(uintptr_t)addr;
    op->off = off;
    op->len = (uint32_t)len;
    op->flags = flags;
    op->fd = fd;
    op->kind = (uint8_t)kind;
    op->is_limited = false;
    op->stays = op->is_edge = op->is_nowait = op->may_wait = false;
    op->is_bound = false;
    op->tried = false;
    op->ended = NULL;
    op->at_position = kind <= SK_OP_WRITEV && off == SK_OP_POSITION;
}

/* What the operations of one call have in common: the time of a number from one skua_close to the next.
 * All zero: the first operation notes which one it is. Later ones end with -ECANCELED in another:
 * whatever the call waited for between two, it goes on with no other file. */
struct sk_op_life {
    bool is_known;
    uint32_t generation;
};

/* After sk_op_init. */
static inline void sk_op_bind(struct sk_op *op, const struct sk_op_life *life)
{
    op->is_bound = life->is_known;
    op->generation = life->generation;
}

/* After sk_op_run. */
static inline void sk_op_note(const struct sk_op *op, struct sk_op_life *life)
{
    life->is_known = op->is_bound;
    life->generation = op->generation;
}

/* Coroutine or plain thread. Carries the operation out and waits for it until dl: what the kernel
 * gave, or -EINVAL (dl), -EAGAIN, -ETIMEDOUT, -ECANCELED, -EBADF (being closed), -ENOMEM, -EPERM,
 * -ESHUTDOWN, -EOWNERDEAD; in a thread whose first it is also -EMFILE, -ENFILE, -ENOTSUP (no ring). */
ssize_t sk_op_run(struct sk_op *op, skua_time dl);

/* The same for SK_OP_POLL: revents as of poll(2). The kernel ends a poll of a ring also where the peer
 * has shut down its side and nobody has asked for POLLRDHUP; with nothing else to tell that is no
 * event, and the poll is made anew as one that stays armed: whoever waits for POLLOUT then would
 * otherwise be sent round and round. */
int sk_op_poll(struct sk_op *op, skua_time dl);
/* The waiter's, when it is over. Of what the kernel says about a poll, what was asked for or comes
 * unasked with poll(2), and only what is so: ordinary data also wakes who waits for POLLRDBAND or
 * POLLPRI, and room who waits for POLLWRBAND, and the kernel hands that on unseen. */
int sk_op_events(const struct sk_op *op, int revents);

/* Results of one try that are no results of the call. No errno is below -4095. */
enum { SK_OP_TRY_AGAIN = -5000, SK_OP_TRY_WHEN_READY = -5001 };

/* op_file.c. Whether fd is a regular file or a block device now: it has a position, and answers without
 * a peer. Waits for nothing. */
bool sk_op_is_file(int fd);
/* Whether it is one that op, which is at_position, would move the position of. */
bool sk_op_moves_file(struct sk_op *op);
/* Coroutine or plain thread. One try of such an operation. */
int sk_op_try_file(struct sk_op *op, skua_time dl);

/* io/op_ready.c. The kernel has said -EAGAIN to the operation: waits until another try may succeed. vain: how
 * often this call has waited before. 0 or more: try again; negative: the call's result. May suspend. */
int sk_op_await_ready(const struct sk_op *op, unsigned vain, skua_time dl);
/* The descriptor may be ready, and yet a try has failed: waits for the next event, most_ns at most. 0: try
 * again; negative: the call's result. May suspend. */
int sk_op_await_change(const struct sk_op *op, int64_t most_ns, skua_time dl);

/* Any thread. What an operation would say of its caller, where none is made: 0, -EPERM (a callback of a
 * worker), -ESHUTDOWN, -EOWNERDEAD. */
int sk_op_check_caller(void);

/* In two steps, for who does not park on it (io/poll.c). */
void sk_op_reset(struct sk_op *op, struct sk_driver *d);
/* Owner only. FRESH -> ARMED. */
void sk_op_arm(struct sk_op *op);

/* Owner only; what a driver reports. The operation may be gone after each of them. They return
 * whether a waiter was readied. */
bool sk_op_complete(struct sk_op *op, int32_t res);
bool sk_op_cancel_complete(struct sk_op *op, int32_t res);
/* A completion of a poll that stays, which is not its last. */
void sk_op_event(struct sk_op *op, int32_t res);
bool sk_op_take(struct sk_mail *mail);

/* What op.c needs from the driver; io/driver_uring.c. */

/* Owner only. Whether one more limited operation may be armed now. No: it is queued by its `arm`
 * node, which sk_op_take gets when it is its turn. Each yes is answered by one sk_driver_leave at
 * its completion. */
bool sk_driver_admit(struct sk_driver *d, struct sk_mail *arm);
void sk_driver_leave(struct sk_driver *d);
/* Owner only. Prepares the request; it is submitted before the worker sleeps. */
void sk_driver_arm(struct sk_driver *d, const struct sk_op *op);
/* Owner only. Prepares the request and behind it its cancel request, so that no other enters
 * between them. */
void sk_driver_arm_at_once(struct sk_driver *d, const struct sk_op *op);
/* Owner only. Prepares a request that cancels op by its address. */
void sk_driver_arm_cancel(struct sk_driver *d, const struct sk_op *op);
/* A plain thread, which holds the runtime. Its own driver, which it gets at its first operation and
 * keeps until it ends: 0, or a negative errno after at most one line a minute. Where memory that is
 * just being given back may help, it waits for that until dl, a second at most. -EBADF: fd is not open;
 * the driver's own descriptors might get that very number. */
int sk_driver_of_thread(struct sk_driver **out, struct skua_task *proxy, int fd, skua_time dl);
/* Any thread. Pushes mail and wakes the owner if it sleeps; the push is the last access to the
 * operation. */
void sk_driver_post(struct sk_driver *d, struct sk_mail *mail);

#endif
