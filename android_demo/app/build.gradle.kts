plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "org.poetsedge.demo"
    compileSdk = libs.versions.compile.sdk.get().toInt()

    defaultConfig {
        applicationId = "org.poetsedge.demo"
        minSdk = libs.versions.min.sdk.get().toInt()
        targetSdk = libs.versions.target.sdk.get().toInt()
        versionCode = libs.versions.version.code.get().toInt()
        versionName = libs.versions.version.name.get()
        ndk {
            abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64")
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.toVersion(libs.versions.java.get())
        targetCompatibility = JavaVersion.toVersion(libs.versions.java.get())
    }

    // The model is mapped into memory, which a compressed file cannot be.
    androidResources {
        noCompress += "tflite"
    }

    signingConfigs {
        getByName("debug") {
            storeFile = rootProject.file("debug.keystore")
            storePassword = "android"
            keyAlias = "androiddebugkey"
            keyPassword = "android"
        }
    }

    testOptions {
        unitTests {
            isIncludeAndroidResources = true
            all {
                // Written by tests/android/vectors.py; without them the tests that compare with Python skip.
                it.systemProperty("poetsedge.vectors", rootProject.file("../build/android/vectors").path)
            }
        }
    }
}

dependencies {
    implementation(libs.litert)
    testImplementation(libs.junit)
    testImplementation(libs.robolectric)
    testImplementation(libs.tensorflow.lite.jvm)
    testImplementation(libs.javacpp)
    testRuntimeOnly(variantOf(libs.tensorflow.lite.jvm) { classifier("linux-x86_64") })
    testRuntimeOnly(variantOf(libs.javacpp) { classifier("linux-x86_64") })
}
