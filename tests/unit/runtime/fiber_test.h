/* What the tests of fibers share. */
#ifndef FIBER_TEST_H
#define FIBER_TEST_H

#include <skua/skua.h>

#include "tests/unit/runtime/rt_test.h"

/* Values are addresses. */
static char a, b, c;

static inline skua_fiber *make(void *(*fn)(void *), void *arg)
{
    skua_fiber *f = NULL;
    SKT_EQ(skua_fiber_new(&f, fn, arg, 0), 0);
    SKT_NOT_NULL(f);
    return f;
}

static inline void *give_back(void *value)
{
    return value;
}

/* Switches back and forth with its maker, and returns what it got last. */
static inline void *bounce(void *value)
{
    skua_fiber *parent = skua_fiber_parent();
    while (value != &c)
        value = skua_fiber_switch(parent, value);
    return value;
}

#endif
