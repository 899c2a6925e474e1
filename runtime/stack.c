#include "runtime/stack.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/env.h"
#include "runtime/base/list.h"
#include "runtime/base/lock.h"
#include "runtime/base/log.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/base/sys.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

enum {
    PAGE_BYTES = 4096,
    HEADER_BYTES = 64,
    /* Slots of one mapping: as many VMAs for a thousand stacks as a program has anyway. */
    SLAB_SLOTS = 64,
    /* Stacks begin at different cache sets: with one and the same offset in their page a thousand
     * of them would share the few sets of the first-level cache that their top frames fall into. */
    COLOURS = 16,
    COLOUR_BYTES = 64,
    /* Mappings that are left to the program when guards cost one each. */
    MAPPINGS_LEFT = 8192,
    /* What a function may touch below its stack pointer. */
    RED_ZONE_BYTES = 128,
    /* A stack pointer that is further below a stack belongs to another one. */
    FRAME_MAX = 2 * SK_STACK_PROMISE_MAX,
    /* Stacks of plain threads that stay in the shared cache with the memory that they touched. */
    WARM_MAX = 64,
};

static_assert(sizeof(struct sk_stack) <= HEADER_BYTES, "the header has a cache line of its own");

struct sk_stack_slab {
    struct sk_list link;
    char *base;
    size_t bytes;
    unsigned live;   /* stacks made of it and not taken apart */
    unsigned guards; /* of them by mprotect */
};

static struct {
    struct sk_lock lock;
    size_t promised_bytes; /* 0: no runtime, and nobody has asked for a stack since the last one */
    size_t slot_bytes;
    size_t outside_bytes; /* what is promised without a runtime; 0: nobody has asked yet */
    bool guard_by_madvise;
    long guards_left; /* how many guards mprotect may still make */
    long guards_max;
    struct sk_stack *free;    /* of the default size */
    _Atomic(unsigned) x_free; /* how many, under the lock; read for a guess without */
    struct sk_list slabs;
    struct sk_stack_slab *newest; /* which has slots never used; NULL: none */
    unsigned fresh;               /* how many */
    unsigned colour;
    struct sk_log_limit said;
} pool = {.slabs = {&pool.slabs, &pool.slabs}};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void say_no_stack(const char *what, long value, const char *remedy)
{
    if (sk_log_may(&pool.said, sk_clock_now(), INT64_C(60000000000)))
        sk_log(SK_LOG_ERROR,
               "no stack for a coroutine: %s (%ld); %s; coroutines wait for one to come free", what,
               value, remedy);
}

/* A kernel, or an emulator, may take the advice and guard nothing: only a fault proves the
 * guard. */
static bool probe_guard(void)
{
    bool works = false;
    int ends[2];
    char *page =
        sk_sys.mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    if (sk_sys.madvise(page, PAGE_BYTES, MADV_GUARD_INSTALL) == 0 &&
        sk_sys_pipe(ends, O_CLOEXEC) == 0) {
        works = sk_sys.write(ends[1], page, 1) < 0 && errno == EFAULT;
        sk_sys.close(ends[0]);
        sk_sys.close(ends[1]);
    }
    sk_sys.munmap(page, PAGE_BYTES);
    return works;
}

static long read_max_map_count(void)
{
    char text[32];
    long value = 0;
    if (sk_sys_read_text("/proc/sys/vm/max_map_count", text, sizeof(text)) > 0 &&
        sscanf(text, "%ld", &value) == 1)
        return value;
    return 65530;
}

static size_t slot_bytes_for(size_t promised_bytes)
{
    size_t promise = 2 * PAGE_BYTES;
    while (promise < promised_bytes)
        promise *= 2;
    size_t room = promise < SK_STACK_GUARD_BYTES ? promise : SK_STACK_GUARD_BYTES;
    size_t least = promise + room + SK_STACK_GUARD_BYTES;
    return 2 * promise > least ? 2 * promise : least;
}

static void lock_pool(void)
{
    sk_lock(&pool.lock);
}

static void unlock_pool(void)
{
    sk_unlock(&pool.lock);
}

static void prepare_once(void)
{
    pool.guard_by_madvise = probe_guard(); /* the kernel stays the same */
    SK_CHECK(pthread_atfork(lock_pool, unlock_pool, unlock_pool) == 0);
}

/* ---- going away ---- */

/* What the sanitizers were told. */
static void untell(struct sk_stack *stack)
{
    sk_san_fiber_free(stack->tsan_fiber);
    sk_san_root(stack->low, stack->slot_bytes - SK_STACK_GUARD_BYTES, false);
    sk_san_unpoison(stack->slot, stack->slot_bytes);
}

