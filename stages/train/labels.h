/* Labels: by how much the transformations of two views differ (methods section 1, after AugSelf).
 *
 * d(1,2) is the difference of the views' parameters, in this order of columns:
 *
 *   crop   cy, cx, h, w       q1 - q2, as fractions of the image; with view 1 flipped, cx is mirrored in both
 *   color  b, c, s, h         c1 - c2, within +-1
 *   blur   sigma              sigma1 - sigma2, pixels
 *   flip   f1 - f2
 *   gray   g1 - g2
 *   same   1 if f1 = f2, else 0
 *
 * d(2,1) mirrors where view 2 is flipped, so it is not always -d(1,2). */
#ifndef TRAIN_LABELS_H
#define TRAIN_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum label { LABEL_CROP, LABEL_COLOR, LABEL_BLUR, LABEL_FLIP, LABEL_GRAY, LABEL_SAME, N_LABELS };
enum { LABEL_GIVEN = 11, LABEL_COLUMNS = 12 }; /* the last column follows from the others */

struct label_kind {
  const char *name; /* in --labels; NULL: not to be named there */
  int first, count; /* columns */
};
extern const struct label_kind label_kinds[N_LABELS];

/* A comma-separated list of names to bits 1 << label. E_ARG lists the names. */
enum status labels_parse(int64_t *kinds, const char *text);

/* Where in a view's parameter vector the absolute labels are; -1: it does not have that one. */
struct label_map {
  int column[LABEL_GIVEN];
};

/* From the names of the parameters (policy_params). E_ARG: one of `kinds` is not among them. */
enum status label_map_make(struct label_map *out, const char *const *names, size_t n, int64_t kinds);

/* d(1,2) into out [LABEL_COLUMNS], from one image's parameters in view 1 and view 2. */
void label_difference(float *out, const float *p1, const struct label_map *map1, const float *p2,
                      const struct label_map *map2);

/* out [n, LABEL_COLUMNS] from differences [n, given], given <= LABEL_GIVEN; what is missing is 0. */
void labels_complete(float *out, const float *differences, int64_t n, int64_t given);

#endif
