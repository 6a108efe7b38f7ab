// What every function of these files does with an exception: none leaves it.

#pragma once

#include <cstring>
#include <exception>

// Null on success, or a message that the caller owns.
template <class Work> static char *guarded(Work work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("libtorch threw something that is not an exception");
  }
}
