/* tests/unit/runtime/test_signals.c - SIGINT and SIGTERM while skua_run runs. */
#include <skua/skua.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/runtime/rt_test.h"

static int wait_for_signal(void *arg)
{
    int signo = *(int *)arg;
    SKT_EQ(kill(getpid(), signo), 0);
    return rt_wait_forever(NULL) == -ECANCELED ? 5 : 6;
}

static bool is_default(int signo)
{
    struct sigaction now;
    SKT_EQ(sigaction(signo, NULL, &now), 0);
    return (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL;
}

/* Goal: the first one cancels the root scope; afterwards the action is the default again. */
RT_THREAD_TEST(signals, cancel_the_root)
{
    static int signos[] = {SIGINT, SIGTERM};
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++) {
            SKT_TRUE(is_default(signos[i]));
            SKT_EQ(skua_run(wait_for_signal, &signos[i], &config), 5);
            SKT_TRUE(is_default(signos[i]));
        }
    }
}

static int ignore_first(void *arg)
{
    int *signos = arg;
    SKT_EQ(skua_shield(1), 0);
    SKT_EQ(kill(getpid(), signos[0]), 0);
    skua_event never = SKUA_EVENT_INIT;
    SKT_EQ(skua_event_wait(&never, skua_in(SKUA_MS(50))), -ETIMEDOUT);
    for (int i = 0; i < 1200; i++) { /* one that comes while the first is pending is lost */
        SKT_EQ(kill(getpid(), signos[1]), 0);
        SKT_EQ(skua_event_wait(&never, skua_in(SKUA_MS(50))), -ETIMEDOUT);
    }
    return 0;
}

static void run_two(void *signos)
{
    (void)skua_run(ignore_first, signos, NULL);
}

/* Goal: the second ends the process, whichever of the two it is. */
SKT_TEST(signals, second_ends)
{
    static int pairs[][2] = {{SIGINT, SIGINT}, {SIGTERM, SIGTERM}, {SIGINT, SIGTERM}};
    for (int i = 0; i < 3; i++) {
        char out[512];
        int status = skt_in_child(run_two, pairs[i], out, sizeof(out));
        SKT_TRUE(WIFSIGNALED(status));
        SKT_EQ(WTERMSIG(status), pairs[i][1]);
    }
}

static volatile sig_atomic_t own_signals;

static void own_handler(int signo)
{
    (void)signo;
    own_signals++;
}

static int send_and_look(void *arg)
{
    SKT_EQ(kill(getpid(), *(int *)arg), 0);
    SKT_EQ(skua_sleep(SKUA_MS(20)), 0);
    SKT_EQ(skua_cancelled(), 0);
    return 0;
}

/* Goal: an action that is not the default one is left alone, during and after. */
SKT_TEST(signals, others_are_left_alone)
{
    struct sigaction own = {.sa_handler = own_handler}, ignore = {.sa_handler = SIG_IGN}, now;
    struct sigaction usual = {.sa_handler = SIG_DFL};
    int interrupt = SIGINT, terminate = SIGTERM;
    own_signals = 0;
    SKT_EQ(sigaction(SIGINT, &own, NULL), 0);
    SKT_EQ(sigaction(SIGTERM, &ignore, NULL), 0);
    SKT_EQ(skua_run(send_and_look, &interrupt, NULL), 0);
    SKT_EQ(own_signals, 1);
    SKT_EQ(skua_run(send_and_look, &terminate, NULL), 0);
    SKT_EQ(sigaction(SIGINT, &usual, &now), 0);
    SKT_TRUE(now.sa_handler == own_handler);
    SKT_EQ(sigaction(SIGTERM, &usual, &now), 0);
    SKT_TRUE(now.sa_handler == SIG_IGN);
}

/* Goal: skua_start takes no signal. */
SKT_TEST(signals, start_takes_none)
{
    rt_start(2);
    SKT_TRUE(is_default(SIGINT));
    SKT_TRUE(is_default(SIGTERM));
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

static int is_blocked(void *arg)
{
    sigset_t mask;
    SKT_EQ(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    return sigismember(&mask, *(int *)arg);
}

/* Goal: what the program blocks when it starts the runtime its coroutines block, and nothing else; but
 * faults of a stack are told of in any case. */
SKT_TEST(signals, workers_have_the_programs_mask)
{
    static int signos[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGSEGV};
    sigset_t mask, before;
    for (int i = 0; i < 4; i++)
        SKT_EQ(skua_run(is_blocked, &signos[i], NULL), 0);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, SIGSEGV);
    SKT_EQ(pthread_sigmask(SIG_BLOCK, &mask, &before), 0);
    for (int i = 0; i < 4; i++)
        SKT_EQ(skua_run(is_blocked, &signos[i], NULL), signos[i] == SIGUSR1);
    SKT_EQ(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}
