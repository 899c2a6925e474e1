/* Addresses as text. */
#include "io/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>

#include "tests/support/skt.h"

static const char *parse(struct sk_addr *a, const char *text)
{
    memset(a, 0xa5, sizeof(*a));
    return sk_addr_parse(a, text);
}

/* Goal: what is documented parses to what it says. */
SKT_TEST(addr, tcp_v4)
{
    struct sk_addr a;
    struct sockaddr_in sa;
    SKT_NULL(parse(&a, "tcp:127.0.0.1:8080"));
    SKT_EQ(a.len, sizeof(sa));
    memcpy(&sa, &a.storage, sizeof(sa));
    SKT_EQ(sa.sin_family, AF_INET);
    SKT_EQ(ntohs(sa.sin_port), 8080);
    SKT_EQ(ntohl(sa.sin_addr.s_addr), INADDR_LOOPBACK);
    SKT_NULL(parse(&a, "tcp:0.0.0.0:0"));
    SKT_NULL(parse(&a, "tcp:255.255.255.255:65535"));
}

SKT_TEST(addr, tcp_v6)
{
    struct sk_addr a;
    struct sockaddr_in6 sa;
    SKT_NULL(parse(&a, "tcp:[::1]:443"));
    SKT_EQ(a.len, sizeof(sa));
    memcpy(&sa, &a.storage, sizeof(sa));
    SKT_EQ(sa.sin6_family, AF_INET6);
    SKT_EQ(ntohs(sa.sin6_port), 443);
    SKT_MEM_EQ(&sa.sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback));
    SKT_EQ(sa.sin6_scope_id, 0);
    SKT_NULL(parse(&a, "tcp:[::]:0"));
    SKT_NULL(parse(&a, "tcp:[fe80::1%lo]:1"));
    memcpy(&sa, &a.storage, sizeof(sa));
    SKT_GT(sa.sin6_scope_id, 0);
}

SKT_TEST(addr, unix_path)
{
    struct sk_addr a;
    SKT_NULL(parse(&a, "unix:/run/x"));
    SKT_EQ(a.un.sun_family, AF_UNIX);
    SKT_STR_EQ(a.un.sun_path, "/run/x");
    SKT_EQ(a.len, offsetof(struct sockaddr_un, sun_path) + sizeof("/run/x"));
    SKT_NULL(parse(&a, "unix:relative:with:colons"));
    SKT_STR_EQ(a.un.sun_path, "relative:with:colons");
    SKT_NULL(parse(&a, "unix:@name"));
    SKT_EQ(a.un.sun_path[0], 0);
    SKT_EQ(a.len, offsetof(struct sockaddr_un, sun_path) + 5);
}

/* Goal: a path of 107 bytes fits with its end, one of 108 does not. */
SKT_TEST(addr, unix_length)
{
    struct sk_addr a;
    char text[5 + 109] = "unix:";
    memset(text + 5, 'p', 108);
    text[5 + 107] = '\0';
    SKT_NULL(parse(&a, text));
    SKT_EQ(a.len, sizeof(struct sockaddr_un));
    text[5 + 107] = 'p';
    text[5 + 108] = '\0';
    SKT_STR_HAS(parse(&a, text), "too long");
}

/* Goal: every mistake is refused with words that name the part which is wrong. */
SKT_TEST(addr, mistakes)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "tcp:HOST:PORT or unix:PATH"},
        {"127.0.0.1:80", "tcp:HOST:PORT or unix:PATH"},
        {"udp:127.0.0.1:80", "tcp:HOST:PORT or unix:PATH"},
        {"TCP:127.0.0.1:80", "tcp:HOST:PORT or unix:PATH"},
        {"tcp:", "port is missing"},
        {"tcp:127.0.0.1", "port is missing"},
        {"tcp:127.0.0.1:", "port must be"},
        {"tcp:127.0.0.1:http", "port must be"},
        {"tcp:127.0.0.1:-1", "port must be"},
        {"tcp:127.0.0.1: 1", "port must be"},
        {"tcp:127.0.0.1:65536", "port must be"},
        {"tcp:127.0.0.1:000080", "port must be"},
        {"tcp::80", "host must be numeric"},
        {"tcp:localhost:80", "host must be numeric"},
        {"tcp:127.1:80", "host must be numeric"},
        {"tcp:1.2.3.4.5:80", "host must be numeric"},
        {"tcp:::1:80", "brackets"},
        {"tcp:[::1:80", "']'"},
        {"tcp:[::1]", "port is missing"},
        {"tcp:[::1]80", "port is missing"},
        {"tcp:[]:80", "IPv6"},
        {"tcp:[127.0.0.1]:80", "IPv6"},
        {"tcp:[fe80::1%no-such-interface]:80", "IPv6"},
        {"unix:", "path is missing"},
        {"unix:@", "path is missing"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sk_addr a;
        const char *wrong = parse(&a, rows[i].text);
        if (wrong == NULL)
            SKT_FAIL("'%s' was taken", rows[i].text);
        SKT_STR_HAS(wrong, rows[i].says);
    }
}

/* Goal: no length of host or port leaves the parser's buffers. */
SKT_TEST(addr, long_parts)
{
    for (size_t n = 1; n < 200; n++) {
        struct sk_addr a;
        char text[512] = "tcp:[";
        memset(text + 5, '1', n);
        strcpy(text + 5 + n, "]:80");
        SKT_NOT_NULL(parse(&a, text));
        text[4] = '1';
        SKT_NOT_NULL(parse(&a, text));
        snprintf(text, sizeof(text), "tcp:1.2.3.4:%0*d", (int)n, 0);
        const char *wrong = parse(&a, text);
        SKT_EQ(wrong == NULL, n <= 5);
    }
}
