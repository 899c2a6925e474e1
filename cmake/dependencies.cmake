# What skua links: liburing, libjemalloc, threads.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SKUA_LIBURING REQUIRED IMPORTED_TARGET liburing>=2.3)

set(skua_private_libs PkgConfig::SKUA_LIBURING Threads::Threads)
set(skua_pc_libs_private "-luring -lstdc++ -lm -ldl -pthread")
# What a program links beside libskua, as one argument that --as-needed and a sorting of options leave whole:
# libskua.so itself needs no libjemalloc, for then nothing could load it at run time (ADR 0016).
set(skua_allocator "")

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
    # By its name where the linker looks anyway, so that a static program gets the static one.
    get_filename_component(skua_jemalloc_dir ${SKUA_JEMALLOC_LIBRARY} DIRECTORY)
    set(skua_jemalloc ${SKUA_JEMALLOC_LIBRARY})
    if(skua_jemalloc_dir IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES
       AND SKUA_JEMALLOC_LIBRARY MATCHES "/libjemalloc\\.so$")
        set(skua_jemalloc -ljemalloc)
    endif()
    set(skua_allocator "-Wl,--push-state,--no-as-needed,${skua_jemalloc},--pop-state")
endif()
