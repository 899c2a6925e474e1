/* runtime/arch/x86_64/switch.S - the context switch for x86-64, System V ABI.
 *
 * struct sk_worker *sk_switch(void **save, void *to, struct sk_worker *worker)
 *
 * Saves what the ABI lets a callee keep (rbp, rbx, r12-r15) on the stack that is left, stores its
 * stack pointer in *save, takes `to` as the stack pointer and restores the same from there. The
 * worker passes through in rdx and is returned in rax. It ends in `ret`: the return predictor then
 * goes with the stack that is entered more often than after a jump (10 against 16 ns a switch
 * measured on Zen 4). The floating-point control words stay the thread's (docs/adr/0003): saving
 * them costs 4 ns of 6. A coroutine that changes the rounding mode restores it before it suspends.
 * The layout of a saved context is repeated by sk_arch_prepare in arch.h. */

/* What the ABI lets a callee keep, on the stack and back. */
    .macro  save_registers
    pushq   %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq   %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq   %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq   %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq   %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    .endm

    .macro  restore_registers
    popq    %r15
    .cfi_adjust_cfa_offset -8
    popq    %r14
    .cfi_adjust_cfa_offset -8
    popq    %r13
    .cfi_adjust_cfa_offset -8
    popq    %r12
    .cfi_adjust_cfa_offset -8
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    popq    %rbp
    .cfi_adjust_cfa_offset -8
    .endm

    .text

    .globl  sk_switch
    .hidden sk_switch
    .type   sk_switch, @function
    .p2align 4
sk_switch:
    .cfi_startproc
    save_registers
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
    restore_registers
    movq    %rdx, %rax
    ret
    .cfi_endproc
    .size   sk_switch, .-sk_switch

/* void sk_switch_away(void *to, struct sk_worker *worker)
 * As sk_switch, for a context that is never resumed: nothing is saved. It jumps: there is no call
 * whose return this could be, and the indirect predictor knows better where coroutines go on than
 * the return predictor does (docs/adr/0003). */
    .globl  sk_switch_away
    .hidden sk_switch_away
    .type   sk_switch_away, @function
    .p2align 4
sk_switch_away:
    .cfi_startproc
    .cfi_undefined rip
    movq    %rdi, %rsp
    movq    %rsi, %rax
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbx
    popq    %rbp
    popq    %rcx
    jmp     *%rcx
    .cfi_endproc
    .size   sk_switch_away, .-sk_switch_away

/* void *sk_arch_hand_over(void **save, void *to, void *value)
 * As sk_switch, and returns value there, but jumps. For switches that go on in another function than
 * they came from: there the return predictor is wrong with every return until that to its user, and
 * a tail call has none but this one (docs/adr/0012). */
    .globl  sk_arch_hand_over
    .hidden sk_arch_hand_over
    .type   sk_arch_hand_over, @function
    .globl  sk_arch_hand_code
    .hidden sk_arch_hand_code
    .type   sk_arch_hand_code, @function
    .p2align 4
sk_arch_hand_code:
sk_arch_hand_over:
    .cfi_startproc
    save_registers
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
    movq    %rdx, %rax
.Lresume:
    restore_registers
    popq    %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    jmp     *%rcx
    .cfi_endproc
    .size   sk_arch_hand_over, .-sk_arch_hand_over
    .size   sk_arch_hand_code, .-sk_arch_hand_code

/* void sk_arch_hand_last(void *to, void *(*fn)(void *), void *arg)
 * Leaves the caller's stack for good, calls fn(arg) on the one that is entered, above the saved
 * context, and returns there what fn has returned. */
    .globl  sk_arch_hand_last
    .hidden sk_arch_hand_last
    .type   sk_arch_hand_last, @function
    .p2align 4
sk_arch_hand_last:
    .cfi_startproc
    .cfi_undefined rip
    leaq    -8(%rdi), %rsp
    .cfi_def_cfa rsp, 64
    .cfi_offset rip, -8
    .cfi_offset rbp, -16
    .cfi_offset rbx, -24
    .cfi_offset r12, -32
    .cfi_offset r13, -40
    .cfi_offset r14, -48
    .cfi_offset r15, -56
    movq    %rdx, %rdi
    call    *%rsi
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    jmp     .Lresume
    .cfi_endproc
    .size   sk_arch_hand_last, .-sk_arch_hand_last

/* The first instruction of a fresh stack: rax is the worker, or what was handed over, r12 the entry
 * function, r13 its second argument. rsp is 16-byte aligned + 0 here, so that the call leaves the
 * callee with the alignment that the ABI promises. An undefined return address tells unwinders and
 * debuggers that the coroutine begins here. */
    .globl  sk_arch_entry
    .hidden sk_arch_entry
    .type   sk_arch_entry, @function
    .p2align 4
sk_arch_entry:
    .cfi_startproc
    .cfi_undefined rip
    movq    %rax, %rdi
    movq    %r13, %rsi
    call    *%r12
    ud2
    .cfi_endproc
    .size   sk_arch_entry, .-sk_arch_entry

/* int sk_arch_call(int (*fn)(void *), void *arg) */
    .globl  sk_arch_call
    .hidden sk_arch_call
    .type   sk_arch_call, @function
    .p2align 4
sk_arch_call:
    .cfi_startproc
    .cfi_undefined rip
    subq    $8, %rsp
    movq    %rdi, %rax
    movq    %rsi, %rdi
    call    *%rax
    addq    $8, %rsp
    ret
    .cfi_endproc
    .size   sk_arch_call, .-sk_arch_call

/* How functions marked SK_ARCH_RETURN_BY_JUMP return; the name is the compilers'. */
    .weak   __x86_return_thunk
    .hidden __x86_return_thunk
    .type   __x86_return_thunk, @function
    .p2align 4
__x86_return_thunk:
    .cfi_startproc
    popq    %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    jmp     *%rcx
    .cfi_endproc
    .size   __x86_return_thunk, .-__x86_return_thunk

    .section .note.GNU-stack, "", @progbits
