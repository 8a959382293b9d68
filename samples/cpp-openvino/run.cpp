// An OpenVINO bundle on photos, without edgeeff: labels, boxes or features, by exactly its preprocessing.
//
//     edgeeff inspect BUNDLE --c-header bundle.h
//     ./run BUNDLE photo.jpg
#include <openvino/openvino.hpp>

#include "sample.hpp"

#if !EDGEEFF_RUNTIME_OPENVINO
#error "bundle.h is not of an OpenVINO bundle: take the sample of its runtime"
#endif

namespace {

// Kernels of the CPU; without it OpenVINO takes all cores.
constexpr int kThreads = 1;

ov::CompiledModel compile(const std::string& path) {
    ov::AnyMap properties{ov::inference_num_threads(kThreads)};
#if EDGEEFF_PROPERTIES
    for (const auto& property : edgeeff_properties) properties[property[0]] = property[1];
#endif
    return ov::Core().compile_model(path, "CPU", properties);
}

ov::Shape input_shape(size_t images) {
    if (EDGEEFF_CHANNELS_FIRST) return {images, EDGEEFF_CHANNELS, EDGEEFF_HEIGHT, EDGEEFF_WIDTH};
    return {images, EDGEEFF_HEIGHT, EDGEEFF_WIDTH, EDGEEFF_CHANNELS};
}

// The outputs by the names of their tensors.
std::vector<edgeeff::Values> outputs(ov::CompiledModel& model, ov::InferRequest& request) {
    std::vector<edgeeff::Values> found;
    for (const auto& port : model.outputs()) {
        const ov::Tensor tensor = request.get_tensor(port);
        const std::string name = port.get_names().empty() ? "" : port.get_any_name();
        found.push_back(edgeeff::reals(name, tensor.data(), tensor.get_size()));
    }
    return found;
}

}  // namespace

int main(int count, char** values) try {
    const edgeeff::Arguments given = edgeeff::arguments(count, values);
    ov::CompiledModel model = compile(given.model);
    ov::InferRequest request = model.create_infer_request();
    edgeeff::Saved saved(given.save);
    for (size_t first = 0; first < given.photos.size(); first += EDGEEFF_BATCH) {
        edgeeff::Run run = edgeeff::prepared(given.photos, first);
        request.set_input_tensor(ov::Tensor(model.input().get_element_type(), input_shape(run.count), run.input.data()));
        request.infer();
        edgeeff::print(run, outputs(model, request), saved);
    }
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", values[0], error.what());
    return 2;
}
