/* runtime/task.h - the record of a coroutine: its identity. Its stack is a place that it is given
 * when it first runs. Records are type-stable: until the runtime stops, memory that was a record
 * stays one, so that a waker or a thief that comes late reads an old value and never foreign
 * memory.
 *
 * States (x_state), and who owns the record:
 *   NEW      spawned, not started, no stack: the queue that holds it
 *   RUNNING  started: the worker that runs it, or whoever wins the right to ready it (x_wait,
 *            runtime/wait.h), or the queue that holds it; a closer whose stack is lent stays
 *            RUNNING and nobody may ready it
 *   DONE, CANCELLED  ended: joiners may read result; the record goes back with its last
 *            reference */
#ifndef SK_RUNTIME_TASK_H
#define SK_RUNTIME_TASK_H

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include <skua/task.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/list.h"
#include "runtime/base/lock.h"

struct sk_driver;
struct sk_scope;
struct sk_worker;
struct sk_stack;
struct sk_task_locals;

enum { SK_TASK_NEW, SK_TASK_RUNNING, SK_TASK_DONE, SK_TASK_CANCELLED };

/* x_cancel: why the task's waits end early. Set by any thread, seen by the task when it waits
 * (runtime/cancel.h). */
enum {
    SK_CANCEL_SELF = 1,  /* skua_cancel */
    SK_CANCEL_OUTER = 2, /* the scope it lives in was cancelled */
    SK_CANCEL_OWN = 4,   /* one of the scopes that it has opened was: look which */
    SK_CANCEL_STOP = 8,  /* the runtime stops: pierces every shield */
};

enum {
    SK_TASK_PROXY = 1,      /* stands for a plain thread: never in a run queue, woken by a futex */
    SK_TASK_LINKED = 2,     /* is in its scope's list; written under that scope's lock */
    SK_TASK_COPIED = 4,     /* arg is a heap copy that skua_spawn_copy made */
    SK_TASK_PIN_SET = 8,    /* skua_pin, not the spawner, set affinity */
    SK_TASK_STARVING = 32,  /* there was no stack for it; counted in sk_runtime.x_starving */
    SK_TASK_UNWINDING = 64, /* it frees a generator: its shield stays up */
    SK_TASK_TOLD = 128,     /* ThreadSanitizer was found: it is told of what the end orders */
    SK_TASK_TOUCHED =
        16, /* something on line 2 is to be cleaned when it ends; set by the task itself */
};

enum { SK_TASK_COPY_BYTES = 64, SK_TASK_UNSHIELDED = -1 };

/* What only the proxy of a plain thread has (runtime/wait.h). */
struct sk_proxy {
    struct sk_driver *driver;   /* the thread's own, from its first operation until it ends */
    uint32_t polls;             /* the thread alone: polls of a select that are on that driver */
    _Atomic(uint32_t) x_wakers; /* threads that may wake the driver at this moment */
};

struct skua_task {
    /* Line 1: all that an empty child needs. */
    alignas(SK_CACHELINE) int (*fn)(void *);
    void *arg;
    _Atomic(struct sk_scope *) x_scope; /* the scope it lives in; thieves and closers peek at it */
    void *sp; /* saved context while it does not run; before it starts: bytes of stack it is
                                           promised, 0 for the default */
    union {
        struct skua_task *next; /* owner of the queue or free list that holds it */
        void *op;               /* the I/O operation it is parked on; io/op.c */
    };
    _Atomic(uint64_t) x_wait; /* runtime/wait.h */
    struct sk_scope *scopes;  /* the innermost scope that it has open; owner */
    _Atomic(uint32_t) x_refs; /* 1 for the runtime while it lives, 1 for each handle; of a proxy
                                 SK_PROXY_..., runtime/wait.h */
    _Atomic(uint8_t) x_state;
    uint8_t flags;
    uint16_t affinity; /* 0 any worker, n: worker n - 1 only */

    /* Line 2: what a child that suspends, is named, cancelled or joined needs. */
    struct sk_stack *stack;        /* where it stands while it runs or is suspended */
    struct sk_list link;           /* in x_scope's list while LINKED; under that scope's lock */
    struct sk_task_locals *locals; /* coroutine-locals and name; NULL: none */
    void *spawn_site;              /* return address of the call that spawned it */
    struct sk_list *joiners;       /* waits and callbacks for its end (runtime/join.h) */
    struct sk_lock join_lock;      /* also held by whoever cancels it: it cannot end meanwhile */
    int32_t result;
    uint32_t generation;       /* of the record: part of the task's id */
    _Atomic(uint8_t) x_cancel; /* SK_CANCEL_ bits */
    uint8_t pins;              /* skua_pin count */
    _Atomic(int16_t)
        x_shield; /* SK_TASK_UNSHIELDED, or the depth of open scopes when the shield went up */

    /* Line 3. */
    union {
        unsigned char copy[SK_TASK_COPY_BYTES]; /* skua_spawn_copy's bytes, if they fit */
        struct sk_proxy proxy;
    };
};

static_assert(sizeof(struct skua_task) == 3 * SK_CACHELINE, "a record is three cache lines");

/* A record with one reference, ready to be filled. w: the caller's worker, NULL in a plain thread.
 * NULL: no memory. */
struct skua_task *sk_task_new_slow(struct sk_worker *w);
/* The last reference is gone. */
void sk_task_free(struct sk_worker *w, struct skua_task *task);
/* Unique among all tasks of the process; never 0. */
uint64_t sk_task_id(struct skua_task *task);

/* While one task waits for a stack, spawning says -ENOMEM. */
void sk_task_note_starving(struct skua_task *task, bool starves);

/* Owner only. From NEW to RUNNING, on a stack of its own or on its closer's. */
static inline void sk_task_start(struct skua_task *task, struct sk_stack *stack)
{
    if (sk_unlikely((task->flags & SK_TASK_STARVING) != 0))
        sk_task_note_starving(task, false);
    task->stack = stack;
    sk_store_relaxed(&task->x_state, (uint8_t)SK_TASK_RUNNING);
}

/* Owner only. Gives a new task a stack; false: there is none, and the task waits for one in
 * sk_runtime.starved. */
bool sk_task_place(struct sk_worker *w, struct skua_task *task);
/* Owner only. The task has ended with result, not inline: tells callbacks, joiners and its
 * scope. */
void sk_task_exit(struct sk_worker *w, struct skua_task *task, int result);
/* The part that inline children share: all but leaving the scope. */
void sk_task_finish(struct sk_worker *w, struct skua_task *task, int result);
/* Ends the process: the function of task returned with a scope open. */
noreturn void sk_task_left_scope_open(struct skua_task *task);

/* Gives the worker's free records to the shared list. */
void sk_task_drain(struct sk_worker *w);
/* No worker is left: frees all records, unless somebody still holds one. */
void sk_task_stop(void);
/* In a forked child. */
void sk_task_after_fork(void);
/* The proxy record of this plain thread; NULL: no memory. It goes back when the thread ends. */
struct skua_task *sk_task_proxy(void);
/* Plain thread. Gives the driver of its own back before it ends; it may get another. */
void sk_task_close_driver(void);
/* Calls fn for the proxy of every plain thread that has one. */
void sk_task_each_proxy(void (*fn)(struct skua_task *proxy));

#endif
