package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

// setAside puts the next n batches of the consumer k into the dead letters of plugin.
func setAside(t testing.TB, c *bus.Conn, k *bus.Consumer, plugin string, n int) {
	t.Helper()
	p := publisher(t, c, bus.PublisherOptions{Host: "h1", Plugin: plugin})
	for range n {
		if err := p.Dead(t.Context(), next(t, k), plugin, plugin, "status 400: no", "rejected"); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, k)
}

// lettersOf returns the numbers of a plugin's dead letters.
func lettersOf(t testing.TB, c *bus.Conn, plugin string) (all []uint64) {
	t.Helper()
	err := c.Letters(t.Context(), plugin, 0, func(l bus.Letter) error {
		all = append(all, l.Seq)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// again opens the consumer by which plugin is given letters again.
func again(t testing.TB, c *bus.Conn, plugin string, from, end uint64) *bus.Consumer {
	t.Helper()
	in := bus.Errands(plugin, nil)[0]
	in.From, in.End = from, end
	return consumer(t, c, in, bus.ConsumeOptions{})
}

func TestLetters(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	begun := time.Now().Add(-time.Second)
	fill(t, c, 3)
	out, mail := consumer(t, c, input("out"), bus.ConsumeOptions{}), consumer(t, c, input("mail"), bus.ConsumeOptions{})
	setAside(t, c, out, "out", 2)
	setAside(t, c, mail, "mail", 1)
	if got := lettersOf(t, c, ""); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("letters %v", got)
	}
	if got := lettersOf(t, c, "mail"); !slices.Equal(got, []uint64{3}) {
		t.Errorf("letters of mail %v", got)
	}
	l, err := c.Letter(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if l.Plugin != "out" || l.Reason != "rejected" || l.Error != "status 400: no" || l.Subject != bus.MetricsSubject("h1", "cpu") ||
		!strings.HasSuffix(l.SourceID, "/2") || l.SourceSeq != 2 || l.Deliveries != 1 || string(l.Body) == "" {
		t.Errorf("letter %+v", l)
	}
	if l.Stored.Before(begun) || l.At.Before(l.Stored) {
		t.Errorf("stored %v, set aside %v", l.Stored, l.At)
	}
	_, err = c.Letter(t.Context(), 9)
	wantErr(t, "a letter that never was", err, bus.ErrNoLetter)
}

// A letter that is given again is what it was: the same batch of the same source.
func TestGiveAgain(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	fill(t, c, 5)
	out := consumer(t, c, input("out"), bus.ConsumeOptions{})
	if err := next(t, out).Ack(); err != nil {
		t.Fatal(err)
	}
	setAside(t, c, out, "out", 3)
	l, err := c.Letter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	third, err := c.Letter(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	seq, err1 := c.GiveAgain(t.Context(), l)
	same, err2 := c.GiveAgain(t.Context(), l)
	last, err3 := c.GiveAgain(t.Context(), third)
	if err := errors.Join(err1, err2, err3); err != nil || seq != 4 || same != seq || last != 5 {
		t.Fatalf("copies at %d, %d and %d: %v", seq, same, last, err)
	}
	if err := c.HasAgain(t.Context(), "out", seq); err != nil {
		t.Error(err)
	}
	wantErr(t, "a letter is no copy", c.HasAgain(t.Context(), "out", 3), bus.ErrNoLetter)
	wantErr(t, "a copy for another", c.HasAgain(t.Context(), "mail", seq), bus.ErrNoLetter)
	k := again(t, c, "out", seq, last)
	if err := c.DropLetter(t.Context(), 1); err != nil { // its copy is under way by now
		t.Error(err)
	}
	d := next(t, k)
	if d.Subject != l.Subject || d.ID != l.SourceID || string(d.Body) != string(l.Body) || !d.Stored.Equal(l.Stored) || d.StreamSeq != seq {
		t.Errorf("given again: %+v", d)
	}
	if err := errors.Join(d.Ack(), next(t, k).Ack()); err != nil {
		t.Error(err)
	}
	flush(t, k)
	if s := k.Stats(); s.LostUnread != 0 || s.LostAway != 0 {
		t.Errorf("%d and %d lost: between letters is nothing", s.LostUnread, s.LostAway)
	}
	in := bus.Errands("out", nil)[0]
	s, err := c.ConsumerInfo(t.Context(), in.Stream, in.Durable)
	if err != nil || !s.Done() || s.From != seq || s.End != last {
		t.Errorf("errand %+v, %v", s, err)
	}
	if got := lettersOf(t, c, ""); !slices.Equal(got, []uint64{2, 3}) {
		t.Errorf("letters %v: copies are none", got)
	}
	wantErr(t, "to drop a copy", c.DropLetter(t.Context(), last), bus.ErrNoLetter)
	if err := c.ForgetAgain(t.Context(), "out", seq, seq); err != nil {
		t.Error(err)
	}
	if s := streamState(t, c, bus.StreamDead); s.Messages != 3 {
		t.Errorf("%d messages; want two letters and the copy of after", s.Messages)
	}
}

// A retry that comes to nothing takes nothing from another one, which may have offered the same copies; what it has left goes with the
// letters, when they are given again or dropped.
func TestRetryRefused(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	fill(t, c, 2)
	setAside(t, c, consumer(t, c, input("out"), bus.ConsumeOptions{}), "out", 2)
	var letters []bus.Letter
	for seq := range uint64(2) {
		l, err := c.Letter(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		letters = append(letters, l)
	}
	retry := func(want int, offer func(ctx context.Context, from, to uint64) error) {
		t.Helper()
		if n, err := c.RetryLetters(t.Context(), letters[:1], offer); n != want || (err == nil) != (want > 0) {
			t.Errorf("%d given again: %v", n, err)
		}
	}
	f := func(when string, messages uint64, want ...uint64) {
		t.Helper()
		if got, s := lettersOf(t, c, ""), streamState(t, c, bus.StreamDead); !slices.Equal(got, want) || s.Messages != messages {
			t.Errorf("%s: letters %v of %d messages, want %v of %d", when, got, s.Messages, want, messages)
		}
	}
	refuse := func(context.Context, uint64, uint64) error { return errors.New("the config is being changed") }
	retry(0, refuse)
	f("refused", 3, 1, 2)
	for _, id := range []string{"again/1/later", "again/2/later"} { // as one makes that comes when the first id is forgotten
		if err := publisher(t, c, bus.PublisherOptions{}).Publish(t.Context(), bus.Message{Subject: bus.AgainSubject("out"), ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	var k *bus.Consumer
	retry(1, func(_ context.Context, from, to uint64) error {
		k = again(t, c, "out", from, to)
		retry(0, refuse) // meanwhile, of the same copy
		return nil
	})
	if d := next(t, k); d.StreamSeq != 3 || d.ID != letters[0].SourceID {
		t.Errorf("given again: %+v", d)
	}
	f("given again", 4, 2) // all copies lie behind the first one, which is read
	k.Stop()
	in := bus.Errands("out", nil)[0]
	if err := errors.Join(c.DeleteConsumer(t.Context(), in.Stream, in.Durable), c.ForgetAgain(t.Context(), "out", 3, 3)); err != nil {
		t.Fatal(err)
	}
	if err := c.DropLetter(t.Context(), 2); err != nil {
		t.Error(err)
	}
	f("dropped with its copy", 1, 4)
}

// A plugin that goes in the moment that it was given letters again leaves them: their copies are letters then.
func TestRetryOfOneThatGoes(t *testing.T) {
	c := bustest.New(t).Conn(t, "hub")
	fill(t, c, 1)
	setAside(t, c, consumer(t, c, input("out"), bus.ConsumeOptions{}), "out", 1)
	l, err := c.Letter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	offer := func(context.Context, uint64, uint64) error { return nil } // and its consumer is removed
	if n, err := c.RetryLetters(t.Context(), []bus.Letter{l}, offer); n != 1 || err != nil {
		t.Errorf("%d given again: %v", n, err)
	}
	if got := lettersOf(t, c, ""); !slices.Equal(got, []uint64{2}) {
		t.Errorf("letters %v, want the copy", got)
	}
}

// The ids of copies can be guessed: who has used one up keeps no letter from being given again.
func TestGiveAgainUnderStolenID(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	fill(t, c, 1)
	setAside(t, c, consumer(t, c, input("out"), bus.ConsumeOptions{}), "out", 1)
	evil := publisher(t, b.Conn(t, "h1_evil"), bus.PublisherOptions{Host: "h1", Plugin: "evil"})
	if err := evil.Publish(t.Context(), bus.Message{Subject: bus.DeadSubject("evil"), ID: "again/1"}); err != nil {
		t.Fatal(err)
	}
	l, err := c.Letter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	given, err := c.RetryLetters(t.Context(), []bus.Letter{l}, func(ctx context.Context, from, to uint64) error {
		return errors.Join(c.HasAgain(ctx, "out", from), c.HasAgain(ctx, "out", to))
	})
	if err != nil || given != 1 {
		t.Errorf("%d letters given again: %v", given, err)
	}
}

// What cannot be given again is not, and why is said: a letter that is only a description, and the copy of another machine's.
func TestRetryable(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	p := publisher(t, c, bus.PublisherOptions{Host: "h1", Plugin: "out"})
	lay := func(m bus.Message) bus.Letter {
		t.Helper()
		if err := p.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		l, err := c.Letter(t.Context(), streamState(t, c, bus.StreamDead).LastSeq)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	f := func(m bus.Message, home string, want error, says string) {
		t.Helper()
		l := lay(m)
		err := l.Retryable()
		if l.Home != home || !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s %s: of host %q, %v; want %q, %v", m.Subject, m.ID, l.Home, err, home, want)
		}
		if _, again := c.GiveAgain(t.Context(), l); !errors.Is(again, want) {
			t.Errorf("%s %s: given again: %v, want %v", m.Subject, m.ID, again, want)
		}
	}
	here, body := bus.DeadSubject("out"), []byte("x v=1 1")
	f(bus.Message{Subject: here, Body: body}, "", nil, "")
	f(bus.Message{Subject: here, ID: "dead/out/7/x", Body: body}, "", nil, "")
	f(bus.Message{Subject: here}, "", bus.ErrNoContent, "the batch was empty")
	f(bus.Message{Subject: here, Header: map[string]string{bus.HeaderLeftOut: "1048000"}}, "", bus.ErrNoContent, "its 1048000 bytes were left out")
	f(bus.Message{Subject: bus.CopySubject("edge 1", here), Body: body}, "edge 1", bus.ErrElsewhere, "host edge 1 keeps the letter, and its plugin out can")
	f(bus.Message{Subject: here, ID: "edge=201/dead/out/7", Body: body}, "edge 1", bus.ErrElsewhere, "host edge 1 ") // of an uplink of before
	f(bus.Message{Subject: here, ID: "edge/=7Euplink/DEAD/7-x", Body: body}, "edge", bus.ErrElsewhere, "host edge ")
	f(bus.Message{Subject: bus.CopySubject("edge", here)}, "edge", bus.ErrNoContent, "dropped")
	f(bus.Message{Subject: bus.CopySubject("edge", bus.DeadSubject(bus.Uplink)), Body: body}, "edge", nil, "")
	if got := len(lettersOf(t, c, "out")); got != 8 {
		t.Errorf("%d letters of out, with its copies", got)
	}
	if got := len(lettersOf(t, c, "")); got != 9 {
		t.Errorf("%d letters", got)
	}
}

// large puts n letters of 400 KiB onto the bus.
func large(t *testing.T, c *bus.Conn, n int) (letters []bus.Letter) {
	t.Helper()
	p := publisher(t, c, bus.PublisherOptions{Host: "h1", Plugin: "out"})
	for range n {
		if err := p.Publish(t.Context(), bus.Message{Subject: bus.DeadSubject("out"), Body: make([]byte, 400<<10)}); err != nil {
			t.Fatal(err)
		}
	}
	err := c.Letters(t.Context(), "out", 0, func(l bus.Letter) error {
		letters = append(letters, l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return letters
}

// Letters are given again some at a time, so that copies of them all need no room.
func TestRetryInPortions(t *testing.T) {
	c := bustest.New(t).Conn(t, "hub")
	letters := large(t, c, 5)
	var offered []string
	given, err := c.RetryLetters(t.Context(), letters, func(_ context.Context, from, to uint64) error {
		offered = append(offered, fmt.Sprintf("%d-%d of %d", from, to, streamState(t, c, bus.StreamDead).Messages))
		return nil
	})
	if want := "[6-7 of 7 8-9 of 7 10-10 of 6]"; err != nil || given != 5 || fmt.Sprint(offered) != want {
		t.Errorf("%d letters given again by %v, want %s: %v", given, offered, want, err)
	}
}

// Where no copy fits nothing is given again, for DEAD drops its oldest to make room.
func TestRetryInFullStream(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, "hub")
	settings := smallStreams()
	settings.DeadMaxBytes = 5 * 410 << 10
	if err := c.EnsureStreams(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	offer := func(context.Context, uint64, uint64) error { return nil }
	letters := large(t, c, 4)
	if given, err := c.RetryLetters(t.Context(), letters[3:], offer); err != nil || given != 1 { // the last copy that fits, and stays
		t.Fatalf("%d given again, %v", given, err)
	}
	large(t, c, 1)
	given, err := c.RetryLetters(t.Context(), letters[:3], offer)
	wantErr(t, "without room", err, bus.ErrFull)
	if got := lettersOf(t, c, "out"); given != 0 || !slices.Equal(got, []uint64{1, 2, 3, 5, 6}) { // 5 is a copy that nobody reads
		t.Errorf("%d given again, the letters are %v", given, got)
	}
}

// What a letter that came back is refused for makes a letter that is known by the source, as the first was.
func TestLetterOfLetter(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	fill(t, c, 1)
	setAside(t, c, consumer(t, c, input("out"), bus.ConsumeOptions{}), "out", 1)
	l, err := c.Letter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := c.GiveAgain(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	k := again(t, c, "out", seq, seq)
	p := publisher(t, c, bus.PublisherOptions{Host: "h1", Plugin: "out"})
	if err := p.Dead(t.Context(), next(t, k), "out", bus.AgainDurable("out"), "still no", "rejected"); err != nil {
		t.Fatal(err)
	}
	second, err := c.Letter(t.Context(), 3)
	if err != nil || second.SourceID != l.SourceID || second.Subject != l.Subject || !second.Stored.Equal(l.Stored) || second.Error != "still no" {
		t.Errorf("the second letter is %+v, %v; the first was %+v", second, err, l)
	}
}

func TestDropLetter(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	fill(t, c, 2)
	setAside(t, c, consumer(t, c, input("out"), bus.ConsumeOptions{}), "out", 2)
	if err := c.DropLetter(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "to drop it again", c.DropLetter(t.Context(), 1), bus.ErrNoLetter)
	if got := lettersOf(t, c, ""); !slices.Equal(got, []uint64{2}) {
		t.Errorf("letters %v", got)
	}
}

// A stream of an older version lets nobody delete, for ever: it is taken as it is, and who wants to drop is told.
func TestDropFromOldStream(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	js, err := jetstream.New(raw(t, b))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), bus.StreamDead); err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: bus.StreamDead, Subjects: []string{"pw.dead.*"}, MaxBytes: 1 << 20, AllowDirect: true, DenyDelete: true, DenyPurge: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, c, 1)
	setAside(t, c, consumer(t, c, input("out"), bus.ConsumeOptions{}), "out", 1)
	_, err = c.GiveAgain(t.Context(), bus.Letter{Seq: 1, Plugin: "out", At: time.Now(), Body: []byte("0")})
	wantErr(t, "to give again before the stream is updated", err, bus.ErrNoStream)
	if err := c.EnsureStreams(t.Context(), smallStreams()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "to drop", c.DropLetter(t.Context(), 1), bus.ErrKept)
	l, err := c.Letter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GiveAgain(t.Context(), l); err != nil {
		t.Errorf("given again: %v", err)
	}
}

func TestSeqAt(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	f := func(what string, at time.Time, want uint64) {
		t.Helper()
		if got, err := c.SeqAt(t.Context(), bus.StreamMetrics, at); err != nil || got != want {
			t.Errorf("%s: sequence %d, %v; want %d", what, got, err, want)
		}
	}
	f("nothing is there", time.Now(), 1)
	fill(t, c, 2)
	begun := streamState(t, c, bus.StreamMetrics).FirstTime
	middle := time.Now()
	p := publisher(t, c, bus.PublisherOptions{Host: "h1", Plugin: "mem"})
	if err := p.Publish(t.Context(), metric("later")); err != nil {
		t.Fatal(err)
	}
	f("long ago", begun.Add(-time.Hour), 1)
	f("at the first", begun, 1)
	f("between", middle, 3)
	f("to come", time.Now().Add(time.Hour), 4)
	if _, err := c.SeqAt(t.Context(), "NONE", middle); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("without a stream: %v", err)
	}
	if n := streamState(t, c, bus.StreamMetrics).Consumers; n != 0 {
		t.Errorf("%d consumers are left", n)
	}
}

// A plugin works on its errands with the rights it has from its start, and can make, copy and drop nothing.
func TestErrandsWithLeastRights(t *testing.T) {
	b := bustest.Guarded(t)
	hub := dialHub(t, b)
	fill(t, b.Conn(t, "op"), 2)
	in := bus.Input{Stream: bus.StreamMetrics, Durable: "out", Filters: []string{bus.MetricsFilter("cpu")}, Start: "all"}
	if err := hub.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	sink := join(t, b, bus.RolePublisher, "h1", "out", in)
	setAside(t, sink.Conn, sink.consume(t, in), "out", 1)
	l, err := hub.Letter(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := hub.GiveAgain(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	for _, errand := range bus.Errands("out", []bus.Input{in}) {
		errand.Start = "all"
		if err := hub.EnsureConsumer(t.Context(), errand); err != nil {
			t.Fatal(err)
		}
		if d := next(t, sink.consume(t, errand)); d.ID != l.SourceID {
			t.Errorf("%s gives %q", errand.Durable, d.ID)
		}
	}
	if n := sink.denied(); n != 0 {
		t.Errorf("%d permission violations", n)
	}
	if err := errors.Join(hub.DropLetter(t.Context(), 1), hub.ForgetAgain(t.Context(), "out", seq, seq)); err != nil {
		t.Errorf("the hub drops: %v", err)
	}
	if n := hub.Denied(); n != 0 {
		t.Errorf("%d permission violations of the hub", n)
	}
	h := turnHostile(t, b, bus.RolePublisher, "h1", "bad", in)
	for _, subject := range []string{bus.AgainSubject("bad"), bus.AgainSubject("out"), "$JS.API.STREAM.MSG.DELETE.DEAD", "$JS.API.DIRECT.GET.DEAD",
		fmt.Sprintf("$JS.API.CONSUMER.CREATE.DEAD.%s", bus.Token(bus.AgainDurable("bad")))} {
		h.violates(t, subject, h.Publish(subject, []byte("{}")))
	}
}
