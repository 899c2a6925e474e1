/* io/net.c - skua/net.h: sockets. */
#include "io/net.h"

#include <skua/net.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/addr.h"
#include "io/fd.h"
#include "io/op.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/sys.h"
#include "runtime/block.h"
#include "runtime/current.h"
#include "runtime/driver.h"
#include "runtime/runtime.h"

enum {
    TRANSFER_MAX = 0x7ffff000, /* as in io/rw.c */
    BACKLOG_MOST = 0x7fffffff, /* the kernel cuts it to sysctl net.core.somaxconn */
    FIRST_PAUSE_NS = 500000,   /* between two tries of a connect to a Unix socket ... */
    DOUBLINGS = 4,             /* ... and up to 8 ms, if it is alone */
    KNOWN_FLAGS = SKUA_NET_NAGLE | SKUA_NET_REUSEPORT | SKUA_NET_V6ONLY,
};

static ssize_t run(enum sk_op_kind kind, int fd, const void *addr, size_t n, uint64_t off,
                   int flags, skua_time dl)
{
    struct sk_op op;
    sk_op_init(&op, kind, fd, addr, n > TRANSFER_MAX ? TRANSFER_MAX : n, off, (uint32_t)flags);
    return sk_op_run(&op, dl);
}

static bool is_send(enum sk_op_kind kind)
{
    return kind == SK_OP_SEND || kind == SK_OP_SENDMSG || kind == SK_OP_WRITE ||
           kind == SK_OP_WRITEV;
}

/* A datagram for a full socket, or what waits beside a queue of errors, would go round in the kernel until
 * it got a thread of its own: it is not to wait there. But what waits for all that it asked for
 * (MSG_WAITALL) must wait in the kernel, which would else give what is there. */
bool sk_net_may_disagree(enum sk_op_kind kind, int fd, const void *addr, int flags)
{
    if ((flags & (MSG_ERRQUEUE | MSG_DONTWAIT)) != 0)
        return (flags & MSG_ERRQUEUE) != 0;
    if ((flags & MSG_WAITALL) != 0 && !is_send(kind))
        return false;
    if (kind == SK_OP_SENDMSG && addr != NULL && ((const struct msghdr *)addr)->msg_name != NULL)
        return true;
    switch (sk_fd_hint(fd)) {
    case SK_FD_ERRORS:
        return true;
    case SK_FD_DATAGRAM:
        return is_send(kind) || sk_driver_poll_now(fd, 0) > 0;
    default:
        return false;
    }
}

ssize_t sk_net_transfer(struct sk_op_life *life, enum sk_op_kind kind, int fd, const void *addr,
                        size_t n, int flags, skua_time dl)
{
    struct sk_op op;
    if ((flags & MSG_ZEROCOPY) != 0)
        sk_fd_set_hint(fd, SK_FD_ERRORS); /* its notices come there */
    sk_op_init(&op, kind, fd, addr, n > TRANSFER_MAX ? TRANSFER_MAX : n, 0, (uint32_t)flags);
    op.is_nowait = sk_net_may_disagree(kind, fd, addr, flags);
    sk_op_bind(&op, life);
    ssize_t rc = sk_op_run(&op, dl);
    sk_op_note(&op, life);
    return rc;
}

static ssize_t transfer(enum sk_op_kind kind, int fd, const void *addr, size_t n, int flags,
                        skua_time dl)
{
    struct sk_op_life life = {.is_known = false};
    return sk_net_transfer(&life, kind, fd, addr, n, flags, dl);
}

ssize_t skua_recv(int fd, void *buf, size_t n, int flags, skua_time dl)
{
    return transfer(SK_OP_RECV, fd, buf, n, flags, dl);
}

ssize_t skua_send(int fd, const void *buf, size_t n, int flags, skua_time dl)
{
    return transfer(SK_OP_SEND, fd, buf, n, flags | MSG_NOSIGNAL, dl);
}

ssize_t skua_recvmsg(int fd, struct msghdr *m, int flags, skua_time dl)
{
    return transfer(SK_OP_RECVMSG, fd, m, 1, flags, dl);
}

ssize_t skua_sendmsg(int fd, const struct msghdr *m, int flags, skua_time dl)
{
    return transfer(SK_OP_SENDMSG, fd, m, 1, flags | MSG_NOSIGNAL, dl);
}

int skua_accept(int fd, struct sockaddr *sa, socklen_t *len, skua_time dl)
{
    int conn = (int)run(SK_OP_ACCEPT, fd, sa, 0, (uint64_t)(uintptr_t)len, SOCK_CLOEXEC, dl);
    if (conn >= 0)
        sk_fd_set_hint(conn, SK_FD_STREAM);
    return conn;
}

/* These read errno, whose address must not live across a suspension: never inlined into what may
 * suspend. */

static __attribute__((noinline)) int socket_error(int fd)
{
    int err = 0;
    socklen_t len = sizeof(err);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? -errno : -err;
}

