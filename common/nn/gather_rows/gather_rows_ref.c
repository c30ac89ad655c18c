#define REAL double
#include "nn/gather_rows/gather_rows_loops.h"

const struct kernel kernel_gather_rows_ref = {
    .op = "gather_rows", .backend = "ref", .forward = forward, .backward = backward};
