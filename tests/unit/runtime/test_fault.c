/* tests/unit/runtime/test_fault.c - an overflow names the coroutine that ran out of stack, and the
 * remedy. */
#include <skua/skua.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/runtime/rt_test.h"

/* Writes its way down, a page at a time at most. */
__attribute__((noinline)) static int overflow(volatile char *above, size_t left)
{
    volatile char here[512];
    here[0] = above[0];
    here[511] = (char)left;
    return left == 0 ? 0 : overflow(here, left - 1) + here[511];
}

static void no_core(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    /* Sanitizers have a handler of their own, to which the fault would be handed on. */
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
}

static int run_out(void *arg)
{
    volatile char first = 1;
    (void)arg;
    fprintf(stderr, "id=%llu\n", (unsigned long long)skua_id());
    return overflow(&first, SIZE_MAX);
}

static int spawn_greedy(void *arg)
{
    skua_scope s;
    skua_task_opts o = SKUA_TASK_OPTS_INIT;
    o.name = "greedy";
    o.stack_size = *(size_t *)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, run_out, arg, &o, NULL), 0);
    SKT_EQ(skua_sleep(SKUA_MS(1)), 0); /* it gets a stack of its own */
    return skua_scope_close(&s, SKUA_NEVER);
}

static int close_greedy(void *arg)
{
    skua_scope s;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, run_out, NULL), 0);
    return skua_scope_close(&s, SKUA_NEVER);
}

struct child {
    int (*fn)(void *);
    size_t stack_size;
    unsigned workers;
};

static void run_child(void *arg)
{
    struct child *c = arg;
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = c->workers;
    no_core();
    _exit(skua_run(c->fn, &c->stack_size, &config) == 0 ? 0 : 1);
}

static void check_report(struct child *c, const char *name, unsigned long promised)
{
    char out[4096], id[32], text[128];
    int status = skt_in_child(run_child, c, out, sizeof(out));
    SKT_TRUE(WIFSIGNALED(status));
    SKT_EQ(WTERMSIG(status), SIGSEGV);
    SKT_EQ(sscanf(out, "id=%30[0-9]", id), 1);
    snprintf(text, sizeof(text), "coroutine %s (%s)", id, name);
    SKT_STR_HAS(out, "stack overflow");
    SKT_STR_HAS(out, text);
    SKT_STR_HAS(out, "spawned at 0x");
    snprintf(text, sizeof(text), "%lu bytes promised", promised);
    SKT_STR_HAS(out, text);
    SKT_STR_HAS(out, "high-water mark");
    const char *mark = strstr(out, "high-water mark ");
    unsigned long high = strtoul(mark + strlen("high-water mark "), NULL, 10);
    SKT_BETWEEN(high, promised, 2 * promised + 65536); /* it was full */
    SKT_STR_HAS(out, "SKUA_STACK_SIZE");
    SKT_STR_HAS(out, "stack_size");
}

/* Goal: id, name, spawn site, size, high-water mark and remedy; the process dies by SIGSEGV. */
RT_THREAD_TEST(fault, overflow)
{
    struct child c = {spawn_greedy, 0, workers};
    check_report(&c, "greedy", 128 << 10);
}

/* Goal: for a stack of a size of its own too. */
RT_THREAD_TEST(fault, odd_size)
{
    struct child c = {spawn_greedy, 1 << 20, workers};
    check_report(&c, "greedy", 1 << 20);
}

/* Goal: on its closer's stack it is the child that is named. */
RT_THREAD_TEST(fault, inline_child)
{
    struct child c = {close_greedy, 0, workers};
    check_report(&c, "unnamed", 128 << 10);
}

/* ---- a signal's frame that finds no room ---- */

enum { TOO_FEW_BYTES = 600 }; /* the kernel's frame is larger, and the handler is not reached */

static pid_t pid;

static void ignore_signal(int signo)
{
    (void)signo;
}

__attribute__((noinline)) static int raise_at_the_end(volatile char *above)
{
    volatile char here[64];
    here[0] = above[0];
    if (skua_stack_left() > TOO_FEW_BYTES)
        return raise_at_the_end(here) + here[0];
    return (int)syscall(SYS_tgkill, pid, (pid_t)syscall(SYS_gettid), SIGUSR1) + here[0];
}

