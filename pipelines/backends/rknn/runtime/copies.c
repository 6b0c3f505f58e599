/* Copies into the device's memory, left to the host's kernel.
 *
 * librknnrt copies all weights into memory of the device, which is a file here (device.c). Written
 * to the file, they are copied at the PC's speed, and no page is filled with zeros before.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE 65536u /* bytes; a call of the kernel costs more than a short copy */

static struct { /* the largest memory */
    char *at;
    size_t size;
    int file;
    off_t offset;
} largest = {NULL, 0, -1, 0};

static void forget(void) {
    close(largest.file);
    largest.at = NULL;
    largest.size = 0;
    largest.file = -1;
}

static void remember(void *at, size_t size, int file, off_t offset) {
    forget();
    largest.at = at;
    largest.size = size;
    largest.file = dup(file);
    largest.offset = offset;
}

void *mmap64(void *where, size_t size, int access, int flags, int file, off_t offset) {
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (!real)
        real = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap64");
    void *at = real(where, size, access, flags, file, offset);
    if (at != MAP_FAILED && file >= 0 && flags & MAP_SHARED && size > largest.size)
        remember(at, size, file, offset);
    return at;
}

void *mmap(void *where, size_t size, int access, int flags, int file, off_t offset) {
    return mmap64(where, size, access, flags, file, offset);
}

int munmap(void *at, size_t size) {
    static int (*real)(void *, size_t);
    if (!real)
        real = (int (*)(void *, size_t))dlsym(RTLD_NEXT, "munmap");
    if ((char *)at < largest.at + largest.size && largest.at < (char *)at + size)
        forget();
    return real(at, size);
}

static int is_written(char *to, const void *from, size_t size) {
    if (to < largest.at || to + size > largest.at + largest.size)
        return 0;
    off_t offset = largest.offset + (to - largest.at);
    return pwrite(largest.file, from, size, offset) == (ssize_t)size;
}

void *memcpy(void *to, const void *from, size_t size) {
    return size >= LARGE && is_written(to, from, size) ? to : memmove(to, from, size);
}
