/* runtime/gen.h - what a fiber must know of the generators that it stands in. */
#ifndef SK_RUNTIME_GEN_H
#define SK_RUNTIME_GEN_H

struct skua_gen;
struct sk_stack;

/* Its body's caller, while it runs. Its body will never go on: it has ended with -ECANCELED, and its
 * stack goes back; it is gone if it was being freed. Returns the stack on which its caller stands. */
struct sk_stack *sk_gen_forsake(struct skua_gen *g);

#endif
