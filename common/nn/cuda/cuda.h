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

/* Whose data or gradients have a twin (engine.h). */
struct twins {
  struct tensor **of;
  int n, room;
};

struct cuda {
  int device, processors; /* streaming multiprocessors */
  enum precision precision;
  enum plans plans;
  cudaStream_t stream;      /* of all computation */
  const float *bn_momentum; /* on the device: run->bn_momentum of the step that runs there */
  bool replays;             /* a recorded step will be launched: kernels are not (launch.cuh sees to it) */
  struct pixel_ring *pixels;
  struct dnn *dnn;   /* made by cuda_need_dnn */
  struct blas *blas; /* made by cuda_need_blas */
  struct cuda_step *step;
  struct twins twins;
  struct loss_slots *losses;
  const struct gpu_model *described; /* planned for, and not there: no call of CUDA. NULL: there is a GPU */
  char title[256];                   /* the GPU's name, as the driver has it */
};

/* CUDA's status as ours; `what` names the failed call. Errors: E_MEMORY, E_DEVICE. */
enum status cuda_check(cudaError_t error, const char *what);

/* Memory of the GPU, and of the host where the GPU reaches it, for `what`. Errors: E_MEMORY (what is needed and free,
 * what to change: `advice`, or a smaller network or batch), E_DEVICE. cudaFree, cudaFreeHost. */
enum status cuda_malloc(void **memory, size_t bytes, const char *what);
enum status cuda_malloc_or(void **memory, size_t bytes, const char *what, const char *advice);
enum status cuda_malloc_host(void **memory, size_t bytes, const char *what);
enum status cuda_malloc_host_or(void **memory, size_t bytes, const char *what, const char *advice);

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

/* Up to CUDA_CONVERSIONS of these by one launch. */
enum { CUDA_CONVERSIONS = 256 };
struct cuda_conversion {
  void *to;
  const void *from;
  enum element to_element, from_element;
  int64_t count, room; /* as above */
};
enum status cuda_convert_all(struct cuda *cuda, const struct cuda_conversion *conversions, int n);

/* For prepare: a tensor in the form that the libraries multiply: numbers of a type, `room` of them, of which the last may be
 * zeros. Where every kernel that multiplies it asks for it as it is, it needs no twin. Those of parameters and buffers are made by
 * one launch at the start of each forward pass. E_DEVICE: it was asked for in another form. */
enum status cuda_want_form(struct cuda *cuda, struct tensor *t, enum element element, int64_t room);

/* Likewise for all inputs of a node, of the type that is multiplied and as many numbers as they have. */
enum status cuda_want_factors(struct cuda *cuda, struct node *n);

/* For forward, once before the others: makes the twins of inputs that this pass computed. */
enum status cuda_make_factors(struct cuda *cuda, const struct node *n);

/* Where the tensor is in that form, in both passes. */
static inline void *cuda_factor_at(const struct tensor *t) {
  return t->data_twin.bytes ? t->data_twin.at : t->data;
}

/* A parameter's gradient in that form: a kernel leaves it at t->grad_twin.at, and one launch at the end of the backward pass brings all
 * of them back. */
enum status cuda_want_grad_form(struct cuda *cuda, struct tensor *t, enum element element, int64_t room);

enum status cuda_twins_make(struct cuda *cuda);
enum status cuda_twins_bring_back(void *device); /* the backend's backward_end */
void cuda_twins_close(struct twins *twins);

/* Steps, recorded and replayed (struct backend). */
struct own_memory cuda_step_memory(void);
enum status cuda_step_open(struct cuda_step **step);
void cuda_step_close(struct cuda_step **step); /* accepts NULL; nulls */
enum status cuda_step_begin(void *device, bool *replays);
enum status cuda_step_end(void *device, enum status status);
enum status cuda_forward_begin(void *device, const struct run *run);
/* Transfers are not recorded. E_ARG: a step is under way. */
enum status cuda_outside_steps(const struct cuda *cuda);

/* Puts what changes from step to step where kernels read it: at *on_device, aligned to 16 bytes, until the next step.
 * Also for a step that is replayed, in the order of its recording. E_DEVICE: more than there is room for. */
enum { CUDA_SMALL = 1 << 18 }; /* bytes that always fit */
enum status cuda_argument(struct cuda *cuda, const void *values, size_t bytes, const void **on_device);

/* Room beside the arguments for what one launch of a step leaves to the next. */
enum status cuda_room(struct cuda *cuda, size_t bytes, void **on_device);

/* For bind: copies the host's numbers to node->constant, or to `on_device` within it. */
enum status cuda_constant(const struct cuda *cuda, void *on_device, const void *values, size_t bytes);

/* Losses on their way to the host (struct backend). */
struct own_memory loss_slots_memory(void);
enum status loss_slots_open(struct loss_slots **slots);
void loss_slots_close(struct loss_slots **slots); /* accepts NULL; nulls */
enum status cuda_send(void *device, const struct tensor *const *from, int n, int slot);
enum status cuda_take(void *device, double *to, int n, int slot);

/* Of images: a copy stream with its buffers. Made when the first images come. */
void pixel_ring_close(struct pixel_ring **ring); /* accepts NULL; nulls */
struct own_memory pixel_ring_memory(size_t image_bytes);

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
