/* The device's memory, and copies into it, as cheap as the emulator has them.
 *
 * It is mapped as the process's own: at the first mapping that is shared, qemu throws away all code
 * that it has translated (linux-user/mmap.c, for the sake of atomics), and begins anew. Memory that
 * is mapped at a second place, or moves, is shared from then on.
 *
 * librknnrt copies all weights from the file, which the probe has mapped, into this memory. No NPU
 * is there to read them: the pages of a large copy are closed, and filled when somebody touches one.
 * (The kernel does not touch: a call of it with such an address fails with EFAULT.) Other copies from
 * the file are the host's kernel's, at the PC's speed.
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
#include <unistd.h>

#define PAGE 4096u
#define LARGE 65536u    /* bytes; a call of the kernel costs more than a short copy */
#define LATE (1u << 20) /* bytes; to close pages and to fill them costs calls too */
#define READ_AND_WRITE (PROT_READ | PROT_WRITE)
#define END(array) ((array) + sizeof(array) / sizeof *(array))

struct mapping { /* addresses, and where in which file they are; -1: no longer */
    uintptr_t start;
    size_t size;
    off_t offset;
    int file;
};
static struct mapping source = {0, 0, 0, -1}; /* the largest file */
static struct mapping late[16];               /* closed pages, and where their bytes are */
static struct mapping memories[64];           /* all that was ever mapped of the device */
static unsigned mapped;
static int is_busy;

int is_memory(int file); /* of device.c */

static void *map(void *where, size_t size, int access, int flags, int file, off_t offset) {
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (!real)
        real = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap64");
    return real(where, size, access, flags, file, offset);
}

static int meets(const struct mapping *one, uintptr_t at, size_t size) {
    return one->file >= 0 && at < one->start + one->size && one->start < at + size;
}

static int holds(const struct mapping *one, uintptr_t at, size_t size) {
    return one->file >= 0 && at >= one->start && at + size <= one->start + one->size;
}

static struct mapping *memory_of(uintptr_t at, size_t size) {
    for (struct mapping *one = memories; one < END(memories); one++)
        if (holds(one, at, size))
            return one;
    return NULL;
}

static void forget(struct mapping *one) {
    close(one->file);
    one->file = -1;
}

static int is_read(uintptr_t to, int file, off_t from, size_t size) {
    return pread(file, (void *)to, size, from) == (ssize_t)size;
}

/* Elsewhere first, and moved here in one step: another thread sees all of it or waits. */
static int is_filled(struct mapping *one) {
    void *made = map(NULL, one->size, READ_AND_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED || !is_read((uintptr_t)made, one->file, one->offset, one->size))
        return 0;
    int how = MREMAP_MAYMOVE | MREMAP_FIXED;
    if (mremap(made, one->size, one->size, how, (void *)one->start) == MAP_FAILED)
        return 0;
    forget(one);
    one->size = 0;
    return 1;
}

/* All late copies to these addresses are made now. */
static int are_filled(uintptr_t at, size_t size) {
    int are_done = 1;
    while (__atomic_exchange_n(&is_busy, 1, __ATOMIC_ACQUIRE))
        ;
    for (struct mapping *one = late; one < END(late); one++)
        if (one->size && meets(one, at, size) && !is_filled(one))
            are_done = 0;
    __atomic_store_n(&is_busy, 0, __ATOMIC_RELEASE);
    return are_done;
}

static int is_shared(struct mapping *one) {
    if (one->file < 0)
        return 1;
    void *at = (void *)one->start;
    if (!are_filled(one->start, one->size) ||
        pwrite(one->file, at, one->size, one->offset) != (ssize_t)one->size ||
        map(at, one->size, READ_AND_WRITE, MAP_SHARED | MAP_FIXED, one->file, one->offset) != at)
        return 0;
    forget(one);
    return 1;
}

/* What is at these addresses will be there no longer. */
static int is_left(uintptr_t at, size_t size) {
    if (meets(&source, at, size))
        forget(&source);
    for (struct mapping *one = memories; one < END(memories); one++)
        if (meets(one, at, size) && !is_shared(one))
            return 0;
    return 1;
}

