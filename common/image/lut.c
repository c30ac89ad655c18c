#include "image/lut.h"

#include <string.h>

void lut_identity(struct lut *out) {
  for (int v = 0; v < 256; v++) out->at[v] = (uint8_t)v;
}

void lut_autocontrast(const struct histogram *h, struct lut *out) {
  int low = 0, high = 255;
  while (low < 255 && !h->count[low]) low++;
  while (high > low && !h->count[high]) high--;
  if (high <= low) {
    lut_identity(out);
    return;
  }
  double scale = 255.0 / (high - low), offset = -low * scale;
  for (int v = 0; v < 256; v++) {
    double x = v * scale + offset;
    out->at[v] = (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
  }
}

void lut_equalize(const struct histogram *h, struct lut *out) {
  uint64_t sum = 0, last = 0;
  for (int v = 0; v < 256; v++) {
    sum += h->count[v];
    if (h->count[v]) last = h->count[v];
  }
  uint64_t step = (sum - last) / 255, below = step / 2;
  if (step == 0) {
    lut_identity(out);
    return;
  }
  for (int v = 0; v < 256; v++) {
    uint64_t x = below / step;
    out->at[v] = (uint8_t)(x < 255 ? x : 255);
    below += h->count[v];
  }
}

void lut_posterize(int bits, struct lut *out) {
  for (int v = 0; v < 256; v++) out->at[v] = (uint8_t)(v & (0xFF00 >> bits));
}

void lut_solarize(int threshold, struct lut *out) {
  for (int v = 0; v < 256; v++) out->at[v] = (uint8_t)(v < threshold ? v : 255 - v);
}

void lut_append(struct lut *first, const struct lut *then) {
  for (int v = 0; v < 256; v++) first->at[v] = then->at[first->at[v]];
}

void lut_histogram(const struct lut *lut, const struct histogram *h, struct histogram *out) {
  memset(out, 0, sizeof *out);
  for (int v = 0; v < 256; v++) out->count[lut->at[v]] += h->count[v];
}

/* Half to even, as planes_to_rgb8 rounds. */
static inline int level(float x) {
  x = x > 0.0F ? x : 0.0F;
  x = x < 1.0F ? x : 1.0F;
  return (int)((x * 255.0F + 0x1p23F) - 0x1p23F);
}

void planes_histogram(const struct planes *image, int channel, struct histogram *out) {
  const float *x = image->plane[channel];
  size_t n = (size_t)image->width * (size_t)image->height;
  memset(out, 0, sizeof *out);
  for (size_t i = 0; i < n; i++) out->count[level(x[i])]++;
}

void planes_lut(const struct planes *image, int channel, const struct lut *lut) {
  float *x = image->plane[channel];
  size_t n = (size_t)image->width * (size_t)image->height;
  for (size_t i = 0; i < n; i++) x[i] = (float)lut->at[level(x[i])] / 255.0F;
}

void planes_solarize(const struct planes *image, float threshold) {
  size_t n = (size_t)image->width * (size_t)image->height;
  for (int c = 0; c < 3; c++) {
    float *x = image->plane[c];
    for (size_t i = 0; i < n; i++) x[i] = x[i] < threshold ? x[i] : 1.0F - x[i];
  }
}
