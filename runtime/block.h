/* runtime/block.h - the threads that run what blocks: skua_block's functions, and calls of the runtime's
 * own that must not hold a worker.
 * Owns:    the pools: their threads, the calls that wait for one. */
#ifndef SK_RUNTIME_BLOCK_H
#define SK_RUNTIME_BLOCK_H

#include <stdbool.h>

#include "runtime/base/list.h"

struct sk_wait;

/* Each has threads of its own, at most SKUA_BLOCK_THREADS (closings: at least 256), so that none waits
 * for what another waits for. */
enum sk_block_pool {
    SK_BLOCK_CALLS,  /* skua_block's */
    SK_BLOCK_FILES,  /* reading, writing and closing files */
    SK_BLOCK_CLOSES, /* close(2) that may wait for a peer, or for what is not known */
    SK_BLOCK_POOLS
};

/* Calls that share one run one after the other, first come, first served. All zero is ready for use;
 * under the lock of their pool. */
struct sk_block_turns {
    struct sk_list waiting;
    bool busy;
};

struct sk_block_call {
    enum sk_block_pool pool;
    struct sk_block_turns *turns; /* or NULL */
    int (*fn)(void *);
    void *arg;
};

/* Coroutine only, whose wait has begun; it ends here. Has a thread run fn(arg) and waits for it. What fn
 * returned, with *called; or why it was not called: what ended the wait before it began (as
 * sk_wait_park says it), or -ENOMEM: no thread is to be had. Once fn has begun it is waited for,
 * whatever ends the wait. */
int sk_block_wait(struct sk_wait *wait, const struct sk_block_call *call, bool *called);

/* Any thread. What fn(arg) returns: a coroutine has a thread of the pool call it, and waits, unseen by
 * cancellation; all others, and a coroutine where no thread is to be had, call it themselves. */
int sk_block_run(enum sk_block_pool which, int (*fn)(void *), void *arg);

/* Worker only, not in a coroutine. Has a thread run fn(arg), and does not wait; the runtime's stop
 * does. Where no thread is to be had, the caller may run it. False: no memory, and nothing was done. */
bool sk_block_detach(enum sk_block_pool which, int (*fn)(void *), void *arg);

/* Before the workers' threads begin. No thread is started but for a call. */
void sk_block_start(void);
/* When no coroutine is left, and before the workers end: a thread of a pool may still have one of
 * them to wake. And again when the workers have ended: a callback that ran meanwhile may have detached
 * a call. Returns when all threads have ended. */
void sk_block_stop(void);
/* Whether the caller is inside a function that skua_block runs for a coroutine. */
bool sk_block_is_inside(void);

#endif
