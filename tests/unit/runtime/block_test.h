/* What the tests of skua_block share. */
#ifndef BLOCK_TEST_H
#define BLOCK_TEST_H

#include <skua/skua.h>

#include "tests/unit/runtime/rt_test.h"

/* A function that blocks its thread until it is let go. */
struct gate {
    _Atomic(int) entered, most, inside; /* all so far; most at a time; now */
    _Atomic(int) open;
};

static inline int pass_gate(void *arg)
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

static inline int block_in_gate(void *g)
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

static inline int note_call(void *arg)
{
    struct call *c = arg;
    atomic_fetch_add(&c->called, 1);
    return c->fn != NULL ? c->fn(c->arg) : 7;
}

static inline int make_call(void *arg)
{
    struct call *c = arg;
    if (c->shield)
        (void)skua_shield(1);
    atomic_store(&c->begun, 1);
    int rc = skua_block(note_call, c, c->dl);
    atomic_store(&c->rc, rc);
    return 0;
}

static inline skua_task *spawn_call(skua_scope *scope, struct call *c)
{
    skua_task *task;
    SKT_EQ(skua_spawn_opts(scope, make_call, c, NULL, &task), 0);
    RT_UNTIL(atomic_load(&c->begun) == 1 &&
             (rt_is_waiting(task) || skua_task_state(task) == SKUA_DONE)); /* its deadline was */
    return task;
}

static inline int give(void *arg)
{
    return (int)(intptr_t)arg;
}

static inline void *number(int n)
{
    return (void *)(intptr_t)n;
}

/* Runs body as a coroutine; at the end no thread is left but those of before. */
static inline void run(unsigned workers, unsigned threads, int64_t idle_ns, void (*body)(void))
{
    struct rt_body arg = {body};
    skua_config config = SKUA_CONFIG_INIT;
    int before = skt_thread_count();
    config.workers = workers;
    config.block_threads = threads;
    config.block_idle_ns = idle_ns;
    SKT_EQ(skua_run(rt_call_body, &arg, &config), 0);
    SKT_THREADS(before);
}

/* A case whose body is a coroutine, with so many threads at most, of which none leaves. */
#define BLOCK_TEST(name, threads)                           \
    static void body_of_##name(void);                       \
    RT_THREAD_TEST(block, name)                             \
    {                                                       \
        run(workers, threads, SKUA_S(999), body_of_##name); \
    }                                                       \
    static void body_of_##name(void)

#endif
