/* Antialiased resizing, separable, half-pixel centres (methods: torchvision's tensor resize with antialias,
 * and PIL).
 *
 * Per axis with s = in/out, u = max(s, 1), centre c = s (o + 1/2) of output o: the taps are the input pixels
 * x in [max(floor(c-ru+1/2), 0), min(floor(c+ru+1/2), in)) with weight f((x - c + 1/2)/u), normalised to sum
 * 1; f is the triangle (bilinear, r = 1) or Keys' cubic with a = -1/2 (bicubic, r = 2).
 *
 * Any window of the output can be made from just the input pixels it needs, with the same bits as from all of
 * them. */
#ifndef IMAGE_RESIZE_H
#define IMAGE_RESIZE_H

#include "image/planes.h"

enum filter { FILTER_BILINEAR, FILTER_BICUBIC };

struct resize {
  struct extent in, out; /* of the whole image before and after; at least 1 */
  struct rect window;    /* the part of the output that is wanted */
  enum filter filter;
  /* Pixels that are 1/shrink of the size (shrink.h; 0 as 1): `in` still counts those of the original, of which
   * the first lies `phase` to the right of and below the corner of the first shrunken pixel. Bilinear only. */
  int32_t shrink;
  struct {
    int32_t left, top;
  } phase;
};

/* The weights of output `o` along one axis: taps *first .. *first + count-1, count returned. weights: room
 * for resize_max_taps(in, out, filter), overwritten. */
int32_t resize_taps(int32_t in, int32_t out, enum filter filter, int32_t o, int32_t *first, double *weights);
int32_t resize_max_taps(int32_t in, int32_t out, enum filter filter);

/* The input pixels that the window depends on, shrunken ones if they are. */
struct rect resize_needs(const struct resize *job);

/* The window as new current planes of `work`, from packed 8-bit RGB. pixels [have.height, have.width, 3] is
 * the part `have` of the input and covers at least resize_needs. Bilinear works in float; bicubic repeats
 * PIL's arithmetic, which rounds to 8 bits after the horizontal and again after the
 * vertical pass. E_MEMORY. */
enum status resize_rgb8(struct workspace *work, const struct resize *job, const uint8_t *pixels,
                        struct rect have, struct planes *out);

/* The same from float planes that cover the part `have` of the input, in float with either filter, clamped to
 * [0,1]. */
enum status resize_planes(struct workspace *work, const struct resize *job, const struct planes *in,
                          struct rect have, struct planes *out);

#endif
