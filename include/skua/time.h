/* skua/time.h - deadlines, sleeping, timers.
 * A function that may suspend takes an absolute deadline `skua_time dl` as its last argument; one
 * without it never suspends (but skua_yield, skua_sleep and skua_close, whose names say it, and
 * those of skua/gen.h and skua/fiber.h, which do if the body that they run does).
 *   SKUA_NOW     never waits: -EAGAIN where it would have to, also when cancelled.
 *   SKUA_NEVER   waits for ever.
 *   in the past  tries once, then -ETIMEDOUT.
 *   negative, or before the library was loaded: a duration given by mistake, -EINVAL.
 * The deadline of a scope bounds every wait made inside it as well: the earlier of the two counts.
 * What can be done at once is done; then -ECANCELED is looked for; then -ETIMEDOUT. */
#ifndef SKUA_TIME_H
#define SKUA_TIME_H

#include <skua/base.h>

SKUA_EXTERN_C_BEGIN

/* Nanoseconds on CLOCK_MONOTONIC. */
typedef int64_t skua_time;

#define SKUA_NOW   SKUA_CAST(skua_time, 0)
#define SKUA_NEVER INT64_MAX

/* Durations, in nanoseconds. Fractions count: SKUA_S(0.5) is half a second. What is below a nanosecond
 * is cut off. With a constant they are constant expressions. */
#define SKUA_US(n) SKUA_CAST(int64_t, (n) * INT64_C(1000))
#define SKUA_MS(n) SKUA_CAST(int64_t, (n) * INT64_C(1000000))
#define SKUA_S(n)  SKUA_CAST(int64_t, (n) * INT64_C(1000000000))

/** The time.
 * returns   nanoseconds on CLOCK_MONOTONIC, read anew at every call.
 * suspends  never.   from  anywhere, also without a runtime.   source  clock_gettime(2). */
SKUA_API skua_time skua_now(void);

/** The deadline that lies ns from now.
 * ns        nanoseconds, may be negative.
 * returns   skua_now() + ns, saturating at SKUA_NEVER.
 * suspends  never.   from  anywhere, also without a runtime. */
SKUA_API skua_time skua_in(int64_t ns);

/** Sleeps for ns.
 * ns        nanoseconds; 0 or less is a skua_yield.
 * returns   0 after ns; -ETIMEDOUT when the scope's deadline came first; -ECANCELED.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_sleep(int64_t ns);

/** Sleeps until when.
 * when      absolute CLOCK_MONOTONIC ns; any time in the past, negative ones too, is a skua_yield.
 * returns   0 at when; -ETIMEDOUT when the scope's deadline came first; -ECANCELED.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_sleep_until(skua_time when);

/* Caller-allocated. It must stay where it is from the start until skua_timer_stop has returned 1 or
 * fn was called. */
typedef struct skua_timer {
    uint64_t opaque[8];
} skua_timer;

/** Has a worker call fn(arg) at when.
 * t         caller-owned, not started already; the runtime does not touch it once fn was called, so
 *           that fn may free or restart it.
 * when      absolute CLOCK_MONOTONIC ns; a time in the past, negative ones too, is due at once.
 * fn        runs on a worker outside any coroutine and must not wait: a call that would gets
 *           -EPERM.
 * returns   0; -EINVAL (fn is NULL); -ESHUTDOWN without a runtime or while it stops.
 * suspends  never.   from  coroutine or plain thread. */
SKUA_API int skua_timer_start(skua_timer *t, skua_time when, void (*fn)(void *), void *arg);

/** Stops a timer.
 * t         was given to skua_timer_start.
 * returns   1: fn will not run, also because the runtime has ended before its time came; 0: it has run
 *           or is running.
 * suspends  never.   from  coroutine or plain thread, and from a timer's fn. */
SKUA_API int skua_timer_stop(skua_timer *t);

typedef struct skua_chan skua_chan; /* <skua/chan.h> */

/** Makes a channel on which the time comes every period_ns.
 * out       a channel of skua_time with capacity 1: the times at which ticks were due. A tick that
 *           finds the last one not received yet is dropped, and so is one that is late by a period.
 *           It ends when the channel is closed, or its last reference is given back; the end of the
 *           runtime closes it.
 * period_ns nanoseconds, 1 or more; the first tick comes after one period.
 * returns   0; -EINVAL; -ENOMEM; -ESHUTDOWN without a runtime or while it stops; -ECANCELED (the root
 *           scope is cancelled).
 * suspends  never.   from  coroutine or plain thread. */
SKUA_API int skua_ticker(skua_chan **out, int64_t period_ns);

SKUA_EXTERN_C_END

#endif
