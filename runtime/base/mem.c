#include "runtime/base/mem.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/atomic.h"
#include "runtime/base/log.h"
#include "runtime/base/sanitizer.h"
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
    sk_san_root(aligned, wanted,
                true); /* records, queues, workers: what they point to is no leak */
    return aligned;
}

void sk_mem_unmap(void *p, size_t bytes)
{
    if (p == NULL)
        return;
    sk_san_root(p, round_up(bytes, PAGE_BYTES), false);
    sk_sys.munmap(p, round_up(bytes, PAGE_BYTES));
}

/* malloc alone, never mallocx: a program that links libjemalloc has it behind malloc, and libskua.so must
 * not need a library that cannot be loaded at run time (ADR 0016). */

void *sk_mem_alloc(size_t bytes)
{
    return must_fail() ? NULL : malloc(bytes != 0 ? bytes : 1);
}

void *sk_mem_zalloc(size_t bytes)
{
    return must_fail() ? NULL : calloc(1, bytes != 0 ? bytes : 1);
}

void *sk_mem_zalloc_aligned(size_t alignment, size_t bytes)
{
    size_t rounded = round_up(bytes != 0 ? bytes : 1, alignment);
    void *p = must_fail() ? NULL : aligned_alloc(alignment, rounded);
    if (p != NULL)
        memset(p, 0, rounded);
    return p;
}

void *sk_mem_realloc(void *p, size_t bytes)
{
    return must_fail() ? NULL : realloc(p, bytes != 0 ? bytes : 1);
}

void sk_mem_free(void *p)
{
    free(p);
}

/* jemalloc's own, which is there where the program links it. */
extern int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes)
    __attribute__((weak));

/* A static program has no file that malloc comes from. */
void sk_mem_show(int fd)
{
    char line[320];
    Dl_info from;
    bool found = dladdr((void *)(uintptr_t)malloc, &from) != 0 && from.dli_fname != NULL;
    const char *slash = found ? strrchr(from.dli_fname, '/') : NULL;
    int n;
    if (found)
        n = snprintf(line, sizeof(line), "skua: malloc is that of %.256s\n",
                     slash != NULL ? slash + 1 : from.dli_fname);
    else
        n = snprintf(line, sizeof(line), "skua: malloc is %s\n",
                     mallctl != NULL ? "jemalloc's" : "the program's own");
    sk_log_write(fd, line, (size_t)n);
}
