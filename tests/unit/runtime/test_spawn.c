/* tests/unit/runtime/test_spawn.c - who may spawn what where, and what the child gets. */
#include <skua/scope.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/runtime/rt_test.h"

static int count(void *arg)
{
    atomic_fetch_add((_Atomic(int) *)arg, 1);
    return 0;
}

/* Goal: into a cancelled scope nothing is spawned, by no call, and fn is never called. */
RT_TEST(spawn, into_cancelled)
{
    skua_scope s;
    _Atomic(int) ran = 0;
    skua_task *task = (skua_task *)1;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    skua_scope_cancel(&s);
    SKT_EQ(skua_spawn(&s, count, &ran), -ECANCELED);
    SKT_EQ(skua_spawn_copy(&s, count, &ran, sizeof(ran)), -ECANCELED);
    SKT_EQ(skua_spawn_opts(&s, count, &ran, NULL, &task), -ECANCELED);
    SKT_PTR_EQ(task, (skua_task *)1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&ran), 0);
}

struct nested {
    skua_scope *outer;
    _Atomic(int) ran;
};

/* The scope inside is cancelled with the one outside, though nobody has waited in it yet. */
static int spawn_nested(void *arg)
{
    struct nested *n = arg;
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, count, &n->ran), 0);
    skua_scope_cancel(n->outer);
    SKT_EQ(skua_cancelled(), 1);
    SKT_EQ(skua_spawn(&s, count, &n->ran), -ECANCELED);
    (void)skua_scope_close(&s, SKUA_NEVER);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0); /* and one that is opened after */
    SKT_EQ(skua_spawn(&s, count, &n->ran), -ECANCELED);
    (void)skua_scope_close(&s, SKUA_NEVER);
    return 0;
}

RT_TEST(spawn, into_nested_cancelled)
{
    skua_scope s;
    struct nested n = {.outer = &s};
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, spawn_nested, &n), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    SKT_EQ(atomic_load(&n.ran), 1); /* what was spawned before runs all the same */
}

/* Goal: bad arguments. */
RT_TEST(spawn, bad_arguments)
{
    skua_scope s;
    _Atomic(int) ran = 0;
    char bytes[4097] = {0};
    skua_task_opts o = SKUA_TASK_OPTS_INIT;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, NULL, NULL), -EINVAL);
    SKT_EQ(skua_spawn_copy(&s, NULL, bytes, 1), -EINVAL);
    SKT_EQ(skua_spawn_opts(&s, NULL, NULL, NULL, NULL), -EINVAL);
    SKT_EQ(skua_spawn_copy(&s, count, bytes, sizeof(bytes)), -EINVAL);
    SKT_EQ(skua_spawn_copy(&s, count, bytes, SIZE_MAX), -EINVAL);
    o.worker = skua_workers() + 1;
    SKT_EQ(skua_spawn_opts(&s, count, &ran, &o, NULL), -EINVAL);
    o.worker = UINT_MAX;
    SKT_EQ(skua_spawn_opts(&s, count, &ran, &o, NULL), -EINVAL);
    o.worker = 0;
    o.stack_size = (size_t)33 << 20;
    SKT_EQ(skua_spawn_opts(&s, count, &ran, &o, NULL), -EINVAL);
    o.stack_size = SIZE_MAX;
    SKT_EQ(skua_spawn_opts(&s, count, &ran, &o, NULL), -EINVAL);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&ran), 0);
}

enum { COPY_MAX = 4096 };

struct copied {
    uint16_t len;
    unsigned char bytes[];
};

static _Atomic(int) x_copies;

static int check_copy(void *arg)
{
    const struct copied *c = arg;
    SKT_EQ((uintptr_t)arg % _Alignof(max_align_t), 0u);
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = sizeof(*c); i < c->len; i++)
            SKT_EQ(((const unsigned char *)arg)[i], (unsigned char)(c->len + i));
        skua_yield(); /* it lives until fn returns */
    }
    memset(arg, 0xEE, c->len);
    atomic_fetch_add(&x_copies, 1);
    return 0;
}

static int check_byte(void *arg)
{
    SKT_EQ(*(unsigned char *)arg, 77);
    atomic_fetch_add(&x_copies, 1);
    return 0;
}

