/* skua_chan_batch [N [CAPACITY]] - N messages of 8 bytes from one coroutine to another, sent and
 * received 64 at a time; an operation is one message. */
#include <skua/skua.h>

#include "report.h"

enum { BATCH = 64 };

static uint64_t messages, capacity;

struct pipe {
    skua_chan *c;
    uint64_t count, sum;
};

static int produce(void *arg)
{
    const struct pipe *p = arg;
    uint64_t batch[BATCH];
    for (uint64_t i = 0; i < p->count;) {
        size_t n = 0;
        while (n < BATCH && i < p->count)
            batch[n++] = i++;
        ssize_t sent = skua_chan_send_n(p->c, batch, n, SKUA_NEVER);
        if (sent != (ssize_t)n)
            return sent < 0 ? (int)sent : -EIO;
    }
    return skua_chan_close(p->c);
}

static int consume(void *arg)
{
    struct pipe *p = arg;
    uint64_t batch[BATCH], sum = 0;
    ssize_t n;
    while ((n = skua_chan_recv_n(p->c, batch, BATCH, SKUA_NEVER)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum += batch[i];
    }
    p->sum = sum;
    return 0;
}

static int pass(uint64_t count)
{
    struct pipe p = {.count = count};
    skua_scope scope;
    int rc = skua_chan_new(&p.c, sizeof(uint64_t), capacity, 0);
    if (rc < 0)
        return rc;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    report_must(skua_spawn(&scope, produce, &p));
    report_must(skua_spawn(&scope, consume, &p));
    rc = skua_scope_close(&scope, SKUA_NEVER);
    skua_chan_unref(p.c);
    if (rc < 0)
        return rc;
    return report_sum_is_right(p.sum, count) ? 0 : -EIO;
}

static int measure(void *arg)
{
    (void)arg;
    int rc = pass(messages / 10); /* a warm-up */
    int64_t begin = report_now_ns();
    if (rc == 0)
        rc = pass(messages);
    if (rc == 0)
        report_ns("skua", "chan_batch", skua_workers(), report_now_ns() - begin, messages);
    return rc;
}

int main(int argc, char **argv)
{
    messages = report_arg(argc, argv, 1, 40000000);
    capacity = report_arg(argc, argv, 2, 128);
    return skua_run(measure, NULL, NULL) < 0;
}
