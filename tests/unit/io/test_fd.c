/* The table of descriptors, and closing under operations. */
#include "io/fd.h"
#include "runtime/solo.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "runtime/base/sys.h"
#include "tests/unit/io/io_test.h"
#include "tests/unit/io/watch.h"

/* Goal: no number is out of the table's reach, and what is no descriptor is no entry. */
SKT_TEST(fd, table)
{
    static const int numbers[] = {0, 1, SK_FD_CHUNK - 1, SK_FD_CHUNK, 1000000, (1 << 30) - 1};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sk_fd *entry = sk_fd_make(numbers[i]);
        SKT_NOT_NULL(entry);
        SKT_PTR_EQ(entry, sk_fd_find(numbers[i]));
        SKT_PTR_EQ(entry, sk_fd_make(numbers[i]));
        SKT_EQ((uintptr_t)entry % SK_CACHELINE, 0);
    }
    SKT_NULL(sk_fd_find(-1));
    SKT_NULL(sk_fd_make(-1));
    SKT_NULL(sk_fd_make(INT_MIN));
    SKT_NULL(sk_fd_make(INT_MAX));
    SKT_EQ(skua_close(-1), -EBADF);
    SKT_EQ(skua_close(INT_MAX), -EBADF);
}

/* Goal: with nothing in flight skua_close is close(2), also without a runtime; the generation tells
 * a closing apart. */
SKT_TEST(fd, close_idle)
{
    int fds[2];
    uint32_t generation, later;
    io_pipe(fds);
    SKT_EQ(sk_fd_generation(fds[0], &generation), 0);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[0]), -EBADF);
    SKT_EQ(sk_fd_generation(fds[0], &later), 0);
    SKT_NE(generation, later);
    SKT_EQ(sk_fd_close_if(fds[0], generation), -EBADF);
    SKT_EQ(sk_fd_generation(fds[1], &generation), 0);
    SKT_EQ(sk_fd_close_if(fds[1], generation), 0);
    SKT_EQ(fcntl(fds[1], F_GETFD), -1);
}

static int failing_close(int fd)
{
    close(fd);
    errno = EIO;
    return -1;
}

SKT_TEST(fd, close_fails)
{
    int fds[2];
    io_pipe(fds);
    sk_sys.close = failing_close;
    SKT_EQ(skua_close(fds[0]), -EIO);
    sk_sys.close = close;
    SKT_EQ(skua_close(fds[1]), 0);
}

/* ---- Close under operations. */

struct reader {
    int fd;
    ssize_t result;
};

static int read_one(void *arg)
{
    struct reader *r = arg;
    char c;
    r->result = skua_read(r->fd, &c, 1, SKUA_NEVER);
    return 0;
}

static int poll_one(void *arg)
{
    struct reader *r = arg;
    r->result = skua_poll(r->fd, POLLIN, SKUA_NEVER);
    return 0;
}

/* Returns when count operations are in flight on fd. */
static void await_ops(int fd, int count)
{
    for (;;) {
        int n = 0;
        struct sk_fd *entry = sk_fd_make(fd);
        sk_solo_lock(&entry->lock);
        for (struct sk_list *node = entry->ops; node != NULL; node = node->next)
            n++;
        sk_unlock(&entry->lock);
        if (n == count)
            return;
        SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    }
}

/* BUGS: close vs in-flight. Goal: what is in flight returns -ECANCELED, all of it before skua_close
 * does; the peer sees the end; and another process's copy of a socket still works. */
static int close_busy_body(void *arg)
{
    enum { READERS = 20 };
    struct reader readers[READERS];
    skua_scope s;
    int fds[2];
    char c;
    (void)arg;
    io_tcp_pair(fds);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){fds[0], 99};
        SKT_EQ(skua_spawn(&s, i % 2 ? read_one : poll_one, &readers[i]), 0);
    }
    await_ops(fds[0], READERS);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_NULL(sk_fd_find(fds[0])->ops);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    for (int i = 0; i < READERS; i++)
        SKT_EQ(readers[i].result, -ECANCELED);
    SKT_EQ(skua_read(fds[1], &c, 1, skua_in(SKUA_S(60))), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

SKT_TEST(fd, close_busy)
{
    for (int i = 0; i < 10; i++) {
        io_run(close_busy_body, NULL, 1);
        io_run(close_busy_body, NULL, 3);
    }
}

static int close_copy_body(void *arg)
{
    const int *fds = arg;
    struct reader r = {fds[0], 99};
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, read_one, &r), 0);
    await_ops(fds[0], 1);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(r.result, -ECANCELED);
    return skua_scope_close(&s, SKUA_NEVER);
}

