/* examples/fetch.c - five HTTP requests at once, each in a coroutine that reads as if it were alone. The
 * server takes a second for each; together they take one.
 *
 *     $ http_hello &
 *     $ fetch [ADDRESS]                default tcp:127.0.0.1:8080
 *     request 2: HTTP/1.1 200 OK, 13 bytes
 *     ...                              in the order in which they end
 *     5 replies in 1.0 s */
#include <stdio.h>
#include <string.h>

#include <skua/skua.h>

enum { REQUESTS = 5 };

struct request {
    const char *address;
    int n;
};

/* Sends the request and reads until the server ends the connection. */
static int talk(int fd, char *reply, size_t size)
{
    static const char text[] = "GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    size_t len = 0;
    int rc = skua_write_full(fd, text, sizeof(text) - 1, NULL, SKUA_NEVER);
    if (rc == 0)
        rc = skua_read_full(fd, reply, size - 1, &len, SKUA_NEVER);
    reply[len] = '\0';
    return rc == 0 ? -EMSGSIZE : rc == -EPIPE ? 0 : rc; /* -EPIPE: the end came, as is wanted */
}

static int fetch(void *arg)
{
    const struct request *r = arg;
    char reply[4096];
    int fd = skua_dial(r->address, NULL, SKUA_NEVER);
    if (fd < 0)
        return fd;
    int rc = talk(fd, reply, sizeof(reply));
    skua_close(fd);
    if (rc < 0)
        return rc;
    const char *body = strstr(reply, "\r\n\r\n");
    if (body == NULL)
        return -EPROTO;
    printf("request %d: %.*s, %zu bytes\n", r->n, (int)strcspn(reply, "\r\n"), reply,
           strlen(body + 4));
    return 0;
}

/* The waits above say SKUA_NEVER: the scope's deadline bounds them all. */
static int run(void *address)
{
    skua_time start = skua_now();
    skua_scope scope;
    int rc = skua_scope_open(&scope, SKUA_FAIL_FAST, skua_in(SKUA_S(30)));
    for (int i = 1; i <= REQUESTS && rc == 0; i++) {
        struct request r = {.address = address, .n = i};
        rc = skua_spawn_copy(&scope, fetch, &r, sizeof(r));
    }
    int failure = skua_scope_close(&scope, SKUA_NEVER);
    rc = failure < 0 ? failure : rc;
    if (rc == 0)
        printf("%d replies in %.1f s\n", REQUESTS, (double)(skua_now() - start) / 1e9);
    else
        fprintf(stderr, "fetch: %s: %s\n", (char *)address, skua_strerror(rc));
    return rc;
}

int main(int argc, char **argv)
{
    return skua_run(run, argc > 1 ? argv[1] : "tcp:127.0.0.1:8080", NULL) < 0;
}
