/* A file that says which class folders are read, and in which order they are labelled (--classes). */
#ifndef INGEST_CLASS_LIST_H
#define INGEST_CLASS_LIST_H

#include <stddef.h>

#include "base/status.h"

/* Entry i is label i. */
struct class_list {
  char *text; /* owned; what the names point into */
  const char **folders;
  const char **names; /* readable ones; the folder's where the file has none */
  size_t count;
};

/* One class per line: its folder, then, behind a tab (or, in a line without tabs, a space), optionally a readable
 * name. Empty lines and lines that begin with # do not count. Free it also on failure. Errors: E_NOT_FOUND, E_IO,
 * E_FORMAT (a folder or a name twice, no class at all), E_MEMORY. */
enum status class_list_read(struct class_list *list, const char *path);
void class_list_free(struct class_list *list);

#endif
