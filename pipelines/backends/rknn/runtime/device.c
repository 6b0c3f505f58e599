/* Stands in for the kernel's NPU device, so that librknnrt starts without a board.
 *
 * Preloaded into the vendor's runtime. Requests and their structures are those of Rockchip's public
 * kernel, drivers/rknpu/include/rknpu_ioctl.h (GPL-2.0; described here, not copied), and of DRM,
 * include/uapi/drm/drm.h. Memory is one file in memory, handed out from its start; a submitted job
 * is done at once: nothing is computed. rv1103 and rv1106 have no DRM: their driver is /dev/rknpu,
 * with the same requests under another letter, and each memory is a file of its own (dma-buf).
 *
 * NPUMAKE_NPU_VERSION: what the hardware answers for its version; NPUMAKE_CHIP: the chip's name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
#define FIRST_ADDRESS 0x10000000u /* of the bus; 0 would look like none */
#define DRIVER_VERSION 908u       /* 0.9.8: major * 10000 + minor * 100 + patch */

static int memory = -1; /* the device, and all its memory */
static uint64_t used;
static uint64_t offsets[1 << 16]; /* by handle */
static uint32_t handles;

struct version { /* of DRM */
    int major, minor, patch;
    size_t name_length;
    char *name;
    size_t date_length;
    char *date;
    size_t about_length;
    char *about;
};
struct action { uint32_t what, value; };
struct memory_made { uint32_t handle, flags; uint64_t size, object, address, sram; };
struct memory_mapped { uint32_t handle, unused; uint64_t offset; };
struct submitted {
    uint32_t flags, timeout, first_task, tasks, tasks_done;
    int32_t priority;
    uint64_t object, unused, base;
    int64_t elapsed;
    uint32_t cores;
    int32_t fence;
};

static int starts_with(const char *text, const char *with) {
    return text && strncmp(text, with, strlen(with)) == 0;
}

static int has_drm(void) {
    return !starts_with(getenv("NPUMAKE_CHIP"), "rv110");
}

static int is_device(const char *path) {
    return starts_with(path, has_drm() ? "/dev/dri/" : "/dev/rknpu");
}

static int device(void) {
    if (memory < 0)
        memory = memfd_create("npu", 0);
    return dup(memory);
}

