/* A step as one CUDA graph.
 *
 * The first step runs as called, so that whatever is loaded late is loaded; the second is recorded; from then on the
 * recording is launched. What changes between steps reaches the device through one block of arguments: cuda_argument
 * hands out places in it in the order of the calls, which is the same in every step. The host's copy is pinned and
 * there are two, so that the next step's arguments are written while this one's are on their way. */
#include <stdlib.h>
#include <string.h>

#include "nn/cuda/cuda.h"

enum { ARGUMENT_ROOM = 4 * CUDA_SMALL, ARGUMENT_ALIGNMENT = 16, COPIES = 2, STEPS_AS_CALLED = 1 };

struct cuda_step {
  enum { AS_CALLED, RECORDING, REPLAYING } mode;
  bool within; /* between step_begin and step_end */
  int64_t count;
  cudaGraphExec_t recorded;
  size_t recorded_bytes; /* of arguments */
  char *arguments;       /* on the device */
  size_t used;
  struct copy {
    char *pinned;
    cudaEvent_t sent;
  } copy[COPIES];
  int current;
};

struct own_memory cuda_step_memory(void) {
  return (struct own_memory){ARGUMENT_ROOM, COPIES * (size_t)ARGUMENT_ROOM};
}

enum status cuda_step_open(struct cuda_step **out) {
  enum status st = OK;
  struct cuda_step *s = *out = calloc(1, sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory for the cuda backend");
  TRY(cuda_malloc((void **)&s->arguments, ARGUMENT_ROOM, "a step's arguments"));
  for (int i = 0; i < COPIES; i++) {
    TRY(cuda_malloc_host((void **)&s->copy[i].pinned, ARGUMENT_ROOM, "a step's arguments"));
    TRY(cuda_check(cudaEventCreateWithFlags(&s->copy[i].sent, cudaEventDisableTiming), "making an event"));
  }
out:
  if (st != OK) cuda_step_close(out);
  return st;
}

void cuda_step_close(struct cuda_step **step) {
  struct cuda_step *s = *step;
  *step = NULL;
  if (!s) return;
  if (s->recorded) cudaGraphExecDestroy(s->recorded);
  for (int i = 0; i < COPIES; i++) {
    if (s->copy[i].sent) {
      cudaEventSynchronize(s->copy[i].sent);
      cudaEventDestroy(s->copy[i].sent);
    }
    if (s->copy[i].pinned) cudaFreeHost(s->copy[i].pinned);
  }
  if (s->arguments) cudaFree(s->arguments);
  free(s);
}

static enum status send_range(struct cuda *cuda, size_t from, size_t bytes) {
  struct cuda_step *s = cuda->step;
  return cuda_check(cudaMemcpyAsync(s->arguments + from, s->copy[s->current].pinned + from, bytes,
                                    cudaMemcpyHostToDevice, cuda->stream),
                    "sending arguments");
}

/* Begins the block anew, in the copy that was sent longest ago. */
static enum status turn_over(struct cuda *cuda) {
  struct cuda_step *s = cuda->step;
  enum status st = cuda_check(cudaEventRecord(s->copy[s->current].sent, cuda->stream), "marking arguments");
  s->current = (s->current + 1) % COPIES;
  s->used = 0;
  return st == OK ? cuda_check(cudaEventSynchronize(s->copy[s->current].sent), "waiting for arguments") : st;
}

/* The next `bytes` of the block, which begin at *at. */
static enum status reserve(struct cuda *cuda, size_t bytes, size_t *at) {
  struct cuda_step *s = cuda->step;
  enum status st = OK;
  size_t room = (bytes + ARGUMENT_ALIGNMENT - 1) / ARGUMENT_ALIGNMENT * ARGUMENT_ALIGNMENT;
  if (s->used + room > ARGUMENT_ROOM && !s->within) TRY(turn_over(cuda));
  if (s->used + room > ARGUMENT_ROOM)
    return fail(E_DEVICE, "cuda: the arguments of a step take more than %d bytes", ARGUMENT_ROOM);
  *at = s->used;
  s->used += room;
out:
  return st;
}

enum status cuda_argument(struct cuda *cuda, const void *values, size_t bytes, const void **on_device) {
  struct cuda_step *s = cuda->step;
  size_t at = 0;
  enum status st = reserve(cuda, bytes, &at);
  if (st != OK) return st;
  memcpy(s->copy[s->current].pinned + at, values, bytes);
  *on_device = s->arguments + at;
  return s->mode == AS_CALLED ? send_range(cuda, at, bytes) : OK;
}

enum status cuda_room(struct cuda *cuda, size_t bytes, void **on_device) {
  size_t at = 0;
  enum status st = reserve(cuda, bytes, &at);
  *on_device = cuda->step->arguments + at;
  return st;
}

enum status cuda_step_begin(void *device, bool *replays) {
  struct cuda *cuda = device;
  struct cuda_step *s = cuda->step;
  const bool records = !s->recorded && s->count >= STEPS_AS_CALLED;
  enum status st = OK;
  TRY(turn_over(cuda));
  /* Other threads, with graphs of their own, may allocate and load meanwhile; this one may not. */
  if (records)
    TRY(cuda_check(cudaStreamBeginCapture(cuda->stream, cudaStreamCaptureModeThreadLocal),
                   "recording a step"));
  s->within = true;
  s->mode = s->recorded ? REPLAYING : records ? RECORDING : AS_CALLED;
  s->count++;
  *replays = cuda->replays = s->mode == REPLAYING;
out:
  return st;
}

enum status cuda_outside_steps(const struct cuda *cuda) {
  if (!cuda->step->within) return OK;
  return fail(
      E_ARG,
      "cuda: a transfer within a step would not be repeated with it; it belongs before or behind graph_step");
}

/* The stream is free again whatever happened; of a step that failed no recording is kept. */
static enum status end_recording(struct cuda *cuda, enum status status) {
  struct cuda_step *s = cuda->step;
  cudaGraph_t graph = NULL;
  const cudaError_t ended = cudaStreamEndCapture(cuda->stream, &graph);
  enum status st = status == OK ? cuda_check(ended, "recording a step") : status;
  if (st == OK) st = cuda_check(cudaGraphInstantiate(&s->recorded, graph, 0), "making a graph of a step");
  if (graph) cudaGraphDestroy(graph);
  s->recorded_bytes = s->used;
  return st;
}

enum status cuda_step_end(void *device, enum status status) {
  struct cuda *cuda = device;
  struct cuda_step *s = cuda->step;
  const int mode = s->mode;
  enum status st = status;
  s->within = cuda->replays = false;
  s->mode = AS_CALLED;
  if (mode == RECORDING) st = end_recording(cuda, status);
  if (st != OK || mode == AS_CALLED) return st;
  if (s->used != s->recorded_bytes)
    return fail(E_DEVICE, "cuda: a step took %zu bytes of arguments, the recorded one %zu", s->used,
                s->recorded_bytes);
  if (s->used) TRY(send_range(cuda, 0, s->used));
  TRY(cuda_check(cudaGraphLaunch(s->recorded, cuda->stream), "launching a step"));
out:
  return st;
}

/* At a step's first argument, in recordings too, so that its place is the same in each. */
enum status cuda_forward_begin(void *device, const struct run *run) {
  struct cuda *cuda = device;
  const float momentum = (float)run->bn_momentum;
  enum status st = cuda_argument(cuda, &momentum, sizeof momentum, (const void **)&cuda->bn_momentum);
  return st == OK ? cuda_twins_make(cuda) : st;
}
