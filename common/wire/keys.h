/* CURVE keys: files with key pairs, and lists of the public keys that may connect.
 *
 * A key file is text, one "name value" per line: `public` and `secret`, and in a worker's also `server`, the public
 * key of the consumer it expects. Values are 64 hex digits. A list holds one public key per line, then a name.
 * Blank lines and lines that begin with '#' say nothing. A key file that others may read is refused. Thread-safe. */
#ifndef WIRE_KEYS_H
#define WIRE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/message.h"

enum { KEY_BYTES = 32, KEY_NAME_MAX = 63 };

struct key {
  uint8_t bytes[KEY_BYTES];
};

/* What a socket needs: its own pair, and on the dialling side the key of the other end. */
struct keys {
  struct key own, secret, server;
  bool has_server;
};

struct allowed {
  struct key key;
  char name[KEY_NAME_MAX + 1];
};

struct allow_list {
  struct allowed *at;
  size_t n;
};

/* A new pair, for a worker of `server` unless that is NULL. E_IO (no CURVE in this libzmq). */
enum status keys_make(struct keys *out, const struct key *server);

/* Errors: E_IO, E_FORMAT (which line), E_ARG (others may read it). */
enum status keys_read(struct keys *out, const char *path);

/* Creates the file, readable for its owner alone; E_EXISTS if there is one already. `about`: a comment. */
enum status keys_write(const struct keys *keys, const char *path, const char *about);

/* Errors: E_IO, E_FORMAT (which line), E_MEMORY. At most KEYS_MAX keys. */
enum status allow_list_read(struct allow_list *out, const char *path);
void allow_list_free(struct allow_list *list); /* zeroes */

/* NULL: not in the list. */
const struct allowed *allow_list_find(const struct allow_list *list, const struct key *key);

/* Adds a line at the end, in one atomic change of the file; a missing file is made. E_EXISTS: the name or the key is
 * there already. */
enum status allow_list_add(const char *path, const struct key *key, const char *name);

/* An empty list, unless there is one already. */
enum status allow_list_create(const char *path);

void key_to_hex(const struct key *key, char out[KEY_HEX + 1]);
bool key_from_hex(struct text hex, struct key *out);
bool key_equal(const struct key *a, const struct key *b);

#endif
