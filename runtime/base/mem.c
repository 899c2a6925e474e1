#include "runtime/base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef SK_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#include "runtime/base/atomic.h"
#include "runtime/base/sys.h"

enum { PAGE_BYTES = 4096 };

static _Atomic(long) x_fail_after;

static bool must_fail(void)
{
    if (sk_load_relaxed(&x_fail_after) == 0)
        return false;
    return sk_add_relaxed(&x_fail_after, -1) == 1;
}

void sk_mem_fail_after(long n)
{
    sk_store_relaxed(&x_fail_after, n);
}

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) & ~(unit - 1);
}

void *sk_mem_map(size_t alignment, size_t bytes)
{
    size_t wanted = round_up(bytes, PAGE_BYTES), spare = alignment - PAGE_BYTES;
    if (must_fail())
        return NULL;
    char *p = sk_sys.mmap(NULL, wanted + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                          -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    char *aligned = (char *)round_up((size_t)(uintptr_t)p, alignment);
    size_t before = (size_t)(aligned - p);
    if (before > 0)
        sk_sys.munmap(p, before);
    if (before < spare)
        sk_sys.munmap(aligned + wanted, spare - before);
    return aligned;
}

void sk_mem_unmap(void *p, size_t bytes)
{
    if (p != NULL)
        sk_sys.munmap(p, round_up(bytes, PAGE_BYTES));
}

#ifdef SK_JEMALLOC

/* By jemalloc's own names: in a program that links a shared skua the plain ones are the C
 * library's. */
static void *allocate(size_t bytes, int flags)
{
    return must_fail() ? NULL : mallocx(bytes != 0 ? bytes : 1, flags);
}

void *sk_mem_alloc(size_t bytes)
{
    return allocate(bytes, 0);
}

void *sk_mem_zalloc(size_t bytes)
{
    return allocate(bytes, MALLOCX_ZERO);
}

void *sk_mem_zalloc_aligned(size_t alignment, size_t bytes)
{
    return allocate(bytes, MALLOCX_ZERO | MALLOCX_ALIGN(alignment));
}

void *sk_mem_realloc(void *p, size_t bytes)
{
    if (p == NULL)
        return allocate(bytes, 0);
    return must_fail() ? NULL : rallocx(p, bytes, 0);
}

void sk_mem_free(void *p)
{
    if (p != NULL)
        dallocx(p, 0);
}

#else

void *sk_mem_alloc(size_t bytes)
{
    return must_fail() ? NULL : malloc(bytes);
}

void *sk_mem_zalloc(size_t bytes)
{
    return must_fail() ? NULL : calloc(1, bytes);
}

void *sk_mem_zalloc_aligned(size_t alignment, size_t bytes)
{
    size_t rounded = (bytes + alignment - 1) & ~(alignment - 1);
    void *p = must_fail() ? NULL : aligned_alloc(alignment, rounded);
    if (p != NULL)
        memset(p, 0, rounded);
    return p;
}

void *sk_mem_realloc(void *p, size_t bytes)
{
    return must_fail() ? NULL : realloc(p, bytes);
}

void sk_mem_free(void *p)
{
    free(p);
}

#endif
