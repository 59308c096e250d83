// The conformance scenario in TypeScript, with clients that buf generated from the public
// archive, over gRPC or gRPC-Web.
import { readFileSync, writeSync } from "node:fs";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Client, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../gen/ts/google/rpc/error_details_pb";
import { AuthService } from "../gen/ts/palestra/identity/v1/auth_service_pb";
import {
  StreamTelemetryRequestSchema,
  TelemetryService,
  type StreamTelemetryRequest,
  type StreamTelemetryResponse,
} from "../gen/ts/palestra/integration/v1/telemetry_service_pb";
import { ActivityService, WatchEndSchema } from "../gen/ts/palestra/training/v1/activity_service_pb";
import { Sport } from "../gen/ts/palestra/training/v1/sport_pb";

const CALL_MS = 10_000;
const WATCH_MS = 30_000;
const TOO_SHORT_MS = 300;

interface Inputs {
  target: string;
  email: string;
  password: string;
  newEmail: string;
  newPassword: string;
  missing: string;
  live: string;
  session: string;
}

type Line = Record<string, unknown>;

class Athlete {
  private readonly auth: Client<typeof AuthService>;
  private readonly activities: Client<typeof ActivityService>;
  private readonly telemetry: Client<typeof TelemetryService>;
  private user = "";
  private token = "";

  constructor(private readonly given: Inputs, transport: Transport) {
    this.auth = createClient(AuthService, transport);
    this.activities = createClient(ActivityService, transport);
    this.telemetry = createClient(TelemetryService, transport);
  }

  async register(): Promise<Line> {
    const { newEmail, newPassword: password } = this.given;
    const contact = { case: "email", value: newEmail } as const;
    const answer = await this.auth.register(
      { contact, password, displayName: "Polyglot" }, { timeoutMs: CALL_MS });
    return { user: answer.user, hasToken: answer.accessToken !== "" };
  }

  async wrongPassword(): Promise<Line> {
    const contact = { case: "email", value: this.given.email } as const;
    return refusal(() => this.auth.login({ contact, password: "not the password" }, { timeoutMs: CALL_MS }));
  }

  async login(): Promise<Line> {
    const { email, password } = this.given;
    const contact = { case: "email", value: email } as const;
    const answer = await this.auth.login({ contact, password }, { timeoutMs: CALL_MS });
    this.user = answer.user;
    this.token = answer.accessToken;
    return { user: this.user };
  }

