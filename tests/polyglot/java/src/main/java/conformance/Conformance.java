package conformance;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Timestamp;
import com.google.rpc.ErrorInfo;
import com.palestra.identity.v1.AuthServiceGrpc;
import com.palestra.identity.v1.LoginRequest;
import com.palestra.identity.v1.RegisterRequest;
import com.palestra.integration.v1.Close;
import com.palestra.integration.v1.Open;
import com.palestra.integration.v1.StreamTelemetryRequest;
import com.palestra.integration.v1.StreamTelemetryResponse;
import com.palestra.integration.v1.TelemetryServiceGrpc;
import com.palestra.training.v1.Activity;
import com.palestra.training.v1.ActivityServiceGrpc;
import com.palestra.training.v1.Batch;
import com.palestra.training.v1.ChannelDescription;
import com.palestra.training.v1.Column;
import com.palestra.training.v1.GetActivityRequest;
import com.palestra.training.v1.ListActivitiesRequest;
import com.palestra.training.v1.SessionDescription;
import com.palestra.training.v1.Sport;
import com.palestra.training.v1.WatchActivityRequest;
import com.palestra.training.v1.WatchActivityResponse;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.BlockingClientCall;
import io.grpc.stub.MetadataUtils;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/** The conformance scenario in Java, with clients that Maven generated from the public archive. */
public final class Conformance {
  private static final int CALL_MS = 10_000;
  private static final int WATCH_MS = 30_000;
  private static final int TOO_SHORT_MS = 300;
  private static final Gson GSON = new Gson();

  private final JsonObject given;
  private final AuthServiceGrpc.AuthServiceBlockingStub auth;
  private final ActivityServiceGrpc.ActivityServiceBlockingStub activities;
  private final TelemetryServiceGrpc.TelemetryServiceBlockingV2Stub telemetry;
  private final Metadata bearer = new Metadata();
  private String user = "";

