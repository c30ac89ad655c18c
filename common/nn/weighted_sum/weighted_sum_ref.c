#define REAL double
#include "nn/weighted_sum/weighted_sum_loops.h"

const struct kernel kernel_weighted_sum_ref = {
    .op = "weighted_sum", .backend = "ref", .forward = forward, .backward = backward};
