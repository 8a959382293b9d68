/* The part of LiteRT's C API that run.cpp uses, for machines that have the library but no headers: the wheel
 * ai-edge-litert brings libLiteRt.so alone. Declared as in litert/c/ of github.com/google-ai-edge/LiteRT (v2.2.0;
 * the library of 2.3.0 is the one that the tests run). Where LiteRT's own headers are there, they are taken. */
#ifndef EDGEEFF_SAMPLE_LITERT_C_H
#define EDGEEFF_SAMPLE_LITERT_C_H

#if defined(__has_include)
#if __has_include("litert/c/litert_compiled_model.h")
#define EDGEEFF_SAMPLE_OWN_HEADERS 1
#endif
#endif

#ifdef EDGEEFF_SAMPLE_OWN_HEADERS
#include "litert/c/litert_common.h"
#include "litert/c/litert_compiled_model.h"
#include "litert/c/litert_environment.h"
#include "litert/c/litert_model.h"
#include "litert/c/litert_options.h"
#include "litert/c/litert_tensor_buffer.h"
#else

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct LiteRtEnvironmentT* LiteRtEnvironment;
typedef struct LiteRtModelT* LiteRtModel;
typedef struct LiteRtOptionsT* LiteRtOptions;
typedef struct LiteRtCompiledModelT* LiteRtCompiledModel;
typedef struct LiteRtSignatureT* LiteRtSignature;
typedef struct LiteRtTensorT* LiteRtTensor;
typedef struct LiteRtTensorBufferT* LiteRtTensorBuffer;
typedef struct LiteRtTensorBufferRequirementsT* LiteRtTensorBufferRequirements;
typedef struct LiteRtEnvOption LiteRtEnvOption; /* none is passed */
typedef size_t LiteRtParamIndex;
typedef int LiteRtHwAcceleratorSet;
typedef int LiteRtStatus;
typedef int LiteRtElementType;

enum { kLiteRtStatusOk = 0 };
enum { kLiteRtHwAcceleratorCpu = 1 };
typedef enum {
    kLiteRtTensorBufferLockModeRead = 0,
    kLiteRtTensorBufferLockModeWrite = 1
} LiteRtTensorBufferLockMode;

typedef struct {
    unsigned int rank : 7, has_strides : 1;
    int32_t dimensions[8];
    uint32_t strides[8];
} LiteRtLayout;

typedef struct {
    LiteRtElementType element_type;
    LiteRtLayout layout;
} LiteRtRankedTensorType;

LiteRtStatus LiteRtCreateEnvironment(int, const LiteRtEnvOption*, LiteRtEnvironment*);
void LiteRtDestroyEnvironment(LiteRtEnvironment);
LiteRtStatus LiteRtCreateModelFromFile(LiteRtEnvironment, const char* path, LiteRtModel*);
void LiteRtDestroyModel(LiteRtModel);
LiteRtStatus LiteRtCreateOptions(LiteRtOptions*);
LiteRtStatus LiteRtSetOptionsHardwareAccelerators(LiteRtOptions, LiteRtHwAcceleratorSet);
void LiteRtDestroyOptions(LiteRtOptions);
LiteRtStatus LiteRtCreateCompiledModel(LiteRtEnvironment, LiteRtModel, LiteRtOptions, LiteRtCompiledModel*);
void LiteRtDestroyCompiledModel(LiteRtCompiledModel);

LiteRtStatus LiteRtGetModelSignature(LiteRtModel, LiteRtParamIndex, LiteRtSignature*);
LiteRtStatus LiteRtGetNumSignatureOutputs(LiteRtSignature, LiteRtParamIndex*);
LiteRtStatus LiteRtGetSignatureOutputName(LiteRtSignature, LiteRtParamIndex, const char** name);
LiteRtStatus LiteRtGetSignatureInputTensorByIndex(LiteRtSignature, LiteRtParamIndex, LiteRtTensor*);
LiteRtStatus LiteRtGetSignatureOutputTensorByIndex(LiteRtSignature, LiteRtParamIndex, LiteRtTensor*);
LiteRtStatus LiteRtGetRankedTensorType(LiteRtTensor, LiteRtRankedTensorType*);

/* The second argument is the signature's number, the third that of an input or output in it. */
LiteRtStatus LiteRtCompiledModelResizeInputTensor(LiteRtCompiledModel, LiteRtParamIndex, LiteRtParamIndex,
                                                  const int* dimensions, size_t count);
LiteRtStatus LiteRtGetCompiledModelOutputTensorLayouts(LiteRtCompiledModel, LiteRtParamIndex, size_t count, LiteRtLayout*,
                                                       bool update_allocation);
LiteRtStatus LiteRtGetCompiledModelInputBufferRequirements(LiteRtCompiledModel, LiteRtParamIndex, LiteRtParamIndex,
                                                           LiteRtTensorBufferRequirements*);
LiteRtStatus LiteRtGetCompiledModelOutputBufferRequirements(LiteRtCompiledModel, LiteRtParamIndex, LiteRtParamIndex,
                                                            LiteRtTensorBufferRequirements*);
LiteRtStatus LiteRtCreateManagedTensorBufferFromRequirements(LiteRtEnvironment, const LiteRtRankedTensorType*,
                                                             LiteRtTensorBufferRequirements, LiteRtTensorBuffer*);
LiteRtStatus LiteRtLockTensorBuffer(LiteRtTensorBuffer, void** memory, LiteRtTensorBufferLockMode);
LiteRtStatus LiteRtUnlockTensorBuffer(LiteRtTensorBuffer);
void LiteRtDestroyTensorBuffer(LiteRtTensorBuffer);
LiteRtStatus LiteRtRunCompiledModel(LiteRtCompiledModel, LiteRtParamIndex, size_t inputs, LiteRtTensorBuffer*,
                                    size_t outputs, LiteRtTensorBuffer*);

#ifdef __cplusplus
}
#endif

#endif
#endif
