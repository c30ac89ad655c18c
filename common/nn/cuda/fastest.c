#include "nn/cuda/fastest.h"

#include <math.h>

#include "nn/cuda/cuda.h"

enum { ROUNDS = 3 }; /* behind one that warms up */

struct stopwatch {
  cudaStream_t stream;
  cudaEvent_t start, stop;
};

/* One run, until the device is done with it. */
static enum status time_run(const struct stopwatch *s, enum status (*run)(void *, int), void *context,
                            int way, float *ms) {
  enum status st = OK;
  TRY(cuda_check(cudaEventRecord(s->start, s->stream), "starting a measurement"));
  TRY(run(context, way));
  TRY(cuda_check(cudaEventRecord(s->stop, s->stream), "ending a measurement"));
  TRY(cuda_check(cudaEventSynchronize(s->stop), "measuring"));
  TRY(cuda_check(cudaEventElapsedTime(ms, s->start, s->stop), "reading a measurement"));
out:
  return st;
}

static enum status time_way(const struct stopwatch *s, enum status (*run)(void *, int), void *context,
                            int way, float *least) {
  enum status st = OK;
  *least = INFINITY;
  for (int i = 0; i <= ROUNDS; i++) {
    float ms = 0;
    TRY(time_run(s, run, context, way, &ms));
    if (i > 0 && ms < *least) *least = ms;
  }
out:
  return st;
}

enum status fastest(cudaStream_t stream, int n, enum status (*run)(void *context, int way), void *context,
                    int *best) {
  struct stopwatch s = {.stream = stream};
  enum status st = OK, failed = OK;
  float least = 0;
  *best = -1;
  TRY(cuda_check(cudaEventCreateWithFlags(&s.start, cudaEventDefault), "making an event"));
  TRY(cuda_check(cudaEventCreateWithFlags(&s.stop, cudaEventDefault), "making an event"));
  for (int way = 0; way < n; way++) {
    float ms = 0;
    const enum status went = time_way(&s, run, context, way, &ms);
    if (went != OK) {
      failed = went;
    } else if (*best < 0 || ms < least) {
      least = ms;
      *best = way;
    }
  }
  if (*best < 0) st = failed;
  if (st == OK)
    TRY(cuda_check(cudaStreamSynchronize(stream), "measuring")); /* a failure that stays is no way's own */
out:
  if (s.stop) cudaEventDestroy(s.stop);
  if (s.start) cudaEventDestroy(s.start);
  return st;
}
