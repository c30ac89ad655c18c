#include "orders.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>

#include "streams.h"

namespace {
const char *const names[] = {"mixed", "forward", "reverse", "shuffled"};

enum emulation_order from_environment() {
  const char *name = getenv("TANDEM_EMULATION_ORDER");
  if (!name) return ORDER_MIXED;
  for (int i = 0; i < 4; i++)
    if (!strcmp(name, names[i])) return (enum emulation_order)i;
  emulation::die("TANDEM_EMULATION_ORDER is none of mixed, forward, reverse, shuffled");
}

enum emulation_order &current() {
  static enum emulation_order order = from_environment();
  return order;
}

/* The same in every run. Knuth's MMIX generator: the upper half is good enough. */
uint32_t random_below(uint32_t n) {
  static uint64_t state = 1;
  state = state * 6364136223846793005U + 1442695040888963407U;
  return (uint32_t)((state >> 32) * n >> 32);
}
} // namespace

void emulation_set_order(enum emulation_order order) { current() = order; }

namespace emulation {
enum emulation_order draw_order() {
  if (current() != ORDER_MIXED) return current();
  return (enum emulation_order)(ORDER_FORWARD + random_below(3));
}

void fill_turns(enum emulation_order order, size_t n, std::vector<size_t> *turns) {
  turns->resize(n);
  std::iota(turns->begin(), turns->end(), 0);
  for (size_t i = 0; i < n / 2 && order == ORDER_REVERSE; i++) std::swap((*turns)[i], (*turns)[n - 1 - i]);
  for (size_t i = n; i > 1 && order == ORDER_SHUFFLED; i--)
    std::swap((*turns)[i - 1], (*turns)[random_below((uint32_t)i)]);
}
} // namespace emulation
