/* Stacks and what belongs to a thread.
 * Real cases: openssl#6017, marl#43, minicoro#19, tarantool#2411, wasmfx#26, d-runtime#1698 (a stack
 * overflow that corrupts silently) and #1956 (guards taken away for want of mappings);
 * ClickHouse#113927, tarantool#9280, sledge#398 (the crash handler has no stack of its own);
 * llvm#49257, #47179, #47177, libgo#256, mordor#18, march#529 (errno and thread-locals across a
 * switch); silk#116 (a lock that belongs to a thread, held across a switch); flare#197, zio#598,
 * sanitizers#1760 and #189, capnproto#1478, kphp#1205 (sanitizers that are not told of a switch). */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/stress/stress.h"

/* ---- openssl#6017: an overflow is reported, and does not go on. */

enum { DEPTH_MAX = 1 << 28 }; /* far more than there is room for */

static __attribute__((noinline)) int dig(volatile char *above, int depth)
{
    volatile char frame[1024];
    frame[0] = above != NULL ? above[0] : 1;
    frame[sizeof(frame) - 1] = 0;
    int below = depth < DEPTH_MAX ? dig(frame, depth + 1) : 0;
    return below + frame[0];
}

static int overflow(void *arg)
{
    (void)arg;
    skua_set_name("digger");
    return dig(NULL, 0);
}

static void overflow_in_child(void *arg)
{
    skua_config config = SKUA_CONFIG_INIT;
    (void)arg;
    config.workers = 2;
    skua_run(overflow, NULL, &config);
}

SKT_TEST(bugs, openssl_6017_stack_overflow_is_reported)
{
    char text[8192];
    int status = skt_in_child(overflow_in_child, NULL, text, sizeof(text));
    SKT_STR_HAS(text, "stack overflow: coroutine");
    SKT_STR_HAS(text, "(digger)");
    if (!skt_sanitized()) {
        SKT_TRUE(WIFSIGNALED(status));
        SKT_EQ(WTERMSIG(status), SIGSEGV);
    } else {
        SKT_NE(status, 0);
    }
}

/* ---- ClickHouse#113927: the program's own handler still gets its turn, on a stack that is there. */

static void write_and_exit(int signo)
{
    (void)signo;
    char frame[4096]; /* some room */
    memset(frame, '!', sizeof(frame));
    (void)!write(STDERR_FILENO, "\nown handler\n", 13);
    _exit(frame[7] == '!' ? 42 : 43);
}

static void overflow_with_handler(void *arg)
{
    struct sigaction action = {.sa_handler = write_and_exit, .sa_flags = SA_ONSTACK};
    SKT_EQ(sigaction(SIGSEGV, &action, NULL), 0);
    overflow_in_child(arg);
}

SKT_TEST(bugs, clickhouse_113927_crash_handler_has_a_stack)
{
    char text[8192];
    int status = skt_in_child(overflow_with_handler, NULL, text, sizeof(text));
    SKT_STR_HAS(text, "stack overflow: coroutine");
    SKT_STR_HAS(text, "\nown handler\n");
    SKT_TRUE(WIFEXITED(status));
    SKT_EQ(WEXITSTATUS(status), 42);
}

/* ---- d-runtime#1956: every stack has its guard, the ten thousandth too. */

struct guards {
    skua_event go;
    int pipe[2];
    _Atomic(uint32_t) x_checked;
};

static int check_guard(void *arg)
{
    struct guards *g = arg;
    char here;
    const char *guard = &here - skua_stack_left() - 4096; /* within the page below the stack */
    SKT_EQ(write(g->pipe[1], guard, 1), -1);
    SKT_EQ(errno, EFAULT);
    atomic_fetch_add(&g->x_checked, 1);
    SKT_EQ(skua_event_wait(&g->go, SKUA_NEVER), 0); /* holds its stack until all have one */
    return 0;
}

