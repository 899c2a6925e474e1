/* runtime/fiber.h - what a coroutine's end has to do with its fibers. */
#ifndef SK_RUNTIME_FIBER_H
#define SK_RUNTIME_FIBER_H

struct sk_fiber_home;

/* Its coroutine, or thread, ends, on its own stack: frees all its fibers. home may be NULL. */
void sk_fiber_end(struct sk_fiber_home *home);

#endif
