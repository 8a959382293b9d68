// A .tflite bundle on photos by LiteRT's C API, without edgeeff: labels, boxes or features, by exactly its
// preprocessing.
//
//     edgeeff inspect BUNDLE --c-header bundle.h
//     ./run BUNDLE photo.jpg
#include "litert_c.h"
#include "sample.hpp"

#if !EDGEEFF_RUNTIME_TFLITE
#error "bundle.h is not of a .tflite bundle: take the sample of its runtime"
#endif
#if EDGEEFF_PROPERTIES
#error "this bundle is run without XNNPACK, which this sample does not do"
#endif

namespace {

void check(LiteRtStatus status, const char* what) {
    if (status != kLiteRtStatusOk)
        throw std::runtime_error(std::string("LiteRT: ") + what + " fails with status " + std::to_string(status));
}
#define CHECK(call) check(call, #call)

// A bundle's network on the CPU, by XNNPACK and one thread. Its destructor gives back what LiteRT made.
class Network {
  public:
    explicit Network(const std::string& path) {
        CHECK(LiteRtCreateEnvironment(0, nullptr, &environment_));
        CHECK(LiteRtCreateModelFromFile(environment_, path.c_str(), &model_));
        CHECK(LiteRtCreateOptions(&options_));
        CHECK(LiteRtSetOptionsHardwareAccelerators(options_, kLiteRtHwAcceleratorCpu));
        CHECK(LiteRtCreateCompiledModel(environment_, model_, options_, &compiled_));
        CHECK(LiteRtGetModelSignature(model_, 0, &signature_));
        CHECK(LiteRtGetNumSignatureOutputs(signature_, &outputs_));
    }
    Network(const Network&) = delete;
    ~Network() {
        free_buffers();
        if (compiled_) LiteRtDestroyCompiledModel(compiled_);
        if (options_) LiteRtDestroyOptions(options_);
        if (model_) LiteRtDestroyModel(model_);
        if (environment_) LiteRtDestroyEnvironment(environment_);
    }

    // The outputs by their names in the artifact, integers as the reals that they mean.
    std::vector<edgeeff::Values> run(const edgeeff::Run& images) {
        if (images.count != count_) make_buffers(images.count);
        void* memory = nullptr;
        CHECK(LiteRtLockTensorBuffer(buffers_[0], &memory, kLiteRtTensorBufferLockModeWrite));
        std::memcpy(memory, images.input.data(), images.input.size() * sizeof(edgeeff::Input));
        CHECK(LiteRtUnlockTensorBuffer(buffers_[0]));
        CHECK(LiteRtRunCompiledModel(compiled_, 0, 1, &buffers_[0], outputs_, &buffers_[1]));
        std::vector<edgeeff::Values> found;
        for (LiteRtParamIndex i = 0; i < outputs_; ++i) {
            const char* name = nullptr;
            CHECK(LiteRtGetSignatureOutputName(signature_, i, &name));
            CHECK(LiteRtLockTensorBuffer(buffers_[i + 1], &memory, kLiteRtTensorBufferLockModeRead));
            found.push_back(edgeeff::reals(name, memory, sizes_[i]));
            CHECK(LiteRtUnlockTensorBuffer(buffers_[i + 1]));
        }
        return found;
    }

  private:
    void make_buffers(int images) {
        free_buffers();
        const int shape[] = {images, EDGEEFF_HEIGHT, EDGEEFF_WIDTH, EDGEEFF_CHANNELS};
        if (EDGEEFF_BATCH_DYNAMIC) CHECK(LiteRtCompiledModelResizeInputTensor(compiled_, 0, 0, shape, 4));
        std::vector<LiteRtLayout> layouts(outputs_);
        CHECK(LiteRtGetCompiledModelOutputTensorLayouts(compiled_, 0, outputs_, layouts.data(), true));
        for (LiteRtParamIndex i = 0; i <= outputs_; ++i) {
            LiteRtTensor tensor = nullptr;
            LiteRtRankedTensorType type;
            LiteRtTensorBufferRequirements wanted = nullptr;
            if (i == 0) {
                CHECK(LiteRtGetSignatureInputTensorByIndex(signature_, 0, &tensor));
                CHECK(LiteRtGetCompiledModelInputBufferRequirements(compiled_, 0, 0, &wanted));
            } else {
                CHECK(LiteRtGetSignatureOutputTensorByIndex(signature_, i - 1, &tensor));
                CHECK(LiteRtGetCompiledModelOutputBufferRequirements(compiled_, 0, i - 1, &wanted));
            }
            CHECK(LiteRtGetRankedTensorType(tensor, &type));
            if (i > 0) type.layout = layouts[i - 1];
            else type.layout.dimensions[0] = images;
            LiteRtTensorBuffer buffer = nullptr;
            CHECK(LiteRtCreateManagedTensorBufferFromRequirements(environment_, &type, wanted, &buffer));
            buffers_.push_back(buffer);
            size_t size = 1;
            for (unsigned d = 0; d < type.layout.rank; ++d) size *= size_t(type.layout.dimensions[d]);
            if (i > 0) sizes_.push_back(size);
        }
        count_ = images;
    }
    void free_buffers() {
        for (LiteRtTensorBuffer buffer : buffers_) LiteRtDestroyTensorBuffer(buffer);
        buffers_.clear();
        sizes_.clear();
    }

    LiteRtEnvironment environment_ = nullptr;
    LiteRtModel model_ = nullptr;
    LiteRtOptions options_ = nullptr;
    LiteRtCompiledModel compiled_ = nullptr;
    LiteRtSignature signature_ = nullptr;
    LiteRtParamIndex outputs_ = 0;
    std::vector<LiteRtTensorBuffer> buffers_;  // of the input, then of each output
    std::vector<size_t> sizes_;                // of each output, values
    int count_ = 0;                            // images that the buffers are for
};

}  // namespace

int main(int count, char** values) try {
    const edgeeff::Arguments given = edgeeff::arguments(count, values);
    Network network(given.model);
    edgeeff::Saved saved(given.save);
    for (size_t first = 0; first < given.photos.size(); first += EDGEEFF_BATCH) {
        const edgeeff::Run images = edgeeff::prepared(given.photos, first);
        edgeeff::print(images, network.run(images), saved);
    }
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", values[0], error.what());
    return 2;
}
