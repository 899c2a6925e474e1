/* runtime/fiber.h - what a coroutine's end, and its generators, have to do with its
 * fibers. */
#ifndef SK_RUNTIME_FIBER_H
#define SK_RUNTIME_FIBER_H

#include <stdbool.h>

struct sk_fiber_home;
struct skua_task;

/* Its coroutine, or thread, ends, on its own stack: frees all its fibers. home may be NULL. */
void sk_fiber_end(struct sk_fiber_home *home);
/* The running coroutine. Whether its fiber has a scope open that was not when it was entered last; true
 * outside any fiber. */
bool sk_fiber_has_opened(const struct skua_task *task);

#endif
