/* skua_spawn_yield [ROUNDS] - rounds of 1000 coroutines that suspend once, spawned, then waited
 * for; an operation is one coroutine, spawned, run and joined. */
#include <skua/skua.h>

#include "report.h"

enum { OUTSTANDING = 1000 };

static uint64_t rounds;

static int child(void *arg)
{
    (void)arg;
    return skua_yield();
}

static int spawn_round(void)
{
    skua_scope scope;
    int rc = skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    if (rc < 0)
        return rc;
    for (int i = 0; i < OUTSTANDING && rc == 0; i++)
        rc = skua_spawn(&scope, child, NULL);
    int closed = skua_scope_close(&scope, SKUA_NEVER);
    return rc < 0 ? rc : closed;
}

static int measure(void *arg)
{
    (void)arg;
    int64_t begin = report_now_ns();
    for (uint64_t i = 0; i < rounds; i++) {
        int rc = spawn_round();
        if (rc < 0)
            return rc;
    }
    report_ns("skua", "spawn_yield", skua_workers(), report_now_ns() - begin, rounds * OUTSTANDING);
    return 0;
}

int main(int argc, char **argv)
{
    rounds = report_arg(argc, argv, 1, 10000);
    return skua_run(measure, NULL, NULL) < 0;
}
