/* tests/unit/runtime/test_plain.c - generators and fibers where there is no runtime, around its start
 * and stop, in two threads, and after a fork. */
#include <skua/fiber.h>
#include <skua/gen.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/stack.h"
#include "tests/unit/runtime/rt_test.h"

static skua_gen *make(int (*fn)(skua_gen *, void *), void *arg)
{
    skua_gen *g = NULL;
    SKT_EQ(skua_gen_new(&g, fn, arg, sizeof(int64_t), sizeof(int64_t)), 0);
    return g;
}

/* Yields 1, 2, 3 … and, once freed, notes that it was. */
static int count(skua_gen *g, void *freed)
{
    volatile char depth[8192]; /* something to be lost on the stack */
    memset((char *)(uintptr_t)depth, 5, sizeof(depth));
    for (int64_t i = 1;; i++) {
        int rc = skua_gen_yield(g, &i, NULL);
        if (rc < 0) {
            for (size_t n = 0; n < sizeof(depth); n++)
                SKT_EQ(depth[n], 5);
            *(int *)freed += 1;
            return rc;
        }
    }
}

static void check_next(skua_gen *g, int64_t expected)
{
    int64_t value = 0;
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    SKT_EQ(value, expected);
}

static void *bounce(void *value)
{
    while (value != NULL)
        value = skua_fiber_switch(skua_fiber_parent(), value);
    return skua_fiber_self();
}

static int echo(skua_gen *g, void *arg)
{
    int64_t in = 0;
    int rc;
    (void)arg;
    while ((rc = skua_gen_yield(g, &in, &in)) == 0)
        continue;
    return rc;
}

/* ---- the size of a stack ---- */

static int stay(skua_gen *g, void *arg)
{
    volatile char deep[400 << 10];
    (void)arg;
    memset((char *)(uintptr_t)deep, 1, sizeof(deep));
    return skua_gen_yield(g, NULL, NULL) + deep[9] - 1;
}

static void nonsense(void *arg)
{
    skua_gen *g = NULL;
    skua_fiber *f = NULL;
    (void)arg;
    setenv("SKUA_STACK_SIZE", "lots", 1);
    SKT_EQ(skua_gen_new(&g, count, NULL, 0, 0), -EINVAL);
    SKT_EQ(skua_fiber_new(&f, bounce, NULL, 0), -EINVAL);
    SKT_NULL(g);
    setenv("SKUA_STACK_SIZE", "512K", 1);
    g = make(stay, NULL);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
}

/* Goal: SKUA_STACK_SIZE counts without a runtime; nonsense is named. It is read once: so this stands
 * before what else reads it. */
SKT_TEST(plain, stack_size)
{
    char out[4096];
    int status = skt_in_child(nonsense, NULL, out, sizeof(out));
    SKT_STR_HAS(out, "SKUA_STACK_SIZE='lots': expected 16K..32M");
    SKT_EQ(status, 0);
}

/* All that both can do, in a plain thread. */
static void use_both(void)
{
    int freed = 0;
    int64_t in, out;
    skua_fiber *f = NULL, *root = skua_fiber_self();
    skua_gen *g = make(count, &freed), *e = make(echo, NULL), *unused = make(count, &freed);
    SKT_NOT_NULL(root);
    SKT_NULL(skua_fiber_parent());
    SKT_EQ(skua_fiber_new(&f, bounce, NULL, 0), 0);
    SKT_EQ(skua_gen_next(e, NULL, &out), 1);
    for (int64_t i = 1; i <= 100; i++) {
        check_next(g, i);
        in = i * 3;
        SKT_EQ(skua_gen_next(e, &in, &out), 1);
        SKT_EQ(out, i * 3);
        SKT_PTR_EQ(skua_fiber_switch(f, &in), &in);
    }
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL);
    SKT_EQ(skua_gen_throw(e, -EIO, NULL), -EIO);
    skua_gen_free(e);
    skua_gen_free(unused);
    SKT_EQ(freed, 0);
    skua_gen_free(g);
    SKT_EQ(freed, 1);
    SKT_NOT_NULL(skua_fiber_switch(f, NULL));
    SKT_PTR_EQ(skua_fiber_switch(f, root), root);
    skua_fiber_free(f);
    SKT_PTR_EQ(skua_fiber_self(), root);
}

