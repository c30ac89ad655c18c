/* One transformation with given parameters, as text: NAME or NAME:key=value,... (`tandem-augment apply
 * --op`). */
#ifndef TRANSFORM_STEP_H
#define TRANSFORM_STEP_H

#include "transform/op.h"

struct step {
  const struct transform_op *op;
  struct op_args args;
  float value[POLICY_MAX_VALUES];
};

/* Every parameter without a default, and every one that a policy would draw, must be given. E_ARG names what
 * is wrong and what is valid. */
enum status step_parse(struct step *out, const char *text);

/* E_ARG (the image does not hold what the step needs), E_MEMORY. */
enum status step_apply(const struct step *step, struct canvas *canvas);

#endif
