// The conformance scenario in Go, with clients that buf generated from the public archive.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	identity "palestra/gen/go/palestra/identity/v1"
	integration "palestra/gen/go/palestra/integration/v1"
	training "palestra/gen/go/palestra/training/v1"
)

const (
	callLimit  = 10 * time.Second
	watchLimit = 30 * time.Second
	tooShort   = 300 * time.Millisecond
)

type inputs struct {
	Target, Email, Password, NewEmail, NewPassword, Missing, Live, Session string
}

type line map[string]any

type athlete struct {
	given      inputs
	auth       identity.AuthServiceClient
	activities training.ActivityServiceClient
	telemetry  integration.TelemetryServiceClient
	user       string
	token      string
}

func main() {
	var given inputs
	must(json.NewDecoder(os.Stdin).Decode(&given))
	connection, err := grpc.NewClient(
		given.Target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	defer connection.Close()
	who := &athlete{
		given:      given,
		auth:       identity.NewAuthServiceClient(connection),
		activities: training.NewActivityServiceClient(connection),
		telemetry:  integration.NewTelemetryServiceClient(connection),
	}
	tell("register", who.register())
	tell("wrong password", who.wrongPassword())
	tell("login", who.login())
	tell("list", who.list())
	tell("not found", who.notFound())
	tell("deadline", who.deadline())
	tell("watch", who.watch())
	tell("telemetry", who.record())
}

func (a *athlete) register() line {
	ctx, cancel := a.within(callLimit)
	defer cancel()
	answer, err := a.auth.Register(ctx, &identity.RegisterRequest{
		Contact:  &identity.RegisterRequest_Email{Email: a.given.NewEmail},
		Password: a.given.NewPassword, DisplayName: "Polyglot"})
	must(err)
	return line{"user": answer.GetUser(), "hasToken": answer.GetAccessToken() != ""}
}

func (a *athlete) wrongPassword() line {
	ctx, cancel := a.within(callLimit)
	defer cancel()
	_, err := a.auth.Login(ctx, &identity.LoginRequest{
		Contact: &identity.LoginRequest_Email{Email: a.given.Email}, Password: "not the password"})
	return refusal(err)
}

func (a *athlete) login() line {
	ctx, cancel := a.within(callLimit)
	defer cancel()
	answer, err := a.auth.Login(ctx, &identity.LoginRequest{
		Contact: &identity.LoginRequest_Email{Email: a.given.Email}, Password: a.given.Password})
	must(err)
	a.user, a.token = answer.GetUser(), answer.GetAccessToken()
	return line{"user": a.user}
}

func (a *athlete) list() line {
	names, counts, pages := []string{}, []int64{}, 0
	request := &training.ListActivitiesRequest{
		Parent: a.user, PageSize: 1, Filter: "sport = SPORT_RUNNING"}
	for {
		ctx, cancel := a.within(callLimit)
		page, err := a.activities.ListActivities(ctx, request)
		cancel()
		must(err)
		if len(page.GetActivities()) > 0 {
			pages++
		}
		for _, each := range page.GetActivities() {
			names = append(names, each.GetName())
			counts = append(counts, each.GetSampleCount())
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return line{"activities": names, "pages": pages, "sampleCounts": counts}
		}
	}
}

func (a *athlete) notFound() line {
	ctx, cancel := a.within(callLimit)
	defer cancel()
	_, err := a.activities.GetActivity(ctx, &training.GetActivityRequest{Name: a.given.Missing})
	return refusal(err)
}

func (a *athlete) deadline() line {
	begun := time.Now()
	ctx, cancel := a.within(tooShort)
	defer cancel()
	stream, err := a.activities.WatchActivity(
		ctx, &training.WatchActivityRequest{Name: a.given.Live})
	for err == nil {
		_, err = stream.Recv()
	}
	return line{"code": codeOf(err), "elapsedMs": time.Since(begun).Milliseconds()}
}

func (a *athlete) watch() line {
	ctx, cancel := a.within(watchLimit)
	defer cancel()
	stream, err := a.activities.WatchActivity(
		ctx, &training.WatchActivityRequest{Name: a.given.Live})
	must(err)
	heartRate, ended, watching := 0.0, "", false
	for {
		event, err := stream.Recv()
		if err != nil {
			return line{"ended": ended, "code": codeOf(err)}
		}
		if !watching {
			watching = true
			tell("watching", line{})
		}
		if update := event.GetUpdate(); update != nil && update.HeartRateBpm != nil {
			if update.GetHeartRateBpm() != heartRate {
				heartRate = update.GetHeartRateBpm()
				tell("heard", line{"heartRateBpm": heartRate})
			}
		}
		if event.GetEnded() != nil {
			ended = event.GetEnded().GetReason().String()
		}
	}
}

func (a *athlete) record() line {
	ctx, cancel := a.within(callLimit)
	defer cancel()
	stream, err := a.telemetry.StreamTelemetry(ctx)
	must(err)
	now := time.Now()
	must(stream.Send(&integration.StreamTelemetryRequest{
		Message: &integration.StreamTelemetryRequest_Open{Open: &integration.Open{
			Session: a.given.Session, Epoch: 1,
			Description: &training.SessionDescription{
				Sport:     training.Sport_SPORT_RUNNING,
				StartTime: timestamppb.New(now),
				Channels: []*training.ChannelDescription{
					{Name: "HEART_RATE", Unit: "bpm", Scale: 1}}}}}}))
	accepted := hear(stream, (*integration.StreamTelemetryResponse).GetAccepted)
	must(stream.Send(&integration.StreamTelemetryRequest{
		Message: &integration.StreamTelemetryRequest_Batch{Batch: &training.Batch{
			Seq: 1, FirstTimeMs: now.UnixMilli(), TimeDeltasMs: packed(0, 1000, 1000),
			Columns: []*training.Column{{Channel: 0, Values: packed(140, 141, 142)}}}}}))
	ack := hear(stream, (*integration.StreamTelemetryResponse).GetAck)
	must(stream.Send(&integration.StreamTelemetryRequest{
		Message: &integration.StreamTelemetryRequest_Close{Close: &integration.Close{LastSeq: 1}}}))
	closed := hear(stream, (*integration.StreamTelemetryResponse).GetClosed)
	must(stream.CloseSend())
	for err == nil {
		_, err = stream.Recv()
	}
	found, failed := a.activities.GetActivity(
		ctx, &training.GetActivityRequest{Name: closed.GetActivity()})
	must(failed)
	return line{
		"resumeFromSeq": accepted.GetResumeFromSeq(), "acked": ack.GetSeq(),
		"closed": closed.GetActivity(), "code": codeOf(err),
		"sampleCount": found.GetActivity().GetSampleCount()}
}

// hear lets pass what is not of the kind that it waits for.
func hear[T any](
	stream integration.TelemetryService_StreamTelemetryClient,
	kind func(*integration.StreamTelemetryResponse) *T,
) *T {
	for {
		answer, err := stream.Recv()
		must(err)
		if found := kind(answer); found != nil {
			return found
		}
	}
}

func packed(values ...int32) []byte {
	made, err := binary.Append(nil, binary.LittleEndian, values)
	must(err)
	return made
}

func (a *athlete) within(limit time.Duration) (context.Context, context.CancelFunc) {
	ctx := context.Background()
	if a.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+a.token)
	}
	return context.WithTimeout(ctx, limit)
}

func refusal(err error) line {
	told := line{"code": codeOf(err)}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			told["reason"], told["domain"] = info.GetReason(), info.GetDomain()
		}
	}
	return told
}

func codeOf(err error) string {
	if err == nil || errors.Is(err, io.EOF) {
		return "OK"
	}
	return code.Code(status.Code(err)).String()
}

func tell(step string, told line) {
	told["step"] = step
	must(json.NewEncoder(os.Stdout).Encode(told))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
