#include "runtime/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/log.h"

noreturn void sk_panic(const char *file, int line, const char *text)
{
    char last[SK_LOG_LINE_BYTES];
    int n = snprintf(last, sizeof(last), "skua: %s:%d: %s\n", file, line, text);
    sk_log_last(last, (size_t)n < sizeof(last) ? (size_t)n : sizeof(last) - 1);
    abort();
}
