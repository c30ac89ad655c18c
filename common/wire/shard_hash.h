/* The digests of a shard's result, as they stand in the ledger (wire/ledger.h): of its pixels, view by view and image by image; of its
 * parameters, view by view, and then its class labels. Feed each in that order. */
#ifndef WIRE_SHARD_HASH_H
#define WIRE_SHARD_HASH_H

#define XXH_STATIC_LINKING_ONLY /* the size of a streaming state */
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

struct shard_digest {
  uint64_t pixels, labels;
};

struct shard_hash {
  XXH3_state_t pixels, labels;
};

/* `first`: the shard's first position in the global batch. */
void shard_hash_open(struct shard_hash *hash, uint64_t first);
void shard_hash_pixels(struct shard_hash *hash, const uint8_t *image, size_t bytes);
void shard_hash_params(struct shard_hash *hash, const void *params,
                       size_t bytes); /* float32, little-endian */
void shard_hash_label(struct shard_hash *hash, int32_t label);
struct shard_digest shard_hash_close(const struct shard_hash *hash);

#endif
