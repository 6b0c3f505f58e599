/* Loads an .rknn with the vendor's runtime and prints what it says, a line of words each.
 *
 *   probe librknnrt.so model.rknn info|run|shapes|memory
 *
 * shapes: run a network of several shapes (dynamic_input), which must be told one of them first.
 * memory: run it in memory that the runtime makes, the one way that librknnmrt has.
 *
 * Calls and structures are those of the vendor's public C API (rknn_api.h of rknpu2, as its manual
 * "RKNN Runtime API" describes them), written anew. Each line is flushed: what was told before the
 * runtime died still counts.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { QUERY_COUNTS = 0, QUERY_INPUT = 1, QUERY_OUTPUT = 2, QUERY_LAYERS = 3, QUERY_VERSION = 5,
       QUERY_MEMORY = 6, QUERY_CUSTOM = 7, QUERY_NATIVE_INPUT = 8, QUERY_NATIVE_OUTPUT = 9 };
enum { COLLECT_LAYERS = 0x8, INFORMATION_ONLY = 0x100 };
enum { UINT8 = 3, NHWC = 1 };

typedef uintptr_t context;
struct counts { uint32_t inputs, outputs; };
struct tensor {
    uint32_t index, dimensions, shape[16];
    char name[256];
    uint32_t elements, size;
    int layout, type, quantization;
    int8_t fraction;
    int32_t zero_point;
    float scale;
    uint32_t stride, size_with_stride;
    uint8_t pass_through;
    uint32_t height_stride;
};
struct memory { uint32_t weights, internal; uint64_t dma; uint32_t sram, free_sram, unused[10]; };
struct version { char api[256], driver[256]; };
struct layers { char *text; uint64_t length; };
struct input { uint32_t index; void *data; uint32_t size; uint8_t pass_through; int type, layout; };

static int (*query)(context, int, void *, uint32_t);

static void tell_tensors(context model, int what, const char *side, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct tensor one;
        memset(&one, 0, sizeof one);
        one.index = i;
        int code = query(model, what, &one, sizeof one);
        if (code) {
            printf("query %s %d\n", side, code);
            continue;
        }
        printf("%s %d %d %d %d %.9g %u %u %u", side, one.layout, one.type, one.quantization,
               one.zero_point, one.scale, one.size, one.stride, one.size_with_stride);
        printf(" %u", one.dimensions);
        for (uint32_t axis = 0; axis < one.dimensions && axis < 16; axis++)
            printf(" %u", one.shape[axis]);
        printf(" %.256s\n", one.name);
        fflush(stdout);
    }
}

/* Mapped, not read: no page is filled twice. Private, since the runtime may write to it. Measured
 * by lseek: compiled by Zig for 32 bits, fstat gave no size under qemu 7.2. */
static void *map_file(const char *path, uint32_t *size) {
    int file = open(path, O_RDONLY);
    off_t end = file < 0 ? -1 : lseek(file, 0, SEEK_END);
    if (end <= 0)
        return NULL;
    *size = (uint32_t)end;
    void *data = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    close(file);
    return data == MAP_FAILED ? NULL : data;
}

/* The shapes that the network has when it is loaded, chosen as a program has to. */
static int set_shapes(void *library, context model, uint32_t count) {
    int (*set)(context, uint32_t, struct tensor *) =
        (int (*)(context, uint32_t, struct tensor *))dlsym(library, "rknn_set_input_shapes");
    struct tensor *inputs = calloc(count, sizeof *inputs);
    if (!set)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        inputs[i].index = i;
        if (query(model, QUERY_INPUT, &inputs[i], sizeof *inputs))
            return -1;
    }
    return set(model, count, inputs);
}

static int set_inputs(void *library, context model, uint32_t count) {
    int (*set)(context, uint32_t, struct input *) =
        (int (*)(context, uint32_t, struct input *))dlsym(library, "rknn_inputs_set");
    struct input *inputs = calloc(count, sizeof *inputs);
    for (uint32_t i = 0; i < count; i++) {
        struct tensor one;
        memset(&one, 0, sizeof one);
        one.index = i;
        if (query(model, QUERY_INPUT, &one, sizeof one))
            return -1;
        inputs[i].index = i;
        inputs[i].type = one.type;
        inputs[i].layout = one.layout;
        inputs[i].size = one.size;
        inputs[i].data = calloc(1, one.size ? one.size : 1);
    }
    return set(model, count, inputs);
}

