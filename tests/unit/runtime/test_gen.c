/* tests/unit/runtime/test_gen.c - generators: values both ways, errors thrown in, misuse. Their end
 * stands in test_gen_free.c, whoever runs them in test_gen_caller.c; what they do without a runtime in
 * test_plain.c. */
#include "runtime/base/mem.h"
#include "tests/unit/runtime/gen_test.h"

/* ---- values ---- */

/* Goal: what makes no generator says so, and leaves *g alone. */
RT_TEST(gen, bad_arguments)
{
    char here;
    skua_gen *g = (skua_gen *)(void *)&here;
    SKT_EQ(skua_gen_new(NULL, count, NULL, 0, 0), -EINVAL);
    SKT_EQ(skua_gen_new(&g, NULL, NULL, 0, 0), -EINVAL);
    SKT_EQ(skua_gen_new(&g, count, NULL, SKUA_GEN_VALUE_MAX + 1, 0), -EINVAL);
    SKT_EQ(skua_gen_new(&g, count, NULL, 0, (size_t)-8), -EINVAL);
    SKT_PTR_EQ(g, &here);
    SKT_EQ(skua_gen_next(NULL, NULL, NULL), -EINVAL);
    SKT_EQ(skua_gen_throw(NULL, -EIO, NULL), -EINVAL);
    SKT_EQ(skua_gen_yield(NULL, NULL, NULL), -EINVAL);
    skua_gen_free(NULL);
}

static void run_out_of_memory(void)
{
    skua_gen *g = NULL;
    SKT_EQ(skua_gen_new(&g, count, NULL, 8, 0), 0); /* there is a stack now */
    skua_gen_free(g);
    g = NULL;
    sk_mem_fail_after(1);
    SKT_EQ(skua_gen_new(&g, count, NULL, 8, 0), -ENOMEM);
    SKT_NULL(g);
}

/* Goal: -ENOMEM. */
RT_THREAD_TEST(gen, no_memory)
{
    rt_run_quietly(workers, run_out_of_memory);
}

