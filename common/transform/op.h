/* What a transformation is. Each is one file common/transform/ops/NAME.c that defines `transform_op_NAME`;
 * the build collects them (Makefile, "Registries"), so adding one edits nothing else. The same entry serves a
 * policy, which draws values (and applies the operation with probability p), and `tandem-augment apply`,
 * where parameters that a policy gives as a range are single numbers and nothing is drawn: one pixel function
 * for both.
 *
 * Functions are pure and allocate nothing but through the canvas's workspace. */
#ifndef TRANSFORM_OP_H
#define TRANSFORM_OP_H

#include "base/rng.h"
#include "image/affine.h"
#include "image/lut.h"
#include "image/planes.h"
#include "image/resize.h"
#include "transform/policy.h"

enum { OP_MAX_PARAMS = 8, OP_IN_POLICY = 1, OP_IN_APPLY = 2 };

enum param_kind {
  PARAM_NUMBER,
  PARAM_INTEGER,
  PARAM_RANGE,    /* [low, high] to draw from uniformly; a number x means [x, x] */
  PARAM_STRENGTH, /* s: half the width of the range to draw from */
  PARAM_CHOICE,   /* one of `choices`; its index */
  PARAM_SIZE      /* output size in pixels: in a policy the view's, not a parameter there */
};

struct op_param {
  const char *name, *help;
  enum param_kind kind;
  double min, max;     /* every number lies in [min, max] */
  double low, high;    /* default; both the same but for PARAM_RANGE */
  bool required;       /* there is no default */
  const char *choices; /* "a|b|c" */
};

struct op_args { /* by the parameter's place in the table */
  double low[OP_MAX_PARAMS], high[OP_MAX_PARAMS];
};

/* The image under way: the source until the first operation that needs pixels, float planes from then on. */
struct canvas {
  const struct source *source; /* borrowed; NULL once there are planes */
  struct planes planes;        /* in `work` */
  struct workspace *work;      /* borrowed */
};

/* Makes float planes of a canvas that is still a source and returns it. E_MEMORY. */
enum status canvas_load(struct canvas *canvas);

/* Resizes the part `crop` of the canvas (in pixels of the original while it is a source) to `out` pixels and
 * keeps `window` of the result. E_ARG if the canvas does not hold what is needed: says what is missing. */
enum status canvas_resize(struct canvas *canvas, struct rect crop, struct extent out, struct rect window,
                          enum filter filter);

/* Replaces every 8-bit value of a whole image by `lut`, or by what `lut_of` makes of its channel's histogram.
 * E_MEMORY, E_ARG as canvas_load. */
enum status canvas_lut(struct canvas *canvas, const struct lut *lut);
enum status canvas_lut_of(struct canvas *canvas, void (*lut_of)(const struct histogram *h, struct lut *out));

struct extent canvas_size(const struct canvas *canvas);

struct op_site { /* what is being drawn for */
  struct extent own, partner;
};

struct transform_op {
  const char *name, *summary;
  int where;  /* OP_IN_POLICY | OP_IN_APPLY */
  bool opens; /* makes a view of the source: the first operation of every view and no other; always applied */
  const struct op_param *params; /* ends with a NULL name; NULL: none */
  const char *const *labels;     /* names of what it reports, NULL at the end; NULL: nothing */

  /* What ranges cannot say (an odd kernel). NULL: nothing more. E_ARG without the place, which the caller
   * adds. */
  enum status (*check)(const struct op_args *args);

  /* Draws value[n_values] (zeroed before) and, if `opens`, the crop. NULL: there is nothing to draw. */
  size_t n_values;
  void (*sample)(const struct op_args *args, struct rng *rng, const struct op_site *site, float *value,
                 struct rect *crop);

  /* What it does to the pixels: either of the two. `affine`: where they move, by the first value; in float. */
  enum status (*apply)(const struct op_args *args, const float *value, struct rect crop,
                       struct canvas *canvas);
  struct affine (*affine)(double value, struct extent size);

  /* The labels of an applied operation; those of a skipped one are zeros. NULL iff `labels` is. */
  void (*label)(const struct op_args *args, const float *value, struct rect crop, struct extent whole,
                float *labels);

  /* What an applied operation drew, for a reader, where the labels do not say it: words like "name=value",
   * lines ended by '\n'. NULL: the labels do. */
  void (*describe)(const struct op_args *args, const float *value, char *text, size_t size);
};

/* Every operation, NULL at the end. Generated. */
extern const struct transform_op *const transform_op_registry[];

/* By name among those for `where` (OP_IN_...). NULL and a message that lists them when there is none. */
const struct transform_op *transform_op_find(const char *name, int where);

/* Changes the canvas by a drawn operation. E_MEMORY, and E_ARG if the canvas does not hold what it needs. */
enum status op_apply(const struct transform_op *op, const struct op_args *args, const float *value,
                     struct rect crop, struct canvas *canvas);

/* Draws from [args.low[i], args.high[i]] with two words of `rng`. */
double op_uniform(const struct op_args *args, int i, struct rng *rng);

/* For operations with one drawn value: from the range of their first parameter; and that as their label. */
void op_sample_first(const struct op_args *args, struct rng *rng, const struct op_site *site, float *value,
                     struct rect *crop);
void op_label_value(const struct op_args *args, const float *value, struct rect crop, struct extent whole,
                    float *labels);

/* The label of an operation of which only whether it was applied is to be said: 1. */
void op_label_applied(const struct op_args *args, const float *value, struct rect crop, struct extent whole,
                      float *labels);

/* Index of `text` in "a|b|c", -1 if it is not there. */
int op_choice(const char *choices, const char *text);

/* Checks numbers against a parameter's bounds and kind. E_ARG: "must
 * be ...", without the parameter's name. */
enum status op_param_check(const struct op_param *param, double low, double high);

/* Defaults of every parameter; `size` for PARAM_SIZE. */
void op_defaults(const struct transform_op *op, int32_t size, struct op_args *args);

#endif
