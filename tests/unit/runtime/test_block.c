/* tests/unit/runtime/test_block.c - skua_block: what runs where, in which order, and what is withdrawn. */
#include <skua/skua.h>

#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/unit/runtime/rt_test.h"

/* ---- what the cases share ---- */

/* A function that blocks its thread until it is let go. */
struct gate {
    _Atomic(int) entered, most, inside; /* all so far; most at a time; now */
    _Atomic(int) open;
};

static int pass_gate(void *arg)
{
    struct gate *g = arg;
    int inside = atomic_fetch_add(&g->inside, 1) + 1, most = atomic_load(&g->most);
    while (most < inside && !atomic_compare_exchange_weak(&g->most, &most, inside))
        ;
    atomic_fetch_add(&g->entered, 1);
    RT_UNTIL(atomic_load(&g->open) != 0);
    atomic_fetch_sub(&g->inside, 1);
    return 7;
}

static int block_in_gate(void *g)
{
    return skua_block(pass_gate, g, SKUA_NEVER);
}

/* A call by a coroutine of its own. */
struct call {
    int (*fn)(void *);
    void *arg;
    skua_time dl;
    _Atomic(int) rc;
    _Atomic(int) begun, called;
    bool shield;
};

static int note_call(void *arg)
{
    struct call *c = arg;
    atomic_fetch_add(&c->called, 1);
    return c->fn != NULL ? c->fn(c->arg) : 7;
}

static int make_call(void *arg)
{
    struct call *c = arg;
    if (c->shield)
        (void)skua_shield(1);
    atomic_store(&c->begun, 1);
    int rc = skua_block(note_call, c, c->dl);
    atomic_store(&c->rc, rc);
    return 0;
}

static skua_task *spawn_call(skua_scope *scope, struct call *c)
{
    skua_task *task;
    SKT_EQ(skua_spawn_opts(scope, make_call, c, NULL, &task), 0);
    RT_UNTIL(atomic_load(&c->begun) == 1 && rt_is_waiting(task));
    return task;
}

static int give(void *arg)
{
    return (int)(intptr_t)arg;
}

static void *number(int n)
{
    return (void *)(intptr_t)n;
}

/* Runs body as a coroutine; at the end no thread is left but those of before. */
static void run(unsigned workers, unsigned threads, int64_t idle_ns, void (*body)(void))
{
    struct rt_body arg = {body};
    skua_config config = SKUA_CONFIG_INIT;
    int before = skt_thread_count();
    config.workers = workers;
    config.block_threads = threads;
    config.block_idle_ns = idle_ns;
    SKT_EQ(skua_run(rt_call_body, &arg, &config), 0);
    SKT_EQ(skt_thread_count(), before);
}

