# cmake --install: headers, both libraries, skua.pc, the CMake package, the documentation and the
# examples. All of it can be moved.
set(skua_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/skua)

# The static library is exported apart: only a program that wants it needs liburing's own files.
install(TARGETS skua_shared EXPORT skuaTargets)
install(TARGETS skua_static EXPORT skuaStaticTargets)
install(EXPORT skuaTargets NAMESPACE skua:: DESTINATION ${skua_package_dir})
install(EXPORT skuaStaticTargets NAMESPACE skua:: DESTINATION ${skua_package_dir})
install(FILES ${SKUA_PUBLIC_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/skua)

# They stand to each other as in the tree, so that their links hold.
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR}
    PATTERN CMakeLists.txt EXCLUDE)

configure_package_config_file(
    ${CMAKE_CURRENT_LIST_DIR}/skuaConfig.cmake.in ${PROJECT_BINARY_DIR}/skuaConfig.cmake
    INSTALL_DESTINATION ${skua_package_dir})
# Until 1.0 a minor version may change what programs see.
write_basic_package_version_file(
    ${PROJECT_BINARY_DIR}/skuaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/skuaConfig.cmake ${PROJECT_BINARY_DIR}/skuaConfigVersion.cmake
    DESTINATION ${skua_package_dir})

# skua.pc finds its prefix from its own place.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(skua_pc_prefix "${CMAKE_INSTALL_PREFIX}")
    set(skua_pc_libdir "${CMAKE_INSTALL_FULL_LIBDIR}")
    set(skua_pc_includedir "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
else()
    file(RELATIVE_PATH skua_pc_up "/x/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/x")
    string(REGEX REPLACE "/$" "" skua_pc_up "${skua_pc_up}")
    set(skua_pc_prefix "\${pcfiledir}/${skua_pc_up}")
    set(skua_pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(skua_pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/skua.pc.in ${PROJECT_BINARY_DIR}/skua.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/skua.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# For gdb: by its own name for `source`, and where gdb looks for what belongs to libskua.so.
install(FILES cmake/skua-gdb.py DESTINATION ${CMAKE_INSTALL_DATADIR}/skua)
install(CODE "
    get_filename_component(lib \"${CMAKE_INSTALL_LIBDIR}\" ABSOLUTE BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
    get_filename_component(data \"${CMAKE_INSTALL_DATADIR}\" ABSOLUTE BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
    file(INSTALL DESTINATION \"\${data}/gdb/auto-load\${lib}\" TYPE FILE
        FILES \"${PROJECT_SOURCE_DIR}/cmake/skua-gdb.py\"
        RENAME \"libskua.so.${PROJECT_VERSION}-gdb.py\")")
