// tbb_fib [WORKERS [N]] - fork/join without a cut-off on oneTBB; an operation is one spawned task.
#include <tbb/global_control.h>
#include <tbb/task_group.h>

#include "report.h"

static long fib(int n)
{
    if (n < 2)
        return n;
    long a;
    tbb::task_group group;
    group.run([&a, n] { a = fib(n - 1); });
    long b = fib(n - 2);
    group.wait();
    return a + b;
}

static long plain_fib(int n)
{
    return n < 2 ? n : plain_fib(n - 1) + plain_fib(n - 2);
}

int main(int argc, char **argv)
{
    unsigned workers = (unsigned)report_arg(argc, argv, 1, 1);
    int n = (int)report_arg(argc, argv, 2, 35);
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, workers);
    fib(20); // the workers' threads start here, not in the measurement
    int64_t begin = report_now_ns();
    long sum = fib(n);
    int64_t took = report_now_ns() - begin;
    if (sum != plain_fib(n))
        return 1;
    report_ns("tbb", "fib", workers, took, (uint64_t)plain_fib(n + 1) - 1);
    return 0;
}
