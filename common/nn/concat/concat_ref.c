#define REAL double
#include "nn/concat/concat_loops.h"

const struct kernel kernel_concat_ref = {
    .op = "concat", .backend = "ref", .forward = forward, .backward = backward};
