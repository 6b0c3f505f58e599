/* Copies into the device's memory and reads it again: a test of copies.c. Ends with 0, else with the
 * number of what was wrong. Requests and their structures: see device.c.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define SIZE ((size_t)1 << 20)
#define LARGE ((size_t)3 << 16)

struct made { uint32_t handle, flags; uint64_t size, object, address, sram; };
struct mapped { uint32_t handle, unused; uint64_t offset; };

static int device;

static unsigned char *memory(size_t size, uint64_t *offset) {
    struct made one = {0, 0, size, 0, 0, 0};
    if (ioctl(device, _IOWR('d', 0x42, struct made), &one))
        return MAP_FAILED;
    struct mapped place = {one.handle, 0, 0};
    if (ioctl(device, _IOWR('d', 0x43, struct mapped), &place))
        return MAP_FAILED;
    *offset = place.offset;
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)place.offset);
}

static int has(const unsigned char *at, const unsigned char *wanted, size_t from, size_t size) {
    for (size_t i = 0; i < SIZE; i++)
        if (at[i] != (i < from || i >= from + size ? 0 : wanted[i - from]))
            return 0;
    return 1;
}

/* Of a file that is mapped, as it is there, and after something was written to the mapping. */
static int copies_of(const char *path, unsigned char *to) {
    int file = open(path, O_RDONLY);
    unsigned char *from = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    if (file < 0 || from == MAP_FAILED)
        return 0;
    memset(to, 0, SIZE);
    memcpy(to + 11, from + 1, LARGE - 1);
    if (!has(to, from + 1, 11, LARGE - 1) || from[1] == 9)
        return 0;
    from[1] = 9;
    memcpy(to + 11, from + 1, LARGE - 1);
    return to[11] == 9 && has(to, from + 1, 11, LARGE - 1);
}

int main(int count, char **words) {
    static unsigned char weights[LARGE];
    uint64_t small_offset, offset;
    for (size_t i = 0; i < LARGE; i++)
        weights[i] = (unsigned char)(i * 7 + (i >> 8) + 1);
    device = open("/dev/dri/renderD129", O_RDWR);
    unsigned char *first = memory(4096, &small_offset), *at = memory(SIZE, &offset);
    if (device < 0 || first == MAP_FAILED || at == MAP_FAILED || offset <= small_offset)
        return 1;
    if (memcpy(at + 4099, weights, LARGE) != at + 4099 || !has(at, weights, 4099, LARGE))
        return 2;
    unsigned char *again = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, device, (off_t)offset);
    if (again == MAP_FAILED || !has(again, weights, 4099, LARGE) || first[0])
        return 3;
    if (count != 2 || !copies_of(words[1], at))
        return 6;
    memset(at, 0, SIZE);
    memcpy(at + 4099, weights, LARGE);
    munmap(at, SIZE); /* what stands there now is no memory of the device */
    unsigned char *other = mmap(at, SIZE, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (other != at || memcpy(other + 5, weights, LARGE) != other + 5)
        return 4;
    return has(other, weights, 5, LARGE) && has(again, weights, 4099, LARGE) ? 0 : 5;
}
