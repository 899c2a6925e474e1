/* tests/unit/runtime/test_worker.c - the threads that run coroutines: who one is, errno, batches,
 * rest. */
#include "runtime/worker.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <skua/skua.h>

#include "runtime/base/mem.h"
#include "tests/unit/runtime/rt_test.h"

static _Atomic(int) x_seen[8];

static int note_worker(void *arg)
{
    unsigned want = *(unsigned *)arg;
    SKT_EQ(skua_worker(), want);
    atomic_fetch_add(&x_seen[want], 1);
    return 0;
}

/* Goal: every worker has its number, and runs what is bound to it, wherever that was spawned. */
RT_TEST(worker, index)
{
    static unsigned index[8];
    skua_scope s;
    SKT_LT(skua_worker(), skua_workers());
    for (int i = 0; i < 8; i++)
        atomic_store(&x_seen[i], 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (unsigned i = 0; i < 8; i++)
        index[i] = i;
    for (unsigned n = 0; n < 100; n++) {
        skua_task_opts o = SKUA_TASK_OPTS_INIT;
        unsigned i = n % skua_workers();
        o.worker = i + 1;
        SKT_EQ(skua_spawn_opts(&s, note_worker, &index[i], &o, NULL), 0);
    }
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    for (unsigned n = 0; n < skua_workers(); n++)
        SKT_GE(atomic_load(&x_seen[n]), 100 / (int)skua_workers());
}

/* Goal: in a plain thread, with a runtime and without. */
SKT_TEST(worker, plain_thread)
{
    SKT_EQ(skua_worker(), UINT_MAX);
    SKT_EQ(skua_workers(), 0);
    rt_start(3);
    SKT_EQ(skua_worker(), UINT_MAX);
    SKT_EQ(skua_workers(), 3);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(skua_workers(), 0);
}

static int fail_calls(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        errno = 0;
        SKT_EQ(close(-1), -1);
        SKT_EQ(errno, EBADF); /* whatever thread it runs in by now */
        skua_yield();
        SKT_EQ(read(-1, NULL, 0), -1);
        SKT_EQ(errno, EBADF);
        SKT_EQ(access("/there/is/no/such/file", F_OK), -1);
        SKT_EQ(errno, ENOENT);
        if (i % 10 == 0)
            SKT_EQ(skua_sleep(1000), 0);
    }
    return 0;
}

/* Goal: errno is the calling thread's after every move (llvm #49257, #47179: it is cached). */
RT_TEST(worker, errno_after_moves)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 30; i++)
        SKT_EQ(skua_spawn(&s, fail_calls, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

static int count_up(void *arg)
{
    for (int i = 0; i < 50; i++)
        skua_yield();
    SKT_EQ(skua_sleep(SKUA_US(100)), 0);
    atomic_fetch_add((_Atomic(int) *)arg, 1);
    return 0;
}

static int use_batches(void *arg)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 100; i++)
        SKT_EQ(skua_spawn(&s, count_up, arg), 0);
    return skua_scope_close(&s, SKUA_NEVER);
}

/* Goal: the shortest and the longest batch and slice. */
RT_THREAD_TEST(worker, batches)
{
    static const unsigned batches[] = {1, 2, 65536};
    static const int64_t slices[] = {SKUA_US(10), SKUA_US(200), SKUA_S(1)};
    for (int i = 0; i < 9; i++) {
        skua_config config = SKUA_CONFIG_INIT;
        _Atomic(int) count = 0;
        config.workers = workers;
        config.batch = batches[i % 3];
        config.slice_ns = slices[i / 3];
        SKT_EQ(skua_run(use_batches, &count, &config), 0);
        SKT_EQ(atomic_load(&count), 100);
    }
}

static uint64_t wakeups(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < skua_workers(); i++) {
        skua_stats_view view = SKUA_STATS_VIEW_INIT;
        SKT_EQ(skua_stats(&view, i), 0);
        sum += view.wakeups + view.dispatches;
    }
    return sum;
}

static uint64_t wakeups_in_a_while(void)
{
    uint64_t before = wakeups();
    poll(NULL, 0, 200);
    return wakeups() - before;
}

/* Goal: idle costs nothing: no wakeup at all once everything has come to rest. */
RT_THREAD_TEST(worker, idle)
{
    _Atomic(int) count = 0;
    rt_start(workers);
    SKT_EQ(skua_call(use_batches, &count, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, rt_wait_forever, NULL), 0);
    RT_UNTIL(wakeups_in_a_while() == 0 && wakeups_in_a_while() == 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* Goal: a worker that cannot have its queues says so, and leaves nothing. */
SKT_TEST(worker, no_memory)
{
    static struct sk_worker worker;
    for (long n = 1; n <= 2; n++) {
        memset(&worker, 0, sizeof(worker));
        sk_mem_fail_after(n);
        SKT_EQ(sk_worker_init(&worker, 0), -ENOMEM);
        sk_mem_fail_after(0);
        sk_worker_free(&worker);
    }
}
