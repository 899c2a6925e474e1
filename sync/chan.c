/* sync/chan.c - channels: the public functions, which choose the engine (sync/chan.h). */
#include <errno.h>
#include <limits.h>

#include <skua/chan.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/sched.h"
#include "sync/chan.h"

/* ---- making and freeing ---- */

/* The locked engine does without the ring: it ends the record. */
static size_t record_bytes(enum sk_chan_kind kind)
{
    return kind == SK_CHAN_RING ? sizeof(struct skua_chan) : offsetof(struct skua_chan, ring);
}

static enum sk_chan_kind kind_of(size_t capacity, unsigned flags)
{
    if ((flags & SKUA_CHAN_UNBOUNDED) != 0)
        return SK_CHAN_UNBOUNDED;
    return capacity > 0 ? SK_CHAN_RING : SK_CHAN_RENDEZVOUS;
}

int skua_chan_new(skua_chan **c, size_t elem_size, size_t capacity, unsigned flags)
{
    if (c == NULL || elem_size > SKUA_CHAN_ELEM_MAX ||
        (flags & ~(SKUA_CHAN_UNBOUNDED | SKUA_CHAN_SPSC)) != 0)
        return -EINVAL;
    enum sk_chan_kind kind = kind_of(capacity, flags);
    struct skua_chan *chan = sk_mem_zalloc_aligned(SK_CACHELINE, record_bytes(kind));
    if (chan == NULL)
        return -ENOMEM;
    chan->kind = kind;
    chan->elem_bytes = elem_size;
    sk_store_relaxed(&chan->x_refs, 1u);
    sk_chan_fifo_init(&chan->fifo, elem_size);
    int rc = kind == SK_CHAN_RING ? sk_chan_ring_init(&chan->ring, elem_size, capacity) : 0;
    if (rc < 0)
        sk_mem_free(chan);
    else
        *c = chan;
    return rc;
}

skua_chan *skua_chan_ref(skua_chan *c)
{
    (void)sk_add_relaxed(&c->x_refs, 1u);
    return c;
}

/* Two who give theirs back at once may both not see it: then the ticker does, at the next tick. */
static bool leaves_ticker_alone(const skua_chan *c)
{
    return c->has_ticker && sk_load_relaxed(&c->x_refs) == 2;
}

void skua_chan_unref(skua_chan *c)
{
    if (c != NULL && sk_unlikely(leaves_ticker_alone(c)))
        (void)skua_chan_close(c);
    if (c == NULL || sk_sub_acq_rel(&c->x_refs, 1u) != 1)
        return;
    if (sk_chan_is_ring(c))
        sk_chan_ring_free(&c->ring);
    else
        sk_chan_locked_free(c);
    sk_mem_free(c);
}

int skua_chan_close(skua_chan *c)
{
    sk_san_release(c);
    return sk_chan_is_ring(c) ? sk_chan_wait_close(c) : sk_chan_locked_close(c);
}

size_t skua_chan_len(const skua_chan *c)
{
    sk_san_acquire(c);
    if (sk_chan_is_ring(c))
        return (size_t)sk_chan_ring_len(&c->ring);
    return (size_t)(sk_load_acquire(&c->x_lock) >> SK_CHAN_COUNT_SHIFT);
}

size_t skua_chan_cap(const skua_chan *c)
{
    if (sk_chan_is_ring(c))
        return (size_t)sk_chan_ring_cap(&c->ring);
    return c->kind == SK_CHAN_UNBOUNDED ? SIZE_MAX : 0;
}

/* ---- sending and receiving ---- */

int sk_chan_try_send(struct skua_chan *c, const void *v)
{
    size_t one = 1;
    return sk_chan_is_ring(c) ? sk_chan_wait_try_send(c, v, &one) : sk_chan_locked_try_send(c, v);
}

int sk_chan_try_recv(struct skua_chan *c, void *v)
{
    size_t one = 1;
    return sk_chan_is_ring(c) ? sk_chan_wait_try_recv(c, v, &one) : sk_chan_locked_try_recv(c, v);
}

static bool is_missing(const skua_chan *c, const void *v)
{
    return v == NULL && c->elem_bytes != 0;
}

static bool is_misused(skua_time dl)
{
    return sk_unlikely(dl != SKUA_NEVER && sk_clock_check_deadline(dl) < 0);
}

