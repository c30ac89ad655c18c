/* In which order blocks and threads take their turns: a GPU has none. */
#ifndef EMULATION_ORDERS_H
#define EMULATION_ORDERS_H

#include <cstddef>
#include <vector>

#include "emulation.h"

namespace emulation {
/* The order for one block or one grid: of a mixed order, one of the others. */
enum emulation_order draw_order();

/* turns[i]: who comes i-th of n. */
void fill_turns(enum emulation_order order, size_t n, std::vector<size_t> *turns);
} // namespace emulation

#endif
