// boost_rendezvous [WORKERS [N]] - two fibers play ping-pong by two channels without a buffer; an
// operation is one round trip.
#include "boost_workers.h"
#include "report.h"

using channel = boost::fibers::unbuffered_channel<uint64_t>;

static bool rendezvous(uint64_t rounds)
{
    channel there, back;
    boost::fibers::fiber other([&] {
        for (uint64_t v : there)
            back.push(v);
    });
    uint64_t sum = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        there.push(i);
        sum += back.value_pop();
    }
    there.close();
    other.join();
    return report_sum_is_right(sum, rounds);
}

int main(int argc, char **argv)
{
    unsigned workers = static_cast<unsigned>(report_arg(argc, argv, 1, 1));
    uint64_t rounds = report_arg(argc, argv, 2, 5000000);
    boost_workers threads(workers);
    bool right = rendezvous(rounds / 10); // a warm-up
    int64_t begin = report_now_ns();
    right = right && rendezvous(rounds);
    if (right)
        report_ns("boost", "rendezvous", workers, report_now_ns() - begin, rounds);
    return !right;
}