/* Apart, so that neither engine pays for the registers of the other. */
static __attribute__((noinline)) int send_to_ring(skua_chan *c, const void *v, skua_time dl)
{
    enum sk_chan_ring_result result = sk_chan_ring_push(&c->ring, v);
    if (sk_likely(result == SK_CHAN_RING_DONE))
        return 0;
    if (result == SK_CHAN_RING_WAKE) {
        sk_chan_wait_pass(c, false);
        return 0;
    }
    ssize_t rc = sk_chan_wait_send(c, v, 1, dl);
    return rc < 0 ? (int)rc : 0;
}

static __attribute__((noinline)) int recv_from_ring(skua_chan *c, void *v, skua_time dl)
{
    enum sk_chan_ring_result result = sk_chan_ring_pop(&c->ring, v);
    if (sk_likely(result == SK_CHAN_RING_DONE))
        return 0;
    if (result == SK_CHAN_RING_WAKE) {
        sk_chan_wait_pass(c, true);
        return 0;
    }
    ssize_t rc = sk_chan_wait_recv(c, v, 1, dl);
    return rc < 0 ? (int)rc : 0;
}

/* To ThreadSanitizer a call that sends or receives comes after all before it that were done with the
 * channel: a sender after the receive that made its room, too. */
static __attribute__((noinline)) int send_told(skua_chan *c, const void *v, skua_time dl)
{
    sk_san_release(c);
    return sk_san_acquired(c, sk_chan_is_ring(c) ? send_to_ring(c, v, dl)
                                                 : sk_chan_locked_wait_send(c, v, dl));
}

static __attribute__((noinline)) int recv_told(skua_chan *c, void *v, skua_time dl)
{
    sk_san_release(c);
    return sk_san_acquired(c, sk_chan_is_ring(c) ? recv_from_ring(c, v, dl)
                                                 : sk_chan_locked_wait_recv(c, v, dl));
}

int skua_chan_send(skua_chan *c, const void *v, skua_time dl)
{
    if (is_misused(dl) || is_missing(c, v))
        return -EINVAL;
    sk_sched_spend();
    if (sk_san_orders())
        return send_told(c, v, dl);
    return sk_chan_is_ring(c) ? send_to_ring(c, v, dl) : sk_chan_locked_wait_send(c, v, dl);
}

int skua_chan_recv(skua_chan *c, void *v, skua_time dl)
{
    if (is_misused(dl))
        return -EINVAL;
    sk_sched_spend();
    if (sk_san_orders())
        return recv_told(c, v, dl);
    return sk_chan_is_ring(c) ? recv_from_ring(c, v, dl) : sk_chan_locked_wait_recv(c, v, dl);
}

/* One run of the ring, or one element of the locked engine. */
static ssize_t send_some(skua_chan *c, const void *v, size_t n, skua_time dl)
{
    sk_sched_spend();
    sk_san_release(c);
    if (sk_chan_is_ring(c))
        return sk_chan_wait_send(c, v, n, dl);
    int rc = sk_chan_locked_wait_send(c, v, dl);
    return rc < 0 ? rc : 1;
}

static ssize_t recv_some(skua_chan *c, void *v, size_t n, skua_time dl)
{
    sk_sched_spend();
    sk_san_release(c);
    if (sk_chan_is_ring(c))
        return sk_chan_wait_recv(c, v, n, dl);
    int rc = sk_chan_locked_wait_recv(c, v, dl);
    return rc < 0 ? rc : 1;
}

static size_t at_most(size_t n)
{
    return n < SSIZE_MAX ? n : SSIZE_MAX;
}

ssize_t skua_chan_send_n(skua_chan *c, const void *v, size_t n, skua_time dl)
{
    const char *from = v;
    size_t done = 0, wanted = at_most(n);
    if (is_misused(dl) || (is_missing(c, v) && n > 0))
        return -EINVAL;
    while (done < wanted) {
        ssize_t rc = send_some(c, from, wanted - done, dl);
        if (rc < 0)
            return done > 0 ? (ssize_t)done : rc;
        done += (size_t)rc;
        if (c->elem_bytes != 0)
            from += (size_t)rc * c->elem_bytes;
    }
    sk_san_acquire(c);
    return (ssize_t)done;
}

ssize_t skua_chan_recv_n(skua_chan *c, void *v, size_t n, skua_time dl)
{
    char *to = v;
    size_t done = 0, wanted = at_most(n);
    if (is_misused(dl))
        return -EINVAL;
    while (done < wanted) {
        ssize_t rc = recv_some(c, to, wanted - done, done > 0 ? SKUA_NOW : dl);
        sk_san_acquire(c);
        if (rc < 0)
            return done > 0 ? (ssize_t)done : rc;
        done += (size_t)rc;
        if (to != NULL)
            to += (size_t)rc * c->elem_bytes;
    }
    return (ssize_t)done;
}
