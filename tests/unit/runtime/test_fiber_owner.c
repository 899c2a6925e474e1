/* tests/unit/runtime/test_fiber_owner.c - a fiber is the coroutine that has made it, in every way; who
 * else uses it ends the process. */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/mem.h"
#include "runtime/stack.h"
#include "tests/unit/runtime/fatal.h"
#include "tests/unit/runtime/fiber_test.h"

/* ---- it is the coroutine ---- */

struct identity {
    skua_task *self;
    uint64_t id;
    skua_local key;
};

static void *check_identity(void *arg)
{
    const struct identity *x = arg;
    for (int i = 0; i < 20; i++) {
        SKT_PTR_EQ(skua_self(), x->self);
        SKT_EQ(skua_id(), x->id);
        SKT_PTR_EQ(skua_local_get(x->key), &a);
        SKT_GE(skua_stack_left(), (size_t)64 << 10);
        SKT_LE(skua_stack_used(), (size_t)64 << 10);
        SKT_EQ(skua_sleep(i % 2 != 0 ? SKUA_US(50) : 0), 0);
    }
    return &b;
}

static int use_fiber_that_waits(void *arg)
{
    struct identity x = {skua_self(), skua_id(), *(skua_local *)arg};
    SKT_EQ(skua_local_set(x.key, &a), 0);
    skua_fiber *f = make(check_identity, NULL);
    SKT_PTR_EQ(skua_fiber_switch(f, &x), &b);
    skua_fiber_free(f);
    return 0;
}

/* Goal: a fiber that waits suspends its coroutine, which goes on in it, on whatever worker; self,
 * id, locals and the measures of the stack are right on both sides of it. */
RT_TEST(fiber, waits_as_its_coroutine)
{
    static skua_local key;
    static _Atomic(bool) x_made;
    if (!atomic_exchange(&x_made, true))
        SKT_EQ(skua_local_key(&key, NULL), 0);
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 10; i++)
        SKT_EQ(skua_spawn(&s, use_fiber_that_waits, &key), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

static void *wait_forever(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)rt_wait_forever(NULL);
}

static int wait_in_fiber(void *arg)
{
    (void)arg;
    skua_fiber *f = make(wait_forever, NULL);
    intptr_t rc = (intptr_t)skua_fiber_switch(f, NULL);
    skua_fiber_free(f);
    return (int)rc;
}

/* Goal: cancellation and deadlines are the coroutine's. */
RT_TEST(fiber, cancelled_and_timed_out)
{
    rt_check_ends_early(wait_in_fiber);
}

static void *stay_pinned(void *arg)
{
    for (int i = 0; i < 20; i++) {
        SKT_EQ(skua_worker(), *(unsigned *)arg);
        SKT_EQ(skua_sleep(SKUA_US(20)), 0);
    }
    return NULL;
}

/* Goal: so is a pin, and a shield. */
RT_TEST(fiber, pinned_and_shielded)
{
    skua_pin();
    unsigned worker = skua_worker();
    skua_fiber *f = make(stay_pinned, NULL);
    SKT_NULL(skua_fiber_switch(f, &worker));
    skua_unpin();
    skua_fiber_free(f);
}

static _Atomic(int) x_sum;

static int add(void *n)
{
    atomic_fetch_add(&x_sum, (int)(intptr_t)n);
    return 0;
}

static void *fork_and_join(void *arg)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (intptr_t i = 1; i <= 100; i++)
        SKT_EQ(skua_spawn(&s, add, (void *)i), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return arg;
}

/* Goal: a fiber opens and closes scopes; children run on its stack where that is large enough. */
RT_TEST(fiber, scopes_inside)
{
    static const size_t sizes[] = {0, 1 << 20};
    for (int i = 0; i < 2; i++) {
        skua_fiber *f = NULL;
        atomic_store(&x_sum, 0);
        SKT_EQ(skua_fiber_new(&f, fork_and_join, NULL, sizes[i]), 0);
        SKT_PTR_EQ(skua_fiber_switch(f, &a), &a);
        SKT_EQ(atomic_load(&x_sum), 5050);
        skua_fiber_free(f);
    }
}

static skua_fiber *of_the_closer;

