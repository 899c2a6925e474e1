/* skua_mutex [N] - one coroutine locks and unlocks a mutex that nobody else wants; an operation is
 * both. */
#include <skua/skua.h>

#include "report.h"

static int lock_and_unlock(uint64_t rounds)
{
    skua_mutex m = SKUA_MUTEX_INIT;
    for (uint64_t i = 0; i < rounds; i++) {
        int rc = skua_mutex_lock(&m, SKUA_NEVER);
        if (rc < 0)
            return rc;
        skua_mutex_unlock(&m);
    }
    return 0;
}

static int measure(void *arg)
{
    uint64_t rounds = *(const uint64_t *)arg;
    int rc = lock_and_unlock(rounds / 10); /* a warm-up */
    int64_t begin = report_now_ns();
    if (rc == 0)
        rc = lock_and_unlock(rounds);
    if (rc == 0)
        report_ns("skua", "mutex", skua_workers(), report_now_ns() - begin, rounds);
    return rc;
}

int main(int argc, char **argv)
{
    uint64_t rounds = report_arg(argc, argv, 1, 100000000);
    return skua_run(measure, &rounds, NULL) < 0;
}
