/* tests/unit/io/test_op_ready.c - descriptors that are ready where a call would wait, and what waits for a
 * peer: no busy loop, no thread of the kernel's, and whatever ends the wait ends it. */
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <skua/debug.h>

#include "tests/unit/io/io_test.h"

/* ---- what is counted ---- */

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

/* Threads of this process that the kernel made for requests that wait. */
static int kernel_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    SKT_TRUE(tasks != NULL);
    int n = 0;
    for (struct dirent *d; (d = readdir(tasks)) != NULL;) {
        char path[300], name[32] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", d->d_name);
        FILE *f = fopen(path, "re");
        n += f != NULL && fgets(name, sizeof(name), f) != NULL && strncmp(name, "iou-wrk", 7) == 0;
        if (f != NULL)
            fclose(f);
    }
    closedir(tasks);
    return n;
}

static void set_nonblock(int fd)
{
    SKT_EQ(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* ---- sockets that are ready, and yet ... */

/* A UDP socket with an error in its queue, which nobody reads; *port is its own. */
static int beside_errors(struct sockaddr_in *own)
{
    const int on = 1;
    socklen_t len = sizeof(*own);
    struct pollfd p = {.events = 0};
    struct sockaddr_in dead = {.sin_family = AF_INET};
    dead.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int taken = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    SKT_EQ(bind(taken, (struct sockaddr *)&dead, sizeof(dead)), 0);
    SKT_EQ(getsockname(taken, (struct sockaddr *)&dead, &len), 0);
    close(taken); /* a port at which nobody listens */

    int fd = p.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *own = (struct sockaddr_in){.sin_family = AF_INET};
    own->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SKT_EQ(bind(fd, (struct sockaddr *)own, sizeof(*own)), 0);
    SKT_EQ(getsockname(fd, (struct sockaddr *)own, &len), 0);
    SKT_EQ(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
    SKT_EQ(sendto(fd, "x", 1, 0, (struct sockaddr *)&dead, sizeof(dead)), 1);
    SKT_EQ(poll(&p, 1, 60000), 1);
    SKT_TRUE((p.revents & POLLERR) != 0);
    char byte;
    while (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno != EAGAIN)
        ; /* the error itself is told once; the queue stays */
    SKT_TRUE(poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0);
    return fd;
}

struct datagrams {
    int full, sender;
    struct sockaddr_un name;
};

static void make_datagrams(struct datagrams *d)
{
    static _Atomic(int) x_serial;
    socklen_t len = sizeof(d->name);
    memset(&d->name, 0, sizeof(d->name));
    d->name.sun_family = AF_UNIX;
    snprintf(d->name.sun_path + 1, sizeof(d->name.sun_path) - 1, "skua-%d-%d", getpid(),
             atomic_fetch_add(&x_serial, 1));
    d->full = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    d->sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    SKT_EQ(bind(d->full, (struct sockaddr *)&d->name, len), 0);
    int other = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    while (sendto(other, "y", 1, MSG_DONTWAIT, (struct sockaddr *)&d->name, len) == 1)
        ;
    SKT_EQ(errno, EAGAIN);
    close(other);
}

/* ---- one call that waits ---- */

enum how {
    RECV,
    READ,
    RECVMSG,
    RECV_ERRORS,
    SEND_NAMED,
    SEND,
    CONNECT,
    READV,
    ACCEPT,
    POLL,
    WRITE
};

struct call {
    enum how how;
    int fd;
    struct sockaddr_un name;
    skua_time dl;
    ssize_t rc;
};

static int make_call(void *arg)
{
    struct call *c = arg;
    char byte[64] = "z";
    struct iovec v = {byte, sizeof(byte)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    switch (c->how) {
    case RECV:
        c->rc = skua_recv(c->fd, byte, sizeof(byte), 0, c->dl);
        break;
    case READ:
        c->rc = skua_read(c->fd, byte, sizeof(byte), c->dl);
        break;
    case RECVMSG:
        c->rc = skua_recvmsg(c->fd, &m, 0, c->dl);
        break;
    case RECV_ERRORS:
        c->rc = skua_recvmsg(c->fd, &m, MSG_ERRQUEUE, c->dl);
        break;
    case SEND_NAMED:
        m.msg_name = &c->name;
        m.msg_namelen = sizeof(c->name);
        c->rc = skua_sendmsg(c->fd, &m, 0, c->dl);
        break;
    case SEND:
        c->rc = skua_send(c->fd, byte, sizeof(byte), 0, c->dl);
        break;
    case CONNECT:
        c->rc = skua_connect(c->fd, (struct sockaddr *)&c->name, sizeof(c->name), c->dl);
        break;
    case READV:
        c->rc = skua_readv(c->fd, &v, 1, c->dl);
        break;
    case ACCEPT:
        c->rc = skua_accept(c->fd, NULL, NULL, c->dl);
        break;
    case POLL:
        c->rc = skua_poll(c->fd, POLLIN, c->dl);
        break;
    default:
        c->rc = skua_write(c->fd, byte, sizeof(byte), c->dl);
    }
    return 0;
}

static skua_task *begin(skua_scope *s, struct call *c)
{
    skua_task *task;
    c->rc = 1000;
    SKT_EQ(skua_spawn_opts(s, make_call, c, NULL, &task), 0);
    return task;
}

static ssize_t end(struct call *c, skua_task *task)
{
    SKT_EQ(skua_join(task, NULL, SKUA_NEVER), 0);
    skua_task_unref(task);
    return c->rc;
}

/* Nothing can be done: until the deadline the call makes few system calls, whatever they cost. A loop would
 * make thousands; a machine that stops everything makes fewer. Then a cancellation, and a close. */
static void wait_in_vain(skua_scope *s, struct call *c, int ms)
{
    uint64_t before = completions();
    c->dl = skua_in(SKUA_MS(ms));
    SKT_EQ(end(c, begin(s, c)), -ETIMEDOUT);
    SKT_LT(completions() - before, 400);
    SKT_EQ(kernel_threads(), 0);

    c->dl = SKUA_NEVER;
    skua_task *task = begin(s, c);
    skua_sleep(SKUA_MS(2));
    SKT_EQ(skua_cancel(task), 1);
    SKT_EQ(end(c, task), -ECANCELED);

    c->dl = SKUA_NOW;
    SKT_EQ(end(c, begin(s, c)), -EAGAIN);
    SKT_EQ(kernel_threads(), 0);
}

/* skua_close ends it; what the number means is gone with it. */
static void close_under(skua_scope *s, struct call *c)
{
    c->dl = SKUA_NEVER;
    skua_task *task = begin(s, c);
    skua_sleep(SKUA_MS(2));
    SKT_EQ(skua_close(c->fd), 0);
    ssize_t rc = end(c, task);
    SKT_TRUE(rc == -ECANCELED || rc == -EBADF); /* -EBADF: it had not begun */
}

static int errors_body(void *nonblock)
{
    static const enum how hows[] = {RECV, READ, RECVMSG, READV};
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (unsigned i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
        struct sockaddr_in own;
        struct call c = {.how = hows[i], .fd = beside_errors(&own)};
        if (nonblock != NULL)
            set_nonblock(c.fd);
        wait_in_vain(&s, &c, 200);

        c.dl = SKUA_NEVER;
        skua_task *task = begin(&s, &c);
        skua_sleep(SKUA_MS(2));
        int peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        SKT_EQ(sendto(peer, "data", 4, 0, (struct sockaddr *)&own, sizeof(own)), 4);
        close(peer);
        SKT_EQ(end(&c, task), 4);
        close_under(&s, &c);
    }
    struct call c = {.how = RECV_ERRORS, .fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (nonblock != NULL)
        set_nonblock(c.fd);
    wait_in_vain(&s, &c, 200);
    close_under(&s, &c);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

static int full_body(void *nonblock)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int connected = 0; connected < 2; connected++) {
        struct datagrams d;
        make_datagrams(&d);
        struct call c = {.how = connected ? SEND : SEND_NAMED, .fd = d.sender, .name = d.name};
        if (connected)
            SKT_EQ(connect(d.sender, (struct sockaddr *)&d.name, sizeof(d.name)), 0);
        if (nonblock != NULL)
            set_nonblock(c.fd);
        wait_in_vain(&s, &c, 200);

        c.dl = SKUA_NEVER;
        skua_task *task = begin(&s, &c);
        skua_sleep(SKUA_MS(2));
        char bytes[64];
        while (c.rc == 1000 && recv(d.full, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
            ;
        SKT_EQ(end(&c, task), 64);
        close(d.full);
        close(d.sender);
    }
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

static void run_both(int (*body)(void *))
{
    static const unsigned workers[] = {1, 2, 8};
    for (int i = 0; i < 3; i++) {
        io_run(body, NULL, workers[i]);
        io_run(body, "O_NONBLOCK", workers[i]);
    }
}

/* Goal: receiving beside a queue of errors that is not read waits, and gets what comes. */
SKT_TEST(op_ready, beside_errors)
{
    run_both(errors_body);
}

/* Goal: so does sending to a datagram socket that is full, though one's own has room. */
SKT_TEST(op_ready, full_datagrams)
{
    run_both(full_body);
}

/* ---- Unix sockets whose listener's backlog is full ---- */

enum { DIALS = 200 };

static int full_listener(int type, struct sockaddr_un *name)
{
    struct datagrams unused; /* for a name */
    make_datagrams(&unused);
    close(unused.full);
    close(unused.sender);
    *name = unused.name;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    SKT_EQ(bind(fd, (struct sockaddr *)name, sizeof(*name)), 0);
    SKT_EQ(listen(fd, 0), 0);
    int filler = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    SKT_EQ(connect(filler, (struct sockaddr *)name, sizeof(*name)), 0);
    close(filler);
    return fd;
}

static int connect_body(void *nonblock)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    static struct call calls[DIALS];
    static skua_task *tasks[DIALS];
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int t = 0; t < 2; t++) {
        struct call c = {.how = CONNECT};
        int listener = full_listener(types[t], &c.name);
        for (int i = 0; i < DIALS; i++) {
            c.fd = socket(AF_UNIX, types[t] | SOCK_CLOEXEC, 0);
            SKT_GE(c.fd, 0);
            if (nonblock != NULL)
                set_nonblock(c.fd);
            calls[i] = c;
        }
        wait_in_vain(&s, &calls[0], 200);
        close_under(&s, &calls[0]);
        for (int i = 1; i < DIALS; i++) {
            calls[i].dl = SKUA_NEVER;
            tasks[i] = begin(&s, &calls[i]);
        }
        skua_sleep(SKUA_MS(50));
        SKT_EQ(kernel_threads(), 0);
        for (int i = 0; i < DIALS; i++)
            skua_close(skua_accept(listener, NULL, NULL, SKUA_NEVER));
        for (int i = 1; i < DIALS; i++) {
            SKT_EQ(end(&calls[i], tasks[i]), 0);
            SKT_EQ(fcntl(calls[i].fd, F_GETFL) & O_NONBLOCK, nonblock != NULL ? O_NONBLOCK : 0);
            close(calls[i].fd);
        }
        close(listener);
    }
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

/* Goal: hundreds of connects wait for one listener without a thread each, and all get through. */
SKT_TEST(op_ready, full_backlog)
{
    run_both(connect_body);
}

/* ---- many readers of one descriptor ---- */

enum { READERS = 40, BYTES = 400 };

static _Atomic(int) x_read;

static int read_all(void *fd)
{
    char byte;
    ssize_t rc;
    while ((rc = skua_read(*(int *)fd, &byte, 1, SKUA_NEVER)) == 1)
        atomic_fetch_add(&x_read, 1);
    return rc == -ECANCELED ? 0 : (int)rc;
}

static int herd_body(void *arg)
{
    (void)arg;
    for (int is_pipe = 0; is_pipe < 2; is_pipe++) {
        int fds[2];
        skua_scope s;
        if (is_pipe)
            io_pipe(fds);
        else
            io_pair(fds);
        atomic_store(&x_read, 0);
        SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
        for (int i = 0; i < READERS; i++)
            SKT_EQ(skua_spawn(&s, read_all, &fds[0]), 0);
        for (int i = 1; i <= BYTES; i++) {
            SKT_EQ(write(fds[1], "b", 1), 1);
            while (atomic_load(&x_read) < i)
                skua_sleep(SKUA_US(100));
        }
        SKT_LE(kernel_threads(), is_pipe + 1); /* of each, the one that was alone when it began */
        skua_scope_cancel(&s);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
        close(fds[0]);
        close(fds[1]);
    }
    return 0;
}

/* Goal: those that lose every race for what comes are not given threads by the kernel. */
SKT_TEST(op_ready, herd)
{
    io_run(herd_body, NULL, 1);
    io_run(herd_body, NULL, 2);
    io_run(herd_body, NULL, 8);
}

/* ---- whatever waits for a peer ---- */

/* A descriptor of each kind, from which nothing comes; *other is to be closed with it, or -1. */
static int silent(int kind, int *other)
{
    int fds[2], fd = -1;
    struct sockaddr_in any = {.sin_family = AF_INET};
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *other = -1;
    switch (kind) {
    case 0:
        io_pipe(fds);
        break;
    case 1:
    case 2:
    case 3:
        SKT_EQ(socketpair(AF_UNIX,
                          (kind == 1   ? SOCK_STREAM
                           : kind == 2 ? SOCK_DGRAM
                                       : SOCK_SEQPACKET) |
                              SOCK_CLOEXEC,
                          0, fds),
               0);
        break;
    case 4:
        io_tcp_pair(fds);
        break;
    case 5:
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        SKT_EQ(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
        return fd;
    case 6:
        return eventfd(0, EFD_CLOEXEC);
    case 7:
        return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    case 8:
        return inotify_init1(IN_CLOEXEC);
    case 9:
        SKT_EQ(openpty(&fds[0], &fds[1], NULL, NULL, NULL), 0);
        break;
    case 10:
        SKT_EQ(openpty(&fds[1], &fds[0], NULL, NULL, NULL), 0);
        break;
    default:
        return -1;
    }
    *other = fds[1];
    return fds[0];
}

static int silent_body(void *nonblock)
{
    static const enum how hows[] = {READ, READV, POLL, RECV, RECVMSG};
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int kind = 0, other, fd; (fd = silent(kind, &other)) >= 0; kind++) {
        bool is_socket = kind >= 1 && kind <= 5;
        if (nonblock != NULL)
            set_nonblock(fd);
        for (int i = 0; i < (is_socket ? 5 : 3); i++) {
            struct call c = {.how = hows[i], .fd = fd};
            wait_in_vain(&s, &c, 30);
        }
        close(fd);
        if (other >= 0)
            close(other);
    }
    struct call c = {.how = ACCEPT, .fd = skua_listen("tcp:127.0.0.1:0", NULL)};
    if (nonblock != NULL)
        set_nonblock(c.fd);
    wait_in_vain(&s, &c, 30);
    close(c.fd);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

/* Goal: no wait for a peer occupies a thread of the kernel's, nor a core. */
SKT_TEST(op_ready, silent)
{
    run_both(silent_body);
}

static void fill(int fd, bool is_stream)
{
    static char junk[1 << 16];
    set_nonblock(fd);
    while (write(fd, junk, is_stream ? sizeof(junk) : 1000) > 0)
        ;
    while (write(fd, junk, 1) > 0)
        ;
}

static int write_body(void *nonblock)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int kind = 0; kind < 4; kind++) { /* TCP finds room for a few bytes more again and again */
        int fds[2], flags;
        if (kind == 0)
            io_pipe(fds);
        else
            fds[0] = silent(kind, &fds[1]);
        flags = fcntl(fds[1], F_GETFL);
        fill(fds[1], kind <= 1);
        if (nonblock == NULL)
            SKT_EQ(fcntl(fds[1], F_SETFL, flags), 0);
        struct call c = {.how = WRITE, .fd = fds[1]};
        wait_in_vain(&s, &c, 30);
        close(fds[0]);
        close(fds[1]);
    }
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

/* Goal: nor does a wait for room. */
SKT_TEST(op_ready, no_room)
{
    run_both(write_body);
}
