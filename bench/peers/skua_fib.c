/* skua_fib [N] - fork/join without a cut-off; an operation is one spawned coroutine. The same shape
 * as tbb_fib: one half is spawned, the other is called. */
#include <skua/skua.h>

#include "report.h"

struct fib {
    int n;
    long r;
};

static int fib(void *arg)
{
    struct fib *f = arg;
    if (f->n < 2) {
        f->r = f->n;
        return 0;
    }
    struct fib a = {f->n - 1, 0};
    struct fib b = {f->n - 2, 0};
    skua_scope scope;
    int rc = skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    if (rc < 0)
        return rc;
    int spawned = skua_spawn(&scope, fib, &a);
    int called = fib(&b);
    int closed = skua_scope_close(&scope, SKUA_NEVER);
    f->r = a.r + b.r;
    return spawned < 0 ? spawned : called < 0 ? called : closed;
}

static long plain_fib(int n)
{
    return n < 2 ? n : plain_fib(n - 1) + plain_fib(n - 2);
}

static int measure(void *arg)
{
    struct fib warm = {20, 0};
    struct fib f = {*(int *)arg, 0};
    int rc = fib(&warm); /* as tbb_fib does */
    int64_t begin = report_now_ns();
    if (rc == 0)
        rc = fib(&f);
    int64_t took = report_now_ns() - begin;
    if (rc < 0 || f.r != plain_fib(f.n)) {
        fprintf(stderr, "skua_fib: result %d, sum %ld\n", rc, f.r);
        return rc < 0 ? rc : -1;
    }
    report_ns("skua", "fib", skua_workers(), took, (uint64_t)plain_fib(f.n + 1) - 1);
    return 0;
}

int main(int argc, char **argv)
{
    int n = (int)report_arg(argc, argv, 1, 35);
    return skua_run(measure, &n, NULL) < 0;
}
