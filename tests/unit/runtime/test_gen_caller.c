/* tests/unit/runtime/test_gen_caller.c - a generator runs as its caller: as this or that coroutine, in
 * fibers, in callbacks. */
#include "tests/unit/runtime/gen_test.h"

/* ---- it runs as its caller ---- */

static skua_local key;

static int say_who(skua_gen *g, void *arg)
{
    (void)arg;
    for (;;) {
        uint64_t id = skua_id();
        void *value = skua_local_get(key);
        SKT_PTR_EQ(value, skua_self());
        int rc = skua_gen_yield(g, &id, NULL);
        if (rc < 0)
            return rc;
        SKT_EQ(skua_yield(), 0); /* the caller waits here, and may change its worker */
        SKT_GE(skua_stack_left(), (size_t)64 << 10);
    }
}

static int ask_who(void *g)
{
    uint64_t id = 0;
    SKT_EQ(skua_local_set(key, skua_self()), 0);
    SKT_EQ(skua_gen_next(g, NULL, &id), 1);
    SKT_EQ(id, skua_id());
    SKT_GE(skua_stack_left(), (size_t)64 << 10);
    return 0;
}

/* Goal: self, id and locals are those of who calls next, also when that is another each time. */
RT_TEST(gen, runs_as_its_caller)
{
    static _Atomic(bool) x_made;
    if (!atomic_exchange(&x_made, true))
        SKT_EQ(skua_local_key(&key, NULL), 0);
    skua_gen *g = make(say_who, NULL, sizeof(uint64_t), 0);
    for (int i = 0; i < 30; i++) {
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, ask_who, g), 0);
        if (i % 2 != 0) /* not on this stack */
            SKT_EQ(skua_sleep(SKUA_US(50)), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(ask_who(g), 0);
    }
    skua_gen_free(g);
}

struct waiter {
    skua_gen *g;
    skua_event inside, go_on;
    _Atomic(bool) x_ended;
};

static int wait_in_body(skua_gen *g, void *arg)
{
    struct waiter *x = arg;
    (void)g;
    SKT_EQ(skua_event_set(&x->inside), 0);
    return skua_event_wait(&x->go_on, SKUA_NEVER);
}

static int call_waiter(void *arg)
{
    struct waiter *x = arg;
    int rc = skua_gen_next(x->g, NULL, NULL);
    atomic_store(&x->x_ended, true);
    return rc;
}

/* Goal: a body that waits suspends its caller; others get -EINVAL meanwhile, and cannot yield for
 * it. */
