#pragma once
void vTaskDelay(unsigned long ticks);
