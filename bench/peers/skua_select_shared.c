/* skua_select_shared [N [CAPACITY]] - eight coroutines select over the same three channels, each of
 * which has a producer: the load of golang/go#20351. An operation is one element received. */
#include <stdatomic.h>

#include <skua/skua.h>

#include "report.h"

enum { CHANNELS = 3, RECEIVERS = 8 };

static uint64_t elements, capacity;

struct crew {
    skua_chan *c[CHANNELS];
    uint64_t count;
    _Atomic(unsigned) x_next; /* who comes next takes this channel and its share */
    _Atomic(uint64_t) x_sum;
};

static int produce(void *arg)
{
    struct crew *crew = arg;
    unsigned share = atomic_fetch_add(&crew->x_next, 1);
    uint64_t end = crew->count * (share + 1) / CHANNELS;
    for (uint64_t i = crew->count * share / CHANNELS; i < end; i++) {
        int rc = skua_chan_send(crew->c[share], &i, SKUA_NEVER);
        if (rc < 0)
            return rc;
    }
    return skua_chan_close(crew->c[share]);
}

/* Receives until all channels are closed. */
static int drain(void *arg)
{
    struct crew *crew = arg;
    uint64_t v[CHANNELS], sum = 0;
    skua_case cases[CHANNELS];
    int open = CHANNELS;
    for (int i = 0; i < CHANNELS; i++)
        cases[i] = (skua_case){.op = SKUA_RECV, .obj = crew->c[i], .val = &v[i]};
    while (open > 0) {
        int i = skua_select(cases, CHANNELS, 0, SKUA_NEVER);
        if (i < 0)
            return i;
        if (cases[i].res == 0) {
            sum += v[i];
        } else {
            cases[i].op = SKUA_SKIP;
            open--;
        }
    }
    atomic_fetch_add(&crew->x_sum, sum);
    return 0;
}

static int run(uint64_t count)
{
    struct crew crew = {.count = count};
    skua_scope scope;
    int rc = 0;
    for (int i = 0; i < CHANNELS && rc == 0; i++)
        rc = skua_chan_new(&crew.c[i], sizeof(uint64_t), capacity, 0);
    if (rc < 0)
        return rc;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    for (int i = 0; i < CHANNELS; i++)
        report_must(skua_spawn(&scope, produce, &crew));
    for (int i = 0; i < RECEIVERS; i++)
        report_must(skua_spawn(&scope, drain, &crew));
    rc = skua_scope_close(&scope, SKUA_NEVER);
    for (int i = 0; i < CHANNELS; i++)
        skua_chan_unref(crew.c[i]);
    if (rc < 0)
        return rc;
    return report_sum_is_right(atomic_load(&crew.x_sum), count) ? 0 : -EIO;
}

static int measure(void *arg)
{
    (void)arg;
    int rc = run(elements / 10); /* a warm-up */
    int64_t begin = report_now_ns();
    if (rc == 0)
        rc = run(elements);
    if (rc == 0)
        report_ns("skua", "select8", skua_workers(), report_now_ns() - begin, elements);
    return rc;
}

int main(int argc, char **argv)
{
    elements = report_arg(argc, argv, 1, 6000000);
    capacity = report_arg(argc, argv, 2, 128);
    return skua_run(measure, NULL, NULL) < 0;
}