static void unmap_slab_locked(struct sk_stack_slab *slab)
{
    sk_list_remove(&slab->link);
    pool.guards_left += slab->guards;
    sk_sys.munmap(slab->base, slab->bytes);
    sk_mem_free(slab);
}

/* The last one takes its slab along. */
static void take_apart_locked(struct sk_stack *stack)
{
    struct sk_stack_slab *slab = stack->slab;
    untell(stack);
    if (slab == NULL) {
        pool.guards_left += !pool.guard_by_madvise;
        sk_sys.munmap(stack->slot, stack->slot_bytes);
    } else if (--slab->live == 0 && slab != pool.newest) {
        unmap_slab_locked(slab);
    }
}

/* All that nobody holds. */
static void sweep_locked(void)
{
    struct sk_stack_slab *newest = pool.newest;
    pool.newest = NULL;
    pool.fresh = 0;
    if (newest != NULL && newest->live == 0)
        unmap_slab_locked(newest);
    while (pool.free != NULL) {
        struct sk_stack *stack = pool.free;
        pool.free = stack->next;
        take_apart_locked(stack);
    }
    sk_store_relaxed(&pool.x_free, 0u);
}

/* ---- slabs ---- */

static size_t slab_bytes(void)
{
    return pool.slot_bytes * SLAB_SLOTS;
}

static bool add_slab_locked(void)
{
    size_t bytes = slab_bytes();
    struct sk_stack_slab *slab = sk_mem_alloc(sizeof(*slab));
    if (slab == NULL)
        return false;
    char *base = sk_sys.mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) {
        sk_mem_free(slab);
        return false;
    }
    sk_sys.madvise(base, bytes,
                   MADV_NOHUGEPAGE); /* a huge page for each stack's top would cost 2 MiB each */
    *slab = (struct sk_stack_slab){.base = base, .bytes = bytes};
    sk_list_push_back(&pool.slabs, &slab->link);
    pool.newest = slab;
    pool.fresh = SLAB_SLOTS;
    return true;
}

/* ---- what is promised ---- */

static void count_guards_locked(long maps)
{
    long most = maps > 2 * MAPPINGS_LEFT ? (maps - MAPPINGS_LEFT) / 2 : maps / 4;
    pool.guards_left += most - pool.guards_max;
    pool.guards_max = most;
}

static void promise_locked(size_t promised_bytes)
{
    pool.promised_bytes = promised_bytes;
    pool.slot_bytes = promised_bytes != 0 ? slot_bytes_for(promised_bytes) : 0;
}

int sk_stack_start(size_t promised_bytes)
{
    pthread_once(&once, prepare_once);
    long maps = read_max_map_count();
    sk_lock(&pool.lock);
    sweep_locked();
    count_guards_locked(maps);
    promise_locked(promised_bytes);
    size_t bytes = slab_bytes();
    bool has_some = add_slab_locked(); /* or the first coroutine might wait for ever */
    if (!has_some)
        promise_locked(0);
    sk_unlock(&pool.lock);
    if (!has_some)
        sk_log(SK_LOG_ERROR,
               "cannot map the first stacks (%zu bytes): raise RLIMIT_AS (ulimit -v, LimitAS=) or "
               "vm.max_map_count, or lower SKUA_STACK_SIZE",
               bytes);
    return has_some ? 0 : -ENOMEM;
}

void sk_stack_stop(void)
{
    sk_lock(&pool.lock);
    sweep_locked();
    promise_locked(0);
    sk_unlock(&pool.lock);
}

int sk_stack_prepare(void)
{
    size_t bytes = 0;
    pthread_once(&once, prepare_once);
    sk_lock(&pool.lock);
    bool known =
        pool.outside_bytes != 0; /* a runtime that runs now may have ended a moment later */
    sk_unlock(&pool.lock);
    if (known)
        return 0;
    int rc = sk_env_stack_bytes(&bytes);
    if (rc < 0)
        return rc;
    long maps = read_max_map_count();
    sk_lock(&pool.lock);
    pool.outside_bytes = bytes;
    if (pool.guards_max == 0)
        count_guards_locked(maps);
    sk_unlock(&pool.lock);
    return 0;
}

/* ---- making them ---- */

