/* sync/future.c - a value that is set once and waited for by many; gather and wait_any.
 * x_word: state << 2 | LOCKED (sync/queue.h; futures do without WAITERS).
 *   PENDING    has no value; anybody may win the right to settle it
 *   CHOSEN     somebody has, and writes value or error: they are his alone. To all others it is
 *              PENDING still
 *   DONE, CANCELLED  final: value and error are everybody's to read
 *   choose    PENDING -> CHOSEN, by CAS: one winner
 *   settle    CHOSEN -> DONE or CANCELLED, holding the word. Without callbacks those who wait are
 *             claimed in the same section. Else the state becomes final, the word is let go, the
 *             callbacks run, and the word is held once more to claim those who wait; a reference of
 *             its own keeps the future for that, whatever callbacks give back.
 * Lists, under LOCKED: `queue`, waits that any settling wakes; `places`, one for each time that a
 * future stands in a gather; `callbacks`. Nothing enters a list once the state is final.
 * Order: FU1 release store (QL1) of the final state -> FU2 acquire load that finds it: value, error
 *        and `failed_at` are visible.
 *        FU3 acq_rel decrement of a gather's x_left, under LOCKED -> FU4 the one that reaches 0, and
 *        by its claim (WT1 -> WT2) the gatherer: every future of the vector is final, or LOCKED by
 *        who makes it so. The gatherer waits until it is not.
 *        FU5 acq_rel drop of a reference -> FU6 the last one: what others did with the future comes
 *        before it is freed. */
#include "sync/future.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stddef.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/sched.h"
#include "runtime/solo.h"
#include "runtime/wait.h"
#include "sync/queue.h"

enum { PENDING = 0 << 2, CHOSEN = 1 << 2, DONE = 2 << 2, CANCELLED = 3 << 2 };

enum {
    SIZE_MAX_BYTES = 65536,
    NEAR = 16, /* so many places lie on the waiter's stack, more in the heap */
};

struct callback {
    struct callback *next;
    void (*fn)(skua_future *f, void *arg);
    void *arg;
};

struct skua_future {
    _Atomic(uint64_t) x_word;
    struct sk_queue queue;
    struct sk_list places;
    struct callback *callbacks; /* newest first */
    _Atomic(uint32_t) x_refs;
    int32_t error;      /* 0: it has a value */
    uint64_t failed_at; /* its number among all that have failed, in order of time */
    size_t size;
    alignas(max_align_t) unsigned char value[];
};

/* One wait of skua_gather. */
struct gather {
    struct sk_wait wait;
    _Atomic(size_t) x_left; /* places whose futures have no value yet */
};

struct place {
    struct sk_list link; /* linked to itself once it was taken out */
    struct gather *gather;
};

static _Atomic(uint64_t) x_failures;

static bool is_final(uint64_t word)
{
    return word >= DONE;
}

static uint64_t settled_word(const skua_future *f)
{
    return sk_queue_settled((_Atomic(uint64_t) *)&f->x_word); /* FU2 */
}

static bool is_done(const skua_future *f)
{
    return is_final(settled_word(f));
}

/* ---- making and freeing ---- */

int skua_future_new(skua_future **out, size_t size)
{
    if (out == NULL || size > SIZE_MAX_BYTES)
        return -EINVAL;
    skua_future *f = sk_mem_alloc(sizeof(*f) + size);
    if (f == NULL)
        return -ENOMEM;
    *f = (skua_future){.size = size};
    sk_store_relaxed(&f->x_refs, 1u);
    sk_list_init(&f->places);
    *out = f;
    return 0;
}

skua_future *skua_future_ref(skua_future *f)
{
    sk_add_relaxed(&f->x_refs, 1u);
    return f;
}

void skua_future_unref(skua_future *f)
{
    if (f == NULL || sk_sub_acq_rel(&f->x_refs, 1u) != 1) /* FU5, FU6 */
        return;
    while (f->callbacks != NULL) { /* it was never settled */
        struct callback *callback = f->callbacks;
        f->callbacks = callback->next;
        sk_mem_free(callback);
    }
    sk_mem_free(f);
}

/* ---- settling ---- */

/* Any thread. The one that gets true settles it. */
static bool choose(skua_future *f)
{
    uint64_t word;
    do {
        word = sk_queue_settled(&f->x_word);
        if (word != PENDING)
            return false;
    } while (!sk_solo_cas(&f->x_word, &word, CHOSEN));
    return true;
}

