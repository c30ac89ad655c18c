#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "test.h"
#include "wire/server.h"

struct owner {
  int joined, left;
};

struct bench {
  void *context, *worker;
  struct server server;
  struct owner owner;
};

static const char *admit(void *owner, const struct message *hello) {
  (void)owner, (void)hello;
  return NULL;
}

static void welcome(void *owner, struct message *m) {
  (void)owner;
  m->run = m->dataset = text_of("");
}

static void joined(void *owner, struct session *session) {
  (void)session;
  ((struct owner *)owner)->joined++;
}

static void left(void *owner, struct session *session, bool lost) {
  (void)session, (void)lost;
  ((struct owner *)owner)->left++;
}

static void message(void *owner, struct session *session, struct packet **packet) {
  (void)owner, (void)session, (void)packet;
}

/* Everything that the worker has sent arrives within moments. */
static void pump_until(struct bench *b, const int *count, int wanted) {
  for (int i = 0; i < 2000 && *count != wanted; i++) {
    assert_int_equal(server_pump(&b->server), OK);
    usleep(1000);
  }
  assert_int_equal(*count, wanted);
}

static void say(struct bench *b, const struct message *m) {
  enum status st = E_AGAIN;
  for (int i = 0; i < 2000 && (st = packet_send(b->worker, NULL, m, NULL, 0)) == E_AGAIN; i++) usleep(1000);
  assert_int_equal(st, OK);
}

static void greet(struct bench *b) {
  struct message hello = {.kind = MESSAGE_HELLO,
                          .role = text_of("decode"),
                          .worker = text_of("w"),
                          .build = text_of("1"),
                          .check = text_of("")};
  say(b, &hello);
}

static int set_up(void **state) {
  static struct bench b;
  b = (struct bench){.context = zmq_ctx_new()};
  void *socket = NULL;
  char endpoint[ENDPOINT_MAX + 1];
  assert_int_equal(socket_open(&socket, b.context, ZMQ_ROUTER, FRAME_MAX), OK);
  assert_int_equal(socket_bind(socket, "ipc://server.sock", false, endpoint, sizeof endpoint), OK);
  server_open(&b.server, socket, "test",
              (struct server_hooks){&b.owner, admit, welcome, joined, left, message});
  assert_int_equal(socket_open(&b.worker, b.context, ZMQ_DEALER, FRAME_MAX), OK);
  assert_int_equal(socket_connect(b.worker, endpoint), OK);
  *state = &b;
  return 0;
}

static int tear_down(void **state) {
  struct bench *b = *state;
  server_close(&b->server, "");
  socket_close(&b->worker);
  zmq_ctx_term(b->context);
  return 0;
}

static void a_silent_worker_that_talks_again_has_joined_again(void **state) {
  struct bench *b = *state;
  greet(b);
  pump_until(b, &b->owner.joined, 1);
  server_tick(&b->server, clock_ms() + SILENCE_MS - 100);
  assert_int_equal(b->owner.left, 0);
  server_tick(&b->server, clock_ms() + SILENCE_MS + BEAT_MS);
  assert_int_equal(b->owner.left, 1);
  assert_true(b->server.sessions[0]->silent);
  say(b, &(struct message){.kind = MESSAGE_BEAT});
  pump_until(b, &b->owner.joined, 2);
  assert_false(b->server.sessions[0]->silent);
  assert_int_equal(b->owner.left, 1);
  say(b, &(struct message){.kind = MESSAGE_BYE, .reason = text_of("")});
  pump_until(b, &b->owner.left, 2);
  assert_int_equal(b->server.n, 0);
}

static void a_second_greeting_replaces_the_session(void **state) {
  struct bench *b = *state;
  greet(b);
  pump_until(b, &b->owner.joined, 1);
  say(b, &(struct message){.kind = MESSAGE_WANT, .credits = 3, .credit_bytes = 1});
  greet(b);
  pump_until(b, &b->owner.joined, 2);
  assert_int_equal(b->owner.left, 1);
  assert_int_equal(b->server.n, 1);
  assert_int_equal(b->server.sessions[0]->credits, 0);
  assert_null(server_with_credit(&b->server, "decode", NULL, NULL));
}

static void add(struct bench *b, int i, const char *name, uint64_t credits) {
  static struct session sessions[3];
  sessions[i] = (struct session){.number = (uint64_t)i + 1, .credits = credits, .credit_bytes = 1000};
  snprintf(sessions[i].role, sizeof sessions[i].role, "augment");
  snprintf(sessions[i].worker, sizeof sessions[i].worker, "%s", name);
  b->server.sessions[b->server.n++] = &sessions[i];
}

static bool is_fast(const void *arg, const struct session *s) { return strcmp(s->worker, arg) == 0; }

/* A slow worker has least room and so gets work last; equals take turns. */
static void work_goes_where_there_is_most_room(void **state) {
  (void)state;
  static struct session *sessions[3];
  struct bench b = {.server = {.sessions = sessions}};
  add(&b, 0, "slow", 1);
  add(&b, 1, "a", 2);
  add(&b, 2, "b", 2);
  static const char *const wanted[] = {"a", "b", "slow", "a", "b"};
  for (int i = 0; i < 5; i++) {
    struct session *s = server_with_credit(&b.server, "augment", NULL, NULL);
    assert_non_null(s);
    assert_string_equal(s->worker, wanted[i]);
    s->sent++;
  }
  assert_null(server_with_credit(&b.server, "augment", NULL, NULL));
  sessions[1]->credits = 9;
  sessions[1]->sent_bytes = 1000; /* credit in shards, but none in bytes */
  assert_null(server_with_credit(&b.server, "augment", NULL, NULL));
  sessions[1]->sent_bytes = 999;
  assert_null(server_with_credit(&b.server, "augment", is_fast, "a"));
  assert_ptr_equal(server_worker(&b.server, text_of("b")), sessions[2]);
  assert_ptr_equal(server_session(&b.server, 1), sessions[0]);
  assert_null(server_session(&b.server, 4));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(work_goes_where_there_is_most_room),
      cmocka_unit_test_setup_teardown(a_silent_worker_that_talks_again_has_joined_again, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_second_greeting_replaces_the_session, set_up, tear_down)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
