#define REAL double
#include "nn/layer_norm/layer_norm_loops.h"

const struct kernel kernel_layer_norm_ref = {
    .op = "layer_norm", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
