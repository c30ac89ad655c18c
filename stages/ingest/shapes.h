/* The pictures of the built-in `shapes` data set: one shape per image, drawn from a scene.
 *
 * Ten kinds of shape of equal area, so that neither colour nor mean brightness tells the class: size, place,
 * rotation, texture and the colours of shape and background are drawn independently of it. Only +, -, *, /
 * and sqrt in double, no libm: the same seed gives the same bytes on every machine. */
#ifndef INGEST_SHAPES_H
#define INGEST_SHAPES_H

#include <stdint.h>

#include "image/image.h"
#include "store/dataset.h"

enum { SHAPE_KINDS = 10, SHAPE_ATTRIBUTES = 10 };

extern const char *const shape_kinds[SHAPE_KINDS];
extern const char *const shape_attributes[SHAPE_ATTRIBUTES];

struct colour {
  double hue, saturation, value; /* each in [0, 1] */
};

struct scene {
  int kind, texture;
  double x, y, size;       /* of the shape: centre and square root of its area, in sides of the image */
  double turn;             /* rotation in turns, counter-clockwise */
  double frequency, phase; /* of the texture: cycles per size, turns */
  double contrast;         /* of the texture, 0..1 */
  struct colour shape, background, background_end; /* the background runs from one to the other ... */
  double direction;                                /* ... in this direction, turns */
};

/* The scene of image `index` of a split of `count`: a pure function
 * of its arguments. Classes are balanced. */
struct scene scene_draw(uint64_t seed, uint32_t split, uint64_t count, uint64_t index);

/* attributes [SHAPE_ATTRIBUTES], in the order of shape_attributes. */
void scene_attributes(const struct scene *scene, float *attributes);

/* Draws a scene with 16 samples per pixel; box is the smallest rectangle around what is visible. Errors:
 * E_MEMORY. */
enum status scene_render(const struct scene *scene, int32_t side, struct image *out, struct box *box);

#endif
