/* Colour operations in place on float planes, with torchvision's float formulas (L = .2989 R + .587 G + .114
 * B; every result clamped to [0,1]). A factor of 1 (hue: 0) changes nothing. Deterministic to the bit on
 * every CPU. */
#ifndef IMAGE_COLOR_H
#define IMAGE_COLOR_H

#include "image/planes.h"

enum color_kind {
  COLOR_BRIGHTNESS, /* f x */
  COLOR_CONTRAST,   /* f x + (1-f) mean(L), the mean over this image */
  COLOR_SATURATION, /* f x + (1-f) L */
  COLOR_HUE,        /* HSV hue moved by f of the circle, |f| <= 0.5 */
  COLOR_GRAY        /* every channel = L; no factor */
};

struct color_step {
  enum color_kind kind;
  float factor;
};

/* `n` steps, one after the other: the same bytes as one by one, but the image passes the caches once, and once
 * more for each contrast, which has to know the mean first. */
void color_chain(const struct planes *image, const struct color_step *steps, int n);

static inline void color_one(const struct planes *image, enum color_kind kind, float factor) {
  color_chain(image, &(struct color_step){kind, factor}, 1);
}
static inline void color_brightness(const struct planes *image, float factor) {
  color_one(image, COLOR_BRIGHTNESS, factor);
}
static inline void color_contrast(const struct planes *image, float factor) {
  color_one(image, COLOR_CONTRAST, factor);
}
static inline void color_saturation(const struct planes *image, float factor) {
  color_one(image, COLOR_SATURATION, factor);
}
static inline void color_hue(const struct planes *image, float turn) { color_one(image, COLOR_HUE, turn); }
static inline void color_gray(const struct planes *image) { color_one(image, COLOR_GRAY, 0); }

#endif
