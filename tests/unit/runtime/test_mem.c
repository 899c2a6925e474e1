/* tests/unit/runtime/test_mem.c - the seam to the allocator. */
#include "runtime/base/mem.h"

#include "tests/support/skt.h"

/* Goal: what is asked for zeroed or aligned is so; what is freed may be NULL. */
SKT_TEST(mem, allocates)
{
    unsigned char *p = sk_mem_alloc(100);
    SKT_NOT_NULL(p);
    memset(p, 7, 100);
    p = sk_mem_realloc(p, 1000);
    SKT_NOT_NULL(p);
    for (int i = 0; i < 100; i++)
        SKT_EQ(p[i], 7);
    sk_mem_free(p);
    sk_mem_free(NULL);
    p = sk_mem_zalloc(300);
    SKT_NOT_NULL(p);
    for (int i = 0; i < 300; i++)
        SKT_EQ(p[i], 0);
    sk_mem_free(p);
}

/* Goal: every alignment, also for sizes that are no multiple of it. */
SKT_TEST(mem, aligns)
{
    for (size_t alignment = 16; alignment <= 65536; alignment *= 4) {
        for (size_t bytes = 1; bytes < 300; bytes += 97) {
            unsigned char *p = sk_mem_zalloc_aligned(alignment, bytes);
            SKT_NOT_NULL(p);
            SKT_EQ((uintptr_t)p % alignment, 0u);
            for (size_t i = 0; i < bytes; i++)
                SKT_EQ(p[i], 0);
            sk_mem_free(p);
        }
    }
}

/* Goal: the n-th allocation from now fails, and that one alone. */
SKT_TEST(mem, fails_on_request)
{
    for (long n = 1; n <= 4; n++) {
        sk_mem_fail_after(n);
        for (long i = 1; i <= 6; i++) {
            void *p = i % 2 != 0 ? sk_mem_alloc(8) : sk_mem_zalloc_aligned(64, 64);
            SKT_EQ(p == NULL, i == n);
            sk_mem_free(p);
        }
    }
    sk_mem_fail_after(1);
    SKT_NULL(sk_mem_zalloc(8));
    void *p = sk_mem_alloc(8);
    sk_mem_fail_after(1);
    SKT_NULL(sk_mem_realloc(p, 16)); /* and p is still there */
    sk_mem_free(p);
    sk_mem_fail_after(1);
    sk_mem_fail_after(0);
    p = sk_mem_alloc(8);
    SKT_NOT_NULL(p);
    sk_mem_free(p);
}
