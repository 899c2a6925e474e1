/* Fork-join trees while I/O, timers and yields go on beside them and inside them: all make progress,
 * and memory stays within bounds. */
#include "tests/stress/stress.h"

enum {
    DEPTH = 24,
    DEPTH_NOINLINE = 19, /* where every child costs a stack */
    /* A suspended leaf holds its stack, and a few hundred of them at once are what is to be expected;
     * a stack for each of the hundred thousand children would be gigabytes. */
    STACKS_KIB_MAX = 128 << 10,
};

struct fib {
    unsigned n;
    uint64_t result;
};

struct beside {
    _Atomic(bool) x_over;
    _Atomic(uint64_t) x_ticks, x_pongs, x_yields;
    int fds[2];
};

/* Some leaves wait a little. */
static void rest(unsigned salt)
{
    if (salt % 512 == 0)
        SKT_EQ(skua_sleep(SKUA_US(20)), 0);
    else if (salt % 32 == 0)
        SKT_EQ(skua_yield(), 0);
}

static int fib(void *arg)
{
    static _Thread_local unsigned salt;
    struct fib *f = arg;
    if (f->n < 2) {
        f->result = f->n;
        rest(++salt);
        return 0;
    }
    struct fib a = {f->n - 1, 0}, b = {f->n - 2, 0};
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, fib, &a), 0);
    SKT_EQ(fib(&b), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    f->result = a.result + b.result;
    return 0;
}

static int tick(void *arg)
{
    struct beside *beside = arg;
    for (; !atomic_load(&beside->x_over); atomic_fetch_add(&beside->x_ticks, 1))
        SKT_EQ(skua_sleep(SKUA_US(50)), 0);
    return 0;
}

static int keep_yielding(void *arg)
{
    struct beside *beside = arg;
    for (; !atomic_load(&beside->x_over); atomic_fetch_add(&beside->x_yields, 1))
        SKT_EQ(skua_yield(), 0);
    return 0;
}

static int ping(void *arg)
{
    struct beside *beside = arg;
    char c = 'p';
    for (; !atomic_load(&beside->x_over); atomic_fetch_add(&beside->x_pongs, 1)) {
        SKT_EQ(skua_write(beside->fds[0], &c, 1, SKUA_NEVER), 1);
        SKT_EQ(skua_read(beside->fds[0], &c, 1, SKUA_NEVER), 1);
    }
    return skua_close(beside->fds[0]);
}

static int pong(void *arg)
{
    struct beside *beside = arg;
    char c;
    while (skua_read(beside->fds[1], &c, 1, SKUA_NEVER) == 1)
        SKT_EQ(skua_write(beside->fds[1], &c, 1, SKUA_NEVER), 1);
    return skua_close(beside->fds[1]);
}

/* On the whole more than one of each to a tree. */
static bool has_grown(struct beside *beside, uint64_t trees)
{
    return atomic_load(&beside->x_ticks) > trees && atomic_load(&beside->x_pongs) > trees &&
           atomic_load(&beside->x_yields) > trees;
}

static int grow_tree(void *arg)
{
    struct beside beside = {.x_ticks = 0};
    struct fib f = {DEPTH, 0};
    skua_scope s;
    (void)arg;
    st_pair(beside.fds);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, tick, &beside), 0);
    SKT_EQ(skua_spawn(&s, keep_yielding, &beside), 0);
    SKT_EQ(skua_spawn(&s, ping, &beside), 0);
    SKT_EQ(skua_spawn(&s, pong, &beside), 0);
    const char *chaos = getenv("SKUA_CHAOS");
    bool noinline = chaos != NULL && strstr(chaos, "noinline") != NULL;
    unsigned trees = (unsigned)skt_scaled(60);
    skua_time end = st_patience();
    for (unsigned i = 0; i < trees || (!has_grown(&beside, trees) && skua_now() < end); i++) {
        f.n = noinline ? DEPTH_NOINLINE : DEPTH;
        SKT_EQ(fib(&f), 0);
        SKT_EQ(f.result, noinline ? 4181u : 46368u);
    }
    atomic_store(&beside.x_over, true);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_TRUE(has_grown(&beside, trees));
    return 0;
}

static void grow_with(unsigned workers)
{
    long before = st_status_kib("VmRSS:");
    st_run(grow_tree, NULL, workers);
    if (!skt_sanitized())
        SKT_LE(st_status_kib("VmHWM:") - before, STACKS_KIB_MAX);
}

SKT_TEST(stress, fork_join_beside_io_on_one_worker)
{
    grow_with(1);
}

SKT_TEST(stress, fork_join_beside_io_on_two_workers)
{
    grow_with(2);
}

SKT_TEST(stress, fork_join_beside_io_on_eight_workers)
{
    grow_with(8);
}
