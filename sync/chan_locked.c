/* sync/chan_locked.c - the locked engine: rendezvous and unbounded channels (sync/chan.h).
 * x_lock: count << 5 | CLOSED | SENDERS | RECEIVERS | LOCKED (sync/queue.h). An operation that finds
 * in the word that there is nothing for it takes no lock; any other takes it once, also one that goes
 * to sleep and is handed its element there.
 * I1: RECEIVERS (SENDERS) iff the queue is not empty.
 * I2: count > 0 excludes RECEIVERS; a rendezvous has count 0; an unbounded channel has no SENDERS.
 * I3: with CLOSED both queues are empty.
 * A sender of a rendezvous claims the first receiver, lets go, and copies from its stack to the
 * receiver's; or it enters the queue, and a receiver copies from there. Two who meet while both
 * register: each looks for a partner under the lock in which it enters, so the second finds the
 * first. */
#include <errno.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/lock.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/solo.h"
#include "sync/chan.h"

/* An element, in x_lock. */
#define ONE ((uint64_t)1 << SK_CHAN_COUNT_SHIFT)

/* ---- the holder's part ---- */

/* Claims the first that waits on the other side. */
static SK_ALWAYS_INLINE bool claim_partner(struct skua_chan *c, uint64_t *word, bool is_send,
                                           struct sk_chan_transfer *t)
{
    struct sk_queue *q = is_send ? &c->receivers : &c->senders;
    struct sk_waiter *waiter = sk_queue_claim_staying(q, &t->woken);
    if (sk_queue_is_empty(q))
        *word &= ~(uint64_t)(is_send ? SK_CHAN_RECEIVERS : SK_CHAN_SENDERS);
    if (waiter == NULL)
        return false;
    t->partner = sk_container_of(waiter, struct sk_chan_waiter, base);
    return true;
}

int sk_chan_locked_send(struct skua_chan *c, uint64_t *word, const void *v,
                        struct sk_chan_transfer *t)
{
    if ((*word & SK_CHAN_CLOSED) != 0)
        return -EPIPE;
    if ((*word & SK_CHAN_RECEIVERS) != 0 && claim_partner(c, word, true, t))
        return 0;
    if (c->kind == SK_CHAN_RENDEZVOUS)
        return -EAGAIN;
    if (!sk_chan_fifo_push(&c->fifo, v, &t->chunk))
        return -ENOBUFS;
    *word += ONE;
    return 0;
}

int sk_chan_locked_recv(struct skua_chan *c, uint64_t *word, void *v, struct sk_chan_transfer *t)
{
    if (*word >= ONE) {
        *word -= ONE;
        sk_chan_fifo_pop(&c->fifo, v, *word >> SK_CHAN_COUNT_SHIFT, &t->chunk);
        return 0;
    }
    if ((*word & SK_CHAN_SENDERS) != 0 && claim_partner(c, word, false, t))
        return 0;
    return (*word & SK_CHAN_CLOSED) != 0 ? -EPIPE : -EAGAIN;
}

void sk_chan_locked_enter(struct skua_chan *c, uint64_t *word, struct sk_chan_waiter *waiter,
                          bool is_send)
{
    waiter->base.claimed = false;
    sk_store_relaxed(&waiter->x_outcome, (uint32_t)SK_CHAN_PENDING);
    sk_queue_push(is_send ? &c->senders : &c->receivers, &waiter->base);
    *word |= is_send ? SK_CHAN_SENDERS : SK_CHAN_RECEIVERS;
}

/* ---- after the lock ---- */

/* From `from` to `to`, either of which is the partner's. The outcome is the last access to it, but
 * for readying it if it sleeps. */
static SK_ALWAYS_INLINE void finish(struct skua_chan *c, void *to, const void *from,
                                    struct sk_chan_transfer *t)
{
    if (t->partner != NULL) {
        if (to != NULL)
            sk_chan_ring_copy(to, from, c->elem_bytes);
        sk_store_release(&t->partner->x_outcome, (uint32_t)SK_CHAN_PASSED); /* CH1 */
        sk_queue_finish(&t->woken);
    }
    if (sk_unlikely(t->chunk != NULL))
        sk_mem_free(t->chunk);
}

void sk_chan_locked_finish_send(struct skua_chan *c, const void *v, struct sk_chan_transfer *t)
{
    finish(c, t->partner != NULL ? t->partner->val : NULL, v, t);
}

void sk_chan_locked_finish_recv(struct skua_chan *c, void *v, struct sk_chan_transfer *t)
{
    finish(c, v, t->partner != NULL ? t->partner->val : NULL, t);
}

