/* tests/unit/runtime/test_frame.c - a frame that is larger than what is left of its stack.
 * Method: a neighbour, whose stack lies below, fills 100 KiB of it with a pattern and waits. Then a body goes
 * down until 6 KiB are left, and calls a function that touches the far end of a large frame only. The
 * process must get SIGSEGV there, after skua's report; the handler looks whether the pattern is whole. */
#include <skua/skua.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/runtime/frames.h"
#include "tests/unit/runtime/rt_test.h"

enum { LEFT = 6000, PATTERN_BYTES = 100 << 10, FAULTED = 7, ALTERNATE_BYTES = 64 << 10 };

static struct {
    int (*touch)(void);
    int (*body)(void *); /* as the coroutine's function */
    size_t stack_size, default_size;
    unsigned workers;
    volatile unsigned char *pattern;
    skua_event filled;
} on;

/* ---- the neighbour ---- */

static int be_neighbour(void *arg)
{
    volatile unsigned char pattern[PATTERN_BYTES];
    (void)arg;
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (unsigned char)(i * 7);
    on.pattern = pattern;
    SKT_EQ(skua_event_set(&on.filled), 0);
    (void)skua_sleep(SKUA_S(60));
    return pattern[0];
}

static void look_at_neighbour(int signo)
{
    static const char whole[] = "the neighbour is whole\n", hurt[] = "the neighbour is hurt\n";
    bool same = true;
    for (size_t i = 0; same && i < PATTERN_BYTES; i++)
        same = on.pattern[i] == (unsigned char)(i * 7);
    ssize_t n = same ? write(STDERR_FILENO, whole, sizeof(whole) - 1)
                     : write(STDERR_FILENO, hurt, sizeof(hurt) - 1);
    /* The raw call: ThreadSanitizer would wait a second in the other one. */
    syscall(SYS_exit_group, n > 0 && signo == SIGSEGV ? FAULTED : 8);
}

/* ---- the bodies that run out ---- */

__attribute__((noinline)) static int go_down(volatile char *above)
{
    volatile char here[512];
    here[0] = above[0];
    if (skua_stack_left() < LEFT)
        return on.touch() + here[0];
    return go_down(here) + here[1];
}

static int run_out(void *arg)
{
    volatile char first = 1;
    (void)arg;
    return go_down(&first);
}

static int generate(skua_gen *g, void *arg)
{
    (void)g;
    return run_out(arg);
}

static int run_out_in_generator(void *arg)
{
    skua_gen *g;
    char value;
    SKT_EQ(skua_gen_new(&g, generate, arg, 1, 0), 0);
    return skua_gen_next(g, NULL, &value);
}

static void *be_fiber(void *arg)
{
    run_out(arg);
    return NULL;
}

static int run_out_in_fiber(void *arg)
{
    skua_fiber *fiber;
    SKT_EQ(skua_fiber_new(&fiber, be_fiber, arg, on.stack_size), 0);
    (void)skua_fiber_switch(fiber, NULL);
    return 0;
}

static int run_out_inline(void *arg)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, run_out, arg), 0);
    return skua_scope_close(&s, SKUA_NEVER);
}

/* ---- one process ---- */

static int be_first(void *arg)
{
    skua_scope s;
    skua_task_opts neighbour = SKUA_TASK_OPTS_INIT, o = SKUA_TASK_OPTS_INIT;
    (void)arg;
    neighbour.stack_size = on.stack_size > PATTERN_BYTES ? on.stack_size : 128 << 10;
    o.stack_size = on.stack_size;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, be_neighbour, NULL, &neighbour, NULL), 0);
    SKT_EQ(skua_event_wait(&on.filled, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, on.body, NULL, &o, NULL), 0);
    SKT_EQ(skua_sleep(SKUA_MS(1)), 0); /* it gets a stack of its own */
    return skua_scope_close(&s, SKUA_NEVER);
}

static void run_child(void *arg)
{
    struct rlimit none = {0, 0};
    skua_config config = SKUA_CONFIG_INIT;
    (void)arg;
    setrlimit(RLIMIT_CORE, &none);
    struct sigaction action = {.sa_handler = look_at_neighbour, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    config.workers = on.workers;
    config.stack_size = on.default_size;
    _exit(skua_run(be_first, NULL, &config) == 0 ? 0 : 1);
}

static void check_frame(const struct frame *frame, const char *kind)
{
    char out[4096];
    on.touch = frame->touch;
    int status = skt_in_child(run_child, NULL, out, sizeof(out));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != FAULTED)
        SKT_FAIL("a %s frame of %u KiB: status %#x, %s", kind, frame->kib, status, out);
    SKT_STR_HAS(out, "stack overflow");
    SKT_STR_HAS(out, "the neighbour is whole");
}

