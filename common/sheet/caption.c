#include "caption.h"

#include <stdio.h>
#include <string.h>

/* As many whole words as fit, at least one. */
static size_t fitting(const char *text, size_t length, size_t columns) {
  if (length <= columns) return length;
  size_t n = columns;
  while (n > 0 && text[n] != ' ') n--;
  if (n > 0) return n;
  while (n < length && text[n] != ' ') n++;
  return n;
}

static void add_line(struct caption *c, const char *text, size_t length, size_t columns) {
  while (length > 0 && c->n_lines < CAPTION_LINES) {
    size_t n = fitting(text, length, columns);
    c->line[c->n_lines].text = text;
    c->line[c->n_lines++].length = n < columns ? n : columns;
    n += n < length; /* the space */
    text += n;
    length -= n;
  }
}

void caption_write(struct caption *out, const struct policy *policy, int view, const struct view_draw *draw,
                   struct extent whole, bool shared, size_t columns) {
  char *at = out->text;
  bool pair;
  out->n_lines = 0;
  for (int op = 0;; op++) {
    size_t room = (size_t)(out->text + CAPTION_SIZE - at);
    if (room < 2 || !policy_describe(policy, view, op, draw, whole, &pair, at, room)) return;
    if (pair != shared) continue;
    while (*at) {
      size_t n = strcspn(at, "\n");
      add_line(out, at, n, columns);
      at += n + (at[n] == '\n');
    }
    at++; /* lines are kept by place */
  }
}