int sk_chan_outcome(struct sk_chan_waiter *waiter)
{
    uint32_t outcome;
    for (unsigned spins = 0; (outcome = sk_load_acquire(&waiter->x_outcome)) == SK_CHAN_PENDING;
         /* CH2 */ spins++)
        sk_lock_relax(spins);
    return outcome == SK_CHAN_PASSED ? 0 : -EPIPE;
}

bool sk_chan_locked_leave(struct skua_chan *c, struct sk_chan_waiter *waiter, bool is_send)
{
    if (sk_load_acquire(&waiter->x_outcome) != SK_CHAN_PENDING) /* CH2: out of the queue */
        return true;
    uint64_t word = sk_queue_hold(&c->x_lock);
    sk_list_remove(&waiter->base.link);
    if (sk_queue_is_empty(is_send ? &c->senders : &c->receivers))
        word &= ~(uint64_t)(is_send ? SK_CHAN_SENDERS : SK_CHAN_RECEIVERS);
    bool claimed = waiter->base.claimed;
    sk_queue_let_go(&c->x_lock, word);
    return claimed;
}

/* ---- whole operations ---- */

/* Takes the lock, unless there is nothing for the caller: none of the bits of `wanted`. */
static SK_ALWAYS_INLINE bool hold_for(struct skua_chan *c, uint64_t wanted, uint64_t *word)
{
    do {
        *word = sk_queue_settled(&c->x_lock);
        if ((*word & wanted) == 0)
            return false;
    } while (!sk_solo_cas(&c->x_lock, word, *word | SK_QUEUE_LOCKED)); /* QL2 */
    return true;
}

static int send_unbounded(struct skua_chan *c, const void *v)
{
    struct sk_chan_transfer t = {.partner = NULL};
    int rc;
    for (;;) {
        uint64_t word = sk_queue_hold(&c->x_lock);
        rc = sk_chan_locked_send(c, &word, v, &t);
        sk_queue_let_go(&c->x_lock, word);
        if (sk_likely(rc != -ENOBUFS))
            break;
        t.chunk = sk_mem_alloc(sk_chan_fifo_chunk_bytes(&c->fifo));
        if (t.chunk == NULL)
            return -ENOMEM;
    }
    sk_chan_locked_finish_send(c, v, &t);
    return rc;
}

__attribute__((noinline)) int sk_chan_locked_try_send(struct skua_chan *c, const void *v)
{
    struct sk_chan_transfer t = {.partner = NULL};
    uint64_t word;
    if (c->kind == SK_CHAN_UNBOUNDED)
        return send_unbounded(c, v);
    if (!hold_for(c, SK_CHAN_RECEIVERS | SK_CHAN_CLOSED, &word))
        return -EAGAIN;
    int rc = sk_chan_locked_send(c, &word, v, &t);
    sk_queue_let_go(&c->x_lock, word);
    sk_chan_locked_finish_send(c, v, &t);
    return rc;
}

__attribute__((noinline)) int sk_chan_locked_try_recv(struct skua_chan *c, void *v)
{
    struct sk_chan_transfer t = {.partner = NULL};
    uint64_t word;
    if (!hold_for(c, ~(ONE - 1) | SK_CHAN_SENDERS | SK_CHAN_CLOSED, &word))
        return -EAGAIN;
    int rc = sk_chan_locked_recv(c, &word, v, &t);
    sk_queue_let_go(&c->x_lock, word);
    sk_chan_locked_finish_recv(c, v, &t);
    return rc;
}

/* The waiter, registering: does it after all, or enters the queue (-EAGAIN). */
static __attribute__((noinline)) int do_or_enter(struct skua_chan *c, struct sk_chan_waiter *waiter,
                                                 bool is_send)
{
    uint64_t word = 0;
    if (sk_likely(sk_solo_cas(&c->x_lock, &word, SK_QUEUE_LOCKED))) { /* QL2: it is still idle */
        sk_chan_locked_enter(c, &word, waiter, is_send);
        sk_queue_let_go(&c->x_lock, word);
        return -EAGAIN;
    }
    struct sk_chan_transfer t = {.partner = NULL};
    word = sk_queue_hold(&c->x_lock);
    int rc = is_send ? sk_chan_locked_send(c, &word, waiter->val, &t)
                     : sk_chan_locked_recv(c, &word, waiter->val, &t);
    if (rc == -EAGAIN)
        sk_chan_locked_enter(c, &word, waiter, is_send);
    sk_queue_let_go(&c->x_lock, word);
    if (sk_likely(rc == -EAGAIN))
        return rc;
    (void)sk_wait_abandon(waiter->base.wait); /* it is in no queue: nobody's wake is lost */
    if (is_send)
        sk_chan_locked_finish_send(c, waiter->val, &t);
    else
        sk_chan_locked_finish_recv(c, waiter->val, &t);
    return rc;
}

