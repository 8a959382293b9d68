// A .tflite bundle on photos by TensorFlow Lite's C API (tensorflow/lite/c/c_api.h), which older devices and vendors'
// builds have, without edgeeff: labels, boxes or features, by exactly its preprocessing.
//
//     edgeeff inspect BUNDLE --c-header bundle.h
//     ./run BUNDLE photo.jpg
#include <memory>

#include <tensorflow/lite/c/c_api.h>

#include "sample.hpp"

#if !EDGEEFF_RUNTIME_TFLITE
#error "bundle.h is not of a .tflite bundle: take the sample of its runtime"
#endif
#if EDGEEFF_PROPERTIES
#error "this bundle is run without XNNPACK, which this sample does not do"
#endif

namespace {

// Threads of the kernels; without it one or four, as the library was built.
constexpr int kThreads = 1;

template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

struct Network {
    Owned<TfLiteModel> model{nullptr, TfLiteModelDelete};
    Owned<TfLiteInterpreter> interpreter{nullptr, TfLiteInterpreterDelete};  // reads the model: goes first
    int images = EDGEEFF_BATCH_DYNAMIC ? 0 : EDGEEFF_BATCH;                  // that the tensors are for
};

void check(bool fine, const std::string& what) {
    if (!fine) throw std::runtime_error("TensorFlow Lite " + std::string(TfLiteVersion()) + ": " + what);
}

Network loaded(const std::string& path) {
    Network network;
    network.model.reset(TfLiteModelCreateFromFile(path.c_str()));
    check(network.model != nullptr, path + " is no model");
    const Owned<TfLiteInterpreterOptions> options(TfLiteInterpreterOptionsCreate(), TfLiteInterpreterOptionsDelete);
    TfLiteInterpreterOptionsSetNumThreads(options.get(), kThreads);
    network.interpreter.reset(TfLiteInterpreterCreate(network.model.get(), options.get()));
    check(network.interpreter != nullptr, path + " has an operator that this version does not know");
    if (!EDGEEFF_BATCH_DYNAMIC)
        check(TfLiteInterpreterAllocateTensors(network.interpreter.get()) == kTfLiteOk, "no memory for the tensors");
    return network;
}

// The bundle's name for output number `place`: by its tensor's name, else by its place and shape.
std::string name_of(const TfLiteTensor* tensor, int place) {
    const std::string own = TfLiteTensorName(tensor);
    if (EDGEEFF_TASK_DETECTION && EDGEEFF_BOXES_INSIDE) return own;  // of TFLite's operator for boxes
    for (const auto& output : edgeeff_outputs)
        if (own == output.name) return own;
    check(place < EDGEEFF_OUTPUTS, "an output that the bundle does not name: " + own);
    const edgeeff_output& output = edgeeff_outputs[place];
    bool same = TfLiteTensorNumDims(tensor) == output.dimensions;
    for (int i = 1; same && i < output.dimensions; ++i) same = TfLiteTensorDim(tensor, i) == output.shape[i];
    check(same, "output " + own + " has not the shape of the bundle's " + output.name);
    return output.name;
}

std::vector<edgeeff::Values> run(Network& network, const edgeeff::Run& images) {
    TfLiteInterpreter* interpreter = network.interpreter.get();
    if (images.count != network.images) {
        const int shape[] = {images.count, EDGEEFF_HEIGHT, EDGEEFF_WIDTH, EDGEEFF_CHANNELS};
        check(TfLiteInterpreterResizeInputTensor(interpreter, 0, shape, 4) == kTfLiteOk, "no such batch");
        check(TfLiteInterpreterAllocateTensors(interpreter) == kTfLiteOk, "no memory for the tensors");
        network.images = images.count;
    }
    const size_t bytes = images.input.size() * sizeof(edgeeff::Input);
    const TfLiteStatus copied =
        TfLiteTensorCopyFromBuffer(TfLiteInterpreterGetInputTensor(interpreter, 0), images.input.data(), bytes);
    check(copied == kTfLiteOk, "the model's input has not the bundle's size");
    check(TfLiteInterpreterInvoke(interpreter) == kTfLiteOk, "the run fails");
    std::vector<edgeeff::Values> found;
    for (int i = 0; i < TfLiteInterpreterGetOutputTensorCount(interpreter); ++i) {
        const TfLiteTensor* tensor = TfLiteInterpreterGetOutputTensor(interpreter, i);
        const size_t each = TfLiteTensorType(tensor) == kTfLiteFloat32 ? sizeof(float) : 1;
        found.push_back(edgeeff::reals(name_of(tensor, i), TfLiteTensorData(tensor), TfLiteTensorByteSize(tensor) / each));
    }
    return found;
}

}  // namespace

int main(int count, char** values) try {
    const edgeeff::Arguments given = edgeeff::arguments(count, values);
    Network network = loaded(given.model);
    edgeeff::Saved saved(given.save);
    for (size_t first = 0; first < given.photos.size(); first += EDGEEFF_BATCH) {
        const edgeeff::Run images = edgeeff::prepared(given.photos, first);
        edgeeff::print(images, run(network, images), saved);
    }
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", values[0], error.what());
    return 2;
}