static __attribute__((noinline)) int close_quietly(int fd, int rc)
{
    close(fd);
    return rc;
}

/* An O_NONBLOCK socket: TCP goes on connecting by itself. The number may be another's after the wait:
 * asking for a socket's error takes it away. */
static int finish_connect(const struct sk_op *op, skua_time dl)
{
    struct sk_op poll;
    struct sk_op_life life;
    if (dl == SKUA_NOW)
        return -EAGAIN;
    sk_op_note(op, &life);
    sk_op_init(&poll, SK_OP_POLL, op->fd, NULL, 0, 0, POLLOUT);
    sk_op_bind(&poll, &life);
    int rc = sk_op_poll(&poll, dl);
    if (rc < 0)
        return rc;
    return sk_fd_is_same(op->fd, op->generation) ? socket_error(op->fd) : -ECANCELED;
}

static int connect_once(struct sk_op *op, skua_time dl)
{
    int rc = (int)sk_op_run(op, dl);
    return rc == -EAGAIN || rc == -EINPROGRESS ? finish_connect(op, dl) : rc;
}

/* Never waits, whatever the socket is: a ring would give a blocking one a thread of the kernel's until the
 * listener's backlog has room. Nobody can do anything with a socket that is not connected, so nobody sees
 * that it is O_NONBLOCK for the length of this call. */
static __attribute__((noinline)) int connect_at_once(int fd, const struct sockaddr *sa,
                                                     socklen_t len)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return -errno;
    int rc = connect(fd, sa, len) < 0 ? -errno : 0;
    if ((flags & O_NONBLOCK) == 0)
        fcntl(fd, F_SETFL, flags);
    return rc;
}

/* How many connects wait for room in a backlog. The more there are, the longer each pauses between two
 * tries, so that all together try 2,000 times a second at most. */
static _Atomic(uint32_t) x_waiting;

static int await_room(const struct sk_op *op, unsigned vain, skua_time dl)
{
    int64_t pause = (int64_t)FIRST_PAUSE_NS << (vain < DOUBLINGS ? vain : DOUBLINGS);
    int64_t share = (int64_t)FIRST_PAUSE_NS * (sk_add_relaxed(&x_waiting, 1u) + 1);
    int rc = sk_op_await_change(op, pause < share ? share : pause, dl);
    sk_sub_acq_rel(&x_waiting, 1u);
    return rc;
}

/* In the descriptor's list meanwhile, so that skua_close waits for it, and the number stays its own; its
 * wait is over already, so that nobody ends it. SK_OP_TRY_AGAIN: only the close of an earlier file of that
 * number has ended it. */
static int connect_listed(struct sk_op *op, const struct sockaddr *sa, socklen_t len)
{
    op->in_pool = true;
    int rc = sk_wait_begin(&op->wait, SKUA_NEVER, SK_WAIT_NOCANCEL);
    if (rc < 0)
        return rc;
    rc = sk_fd_enter(op);
    bool claimed = !sk_wait_abandon(&op->wait);
    if (rc < 0)
        return rc;
    if (!claimed)
        rc = connect_at_once(op->fd, sa, len);
    bool held = sk_current_worker() == NULL && sk_runtime_hold(); /* leaving may wake a coroutine */
    sk_fd_leave(op);
    if (held)
        sk_current_release();
    if (claimed)
        return op->is_moved ? SK_OP_TRY_AGAIN : -ECANCELED;
    return rc;
}

static int try_connect(struct sk_op *op, const struct sockaddr *sa, socklen_t len)
{
    if (sk_current_worker() != NULL)
        return connect_listed(op, sa, len);
    int before = sk_sys_bar_cancel();
    int rc = connect_listed(op, sa, len);
    sk_sys_allow_cancel(before);
    return rc;
}

/* There is no event for room in a listener's backlog: it asks again. */
static int connect_unix(struct sk_op *op, const struct sockaddr *sa, socklen_t len, skua_time dl)
{
    int rc = sk_op_check_caller();
    if (rc == 0)
        rc = sk_fd_generation(op->fd, &op->generation);
    op->is_bound = true;
    for (unsigned vain = 0; rc == 0; vain++) {
        do
            rc = try_connect(op, sa, len);
        while (rc == SK_OP_TRY_AGAIN);
        if (rc != -EAGAIN || dl == SKUA_NOW)
            return rc;
        rc = await_room(op, vain, dl);
    }
    return rc;
}

int skua_connect(int fd, const struct sockaddr *sa, socklen_t len, skua_time dl)
{
    struct sk_op op;
    int rc = sk_clock_check_deadline(dl);
    if (rc < 0)
        return rc;
    sk_op_init(&op, SK_OP_CONNECT, fd, sa, 0, len, 0);
    bool is_unix = sa != NULL && len >= sizeof(sa->sa_family) && sa->sa_family == AF_UNIX;
    return is_unix ? connect_unix(&op, sa, len, dl) : connect_once(&op, dl);
}

/* ---- Sockets from addresses. */

