/* runtime/arch/x86_64/arch.h - the context switch and the small things C cannot say, for x86-64.
 * A saved context is the stack pointer alone: sk_switch pushes rbp, rbx and r12-r15 on the stack
 * that is left. See switch.S. */
#ifndef SK_RUNTIME_ARCH_ARCH_H
#define SK_RUNTIME_ARCH_ARCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <ucontext.h>

struct sk_worker;

/* Bytes that sk_arch_prepare takes from the top of a stack. */
enum { SK_ARCH_FRAME_BYTES = 80 };

/* Saves the caller's context in *save, goes on at the context `to`, and returns there what is
 * passed as worker. The caller's stack is free to be resumed elsewhere as soon as the other side
 * runs. */
struct sk_worker *sk_switch(void **save, void *to, struct sk_worker *worker);

/* Goes on at the context `to` for good: the caller's stack is given up. */
noreturn void sk_switch_away(void *to, struct sk_worker *worker);

/* Calls fn(arg) through a frame that ends every unwinding: a child on its closer's stack is a
 * coroutine of its own. */
int sk_arch_call(int (*fn)(void *), void *arg);

/* As sk_switch, but returns value on the other side, which may be another function than the caller.
 * Call it last, so that the compiler makes a jump of it. */
void *sk_arch_hand_over(void **save, void *to, void *value);
/* The same for an int: a conversion would keep the compiler from it. */
int sk_arch_hand_code(void **save, void *to, int code);

/* Gives the caller's stack up: calls fn(arg) on the stack of the context `to`, and returns there
 * what fn has returned. */
noreturn void sk_arch_hand_last(void *to, void *(*fn)(void *), void *arg);

/* Where a prepared context begins; calls the entry function in r12 with what was handed over, and
 * r13, and never returns. */
void sk_arch_entry(void);

/* For a function that waits, and returns to the program itself. The return predictor expects the caller
 * of whoever ran before, the indirect predictor learns who wakes whom: 6 ns less for each wait
 * (docs/adr/0011). */
#if defined(__has_attribute)
#if __has_attribute(function_return)
#define SK_ARCH_RETURN_BY_JUMP __attribute__((function_return("thunk-extern")))
#endif
#endif
#ifndef SK_ARCH_RETURN_BY_JUMP
#define SK_ARCH_RETURN_BY_JUMP
#endif

/* Makes the context of a fresh stack: when first switched to it calls entry(worker). top is 16-byte
 * aligned. */
static inline void *sk_arch_prepare(void *top, void (*entry)(struct sk_worker *))
{
    uint64_t *sp = (uint64_t *)top;
    *--sp = 0; /* a return address of 0 ends every backtrace */
    *--sp = 0;
    *--sp = (uint64_t)(uintptr_t)sk_arch_entry;
    *--sp = 0;                          /* rbp */
    *--sp = 0;                          /* rbx */
    *--sp = (uint64_t)(uintptr_t)entry; /* r12 */
    *--sp = 0;                          /* r13 */
    *--sp = 0;                          /* r14 */
    *--sp = 0;                          /* r15 */
    return sp;
}

/* The same for a body: when first handed over to it calls entry(value, arg). */
static inline void *sk_arch_prepare_body(void *top, void (*entry)(void *value, void *arg),
                                         void *arg)
{
    uint64_t *sp =
        (uint64_t *)sk_arch_prepare(top, (void (*)(struct sk_worker *))(void (*)(void))entry);
    sp[2] = (uint64_t)(uintptr_t)arg; /* r13 */
    return sp;
}

static inline void sk_arch_pause(void)
{
    __asm__ volatile("pause");
}

/* After a lost race for a word: leaves it, and the line that it is in, to the winner for about half a
 * microsecond. Who tries again at once takes the line away from who could do more with it. */
static inline void sk_arch_back_off(void)
{
    for (int i = 0; i < 40; i++)
        sk_arch_pause();
}

/* The time stamp counter: some 10 ns, against 22 ns of clock_gettime. Its unit is calibrated by the
 * user. */
static inline uint64_t sk_arch_ticks(void)
{
    return __builtin_ia32_rdtsc();
}

/* Where the caller's stack stands. */
static inline uintptr_t sk_arch_sp(void)
{
    uintptr_t sp;
    __asm__ volatile("movq %%rsp, %0" : "=r"(sp));
    return sp;
}

/* Where the stack stood of what a signal's handler interrupted. */
static inline uintptr_t sk_arch_sp_of(const void *context)
{
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
}

/* What only this thread has while it lives: an identity, not to be looked into. */
static inline void *sk_arch_thread(void)
{
    void *self;
    __asm__ volatile("movq %%fs:0, %0" : "=r"(self));
    return self;
}

/* The thread-local `sk_tls_worker`, read afresh at every call: compilers keep the address of a
 * thread-local in a register across a call that may move the coroutine to another thread, but they
 * may not reuse the result of a volatile asm. */
static inline struct sk_worker *sk_arch_tls_worker(void)
{
    struct sk_worker *worker;
    __asm__ volatile("movq sk_tls_worker@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(worker));
    return worker;
}

#endif