static int check_nothing(void *arg)
{
    (void)arg;
    atomic_fetch_add(&x_copies, 1);
    return 0;
}

/* Goal: of 0 to 4096 bytes the child gets a copy of its own, aligned for any type. */
RT_TEST(spawn, copies)
{
    static const uint16_t lens[] = {2, 8, 63, 64, 65, 1000, 4095, 4096};
    unsigned char *bytes = malloc(COPY_MAX), one = 77;
    skua_scope s;
    int want = 2;
    atomic_store(&x_copies, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
            memcpy(bytes, &lens[i], sizeof(lens[i]));
            for (size_t at = sizeof(lens[i]); at < lens[i]; at++)
                bytes[at] = (unsigned char)(lens[i] + at);
            SKT_EQ(skua_spawn_copy(&s, check_copy, bytes, lens[i]), 0);
            memset(bytes, 0xFF, COPY_MAX);
            want++;
        }
    }
    SKT_EQ(skua_spawn_copy(&s, check_byte, &one, 1), 0);
    one = 0;
    SKT_EQ(skua_spawn_copy(&s, check_nothing, NULL, 0), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&x_copies), want);
    free(bytes);
}

static int stay(void *arg)
{
    unsigned want = *(unsigned *)arg;
    for (int i = 0; i < 20; i++) {
        SKT_EQ(skua_worker(), want);
        if (i % 5 == 0)
            SKT_EQ(skua_sleep(1000), 0);
        else
            SKT_EQ(skua_yield(), 0);
    }
    return 0;
}

/* Goal: opts.worker n stays on worker n - 1, through yields and waits. */
RT_TEST(spawn, own_worker)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (unsigned n = 0; n < skua_workers(); n++) {
        skua_task_opts o = SKUA_TASK_OPTS_INIT;
        static unsigned index[8];
        index[n] = n;
        o.worker = n + 1;
        SKT_EQ(skua_spawn_opts(&s, stay, &index[n], &o, NULL), 0);
        SKT_EQ(skua_spawn_opts(&s, stay, &index[n], &o, NULL), 0);
    }
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* Touches n bytes of stack. */
__attribute__((noinline)) static int touch(size_t n)
{
    volatile unsigned char here[1024];
    here[0] = here[1023] = (unsigned char)n;
    return n > sizeof(here) ? touch(n - sizeof(here)) + here[0] - here[1023] : here[1023] - here[0];
}

static int use_stack(void *arg)
{
    size_t promised = *(size_t *)arg;
    SKT_GE(skua_stack_left() + skua_stack_used(), promised);
    SKT_GE(skua_stack_left() + 2048, promised);
    if (!skt_sanitized()) /* their frames are larger */
        SKT_EQ(touch(promised - promised / 8), 0);
    return 0;
}

/* Goal: stack_size is what is had, whatever the size, and one after the other. */
RT_TEST(spawn, stack_size)
{
    static size_t sizes[] = {16 << 10, 128 << 10, 129 << 10, 1 << 20, 8 << 20, 32 << 20};
    for (int round = 0; round < 3; round++) {
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            skua_task_opts o = SKUA_TASK_OPTS_INIT;
            o.stack_size = sizes[i];
            SKT_EQ(skua_spawn_opts(&s, use_stack, &sizes[i], &o, NULL), 0);
        }
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}

struct tree {
    skua_scope *scope;
    _Atomic(int) *ran;
    int depth;
};

/* Spawns into the scope it lives in, while the opener closes it; and from a scope further in. */
static int grow(void *arg)
{
    struct tree t = *(struct tree *)arg;
    atomic_fetch_add(t.ran, 1);
    if (t.depth-- == 0)
        return 0;
    SKT_EQ(skua_spawn_copy(t.scope, grow, &t, sizeof(t)), 0);
    if (t.depth % 3 != 0)
        return skua_spawn_copy(t.scope, grow, &t, sizeof(t));
    skua_scope inner;
    SKT_EQ(skua_scope_open(&inner, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_copy(&inner, grow, &t, sizeof(t)),
           0); /* it spawns into t.scope from deeper */
    return skua_scope_close(&inner, SKUA_NEVER);
}

/* Goal: tasks inside a scope, however deep, spawn into it while it is being closed. */
RT_TEST(spawn, from_inside)
{
    skua_scope s;
    _Atomic(int) ran = 0;
    struct tree t = {&s, &ran, 10};
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_copy(&s, grow, &t, sizeof(t)), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&ran), (1 << 11) - 1);
}

