/* Images on their way to the device, two batches at a time: while a step computes, the next one's bytes are
 * copied on a stream of their own.
 *
 *   host: fill pinned memory       waits for the copy of two batches ago
 *   copy stream: copy to device    waits for the step that read that buffer
 *   compute stream: normalise      waits for the copy */
#include <stdlib.h>
#include <string.h>

#include "nn/cuda/cuda.h"

enum { SLOTS = 2 };

struct pixel_ring {
  cudaStream_t copies;
  size_t bytes; /* room in each slot */
  int64_t used; /* batches so far */
  struct slot {
    void *pinned, *on_device;
    cudaEvent_t copied, read;
  } slot[SLOTS];
};

struct own_memory pixel_ring_memory(size_t image_bytes) {
  return (struct own_memory){SLOTS * image_bytes, SLOTS * image_bytes};
}

void pixel_ring_close(struct pixel_ring **ring) {
  struct pixel_ring *r = *ring;
  *ring = NULL;
  if (!r) return;
  if (r->copies) cudaStreamSynchronize(r->copies);
  for (int i = 0; i < SLOTS; i++) {
    struct slot *s = &r->slot[i];
    if (s->read) cudaEventSynchronize(s->read);
    if (s->pinned) cudaFreeHost(s->pinned);
    if (s->on_device) cudaFree(s->on_device);
    if (s->copied) cudaEventDestroy(s->copied);
    if (s->read) cudaEventDestroy(s->read);
  }
  if (r->copies) cudaStreamDestroy(r->copies);
  free(r);
}

static enum status open_slot(struct slot *s, size_t bytes) {
  enum status st = OK;
  TRY(cuda_malloc_host(&s->pinned, bytes, "images on their way"));
  TRY(cuda_malloc(&s->on_device, bytes, "images on their way"));
  TRY(cuda_check(cudaEventCreateWithFlags(&s->copied, cudaEventDisableTiming), "making an event"));
  TRY(cuda_check(cudaEventCreateWithFlags(&s->read, cudaEventDisableTiming), "making an event"));
out:
  return st;
}

static enum status pixel_ring_open(struct pixel_ring **ring, size_t bytes) {
  pixel_ring_close(ring);
  struct pixel_ring *r = *ring = calloc(1, sizeof *r);
  if (!r) return fail(E_MEMORY, "out of memory for images");
  r->bytes = bytes;
  enum status st = OK;
  TRY(cuda_check(cudaStreamCreateWithFlags(&r->copies, cudaStreamNonBlocking), "making a stream"));
  for (int i = 0; i < SLOTS; i++) TRY(open_slot(&r->slot[i], bytes));
out:
  if (st != OK) pixel_ring_close(ring);
  return st;
}

/* The bytes of `host` in a slot's device memory, for the compute stream to read. */
static enum status send(struct pixel_ring *r, struct slot *s, cudaStream_t compute, const uint8_t *host,
                        size_t bytes) {
  enum status st = OK;
  TRY(cuda_check(cudaEventSynchronize(s->copied), "waiting for a copy"));
  memcpy(s->pinned, host, bytes);
  TRY(cuda_check(cudaStreamWaitEvent(r->copies, s->read, 0), "waiting for a step"));
  TRY(cuda_check(cudaMemcpyAsync(s->on_device, s->pinned, bytes, cudaMemcpyHostToDevice, r->copies),
                 "copying images"));
  TRY(cuda_check(cudaEventRecord(s->copied, r->copies), "marking a copy"));
  TRY(cuda_check(cudaStreamWaitEvent(compute, s->copied, 0), "waiting for a copy"));
out:
  return st;
}

enum status cuda_pixels(void *device, const struct tensor *t, const uint8_t *nhwc, const double mean[3],
                        const double std[3]) {
  struct cuda *cuda = device;
  size_t bytes = (size_t)shape_count(t->shape);
  enum status st = cuda_outside_steps(cuda);
  if (st != OK) return st;
  if (!cuda->pixels || cuda->pixels->bytes < bytes) TRY(pixel_ring_open(&cuda->pixels, bytes));
  struct slot *s = &cuda->pixels->slot[cuda->pixels->used++ % SLOTS];
  TRY(send(cuda->pixels, s, cuda->stream, nhwc, bytes));
  TRY(cuda_normalise(cuda, t, s->on_device, mean, std));
  TRY(cuda_check(cudaEventRecord(s->read, cuda->stream), "marking a step"));
out:
  return st;
}
