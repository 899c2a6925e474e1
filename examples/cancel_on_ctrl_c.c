/* examples/cancel_on_ctrl_c.c - a hundred coroutines sleep for an hour; Ctrl-C cancels every one, and
 * the program ends when they have ended, with the exit code that shells give to Ctrl-C.
 *
 *     $ cancel_on_ctrl_c
 *     100 sleep; press Ctrl-C
 *     ^C
 *     100 of 100 were cancelled
 *     $ echo $?
 *     130 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include <skua/skua.h>

enum { SLEEPERS = 100 };

static atomic_int cancelled;

static int sleeper(void *arg)
{
    (void)arg;
    int rc = skua_sleep(SKUA_S(3600));
    if (rc == -ECANCELED)
        atomic_fetch_add(&cancelled, 1); /* what has to be tidied up would be, here */
    return rc;
}

/* skua_run has SIGINT cancel all that runs: this coroutine, its scope, and so the children. */
static int run(void *arg)
{
    (void)arg;
    int rc = 0;
    skua_scope scope;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    for (int i = 0; i < SLEEPERS && rc == 0; i++)
        rc = skua_spawn(&scope, sleeper, NULL);
    printf("%d sleep; press Ctrl-C\n", SLEEPERS);
    fflush(stdout);
    int failure = skua_scope_close(&scope, SKUA_NEVER);
    printf("\n%d of %d were cancelled\n", atomic_load(&cancelled), SLEEPERS);
    return failure < 0 ? failure : rc;
}

int main(void)
{
    int rc = skua_run(run, NULL, NULL);
    return rc == -ECANCELED ? 128 + SIGINT : rc < 0;
}
