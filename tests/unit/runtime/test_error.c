/* tests/unit/runtime/test_error.c - what a result means, in words. */
#include <skua/errno.h>
#include <skua/runtime.h>

#include "tests/support/skt.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Goal: each code that skua itself makes has a text of its own. */
SKT_TEST(error, own_codes)
{
    static const int codes[] = { ECANCELED, ETIMEDOUT,  EAGAIN, EPIPE, EDEADLK,
                                 ESHUTDOWN, EOWNERDEAD, EPERM,  EBUSY, EINVAL,
                                 ENOMEM };
    enum { N = sizeof(codes) / sizeof(codes[0]) };
    for (size_t i = 0; i < N; i++) {
        const char *text = skua_strerror(-codes[i]);
        SKT_TRUE(text && *text);
        SKT_TRUE(strcmp(text, strerrordesc_np(codes[i])) != 0);
        SKT_TRUE(text == skua_strerror(codes[i]));
        for (size_t j = 0; j < i; j++)
            SKT_TRUE(strcmp(text, skua_strerror(-codes[j])) != 0);
    }
}

/* Goal: all other codes read as the system has them; nonsense has a text too. */
SKT_TEST(error, other_codes)
{
    SKT_STR_EQ(skua_strerror(-ECONNREFUSED), "Connection refused");
    SKT_STR_EQ(skua_strerror(ENOENT), "No such file or directory");
    SKT_STR_EQ(skua_strerror(0), "success");
    static const int nonsense[] = { INT_MIN, INT_MIN + 1, INT_MAX, -4096, 4095, 41 };
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
        SKT_STR_EQ(skua_strerror(nonsense[i]), "unknown error");
    for (int err = -4200; err <= 4200; err++)
        SKT_TRUE(skua_strerror(err) && *skua_strerror(err));
}

/* Goal: the library says the version of the header it was built with. */
SKT_TEST(error, version)
{
    char text[64];
    snprintf(text, sizeof(text), "%d.%d.%d", SKUA_VERSION_MAJOR, SKUA_VERSION_MINOR,
             SKUA_VERSION_PATCH);
    SKT_STR_EQ(skua_version(), text);
}

static void *foreign_errno(void *arg)
{
    (void)arg;
    errno = EDOM;
    return skua_errno_location();
}

/* Goal: the macro is the calling thread's errno, to be read and to be written. */
SKT_TEST(error, errno_location)
{
    pthread_t thread;
    void *foreign;
    errno = ENOTTY;
    SKT_EQ(pthread_create(&thread, NULL, foreign_errno, NULL), 0);
    SKT_EQ(pthread_join(thread, &foreign), 0);
    SKT_EQ(errno, ENOTTY);
    SKT_PTR_NE(foreign, skua_errno_location());
    SKT_PTR_EQ(__errno_location(), skua_errno_location());
}