struct root {
    _Atomic(int) ran, cancelled, threads;
};

static int fail_in_root(void *arg)
{
    atomic_fetch_add(&((struct root *)arg)->ran, 1);
    return -EIO;
}

static int wait_in_root(void *arg)
{
    struct root *r = arg;
    atomic_fetch_add(&r->ran, 1);
    atomic_fetch_add(&r->cancelled, rt_wait_forever(NULL) == -ECANCELED);
    return 0;
}

static void *spawn_in_thread(void *arg)
{
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, fail_in_root, arg), 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, wait_in_root, arg), 0);
    skua_task *task = NULL;
    int result = 0;
    SKT_EQ(skua_spawn_opts(SKUA_SCOPE_ROOT, fail_in_root, arg, NULL, &task), 0);
    SKT_EQ(skua_join(task, &result, SKUA_NEVER), 0);
    SKT_EQ(result, -EIO);
    skua_task_unref(task);
    atomic_store(&((struct root *)arg)->threads, 1);
    return NULL;
}

static struct root root;

static void fill_root(void)
{
    pthread_t thread = rt_thread(spawn_in_thread, &root);
    RT_UNTIL(atomic_load(&root.threads) == 1);
    rt_thread_join(thread);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, wait_in_root, &root), 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, fail_in_root, &root), 0);
    RT_UNTIL(atomic_load(&root.ran) == 5);
    SKT_EQ(atomic_load(&root.cancelled), 0); /* a failure there cancels nobody */
    SKT_EQ(skua_cancelled(), 0);
}

/* Goal: the root takes spawns of threads and coroutines, and ends with the runtime. */
RT_THREAD_TEST(spawn, root)
{
    atomic_store(&root.ran, 0);
    atomic_store(&root.cancelled, 0);
    atomic_store(&root.threads, 0);
    rt_run(workers, fill_root);
    SKT_EQ(atomic_load(&root.cancelled), 2);
}

static int cancel_root(void *arg)
{
    skua_event never = SKUA_EVENT_INIT;
    _Atomic(int) ran = 0;
    (void)arg;
    skua_scope_cancel(SKUA_SCOPE_ROOT);
    SKT_EQ(skua_cancelled(), 1);
    SKT_EQ(skua_event_wait(&never, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, count, &ran), -ECANCELED);
    SKT_EQ(atomic_load(&ran), 0);
    return 11;
}

static void *cancel_root_in_thread(void *arg)
{
    skua_scope_cancel(SKUA_SCOPE_ROOT);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, count, arg), -ECANCELED);
    return NULL;
}

/* Goal: the root is cancelled by anybody; the runtime goes on until it is stopped. */
RT_THREAD_TEST(spawn, cancelled_root)
{
    skua_config config = SKUA_CONFIG_INIT;
    _Atomic(int) ran = 0;
    config.workers = workers;
    SKT_EQ(skua_run(cancel_root, NULL, &config), 11);
    rt_start(workers);
    rt_thread_join(rt_thread(cancel_root_in_thread, &ran));
    SKT_EQ(skua_call(count, &ran, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_workers(), workers);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&ran), 0);
}

/* Goal: without a runtime. */
SKT_TEST(spawn, without_runtime)
{
    skua_task *task = (skua_task *)1;
    _Atomic(int) ran = 0;
    skua_task_opts o = SKUA_TASK_OPTS_INIT;
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, count, &ran), -ESHUTDOWN);
    SKT_EQ(skua_spawn_copy(SKUA_SCOPE_ROOT, count, &ran, 4), -ESHUTDOWN);
    SKT_EQ(skua_spawn_opts(SKUA_SCOPE_ROOT, count, &ran, &o, &task), -ESHUTDOWN);
    SKT_PTR_EQ(task, (skua_task *)1);
    skua_scope_cancel(SKUA_SCOPE_ROOT); /* does nothing */
    SKT_EQ(atomic_load(&ran), 0);
}
