/* runtime/base/valgrind.h - the few requests that skua has of Valgrind, by the instructions that its own
 * header describes for x86-64: they do nothing on a processor. */
#ifndef SK_RUNTIME_BASE_VALGRIND_H
#define SK_RUNTIME_BASE_VALGRIND_H

#include <stdint.h>

enum {
    SK_VALGRIND_RUNNING = 0x1001,
    SK_VALGRIND_STACK_REGISTER = 0x1501,   /* lowest and highest address; returns its number */
    SK_VALGRIND_STACK_DEREGISTER = 0x1502, /* number */
    SK_VALGRIND_MAKE_DEFINED = 0x4d430002, /* Memcheck: address, bytes */
};

/* Not under Valgrind, and for a tool that does not know it: 0. */
static inline uint64_t sk_valgrind_request(uint64_t request, uint64_t a, uint64_t b)
{
#if defined(__x86_64__)
    volatile uint64_t words[6] = {request, a, b, 0, 0, 0};
    uint64_t result = 0;
    __asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi\n\t"
                     "xchgq %%rbx, %%rbx"
                     : "=d"(result)
                     : "a"(&words[0]), "0"(result)
                     : "cc", "memory");
    return result;
#else
    (void)request, (void)a, (void)b;
    return 0;
#endif
}

#endif
