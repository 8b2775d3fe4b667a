package bus

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"
)

// troubledPublisher has these messages under way, sent one millisecond after the other.
func troubledPublisher(now time.Time, subjects ...string) *Publisher {
	p := &Publisher{
		conn: &Conn{checking: true}, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), state: StateOK,
		log: slog.New(slog.DiscardHandler), slots: make([]slot, len(subjects)), opts: PublisherOptions{AckTimeout: defaultAckTimeout},
	}
	for i, subject := range subjects {
		s := &p.slots[i]
		s.init("inbox.", i)
		s.fill(Message{Subject: subject}, fmt.Sprint(i))
		s.order, s.sends, s.done = uint64(i+1), 1, func(error) {}
		s.sent = now.Add(time.Duration(i) * time.Millisecond)
		s.due = s.sent.Add(defaultAckTimeout)
	}
	return p
}

// dueNow lists what is to be sent, by order.
func (p *Publisher) dueNow(now time.Time) (orders []uint64) {
	due, _ := p.due(now)
	for _, t := range due {
		orders = append(orders, t.order)
	}
	return orders
}

// confirm answers a message.
func (p *Publisher) confirm(i int, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered(&p.slots[i], at)
	p.stored(&p.slots[i], answer{stored: true})
}

const cpu, event = "pw.metrics.h1.cpu", "pw.events.h1.cpu.x"

func TestNobodyAnswers(t *testing.T) {
	now := time.Now()
	p := troubledPublisher(now, cpu, event, cpu, cpu)
	wants := func(at time.Duration, want ...uint64) {
		t.Helper()
		if got := p.dueNow(now.Add(at)); !slices.Equal(got, want) {
			t.Errorf("after %v %d are sent; want %d", at, got, want)
		}
	}
	if err := p.refused(&p.slots[2], answer{code: 503}, now); err != nil || p.state != StateNoStream {
		t.Errorf("%v, %s", err, p.state)
	}
	wants(0, 1) // the oldest asks for all of its stream, and nobody for events
	wants(100 * time.Millisecond)
	wants(250*time.Millisecond, 1)
	for asked, at := 0, time.Second; asked < 20; asked++ {
		if p.dueNow(now.Add(at)) == nil {
			t.Errorf("%v: nobody asks", at)
		}
		at += troubleCap
	}
	end := now.Add(time.Minute)
	p.confirm(0, end)
	if got, want := p.dueNow(end), []uint64{2, 3, 4}; !slices.Equal(got, want) || p.state != StateOK {
		t.Errorf("after an answer %d are sent, in state %s; want %d", got, p.state, want)
	}
}

func TestSilence(t *testing.T) {
	now := time.Now()
	p := troubledPublisher(now, cpu, cpu, event)
	p.listen(now.Add(2 * time.Second))
	if p.troubled() {
		t.Error("silent after 2 s")
	}
	p.troubles[areaEvents].heard = now.Add(time.Second) // somebody answers there
	p.listen(now.Add(3 * time.Second))
	at := now.Add(3 * time.Second)
	if got, want := p.dueNow(at), []uint64{1}; !slices.Equal(got, want) || p.state != StateNoStream {
		t.Errorf("%d are sent, in state %s; want %d", got, p.state, want)
	}
	// What comes late need not be sent again.
	p.confirm(0, at)
	if got := p.dueNow(at); got != nil {
		t.Errorf("%d are sent at once", got)
	}
	if got, want := p.dueNow(at.Add(silenceCalm)), []uint64{2, 3}; !slices.Equal(got[:1], want[:1]) {
		t.Errorf("%d are sent; want %d", got, want)
	}
}

// An answer that a later message has got before is lost with the leader that owed it.
func TestOvertaken(t *testing.T) {
	now := time.Now()
	p := troubledPublisher(now, cpu, cpu, cpu)
	p.confirm(1, now)
	if got := p.dueNow(now.Add(time.Second)); got != nil {
		t.Errorf("%d are sent again after a second", got)
	}
	if got, want := p.dueNow(now.Add(3*time.Second)), []uint64{1}; !slices.Equal(got, want) {
		t.Errorf("%d are sent again; want %d", got, want)
	}
}

func TestRepeats(t *testing.T) {
	now := time.Now()
	r, d := new(repeats), &Delivery{StreamSeq: 7, Stored: now}
	f := func(d *Delivery, at time.Time, want bool) {
		t.Helper()
		if got := r.was(d, at); got != want {
			t.Errorf("message %d at %v was settled: %v", d.StreamSeq, at.Sub(now), got)
		}
	}
	f(&Delivery{}, now, false)
	f(d, now, false)
	r.settled(d, now)
	f(d, now, true)
	f(&Delivery{StreamSeq: 7 + rememberSettled, Stored: now}, now, false)
	f(&Delivery{StreamSeq: 7, Stored: now.Add(1)}, now, false) // of a stream that was made anew
	f(d, now.Add(repeatWindow), false)
	r.settled(&Delivery{StreamSeq: 7 + rememberSettled, Stored: now}, now)
	f(d, now, false)
}

func TestNobody(t *testing.T) {
	f := func(a answer, want bool) {
		t.Helper()
		if got := a.nobody(); got != want {
			t.Errorf("%+v: %v", a, got)
		}
	}
	f(answer{code: 503}, true)
	f(answer{code: 503, errCode: 10008}, true)
	f(answer{code: 500, errCode: 10009}, true)
	f(answer{code: 500, errCode: 10118}, true)
	f(answer{code: 409, errCode: 10158}, true)
	f(answer{code: 503, errCode: 10023}, false)
	f(answer{stored: true}, false)
}

func TestAreas(t *testing.T) {
	f := func(subject string, want area) {
		t.Helper()
		if got := areaOf(subject); got != want {
			t.Errorf("%s: %d; want %d", subject, got, want)
		}
	}
	f(cpu, areaMetrics)
	f(event, areaEvents)
	f("pw.dead.out", areaDead)
	f("pw.metric.h1.cpu", areaElse)
	f("$KV.HOSTS.h1", areaElse)
	f("", areaElse)
}
