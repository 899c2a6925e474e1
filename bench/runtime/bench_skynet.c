/* bench/runtime/bench_skynet.c - a tree of coroutines, ten children each. Unit: ns per coroutine.
 * */
#include <skua/skua.h>

#include "bench/shim/skb.h"

enum { CHILDREN = 10 };

struct node {
    long first, size, sum;
};

static int skynet(void *arg)
{
    struct node *self = arg;
    if (self->size == 1) {
        self->sum = self->first;
        return 0;
    }
    struct node children[CHILDREN];
    long size = self->size / CHILDREN;
    skua_scope scope;
    int rc = skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    if (rc < 0)
        return rc;
    for (int i = 0; i < CHILDREN && rc == 0; i++) {
        children[i] = (struct node){self->first + i * size, size, 0};
        rc = skua_spawn(&scope, skynet, &children[i]);
    }
    int closed = skua_scope_close(&scope, SKUA_NEVER);
    if (rc < 0 || closed < 0)
        return rc < 0 ? rc : closed;
    self->sum = 0;
    for (int i = 0; i < CHILDREN; i++)
        self->sum += children[i].sum;
    return 0;
}

SKB_BENCH("skynet", .workers = {1, 2}, .arg_names = {"leaves"}, .args = {{1000}, {1000000}},
          .arg_rows = 2)
{
    long leaves = skb_arg(b, 0);
    while (skb_next(b)) {
        struct node root = {0, leaves, 0};
        int rc = skynet(&root);
        if (rc < 0 || root.sum != leaves * (leaves - 1) / 2) {
            skb_skip(b, "wrong sum");
            return;
        }
    }
    skb_items(b, (uint64_t)(leaves * CHILDREN - 1) / (CHILDREN - 1)); /* 1 + 10 + ... + leaves */
}
