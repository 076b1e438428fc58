// SPDX-License-Identifier: Apache-2.0

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.fluss.client.Connection;
import org.apache.fluss.client.ConnectionFactory;
import org.apache.fluss.client.admin.Admin;
import org.apache.fluss.client.admin.OffsetSpec;
import org.apache.fluss.client.table.Table;
import org.apache.fluss.client.table.writer.AppendWriter;
import org.apache.fluss.client.table.writer.UpsertWriter;
import org.apache.fluss.config.ConfigOptions;
import org.apache.fluss.config.Configuration;
import org.apache.fluss.metadata.DatabaseDescriptor;
import org.apache.fluss.metadata.LogFormat;
import org.apache.fluss.metadata.Schema;
import org.apache.fluss.metadata.TableDescriptor;
import org.apache.fluss.metadata.TablePath;
import org.apache.fluss.row.BinaryString;
import org.apache.fluss.row.GenericRow;
import org.apache.fluss.types.DataTypes;

/**
 * Appends or upserts rows. Arguments: the coordinator; append-arrow, append-indexed or upsert.
 */
public final class Load implements Commands.Client {
  private static final int BUCKETS = 4;
  private static final int TRIES = 10;

  private final Connection connection;
  private final Admin admin;
  private final String mode;
  private final BinaryString[] texts;

  private Load(Connection connection, String mode) throws Exception {
    this.connection = connection;
    this.admin = connection.getAdmin();
    this.mode = mode;
    String[] all = Commands.texts();
    texts = new BinaryString[all.length];
    for (int i = 0; i < all.length; i++) {
      texts[i] = BinaryString.fromString(all[i]);
    }
    admin.createDatabase("bench", DatabaseDescriptor.EMPTY, true).get();
  }

  public static void main(String[] args) throws Exception {
    Configuration config = new Configuration();
    config.setString(ConfigOptions.BOOTSTRAP_SERVERS.key(), args[0]);
    try (Connection connection = ConnectionFactory.createConnection(config)) {
      Commands.run(new Load(connection, args[1]));
    }
  }

  /** Creates a table and waits for its leaders. In 0.9.1 it may never get them; then it is made again. */
  @Override
  public void table(String name) throws Exception {
    Schema.Builder schema = Schema.newBuilder()
        .column("id", DataTypes.BIGINT().copy(false))
        .column("value", DataTypes.BIGINT())
        .column("text", DataTypes.STRING());
    TableDescriptor.Builder table = TableDescriptor.builder();
    switch (mode) {
      case "upsert" -> table.schema(schema.primaryKey("id").build()).distributedBy(BUCKETS, "id");
      case "append-arrow" -> table.schema(schema.build()).distributedBy(BUCKETS).logFormat(LogFormat.ARROW);
      case "append-indexed" -> table.schema(schema.build()).distributedBy(BUCKETS).logFormat(LogFormat.INDEXED);
      default -> throw new IllegalArgumentException("unknown mode " + mode);
    }
    TablePath path = TablePath.of("bench", name);
    for (int i = 1; ; i++) {
      try {
        admin.createTable(path, table.build(), true).get();
        if (led(path)) {
          return;
        }
        admin.dropTable(path, true).get();
      } catch (ExecutionException e) { // the tablet server may not be known yet
        Thread.sleep(1000);
        if (i == TRIES) {
          throw e;
        }
      }
      if (i == TRIES) {
        throw new IllegalStateException("table " + name + " got no leader, " + TRIES + " times");
      }
    }
  }

  private boolean led(TablePath path) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(8);
    while (System.nanoTime() < end) {
      try {
        rows(path);
        return true;
      } catch (Exception e) {
        Thread.sleep(50);
      }
    }
    return false;
  }

  @Override
  public void load(String name, long first, long count) throws Exception {
    AtomicReference<Throwable> failed = new AtomicReference<>();
    try (Table table = connection.getTable(TablePath.of("bench", name))) {
      if (mode.equals("upsert")) {
        UpsertWriter writer = table.newUpsert().createWriter();
        for (long id = first; id < first + count; id++) {
          writer.upsert(row(id)).whenComplete((r, e) -> note(failed, e));
        }
        writer.flush();
      } else {
        AppendWriter writer = table.newAppend().createWriter();
        for (long id = first; id < first + count; id++) {
          writer.append(row(id)).whenComplete((r, e) -> note(failed, e));
        }
        writer.flush();
      }
    }
    if (failed.get() != null) {
      throw new IllegalStateException("a row failed", failed.get());
    }
  }

  private static void note(AtomicReference<Throwable> failed, Throwable e) {
    if (e != null) {
      failed.compareAndSet(null, e);
    }
  }

  private GenericRow row(long id) {
    GenericRow row = new GenericRow(3);
    row.setField(0, id);
    row.setField(1, id * 31);
    row.setField(2, texts[(int) id & texts.length - 1]);
    return row;
  }

  /** The rows of a table: the ends of its logs. A key that is written once makes one entry of the change log. */
  @Override
  public long count(String name) throws Exception {
    return rows(TablePath.of("bench", name));
  }

  private long rows(TablePath path) throws Exception {
    List<Integer> buckets = new ArrayList<>();
    for (int i = 0; i < BUCKETS; i++) {
      buckets.add(i);
    }
    long rows = 0;
    for (long end : admin.listOffsets(path, buckets, new OffsetSpec.LatestSpec()).all()
        .get(5, TimeUnit.SECONDS).values()) {
      rows += end;
    }
    return rows;
  }

  @Override
  public void drop(String name) throws Exception {
    admin.dropTable(TablePath.of("bench", name), false).get();
  }
}
