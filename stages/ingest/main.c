/* tandem-ingest: makes a dataset of images, from what is there or from the shapes generator. */
#include "ingest.h"

int main(int argc, char **argv) {
  const struct command commands[] = {ingest_command, info_command(), {0}};
  const struct program program = {"tandem-ingest", "makes a dataset of images", commands};
  return cli_main(&program, argc, argv);
}
