/* io/fd.c: a close(2) that waits holds no worker. */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>

#include <skua/skua.h>

#include "runtime/base/atomic.h"
#include "runtime/base/sys.h"
#include "tests/unit/io/io_test.h"

static const unsigned worker_counts[] = {1, 2, 8};

struct closing {
    int fd, rc;
    _Atomic(bool) x_begun, x_over;
};

static int close_one(void *arg)
{
    struct closing *c = arg;
    sk_store_relaxed(&c->x_begun, true);
    c->rc = skua_close(c->fd);
    sk_store_release(&c->x_over, true);
    return 0;
}

static void spawn_close(skua_scope *s, struct closing *c, int fd)
{
    *c = (struct closing){.fd = fd, .rc = 99};
    SKT_EQ(skua_spawn(s, close_one, c), 0);
    while (!sk_load_relaxed(&c->x_begun))
        skua_yield();
    for (int i = 0; i < 10; i++)
        skua_yield();
}

/* A connection whose end fds[0] lingers, with more to send than its peer has room for. */
static void make_lingering(int fds[2])
{
    static char data[65536];
    const struct linger linger = {.l_onoff = 1, .l_linger = 60};
    io_tcp_pair(fds);
    SKT_EQ(setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    while (send(fds[0], data, sizeof(data), MSG_DONTWAIT) > 0)
        ;
}

/* A pair of sockets, of which the first has that number, which is free. */
static void make_pair_at(int number, int pair[2])
{
    int fds[2];
    io_pair(fds);
    if (fds[0] != number && fds[1] != number) {
        SKT_EQ(fcntl(fds[0], F_DUPFD_CLOEXEC, number), number);
        close(fds[0]);
        fds[0] = number;
    }
    pair[0] = number;
    pair[1] = fds[0] == number ? fds[1] : fds[0];
}

static void drain(int fd)
{
    static char data[65536];
    ssize_t n;
    while ((n = skua_recv(fd, data, sizeof(data), 0, SKUA_NEVER)) > 0)
        ;
    SKT_EQ(n, 0);
    close(fd);
}

/* While it lingers, another coroutine goes on, and so does the number's next descriptor. */
static int linger_body(void *arg)
{
    int fds[2], pair[2];
    struct closing c;
    skua_scope s;
    char byte = 0;
    (void)arg;
    make_lingering(fds);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    spawn_close(&s, &c, fds[0]);
    SKT_FALSE(sk_load_acquire(&c.x_over));
    while (fcntl(fds[0], F_GETFD) >= 0)
        skua_yield(); /* until close(2) has begun, which frees the number */
    make_pair_at(fds[0], pair);
    SKT_EQ(skua_write(pair[1], "x", 1, SKUA_NEVER), 1);
    SKT_EQ(skua_read(pair[0], &byte, 1, SKUA_NEVER), 1);
    SKT_EQ(byte, 'x');
    SKT_FALSE(sk_load_acquire(&c.x_over));
    drain(fds[1]);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(c.rc, 0);
    SKT_EQ(skua_close(pair[0]), 0);
    SKT_EQ(skua_close(pair[1]), 0);
    return 0;
}

SKT_TEST(close, lingering)
{
    for (int i = 0; i < 3; i++)
        io_run(linger_body, NULL, worker_counts[i]);
}

struct reader {
    int fd;
    ssize_t rc;
};

static int read_one(void *arg)
{
    struct reader *r = arg;
    char c;
    r->rc = skua_read(r->fd, &c, 1, SKUA_NEVER);
    return 0;
}

/* A wait on the number's next descriptor, begun while the close lingers, outlives it. */
static int reuse_body(void *arg)
{
    int fds[2], pair[2];
    struct closing c;
    skua_scope s;
    (void)arg;
    make_lingering(fds);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    spawn_close(&s, &c, fds[0]);
    while (fcntl(fds[0], F_GETFD) >= 0)
        skua_yield();
    make_pair_at(fds[0], pair);
    struct reader r = {pair[0], 99};
    SKT_EQ(skua_spawn(&s, read_one, &r), 0);
    for (int i = 0; i < 10; i++)
        skua_yield();
    drain(fds[1]);
    while (!sk_load_acquire(&c.x_over))
        skua_yield();
    SKT_EQ(r.rc, 99);
    SKT_EQ(skua_write(pair[1], "x", 1, SKUA_NEVER), 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(r.rc, 1);
    close(pair[0]);
    close(pair[1]);
    return 0;
}

SKT_TEST(close, number_is_used_again)
{
    for (int i = 0; i < 3; i++)
        io_run(reuse_body, NULL, worker_counts[i]);
}

/* ---- In a callback, which cannot wait. */

static struct closing in_callback;

static void close_in_callback(void *arg)
{
    (void)arg;
    (void)close_one(&in_callback);
}

static int callback_body(void *arg)
{
    int fds[2];
    skua_timer timer = {{0}};
    (void)arg;
    make_lingering(fds);
    in_callback = (struct closing){.fd = fds[0], .rc = 99};
    SKT_EQ(skua_timer_start(&timer, skua_in(SKUA_MS(1)), close_in_callback, NULL), 0);
    while (!sk_load_relaxed(&in_callback.x_begun))
        skua_yield();
    while (!sk_load_acquire(&in_callback.x_over))
        skua_yield();
    SKT_EQ(in_callback.rc, 0);
    drain(fds[1]); /* to its end, which comes when all was sent */
    return 0;
}

SKT_TEST(close, in_a_callback)
{
    for (int i = 0; i < 3; i++)
        io_run(callback_body, NULL, worker_counts[i]);
}

/* ---- Which closes go to a thread of their own. */

static struct {
    pthread_t worker;
    bool elsewhere;
} seen;

static int note_close(int fd)
{
    seen.elsewhere = !pthread_equal(pthread_self(), seen.worker);
    return close(fd);
}

static bool closes_elsewhere(int fd)
{
    seen.worker = pthread_self(); /* there is one */
    SKT_EQ(skua_close(fd), 0);
    return seen.elsewhere;
}

static int kinds_body(void *arg)
{
    int fds[2];
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    (void)arg;
    sk_sys.close = note_close;
    io_pipe(fds);
    SKT_FALSE(closes_elsewhere(fds[0]));
    SKT_FALSE(closes_elsewhere(fds[1]));
    io_tcp_pair(fds);
    SKT_FALSE(closes_elsewhere(fds[0]));
    SKT_EQ(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    SKT_FALSE(closes_elsewhere(fds[1]));
    io_pair(fds);
    SKT_EQ(skua_write(fds[0], "x", 1, SKUA_NEVER), 1); /* known to the table */
    SKT_FALSE(closes_elsewhere(fds[0]));
    SKT_FALSE(closes_elsewhere(fds[1]));
    SKT_TRUE(closes_elsewhere(io_file("abc", 3)));
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal >= 0)
        SKT_TRUE(closes_elsewhere(terminal));
    sk_sys.close = close;
    SKT_EQ(skua_close(-1), -EBADF);
    SKT_EQ(skua_close(terminal), -EBADF);
    return 0;
}

SKT_TEST(close, kinds)
{
    io_run(kinds_body, NULL, 1);
}

/* ---- The pools do not wait for each other. */

static int wait_for_post(void *arg)
{
    sem_t *posted = arg;
    while (sem_wait(posted) < 0)
        ;
    return 0;
}

static int block_for_post(void *arg)
{
    return skua_block(wait_for_post, arg, SKUA_NEVER);
}

/* skua_block has one thread, and a job that waits for the test; a close lingers; a file is written. */
static int pools_body(void *arg)
{
    sem_t posted;
    struct closing c;
    skua_scope s;
    int fds[2], fd = io_file("abc", 3), other = io_file("abc", 3);
    (void)arg;
    make_lingering(fds);
    sem_init(&posted, 0, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, block_for_post, &posted), 0);
    skua_yield();
    SKT_EQ(skua_close(other), 0);
    spawn_close(&s, &c, fds[0]);
    SKT_EQ(skua_write(fd, "def", 3, SKUA_NEVER), 3);
    SKT_FALSE(sk_load_acquire(&c.x_over));
    drain(fds[1]);
    SKT_EQ(skua_close(fd), 0);
    sem_post(&posted);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(c.rc, 0);
    sem_destroy(&posted);
    return 0;
}

SKT_TEST(close, pools)
{
    for (int i = 0; i < 3; i++) {
        skua_config config = SKUA_CONFIG_INIT;
        config.workers = worker_counts[i];
        config.block_threads = 1;
        SKT_EQ(skua_run(pools_body, NULL, &config), 0);
    }
}

enum { CROWD = 12 };

/* Many that linger have all begun: each of their peers is told of the end as soon as it reads. */
static int crowd_body(void *arg)
{
    int fds[CROWD][2];
    struct closing c[CROWD];
    skua_scope s;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int i = 0; i < CROWD; i++)
        make_lingering(fds[i]);
    for (int i = 0; i < CROWD; i++)
        spawn_close(&s, &c[i], fds[i][0]);
    SKT_EQ(skua_close(io_file("abc", 3)), 0);
    for (int i = CROWD - 1; i >= 0; i--) {
        drain(fds[i][1]);
        while (!sk_load_acquire(&c[i].x_over))
            skua_yield();
        SKT_EQ(c[i].rc, 0);
        SKT_TRUE(i == 0 || !sk_load_acquire(&c[0].x_over));
    }
    return skua_scope_close(&s, SKUA_NEVER);
}

