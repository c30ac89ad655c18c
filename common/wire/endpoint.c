#include "wire/endpoint.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

static bool starts_with(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool endpoint_is_ipc(const char *endpoint) { return starts_with(endpoint, "ipc://"); }
bool endpoint_is_tcp(const char *endpoint) { return starts_with(endpoint, "tcp://"); }
bool endpoint_is_ipv6(const char *endpoint) { return starts_with(endpoint, "tcp://["); }

enum status endpoint_host(const char *endpoint, char *out, size_t size) {
  const char *host = endpoint + strlen("tcp://"), *port = strrchr(endpoint, ':');
  if (!endpoint_is_tcp(endpoint) || port <= host || !port[1])
    return fail(E_ARG, "'%s' is not an endpoint; they look like tcp://host:5555", endpoint);
  size_t n = (size_t)(port - host);
  if (host[0] == '[' && port[-1] == ']') host++, n -= 2;
  if (n == 0 || n >= size) return fail(E_ARG, "'%s' names no host", endpoint);
  memcpy(out, host, n);
  out[n] = '\0';
  return OK;
}

enum status endpoint_with_host(const char *endpoint, const char *host, char *out, size_t size) {
  char before[ENDPOINT_MAX + 1];
  enum status st = endpoint_host(endpoint, before, sizeof before);
  if (st != OK) return st;
  bool ipv6 = strchr(host, ':') != NULL;
  int n =
      snprintf(out, size, "tcp://%s%s%s%s", ipv6 ? "[" : "", host, ipv6 ? "]" : "", strrchr(endpoint, ':'));
  return n < (int)size ? OK : fail(E_ARG, "the host is too long: %.80s...", host);
}

static bool is_loopback_address(const char *host) {
  struct in_addr v4;
  struct in6_addr v6;
  if (inet_pton(AF_INET, host, &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  if (inet_pton(AF_INET6, host, &v6) == 1)
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
  return strcmp(host, "localhost") == 0 || strcmp(host, "lo") == 0; /* `lo` is an interface: to listen at */
}

bool endpoint_is_local(const char *endpoint) {
  char host[ENDPOINT_MAX + 1];
  if (!endpoint_is_tcp(endpoint)) return true;
  return endpoint_host(endpoint, host, sizeof host) == OK && is_loopback_address(host);
}

bool endpoint_is_wildcard(const char *endpoint) {
  char host[ENDPOINT_MAX + 1];
  if (!endpoint_is_tcp(endpoint) || endpoint_host(endpoint, host, sizeof host) != OK) return false;
  return strcmp(host, "*") == 0 || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

enum status endpoint_resolve(const char *endpoint, const char *consumer, char *out, size_t size) {
  char host[ENDPOINT_MAX + 1] = "127.0.0.1";
  if (!starts_with(endpoint, "tcp://*:")) {
    int n = snprintf(out, size, "%s", endpoint);
    return n < (int)size ? OK : fail(E_ARG, "the endpoint is too long: %.80s...", endpoint);
  }
  enum status st = endpoint_is_tcp(consumer) ? endpoint_host(consumer, host, sizeof host) : OK;
  return st == OK ? endpoint_with_host(endpoint, host, out, size) : st;
}

/* --- The private folder --------------------------------------------------------------------------------- */

bool endpoint_path_in_use(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return false;
  memcpy(address.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  bool used = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
  close(fd);
  return used;
}

/* Whether the process whose number ends the name is gone. */
static bool owner_is_dead(const char *name) {
  const char *dash = strrchr(name, '-');
  long pid = dash ? strtol(dash + 1, NULL, 10) : 0;
  return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Removes what killed processes left: nobody answers there, and the owner is dead or, where another process has its number
 * now, a minute has passed, because a socket being opened does not answer yet. */
static void sweep(const char *folder) {
  time_t now = time(NULL);
  DIR *d = opendir(folder);
  if (!d) return;
  for (struct dirent *e; (e = readdir(d));) {
    char path[512];
    struct stat s;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (lstat(path, &s) == 0 && S_ISSOCK(s.st_mode) && (owner_is_dead(e->d_name) || now - s.st_mtime > 60) &&
        !endpoint_path_in_use(path))
      unlink(path);
  }
  closedir(d);
}

enum status endpoint_private(const char *name, char *out, size_t size) {
  char folder[64];
  snprintf(folder, sizeof folder, "/tmp/tandem-%ld", (long)getuid());
  struct stat s;
  if ((mkdir(folder, 0700) != 0 && errno != EEXIST) || lstat(folder, &s) != 0)
    return fail(E_IO, "cannot create %s: %s", folder, strerror(errno));
  if (!S_ISDIR(s.st_mode) || s.st_uid != getuid() || (s.st_mode & 077) != 0)
    return fail(E_IO, "%s is not a private folder of this user; remove it, or name an endpoint", folder);
  sweep(folder);
  snprintf(out, size, "ipc://%s/%s-%ld", folder, name, (long)getpid());
  return OK;
}

/* Device numbers are unique within one kernel, so equal ones of /tmp mean the same files. */
void endpoint_machine(char out[HOST_MAX + 1]) {
  char boot[64] = "", all[192];
  struct stat files = {0}, net = {0};
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, boot, sizeof boot - 1) < 0) boot[0] = '\0';
  if (fd >= 0) close(fd);
  if (stat("/tmp", &files) != 0) files.st_ino = 0;
  if (stat("/proc/self/ns/net", &net) != 0) net.st_ino = 0;
  int n = snprintf(all, sizeof all, "%s %llu %llu %llu", boot, (unsigned long long)files.st_dev,
                   (unsigned long long)files.st_ino, (unsigned long long)net.st_ino);
  snprintf(out, HOST_MAX + 1, "%016llx", (unsigned long long)XXH3_64bits(all, (size_t)n));
}