  async list(): Promise<Line> {
    const told = { activities: [] as string[], pages: 0, sampleCounts: [] as number[] };
    let pageToken = "";
    do {
      const page = await this.activities.listActivities(
        { parent: this.user, pageSize: 1, filter: "sport = SPORT_RUNNING", pageToken },
        this.within(CALL_MS));
      told.pages += page.activities.length > 0 ? 1 : 0;
      for (const each of page.activities) {
        told.activities.push(each.name);
        told.sampleCounts.push(Number(each.sampleCount));
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return told;
  }

  async notFound(): Promise<Line> {
    return refusal(() => this.activities.getActivity({ name: this.given.missing }, this.within(CALL_MS)));
  }

  async deadline(): Promise<Line> {
    const begun = performance.now();
    const code = await codeOf(async () => {
      for await (const _ of this.watched(TOO_SHORT_MS)) { /* until it is cut off */ }
    });
    return { code, elapsedMs: Math.round(performance.now() - begun) };
  }

  async watch(): Promise<Line> {
    let heartRateBpm: number | undefined;
    let ended = "";
    let watching = false;
    const code = await codeOf(async () => {
      for await (const { event } of this.watched(WATCH_MS)) {
        if (!watching) {
          watching = true;
          tell("watching", {});
        }
        if (event.case === "update" && event.value.heartRateBpm !== heartRateBpm) {
          heartRateBpm = event.value.heartRateBpm;
          tell("heard", { heartRateBpm });
        } else if (event.case === "ended") {
          ended = WatchEndSchema.value[event.value.reason]?.name ?? "";
        }
      }
    });
    return { ended, code };
  }

  async record(): Promise<Line> {
    const sent = new Outbox();
    const answers = this.telemetry.streamTelemetry(sent, this.within(CALL_MS))[Symbol.asyncIterator]();
    const startTime = timestampNow();
    const channels = [{ name: "HEART_RATE", unit: "bpm", scale: 1 }];
    sent.put({ case: "open", value: {
      session: this.given.session, epoch: 1n,
      description: { sport: Sport.RUNNING, startTime, channels } } });
    const accepted = await heard(answers, "accepted");
    sent.put({ case: "batch", value: {
      seq: 1n, firstTimeMs: BigInt(Date.now()), timeDeltasMs: packed(0, 1000, 1000),
      columns: [{ channel: 0, values: packed(140, 141, 142) }] } });
    const ack = await heard(answers, "ack");
    sent.put({ case: "close", value: { lastSeq: 1n } });
    const closed = await heard(answers, "closed");
    sent.end();
    const code = await codeOf(async () => {
      while (!(await answers.next()).done) { /* to its end */ }
    });
    const { activity } = await this.activities.getActivity({ name: closed.activity }, this.within(CALL_MS));
    return {
      resumeFromSeq: Number(accepted.resumeFromSeq), acked: Number(ack.seq),
      closed: closed.activity, code, sampleCount: Number(activity?.sampleCount) };
  }

  private watched(limitMs: number) {
    return this.activities.watchActivity({ name: this.given.live }, this.within(limitMs));
  }

  private within(timeoutMs: number) {
    return { timeoutMs, headers: { authorization: `Bearer ${this.token}` } };
  }
}

type Sent = NonNullable<MessageInitShape<typeof StreamTelemetryRequestSchema>["message"]>;
type Heard = Extract<StreamTelemetryResponse["message"], { case: string }>;
type Kinds = { [H in Heard as H["case"]]: H["value"] };

// What is put goes out at once; the stream is half-closed when it ends.
class Outbox implements AsyncIterable<StreamTelemetryRequest> {
  private readonly waiting: StreamTelemetryRequest[] = [];
  private ended = false;
  private wake: () => void = () => {};

  put(message: Sent): void {
    this.waiting.push(create(StreamTelemetryRequestSchema, { message }));
    this.wake();
  }

  end(): void {
    this.ended = true;
    this.wake();
  }

  async *[Symbol.asyncIterator]() {
    while (true) {
      const next = this.waiting.shift();
      if (next !== undefined) {
        yield next;
      } else if (this.ended) {
        return;
      } else {
        await new Promise<void>((resolve) => { this.wake = resolve; });
      }
    }
  }
}

// Lets pass what is not of the kind that it waits for.
async function heard<K extends keyof Kinds>(
  answers: AsyncIterator<StreamTelemetryResponse>, kind: K,
): Promise<Kinds[K]> {
  for (;;) {
    const { value, done } = await answers.next();
    if (done) {
      throw new Error(`the stream ended before ${kind}`);
    }
    if (value.message.case === kind) {
      return value.message.value as Kinds[K];
    }
  }
}

// Little-endian int32.
function packed(...values: number[]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, at) => view.setInt32(4 * at, value, true));
  return new Uint8Array(view.buffer);
}

async function refusal(call: () => Promise<unknown>): Promise<Line> {
  try {
    await call();
  } catch (error) {
    const infos = ConnectError.from(error).findDetails(ErrorInfoSchema);
    return { code: nameOf(error), reason: infos[0]?.reason, domain: infos[0]?.domain };
  }
  return { code: "OK" };
}

async function codeOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
  } catch (error) {
    return nameOf(error);
  }
  return "OK";
}

// `NotFound` as gRPC spells it.
function nameOf(error: unknown): string {
  return Code[ConnectError.from(error).code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

function tell(step: string, told: Line): void {
  writeSync(1, `${JSON.stringify({ step, ...told })}\n`);
}

async function main(): Promise<void> {
  const given = JSON.parse(readFileSync(0, "utf8")) as Inputs;
  const baseUrl = `http://${given.target}`;
  const web = process.argv[2] === "grpc-web";
  const transport = web
    ? createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })
    : createGrpcTransport({ baseUrl });
  const who = new Athlete(given, transport);
  tell("register", await who.register());
  tell("wrong password", await who.wrongPassword());
  tell("login", await who.login());
  tell("list", await who.list());
  tell("not found", await who.notFound());
  tell("deadline", await who.deadline());
  tell("watch", await who.watch());
  if (!web) {
    tell("telemetry", await who.record());
  }
}

// Its connection would keep the process for a while.
main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
