/* tests/unit/runtime/test_stack.c - stacks: promise, guard, reuse, and what happens when there are
 * none. */
#include "runtime/stack.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <skua/skua.h>

#include "runtime/base/sys.h"
#include "tests/unit/runtime/rt_test.h"

enum { PAGE = 4096 };

/* Whether the kernel may read the byte at p. */
static bool is_guarded(const char *p)
{
    int ends[2];
    SKT_EQ(pipe2(ends, O_CLOEXEC), 0);
    ssize_t n = write(ends[1], p, 1);
    int error = errno;
    close(ends[0]);
    close(ends[1]);
    if (n < 0)
        SKT_EQ(error, EFAULT);
    return n < 0;
}

static void check_stack(const struct sk_stack *stack, size_t promised)
{
    SKT_NOT_NULL(stack);
    SKT_GE(stack->top - stack->low, (ptrdiff_t)promised);
    SKT_EQ((uintptr_t)stack->top % 16, 0u);
    SKT_EQ(stack->promised_bytes, promised);
    SKT_TRUE(is_guarded(stack->low - 1));
    SKT_TRUE(is_guarded(stack->slot));
    SKT_FALSE(is_guarded(stack->low));
    SKT_FALSE(is_guarded(stack->top - 1));
    SKT_GE(stack->low - stack->slot, SK_STACK_GUARD_BYTES);
    for (const char *p = stack->slot; p < stack->low; p += PAGE)
        SKT_TRUE(is_guarded(p));
    const uintptr_t sp = (uintptr_t)stack->low;
    SKT_TRUE(sk_stack_overran(stack, stack->low - 1, sp));
    SKT_TRUE(sk_stack_overran(stack, stack->slot, sp));
    SKT_FALSE(sk_stack_overran(stack, stack->low, sp));
    SKT_FALSE(sk_stack_overran(stack, stack->top, sp));
    SKT_FALSE(sk_stack_overran(stack, stack->slot - 1, sp)); /* a wild pointer */
    SKT_TRUE(sk_stack_overran(stack, stack->slot - 1, (uintptr_t)stack->slot - PAGE));
    SKT_FALSE(sk_stack_overran(stack, stack->slot - 2 * PAGE, (uintptr_t)stack->slot - PAGE));
    SKT_FALSE(sk_stack_overran(stack, stack->slot - 1, 16)); /* on another stack */
    stack->low[0] = stack->top[-1] = 1;                      /* all of it is there */
}

static void take_many(void)
{
    enum { MANY = 200 };
    static struct sk_stack *stacks[MANY];
    struct sk_stack_cache cache = {.head = NULL};
    for (int i = 0; i < MANY; i++) {
        stacks[i] = sk_stack_take(&cache, 0);
        check_stack(stacks[i], sk_stack_default_bytes());
        SKT_TRUE(sk_stack_is_default(stacks[i]));
        for (int n = 0; n < i; n++)
            SKT_TRUE(stacks[n]->slot >= stacks[i]->slot + stacks[i]->slot_bytes ||
                     stacks[i]->slot >= stacks[n]->slot + stacks[n]->slot_bytes);
    }
    struct sk_stack *last = stacks[MANY - 1];
    for (int i = 0; i < MANY; i++)
        sk_stack_give(&cache, stacks[i]);
    SKT_PTR_EQ(sk_stack_take(&cache, 0), last); /* the warmest first */
    sk_stack_give(&cache, last);
    sk_stack_drain(&cache);
    SKT_NULL(cache.head);
}

/* Goal: every stack has its promise, a guard below it, and nothing in common with another. */
SKT_TEST(stack, promise_and_guard)
{
    static const size_t sizes[] = {16 << 10, 64 << 10, 128 << 10, 1 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        SKT_EQ(sk_stack_start(sizes[i]), 0);
        SKT_EQ(sk_stack_default_bytes(), sizes[i]);
        take_many();
        sk_stack_stop();
    }
}

/* Goal: a size of its own. */
SKT_TEST(stack, odd_sizes)
{
    static const size_t sizes[] = {129 << 10, 1 << 20, 32 << 20};
    struct sk_stack_cache cache = {.head = NULL};
    SKT_EQ(sk_stack_start(128 << 10), 0);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            struct sk_stack *stack = sk_stack_take(&cache, sizes[i]);
            check_stack(stack, sizes[i]);
            sk_stack_give(&cache, stack);
        }
    }
    sk_stack_drain(&cache);
    sk_stack_stop();
}

