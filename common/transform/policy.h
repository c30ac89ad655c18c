/* A policy says what happens to an image: a list of views, each an output size and a list of operations; an
 * operation names the group that shares its draws (the pair of images, or each image for itself).
 *
 *   {"views": [{"size": 96, "ops": [{"op": "random_resized_crop", "group": "pair", "scale": [0.2, 1], ...},
 * ...]}, ...]}
 *
 * It travels inside every ticket, so a result is a pure function of (ticket, dataset): sampling uses
 * Philox4x32-10 with key = seed and counter = (step, unit, view * 2^16 + op index, draw), where unit is the
 * pair's index in the global batch for "pair" and the image's position in it for "image"
 * (docs/transformations.md). No libm decides a draw or a pixel. A policy is immutable after parsing and may
 * be shared between threads. */
#ifndef TRANSFORM_POLICY_H
#define TRANSFORM_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "image/planes.h"

/* Per policy; per view: operations, drawn values, parameters (labels). */
enum { POLICY_MAX_VIEWS = 8, POLICY_MAX_OPS = 32, POLICY_MAX_VALUES = 128, POLICY_MAX_PARAMS = 64 };
enum { POLICY_MAX_SIZE = 4096, POLICY_MAX_JSON = 1 << 16 }; /* pixels of a view's side; bytes of text */

struct policy;

/* Parses the JSON form; unknown keys, ops and out-of-range values are E_ARG with the place and the valid
 * names. */
enum status policy_parse(struct policy **out, const char *json);

/* What policy_load takes, for help and messages. */
#define POLICY_NAMES                                                                                         \
  "stl10|cifar|imagenet[/crop|/color|/crop+color|/all|/none][+augmix][+essl], evaluate, or a .json file"

/* By name: "stl10", "cifar", "imagenet" (methods section 1) with two views of `size` pixels (0: the
 * preset's own), where "/GROUP" says what a pair shares (Table 8), "+augmix" adds AugMix behind the
 * colours and in their group, "+essl" E-SSL's third view, whose size goes along with `size`; "evaluate"
 * (short side, centre crop; one view); or a file name ending in .json, whose views, if they are all of one
 * size, are resized to `size` unless that is 0. E_ARG lists the names. */
enum status policy_load(struct policy **out, const char *name_or_file, int32_t size);
void policy_close(struct policy **policy);

/* The canonical JSON: parsing it gives an equal policy, equal policies
 * give equal text. Borrowed until close. */
const char *policy_json(const struct policy *policy);

int policy_views(const struct policy *policy);
int32_t policy_view_size(const struct policy *policy, int view); /* pixels; views are square */

/* Names of the parameters (labels) that a view reports, in the order
 * of the vector, e.g. "crop.cy". Borrowed. */
size_t policy_params(const struct policy *policy, int view, const char *const **names);

struct view_draw {
  bool active[POLICY_MAX_OPS];    /* false: skipped by its probability */
  float value[POLICY_MAX_VALUES]; /* the operations' values one after another, of skipped ones too */
  struct rect crop;               /* the source rectangle, in the original image's pixels */
};

/* Draws everything for the image at `position` of global batch `step`. `own` is its size, `partner` that of
 * image position^1 (its own where there is none): pairs of different size share scale, ratio and unit
 * offsets; a box counts only if it is valid in both (methods section 7 (7)). Sides are at least 1; step <
 * 2^32. draws: [policy_views], overwritten. */
void policy_sample(const struct policy *policy, uint64_t seed, uint64_t step, uint32_t position,
                   struct extent own, struct extent partner, struct view_draw *draws);

/* What was drawn for operation `op` of a view, in words for a reader: "name=value" and the like, lines ended by
 * '\n'; empty if the operation was skipped or has nothing to say. *shared: the pair shares it. False, and
 * nothing written, behind the last operation. */
bool policy_describe(const struct policy *policy, int view, int op, const struct view_draw *draw,
                     struct extent whole, bool *shared, char *text, size_t size);

/* The smallest rectangle of the original that all views need. */
struct rect policy_region(const struct policy *policy, const struct view_draw *draws);

/* By how much the pixels may be shrunken (shrink.h) under these draws: 1 unless the policy says
 * "dct_scale", else the largest of 8, 4, 2, 1 that leaves every view's crop at least as large as the view. */
int32_t policy_shrink(const struct policy *policy, const struct view_draw *draws);

/* Part of a decoded image: `region` of an original of size `whole`. pixels [region.height, region.width, 3]
 * RGB. With `shrink` > 1 (0 as 1) the pixels and `region` are the shrunken image's; `whole` and all crops count
 * the original's. */
struct source {
  const uint8_t *pixels;
  struct rect region;
  struct extent whole;
  int32_t shrink;
};

struct render; /* scratch memory for rendering; one per thread; grows to the largest image seen */
enum status render_open(struct render **out);
void render_close(struct render **render);

/* Renders one view: out [size, size, 3] u8 RGB; params [policy_params] f32; both overwritten. The result does
 * not depend on how much more than the needed region `source` holds. E_ARG (it holds less), E_MEMORY. */
enum status render_view(struct render *render, const struct policy *policy, int view,
                        const struct view_draw *draw, const struct source *source, uint8_t *out,
                        float *params);

#endif
