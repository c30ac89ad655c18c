#include "wire/packet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

const char *const drop_names[DROP_KINDS] = {"malformed", "oversized",  "unknown",
                                            "foreign",   "unexpected", "stale"};

void drop_note(struct drops *drops, enum drop kind, const char *reason) {
  if (drops->count[kind]++ == 0)
    log_warn("%s: dropped a%s %s message (%s); further ones are only counted", drops->where,
             strchr("aeiou", drop_names[kind][0]) ? "n" : "", drop_names[kind], reason);
}

uint64_t drops_total(const struct drops *drops) {
  uint64_t sum = 0;
  for (int k = 0; k < DROP_KINDS; k++) sum += drops->count[k];
  return sum;
}

void packet_free(struct packet **packet) {
  struct packet *p = *packet;
  if (!p) return;
  payload_close(&p->pixels);
  for (int i = 0; i < p->n; i++) zmq_msg_close(&p->frame[i]);
  free(p->storage);
  free(p);
  *packet = NULL;
}

const char *packet_user(struct packet *packet) { return zmq_msg_gets(&packet->frame[0], "User-Id"); }

const char *packet_address(struct packet *packet) { return zmq_msg_gets(&packet->frame[0], "Peer-Address"); }

static enum status receive_frame(void *socket, zmq_msg_t *frame) {
  zmq_msg_init(frame);
  while (zmq_msg_recv(frame, socket, ZMQ_DONTWAIT) < 0) {
    if (errno == EINTR) continue;
    int error = errno;
    zmq_msg_close(frame);
    return error == EAGAIN ? E_AGAIN : fail(E_IO, "cannot receive: %s", zmq_strerror(error));
  }
  return OK;
}

/* Reads the rest of a message that has too many frames. */
static enum status discard_rest(void *socket) {
  for (bool more = true; more;) {
    zmq_msg_t frame;
    enum status st = receive_frame(socket, &frame);
    if (st != OK) return st;
    more = zmq_msg_more(&frame);
    zmq_msg_close(&frame);
  }
  return OK;
}

/* All frames of one message. A message arrives whole, so that only the first frame can be missing. */
static enum status receive_frames(void *socket, bool router, struct packet *p, bool *too_many) {
  *too_many = false;
  bool more = true;
  if (router) {
    zmq_msg_t id;
    enum status st = receive_frame(socket, &id);
    if (st != OK) return st;
    p->from.size = (uint8_t)zmq_msg_size(&id);
    memcpy(p->from.id, zmq_msg_data(&id), p->from.size);
    more = zmq_msg_more(&id);
    zmq_msg_close(&id);
  }
  while (more) {
    if (p->n == PACKET_FRAMES) {
      *too_many = true;
      return discard_rest(socket);
    }
    enum status st = receive_frame(socket, &p->frame[p->n]);
    if (st != OK) return st;
    more = zmq_msg_more(&p->frame[p->n++]);
  }
  return OK;
}

/* E_FORMAT after counting, or the status of reading the header. */
static enum status judge(struct packet *p, bool too_many, struct drops *drops) {
  if (p->n == 0 || zmq_msg_size(&p->frame[0]) > FRAME_MAX) {
    drop_note(drops, p->n ? DROP_OVERSIZED : DROP_MALFORMED, p->n ? "header over 64 KiB" : "no header");
    return E_FORMAT;
  }
  enum status st =
      message_decode(zmq_msg_data(&p->frame[0]), zmq_msg_size(&p->frame[0]), &p->head, &p->storage);
  if (st == E_VERSION || st == E_MEMORY) return st;
  bool unknown = st == E_FORMAT && (int)p->head.kind < 0;
  if (st == OK && (too_many || p->n != message_frames(p->head.kind)))
    st = fail(E_FORMAT, "%s with %s frames", message_kind_name(p->head.kind),
              too_many ? "too many" : "missing or extra");
  if (st == OK && p->n > FRAME_BODY && zmq_msg_size(&p->frame[FRAME_BODY]) > FRAME_MAX) {
    drop_note(drops, DROP_OVERSIZED, "ticket body over 64 KiB");
    return E_FORMAT;
  }
  if (st == OK && p->n > FRAME_PIXELS)
    p->pixels =
        (struct payload){zmq_msg_data(&p->frame[FRAME_PIXELS]), zmq_msg_size(&p->frame[FRAME_PIXELS])};
  if (st == OK && p->head.memory.bytes && p->pixels.size)
    st = fail(E_FORMAT, "%s with pixels in two places", message_kind_name(p->head.kind));
  if (st != OK) drop_note(drops, unknown ? DROP_UNKNOWN : DROP_MALFORMED, fail_message());
  return st;
}

enum status packet_receive(void *socket, bool router, struct drops *drops, struct packet **out,
                           bool *version_ok) {
  *out = NULL;
  for (int skipped = 0; skipped < 64; skipped++) {
    struct packet *p = calloc(1, sizeof *p);
    if (!p) return fail(E_MEMORY, "out of memory while receiving");
    bool too_many = false;
    enum status st = receive_frames(socket, router, p, &too_many);
    if (st == OK) {
      st = judge(p, too_many, drops);
      *version_ok = st == OK;
      if (st == OK || st == E_VERSION) {
        *out = p;
        return OK;
      }
    }
    packet_free(&p);
    if (st != E_FORMAT) return st;
  }
  return E_AGAIN; /* a flood must not keep the caller from its other work */
}

enum status packet_map(struct packet *p, struct slot_reader *reader, struct drops *drops) {
  if (p->n <= FRAME_PIXELS || !p->head.memory.bytes) return OK;
  enum status st = slot_reader_map(reader, &p->head.memory, &p->pixels);
  if (st != OK) drop_note(drops, st == E_FORMAT ? DROP_MALFORMED : DROP_STALE, fail_message());
  return st;
}

static enum status send_frame(void *socket, zmq_msg_t *frame, int flags) {
  while (zmq_msg_send(frame, socket, flags | ZMQ_DONTWAIT) < 0) {
    if (errno == EINTR) continue;
    if (errno == EHOSTUNREACH) return E_NOT_FOUND;
    return errno == EAGAIN ? E_AGAIN : fail(E_IO, "cannot send: %s", zmq_strerror(errno));
  }
  return OK;
}

enum status packet_send(void *socket, const struct peer *to, const struct message *head, zmq_msg_t *frames,
                        int n) {
  zmq_msg_t id, header;
  zmq_msg_init(&id);
  zmq_msg_init(&header);
  uint8_t *bytes = NULL;
  size_t size = 0;
  int sent = 0;
  enum status st = OK;
  TRY(message_encode(head, &bytes, &size));
  if (zmq_msg_init_size(&header, size) != 0) TRY(fail(E_MEMORY, "out of memory while sending"));
  memcpy(zmq_msg_data(&header), bytes, size);
  if (to) {
    if (zmq_msg_init_size(&id, to->size) != 0) TRY(fail(E_MEMORY, "out of memory while sending"));
    memcpy(zmq_msg_data(&id), to->id, to->size);
    TRY(send_frame(socket, &id, ZMQ_SNDMORE));
  }
  TRY(send_frame(socket, &header, n ? ZMQ_SNDMORE : 0));
  for (; sent < n; sent++) TRY(send_frame(socket, &frames[sent], sent + 1 < n ? ZMQ_SNDMORE : 0));
out:
  free(bytes);
  zmq_msg_close(&id);
  zmq_msg_close(&header);
  for (; sent < n; sent++) zmq_msg_close(&frames[sent]);
  return st;
}
