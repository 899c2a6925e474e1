# libskua.a and libskua.so, of the same objects.
set(skua_floors skua_runtime skua_sync skua_io)
set(skua_objects "")
foreach(floor IN LISTS skua_floors)
    list(APPEND skua_objects $<TARGET_OBJECTS:${floor}>)
endforeach()

add_library(skua_static STATIC ${skua_objects})
add_library(skua_shared SHARED ${skua_objects})
foreach(lib skua_static skua_shared)
    set_target_properties(${lib} PROPERTIES OUTPUT_NAME skua LINKER_LANGUAGE C)
    target_include_directories(${lib} INTERFACE
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    # What runs on our stacks touches each page of a large frame in turn, so that none jumps over a guard
    # (docs/adr/0020).
    target_compile_options(${lib} INTERFACE
        $<$<OR:$<COMPILE_LANG_AND_ID:C,GNU,Clang>,$<COMPILE_LANG_AND_ID:CXX,GNU,Clang>>:-fstack-clash-protection>)
    target_link_libraries(${lib} PRIVATE ${skua_private_libs} INTERFACE ${skua_allocator})
    if(SKUA_SANITIZE)
        target_link_options(${lib} PUBLIC -fsanitize=${SKUA_SANITIZE})
    endif()
endforeach()

set_target_properties(skua_shared PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} EXPORT_NAME skua)
# Calls between our own public functions need no way through the PLT.
target_link_options(skua_shared PRIVATE -Wl,-Bsymbolic-functions)
# It has threads, and destructors that its threads run at their end: dlclose must not take its code away.
target_link_options(skua_shared PRIVATE -Wl,-z,nodelete)
if(NOT SKUA_SANITIZE)
    target_link_options(skua_shared PRIVATE -Wl,--no-undefined)
endif()

add_library(skua::skua ALIAS skua_shared)
add_library(skua::skua_static ALIAS skua_static)
