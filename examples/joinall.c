/* examples/joinall.c - gevent's first example: spawn two, let each give way once, join both.
 *
 *     $ joinall
 *     Running in foo
 *     Explicit context to bar
 *     Explicit context switch to foo again
 *     Implicit context switch back to bar
 *
 * gevent has one thread, and there the order is certain. Here it is because both coroutines are given
 * to the worker that their parent is pinned to; without that they run side by side. */
#include <stdio.h>

#include <skua/skua.h>

static int foo(void *arg)
{
    (void)arg;
    puts("Running in foo");
    int rc = skua_yield(); /* gevent.sleep(0) */
    puts("Explicit context switch to foo again");
    return rc;
}

static int bar(void *arg)
{
    (void)arg;
    puts("Explicit context to bar");
    int rc = skua_yield();
    puts("Implicit context switch back to bar");
    return rc;
}

/* The handles are for joining; closing the scope alone would wait for both as well. */
static int spawn_and_join(skua_scope *scope)
{
    skua_task_opts opts = SKUA_TASK_OPTS_INIT;
    skua_task *tasks[2] = {NULL, NULL};
    opts.worker = SKUA_ON_WORKER(skua_worker());
    int rc = skua_spawn_opts(scope, foo, NULL, &opts, &tasks[0]);
    if (rc == 0)
        rc = skua_spawn_opts(scope, bar, NULL, &opts, &tasks[1]);
    for (int i = 0; i < 2 && rc == 0; i++)
        rc = skua_join(tasks[i], NULL, SKUA_NEVER);
    for (int i = 0; i < 2; i++)
        skua_task_unref(tasks[i]);
    return rc;
}

static int run(void *arg)
{
    (void)arg;
    skua_scope scope;
    skua_pin();
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    int rc = spawn_and_join(&scope);
    int failure = skua_scope_close(&scope, SKUA_NEVER);
    skua_unpin();
    return failure < 0 ? failure : rc;
}

int main(void)
{
    return skua_run(run, NULL, NULL) < 0;
}
