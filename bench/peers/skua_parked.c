/* skua_parked [N] - what a parked coroutine costs: N of them wait for one event; the bytes are the
 * growth of resident memory and page tables, (VmRSS + VmPTE of /proc/self/status) / N. */
#include <stdatomic.h>

#include <skua/skua.h>

#include "report.h"

static skua_event event = SKUA_EVENT_INIT;
static atomic_ullong waiting;

static int waiter(void *arg)
{
    (void)arg;
    atomic_fetch_add_explicit(&waiting, 1, memory_order_relaxed);
    return skua_event_wait(&event, SKUA_NEVER);
}

static int measure(void *arg)
{
    uint64_t n = *(uint64_t *)arg;
    skua_scope scope;
    int rc = skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    if (rc < 0)
        return rc;
    int64_t before = report_memory_bytes();
    uint64_t spawned = 0;
    while (spawned < n && (rc = skua_spawn(&scope, waiter, NULL)) == 0)
        spawned++;
    while (atomic_load_explicit(&waiting, memory_order_relaxed) < spawned)
        skua_sleep(SKUA_MS(1));
    skua_sleep(SKUA_MS(100)); /* the last ones have counted themselves; now they have parked, too */
    int64_t bytes = report_memory_bytes() - before;
    skua_event_set(&event);
    int closed = skua_scope_close(&scope, SKUA_NEVER);
    if (rc < 0) {
        fprintf(stderr, "skua_parked: spawn %llu: %s\n", (unsigned long long)spawned,
                skua_strerror(rc));
        return rc;
    }
    printf("{\"impl\": \"skua\", \"name\": \"parked\", \"workers\": %u, \"coroutines\": %llu, "
           "\"bytes\": %.1f}\n",
           skua_workers(), (unsigned long long)n, (double)bytes / (double)n);
    return closed;
}

int main(int argc, char **argv)
{
    uint64_t n = report_arg(argc, argv, 1, 1000000);
    return skua_run(measure, &n, NULL) < 0;
}
