// bench/shim/shim.cc - the C face of Google Benchmark: see skb.h.
// Nothing here knows what a coroutine is: skb_runtime.c does, and it knows nothing of C++.
#include "bench/shim/skb.h"

#include <benchmark/benchmark.h>

#include <string.h>
#include <string>
#include <vector>

namespace
{

struct skb_def *first;
struct skb_def **last = &first;

benchmark::State &state_of(const struct skb *b)
{
    return *static_cast<benchmark::State *>(b->state);
}

void run(benchmark::State &state, const struct skb_def *def, unsigned workers)
{
    struct skb b = {0, &state};
    if (workers == 0) {
        def->body(&b);
        return;
    }
    int rc = skb_run_in_runtime(workers, def->body, &b);
    if (rc < 0) {
        std::string why = std::string("runtime: ") + strerror(-rc);
        skb_skip(&b, why.c_str());
    }
}

void add(const struct skb_def *def, unsigned workers)
{
    std::string name = def->name;
    if (workers > 0)
        name += "/workers:" + std::to_string(workers);
    auto *bench = benchmark::RegisterBenchmark(
        name.c_str(), [def, workers](benchmark::State &state) { run(state, def, workers); });
    bench->UseRealTime()->MeasureProcessCPUTime();
    if (def->iterations > 0)
        bench->Iterations(def->iterations);
    std::vector<std::string> names;
    for (const char *arg : def->arg_names)
        if (arg != nullptr)
            names.emplace_back(arg);
    for (unsigned row = 0; row < def->arg_rows; row++)
        bench->Args({def->args[row], def->args[row] + names.size()});
    if (!names.empty())
        bench->ArgNames(names);
}

} // namespace

void skb_register(struct skb_def *def)
{
    *last = def;
    last = &def->next;
}

// All iterations are taken as one batch, so that the count is kept on C's side.
bool skb_next_slow(struct skb *b)
{
    benchmark::State &state = state_of(b);
    auto batch = static_cast<uint64_t>(state.max_iterations);
    if (batch == 0 || !state.KeepRunningBatch(state.max_iterations))
        return false;
    b->left = batch - 1;
    return true;
}

int64_t skb_arg(const struct skb *b, unsigned column)
{
    return state_of(b).range(column);
}

void skb_items(struct skb *b, uint64_t per_iteration)
{
    benchmark::State &state = state_of(b);
    int64_t items = state.iterations() * static_cast<int64_t>(per_iteration);
    state.SetItemsProcessed(items);
    state.counters["per_item"] = benchmark::Counter(
        static_cast<double>(items), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void skb_counter(struct skb *b, const char *name, double value)
{
    state_of(b).counters[name] = value;
}

void skb_skip(struct skb *b, const char *why)
{
    b->left = 0;
    state_of(b).SkipWithError(why);
}

void skb_pause(struct skb *b)
{
    state_of(b).PauseTiming();
}

void skb_resume(struct skb *b)
{
    state_of(b).ResumeTiming();
}

int main(int argc, char **argv)
{
    for (const struct skb_def *def = first; def != nullptr; def = def->next) {
        if (def->workers[0] == 0)
            add(def, 0);
        for (unsigned i = 0; i < SKB_WORKERS && def->workers[i] > 0; i++)
            add(def, def->workers[i]);
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
