#define REAL double
#include "nn/cross_entropy/cross_entropy_loops.h"

const struct kernel kernel_cross_entropy_ref = {
    .op = "cross_entropy", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
