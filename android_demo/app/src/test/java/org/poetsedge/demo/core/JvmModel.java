package org.poetsedge.demo.core;

import java.nio.ByteBuffer;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.tensorflowlite.TfLiteInterpreter;
import org.bytedeco.tensorflowlite.TfLiteInterpreterOptions;
import org.bytedeco.tensorflowlite.TfLiteModel;
import org.bytedeco.tensorflowlite.TfLiteQuantizationParams;
import org.bytedeco.tensorflowlite.TfLiteTensor;
import org.bytedeco.tensorflowlite.global.tensorflowlite;

/** TensorFlow Lite itself, as built for desktop Linux; the app's copy of it is for Android alone. */
final class JvmModel implements Model {
    private static final int FLOAT32 = 1;
    private static final int UINT8 = 3;
    private static final int INT8 = 9;

    private final BytePointer file;
    private final TfLiteModel model;
    private final TfLiteInterpreter interpreter;

    JvmModel(ByteBuffer bytes) throws ModelException {
        file = new BytePointer(bytes); // the interpreter reads on from it, so it must live as long
        model = tensorflowlite.TfLiteModelCreate(file, bytes.limit());
        if (model == null) {
            throw new ModelException("TensorFlow Lite refuses the model.");
        }
        TfLiteInterpreterOptions options = tensorflowlite.TfLiteInterpreterOptionsCreate();
        interpreter = tensorflowlite.TfLiteInterpreterCreate(model, options);
        tensorflowlite.TfLiteInterpreterOptionsDelete(options);
        if (interpreter == null || tensorflowlite.TfLiteInterpreterAllocateTensors(interpreter) != 0) {
            throw new ModelException("TensorFlow Lite lacks an operator of the model.");
        }
    }

    @Override
    public TensorSpec input() {
        return describe(inputTensor());
    }

    @Override
    public TensorSpec[] outputs() {
        TensorSpec[] outputs = new TensorSpec[tensorflowlite.TfLiteInterpreterGetOutputTensorCount(interpreter)];
        for (int i = 0; i < outputs.length; i++) {
            outputs[i] = describe(tensorflowlite.TfLiteInterpreterGetOutputTensor(interpreter, i));
        }
        return outputs;
    }

    @Override
    public void run(ByteBuffer in, ByteBuffer[] out) {
        check(tensorflowlite.TfLiteTensorCopyFromBuffer(inputTensor(), new BytePointer(in), in.remaining()));
        check(tensorflowlite.TfLiteInterpreterInvoke(interpreter));
        for (int i = 0; i < out.length; i++) {
            TfLiteTensor tensor = tensorflowlite.TfLiteInterpreterGetOutputTensor(interpreter, i);
            check(tensorflowlite.TfLiteTensorCopyToBuffer(tensor, new BytePointer(out[i]), out[i].remaining()));
        }
    }

    @Override
    public void close() {
        tensorflowlite.TfLiteInterpreterDelete(interpreter);
        tensorflowlite.TfLiteModelDelete(model);
    }

    private TfLiteTensor inputTensor() {
        return tensorflowlite.TfLiteInterpreterGetInputTensor(interpreter, 0);
    }

    private static TensorSpec describe(TfLiteTensor tensor) {
        int[] shape = new int[tensorflowlite.TfLiteTensorNumDims(tensor)];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = tensorflowlite.TfLiteTensorDim(tensor, i);
        }
        TfLiteQuantizationParams quantization = tensorflowlite.TfLiteTensorQuantizationParams(tensor);
        return new TensorSpec(type(tensor), shape, quantization.scale(), quantization.zero_point());
    }

    private static TensorSpec.Type type(TfLiteTensor tensor) {
        switch (tensorflowlite.TfLiteTensorType(tensor)) {
            case FLOAT32:
                return TensorSpec.Type.FLOAT32;
            case UINT8:
                return TensorSpec.Type.UINT8;
            case INT8:
                return TensorSpec.Type.INT8;
            default:
                throw new IllegalArgumentException("type " + tensorflowlite.TfLiteTensorType(tensor));
        }
    }

    private static void check(int status) {
        if (status != 0) {
            throw new IllegalStateException("TensorFlow Lite answers with status " + status);
        }
    }
}