/* The same in one section, commit and all, where there is one worker: as long as sections are to be
 * had nobody has come since the caller looked, and there still is nothing to do. False: nothing was
 * done. */
static SK_ALWAYS_INLINE bool enter_alone(struct skua_chan *c, struct sk_chan_waiter *waiter,
                                         bool is_send)
{
    if (waiter->base.wait->deadline != SKUA_NEVER || !sk_solo_try_enter())
        return false;
    uint64_t word = sk_load_acquire(&c->x_lock); /* QL2 */
    (void)sk_wait_commit_in(waiter->base.wait);
    sk_chan_locked_enter(c, &word, waiter, is_send);
    sk_queue_let_go(&c->x_lock, word);
    sk_solo_leave();
    return true;
}

/* The caller has just found nothing to do. */
static SK_ALWAYS_INLINE int wait_for_partner(struct skua_chan *c, bool is_send, void *v,
                                             skua_time dl)
{
    struct sk_wait wait;
    struct sk_chan_waiter waiter;
    waiter.base.wait = &wait;
    waiter.val = v;
    int rc = sk_wait_begin(&wait, dl, 0);
    if (sk_unlikely(rc < 0))
        return rc;
    if (sk_likely(enter_alone(c, &waiter, is_send))) {
        sk_park_committed();
        rc = sk_wait_result(&wait);
    } else {
        rc = do_or_enter(c, &waiter, is_send);
        if (rc != -EAGAIN)
            return rc;
        rc = sk_wait_park(&wait);
    }
    if (sk_likely(rc == 0))
        return sk_chan_outcome(&waiter);
    (void)sk_chan_locked_leave(c, &waiter, is_send); /* claimed for another reason */
    return rc;
}

/* Nobody waits, nothing is in it, and it is open. */
static bool is_idle(struct skua_chan *c)
{
    return sk_load_acquire(&c->x_lock) == 0;
}

/* The caller sleeps, unless it can be done now. */
SK_ARCH_RETURN_BY_JUMP static __attribute__((noinline)) int send_or_wait(struct skua_chan *c,
                                                                         void *v, skua_time dl)
{
    if (sk_unlikely(!is_idle(c) || c->kind == SK_CHAN_UNBOUNDED)) {
        int rc = sk_chan_locked_try_send(c, v);
        if (rc != -EAGAIN)
            return rc;
    }
    return wait_for_partner(c, true, v, dl);
}

SK_ARCH_RETURN_BY_JUMP static __attribute__((noinline)) int recv_or_wait(struct skua_chan *c,
                                                                         void *v, skua_time dl)
{
    if (sk_unlikely(!is_idle(c))) {
        int rc = sk_chan_locked_try_recv(c, v);
        if (rc != -EAGAIN)
            return rc;
    }
    return wait_for_partner(c, false, v, dl);
}

/* In a section of runtime/solo.h. Takes out and claims the first of q, if it sleeps there; `bit` says
 * that q is not empty (I1). A plain thread that has held the lock since before the runtime was started
 * ends no section until it comes again. NULL: nothing was done. */
static SK_ALWAYS_INLINE struct sk_chan_waiter *claim_sleeper_in(struct skua_chan *c,
                                                                struct sk_queue *q, uint64_t bit)
{
    uint64_t word = sk_load_acquire(&c->x_lock); /* QL2 */
    struct sk_waiter *waiter = sk_container_of(q->list.next, struct sk_waiter, link);
    if (sk_unlikely((word & (bit | SK_QUEUE_LOCKED)) != bit) ||
        sk_unlikely(!sk_wait_claim_sleeper_in(waiter->wait)))
        return NULL;
    waiter->claimed = true;
    sk_list_remove(&waiter->link);
    sk_queue_let_go(&c->x_lock, sk_list_empty(&q->list) ? word & ~bit : word);
    return sk_container_of(waiter, struct sk_chan_waiter, base);
}

/* Among several workers: the same under the word's lock. */
static SK_ALWAYS_INLINE struct sk_chan_waiter *claim_first(struct skua_chan *c, struct sk_queue *q,
                                                           uint64_t bit, enum sk_wait_claim *claim)
{
    uint64_t word = sk_load_relaxed(&c->x_lock);
    if ((word & (bit | SK_QUEUE_LOCKED)) != bit ||
        !sk_solo_cas(&c->x_lock, &word, word | SK_QUEUE_LOCKED)) /* QL2 */
        return NULL;
    struct sk_waiter *waiter = sk_queue_first(q);
    sk_list_remove(&waiter->link);
    waiter->claimed = true;
    *claim = sk_wait_claim(waiter->wait->task, waiter->wait->ticket, SK_WAIT_WOKEN);
    if (sk_unlikely(*claim == SK_WAIT_LOST))
        waiter->claimed = false;
    sk_queue_let_go(&c->x_lock, sk_list_empty(&q->list) ? word & ~bit : word);
    return *claim == SK_WAIT_LOST ? NULL : sk_container_of(waiter, struct sk_chan_waiter, base);
}

