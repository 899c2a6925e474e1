/* A plain thread's I/O: nothing in it depends on a worker. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "runtime/base/sys.h"
#include "tests/unit/io/io_test.h"
#include "tests/unit/io/watch.h"

enum { PATIENCE_S = 60, WORKERS_MOST = 8 };

/* ---- workers that are busy */

/* Each worker computes from busy_begin to busy_end. If a call waits for one of them, the workers give
 * up after a minute, and busy_end says so. */
struct busy {
    _Atomic(unsigned) x_begun;
    _Atomic(bool) x_released, x_gave_up;
    unsigned workers;
};

static struct busy busy;

static int compute(void *arg)
{
    int64_t end = skt_now_ns() + SKUA_S(PATIENCE_S);
    (void)arg;
    atomic_fetch_add(&busy.x_begun, 1);
    while (!atomic_load(&busy.x_released)) {
        if (skt_now_ns() < end)
            continue;
        atomic_store(&busy.x_gave_up, true);
        break;
    }
    return 0;
}

static void start(unsigned workers)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    SKT_EQ(skua_start(&config), 0);
    busy = (struct busy){.workers = workers};
}

static void busy_begin(unsigned workers)
{
    start(workers);
    for (unsigned i = 0; i < workers; i++) {
        skua_task_opts opts = SKUA_TASK_OPTS_INIT;
        opts.worker = i + 1;
        SKT_EQ(skua_spawn_opts(SKUA_SCOPE_ROOT, compute, NULL, &opts, NULL), 0);
    }
    while (atomic_load(&busy.x_begun) < workers)
        usleep(100);
}

static void busy_end(void)
{
    SKT_FALSE(atomic_load(&busy.x_gave_up));
    atomic_store(&busy.x_released, true);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

static void each_count(void (*body)(void))
{
    static const unsigned counts[] = {1, 2, WORKERS_MOST};
    for (int i = 0; i < 3; i++) {
        busy_begin(counts[i]);
        body();
        busy_end();
    }
}

/* A deadline: for i = 0 none is waited for, for 1 one that comes, for 2 one that has passed. */
enum { DEADLINES = 3 };
static skua_time deadline(int i)
{
    return i == 0 ? SKUA_NOW : i == 1 ? skua_in(SKUA_MS(20)) : skua_now() - 1;
}

static int expected(int i)
{
    return i == 0 ? -EAGAIN : -ETIMEDOUT;
}

/* ---- what would wait */

static void fill(int fd)
{
    static const char zeroes[65536];
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, zeroes, sizeof(zeroes)) > 0)
        continue;
    while (write(fd, zeroes, 1) > 0)
        continue;
    fcntl(fd, F_SETFL, flags);
}

