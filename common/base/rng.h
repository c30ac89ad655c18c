/* Random numbers that depend on nothing but their coordinates.
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) maps a 128-bit
 * counter under a 64-bit key to 128 random bits, so any draw can be made by any process in any order. Also
 * the seeded permutation behind epoch shuffles, evaluated at one index without a table, and MT19937's
 * randperm, which reproduces torch.randperm for published dataset splits (methods: numpy/torch init_genrand
 * seeding). Pure functions; no state but struct mt19937; no libm. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct philox_block {
  uint32_t word[4];
};

/* key: 64-bit seed; counter: the four words of the coordinate. */
struct philox_block philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3);

/* A 32-bit word to [0,1) with 24 bits, exact in float32. */
static inline float rng_unit_f32(uint32_t word) { return (float)(word >> 8) * 0x1p-24F; }

/* 64 bits to [0,1) with 53 bits, exact in float64. */
static inline double rng_unit_f64(uint32_t high, uint32_t low) {
  return (double)((((uint64_t)high << 32) | low) >> 11) * 0x1p-53;
}

/* A word to {0..n-1} by multiply-shift; bias below n/2^32. n > 0. */
static inline uint32_t rng_below(uint32_t word, uint32_t n) { return (uint32_t)(((uint64_t)word * n) >> 32); }

/* Sequence of draws at one coordinate (step, unit, stream): words 0,1,2,... of consecutive Philox blocks. */
struct rng {
  uint64_t key;
  uint32_t counter[3], draw, used;
  struct philox_block block;
};

struct rng rng_at(uint64_t key, uint32_t step, uint32_t unit, uint32_t stream);
uint32_t rng_next(struct rng *r);
double rng_next_f64(struct rng *r); /* [0,1), two words */

/* The image of `index` in {0..n-1} under the permutation that (key, epoch) selects: a 6-round Feistel
 * network on the next even power of two, cycle-walked into range. A bijection for every (key, epoch, n). */
uint64_t rng_permute(uint64_t key, uint32_t epoch, uint64_t n, uint64_t index);

struct mt19937 {
  uint32_t state[624];
  int next;
};

void mt19937_seed(struct mt19937 *m, uint32_t seed);
uint32_t mt19937_next(struct mt19937 *m);

/* torch.randperm(n) under torch.manual_seed(seed): out[n], overwritten. n < 2^32. */
void rng_randperm_torch(uint32_t seed, int64_t n, int64_t *out);

#endif
