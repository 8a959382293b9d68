// The engine of a TensorRT bundle on photos, without edgeeff: labels, boxes or features, by exactly its preprocessing.
// TensorRT 8.5 to 11, by the names of its tensors. NOT RUN on a GPU by edgeeff's tests.
//
//     edgeeff inspect BUNDLE --c-header bundle.h        (anywhere)
//     python3 BUNDLE/build_engine.py                    (on the device)
//     ./run BUNDLE photo.jpg
#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <filesystem>
#include <iostream>
#include <memory>

#include "sample.hpp"

#if EDGEEFF_TASK_DETECTION && EDGEEFF_BOXES_INSIDE
#include <NvInferPlugin.h>  // EfficientNMS_TRT, which makes the boxes
#endif
#if !EDGEEFF_RUNTIME_TENSORRT
#error "bundle.h is not of a TensorRT bundle: take the sample of its runtime"
#endif

namespace {

void check(bool fine, const std::string& what) {
    if (!fine) throw std::runtime_error(what);
}

void check(cudaError_t status, const char* what) {
    check(status == cudaSuccess, std::string(what) + " fails: " + cudaGetErrorString(status));
}
#define CHECK(call) check(call, #call)

struct Log : nvinfer1::ILogger {
    void log(Severity severity, const char* text) noexcept override {
        if (severity <= Severity::kWARNING) std::cerr << "TensorRT: " << text << '\n';
    }
};

// The newest engine of the bundle's precision that build_engine.py made.
std::string newest_engine(const std::filesystem::path& bundle) {
    std::filesystem::path found;
    const std::string end = "-" EDGEEFF_PRECISION ".engine";
    if (std::filesystem::is_directory(bundle / "measured"))
        for (const auto& entry : std::filesystem::directory_iterator(bundle / "measured")) {
            const std::string name = entry.path().filename().string();
            const bool ours = name.size() > end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
            if (ours && (found.empty() || entry.last_write_time() > std::filesystem::last_write_time(found)))
                found = entry.path();
        }
    check(!found.empty(), bundle.string() + " has no engine: run `python3 build_engine.py` there");
    return found.string();
}

struct Tensor {
    std::string name;
    bool is_input = false, is_integer = false;
    size_t size = 1;         // values for one image
    void* memory = nullptr;  // on the GPU, for EDGEEFF_BATCH images
};

class Network {
  public:
    explicit Network(const std::string& path) {
        const std::vector<uint8_t> plan = edgeeff::bytes_of(path);
#if EDGEEFF_TASK_DETECTION && EDGEEFF_BOXES_INSIDE
        initLibNvInferPlugins(&log_, "");
#endif
        runtime_.reset(nvinfer1::createInferRuntime(log_));
        check(runtime_ != nullptr, "TensorRT finds no GPU");
        engine_.reset(runtime_->deserializeCudaEngine(plan.data(), plan.size()));
        check(engine_ != nullptr, path + " is of another TensorRT or GPU: run `python3 build_engine.py` again");
        context_.reset(engine_->createExecutionContext());
        check(context_ != nullptr, "no memory for the engine");
        CHECK(cudaStreamCreate(&stream_));
        for (int i = 0; i < engine_->getNbIOTensors(); ++i) {
            Tensor one;
            one.name = engine_->getIOTensorName(i);
            one.is_input = engine_->getTensorIOMode(one.name.c_str()) == nvinfer1::TensorIOMode::kINPUT;
            one.is_integer = engine_->getTensorDataType(one.name.c_str()) == nvinfer1::DataType::kINT32;
            const nvinfer1::Dims shape = engine_->getTensorShape(one.name.c_str());
            for (int d = 1; d < shape.nbDims; ++d) one.size *= size_t(shape.d[d]);
            check(!one.is_input || one.size == edgeeff::kInputSize, "the engine's input is not the bundle's");
            const size_t bytes = one.size * EDGEEFF_BATCH * (one.is_input ? sizeof(edgeeff::Input) : 4);
            CHECK(cudaMalloc(&one.memory, bytes));
            tensors_.push_back(one);
            check(context_->setTensorAddress(one.name.c_str(), one.memory), one.name + " takes no memory");
        }
    }
    Network(const Network&) = delete;
    ~Network() {
        for (const Tensor& one : tensors_) cudaFree(one.memory);
        cudaStreamDestroy(stream_);
    }

    // The outputs by name, of boxes also their number and classes, as float32.
    std::vector<edgeeff::Values> run(const edgeeff::Run& images) {
        for (const Tensor& one : tensors_)
            if (one.is_input) {
                const nvinfer1::Dims4 shape(images.count, EDGEEFF_CHANNELS, EDGEEFF_HEIGHT, EDGEEFF_WIDTH);
                check(context_->setInputShape(one.name.c_str(), shape), "the engine takes no run of so many images");
                const size_t bytes = images.input.size() * sizeof(edgeeff::Input);
                CHECK(cudaMemcpyAsync(one.memory, images.input.data(), bytes, cudaMemcpyHostToDevice, stream_));
            }
        check(context_->enqueueV3(stream_), "the engine does not run");
        std::vector<edgeeff::Values> found;
        for (const Tensor& one : tensors_) {
            if (one.is_input) continue;
            const size_t count = one.size * size_t(images.count);
            std::vector<int32_t> raw(count);  // 4 bytes a value, whatever they are
            CHECK(cudaMemcpyAsync(raw.data(), one.memory, count * 4, cudaMemcpyDeviceToHost, stream_));
            CHECK(cudaStreamSynchronize(stream_));
            edgeeff::Values values{one.name, std::vector<float>(raw.begin(), raw.end())};
            if (!one.is_integer) std::memcpy(values.values.data(), raw.data(), count * 4);
            found.push_back(values);
        }
        return found;
    }

  private:
    Log log_;
    std::unique_ptr<nvinfer1::IRuntime> runtime_;  // what is made of it goes before it
    std::unique_ptr<nvinfer1::ICudaEngine> engine_;
    std::unique_ptr<nvinfer1::IExecutionContext> context_;
    cudaStream_t stream_ = nullptr;
    std::vector<Tensor> tensors_;
};

}  // namespace

int main(int count, char** values) try {
    const edgeeff::Arguments given = edgeeff::arguments(count, values);
    Network network(newest_engine(std::filesystem::path(given.model).parent_path()));
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
