/* runtime/fault.h - a fault on a guard page names the coroutine that ran out of stack, and the
 * remedy; so does a signal whose handler has no room there. The handler runs on an alternate stack of the
 * worker's, which has a guard too, allocates nothing, writes a few
 * lines to standard error, and hands the signal to whoever had it before. */
#ifndef SK_RUNTIME_FAULT_H
#define SK_RUNTIME_FAULT_H

/* Installs the handler for SIGSEGV and SIGBUS; once per process start of a runtime. */
void sk_fault_start(void);
/* Restores what was there before. */
void sk_fault_stop(void);
/* A worker's thread. Sets up its alternate stack; NULL: no memory. */
void *sk_fault_enter_thread(void);
void sk_fault_leave_thread(void *alternate);

#endif
