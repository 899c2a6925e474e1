/* runtime/base/mem.h - the seam to the allocator: jemalloc where it is linked, else the C
 * library's. Everything skua allocates on the heap goes through here, so that tests can make it
 * fail. */
#ifndef SK_RUNTIME_BASE_MEM_H
#define SK_RUNTIME_BASE_MEM_H

#include <stddef.h>

/* NULL when there is no memory. Any thread. */
void *sk_mem_alloc(size_t bytes);
void *sk_mem_zalloc(size_t bytes);
/* alignment: a power of two; zero-filled. */
void *sk_mem_zalloc_aligned(size_t alignment, size_t bytes);
void *sk_mem_realloc(void *p, size_t bytes);
void sk_mem_free(void *p);

/* For tests: the n-th allocation from now fails (1: the next one), 0 none. */
void sk_mem_fail_after(long n);

#endif