/* A case whose body is a coroutine, with so many threads at most. */
#define BLOCK_TEST(name, threads)                 \
    static void body_of_##name(void);             \
    RT_THREAD_TEST(block, name)                   \
    {                                             \
        run(workers, threads, 0, body_of_##name); \
    }                                             \
    static void body_of_##name(void)

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
        SKT_EQ(sigismember(&blocked, (int[]){SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGHUP}[i]), 1);
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

/* ---- work not begun is withdrawn ---- */

/* The only thread is held by g until the caller opens it. */
static void hold_thread(skua_scope *s, struct gate *g)
{
    SKT_EQ(skua_scope_open(s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(s, block_in_gate, g), 0);
    RT_UNTIL(atomic_load(&g->entered) == 1);
}

static void let_go(skua_scope *s, struct gate *g)
{
    atomic_store(&g->open, 1);
    SKT_EQ(skua_scope_close(s, SKUA_NEVER), 0);
}

/* Goal: by dl, by skua_cancel, by the scope, by the scope's deadline: fn is never called, and who
 * stands before and behind in the queue is served. */
BLOCK_TEST(withdrawn, 1)
{
    struct gate g = {0};
    skua_scope s, cancelled, timed;
    struct call calls[] = {
        {.dl = SKUA_NEVER}, {.dl = skua_in(SKUA_MS(20))}, {.dl = SKUA_NEVER}, {.dl = SKUA_NEVER},
        {.dl = SKUA_NEVER}, {.dl = SKUA_NEVER},           {.dl = SKUA_NEVER},
    };
    skua_task *tasks[7];
    hold_thread(&s, &g);
    for (int i = 0; i < 4; i++)
        tasks[i] = spawn_call(&s, &calls[i]);
    SKT_EQ(skua_scope_open(&cancelled, SKUA_COLLECT, SKUA_NEVER), 0);
    tasks[4] = spawn_call(&cancelled, &calls[4]);
    SKT_EQ(skua_scope_open(&timed, SKUA_COLLECT, skua_in(SKUA_MS(20))), 0);
    tasks[5] = spawn_call(&timed, &calls[5]);
    SKT_EQ(skua_scope_close(&timed, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&calls[5].rc), -ETIMEDOUT);
    skua_scope_cancel(&cancelled);
    SKT_EQ(skua_scope_close(&cancelled, SKUA_NEVER), -ECANCELED);
    SKT_EQ(atomic_load(&calls[4].rc), -ECANCELED);
    tasks[6] = spawn_call(&s, &calls[6]);
    SKT_EQ(skua_cancel(tasks[2]), 1);
    SKT_EQ(skua_join(tasks[2], NULL, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&calls[2].rc), -ECANCELED);
    SKT_EQ(skua_join(tasks[1], NULL, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&calls[1].rc), -ETIMEDOUT);
    for (int i = 0; i < 7; i++)
        SKT_EQ(atomic_load(&calls[i].called), 0);
    let_go(&s, &g);
    for (int i = 0; i < 7; i++) {
        bool served = i == 0 || i == 3 || i == 6;
        SKT_EQ(atomic_load(&calls[i].called), served);
        if (served)
            SKT_EQ(atomic_load(&calls[i].rc), 7);
        skua_task_unref(tasks[i]);
    }
}

/* A call that runs until its deadline, or its scope's, has passed; false if it came too late even to
 * begin. */
static bool runs_past(int64_t ns, bool by_scope)
{
    struct gate g = {0};
    skua_time dl = skua_in(ns);
    struct call c = {.fn = pass_gate, .arg = &g, .dl = by_scope ? SKUA_NEVER : dl};
    skua_scope s;
    skua_task *task;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, by_scope ? dl : SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, make_call, &c, NULL, &task), 0);
    RT_UNTIL(atomic_load(&g.entered) == 1 || skua_task_state(task) == SKUA_DONE);
    bool begun = atomic_load(&g.entered) == 1;
    RT_UNTIL(skua_now() > dl + SKUA_MS(5));
    SKT_EQ(skua_task_state(task), begun ? SKUA_RUNNING : SKUA_DONE);
    atomic_store(&g.open, 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&c.rc), begun ? 7 : -ETIMEDOUT);
    SKT_EQ(atomic_load(&c.called), begun);
    skua_task_unref(task);
    return begun;
}

/* Goal: what runs when its time comes is waited for, and its result is what is returned. */
BLOCK_TEST(outlasts_deadline, 1)
{
    for (int64_t ns = SKUA_MS(10); !runs_past(ns, false); ns *= 2)
        SKT_LT(ns, RT_PATIENCE_NS);
    for (int64_t ns = SKUA_MS(10); !runs_past(ns, true); ns *= 2)
        SKT_LT(ns, RT_PATIENCE_NS);
}

/* Goal: so is what runs when it is cancelled, however often. */
BLOCK_TEST(outlasts_cancel, 2)
{
    struct gate g = {0};
    struct call calls[2] = {{.fn = pass_gate, .arg = &g, .dl = SKUA_NEVER},
                            {.fn = pass_gate, .arg = &g, .dl = skua_in(SKUA_MS(100))}};
    skua_scope s;
    skua_task *tasks[2];
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int i = 0; i < 2; i++)
        tasks[i] = spawn_call(&s, &calls[i]);
    RT_UNTIL(atomic_load(&g.entered) == 2 || skua_now() > calls[1].dl);
    for (int i = 0; i < 5; i++) {
        SKT_EQ(skua_cancel(tasks[0]), 1);
        skua_scope_cancel(&s);
        (void)skua_yield();
    }
    SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(5))), -EBUSY);
    SKT_EQ(skua_task_state(tasks[0]), SKUA_RUNNING);
    atomic_store(&g.open, 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    for (int i = 0; i < 2; i++) {
        SKT_EQ(atomic_load(&calls[i].rc), atomic_load(&calls[i].called) ? 7 : -ETIMEDOUT);
        skua_task_unref(tasks[i]);
    }
    SKT_EQ(atomic_load(&calls[0].called), 1);
}

/* Goal: a shield hides the cancellation: the call stays in the queue, and is made. */
BLOCK_TEST(shielded, 1)
{
    struct gate g = {0};
    struct call c = {.dl = SKUA_NEVER, .shield = true};
    skua_scope s;
    hold_thread(&s, &g);
    skua_task *task = spawn_call(&s, &c);
    SKT_EQ(skua_cancel(task), 1);
    for (int i = 0; i < 100; i++)
        SKT_EQ(skua_yield(), 0);
    SKT_EQ(skua_task_state(task), SKUA_RUNNING);
    let_go(&s, &g);
    SKT_EQ(atomic_load(&c.rc), 7);
    SKT_EQ(atomic_load(&c.called), 1);
    skua_task_unref(task);
}

