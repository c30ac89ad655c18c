/* Any result for any shard: refused, or in its place and never anywhere else. Bytes are turned into calls: an `augmented` message
 * for a shard of the window or of a step long past whose every field is right, beside it, or any; or the next step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "wire/window.h"

enum { IMAGES = 6, SIDE = 8, VIEW = 4, SHARD = 2, WINDOW = 2, FIELDS_MAX = 16 };

/* A dataset of a few pixels in a temporary file, which is gone when it is open. */
static struct dataset *make_dataset(void) {
  char path[] = "/tmp/tandem-window-fuzz-XXXXXX", lock[sizeof path + 8];
  int fd = mkstemp(path);
  if (fd < 0 || close(fd) != 0) abort();
  struct dataset_writer *writer;
  struct dataset *dataset;
  static const struct dataset_plan plan = {.name = "fuzz"};
  static const double half[3] = {.5, .5, .5};
  uint8_t pixels[SIDE * SIDE * 3] = {0};
  struct record r = {.encoding = ENCODING_RGB8,
                     .bytes = pixels,
                     .size = sizeof pixels,
                     .width = SIDE,
                     .height = SIDE,
                     .label = -1};
  if (dataset_writer_open(&writer, path, &plan, true) != OK || dataset_writer_split(writer, "train") != OK)
    abort();
  for (int i = 0; i < IMAGES; i++)
    if (dataset_writer_add(writer, &r) != OK) abort();
  if (dataset_writer_commit(&writer, half, half) != OK || dataset_open(&dataset, path) != OK) abort();
  snprintf(lock, sizeof lock, "%s-lock", path);
  unlink(path);
  unlink(lock);
  return dataset;
}

static void open_window(struct window *w, const struct dataset *dataset) {
  static const char *const train[] = {"train"};
  struct feed_plan plan = {.run = "fuzz", .splits = train, .n_splits = 1, .batch = IMAGES, .last_step = 1000};
  struct policy *parsed;
  if (policy_load(&parsed, "cifar", VIEW) != OK) abort();
  plan.policy = policy_json(parsed);
  if (window_open(w, dataset, &plan, SHARD, WINDOW) != OK) abort();
  policy_close(&parsed);
}

static void put_frame(struct packet *p, int i, const void *bytes, size_t size) {
  if (zmq_msg_init_size(&p->frame[i], size) != 0) abort();
  if (bytes && size)
    memcpy(zmq_msg_data(&p->frame[i]), bytes, size);
  else if (size)
    memset(zmq_msg_data(&p->frame[i]), (int)size, size);
}

/* The ticket of a shard, with perhaps one byte of it changed. */
static void put_body(struct packet *p, struct fuzz_input *in, const uint8_t *body, size_t size) {
  put_frame(p, FRAME_BODY, body, size);
  uint8_t *at = zmq_msg_data(&p->frame[FRAME_BODY]);
  uint64_t change = fuzz_number(in, 1);
  if (change < 32) at[fuzz_number(in, 2) % size] ^= (uint8_t)(change + 1);
}

/* `body` of n images. The pixels differ from call to call by their size alone, so that duplicates are sometimes equal. */
static enum accepted offer(struct window *w, struct fuzz_input *in, const uint8_t *body, size_t body_size,
                           uint64_t n) {
  struct packet p = {.n = PACKET_FRAMES};
  uint64_t height[FIELDS_MAX], width[FIELDS_MAX], offset[FIELDS_MAX], params[FIELDS_MAX];
  uint32_t views = (uint32_t)policy_views(w->policy),
           entries = (uint32_t)fuzz_near(in, views * n) % FIELDS_MAX;
  size_t image = VIEW * VIEW * 3, n_params = 0;
  for (uint32_t i = 0; i < entries; i++) {
    height[i] = fuzz_near(in, VIEW);
    width[i] = fuzz_near(in, VIEW);
    offset[i] = fuzz_near(in, i * image);
  }
  for (uint32_t v = 0; v < views; v++) {
    size_t right = policy_params(w->policy, (int)v, NULL);
    params[v] = fuzz_near(in, right);
    n_params += right * n;
  }
  p.head = (struct message){.kind = MESSAGE_AUGMENTED,
                            .height = {height, entries},
                            .width = {width, entries},
                            .offset = {offset, entries},
                            .params = {params, (uint32_t)fuzz_near(in, views) % FIELDS_MAX}};
  if (p.head.params.count > views) p.head.params.count = views;
  put_frame(&p, FRAME_HEADER, NULL, 0);
  put_body(&p, in, body, body_size);
  put_frame(&p, FRAME_PIXELS, NULL, fuzz_near(in, views * n * image) % 65536);
  put_frame(&p, FRAME_PARAMS, NULL, fuzz_near(in, n_params * sizeof(float)) % 65536);
  p.pixels = (struct payload){.at = zmq_msg_data(&p.frame[FRAME_PIXELS]),
                              .size = zmq_msg_size(&p.frame[FRAME_PIXELS])};
  struct arrival arrival;
  enum accepted a = window_accept(w, &p, 1, &arrival);
  if (a == ACCEPTED_NEW &&
      (!window_shard(w, (int64_t)arrival.step, (int64_t)arrival.shard) ||
       window_shard(w, (int64_t)arrival.step, (int64_t)arrival.shard)->state != SHARD_DONE))
    abort();
  for (int i = 0; i < PACKET_FRAMES; i++) zmq_msg_close(&p.frame[i]);
  return a;
}

/* Bodies of the shards that the window once had, so that late results can be offered. */
struct kept {
  uint8_t *body;
  size_t size;
  uint64_t n;
};

static void one_call(struct window *w, struct fuzz_input *in, struct kept *kept) {
  uint8_t what = (uint8_t)fuzz_number(in, 1);
  struct batch *b = window_batch(w, w->next);
  if (b->done == b->n_shards && what >= 128) {
    window_line(w);
    if (window_advance(w) != OK) abort();
    return;
  }
  if (what % 8 == 7 && kept->body) {
    offer(w, in, kept->body, kept->size, kept->n);
    return;
  }
  struct shard *s = window_shard(w, w->next + what % WINDOW, what / WINDOW % (IMAGES / SHARD));
  if (!s) return;
  int64_t done = b->done;
  if (offer(w, in, s->body, s->body_size, (uint64_t)s->n) == ACCEPTED_NOT && b->done != done) abort();
  if (kept->body) return;
  *kept = (struct kept){malloc(s->body_size), s->body_size, (uint64_t)s->n};
  if (!kept->body) abort();
  memcpy(kept->body, s->body, s->body_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct dataset *dataset;
  if (!dataset) dataset = make_dataset();
  struct fuzz_input in = {data, data + size};
  struct window w;
  struct kept kept = {0};
  open_window(&w, dataset);
  while (in.at < in.end && w.next < 100) one_call(&w, &in, &kept);
  free(kept.body);
  window_close(&w);
  return 0;
}
