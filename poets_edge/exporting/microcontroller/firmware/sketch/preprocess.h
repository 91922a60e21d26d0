// Conversion of camera frames to the model's input.
#ifndef POETS_EDGE_PREPROCESS_H_
#define POETS_EDGE_PREPROCESS_H_

#include <cstdint>
#include <vector>

namespace poets_edge {

enum class PixelFormat {
  kRgb888,           // 3 bytes: red, green, blue
  kRgb565BigEndian,  // 2 bytes, the byte with red first, as most camera drivers deliver them
  kGray8,            // 1 byte
};

struct Frame {
  const std::uint8_t* pixels;
  int width;
  int height;
  PixelFormat format;
};

// Resizes frames without keeping their aspect ratio, with antialiasing, to the pixels that the Python package
// computes for the same frame. Keeps a few rows of the frame in memory, not a copy of it.
class Preprocessor {
 public:
  Preprocessor(int width, int height, int channels) : width_(width), height_(height), channels_(channels) {}

  // Writes width * height * channels values, each a pixel value minus 128.
  void Run(const Frame& frame, std::int8_t* input);

 private:
  // Weights of the input samples from `first` on in one output sample, with 22 fractional bits.
  struct Window {
    int first;
    std::vector<std::int32_t> weights;
  };

  static std::vector<Window> Windows(int size, int new_size);
  void NarrowRow(const Frame& frame, int row, std::uint8_t* narrowed) const;

  int width_;
  int height_;
  int channels_;
  int frame_width_ = 0;
  int frame_height_ = 0;
  std::vector<Window> columns_;
  std::vector<Window> rows_;
  std::vector<std::uint8_t> ring_;  // the last rows, narrowed
  int ring_rows_ = 0;
};

}  // namespace poets_edge

#endif  // POETS_EDGE_PREPROCESS_H_
