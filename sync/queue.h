/* sync/queue.h - those who wait for one object: a list in order of arrival, guarded by a bit in the
 * object's own word.
 * Owns:    struct sk_queue, and the protocol of the LOCKED bit. (struct sk_waiter: runtime/wait.h.)
 * Threads: any. Words change by runtime/solo.h. A struct sk_waiter lies on its waiter's stack. A waker
 *          touches it only while it holds the word, and not after it has won its claim: what it wants
 *          of it, it reads before.
 *
 * While LOCKED is set in a word nobody else changes the word or the list. Who holds it ends with
 * one store, which changes the object's state and lets it go at once, and that store is its last
 * access: the woken may free the object as soon as they return. (A lock beside the word would still
 * be released after the word had said that all is over.) Therefore:
 *   - who finds the object in the state that it waits for, but LOCKED, waits until it is not
 *   (sk_queue_settled);
 *   - a waiter that was claimed before it slept does the same before its frame ends: every waiter
 *   sleeps by sk_queue_park, which sees to it;
 *   - claimed waiters are chained by their records and readied after that last store
 *   (sk_queue_finish).
 * Order: QL1 release store that lets go -> QL2 acquire load or CAS: the list and what the holder
 * did are visible. */
#ifndef SK_SYNC_QUEUE_H
#define SK_SYNC_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/list.h"
#include "runtime/solo.h"
#include "runtime/task.h"
#include "runtime/wait.h"

/* In every object's word. */
enum { SK_QUEUE_WAITERS = 1, SK_QUEUE_LOCKED = 2, SK_QUEUE_BITS = 3 };

struct sk_queue {
    struct sk_list list; /* next NULL: never used */
};

/* The same, where it is LOCKED. */
uint64_t sk_queue_settle(_Atomic(uint64_t) *x_word);
/* Any thread. The word once it is not LOCKED. */
static inline uint64_t sk_queue_settled(_Atomic(uint64_t) *x_word)
{
    uint64_t word = sk_load_acquire(x_word); /* QL2 */
    return sk_likely((word & SK_QUEUE_LOCKED) == 0) ? word : sk_queue_settle(x_word);
}

/* Any thread. Takes the word; returns it as it was, not LOCKED. */
static inline uint64_t sk_queue_hold(_Atomic(uint64_t) *x_word)
{
    uint64_t word;
    do {
        word = sk_queue_settled(x_word);
    } while (sk_unlikely(!sk_solo_cas(x_word, &word, word | SK_QUEUE_LOCKED))); /* QL2 */
    return word;
}

/* Holder only: the last access to the object. */
static inline void sk_queue_let_go(_Atomic(uint64_t) *x_word, uint64_t word)
{
    sk_store_release(x_word, word); /* QL1 */
}

/* Holder only. */
static inline bool sk_queue_is_empty(const struct sk_queue *q)
{
    return q->list.next == NULL || sk_list_empty(&q->list);
}

/* Holder only. */
static inline void sk_queue_push(struct sk_queue *q, struct sk_waiter *waiter)
{
    if (q->list.next == NULL)
        sk_list_init(&q->list);
    sk_list_push_back(&q->list, &waiter->link);
}

/* Holder only. Whether it is still in its queue; a waiter whose wait ended early may not be. */
static inline bool sk_queue_has(const struct sk_waiter *waiter)
{
    return waiter->link.next != &waiter->link;
}

/* Holder only. The first waiter, which stays where it is, and whose wait may be over; NULL:
 * none. */
static inline struct sk_waiter *sk_queue_first(const struct sk_queue *q)
{
    return sk_queue_is_empty(q) ? NULL : sk_container_of(q->list.next, struct sk_waiter, link);
}

/* Holder only. For one that was claimed, found nothing, and comes back. */
static inline void sk_queue_push_front(struct sk_queue *q, struct sk_waiter *waiter)
{
    if (q->list.next == NULL)
        sk_list_init(&q->list);
    sk_list_push_back(q->list.next, &waiter->link); /* before the first */
}