static int child_with_fibers(void *arg)
{
    (void)arg;
    SKT_PTR_NE(skua_fiber_self(), of_the_closer);
    SKT_NULL(skua_fiber_parent());
    skua_fiber *f = make(bounce, NULL);
    SKT_PTR_EQ(skua_fiber_switch(f, &a), &a);
    SKT_EQ(skua_yield(), 0);
    SKT_PTR_EQ(skua_fiber_switch(f, &b), &b);
    return 0;
}

/* Goal: a child that runs on its closer's stack has fibers of its own. */
RT_TEST(fiber, of_an_inline_child)
{
    skua_scope s;
    of_the_closer = skua_fiber_self();
    skua_fiber *f = make(bounce, NULL);
    SKT_PTR_EQ(skua_fiber_switch(f, &a), &a);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 8; i++)
        SKT_EQ(skua_spawn(&s, child_with_fibers, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_PTR_EQ(skua_fiber_self(), of_the_closer);
    SKT_PTR_EQ(skua_fiber_switch(f, &c), &c);
    skua_fiber_free(f);
}

static void *open_and_close(void *scope)
{
    SKT_EQ(skua_scope_close(scope, SKUA_NEVER), 0);
    return skua_fiber_switch(skua_fiber_parent(), &a);
}

/* Goal: the coroutine's own function may switch with scopes open; a fiber may close what it did not
 * open. */
RT_TEST(fiber, scopes_of_the_root)
{
    skua_scope s, t;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    skua_fiber *f = make(bounce, NULL);
    SKT_PTR_EQ(skua_fiber_switch(f, &a), &a);
    SKT_EQ(skua_scope_open(&t, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_PTR_EQ(skua_fiber_switch(f, &a), &a);
    SKT_EQ(skua_scope_close(&t, SKUA_NEVER), 0);
    SKT_PTR_EQ(skua_fiber_switch(f, &c), &c);
    skua_fiber_free(f);
    f = make(open_and_close, NULL);
    SKT_PTR_EQ(skua_fiber_switch(f, &s), &a);
    skua_fiber_free(f);
}

static void *measure(void *arg)
{
    (void)arg;
    return (void *)skua_stack_left();
}

/* Goal: stack_size is what is promised; less than the default is the default. */
RT_TEST(fiber, stack_size)
{
    static const size_t asked[] = {0, 1, 16 << 10, 300 << 10, 4 << 20};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        skua_fiber *f = NULL;
        size_t least = asked[i] > sk_stack_default_bytes() ? asked[i] : sk_stack_default_bytes();
        SKT_EQ(skua_fiber_new(&f, measure, NULL, asked[i]), 0);
        SKT_GE((size_t)skua_fiber_switch(f, NULL), least);
        skua_fiber_free(f);
    }
}

static void called_back(skua_task *task, void *arg)
{
    skua_fiber *f = NULL;
    SKT_NOT_NULL(task);
    SKT_EQ(skua_fiber_new(&f, give_back, NULL, 0), -EPERM);
    SKT_NULL(skua_fiber_self());
    SKT_NULL(skua_fiber_parent());
    *(bool *)arg = true;
}

/* Goal: in a callback there is nobody whose fiber it could be. */
RT_TEST(fiber, in_a_callback)
{
    bool called = false;
    skua_scope s;
    skua_task *task;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, add, NULL, NULL, &task), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_on_done(task, called_back, &called), 0);
    SKT_TRUE(called);
    skua_task_unref(task);
}

/* ---- what ends the process ---- */

static void *open_and_switch(void *arg)
{
    skua_scope s;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    return skua_fiber_switch(skua_fiber_parent(), NULL);
}

static void *open_and_return(void *arg)
{
    static skua_scope s;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    return NULL;
}

static int switches_with_scope(void *arg)
{
    (void)arg;
    skua_set_name("careless");
    skua_fiber_switch(make(open_and_switch, NULL), NULL);
    return 0;
}

static int returns_with_scope(void *arg)
{
    (void)arg;
    skua_set_name("careless");
    skua_fiber_switch(make(open_and_return, NULL), NULL);
    return 0;
}

static skua_fiber *foreign;

static int switch_to_foreign(void *arg)
{
    (void)arg;
    skua_fiber_switch(foreign, NULL);
    return 0;
}

static int free_foreign(void *arg)
{
    (void)arg;
    skua_fiber_free(foreign);
    return 0;
}

