#include "wire/pace.h"

#include <stdlib.h>
#include <string.h>

void pace_open(struct pace *p, int64_t ceiling_ms) {
  memset(p, 0, sizeof *p);
  p->ceiling_ms = ceiling_ms;
}

/* How many times as long as a shard of mean cost. */
static double stretch(const struct pace *p, double cost) {
  return p->mean_cost > 0 && cost > p->mean_cost ? cost / p->mean_cost : 1;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void pace_note(struct pace *p, int64_t took_ms, int64_t cost) {
  p->took_ms[p->next] = (double)took_ms;
  p->cost[p->next] = (double)cost;
  p->next = (p->next + 1) % PACE_SAMPLES;
  if (p->n < PACE_SAMPLES) p->n++;
  double sorted[PACE_SAMPLES] = {0}, sum = 0;
  for (int i = 0; i < p->n; i++) sum += p->cost[i];
  p->mean_cost = sum / p->n;
  for (int i = 0; i < p->n; i++) sorted[i] = p->took_ms[i] / stretch(p, p->cost[i]);
  qsort(sorted, (size_t)p->n, sizeof *sorted, ascending);
  p->typical_ms = sorted[(p->n - 1) * 9 / 10];
}

int64_t pace_lease_ms(const struct pace *p, int64_t cost, uint64_t attempt) {
  if (p->n < PACE_LEARN) return p->ceiling_ms;
  double ms = 4 * p->typical_ms * stretch(p, (double)cost);
  if (ms < LEASE_FLOOR_MS) ms = LEASE_FLOOR_MS;
  for (uint64_t i = 1; i < attempt && ms < (double)p->ceiling_ms; i++) ms *= 2;
  return ms < (double)p->ceiling_ms ? (int64_t)ms : p->ceiling_ms;
}

int64_t pace_hedge_ms(const struct pace *p, int64_t cost) {
  if (p->n < PACE_LEARN) return INT64_MAX;
  double ms = 1.5 * p->typical_ms * stretch(p, (double)cost);
  return ms < HEDGE_FLOOR_MS ? HEDGE_FLOOR_MS : (int64_t)ms;
}
