package org.poetsedge.demo;

import android.app.ActivityManager;
import android.content.Context;
import android.os.Build;
import android.os.PowerManager;
import java.io.BufferedReader;
import java.io.FileReader;
import java.io.IOException;
import org.json.JSONException;
import org.json.JSONObject;

/** What is known of this phone, under the names that poets-edge uses for any machine. */
final class Device {
    private static final String[] THERMAL = {
        "none", "light", "moderate", "severe", "critical", "emergency", "shutdown"
    };

    private Device() {}

    /** Facts that do not change during a measurement. */
    static JSONObject facts(DemoApplication app) {
        ActivityManager.MemoryInfo memory = new ActivityManager.MemoryInfo();
        ((ActivityManager) app.getSystemService(Context.ACTIVITY_SERVICE)).getMemoryInfo(memory);
        int cores = Runtime.getRuntime().availableProcessors();
        try {
            return new JSONObject()
                    .put("board", Build.MANUFACTURER + " " + Build.MODEL)
                    .put("cpu", Build.VERSION.SDK_INT >= Build.VERSION_CODES.S ? Build.SOC_MODEL : Build.HARDWARE)
                    .put("architecture", Build.SUPPORTED_ABIS.length > 0 ? Build.SUPPORTED_ABIS[0] : "")
                    .put("cores", cores)
                    .put("governor", orNull(line(cpu(0, "scaling_governor"))))
                    .put("max_frequency_mhz", megahertz(line(cpu(cores - 1, "cpuinfo_max_freq"))))
                    .put("memory_mb", memory.totalMem / 1000000)
                    .put("system", "Android " + Build.VERSION.RELEASE + " (API " + Build.VERSION.SDK_INT + ")")
                    .put("python", JSONObject.NULL)
                    .put("interpreter", "tensorflow-lite")
                    .put("interpreter_version", app.interpreterVersion())
                    .put("power_save", power(app).isPowerSaveMode())
                    .put("emulated", Build.HARDWARE.equals("ranchu") || Build.HARDWARE.equals("goldfish"));
        } catch (JSONException impossible) {
            throw new IllegalStateException(impossible); // all numbers are finite
        }
    }

    /** State that may change during a measurement. */
    static JSONObject state(DemoApplication app) {
        int level = Build.VERSION.SDK_INT < Build.VERSION_CODES.Q ? -1 : power(app).getCurrentThermalStatus();
        try {
            return new JSONObject()
                    .put("thermal_level", level)
                    .put("thermal_status", level >= 0 && level < THERMAL.length ? THERMAL[level] : "unknown")
                    .put("temperature_c", JSONObject.NULL)
                    .put("frequency_mhz", megahertz(line(cpu(0, "scaling_cur_freq"))))
                    .put("throttled", JSONObject.NULL)
                    .put("throttle_count", JSONObject.NULL);
        } catch (JSONException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static PowerManager power(Context context) {
        return (PowerManager) context.getSystemService(Context.POWER_SERVICE);
    }

    private static String cpu(int core, String file) {
        return "/sys/devices/system/cpu/cpu" + core + "/cpufreq/" + file;
    }

    /** Returns the first line of a file; null if apps may not read it, as on many phones. */
    private static String line(String path) {
        try (BufferedReader file = new BufferedReader(new FileReader(path))) {
            return file.readLine();
        } catch (IOException hidden) {
            return null;
        }
    }

    private static Object orNull(String text) {
        return text == null ? JSONObject.NULL : text;
    }

    private static Object megahertz(String kilohertz) {
        try {
            return kilohertz == null ? JSONObject.NULL : (Object) (Long.parseLong(kilohertz.trim()) / 1000.0);
        } catch (NumberFormatException other) {
            return JSONObject.NULL;
        }
    }
}
