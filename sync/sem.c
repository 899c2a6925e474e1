/* sync/sem.c - a counting semaphore: takes and gives n at a time, in order of arrival.
 * x_word: count << 2 | LOCKED | WAITERS (sync/queue.h).
 *   wait   no WAITERS and the count is enough: - n, by CAS; else it holds the word and queues
 *   post   no WAITERS: + n, by CAS; else it holds the word, gives from the front of the queue for
 *          as long as the count is enough, and lets go with the rest
 * I1: with WAITERS set and LOCKED not, the count is less than the first in the queue wants. So a
 *     small request never overtakes a big one. Whoever leaves the queue early gives to those behind
 *     it.
 * Order: SE1 release of post's CAS, or QL1 -> SE2 acquire of wait's CAS, or QL2: what was done
 * before the post is visible. */
#include <assert.h>
#include <errno.h>

#include <skua/sync.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/sanitizer.h"
#include "runtime/sched.h"
#include "runtime/solo.h"
#include "sync/queue.h"

enum { COUNT_SHIFT = 2 };

struct sem {
    _Atomic(uint64_t) x_word;
    struct sk_queue queue;
};

static_assert(sizeof(struct sem) <= sizeof(skua_sem), "skua_sem holds it");
static_assert(1 << COUNT_SHIFT == SK_QUEUE_BITS + 1, "SKUA_SEM_INIT relies on it");

struct place {
    struct sk_waiter waiter;
    uint64_t n;
};

static struct sem *sem_of(skua_sem *s)
{
    return (struct sem *)(void *)s;
}

static struct place *place_of(struct sk_waiter *waiter)
{
    return sk_container_of(waiter, struct place, waiter);
}

/* Nobody may overtake those who wait. */
static bool has(uint64_t word, uint64_t n)
{
    return (word & SK_QUEUE_WAITERS) == 0 && word >> COUNT_SHIFT >= n;
}

static bool try_take(struct sem *sem, uint64_t n)
{
    uint64_t word;
    do {
        word = sk_queue_settled(&sem->x_word);
        if (!has(word, n))
            return false;
    } while (!sk_solo_cas(&sem->x_word, &word, word - (n << COUNT_SHIFT))); /* SE2 */
    return true;
}

/* Holder of the word: the last access. Gives to those at the front for as long as there is
 * enough. */
static void let_go(struct sem *sem, uint64_t count)
{
    struct sk_queue_woken woken = {.first = NULL};
    struct sk_waiter *first;
    while ((first = sk_queue_first(&sem->queue)) != NULL) {
        uint64_t n = place_of(first)->n;
        if (n > count)
            break;
        if (sk_queue_claim_first(&sem->queue, &woken))
            count -= n;
    }
    uint64_t waiters = first != NULL ? SK_QUEUE_WAITERS : 0;
    sk_queue_let_go(&sem->x_word, count << COUNT_SHIFT | waiters); /* SE1 */
    sk_queue_finish(&woken);
}

/* Into the queue; false: n were had. */
static bool enqueue(struct sem *sem, struct place *place)
{
    uint64_t word = sk_queue_hold(&sem->x_word); /* SE2 */
    bool must_wait = !has(word, place->n);
    if (must_wait)
        sk_queue_push(&sem->queue, &place->waiter);
    sk_queue_let_go(&sem->x_word,
                    must_wait ? word | SK_QUEUE_WAITERS : word - (place->n << COUNT_SHIFT));
    return must_wait;
}

static void leave(struct sem *sem, struct place *place)
{
    uint64_t word = sk_queue_hold(&sem->x_word);
    sk_list_remove(&place->waiter.link);
    let_go(sem, word >> COUNT_SHIFT);
}

static int wait_slow(struct sem *sem, uint64_t n, skua_time dl)
{
    struct sk_wait wait;
    struct place place = {.waiter = {.wait = &wait}, .n = n};
    int rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0)
        return try_take(sem, n) ? 0 : rc;
    if (!enqueue(sem, &place)) {
        (void)sk_wait_abandon(&wait);
        return 0;
    }
    rc = sk_queue_park(&sem->x_word, &wait); /* SE2 */
    if (rc < 0)
        leave(sem, &place);
    return rc;
}

int skua_sem_wait(skua_sem *s, unsigned n, skua_time dl)
{
    struct sem *sem = sem_of(s);
    int rc = sk_clock_check_deadline(dl);
    if (sk_unlikely(rc < 0))
        return rc;
    sk_sched_spend();
    if (n == 0 || sk_likely(try_take(sem, n)))
        return sk_san_acquired(sem, 0);
    return sk_san_acquired(sem, wait_slow(sem, n, dl));
}

int skua_sem_post(skua_sem *s, unsigned n)
{
    struct sem *sem = sem_of(s);
    uint64_t word, count;
    bool gives;
    sk_san_release(sem);
    do {
        word = sk_queue_settled(&sem->x_word);
        count = (word >> COUNT_SHIFT) + n;
        if (count > UINT32_MAX)
            return -EINVAL;
        gives = (word & SK_QUEUE_WAITERS) != 0;
    } while (!sk_solo_cas(&sem->x_word, &word, /* SE1, QL2 */
                          gives ? word | SK_QUEUE_LOCKED : count << COUNT_SHIFT));
    if (gives)
        let_go(sem, count);
    return 0;
}
