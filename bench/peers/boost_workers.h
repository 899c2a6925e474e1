// bench/peers/boost_workers.h - Boost.Fiber on so many threads, of which the caller is one: with its
// default scheduler on one, with its work-stealing one on more.
#ifndef SKUA_BENCH_PEERS_BOOST_WORKERS_H
#define SKUA_BENCH_PEERS_BOOST_WORKERS_H

#include <mutex>
#include <thread>
#include <vector>

#include <boost/fiber/algo/work_stealing.hpp>
#include <boost/fiber/all.hpp>

class boost_workers
{
  public:
    explicit boost_workers(unsigned count)
    {
        if (count == 1)
            return;
        for (unsigned i = 1; i < count; i++)
            threads.emplace_back([this, count] { serve(count); });
        boost::fibers::use_scheduling_algorithm<boost::fibers::algo::work_stealing>(count);
    }

    ~boost_workers()
    {
        {
            std::lock_guard<boost::fibers::mutex> lock(guard);
            over = true;
        }
        ended.notify_all();
        for (auto &thread : threads)
            thread.join();
    }

  private:
    void serve(unsigned count)
    {
        boost::fibers::use_scheduling_algorithm<boost::fibers::algo::work_stealing>(count);
        std::unique_lock<boost::fibers::mutex> lock(guard);
        ended.wait(lock, [this] { return over; });
    }

    std::vector<std::thread> threads;
    boost::fibers::mutex guard;
    boost::fibers::condition_variable_any ended;
    bool over = false;
};

#endif
