#include "fuzz.h"
#include "store/safetensors.h"

/* Whatever it accepts must be readable to the last byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct safetensors *f;
  volatile uint8_t sum = 0;
  if (safetensors_parse(&f, data, size) != OK) return 0;
  for (size_t i = 0; i < safetensors_count(f); i++) {
    const struct tensor_view *t = safetensors_at(f, i);
    for (size_t k = 0; k < t->size; k++) sum ^= ((const uint8_t *)t->data)[k];
    if (safetensors_find(f, t->name) != t) __builtin_trap();
  }
  (void)sum;
  safetensors_metadata(f, "arch");
  safetensors_close(&f);
  return 0;
}
