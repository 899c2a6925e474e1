/* examples/ten_sleeps.c - ten coroutines sleep for a second each; together that is one second.
 *
 *     $ ten_sleeps
 *     ten sleeps of one second took 1.0 s */
#include <stdio.h>

#include <skua/skua.h>

static int nap(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_S(1));
}

static int run(void *arg)
{
    (void)arg;
    skua_time start = skua_now();
    skua_scope scope;
    int rc = 0;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    for (int i = 0; i < 10 && rc == 0; i++)
        rc = skua_spawn(&scope, nap, NULL);
    int failure = skua_scope_close(&scope, SKUA_NEVER);
    if (failure < 0)
        rc = failure;
    if (rc == 0)
        printf("ten sleeps of one second took %.1f s\n", (double)(skua_now() - start) / 1e9);
    return rc;
}

int main(void)
{
    return skua_run(run, NULL, NULL) < 0;
}