static void check_reading(int fd)
{
    char buf[8];
    struct iovec v = {buf, sizeof(buf)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    for (int i = 0; i < DEADLINES; i++) {
        size_t done = 1;
        SKT_EQ(skua_read(fd, buf, 8, deadline(i)), expected(i));
        SKT_EQ(skua_readv(fd, &v, 1, deadline(i)), expected(i));
        SKT_EQ(skua_recv(fd, buf, 8, 0, deadline(i)), expected(i));
        SKT_EQ(skua_recvmsg(fd, &m, 0, deadline(i)), expected(i));
        SKT_EQ(skua_read_full(fd, buf, 8, &done, deadline(i)), expected(i));
        SKT_EQ(done, 0);
        SKT_EQ(skua_poll(fd, POLLIN, deadline(i)), expected(i));
        skua_case k = {.op = SKUA_FD, .fd = fd, .events = POLLIN};
        SKT_EQ(skua_select(&k, 1, 0, deadline(i)), expected(i));
    }
}

static void check_writing(int fd)
{
    char buf[8] = "1234567";
    struct iovec v = {buf, sizeof(buf)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    for (int i = 0; i < DEADLINES; i++) {
        SKT_EQ(skua_write(fd, buf, 8, deadline(i)), expected(i));
        SKT_EQ(skua_writev(fd, &v, 1, deadline(i)), expected(i));
        SKT_EQ(skua_send(fd, buf, 8, 0, deadline(i)), expected(i));
        SKT_EQ(skua_sendmsg(fd, &m, 0, deadline(i)), expected(i));
        SKT_EQ(skua_write_full(fd, buf, 8, NULL, deadline(i)), expected(i));
        SKT_EQ(skua_poll(fd, POLLOUT, deadline(i)), expected(i));
    }
}

static void check_pipe(void)
{
    int fds[2];
    char buf[8];
    io_pipe(fds);
    for (int i = 0; i < DEADLINES; i++)
        SKT_EQ(skua_read(fds[0], buf, 8, deadline(i)), expected(i));
    fill(fds[1]);
    for (int i = 0; i < DEADLINES; i++)
        SKT_EQ(skua_write(fds[1], "x", 1, deadline(i)), expected(i));
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
}

/* A listener whose backlog is full: a dial waits for a place. */
static void check_meeting(void)
{
    char address[64];
    skua_net_opts opts = SKUA_NET_OPTS_INIT;
    opts.backlog = 1;
    snprintf(address, sizeof(address), "unix:@skua-test-thread-%d", (int)getpid());
    int listener = skua_listen(address, &opts), conns[4], n = 0, fd;
    SKT_GE(listener, 0);
    for (int i = 0; i < DEADLINES; i++)
        SKT_EQ(skua_accept(listener, NULL, NULL, deadline(i)), expected(i));
    while ((fd = skua_dial(address, NULL, SKUA_NOW)) >= 0) {
        SKT_LT(n, 4);
        conns[n++] = fd;
    }
    SKT_EQ(fd, -EAGAIN);
    SKT_EQ(skua_dial(address, NULL, deadline(1)), -ETIMEDOUT);
    for (int i = 0; i < n; i++) {
        fd = skua_accept(listener, NULL, NULL, SKUA_NOW);
        SKT_GE(fd, 0);
        SKT_EQ(skua_close(fd), 0);
        SKT_EQ(skua_close(conns[i]), 0);
    }
    SKT_EQ(skua_close(listener), 0);
}

static void waiting_body(void)
{
    int fds[2];
    io_pair(fds);
    check_reading(fds[0]);
    fill(fds[1]);
    check_writing(fds[1]);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    check_pipe();
    check_meeting();
}

/* Goal: SKUA_NOW does not wait and a deadline ends each call while every worker computes. */
SKT_TEST(thread, deadlines_while_workers_compute)
{
    each_count(waiting_body);
}

/* Goal: whatever the number of the descriptor is. */
static void numbers_body(void)
{
    enum { PAIRS = 12 };
    int fds[PAIRS][2];
    char c;
    for (int i = 0; i < PAIRS; i++)
        io_pair(fds[i]);
    for (int i = 0; i < 2 * PAIRS; i++) {
        SKT_EQ(skua_read(fds[i / 2][i % 2], &c, 1, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_poll(fds[i / 2][i % 2], POLLIN, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    }
    for (int i = 0; i < 2 * PAIRS; i++)
        SKT_EQ(skua_close(fds[i / 2][i % 2]), 0);
}

SKT_TEST(thread, every_number)
{
    each_count(numbers_body);
}

/* ---- what can be done */

static void *write_later(void *arg)
{
    int *fds = arg;
    while (!watch_is_listed(fds[0])) /* now the other thread waits */
        usleep(100);
    SKT_EQ(skua_write(fds[1], "later", 5, SKUA_NEVER), 5);
    return NULL;
}

static void success_body(void)
{
    int fds[2];
    char buf[8];
    pthread_t writer;
    skua_case k = {.op = SKUA_FD, .events = POLLIN};
    for (int stream = 0; stream < 2; stream++) {
        if (stream != 0)
            io_tcp_pair(fds);
        else
            io_pair(fds);
        k.fd = fds[0];
        SKT_EQ(skua_write(fds[1], "at once", 7, SKUA_NOW), 7);
        SKT_EQ(skua_poll(fds[0], POLLIN, SKUA_NEVER), POLLIN);
        SKT_EQ(skua_select(&k, 1, 0, SKUA_NEVER), 0);
        SKT_EQ(k.res, POLLIN);
        SKT_EQ(skua_read(fds[0], buf, 8, SKUA_NOW), 7);
        for (int how = 0; how < 3; how++) {
            SKT_EQ(pthread_create(&writer, NULL, write_later, fds), 0);
            if (how == 1)
                SKT_EQ(skua_poll(fds[0], POLLIN, SKUA_NEVER), POLLIN);
            if (how == 2)
                SKT_EQ(skua_select(&k, 1, 0, SKUA_NEVER), 0);
            SKT_EQ(skua_read(fds[0], buf, 8, SKUA_NEVER), 5);
            SKT_MEM_EQ(buf, "later", 5);
            SKT_EQ(pthread_join(writer, NULL), 0);
        }
        SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(skua_close(fds[1]), 0);
    }
    int file = io_file("content", 7);
    SKT_EQ(skua_pread(file, buf, 8, 3, SKUA_NOW), 4);
    SKT_EQ(skua_pwrite(file, "CON", 3, 0, SKUA_NOW), 3);
    SKT_EQ(skua_pread(file, buf, 8, 0, SKUA_NEVER), 7);
    SKT_MEM_EQ(buf, "CONtent", 7);
    SKT_EQ(skua_close(file), 0);
}

/* Goal: what is there, and what another plain thread sends, comes while every worker computes. */
SKT_TEST(thread, success_while_workers_compute)
{
    each_count(success_body);
}

/* ---- a worker that waits for the thread */

static void *read_with_deadlines(void *arg)
{
    int *fds = arg;
    check_reading(fds[0]);
    SKT_EQ(skua_write(fds[1], "x", 1, SKUA_NEVER), 1);
    char c;
    SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NEVER), 1);
    return NULL;
}

static int join_body(void *arg)
{
    int fds[2];
    (void)arg;
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        io_pair(fds);
        SKT_EQ(pthread_create(&thread, NULL, read_with_deadlines, fds), 0);
        SKT_EQ(pthread_join(thread, NULL), 0); /* and blocks the worker */
        SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(skua_close(fds[1]), 0);
    }
    return 0;
}

/* Goal: no deadlock where a coroutine blocks its worker until the thread has ended. */
SKT_TEST(thread, worker_joins_the_thread)
{
    for (unsigned workers = 1; workers <= 2; workers++)
        io_run(join_body, NULL, workers);
}

/* ---- what ends a wait from outside */

struct ended {
    int fds[2];
    int how; /* 0: read, 1: poll, 2: select */
    int rc;
};

static void *wait_for_ever(void *arg)
{
    struct ended *e = arg;
    skua_case k = {.op = SKUA_FD, .fd = e->fds[0], .events = POLLIN};
    char c;
    if (e->how == 0)
        e->rc = (int)skua_read(e->fds[0], &c, 1, SKUA_NEVER);
    if (e->how == 1)
        e->rc = skua_poll(e->fds[0], POLLIN, SKUA_NEVER);
    if (e->how == 2)
        e->rc = skua_select(&k, 1, 0, SKUA_NEVER) < 0 ? -1 : k.res;
    return NULL;
}

static void begin_wait(struct ended *e, int how, pthread_t *thread)
{
    *e = (struct ended){.how = how};
    io_pair(e->fds);
    SKT_EQ(pthread_create(thread, NULL, wait_for_ever, e), 0);
    while (!watch_is_listed(e->fds[0]))
        usleep(100);
}

static void close_body(void)
{
    for (int how = 0; how < 3; how++) {
        struct ended e;
        pthread_t thread;
        begin_wait(&e, how, &thread);
        SKT_EQ(skua_close(e.fds[0]), 0);
        SKT_EQ(pthread_join(thread, NULL), 0);
        SKT_EQ(e.rc, -ECANCELED);
        SKT_EQ(skua_close(e.fds[1]), 0);
    }
}

/* Goal: another thread's close ends the wait, and returns, while every worker computes. */
SKT_TEST(thread, close_while_workers_compute)
{
    each_count(close_body);
}

/* Goal: so does a coroutine's. */
static int close_in_coroutine(void *arg)
{
    return skua_close(*(int *)arg);
}

SKT_TEST(thread, closed_by_a_coroutine)
{
    start(2);
    for (int how = 0; how < 3; how++) {
        struct ended e;
        pthread_t thread;
        begin_wait(&e, how, &thread);
        SKT_EQ(skua_call(close_in_coroutine, &e.fds[0], SKUA_NEVER), 0);
        SKT_EQ(pthread_join(thread, NULL), 0);
        SKT_EQ(e.rc, -ECANCELED);
        SKT_EQ(skua_close(e.fds[1]), 0);
    }
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* Goal: a select that waits for a descriptor is woken by a channel, from a thread and a coroutine. */
static skua_chan *channel;

static int send_one(void *arg)
{
    int value = 5;
    (void)arg;
    return skua_chan_send(channel, &value, SKUA_NEVER);
}

static void *select_for_ever(void *arg)
{
    int value = 0;
    skua_case k[2] = {{.op = SKUA_FD, .fd = *(int *)arg, .events = POLLIN},
                      {.op = SKUA_RECV, .obj = channel, .val = &value}};
    for (int i = 0; i < 2; i++) {
        SKT_EQ(skua_select(k, 2, 0, SKUA_NEVER), 1);
        SKT_EQ(value, 5);
    }
    return NULL;
}

SKT_TEST(thread, select_is_woken_by_a_channel)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        int fds[2];
        pthread_t thread;
        start(workers);
        io_pair(fds);
        SKT_EQ(skua_chan_new(&channel, sizeof(int), 0, 0), 0);
        SKT_EQ(pthread_create(&thread, NULL, select_for_ever, &fds[0]), 0);
        while (!watch_is_listed(fds[0]))
            usleep(100);
        SKT_EQ(send_one(NULL), 0);
        SKT_EQ(skua_call(send_one, NULL, SKUA_NEVER), 0);
        SKT_EQ(pthread_join(thread, NULL), 0);
        skua_chan_unref(channel);
        SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(skua_close(fds[1]), 0);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
    }
}

/* Goal: signals do not end a wait. */
static _Atomic(int) x_signals;
static void count_signal(int sig)
{
    (void)sig;
    atomic_fetch_add(&x_signals, 1);
}

SKT_TEST(thread, signals)
{
    struct sigaction action = {.sa_handler = count_signal}, before;
    SKT_EQ(sigaction(SIGUSR1, &action, &before), 0);
    start(1);
    for (int how = 0; how < 2; how++) {
        struct ended e;
        pthread_t thread;
        begin_wait(&e, how, &thread);
        for (int i = 1; i <= 20; i++) {
            atomic_store(&x_signals, 0);
            SKT_EQ(pthread_kill(thread, SIGUSR1), 0);
            while (atomic_load(&x_signals) == 0)
                usleep(50);
        }
        SKT_EQ(write(e.fds[1], "x", 1), 1);
        SKT_EQ(pthread_join(thread, NULL), 0);
        SKT_EQ(e.rc, 1); /* a byte, or POLLIN */
        SKT_EQ(skua_close(e.fds[0]), 0);
        SKT_EQ(skua_close(e.fds[1]), 0);
    }
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(sigaction(SIGUSR1, &before, NULL), 0);
}

/* ---- many threads, and what they leave behind */

static void *echo_in_thread(void *arg)
{
    int *fds = arg;
    char c;
    for (int i = 0; i < 20; i++) {
        SKT_EQ(skua_write(fds[1], "x", 1, SKUA_NEVER), 1);
        SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NEVER), 1);
        SKT_EQ(skua_read(fds[0], &c, 1, skua_in(SKUA_US(100))), -ETIMEDOUT);
    }
    return NULL;
}

