#include "runtime/base/clock.h"

#include <errno.h>
#include <time.h>

#include "arch.h"

/* The counter is compared with the clock over at least so long. */
enum { CALIBRATE_NS = 100000 };

static skua_time loaded_ns;
static uint64_t loaded_ticks;

skua_time sk_clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (skua_time)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

__attribute__((constructor)) static void note_load_time(void)
{
    loaded_ns = sk_clock_now();
    loaded_ticks = sk_arch_ticks();
}

skua_time sk_clock_loaded(void)
{
    return loaded_ns;
}

uint64_t sk_clock_ticks(int64_t ns)
{
    int64_t elapsed;
    while ((elapsed = sk_clock_now() - loaded_ns) < CALIBRATE_NS)
        sk_arch_pause();
    double per_ns = (double)(sk_arch_ticks() - loaded_ticks) / (double)elapsed;
    return (uint64_t)((double)ns * per_ns);
}

int sk_clock_check_deadline(skua_time dl)
{
    if (dl == SKUA_NEVER || dl == SKUA_NOW)
        return 0;
    return dl < loaded_ns ? -EINVAL : 0;
}

skua_time skua_now(void)
{
    return sk_clock_now();
}

skua_time skua_in(int64_t ns)
{
    skua_time when;
    if (__builtin_add_overflow(sk_clock_now(), ns, &when))
        return ns > 0 ? SKUA_NEVER : INT64_MIN;
    return when;
}
