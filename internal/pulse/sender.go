package pulse

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Options say who beats, and how.
type Options struct {
	Host, Plugin string
	Inst         string        // id of this process
	Boot         string        // id of this boot of the machine; "": unknown
	Gen          uint64        // counter of starts; 0: unknown
	Interval     time.Duration // until a watcher wants another one; 0: 10 s
	Least        time.Duration // the shortest that it gets; 0: 1 s
	First        time.Duration // the first beat leaves within it; 0: at once
}

const (
	firstInterval = 10 * time.Second
	leastInterval = time.Second
	mostInterval  = telemetry.MaxIntervalMS * time.Millisecond

	stepLeast  = 500 * time.Millisecond // between wall and monotonic clock: then the wall clock was set
	sleepLeast = 100 * time.Millisecond // that counts as sleep of the machine
	quiet      = 3                      // intervals without an ACK after which nobody watches
	highestGen = 1 << 53                // every language can count that far
)

// Errors of Obey: the ACK is as if it had never come.
var (
	// ErrStray says that the ACK answers another beat, or one that was answered before.
	ErrStray = errors.New("ack answers another beat")

	// ErrTerm says that the watcher who sent the ACK has lost the say to one with a higher term.
	ErrTerm = errors.New("ack of a term that is over")
)

// A Sender is what somebody who beats knows of himself and of who watches him. It is not safe for concurrent use, does no I/O
// and asks no clock. One beat is under way at a time: Beat, then Obey or Missed.
type Sender struct {
	o     Options
	begun Instant
	times schedule

	seq      uint64
	sent     Instant // when the last beat left
	awaiting bool    // its ACK
	hellos   int     // without an answer, in a row
	greeted  bool    // the watcher has accepted us, and has our hello
	greeting bool    // the last beat was a hello
	rejected bool    // the watcher has our hello, and refuses us: it is not told all of it again and again
	missed   int     // beats without an ACK, in a row
	lost     uint64  // beats without an ACK at all
	before   uint64  // of those, before the first ACK of the watcher that is obeyed: nobody may have been there

	seen    Instant       // when the clocks were looked at last
	resumed time.Duration // sleep that no watcher knows of yet
	telling time.Duration // of it, by the last beat
	steps   uint64        // times that our wall clock was set
	step    time.Duration // by how much the last time

	ack    telemetry.Ack // that was obeyed last, without Work
	heard  Instant       // when it came
	rounds rounds
}

// New returns a Sender that begins now.
func New(o Options, now Instant) *Sender {
	o.Least = cmp.Or(o.Least, leastInterval)
	s := &Sender{o: o, begun: now, seen: now, heard: now}
	s.times = newSchedule(o, cmp.Or(o.Interval, firstInterval), now.Mono)
	return s
}

// Beat begins a beat: it fills in all that a Sender knows. h is sent now or never. Manifest, where Hello says so, Inventory, where
// Lists does, and what h says of the work are for the caller.
func (s *Sender) Beat(h *telemetry.Heartbeat, now Instant) {
	s.look(now)
	s.seq++
	s.sent, s.awaiting, s.telling = now, true, s.resumed
	s.times.beaten(now.Mono, s.hellos)
	best := s.rounds.best()
	h.Version, h.Host, h.Plugin, h.Inst, h.Boot, h.Gen = telemetry.ProtocolVersion, s.o.Host, s.o.Plugin, s.o.Inst, s.o.Boot, s.o.Gen
	h.Seq, h.IntervalMS = s.seq, max(s.Interval().Milliseconds(), 1)
	h.T1, h.Mono1, h.UpMS = now.Wall, int64(now.Mono), (now.Mono - s.begun.Mono).Milliseconds()
	s.greeting = !s.greeted && !s.rejected
	h.ResumedMS, h.Hello, h.Ack, h.AckLost = s.resumed.Milliseconds(), s.greeting, s.ack.Seq, s.lost
	h.RTTUS, h.OffsetUS = best.trip.Microseconds(), best.offset.Microseconds()
}

// look notes what the clocks have done since the last look, and reports whether the machine has slept.
func (s *Sender) look(now Instant) bool {
	last := s.seen
	s.seen = now
	slept := now.Asleep - last.Asleep
	if slept < sleepLeast {
		slept = 0
	}
	s.resumed += slept
	if off := time.Duration(now.Wall-last.Wall) - (now.Mono - last.Mono) - slept; off > stepLeast || off < -stepLeast {
		s.steps, s.step = s.steps+1, off
		s.rounds = rounds{} // their offsets are of another clock
	}
	return slept > 0
}

// Resumed reports whether the machine has slept since the last look at its clocks; then a beat is due now.
func (s *Sender) Resumed(now Instant) bool {
	slept := s.look(now)
	if slept {
		s.times.hasten(now.Mono)
	}
	return slept
}

// Steps returns how often our wall clock was set, and by how much the last time.
func (s *Sender) Steps() (n uint64, last time.Duration) { return s.steps, s.step }

// Lists reports whether the list of the inventory goes with a beat: with a hello, and until the watcher holds what d stands for.
// Who refuses us holds nothing.
func (s *Sender) Lists(d telemetry.Digest) bool {
	return !s.rejected && (!s.greeted || s.ack.Digest != d)
}

