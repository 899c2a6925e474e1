/* examples/balance.c - two coroutines on two workers pay in and draw out of one balance, a million
 * times each. The mutex keeps it right; without it the result would be another one at every run.
 *
 *     $ balance [TIMES]                1000000 by default
 *     1000000 changes by worker 0
 *     1000000 changes by worker 1
 *     balance: 0 */
#include <stdio.h>
#include <stdlib.h>

#include <skua/skua.h>

static skua_mutex lock = SKUA_MUTEX_INIT;
static volatile long balance; /* volatile: the compiler is not to see that +n -n is nothing */

static void change_it(long n)
{
    balance = balance + n;
    balance = balance - n;
}

static int change(void *arg)
{
    long times = *(const long *)arg;
    for (long n = 1; n <= times; n++) {
        int rc = skua_mutex_lock(&lock, SKUA_NEVER);
        if (rc < 0)
            return rc; /* not held: cancelled */
        change_it(n);
        skua_mutex_unlock(&lock);
    }
    printf("%ld changes by worker %u\n", times, skua_worker());
    return 0;
}

/* With one worker both run there. */
static int run(void *times)
{
    int rc = 0;
    skua_scope scope;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        skua_task_opts opts = SKUA_TASK_OPTS_INIT;
        opts.worker = SKUA_ON_WORKER(i % skua_workers());
        rc = skua_spawn_opts(&scope, change, times, &opts, NULL);
    }
    int failure = skua_scope_close(&scope, SKUA_NEVER);
    printf("balance: %ld\n", balance);
    return failure < 0 ? failure : rc;
}

int main(int argc, char **argv)
{
    long times = argc == 2 ? atol(argv[1]) : 1000000;
    if (argc > 2 || times < 1) {
        fprintf(stderr, "usage: balance [TIMES]\n");
        return 1;
    }
    return skua_run(run, &times, NULL) < 0 || balance != 0;
}
