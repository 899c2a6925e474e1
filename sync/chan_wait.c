/* sync/chan_wait.c - those who wait for the ring of a bounded channel (sync/chan.h).
 * A claim is a hint. Let `offers` be the elements that can be had, and `hints` the receivers that were
 * claimed and have not looked yet, with the senders that have read WAITING and are on their way to
 * the lock. While a receiver sleeps in the queue, offers <= hints:
 *   - it entered when there was no offer (sk_chan_ring_announce_receiver), under the lock;
 *   - a push adds an offer and, as it reads WAITING, a hint;
 *   - a sender on its way claims one receiver: a hint either way; or it finds none, and nobody sleeps;
 *   - a hinted receiver takes one offer at least; or it finds, in one look, that there is none: then
 *     its hint is of no use to anybody; or it has something else by now (a select), and passes the
 *     hint on;
 *   - who barges in takes offers only.
 * So no receiver sleeps while there is something to be had that nobody is about to take. The same
 * holds for senders and room. */
#include <errno.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/lock.h"
#include "sync/chan.h"

static struct sk_queue *queue_of(struct skua_chan *c, bool is_send)
{
    return is_send ? &c->senders : &c->receivers;
}

/* Holder of x_lock. */
static void forget_if_empty(struct skua_chan *c, bool is_send)
{
    if (!sk_queue_is_empty(queue_of(c, is_send)))
        return;
    if (is_send)
        sk_chan_ring_forget_senders(&c->ring);
    else
        sk_chan_ring_forget_receivers(&c->ring);
}

/* Claims up to n of them. */
static __attribute__((noinline)) void wake(struct skua_chan *c, bool is_send, size_t n)
{
    struct sk_queue_woken woken = {.first = NULL};
    (void)sk_queue_hold(&c->x_lock);
    while (n > 0 && sk_queue_claim(queue_of(c, is_send), &woken) != NULL)
        n--;
    forget_if_empty(c, is_send);
    sk_queue_let_go(&c->x_lock, 0);
    sk_queue_finish(&woken);
}

void sk_chan_wait_pass(struct skua_chan *c, bool is_send)
{
    wake(c, is_send, 1);
}

static enum sk_chan_ring_result move(struct skua_chan *c, bool is_send, void *v, uint64_t *n)
{
    if (*n > SK_CHAN_RING_RUN_MAX)
        *n = SK_CHAN_RING_RUN_MAX;
    return is_send ? sk_chan_ring_push_n(&c->ring, v, n) : sk_chan_ring_pop_n(&c->ring, v, n);
}

/* Any thread. Up to *n, at once. What another thread is about to publish is waited for: it is a
 * matter of a few instructions. */
static int try_move(struct skua_chan *c, bool is_send, void *v, size_t *n)
{
    const size_t wanted = *n;
    for (unsigned spins = 0;; spins++) {
        uint64_t moved = wanted;
        enum sk_chan_ring_result result = move(c, is_send, v, &moved);
        *n = moved;
        switch (result) {
        case SK_CHAN_RING_WAKE:
            wake(c, !is_send, moved);
            return 0;
        case SK_CHAN_RING_DONE:
            return 0;
        case SK_CHAN_RING_NONE:
            return -EAGAIN;
        case SK_CHAN_RING_ENDED:
            return -EPIPE;
        case SK_CHAN_RING_AGAIN:
            sk_lock_relax(spins);
        }
    }
}

int sk_chan_wait_try_send(struct skua_chan *c, const void *v, size_t *n)
{
    return try_move(c, true, (void *)(uintptr_t)v, n);
}

int sk_chan_wait_try_recv(struct skua_chan *c, void *v, size_t *n)
{
    return try_move(c, false, v, n);
}

