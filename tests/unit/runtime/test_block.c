/* tests/unit/runtime/test_block.c - skua_block: what runs where, in which order, in how many threads.
 * What is not begun stands in test_block_ends.c. */
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/unit/runtime/block_test.h"

/* ---- where fn runs, and what it returns ---- */

static int look_around(void *arg)
{
    char name[16] = "";
    sigset_t blocked;
    SKT_NULL(skua_self());
    SKT_EQ(skua_id(), 0);
    SKT_EQ(skua_worker(), UINT_MAX);
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(prctl(PR_GET_NAME, name), 0);
    SKT_EQ(strncmp(name, "skua-block-", 11), 0);
    SKT_EQ(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    for (size_t i = 0; i < 5; i++)
        SKT_EQ(sigismember(&blocked, (int[]){SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGHUP}[i]), 0);
    *(int *)arg = 11;
    return 12;
}

/* Goal: fn gets arg, its result comes back unchanged, and it runs in a plain thread of the pool. */
BLOCK_TEST(result, 2)
{
    static const int results[] = {0, 1, -1, -ECANCELED, -EAGAIN, INT_MAX, INT_MIN};
    int on_stack = 0;
    skua_task *self = skua_self();
    SKT_EQ(skua_block(look_around, &on_stack, SKUA_NEVER), 12);
    SKT_EQ(on_stack, 11);
    SKT_PTR_EQ(skua_self(), self);
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        SKT_EQ(skua_block(give, number(results[i]), SKUA_NEVER), results[i]);
        SKT_EQ(skua_block(give, number(results[i]), skua_in(RT_PATIENCE_NS)), results[i]);
    }
}

static int open_gate(void *arg)
{
    struct gate *g = arg;
    RT_UNTIL(atomic_load(&g->entered) == 1);
    for (int i = 0; i < 100; i++)
        SKT_EQ(skua_yield(), 0);
    SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    atomic_store(&g->open, 1);
    return 0;
}

/* Goal: the caller's worker goes on with others, even if it is the only one. */
BLOCK_TEST(holds_no_worker, 1)
{
    struct gate g = {0};
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, open_gate, &g), 0);
    SKT_EQ(block_in_gate(&g), 7);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

static int block_pinned(void *arg)
{
    unsigned worker = skua_worker();
    skua_pin();
    for (int i = 0; i < 20; i++) {
        SKT_EQ(skua_block(give, number(i), SKUA_NEVER), i);
        SKT_EQ(skua_worker(), worker);
    }
    skua_unpin();
    return skua_block(give, arg, SKUA_NEVER);
}

/* Goal: children on their closer's stack may call it, and pinned ones. */
BLOCK_TEST(inline_and_pinned, 2)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int i = 0; i < 10; i++)
        SKT_EQ(skua_spawn(&s, block_pinned, number(-5)), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -5);
}

static int nest(void *arg)
{
    pid_t *thread = arg;
    SKT_EQ(skua_block(give, number(1), SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_block(give, number(1), rt_past()), -ETIMEDOUT);
    if (*thread == gettid())
        return 3;
    *thread = gettid();
    return skua_block(nest, arg, SKUA_NEVER);
}

static int stop_inside(void *arg)
{
    (void)arg;
    SKT_EQ(skua_start(NULL), -EALREADY);
    return skua_stop(SKUA_NEVER);
}

static int call_inside(void *arg)
{
    return skua_call(block_pinned, arg, SKUA_NEVER);
}

/* Goal: what fn calls of skua works as in a plain thread; skua_block is a plain call there. */
BLOCK_TEST(inside, 2)
{
    pid_t thread = 0;
    SKT_EQ(skua_block(nest, &thread, SKUA_NEVER), 3);
    SKT_EQ(skua_block(stop_inside, NULL, SKUA_NEVER), -EDEADLK);
    SKT_EQ(skua_block(call_inside, number(9), SKUA_NEVER), 9);
}

static int send_ten(void *arg)
{
    for (int i = 0; i < 10; i++)
        SKT_EQ(skua_chan_send(arg, &i, SKUA_NEVER), 0);
    return skua_chan_close(arg);
}

static int receive_ten(void *arg)
{
    int got, n = 0;
    while (skua_chan_recv(arg, &got, SKUA_NEVER) == 0)
        SKT_EQ(got, n++);
    return n;
}

/* Goal: fn and coroutines talk over a channel. */
BLOCK_TEST(channel, 1)
{
    skua_chan *c;
    skua_scope s;
    skua_task *receiver;
    int n;
    SKT_EQ(skua_chan_new(&c, sizeof(int), 0, 0), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, receive_ten, c, NULL, &receiver), 0);
    SKT_EQ(skua_block(send_ten, c, SKUA_NEVER), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_join(receiver, &n, SKUA_NOW), 0);
    SKT_EQ(n, 10);
    skua_task_unref(receiver);
    skua_chan_unref(c);
}

