/* bench/system/load.c - the load generator: a skua program, one coroutine per connection.
 *
 *     $ load --connections 64 --duration 5 tcp:127.0.0.1:8080
 *
 * All connections are made first and then let go at once. At the end each finishes its batch, so
 * that nothing is cut. On two cores the generator is what limits a fast server: so it sends
 * prepared bytes, reads the clock twice per batch, and compares where others parse. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/system/echo_check.h"
#include "bench/system/load.h"

#define GRACE_NS SKUA_S(5) /* for the batches that are under way at the end, on a slow server */

enum {
    CONNECTING_MAX = 128,  /* at once: a listener's queue is short */
    OTHER_DESCRIPTORS = 64 /* standard streams and what the runtime needs, but for its workers */
};

/* Every connection needs a descriptor. False, after a message, if there are not enough. */
static bool raise_descriptor_limit(const struct load_options *o)
{
    struct rlimit limit;
    rlim_t want = o->connections + OTHER_DESCRIPTORS + 4 * (o->workers ? o->workers : 16);
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= want)
        return true;
    if (limit.rlim_max < want) {
        fprintf(stderr,
                "load: %u connections need %llu descriptors and the hard limit is %llu; raise it "
                "(ulimit -Hn as root, or LimitNOFILE) or use fewer connections\n",
                o->connections, (unsigned long long)want, (unsigned long long)limit.rlim_max);
        return false;
    }
    limit.rlim_cur = want;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* The bytes of a batch of requests. False, after a message, if they are too many. */
static bool make_batch(struct load *load)
{
    const struct load_options *o = &load->options;
    const char *host = strncmp(o->address, "tcp:", 4) == 0 ? o->address + 4 : "localhost";
    size_t room = strlen(o->path) + strlen(host) + 64;
    char *one = malloc(room);
    if (!one)
        return false;
    size_t n = (size_t)snprintf(one, room, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", o->path, host);
    load->batch_len = n * o->pipeline;
    if (load->batch_len > LOAD_BATCH_MAX) {
        fprintf(stderr,
                "load: %u requests of %zu bytes are %zu at once, more than %d; use a smaller "
                "--pipeline or a shorter --path\n",
                o->pipeline, n, load->batch_len, (int)LOAD_BATCH_MAX);
        free(one);
        return false;
    }
    load->batch = malloc(load->batch_len);
    for (unsigned i = 0; load->batch && i < o->pipeline; i++)
        memcpy(load->batch + i * n, one, n);
    free(one);
    return load->batch != NULL;
}

static int open_connections(struct load *load, skua_scope *scope)
{
    int rc = 0;
    for (unsigned i = 0; i < load->options.connections && rc == 0; i++) {
        struct load_conn_start start = {load, i};
        while (rc == 0 &&
               atomic_load_explicit(&load->x_connecting, memory_order_relaxed) >= CONNECTING_MAX)
            rc = skua_sleep(SKUA_US(200));
        atomic_fetch_add_explicit(&load->x_connecting, 1, memory_order_relaxed);
        if (rc == 0)
            rc = skua_spawn_copy(scope, load_conn_run, &start, sizeof(start));
    }
    return rc == 0 ? skua_event_wait(&load->settled, SKUA_NEVER) : rc;
}

/* Sleeps until the run is over, with a line a second. */
static int watch(const struct load *load, skua_time start)
{
    skua_time end = start + load->options.duration_ns;
    uint64_t before = 0;
    for (unsigned second = 1;; second++) {
        skua_time tick = start + SKUA_S(second);
        int rc = skua_sleep_until(tick < end ? tick : end);
        if (rc < 0 || tick > end)
            return rc;
        uint64_t requests = load_report_requests(load);
        if (!load->options.is_json)
            load_report_progress(load, second, requests - before);
        before = requests;
    }
}

/* Lets every connection finish its batch, and cancels those that do not. */
static int end_connections(struct load *load, skua_scope *scope)
{
    atomic_store_explicit(&load->x_stopping, true, memory_order_relaxed);
    int rc = skua_scope_close(scope, skua_in(GRACE_NS));
    if (rc != -EBUSY)
        return rc;
    atomic_store_explicit(&load->x_late, true, memory_order_relaxed);
    skua_scope_cancel(scope);
    return skua_scope_close(scope, SKUA_NEVER);
}

static int run_load(struct load *load)
{
    skua_scope scope;
    int rc = skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    if (rc < 0)
        return rc;
    rc = open_connections(load, &scope);
    bool is_refused =
        rc == 0 && atomic_load_explicit(&load->x_connected, memory_order_relaxed) == 0;
    if (rc < 0 || is_refused)
        skua_scope_cancel(&scope);
    skua_time start = skua_now();
    skua_event_set(&load->go);
    if (rc == 0 && !is_refused)
        rc = watch(load, start);
    int failure = end_connections(load, &scope);
    load->elapsed_ns = skua_now() - start;
    if (is_refused)
        fprintf(stderr, "load: no connection to %s could be made\n", load->options.address);
    return failure < 0 && failure != -ECANCELED ? failure : rc;
}

static int run(void *arg)
{
    struct load *load = arg;
    load->workers = skua_workers();
    load->tallies = aligned_alloc(64, load->workers * sizeof(*load->tallies));
    if (!load->tallies)
        return -ENOMEM;
    memset(load->tallies, 0, load->workers * sizeof(*load->tallies));
    int rc = run_load(load);
    if (rc == 0 || rc == -ECANCELED) { /* Ctrl-C: print what there is */
        load_report_print(load);
        rc = load_report_errors(load) > 0;
    } else {
        fprintf(stderr, "load: %s\n", skua_strerror(rc));
    }
    free(load->tallies);
    return rc;
}

int main(int argc, char **argv)
{
    static struct load load;
    if (!load_options_parse(&load.options, argc, argv))
        return 2;
    if (!raise_descriptor_limit(&load.options))
        return 1;
    load.pattern = load.options.is_echo ? load_echo_pattern() : NULL;
    if (load.options.is_echo ? !load.pattern : !make_batch(&load))
        return 1;
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = load.options.workers;
    int rc = skua_run(run, &load, &config);
    free(load.pattern);
    free(load.batch);
    return rc != 0;
}
