/* runtime/stats.c - what a worker has counted, and how full the caller's stack is. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <skua/debug.h>

#include "arch.h"
#include "runtime/base/atomic.h"
#include "runtime/runtime.h"
#include "runtime/stack.h"
#include "runtime/task.h"
#include "runtime/worker.h"

int skua_stats(skua_stats_view *out, unsigned worker)
{
    int rc = out == NULL ? -EINVAL : sk_runtime_check();
    if (rc < 0 && !(rc == -ESHUTDOWN && sk_current_worker() != NULL))
        return rc;
    if (worker >= sk_runtime.worker_count)
        return -EINVAL;
    struct sk_worker *w = &sk_runtime.workers[worker];
    skua_stats_view view = {
        .size = sizeof(view),
        .dispatches = sk_load_relaxed(&w->counts.x_dispatches),
        .inline_runs = sk_load_relaxed(&w->counts.x_inline_runs),
        .spawns = sk_load_relaxed(&w->counts.x_spawns),
        .steals = sk_load_relaxed(&w->counts.x_steals),
        .parks = sk_load_relaxed(&w->counts.x_parks),
        .wakeups = sk_load_relaxed(&w->io_counts.x_sleeps),
        .enters = sk_load_relaxed(&w->io_counts.x_enters),
        .completions = sk_load_relaxed(&w->io_counts.x_completions),
        .spills = sk_load_relaxed(&w->counts.x_spills),
    };
    size_t size = out->size == 0 || out->size > sizeof(view) ? sizeof(view) : (size_t)out->size;
    memcpy(out, &view, size);
    return 0;
}

/* The bounds of the caller's stack, a coroutine's or a thread's. */
static void find_bounds(uintptr_t *low, uintptr_t *top)
{
    struct sk_worker *w = sk_current_worker();
    if (w != NULL && w->current != NULL) {
        *low = (uintptr_t)w->current->stack->low;
        *top = (uintptr_t)w->current->stack->top;
        return;
    }
    pthread_attr_t attr;
    void *start = NULL;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &start, &bytes);
        pthread_attr_destroy(&attr);
    }
    *low = (uintptr_t)start;
    *top = (uintptr_t)start + bytes;
}

size_t skua_stack_used(void)
{
    uintptr_t low, top;
    find_bounds(&low, &top);
    return top - sk_arch_sp();
}

size_t skua_stack_left(void)
{
    uintptr_t low, top;
    find_bounds(&low, &top);
    return sk_arch_sp() - low;
}
