/* The command line's choice of a device and of what it computes in: flags that stages with a network share. */
#ifndef NN_DEVICE_H
#define NN_DEVICE_H

#include "base/cli.h"
#include "nn/graph.h"

struct device_options {
  const char *device;
  int64_t threads;       /* 0: all cores */
  const char *precision; /* NULL: f32 */
  bool deterministic, tune;
};

extern const struct opt device_opts[]; /* for an OPT_TABLE */

/* Ranges, and whether the device has the precision. E_ARG. */
enum status device_options_check(const struct device_options *o);

/* The same, and turns threads = 0 into the number of cores this process may use. E_ARG. */
enum status device_options_resolve(struct device_options *o);

/* Of options that were accepted. */
enum precision device_precision(const struct device_options *o);
enum plans device_plans(const struct device_options *o);
const char *device_plans_name(const struct device_options *o); /* "suggested", "deterministic", "measured" */

#endif
