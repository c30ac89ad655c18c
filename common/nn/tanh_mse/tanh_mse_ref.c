#include "nn/tanh_mse/tanh_mse_term.h"

#define REAL double
#include "nn/pair_loss_loops.h"

const struct kernel kernel_tanh_mse_ref = {
    .op = "tanh_mse", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
