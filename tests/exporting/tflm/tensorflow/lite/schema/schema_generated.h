// See micro_interpreter.h.
#ifndef TFLM_SCHEMA_GENERATED_H_
#define TFLM_SCHEMA_GENERATED_H_

#include <cstdint>
#include <cstring>

#include "tensorflow/lite/micro/micro_interpreter.h"

namespace tflite {

// The root table of a FlatBuffer is at the offset in its first four bytes.
inline const Model* GetModel(const void* buffer) {
  std::uint32_t offset;
  std::memcpy(&offset, buffer, sizeof offset);
  return reinterpret_cast<const Model*>(static_cast<const unsigned char*>(buffer) + offset);
}

}  // namespace tflite

#endif  // TFLM_SCHEMA_GENERATED_H_