static int spawn_one(int (*fn)(void *))
{
    skua_scope s;
    foreign = make(give_back, NULL);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, fn, NULL), 0);
    return skua_scope_close(&s, SKUA_NEVER);
}

static int switches_to_foreign(void *arg)
{
    (void)arg;
    return spawn_one(switch_to_foreign);
}

static int frees_foreign(void *arg)
{
    (void)arg;
    return spawn_one(free_foreign);
}

static void switch_in_callback(skua_task *task, void *arg)
{
    (void)task;
    skua_fiber_switch(arg, NULL);
}

static int switches_in_callback(void *arg)
{
    skua_scope s;
    skua_task *task;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, add, NULL, NULL, &task), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return skua_on_done(task, switch_in_callback, make(give_back, NULL));
}

static void *free_self(void *arg)
{
    skua_fiber_free(skua_fiber_self());
    return arg;
}

static int frees_running(void *arg)
{
    (void)arg;
    skua_fiber_switch(make(free_self, NULL), NULL);
    return 0;
}

static void *free_root(void *arg)
{
    skua_fiber_free(skua_fiber_parent());
    return arg;
}

static int frees_root(void *arg)
{
    (void)arg;
    skua_fiber_switch(make(free_root, NULL), NULL);
    return 0;
}

static int frees_root_outside(void *arg)
{
    (void)arg;
    skua_fiber_free(skua_fiber_self());
    return 0;
}

static int switches_to_nobody(void *arg)
{
    (void)arg;
    skua_fiber_switch(NULL, NULL);
    return 0;
}

/* Goal: leaving a scope open names the coroutine, the fiber and the scope. */
RT_THREAD_TEST(fiber, scope_left_open)
{
    CHECK_FATAL(workers, switches_with_scope, SIGABRT, "(careless)", "its fiber at 0x",
                "switched away with the scope at 0x");
    CHECK_FATAL(workers, returns_with_scope, SIGABRT, "(careless)", "its fiber at 0x",
                "returned with the scope at 0x");
}

/* Goal: only its owner uses a fiber. */
RT_THREAD_TEST(fiber, of_another)
{
    CHECK_FATAL(workers, switches_to_foreign, SIGABRT, "skua_fiber_switch: the fiber at 0x",
                "belongs to another");
    CHECK_FATAL(workers, frees_foreign, SIGABRT, "skua_fiber_free: the fiber at 0x",
                "belongs to another");
    CHECK_FATAL(workers, switches_in_callback, SIGABRT, "skua_fiber_switch: the fiber at 0x",
                "callback");
}

/* Goal: what cannot be freed, or switched to, is named with the remedy. */
RT_THREAD_TEST(fiber, misused)
{
    CHECK_FATAL(workers, frees_running, SIGABRT, "skua_fiber_free: the fiber at 0x", "is running",
                "switch to another");
    CHECK_FATAL(workers, frees_root, SIGABRT, "skua_fiber_free: the fiber at 0x", "never freed");
    CHECK_FATAL(workers, frees_root_outside, SIGABRT, "skua_fiber_free: the fiber at 0x");
    CHECK_FATAL(workers, switches_to_nobody, SIGABRT, "skua_fiber_switch", "expected one");
}

/* Writes its way down, a page at a time at most. */
__attribute__((noinline)) static int overflow(volatile char *above, size_t left)
{
    volatile char here[512];
    here[0] = above[0];
    here[511] = (char)left;
    return left == 0 ? 0 : overflow(here, left - 1) + here[511];
}

static void *run_out_of_stack(void *arg)
{
    volatile char first = 1;
    (void)arg;
    return (void *)(intptr_t)overflow(&first, SIZE_MAX);
}

static int overflows(void *arg)
{
    (void)arg;
    skua_fiber *f = NULL;
    skua_set_name("greedy");
    SKT_EQ(skua_fiber_new(&f, run_out_of_stack, NULL, 256 << 10), 0);
    skua_fiber_switch(f, NULL);
    return 0;
}

/* Goal: a guard hit on a fiber's stack is reported as a coroutine's is. */
RT_THREAD_TEST(fiber, overflow)
{
    CHECK_FATAL(workers, overflows, SIGSEGV, "stack overflow", "(greedy)", "262144 bytes promised",
                "skua_fiber_new");
}
