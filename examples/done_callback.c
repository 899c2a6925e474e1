/* examples/done_callback.c - five tasks return x * 10; each result comes twice: to a callback when the
 * task ends, and to whoever joins it.
 *
 *     $ done_callback
 *     callback: 10
 *     ...                              in the order in which they end
 *     callbacks got 10 20 30 40 50
 *     join got      10 20 30 40 50 */
#include <stdio.h>

#include <skua/skua.h>

enum { JOBS = 5 };

struct job {
    int x, seen, joined;
    skua_task *task;
};

static int work(void *arg)
{
    const struct job *job = arg;
    int rc = skua_sleep(SKUA_MS(20 * job->x));
    return rc < 0 ? rc : job->x * 10;
}

/* Runs on the worker that ended the task, in no coroutine, so it must not wait. Nor does it: the task
 * has ended. Joins and the scope's close come after it. */
static void done(skua_task *task, void *arg)
{
    struct job *job = arg;
    if (skua_join(task, &job->seen, SKUA_NOW) == 0)
        printf("callback: %d\n", job->seen);
}

static int run_jobs(skua_scope *scope, struct job *jobs)
{
    int rc = 0;
    for (int i = 0; i < JOBS && rc == 0; i++) {
        jobs[i].x = i + 1;
        rc = skua_spawn_opts(scope, work, &jobs[i], NULL, &jobs[i].task);
        if (rc == 0)
            rc = skua_on_done(jobs[i].task, done, &jobs[i]);
    }
    for (int i = 0; i < JOBS && rc == 0; i++)
        rc = skua_join(jobs[i].task, &jobs[i].joined, SKUA_NEVER);
    return rc;
}

static int run(void *arg)
{
    (void)arg;
    struct job jobs[JOBS] = {0};
    skua_scope scope;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    int rc = run_jobs(&scope, jobs);
    int failure = skua_scope_close(&scope, SKUA_NEVER);
    printf("callbacks got");
    for (int i = 0; i < JOBS; i++)
        printf(" %d", jobs[i].seen);
    printf("\njoin got     ");
    for (int i = 0; i < JOBS; i++)
        printf(" %d", jobs[i].joined);
    puts("");
    for (int i = 0; i < JOBS; i++)
        skua_task_unref(jobs[i].task);
    return failure < 0 ? failure : rc;
}

int main(void)
{
    return skua_run(run, NULL, NULL) < 0;
}
