#include "test.h"

#include "image/image.h"
#include "store/dataset.h"
#include "wire/window.h"

enum { SMALL = 40, LARGE = 6, LARGE_SIDE = 3000 };

static void add(struct dataset_writer *writer, int32_t side, int count) {
  struct image image = {side, side, calloc((size_t)side * (size_t)side, 3)};
  uint8_t *bytes;
  size_t size;
  assert_int_equal(jpeg_encode(&image, 50, &bytes, &size), OK);
  struct record r = {
      .encoding = ENCODING_JPEG, .bytes = bytes, .size = size, .width = side, .height = side, .label = -1};
  for (int i = 0; i < count; i++) assert_int_equal(dataset_writer_add(writer, &r), OK);
  free(bytes);
  image_free(&image);
}

/* Small images first, then large ones of 27 MB decoded. */
static int make_dataset(void **state) {
  struct dataset_writer *writer;
  struct dataset_plan plan = {.name = "mixed"};
  static const double half[3] = {.5, .5, .5};
  assert_int_equal(dataset_writer_open(&writer, "mixed.lmdb", &plan, true), OK);
  assert_int_equal(dataset_writer_split(writer, "train"), OK);
  add(writer, 16, SMALL);
  add(writer, LARGE_SIDE, LARGE);
  assert_int_equal(dataset_writer_commit(&writer, half, half), OK);
  struct dataset *dataset;
  assert_int_equal(dataset_open(&dataset, "mixed.lmdb"), OK);
  *state = dataset;
  return 0;
}

static int close_dataset(void **state) {
  struct dataset *dataset = *state;
  dataset_close(&dataset);
  return 0;
}

/* All images, or the n chosen ones, as one batch. */
static enum status try_window(struct window *w, struct dataset *dataset, const int64_t *chosen, int64_t n) {
  static const char *const train[] = {"train"};
  struct policy *policy;
  assert_int_equal(policy_load(&policy, "cifar", 32), OK);
  struct feed_plan plan = {.run = "test",
                           .splits = train,
                           .n_splits = 1,
                           .chosen = chosen,
                           .n_chosen = n,
                           .policy = policy_json(policy),
                           .batch = SMALL + LARGE,
                           .last_step = -1};
  enum status st = window_open(w, dataset, &plan, 32, 1);
  policy_close(&policy);
  return st;
}

static void open_window(struct window *w, struct dataset *dataset) {
  assert_int_equal(try_window(w, dataset, NULL, 0), OK);
}

static void shards_end_with_their_images_or_their_bytes(void **state) {
  struct window w;
  open_window(&w, *state);
  /* 32 small ones; 8 small and 2 large (54 MB; 4 would be 108); 2; 2 */
  static const int64_t wanted[] = {32, 10, 2, 2};
  const struct batch *b = window_batch(&w, 0);
  assert_int_equal(b->n_shards, 4);
  int64_t first = 0;
  for (int k = 0; k < 4; k++) {
    assert_int_equal(b->shards[k].first, first);
    assert_int_equal(b->shards[k].n, wanted[k]);
    struct ticket t;
    assert_int_equal(ticket_decode(b->shards[k].body, b->shards[k].body_size, &t), OK);
    assert_int_equal(t.first, first);
    assert_int_equal(t.ids.count, wanted[k]);
    ticket_free(&t);
    first += wanted[k];
  }
  assert_int_equal(first, SMALL + LARGE);
  window_close(&w);
}

static void chosen_images_come_alone_and_in_their_order(void **state) {
  struct window w;
  static const int64_t chosen[] = {SMALL + LARGE - 1, 3, 17}, beyond[] = {1, SMALL + LARGE}, below[] = {-1};
  assert_int_equal(try_window(&w, *state, chosen, 3), OK);
  const struct batch *b = window_batch(&w, 0);
  assert_int_equal(b->view.n, 3);
  assert_int_equal(w.last_step, 1);
  for (int i = 0; i < 3; i++) assert_int_equal(b->view.ids[i], chosen[i]); /* ids count up in ingest order */
  window_close(&w);
  assert_int_equal(try_window(&w, *state, beyond, 2), E_ARG);
  assert_int_equal(try_window(&w, *state, below, 1), E_ARG);
  assert_int_equal(try_window(&w, *state, chosen, 0), E_ARG);
}

