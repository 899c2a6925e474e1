/* skua/io.h: every call on files, pipes, sockets. */
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <skua/debug.h>

#include "io/fd.h"
#include "runtime/base/sys.h"
#include "tests/unit/io/io_test.h"

static int files_body(void *arg)
{
    char buf[16];
    (void)arg;
    int fd = io_file("0123456789", 10);
    SKT_EQ(skua_read(fd, buf, 4, SKUA_NEVER), 0); /* at its end */
    SKT_EQ(lseek(fd, 2, SEEK_SET), 2);
    SKT_EQ(skua_read(fd, buf, 3, SKUA_NEVER), 3);
    SKT_MEM_EQ(buf, "234", 3);
    SKT_EQ(skua_pread(fd, buf, 16, 8, SKUA_NEVER), 2);
    SKT_MEM_EQ(buf, "89", 2);
    SKT_EQ(lseek(fd, 0, SEEK_CUR), 5); /* pread left it */
    SKT_EQ(skua_write(fd, "ab", 2, SKUA_NEVER), 2);
    SKT_EQ(skua_pwrite(fd, "X", 1, 0, SKUA_NEVER), 1);
    SKT_EQ(skua_pread(fd, buf, 16, 0, SKUA_NEVER), 10);
    SKT_MEM_EQ(buf, "X1234ab789", 10);
    SKT_EQ(skua_pread(fd, buf, 1, -1, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_pwrite(fd, buf, 1, -1, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_read(fd, buf, 0, SKUA_NEVER), 0);
    SKT_EQ(skua_write(fd, buf, 0, SKUA_NEVER), 0);
    SKT_EQ(skua_poll(fd, POLLIN | POLLOUT, SKUA_NEVER), POLLIN | POLLOUT);
    SKT_EQ(skua_close(fd), 0);
    SKT_EQ(skua_read(fd, buf, 1, SKUA_NEVER), -EBADF);
    SKT_EQ(skua_read(-1, buf, 1, SKUA_NEVER), -EBADF);
    SKT_EQ(skua_read(INT_MAX, buf, 1, SKUA_NEVER), -EBADF);
    SKT_EQ(skua_read(INT_MIN, buf, 1, SKUA_NEVER), -EBADF);
    return 0;
}

SKT_TEST(rw, files)
{
    io_run(files_body, NULL, 1);
}

static int errors_body(void *arg)
{
    int fds[2];
    char c = 0;
    (void)arg;
    io_pipe(fds);
    SKT_EQ(skua_write(fds[0], &c, 1, SKUA_NEVER), -EBADF); /* the wrong end */
    SKT_EQ(skua_pread(fds[0], &c, 1, 0, SKUA_NEVER), -ESPIPE);
    SKT_EQ(skua_read(fds[0], (void *)8, 1, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_write(fds[1], (void *)8, 1, SKUA_NEVER), -EFAULT);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    SKT_EQ(skua_read(dir, &c, 1, SKUA_NEVER), -EISDIR);
    SKT_EQ(skua_close(dir), 0);
    return 0;
}

SKT_TEST(rw, errors)
{
    io_run(errors_body, NULL, 1);
}

static int vectors_body(void *arg)
{
    int fds[2];
    char a[3], b[5];
    struct iovec in[2] = {{a, sizeof(a)}, {b, sizeof(b)}};
    struct iovec out[2] = {{(char[]){"abc"}, 3}, {(char[]){"defg"}, 4}};
    (void)arg;
    io_pipe(fds);
    SKT_EQ(skua_writev(fds[1], out, 2, SKUA_NEVER), 7);
    SKT_EQ(skua_readv(fds[0], in, 2, SKUA_NEVER), 7);
    SKT_MEM_EQ(a, "abc", 3);
    SKT_MEM_EQ(b, "defg", 4);
    SKT_EQ(skua_readv(fds[0], in, 2, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_writev(fds[1], out, 0, SKUA_NEVER), 0);
    SKT_EQ(skua_writev(fds[1], out, -1, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_readv(fds[0], in, -1, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_readv(fds[0], in, IOV_MAX + 1, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

SKT_TEST(rw, vectors)
{
    io_run(vectors_body, NULL, 1);
}

/* ---- The full forms. */

enum { BULK = 1 << 20 };

struct bulk {
    int fd;
    unsigned char *data;
    size_t done;
    int rc;
};

static int send_bulk(void *arg)
{
    struct bulk *b = arg;
    b->rc = skua_write_full(b->fd, b->data, BULK, &b->done, SKUA_NEVER);
    return 0;
}

static int full_body(void *arg)
{
    static unsigned char sent[BULK], got[BULK];
    int fds[2];
    size_t done = 99;
    skua_scope s;
    (void)arg;
    for (size_t i = 0; i < BULK; i++)
        sent[i] = (unsigned char)(i * 7 + i / 251);
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0)
            io_pipe(fds);
        else if (kind == 1)
            io_pair(fds);
        else
            io_tcp_pair(fds);
        if (kind == 2) {
            sk_fd_set_hint(fds[0], SK_FD_STREAM);
            sk_fd_set_hint(fds[1], SK_FD_STREAM);
        }
        struct bulk b = {fds[1], sent, 0, 99};
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, send_bulk, &b), 0);
        memset(got, 0, BULK);
        SKT_EQ(skua_read_full(fds[0], got, BULK, &done, SKUA_NEVER), 0);
        SKT_EQ(done, BULK);
        SKT_MEM_EQ(got, sent, BULK);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(b.rc, 0);
        SKT_EQ(b.done, BULK);
        /* The end comes before all is there: what came is told. */
        SKT_EQ(skua_write_full(fds[1], "abc", 3, NULL, SKUA_NEVER), 0);
        SKT_EQ(skua_close(fds[1]), 0);
        SKT_EQ(skua_read_full(fds[0], got, 10, &done, SKUA_NEVER), -EPIPE);
        SKT_EQ(done, 3);
        SKT_MEM_EQ(got, "abc", 3);
        SKT_EQ(skua_close(fds[0]), 0);
    }
    return 0;
}

SKT_TEST(rw, full)
{
    io_run(full_body, NULL, 1);
    io_run(full_body, NULL, 2);
}

static int full_ends_body(void *arg)
{
    static char big[BULK];
    int fds[2];
    size_t done = 99;
    (void)arg;
    io_pair(fds);
    SKT_EQ(skua_read_full(fds[0], big, 0, &done, SKUA_NEVER), 0);
    SKT_EQ(done, 0);
    SKT_EQ(skua_write_full(fds[0], big, 0, &done, -5), -EINVAL);
    SKT_EQ(write(fds[1], "xy", 2), 2);
    SKT_EQ(skua_read_full(fds[0], big, 5, &done, skua_in(SKUA_MS(5))), -ETIMEDOUT);
    SKT_EQ(done, 2);
    SKT_EQ(skua_read_full(fds[0], big, 5, NULL, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_write_full(fds[0], big, BULK, &done, skua_in(SKUA_MS(5))), -ETIMEDOUT);
    SKT_BETWEEN(done, 1, BULK - 1);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

SKT_TEST(rw, full_ends_early)
{
    io_run(full_ends_body, NULL, 1);
}

/* BUGS: EINTR, SIGPIPE, short writes. Goal: a peer that has gone is an error, with the default
 * action of SIGPIPE. */
static int sigpipe_body(void *arg)
{
    int fds[2];
    (void)arg;
    for (int kind = 0; kind < 4; kind++) {
        if (kind == 0)
            io_pipe(fds);
        else
            io_pair(fds);
        SKT_EQ(skua_close(fds[0]), 0);
        ssize_t rc = kind < 2 ? skua_write(fds[1], "x", 1, SKUA_NEVER)
                              : skua_send(fds[1], "x", 1, 0, kind == 2 ? SKUA_NEVER : SKUA_NOW);
        SKT_EQ(rc, -EPIPE);
        SKT_EQ(skua_close(fds[1]), 0);
    }
    return 0;
}

SKT_TEST(rw, sigpipe)
{
    void (*before)(int) = signal(SIGPIPE, SIG_DFL);
    io_run(sigpipe_body, NULL, 1);
    signal(SIGPIPE, before);
}

/* Goal: a plain thread's write does not raise it either. */
SKT_TEST(rw, sigpipe_plain_thread)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 1;
    void (*before)(int) = signal(SIGPIPE, SIG_DFL);
    SKT_EQ(skua_start(&config), 0);
    SKT_EQ(sigpipe_body(NULL), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    signal(SIGPIPE, before);
}

/* ---- Polling. */

static int poll_body(void *arg)
{
    int fds[2];
    char c;
    (void)arg;
    io_pair(fds);
    SKT_EQ(skua_poll(fds[0], POLLIN | POLLOUT, SKUA_NEVER), POLLOUT);
    SKT_EQ(skua_poll(fds[0], POLLIN, skua_in(SKUA_MS(2))), -ETIMEDOUT);
    SKT_EQ(write(fds[1], "x", 1), 1);
    SKT_EQ(skua_poll(fds[0], POLLIN, SKUA_NEVER), POLLIN);
    SKT_EQ(read(fds[0], &c, 1), 1);
    SKT_EQ(skua_close(fds[1]), 0);
    SKT_EQ(skua_poll(fds[0], POLLIN, SKUA_NEVER) & (POLLIN | POLLHUP), POLLIN | POLLHUP);
    SKT_EQ(skua_poll(fds[0], 0, SKUA_NEVER) & POLLHUP, POLLHUP);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_poll(fds[0], POLLIN, SKUA_NEVER), -EBADF);
    return 0;
}

SKT_TEST(rw, poll)
{
    io_run(poll_body, NULL, 1);
}

/* Goal: the hint that a number is a socket does no harm when it is something else now. */
static int stale_hint_body(void *arg)
{
    int fds[2], pipes[2];
    char buf[8];
    (void)arg;
    io_pair(fds);
    sk_fd_set_hint(fds[0], SK_FD_STREAM);
    SKT_EQ(skua_read(fds[0], buf, 0, SKUA_NEVER), 0);
    io_pipe(pipes);
    SKT_EQ(dup2(pipes[0], fds[0]), fds[0]);
    SKT_EQ(write(pipes[1], "abc", 3), 3);
    SKT_EQ(skua_read(fds[0], buf, 8, SKUA_NEVER), 3);
    SKT_EQ(sk_fd_hint(fds[0]), SK_FD_OTHER);
    for (int i = 0; i < 2; i++) {
        SKT_EQ(skua_close(fds[i]), 0);
        SKT_EQ(skua_close(pipes[i]), 0);
    }
    return 0;
}

SKT_TEST(rw, stale_hint)
{
    io_run(stale_hint_body, NULL, 1);
}

/* Goal: a transfer longer than the kernel takes at once is cut, not refused. Method: /dev/zero
 * would fill it; /dev/null takes it. */
static int huge_body(void *arg)
{
    static char c;
    (void)arg;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    SKT_EQ(skua_write(fd, &c, (size_t)1 << 40, SKUA_NEVER), 0x7ffff000);
    SKT_EQ(skua_read(fd, &c, 1, SKUA_NEVER), 0);
    SKT_EQ(skua_close(fd), 0);
    return 0;
}

SKT_TEST(rw, huge)
{
    io_run(huge_body, NULL, 1);
}

/* Goal: many operations on files at once take turns, all complete, and those that wait for their
 * turn can be cancelled. */
static int read_block(void *arg)
{
    char buf[512];
    uint64_t first;
    uintptr_t i = (uintptr_t)arg;
    ssize_t n = skua_pread((int)(i >> 32), buf, sizeof(buf),
                           (off_t)((i & 0xffffffff) * sizeof(buf)), SKUA_NEVER);
    if (n < 0)
        return (int)n;
    SKT_EQ(n, sizeof(buf));
    memcpy(&first, buf, sizeof(first));
    SKT_EQ(first, i & 0xffffffff);
    return 0;
}

static int many_files_body(void *arg)
{
    enum { BLOCKS = 500 };
    static uint64_t blocks[BLOCKS][64];
    skua_scope s;
    (void)arg;
    for (uint64_t i = 0; i < BLOCKS; i++)
        blocks[i][0] = i;
    int fd = io_file((const char *)blocks, sizeof(blocks));
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
        for (uintptr_t i = 0; i < BLOCKS; i++)
            SKT_EQ(skua_spawn(&s, read_block, (void *)((uintptr_t)fd << 32 | i)), 0);
        if (cancelled) {
            skua_yield();
            skua_scope_cancel(&s);
        }
        int rc = skua_scope_close(&s, SKUA_NEVER);
        SKT_TRUE(rc == 0 || (cancelled && rc == -ECANCELED));
    }
    return skua_close(fd);
}

SKT_TEST(rw, many_files)
{
    io_run(many_files_body, NULL, 1);
    io_run(many_files_body, NULL, 3);
}

/* ---- errors of a socket are waited for, whatever else can be read from it ---- */

static int bind_udp(struct sockaddr_in *sa)
{
    socklen_t len = sizeof(*sa);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    *sa = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    SKT_EQ(bind(fd, (struct sockaddr *)sa, sizeof(*sa)), 0);
    SKT_EQ(getsockname(fd, (struct sockaddr *)sa, &len), 0);
    SKT_EQ(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
    return fd;
}

struct errors {
    int fd;
    skua_time dl;
};

static int take_error(void *arg)
{
    const struct errors *e = arg;
    char buf[8];
    struct iovec iov = {buf, sizeof(buf)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int rc = (int)skua_recvmsg(e->fd, &msg, MSG_ERRQUEUE, e->dl);
    SKT_TRUE(rc < 0 || (msg.msg_flags & MSG_ERRQUEUE) != 0);
    return rc;
}

static int socket_errors_body(void *arg)
{
    struct sockaddr_in here, there;
    struct errors e = {.fd = bind_udp(&here), .dl = SKUA_NOW};
    skua_scope s;
    skua_task *task;
    int result = 0, deaf = bind_udp(&there); /* it hears none but itself */
    skua_stats_view before = SKUA_STATS_VIEW_INIT, after = SKUA_STATS_VIEW_INIT;
    SKT_EQ(connect(deaf, (struct sockaddr *)&there, sizeof(there)), 0);
    SKT_EQ(fcntl(e.fd, F_SETFL, *(int *)arg), 0);
    SKT_EQ(sendto(e.fd, "read me", 7, 0, (struct sockaddr *)&here, sizeof(here)), 7);
    SKT_EQ(take_error(&e), -EAGAIN);
    SKT_EQ(skua_stats(&before, 0), 0);
    e.dl = skua_in(SKUA_MS(20));
    SKT_EQ(take_error(&e), -ETIMEDOUT);
    SKT_EQ(skua_stats(&after, 0), 0);
    SKT_LE(after.completions - before.completions, 10); /* it sleeps */
    e.dl = SKUA_NEVER;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, take_error, &e, NULL, &task), 0);
    SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    SKT_EQ(sendto(e.fd, "x", 1, 0, (struct sockaddr *)&there, sizeof(there)), 1);
    SKT_EQ(skua_join(task, &result, SKUA_NEVER), 0);
    SKT_EQ(result, 1);
    skua_task_unref(task);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_close(deaf), 0);
    return skua_close(e.fd);
}

SKT_TEST(rw, socket_errors)
{
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK)
        io_run(socket_errors_body, &flags, 1);
}

/* ---- A number that is closed, and another's, between two parts of one call. */

enum { PART = 4096, REUSE_ROUNDS = 200 };

struct parts {
    int fds[2];
    bool is_read;
    int result;
    size_t done;
    char buf[256 * PART];
    _Atomic(bool) x_over;
    _Atomic(bool) x_moved; /* the other side has got or given something */
};

static int move_all(void *arg)
{
    struct parts *p = arg;
    p->result = p->is_read
                    ? skua_read_full(p->fds[0], p->buf, sizeof(p->buf), &p->done, SKUA_NEVER)
                    : skua_write_full(p->fds[1], p->buf, sizeof(p->buf), &p->done, SKUA_NEVER);
    p->x_over = true;
    return 0;
}

/* The other side, in system calls: the call under test goes from one part to the next. */
static void *feed_or_drain(void *arg)
{
    struct parts *p = arg;
    char part[PART] = "own";
    int fd = p->fds[p->is_read];
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    while (!p->x_over)
        if ((p->is_read ? write(fd, part, sizeof(part)) : read(fd, part, sizeof(part))) <= 0)
            usleep(10);
        else
            p->x_moved = true;
    return NULL;
}

static void reuse_number(struct parts *p, unsigned round)
{
    skua_scope s;
    pthread_t thread;
    int fd = p->fds[p->is_read ? 0 : 1], other = p->fds[p->is_read ? 1 : 0];
    char stranger[PART] = "";
    p->x_over = p->x_moved = false;
    p->buf[0] = '\0';
    SKT_EQ(fcntl(fd, F_SETPIPE_SZ, PART), PART);
    SKT_EQ(fcntl(other, F_SETFL, O_NONBLOCK), 0);
    SKT_EQ(pthread_create(&thread, NULL, feed_or_drain, p), 0);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, move_all, p), 0);
    for (unsigned i = 0; i < round % 8; i++)
        SKT_EQ(skua_yield(), 0);
    /* What begins while the number is being closed may mean either file. */
    bool has_begun = p->is_read ? *(volatile char *)p->buf == 'o' : p->x_moved;
    SKT_EQ(skua_close(fd), 0);
    int again = memfd_create("stranger", MFD_CLOEXEC);
    SKT_EQ(again, fd);
    SKT_EQ(write(again, stranger, sizeof(stranger)), PART);
    SKT_EQ(lseek(again, 0, SEEK_SET), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(pthread_join(thread, NULL), 0);
    if (has_begun && p->done < sizeof(p->buf)) {
        SKT_EQ(p->result, -ECANCELED);
        SKT_EQ(lseek(again, 0, SEEK_CUR), 0); /* the stranger was left alone */
        SKT_EQ(lseek(again, 0, SEEK_END), (off_t)PART);
    }
    SKT_EQ(skua_close(again), 0);
    SKT_EQ(skua_close(other), 0);
}

static int reuse_body(void *arg)
{
    struct parts *p = calloc(1, sizeof(*p));
    int64_t begin = skt_now_ns();
    SKT_NOT_NULL(p);
    for (unsigned i = 0; i < REUSE_ROUNDS && skt_has_time(begin); i++) {
        p->is_read = *(bool *)arg;
        io_pipe(p->fds);
        reuse_number(p, i);
    }
    free(p);
    return 0;
}

/* Goal: what a call has begun with one file it does not go on with in another that has got the
 * number. */
SKT_TEST(rw, number_reused_between_parts)
{
    if (skt_tsan())
        SKT_SKIP("close(2) meets a question about the descriptor, between two parts, by intent");
    for (int is_read = 0; is_read < 2; is_read++) {
        bool read = is_read != 0;
        io_run(reuse_body, &read, 1);
        io_run(reuse_body, &read, 2);
        io_run(reuse_body, &read, 8);
    }
}

/* The same for files, with the moment held: the first part ends while skua_close waits for it. */

static _Atomic(int) x_file = -1;
static ssize_t (*real_write)(int fd, const void *buf, size_t n);

static ssize_t write_half(int fd, const void *buf, size_t n)
{
    if (fd != x_file)
        return real_write(fd, buf, n);
    ssize_t rc = real_write(fd, buf, n / 2);
    for (int64_t begin = skt_now_ns(); !sk_fd_is_closing(fd) && skt_has_time(begin);)
        usleep(10);
    return rc;
}

static int write_file(void *arg)
{
    size_t done = 0;
    SKT_EQ(skua_write_full(*(int *)arg, "abcdefgh", 8, &done, SKUA_NEVER), -ECANCELED);
    SKT_EQ(done, 4);
    return 0;
}

static int close_between_body(void *arg)
{
    skua_scope s;
    int fd = memfd_create("own", MFD_CLOEXEC);
    (void)arg;
    SKT_GE(fd, 0);
    x_file = fd;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, write_file, &fd), 0);
    while (lseek(fd, 0, SEEK_END) < 4)
        SKT_EQ(skua_yield(), 0);
    SKT_EQ(skua_close(fd), 0);
    x_file = -1;
    int again = memfd_create("stranger", MFD_CLOEXEC);
    SKT_EQ(again, fd);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(lseek(again, 0, SEEK_END), 0);
    return skua_close(again);
}

SKT_TEST(rw, file_closed_between_parts)
{
    real_write = sk_sys.write;
    sk_sys.write = write_half;
    for (int i = 0; i < 10; i++) {
        io_run(close_between_body, NULL, 1);
        io_run(close_between_body, NULL, 2);
        io_run(close_between_body, NULL, 8);
    }
    sk_sys.write = real_write;
}
