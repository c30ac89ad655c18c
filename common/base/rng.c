#include "base/rng.h"

struct philox_block philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53U * c0, p1 = (uint64_t)0xCD9E8D57U * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return (struct philox_block){{c0, c1, c2, c3}};
}

struct rng rng_at(uint64_t key, uint32_t step, uint32_t unit, uint32_t stream) {
  return (struct rng){.key = key, .counter = {step, unit, stream}, .draw = 0, .used = 4};
}

uint32_t rng_next(struct rng *r) {
  if (r->used == 4) {
    r->block = philox(r->key, r->counter[0], r->counter[1], r->counter[2], r->draw++);
    r->used = 0;
  }
  return r->block.word[r->used++];
}

double rng_next_f64(struct rng *r) {
  uint32_t high = rng_next(r);
  return rng_unit_f64(high, rng_next(r));
}

uint64_t rng_permute(uint64_t key, uint32_t epoch, uint64_t n, uint64_t index) {
  int half = 1;
  while (half < 32 && (1ULL << (2 * half)) < n) half++;
  uint32_t mask = half == 32 ? UINT32_MAX : (1U << half) - 1;
  uint64_t x = index;
  do {
    uint32_t left = (uint32_t)(x >> half), right = (uint32_t)x & mask;
    for (uint32_t round = 0; round < 6; round++) {
      uint32_t f = philox(key, right, epoch, round, 0x5045524DU /* "PERM": apart from every draw */).word[0];
      uint32_t next = left ^ (f & mask);
      left = right;
      right = next;
    }
    x = ((uint64_t)left << half) | right;
  } while (x >= n);
  return x;
}

void mt19937_seed(struct mt19937 *m, uint32_t seed) {
  m->state[0] = seed;
  for (uint32_t i = 1; i < 624; i++)
    m->state[i] = 1812433253U * (m->state[i - 1] ^ (m->state[i - 1] >> 30)) + i;
  m->next = 624;
}

static void mt19937_refill(struct mt19937 *m) {
  uint32_t *s = m->state;
  for (int i = 0; i < 624; i++) {
    uint32_t y = (s[i] & 0x80000000U) | (s[(i + 1) % 624] & 0x7FFFFFFFU);
    s[i] = s[(i + 397) % 624] ^ (y >> 1) ^ ((y & 1U) ? 0x9908B0DFU : 0U);
  }
  m->next = 0;
}

uint32_t mt19937_next(struct mt19937 *m) {
  if (m->next == 624) mt19937_refill(m);
  uint32_t y = m->state[m->next++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9D2C5680U;
  y ^= (y << 15) & 0xEFC60000U;
  return y ^ (y >> 18);
}

void rng_randperm_torch(uint32_t seed, int64_t n, int64_t *out) {
  struct mt19937 m;
  mt19937_seed(&m, seed);
  for (int64_t i = 0; i < n; i++) out[i] = i;
  for (uint32_t left = (uint32_t)n; left > 1; left--) {
    int64_t i = n - left, z = i + mt19937_next(&m) % left, t = out[i];
    out[i] = out[z];
    out[z] = t;
  }
}