bool sk_chan_wait_enter(struct skua_chan *c, struct sk_waiter *waiter, bool is_send, bool front)
{
    waiter->claimed = false;
    (void)sk_queue_hold(&c->x_lock);
    enum sk_chan_ring_result result =
        is_send ? sk_chan_ring_announce_sender(&c->ring) : sk_chan_ring_announce_receiver(&c->ring);
    bool enters = result == SK_CHAN_RING_NONE;
    if (enters && front)
        sk_queue_push_front(queue_of(c, is_send), waiter);
    else if (enters)
        sk_queue_push(queue_of(c, is_send), waiter);
    sk_queue_let_go(&c->x_lock, 0);
    return enters;
}

bool sk_chan_wait_leave(struct skua_chan *c, struct sk_waiter *waiter, bool is_send)
{
    (void)sk_queue_hold(&c->x_lock);
    sk_list_remove(&waiter->link);
    forget_if_empty(c, is_send);
    bool claimed = waiter->claimed;
    sk_queue_let_go(&c->x_lock, 0);
    return claimed;
}

/* The waiter, registering. Sleeps until there may be something. 0: look; *hinted: it owes a look.
 * Negative: the wait has ended. */
static int sleep_once(struct skua_chan *c, bool is_send, struct sk_waiter *waiter, bool *hinted)
{
    if (!sk_chan_wait_enter(c, waiter, is_send, *hinted)) {
        (void)sk_wait_abandon(waiter->wait);
        return 0;
    }
    int rc = sk_wait_park(waiter->wait);
    *hinted = rc == 0;
    if (rc < 0)
        (void)sk_chan_wait_leave(c, waiter, is_send); /* claimed for another reason */
    return rc;
}

static ssize_t move_some(struct skua_chan *c, bool is_send, void *v, size_t n, skua_time dl)
{
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    bool hinted = false;
    for (;;) {
        size_t moved = n;
        int rc = try_move(c, is_send, v, &moved);
        if (rc != -EAGAIN)
            return rc < 0 ? rc : (ssize_t)moved;
        rc = sk_wait_begin(&wait, dl, 0);
        if (rc == 0)
            rc = sleep_once(c, is_send, &waiter, &hinted);
        if (rc < 0)
            return rc; /* a hint was looked after: there was nothing, at that moment */
    }
}

ssize_t sk_chan_wait_send(struct skua_chan *c, const void *v, size_t n, skua_time dl)
{
    return move_some(c, true, (void *)(uintptr_t)v, n, dl);
}

ssize_t sk_chan_wait_recv(struct skua_chan *c, void *v, size_t n, skua_time dl)
{
    return move_some(c, false, v, n, dl);
}

int sk_chan_wait_close(struct skua_chan *c)
{
    struct sk_queue_woken receivers = {.first = NULL}, senders = {.first = NULL};
    if (!sk_chan_ring_close(&c->ring))
        return -EPIPE;
    (void)sk_queue_hold(&c->x_lock);
    sk_queue_claim_all(&c->receivers, &receivers);
    sk_queue_claim_all(&c->senders, &senders);
    sk_queue_let_go(&c->x_lock, 0);
    sk_queue_finish(&receivers);
    sk_queue_finish(&senders);
    return 0;
}

/* Into the queue of the senders, whom a close wakes, but unannounced: nobody makes room for it. */
static bool enter_unless_closed(struct skua_chan *c, struct sk_waiter *waiter)
{
    (void)sk_queue_hold(&c->x_lock);
    bool enters = !sk_chan_ring_is_closed(&c->ring);
    if (enters)
        sk_queue_push(&c->senders, waiter);
    sk_queue_let_go(&c->x_lock, 0);
    return enters;
}

int sk_chan_wait_closed(struct skua_chan *c, skua_time dl)
{
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    while (!sk_chan_ring_is_closed(&c->ring)) {
        int rc = sk_wait_begin(&wait, dl, 0);
        if (rc < 0)
            return rc;
        if (!enter_unless_closed(c, &waiter)) {
            (void)sk_wait_abandon(&wait);
            return 0;
        }
        rc = sk_wait_park(&wait);
        if (rc < 0) {
            (void)sk_chan_wait_leave(c, &waiter, true);
            return rc;
        }
        sk_chan_wait_pass(c, true); /* a hint for a sender, if there is one */
    }
    return 0;
}
