/* skua_chan [PAIRS [N [CAPACITY]]] - N messages of 8 bytes through one channel, split among PAIRS
 * producers and as many consumers (default 1); an operation is one message. */
#include <stdatomic.h>

#include <skua/skua.h>

#include "report.h"

static uint64_t pairs, messages, capacity;

struct crew {
    skua_chan *c;
    uint64_t count;
    _Atomic(uint64_t) x_next; /* who comes next takes this share */
    _Atomic(uint64_t) x_sum;
};

static int produce(void *arg)
{
    struct crew *crew = arg;
    uint64_t share = atomic_fetch_add(&crew->x_next, 1);
    uint64_t end = crew->count * (share + 1) / pairs;
    for (uint64_t i = crew->count * share / pairs; i < end; i++) {
        int rc = skua_chan_send(crew->c, &i, SKUA_NEVER);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int consume(void *arg)
{
    struct crew *crew = arg;
    uint64_t sum = 0, v;
    while (skua_chan_recv(crew->c, &v, SKUA_NEVER) == 0)
        sum += v;
    atomic_fetch_add(&crew->x_sum, sum);
    return 0;
}

/* Closes the channel once the producers have ended, and then waits for the consumers. */
static int pass(uint64_t count)
{
    struct crew crew = {.count = count};
    skua_scope producers, consumers;
    int rc = skua_chan_new(&crew.c, sizeof(uint64_t), capacity, 0);
    if (rc < 0)
        return rc;
    skua_scope_open(&consumers, SKUA_FAIL_FAST, SKUA_NEVER);
    skua_scope_open(&producers, SKUA_FAIL_FAST, SKUA_NEVER);
    for (uint64_t i = 0; i < pairs; i++) {
        report_must(skua_spawn(&producers, produce, &crew));
        report_must(skua_spawn(&consumers, consume, &crew));
    }
    rc = skua_scope_close(&producers, SKUA_NEVER);
    skua_chan_close(crew.c);
    int failure = skua_scope_close(&consumers, SKUA_NEVER);
    skua_chan_unref(crew.c);
    if (rc < 0 || failure < 0)
        return rc < 0 ? rc : failure;
    return report_sum_is_right(atomic_load(&crew.x_sum), count) ? 0 : -EIO;
}

static int measure(void *arg)
{
    (void)arg;
    char name[32];
    int rc = pass(messages / 10); /* a warm-up */
    int64_t begin = report_now_ns();
    if (rc == 0)
        rc = pass(messages);
    if (rc < 0)
        return rc;
    int64_t took = report_now_ns() - begin;
    snprintf(name, sizeof(name), "chan_%up%uc", (unsigned)pairs, (unsigned)pairs);
    report_ns("skua", name, skua_workers(), took, messages);
    return 0;
}

int main(int argc, char **argv)
{
    pairs = report_arg(argc, argv, 1, 1);
    messages = report_arg(argc, argv, 2, 40000000);
    capacity = report_arg(argc, argv, 3, 128);
    return skua_run(measure, NULL, NULL) < 0;
}
