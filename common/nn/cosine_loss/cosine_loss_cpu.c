#define REAL float
#include "nn/cosine_loss/cosine_loss_loops.h"

const struct kernel kernel_cosine_loss_cpu = {
    .op = "cosine_loss", .backend = "cpu", .prepare = prepare, .forward = forward, .backward = backward};