/* ---- no runtime ---- */

/* Goal: a plain program needs no runtime. */
SKT_TEST(plain, without_runtime)
{
    use_both();
}

static void *use_both_and_leave_some(void *arg)
{
    skua_fiber *f[3];
    for (int i = 0; i < 20; i++)
        use_both();
    for (int i = 0; i < 3; i++)
        SKT_EQ(skua_fiber_new(&f[i], bounce, NULL, (size_t)i << 19), 0);
    SKT_PTR_EQ(skua_fiber_switch(f[0], &f), &f);
    SKT_PTR_EQ(skua_fiber_switch(f[2], &f), &f);
    return arg;
}

/* Goal: each thread has fibers of its own, which go when it ends. */
SKT_TEST(plain, threads)
{
    int64_t begin = skt_now_ns();
    for (uint64_t n = skt_scaled(50); n > 0 && skt_has_time(begin); n--) {
        pthread_t one = rt_thread(use_both_and_leave_some, NULL);
        pthread_t two = rt_thread(use_both_and_leave_some, NULL);
        rt_thread_join(one);
        rt_thread_join(two);
    }
}

static void *say_where(void *arg)
{
    (void)arg;
    return skua_fiber_switch(skua_fiber_parent(), __builtin_frame_address(0));
}

static void *leave_one(void *arg)
{
    skua_fiber *f = NULL;
    SKT_EQ(skua_fiber_new(&f, say_where, NULL, 0), 0);
    *(void **)arg = skua_fiber_switch(f, NULL);
    return NULL;
}

/* Goal: their stacks go back then: the next fiber gets it. */
SKT_TEST(plain, thread_ends)
{
    void *left = NULL;
    rt_thread_join(rt_thread(leave_one, &left));
    for (int i = 0; i < 3; i++) {
        skua_fiber *f = NULL;
        SKT_EQ(skua_fiber_new(&f, say_where, NULL, 0), 0);
        SKT_PTR_EQ(skua_fiber_switch(f, NULL), left);
        skua_fiber_free(f);
    }
}

static void *exit_thread(void *arg)
{
    (void)arg;
    pthread_exit(NULL);
}

static void *exit_in_fiber(void *arg)
{
    skua_fiber *f = NULL;
    SKT_EQ(skua_fiber_new(&f, exit_thread, arg, 0), 0);
    return skua_fiber_switch(f, NULL);
}

static void end_thread_in_fiber(void *arg)
{
    rt_thread_join(rt_thread(exit_in_fiber, arg));
}

/* Goal: a fiber that ends its thread is an error with a message. */
SKT_TEST(plain, thread_ends_in_a_fiber)
{
    char out[2048];
    if (skt_sanitized())
        SKT_SKIP("the sanitizer answers pthread_exit on another stack itself");
    SKT_NE(skt_in_child(end_thread_in_fiber, NULL, out, sizeof(out)), 0);
    SKT_STR_HAS(out, "has ended its thread");
}

static void *next_elsewhere(void *g)
{
    check_next(g, 2);
    return NULL;
}

static void *free_elsewhere(void *g)
{
    skua_gen_free(g);
    return NULL;
}

/* Goal: a generator is nobody's: made here, called there, freed elsewhere. */
SKT_TEST(plain, passed_between_threads)
{
    int freed = 0;
    skua_gen *g = make(count, &freed);
    check_next(g, 1);
    rt_thread_join(rt_thread(next_elsewhere, g));
    check_next(g, 3);
    rt_thread_join(rt_thread(free_elsewhere, g));
    SKT_EQ(freed, 1);
}

struct yielder {
    skua_gen *g;
    int rc;
};

static void *yield_elsewhere(void *arg)
{
    struct yielder *x = arg;
    x->rc = skua_gen_yield(x->g, NULL, NULL);
    return NULL;
}

