// SPDX-License-Identifier: Apache-2.0

import java.util.List;
import org.apache.kudu.ColumnSchema;
import org.apache.kudu.Schema;
import org.apache.kudu.Type;
import org.apache.kudu.client.CreateTableOptions;
import org.apache.kudu.client.KuduClient;
import org.apache.kudu.client.KuduScanner;
import org.apache.kudu.client.KuduSession;
import org.apache.kudu.client.KuduTable;
import org.apache.kudu.client.PartialRow;
import org.apache.kudu.client.SessionConfiguration;
import org.apache.kudu.client.Upsert;

/** Upserts rows through a session in AUTO_FLUSH_BACKGROUND. Arguments: the master, operations in a buffer. */
public final class Load implements Commands.Client {
  private final KuduClient client;
  private final int buffer;
  private final String[] texts = Commands.texts();

  private Load(KuduClient client, int buffer) {
    this.client = client;
    this.buffer = buffer;
  }

  public static void main(String[] args) throws Exception {
    try (KuduClient client = new KuduClient.KuduClientBuilder(args[0]).build()) {
      Commands.run(new Load(client, Integer.parseInt(args[1])));
    }
  }

  @Override
  public void table(String name) throws Exception {
    Schema schema = new Schema(List.of(
        new ColumnSchema.ColumnSchemaBuilder("id", Type.INT64).key(true).build(),
        new ColumnSchema.ColumnSchemaBuilder("value", Type.INT64).build(),
        new ColumnSchema.ColumnSchemaBuilder("text", Type.STRING).build()));
    client.createTable(name, schema,
        new CreateTableOptions().addHashPartitions(List.of("id"), 4).setNumReplicas(1));
  }

  @Override
  public void load(String name, long first, long count) throws Exception {
    KuduTable table = client.openTable(name);
    KuduSession session = client.newSession();
    session.setFlushMode(SessionConfiguration.FlushMode.AUTO_FLUSH_BACKGROUND);
    session.setMutationBufferSpace(buffer);
    for (long id = first; id < first + count; id++) {
      Upsert upsert = table.newUpsert();
      PartialRow row = upsert.getRow();
      row.addLong(0, id);
      row.addLong(1, id * 31);
      row.addString(2, texts[(int) id & texts.length - 1]);
      session.apply(upsert);
    }
    session.flush();
    session.close();
    if (session.countPendingErrors() > 0) {
      throw new IllegalStateException(session.getPendingErrors().getRowErrors()[0].toString());
    }
  }

  @Override
  public long count(String name) throws Exception {
    KuduScanner scanner = client.newScannerBuilder(client.openTable(name))
        .setProjectedColumnIndexes(List.of(0)).build();
    long rows = 0;
    while (scanner.hasMoreRows()) {
      rows += scanner.nextRows().getNumRows();
    }
    return rows;
  }

  @Override
  public void drop(String name) throws Exception {
    client.deleteTable(name);
  }
}
