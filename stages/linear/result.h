/* What an evaluation leaves: result.json (schemas/result-linear.schema.json) and a summary for people. */
#ifndef LINEAR_RESULT_H
#define LINEAR_RESULT_H

#include "source.h"
#include "store/dataset.h"
#include "sweep.h"

struct evaluation {
  const struct linear_options *options;
  const struct weights_source *source;
  const struct dataset_info *dataset;
  const char *policy; /* canonical JSON */
  int64_t dim, n_train, n_validation, n_test;
  const struct sweep *sweep;
  bool reused; /* features were there already */
  double features_s, fits_s;
};

/* Writes the result atomically. Everything but `timing` and `paths` depends on inputs and settings alone.
 * E_IO, E_MEMORY. */
enum status result_write(const struct evaluation *e, const char *path);

/* The refitted classifier as fc.weight [classes, dim] and fc.bias [classes], f32: torchvision's names. E_IO,
 * E_MEMORY. */
enum status classifier_write(const struct evaluation *e, const char *path);

void result_print(const struct evaluation *e); /* to stdout */

#endif
