/* A disk whose syncs take as long as the file named by SLOW_SYNC says, in milliseconds;
 * without the file they take what they take. Loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void slow(void) {
  const char *path = getenv("SLOW_SYNC");
  FILE *file = path ? fopen(path, "r") : NULL;
  int ms = 0;
  if (!file) return;
  if (fscanf(file, "%d", &ms) != 1) ms = 0;
  fclose(file);
  while (ms > 0) {
    int piece = ms > 500 ? 500 : ms;
    usleep(piece * 1000);
    ms -= piece;
  }
}

int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  slow();
  return real(fd);
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
  slow();
  return real(fd);
}