/* The claimed partner's, from whom, or to whom, the element goes. The outcome is the last access to
 * it, but for readying it if it sleeps. Apart, so that what is usual keeps nothing over a call. */
static __attribute__((noinline)) int hand_over(void *to, const void *from, size_t bytes,
                                               struct sk_chan_waiter *partner,
                                               enum sk_wait_claim claim)
{
    struct skua_task *task = partner->base.wait->task;
    if (to != NULL)
        sk_chan_ring_copy(to, from, bytes);
    sk_store_release(&partner->x_outcome, (uint32_t)SK_CHAN_PASSED); /* CH1 */
    sk_wait_finish(task, claim);
    return 0;
}

static __attribute__((noinline)) int send_among_others(struct skua_chan *c, void *v, skua_time dl)
{
    enum sk_wait_claim claim;
    struct sk_chan_waiter *partner = claim_first(c, &c->receivers, SK_CHAN_RECEIVERS, &claim);
    if (partner == NULL)
        return send_or_wait(c, v, dl);
    return hand_over(partner->val, v, c->elem_bytes, partner, claim);
}

static __attribute__((noinline)) int recv_among_others(struct skua_chan *c, void *v, skua_time dl)
{
    enum sk_wait_claim claim;
    struct sk_chan_waiter *partner = claim_first(c, &c->senders, SK_CHAN_SENDERS, &claim);
    if (partner == NULL)
        return recv_or_wait(c, v, dl);
    return hand_over(v, partner->val, c->elem_bytes, partner, claim);
}

/* The usual case of a rendezvous in one piece: the other side sleeps in the queue. */
int sk_chan_locked_wait_send(struct skua_chan *c, const void *from, skua_time dl)
{
    void *v = (void *)(uintptr_t)from;
    if ((sk_load_relaxed(&c->x_lock) & SK_CHAN_RECEIVERS) == 0)
        return send_or_wait(c, v, dl);
    if (!sk_solo_try_enter())
        return send_among_others(c, v, dl);
    struct sk_chan_waiter *partner = claim_sleeper_in(c, &c->receivers, SK_CHAN_RECEIVERS);
    sk_solo_leave();
    if (sk_unlikely(partner == NULL))
        return send_or_wait(c, v, dl);
    return hand_over(partner->val, v, c->elem_bytes, partner, SK_WAIT_WON);
}

int sk_chan_locked_wait_recv(struct skua_chan *c, void *v, skua_time dl)
{
    if ((sk_load_relaxed(&c->x_lock) & SK_CHAN_SENDERS) == 0)
        return recv_or_wait(c, v, dl);
    if (!sk_solo_try_enter())
        return recv_among_others(c, v, dl);
    struct sk_chan_waiter *partner = claim_sleeper_in(c, &c->senders, SK_CHAN_SENDERS);
    sk_solo_leave();
    if (sk_unlikely(partner == NULL))
        return recv_or_wait(c, v, dl);
    return hand_over(v, partner->val, c->elem_bytes, partner, SK_WAIT_WON);
}

/* Holder. */
static void refuse_all(struct sk_queue *q, struct sk_queue_woken *woken)
{
    struct sk_waiter *waiter;
    while ((waiter = sk_queue_claim_staying(q, woken)) != NULL)
        sk_store_release(&sk_container_of(waiter, struct sk_chan_waiter, base)->x_outcome,
                         (uint32_t)SK_CHAN_REFUSED); /* CH1 */
}

int sk_chan_locked_close(struct skua_chan *c)
{
    struct sk_queue_woken woken = {.first = NULL};
    uint64_t word = sk_queue_hold(&c->x_lock);
    bool was_open = (word & SK_CHAN_CLOSED) == 0;
    refuse_all(&c->receivers, &woken);
    refuse_all(&c->senders, &woken);
    word &= ~(uint64_t)(SK_CHAN_RECEIVERS | SK_CHAN_SENDERS);
    sk_queue_let_go(&c->x_lock, word | SK_CHAN_CLOSED);
    sk_queue_finish(&woken);
    return was_open ? 0 : -EPIPE;
}

void sk_chan_locked_free(struct skua_chan *c)
{
    for (struct sk_chan_chunk *chunk = c->fifo.first, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        sk_mem_free(chunk);
    }
    sk_mem_free(c->fifo.spare);
}
