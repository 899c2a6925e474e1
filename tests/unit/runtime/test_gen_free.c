/* tests/unit/runtime/test_gen_free.c - generators: how they are freed, and what ends the process. */
#include "tests/unit/runtime/fatal.h"
#include "tests/unit/runtime/gen_test.h"

/* ---- freeing ---- */

static char trace[16];
static unsigned traced;

static int unwind_slowly(skua_gen *g, void *arg)
{
    (void)arg;
    int64_t in = 3, out = 1;
    SKT_EQ(skua_gen_yield(g, &out, &in), -ECANCELED);
    SKT_EQ(in, 3);
    trace[traced++] = 'a';
    for (int i = 0; i < 3; i++)
        SKT_EQ(skua_gen_yield(g, &out, &in), -ECANCELED);
    trace[traced++] = 'b';
    SKT_EQ(skua_gen_next(g, NULL, NULL), -EINVAL);
    return -EIO; /* nobody sees it */
}

/* Goal: a suspended one is unwound: its yield says -ECANCELED, and every further one at once. */
RT_TEST(gen, free_suspended)
{
    traced = 0;
    skua_gen *g = make(unwind_slowly, NULL, 8, 8);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(traced, 0u);
    skua_gen_free(g);
    SKT_EQ(traced, 2u);
    SKT_MEM_EQ(trace, "ab", 2);
}

struct shielded {
    skua_mutex mutex;
    int waited, cancelled, after_shield;
};

static int clean_up_waiting(skua_gen *g, void *arg)
{
    struct shielded *x = arg;
    skua_scope s;
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -ECANCELED);
    x->waited = skua_sleep(SKUA_US(200));
    x->cancelled = skua_cancelled();
    int before = skua_shield(1);
    SKT_EQ(before, 1);
    SKT_EQ(skua_shield(before), 1);
    SKT_EQ(skua_shield(0), 1); /* it stays up */
    x->after_shield = skua_sleep(SKUA_US(200));
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_sleep(0), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

static int free_while_cancelled(void *arg)
{
    struct shielded *x = arg;
    skua_gen *g = make(clean_up_waiting, x, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_sleep(0), -ECANCELED);
    skua_gen_free(g);
    SKT_EQ(skua_cancelled(), 1);
    SKT_EQ(skua_sleep(0), -ECANCELED); /* as before */
    SKT_EQ(skua_shield(0), 0);
    return 0;
}

static void check_shielded(const struct shielded *x)
{
    SKT_EQ(x->waited, 0);
    SKT_EQ(x->cancelled, 0);
    SKT_EQ(x->after_shield, 0);
}

/* Goal: while it is freed neither cancellation nor a deadline reaches its body, whatever it does to
 * its shield; afterwards all is as it was. */
RT_TEST(gen, free_is_shielded)
{
    skua_scope s;
    struct shielded x = {.mutex = SKUA_MUTEX_INIT, .waited = 1};
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, free_while_cancelled, &x), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    check_shielded(&x);

    x = (struct shielded){.waited = 1};
    skua_gen *g = make(clean_up_waiting, &x, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, skua_in(SKUA_US(100))), 0);
    SKT_EQ(skua_sleep(SKUA_S(10)), -ETIMEDOUT);
    skua_gen_free(g);
    SKT_EQ(skua_sleep(SKUA_US(1)), -ETIMEDOUT);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    check_shielded(&x);
}

/* Goal: the same with a shield up, and a scope opened behind it, whose cancellation the caller sees. */
RT_TEST(gen, free_inside_a_shield)
{
    skua_scope s;
    struct shielded x = {.waited = 1};
    skua_gen *g = make(clean_up_waiting, &x, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_shield(1), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    skua_scope_cancel(&s);
    SKT_EQ(skua_sleep(0), -ECANCELED);
    skua_gen_free(g);
    SKT_EQ(skua_sleep(0), -ECANCELED);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_shield(0), 1);
    check_shielded(&x);
}

static int free_inner(skua_gen *g, void *arg)
{
    struct shielded *x = arg;
    skua_gen *in = make(clean_up_waiting, x, 0, 0);
    SKT_EQ(skua_gen_next(in, NULL, NULL), 1);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -ECANCELED);
    skua_gen_free(in);
    SKT_EQ(skua_shield(0), 1);
    SKT_EQ(skua_sleep(SKUA_US(100)), 0); /* this one is still being freed */
    return 0;
}

static int free_nested(void *arg)
{
    struct shielded *x = arg;
    skua_gen *g = make(free_inner, x, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_cancel(skua_self()), 1);
    skua_gen_free(g);
    SKT_EQ(skua_sleep(0), -ECANCELED);
    return 0;
}

