/* The reference backend: float64, row-major, plain loops, one thread. What the other backends are checked
 * against. */
#include <stdlib.h>

#include "nn/engine.h"

static enum status ref_open(void **device, const struct graph_config *config) {
  (void)config;
  *device = NULL;
  return OK;
}

static void ref_close(void *device) { (void)device; }
static void ref_enter(void *device) { (void)device; }

static enum status ref_alloc(void *device, size_t bytes, void **memory) {
  (void)device;
  *memory = calloc(1, bytes);
  return *memory ? OK : fail(E_MEMORY, "out of memory for %zu MiB of tensors", bytes >> 20);
}

static void ref_release(void *device, void *memory) {
  (void)device;
  free(memory);
}

static size_t ref_bytes(const struct shape *shape, struct layout layout) {
  (void)layout;
  return (size_t)shape_count(*shape) * sizeof(double);
}

static enum status ref_upload(void *device, const struct tensor *t, void *at, const void *host,
                              bool host_f64) {
  (void)device;
  double *to = at;
  for (int64_t i = 0, n = shape_count(t->shape); i < n; i++) {
    to[i] = host_f64 ? ((const double *)host)[i] : ((const float *)host)[i];
  }
  return OK;
}

static enum status ref_download(void *device, const struct tensor *t, const void *at, void *host,
                                bool host_f64) {
  (void)device;
  const double *from = at;
  for (int64_t i = 0, n = shape_count(t->shape); i < n; i++) {
    if (host_f64) {
      ((double *)host)[i] = from[i];
    } else {
      ((float *)host)[i] = (float)from[i];
    }
  }
  return OK;
}

static enum status ref_pixels(void *device, const struct tensor *t, const uint8_t *nhwc, const double mean[3],
                              const double std[3]) {
  (void)device;
  double *x = t->data;
  int64_t area = t->shape.dim[2] * t->shape.dim[3];
  for (int64_t n = 0; n < t->shape.dim[0]; n++) {
    for (int64_t c = 0; c < 3; c++) {
      for (int64_t i = 0; i < area; i++)
        x[(n * 3 + c) * area + i] = (nhwc[(n * area + i) * 3 + c] / 255.0 - mean[c]) / std[c];
    }
  }
  return OK;
}

static enum status ref_add(void *device, const struct tensor *t, void *to, const void *from) {
  (void)device;
  double *a = to;
  const double *b = from;
  for (size_t i = 0; i < t->bytes / sizeof *a; i++) a[i] += b[i];
  return OK;
}

const struct backend backend_ref = {
    .name = "ref",
    .element = sizeof(double),
    .open = ref_open,
    .close = ref_close,
    .enter = ref_enter,
    .alloc = ref_alloc,
    .release = ref_release,
    .bytes = ref_bytes,
    .upload = ref_upload,
    .download = ref_download,
    .pixels = ref_pixels,
    .add = ref_add,
};
