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

int main(void) {
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
    munmap(at, SIZE); /* what stands there now is no memory of the device */
    unsigned char *other = mmap(at, SIZE, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (other != at || memcpy(other + 5, weights, LARGE) != other + 5)
        return 4;
    return has(other, weights, 5, LARGE) && has(again, weights, 4099, LARGE) ? 0 : 5;
}
