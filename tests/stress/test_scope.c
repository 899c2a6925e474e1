/* A scope that is closed with thousands of children is a stretch of work like any other: I/O and
 * timers go on meanwhile. Judged by what happens between two children, not by time. */
#include "tests/stress/stress.h"

enum {
    CHILDREN = 10000,
    BURN_NS = 10000,
    /* A slice is 200 us, 20 children; a batch 64. What is due comes within a few of them. */
    GAP_MAX = 1000,
};

/* How many children ran between two events, at most. */
struct gap {
    uint32_t seen, last, most;
};

struct close_test {
    uint32_t ran;
    bool over;
    struct gap ticks, pongs;
};

static void note(struct gap *gap, uint32_t ran)
{
    uint32_t since = ran - gap->last;
    gap->most = since > gap->most ? since : gap->most;
    gap->last = ran;
    gap->seen++;
}

static int tick(void *arg)
{
    struct close_test *test = arg;
    while (!test->over) {
        SKT_EQ(skua_sleep(SKUA_US(100)), 0);
        note(&test->ticks, test->ran);
    }
    return 0;
}

struct player {
    struct close_test *test;
    int fd;
};

static int pong(void *arg)
{
    struct player *player = arg;
    char c;
    while (skua_read(player->fd, &c, 1, SKUA_NEVER) == 1)
        SKT_EQ(skua_write(player->fd, &c, 1, SKUA_NEVER), 1);
    return 0;
}

static int ping(void *arg)
{
    struct player *player = arg;
    char c = 0;
    while (!player->test->over) {
        SKT_EQ(skua_write(player->fd, &c, 1, SKUA_NEVER), 1);
        SKT_EQ(skua_read(player->fd, &c, 1, SKUA_NEVER), 1);
        note(&player->test->pongs, player->test->ran);
    }
    SKT_EQ(skua_close(player->fd), 0); /* ends pong */
    return 0;
}

static int burn(void *arg)
{
    struct close_test *test = arg;
    for (skua_time end = skua_in(BURN_NS); skua_now() < end;)
        continue;
    test->ran++;
    return 0;
}

static int burn_and_yield(void *arg)
{
    burn(arg);
    return skua_yield();
}

static void close_many(struct close_test *test, int (*child)(void *))
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (unsigned i = 0; i < CHILDREN; i++)
        SKT_EQ(skua_spawn(&s, child, test), 0);
    note(&test->ticks, test->ran);
    note(&test->pongs, test->ran);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

static int close_beside(int (*child)(void *))
{
    struct close_test test = {.ran = 0};
    struct player players[2];
    skua_scope s;
    int fds[2];
    st_pair(fds);
    for (int i = 0; i < 2; i++)
        players[i] = (struct player){&test, fds[i]};
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, tick, &test), 0);
    SKT_EQ(skua_spawn(&s, ping, &players[0]), 0);
    SKT_EQ(skua_spawn(&s, pong, &players[1]), 0);
    skua_yield();
    close_many(&test, child);
    SKT_EQ(test.ran, CHILDREN);
    note(&test.ticks, test.ran);
    note(&test.pongs, test.ran);
    test.over = true;
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    SKT_LE(test.ticks.most, GAP_MAX);
    SKT_LE(test.pongs.most, GAP_MAX);
    return 0;
}

static int close_plain(void *arg)
{
    (void)arg;
    return close_beside(burn);
}

static int close_suspending(void *arg)
{
    (void)arg;
    return close_beside(burn_and_yield);
}

/* Goal: 10,000 children that a closer runs on its own stack delay a timer and a socket by no more than
 * a batch or a slice. Fails when inline runs do not count against the batch (tried). */
SKT_TEST(stress, close_of_ten_thousand_starves_nobody)
{
    st_run(close_plain, NULL, 1);
}

/* The same where each child suspends, and so the closer with it. */
SKT_TEST(stress, close_of_ten_thousand_that_suspend)
{
    st_run(close_suspending, NULL, 1);
}