/* Holder only. A value counts for each gather that waits for it; a failure ends it at once. */
static void count_places(skua_future *f, struct sk_queue_woken *woken)
{
    struct sk_list *node;
    while ((node = sk_list_pop_front(&f->places)) != NULL) {
        struct gather *gather = sk_container_of(node, struct place, link)->gather;
        if (f->error != 0 || sk_sub_acq_rel(&gather->x_left, 1u) == 1) /* FU3, FU4 */
            (void)sk_queue_claim_wait(&gather->wait, woken);
    }
}

/* Holder only, and lets go with the final state. */
static void wake_all(skua_future *f, uint64_t final)
{
    struct sk_queue_woken woken = {.first = NULL};
    sk_queue_claim_all(&f->queue, &woken);
    count_places(f, &woken);
    sk_queue_let_go(&f->x_word, final); /* FU1; the last access, but for a reference */
    sk_queue_finish(&woken);
}

static struct callback *turn_round(struct callback *newest)
{
    struct callback *oldest = NULL;
    while (newest != NULL) {
        struct callback *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* Calls and frees them, as nobody. */
static void call(skua_future *f, struct callback *callbacks)
{
    struct skua_task *self = sk_wait_forbid();
    sk_san_acquire(f);
    while (callbacks != NULL) {
        struct callback *next = callbacks->next;
        sk_san_acquire(callbacks);
        callbacks->fn(f, callbacks->arg);
        sk_mem_free(callbacks);
        callbacks = next;
    }
    sk_wait_permit(self);
}

/* The chosen. */
static void settle(skua_future *f, uint64_t final)
{
    (void)sk_queue_hold(&f->x_word);
    struct callback *callbacks = turn_round(f->callbacks);
    if (callbacks == NULL) {
        wake_all(f, final);
        return;
    }
    f->callbacks = NULL;
    skua_future_ref(f);
    sk_queue_let_go(&f->x_word, final); /* FU1 */
    call(f, callbacks);
    sk_san_release(f); /* what the callbacks did is visible to waiters */
    (void)sk_queue_hold(&f->x_word);
    wake_all(f, final);
    skua_future_unref(f);
}

static int settle_failed(skua_future *f, uint64_t final, int err)
{
    if (!choose(f))
        return -EINVAL;
    sk_san_release(f);
    f->error = err;
    f->failed_at = sk_add_relaxed(&x_failures, 1u);
    settle(f, final);
    return 0;
}

int skua_future_set(skua_future *f, const void *value)
{
    if (!choose(f))
        return -EINVAL;
    sk_san_release(f);
    if (value != NULL)
        sk_san_copy(f->value, value, f->size);
    else
        memset(f->value, 0, f->size);
    settle(f, DONE);
    return 0;
}

int skua_future_fail(skua_future *f, int err)
{
    return err < 0 ? settle_failed(f, DONE, err) : -EINVAL;
}

int skua_future_cancel(skua_future *f)
{
    return settle_failed(f, CANCELLED, -ECANCELED);
}

int skua_future_state(const skua_future *f)
{
    uint64_t word = settled_word(f);
    sk_san_acquire(f);
    return word == CANCELLED ? SKUA_CANCELLED : word == DONE ? SKUA_DONE : SKUA_PENDING;
}

int skua_future_on_done(skua_future *f, void (*fn)(skua_future *, void *), void *arg)
{
    struct callback *callback = fn != NULL ? sk_mem_alloc(sizeof(*callback)) : NULL;
    if (callback == NULL)
        return fn == NULL ? -EINVAL : -ENOMEM;
    *callback = (struct callback){.fn = fn, .arg = arg};
    sk_san_release(callback);
    uint64_t word = sk_queue_hold(&f->x_word);
    if (!is_final(word)) {
        callback->next = f->callbacks;
        f->callbacks = callback;
    }
    sk_queue_let_go(&f->x_word, word);
    if (is_final(word))
        call(f, callback);
    return 0;
}

/* ---- waiting for one ---- */

bool sk_future_enter(skua_future *f, struct sk_waiter *waiter)
{
    uint64_t word = sk_queue_hold(&f->x_word); /* FU2 */
    if (!is_final(word))
        sk_queue_push(&f->queue, waiter);
    sk_queue_let_go(&f->x_word, word);
    return !is_final(word);
}

void sk_future_leave(skua_future *f, struct sk_waiter *waiter)
{
    sk_queue_leave(&f->queue, &f->x_word, waiter);
}

int sk_future_result(const skua_future *f, void *value)
{
    sk_san_acquire(f);
    if (f->error == 0 && value != NULL)
        sk_san_copy(value, f->value, f->size);
    return f->error;
}

int skua_future_get(skua_future *f, void *value, skua_time dl)
{
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0)
        return rc;
    sk_sched_spend();
    if (is_done(f))
        return sk_future_result(f, value);
    rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0)
        return is_done(f) ? sk_future_result(f, value) : rc;
    if (!sk_future_enter(f, &waiter)) {
        (void)sk_wait_abandon(&wait);
        return sk_future_result(f, value);
    }
    rc = sk_queue_park(&f->x_word, &wait); /* FU2 */
    if (rc < 0) {
        sk_future_leave(f, &waiter);
        return rc;
    }
    return sk_future_result(f, value);
}