static int set_option(int fd, int level, int name)
{
    const int on = 1;
    return setsockopt(fd, level, name, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* A listening socket passes TCP_NODELAY on to what it accepts. */
static int set_tcp_options(int fd, int family, unsigned flags)
{
    int rc = 0;
    if (family == AF_UNIX)
        return 0;
    if ((flags & SKUA_NET_NAGLE) == 0)
        rc = set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    if (rc == 0 && (flags & SKUA_NET_V6ONLY) != 0 && family == AF_INET6)
        rc = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    return rc;
}

static __attribute__((noinline)) int open_socket(int family, unsigned flags)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0); /* the program's: the lowest number */
    if (fd < 0)
        return -errno;
    int rc = set_tcp_options(fd, family, flags);
    return rc < 0 ? close_quietly(fd, rc) : fd;
}

/* A program that ended left its socket's file behind: nobody listens there. */
static bool is_stale(const struct sk_addr *addr)
{
    struct stat before, after;
    const char *path = addr->un.sun_path;
    if (addr->any.sa_family != AF_UNIX || path[0] == '\0' || lstat(path, &before) < 0 ||
        !S_ISSOCK(before.st_mode))
        return false;
    int fd = sk_sys_lift(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0)
        return false;
    bool refused = connect(fd, &addr->any, addr->len) < 0 && errno == ECONNREFUSED;
    close(fd);
    /* The same file still: not that of a program that was started a moment ago. */
    return refused && lstat(path, &after) == 0 && after.st_ino == before.st_ino &&
           after.st_dev == before.st_dev;
}

static int bind_address(int fd, const struct sk_addr *addr)
{
    if (bind(fd, &addr->any, addr->len) == 0)
        return 0;
    int rc = -errno;
    if (rc != -EADDRINUSE || !is_stale(addr))
        return rc;
    if (unlink(addr->un.sun_path) < 0)
        return -errno;
    return bind(fd, &addr->any, addr->len) < 0 ? -errno : 0;
}

static __attribute__((noinline)) int open_listener(const struct sk_addr *addr, unsigned flags,
                                                   int backlog)
{
    int fd = open_socket(addr->any.sa_family, flags);
    if (fd < 0)
        return fd;
    int rc = 0;
    if (addr->any.sa_family != AF_UNIX)
        rc = set_option(fd, SOL_SOCKET,
                        SO_REUSEADDR); /* a restart need not wait for old connections */
    if (rc == 0 && (flags & SKUA_NET_REUSEPORT) != 0)
        rc = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
    if (rc == 0)
        rc = bind_address(fd, addr);
    if (rc == 0 && listen(fd, backlog > 0 ? backlog : BACKLOG_MOST) < 0)
        rc = -errno;
    return rc < 0 ? close_quietly(fd, rc) : fd;
}

/* At most once a second: a program may be given addresses from outside. */
static void complain(const char *text, const char *wrong)
{
    static struct sk_log_limit limit;
    if (sk_log_may(&limit, sk_clock_now(), SKUA_S(1)))
        sk_log(SK_LOG_ERROR, "address '%s': %s", text, wrong);
}

static int parse(struct sk_addr *out, const char *text, const skua_net_opts *o)
{
    if (text == NULL || (o != NULL && (o->size < sizeof(*o) ||
                                       (o->flags & ~(unsigned)KNOWN_FLAGS) != 0 || o->backlog < 0)))
        return -EINVAL;
    const char *wrong = sk_addr_parse(out, text);
    if (wrong != NULL)
        complain(text, wrong);
    return wrong == NULL ? 0 : -EINVAL;
}

struct listening {
    struct sk_addr addr;
    unsigned flags;
    int backlog;
};

static int run_listen(void *arg)
{
    const struct listening *l = arg;
    return open_listener(&l->addr, l->flags, l->backlog);
}

/* A path is looked up, and a file made, by a disk or a server. */
int skua_listen(const char *addr, const skua_net_opts *o)
{
    struct listening l = {.flags = o ? o->flags : 0, .backlog = o ? o->backlog : 0};
    int rc = parse(&l.addr, addr, o);
    if (rc < 0)
        return rc;
    bool has_path = l.addr.any.sa_family == AF_UNIX && l.addr.un.sun_path[0] != '\0';
    return has_path ? sk_block_run(SK_BLOCK_FILES, run_listen, &l) : run_listen(&l);
}

int skua_dial(const char *addr, const skua_net_opts *o, skua_time dl)
{
    struct sk_addr parsed = {.len = 0};
    int rc = sk_clock_check_deadline(dl);
    if (rc == 0)
        rc = parse(&parsed, addr, o);
    if (rc < 0)
        return rc;
    int fd = open_socket(parsed.any.sa_family, o ? o->flags : 0);
    if (fd < 0)
        return fd;
    rc = skua_connect(fd, &parsed.any, parsed.len, dl);
    if (rc < 0) {
        skua_close(fd);
        return rc;
    }
    sk_fd_set_hint(fd, SK_FD_STREAM);
    return fd;
}