static void many_body(void)
{
    enum { THREADS = 32 };
    pthread_t threads[THREADS];
    int fds[THREADS][2];
    int before = skt_fd_count();
    for (int i = 0; i < THREADS; i++) {
        io_pair(fds[i]);
        SKT_EQ(pthread_create(&threads[i], NULL, echo_in_thread, fds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        SKT_EQ(pthread_join(threads[i], NULL), 0);
        SKT_EQ(skua_close(fds[i][0]), 0);
        SKT_EQ(skua_close(fds[i][1]), 0);
    }
    SKT_EQ(skt_fd_count(), before);
}

SKT_TEST(thread, many_while_workers_compute)
{
    each_count(many_body);
}

static void *read_once(void *arg)
{
    char c;
    SKT_EQ(skua_read(*(int *)arg, &c, 1, SKUA_NOW), -EAGAIN);
    return NULL;
}

/* Goal: a thread that ends gives its two descriptors back, a thousand times. */
SKT_TEST(thread, short_threads)
{
    int fds[2];
    start(2);
    io_pair(fds);
    int before = skt_fd_count();
    for (uint64_t i = 0; i < skt_scaled(1000); i++) {
        pthread_t thread;
        SKT_EQ(pthread_create(&thread, NULL, read_once, &fds[0]), 0);
        SKT_EQ(pthread_join(thread, NULL), 0);
        SKT_EQ(skt_fd_count(), before);
    }
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* Goal: a thread ends while its canceller still wakes it. Method: closes and threads' ends in a row, as
 * near as they come. */
SKT_TEST(thread, ends_beside_its_canceller)
{
    int64_t begin = skt_now_ns();
    start(1);
    for (uint64_t i = 0; i < skt_scaled(500) && skt_has_time(begin); i++) {
        struct ended e;
        pthread_t thread;
        begin_wait(&e, (int)(i % 3), &thread);
        SKT_EQ(skua_close(e.fds[0]), 0);
        int pipe_fds[2];
        io_pipe(pipe_fds); /* takes the numbers that a late wake would write to */
        SKT_EQ(pthread_join(thread, NULL), 0);
        struct pollfd p = {.fd = pipe_fds[0], .events = POLLIN};
        SKT_EQ(poll(&p, 1, 0), 0);
        SKT_EQ(close(pipe_fds[0]), 0);
        SKT_EQ(close(pipe_fds[1]), 0);
        SKT_EQ(skua_close(e.fds[1]), 0);
    }
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* Goal: a thread's ring outlives the runtime, and serves in the next. */
static pthread_barrier_t turn;

static void *read_over_runtimes(void *arg)
{
    int *fds = arg;
    char c;
    for (int i = 0; i < 3; i++) {
        pthread_barrier_wait(&turn); /* a runtime is there */
        SKT_EQ(skua_read(fds[0], &c, 1, skua_in(SKUA_MS(1))), -ETIMEDOUT);
        SKT_EQ(skua_write(fds[1], "x", 1, SKUA_NEVER), 1);
        SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NEVER), 1);
        pthread_barrier_wait(&turn);
        pthread_barrier_wait(&turn); /* none is there */
        SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NEVER), -ESHUTDOWN);
        pthread_barrier_wait(&turn);
    }
    return NULL;
}

