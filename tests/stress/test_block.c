/* Calls of skua_block by coroutines that are cancelled every few microseconds and whose deadlines
 * are about to pass, while threads leave after a millisecond, and many cannot be started: each call
 * says the truth about whether its function was called, which is called once at most, and touches
 * nothing once the call has returned. (The functions write on their callers' stacks: AddressSanitizer
 * and ThreadSanitizer see a late one.) */
#include <string.h>

#include "runtime/base/sys.h"
#include "tests/stress/lives.h"

enum { LIVES = 40, CALLS = 12, ROUNDS = 100, THREADS = 3 };

static struct {
    _Atomic(uint64_t) called, done, cancelled, timed_out, refused, would_wait;
    _Atomic(uint32_t) inside, most;
} seen;

struct call {
    uint64_t seed;
    int called;
};

static int work(void *arg)
{
    struct call *c = arg;
    uint64_t random = c->seed;
    uint32_t inside = atomic_fetch_add(&seen.inside, 1) + 1, most = atomic_load(&seen.most);
    while (most < inside && !atomic_compare_exchange_weak(&seen.most, &most, inside))
        ;
    c->called++;
    atomic_fetch_add(&seen.called, 1);
    switch (st_random(&random) % 8) {
    case 0:
        usleep(st_random(&random) % 3000); /* long enough for idle threads to leave */
        break;
    case 1:
    case 2:
        usleep(st_random(&random) % 50);
        break;
    default:
        break;
    }
    atomic_fetch_sub(&seen.inside, 1);
    return (int)(c->seed >> 40);
}

static int block_once(uint64_t *random)
{
    struct call c = {.seed = st_seed(st_random(random))};
    int rc = skua_block(work, &c, lives_deadline(random));
    SKT_EQ(c.called, rc >= 0);
    if (rc >= 0)
        SKT_EQ(rc, (int)(c.seed >> 40));
    memset(&c, 0xA5, sizeof(c));
    return rc;
}

static int live(void *arg)
{
    uint64_t *random = arg;
    int rc = 0;
    for (int i = 0; i < CALLS && rc != -ECANCELED; i++) {
        (void)skua_shield(st_random(random) % 4 == 0);
        rc = block_once(random);
        atomic_fetch_add(rc >= 0            ? &seen.done
                         : rc == -ECANCELED ? &seen.cancelled
                         : rc == -ETIMEDOUT ? &seen.timed_out
                         : rc == -ENOMEM    ? &seen.refused
                                            : &seen.would_wait,
                         1);
        SKT_TRUE(rc >= 0 || rc == -ECANCELED || rc == -ETIMEDOUT || rc == -ENOMEM || rc == -EAGAIN);
    }
    return rc == -ECANCELED ? LIVES_GO_ON : LIVES_OVER;
}

static int be_born(void *arg)
{
    uint64_t random = *(uint64_t *)arg, own = st_seed(random + 1);
    return lives_run(live, &own, &random);
}

static int rounds(void *arg)
{
    uint64_t random = st_seed(*(unsigned *)arg);
    for (uint64_t i = 0; i < skt_scaled(ROUNDS); i++) {
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        for (int j = 0; j < LIVES; j++) {
            uint64_t seed = st_seed(st_random(&random));
            SKT_EQ(skua_spawn_copy(&s, be_born, &seed, sizeof(seed)), 0);
        }
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        if (i % 4 == 0)
            SKT_EQ(skua_sleep(SKUA_MS(2)), 0); /* all threads leave */
    }
    return 0;
}

static int (*create_thread)(unsigned long *thread, void *(*fn)(void *), void *arg);
static _Atomic(uint64_t) x_created;
static _Atomic(bool) x_scarce;

/* The first one is refused, when there is no other: some call is, whatever the rest bring. */
static int create_scarcely(unsigned long *thread, void *(*fn)(void *), void *arg)
{
    if (!atomic_load(&x_scarce))
        return create_thread(thread, fn, arg); /* a worker, or the monitor */
    uint64_t n = atomic_fetch_add(&x_created, 1);
    bool refused = n == 0 || (st_seed(n) >> 32 & 1) != 0;
    return refused ? -EAGAIN : create_thread(thread, fn, arg);
}

static int rounds_without(void *arg)
{
    atomic_store(&x_scarce, true);
    int rc = rounds(arg);
    atomic_store(&x_scarce, false);
    return rc;
}

static bool is_race(void)
{
    return seen.done > 0 && seen.cancelled > 0 && seen.timed_out > 0 && seen.would_wait > 0;
}

static void run(unsigned workers, int (*body)(void *))
{
    int before = skt_thread_count();
    memset((void *)&seen, 0, sizeof(seen));
    SKT_EQ(setenv("SKUA_BLOCK_THREADS", "3", 1), 0);
    SKT_EQ(setenv("SKUA_BLOCK_IDLE", "1ms", 1), 0);
    for (skua_time end = st_patience(); !is_race() && skua_now() < end;)
        st_run(body, &workers, workers);
    SKT_TRUE(is_race());
    SKT_EQ(skt_thread_count(), before);
    SKT_EQ(atomic_load(&seen.called), atomic_load(&seen.done));
    SKT_LE(atomic_load(&seen.most), THREADS);
    SKT_EQ(atomic_load(&seen.inside), 0);
}

static void run_scarce(unsigned workers)
{
    create_thread = sk_sys.thread_create;
    atomic_store(&x_created, 0);
    sk_sys.thread_create = create_scarcely;
    run(workers, rounds_without);
    sk_sys.thread_create = create_thread;
    SKT_GT(atomic_load(&seen.refused), 0);
}

#define BLOCK_TEST(n)                 \
    SKT_TEST(block, lives_##n)        \
    {                                 \
        run(n, rounds);               \
        SKT_EQ(seen.refused, 0);      \
    }                                 \
    SKT_TEST(block, lives_scarce_##n) \
    {                                 \
        run_scarce(n);                \
    }

BLOCK_TEST(1)
BLOCK_TEST(2)
BLOCK_TEST(8)
