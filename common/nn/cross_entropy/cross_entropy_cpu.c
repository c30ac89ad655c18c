#define REAL float
#include "nn/cross_entropy/cross_entropy_loops.h"

const struct kernel kernel_cross_entropy_cpu = {
    .op = "cross_entropy", .backend = "cpu", .prepare = prepare, .forward = forward, .backward = backward};