RT_TEST(gen, suspends_its_caller)
{
    skua_scope s;
    struct waiter x = {.inside = SKUA_EVENT_INIT, .go_on = SKUA_EVENT_INIT};
    x.g = make(wait_in_body, &x, 0, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, call_waiter, &x), 0);
    SKT_EQ(skua_event_wait(&x.inside, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(x.g, NULL, NULL), -EINVAL);
    SKT_EQ(skua_gen_throw(x.g, -EIO, NULL), -EINVAL);
    SKT_EQ(skua_gen_yield(x.g, NULL, NULL), -EINVAL);
    SKT_FALSE(atomic_load(&x.x_ended));
    SKT_EQ(skua_event_set(&x.go_on), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_TRUE(atomic_load(&x.x_ended));
    SKT_EQ(skua_gen_next(x.g, NULL, NULL), 0);
    skua_gen_free(x.g);
}

static int wait_long(skua_gen *g, void *arg)
{
    (void)g, (void)arg;
    return rt_wait_forever(NULL);
}

static int call_wait_long(void *arg)
{
    skua_gen *g = make(wait_long, arg, 0, 0);
    int rc = skua_gen_next(g, NULL, NULL);
    skua_gen_free(g);
    return rc;
}

/* Goal: cancellation and deadlines are the caller's. */
RT_TEST(gen, cancelled_and_timed_out)
{
    rt_check_ends_early(call_wait_long);
}

/* Goal: a generator calls itself anew, as one that walks a tree does. */
static int walk(skua_gen *g, void *depth)
{
    intptr_t d = (intptr_t)depth;
    int64_t value = d;
    if (d == 0)
        return 0;
    for (int i = 0; i < 2; i++) {
        skua_gen *below = make(walk, (void *)(d - 1), sizeof(int64_t), 0);
        int64_t from_below;
        while (skua_gen_next(below, NULL, &from_below) == 1)
            SKT_EQ(skua_gen_yield(g, &from_below, NULL), 0);
        skua_gen_free(below);
        if (i == 0)
            SKT_EQ(skua_gen_yield(g, &value, NULL), 0);
    }
    return 0;
}

RT_TEST(gen, recursive)
{
    skua_gen *g = make(walk, (void *)6, sizeof(int64_t), 0);
    int64_t value = 0, sum = 0;
    unsigned n = 0;
    for (; skua_gen_next(g, NULL, &value) == 1; n++)
        sum += value;
    SKT_EQ(n, 63u);
    SKT_EQ(sum, 1 * 32 + 2 * 16 + 3 * 8 + 4 * 4 + 5 * 2 + 6);
    skua_gen_free(g);
}

/* ---- with fibers ---- */

struct stuck {
    skua_gen *outer, *inner;
    skua_fiber *root;
};

static int switch_out(skua_gen *g, void *arg)
{
    struct stuck *x = arg;
    SKT_NULL(skua_fiber_switch(x->root, g));
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    skua_fiber_switch(x->root, g);
    SKT_FAIL("it was freed");
}

static int call_switch_out(skua_gen *g, void *arg)
{
    struct stuck *x = arg;
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    SKT_EQ(skua_gen_next(x->inner, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(x->inner, NULL, NULL), 1);
    SKT_FAIL("it was freed");
}

static void *call_outer(void *arg)
{
    struct stuck *x = arg;
    SKT_EQ(skua_gen_next(x->outer, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(x->outer, NULL, NULL), 1);
    SKT_FAIL("it was freed");
}

/* Goal: a fiber that switches away from the body of a generator goes on there; if it is freed there,
 * the generators in whose bodies it stands have ended with -ECANCELED. */
RT_TEST(gen, fiber_in_a_body)
{
    struct stuck x = {.root = skua_fiber_self()};
    skua_fiber *f = NULL;
    x.outer = make(call_switch_out, &x, 0, 0);
    x.inner = make(switch_out, &x, 0, 0);
    SKT_EQ(skua_fiber_new(&f, call_outer, &x, 0), 0);
    SKT_PTR_EQ(skua_fiber_switch(f, &x), x.inner);
    SKT_EQ(skua_gen_next(x.inner, NULL, NULL), -EINVAL); /* it is running, there */
    SKT_PTR_EQ(skua_fiber_switch(f, NULL), x.inner);
    skua_fiber_free(f);
    SKT_EQ(skua_gen_next(x.inner, NULL, NULL), -ECANCELED);
    SKT_EQ(skua_gen_next(x.outer, NULL, NULL), -ECANCELED);
    skua_gen_free(x.inner);
    skua_gen_free(x.outer);
}

static int leave_stuck(void *arg)
{
    struct stuck *x = arg;
    skua_fiber *f = NULL;
    x->root = skua_fiber_self();
    SKT_EQ(skua_fiber_new(&f, call_outer, x, 0), 0);
    SKT_PTR_EQ(skua_fiber_switch(f, x), x->inner);
    SKT_PTR_EQ(skua_fiber_switch(f, NULL), x->inner);
    return 0;
}

/* Goal: so they have when their fiber's coroutine ends. */
RT_TEST(gen, fiber_ends_in_a_body)
{
    struct stuck x;
    skua_scope s;
    x.outer = make(call_switch_out, &x, 0, 0);
    x.inner = make(switch_out, &x, 0, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, leave_stuck, &x), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(x.inner, NULL, NULL), -ECANCELED);
    SKT_EQ(skua_gen_next(x.outer, NULL, NULL), -ECANCELED);
    skua_gen_free(x.inner);
    skua_gen_free(x.outer);
}

/* ---- freed, and its body switches to another fiber ---- */

struct detour {
    skua_gen *g;
    skua_fiber *to;
};

static int clean_up_by_switching(skua_gen *g, void *arg)
{
    const struct detour *d = arg;
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -ECANCELED);
    skua_fiber_switch(d->to, NULL);
    return 0;
}

static void *free_it(void *arg)
{
    const struct detour *d = arg;
    skua_gen_free(d->g);
    return NULL;
}

static void make_detour(struct detour *d)
{
    d->g = make(clean_up_by_switching, d, 0, 0);
    SKT_EQ(skua_gen_next(d->g, NULL, NULL), 1);
}

/* Nothing is left of the shield that held while a body was unwound. */
static void check_unshielded(void)
{
    SKT_EQ(skua_shield(0), 0);
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_sleep(SKUA_MS(1)), -ECANCELED);
}

