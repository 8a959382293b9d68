// A mcu-int8 bundle on photos by tflite-micro, on a desk: the network as a firmware runs it (network.hpp, the model
// and its arena inside the program), photos and answers as in the other samples.
//
//     edgeeff inspect BUNDLE --c-header bundle.h
//     ./run BUNDLE photo.jpg
#include "network.hpp"
#include "sample.hpp"

#if !EDGEEFF_RUNTIME_TFLITE_MICRO
#error "bundle.h is not of a bundle for a microcontroller: take the sample of its runtime"
#endif
static_assert(EDGEEFF_HEIGHT == kInputHeight && EDGEEFF_WIDTH == kInputWidth && EDGEEFF_CHANNELS == kInputChannels,
              "bundle.h and model_data.h are of two bundles");

namespace {

size_t size_of(const edgeeff_output& output) {
    size_t size = 1;
    for (int i = 0; i < output.dimensions; ++i) size *= size_t(output.shape[i]);
    return size;
}

// The outputs, which stand in the file in the order of the bundle's, as the reals that they mean.
std::vector<edgeeff::Values> outputs_of(Network& network) {
    std::vector<edgeeff::Values> found;
    for (int i = 0; i < EDGEEFF_OUTPUTS; ++i) {
        const edgeeff_output& output = edgeeff_outputs[i];
        found.push_back(edgeeff::reals(output.name, network.output(i), size_of(output)));
    }
    return found;
}

}  // namespace

int main(int count, char** values) try {
    const edgeeff::Arguments given = edgeeff::arguments(count, values);
    static Network network;
    const std::vector<uint8_t> model = edgeeff::bytes_of(given.model);
    if (model.size() != kModelSize || std::memcmp(model.data(), kModelData, kModelSize) != 0)
        throw std::runtime_error("model_data.cc is not of this bundle: build the program again with its firmware/");
    if (!network.begin()) throw std::runtime_error("tflite-micro cannot allocate the network's tensors");
    edgeeff::Saved saved(given.save);
    for (size_t i = 0; i < given.photos.size(); ++i) {
        const edgeeff::Run image = edgeeff::prepared(given.photos, i);
        if (!network.run(image.input.data())) throw std::runtime_error("tflite-micro cannot run the network");
        edgeeff::print(image, outputs_of(network), saved);
    }
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", values[0], error.what());
    return 2;
}
