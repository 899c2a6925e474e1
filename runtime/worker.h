/* runtime/worker.h - a worker: one OS thread with its run queues, its timers and its driver.
 * Owns:    struct sk_worker. The fields of the first part are the owner's alone; thieves and wakers
 * use the second. The worker's own context (sp) polls, steals and sleeps; coroutines switch to each
 * other directly while the batch lasts.
 *
 * Two deques: `woken` holds tasks that were readied (completions, timers, wakes) and closers whose
 * batch was spent, `queue` holds what was spawned or has yielded. Woken ones go first, but for
 * every SK_SCHED_QUEUE_TURN-th dispatch: a closer that gives way to the loop must not find itself
 * behind all its own unstarted children, or each of them would be started on a stack of its own
 * (docs/adr/0002). */
#ifndef SK_RUNTIME_WORKER_H
#define SK_RUNTIME_WORKER_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/atomic.h"
#include "runtime/base/rand.h"
#include "runtime/current.h"
#include "runtime/deque.h"
#include "runtime/driver.h"
#include "runtime/inject.h"
#include "runtime/slot.h"
#include "runtime/stack.h"
#include "runtime/task.h"
#include "runtime/timer.h"

/* Written by the owner with plain load and store, read by anybody. */
struct sk_worker_counts {
    _Atomic(uint64_t) x_dispatches;
    _Atomic(uint64_t) x_inline_runs;
    _Atomic(uint64_t) x_spawns;
    _Atomic(uint64_t) x_steals;
    _Atomic(uint64_t) x_parks;
    _Atomic(uint64_t) x_spills;
};

#define sk_count(counter) sk_store_relaxed(&(counter), sk_load_relaxed(&(counter)) + 1)

struct sk_worker {
    /* Owner only. */
    struct skua_task *current; /* NULL in the worker's own context */
    struct skua_task *free_tasks;
    int32_t budget;    /* dispatches left until I/O and timers are served */
    int32_t calls;     /* calls that need not wait left until the clock is looked at */
    uint32_t slot_run; /* tasks taken from the slot in a row */
    uint32_t free_count;
    struct skua_task *left; /* what was switched away from and is to be published; NULL: nothing */
    void (*left_commit)(struct skua_task *task, void *arg); /* NULL: left has yielded */
    void *left_arg;
    void *sp; /* the worker's own context while a coroutine runs */
    struct sk_worker_counts counts;
    struct sk_stack_cache stacks;
    struct sk_rand rand;
    unsigned index;
    bool searching; /* counted as a searcher in idle */
    bool chaos_migrate;
    bool detour; /* chaos_migrate, or a sanitizer is told of switches: they take the long way */
    skua_time served_ns; /* when I/O and timers were last served */
    uint64_t slice_end;  /* the time stamp counter at the end of the slice */
    int32_t batch;       /* the budget that the present batch began with */
    skua_time retry_ns;  /* when tasks that wait for a stack are tried again */
    struct sk_driver *driver;
    unsigned long thread;
    void *thread_low; /* the thread's own stack, for sanitizers */
    size_t thread_bytes;
    void *tsan_fiber;

    /* Any thread. */
    alignas(SK_CACHELINE) struct sk_slot slot;
    struct sk_deque woken;
    struct sk_deque queue;
    struct sk_inject inbox; /* tasks that run on this worker only */
    struct sk_timer_heap timers;
    struct sk_driver_counts io_counts;
    _Atomic(uint64_t) x_blocks; /* counts as those above */
    _Atomic(uint64_t) x_block_waits;
};

static inline bool sk_worker_slice_is_over(const struct sk_worker *w)
{
    return sk_arch_ticks() >= w->slice_end;
}

enum { SK_WORKER_DEQUE_ENTRIES = 4096 };

/* 0 or -ENOMEM. */
int sk_worker_init(struct sk_worker *w, unsigned index);
void sk_worker_free(struct sk_worker *w);
/* The thread's body; returns when the runtime says that all is over. */
void *sk_worker_main(void *worker);
/* Owner only, in the worker's own context. Fires timers, takes in completions, begins a new batch;
 * returns how many came. */
unsigned sk_worker_serve(struct sk_worker *w);

#endif
