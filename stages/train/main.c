/* tandem-train: pretrains a network on aligned, transformed pairs of images. */
#include "base/openmp.h"
#include "cost.h"
#include "describe.h"
#include "replay.h"
#include "train.h"

int main(int argc, char **argv) {
  openmp_wait_briefly(argv);
  const struct command commands[] = {train_command, replay_command, describe_command, cost_command, {0}};
  const struct program program = {"tandem-train",
                                  "pretrains a network on aligned, transformed pairs of images", commands};
  return cli_main(&program, argc, argv);
}
