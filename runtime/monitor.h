/* runtime/monitor.h - the thread that sees to work which a busy worker leaves behind while another
 * sleeps. A push to an empty queue wakes nobody: who pushed will most likely reach it sooner than a
 * sleeper would. The exception, a coroutine that runs on and on, is found here: what stands at the
 * head of a queue, or in the slot, for two ticks becomes stealable, and one worker is woken. So no
 * READY task waits longer than 3 ms while a worker sleeps. Under SKUA_CHAOS=migrate it looks at the
 * inboxes too: what chaos has put there, and the worker does not take for ten ticks, goes to all.
 *   DISARMED --arm (a pusher that saw a sleeper)--> ARMED: ticks every millisecond
 *   ARMED --QUIET_TICKS ticks without work left behind--> DISARMED: sleeps until armed again
 * With one worker there is no monitor. When idle it sleeps: no wakeups. */
#ifndef SK_RUNTIME_MONITOR_H
#define SK_RUNTIME_MONITOR_H

#include <stdint.h>

#include "runtime/base/atomic.h"

extern _Atomic(uint32_t) sk_monitor_armed;

/* 0 or a negative errno. */
int sk_monitor_start(void);
void sk_monitor_stop(void);
void sk_monitor_arm_slow(void);

/* Any thread that has left READY work behind while a worker sleeps. */
static inline void sk_monitor_arm(void)
{
    if (sk_load_relaxed(&sk_monitor_armed) == 0)
        sk_monitor_arm_slow();
}

#endif
