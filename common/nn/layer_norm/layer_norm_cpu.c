#define REAL float
#include "nn/layer_norm/layer_norm_loops.h"

const struct kernel kernel_layer_norm_cpu = {
    .op = "layer_norm", .backend = "cpu", .prepare = prepare, .forward = forward, .backward = backward};
