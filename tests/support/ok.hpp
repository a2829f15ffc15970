// ASSERT_OK: a Result or Status without an error; the error is shown otherwise.
#pragma once

#include <gtest/gtest.h>

#define ASSERT_OK(expression)                                               \
  do {                                                                      \
    const auto& sluice_outcome = (expression);                              \
    ASSERT_TRUE(sluice_outcome.ok()) << sluice_outcome.error().to_string(); \
  } while (false)
