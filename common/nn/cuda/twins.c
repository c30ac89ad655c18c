/* What NVIDIA's libraries multiply, in the type that they multiply, and gradients on the way back. A layer's own copies of its
 * weights would be a launch each, which costs more than what it copies. */
#include <stdlib.h>

#include "nn/cuda/cuda.h"

void cuda_twins_close(struct twins *twins) {
  free(twins->of);
  *twins = (struct twins){0};
}

/* --- Planning ------------------------------------------------------------------------------------------- */

/* There at the start of a pass. */
static bool persists(const struct tensor *t) { return t->role == TENSOR_PARAM || t->role == TENSOR_BUFFER; }

static enum status remember(struct twins *twins, struct tensor *t) {
  if (!persists(t) || t->data_twin.bytes || t->grad_twin.bytes)
    return OK; /* not among them, or it is already */
  if (twins->n == twins->room) {
    const int room = twins->room ? 2 * twins->room : 64;
    struct tensor **grown = realloc(twins->of, (size_t)room * sizeof(struct tensor *));
    if (!grown) return fail(E_MEMORY, "out of memory while planning");
    twins->of = grown;
    twins->room = room;
  }
  twins->of[twins->n++] = t;
  return OK;
}

static enum status want(struct cuda *cuda, struct tensor *t, struct twin *twin, enum element element,
                        int64_t room) {
  const size_t bytes = (size_t)room * cuda_element_bytes(element);
  const bool itself = t->layout.element == element && cuda_count(&t->shape, t->layout) == room;
  if (itself ? twin->bytes != 0
             : twin->itself || (twin->bytes && (twin->bytes != bytes || twin->element != element)))
    return fail(E_DEVICE, "cuda: %s is multiplied in two forms", t->name ? t->name : "a result");
  twin->itself = itself;
  if (itself) return OK;
  enum status st = remember(&cuda->twins, t);
  if (st == OK) *twin = (struct twin){.element = element, .bytes = bytes};
  return st;
}

enum status cuda_want_form(struct cuda *cuda, struct tensor *t, enum element element, int64_t room) {
  return want(cuda, t, &t->data_twin, element, room);
}

enum status cuda_want_factors(struct cuda *cuda, struct node *n) {
  enum status st = OK;
  for (int i = 0; i < n->n_in && st == OK; i++)
    st = cuda_want_form(cuda, n->in[i], cuda_factor(cuda), cuda_count(&n->in[i]->shape, n->in[i]->layout));
  return st;
}

enum status cuda_want_grad_form(struct cuda *cuda, struct tensor *t, enum element element, int64_t room) {
  return want(cuda, t, &t->grad_twin, element, room);
}

/* --- Running -------------------------------------------------------------------------------------------- */

static struct cuda_conversion of_data(const struct tensor *t) {
  return (struct cuda_conversion){
      .to = t->data_twin.at,
      .from = t->data,
      .to_element = t->data_twin.element,
      .from_element = t->layout.element,
      .count = cuda_count(&t->shape, t->layout),
      .room = (int64_t)(t->data_twin.bytes / cuda_element_bytes(t->data_twin.element))};
}

/* The zeros of a twin have no gradient. */
static struct cuda_conversion of_gradient(const struct tensor *t) {
  const int64_t count = cuda_count(&t->shape, t->layout);
  return (struct cuda_conversion){.to = t->grad,
                                  .from = t->grad_twin.at,
                                  .to_element = t->layout.element,
                                  .from_element = t->grad_twin.element,
                                  .count = count,
                                  .room = count};
}

enum status cuda_make_factors(struct cuda *cuda, const struct node *n) {
  enum status st = OK;
  for (int i = 0; i < n->n_in && st == OK; i++) {
    if (persists(n->in[i]) || !n->in[i]->data_twin.bytes) continue;
    const struct cuda_conversion c = of_data(n->in[i]);
    st = cuda_convert(cuda, c.to, c.to_element, c.from, c.from_element, c.count, c.room, false);
  }
  return st;
}

static enum status convert_twins(struct cuda *cuda, bool gradients) {
  const struct twins *twins = &cuda->twins;
  struct cuda_conversion conversions[CUDA_CONVERSIONS];
  enum status st = OK;
  for (int i = 0; i < twins->n && st == OK;) {
    int n = 0;
    for (; i < twins->n && n < CUDA_CONVERSIONS; i++) {
      const struct tensor *t = twins->of[i];
      if ((gradients ? &t->grad_twin : &t->data_twin)->bytes)
        conversions[n++] = gradients ? of_gradient(t) : of_data(t);
    }
    st = n ? cuda_convert_all(cuda, conversions, n) : OK;
  }
  return st;
}

enum status cuda_twins_make(struct cuda *cuda) { return convert_twins(cuda, false); }
enum status cuda_twins_bring_back(void *device) { return convert_twins(device, true); }