/* Of late pages and of a write to the mapped file; of anything else it ends as without this. */
static void on_fault(int number, siginfo_t *told, void *more) {
    uintptr_t at = (uintptr_t)told->si_addr;
    (void)more;
    if (memory_of(at, 1) && are_filled(at, 1))
        return;
    if (holds(&source, at, 1) && !mprotect((void *)source.start, source.size, READ_AND_WRITE))
        forget(&source);
    else
        signal(number, SIG_DFL);
}

static void *map_source(void *where, size_t size, int flags, int file, off_t offset) {
    struct sigaction action = {0};
    void *at = map(where, size, PROT_READ, flags, file, offset);
    if (at == MAP_FAILED)
        return at;
    if (source.file >= 0) /* a smaller one */
        mprotect((void *)source.start, source.size, READ_AND_WRITE);
    forget(&source);
    source = (struct mapping){(uintptr_t)at, size, offset, dup(file)};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, NULL);
    return at;
}

/* The process's own where no other mapping has any of it. */
static void *map_memory(void *where, size_t size, int access, int flags, int file, off_t offset) {
    unsigned number = __atomic_fetch_add(&mapped, 1, __ATOMIC_RELAXED);
    int is_noted = memories + number < END(memories);
    int is_own = is_noted && access == READ_AND_WRITE;
    for (struct mapping *one = memories; one < END(memories); one++)
        if (offset < one->offset + (off_t)one->size && one->offset < offset + (off_t)size) {
            is_own = 0;
            if (!is_shared(one))
                return MAP_FAILED;
        }
    if (is_own)
        flags = (flags & ~MAP_SHARED) | MAP_PRIVATE;
    void *at = map(where, size, access, flags, file, offset);
    if (is_noted && at != MAP_FAILED)
        memories[number] = (struct mapping){(uintptr_t)at, size, offset, is_own ? dup(file) : -1};
    return at;
}

void *mmap64(void *where, size_t size, int access, int flags, int file, off_t offset) {
    if (flags & MAP_FIXED && !is_left((uintptr_t)where, size))
        return MAP_FAILED;
    if (flags & MAP_SHARED && file >= 0 && is_memory(file))
        return map_memory(where, size, access, flags, file, offset);
    int is_source = !(flags & MAP_SHARED) && file >= 0 && size >= LARGE && access == READ_AND_WRITE;
    if (is_source && (source.file < 0 || size > source.size))
        return map_source(where, size, flags, file, offset);
    return map(where, size, access, flags, file, offset);
}

void *mmap(void *where, size_t size, int access, int flags, int file, off_t offset) {
    return mmap64(where, size, access, flags, file, offset);
}

int munmap(void *at, size_t size) {
    static int (*real)(void *, size_t);
    if (!real)
        real = (int (*)(void *, size_t))dlsym(RTLD_NEXT, "munmap");
    return is_left((uintptr_t)at, size) ? real(at, size) : -1;
}

/* Whole pages of the device, whose bytes are in this file from there. */
static int are_closed(uintptr_t start, size_t size, int file, off_t from) {
    struct mapping *one = late;
    while (one < END(late) && one->size)
        one++;
    if (one == END(late))
        return is_read(start, file, from, size);
    *one = (struct mapping){start, size, from, dup(file)};
    if (!mprotect((void *)start, size, PROT_NONE))
        return 1;
    forget(one);
    one->size = 0;
    return 0;
}

static int is_put_off(uintptr_t to, int file, off_t from, size_t size) {
    uintptr_t start = (to + PAGE - 1) / PAGE * PAGE, end = (to + size) / PAGE * PAGE;
    return are_filled(to, size) && is_read(to, file, from, start - to) &&
           is_read(end, file, from + (off_t)(end - to), to + size - end) &&
           are_closed(start, end - start, file, from + (off_t)(start - to));
}

static int is_copied(uintptr_t to, uintptr_t from, size_t size) {
    if (!holds(&source, from, size))
        return 0;
    off_t place = source.offset + (off_t)(from - source.start);
    int is_late = size >= LATE && memory_of(to, size);
    return (is_late ? is_put_off : is_read)(to, source.file, place, size);
}

void *memcpy(void *to, const void *from, size_t size) {
    int is_done = size >= LARGE && is_copied((uintptr_t)to, (uintptr_t)from, size);
    return is_done ? to : memmove(to, from, size);
}
