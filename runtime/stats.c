/* runtime/stats.c - what a worker has counted, and how full the caller's stack is. */
#include <errno.h>
#include <string.h>

#include <skua/debug.h>

#include "arch.h"
#include "runtime/base/atomic.h"
#include "runtime/runtime.h"
#include "runtime/stack.h"
#include "runtime/task.h"
#include "runtime/worker.h"

static skua_stats_view read_counts(const struct sk_worker *w)
{
    return (skua_stats_view){
        .size = sizeof(skua_stats_view),
        .dispatches = sk_load_relaxed(&w->counts.x_dispatches),
        .inline_runs = sk_load_relaxed(&w->counts.x_inline_runs),
        .spawns = sk_load_relaxed(&w->counts.x_spawns),
        .steals = sk_load_relaxed(&w->counts.x_steals),
        .parks = sk_load_relaxed(&w->counts.x_parks),
        .wakeups = sk_load_relaxed(&w->io_counts.x_sleeps),
        .enters = sk_load_relaxed(&w->io_counts.x_enters),
        .completions = sk_load_relaxed(&w->io_counts.x_completions),
        .spills = sk_load_relaxed(&w->counts.x_spills),
        .blocks = sk_load_relaxed(&w->x_blocks),
        .block_waits = sk_load_relaxed(&w->x_block_waits),
    };
}

int skua_stats(skua_stats_view *out, unsigned worker)
{
    if (out == NULL)
        return -EINVAL;
    skua_stats_view view;
    int rc = sk_runtime_enter();
    if (rc < 0)
        return rc;
    if (worker < sk_runtime.worker_count)
        view = read_counts(&sk_runtime.workers[worker]);
    else
        rc = -EINVAL;
    sk_runtime_leave();
    if (rc < 0)
        return rc;
    size_t size = out->size == 0 || out->size > sizeof(view) ? sizeof(view) : (size_t)out->size;
    view.size = size;
    memcpy(out, &view, size);
    return 0;
}

static const struct sk_stack *own_stack(void)
{
    struct sk_worker *w = sk_current_worker();
    return w != NULL && w->current != NULL ? w->current->stack : NULL;
}

size_t skua_stack_used(void)
{
    const struct sk_stack *stack = own_stack();
    return stack != NULL ? (uintptr_t)stack->top - sk_arch_sp() : 0;
}

size_t skua_stack_left(void)
{
    const struct sk_stack *stack = own_stack();
    return stack != NULL ? sk_arch_sp() - (uintptr_t)stack->low : 0;
}
