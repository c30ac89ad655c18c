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

/* One axis of a resize: what all of its outputs share. */
struct span {
  int32_t in;
  enum filter filter;
  double scale, begin;     /* input pixels per output; where the first output begins */
  double support, inverse; /* how far taps reach, in input pixels; 1 / max(scale, 1) */
};

static struct span span(int32_t in, int32_t out, enum filter filter) {
  double scale = (double)in / out, widened = scale > 1 ? scale : 1.0;
  return (struct span){in, filter, scale, 0, (filter == FILTER_BICUBIC ? 2.0 : 1.0) * widened, 1.0 / widened};
}

/* Of shrunken pixels: the same places in units of `k` original pixels. k is a power of two: nothing is
 * rounded that would not be without it. */
static struct span shrunken_span(int32_t in, int32_t out, enum filter filter, int32_t k, int32_t phase) {
  struct span s = span(in, out, filter);
  if (k < 2) return s;
  s.in = (phase + in + k - 1) / k;
  s.scale /= k;
  s.begin = (double)phase / k;
  double widened = s.scale > 1 ? s.scale : 1.0;
  s.support = widened;
  s.inverse = 1.0 / widened;
  return s;
}

static struct span span_x(const struct resize *j) {
  return shrunken_span(j->in.width, j->out.width, j->filter, j->shrink, j->phase.left);
}

static struct span span_y(const struct resize *j) {
  return shrunken_span(j->in.height, j->out.height, j->filter, j->shrink, j->phase.top);
}

static int32_t most_taps(const struct span *s) {
  int64_t taps = 2 * ((int64_t)s->support + 1) + 1;
  return (int32_t)(taps < s->in ? taps : s->in);
}

int32_t resize_max_taps(int32_t in, int32_t out, enum filter filter) {
  struct span s = span(in, out, filter);
  return most_taps(&s);
}

static double centre_of(const struct span *s, int32_t o) { return s->begin + (o + 0.5) * s->scale; }

/* Non-negative arguments are truncated like floor; what is below zero ends up at zero either way. */
static int32_t first_tap(const struct span *s, int32_t o) {
  int32_t x = (int32_t)(centre_of(s, o) - s->support + 0.5);
  return x > 0 ? x : 0;
}

static int32_t end_tap(const struct span *s, int32_t o) {
  int32_t x = (int32_t)(centre_of(s, o) + s->support + 0.5);
  return x < s->in ? x : s->in;
}

static int32_t fill_taps(const struct span *s, int32_t o, int32_t *first, double *weights) {
  double centre = centre_of(s, o), sum = 0;
  *first = first_tap(s, o);
  int32_t n = end_tap(s, o) - *first;
  for (int32_t i = 0; i < n; i++) {
    double x = (i + *first - centre + 0.5) * s->inverse;
    weights[i] = s->filter == FILTER_BICUBIC ? cubic(x) : triangle(x);
    sum += weights[i];
  }
  for (int32_t i = 0; i < n; i++) weights[i] /= sum;
  return n;
}

int32_t resize_taps(int32_t in, int32_t out, enum filter filter, int32_t o, int32_t *first, double *weights) {
  struct span s = span(in, out, filter);
  return fill_taps(&s, o, first, weights);
}

/* The taps of outputs from .. from + count - 1 together. */
static void axis_needs(const struct span *s, int32_t from, int32_t count, int32_t *first, int32_t *size) {
  *first = first_tap(s, from);
  *size = end_tap(s, from + count - 1) - *first;
}

struct rect resize_needs(const struct resize *job) {
  struct rect r;
  struct span x = span_x(job), y = span_y(job);
  axis_needs(&x, job->window.left, job->window.width, &r.left, &r.width);
  axis_needs(&y, job->window.top, job->window.height, &r.top, &r.height);
  return r;
}

static void plan_axis(struct resize_axis *axis, const struct span *s, int32_t from, int32_t count,
                      double *room) {
  int32_t origin = first_tap(s, from), size = end_tap(s, from + count - 1) - origin, most = 1;
  for (int32_t o = from; o < from + count; o++) {
    int32_t n = end_tap(s, o) - first_tap(s, o);
    most = n > most ? n : most;
  }
  assert(most <= axis->taps);
  axis->taps = most;
  memset(axis->weight, 0, (size_t)count * (size_t)most * sizeof(float));
  for (int32_t o = 0; o < count; o++) {
    int32_t first, n = fill_taps(s, from + o, &first, room);
    first -= origin;
    axis->first[o] = first + most <= size ? first : size - most;
    float *w = axis->weight + (size_t)o * (size_t)most + (first - axis->first[o]);
    for (int32_t i = 0; i < n; i++) w[i] = (float)room[i];
  }
}

/* Both axes in the workspace's memory for weights. */
static enum status plan(struct workspace *work, const struct resize *job, struct resize_axis axes[2]) {
  int32_t count[2] = {job->window.width, job->window.height};
  struct span x = span_x(job), y = span_y(job);
  axes[0].taps = most_taps(&x);
  axes[1].taps = most_taps(&y);
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
  plan_axis(&axes[0], &x, job->window.left, job->window.width, room);
  plan_axis(&axes[1], &y, job->window.top, job->window.height, room);
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
  size_t wide = resize_wide_floats(job->window.width, axes[0].taps);
  TRY(scratch_reserve(&work->rows, (wide + n + 4) * sizeof(float)));
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
  size_t wide = resize_wide_floats(job->window.width, axes[0].taps);
  TRY(scratch_reserve(&work->rows, (wide + n * (size_t)(need.height + 1) + 4) * sizeof(float)));
  TRY(workspace_planes(work, job->window.width, job->window.height, out));
  struct rect part = {need.left - have.left, need.top - have.top, need.width, need.height};
  resize_floats(out, in, part, axes, work->rows.data);
  workspace_flip(work);
out:
  return st;
}
