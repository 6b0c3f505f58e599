// Runs model.rknn on a board with the reference inputs and compares what comes out.
//
//   g++ -O2 -std=c++17 run_references.cc -o run_references -lrknnrt   (rknn_api.h: the vendor's)
//   ./run_references [FOLDER of model.rknn and references/]
//
// The exit code is 0 where every number is within references/tolerance.txt, 1 where one is not, and
// 2 where the runtime refused a call. See HANDOFF.md.
#include <rknn_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Array {  // of an npy file
    std::string type;  // such as <f4
    std::vector<char> data;
};

std::vector<char> read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw std::runtime_error("can't read " + path);
    return {std::istreambuf_iterator<char>(file), {}};
}

Array read_npy(const std::string &path) {
    const std::vector<char> all = read_file(path);
    if (all.size() < 10 || std::memcmp(all.data(), "\x93NUMPY\x01", 7) != 0)
        throw std::runtime_error(path + " is no npy file of version 1");
    const size_t start = 10 + uint8_t(all[8]) + 256 * uint8_t(all[9]);
    const std::string head(all.begin() + 10, all.begin() + start);
    const size_t at = head.find("'descr': '") + 10;
    return {head.substr(at, head.find('\'', at) - at), {all.begin() + start, all.end()}};
}

rknn_tensor_type type_of(const std::string &type) {
    if (type == "|u1") return RKNN_TENSOR_UINT8;
    if (type == "|i1") return RKNN_TENSOR_INT8;
    if (type == "<i2") return RKNN_TENSOR_INT16;
    if (type == "<i4") return RKNN_TENSOR_INT32;
    if (type == "<i8") return RKNN_TENSOR_INT64;
    if (type == "|b1") return RKNN_TENSOR_BOOL;
    if (type == "<f4") return RKNN_TENSOR_FLOAT32;
    throw std::runtime_error("no input is " + type);
}

void require(int code, const char *call) {
    if (code != RKNN_SUCC)
        throw std::runtime_error(std::string(call) + " gave " + std::to_string(code));
}

template <typename Number>
bool compare(const void *got, const std::vector<char> &wanted, double tolerance, int number) {
    const auto *one = static_cast<const Number *>(got);
    const size_t count = wanted.size() / sizeof(Number);
    std::vector<Number> other(count);
    std::memcpy(other.data(), wanted.data(), wanted.size());
    double largest = 0, sum = 0;
    bool is_finite = true;
    for (size_t i = 0; i < count; i++) {
        const double apart = std::fabs(double(one[i]) - double(other[i]));
        is_finite = is_finite && std::isfinite(apart);
        largest = std::max(largest, apart);
        sum += apart;
    }
    const bool is_near = is_finite && largest <= tolerance;
    std::cout << "  output " << number << ": largest difference " << largest << ", mean "
              << sum / double(count ? count : 1) << ", tolerance " << tolerance
              << (is_near ? "" : "  TOO FAR") << std::endl;
    return is_near;
}

// Integers where the references have them, else floats.
bool compare_output(const rknn_output &got, const std::string &place, double tolerance) {
    const std::string name = place + "/output_" + std::to_string(got.index);
    const Array wanted = read_npy(name + (got.want_float ? "_float.npy" : ".npy"));
    if (got.size < wanted.data.size())
        throw std::runtime_error(name + " is longer than what the runtime gave");
    if (wanted.type == "<f4") return compare<float>(got.buf, wanted.data, tolerance, got.index);
    if (wanted.type == "|i1") return compare<int8_t>(got.buf, wanted.data, tolerance, got.index);
    if (wanted.type == "|u1") return compare<uint8_t>(got.buf, wanted.data, tolerance, got.index);
    if (wanted.type == "<i2") return compare<int16_t>(got.buf, wanted.data, tolerance, got.index);
    throw std::runtime_error("no output is " + wanted.type);
}

