/* Sums of whole numbers, modulo 2^32: their order changes nothing, so each instruction set may go its own way. */
#include <string.h>

#include "image/resize_pil.h"
#include "image/simd.h"

enum { BITS = 22 }; /* of a weight's fraction: 32 - 8 for the pixel - 2 for sign and overshoot */
enum { HALF = 1 << (BITS - 1), SPLIT = 15 };

/* Taps that are taken together; a weight there is high * 2^SPLIT + low, both fit for 16-bit products. */
#if LANES >= 8
enum { STEP = 4 };
#elif defined(__SSE4_2__)
enum { STEP = 2 };
#else
enum { STEP = 1 };
#endif

struct taps {
  int32_t first, count; /* first: counted from the first needed input pixel */
};

/* Along one axis: taps [count], weight [count, room]: the last of `count` are zeros. */
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
    for (int32_t i = t->count; i < axis->room; i++) w[i] = 0;
  }
}

/* STEP weights in place: the low halves, then the high ones. */
static void split_weights(const struct int_axis *axis, int32_t count) {
  if (STEP == 1) return;
  int32_t *w = axis->weight;
  for (size_t n = (size_t)count * (size_t)axis->room / STEP; n > 0; n--, w += STEP) {
    int16_t halves[2 * STEP];
    for (int i = 0; i < STEP; i++) {
      halves[i] = (int16_t)(w[i] & ((1 << SPLIT) - 1));
      halves[STEP + i] = (int16_t)(w[i] >> SPLIT);
    }
    memcpy(w, halves, sizeof halves);
  }
}

/* One pixel from `count` taps, rounded up to STEP, as four bytes, the last of which means nothing. */
#if LANES >= 8
static inline void squeeze(uint8_t out[4], const uint8_t *in, const int32_t *w, int32_t count) {
  const __m256i pick = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9,
                                        -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const __m256i low_of = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  const __m256i high_of = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
  __m256i low = _mm256_setzero_si256(), high = low;
  for (int32_t t = 0; t < count; t += STEP, in += 3 * STEP, w += STEP) {
    __m256i halves = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)w));
    __m256i p = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)in));
    p = _mm256_shuffle_epi8(p, pick);
    low = _mm256_add_epi32(low, _mm256_madd_epi16(p, _mm256_permutevar8x32_epi32(halves, low_of)));
    high = _mm256_add_epi32(high, _mm256_madd_epi16(p, _mm256_permutevar8x32_epi32(halves, high_of)));
  }
  low = _mm256_add_epi32(low, _mm256_slli_epi32(high, SPLIT));
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(HALF)), BITS);
  sum = _mm_packus_epi16(_mm_packus_epi32(sum, sum), sum);
  int rgb = _mm_cvtsi128_si32(sum);
  memcpy(out, &rgb, sizeof rgb);
}
#elif defined(__SSE4_2__)
static inline void squeeze(uint8_t out[4], const uint8_t *in, const int32_t *w, int32_t count) {
  const __m128i pick = _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
  __m128i low = _mm_setzero_si128(), high = low;
  for (int32_t t = 0; t < count; t += STEP, in += 3 * STEP, w += STEP) {
    __m128i halves = _mm_loadl_epi64((const __m128i *)(const void *)w);
    __m128i p = _mm_shuffle_epi8(_mm_loadl_epi64((const __m128i *)(const void *)in), pick);
    low = _mm_add_epi32(low, _mm_madd_epi16(p, _mm_shuffle_epi32(halves, 0x00)));
    high = _mm_add_epi32(high, _mm_madd_epi16(p, _mm_shuffle_epi32(halves, 0x55)));
  }
  __m128i sum = _mm_add_epi32(low, _mm_slli_epi32(high, SPLIT));
  sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(HALF)), BITS);
  sum = _mm_packus_epi16(_mm_packus_epi32(sum, sum), sum);
  int rgb = _mm_cvtsi128_si32(sum);
  memcpy(out, &rgb, sizeof rgb);
}
#else
static inline uint8_t clip(int32_t sum) {
  sum >>= BITS;
  return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static inline void squeeze(uint8_t out[4], const uint8_t *in, const int32_t *w, int32_t count) {
  int32_t r = HALF, g = HALF, b = HALF;
  for (int32_t t = 0; t < count; t++, in += 3) {
    r += w[t] * in[0];
    g += w[t] * in[1];
    b += w[t] * in[2];
  }
  out[0] = clip(r);
  out[1] = clip(g);
  out[2] = clip(b);
}
#endif

/* A row between the passes, and a byte more. `in` may be read for 16 STEP bytes beyond its last pixel. */
static void squeeze_row(uint8_t *out, const uint8_t *in, const struct int_axis *axis, int32_t count) {
  for (int32_t x = 0; x < count; x++, out += 3)
    squeeze(out, in + 3 * (size_t)axis->taps[x].first, axis->weight + (size_t)x * (size_t)axis->room,
            axis->taps[x].count);
}

/* LANES whole numbers as bytes, after clipping. */
static inline void ints_to_bytes(uint8_t *p, ints v) {
#if LANES >= 8
  __m128i words =
      _mm_packus_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
  _mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(words, words));
#elif defined(__SSE4_2__)
  __m128i words = _mm_packus_epi32((__m128i)v, (__m128i)v);
  int four = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  memcpy(p, &four, sizeof four);
#else
  for (int i = 0; i < LANES; i++) p[i] = (uint8_t)(v[i] < 0 ? 0 : v[i] > 255 ? 255 : v[i]);
#endif
}

