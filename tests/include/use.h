/* tests/include/use.h - what each dialect says about the headers; see use.c and use.cc. */
#ifndef SKUA_TESTS_USE_H
#define SKUA_TESTS_USE_H

#include <stddef.h>
#include <stdint.h>

enum { USE_SIZES = 15 };

struct use {
    size_t sizes[USE_SIZES]; /* of the public structures */
    size_t inits[USE_SIZES]; /* the size field that each INIT macro sets */
    int rest_is_zero;        /* what the INIT macros leave */
    int errno_works;         /* the override reads what a system call wrote */
};

#ifdef __cplusplus
extern "C" {
#endif
void use_gnu11(struct use *out);
void use_posix(struct use *out);
void use_cxx17(struct use *out);
int own_errno_gnu11(void);
int own_errno_posix(void);
int own_errno_cxx17(void);
#ifdef __cplusplus
}
#endif

#define USE_PASTE_(a, b) a##b
#define USE_PASTE(a, b)  USE_PASTE_(a, b)

#endif
