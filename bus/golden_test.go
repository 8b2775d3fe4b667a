package bus_test

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

const goldenStreams = "../schemas/testdata/stream/"

// goldenMessage is a message that other languages send and read.
type goldenMessage struct {
	name, kind string
	Subject    string
	Headers    map[string]string
	Body       string
	BodyHex    string `json:"body_hex"`
	Reads      struct {
		ID     string
		Stored time.Time
	}
}

func (m goldenMessage) body(t testing.TB) []byte {
	t.Helper()
	if m.BodyHex == "" {
		return []byte(m.Body)
	}
	body, err := hex.DecodeString(m.BodyHex)
	if err != nil {
		t.Fatalf("%s: %v", m.name, err)
	}
	return body
}

// goldenMessages returns those that a reader takes.
func goldenMessages(t testing.TB) (all []goldenMessage) {
	t.Helper()
	load := func(name string, into any) {
		text, err := os.ReadFile(goldenStreams + name)
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var list struct{ Valid []struct{ Name, Kind string } }
	load("cases.json", &list)
	for _, c := range list.Valid {
		m := goldenMessage{name: c.Name, kind: c.Kind}
		load("valid/"+c.Name+".json", &m)
		all = append(all, m)
	}
	return all
}

// The streams take every golden message, and a reader is given what the file says of it: a copy of a dead letter as the batch that it was.
func TestGoldenMessagesPassTheStreams(t *testing.T) {
	b := bustest.New(t)
	c, js := b.Conn(t, "reader"), newJetStream(t, b)
	readers := map[string]*bus.Consumer{}
	for stream, filters := range map[string][]string{
		bus.StreamMetrics: {"pw.metrics.>"}, bus.StreamEvents: {"pw.events.>"}, bus.StreamDead: {"pw.dead.>", "pw.again.>"},
	} {
		readers[stream] = consumer(t, c, bus.Input{Stream: stream, Durable: "reader", Filters: filters, Start: "all"}, bus.ConsumeOptions{})
	}
	for _, m := range goldenMessages(t) {
		out := nats.NewMsg(m.Subject)
		out.Data = m.body(t)
		for key, value := range m.Headers {
			out.Header.Set(key, value)
		}
		ack, err := js.PublishMsg(t.Context(), out)
		if err != nil || ack.Duplicate {
			t.Fatalf("%s: %+v, %v", m.name, ack, err)
		}
		d := next(t, readers[ack.Stream])
		subject := m.Subject
		if m.kind == "again" {
			subject = m.Headers[bus.HeaderSubject]
		}
		if d.Subject != subject || d.ID != m.Reads.ID || d.ContentType != m.Headers["Content-Type"] || string(d.Body) != string(out.Data) {
			t.Errorf("%s is read as %s %q %q", m.name, d.Subject, d.ID, d.ContentType)
		}
		if m.kind == "again" && !d.Stored.Equal(m.Reads.Stored) {
			t.Errorf("%s was stored at %v, want %v", m.name, d.Stored, m.Reads.Stored)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
}

func newJetStream(t *testing.T, b *bustest.Bus) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(raw(t, b))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// A letter of ours, and the copy by which it is given again, have the headers of the golden ones.
func TestGoldenLetterIsOurs(t *testing.T) {
	b := bustest.New(t)
	c, js := b.Conn(t, "h1_influx"), newJetStream(t, b)
	p := publisher(t, c, bus.PublisherOptions{Host: "h1", Plugin: "influx"})
	fill(t, c, 1)
	k := consumer(t, c, input("influx"), bus.ConsumeOptions{})
	if err := p.Dead(t.Context(), next(t, k), "influx", "influx", "no such field", "rejected"); err != nil {
		t.Fatal(err)
	}
	letter, err := c.Letter(t.Context(), lettersOf(t, c, "influx")[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GiveAgain(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), bus.StreamDead)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range goldenMessages(t) {
		if m.name != "letter-rejected" && m.name != "again-rejected" {
			continue
		}
		is, err := stream.GetLastMsgForSubject(t.Context(), m.Subject)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(slices.Sorted(maps.Keys(is.Header)), func(key string) bool { // what the server adds
			return strings.HasPrefix(key, "Nats-") && key != "Nats-Msg-Id"
		})
		want := slices.DeleteFunc(slices.Sorted(maps.Keys(m.Headers)), func(key string) bool { return key == "Content-Type" }) // fill gives none
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q, ours %q", m.name, want, got)
		}
		ids := []string{is.Header.Get("Nats-Msg-Id"), m.Headers["Nats-Msg-Id"]}
		if first := strings.SplitAfter(ids[0], "/")[0]; strings.Count(ids[0], "/") != strings.Count(ids[1], "/") || !strings.HasPrefix(ids[1], first) {
			t.Errorf("%s has the id %s, ours %s", m.name, ids[1], ids[0])
		}
	}
}
