/* skua_skynet [ROUNDS] - a tree of 1,111,111 coroutines, ten children each, a million leaves; an
 * operation is one. */
#include <skua/skua.h>

#include "report.h"

enum { CHILDREN = 10, LEAVES = 1000000, TASKS = 1111111 };

struct node {
    long first, size, sum;
};

static uint64_t rounds;

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
    long sum = 0;
    for (int i = 0; i < CHILDREN; i++)
        sum += children[i].sum;
    self->sum = sum;
    return 0;
}

static int measure(void *arg)
{
    (void)arg;
    struct node warm = {0, LEAVES / CHILDREN, 0};
    int rc = skynet(&warm); /* as tbb_skynet does */
    int64_t begin = report_now_ns();
    for (uint64_t i = 0; i < rounds && rc == 0; i++) {
        struct node root = {0, LEAVES, 0};
        rc = skynet(&root);
        if (rc == 0 && root.sum != 499999500000)
            rc = -1;
    }
    if (rc == 0)
        report_ns("skua", "skynet", skua_workers(), report_now_ns() - begin, rounds * TASKS);
    return rc;
}

int main(int argc, char **argv)
{
    rounds = report_arg(argc, argv, 1, 5);
    return skua_run(measure, NULL, NULL) < 0;
}
