#include "sync/queue.h"

#include "runtime/base/assert.h"
#include "runtime/base/lock.h"
#include "runtime/current.h"
#include "runtime/solo.h"
#include "runtime/task.h"

uint64_t sk_queue_settle(_Atomic(uint64_t) *x_word)
{
    uint64_t word = sk_load_acquire(x_word); /* QL2 */
    for (unsigned spins = 0; (word & SK_QUEUE_LOCKED) != 0; spins++) {
        sk_lock_relax(spins);
        word = sk_load_acquire(x_word);
    }
    return word;
}

void sk_queue_claim_all(struct sk_queue *q, struct sk_queue_woken *woken)
{
    while (sk_queue_claim(q, woken) != NULL) {
    }
}

/* What a coroutine readies last runs next, from the slot, and what it readied before stands in
 * order behind: so there the first one goes last. */
static void rotate(struct sk_queue_woken *woken)
{
    struct skua_task *first = woken->first;
    if (sk_current_task() == NULL)
        return;
    woken->first = first->next;
    first->next = NULL;
    woken->last->next = first;
    woken->last = first;
}

void sk_queue_finish_many(struct sk_queue_woken *woken)
{
    rotate(woken);
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
