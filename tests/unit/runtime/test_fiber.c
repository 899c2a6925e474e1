/* tests/unit/runtime/test_fiber.c - fibers: making, switching, parents, freeing. That each is its
 * coroutine, and what ends the process, stands in test_fiber_owner.c; what they do without a runtime in
 * test_plain.c. */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/mem.h"
#include "runtime/stack.h"
#include "tests/unit/runtime/fiber_test.h"

/* ---- making and switching ---- */

/* Goal: what makes no fiber says so, and leaves *f alone. */
RT_TEST(fiber, bad_arguments)
{
    skua_fiber *f = (skua_fiber *)(void *)&a;
    SKT_EQ(skua_fiber_new(NULL, give_back, NULL, 0), -EINVAL);
    SKT_EQ(skua_fiber_new(&f, NULL, NULL, 0), -EINVAL);
    SKT_EQ(skua_fiber_new(&f, give_back, NULL, SK_STACK_PROMISE_MAX + 1), -EINVAL);
    SKT_EQ(skua_fiber_new(&f, give_back, NULL, SIZE_MAX), -EINVAL);
    SKT_PTR_EQ(f, &a);
    SKT_EQ(skua_fiber_new(&f, give_back, NULL, SK_STACK_PROMISE_MAX), 0);
    SKT_PTR_EQ(skua_fiber_switch(f, &b), &b);
    skua_fiber_free(f);
    skua_fiber_free(NULL);
}

static void run_out_of_memory(void)
{
    skua_fiber *f = NULL;
    /* What coroutines with fibers keep, the home, the fiber. */
    for (int n = 1; n <= 3; n++) {
        sk_mem_fail_after(1);
        SKT_EQ(skua_fiber_new(&f, give_back, NULL, 0), -ENOMEM);
        if (n == 1)
            SKT_EQ(skua_set_name("x"), 0);
        if (n == 2)
            SKT_NOT_NULL(skua_fiber_self());
    }
    SKT_NULL(f);
    SKT_EQ(skua_fiber_new(&f, give_back, NULL, 0), 0);
    SKT_PTR_EQ(skua_fiber_switch(f, &a), &a);
    skua_fiber_free(f);
}

/* Goal: -ENOMEM, and nothing is lost by it. */
RT_THREAD_TEST(fiber, no_memory)
{
    rt_run_quietly(workers, run_out_of_memory);
}

/* Goal: nothing runs before the first switch; that calls fn(value), or fn(arg) for NULL; the result
 * is what the parent's switch returns. */
RT_TEST(fiber, first_switch)
{
    skua_fiber *f = make(give_back, &a);
    SKT_PTR_EQ(skua_fiber_switch(f, &b), &b);
    skua_fiber_free(f);
    f = make(give_back, &a);
    SKT_PTR_EQ(skua_fiber_switch(f, NULL), &a);
    skua_fiber_free(f);
    f = make(give_back, NULL);
    SKT_NULL(skua_fiber_switch(f, NULL));
    skua_fiber_free(f);
}

/* Goal: each switch returns what is switched back, NULL too. */
RT_TEST(fiber, values_both_ways)
{
    skua_fiber *f = make(bounce, NULL);
    SKT_PTR_EQ(skua_fiber_switch(f, &a), &a);
    SKT_PTR_EQ(skua_fiber_switch(f, &b), &b);
    SKT_NULL(skua_fiber_switch(f, NULL));
    SKT_PTR_EQ(skua_fiber_switch(f, &c), &c);
    skua_fiber_free(f);
}

static skua_fiber *ring[3];
static char trace[16];
static unsigned traced;

static void *go_round(void *arg)
{
    size_t me = (size_t)((skua_fiber **)arg - ring);
    for (int i = 0; i < 3; i++) {
        SKT_PTR_EQ(skua_fiber_self(), ring[me]);
        trace[traced++] = (char)('0' + me);
        void *value = skua_fiber_switch(ring[(me + 1) % 3], &ring[(me + 1) % 3]);
        SKT_PTR_EQ(value, &ring[me]);
    }
    return NULL;
}

