/* What tests and emulated libraries ask of the emulation beyond CUDA's API. */
#ifndef EMULATION_H
#define EMULATION_H

#include <stddef.h>

#include "cuda_runtime_api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A library call: `work` runs in stream order, where device memory can be read and written, with a copy of
 * `arguments` as they are now. */
cudaError_t emulation_enqueue(cudaStream_t stream, void (*work)(void *arguments), const void *arguments,
                              size_t bytes);

/* Device memory can be touched from here to the end: for tests that look into it after a synchronisation. */
void emulation_begin_access(void);
void emulation_end_access(void);

/* The machine that is emulated from now on. */
struct emulation_machine {
  int devices;    /* 0: cudaErrorNoDevice */
  int driver;     /* as cudaDriverGetVersion: 13000; 0: none installed */
  int capability; /* 90: sm_90 */
  size_t memory;  /* bytes of device memory */
  int processors; /* 0: 2, few, so that blocks take several turns */
};
void emulation_set_machine(struct emulation_machine machine);

/* The GPU is lost at the call of CUDA's API that comes after so many others: that one and all behind it fail, and
 * nothing that was asked of it is done any more. SIZE_MAX: never; and a lost one is well again. */
void emulation_lose_device_after(size_t calls);
/* One allocation fails, that which comes after so many others. SIZE_MAX: none. */
void emulation_fail_allocation_after(size_t allocations);

/* In which order blocks of a grid and threads of a block run, and go on behind a barrier. Mixed, the default: another of
 * these three for every block and grid, the same ones in every run. The environment's TANDEM_EMULATION_ORDER names the
 * one to begin with: mixed, forward, reverse or shuffled. */
enum emulation_order { ORDER_MIXED, ORDER_FORWARD, ORDER_REVERSE, ORDER_SHUFFLED };
void emulation_set_order(enum emulation_order order);

/* Bytes that are allocated now. */
struct emulation_memory {
  size_t device, pinned;
};
struct emulation_memory emulation_memory(void);

#ifdef __cplusplus
}
#endif

#endif
