#define REAL double
#include "nn/rotations/rotations_loops.h"

static enum status forward(struct node *node, const struct run *run) {
  (void)run;
  turn(node, node->in[0]->data, node->out->data);
  return OK;
}

static enum status backward(struct node *node, const struct run *run) {
  (void)run;
  turn_back(node, node->out->grad, node->in_grad[0]);
  return OK;
}

const struct kernel kernel_rotations_ref = {
    .op = "rotations", .backend = "ref", .forward = forward, .backward = backward};
