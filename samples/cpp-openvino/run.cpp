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

// The values of an output of the bundle: found by its name; where the bundle says none, the only one.
ov::Tensor output(ov::InferRequest& request, const edgeeff_output& named) {
    return *named.name ? request.get_tensor(named.name) : request.get_output_tensor(0);
}

// The answers for image number `image` of a run.
void print(const edgeeff::Run& run, int image, const std::vector<ov::Tensor>& outputs) {
    const std::string& photo = run.names[image];
    const auto values = [&](int i) {
        const ov::Tensor& tensor = outputs[i];
        return tensor.data<const float>() + image * tensor.get_size() / run.count;
    };
#if EDGEEFF_TASK_DETECTION && EDGEEFF_BOXES_INSIDE
    const auto boxes = edgeeff::boxes_of_rows(outputs[0].data<const float>(), int(outputs[0].get_size() / 7), image,
                                              EDGEEFF_WIDTH, EDGEEFF_HEIGHT);
    edgeeff::print_boxes(photo, run.shown[image], run.photos[image], boxes);
#elif EDGEEFF_TASK_DETECTION
    edgeeff::print_boxes(photo, run.shown[image], run.photos[image], edgeeff::boxes_of_anchors(values(0), values(1)));
#elif EDGEEFF_TASK_FEATURES
    for (int i = 0; i < EDGEEFF_OUTPUTS; ++i) edgeeff::print_features(photo, edgeeff_outputs[i], values(i));
#else
    edgeeff::print_labels(photo, values(0));
#endif
}

}  // namespace

int main(int count, char** values) try {
    const edgeeff::Arguments given = edgeeff::arguments(count, values);
    ov::CompiledModel model = compile(given.model);
    ov::InferRequest request = model.create_infer_request();
    std::ofstream saved;
    if (!given.save.empty()) saved.open(given.save, std::ios::binary);
    for (size_t first = 0; first < given.photos.size(); first += EDGEEFF_BATCH) {
        edgeeff::Run run = edgeeff::prepared(given.photos, first);
        request.set_input_tensor(ov::Tensor(model.input().get_element_type(), input_shape(run.count), run.input.data()));
        request.infer();
        std::vector<ov::Tensor> outputs;
        for (const auto& named : edgeeff_outputs) outputs.push_back(output(request, named));
        for (int image = 0; image < int(run.names.size()); ++image) {
            print(run, image, outputs);
            for (const ov::Tensor& tensor : outputs) {
                const size_t bytes = tensor.get_byte_size() / run.count;
                saved.write(static_cast<const char*>(tensor.data()) + image * bytes, std::streamsize(bytes));
            }
        }
    }
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", values[0], error.what());
    return 2;
}
