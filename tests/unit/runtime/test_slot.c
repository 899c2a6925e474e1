/* tests/unit/runtime/test_slot.c - one task, moved by its worker without locks, and stolen only when
 * it was opened. */
#include "runtime/slot.h"

#include <stdlib.h>

#include "runtime/task.h"
#include "tests/unit/runtime/rt_test.h"

static struct skua_task tasks[2];

/* Goal: the states, one by one. */
SKT_TEST(slot, arrows)
{
    struct sk_slot slot = {.x_task = NULL};
    SKT_NULL(sk_slot_swap(&slot, &tasks[0]));
    SKT_PTR_EQ(sk_slot_swap(&slot, &tasks[1]), &tasks[0]);
    SKT_PTR_EQ(sk_slot_peek(&slot), &tasks[1]);
    SKT_NULL(sk_slot_steal(&slot)); /* closed */
    sk_slot_open(&slot);
    SKT_EQ(atomic_load(&slot.x_state), SK_SLOT_OPEN);
    SKT_PTR_EQ(sk_slot_swap(&slot, &tasks[0]), &tasks[1]); /* the owner came first */
    SKT_EQ(atomic_load(&slot.x_state), SK_SLOT_CLOSED);
    SKT_NULL(sk_slot_steal(&slot));
    sk_slot_open(&slot);
    SKT_PTR_EQ(sk_slot_steal(&slot), &tasks[0]);
    SKT_EQ(atomic_load(&slot.x_state), SK_SLOT_CLOSED);
    SKT_NULL(sk_slot_swap(&slot, NULL));
    sk_slot_open(&slot);
    SKT_NULL(sk_slot_steal(&slot)); /* it was empty, and is closed again */
    SKT_EQ(atomic_load(&slot.x_state), SK_SLOT_CLOSED);
}

/* ---- the owner, a monitor and two thieves ---- */

static struct sk_slot shared;
static _Atomic(int) *x_taken;
static _Atomic(bool) x_over;

static void take(struct skua_task *task)
{
    if (task != NULL)
        atomic_fetch_add(&x_taken[(uintptr_t)task - 1], 1);
}

static void *open_all(void *arg)
{
    (void)arg;
    while (!atomic_load(&x_over))
        sk_slot_open(&shared);
    return NULL;
}

static void *steal_all(void *arg)
{
    (void)arg;
    while (!atomic_load(&x_over))
        take(sk_slot_steal(&shared));
    return NULL;
}

static void wake_nobody(unsigned index)
{
    (void)index;
}

/* Goal: whatever is put in comes out once. The slot never looks into what it holds. */
SKT_TEST(slot, taken_once)
{
    uint64_t n = skt_scaled(3000000);
    x_taken = calloc(n, sizeof(*x_taken));
    SKT_TRUE(x_taken != NULL);
    sk_idle_init(3, wake_nobody); /* barriers as among several workers */
    pthread_t threads[] = {rt_thread(open_all, NULL), rt_thread(steal_all, NULL),
                           rt_thread(steal_all, NULL)};
    int64_t begin = skt_now_ns();
    for (uint64_t i = 0; i < n; i++) {
        if (i % 1024 == 1023 && !skt_has_time(begin))
            n = i + 1; /* the last one */
        take(sk_slot_swap(&shared, (struct skua_task *)(i + 1)));
        if (i % 3 == 0)
            take(sk_slot_swap(&shared, NULL));
    }
    take(sk_slot_swap(&shared, NULL));
    atomic_store(&x_over, true);
    for (int i = 0; i < 3; i++)
        rt_thread_join(threads[i]);
    for (uint64_t i = 0; i < n; i++)
        SKT_EQ(atomic_load(&x_taken[i]), 1);
    free((void *)x_taken);
}
