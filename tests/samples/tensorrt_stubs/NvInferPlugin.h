// The function by which TensorRT's own plugins become known.
#pragma once

extern "C" bool initLibNvInferPlugins(void* logger, const char* libNamespace);
