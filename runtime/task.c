#include "runtime/task.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "arch.h"
#include "runtime/base/assert.h"
#include "runtime/base/log.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/cancel.h"
#include "runtime/driver.h"
#include "runtime/join.h"
#include "runtime/local.h"
#include "runtime/runtime.h"
#include "runtime/sched.h"
#include "runtime/scope.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

/* ---- records ---- */

enum {
    CHUNK_BYTES = 1 << 16,
    CHUNK_RECORDS = CHUNK_BYTES / sizeof(struct skua_task) - 1,
    FREE_MAX = 8192, /* records that a worker keeps: more than one scope of a thousand needs */
    SHARE = 4096,    /* handed over at a time: spawn here, end there must not leak */
};

/* Aligned to its size, so that a record finds its chunk. */
struct chunk {
    struct chunk *next;
    uint32_t base; /* serial number of the first record */
    uint32_t reserved[45];
    struct skua_task records[CHUNK_RECORDS];
};

static_assert(sizeof(struct chunk) <= CHUNK_BYTES, "a chunk fits");

static struct {
    struct sk_lock lock;
    struct chunk *chunks;
    struct skua_task *free;
    uint32_t free_count;
    uint32_t total;
    uint32_t serial; /* of the next record ever made: ids are not used twice */
    struct sk_list
        proxies; /* of living plain threads; proxies are never freed, they go to spare_proxies */
    struct skua_task *spare_proxies;
} pool;

static void add_chunk_locked(struct chunk *chunk)
{
    chunk->next = pool.chunks;
    chunk->base = pool.serial;
    pool.chunks = chunk;
    pool.serial += CHUNK_RECORDS;
    pool.total += CHUNK_RECORDS;
    pool.free_count += CHUNK_RECORDS;
    for (unsigned i = 0; i < CHUNK_RECORDS; i++) {
        struct skua_task *task = &chunk->records[CHUNK_RECORDS - 1 - i];
        sk_store_relaxed(&task->x_refs, 1u);
        sk_store_relaxed(&task->x_shield, SK_TASK_UNSHIELDED);
        task->next = pool.free;
        pool.free = task;
    }
}

/* Memory is mapped without the lock, for which others would wait. Two that come at once map two
 * chunks. */
static void lock_filled(void)
{
    sk_lock(&pool.lock);
    if (sk_likely(pool.free != NULL))
        return;
    sk_unlock(&pool.lock);
    struct chunk *chunk = sk_mem_map(CHUNK_BYTES, CHUNK_BYTES);
    sk_lock(&pool.lock);
    if (chunk != NULL)
        add_chunk_locked(chunk);
}

struct skua_task *sk_task_new_slow(struct sk_worker *w)
{
    lock_filled();
    struct skua_task *task = pool.free;
    if (task != NULL) {
        pool.free = task->next;
        pool.free_count--;
    }
    for (unsigned i = 0; w != NULL && i < CHUNK_RECORDS && pool.free != NULL; i++) {
        struct skua_task *more = pool.free;
        pool.free = more->next;
        pool.free_count--;
        more->next = w->free_tasks;
        w->free_tasks = more;
        w->free_count++;
    }
    sk_unlock(&pool.lock);
    return task;
}

static void give_to_pool(struct skua_task *first, struct skua_task *last, uint32_t count)
{
    sk_lock(&pool.lock);
    last->next = pool.free;
    pool.free = first;
    pool.free_count += count;
    sk_unlock(&pool.lock);
}

static void share_half(struct sk_worker *w)
{
    struct skua_task *first = w->free_tasks, *last = first;
    for (unsigned i = 1; i < SHARE; i++)
        last = last->next;
    w->free_tasks = last->next;
    w->free_count -= SHARE;
    give_to_pool(first, last, SHARE);
}

/* As a new one, but for x_wait, whose epochs go on. */
static void clean(struct skua_task *task)
{
    task->scopes = NULL;
    task->flags = 0;
    task->affinity = 0;
    task->sp = NULL;
    task->locals = NULL;
    task->joiners = NULL;
    task->pins = 0;
    task->generation++;
    sk_store_relaxed(&task->x_refs, 1u);
    sk_store_relaxed(&task->x_cancel, 0);
    sk_store_relaxed(&task->x_shield, SK_TASK_UNSHIELDED);
}

void sk_task_free(struct sk_worker *w, struct skua_task *task)
{
    clean(task);
    if (w == NULL) {
        give_to_pool(task, task, 1);
        return;
    }
    task->next = w->free_tasks;
    w->free_tasks = task;
    if (++w->free_count > FREE_MAX)
        share_half(w);
}

