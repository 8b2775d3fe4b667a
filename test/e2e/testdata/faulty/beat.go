package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

func (p *plugin) manifest() telemetry.Manifest {
	m := telemetry.Manifest{
		Kind: p.kind, Program: "faulty", Version: "1.0.0", API: 1, Live: true,
		Schema: json.RawMessage(`{"type":"object","properties":{"step":{"type":"number"}},"additionalProperties":false}`),
	}
	if p.kind == "collector" {
		m.Catalog = []telemetry.Desc{{Series: "fan", Tags: map[string]string{"slot": "where it is", "conform": "of the kit"}, Fields: map[string]string{"rpm": "1/min"}}}
	}
	return m
}

var facts = telemetry.Facts{"rpm_max": 3000}

// item is the one entry of the inventory.
func (p *plugin) item() telemetry.InventoryItem {
	data, _ := facts.Encode(telemetry.JSON)
	return telemetry.InventoryItem{Plugin: p.name, Type: telemetry.DataInfo, Version: "1.0.0", Digest: telemetry.DigestOf(data)}
}

// beatLoop beats until ctx ends.
func (p *plugin) beatLoop(ctx context.Context) {
	for ctx.Err() == nil {
		if !p.has("greets_once") || p.seq == 0 || p.interval < 10*time.Second {
			p.beat("")
		}
		p.mu.Lock()
		wait := p.interval
		if !p.greeted {
			wait = min(wait, time.Second)
		}
		p.mu.Unlock()
		if p.has("beats_late") {
			wait *= 4
		}
		select {
		case <-ctx.Done():
		case <-p.beatIt:
		case <-time.After(wait):
		}
	}
}

// beatSoon makes a heartbeat due.
func (p *plugin) beatSoon() {
	select {
	case p.beatIt <- struct{}{}:
	default:
	}
}

// beat sends a heartbeat, and obeys the answer.
func (p *plugin) beat(bye string) {
	h := p.heartbeat(bye)
	body, err := telemetry.EncodeControl(h, telemetry.JSON)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faulty:", err)
		return
	}
	reply, err := p.conn.Request(bus.Pattern(bus.AreaBeat, bus.Name(p.host), bus.Name(p.name), bus.HTB), body, time.Second)
	if err != nil {
		return
	}
	ack, _, err := telemetry.DecodeAck(reply.Data)
	if err == nil && ack.Seq == h.Seq {
		p.obey(ack, h.Hello)
	}
}

func (p *plugin) heartbeat(bye string) telemetry.Heartbeat {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seq++
	if p.has("skips_numbers") && p.seq%5 == 0 {
		p.seq++
	}
	h := telemetry.Heartbeat{
		Version: 1, Host: p.host, Plugin: p.name, Inst: p.inst, Seq: p.seq, IntervalMS: p.interval.Milliseconds(), T1: time.Now().UnixNano(),
		UpMS: time.Since(p.began).Milliseconds(), Digest: telemetry.InventoryDigest([]telemetry.InventoryItem{p.item()}), Items: 1,
		Bye: bye, ConfigRev: p.rev, State: p.state,
	}
	if !p.greeted {
		m := p.manifest()
		h.Hello, h.Manifest, h.Inventory = true, &m, []telemetry.InventoryItem{p.item()}
	}
	if !p.declined.IsZero() {
		h.Error = &telemetry.Fault{Code: "config_invalid", Message: "no such settings", AgeMS: time.Since(p.declined).Milliseconds()}
	}
	p.spoil(&h)
	return h
}

// spoil puts the fault into a heartbeat, if it is one of heartbeats.
func (p *plugin) spoil(h *telemetry.Heartbeat) {
	switch p.fault {
	case "no_manifest":
		h.Manifest = nil
	case "wrong_digest":
		h.Digest[0]++
	case "wrong_clock":
		h.T1 /= 1000
	case "large_beats":
		h.Name = strings.Repeat("a long name ", 100)
	}
}

// obey takes an ACK. Who was asked to greet while a beat was under way has to do it yet.
func (p *plugin) obey(ack telemetry.Ack, hello bool) {
	if ack.State == telemetry.Refused {
		switch {
		case p.has("defiant"):
			return
		case p.has("ends_well_refused"):
			os.Exit(0)
		}
		os.Exit(78)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.greeted = p.greeted || hello
	if ack.NextMS > 0 {
		p.interval = time.Duration(ack.NextMS) * time.Millisecond
	}
	if ack.Work == nil || ack.ConfigRev == p.rev || p.has("never_begins") {
		return
	}
	p.beatSoon()
	if !p.allows(ack.Work.Config) {
		if p.has("crashes_on_settings") {
			os.Exit(2)
		}
		p.declined = time.Now()
		return
	}
	p.rev, p.state = ack.ConfigRev, "running"
	if !p.has("keeps_old_tags") {
		p.tags = ack.Work.Tags
	}
	p.inputs = ack.Work.Inputs
}

// allows reports whether settings are what the schema says.
func (p *plugin) allows(config json.RawMessage) bool {
	var c map[string]any
	if json.Unmarshal(config, &c) != nil || c == nil {
		return false
	}
	step, has := c["step"]
	_, number := step.(float64)
	return p.has("takes_all") || len(c) == 0 || len(c) == 1 && has && number
}
