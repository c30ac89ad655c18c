/* tandem-decode: takes tickets, decodes what they need of each image, hands the pixels to augment workers. */
#include "base/clock.h"
#include "decode.h"
#include "image/isa.h"

struct options {
  struct isa_options isa;
  struct worker_options worker;
  int64_t threads;
  struct cli_list datasets;
};

static const struct opt opts[] = {
    {"worker", OPT_TABLE, offsetof(struct options, worker), .sub = worker_opts},
    {"dataset", OPT_LIST, offsetof(struct options, datasets), NULL,
     "dataset to read from; repeat for several", .required = true},
    {"serving", OPT_TABLE, offsetof(struct options, worker), .sub = serve_opts},
    {"threads", OPT_INT, offsetof(struct options, threads), "1", "threads that share the images of a shard"},
    {"isa", OPT_TABLE, offsetof(struct options, isa), .sub = isa_opts},
    {0}};

static const struct stage stage = {.role = "decode", .serves = true, .work = decode_shard};

static enum status run(void *state) {
  struct options *o = state;
  struct decode decode = {0};
  enum status st = OK;
  stop_on_signals();
  stop_with_parent();
  TRY(isa_select(o->isa.isa));
  TRY(decode_open(&decode, &o->datasets, o->threads));
  o->worker.datasets = (struct texts){decode.fingerprints, (uint32_t)decode.n};
  TRY(worker_run(&stage, &decode, &o->worker));
out:
  decode_close(&decode);
  return st;
}

int main(int argc, char **argv) {
  const struct command commands[] = {
      {NULL, "works on tickets until it is told to stop", sizeof(struct options), opts, NULL, run}, {0}};
  const struct program program = {"tandem-decode", "decodes images for augment workers", commands};
  return cli_main(&program, argc, argv);
}
