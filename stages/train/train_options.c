#include "train_options.h"

#include <math.h>

#include "transform/policy.h"

#define AT(member) offsetof(struct train_options, member)
const struct opt train_opts[] = {
    {"out", OPT_STR, AT(out), NULL, "folder for checkpoints, metrics and the final weights",
     .required = true},
    {"result", OPT_STR, AT(result), NULL, "where to write the result; without it OUT/result.json"},
    {"feed", OPT_TABLE, AT(feed), .sub = feed_opts},
    {"splits", OPT_LIST, AT(splits), NULL, "a split to train on; may be repeated; without it: train"},
    {"policy", OPT_STR, AT(policy), "stl10", "transformations: " POLICY_NAMES},
    {"size", OPT_INT, AT(size), "0", "side of the views in pixels; 0: the policy's own"},
    {"normalize", OPT_STR, AT(normalize), "dataset",
     "channel statistics: the dataset's own, or published ones", "dataset|stl10|cifar|imagenet"},
    {"method", OPT_TABLE, AT(method), .sub = method_opts},
    {"model", OPT_TABLE, AT(model), .sub = model_opts},
    {"optimiser", OPT_TABLE, AT(optimiser), .sub = optimiser_opts},
    {"epochs", OPT_INT, AT(epochs), "200", "passes over the data"},
    {"batch", OPT_INT, AT(batch), "256", "images per step; even, at least 4"},
    {"schedule", OPT_STR, AT(schedule), "cosine", "learning rate over the epochs", "cosine|constant"},
    {"warmup-epochs", OPT_FLOAT, AT(warmup_epochs), "0", "epochs over which the learning rate rises from 0"},
    {"seed", OPT_INT, AT(seed), "0", "seed of starting weights, order and transformations"},
    {"weights", OPT_STR, AT(weights), NULL, "final.safetensors or backbone.safetensors to start from"},
    {"checkpoint-every", OPT_INT, AT(checkpoint_every), "1", "epochs between checkpoints"},
    {"keep", OPT_INT, AT(keep), "2", "checkpoints to keep"},
    {"monitor-every", OPT_FLOAT, AT(monitor_every), "auto",
     "epochs between evaluations of the features by nearest neighbours and a linear probe, on a thread of "
     "the "
     "lowest priority; 0: none; auto: at most 20 in all, and with little work"},
    {"monitor-images", OPT_INT, AT(monitor_images), "1000",
     "labelled training images that an evaluation compares with, and held-out ones that it scores; at most "
     "4000"},
    {"monitor-split", OPT_STR, AT(monitor_split), "test", "split of the held-out images"},
    {"monitor-steps", OPT_INT, AT(monitor_steps), "50",
     "steps between looks at the embeddings (std, alignment, uniformity), at least one an epoch; 0: none"},
    {"resume", OPT_BOOL, AT(resume), NULL,
     "continue from the newest valid checkpoint in OUT, if there is one"},
    {"tensorboard", OPT_BOOL, AT(tensorboard), "true",
     "write TensorBoard event files beside the metrics, too"},
    {"images-every", OPT_INT, AT(images_every), "50",
     "epochs between pictures of the pairs in the event files; 0: none"},
    {"device", OPT_TABLE, AT(device), .sub = device_opts},
    {0}};
#undef AT

/* methods sections 3 and 5: what the paper states, and what its published code does where that differs. The
 * base is left to --base and --method (simclr without them). Loss weights and widths that the tables give for
 * each method and base are "auto", so that each gets its own. */
#define COMMON                                                                                               \
  {"method", "stl"}, {"width", "64"}, {"stem", "imagenet"}, {"trans-projector", "auto"},                     \
      {"predictor", "auto"}, {"temperature", "0.2"}, {"inv", "auto"}, {"equi", "auto"}, {"lr", "0.03"},      \
      {"momentum", "0.9"}, {"weight-decay", "5e-4"}, {"batch", "256"}, {"schedule", "cosine"}, {             \
    "warmup-epochs", "0"                                                                                     \
  }
#define STL10                                                                                                \
  COMMON, {"splits", "train"}, {"splits", "unlabeled"}, {"policy", "stl10"}, {"size", "96"},                 \
      {"normalize", "stl10"}, {"arch", "resnet18"}, {                                                        \
    "epochs", "200"                                                                                          \
  }
static const struct preset_value stl10_paper[] = {
    STL10, {"projector", "auto"}, {"trans-backbone", "512-512-128"}, {"trans", "auto"}, {0}};
static const struct preset_value stl10_code[] = {
    STL10, {"projector", "512-128"}, {"trans-backbone", "128-128"}, {"trans", "0.1"}, {0}};
static const struct preset_value imagenet100_paper[] = {COMMON,
                                                        {"splits", "train"},
                                                        {"policy", "imagenet"},
                                                        {"size", "224"},
                                                        {"normalize", "imagenet"},
                                                        {"arch", "resnet50"},
                                                        {"epochs", "500"},
                                                        {"projector", "2048-2048-128"},
                                                        {"trans-backbone", "512-512-128"},
                                                        {"trans", "auto"},
                                                        {0}};
#undef STL10
#undef COMMON

const struct preset train_presets[] = {
    {"stl10/paper", "STL-10 with ResNet-18 as the paper describes it", stl10_paper},
    {"stl10/code", "STL-10 with ResNet-18 as the paper's published code runs it", stl10_code},
    {"imagenet100/paper", "ImageNet100 with ResNet-50 as the paper describes it", imagenet100_paper},
    {0}};

static enum status check_monitors(const struct train_options *o) {
  enum { MOST_IMAGES = 4000 }; /* the probe's work grows with their cube */
  double every = o->monitor_every;
  if (!isnan(every) && !(every >= 0 && every <= INT32_MAX && every == floor(every)))
    return fail(E_ARG, "--monitor-every: %g is not a number of epochs", every);
  if (o->monitor_images < 1 || o->monitor_images > MOST_IMAGES)
    return fail(E_ARG, "--monitor-images: %lld is not from 1 to %d", (long long)o->monitor_images,
                MOST_IMAGES);
  return o->monitor_steps >= 0
             ? OK
             : fail(E_ARG, "--monitor-steps: %lld is negative", (long long)o->monitor_steps);
}

static enum status at_least(const char *flag, int64_t value, int64_t least) {
  return value >= least ? OK
                        : fail(E_ARG, "--%s: %lld is below %lld", flag, (long long)value, (long long)least);
}

enum status train_options_check(const struct train_options *o) {
  enum status st = OK;
  TRY(method_options_check(&o->method));
  TRY(optimiser_options_check(&o->optimiser));
  TRY(at_least("epochs", o->epochs, 1));
  TRY(at_least("checkpoint-every", o->checkpoint_every, 1));
  TRY(at_least("keep", o->keep, 1));
  TRY(at_least("images-every", o->images_every, 0));
  TRY(at_least("seed", o->seed, 0));
  TRY(at_least("size", o->size, 0));
  TRY(at_least("batch", o->batch, 4));
  TRY(check_monitors(o));
  if (o->batch % 2)
    st = fail(E_ARG, "--batch: %lld is odd; images come in pairs", (long long)o->batch);
  else if (o->warmup_epochs < 0 || o->warmup_epochs > (double)o->epochs)
    st = fail(E_ARG, "--warmup-epochs: %g is not from 0 to --epochs", o->warmup_epochs);
out:
  return st;
}
