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

static struct { /* the largest memory: its addresses, and where in which file it is */
    uintptr_t start, end;
    off_t offset;
    int file;
} largest = {0, 0, 0, -1};

static void forget(void) {
    close(largest.file);
    largest.start = largest.end = 0;
    largest.file = -1;
}

static void remember(void *at, size_t size, int file, off_t offset) {
    forget();
    largest.start = (uintptr_t)at;
    largest.end = (uintptr_t)at + size;
    largest.offset = offset;
    largest.file = dup(file);
}

void *mmap64(void *where, size_t size, int access, int flags, int file, off_t offset) {
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (!real)
        real = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap64");
    void *at = real(where, size, access, flags, file, offset);
    if (at != MAP_FAILED && file >= 0 && flags & MAP_SHARED && size > largest.end - largest.start)
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
    if ((uintptr_t)at < largest.end && largest.start < (uintptr_t)at + size)
        forget();
    return real(at, size);
}

static int is_written(uintptr_t to, const void *from, size_t size) {
    if (to < largest.start || to + size > largest.end)
        return 0;
    off_t offset = largest.offset + (off_t)(to - largest.start);
    return pwrite(largest.file, from, size, offset) == (ssize_t)size;
}

void *memcpy(void *to, const void *from, size_t size) {
    return size >= LARGE && is_written((uintptr_t)to, from, size) ? to : memmove(to, from, size);
}
