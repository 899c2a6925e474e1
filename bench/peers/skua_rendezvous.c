/* skua_rendezvous [N] - two coroutines play ping-pong by two channels without a buffer; an operation
 * is one round trip. */
#include <skua/skua.h>

#include "report.h"

struct table {
    skua_chan *there, *back;
    uint64_t rounds;
};

static int answer(void *arg)
{
    const struct table *t = arg;
    uint64_t v;
    while (skua_chan_recv(t->there, &v, SKUA_NEVER) == 0) {
        int rc = skua_chan_send(t->back, &v, SKUA_NEVER);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int play(const struct table *t)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < t->rounds; i++) {
        uint64_t v = 0;
        int rc = skua_chan_send(t->there, &i, SKUA_NEVER);
        if (rc == 0)
            rc = skua_chan_recv(t->back, &v, SKUA_NEVER);
        if (rc < 0)
            return rc;
        sum += v;
    }
    skua_chan_close(t->there);
    return report_sum_is_right(sum, t->rounds) ? 0 : -EIO;
}

static int rendezvous(uint64_t rounds)
{
    struct table t = {.rounds = rounds};
    skua_scope scope;
    skua_chan_new(&t.there, sizeof(uint64_t), 0, 0);
    skua_chan_new(&t.back, sizeof(uint64_t), 0, 0);
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    report_must(skua_spawn(&scope, answer, &t));
    int rc = play(&t);
    if (rc < 0)
        skua_scope_cancel(&scope);
    int failure = skua_scope_close(&scope, SKUA_NEVER);
    skua_chan_unref(t.there);
    skua_chan_unref(t.back);
    return rc < 0 ? rc : failure;
}

static int measure(void *arg)
{
    uint64_t rounds = *(const uint64_t *)arg;
    int rc = rendezvous(rounds / 10); /* a warm-up */
    int64_t begin = report_now_ns();
    if (rc == 0)
        rc = rendezvous(rounds);
    if (rc == 0)
        report_ns("skua", "rendezvous", skua_workers(), report_now_ns() - begin, rounds);
    return rc;
}

int main(int argc, char **argv)
{
    uint64_t rounds = report_arg(argc, argv, 1, 5000000);
    return skua_run(measure, &rounds, NULL) < 0;
}
