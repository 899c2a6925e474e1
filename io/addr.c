/* io/addr.c - parsing addresses. Nothing is resolved: a name is refused, not looked up. */
#include "io/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { HOST_BYTES = INET6_ADDRSTRLEN + IF_NAMESIZE + 1, PORT_MAX = 65535 };

/* One to five digits and nothing else. -1: no port. */
static int parse_port(const char *text)
{
    int port = 0;
    size_t digits = 0;
    for (; text[digits] != '\0'; digits++) {
        if (text[digits] < '0' || text[digits] > '9' || digits == 5)
            return -1;
        port = port * 10 + (text[digits] - '0');
    }
    return digits == 0 || port > PORT_MAX ? -1 : port;
}

static bool copy_host(char host[HOST_BYTES], const char *begin, size_t len)
{
    if (len >= HOST_BYTES)
        return false;
    memcpy(host, begin, len);
    host[len] = '\0';
    return true;
}

/* host: an address with an optional %interface. */
static bool fill_v6(struct sk_addr *out, char *host, int port)
{
    struct sockaddr_in6 sa;
    memset(&sa, 0, sizeof(sa));
    sa.sin6_family = AF_INET6;
    sa.sin6_port = htons((uint16_t)port);
    char *zone = strchr(host, '%');
    if (zone != NULL) {
        *zone++ = '\0';
        sa.sin6_scope_id = if_nametoindex(zone);
        if (sa.sin6_scope_id == 0)
            return false;
    }
    if (inet_pton(AF_INET6, host, &sa.sin6_addr) != 1)
        return false;
    memcpy(&out->storage, &sa, sizeof(sa));
    out->len = sizeof(sa);
    return true;
}

static bool fill_v4(struct sk_addr *out, const char *host, int port)
{
    struct sockaddr_in sa;
    memset(&sa, 0, sizeof(sa));
    sa.sin_family = AF_INET;
    sa.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &sa.sin_addr) != 1)
        return false;
    memcpy(&out->storage, &sa, sizeof(sa));
    out->len = sizeof(sa);
    return true;
}

static const char *parse_tcp(struct sk_addr *out, const char *text)
{
    char host[HOST_BYTES];
    bool is_v6 = text[0] == '[';
    const char *end = is_v6 ? strchr(text, ']') : strrchr(text, ':');
    if (is_v6 && end == NULL)
        return "the ']' after the IPv6 address is missing, as in tcp:[::1]:8080";
    const char *colon = end != NULL && is_v6 ? end + 1 : end;
    if (colon == NULL || *colon != ':')
        return "the port is missing: expected tcp:HOST:PORT, as in tcp:127.0.0.1:8080";
    int port = parse_port(colon + 1);
    if (port < 0)
        return "the port must be a number from 0 to 65535 (0: the kernel chooses)";
    if (is_v6) {
        if (!copy_host(host, text + 1, (size_t)(end - text - 1)) || !fill_v6(out, host, port))
            return "between '[' and ']' must stand a numeric IPv6 address, as in tcp:[::1]:8080";
        return NULL;
    }
    if (memchr(text, ':', (size_t)(end - text)) != NULL)
        return "an IPv6 address must stand in brackets, as in tcp:[::1]:8080";
    if (!copy_host(host, text, (size_t)(end - text)) || !fill_v4(out, host, port))
        return "the host must be numeric, as in tcp:127.0.0.1:8080 or tcp:0.0.0.0:8080 for all";
    return NULL;
}

static const char *parse_unix(struct sk_addr *out, const char *path)
{
    size_t len = strlen(path);
    bool is_abstract = path[0] == '@';
    if (len == 0 || (is_abstract && len == 1))
        return "the path is missing: expected unix:PATH, as in unix:/run/x";
    if (len >= sizeof(out->un.sun_path))
        return "the path is too long: at most 107 bytes";
    memset(&out->un, 0, sizeof(out->un));
    out->un.sun_family = AF_UNIX;
    memcpy(out->un.sun_path, path, len);
    if (is_abstract)
        out->un.sun_path[0] = '\0'; /* the name ends where the address does */
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (is_abstract ? 0 : 1));
    return NULL;
}

const char *sk_addr_parse(struct sk_addr *out, const char *text)
{
    if (strncmp(text, "tcp:", 4) == 0)
        return parse_tcp(out, text + 4);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(out, text + 5);
    return "expected tcp:HOST:PORT or unix:PATH";
}
