/* What the tests of generators share. */
#ifndef GEN_TEST_H
#define GEN_TEST_H

#include <skua/skua.h>

#include "tests/unit/runtime/rt_test.h"

static inline skua_gen *make(int (*fn)(skua_gen *, void *), void *arg, size_t out_size,
                             size_t in_size)
{
    skua_gen *g = NULL;
    SKT_EQ(skua_gen_new(&g, fn, arg, out_size, in_size), 0);
    SKT_NOT_NULL(g);
    return g;
}

/* Yields 0 .. n-1. */
static inline int count(skua_gen *g, void *n)
{
    int rc = 0;
    for (int64_t i = 0; i < (intptr_t)n && rc == 0; i++)
        rc = skua_gen_yield(g, &i, NULL);
    return rc;
}

#endif