SKT_TEST(close, many_linger)
{
    for (int i = 0; i < 3; i++) {
        skua_config config = SKUA_CONFIG_INIT;
        config.workers = worker_counts[i];
        config.block_threads = 1;
        SKT_EQ(skua_run(crowd_body, NULL, &config), 0);
    }
}

/* ---- Without threads to be had, the worker closes. */

static int refuse_thread(unsigned long *thread, void *(*fn)(void *), void *arg)
{
    (void)thread, (void)fn, (void)arg;
    return -EAGAIN;
}

static int close_file_in_callback_body(void *arg)
{
    skua_timer timer = {{0}};
    in_callback = (struct closing){.fd = *(int *)arg, .rc = 99};
    SKT_EQ(skua_timer_start(&timer, skua_in(SKUA_MS(1)), close_in_callback, NULL), 0);
    while (!sk_load_acquire(&in_callback.x_over))
        skua_yield();
    SKT_EQ(in_callback.rc, 0);
    SKT_EQ(fcntl(in_callback.fd, F_GETFD), -1);
    return 0;
}

static int no_thread_body(void *arg)
{
    int (*create)(unsigned long *, void *(*)(void *), void *) = sk_sys.thread_create;
    int fd = io_file("abc", 3), other = io_file("abc", 3);
    (void)arg;
    sk_sys.thread_create = refuse_thread;
    SKT_EQ(skua_close(fd), 0);
    SKT_EQ(fcntl(fd, F_GETFD), -1);
    SKT_EQ(close_file_in_callback_body(&other), 0);
    sk_sys.thread_create = create;
    return 0;
}

