#include "runtime/fault.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch.h"
#include "runtime/base/log.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/base/sys.h"
#include "runtime/current.h"
#include "runtime/local.h"
#include "runtime/stack.h"
#include "runtime/task.h"

enum { PAGE_BYTES = 4096, ALTERNATE_BYTES = 64 << 10, MAPPED_BYTES = PAGE_BYTES + ALTERNATE_BYTES };

/* Beside what AT_MINSIGSTKSZ says: the red zone that a frame leaves out, and its alignment. */
enum { SIGNAL_FRAME_MORE_BYTES = 128 + 64 };

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static struct sigaction before[2];
static const int signals[2] = {SIGSEGV, SIGBUS};

/* What a frame that reaches further than the next page says of itself. Functions that are built with
 * -fstack-clash-protection fault in the first page, however large their frames are. */
static void describe_frame(char *text, size_t bytes, const struct sk_stack *stack, uintptr_t sp)
{
    uintptr_t low = (uintptr_t)stack->low;
    *text = '\0';
    if (sp < low && low - sp > PAGE_BYTES)
        snprintf(
            text, bytes,
            ", in a frame that ends %zu bytes past it (a large local array, or alloca: it needs "
            "%zu bytes of stack)",
            (size_t)(low - sp), (size_t)((uintptr_t)stack->top - sp));
}

/* The kernel found no room for the frame of a handler that was to run on this stack: it tells of a fault
 * without an address, and of what the signal interrupted. */
static bool lacks_room_for_signal(const struct sk_stack *stack, const siginfo_t *info, uintptr_t sp)
{
    uintptr_t low = (uintptr_t)stack->low;
    return info->si_code == SI_KERNEL && info->si_addr == NULL && sp >= low &&
           sp - low < getauxval(AT_MINSIGSTKSZ) + SIGNAL_FRAME_MORE_BYTES;
}

static void describe_touch(char *text, size_t bytes, const struct sk_stack *stack, const void *addr,
                           uintptr_t sp)
{
    char frame[160];
    describe_frame(frame, sizeof(frame), stack, sp);
    snprintf(text, bytes, "touched %p, %zu bytes past the end of its stack%s", addr,
             (size_t)(stack->low - (const char *)addr), frame);
}

static void describe_signal(char *text, size_t bytes, const struct sk_stack *stack, uintptr_t sp)
{
    snprintf(text, bytes,
             "got a signal with %zu bytes of stack left, too few for its handler (SA_ONSTACK gives "
             "that a stack of its own)",
             (size_t)(sp - (uintptr_t)stack->low));
}

/* snprintf of integers and strings alone allocates nothing in glibc. */
static void report(struct skua_task *task, const char *what)
{
    char text[768];
    const struct sk_stack *stack = task->stack;
    int n = snprintf(text, sizeof(text),
                     "skua: stack overflow: coroutine %llu (%s), spawned at %p, %s: %zu bytes "
                     "promised, %zu to the guard, high-water mark %zu; raise SKUA_STACK_SIZE or "
                     "the stack_size of its skua_task_opts, of a fiber that of skua_fiber_new; a "
                     "generator has SKUA_STACK_SIZE alone\n",
                     (unsigned long long)sk_task_id(task), sk_local_name(task), task->spawn_site,
                     what, (size_t)stack->promised_bytes, (size_t)(stack->top - stack->low),
                     (size_t)(stack->top - sk_stack_high_water(stack)));
    if (n > 0)
        sk_log_last(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* A process has sent the signal, or the kernel without an address: then no instruction may fault again. */
static bool is_sent(const siginfo_t *info)
{
    return info->si_code <= 0 || info->si_code == SI_KERNEL;
}

static void pass_on(int signo, siginfo_t *info, void *context)
{
    const struct sigaction *old = &before[signo == SIGSEGV ? 0 : 1];
    if ((old->sa_flags & SA_SIGINFO) != 0 && old->sa_sigaction != NULL) {
        old->sa_sigaction(signo, info, context);
        return;
    }
    if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(signo);
        return;
    }
    if (old->sa_handler == SIG_IGN && info->si_code <= 0)
        return;
    sigaction(signo, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    if (is_sent(info))
        raise(signo);
    /* else the instruction faults again, and ends the process */
}

static void handle(int signo, siginfo_t *info, void *context)
{
    struct skua_task *task = sk_current_task();
    const struct sk_stack *stack = task != NULL ? task->stack : NULL;
    uintptr_t sp = sk_arch_sp_of(context);
    char what[320];
    *what = '\0';
    if (stack != NULL && sk_stack_overran(stack, info->si_addr, sp))
        describe_touch(what, sizeof(what), stack, info->si_addr, sp);
    else if (stack != NULL && lacks_room_for_signal(stack, info, sp))
        describe_signal(what, sizeof(what), stack, sp);
    if (*what != '\0')
        report(task, what);
    pass_on(signo, info, context);
}

void sk_fault_start(void)
{
    struct sigaction action = {.sa_sigaction = handle,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < 2; i++)
        sigaction(signals[i], &action, &before[i]);
}

void sk_fault_stop(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct sigaction now;
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_sigaction == handle)
            sigaction(signals[i], &before[i], NULL);
    }
}

/* A guard below: a program's handler that asks for SA_ONSTACK runs there too, and must not write on into
 * what another has mapped. Without a mapping left for it there is none. */
void *sk_fault_enter_thread(void)
{
    char *alternate = sk_mem_map(PAGE_BYTES, MAPPED_BYTES);
    if (alternate == NULL)
        return NULL;
    sk_san_root(alternate, MAPPED_BYTES, false); /* nothing may look at a guard */
    (void)sk_sys.mprotect(alternate, PAGE_BYTES, PROT_NONE);
    sigaltstack(&(stack_t){.ss_sp = alternate + PAGE_BYTES, .ss_size = ALTERNATE_BYTES}, NULL);
    return alternate;
}

void sk_fault_leave_thread(void *alternate)
{
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    if (alternate == NULL)
        return;
    sk_san_root(alternate, MAPPED_BYTES, true); /* as sk_mem_unmap expects it */
    sk_mem_unmap(alternate, MAPPED_BYTES);
}
