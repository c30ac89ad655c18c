/* tandem-decode: takes tickets, decodes what they need of each image, hands the pixels to augment workers. */
#include "base/clock.h"
#include "decode.h"
#include "image/isa.h"

struct options {
  struct isa_options isa;
  const char *connect, *serve;
  bool insecure, shared_memory;
  int64_t threads;
  struct cli_list datasets;
};

static const struct opt opts[] = {
    {"connect", OPT_STR, offsetof(struct options, connect), NULL,
     "endpoint of the consumer (train, linear, ...)", .required = true},
    {"dataset", OPT_LIST, offsetof(struct options, datasets), NULL,
     "dataset to read from; repeat for several", .required = true},
    {"serve", OPT_STR, offsetof(struct options, serve), NULL,
     "endpoint where augment workers fetch shards (default: a private one of the consumer's kind)"},
    {"insecure", OPT_BOOL, offsetof(struct options, insecure), NULL,
     "allow --serve at a TCP address that other machines can reach"},
    SHARED_MEMORY_OPT(struct options, shared_memory),
    {"threads", OPT_INT, offsetof(struct options, threads), "1", "threads that share the images of a shard"},
    {"isa", OPT_TABLE, offsetof(struct options, isa), .sub = isa_opts},
    {0}};

static const struct stage stage = {.role = "decode", .serves = true, .work = decode_shard};

static enum status run(void *state) {
  const struct options *o = state;
  struct decode decode = {0};
  enum status st = OK;
  stop_on_signals();
  stop_with_parent();
  TRY(isa_select(o->isa.isa));
  TRY(decode_open(&decode, &o->datasets, o->threads));
  struct worker_options worker = {.connect = o->connect,
                                  .serve = o->serve,
                                  .insecure = o->insecure,
                                  .shared_memory = o->shared_memory,
                                  .datasets = {decode.fingerprints, (uint32_t)decode.n}};
  TRY(worker_run(&stage, &decode, &worker));
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
