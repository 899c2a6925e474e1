/* sync/select.c - waits for several things at once, and does one of them.
 *   1. Looks at each case, in random order (fair) or in that of the caller, and takes the first that
 *      is ready. SKUA_NOW ends here. The rest repeats until a case was done or the wait has ended:
 *   2. begins one wait, which can be claimed once, by whichever case comes first.
 *   3. Channels of the locked engine: holds them all, lowest address first; looks for a partner in
 *      each; if there is one, takes it and abandons the wait, of which nobody knows yet; else enters
 *      each, and lets them go.
 *   4. Everything else: enters one by one; each looks again as it enters. If one is ready the wait is
 *      abandoned, unless it has been claimed by now.
 *   5. Parks.
 *   6. Leaves all. If the wait was claimed by a partner in the locked engine the transfer is done: that
 *      is the result. Else looks at the cases again, the claimed one first.
 * Two selects that face each other on channels of the locked engine: whoever holds the channels second
 * finds the first in a queue, and claims it while its own wait can be claimed by nobody. So no two
 * claim each other, and none has to be undone. On one and the same channel a select cannot meet
 * itself: when it looks for partners it is in no queue.
 * Locks of several channels are held at once only here, and in the order of addresses: no deadlock.
 * On a ring a claim is a hint (sync/chan_wait.c): the case is looked at, which is all that it owes; only
 * an ordered select may do another case before, and then passes the hint on. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <skua/chan.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/mem.h"
#include "runtime/base/rand.h"
#include "runtime/base/sanitizer.h"
#include "runtime/sched.h"
#include "runtime/worker.h"
#include "sync/select.h"

enum { FEW = 16, NONE = INT_MIN }; /* so many cases need no memory; NONE: no case was done */

struct select {
    skua_case *cases;
    unsigned count; /* of cases that are not SKIP */
    bool is_ordered;
    unsigned home_count;
    struct sk_driver_poll *polls; /* one for each descriptor; NULL: none */
    uint32_t *order;              /* indices of those cases */
    struct sk_select_slot *slots;
    struct sk_select_home *homes;
    void *memory; /* NULL: all is in here */
    struct sk_wait wait;
    uint32_t few_order[FEW];
};

/* The part that is used only by who waits. */
struct room {
    struct sk_select_slot slots[FEW];
    struct sk_select_home homes[FEW];
};

/* ---- looking ---- */

/* Not inlined: a thread-local's address must not live across a switch. Plain threads only. */
static __attribute__((noinline)) uint32_t random_in_thread(void)
{
    static _Thread_local struct sk_rand rand;
    if (rand.state == 0)
        sk_rand_seed(&rand, (uint64_t)(uintptr_t)&rand ^ (uint64_t)sk_clock_now());
    return sk_rand_next(&rand);
}

static uint32_t random_below(uint32_t n)
{
    struct sk_worker *w = sk_current_worker();
    uint32_t random = w != NULL ? sk_rand_next(&w->rand) : random_in_thread();
    return (uint32_t)((uint64_t)random * n >> 32);
}

/* Each case that is ready has the same chance: the order is shuffled as far as it is looked at. */
static void shuffle_at(struct select *s, unsigned i)
{
    unsigned j = i + random_below(s->count - i);
    uint32_t index = s->order[j];
    s->order[j] = s->order[i];
    s->order[i] = index;
}

/* The index of the case that was done, or NONE. */
static int scan(struct select *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (!s->is_ordered)
            shuffle_at(s, i);
        if (sk_select_case_try(&s->cases[s->order[i]]))
            return (int)s->order[i];
    }
    return NONE;
}

/* ---- the locked engine ---- */

static int compare_homes(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct sk_select_home *)a)->chan;
    uintptr_t y = (uintptr_t)((const struct sk_select_home *)b)->chan;
    return x < y ? -1 : x > y;
}

static void sort_homes(struct select *s)
{
    struct sk_select_home *h = s->homes;
    if (s->home_count > FEW) {
        qsort(h, s->home_count, sizeof(*h), compare_homes);
        return;
    }
    for (unsigned i = 1; i < s->home_count; i++)
        for (unsigned j = i; j > 0 && compare_homes(&h[j], &h[j - 1]) < 0; j--) {
            struct sk_select_home moved = h[j];
            h[j] = h[j - 1];
            h[j - 1] = moved;
        }
}

static struct sk_select_home *find_home(struct select *s, struct skua_chan *c)
{
    unsigned low = 0, high = s->home_count;
    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;
        if ((uintptr_t)s->homes[middle].chan <= (uintptr_t)c)
            low = middle;
        else
            high = middle;
    }
    return &s->homes[low];
}

