#include "runtime/base/assert.h"

#include <stdlib.h>

#include "runtime/base/log.h"

noreturn void sk_panic(const char *file, int line, const char *text)
{
    sk_log(SK_LOG_ERROR, "%s:%d: %s", file, line, text);
    abort();
}
