/* Vertical pass first: it runs along rows, whatever their length, at full vector width. The horizontal pass
 * then takes a pixel (three floats and one of its neighbour, which is dropped) as one vector. PIL's
 * arithmetic has its own file. */
#include "image/resize.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "image/resize_pil.h"
#include "image/resize_simd.h"

static double triangle(double x) {
  x = x < 0 ? -x : x;
  return x < 1 ? 1 - x : 0;
}

static double cubic(double x) { /* in PIL's order of operations: its weights are matched to the last bit */
  const double a = -0.5;
  x = x < 0 ? -x : x;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double reach(int32_t in, int32_t out, enum filter filter) {
  double scale = (double)in / out;
  return (filter == FILTER_BICUBIC ? 2.0 : 1.0) * (scale > 1 ? scale : 1.0);
}

int32_t resize_max_taps(int32_t in, int32_t out, enum filter filter) {
  int64_t taps = 2 * ((int64_t)reach(in, out, filter) + 1) + 1;
  return (int32_t)(taps < in ? taps : in);
}

/* Non-negative arguments are truncated like floor; what is below zero ends up at zero either way. */
static int32_t first_tap(double c, double support) {
  int32_t x = (int32_t)(c - support + 0.5);
  return x > 0 ? x : 0;
}

static int32_t end_tap(double c, double support, int32_t in) {
  int32_t x = (int32_t)(c + support + 0.5);
  return x < in ? x : in;
}

int32_t resize_taps(int32_t in, int32_t out, enum filter filter, int32_t o, int32_t *first, double *weights) {
  double scale = (double)in / out, support = reach(in, out, filter), centre = (o + 0.5) * scale;
  double inverse = 1.0 / (scale > 1 ? scale : 1.0), sum = 0;
  *first = first_tap(centre, support);
  int32_t n = end_tap(centre, support, in) - *first;
  for (int32_t i = 0; i < n; i++) {
    double x = (i + *first - centre + 0.5) * inverse;
    weights[i] = filter == FILTER_BICUBIC ? cubic(x) : triangle(x);
    sum += weights[i];
  }
  for (int32_t i = 0; i < n; i++) weights[i] /= sum;
  return n;
}

static void axis_needs(int32_t in, int32_t out, enum filter filter, int32_t from, int32_t count,
                       int32_t *first, int32_t *size) {
  double scale = (double)in / out, support = reach(in, out, filter);
  *first = first_tap((from + 0.5) * scale, support);
  *size = end_tap((from + count - 1 + 0.5) * scale, support, in) - *first;
}

struct rect resize_needs(const struct resize *job) {
  struct rect r;
  axis_needs(job->in.width, job->out.width, job->filter, job->window.left, job->window.width, &r.left,
             &r.width);
  axis_needs(job->in.height, job->out.height, job->filter, job->window.top, job->window.height, &r.top,
             &r.height);
  return r;
}

static void plan_axis(struct resize_axis *axis, int32_t in, int32_t out, enum filter filter, int32_t from,
                      int32_t count, double *room) {
  int32_t origin, size, most = 1;
  axis_needs(in, out, filter, from, count, &origin, &size);
  for (int32_t o = 0; o < count; o++) {
    int32_t first, n;
    axis_needs(in, out, filter, from + o, 1, &first, &n);
    most = n > most ? n : most;
  }
  assert(most <= axis->taps);
  axis->taps = most;
  memset(axis->weight, 0, (size_t)count * (size_t)most * sizeof(float));
  for (int32_t o = 0; o < count; o++) {
    int32_t first, n = resize_taps(in, out, filter, from + o, &first, room);
    first -= origin;
    axis->first[o] = first + most <= size ? first : size - most;
    float *w = axis->weight + (size_t)o * (size_t)most + (first - axis->first[o]);
    for (int32_t i = 0; i < n; i++) w[i] = (float)room[i];
  }
}

/* Both axes in the workspace's memory for weights. */
static enum status plan(struct workspace *work, const struct resize *job, struct resize_axis axes[2]) {
  int32_t count[2] = {job->window.width, job->window.height};
  axes[0].taps = resize_max_taps(job->in.width, job->out.width, job->filter);
  axes[1].taps = resize_max_taps(job->in.height, job->out.height, job->filter);
  size_t size[2], longest = (size_t)(axes[0].taps > axes[1].taps ? axes[0].taps : axes[1].taps);
  for (int i = 0; i < 2; i++) size[i] = (size_t)count[i] * (size_t)(axes[i].taps + 1) * sizeof(float);
  enum status st = scratch_reserve(&work->weights, longest * sizeof(double) + size[0] + size[1]);
  if (st != OK) return st;
  double *room = work->weights.data;
  char *at = (char *)(room + longest);
  for (int i = 0; i < 2; i++, at += size[0]) {
    axes[i].first = (int32_t *)(void *)at;
    axes[i].weight = (float *)(void *)(at + (size_t)count[i] * sizeof(int32_t));
  }
  plan_axis(&axes[0], job->in.width, job->out.width, job->filter, job->window.left, job->window.width, room);
  plan_axis(&axes[1], job->in.height, job->out.height, job->filter, job->window.top, job->window.height,
            room);
  return OK;
}

static bool covers(struct rect have, struct rect need) {
  return have.left <= need.left && have.top <= need.top && have.left + have.width >= need.left + need.width &&
         have.top + have.height >= need.top + need.height;
}

enum status resize_rgb8(struct workspace *work, const struct resize *job, const uint8_t *pixels,
                        struct rect have, struct planes *out) {
  struct rect need = resize_needs(job);
  assert(covers(have, need));
  const uint8_t *origin =
      pixels + 3 * ((size_t)(need.top - have.top) * (size_t)have.width + (size_t)(need.left - have.left));
  if (job->filter == FILTER_BICUBIC) return resize_pil(work, job, origin, 3 * (size_t)have.width, out);
  struct resize_axis axes[2];
  size_t n = 3 * (size_t)need.width, stride = 3 * (size_t)have.width;
  enum status st = OK;
  TRY(plan(work, job, axes));
  TRY(scratch_reserve(&work->rows, (n + 4) * sizeof(float)));
  TRY(workspace_planes(work, job->window.width, job->window.height, out));
  resize_bytes(out, origin, stride, n, axes, work->rows.data);
  workspace_flip(work);
out:
  return st;
}

enum status resize_planes(struct workspace *work, const struct resize *job, const struct planes *in,
                          struct rect have, struct planes *out) {
  struct rect need = resize_needs(job);
  assert(covers(have, need));
  struct resize_axis axes[2];
  size_t n = 3 * (size_t)need.width;
  enum status st = OK;
  TRY(plan(work, job, axes));
  TRY(scratch_reserve(&work->rows, (n * (size_t)(need.height + 1) + 4) * sizeof(float)));
  TRY(workspace_planes(work, job->window.width, job->window.height, out));
  struct rect part = {need.left - have.left, need.top - have.top, need.width, need.height};
  resize_floats(out, in, part, axes, work->rows.data);
  workspace_flip(work);
out:
  return st;
}
