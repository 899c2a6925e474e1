/* runtime/scope.h - a scope: who opened it, how many live in it, how it ends.
 * Owns:    struct sk_scope, which lies in the caller's skua_scope.
 *
 * The count is in two parts, so that a spawn by the opener costs no atomic operation. `own` counts
 * what the opener has spawned, less what it ran inline; only the opener touches it. x_word starts
 * at SK_SCOPE_BIAS; spawns by tasks inside add one, every child that ends elsewhere takes one away.
 * live = own + x_word - BIAS. To wait, the closer adds own - BIAS + CLOSER_WAITING: from then on
 * the word alone counts, and who takes it to 0 | CLOSER_WAITING wakes the closer.
 *   open     word = BIAS, own = 0
 *   wait     word += own - BIAS + WAITING       result 0 | WAITING: nobody is left, no wait
 *   last     word: 1 | WAITING -> 0 | WAITING   that child wakes the closer, after x_last
 *   give up  word: n | WAITING -> n + BIAS      closer at its deadline, by CAS; if it finds
 *                                               0 | WAITING it takes the wake
 * Order: SC1 acq_rel subtraction at a child's end -> SC2 acquire of the word, or of the wait, by
 *        the closer: all that the child did is visible. SC3 release store of x_last -> SC4 acquire
 *        by the closer: the last child's last access.
 * A child stores its failure before SC1. */
#ifndef SK_RUNTIME_SCOPE_H
#define SK_RUNTIME_SCOPE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include <skua/scope.h>

#include "runtime/base/atomic.h"
#include "runtime/base/list.h"
#include "runtime/base/lock.h"

struct skua_task;
struct sk_worker;

#define SK_SCOPE_BIAS    (UINT64_C(1) << 40)
#define SK_SCOPE_WAITING (UINT64_C(1) << 62)

/* x_flags: each is set once, by RMW. */
enum {
    SK_SCOPE_CANCELLED = 1,
    SK_SCOPE_STOPPED = 2,     /* cancelled by stop, which pierces shields; CANCELLED too */
    SK_SCOPE_LINKED = 4,      /* is in its parent's list; from then on its own lists are valid */
    SK_SCOPE_SUCCEEDED = 8,   /* SKUA_RACE: one child did */
    SK_SCOPE_UNFINISHED = 16, /* was cancelled before a child had succeeded */
};

struct sk_scope {
    struct skua_task *opener; /* NULL: the root */
    struct sk_scope *outer;   /* the opener's next outer one; NULL: its outermost */
    skua_time deadline;       /* the earliest of its own and those outside that it can see */
    int64_t own;
    _Atomic(uint64_t) x_word;
    _Atomic(uint64_t) x_ticket; /* of the closer's wait */
    _Atomic(int32_t) x_failure; /* the first by time; 0: none */
    uint8_t mode;               /* SKUA_FAIL_FAST, SKUA_COLLECT, SKUA_RACE */
    bool barrier;               /* opened inside a shield: nothing from outside reaches it */
    int16_t depth;              /* 1: the opener's outermost */
    _Atomic(uint32_t) x_flags; /* CANCELLED, STOPPED and LINKED change under the lock named there */
    struct sk_lock lock;       /* of the two lists, and for setting CANCELLED */
    _Atomic(bool) x_last;      /* the last child has nothing more to do with the scope */
    struct skua_task *closer;  /* who waits: the opener, or for the root a plain thread */
    struct sk_list link;       /* in the parent's `scopes`; under the parent's lock */
    struct sk_list tasks;      /* linked children */
    struct sk_list scopes;     /* linked scopes inside */
};

static_assert(sizeof(struct sk_scope) <= sizeof(skua_scope), "skua_scope holds it");

static inline bool sk_scope_is_cancelled(const struct sk_scope *s)
{
    return (sk_load_seq_cst(&s->x_flags) & SK_SCOPE_CANCELLED) != 0;
}

static inline struct sk_scope *sk_scope_of(skua_scope *s)
{
    return (struct sk_scope *)(void *)s;
}

/* Coroutine only. skua_scope_open without a deadline, and as if inside a shield: neither cancellation
 * nor deadlines from outside reach into it; the opener's own waits go on to see both. */
int sk_scope_open_apart(skua_scope *scope, unsigned flags);
/* The root scope is opened by nobody. */
void sk_scope_init_root(struct sk_scope *s);
/* Any thread. Whether scope is the root, or one that the caller has opened or lives in: its cancellation
 * and its deadline reach the caller. Only the address is looked at: it may be no scope at all. */
bool sk_scope_is_around(skua_scope *scope);
/* The scope around s; NULL: s is the root. */
struct sk_scope *sk_scope_parent(const struct sk_scope *s);
/* A child of s is ending with result, which nobody has seen yet: so failures stand in their order by
 * time. cancelled: by its own skua_cancel, which makes it no failure of its scope's. */
void sk_scope_note_result(struct sk_scope *s, int result, bool cancelled);
/* A child of s, not inline, has ended. The last access to s, unless it is the one that wakes the
 * closer, who then waits for x_last. */
void sk_scope_leave(struct sk_scope *s);
/* Waits until nobody is left, as the closer with ticket. For stop: from a plain thread. 0 or
 * -ETIMEDOUT. */
int sk_scope_drain(struct sk_scope *s, skua_time dl);

#endif