// Obey takes the ACK of the last beat. What it says of the work, and its refusal, are for the caller. Errors: ErrStray, ErrTerm.
func (s *Sender) Obey(a telemetry.Ack, now Instant) error {
	if !s.awaiting || a.Seq != s.seq {
		s.Missed()
		return fmt.Errorf("%w: %s answers %d, the last is %d", ErrStray, a.Server, a.Seq, s.seq)
	}
	// When nobody with the highest term has spoken for a while, the terms may have begun anew: with a registry that was lost.
	if a.Term < s.ack.Term && !s.alone(now) {
		s.Missed()
		return fmt.Errorf("%w: %s has term %d, %s has %d", ErrTerm, a.Server, a.Term, s.ack.Server, s.ack.Term)
	}
	if a.Server != s.ack.Server {
		s.rounds = rounds{} // to another clock
		s.before = s.lost
	}
	s.rounds.add(roundOf(a, s.sent.Wall, max(now.Mono-s.sent.Mono, 0)))
	a.Work = nil
	s.judged(a, now)
	s.ack, s.heard, s.awaiting = a, now, false
	s.missed, s.hellos, s.resumed = 0, 0, s.resumed-s.telling
	wanted := s.Interval()
	if a.NextMS > 0 {
		wanted = time.Duration(min(a.NextMS, telemetry.MaxIntervalMS)) * time.Millisecond
	}
	s.times.follow(min(max(wanted, s.o.Least), mostInterval))
	return nil
}

// judged notes whether we are accepted. Who accepts us without our hello, having refused us before, or another watcher, gets it
// with the next beat.
func (s *Sender) judged(a telemetry.Ack, now Instant) {
	accepted := a.State == telemetry.Accepted
	knows := s.greeting || s.rejected && a.Server == s.ack.Server && a.Term == s.ack.Term
	if s.rejected && accepted {
		s.Hasten(now)
	}
	s.greeted = accepted && !s.rejected && (s.greeted || s.greeting) // neither: GreetAgain came behind that beat
	s.rejected = !accepted && knows
}

// Missed notes that the last beat has no ACK. It is not sent again: the next one says as much, and is fresh.
func (s *Sender) Missed() {
	if !s.awaiting {
		return
	}
	s.awaiting = false
	s.lost++
	s.missed++
	if !s.greeted {
		s.hellos++
		s.times.retry(s.hellos)
	}
}

// Unwatched reports whether nobody counts as watching from the last beat on: so many in a row had no ACK.
func (s *Sender) Unwatched() bool { return s.missed == quiet }

// Missing reports whether nobody counts as watching.
func (s *Sender) Missing() bool { return s.missed >= quiet }

// alone reports whether nobody who was obeyed has spoken for some intervals.
func (s *Sender) alone(now Instant) bool { return now.Mono-s.heard.Mono > quiet*s.Interval() }

// Interval returns that of the beats.
func (s *Sender) Interval() time.Duration { return s.times.interval }

// Patience is how long the ACK of a beat may take.
func (s *Sender) Patience() time.Duration {
	return min(max(s.Interval(), leastInterval), 5*time.Second)
}

// Wait returns how long it is until the next beat.
func (s *Sender) Wait(now Instant) time.Duration { return s.times.wait(now.Mono) }

// Hasten makes a beat due that tells something new: now, but not within a second after the one before.
func (s *Sender) Hasten(now Instant) {
	at := now.Mono
	if s.seq > 0 {
		at = max(at, s.sent.Mono+soonest)
	}
	s.times.hasten(at)
}

// Reconnected makes one beat due within 2 s: the bus was away, and not all should be back at once. Before the first beat it does
// nothing.
func (s *Sender) Reconnected(now Instant) {
	if s.seq > 0 {
		s.times.hasten(now.Mono + upTo(comeBack))
	}
}

// GreetAgain makes the next beat a hello, and due now.
func (s *Sender) GreetAgain(now Instant) {
	s.greeted, s.rejected = false, false
	s.times.hasten(now.Mono)
}

// Outranked returns the gen of a later start that the watcher knows: the state of this one was cloned, or restored, and it has to
// go on above.
func (s *Sender) Outranked() (gen uint64, yes bool) {
	return s.ack.Gen, s.o.Gen > 0 && s.ack.Gen > s.o.Gen && s.ack.Gen < highestGen
}

// Above makes the Sender go on under a higher gen, and a beat of it due.
func (s *Sender) Above(gen uint64, now Instant) {
	s.o.Gen = max(s.o.Gen, gen)
	s.Hasten(now)
}

// Status returns all that is known.
func (s *Sender) Status(now Instant) telemetry.PulseStatus {
	best, a := s.rounds.best(), s.ack
	p := telemetry.PulseStatus{
		State: telemetry.PulseAlone, Host: s.o.Host, Inst: s.o.Inst, Gen: s.o.Gen, Seq: s.seq, IntervalMS: s.Interval().Milliseconds(),
		Server: a.Server, Term: a.Term, Ack: a.Seq, Received: a.Received, Lost: a.Lost, AckLost: s.lost - s.before,
		RTTUS: best.trip.Microseconds(), OffsetUS: best.offset.Microseconds(), Steps: s.steps, Flags: a.Flags,
	}
	if a.Seq == 0 {
		return p
	}
	p.AgeMS = (now.Mono - s.heard.Mono).Milliseconds()
	switch {
	case s.Missing():
	case s.greeted:
		p.State = telemetry.PulseWatched
	case a.State == telemetry.Refused:
		p.State, p.Reason = telemetry.PulseRefused, a.Reason
	default: // it is asked to greet again
		p.State = telemetry.PulseWatched
	}
	return p
}
