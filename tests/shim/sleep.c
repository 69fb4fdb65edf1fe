/* A machine that has slept for as long as the file named by SLEPT says, in seconds: the wall
 * clock and the boot clock went on, the monotonic one stood still. Loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long slept(void) {
  const char *path = getenv("SLEPT");
  char text[32] = {0};
  int fd = path ? open(path, O_RDONLY) : -1;
  if (fd < 0) return 0;
  if (read(fd, text, sizeof text - 1) < 0) text[0] = 0;
  close(fd);
  return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int answer = real(clock, at);
  if (clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME) at->tv_sec += slept();
  return answer;
}