static int start_thread(skua_gen *g, void *arg)
{
    struct yielder *x = arg;
    x->g = g;
    rt_thread_join(rt_thread(yield_elsewhere, x));
    return 0;
}

/* Goal: another thread is not its body. */
SKT_TEST(plain, yield_of_another_thread)
{
    struct yielder x = {.rc = 1};
    skua_gen *g = make(start_thread, &x);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    SKT_EQ(x.rc, -EINVAL);
    skua_gen_free(g);
}

static int sleep_in_body(skua_gen *g, void *arg)
{
    (void)arg;
    SKT_EQ(skua_sleep(SKUA_US(100)), 0);
    int rc = skua_gen_yield(g, NULL, NULL);
    SKT_EQ(skua_sleep(SKUA_US(100)), 0);
    return rc;
}

/* Goal: what waits in a body blocks the thread. */
SKT_TEST(plain, waits)
{
    skua_gen *g = make(sleep_in_body, NULL);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
}

/* Goal: the child of a fork goes on with what its thread had. */
SKT_TEST(plain, fork)
{
    int freed = 0, status = 0;
    skua_gen *g = make(count, &freed);
    skua_fiber *f = NULL;
    SKT_EQ(skua_fiber_new(&f, bounce, NULL, 0), 0);
    check_next(g, 1);
    SKT_PTR_EQ(skua_fiber_switch(f, &f), &f);
    pid_t pid = fork();
    SKT_GE(pid, 0);
    if (pid == 0) {
        check_next(g, 2);
        SKT_PTR_EQ(skua_fiber_switch(f, &g), &g);
        use_both();
        skua_fiber_free(f);
        skua_gen_free(g);
        _exit(freed == 1 ? 42 : 1);
    }
    SKT_EQ(waitpid(pid, &status, 0), pid);
    SKT_TRUE(WIFEXITED(status));
    SKT_EQ(WEXITSTATUS(status), 42);
    check_next(g, 2);
    skua_gen_free(g);
    skua_fiber_free(f);
}

/* ---- around a runtime ---- */

static void start_sized(unsigned workers, size_t stack_size)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    config.stack_size = stack_size;
    SKT_EQ(skua_start(&config), 0);
}

static int next_in_coroutine(void *g)
{
    int64_t value = 0;
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    return (int)value;
}

static int free_in_coroutine(void *g)
{
    skua_gen_free(g);
    return 0;
}

static int freed_in_all;

static int make_in_coroutine(void *arg)
{
    skua_gen **g = arg;
    *g = make(count, &freed_in_all);
    check_next(*g, 1);
    return 0;
}

static int use_coroutines(void *arg)
{
    skua_scope s;
    struct rt_body body = {rt_pause};
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 100; i++)
        SKT_EQ(skua_spawn(&s, rt_call_body, &body), 0);
    SKT_EQ(skua_sleep(SKUA_US(50)), 0);
    return skua_scope_close(&s, SKUA_NEVER);
}

/* Goal: generators made before, in and after a runtime, in threads and in coroutines, live on through
 * starts and stops, with stacks of other sizes too, and are freed anywhere. */
