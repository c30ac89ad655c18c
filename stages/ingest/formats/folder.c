/* Folders of images, in three layouts, told apart by what is there:
 *
 * - class folders inside split folders (train, unlabeled, val, valid, validation, test; train must be there).
 * A split without class folders is unlabelled;
 * - class folders alone: one split, train;
 * - images alone: one split, train, unlabelled.
 *
 * With a class list only the class folders in it are read, in its order, and every split with class folders has
 * to have them all. Class folders are searched to any depth. Everything is sorted by bytes, so the order is the same
 * everywhere. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "ingest/class_list.h"
#include "ingest/ingest.h"

enum { MAX_DEPTH = 16, MAX_IMAGE_BYTES = 1 << 30 };

struct names { /* growing list; owns its strings */
  char **items;
  size_t count, room;
};

struct image_file {
  char *path; /* owned */
  int32_t label;
};

struct folder {
  struct names classes;     /* sorted; what was found, without a list */
  struct class_list listed; /* empty: every class folder is read */
  struct image_file *files[SOURCE_MAX_SPLITS];
  size_t counts[SOURCE_MAX_SPLITS], rooms[SOURCE_MAX_SPLITS];
  size_t ignored;  /* files that are no images by name and content */
  size_t empty;    /* class folders without images */
  size_t unlisted; /* class folders that are not in the list */
};

/* --- Lists --- */

static enum status names_add(struct names *l, const char *name) {
  if (l->count == l->room) {
    size_t room = l->room ? 2 * l->room : 64;
    char **grown = realloc(l->items, room * sizeof *grown);
    if (!grown) return fail(E_MEMORY, "out of memory while listing files");
    l->items = grown;
    l->room = room;
  }
  char *copy = strdup(name);
  if (!copy) return fail(E_MEMORY, "out of memory while listing files");
  l->items[l->count++] = copy;
  return OK;
}

static void names_free(struct names *l) {
  for (size_t i = 0; i < l->count; i++) free(l->items[i]);
  free(l->items);
  *l = (struct names){0};
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void names_sort_unique(struct names *l) {
  size_t kept = 0;
  if (l->count) qsort(l->items, l->count, sizeof *l->items, by_bytes);
  for (size_t i = 0; i < l->count; i++)
    if (kept && strcmp(l->items[kept - 1], l->items[i]) == 0)
      free(l->items[i]);
    else
      l->items[kept++] = l->items[i];
  l->count = kept;
}

static int32_t names_find(const struct names *l, const char *name) {
  char **at = l->count ? bsearch(&name, l->items, l->count, sizeof *l->items, by_bytes) : NULL;
  return at ? (int32_t)(at - l->items) : -1;
}

static char *join(const char *folder, const char *name) {
  char *path = malloc(strlen(folder) + strlen(name) + 2);
  if (path) sprintf(path, "%s/%s", folder, name);
  return path;
}

/* --- Looking around --- */

/* The sorted names in a folder: folders or files, whatever links point to; hidden ones left out. */
static enum status list(const char *path, struct names *folders, struct names *files) {
  enum status st = OK;
  DIR *d = opendir(path);
  if (!d) return fail(E_IO, "cannot read the folder %s: %s%s", path, strerror(errno), file_advice(errno));
  for (struct dirent *e; (e = readdir(d));) {
    struct stat info;
    if (e->d_name[0] == '.') continue;
    if (fstatat(dirfd(d), e->d_name, &info, 0) != 0) {
      if (files)
        TRY(names_add(files, e->d_name)); /* a broken link: fails when it is read, as any bad image */
    } else if (S_ISDIR(info.st_mode)) {
      if (folders) TRY(names_add(folders, e->d_name));
    } else if (files) {
      TRY(names_add(files, e->d_name));
    }
  }
  if (folders) names_sort_unique(folders);
  if (files) names_sort_unique(files);
out:
  closedir(d);
  return st;
}

static bool named_as_image(const char *name) {
  static const char *const extensions[] = {"jpg", "jpeg", "jpe", "jfif", "png",  "bmp",  "gif", "webp",
                                           "tif", "tiff", "ppm", "pgm",  "heic", "avif", "jp2"};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < sizeof extensions / sizeof *extensions; i++)
    if (strcasecmp(dot + 1, extensions[i]) == 0) return true;
  return false;
}

