// SPDX-License-Identifier: Apache-2.0

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Locale;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.serialization.BulkWriter;
import org.apache.flink.api.common.serialization.Encoder;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.connector.file.src.reader.TextLineInputFormat;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.Path;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * A file of JSON lines, one field set, into files, exactly once. Arguments: the file, the folder, how often, and row or
 * buffered. The job runs that often in one cluster within this process, each time into a folder of its own, 1, 2, ...
 * Each time is answered by one line: the CPU and wall time that it took, and the CPU time since the process started.
 */
public final class Job {
  /** As often as Forebay's file sink commits. */
  private static final long CHECKPOINT_MILLIS = 10_000;

  private static final int BUFFER = 64 << 10;

  private static final OperatingSystemMXBean SYSTEM =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  private Job() {}

  public static void main(String[] args) throws Exception {
    String out = Paths.get(args[1]).toAbsolutePath().toString();
    Files.createDirectories(Paths.get(out, "tmp"));
    Configuration config = new Configuration();
    config.setString("rest.bind-address", "localhost");
    config.setString("io.tmp.dirs", out + "/tmp");
    MiniClusterConfiguration.Builder one =
        new MiniClusterConfiguration.Builder().setConfiguration(config).withRandomPorts();
    try (MiniCluster cluster = new MiniCluster(one.setNumTaskManagers(1).setNumSlotsPerTaskManager(1).build())) {
      cluster.start();
      for (int round = 1; round <= Integer.parseInt(args[2]); round++) {
        long wall = System.nanoTime();
        long cpu = SYSTEM.getProcessCpuTime();
        FileSink<byte[]> sink = sink(args[3], new Path(out, Integer.toString(round)));
        cluster.executeJobBlocking(environment(args[0], out, sink).getStreamGraph().getJobGraph());
        long all = SYSTEM.getProcessCpuTime();
        System.out.printf(Locale.ROOT, "round %d cpu %.3f wall %.3f process %.3f%n", round, (all - cpu) / 1e9,
            (System.nanoTime() - wall) / 1e9, all / 1e9);
      }
    }
  }

  private static StreamExecutionEnvironment environment(String in, String out, FileSink<byte[]> sink) {
    Configuration config = new Configuration();
    config.setString("execution.checkpointing.storage", "filesystem");
    config.setString("execution.checkpointing.dir", "file://" + out + "/checkpoints");
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(config);
    env.setParallelism(1);
    env.getConfig().enableObjectReuse();
    env.enableCheckpointing(CHECKPOINT_MILLIS, CheckpointingMode.EXACTLY_ONCE);
    FileSource<String> lines = FileSource.forRecordStreamFormat(new TextLineInputFormat(), new Path(in)).build();
    env.fromSource(lines, WatermarkStrategy.noWatermarks(), "lines").map(new Score()).returns(byte[].class)
        .sinkTo(sink);
    return env;
  }

  private static FileSink<byte[]> sink(String form, Path folder) {
    return switch (form) {
      case "row" -> FileSink.<byte[]>forRowFormat(folder, new Line()).build();
      case "buffered" -> FileSink.<byte[]>forBulkFormat(folder, new Lines()).build();
      default -> throw new IllegalArgumentException("unknown form " + form);
    };
  }

  /** Adds 1 to score. Tokens go from parser to generator: no tree, no object, and numbers keep their text. */
  private static final class Score implements MapFunction<String, byte[]> {
    private transient JsonFactory json;
    private transient ByteArrayOutputStream record;

    @Override
    public byte[] map(String line) throws IOException {
      if (json == null) {
        json = new JsonFactory();
        record = new ByteArrayOutputStream(1024);
      }
      record.reset();
      try (JsonParser in = json.createParser(line); JsonGenerator out = json.createGenerator(record)) {
        boolean score = false;
        for (JsonToken token = in.nextToken(); token != null; token = in.nextToken()) {
          if (token.isNumeric() && score) {
            out.writeNumber(in.getLongValue() + 1);
          } else if (token.isNumeric()) {
            out.writeNumber(in.getTextCharacters(), in.getTextOffset(), in.getTextLength());
          } else {
            out.copyCurrentEvent(in);
          }
          score = token == JsonToken.FIELD_NAME && in.getParsingContext().getParent().inRoot()
              && in.currentName().equals("score");
        }
      }
      record.write('\n');
      return record.toByteArray();
    }
  }

  /** One write for each record, as a row format has it: the local file system's stream has no buffer. */
  private static final class Line implements Encoder<byte[]> {
    @Override
    public void encode(byte[] record, OutputStream out) throws IOException {
      out.write(record);
    }
  }

  /** The buffer that row formats lack. Files end at each checkpoint. */
  private static final class Lines implements BulkWriter.Factory<byte[]> {
    @Override
    public BulkWriter<byte[]> create(FSDataOutputStream file) {
      BufferedOutputStream out = new BufferedOutputStream(file, BUFFER);
      return new BulkWriter<>() {
        @Override
        public void addElement(byte[] record) throws IOException {
          out.write(record);
        }

        @Override
        public void flush() throws IOException {
          out.flush();
        }

        @Override
        public void finish() throws IOException {
          out.flush();
        }
      };
    }
  }
}
