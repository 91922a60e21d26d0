// Declarations of the classes of TensorFlow Lite Micro that the firmware uses, binary compatible with the library of
// the Python package tflite-micro, which contains no headers. The firmware is linked with that library.
#ifndef TFLM_MICRO_INTERPRETER_H_
#define TFLM_MICRO_INTERPRETER_H_

#include <cstddef>
#include <cstdint>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

struct TfLiteQuantizationParams {
  float scale;
  std::int32_t zero_point;
};

// The first members of the library's type.
struct TfLiteTensor {
  struct {
    int type;
    void* params;
  } quantization;
  TfLiteQuantizationParams params;
  union {
    std::int8_t* int8;
    std::uint8_t* uint8;
    void* data;
  } data;
};

struct TfLiteContext;
struct TfLiteNode;

namespace tflite {

struct Model;
struct Operator;
enum BuiltinOperator : std::int32_t;

namespace micro {

struct BuiltinDataAllocator;
struct MicroResourceVariables;
struct MicroProfilerInterface;

struct TFLMRegistration {
  void* (*init)(TfLiteContext*, const char*, std::size_t);
  void (*free)(TfLiteContext*, void*);
  TfLiteStatus (*prepare)(TfLiteContext*, TfLiteNode*);
  TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*);
  void (*reset)(TfLiteContext*, void*);
  std::int32_t builtin_code;
  const char* custom_name;
};

using Parser = TfLiteStatus (*)(const Operator*, BuiltinDataAllocator*, void**);

class MicroOpResolver {
 public:
  virtual const TFLMRegistration* FindOp(BuiltinOperator) const = 0;
  virtual const TFLMRegistration* FindOp(const char*) const = 0;
  virtual Parser GetOpDataParser(BuiltinOperator) const = 0;
  virtual ~MicroOpResolver() = default;
};

class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, std::uint8_t* arena, std::size_t size,
                   MicroResourceVariables* = nullptr, MicroProfilerInterface* = nullptr, bool preserve_all = false);
  ~MicroInterpreter();
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(std::size_t);
  TfLiteTensor* output(std::size_t);

 private:
  alignas(16) unsigned char members_[4096];  // more than the library's members take
};

}  // namespace micro

using micro::MicroInterpreter;

}  // namespace tflite

#endif  // TFLM_MICRO_INTERPRETER_H_
