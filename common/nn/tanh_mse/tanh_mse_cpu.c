#include "nn/tanh_mse/tanh_mse_term.h"

#define REAL float
#include "nn/pair_loss_loops.h"

const struct kernel kernel_tanh_mse_cpu = {
    .op = "tanh_mse", .backend = "cpu", .prepare = prepare, .forward = forward, .backward = backward};
