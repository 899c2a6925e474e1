/* skua/gen.h - generators: a function that hands out one value after the other, and takes values.
 * The body has a stack of its own and runs as its caller, on the caller's worker: skua_self, name,
 * locals, cancellation and deadlines are those of whoever has called skua_gen_next, and if the body
 * waits, its caller waits. Each call may come from another coroutine or thread, one at a time; what
 * orders them, a channel for instance, is the users'.
 * Generators need no runtime: a plain program may use them in any of its threads. Only then a stack
 * overflow, though it hits a guard, ends the process without skua's report; so does one in a plain
 * thread beside a runtime. A stack is of the default size (SKUA_STACK_SIZE).
 * A scope that is opened in the body has to be closed in it before the next yield; a body that
 * returns with one open ends the process with a message.
 * In C++, no yield inside a catch block or a destructor that runs while unwinding, and no
 * exception may leave a body. */
#ifndef SKUA_GEN_H
#define SKUA_GEN_H

#include <skua/base.h>

SKUA_EXTERN_C_BEGIN

typedef struct skua_gen skua_gen;

#define SKUA_GEN_VALUE_MAX 65536 /* bytes of a value, either way */

/** Makes a generator. Nothing runs yet.
 * g         written on success.
 * fn        the body, called with the generator and arg by the first skua_gen_next. 0 or positive:
 *           finished; negative: a failure.
 * out_size  bytes of what it yields, 0 .. SKUA_GEN_VALUE_MAX.
 * in_size   bytes of what is sent to it, 0 .. SKUA_GEN_VALUE_MAX.
 * returns   0; -EINVAL (g or fn is NULL, a size is too large, SKUA_STACK_SIZE says nonsense);
 *           -ENOMEM: no memory, or no stack.
 * suspends  never.   from  anywhere, also without a runtime. */
SKUA_API int skua_gen_new(skua_gen **g, int (*fn)(skua_gen *, void *), void *arg, size_t out_size,
                          size_t in_size);

/** Runs the body until its next yield or its end. The first call starts it and ignores send.
 * send      what the pending yield takes in; NULL: zeroes.
 * out       written with what is yielded if 1 is returned; NULL discards it.
 * returns   1: a value; 0: finished; negative: the body's failure. Once it has ended the same 0 or
 *           failure again; -EINVAL: it is running, or g is NULL.
 * suspends  if the body does.   from  anywhere. */
SKUA_API int skua_gen_next(skua_gen *g, const void *send, void *out);

/** Like skua_gen_next, but the pending yield returns err and takes nothing in. One that has not
 * started ends with err, its body is never called.
 * err       negative.
 * returns   as skua_gen_next; -EINVAL: err is not negative.
 * suspends  if the body does.   from  anywhere. */
SKUA_API int skua_gen_throw(skua_gen *g, int err, void *out);

/** In the body: hands out a value, and goes on with the next call of skua_gen_next or _throw.
 * g         the generator whose body this is: not one further out, nor in a child that runs in it.
 * out       what skua_gen_next returns; NULL: zeroes.
 * in        written with what is sent if 0 is returned; NULL discards it.
 * returns   0; the error that was thrown; -ECANCELED: it is being freed: the body should release
 *           what it holds and return; yields then return at once. -EINVAL: the caller is not its
 *           body, or a scope opened in the body is still open; nothing was handed out.
 * suspends  as seen by the coroutine: no.   from  the body of g. */
SKUA_API int skua_gen_yield(skua_gen *g, const void *out, void *in);

/** Frees a generator. If it is suspended its body is unwound first: the pending yield returns
 * -ECANCELED, and every further one at once, until the body returns; meanwhile neither
 * cancellation nor deadlines of its caller reach it, only the end of skua_stop's patience. One that
 * has not started never runs. Freeing it while it runs ends the process with a message.
 * g         NULL is ignored.
 * suspends  if the body does.   from  anywhere. */
SKUA_API void skua_gen_free(skua_gen *g);

SKUA_EXTERN_C_END

#endif
