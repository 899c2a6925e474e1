/* tests/include/use_own_errno.cc - a program that keeps the C library's errno. */
#define SKUA_NO_ERRNO_OVERRIDE
#include <skua/skua.h>

#include "use.h"

int USE_PASTE(own_errno_, DIALECT)(void)
{
    errno = EDOM;
    return skua_worker() == UINT_MAX && /* without <limits.h> of one's own */
           errno == EDOM && &errno == skua_errno_location();
}
