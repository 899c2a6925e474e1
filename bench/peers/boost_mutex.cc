// boost_mutex [N] - one fiber locks and unlocks a mutex that nobody else wants; an operation is both.
#include <boost/fiber/mutex.hpp>

#include "report.h"

static void lock_and_unlock(uint64_t rounds)
{
    boost::fibers::mutex m;
    for (uint64_t i = 0; i < rounds; i++) {
        m.lock();
        m.unlock();
    }
}

int main(int argc, char **argv)
{
    uint64_t rounds = report_arg(argc, argv, 1, 100000000);
    lock_and_unlock(rounds / 10); // a warm-up
    int64_t begin = report_now_ns();
    lock_and_unlock(rounds);
    report_ns("boost", "mutex", 1, report_now_ns() - begin, rounds);
    return 0;
}
