/* Vertical pass first: it runs along rows, whatever their length, at full vector width. The horizontal pass
 * then takes a pixel (three floats and one of its neighbour, which is dropped) as one vector. PIL's
 * arithmetic has its own file. */
#include "image/resize.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "image/resize_pil.h"
#include "image/simd.h"

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

/* The weights of a window along one axis, every output with the same number of taps: shorter ones are filled
 * up with zeros, which add nothing to a sum. Positions count from the first needed input pixel. */
struct axis {
  int32_t taps;
  int32_t *first; /* [count] */
  float *weight;  /* [count, taps] */
};

static void plan_axis(struct axis *axis, int32_t in, int32_t out, enum filter filter, int32_t from,
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
static enum status plan(struct workspace *work, const struct resize *job, struct axis axes[2]) {
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

/* out[i] = sum_t w[t] rows[t * stride + i], the rows' elements being `type`: up to four taps at a time. */
#define BLEND(name, type)                                                                                    \
  PIXEL_LOOP static void name(float *restrict out, const type *restrict rows, size_t stride, const float *w, \
                              int32_t taps, size_t n) {                                                      \
    const type *a = rows, *b = a + (taps > 1 ? stride : 0), *c = b + (taps > 2 ? stride : 0),                \
               *d = c + (taps > 3 ? stride : 0);                                                             \
    float wa = w[0], wb = taps > 1 ? w[1] : 0, wc = taps > 2 ? w[2] : 0, wd = taps > 3 ? w[3] : 0;           \
    if (taps <= 2)                                                                                           \
      for (size_t i = 0; i < n; i++) out[i] = wa * (float)a[i] + wb * (float)b[i];                           \
    else                                                                                                     \
      for (size_t i = 0; i < n; i++)                                                                         \
        out[i] = wa * (float)a[i] + wb * (float)b[i] + wc * (float)c[i] + wd * (float)d[i];                  \
    for (int32_t t = 4; t < taps; t += 2) {                                                                  \
      a = rows + (size_t)t * stride;                                                                         \
      b = a + (t + 1 < taps ? stride : 0);                                                                   \
      wa = w[t];                                                                                             \
      wb = t + 1 < taps ? w[t + 1] : 0;                                                                      \
      for (size_t i = 0; i < n; i++) out[i] += wa * (float)a[i] + wb * (float)b[i];                          \
    }                                                                                                        \
  }

BLEND(blend_bytes, uint8_t)
BLEND(blend_floats, float)

/* One pixel of the output and one float that means nothing. */
static inline floats4 squeeze(const float *in, const float *w, int32_t taps) {
  floats4 sum = w[0] * *(const floats4 *)in;
  for (int32_t t = 1; t < taps; t++) sum += w[t] * *(const floats4 *)(in + 3 * (size_t)t);
  return sum;
}

/* One row of the output from one row of packed float RGB, which has a spare float behind its last pixel. */
static inline __attribute__((always_inline)) void squeeze_taps(float *r, float *g, float *b, int32_t width,
                                                               const float *row, const struct axis *axis,
                                                               float scale, int32_t taps) {
  const float *w = axis->weight;
  const int32_t *first = axis->first;
  int32_t x = 0;
  for (; x + 4 <= width; x += 4, w += 4 * (size_t)taps) {
    floats4 p0 = scale * squeeze(row + 3 * (size_t)first[x], w, taps);
    floats4 p1 = scale * squeeze(row + 3 * (size_t)first[x + 1], w + taps, taps);
    floats4 p2 = scale * squeeze(row + 3 * (size_t)first[x + 2], w + 2 * (size_t)taps, taps);
    floats4 p3 = scale * squeeze(row + 3 * (size_t)first[x + 3], w + 3 * (size_t)taps, taps);
    floats4 rg01 = __builtin_shufflevector(p0, p1, 0, 4, 1, 5),
            rg23 = __builtin_shufflevector(p2, p3, 0, 4, 1, 5);
    floats4 b01 = __builtin_shufflevector(p0, p1, 2, 6, 2, 6),
            b23 = __builtin_shufflevector(p2, p3, 2, 6, 2, 6);
    *(floats4 *)(r + x) = __builtin_shufflevector(rg01, rg23, 0, 1, 4, 5);
    *(floats4 *)(g + x) = __builtin_shufflevector(rg01, rg23, 2, 3, 6, 7);
    *(floats4 *)(b + x) = __builtin_shufflevector(b01, b23, 0, 1, 4, 5);
  }
  for (; x < width; x++, w += taps) {
    floats4 p = scale * squeeze(row + 3 * (size_t)first[x], w, taps);
    r[x] = p[0];
    g[x] = p[1];
    b[x] = p[2];
  }
}

static void squeeze_row(const struct planes *out, int32_t y, const float *row, const struct axis *axis,
                        float scale) {
  size_t at = (size_t)y * (size_t)out->width;
  float *r = out->plane[0] + at, *g = out->plane[1] + at, *b = out->plane[2] + at;
  switch (axis->taps) { /* the common numbers with their loops unrolled */
  case 1: squeeze_taps(r, g, b, out->width, row, axis, scale, 1); break;
  case 2: squeeze_taps(r, g, b, out->width, row, axis, scale, 2); break;
  case 3: squeeze_taps(r, g, b, out->width, row, axis, scale, 3); break;
  case 4: squeeze_taps(r, g, b, out->width, row, axis, scale, 4); break;
  case 5: squeeze_taps(r, g, b, out->width, row, axis, scale, 5); break;
  default: squeeze_taps(r, g, b, out->width, row, axis, scale, axis->taps); break;
  }
}

static void clamp_planes(const struct planes *p) {
  size_t n = (size_t)p->width * (size_t)p->height;
  for (int c = 0; c < 3; c++) {
    float *x = p->plane[c];
    for (size_t i = 0; i < n; i++) x[i] = x[i] < 0.0F ? 0.0F : x[i] > 1.0F ? 1.0F : x[i];
  }
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
  struct axis axes[2];
  size_t n = 3 * (size_t)need.width, stride = 3 * (size_t)have.width;
  enum status st = OK;
  TRY(plan(work, job, axes));
  TRY(scratch_reserve(&work->rows, (n + 4) * sizeof(float)));
  TRY(workspace_planes(work, job->window.width, job->window.height, out));
  float *row = work->rows.data;
  memset(row + n, 0, 4 * sizeof *row);
  for (int32_t y = 0; y < out->height; y++) {
    const float *w = axes[1].weight + (size_t)y * (size_t)axes[1].taps;
    blend_bytes(row, origin + (size_t)axes[1].first[y] * stride, stride, w, axes[1].taps, n);
    squeeze_row(out, y, row, &axes[0], 1.0F / 255.0F);
  }
  workspace_flip(work);
out:
  return st;
}

/* Planes to packed rows, so that both kinds of input share the passes. */
static void pack(const struct planes *in, struct rect part, float *rgb) {
  for (int32_t y = 0; y < part.height; y++) {
    for (int c = 0; c < 3; c++) {
      const float *p = in->plane[c] + (size_t)(part.top + y) * (size_t)in->width + part.left;
      for (int32_t x = 0; x < part.width; x++) rgb[3 * (size_t)x + (size_t)c] = p[x];
    }
    rgb += 3 * (size_t)part.width;
  }
}

enum status resize_planes(struct workspace *work, const struct resize *job, const struct planes *in,
                          struct rect have, struct planes *out) {
  struct rect need = resize_needs(job);
  assert(covers(have, need));
  struct axis axes[2];
  size_t n = 3 * (size_t)need.width;
  enum status st = OK;
  TRY(plan(work, job, axes));
  TRY(scratch_reserve(&work->rows, (n * (size_t)(need.height + 1) + 4) * sizeof(float)));
  TRY(workspace_planes(work, job->window.width, job->window.height, out));
  float *row = work->rows.data, *packed = row + n + 4;
  memset(row + n, 0, 4 * sizeof *row);
  pack(in, (struct rect){need.left - have.left, need.top - have.top, need.width, need.height}, packed);
  for (int32_t y = 0; y < out->height; y++) {
    const float *w = axes[1].weight + (size_t)y * (size_t)axes[1].taps;
    blend_floats(row, packed + (size_t)axes[1].first[y] * n, n, w, axes[1].taps, n);
    squeeze_row(out, y, row, &axes[0], 1.0F);
  }
  clamp_planes(out);
  workspace_flip(work);
out:
  return st;
}
