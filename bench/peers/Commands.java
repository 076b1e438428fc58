// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;

/**
 * What the Java clients have in common: the commands that the driver writes to standard input, one a line, each
 * answered by one line on standard output, and the rows.
 */
final class Commands {
  static final int TEXT_LENGTH = 84;
  private static final int TEXTS = 1 << 16;

  /** A client of one kind of server. */
  interface Client {
    void table(String name) throws Exception;

    /** Writes count rows with the keys from first on, and returns when all of them are acknowledged. */
    void load(String name, long first, long count) throws Exception;

    long count(String name) throws Exception;

    void drop(String name) throws Exception;
  }

  private Commands() {}

  /** Answers commands until standard input ends. Whatever libraries print goes to standard error. */
  static void run(Client client) throws Exception {
    PrintStream out = System.out;
    System.setOut(System.err);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] words = line.trim().split(" ");
      String answer = "0";
      switch (words[0]) {
        case "table" -> client.table(words[1]);
        case "load" -> client.load(words[1], Long.parseLong(words[2]), Long.parseLong(words[3]));
        case "count" -> answer = Long.toString(client.count(words[1]));
        case "drop" -> client.drop(words[1]);
        default -> throw new IllegalArgumentException("unknown command " + line);
      }
      out.println("ok " + answer);
      out.flush();
    }
  }

  /** The texts of all rows: row i has the one of i modulo their number, which is a power of two. */
  static String[] texts() {
    String letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    String[] texts = new String[TEXTS];
    long state = 88172645463325252L;
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < TEXTS; i++) {
      text.setLength(0);
      for (int k = 0; k < TEXT_LENGTH; k++) {
        state ^= state << 13;
        state ^= state >>> 7;
        state ^= state << 17;
        text.append(letters.charAt((int) (state >>> 58)));
      }
      texts[i] = text.toString();
    }
    return texts;
  }
}
