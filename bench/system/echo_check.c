/* bench/system/echo_check.c - see echo_check.h. */
#include "bench/system/echo_check.h"

#include <stdlib.h>
#include <string.h>

char *load_echo_pattern(void)
{
    char *pattern = malloc(LOAD_ECHO_PERIOD + LOAD_ECHO_WINDOW);
    if (!pattern)
        return NULL;
    uint64_t x = 88172645463325252u; /* xorshift64 */
    for (size_t i = 0; i < LOAD_ECHO_PERIOD; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        pattern[i] = (char)(x >> 32);
    }
    memcpy(pattern + LOAD_ECHO_PERIOD, pattern, LOAD_ECHO_WINDOW);
    return pattern;
}
