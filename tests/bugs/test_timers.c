/* Timers against what they race with.
 * Real cases: tokio#8252, brpc#617 (a timer that fires while it is cancelled), go#35532 (a deadlock of
 * SetDeadline and expiry), liburing#178 and #1422 (-ECANCELED though data was read). */
#include "tests/stress/stress.h"

/* ---- tokio#8252, brpc#617: stop and fire meet. */

enum { BATCH = 32 };

struct fuse {
    skua_timer timer;
    _Atomic(uint32_t) x_fired;
};

static void burn_down(void *arg)
{
    atomic_fetch_add(&((struct fuse *)arg)->x_fired, 1);
}

/* Goal: a timer fires, or its stop says that it will not: never both, never neither. */
static int stop_and_fire(void *arg)
{
    static _Atomic(uint64_t) x_seed;
    uint64_t random = st_seed(atomic_fetch_add(&x_seed, 1));
    (void)arg;
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(40000); i > 0 && skt_has_time(begin); i--) {
        struct fuse fuses[BATCH];
        int stopped[BATCH];
        for (unsigned k = 0; k < BATCH; k++) {
            atomic_init(&fuses[k].x_fired, 0);
            int64_t ns = (int64_t)(st_random(&random) % 30000) - 5000;
            SKT_EQ(skua_timer_start(&fuses[k].timer, skua_in(ns), burn_down, &fuses[k]), 0);
        }
        if (i % 2 == 0)
            SKT_EQ(skua_yield(), 0); /* perhaps it goes on where the timers are not */
        for (unsigned k = 0; k < BATCH; k++)
            stopped[k] = skua_timer_stop(&fuses[k].timer);
        for (unsigned k = 0; k < BATCH; k++) {
            if (stopped[k] == 0)
                st_hog_until(&fuses[k].x_fired, 1, "a timer that was not stopped");
            SKT_EQ((int)atomic_load(&fuses[k].x_fired) + stopped[k], 1);
        }
    }
    return 0;
}

static int stop_on_all(void *arg)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (unsigned i = 0; i < 2; i++)
        SKT_EQ(skua_spawn(&s, stop_and_fire, arg), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

SKT_TEST(bugs, tokio_8252_timer_fires_while_it_is_stopped)
{
    st_run(stop_on_all, NULL, 2);
    st_run(stop_on_all, NULL, 8);
}

/* ---- go#35532: deadlines expire while they are replaced, on a descriptor in use. */

struct shared {
    int fds[2];
    _Atomic(bool) x_over;
};

/* Two readers of one socket, whose deadlines pass all the time. */
static int read_in_short_bits(void *arg)
{
    struct shared *shared = arg;
    uint64_t random = st_seed(skua_id());
    char c;
    while (!atomic_load(&shared->x_over)) {
        ssize_t rc =
            skua_read(shared->fds[1], &c, 1, skua_in((int64_t)(st_random(&random) % 10000)));
        SKT_TRUE(rc == 1 || rc == -ETIMEDOUT || rc == -ECANCELED);
    }
    return 0;
}

static int write_now_and_then(void *arg)
{
    struct shared *shared = arg;
    uint64_t random = st_seed(7);
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(30000); i > 0 && skt_has_time(begin); i--) {
        SKT_EQ(skua_write(shared->fds[0], "x", 1, SKUA_NEVER), 1);
        if (st_random(&random) % 4 == 0)
            SKT_EQ(skua_sleep((int64_t)(st_random(&random) % 10000)), 0);
    }
    atomic_store(&shared->x_over, true);
    return 0;
}

static int expire_beside(void *arg)
{
    struct shared shared = {.x_over = false};
    skua_scope s;
    (void)arg;
    st_pair(shared.fds);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (unsigned i = 0; i < 4; i++)
        SKT_EQ(skua_spawn(&s, read_in_short_bits, &shared), 0);
    SKT_EQ(skua_spawn(&s, write_now_and_then, &shared), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    st_close(shared.fds);
    return 0;
}

SKT_TEST(bugs, go_35532_deadlock_of_deadline_and_expiry)
{
    st_run(expire_beside, NULL, 1);
    st_run(expire_beside, NULL, 4);
}

/* ---- liburing#178, #1422: the deadline and the byte come together. */

struct meeting {
    int fds[2];
    skua_event go, done;
    _Atomic(uint64_t) x_rounds;
};

static int write_on_time(void *arg)
{
    struct meeting *m = arg;
    uint64_t random = st_seed(3);
    for (uint64_t i = 0; i < atomic_load(&m->x_rounds); i++) {
        SKT_EQ(skua_event_wait(&m->go, SKUA_NEVER), 0);
        skua_event_clear(&m->go);
        for (uint32_t spin = st_random(&random) % 400; spin > 0; spin--)
            __builtin_ia32_pause();
        SKT_EQ(skua_write(m->fds[0], &(char){(char)i}, 1, SKUA_NEVER), 1);
        skua_event_set(&m->done);
    }
    return 0;
}

static int read_on_time(void *arg)
{
    struct meeting *m = arg;
    uint64_t random = st_seed(4);
    int64_t begin = skt_now_ns();
    for (uint64_t i = 0; i < atomic_load(&m->x_rounds); i++) {
        char c = 0;
        if (!skt_has_time(begin))
            atomic_store(&m->x_rounds, i + 1); /* the last one */
        skua_event_set(&m->go);
        ssize_t rc = skua_read(m->fds[1], &c, 1, skua_in((int64_t)(st_random(&random) % 12000)));
        SKT_TRUE(rc == 1 || rc == -ETIMEDOUT);
        SKT_EQ(skua_event_wait(&m->done, SKUA_NEVER), 0);
        skua_event_clear(&m->done);
        if (rc < 0) /* then it is still there */
            SKT_EQ(skua_read(m->fds[1], &c, 1, SKUA_NOW), 1);
        SKT_EQ(c, (char)i);
        SKT_EQ(skua_read(m->fds[1], &c, 1, SKUA_NOW), -EAGAIN);
    }
    return 0;
}

static int meet(void *arg)
{
    struct meeting m = {.x_rounds = skt_scaled(40000)};
    skua_scope s;
    (void)arg;
    st_pair(m.fds);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, write_on_time, &m), 0);
    SKT_EQ(skua_spawn(&s, read_on_time, &m), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    st_close(m.fds);
    return 0;
}

/* Goal: a read that timed out has read nothing, and one that read has not timed out. */
SKT_TEST(bugs, liburing_178_cancelled_though_data_was_read)
{
    st_run(meet, NULL, 1);
    st_run(meet, NULL, 2);
}
