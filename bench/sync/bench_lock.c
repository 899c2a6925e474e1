/* bench/sync/bench_lock.c - mutex, read-write lock and semaphore, taken and given back. Unit: ns per
 * pair. */
#include <skua/skua.h>

#include "bench/shim/skb.h"

enum { ROUNDS = 10000 };

static skua_mutex shared = SKUA_MUTEX_INIT;

SKB_BENCH("mutex/lock_unlock", .workers = {1})
{
    skua_mutex m = SKUA_MUTEX_INIT;
    while (skb_next(b)) {
        skb_keep(skua_mutex_lock(&m, SKUA_NEVER));
        skb_keep(skua_mutex_unlock(&m));
    }
}

SKB_BENCH("mutex/trylock_unlock", .workers = {1})
{
    skua_mutex m = SKUA_MUTEX_INIT;
    while (skb_next(b)) {
        skb_keep(skua_mutex_trylock(&m));
        skb_keep(skua_mutex_unlock(&m));
    }
}

/* Now and then it yields while it holds the mutex, so that others have to wait for it. */
static int lock_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        skua_mutex_lock(&shared, SKUA_NEVER);
        if (i % 16 == 0)
            skua_yield();
        skua_mutex_unlock(&shared);
    }
    return 0;
}

SKB_BENCH("mutex/contended", .workers = {1, 2}, .arg_names = {"coroutines"},
          .args = {{2}, {8}, {64}}, .arg_rows = 3)
{
    int64_t coroutines = skb_arg(b, 0);
    while (skb_next(b)) {
        skua_scope scope;
        skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
        for (int64_t i = 0; i < coroutines; i++)
            skb_must(skua_spawn(&scope, lock_often, NULL));
        skua_scope_close(&scope, SKUA_NEVER);
    }
    skb_items(b, (uint64_t)coroutines * ROUNDS);
}

SKB_BENCH("rwlock/read", .workers = {1})
{
    skua_rwlock l = SKUA_RWLOCK_INIT;
    while (skb_next(b)) {
        skb_keep(skua_rwlock_rdlock(&l, SKUA_NEVER));
        skb_keep(skua_rwlock_unlock(&l));
    }
}

SKB_BENCH("rwlock/write", .workers = {1})
{
    skua_rwlock l = SKUA_RWLOCK_INIT;
    while (skb_next(b)) {
        skb_keep(skua_rwlock_wrlock(&l, SKUA_NEVER));
        skb_keep(skua_rwlock_unlock(&l));
    }
}

SKB_BENCH("sem/wait_post", .workers = {1})
{
    skua_sem s = SKUA_SEM_INIT(1);
    while (skb_next(b)) {
        skb_keep(skua_sem_wait(&s, 1, SKUA_NEVER));
        skb_keep(skua_sem_post(&s, 1));
    }
}
