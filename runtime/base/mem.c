#include "runtime/base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifdef SK_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#include "runtime/base/atomic.h"

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
