#include "nn/tanh_mse/tanh_mse_term.h"

#include "nn/cuda/pair_loss.cuh"

CUDA_KERNEL(tanh_mse) = {
    .op = "tanh_mse", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
