// See micro_interpreter.h. The template is not in the library: it is instantiated by its users.
#ifndef TFLM_MICRO_MUTABLE_OP_RESOLVER_H_
#define TFLM_MICRO_MUTABLE_OP_RESOLVER_H_

#include "tensorflow/lite/micro/micro_interpreter.h"

namespace tflite {
namespace micro {

#define TFLM_OPERATOR(REGISTER, PARSE)                                     \
  TFLMRegistration Register_##REGISTER();                                  \
  TfLiteStatus Parse##PARSE(const Operator*, BuiltinDataAllocator*, void**)
TFLM_OPERATOR(ADD, Add);
TFLM_OPERATOR(CONCATENATION, Concatenation);
TFLM_OPERATOR(CONV_2D, Conv2D);
TFLM_OPERATOR(DEPTHWISE_CONV_2D, DepthwiseConv2D);
TFLM_OPERATOR(FULLY_CONNECTED, FullyConnected);
TFLM_OPERATOR(MEAN, Reducer);
TFLM_OPERATOR(MINIMUM, Minimum);
TFLM_OPERATOR(MUL, Mul);
TFLM_OPERATOR(REDUCE_MAX, Reducer);
TFLM_OPERATOR(RSQRT, Rsqrt);
TFLM_OPERATOR(SOFTMAX, Softmax);
TFLM_OPERATOR(SQUARED_DIFFERENCE, SquaredDifference);
#undef TFLM_OPERATOR

template <unsigned int kCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  const TFLMRegistration* FindOp(BuiltinOperator code) const override {
    for (unsigned int i = 0; i < used_; ++i) {
      if (registrations_[i].builtin_code == code) return &registrations_[i];
    }
    return nullptr;
  }
  const TFLMRegistration* FindOp(const char*) const override { return nullptr; }
  Parser GetOpDataParser(BuiltinOperator code) const override {
    for (unsigned int i = 0; i < used_; ++i) {
      if (registrations_[i].builtin_code == code) return parsers_[i];
    }
    return nullptr;
  }

  // Numbers of the operators in the schema of the file format.
  TfLiteStatus AddAdd() { return Add(0, Register_ADD(), ParseAdd); }
  TfLiteStatus AddConcatenation() { return Add(2, Register_CONCATENATION(), ParseConcatenation); }
  TfLiteStatus AddConv2D() { return Add(3, Register_CONV_2D(), ParseConv2D); }
  TfLiteStatus AddDepthwiseConv2D() { return Add(4, Register_DEPTHWISE_CONV_2D(), ParseDepthwiseConv2D); }
  TfLiteStatus AddFullyConnected() { return Add(9, Register_FULLY_CONNECTED(), ParseFullyConnected); }
  TfLiteStatus AddMul() { return Add(18, Register_MUL(), ParseMul); }
  TfLiteStatus AddSoftmax() { return Add(25, Register_SOFTMAX(), ParseSoftmax); }
  TfLiteStatus AddMean() { return Add(40, Register_MEAN(), ParseReducer); }
  TfLiteStatus AddMinimum() { return Add(57, Register_MINIMUM(), ParseMinimum); }
  TfLiteStatus AddRsqrt() { return Add(76, Register_RSQRT(), ParseRsqrt); }
  TfLiteStatus AddReduceMax() { return Add(82, Register_REDUCE_MAX(), ParseReducer); }
  TfLiteStatus AddSquaredDifference() { return Add(99, Register_SQUARED_DIFFERENCE(), ParseSquaredDifference); }

 private:
  TfLiteStatus Add(std::int32_t code, TFLMRegistration registration, Parser parser) {
    if (used_ == kCount) return kTfLiteError;
    registration.builtin_code = code;
    registrations_[used_] = registration;
    parsers_[used_++] = parser;
    return kTfLiteOk;
  }

  TFLMRegistration registrations_[kCount];
  Parser parsers_[kCount];
  unsigned int used_ = 0;
};

}  // namespace micro

using micro::MicroMutableOpResolver;

}  // namespace tflite

#endif  // TFLM_MICRO_MUTABLE_OP_RESOLVER_H_
