import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** What a JVM asks of a kernel: threads, guard pages, faults that it turns into exceptions, mappings, processes. */
public class Everyday {
    static int depth;
    int field;

    static void deeper() {
        depth++;
        deeper();
    }

    static void overflow(String where) {
        depth = 0;
        try {
            deeper();
        } catch (StackOverflowError e) {
            System.out.println("StackOverflowError in " + where + ": " + (depth > 1000));
        }
    }

    static int sum(int n) {
        int s = 0;
        for (int k = 0; k < 100_000; k++) s += k % (n + 1);
        return s;
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("hello " + String.join(",", arguments) + " " + Runtime.getRuntime().availableProcessors());

        ExecutorService executor = Executors.newFixedThreadPool(16);
        List<Future<Integer>> futures = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            int n = i;
            futures.add(executor.submit(() -> sum(n)));
        }
        long total = 0;
        for (Future<Integer> future : futures) total += future.get();
        executor.shutdown();
        System.out.println("threads " + total);

        for (int i = 0; i < 3; i++) overflow("main");
        Thread thread = new Thread(() -> overflow("a thread"));
        thread.start();
        thread.join();

        Everyday nothing = null;
        int caught = 0;
        for (int i = 0; i < 100_000; i++) {
            try {
                caught += nothing.field;
            } catch (NullPointerException e) {
                caught++;
            }
        }
        System.out.println("NullPointerException " + caught);
        try {
            System.out.println(1 / (caught - 100_000));
        } catch (ArithmeticException e) {
            System.out.println(e.getMessage());
        }

        byte[][] kept = new byte[64][];
        for (int i = 0; i < 20_000; i++) kept[i % 64] = new byte[10_000 + i % 7];
        System.gc();
        System.out.println("garbage collected, kept " + kept.length);

        Process process = new ProcessBuilder("/bin/sh", "-c", "echo from a process; exit 3").inheritIO().start();
        System.out.println("process " + process.waitFor());

        Path path = Files.createTempFile("every", "day");
        Files.writeString(path, "abc");
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MappedByteBuffer mapped = channel.map(FileChannel.MapMode.READ_WRITE, 0, 8192);
            mapped.put(5000, (byte) 7);
            mapped.force();
        }
        System.out.println("file " + Files.size(path) + " " + Files.readAllBytes(path)[5000]);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("shutdown hook")));
        System.exit(5);
    }
}
