/* skua/scope.h - spawning coroutines into scopes that wait for them.
 * A scope's deadline and its cancellation (by call, SKUA_FAIL_FAST or SKUA_RACE) reach its
 * children, their scopes, and the opener's own waits between open and close. A deadline makes
 * the waits inside return -ETIMEDOUT and cancels nobody. Only the opener and the tasks inside a
 * scope spawn into it, plain threads only into the root scope. A function that returns with a
 * scope open ends the process with a message that names both. */
#ifndef SKUA_SCOPE_H
#define SKUA_SCOPE_H

#include <skua/base.h>
#include <skua/task.h>
#include <skua/time.h>

SKUA_EXTERN_C_BEGIN

/* Caller-allocated; it stays where it is from open to close. */
typedef struct skua_scope {
    uint64_t opaque[16];
} skua_scope;

/* The background: it ends with the runtime, and a failure in it cancels nobody. */
#ifdef __cplusplus
#define SKUA_SCOPE_ROOT SKUA_CAST(skua_scope *, nullptr)
#else
#define SKUA_SCOPE_ROOT SKUA_CAST(skua_scope *, 0)
#endif

enum {
    SKUA_FAIL_FAST = 0, /* the first failure cancels the rest and is what close returns */
    SKUA_COLLECT = 1,   /* a failure cancels nobody; close still returns the first one */
    SKUA_RACE = 2       /* the first to succeed cancels the rest; close then returns 0 */
};

/** Opens a scope inside the caller's innermost one.
 * s         caller-owned; need not be initialised.
 * flags     SKUA_FAIL_FAST, SKUA_COLLECT or SKUA_RACE.
 * deadline  absolute CLOCK_MONOTONIC ns; SKUA_NEVER for none.
 * returns   0; -EINVAL (flags; a deadline of 0, negative, or before the library was loaded); -EPERM
 *           in a plain thread.
 * suspends  never.   from  coroutine only. */
SKUA_API int skua_scope_open(skua_scope *s, unsigned flags, skua_time deadline);

/** Waits until all children have ended, and closes the scope. Neither cancellation nor a scope's
 * deadline ends the wait: they reach the children, which close waits for. With SKUA_NEVER, children
 * that have not started run here, on the caller's stack, each a coroutine of its own in every
 * visible way.
 * s         the caller's innermost open scope.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   the first failure by time (SKUA_RACE: 0 if one succeeded); -ECANCELED if the scope was
 *           cancelled before all had succeeded; else 0. The scope is still open after: -EBUSY (some
 *           still run at dl, for every dl), -EINVAL (not the innermost, or dl), -EPERM (another's),
 *           -EDEADLK (from a child of it).
 * suspends  may.   from  coroutine only. */
SKUA_API int skua_scope_close(skua_scope *s, skua_time dl);

/** Cancels a scope: its children, their scopes, and the opener's waits until close.
 * s         open, or SKUA_SCOPE_ROOT.
 * suspends  never.   from  coroutine or plain thread. */
SKUA_API void skua_scope_cancel(skua_scope *s);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic" /* for SKUA_NODISCARD */

/** Starts fn(arg) as a coroutine in a scope. The compiler warns where the result is ignored.
 * s         a scope that the caller has opened or is inside of, or SKUA_SCOPE_ROOT.
 * fn        0 or positive is success, negative a failure.
 * returns   0; without ever calling fn: -ECANCELED (the scope is cancelled), -ENOMEM (also while no
 *           stack is to be had), -ESHUTDOWN (no runtime, or it is stopping), -EPERM (a plain
 *           thread, and not the root scope), -EINVAL (fn is NULL).
 * suspends  never.   from  coroutine; plain thread for the root scope. */
SKUA_NODISCARD SKUA_API int skua_spawn(skua_scope *s, int (*fn)(void *), void *arg);

/** As skua_spawn, with a copy of what arg points at.
 * arg       len bytes, copied before this returns.
 * len       bytes, at most 4096.
 * fn        gets the address of the copy (aligned for any type), which lives until fn returns.
 * returns   as skua_spawn; -EINVAL also where len is over 4096.
 * suspends  never.   from  coroutine; plain thread for the root scope. */
SKUA_NODISCARD SKUA_API int skua_spawn_copy(skua_scope *s, int (*fn)(void *), const void *arg,
                                            size_t len);

/* Zero means the default in every field. */
typedef struct skua_task_opts {
    size_t size;       /* sizeof(skua_task_opts), set by SKUA_TASK_OPTS_INIT */
    const char *name;  /* as in skua_set_name; NULL for none */
    size_t stack_size; /* bytes promised, up to 32 MiB; 0: the runtime's */
    unsigned worker;   /* 0: any; SKUA_ON_WORKER(i): stays on worker i */
    unsigned flags;    /* none is defined: 0 */
} skua_task_opts;

#ifdef __cplusplus
#define SKUA_TASK_OPTS_INIT { sizeof(skua_task_opts), nullptr, 0, 0, 0 }
#else
#define SKUA_TASK_OPTS_INIT { .size = sizeof(skua_task_opts) }
#endif

/* For skua_task_opts.worker: the worker whose index, as skua_worker() gives it, is i. (The field
 * holds i + 1, because 0 means any worker.) */
#define SKUA_ON_WORKER(i) (SKUA_CAST(unsigned, i) + 1u)

/** As skua_spawn, with options and a handle.
 * o         NULL for all defaults.
 * out       NULL, or written with a reference that the caller gives back by skua_task_unref.
 * returns   as skua_spawn; -EINVAL also for a worker beyond the last or an option out of range.
 * suspends  never.   from  coroutine; plain thread for the root scope. */
SKUA_NODISCARD SKUA_API int skua_spawn_opts(skua_scope *s, int (*fn)(void *), void *arg,
                                            const skua_task_opts *o, skua_task **out);

#pragma GCC diagnostic pop

/** Calls fn(begin, end, arg) for ranges that together are 0 .. n, in parallel, and waits for all of
 * them.
 * n         0 returns 0 at once.
 * grain     the most indices of one range; 0: chosen from n and the number of workers.
 * fn        negative is a failure: the first one cancels the rest and is what is returned.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER: a deadline for the waits inside
 *           fn.
 * returns   0; fn's first failure; -ECANCELED; -EINVAL (fn is NULL, or dl); what skua_spawn gives.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_for(size_t n, size_t grain, int (*fn)(size_t begin, size_t end, void *),
                      void *arg, skua_time dl);

SKUA_EXTERN_C_END

#endif
