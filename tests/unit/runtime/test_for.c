/* tests/unit/runtime/test_for.c - the parallel loop. */
#include <skua/skua.h>

#include <string.h>

#include "tests/unit/runtime/rt_test.h"

enum { N = 5000 };

static _Atomic(unsigned char) x_hits[N];

struct loop {
    size_t grain; /* no range is longer; 0: not checked */
    _Atomic(int) pieces;
    _Atomic(int) cancelled;
    size_t fails_at;
};

static int hit(size_t begin, size_t end, void *arg)
{
    struct loop *l = arg;
    SKT_LT(begin, end);
    SKT_LE(end, N);
    if (l->grain != 0)
        SKT_LE(end - begin, l->grain);
    atomic_fetch_add(&l->pieces, 1);
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&x_hits[i], 1);
    if (begin % 97 == 0)
        skua_yield();
    return 3; /* positive is success */
}

static void check_hits(size_t n)
{
    for (size_t i = 0; i < N; i++)
        SKT_EQ(atomic_load(&x_hits[i]), i < n);
    memset((void *)x_hits, 0, sizeof(x_hits));
}

static void cover(void)
{
    static const size_t sizes[] = {1, 2, 3, 17, 1000, N}, grains[] = {1, 2, 7, 64, N, SIZE_MAX, 0};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t g = 0; g < sizeof(grains) / sizeof(grains[0]); g++) {
            struct loop l = {.grain = grains[g]};
            SKT_EQ(skua_for(sizes[i], grains[g], hit, &l, SKUA_NEVER), 0);
            check_hits(sizes[i]);
            SKT_BETWEEN(atomic_load(&l.pieces), 1, sizes[i]);
        }
    }
}

/* Goal: every index exactly once, in ranges no longer than the grain. */
RT_TEST(for, covers)
{
    cover();
}

/* Goal: from a plain thread too. */
RT_THREAD_TEST(for, plain_thread)
{
    struct loop l = {.grain = 1};
    SKT_EQ(skua_for(5, 1, hit, &l, SKUA_NEVER), -ESHUTDOWN);
    rt_start(workers);
    cover();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

static int fail_at(size_t begin, size_t end, void *arg)
{
    struct loop *l = arg;
    if (begin <= l->fails_at && l->fails_at < end)
        return -EIO;
    int rc = rt_wait_forever(NULL); /* until the failure cancels the rest */
    SKT_EQ(rc, -ECANCELED);
    atomic_fetch_add(&l->cancelled, 1);
    return rc;
}

/* Goal: the first failure cancels the rest and is what is returned; wherever it happens. */
RT_TEST(for, failure)
{
    static const size_t at[] = {0, 1, 50, 98, 99};
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        struct loop l = {.fails_at = at[i]};
        SKT_EQ(skua_for(100, 1, fail_at, &l, SKUA_NEVER), -EIO);
        SKT_EQ(skua_cancelled(), 0);
        SKT_LE(atomic_load(&l.cancelled), 99);
    }
}

static int wait_it_out(size_t begin, size_t end, void *arg)
{
    (void)begin, (void)end;
    int rc = skua_sleep(SKUA_S(1000));
    SKT_TRUE(rc == *(int *)arg || rc == -ECANCELED); /* the first failure cancels the rest */
    return rc;
}

static int loop_until_cancelled(void *arg)
{
    return skua_for(20, 1, wait_it_out, arg, SKUA_NEVER);
}

/* Goal: dl is a deadline for the waits inside; a cancellation of the caller reaches them. */
RT_TEST(for, deadline_and_cancel)
{
    int want = -ETIMEDOUT, result = 0;
    skua_scope s;
    skua_task *task;
    SKT_EQ(skua_for(20, 1, wait_it_out, &want, skua_in(SKUA_MS(2))), -ETIMEDOUT);
    SKT_EQ(skua_for(20, 1, wait_it_out, &want, rt_past()), -ETIMEDOUT);
    want = -ECANCELED;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, loop_until_cancelled, &want, NULL, &task), 0);
    SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    SKT_EQ(skua_cancel(task), 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_join(task, &result, SKUA_NEVER), 0);
    SKT_EQ(result, -ECANCELED);
    skua_task_unref(task);
}

static int never_called(size_t begin, size_t end, void *arg)
{
    SKT_FAIL("called for %zu..%zu %p", begin, end, arg);
}

/* Goal: nothing to do, and bad arguments. */
RT_TEST(for, arguments)
{
    SKT_EQ(skua_for(0, 1, never_called, NULL, SKUA_NEVER), 0);
    SKT_EQ(skua_for(0, 0, never_called, NULL, SKUA_NOW), 0);
    SKT_EQ(skua_for(5, 1, NULL, NULL, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_for(5, 1, never_called, NULL, -1), -EINVAL);
    SKT_EQ(skua_for(5, 1, never_called, NULL, SKUA_MS(1)), -EINVAL);
}

static int nest(size_t begin, size_t end, void *arg)
{
    return skua_for(end - begin, 3, hit, arg, SKUA_NEVER);
}

/* Goal: loops nest. */
RT_TEST(for, nested)
{
    struct loop l = {.grain = 3};
    SKT_EQ(skua_for(100, 100, nest, &l, SKUA_NEVER), 0);
    check_hits(100);
}
