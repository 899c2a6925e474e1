#include "runtime/base/lock.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    PAUSES = 100,           /* about two microseconds: a section is a few instructions */
    YIELDS = 16,            /* more threads than cores: the holder is among the next few */
    FIRST_SLEEP_NS = 20000, /* what the holder needs most often, once it runs */
    DOUBLINGS = 3,          /* up to 160 us: a wait then costs 3 % of a core, however long it is */
};

/* The raw call: the library's is a point at which pthread_cancel would end the thread. A signal
 * ends the sleep, and the caller looks again. */
static void sleep_a_while(unsigned doublings)
{
    struct timespec length = {.tv_nsec = (long)FIRST_SLEEP_NS
                                         << (doublings < DOUBLINGS ? doublings : DOUBLINGS)};
    (void)syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &length, NULL);
}

void sk_lock_relax(unsigned tries)
{
    if (tries < PAUSES)
        sk_arch_pause();
    else if (tries < PAUSES + YIELDS)
        sched_yield();
    else
        sleep_a_while(tries - PAUSES - YIELDS);
}

void sk_lock_slow(struct sk_lock *lock)
{
    for (unsigned tries = 0;; tries++) {
        if (sk_load_relaxed(&lock->x_held) == 0 &&
            sk_xchg_acquire(&lock->x_held, 1u) == 0) /* LK2 */
            return;
        sk_lock_relax(tries);
    }
}
