// Declarations of the Arduino functions that the sketch calls, to check its syntax.
#pragma once
#include <cstddef>
#include <cstdint>

struct SerialPort {
  void begin(long);
  void setTimeout(long);
  std::size_t readBytes(char*, std::size_t);
  void print(const char*);
  void print(unsigned long);
  void print(double, int);
  void println(const char*);
};
extern SerialPort Serial;
void delay(unsigned long);
unsigned long millis();
