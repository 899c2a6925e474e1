/* runtime/block.h - the threads behind skua_block, which run what blocks.
 * Owns:    the pool: its threads, the calls that wait for one. */
#ifndef SK_RUNTIME_BLOCK_H
#define SK_RUNTIME_BLOCK_H

#include <stdbool.h>

/* Before the workers' threads begin. No thread is started but for a call. */
void sk_block_start(void);
/* When no coroutine is left, and before the workers end: a thread of the pool may still have one of
 * them to wake. Returns when all threads of the pool have ended. */
void sk_block_stop(void);
/* Whether the caller is inside a function that skua_block runs for a coroutine. */
bool sk_block_is_inside(void);

#endif
