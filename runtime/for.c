/* runtime/for.c - a parallel loop: halves until the grain, each half a coroutine of one scope. */
#include <errno.h>
#include <stdint.h>

#include <skua/runtime.h>
#include <skua/scope.h>

#include "runtime/base/clock.h"
#include "runtime/current.h"
#include "runtime/wait.h"

enum { PIECES_PER_WORKER = 8 };

struct loop {
    size_t grain;
    int (*fn)(size_t begin, size_t end, void *arg);
    void *arg;
};

struct range {
    const struct loop *loop;
    size_t begin;
    size_t end;
};

static int run_range(void *arg);

/* The right halves become coroutines, the leftmost piece runs here. */
static int split(const struct loop *loop, size_t begin, size_t end, skua_time dl)
{
    skua_scope scope;
    int rc = skua_scope_open(&scope, SKUA_FAIL_FAST, dl);
    if (rc < 0)
        return rc;
    while (rc == 0 && end - begin > loop->grain) {
        size_t middle = begin + (end - begin) / 2;
        struct range right = {.loop = loop, .begin = middle, .end = end};
        rc = skua_spawn_copy(&scope, run_range, &right, sizeof(right));
        end = middle;
    }
    if (rc == 0)
        rc = loop->fn(begin, end, loop->arg);
    if (rc < 0)
        skua_scope_cancel(&scope);
    int closed = skua_scope_close(&scope, SKUA_NEVER);
    /* Pieces that the cancellation reached are not what went wrong. */
    return rc < 0 && (rc != -ECANCELED || closed == 0) ? rc : closed;
}

static int run_range(void *arg)
{
    const struct range *range = arg;
    return split(range->loop, range->begin, range->end, SKUA_NEVER);
}

struct call {
    struct loop loop;
    size_t n;
    skua_time dl;
};

static int run_loop(void *arg)
{
    struct call *call = arg;
    return split(&call->loop, 0, call->n, call->dl);
}

int skua_for(size_t n, size_t grain, int (*fn)(size_t begin, size_t end, void *), void *arg,
             skua_time dl)
{
    struct call call = {.loop = {.grain = grain, .fn = fn, .arg = arg}, .n = n, .dl = dl};
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0 || fn == NULL)
        return -EINVAL;
    if (n == 0)
        return 0;
    if (grain == 0) {
        size_t pieces = (size_t)skua_workers() * PIECES_PER_WORKER;
        call.loop.grain = pieces == 0 || n < pieces ? 1 : n / pieces;
    }
    if (dl == SKUA_NOW)
        call.dl = skua_now(); /* a scope's deadline of 0 would be an error */
    return sk_current_task() != NULL ? run_loop(&call) : skua_call(run_loop, &call, SKUA_NEVER);
}
