/* skua/debug.h - looking inside. */
#ifndef SKUA_DEBUG_H
#define SKUA_DEBUG_H

#include <skua/base.h>

SKUA_EXTERN_C_BEGIN

/* Counters of one worker since the runtime started. They only grow; each is exact, but they are not
 * read at one instant. */
typedef struct skua_stats_view {
    uint64_t size;        /* sizeof(skua_stats_view), set by SKUA_STATS_VIEW_INIT */
    uint64_t dispatches;  /* coroutines taken up, the inline ones too */
    uint64_t inline_runs; /* children run on the stack of their scope's closer */
    uint64_t spawns;      /* coroutines spawned */
    uint64_t steals;      /* coroutines taken from another worker */
    uint64_t parks;       /* coroutines that began to wait */
    uint64_t wakeups;     /* times that the worker's thread slept and was woken */
    uint64_t enters;      /* io_uring_enter calls */
    uint64_t completions; /* I/O completions */
    uint64_t spills;      /* coroutines sent to the global queue, the own being full */
    uint64_t blocks;      /* calls of skua_block that were handed to its threads */
    uint64_t block_waits; /* those of them that found all threads busy, and no more allowed */
} skua_stats_view;

#ifdef __cplusplus
#define SKUA_STATS_VIEW_INIT { sizeof(skua_stats_view), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
#else
#define SKUA_STATS_VIEW_INIT { .size = sizeof(skua_stats_view) }
#endif

/** Reads a worker's counters.
 * out       caller-owned; its size (0 counts as the whole structure) says how many bytes the caller
 *           knows: no more are written, and size then holds how many were.
 * worker    0 .. skua_workers() - 1.
 * returns   0; -EINVAL (out is NULL, no such worker); -ESHUTDOWN without a runtime.
 * suspends  never.   from  anywhere. */
SKUA_API int skua_stats(skua_stats_view *out, unsigned worker);

/** How much of the caller's stack is in use.
 * returns   bytes from the stack's top to this call; 0 in a plain thread.
 * suspends  never.   from  coroutine. */
SKUA_API size_t skua_stack_used(void);

/** How much of the caller's stack is left before the guard.
 * returns   bytes; at least what is left of the promise; 0 in a plain thread.
 * suspends  never.   from  coroutine. */
SKUA_API size_t skua_stack_left(void);

SKUA_EXTERN_C_END

#endif
