/* What the tests of io/ share: running a body as a coroutine, pairs of descriptors. */
#ifndef IO_TEST_H
#define IO_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skua/skua.h>

#include "tests/support/skt.h"

/* Runs body(arg) as the first coroutine of a runtime with so many workers. */
static inline void io_run(int (*body)(void *), void *arg, unsigned workers)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    SKT_EQ(skua_run(body, arg, &config), 0);
}

static inline void io_pair(int fds[2])
{
    SKT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static inline void io_pipe(int fds[2])
{
    SKT_EQ(pipe2(fds, O_CLOEXEC), 0);
}

/* An IPv4 connection over loopback. */
static inline void io_tcp_pair(int fds[2])
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    int listener = skua_listen("tcp:127.0.0.1:0", NULL);
    SKT_GE(listener, 0);
    SKT_EQ(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SKT_EQ(connect(fds[0], (struct sockaddr *)&sa, len), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    SKT_GE(fds[1], 0);
    close(listener);
}

/* An unlinked regular file with the n bytes of text in it. */
static inline int io_file(const char *text, size_t n)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    SKT_GE(fd, 0);
    SKT_EQ(write(fd, text, n), (ssize_t)n);
    return fd;
}

#endif