SKT_TEST(close, no_thread)
{
    io_run(no_thread_body, NULL, 1);
}

/* ---- A timer's function that runs while the runtime stops closes what lingers: its thread ends with the
 * runtime. */

static _Atomic(bool) x_stopping;

static void close_late(void *arg)
{
    sk_store_release(&in_callback.x_begun, true);
    while (!sk_load_acquire(&x_stopping))
        sched_yield();
    usleep(50000); /* no state tells from outside that the stop waits for this worker */
    SKT_EQ(skua_close(*(int *)arg), 0);
}

static void *read_late(void *fd)
{
    static char bytes[1 << 16];
    usleep(200000);
    while (read(*(int *)fd, bytes, sizeof(bytes)) > 0)
        ;
    return NULL;
}

static int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int n = 0;
    SKT_TRUE(tasks != NULL);
    for (struct dirent *d; (d = readdir(tasks)) != NULL;)
        n += d->d_name[0] != '.';
    closedir(tasks);
    return n;
}

static void stop_beside_callback(unsigned workers)
{
    skua_config config = SKUA_CONFIG_INIT;
    skua_timer timer = {{0}};
    pthread_t reader;
    int fds[2], before = count_threads();
    config.workers = workers;
    make_lingering(fds);
    in_callback = (struct closing){.fd = fds[0]};
    sk_store_relaxed(&x_stopping, false);
    SKT_EQ(skua_start(&config), 0);
    SKT_EQ(skua_timer_start(&timer, skua_in(SKUA_MS(1)), close_late, &fds[0]), 0);
    while (!sk_load_acquire(&in_callback.x_begun))
        sched_yield();
    SKT_EQ(pthread_create(&reader, NULL, read_late, &fds[1]), 0);
    sk_store_release(&x_stopping, true);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(fcntl(fds[0], F_GETFD), -1);
    pthread_join(reader, NULL);
    SKT_EQ(count_threads(), before);
    close(fds[1]);
}

SKT_TEST(close, in_a_callback_beside_stop)
{
    for (size_t i = 0; i < sizeof(worker_counts) / sizeof(worker_counts[0]); i++)
        stop_beside_callback(worker_counts[i]);
}
