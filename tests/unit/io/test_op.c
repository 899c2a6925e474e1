/* Operations: who may end them, what they return, and that nothing is lost. */
#include "io/op.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "io/fd.h"
#include "tests/unit/io/io_test.h"
#include "tests/unit/io/watch.h"

/* Goal: SKUA_NOW takes what is there and never waits for what is not. */
static int now_body(void *arg)
{
    int fds[2];
    char buf[8];
    (void)arg;
    for (int i = 0; i < 100; i++) {
        io_pair(fds);
        SKT_EQ(skua_read(fds[0], buf, sizeof(buf), SKUA_NOW), -EAGAIN);
        SKT_EQ(write(fds[1], "abc", 3), 3);
        SKT_EQ(skua_read(fds[0], buf, sizeof(buf), SKUA_NOW), 3);
        SKT_MEM_EQ(buf, "abc", 3);
        SKT_EQ(skua_recv(fds[0], buf, sizeof(buf), 0, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_poll(fds[0], POLLIN, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_poll(fds[0], POLLOUT, SKUA_NOW), POLLOUT);
        SKT_EQ(skua_write(fds[1], "d", 1, SKUA_NOW), 1);
        SKT_EQ(skua_poll(fds[0], POLLIN, SKUA_NOW), POLLIN);
        SKT_EQ(skua_close(fds[1]), 0);
        SKT_EQ(skua_read(fds[0], buf, sizeof(buf), SKUA_NOW), 1);
        SKT_EQ(skua_read(fds[0], buf, sizeof(buf), SKUA_NOW), 0);
        SKT_EQ(skua_close(fds[0]), 0);
    }
    return 0;
}

SKT_TEST(op, now)
{
    io_run(now_body, NULL, 1);
}

/* Goal: deadlines: -EINVAL for a duration, -ETIMEDOUT after a try for one that has passed, and in
 * time for one to come. */
static int deadline_body(void *arg)
{
    int fds[2];
    char buf[8];
    (void)arg;
    io_pair(fds);
    SKT_EQ(skua_read(fds[0], buf, 8, -1), -EINVAL);
    SKT_EQ(skua_read(fds[0], buf, 8, SKUA_MS(5)), -EINVAL);
    SKT_EQ(skua_read(fds[0], buf, 8, skua_now() - 1), -ETIMEDOUT);
    /* In time at least once: the machine may have stopped this thread each other time. */
    for (int64_t end = skua_in(SKUA_S(60)), took = INT64_MAX; took > SKUA_MS(1000);) {
        int64_t begin = skua_now();
        SKT_LT(begin, end);
        SKT_EQ(skua_read(fds[0], buf, 8, skua_in(SKUA_MS(20))), -ETIMEDOUT);
        took = skua_now() - begin;
        SKT_GE(took, SKUA_MS(20));
    }
    SKT_EQ(write(fds[1], "ab", 2), 2);
    SKT_EQ(skua_read(fds[0], buf, 8, skua_now() - 1), 2);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

SKT_TEST(op, deadlines)
{
    io_run(deadline_body, NULL, 1);
}

/* Goal: what a cancelled coroutine can do at once is done; what would wait gives -ECANCELED; a
 * regular file counts as ready. */
static int cancelled_child(void *arg)
{
    int *fds = arg;
    char buf[8];
    SKT_EQ(skua_read(fds[0], buf, 8, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_read(fds[0], buf, 8, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_read(fds[0], buf, 8, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_write(fds[0], "bye", 3, SKUA_NEVER), 3);
    SKT_EQ(write(fds[1], "data", 4), 4);
    SKT_EQ(skua_read(fds[0], buf, 8, SKUA_NEVER), 4);
    int file = io_file("content", 7);
    SKT_EQ(skua_pread(file, buf, 8, 0, SKUA_NEVER), 7);
    SKT_EQ(skua_pread(file, buf, 8, 3, SKUA_NOW), 4);
    SKT_EQ(skua_close(file), 0);
    return 0;
}

static int cancelled_body(void *arg)
{
    int fds[2];
    skua_scope s;
    (void)arg;
    io_pair(fds);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, cancelled_child, fds), 0);
    SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(10))), -EBUSY);
    skua_scope_cancel(&s);
    skua_scope_close(&s, SKUA_NEVER);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

SKT_TEST(op, cancelled)
{
    io_run(cancelled_body, NULL, 1);
    io_run(cancelled_body, NULL, 2);
}

/* Goal: an O_NONBLOCK descriptor waits all the same; MSG_DONTWAIT does not. */
static int write_later(void *arg)
{
    skua_sleep(SKUA_MS(10));
    SKT_EQ(write(*(int *)arg, "late", 4), 4);
    return 0;
}

static int nonblock_body(void *arg)
{
    int fds[2];
    char buf[8];
    skua_scope s;
    (void)arg;
    SKT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    SKT_EQ(skua_recv(fds[0], buf, 8, MSG_DONTWAIT, SKUA_NEVER), -EAGAIN);
    SKT_EQ(skua_read(fds[0], buf, 8, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_read(fds[0], buf, 8, skua_in(SKUA_MS(5))), -ETIMEDOUT);
    for (int i = 0; i < 2; i++) {
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, write_later, &fds[1]), 0);
        SKT_EQ(i ? skua_read(fds[0], buf, 8, SKUA_NEVER) : skua_recv(fds[0], buf, 8, 0, SKUA_NEVER),
               4);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
    SKT_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

SKT_TEST(op, nonblocking_descriptor)
{
    io_run(nonblock_body, NULL, 1);
}

/* Goal: a timer's function may not wait for I/O. */
static int callback_result;
static void read_in_callback(void *arg)
{
    char c;
    callback_result = (int)skua_read(*(int *)arg, &c, 1, SKUA_NEVER);
}

static int callback_body(void *arg)
{
    skua_timer timer;
    int fds[2];
    (void)arg;
    io_pair(fds);
    callback_result = 0;
    SKT_EQ(skua_timer_start(&timer, skua_now(), read_in_callback, &fds[0]), 0);
    for (skua_time end = skua_in(SKUA_S(60)); callback_result == 0 && skua_now() < end;)
        SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    SKT_EQ(callback_result, -EPERM);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

SKT_TEST(op, callback)
{
    io_run(callback_body, NULL, 1);
}

/* ---- Plain threads. */

SKT_TEST(op, plain_without_runtime)
{
    char c;
    SKT_EQ(skua_read(0, &c, 1, SKUA_NEVER), -ESHUTDOWN);
    SKT_EQ(skua_read(0, &c, 1, -7), -EINVAL);
}

static void start(unsigned workers)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    SKT_EQ(skua_start(&config), 0);
}

SKT_TEST(op, plain_thread)
{
    int fds[2];
    char buf[8];
    start(2);
    io_pair(fds);
    for (int i = 0; i < 100; i++) {
        SKT_EQ(skua_read(fds[0], buf, 8, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_write(fds[1], "plain", 5, SKUA_NEVER), 5);
        SKT_EQ(skua_read(fds[0], buf, 8, SKUA_NEVER), 5);
        SKT_EQ(skua_read(fds[0], buf, 8, skua_in(SKUA_US(200))), -ETIMEDOUT);
        SKT_EQ(skua_read(fds[0], buf, 8, skua_now() - 1), -ETIMEDOUT);
    }
    int file = io_file("content", 7);
    SKT_EQ(skua_pread(file, buf, 8, 0, SKUA_NOW), 7);
    SKT_EQ(skua_close(file), 0);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

static void *read_for_ever(void *arg)
{
    char c;
    return (void *)(intptr_t)skua_read(*(int *)arg, &c, 1, SKUA_NEVER);
}

/* Goal: skua_close, and a stop, end a plain thread's wait. */
SKT_TEST(op, plain_thread_ended)
{
    for (int by_stop = 0; by_stop < 2; by_stop++) {
        int fds[2];
        pthread_t thread;
        void *rc;
        start(1);
        io_pair(fds);
        SKT_EQ(pthread_create(&thread, NULL, read_for_ever, &fds[0]), 0);
        while (!watch_is_listed(fds[0])) /* now it waits */
            usleep(100);
        if (by_stop)
            SKT_EQ(skua_stop(SKUA_NEVER), 0);
        else
            SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(pthread_join(thread, &rc), 0);
        SKT_EQ((intptr_t)rc, by_stop ? -ESHUTDOWN : -ECANCELED);
        if (by_stop)
            SKT_EQ(skua_close(fds[0]), 0);
        else
            SKT_EQ(skua_stop(SKUA_NEVER), 0);
        SKT_EQ(skua_close(fds[1]), 0);
    }
}

/* ---- Races. */

/* BUGS: op buffer use after free, timer-cancel race. Goal: of completion, deadline and cancellation
 * one wins, no byte is lost and no buffer is written after the call. Method: a writer sends
 * numbered bytes; readers with short deadlines that are cancelled now and then put each read into a
 * fresh frame and check the order; frames are overwritten after each call. */
struct race {
    int fds[2];
    uint64_t total;
    uint64_t read;
    uint64_t timeouts;
    uint64_t cancels;
};

static __attribute__((noinline)) ssize_t read_in_frame(struct race *r, skua_time dl)
{
    unsigned char buf[7];
    memset(buf, 0xee, sizeof(buf));
    ssize_t n = skua_read(r->fds[0], buf, sizeof(buf), dl);
    for (ssize_t i = 0; i < n; i++)
        SKT_EQ(buf[i], (unsigned char)(r->read + (uint64_t)i));
    for (size_t i = n > 0 ? (size_t)n : 0; i < sizeof(buf); i++)
        SKT_EQ(buf[i], 0xee);
    if (n > 0)
        r->read += (uint64_t)n;
    return n;
}

static int race_reader(void *arg)
{
    struct race *r = arg;
    while (r->read < r->total) {
        ssize_t n = read_in_frame(r, skua_in((int64_t)(r->timeouts % 64) * 1000));
        if (n == -ETIMEDOUT)
            r->timeouts++;
        else if (n == -ECANCELED)
            return 0;
        else
            SKT_GT(n, 0);
    }
    return 0;
}

static int race_writer(void *arg)
{
    struct race *r = arg;
    for (uint64_t i = 0; i < r->total; i++) {
        unsigned char c = (unsigned char)i;
        SKT_EQ(skua_write(r->fds[1], &c, 1, SKUA_NEVER), 1);
        if (i % 3 == 0)
            skua_yield();
        if (i % 64 == 0)
            skua_sleep(SKUA_US(50));
    }
    return 0;
}

static int race_body(void *arg)
{
    struct race *r = arg;
    skua_scope writers, readers;
    SKT_EQ(skua_scope_open(&writers, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&writers, race_writer, r), 0);
    while (r->read < r->total) {
        SKT_EQ(skua_scope_open(&readers, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&readers, race_reader, r), 0);
        skua_sleep(SKUA_US(100));
        skua_scope_cancel(&readers);
        skua_scope_close(&readers, SKUA_NEVER);
        r->cancels++;
    }
    SKT_EQ(skua_scope_close(&writers, SKUA_NEVER), 0);
    return 0;
}

static void race(unsigned workers)
{
    struct race r = {.total = skt_scaled(20000)};
    io_pair(r.fds);
    io_run(race_body, &r, workers);
    SKT_EQ(r.read, r.total);
    SKT_GT(r.cancels, 0);
    close(r.fds[0]);
    close(r.fds[1]);
}

SKT_TEST(op, race_one_worker)
{
    race(1);
}

SKT_TEST(op, race_workers)
{
    race(4);
}

/* BUGS: resource leak on cancel. Goal: an accept that is cancelled or times out loses no connection
 * and no descriptor. */
static int accept_body(void *arg)
{
    char address[64]; /* its own: this program runs with several settings at once */
    snprintf(address, sizeof(address), "unix:@skua-test-op-accept-%d", (int)getpid());
    int listener = skua_listen(address, NULL);
    SKT_GE(listener, 0);
    uint64_t connected = 0, accepted = 0;
    (void)arg;
    for (uint64_t i = 0; i < skt_scaled(2000); i++) {
        if (i % 2 == 0) {
            int fd = skua_dial(address, NULL, SKUA_NEVER);
            SKT_GE(fd, 0);
            SKT_EQ(skua_close(fd), 0);
            connected++;
        }
        int fd = skua_accept(listener, NULL, NULL, i % 3 ? skua_in(SKUA_US(20)) : SKUA_NOW);
        if (fd < 0)
            continue;
        accepted++;
        SKT_EQ(skua_close(fd), 0);
    }
    for (int fd; (fd = skua_accept(listener, NULL, NULL, SKUA_NOW)) >= 0; accepted++)
        SKT_EQ(skua_close(fd), 0);
    SKT_EQ(accepted, connected);
    SKT_EQ(skua_close(listener), 0);
    return 0;
}

SKT_TEST(op, accept_leaks_nothing)
{
    io_run(accept_body, NULL, 1);
}