/* Memory for all inputs or all outputs. */
static int set_memory(void *library, context model, int what, uint32_t count) {
    void *(*make)(context, uint32_t) =
        (void *(*)(context, uint32_t))dlsym(library, "rknn_create_mem");
    int (*set)(context, void *, struct tensor *) =
        (int (*)(context, void *, struct tensor *))dlsym(library, "rknn_set_io_mem");
    if (!make || !set)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct tensor one;
        memset(&one, 0, sizeof one);
        one.index = i;
        if (query(model, what, &one, sizeof one))
            return -1;
        void *memory = make(model, one.size_with_stride ? one.size_with_stride : one.size);
        int code = memory ? set(model, memory, &one) : -1;
        if (code)
            return code;
    }
    return 0;
}

static int prepare(void *library, context model, struct counts counts, const char *how) {
    if (strcmp(how, "memory"))
        return set_inputs(library, model, counts.inputs);
    int code = set_memory(library, model, QUERY_NATIVE_INPUT, counts.inputs);
    return code ? code : set_memory(library, model, QUERY_NATIVE_OUTPUT, counts.outputs);
}

static void run(void *library, context model, struct counts counts, const char *how) {
    int (*go)(context, void *) = (int (*)(context, void *))dlsym(library, "rknn_run");
    int code = strcmp(how, "shapes") ? 0 : set_shapes(library, model, counts.inputs);
    printf("shapes_set %d\n", code);
    code = prepare(library, model, counts, how);
    printf("inputs_set %d\n", code);
    fflush(stdout);
    if (code)
        return;
    code = go(model, NULL);
    printf("run %d\n", code);
    fflush(stdout);
    struct layers layers = {0};
    if (!code && !query(model, QUERY_LAYERS, &layers, sizeof layers) && layers.text)
        printf("layers\n%s\nend of layers\n", layers.text);
    fflush(stdout);
}

int main(int count, char **words) {
    uint32_t size = 0;
    if (count != 4)
        return 2;
    dlopen("libm.so.6", RTLD_NOW | RTLD_GLOBAL); /* uClibc has it in its libc */
    void *library = dlopen(words[1], RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
        printf("library %s\n", dlerror());
        return 2;
    }
    int is_info = !strcmp(words[3], "info");
    int (*start)(context *, void *, uint32_t, uint32_t, void *) =
        (int (*)(context *, void *, uint32_t, uint32_t, void *))dlsym(library, "rknn_init");
    query = (int (*)(context, int, void *, uint32_t))dlsym(library, "rknn_query");
    void *data = map_file(words[2], &size);
    if (!start || !query || !data)
        return 2;
    context model = 0;
    int code = start(&model, data, size, is_info ? INFORMATION_ONLY : COLLECT_LAYERS, NULL);
    printf("init %d\n", code);
    fflush(stdout);
    if (code)
        return 0;
    struct version version = {{0}, {0}};
    if (!query(model, QUERY_VERSION, &version, sizeof version))
        printf("version %.256s\ndriver %.256s\n", version.api, version.driver);
    struct memory memory = {0};
    if (!query(model, QUERY_MEMORY, &memory, sizeof memory))
        printf("memory %u %u\n", memory.weights, memory.internal);
    struct counts counts = {0, 0};
    if (query(model, QUERY_COUNTS, &counts, sizeof counts))
        return 0;
    printf("counts %u %u\n", counts.inputs, counts.outputs);
    fflush(stdout);
    tell_tensors(model, QUERY_INPUT, "input", counts.inputs);
    tell_tensors(model, QUERY_OUTPUT, "output", counts.outputs);
    char custom[1024] = {0};
    if (!query(model, QUERY_CUSTOM, custom, sizeof custom))
        printf("custom %.1024s\n", custom);
    fflush(stdout);
    if (!is_info)
        run(library, model, counts, words[3]);
    /* Last: librknnrt 1.5.2 may die of this, and runs the same network. */
    tell_tensors(model, QUERY_NATIVE_INPUT, "native_input", counts.inputs);
    tell_tensors(model, QUERY_NATIVE_OUTPUT, "native_output", counts.outputs);
    puts("done");
    fflush(stdout);
    _Exit(0);
}
