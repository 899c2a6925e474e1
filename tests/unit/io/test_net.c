/* skua/net.h without serve: listen, dial, accept, connect, and the calls on sockets. */
#include <skua/net.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "runtime/base/atomic.h"
#include "runtime/base/sys.h"
#include "tests/unit/io/io_test.h"

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    SKT_EQ(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void local_address(int fd, char *out, size_t n)
{
    struct sockaddr_in sa;
    socklen_t len = sizeof(sa);
    SKT_EQ(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    snprintf(out, n, "tcp:127.0.0.1:%u", ntohs(sa.sin_port));
}

/* A port at which nobody listens, nor will: it is taken. (That of a listener which is closed may be
 * another's at once.) */
static int bind_somewhere(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SKT_GE(fd, 0);
    SKT_EQ(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

/* Goal: listening needs no runtime; its options are set; descriptors are close-on-exec. */
SKT_TEST(net, listen)
{
    skua_net_opts o = SKUA_NET_OPTS_INIT;
    int fd = skua_listen("tcp:127.0.0.1:0", NULL);
    SKT_GE(fd, 0);
    SKT_EQ(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    SKT_EQ(option(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    SKT_EQ(option(fd, SOL_SOCKET, SO_REUSEPORT), 0);
    SKT_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    SKT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    SKT_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    SKT_EQ(skua_close(fd), 0);
    o.flags = SKUA_NET_NAGLE | SKUA_NET_REUSEPORT;
    o.backlog = 5;
    fd = skua_listen("tcp:127.0.0.1:0", &o);
    SKT_EQ(option(fd, SOL_SOCKET, SO_REUSEPORT), 1);
    SKT_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    SKT_EQ(skua_close(fd), 0);
    o.flags = SKUA_NET_V6ONLY;
    fd = skua_listen("tcp:[::1]:0", &o);
    if (fd != -EADDRNOTAVAIL && fd != -EAFNOSUPPORT) {
        SKT_EQ(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
        SKT_EQ(skua_close(fd), 0);
    }
}

SKT_TEST(net, bad_arguments)
{
    skua_net_opts o = SKUA_NET_OPTS_INIT;
    SKT_EQ(skua_listen(NULL, NULL), -EINVAL);
    o.size = 1;
    SKT_EQ(skua_listen("tcp:127.0.0.1:0", &o), -EINVAL);
    o.size = sizeof(o);
    o.flags = 1u << 30;
    SKT_EQ(skua_listen("tcp:127.0.0.1:0", &o), -EINVAL);
    o.flags = 0;
    o.backlog = -1;
    SKT_EQ(skua_listen("tcp:127.0.0.1:0", &o), -EINVAL);
    SKT_EQ(skua_dial("tcp:127.0.0.1:1", NULL, -5), -EINVAL);
    SKT_EQ(skua_listen("tcp:203.0.113.7:0", NULL), -EADDRNOTAVAIL);
}

static void listen_badly(void *arg)
{
    _exit(skua_listen(arg, NULL) == -EINVAL ? 0 : 1);
}

/* Goal: a bad address gets a line that names it and says what is expected. */
SKT_TEST(net, bad_address_is_named)
{
    char out[1024], addr[] = "tcp:localhost:80";
    SKT_EQ(skt_in_child(listen_badly, addr, out, sizeof(out)), 0);
    SKT_STR_HAS(out, "skua: address 'tcp:localhost:80': the host must be numeric");
}

/* Goal: a socket file that nobody listens on any more is replaced; one in use, or a file that is no
 * socket, is not. */
SKT_TEST(net, unix_path_policy)
{
    char path[64], addr[80];
    snprintf(path, sizeof(path), "/tmp/skua-test-net-%d", (int)getpid());
    snprintf(addr, sizeof(addr), "unix:%s", path);
    int first = skua_listen(addr, NULL);
    SKT_GE(first, 0);
    SKT_EQ(skua_listen(addr, NULL), -EADDRINUSE);
    SKT_EQ(skua_close(first), 0);
    int second = skua_listen(addr, NULL); /* the first left its file */
    SKT_GE(second, 0);
    SKT_EQ(skua_close(second), 0);
    SKT_EQ(unlink(path), 0);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    SKT_GE(file, 0);
    close(file);
    SKT_EQ(skua_listen(addr, NULL), -EADDRINUSE);
    SKT_EQ(unlink(path), 0);
    SKT_EQ(skua_listen("unix:/no/such/folder/x", NULL), -ENOENT);
}

/* ---- Connections. */

static int accept_one(void *arg)
{
    int *fds = arg;
    struct sockaddr_in peer;
    socklen_t len = sizeof(peer);
    fds[1] = skua_accept(fds[0], (struct sockaddr *)&peer, &len, SKUA_NEVER);
    SKT_GE(fds[1], 0);
    SKT_EQ(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
    SKT_EQ(len, sizeof(peer));
    SKT_EQ(peer.sin_family, AF_INET);
    return 0;
}

static int tcp_body(void *arg)
{
    char addr[64], buf[16];
    skua_scope s;
    int fds[2] = {skua_listen("tcp:127.0.0.1:0", NULL), -1};
    (void)arg;
    local_address(fds[0], addr, sizeof(addr));
    SKT_EQ(skua_accept(fds[0], NULL, NULL, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_accept(fds[0], NULL, NULL, skua_in(SKUA_MS(3))), -ETIMEDOUT);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, accept_one, fds), 0);
    int fd = skua_dial(addr, NULL, skua_in(SKUA_S(60)));
    SKT_GE(fd, 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    SKT_EQ(option(fds[1], IPPROTO_TCP, TCP_NODELAY), 1);
    SKT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);

    SKT_EQ(skua_send(fd, "hello", 5, 0, SKUA_NEVER), 5);
    SKT_EQ(skua_recv(fds[1], buf, 3, MSG_PEEK, SKUA_NEVER), 3);
    SKT_EQ(skua_recv(fds[1], buf, 16, 0, SKUA_NEVER), 5);
    SKT_MEM_EQ(buf, "hello", 5);
    SKT_EQ(skua_write(fds[1], "back", 4, SKUA_NEVER), 4);
    SKT_EQ(skua_read(fd, buf, 16, SKUA_NEVER), 4);
    SKT_EQ(skua_send(fd, "ab", 2, 0, SKUA_NEVER), 2);
    SKT_EQ(skua_poll(fds[1], POLLIN, SKUA_NEVER), POLLIN);
    SKT_EQ(skua_recv(fds[1], buf, 4, MSG_WAITALL, skua_in(SKUA_MS(5))),
           2); /* what came is not lost */

    SKT_EQ(skua_close(fd), 0);
    SKT_EQ(skua_recv(fds[1], buf, 16, 0, SKUA_NEVER), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    SKT_EQ(skua_close(fds[0]), 0);
    int nobody = bind_somewhere();
    local_address(nobody, addr, sizeof(addr));
    SKT_EQ(skua_dial(addr, NULL, SKUA_NEVER), -ECONNREFUSED);
    SKT_EQ(skua_close(nobody), 0);
    return 0;
}

SKT_TEST(net, tcp)
{
    io_run(tcp_body, NULL, 1);
    io_run(tcp_body, NULL, 2);
}

SKT_TEST(net, plain_thread)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 2;
    SKT_EQ(skua_start(&config), 0);
    char addr[64], c;
    int listener = skua_listen("tcp:127.0.0.1:0", NULL);
    local_address(listener, addr, sizeof(addr));
    int fd = skua_dial(addr, NULL, SKUA_NEVER);
    SKT_GE(fd, 0);
    int conn = skua_accept(listener, NULL, NULL, SKUA_NEVER);
    SKT_GE(conn, 0);
    SKT_EQ(skua_send(fd, "x", 1, 0, SKUA_NEVER), 1);
    SKT_EQ(skua_recv(conn, &c, 1, 0, SKUA_NEVER), 1);
    SKT_EQ(skua_close(fd), 0);
    SKT_EQ(skua_close(conn), 0);
    SKT_EQ(skua_close(listener), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* Goal: messages with descriptors and datagrams of no bytes. */
static int messages_body(void *arg)
{
    int fds[2], passed = -1;
    char buf[8], control[CMSG_SPACE(sizeof(int))];
    struct iovec v = {buf, 2};
    (void)arg;
    SKT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    SKT_EQ(skua_send(fds[0], buf, 0, 0, SKUA_NEVER), 0);
    SKT_EQ(skua_recv(fds[1], buf, 8, 0, SKUA_NEVER), 0);
    SKT_EQ(skua_recv(fds[1], buf, 8, 0, SKUA_NOW), -EAGAIN);
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    memcpy(buf, "fd", 2);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fds[0], sizeof(int));
    SKT_EQ(skua_sendmsg(fds[0], &m, 0, SKUA_NEVER), 2);
    memset(control, 0, sizeof(control));
    m.msg_controllen = sizeof(control);
    SKT_EQ(skua_recvmsg(fds[1], &m, MSG_CMSG_CLOEXEC, SKUA_NEVER), 2);
    SKT_EQ(m.msg_controllen, CMSG_SPACE(sizeof(int)));
    memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
    SKT_EQ(fcntl(passed, F_GETFD), FD_CLOEXEC);
    SKT_EQ(skua_close(passed), 0);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

SKT_TEST(net, messages)
{
    io_run(messages_body, NULL, 1);
}

/* Goal: an O_NONBLOCK socket of the caller's connects all the same; one to nowhere times out and
 * can be closed. */
static int connect_body(void *arg)
{
    struct sockaddr_in sa;
    socklen_t len = sizeof(sa);
    int listener = skua_listen("tcp:127.0.0.1:0", NULL);
    (void)arg;
    SKT_EQ(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
    for (int flag = 0; flag < 2; flag++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (flag ? SOCK_NONBLOCK : 0), 0);
        SKT_EQ(skua_connect(fd, (struct sockaddr *)&sa, len, SKUA_NEVER), 0);
        SKT_EQ(skua_connect(fd, (struct sockaddr *)&sa, len, SKUA_NEVER), -EISCONN);
        SKT_EQ(skua_close(fd), 0);
    }
    SKT_EQ(skua_close(listener), 0);
    int nobody = bind_somewhere();
    SKT_EQ(getsockname(nobody, (struct sockaddr *)&sa, &len), 0);
    for (int flag = 0; flag < 2; flag++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (flag ? SOCK_NONBLOCK : 0), 0);
        SKT_EQ(skua_connect(fd, (struct sockaddr *)&sa, len, SKUA_NEVER), -ECONNREFUSED);
        SKT_EQ(skua_close(fd), 0);
    }
    SKT_EQ(skua_close(nobody), 0);
    return 0;
}

SKT_TEST(net, connect)
{
    io_run(connect_body, NULL, 1);
}

/* Goal: a Unix listener whose backlog is full makes a dialler wait, until its deadline or until
 * there is room. */
static int accept_later(void *arg)
{
    skua_sleep(SKUA_MS(20));
    for (int i = 0; i < 2; i++) {
        int fd = skua_accept(*(int *)arg, NULL, NULL, SKUA_NEVER);
        SKT_GE(fd, 0);
        SKT_EQ(skua_close(fd), 0);
    }
    return 0;
}

static int backlog_body(void *arg)
{
    skua_net_opts o = SKUA_NET_OPTS_INIT;
    char addr[64];
    skua_scope s;
    int fds[16], n = 0;
    (void)arg;
    o.backlog = 1;
    snprintf(addr, sizeof(addr), "unix:@skua-test-net-%d", (int)getpid());
    int listener = skua_listen(addr, &o);
    SKT_GE(listener, 0);
    while (n < 16 && (fds[n] = skua_dial(addr, NULL, skua_in(SKUA_MS(10)))) >= 0)
        n++;
    SKT_BETWEEN(n, 1, 15);
    SKT_EQ(fds[n], -ETIMEDOUT);
    SKT_EQ(skua_dial(addr, NULL, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, accept_later, &listener), 0);
    fds[n] = skua_dial(addr, NULL, skua_in(SKUA_S(60)));
    SKT_GE(fds[n], 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    for (int i = 0; i <= n; i++)
        SKT_EQ(skua_close(fds[i]), 0);
    SKT_EQ(skua_close(listener), 0);
    return 0;
}

SKT_TEST(net, unix_backlog)
{
    io_run(backlog_body, NULL, 1);
}

/* ---- The path of a Unix socket is looked up by a thread, not by a worker. */

static int (*create_thread)(unsigned long *thread, void *(*fn)(void *), void *arg);
static _Atomic(int) x_created;

static int count_thread(unsigned long *thread, void *(*fn)(void *), void *arg)
{
    sk_add_relaxed(&x_created, 1);
    return create_thread(thread, fn, arg);
}

static int listen_body(void *arg)
{
    char address[64];
    (void)arg;
    snprintf(address, sizeof(address), "unix:@skua-test-%d", getpid());
    int fd = skua_listen(address, NULL);
    SKT_GE(fd, 0);
    SKT_EQ(skua_close(fd), 0);
    SKT_EQ(sk_load_relaxed(&x_created), 0);
    snprintf(address, sizeof(address), "unix:/tmp/skua-test-%d", getpid());
    fd = skua_listen(address, NULL);
    SKT_GE(fd, 0);
    SKT_EQ(sk_load_relaxed(&x_created), 1);
    SKT_EQ(unlink(address + strlen("unix:")), 0);
    SKT_EQ(skua_close(fd), 0);
    return 0;
}

static int count_and_listen(void *arg)
{
    create_thread = sk_sys.thread_create; /* the workers run */
    sk_sys.thread_create = count_thread;
    int rc = listen_body(arg);
    sk_sys.thread_create = create_thread;
    return rc;
}

SKT_TEST(net, listen_on_a_path)
{
    io_run(count_and_listen, NULL, 1);
}

/* ---- MSG_WAITALL: all that was asked for, also where a call is not to wait in the kernel. */

enum { PIECES = 4, PIECE = 250 };

static int send_pieces(void *fd)
{
    char piece[PIECE] = {0};
    for (int i = 0; i < PIECES; i++) {
        SKT_EQ(skua_sleep(SKUA_MS(2)), 0);
        SKT_EQ(skua_send(*(int *)fd, piece, PIECE, 0, SKUA_NEVER), PIECE);
    }
    return 0;
}

static void receive_all(int fds[2], bool by_msg)
{
    skua_scope s;
    char all[PIECES * PIECE];
    struct iovec v = {all, sizeof(all)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    SKT_EQ(skua_scope_open(&s, 0, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, send_pieces, &fds[1]), 0);
    ssize_t n = by_msg ? skua_recvmsg(fds[0], &m, MSG_WAITALL, SKUA_NEVER)
                       : skua_recv(fds[0], all, sizeof(all), MSG_WAITALL, SKUA_NEVER);
    SKT_EQ(n, (ssize_t)sizeof(all));
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

static int poll_in(void *fd)
{
    while (skua_poll(*(int *)fd, POLLIN, SKUA_NEVER) > 0)
        skua_yield();
    return 0;
}

static int waitall_body(void *arg)
{
    const int on = 1;
    int fds[2];
    skua_scope s;
    (void)arg;
    for (int by_msg = 0; by_msg < 2; by_msg++) {
        io_tcp_pair(fds);
        SKT_EQ(skua_scope_open(&s, 0, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, poll_in, &fds[0]), 0); /* it waits for the same, beside it */
        SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
        receive_all(fds, by_msg != 0);
        SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(skua_close(fds[1]), 0);
        io_tcp_pair(fds);
        SKT_EQ(setsockopt(fds[0], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)),
               0); /* an error queue */
        receive_all(fds, by_msg != 0);
        SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(skua_close(fds[1]), 0);
    }
    return 0;
}

SKT_TEST(net, waits_for_all)
{
    static const unsigned worker_counts[] = {1, 2, 8};
    for (size_t i = 0; i < sizeof(worker_counts) / sizeof(worker_counts[0]); i++)
        io_run(waitall_body, NULL, worker_counts[i]);
}

/* ---- A connect to a Unix socket, and skua_close at the same time: the number stays its own. */

static _Atomic(bool) x_slow, x_connects, x_closed;

/* In the place of the C library's. A slow one gives a close the time to come in between. */
int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    if (sk_load_acquire(&x_slow)) {
        sk_store_release(&x_connects, true);
        for (int ms = 0; ms < 100 && !sk_load_acquire(&x_closed); ms++)
            usleep(1000);
    }
    return (int)syscall(SYS_connect, fd, sa, len);
}

static int close_and_take_number(void *fd)
{
    struct sockaddr_un peer;
    socklen_t len = sizeof(peer);
    while (!sk_load_acquire(&x_connects))
        skua_yield();
    SKT_EQ(skua_close(*(int *)fd), 0);
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SKT_EQ(other, *(int *)fd);
    sk_store_release(&x_closed, true);
    SKT_EQ(skua_sleep(SKUA_MS(20)), 0);
    SKT_EQ(fcntl(other, F_GETFL) & O_NONBLOCK, 0);
    SKT_TRUE(getpeername(other, (struct sockaddr *)&peer, &len) < 0 && errno == ENOTCONN);
    SKT_EQ(skua_close(other), 0);
    return 0;
}

static int connect_and_close_body(void *arg)
{
    skua_scope s;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int n = snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "skua-test-%d-close", getpid());
    char address[128];
    (void)arg;
    snprintf(address, sizeof(address), "unix:@%s", sa.sun_path + 1);
    int listener = skua_listen(address, NULL);
    SKT_GE(listener, 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sk_store_relaxed(&x_closed, false);
    sk_store_relaxed(&x_connects, false);
    sk_store_release(&x_slow, true);
    SKT_EQ(skua_scope_open(&s, 0, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, close_and_take_number, &fd), 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    int rc = skua_connect(fd, (struct sockaddr *)&sa, len, SKUA_NEVER);
    sk_store_release(&x_slow, false);
    SKT_TRUE(rc == 0 || rc == -ECANCELED);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_close(listener), 0);
    return 0;
}

SKT_TEST(net, unix_connect_and_close)
{
    io_run(connect_and_close_body, NULL, 2);
    io_run(connect_and_close_body, NULL, 8);
}
