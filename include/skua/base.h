/* skua/base.h - what every public header needs: the version, visibility, C linkage and casts. */
#ifndef SKUA_BASE_H
#define SKUA_BASE_H

#include <stddef.h>
#include <stdint.h>

/* The build reads the version from these three lines. */
#define SKUA_VERSION_MAJOR 0
#define SKUA_VERSION_MINOR 1
#define SKUA_VERSION_PATCH 0

/* The library is built with hidden visibility: only what is marked so is seen from outside. noplt:
 * a call reads the function's address itself, and does not pass by the procedure linkage table. */
#if __has_attribute(noplt)
#define SKUA_API __attribute__((visibility("default"), noplt))
#else
#define SKUA_API __attribute__((visibility("default")))
#endif

/* The compiler warns where the result of such a function is ignored; a cast to void says that this is
 * meant. It stands first in a declaration. C11 has no such attribute, and compilers know it all the
 * same: a header that uses it turns -Wpedantic off for these declarations. */
#if defined(__cplusplus)
#define SKUA_NODISCARD [[nodiscard]]
#elif defined(__has_c_attribute)
#if __has_c_attribute(nodiscard)
#define SKUA_NODISCARD [[nodiscard]]
#endif
#endif
#ifndef SKUA_NODISCARD
#define SKUA_NODISCARD
#endif

#ifdef __cplusplus
#define SKUA_EXTERN_C_BEGIN extern "C" {
#define SKUA_EXTERN_C_END   }
#define SKUA_CAST(type, value) static_cast<type>(value)
#else
#define SKUA_EXTERN_C_BEGIN
#define SKUA_EXTERN_C_END
#define SKUA_CAST(type, value) ((type)(value))
#endif

#endif
