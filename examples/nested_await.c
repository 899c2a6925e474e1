/* examples/nested_await.c - asyncio's chain of coroutines. To await one is to call it: each coroutine
 * has a stack, so any function may wait, however deep. To await a task is to join it.
 *
 *     $ nested_await
 *     Compute 1 + 2 ...
 *     1 + 2 = 3
 *     Compute 3 + 4 ...
 *     3 + 4 = 7, from a task */
#include <stdio.h>

#include <skua/skua.h>

struct sum {
    int x, y;
};

/* async def: nothing in its signature but what it returns. A negative result is a failure. */
static int compute(int x, int y)
{
    printf("Compute %d + %d ...\n", x, y);
    int rc = skua_sleep(SKUA_MS(100));
    return rc < 0 ? rc : x + y;
}

static int print_sum(int x, int y)
{
    int sum = compute(x, y); /* await compute(x, y) */
    if (sum >= 0)
        printf("%d + %d = %d\n", x, y, sum);
    return sum;
}

static int compute_task(void *arg)
{
    const struct sum *sum = arg;
    return compute(sum->x, sum->y);
}

/* await asyncio.create_task(compute(x, y)) */
static int print_task(skua_scope *scope, struct sum sum)
{
    skua_task *task;
    int result;
    int rc = skua_spawn_opts(scope, compute_task, &sum, NULL, &task);
    if (rc < 0)
        return rc;
    rc = skua_join(task, &result, SKUA_NEVER);
    if (rc == 0 && result >= 0)
        printf("%d + %d = %d, from a task\n", sum.x, sum.y, result);
    skua_task_unref(task);
    return rc;
}

static int run(void *arg)
{
    (void)arg;
    int rc = print_sum(1, 2);
    if (rc < 0)
        return rc;
    skua_scope scope;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    rc = print_task(&scope, (struct sum){3, 4});
    int failure = skua_scope_close(&scope, SKUA_NEVER);
    return failure < 0 ? failure : rc;
}

int main(void)
{
    return skua_run(run, NULL, NULL) < 0;
}
