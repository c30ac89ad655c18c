/* A sheet of aligned pairs as one picture. A row is a pair: the image and its partner with the outlines of
 * their crops, then for every view the image's and the partner's. Not thread-safe. */
#ifndef AUGMENT_SHEET_H
#define AUGMENT_SHEET_H

#include "image/image.h"
#include "transform/policy.h"

struct sheet;

/* An empty sheet for `pairs` rows under `policy`, which is borrowed until close. E_ARG (too large to draw),
 * E_MEMORY. */
enum status sheet_open(struct sheet **out, const struct policy *policy, int32_t pairs);
void sheet_close(struct sheet **sheet);

/* Draws the image at `side` (0: image, 1: partner) of row `pair`, and its views. params receives the labels
 * of all views one after another, room for POLICY_MAX_VIEWS * POLICY_MAX_PARAMS. Errors: as render_view. */
enum status sheet_draw(struct sheet *sheet, int32_t pair, int side, const struct image *image,
                       const struct view_draw *draws, float *params);

/* The picture so far; borrowed until close. */
const struct image *sheet_image(const struct sheet *sheet);

#endif
