/* sync/future.h - what a select needs of a future. */
#ifndef SK_SYNC_FUTURE_H
#define SK_SYNC_FUTURE_H

#include <stdbool.h>

#include <skua/future.h>

struct sk_waiter;

/* The waiter, whose wait has begun; it holds a reference. Queues it; the future is settled by who
 * claims the wait. False: it is settled, and nothing was queued. */
bool sk_future_enter(skua_future *f, struct sk_waiter *waiter);
/* The waiter, after it was queued: claimed or not, nobody touches it from here on. */
void sk_future_leave(skua_future *f, struct sk_waiter *waiter);
/* The future is settled: what skua_future_get returns, without a wait. */
int sk_future_result(const skua_future *f, void *value);

#endif