/* Claimed waiters to be readied, in order of arrival. */
struct sk_queue_woken {
    struct skua_task *first;
    struct skua_task *last; /* not used while first is NULL */
};

/* Holder of a word under which the wait cannot go away. Claims it, and adds it to *woken if it
 * sleeps. False: it is over. */
static inline bool sk_queue_claim_wait(const struct sk_wait *wait, struct sk_queue_woken *woken)
{
    struct skua_task *task = wait->task;
    enum sk_wait_claim claim = sk_wait_claim(task, wait->ticket, SK_WAIT_WOKEN);
    if (claim != SK_WAIT_WON)
        return claim == SK_WAIT_WON_EARLY;
    task->next = NULL; /* a task that is claimed is in no run queue: its link is free */
    if (woken->first == NULL)
        woken->first = task;
    else
        woken->last->next = task;
    woken->last = task;
    return true;
}

/* Holder only. Takes out the first waiter, of which there must be one. True: it is claimed, and was
 * added to *woken if it sleeps. Its frame may end now, unless its waiter stays in it for a word of
 * the claimer's. */
static inline bool sk_queue_claim_first(struct sk_queue *q, struct sk_queue_woken *woken)
{
    struct sk_waiter *waiter = sk_container_of(sk_list_pop_front(&q->list), struct sk_waiter, link);
    waiter->claimed = true; /* before: after it the waiter may be gone */
    if (sk_likely(sk_queue_claim_wait(waiter->wait, woken)))
        return true;
    waiter->claimed = false; /* it comes for the lock before it leaves */
    return false;
}

/* Holder only. Takes out waiters until it has claimed one, and returns its task. NULL: none is
 * left. */
static inline struct skua_task *sk_queue_claim(struct sk_queue *q, struct sk_queue_woken *woken)
{
    struct sk_waiter *waiter;
    while ((waiter = sk_queue_first(q)) != NULL) {
        struct skua_task *task = waiter->wait->task;
        if (sk_queue_claim_first(q, woken))
            return task;
    }
    return NULL;
}

/* Holder only. As sk_queue_claim, for waiters that stay in their frame until the claimer has
 * written there that it is done (a channel's outcome). */
static inline struct sk_waiter *sk_queue_claim_staying(struct sk_queue *q,
                                                       struct sk_queue_woken *woken)
{
    struct sk_waiter *waiter;
    while ((waiter = sk_queue_first(q)) != NULL)
        if (sk_queue_claim_first(q, woken))
            return waiter;
    return NULL;
}

/* Holder only. Claims all. */
void sk_queue_claim_all(struct sk_queue *q, struct sk_queue_woken *woken);
void sk_queue_finish_many(struct sk_queue_woken *woken);
/* Any thread, after it has let go. Readies them: on a worker they run in order of arrival. */
static inline void sk_queue_finish(struct sk_queue_woken *woken)
{
    if (woken->first == NULL)
        return;
    if (woken->first == woken->last)
        sk_wait_finish(woken->first, SK_WAIT_WON);
    else
        sk_queue_finish_many(woken);
}

/* The waiter, in the queue of x_word. Sleeps until it is claimed. 0: woken, and the waker has let go
 * of the word. Negative: the wait ended early, and the caller leaves the queue under the word before
 * its frame ends. */
static inline int sk_queue_park(_Atomic(uint64_t) *x_word, struct sk_wait *wait)
{
    int rc = sk_wait_park(wait);
    if (rc == 0)
        (void)sk_queue_settled(x_word); /* QL2 */
    return rc;
}

/* The waiter, whose wait ended early: leaves the list if it is still there. */
void sk_queue_leave(struct sk_queue *q, _Atomic(uint64_t) *x_word, struct sk_waiter *waiter);

#endif
