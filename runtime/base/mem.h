/* runtime/base/mem.h - the seam to the allocator: the program's malloc, which is jemalloc's in a
 * program that links it (ADR 0016). Everything skua allocates on the heap goes through here, so that
 * tests can make it fail. */
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

/* Whole pages from the system, zero-filled, for what is large and lives as long as the runtime: an
 * allocator would keep it for ten seconds after each stop. alignment: a power of two, a page or more.
 * NULL when there is no memory. Any thread. */
void *sk_mem_map(size_t alignment, size_t bytes);
/* bytes as they were given to sk_mem_map; p may be NULL. */
void sk_mem_unmap(void *p, size_t bytes);

/* Prints on fd where malloc comes from: "skua: malloc is that of libjemalloc.so.2". */
void sk_mem_show(int fd);

/* For tests: the n-th allocation from now fails (1: the next one), 0 none. */
void sk_mem_fail_after(long n);

#endif
