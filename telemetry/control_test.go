package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// drawer draws control messages: every field of every struct, so that a new field is tested without a line here.
var drawer = rapid.MakeConfig{Types: map[reflect.Type]*rapid.Generator[any]{
	reflect.TypeFor[string]():          rapid.StringN(1, 8, -1).AsAny(),
	reflect.TypeFor[json.RawMessage](): rapid.SampledFrom([]json.RawMessage{json.RawMessage(`{}`), json.RawMessage(`{"b":1,"a":[true,null,"x"]}`)}).AsAny(),
	reflect.TypeFor[Raw]():             rapid.SampledFrom([]Raw{nil, {0x80}, {0x81, 0xa1, 'a', 0x92, 0x01, 0xc0}}).AsAny(),
	reflect.TypeFor[Chunk]():           rapid.SampledFrom([]Chunk{nil, Chunk("{"), Chunk("é")}).AsAny(),
	reflect.TypeFor[Facts]():           rapid.Map(rapid.MapOfN(rapid.String(), drawAny(2), 0, 4), func(m map[string]any) Facts { return m }).AsAny(),
	reflect.TypeFor[map[string]any]():  rapid.MapOfN(rapid.String(), drawAny(1), 0, 4).AsAny(),
	reflect.TypeFor[float64]():         rapid.Float64Range(-1e300, 1e300).AsAny(),
}}

// drawAny draws a value as it comes back from a message.
func drawAny(depth int) *rapid.Generator[any] {
	one := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Uint64Min(1 << 63).AsAny(), rapid.String().AsAny(),
		rapid.Map(rapid.Int32(), func(n int32) any { return float64(n) + 0.5 }),
	}
	if depth > 0 {
		one = append(one, rapid.SliceOfN(drawAny(depth-1), 0, 3).AsAny(), rapid.MapOfN(rapid.String(), drawAny(depth-1), 0, 3).AsAny())
	}
	return rapid.OneOf(one...)
}

func TestControlRoundTrip(t *testing.T) {
	roundTrip(t, DecodeHeartbeat, func(h *Heartbeat) {
		h.Version, h.Seq, h.IntervalMS = 1, h.Seq|1, 1+h.IntervalMS&0xffff
		h.State = []string{"", "starting", "running", "idle", "draining", "failed"}[h.Seq%6]
	})
	roundTrip(t, DecodeAck, func(a *Ack) {
		a.Version, a.State, a.NextMS = 1, Accepted, a.NextMS&0xffff
		if w := a.Work; w != nil {
			w.EveryMS, w.TimeoutMS, w.MaxAckPending, w.Parallel = w.EveryMS&0xffff, 0, 256, 2
			w.Order, w.Overflow, w.QueueBytes, w.MaxRate, w.MaxSeries = OrderSource, OverflowDropOldest, w.QueueBytes&0xffff, w.MaxRate&0xffff, w.MaxSeries&0xffff
		}
	})
	roundTrip(t, DecodePluginData, func(p *PluginData) {
		p.Version, p.Parts, p.Part = 1, 0, 0
		if p.Data == nil {
			p.Data = Facts{}
		}
	})
	roundTrip(t, DecodeManifest, func(*Manifest) {})
	roundTrip(t, DecodeStats, func(*Stats) {})
	roundTrip(t, DecodeRefreshManifest, func(*RefreshManifest) {})
	roundTrip(t, DecodeCtlRequest, func(r *CtlRequest) { r.Mode, r.MaxAgeMS = ModeCached, r.MaxAgeMS&0xffff })
	roundTrip(t, DecodeCtlReply, func(*CtlReply) {})
	roundTrip(t, DecodeLogRecord, func(*LogRecord) {})
}

func roundTrip[T any](t *testing.T, decode func([]byte) (T, Encoding, error), valid func(*T)) {
	t.Helper()
	messages := rapid.MakeCustom[T](drawer)
	rapid.Check(t, func(t *rapid.T) {
		m := messages.Draw(t, "message")
		valid(&m)
		for _, enc := range []Encoding{MsgPack, JSON} {
			b, err := EncodeControl(m, enc)
			if errors.Is(err, ControlLimit) {
				t.Skip("larger than a message may be")
			}
			if err != nil {
				t.Fatalf("%v: %v", enc, err)
			}
			got, as, err := decode(b)
			if err != nil || as != enc || !reflect.DeepEqual(got, m) {
				t.Fatalf("%v: %v, %v\n got %+v\nwant %+v\n%q", enc, as, err, got, m, b)
			}
		}
	})
}

// FuzzDecodeControl holds that no decoder can be harmed, and that what one took can be sent on in either encoding.
func FuzzDecodeControl(f *testing.F) {
	kinds := []string{"heartbeat", "ack", "plugindata", "request", "reply", "log"}
	for i, kind := range kinds {
		for _, m := range goldenMessages() {
			if m.kind == kind {
				f.Add(uint8(i), goldenFile(f, "valid/"+m.name+".msgpack", nil))
				f.Add(uint8(i), goldenFile(f, "valid/"+m.name+".json", nil))
			}
		}
		for _, g := range goldenRefusals() {
			if g.Kind == kind {
				f.Add(uint8(i), g.body(f))
			}
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, body []byte) {
		kind := kinds[int(i)%len(kinds)]
		v, _, err := decodeKind(kind, body)
		if err != nil {
			return
		}
		for _, enc := range []Encoding{MsgPack, JSON} {
			sent, err := EncodeControl(v, enc)
			if errors.Is(err, ControlLimit) || errors.Is(err, ControlDepth) {
				continue // JSON is longer, and a config in it deeper
			}
			if p, ok := v.(PluginData); ok && enc == JSON && !utf8.Valid(p.Chunk) && errors.Is(err, ControlType) {
				continue // part of data in msgpack
			}
			if err != nil {
				t.Fatalf("%s taken from %q, but not sent as %v: %v", kind, body, enc, err)
			}
			again, _, err := decodeKind(kind, sent)
			if err != nil {
				t.Fatalf("%s taken from %q, sent as %q, but refused then: %v", kind, body, sent, err)
			}
			if resent, err := EncodeControl(again, enc); err != nil || !bytes.Equal(resent, sent) {
				t.Fatalf("%s changes on its way: %q, then %q, %v", kind, sent, resent, err)
			}
		}
	})
}
