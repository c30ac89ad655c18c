#include "wire/shard_hash.h"

void shard_hash_open(struct shard_hash *h, uint64_t first) {
  /* Resetting reads the seed that was there, and where it is the same takes the secret to be made already. */
  XXH3_INITSTATE(&h->pixels);
  XXH3_INITSTATE(&h->labels);
  XXH3_64bits_reset_withSeed(&h->pixels, first);
  XXH3_64bits_reset_withSeed(&h->labels, first);
}

void shard_hash_pixels(struct shard_hash *h, const uint8_t *image, size_t bytes) {
  XXH3_64bits_update(&h->pixels, image, bytes);
}

void shard_hash_params(struct shard_hash *h, const void *params, size_t bytes) {
  XXH3_64bits_update(&h->labels, params, bytes);
}

void shard_hash_label(struct shard_hash *h, int32_t label) {
  XXH3_64bits_update(&h->labels, &label, sizeof label);
}

struct shard_digest shard_hash_close(const struct shard_hash *h) {
  return (struct shard_digest){XXH3_64bits_digest(&h->pixels), XXH3_64bits_digest(&h->labels)};
}
