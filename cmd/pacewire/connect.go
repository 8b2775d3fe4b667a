package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// operator is the identity of somebody at a terminal.
const operator = "operator"

// askTime is how long a verb waits for an answer.
const askTime = 5 * time.Second

// connect dials the bus that the flags name, or that of the local agent, and returns the name of the local host.
func (a *app) connect(ctx context.Context) (*bus.Conn, string, error) {
	o := bus.Options{URL: a.flags.bus, CredsFile: a.flags.creds, TLS: bus.TLSFrom(os.Getenv), User: operator, Name: "pacewire " + operator, Wait: askTime}
	host := ""
	if n, err := readNote(); err == nil {
		host = n.Host
		if o.URL == "" {
			o.URL, o.CredsFile, o.TLS = n.URL, n.Creds, n.TLS
		}
	} else if o.URL == "" {
		return nil, "", err
	}
	if host == "" {
		name, err := hostName(nil)
		if err != nil {
			return nil, "", err
		}
		host = name
	}
	conn, err := bus.Dial(ctx, o)
	if err != nil {
		return nil, "", exitWith(exitNoBus, err)
	}
	return conn, host, nil
}

// ask sends a request to the agent of a host and returns the plugins it answers with.
func ask(ctx context.Context, conn *bus.Conn, host, verb string, args map[string]any) ([]telemetry.PluginStatus, error) {
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	body, err := telemetry.EncodeControl(telemetry.CtlRequest{ID: hex.EncodeToString(id), Args: args}, telemetry.MsgPack)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := conn.Request(ctx, bus.CtlSubject(host, bus.Agent, verb), body)
	if err != nil {
		return nil, fmt.Errorf("ask the agent of %s: %w", host, err)
	}
	reply, _, err := telemetry.DecodeCtlReply(answer)
	if err != nil {
		return nil, err
	}
	if reply.Error != nil {
		return nil, fmt.Errorf("%s", reply.Error.Message)
	}
	list, _, err := telemetry.DecodePluginList(reply.Payload)
	return list.Plugins, err
}