/* ---- what is refused at once ---- */

static int never_called(void *arg)
{
    (void)arg;
    SKT_FAIL("a call that was refused was made");
    return 0;
}

static int refuse_cancelled(void *arg)
{
    (void)arg;
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(skua_block(never_called, NULL, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_block(never_called, NULL, rt_past()), -ECANCELED);
    SKT_EQ(skua_block(never_called, NULL, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_shield(1), 0);
    SKT_EQ(skua_block(give, number(4), SKUA_NEVER), 4);
    SKT_EQ(skua_shield(0), 1);
    return skua_block(never_called, NULL, SKUA_NEVER);
}

static _Atomic(int) x_refused;

static void refuse_in_callback(void *arg)
{
    (void)arg;
    SKT_EQ(skua_block(never_called, NULL, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_block(never_called, NULL, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_block(NULL, NULL, SKUA_NEVER), -EINVAL);
    atomic_fetch_add(&x_refused, 1);
}

static void refuse_when_done(skua_task *task, void *arg)
{
    (void)task;
    refuse_in_callback(arg);
}

static void refuse_misuse(void)
{
    SKT_EQ(skua_block(NULL, NULL, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_block(never_called, NULL, -1), -EINVAL);
    SKT_EQ(skua_block(never_called, NULL, SKUA_MS(5)), -EINVAL);
    SKT_EQ(skua_block(never_called, NULL, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_block(never_called, NULL, rt_past()), -ETIMEDOUT);
}

BLOCK_TEST(refused, 2)
{
    skua_scope s;
    skua_timer timer;
    skua_task *task;
    int result = 0;
    refuse_misuse();
    atomic_store(&x_refused, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, refuse_cancelled, NULL, NULL, &task), 0);
    SKT_EQ(skua_on_done(task, refuse_when_done, NULL), 0);
    SKT_EQ(skua_timer_start(&timer, skua_now(), refuse_in_callback, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_join(task, &result, SKUA_NOW), 0);
    SKT_EQ(result, -ECANCELED);
    skua_task_unref(task);
    RT_UNTIL(atomic_load(&x_refused) == 2);
    /* A scope whose deadline has passed. */
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, rt_past()), 0);
    SKT_EQ(skua_block(never_called, NULL, SKUA_NEVER), -ETIMEDOUT);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* Goal: no loop of calls that fail at once starves others. */
static int fail_until(void *arg)
{
    RT_SPIN_UNTIL(skua_block(never_called, NULL, SKUA_NOW) != -EAGAIN ||
                  atomic_load((_Atomic(int) *)arg));
    return 0;
}

static int set(void *arg)
{
    atomic_store((_Atomic(int) *)arg, 1);
    return 0;
}

BLOCK_TEST(no_starving, 1)
{
    _Atomic(int) x = 0;
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, set, (void *)&x), 0);
    SKT_EQ(fail_until((void *)&x), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* ---- plain threads ---- */

static int own_thread(void *arg)
{
    return *(pid_t *)arg == gettid();
}

static void *block_as_thread(void *arg)
{
    pid_t me = gettid();
    refuse_misuse();
    SKT_EQ(skua_block(own_thread, &me, SKUA_NEVER), 1);
    SKT_EQ(skua_block(own_thread, &me, skua_in(RT_PATIENCE_NS)), 1);
    SKT_EQ(skua_block(give, number(-3), SKUA_NEVER), -3);
    return arg;
}

/* Goal: a plain thread makes the call itself, with a runtime and without. */
SKT_TEST(block, plain_thread)
{
    (void)block_as_thread(NULL);
    rt_start(2);
    int before = skt_thread_count();
    (void)block_as_thread(NULL);
    (void)rt_thread_join(rt_thread(block_as_thread, NULL));
    SKT_EQ(skt_thread_count(), before);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    (void)block_as_thread(NULL);
}

static void refuse_for_future(skua_future *f, void *arg)
{
    (void)f;
    refuse_in_callback(arg);
}

/* Goal: in a callback it is refused there too. */
SKT_TEST(block, plain_callback)
{
    skua_future *f;
    atomic_store(&x_refused, 0);
    SKT_EQ(skua_future_new(&f, 0), 0);
    SKT_EQ(skua_future_on_done(f, refuse_for_future, NULL), 0);
    SKT_EQ(skua_future_set(f, NULL), 0);
    SKT_EQ(atomic_load(&x_refused), 1);
    skua_future_unref(f);
}
