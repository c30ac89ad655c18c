/* The CPU backend: float32, activations blocked by channels where oneDNN wants them so (see cpu.h). */
#include <cblas.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "nn/cpu.h"

enum { HUGE_PAGE = 2 << 20 };

static void cpu_close(void *device) {
  struct cpu *cpu = device;
  if (!cpu) return;
  if (cpu->user_scratch) dnnl_primitive_attr_destroy(cpu->user_scratch);
  if (cpu->stream) dnnl_stream_destroy(cpu->stream);
  if (cpu->engine) dnnl_engine_destroy(cpu->engine);
  free(cpu);
}

static enum status cpu_open(void **device, const struct graph_config *config) {
  struct cpu *cpu = calloc(1, sizeof *cpu);
  if (!cpu) return fail(E_MEMORY, "out of memory for the cpu backend");
  enum status st = OK;
  cpu->threads = config->threads > 0 ? config->threads : omp_get_num_procs();
  TRY(cpu_check(dnnl_engine_create(&cpu->engine, dnnl_cpu, 0), "engine_create"));
  TRY(cpu_check(dnnl_stream_create(&cpu->stream, cpu->engine, dnnl_stream_default_flags), "stream_create"));
  TRY(cpu_check(dnnl_primitive_attr_create(&cpu->user_scratch), "attr_create"));
  TRY(cpu_check(dnnl_primitive_attr_set_scratchpad_mode(cpu->user_scratch, dnnl_scratchpad_mode_user),
                "scratchpad_mode"));
out:
  if (st != OK) cpu_close(cpu);
  *device = st == OK ? cpu : NULL;
  return st;
}

/* OpenMP counts threads for each thread that enters; OpenBLAS's own setting is the process's and would take threads
 * from a graph that another thread runs. Built with OpenMP, OpenBLAS goes by OpenMP's. */
static void cpu_enter(void *device) {
  const struct cpu *cpu = device;
  omp_set_num_threads(cpu->threads);
  if (openblas_get_parallel() != OPENBLAS_OPENMP) openblas_set_num_threads(cpu->threads);
}

static enum status cpu_alloc(void *device, size_t bytes, void **memory) {
  (void)device;
  size_t alignment = bytes >= 4 * HUGE_PAGE ? HUGE_PAGE : 4096;
  if (posix_memalign(memory, alignment, bytes) != 0) {
    *memory = NULL;
    return fail(E_MEMORY, "out of memory for %zu MiB of tensors; use a smaller --batch or --width",
                bytes >> 20);
  }
  if (alignment == HUGE_PAGE)
    madvise(*memory, bytes, MADV_HUGEPAGE); /* fewer TLB misses; no matter if refused */
  memset(*memory, 0, bytes);
  return OK;
}

static void cpu_release(void *device, void *memory) {
  (void)device;
  free(memory);
}

static enum status cpu_upload(void *device, const struct tensor *t, void *at, const void *host,
                              bool host_f64) {
  int64_t count = shape_count(t->shape);
  dnnl_memory_desc_t plain = cpu_desc(t->shape, (struct layout){0, NULL}),
                     ours = cpu_desc(t->shape, t->layout);
  if (!host_f64) return cpu_reorder(device, &plain, host, &ours, at);
  float *rounded = malloc((size_t)count * sizeof *rounded);
  if (!rounded) return fail(E_MEMORY, "out of memory for %lld numbers", (long long)count);
  for (int64_t i = 0; i < count; i++) rounded[i] = (float)((const double *)host)[i];
  enum status st = cpu_reorder(device, &plain, rounded, &ours, at);
  free(rounded);
  return st;
}

static enum status cpu_download(void *device, const struct tensor *t, const void *at, void *host,
                                bool host_f64) {
  dnnl_memory_desc_t plain = cpu_desc(t->shape, (struct layout){0, NULL}),
                     ours = cpu_desc(t->shape, t->layout);
  enum status st = cpu_reorder(device, &ours, at, &plain, host);
  if (st != OK || !host_f64) return st;
  for (int64_t i = shape_count(t->shape) - 1; i >= 0; i--) { /* widened in place, from the end */
    float narrow;
    memcpy(&narrow, (const float *)host + i, sizeof narrow);
    ((double *)host)[i] = narrow;
  }
  return OK;
}

static enum status cpu_pixels(void *device, const struct tensor *t, const uint8_t *nhwc, const double mean[3],
                              const double std[3]) {
  if (t->layout.opaque) return fail(E_DEVICE, "%s has a layout that pixels cannot be written to", t->name);
  float table[3][256];
  for (int c = 0; c < 3; c++) {
    for (int i = 0; i < 256; i++) table[c][i] = (float)((i / 255.0 - mean[c]) / std[c]);
  }
  /* Of (n, pixel, channel): 3 channels fit every block. */
  int64_t area = t->shape.dim[2] * t->shape.dim[3], block = t->layout.block;
  int64_t row = (block ? block : 3) * area, step = block ? block : 1, channel = block ? 1 : area;
  float *x = t->data;
  cpu_enter(device);
#pragma omp parallel for schedule(static)
  for (int64_t n = 0; n < t->shape.dim[0]; n++) {
    for (int64_t i = 0; i < area; i++) {
      for (int64_t c = 0; c < 3; c++)
        x[n * row + i * step + c * channel] = table[c][nhwc[(n * area + i) * 3 + c]];
    }
  }
  return OK;
}

static enum status cpu_add(void *device, const struct tensor *t, void *to, const void *from) {
  (void)device;
  float *a = to;
  const float *b = from;
  int64_t n = (int64_t)(t->bytes / sizeof *a);
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < n; i++) a[i] += b[i];
  return OK;
}

const struct backend backend_cpu = {
    .name = "cpu",
    .element = sizeof(float),
    .open = cpu_open,
    .close = cpu_close,
    .enter = cpu_enter,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .bytes = cpu_bytes,
    .upload = cpu_upload,
    .download = cpu_download,
    .pixels = cpu_pixels,
    .add = cpu_add,
};
