/* tests/unit/runtime/test_inline.c - children that run on their closer's stack: nobody can tell.
 * Newest first, they run there whenever nobody has taken them up; with one worker that is all of
 * them. What holds is the same either way, and SKUA_CHAOS=noinline runs these cases the other way
 * round. */
#include <skua/skua.h>

#include <stdlib.h>
#include <string.h>

#include "runtime/local.h"
#include "tests/unit/runtime/rt_test.h"

static void open_scope(skua_scope *s, unsigned flags)
{
    SKT_EQ(skua_scope_open(s, flags, SKUA_NEVER), 0);
}

static void spawn(skua_scope *s, int (*fn)(void *), void *arg)
{
    SKT_EQ(skua_spawn(s, fn, arg), 0);
}

static uint64_t inline_runs(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < skua_workers(); i++) {
        skua_stats_view view = SKUA_STATS_VIEW_INIT;
        SKT_EQ(skua_stats(&view, i), 0);
        sum += view.inline_runs;
    }
    return sum;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static bool no_chaos(void)
{
    const char *chaos = getenv("SKUA_CHAOS");
    return chaos == NULL || *chaos == '\0';
}

/* Goal: it does happen, and not where the closer is pinned, bound, or has a deadline. */
static uint64_t run_inline(void)
{
    skua_scope s;
    uint64_t before = inline_runs();
    open_scope(&s, SKUA_FAIL_FAST);
    for (int i = 0; i < 100; i++)
        spawn(&s, nothing, NULL);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_LE(inline_runs() - before, 100);
    return inline_runs() - before;
}

RT_TEST(inline, happens)
{
    skua_scope s;
    if (no_chaos() && skua_workers() == 1)
        RT_UNTIL(run_inline() >= 50); /* less than all where a slice was over */
    uint64_t before = inline_runs();
    open_scope(&s, SKUA_FAIL_FAST);
    skua_pin();
    for (int i = 0; i < 100; i++)
        spawn(&s, nothing, NULL);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    skua_unpin();
    open_scope(&s, SKUA_FAIL_FAST);
    for (int i = 0; i < 100; i++)
        spawn(&s, nothing, NULL);
    SKT_EQ(skua_scope_close(&s, skua_in(RT_PATIENCE_NS)), 0);
    SKT_EQ(inline_runs() - before, 0);
}

struct identity {
    skua_local key;
    skua_task *parent;
    uint64_t parent_id;
    skua_mutex held;
    _Atomic(uint64_t) ids;
};

static int be_somebody(void *arg)
{
    struct identity *x = arg;
    skua_task *self = skua_self();
    uint64_t id = skua_id();
    SKT_PTR_NE(self, x->parent);
    SKT_NE(id, x->parent_id);
    SKT_STR_EQ(sk_local_name(self), "unnamed");
    SKT_EQ(skua_set_name("child"), 0);
    SKT_NULL(skua_local_get(x->key));
    SKT_EQ(skua_local_set(x->key, &x->ids), 0);
    SKT_EQ(skua_mutex_trylock(&x->held), -EAGAIN); /* the parent's, not one's own */
    SKT_EQ(skua_mutex_unlock(&x->held), -EPERM);
    SKT_EQ(skua_mutex_lock(&x->held, skua_in(1000)), -ETIMEDOUT);
    SKT_EQ(skua_join(x->parent, NULL, SKUA_NOW), -EAGAIN); /* not oneself */
    SKT_EQ(skua_task_state(x->parent), SKUA_RUNNING);
    SKT_EQ(skua_task_state(self), SKUA_RUNNING);
    SKT_EQ(skua_shield(1), 0); /* the parent's is up */
    skua_yield();
    SKT_PTR_EQ(skua_self(), self);
    SKT_EQ(skua_id(), id);
    SKT_STR_EQ(sk_local_name(self), "child");
    SKT_PTR_EQ(skua_local_get(x->key), &x->ids);
    atomic_fetch_add(&x->ids, 1);
    return 0;
}

/* Goal: self, id, name, locals, mutex ownership, shield are the child's, and the parent's come
 * back. */
RT_TEST(inline, identity)
{
    skua_scope s;
    struct identity x = {.parent = skua_self(), .parent_id = skua_id()};
    SKT_EQ(skua_local_key(&x.key, NULL), 0);
    SKT_EQ(skua_local_set(x.key, &x), 0);
    SKT_EQ(skua_set_name("parent"), 0);
    SKT_EQ(skua_mutex_lock(&x.held, SKUA_NEVER), 0);
    SKT_EQ(skua_shield(1), 0);
    open_scope(&s, SKUA_FAIL_FAST);
    for (int i = 0; i < 40; i++)
        spawn(&s, be_somebody, &x);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_shield(0), 1);
    SKT_PTR_EQ(skua_self(), x.parent);
    SKT_EQ(skua_id(), x.parent_id);
    SKT_STR_EQ(sk_local_name(skua_self()), "parent");
    SKT_PTR_EQ(skua_local_get(x.key), &x);
    SKT_EQ(skua_mutex_unlock(&x.held), 0);
    SKT_EQ(atomic_load(&x.ids), 40);
}

struct lend {
    skua_task *closer, *child;
    skua_event inside, go;
    int closer_joins;
};

static int wait_on_lent_stack(void *arg)
{
    struct lend *x = arg;
    skua_event_set(&x->inside);
    SKT_EQ(skua_event_wait(&x->go, SKUA_NEVER), 0); /* its closer's cancellation is not its own */
    return 0;
}

static int lend_stack(void *arg)
{
    struct lend *x = arg;
    skua_scope s;
    SKT_EQ(skua_shield(1), 0); /* so that the scope is out of reach */
    open_scope(&s, SKUA_FAIL_FAST);
    SKT_EQ(skua_shield(0), 1);
    spawn(&s, wait_on_lent_stack, x);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_cancelled(), 1);
    return rt_wait_forever(NULL);
}

