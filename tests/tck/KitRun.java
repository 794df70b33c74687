import java.io.FileReader;
import java.io.IOException;
import java.util.HashMap;
import java.util.Properties;
import java.util.regex.Pattern;

import org.eclipse.dataspacetck.core.system.ConsoleMonitor;
import org.eclipse.dataspacetck.dsp.system.DspSystemLauncher;
import org.eclipse.dataspacetck.runtime.ConsoleResultWriter;
import org.eclipse.dataspacetck.runtime.TckRuntime;

/**
 * Runs the cases whose id matches args[1] with the properties file args[0], and ends by printing their numbers.
 *
 * <p>The kit's own main class is not in every published version and exits 0 whatever happened, so kit.py reads the line
 * "RESULT passed failed aborted", which is only printed when the kit came to its end.
 */
public class KitRun {
    public static void main(String[] args) throws IOException {
        var file = new Properties();
        try (var reader = new FileReader(args[0])) {
            file.load(reader);
        }
        var settings = new HashMap<String, String>();
        file.stringPropertyNames().forEach(name -> settings.put(name, file.getProperty(name)));
        var wanted = Pattern.compile(args[1]);
        var monitor = new ConsoleMonitor(true, false);
        var result = TckRuntime.Builder.newInstance()
                .launcher(DspSystemLauncher.class)
                .addPackage("org.eclipse.dataspacetck.dsp.verification")
                .properties(settings)
                .monitor(monitor)
                .displayNameMatching(name -> wanted.matcher(name.split(": ")[0]).matches())
                .build()
                .execute();
        new ConsoleResultWriter(monitor).output(result);
        System.out.printf("RESULT %d %d %d%n",
                result.getTestsSucceededCount(), result.getTestsFailedCount(), result.getTestsAbortedCount());
        System.exit(0); // its HTTP threads would go on
    }
}
