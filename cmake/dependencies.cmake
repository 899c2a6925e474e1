# What skua links: liburing, libjemalloc, threads.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SKUA_LIBURING REQUIRED IMPORTED_TARGET liburing>=2.3)

set(skua_private_libs PkgConfig::SKUA_LIBURING Threads::Threads)
set(skua_pc_libs_private "-luring -lstdc++ -lm -ldl -pthread")
set(skua_uses_jemalloc OFF)

if(SKUA_JEMALLOC AND SKUA_SANITIZE)
    message(STATUS "skua: built with sanitizers, hence without jemalloc")
elseif(SKUA_JEMALLOC)
    pkg_check_modules(SKUA_JEMALLOC_PC REQUIRED jemalloc)
    find_library(SKUA_JEMALLOC_LIBRARY jemalloc HINTS ${SKUA_JEMALLOC_PC_LIBRARY_DIRS} REQUIRED
        DOC "libjemalloc.so")
    # A static jemalloc and link-time optimisation do not go together: the compiler takes away what
    # jemalloc relies on (jemalloc#2890).
    if(SKUA_JEMALLOC_LIBRARY MATCHES "\\.a$"
       AND (CMAKE_INTERPROCEDURAL_OPTIMIZATION OR CMAKE_C_FLAGS MATCHES "-flto"))
        message(FATAL_ERROR
            "skua: link-time optimisation with a static jemalloc (${SKUA_JEMALLOC_LIBRARY}) gives "
            "broken programs (jemalloc#2890). Use the shared libjemalloc (on Debian: apt-get "
            "install libjemalloc-dev, and unset SKUA_JEMALLOC_LIBRARY), or -DSKUA_JEMALLOC=OFF, "
            "or no link-time optimisation.")
    endif()
    add_library(skua_jemalloc INTERFACE)
    target_include_directories(skua_jemalloc SYSTEM INTERFACE ${SKUA_JEMALLOC_PC_INCLUDE_DIRS})
    list(APPEND skua_private_libs ${SKUA_JEMALLOC_LIBRARY})
    string(PREPEND skua_pc_libs_private "-ljemalloc ")
    set(skua_uses_jemalloc ON)
endif()