/* Goal: more than a worker keeps goes to all, and from there to another worker. */
SKT_TEST(stack, shared)
{
    enum { MANY = SK_STACK_CACHE_MAX + 100 };
    static struct sk_stack *stacks[MANY];
    struct sk_stack_cache one = {.head = NULL}, other = {.head = NULL};
    SKT_EQ(sk_stack_start(16 << 10), 0);
    for (int i = 0; i < MANY; i++)
        SKT_NOT_NULL(stacks[i] = sk_stack_take(&one, 0));
    char *low = stacks[0]->slot, *high = low;
    for (int i = 0; i < MANY; i++) {
        low = stacks[i]->slot < low ? stacks[i]->slot : low;
        high = stacks[i]->slot > high ? stacks[i]->slot : high;
        sk_stack_give(&one, stacks[i]);
    }
    SKT_LE(one.count, SK_STACK_CACHE_MAX);
    struct sk_stack *again = sk_stack_take(&other, 0);
    SKT_TRUE(again->slot >= low && again->slot <= high);
    sk_stack_give(&other, again);
    sk_stack_drain(&one);
    sk_stack_drain(&other);
    sk_stack_stop();
}

/* Goal: the high-water mark is the lowest page that was touched. */
SKT_TEST(stack, high_water)
{
    struct sk_stack_cache cache = {.head = NULL};
    SKT_EQ(sk_stack_start(128 << 10), 0);
    struct sk_stack *stack = sk_stack_take(&cache, 0);
    const char *fresh = sk_stack_high_water(stack);
    SKT_LE(stack->top - fresh, 2 * PAGE);
    for (char *p = stack->top - 1; p > stack->top - 10 * PAGE; p -= PAGE)
        *p = 1;
    SKT_BETWEEN(stack->top - sk_stack_high_water(stack), 9 * PAGE, 12 * PAGE);
    sk_stack_give(&cache, stack);
    sk_stack_drain(&cache);
    sk_stack_stop();
}

/* Whether there is memory at p at all. */
static bool is_mapped(void *p)
{
    unsigned char resident;
    return mincore(p, PAGE, &resident) == 0;
}

/* Goal: a start and a stop take away what nobody holds, and only that: a stack that is out stays with
 * its slab until it comes back, whatever the size is then. */
SKT_TEST(stack, outlives_a_stop)
{
    struct sk_stack_cache cache = {.head = NULL};
    SKT_EQ(sk_stack_start(64 << 10), 0);
    struct sk_stack *out = sk_stack_take(&cache, 0), *back = sk_stack_take(&cache, 0);
    struct sk_stack *odd = sk_stack_take(&cache, 1 << 20);
    char *slot = back->slot, *low = out->low, *odd_low = odd->low;
    memset(low, 7, 64 << 10);
    sk_stack_give(&cache, back);
    sk_stack_drain(&cache);
    sk_stack_stop();
    SKT_EQ(sk_stack_start(1 << 20), 0);
    SKT_EQ(low[0], 7);
    SKT_EQ(low[(64 << 10) - 1], 7);
    SKT_TRUE(is_guarded(out->slot));
    SKT_TRUE(is_mapped(slot));
    sk_stack_give(&cache, out);
    SKT_FALSE(is_mapped(low));
    SKT_FALSE(is_mapped(slot));
    sk_stack_give(&cache, odd); /* is now of the default size */
    SKT_PTR_EQ(sk_stack_take(&cache, 0), odd);
    sk_stack_give(&cache, odd);
    sk_stack_drain(&cache);
    SKT_TRUE(is_mapped(odd_low));
    sk_stack_stop();
    SKT_FALSE(is_mapped(odd_low));
}

/* Goal: a plain thread that has asked beside a runtime gets its stack though the runtime ends
 * meanwhile. */
SKT_TEST(stack, prepared_before_a_stop)
{
    SKT_EQ(sk_stack_start(64 << 10), 0);
    SKT_EQ(sk_stack_prepare(), 0);
    sk_stack_stop();
    struct sk_stack *stack = sk_stack_take_shared(0);
    SKT_NOT_NULL(stack);
    sk_stack_give_shared(stack);
    sk_stack_stop();
}

/* Goal: the same without a runtime before, from the shared cache, whose stacks come to the workers. */
SKT_TEST(stack, without_runtime)
{
    struct sk_stack_cache cache = {.head = NULL};
    SKT_EQ(sk_stack_prepare(), 0);
    struct sk_stack *one = sk_stack_take_shared(0), *two = sk_stack_take_shared(1);
    struct sk_stack *odd = sk_stack_take_shared(1 << 20);
    check_stack(one, 128 << 10);
    check_stack(two, 128 << 10);
    check_stack(odd, 1 << 20);
    char *low = one->low, *odd_low = odd->low;
    sk_stack_give_shared(odd);
    SKT_FALSE(is_mapped(odd_low));
    sk_stack_give_shared(two);
    SKT_PTR_EQ(sk_stack_take_shared(0), two);
    SKT_EQ(sk_stack_start(128 << 10), 0);
    sk_stack_give(&cache, two);
    SKT_PTR_EQ(sk_stack_take(&cache, 0), two);
    sk_stack_give(&cache, two);
    sk_stack_drain(&cache);
    sk_stack_stop();
    SKT_TRUE(is_mapped(low));
    sk_stack_give_shared(one);
    SKT_FALSE(is_mapped(low));
}

/* ---- the system says no ---- */