SKT_TEST(fd, close_spares_copies)
{
    int fds[2], status;
    char c = 0;
    io_tcp_pair(fds);
    pid_t child = fork();
    if (child == 0) {
        /* Holds a copy; says so; later answers through it. */
        if (write(fds[0], "1", 1) != 1 || read(fds[0], &c, 1) != 1)
            _exit(1);
        _exit(write(fds[0], &c, 1) != 1);
    }
    SKT_EQ(read(fds[1], &c, 1), 1);
    io_run(close_copy_body, fds, 1);
    SKT_EQ(write(fds[1], "2", 1), 1);
    SKT_EQ(read(fds[1], &c, 1), 1);
    SKT_EQ(c, '2');
    SKT_EQ(waitpid(child, &status, 0), child);
    SKT_EQ(status, 0);
    close(fds[1]);
}

/* Goal: of two that close one descriptor at once one succeeds, and the other gets -EBADF, while
 * operations are in flight. */
static int close_it(void *arg)
{
    struct reader *r = arg;
    r->result = skua_close(r->fd);
    return 0;
}

static int close_twice_body(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < skt_scaled(200); i++) {
        int fds[2];
        skua_scope s;
        io_pair(fds);
        struct reader reader = {fds[0], 99}, closers[2] = {{fds[0], 99}, {fds[0], 99}};
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, read_one, &reader), 0);
        skua_yield();
        SKT_EQ(skua_spawn(&s, close_it, &closers[0]), 0);
        SKT_EQ(skua_spawn(&s, close_it, &closers[1]), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_TRUE(reader.result == -ECANCELED || reader.result == -EBADF);
        SKT_EQ(closers[0].result + closers[1].result, -EBADF);
        SKT_EQ(skua_close(fds[1]), 0);
    }
    return 0;
}

SKT_TEST(fd, close_twice)
{
    io_run(close_twice_body, NULL, 1);
    io_run(close_twice_body, NULL, 4);
}

/* Goal: a plain thread may close what coroutines read, and the other way round (in test_op). */
static _Atomic(int) x_thread_fd;
static void *close_in_thread(void *arg)
{
    (void)arg;
    while (!watch_is_listed(x_thread_fd))
        usleep(100);
    return (void *)(intptr_t)skua_close(x_thread_fd);
}

