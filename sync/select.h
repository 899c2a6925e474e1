/* sync/select.h - one case of a select, whatever it waits for.
 * Owns:    struct sk_select_slot.
 * Threads: the selecting coroutine or thread; what it enters touches slot->waiter as sync/queue.h
 *          says. */
#ifndef SK_SYNC_SELECT_H
#define SK_SYNC_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include <skua/chan.h>

#include "runtime/driver.h"
#include "sync/chan.h"

/* A channel of the locked engine that takes part, held by the select while it registers. */
struct sk_select_home {
    struct skua_chan *chan;
    uint64_t word; /* x_lock's value while it is held */
};

struct sk_select_slot {
    struct sk_chan_waiter waiter; /* its place in the queue of what it waits for */
    skua_case *which;
    struct sk_select_home *home; /* NULL: not a channel of the locked engine */
    struct sk_driver_poll *poll; /* NULL: not a descriptor */
    bool entered;
    bool comes_back; /* it was claimed, and found nothing: to the front of the queue */
    int seen;        /* of a descriptor: what came of the poll */
};

/* 0, or -EINVAL, -EDEADLK: such a case cannot be. */
int sk_select_case_check(const skua_case *k);

/* Does the case if that can be done now; false: not. Its res is set. May yield. */
bool sk_select_case_try(skua_case *k);

/* A channel of the locked engine, NULL if the case is about something else. */
struct skua_chan *sk_select_case_locked(const skua_case *k);

/* Not for the locked engine. Puts the slot where it will be woken. 1; 0: it is ready, or about to
 * be, and was not entered; or a negative errno. */
int sk_select_case_enter(struct sk_select_slot *slot);

/* The wait is over: takes an entered slot out. True: the wait was claimed for it, or `seen` says what
 * has happened there. A descriptor's may wait for the kernel, so it comes last. */
bool sk_select_case_leave(struct sk_select_slot *slot);

/* The wait was claimed for this slot, and something else was done: the wake is another's. */
void sk_select_case_pass(struct sk_select_slot *slot);

#endif
