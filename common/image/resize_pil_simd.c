#include "image/resize_pil.h"

#include "image/simd.h"

enum { BITS = 22 }; /* of a weight's fraction: 32 - 8 for the pixel - 2 for sign and overshoot */

struct taps {
  int32_t first, count; /* first: counted from the first needed input pixel */
};

/* Along one axis: taps [count], weight [count, room]. */
struct int_axis {
  struct taps *taps;
  int32_t *weight, room;
};

static void plan_axis(const struct int_axis *axis, int32_t in, int32_t out, enum filter filter, int32_t from,
                      int32_t count, int32_t origin, double *exact) {
  for (int32_t o = 0; o < count; o++) {
    struct taps *t = &axis->taps[o];
    int32_t *w = axis->weight + (size_t)o * (size_t)axis->room;
    t->count = resize_taps(in, out, filter, from + o, &t->first, exact);
    t->first -= origin;
    for (int32_t i = 0; i < t->count; i++)
      w[i] = (int32_t)((exact[i] < 0 ? -0.5 : 0.5) + exact[i] * (double)(1 << BITS));
  }
}

static inline uint8_t clip(int32_t sum) {
  sum >>= BITS;
  return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* The row in doubles, in which these sums of whole numbers below 2^32 are exact. */
static void widen(double *restrict out, const uint8_t *restrict in, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = in[i];
}

/* One row between the passes; `in` has a spare value behind its last pixel, as pixels are taken as four
 * values. */
static void squeeze_row(uint8_t *out, const double *in, const struct int_axis *axis, int32_t count) {
  for (int32_t x = 0; x < count; x++, out += 3) {
    const double *p = in + 3 * (size_t)axis->taps[x].first;
    const int32_t *w = axis->weight + (size_t)x * (size_t)axis->room;
    doubles4 sum = {1 << (BITS - 1), 1 << (BITS - 1), 1 << (BITS - 1), 0};
    for (int32_t t = 0; t < axis->taps[x].count; t++, p += 3) sum += (double)w[t] * *(const doubles4 *)p;
    for (int c = 0; c < 3; c++) out[c] = clip((int32_t)sum[c]);
  }
}

static void add_row(int32_t *restrict sum, const uint8_t *restrict row, int32_t weight, size_t n) {
  for (size_t i = 0; i < n; i++) sum[i] += weight * row[i];
}

static void set_row(const struct planes *out, int32_t y, const int32_t *sum) {
  size_t at = (size_t)y * (size_t)out->width;
  for (int c = 0; c < 3; c++)
    for (int32_t x = 0; x < out->width; x++)
      out->plane[c][at + (size_t)x] = (float)clip(sum[3 * (size_t)x + (size_t)c]) / 255.0F;
}

/* Weights of both axes, one row of sums, and the image between the passes: [need.height, window.width, 3]. */
struct memory {
  struct int_axis axes[2];
  double *exact;
  int32_t *sum;
  uint8_t *between;
  double *row; /* [need.width * 3 + 1]: one row of the source and a spare value */
};

static enum status reserve(struct workspace *work, const struct resize *job, struct rect need,
                           struct memory *m) {
  int32_t count[2] = {job->window.width, job->window.height};
  int32_t room[2] = {resize_max_taps(job->in.width, job->out.width, job->filter),
                     resize_max_taps(job->in.height, job->out.height, job->filter)};
  size_t n = 3 * (size_t)job->window.width, longest = (size_t)(room[0] > room[1] ? room[0] : room[1]);
  size_t size[2];
  for (int i = 0; i < 2; i++)
    size[i] = (size_t)count[i] * (sizeof(struct taps) + (size_t)room[i] * sizeof(int32_t));
  enum status st = OK;
  TRY(scratch_reserve(&work->weights, longest * sizeof(double) + size[0] + size[1]));
  TRY(scratch_reserve(&work->rows, (3 * (size_t)need.width + 1) * sizeof(double) + n * sizeof(int32_t)));
  TRY(scratch_reserve(&work->bytes, n * (size_t)need.height));
  m->exact = work->weights.data;
  char *at = (char *)(m->exact + longest);
  for (int i = 0; i < 2; i++, at += size[0]) {
    m->axes[i].taps = (struct taps *)(void *)at;
    m->axes[i].weight = (int32_t *)(void *)(at + (size_t)count[i] * sizeof(struct taps));
    m->axes[i].room = room[i];
  }
  m->row = work->rows.data;
  m->row[3 * (size_t)need.width] = 0;
  m->sum = (int32_t *)(void *)(m->row + 3 * (size_t)need.width + 1);
  m->between = work->bytes.data;
out:
  return st;
}

PIXEL_LOOP(enum status, resize_pil,
           (struct workspace * work, const struct resize *job, const uint8_t *pixels, size_t stride,
            struct planes *out),
           (work, job, pixels, stride, out)) {
  struct rect need = resize_needs(job), window = job->window;
  size_t n = 3 * (size_t)window.width;
  struct memory m;
  enum status st = OK;
  TRY(reserve(work, job, need, &m));
  TRY(workspace_planes(work, window.width, window.height, out));
  plan_axis(&m.axes[0], job->in.width, job->out.width, job->filter, window.left, window.width, need.left,
            m.exact);
  plan_axis(&m.axes[1], job->in.height, job->out.height, job->filter, window.top, window.height, need.top,
            m.exact);
  for (int32_t y = 0; y < need.height; y++) {
    widen(m.row, pixels + (size_t)y * stride, 3 * (size_t)need.width);
    squeeze_row(m.between + (size_t)y * n, m.row, &m.axes[0], window.width);
  }
  for (int32_t y = 0; y < window.height; y++) {
    for (size_t i = 0; i < n; i++) m.sum[i] = 1 << (BITS - 1);
    const struct taps *t = &m.axes[1].taps[y];
    const int32_t *w = m.axes[1].weight + (size_t)y * (size_t)m.axes[1].room;
    for (int32_t i = 0; i < t->count; i++) add_row(m.sum, m.between + (size_t)(t->first + i) * n, w[i], n);
    set_row(out, y, m.sum);
  }
  workspace_flip(work);
out:
  return st;
}
