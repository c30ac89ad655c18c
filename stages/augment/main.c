/* tandem-augment: turns decoded images into aligned views. */
#include "commands.h"

int main(int argc, char **argv) {
  const struct command commands[] = {augment_work,   augment_apply,  augment_preview,
                                     augment_policy, augment_replay, {0}};
  const struct program program = {
      "tandem-augment", "transforms images: as a worker, one image, or a sheet to look at", commands};
  return cli_main(&program, argc, argv);
}
