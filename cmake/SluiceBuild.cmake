# Compiler, linker and cache settings, and the two functions by which folders declare libraries and tests.
option(SLUICE_FUZZ "Build the fuzz targets (clang only)" OFF)
set(SLUICE_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
# -g1 keeps stack traces readable and halves the time and disk that debug information costs.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wno-missing-field-initializers -Wno-dangling-else -fno-omit-frame-pointer
                    "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
if(SLUICE_SANITIZE)
  add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-sanitize-recover=all -O1)  # what is found ends the program
  add_link_options(-fsanitize=${SLUICE_SANITIZE})
endif()

if(SLUICE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)  # the decoders themselves tell the fuzzer which ways were taken
endif()

# sluice_library(NAME SOURCES... [LINK targets...]): one static library per folder.
function(sluice_library name)
  cmake_parse_arguments(A "" "" "LINK" ${ARGN})
  if(NOT A_UNPARSED_ARGUMENTS)  # a folder that has no source file yet
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${A_LINK})
    return()
  endif()
  add_library(${name} STATIC ${A_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${A_LINK})
endfunction()

# sluice_test(NAME LABEL SOURCES... [LINK targets...]): one GoogleTest program; LABEL is unit, integration, e2e or drill.
function(sluice_test name label)
  cmake_parse_arguments(A "" "TIMEOUT" "LINK" ${ARGN})
  add_executable(${name} ${A_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${A_LINK} GTest::gtest_main GTest::gmock)
  if(NOT TARGET tests_${label})  # all programs of a label, and what they start: ./dev test unit builds no more than it runs
    add_custom_target(tests_${label})
  endif()
  add_dependencies(tests_${label} ${name})
  if(NOT label STREQUAL "unit")
    add_dependencies(tests_${label} sluice)
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  # A program of which every test was skipped says so in ctest's list too.
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${A_TIMEOUT}
    SKIP_REGULAR_EXPRESSION "PASSED  . 0 tests\\.\n(.  SKIPPED .[^\n]*\n)+$"
    ENVIRONMENT "SLUICE_BIN=${CMAKE_BINARY_DIR}/sluice;SLUICE_SOURCE_DIR=${CMAKE_SOURCE_DIR};TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/cmake/tsan.supp")
endfunction()
