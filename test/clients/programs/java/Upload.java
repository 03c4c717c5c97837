import io.tus.java.client.ProtocolException;
import io.tus.java.client.TusClient;
import io.tus.java.client.TusExecutor;
import io.tus.java.client.TusURLMemoryStore;
import io.tus.java.client.TusUpload;
import io.tus.java.client.TusUploader;
import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.util.Map;

/** Uploads a file with tus-java-client: ENDPOINT TOKEN WORKSPACE NAME FILE. */
public class Upload {
  public static void main(String[] args) throws Exception {
    TusClient client = new TusClient();
    client.setUploadCreationURL(URI.create(args[0]).toURL());
    client.setHeaders(Map.of("Authorization", "Bearer " + args[1]));
    client.enableResuming(new TusURLMemoryStore());
    TusUpload upload = new TusUpload(new File(args[4]));
    upload.setMetadata(Map.of("workspaceId", args[2], "filename", args[3], "confirm", "auto"));
    TusExecutor executor = new TusExecutor() {
      @Override
      protected void makeAttempt() throws ProtocolException, IOException {
        TusUploader uploader = client.resumeOrCreateUpload(upload);
        uploader.setChunkSize(64 * 1024);
        uploader.setRequestPayloadSize(1024 * 1024);
        while (uploader.uploadChunk() > -1) {}
        uploader.finish();
        System.out.println(uploader.getUploadURL());
      }
    };
    executor.setDelays(new int[] {100, 200, 400, 800});
    if (!executor.makeAttempts()) throw new IOException("the upload failed");
  }
}