SKT_TEST(thread, over_runtimes)
{
    int fds[2];
    pthread_t thread;
    io_pair(fds);
    SKT_EQ(pthread_barrier_init(&turn, NULL, 2), 0);
    SKT_EQ(pthread_create(&thread, NULL, read_over_runtimes, fds), 0);
    for (int i = 0; i < 3; i++) {
        start(1 + (unsigned)i);
        pthread_barrier_wait(&turn);
        pthread_barrier_wait(&turn);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
        pthread_barrier_wait(&turn);
        pthread_barrier_wait(&turn);
    }
    SKT_EQ(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&turn);
    SKT_EQ(close(fds[0]), 0);
    SKT_EQ(close(fds[1]), 0);
}

/* Goal: stop gives back what the thread that calls it had. */
SKT_TEST(thread, stop_leaves_nothing)
{
    int fds[2];
    char c;
    io_pair(fds);
    int before = skt_fd_count();
    for (int i = 0; i < 3; i++) {
        start(1);
        SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
        SKT_EQ(skt_fd_count(), before);
    }
    SKT_EQ(close(fds[0]), 0);
    SKT_EQ(close(fds[1]), 0);
}

/* ---- where it cannot have a ring */

/* Goal: a descriptor that is closed is no other by the time the ring is there. */
SKT_TEST(thread, closed_number)
{
    start(1);
    char c;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* the lowest free number */
    SKT_EQ(close(fd), 0);
    SKT_EQ(skua_read(fd, &c, 1, SKUA_NEVER), -EBADF);
    SKT_EQ(skua_poll(fd, POLLIN, SKUA_NEVER), -EBADF);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

static void use_up_descriptors(void *arg)
{
    int fds[2], file = io_file("content", 7);
    struct rlimit limit;
    char c;
    (void)arg;
    start(1);
    io_pair(fds);
    SKT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)dup(file) + 1;
    SKT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < 3; i++)
        SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NOW), -EMFILE);
    limit.rlim_cur = before;
    SKT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_close(fds[0]), 0);
    _exit(0);
}

