/* rotations over REAL, the backend's number, row-major: included by rotations_cpu.c (float) and rotations_ref.c
 * (double). */
#include <string.h>

#include "nn/engine.h"
#include "nn/rotations/rotations.h"

/* Where pixel (r, c) of an image turned k times comes from. */
static int64_t origin(int k, int64_t s, int64_t r, int64_t c) {
  switch (k) {
  case 0: return r * s + c;
  case 1: return c * s + s - 1 - r;
  case 2: return (s - 1 - r) * s + s - 1 - c;
  default: return (s - 1 - c) * s + r;
  }
}

static void turn(const struct node *node, const REAL *x, REAL *y) {
  const int64_t *d = node->in[0]->shape.dim, planes = d[0] * d[1], s = d[2];
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < N_ROTATIONS * planes; p++)
    for (int64_t r = 0; r < s; r++)
      for (int64_t c = 0; c < s; c++)
        y[(p * s + r) * s + c] = x[p % planes * s * s + origin((int)(p / planes), s, r, c)];
}

static void turn_back(const struct node *node, const REAL *dy, REAL *dx) {
  const int64_t *d = node->in[0]->shape.dim, planes = d[0] * d[1], s = d[2];
  memset(dx, 0, (size_t)(planes * s * s) * sizeof *dx);
  for (int64_t p = 0; p < N_ROTATIONS * planes; p++)
    for (int64_t r = 0; r < s; r++)
      for (int64_t c = 0; c < s; c++)
        dx[p % planes * s * s + origin((int)(p / planes), s, r, c)] += dy[(p * s + r) * s + c];
}
