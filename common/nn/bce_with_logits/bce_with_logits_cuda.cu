#include "nn/bce_with_logits/bce_with_logits_term.h"

#include "nn/cuda/pair_loss.cuh"

CUDA_KERNEL(bce_with_logits) = {
    .op = "bce_with_logits", .backend = "cuda", .prepare = prepare, .forward = forward, .backward = backward};