/* Goal: one line names the limit; afterwards it goes. */
SKT_TEST(thread, no_descriptor_is_left)
{
    char out[4096];
    int status = skt_in_child(use_up_descriptors, NULL, out, sizeof(out));
    if (status != 0)
        SKT_FAIL("status %d: %s", status, out);
    SKT_STR_HAS(out, "RLIMIT_NOFILE");
    SKT_NULL(strstr(strstr(out, "skua: ") + 1, "skua: "));
}

/* Goal: a child of a process with a runtime leaves the thread's ring alone. */
static void end_in_child(void *arg)
{
    char c;
    SKT_EQ(skua_read(*(int *)arg, &c, 1, SKUA_NEVER), -EOWNERDEAD);
    if (skt_sanitized())
        exit(0); /* a sanitizer has a thread, which would go on; and leaks are looked for here */
    pthread_exit(NULL); /* with the destructors of a thread */
}

/* Room for less than a ring, and that of a user for whom it counts. */
static void use_up_memlock(void *arg)
{
    int fds[2];
    char c;
    struct rlimit limit = {4096, 1 << 20};
    uid_t user =
        60000 + (uid_t)getpid() % 5000; /* nobody else's: it counts for all its processes */
    (void)arg;
    start(1);
    io_pair(fds);
    SKT_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    SKT_EQ(setresgid(65534, 65534, 65534), 0);
    SKT_EQ(setresuid(user, user, user), 0);
    for (int i = 0; i < DEADLINES; i++)
        SKT_EQ(skua_read(fds[0], &c, 1, deadline(i)), -ENOMEM);
    skua_case k = {.op = SKUA_FD, .fd = fds[0], .events = POLLIN};
    SKT_EQ(skua_select(&k, 1, 0, deadline(1)), -ENOMEM);
    limit.rlim_cur = limit.rlim_max;
    SKT_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NOW), -EAGAIN);
    _exit(0);
}