/* ---- waiting for many ---- */

/* What a gather returns, 1 while it must wait. */
static int outcome(skua_future *const *v, size_t n)
{
    const skua_future *first = NULL; /* of those that have failed */
    bool all = true;
    for (size_t i = 0; i < n; i++) {
        sk_san_acquire(v[i]);
        if (!is_done(v[i]))
            all = false;
        else if (v[i]->error != 0 && (first == NULL || v[i]->failed_at < first->failed_at))
            first = v[i];
    }
    return first != NULL ? first->error : !all;
}

/* False: the future is settled. */
static bool enter_place(skua_future *f, struct place *place)
{
    uint64_t word = sk_queue_hold(&f->x_word); /* FU2 */
    if (!is_final(word))
        sk_list_push_back(&f->places, &place->link);
    sk_queue_let_go(&f->x_word, word);
    return !is_final(word);
}

static void leave_place(skua_future *f, struct place *place)
{
    uint64_t word = sk_queue_hold(&f->x_word);
    sk_list_remove(&place->link);
    sk_queue_let_go(&f->x_word, word);
}

/* Its wait has begun; sleeps unless there is nothing to wait for. */
static int gather_at(struct gather *g, struct place *places, skua_future *const *v, size_t n)
{
    size_t i;
    bool must_wait = true;
    int rc = 0;
    sk_store_relaxed(&g->x_left, n);
    for (i = 0; i < n && must_wait; i++) {
        places[i].gather = g;
        if (enter_place(v[i], &places[i]))
            continue;
        sk_list_init(&places[i].link);
        must_wait = v[i]->error == 0 && sk_sub_acq_rel(&g->x_left, 1u) != 1; /* FU3, FU4 */
    }
    if (must_wait)
        rc = sk_wait_park(&g->wait);
    else
        (void)sk_wait_abandon(&g->wait);
    while (i-- > 0)
        leave_place(v[i], &places[i]);
    return rc;
}

int skua_gather(skua_future *const *v, size_t n, skua_time dl)
{
    struct gather g;
    struct place near[NEAR], *places = near;
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0)
        return rc;
    sk_sched_spend();
    int result = outcome(v, n);
    if (result <= 0)
        return result;
    rc = sk_wait_begin(&g.wait, dl, 0);
    if (rc < 0) {
        result = outcome(v, n);
        return result <= 0 ? result : rc;
    }
    if (n > NEAR)
        places = sk_mem_alloc(n * sizeof(*places));
    if (places == NULL) {
        (void)sk_wait_abandon(&g.wait);
        return -ENOMEM;
    }
    rc = gather_at(&g, places, v, n);
    if (places != near)
        sk_mem_free(places);
    return rc < 0 ? rc : outcome(v, n);
}

/* The lowest index of those that are settled; negative: none. */
static int find_done(skua_future *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_done(v[i]))
            return sk_san_acquired(v[i], (int)i);
    return -1;
}

/* As gather_at. */
static int wait_at(struct sk_wait *wait, struct sk_waiter *waiters, skua_future *const *v, size_t n)
{
    size_t entered = 0;
    int rc = 0;
    for (; entered < n; entered++) {
        waiters[entered].wait = wait;
        if (!sk_future_enter(v[entered], &waiters[entered]))
            break;
    }
    if (entered == n)
        rc = sk_wait_park(wait);
    else
        (void)sk_wait_abandon(wait);
    while (entered-- > 0)
        sk_future_leave(v[entered], &waiters[entered]);
    return rc;
}

int skua_wait_any(skua_future *const *v, size_t n, skua_time dl)
{
    struct sk_wait wait;
    struct sk_waiter near[NEAR], *waiters = near;
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0 || n == 0 || n > INT_MAX)
        return -EINVAL;
    sk_sched_spend();
    int index = find_done(v, n);
    if (index >= 0)
        return index;
    rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0) {
        index = find_done(v, n);
        return index >= 0 ? index : rc;
    }
    if (n > NEAR)
        waiters = sk_mem_alloc(n * sizeof(*waiters));
    if (waiters == NULL) {
        (void)sk_wait_abandon(&wait);
        return -ENOMEM;
    }
    rc = wait_at(&wait, waiters, v, n);
    if (waiters != near)
        sk_mem_free(waiters);
    return rc < 0 ? rc : find_done(v, n);
}
