/* tests/model/world.h - the scheduler under the real files of a model: each model thread is a
 * coroutine on a worker of its own, a plain thread, or a worker's own context. A coroutine that
 * parks sleeps in the explorer until it is readied; the commit runs before, as on the stack that is
 * switched to. What the real files need and no model uses fails by its name. */
#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H

#include "runtime/runtime.h"
#include "runtime/scope.h"
#include "runtime/task.h"
#include "runtime/worker.h"
#include "tests/model/explore.h"

enum world_kind { WORLD_COROUTINE, WORLD_PLAIN, WORLD_LOOP };

struct world {
    enum world_kind kinds[MODEL_THREADS_MAX];
    struct skua_task tasks[MODEL_THREADS_MAX]; /* coroutines, or the proxies of plain threads */
    struct sk_worker workers[MODEL_THREADS_MAX];
    struct sk_timer_entry timers[MODEL_THREADS_MAX][4];
    skua_time now;
};

extern struct world world;

/* In setup: all threads are coroutines, linked in the root scope. */
void world_begin(void);
/* In setup, after world_begin. */
void world_set(unsigned thread, enum world_kind kind);

/* In setup, after the others: there is one worker, thread 0's, and the rest are plain threads. */
void world_alone(void);

/* A deadline that comes at some moment, if anything looks at the clock or fires timers. */
enum { WORLD_NOW = 1000, WORLD_SOON = 2000 };

#endif
