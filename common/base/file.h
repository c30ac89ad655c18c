/* Files that are either the old one or the new one, and whole-file reads.
 *
 * An atomic file is written under a temporary name in the same folder, synced and renamed; whatever
 * interrupts that leaves the old file as it was. Not for append-only logs. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

struct atomic_file;

/* Starts writing `path`. Errors: E_IO (with the path and what to do), E_MEMORY. */
enum status atomic_file_open(struct atomic_file **out, const char *path);

/* The stream to write to; borrowed. */
FILE *atomic_file_stream(struct atomic_file *file);

/* Flushes, syncs and renames, then closes and nulls, also on failure (the temporary file is removed then).
 * E_IO. */
enum status atomic_file_commit(struct atomic_file **file);

/* Gives up: removes the temporary file. Accepts NULL; nulls. */
void atomic_file_abort(struct atomic_file **file);

/* Writes `size` bytes to `path` atomically. */
enum status file_write(const char *path, const void *data, size_t size);

/* Reads a whole file of at most `limit` bytes; *data is malloc'ed with a zero byte after the end, the caller
 * frees. Errors: E_IO, E_FORMAT (larger than limit), E_MEMORY. */
enum status file_read(const char *path, size_t limit, uint8_t **data, size_t *size);

/* Creates a folder and its missing parents. Existing folders are fine. E_IO. */
enum status file_make_folder(const char *path);

/* Takes the folder for this process until *lock is closed or the process ends, however it ends. E_EXISTS when another
 * process has it, E_IO. */
enum status file_lock_folder(const char *path, int *lock);

/* Syncs the folder that holds `path`, so that a rename in it survives a power cut. E_IO. */
enum status file_sync_parent(const char *path);

/* Why a write to `fd` failed, as an errno, once the writer has forgotten (streams keep a flag, LMDB says EIO): what the
 * next write at the file's end says. For files that are given up: it may leave bytes there. */
int file_write_error(int fd);

/* What the user can do about an errno, as the end of a message ("; free some space ..."); "" where nothing is
 * known. */
const char *file_advice(int error);

#endif
