/* Device memory: pages of their own that only work in streams can touch; each allocation ends at a page that
 * nobody can. Fresh memory holds NaN. Also the machine's properties. */
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>

#include "emulation.h"
#include "streams.h"

namespace {
const size_t page = 4096, alignment = 256, room = (size_t)1 << 40;

struct emulation_machine machine = {1, CUDART_VERSION, 90, (size_t)4 << 30, 0};

struct allocation {
  char *pages;
  size_t page_bytes, bytes;
  int device;
};
std::map<const char *, allocation> device_memory; /* by the address that was given out */
std::map<const char *, size_t> pinned_memory;
size_t used;
enum { NO_DEVICE = -2, EVERY_DEVICE };
int accesses, accessed = NO_DEVICE; /* begun and not ended; whose memory */
size_t allocations_until_failure = SIZE_MAX;

bool allocation_fails() {
  if (allocations_until_failure == SIZE_MAX) return false;
  return allocations_until_failure-- == 0;
}

char *new_pages(size_t bytes) { /* never the same twice: what is freed stays out of reach */
  static char *base, *end;
  if (!base) {
    base = (char *)mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) emulation::die("no room in the address space for device memory");
    end = base + room;
  }
  if (bytes + page > (size_t)(end - base)) emulation::die("all addresses of device memory are used up");
  char *at = base;
  base += bytes + page;
  return at;
}

void protect(const allocation &a) {
  const bool open = accessed == EVERY_DEVICE || accessed == a.device;
  mprotect(a.pages, a.page_bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void protect_all() {
  for (const auto &entry : device_memory) protect(entry.second);
}

template <typename Map> auto holder(const Map &memory, const void *at) {
  auto next = memory.upper_bound((const char *)at);
  return next == memory.begin() ? memory.end() : std::prev(next);
}

void check_range(const void *at, size_t bytes) {
  auto found = holder(device_memory, at);
  if (found == device_memory.end() || (const char *)at + bytes > found->first + found->second.bytes)
    emulation::die("a copy or memset reaches outside of its device memory");
}
} // namespace

namespace emulation {
bool is_device(const void *memory) {
  auto found = holder(device_memory, memory);
  return found != device_memory.end() && (const char *)memory < found->first + found->second.bytes;
}
void begin_access(int device) { /* what began first decides */
  ENTER;
  if (accesses++) return;
  accessed = device;
  protect_all();
}
bool is_pinned(const void *memory) {
  auto found = holder(pinned_memory, memory);
  return found != pinned_memory.end() && (const char *)memory < found->first + found->second;
}
} // namespace emulation

using emulation::set_error;

extern "C" {

void emulation_set_machine(struct emulation_machine new_machine) { machine = new_machine; }

struct emulation_memory emulation_memory(void) {
  struct emulation_memory now = {used, 0};
  for (const auto &entry : pinned_memory) now.pinned += entry.second;
  return now;
}

void emulation_begin_access(void) { emulation::begin_access(EVERY_DEVICE); }

void emulation_end_access(void) {
  ENTER;
  if (--accesses) return;
  accessed = NO_DEVICE;
  protect_all();
}

void emulation_fail_allocation_after(size_t allocations) { allocations_until_failure = allocations; }

cudaError_t cudaDriverGetVersion(int *version) {
  *version = machine.driver;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count) {
  *count = 0;
  if (machine.driver < CUDART_VERSION) return set_error(cudaErrorInsufficientDriver);
  *count = machine.devices;
  return machine.devices ? cudaSuccess : set_error(cudaErrorNoDevice);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  if (device < 0 || device >= machine.devices) return set_error(cudaErrorInvalidDevice);
  *properties = cudaDeviceProp{"emulated GPU", machine.processors ? machine.processors : 2};
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? machine.capability / 10 : machine.capability % 10;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void **memory, size_t bytes) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  *memory = nullptr;
  if (allocation_fails()) return set_error(cudaErrorMemoryAllocation);
  if (emulation::capturing()) return set_error(cudaErrorStreamCaptureUnsupported);
  if (used + bytes > machine.memory) return set_error(cudaErrorMemoryAllocation);
  size_t rounded = (bytes + alignment - 1) / alignment * alignment,
         in_pages = (rounded + page - 1) / page * page;
  char *pages = new_pages(in_pages), *at = pages + in_pages - rounded;
  mprotect(pages, in_pages, PROT_READ | PROT_WRITE);
  memset(pages, 0xff, in_pages);
  device_memory[at] = allocation{pages, in_pages, bytes, emulation::current_device()};
  protect(device_memory[at]);
  used += bytes;
  *memory = at;
  return cudaSuccess;
}

cudaError_t cudaFree(void *memory) { /* waits for the whole device first, as CUDA's does */
  ENTER;
  const cudaError_t lost = emulation::lost();
  if (!memory) return lost;
  emulation::drain_all();
  auto found = device_memory.find((const char *)memory);
  if (found == device_memory.end()) return set_error(cudaErrorInvalidValue);
  munmap(found->second.pages, found->second.page_bytes);
  used -= found->second.bytes;
  device_memory.erase(found);
  return lost;
}

cudaError_t cudaMallocHost(void **memory, size_t bytes) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  *memory = nullptr;
  if (allocation_fails()) return set_error(cudaErrorMemoryAllocation);
  if (emulation::capturing()) return set_error(cudaErrorStreamCaptureUnsupported);
  *memory = malloc(bytes ? bytes : 1);
  if (!*memory) return set_error(cudaErrorMemoryAllocation);
  memset(*memory, 0xff, bytes);
  pinned_memory[(const char *)*memory] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void *memory) {
  ENTER;
  const cudaError_t lost = emulation::lost();
  if (memory && pinned_memory.erase((const char *)memory) == 0) return set_error(cudaErrorInvalidValue);
  free(memory);
  return lost;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  *free_bytes = machine.memory - used;
  *total_bytes = machine.memory;
  return cudaSuccess;
}

/* Memory of the host is read when the stream gets there, also what is not pinned: CUDA may read that sooner, and does not
 * promise to. It is written when the stream gets there, what is not pinned before the call returns. */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice,
       to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  if (from_device != emulation::is_device(from) || to_device != emulation::is_device(to))
    emulation::die("the kind of a copy is not that of its addresses");
  if (from_device) check_range(from, bytes);
  if (to_device) check_range(to, bytes);
  bool pageable = (!from_device && !emulation::is_pinned(from)) || (!to_device && !emulation::is_pinned(to));
  if (pageable && emulation::capturing()) emulation::die("a copy of pageable memory in a graph");
  cudaError_t error = emulation::enqueue(stream, [=] { memmove(to, from, bytes); });
  return pageable && from_device && error == cudaSuccess ? cudaStreamSynchronize(stream) : error;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  check_range(to, bytes);
  return emulation::enqueue(stream, [=] { memset(to, value, bytes); });
}

} // extern "C"
