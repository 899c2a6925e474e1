/* examples/executor.c - calls that block, side by side, as with asyncio's run_in_executor: five that
 * sleep for a second take one second together, and hold no worker meanwhile.
 *
 *     $ executor
 *     0 squared is 0
 *     ...                              up to 4
 *     5 calls of 1 s took 1.0 s; a coroutine ticked 99 times meanwhile
 *     $ SKUA_BLOCK_THREADS=2 executor  in two threads they take three seconds */
#include <stdio.h>
#include <unistd.h>

#include <skua/skua.h>

enum { CALLS = 5 };

struct call {
    int n, square;
};

/* In a thread of skua_block, where anything may block: a library that knows nothing of coroutines. */
static int square_slowly(void *arg)
{
    const struct call *c = arg;
    sleep(1);
    return c->n * c->n;
}

static int call(void *arg)
{
    struct call *c = arg;
    c->square = skua_block(square_slowly, c, SKUA_NEVER);
    return c->square < 0 ? c->square : 0;
}

static int tick(void *arg)
{
    int *ticks = arg;
    while (skua_sleep(SKUA_MS(10)) == 0)
        ++*ticks;
    return -ECANCELED;
}

static int run(void *arg)
{
    struct call calls[CALLS];
    int ticks = 0;
    skua_scope ticker, scope;
    skua_time begin = skua_now();
    (void)arg;
    skua_scope_open(&ticker, SKUA_COLLECT, SKUA_NEVER);
    int rc = skua_spawn(&ticker, tick, &ticks);
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    for (int i = 0; i < CALLS && rc == 0; i++) {
        calls[i].n = i;
        rc = skua_spawn(&scope, call, &calls[i]);
    }
    int failure = skua_scope_close(&scope, SKUA_NEVER); /* when all five are back */
    rc = failure < 0 ? failure : rc;
    double seconds = (double)(skua_now() - begin) / 1e9;
    skua_scope_cancel(&ticker);
    skua_scope_close(&ticker, SKUA_NEVER);
    for (int i = 0; i < CALLS && rc == 0; i++)
        printf("%d squared is %d\n", calls[i].n, calls[i].square);
    if (rc == 0)
        printf("%d calls of 1 s took %.1f s; a coroutine ticked %d times meanwhile\n", CALLS,
               seconds, ticks);
    return rc;
}

int main(void)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.block_threads = CALLS; /* by default four for each CPU */
    int rc = skua_run(run, NULL, &config);
    if (rc < 0)
        fprintf(stderr, "executor: %s\n", skua_strerror(rc));
    return rc < 0;
}