/* ---- how many threads ---- */

/* Goal: one coroutine's calls, one after the other, need one thread. */
BLOCK_TEST(one_after_the_other, 8)
{
    int before = skt_thread_count();
    for (int i = 0; i < 200; i++)
        SKT_EQ(skua_block(give, number(i), SKUA_NEVER), i);
    SKT_EQ(skt_thread_count(), before + 1);
}

enum { MANY = 1000, FEW = 3 };

static int tick(void *arg)
{
    struct gate *g = arg;
    int before = skt_thread_count();
    RT_UNTIL(atomic_load(&g->entered) == FEW);
    for (int i = 0; i < 500; i++) {
        SKT_EQ(skua_yield(), 0);
        SKT_EQ(atomic_load(&g->entered), FEW);
    }
    SKT_LE(skt_thread_count(), before + FEW);
    atomic_store(&g->open, 1);
    return 0;
}

/* Goal: a thousand calls at once start no more threads than they may, and hold no worker; each is
 * made once. */
BLOCK_TEST(thousand, FEW)
{
    static struct gate g;
    skua_scope s;
    int before = skt_thread_count();
    memset(&g, 0, sizeof(g));
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, tick, &g), 0);
    for (int i = 0; i < MANY; i++)
        SKT_EQ(skua_spawn(&s, block_in_gate, &g), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&g.entered), MANY);
    SKT_EQ(atomic_load(&g.most), FEW);
    SKT_EQ(skt_thread_count(), before + FEW);
}

static void five_then_rest(void)
{
    struct gate g = {0};
    skua_scope s;
    int before = skt_thread_count();
    for (int i = 0; i < 3; i++) {
        atomic_store(&g.open, 0);
        atomic_store(&g.entered, 0);
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        for (int j = 0; j < 5; j++)
            SKT_EQ(skua_spawn(&s, block_in_gate, &g), 0);
        RT_UNTIL(atomic_load(&g.entered) == 5);
        SKT_EQ(skt_thread_count(), before + 5);
        atomic_store(&g.open, 1);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        RT_UNTIL(skt_thread_count() == before);
    }
}

/* Goal: idle threads leave, and others come when they are needed again. */
RT_THREAD_TEST(block, idle_ones_leave)
{
    run(workers, 5, SKUA_MS(2), five_then_rest);
}

static void use_one_of_five(void)
{
    struct gate g = {0};
    skua_scope s;
    int before = skt_thread_count();
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int j = 0; j < 5; j++)
        SKT_EQ(skua_spawn(&s, block_in_gate, &g), 0);
    RT_UNTIL(atomic_load(&g.entered) == 5);
    atomic_store(&g.open, 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    int64_t end = skt_now_ns() + RT_PATIENCE_NS;
    while (skt_thread_count() > before + 1) { /* one is kept in use */
        SKT_EQ(skua_block(give, number(0), SKUA_NEVER), 0);
        SKT_LT(skt_now_ns(), end);
    }
}

/* Goal: the newest idle thread is taken, so that those which are not needed get old. */
RT_THREAD_TEST(block, spare_ones_leave)
{
    run(workers, 5, SKUA_MS(100), use_one_of_five);
}

static int order[100];
static _Atomic(int) x_ordered;

static int note_order(void *arg)
{
    order[atomic_fetch_add(&x_ordered, 1)] = (int)(intptr_t)arg;
    return 0;
}

static int block_to_note(void *arg)
{
    return skua_block(note_order, arg, SKUA_NEVER);
}

static uint64_t sum_of(size_t offset)
{
    uint64_t sum = 0, one;
    for (unsigned i = 0; i < skua_workers(); i++) {
        skua_stats_view view = SKUA_STATS_VIEW_INIT;
        SKT_EQ(skua_stats(&view, i), 0);
        memcpy(&one, (char *)&view + offset, sizeof(one));
        sum += one;
    }
    return sum;
}

/* Goal: first come, first served; those that must wait are counted. */
BLOCK_TEST(order, 1)
{
    struct gate g = {0};
    skua_scope s;
    atomic_store(&x_ordered, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, block_in_gate, &g), 0);
    RT_UNTIL(atomic_load(&g.entered) == 1);
    for (int i = 0; i < 100; i++) {
        skua_task *task;
        SKT_EQ(skua_spawn_opts(&s, block_to_note, number(i), NULL, &task), 0);
        RT_UNTIL(rt_is_waiting(task));
        skua_task_unref(task);
    }
    atomic_store(&g.open, 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    for (int i = 0; i < 100; i++)
        SKT_EQ(order[i], i);
    SKT_EQ(sum_of(offsetof(skua_stats_view, blocks)), 101);
    SKT_EQ(sum_of(offsetof(skua_stats_view, block_waits)), 100);
}
