/* tests/unit/runtime/test_rand.c - cheap random numbers. */
#include "runtime/base/rand.h"

#include "tests/support/skt.h"

enum { DRAWS = 4096, BUCKETS = 16 };

/* Goal: every seed, 0 too, gives a stream that reaches all of a small range. */
SKT_TEST(rand, spreads)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct sk_rand r;
        unsigned hits[BUCKETS] = {0};
        sk_rand_seed(&r, seed);
        for (int i = 0; i < DRAWS; i++)
            hits[sk_rand_next(&r) % BUCKETS]++;
        for (int i = 0; i < BUCKETS; i++)
            SKT_BETWEEN(hits[i], DRAWS / BUCKETS / 2, DRAWS / BUCKETS * 2);
    }
}

/* Goal: one seed, one stream; two seeds, two. */
SKT_TEST(rand, seeds)
{
    struct sk_rand a, b, c;
    int differ = 0;
    sk_rand_seed(&a, 7);
    sk_rand_seed(&b, 7);
    sk_rand_seed(&c, 8);
    for (int i = 0; i < 100; i++) {
        uint32_t next = sk_rand_next(&a);
        SKT_EQ(next, sk_rand_next(&b));
        differ += next != sk_rand_next(&c);
    }
    SKT_GT(differ, 90);
}
