#define REAL double
#include "nn/tanh_mse/tanh_mse_loops.h"

const struct kernel kernel_tanh_mse_ref = {
    .op = "tanh_mse", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
