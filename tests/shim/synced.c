/* Notes what is on the disk for sure, so that a harness can play a power cut: after each
 * fsync or fdatasync the file's size goes to <file>.synced; of files that are written in
 * place (*.db, *-wal) the whole content does. Loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int ends(const char *text, const char *tail) {
  size_t a = strlen(text), b = strlen(tail);
  return a >= b && strcmp(text + a - b, tail) == 0;
}

static void note(int fd) {
  char link[64], path[4096], notes[4200], half[4210];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  struct stat st;
  if (n <= 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return;
  path[n] = 0;
  if (ends(path, " (deleted)") || ends(path, ".synced")) return;
  snprintf(notes, sizeof notes, "%s.synced", path);
  snprintf(half, sizeof half, "%s.half", notes);
  int out = open(half, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (out < 0) return;
  if (ends(path, ".db") || ends(path, "-wal")) {
    int in = open(path, O_RDONLY);
    char bytes[65536];
    ssize_t got;
    while (in >= 0 && (got = read(in, bytes, sizeof bytes)) > 0)
      if (write(out, bytes, got) != got) break;
    if (in >= 0) close(in);
  } else {
    dprintf(out, "%lld\n", (long long)st.st_size);
  }
  close(out);
  rename(half, notes);
}

int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  int done = real(fd);
  if (done == 0) note(fd);
  return done;
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
  int done = real(fd);
  if (done == 0) note(fd);
  return done;
}
