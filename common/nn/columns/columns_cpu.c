#define REAL float
#include "nn/columns/columns_loops.h"

const struct kernel kernel_columns_cpu = {
    .op = "columns", .backend = "cpu", .forward = forward, .backward = backward};
