#include "runtime/local.h"

#include <errno.h>
#include <string.h>

#include <skua/task.h>

#include "runtime/base/assert.h"
#include "runtime/base/lock.h"
#include "runtime/base/mem.h"
#include "runtime/fiber.h"
#include "runtime/task.h"
#include "runtime/worker.h"

enum {
    NAME_BYTES = 64,
    KEYS_MAX = 128,     /* keys of the process, as POSIX asks of thread-locals */
    DESTROY_ROUNDS = 4, /* a destructor may set values again; likewise as POSIX */
};

struct sk_task_locals {
    struct sk_fiber_home *fibers;
    char name[NAME_BYTES];
    void *values[KEYS_MAX];
};

static struct {
    struct sk_lock lock;
    _Atomic(unsigned) x_count;
    void (*destroy[KEYS_MAX])(void *);
} keys;

static struct sk_task_locals *locals_of(struct skua_task *task)
{
    if (task->locals == NULL) {
        task->locals = sk_mem_zalloc(sizeof(*task->locals));
        task->flags |= SK_TASK_TOUCHED;
    }
    return task->locals;
}

static struct skua_task *self(void)
{
    struct sk_worker *w = sk_current_worker();
    return w != NULL ? w->current : NULL;
}

int sk_local_set_name(struct skua_task *task, const char *name)
{
    struct sk_task_locals *locals = locals_of(task);
    if (locals == NULL)
        return -ENOMEM;
    size_t len = name != NULL ? strnlen(name, NAME_BYTES - 1) : 0;
    memcpy(locals->name, name != NULL ? name : "", len);
    locals->name[len] = '\0';
    return 0;
}

const char *sk_local_name(const struct skua_task *task)
{
    return task->locals != NULL && task->locals->name[0] != '\0' ? task->locals->name : "unnamed";
}

struct sk_fiber_home **sk_local_fibers(struct skua_task *task)
{
    struct sk_task_locals *locals = locals_of(task);
    return locals != NULL ? &locals->fibers : NULL;
}

struct sk_fiber_home *sk_local_fibers_of(const struct skua_task *task)
{
    return task->locals != NULL ? task->locals->fibers : NULL;
}

void sk_local_destroy(struct skua_task *task)
{
    if (task->scopes != NULL)
        sk_task_left_scope_open(task); /* while it still has its name */
    unsigned count = sk_load_acquire(&keys.x_count);
    bool any = true;
    for (unsigned round = 0; round < DESTROY_ROUNDS && any; round++) {
        any = false;
        for (unsigned key = 0; key < count; key++) {
            void *value = task->locals->values[key];
            if (value == NULL || keys.destroy[key] == NULL)
                continue;
            any = true;
            task->locals->values[key] = NULL;
            keys.destroy[key](value);
        }
    }
    sk_fiber_end(task->locals->fibers);
    sk_mem_free(task->locals);
    task->locals = NULL;
}

int skua_local_key(skua_local *key, void (*destroy)(void *))
{
    if (key == NULL)
        return -EINVAL;
    sk_lock(&keys.lock);
    unsigned count = sk_load_relaxed(&keys.x_count);
    bool room = count < KEYS_MAX;
    if (room) {
        keys.destroy[count] = destroy;
        *key = count;
        sk_store_release(&keys.x_count, count + 1);
    }
    sk_unlock(&keys.lock);
    return room ? 0 : -EAGAIN;
}

void *skua_local_get(skua_local key)
{
    struct skua_task *task = self();
    if (task == NULL || task->locals == NULL || key >= sk_load_relaxed(&keys.x_count))
        return NULL;
    return task->locals->values[key];
}

int skua_local_set(skua_local key, void *value)
{
    struct skua_task *task = self();
    if (task == NULL)
        return -EPERM;
    if (key >= sk_load_relaxed(&keys.x_count))
        return -EINVAL;
    struct sk_task_locals *locals = locals_of(task);
    if (locals == NULL)
        return -ENOMEM;
    locals->values[key] = value;
    return 0;
}

int skua_set_name(const char *name)
{
    struct skua_task *task = self();
    if (task == NULL)
        return -EPERM;
    return sk_local_set_name(task, name);
}

uint64_t skua_id(void)
{
    struct skua_task *task = self();
    return task != NULL ? sk_task_id(task) : 0;
}

skua_task *skua_self(void)
{
    return self();
}

void skua_pin(void)
{
    struct skua_task *task = self();
    if (task == NULL)
        return;
    task->flags |= SK_TASK_TOUCHED;
    SK_CHECK(task->pins < UINT8_MAX);
    if (task->pins++ == 0 && task->affinity == 0) {
        task->affinity = (uint16_t)(sk_current_worker()->index + 1);
        task->flags |= SK_TASK_PIN_SET;
    }
}

void skua_unpin(void)
{
    struct skua_task *task = self();
    if (task == NULL || task->pins == 0)
        return;
    if (--task->pins == 0 && (task->flags & SK_TASK_PIN_SET) != 0) {
        task->affinity = 0;
        task->flags &= (uint8_t)~SK_TASK_PIN_SET;
    }
}
