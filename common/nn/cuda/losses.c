/* Single numbers on their way to the host: a copy behind the step that made them, taken when the host comes to it. */
#include <stdlib.h>

#include "nn/cuda/bf16.h"
#include "nn/cuda/cuda.h"

struct loss_slots {
  union number { /* as its tensor has it */
    float whole;
    bf16 half;
  } * pinned;                         /* [SEND_SLOTS, SEND_NUMBERS] */
  enum element element[SEND_NUMBERS]; /* the same in every step */
  cudaEvent_t sent[SEND_SLOTS];
};

enum { PINNED_BYTES = sizeof(union number) * SEND_SLOTS * SEND_NUMBERS };

struct own_memory loss_slots_memory(void) {
  return (struct own_memory){0, PINNED_BYTES};
}

void loss_slots_close(struct loss_slots **slots) {
  struct loss_slots *s = *slots;
  *slots = NULL;
  if (!s) return;
  for (int i = 0; i < SEND_SLOTS; i++) {
    if (!s->sent[i]) continue;
    cudaEventSynchronize(s->sent[i]);
    cudaEventDestroy(s->sent[i]);
  }
  if (s->pinned) cudaFreeHost(s->pinned);
  free(s);
}

enum status loss_slots_open(struct loss_slots **out) {
  enum status st = OK;
  struct loss_slots *s = *out = calloc(1, sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory for the cuda backend");
  TRY(cuda_malloc_host((void **)&s->pinned, PINNED_BYTES, "losses"));
  for (int i = 0; i < SEND_SLOTS; i++)
    TRY(cuda_check(cudaEventCreateWithFlags(&s->sent[i], cudaEventDisableTiming), "making an event"));
out:
  if (st != OK) loss_slots_close(out);
  return st;
}

enum status cuda_send(void *device, const struct tensor *const *from, int n, int slot) {
  struct cuda *cuda = device;
  struct loss_slots *s = cuda->losses;
  enum status st = OK;
  for (int i = 0; i < n; i++) {
    s->element[i] = from[i]->layout.element;
    TRY(cuda_check(cudaMemcpyAsync(s->pinned + slot * SEND_NUMBERS + i, from[i]->data,
                                   cuda_element_bytes(s->element[i]), cudaMemcpyDeviceToHost, cuda->stream),
                   "sending losses"));
  }
  TRY(cuda_check(cudaEventRecord(s->sent[slot], cuda->stream), "marking losses"));
out:
  return st;
}

enum status cuda_take(void *device, double *to, int n, int slot) {
  struct cuda *cuda = device;
  struct loss_slots *s = cuda->losses;
  enum status st = cuda_check(cudaEventSynchronize(s->sent[slot]), "waiting for a step");
  for (int i = 0; i < n && st == OK; i++) {
    const union number *x = &s->pinned[slot * SEND_NUMBERS + i];
    to[i] = s->element[i] == ELEMENT_BF16 ? bf16_widen(x->half) : x->whole;
  }
  return st;
}
