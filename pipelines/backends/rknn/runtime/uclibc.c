/* Stands in for uClibc's libc.so.0, which librknnmrt was linked with, on top of the GNU C library.
 *
 * Part of the 32-bit device library, which is loaded before it under that name. Of what librknnmrt
 * reads two tables are uClibc's own (ctype.h there): both for -128 to 255, the second in 16 bits.
 */
#include <ctype.h>
#include <stdint.h>

static int16_t lower[128 + 256];

const unsigned short *__ctype_b;
const int16_t *__ctype_tolower = lower + 128;

__attribute__((constructor)) static void fill(void) {
    __ctype_b = *__ctype_b_loc();
    for (int i = -128; i < 256; i++)
        lower[i + 128] = (int16_t)(*__ctype_tolower_loc())[i];
}