/* Not named as one: a file may still be an image by its content, or a README that nobody wants. */
static bool is_image(const char *path, const char *name) {
  uint8_t head[16];
  if (named_as_image(name)) return true;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe must not hold anybody up */
  if (fd < 0) return false;
  ssize_t n = read(fd, head, sizeof head);
  close(fd);
  if (n < 0) return false;
  enum image_kind kind = image_sniff(head, (size_t)n);
  return kind == IMAGE_JPEG || kind == IMAGE_PNG;
}

static enum status add_file(struct folder *f, size_t split, const char *folder, const char *name,
                            int32_t label) {
  char *path = join(folder, name);
  if (path && !is_image(path, name)) {
    free(path);
    f->ignored++;
    return OK;
  }
  if (path && f->counts[split] == f->rooms[split]) {
    size_t room = f->rooms[split] ? 2 * f->rooms[split] : 1024;
    struct image_file *grown = realloc(f->files[split], room * sizeof *grown);
    if (grown) f->files[split] = grown;
    f->rooms[split] = grown ? room : f->rooms[split];
  }
  if (!path || f->counts[split] == f->rooms[split]) {
    free(path);
    return fail(E_MEMORY, "out of memory while listing files");
  }
  f->files[split][f->counts[split]++] = (struct image_file){path, label};
  return OK;
}

/* All images in and below a folder, in the order of their paths. */
static enum status add_below(struct folder *f, size_t split, const char *path, int32_t label, int depth) {
  enum status st;
  struct names folders = {0}, files = {0};
  if (depth > MAX_DEPTH)
    return fail(E_FORMAT, "%s: folders nested more than %d deep (a link to itself?)", path, MAX_DEPTH);
  TRY(list(path, &folders, &files));
  for (size_t i = 0; i < files.count; i++) TRY(add_file(f, split, path, files.items[i], label));
  for (size_t i = 0; i < folders.count; i++) {
    char *below = join(path, folders.items[i]);
    st = below ? add_below(f, split, below, label, depth + 1)
               : fail(E_MEMORY, "out of memory while listing files");
    free(below);
    if (st != OK) goto out;
  }
out:
  names_free(&folders);
  names_free(&files);
  return st;
}

static enum status add_class(struct folder *f, size_t split, const char *path, const char *name,
                             int32_t label) {
  char *below = join(path, name);
  enum status st =
      below ? add_below(f, split, below, label, 0) : fail(E_MEMORY, "out of memory while listing files");
  free(below);
  return st;
}

/* The class folders that the list names, all of which must be there with images. */
static enum status add_listed(struct folder *f, size_t split, const char *path, const char *list_path,
                              const struct names *folders) {
  for (size_t c = 0; c < f->listed.count; c++) {
    const char *name = f->listed.folders[c];
    size_t before = f->counts[split];
    if (names_find(folders, name) < 0)
      return fail(E_FORMAT, "%s: there is no folder of class %s, which %s lists", path, name, list_path);
    enum status st = add_class(f, split, path, name, (int32_t)c);
    if (st != OK) return st;
    if (f->counts[split] == before)
      return fail(E_FORMAT, "%s/%s: there is no image of this class, which %s lists", path, name, list_path);
  }
  f->unlisted += folders->count - f->listed.count;
  return OK;
}

/* One split: its class folders, or its own images, unlabelled, when it has none. */
static enum status add_split(struct folder *f, size_t split, const char *path, const char *list_path) {
  enum status st;
  struct names folders = {0};
  TRY(list(path, &folders, NULL));
  if (list_path && (split == 0 || folders.count)) {
    st = add_listed(f, split, path, list_path, &folders);
    goto out;
  }
  if (folders.count == 0) st = add_below(f, split, path, -1, 0);
  for (size_t i = 0; i < folders.count && st == OK; i++) {
    size_t before = f->counts[split];
    st = add_class(f, split, path, folders.items[i], names_find(&f->classes, folders.items[i]));
    f->empty += st == OK && f->counts[split] == before;
  }
out:
  names_free(&folders);
  return st;
}

