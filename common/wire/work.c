#include "wire/work.h"

#include <stdlib.h>
#include <string.h>

static void close_frames(struct work *w, int first) {
  for (int i = first; i < PACKET_FRAMES; i++) {
    if (w->has_frame[i]) zmq_msg_close(&w->frames[i]);
    w->has_frame[i] = false;
  }
}

static void free_arrays(struct work *w) {
  while (w->n_arrays) free(w->arrays[--w->n_arrays]);
}

void work_strip(struct work *w) {
  close_frames(w, FRAME_PIXELS);
  slot_free(&w->slot);
  free_arrays(w);
  w->output = (struct message){0};
}

bool work_is_done(const struct work *w) { return w->slot || w->has_frame[FRAME_PIXELS]; }

void work_free(struct work *w) {
  if (!w) return;
  close_frames(w, 0);
  slot_free(&w->slot);
  free_arrays(w);
  ticket_free(&w->ticket);
  packet_free(&w->packet);
  free(w);
}

void work_push(struct work_queue *q, struct work *w) {
  if (!q->head) q->tail = &q->head;
  w->next = NULL;
  *q->tail = w;
  q->tail = &w->next;
  q->n++;
}

void work_enqueue(struct work_queue *q, struct work *w) {
  if (!q->n || w->input->attempt <= 1) {
    work_push(q, w);
    return;
  }
  w->next = q->head;
  q->head = w;
  q->n++;
}

struct work *work_pop(struct work_queue *q) {
  struct work *w = q->head;
  if (!w) return NULL;
  q->head = w->next;
  q->n--;
  return w;
}

void work_unlink(struct work_queue *q, struct work *w) {
  struct work **at = &q->head;
  while (*at != w) at = &(*at)->next;
  *at = w->next;
  if (!w->next) q->tail = at;
  q->n--;
}

/* Unlinks the first item of a holder, of the step and shard of a ticket unless NULL. */
static struct work *unlink_first(struct work_queue *q, uint64_t source, const struct ticket *of) {
  for (struct work *w = q->head; w; w = w->next) {
    if (w->source != source || (of && (w->ticket.step != of->step || w->ticket.shard != of->shard))) continue;
    work_unlink(q, w);
    return w;
  }
  return NULL;
}

struct work *work_take(struct work_queue *q, uint64_t source) {
  return unlink_first(q, source, NULL);
}

void work_drop(struct work_queue *q, uint64_t source, uint64_t step, uint64_t shard) {
  struct ticket of = {.step = step, .shard = shard};
  for (struct work *w; (w = unlink_first(q, source, &of));) work_free(w);
  for (struct work *w = q->head; w; w = w->next)
    w->settled |= w->ticket.step == step && w->ticket.shard == shard;
}

void work_queue_clear(struct work_queue *q) {
  for (struct work *w; (w = work_pop(q));) work_free(w);
}

uint64_t *work_numbers(struct work *work, struct numbers *field, uint32_t count) {
  uint64_t *at = work->n_arrays < 16 ? calloc(count ? count : 1, sizeof *at) : NULL;
  if (!at) {
    fail(E_MEMORY, "out of memory for the description of a shard");
    return NULL;
  }
  work->arrays[work->n_arrays++] = at;
  *field = (struct numbers){at, count};
  return at;
}

void *work_payload(struct work *work, int frame, size_t size) {
  if (frame == FRAME_PIXELS && work->slots && (work->slot = slots_take(work->slots, size)))
    return slot_payload(work->slot);
  if (zmq_msg_init_size(&work->frames[frame], size) != 0) {
    fail(E_MEMORY, "out of memory for a shard of %zu bytes", size);
    return NULL;
  }
  work->has_frame[frame] = true;
  return zmq_msg_data(&work->frames[frame]);
}

enum status work_result(struct work *work, bool shares, struct message *head, zmq_msg_t *frames, int n) {
  for (int i = 0; i < n; i++) {
    zmq_msg_init(&frames[i]);
    zmq_msg_copy(&frames[i], &work->frames[FRAME_BODY + i]);
  }
  *head = work->output;
  if (!work->slot) return OK;
  if (shares) {
    head->memory = slot_place(work->slot);
    return OK;
  }
  zmq_msg_t *pixels = &frames[FRAME_PIXELS - FRAME_BODY];
  zmq_msg_close(pixels);
  if (zmq_msg_init_size(pixels, work->slot->bytes) != 0) {
    for (int i = 0; i < n; i++)
      if (&frames[i] != pixels) zmq_msg_close(&frames[i]);
    return fail(E_MEMORY, "out of memory for a shard of %zu bytes", work->slot->bytes);
  }
  memcpy(zmq_msg_data(pixels), slot_payload(work->slot), work->slot->bytes);
  return OK;
}

size_t work_bytes(const struct work *work) {
  size_t sum = work->slot ? work->slot->bytes : 0;
  for (int i = FRAME_PIXELS; i < PACKET_FRAMES; i++)
    if (work->has_frame[i]) sum += zmq_msg_size(&work->frames[i]);
  return sum;
}

struct work *work_open(struct worker *worker, struct drops *drops, struct packet **packet, uint64_t source) {
  struct packet *p = *packet;
  struct work *work = calloc(1, sizeof *work);
  if (!work) return NULL;
  zmq_msg_t *body = &p->frame[FRAME_BODY];
  if (ticket_decode(zmq_msg_data(body), zmq_msg_size(body), &work->ticket) != OK) {
    drop_note(drops, DROP_MALFORMED, fail_message());
    free(work);
    return NULL;
  }
  work->input = &p->head;
  if (p->n > FRAME_PIXELS) {
    work->pixels = p->pixels.at;
    work->pixels_size = p->pixels.size;
  }
  work->held = p->n > FRAME_PIXELS ? p->pixels.size : p->head.bytes;
  work->worker = worker;
  work->packet = p;
  work->source = source;
  *packet = NULL;
  zmq_msg_init(&work->frames[FRAME_BODY]);
  work->has_frame[FRAME_BODY] = true;
  zmq_msg_copy(&work->frames[FRAME_BODY], body);
  return work;
}

bool work_has(const struct work *w, zmq_msg_t *body) {
  zmq_msg_t *own = &w->packet->frame[FRAME_BODY];
  return zmq_msg_size(own) == zmq_msg_size(body) &&
         memcmp(zmq_msg_data(own), zmq_msg_data(body), zmq_msg_size(body)) == 0;
}

uint64_t work_queue_held(const struct work_queue *q) {
  uint64_t sum = 0;
  for (const struct work *w = q->head; w; w = w->next) sum += w->held;
  return sum;
}

struct work *work_find(const struct work_queue *q, zmq_msg_t *body) {
  struct work *w = q->head;
  while (w && !work_has(w, body)) w = w->next;
  return w;
}
