/* tests/unit/sync/future_test.h - what the tests of futures share. */
#ifndef FUTURE_TEST_H
#define FUTURE_TEST_H

#include <skua/future.h>

#include "tests/unit/sync/sync_test.h"

static inline skua_future *ft_make(size_t size)
{
    skua_future *f = NULL;
    SKT_EQ(skua_future_new(&f, size), 0);
    SKT_NOT_NULL(f);
    return f;
}

static inline skua_task *ft_spawn(skua_scope *s, int (*fn)(void *), void *arg)
{
    skua_task *task = NULL;
    SKT_EQ(skua_spawn_opts(s, fn, arg, NULL, &task), 0);
    return task;
}

#endif
