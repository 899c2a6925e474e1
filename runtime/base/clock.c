#include "runtime/base/clock.h"

#include <errno.h>
#include <time.h>

static skua_time loaded_ns;

skua_time sk_clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (skua_time)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

__attribute__((constructor)) static void note_load_time(void)
{
    loaded_ns = sk_clock_now();
}

skua_time sk_clock_loaded(void)
{
    return loaded_ns;
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
