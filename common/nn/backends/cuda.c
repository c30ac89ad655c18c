/* The CUDA backend: one NVIDIA GPU of compute capability 8.0 or more. Layouts and streams: nn/cuda/cuda.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/cuda/cuda.h"
#include "nn/cuda/dnn.h"
#include "nn/cuda/gpu_models.h"
#include "nn/cuda/matmul.h"

enum { OLDEST_CAPABILITY = 80 };

/* --- Opening -------------------------------------------------------------------------------------------- */

/* Whether the driver finds one: what is wrong with it otherwise, check_device says. */
static bool has_gpu(void) {
  int count = 0, driver = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  cudaDriverGetVersion(&driver);
  return driver && error != cudaErrorNoDevice && (count || error != cudaSuccess);
}

/* "cuda" or "cuda:N"; to plan only also "cuda:h200", a GPU that need not be there, which "cuda" without one means. */
static enum status parse_device(struct cuda *cuda, const char *name, bool plan_only) {
  const char *colon = strchr(name, ':');
  if (plan_only)
    cuda->described = colon ? gpu_model_find(colon + 1) : has_gpu() ? NULL : gpu_model_find("h200");
  if (!colon || cuda->described) return OK;
  char *end;
  errno = 0;
  long n = strtol(colon + 1, &end, 10);
  if (end == colon + 1 || *end || errno || n < 0 || n > 1024)
    return fail(E_ARG, "--device %s: after the colon comes a number from 0%s", name,
                plan_only ? ", or h200 or a100, which need not be there" : "");
  cuda->device = (int)n;
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
  cuda_twins_close(&cuda->twins);
  if (cuda->stream) cudaStreamDestroy(cuda->stream);
  free(cuda);
}

/* Chooses the GPU and reads what planning wants to know of it. */
static enum status find_gpu(struct cuda *cuda) {
  struct cudaDeviceProp properties;
  enum status st = OK;
  TRY(check_device(cuda->device));
  TRY(cuda_check(cudaSetDevice(cuda->device), "choosing the GPU"));
  TRY(cuda_check(cudaGetDeviceProperties(&properties, cuda->device), "reading the GPU's properties"));
  cuda->processors = properties.multiProcessorCount;
  snprintf(cuda->title, sizeof cuda->title, "%s", properties.name);
out:
  return st;
}

static void describe_gpu(struct cuda *cuda) {
  cuda->processors = cuda->described->processors;
  snprintf(cuda->title, sizeof cuda->title, "%s", cuda->described->title);
}

/* What running takes, and planning does not. */
static enum status open_streams(struct cuda *cuda) {
  enum status st = OK;
  TRY(cuda_check(cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking), "making a stream"));
  TRY(cuda_step_open(&cuda->step));
  TRY(loss_slots_open(&cuda->losses));
out:
  return st;
}

static enum status cuda_open(void **device, const struct graph_config *config) {
  *device = NULL;
  struct cuda *cuda = calloc(1, sizeof *cuda);
  if (!cuda) return fail(E_MEMORY, "out of memory for the cuda backend");
  enum status st = OK;
  cuda->precision = config->precision;
  cuda->plans = config->plans;
  TRY(parse_device(cuda, config->device, config->plan_only));
  if (cuda->described) {
    describe_gpu(cuda);
  } else {
    TRY(find_gpu(cuda));
  }
  if (!config->plan_only) TRY(open_streams(cuda));
out:
  if (st != OK) cuda_close(cuda);
  *device = st == OK ? cuda : NULL;
  return st;
}

enum status cuda_need_dnn(struct cuda *cuda) {
  if (cuda->dnn) return OK;
  return dnn_open(&cuda->dnn,
                  &(struct dnn_config){.plans = cuda->plans,
                                       .device = cuda->described ? cuda->described->properties : NULL});
}

enum status cuda_need_blas(struct cuda *cuda) {
  if (cuda->blas) return OK;
  return cuda->described ? blas_open_described(&cuda->blas) : blas_open(&cuda->blas);
}

static void cuda_enter(void *device) {
  const struct cuda *cuda = device;
  if (!cuda->described) cudaSetDevice(cuda->device); /* it was chosen before, so it cannot fail */
}

static const char *cuda_hardware(void *device, bool *described) {
  const struct cuda *cuda = device;
  *described = cuda->described != NULL;
  return cuda->title;
}

/* --- Memory --------------------------------------------------------------------------------------------- */

static enum status cuda_alloc(void *device, size_t bytes, void **memory) {
  struct cuda *cuda = device;
  enum status st = cuda_malloc(memory, bytes, "tensors");
  if (st != OK) return st;
  st = cuda_check(cudaMemsetAsync(*memory, 0, bytes, cuda->stream), "clearing memory");
  if (st == OK) return OK;
  cudaFree(*memory);
  *memory = NULL;
  return st;
}

static void cuda_release(void *device, void *memory) {
  struct cuda *cuda = device;
  cudaStreamSynchronize(cuda->stream);
  cudaFree(memory);
}

static void cuda_drain(void *device) {
  const struct cuda *cuda = device;
  cuda_enter(device);
  if (cuda->stream) cudaStreamSynchronize(cuda->stream);
}

static enum status cuda_wait(void *device) {
  const struct cuda *cuda = device;
  return cuda_check(cudaStreamSynchronize(cuda->stream), "waiting for the GPU");
}

static struct own_memory cuda_own_memory(size_t image_bytes) {
  const struct own_memory parts[] = {cuda_step_memory(), loss_slots_memory(), pixel_ring_memory(image_bytes)};
  struct own_memory sum = {0, 0};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    sum.device += parts[i].device;
    sum.pinned += parts[i].pinned;
  }
  return sum;
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
    .hardware = cuda_hardware,
    .own_memory = cuda_own_memory,
    .drain = cuda_drain,
    .forward_begin = cuda_forward_begin,
    .backward_end = cuda_twins_bring_back,
    .wait = cuda_wait,
    .step_begin = cuda_step_begin,
    .step_end = cuda_step_end,
    .send = cuda_send,
    .take = cuda_take,
};
