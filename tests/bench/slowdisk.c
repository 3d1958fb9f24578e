/* Loaded before the C library's: each fsync and fdatasync is done, and then takes some milliseconds longer. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static struct timespec longer;

__attribute__((constructor)) static void begin(void)
{
    const char *milliseconds = getenv("SLOWDISK_MILLISECONDS");
    long nanoseconds = milliseconds ? (long)(1e6 * atof(milliseconds)) : 0;

    longer = (struct timespec){nanoseconds / 1000000000, nanoseconds % 1000000000};
}

static int slowed(const char *name, int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(file), error = errno;
    struct timespec left = longer;

    while (nanosleep(&left, &left) && errno == EINTR)
        ;
    errno = error;
    return result;
}

int fsync(int file) { return slowed("fsync", file); }

int fdatasync(int file) { return slowed("fdatasync", file); }
