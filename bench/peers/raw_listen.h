/* bench/peers/raw_listen.h - what the raw echo servers share: the argument, the listening socket
 * and the line that says that they are ready. */
#ifndef SKUA_BENCH_PEERS_RAW_LISTEN_H
#define SKUA_BENCH_PEERS_RAW_LISTEN_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RAW_CONNS = 1 << 16, /* one slot per descriptor number: the table needs no other index */
    RAW_BACKLOG = 4096,
};

static inline void raw_die(const char *what, int err)
{
    fprintf(stderr, "%s: %s\n", what, strerror(err));
    exit(1);
}

/* Listens on the loopback port in argv[1] (none or 0: any free one) and prints where. */
static inline int raw_listen(int argc, char **argv, int flags)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max < RAW_CONNS ? limit.rlim_max : RAW_CONNS;
        setrlimit(RLIMIT_NOFILE, &limit); /* a failure shows as EMFILE, once it matters */
    }
    long port = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(at);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        raw_die("socket", errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    /* An accepted socket inherits TCP_NODELAY: no call per connection. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, RAW_BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &length) < 0)
        raw_die("listen", errno);
    printf("listening on tcp:127.0.0.1:%u\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

#endif