/* Each channel once, by address. */
static void collect_homes(struct select *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->count; i++) {
        struct skua_chan *c = sk_select_case_locked(s->slots[i].which);
        if (c != NULL)
            s->homes[n++] = (struct sk_select_home){.chan = c};
    }
    s->home_count = n;
    if (n == 0)
        return;
    sort_homes(s);
    s->home_count = 1;
    for (unsigned i = 1; i < n; i++)
        if (s->homes[i].chan != s->homes[s->home_count - 1].chan)
            s->homes[s->home_count++] = s->homes[i];
    for (unsigned i = 0; i < s->count; i++) {
        struct skua_chan *c = sk_select_case_locked(s->slots[i].which);
        if (c != NULL)
            s->slots[i].home = find_home(s, c);
    }
}

static void hold_homes(struct select *s)
{
    for (unsigned i = 0; i < s->home_count; i++)
        s->homes[i].word = sk_queue_hold(&s->homes[i].chan->x_lock);
}

static void let_homes_go(struct select *s)
{
    for (unsigned i = 0; i < s->home_count; i++)
        sk_queue_let_go(&s->homes[i].chan->x_lock, s->homes[i].word);
}

static int try_held(struct sk_select_slot *slot, struct sk_chan_transfer *t)
{
    const skua_case *k = slot->which;
    return k->op == SKUA_SEND ? sk_chan_locked_send(k->obj, &slot->home->word, k->val, t)
                              : sk_chan_locked_recv(k->obj, &slot->home->word, k->val, t);
}

static void finish_held(struct sk_select_slot *slot, struct sk_chan_transfer *t)
{
    const skua_case *k = slot->which;
    if (k->op == SKUA_SEND)
        sk_chan_locked_finish_send(k->obj, k->val, t);
    else
        sk_chan_locked_finish_recv(k->obj, k->val, t);
}

/* All are held. The slot whose transfer was begun; NULL: no partner. */
static struct sk_select_slot *find_partner(struct select *s, struct sk_chan_transfer *t)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct sk_select_slot *slot = &s->slots[i];
        int rc = slot->home != NULL ? try_held(slot, t) : -EAGAIN;
        if (rc == -EAGAIN)
            continue;
        slot->which->res = rc;
        return slot;
    }
    return NULL;
}

static void enter_held(struct select *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct sk_select_slot *slot = &s->slots[i];
        if (slot->home == NULL)
            continue;
        sk_chan_locked_enter(slot->which->obj, &slot->home->word, &slot->waiter,
                             slot->which->op == SKUA_SEND);
        slot->entered = true;
    }
}

/* Step 3. The slot that was done, or NULL: entered. */
static struct sk_select_slot *meet_or_enter(struct select *s)
{
    struct sk_chan_transfer t = {.partner = NULL};
    hold_homes(s);
    struct sk_select_slot *done = find_partner(s, &t);
    if (done == NULL)
        enter_held(s);
    let_homes_go(s);
    if (done != NULL) {
        (void)sk_wait_abandon(&s->wait);
        finish_held(done, &t);
    }
    return done;
}

/* ---- waiting ---- */

/* Step 4. 1: all are entered; 0: one is ready; or a negative errno. */
static int enter_rest(struct select *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct sk_select_slot *slot = &s->slots[i];
        if (slot->home != NULL)
            continue;
        int rc = sk_select_case_enter(slot);
        if (rc <= 0)
            return rc;
        slot->entered = true;
    }
    return 1;
}

/* Steps 4 and 5. 0: look; or why the wait has ended. */
static int sleep_once(struct select *s)
{
    int rc = enter_rest(s);
    if (rc <= 0 && sk_wait_abandon(&s->wait))
        return rc;
    int end = sk_wait_park(&s->wait); /* at once if it could not be abandoned */
    return rc < 0 ? rc : end;
}

/* Of descriptors, or of all but those. */
static void leave(struct select *s, bool fds, struct sk_select_slot **claimed)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct sk_select_slot *slot = &s->slots[i];
        if ((slot->poll != NULL) != fds)
            continue;
        if (slot->entered && sk_select_case_leave(slot) && *claimed == NULL)
            *claimed = slot;
        slot->entered = slot->comes_back = false;
    }
}

/* Step 6. The slot for which the wait was claimed; NULL: none of those that tell. */
static struct sk_select_slot *leave_all(struct select *s)
{
    struct sk_select_slot *claimed = NULL;
    leave(s, false, &claimed);
    if (s->polls != NULL)
        leave(s, true, &claimed);
    return claimed;
}

static int index_of(const struct select *s, const struct sk_select_slot *slot)
{
    return (int)(slot->which - s->cases);
}

/* What came of the claim: the index of the case that was done, or NONE. */
static int settle(struct select *s, struct sk_select_slot *claimed)
{
    if (claimed != NULL && claimed->home != NULL) {
        claimed->which->res = sk_chan_outcome(&claimed->waiter);
        return index_of(s, claimed);
    }
    if (claimed != NULL && claimed->poll != NULL && !s->is_ordered) {
        claimed->which->res = claimed->seen;
        return index_of(s, claimed);
    }
    if (claimed != NULL && !s->is_ordered && sk_select_case_try(claimed->which))
        return index_of(s, claimed);
    int done = scan(s);
    if (claimed != NULL && done == NONE)
        claimed->comes_back = true;
    else if (claimed != NULL && done != index_of(s, claimed) && s->is_ordered)
        sk_select_case_pass(claimed);
    return done;
}

