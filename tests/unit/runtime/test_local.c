/* tests/unit/runtime/test_local.c - coroutine-local values, names, pins. */
#include <skua/task.h>

#include "runtime/local.h"
#include "tests/unit/runtime/rt_test.h"

static _Atomic(int) x_destroyed;

static void destroy(void *value)
{
    SKT_NOT_NULL(value);
    SKT_NOT_NULL(skua_self()); /* it is the coroutine's own last deed, and may wait */
    SKT_EQ(skua_sleep(1000), 0);
    atomic_fetch_add(&x_destroyed, *(int *)value);
}

static skua_local keys[3]; /* 0, 1: with a destructor */

static void make_keys(void)
{
    static bool made;
    if (!made) {
        SKT_EQ(skua_local_key(&keys[0], destroy), 0);
        SKT_EQ(skua_local_key(&keys[1], destroy), 0);
        SKT_EQ(skua_local_key(&keys[2], NULL), 0);
        SKT_NE(keys[0], keys[1]);
        SKT_NE(keys[1], keys[2]);
    }
    made = true;
}

static int hold(void *arg)
{
    static int one = 1, ten = 10, hundred = 100;
    (void)arg;
    for (int i = 0; i < 3; i++)
        SKT_NULL(skua_local_get(keys[i]));
    SKT_EQ(skua_local_set(keys[0], &hundred), 0);
    SKT_EQ(skua_local_set(keys[0], &one), 0); /* what it replaces is not destroyed */
    SKT_EQ(skua_local_set(keys[1], &hundred), 0);
    SKT_EQ(skua_local_set(keys[1], NULL), 0); /* nor is NULL */
    SKT_EQ(skua_local_set(keys[2], &ten), 0);
    SKT_EQ(skua_sleep(1000), 0);
    SKT_PTR_EQ(skua_local_get(keys[0]), &one);
    SKT_NULL(skua_local_get(keys[1]));
    SKT_PTR_EQ(skua_local_get(keys[2]), &ten);
    return 0;
}

/* Goal: values are each coroutine's own, and are destroyed at its end where there is something. */
RT_TEST(local, values)
{
    skua_scope s;
    make_keys();
    atomic_store(&x_destroyed, 0);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_local_set(keys[2], &s), 0);
    for (int i = 0; i < 50; i++)
        SKT_EQ(skua_spawn(&s, hold, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_PTR_EQ(skua_local_get(keys[2]), &s);
    SKT_NULL(skua_local_get(keys[0]));
    SKT_EQ(atomic_load(&x_destroyed), 50);
}

/* Goal: what is no key. */
RT_TEST(local, errors)
{
    int value = 0;
    SKT_EQ(skua_local_set(~0u, &value), -EINVAL);
    SKT_NULL(skua_local_get(~0u));
    SKT_EQ(skua_local_key(NULL, destroy), -EINVAL);
}

static int check_name(void *want)
{
    const char *name = want;
    SKT_STR_EQ(sk_local_name(skua_self()), name != NULL ? name : "unnamed");
    return 0;
}

/* Goal: names by option and by call; they are copied, cut where too long, taken away by NULL. */
RT_TEST(local, names)
{
    skua_scope s;
    char buf[300];
    skua_task_opts o = SKUA_TASK_OPTS_INIT;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    strcpy(buf, "worker bee");
    o.name = buf;
    SKT_EQ(skua_spawn_opts(&s, check_name, (void *)(uintptr_t) "worker bee", &o, NULL), 0);
    strcpy(buf, "changed");
    SKT_EQ(skua_spawn(&s, check_name, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_set_name(buf), 0);
    buf[0] = '!';
    SKT_STR_EQ(sk_local_name(skua_self()), "changed");
    memset(buf, 'x', sizeof(buf));
    buf[sizeof(buf) - 1] = '\0';
    SKT_EQ(skua_set_name(buf), 0);
    size_t len = strlen(sk_local_name(skua_self()));
    SKT_BETWEEN(len, 15, sizeof(buf) - 2);
    SKT_MEM_EQ(sk_local_name(skua_self()), buf, len);
    SKT_EQ(skua_set_name(NULL), 0);
    SKT_STR_EQ(sk_local_name(skua_self()), "unnamed");
}

static int stay_pinned(void *arg)
{
    (void)arg;
    skua_pin();
    skua_pin();
    unsigned worker = skua_worker();
    skua_unpin(); /* nestable: the outer one holds */
    for (int i = 0; i < 20; i++) {
        SKT_EQ(i % 4 ? skua_yield() : skua_sleep(SKUA_US(20)), 0);
        SKT_EQ(skua_worker(), worker);
    }
    skua_unpin();
    skua_unpin(); /* one too many does no harm */
    skua_yield();
    return 0;
}

static int stay_pinned_and_leave(void *arg)
{
    (void)arg;
    skua_pin();
    return 0;
}

static int bound_and_pinned(void *arg)
{
    unsigned worker = *(unsigned *)arg;
    skua_pin();
    skua_unpin();
    for (int i = 0; i < 10; i++) {
        skua_yield();
        SKT_EQ(skua_worker(), worker); /* its own worker stays, whatever was pinned */
    }
    return 0;
}

/* Goal: a pin keeps its coroutine where it is; it ends with it. */
RT_TEST(local, pins)
{
    skua_scope s;
    skua_task_opts o = SKUA_TASK_OPTS_INIT;
    unsigned last = skua_workers() - 1;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 40; i++)
        SKT_EQ(skua_spawn(&s, i % 4 == 3 ? stay_pinned_and_leave : stay_pinned, NULL), 0);
    o.worker = last + 1;
    SKT_EQ(skua_spawn_opts(&s, bound_and_pinned, &last, &o, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* Goal: a plain thread has none of it. */
SKT_TEST(local, plain_thread)
{
    int value = 0;
    make_keys(); /* keys can be made without a runtime */
    SKT_EQ(skua_local_set(keys[0], &value), -EPERM);
    SKT_NULL(skua_local_get(keys[0]));
    SKT_EQ(skua_set_name("x"), -EPERM);
}

static skua_local last_key;

static void use_last_key(void)
{
    int value = 0;
    SKT_EQ(skua_local_set(last_key, &value), 0);
    SKT_PTR_EQ(skua_local_get(last_key), &value);
    SKT_EQ(skua_local_set(last_key, NULL), 0);
    SKT_EQ(skua_local_set(last_key + 1, &value), -EINVAL);
}

/* Goal: keys end with -EAGAIN; the last one works. This case uses them up. */
SKT_TEST(local, all_keys)
{
    skua_local key = 0;
    int rc, n = 0;
    while ((rc = skua_local_key(&key, NULL)) == 0 && n++ < 100000)
        last_key = key;
    SKT_EQ(rc, -EAGAIN);
    SKT_GE(n, 64);
    rt_run(1, use_last_key);
}
