# How everything in this tree is compiled. Nothing of this is exported.

# skua_warnings: what the peers and all of ours share.
add_library(skua_warnings INTERFACE)
target_compile_options(skua_warnings INTERFACE
    $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wshadow -Wconversion -Wvla -Wundef>
    $<$<COMPILE_LANGUAGE:C,CXX>:-Wimplicit-fallthrough>
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
    $<$<BOOL:${SKUA_WERROR}>:-Werror>)

if(SKUA_SANITIZE)
    target_compile_options(skua_warnings INTERFACE
        $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=${SKUA_SANITIZE}>
        $<$<COMPILE_LANGUAGE:C,CXX>:-fno-sanitize-recover=all>
        $<$<COMPILE_LANGUAGE:C,CXX>:-fno-omit-frame-pointer>)
    target_link_options(skua_warnings INTERFACE -fsanitize=${SKUA_SANITIZE})
endif()

# skua_flags: ours. Includes go by path from the root; "arch.h" is the one of the machine.
# -fno-semantic-interposition: nobody replaces one of our public functions, so calls of them inside
# the library may be direct, as they are in the static one.
add_library(skua_flags INTERFACE)
target_link_libraries(skua_flags INTERFACE skua_warnings)
target_include_directories(skua_flags INTERFACE
    ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/runtime/arch/${CMAKE_SYSTEM_PROCESSOR})
target_compile_options(skua_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C,CXX>:-fno-semantic-interposition>)
# Empty, as a source that defines it itself has it; g++ defines it always.
target_compile_definitions(skua_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE=>)

if(SKUA_DEBUG)
    target_compile_definitions(skua_flags INTERFACE SK_DEBUG=1)
    target_compile_options(skua_flags INTERFACE
        $<$<COMPILE_LANGUAGE:C,CXX>:-fno-omit-frame-pointer>)
endif()

# One floor of the library: objects that both the static and the shared library are made of.
function(skua_floor name)
    add_library(${name} OBJECT ${ARGN})
    target_link_libraries(${name} PRIVATE skua_flags skua_headers)
    set_target_properties(${name} PROPERTIES
        POSITION_INDEPENDENT_CODE ON
        C_VISIBILITY_PRESET hidden
        C_EXTENSIONS ON)
    # The library is linked at program start, so its few thread-locals can have fixed offsets. Its
    # messages name its files as they stand in the tree, wherever that was when it was built.
    # Our frames touch their pages in turn, as those of the program do (docs/adr/0020).
    target_compile_options(${name} PRIVATE
        $<$<COMPILE_LANGUAGE:C>:-fstack-clash-protection>
        $<$<COMPILE_LANGUAGE:C>:-ftls-model=initial-exec>
        $<$<COMPILE_LANGUAGE:C>:-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=>)
endfunction()
