/* tests/unit/runtime/test_inject.c - the run queue that anybody may push to. */
#include "runtime/inject.h"

#include "tests/unit/runtime/rt_test.h"

enum { PRODUCERS = 3, CONSUMERS = 2, EACH = 20000 };

static struct sk_inject queue;
static struct skua_task tasks[PRODUCERS * 64];

/* Goal: first in, first out, without a bound; empty says so. */
SKT_TEST(inject, order)
{
    struct sk_inject q = {.head = NULL};
    SKT_NULL(sk_inject_pop(&q));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++)
            sk_inject_push(&q, &tasks[i]);
        SKT_EQ(sk_inject_len(&q), 100);
        for (int i = 0; i < 100; i++)
            SKT_PTR_EQ(sk_inject_pop(&q), &tasks[i]);
        SKT_EQ(sk_inject_len(&q), 0);
        SKT_NULL(sk_inject_pop(&q));
    }
}

static struct sk_inject back;
static _Atomic(uint64_t) x_taken;
static uint64_t wanted;

/* Takes records from `back`, puts them into the queue. */
static void *produce(void *arg)
{
    for (uint64_t i = 0; i < wanted / PRODUCERS; i++) {
        struct skua_task *task;
        RT_SPIN_UNTIL((task = sk_inject_pop(&back)) != NULL);
        task->arg = arg;
        sk_inject_push(&queue, task);
    }
    return NULL;
}

static void *consume(void *arg)
{
    (void)arg;
    while (atomic_load(&x_taken) < wanted) {
        struct skua_task *task = sk_inject_pop(&queue);
        if (task == NULL)
            continue;
        SKT_PTR_EQ(task->arg, &queue);
        task->arg = NULL;
        sk_inject_push(&back, task);
        atomic_fetch_add(&x_taken, 1);
    }
    return NULL;
}

/* Goal: many who push and many who pop lose nothing and find nothing twice. */
SKT_TEST(inject, tokens_once)
{
    pthread_t threads[PRODUCERS + CONSUMERS];
    wanted = skt_scaled(EACH) * PRODUCERS;
    atomic_store(&x_taken, 0);
    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++)
        sk_inject_push(&back, &tasks[i]);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        threads[i] = rt_thread(i < PRODUCERS ? produce : consume, &queue);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        rt_thread_join(threads[i]);
    SKT_EQ(atomic_load(&x_taken), wanted);
    SKT_EQ(sk_inject_len(&queue), 0);
    SKT_EQ(sk_inject_len(&back), sizeof(tasks) / sizeof(tasks[0]));
    while (sk_inject_pop(&back) != NULL) {
    }
}