/* LANES values of a row of the output; rows are `stride` bytes apart. */
static inline void blend(uint8_t *out, const uint8_t *in, size_t stride, const int32_t *w, int32_t count) {
  ints sum = (ints){0} + HALF;
  for (int32_t t = 0; t < count; t++, in += stride) sum += w[t] * ints_at_bytes(in);
  ints_to_bytes(out, sum >> BITS);
}

/* Four vectors at a time share the loads of weights and do not wait for each other. */
static inline void blend_4(uint8_t *out, const uint8_t *in, size_t stride, const int32_t *w, int32_t count) {
  ints a = (ints){0} + HALF, b = a, c = a, d = a;
  for (int32_t t = 0; t < count; t++, in += stride) {
    a += w[t] * ints_at_bytes(in);
    b += w[t] * ints_at_bytes(in + LANES);
    c += w[t] * ints_at_bytes(in + 2 * LANES);
    d += w[t] * ints_at_bytes(in + 3 * LANES);
  }
  ints_to_bytes(out, a >> BITS);
  ints_to_bytes(out + LANES, b >> BITS);
  ints_to_bytes(out + 2 * LANES, c >> BITS);
  ints_to_bytes(out + 3 * LANES, d >> BITS);
}

/* A row of `n` values and some more; `out` and `in` have room for LANES - 1 beyond. */
static void blend_row(uint8_t *out, const uint8_t *in, size_t stride, const int32_t *w, int32_t count,
                      size_t n) {
  size_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES) blend_4(out + i, in + i, stride, w, count);
  for (; i < n; i += LANES) blend(out + i, in + i, stride, w, count);
}

/* Weights of both axes, one row of the source, the image between the passes [need.height, window.width, 3] and
 * after them [window.height, window.width, 3]; bytes have room behind them for vectors. */
struct memory {
  struct int_axis axes[2];
  double *exact;
  uint8_t *row, *between, *bytes;
};

static enum status reserve(struct workspace *work, const struct resize *job, struct rect need,
                           struct memory *m) {
  enum { SPARE = 64 };
  int32_t count[2] = {job->window.width, job->window.height};
  int32_t room[2] = {resize_max_taps(job->in.width, job->out.width, job->filter),
                     resize_max_taps(job->in.height, job->out.height, job->filter)};
  size_t n = 3 * (size_t)job->window.width, longest = (size_t)(room[0] > room[1] ? room[0] : room[1]);
  size_t size[2], row = 3 * (size_t)need.width + SPARE, between = n * (size_t)need.height + SPARE;
  for (int i = 0; i < 2; i++) {
    room[i] = (room[i] + STEP - 1) / STEP * STEP;
    size[i] = (size_t)count[i] * (sizeof(struct taps) + (size_t)room[i] * sizeof(int32_t));
  }
  enum status st = OK;
  TRY(scratch_reserve(&work->weights, longest * sizeof(double) + size[0] + size[1]));
  TRY(scratch_reserve(&work->bytes, row + between + n * (size_t)job->window.height + SPARE));
  m->exact = work->weights.data;
  char *at = (char *)(m->exact + longest);
  for (int i = 0; i < 2; i++, at += size[0]) {
    m->axes[i].taps = (struct taps *)(void *)at;
    m->axes[i].weight = (int32_t *)(void *)(at + (size_t)count[i] * sizeof(struct taps));
    m->axes[i].room = room[i];
  }
  m->row = work->bytes.data;
  m->between = m->row + row;
  m->bytes = m->between + between;
  memset(m->row + row - SPARE, 0, SPARE);
  memset(m->between + between - SPARE, 0, SPARE);
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
  split_weights(&m.axes[0], window.width);
  for (int32_t y = 0; y < need.height; y++) {
    memcpy(m.row, pixels + (size_t)y * stride, 3 * (size_t)need.width);
    squeeze_row(m.between + (size_t)y * n, m.row, &m.axes[0], window.width);
  }
  for (int32_t y = 0; y < window.height; y++) {
    const struct taps *t = &m.axes[1].taps[y];
    blend_row(m.bytes + (size_t)y * n, m.between + (size_t)t->first * n, n,
              m.axes[1].weight + (size_t)y * (size_t)m.axes[1].room, t->count, n);
  }
  planes_from_rgb8(out, m.bytes, n);
  workspace_flip(work);
out:
  return st;
}
