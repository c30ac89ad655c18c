/* A sheet of pairs as one picture. A row is a pair: the image and its partner with the outlines of their
 * crops, then for every view the image's and the partner's. Under a view stands what was drawn for it: over
 * the width of both what the pair shares, under each what is its own. Not thread-safe. */
#ifndef SHEET_SHEET_H
#define SHEET_SHEET_H

#include "image/image.h"
#include "transform/policy.h"

struct sheet;

/* An empty sheet under `policy`, which is borrowed until close. title: written on top. captions: whether what
 * was drawn is written. E_MEMORY. */
enum status sheet_open(struct sheet **out, const struct policy *policy, const char *title, bool captions);
void sheet_close(struct sheet **sheet);

/* Adds a row for a pair: draws and sizes of image and partner. All rows come before the first picture. E_ARG
 * (the sheet would be too large), E_MEMORY. */
enum status sheet_add(struct sheet *sheet, const struct view_draw *const draws[2],
                      const struct extent wholes[2]);

/* Draws the image at `side` (0: image, 1: partner) of row `pair`, and its views: views[v] has the pixels of view v,
 * [size, size, 3] RGB. E_MEMORY. */
enum status sheet_draw(struct sheet *sheet, int32_t pair, int side, const struct image *image,
                       const struct view_draw *draws, const uint8_t *const *views);

/* The picture so far; borrowed until close. */
const struct image *sheet_image(const struct sheet *sheet);

#endif
