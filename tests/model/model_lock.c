/* tests/model/model_lock.c - the spin lock: one holder at a time, who sees what the last one did. */
#include "runtime/base/lock.h"

#include "tests/model/explore.h"

static struct {
    struct sk_lock lock;
    int count;
} m;

static void add_two(void)
{
    for (unsigned i = 0; i < 2; i++) {
        sk_lock(&m.lock);
        m.count++;
        sk_unlock(&m.lock);
    }
}

static void add_one(void)
{
    sk_lock(&m.lock);
    m.count++;
    sk_unlock(&m.lock);
}

static void check_four(void)
{
    model_assert(m.count == 4);
}

MODEL(lock, .state = &m, .state_bytes = sizeof(m), .threads = {add_two, add_one, add_one},
      .check = check_four)