SKT_TEST(thread, no_memory_may_be_locked)
{
    char out[4096];
    if (geteuid() != 0)
        SKT_SKIP("only root can become the user that the limit holds for");
    int status = skt_in_child(use_up_memlock, NULL, out, sizeof(out));
    if (status != 0)
        SKT_FAIL("status %d: %s", status, out);
    SKT_STR_HAS(out, "RLIMIT_MEMLOCK, 4096");
    SKT_NULL(strstr(strstr(out, "skua: ") + 1, "skua: "));
}

/* ---- fork */

static void *stop_in_thread(void *arg)
{
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    return arg;
}

/* The thread that forked has its ring over the stop, and its child makes a new one. */
static void start_in_child(void *arg)
{
    char c;
    start(1);
    SKT_EQ(skua_read(*(int *)arg, &c, 1, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_read(*(int *)arg, &c, 1, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    _exit(0);
}

SKT_TEST(thread, forked_without_a_runtime)
{
    int fds[2];
    char c, out[1024];
    pthread_t stopper;
    start(1);
    io_pair(fds);
    SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NOW), -EAGAIN);
    SKT_EQ(pthread_create(&stopper, NULL, stop_in_thread, NULL), 0);
    SKT_EQ(pthread_join(stopper, NULL), 0);
    int status = skt_in_child(start_in_child, &fds[0], out, sizeof(out));
    SKT_STR_EQ(out, "");
    SKT_EQ(status, 0);
    start(1); /* and the parent's is as it was */
    SKT_EQ(skua_read(fds[0], &c, 1, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
}

SKT_TEST(thread, forked)
{
    int fds[2];
    char c, out[1024];
    start(1);
    io_pair(fds);
    SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NOW), -EAGAIN);
    int status = skt_in_child(end_in_child, &fds[0], out, sizeof(out));
    if (!skt_sanitized()) /* LeakSanitizer complains of its own ways */
        SKT_STR_EQ(out, "");
    SKT_EQ(status, 0);
    SKT_EQ(skua_read(fds[0], &c, 1, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* ---- pthread_cancel ends no thread in the middle of a call: its operation is on its stack. */

static ssize_t (*true_read)(int fd, void *buf, size_t n);
static ssize_t (*true_write)(int fd, const void *buf, size_t n);

static _Thread_local bool is_to_be_cancelled;

/* Cancels itself, as another thread would do at this moment. */
static ssize_t cancelled_read(int fd, void *buf, size_t n)
{
    if (is_to_be_cancelled)
        pthread_cancel(pthread_self());
    return true_read(fd, buf, n);
}

static ssize_t cancelled_write(int fd, const void *buf, size_t n)
{
    if (is_to_be_cancelled)
        pthread_cancel(pthread_self());
    return true_write(fd, buf, n);
}

struct cancelled {
    int fd;
    skua_event *event; /* NULL: it reads fd */
    _Atomic(bool) x_returned;
};

static void *be_cancelled(void *arg)
{
    struct cancelled *c = arg;
    char byte;
    is_to_be_cancelled = true;
    if (c->event != NULL)
        skua_event_set(c->event);
    else
        SKT_EQ(skua_read(c->fd, &byte, 1, SKUA_NEVER), 1);
    atomic_store(&c->x_returned, true);
    pthread_cancel(pthread_self()); /* if no call was made in which it was */
    pthread_testcancel();
    return NULL;
}

static int call_be_cancelled(void *arg)
{
    struct cancelled *c = arg;
    pthread_t thread;
    void *end = NULL;
    SKT_EQ(pthread_create(&thread, NULL, be_cancelled, c), 0);
    SKT_EQ(pthread_join(thread, &end), 0);
    SKT_TRUE(end == PTHREAD_CANCELED);
    SKT_TRUE(atomic_load(&c->x_returned));
    return 0;
}

static int cancelled_file_body(void *arg)
{
    struct cancelled c = {.fd = io_file("abc", 3)};
    (void)arg;
    SKT_EQ(lseek(c.fd, 0, SEEK_SET), 0);
    SKT_EQ(skua_block(call_be_cancelled, &c, SKUA_NEVER), 0);
    SKT_EQ(skua_close(c.fd), 0); /* waits for no operation of a thread that is gone */
    return 0;
}

static int await_event(void *event)
{
    return skua_event_wait(event, SKUA_NEVER);
}

/* The event's waiter is asleep with its worker, which is woken by a write(2). */
static void wake_and_be_cancelled(unsigned workers)
{
    skua_event event = SKUA_EVENT_INIT;
    struct cancelled c = {.event = &event};
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    SKT_EQ(skua_start(&config), 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, await_event, &event), 0);
    usleep(20000); /* asleep or not, the result is the same */
    SKT_EQ(call_be_cancelled(&c), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

SKT_TEST(thread, cancelled)
{
    static const unsigned worker_counts[] = {1, 2, 8};
    true_read = sk_sys.read;
    true_write = sk_sys.write;
    for (size_t i = 0; i < sizeof(worker_counts) / sizeof(worker_counts[0]); i++) {
        sk_sys.read = cancelled_read;
        io_run(cancelled_file_body, NULL, worker_counts[i]);
        sk_sys.read = true_read;
        sk_sys.write = cancelled_write;
        wake_and_be_cancelled(worker_counts[i]);
        sk_sys.write = true_write;
    }
}
