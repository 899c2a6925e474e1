/* runtime/base/clock.h - the only place that asks what time it is. */
#ifndef SK_RUNTIME_BASE_CLOCK_H
#define SK_RUNTIME_BASE_CLOCK_H

#include <skua/time.h>

/* Nanoseconds on CLOCK_MONOTONIC. Any thread. */
skua_time sk_clock_now(void);

/* When the library was loaded: an absolute time before it is a duration given by mistake. */
skua_time sk_clock_loaded(void);

/* How far the time stamp counter goes on in ns nanoseconds. For thresholds: it is measured against
 * the clock, once. */
uint64_t sk_clock_ticks(int64_t ns);

/* 0, or -EINVAL for a deadline that is a duration given by mistake. It comes before anything is
 * tried: callers check first. */
int sk_clock_check_deadline(skua_time dl);

#endif
