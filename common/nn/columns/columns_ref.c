#define REAL double
#include "nn/columns/columns_loops.h"

const struct kernel kernel_columns_ref = {
    .op = "columns", .backend = "ref", .forward = forward, .backward = backward};
