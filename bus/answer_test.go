package bus

import (
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestParseAnswer(t *testing.T) {
	f := func(body string, header nats.Header, want answer, ok bool) {
		t.Helper()
		got, is := parseAnswer(&nats.Msg{Data: []byte(body), Header: header})
		if is != ok || ok && got != want {
			t.Errorf("%s %v: %+v, %v; want %+v, %v", body, header, got, is, want, ok)
		}
	}
	f(`{"stream":"METRICS", "seq":12}`, nil, answer{stored: true, seq: 12}, true)
	f(`{"stream":"METRICS","seq":1}`, nil, answer{stored: true, seq: 1}, true)
	f(`{"stream":"METRICS","domain":"site","seq":9}`, nil, answer{stored: true, seq: 9}, true)
	f(`{"stream":"METRICS","seq":7,"duplicate":true}`, nil, answer{stored: true, duplicate: true, seq: 7}, true)
	f(`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"METRICS","seq":0}`, nil,
		answer{code: 503, errCode: 10077, text: "maximum bytes exceeded"}, true)
	f("", nats.Header{"Status": {"503"}, "Nats-Subject": {"pw.x"}}, answer{code: 503, text: "no responders"}, true)

	// What the bus can be made to send here by others is no answer.
	f("", nil, answer{}, false)
	f("x", nil, answer{}, false)
	f(`{}`, nil, answer{}, false)
	f(`{"stream":"METRICS","seq":0}`, nil, answer{}, false)
	f(`{"stream":"METRICS","seq":}`, nil, answer{}, false)
	f(`{"seq":5}`, nil, answer{}, false)
	f(`{"type":"io.nats.jetstream.api.v1.stream_info_response","stream":"METRICS","seq":5}`, nil, answer{}, false)
	f(`{"stream":"METRICS","seq":5}`, nats.Header{"Nats-Stream": {"EVENTS"}}, answer{}, false)
	f("+ACK", nil, answer{}, false)
}

func TestPlainAckAllocatesNothing(t *testing.T) {
	msg := &nats.Msg{Data: []byte(`{"stream":"METRICS", "seq":123456}`)}
	if n := testing.AllocsPerRun(100, func() {
		if a, ok := parseAnswer(msg); !ok || !a.stored {
			t.Error("not recognised")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The short way never takes what the long way would read otherwise.
func FuzzPlainAck(f *testing.F) {
	f.Add([]byte(`{"stream":"METRICS", "seq":12}`))
	f.Add([]byte(`{"stream":"M","seq":1,"duplicate":true}`))
	f.Add([]byte(`{"error":{"code":503},"stream":"M","seq":0}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var long struct {
			Stream    string
			Seq       uint64
			Duplicate bool
			Error     any
		}
		seq, ok := plainAck(data)
		if !ok || json.Unmarshal(data, &long) != nil {
			return
		}
		if seq != long.Seq {
			t.Errorf("%s: place %d, want %d", data, seq, long.Seq)
		}
		if long.Error != nil || long.Duplicate {
			t.Errorf("%s was taken for a plain ack", data)
		}
	})
}

func TestRefused(t *testing.T) {
	f := func(a answer, final error, state PublisherState, wait time.Duration) {
		t.Helper()
		p := &Publisher{wake: make(chan struct{}, 1), state: StateOK, log: slog.New(slog.DiscardHandler)}
		s, now := &slot{}, time.Now()
		err := p.refused(s, a, now)
		if !errors.Is(err, final) || (err == nil) != (final == nil) || p.state != state {
			t.Errorf("%+v: %v, state %s; want %v, %s", a, err, p.state, final, state)
		}
		if d := s.due.Sub(now); final == nil && (d > wait || d < wait/2) {
			t.Errorf("%+v: again in %v; want %v less jitter", a, d, wait)
		}
		for range 40 {
			_ = p.refused(s, a, now)
		}
		if d := s.due.Sub(now); final == nil && (d < wait || d > 30*time.Second) {
			t.Errorf("%+v: at last again in %v", a, d)
		}
	}
	f(answer{code: 429, errCode: 10167}, nil, StateOK, 50*time.Millisecond)
	f(answer{code: 400, errCode: 10002}, nil, StateStorageFull, time.Second)
	f(answer{code: 503, errCode: 10023}, nil, StateStorageFull, time.Second)
	f(answer{code: 503, errCode: 10077}, nil, StateStorageFull, time.Second)
	f(answer{code: 500, errCode: 10051}, nil, StateStorageFull, time.Second)
	f(answer{code: 400, errCode: 10054}, ErrTooLarge, StateOK, 0)
	f(answer{code: 400, errCode: 10052}, ErrRefused, StateOK, 0)
}
