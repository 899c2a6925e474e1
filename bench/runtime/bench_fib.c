/* bench/runtime/bench_fib.c - fork/join without a cut-off. Unit: ns per spawned coroutine. */
#include <skua/skua.h>

#include "bench/shim/skb.h"

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
    struct fib other = {f->n - 2, 0};
    skua_scope scope;
    int rc = skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    if (rc < 0)
        return rc;
    int spawned = skua_spawn(&scope, fib, &a);
    int called = fib(&other);
    int closed = skua_scope_close(&scope, SKUA_NEVER);
    f->r = a.r + other.r;
    return spawned < 0 ? spawned : called < 0 ? called : closed;
}

static long plain_fib(int n)
{
    return n < 2 ? n : plain_fib(n - 1) + plain_fib(n - 2);
}

SKB_BENCH("fib", .workers = {1, 2}, .arg_names = {"n"}, .args = {{20}, {27}}, .arg_rows = 2)
{
    int n = (int)skb_arg(b, 0);
    long expected = plain_fib(n);
    while (skb_next(b)) {
        struct fib f = {n, 0};
        int rc = fib(&f);
        if (rc < 0 || f.r != expected) {
            skb_skip(b, "wrong sum");
            return;
        }
    }
    skb_items(b, (uint64_t)plain_fib(n + 1) - 1);
}
