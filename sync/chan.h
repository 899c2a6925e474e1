/* sync/chan.h - a channel: what both engines share.
 * Owns:    struct skua_chan but what is in its engine, and x_lock.
 * Threads: any, as each function says.
 *
 * Two engines: the ring (capacity 1 and more; chan_ring.h for the data, chan_wait.c for those who
 * wait for it) and the locked one (rendezvous and unbounded; chan_locked.c). In both, those who wait
 * are in two queues under one word (sync/queue.h); the locked engine's state is in that word too.
 *
 * What a claim means differs. On the ring it is a hint: look again. The element may be had by
 * somebody else meanwhile; then the waiter waits again. A hint is never lost: who has had one looks,
 * or passes it on. In the locked engine a claim is
 * the transfer itself, or the news that the channel was closed: who claims a waiter copies to or from
 * its `val` and then stores the outcome in x_outcome, its last access to the waiter. The waiter, once
 * it knows that it was claimed, waits for that store: the copy is made with no lock held.
 * Order: CH1 release store of x_outcome -> CH2 acquire load: the element is there, the frame may
 *        go. */
#ifndef SK_SYNC_CHAN_H
#define SK_SYNC_CHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <skua/chan.h>

#include "runtime/solo.h"
#include "sync/chan_fifo.h"
#include "sync/chan_ring.h"
#include "sync/queue.h"

enum sk_chan_kind { SK_CHAN_RING, SK_CHAN_RENDEZVOUS, SK_CHAN_UNBOUNDED };

/* x_lock beside QUEUE's LOCKED; the ring uses none of these. */
enum {
    SK_CHAN_RECEIVERS = 4, /* some are in the queue */
    SK_CHAN_SENDERS = 8,
    SK_CHAN_CLOSED = 16,
    SK_CHAN_COUNT_SHIFT = 5, /* above: how many elements the FIFO holds */
};

struct skua_chan {
    enum sk_chan_kind kind;
    _Atomic(uint32_t) x_refs;
    size_t elem_bytes;
    bool has_ticker; /* one of the references is the ticker's (sync/ticker.c) */
    alignas(SK_CACHELINE) _Atomic(uint64_t) x_lock;
    struct sk_queue receivers, senders;
    struct sk_chan_fifo fifo; /* under x_lock */
    struct sk_chan_ring ring; /* last: the locked engine does without */
};

enum { SK_CHAN_PENDING, SK_CHAN_PASSED, SK_CHAN_REFUSED };

/* A place in one of a channel's queues. */
struct sk_chan_waiter {
    struct sk_waiter base;
    void *val;                   /* the element, or where it goes */
    _Atomic(uint32_t) x_outcome; /* the locked engine: SK_CHAN_PENDING … */
};

static inline bool sk_chan_is_ring(const struct skua_chan *c)
{
    return c->kind == SK_CHAN_RING;
}

/* Any thread. Does it if it can be done now. 0; -EAGAIN; -EPIPE; send: -ENOMEM. v as
 * skua_chan_send's and skua_chan_recv's. */
int sk_chan_try_send(struct skua_chan *c, const void *v);
int sk_chan_try_recv(struct skua_chan *c, void *v);

/* Waiter only. Waits for the claimer's last access; 0 or -EPIPE. CH2. */
int sk_chan_outcome(struct sk_chan_waiter *waiter);

/* ---- the ring's waiters: chan_wait.c ---- */

/* Any thread. Like sk_chan_try_, for up to *n elements; *n becomes how many, 0 unless it returns 0. */
int sk_chan_wait_try_send(struct skua_chan *c, const void *v, size_t *n);
int sk_chan_wait_try_recv(struct skua_chan *c, void *v, size_t *n);
/* Up to n, as soon as one can be had: how many, or the reason why none. */
ssize_t sk_chan_wait_send(struct skua_chan *c, const void *v, size_t n, skua_time dl);
ssize_t sk_chan_wait_recv(struct skua_chan *c, void *v, size_t n, skua_time dl);

/* The waiter, registering. Into the queue, unless it need not wait: false, and nothing was done.
 * front: it was claimed before and comes back. */
bool sk_chan_wait_enter(struct skua_chan *c, struct sk_waiter *waiter, bool is_send, bool front);
/* The waiter, whose wait is over. Out of the queue; true: it was claimed for this channel, and owes
 * a look or sk_chan_wait_pass. */
bool sk_chan_wait_leave(struct skua_chan *c, struct sk_waiter *waiter, bool is_send);
/* Any thread. Claims one more who waits to send, or to receive, if there is one. */
void sk_chan_wait_pass(struct skua_chan *c, bool is_send);
/* Any thread. -EPIPE if it was closed. */
int sk_chan_wait_close(struct skua_chan *c);
/* Waits until the channel, a ring, is closed: 0; or why it does not wait any more. */
int sk_chan_wait_closed(struct skua_chan *c, skua_time dl);

/* ---- the locked engine: chan_locked.c ---- */

/* What is to be done after the lock was let go. */
struct sk_chan_transfer {
    struct sk_chan_waiter *partner; /* NULL: none */
    struct sk_queue_woken woken;
    struct sk_chan_chunk *chunk; /* to be freed; or brought along for the FIFO to take */
};

/* Holder of x_lock. Does it if it can be done now, but for the copying to and from a partner, which
 * is left to sk_chan_locked_finish. *word: x_lock's value, changed as needed. 0; -EAGAIN; -EPIPE;
 * send: -ENOBUFS: bring a chunk along. */
int sk_chan_locked_send(struct skua_chan *c, uint64_t *word, const void *v,
                        struct sk_chan_transfer *t);
int sk_chan_locked_recv(struct skua_chan *c, uint64_t *word, void *v, struct sk_chan_transfer *t);
/* Any thread, after the lock was let go. */
void sk_chan_locked_finish_send(struct skua_chan *c, const void *v, struct sk_chan_transfer *t);
void sk_chan_locked_finish_recv(struct skua_chan *c, void *v, struct sk_chan_transfer *t);
/* Holder of x_lock: into the queue. */
void sk_chan_locked_enter(struct skua_chan *c, uint64_t *word, struct sk_chan_waiter *waiter,
                          bool is_send);
/* The waiter, whose wait is over. True: it was claimed for this channel: sk_chan_outcome. */
bool sk_chan_locked_leave(struct skua_chan *c, struct sk_chan_waiter *waiter, bool is_send);

int sk_chan_locked_try_send(struct skua_chan *c, const void *v);
int sk_chan_locked_try_recv(struct skua_chan *c, void *v);
int sk_chan_locked_wait_send(struct skua_chan *c, const void *v, skua_time dl);
int sk_chan_locked_wait_recv(struct skua_chan *c, void *v, skua_time dl);
int sk_chan_locked_close(struct skua_chan *c);
void sk_chan_locked_free(struct skua_chan *c);

#endif