/* Goal: a closer whose stack is lent is not woken by a cancellation; it sees it afterwards. */
RT_TEST(inline, lent_closer_is_cancelled)
{
    skua_scope s;
    struct lend x = {.closer_joins = 0};
    open_scope(&s, SKUA_FAIL_FAST);
    SKT_EQ(skua_spawn_opts(&s, lend_stack, &x, NULL, &x.closer), 0);
    SKT_EQ(skua_event_wait(&x.inside, SKUA_NEVER), 0);
    SKT_EQ(skua_cancel(x.closer), 1);
    for (int i = 0; i < 10; i++)
        skua_yield();
    SKT_EQ(skua_join(x.closer, NULL, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    skua_event_set(&x.go);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_task_state(x.closer), SKUA_CANCELLED);
    skua_task_unref(x.closer);
}

static int wait_until_cancelled(void *arg)
{
    *(int *)arg = rt_wait_forever(NULL);
    return *(int *)arg;
}

static int cancel_other(void *arg)
{
    SKT_EQ(skua_cancel(arg), 1);
    SKT_EQ(skua_cancelled(), 0);
    return 0;
}

/* Goal: skua_cancel on such a child reaches it, and neither its siblings nor the closer. */
RT_TEST(inline, child_is_cancelled)
{
    skua_scope s;
    skua_task *task;
    int waited = 0;
    open_scope(&s, SKUA_FAIL_FAST);
    SKT_EQ(skua_spawn_opts(&s, wait_until_cancelled, &waited, NULL, &task), 0);
    spawn(&s, cancel_other, task);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(waited, -ECANCELED);
    SKT_EQ(skua_task_state(task), SKUA_CANCELLED);
    SKT_EQ(skua_cancelled(), 0);
    skua_task_unref(task);
}

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

/* Goal: the failure of a child that ran there cancels the siblings that have not started: they
 * run. */
RT_TEST(inline, failure)
{
    skua_scope s;
    int waited[3] = {0};
    open_scope(&s, SKUA_FAIL_FAST);
    for (int i = 0; i < 3; i++)
        spawn(&s, wait_until_cancelled, &waited[i]);
    spawn(&s, fail, NULL);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -EIO);
    for (int i = 0; i < 3; i++)
        SKT_EQ(waited[i], -ECANCELED);
}

struct chain {
    int left;
    _Atomic(int) *reached;
};

static int go_deeper(void *arg)
{
    struct chain c = *(struct chain *)arg;
    volatile char room[700];
    skua_scope s;
    memset((void *)(uintptr_t)room, c.left & 0x7f, sizeof(room));
    atomic_fetch_add(c.reached, 1);
    if (c.left-- == 0)
        return 0;
    open_scope(&s, SKUA_FAIL_FAST);
    SKT_EQ(skua_spawn_copy(&s, go_deeper, &c, sizeof(c)), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(room[699], (c.left + 1) & 0x7f);
    return 0;
}

/* Goal: no depth of scopes overflows a stack: a child runs inline only where its promise is
 * left. */
RT_TEST(inline, deep)
{
    skua_scope s;
    _Atomic(int) reached = 0;
    struct chain c = {(int)skt_scaled(2000), &reached};
    open_scope(&s, SKUA_FAIL_FAST);
    spawn(&s, go_deeper, &c);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&reached), c.left + 1);
}

struct fib {
    int n, result;
};

static int fib(void *arg)
{
    struct fib *f = arg, left = {f->n - 1, 0}, right = {f->n - 2, 0};
    skua_scope s;
    if (f->n < 2) {
        f->result = f->n;
        return 0;
    }
    open_scope(&s, SKUA_FAIL_FAST);
    spawn(&s, fib, &left);
    spawn(&s, fib, &right);
    if (f->n % 5 == 0)
        skua_yield();
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    f->result = left.result + right.result;
    return 0;
}

/* Goal: fork and join, with thieves about and yields in between, computes what it should. */
RT_TEST(inline, fib)
{
    struct fib f = {18, 0};
    for (int i = 0; i < 5; i++) {
        SKT_EQ(fib(&f), 0);
        SKT_EQ(f.result, 2584);
    }
}

static int wander(void *arg)
{
    for (int i = 0; i < 5; i++) {
        SKT_EQ(skua_sleep(SKUA_US(50)), 0);
        SKT_EQ(skua_yield(), 0);
    }
    atomic_fetch_add((_Atomic(int) *)arg, 1);
    return 0;
}

static int close_wanderers(void *arg)
{
    skua_scope s;
    open_scope(&s, SKUA_FAIL_FAST);
    for (int i = 0; i < 10; i++)
        spawn(&s, wander, arg);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

/* Goal: such children suspend, with their closer below them, and go on wherever. */
RT_TEST(inline, suspends)
{
    skua_scope s;
    _Atomic(int) ended = 0;
    open_scope(&s, SKUA_FAIL_FAST);
    for (int i = 0; i < 20; i++)
        spawn(&s, close_wanderers, &ended);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&ended), 200);
}

static int meddle(void *arg)
{
    skua_task *self = skua_task_ref(skua_self());
    (void)arg;
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_cancel(self), 1);
    skua_task_unref(self);
    return 0;
}

/* Goal: whatever such a child did to itself, the next one begins afresh. */
RT_TEST(inline, leaves_nothing)
{
    for (int i = 0; i < 20; i++) {
        skua_scope s;
        open_scope(&s, SKUA_FAIL_FAST);
        for (int n = 0; n < 3; n++)
            spawn(&s, meddle, NULL);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}