static int run_out_by_signal(void *arg)
{
    volatile char first = 1;
    (void)arg;
    struct sigaction action = {.sa_handler = ignore_signal};
    sigaction(SIGUSR1, &action, NULL);
    pid = getpid();
    syscall(SYS_gettid); /* the dynamic linker finds it where there is room */
    fprintf(stderr, "id=%llu\n", (unsigned long long)skua_id());
    return raise_at_the_end(&first);
}

static int close_signalled(void *arg)
{
    skua_scope s;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, run_out_by_signal, NULL), 0);
    return skua_scope_close(&s, SKUA_NEVER);
}

/* Goal: a signal whose handler runs on the coroutine's stack, where its frame has no room, is an overflow
 * too. The kernel then tells of a fault without an address. */
RT_THREAD_TEST(fault, signal_frame)
{
    struct child c = {close_signalled, 0, workers};
    check_report(&c, "unnamed", 128 << 10);
}

static int dereference(void *arg)
{
    (void)arg;
    int *volatile nowhere = (int *)16;
    return *nowhere;
}

static void use_much_stack(int signo)
{
    volatile char first = (char)signo;
    (void)overflow(&first, 200); /* about 100 KiB, of 64 */
}

static int raise_for_much(void *arg)
{
    (void)arg;
    struct sigaction action = {.sa_handler = use_much_stack, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    return raise(SIGUSR1);
}

/* Goal: a handler that needs more than a worker's alternate stack ends the process, and writes into nothing
 * that lies below. */
RT_THREAD_TEST(fault, alternate_stack)
{
    char out[4096];
    struct child c = {raise_for_much, 0, workers};
    int status = skt_in_child(run_child, &c, out, sizeof(out));
    SKT_TRUE(WIFSIGNALED(status));
    SKT_EQ(WTERMSIG(status), SIGSEGV);
}

static int kill_itself(void *arg)
{
    (void)arg;
    kill(getpid(), SIGSEGV);
    return skua_sleep(SKUA_S(10));
}

/* Goal: a SIGSEGV that was sent ends the process, though no instruction faults. */
RT_THREAD_TEST(fault, sent)
{
    char out[4096];
    struct child c = {kill_itself, 0, workers};
    int status = skt_in_child(run_child, &c, out, sizeof(out));
    SKT_TRUE(WIFSIGNALED(status));
    SKT_EQ(WTERMSIG(status), SIGSEGV);
    SKT_NULL(strstr(out, "stack overflow"));
}

/* Goal: another fault is no overflow, and kills as ever. */
SKT_TEST(fault, other_fault)
{
    char out[4096];
    struct child c = {dereference, 0, 2};
    int status = skt_in_child(run_child, &c, out, sizeof(out));
    SKT_TRUE(WIFSIGNALED(status));
    SKT_EQ(WTERMSIG(status), SIGSEGV);
    SKT_NULL(strstr(out, "stack overflow"));
}

static void own_handler(int signo)
{
    static const char text[] = "my own handler\n";
    ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(n > 0 && signo == SIGSEGV ? 7 : 8);
}

static void run_with_handler(void *arg)
{
    struct child *c = arg;
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = c->workers;
    no_core();
    struct sigaction action = {.sa_handler = own_handler, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    (void)skua_run(c->fn, &c->stack_size, &config);
}

/* Goal: a handler that was there before gets the signal after the report. */
SKT_TEST(fault, handed_on)
{
    char out[4096];
    struct child c = {close_greedy, 0, 1};
    int status = skt_in_child(run_with_handler, &c, out, sizeof(out));
    SKT_TRUE(WIFEXITED(status));
    SKT_EQ(WEXITSTATUS(status), 7);
    SKT_STR_HAS(out, "stack overflow");
    SKT_STR_HAS(out, "my own handler");
}

/* Goal: stop restores what was there. */
SKT_TEST(fault, restored)
{
    struct sigaction before[2], after[2];
    sigaction(SIGSEGV, NULL, &before[0]);
    sigaction(SIGBUS, NULL, &before[1]);
    rt_start(2);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    sigaction(SIGSEGV, NULL, &after[0]);
    sigaction(SIGBUS, NULL, &after[1]);
    for (int i = 0; i < 2; i++) {
        SKT_EQ(before[i].sa_flags | 0x04000000,
               after[i].sa_flags | 0x04000000); /* SA_RESTORER: libc's */
        SKT_TRUE(before[i].sa_handler == after[i].sa_handler);
    }
}
