#include "runtime/base/rand.h"

void sk_rand_seed(struct sk_rand *r, uint64_t seed)
{
    r->state = seed * UINT64_C(0x9E3779B97F4A7C15) + UINT64_C(0xD1B54A32D192ED03);
    if (r->state == 0)
        r->state = 1;
}
