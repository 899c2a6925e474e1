/* runtime/place.h - who runs here, and on which stack he stands: what fibers and generators share.
 * Whoever changes his stack without the scheduler says so: a coroutine in its record's `stack`, from
 * which the scheduler, the fault report and the room for inline children know it, others in a
 * thread-local.
 * Threads: the calling one. The runner, and with him the place where his stack is noted, stays the
 * same across a switch and a suspension; nothing else here does. */
#ifndef SK_RUNTIME_PLACE_H
#define SK_RUNTIME_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdnoreturn.h>

#include "runtime/base/assert.h"
#include "runtime/current.h"
#include "runtime/scope.h"
#include "runtime/task.h"
#include "runtime/worker.h"

struct sk_place {
    void *runner;            /* a coroutine, a thread, or a thread in a callback: an identity */
    struct skua_task *task;  /* NULL: no coroutine */
    struct sk_stack **stack; /* where he stands; *stack NULL: on the thread's own, or unknown */
};

/* The scopes that were open when a body was entered. */
struct sk_place_scopes {
    struct sk_scope *innermost;
    int16_t depth;
};

/* The place of who is no coroutine: two words, which are returned in registers. */
struct sk_place_thread {
    void *runner;
    struct sk_stack **stack;
};
struct sk_place_thread sk_place_of_thread(void);
/* Whether the caller was called back by skua_on_done or a timer, and is nobody. */
bool sk_place_is_callback(void);

static inline struct sk_place sk_place_here(void)
{
    struct sk_worker *w = sk_current_worker();
    if (sk_unlikely(w == NULL || w->current == NULL)) {
        struct sk_place_thread thread = sk_place_of_thread();
        return (struct sk_place){.runner = thread.runner, .stack = thread.stack};
    }
    struct skua_task *task = w->current;
    return (struct sk_place){.runner = task, .task = task, .stack = &task->stack};
}

/* A stack from the cache at hand. 0, -ENOMEM, or -EINVAL after a line about SKUA_STACK_SIZE. */
int sk_place_take_stack(struct sk_stack **out, size_t promised_bytes);
void sk_place_give_stack(struct sk_stack *stack);

static inline void sk_place_note_scopes(struct sk_place_scopes *s, const struct skua_task *task)
{
    s->innermost = task != NULL ? task->scopes : NULL;
    s->depth = s->innermost != NULL ? s->innermost->depth : 0;
}

/* Whether task has a scope open that was not when s was noted. It may have closed some that were. */
static inline bool sk_place_has_opened(const struct sk_place_scopes *s,
                                       const struct skua_task *task)
{
    const struct sk_scope *now = task != NULL ? task->scopes : NULL;
    return sk_unlikely(now != s->innermost) && now != NULL && now->depth >= s->depth;
}

/* Ends the process: what (a fiber, a generator) at p has done that with the innermost scope of task
 * open. */
noreturn void sk_place_left_scope_open(struct skua_task *task, const char *what, const void *p,
                                       const char *did);
/* Ends the process: "call: what at p why". */
noreturn void sk_place_misused(const char *call, const char *what, const void *p, const char *why);

#endif