static int close_by_thread_body(void *arg)
{
    pthread_t thread;
    int fds[2];
    char c;
    void *rc;
    (void)arg;
    io_pair(fds);
    x_thread_fd = fds[0];
    SKT_EQ(pthread_create(&thread, NULL, close_in_thread, NULL), 0);
    SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    SKT_EQ(pthread_join(thread, &rc), 0);
    SKT_EQ((intptr_t)rc, 0);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

SKT_TEST(fd, close_by_thread)
{
    io_run(close_by_thread_body, NULL, 2);
}

/* Goal: close sees no cancellation. */
static int close_cancelled_child(void *arg)
{
    struct reader *r = arg;
    char c;
    SKT_EQ(skua_read(r->fd, &c, 1, SKUA_NEVER), -ECANCELED);
    r->result = skua_close(r->fd);
    return 0;
}

static int close_cancelled_body(void *arg)
{
    int fds[2];
    skua_scope outer, inner;
    (void)arg;
    io_pair(fds);
    struct reader other = {fds[0], 99}, r = {fds[0], 99};
    SKT_EQ(skua_scope_open(&outer, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&outer, read_one, &other), 0);
    SKT_EQ(skua_scope_open(&inner, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&inner, close_cancelled_child, &r), 0);
    await_ops(fds[0], 2);
    skua_scope_cancel(&inner);
    SKT_EQ(skua_scope_close(&inner, SKUA_NEVER), -ECANCELED);
    SKT_EQ(r.result, 0);
    SKT_EQ(skua_scope_close(&outer, SKUA_NEVER), 0);
    SKT_EQ(other.result, -ECANCELED);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

SKT_TEST(fd, close_in_cancelled_task)
{
    io_run(close_cancelled_body, NULL, 1);
    io_run(close_cancelled_body, NULL, 2);
}

/* BUGS: fd reuse. Goal: numbers that are closed and opened again at the highest rate never mix up
 * two connections. Method: each coroutine makes a pair of its own, sends its id, and closes; a
 * reader that is closed under its feet sees only its own bytes, -ECANCELED, -EBADF or the end. */
static int reuse_child(void *arg)
{
    uint64_t id = (uint64_t)(uintptr_t)arg;
    for (uint64_t i = 0; i < skt_scaled(2000); i++) {
        uint64_t sent = id << 32 | i, got = 0;
        int fds[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
            SKT_FAIL("socketpair");
        SKT_EQ(skua_write(fds[0], &sent, sizeof(sent), SKUA_NEVER), 8);
        SKT_EQ(skua_read(fds[1], &got, sizeof(got), SKUA_NEVER), 8);
        SKT_EQ(got, sent);
        SKT_EQ(skua_read(fds[1], &got, sizeof(got), i % 2 ? SKUA_NOW : skua_in(SKUA_US(10))),
               i % 2 ? -EAGAIN : -ETIMEDOUT);
        SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(skua_read(fds[1], &got, sizeof(got), SKUA_NEVER), 0);
        SKT_EQ(skua_close(fds[1]), 0);
    }
    return 0;
}

static int reuse_body(void *arg)
{
    skua_scope s;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (uintptr_t id = 1; id <= 16; id++)
        SKT_EQ(skua_spawn(&s, reuse_child, (void *)id), 0);
    return skua_scope_close(&s, SKUA_NEVER);
}

SKT_TEST(fd, reuse)
{
    io_run(reuse_body, NULL, 4);
}

/* Goal: an operation that meets a number while close(2) runs goes on with the file that has it
 * next, or gets -EBADF; it never hangs on the dead one. Method: close(2) is replaced by one that
 * lets such an operation start before it returns. */
static int slow_fd = -1;
static _Atomic(int) x_in_close;

static int slow_close(int fd)
{
    int rc = close(fd);
    if (fd == slow_fd) {
        x_in_close = 1;
        usleep(30000);
    }
    return rc;
}

static void *close_slowly(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)skua_close(slow_fd);
}

static int window_body(void *arg)
{
    int reopens = *(int *)arg;
    int fds[2], again[2] = {-1, -1};
    pthread_t thread;
    char c = 0;
    io_pair(fds);
    slow_fd = fds[0];
    x_in_close = 0;
    SKT_EQ(pthread_create(&thread, NULL, close_slowly, NULL), 0);
    while (!x_in_close)
        usleep(100);
    if (reopens) {
        io_pair(again);
        SKT_EQ(again[0], slow_fd);
        SKT_EQ(skua_read(slow_fd, &c, 1, skua_in(SKUA_MS(100))), -ETIMEDOUT);
        SKT_EQ(write(again[1], "z", 1), 1);
        SKT_EQ(skua_read(slow_fd, &c, 1, SKUA_NEVER), 1);
        SKT_EQ(c, 'z');
    } else {
        SKT_EQ(skua_read(slow_fd, &c, 1, SKUA_NEVER), -EBADF);
    }
    SKT_EQ(pthread_join(thread, NULL), 0);
    slow_fd = -1;
    SKT_EQ(skua_close(fds[1]), 0);
    if (reopens) {
        SKT_EQ(skua_close(again[0]), 0);
        SKT_EQ(skua_close(again[1]), 0);
    }
    return 0;
}

SKT_TEST(fd, operation_while_closing)
{
    sk_sys.close = slow_close;
    for (int reopens = 0; reopens < 2; reopens++)
        io_run(window_body, &reopens, 1);
    sk_sys.close = close;
}
