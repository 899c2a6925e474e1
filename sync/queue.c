#include "sync/queue.h"

#include "runtime/base/assert.h"
#include "runtime/base/lock.h"

uint64_t sk_queue_settled(_Atomic(uint64_t) *x_word)
{
    uint64_t word = sk_load_acquire(x_word); /* QL2 */
    for (unsigned spins = 0; sk_unlikely((word & SK_QUEUE_LOCKED) != 0); spins++) {
        sk_lock_relax(spins);
        word = sk_load_acquire(x_word);
    }
    return word;
}

uint64_t sk_queue_hold(_Atomic(uint64_t) *x_word)
{
    uint64_t word;
    do {
        word = sk_queue_settled(x_word);
    } while (!sk_cas_acquire(x_word, &word, word | SK_QUEUE_LOCKED)); /* QL2 */
    return word;
}

/* A task that is claimed is in no run queue: its link is free. The waiter is marked before it is
 * claimed: after that its frame may go, unless its owner looks at the mark under the lock. */
struct sk_waiter *sk_queue_claim(struct sk_queue *q, struct sk_queue_woken *woken)
{
    while (!sk_queue_is_empty(q)) {
        struct sk_waiter *waiter =
            sk_container_of(sk_list_pop_front(&q->list), struct sk_waiter, link);
        struct skua_task *task = waiter->wait->task;
        waiter->claimed = true;
        enum sk_wait_claim claim = sk_wait_claim(task, waiter->wait->ticket, SK_WAIT_WOKEN);
        if (claim == SK_WAIT_LOST) {
            waiter->claimed = false; /* it comes for the lock before it leaves */
            continue;
        }
        if (claim == SK_WAIT_WON) {
            task->next = woken->first;
            woken->first = task;
        }
        return waiter;
    }
    return NULL;
}

void sk_queue_claim_all(struct sk_queue *q, struct sk_queue_woken *woken)
{
    while (sk_queue_claim(q, woken) != NULL) {
    }
    /* In order of arrival. */
    struct skua_task *reversed = NULL;
    while (woken->first != NULL) {
        struct skua_task *task = woken->first;
        woken->first = task->next;
        task->next = reversed;
        reversed = task;
    }
    woken->first = reversed;
}

void sk_queue_finish(struct sk_queue_woken *woken)
{
    while (woken->first != NULL) {
        struct skua_task *task = woken->first;
        woken->first = task->next; /* it belongs to a run queue, or runs, from the next line on */
        sk_wait_finish(task, SK_WAIT_WON);
    }
}

void sk_queue_leave(struct sk_queue *q, _Atomic(uint64_t) *x_word, struct sk_waiter *waiter)
{
    uint64_t word = sk_queue_hold(x_word);
    sk_list_remove(&waiter->link); /* linked to itself when a waker has taken it out */
    if (sk_queue_is_empty(q))
        word &= ~(uint64_t)SK_QUEUE_WAITERS;
    sk_queue_let_go(x_word, word);
}