RT_THREAD_TEST(plain, around_runtimes)
{
    static const size_t sizes[] = {0, 64 << 10, 512 << 10, 16 << 10, 0};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    skua_gen *before[SIZES], *in_thread[SIZES], *in_coroutine[SIZES];
    skua_fiber *f = NULL;
    freed_in_all = 0;
    SKT_EQ(skua_fiber_new(&f, bounce, NULL, 0), 0);
    for (int i = 0; i < SIZES; i++) {
        before[i] = make(count, &freed_in_all);
        check_next(before[i], 1);
        start_sized(workers, sizes[i]);
        in_thread[i] = make(count, &freed_in_all);
        check_next(in_thread[i], 1);
        SKT_EQ(skua_call(make_in_coroutine, &in_coroutine[i], SKUA_NEVER), 0);
        SKT_EQ(skua_call(use_coroutines, NULL, SKUA_NEVER), 0);
        use_both();
        for (int n = 0; n <= i; n++)
            SKT_EQ(skua_call(next_in_coroutine, before[n], SKUA_NEVER), 2 + 2 * (i - n));
        if (i >= 2) { /* others' stacks come to this runtime */
            SKT_EQ(skua_call(free_in_coroutine, in_thread[i - 2], SKUA_NEVER), 0);
            skua_gen_free(in_coroutine[i - 2]);
            SKT_EQ(skua_call(use_coroutines, NULL, SKUA_NEVER), 0);
        }
        SKT_PTR_EQ(skua_fiber_switch(f, &f), &f);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
        for (int n = 0; n <= i; n++)
            check_next(before[n], 3 + 2 * (i - n));
        use_both();
    }
    for (int i = 0; i < SIZES; i++)
        skua_gen_free(before[i]);
    for (int i = SIZES - 2; i < SIZES; i++) {
        check_next(in_coroutine[i], 2);
        skua_gen_free(in_coroutine[i]);
        skua_gen_free(in_thread[i]);
    }
    SKT_EQ(freed_in_all, 3 * SIZES);
    skua_fiber_free(f);
}

static void use_in_callback(skua_task *task, void *g)
{
    int freed = 0;
    skua_fiber *f = NULL;
    (void)task;
    skua_gen *mine = make(count, &freed);
    check_next(mine, 1);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL);
    SKT_EQ(skua_fiber_new(&f, bounce, NULL, 0), -EPERM);
    SKT_NULL(skua_fiber_self());
    skua_gen_free(mine);
    SKT_EQ(freed, 1);
}

static int be_called_back(skua_gen *g, void *task)
{
    SKT_EQ(skua_on_done(task, use_in_callback, g), 0);
    return skua_gen_yield(g, NULL, NULL);
}

static int spawn_and_keep(void *out)
{
    skua_scope s;
    struct rt_body body = {rt_pause};
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, rt_call_body, &body, NULL, out), 0);
    return skua_scope_close(&s, SKUA_NEVER);
}

/* Goal: what is called back in the body, in a thread, is not the body. */
RT_THREAD_TEST(plain, called_back)
{
    skua_task *task = NULL;
    rt_start(workers);
    SKT_EQ(skua_call(spawn_and_keep, &task, SKUA_NEVER), 0);
    skua_gen *g = make(be_called_back, task);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
    skua_task_unref(task);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

static _Atomic(bool) x_over;

static void *use_until_over(void *arg)
{
    while (!atomic_load(&x_over))
        use_both();
    return arg;
}

/* Goal: threads use both while runtimes come and go. */
SKT_TEST(plain, beside_starts_and_stops)
{
    atomic_store(&x_over, false);
    pthread_t one = rt_thread(use_until_over, NULL), two = rt_thread(use_until_over, NULL);
    int64_t begin = skt_now_ns();
    for (uint64_t n = skt_scaled(100); n > 0 && skt_has_time(begin); n--) {
        start_sized(2, n % 2 != 0 ? 64 << 10 : 256 << 10);
        SKT_EQ(skua_call(use_coroutines, NULL, SKUA_NEVER), 0);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
    }
    atomic_store(&x_over, true);
    rt_thread_join(one);
    rt_thread_join(two);
}

static void *make_until_over(void *arg)
{
    while (!atomic_load(&x_over))
        skua_gen_free(make(count, NULL));
    return arg;
}

/* Goal: forks beside threads that take and give stacks find the cache at rest. */
SKT_TEST(plain, forks_beside_threads)
{
    atomic_store(&x_over, false);
    pthread_t one = rt_thread(make_until_over, NULL);
    int64_t begin = skt_now_ns();
    for (uint64_t n = skt_scaled(400); n > 0 && skt_has_time(begin); n--) {
        int status = 0;
        pid_t pid = fork();
        SKT_GE(pid, 0);
        if (pid == 0) {
            alarm(60);
            use_both();
            _exit(0);
        }
        SKT_EQ(waitpid(pid, &status, 0), pid);
        SKT_EQ(status, 0);
    }
    atomic_store(&x_over, true);
    rt_thread_join(one);
}
