/* io/ring.h - one io_uring: set up, entered, and read without a system call where that can be.
 * Owns:    struct sk_ring.
 * Threads: the thread that opened it, alone (IORING_SETUP_SINGLE_ISSUER).
 * With IORING_SETUP_DEFER_TASKRUN completions show only after an enter that asks for events;
 * IORING_SQ_TASKRUN says that there are some, and one enter delivers at most RING_BURST of them. */
#ifndef SK_IO_RING_H
#define SK_IO_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include <skua/time.h>

#include "runtime/base/assert.h"

struct sk_ring {
    struct io_uring uring;
    int enter_fd;
    unsigned enter_flags;
    uint32_t entries; /* submission entries */
    bool more;        /* the last enter left completions behind, perhaps */
};

/* Flags that the kernel took, tried from the best to the plainest; told once when they are not the
 * best. 0, or a negative errno. `entries` is rounded up to a power of two, and made smaller where
 * the memory lock limit leaves no choice, after it has waited until `patience` for memory of rings that
 * were just closed. Says nothing when it fails: sk_ring_explain does. */
int sk_ring_open(struct sk_ring *r, uint32_t entries, skua_time patience);
void sk_ring_close(struct sk_ring *r);

/* What the program is told of a failure of sk_ring_open: -ENOTSUP where this system has no io_uring for
 * us, else err. sk_ring_explain prints the line that names cause and remedy before it returns that. */
int sk_ring_code(int err);
int sk_ring_explain(int err, uint32_t entries);

/* Submits what is prepared, and waits for `want` (0 or 1) completions until `until`. 0; or -EBUSY,
 * -EAGAIN: the kernel takes no more until completions are taken out; or another negative errno that
 * the kernel gave. */
int sk_ring_enter(struct sk_ring *r, unsigned want, skua_time until);

/* Free submission entries. */
static inline uint32_t sk_ring_room(const struct sk_ring *r)
{
    const struct io_uring_sq *sq = &r->uring.sq;
    return r->entries - (sq->sqe_tail - io_uring_smp_load_acquire(sq->khead));
}

/* Prepared and not submitted. */
static inline uint32_t sk_ring_prepared(const struct sk_ring *r)
{
    return r->uring.sq.sqe_tail - *r->uring.sq.khead;
}

/* The next submission entry; the caller has seen that there is room, and fills in all of it. */
static inline struct io_uring_sqe *sk_ring_next(struct sk_ring *r)
{
    struct io_uring_sq *sq = &r->uring.sq;
    sk_assert(sk_ring_room(r) > 0);
    return &sq->sqes[sq->sqe_tail++ & sq->ring_mask];
}

/* Whether an enter would bring completions, without waiting. */
static inline bool sk_ring_has_news(const struct sk_ring *r)
{
    unsigned flags = IO_URING_READ_ONCE(*r->uring.sq.kflags);
    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0 || r->more;
}

/* Completions that can be taken out now. */
static inline uint32_t sk_ring_ready(const struct sk_ring *r)
{
    return io_uring_smp_load_acquire(r->uring.cq.ktail) - *r->uring.cq.khead;
}

#endif
