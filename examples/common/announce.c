/* examples/common/announce.c - see announce.h. */
#include "announce.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <skua/skua.h>

/* A connection is a descriptor; the usual soft limit of 1024 is there for select(2) alone. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void print_address(int fd, const char *addr)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    char host[INET6_ADDRSTRLEN];
    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
        name.ss_family = AF_UNSPEC;
    if (name.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&name;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        printf("listening on tcp:%s:%u\n", host, ntohs(in->sin_port));
    } else if (name.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&name;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        printf("listening on tcp:[%s]:%u\n", host, ntohs(in6->sin6_port));
    } else {
        printf("listening on %s\n", addr);
    }
    fflush(stdout); /* whoever started us may read a pipe, and waits for this line */
}

int announce_listen(const char *program, const char *addr)
{
    raise_descriptor_limit();
    int fd = skua_listen(addr, NULL);
    if (fd >= 0)
        print_address(fd, addr);
    else
        fprintf(stderr, "%s: cannot listen on '%s': %s%s\n", program, addr, skua_strerror(fd),
                fd == -EINVAL ? " (expected tcp:HOST:PORT with a numeric host, or unix:PATH)" : "");
    return fd;
}
