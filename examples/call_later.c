/* examples/call_later.c - asyncio's call_soon and call_later: functions that are called at a time,
 * without a coroutine that waits for it. One is called off.
 *
 *     $ call_later
 *     registering callbacks
 *     callback 4 was called off
 *     callback 3 invoked
 *     callback 2 invoked
 *     callback 1 invoked */
#include <stdio.h>

#include <skua/skua.h>

struct call {
    skua_timer timer; /* stays where it is until it was called, or called off */
    int n;
};

static skua_event over = SKUA_EVENT_INIT;

/* A worker calls it between two coroutines, so it must not wait: it hands on what takes longer. */
static void callback(void *arg)
{
    const struct call *call = arg;
    printf("callback %d invoked\n", call->n);
    if (call->n == 1)
        skua_event_set(&over);
}

static int call_later(struct call *call, int64_t ns)
{
    return skua_timer_start(&call->timer, skua_in(ns), callback, call);
}

static int run(void *arg)
{
    (void)arg;
    static struct call calls[] = {{.n = 1}, {.n = 2}, {.n = 3}, {.n = 4}};
    puts("registering callbacks");
    int rc = call_later(&calls[0], SKUA_MS(200));
    if (rc == 0)
        rc = call_later(&calls[1], SKUA_MS(100));
    if (rc == 0)
        rc = call_later(&calls[2], 0); /* call_soon */
    if (rc == 0)
        rc = call_later(&calls[3], SKUA_MS(50));
    if (rc < 0)
        return rc;
    if (skua_timer_stop(&calls[3].timer) == 1) /* 0: it is too late */
        printf("callback %d was called off\n", calls[3].n);
    return skua_event_wait(&over, SKUA_NEVER);
}

int main(void)
{
    return skua_run(run, NULL, NULL) < 0;
}
