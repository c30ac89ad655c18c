#include "schedule.h"

#include <math.h>

double schedule_lr(const struct schedule *s, int64_t step) {
  double warmup_steps = s->warmup_epochs * (double)s->steps_per_epoch;
  if ((double)step + 1 < warmup_steps) return s->lr * (double)(step + 1) / warmup_steps;
  if (!s->cosine) return s->lr;
  const int64_t epoch = step / s->steps_per_epoch;
  double done = (double)epoch - s->warmup_epochs, length = (double)s->epochs - s->warmup_epochs;
  if (done <= 0 || length <= 0) return s->lr;
  return 0.5 * s->lr * (1 + cos(acos(-1.0) * done / length));
}
