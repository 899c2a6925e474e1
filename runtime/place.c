#include "runtime/place.h"

#include <errno.h>

#include "arch.h"
#include "runtime/base/log.h"
#include "runtime/local.h"
#include "runtime/sched.h"
#include "runtime/stack.h"
#include "runtime/wait.h"

/* NULL on the thread's own stack. */
static __thread struct sk_stack *thread_stack;

bool sk_place_is_callback(void)
{
    return sk_current_worker() != NULL ? sk_current_task() == NULL : sk_wait_is_forbidden();
}

/* Not inlined, and not without an effect in the compiler's eyes: else it might keep the address of a
 * thread-local across a switch. A callback is another runner than the thread that it interrupts. */
__attribute__((noinline)) struct sk_place_thread sk_place_of_thread(void)
{
    __asm__ volatile("" : : : "memory");
    char *thread = sk_arch_thread();
    return (struct sk_place_thread){.runner = thread + sk_place_is_callback(),
                                    .stack = &thread_stack};
}

int sk_place_take_stack(struct sk_stack **out, size_t promised_bytes)
{
    struct sk_worker *w = sk_current_worker();
    if (w != NULL) {
        bool more = promised_bytes > sk_stack_default_bytes();
        *out = sk_stack_take(&w->stacks, more ? promised_bytes : 0);
    } else {
        int rc = sk_stack_prepare();
        if (rc < 0)
            return rc;
        *out = sk_stack_take_shared(promised_bytes);
    }
    return *out != NULL ? 0 : -ENOMEM;
}

void sk_place_give_stack(struct sk_stack *stack)
{
    struct sk_worker *w = sk_current_worker();
    if (w != NULL)
        sk_sched_give_stack(w, stack);
    else
        sk_stack_give_shared(stack);
}

noreturn void sk_place_left_scope_open(struct skua_task *task, const char *what, const void *p,
                                       const char *did)
{
    sk_log(
        SK_LOG_ERROR,
        "coroutine %llu (%s): its %s at %p %s with the scope at %p open, which was opened in it; "
        "close every scope in the body that opened it",
        (unsigned long long)sk_task_id(task), sk_local_name(task), what, p, did,
        (void *)task->scopes);
    sk_panic(__FILE__, __LINE__, "a body was left with a scope open");
}

noreturn void sk_place_misused(const char *call, const char *what, const void *p, const char *why)
{
    sk_log(SK_LOG_ERROR, "%s: the %s at %p %s", call, what, p, why);
    sk_panic(__FILE__, __LINE__, "a fiber or generator was misused");
}
