/* Between the parts of the emulation. */
#ifndef EMULATION_STREAMS_H
#define EMULATION_STREAMS_H

#include <functional>
#include <mutex>

#include "cuda_runtime_api.h"

namespace emulation {
/* Held by every call of the API: one thread at a time is within. */
std::recursive_mutex &entrance();
/* First in every call that a lost GPU fails: its error from then on. */
cudaError_t lost();
int current_device();                     /* the calling thread's */
cudaError_t set_error(cudaError_t error); /* for cudaGetLastError; returns it */
/* Appends to the stream or to the graph that it records. */
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);
void drain_all();
int device_of(cudaStream_t stream);
bool capturing(); /* the calling thread records a stream */
void begin_access(
    int device); /* to its memory, to which no other has access; ended by emulation_end_access */
bool is_pinned(const void *memory);
bool is_device(const void *memory);
[[noreturn]] void die(const char *what);
} // namespace emulation

#define ENTER std::lock_guard<std::recursive_mutex> entered(emulation::entrance())

#endif
