/* What the CUDA kernels share: the device and its streams, layouts, status checks. C; kernels include
 * launch.cuh, which has the rest.
 *
 * Tensors [N,C,H,W] are NHWC with the channels padded by zeros to a multiple of CUDA_LANES; others are
 * row-major. Every tensor, gradient, saved state and scratch begins at a multiple of 256 bytes, and what lies
 * between its end and the next multiple belongs to it: a kernel may read and write whole vectors there.
 * Everything runs on one stream, in order. */
#ifndef NN_CUDA_H
#define NN_CUDA_H

#include <cuda_runtime_api.h>

#include "nn/engine.h"

enum { CUDA_LANES = 8 }; /* numbers of a vector: 16 bytes of bf16 */

struct cuda {
  int device, processors; /* streaming multiprocessors */
  enum precision precision;
  bool deterministic;
  cudaStream_t stream;      /* of all computation */
  const float *bn_momentum; /* on the device: run->bn_momentum of the step that runs there */
  bool replays;             /* a recorded step will be launched: kernels are not (launch.cuh sees to it) */
  struct pixel_ring *pixels;
  struct dnn *dnn;   /* made by cuda_need_dnn */
  struct blas *blas; /* made by cuda_need_blas */
  struct cuda_step *step;
  struct loss_slots *losses;
};

/* CUDA's status as ours; `what` names the failed call. */
enum status cuda_check(cudaError_t error, const char *what);

/* cudaMalloc. E_MEMORY: says how much was wanted and is free, and `advice`. */
enum status cuda_memory(size_t bytes, const char *advice, void **memory);

/* The size of one number. */
size_t cuda_element_bytes(enum element element);

/* Numbers in memory, the padding of channels included. */
int64_t cuda_count(const struct shape *shape, struct layout layout);
size_t cuda_bytes(const struct shape *shape, struct layout layout);

/* Loads NVIDIA's libraries when the first op that calls them is prepared. Errors: E_DEVICE, E_VERSION, E_MEMORY. */
enum status cuda_need_dnn(struct cuda *cuda);
enum status cuda_need_blas(struct cuda *cuda);

/* The type of what the libraries multiply. */
static inline enum element cuda_factor(const struct cuda *cuda) {
  return cuda->precision == PRECISION_BF16 ? ELEMENT_BF16 : ELEMENT_OWN;
}

/* Bytes up to where the next thing may begin. */
static inline size_t cuda_whole(size_t bytes) { return (bytes + 255) / 256 * 256; }

/* to [columns] float32 = sums over the rows of `from` [rows, columns], or += them. */
enum status cuda_column_sums(struct cuda *cuda, float *to, const void *from, enum element from_element,
                             int64_t rows, int64_t columns, bool accumulate);

/* count numbers, then zeros up to `room` numbers; or += them. Vectors are written whole. */
enum status cuda_convert(struct cuda *cuda, void *to, enum element to_element, const void *from,
                         enum element from_element, int64_t count, int64_t room, bool accumulate);

/* Steps, recorded and replayed (struct backend). */
enum status cuda_step_open(struct cuda_step **step);
void cuda_step_close(struct cuda_step **step); /* accepts NULL; nulls */
enum status cuda_step_begin(void *device, bool *replays);
enum status cuda_step_end(void *device, enum status status);
enum status cuda_forward_begin(void *device, const struct run *run);

/* Puts what changes from step to step where kernels read it: at *on_device, aligned to 16 bytes, until the next step.
 * Also for a step that is replayed, in the order of its recording. E_DEVICE: more than there is room for. */
enum { CUDA_SMALL = 1 << 18 }; /* bytes that always fit */
enum status cuda_argument(struct cuda *cuda, const void *values, size_t bytes, const void **on_device);

/* Room beside the arguments for what one launch of a step leaves to the next. */
enum status cuda_room(struct cuda *cuda, size_t bytes, void **on_device);

/* A copy of the host's numbers that kernels read whenever they run; for bind. cudaFree it in release. */
enum status cuda_constant(const struct cuda *cuda, const void *values, size_t bytes, void **on_device);

/* Losses on their way to the host (struct backend). */
enum status loss_slots_open(struct loss_slots **slots);
void loss_slots_close(struct loss_slots **slots); /* accepts NULL; nulls */
enum status cuda_send(void *device, const struct tensor *const *from, int n, int slot);
enum status cuda_take(void *device, double *to, int n, int slot);

/* Of images: a copy stream with its buffers. Made when the first images come. */
void pixel_ring_close(struct pixel_ring **ring); /* accepts NULL; nulls */

/* Images on the device, as bytes [N, H, W, 3], to t. */
enum status cuda_normalise(struct cuda *cuda, const struct tensor *t, const uint8_t *nhwc,
                           const double mean[3], const double std[3]);

/* Transfers (struct backend). */
enum status cuda_upload(void *device, const struct tensor *t, void *at, const void *host, bool host_f64);
enum status cuda_download(void *device, const struct tensor *t, const void *at, void *host, bool host_f64);
enum status cuda_pixels(void *device, const struct tensor *t, const uint8_t *nhwc, const double mean[3],
                        const double std[3]);
enum status cuda_accumulate(void *device, const struct tensor *t, void *to, const void *from);

#endif
