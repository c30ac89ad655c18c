/* Threads of a block as fibers. A thread runs until it ends or waits at a barrier; one that never waits is an
 * ordinary call, and the next thread runs on the same stack. Blocks run one after another, and each finds NaN in its
 * shared memory. */
#include <ucontext.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "cuda_runtime.h"
#include "orders.h"
#include "streams.h"

/* What kernels declare __shared__ lies in one section (cuda_runtime.h), whose ends the linker knows. */
extern "C" uint64_t __start_emulated_shared[] __attribute__((weak)),
    __stop_emulated_shared[] __attribute__((weak));

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace {
enum { STACK = 256 << 10, MAX_THREADS = 1024, WARP = 32, SHARED_LIMIT = 48 << 10 };

struct fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  uint3 thread;             /* whose turn it was when the fiber parked */
  size_t linear;            /* the same, counted */
  const size_t *generation; /* of the barrier it waits at; NULL: idle */
  size_t seen;
};

struct barrier {
  size_t arrived = 0, generation = 0;
};

struct warp {
  barrier meet;
  uint64_t slot[WARP];
};

struct block_run {
  const std::function<void()> *thread;
  size_t n_threads, next,
      begun; /* threads of the block; the next to begin, in the order of turns; how many may */
  std::vector<size_t> turns;
  barrier all;
  std::vector<warp> warps;
};

block_run block;
std::vector<std::unique_ptr<fiber>> fibers; /* kept for the next block */
fiber *running;
ucontext_t scheduler;
std::vector<unsigned char> shared_memory;

uint3 place_of(size_t i) {
  return {(unsigned)(i % blockDim.x), (unsigned)(i / blockDim.x % blockDim.y),
          (unsigned)(i / blockDim.x / blockDim.y)};
}

size_t linear() {
  return threadIdx.x + (size_t)blockDim.x * (threadIdx.y + (size_t)blockDim.y * threadIdx.z);
}

void run_threads() {
  for (;;) {
    while (block.next < block.begun) {
      threadIdx = place_of(block.turns[block.next++]);
      (*block.thread)();
    }
    running->generation = nullptr;
    swapcontext(&running->context, &scheduler);
  }
}

void resume(fiber *f) {
  running = f;
  if (f->generation) threadIdx = f->thread;
  f->generation = nullptr;
  swapcontext(&scheduler, &f->context);
}

fiber *idle_fiber() {
  for (auto &f : fibers) {
    if (!f->generation) return f.get();
  }
  fibers.push_back(std::make_unique<fiber>());
  fiber *f = fibers.back().get();
  f->stack.reset(new char[STACK]);
  f->generation = nullptr;
  getcontext(&f->context);
  f->context.uc_stack.ss_sp = f->stack.get();
  f->context.uc_stack.ss_size = STACK;
  f->context.uc_link = nullptr;
  makecontext(&f->context, run_threads, 0);
  return f;
}

/* Until `count` threads have come. The last one waits for its turn, too. */
void wait_at(barrier *b, size_t count) {
  running->thread = threadIdx;
  running->linear = linear();
  running->generation = &b->generation;
  running->seen = b->generation;
  if (++b->arrived == count) {
    b->arrived = 0;
    b->generation++;
  }
  swapcontext(&running->context, &scheduler);
}

/* By words, so that no library function is called: AddressSanitizer would mind what lies between the variables. */
__attribute__((no_sanitize_address, no_sanitize_undefined)) void spoil_shared_memory() {
  std::fill(shared_memory.begin(), shared_memory.end(), 0xff);
  for (volatile uint64_t *at = __start_emulated_shared; at + 1 <= __stop_emulated_shared; at++)
    *at = UINT64_MAX;
}