static int check_guards(void *arg)
{
    uint32_t n = (uint32_t)skt_scaled(10000);
    struct guards g = {.go = SKUA_EVENT_INIT};
    skua_scope s;
    (void)arg;
    SKT_EQ(pipe2(g.pipe, O_CLOEXEC), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (uint32_t i = 0; i < n; i++)
        SKT_EQ(skua_spawn(&s, check_guard, &g), 0);
    for (skua_time end = st_patience(); atomic_load(&g.x_checked) < n;) {
        SKT_LT(skua_now(), end);
        SKT_EQ(skua_yield(), 0);
    }
    skua_event_set(&g.go);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    st_close(g.pipe);
    return 0;
}

SKT_TEST(bugs, d_runtime_1956_every_stack_has_a_guard)
{
    if (skt_sanitized())
        SKT_SKIP("the sanitizer answers the write itself");
    st_run(check_guards, NULL, 2);
}

/* ---- llvm#49257: errno after a switch to another thread. */

enum { MOVERS = 16 };

static int fail_with(int number)
{
    if (number % 2 == 0)
        return close(-1);                               /* EBADF */
    return open("/no such file", O_RDONLY | O_CLOEXEC); /* ENOENT */
}

static int move_and_fail(void *arg)
{
    uint32_t moves = 0, n = (uint32_t)skt_scaled(20000);
    int number = (int)(uintptr_t)arg;
    unsigned before = skua_worker();
    int64_t begin = skt_now_ns();
    for (uint32_t i = 0; (i < n && skt_has_time(begin)) || moves == 0; i++, number++) {
        SKT_EQ(fail_with(number), -1);
        SKT_EQ(errno, number % 2 == 0 ? EBADF : ENOENT);
        SKT_EQ(skua_yield(), 0); /* errno's address was used before, and is used after */
        SKT_EQ(fail_with(number + 1), -1);
        SKT_EQ(errno, number % 2 == 0 ? ENOENT : EBADF);
        if (i % 16 == 0) /* a yield to nobody moves nobody; who sleeps goes on elsewhere */
            SKT_EQ(skua_sleep(1000), 0);
        moves += skua_worker() != before;
        before = skua_worker();
    }
    return 0;
}

static int move_all(void *arg)
{
    skua_scope s;
    int (*fn)(void *) = *(int (**)(void *))arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (uintptr_t i = 0; i < MOVERS; i++)
        SKT_EQ(skua_spawn(&s, fn, (void *)i), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

static void run_migrating(int (*fn)(void *))
{
    const char *chaos = getenv("SKUA_CHAOS");
    char before[64] = "";
    snprintf(before, sizeof(before), "%s", chaos ? chaos : "");
    SKT_EQ(setenv("SKUA_CHAOS", "migrate", 1), 0);
    st_run(move_all, &fn, 2);
    st_run(move_all, &fn, 8);
    SKT_EQ(setenv("SKUA_CHAOS", before, 1), 0); /* empty counts as unset */
}

/* Goal: with <skua/errno.h> errno is the one of the thread that made the call. Fails with
 * SKUA_NO_ERRNO_OVERRIDE, where the compiler keeps errno's address across the yield. */
SKT_TEST(bugs, llvm_49257_errno_across_a_switch)
{
    run_migrating(move_and_fail);
}

/* ---- libgo#256, march#529: what is local to a coroutine goes with it. */

static skua_local key;

static int keep_local(void *arg)
{
    uint64_t id = skua_id();
    char name[16];
    SKT_EQ(skua_local_set(key, &id), 0);
    snprintf(name, sizeof(name), "mover %d", (int)(uintptr_t)arg);
    SKT_EQ(skua_set_name(name), 0);
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(5000); i > 0 && skt_has_time(begin); i--) {
        SKT_EQ(skua_yield(), 0);
        SKT_PTR_EQ(skua_local_get(key), &id);
        SKT_EQ(skua_id(), id);
    }
    return 0;
}

SKT_TEST(bugs, libgo_256_locals_across_a_switch)
{
    SKT_EQ(skua_local_key(&key, NULL), 0);
    run_migrating(keep_local);
}

/* ---- silk#116: a mutex is held by the coroutine, on whatever thread that goes on. */

static skua_mutex mutex;
static uint64_t guarded; /* plain: two holders at once would lose an increment */
static _Atomic(uint64_t) x_increments;

static int lock_and_move(void *arg)
{
    (void)arg;
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(4000); i > 0 && skt_has_time(begin); i--) {
        SKT_EQ(skua_mutex_lock(&mutex, SKUA_NEVER), 0);
        uint64_t before = guarded;
        SKT_EQ(skua_yield(), 0);
        SKT_EQ(skua_mutex_lock(&mutex, SKUA_NEVER), -EDEADLK);
        guarded = before + 1;
        atomic_fetch_add(&x_increments, 1);
        SKT_EQ(skua_mutex_unlock(&mutex), 0);
        SKT_EQ(skua_mutex_unlock(&mutex), -EPERM);
    }
    return 0;
}

SKT_TEST(bugs, silk_116_lock_held_across_a_switch)
{
    guarded = 0;
    run_migrating(lock_and_move);
    SKT_EQ(guarded, atomic_load(&x_increments));
}

/* ---- flare#197: sanitizers know of every switch: they report what is wrong, and nothing else. */

static char *volatile hidden; /* from the compiler, which would see the bug as well */

static int use_after_free(void *arg)
{
    hidden = malloc(16);
    SKT_EQ(skua_yield(), 0);
    free(hidden);
    SKT_EQ(skua_yield(), 0);
    return hidden[(uintptr_t)arg];
}

static int leave_frame(void *arg)
{
    char local[16];
    *(volatile char **)arg = local;
    return skua_yield();
}

static __attribute__((noinline)) void call_and_leave(volatile char **out)
{
    leave_frame((void *)out);
}

static int use_after_return(void *arg)
{
    volatile char *stale = NULL;
    (void)arg;
    call_and_leave(&stale);
    SKT_EQ(skua_yield(), 0);
    return *stale = 1;
}

static int overrun(void *arg)
{
    char local[16] = {0};
    hidden = local;
    SKT_EQ(skua_yield(), 0);
    hidden[sizeof(local) + (uintptr_t)arg] = 1;
    return local[0];
}

static void run_in_child(void *arg)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 2;
    skua_run(*(int (**)(void *))arg, NULL, &config);
}

SKT_TEST(bugs, flare_197_sanitizer_sees_bugs_in_coroutines)
{
    static const struct {
        int (*fn)(void *);
        const char *report;
    } planted[] = {
        {use_after_free, "heap-use-after-free"},
        {use_after_return, "stack-use-after-return"},
        {overrun, "stack-buffer-overflow"},
    };
    char text[32768];
#if !defined(__SANITIZE_ADDRESS__)
    SKT_SKIP("needs AddressSanitizer");
#endif
    for (unsigned i = 0; i < 3; i++) {
        int (*fn)(void *) = planted[i].fn;
        SKT_NE(skt_in_child(run_in_child, &fn, text, sizeof(text)), 0);
        SKT_STR_HAS(text, planted[i].report);
    }
}
