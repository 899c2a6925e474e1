/* tests/unit/runtime/test_lock.c - the spin lock. */
#include "runtime/base/lock.h"

#include "tests/unit/runtime/rt_test.h"

enum { THREADS = 4 };

static struct sk_lock lock;
static uint64_t counted;
static uint64_t rounds;

static void *count(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < rounds; i++) {
        sk_lock(&lock);
        counted++;
        sk_unlock(&lock);
    }
    return NULL;
}

/* Goal: with more threads than cores nobody is lost, and nothing that was written under the
 * lock. */
SKT_TEST(lock, excludes)
{
    pthread_t threads[THREADS];
    rounds = skt_scaled(50000);
    counted = 0;
    for (int i = 0; i < THREADS; i++)
        threads[i] = rt_thread(count, NULL);
    for (int i = 0; i < THREADS; i++)
        rt_thread_join(threads[i]);
    SKT_EQ(counted, rounds * THREADS);
}

static _Atomic(int) x_passed;

static void *pass(void *arg)
{
    (void)arg;
    sk_lock(&lock);
    atomic_store(&x_passed, 1);
    sk_unlock(&lock);
    return NULL;
}

/* Goal: who comes while it is held waits until it is let go, and not longer. */
SKT_TEST(lock, waits)
{
    atomic_store(&x_passed, 0);
    sk_lock(&lock);
    pthread_t thread = rt_thread(pass, NULL);
    poll(NULL, 0, 20);
    SKT_EQ(atomic_load(&x_passed), 0);
    sk_unlock(&lock);
    rt_thread_join(thread);
    SKT_EQ(atomic_load(&x_passed), 1);
}

/* Goal: all bytes zero is unlocked. */
SKT_TEST(lock, zero_is_free)
{
    struct sk_lock fresh = {0};
    sk_lock(&fresh);
    sk_unlock(&fresh);
    sk_lock(&fresh);
    sk_unlock(&fresh);
}
