package conform

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// source is what the batches that readers get come from.
const source = "source"

// reads reports whether the plugin has inputs.
func (k *kit) reads() bool { return k.kind() == "processor" || k.kind() == "publisher" }

// sourceOf is what feeds the plugin: others must not read it.
func (w *ward) sourceOf() string { return source + "-" + w.name }

// connectInput makes the consumer that the plugin reads, if it reads.
func (s *stage) connectInput() error {
	if !s.kit.reads() {
		return nil
	}
	in := bus.Input{Stream: bus.StreamMetrics, Durable: s.name, Filters: []string{bus.MetricsFilter(s.sourceOf())}, Start: "all"}
	s.in = []bus.Input{in}
	return s.g.conn.EnsureConsumer(s.ctx, in)
}

// feed stores n batches for the plugin, and returns their ids; nothing for who does not read.
func (s *stage) feed(n int) ([]string, error) {
	if !s.kit.reads() {
		return nil, nil
	}
	var ids []string
	for range n {
		s.fed++
		body, err := s.kit.sample(s.fed)
		if err != nil {
			return ids, err
		}
		id := fmt.Sprintf("%s/%s/conform/%d", bus.Token(hostName), bus.Token(s.sourceOf()), s.fed)
		if err := s.store(id, telemetry.ContentMsgPack, body); err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// store stores one message for the plugin.
func (s *stage) store(id string, content telemetry.Content, body []byte) error {
	m := bus.Message{Subject: bus.MetricsSubject(hostName, s.sourceOf()), ID: id, ContentType: string(content), Body: body}
	if err := s.g.out.Publish(s.ctx, m); err != nil {
		return skipped("an input cannot be stored: %v", err)
	}
	return nil
}

// sample is the n-th batch: the points that were given, or made ones, at times and with values of its own.
func (k *kit) sample(n int) ([]byte, error) {
	var b telemetry.Batch
	if len(k.o.Input) > 0 {
		if err := b.Decode("", "", k.o.Input, time.Now()); err != nil {
			return nil, fmt.Errorf("points for the plugin: %w", err)
		}
		return shifted(&b, time.Duration(n)*time.Millisecond), nil
	}
	b.At(time.Now().Truncate(time.Microsecond))
	for i := range 20 {
		tags := telemetry.Tags{"device": fmt.Sprint("d", i), "rack": "r1"}
		b.Add("conform", telemetry.Fields{"value": float64(n) + float64(i)/100, "count": int64(1000*n + i), "up": i%2 == 0, "state": "ok"}, tags)
		b.Add("load", telemetry.Fields{"load1": float64(n) / 10, "load5": 0.5, "load15": 0.25}, telemetry.Tags{"cpu": fmt.Sprint(i)})
	}
	return b.AppendMsgPack(nil), nil
}

// shifted encodes the points of b, each later by d.
func shifted(b *telemetry.Batch, d time.Duration) []byte {
	var out telemetry.Batch
	for p := range b.Points() {
		p.Time = p.Time.Add(d)
		out.Append(p)
	}
	return out.AppendMsgPack(nil)
}

const inputWait = 30 * time.Second

// done waits until all inputs are settled, as long as it gets on within inputWait.
func (s *stage) done() error {
	last, err := s.lastInput()
	if err != nil {
		return err
	}
	var state bus.ConsumerState
	settled := func() bool { return state.Delivered >= last && state.AckPending == 0 } // Pending may lag behind what is stored
	progress := func() int64 { return int64(state.Delivered) - int64(state.AckPending) }
	for before := int64(math.MinInt64); ; before = progress() {
		err := s.until(s.ctx, inputWait, "all inputs are acknowledged", func() bool {
			now, err := s.g.conn.ConsumerInfo(s.ctx, bus.StreamMetrics, s.in[0].Durable)
			if err == nil {
				state = now
			}
			return err == nil && (settled() || progress() > before)
		})
		switch {
		case err == nil && settled():
			return s.g.catchUp(s.ctx)
		case err == nil:
		case s.proc.ended(), s.ctx.Err() != nil:
			return err
		default:
			return s.unsettled(state)
		}
	}
}

// lastInput returns the place in the stream of what was stored last for the plugin.
func (s *stage) lastInput() (uint64, error) {
	if err := s.g.catchUp(s.ctx); err != nil {
		return 0, err
	}
	if all := s.inputs(); len(all) > 0 {
		return all[len(all)-1].Seq, nil
	}
	return 0, nil
}

// inputs returns all that was stored for the plugin.
func (s *stage) inputs() []bus.Tapped { return s.g.stored(bus.MetricsSubject(hostName, s.sourceOf())) }

// unsettled says what was awaited in vain.
func (s *stage) unsettled(state bus.ConsumerState) error {
	text := fmt.Sprintf("for %v no batch was acknowledged, %d are in its hands, and %d not read", inputWait, state.AckPending, state.Pending)
	if b, ok := s.last(); ok && b.Error != nil {
		text += fmt.Sprintf("; it says %s: %s", b.Error.Code, b.Error.Message)
	}
	return broken(s.lastBody(), "%s: one that keeps points for a window needs a short one, by --config", text)
}

// derives looks at the ids of what a processor has made.
func (s *stage) derives(fed []string) error {
	sent := s.own()
	if len(sent) == 0 {
		return skipped("it sends nothing for the points it is given: give it others by --input")
	}
	derived := 0
	for _, t := range sent {
		if err := s.sound(t); err != nil {
			return err
		}
		switch from := origin(t.ID, s.name); {
		case slices.Contains(fed, from):
			derived++
		case from != "":
			return broken(t.Body, "the id %q is derived from none of its inputs, such as %s", t.ID, fed[0])
		case !strings.HasPrefix(t.ID, ownIDs(s.name)):
			return broken(t.Body, "the id is %q: want %s, or one that begins with %s from who keeps points between batches",
				t.ID, bus.DerivedID(fed[0], s.name, 1), ownIDs(s.name))
		}
	}
	if derived == 0 {
		return noted("its ids are its own: it keeps points between batches")
	}
	return nil
}

// origin returns the id of the input from which an id is derived, "" if it is none such.
func origin(id, plugin string) string {
	i := strings.LastIndex(id, "+"+bus.Token(plugin))
	if i < 0 {
		return ""
	}
	rest := id[i+1+len(bus.Token(plugin)):]
	if rest != "" && rest[0] != '.' {
		return ""
	}
	return id[:i]
}
