/* Asks of the machine what librknnmrt asks, and of no network: a test of what stands in for a board.
 * Requests and their structures: see device.c.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

extern const unsigned short *__ctype_b; /* uClibc's */
extern const int16_t *__ctype_tolower;

const char version[] = "librknnmrt version: 9.9.9";

static int device;

struct action { uint32_t what, value; };
struct memory { uint32_t handle, flags; uint64_t size, object, address, sram; };
struct tensor { uint32_t index, dimensions, shape[16]; char name[256]; uint32_t elements, size; };

int rknn_init(void **made, void *data, uint32_t size, uint32_t flags, void *more) {
    struct action asked = {1, 0};
    (void)data, (void)size, (void)flags, (void)more;
    device = open("/dev/rknpu", O_RDWR);
    if (device < 0 || ioctl(device, _IOWR('r', 0, struct action), &asked) || asked.value < 300)
        return -3;
    if (__ctype_tolower['N'] != 'n' || !(__ctype_b['7'] & 0x800)) /* a digit */
        return -4;
    *made = &device;
    return 0;
}

int rknn_query(void *model, int what, void *told, uint32_t size) {
    struct tensor *one = told;
    (void)model;
    if (what == 0)
        return memcpy(told, (uint32_t[]){1, 1}, size), 0;
    if (what != 1 && what != 2 && what != 8 && what != 9)
        return -5;
    one->dimensions = 2;
    one->shape[0] = 1;
    one->shape[1] = 4;
    one->size = 4;
    strcpy(one->name, what == 1 || what == 8 ? "x" : "y");
    return 0;
}

void *rknn_create_mem(void *model, uint32_t size) {
    struct memory asked = {0, 0, size, 0, 0, 0};
    (void)model;
    if (ioctl(device, _IOWR('r', 2, struct memory), &asked) || !asked.address)
        return NULL;
    char *found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, (int)asked.handle, 0);
    return found == MAP_FAILED ? NULL : memset(found, 1, size);
}

int rknn_set_io_mem(void *model, void *memory, void *attribute) {
    (void)model, (void)attribute;
    return memory ? 0 : -6;
}

int rknn_run(void *model, void *more) {
    uint32_t job[26] = {0, 0, 0, 7};
    (void)model, (void)more;
    return ioctl(device, _IOWR('r', 1, job), job) || job[4] != 7 ? -7 : 0;
}
