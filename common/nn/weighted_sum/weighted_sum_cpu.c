#define REAL float
#include "nn/weighted_sum/weighted_sum_loops.h"

const struct kernel kernel_weighted_sum_cpu = {
    .op = "weighted_sum", .backend = "cpu", .forward = forward, .backward = backward};
