// What samples/cpp-tensorrt uses of TensorRT 8.5 to 11, declared so that a compiler can check the sample where no
// TensorRT is. The program cannot be linked with it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_runtime_api.h"

namespace nvinfer1 {

enum class DataType : int32_t { kFLOAT = 0, kINT32 = 3, kUINT8 = 5 };
enum class TensorIOMode : int32_t { kNONE = 0, kINPUT = 1, kOUTPUT = 2 };

struct Dims {
    int32_t nbDims;
    int64_t d[8];  // int32_t before TensorRT 10
};
struct Dims4 : Dims {
    Dims4(int64_t, int64_t, int64_t, int64_t);
};

class ILogger {
  public:
    enum class Severity : int32_t { kINTERNAL_ERROR = 0, kERROR = 1, kWARNING = 2, kINFO = 3, kVERBOSE = 4 };
    virtual void log(Severity severity, const char* text) noexcept = 0;
    virtual ~ILogger() = default;
};

class IExecutionContext {
  public:
    virtual ~IExecutionContext() noexcept = default;
    bool setTensorAddress(const char* name, void* memory) noexcept;
    bool setInputShape(const char* name, const Dims& shape) noexcept;
    bool enqueueV3(cudaStream_t stream) noexcept;
};

class ICudaEngine {
  public:
    virtual ~ICudaEngine() noexcept = default;
    IExecutionContext* createExecutionContext() noexcept;
    int32_t getNbIOTensors() const noexcept;
    const char* getIOTensorName(int32_t index) const noexcept;
    TensorIOMode getTensorIOMode(const char* name) const noexcept;
    DataType getTensorDataType(const char* name) const noexcept;
    Dims getTensorShape(const char* name) const noexcept;
};

class IRuntime {
  public:
    virtual ~IRuntime() noexcept = default;
    ICudaEngine* deserializeCudaEngine(const void* plan, size_t size) noexcept;
};

IRuntime* createInferRuntime(ILogger& logger) noexcept;

}  // namespace nvinfer1
