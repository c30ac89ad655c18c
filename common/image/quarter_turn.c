#include "image/quarter_turn.h"

#include <assert.h>
#include <stdbool.h>

enum status quarter_turn(struct workspace *work, const struct planes *in, int turns, struct planes *out) {
  assert(turns >= 0 && turns < 4);
  ptrdiff_t width = in->width, height = in->height;
  /* Output pixel (x, y) is input element start + x * right + y * down. */
  struct {
    ptrdiff_t start, right, down;
  } steps[4] = {{0, 1, width},
                {width - 1, width, -1},
                {width * height - 1, -1, -width},
                {(height - 1) * width, -width, 1}},
    step = steps[turns];
  bool swap = turns % 2;
  enum status st = OK;
  TRY(workspace_planes(work, swap ? in->height : in->width, swap ? in->width : in->height, out));
  for (int c = 0; c < 3; c++) {
    float *to = out->plane[c];
    for (ptrdiff_t y = 0; y < out->height; y++) {
      const float *from = in->plane[c] + step.start + y * step.down;
      for (ptrdiff_t x = 0; x < out->width; x++) *to++ = from[x * step.right];
    }
  }
  workspace_flip(work);
out:
  return st;
}
