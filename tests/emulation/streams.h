/* Between the parts of the emulation. */
#ifndef EMULATION_STREAMS_H
#define EMULATION_STREAMS_H

#include <functional>

#include "cuda_runtime_api.h"

namespace emulation {
cudaError_t set_error(cudaError_t error); /* for cudaGetLastError; returns it */
/* Appends to the stream or to the graph that it records. */
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);
void drain_all();
bool capturing(); /* any stream records */
bool is_pinned(const void *memory);
bool is_device(const void *memory);
[[noreturn]] void die(const char *what);
} // namespace emulation

#endif
