/* examples/hello_twice.c - two tasks say hello, sleep for a second and say it again. They sleep at the
 * same time, on whatever workers, and go on on whatever workers.
 *
 *     $ hello_twice
 *     Hello world! (worker 0)
 *     Hello world! (worker 1)
 *     Hello again! (worker 1)
 *     Hello again! (worker 0)
 *     both took 1.0 s */
#include <stdio.h>

#include <skua/skua.h>

static int hello(void *arg)
{
    (void)arg;
    printf("Hello world! (worker %u)\n", skua_worker());
    int rc = skua_sleep(SKUA_S(1)); /* the worker does other things meanwhile */
    if (rc < 0)
        return rc; /* cancelled: Ctrl-C */
    printf("Hello again! (worker %u)\n", skua_worker());
    return 0;
}

static int run(void *arg)
{
    (void)arg;
    skua_time start = skua_now();
    skua_scope scope;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    int rc = skua_spawn(&scope, hello, NULL);
    if (rc == 0)
        rc = skua_spawn(&scope, hello, NULL);
    int failure = skua_scope_close(&scope, SKUA_NEVER); /* asyncio.gather(hello(), hello()) */
    if (failure < 0)
        rc = failure;
    if (rc == 0)
        printf("both took %.1f s\n", (double)(skua_now() - start) / 1e9);
    return rc;
}

int main(void)
{
    return skua_run(run, NULL, NULL) < 0;
}
