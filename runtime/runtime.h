/* runtime/runtime.h - the one runtime of the process: its state, its workers, its root scope.
 * Owns:    sk_runtime. Everything in it but x_state and what says so is written only while x_state
 * is not RUNNING. */
#ifndef SK_RUNTIME_RUNTIME_H
#define SK_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/atomic.h"
#include "runtime/base/env.h"
#include "runtime/base/lock.h"
#include "runtime/inject.h"
#include "runtime/scope.h"

struct sk_worker;

/*   NONE -> STARTING -> RUNNING -> STOPPING -> ENDING -> NONE; STOPPING -> RUNNING when something
 * does not end.
 *   STOPPING: coroutines still run. ENDING: none is left, the workers are being taken down.
 *   DEAD: in a forked child, for ever. */
enum {
    SK_RUNTIME_NONE,
    SK_RUNTIME_STARTING,
    SK_RUNTIME_RUNNING,
    SK_RUNTIME_STOPPING,
    SK_RUNTIME_ENDING,
    SK_RUNTIME_DEAD
};

struct sk_runtime {
    _Atomic(uint32_t) x_state;
    _Atomic(uint32_t)
        x_users; /* plain threads inside sk_current_acquire, sk_runtime_hold or _enter */
    _Atomic(uint32_t)
        x_quit; /* futex; 1: the workers leave their loops, 2: and close their drivers */
    _Atomic(uint32_t) x_running;  /* futex: workers that have not left their loops */
    _Atomic(uint32_t) x_starting; /* futex: workers that have not said whether they could start */
    _Atomic(int32_t) x_start_failure;
    _Atomic(uint32_t) x_next; /* round robin for plain threads */
    unsigned worker_count;
    struct sk_worker *workers;
    struct sk_settings settings;
    uint64_t slice_ticks; /* settings.slice_ns by the time stamp counter */
    struct sk_scope root;
    struct sk_inject inject;      /* the global queue */
    struct sk_inject starved;     /* READY, but there was no stack for them */
    _Atomic(uint32_t) x_starving; /* how many tasks have found none and still wait for one */
};

/* In x_starving: ThreadSanitizer is told of each spawn, which therefore takes the long way. */
#define SK_RUNTIME_SPAWNS_TOLD 0x80000000u

extern struct sk_runtime sk_runtime;

/* Any thread. Like sk_current_acquire, also while the runtime stops: until sk_current_release it is
 * not taken down. */
bool sk_runtime_hold(void);
/* Any thread. 0: the runtime runs (for a worker's coroutine also: stops), and is not taken down before
 * sk_runtime_leave, between which nothing suspends: its workers, settings and root scope may be used.
 * -ESHUTDOWN or -EOWNERDEAD: leave is not called. */
int sk_runtime_enter(void);
void sk_runtime_leave(void);
/* A worker that has left its loop. Returns when all have and nobody wakes a worker any more. */
void sk_runtime_await_all_left(void);
/* 0; -ESHUTDOWN without a runtime or while it stops, -EOWNERDEAD in a forked child. */
int sk_runtime_check(void);
/* May a plain thread wait now? 0 also without a runtime; -ESHUTDOWN while it stops, -EOWNERDEAD. */
int sk_runtime_check_wait(void);

#endif
