#define REAL double
#include "nn/cosine_loss/cosine_loss_loops.h"

const struct kernel kernel_cosine_loss_ref = {
    .op = "cosine_loss", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
