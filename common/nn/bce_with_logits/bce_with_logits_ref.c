#include "nn/bce_with_logits/bce_with_logits_term.h"

#define REAL double
#include "nn/pair_loss_loops.h"

const struct kernel kernel_bce_with_logits_ref = {
    .op = "bce_with_logits", .backend = "ref", .prepare = prepare, .forward = forward, .backward = backward};
