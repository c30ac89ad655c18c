/* Transfers between row-major numbers of the host and tensors. Parameters, results and small inputs go this
 * way; images have their own (cuda_pixels). */
#include <stdlib.h>
#include <string.h>

#include "nn/cuda/bf16.h"
#include "nn/cuda/cuda.h"

size_t cuda_element_bytes(enum element element) {
  return element == ELEMENT_BF16 ? sizeof(bf16) : sizeof(float);
}

/* Numbers per pixel: the channels of a row-major tensor are no special axis. */
static int64_t lanes_of(const struct shape *shape, struct layout layout) {
  return layout.block ? (shape->dim[1] + layout.block - 1) / layout.block * layout.block : 1;
}

int64_t cuda_count(const struct shape *shape, struct layout layout) {
  int64_t count = shape_count(*shape);
  return layout.block ? count / shape->dim[1] * lanes_of(shape, layout) : count;
}

size_t cuda_bytes(const struct shape *shape, struct layout layout) {
  return (size_t)cuda_count(shape, layout) * cuda_element_bytes(layout.element);
}

/* Where number i of the row-major order lies. Every layout of this backend has one block of channels. */
static int64_t place_of(const struct tensor *t, int64_t i) {
  if (!t->layout.block) return i;
  int64_t area = t->shape.dim[2] * t->shape.dim[3], channels = t->shape.dim[1];
  int64_t pixel = i % area, c = i / area % channels, n = i / area / channels;
  return (n * area + pixel) * t->layout.block + c;
}

static enum status staging(const struct tensor *t, void **memory) {
  *memory = calloc(1, t->bytes);
  return *memory ? OK : fail(E_MEMORY, "out of memory for a transfer of %zu MiB", t->bytes >> 20);
}

/* Pageable memory, which the caller may free afterwards: whether the copy returns before it was read is the driver's choice. */
static enum status copy_and_wait(const struct cuda *cuda, void *to, const void *from, size_t bytes) {
  enum status st = cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, cuda->stream),
                              "copying to the device");
  return st == OK ? cuda_check(cudaStreamSynchronize(cuda->stream), "copying to the device") : st;
}

/* Small inputs go by way of the pinned arguments: others wait for the step that is computed. */
static enum status send(struct cuda *cuda, const struct tensor *t, void *at, const void *staged) {
  const void *sent = staged;
  enum status st = OK;
  if (t->role != TENSOR_INPUT || t->bytes > CUDA_SMALL) return copy_and_wait(cuda, at, staged, t->bytes);
  TRY(cuda_argument(cuda, staged, t->bytes, &sent));
  TRY(cuda_check(cudaMemcpyAsync(at, sent, t->bytes, cudaMemcpyDeviceToDevice, cuda->stream),
                 "copying on the device"));
out:
  return st;
}

enum status cuda_upload(void *device, const struct tensor *t, void *at, const void *host, bool host_f64) {
  struct cuda *cuda = device;
  void *staged;
  enum status st = cuda_outside_steps(cuda);
  if (st == OK) st = staging(t, &staged);
  if (st != OK) return st;
  for (int64_t i = 0, n = shape_count(t->shape); i < n; i++) {
    float x = host_f64 ? (float)((const double *)host)[i] : ((const float *)host)[i];
    int64_t to = place_of(t, i);
    if (t->layout.element == ELEMENT_BF16) {
      ((bf16 *)staged)[to] = bf16_round(x);
    } else {
      ((float *)staged)[to] = x;
    }
  }
  st = send(cuda, t, at, staged);
  free(staged);
  return st;
}

enum status cuda_download(void *device, const struct tensor *t, const void *at, void *host, bool host_f64) {
  struct cuda *cuda = device;
  void *staged;
  enum status st = cuda_outside_steps(cuda);
  if (st == OK) st = staging(t, &staged);
  if (st != OK) return st;
  TRY(cuda_check(cudaMemcpyAsync(staged, at, t->bytes, cudaMemcpyDeviceToHost, cuda->stream),
                 "copy from the device"));
  TRY(cuda_check(cudaStreamSynchronize(cuda->stream), "synchronise"));
  for (int64_t i = 0, n = shape_count(t->shape); i < n; i++) {
    int64_t from = place_of(t, i);
    float x = t->layout.element == ELEMENT_BF16 ? bf16_widen(((const bf16 *)staged)[from])
                                                : ((const float *)staged)[from];
    if (host_f64) {
      ((double *)host)[i] = x;
    } else {
      ((float *)host)[i] = x;
    }
  }
out:
  free(staged);
  return st;
}

enum status cuda_constant(const struct cuda *cuda, void *on_device, const void *values, size_t bytes) {
  return copy_and_wait(cuda, on_device, values, bytes);
}
