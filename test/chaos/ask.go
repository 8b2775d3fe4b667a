package main

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// details are what plugin info tells of a plugin.
type details struct {
	State, Reason string
	PID           int
	Stats         telemetry.Stats
}

// info asks the agent for a plugin.
func (t *trial) info(name string) (d details) {
	out, err := t.place.Verb(t.ctx, "plugin", "info", name, "-o", "json")
	if err == nil {
		err = json.Unmarshal(out, &d)
	}
	if err != nil {
		t.errorf("plugin info %s: %v", name, err)
	}
	return d
}

// events are the messages of the events of a type that a plugin has raised.
func (t *trial) events(kind, plugin string) (messages []string) {
	out, err := t.place.Verb(t.ctx, "events", "--type", kind, "--plugin", plugin, "-o", "json")
	t.must(err, "ask for events")
	for line := range strings.Lines(string(out)) {
		var e struct{ Message string }
		t.must(json.Unmarshal([]byte(line), &e), "read an event")
		messages = append(messages, e.Message)
	}
	return messages
}

// add gives the agent a piece of config more, and does not wait for what it starts.
func (t *trial) add(name, yaml string) error {
	path, err := t.place.Write(name+".yaml", yaml)
	t.must(err, "write a piece of config")
	_, err = t.place.Verb(t.ctx, "plugin", "load", path, "--timeout", "15s")
	return err
}

// bury tells the oracle of the dead letters that a plugin has made since the one of a number, and returns them.
func (t *trial) bury(plugin string, after uint64) (letters []bus.Letter) {
	ctx, cancel := context.WithTimeout(t.ctx, time.Minute)
	defer cancel()
	conn, _, err := t.place.Connect(ctx)
	t.must(err, "connect to the bus")
	defer conn.Close()
	err = conn.Letters(ctx, plugin, after+1, func(l bus.Letter) error {
		letters = append(letters, l)
		var b telemetry.Batch
		if b.Decode(l.ContentType, l.ContentEncoding, l.Body, l.Stored) == nil { // else bytes that are no batch
			t.oracle.Buried(b.AppendLines(nil))
		}
		return nil
	})
	t.must(cmp.Or(err, ctx.Err()), "read the dead letters") // what is read until ctx ends ends without an error
	return letters
}

// reasons counts dead letters by their code.
func reasons(letters []bus.Letter) map[string]int {
	count := map[string]int{}
	for _, l := range letters {
		count[l.Reason]++
	}
	return count
}
