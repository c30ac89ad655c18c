#define REAL float
#include "nn/concat/concat_loops.h"

const struct kernel kernel_concat_cpu = {
    .op = "concat", .backend = "cpu", .forward = forward, .backward = backward};
