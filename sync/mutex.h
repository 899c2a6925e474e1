/* sync/mutex.h - what a condition variable needs of a mutex. */
#ifndef SK_SYNC_MUTEX_H
#define SK_SYNC_MUTEX_H

#include <stdbool.h>

#include <skua/sync.h>

/* Coroutine or thread. Whether the caller holds it. */
bool sk_mutex_is_mine(skua_mutex *m);
/* Coroutine or thread that held it before. Waits for it, and sees neither cancellation nor
 * deadlines. */
void sk_mutex_lock_again(skua_mutex *m);

#endif