/* Goal: any fiber switches to any other of its coroutine. */
RT_TEST(fiber, symmetric)
{
    traced = 0;
    for (int i = 0; i < 3; i++)
        ring[i] = make(go_round, NULL);
    SKT_NULL(skua_fiber_switch(ring[0], &ring[0]));
    SKT_EQ(traced, 9u);
    SKT_MEM_EQ(trace, "012012012", 9);
    for (int i = 0; i < 3; i++)
        skua_fiber_free(ring[i]);
}

static void *switch_to_self(void *value)
{
    SKT_PTR_EQ(skua_fiber_switch(skua_fiber_self(), &b), &b);
    return value;
}

/* Goal: a switch to oneself returns the value at once. */
RT_TEST(fiber, to_oneself)
{
    SKT_PTR_EQ(skua_fiber_switch(skua_fiber_self(), &a), &a);
    SKT_NULL(skua_fiber_switch(skua_fiber_self(), NULL));
    skua_fiber *f = make(switch_to_self, NULL);
    SKT_PTR_EQ(skua_fiber_switch(f, &a), &a);
    skua_fiber_free(f);
}

/* ---- self and parent ---- */

static void *check_family(void *root)
{
    SKT_PTR_NE(skua_fiber_self(), root);
    SKT_PTR_EQ(skua_fiber_parent(), root);
    return skua_fiber_self();
}

/* Goal: outside any fiber self is the coroutine's own, always the same, with no parent. */
RT_TEST(fiber, self_and_parent)
{
    skua_fiber *root = skua_fiber_self();
    SKT_NOT_NULL(root);
    SKT_NULL(skua_fiber_parent());
    skua_fiber *f = make(check_family, NULL);
    SKT_PTR_EQ(skua_fiber_switch(f, root), f);
    SKT_PTR_EQ(skua_fiber_self(), root);
    SKT_NULL(skua_fiber_parent());
    skua_fiber_free(f);
}

static skua_fiber *inner;

static void *make_inner(void *fn)
{
    inner = make(*(void *(**)(void *))fn, NULL);
    void *value = skua_fiber_switch(skua_fiber_parent(), &a);
    SKT_PTR_EQ(value, &b);
    return value;
}

static void *(*plain_give_back)(void *) = give_back;
static void *(*plain_bounce)(void *) = bounce;

/* Goal: the parent is who made it, not who switched to it; its result goes there. */
RT_TEST(fiber, parent_is_the_maker)
{
    skua_fiber *maker = make(make_inner, NULL);
    SKT_PTR_EQ(skua_fiber_switch(maker, &plain_give_back), &a);
    /* inner -> its result to maker -> its result to here. */
    SKT_PTR_EQ(skua_fiber_switch(inner, &b), &b);
    SKT_PTR_EQ(skua_fiber_switch(maker, &c), &c); /* it has ended: its parent is here */
    skua_fiber_free(inner);
    skua_fiber_free(maker);
}

/* Goal: a switch to one that has ended goes to its nearest live parent, and so does the result of one
 * whose parent has ended or was freed. */
RT_TEST(fiber, nearest_live_parent)
{
    skua_fiber *maker = make(make_inner, NULL);
    SKT_PTR_EQ(skua_fiber_switch(maker, &plain_bounce), &a);
    SKT_PTR_EQ(skua_fiber_switch(maker, &b), &b); /* maker ends first */
    SKT_PTR_EQ(skua_fiber_switch(maker, &a), &a);
    SKT_PTR_EQ(skua_fiber_switch(inner, &a), &a); /* its parent is now here */
    SKT_PTR_EQ(skua_fiber_switch(inner, &c), &c); /* it ends, and so comes here */
    SKT_PTR_EQ(skua_fiber_switch(inner, &b), &b);
    skua_fiber_free(maker);
    SKT_PTR_EQ(skua_fiber_switch(inner, &a), &a);
    skua_fiber_free(inner);

    maker = make(make_inner, NULL);
    SKT_PTR_EQ(skua_fiber_switch(maker, &plain_bounce), &a);
    skua_fiber_free(maker); /* while it is suspended */
    SKT_PTR_EQ(skua_fiber_switch(inner, &a), &a);
    SKT_PTR_EQ(skua_fiber_switch(inner, &c), &c);
    skua_fiber_free(inner);
}