/* Goal: a fiber that is freed while it frees a generator leaves neither a shield nor the generator. */
RT_TEST(gen, freer_is_freed)
{
    struct detour d = {.to = skua_fiber_self()};
    skua_fiber *f = NULL;
    make_detour(&d);
    SKT_EQ(skua_fiber_new(&f, free_it, &d, 0), 0);
    skua_fiber_switch(f, NULL);
    skua_fiber_free(f);
    check_unshielded();
}

/* Goal: two bodies that are unwound in two fibers, and end in the order in which they began. */
RT_TEST(gen, freed_crosswise)
{
    struct detour first = {.to = skua_fiber_self()}, second;
    skua_fiber *f = NULL;
    make_detour(&first);
    SKT_EQ(skua_fiber_new(&f, free_it, &first, 0), 0);
    second.to = f;
    make_detour(&second);
    skua_fiber_switch(f, NULL);
    skua_gen_free(second.g); /* its body lets the first one end, and f */
    skua_fiber_free(f);
    check_unshielded();
}

static int switch_and_yield(skua_gen *g, void *arg)
{
    const struct detour *d = arg;
    skua_scope s;
    SKT_NULL(skua_fiber_switch(d->to, NULL));
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), -EINVAL); /* this one it has opened */
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

static void *call_twice(void *arg)
{
    struct detour *d = arg;
    SKT_EQ(skua_gen_next(d->g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(d->g, NULL, NULL), 0);
    return NULL;
}

/* Goal: what the coroutine's own function opens while a fiber stands in a body was not opened in
 * it. */
RT_TEST(gen, scope_of_another_fiber)
{
    struct detour d = {.to = skua_fiber_self()};
    skua_fiber *f = NULL;
    skua_scope s;
    d.g = make(switch_and_yield, &d, 0, 0);
    SKT_EQ(skua_fiber_new(&f, call_twice, &d, 0), 0);
    skua_fiber_switch(f, NULL);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    skua_fiber_switch(f, NULL);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_gen_next(d.g, NULL, NULL), 0);
    skua_fiber_free(f);
    skua_gen_free(d.g);
}

/* ---- in callbacks ---- */

static int wait_where_forbidden(skua_gen *g, void *arg)
{
    int64_t value = 4;
    (void)arg;
    SKT_NULL(skua_self());
    SKT_EQ(skua_sleep(SKUA_US(1)), -EPERM);
    SKT_EQ(skua_gen_yield(g, &value, NULL), -ECANCELED);
    return 0;
}

static void use_in_callback(skua_task *task, void *arg)
{
    int64_t value = 0;
    (void)task;
    skua_gen *g = make(wait_where_forbidden, NULL, 8, 0);
    SKT_EQ(skua_gen_next(g, NULL, &value), 1);
    SKT_EQ(value, 4);
    skua_gen_free(g);
    SKT_EQ(skua_gen_yield(*(skua_gen **)arg, NULL, NULL), -EINVAL); /* it is not its body */
    *(skua_gen **)arg = NULL;
}

static int be_called_back(skua_gen *g, void *task)
{
    skua_gen *mine = g;
    SKT_EQ(skua_on_done(task, use_in_callback, &mine), 0);
    SKT_NULL(mine);
    SKT_EQ(skua_gen_yield(g, NULL, NULL), 0);
    return 0;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Goal: a callback uses generators as anybody does, but as nobody; it is not the body that it
 * interrupts. */
RT_TEST(gen, in_a_callback)
{
    skua_scope s;
    skua_task *task;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, nothing, NULL, NULL, &task), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    skua_gen *g = make(be_called_back, task, 0, 0);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 1);
    SKT_EQ(skua_gen_next(g, NULL, NULL), 0);
    skua_gen_free(g);
    skua_task_unref(task);
}
