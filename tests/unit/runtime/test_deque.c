/* tests/unit/runtime/test_deque.c - the run queue of a worker. */
#include "runtime/deque.h"

#include "tests/unit/runtime/rt_test.h"

enum { ENTRIES = 4 };

static struct skua_task *token(uint64_t n)
{
    return (struct skua_task *)(uintptr_t)((n + 1) * 64);
}

struct deque {
    struct sk_deque q;
    _Atomic(struct skua_task *) slots[ENTRIES];
};

static void init_at(struct deque *d, uint64_t at)
{
    *d = (struct deque){.q = {.mask = ENTRIES - 1}};
    d->q.slots = d->slots;
    atomic_store(&d->q.x_top, at);
    atomic_store(&d->q.x_bottom, at);
}

/* Goal: order survives index wrap, at the top and at the bottom; full is refused, empty says so. */
SKT_TEST(deque, full_and_wrap)
{
    struct deque d;
    bool contended = true;
    init_at(&d, UINT64_MAX - 1);
    SKT_EQ(sk_deque_len(&d.q), 0);
    SKT_NULL(sk_deque_pop(&d.q));
    SKT_NULL(sk_deque_peek(&d.q));
    SKT_NULL(sk_deque_steal(&d.q, &contended));
    SKT_FALSE(contended);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < ENTRIES; i++)
            SKT_TRUE(sk_deque_push(&d.q, token(i)));
        SKT_FALSE(sk_deque_push(&d.q, token(9)));
        SKT_EQ(sk_deque_len(&d.q), ENTRIES);
        SKT_PTR_EQ(sk_deque_pop(&d.q), token(0));
        SKT_PTR_EQ(sk_deque_steal(&d.q, &contended), token(1));
        SKT_PTR_EQ(sk_deque_peek(&d.q), token(3));
        SKT_PTR_EQ(sk_deque_take(&d.q), token(3));
        SKT_PTR_EQ(sk_deque_peek(&d.q), token(2));
        SKT_PTR_EQ(sk_deque_take(&d.q), token(2));
        SKT_NULL(sk_deque_peek(&d.q));
        SKT_EQ(sk_deque_len(&d.q), 0);
    }
}

/* Goal: a take that finds the deque empty leaves it usable. */
SKT_TEST(deque, take_from_empty)
{
    struct deque d;
    init_at(&d, 0);
    for (int i = 0; i < 3; i++) {
        SKT_NULL(sk_deque_take(&d.q));
        SKT_EQ(sk_deque_len(&d.q), 0);
        SKT_TRUE(sk_deque_push(&d.q, token(5)));
        SKT_PTR_EQ(sk_deque_take(&d.q), token(5));
    }
}

/* ---- owner against thieves: each token is had exactly once ---- */

enum { THIEVES = 2, RACE_ENTRIES = 64 };

static struct sk_deque race_q;
static _Atomic(struct skua_task *) race_slots[RACE_ENTRIES];
static _Atomic(unsigned char) *x_had;
static _Atomic(bool) x_over;

static void note(struct skua_task *task)
{
    uint64_t n = (uintptr_t)task / 64 - 1;
    SKT_EQ(atomic_fetch_add(&x_had[n], 1), 0);
}

static void *thief(void *arg)
{
    uint64_t *count = arg;
    while (!atomic_load(&x_over)) {
        bool contended;
        struct skua_task *task = sk_deque_steal(&race_q, &contended);
        if (task != NULL) {
            note(task);
            ++*count;
        }
    }
    return NULL;
}

static struct skua_task *own(uint64_t turn)
{
    if (turn % 2 == 0)
        return sk_deque_pop(&race_q);
    return sk_deque_peek(&race_q) != NULL ? sk_deque_take(&race_q) : NULL;
}

SKT_TEST(deque, tokens_once)
{
    uint64_t total = skt_scaled(400000), pushed = 0, turn = 0, mine = 0, stolen[THIEVES] = {0};
    pthread_t threads[THIEVES];
    static _Atomic(unsigned char) had[400000];
    x_had = had;
    total = total < sizeof(had) ? total : sizeof(had);
    memset((void *)had, 0, sizeof(had));
    race_q.slots = race_slots;
    race_q.mask = RACE_ENTRIES - 1;
    atomic_store(&x_over, false);
    for (int i = 0; i < THIEVES; i++)
        threads[i] = rt_thread(thief, &stolen[i]);
    while (pushed < total) {
        for (unsigned i = 0; i < 1 + turn % 7 && pushed < total; i++)
            pushed += sk_deque_push(&race_q, token(pushed));
        for (unsigned i = 0; i < 1 + turn % 5; i++) {
            struct skua_task *task = own(turn++);
            if (task != NULL) {
                note(task);
                mine++;
            }
        }
    }
    RT_SPIN_UNTIL(sk_deque_len(&race_q) == 0);
    atomic_store(&x_over, true);
    for (int i = 0; i < THIEVES; i++) {
        rt_thread_join(threads[i]);
        mine += stolen[i];
    }
    SKT_EQ(mine, total);
}
