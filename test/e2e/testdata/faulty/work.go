package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// work collects or reads, once there are settings.
func (p *plugin) work(ctx context.Context) {
	for ctx.Err() == nil {
		p.mu.Lock()
		begun, inputs := p.state == "running", p.inputs
		p.mu.Unlock()
		switch {
		case !begun:
			pause(ctx, 20*time.Millisecond)
		case p.kind == "collector":
			p.collect(ctx)
		case len(inputs) > 0:
			p.read(ctx, inputs[0])
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// collect sends a point each half second.
func (p *plugin) collect(ctx context.Context) {
	random := strings.ToLower(rand.Text())[:16]
	if p.has("same_ids_again") {
		random = "0123456789abcdef"
	}
	stem := bus.Token(p.host) + "/" + bus.Token(p.name) + "/" + random + "/"
	for n := 1; ctx.Err() == nil; n++ {
		m := nats.NewMsg(bus.MetricsSubject(p.host, p.name))
		m.Header.Set("Content-Type", string(telemetry.ContentJSON))
		m.Header.Set("Nats-Msg-Id", stem+strconv.Itoa(n))
		m.Data = p.point(n)
		switch {
		case p.has("no_ids"):
			m.Header.Del("Nats-Msg-Id")
		case p.has("short_ids"):
			m.Header.Set("Nats-Msg-Id", "n"+strconv.Itoa(n))
		case p.has("oversteps") && n == 1:
			_ = p.conn.Publish(bus.MetricsSubject("another", p.name), m.Data)
		}
		switch stored := p.store(ctx, m, nil); {
		case !stored && p.has("drops_when_full"):
			n-- // as if it had never been
		case stored && p.has("skips_batches") && n == 1:
			n++
		}
		pause(ctx, 500*time.Millisecond)
	}
}

// point is the batch of number n.
func (p *plugin) point(n int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	tags := map[string]string{"slot": "a"}
	for key, value := range p.tags {
		tags[key] = value
	}
	fields := map[string]any{"rpm": 900 + float64(n)/8}
	point := map[string]any{"series": "fan", "time": time.Now().UnixNano(), "tags": tags, "fields": fields}
	switch {
	case p.has("unknown_series"):
		point["series"] = "pump"
	case p.has("unknown_tag"):
		tags["colour"] = "red"
	case p.has("wrong_type"):
		fields["rpm"] = "fast"
	case p.has("no_batches") && n == 2:
		return []byte(`{"series":`)
	case p.has("other_host"):
		tags["host"] = "another"
	}
	body, _ := json.Marshal(point)
	return body
}

// store publishes a message until the stream has it, and says keep meanwhile.
func (p *plugin) store(ctx context.Context, m *nats.Msg, keep func()) bool {
	for ctx.Err() == nil {
		if keep != nil {
			keep()
		}
		if reply, err := p.conn.RequestMsg(m, 3*time.Second); err == nil && !bytes.Contains(reply.Data, []byte(`"error"`)) {
			return true
		}
		if p.has("drops_when_full") {
			return false
		}
		if p.has("fails_when_full") {
			p.mu.Lock()
			p.state = "failed"
			p.mu.Unlock()
		}
		pause(ctx, 250*time.Millisecond)
	}
	return false
}

// read takes one message after the other, until ctx ends.
func (p *plugin) read(ctx context.Context, in telemetry.Input) {
	sub, err := p.conn.SubscribeSync(p.conn.NewRespInbox())
	if err != nil {
		pause(ctx, time.Second)
		return
	}
	defer func() { _ = sub.Unsubscribe() }()
	question := `{"batch":1,"max_bytes":1200000,"expires":2000000000}`
	if p.conn.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+in.Stream+"."+bus.Token(in.Durable), sub.Subject, []byte(question)) != nil {
		pause(ctx, 250*time.Millisecond)
		return
	}
	ctx2, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	m, err := sub.NextMsgWithContext(ctx2)
	if err != nil || m.Header.Get("Status") != "" {
		return
	}
	p.take(ctx, m)
}

// take works on a message of an input.
func (p *plugin) take(ctx context.Context, m *nats.Msg) {
	keep := func() { _ = p.conn.Publish(m.Reply, []byte("+WPI")) }
	var b telemetry.Batch
	out := nats.NewMsg("")
	out.Data = m.Data
	out.Header.Set("Content-Type", m.Header.Get("Content-Type"))
	id := m.Header.Get("Nats-Msg-Id")
	err := b.Decode(m.Header.Get("Content-Type"), "", m.Data, time.Now())
	if err == nil && p.has("refuses_strangers") {
		err = stranger(&b)
	}
	if err != nil {
		p.setAside(out, m, err)
	} else if p.kind == "processor" {
		out.Subject = "pw.metrics." + strings.Split(m.Subject, ".")[2] + "." + bus.Token(p.name)
		out.Header.Set("Nats-Msg-Id", p.derived(id))
	}
	if p.has("acks_first") {
		_, _ = p.conn.Request(m.Reply, []byte("+ACK"), time.Second)
	}
	if out.Subject != "" && !p.store(ctx, out, keep) {
		return
	}
	if !p.has("never_acks") {
		_, _ = p.conn.Request(m.Reply, []byte("+ACK"), time.Second)
	}
}

// stranger returns why a batch is refused that has other series than those of the kit.
func stranger(b *telemetry.Batch) error {
	for g := range b.Groups() {
		if g.Series != "conform" && g.Series != "load" {
			return &telemetry.DecodeError{Code: telemetry.CodeName, Where: g.Series}
		}
	}
	return nil
}

// derived is the id of what is made of a batch.
func (p *plugin) derived(id string) string {
	switch p.fault {
	case "random_ids":
		return rand.Text()
	case "other_ids_again":
		return bus.DerivedID(id, p.name, 1) + "." + p.inst
	}
	return bus.DerivedID(id, p.name, 1)
}

// setAside makes a dead letter of a batch that cannot be read.
func (p *plugin) setAside(out, m *nats.Msg, err error) {
	if p.has("drops_unreadable") {
		return
	}
	reason := "unreadable"
	var refused *telemetry.DecodeError
	if errors.As(err, &refused) && !p.has("own_words") {
		reason = refused.Code.String()
	}
	meta, _ := m.Metadata()
	out.Subject = bus.DeadSubject(p.name)
	for key, value := range map[string]string{
		"Nats-Msg-Id": fmt.Sprintf("dead/%s/%d/%s", meta.Consumer, meta.Sequence.Stream, rand.Text()), "Pw-Reason": reason, "Pw-Error": err.Error(),
		"Pw-Subject": m.Subject, "Pw-Stored": meta.Timestamp.UTC().Format(time.RFC3339Nano), "Pw-Source-Id": m.Header.Get("Nats-Msg-Id"),
	} {
		out.Header.Set(key, value)
	}
}
