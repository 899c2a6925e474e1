/* tests/unit/io/test_select_fd.c - a select that waits for descriptors, on the ring. */
#include <poll.h>
#include <stdatomic.h>

#include "tests/unit/io/io_test.h"

struct late {
    int fd;
    skua_chan *chan;
    int64_t after_ns;
};

static int write_late(void *arg)
{
    struct late *l = arg;
    skua_sleep(l->after_ns);
    SKT_EQ(skua_write(l->fd, "x", 1, SKUA_NEVER), 1);
    return 0;
}

static int send_late(void *arg)
{
    struct late *l = arg;
    int one = 1;
    skua_sleep(l->after_ns);
    SKT_EQ(skua_chan_send(l->chan, &one, SKUA_NEVER), 0);
    return 0;
}

static int close_late(void *arg)
{
    struct late *l = arg;
    skua_sleep(l->after_ns);
    SKT_EQ(skua_close(l->fd), 0);
    return 0;
}

static int run_late(int (*fn)(void *), struct late *l, skua_case *v, unsigned n)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, fn, l), 0);
    int k = skua_select(v, n, 0, skua_in(SKUA_S(60)));
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return k;
}

enum { PAIRS = 3 };

/* Goal: of several descriptors and a channel exactly the one to which something came is done; the
 * others can be waited for again, and nothing is read by it. */
static int whichever_comes(void *arg)
{
    (void)arg;
    int fds[PAIRS][2], got = 0;
    skua_chan *c = NULL;
    skua_case v[PAIRS + 1];
    SKT_EQ(skua_chan_new(&c, sizeof(int), 0, 0), 0);
    for (int i = 0; i < PAIRS; i++) {
        io_pair(fds[i]);
        v[i] = (skua_case){.op = SKUA_FD, .fd = fds[i][0], .events = POLLIN};
    }
    v[PAIRS] = (skua_case){.op = SKUA_RECV, .obj = c, .val = &got};
    for (int round = 0; round < 60; round++) {
        int which = round % (PAIRS + 1);
        struct late l = {.chan = c, .after_ns = round % 3 * SKUA_US(100)};
        if (which < PAIRS)
            l.fd = fds[which][1];
        SKT_EQ(run_late(which < PAIRS ? write_late : send_late, &l, v, PAIRS + 1), which);
        if (which == PAIRS) {
            SKT_EQ(v[which].res, 0);
            SKT_EQ(got, 1);
            got = 0;
            continue;
        }
        char byte = 0;
        SKT_EQ(v[which].res, POLLIN);
        SKT_EQ(skua_read(fds[which][0], &byte, 1, SKUA_NOW), 1);
        SKT_EQ(byte, 'x');
    }
    SKT_EQ(skua_select(v, PAIRS + 1, 0, SKUA_NOW), -EAGAIN);
    for (int i = 0; i < PAIRS; i++) {
        SKT_EQ(skua_close(fds[i][0]), 0);
        SKT_EQ(skua_close(fds[i][1]), 0);
    }
    skua_chan_unref(c);
    return 0;
}

/* Goal: a deadline and a cancellation end it, and the kernel is done with it then. */
static int wait_cancelled(void *arg)
{
    skua_case v = {.op = SKUA_FD, .fd = *(int *)arg, .events = POLLIN};
    SKT_EQ(skua_select(&v, 1, 0, SKUA_NEVER), -ECANCELED);
    return -ECANCELED;
}

static int ended_early(void *arg)
{
    (void)arg;
    int fds[2];
    skua_scope s;
    io_pair(fds);
    skua_case v = {.op = SKUA_FD, .fd = fds[0], .events = POLLIN};
    skua_time dl = skua_in(SKUA_MS(2));
    SKT_EQ(skua_select(&v, 1, 0, dl), -ETIMEDOUT);
    SKT_GE(skua_now(), dl);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int i = 0; i < 20; i++)
        SKT_EQ(skua_spawn(&s, wait_cancelled, fds), 0);
    SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(2))), -EBUSY);
    skua_scope_cancel(&s);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

/* Goal: skua_close of the descriptor ends the select, with that case; so does the peer's end. */
static int closed_under(void *arg)
{
    (void)arg;
    for (int peer = 0; peer < 2; peer++) {
        int fds[2];
        io_pair(fds);
        struct late l = {.fd = fds[peer], .after_ns = SKUA_MS(1)};
        skua_case v = {.op = SKUA_FD, .fd = fds[0], .events = POLLIN};
        SKT_EQ(run_late(close_late, &l, &v, 1), 0);
        if (peer)
            SKT_TRUE((v.res & (POLLIN | POLLHUP)) != 0);
        else
            SKT_TRUE(v.res == -ECANCELED || v.res == -EBADF);
        SKT_EQ(skua_close(fds[1 - peer]), 0);
    }
    return 0;
}

static int try_all(void *arg)
{
    (void)whichever_comes(arg);
    (void)ended_early(arg);
    return closed_under(arg);
}

SKT_TEST(select_fd, on_one_worker)
{
    io_run(try_all, NULL, 1);
}

SKT_TEST(select_fd, on_two_workers)
{
    io_run(try_all, NULL, 2);
}

SKT_TEST(select_fd, on_eight_workers)
{
    io_run(try_all, NULL, 8);
}

/* Goal: the same in a plain thread. */
SKT_TEST(select_fd, plain_thread)
{
    int fds[2];
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 2;
    SKT_EQ(skua_start(&config), 0);
    io_pair(fds);
    skua_case v = {.op = SKUA_FD, .fd = fds[0], .events = POLLIN};
    SKT_EQ(skua_select(&v, 1, 0, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    struct late l = {.fd = fds[1], .after_ns = SKUA_MS(1)};
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, write_late, &l), 0);
    SKT_EQ(skua_select(&v, 1, 0, skua_in(SKUA_S(60))), 0);
    SKT_EQ(v.res, POLLIN);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}
