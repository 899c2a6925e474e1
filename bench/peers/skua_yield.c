/* skua_yield [N] - two coroutines yield to each other N times each; an operation is one yield. */
#include <skua/skua.h>

#include "report.h"

static uint64_t rounds;

static int yielder(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < rounds; i++)
        skua_yield();
    return 0;
}

static int measure(void *arg)
{
    (void)arg;
    skua_scope scope;
    int64_t begin = report_now_ns();
    int rc = skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    if (rc < 0)
        return rc;
    report_must(skua_spawn(&scope, yielder, NULL));
    report_must(skua_spawn(&scope, yielder, NULL));
    rc = skua_scope_close(&scope, SKUA_NEVER);
    if (rc == 0)
        report_ns("skua", "yield", skua_workers(), report_now_ns() - begin, 2 * rounds);
    return rc;
}

int main(int argc, char **argv)
{
    rounds = report_arg(argc, argv, 1, 20000000);
    return skua_run(measure, NULL, NULL) < 0;
}
