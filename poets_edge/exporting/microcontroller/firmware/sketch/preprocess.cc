#include "preprocess.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace poets_edge {
namespace {

constexpr int kRgb = 3;
constexpr int kFractionBits = 22;
constexpr std::int32_t kHalf = 1 << (kFractionBits - 1);

std::uint8_t Round(std::int32_t sum) { return static_cast<std::uint8_t>(std::min(255, sum >> kFractionBits)); }

void ReadPixel(const Frame& frame, int row, int column, std::uint8_t* rgb) {
  const std::size_t index = static_cast<std::size_t>(row) * frame.width + column;
  if (frame.format == PixelFormat::kRgb888) {
    std::copy_n(frame.pixels + kRgb * index, kRgb, rgb);
  } else if (frame.format == PixelFormat::kGray8) {
    std::fill_n(rgb, kRgb, frame.pixels[index]);
  } else {
    const unsigned high = frame.pixels[2 * index];
    const unsigned low = frame.pixels[2 * index + 1];
    const unsigned red = high >> 3;
    const unsigned green = (high & 7) << 3 | low >> 5;
    const unsigned blue = low & 31;
    rgb[0] = static_cast<std::uint8_t>(red << 3 | red >> 2);
    rgb[1] = static_cast<std::uint8_t>(green << 2 | green >> 4);
    rgb[2] = static_cast<std::uint8_t>(blue << 3 | blue >> 2);
  }
}

}  // namespace

std::vector<Preprocessor::Window> Preprocessor::Windows(int size, int new_size) {
  const double scale = static_cast<double>(size) / new_size;
  const double reach = std::max(scale, 1.0);
  std::vector<Window> windows(new_size);
  std::vector<double> exact;
  for (int index = 0; index < new_size; ++index) {
    const double center = (index + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(center - reach + 0.5));
    const int end = std::min(size, static_cast<int>(center + reach + 0.5));
    exact.assign(end - first, 0.0);
    double sum = 0.0;
    for (int i = 0; i < end - first; ++i) {
      // Multiplied by the inverse, not divided: the last bit of the weights depends on it.
      const double distance = std::fabs((first + i - center + 0.5) * (1.0 / reach));
      exact[i] = distance < 1.0 ? 1.0 - distance : 0.0;
      sum += exact[i];
    }
    windows[index].first = first;
    for (const double weight : exact) {
      windows[index].weights.push_back(static_cast<std::int32_t>(weight / sum * (1 << kFractionBits) + 0.5));
    }
  }
  return windows;
}

void Preprocessor::NarrowRow(const Frame& frame, int row, std::uint8_t* narrowed) const {
  for (int column = 0; column < width_; ++column) {
    const Window& window = columns_[column];
    std::int32_t sums[kRgb] = {kHalf, kHalf, kHalf};
    for (std::size_t i = 0; i < window.weights.size(); ++i) {
      std::uint8_t rgb[kRgb];
      ReadPixel(frame, row, window.first + static_cast<int>(i), rgb);
      for (int channel = 0; channel < kRgb; ++channel) {
        sums[channel] += window.weights[i] * rgb[channel];
      }
    }
    for (int channel = 0; channel < kRgb; ++channel) {
      narrowed[kRgb * column + channel] = Round(sums[channel]);
    }
  }
}

void Preprocessor::Run(const Frame& frame, std::int8_t* input) {
  const int row_bytes = kRgb * width_;
  if (frame.width != frame_width_ || frame.height != frame_height_) {
    frame_width_ = frame.width;
    frame_height_ = frame.height;
    columns_ = Windows(frame.width, width_);
    rows_ = Windows(frame.height, height_);
    ring_rows_ = 0;
    for (const Window& window : rows_) {
      ring_rows_ = std::max(ring_rows_, static_cast<int>(window.weights.size()));
    }
    ring_.assign(static_cast<std::size_t>(ring_rows_) * row_bytes, 0);
  }
  int narrowed = 0;  // rows of the frame that have been narrowed
  for (int row = 0; row < height_; ++row) {
    const Window& window = rows_[row];
    const int end = window.first + static_cast<int>(window.weights.size());
    for (narrowed = std::max(narrowed, window.first); narrowed < end; ++narrowed) {
      NarrowRow(frame, narrowed, &ring_[static_cast<std::size_t>(narrowed % ring_rows_) * row_bytes]);
    }
    for (int column = 0; column < width_; ++column) {
      std::int32_t sums[kRgb] = {kHalf, kHalf, kHalf};
      for (int source = window.first; source < end; ++source) {
        const std::uint8_t* rgb = &ring_[static_cast<std::size_t>(source % ring_rows_) * row_bytes + kRgb * column];
        for (int channel = 0; channel < kRgb; ++channel) {
          sums[channel] += window.weights[source - window.first] * rgb[channel];
        }
      }
      if (channels_ == 1) {
        const unsigned gray = (19595u * Round(sums[0]) + 38470u * Round(sums[1]) + 7471u * Round(sums[2]) + 0x8000u) >> 16;
        *input++ = static_cast<std::int8_t>(static_cast<int>(gray) - 128);
      } else {
        for (const std::int32_t sum : sums) {
          *input++ = static_cast<std::int8_t>(Round(sum) - 128);
        }
      }
    }
  }
}

}  // namespace poets_edge