/* --- The format --- */

/* Known names of split folders, in the order in which the splits are stored. */
static const char *const split_names[] = {"train", "unlabeled", "val", "valid", "validation", "test"};
enum { N_SPLIT_NAMES = sizeof split_names / sizeof *split_names };

/* The folders that are splits; just ROOT itself when there is no ROOT/train. */
static enum status find_splits(const char *root, struct names *paths, struct source_plan *plan) {
  enum status st;
  struct names folders = {0};
  TRY(list(root, &folders, NULL));
  bool split = names_find(&folders, "train") >= 0;
  for (size_t i = 0; i < (split ? N_SPLIT_NAMES : 1); i++) {
    if (split && names_find(&folders, split_names[i]) < 0) continue;
    char *path = split ? join(root, split_names[i]) : strdup(root);
    st = path ? names_add(paths, path) : fail(E_MEMORY, "out of memory while listing files");
    free(path);
    if (st != OK) goto out;
    struct source_split *next = &plan->splits[plan->n_splits++];
    snprintf(next->name, sizeof next->name, "%s", split_names[i]);
  }
  if (split && folders.count > paths->count)
    log_warn("%s: has train/, so only folders called as splits are read; %zu others are not", root,
             folders.count - paths->count);
out:
  names_free(&folders);
  return st;
}

static enum status folder_open(void **source, const struct ingest_options *options,
                               struct source_plan *plan) {
  enum status st;
  struct names paths = {0};
  size_t total = 0;
  struct folder *f = *source = calloc(1, sizeof *f);
  if (!f) return fail(E_MEMORY, "out of memory");
  if (options->classes) TRY(class_list_read(&f->listed, options->classes));
  TRY(find_splits(options->in, &paths, plan));
  for (size_t i = 0; i < paths.count; i++)
    TRY(list(paths.items[i], &f->classes, NULL)); /* the union of all splits */
  names_sort_unique(&f->classes);
  for (size_t i = 0; i < paths.count; i++) {
    TRY(add_split(f, i, paths.items[i], options->classes));
    plan->splits[i].count = (int64_t)f->counts[i];
    total += f->counts[i];
  }
  if (f->unlisted)
    log_info("%zu class folders that %s does not list are left out", f->unlisted, options->classes);
  if (f->ignored || f->empty)
    snprintf(plan->note, sizeof plan->note,
             "not taken: %zu files that are no images by name or content; %zu folders held none", f->ignored,
             f->empty);
  if (total == 0) {
    st = fail(E_FORMAT,
              "%s: no images there; expected CLASS/*.jpg, {train,test}/CLASS/*.jpg or *.jpg (or PNG)",
              options->in);
    goto out;
  }
  plan->classes = options->classes ? f->listed.names : (const char *const *)f->classes.items;
  plan->n_classes = options->classes ? f->listed.count : f->classes.count;
out:
  names_free(&paths);
  return st;
}

static enum status folder_sample(const void *source, size_t split, int64_t i, struct sample *sample) {
  const struct folder *f = source;
  const struct image_file *file = &f->files[split][i];
  snprintf(sample->origin, sizeof sample->origin, "%s", file->path);
  sample->label = file->label;
  return file_read(file->path, MAX_IMAGE_BYTES, &sample->bytes, &sample->size);
}

static void folder_close(void **source) {
  struct folder *f = *source;
  *source = NULL;
  if (!f) return;
  names_free(&f->classes);
  class_list_free(&f->listed);
  for (size_t s = 0; s < SOURCE_MAX_SPLITS; s++) {
    for (size_t i = 0; i < f->counts[s]; i++) free(f->files[s][i].path);
    free(f->files[s]);
  }
  free(f);
}

extern const struct format format_folder;
const struct format format_folder = {.name = "folder",
                                     .summary = "folders of JPEG and PNG files, one per class",
                                     .needs_in = true,
                                     .takes_classes = true,
                                     .open = folder_open,
                                     .sample = folder_sample,
                                     .close = folder_close};
