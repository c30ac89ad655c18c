#define REAL float
#include "nn/gather_rows/gather_rows_loops.h"

const struct kernel kernel_gather_rows_cpu = {
    .op = "gather_rows", .backend = "cpu", .forward = forward, .backward = backward};