/* Never silently no guard. */
static bool install_guard_locked(char *slot, struct sk_stack_slab *slab)
{
    if (pool.guard_by_madvise &&
        sk_sys.madvise(slot, SK_STACK_GUARD_BYTES, MADV_GUARD_INSTALL) == 0)
        return true;
    if (pool.guards_left <= 0) {
        say_no_stack("the guards made by mprotect are at their limit", pool.guards_max,
                     "raise vm.max_map_count");
        return false;
    }
    if (sk_sys.mprotect(slot, SK_STACK_GUARD_BYTES, PROT_NONE) != 0) {
        say_no_stack("mprotect of the guard failed, errno", errno, "raise vm.max_map_count");
        return false;
    }
    pool.guards_left--;
    if (slab != NULL)
        slab->guards++;
    return true;
}

static struct sk_stack *make_stack(char *slot, size_t slot_bytes, size_t promised_bytes,
                                   unsigned colour, struct sk_stack_slab *slab)
{
    struct sk_stack *stack = (struct sk_stack *)(void *)(slot + slot_bytes - HEADER_BYTES);
    *stack = (struct sk_stack){
        .low = slot + SK_STACK_GUARD_BYTES,
        .top = (char *)stack - (size_t)colour * COLOUR_BYTES,
        .promised_bytes = (uint32_t)promised_bytes,
        .slot_bytes = (uint32_t)slot_bytes,
        .slot = slot,
        .slab = slab,
        .tsan_fiber =
            sk_san_fiber_new(slot + SK_STACK_GUARD_BYTES, slot_bytes - SK_STACK_GUARD_BYTES),
    };
    sk_san_root(stack->low, slot_bytes - SK_STACK_GUARD_BYTES,
                true); /* nobody may look at a guard */
    return stack;
}

static struct sk_stack *carve_locked(void)
{
    if (pool.fresh == 0 && !add_slab_locked()) {
        say_no_stack("no memory, bytes", (long)slab_bytes(),
                     "raise RLIMIT_AS or vm.max_map_count, or lower SKUA_STACK_SIZE");
        return NULL;
    }
    struct sk_stack_slab *slab = pool.newest;
    char *slot = slab->base + (SLAB_SLOTS - pool.fresh) * pool.slot_bytes;
    if (!install_guard_locked(slot, slab))
        return NULL;
    pool.fresh--;
    slab->live++;
    pool.colour = (pool.colour + 1) % COLOURS;
    return make_stack(slot, pool.slot_bytes, pool.promised_bytes, pool.colour, slab);
}

/* A stack of a size of its own is a mapping of its own and lives as long as its coroutine. */
static struct sk_stack *map_odd_stack(size_t promised_bytes)
{
    size_t slot_bytes = slot_bytes_for(promised_bytes);
    char *slot = sk_sys.mmap(NULL, slot_bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slot == MAP_FAILED) {
        say_no_stack("mmap failed, bytes", (long)slot_bytes, "lower stack_size or raise RLIMIT_AS");
        return NULL;
    }
    sk_sys.madvise(slot, slot_bytes, MADV_NOHUGEPAGE);
    sk_lock(&pool.lock);
    bool guarded = install_guard_locked(slot, NULL);
    sk_unlock(&pool.lock);
    if (!guarded) {
        sk_sys.munmap(slot, slot_bytes);
        return NULL;
    }
    return make_stack(slot, slot_bytes, promised_bytes, 0, NULL);
}

/* ---- taking and giving ---- */

static struct sk_stack *pop_free_locked(void)
{
    struct sk_stack *stack = pool.free;
    if (stack == NULL)
        return NULL;
    pool.free = stack->next;
    sk_store_relaxed(&pool.x_free, sk_load_relaxed(&pool.x_free) - 1);
    return stack;
}

/* A list of them. */
static void push_free_locked(struct sk_stack *first, struct sk_stack *last, unsigned count)
{
    last->next = pool.free;
    pool.free = first;
    sk_store_relaxed(&pool.x_free, sk_load_relaxed(&pool.x_free) + count);
}

struct sk_stack *sk_stack_take_slow(struct sk_stack_cache *cache, size_t promised_bytes)
{
    if (promised_bytes != 0 && slot_bytes_for(promised_bytes) != pool.slot_bytes)
        return map_odd_stack(promised_bytes);
    if (cache->head != NULL) {
        struct sk_stack *stack = cache->head;
        cache->head = stack->next;
        cache->count--;
        return stack;
    }
    sk_lock(&pool.lock);
    struct sk_stack *stack = pop_free_locked(), *more;
    if (stack == NULL)
        stack = carve_locked();
    /* Some more for the next ones: one lock for many. */
    for (unsigned i = 0; i < SK_STACK_CACHE_MAX / 2 && (more = pop_free_locked()) != NULL; i++) {
        more->next = cache->head;
        cache->head = more;
        cache->count++;
    }
    sk_unlock(&pool.lock);
    return stack;
}

