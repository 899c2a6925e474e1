/* runtime/base/rand.h - cheap random numbers for the order in which victims are tried; not for
 * secrets. */
#ifndef SK_RUNTIME_BASE_RAND_H
#define SK_RUNTIME_BASE_RAND_H

#include <stdint.h>

struct sk_rand {
    uint64_t state; /* never 0 */
};

void sk_rand_seed(struct sk_rand *r, uint64_t seed);

/* xorshift64*: 0 .. 2^32 - 1. Owner only. */
static inline uint32_t sk_rand_next(struct sk_rand *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (uint32_t)((r->state * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
}

#endif