void sk_task_drain(struct sk_worker *w)
{
    while (w->free_tasks != NULL) {
        struct skua_task *task = w->free_tasks;
        w->free_tasks = task->next;
        give_to_pool(task, task, 1);
    }
    w->free_count = 0;
}

void sk_task_stop(void)
{
    sk_lock(&pool.lock);
    if (pool.free_count == pool.total) {
        while (pool.chunks != NULL) {
            struct chunk *chunk = pool.chunks;
            pool.chunks = chunk->next;
            sk_mem_unmap(chunk, CHUNK_BYTES);
        }
        pool.free = NULL;
        pool.free_count = 0;
        pool.total = 0;
    }
    sk_unlock(&pool.lock);
}

static pthread_key_t proxy_key;
static pthread_once_t proxy_once = PTHREAD_ONCE_INIT;
static _Atomic(bool) x_has_proxy_key;

/* NULL: this thread has none. */
static struct skua_task *own_proxy(void)
{
    return sk_load_relaxed(&x_has_proxy_key) ? pthread_getspecific(proxy_key) : NULL;
}

void sk_task_after_fork(void)
{
    sk_store_relaxed(&pool.lock.x_held, 0u); /* its holder may be a thread that is not here */
    struct skua_task *proxy = own_proxy();
    if (proxy == NULL)
        return;
    if (proxy->proxy.driver != NULL)
        sk_driver_forget(proxy->proxy.driver);
    proxy->proxy.driver = NULL;
    sk_store_relaxed(&proxy->proxy.x_wakers, 0u);
}

uint64_t sk_task_id(struct skua_task *task)
{
    struct chunk *chunk = (struct chunk *)((uintptr_t)task & ~(uintptr_t)(CHUNK_BYTES - 1));
    task->flags |= SK_TASK_TOUCHED; /* the next owner of the record has another generation */
    return ((uint64_t)task->generation << 32) + chunk->base + (uint64_t)(task - chunk->records) + 1;
}

/* ---- proxies of plain threads ---- */

static void give_proxy(void *arg)
{
    struct skua_task *proxy = arg;
    sk_wait_close_driver(proxy);
    sk_lock(&pool.lock);
    sk_list_remove(&proxy->link);
    proxy->next = pool.spare_proxies;
    pool.spare_proxies = proxy;
    sk_unlock(&pool.lock);
}

static void make_proxy_key(void)
{
    sk_list_init(&pool.proxies);
    SK_CHECK(pthread_key_create(&proxy_key, give_proxy) == 0);
    sk_store_relaxed(&x_has_proxy_key, true);
}

struct skua_task *sk_task_proxy(void)
{
    pthread_once(&proxy_once, make_proxy_key);
    struct skua_task *proxy = pthread_getspecific(proxy_key);
    if (proxy != NULL)
        return proxy;
    sk_lock(&pool.lock);
    proxy = pool.spare_proxies;
    if (proxy != NULL)
        pool.spare_proxies = proxy->next;
    else
        proxy = sk_mem_zalloc_aligned(SK_CACHELINE, sizeof(*proxy));
    if (proxy != NULL) {
        proxy->flags = SK_TASK_PROXY;
        sk_store_relaxed(&proxy->x_shield, SK_TASK_UNSHIELDED);
        sk_list_push_back(&pool.proxies, &proxy->link);
    }
    sk_unlock(&pool.lock);
    if (proxy != NULL && pthread_setspecific(proxy_key, proxy) != 0) {
        give_proxy(proxy);
        return NULL;
    }
    return proxy;
}

void sk_task_close_driver(void)
{
    struct skua_task *proxy = own_proxy();
    if (proxy != NULL)
        sk_wait_close_driver(proxy);
}

void sk_task_each_proxy(void (*fn)(struct skua_task *proxy))
{
    pthread_once(&proxy_once, make_proxy_key);
    sk_lock(&pool.lock);
    for (struct sk_list *l = pool.proxies.next; l != &pool.proxies; l = l->next)
        fn(sk_container_of(l, struct skua_task, link));
    sk_unlock(&pool.lock);
}

/* ---- start ---- */

static noreturn void task_main(struct sk_worker *w);

void sk_task_note_starving(struct skua_task *task, bool starves)
{
    if (((task->flags & SK_TASK_STARVING) != 0) == starves)
        return;
    task->flags ^= SK_TASK_STARVING;
    sk_add_relaxed(&sk_runtime.x_starving, starves ? 1u : -1u);
}

