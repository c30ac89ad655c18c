/* What was drawn for a view, as lines of text. Pure functions. */
#ifndef SHEET_CAPTION_H
#define SHEET_CAPTION_H

#include "transform/policy.h"

enum { CAPTION_SIZE = 2048, CAPTION_LINES = 64 };

struct caption {
  char text[CAPTION_SIZE];
  int n_lines;
  struct {
    const char *text; /* into `text` above */
    size_t length;
  } line[CAPTION_LINES];
};

/* The operations that a pair shares, or those that each image has for itself, each from a new line on, wrapped
 * between words to at most `columns`; what is too long is cut off. */
void caption_write(struct caption *out, const struct policy *policy, int view, const struct view_draw *draw,
                   struct extent whole, bool shared, size_t columns);

#endif
