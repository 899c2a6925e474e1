/* io/addr.h - addresses as text. */
#ifndef SK_IO_ADDR_H
#define SK_IO_ADDR_H

#include <sys/socket.h>
#include <sys/un.h>

struct sk_addr {
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    };
    socklen_t len;
};

/* Parses "tcp:127.0.0.1:8080", "tcp:[::1]:8080", "tcp:[fe80::1%eth0]:8080", "unix:/run/x" (a
 * relative path too), or "unix:@name", which is in Linux's abstract namespace. NULL: out is filled
 * in. Else what is wrong: a constant text that goes on from the address, with what is expected. Any
 * thread. */
const char *sk_addr_parse(struct sk_addr *out, const char *text);

#endif
