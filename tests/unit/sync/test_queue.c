/* tests/unit/sync/test_queue.c - those who wait for one object. */
#include "sync/queue.h"

#include "tests/unit/runtime/rt_test.h"

enum { N = 40 };

static struct skua_task tasks[N];
static struct sk_wait waits[N];
static struct sk_waiter waiters[N];

/* A wait of a record that stands for a plain thread, as sk_wait_begin would leave it, and
 * asleep. */
static struct sk_waiter *sleeper(int i, uint64_t epoch)
{
    uint64_t base = epoch << SK_WAIT_EPOCH_SHIFT;
    tasks[i].flags = SK_TASK_PROXY;
    atomic_store(&tasks[i].x_refs, 0u);
    atomic_store(&tasks[i].x_wait, base | SK_WAIT_WAITING);
    waits[i].task = &tasks[i];
    waits[i].ticket = base | SK_WAIT_REGISTERING;
    waiters[i].wait = &waits[i];
    return &waiters[i];
}

static bool is_readied(int i)
{
    return atomic_load(&tasks[i].x_refs) == 1;
}

/* Goal: first come, first served; those whose wait is over already are passed over. */
SKT_TEST(queue, claims_in_order)
{
    struct sk_queue q = {.list = {NULL, NULL}};
    struct sk_queue_woken woken = {.first = NULL};
    SKT_TRUE(sk_queue_is_empty(&q));
    SKT_NULL(sk_queue_claim(&q, &woken));
    for (int i = 0; i < 4; i++)
        sk_queue_push(&q, sleeper(i, 5));
    SKT_FALSE(sk_queue_is_empty(&q));
    SKT_EQ(sk_wait_claim(&tasks[0], waits[0].ticket, SK_WAIT_TIMEDOUT), SK_WAIT_WON);
    SKT_EQ(sk_wait_claim(&tasks[2], waits[2].ticket, SK_WAIT_CANCELLED), SK_WAIT_WON);
    SKT_PTR_EQ(sk_queue_claim(&q, &woken), &tasks[1]);
    SKT_PTR_EQ(sk_queue_claim(&q, &woken), &tasks[3]);
    SKT_NULL(sk_queue_claim(&q, &woken));
    SKT_TRUE(sk_queue_is_empty(&q));
    SKT_FALSE(is_readied(1) || is_readied(3)); /* not before finish */
    sk_queue_finish(&woken);
    SKT_TRUE(is_readied(1) && is_readied(3));
    SKT_FALSE(is_readied(0) || is_readied(2));
    SKT_NULL(woken.first);
}

/* Goal: one that still registers is claimed, and not readied: it has not gone to sleep. */
SKT_TEST(queue, claims_early)
{
    struct sk_queue q = {.list = {NULL, NULL}};
    struct sk_queue_woken woken = {.first = NULL};
    sk_queue_push(&q, sleeper(0, 9));
    atomic_store(&tasks[0].x_wait, waits[0].ticket);
    SKT_PTR_EQ(sk_queue_claim(&q, &woken), &tasks[0]);
    SKT_NULL(woken.first);
    sk_queue_finish(&woken);
    SKT_FALSE(is_readied(0));
    SKT_FALSE(sk_wait_abandon(&waits[0]));
}

/* Goal: all at once, each once. */
SKT_TEST(queue, claims_all)
{
    struct sk_queue q = {.list = {NULL, NULL}};
    struct sk_queue_woken woken = {.first = NULL};
    for (int i = 0; i < N; i++)
        sk_queue_push(&q, sleeper(i, 1));
    SKT_EQ(sk_wait_claim(&tasks[7], waits[7].ticket, SK_WAIT_TIMEDOUT), SK_WAIT_WON);
    sk_queue_claim_all(&q, &woken);
    SKT_TRUE(sk_queue_is_empty(&q));
    int i = 0;
    for (struct skua_task *t = woken.first; t != NULL; t = t->next, i++) {
        i += i == 7;
        SKT_PTR_EQ(t, &tasks[i]); /* in order of arrival */
    }
    SKT_EQ(i, N);
    sk_queue_finish(&woken);
    for (i = 0; i < N; i++)
        SKT_EQ(is_readied(i), i != 7);
}

/* Goal: who leaves early takes itself out, and the bit that says that some wait with the last
 * one. */
SKT_TEST(queue, leaves)
{
    struct sk_queue q = {.list = {NULL, NULL}};
    struct sk_queue_woken woken = {.first = NULL};
    enum { STATE = 12 };
    _Atomic(uint64_t) word = STATE | SK_QUEUE_WAITERS;
    for (int i = 0; i < 3; i++)
        sk_queue_push(&q, sleeper(i, 1));
    sk_queue_leave(&q, &word, &waiters[1]);
    SKT_EQ(atomic_load(&word), STATE | SK_QUEUE_WAITERS);
    SKT_PTR_EQ(sk_queue_claim(&q, &woken), &tasks[0]);
    sk_queue_leave(&q, &word, &waiters[0]); /* a waker has taken it out already */
    SKT_EQ(atomic_load(&word), STATE | SK_QUEUE_WAITERS);
    sk_queue_leave(&q, &word, &waiters[2]);
    SKT_EQ(atomic_load(&word), STATE);
    SKT_TRUE(sk_queue_is_empty(&q));
    sk_queue_finish(&woken);
}

/* ---- the LOCKED bit ---- */

static _Atomic(uint64_t) held_word;
static uint64_t counted;
static uint64_t rounds;

static void *hold_and_count(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t word = sk_queue_hold(&held_word);
        SKT_EQ(word & SK_QUEUE_LOCKED, 0u);
        SKT_EQ(word >> 2, counted);
        counted++;
        sk_queue_let_go(&held_word, word + 4);
        SKT_EQ(sk_queue_settled(&held_word) & SK_QUEUE_LOCKED, 0u);
    }
    return NULL;
}

/* Goal: one at a time, and what the last one did is visible. */
SKT_TEST(queue, holds)
{
    pthread_t threads[3];
    rounds = skt_scaled(20000);
    for (int i = 0; i < 3; i++)
        threads[i] = rt_thread(hold_and_count, NULL);
    for (int i = 0; i < 3; i++)
        rt_thread_join(threads[i]);
    SKT_EQ(counted, rounds * 3);
}
