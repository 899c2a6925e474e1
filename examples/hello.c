/* examples/hello.c - three coroutines say hello, and main waits for them.
 *
 *     $ hello
 *     hello from a (worker 0)
 *     ...
 *     everybody has said hello */
#include <stdio.h>

#include <skua/skua.h>

/* A coroutine is a plain function. Where it waits, others run. */
static int greet(void *arg)
{
    const char *name = arg;
    for (int round = 0; round < 2; round++) {
        printf("hello from %s (worker %u)\n", name, skua_worker());
        int rc = skua_sleep(SKUA_MS(10));
        if (rc < 0)
            return rc; /* cancelled: Ctrl-C */
    }
    return 0;
}

/* What a scope has started has ended when the scope is closed: nothing outlives its scope. */
static int run(void *arg)
{
    (void)arg;
    static char *names[] = {"a", "b", "c"};
    skua_scope scope;
    int rc = skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    if (rc < 0)
        return rc;
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = skua_spawn(&scope, greet, names[i]);
    int failure = skua_scope_close(&scope, SKUA_NEVER);
    if (rc == 0)
        rc = failure;
    if (rc == 0)
        puts("everybody has said hello");
    return rc;
}

int main(void)
{
    return skua_run(run, NULL, NULL) < 0;
}