/* Goal: 1 and a value for each yield, then 0 for ever, and out left alone. */
RT_TEST(gen, values_then_end)
{
    skua_gen *g = make(count, (void *)5, sizeof(int64_t), 0);
    int64_t value = -1;
    for (int64_t i = 0; i < 5; i++) {
        SKT_EQ(skua_gen_next(g, NULL, &value), 1);
        SKT_EQ(value, i);
    }
    for (int i = 0; i < 3; i++)
        SKT_EQ(skua_gen_next(g, &value, &value), 0);
    SKT_EQ(value, 4);
    SKT_EQ(skua_gen_throw(g, -EIO, &value), 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
}

static int end_with(skua_gen *g, void *result)
{
    int64_t value = 1;
    SKT_EQ(skua_gen_yield(g, &value, NULL), 0);
    return (int)(intptr_t)result;
}

/* Goal: a positive result counts as 0; a failure is what next says, now and later. */
RT_TEST(gen, results)
{
    static const struct {
        int result, seen;
    } cases[] = {{7, 0}, {0, 0}, {-EIO, -EIO}, {-ECANCELED, -ECANCELED}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 0;
        skua_gen *g = make(end_with, (void *)(intptr_t)cases[i].result, 8, 0);
        SKT_EQ(skua_gen_next(g, NULL, &value), 1);
        for (int n = 0; n < 3; n++)
            SKT_EQ(skua_gen_next(g, NULL, &value), cases[i].seen);
        SKT_EQ(skua_gen_throw(g, -EINTR, &value), cases[i].seen);
        SKT_EQ(value, 1);
        skua_gen_free(g);
    }
}

/* Yields the sum of all that was sent. */
static int add_up(skua_gen *g, void *arg)
{
    int64_t sum = 0, in = 0;
    (void)arg;
    for (;;) {
        int rc = skua_gen_yield(g, &sum, &in);
        if (rc < 0)
            return rc;
        sum += in;
        in = 1000; /* zeroes must be written */
    }
}

/* Goal: send() of Python: the first is ignored, NULL is zeroes. */
RT_TEST(gen, values_both_ways)
{
    skua_gen *g = make(add_up, NULL, sizeof(int64_t), sizeof(int64_t));
    int64_t sum = -1, n = 77;
    SKT_EQ(skua_gen_next(g, &n, &sum), 1);
    SKT_EQ(sum, 0);
    for (n = 1; n <= 10; n++)
        SKT_EQ(skua_gen_next(g, &n, &sum), 1);
    SKT_EQ(sum, 55);
    SKT_EQ(skua_gen_next(g, NULL, &sum), 1);
    SKT_EQ(sum, 55);
    n = 5;
    SKT_EQ(skua_gen_next(g, &n, NULL), 1); /* nobody wants the value */
    SKT_EQ(skua_gen_next(g, NULL, &sum), 1);
    SKT_EQ(sum, 60);
    skua_gen_free(g);
}

static int take_and_discard(skua_gen *g, void *arg)
{
    (void)arg;
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    return 0;
}

/* Goal: NULL yields zeroes, and takes nothing in. */
RT_TEST(gen, nothing_yielded)
{
    skua_gen *g = make(take_and_discard, NULL, sizeof(int64_t), sizeof(int64_t));
    int64_t value = 9;
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    SKT_EQ(value, 0);
    SKT_EQ(skua_gen_next(g, &value, NULL), 0);
    skua_gen_free(g);
}

struct sizes {
    size_t out, in;
};

static unsigned char pattern(size_t i, size_t size)
{
    return (unsigned char)(i * 7 + size + 1);
}

static int echo_bytes(skua_gen *g, void *arg)
{
    const struct sizes *s = arg;
    static unsigned char out[SKUA_GEN_VALUE_MAX + 1], in[SKUA_GEN_VALUE_MAX + 1];
    for (size_t i = 0; i < s->out; i++)
        out[i] = pattern(i, s->out);
    in[s->in] = 0xee;
    SKT_EQ(skua_gen_yield(g, out, in), 0);
    for (size_t i = 0; i < s->in; i++)
        SKT_EQ(in[i], pattern(i, s->in));
    SKT_EQ(in[s->in], 0xee);
    return 0;
}

/* Goal: values of any size up to the greatest, each way its own; 0 is allowed. */
RT_TEST(gen, sizes)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 7, 8, 9, 16, 24, 4096, SKUA_GEN_VALUE_MAX};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    static unsigned char out[SKUA_GEN_VALUE_MAX + 1], in[SKUA_GEN_VALUE_MAX];
    for (size_t i = 0; i < SIZES; i++) {
        struct sizes s = {sizes[i], sizes[SIZES - 1 - i]};
        skua_gen *g = make(echo_bytes, &s, s.out, s.in);
        out[s.out] = 0xdd;
        SKT_EQ(skua_gen_next(g, NULL, out), 1);
        for (size_t n = 0; n < s.out; n++)
            SKT_EQ(out[n], pattern(n, s.out));
        SKT_EQ(out[s.out], 0xdd);
        for (size_t n = 0; n < s.in; n++)
            in[n] = pattern(n, s.in);
        SKT_EQ(skua_gen_next(g, in, out), 0);
        skua_gen_free(g);
    }
}

/* ---- throw ---- */

static int survive(skua_gen *g, void *arg)
{
    int64_t in = 5, out = 1;
    SKT_EQ(skua_gen_yield(g, &out, &in), -EIO);
    SKT_EQ(in, 5); /* nothing came in */
    out = 2;
    SKT_EQ(skua_gen_yield(g, &out, &in), 0);
    SKT_EQ(in, 6);
    int rc = skua_gen_yield(g, &out, &in);
    *(int *)arg = rc;
    return rc;
}

/* Goal: the pending yield returns the error; the body may go on, or end with it. */
RT_TEST(gen, throw_in)
{
    int seen = 0;
    int64_t value = 0, in = 6;
    skua_gen *g = make(survive, &seen, sizeof(int64_t), sizeof(int64_t));
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    SKT_EQ(skua_gen_throw(g, 0, &value), -EINVAL);
    SKT_EQ(skua_gen_throw(g, EIO, &value), -EINVAL);
    SKT_EQ(value, 1);
    SKT_EQ(skua_gen_throw(g, -EIO, &value), 1);
    SKT_EQ(value, 2);
    SKT_EQ(skua_gen_next(g, &in, &value), 1);
    SKT_EQ(skua_gen_throw(g, -EPIPE, &value), -EPIPE);
    SKT_EQ(seen, -EPIPE);
    SKT_EQ(skua_gen_next(g, NULL, &value), -EPIPE);
    skua_gen_free(g);
}

static int never(skua_gen *g, void *arg)
{
    (void)g, (void)arg;
    SKT_FAIL("it must not run");
}

