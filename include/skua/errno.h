/* skua/errno.h - an errno that is safe in a coroutine.
 * The C library promises compilers that errno's address never changes in a function, so they
 * keep it in a register. A coroutine that waits may go on in another thread, and would then read
 * that thread's errno. The accessor below makes no such promise. No function of skua reports
 * through errno; it is unspecified after any call of them. A program that defines
 * SKUA_NO_ERRNO_OVERRIDE keeps the C library's macro: it must then read errno only where nothing
 * that may suspend stands between the failing call and the reading. */
#ifndef SKUA_ERRNO_H
#define SKUA_ERRNO_H

#include <errno.h>

#include <skua/base.h>

SKUA_EXTERN_C_BEGIN

/** The address of the calling thread's errno, asked for anew at every call.
 * returns   never NULL; do not keep it across a call that may suspend.
 * suspends  never.   from  anywhere, also without a runtime.   source  __errno_location. */
SKUA_API int *skua_errno_location(void);

SKUA_EXTERN_C_END

#ifndef SKUA_NO_ERRNO_OVERRIDE
#undef errno
#define errno (*skua_errno_location())
#endif

#endif