bool sk_task_place(struct sk_worker *w, struct skua_task *task)
{
    size_t promised = (size_t)(uintptr_t)task->sp;
    struct sk_stack *stack = sk_stack_take(&w->stacks, promised);
    if (sk_unlikely(stack == NULL)) {
        sk_task_note_starving(task, true);
        sk_inject_push(&sk_runtime.starved, task);
        return false;
    }
    sk_task_start(task, stack);
    task->sp = sk_arch_prepare(stack->top, task_main);
    return true;
}

/* Every stack begins here. A task that has ended passes its stack straight on to the next one that
 * has none. */
static SK_SAN_NO_FRAME noreturn void task_main(struct sk_worker *w)
{
    if (sk_unlikely(SK_SAN_BUILT_IN || w->detour))
        sk_san_arrive(NULL, w);
    sk_sched_arrive(w);
    for (;;) {
        struct skua_task *task = w->current;
        if (sk_unlikely(w->detour))
            sk_san_acquire(task);
        int result = task->fn(task->arg);
        if (sk_unlikely(task->locals != NULL))
            sk_local_destroy(task);
        w = sk_current_worker();
        struct sk_stack *stack = task->stack;
        sk_task_exit(w, task, result);
        struct skua_task *next = sk_sched_next(w);
        if (next == NULL || sk_load_relaxed(&next->x_state) != SK_TASK_NEW || next->sp != NULL ||
            !sk_stack_is_default(stack))
            sk_sched_leave(w, next, stack);
        sk_task_start(next, stack);
        w->current = next;
    }
}

/* ---- end ---- */

noreturn void sk_task_left_scope_open(struct skua_task *task)
{
    sk_log(SK_LOG_ERROR,
           "coroutine %llu (%s): its function returned with the scope at %p open; close every "
           "scope that was opened",
           (unsigned long long)sk_task_id(task), sk_local_name(task), (void *)task->scopes);
    sk_panic(__FILE__, __LINE__, "a function returned with a scope open");
}

/* Its state becomes final; callbacks run, then who waits for it is woken. */
static void settle(struct skua_task *task, int result, bool cancelled)
{
    sk_lock(&task->join_lock); /* whoever cancels it has done, or finds it ended */
    task->result = result;
    sk_store_release(&task->x_state, cancelled ? SK_TASK_CANCELLED : SK_TASK_DONE);
    struct sk_list *callbacks = sk_join_split_locked(task);
    sk_unlock(&task->join_lock);
    sk_join_call(task, callbacks);
    sk_san_release(task); /* what the callbacks did is visible to joiners */
    sk_join_wake(task);
}

void sk_task_finish(struct sk_worker *w, struct skua_task *task, int result)
{
    if (task->scopes != NULL)
        sk_task_left_scope_open(task);
    if (sk_unlikely((task->flags & SK_TASK_TOLD) != 0)) {
        sk_san_release(task);
        sk_san_release(sk_load_relaxed(&task->x_scope));
    }
    struct skua_task *current = w->current;
    unsigned cancel = sk_load_relaxed(&task->x_cancel); /* before its own failure cancels all */
    w->current = NULL;
    sk_scope_note_result(sk_load_relaxed(&task->x_scope), result, (cancel & SK_CANCEL_SELF) != 0);
    if (sk_load_acquire(&task->x_refs) != 1 || task->joiners != NULL)
        settle(task, result, result == -ECANCELED && (cancel & ~(unsigned)SK_CANCEL_OWN) != 0);
    w->current = current;
    if ((task->flags & SK_TASK_LINKED) != 0)
        sk_cancel_unlink(task);
    if ((task->flags & SK_TASK_COPIED) != 0)
        sk_mem_free(task->arg);
    skua_task_unref(task);
}

void sk_task_exit(struct sk_worker *w, struct skua_task *task, int result)
{
    struct sk_scope *scope = sk_load_relaxed(&task->x_scope);
    sk_task_finish(w, task, result);
    w->current = NULL;
    sk_scope_leave(scope);
}

skua_task *skua_task_ref(skua_task *task)
{
    if (task == sk_current_task())
        task->flags |= SK_TASK_TOUCHED; /* who holds a reference may leave traces in it */
    sk_add_relaxed(&task->x_refs, 1u);
    return task;
}

void skua_task_unref(skua_task *task)
{
    struct sk_worker *w = sk_current_worker();
    if (task == NULL)
        return;
    if (sk_load_acquire(&task->x_refs) == 1 || sk_sub_acq_rel(&task->x_refs, 1u) == 1)
        sk_task_free(w, task);
}
