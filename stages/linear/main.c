/* tandem-linear: how well a linear classifier does on the features of a frozen network. */
#include "base/openmp.h"
#include "linear.h"

int main(int argc, char **argv) {
  openmp_wait_briefly(argv);
  const struct command commands[] = {{NULL,
                                      "fits and scores a linear classifier on a frozen network's features",
                                      sizeof(struct linear_options), linear_opts, NULL, linear_run},
                                     {0}};
  const struct program program = {"tandem-linear", "linear evaluation of a frozen network", commands};
  return cli_main(&program, argc, argv);
}
