/* skua/net.h - sockets: listen, dial, accept, serve, which are about stream sockets; and recv, send and
 * their kin, which work on sockets of every type.
 * Addresses are "tcp:127.0.0.1:8080", "tcp:[::1]:8080" or "unix:/run/x"; port 0 lets the kernel
 * choose. Hosts are numeric. Every descriptor that is made here is close-on-exec, and
 * TCP_NODELAY is on unless SKUA_NET_NAGLE is given. */
#ifndef SKUA_NET_H
#define SKUA_NET_H

#include <sys/socket.h>
#include <sys/types.h>

#include <skua/base.h>
#include <skua/io.h>
#include <skua/scope.h>
#include <skua/time.h>

SKUA_EXTERN_C_BEGIN

/* Flags of skua_net_opts. */
enum {
    SKUA_NET_NAGLE = 1,     /* leave TCP_NODELAY off */
    SKUA_NET_REUSEPORT = 2, /* SO_REUSEPORT: several sockets listen on one address */
    SKUA_NET_V6ONLY = 4     /* an IPv6 socket takes no IPv4 connections */
};

/* Zero means the default in every field. */
typedef struct skua_net_opts {
    size_t size;    /* sizeof(skua_net_opts), set by SKUA_NET_OPTS_INIT */
    unsigned flags; /* SKUA_NET_... */
    int backlog;    /* connections that wait to be accepted; 0: as many as the system allows */
} skua_net_opts;

/* Zero means the default in every field. */
typedef struct skua_serve_opts {
    size_t size;        /* sizeof(skua_serve_opts), set by SKUA_SERVE_OPTS_INIT */
    unsigned flags;     /* none is defined: 0 */
    unsigned max_conns; /* connections at once; 0: no limit */
    int64_t drain_ns;   /* how long connections go on after the end; 0: 5 s; < 0: not at all */
} skua_serve_opts;

#ifdef __cplusplus
#define SKUA_NET_OPTS_INIT   { sizeof(skua_net_opts), 0, 0 }
#define SKUA_SERVE_OPTS_INIT { sizeof(skua_serve_opts), 0, 0, 0 }
#else
#define SKUA_NET_OPTS_INIT   { .size = sizeof(skua_net_opts) }
#define SKUA_SERVE_OPTS_INIT { .size = sizeof(skua_serve_opts) }
#endif

/** Makes a listening socket.
 * addr      see above. "unix:@name" is an abstract address. A socket file that nobody listens on any
 *           more is replaced; the one that is made stays until the program unlinks it. A malformed
 *           address gets a line on standard error.
 * o         NULL for all defaults.
 * returns   the descriptor, which the caller closes by skua_close; -EINVAL (addr or o); -EADDRINUSE
 *           or another negative errno as the kernel gave it.
 * suspends  may, for a path: a thread of a pool makes the system calls; else it
 *           never does.   from  anywhere.
 * source    socket(2), bind(2), listen(2). */
SKUA_API int skua_listen(const char *addr, const skua_net_opts *o);

/** Connects to an address.
 * addr      see above.
 * o         NULL for all defaults.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   the descriptor of the connection, which the caller closes by skua_close; -EINVAL (addr,
 *           o or dl); -EAGAIN, -ETIMEDOUT, -ECANCELED; -ECONNREFUSED or another negative errno as
 *           the kernel gave it.
 * suspends  may.   from  coroutine or plain thread.   source  socket(2), IORING_OP_CONNECT. */
SKUA_API int skua_dial(const char *addr, const skua_net_opts *o, skua_time dl);

/** Takes one connection from a listening socket.
 * sa, len   NULL, or written with the peer's address as by accept(2); they stay until this returns.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   the descriptor of the connection; -EAGAIN, -ETIMEDOUT, -ECANCELED; another negative
 *           errno as the kernel gave it.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_ACCEPT. */
SKUA_API int skua_accept(int fd, struct sockaddr *sa, socklen_t *len, skua_time dl);

/** Connects a socket of the caller's.
 * sa, len   the address.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0; -EAGAIN, -ETIMEDOUT, -ECANCELED (the socket is then of no further use but to be
 *           closed); -ECONNREFUSED or another negative errno as the kernel gave it.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_CONNECT. */
SKUA_API int skua_connect(int fd, const struct sockaddr *sa, socklen_t len, skua_time dl);

/** Accepts connections and runs conn(fd, arg) for each, as coroutines on all workers, in a scope of
 * its own. Where descriptors or memory run out it waits for some to come free, says so once a
 * minute, and goes on.
 * s         a scope that the caller has opened or stands in (skua_serve may be called right after
 *           skua_scope_open), or SKUA_SCOPE_ROOT. When it is cancelled, or at its deadline, or at dl,
 *           serving ends, as the caller's other waits do: nothing more is accepted, connections go
 *           on for the drain time, and what is left is cancelled and waited for.
 * listen_fd stays the caller's, to be closed by skua_close: a close(2) is not seen, and serving goes on
 *           with what gets the number.
 * conn      its fd is closed after it returns, unless it did that itself by skua_close; a
 *           connection's failure cancels nobody.
 * o         NULL for all defaults.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   only when all connections have ended: -ECANCELED (s or the caller was cancelled,
 *           or listen_fd was closed), -ETIMEDOUT (dl, or the deadline of a scope), or the error
 *           that made accepting impossible; at once -EINVAL (conn is NULL, o or dl), -EPERM (s is
 *           another's scope; in a plain thread any but the root).
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_ACCEPT. */
SKUA_API int skua_serve(skua_scope *s, int listen_fd, int (*conn)(int fd, void *), void *arg,
                        const skua_serve_opts *o, skua_time dl);

/** Receives 1..n bytes from a socket.
 * buf       caller-owned, n bytes; the kernel may write to it until this returns.
 * flags     MSG_PEEK, MSG_WAITALL ... of recv(2).
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   bytes received; 0 when the peer has ended its side; -EAGAIN, -ETIMEDOUT, -ECANCELED (if
 *           data won the race, the data is returned instead); another negative errno as the kernel
 *           gave it.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_RECV. */
SKUA_API ssize_t skua_recv(int fd, void *buf, size_t n, int flags, skua_time dl);

/** Sends 1..n bytes to a socket.
 * buf       caller-owned, n bytes, unchanged until this returns.
 * flags     of send(2); MSG_NOSIGNAL is always added.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   bytes taken; -EAGAIN, -ETIMEDOUT, -ECANCELED (if bytes were taken, their number is
 *           returned instead); -EPIPE, -ECONNRESET or another negative errno as the kernel gave it.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_SEND. */
SKUA_API ssize_t skua_send(int fd, const void *buf, size_t n, int flags, skua_time dl);

/** Receives a message, with its source and control data.
 * m         as in recvmsg(2); it and all that it points at stay until this returns.
 * flags     of recvmsg(2); descriptors that come with it are close-on-exec only with
 *           MSG_CMSG_CLOEXEC.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   as skua_recv.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_RECVMSG. */
SKUA_API ssize_t skua_recvmsg(int fd, struct msghdr *m, int flags, skua_time dl);

/** Sends a message, with a destination and control data.
 * m         as in sendmsg(2); it and all that it points at stay until this returns.
 * flags     of sendmsg(2); MSG_NOSIGNAL is always added.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   as skua_send.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_SENDMSG. */
SKUA_API ssize_t skua_sendmsg(int fd, const struct msghdr *m, int flags, skua_time dl);

SKUA_EXTERN_C_END

#endif
