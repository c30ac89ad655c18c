/* The CUDA backend: one NVIDIA GPU of compute capability 8.0 or more. Layouts and streams: nn/cuda/cuda.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nn/cuda/cuda.h"
#include "nn/cuda/dnn.h"
#include "nn/cuda/matmul.h"

enum { OLDEST_CAPABILITY = 80 };

/* --- Opening -------------------------------------------------------------------------------------------- */

/* "cuda" or "cuda:N". */
static enum status parse_device(const char *name, int *device) {
  const char *colon = strchr(name, ':');
  *device = 0;
  if (!colon) return OK;
  char *end;
  errno = 0;
  long n = strtol(colon + 1, &end, 10);
  if (end == colon + 1 || *end || errno || n < 0 || n > 1024)
    return fail(E_ARG, "--device %s: after the colon comes a number from 0", name);
  *device = (int)n;
  return OK;
}

/* Why there is no device at all. */
static enum status explain(cudaError_t error) {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver == 0)
    return fail(E_DEVICE, "cuda: no NVIDIA driver (libcuda.so.1) on this machine; --device cpu needs none");
  if (error == cudaErrorInsufficientDriver)
    return fail(E_DEVICE,
                "cuda: the NVIDIA driver supports CUDA %d.%d, this build needs %d.%d; update the driver",
                driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
  if (error == cudaErrorNoDevice)
    return fail(E_DEVICE, "cuda: the driver finds no GPU; see nvidia-smi and CUDA_VISIBLE_DEVICES");
  return cuda_check(error, "counting the GPUs");
}

static enum status check_device(int device) {
  int count = 0, major = 0, minor = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) return explain(error == cudaSuccess ? cudaErrorNoDevice : error);
  if (device >= count)
    return fail(E_DEVICE, "--device cuda:%d: this machine has %d GPU%s, counted from 0", device, count,
                count == 1 ? "" : "s");
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  if (10 * major + minor >= OLDEST_CAPABILITY) return OK;
  return fail(E_DEVICE, "cuda:%d has compute capability %d.%d; at least %d.%d is needed", device, major,
              minor, OLDEST_CAPABILITY / 10, OLDEST_CAPABILITY % 10);
}

static void cuda_close(void *device) {
  struct cuda *cuda = device;
  if (!cuda) return;
  if (cuda->stream) cudaStreamSynchronize(cuda->stream);
  loss_slots_close(&cuda->losses);
  cuda_step_close(&cuda->step);
  blas_close(&cuda->blas);
  dnn_close(&cuda->dnn);
  pixel_ring_close(&cuda->pixels);
  if (cuda->stream) cudaStreamDestroy(cuda->stream);
  free(cuda);
}

static enum status cuda_open(void **device, const struct graph_config *config) {
  *device = NULL;
  struct cuda *cuda = calloc(1, sizeof *cuda);
  if (!cuda) return fail(E_MEMORY, "out of memory for the cuda backend");
  enum status st = OK;
  cuda->precision = config->precision;
  cuda->deterministic = config->deterministic;
  TRY(parse_device(config->device, &cuda->device));
  TRY(check_device(cuda->device));
  TRY(cuda_check(cudaSetDevice(cuda->device), "choosing the GPU"));
  TRY(cuda_check(cudaDeviceGetAttribute(&cuda->processors, cudaDevAttrMultiProcessorCount, cuda->device),
                 "reading the GPU's properties"));
  TRY(cuda_check(cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking), "making a stream"));
  TRY(cuda_step_open(&cuda->step));
  TRY(loss_slots_open(&cuda->losses));
out:
  if (st != OK) cuda_close(cuda);
  *device = st == OK ? cuda : NULL;
  return st;
}

enum status cuda_need_dnn(struct cuda *cuda) {
  if (cuda->dnn) return OK;
  return dnn_open(&cuda->dnn, &(struct dnn_config){.deterministic = cuda->deterministic});
}

enum status cuda_need_blas(struct cuda *cuda) { return cuda->blas ? OK : blas_open(&cuda->blas); }

static void cuda_enter(void *device) {
  const struct cuda *cuda = device;
  cudaSetDevice(cuda->device); /* it was chosen before, so it cannot fail */
}

/* --- Memory --------------------------------------------------------------------------------------------- */

enum status cuda_memory(size_t bytes, const char *advice, void **memory) {
  size_t free_bytes = 0, total_bytes = 0;
  cudaError_t error = cudaMalloc(memory, bytes);
  if (error != cudaErrorMemoryAllocation) return cuda_check(error, "allocation");
  cudaGetLastError();
  cudaMemGetInfo(&free_bytes, &total_bytes);
  return fail(E_MEMORY, "cuda: %zu MiB are needed in one piece, %zu of the GPU's %zu MiB are free; %s",
              bytes >> 20, free_bytes >> 20, total_bytes >> 20, advice);
}

static enum status cuda_alloc(void *device, size_t bytes, void **memory) {
  struct cuda *cuda = device;
  enum status st = cuda_memory(bytes, "use a smaller --batch or --width", memory);
  return st == OK ? cuda_check(cudaMemsetAsync(*memory, 0, bytes, cuda->stream), "clearing memory") : st;
}

static void cuda_release(void *device, void *memory) {
  struct cuda *cuda = device;
  cudaStreamSynchronize(cuda->stream);
  cudaFree(memory);
}

static enum status cuda_wait(void *device) {
  const struct cuda *cuda = device;
  return cuda_check(cudaStreamSynchronize(cuda->stream), "waiting for the GPU");
}

/* Activations are what precision is about: whatever else is results of one axis, parameters, their gradients
 * and labels stay float32. */
static struct layout cuda_layout(void *device, const struct tensor *t) {
  const struct cuda *cuda = device;
  struct layout layout = {0, NULL, ELEMENT_OWN};
  bool images = t->shape.n_dims == 4, activation = images
                                                       ? t->role == TENSOR_RESULT || t->role == TENSOR_INPUT
                                                       : t->role == TENSOR_RESULT && t->shape.n_dims == 2;
  if (images) layout.block = (t->shape.dim[1] + CUDA_LANES - 1) / CUDA_LANES * CUDA_LANES;
  if (activation && cuda->precision == PRECISION_BF16) layout.element = ELEMENT_BF16;
  return layout;
}

const struct backend backend_cuda = {
    .name = "cuda",
    .element = sizeof(float),
    .open = cuda_open,
    .close = cuda_close,
    .enter = cuda_enter,
    .layout = cuda_layout,
    .alloc = cuda_alloc,
    .release = cuda_release,
    .bytes = cuda_bytes,
    .upload = cuda_upload,
    .download = cuda_download,
    .pixels = cuda_pixels,
    .add = cuda_accumulate,
    .forward_begin = cuda_forward_begin,
    .wait = cuda_wait,
    .step_begin = cuda_step_begin,
    .step_end = cuda_step_end,
    .send = cuda_send,
    .take = cuda_take,
};
