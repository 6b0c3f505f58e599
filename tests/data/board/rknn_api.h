/* What run_references.cc uses of the vendor's C API, written from its public description ("RKNN
 * Runtime API"), so that the program can be compiled where no board's SDK is. Not the vendor's file.
 */
#pragma once
#include <stdint.h>

#define RKNN_SUCC 0

#ifdef __cplusplus
extern "C" {
#endif

typedef uintptr_t rknn_context;
typedef enum { RKNN_QUERY_IN_OUT_NUM = 0, RKNN_QUERY_INPUT_ATTR = 1 } rknn_query_cmd;
typedef enum {
    RKNN_TENSOR_FLOAT32, RKNN_TENSOR_FLOAT16, RKNN_TENSOR_INT8, RKNN_TENSOR_UINT8,
    RKNN_TENSOR_INT16, RKNN_TENSOR_UINT16, RKNN_TENSOR_INT32, RKNN_TENSOR_UINT32,
    RKNN_TENSOR_INT64, RKNN_TENSOR_BOOL
} rknn_tensor_type;
typedef enum { RKNN_TENSOR_NCHW, RKNN_TENSOR_NHWC } rknn_tensor_format;
typedef enum { RKNN_TENSOR_QNT_NONE } rknn_tensor_qnt_type;

typedef struct { uint32_t n_input, n_output; } rknn_input_output_num;
typedef struct {
    uint32_t index, n_dims, dims[16];
    char name[256];
    uint32_t n_elems, size;
    rknn_tensor_format fmt;
    rknn_tensor_type type;
    rknn_tensor_qnt_type qnt_type;
    int8_t fl;
    int32_t zp;
    float scale;
    uint32_t w_stride, size_with_stride;
    uint8_t pass_through;
    uint32_t h_stride;
} rknn_tensor_attr;
typedef struct {
    uint32_t index;
    void *buf;
    uint32_t size;
    uint8_t pass_through;
    rknn_tensor_type type;
    rknn_tensor_format fmt;
} rknn_input;
typedef struct {
    uint8_t want_float, is_prealloc;
    uint32_t index;
    void *buf;
    uint32_t size;
} rknn_output;

int rknn_init(rknn_context *context, void *model, uint32_t size, uint32_t flag, void *extend);
int rknn_destroy(rknn_context context);
int rknn_query(rknn_context context, rknn_query_cmd command, void *info, uint32_t size);
int rknn_set_input_shapes(rknn_context context, uint32_t count, rknn_tensor_attr attributes[]);
int rknn_inputs_set(rknn_context context, uint32_t count, rknn_input inputs[]);
int rknn_run(rknn_context context, void *extend);
int rknn_outputs_get(rknn_context context, uint32_t count, rknn_output outputs[], void *extend);
int rknn_outputs_release(rknn_context context, uint32_t count, rknn_output outputs[]);

#ifdef __cplusplus
}
#endif
