/* tests/unit/io/test_half_closed.c - waiting for room in a socket whose peer has shut down its side:
 * the ring's poll ends with POLLRDHUP, which nobody has asked for, again and again. */
#include <poll.h>

#include <skua/debug.h>

#include "tests/unit/io/io_test.h"
#include "tests/unit/io/watch.h"

enum { ROUNDS = 30 };

static char junk[1 << 16];

static void fill(int fd)
{
    while (send(fd, junk, sizeof(junk), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    while (send(fd, junk, 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
}

static void drain(int fd)
{
    while (recv(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0)
        ;
}

/* fds[0] is full, and its peer sends no more. */
static void half_close(int fds[2])
{
    io_pair(fds);
    SKT_EQ(shutdown(fds[1], SHUT_WR), 0);
    fill(fds[0]);
}

static uint64_t completions(void)
{
    uint64_t sum = 0;
    for (unsigned w = 0; w < skua_workers(); w++) {
        skua_stats_view view = SKUA_STATS_VIEW_INIT;
        SKT_EQ(skua_stats(&view, w), 0);
        sum += view.completions;
    }
    return sum;
}

enum how { BY_POLL, BY_SELECT, BY_WRITE };

struct wait {
    int fd;
    enum how how;
    skua_time dl;
};

/* 0: there is room. */
static int await_room(void *arg)
{
    const struct wait *w = arg;
    skua_case k = {.op = SKUA_FD, .fd = w->fd, .events = POLLOUT};
    int rc;
    switch (w->how) {
    case BY_POLL:
        rc = skua_poll(w->fd, POLLOUT, w->dl);
        return rc == POLLOUT ? 0 : rc;
    case BY_SELECT:
        rc = skua_select(&k, 1, 0, w->dl);
        return rc != 0 ? rc : k.res == POLLOUT ? 0 : k.res;
    default:
        rc = (int)skua_write(w->fd, "x", 1, w->dl);
        return rc == 1 ? 0 : rc;
    }
}

static int drain_late(void *arg)
{
    skua_sleep(SKUA_MS(1));
    drain(*(int *)arg);
    return 0;
}

static int close_late(void *arg)
{
    while (!watch_is_listed(*(int *)arg)) /* before that it would be no descriptor */
        skua_sleep(SKUA_US(100));
    skua_sleep(SKUA_MS(1));
    return skua_close(*(int *)arg);
}

/* await_room while something happens. */
static int meanwhile(int (*fn)(void *), int *fd, const struct wait *w)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, fn, fd), 0);
    int rc = await_room((void *)w);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return rc;
}

static void cancelled(const struct wait *w)
{
    skua_scope s;
    skua_task *t;
    int result = 0;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, await_room, (void *)w, NULL, &t), 0);
    SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    SKT_EQ(skua_cancel(t), 1);
    SKT_EQ(skua_join(t, &result, SKUA_NEVER), 0);
    SKT_EQ(result, -ECANCELED);
    skua_task_unref(t);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

static void wait_each_way(enum how how)
{
    int fds[2];
    half_close(fds);
    /* A write to an O_NONBLOCK socket polls. */
    SKT_EQ(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    struct wait w = {.fd = fds[0], .how = how, .dl = SKUA_NOW};
    SKT_EQ(await_room(&w), -EAGAIN);
    w.dl = skua_now();
    SKT_EQ(await_room(&w), -ETIMEDOUT);
    uint64_t before = completions();
    w.dl = skua_in(SKUA_MS(20));
    int64_t begin = skua_now();
    SKT_EQ(await_room(&w), -ETIMEDOUT);
    SKT_LE(completions() - before, 30 + (skua_now() - begin) / SKUA_MS(1)); /* it sleeps */
    w.dl = SKUA_NEVER;
    cancelled(&w);
    for (int i = 0; i < ROUNDS; i++) {
        SKT_EQ(meanwhile(drain_late, &fds[1], &w), 0);
        fill(fds[0]);
    }
    w.dl = skua_in(SKUA_S(60));
    SKT_EQ(meanwhile(close_late, &fds[0], &w), -ECANCELED);
    SKT_EQ(skua_close(fds[1]), 0);
}

static int body(void *arg)
{
    int fds[2];
    (void)arg;
    wait_each_way(BY_POLL);
    wait_each_way(BY_SELECT);
    wait_each_way(BY_WRITE);
    half_close(fds);
    SKT_EQ(skua_poll(fds[0], POLLOUT | POLLRDHUP, SKUA_NEVER), POLLRDHUP);
    SKT_EQ(skua_poll(fds[0], POLLIN, SKUA_NEVER), POLLIN);
    SKT_EQ(skua_close(fds[1]), 0);
    int rc = skua_poll(fds[0], POLLOUT, SKUA_NEVER);
    SKT_EQ(rc & ~(POLLOUT | POLLERR | POLLHUP), 0);
    SKT_EQ(rc & POLLHUP, POLLHUP);
    SKT_EQ(skua_close(fds[0]), 0);
    return 0;
}

SKT_TEST(half_closed, on_one_worker)
{
    io_run(body, NULL, 1);
}

SKT_TEST(half_closed, on_two_workers)
{
    io_run(body, NULL, 2);
}

/* Goal: the same in a plain thread. */
SKT_TEST(half_closed, plain_thread)
{
    int fds[2];
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 2;
    SKT_EQ(skua_start(&config), 0);
    for (int how = BY_POLL; how <= BY_WRITE; how++) {
        half_close(fds);
        SKT_EQ(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
        struct wait w = {.fd = fds[0], .how = (enum how)how, .dl = skua_in(SKUA_MS(5))};
        SKT_EQ(await_room(&w), -ETIMEDOUT);
        w.dl = SKUA_NEVER;
        skua_task *t;
        SKT_EQ(skua_spawn_opts(SKUA_SCOPE_ROOT, drain_late, &fds[1], NULL, &t), 0);
        SKT_EQ(await_room(&w), 0);
        SKT_EQ(skua_join(t, NULL, SKUA_NEVER), 0);
        skua_task_unref(t);
        SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(skua_close(fds[1]), 0);
    }
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}