/* 0 or -ENOMEM. */
static int fill_slots(struct select *s)
{
    unsigned fds = 0;
    for (unsigned i = 0; i < s->count; i++) {
        skua_case *k = &s->cases[s->order[i]];
        s->slots[i] =
            (struct sk_select_slot){.which = k, .waiter = {.base.wait = &s->wait, .val = k->val}};
        fds += k->op == SKUA_FD;
    }
    collect_homes(s);
    s->polls = NULL;
    if (fds == 0)
        return 0;
    s->polls = sk_mem_zalloc_aligned(alignof(struct sk_driver_poll), fds * sizeof(*s->polls));
    if (s->polls == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < s->count; i++)
        if (s->slots[i].which->op == SKUA_FD)
            s->slots[i].poll = &s->polls[--fds];
    return 0;
}

static int repeat_until_one(struct select *s, skua_time dl)
{
    for (;;) {
        int rc = sk_wait_begin(&s->wait, dl, 0);
        if (rc < 0)
            return rc;
        struct sk_select_slot *done = s->home_count > 0 ? meet_or_enter(s) : NULL;
        if (done != NULL)
            return index_of(s, done);
        rc = sleep_once(s);
        int index = settle(s, leave_all(s));
        if (index != NONE || rc < 0)
            return index != NONE ? index : rc;
    }
}

static int wait_for_one(struct select *s, skua_time dl)
{
    int rc = fill_slots(s);
    if (rc == 0)
        rc = repeat_until_one(s, dl);
    sk_mem_free(s->polls);
    return rc;
}

static __attribute__((noinline)) int wait_with_few(struct select *s, skua_time dl)
{
    struct room room;
    s->slots = room.slots;
    s->homes = room.homes;
    int rc = wait_for_one(s, dl);
    s->slots = NULL;
    s->homes = NULL;
    return rc;
}

/* ---- the call ---- */

/* Memory for n cases, of which the order comes first. */
static bool prepare_many(struct select *s, unsigned n)
{
    const size_t each =
        sizeof(struct sk_select_slot) + sizeof(struct sk_select_home) + sizeof(uint32_t);
    char *memory = sk_mem_alloc(n * each);
    if (memory == NULL)
        return false;
    s->memory = memory;
    s->slots = (struct sk_select_slot *)(void *)memory;
    s->homes = (struct sk_select_home *)(void *)(s->slots + n);
    s->order = (uint32_t *)(void *)(s->homes + n);
    return true;
}

/* 0, or what is wrong with a case. */
static int note_cases(struct select *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int rc = sk_select_case_check(&s->cases[i]);
        if (rc < 0)
            return rc;
        if (s->cases[i].op != SKUA_SKIP)
            s->order[s->count++] = i;
    }
    return 0;
}

static int wait_for_nothing(skua_time dl)
{
    struct sk_wait wait;
    if (dl == SKUA_NEVER)
        return -EDEADLK;
    int rc = sk_wait_begin(&wait, dl, 0);
    return rc < 0 ? rc : sk_wait_park(&wait);
}

/* To ThreadSanitizer: what stands for a case, of which the object, or all descriptors, knows. */
static const void *told_by(const skua_case *k)
{
    return k->op == SKUA_FD ? (const void *)&sk_san_io : k->obj;
}

static __attribute__((noinline)) void tell_begun(const struct select *s)
{
    for (unsigned i = 0; i < s->count; i++)
        sk_san_release(told_by(&s->cases[s->order[i]]));
}

static int select_among(struct select *s, skua_time dl)
{
    if (s->count == 0)
        return wait_for_nothing(dl);
    if (sk_san_orders())
        tell_begun(s);
    int index = scan(s);
    if (index != NONE || dl == SKUA_NOW)
        return index != NONE ? index : -EAGAIN;
    return s->memory == NULL ? wait_with_few(s, dl) : wait_for_one(s, dl);
}

int skua_select(skua_case *v, unsigned n, unsigned flags, skua_time dl)
{
    struct select s;
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0 || (v == NULL && n > 0) || n > INT_MAX || (flags & ~SKUA_SELECT_ORDERED) != 0)
        return -EINVAL;
    s.cases = v;
    s.count = 0;
    s.is_ordered = (flags & SKUA_SELECT_ORDERED) != 0;
    s.memory = NULL;
    s.order = s.few_order;
    if (n > FEW && !prepare_many(&s, n))
        return -ENOMEM;
    sk_sched_spend();
    rc = note_cases(&s, n);
    if (rc == 0)
        rc = select_among(&s, dl);
    if (sk_san_orders() && rc >= 0)
        sk_san_acquire(told_by(&v[rc]));
    sk_mem_free(s.memory);
    return rc;
}
