#include "nn/batch_norm/batch_norm_loops.h"

#include "nn/cpu.h"
#include "nn/wide.h"

/* Sums of float32 stay this short before they are added up in float64. */
enum { SEGMENT = 4096 };

WIDE_INLINE void flush(struct wide w, double to[16]) {
  float numbers[16];
  wide_store(numbers, w);
  for (int j = 0; j < 16; j++) to[j] += numbers[j];
}

/* The last, incomplete 16 numbers of a run; the others read as `filler`. */
WIDE_INLINE struct wide load_part(const float *p, int64_t count, const float filler[16]) {
  float numbers[16];
  memcpy(numbers, filler, sizeof numbers);
  memcpy(numbers, p, (size_t)count * sizeof *p);
  return wide_load(numbers);
}

WIDE_INLINE void store_part(float *p, int64_t count, struct wide w) {
  float numbers[16];
  wide_store(numbers, w);
  memcpy(p, numbers, (size_t)count * sizeof *p);
}

static const float zeros[16];

CPU_CLONES void bn_moments(const struct bn_piece *p, double sum[16], double squares[16]) {
  const struct wide mean = wide_load(p->mean), zero = {{0}, {0}};
  struct wide s0 = zero, s1 = zero, q0 = zero, q1 = zero;
  for (int64_t r = 0; r < p->runs; r++) {
    const float *x = p->x + r * p->stride;
    int64_t i = 0, length = p->length;
    while (i + 32 <= length) {
      int64_t end = length - i > SEGMENT ? i + SEGMENT : length - 31;
      for (; i < end; i += 32) {
        struct wide a = wide_sub(wide_load(x + i), mean), b = wide_sub(wide_load(x + i + 16), mean);
        s0 = wide_add(s0, a);
        s1 = wide_add(s1, b);
        q0 = wide_add(q0, wide_mul(a, a));
        q1 = wide_add(q1, wide_mul(b, b));
      }
      if (length <= SEGMENT) break;
      flush(wide_add(s0, s1), sum);
      flush(wide_add(q0, q1), squares);
      s0 = s1 = q0 = q1 = zero;
    }
    for (; i < length; i += 16) {
      struct wide part = length - i >= 16 ? wide_load(x + i) : load_part(x + i, length - i, p->mean);
      struct wide a = wide_sub(part, mean);
      s0 = wide_add(s0, a);
      q0 = wide_add(q0, wide_mul(a, a));
    }
  }
  flush(wide_add(s0, s1), sum);
  flush(wide_add(q0, q1), squares);
}

WIDE_INLINE struct wide normalised(struct wide x, struct wide mean, struct wide scale, struct wide beta) {
  return wide_add(wide_mul(wide_sub(x, mean), scale), beta);
}

CPU_CLONES void bn_normalise(const struct bn_piece *p) {
  const struct wide mean = wide_load(p->mean), scale = wide_load(p->scale), beta = wide_load(p->beta);
  const bool relu = p->relu;
  for (int64_t r = 0; r < p->runs; r++) {
    const float *x = p->x + r * p->stride, *residual = p->residual ? p->residual + r * p->stride : NULL;
    float *y = p->y + r * p->stride;
    int64_t i = 0, length = p->length;
    if (residual) {
      for (; i + 16 <= length; i += 16) {
        struct wide v = wide_add(normalised(wide_load(x + i), mean, scale, beta), wide_load(residual + i));
        wide_store(y + i, wide_where_positive(v, v));
      }
    } else if (relu) {
      for (; i + 16 <= length; i += 16) {
        struct wide v = normalised(wide_load(x + i), mean, scale, beta);
        wide_store(y + i, wide_where_positive(v, v));
      }
    } else {
      for (; i + 16 <= length; i += 16) wide_store(y + i, normalised(wide_load(x + i), mean, scale, beta));
    }
    if (i == length) continue;
    struct wide v = normalised(load_part(x + i, length - i, zeros), mean, scale, beta);
    if (residual) v = wide_add(v, load_part(residual + i, length - i, zeros));
    store_part(y + i, length - i, relu ? wide_where_positive(v, v) : v);
  }
}

/* Sums over one step of 16 numbers. */
WIDE_INLINE void sum_up(struct wide g, struct wide centred, struct wide *sum, struct wide *dot) {
  *sum = wide_add(*sum, g);
  *dot = wide_add(*dot, wide_mul(g, centred));
}

