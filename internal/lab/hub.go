package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// AskHub sends a verb to whichever hub has the voice.
func AskHub(ctx context.Context, conn *bus.Conn, verb string, r telemetry.CtlRequest) (telemetry.CtlReply, error) {
	r.ID = "lab"
	body, err := telemetry.EncodeControl(r, telemetry.MsgPack)
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answer, err := conn.Request(ctx, bus.HubSubject(verb), body)
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	reply, _, err := telemetry.DecodeCtlReply(answer)
	if err == nil && !reply.OK {
		err = fmt.Errorf("hub: %s: %s", reply.Error.Code, reply.Error.Message)
	}
	return reply, err
}

// HubStatus asks for it.
func HubStatus(ctx context.Context, conn *bus.Conn) (telemetry.HubStatus, error) {
	reply, err := AskHub(ctx, conn, "status", telemetry.CtlRequest{})
	if err != nil {
		return telemetry.HubStatus{}, err
	}
	s, _, err := telemetry.DecodeHubStatus(reply.Payload)
	return s, err
}
