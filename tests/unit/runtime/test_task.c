/* tests/unit/runtime/test_task.c - records: identity, reuse, references. */
#include <skua/skua.h>

#include <stdlib.h>

#include "runtime/base/mem.h"
#include "runtime/task.h"
#include "tests/unit/runtime/rt_test.h"

enum { IDS_MAX = 60000 };

static uint64_t ids[IDS_MAX];
static _Atomic(unsigned) x_ids;

static int note_id(void *arg)
{
    (void)arg;
    uint64_t id = skua_id();
    SKT_GE(id, 1);
    SKT_EQ(skua_id(), id);
    unsigned at = atomic_fetch_add(&x_ids, 1);
    SKT_LT(at, IDS_MAX);
    ids[at] = id;
    return 0;
}

static void note_many(void)
{
    note_id(NULL);
    for (int round = 0; round < 10; round++) {
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        for (uint64_t i = skt_scaled(200); i > 0; i--)
            SKT_EQ(skua_spawn(&s, note_id, NULL), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void check_unique(void)
{
    unsigned n = atomic_load(&x_ids);
    qsort(ids, n, sizeof(ids[0]), compare);
    for (unsigned i = 1; i < n; i++)
        SKT_NE(ids[i - 1], ids[i]);
}

/* Goal: no two coroutines have one id, though records are used again. */
RT_THREAD_TEST(task, ids)
{
    atomic_store(&x_ids, 0);
    rt_run(workers, note_many);
    check_unique();
}

/* Goal: nor do those of runtimes that came after each other. */
RT_THREAD_TEST(task, ids_across_runtimes)
{
    atomic_store(&x_ids, 0);
    for (int i = 0; i < 4; i++)
        rt_run(workers, note_many);
    check_unique();
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void ping_pong_batch(unsigned to)
{
    skua_scope s;
    skua_task_opts o = SKUA_TASK_OPTS_INIT;
    o.worker = to;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 1000; i++)
        SKT_EQ(skua_spawn_opts(&s, nothing, NULL, &o, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* Goal: records that are spawned on one worker and end on another come back. Method: what 30,000
 * more spawns would need if none came back is 88 allocations of 341 records; what workers may
 * keep is 36. */
static void reuse_records(void)
{
    skua_pin();
    unsigned other = (skua_worker() + 1) % skua_workers();
    for (int i = 0; i < 30; i++)
        ping_pong_batch(other + 1);
    sk_mem_fail_after(60);
    for (int i = 0; i < 30; i++)
        ping_pong_batch(other + 1);
    sk_mem_fail_after(0);
    skua_unpin();
}

RT_THREAD_TEST(task, records_come_back)
{
    rt_run_quietly(workers, reuse_records);
}

/* Goal: without memory a spawn fails, and nothing of it is left. */
static void spawn_without_memory(void)
{
    enum { MANY = 100000 };
    skua_scope s;
    char bytes[65] = {0};
    int rc = 0, spawned = 0;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    sk_mem_fail_after(1);
    rc = skua_spawn_copy(&s, nothing, bytes, sizeof(bytes));
    sk_mem_fail_after(0);
    SKT_EQ(rc, -ENOMEM);
    sk_mem_fail_after(1);
    rc = skua_spawn_opts(&s, nothing, NULL,
                         &(skua_task_opts){.size = sizeof(skua_task_opts), .name = "named"}, NULL);
    sk_mem_fail_after(0);
    SKT_EQ(rc, -ENOMEM);
    for (rc = 0; rc == 0 && spawned < MANY; spawned++) {
        sk_mem_fail_after(1);
        rc = skua_spawn(&s, nothing, NULL); /* until the free records are used up */
        sk_mem_fail_after(0);
    }
    SKT_TRUE(rc == -ENOMEM || skua_workers() > 1); /* thieves give records back */
    RT_UNTIL(skua_spawn(&s, nothing, NULL) == 0);  /* a thief may have found no stack meanwhile */
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

RT_THREAD_TEST(task, no_memory)
{
    rt_run_quietly(workers, spawn_without_memory);
}

static void *use_proxy(void *arg)
{
    struct skua_task *proxy = sk_task_proxy();
    SKT_NOT_NULL(proxy);
    SKT_PTR_EQ(sk_task_proxy(), proxy);
    SKT_TRUE((proxy->flags & SK_TASK_PROXY) != 0);
    *(struct skua_task **)arg = proxy;
    return NULL;
}

static unsigned proxies;

static void count_proxy(struct skua_task *proxy)
{
    SKT_TRUE((proxy->flags & SK_TASK_PROXY) != 0);
    proxies++;
}

/* Goal: a plain thread has one proxy for its life; the next thread gets what it gave back. */
SKT_TEST(task, proxies)
{
    struct skua_task *mine = sk_task_proxy(), *first, *second;
    rt_thread_join(rt_thread(use_proxy, &first));
    rt_thread_join(rt_thread(use_proxy, &second));
    SKT_PTR_NE(first, mine);
    SKT_PTR_EQ(first, second);
    proxies = 0;
    sk_task_each_proxy(count_proxy);
    SKT_EQ(proxies, 1);
}

/* Goal: a plain thread is nobody. */
SKT_TEST(task, plain_thread)
{
    SKT_NULL(skua_self());
    SKT_EQ(skua_id(), 0);
    SKT_EQ(skua_set_name("thread"), -EPERM);
    skua_pin();
    skua_unpin();
    SKT_EQ(skua_yield(), 0);
    SKT_EQ(skua_cancelled(), 0);
}
