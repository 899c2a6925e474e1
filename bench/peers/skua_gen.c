/* skua_gen [N] - N values of 8 bytes out of a generator; an operation is one next with its yield. */
#include <skua/skua.h>

#include "report.h"

static uint64_t rounds;

static int count(skua_gen *g, void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < rounds; i++)
        if (skua_gen_yield(g, &i, NULL) < 0)
            return -1;
    return 0;
}

static int measure(void *arg)
{
    (void)arg;
    skua_gen *g;
    uint64_t value, sum = 0;
    if (skua_gen_new(&g, count, NULL, sizeof(value), 0) < 0)
        return -1;
    int64_t begin = report_now_ns();
    while (skua_gen_next(g, NULL, &value) == 1)
        sum += value;
    report_ns("skua", "gen", skua_workers(), report_now_ns() - begin, rounds);
    skua_gen_free(g);
    return report_sum_is_right(sum, rounds) ? 0 : -1;
}

int main(int argc, char **argv)
{
    rounds = report_arg(argc, argv, 1, 20000000);
    return skua_run(measure, NULL, NULL) < 0;
}