static struct sk_sys real;
static _Atomic(bool) x_no_maps;
static bool no_protection;

static int madvise_without_guards(void *addr, size_t bytes, int advice)
{
    if (advice == 102) {
        errno = EINVAL;
        return -1;
    }
    return real.madvise(addr, bytes, advice);
}

static int mprotect_or_not(void *addr, size_t bytes, int prot)
{
    if (no_protection) {
        errno = ENOMEM;
        return -1;
    }
    return real.mprotect(addr, bytes, prot);
}

static void *mmap_or_not(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    if (atomic_load(&x_no_maps) && bytes > 65536) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return real.mmap(addr, bytes, prot, flags, fd, offset);
}

static void replace(void)
{
    real = sk_sys;
    sk_sys.madvise = madvise_without_guards;
    sk_sys.mprotect = mprotect_or_not;
    sk_sys.mmap = mmap_or_not;
    no_protection = false;
    atomic_store(&x_no_maps, false);
}

static _Atomic(int) x_ran;

static int run(void *arg)
{
    (void)arg;
    atomic_fetch_add(&x_ran, 1);
    return 0;
}

static void run_out_of_stacks(void)
{
    skua_scope s;
    skua_task_opts o = SKUA_TASK_OPTS_INIT;
    skua_task *task;
    int rc = 0;
    o.stack_size = 8 << 20; /* a mapping of its own */
    atomic_store(&x_ran, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    atomic_store(&x_no_maps, true);
    SKT_EQ(skua_spawn_opts(&s, run, NULL, &o, &task), 0);
    /* Until it is found that there is none. */
    RT_UNTIL(skua_sleep(SKUA_US(500)) == 0 && (rc = skua_spawn(&s, run, NULL)) != 0);
    SKT_EQ(rc, -ENOMEM);
    /* Not while another worker just tries again for the one that waits. */
    RT_UNTIL((rc = skua_spawn_opts(&s, run, NULL, &o, NULL)) != 0);
    SKT_EQ(rc, -ENOMEM);
    SKT_EQ(skua_task_state(task), SKUA_PENDING);
    atomic_store(&x_no_maps, false);
    SKT_EQ(skua_join(task, NULL, SKUA_NEVER), 0); /* it stayed queued, and runs */
    RT_UNTIL((rc = skua_spawn(&s, run, NULL)) == 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    skua_task_unref(task);
}

static void start_without(void *arg)
{
    skua_config config = SKUA_CONFIG_INIT;
    (void)arg;
    config.stack_size = 1 << 20; /* a slab of more than anything else that a start maps */
    replace();
    atomic_store(&x_no_maps, true);
    SKT_EQ(skua_start(&config), -ENOMEM);
    atomic_store(&x_no_maps, false);
    SKT_EQ(skua_start(&config), 0);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* Goal: where not even the first coroutine would get a stack the start fails, and says so: it would
 * wait for one to come free for ever. */
SKT_TEST(stack, none_at_start)
{
    char out[1024];
    int status = skt_in_child(start_without, NULL, out, sizeof(out));
    SKT_STR_HAS(out, "skua: cannot map the first stacks (134217728 bytes): raise RLIMIT_AS");
    SKT_EQ(status, 0);
}

struct starved {
    unsigned workers;
};

static void run_starved(void *arg)
{
    struct starved *x = arg;
    rt_run(x->workers, run_out_of_stacks);
}

/* Goal: without memory for a stack a coroutine waits for one; meanwhile spawning says -ENOMEM,
 * and one line a minute names the limit and the remedy: so this stands before what else makes it
 * be said. */
RT_THREAD_TEST(stack, none_left)
{
    char out[4096];
    struct starved x = {workers};
    replace();
    int status = skt_in_child(run_starved, &x, out, sizeof(out));
    sk_sys = real;
    SKT_STR_HAS(out, "no stack");
    SKT_STR_HAS(out, "RLIMIT_AS");
    SKT_EQ(status, 0);
}

/* Goal: a kernel without MADV_GUARD_INSTALL guards by mprotect; never is there no guard. */
SKT_TEST(stack, guard_by_mprotect)
{
    struct sk_stack_cache cache = {.head = NULL};
    replace();
    SKT_EQ(sk_stack_start(64 << 10), 0);
    take_many();
    struct sk_stack *odd = sk_stack_take(&cache, 1 << 20);
    check_stack(odd, 1 << 20);
    sk_stack_give(&cache, odd);
    sk_stack_stop();
    SKT_EQ(sk_stack_start(64 << 10), 0);
    no_protection = true;
    SKT_NULL(sk_stack_take(&cache, 0));
    SKT_NULL(sk_stack_take(&cache, 1 << 20));
    no_protection = false;
    struct sk_stack *stack = sk_stack_take(&cache, 0);
    check_stack(stack, 64 << 10);
    sk_stack_give(&cache, stack);
    sk_stack_drain(&cache);
    sk_stack_stop();
    sk_sys = real;
}
