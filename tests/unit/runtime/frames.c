/* Functions with frames of one size each, of which they touch the far end alone. Built twice: as
 * frames_plain, and with -fstack-clash-protection as frames_probed. */
#include "tests/unit/runtime/frames.h"

/* Sanitizers would put the array elsewhere, or touch what lies between. */
#if defined(__clang__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNCHECKED __attribute__((noinline, no_sanitize("address", "thread", "undefined")))
#else
#define UNCHECKED __attribute__((noinline))
#endif

/* clang would shrink an array to what constants index. */
static volatile int first;

#define FRAME(kib)                         \
    UNCHECKED static int touch_##kib(void) \
    {                                      \
        volatile char array[(kib) << 10];  \
        for (int i = 0; i < 64; i++)       \
            array[first + i] = (char)i;    \
        return array[first];               \
    }

FRAME(48)
FRAME(60)
FRAME(100)
FRAME(300)
FRAME(2000)

const struct frame FRAMES[] = {
    {48, touch_48}, {60, touch_60}, {100, touch_100}, {300, touch_300}, {2000, touch_2000}, {0, 0},
};
