// Pictures from the serial port, for a board without a camera: RGB bytes of the model's input size, row by row.
#ifndef POETS_EDGE_CAMERA_H_
#define POETS_EDGE_CAMERA_H_

#include <Arduino.h>

#include <cstddef>
#include <cstdint>

#include "model.h"
#include "preprocess.h"

namespace poets_edge {

// Static memory, so that the linker says whether it fits.
inline std::uint8_t* AllocateArena(std::size_t) {
  alignas(16) static std::uint8_t arena[kArenaSize];
  return arena;
}

inline const char* StartCamera() { return nullptr; }

// Waits for a picture; false if its bytes stop coming for a second.
inline bool Capture(Frame* frame) {
  static std::uint8_t pixels[kInputWidth * kInputHeight * 3];
  Serial.setTimeout(1000);
  if (Serial.readBytes(reinterpret_cast<char*>(pixels), sizeof pixels) != sizeof pixels) {
    return false;
  }
  *frame = {pixels, kInputWidth, kInputHeight, PixelFormat::kRgb888};
  return true;
}

inline void Release() {}

}  // namespace poets_edge

#endif  // POETS_EDGE_CAMERA_H_
