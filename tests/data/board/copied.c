/* Copies into the device's memory and reads it again: a test of copies.c. Ends with 0, else with the
 * number of what was wrong. Requests and their structures: see device.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE ((size_t)2 << 20)
#define LARGE ((size_t)3 << 16)
#define LATE (((size_t)5 << 18) + 77) /* of whole pages, and something at both ends */
#define MIDDLE (LATE / 2)

struct made { uint32_t handle, flags; uint64_t size, object, address, sram; };
struct mapped { uint32_t handle, unused; uint64_t offset; };

static int device;
static const char *path; /* of a file of random bytes */
static unsigned char kept[LATE + 1]; /* which they are */

static unsigned char *memory(size_t size, off_t *offset) {
    struct made one = {0, 0, size, 0, 0, 0};
    if (ioctl(device, _IOWR('d', 0x42, struct made), &one))
        return MAP_FAILED;
    struct mapped place = {one.handle, 0, 0};
    if (ioctl(device, _IOWR('d', 0x43, struct mapped), &place))
        return MAP_FAILED;
    *offset = (off_t)place.offset;
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, device, *offset);
}

static unsigned char *mapped_again(off_t offset) {
    return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, device, offset);
}

static unsigned char *file_mapped(size_t size) {
    int file = open(path, O_RDONLY);
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
}

static int has(const unsigned char *at, const unsigned char *wanted, size_t from, size_t size) {
    for (size_t i = 0; i < SIZE; i++)
        if (at[i] != (i < from || i >= from + size ? 0 : wanted[i - from]))
            return 0;
    return 1;
}

/* Of a file that is mapped, as it is there, and after something was written to the mapping. */
static int copies_of_a_file(unsigned char *to) {
    unsigned char *from = file_mapped(LARGE);
    memset(to, 0, SIZE);
    memcpy(to + 11, from + 1, LARGE - 1);
    if (!has(to, kept + 1, 11, LARGE - 1) || from[1] == 9)
        return 0;
    from[1] = 9;
    memcpy(to + 11, from + 1, LARGE - 1);
    return to[11] == 9 && has(to, from + 1, 11, LARGE - 1);
}

/* New memory and a large copy into it, which is not made yet: the kernel finds no page. */
static unsigned char *late(const unsigned char *from, off_t *offset) {
    unsigned char *to = memory(SIZE, offset);
    int null = open("/dev/null", O_WRONLY);
    if (to == MAP_FAILED || memcpy(to + 4099, from + 1, LATE) != to + 4099)
        _exit(30);
    errno = 0;
    if (write(null, to + MIDDLE, 1) != -1 || errno != EFAULT)
        _exit(31);
    close(null);
    return to;
}

static int has_late(const unsigned char *at) {
    return has(at, kept + 1, 4099, LATE);
}

/* Read, written, copied over, copied from, mapped again, mapped over, and of a file that is written
 * to meanwhile. */
static int late_copies(void) {
    unsigned char *smaller = file_mapped(LARGE), *from = file_mapped(LATE + 1), *to, *again;
    off_t offset;
    smaller[0]++; /* copies are made of the larger one */
    if (!has_late(late(from, &offset)))
        return 10;
    to = late(from, &offset);
    to[MIDDLE]++;
    if (to[MIDDLE]-- != (unsigned char)(kept[MIDDLE - 4098] + 1) || !has_late(to))
        return 11;
    to = late(from, &offset);
    if (memcpy(to + 8192, from, LARGE) != to + 8192 || memcmp(to + 8192, kept, LARGE) ||
        memcpy(to + 8192, from + 4094, LARGE) != to + 8192 || !has_late(to))
        return 12;
    to = late(from, &offset);
    if (memcpy(to + 8192, from + 5, LATE) != to + 8192 || memcmp(to + 8192, kept + 5, LATE - 4) ||
        memcmp(to + 4099, kept + 1, 8192 - 4099))
        return 13;
    to = late(from, &offset);
    if (memcpy(to + SIZE - LARGE, to + 4099, LARGE) != to + SIZE - LARGE ||
        memcmp(to + SIZE - LARGE, kept + 1, LARGE))
        return 14;
    to = late(from, &offset);
    again = mapped_again(offset);
    to[0] = 7;
    if (again[0] != 7 || (again[0] = 0, to[0]) || !has_late(again) || !has_late(to))
        return 15;
    to = late(from, &offset);
    if (mmap(to, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != to ||
        memcpy(to + 5, from, LARGE) != to + 5 || !has(to, kept, 5, LARGE) ||
        !has_late(mapped_again(offset)))
        return 16;
    to = late(from, &offset);
    munmap(to, SIZE);
    if (!has_late(mapped_again(offset)))
        return 17;
    to = late(from, &offset);
    from[2]++;
    if (!has_late(to) || from[2] != (unsigned char)(kept[2] + 1))
        return 18;
    munmap(from, LATE + 1);
    from = file_mapped(LATE + 1);
    to = late(from, &offset);
    munmap(from, LATE + 1);
    return has_late(to) ? 0 : 19;
}

int main(int count, char **words) {
    static unsigned char weights[LARGE];
    off_t small_offset, offset;
    for (size_t i = 0; i < LARGE; i++)
        weights[i] = (unsigned char)(i * 7 + (i >> 8) + 1);
    path = count == 2 ? words[1] : "";
    int file = open(path, O_RDONLY), code;
    if (read(file, kept, sizeof kept) != sizeof kept)
        return 1;
    device = open("/dev/dri/renderD129", O_RDWR);
    unsigned char *first = memory(4096, &small_offset), *at = memory(SIZE, &offset);
    if (device < 0 || first == MAP_FAILED || at == MAP_FAILED || offset <= small_offset)
        return 2;
    if (memcpy(at + 4099, weights, LARGE) != at + 4099 || !has(at, weights, 4099, LARGE))
        return 3;
    unsigned char *again = mapped_again(offset);
    if (again == MAP_FAILED || !has(again, weights, 4099, LARGE) || first[0])
        return 4;
    if (!copies_of_a_file(at))
        return 5;
    if ((code = late_copies()))
        return code;
    memset(at, 0, SIZE);
    memcpy(at + 4099, weights, LARGE);
    munmap(at, SIZE); /* what stands there now is no memory of the device */
    unsigned char *other = mmap(at, SIZE, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (other != at || memcpy(other + 5, weights, LARGE) != other + 5)
        return 6;
    return has(other, weights, 5, LARGE) && has(again, weights, 4099, LARGE) ? 0 : 7;
}
