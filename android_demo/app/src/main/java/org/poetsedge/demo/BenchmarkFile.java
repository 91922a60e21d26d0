package org.poetsedge.demo;

import java.nio.ByteBuffer;
import java.text.SimpleDateFormat;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.TimeZone;
import java.util.TreeMap;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;
import org.poetsedge.demo.core.Benchmark;
import org.poetsedge.demo.core.ModelException;
import org.poetsedge.demo.core.ModelMetadata;
import org.poetsedge.demo.core.Samples;

/** A measurement as the JSON that `poets-edge benchmark` writes, and `compare` and `grid --latency` read. */
final class BenchmarkFile {
    private static final String FORMAT = "poets_edge-benchmark-1";
    private static final double ROUNDS_DIFFER = 0.05;

    private final ByteBuffer model;
    private final JSONObject machine;
    private final List<Benchmark.Round> rounds = new ArrayList<>();
    private final List<JSONObject> states = new ArrayList<>();

    /** @param machine result of {@link Device#facts} */
    BenchmarkFile(ByteBuffer model, JSONObject machine) {
        this.model = model;
        this.machine = machine;
    }

    /** @param state state of the phone after the round, from {@link Device#state} */
    void add(Benchmark.Round round, JSONObject state) {
        rounds.add(round);
        states.add(state);
    }

    /** @throws ModelException the model has changed since it was measured */
    String json() throws ModelException {
        try {
            JSONArray results = new JSONArray();
            JSONArray warnings = new JSONArray();
            for (int threads : byThreads().keySet()) {
                results.put(result(threads, warnings));
            }
            hot(warnings);
            SimpleDateFormat format = new SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'+00:00'", Locale.ROOT);
            format.setTimeZone(TimeZone.getTimeZone("UTC"));
            return new JSONObject()
                    .put("format", FORMAT)
                    .put("date", format.format(new Date()))
                    .put("machine", machine)
                    .put("warnings", warnings)
                    .put("results", results)
                    .toString();
        } catch (JSONException impossible) {
            throw new IllegalStateException(impossible); // all numbers are finite
        }
    }

    private TreeMap<Integer, List<Integer>> byThreads() {
        TreeMap<Integer, List<Integer>> found = new TreeMap<>();
        for (int i = 0; i < rounds.size(); i++) {
            int threads = rounds.get(i).threads;
            if (!found.containsKey(threads)) {
                found.put(threads, new ArrayList<Integer>());
            }
            found.get(threads).add(i);
        }
        return found;
    }

    private JSONObject result(int threads, JSONArray warnings) throws JSONException, ModelException {
        List<Integer> which = byThreads().get(threads);
        JSONArray entries = new JSONArray();
        double[] medians = new double[which.size()];
        double[] loads = new double[which.size()];
        double[] firsts = new double[which.size()];
        int count = 0;
        for (int index : which) {
            count += rounds.get(index).samples.length;
        }
        double[] all = new double[count];
        int filled = 0;
        boolean steady = true;
        for (int i = 0; i < medians.length; i++) {
            Benchmark.Round round = rounds.get(which.get(i));
            medians[i] = new Samples(round.samples).median();
            loads[i] = round.load;
            firsts[i] = round.first;
            steady &= round.steady;
            System.arraycopy(round.samples, 0, all, filled, round.samples.length);
            filled += round.samples.length;
            entries.put(entry(round, states.get(which.get(i))));
        }
        double differ = new Samples(medians).percentile(100) / new Samples(medians).percentile(0) - 1;
        String name = threads + (threads == 1 ? " thread: " : " threads: ");
        if (differ > ROUNDS_DIFFER) {
            warnings.put(name + "noisy. The medians of its rounds differ by " + Math.round(100 * differ) + " %.");
        }
        if (!steady) {
            warnings.put(name + "the times had not settled after the warm-up.");
        }
        JSONObject facts = new JSONObject(ModelMetadata.read(model).facts);
        JSONObject training = facts.optJSONObject("training");
        String architecture = training == null ? "" : training.optString("architecture");
        return new JSONObject()
                .put("name", DemoApplication.MODEL_ASSET)
                .put("size", model.limit())
                .put("sha256", ModelMetadata.sha256(model))
                .put("architecture", architecture.replaceFirst("_quantized$", ""))
                .put("quantization", facts.optString("quantization"))
                .put("threads", threads)
                .put("latency_ms", latency(new Samples(all)))
                .put("rounds_differ", differ)
                .put("load_ms", new Samples(loads).median())
                .put("first_ms", new Samples(firsts).median())
                .put("rounds", entries);
    }

    private static JSONObject entry(Benchmark.Round round, JSONObject state) throws JSONException {
        JSONArray samples = new JSONArray();
        for (double sample : round.samples) {
            samples.put(sample);
        }
        return new JSONObject()
                .put("load_ms", round.load)
                .put("first_ms", round.first)
                .put("warm_up_runs", round.warmUpRuns)
                .put("steady", round.steady)
                .put("samples_ms", samples)
                .put("state", state);
    }

    private static JSONObject latency(Samples samples) throws JSONException {
        return new JSONObject()
                .put("count", samples.count())
                .put("minimum", samples.percentile(0))
                .put("median", samples.median())
                .put("p90", samples.percentile(90))
                .put("p99", samples.percentile(99))
                .put("maximum", samples.percentile(100))
                .put("spread", samples.spread());
    }

    private void hot(JSONArray warnings) {
        int hottest = 0;
        String name = "";
        for (JSONObject state : states) {
            if (state.optInt("thermal_level") > hottest) {
                hottest = state.optInt("thermal_level");
                name = state.optString("thermal_status");
            }
        }
        if (hottest > 0) {
            warnings.put("the phone was throttled because of heat (thermal status: " + name + "). Let it cool.");
        }
        if (machine.optBoolean("power_save")) {
            warnings.put("battery saver was on, which slows the processor down.");
        }
    }
}