  private Conformance(JsonObject given, ManagedChannel channel) {
    this.given = given;
    this.auth = AuthServiceGrpc.newBlockingStub(channel);
    this.activities =
        ActivityServiceGrpc.newBlockingStub(channel)
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(bearer));
    this.telemetry =
        TelemetryServiceGrpc.newBlockingV2Stub(channel)
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(bearer));
  }

  public static void main(String[] arguments) throws Exception {
    var input = new InputStreamReader(System.in, StandardCharsets.UTF_8);
    JsonObject given = GSON.fromJson(input, JsonObject.class);
    ManagedChannel channel =
        NettyChannelBuilder.forTarget(given.get("target").getAsString()).usePlaintext().build();
    try {
      var who = new Conformance(given, channel);
      tell("register", who.register());
      tell("wrong password", who.wrongPassword());
      tell("login", who.login());
      tell("list", who.list());
      tell("not found", who.notFound());
      tell("deadline", who.deadline());
      tell("watch", who.watch());
      tell("telemetry", who.record());
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }

  private Map<String, Object> register() {
    var answer =
        within(CALL_MS, auth)
            .register(
                RegisterRequest.newBuilder()
                    .setEmail(text("newEmail"))
                    .setPassword(text("newPassword"))
                    .setDisplayName("Polyglot")
                    .build());
    return line("user", answer.getUser(), "hasToken", !answer.getAccessToken().isEmpty());
  }

  private Map<String, Object> wrongPassword() {
    var request =
        LoginRequest.newBuilder().setEmail(text("email")).setPassword("not the password").build();
    return refusal(() -> within(CALL_MS, auth).login(request));
  }

  private Map<String, Object> login() {
    var request =
        LoginRequest.newBuilder().setEmail(text("email")).setPassword(text("password")).build();
    var answer = within(CALL_MS, auth).login(request);
    user = answer.getUser();
    bearer.put(
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
        "Bearer " + answer.getAccessToken());
    return line("user", user);
  }

  private Map<String, Object> list() {
    var request =
        ListActivitiesRequest.newBuilder()
            .setParent(user)
            .setPageSize(1)
            .setFilter("sport = SPORT_RUNNING");
    List<String> names = new ArrayList<>();
    List<Long> counts = new ArrayList<>();
    int pages = 0;
    do {
      var page = within(CALL_MS, activities).listActivities(request.build());
      pages += page.getActivitiesCount() > 0 ? 1 : 0;
      for (Activity each : page.getActivitiesList()) {
        names.add(each.getName());
        counts.add(each.getSampleCount());
      }
      request.setPageToken(page.getNextPageToken());
    } while (!request.getPageToken().isEmpty());
    return line("activities", names, "pages", pages, "sampleCounts", counts);
  }

  private Map<String, Object> notFound() {
    var request = GetActivityRequest.newBuilder().setName(text("missing")).build();
    return refusal(() -> within(CALL_MS, activities).getActivity(request));
  }

  private Map<String, Object> deadline() {
    long begun = System.nanoTime();
    String code = codeOf(() -> watched(TOO_SHORT_MS).forEachRemaining(event -> {}));
    return line("code", code, "elapsedMs", (System.nanoTime() - begun) / 1_000_000);
  }

  private Map<String, Object> watch() {
    List<Double> heartRates = new ArrayList<>();
    List<String> ended = new ArrayList<>();
    boolean[] watching = {false};
    String code =
        codeOf(
            () ->
                watched(WATCH_MS)
                    .forEachRemaining(
                        event -> {
                          if (!watching[0]) {
                            watching[0] = true;
                            tell("watching", line());
                          }
                          if (event.hasUpdate() && event.getUpdate().hasHeartRateBpm()) {
                            hear(event.getUpdate().getHeartRateBpm(), heartRates);
                          }
                          if (event.hasEnded()) {
                            ended.add(event.getEnded().getReason().name());
                          }
                        }));
    return line("ended", String.join(", ", ended), "code", code);
  }

  private static void hear(double heartRate, List<Double> heard) {
    if (heard.isEmpty() || heard.get(heard.size() - 1) != heartRate) {
      heard.add(heartRate);
      tell("heard", line("heartRateBpm", heartRate));
    }
  }

  private Map<String, Object> record() throws Exception {
    var stream = within(CALL_MS, telemetry).streamTelemetry();
    stream.write(StreamTelemetryRequest.newBuilder().setOpen(opening()).build());
    var accepted = heard(stream, StreamTelemetryResponse::hasAccepted).getAccepted();
    stream.write(StreamTelemetryRequest.newBuilder().setBatch(batch()).build());
    var ack = heard(stream, StreamTelemetryResponse::hasAck).getAck();
    stream.write(
        StreamTelemetryRequest.newBuilder().setClose(Close.newBuilder().setLastSeq(1)).build());
    var closed = heard(stream, StreamTelemetryResponse::hasClosed).getClosed();
    stream.halfClose();
    String code = endOf(stream);
    var request = GetActivityRequest.newBuilder().setName(closed.getActivity()).build();
    var activity = within(CALL_MS, activities).getActivity(request).getActivity();
    var told = line("resumeFromSeq", accepted.getResumeFromSeq(), "acked", ack.getSeq());
    told.putAll(line("closed", closed.getActivity(), "code", code));
    told.put("sampleCount", activity.getSampleCount());
    return told;
  }

  private Open opening() {
    var now = Instant.now();
    var start = Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano());
    var channel =
        ChannelDescription.newBuilder().setName("HEART_RATE").setUnit("bpm").setScale(1);
    var description =
        SessionDescription.newBuilder()
            .setSport(Sport.SPORT_RUNNING)
            .setStartTime(start)
            .addChannels(channel);
    return Open.newBuilder()
        .setSession(text("session"))
        .setEpoch(1)
        .setDescription(description)
        .build();
  }

  private static Batch batch() {
    return Batch.newBuilder()
        .setSeq(1)
        .setFirstTimeMs(System.currentTimeMillis())
        .setTimeDeltasMs(packed(0, 1000, 1000))
        .addColumns(Column.newBuilder().setChannel(0).setValues(packed(140, 141, 142)))
        .build();
  }

  private static ByteString packed(int... values) {
    var made = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (int value : values) {
      made.putInt(value);
    }
    return ByteString.copyFrom(made.flip());
  }

  /** Lets pass what is not of the kind that it waits for. */
  private static StreamTelemetryResponse heard(
      BlockingClientCall<?, StreamTelemetryResponse> stream,
      Predicate<StreamTelemetryResponse> kind)
      throws Exception {
    while (true) {
      var answer = stream.read();
      if (answer == null) {
        throw new IllegalStateException("the stream ended too early");
      }
      if (kind.test(answer)) {
        return answer;
      }
    }
  }

  private static String endOf(BlockingClientCall<?, StreamTelemetryResponse> stream)
      throws InterruptedException {
    try {
      while (stream.read() != null) {}
      return "OK";
    } catch (StatusException error) {
      return error.getStatus().getCode().name();
    }
  }

  private Iterator<WatchActivityResponse> watched(int limitMs) {
    var request = WatchActivityRequest.newBuilder().setName(text("live")).build();
    return within(limitMs, activities).watchActivity(request);
  }

  private String text(String input) {
    return given.get(input).getAsString();
  }

  private static <S extends AbstractStub<S>> S within(int limitMs, S stub) {
    return stub.withDeadlineAfter(limitMs, TimeUnit.MILLISECONDS);
  }

  private static Map<String, Object> refusal(Runnable call) {
    try {
      call.run();
    } catch (StatusRuntimeException error) {
      var told = line("code", error.getStatus().getCode().name());
      var status = StatusProto.fromThrowable(error);
      for (Any detail : status == null ? List.<Any>of() : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          told.putAll(reasonOf(detail));
        }
      }
      return told;
    }
    return line("code", "OK");
  }

  private static Map<String, Object> reasonOf(Any detail) {
    try {
      var info = detail.unpack(ErrorInfo.class);
      return line("reason", info.getReason(), "domain", info.getDomain());
    } catch (InvalidProtocolBufferException error) {
      throw new IllegalStateException(error);
    }
  }

  private static String codeOf(Runnable call) {
    try {
      call.run();
      return "OK";
    } catch (StatusRuntimeException error) {
      return error.getStatus().getCode().name();
    }
  }

  private static Map<String, Object> line(Object... pairs) {
    Map<String, Object> made = new LinkedHashMap<>();
    for (int at = 0; at < pairs.length; at += 2) {
      made.put((String) pairs[at], pairs[at + 1]);
    }
    return made;
  }

  private static void tell(String step, Map<String, Object> told) {
    Map<String, Object> whole = line("step", step);
    whole.putAll(told);
    System.out.println(GSON.toJson(whole));
    System.out.flush();
  }
}