/* Goal: one that has not started ends with the error, or is freed, and its body never runs. */
RT_TEST(gen, not_started)
{
    skua_gen *g = make(never, NULL, 0, 0);
    SKT_EQ(skua_gen_throw(g, 1, NULL), -EINVAL);
    SKT_EQ(skua_gen_throw(g, -EIO, NULL), -EIO);
    SKT_EQ(skua_gen_next(g, NULL, NULL), -EIO);
    SKT_EQ(skua_gen_throw(g, -EPIPE, NULL), -EIO);
    skua_gen_free(g);
    skua_gen_free(make(never, NULL, 0, 0));
}

/* ---- misuse ---- */

static int call_oneself(skua_gen *g, void *arg)
{
    (void)arg;
    SKT_EQ(skua_gen_next(g, NULL, NULL), -EINVAL);
    SKT_EQ(skua_gen_throw(g, -EIO, NULL), -EINVAL);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    return 0;
}

/* Goal: a running one gives -EINVAL, and goes on. */
RT_TEST(gen, running)
{
    skua_gen *g = make(call_oneself, NULL, 0, 0);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL); /* not its body */
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL);
    skua_gen_free(g);
}

static int yield_outer(skua_gen *g, void *outer)
{
    SKT_EQ(skua_gen_yield(outer, NULL, NULL), -EINVAL);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    SKT_EQ(skua_gen_yield(outer, NULL, NULL), -EINVAL);
    return 0;
}

static int call_inner(skua_gen *g, void *arg)
{
    (void)arg;
    skua_gen *in = make(yield_outer, g, 0, 0);
    SKT_EQ(skua_gen_next(in, NULL, NULL), 1);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    SKT_EQ(skua_gen_next(in, NULL, NULL), 0);
    skua_gen_free(in);
    return 0;
}

/* Goal: the body of an inner generator is not that of the outer one. */
RT_TEST(gen, yield_of_the_outer)
{
    skua_gen *g = make(call_inner, NULL, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
}

static int yield_as_child(void *g)
{
    return skua_gen_yield(g, NULL, NULL) == -EINVAL ? 0 : -EIO;
}

static void *yield_as_fiber(void *g)
{
    return (void *)(intptr_t)skua_gen_yield(g, NULL, NULL);
}

static int spawn_in_body(skua_gen *g, void *arg)
{
    skua_scope s;
    skua_fiber *f = NULL;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 10; i++)
        SKT_EQ(skua_spawn(&s, yield_as_child, g), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_fiber_new(&f, yield_as_fiber, g, 0), 0);
    SKT_EQ((intptr_t)skua_fiber_switch(f, NULL), -EINVAL);
    skua_fiber_free(f);
    SKT_EQ(skua_gen_yield(g, arg, NULL), 0);
    return 0;
}

/* Goal: nor is a child of the body, also where it runs on the body's stack, nor a fiber. */
RT_TEST(gen, yield_in_a_child)
{
    skua_gen *g = make(spawn_in_body, NULL, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
}

static int yield_with_scope(skua_gen *g, void *arg)
{
    skua_scope s, t;
    int64_t value = 1;
    (void)arg;
    SKT_EQ(skua_gen_yield(g, &value, NULL), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_scope_open(&t, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    value = 2;
    SKT_EQ(skua_gen_yield(g, &value, NULL), -EINVAL);
    SKT_EQ(skua_scope_close(&t, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_yield(g, &value, NULL), -EINVAL);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    value = 3;
    SKT_EQ(skua_gen_yield(g, &value, NULL), 0);
    return 0;
}

/* Goal: no yield, and nothing handed out, while a scope opened in the body is open; those of the
 * caller do not matter, and may differ from call to call. */
RT_TEST(gen, scopes)
{
    skua_scope s, t;
    int64_t value = 0;
    skua_gen *g = make(yield_with_scope, NULL, 8, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    SKT_EQ(skua_scope_open(&t, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    SKT_EQ(value, 3);
    SKT_EQ(skua_scope_close(&t, SKUA_NEVER), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(g, NULL, &value), 0);
    skua_gen_free(g);
}

static int close_scope(skua_gen *g, void *scope)
{
    skua_scope s;
    SKT_EQ(skua_scope_close(scope, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL);
    return skua_scope_close(&s, SKUA_NEVER);
}

/* Goal: the body may close a scope of its caller's, as any function might. */
RT_TEST(gen, closes_the_callers_scope)
{
    skua_scope s;
    skua_gen *g = make(close_scope, &s, 0, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
}