/* Frames up to the guard in plain code, any frame in code that probes. */
static void check_frames(unsigned workers, int (*body)(void *))
{
    on.workers = workers;
    on.body = body;
    for (const struct frame *f = frames_plain; f->kib < 64; f++)
        check_frame(f, "plain");
    for (const struct frame *f = frames_probed; f->kib != 0; f++)
        check_frame(f, "probed");
}

static void check_sizes(unsigned workers, int (*body)(void *), size_t default_size,
                        size_t stack_size)
{
    on.default_size = default_size;
    on.stack_size = stack_size;
    check_frames(workers, body);
}

/* Goal: of a coroutine. */
RT_THREAD_TEST(frame, coroutine)
{
    check_sizes(workers, run_out, 0, 0);
}

/* Goal: with a stack_size of its own, larger or smaller than the default, or none that it fills. */
RT_THREAD_TEST(frame, odd_size)
{
    check_sizes(workers, run_out, 0, 1 << 20);
    check_sizes(workers, run_out, 0, 64 << 10);
    check_sizes(workers, run_out, 0, 100000);
}

/* Goal: with the smallest stacks. */
RT_THREAD_TEST(frame, smallest)
{
    check_sizes(workers, run_out, 16 << 10, 0);
    check_sizes(workers, run_out, 0, 16 << 10);
}

/* Goal: of a generator's body, a fiber's function, a child that runs on its closer's stack. */
RT_THREAD_TEST(frame, generator)
{
    check_sizes(workers, run_out_in_generator, 0, 0);
}

RT_THREAD_TEST(frame, fiber)
{
    check_sizes(workers, run_out_in_fiber, 0, 0);
    check_sizes(workers, run_out_in_fiber, 0, 1 << 20);
}

RT_THREAD_TEST(frame, inline_child)
{
    check_sizes(workers, run_out_inline, 0, 0);
}

/* ---- a plain thread's fiber ---- */

static void *fill_below(void *arg)
{
    volatile unsigned char pattern[PATTERN_BYTES];
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (unsigned char)(i * 7);
    on.pattern = pattern;
    (void)skua_fiber_switch(skua_fiber_parent(), arg);
    return NULL;
}

/* It has no skua_stack_left. */
__attribute__((noinline)) static void go_down_to(uintptr_t end, volatile char *above)
{
    volatile char here[512];
    here[0] = above[0];
    if ((uintptr_t)here < end)
        (void)on.touch();
    else
        go_down_to(end, here);
    here[1] = here[0];
}

static void *run_out_unknown(void *end)
{
    volatile char first = 1;
    go_down_to((uintptr_t)end, &first);
    return NULL;
}

static void run_fibers(void *arg)
{
    struct rlimit none = {0, 0};
    skua_fiber *below, *above;
    (void)arg;
    setrlimit(RLIMIT_CORE, &none);
    stack_t stack = {.ss_sp = malloc(ALTERNATE_BYTES), .ss_size = ALTERNATE_BYTES};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_handler = look_at_neighbour, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    SKT_EQ(skua_fiber_new(&below, fill_below, NULL, 0), 0);
    (void)skua_fiber_switch(below, NULL);
    SKT_EQ(skua_fiber_new(&above, run_out_unknown, NULL, 0), 0);
    /* The pattern ends near the top of its slot of 256 KiB; the next slot's guard begins there. */
    uintptr_t end = (uintptr_t)on.pattern + PATTERN_BYTES + (64 << 10) + 2 * LEFT;
    (void)skua_fiber_switch(above, (void *)end);
    _exit(0);
}

/* Goal: the frame hits the guard; there is no runtime, and so no report. */
SKT_TEST(frame, plain_thread)
{
    char out[4096];
    if (skt_sanitized())
        SKT_SKIP("AddressSanitizer keeps the arrays of a frame elsewhere, to find uses after return");
    for (const struct frame *f = frames_plain; f->kib < 60; f++) {
        on.touch = f->touch;
        int status = skt_in_child(run_fibers, NULL, out, sizeof(out));
        SKT_TRUE(WIFEXITED(status));
        SKT_EQ(WEXITSTATUS(status), FAULTED);
        SKT_STR_HAS(out, "the neighbour is whole");
    }
    for (const struct frame *f = frames_probed; f->kib != 0; f++) {
        on.touch = f->touch;
        int status = skt_in_child(run_fibers, NULL, out, sizeof(out));
        SKT_TRUE(WIFEXITED(status));
        SKT_EQ(WEXITSTATUS(status), FAULTED);
        SKT_STR_HAS(out, "the neighbour is whole");
    }
}
