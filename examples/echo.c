/* examples/echo.c - sends back whatever it gets, on all cores.
 *
 *     $ echo [ADDRESS]                 default tcp:127.0.0.1:7000
 *     listening on tcp:127.0.0.1:7000 */
#include <stdio.h>

#include <skua/skua.h>

#include "common/announce.h"

/* One client. Every call waits as if it had the machine to itself; meanwhile the worker serves
 * others. The buffer stands on the coroutine's own stack. */
static int echo(int fd, void *arg)
{
    (void)arg;
    char buf[4096];
    ssize_t n;
    while ((n = skua_read(fd, buf, sizeof(buf), SKUA_NEVER)) > 0) {
        int rc = skua_write_full(fd, buf, (size_t)n, NULL, SKUA_NEVER);
        if (rc < 0)
            return rc; /* the client is gone */
    }
    return (int)n; /* 0: the client has said all; skua_serve closes fd */
}

/* Serves until SIGINT or SIGTERM; clients then have a second to finish. */
static int run(void *arg)
{
    int listener = announce_listen("echo", arg);
    if (listener < 0)
        return listener;
    skua_serve_opts opts = SKUA_SERVE_OPTS_INIT;
    opts.drain_ns = SKUA_S(1);
    int rc = skua_serve(SKUA_SCOPE_ROOT, listener, echo, NULL, &opts, SKUA_NEVER);
    if (rc < 0 && rc != -ECANCELED)
        fprintf(stderr, "echo: %s\n", skua_strerror(rc));
    skua_close(listener);
    return rc == -ECANCELED ? 0 : rc;
}

int main(int argc, char **argv)
{
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: echo [ADDRESS]\n");
        return 1;
    }
    return skua_run(run, argc == 2 ? argv[1] : "tcp:127.0.0.1:7000", NULL) < 0;
}
