/* skua_fiber [N] - two fibers switch to each other N times each; an operation is one switch. */
#include <skua/skua.h>

#include "report.h"

static uint64_t rounds;
static skua_fiber *fibers[2];

static void *switcher(void *other)
{
    skua_fiber **to = other;
    for (uint64_t i = 0; i < rounds; i++)
        skua_fiber_switch(*to, NULL);
    return NULL;
}

static int measure(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++)
        if (skua_fiber_new(&fibers[i], switcher, &fibers[1 - i], 0) < 0)
            return -1;
    int64_t begin = report_now_ns();
    skua_fiber_switch(fibers[0], NULL);
    report_ns("skua", "fiber", skua_workers(), report_now_ns() - begin, 2 * rounds);
    for (int i = 0; i < 2; i++)
        skua_fiber_free(fibers[i]);
    return 0;
}

int main(int argc, char **argv)
{
    rounds = report_arg(argc, argv, 1, 20000000);
    return skua_run(measure, NULL, NULL) < 0;
}
