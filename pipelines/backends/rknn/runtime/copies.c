/* Copies into the device's memory, left to the host's kernel.
 *
 * librknnrt copies all weights from the file, which the probe has mapped, into memory of the device,
 * which is a file here too (device.c). Sent from file to file they are copied at the PC's speed, and
 * no page of either is looked at by the emulator.
 *
 * The mapped file is as it is on the disk until something writes to it, which may happen: it is
 * mapped without leave to, and who tries is given leave, and its copies are made from memory then.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define LARGE 65536u /* bytes; a call of the kernel costs more than a short copy */

struct mapping { /* addresses, and where in which file they are */
    uintptr_t start, end;
    off_t offset;
    int file;
};
static struct mapping device = {0, 0, 0, -1}, source = {0, 0, 0, -1}; /* the largest of each */

static void forget(struct mapping *one) {
    close(one->file);
    one->start = one->end = 0;
    one->file = -1;
}

static void remember(struct mapping *one, void *at, size_t size, int file, off_t offset) {
    forget(one);
    one->start = (uintptr_t)at;
    one->end = (uintptr_t)at + size;
    one->offset = offset;
    one->file = dup(file);
}

static int holds(const struct mapping *one, uintptr_t at, size_t size) {
    return at >= one->start && at + size <= one->end;
}

/* Of a write to the mapped file; of anything else it ends as without this. */
static void on_fault(int number, siginfo_t *told, void *more) {
    void *start = (void *)source.start;
    size_t size = source.end - source.start;
    (void)more;
    if (holds(&source, (uintptr_t)told->si_addr, 1) && !mprotect(start, size, PROT_READ | PROT_WRITE))
        forget(&source);
    else
        signal(number, SIG_DFL);
}

static void watch(void) {
    struct sigaction action = {0};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, NULL);
}

void *mmap64(void *where, size_t size, int access, int flags, int file, off_t offset) {
    static void *(*real)(void *, size_t, int, int, int, off_t);
    struct mapping *kept = flags & MAP_SHARED ? &device : &source;
    int is_kept = file >= 0 && size >= LARGE && size > kept->end - kept->start;
    int is_source = is_kept && kept == &source && access == (PROT_READ | PROT_WRITE);
    if (!real)
        real = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap64");
    void *at = real(where, size, is_source ? PROT_READ : access, flags, file, offset);
    if (at != MAP_FAILED && (is_source || (is_kept && kept == &device)))
        remember(kept, at, size, file, offset);
    if (at != MAP_FAILED && is_source)
        watch();
    return at;
}

void *mmap(void *where, size_t size, int access, int flags, int file, off_t offset) {
    return mmap64(where, size, access, flags, file, offset);
}

int munmap(void *at, size_t size) {
    static int (*real)(void *, size_t);
    struct mapping *all[] = {&device, &source};
    if (!real)
        real = (int (*)(void *, size_t))dlsym(RTLD_NEXT, "munmap");
    for (int i = 0; i < 2; i++)
        if ((uintptr_t)at < all[i]->end && all[i]->start < (uintptr_t)at + size)
            forget(all[i]);
    return real(at, size);
}

static int is_copied(uintptr_t to, uintptr_t from, size_t size) {
    if (!holds(&device, to, size))
        return 0;
    off_t place = device.offset + (off_t)(to - device.start);
    if (!holds(&source, from, size))
        return pwrite(device.file, (void *)from, size, place) == (ssize_t)size;
    off_t start = source.offset + (off_t)(from - source.start);
    return lseek(device.file, place, SEEK_SET) == place &&
           sendfile(device.file, source.file, &start, size) == (ssize_t)size;
}

void *memcpy(void *to, const void *from, size_t size) {
    int is_done = size >= LARGE && is_copied((uintptr_t)to, (uintptr_t)from, size);
    return is_done ? to : memmove(to, from, size);
}