/* Like the loops above for at most SEGMENT numbers of one run, from `at` on. */
WIDE_INLINE void gradient_sums(const struct bn_piece *p, int64_t at, int64_t length, struct wide *sum,
                               struct wide *dot) {
  const struct wide mean = wide_load(p->mean), scale = wide_load(p->scale), beta = wide_load(p->beta);
  const float *x = p->x + at, *dy = p->dy + at, *y = p->y_kept ? p->y_kept + at : NULL;
  float *dresidual = p->dresidual ? p->dresidual + at : NULL;
  struct wide s = *sum, d = *dot;
  int64_t i = 0;
  if (y && dresidual) {
    for (; i + 16 <= length; i += 16) {
      struct wide g = wide_where_positive(wide_load(dy + i), wide_load(y + i));
      wide_store(dresidual + i, g);
      sum_up(g, wide_sub(wide_load(x + i), mean), &s, &d);
    }
  } else if (p->relu && !y) {
    for (; i + 16 <= length; i += 16) {
      struct wide v = wide_load(x + i);
      sum_up(wide_where_positive(wide_load(dy + i), normalised(v, mean, scale, beta)), wide_sub(v, mean), &s,
             &d);
    }
  } else if (!y) {
    for (; i + 16 <= length; i += 16) sum_up(wide_load(dy + i), wide_sub(wide_load(x + i), mean), &s, &d);
  }
  for (; i < length; i += 16) {
    int64_t count = length - i < 16 ? length - i : 16;
    struct wide v = load_part(x + i, count, p->mean), g = load_part(dy + i, count, zeros);
    if (p->relu)
      g = wide_where_positive(g, y ? load_part(y + i, count, zeros) : normalised(v, mean, scale, beta));
    if (dresidual) store_part(dresidual + i, count, g);
    sum_up(g, wide_sub(v, mean), &s, &d);
  }
  *sum = s;
  *dot = d;
}

CPU_CLONES void bn_gradient_sums(const struct bn_piece *p, double sum[16], double dot[16]) {
  const struct wide zero = {{0}, {0}};
  struct wide s = zero, d = zero;
  for (int64_t r = 0; r < p->runs; r++) {
    for (int64_t i = 0; i < p->length; i += SEGMENT) {
      int64_t count = p->length - i < SEGMENT ? p->length - i : SEGMENT;
      gradient_sums(p, r * p->stride + i, count, &s, &d);
      if (count < SEGMENT) continue;
      flush(s, sum);
      flush(d, dot);
      s = d = zero;
    }
  }
  flush(s, sum);
  flush(d, dot);
}

CPU_CLONES void bn_gradient(const struct bn_piece *p) {
  const struct wide mean = wide_load(p->mean), scale = wide_load(p->scale), beta = wide_load(p->beta);
  const struct wide factor = wide_load(p->factor), slope = wide_load(p->slope), offset = wide_load(p->offset);
  for (int64_t r = 0; r < p->runs; r++) {
    /* With a residual its gradient, already written, is g. */
    const float *x = p->x + r * p->stride, *dy = (p->dresidual ? p->dresidual : p->dy) + r * p->stride;
    const float *y = p->y_kept && !p->dresidual ? p->y_kept + r * p->stride : NULL;
    const bool from_x = p->relu && !p->y_kept;
    float *dx = p->dx + r * p->stride;
    int64_t i = 0, length = p->length;
    if (from_x) {
      for (; i + 16 <= length; i += 16) {
        struct wide v = wide_load(x + i),
                    g = wide_where_positive(wide_load(dy + i), normalised(v, mean, scale, beta));
        wide_store(dx + i,
                   wide_sub(wide_mul(factor, g), wide_add(wide_mul(slope, wide_sub(v, mean)), offset)));
      }
    } else if (!y) {
      for (; i + 16 <= length; i += 16) {
        struct wide v = wide_load(x + i), g = wide_load(dy + i);
        wide_store(dx + i,
                   wide_sub(wide_mul(factor, g), wide_add(wide_mul(slope, wide_sub(v, mean)), offset)));
      }
    }
    for (; i < length; i += 16) {
      int64_t count = length - i < 16 ? length - i : 16;
      struct wide v = load_part(x + i, count, zeros), g = load_part(dy + i, count, zeros);
      if (from_x) g = wide_where_positive(g, normalised(v, mean, scale, beta));
      if (y) g = wide_where_positive(g, load_part(y + i, count, zeros));
      store_part(dx + i, count,
                 wide_sub(wide_mul(factor, g), wide_add(wide_mul(slope, wide_sub(v, mean)), offset)));
    }
  }
}
