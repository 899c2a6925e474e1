// Bodies that throw, for test_throw.c.
#include <skua/skua.h>

#include <cerrno>

extern "C" {
int throw_catch_throw(skua_gen *g, void *arg);
int throw_out(skua_gen *g, void *arg);
void *throw_out_of_fiber(void *arg);
int throw_try_next(skua_gen *g);
}

namespace
{
struct counter {
    int *count;
    ~counter()
    {
        ++*count;
    }
};

[[gnu::noinline]] void fail(int *unwound, int code)
{
    counter frame{unwound};
    throw code;
}
} // namespace

// Yields what it has caught, after the handler.
int throw_catch_throw(skua_gen *g, void *arg)
{
    for (int i = 1; i <= 3; i++) {
        int caught = 0;
        try {
            fail(static_cast<int *>(arg), i);
        } catch (int code) {
            caught = code;
        }
        int rc = skua_gen_yield(g, &caught, nullptr);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int throw_out(skua_gen *, void *arg)
{
    fail(static_cast<int *>(arg), 7);
    return 0;
}

void *throw_out_of_fiber(void *arg)
{
    fail(static_cast<int *>(arg), 7);
    return nullptr;
}

// -EIO if the body's exception came here, which it must not.
int throw_try_next(skua_gen *g)
{
    try {
        return skua_gen_next(g, nullptr, nullptr);
    } catch (...) {
        return -EIO;
    }
}
