/* examples/http_hello.c - an HTTP/1.1 service on all cores.
 *
 *     $ http_hello [ADDRESS]           default tcp:127.0.0.1:8080
 *     listening on tcp:127.0.0.1:8080
 *     $ curl -i http://127.0.0.1:8080/
 *
 * The protocol is in http/, in front of libhttp-parser. What is served is here: / at once, /slow
 * after a second. The method matters only in that HEAD gets no body. */
#include <inttypes.h>
#include <stdalign.h>
#include <stdio.h>

#include <skua/skua.h>

#include "common/announce.h"
#include "http/http_serve.h"

/* Each worker counts for itself, on a cache line of its own: no atomics and no sharing. */
static struct {
    alignas(64) uint64_t requests;
} served[1024];

static int route(struct http_client *client)
{
    served[skua_worker()].requests++;
    if (http_conn_is_path(&client->http, "/"))
        return HTTP_REPLY_HELLO;
    if (http_conn_is_path(&client->http, "/slow")) {
        int rc = http_serve_flush(client); /* the replies before this one do not wait with it */
        if (rc == 0)
            rc = skua_sleep(SKUA_S(1));
        return rc < 0 ? rc : HTTP_REPLY_SLOW;
    }
    return HTTP_REPLY_NOT_FOUND;
}

static int serve_client(int fd, void *arg)
{
    (void)arg;
    return http_serve_client(fd, route);
}

static void print_workers(void)
{
    for (unsigned i = 0; i < skua_workers(); i++) {
        skua_stats_view stats = SKUA_STATS_VIEW_INIT;
        skua_stats(&stats, i);
        printf("worker %u: requests %" PRIu64 " steals %" PRIu64 " wakeups %" PRIu64 "\n", i,
               served[i].requests, stats.steals, stats.wakeups);
    }
}

/* Serves until SIGINT or SIGTERM; requests that run then have two seconds to finish. */
static int run(void *arg)
{
    int listener = announce_listen("http_hello", arg);
    if (listener < 0)
        return listener;
    skua_serve_opts opts = SKUA_SERVE_OPTS_INIT;
    opts.drain_ns = SKUA_S(2);
    int rc = skua_serve(SKUA_SCOPE_ROOT, listener, serve_client, NULL, &opts, SKUA_NEVER);
    if (rc < 0 && rc != -ECANCELED)
        fprintf(stderr, "http_hello: %s\n", skua_strerror(rc));
    print_workers();
    skua_close(listener);
    return rc == -ECANCELED ? 0 : rc;
}

int main(int argc, char **argv)
{
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: http_hello [ADDRESS]\n");
        return 1;
    }
    return skua_run(run, argc == 2 ? argv[1] : "tcp:127.0.0.1:8080", NULL) < 0;
}
