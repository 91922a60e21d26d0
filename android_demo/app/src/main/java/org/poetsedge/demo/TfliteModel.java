package org.poetsedge.demo;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import org.poetsedge.demo.core.Model;
import org.poetsedge.demo.core.ModelException;
import org.poetsedge.demo.core.ModelOpener;
import org.poetsedge.demo.core.TensorSpec;
import org.tensorflow.lite.DataType;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.Tensor;
import org.tensorflow.lite.TensorFlowLite;

/** A model in TensorFlow Lite's interpreter, on the CPU. */
final class TfliteModel implements Model {
    static final ModelOpener OPENER =
            new ModelOpener() {
                @Override
                public Model open(ByteBuffer file, int threads) throws ModelException {
                    return TfliteModel.open(file, threads);
                }
            };

    /** Version of the TensorFlow Lite library in the app. */
    static String version() {
        return TensorFlowLite.runtimeVersion();
    }

    private final Interpreter interpreter;
    private final TensorSpec input;
    private final TensorSpec[] outputs;

    private TfliteModel(Interpreter interpreter) throws ModelException {
        this.interpreter = interpreter;
        if (interpreter.getInputTensorCount() != 1) {
            throw new ModelException("The model has several inputs; an image classifier has one.");
        }
        input = describe(interpreter.getInputTensor(0));
        outputs = new TensorSpec[interpreter.getOutputTensorCount()];
        for (int i = 0; i < outputs.length; i++) {
            outputs[i] = describe(interpreter.getOutputTensor(i));
        }
    }

    private static Model open(ByteBuffer file, int threads) throws ModelException {
        Interpreter interpreter;
        try {
            interpreter = new Interpreter(file, new Interpreter.Options().setNumThreads(threads));
        } catch (IllegalArgumentException | IllegalStateException error) {
            throw new ModelException("TensorFlow Lite cannot load the model: " + error.getMessage(), error);
        } catch (UnsatisfiedLinkError error) {
            throw new ModelException("TensorFlow Lite does not run on this device's processor.", error);
        }
        try {
            return new TfliteModel(interpreter);
        } catch (ModelException error) {
            interpreter.close();
            throw error;
        }
    }

    private static TensorSpec describe(Tensor tensor) throws ModelException {
        Tensor.QuantizationParams quantization = tensor.quantizationParams();
        return new TensorSpec(
                type(tensor.dataType()), tensor.shape(), quantization.getScale(), quantization.getZeroPoint());
    }

    private static TensorSpec.Type type(DataType type) throws ModelException {
        switch (type) {
            case FLOAT32:
                return TensorSpec.Type.FLOAT32;
            case UINT8:
                return TensorSpec.Type.UINT8;
            case INT8:
                return TensorSpec.Type.INT8;
            default:
                throw new ModelException("The model has a tensor of type " + type + ", which this app cannot fill.");
        }
    }

    @Override
    public TensorSpec input() {
        return input;
    }

    @Override
    public TensorSpec[] outputs() {
        return outputs;
    }

    @Override
    public void run(ByteBuffer in, ByteBuffer[] out) {
        Map<Integer, Object> filled = new HashMap<>();
        for (int i = 0; i < out.length; i++) {
            filled.put(i, out[i]);
        }
        interpreter.runForMultipleInputsOutputs(new Object[] {in}, filled);
    }

    @Override
    public void close() {
        interpreter.close();
    }
}