void set_inputs(rknn_context context, const std::string &place, uint32_t count) {
    std::vector<Array> arrays;
    std::vector<rknn_input> inputs(count);
    for (uint32_t i = 0; i < count; i++) {
        rknn_tensor_attr attribute{};
        attribute.index = i;
        require(rknn_query(context, RKNN_QUERY_INPUT_ATTR, &attribute, sizeof attribute),
                "rknn_query");
        arrays.push_back(read_npy(place + "/input_" + std::to_string(i) + ".npy"));
        inputs[i] = {};
        inputs[i].index = i;
        inputs[i].type = type_of(arrays[i].type);
        inputs[i].fmt = attribute.fmt;  // the references stand as the runtime tells
    }
    for (uint32_t i = 0; i < count; i++) {
        inputs[i].buf = arrays[i].data.data();
        inputs[i].size = uint32_t(arrays[i].data.size());
    }
    require(rknn_inputs_set(context, count, inputs.data()), "rknn_inputs_set");
}

bool exists(const std::string &path) { return bool(std::ifstream(path)); }

// A network of several shapes has to be told one of them: those that it has when it is loaded.
void set_shapes(rknn_context context, uint32_t count) {
    std::vector<rknn_tensor_attr> inputs(count);
    for (uint32_t i = 0; i < count; i++) {
        inputs[i].index = i;
        require(rknn_query(context, RKNN_QUERY_INPUT_ATTR, &inputs[i], sizeof inputs[i]),
                "rknn_query");
    }
    require(rknn_set_input_shapes(context, count, inputs.data()), "rknn_set_input_shapes");
}

bool run_sample(rknn_context context, rknn_input_output_num counts, const std::string &place,
                const std::vector<double> &tolerances) {
    set_inputs(context, place, counts.n_input);
    require(rknn_run(context, nullptr), "rknn_run");
    std::cout << place << ": rknn_run 0" << std::endl;
    std::vector<rknn_output> outputs(counts.n_output);
    for (uint32_t i = 0; i < counts.n_output; i++) {
        outputs[i] = {};
        outputs[i].index = i;
        outputs[i].want_float = !exists(place + "/output_" + std::to_string(i) + ".npy");
    }
    require(rknn_outputs_get(context, counts.n_output, outputs.data(), nullptr),
            "rknn_outputs_get");
    bool is_near = true;
    for (uint32_t i = 0; i < counts.n_output; i++)
        is_near = compare_output(outputs[i], place, tolerances.at(i)) && is_near;
    rknn_outputs_release(context, counts.n_output, outputs.data());
    return is_near;
}

bool run(const std::string &folder) {
    std::vector<char> model = read_file(folder + "/model.rknn");
    std::ifstream file(folder + "/references/tolerance.txt");
    const std::vector<double> tolerances{std::istream_iterator<double>(file), {}};
    rknn_context context = 0;
    require(rknn_init(&context, model.data(), uint32_t(model.size()), 0, nullptr), "rknn_init");
    rknn_input_output_num counts{};
    require(rknn_query(context, RKNN_QUERY_IN_OUT_NUM, &counts, sizeof counts), "rknn_query");
    if (exists(folder + "/references/has_shapes.txt"))  // made by dynamic_input
        set_shapes(context, counts.n_input);
    bool is_near = true;
    for (int i = 0; exists(folder + "/references/" + std::to_string(i) + "/input_0.npy"); i++) {
        const std::string place = folder + "/references/" + std::to_string(i);
        is_near = run_sample(context, counts, place, tolerances) && is_near;
    }
    rknn_destroy(context);
    return is_near;
}

}  // namespace

int main(int count, char **words) {
    try {
        const bool is_near = run(count > 1 ? words[1] : ".");
        std::cout << (is_near ? "all within tolerance" : "NOT within tolerance") << std::endl;
        return is_near ? 0 : 1;
    } catch (const std::exception &error) {
        std::cerr << error.what() << std::endl;
        return 2;
    }
}