static void *free_parent(void *arg)
{
    skua_fiber *grandparent = arg;
    skua_fiber_free(skua_fiber_parent());
    SKT_PTR_EQ(skua_fiber_parent(), grandparent);
    return &b;
}

static void *run_inner(void *arg)
{
    inner = make(free_parent, NULL);
    skua_fiber_switch(inner, arg);
    SKT_FAIL("it was freed");
}

/* Goal: the running fiber may free those that led to it. */
RT_TEST(fiber, free_the_parent)
{
    skua_fiber *outer = make(run_inner, NULL);
    SKT_PTR_EQ(skua_fiber_switch(outer, skua_fiber_self()), &b);
    skua_fiber_free(inner);
}

/* ---- freeing ---- */

static unsigned unwound;

static void note_unwound(const int *x)
{
    unwound += x != NULL;
}

static void *suspend(void *value)
{
    int guard __attribute__((cleanup(note_unwound), unused)) = 0;
    skua_fiber_switch(skua_fiber_parent(), value);
    return NULL;
}

static bool same_stack(const void *p, const void *q)
{
    ptrdiff_t distance = (const char *)p - (const char *)q;
    return distance < (64 << 10) && distance > -(64 << 10);
}

/* Goal: a suspended fiber that is freed gives its stack back, and is not unwound; one that never
 * began never runs. */
RT_TEST(fiber, free_suspended)
{
    enum { MANY = 3000 };
    unwound = 0;
    for (int i = 0; i < MANY; i++) {
        skua_fiber *f = make(suspend, NULL);
        SKT_PTR_EQ(skua_fiber_switch(f, &a), &a);
        skua_fiber_free(f);
        skua_fiber_free(make(suspend, NULL));
    }
    SKT_EQ(unwound, 0u);
}

static void *stack_top(void *value)
{
    return (char *)__builtin_frame_address(0) + (value == NULL);
}

/* Goal: the stack of one that has ended goes back at once, before it is freed; so does that of one
 * that is freed while suspended. */
RT_TEST(fiber, stack_goes_back)
{
    skua_fiber *first = make(stack_top, NULL), *second;
    void *top = skua_fiber_switch(first, &a);
    second = make(stack_top, NULL);
    SKT_TRUE(same_stack(skua_fiber_switch(second, &a), top));
    skua_fiber_free(second);
    second = make(suspend, NULL);
    skua_fiber_switch(second, &a);
    skua_fiber_free(second);
    second = make(stack_top, NULL);
    SKT_TRUE(same_stack(skua_fiber_switch(second, &a), top));
    skua_fiber_free(second);
    skua_fiber_free(first);
}

static int leave_fibers(void *arg)
{
    (void)arg;
    skua_fiber *f[4];
    SKT_EQ(skua_set_name("leaver"), 0);
    for (int i = 0; i < 4; i++)
        f[i] = make(i < 2 ? suspend : give_back, NULL);
    SKT_PTR_EQ(skua_fiber_switch(f[0], &a), &a);
    SKT_PTR_EQ(skua_fiber_switch(f[2], &a), &a);
    return 0;
}

/* Goal: a coroutine that ends frees its fibers, whatever they were doing. */
RT_TEST(fiber, end_of_coroutine)
{
    enum { ROUNDS = 50, EACH = 20 };
    for (int i = 0; i < ROUNDS; i++) {
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        for (int n = 0; n < EACH; n++)
            SKT_EQ(skua_spawn(&s, leave_fibers, NULL), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}