/* Whether it is the device that was opened; for copies.c. */
__attribute__((visibility("hidden"))) int is_memory(int file) {
    struct stat one, other;
    return memory >= 0 && !fstat(file, &one) && !fstat(memory, &other) &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* A file with the chip's name, as the device tree has it. */
static int chip(void) {
    char text[128];
    const char *name = getenv("NPUMAKE_CHIP");
    int length = snprintf(text, sizeof text, "rockchip,%s", name ? name : "rk3588") + 1;
    int file = memfd_create("compatible", 0);
    if (write(file, text, (size_t)length) != length)
        return -1;
    lseek(file, 0, SEEK_SET);
    return file;
}

static int stand_in(const char *path) {
    if (is_device(path))
        return device();
    if (starts_with(path, "/proc/device-tree/compatible") ||
        starts_with(path, "/sys/firmware/devicetree/base/compatible"))
        return chip();
    return -1;
}

#define OPEN(name)                                                       \
    int name(const char *path, int flags, ...) {                         \
        static int (*real)(const char *, int, ...);                      \
        va_list rest;                                                    \
        int mode, file = stand_in(path);                                 \
        if (file >= 0)                                                   \
            return file;                                                 \
        if (!real)                                                       \
            real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        va_start(rest, flags);                                           \
        mode = va_arg(rest, int);                                        \
        va_end(rest);                                                    \
        return real(path, flags, mode);                                  \
    }
OPEN(open)
OPEN(open64)

#define FOPEN(name)                                                      \
    FILE *name(const char *path, const char *how) {                      \
        static FILE *(*real)(const char *, const char *);                \
        int file = stand_in(path);                                       \
        if (file >= 0)                                                   \
            return fdopen(file, "r");                                    \
        if (!real)                                                       \
            real = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, #name); \
        return real(path, how);                                          \
    }
FOPEN(fopen)
FOPEN(fopen64)

int access(const char *path, int how) {
    static int (*real)(const char *, int);
    if (is_device(path))
        return 0;
    if (!real)
        real = (int (*)(const char *, int))dlsym(RTLD_NEXT, "access");
    return real(path, how);
}

static void copy(char *to, size_t *length, const char *text) {
    if (to)
        memcpy(to, text, strlen(text) < *length ? strlen(text) : *length);
    *length = strlen(text);
}

static int tell_version(struct version *asked) {
    asked->major = 0;
    asked->minor = 9;
    asked->patch = 8;
    copy(asked->name, &asked->name_length, "rknpu");
    copy(asked->date, &asked->date_length, "20240828");
    copy(asked->about, &asked->about_length, "RKNPU driver");
    return 0;
}

static int act(struct action *asked) {
    const char *version = getenv("NPUMAKE_NPU_VERSION");
    switch (asked->what) {
    case 0: /* GET_HW_VERSION */
        asked->value = version ? (uint32_t)strtoul(version, NULL, 0) : 0;
        return 0;
    case 1: /* GET_DRV_VERSION */
        asked->value = DRIVER_VERSION;
        return 0;
    default: /* frequencies, voltages, power, counters: nothing to tell */
        asked->value = 0;
        return 0;
    }
}

static int make_memory(struct memory_made *asked) {
    uint64_t size = (asked->size + PAGE - 1) / PAGE * PAGE;
    if (handles + 1 >= sizeof offsets / sizeof *offsets || ftruncate(memory, (off_t)(used + size)))
        return errno = ENOMEM, -1;
    asked->handle = ++handles;
    offsets[asked->handle] = used;
    asked->object = asked->handle;
    asked->address = FIRST_ADDRESS + used;
    asked->sram = 0;
    used += size;
    return 0;
}

/* The handle is a file, which the runtime maps itself. */
static int make_file(struct memory_made *asked) {
    uint64_t size = (asked->size + PAGE - 1) / PAGE * PAGE;
    int file = memfd_create("npu", 0);
    if (file < 0 || ftruncate(file, (off_t)size))
        return errno = ENOMEM, -1;
    asked->handle = (uint32_t)file;
    asked->object = (uint64_t)file;
    asked->address = FIRST_ADDRESS + used;
    asked->sram = 0;
    used += size;
    return 0;
}

static int map_memory(struct memory_mapped *asked) {
    if (asked->handle > handles)
        return errno = EINVAL, -1;
    asked->offset = offsets[asked->handle];
    return 0;
}

static int submit(struct submitted *asked) {
    asked->tasks_done = asked->tasks;
    asked->elapsed = 0;
    return 0;
}

static int answer(unsigned long number, void *asked) {
    switch (number) {
    case 0: return act(asked);
    case 1: return submit(asked);
    case 2: return has_drm() ? make_memory(asked) : make_file(asked);
    case 3: return has_drm() ? map_memory(asked) : 0;
    default: return 0; /* destroy, sync */
    }
}

static int answer_drm(unsigned long number, void *asked) {
    if (number == 0)
        return tell_version(asked);
    return number < 0x40 ? 0 : answer(number - 0x40, asked); /* what DRM asks besides: nothing */
}

int ioctl(int file, unsigned long request, ...) {
    static int (*real)(int, unsigned long, ...);
    va_list rest;
    void *asked;
    va_start(rest, request);
    asked = va_arg(rest, void *);
    va_end(rest);
    switch (request >> 8 & 0xff) {
    case 'd': return answer_drm(request & 0xff, asked);
    case 'r': return answer(request & 0xff, asked);
    case 'b': return 0; /* dma-buf: caches */
    }
    if (!real)
        real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return real(file, request, asked);
}