/* An `augmented` message for shard k of the first step, its pixels in a slot, all of one value. */
static struct packet *result_for(struct window *w, int64_t k, struct slot *slot, struct slot_reader *reader) {
  const struct batch *b = window_batch(w, 0);
  const struct shard *shard = &b->shards[k];
  uint32_t n = (uint32_t)shard->n, views = (uint32_t)b->view.n_views;
  static uint64_t side[SHARD_ENTRIES], offset[SHARD_ENTRIES], params[POLICY_MAX_VIEWS];
  size_t floats = 0;
  for (uint32_t i = 0; i < n * views; i++) {
    side[i] = (uint64_t)b->views[i / n].size;
    offset[i] = i ? offset[i - 1] + side[i - 1] * side[i - 1] * 3 : 0;
  }
  for (uint32_t v = 0; v < views; v++) floats += n * (params[v] = b->views[v].n_params);
  struct packet *p = calloc(1, sizeof *p);
  p->n = PACKET_FRAMES;
  p->head = (struct message){.kind = MESSAGE_AUGMENTED,
                             .memory = slot_place(slot),
                             .height = {side, n * views},
                             .width = {side, n * views},
                             .offset = {offset, n * views},
                             .params = {params, views}};
  zmq_msg_init(&p->frame[FRAME_HEADER]);
  zmq_msg_init_size(&p->frame[FRAME_BODY], shard->body_size);
  memcpy(zmq_msg_data(&p->frame[FRAME_BODY]), shard->body, shard->body_size);
  zmq_msg_init(&p->frame[FRAME_PIXELS]);
  zmq_msg_init_size(&p->frame[FRAME_PARAMS], floats * sizeof(float));
  memset(zmq_msg_data(&p->frame[FRAME_PARAMS]), 0, floats * sizeof(float));
  struct drops drops = {.where = "test"};
  assert_int_equal(packet_map(p, reader, &drops), OK);
  return p;
}

static enum accepted accept_once(struct window *w, struct packet *p) {
  struct arrival arrival;
  return window_accept(w, p, 1, &arrival);
}

/* A slot that is used again between the message and its last byte: the shard is still to come, and so is the
 * comparison of one that is there already. */
static void a_slot_used_again_while_it_is_read_counts_for_nothing(void **state) {
  struct window w;
  struct slots slots;
  struct slot_reader reader;
  struct message greeting = {0};
  open_window(&w, *state);
  slots_open(&slots, 16 << 20);
  slots_greet(&slots, &greeting);
  assert_int_equal(slot_reader_open(&reader, &greeting), OK);
  struct batch *b = window_batch(&w, 0);
  for (int there = 0; there < 2; there++) {
    struct slot *slot = slots_take(&slots, (size_t)window_shard_bytes(&w));
    memset(slot_payload(slot), 5, slot->bytes);
    struct packet *whole = result_for(&w, 0, slot, &reader), *torn = result_for(&w, 0, slot, &reader);
    if (there) assert_int_equal(accept_once(&w, whole), ACCEPTED_NEW);
    slot_free(&slot);
    slot = slots_take(&slots, 1);
    memset(slot_payload(slot), 6, 1);
    assert_int_equal(accept_once(&w, torn), ACCEPTED_LOST);
    assert_int_equal(b->shards[0].state, there ? SHARD_DONE : SHARD_WAITING);
    assert_int_equal(b->done, there);
    slot_free(&slot);
    packet_free(&whole);
    packet_free(&torn);
  }
  assert_int_equal(b->views[0].pixels[0], 5);
  slot_reader_close(&reader);
  slots_close(&slots);
  window_close(&w);
}

/* A digest may not depend on what an earlier one has left on the stack: shards with seeds of their own, again and again. */
static void a_repeated_result_is_the_same(void **state) {
  struct window w;
  struct slots slots;
  struct slot_reader reader;
  struct message greeting = {0};
  open_window(&w, *state);
  slots_open(&slots, 16 << 20);
  slots_greet(&slots, &greeting);
  assert_int_equal(slot_reader_open(&reader, &greeting), OK);
  for (int64_t k = 0; k < window_batch(&w, 0)->n_shards; k++) {
    struct slot *slot = slots_take(&slots, (size_t)window_shard_bytes(&w));
    memset(slot_payload(slot), (int)k, slot->bytes);
    struct packet *p = result_for(&w, k, slot, &reader);
    assert_int_equal(accept_once(&w, p), ACCEPTED_NEW);
    for (int again = 0; again < 5; again++) assert_int_equal(accept_once(&w, p), ACCEPTED_SAME);
    packet_free(&p);
    slot_free(&slot);
  }
  slot_reader_close(&reader);
  slots_close(&slots);
  window_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(shards_end_with_their_images_or_their_bytes),
                                     cmocka_unit_test(chosen_images_come_alone_and_in_their_order),
                                     cmocka_unit_test(a_repeated_result_is_the_same),
                                     cmocka_unit_test(a_slot_used_again_while_it_is_read_counts_for_nothing)};
  return cmocka_run_group_tests(tests, make_dataset, close_dataset);
}
