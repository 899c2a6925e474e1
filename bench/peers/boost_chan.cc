// boost_chan [WORKERS [PAIRS [N [CAPACITY]]]] - N messages of 8 bytes through one channel, split among
// PAIRS producers and as many consumers (default 1); an operation is one message. CAPACITY is a power
// of two here, and one less is what the channel holds.
#include <string>

#include "boost_workers.h"
#include "report.h"

using channel = boost::fibers::buffered_channel<uint64_t>;
using boost::fibers::fiber;

static uint64_t pairs, messages, capacity;

static void produce(channel &c, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++)
        c.push(i);
}

static void consume(channel &c, uint64_t &sum)
{
    uint64_t own = 0;
    for (uint64_t v : c)
        own += v;
    sum = own;
}

static bool pass(uint64_t count)
{
    channel c(capacity);
    std::vector<fiber> producers, consumers;
    std::vector<uint64_t> sums(pairs);
    for (uint64_t i = 0; i < pairs; i++) {
        uint64_t first = count * i / pairs, end = count * (i + 1) / pairs;
        producers.emplace_back([&c, first, end] { produce(c, first, end); });
        consumers.emplace_back([&c, &sums, i] { consume(c, sums[i]); });
    }
    for (fiber &producer : producers)
        producer.join();
    c.close();
    for (fiber &consumer : consumers)
        consumer.join();
    uint64_t sum = 0;
    for (uint64_t own : sums)
        sum += own;
    return report_sum_is_right(sum, count);
}

int main(int argc, char **argv)
{
    unsigned workers = static_cast<unsigned>(report_arg(argc, argv, 1, 1));
    pairs = report_arg(argc, argv, 2, 1);
    messages = report_arg(argc, argv, 3, 40000000);
    capacity = report_arg(argc, argv, 4, 128);
    std::string name = "chan_" + std::to_string(pairs) + "p" + std::to_string(pairs) + "c";
    boost_workers threads(workers);
    bool right = pass(messages / 10); // a warm-up
    int64_t begin = report_now_ns();
    right = right && pass(messages);
    if (right)
        report_ns("boost", name.c_str(), workers, report_now_ns() - begin, messages);
    return !right;
}
