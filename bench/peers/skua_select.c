/* skua_select [N [CAPACITY]] - one coroutine selects over four channels that always hold something:
 * it sends back what it got. An operation is one select and that send. */
#include <skua/skua.h>

#include "report.h"

enum { CHANNELS = 4 };

static uint64_t selects, capacity;

static int fill(skua_chan *c)
{
    uint64_t one = 1;
    int rc = 0;
    for (uint64_t i = 0; i < capacity && rc == 0; i++)
        rc = skua_chan_send(c, &one, SKUA_NEVER);
    return rc;
}

static int select_often(skua_chan **c, uint64_t count)
{
    uint64_t v[CHANNELS], sum = 0;
    skua_case cases[CHANNELS];
    for (int i = 0; i < CHANNELS; i++)
        cases[i] = (skua_case){.op = SKUA_RECV, .obj = c[i], .val = &v[i]};
    for (uint64_t n = 0; n < count; n++) {
        int i = skua_select(cases, CHANNELS, 0, SKUA_NEVER);
        if (i < 0 || cases[i].res < 0)
            return i < 0 ? i : cases[i].res;
        sum += v[i];
        int rc = skua_chan_send(c[i], &v[i], SKUA_NEVER);
        if (rc < 0)
            return rc;
    }
    return sum == count ? 0 : -EIO;
}

static int run(uint64_t count)
{
    skua_chan *c[CHANNELS];
    int rc = 0;
    for (int i = 0; i < CHANNELS && rc == 0; i++) {
        rc = skua_chan_new(&c[i], sizeof(uint64_t), capacity, 0);
        if (rc == 0)
            rc = fill(c[i]);
    }
    if (rc < 0)
        return rc;
    rc = select_often(c, count);
    for (int i = 0; i < CHANNELS; i++)
        skua_chan_unref(c[i]);
    return rc;
}

static int measure(void *arg)
{
    (void)arg;
    int rc = run(selects / 10); /* a warm-up */
    int64_t begin = report_now_ns();
    if (rc == 0)
        rc = run(selects);
    if (rc == 0)
        report_ns("skua", "select4", skua_workers(), report_now_ns() - begin, selects);
    return rc;
}

int main(int argc, char **argv)
{
    selects = report_arg(argc, argv, 1, 10000000);
    capacity = report_arg(argc, argv, 2, 128);
    return skua_run(measure, NULL, NULL) < 0;
}