/* What a coroutine touched below the top page goes back to the system. */
static void trim(struct sk_stack *stack)
{
    char *page = (char *)((uintptr_t)stack & ~(uintptr_t)(PAGE_BYTES - 1));
    sk_sys.madvise(stack->low, (size_t)(page - stack->low), MADV_DONTNEED);
}

void sk_stack_give_slow(struct sk_stack_cache *cache, struct sk_stack *stack)
{
    if (!sk_stack_is_default(stack)) {
        sk_lock(&pool.lock);
        take_apart_locked(stack);
        sk_unlock(&pool.lock);
        return;
    }
    struct sk_stack *first = stack, *last = stack;
    unsigned count = 1;
    for (; count <= SK_STACK_CACHE_MAX / 2 && cache->head != NULL; count++) {
        trim(last);
        last->next = cache->head;
        last = cache->head;
        cache->head = last->next;
        cache->count--;
    }
    trim(last);
    sk_lock(&pool.lock);
    push_free_locked(first, last, count);
    sk_unlock(&pool.lock);
}

void sk_stack_drain(struct sk_stack_cache *cache)
{
    while (cache->head != NULL) {
        struct sk_stack *stack = cache->head;
        cache->head = stack->next;
        sk_lock(&pool.lock);
        push_free_locked(stack, stack, 1);
        sk_unlock(&pool.lock);
    }
    cache->count = 0;
}

struct sk_stack *sk_stack_take_shared(size_t promised_bytes)
{
    sk_lock(&pool.lock);
    if (pool.promised_bytes == 0)
        promise_locked(pool.outside_bytes);
    bool odd =
        promised_bytes > pool.promised_bytes && slot_bytes_for(promised_bytes) != pool.slot_bytes;
    struct sk_stack *stack = odd ? NULL : pop_free_locked();
    if (!odd && stack == NULL)
        stack = carve_locked();
    sk_unlock(&pool.lock);
    return odd ? map_odd_stack(promised_bytes) : stack;
}

void sk_stack_give_shared(struct sk_stack *stack)
{
    sk_stack_forget(stack);
    if (sk_load_relaxed(&pool.x_free) >= WARM_MAX)
        trim(stack);
    sk_lock(&pool.lock);
    if (sk_stack_is_default(stack))
        push_free_locked(stack, stack, 1);
    else
        take_apart_locked(stack);
    sk_unlock(&pool.lock);
}

void sk_stack_forget(struct sk_stack *stack)
{
    if ((SK_SAN_FOUND & SK_SAN_ROOTS) == 0)
        return;
    sk_san_unpoison(stack->low, (size_t)(stack->top - stack->low));
    trim(stack);
    char *page = (char *)((uintptr_t)stack & ~(uintptr_t)(PAGE_BYTES - 1));
    memset(page, 0, (size_t)(stack->top - page));
}

void sk_stack_forsake(struct sk_stack *stack)
{
    sk_san_unpoison(stack->low, (size_t)(stack->top - stack->low));
    if (stack->tsan_fiber != NULL) {
        sk_san_fiber_free(stack->tsan_fiber);
        stack->tsan_fiber =
            sk_san_fiber_new(stack->low, (size_t)(stack->slot + stack->slot_bytes - stack->low));
    }
}

size_t sk_stack_default_bytes(void)
{
    return pool.promised_bytes;
}

/* By a worker, or under the lock. */
bool sk_stack_is_default(const struct sk_stack *stack)
{
    return stack->slot_bytes == pool.slot_bytes;
}

const char *sk_stack_high_water(const struct sk_stack *stack)
{
    const char *page = stack->low;
    const char *top = (const char *)((uintptr_t)stack & ~(uintptr_t)(PAGE_BYTES - 1));
    unsigned char resident;
    while (page < top && (mincore((void *)(uintptr_t)page, PAGE_BYTES, &resident) != 0 ||
                          (resident & 1) == 0)) /* a large frame leaves pages out */
        page += PAGE_BYTES;
    return page;
}

bool sk_stack_overran(const struct sk_stack *stack, const void *addr, uintptr_t sp)
{
    uintptr_t at = (uintptr_t)addr, low = (uintptr_t)stack->low, guard = (uintptr_t)stack->slot;
    if (at >= guard && at < low)
        return true;
    return at < guard && at + RED_ZONE_BYTES >= sp && sp < low && low - sp <= FRAME_MAX;
}
