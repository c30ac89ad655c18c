#include "nn/bce_with_logits/bce_with_logits_term.h"

#define REAL float
#include "nn/pair_loss_loops.h"

const struct kernel kernel_bce_with_logits_cpu = {
    .op = "bce_with_logits", .backend = "cpu", .prepare = prepare, .forward = forward, .backward = backward};
