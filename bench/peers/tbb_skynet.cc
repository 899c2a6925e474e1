// tbb_skynet [WORKERS [ROUNDS]] - a tree of 1,111,111 tasks on oneTBB, ten children each, a million
// leaves; an operation is one task.
#include <tbb/global_control.h>
#include <tbb/task_group.h>

#include "report.h"

static long skynet(long first, long size)
{
    if (size == 1)
        return first;
    long results[10];
    tbb::task_group group;
    for (int i = 0; i < 10; i++)
        group.run([&results, i, first, size] {
            results[i] = skynet(first + i * (size / 10), size / 10);
        });
    group.wait();
    long sum = 0;
    for (long result : results)
        sum += result;
    return sum;
}

int main(int argc, char **argv)
{
    unsigned workers = (unsigned)report_arg(argc, argv, 1, 1);
    uint64_t rounds = report_arg(argc, argv, 2, 5);
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, workers);
    skynet(0, 100000); // the workers' threads start here, not in the measurement
    int64_t begin = report_now_ns();
    for (uint64_t i = 0; i < rounds; i++)
        if (skynet(0, 1000000) != 499999500000)
            return 1;
    report_ns("tbb", "skynet", workers, report_now_ns() - begin, rounds * 1111111);
    return 0;
}
