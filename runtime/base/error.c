/* runtime/base/error.c - what a result means, in words; which version this is; errno for
 * coroutines.
 * Threads: any thread, any coroutine; every text is constant. */
#include <skua/errno.h>
#include <skua/runtime.h>

#include <errno.h>
#include <string.h>

/* The codes that skua itself makes. Where the kernel returns the same one, the text must not be
 * wrong. */
static const char *own_text(int err)
{
    switch (err) {
    case 0:
        return "success";
    case ECANCELED:
        return "cancelled";
    case ETIMEDOUT:
        return "the deadline has passed";
    case EAGAIN:
        return "it would have to wait, or none is left";
    case ENOMEM:
        return "no memory, or another resource that a limit bounds is used up";
    case EPIPE:
        return "closed: the channel, or the other end of the connection";
    case EDEADLK:
        return "the wait could never end";
    case ESHUTDOWN:
        return "no runtime, or it is stopping";
    case EOWNERDEAD:
        return "used in a forked child, where the runtime does not exist";
    case EPERM:
        return "not permitted: only a coroutine may call this, or only the holder unlock";
    case EBUSY:
        return "busy: not everything in it had ended by the deadline";
    case EINVAL:
        return "bad argument";
    default:
        return NULL;
    }
}

const char *skua_strerror(int err)
{
    if (err < -4095)
        return "unknown error"; /* no errno, and INT_MIN has no positive twin */
    int code = err < 0 ? -err : err;
    const char *text = own_text(code);
    if (!text)
        text = strerrordesc_np(code); /* unlike strerror: constant, not translated */
    return text ? text : "unknown error";
}

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

const char *skua_version(void)
{
    return TEXT(SKUA_VERSION_MAJOR) "." TEXT(SKUA_VERSION_MINOR) "." TEXT(SKUA_VERSION_PATCH);
}

/* The C library's accessor is declared const: compilers ask it once and keep the address. This one
 * must be asked each time, so nobody may look inside: neither to inline it, nor (link-time
 * optimisation) to find that it too is const. */
__attribute__((noinline)) int *skua_errno_location(void)
{
    __asm__ volatile("" ::: "memory");
    return __errno_location();
}