/* Those that can go on do, in their turns, one warp as far as barriers let it before the next. Whether anybody did. */
bool go_on(enum emulation_order order) {
  std::vector<fiber *> parked(block.n_threads, nullptr); /* by thread */
  std::vector<size_t> warps, lanes;
  bool moved = false;
  for (auto &f : fibers)
    if (f->generation) parked[f->linear] = f.get();
  emulation::fill_turns(order, block.warps.size(), &warps);
  emulation::fill_turns(order, WARP, &lanes);
  for (size_t w : warps) {
    for (bool again = true; again;) {
      again = false;
      for (size_t l : lanes) {
        fiber *f = w * WARP + l < block.n_threads ? parked[w * WARP + l] : nullptr;
        if (!f || !f->generation || *f->generation == f->seen) continue;
        again = moved = true;
        resume(f);
      }
    }
  }
  return moved;
}

bool anybody_waits() {
  for (const auto &f : fibers)
    if (f->generation) return true;
  return false;
}

void run_block() {
  const enum emulation_order order = emulation::draw_order();
  emulation::fill_turns(order, block.n_threads, &block.turns);
  block.all = barrier{};
  block.warps.assign((block.n_threads + WARP - 1) / WARP, warp{});
  spoil_shared_memory();
  for (block.next = block.begun = 0; block.next < block.n_threads; go_on(order)) {
    block.begun = std::min(block.begun + WARP, block.n_threads);
    while (block.next < block.begun) resume(idle_fiber());
  }
  while (go_on(order)) {}
  if (anybody_waits()) emulation::die("threads of a block wait for others that ended or wait elsewhere");
}

void run_grid(dim3 grid, dim3 threads, size_t shared_bytes, const std::function<void()> &thread) {
  gridDim = grid;
  blockDim = threads;
  block.thread = &thread;
  block.n_threads = (size_t)threads.x * threads.y * threads.z;
  shared_memory.resize(shared_bytes + 16);
  std::vector<size_t> turns;
  emulation::fill_turns(emulation::draw_order(), (size_t)grid.x * grid.y * grid.z, &turns);
  for (size_t i : turns) {
    blockIdx = {(unsigned)(i % grid.x), (unsigned)(i / grid.x % grid.y), (unsigned)(i / grid.x / grid.y)};
    run_block();
  }
}
} // namespace

namespace emulation {
cudaError_t launch(dim3 grid, dim3 threads, size_t shared_bytes, cudaStream_t stream,
                   std::function<void()> thread) {
  ENTER;
  if (cudaError_t error = lost()) return error;
  size_t n = (size_t)threads.x * threads.y * threads.z;
  bool fits = n >= 1 && n <= MAX_THREADS && threads.z <= 64 && grid.x >= 1 && grid.y >= 1 && grid.z >= 1 &&
              grid.x <= 0x7fffffff && grid.y <= 65535 && grid.z <= 65535 && shared_bytes <= SHARED_LIMIT;
  if (!fits) return set_error(cudaErrorInvalidConfiguration);
  if (device_of(stream) != current_device()) return set_error(cudaErrorInvalidResourceHandle);
  return enqueue(stream, [=] { run_grid(grid, threads, shared_bytes, thread); });
}

void *dynamic_shared() {
  auto at = (uintptr_t)shared_memory.data();
  return (void *)((at + 15) / 16 * 16);
}

void block_barrier() { wait_at(&block.all, block.n_threads); }

unsigned lane() { return (unsigned)(linear() % WARP); }

void warp_barrier(unsigned mask) {
  size_t w = linear() / WARP, lanes = std::min<size_t>(WARP, block.n_threads - w * WARP);
  if (lanes < WARP || mask != 0xffffffffu) die("warp functions are for whole warps");
  wait_at(&block.warps[w].meet, lanes);
}

uint64_t warp_exchange(unsigned mask, uint64_t bits, unsigned source) {
  warp &w = block.warps[linear() / WARP];
  w.slot[lane()] = bits;
  warp_barrier(mask);
  uint64_t theirs = w.slot[source];
  warp_barrier(mask);
  return theirs;
}
} // namespace emulation
