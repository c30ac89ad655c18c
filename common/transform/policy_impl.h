/* The parsed policy, shared by the files that parse, sample and render it. */
#ifndef TRANSFORM_POLICY_IMPL_H
#define TRANSFORM_POLICY_IMPL_H

#include "transform/op.h"

enum group { GROUP_PAIR, GROUP_IMAGE };

struct policy_op {
  const struct transform_op *op;
  enum group group;
  double p; /* probability of being applied */
  struct op_args args;
  size_t n_labels, first_value; /* its values in view_draw.value start there */
};

struct policy_view {
  int32_t size;
  int n_ops;
  struct policy_op ops[POLICY_MAX_OPS];
  size_t n_params;
  const char *params[POLICY_MAX_PARAMS]; /* into `names` */
  char names[POLICY_MAX_PARAMS][56];
};

struct policy {
  int n_views;
  bool dct_scale;
  struct policy_view views[POLICY_MAX_VIEWS];
  char *json;
};

/* The canonical text of a policy whose other fields are filled in; malloc'ed. E_MEMORY. */
enum status policy_write(const struct policy *policy, char **json);

#endif