/* Goal: a body that is unwound frees another. */
RT_TEST(gen, free_nested)
{
    skua_scope s;
    struct shielded x = {.waited = 1};
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, free_nested, &x), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    check_shielded(&x);
}

/* Goal: many at once, again and again, ended or freed in all states. */
RT_TEST(gen, many)
{
    enum { ROUNDS = 30, MANY = 100 };
    static skua_gen *g[MANY];
    for (int round = 0; round < ROUNDS; round++) {
        int64_t value = 0;
        for (int i = 0; i < MANY; i++)
            g[i] = make(count, (void *)(intptr_t)(i % 3), 8, 0);
        for (int i = 0; i < MANY; i++)
            SKT_EQ(skua_gen_next(g[i], NULL, &value), i % 3 != 0);
        for (int i = 0; i < MANY; i++) {
            int left = i % 2 == 0 ? 0 : i % 3; /* every other one is freed as it stands */
            for (; left > 0; left--)
                SKT_EQ(skua_gen_next(g[i], NULL, &value), left > 1);
            skua_gen_free(g[i]);
        }
    }
}

static int where(skua_gen *g, void *arg)
{
    void *frame = __builtin_frame_address(0);
    int rc = skua_gen_yield(g, &frame, NULL);
    return rc < 0 ? rc : arg != NULL;
}

/* Goal: the stack of one that has ended, by itself or by an error before it began, goes back at once,
 * before it is freed: the next one gets it. */
RT_TEST(gen, stack_goes_back)
{
    skua_gen *first = make(where, NULL, sizeof(void *), 0), *second;
    void *frame, *again = NULL;
    SKT_EQ(skua_gen_next(first, NULL, &frame), 1);
    SKT_EQ(skua_gen_next(first, NULL, NULL), 0);
    second = make(where, NULL, sizeof(void *), 0);
    SKT_EQ(skua_gen_throw(second, -EIO, NULL), -EIO);
    for (int i = 0; i < 3; i++) {
        skua_gen *third = make(where, NULL, sizeof(void *), 0);
        SKT_EQ(skua_gen_next(third, NULL, &again), 1);
        SKT_PTR_EQ(again, frame);
        skua_gen_free(third);
        skua_gen_free(make(where, NULL, sizeof(void *), 0));
    }
    skua_gen_free(second);
    skua_gen_free(first);
}

/* ---- what ends the process ---- */

static int free_oneself(skua_gen *g, void *arg)
{
    (void)arg;
    skua_gen_free(g);
    return 0;
}

static int frees_running(void *arg)
{
    return skua_gen_next(make(free_oneself, arg, 0, 0), NULL, NULL);
}

static int free_oneself_again(skua_gen *g, void *arg)
{
    (void)arg;
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -ECANCELED);
    skua_gen_free(g);
    return 0;
}

static int frees_freed(void *arg)
{
    skua_gen *g = make(free_oneself_again, arg, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    skua_gen_free(g);
    return 0;
}

static int return_with_scope(skua_gen *g, void *arg)
{
    static skua_scope s;
    (void)g, (void)arg;
    return skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER);
}

static int returns_with_scope(void *arg)
{
    skua_set_name("careless");
    return skua_gen_next(make(return_with_scope, arg, 0, 0), NULL, NULL);
}

/* Writes its way down, a page at a time at most. */
__attribute__((noinline)) static int overflow(volatile char *above, size_t left)
{
    volatile char here[512];
    here[0] = above[0];
    here[511] = (char)left;
    return left == 0 ? 0 : overflow(here, left - 1) + here[511];
}

static int run_out_of_stack(skua_gen *g, void *arg)
{
    volatile char first = 1;
    (void)g, (void)arg;
    return overflow(&first, SIZE_MAX);
}

static int overflows(void *arg)
{
    skua_set_name("greedy");
    return skua_gen_next(make(run_out_of_stack, arg, 0, 0), NULL, NULL);
}

/* Goal: freeing a running one, a scope left open, and an overflow, each with its names and remedy. */
RT_THREAD_TEST(gen, fatal)
{
    CHECK_FATAL(workers, frees_running, SIGABRT, "skua_gen_free: the generator at 0x", "is running",
                "once its skua_gen_next has returned");
    CHECK_FATAL(workers, frees_freed, SIGABRT, "skua_gen_free: the generator at 0x", "is running");
    CHECK_FATAL(workers, returns_with_scope, SIGABRT, "(careless)", "its generator at 0x",
                "returned with the scope at 0x");
    CHECK_FATAL(workers, overflows, SIGSEGV, "stack overflow", "(greedy)", "131072 bytes promised",
                "a generator has SKUA_STACK_SIZE alone");
}
